//! Pure: points in time as SigV4, HTTP and JSON write them. All are UTC, in seconds since the epoch.

const DAY: u64 = 86_400;
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Reads `20260102T030405Z`.
pub(crate) fn from_basic(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<u64> {
        let digits = text.get(from..to)?;
        let digits = Some(digits).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        digits?.parse().ok()
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let midnight = days_before(year, month, day)? * DAY;
    Some(midnight + hour * 3600 + minute * 60 + second)
}

/// Writes `Fri, 02 Jan 2026 03:04:05 GMT`.
pub(crate) fn http(at: u64) -> String {
    let (year, month, day) = civil(at / DAY);
    let weekday = WEEKDAYS[index(at / DAY % 7)];
    let month = MONTHS[index(month - 1)];
    format!("{weekday}, {day:02} {month} {year} {} GMT", clock(at))
}

/// Writes `2026-01-02T03:04:05Z`.
pub(crate) fn iso(at: u64) -> String {
    let (year, month, day) = civil(at / DAY);
    format!("{year}-{month:02}-{day:02}T{}Z", clock(at))
}

fn clock(at: u64) -> String {
    let second = at % DAY;
    format!(
        "{:02}:{:02}:{:02}",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Days from the epoch to this date; `None` if there is no such date, or it is before the epoch.
fn days_before(year: u64, month: u64, day: u64) -> Option<u64> {
    let valid = year >= 1970 && (1..=12).contains(&month) && day >= 1;
    if !valid || day > length(year, month) {
        return None;
    }
    let years: u64 = (1970..year).map(days_of_year).sum();
    let months: u64 = (1..month).map(|month| length(year, month)).sum();
    Some(years + months + day - 1)
}

/// Year, month and day of the date that is so many days after the epoch.
fn civil(mut days: u64) -> (u64, u64, u64) {
    let (mut year, mut month) = (1970, 1);
    while days >= days_of_year(year) {
        days -= days_of_year(year);
        year += 1;
    }
    while days >= length(year, month) {
        days -= length(year, month);
        month += 1;
    }
    (year, month, days + 1)
}

fn days_of_year(year: u64) -> u64 {
    365 + u64::from(leap(year))
}

fn length(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn index(small: u64) -> usize {
    usize::try_from(small).expect("below twelve")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_they_are_written() {
        let check = |text, seconds, written: &str, for_people: &str| {
            assert_eq!(from_basic(text), Some(seconds), "{text}");
            assert_eq!(iso(seconds), written);
            assert_eq!(http(seconds), for_people);
        };
        check(
            "19700101T000000Z",
            0,
            "1970-01-01T00:00:00Z",
            "Thu, 01 Jan 1970 00:00:00 GMT",
        );
        check(
            "19941106T084937Z",
            784_111_777,
            "1994-11-06T08:49:37Z",
            "Sun, 06 Nov 1994 08:49:37 GMT",
        );
        check(
            "20240229T235959Z",
            1_709_251_199,
            "2024-02-29T23:59:59Z",
            "Thu, 29 Feb 2024 23:59:59 GMT",
        );
        check(
            "20260102T030405Z",
            1_767_323_045,
            "2026-01-02T03:04:05Z",
            "Fri, 02 Jan 2026 03:04:05 GMT",
        );
    }

    #[test]
    fn what_is_no_date_is_not_read() {
        for text in [
            "",
            "20260102",
            "20260102T030405",
            "20260102T030405+",
            "20260230T000000Z",
            "21000229T000000Z",
            "20261301T000000Z",
            "20260102T240000Z",
            "2026010+T000000Z",
            "19691231T235959Z",
            "2026-01-02T03:04Z",
            "2026010üT000000Z",
        ] {
            assert_eq!(from_basic(text), None, "{text}");
        }
    }
}
