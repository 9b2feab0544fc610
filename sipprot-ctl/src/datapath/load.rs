//! Brings the eBPF object into the kernel: its maps into the pin directory, its programs through the
//! verifier.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use aya::programs::{ProgramError, SchedClassifier, Xdp};
use aya::{Ebpf, EbpfLoader};
use sipprot_common::abi::{PROGRAM_EGRESS, PROGRAM_INGRESS};

use super::error::{DatapathError, Result};
use super::pins::{MAPS, Pins};
use super::sys::MapInfo;
use super::{KernelLog, MapSizes, Object};

static EMBEDDED: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sipprot-ebpf.o"));

/// The programs, loaded and not yet attached.
pub struct Programs {
    ebpf: Ebpf,
    pub ingress: OwnedFd,
    pub egress: OwnedFd,
    /// Instructions that the verifier went through, of each program.
    pub verified: [Option<u32>; 2],
}

/// The bytes of the object to load.
pub fn bytes(object: &Object) -> Result<std::borrow::Cow<'static, [u8]>> {
    match object {
        Object::Embedded if EMBEDDED.is_empty() => Err(DatapathError::NoObject),
        Object::Embedded => Ok(EMBEDDED.into()),
        Object::File(path) => std::fs::read(path)
            .map(Into::into)
            .map_err(super::error::system(path.display().to_string())),
    }
}

fn unusable(error: impl std::error::Error) -> DatapathError {
    // aya's errors name the step; the reason is in their sources.
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    DatapathError::Load(text)
}

/// The layouts of the maps that an object asks for.
pub fn layouts(object: &[u8], sizes: &MapSizes) -> Result<BTreeMap<String, MapInfo>> {
    let object = aya_obj::Object::parse(object).map_err(unusable)?;
    MAPS.iter()
        .map(|&name| {
            let map = object.maps.get(name).ok_or_else(|| {
                DatapathError::Load(format!("the object has no map {name}: it is of another build"))
            })?;
            let max_entries = sizes.iter().find(|(map, _)| *map == name);
            let info = MapInfo {
                kind: map.map_type(),
                id: 0,
                key_size: map.key_size(),
                value_size: map.value_size(),
                max_entries: max_entries.map_or(map.max_entries(), |(_, size)| *size),
                flags: map.map_flags(),
            };
            Ok((name.to_string(), info))
        })
        .collect()
}

/// Makes or reuses the pinned maps, and loads both programs.
pub fn load(object: &[u8], pins: &Pins, sizes: &MapSizes) -> Result<(Programs, Option<KernelLog>)> {
    let mut loader = EbpfLoader::new();
    for name in MAPS {
        loader.map_pin_path(name, pins.maps().join(name));
    }
    for (name, size) in sizes {
        loader.map_max_entries(name, *size);
    }
    let mut ebpf = loader.load(object).map_err(unusable)?;
    let log = KernelLog::of(&mut ebpf);
    let ingress = {
        let program: &mut Xdp = program(&mut ebpf, PROGRAM_INGRESS)?;
        program.load().map_err(|error| rejected(PROGRAM_INGRESS, error))?;
        (program.fd().and_then(|fd| Ok(fd.as_fd().try_clone_to_owned()?)), program.info())
    };
    let egress = {
        let program: &mut SchedClassifier = program(&mut ebpf, PROGRAM_EGRESS)?;
        program.load().map_err(|error| rejected(PROGRAM_EGRESS, error))?;
        (program.fd().and_then(|fd| Ok(fd.as_fd().try_clone_to_owned()?)), program.info())
    };
    let verified = [ingress.1, egress.1].map(|info| info.ok()?.verified_instruction_count());
    let (ingress, egress) = (ingress.0.map_err(unusable)?, egress.0.map_err(unusable)?);
    Ok((Programs { ebpf, ingress, egress, verified }, log))
}

fn program<'a, P>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut P>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
{
    let program = ebpf
        .program_mut(name)
        .ok_or_else(|| DatapathError::Load(format!("the object has no program {name}")))?;
    <&mut P>::try_from(program).map_err(unusable)
}

fn rejected(program: &'static str, error: ProgramError) -> DatapathError {
    let ProgramError::LoadError { io_error, verifier_log } = error else {
        return unusable(error);
    };
    let log = verifier_log.to_string();
    if matches!(io_error.raw_os_error(), Some(libc::ENOMEM | libc::EAGAIN | libc::EINTR)) {
        return super::error::system(format!("loading the program {program}"))(io_error);
    }
    DatapathError::Rejected { program, summary: summary(&io_error, &log), log }
}

/// The error, and the last line of the verifier's that is not statistics: it says what the verifier minded, an
/// unknown helper or a limit.
fn summary(error: &std::io::Error, log: &str) -> String {
    const STATISTICS: [&str; 4] = ["processed ", "verification time", "stack depth", "mark_read"];
    let is_said = |line: &&str| {
        !line.is_empty() && !STATISTICS.iter().any(|statistic| line.starts_with(statistic))
    };
    match log.lines().map(str::trim).rfind(is_said) {
        Some(line) => format!("{error}: {line}"),
        None => error.to_string(),
    }
}

impl Programs {
    pub fn classifier(&mut self) -> Result<&mut SchedClassifier> {
        program(&mut self.ebpf, PROGRAM_EGRESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_verifier_minded_is_said() {
        fn check(error: i32, log: &str, expected: &str) {
            let error = std::io::Error::from_raw_os_error(error);
            assert_eq!(summary(&error, log), expected);
        }
        check(
            libc::EINVAL,
            "4: (85) call unknown#9999\ninvalid func unknown#9999\nverification time 9 usec\n\
             stack depth 0\nprocessed 5 insns (limit 1000000) max_states_per_insn 0\n\n",
            "Invalid argument (os error 22): invalid func unknown#9999",
        );
        check(
            libc::E2BIG,
            "BPF program is too large. Processed 1000001 insn\nverification time 9 usec\n\
             processed 1000001 insns (limit 1000000) max_states_per_insn 4\n",
            "Argument list too long (os error 7): BPF program is too large. Processed 1000001 insn",
        );
        check(libc::EPERM, "", "Operation not permitted (os error 1)");
    }

    #[test]
    fn a_build_without_an_object_says_so() {
        match bytes(&Object::Embedded) {
            Ok(object) => assert_eq!(object.get(..4), Some(&b"\x7fELF"[..])),
            Err(error) => assert_eq!(
                error.to_string(),
                "this build has no eBPF object in it: build with `cargo xtask build`"
            ),
        }
        assert!(matches!(layouts(b"no object", &Vec::new()), Err(DatapathError::Load(_))));
    }
}
