//! One direction of a TCP connection: segments put in order, messages cut out.
//!
//! Bounded: what comes early waits in at most [`EARLY_MAX`] bytes, a message's head in
//! [`HEAD_MAX`]; beyond that, and where the capture has a gap, what waits is given up and reading
//! goes on at the next start line. Bodies are skipped by Content-Length, never kept.

use super::packet::Tcp;
use crate::message::{Message, Reader};

/// Bytes that may wait for those before them.
pub const EARLY_MAX: usize = 256 * 1024;
/// Segments that may wait.
const EARLY_SEGMENTS_MAX: usize = 256;
/// Start line and headers of one message.
pub const HEAD_MAX: usize = 64 * 1024;
/// A body that claims to be longer is taken for none: a lie must not hide what follows.
const BODY_MAX: usize = 64 * 1024;
/// Sequence numbers farther apart belong to different connections.
const APART: u32 = 1 << 24;

#[derive(Default)]
pub struct Stream {
    /// The sequence number of the next byte; none before the first segment.
    next: Option<u32>,
    early: Vec<(u32, Vec<u8>)>,
    buffer: Vec<u8>,
    /// Bytes of a body that are still to come.
    body: usize,
    /// How often something was given up.
    pub gaps: u32,
}

impl Stream {
    /// Takes a segment; returns the messages whose heads it completes.
    pub fn push(&mut self, reader: &mut Reader, tcp: Tcp, payload: &[u8]) -> Vec<Message> {
        let mut sequence = tcp.sequence;
        if tcp.syn {
            sequence = sequence.wrapping_add(1);
            if self.next.is_none_or(|next| apart(sequence, next) || payload.is_empty()) {
                *self = Self { next: Some(sequence), gaps: self.gaps, ..Self::default() };
            }
        }
        let next = *self.next.get_or_insert(sequence);
        if payload.is_empty() {
            return Vec::new();
        }
        if apart(sequence, next) {
            self.give_up(sequence);
        }
        self.early.push((sequence, payload.to_vec()));
        let waiting: usize = self.early.iter().map(|(_, bytes)| bytes.len()).sum();
        self.join();
        if !self.early.is_empty() && (waiting > EARLY_MAX || self.early.len() > EARLY_SEGMENTS_MAX)
        {
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

    /// Goes on at another place: what waits for bytes in between waits in vain.
    fn give_up(&mut self, sequence: u32) {
        self.gaps += 1;
        self.next = Some(sequence);
        self.buffer.clear();
        self.body = 0;
        self.early.retain(|(at, _)| !apart(*at, sequence));
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
                self.buffer.extend_from_slice(fresh);
                self.next = Some(next.wrapping_add(fresh.len() as u32));
            }
        }
    }

    fn cut(&mut self, reader: &mut Reader) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut from = 0;
        loop {
            let skipped = self.body.min(self.buffer.len() - from);
            self.body -= skipped;
            from += skipped;
            let rest = &self.buffer[from..];
            from += rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n' | 0)).count();
            let rest = &self.buffer[from..];
            if rest.is_empty() {
                break;
            }
            match piece(reader, rest) {
                Piece::Message(message, head, body) => {
                    messages.push(*message);
                    from += head;
                    self.body = body;
                }
                Piece::Noise(length) => from += length,
                Piece::Unfinished if rest.len() > HEAD_MAX => {
                    self.gaps += 1;
                    from = self.buffer.len();
                }
                Piece::Unfinished => break,
            }
        }
        self.buffer.drain(..from);
        messages
    }
}

enum Piece {
    /// With the lengths of its head and its body.
    Message(Box<Message>, usize, usize),
    /// So many bytes that are no message.
    Noise(usize),
    Unfinished,
}

fn piece(reader: &mut Reader, bytes: &[u8]) -> Piece {
    let Some(line) = bytes.iter().position(|&byte| byte == b'\n') else { return Piece::Unfinished };
    let Some((message, length)) = reader.first(bytes) else { return Piece::Noise(line + 1) };
    let Some(head) = head_length(bytes) else { return Piece::Unfinished };
    let body = if message.complete { length.saturating_sub(head) } else { 0 };
    Piece::Message(Box::new(message), head, if body > BODY_MAX { 0 } else { body })
}

/// Up to and with the empty line.
fn head_length(bytes: &[u8]) -> Option<usize> {
    let feeds = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    for (at, _) in feeds {
        match bytes.get(at + 1..) {
            Some([b'\n', ..]) => return Some(at + 2),
            Some([b'\r', b'\n', ..]) => return Some(at + 3),
            _ => {}
        }
    }
    None
}

fn apart(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).min(other.wrapping_sub(one)) > APART
}

#[cfg(test)]
mod tests;
