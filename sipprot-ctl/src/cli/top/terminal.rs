//! A terminal that is ours for a while: its own screen, single keys, and all as it was afterwards.

use std::io::{self, Write};
use std::mem::zeroed;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::frame::Line;

/// The other screen, without cursor and without going on in the next line.
const BEGIN: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const END: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

static TOLD_TO_END: AtomicBool = AtomicBool::new(false);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    Char(char),
    Up,
    Down,
    Enter,
    Escape,
    Back,
    /// Ctrl-C.
    Interrupt,
}

pub struct Terminal {
    before: libc::termios,
    /// Bytes of keys that were not looked at yet.
    read: Vec<u8>,
}

/// Columns and rows of the terminal on stdout.
pub fn size() -> Option<(usize, usize)> {
    // SAFETY: plain integers: all zeroes is a value.
    let mut size: libc::winsize = unsafe { zeroed() };
    // SAFETY: the kernel fills the struct.
    let done = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &mut size) };
    let (columns, rows) = (usize::from(size.ws_col), usize::from(size.ws_row));
    (done == 0 && columns > 0 && rows > 0).then_some((columns, rows))
}

extern "C" fn note_end(_: libc::c_int) {
    TOLD_TO_END.store(true, Ordering::Relaxed);
}

/// Only to wake up whoever waits for a key.
extern "C" fn note_nothing(_: libc::c_int) {}

impl Terminal {
    pub fn open() -> io::Result<Self> {
        // SAFETY: plain integers and arrays of them: all zeroes is a value.
        let mut before: libc::termios = unsafe { zeroed() };
        // SAFETY: the kernel fills the struct.
        check(unsafe { libc::tcgetattr(libc::STDIN_FILENO, &mut before) })?;
        let mut raw = before;
        raw.c_lflag &= !(libc::ICANON | libc::ECHO | libc::ISIG | libc::IEXTEN);
        raw.c_iflag &= !(libc::IXON | libc::ICRNL);
        // SAFETY: the kernel reads the struct.
        check(unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &raw) })?;
        for (signal, note) in [
            (libc::SIGTERM, note_end as extern "C" fn(libc::c_int)),
            (libc::SIGHUP, note_end),
            (libc::SIGWINCH, note_nothing),
        ] {
            // SAFETY: plain integers and a mask: all zeroes is a value. Without SA_RESTART, poll
            // returns when the signal comes.
            let mut action: libc::sigaction = unsafe { zeroed() };
            action.sa_sigaction = note as usize;
            // SAFETY: the handlers do no more than set a flag.
            check(unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) })?;
        }
        let terminal = Self { before, read: Vec::new() };
        write(BEGIN)?;
        Ok(terminal)
    }

    pub fn is_told_to_end(&self) -> bool {
        TOLD_TO_END.load(Ordering::Relaxed)
    }

    pub fn show(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut text = "\x1b[H".to_owned();
        for (number, line) in lines.iter().enumerate() {
            if number > 0 {
                text += "\r\n";
            }
            text += &line.styled();
            text += "\x1b[K";
        }
        text += "\x1b[J";
        write(&text)
    }

    /// The next key, if one comes within this time and no signal before it.
    pub fn key(&mut self, within: Duration) -> io::Result<Option<Key>> {
        if self.read.is_empty() {
            let mut asked =
                libc::pollfd { fd: libc::STDIN_FILENO, events: libc::POLLIN, revents: 0 };
            let milliseconds = i32::try_from(within.as_millis()).unwrap_or(i32::MAX);
            // SAFETY: one entry, which outlives the call.
            match check(unsafe { libc::poll(&mut asked, 1, milliseconds) }) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
                Err(error) => return Err(error),
            }
            let mut bytes = [0u8; 64];
            // SAFETY: the kernel writes at most as many bytes as the buffer has.
            let length =
                unsafe { libc::read(libc::STDIN_FILENO, bytes.as_mut_ptr().cast(), bytes.len()) };
            if length <= 0 {
                // Nobody sits there any more.
                return Ok(Some(Key::Interrupt));
            }
            self.read.extend_from_slice(&bytes[..length as usize]);
        }
        Ok(take_key(&mut self.read))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = write(END);
        // SAFETY: the kernel reads the struct, which it once filled.
        unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &self.before) };
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// What came in at once is whole: a lone ESC is the key of that name.
fn take_key(read: &mut Vec<u8>) -> Option<Key> {
    let (key, length) = match read.as_slice() {
        [] => return None,
        [0x1b, b'[' | b'O', b'A', ..] => (Some(Key::Up), 3),
        [0x1b, b'[' | b'O', b'B', ..] => (Some(Key::Down), 3),
        // Another key of this kind: its parameters, and the letter that ends it.
        [0x1b, b'[' | b'O', rest @ ..] => {
            let end = rest.iter().position(|byte| (b'@'..=b'~').contains(byte));
            (None, end.map_or(read.len(), |end| end + 3))
        }
        [0x1b, ..] => (Some(Key::Escape), 1),
        [b'\r' | b'\n', ..] => (Some(Key::Enter), 1),
        [0x7f | 0x08, ..] => (Some(Key::Back), 1),
        [0x03 | 0x04, ..] => (Some(Key::Interrupt), 1),
        [first, ..] => {
            let length = match first {
                0xf0.. => 4,
                0xe0.. => 3,
                0xc0.. => 2,
                _ => 1,
            };
            let length = length.min(read.len());
            let text = std::str::from_utf8(&read[..length]).ok();
            let char = text.and_then(|text| text.chars().next()).filter(|it| !it.is_control());
            (char.map(Key::Char), length)
        }
    };
    read.drain(..length);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let check = |bytes: &[u8], expected: &[Option<Key>]| {
            let mut read = bytes.to_vec();
            let found: Vec<Option<Key>> =
                (0..expected.len()).map(|_| take_key(&mut read)).collect();
            assert_eq!(found, expected, "{bytes:?}");
            assert!(read.is_empty(), "{bytes:?}: {read:?}");
        };
        check(b"q", &[Some(Key::Char('q'))]);
        check(b"\x1b[A\x1b[Bj", &[Some(Key::Up), Some(Key::Down), Some(Key::Char('j'))]);
        check(b"\x1b", &[Some(Key::Escape)]);
        check(b"\x1b[5~k", &[None, Some(Key::Char('k'))]);
        check("é\r\x7f".as_bytes(), &[Some(Key::Char('é')), Some(Key::Enter), Some(Key::Back)]);
        check(b"\x03", &[Some(Key::Interrupt)]);
        check(b"\x01\xff", &[None, None]);
    }
}
