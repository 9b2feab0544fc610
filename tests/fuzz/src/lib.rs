//! Fuzz targets: what reads strangers' bytes, and what must hold whatever the bytes are.
//!
//! A target is a function that panics where something doesn't hold. `cargo xtask fuzz` runs it under
//! libFuzzer, beginning with the target's seeds; the tests here run it over the seeds, over changed
//! ones, and over what fuzzing found before.

mod bodies;
mod capture;
mod config;
mod countries;
mod events;
mod fleet;
mod logs;
mod naive;
mod scanner;
/// What fuzzing begins with, and other tests too.
pub mod seeds;
mod sheets;
mod streams;
mod syslog;

/// One reader of strangers' bytes.
pub struct Target {
    pub name: &'static str,
    pub check: fn(&[u8]),
    pub seeds: fn() -> Vec<Vec<u8>>,
}

pub const TARGETS: [Target; 11] = [
    Target { name: "scanner", check: scanner::check, seeds: seeds::messages },
    Target { name: "events", check: events::check, seeds: events::seeds },
    Target { name: "capture", check: capture::check, seeds: capture::seeds },
    Target { name: "config", check: config::check, seeds: config::seeds },
    Target { name: "streams", check: streams::check, seeds: streams::seeds },
    Target { name: "sheets", check: sheets::check, seeds: sheets::seeds },
    Target { name: "logs", check: logs::check, seeds: logs::seeds },
    Target { name: "syslog", check: syslog::check, seeds: syslog::seeds },
    Target { name: "bodies", check: bodies::check, seeds: bodies::seeds },
    Target { name: "fleet", check: fleet::check, seeds: fleet::seeds },
    Target { name: "countries", check: countries::check, seeds: countries::seeds },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// Cuts and changes of each seed.
    const CHANGES: usize = 20;

    #[test]
    fn seeds_hold_and_so_do_changed_ones() {
        for target in TARGETS {
            let seeds = (target.seeds)();
            assert!(!seeds.is_empty(), "{} has no seeds", target.name);
            for seed in seeds {
                (target.check)(&seed);
                for at in (0..seed.len()).step_by(seed.len() / CHANGES + 1) {
                    (target.check)(&seed[..at]);
                    let mut changed = seed.clone();
                    changed[at] = b"\n\r: \0\"\xff"[at % 7];
                    (target.check)(&changed);
                }
            }
        }
    }

    /// Inputs that failed once, by target.
    #[test]
    fn findings_hold() {
        for target in TARGETS {
            let directory =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("findings").join(target.name);
            for file in fs::read_dir(directory).into_iter().flatten() {
                let path = file.expect("a file").path();
                println!("{}", path.display());
                (target.check)(&fs::read(&path).expect("a finding"));
            }
        }
    }
}
