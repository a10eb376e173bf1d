//! What an agent has: a generated switch or a recording, seen the same way.
//!
//! Does: find and write variables, with the faults that change what comes next.
//! Does not: know about messages. In: names. Out: [`Place`]s, encoded names and values.

use std::sync::Arc;

use ocelli_snmp::ber::BackWriter;
use ocelli_snmp::oid::OidRef;

use super::recording::Recording;
use super::switch::{Missing, Moment, Place, Switch};

/// The row from which on a stuck agent stands still.
const STUCK_FROM_ROW: u32 = 3;

/// What an agent has.
#[derive(Debug, Clone)]
pub(super) enum View {
    Switch(Arc<Switch>),
    Recording(Arc<Recording>),
}

/// Faults of the order of names.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Disorder {
    pub(super) is_stuck: bool,
    pub(super) is_endless: bool,
}

impl View {
    pub(super) fn get(&self, name: OidRef<'_>) -> Result<Place, Missing> {
        match self {
            Self::Switch(switch) => switch.get(name),
            Self::Recording(recording) => recording.get(name),
        }
    }

    pub(super) fn after(&self, name: OidRef<'_>, disorder: Disorder) -> Option<Place> {
        if disorder.is_stuck
            && let Ok(here) = self.get(name)
            && here.row >= STUCK_FROM_ROW
        {
            return Some(here);
        }
        match self {
            Self::Switch(switch) => switch.after(name, disorder.is_endless),
            Self::Recording(recording) => recording.after(name),
        }
    }

    pub(super) fn step(&self, place: Place, disorder: Disorder) -> Option<Place> {
        if disorder.is_stuck && place.row >= STUCK_FROM_ROW {
            return Some(place);
        }
        match self {
            Self::Switch(switch) => switch.step(place, disorder.is_endless),
            Self::Recording(recording) => recording.step(place),
        }
    }

    /// Whether v1 cannot carry the variable (RFC 2576 §4.2).
    pub(super) fn is_counter64(&self, place: Place) -> bool {
        match self {
            Self::Switch(switch) => switch.is_counter64(place),
            Self::Recording(recording) => recording.is_counter64(place),
        }
    }

    pub(super) fn write_name(&self, writer: &mut BackWriter<'_>, place: Place) {
        match self {
            Self::Switch(switch) => switch.write_name(writer, place),
            Self::Recording(recording) => recording.write_name(writer, place),
        }
    }

    pub(super) fn write_value(&self, writer: &mut BackWriter<'_>, place: Place, at: &Moment) {
        match self {
            Self::Switch(switch) => switch.write_value(writer, place, at),
            Self::Recording(recording) => recording.write_value(writer, place),
        }
    }
}
