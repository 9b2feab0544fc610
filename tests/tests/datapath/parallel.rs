//! A limit is a limit, on however many CPUs a source's packets arrive.

use sipprot_tests::datapath::{Kernel, Policy, World, kernel};

use crate::places::*;

const THREADS: u32 = 4;
const FRAMES: u32 = 2_000;
const ROUNDS: usize = 5;

/// Sends a flood in `ROUNDS` fresh worlds; at most `most` frames of each pass, and at least `least`.
fn check(world: World, least: usize, most: usize, frame: fn(u32) -> Vec<u8>) {
    if let Some(missing) = kernel::missing() {
        println!("skipped: several CPUs at once need {missing}");
        return;
    }
    let lists: Vec<Vec<Vec<u8>>> = (0..THREADS)
        .map(|thread| (0..FRAMES).map(|number| frame(thread * FRAMES + number)).collect())
        .collect();
    let mut kernel = Kernel::load(&world).expect("the object loads");
    for round in 0..ROUNDS {
        kernel.reset(&world).expect("a reset");
        let passed = kernel.run_at_once(&lists).expect("frames that run");
        assert!((least..=most).contains(&passed), "{passed} passed in round {round}");
    }
}

#[test]
fn thousands_of_guesses_at_once() {
    check(World::new(), 10, 10, |number| says(guess("n", number)).bytes());
}

/// One each five seconds from a contained source.
#[test]
fn a_trickle_at_once() {
    let world = World::new().contained(MALLORY_ADDRESS, 600);
    check(world, 1, 1, |_| says(register()).bytes());
}

/// Fifty at once, then one a second; a packet that loses the bucket to others twice may pass.
#[test]
fn a_ceiling_at_once() {
    let world = World::of(Policy::new(0).source_ceiling(1, 50));
    check(world, 50, 50 + 2 * THREADS as usize, |_| says(register()).bytes());
}
