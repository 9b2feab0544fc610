//! Files of the configuration that are replaced, so that after a crash the old ones hold or the new ones,
//! and the audit log says which.
//!
//! What is to be is written beside each file first, with an intent in the store; then each is renamed, in
//! an instant. An intent that is found at the start is carried out if it was begun, and forgotten if not.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tracing::{error, info, warn};

use crate::hex::hex;
use crate::store::{Change, IntentRecord, Store, StoreError};

/// A file before and after; `None` was not there.
pub struct FileEdit {
    pub file: PathBuf,
    pub before: Option<String>,
    pub after: String,
}

/// Edits that lie beside their files. Dropped, they are as if they never were.
pub struct Laid(Vec<FileEdit>);

impl FileEdit {
    /// What a link leads to is written, not the link.
    pub fn new(file: &Path, before: Option<String>, after: String) -> Self {
        let file = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        Self { file, before, after }
    }

    fn is_as_before(&self) -> bool {
        match std::fs::read_to_string(&self.file) {
            Ok(text) => self.before.as_ref() == Some(&text),
            Err(error) => self.before.is_none() && error.kind() == io::ErrorKind::NotFound,
        }
    }

    fn take_back(&self) -> io::Result<()> {
        match &self.before {
            Some(before) => replace(&self.file, before),
            None => std::fs::remove_file(&self.file),
        }
    }
}

impl Laid {
    /// Returns once the new texts are on the disk, beside the old ones.
    pub fn lay(edits: Vec<FileEdit>) -> io::Result<Self> {
        let laid = Self(edits);
        laid.0.iter().try_for_each(|edit| lay(&edit.file, &edit.after))?;
        Ok(laid)
    }

    /// With the hash of what is to be in each.
    pub fn sums(edits: &[FileEdit]) -> Vec<(PathBuf, String)> {
        edits.iter().map(|edit| (edit.file.clone(), sum(edit.after.as_bytes()))).collect()
    }

    pub fn files(&self) -> Vec<PathBuf> {
        self.0.iter().map(|edit| edit.file.clone()).collect()
    }

    /// Whether nobody has written to the files meanwhile.
    pub fn is_fresh(&self) -> bool {
        self.0.iter().all(FileEdit::is_as_before)
    }

    /// All of them or none.
    pub fn put_in_place(&self) -> io::Result<()> {
        let done = self.0.iter().try_for_each(|it| std::fs::rename(beside(&it.file), &it.file));
        if done.is_err() {
            self.take_back();
        }
        done
    }

    /// The files are as they were before.
    pub fn take_back(&self) {
        for edit in self.0.iter().filter(|edit| !edit.is_as_before()) {
            if let Err(error) = edit.take_back() {
                error!("{}: {error}", edit.file.display());
            }
        }
    }
}

impl Drop for Laid {
    fn drop(&mut self) {
        self.0.iter().for_each(|edit| _ = std::fs::remove_file(beside(&edit.file)));
    }
}

/// Returns once the renaming lasts.
pub fn sync_directories(files: &[PathBuf]) {
    for directory in files.iter().filter_map(|file| file.parent()) {
        if let Err(error) = File::open(directory).and_then(|it| it.sync_all()) {
            warn!("{}: {error}", directory.display());
        }
    }
}

/// What a crash left: true if files are other ones now than before.
pub fn settle(store: &Store) -> Result<bool, StoreError> {
    let Some(IntentRecord { record, changes, files }) = store.intent()? else { return Ok(false) };
    let is_there =
        |path: &Path, wanted: &String| std::fs::read(path).is_ok_and(|text| sum(&text) == *wanted);
    let begun = files.iter().any(|(file, wanted)| is_there(file, wanted));
    for (file, wanted) in &files {
        let beside = beside(file);
        if begun && !is_there(file, wanted) && is_there(&beside, wanted) {
            info!("{}: a change that was begun is carried out", file.display());
            std::fs::rename(&beside, file)
                .map_err(|source| StoreError::Unusable { path: file.clone(), source })?;
        }
        let _ = std::fs::remove_file(beside);
    }
    let mut after = vec![Change::RemoveIntent];
    if begun {
        after.insert(0, Change::audited(record, changes));
    }
    store.apply(&after)?;
    Ok(begun)
}

/// At once, so that a crash leaves the old text or the new one; owner and mode stay.
pub fn replace(file: &Path, text: &str) -> io::Result<()> {
    let file = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    lay(&file, text)?;
    std::fs::rename(beside(&file), &file)
}

fn lay(file: &Path, text: &str) -> io::Result<()> {
    let beside = beside(file);
    let mut fresh = File::create(&beside)?;
    fresh.write_all(text.as_bytes())?;
    let known: Option<Metadata> = std::fs::metadata(file).ok();
    let mode = known.as_ref().map_or(0o644, |known| known.permissions().mode());
    fresh.set_permissions(PermissionsExt::from_mode(mode & 0o7777))?;
    if let Some(known) = known {
        chown(&beside, Some(known.uid()), Some(known.gid()))?;
    }
    fresh.sync_all()
}

/// Hidden, so that it is nobody's drop-in.
fn beside(file: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(".new");
    file.with_file_name(name)
}

fn sum(text: &[u8]) -> String {
    hex(&Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::AuditRecord;

    fn record() -> AuditRecord {
        AuditRecord {
            number: 0,
            at: jiff::Timestamp::UNIX_EPOCH,
            who: "ann".to_owned(),
            from: "socket".to_owned(),
            what: "settings".to_owned(),
            target: "mode".to_owned(),
            pairs: Vec::new(),
            left_out: None,
            undoes: None,
            undone_by: None,
        }
    }

    /// Killed after so many of two files were renamed: what each holds, and the number of records.
    fn killed_after(renamed: usize) -> ([String; 2], usize) {
        let directory = tempfile::tempdir().unwrap();
        let files = ["a.toml", "b.toml"].map(|name| directory.path().join(name));
        files.iter().for_each(|file| std::fs::write(file, "old").unwrap());
        let (store, _) = Store::open(&directory.path().join("state")).unwrap();
        let edit = |file: &PathBuf| FileEdit::new(file, Some("old".to_owned()), "new".to_owned());
        let edits: Vec<_> = files.iter().map(edit).collect();
        let (record, changes, sums) = (record(), Vec::new(), Laid::sums(&edits));
        store.apply(&[Change::PutIntent(IntentRecord { record, changes, files: sums })]).unwrap();
        let laid = Laid::lay(edits).unwrap();
        assert!(laid.is_fresh());
        for file in &files[..renamed] {
            std::fs::rename(beside(file), file).unwrap();
        }
        std::mem::forget(laid);
        assert_eq!(settle(&store).unwrap(), renamed > 0);
        assert!(!settle(&store).unwrap(), "once");
        assert!(!beside(&files[1]).exists());
        let texts = files.map(|file| std::fs::read_to_string(file).unwrap());
        (texts, store.audit().count())
    }

    #[test]
    fn after_a_crash_all_is_done_and_told_or_nothing() {
        let texts = |text: &str| [text.to_owned(), text.to_owned()];
        assert_eq!(killed_after(0), (texts("old"), 0));
        assert_eq!(killed_after(1), (texts("new"), 1));
        assert_eq!(killed_after(2), (texts("new"), 1));
    }

    #[test]
    fn mode_stays_and_what_is_taken_back_is_as_before() {
        let directory = tempfile::tempdir().unwrap();
        let [known, new] = ["known.toml", "new.toml"].map(|name| directory.path().join(name));
        std::fs::write(&known, "old").unwrap();
        std::fs::set_permissions(&known, PermissionsExt::from_mode(0o640)).unwrap();
        let edits = vec![
            FileEdit::new(&known, Some("old".to_owned()), "new".to_owned()),
            FileEdit::new(&new, None, "new".to_owned()),
        ];
        let laid = Laid::lay(edits).unwrap();
        laid.put_in_place().unwrap();
        assert!(!laid.is_fresh());
        assert_eq!(std::fs::read_to_string(&new).unwrap(), "new");
        let mode = std::fs::metadata(&known).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        laid.take_back();
        assert_eq!(std::fs::read_to_string(&known).unwrap(), "old");
        assert!(!new.exists());
        drop(laid);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left over");
    }
}
