//! Messages out of a stream (RFC 6587): each by its length, or each to its line end.

use std::io;

use crate::feed::lines::LINE_MAX;

#[derive(Debug, Default)]
pub struct Frames {
    waiting: Vec<u8>,
    /// Bytes of a message that is too long and still to come; None to its line end.
    skipping: Option<Skip>,
    left_out: u64,
}

#[derive(Debug)]
enum Skip {
    Bytes(usize),
    Line,
}

impl Frames {
    /// Takes bytes, and gives each message that is whole. An error where the stream makes no sense.
    pub fn take(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) -> io::Result<()> {
        self.waiting.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(step) = self.step(at)? {
            let (message, next) = step;
            if let Some((start, end)) = message {
                each(&self.waiting[start..end]);
            }
            at = next;
        }
        self.waiting.drain(..at);
        Ok(())
    }

    /// A message, or something to skip, and where the next one begins; None where more must come.
    #[expect(clippy::type_complexity, reason = "a place and a place, used by one caller")]
    fn step(&mut self, at: usize) -> io::Result<Option<(Option<(usize, usize)>, usize)>> {
        let rest = &self.waiting[at..];
        let line_end = || rest.iter().position(|byte| *byte == b'\n');
        if rest.is_empty() {
            return Ok(None);
        }
        match self.skipping.take() {
            Some(Skip::Bytes(count)) => {
                let taken = count.min(rest.len());
                self.skipping = (taken < count).then_some(Skip::Bytes(count - taken));
                return Ok(Some((None, at + taken)));
            }
            Some(Skip::Line) => {
                let next = line_end().map(|end| at + end + 1);
                self.skipping = next.is_none().then_some(Skip::Line);
                return Ok(Some((None, next.unwrap_or(self.waiting.len()))));
            }
            None => {}
        }
        if !rest[0].is_ascii_digit() {
            return Ok(match line_end() {
                Some(end) if end > LINE_MAX => {
                    self.left_out += 1;
                    Some((None, at + end + 1))
                }
                Some(end) => Some((Some((at, at + end)), at + end + 1)),
                None if rest.len() > LINE_MAX => {
                    self.left_out += 1;
                    self.skipping = Some(Skip::Line);
                    Some((None, self.waiting.len()))
                }
                None => None,
            });
        }
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let senseless =
            || io::Error::new(io::ErrorKind::InvalidData, "a message without its length");
        if digits > 7 {
            return Err(senseless());
        }
        let Some(after) = rest.get(digits) else { return Ok(None) };
        let length = std::str::from_utf8(&rest[..digits]).ok().and_then(|it| it.parse().ok());
        let (Some(length), b' ') = (length, after) else { return Err(senseless()) };
        let start = at + digits + 1;
        if length > LINE_MAX {
            self.left_out += 1;
            self.skipping = Some(Skip::Bytes(length));
            return Ok(Some((None, start)));
        }
        let end = start + length;
        Ok((end <= self.waiting.len()).then_some((Some((start, end)), end)))
    }

    pub fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stream: &[u8], expected: &[&str]) {
        for size in [1, 7, stream.len().max(1)] {
            let (mut frames, mut found) = (Frames::default(), Vec::new());
            let mut ended = Ok(());
            for chunk in stream.chunks(size) {
                let each = |it: &[u8]| found.push(String::from_utf8_lossy(it).into_owned());
                ended = ended.and(frames.take(chunk, each).map_err(|error| error.to_string()));
            }
            found.extend(ended.err());
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn both_framings() {
        check(b"5 <1>ab3 <2>", &["<1>ab", "<2>"]);
        check(b"<1>ab\n<2>\n<3>half", &["<1>ab", "<2>"]);
        check(b"6 <1>a\nb<2>c\n", &["<1>a\nb", "<2>c"]);
        check(b"", &[]);
    }

    #[test]
    fn what_makes_no_sense_ends_the_stream() {
        let complaint = "a message without its length";
        check(b"12345678", &[complaint]);
        check(b"5x", &[complaint]);
    }

    #[test]
    fn what_is_too_long_is_skipped() {
        let long = "x".repeat(LINE_MAX + 1);
        check(format!("{} {long}3 <2>", LINE_MAX + 1).as_bytes(), &["<2>"]);
        check(format!("<{long}\n<2>\n").as_bytes(), &["<2>"]);
    }
}
