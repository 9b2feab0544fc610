//! The cases' figures, for people and for programs.

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
pub struct Table {
    pub figures: Vec<Figure>,
    pub verified_ingress: u32,
    pub verified_egress: u32,
}

impl Table {
    pub fn new(mut figures: Vec<Figure>, verified: Verified) -> Self {
        let cheapest = figures.iter().map(|figure| figure.nanoseconds).min().unwrap_or(1).max(1);
        for figure in &mut figures {
            figure.ratio = (figure.nanoseconds as f64 / cheapest as f64 * 100.0).round() / 100.0;
        }
        Self { figures, verified_ingress: verified.ingress, verified_egress: verified.egress }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<38} {:<16} {:>9} {:>7}", "CASE", "REASON", "NS/PACKET", "RATIO")?;
        for Figure { name, reason, nanoseconds, ratio } in &self.figures {
            writeln!(f, "{name:<38} {reason:<16} {nanoseconds:>9} {ratio:>7.2}")?;
        }
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
        let table = Table::new(vec![figure(30), figure(20)], verified);
        assert_eq!(table.figures.iter().map(|f| f.ratio).collect::<Vec<_>>(), [1.5, 1.0]);
    }
}
