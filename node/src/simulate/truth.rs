//! What a simulated interface has counted: pure functions of seed, interface, counter and time.
//!
//! Does: give every counter at every time, so that a test knows the true value. Does not: know
//! about faults, agents or SNMP.
//! In: seed, interface, [`Counter`], milliseconds since it began to count. Out: 64 bits that never
//! decrease with time. Cost: about 10 ns.

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names of IF-MIB and EtherLike-MIB")]
pub enum Counter {
    InOctets,
    OutOctets,
    InUcastPkts,
    OutUcastPkts,
    InMulticastPkts,
    OutMulticastPkts,
    InBroadcastPkts,
    OutBroadcastPkts,
    InDiscards,
    OutDiscards,
    InErrors,
    OutErrors,
    InUnknownProtos,
    AlignmentErrors,
    FcsErrors,
    FrameTooLongs,
}

/// The pace changes every so many milliseconds.
const EPOCH_MS: u64 = 10_000;
/// The last interfaces of a switch are uplinks of 10 Gbit/s.
const UPLINKS: u32 = 4;
/// One interface in so many is down.
const DOWN_ONE_IN: u32 = 8;

/// Speed of an interface in bit/s.
#[must_use]
pub fn speed_bps(interface: u32, interfaces: u32) -> u64 {
    if interface + UPLINKS > interfaces {
        10_000_000_000
    } else {
        1_000_000_000
    }
}

/// Whether an interface is operationally up; one in eight is not, and counts nothing.
#[must_use]
pub fn is_up(interface: u32) -> bool {
    interface % DOWN_ONE_IN != 5
}

/// What `counter` of `interface` (from 1) shows `elapsed_ms` after it began to count from zero.
///
/// It grows by its average rate, quicker and slower by up to 80 % as epochs of 10 s pass.
#[must_use]
pub fn counter_at(seed: u64, interface: u32, counter: Counter, elapsed_ms: u64) -> u64 {
    let rate = rate_per_s(seed, interface, counter);
    if rate == 0 {
        return 0;
    }
    let own = mix(seed ^ u64::from(interface) << 32 ^ (counter as u64) << 56);
    let (epoch, within) = (elapsed_ms / EPOCH_MS, elapsed_ms % EPOCH_MS);
    // Each epoch begins ahead of the average by up to 80 % of what an epoch brings, so between
    // two epochs the pace is 20 % at least.
    let ahead = |epoch: u64| ((mix(own ^ epoch) >> 48) * (rate * 8)) >> 16;
    let ahead_now = ahead(epoch) * (EPOCH_MS - within) + ahead(epoch + 1) * within;
    // All that is less than a second goes into one division, so that rounding never steps back.
    let part = rate * (elapsed_ms % 1_000) * (EPOCH_MS / 1_000);
    rate.wrapping_mul(elapsed_ms / 1_000)
        .wrapping_add((part + ahead_now) / EPOCH_MS)
}

/// Average rate per second: at most 6·10^7 (half of 1 Gbit/s in octets), so that products fit.
fn rate_per_s(seed: u64, interface: u32, counter: Counter) -> u64 {
    if !is_up(interface) {
        return 0;
    }
    let chance = mix(seed.wrapping_add(u64::from(interface)) ^ (counter as u64) << 48);
    match counter {
        Counter::InOctets | Counter::OutOctets => 10_000 + chance % 60_000_000,
        Counter::InUcastPkts | Counter::OutUcastPkts => 20 + chance % 90_000,
        Counter::InMulticastPkts | Counter::OutMulticastPkts => 1 + chance % 50,
        Counter::InBroadcastPkts | Counter::OutBroadcastPkts => 1 + chance % 20,
        Counter::InDiscards | Counter::OutDiscards if chance.is_multiple_of(8) => 1 + chance % 5,
        Counter::InErrors | Counter::OutErrors | Counter::FcsErrors
            if chance.is_multiple_of(16) =>
        {
            1 + chance % 3
        }
        _ => 0,
    }
}

/// splitmix64's finish: well spread, the same everywhere.
#[must_use]
pub(crate) fn mix(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_never_go_back_and_keep_below_the_speed() {
        let all = [Counter::InOctets, Counter::OutUcastPkts, Counter::InErrors];
        for interface in 1..=48 {
            for counter in all {
                let mut last = counter_at(7, interface, counter, 0);
                for step in 1..3_000_u64 {
                    let now = counter_at(7, interface, counter, step * 37);
                    assert!(now >= last, "{interface} {counter:?} at step {step}");
                    let room = speed_bps(interface, 48) / 8 * 37 / 1_000 + 1;
                    assert!(now - last <= room, "{interface} {counter:?} at step {step}");
                    last = now;
                }
            }
        }
    }

    #[test]
    fn the_average_is_the_rate_even_after_a_year() {
        let year_ms = 365 * 86_400 * 1_000;
        for interface in [1, 2, 48] {
            let rate = rate_per_s(3, interface, Counter::InOctets);
            let counted = counter_at(3, interface, Counter::InOctets, year_ms);
            let expected = rate * (year_ms / 1_000);
            assert!(counted.abs_diff(expected) <= rate * 8, "{interface}");
        }
    }

    #[test]
    fn seeds_and_interfaces_differ() {
        let value = |seed, interface| counter_at(seed, interface, Counter::InOctets, 60_000);
        assert_ne!(value(1, 1), value(2, 1));
        assert_ne!(value(1, 1), value(1, 2));
        assert_eq!(value(1, 5), 0, "interface 5 is down");
    }
}
