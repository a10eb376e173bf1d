//! An engine as others see it: its id, its boots and its time (RFC 3414 §2.2, §2.3).
//!
//! Does: estimate an engine's time now, judge the time of its messages by the window of 150 s.
//! Does not: decide whether a message is authentic; only authenticated values may come in
//! (`v3::Peer` sees to it).
//! In: boots, time, the monotonic now. Out: [`EngineTime`] and verdicts.

use std::fmt;

use ocelli_model::clock::Monotonic;

/// RFC 3414 §2.2.3: messages older than this many seconds are refused.
pub const TIME_WINDOW_S: u32 = 150;
/// RFC 3414 §2.2.2: the number of boots at which an engine is locked until it is reconfigured.
pub(crate) const BOOTS_MAX: u32 = i32::MAX.cast_unsigned();
/// RFC 3411 §5: engine ids have at most 32 octets.
const ENGINE_ID_OCTETS_MAX: usize = 32;

/// Octets that are no engine id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("engine id has {octets} octets; 1 to 32 are allowed (RFC 3411 §5)")]
pub struct EngineIdError {
    /// How many octets were given.
    pub octets: usize,
}

/// The id of an SNMP engine: 1 to 32 octets (RFC 3411 §5 wants 5, not all agents do).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EngineId {
    octets: [u8; ENGINE_ID_OCTETS_MAX],
    len: u8,
}

impl EngineId {
    /// From its octets.
    ///
    /// # Errors
    /// [`EngineIdError`] if there are none or more than 32.
    pub fn new(given: &[u8]) -> Result<Self, EngineIdError> {
        let error = EngineIdError {
            octets: given.len(),
        };
        let mut octets = [0; ENGINE_ID_OCTETS_MAX];
        let len = u8::try_from(given.len()).map_err(|_| error)?;
        match octets.get_mut(..given.len()) {
            Some(target) if len > 0 => target.copy_from_slice(given),
            _ => return Err(error),
        }
        Ok(Self { octets, len })
    }

    /// The octets.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }
}

impl fmt::Display for EngineId {
    /// In hex, as net-snmp prints it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for octet in self.as_slice() {
            write!(formatter, "{octet:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for EngineId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "EngineId({self})")
    }
}

/// Boots and time of an engine, as of a local instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineTime {
    /// How often it has started.
    pub boots: u32,
    /// Seconds since it last started, at `at`.
    pub time: u32,
    /// When the message with these values came.
    pub at: Monotonic,
}

impl EngineTime {
    /// Its time in seconds now.
    #[must_use]
    pub fn time_at(&self, now: Monotonic) -> u32 {
        let elapsed = u32::try_from(now.since(self.at).as_secs()).unwrap_or(BOOTS_MAX);
        self.time.saturating_add(elapsed).min(BOOTS_MAX)
    }

    /// RFC 3414 §3.2 step 7b: whether an authenticated message of this engine with these values
    /// is fresh. Values that are ahead of the known ones are.
    #[must_use]
    pub fn accepts(&self, boots: u32, time: u32, now: Monotonic) -> bool {
        if boots == BOOTS_MAX || boots < self.boots {
            return false;
        }
        boots > self.boots || time.saturating_add(TIME_WINDOW_S) >= self.time_at(now)
    }

    /// Takes values of an accepted message where they are ahead of the known ones.
    pub fn advance(&mut self, boots: u32, time: u32, now: Monotonic) {
        if (boots, time) > (self.boots, self.time) {
            *self = Self {
                boots,
                time,
                at: now,
            };
        }
    }
}
