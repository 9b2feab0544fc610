//! Kernel and model side by side: the same frames to both; reason and events must be the same.

use sipprot_common::reason::Reason;
use sipprot_tests::datapath::{Datapath, Event, Frame, Kernel, Model, Tally, World, kernel};

pub struct Pair {
    kernel: Kernel,
    model: Model,
    counted: [Tally; 2],
}

/// The verdict on one frame.
pub struct Outcome {
    pub reason: Reason,
    pub events: Vec<Event>,
}

impl Pair {
    /// `None` when something is missing.
    pub fn load(world: &World) -> Option<Self> {
        if let Some(missing) = kernel::missing() {
            println!("skipped: kernel and model side by side need {missing}");
            return None;
        }
        Some(Self {
            kernel: Kernel::load(world).expect("the object loads"),
            model: Model::load(world),
            counted: [Tally::default(), Tally::default()],
        })
    }

    /// A frame comes in to both.
    pub fn ingress(&mut self, name: &str, frame: &Frame) -> Outcome {
        let bytes = frame.bytes();
        let mut reasons = [None; 2];
        let datapaths: [&mut dyn Datapath; 2] = [&mut self.kernel, &mut self.model];
        for (at, datapath) in datapaths.into_iter().enumerate() {
            datapath.ingress(&bytes).unwrap_or_else(|error| panic!("{name}: {error:#}"));
            let tally = datapath.tally().expect("counters");
            reasons[at] = tally.since(&self.counted[at]).only();
            self.counted[at] = tally;
        }
        assert_eq!(reasons[0], reasons[1], "{name}: kernel and model differ\n{bytes:02x?}");
        let events = self.kernel.events().expect("events");
        assert_eq!(events, self.model.events().expect("events"), "{name}");
        Outcome { reason: reasons[0].expect("a frame is counted once"), events }
    }
}

/// The `number`th of many addresses that are on no list.
pub fn address_v4(number: u32) -> String {
    format!("20.{}.{}.7", number >> 8 & 0xff, number & 0xff)
}

pub fn address_v6(number: u32) -> String {
    format!("2001:db8:{number:x}::7")
}
