//! Lines of logs: what a filter finds stands in the line, wherever the bytes are cut; what was never ended is no line.

use std::sync::LazyLock;

use sipprot_ctl::feed::filter::{Filter, Line, Verdict, ready_names};
use sipprot_ctl::feed::lines::{LINE_MAX, Lines};

static FILTERS: LazyLock<Vec<Filter>> =
    LazyLock::new(|| ready_names().map(|name| Filter::ready(name).expect("a filter")).collect());

pub fn check(bytes: &[u8]) {
    let whole = lines(&[bytes]);
    for at in [1, bytes.len() / 2, bytes.len().saturating_sub(1)] {
        let (one, other) = bytes.split_at(at.min(bytes.len()));
        assert_eq!(lines(&[one, other]), whole, "cut at {at}");
    }
    let ends = bytes.iter().filter(|byte| **byte == b'\n').count();
    assert!(whole.len() <= ends, "a line that nobody has ended");
    whole.iter().for_each(|line| look(line));
}

fn lines(pieces: &[&[u8]]) -> Vec<String> {
    let (mut lines, mut found) = (Lines::default(), Vec::new());
    for piece in pieces {
        lines.take(piece, |line| found.push(line.to_owned()));
    }
    found
}

fn look(line: &str) {
    // Bytes that are no UTF-8 may grow to three each.
    assert!(line.len() <= 3 * LINE_MAX);
    for filter in &*FILTERS {
        for program in [None, Some("sshd"), Some("asterisk")] {
            let Verdict::Means(found) = filter.look(Line { program, text: line }) else { continue };
            assert!(found.times > 0, "{}: nothing happened", filter.name);
            for text in [found.account, found.method, found.path, found.transport] {
                let text = text.unwrap_or_default();
                assert!(line.contains(text), "{}: {text:?} isn't in it", filter.name);
            }
            // However it is written: an address has two of its digits side by side, or a colon.
            assert!(line.contains(['.', ':']), "{}: {} in {line:?}", filter.name, found.address);
        }
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    [
        "Nov 23 10:00:00 pbx sshd[7]: Failed password for invalid user a from 198.51.100.7 port 40000 ssh2\n",
        "Nov 23 10:00:00 pbx sshd[7]: Accepted publickey for root from 2001:db8::7 port 40000 ssh2: x\n",
        "Nov 23 10:00:00 pbx sshd[7]: message repeated 3 times: [ Failed password for a from 198.51.100.7 port 1 ssh2]\n",
        "[2026-11-23 10:00:00] NOTICE[7] res_pjsip/pjsip_distributor.c: Request 'REGISTER' from '\"a\" <sip:a@192.0.2.1>' \
         failed for '198.51.100.7:5060' (callid: x) - Failed to authenticate\n",
        "[2026-11-23 10:00:00] SECURITY[7] res_security_log.c: SecurityEvent=\"InvalidPassword\",Severity=\"Error\",\
         Service=\"PJSIP\",AccountID=\"a\",RemoteAddress=\"IPV4/TLS/198.51.100.7/40000\"\n",
        "2026-11-23 10:00:00.0 [WARNING] sofia_reg.c:1: SIP auth failure (REGISTER) on sofia profile 'internal' for \
         [a@192.0.2.1] from ip 198.51.100.7\n",
        "198.51.100.7 - - [23/Nov/2026:10:00:00 +0000] \"GET /phpmyadmin/ HTTP/1.1\" 404 10 \"-\" \"x\"\n",
        "[Mon Nov 23 10:00:00.0 2026] [core:info] [pid 7] [client 198.51.100.7:40000] AH00128: File does not exist: /x\n",
        "sipprot: failed REGISTER 401 from 198.51.100.7:40000 account a over TLS\n\0\0half",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}
