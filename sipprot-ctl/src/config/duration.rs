//! Times as people write them: `90s`, `10m`, `1h30m`, `7d`.

use std::time::Duration;

const UNITS: &[(&str, u64)] = &[("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// Whole numbers with units d, h, m or s, largest first, each unit once. `None` for anything else.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut units = UNITS;
    let mut seconds = 0_u64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let at = units.iter().position(|(unit, _)| rest.starts_with(unit))?;
        let (unit, factor) = units[at];
        seconds = seconds.checked_add(number.checked_mul(factor)?)?;
        rest = &rest[unit.len()..];
        units = &units[at + 1..];
    }
    (!text.is_empty()).then(|| Duration::from_secs(seconds))
}

/// The shortest text that [`parse_duration`] reads back; fractions of a second are left out.
pub fn format_duration(duration: Duration) -> String {
    let mut seconds = duration.as_secs();
    if seconds == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, factor) in UNITS {
        if seconds >= *factor {
            text += &format!("{}{unit}", seconds / factor);
            seconds %= factor;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, seconds: Option<u64>) {
        let found = parse_duration(input);
        assert_eq!(found, seconds.map(Duration::from_secs), "{input}");
        if let Some(duration) = found {
            assert_eq!(parse_duration(&format_duration(duration)), found);
        }
    }

    #[test]
    fn durations() {
        check("90s", Some(90));
        check("1h", Some(3_600));
        check("1h30m", Some(5_400));
        check("7d", Some(604_800));
        check("0s", Some(0));
        let too_long = "99999999999999999999d";
        for wrong in ["", "h", "10", "10 m", "1m1h", "1h1h", "-1s", "1.5h", "1w", "é", too_long] {
            check(wrong, None);
        }
        assert_eq!(format_duration(Duration::from_secs(90_061)), "1d1h1m1s");
    }
}
