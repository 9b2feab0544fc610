//! Work side by side: a few lanes, each of which takes the next piece as soon as it has ended its last.
//!
//! It knows nothing of what the pieces are.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

/// Does `work` on each piece in `lanes` threads, and hands what came of it to `ended`, in the order
/// in which the pieces end.
pub fn run<Piece: Send, Outcome: Send>(
    lanes: usize,
    pieces: impl IntoIterator<Item = Piece>,
    work: impl Fn(Piece) -> Outcome + Sync,
    mut ended: impl FnMut(Outcome),
) {
    let waiting: Mutex<VecDeque<Piece>> = Mutex::new(pieces.into_iter().collect());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..lanes {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                while let Some(piece) = next() {
                    // The receiver lives until every lane has ended.
                    let _ = sender.send(work(piece));
                }
            });
        }
        drop(sender);
        receiver.iter().for_each(&mut ended);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_piece_is_done_once_and_lanes_work_at_the_same_time() {
        let mut done = Vec::new();
        // Each waits for the other: one lane alone would never end.
        let meeting = std::sync::Barrier::new(2);
        run(2, 0..6, |piece| (meeting.wait(), piece).1, |piece| done.push(piece));
        done.sort_unstable();
        assert_eq!(done, [0, 1, 2, 3, 4, 5]);
    }
}
