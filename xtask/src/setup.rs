//! `cargo xtask setup`: says what this machine lacks and why it is wanted, and installs it.
//!
//! The other verbs call `ensure` with the purposes that they need; with nothing missing it prints
//! nothing. It serves Debian 12; elsewhere it prints the exact list, and whatever the machine has
//! from other sources counts. It never removes anything.

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::{
    prerequisites::{CONFLICTS, Machine, Missing, PACKAGES, Package, Purpose},
    process::{self, Privilege, say},
    toolchain::{self, DEBIAN_LLVM, Toolchain},
    workspace,
};

const LINKER_VERSION: &str = "0.13.0";
const BPFFS: &str = "/sys/fs/bpf";
const SCHEMATHESIS_VERSION: &str = "4.32.5";

/// Installs the packages in its arguments and starts none of their services: for that time a policy
/// of ours denies it, unless the machine has one of its own. The trap removes it, on an interrupt
/// too. `--no-remove` makes a conflict an error.
const INSTALL_SCRIPT: &str = r#"
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ] || grep -q 'SIPprot setup' "$policy"; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' HUP INT TERM
    printf '#!/bin/sh\n# SIPprot setup: no service starts while packages are installed.\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq --yes --no-install-recommends --no-remove \
    -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@"
"#;

#[derive(Args)]
pub struct Options {
    /// Only report; exit non-zero if something is missing
    #[arg(long)]
    check: bool,
    /// Only what these purposes need
    #[arg(value_enum)]
    purposes: Vec<Purpose>,
}

pub fn setup(options: &Options) -> Result<()> {
    let purposes = match options.purposes.as_slice() {
        [] => Purpose::value_variants(),
        some => some,
    };
    let machine = ThisMachine::probe()?;
    let missing = Missing::of(&machine, purposes);
    report(&machine, purposes, &missing);
    if missing.is_empty() {
        return Ok(());
    }
    if options.check {
        bail!("something is missing: `cargo xtask setup` installs it");
    }
    install(&missing, purposes)
}

/// Makes sure that the machine has what these purposes need.
pub fn ensure(purposes: &[Purpose]) -> Result<()> {
    let machine = ThisMachine::probe()?;
    let missing = Missing::of(&machine, purposes);
    if missing.is_empty() {
        return Ok(());
    }
    report(&machine, purposes, &missing);
    install(&missing, purposes)
}

fn report(machine: &ThisMachine, purposes: &[Purpose], missing: &Missing) {
    for purpose in purposes {
        let lines = missing_lines(*purpose, missing);
        match lines.as_slice() {
            [] if *purpose == Purpose::Build => say(format_args!("build: {}", machine.toolchain())),
            [] => say(format_args!("{purpose}: complete")),
            lines => lines.iter().for_each(|line| say(format_args!("{purpose}: missing {line}"))),
        }
    }
}

fn missing_lines(purpose: Purpose, missing: &Missing) -> Vec<String> {
    let mut lines: Vec<_> = missing
        .packages
        .iter()
        .filter(|package| package.purpose == purpose)
        .map(|package| format!("{}: {}", package.name, package.why))
        .collect();
    if missing.linker && purpose == Purpose::Build {
        lines.push(format!("bpf-linker for LLVM {DEBIAN_LLVM}: links the eBPF object"));
    }
    if missing.bpffs && purpose == Purpose::Pinning {
        lines.push(format!("{BPFFS}: the BPF file system isn't mounted"));
    }
    if missing.schemathesis && purpose == Purpose::Api {
        lines.push(format!(
            "schemathesis {SCHEMATHESIS_VERSION}: asks what the API's description allows"
        ));
    }
    lines
}

/// Installs what is missing, and looks again: what an installer claims isn't proof.
fn install(missing: &Missing, purposes: &[Purpose]) -> Result<()> {
    if let Some(reason) = refusal(missing) {
        bail!("{reason}; wanted:\n{}", remedy(missing));
    }
    if !missing.packages.is_empty() {
        install_packages(&missing.packages)?;
        missing.services.iter().try_for_each(|name| disable_service(name))?;
    }
    if missing.linker {
        install_linker()?;
    }
    if missing.bpffs {
        process::run(process::as_root("mount")?.args(["-t", "bpf", "bpf", BPFFS]))?;
    }
    if missing.schemathesis {
        install_schemathesis()?;
    }
    let left = Missing::of(&ThisMachine::probe()?, purposes);
    if !left.is_empty() {
        bail!("still missing after the installation:\n{}", remedy(&left));
    }
    say("setup: everything is there");
    Ok(())
}

/// Why this machine can't be served, if so.
fn refusal(missing: &Missing) -> Option<String> {
    if !missing.conflicts.is_empty() {
        let names = missing.conflicts.join(" ");
        return Some(format!(
            "installed and in conflict with rustc-web: {names}; nothing is removed for you: either \
             run `apt-get remove {names}` (rustup from its own site stays usable), or give rustup's \
             nightly `rust-src` and a bpf-linker for its LLVM"
        ));
    }
    if Privilege::of_this_process() == Privilege::None {
        return Some("cannot install without root or sudo".to_owned());
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !missing.packages.is_empty() && !is_debian_12(&release) {
        return Some("setup installs on Debian 12 only".to_owned());
    }
    None
}

fn is_debian_12(os_release: &str) -> bool {
    let field = |name| {
        let value = os_release.lines().find_map(|line| line.strip_prefix(name))?;
        Some(value.trim_matches('"'))
    };
    field("ID=") == Some("debian") && field("VERSION_ID=") == Some("12")
}

/// The exact list of what to do by hand.
fn remedy(missing: &Missing) -> String {
    let mut list = String::new();
    for package in &missing.packages {
        let _ = writeln!(list, "  {:16} {}", package.name, package.why);
    }
    if !missing.packages.is_empty() {
        let names: Vec<_> = missing.packages.iter().map(|package| package.name).collect();
        let _ = writeln!(
            list,
            "  as root: apt-get install --no-install-recommends {}",
            names.join(" ")
        );
        list.push_str(
            "  (names of Debian 12 with its security suite; other systems name them otherwise)\n",
        );
    }
    if missing.linker {
        let arguments = linker_arguments().join(" ");
        let _ = writeln!(list, "  LLVM_PREFIX={} cargo {arguments}", llvm_prefix());
    }
    if missing.bpffs {
        let _ = writeln!(list, "  as root: mount -t bpf bpf {BPFFS}");
    }
    if missing.schemathesis {
        let root = schemathesis_root();
        let _ = writeln!(list, "  python3 -m venv {}", root.display());
        let _ = writeln!(list, "  {}/bin/pip install {}", root.display(), schemathesis_wanted());
    }
    list.truncate(list.trim_end().len());
    list
}

fn install_packages(packages: &[&Package]) -> Result<()> {
    let names = packages.iter().map(|package| package.name);
    say(format_args!("installing {}", names.clone().collect::<Vec<_>>().join(" ")));
    process::run(process::as_root("sh")?.args(["-c", INSTALL_SCRIPT, "setup"]).args(names)).context(
        "cannot install the packages (they come from Debian 12 with its security and updates \
             suites: are these among apt's sources?)",
    )
}

/// A service that came along would hold the PBX's ports from the next boot on, or talk to the world.
fn disable_service(name: &str) -> Result<()> {
    say(format_args!("disabling the service {name}, which came along"));
    // update-rc.d tells systemd too, but fails for a service that has a unit and no script.
    let (program, words) = if Path::new("/etc/init.d").join(name).exists() {
        ("update-rc.d", [name, "disable"])
    } else {
        ("systemctl", ["disable", name])
    };
    process::run(process::as_root(program)?.args(words))
}

fn llvm_prefix() -> String {
    format!("/usr/lib/llvm-{DEBIAN_LLVM}")
}

fn linker_arguments() -> Vec<String> {
    let feature = format!("llvm-{DEBIAN_LLVM}");
    ["install", "bpf-linker", "--locked", "--version", LINKER_VERSION, "--no-default-features"]
        .into_iter()
        .chain(["--features", &feature])
        .map(str::to_owned)
        .collect()
}

/// Builds bpf-linker against Debian's LLVM, which takes a minute or two. A linker of the user's that
/// doesn't fit stays, and ours goes beside the build.
fn install_linker() -> Result<()> {
    say(format_args!("installing bpf-linker {LINKER_VERSION} for LLVM {DEBIAN_LLVM}"));
    let mut command = workspace::cargo("install");
    command.args(&linker_arguments()[1..]).env("LLVM_PREFIX", llvm_prefix());
    command.env_remove("CARGO_TARGET_DIR");
    if !toolchain::linkers().is_empty() {
        command.arg("--root").arg(toolchain::own_linker_root());
    }
    process::run(&mut command)
}

/// Of its own version, and out of the build's way: it is the same for every checkout.
fn schemathesis_root() -> PathBuf {
    let home = std::env::var_os("HOME").map_or_else(workspace::target_dir, PathBuf::from);
    home.join(".cache/sipprot").join(format!("schemathesis-{SCHEMATHESIS_VERSION}"))
}

fn schemathesis_wanted() -> String {
    format!("schemathesis=={SCHEMATHESIS_VERSION}")
}

/// The program that tries an API by its own description.
pub fn schemathesis() -> PathBuf {
    schemathesis_root().join("bin/schemathesis")
}

fn install_schemathesis() -> Result<()> {
    say(format_args!("installing {}", schemathesis_wanted()));
    let root = schemathesis_root();
    process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&root))?;
    let mut pip = Command::new(root.join("bin/pip"));
    process::run(
        pip.args(["install", "--quiet", "--disable-pip-version-check"]).arg(schemathesis_wanted()),
    )
}

/// The machine that we run on, its packages asked for once.
struct ThisMachine {
    packages: HashMap<String, String>,
}

impl ThisMachine {
    fn probe() -> Result<Self> {
        let packages = match process::find_program("dpkg-query") {
            Some(dpkg_query) => {
                let services = PACKAGES.iter().filter_map(|package| package.service);
                let names = PACKAGES.iter().map(|package| package.name);
                let names = names.chain(services).chain(CONFLICTS.iter().copied());
                let format = "--showformat=${Package} ${db:Status-Status} ${Version}\n";
                installed_versions(&process::printed(
                    Command::new(dpkg_query).args(["--show", format]).args(names),
                )?)
            }
            None => HashMap::new(),
        };
        Ok(Self { packages })
    }

    fn toolchain(&self) -> String {
        match Toolchain::find() {
            Ok(toolchain) => toolchain.description(),
            Err(error) => error.to_string(),
        }
    }
}

/// dpkg's answer as package and version; one that was removed but has configuration left isn't there.
fn installed_versions(listing: &str) -> HashMap<String, String> {
    listing
        .lines()
        .filter_map(|line| match line.split(' ').collect::<Vec<_>>().as_slice() {
            [name, "installed", version] => Some(((*name).to_owned(), (*version).to_owned())),
            _ => None,
        })
        .collect()
}

impl Machine for ThisMachine {
    fn has_program(&self, name: &str) -> bool {
        process::find_program(name).is_some()
    }

    fn has_file(&self, path: &str) -> bool {
        Path::new(path).is_file()
    }

    fn package_version(&self, name: &str) -> Option<String> {
        self.packages.get(name).cloned()
    }

    fn has_nightly_toolchain(&self) -> bool {
        Toolchain::has_nightly()
    }

    fn has_linker(&self) -> bool {
        toolchain::linker_for(DEBIAN_LLVM).is_some()
    }

    fn has_bpffs(&self) -> bool {
        fs::read_to_string("/proc/self/mounts").is_ok_and(|mounts| is_bpffs_mounted(&mounts))
    }

    fn has_schemathesis(&self) -> bool {
        schemathesis().is_file()
    }
}

fn is_bpffs_mounted(mounts: &str) -> bool {
    mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(1);
        fields.next() == Some(BPFFS) && fields.next() == Some("bpf")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_12_is_recognised() {
        fn check(os_release: &str, expected: bool) {
            assert_eq!(is_debian_12(os_release), expected, "{os_release}");
        }
        check("NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n", true);
        check("VERSION_ID=\"13\"\nID=debian\n", false);
        check("VERSION_ID=\"12\"\nID=other\nID_LIKE=debian\n", false);
        check("ID=debian\n", false);
        check("", false);
    }

    #[test]
    fn bpffs_is_seen_among_the_mounts() {
        fn check(mounts: &str, expected: bool) {
            assert_eq!(is_bpffs_mounted(mounts), expected, "{mounts}");
        }
        check("sysfs /sys sysfs rw 0 0\nbpf /sys/fs/bpf bpf rw,nosuid 0 0", true);
        check("none /sys/fs/bpf bpf rw 0 0", true);
        check("bpf /run/other bpf rw 0 0", false);
        check("tmpfs /sys/fs/bpf tmpfs rw 0 0", false);
        check("", false);
    }

    #[test]
    fn only_installed_packages_count() {
        fn check(listing: &str, expected: &[(&str, &str)]) {
            let expected =
                expected.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned()));
            assert_eq!(installed_versions(listing), expected.collect(), "{listing}");
        }
        check("ethtool installed 1:6.1-1\nrustc not-installed \n", &[("ethtool", "1:6.1-1")]);
        check("kamailio config-files 5.6.3-2\n", &[]);
        check("", &[]);
    }

    #[test]
    fn the_remedy_names_every_step() {
        fn check(missing: &Missing, expected: &str) {
            assert_eq!(remedy(missing), expected);
        }
        check(
            &Missing { linker: true, bpffs: true, ..Missing::default() },
            "  LLVM_PREFIX=/usr/lib/llvm-22 cargo install bpf-linker --locked --version 0.13.0 \
             --no-default-features --features llvm-22\n  as root: mount -t bpf bpf /sys/fs/bpf",
        );
        check(&Missing::default(), "");
    }
}
