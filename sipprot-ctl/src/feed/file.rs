//! Follows a file: what is appended, through rotation (by renaming, or by copying and truncating), and
//! while it is missing.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::filter::Line;
use super::lines::Lines;
use super::place::Place;
use super::tap::{Heard, Tap};

/// Cheaper than it looks: two system calls. A watch would have to follow renamed directories, too.
const POLL: Duration = Duration::from_millis(100);
const CHUNK: usize = 256 << 10;
/// Who writes goes on in a renamed file until it is told.
const LINGER: Duration = Duration::from_secs(1);

/// Where reading stands.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    file: Option<Open>,
    /// What is there when reading begins is the past.
    begun: bool,
    /// But for what was logged since the last run.
    from: Option<Place>,
    lines: Lines,
    chunk: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    file: File,
    identity: (u64, u64),
    position: u64,
    /// Since when another file has its name.
    replaced: Option<Instant>,
}

impl Follower {
    /// From a place on, or from what comes.
    pub fn new(path: &Path, from: Option<Place>) -> Self {
        Self {
            path: path.to_owned(),
            file: None,
            begun: false,
            from,
            lines: Lines::default(),
            chunk: vec![0; CHUNK],
        }
    }

    /// Reads what is new, at most so much that others have their turn. True if there is more.
    pub fn poll(&mut self, now: Instant, each: impl FnMut(&str)) -> io::Result<bool> {
        if self.file.is_none() && !self.open()? {
            return Ok(false);
        }
        let Some(open) = &mut self.file else { return Ok(false) };
        if open.file.metadata()?.len() < open.position {
            open.position = open.file.seek(SeekFrom::Start(0))?;
            self.lines.forget();
        }
        let count = open.file.read(&mut self.chunk)?;
        open.position += count as u64;
        self.lines.take(&self.chunk[..count], each);
        if count > 0 {
            return Ok(count == self.chunk.len());
        }
        self.look_for_another(now)
    }

    /// False while there is none.
    fn open(&mut self) -> io::Result<bool> {
        let first = !std::mem::replace(&mut self.begun, true);
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "not a file"));
        }
        let from = self.from.take().and_then(|place| place.position_in(&metadata));
        let position = match (first, from) {
            (true, None) => file.seek(SeekFrom::End(0))?,
            (true, Some(position)) => file.seek(SeekFrom::Start(position))?,
            (false, _) => 0,
        };
        self.lines.forget();
        self.file = Some(Open { file, identity: identity(&metadata), position, replaced: None });
        Ok(true)
    }

    /// All of this one is read. Once another has its name, and nothing came for a while, that one is next.
    fn look_for_another(&mut self, now: Instant) -> io::Result<bool> {
        let Some(open) = &mut self.file else { return Ok(false) };
        let named = match std::fs::metadata(&self.path) {
            Ok(metadata) => Some(identity(&metadata)),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if named.is_none() || named == Some(open.identity) {
            open.replaced = None;
            return Ok(false);
        }
        if now - *open.replaced.get_or_insert(now) < LINGER {
            return Ok(false);
        }
        self.file = None;
        Ok(true)
    }

    /// Where the next run goes on; none in the middle of a line that is too long.
    pub fn place(&self) -> Option<Place> {
        let Open { identity: (device, inode), position, .. } = *self.file.as_ref()?;
        let position = position - self.lines.pending()? as u64;
        Some(Place { device, inode, position })
    }

    pub fn take_left_out(&mut self) -> u64 {
        self.lines.take_left_out()
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

pub(super) async fn follow(
    path: PathBuf,
    from: Option<Place>,
    tap: Tap,
    heard: mpsc::Sender<Heard>,
) {
    let mut follower = Follower::new(&path, from);
    let mut found = Vec::new();
    loop {
        let before = tap.tally.lines.load(Relaxed);
        let result =
            follower.poll(Instant::now(), |line| found.extend(tap.sift(Line::plain(line))));
        tap.tally.left_out.fetch_add(follower.take_left_out(), Relaxed);
        if tap.tally.lines.load(Relaxed) > before {
            tap.seen();
        }
        // Nothing of a file is lost: it waits.
        for it in found.drain(..) {
            if heard.send(it).await.is_err() {
                return;
            }
        }
        tap.tally.set_place(follower.place());
        let more = match result {
            Ok(more) => {
                let missing = follower.file.is_none() && !more;
                tap.tally.set_error(missing.then(|| "there is no such file yet".to_owned()));
                more
            }
            Err(error) => {
                follower.file = None;
                tap.tally.set_error(Some(error.to_string()));
                false
            }
        };
        if more {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(POLL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    struct Followed {
        directory: tempfile::TempDir,
        follower: Follower,
        now: Instant,
    }

    impl Followed {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let follower = Follower::new(&directory.path().join("log"), None);
            Self { directory, follower, now: Instant::now() }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        fn write(&self, name: &str, text: &[u8]) {
            let mut file = File::options().append(true).create(true).open(self.path(name)).unwrap();
            file.write_all(text).unwrap();
        }

        /// What comes within some seconds.
        fn read(&mut self) -> Vec<String> {
            let mut lines = Vec::new();
            for _ in 0..30 {
                self.now += POLL;
                while self.follower.poll(self.now, |line| lines.push(line.to_owned())).unwrap() {}
            }
            lines
        }
    }

    #[test]
    fn what_was_there_is_the_past_and_what_is_half_waits() {
        let mut log = Followed::new();
        log.write("log", b"old\nold half");
        assert!(log.read().is_empty());
        log.write("log", b" of old\nnew\nha");
        assert_eq!(log.read(), [" of old", "new"]);
        log.write("log", b"lf\n");
        assert_eq!(log.read(), ["half"]);
    }

    #[test]
    fn the_next_run_goes_on_where_the_last_one_was() {
        let mut log = Followed::new();
        log.write("log", b"old\n");
        log.read();
        log.write("log", b"read\nha");
        assert_eq!(log.read(), ["read"]);
        let place = log.follower.place();
        log.write("log", b"lf\nmissed\n");
        log.follower = Follower::new(&log.path("log"), place);
        assert_eq!(log.read(), ["half", "missed"]);
        let place = log.follower.place();
        std::fs::rename(log.path("log"), log.path("log.1")).unwrap();
        log.write("log", b"of another\n");
        log.follower = Follower::new(&log.path("log"), place);
        assert_eq!(log.read(), ["of another"]);
    }

    #[test]
    fn a_file_that_comes_later_is_read_from_its_start() {
        let mut log = Followed::new();
        assert!(log.read().is_empty());
        log.write("log", b"first\n");
        assert_eq!(log.read(), ["first"]);
    }

    #[test]
    fn rotation_by_renaming_loses_nothing() {
        let mut log = Followed::new();
        log.write("log", b"");
        log.read();
        log.write("log", b"a\n");
        std::fs::rename(log.path("log"), log.path("log.1")).unwrap();
        log.write("log.1", b"b\n");
        assert_eq!(log.read(), ["a", "b"], "nobody has its name yet");
        log.write("log.1", b"c\nhalf");
        log.write("log", b"d\n");
        assert_eq!(log.read(), ["c", "d"]);
        std::fs::remove_file(log.path("log")).unwrap();
        assert!(log.read().is_empty());
        log.write("log", b"e\n");
        assert_eq!(log.read(), ["e"]);
    }

    #[test]
    fn rotation_by_truncating_begins_anew() {
        let mut log = Followed::new();
        log.write("log", b"");
        log.read();
        log.write("log", b"a\nb\nhalf");
        assert_eq!(log.read(), ["a", "b"]);
        std::fs::copy(log.path("log"), log.path("log.1")).unwrap();
        File::options().write(true).open(log.path("log")).unwrap().set_len(0).unwrap();
        log.write("log", b"c\n");
        assert_eq!(log.read(), ["c"]);
    }

    #[test]
    fn a_burst_is_read_whole() {
        let mut log = Followed::new();
        log.write("log", b"");
        log.read();
        let burst: String = (0..200_000).map(|number| format!("line {number}\n")).collect();
        log.write("log", burst.as_bytes());
        let lines = log.read();
        assert_eq!((lines.len(), lines.last().map(String::as_str)), (200_000, Some("line 199999")));
    }

    #[test]
    fn a_directory_is_an_error() {
        let mut log = Followed::new();
        std::fs::create_dir(log.path("log")).unwrap();
        assert!(log.follower.poll(log.now, |_| {}).is_err());
    }
}
