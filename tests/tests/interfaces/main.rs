//! Each kind of interface that may be an uplink: native and generic XDP, a bridge's port, a bridge, a VLAN, a bond,
//! jumbo frames; one that goes, comes back or is renamed; one that somebody else's program has; several at once.
//!
//! For each a denied source is dropped, another one passes, and `sipprot status` tells the truth. The binary is the
//! one that `SIPPROT_BIN` names; without it, or without what the kernel has to have, each test says what is missing.

mod foreign;
mod stage;

use anyhow::{Context, Result, ensure};
use foreign::Foreign;
use sipprot_tests::outpost::cable;
use stage::Stage;

/// A test's stage, with a daemon on it that isn't started yet; or a line that says why there is none.
fn stage() -> Result<Option<Stage>> {
    Stage::set()
}

#[test]
fn a_veth_is_filtered_in_its_driver() -> Result<()> {
    let Some(mut stage) = stage()? else { return Ok(()) };
    stage.address("up0", 0)?;
    stage.daemon.start()?;
    stage.is_filtered(&[("up0", "native")])?;
    stage.judges(0)?;
    // With the daemon dead, too, and by the one that takes over.
    stage.daemon.kill()?;
    stage.judges(0)?;
    stage.daemon.start()?;
    stage.is_filtered(&[("up0", "native")])?;
    stage.judges(0)
}

#[test]
fn a_port_of_a_bridge_is_filtered_in_its_driver() -> Result<()> {
    let Some(mut stage) = stage()? else { return Ok(()) };
    stage.host.ip("link add br0 type bridge\nlink set br0 up\nlink set up0 master br0\n")?;
    stage.address("br0", 0)?;
    stage.daemon.start()?;
    stage.is_filtered(&[("up0", "native")])?;
    stage.judges(0)
}

#[test]
fn what_has_no_driver_of_its_own_is_filtered_behind_it() -> Result<()> {
    // As what a bridge hands up, and as what a macvlan takes out of its parent.
    for lines in [
        "link set up0 name port0\nlink add up0 type bridge\nlink set up0 up\nlink set port0 master up0\n",
        "link set up0 name port0\nlink add link port0 name up0 type macvlan mode passthru\nlink set up0 up\n",
    ] {
        let Some(mut stage) = stage()? else { return Ok(()) };
        stage.host.ip(&format!("link set up0 down\n{lines}link set port0 up\n"))?;
        stage.address("up0", 0)?;
        stage.daemon.start()?;
        stage.is_filtered(&[("up0", "generic")])?;
        let log = stage.daemon.log();
        ensure!(log.contains("protecting up0 with generic XDP, which is slower"), "{log}");
        stage.judges(0)?;
    }
    Ok(())
}

/// Makes an interface of a kind that the kernel may lack; false, and a line, if it does.
fn made(stage: &Stage, lines: &str) -> Result<bool> {
    match stage.host.ip(lines) {
        Err(error) if error.to_string().contains("Unknown device type") => {
            println!("skipped: the kernel has no such interfaces: {error:#}");
            Ok(false)
        }
        other => other.map(|()| true),
    }
}

#[test]
fn a_vlan_is_filtered_and_so_is_the_trunk_below_it() -> Result<()> {
    const VLAN: &str = "type vlan id 100\n";
    for on_trunk in [false, true] {
        let Some(mut stage) = stage()? else { return Ok(()) };
        // Tags are in the frames, as on a wire.
        for (namespace, name) in [(&stage.host, "up0"), (&stage.world, "down0")] {
            namespace.plain_packets(name)?;
        }
        let (trunk, vlan) = if on_trunk { ("up0", "inner0") } else { ("trunk0", "up0") };
        stage.host.ip(&format!("link set up0 down\nlink set up0 name {trunk}\n"))?;
        if !made(&stage, &format!("link add link {trunk} name {vlan} {VLAN}"))? {
            return Ok(());
        }
        stage.host.ip(&format!("link set {trunk} up\nlink set {vlan} up\n"))?;
        stage.world.ip(&format!(
            "link add link down0 name tagged0 {VLAN}link set tagged0 up\n\
             addr flush dev down0\n"
        ))?;
        stage.address(vlan, 0)?;
        stage.address_world("tagged0", 0)?;
        stage.daemon.start()?;
        stage.is_filtered(&[("up0", if on_trunk { "native" } else { "generic" })])?;
        stage.judges(0)?;
    }
    Ok(())
}

#[test]
fn a_bond_is_filtered_whichever_member_is_active() -> Result<()> {
    let Some(mut stage) = stage()? else { return Ok(()) };
    stage.host.ip("link set up0 down\nlink set up0 name member0\n")?;
    if !made(&stage, "link add up0 type bond mode active-backup miimon 50\n")? {
        return Ok(());
    }
    cable(&stage.world, "down1", &stage.host, "member1")?;
    // The other side is a switch.
    stage.world.ip("addr flush dev down0\nlink add switch0 type bridge\nlink set switch0 up\n\
         link set down0 master switch0\nlink set down1 master switch0\n")?;
    stage
        .host
        .ip("link set member1 down\nlink set member0 master up0\nlink set member1 master up0\n\
         link set up0 up\n")?;
    stage.address("up0", 0)?;
    stage.address_world("switch0", 0)?;
    stage.daemon.start()?;
    ensure!(stage.interfaces()?[0].1.is_some(), "not filtered");
    stage.judges(0)?;
    for gone in ["down0", "down1"] {
        stage.world.ip(&format!("link set {gone} down\n"))?;
        stage.judges(0).with_context(|| format!("without {gone}"))?;
        stage.world.ip(&format!("link set {gone} up\n"))?;
    }
    Ok(())
}

#[test]
fn one_that_goes_is_missed_and_one_that_comes_back_is_filtered_before_it_is_up() -> Result<()> {
    let Some(mut stage) = stage()? else { return Ok(()) };
    stage.address("up0", 0)?;
    stage.daemon.start()?;
    stage.is_filtered(&[("up0", "native")])?;
    stage.host.ip("link delete up0\n")?;
    stage.is_missed("up0")?;
    // As a hypervisor plugs a card in, and the host's scripts bring it up.
    cable(&stage.world, "down0", &stage.host, "up0")?;
    stage.host.ip("link set up0 down\n")?;
    stage.address_world("down0", 0)?;
    stage.is_filtered(&[("up0", "native")])?;
    stage.address("up0", 0)?;
    stage.host.ip("link set up0 up\n")?;
    stage.judges(0)
}

#[test]
fn one_that_is_renamed_is_missed_until_it_has_its_name_again() -> Result<()> {
    let Some(mut stage) = stage()? else { return Ok(()) };
    stage.address("up0", 0)?;
    stage.daemon.start()?;
    stage.is_filtered(&[("up0", "native")])?;
    let rename = |from: &str, to: &str| {
        stage
            .host
            .ip(&format!("link set {from} down\nlink set {from} name {to}\nlink set {to} up\n"))
    };
    rename("up0", "wan0")?;
    stage.is_missed("up0")?;
    rename("wan0", "up0")?;
    stage.is_filtered(&[("up0", "native")])?;
    stage.judges(0)?;
    // Or the operator says what it is called now.
    rename("up0", "wan0")?;
    let file = stage.daemon.config_file();
    let text = std::fs::read_to_string(&file)?;
    std::fs::write(&file, text.replace("interfaces = [\"up0\"]", "interfaces = [\"wan0\"]"))?;
    stage.daemon.text(&["reload"])?;
    stage.is_filtered(&[("wan0", "native")])?;
    stage.judges(0)
}

#[test]
fn another_program_is_named_left_alone_and_followed() -> Result<()> {
    let Some(mut stage) = stage()? else { return Ok(()) };
    stage.address("up0", 0)?;
    let other = Foreign::attach(&stage.host, "up0")?;
    let refused = stage.daemon.start().err().context("it started")?.to_string();
    let named = format!(
        "another XDP program is attached to up0: id {}, name {}",
        other.id(),
        foreign::NAME
    );
    ensure!(refused.contains(&named), "{refused}");
    ensure!(stage.program_of("up0")? == Some(other.id()), "it isn't left alone");

    // Beside an interface that is free it is a problem, and no reason to leave both open.
    stage.second_uplink()?;
    stage.daemon.start_with(&["--iface", "up0", "--iface", "up1"])?;
    ensure!(stage.interfaces()? == [("up0".into(), None), ("up1".into(), Some("native".into()))]);
    let status = stage.daemon.json(&["status"])?;
    ensure!(status["protected"] == false, "{status}");
    ensure!(status["problems"].to_string().contains("up0 is not filtered"), "{status}");
    stage.judges(1)?;
    drop(other);
    stage.is_filtered(&[("up0", "native"), ("up1", "native")])?;
    stage.judges(0)
}

#[test]
fn jumbo_frames_are_judged() -> Result<()> {
    const MTU: usize = 9000;
    let Some(mut stage) = stage()? else { return Ok(()) };
    for (namespace, name) in [(&stage.host, "up0"), (&stage.world, "down0")] {
        namespace.ip(&format!("link set {name} mtu {MTU}\n"))?;
    }
    stage.address("up0", 0)?;
    stage.daemon.start()?;
    // veth's driver takes no program for frames beyond a page: then it runs behind the driver, and says why.
    let found = stage.interfaces()?;
    ensure!(found[0].1.is_some(), "{found:?}");
    println!("with an MTU of {MTU}: {:?}; {}", found[0].1, stage.daemon.log());
    stage.judges_in(0, MTU - 28)?;
    stage.judges(0)?;
    stage.agents_are_read(MTU - 28)
}

#[test]
fn an_mtu_that_grows_takes_no_filter_away() -> Result<()> {
    let Some(mut stage) = stage()? else { return Ok(()) };
    stage.address("up0", 0)?;
    stage.daemon.start()?;
    stage.is_filtered(&[("up0", "native")])?;
    for (namespace, name) in [(&stage.host, "up0"), (&stage.world, "down0")] {
        let grown = namespace.ip(&format!("link set {name} mtu 9000\n"));
        println!("{name}: {}", if grown.is_ok() { "taken" } else { "refused" });
    }
    stage.is_filtered(&[("up0", "native")])?;
    stage.judges(0)
}

#[test]
fn several_uplinks_are_filtered_each_for_itself() -> Result<()> {
    let Some(mut stage) = stage()? else { return Ok(()) };
    stage.address("up0", 0)?;
    stage.second_uplink()?;
    stage.daemon.start_with(&["--iface", "up0", "--iface", "up1"])?;
    stage.is_filtered(&[("up0", "native"), ("up1", "native")])?;
    stage.judges(0)?;
    stage.judges(1)?;
    stage.host.ip("link delete up0\n")?;
    stage.is_missed("up0")?;
    ensure!(stage.interfaces()?[1].1.as_deref() == Some("native"), "the other one");
    stage.judges(1)
}
