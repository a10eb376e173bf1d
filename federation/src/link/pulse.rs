//! Whether the peer still hears this node, whatever this node hears of it.
//!
//! Does: number the beats that go out, note which of them the peer has heard, judge, as a pure
//! function of time. Does not: send, receive, read clocks.
//! In: beats of the peer, time. Out: beats to send, and the verdict.
//! Why: a line that is silent in one direction only keeps the idle timer of the end that still
//! hears; it would learn of it only after the other end gave up, twice as late.
//! What counts is that the peer's echo goes on, not how old it is: a slow line is not a dead one.

use std::time::Duration;

use ocelli_model::clock::Monotonic;

/// Between two beats. They may get lost: nine fit into [`UNHEARD_MAX`], so that a line that loses
/// a fifth of its packets each way is taken for dead about once a day.
pub(super) const BEAT_EVERY: Duration = Duration::from_millis(400);
/// How long the peer's echo may stand still. With the wait for two beats and a round trip, both
/// ends so see within 5 s that a direction is silent (promise "QUIC").
pub(super) const UNHEARD_MAX: Duration = Duration::from_millis(3_600);
/// Beats that must have gone out unheard: a node that was itself asleep does not blame its peer.
const UNHEARD_BEATS_MIN: u64 = 6;
/// Bytes of a beat on the wire.
pub(super) const BEAT_BYTES: usize = 16;

/// What one end says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Beat {
    /// Its own, ascending from 1.
    pub(super) number: u64,
    /// The highest number that it heard of the other end; 0: none yet.
    pub(super) heard: u64,
}

/// One end of a link's pulse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pulse {
    sent: u64,
    heard: u64,
    echoed: u64,
    /// When `echoed` grew last, or the link began.
    echoed_at: Monotonic,
}

impl Beat {
    /// As it stands on the wire: two little-endian numbers.
    pub(super) fn bytes(self) -> [u8; BEAT_BYTES] {
        let mut bytes = [0; BEAT_BYTES];
        let (number, heard) = bytes.split_at_mut(BEAT_BYTES / 2);
        number.copy_from_slice(&self.number.to_le_bytes());
        heard.copy_from_slice(&self.heard.to_le_bytes());
        bytes
    }

    /// Reads it; `None`: these bytes are something else, of a newer neighbour.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; BEAT_BYTES] = bytes.try_into().ok()?;
        let (number, heard) = bytes.split_at(BEAT_BYTES / 2);
        Some(Self {
            number: u64::from_le_bytes(number.try_into().ok()?),
            heard: u64::from_le_bytes(heard.try_into().ok()?),
        })
    }
}

impl Pulse {
    /// Of a link that just stands.
    pub(super) fn new(now: Monotonic) -> Self {
        Self {
            sent: 0,
            heard: 0,
            echoed: 0,
            echoed_at: now,
        }
    }

    /// The next beat to send.
    pub(super) fn beat(&mut self) -> Beat {
        self.sent += 1;
        Beat {
            number: self.sent,
            heard: self.heard,
        }
    }

    /// A beat of the peer came. They may come repeated, late or not at all; an echo of what was
    /// never sent counts for nothing.
    pub(super) fn heard(&mut self, beat: Beat, now: Monotonic) {
        self.heard = self.heard.max(beat.number);
        if beat.heard > self.echoed && beat.heard <= self.sent {
            self.echoed = beat.heard;
            self.echoed_at = now;
        }
    }

    /// Whether the peer has stopped to hear this node. One that never beat says nothing of it.
    pub(super) fn is_unheard(&self, now: Monotonic) -> bool {
        let unheard = self.sent - self.echoed;
        let is_still = now.since(self.echoed_at) >= UNHEARD_MAX;
        self.heard > 0 && unheard >= UNHEARD_BEATS_MIN && is_still
    }
}

const _: () =
    assert!(BEAT_EVERY.as_millis() * (UNHEARD_BEATS_MIN as u128) < UNHEARD_MAX.as_millis());

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic(ms * 1_000_000)
    }

    /// Two ends that beat at the same time over a line of `delay_ms`; `is_cut` says of a beat's
    /// direction (from the first end) and time whether it is lost. When each end gave up.
    fn play(delay_ms: u64, is_cut: impl Fn(bool, u64) -> bool) -> [Option<u64>; 2] {
        let mut ends = [Pulse::new(at(0)), Pulse::new(at(0))];
        let mut given_up = [None; 2];
        let mut under_way = Vec::new();
        for ms in (0..30_000).step_by(50) {
            under_way.retain(|(due, to, beat): &(u64, usize, Beat)| {
                if *due <= ms {
                    ends[*to].heard(*beat, at(ms));
                }
                *due > ms
            });
            for from in [0, 1] {
                if ms % 400 == 0 {
                    let beat = ends[from].beat();
                    if !is_cut(from == 0, ms) {
                        under_way.push((ms + delay_ms, 1 - from, beat));
                    }
                }
                if ends[from].is_unheard(at(ms)) {
                    given_up[from].get_or_insert(ms);
                }
            }
        }
        given_up
    }

    #[test]
    fn the_end_that_still_hears_sees_one_way_silence_as_soon_as_the_other() {
        for delay_ms in [0, 50, 300] {
            let silent_up = play(delay_ms, |is_up, ms: u64| is_up && ms >= 10_000);
            let silent_down = play(delay_ms, |is_up, ms: u64| !is_up && ms >= 10_000);
            let silent = play(delay_ms, |_, ms: u64| ms >= 10_000);
            for given_up in [silent_up, silent_down, silent].into_iter().flatten() {
                let ms = given_up.expect("each end gives up") - 10_000;
                assert!(
                    (3_000..=4_400 + 2 * delay_ms).contains(&ms),
                    "after {ms} ms with {delay_ms} ms of delay"
                );
            }
        }
    }

    #[test]
    fn a_line_that_is_slow_or_loses_much_is_not_given_up() {
        assert_eq!(play(0, |_, _| false), [None; 2]);
        assert_eq!(
            play(1_500, |_, _| false),
            [None; 2],
            "echoes are late, not absent"
        );
        let three_of_four = |_, ms: u64| !ms.is_multiple_of(1_600);
        assert_eq!(play(20, three_of_four), [None; 2]);
    }

    #[test]
    fn an_end_that_slept_does_not_blame_its_peer() {
        let mut pulse = Pulse::new(at(0));
        let (number, heard) = (1, 0);
        pulse.heard(Beat { number, heard }, at(0));
        for ms in [0, 400, 800, 1_200, 60_000] {
            pulse.beat();
            assert!(!pulse.is_unheard(at(ms)), "at {ms} ms");
        }
        pulse.beat();
        assert!(pulse.is_unheard(at(60_400)));
    }

    #[test]
    fn a_peer_without_a_pulse_is_not_judged_by_it() {
        let mut pulse = Pulse::new(at(0));
        for _ in 0..100 {
            pulse.beat();
        }
        assert!(!pulse.is_unheard(at(40_000)));
    }

    #[test]
    fn echoes_that_repeat_or_name_what_was_never_sent_count_for_nothing() {
        let mut pulse = Pulse::new(at(0));
        for _ in 0..8 {
            pulse.beat();
        }
        let (number, forged) = (1, 9);
        pulse.heard(Beat { number, heard: 4 }, at(100));
        for heard in [4, 3, 0, forged, u64::MAX] {
            pulse.heard(Beat { number, heard }, at(3_000));
        }
        pulse.beat();
        pulse.beat();
        assert!(!pulse.is_unheard(at(3_699)));
        assert!(pulse.is_unheard(at(3_700)));
    }

    #[test]
    fn a_beat_is_read_back_and_other_bytes_are_none() {
        let beat = Beat {
            number: 7,
            heard: u64::MAX,
        };
        assert_eq!(Beat::read(&beat.bytes()), Some(beat));
        for bytes in [0, 1, 15, 17] {
            assert_eq!(Beat::read(&vec![0; bytes]), None);
        }
    }
}
