//! The disk: full, read-only, or with other bytes on it than were written.
//!
//! Whatever is on it, the daemon starts and enforces; what it could not read it says, and keeps aside.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use super::{
    Bench, Row,
    mount::{Mounted, make_ext4},
    write_list,
};
use crate::{
    daemon::{Daemon, Settings},
    lab::Lab,
};

/// Entries of the list that every fault is tried on.
const ENTRIES: u64 = 300;
/// Files are cut off at every so many bytes.
const STEP: u64 = 512;
/// By then a full disk has refused one.
const TRIES_MAX: u32 = 500;

/// Damage to one file; the number tells where.
struct Damage {
    name: &'static str,
    ways: Ways,
    done: fn(&Path, u32) -> Result<()>,
}

/// In how many ways a file can be damaged.
#[derive(Clone, Copy)]
enum Ways {
    AsSteps,
    AsBits,
    Few(u32),
}

const DAMAGES: [Damage; 4] = [
    Damage {
        name: "a file of the store cut off at every 512 bytes",
        ways: Ways::AsSteps,
        done: |path, number| {
            let length = fs::metadata(path)?.len();
            let steps = (length / STEP).max(1);
            let file = fs::OpenOptions::new().write(true).open(path)?;
            file.set_len(u64::from(number) % steps * STEP).context("cut it off")
        },
    },
    Damage {
        name: "one bit of a file of the store turned over",
        ways: Ways::AsBits,
        done: |path, number| {
            let mut bytes = fs::read(path)?;
            // Goes through the whole file in no order that one sees.
            let bits = bytes.len() as u64 * 8;
            let bit = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) % bits.max(1);
            if let Some(byte) = bytes.get_mut((bit / 8) as usize) {
                *byte ^= 1 << (bit % 8);
            }
            fs::write(path, bytes).context("write it back")
        },
    },
    Damage {
        name: "a file of the store emptied",
        ways: Ways::Few(1),
        done: |path, _| fs::write(path, "").context("empty it"),
    },
    Damage {
        name: "an empty temporary file beside one of the store",
        ways: Ways::Few(TEMPORARY.len() as u32),
        done: |path, number| {
            let end = TEMPORARY[number as usize % TEMPORARY.len()];
            let name = path.file_name().context("a name")?.to_string_lossy().into_owned();
            let stem = path.file_stem().context("a name")?.to_string_lossy().into_owned();
            fs::write(path.with_file_name(format!("{stem}.{end}")), "").context("leave one")?;
            fs::write(path.with_file_name(format!("{name}.{end}")), "").context("leave one")
        },
    },
];

/// What a writer that was cut off may have left.
const TEMPORARY: [&str; 3] = ["tmp", "new", "gz"];

pub fn run(bench: &Bench) -> Result<Vec<Row>> {
    let (lab, mut daemon, sound) = with_list(bench)?;
    let mut found = Vec::new();
    for damage in &DAMAGES {
        found.push(damaged(bench, &mut daemon, &sound, damage)?);
    }
    restore(&daemon, &sound)?;
    found.push(full(bench.times.changes, &lab, &mut daemon, &sound)?);
    Ok(found)
}

/// Of a file system that fails as a whole.
pub fn file_system(bench: &Bench) -> Result<Vec<Row>> {
    let (lab, mut daemon, sound) = with_list(bench)?;
    Ok(vec![read_only(bench.times.changes, &lab, &mut daemon, &sound)?])
}

/// A daemon that has stopped, and a copy of the store that it has left.
fn with_list(bench: &Bench) -> Result<(Lab, Daemon, PathBuf)> {
    let (lab, mut daemon) = bench.lab(&Settings::default())?;
    let networks = (0..ENTRIES).map(|it| format!("2001:db8:{:x}::/48", 0x1000 + it));
    let list = write_list(&lab, networks)?;
    daemon.text(&["deny", "import", &list.to_string_lossy()])?;
    daemon.stop()?;
    let sound = lab.directory().join("sound");
    copy(&daemon.state_dir(), &sound)?;
    Ok((lab, daemon, sound))
}

fn damaged(bench: &Bench, daemon: &mut Daemon, sound: &Path, damage: &Damage) -> Result<Row> {
    let files = files(sound)?;
    ensure!(!files.is_empty(), "no files in the store");
    let (mut lost, mut said, mut times) = (0, 0, 0);
    for (file, nth) in places(bench, damage, sound, &files)? {
        restore(daemon, sound)?;
        (damage.done)(&daemon.state_dir().join(file), nth)?;
        daemon.start().with_context(|| format!("{}: {} ({nth})", damage.name, file.display()))?;
        let listed = daemon.json(&["list", "deny", "--limit", "1"])?;
        let missing = ENTRIES.saturating_sub(listed["total"].as_u64().unwrap_or_default());
        if missing > 0 {
            eprintln!("torture: {} ({nth}): {missing} entries missing", file.display());
        }
        lost += missing;
        said += u64::from(daemon.log().contains("set aside"));
        times += 1;
        daemon.stop()?;
    }
    Ok(Row {
        fault: damage.name.to_owned(),
        times,
        lost,
        gap: None,
        seen: format!("it starts and enforces; {said} times the log says what was set aside"),
    })
}

/// Which files are damaged, and at which of their places: a few of each, or wherever one can be cut off.
fn places<'a>(
    bench: &Bench,
    damage: &Damage,
    sound: &Path,
    files: &'a [PathBuf],
) -> Result<Vec<(&'a PathBuf, u32)>> {
    let all = files.len() as u32;
    let of = |number: u32| (&files[(number % all) as usize], number / all);
    let most = bench.times.damages;
    let mut places = Vec::new();
    match damage.ways {
        Ways::AsSteps if bench.times.every_place => {
            for file in files {
                let steps = (fs::metadata(sound.join(file))?.len() / STEP).max(1);
                places.extend((0..u32::try_from(steps)?).map(|nth| (file, nth)));
            }
        }
        Ways::AsSteps | Ways::AsBits => places.extend((0..most).map(of)),
        Ways::Few(ways) => places.extend((0..most.min(ways * all)).map(of)),
    }
    Ok(places)
}

/// On a disk of a few megabytes: writes until there is no room, then with room again.
fn full(changes: u32, lab: &Lab, daemon: &mut Daemon, sound: &Path) -> Result<Row> {
    let state = daemon.state_dir();
    let _mounted = Mounted::of_memory(&state)?;
    copy(sound, &state)?;
    daemon.start()?;
    let hog = state.join("hog");
    fill(&hog)?;
    let (mut acknowledged, mut refused) = (Vec::new(), 0);
    // It may still take a few.
    for number in 0..TRIES_MAX {
        let address = format!("2001:db8:ffff:{number:x}::1");
        match daemon.cli(&["deny", "add", &address])?.status.success() {
            true => acknowledged.push(address),
            false => refused += 1,
        }
        if refused == changes {
            break;
        }
    }
    ensure!(refused > 0, "a full disk takes {TRIES_MAX} changes");
    ensure!(daemon.is_running(), "the daemon ended: {}", daemon.log());
    fs::remove_file(&hog).context("make room")?;
    daemon.kill()?;
    daemon.start()?;
    let mut lost = 0;
    for address in &acknowledged {
        lost += u64::from(!daemon.check(address.parse()?)?.denied);
    }
    let listed = daemon.json(&["list", "deny", "--limit", "1"])?;
    lost += ENTRIES.saturating_sub(listed["total"].as_u64().unwrap_or_default());
    daemon.stop()?;
    fs::write(lab.directory().join("full.log"), daemon.log()).context("keep its log")?;
    Ok(Row {
        fault: "a change while the store's disk is full".to_owned(),
        times: refused + acknowledged.len() as u32,
        lost,
        gap: None,
        seen: format!(
            "{refused} changes refused, {} acknowledged and kept; it goes on enforcing",
            acknowledged.len()
        ),
    })
}

/// A file system that found an error, and lets nobody write any more: while the daemon runs, and from its start.
fn read_only(tries: u32, lab: &Lab, daemon: &mut Daemon, sound: &Path) -> Result<Row> {
    let (state, image) = (daemon.state_dir(), lab.directory().join("disk"));
    make_ext4(&image)?;
    let mounted = Mounted::of_image(&image, &state)?;
    copy(sound, &state)?;
    daemon.start()?;
    let add = |daemon: &Daemon, number: u32| -> Result<bool> {
        let address = format!("2001:db8:fffe:{number:x}::1");
        Ok(daemon.cli(&["deny", "add", &address])?.status.success())
    };
    let first = "2001:db8:1000::1".parse()?;
    let in_force =
        |daemon: &Daemon| daemon.check(first).map(|it| it.denied).with_context(|| daemon.log());
    ensure!(add(daemon, 0)?, "a disk that can be written takes nothing");
    mounted.fail()?;
    let mut lost = 0;
    for number in 1..=tries {
        // What can't be kept must not be acknowledged.
        lost += u64::from(add(daemon, number)?);
    }
    ensure!(daemon.is_running(), "the daemon ended: {}", daemon.log());
    ensure!(in_force(daemon)?, "the list is not in force any more");
    daemon.kill()?;
    daemon.start()?;
    ensure!(in_force(daemon)?, "the list is not in force after a start: {}", daemon.log());
    lost += u64::from(add(daemon, tries + 1)?);
    let status = daemon.json(&["status"])?;
    let problems = status["problems"].as_array().map_or(0, Vec::len);
    ensure!(problems > 0, "nobody is told: {status:#}");
    daemon.kill()?;
    drop(mounted);
    let _mounted = Mounted::of_image(&image, &state)?;
    daemon.start()?;
    ensure!(add(daemon, tries + 2)?, "it takes nothing with a disk again: {}", daemon.log());
    let listed = daemon.json(&["list", "deny", "--limit", "1"])?;
    lost += (ENTRIES + 2).abs_diff(listed["total"].as_u64().unwrap_or_default());
    daemon.stop()?;
    Ok(Row {
        fault: "the store's disk read-only, while it runs and from the start".to_owned(),
        times: 2,
        lost,
        gap: None,
        seen: format!("{} changes refused; it starts, enforces, and status names it", tries + 1),
    })
}

/// Takes all that is left, down to the last byte.
fn fill(hog: &Path) -> Result<()> {
    use std::io::Write;
    let mut file = fs::File::create(hog).context("create a file")?;
    for size in [1 << 20, 1 << 12, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    Ok(())
}

fn restore(daemon: &Daemon, sound: &Path) -> Result<()> {
    let state = daemon.state_dir();
    fs::remove_dir_all(&state).context("clear the state directory")?;
    copy(sound, &state)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    for file in files(from)? {
        let target = to.join(&file);
        if let Some(directory) = target.parent() {
            fs::create_dir_all(directory).context("make a directory")?;
        }
        fs::copy(from.join(&file), &target).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

/// The files below a directory, relative to it.
fn files(below: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut directories = vec![below.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.is_file() {
                files.push(path.strip_prefix(below).context("a path below")?.to_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}
