//! Countries: one byte for each /24 of IPv4 and of global unicast IPv6.

use super::Word;
use crate::source::Address;

const V4_WORDS: usize = (1 << 24) / 8;
const V6_WORDS: usize = (1 << 21) / 8;

/// The tries know: it has several countries.
pub const MIXED: u8 = 255;

/// Times a code: that code eight times.
const SPREAD: u64 = 0x0101_0101_0101_0101;

#[repr(C)]
pub struct PlaceTable {
    /// Which generation of the trie belongs to this table.
    pub generation: Word,
    pub reserved: Word,
    /// Country indices of the byte values, four in each word; see [`PlaceTable::name`].
    countries: [Word; 64],
    v4: [Word; V4_WORDS],
    v6: [Word; V6_WORDS],
}

impl PlaceTable {
    /// Index of the last /24 of 2000::/3.
    pub const V6_LAST: u32 = V6_WORDS as u32 * 8 - 1;

    /// Index of the country of an address; `None` when the trie is to be asked.
    #[inline(always)]
    pub fn country(&self, address: &Address) -> Option<u32> {
        let code = self.code(address);
        if code == MIXED as u64 { None } else { Some(self.name(code)) }
    }

    /// The country that a code stands for.
    #[inline(always)]
    pub fn name(&self, code: u64) -> u32 {
        let word = self.countries[((code >> 2) & 63) as usize].get();
        (word >> ((code & 3) * 16)) as u32 & 0xffff
    }

    /// Lets a code stand for a country; 0 must stand for [`crate::abi::COUNTRY_UNKNOWN`].
    pub fn set_name(&self, code: u8, country: u16) {
        let (word, shift) = (&self.countries[usize::from(code >> 2)], (code & 3) * 16);
        word.set(word.get() & !(0xffff << shift) | u64::from(country) << shift);
    }

    /// What the table has for an address's /24. Outside of 2000::/3 nobody has a country.
    #[inline(always)]
    pub fn code(&self, address: &Address) -> u64 {
        let (high, low) = address.halves();
        if address.is_v4() {
            return code_at(&self.v4, low as u32 >> 8);
        }
        if high >> 61 != 1 {
            return 0;
        }
        code_at(&self.v6, (high >> 40) as u32 & 0x1f_ffff)
    }

    /// The code of the `index`th /24 of IPv4.
    pub fn v4_code(&self, index: u32) -> u8 {
        code_at(&self.v4, index) as u8
    }

    /// Calls `each` with first, last and code of every run of /24s of IPv4 that have the same code.
    pub fn each_v4_run(&self, each: impl FnMut(u32, u32, u8)) {
        each_run(&self.v4, each);
    }

    /// The same of 2000::/3.
    pub fn each_v6_run(&self, each: impl FnMut(u32, u32, u8)) {
        each_run(&self.v6, each);
    }

    /// The code of the `index`th /24 of 2000::/3.
    pub fn v6_code(&self, index: u32) -> u8 {
        code_at(&self.v6, index) as u8
    }

    /// Gives /24s a code, from `first` to `last` by their index; where there is another one already,
    /// the place is mixed.
    pub fn put_v4(&self, first: u32, last: u32, code: u8) {
        put(&self.v4, first, last, code);
    }

    /// The same for the /24s of 2000::/3.
    pub fn put_v6(&self, first: u32, last: u32, code: u8) {
        put(&self.v6, first, last, code);
    }
}

#[inline(always)]
fn code_at<const WORDS: usize>(words: &[Word; WORDS], index: u32) -> u64 {
    words[(index >> 3) as usize].get() >> ((index & 7) * 8) & 0xff
}

fn each_run<const WORDS: usize>(words: &[Word; WORDS], mut each: impl FnMut(u32, u32, u8)) {
    let code_at = |index| code_at(words, index) as u8;
    let (mut first, mut code) = (0, code_at(0));
    for (word, index) in words.iter().zip((0u32..).step_by(8)) {
        // Most words are in the midst of a run.
        if word.get() == u64::from(code) * SPREAD {
            continue;
        }
        for index in index..index + 8 {
            let next = code_at(index);
            if next != code {
                each(first, index - 1, code);
                (first, code) = (index, next);
            }
        }
    }
    each(first, WORDS as u32 * 8 - 1, code);
}

fn put(words: &[Word], first: u32, last: u32, code: u8) {
    let mut index = first;
    while index <= last {
        let word = &words[(index >> 3) as usize];
        if index & 7 == 0 && last - index >= 7 && word.get() == 0 {
            word.set(u64::from(code) * SPREAD);
            index += 8;
            continue;
        }
        let shift = (index & 7) * 8;
        let before = (word.get() >> shift) as u8;
        let code = if before == 0 || before == code { code } else { MIXED };
        word.set(word.get() & !(0xff << shift) | u64::from(code) << shift);
        index += 1;
    }
}
