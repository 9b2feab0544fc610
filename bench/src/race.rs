//! What needs the whole program: reaction, calls under a flood, and the race against fail2ban.

use std::path::Path;

use crate::Effort;
use crate::report::Report;

pub fn measure(report: &mut Report, _sipprot: &Path, _effort: Effort) {
    report.note("import_1m_seconds: the daemon has no import yet".to_owned());
}
