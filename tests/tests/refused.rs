//! A kernel that doesn't take the programs: what it minds is named, nothing is left half done, the filter of the build
//! before goes on, and nobody tries it again and again.
//!
//! The other build is the same binary with one number changed in its eBPF object: it calls a helper that no kernel
//! has. The binary is the one that `SIPPROT_BIN` names; without it each test says so.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use object::{Object as _, ObjectSection as _};
use sipprot_tests::{
    build,
    daemon::Daemon,
    outpost::{FAR_END, Outpost},
    topology::UPLINK,
};

/// The exit code that the unit doesn't start it again after.
const UNFIT: i32 = 7;
const HELPER: u32 = 9999;
const CALL: u8 = 0x85;
const INSTRUCTION: usize = 8;
const LIMIT: Duration = Duration::from_secs(30);

const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const DENIED: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 66);

/// Where the ingress program's first call of a helper has the helper's number.
fn place_of_helper(object: &object::File<'_>) -> Option<usize> {
    let section = object.section_by_name("xdp")?;
    let (start, _) = section.file_range()?;
    // A source register of 0 means a helper, and not a function of the program's own.
    let calls = |it: &[u8]| it[0] == CALL && it[1] >> 4 == 0;
    let number = section.data().ok()?.chunks_exact(INSTRUCTION).position(calls)?;
    Some(start as usize + number * INSTRUCTION + 4)
}

fn unfit_build(daemon: &Daemon) -> Result<PathBuf> {
    let path = daemon.config_file().with_file_name("unfit-build");
    build::write_changed(daemon.program(), &path, place_of_helper, |_| HELPER)?;
    Ok(path)
}

/// It ends by itself, says what the kernel minds, and that trying again is in vain.
fn is_refused(daemon: &mut Daemon) -> Result<()> {
    let process = daemon.launch()?;
    let status = process.wait(LIMIT)?;
    let said = process.output();
    println!("{status}: {}", process.last_words());
    ensure!(status.code() == Some(UNFIT), "{status}: {said}");
    let named = said.contains("sipprot_ingress") && said.contains(&HELPER.to_string());
    ensure!(named, "the helper isn't named: {said}");
    ensure!(said.lines().count() < 20, "the verifier's whole log: {said}");
    Ok(())
}

#[test]
fn a_refused_program_names_the_helper_and_is_not_tried_again() -> Result<()> {
    let Some(mut outpost) = Outpost::build()? else { return Ok(()) };
    outpost.host.ip(&format!("addr add {HOST}/24 dev {UPLINK}\n"))?;
    outpost.world.ip(&format!("addr add {DENIED}/24 dev {FAR_END}\n"))?;
    let this = outpost.daemon.program().to_owned();
    let unfit = unfit_build(&outpost.daemon)?;

    // At first: nothing stays behind that a build that fits would stumble over.
    outpost.daemon.upgrade(&unfit);
    is_refused(&mut outpost.daemon)?;
    ensure!(outpost.daemon.xdp_mode()? == "none", "half a filter");
    outpost.daemon.upgrade(&this);
    outpost.daemon.start()?;
    outpost.daemon.text(&["deny", "add", &DENIED.to_string()])?;
    ensure!(!arrives(&outpost)?, "it isn't denied");

    // As an upgrade: the programs and the lists of the build before stay in force.
    outpost.daemon.stop()?;
    outpost.daemon.upgrade(&unfit);
    is_refused(&mut outpost.daemon)?;
    ensure!(outpost.daemon.xdp_mode()? != "none", "the filter is gone");
    ensure!(!arrives(&outpost)?, "what was denied comes through");
    outpost.daemon.upgrade(&this);
    outpost.daemon.start()?;
    ensure!(outpost.daemon.check(IpAddr::V4(DENIED))?.denied);
    Ok(())
}

/// Does a datagram of the denied source reach the host?
fn arrives(outpost: &Outpost) -> Result<bool> {
    let listening = outpost.host.run(|| UdpSocket::bind((HOST, 5060)).context("listen"))?;
    listening.set_read_timeout(Some(Duration::from_millis(300))).context("set a time-out")?;
    let sender = outpost.world.run(|| UdpSocket::bind((DENIED, 5060)).context("bind"))?;
    for _ in 0..5 {
        sender.send_to(b"x", (HOST, 5060)).context("send")?;
    }
    Ok(listening.recv(&mut [0; 16]).is_ok())
}

/// What keeps systemd from it: the unit, by the code that the command line has.
#[test]
fn the_unit_does_not_start_it_again() -> Result<()> {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sipprot-ctl/pkg/sipprot.service");
    let text = fs::read_to_string(unit).context("read the unit")?;
    assert!(text.lines().any(|line| line == format!("RestartPreventExitStatus={UNFIT}")));
    Ok(())
}
