//! Bytes to lines. What is not whole is no line: where a line was cut off, a stranger's text could stand
//! at its end and be taken for the program's own.

/// A longer line is left out.
pub const LINE_MAX: usize = 32 << 10;

#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
    /// Of the line that is being read, too much came already.
    overlong: bool,
    /// Lines left out for their length since it was last asked.
    left_out: u64,
}

impl Lines {
    /// Takes bytes, and gives each line that is whole, without its end.
    pub fn take(&mut self, mut bytes: &[u8], mut each: impl FnMut(&str)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if self.overlong || self.partial.len() + line.len() > LINE_MAX {
                self.left_out += 1;
            } else if self.partial.is_empty() {
                each(&text(line));
            } else {
                self.partial.extend_from_slice(line);
                each(&text(&self.partial));
            }
            self.forget();
        }
        self.overlong |= self.partial.len() + bytes.len() > LINE_MAX;
        if self.overlong {
            self.partial = Vec::new();
        } else {
            self.partial.extend_from_slice(bytes);
        }
    }

    /// The rest of the line will not come.
    pub fn forget(&mut self) {
        self.partial.clear();
        self.overlong = false;
    }

    /// Bytes of the line that is not whole yet; none where it is not known how many.
    pub fn pending(&self) -> Option<usize> {
        (!self.overlong).then_some(self.partial.len())
    }

    pub fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }
}

/// What is no UTF-8 is replaced; a hole that a truncation left is no text.
pub fn text(line: &[u8]) -> std::borrow::Cow<'_, str> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let holes = line.iter().take_while(|byte| **byte == 0).count();
    String::from_utf8_lossy(&line[holes..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chunks: &[&[u8]], expected: &[&str], left_out: u64) {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        chunks.iter().for_each(|chunk| lines.take(chunk, |line| found.push(line.to_owned())));
        assert_eq!(
            (found, lines.take_left_out()),
            (expected.iter().map(|&it| it.to_owned()).collect(), left_out)
        );
    }

    #[test]
    fn only_whole_lines() {
        check(&[b"a\nb\r\nc"], &["a", "b"], 0);
        check(&[b"a", b"b\n", b"\n"], &["ab", ""], 0);
        check(&[b"\0\0a\xffb\n"], &["a\u{fffd}b"], 0);
    }

    #[test]
    fn a_line_too_long_is_left_out_and_the_next_is_read() {
        let long = vec![b'x'; LINE_MAX];
        check(&[&long, b"\nb\n"], &[&"x".repeat(LINE_MAX), "b"], 0);
        check(&[&long, b"x\nb\n"], &["b"], 1);
        check(&[&long, &long, &long, b"\nb\n"], &["b"], 1);
    }
}
