//! What compiles the eBPF crate: a nightly compiler with core's sources, and a bpf-linker that reads
//! the bitcode of this compiler's LLVM.
//!
//! Two pairs work, and the first that is there is taken: rustup's nightly with `rust-src`, or
//! Debian 12's own packages, which come with the sources. Installing either is `setup`'s business.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{process, workspace};

/// The LLVM of Debian's rustc, for which setup installs bpf-linker.
pub const DEBIAN_LLVM: u32 = 22;

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const TARGET: &str = "bpfel-unknown-none";

/// A compiler that can build core for the BPF target.
pub struct Compiler {
    /// For people: which one it is.
    name: String,
    program: PathBuf,
    arguments: &'static [&'static str],
    variables: Vec<(&'static str, String)>,
    llvm: u32,
}

impl Compiler {
    /// Its cargo. The environment is scrubbed of what the cargo that started us exported, or the inner
    /// compiler would take the host's flags and paths.
    fn cargo(&self) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in env::vars_os().filter(|(name, _)| is_outer_cargo_variable(name)) {
            command.env_remove(name);
        }
        command.args(self.arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// A cargo command on the workspace for a target whose standard library is compiled, too.
pub fn cargo_with_std(verb: &str, target: &str) -> Result<Command> {
    let compiler = [nightly(), debian()].into_iter().flatten().next();
    let compiler = compiler.context("no compiler with the standard library's sources")?;
    let mut command = compiler.cargo();
    command.args([verb, "-Zbuild-std", "--target", target, "--target-dir"]);
    command.arg(workspace::target_dir().join("cross")).current_dir(workspace::root());
    Ok(command)
}

/// A compiler with the linker that fits it.
pub struct Toolchain {
    compiler: Compiler,
    linker: PathBuf,
}

impl Toolchain {
    /// The first pair of compiler and linker that fit each other.
    pub fn find() -> Result<Self> {
        [nightly(), debian()]
            .into_iter()
            .flatten()
            .find_map(|compiler| {
                let linker = linker_for(compiler.llvm)?;
                Some(Self { compiler, linker })
            })
            .context("no toolchain for the eBPF crate: `cargo xtask setup` says what is missing")
    }

    /// Rustup's nightly with a linker that fits it: where it is, no package of Debian's is needed.
    pub fn has_nightly() -> bool {
        nightly().is_some_and(|compiler| linker_for(compiler.llvm).is_some())
    }

    /// One line for people: which compiler, which linker.
    pub fn description(&self) -> String {
        format!("{}, LLVM {}, {}", self.compiler.name, self.compiler.llvm, self.linker.display())
    }

    /// A cargo command on the eBPF crate for the BPF target.
    pub fn cargo(&self, verb: &str) -> Command {
        let mut command = self.compiler.cargo();
        let target_dir = workspace::ebpf_dir().join("target");
        command
            .args([verb, "--release", "-Zbuild-std=core", "--target", TARGET, "--target-dir"])
            .arg(target_dir)
            .current_dir(workspace::ebpf_dir())
            .env("CARGO_ENCODED_RUSTFLAGS", self.rustflags());
        command
    }

    /// Where `cargo build` leaves the object of a binary.
    pub fn object(name: &str) -> PathBuf {
        workspace::ebpf_dir().join("target").join(TARGET).join("release").join(name)
    }

    /// Debug information is what bpf-linker makes BTF from. rustc passes the CPU on to the linker;
    /// v3 has 32-bit operations and jumps, which every kernel that we serve knows.
    fn rustflags(&self) -> String {
        let linker = format!("-Clinker={}", self.linker.display());
        ["-Cdebuginfo=2", "-Clink-arg=--btf", "-Ctarget-cpu=v3", &linker].join("\x1f")
    }
}

/// Rustup's nightly, where its `rust-src` is installed.
fn nightly() -> Option<Compiler> {
    let rustup = process::find_program("rustup")?;
    // An override from the outer cargo must not lead rustup elsewhere, nor may a question about a
    // toolchain install it.
    let ask = |arguments: &[&str]| {
        let mut command = Command::new(&rustup);
        command.args(arguments).env("RUSTUP_AUTO_INSTALL", "0").env_remove("RUSTUP_TOOLCHAIN");
        process::printed(&mut command).ok()
    };
    let sysroot = ask(&["run", "nightly", "rustc", "--print", "sysroot"])?;
    if !has_core_sources(Path::new(sysroot.trim())) {
        return None;
    }
    let version = Version::parse(&ask(&["run", "nightly", "rustc", "-vV"])?)?;
    Some(Compiler {
        name: format!("rustup's nightly {}", version.release),
        program: rustup,
        arguments: &["run", "nightly", "cargo"],
        variables: Vec::new(),
        llvm: version.llvm,
    })
}

/// Debian's compiler. It is a stable release, so that `-Z` takes the bootstrap variable; its own
/// directory goes first in PATH, since cargo starts clippy-driver by name and rustup's would answer.
fn debian() -> Option<Compiler> {
    if !Path::new(DEBIAN_CARGO).is_file() || !Path::new(DEBIAN_RUSTC).is_file() {
        return None;
    }
    let ask = |argument| process::printed(Command::new(DEBIAN_RUSTC).arg(argument)).ok();
    let sysroot = ask("--print=sysroot")?;
    if !has_core_sources(Path::new(sysroot.trim())) {
        return None;
    }
    let version = Version::parse(&ask("-vV")?)?;
    let path = env::var("PATH").unwrap_or_default();
    Some(Compiler {
        name: format!("Debian's rustc {}", version.release),
        program: DEBIAN_CARGO.into(),
        arguments: &[],
        variables: vec![
            ("RUSTC_BOOTSTRAP", "1".to_owned()),
            ("RUSTC", DEBIAN_RUSTC.to_owned()),
            ("PATH", format!("/usr/bin:{path}")),
        ],
        llvm: version.llvm,
    })
}

fn has_core_sources(sysroot: &Path) -> bool {
    sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs").is_file()
}

/// An installed bpf-linker that reads the bitcode of this LLVM.
///
/// A linker that has its LLVM linked in doesn't show the version; it is believed, since whoever built
/// it so did it for their own rustc.
pub fn linker_for(llvm: u32) -> Option<PathBuf> {
    linkers().into_iter().find(|linker| linker_llvm(linker).is_none_or(|found| found == llvm))
}

/// Every bpf-linker in sight: in PATH, where cargo installs, and where setup puts its own.
pub fn linkers() -> Vec<PathBuf> {
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    let installed = cargo_home.map(|home| home.join("bin/bpf-linker"));
    process::find_program("bpf-linker")
        .into_iter()
        .chain(installed)
        .chain([own_linker_root().join("bin/bpf-linker")])
        .filter(|linker| linker.is_file())
        .collect()
}

/// Where setup installs a linker when the user has one that doesn't fit and shan't be replaced.
pub fn own_linker_root() -> PathBuf {
    workspace::target_dir().join("tools")
}

fn linker_llvm(linker: &Path) -> Option<u32> {
    llvm_of_libraries(&process::printed(Command::new("ldd").arg(linker)).ok()?)
}

/// The LLVM version among the libraries that `ldd` lists: `libLLVM.so.22.1` or `libLLVM-17.so.1`.
fn llvm_of_libraries(listing: &str) -> Option<u32> {
    let library = listing.split_whitespace().find(|word| word.starts_with("libLLVM"))?;
    leading_number(library.trim_start_matches(|c: char| !c.is_ascii_digit()))
}

/// What `rustc -vV` says of itself.
#[derive(Debug, PartialEq)]
struct Version {
    release: String,
    llvm: u32,
}

impl Version {
    fn parse(printed: &str) -> Option<Self> {
        let field = |name| printed.lines().find_map(|line| line.strip_prefix(name));
        Some(Self {
            release: field("release: ")?.to_owned(),
            llvm: leading_number(field("LLVM version: ")?)?,
        })
    }
}

fn leading_number(text: &str) -> Option<u32> {
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Is this a variable by which the cargo or rustup that started us would mislead an inner one? What
/// the user sets for every cargo (its home, network, registries, colours, jobs) stays.
fn is_outer_cargo_variable(name: &OsStr) -> bool {
    const KEPT: [&str; 8] = [
        "CARGO_HOME",
        "CARGO_BUILD_JOBS",
        "CARGO_TERM_",
        "CARGO_NET_",
        "CARGO_HTTP_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
        "CARGO_INCREMENTAL",
    ];
    const DROPPED: [&str; 9] = [
        "CARGO",
        "RUSTC",
        "RUSTDOC",
        "RUSTFLAGS",
        "RUSTDOCFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTUP_TOOLCHAIN",
        "LD_LIBRARY_PATH",
    ];
    let name = name.to_string_lossy();
    let is_cargo = name.starts_with("CARGO_") && !KEPT.iter().any(|kept| name.starts_with(kept));
    is_cargo || DROPPED.contains(&name.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llvm_is_read_from_the_libraries() {
        fn check(listing: &str, expected: Option<u32>) {
            assert_eq!(llvm_of_libraries(listing), expected, "{listing}");
        }
        check("\tlibLLVM.so.22.1 => /usr/lib/llvm-22/lib/libLLVM.so.22.1 (0x7f)", Some(22));
        check("\tlibLLVM-17.so.1 => /lib/x86_64-linux-gnu/libLLVM-17.so.1 (0x7f)", Some(17));
        check("\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f)", None);
        check("\tnot a dynamic executable", None);
    }

    #[test]
    fn versions_are_read_from_rustc() {
        fn check(printed: &str, expected: Option<(&str, u32)>) {
            let expected =
                expected.map(|(release, llvm)| Version { release: release.to_owned(), llvm });
            assert_eq!(Version::parse(printed), expected, "{printed}");
        }
        check(
            "rustc 1.96.0 (ac6 2026-05-25)\nrelease: 1.96.0\nLLVM version: 22.1.8\n",
            Some(("1.96.0", 22)),
        );
        check("release: 1.97.0-nightly\nLLVM version: 23.0.0", Some(("1.97.0-nightly", 23)));
        check("release: 1.97.0-nightly\n", None);
        check("", None);
    }

    #[test]
    fn outer_cargo_variables_are_told_from_the_users() {
        fn check(name: &str, expected: bool) {
            assert_eq!(is_outer_cargo_variable(OsStr::new(name)), expected, "{name}");
        }
        check("CARGO", true);
        check("CARGO_MANIFEST_DIR", true);
        check("CARGO_ENCODED_RUSTFLAGS", true);
        check("CARGO_TARGET_DIR", true);
        check("CARGO_PROFILE_RELEASE_LTO", true);
        check("RUSTC", true);
        check("RUSTUP_TOOLCHAIN", true);
        check("CARGO_HOME", false);
        check("CARGO_REGISTRIES_MIRROR_INDEX", false);
        check("CARGO_TERM_COLOR", false);
        check("RUSTUP_HOME", false);
        check("PATH", false);
    }
}
