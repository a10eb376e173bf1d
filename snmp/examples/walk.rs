//! Walks subtrees of a device: `walk ADDRESS:PORT v1|v2c COMMUNITY OID…` or
//! `walk ADDRESS:PORT v3 USER AUTH:PASSWORD PRIV:PASSWORD OID…` (`-` for no auth or no priv).
//!
//! Does: show the engine on its own, as `snmpbulkwalk` would be used. Does not: name MIB objects.
//! In: arguments. Out: one line a cell, then the outcome.

#![expect(clippy::print_stdout, reason = "an example prints what it reads")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use ocelli_model::clock::{Clock, Monotonic, Rng, Sleep, WallMs};
use ocelli_model::oid::Oid;
use ocelli_snmp::engine::{
    CommunityVersion, Credential, Engine, Received, SessionSettings, Source, VarbindSink, WalkPlan,
};
use ocelli_snmp::oid::Index;
use ocelli_snmp::usm::{Credentials, MasterKeyCache, UsmUser};
use ocelli_snmp::value::Value;
use tokio::task::LocalSet;

struct SystemClock;

impl Clock for SystemClock {
    fn monotonic(&self) -> Monotonic {
        Monotonic(nanos(ClockId::CLOCK_BOOTTIME))
    }

    fn wall(&self) -> WallMs {
        let millis = nanos(ClockId::CLOCK_REALTIME) / 1_000_000;
        WallMs(i64::try_from(millis).unwrap_or(i64::MAX))
    }

    fn sleep_until(&self, at: Monotonic) -> Sleep {
        Box::pin(tokio::time::sleep(at.since(self.monotonic())))
    }
}

fn nanos(clock: ClockId) -> u64 {
    let now = clock_gettime(clock).map_or(Duration::ZERO, Duration::from);
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// Good enough for an example; `node` has one that cannot be predicted.
struct Chance(u64);

impl Rng for Chance {
    fn next_u64(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        self.0 ^ self.0 >> 29
    }
}

struct Print(Vec<Oid>);

impl VarbindSink for Print {
    fn varbind(&mut self, column: usize, index: Index<'_>, value: Value<'_>, _: Received) {
        let column = self.0.get(column).map(ToString::to_string);
        println!("{}.{index} = {value:?}", column.unwrap_or_default());
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (address, credential, oids) = match arguments.as_slice() {
        [address, "v1", community, oids @ ..] => {
            let version = CommunityVersion::V1;
            (
                address,
                Credential::community(version, community.as_bytes()),
                oids,
            )
        }
        [address, "v2c", community, oids @ ..] => {
            let version = CommunityVersion::V2c;
            (
                address,
                Credential::community(version, community.as_bytes()),
                oids,
            )
        }
        [address, "v3", name, auth, privacy, oids @ ..] => {
            let credentials = Credentials {
                user: name.as_bytes(),
                auth: auth.split_once(':').map(pair).transpose()?,
                privacy: privacy.split_once(':').map(pair).transpose()?,
            };
            let user = UsmUser::new(&credentials, &mut MasterKeyCache::default())?;
            (address, Credential::user(Arc::new(user)), oids)
        }
        _ => return Err("see the head of this example for its arguments".into()),
    };
    let columns: Vec<Oid> = oids
        .iter()
        .map(|oid| oid.parse())
        .collect::<Result<_, _>>()?;
    let plan = WalkPlan::new(&columns)?;
    let settings = SessionSettings::new(address.parse()?, Arc::new(credential));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, async {
        let seed = nanos(ClockId::CLOCK_REALTIME);
        let engine = Engine::start(
            Source::default(),
            Arc::new(SystemClock),
            Box::new(Chance(seed)),
        );
        let session = engine.session(settings)?;
        let deadline = SystemClock.monotonic().after(Duration::from_secs(30));
        let (outcome, _) = session.walk(&plan, deadline, Print(columns)).await;
        println!(
            "{} cells in {} packets, {:?}",
            outcome.cells, outcome.packets, outcome.end
        );
        println!(
            "{:?} {:?}",
            outcome.partial_reason(),
            session.take_engine_event()
        );
        Ok(())
    })
}

fn pair<'a, P: std::str::FromStr>(
    (protocol, password): (&str, &'a str),
) -> Result<(P, &'a [u8]), P::Err> {
    Ok((protocol.parse()?, password.as_bytes()))
}
