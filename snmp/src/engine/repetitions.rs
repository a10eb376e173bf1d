//! How many rows to ask for in one GETBULK: learned per device, remembered between slots.
//!
//! Does: halve on "too big" and on silence after a bulk, probe upward slowly, fit the reply into
//! [`REPLY_BYTES_TARGET`]. Does not: send, count rows, choose columns (`walk`).
//! In: how the last bulk ended, the bytes a varbind takes. Out: [`Repetitions::rows_for`].
//! Invariant: 1 ≤ the current ceiling ≤ the configured maximum.

use super::limits::REPLY_BYTES_TARGET;

/// Bytes of a reply that are no varbinds: message, security parameters, PDU header (v3 authPriv).
const REPLY_HEADER_BYTES: usize = 140;
/// Bytes a varbind is taken to have before any was seen: a short string under an interface OID.
const VARBIND_BYTES_GUESS: u32 = 28;
/// Bulks that succeed at the ceiling before a higher one is probed.
const PROBE_AFTER_MIN: u32 = 16;
/// After a failed probe the wait doubles up to this many bulks (17 hours at one a minute).
const PROBE_AFTER_MAX: u32 = 1_024;

/// How a bulk was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The agent said "too big", or its datagram was cut.
    TooBig,
    /// No answer: too many rows for this agent, or a lost packet.
    Silence,
}

/// What a device was seen to stand in one GETBULK.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Repetitions {
    /// Never passed: configured.
    rows_max: u16,
    /// The present ceiling.
    rows: u16,
    /// Successes at the ceiling since it last changed.
    succeeded: u32,
    /// Successes needed before a probe.
    probe_after: u32,
    /// The ceiling known to work while a higher one is probed.
    known: Option<u16>,
    /// A silence may have been a lost packet: the first probe goes back to twice the rows at once.
    is_doubtful: bool,
    /// Bytes of a varbind, smoothed over this device's replies, in sixteenths.
    varbind_bytes_16: u32,
}

impl Repetitions {
    /// Nothing known: `rows_max` rows (at least one) until the device objects.
    #[must_use]
    pub(crate) fn new(rows_max: u16) -> Self {
        Self {
            rows_max: rows_max.max(1),
            rows: rows_max.max(1),
            succeeded: 0,
            probe_after: PROBE_AFTER_MIN,
            known: None,
            is_doubtful: false,
            varbind_bytes_16: VARBIND_BYTES_GUESS * 16,
        }
    }

    /// The present ceiling of rows a request.
    #[must_use]
    pub(crate) fn rows(&self) -> u16 {
        self.rows
    }

    /// Varbinds that fit one reply of [`REPLY_BYTES_TARGET`], at least one.
    #[must_use]
    pub(crate) fn varbinds_per_reply(&self) -> usize {
        let room = REPLY_BYTES_TARGET - REPLY_HEADER_BYTES;
        (room * 16 / (self.varbind_bytes_16 as usize).max(16)).max(1)
    }

    /// Rows to ask for when a request has this many columns, at least one.
    #[must_use]
    pub(crate) fn rows_for(&self, columns: usize) -> u16 {
        let fitting = self.varbinds_per_reply() / columns.max(1);
        u16::try_from(fitting)
            .unwrap_or(u16::MAX)
            .clamp(1, self.rows)
    }

    /// A bulk of `rows` rows was answered with `varbinds` varbinds in `bytes` bytes.
    pub(crate) fn answered(&mut self, rows: u16, varbinds: usize, bytes: usize) {
        self.learn_size(varbinds, bytes);
        if rows < self.rows {
            return;
        }
        self.succeeded += 1;
        if self.known.take().is_some() {
            self.succeeded = 0;
        } else if self.succeeded >= self.probe_after && self.rows < self.rows_max {
            self.known = Some(self.rows);
            let higher = if self.is_doubtful {
                self.rows.saturating_mul(2)
            } else {
                self.rows + 1
            };
            self.rows = higher.min(self.rows_max);
            self.succeeded = 0;
        }
    }

    /// A bulk of `rows` rows was refused: the ceiling falls to half of them, or, if it was a probe,
    /// back to what is known to work.
    pub(crate) fn refused(&mut self, rows: u16, refusal: Refusal) {
        self.succeeded = 0;
        if let Some(known) = self.known.take() {
            self.rows = known.min((rows - rows.min(1)).max(1));
            self.is_doubtful = false;
            self.probe_after = (self.probe_after * 2).min(PROBE_AFTER_MAX);
            return;
        }
        self.rows = (rows / 2).clamp(1, self.rows);
        self.is_doubtful = refusal == Refusal::Silence;
        self.probe_after = PROBE_AFTER_MIN;
    }

    fn learn_size(&mut self, varbinds: usize, bytes: usize) {
        // Too few say more of the header than of the varbind.
        if varbinds < 4 {
            return;
        }
        let measured = (bytes * 16).div_ceil(varbinds).min(REPLY_BYTES_TARGET * 16);
        let measured = u32::try_from(measured).unwrap_or(u32::MAX);
        let known = self.varbind_bytes_16;
        // Upward at once, so that a reply is rarely fragmented twice; downward by an eighth.
        self.varbind_bytes_16 = if measured > known {
            measured
        } else {
            (known * 7 + measured) / 8
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An agent that is silent above `dies_above` rows; returns requests lost in one slot.
    fn slot(repetitions: &mut Repetitions, dies_above: u16, bulks: usize) -> usize {
        let mut lost = 0;
        for _ in 0..bulks {
            while repetitions.rows_for(1) > dies_above {
                repetitions.refused(repetitions.rows_for(1), Refusal::Silence);
                lost += 1;
            }
            repetitions.answered(repetitions.rows_for(1), 5, 150);
        }
        lost
    }

    #[test]
    fn an_agent_that_dies_above_five_rows_is_complete_from_its_second_slot() {
        let mut repetitions = Repetitions::new(25);
        assert!(slot(&mut repetitions, 5, 20) > 0);
        assert_eq!(slot(&mut repetitions, 5, 20), 0);
        assert!(repetitions.rows() >= 2, "{repetitions:?}");
    }

    #[test]
    fn probing_comes_back_up_to_what_the_agent_stands_and_failed_probes_get_rare() {
        let mut repetitions = Repetitions::new(25);
        for rows in [25, 12, 6] {
            repetitions.refused(rows, Refusal::Silence);
        }
        let lost = slot(&mut repetitions, 5, 4_000);
        assert_eq!(repetitions.rows(), 5);
        assert!(lost <= 9, "{lost} bulks lost to probes");
    }

    #[test]
    fn a_lost_packet_costs_the_rows_of_sixteen_bulks_and_no_more() {
        let mut repetitions = Repetitions::new(24);
        repetitions.refused(24, Refusal::Silence);
        assert_eq!(repetitions.rows(), 12);
        slot(&mut repetitions, 24, 17);
        assert_eq!(repetitions.rows(), 24);
    }

    #[test]
    fn the_rows_of_22_columns_fit_one_frame() {
        let mut repetitions = Repetitions::new(25);
        for _ in 0..40 {
            repetitions.answered(2, 44, 44 * 25);
        }
        assert_eq!(repetitions.rows_for(22), 2);
        assert_eq!(repetitions.rows_for(400), 1);
    }

    #[test]
    fn small_varbinds_raise_the_rows_up_to_what_fits() {
        let mut repetitions = Repetitions::new(25);
        for _ in 0..40 {
            repetitions.answered(4, 40, 40 * 24);
        }
        assert_eq!(repetitions.rows_for(10), 1_332 / 24 / 10);
    }

    #[test]
    fn large_varbinds_lower_the_rows_at_once() {
        let mut repetitions = Repetitions::new(25);
        repetitions.answered(10, 10, 2_500);
        assert_eq!(repetitions.varbinds_per_reply(), 5);
    }

    proptest! {
        #[test]
        fn the_ceiling_stays_between_one_and_the_maximum(
            rows_max in 0u16..200,
            events in prop::collection::vec(
                (0u8..3, 0u16..300, 0usize..70, 0usize..70_000), 0..300,
            ),
        ) {
            let mut repetitions = Repetitions::new(rows_max);
            for (event, rows, varbinds, bytes) in events {
                match event {
                    0 => repetitions.answered(rows, varbinds, bytes),
                    1 => repetitions.refused(rows, Refusal::TooBig),
                    _ => repetitions.refused(rows, Refusal::Silence),
                }
                prop_assert!((1..=rows_max.max(1)).contains(&repetitions.rows()));
                prop_assert!(repetitions.rows_for(varbinds) >= 1);
            }
        }
    }
}
