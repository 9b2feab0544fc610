//! From files to a checked configuration.
//!
//! Walks each document along the table of keys and remembers where every key was last set, so that
//! what only the whole can tell still points at a line.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use toml_edit::{Document, Item, TableLike, Value};

use super::error::{ConfigError, Fault, Wrong};
use super::keys::{
    BLOCKLIST, BLOCKLIST_KEYS, ENDPOINT, ENDPOINT_KEYS, KEYS, Key, LOG, LOG_KEYS, Section, required,
};
use super::settings::Origins;
use super::{Config, DEFAULT_PATH, check};

/// Headings in double brackets.
const TABLES: [&str; 3] = [ENDPOINT.name, LOG.name, BLOCKLIST.name];

/// The main file and its drop-ins, in reading order. One that is `begun` may not be there yet.
pub(super) fn find_files(named: Option<&Path>, begun: bool) -> Result<Vec<PathBuf>, ConfigError> {
    let main = main_file(named);
    let mut files = Vec::new();
    match std::fs::metadata(main) {
        Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() && !begun => {}
        Err(source) if !begun => {
            return Err(ConfigError::Unreadable { path: main.to_owned(), source });
        }
        _ => files.push(main.to_owned()),
    }
    files.extend(find_drop_ins(&main.with_extension("d"))?);
    Ok(files)
}

pub(super) fn main_file(named: Option<&Path>) -> &Path {
    named.unwrap_or(Path::new(DEFAULT_PATH))
}

fn find_drop_ins(directory: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: directory.to_owned(), source };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let path = entry.path();
        if !hidden && path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

pub(super) fn read_texts(texts: &[(&Path, String)]) -> Result<(Config, Origins), ConfigError> {
    let mut config = Config::default();
    let mut faults = Vec::new();
    let mut places = Places::default();
    for (file, text) in texts {
        let mut reader = Reader { file, text, faults: &mut faults, places: &mut places };
        reader.read(&mut config);
    }
    // What follows from a value that was refused would only confuse.
    if faults.is_empty() {
        check::whole(&config, &places, &mut faults);
    }
    if !faults.is_empty() {
        return Err(ConfigError::Wrong(faults));
    }
    let origins = Origins::new(&config, places.0);
    Ok((config, origins))
}

/// What can be read of texts that say something wrong.
pub(super) fn read_what_is_right(texts: &[(&Path, String)]) -> Config {
    let (mut config, mut faults, mut places) = (Config::default(), Vec::new(), Places::default());
    for (file, text) in texts {
        Reader { file, text, faults: &mut faults, places: &mut places }.read(&mut config);
    }
    config
}

/// Where keys were last set: `rules.scope`, `endpoint[0].addresses`.
#[derive(Default)]
pub(super) struct Places(HashMap<String, (PathBuf, usize)>);

impl Places {
    /// A fault at the first of these keys that was set at all.
    pub fn fault(&self, keys: &[&str], shown: &str, what: String) -> Fault {
        let place = keys.iter().find_map(|key| self.0.get(*key));
        let (file, line) = place.cloned().unwrap_or_else(|| (DEFAULT_PATH.into(), 1));
        Fault { file, line, key: shown.to_owned(), what }
    }
}

struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
    faults: &'a mut Vec<Fault>,
    places: &'a mut Places,
}

impl Reader<'_> {
    fn read(&mut self, config: &mut Config) {
        let document = match Document::parse(self.text) {
            Ok(document) => document,
            Err(error) => {
                let start = error.span().map_or(0, |span| span.start);
                let what = error.message().replace('\n', ", ");
                return self.fault(start, "", what);
            }
        };
        self.walk(document.as_table(), "", "", KEYS, config);
        if let Some(item) = document.get(ENDPOINT.name) {
            self.read_tables(item, &ENDPOINT, ENDPOINT_KEYS, &mut config.endpoints);
        }
        if let Some(item) = document.get(LOG.name) {
            self.read_tables(item, &LOG, LOG_KEYS, &mut config.logs);
        }
        if let Some(item) = document.get(BLOCKLIST.name) {
            self.read_tables(item, &BLOCKLIST, BLOCKLIST_KEYS, &mut config.blocklists);
        }
    }

    /// `place` is what keys are remembered under, `prefix` the path inside the target.
    fn walk<T>(
        &mut self,
        table: &dyn TableLike,
        place: &str,
        prefix: &str,
        keys: &[Key<T>],
        target: &mut T,
    ) {
        for (name, item) in table.iter() {
            let path = format!("{prefix}{name}");
            let inside = format!("{path}.");
            let at = table.key(name).and_then(|key| key.span()).map_or(0, |span| span.start);
            if let Some(key) = keys.iter().find(|key| key.path == path) {
                self.set(key, item, at, place, target);
            } else if keys.iter().any(|key| key.path.starts_with(&inside)) {
                match item.as_table_like() {
                    Some(table) => self.walk(table, place, &inside, keys, target),
                    None => {
                        let at = item.span().map_or(at, |span| span.start);
                        self.fault(at, &path, "expected a table".to_owned());
                    }
                }
            } else if !(place.is_empty() && TABLES.contains(&path.as_str())) {
                let what = unknown(&path, prefix, keys);
                self.fault(at, &shown(place, &path), what);
            }
        }
    }

    fn set<T>(&mut self, key: &Key<T>, item: &Item, at: usize, place: &str, target: &mut T) {
        let result = match item.as_value() {
            Some(value) => (key.set)(target, value),
            None => {
                let what = format!("expected {}, found a table", (key.expected)());
                Err(Wrong { span: None, what })
            }
        };
        match result {
            Ok(()) => self.remember(place, key.path, at),
            Err(Wrong { span, what }) => {
                self.fault(span.map_or(at, |span| span.start), &shown(place, key.path), what);
            }
        }
    }

    /// `[[endpoint]]` and the like, with the keys that each of them must have.
    fn read_tables<T: Default>(
        &mut self,
        item: &Item,
        section: &Section,
        keys: &[Key<T>],
        targets: &mut Vec<T>,
    ) {
        let name = section.name;
        let start = |span: Option<std::ops::Range<usize>>| span.map_or(0, |span| span.start);
        let mut tables: Vec<(&dyn TableLike, usize)> = Vec::new();
        if let Some(array) = item.as_array_of_tables() {
            tables.extend(array.iter().map(|table| (table as _, start(table.span()))));
        } else if let Some(array) = item.as_array() {
            for value in array {
                match value {
                    Value::InlineTable(table) => tables.push((table, start(table.span()))),
                    other => {
                        let Wrong { what, .. } = Wrong::expected("a table", other);
                        self.fault(start(other.span()), name, what);
                    }
                }
            }
        } else {
            let what = format!("expected tables that begin with [[{name}]]");
            self.fault(start(item.span()), name, what);
        }
        for (table, at) in tables {
            let place = format!("{name}[{}].", targets.len());
            let mut target = T::default();
            self.remember(&place, "", at);
            self.walk(table, &place, "", keys, &mut target);
            for required in required(name).iter().filter(|required| !table.contains_key(required)) {
                self.fault(at, &shown(&place, required), "missing".to_owned());
            }
            targets.push(target);
        }
    }

    fn remember(&mut self, place: &str, path: &str, at: usize) {
        self.places.0.insert(format!("{place}{path}"), (self.file.to_owned(), self.line(at)));
    }

    fn fault(&mut self, at: usize, key: &str, what: String) {
        let line = self.line(at);
        self.faults.push(Fault { file: self.file.to_owned(), line, key: key.to_owned(), what });
    }

    fn line(&self, at: usize) -> usize {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        before.iter().filter(|&&byte| byte == b'\n').count() + 1
    }
}

/// A key as messages name it; the line tells which endpoint or log is meant.
fn shown(place: &str, path: &str) -> String {
    place.split_once('[').map_or_else(|| path.to_owned(), |(name, _)| format!("{name}.{path}"))
}

/// "unknown key", and the nearest one of the same table if it is near enough to be meant.
fn unknown<T>(path: &str, prefix: &str, keys: &[Key<T>]) -> String {
    const DISTANCE_MAX: usize = 3;
    let nearest = keys
        .iter()
        .filter(|key| key.path.starts_with(prefix))
        .map(|key| (distance(path, key.path), key.path))
        .min();
    match nearest {
        Some((distance, near)) if distance <= DISTANCE_MAX => {
            format!("unknown key; is {} meant?", &near[prefix.len()..])
        }
        _ => "unknown key".to_owned(),
    }
}

/// How many letters must be put in, left out or changed (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &b) in right.iter().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
