//! The plain-text export: a journal from which lists, blocks, trust and standings can be rebuilt.
//!
//! One JSON change a line, and after each batch a line with its number: what follows the last such
//! line was never acknowledged. It is rewritten as a whole, atomically, once it holds mostly the
//! past. It knows nothing of the database; a person can read it, and so can the next version.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::codec::{self, Kind};
use super::database::sync_directory;
use super::records::Change;

const HEAD: &str = "{\"sipprot_export\":1}";
const COMMIT_START: &str = "{\"commit\":";

/// Lines of the past that are borne before a rewrite, beyond as many as there are records.
const PAST_LINES_MAX: u64 = 1000;

/// The export of a running store.
pub(super) struct Export {
    file: File,
    lines: u64,
    /// Bytes up to the end of the last whole batch.
    length: u64,
}

/// What a glance at an export tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Glance {
    pub commit: u64,
    pub lines: u64,
    /// Begins and ends as it should, so that it can be appended to.
    pub whole: bool,
}

/// What an export says is in force.
pub(super) struct Replayed {
    /// By key, so that the last word counts.
    pub records: BTreeMap<Vec<u8>, Change>,
    pub unreadable_lines: u64,
}

/// Looks for the last batch in an export; `None` if there is none.
pub(super) fn glance(path: &Path) -> io::Result<Option<Glance>> {
    let mut glance = Glance { commit: 0, lines: 0, whole: false };
    let mut headed = false;
    let found = each_line(path, |line| {
        headed |= glance.lines == 0 && line == HEAD;
        glance.lines += 1;
        let commit = commit_of(line);
        glance.commit = commit.unwrap_or(glance.commit);
        glance.whole = headed && commit.is_some();
    })?;
    Ok(found.map(|torn| Glance { whole: glance.whole && !torn, ..glance }))
}

/// Reads what is in force after the last whole batch. Lines that can't be read are counted.
pub(super) fn replay(path: &Path) -> io::Result<Replayed> {
    let mut replayed = Replayed { records: BTreeMap::new(), unreadable_lines: 0 };
    let mut batch = Vec::new();
    each_line(path, |line| {
        if line == HEAD {
            return;
        }
        if commit_of(line).is_some() {
            for change in batch.drain(..) {
                settle(&mut replayed.records, change);
            }
            return;
        }
        match serde_json::from_str::<Change>(line) {
            Ok(change) => batch.push(change),
            Err(_) => replayed.unreadable_lines += 1,
        }
    })?;
    Ok(replayed)
}

fn settle(records: &mut BTreeMap<Vec<u8>, Change>, change: Change) {
    match change {
        Change::PutList(ref entry) => records.insert(codec::list_key(&entry.key()), change),
        Change::PutBlock(ref block) => records.insert(codec::block_key(&block.key()), change),
        Change::PutTrust(ref trust) => records.insert(codec::trust_key(&trust.key()), change),
        Change::PutPeer(ref peer) => records.insert(codec::peer_key(peer.network), change),
        Change::PutStanding(ref standing) => {
            records.insert(codec::standing_key(standing.source), change)
        }
        Change::RemoveList(key) => records.remove(&codec::list_key(&key)),
        Change::EndBlock(key) | Change::LiftBlock { key, .. } => {
            records.remove(&codec::block_key(&key))
        }
        Change::RemoveTrust(key) => records.remove(&codec::trust_key(&key)),
        Change::RemovePeer(network) => records.remove(&codec::peer_key(network)),
        Change::RemoveStanding(source) => records.remove(&codec::standing_key(source)),
        Change::PutLearning(_) => records.insert(Kind::Learning.prefix(), change),
        Change::PutPending(_) => records.insert(Kind::Pending.prefix(), change),
        Change::RemovePending => records.remove(&Kind::Pending.prefix()),
        Change::RemoveLearning => records.remove(&Kind::Learning.prefix()),
        Change::PutUser(ref user) => {
            records.insert(codec::named_key(Kind::User, &user.name), change)
        }
        Change::RemoveUser(name) => records.remove(&codec::named_key(Kind::User, &name)),
        Change::PutToken(ref token) => {
            records.insert(codec::named_key(Kind::Token, &token.name), change)
        }
        Change::RemoveToken(name) => records.remove(&codec::named_key(Kind::Token, &name)),
        Change::NoteLift { .. }
        | Change::AddAttack(_)
        | Change::AddAlert(_)
        | Change::PutLearned(_)
        | Change::Audited(_)
        | Change::TrimAudit { .. }
        | Change::TrimReport { .. }
        | Change::PutIntent(_)
        | Change::RemoveIntent
        | Change::PutSession(_)
        | Change::RemoveSession(_)
        | Change::PutDelivery(_)
        | Change::RemoveDelivery(_)
        | Change::PutNotices(_)
        | Change::PutClockBase(_) => None,
    };
}

/// Whether a change is one that the export can bring back.
pub(super) fn holds(change: &Change) -> bool {
    !matches!(
        change,
        Change::NoteLift { .. }
            | Change::AddAttack(_)
            | Change::AddAlert(_)
            | Change::PutLearned(_)
            | Change::Audited(_)
            | Change::TrimAudit { .. }
            | Change::TrimReport { .. }
            | Change::PutIntent(_)
            | Change::RemoveIntent
            | Change::PutSession(_)
            | Change::RemoveSession(_)
            | Change::PutDelivery(_)
            | Change::RemoveDelivery(_)
            | Change::PutNotices(_)
            | Change::PutClockBase(_)
    )
}

/// Adds the line of one change.
pub(super) fn push_line(lines: &mut Vec<u8>, change: &Change) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *lines, change)?;
    lines.push(b'\n');
    Ok(())
}

impl Export {
    /// Goes on with an export that is whole.
    pub fn resume(path: &Path, lines: u64) -> io::Result<Export> {
        let file = OpenOptions::new().append(true).open(path)?;
        let length = file.metadata()?.len();
        Ok(Export { file, lines, length })
    }

    /// Writes the whole export anew from records as the database holds them.
    pub fn rewrite(
        path: &Path,
        commit: u64,
        records: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> io::Result<Export> {
        let temporary = temporary_path(path);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        let mut writer = BufWriter::new(file);
        writeln!(writer, "{HEAD}")?;
        let mut lines = 2;
        for (key, value) in records {
            let (Some(verb), Some(json)) = (verb_of(&key), codec::json_of(&value)) else {
                continue;
            };
            write!(writer, "{{\"{verb}\":")?;
            writer.write_all(json)?;
            writeln!(writer, "}}")?;
            lines += 1;
        }
        writeln!(writer, "{COMMIT_START}{commit}}}")?;
        let file = writer.into_inner().map_err(|error| error.into_error())?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        sync_directory(path.parent().unwrap_or(Path::new(".")))?;
        Export::resume(path, lines)
    }

    /// Adds lines of a batch that [`Export::commit`] makes count.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.lines += lines.iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.file.write_all(lines)
    }

    /// Ends a batch, and returns once it is on the disk.
    pub fn commit(&mut self, number: u64) -> io::Result<()> {
        self.append(format!("{COMMIT_START}{number}}}\n").as_bytes())?;
        self.file.sync_all()?;
        self.length = self.file.metadata()?.len();
        Ok(())
    }

    /// Takes back what was added since the last batch ended.
    pub fn take_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)
    }

    /// Whether it holds more past than present.
    pub fn is_stale(&self, records: u64) -> bool {
        self.lines > 2 * records + PAST_LINES_MAX
    }
}

pub(super) fn temporary_path(path: &Path) -> PathBuf {
    path.with_extension("tmp")
}

fn verb_of(key: &[u8]) -> Option<&'static str> {
    match Kind::of(key)? {
        Kind::List => Some("put_list"),
        Kind::Block => Some("put_block"),
        Kind::Trust => Some("put_trust"),
        Kind::Peer => Some("put_peer"),
        Kind::Standing => Some("put_standing"),
        Kind::Learning => Some("put_learning"),
        Kind::Pending => Some("put_pending"),
        Kind::User => Some("put_user"),
        Kind::Token => Some("put_token"),
        Kind::History
        | Kind::Attack
        | Kind::Alert
        | Kind::Learned
        | Kind::Audit
        | Kind::Session
        | Kind::Delivery
        | Kind::Meta => None,
    }
}

fn commit_of(line: &str) -> Option<u64> {
    line.strip_prefix(COMMIT_START)?.strip_suffix('}')?.parse().ok()
}

/// Hands each line on; what isn't UTF-8 is a line that can't be read. Returns whether the last one
/// is torn (without its newline), or `None` if there is no file. A torn line is not handed on.
fn each_line(path: &Path, mut each: impl FnMut(&str)) -> io::Result<Option<bool>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(Some(false));
        }
        if line.pop_if(|last| *last == b'\n').is_none() {
            return Ok(Some(true));
        }
        each(std::str::from_utf8(&line).unwrap_or("not UTF-8"));
    }
}
