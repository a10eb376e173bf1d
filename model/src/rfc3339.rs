//! RFC 3339 times, as people write them in a query or a configuration.
//!
//! Does: read `2026-01-31T08:00:00.250+01:00` to milliseconds, write whole seconds in UTC.
//! Does not: read a clock or know time zones by name.
//! In: text. Out: [`WallMs`], or `None` for what is no such time; and back.

use crate::clock::WallMs;

/// Reads an RFC 3339 time; a fraction beyond milliseconds is cut off. `None`: it is none.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<WallMs> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers::<3>(date, '-')?;
    let zone_at = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at(zone_at);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hour, minute, second] = numbers::<3>(clock, ':')?;
    let is_valid = (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    let seconds = days_before(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    let ms = seconds * 1_000 + millis(fraction)? - zone_seconds(zone)? * 1_000;
    is_valid.then_some(WallMs(ms))
}

/// Writes a time in UTC, cut to the second: `2026-01-31T07:00:00Z`.
#[must_use]
pub fn rfc3339_of(time: WallMs) -> String {
    let seconds = time.0.div_euclid(1_000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date_of(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `N` whole numbers of at most four digits.
fn numbers<const N: usize>(text: &str, between: char) -> Option<[i64; N]> {
    let mut found = [0; N];
    let mut parts = text.split(between);
    for number in &mut found {
        let part = parts.next()?;
        let is_digits = (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        *number = is_digits.then(|| part.parse().ok()).flatten()?;
    }
    parts.next().is_none().then_some(found)
}

fn millis(fraction: &str) -> Option<i64> {
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{fraction:0<3}").get(..3)?.parse().ok()
}

/// Seconds east of Greenwich.
fn zone_seconds(zone: &str) -> Option<i64> {
    let sign = match zone.chars().next()? {
        'Z' | 'z' => return (zone.len() == 1).then_some(0),
        '+' => 1,
        _ => -1,
    };
    let [hours, minutes] = numbers::<2>(zone.get(1..)?, ':')?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

fn days_of(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01, in the Gregorian calendar; years begin in March, so that the leap day is
/// the last of its year.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

/// Year, month, day of a number of days from 1970-01-01; the way back of [`days_before`], in eras
/// of 400 years.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_day_is_written_as_it_is_read() {
        for day in -200_000..200_000_i64 {
            let time = WallMs((day * 86_400 + 86_399) * 1_000);
            let text = rfc3339_of(time);
            assert_eq!(parse_rfc3339(&text), Some(time), "{text}");
        }
        assert_eq!(
            rfc3339_of(WallMs(1_532_023_709_732)),
            "2018-07-19T18:08:29Z"
        );
        assert_eq!(rfc3339_of(WallMs(-1)), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn times_of_rfc_3339_are_read_and_others_are_not() {
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(parse_rfc3339(text), expected.map(WallMs), "{text}");
        };
        check("1970-01-01T00:00:00Z", Some(0));
        check("2018-07-19T18:08:29.732Z", Some(1_532_023_709_732));
        check("2018-07-19T20:08:29.7+02:00", Some(1_532_023_709_700));
        check("2024-02-29 12:00:00Z", Some(1_709_208_000_000));
        check("1969-12-31T23:59:59Z", Some(-1_000));
        check("2023-02-29T12:00:00Z", None);
        check("2024-13-01T12:00:00Z", None);
        check("2024-01-01T24:00:00Z", None);
        check("2024-01-01T12:00:00", None);
        check("2024-01-01T12:00:00+0100", None);
        check("2024-01-01", None);
        check("", None);
    }
}
