//! The little of an SNMP session that plugins need, as a trait.
//!
//! Does: name get and walk, the sink that values go to, and the causes a run tells apart.
//! Does not: send anything; a session of the engine does, and in tests a table.
//! In: object identifiers of a plan. Out: varbinds to a [`VarbindSink`], or [`SnmpFailure`].

use ocelli_model::clock::{Monotonic, WallMs};
use ocelli_model::gap::GapCause;
use ocelli_model::oid::Oid;
use ocelli_snmp::oid::Index;
use ocelli_snmp::value::Value;

use crate::run::PluginFuture;

/// Where the values of a get or a walk go, in the order in which they come.
pub trait VarbindSink {
    /// The value of `request` (position in the list that was asked for) at `index`: the empty
    /// index for a get, what follows the column for a walk. `time` is when the reply came.
    /// Exceptions of a get (`noSuchObject`, `noSuchInstance`) come too; those of a walk do not.
    fn varbind(&mut self, request: usize, index: Index<'_>, value: Value<'_>, time: WallMs);
}

/// Why an operation ended early. What the sink has got by then is good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause} at {reached:?}")]
pub struct SnmpFailure {
    /// The cause, as a gap would have it.
    pub cause: GapCause,
    /// The last thing read, an OID; empty if nothing was.
    pub reached: String,
}

/// A session with one device.
pub trait SnmpAccess {
    /// Asks for these instances. A device of v1 that refuses one of them still answers the others.
    fn get<'run>(
        &'run self,
        instances: &'run [Oid],
        deadline: Monotonic,
        sink: &'run mut dyn VarbindSink,
    ) -> PluginFuture<'run, Result<(), SnmpFailure>>;

    /// Walks these columns side by side, so that a reply holds whole rows.
    fn walk<'run>(
        &'run self,
        columns: &'run [Oid],
        deadline: Monotonic,
        sink: &'run mut dyn VarbindSink,
    ) -> PluginFuture<'run, Result<(), SnmpFailure>>;

    /// snmpEngineBoots and snmpEngineTime of the authoritative engine, where v3 is spoken.
    fn engine(&self) -> Option<(u32, u32)>;
}
