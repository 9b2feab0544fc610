//! One direction of a TCP connection: segments put in order, messages cut out.
//!
//! Bounded: what comes early waits in at most [`EARLY_MAX`] bytes, a message's head in
//! [`HEAD_MAX`]; beyond that, and where bytes never come, what waits is given up and reading goes on
//! at the next start line. Bodies are skipped by Content-Length, never kept.

use std::time::Duration;

use super::{Message, Reader};
use crate::rules::Time;

/// Bytes that may wait for those before them.
pub const EARLY_MAX: usize = 256 * 1024;
/// Segments that may wait.
const EARLY_SEGMENTS_MAX: usize = 256;
/// Start line and headers of one message.
pub const HEAD_MAX: usize = 64 * 1024;
/// A body that claims to be longer is taken for none: a lie must not hide what follows.
const BODY_MAX: usize = 64 * 1024;

pub struct Stream {
    /// The sequence number of the next byte; none before the first segment.
    next: Option<u32>,
    /// How long bytes may be missing.
    patience: Duration,
    early: Vec<(u32, Vec<u8>)>,
    waits_since: Option<Time>,
    buffer: Vec<u8>,
    /// The buffer begins with a start line.
    begun: bool,
    /// Bytes of the buffer that were searched for the end of the head, in vain.
    searched: usize,
    /// Bytes of a body that are still to come.
    body: usize,
    /// How often something was given up.
    pub gaps: u32,
}

impl Stream {
    /// `next` is the sequence number of the first byte, where it is known.
    pub const fn new(next: Option<u32>, patience: Duration) -> Self {
        Self {
            next,
            patience,
            early: Vec::new(),
            waits_since: None,
            buffer: Vec::new(),
            begun: false,
            searched: 0,
            body: 0,
            gaps: 0,
        }
    }

    /// Takes a segment; returns the messages whose heads it completes.
    pub fn push(
        &mut self,
        reader: &mut Reader,
        at: Time,
        sequence: u32,
        payload: &[u8],
    ) -> Vec<Message> {
        let next = *self.next.get_or_insert(sequence);
        if is_apart(sequence, next) {
            self.give_up(sequence);
        }
        if self.early.is_empty() && self.next == Some(sequence) {
            self.take(sequence, payload);
        } else {
            self.early.push((sequence, payload.to_vec()));
            self.join();
        }
        if self.early.is_empty() {
            self.waits_since = None;
        } else if self.waits_enough(at) {
            self.skip_gap();
        }
        self.cut(reader)
    }

    /// These bytes will never come: they were dropped, or the capture didn't keep them.
    pub fn lose(&mut self, sequence: u32, length: usize) {
        let end = sequence.wrapping_add(length as u32);
        let behind = self.next.is_some_and(|next| end.wrapping_sub(next) as i32 <= 0);
        if length > 0 && !behind {
            self.give_up(end);
        }
    }

    /// Bytes that it keeps.
    pub fn held(&self) -> usize {
        self.buffer.len() + self.waiting()
    }

    /// Keeps its place, and nothing else.
    pub fn forget_waiting(&mut self) {
        if let Some(next) = self.next {
            self.give_up(next);
        }
        self.early.clear();
        self.buffer = Vec::new();
    }

    fn waiting(&self) -> usize {
        self.early.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    fn waits_enough(&mut self, at: Time) -> bool {
        let since = *self.waits_since.get_or_insert(at);
        self.early.len() > EARLY_SEGMENTS_MAX
            || self.waiting() > EARLY_MAX
            || at.since(since) >= self.patience
    }

    /// Goes on at another place: what waits for bytes in between waits in vain.
    fn give_up(&mut self, sequence: u32) {
        self.gaps += 1;
        self.next = Some(sequence);
        self.consume(self.buffer.len());
        self.body = 0;
        self.early.retain(|(at, _)| !is_apart(*at, sequence));
        self.waits_since = None;
    }

    /// Goes on with the earliest bytes that are there.
    fn skip_gap(&mut self) {
        let Some(next) = self.next else { return };
        let ahead = |at: &u32| at.wrapping_sub(next);
        if let Some(first) = self.early.iter().map(|(at, _)| *at).min_by_key(ahead) {
            self.give_up(first);
            self.join();
        }
    }

    /// Moves what is next in order to the buffer. Of bytes that came twice the first ones count.
    fn join(&mut self) {
        while let Some(next) = self.next {
            let is_due = |at: u32| at.wrapping_sub(next) as i32 <= 0;
            let Some(place) = self.early.iter().position(|(at, _)| is_due(*at)) else { return };
            let (at, bytes) = self.early.swap_remove(place);
            let known = next.wrapping_sub(at) as usize;
            if let Some(fresh) = bytes.get(known..) {
                self.take(next, fresh);
            }
        }
    }

    fn take(&mut self, sequence: u32, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        self.next = Some(sequence.wrapping_add(bytes.len() as u32));
    }

    fn cut(&mut self, reader: &mut Reader) -> Vec<Message> {
        let mut messages = Vec::new();
        while !self.buffer.is_empty() {
            if !self.begun {
                let between = self.buffer.iter().skip(self.body);
                let ends = between.take_while(|byte| matches!(byte, b'\r' | b'\n' | 0)).count();
                let skipped = self.body.min(self.buffer.len());
                self.body -= skipped;
                if skipped + ends > 0 {
                    self.consume(skipped + ends);
                    continue;
                }
            }
            match self.piece(reader) {
                Piece::Message(message, head, body) => {
                    messages.push(*message);
                    self.consume(head);
                    self.body = body;
                }
                Piece::Noise(length) => self.consume(length),
                Piece::Unfinished if self.buffer.len() > HEAD_MAX => {
                    self.gaps += 1;
                    self.consume(self.buffer.len());
                }
                Piece::Unfinished => break,
            }
        }
        messages
    }

    fn consume(&mut self, length: usize) {
        self.buffer.drain(..length);
        (self.begun, self.searched) = (false, 0);
    }

    fn piece(&mut self, reader: &mut Reader) -> Piece {
        let bytes = &self.buffer;
        if !self.begun {
            let searched = &bytes[self.searched..];
            let Some(feed) = searched.iter().position(|&byte| byte == b'\n') else {
                self.searched = bytes.len();
                return Piece::Unfinished;
            };
            let line = self.searched + feed + 1;
            if reader.first(&bytes[..line]).is_none() {
                return Piece::Noise(line);
            }
            (self.begun, self.searched) = (true, 0);
        }
        let Some(head) = head_length(bytes, self.searched) else {
            self.searched = bytes.len().saturating_sub(2);
            return Piece::Unfinished;
        };
        let Some((message, body)) = reader.framed(&bytes[..head]) else {
            return Piece::Noise(head);
        };
        Piece::Message(Box::new(message), head, if body > BODY_MAX { 0 } else { body })
    }
}

enum Piece {
    /// With the lengths of its head and its body.
    Message(Box<Message>, usize, usize),
    /// So many bytes that are no message.
    Noise(usize),
    Unfinished,
}

/// Up to and with the empty line, whose first line feed is not before `from`.
fn head_length(bytes: &[u8], from: usize) -> Option<usize> {
    let feeds = bytes.iter().enumerate().skip(from).filter(|(_, byte)| **byte == b'\n');
    for (at, _) in feeds {
        match bytes.get(at + 1..) {
            Some([b'\n', ..]) => return Some(at + 2),
            Some([b'\r', b'\n', ..]) => return Some(at + 3),
            _ => {}
        }
    }
    None
}

/// Sequence numbers so far from each other have nothing to do with each other.
fn is_apart(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).min(other.wrapping_sub(one)) > EARLY_MAX as u32
}

#[cfg(test)]
mod tests;
