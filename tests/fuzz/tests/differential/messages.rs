//! What both parsers are given.

use sipprot_fuzz::seeds;

pub struct Message {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Damaged copies of each message, and generated messages.
const DAMAGED: usize = 60;
const GENERATED: usize = 2000;

pub fn all() -> Vec<Message> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut all = Vec::new();
    for (number, bytes) in seeds::messages().into_iter().enumerate() {
        let named = |name: String, bytes| Message { name: format!("seed {number}{name}"), bytes };
        all.push(named(String::new(), bytes.clone()));
        all.extend(REWRITES.map(|(name, rewrite)| named(format!(", {name}"), rewrite(&bytes))));
        for copy in 0..DAMAGED {
            all.push(named(format!(", damaged {copy}"), damage(&bytes, &mut random)));
        }
    }
    for number in 0..GENERATED {
        let bytes = generated(&mut random);
        all.push(Message { name: format!("generated {number}"), bytes });
    }
    all
}

type Rewrite = fn(&[u8]) -> Vec<u8>;

/// Other ways to write the same message, on the head's lines behind the first.
const REWRITES: [(&str, Rewrite); 6] = [
    ("names in upper case", |bytes| lines(bytes, |name, value| (name.to_ascii_uppercase(), value))),
    ("a blank before the colon", |bytes| lines(bytes, |name, value| (name + " ", value))),
    ("folded values", |bytes| lines(bytes, |name, value| (name, format!("\r\n {value}")))),
    ("compact names", |bytes| lines(bytes, |name, value| (compact(&name), value))),
    ("bare line feeds", |bytes| {
        let lf = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
        if bytes.is_ascii() { lf.into() } else { bytes.to_vec() }
    }),
    ("leading line ends", |bytes| [b"\r\n\r\n", bytes].concat()),
];

/// Rewrites each header line; a message that isn't text, or has folds, stays as it is.
fn lines(bytes: &[u8], rewrite: impl Fn(String, String) -> (String, String)) -> Vec<u8> {
    let Some((head, body)) =
        str::from_utf8(bytes).ok().and_then(|text| text.split_once("\r\n\r\n"))
    else {
        return bytes.to_vec();
    };
    let mut written = Vec::new();
    for (number, line) in head.split("\r\n").enumerate() {
        let parts = line.split_once(':').filter(|_| number > 0 && !line.starts_with([' ', '\t']));
        written.push(match parts {
            Some((name, value)) => {
                let (name, value) = rewrite(name.trim_end().to_owned(), value.to_owned());
                format!("{name}:{value}")
            }
            None => line.to_owned(),
        });
    }
    format!("{}\r\n\r\n{body}", written.join("\r\n")).into()
}

fn compact(name: &str) -> String {
    let pairs =
        [("via", "v"), ("from", "f"), ("to", "t"), ("call-id", "i"), ("content-length", "l")];
    let found = pairs.iter().find(|(long, _)| name.eq_ignore_ascii_case(long));
    found.map_or(name, |(_, short)| short).to_owned()
}

fn damage(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    const ODD: &[u8] = b"\r\n\t :;,<>\"=@%()[]\\/.*aZ0\0\xff\xc3";
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + random.below(3) {
        let at = random.below(bytes.len());
        let odd = ODD[random.below(ODD.len())];
        match random.below(4) {
            0 => bytes[at] = odd,
            1 => bytes.insert(at, odd),
            2 => drop(bytes.drain(at..(at + 1 + random.below(8)).min(bytes.len()))),
            _ => bytes.splice(at..at, [odd].repeat(1 + random.below(12))).for_each(drop),
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

/// Valid by RFC 3261, and as varied as its grammar lets the fields be that are compared.
fn generated(random: &mut Random) -> Vec<u8> {
    let method = random.one(&["REGISTER", "INVITE", "OPTIONS", "ACK", "BYE", "NOTIFY", "FOO"]);
    let host =
        random.one(&["pbx.example", "PBX.Example", "192.0.2.1", "[2001:db8::1]", "a-b.example"]);
    let cseq = random.below(1 << 31);
    let end = random.one(&["\r\n", "\r\n", "\r\n", "\n"]);
    let mut values = vec![
        (["Via", "v"], via(random)),
        (["From", "f"], format!("{};tag={}", address(random), token(random))),
        (["To", "t"], address(random)),
        (["Call-ID", "i"], format!("{}@{host}", token(random))),
        (["CSeq", "CSEQ"], format!("{cseq} {method}")),
        (["Max-Forwards", "MAX-FORWARDS"], "70".to_owned()),
    ];
    if random.below(2) == 0 {
        let agent = random.one(&["friendly-scanner", "Phone/1.0 (x; y)", "A:B", "x, y; z"]);
        values.push((["User-Agent", "user-agent"], agent.to_owned()));
    }
    for names in
        [["Authorization", "authorization"], ["Proxy-Authorization", "PROXY-authorization"]]
    {
        if random.below(3) == 0 {
            values.push((names, digest(random)));
        }
    }
    let body = "x".repeat(random.below(3) * 9);
    values.push((["Content-Length", "l"], body.len().to_string()));
    shuffle(&mut values, random);
    let start = match random.below(4) {
        0 => format!("SIP/2.0 {} Why not", 100 + random.below(600)),
        _ => format!("{method} sip:{host} SIP/2.0"),
    };
    let head: String = values.iter().map(|(names, value)| header(random, names, value)).collect();
    format!("{start}\r\n{head}\r\n{body}").replace("\r\n", end).into()
}

fn header(random: &mut Random, names: &[&str], value: &str) -> String {
    let name = random.one(names);
    let colon = random.one(&[": ", ":", " : ", "\t:\t", ":  ", ":\r\n "]);
    format!("{name}{colon}{value}{}\r\n", random.one(&["", "", " "]))
}

fn via(random: &mut Random) -> String {
    let parameters = [";rport", ";received=192.0.2.9", ";ttl=1"];
    let (before, behind) = (random.below(4), random.below(4));
    format!(
        "SIP/2.0/{} 192.0.2.10:5060{};branch=z9hG4bK{}{}",
        random.one(&["UDP", "TCP", "TLS"]),
        parameters.get(before).unwrap_or(&""),
        token(random),
        parameters.get(behind).unwrap_or(&"")
    )
}

fn address(random: &mut Random) -> String {
    let user = random.one(&["100", "alice", "+15551234", "a.b-c_d", "a;x=y", "%31%30", "u&=+$,?/"]);
    let user = format!("{user}{}", random.one(&["", "", ":secret"]));
    let host = random.one(&["pbx.example", "PBX.EXAMPLE", "192.0.2.1:5070", "[2001:db8::1]:5060"]);
    let name = random.one(&["", "Bob ", "\"Bob\" ", "\"B, \\\"<sip:x@y>\" ", "Two Words "]);
    let scheme = random.one(&["sip", "sips", "SIP"]);
    format!("{name}<{scheme}:{user}@{host}{}>", random.one(&["", ";transport=udp", ";lr?a=b"]))
}

fn digest(random: &mut Random) -> String {
    let mut parameters = vec![
        format!("username=\"{}\"", random.one(&["100", "alice", "a b"])),
        format!("realm=\"{}\"", random.one(&["pbx.example", "the realm", "a=b;c"])),
        format!("nonce=\"{}==\"", token(random)),
        "uri=\"sip:pbx.example\"".to_owned(),
        format!("response=\"{}\"", token(random)),
    ];
    if random.below(2) == 0 {
        parameters.extend(["qop=auth", "nc=00000001", "cnonce=\"c\""].map(ToOwned::to_owned));
    }
    shuffle(&mut parameters, random);
    format!("Digest {}", parameters.join(random.one(&[", ", ",", ",\r\n ", " , "])))
}

fn shuffle<T>(list: &mut [T], random: &mut Random) {
    for at in (1..list.len()).rev() {
        list.swap(at, random.below(at + 1));
    }
}

fn token(random: &mut Random) -> String {
    let letters = b"abcXYZ019-.!%*_+`'~";
    (0..4 + random.below(12)).map(|_| letters[random.below(letters.len())] as char).collect()
}

/// xorshift64*: the same messages every time.
pub struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}
