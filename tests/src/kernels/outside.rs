//! The machine from outside: what is put into it, and what it says.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::{ALL_PASSED, MODULES, OBJECT, PROGRAMS, SIPPROT};
use crate::{emulated::Machine, process::Process};

/// What tests and the lab start, as far as this host has it.
const TOOLS: [&str; 14] = [
    "ip",
    "tc",
    "ethtool",
    "sh",
    "mount",
    "umount",
    "mountpoint",
    "rm",
    "sleep",
    "openssl",
    "tar",
    "env",
    "ls",
    "cat",
];
/// What the lab's interfaces are made of, where the kernel has it apart.
const WANTED: [&str; 12] = [
    "veth",
    "llc",
    "stp",
    "garp",
    "mrp",
    "8021q",
    "bridge",
    "macvlan",
    "tls",
    "bonding",
    "sch_ingress",
    "cls_bpf",
];
const MEMORY_MIB: u32 = 3072;
const LIMIT: Duration = Duration::from_secs(3600);

/// What is tried, on which kernel.
#[derive(Clone, Debug)]
pub struct Trial {
    /// A kernel's package, unpacked.
    pub kernel: PathBuf,
    pub object: PathBuf,
    pub sipprot: PathBuf,
    pub programs: Vec<PathBuf>,
}

impl Trial {
    /// What the machine said, and whether all passed.
    pub fn run(&self) -> Result<(String, bool)> {
        let directory = tempfile::tempdir().context("make a directory")?;
        let directory = directory.path();
        let tree = directory.join("root");
        self.lay(&tree)?;
        let initrd = directory.join("initrd");
        pack(&tree, &initrd)?;
        fs::remove_dir_all(&tree).context("remove the tree")?;
        let kernel = only(&self.kernel.join("boot"), "vmlinuz-")?;
        let append = "console=ttyS0 quiet panic=-1 rdinit=/init".to_owned();
        let machine = Machine { kernel, initrd, append, memory_mib: MEMORY_MIB };
        let console = directory.join("console");
        let mut qemu = Command::new("qemu-system-x86_64");
        machine.start_by(&mut qemu, &console);
        qemu.arg("-no-reboot");
        Process::start(qemu, &directory.join("qemu.log"))?.wait(LIMIT)?;
        let said = fs::read(&console).context("read what it said")?;
        let said = String::from_utf8_lossy(&said).replace('\r', "");
        let passed = said.lines().any(|line| line == ALL_PASSED);
        Ok((said, passed))
    }

    fn lay(&self, tree: &Path) -> Result<()> {
        let own = std::env::current_exe().context("find this program")?;
        for directory in ["bin", PROGRAMS, MODULES, "etc", "root", "sys", "proc"] {
            fs::create_dir_all(tree.join(directory)).context("make a directory")?;
        }
        put(&own, &tree.join("init"))?;
        put(&self.object, &tree.join(OBJECT))?;
        put(&self.sipprot, &tree.join(SIPPROT))?;
        let mut programs = vec![own, self.sipprot.clone()];
        for program in &self.programs {
            let name = program.file_name().context("a program's name")?.to_string_lossy();
            // Without the hash that cargo puts behind it.
            let name = name.split('-').next().unwrap_or_default();
            put(program, &tree.join(PROGRAMS).join(name))?;
            programs.push(program.clone());
        }
        for tool in TOOLS.iter().filter_map(|tool| found(tool)) {
            put(&tool, &tree.join("bin").join(tool.file_name().context("a name")?))?;
            programs.push(tool);
        }
        for library in libraries(&programs)? {
            let to = tree.join(library.strip_prefix("/").context("an absolute path")?);
            fs::create_dir_all(to.parent().context("a directory")?)?;
            put(&library, &to)?;
        }
        let mut modules = Vec::new();
        find_modules(&self.kernel.join("lib/modules"), &mut modules)?;
        // What they are debugged by is most of them.
        for entry in fs::read_dir(tree.join(PROGRAMS))?.flatten() {
            strip(&entry.path());
        }
        ["init", SIPPROT].iter().for_each(|it| strip(&tree.join(it)));
        for module in modules {
            let name = module.file_name().context("a module's name")?;
            put(&module, &tree.join(MODULES).join(name))?;
        }
        Ok(())
    }
}

fn put(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("put {}", to.display()))?;
    let mode = fs::metadata(from)?.permissions().mode();
    fs::set_permissions(to, fs::Permissions::from_mode(mode | 0o500)).context("set a mode")
}

/// As far as there is something to do it with: it only makes the machine start sooner.
fn strip(program: &Path) {
    let _ = Command::new("strip").arg("--strip-all").arg(program).stderr(Stdio::null()).status();
}

fn found(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|it| it.join(tool)).find(|it| it.is_file())
}

/// What the dynamic linker would load for these programs, and itself.
fn libraries(programs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").args(programs).output().context("run ldd")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words =
        text.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':'));
    let mut libraries: Vec<_> = words.map(PathBuf::from).collect();
    libraries.sort();
    libraries.dedup();
    Ok(libraries)
}

fn find_modules(below: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(below).with_context(|| below.display().to_string())?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            find_modules(&path, found)?;
        } else if path.extension().is_some_and(|it| it == "ko")
            && path.file_stem().is_some_and(|it| WANTED.iter().any(|wanted| it == *wanted))
        {
            found.push(path);
        }
    }
    Ok(())
}

fn only(directory: &Path, start: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let mut named =
        entries.flatten().filter(|it| it.file_name().to_string_lossy().starts_with(start));
    Ok(named.next().with_context(|| format!("no {start} in {}", directory.display()))?.path())
}

/// As the kernel takes it for its first root.
fn pack(tree: &Path, into: &Path) -> Result<()> {
    let mut names = Vec::new();
    names_below(tree, Path::new(""), &mut names)?;
    let file = fs::File::create(into).context("make the first root")?;
    let mut cpio = Command::new("cpio");
    cpio.args(["--create", "--format=newc", "--owner=0:0", "--quiet"]).current_dir(tree);
    let mut child = cpio.stdin(Stdio::piped()).stdout(file).spawn().context("run cpio")?;
    child.stdin.take().context("cpio's stdin")?.write_all(names.join("\n").as_bytes())?;
    ensure!(child.wait().context("wait for cpio")?.success(), "cpio failed");
    Ok(())
}

/// Directories before what is in them.
fn names_below(tree: &Path, place: &Path, names: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(tree.join(place))?.flatten() {
        let path = place.join(entry.file_name());
        names.push(path.display().to_string());
        if entry.path().is_dir() {
            names_below(tree, &path, names)?;
        }
    }
    Ok(())
}
