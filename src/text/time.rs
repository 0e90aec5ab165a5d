//! Durations as people read and write them.

use std::time::Duration;

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no duration; write it as `90s`, `10m` or `1h30m`")]
pub struct DurationError(String);

/// `0.4s`, `12s`, `1m 42s`, `2h 5m`. Two units at most; tenths only below ten seconds.
pub fn duration(duration: Duration) -> String {
    let tenths = (duration.as_millis() + 50) / 100;
    if tenths < 100 {
        return match (tenths / 10, tenths % 10) {
            (0, 0) => "0s".to_owned(),
            (whole, 0) => format!("{whole}s"),
            (whole, tenth) => format!("{whole}.{tenth}s"),
        };
    }
    let seconds = (duration.as_millis() + 500) / 1000;
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes, rest) {
        (0, 0, rest) => format!("{rest}s"),
        (0, minutes, 0) => format!("{minutes}m"),
        (0, minutes, rest) => format!("{minutes}m {rest}s"),
        (hours, 0, _) => format!("{hours}h"),
        (hours, minutes, _) => format!("{hours}h {minutes}m"),
    }
}

/// Reads `90s`, `10m`, `1h30m`: hours, minutes and seconds in this order, each at most once.
///
/// # Errors
/// When it is anything else, or longer than a year.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    const YEAR: u64 = 366 * 24 * 3600;
    let wrong = || DurationError(text.chars().take(60).collect());
    let mut rest = text.trim();
    let mut seconds = 0_u64;
    for (unit, factor) in [('h', 3600), ('m', 60), ('s', 1)] {
        if let Some((number, after)) = rest.split_once(unit) {
            if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(wrong());
            }
            let number: u64 = number.parse().map_err(|_| wrong())?;
            seconds = number
                .checked_mul(factor)
                .and_then(|part| seconds.checked_add(part))
                .filter(|all| *all <= YEAR)
                .ok_or_else(wrong)?;
            rest = after;
        }
    }
    if !rest.is_empty() || text.trim().is_empty() {
        return Err(wrong());
    }
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{duration, parse_duration};

    #[test]
    fn durations_have_two_units_at_most() {
        for (ms, text) in [
            (0, "0s"),
            (49, "0s"),
            (400, "0.4s"),
            (4_000, "4s"),
            (9_960, "10s"),
            (12_400, "12s"),
            (60_000, "1m"),
            (102_000, "1m 42s"),
            (7_500_000, "2h 5m"),
            (7_200_000, "2h"),
        ] {
            assert_eq!(duration(Duration::from_millis(ms)), text, "{ms}");
        }
    }

    #[test]
    fn written_durations_are_read() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("1h30m", 5400), ("1h5s", 3605)] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_secs(seconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "10",
            "m",
            "1m1h",
            "-1s",
            "1.5h",
            "1h 30m",
            "99999999999999999999s",
            "1d",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
