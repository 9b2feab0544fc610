//! Finds header lines: one pass over the words, and a table look-up per line of interest.

use super::start::leading;
use super::text::{
    CAPACITY, Flow, Text, Zeroed, below, differs, equals, lower, lowest, reread, smaller, splat,
};

/// The headers of interest. The numbers index [`Scan::places`].
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Header {
    Via = 1,
    From = 2,
    To = 3,
    CallId = 4,
    CSeq = 5,
    UserAgent = 6,
    Authorization = 7,
    ProxyAuthorization = 8,
    WwwAuthenticate = 9,
    ProxyAuthenticate = 10,
    ContentLength = 11,
}

const HEADERS: usize = 16;
/// User-Agent headers that are looked at: a message may repeat it, a TCP segment hold several messages.
pub const AGENTS_MAX: usize = 8;
/// Stretches that are read in one step of the loop.
const STRETCHES: u32 = 8;
/// Line ends, and stretches between them, that are read: as many as there are with two bytes each.
pub const STEPS_MAX: u32 = CAPACITY as u32 / 2 / STRETCHES + 1;
/// Line feeds and carriage returns are below it, and in a header hardly anything else.
const ABOVE_LINE_ENDS: u8 = b'\r' + 1;

/// Where the headers of a message are. In the kernel it lies in a map.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan {
    /// Where the text begins and ends, and how far it has been read.
    start: u32,
    end: u32,
    at: u32,
    /// A bit per letter: which headers are looked for.
    letters: u32,
    /// 1: goes on behind the empty line, for a TCP segment that may hold several messages.
    several: u32,
    /// Headers with credentials that were seen.
    pub credentials: u32,
    /// Offset of the last byte that ends the start line, 0 when there is none.
    pub first_line_end: u32,
    /// User-Agent headers that were seen.
    agents_seen: u32,
    /// 1: there was an empty line.
    ended: u32,
    /// Of the word that is read: the bytes whose line ends have not been looked at.
    rest: u64,
    /// Behind the name of the first header of each kind, 0 when absent.
    places: [u32; HEADERS],
    /// Behind the names of the first User-Agent headers, 0 when there are no more.
    agents: [u32; AGENTS_MAX],
}

/// Bits of the letters that the names of headers begin with, in either case.
#[derive(Clone, Copy)]
pub struct Letters(pub u32);

impl Letters {
    /// All headers of interest.
    pub const ALL: Self = Self::of(b"acfiltpuvw");
    /// Those by which a packet is judged.
    pub const JUDGED: Self = Self::of(b"apuw");
    /// Those by which an answer finds its request.
    pub const TRANSACTION: Self = Self::of(b"civ");

    const fn of(letters: &[u8]) -> Self {
        let (mut bits, mut index) = (0, 0);
        while index < letters.len() {
            bits |= 1 << (letters[index] & 31);
            index += 1;
        }
        Self(bits)
    }
}

// SAFETY: numbers only, aligned to words.
unsafe impl Zeroed for Scan {}

/// A header's name as the words that a line begins with, cut at its first blank or colon.
#[repr(C)]
#[derive(Clone, Copy)]
struct Name {
    words: [u64; 3],
    length: u32,
    header: u32,
}

const NAMES: [(&str, Header); 16] = [
    ("via", Header::Via),
    ("v", Header::Via),
    ("from", Header::From),
    ("f", Header::From),
    ("to", Header::To),
    ("t", Header::To),
    ("call-id", Header::CallId),
    ("i", Header::CallId),
    ("cseq", Header::CSeq),
    ("user-agent", Header::UserAgent),
    ("authorization", Header::Authorization),
    ("proxy-authorization", Header::ProxyAuthorization),
    ("www-authenticate", Header::WwwAuthenticate),
    ("proxy-authenticate", Header::ProxyAuthenticate),
    ("content-length", Header::ContentLength),
    ("l", Header::ContentLength),
];

const SLOTS: usize = 64;
const SLOT_SHIFT: u32 = 64 - 6;
const NO_NAME: Name = Name { words: [0; 3], length: 0, header: 0 };

const fn slot(multiplier: u64, words: &[u64; 3]) -> usize {
    (((words[0] ^ words[1].rotate_left(32)).wrapping_mul(multiplier)) >> SLOT_SHIFT) as usize
}

const fn name(text: &str, header: Header) -> Name {
    let bytes = text.as_bytes();
    let mut words = [0u64; 3];
    let mut index = 0;
    while index < bytes.len() {
        words[index / 8] |= (bytes[index] as u64) << (index % 8 * 8);
        index += 1;
    }
    Name { words, length: bytes.len() as u32, header: header as u32 }
}

const fn fill(multiplier: u64) -> Option<[Name; SLOTS]> {
    let mut table = [NO_NAME; SLOTS];
    let mut index = 0;
    while index < NAMES.len() {
        let name = name(NAMES[index].0, NAMES[index].1);
        let slot = slot(multiplier, &name.words);
        if table[slot].header != 0 {
            return None;
        }
        table[slot] = name;
        index += 1;
    }
    Some(table)
}

/// A multiplier that gives every name a slot of its own, found when compiling: one comparison per
/// line, where a chain of them would give the verifier a path per name.
const MULTIPLIER: u64 = {
    let mut multiplier = 0x9e37_79b9_7f4a_7c15u64;
    while fill(multiplier).is_none() {
        multiplier = multiplier.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1) | 1;
    }
    multiplier
};

static TABLE: [Name; SLOTS] = match fill(MULTIPLIER) {
    Some(table) => table,
    None => [NO_NAME; SLOTS],
};

impl Scan {
    /// Reads the first `length` bytes of `text`.
    pub fn run(&mut self, text: &Text, length: u32, several: bool) {
        self.begin(leading(text), length, several);
        self.look_for(text, Letters::ALL);
        for _ in 0..STEPS_MAX {
            if self.read_on(text) == Flow::Stop {
                break;
            }
        }
        self.end();
    }

    /// Nothing was read yet of a text whose start line begins at `at`, up to `length`.
    #[inline(always)]
    pub fn begin(&mut self, at: u32, length: u32, several: bool) {
        self.clear();
        self.start = at;
        self.end = length;
        self.several = several as u32;
    }

    /// More line ends than are read: what lies behind them is taken for the worst.
    #[inline(always)]
    pub fn end(&mut self) {
        self.credentials += (self.at < self.end) as u32;
    }

    /// From the text's beginning on, for the headers that begin with `letters`; again for others.
    #[inline(always)]
    pub fn look_for(&mut self, text: &Text, letters: Letters) {
        self.letters = letters.0;
        self.at = self.start;
        self.rest = u64::MAX;
        // A TCP segment may go on with a message: its first line may be a header.
        if self.several != 0 && self.start < self.end {
            self.line(text, self.start);
        }
    }

    /// Reads some lines; [`STEPS_MAX`] times at most.
    #[inline(always)]
    pub fn read_on(&mut self, text: &Text) -> Flow {
        let mut stretch = 0;
        while stretch < STRETCHES {
            if self.stretch(text) == Flow::Stop {
                return Flow::Stop;
            }
            stretch += 1;
        }
        Flow::More
    }

    /// What was not read is taken for the worst: when a message is `cut` before its headers end, by
    /// the capacity of the text or by IP fragmentation, it counts as one with credentials. True if so.
    #[inline(always)]
    pub fn supposes_credentials(&mut self, cut: bool) -> bool {
        let unseen = cut && (self.several != 0 || self.ended == 0);
        self.credentials += unseen as u32;
        unseen
    }

    /// The offset just behind the name of the first such header.
    #[inline(always)]
    pub fn place(&self, header: Header) -> Option<u32> {
        match self.places[header as usize] {
            0 => None,
            place => Some(place),
        }
    }
}

impl Scan {
    /// The offset just behind the name of the User-Agent header at `index` of them all.
    #[inline(always)]
    pub fn agent(&self, index: u32) -> Option<u32> {
        match self.agents[index as usize & (AGENTS_MAX - 1)] {
            0 => None,
            place => Some(place),
        }
    }
}

impl Scan {
    /// Reads up to four words without a line end, or one line end of a word.
    ///
    /// Where it reads next hangs on branches alone, which the processor foresees, not on what it has read.
    #[inline(always)]
    fn stretch(&mut self, text: &Text) -> Flow {
        let at = reread(&self.at);
        if at >= reread(&self.end) {
            return Flow::Stop;
        }
        let words = text.four_words(at);
        let small = |word| smaller(word, splat(ABOVE_LINE_ENDS)) != 0;
        let skipped = if small(words[0]) {
            0
        } else if small(words[1]) {
            8
        } else if small(words[2]) {
            16
        } else if small(words[3]) {
            24
        } else {
            self.at = at + 32;
            return Flow::More;
        };
        self.at = at + skipped;
        let at = reread(&self.at);
        let ends = line_ends(text.word(at), text.word(at + 1)) & self.rest;
        let others = ends & ends.wrapping_sub(1);
        if others == 0 {
            self.at = at + 8;
            self.rest = u64::MAX;
        } else {
            self.rest = others;
        }
        if ends == 0 {
            return Flow::More;
        }
        let end = at + lowest(ends);
        if self.first_line_end == 0 && end < self.end {
            self.first_line_end = end;
        }
        // Behind the text's capacity it would begin anew.
        if end + 1 >= self.end {
            self.at = self.end;
            return Flow::Stop;
        }
        self.line(text, end + 1)
    }

    /// Looks at the line that begins at `start`.
    #[inline(always)]
    fn line(&mut self, text: &Text, start: u32) -> Flow {
        let first = text.word(start);
        let head = first as u8;
        if head == b'\n' || head == b'\r' {
            self.ended = 1;
            if self.several != 0 {
                return Flow::More;
            }
            self.at = self.end;
            return Flow::Stop;
        }
        if self.letters >> (head & 31) & 1 == 0 {
            return Flow::More;
        }
        let found = lookup(text, start, lower(first));
        let header = (found.header & 15) as usize;
        if header == 0 {
            return Flow::More;
        }
        if header == Header::Authorization as usize || header == Header::ProxyAuthorization as usize
        {
            self.credentials += 1;
        }
        if header == Header::UserAgent as usize {
            let seen = self.agents_seen;
            self.agents_seen = seen + 1;
            if seen < AGENTS_MAX as u32 {
                self.agents[seen as usize & (AGENTS_MAX - 1)] = start + found.length;
            }
        }
        if self.places[header] == 0 {
            self.places[header] = start + found.length;
        }
        Flow::More
    }
}

/// The top bit of each byte of `word` that ends a line; `next` begins a byte behind it. A bare carriage
/// return ends one as well: PJSIP takes it for one.
#[inline(always)]
const fn line_ends(word: u64, next: u64) -> u64 {
    let others = differs(word, splat(b'\n'));
    let returns = !differs(word, splat(b'\r')) & differs(next, splat(b'\n'));
    (!others | returns) & splat(0x80)
}

/// Cuts a word at its first blank or colon; the second result is 0 when there was none.
#[inline(always)]
fn cut(word: u64) -> (u64, u64) {
    let ends = equals(word, splat(b':')) | equals(word, splat(b' ')) | equals(word, splat(b'\t'));
    (below(word, ends), ends)
}

#[inline(always)]
fn lookup(text: &Text, start: u32, first: u64) -> &'static Name {
    let (one, ended) = cut(first);
    let mut words = [one, 0, 0];
    if ended == 0 {
        let (two, ended) = cut(lower(text.word(start + 8)));
        words[1] = two;
        if ended == 0 {
            words[2] = cut(lower(text.word(start + 16))).0;
        }
    }
    let found = &TABLE[slot(MULTIPLIER, &words) & (SLOTS - 1)];
    let differs =
        (found.words[0] ^ words[0]) | (found.words[1] ^ words[1]) | (found.words[2] ^ words[2]);
    if differs == 0 { found } else { &NO_NAME_FOUND }
}

static NO_NAME_FOUND: Name = NO_NAME;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, several: bool, expected: &[(Header, &str)], credentials: u32) {
        let mut text = Box::new(Text::EMPTY);
        let length = text.fill(message.as_bytes());
        let mut scan = Scan::default();
        scan.run(&text, length, several);
        for header in NAMES.map(|(_, header)| header) {
            let found = scan.place(header).map(|place| &message[place as usize..][..6]);
            let wanted = expected.iter().find(|(h, _)| *h == header).map(|(_, value)| *value);
            assert_eq!(found, wanted, "{header:?} in {message:?}");
        }
        assert_eq!(scan.credentials, credentials, "{message:?}");
    }

    #[test]
    fn ordinary_compact_and_odd_names() {
        use Header::*;
        check(
            "REGISTER sip:x SIP/2.0\r\nVia: SIP/2\r\nFROM : <sip>\r\nt:<sip:1>\r\ni: abcdef\r\n\
             cSeQ\t: 7 REG\r\nuser-AGENT: x y z\r\nAuthorization: Digest\r\n\r\nv: body  \r\n",
            false,
            &[
                (Via, ": SIP/"),
                (From, " : <si"),
                (To, ":<sip:"),
                (CallId, ": abcd"),
                (CSeq, "\t: 7 R"),
                (UserAgent, ": x y "),
                (Authorization, ": Dige"),
            ],
            1,
        );
    }

    #[test]
    fn bare_line_feeds_and_leading_line_ends() {
        check(
            "\r\n\r\nOPTIONS sip:x SIP/2.0\nv: 123456\nl: 0     \n\n",
            false,
            &[(Header::Via, ": 1234"), (Header::ContentLength, ": 0   ")],
            0,
        );
    }

    #[test]
    fn bare_carriage_returns_end_lines() {
        check(
            "OPTIONS sip:x SIP/2.0\rv: 123456\rl: 0     \r\rt: abcdef",
            false,
            &[(Header::Via, ": 1234"), (Header::ContentLength, ": 0   ")],
            0,
        );
    }

    #[test]
    fn what_is_cut_before_its_headers_end_may_have_credentials() {
        let supposed = |message: &str, several| {
            let mut text = Box::new(Text::EMPTY);
            let length = text.fill(message.as_bytes());
            let mut scan = Scan::default();
            scan.run(&text, length, several);
            let unseen = scan.supposes_credentials(true);
            assert_eq!(scan.credentials, unseen as u32);
            assert!(!Scan::default().supposes_credentials(false));
            unseen
        };
        assert!(supposed("REGISTER sip:x SIP/2.0\r\nVia: x\r\n", false));
        assert!(!supposed("REGISTER sip:x SIP/2.0\r\nVia: x\r\n\r\nbody", false));
        assert!(supposed("REGISTER sip:x SIP/2.0\r\nVia: x\r\n\r\nbody", true));
        // A line that ends with the window, and the line ends that the message began with.
        let begins = "\r\nREGISTER sip:x SIP/2.0\r\nX:";
        let line = "x".repeat(CAPACITY - 1 - begins.len());
        assert!(supposed(&format!("{begins}{line}\nAuthorization: x\n\n"), false));
    }

    #[test]
    fn several_messages_in_a_segment() {
        let one = "REGISTER sip:x SIP/2.0\r\nProxy-Authorization: Digest\r\n\r\n";
        let all = [one, one, one].concat();
        check(&all, true, &[(Header::ProxyAuthorization, ": Dige")], 3);
        check(&all, false, &[(Header::ProxyAuthorization, ": Dige")], 1);
    }

    #[test]
    fn a_segment_may_begin_with_a_header() {
        let segment = "Authorization: Digest\r\nVia: 123456\r\n\r\n";
        check(segment, true, &[(Header::Authorization, ": Dige"), (Header::Via, ": 1234")], 1);
        check(segment, false, &[(Header::Via, ": 1234")], 0);
    }

    #[test]
    fn any_number_of_line_ends_may_precede() {
        let message = format!("{}FOO sip:x SIP/2.0\r\nv: 123456\r\n\r\n", "\r\n".repeat(30));
        check(&message, false, &[(Header::Via, ": 1234")], 0);
    }

    #[test]
    fn more_line_ends_than_are_read_count_as_credentials() {
        let folds = |count: usize| format!("REGISTER sip:x SIP/2.0\nX:{}\n", "\n ".repeat(count));
        let message = |count| folds(count) + "Authorization: Digest\n\n";
        check(&message(400), false, &[(Header::Authorization, ": Dige")], 1);
        check(&message(980), false, &[(Header::Authorization, ": Dige")], 1);
        check(&(folds(980) + "\n"), false, &[], 0);
        let feeds = |count: usize| format!("a{}v: 123456\n\n", "\n".repeat(count));
        check(&feeds(900), true, &[(Header::Via, ": 1234")], 0);
        check(&feeds(1900), true, &[], 1);
        check("A: b\n\n", false, &[], 0);
    }

    #[test]
    fn look_alikes_are_not_headers() {
        check(
            "X\r\nUser-Agents: 1\r\nVias: 12345\r\nX-Authorization: Digest\r\n\r\n",
            false,
            &[],
            0,
        );
    }

    #[test]
    fn a_header_at_any_offset() {
        for offset in 4..CAPACITY - 40 {
            let message = format!("{}\r\nUser-Agent: abcdef\r\n\r\n", "x".repeat(offset));
            check(&message, false, &[(Header::UserAgent, ": abcd")], 0);
        }
    }
}
