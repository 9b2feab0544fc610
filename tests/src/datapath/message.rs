//! SIP messages, as senders of all kinds write them.

/// A request or response: a start line and headers in order.
#[derive(Clone)]
pub struct Message {
    start: String,
    headers: Vec<(String, String)>,
    leading: String,
    body: String,
}

impl Message {
    /// An ordinary request: Via, From, To, Call-ID and CSeq are there.
    pub fn request(method: &str) -> Self {
        let headers = [
            ("Via", "SIP/2.0/UDP 203.0.113.7:5060;branch=z9hG4bK-1;rport"),
            ("From", "<sip:100@pbx.example>;tag=1"),
            ("To", "<sip:100@pbx.example>"),
            ("Call-ID", "call-1@203.0.113.7"),
            ("CSeq", &format!("1 {method}")),
            ("Max-Forwards", "70"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        let start = format!("{method} sip:pbx.example SIP/2.0");
        Self { start, headers, leading: String::new(), body: String::new() }
    }

    /// The answer to a request, with the headers that a PBX copies.
    pub fn response(status: u16, request: &Message) -> Self {
        let copied = ["Via", "From", "To", "Call-ID", "CSeq"];
        let headers = request
            .headers
            .iter()
            .filter(|(name, _)| copied.contains(&name.as_str()))
            .cloned()
            .collect();
        let start = format!("SIP/2.0 {status} Answer");
        Self { start, headers, leading: String::new(), body: String::new() }
    }

    pub fn start_line(mut self, line: &str) -> Self {
        self.start = line.to_owned();
        self
    }

    /// Bytes before the start line.
    pub fn leading(mut self, bytes: &str) -> Self {
        self.leading = bytes.to_owned();
        self
    }

    pub fn body(mut self, body: &str) -> Self {
        self.body = body.to_owned();
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Replaces the value of a header that is there.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        for (present, old) in &mut self.headers {
            if present == name {
                *old = value.to_owned();
            }
        }
        self
    }

    /// The `number`th of a sequence of attempts: a branch, Call-ID, CSeq and digest response of its own.
    pub fn attempt(self, nonce: &str, number: u32) -> Self {
        let method = self.start.split(' ').next().unwrap_or_default().to_owned();
        let branch = format!("SIP/2.0/UDP 203.0.113.7:5060;branch=z9hG4bK-{number};rport");
        self.with("Via", &branch)
            .with("Call-ID", &format!("call-{number}@203.0.113.7"))
            .with("CSeq", &format!("{} {method}", number + 1))
            .header("Authorization", &digest(nonce, number))
    }

    pub fn agent(self, agent: &str) -> Self {
        self.header("User-Agent", agent)
    }

    /// A response's challenge.
    pub fn challenge(self, nonce: &str) -> Self {
        let value = format!("Digest realm=\"pbx.example\", nonce=\"{nonce}\", algorithm=MD5");
        self.header("WWW-Authenticate", &value)
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}{}\r\n", self.leading, self.start);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let length = self.body.len();
        text.push_str(&format!("Content-Length: {length}\r\n\r\n{}", self.body));
        text.into_bytes()
    }
}

impl From<Message> for Vec<u8> {
    fn from(message: Message) -> Self {
        message.bytes()
    }
}

/// Digest credentials that answer `nonce`; each `number` is another guess.
pub fn digest(nonce: &str, number: u32) -> String {
    format!(
        "Digest username=\"100\", realm=\"pbx.example\", nonce=\"{nonce}\", \
         uri=\"sip:pbx.example\", response=\"{number:032x}\", algorithm=MD5"
    )
}
