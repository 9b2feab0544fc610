//! A target under libFuzzer, whose `main` it is: SIPPROT_FUZZ_TARGET names the target, and the
//! target's seeds are written to SIPPROT_FUZZ_SEEDS. Without a name the targets are listed.

#![no_main]

use std::path::Path;
use std::sync::OnceLock;
use std::{env, fs, process};

use libfuzzer_sys::fuzz_target;
use sipprot_fuzz::{TARGETS, Target};

static CHOSEN: OnceLock<fn(&[u8])> = OnceLock::new();

fn choose() {
    let Ok(name) = env::var("SIPPROT_FUZZ_TARGET") else {
        TARGETS.iter().for_each(|target| println!("{}", target.name));
        process::exit(0);
    };
    let Some(target) = TARGETS.into_iter().find(|target| target.name == name) else {
        eprintln!("there is no target {name}");
        process::exit(1);
    };
    if let Err(error) = write_seeds(&target) {
        eprintln!("cannot write the seeds: {error}");
        process::exit(1);
    }
    CHOSEN.get_or_init(|| target.check);
}

fn write_seeds(target: &Target) -> std::io::Result<()> {
    let Ok(directory) = env::var("SIPPROT_FUZZ_SEEDS") else { return Ok(()) };
    fs::create_dir_all(&directory)?;
    for (number, seed) in (target.seeds)().iter().enumerate() {
        fs::write(Path::new(&directory).join(format!("{number:03}")), seed)?;
    }
    Ok(())
}

fuzz_target!(init: choose(), |bytes: &[u8]| {
    if let Some(check) = CHOSEN.get() {
        check(bytes);
    }
});
