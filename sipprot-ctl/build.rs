//! Embeds the eBPF object: the file that `SIPPROT_EBPF_OBJECT` names is copied to where the datapath
//! includes it from. Without the variable an empty file stands in, so that the crate builds, and its
//! unprivileged tests run, on machines without a BPF toolchain.

use std::path::Path;
use std::process::exit;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SIPPROT_EBPF_OBJECT");
    let Some(out) = env::var_os("OUT_DIR") else {
        eprintln!("OUT_DIR is not set: run by cargo only");
        exit(1);
    };
    let target = Path::new(&out).join("sipprot-ebpf.o");
    let result = match env::var_os("SIPPROT_EBPF_OBJECT").filter(|path| !path.is_empty()) {
        Some(object) => {
            println!("cargo::rerun-if-changed={}", Path::new(&object).display());
            fs::read(&object).map_err(|error| format!("{}: {error}", Path::new(&object).display()))
        }
        None => Ok(Vec::new()),
    };
    let written = result.and_then(|bytes| {
        fs::write(&target, bytes).map_err(|error| format!("{}: {error}", target.display()))
    });
    if let Err(message) = written {
        eprintln!("cannot embed the eBPF object: {message}");
        exit(1);
    }
}
