//! A row of the table: a world, frames one after another, and what is expected of each.

use anyhow::{Context, Result, bail, ensure};
use sipprot_common::reason::{Class, Reason};

use super::{Datapath, Event, Frame, Kernel, Model, Tally, World, kernel};

pub struct Case {
    name: String,
    world: World,
    steps: Vec<Step>,
}

#[derive(Clone)]
enum Step {
    Ingress(Vec<u8>, Expected),
    Egress(Vec<u8>),
    Wait(u64),
    /// The events since the last such step: kind and flags, in order.
    Events(Vec<(u8, u8)>),
}

#[derive(Clone, Copy, Debug)]
struct Expected {
    policy: u32,
    reason: Reason,
    observed: Option<Reason>,
}

impl Case {
    pub fn new(name: impl Into<String>, world: World) -> Self {
        Self { name: name.into(), world, steps: Vec::new() }
    }

    /// The same with lists and countries in tables, as the daemon has them.
    pub fn compiled(mut self) -> Self {
        self.name += ", compiled";
        self.world.compiled = true;
        self
    }

    /// A frame that comes in to the host and leaves for `reason`.
    pub fn ingress(self, frame: &Frame, reason: Reason) -> Self {
        self.ingress_bytes(frame.bytes(), reason)
    }

    pub fn ingress_bytes(mut self, frame: Vec<u8>, reason: Reason) -> Self {
        self.steps.push(Step::Ingress(frame, Expected { policy: 0, reason, observed: None }));
        self
    }

    /// The frame before belonged to this policy.
    pub fn under(mut self, policy: u32) -> Self {
        if let Some(Step::Ingress(_, expected)) = self.steps.last_mut() {
            expected.policy = policy;
        }
        self
    }

    /// The frame before would have been dropped for `reason`.
    pub fn observed(mut self, reason: Reason) -> Self {
        if let Some(Step::Ingress(_, expected)) = self.steps.last_mut() {
            expected.observed = Some(reason);
        }
        self
    }

    /// Why frames would have been dropped that pass.
    pub fn observes(&self) -> impl Iterator<Item = Reason> {
        self.steps.iter().filter_map(|step| match step {
            Step::Ingress(_, expected) => expected.observed,
            _ => None,
        })
    }

    /// One frame for each number, all for the same reason.
    pub fn ingress_each(
        self,
        numbers: impl IntoIterator<Item = u32>,
        frame: impl Fn(u32) -> Frame,
        reason: Reason,
    ) -> Self {
        numbers.into_iter().fold(self, |case, number| case.ingress(&frame(number), reason))
    }

    pub fn egress(mut self, frame: &Frame) -> Self {
        self.steps.push(Step::Egress(frame.bytes()));
        self
    }

    pub fn wait(mut self, seconds: u64) -> Self {
        self.steps.push(Step::Wait(seconds));
        self
    }

    /// Kind and flags of the events since the last such step, in order.
    pub fn events(mut self, events: &[(u8, u8)]) -> Self {
        self.steps.push(Step::Events(events.to_vec()));
        self
    }

    /// Appends the steps that a function adds.
    pub fn then(self, more: impl FnOnce(Self) -> Self) -> Self {
        more(self)
    }

    /// The reasons that the case expects.
    pub fn reasons(&self) -> impl Iterator<Item = Reason> {
        self.steps.iter().filter_map(|step| match step {
            Step::Ingress(_, expected) => Some(expected.reason),
            _ => None,
        })
    }

    /// Takes the steps; returns every event.
    fn run(&self, datapath: &mut dyn Datapath) -> Result<Vec<Event>> {
        let mut expected = Tally::default();
        let (mut all, mut told) = (Vec::new(), 0);
        for (number, step) in self.steps.iter().enumerate() {
            let place = || format!("step {} of {}", number + 1, self.steps.len());
            match step {
                Step::Ingress(frame, wanted) => {
                    expected.count(wanted.policy, wanted.reason, wanted.observed);
                    arrive(datapath, frame, wanted, &expected).with_context(place)?;
                }
                Step::Egress(frame) => datapath.egress(frame).with_context(place)?,
                Step::Wait(seconds) => datapath.wait(*seconds).with_context(place)?,
                Step::Events(wanted) => {
                    all.extend(datapath.events().with_context(place)?);
                    let found: Vec<_> = all[told..].iter().map(|e| (e.kind, e.flags)).collect();
                    told = all.len();
                    ensure!(found == *wanted, "{}: events {found:?}, not {wanted:?}", place());
                }
            }
        }
        all.extend(datapath.events()?);
        Ok(all)
    }

    /// In `kernel`, unless the world asks for maps of another size.
    fn check(&self, kernel: &mut Kernel) -> Result<()> {
        if self.world.policies_max.is_some() {
            return self.check_in(&mut Kernel::load(&self.world)?);
        }
        kernel.reset(&self.world)?;
        self.check_in(kernel)
    }

    fn check_in(&self, kernel: &mut Kernel) -> Result<()> {
        let mut model = Model::load(&self.world);
        let of_kernel = self.run(kernel).context("kernel")?;
        let of_model = self.run(&mut model).context("model")?;
        ensure!(
            kernel.events_left_out()? == model.events_left_out()?,
            "events left out: {:?} in the kernel, {:?} in the model",
            kernel.events_left_out()?,
            model.events_left_out()?
        );
        for (number, (left, right)) in of_kernel.iter().zip(&of_model).enumerate() {
            ensure!(left == right, "event {number}: kernel {left:?}\nmodel {right:?}");
        }
        ensure!(of_kernel.len() == of_model.len(), "not as many events");
        Ok(())
    }
}

/// A frame comes in: its verdict, and the whole counter array after it.
fn arrive(
    datapath: &mut dyn Datapath,
    frame: &[u8],
    wanted: &Expected,
    expected: &Tally,
) -> Result<()> {
    let passed = datapath.ingress(frame)?;
    let tally = datapath.tally()?;
    if tally != *expected {
        bail!("expected {wanted:?}, all in all {expected:?}; counted {tally:?}");
    }
    let passes = wanted.reason.class() != Class::Drop;
    ensure!(passed == passes, "{wanted:?}, but passed is {passed}");
    Ok(())
}

/// Tries every case in the kernel and on the model, and panics with all that failed.
pub fn check_all(cases: &[Case]) {
    if let Some(missing) = kernel::missing() {
        println!("skipped: the datapath's tables need {missing}");
        return;
    }
    let mut kernel = Kernel::load(&World::new()).expect("the object loads");
    let mut failed = Vec::new();
    for case in cases {
        if let Err(error) = case.check(&mut kernel) {
            failed.push(format!("{}: {error:#}", case.name));
        }
    }
    let count = cases.len();
    assert!(failed.is_empty(), "{} of {count} cases failed:\n{}", failed.len(), failed.join("\n"));
    println!("{count} cases, kernel and model agree");
}
