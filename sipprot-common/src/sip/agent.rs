//! Listed user agents: prefixes of the header's value, without case.

use super::text::{Flow, Step, Text, lower, repeat};
use super::value::skip;
use crate::abi::{USER_AGENT_LEN_MAX, USER_AGENTS_MAX, UserAgentPattern, UserAgents};

/// The search through the list. In the kernel it lies in a map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct AgentMatch {
    words: [u64; 4],
    next: u32,
    hit: u32,
}

impl AgentMatch {
    /// Is the user agent whose header's name ends at `place` on the list?
    #[inline(always)]
    pub fn listed(&mut self, text: &Text, place: u32, list: &UserAgents) -> bool {
        let at = skip(text, place);
        let words = [0, 8, 16, 24].map(|offset| lower(text.word(at + offset)));
        *self = Self { words, next: 0, hit: 0 };
        repeat(USER_AGENTS_MAX as u32, self, list);
        self.hit != 0
    }
}

impl Step<UserAgents> for AgentMatch {
    #[inline(always)]
    fn step(&mut self, list: &UserAgents) -> Flow {
        if self.next >= list.count {
            return Flow::Stop;
        }
        let pattern = &list.patterns[self.next as usize & (USER_AGENTS_MAX - 1)];
        self.next += 1;
        let mut differs = 0;
        for word in 0..4 {
            differs |= (self.words[word] & pattern.mask[word]) ^ pattern.value[word];
        }
        if differs == 0 {
            self.hit = 1;
            return Flow::Stop;
        }
        Flow::More
    }
}

impl UserAgentPattern {
    /// A prefix of 1 to [`USER_AGENT_LEN_MAX`] bytes; `None` for others.
    pub fn prefix(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.is_empty() || bytes.len() > USER_AGENT_LEN_MAX {
            return None;
        }
        let mut pattern = Self::default();
        for (index, byte) in bytes.iter().enumerate() {
            let shift = index % 8 * 8;
            pattern.value[index / 8] |= (byte.to_ascii_lowercase() as u64) << shift;
            pattern.mask[index / 8] |= 0xff << shift;
        }
        Some(pattern)
    }
}

impl UserAgents {
    pub const EMPTY: Self = Self {
        count: 0,
        pad: 0,
        patterns: [UserAgentPattern { value: [0; 4], mask: [0; 4] }; USER_AGENTS_MAX],
    };
}

#[cfg(test)]
mod tests {
    use super::super::{Header, Scan};
    use super::*;

    fn check(header: &str, expected: bool) {
        let mut list = Box::new(UserAgents::EMPTY);
        for prefix in ["friendly-scanner", "SIPVicious", "a-pattern-of-thirty-two-bytes-xy"] {
            list.patterns[list.count as usize] = UserAgentPattern::prefix(prefix).unwrap();
            list.count += 1;
        }
        let mut text = Box::new(Text::EMPTY);
        let length = text.fill(format!("OPTIONS sip:x SIP/2.0\r\n{header}\r\n\r\n").as_bytes());
        let mut scan = Scan::default();
        scan.run(&text, length, false);
        let place = scan.place(Header::UserAgent).unwrap();
        assert_eq!(AgentMatch::default().listed(&text, place, &list), expected, "{header}");
    }

    #[test]
    fn prefixes_without_case() {
        check("User-Agent: friendly-scanner", true);
        check("user-agent : Friendly-Scanner 1.0", true);
        check("User-Agent:\r\n sipvicious", true);
        check("User-Agent: a-pattern-of-thirty-two-bytes-xyz", true);
        check("User-Agent: a-pattern-of-thirty-two-bytes-zz", false);
        check("User-Agent: friendly", false);
        check("User-Agent: Yealink SIP-T46S 66.85.0.5", false);
        check("User-Agent: x friendly-scanner", false);
        check("User-Agent:", false);
    }

    #[test]
    fn patterns_have_limits() {
        assert!(UserAgentPattern::prefix("").is_none());
        assert!(UserAgentPattern::prefix(&"x".repeat(33)).is_none());
    }
}
