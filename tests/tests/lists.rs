//! Lists, `verify` and `map dump` with the real daemon and the real kernel.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, each test
//! says what is missing. `SIPPROT_TEST_FULL=1` takes a million rows instead of some thousands.

use std::{
    fmt::Write as _,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use aya::maps::{HashMap, Map, MapData};
use serde_json::Value;
use sipprot_common::{
    abi::{Block, BlockKey},
    source::SourceKey,
};
use sipprot_tests::{
    daemon::{Daemon, Settings},
    lab::Lab,
    pbx::Manners,
    usage,
};

const FAILURE: i32 = 1;
const USAGE: i32 = 2;
const NOT_FOUND: i32 = 4;

fn protected(settings: &Settings) -> Result<Option<(Lab, Daemon)>> {
    Lab::protected(Manners::default(), settings)
}

fn refused(daemon: &Daemon, arguments: &[&str], code: i32, says: &str) -> Result<()> {
    let output = daemon.cli(arguments)?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    let found = output.status.code();
    ensure!(
        found == Some(code) && complaint.contains(says),
        "{arguments:?}: {found:?} {complaint}"
    );
    Ok(())
}

/// Numbers of one kind: promised, missing, unexpected, different.
fn kind(found: &Value, name: &str) -> Result<[u64; 4]> {
    let kinds = found["kinds"].as_array().context("kinds")?;
    let kind = kinds.iter().find(|it| it["kind"] == name).with_context(|| name.to_owned())?;
    let number = |field: &str| kind[field].as_u64().with_context(|| field.to_owned());
    Ok([number("promised")?, number("missing")?, number("unexpected")?, number("different")?])
}

fn verify(daemon: &Daemon, arguments: &[&str]) -> Result<(Option<i32>, Value)> {
    let output = daemon.cli(&[&["verify", "--json"], arguments].concat())?;
    let found = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok((output.status.code(), found))
}

fn agrees(daemon: &Daemon) -> Result<()> {
    let (code, found) = verify(daemon, &[])?;
    ensure!(code == Some(0) && found["agrees"] == true, "{code:?} {found:#}");
    Ok(())
}

/// Puts a block into the kernel that nobody knows of.
fn smuggle(daemon: &Daemon, source: Ipv4Addr) -> Result<()> {
    let maps = pinned(&daemon.pin_dir())?;
    let data = MapData::from_pin(maps.join("BLOCKS")).context("open BLOCKS")?;
    let mut blocks: HashMap<_, BlockKey, Block> = HashMap::try_from(Map::HashMap(data))?;
    let key =
        BlockKey { source: SourceKey::from(std::net::IpAddr::from(source)).0, policy: 0, pad: 0 };
    let forever = Block { expires_ns: u64::MAX / 2, ..Block::default() };
    blocks.insert(key, forever, 0).context("insert")
}

fn pinned(pin_dir: &Path) -> Result<PathBuf> {
    let version = std::fs::read_dir(pin_dir)?.next().context("nothing is pinned")??;
    Ok(version.path().join("maps"))
}

fn names(dump: &Value, field: &str) -> Vec<String> {
    let entries = dump["entries"].as_array().into_iter().flatten();
    entries.filter_map(|it| it["key"][field].as_str().map(str::to_owned)).collect()
}

/// Rows of which some go into each part of the kernel's table.
fn rows(count: u32) -> String {
    let mut text = "IP_ADDRESS,NOTE\n".to_owned();
    for number in 0..count {
        let host = Ipv4Addr::from(0x0b00_0000 + number * 7);
        let _ = match number % 100 {
            0 => writeln!(text, "2001:db8:{:x}:{:x}::/64,six", number >> 16, number & 0xffff),
            1 => {
                writeln!(text, "{}/24,network", Ipv4Addr::from((0x2c00_0000 + number * 256) & !255))
            }
            _ => writeln!(text, "{host},number {number}"),
        };
    }
    text
}

#[test]
fn the_kernel_is_held_against_the_store() -> Result<()> {
    let Some((lab, mut daemon)) = protected(&Settings::default())? else { return Ok(()) };
    let file = lab.directory().join("deny.csv");
    std::fs::write(&file, rows(2000))?;
    let file = file.to_str().context("a path")?;
    daemon.text(&["deny", "import", file])?;
    for arguments in [
        &["deny", "add", "198.51.100.9"][..],
        &["deny", "add", "198.51.100.64/27", "--for", "1h", "--scope", "sip"],
        &["deny", "add", "2001:db8:77::/48", "--endpoint", "pbx1"],
        &["deny", "add", "198.51.100.128/26"],
        &["deny", "add", "198.51.100.192/26"],
        &["allow", "add", "203.0.113.0/24"],
        &["block", "198.51.100.10", "198.51.100.11", "--for", "10m"],
        &["peer", "add", "203.0.113.130"],
    ] {
        daemon.text(arguments)?;
    }
    agrees(&daemon)?;
    println!("{}", daemon.text(&["verify"])?);

    // Behind the daemon's back: entries, blocks and policies go, and a block comes.
    let listed = "11.0.27.193";
    for address in ["198.51.100.9", "198.51.100.10", listed] {
        daemon.text(&["rescue", "unblock", address])?;
    }
    daemon.text(&["rescue", "observe"])?;
    smuggle(&daemon, Ipv4Addr::new(198, 51, 100, 77))?;
    let (code, found) = verify(&daemon, &[])?;
    ensure!(code == Some(FAILURE) && found["agrees"] == false, "{code:?} {found:#}");
    assert_eq!(kind(&found, "denylist")?, [2005, 2, 0, 0], "{found:#}");
    assert_eq!(kind(&found, "blocks")?, [2, 1, 1, 0], "{found:#}");
    assert_eq!(kind(&found, "allowlist")?, [1, 0, 0, 0], "{found:#}");
    assert_eq!(kind(&found, "trust")?, [1, 0, 0, 0], "{found:#}");
    assert!(kind(&found, "policies")?[3] > 0, "{found:#}");
    println!("{}", String::from_utf8_lossy(&daemon.cli(&["verify"])?.stdout));

    let (code, found) = verify(&daemon, &["--repair"])?;
    ensure!(code == Some(0) && found["repaired"] == true, "{code:?} {found:#}");
    agrees(&daemon)?;
    let listing = daemon.json(&["map", "dump", "LISTED", "--limit", "100000"])?;
    assert!(
        names(&listing, "network").contains(&format!("{listed}/32")),
        "it is in the table again"
    );
    let blocks = daemon.json(&["map", "dump", "blocks"])?;
    let mut sources = names(&blocks, "source");
    sources.sort();
    assert_eq!(sources, ["198.51.100.10", "198.51.100.11"]);

    // Changes of the lists, and what outlives a restart, agree too.
    for arguments in [
        &["deny", "edit", "198.51.100.64/27", "--network", "198.51.100.64/28", "--forever"][..],
        &["deny", "edit", "198.51.100.9", "--scope", "sip"],
        &["deny", "remove", listed, "2001:db8:77::/48"],
        &["deny", "move", "11.0.0.14", "--to", "allow"],
        &["list", "dynamic", "move", "198.51.100.11", "--to", "deny"],
        &["deny", "aggregate"],
        &["unblock", "--all", "--yes"],
        // One within the other, which go together.
        &["deny", "add", "198.18.7.64/28"],
        &["deny", "add", "198.18.7.65"],
        &["deny", "remove", "198.18.7.64/28", "198.18.7.65"],
        &["undo"],
        &["undo"],
    ] {
        println!("{}", daemon.text(arguments)?.lines().last().unwrap_or_default());
        agrees(&daemon)?;
    }
    daemon.stop()?;
    // The dump needs no daemon.
    let maps = daemon.json(&["map", "dump"])?;
    assert!(maps["maps"].as_array().is_some_and(|maps| maps.len() == 29));
    refused(&daemon, &["map", "dump", "NOTHING"], USAGE, "there is no map")?;
    daemon.start()?;
    agrees(&daemon)?;
    daemon.text(&["deny", "remove", "--all", "--yes"])?;
    agrees(&daemon)?;
    assert_eq!(daemon.json(&["status"])?["lists"]["deny"], 0);
    Ok(())
}

#[test]
fn every_map_is_decoded() -> Result<()> {
    let Some((_lab, daemon)) = protected(&Settings::default())? else { return Ok(()) };
    daemon.text(&["block", "198.51.100.10", "--for", "10m", "--scope", "sip"])?;
    println!("{}", daemon.text(&["map", "dump"])?);
    println!("{}", daemon.text(&["map", "dump", "BLOCKS"])?);
    let maps = daemon.json(&["map", "dump"])?;
    for map in maps["maps"].as_array().context("maps")? {
        let name = map["name"].as_str().context("a name")?;
        let dump = daemon.json(&["map", "dump", name, "--limit", "3"])?;
        assert_eq!(dump["map"]["name"], name);
        assert!(dump["entries"].as_array().is_some_and(|entries| entries.len() <= 3), "{dump}");
    }
    let policies = daemon.json(&["map", "dump", "POLICIES"])?;
    assert_eq!(policies["entries"][0]["value"]["mode"], "enforce", "{policies}");
    let blocks = daemon.json(&["map", "dump", "BLOCKS"])?;
    assert_eq!(blocks["entries"][0]["value"]["scope"], "sip", "{blocks}");
    Ok(())
}

/// Each line of this file is wrong in its own way.
fn bad_lines() -> Vec<u8> {
    let lines: [&[u8]; 24] = [
        b"banana,no address",
        b"192.168.x.x,no address either",
        b",empty",
        b"198.51.100.300,an octet",
        b"198.51.100.0/33,too long",
        b"198.51.100.7/24,host bits",
        b"2001:db8::1/32,host bits",
        b"0.0.0.0/0,everything",
        b"::/0,everything",
        b"198.51.100.7:5060,a port",
        b"198.51.100.1-198.51.100.9,a range",
        b"198.51.100.1 198.51.100.2,two",
        b"127.0.0.0/8,ourselves",
        b"192.0.2.130,ourselves",
        b"198.51.100.7,caf\xe9",
        b"198.51.100.7,a\x07bell",
        b"198.51.100.7,time,yesterday",
        b"198.51.100.7,time,2026-02-30 10:00:00",
        b"198.51.100.7,end,,ann,2001-01-01 00:00:00",
        b"198.51.100.7,end,,ann,never",
        b"198.51.100.7,scope,,ann,,everything",
        b"198.51.100.7,cells,,ann,,all,more",
        b"sip:100@198.51.100.7,a URI",
        b"198.51.100.7,an open \"quote",
    ];
    let mut file = b"IP_ADDRESS,NOTE,TIME,ADDED_BY,EXPIRES,SCOPE\n".to_vec();
    for line in &lines[..23] {
        file.extend_from_slice(line);
        file.push(b'\n');
    }
    file.extend_from_slice(format!("198.51.100.8,{}\n", "x".repeat(2000)).as_bytes());
    file.extend_from_slice(
        b"198.51.100.20,right\n198.51.100.20,again\n198.51.100.21,\"never closed\n",
    );
    file.extend_from_slice(&vec![b'y'; 200_000]);
    file
}

#[test]
fn a_file_with_every_kind_of_bad_line_changes_nothing() -> Result<()> {
    let Some((lab, daemon)) = protected(&Settings::default())? else { return Ok(()) };
    let file = lab.directory().join("bad.csv");
    std::fs::write(&file, bad_lines())?;
    let path = file.to_str().context("a path")?;
    let output = daemon.cli(&["deny", "import", path, "--preview"])?;
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(output.status.code(), Some(FAILURE));
    let output = daemon.cli(&["deny", "import", path, "--preview", "--json"])?;
    let found: Value = serde_json::from_slice(&output.stdout)?;
    let lines: Vec<u64> = found["faults"]
        .as_array()
        .context("faults")?
        .iter()
        .filter_map(|it| it["line"].as_u64())
        .collect();
    let each: Vec<u64> = (2..=25).chain([28]).collect();
    assert_eq!(lines, each, "{found:#}");
    refused(&daemon, &["deny", "import", path], FAILURE, "Nothing is changed")?;
    assert_eq!(daemon.json(&["status"])?["lists"]["deny"], 0);

    // A French spreadsheet's file is none of that.
    let french = "\u{feff}IP_ADDRESS;REMARQUE;TIME\r\n198.51.100.7;\"réseau; privé\";2026-02-28 15:44:35\r\n";
    std::fs::write(&file, french)?;
    daemon.text(&["deny", "import", path, "--zone", "Europe/Paris"])?;
    let entry = daemon.json(&["list", "deny"])?["entries"][0].clone();
    assert_eq!((&entry["note"], &entry["time"]), (&"réseau; privé".into(), &1_772_289_875.into()));
    Ok(())
}

#[test]
fn wrong_commands_say_what_is_wrong() -> Result<()> {
    let Some((_lab, daemon)) = protected(&Settings::default())? else { return Ok(()) };
    let long = "x".repeat(100_000);
    let note = "x".repeat(1025);
    for (arguments, code, says) in [
        (&["deny", "add", "0.0.0.0/0"][..], FAILURE, "network: 0.0.0.0/0 is every address"),
        (&["allow", "add", "::/0"], FAILURE, "network: ::/0 is every address"),
        (&["deny", "add", "127.0.0.1"], 6, "holds 127.0.0.1"),
        (&["deny", "add", "198.51.100.7", "--endpoint", "pbx9"], FAILURE, "endpoint: no endpoint"),
        (&["deny", "add", "198.51.100.7", "--note", &note], FAILURE, "note: longer than"),
        (&["deny", "add", "198.51.100.7", "--note", &long], FAILURE, "body: "),
        (&["deny", "edit", "198.51.100.7", "--note", "gone"], NOT_FOUND, "not on the denylist"),
        (&["deny", "remove", "198.51.100.7"], NOT_FOUND, "not on the denylist"),
        (&["deny", "move", "198.51.100.7", "--to", "allow"], NOT_FOUND, "not on the denylist"),
        (&["deny", "remove", "--all"], USAGE, "--yes does it"),
        (&["list", "dynamic", "move", "198.51.100.7", "--to", "deny"], NOT_FOUND, "not blocked"),
        (&["list", "deny", "--sort", "note", "--offset", "100000"], FAILURE, "offset: "),
        (
            &["report", "--from", "2026-03-02", "--to", "2026-03-01"],
            FAILURE,
            "from: 2026-03-02 is later",
        ),
        (&["report", "abuse", "2001:db8::9"], NOT_FOUND, "nothing is known against"),
        (&["unblock", "--all"], USAGE, "--yes does it"),
    ] {
        refused(&daemon, arguments, code, says)?;
    }
    // Host bits and repetitions are no harm where one address is meant.
    daemon.text(&["deny", "add", "198.51.100.77/24"])?;
    let listed = daemon.json(&["list", "deny", "--covers", "198.51.100.200", "--sort", "time"])?;
    assert_eq!(
        (&listed["total"], &listed["entries"][0]["ip"]),
        (&1.into(), &"198.51.100.0/24".into())
    );
    let version = listed["entries"][0]["version"].as_str().context("a version")?;
    let edit = ["deny", "edit", "198.51.100.0/24", "--version", version, "--note"];
    daemon.text(&[&edit[..], &["first"]].concat())?;
    refused(&daemon, &[&edit[..], &["second"]].concat(), FAILURE, "was changed meanwhile")?;
    Ok(())
}

#[test]
fn many_rows_agree_in_bounded_memory() -> Result<()> {
    let Some((lab, daemon)) = protected(&Settings::default())? else { return Ok(()) };
    let is_full = std::env::var_os("SIPPROT_TEST_FULL").is_some();
    let count = if is_full { 1_000_000 } else { 20_000 };
    let file = lab.directory().join("many.csv");
    std::fs::write(&file, rows(count))?;
    let path = file.to_str().context("a path")?;
    let process = daemon.process_id().context("it runs")?;
    let timed = |arguments: &[&str]| -> Result<Value> {
        let start = Instant::now();
        let answer = daemon.json(arguments)?;
        let (seconds, peak) = (start.elapsed().as_secs_f64(), usage::peak_mib(process)?);
        println!("{arguments:?}: {seconds:.1} s; peak {peak:.0} MiB so far");
        Ok(answer)
    };
    let done = timed(&["deny", "import", path])?;
    println!("enforced {}, durable {}", done["enforced_s"], done["durable_s"]);
    let found = timed(&["verify"])?;
    assert_eq!(kind(&found, "denylist")?, [u64::from(count), 0, 0, 0], "{found:#}");
    let last = timed(&["list", "deny", "--sort", "note", "--reverse", "--limit", "1"])?;
    assert_eq!((&last["total"], &last["entries"][0]["note"]), (&count.into(), &"six".into()));
    timed(&["deny", "aggregate", "--dry-run"])?;
    let done = timed(&["deny", "remove", "--csv", path])?;
    println!("enforced {}, durable {}", done["enforced_s"], done["durable_s"]);
    agrees(&daemon)?;
    println!("at the end {:.0} MiB", usage::resident_mib(process)?);
    Ok(())
}
