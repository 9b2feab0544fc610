//! Skips what may stand before what is looked for, any number of it, eight bytes a step.

use super::text::{CAPACITY, Flow, Step, Text, differs, lowest, repeat, splat};

/// In the kernel it lies in a map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Skip {
    at: u32,
    pad: u32,
    /// All ones where blanks and colons end the search too.
    line_ends_only: u64,
}

impl Skip {
    /// Where the start line begins, behind the line ends that a sender may put before it (RFC 3261
    /// 7.5): any number of them, since PBXs skip any number.
    #[inline(always)]
    pub fn line_ends(&mut self, text: &Text) -> u32 {
        *self = Self { line_ends_only: u64::MAX, ..Self::default() };
        if matches!(text.byte(0), b'\r' | b'\n') {
            repeat(CAPACITY as u32 / 8, self, text);
        }
        self.at
    }

    /// From just behind a header's name to the first byte of its value, over blanks, the colon and
    /// folds. A header without a value leads to the next line.
    #[inline(always)]
    pub fn to_value(&mut self, text: &Text, from: u32) -> u32 {
        self.at = from;
        self.line_ends_only = 0;
        if self.step(text) == Flow::More {
            repeat(CAPACITY as u32 / 8, self, text);
        }
        self.at
    }
}

impl Step<Text> for Skip {
    #[inline(always)]
    fn step(&mut self, text: &Text) -> Flow {
        let word = text.word(self.at);
        let differs = |byte| differs(word, splat(byte));
        let blanks = differs(b' ') & differs(b'\t') & differs(b':');
        let others = differs(b'\r') & differs(b'\n') & (blanks | self.line_ends_only);
        if others & splat(0x80) == 0 {
            self.at += 8;
            return Flow::More;
        }
        self.at += lowest(others & splat(0x80));
        Flow::Stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_of_any_number() {
        for count in 0..CAPACITY {
            let mut text = Box::new(Text::EMPTY);
            text.fill(&[b"\n".repeat(count), b"x\n".to_vec()].concat());
            assert_eq!(Skip::default().line_ends(&text), count as u32);
        }
    }

    #[test]
    fn blanks_of_any_number_the_colon_and_folds() {
        let mut text = Box::new(Text::EMPTY);
        text.fill(b"name \t: \r\n  value");
        assert_eq!(Skip::default().to_value(&text, 4), 12);
        for count in 0..CAPACITY - 10 {
            text.fill(format!("name:{}value", " ".repeat(count)).as_bytes());
            assert_eq!(Skip::default().to_value(&text, 4), 5 + count as u32);
        }
    }
}
