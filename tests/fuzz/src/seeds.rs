//! What fuzzing begins with: the messages of the RFCs, and ordinary ones that they lack.

use std::fs;
use std::path::Path;

const REGISTER: &str = "REGISTER sip:pbx.example SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-1;rport\r\nMax-Forwards: 70\r\n\
    From: \"100\" <sip:100@pbx.example>;tag=f1\r\nTo: <sip:100@pbx.example>\r\n\
    Call-ID: c1@192.0.2.10\r\nCSeq: 2 REGISTER\r\nUser-Agent: friendly-scanner\r\n\
    Authorization: Digest username=\"100\", realm=\"pbx\", nonce=\"n1\", uri=\"sip:pbx.example\", \
    response=\"0123456789abcdef0123456789abcdef\"\r\n\
    Proxy-Authorization : Digest username=\"100\",\r\n realm=pbx, nonce = n2\r\n\
    Content-Length: 0\r\n\r\n";

const CHALLENGE: &str = "SIP/2.0 401 Unauthorized\n\
    v: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-1;received=192.0.2.10\n\
    f: <sip:100@pbx.example>;tag=f1\nt: <sip:100@pbx.example>;tag=t1\ni: c1@192.0.2.10\n\
    CSeq: 1 REGISTER\nWWW-Authenticate: Digest realm=\"pbx\", nonce=\"n1\", stale=true\n\
    Proxy-Authenticate: Digest realm=\"pbx\", nonce=\"n2\"\nl: 4\n\nbody";

/// Messages and segments as they come in.
pub fn messages() -> Vec<Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    let rfcs = ["rfc4475", "rfc5118"].map(|rfc| files(&corpus.join(rfc)));
    ordinary().into_iter().chain(rfcs.into_iter().flatten()).collect()
}

/// What the RFCs' messages lack.
pub fn ordinary() -> Vec<Vec<u8>> {
    vec![
        REGISTER.into(),
        REGISTER.replace("\r\n", "\r").into(),
        CHALLENGE.into(),
        [REGISTER, CHALLENGE, REGISTER].concat().into(),
        REGISTER[40..].into(),
        b"\r\n\r\n".into(),
        b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl".into(),
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".into(),
    ]
}

/// The files of a directory, in the order of their names.
fn files(directory: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(directory).expect("the corpus");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).expect("a message")).collect()
}
