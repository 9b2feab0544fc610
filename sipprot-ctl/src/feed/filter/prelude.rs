//! What syslog daemons write before a message, read by hand: time, host, program.

/// Lines that a syslog daemon folded into one are no more than this.
const REPEATED_MAX: u32 = 100;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prelude<'a> {
    /// Without its directory.
    pub program: &'a str,
    pub text: &'a str,
}

/// `Nov 22 17:21:03 host sshd[99]: text`, or with a time as in RFC 3339; None for anything else.
pub fn split(line: &str) -> Option<Prelude<'_>> {
    let rest = after_rfc3339(line).or_else(|| after_bsd_time(line))?;
    let (_host, rest) = rest.split_once(' ')?;
    after_host(rest)
}

/// `sshd[99]: text`.
pub fn after_host(text: &str) -> Option<Prelude<'_>> {
    let end = text.find(['[', ':', ' '])?;
    let (tag, rest) = text.split_at(end);
    let rest = match rest.strip_prefix('[') {
        Some(rest) => {
            let (id, rest) = rest.split_once(']')?;
            id.bytes().all(|byte| byte.is_ascii_digit()).then_some(rest)?
        }
        None => rest,
    };
    let text = rest.strip_prefix(':')?;
    let program = tag.rsplit('/').next().filter(|name| !name.is_empty())?;
    Some(Prelude { program, text: text.strip_prefix(' ').unwrap_or(text) })
}

/// The rest after `Nov 22 17:21:03 `.
pub fn after_bsd_time(line: &str) -> Option<&str> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (time, rest) = line.split_at_checked(16)?;
    let form = time.bytes().skip(3).zip(*b" dd dd:dd:dd ").all(|(byte, form)| match form {
        b'd' => byte.is_ascii_digit() || byte == b' ',
        form => byte == form,
    });
    (MONTHS.iter().any(|month| time.starts_with(month)) && form).then_some(rest)
}

/// The rest after `2026-11-22T17:21:03.123456+00:00 `.
fn after_rfc3339(line: &str) -> Option<&str> {
    let (time, rest) = line.split_once(' ')?;
    let digits = |range: std::ops::Range<usize>| {
        time.as_bytes().get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    let dated =
        digits(0..4) && digits(5..7) && digits(8..10) && time.as_bytes().get(10) == Some(&b'T');
    let all = time.bytes().all(|byte| byte.is_ascii_digit() || b"-:+.TZ".contains(&byte));
    (dated && digits(11..13) && all && time.len() <= 40).then_some(rest)
}

/// rsyslog folds equal lines: `message repeated 5 times: [ text]`.
pub fn repeated(text: &str) -> (u32, &str) {
    let folded = || {
        let rest = text.strip_prefix("message repeated ")?;
        let (times, rest) = rest.split_once(" times: [ ")?;
        Some((times.parse::<u32>().ok()?.clamp(1, REPEATED_MAX), rest.strip_suffix(']')?))
    };
    folded().unwrap_or((1, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings() {
        #[rustfmt::skip]
        let table = [
            ("Nov 22 17:21:03 pbx sshd[99]: hello", Some(("sshd", "hello"))),
            ("Nov  2 17:21:03 pbx sshd: hello", Some(("sshd", "hello"))),
            ("2026-11-22T17:21:03.123456+00:00 pbx /usr/sbin/kamailio[7]: INFO: x", Some(("kamailio", "INFO: x"))),
            ("2026-11-22T17:21:03Z pbx sshd[99]:", Some(("sshd", ""))),
            ("Nov 22 17:21:03 pbx sshd[9x]: hello", None),
            ("Nov 22 17:21:03 pbx no tag", None),
            ("Nov 22 17:21 pbx sshd[99]: hello", None),
            ("2026-11-22 17:21:03.123 [WARNING] sofia_reg.c:1 x", None),
            ("[2026-11-22 17:21:03] SECURITY[99] x: y", None),
            ("203.0.113.7 - - [22/Nov/2026:17:21:03 +0000] \"GET / HTTP/1.1\" 200 5", None),
            ("Növ 22 17:21:03 pbx sshd[99]: hello", None),
            ("", None),
        ];
        for (line, expected) in table {
            let found = split(line).map(|it| (it.program, it.text));
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn folded_lines() {
        assert_eq!(repeated("message repeated 5 times: [ a [b]]"), (5, "a [b]"));
        assert_eq!(repeated("message repeated 5000000 times: [ a]").0, REPEATED_MAX);
        for other in ["message repeated x times: [ a]", "message repeated 5 times: [ a", "a"] {
            assert_eq!(repeated(other), (1, other));
        }
    }
}
