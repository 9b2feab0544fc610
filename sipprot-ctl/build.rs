//! Embeds what other builds make: the eBPF object that `SIPPROT_EBPF_OBJECT` names, and the files of the
//! dashboard and the manual in the directories that `SIPPROT_UI` and `SIPPROT_DOCS` name, packed by gzip. Without these variables there is an empty
//! object and no file, so that the crate builds, and its unprivileged tests run, on machines without a BPF
//! toolchain and without Node.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::{env, fs};

use flate2::{Compression, write::GzEncoder};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let Some(out) = env::var_os("OUT_DIR").map(PathBuf::from) else {
        eprintln!("OUT_DIR is not set: run by cargo only");
        exit(1);
    };
    let object = named("SIPPROT_EBPF_OBJECT");
    if let Err(message) = embed_object(object.as_deref(), &out.join("sipprot-ebpf.o")) {
        eprintln!("cannot embed the eBPF object: {message}");
        exit(1);
    }
    for (variable, name) in [("SIPPROT_UI", "ui"), ("SIPPROT_DOCS", "docs")] {
        if let Err(message) = embed_files(named(variable).as_deref(), &out, name) {
            eprintln!("cannot embed {name}: {message}");
            exit(1);
        }
    }
}

fn named(variable: &str) -> Option<PathBuf> {
    println!("cargo::rerun-if-env-changed={variable}");
    let path = PathBuf::from(env::var_os(variable).filter(|path| !path.is_empty())?);
    println!("cargo::rerun-if-changed={}", path.display());
    Some(path)
}

fn embed_object(object: Option<&Path>, target: &Path) -> Result<(), String> {
    let bytes = match object {
        Some(object) => read(object)?,
        None => Vec::new(),
    };
    write(target, &bytes)
}

/// Writes a table of (path, packed bytes).
fn embed_files(dist: Option<&Path>, out: &Path, name: &str) -> Result<(), String> {
    let mut files = Vec::new();
    if let Some(dist) = dist {
        walk(dist, dist, &mut files)?;
        files.sort();
    }
    let mut table = String::from("&[\n");
    for (number, (path_in, path)) in files.iter().enumerate() {
        let packed = out.join(format!("{name}-{number}.gz"));
        write(&packed, &gzip(&read(path)?)?)?;
        let _ = writeln!(
            table,
            "    ({path_in:?}, include_bytes!({:?})),",
            packed.display().to_string()
        );
    }
    table.push_str("]\n");
    write(&out.join(format!("{name}.rs")), table.as_bytes())
}

fn walk(root: &Path, dir: &Path, files: &mut Vec<(String, PathBuf)>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", dir.display());
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            walk(root, &path, files)?;
        } else if let Ok(name) = path.strip_prefix(root) {
            files.push((name.display().to_string(), path.clone()));
        }
    }
    Ok(())
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).map_err(|error| error.to_string())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}
