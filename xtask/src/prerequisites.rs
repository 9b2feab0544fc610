//! What a machine must have, by purpose: the table, and the decision what of it is missing.
//!
//! It looks at nothing by itself: the facts about a machine come in through `Machine`.

use std::fmt;

use clap::ValueEnum;

/// What a prerequisite is for. A verb asks for the purposes that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Purpose {
    /// Compiling the eBPF object
    Build,
    /// Pinning maps and links
    Pinning,
    /// Network namespaces, a real PBX, real attackers
    Lab,
    /// Countries of addresses
    Geo,
    /// Checking the metrics' format
    Metrics,
    /// Trying the API by its own description
    Api,
    /// Building the dashboard, and looking at it in a browser
    Ui,
    /// Compiling libFuzzer
    Fuzz,
    /// Compiling for aarch64
    Arm,
    /// Other kernels, in an emulated machine
    Kernels,
    /// What the datapath is measured against
    Bench,
    /// Looking at programs and maps by hand
    Inspection,
    /// Making the Debian package
    Package,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Build => "build",
            Self::Pinning => "pinning",
            Self::Lab => "lab",
            Self::Geo => "geo",
            Self::Metrics => "metrics",
            Self::Api => "api",
            Self::Ui => "ui",
            Self::Fuzz => "fuzz",
            Self::Arm => "arm",
            Self::Kernels => "kernels",
            Self::Bench => "bench",
            Self::Inspection => "inspection",
            Self::Package => "package",
        })
    }
}

/// How to see that a prerequisite is met. A program or a file counts wherever it came from; a package
/// is asked for where only the distribution's own will do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Probe {
    Program(&'static str),
    File(&'static str),
    Package,
    PackageSince(u32, u32),
}

/// A package of the distribution.
#[derive(Debug, PartialEq)]
pub struct Package {
    pub name: &'static str,
    pub purpose: Purpose,
    pub probe: Probe,
    pub why: &'static str,
    /// A service that comes along and that nobody asked for, named like the package that brings it.
    pub service: Option<&'static str>,
    /// Needed only to install bpf-linker.
    pub for_linker: bool,
}

const fn package(name: &'static str, purpose: Purpose, probe: Probe, why: &'static str) -> Package {
    Package { name, purpose, probe, why, service: None, for_linker: false }
}

const fn linker_package(name: &'static str, why: &'static str) -> Package {
    Package { for_linker: true, ..package(name, Purpose::Build, Probe::Package, why) }
}

impl Package {
    const fn with_service(self, name: &'static str) -> Self {
        Self { service: Some(name), ..self }
    }
}

/// Debian 12 has an older rustc of the same name outside its security suite, whose LLVM no current
/// bpf-linker reads.
const RUSTC: Probe = Probe::PackageSince(1, 96);

/// The module itself lies where the machine's architecture says.
const KAMAILIO_TLS: Probe = Probe::File("/usr/share/doc/kamailio-tls-modules/copyright");

pub const PACKAGES: &[Package] = {
    use Probe::{File, Package, Program};
    use Purpose::{Api, Arm, Bench, Build, Fuzz, Geo, Inspection, Kernels, Lab, Metrics, Ui};
    &[
        package("rustc-web", Build, RUSTC, "compiles the eBPF crate"),
        package("cargo-web", Build, RUSTC, "builds the eBPF crate with that compiler"),
        package("rust-web-src", Build, RUSTC, "core's sources, which are built for the BPF target"),
        package("rust-web-clippy", Build, RUSTC, "checks the eBPF crate in `lint`"),
        package("libc6-dev", Build, Package, "links the host's programs"),
        linker_package("llvm-22-dev", "the LLVM that bpf-linker is built with"),
        linker_package("libpolly-22-dev", "a library that this LLVM names"),
        linker_package("libzstd-dev", "a library that this LLVM names"),
        package("kamailio", Lab, Program("kamailio"), "the PBX that the lab protects")
            .with_service("kamailio"),
        package("kamailio-tls-modules", Lab, KAMAILIO_TLS, "its TLS"),
        package("openssh-server", Lab, File("/usr/sbin/sshd"), "logins that fail, and its log")
            .with_service("ssh"),
        package("openssh-client", Lab, Program("ssh"), "those who log in"),
        package("openssl", Lab, Program("openssl"), "certificates and a client that speaks TLS"),
        package("sip-tester", Lab, Program("sipp"), "the office's phones and the trunk"),
        package("sipvicious", Lab, Program("svcrack"), "the attackers' own tools"),
        package("tftpd-hpa", Lab, Program("in.tftpd"), "a TFTP server to be guarded")
            .with_service("tftpd-hpa"),
        package("strace", Lab, Program("strace"), "a disk that takes its time"),
        package("e2fsprogs", Lab, Program("mke2fs"), "a file system that can fail"),
        package(
            "libfaketime",
            Lab,
            File("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"),
            "a clock that is years off",
        ),
        package("curl", Lab, Program("curl"), "fetches over HTTP and TFTP"),
        package("nats-server", Lab, Program("nats-server"), "what a fleet talks over")
            .with_service("nats-server"),
        package(
            "python3-aiosmtpd",
            Lab,
            Program("aiosmtpd"),
            "the mail server that is told of attacks",
        ),
        package("iproute2", Lab, Program("ip"), "makes namespaces, links and routes"),
        package("ethtool", Lab, Program("ethtool"), "turns VLAN offloads off"),
        package("nftables", Lab, Program("nft"), "counts at the PBX's side of the filter"),
        package("tcpdump", Lab, Program("tcpdump"), "records what a failed test saw"),
        package("util-linux", Lab, Program("nsenter"), "enters a namespace and keeps bpffs"),
        package("zsh", Lab, Program("zsh"), "a shell that completes, beside bash"),
        package("fish", Lab, Program("fish"), "another one"),
        package("man-db", Lab, Program("man"), "shows the pages of the manual"),
        package("mandoc", Lab, Program("mandoc"), "checks them"),
        package("procps", Lab, Program("sysctl"), "sets the namespaces' network parameters"),
        package("tor-geoipdb", Geo, File("/usr/share/tor/geoip"), "the default country ranges")
            .with_service("tor"),
        package("prometheus", Metrics, Program("promtool"), "checks /metrics")
            .with_service("prometheus"),
        package("python3-venv", Api, Package, "where schemathesis lives"),
        package("nodejs", Ui, Program("node"), "builds the dashboard"),
        package("npm", Ui, Program("npm"), "fetches what it is built with"),
        package("chromium", Ui, Program("chromium"), "the browser that tries it"),
        package("g++", Fuzz, Program("c++"), "compiles libFuzzer"),
        package("gcc-aarch64-linux-gnu", Arm, Program("aarch64-linux-gnu-gcc"), "C for aarch64"),
        package("libc6-dev-arm64-cross", Arm, Package, "what C for aarch64 includes"),
        package("qemu-system-x86", Kernels, Program("qemu-system-x86_64"), "emulates a machine"),
        package("cpio", Kernels, Program("cpio"), "packs what that machine begins with"),
        package("xdp-tools", Bench, Program("xdp-filter"), "a peer: xdp-filter"),
        package("ipset", Bench, Program("ipset"), "a peer: sets of networks"),
        package("iptables", Bench, Program("iptables"), "where ipset's sets are asked"),
        package("fail2ban", Bench, Program("fail2ban-server"), "a peer: bans by the PBX's log")
            .with_service("fail2ban"),
        package("sqlite3", Bench, Program("sqlite3"), "reads fail2ban's database for an import"),
        package("python3-pyinotify", Bench, Package, "lets fail2ban see a log's lines at once"),
        package("dpkg-dev", Purpose::Package, Program("dpkg-shlibdeps"), "what a binary needs"),
        package("bpftool", Inspection, Program("bpftool"), "shows loaded programs and maps"),
    ]
};

/// Debian's packages that exclude rustc-web and its companions.
pub const CONFLICTS: &[&str] =
    &["rustc", "cargo", "rustup", "rust-src", "rust-clippy", "libstd-rust-dev"];

/// The facts about a machine that decide what is missing.
pub trait Machine {
    fn has_program(&self, name: &str) -> bool;
    fn has_file(&self, path: &str) -> bool;
    /// The version of a package, if it is installed.
    fn package_version(&self, name: &str) -> Option<String>;
    /// Rustup's nightly with a fitting linker, which makes the distribution's compiler needless.
    fn has_nightly_toolchain(&self) -> bool;
    /// A bpf-linker for the distribution's compiler.
    fn has_linker(&self) -> bool;
    fn has_bpffs(&self) -> bool;
    /// The schemathesis of the version that the tests were written with.
    fn has_schemathesis(&self) -> bool;
}

/// What stands between a machine and a purpose.
#[derive(Debug, Default, PartialEq)]
pub struct Missing {
    pub packages: Vec<&'static Package>,
    pub linker: bool,
    pub bpffs: bool,
    pub schemathesis: bool,
    /// Installed packages that exclude some of the missing ones.
    pub conflicts: Vec<&'static str>,
    /// Services that would come with the missing packages, and that the machine hasn't got now: one
    /// that it has may be in use.
    pub services: Vec<&'static str>,
}

impl Missing {
    pub fn of(machine: &impl Machine, purposes: &[Purpose]) -> Self {
        let wanted = |purpose| purposes.contains(&purpose);
        let compiler_wanted = wanted(Purpose::Build) && !machine.has_nightly_toolchain();
        let linker = compiler_wanted && !machine.has_linker();
        let packages: Vec<_> = PACKAGES
            .iter()
            .filter(|package| wanted(package.purpose))
            .filter(|package| package.purpose != Purpose::Build || compiler_wanted)
            .filter(|package| !package.for_linker || linker)
            .filter(|package| !is_met(machine, package))
            .collect();
        let is_compiler = |package: &&Package| package.probe == RUSTC;
        let conflicts = match packages.iter().copied().any(|package| is_compiler(&package)) {
            true => installed_conflicts(machine),
            false => Vec::new(),
        };
        let services = packages
            .iter()
            .filter_map(|package| package.service)
            .filter(|service| machine.package_version(service).is_none())
            .collect();
        let bpffs = wanted(Purpose::Pinning) && !machine.has_bpffs();
        let schemathesis = wanted(Purpose::Api) && !machine.has_schemathesis();
        Self { packages, linker, bpffs, schemathesis, conflicts, services }
    }

    pub fn is_empty(&self) -> bool {
        self.packages.is_empty() && !self.linker && !self.bpffs && !self.schemathesis
    }
}

fn installed_conflicts(machine: &impl Machine) -> Vec<&'static str> {
    let installed = |name: &&&str| machine.package_version(name).is_some();
    CONFLICTS.iter().filter(installed).copied().collect()
}

fn is_met(machine: &impl Machine, package: &Package) -> bool {
    match package.probe {
        Probe::Program(name) => machine.has_program(name),
        Probe::File(path) => machine.has_file(path),
        Probe::Package => machine.package_version(package.name).is_some(),
        Probe::PackageSince(major, minor) => machine
            .package_version(package.name)
            .is_some_and(|version| major_minor(&version) >= Some((major, minor))),
    }
}

/// The first two numbers of an upstream version without an epoch, as in `1.96.0+dfsg1-1~deb12u2`.
fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with every program and file, but only the packages named.
    #[derive(Default)]
    struct Fake {
        packages: &'static [(&'static str, &'static str)],
        lacks: &'static [&'static str],
        nightly: bool,
        linker: bool,
        bpffs: bool,
        schemathesis: bool,
    }

    impl Machine for Fake {
        fn has_program(&self, name: &str) -> bool {
            !self.lacks.contains(&name)
        }
        fn has_file(&self, path: &str) -> bool {
            !self.lacks.contains(&path)
        }
        fn package_version(&self, name: &str) -> Option<String> {
            let found = self.packages.iter().find(|(package, _)| *package == name);
            found.map(|(_, version)| (*version).to_owned())
        }
        fn has_nightly_toolchain(&self) -> bool {
            self.nightly
        }
        fn has_linker(&self) -> bool {
            self.linker
        }
        fn has_bpffs(&self) -> bool {
            self.bpffs
        }
        fn has_schemathesis(&self) -> bool {
            self.schemathesis
        }
    }

    /// Asserts what is missing, as one line of names.
    fn check(machine: &Fake, purposes: &[Purpose], expected: &str) {
        let missing = Missing::of(machine, purposes);
        let mut names: Vec<_> = missing.packages.iter().map(|package| package.name).collect();
        names.extend(missing.linker.then_some("bpf-linker"));
        names.extend(missing.bpffs.then_some("bpffs"));
        names.extend(missing.schemathesis.then_some("schemathesis"));
        let conflicts = missing.conflicts.iter().map(|name| format!("!{name}"));
        let line: Vec<_> = names.into_iter().map(str::to_owned).chain(conflicts).collect();
        assert_eq!(line.join(" "), expected);
    }

    #[test]
    fn services_of_the_users_own_are_left_alone() {
        fn check(packages: &'static [(&str, &str)], expected: &[&str]) {
            let lacks = &["kamailio", "/usr/share/tor/geoip"];
            let machine = Fake { packages, lacks, ..Fake::default() };
            let missing = Missing::of(&machine, &[Purpose::Lab, Purpose::Geo, Purpose::Metrics]);
            assert_eq!(missing.services, expected);
        }
        check(&[], &["kamailio", "tor"]);
        check(&[("tor", "0.4.7.16-1")], &["kamailio"]);
    }

    const COMPILER: &[(&str, &str)] = &[
        ("rustc-web", "1.96.0+dfsg1-1~deb12u2"),
        ("cargo-web", "1.96.0+dfsg1-1~deb12u2"),
        ("rust-web-src", "1.96.0+dfsg1-1~deb12u2"),
        ("rust-web-clippy", "1.97.0-1"),
        ("libc6-dev", "2.36-9"),
    ];

    #[test]
    fn the_compiler_comes_from_one_of_two_places() {
        use Purpose::Build;
        let fresh = "rustc-web cargo-web rust-web-src rust-web-clippy libc6-dev llvm-22-dev \
                     libpolly-22-dev libzstd-dev bpf-linker";
        check(&Fake::default(), &[Build], fresh);
        check(&Fake { nightly: true, ..Fake::default() }, &[Build], "");
        check(&Fake { packages: COMPILER, linker: true, ..Fake::default() }, &[Build], "");
        check(
            &Fake { packages: COMPILER, ..Fake::default() },
            &[Build],
            "llvm-22-dev libpolly-22-dev libzstd-dev bpf-linker",
        );
    }

    #[test]
    fn an_old_compiler_counts_as_missing() {
        let packages = &[
            ("rustc-web", "1.85.0+dfsg3-1~deb12u3"),
            ("cargo-web", "1.96.0+dfsg1-1~deb12u2"),
            ("rust-web-src", "2.0.0-1"),
            ("rust-web-clippy", "not a version"),
            ("libc6-dev", "2.36-9"),
        ];
        let machine = Fake { packages, linker: true, ..Fake::default() };
        check(&machine, &[Purpose::Build], "rustc-web rust-web-clippy");
    }

    #[test]
    fn conflicts_matter_only_where_the_compiler_is_missing() {
        let rustup = &[("rustup", "1.27"), ("libc6-dev", "2.36-9")];
        let machine = Fake { packages: rustup, linker: true, ..Fake::default() };
        let missing = "rustc-web cargo-web rust-web-src rust-web-clippy !rustup";
        check(&machine, &[Purpose::Build], missing);
        check(&Fake { packages: rustup, nightly: true, ..Fake::default() }, &[Purpose::Build], "");
        check(&machine, &[Purpose::Lab], "");
    }

    #[test]
    fn only_what_the_purposes_need_is_missing() {
        use Purpose::{Api, Geo, Lab, Metrics, Pinning};
        let lacks = &["kamailio", "svcrack", "/usr/share/tor/geoip", "promtool"];
        let machine = Fake { lacks, ..Fake::default() };
        check(&machine, &[], "");
        check(&machine, &[Lab], "kamailio sipvicious");
        check(&machine, &[Pinning], "bpffs");
        check(&machine, &[Api], "python3-venv schemathesis");
        check(&machine, &[Geo, Metrics, Pinning], "tor-geoipdb prometheus bpffs");
        check(&Fake { bpffs: true, ..Fake::default() }, &[Pinning, Lab], "");
    }
}
