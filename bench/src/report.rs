//! The figures, for people and for programs.

use std::fmt;

use serde::Serialize;
use sipprot_tests::datapath::kernel::Verified;

#[derive(Serialize)]
pub struct Figure {
    pub name: &'static str,
    /// For which the packets left.
    pub reason: &'static str,
    /// Per packet, the call's own cost included.
    pub nanoseconds: u64,
    /// To the cheapest case of the same run.
    pub ratio: f64,
}

#[derive(Serialize)]
pub struct Report {
    pub figures: Vec<Figure>,
    pub runs: u32,
    pub repeat: u32,
    /// The object has no empty program to subtract.
    pub baseline_nanoseconds: Option<u64>,
    pub verified_ingress: u32,
    pub verified_egress: u32,
}

impl Report {
    pub fn new(mut figures: Vec<Figure>, verified: Verified, runs: u32, repeat: u32) -> Self {
        let cheapest = figures.iter().map(|figure| figure.nanoseconds).min().unwrap_or(1).max(1);
        for figure in &mut figures {
            figure.ratio = (figure.nanoseconds as f64 / cheapest as f64 * 100.0).round() / 100.0;
        }
        Self {
            figures,
            runs,
            repeat,
            baseline_nanoseconds: None,
            verified_ingress: verified.ingress,
            verified_egress: verified.egress,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<38} {:<16} {:>9} {:>7}", "CASE", "REASON", "NS/PACKET", "RATIO")?;
        for Figure { name, reason, nanoseconds, ratio } in &self.figures {
            writeln!(f, "{name:<38} {reason:<16} {nanoseconds:>9} {ratio:>7.2}")?;
        }
        writeln!(
            f,
            "\nThe fastest of {} runs of {} packets each, of one frame, caches warm. The object has no \
             empty\nprogram: the cost of the call itself is in every figure. Ratios are to the \
             cheapest case.",
            self.runs, self.repeat
        )?;
        writeln!(
            f,
            "Verified instructions: ingress {}, egress {}",
            self.verified_ingress, self.verified_egress
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_to_the_cheapest() {
        let figure = |nanoseconds| Figure { name: "x", reason: "other", nanoseconds, ratio: 0.0 };
        let verified = Verified { ingress: 1, egress: 2 };
        let report = Report::new(vec![figure(30), figure(20)], verified, 1, 1);
        assert_eq!(report.figures.iter().map(|f| f.ratio).collect::<Vec<_>>(), [1.5, 1.0]);
    }
}
