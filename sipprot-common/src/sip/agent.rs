//! Listed user agents: exact values, prefixes and substrings, without case.
//!
//! A value is first written down plainly: lower case, blanks and folds (RFC 3261 7.3.1) as one blank,
//! none at either end. Of each value the first [`WINDOW`] bytes from its first non-blank one are read.

use super::header::{AGENTS_MAX, Scan};
use super::skip::Skip;
use super::text::{
    Flow, Step, Text, Zeroed, below, bound, differs, equals, load_u64, lower, lowest, repeat,
    reread, smaller, splat, store_u64,
};
use crate::abi::{
    AGENT_EXACT, AGENT_PREFIX, AGENT_SUBSTRING, USER_AGENT_LEN_MAX, USER_AGENTS_MAX,
    UserAgentPattern, UserAgents,
};

/// Bytes of a value that are read; a power of two. An exact pattern matches no longer value, and a
/// substring that ends behind them is not found.
pub const WINDOW: usize = 64;
/// Pieces of a value that are written down in one step of the loop.
const PIECES: u32 = 8;
/// Patterns whose first two words are compared in one step.
const PATTERNS: u32 = 8;
/// Substrings are searched by their first three bytes at once.
const SUBSTRING_LEN_MIN: usize = 3;
/// By so many of its first bytes a value is told from most patterns at once.
const HEAD: u32 = 3;
/// A pattern takes one step; a substring one per word of the window and per place that may match.
const STEPS_MAX: u32 = (USER_AGENTS_MAX * (WINDOW + WINDOW / 8 + 2)) as u32;

/// A message, or a segment of several, and the list that its user agents are compared with.
#[derive(Clone, Copy)]
pub struct Agents<'a> {
    pub text: &'a Text,
    /// Bytes of the text.
    pub length: u32,
    pub scan: &'a Scan,
    pub list: &'a UserAgents,
}

/// The search through the list. In the kernel it lies in a map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct AgentMatch {
    /// The User-Agent header that is looked at next.
    header: u32,
    hit: u32,
    skip: Skip,
    value: Value,
}

/// One value, and how far it has been compared.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
struct Value {
    /// The value as it is compared. Behind it are zeroes, for comparisons that begin at its end.
    plain: [u8; WINDOW + USER_AGENT_LEN_MAX],
    /// Of the plain value.
    length: u32,
    at: u32,
    end: u32,
    /// 1: blanks lie between the last byte and the next.
    blank: u32,
    /// The pattern that is compared next, and from where in the value.
    next: u32,
    /// No pattern from this one on can fit.
    last: u32,
    place: u32,
    hit: u32,
}

impl AgentMatch {
    /// Is one of the user agents on the list?
    pub fn listed(&mut self, agents: &Agents) -> bool {
        self.begin();
        while self.next(agents) == Flow::More {}
        self.hit != 0
    }

    #[inline(always)]
    pub fn begin(&mut self) {
        self.header = 0;
        self.hit = 0;
    }

    /// Did the last value that was looked at fit?
    #[inline(always)]
    pub fn hit(&self) -> bool {
        self.hit != 0
    }

    /// Looks at one header; there are [`AGENTS_MAX`] at most.
    #[inline(always)]
    pub fn next(&mut self, agents: &Agents) -> Flow {
        if self.header >= AGENTS_MAX as u32 {
            return Flow::Stop;
        }
        let Some(place) = agents.scan.agent(self.header) else { return Flow::Stop };
        self.header += 1;
        let at = self.skip.to_value(agents.text, place);
        // A line end that no blank follows ended the header before any value.
        let empty = matches!(agents.text.byte(at.wrapping_sub(1)), b'\r' | b'\n');
        if empty || at >= agents.length {
            return Flow::More;
        }
        let end = at + WINDOW as u32;
        let end = if end < agents.length { end } else { agents.length };
        self.value.clear();
        self.value.at = at;
        self.value.end = end;
        repeat(WINDOW as u32 / PIECES, &mut self.value, agents.text);
        let may_begin = agents.list.may_begin(self.value.word(0));
        self.value.last = if may_begin { agents.list.count } else { agents.list.substrings };
        if self.value.last != 0 {
            repeat(STEPS_MAX, &mut self.value, agents.list);
        }
        self.hit = self.value.hit;
        let others = agents.scan.agent(self.header).is_some();
        if self.hit == 0 && others { Flow::More } else { Flow::Stop }
    }
}

// SAFETY: numbers only, aligned to words.
unsafe impl Zeroed for Value {}

impl Value {
    const NEW: Self = Self {
        plain: [0; WINDOW + USER_AGENT_LEN_MAX],
        length: 0,
        at: 0,
        end: 0,
        blank: 0,
        next: 0,
        last: 0,
        place: 0,
        hit: 0,
    };

    #[inline(always)]
    fn push(&mut self, byte: u8) {
        self.plain[self.length as usize & (WINDOW - 1)] = byte;
        self.length += 1;
    }

    #[inline(always)]
    fn word(&self, place: u32) -> u64 {
        // SAFETY: the first place is below WINDOW, and no comparison goes on for more than
        // USER_AGENT_LEN_MAX bytes behind it.
        unsafe { load_u64(self.plain.as_ptr().add(bound::<{ WINDOW as u32 - 1 }>(place))) }
    }

    /// Does the value hold the pattern's bytes at `place`?
    #[inline(always)]
    fn holds(&self, pattern: &UserAgentPattern, place: u32) -> bool {
        // SAFETY: as in `word`; the last word begins 24 bytes behind.
        let word = |index| unsafe {
            let place = self.plain.as_ptr().add(bound::<{ WINDOW as u32 - 1 }>(place));
            load_u64(place.add(index * 8))
        };
        let differs = |index: usize| (word(index) & pattern.mask[index]) ^ pattern.value[index];
        differs(0) | differs(1) | differs(2) | differs(3) == 0
    }

    /// Looks for a substring in the next eight places.
    #[inline(always)]
    fn search(&mut self, pattern: &UserAgentPattern) -> Flow {
        let place = self.place;
        if place >= self.length {
            self.place = 0;
            self.next += 1;
            return Flow::More;
        }
        let begins = pattern.value[0];
        let differs =
            |index: u32| differs(self.word(place + index), splat((begins >> (index * 8)) as u8));
        // From the last two places of the window on these are wrong bytes: no pattern fits there.
        let matches = !(differs(0) | differs(1) | differs(2)) & splat(0x80);
        if matches == 0 {
            self.place = place + 8;
            return Flow::More;
        }
        let found = place + lowest(matches);
        self.place = found + 1;
        if found < self.length && self.holds(pattern, found) {
            self.hit = 1;
            return Flow::Stop;
        }
        Flow::More
    }
}

/// Writes the value down plainly.
impl Step<Text> for Value {
    #[inline(always)]
    fn step(&mut self, text: &Text) -> Flow {
        let mut piece = 0;
        while piece < PIECES {
            if self.piece(text) == Flow::Stop {
                return Flow::Stop;
            }
            piece += 1;
        }
        Flow::More
    }
}

/// The top bit of each byte that isn't simply written down: what is below a blank, and a blank before
/// such or another blank. `next` begins a byte behind `word`. Bits above the lowest may be wrong.
#[inline(always)]
fn odd(word: u64, next: u64) -> u64 {
    smaller(word, splat(b' ')) | equals(word, splat(b' ')) & smaller(next, splat(b' ' + 1))
}

impl Value {
    /// Eight bytes as they are, or one that needs a look.
    #[inline(always)]
    fn piece(&mut self, text: &Text) -> Flow {
        let at = reread(&self.at);
        if at >= reread(&self.end) {
            return Flow::Stop;
        }
        if self.blank == 0 && at + 8 <= reread(&self.end) {
            let word = text.word(at);
            let odd = odd(word, text.word(at + 1));
            let count = if odd == 0 { 8 } else { lowest(odd) };
            if count != 0 {
                let length = reread(&self.length);
                // SAFETY: the place is below WINDOW, and there is room for a word behind that.
                unsafe {
                    let place = self.plain.as_mut_ptr();
                    store_u64(
                        place.add(bound::<{ WINDOW as u32 - 1 }>(length)),
                        below(lower(word), odd),
                    );
                }
                self.length = length + count;
                self.at = at + count;
                return Flow::More;
            }
        }
        self.byte(text, at)
    }

    #[inline(always)]
    fn byte(&mut self, text: &Text, at: u32) -> Flow {
        self.at = at + 1;
        let byte = text.byte(at);
        let ends_line = byte == b'\n' || byte == b'\r' && text.byte(at + 1) != b'\n';
        if ends_line && !matches!(text.byte(at + 1), b' ' | b'\t') {
            return Flow::Stop;
        }
        if matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0) {
            self.blank = 1;
            return Flow::More;
        }
        if self.blank != 0 {
            self.blank = 0;
            self.push(b' ');
        }
        self.push(lower(byte as u64) as u8);
        Flow::More
    }
}

impl Step<UserAgents> for Value {
    #[inline(always)]
    fn step(&mut self, list: &UserAgents) -> Flow {
        let first = reread(&self.next);
        let (one, two) = (self.word(0), self.word(8));
        let mut index = 0;
        while index < PATTERNS {
            let next = first + index;
            if next >= reread(&self.last) {
                return Flow::Stop;
            }
            // SAFETY: masked to the length.
            let pattern = unsafe {
                list.patterns.get_unchecked(bound::<{ USER_AGENTS_MAX as u32 - 1 }>(next))
            };
            let fits = one & pattern.mask[0] == pattern.value[0]
                && two & pattern.mask[1] == pattern.value[1];
            if fits || pattern.kind == AGENT_SUBSTRING {
                self.next = next;
                return self.compare(pattern);
            }
            index += 1;
        }
        self.next = first + PATTERNS;
        Flow::More
    }
}

impl Value {
    #[inline(always)]
    fn compare(&mut self, pattern: &UserAgentPattern) -> Flow {
        if pattern.kind == AGENT_SUBSTRING {
            return self.search(pattern);
        }
        self.next += 1;
        let fits = pattern.kind == AGENT_PREFIX || self.length == pattern.length;
        if fits && self.holds(pattern, 0) {
            self.hit = 1;
            return Flow::Stop;
        }
        Flow::More
    }
}

impl Default for Value {
    fn default() -> Self {
        Self::NEW
    }
}

impl UserAgentPattern {
    /// The pattern that the configuration writes: `=text` is the whole value, `*text*` is anywhere in
    /// it, and other text is its beginning. `None` when the text's length doesn't fit.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(exact) = text.strip_prefix('=') {
            return Self::new(AGENT_EXACT, exact);
        }
        match text.strip_prefix('*').and_then(|text| text.strip_suffix('*')) {
            Some(substring) => Self::new(AGENT_SUBSTRING, substring),
            None => Self::new(AGENT_PREFIX, text),
        }
    }

    /// A pattern of 1 to [`USER_AGENT_LEN_MAX`] bytes, a substring of at least 3; `None` for others.
    pub fn new(kind: u32, text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let least = if kind == AGENT_SUBSTRING { SUBSTRING_LEN_MIN } else { 1 };
        if bytes.len() < least || bytes.len() > USER_AGENT_LEN_MAX {
            return None;
        }
        let mut pattern = Self { kind, length: bytes.len() as u32, ..Self::default() };
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
        substrings: 0,
        heads: [0; 4],
        patterns: [UserAgentPattern { value: [0; 4], mask: [0; 4], kind: 0, length: 0 };
            USER_AGENTS_MAX],
    };

    /// Adds a pattern, if there is room.
    pub fn add(&mut self, pattern: UserAgentPattern) {
        let (count, substrings) = (self.count as usize, self.substrings as usize);
        if count >= USER_AGENTS_MAX {
            return;
        }
        self.count += 1;
        if pattern.kind == AGENT_SUBSTRING {
            self.patterns[count] = self.patterns[substrings];
            self.patterns[substrings] = pattern;
            self.substrings += 1;
            return;
        }
        self.patterns[count] = pattern;
        let (word, bit) = head(pattern.value[0]);
        match pattern.length < HEAD {
            true => self.heads = [u64::MAX; 4],
            false => self.heads[word] |= 1 << bit,
        }
    }

    /// Is there a pattern, no substring, with which a value may begin whose first word this is?
    #[inline(always)]
    fn may_begin(&self, first: u64) -> bool {
        let (word, bit) = head(first);
        self.heads[word] >> bit & 1 != 0
    }
}

/// Of the first bytes: a word of the bits, and a bit in it.
#[inline(always)]
const fn head(first: u64) -> (usize, u32) {
    let hash = (first as u32 & ((1 << (HEAD * 8)) - 1)).wrapping_mul(0x9e37_79b1);
    ((hash >> 30) as usize, hash >> 24 & 63)
}

#[cfg(test)]
#[path = "agent_tests.rs"]
mod tests;
