//! Pure: times in UTC as AWS, HTTP and certificates write them, to and from the system's time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Such as `20260102T030405Z`. A time before 1970 is taken as its beginning.
pub fn basic(time: SystemTime) -> String {
    let [year, month, day, hour, minute, second] = fields(time);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// For the log, such as `2049-12-31T23:59:59Z`. A time before 1970 is taken as its beginning.
pub fn extended(time: SystemTime) -> String {
    let [year, month, day, hour, minute, second] = fields(time);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn fields(time: SystemTime) -> [u64; 6] {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (year, month, day) = civil(seconds / DAY);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    [year, month, day, hour, minute, second]
}

/// Reads `2026-09-22T10:00:00Z`, with or without a fraction, and with `+00:00` for the `Z`.
pub fn iso_8601(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    let local = text
        .strip_suffix(['Z', 'z'])
        .or_else(|| text.strip_suffix("+00:00"))
        .or_else(|| text.strip_suffix("+0000"))?;
    let (date, time) = local.split_once(['T', 't', ' '])?;
    let mut date = date.split('-').map(digits);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let time = time.split_once('.').map_or(time, |(whole, _)| whole);
    date.next().is_none().then_some(())?;
    instant((year, month, day), time)
}

/// Reads the date of an HTTP answer in its usual form, `Tue, 15 Nov 1994 08:12:31 GMT`.
pub fn http_date(text: &str) -> Option<SystemTime> {
    let mut words = text.trim().strip_suffix("GMT")?.split_ascii_whitespace();
    let _weekday = words.next()?;
    let day = digits(words.next()?)?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? as u64 + 1;
    let year = digits(words.next()?)?;
    instant((year, month, day), words.next()?)
}

/// Reads the time in a certificate, `20491231235959Z`.
pub fn compact(text: &str) -> Option<SystemTime> {
    let text = text.strip_suffix('Z').filter(|text| text.len() == 14)?;
    let part = |from, to| text.get(from..to).and_then(digits);
    let date = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    clock_time(date, (part(8, 10)?, part(10, 12)?, part(12, 14)?))
}

fn instant(date: (u64, u64, u64), time: &str) -> Option<SystemTime> {
    let mut time = time.split(':').map(digits);
    clock_time(date, (time.next()??, time.next()??, time.next()??))
}

fn clock_time(
    (year, month, day): (u64, u64, u64),
    (hour, minute, second): (u64, u64, u64),
) -> Option<SystemTime> {
    let possible = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !possible {
        return None;
    }
    let seconds = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn digits(text: &str) -> Option<u64> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}

/// Days since 1970 as year, month and day. Counts in years that begin in March, and in the 400 years
/// after which the calendar repeats.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march = (5 * day + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    (year, month, day - (153 * march + 2) / 5 + 1)
}

/// The way back.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, year) = (year / 400, year % 400);
    let march = if month > 2 { month - 3 } else { month + 9 };
    let day = (153 * march + 2) / 5 + day - 1;
    era * 146_097 + year * 365 + year / 4 - year / 100 + day - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_time_is_written_as_signatures_need_it() {
        for (seconds, expect) in [
            (0, "19700101T000000Z"),
            (951_827_696, "20000229T123456Z"),
            (1_369_353_600, "20130524T000000Z"),
            (1_767_323_045, "20260102T030405Z"),
            (4_107_542_399, "21000228T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(basic(at(seconds)), expect);
        }
        assert_eq!(
            basic(UNIX_EPOCH - Duration::from_secs(1)),
            "19700101T000000Z"
        );
    }

    #[test]
    fn every_day_of_four_centuries_is_found_again() {
        for day in 0..146_097 {
            let (year, month, date) = civil(day);
            assert_eq!(days(year, month, date), day, "{year}-{month}-{date}");
        }
    }

    #[test]
    fn the_end_of_credentials_is_read() {
        let expect = Some(at(1_790_071_200));
        for text in [
            "2026-09-22T10:00:00Z",
            "2026-09-22T10:00:00.123Z",
            "2026-09-22T10:00:00+00:00",
            " 2026-09-22 10:00:00Z\n",
        ] {
            assert_eq!(iso_8601(text), expect, "{text:?}");
        }
        for text in [
            "",
            "2026-09-22",
            "2026-09-22T10:00:00",
            "2026-13-22T10:00:00Z",
            "2026-09-22T24:00:00Z",
            "2026-09-22-1T10:00:00Z",
            "+026-09-22T10:00:00Z",
            "99999999999999999999-09-22T10:00:00Z",
            "1969-09-22T10:00:00Z",
        ] {
            assert_eq!(iso_8601(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_time_in_a_certificate_is_read() {
        let expect = "2049-12-31T23:59:59Z";
        assert_eq!(
            compact("20491231235959Z").map(extended).as_deref(),
            Some(expect)
        );
        for text in [
            "",
            "Z",
            "20491231235959",
            "2049123123595Z",
            "20491331235959Z",
            "2049123123:959Z",
            "204912312359\u{e4}Z",
            "19691231235959Z",
        ] {
            assert_eq!(compact(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_date_of_an_answer_is_read() {
        assert_eq!(
            http_date("Tue, 15 Nov 1994 08:12:31 GMT"),
            Some(at(784_887_151))
        );
        for text in [
            "",
            "GMT",
            "Tue, 15 Nov 1994 08:12:31",
            "Tue, 15 Foo 1994 08:12:31 GMT",
        ] {
            assert_eq!(http_date(text), None, "{text:?}");
        }
    }
}
