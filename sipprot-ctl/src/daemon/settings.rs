//! Settings that callers read and change: checked as a whole, written into the files, in force at once.
//!
//! A change comes twice. First it is checked and laid ready beside its files, on another thread, since
//! disks are slow; then, if the settings are still as they were, it is put in force.

pub(super) mod reload;
pub(super) mod staged;

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value as Json;
use tracing::{error, info, warn};

use self::staged::{FileEdit, Laid};
use super::answers::Reply;
use super::audit::setting_pair;
use super::core::Core;
use super::geography::Geography;
use super::guard::Guarding;
use super::plan::Plan;
use crate::api::{Answer, Code, Consent, Fault, SettingsChange, SettingsChanged, StagedSettings};
use crate::config::{
    self, Config, ConfigError, Difference, KeyName, Loaded, Origins, section_name,
};
use crate::daemon::geography::ahead::Ahead;
use crate::message::shortened;
use crate::store::{AuditRecord, Change, IntentRecord, Pair, PendingRecord, Store};

/// What takes settings back, at most: it is kept with the change that waits.
const BACK_MAX: usize = 8 << 10;

/// Keys, each with its value or none.
type Values = Vec<(String, Option<Json>)>;

/// A change that was checked.
struct Checked {
    loaded: Loaded,
    edits: Vec<FileEdit>,
    pairs: Vec<Pair>,
    changes: Vec<Difference>,
    back: Values,
}

/// One that lies beside its files.
pub(super) struct Ready {
    /// Of the settings that it was made from.
    version: String,
    laid: Laid,
    loaded: Loaded,
    changes: Vec<Difference>,
    back: Values,
    record: AuditRecord,
    ahead: Option<Ahead>,
}

impl Core {
    pub(super) fn change_settings(
        &mut self,
        change: &SettingsChange,
        consent: Consent,
        reply: Reply,
    ) {
        let Some(record) = self.journal.take() else {
            let _ = reply.send(Err(Fault::internal()));
            return;
        };
        self.stage(change, record, consent, reply);
    }

    /// Answers with what [`Core::apply_settings`] takes, or with what would change.
    pub(super) fn stage(
        &mut self,
        change: &SettingsChange,
        record: AuditRecord,
        consent: Consent,
        reply: Reply,
    ) {
        let values: Values =
            change.settings.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
        let whole = |(key, value): (String, Option<Json>)| (key, value.unwrap_or_default());
        let settings = expanded(&values).into_iter().map(whole).collect();
        let change = SettingsChange { settings, ..change.clone() };
        match self.try_stage(&change, record, consent) {
            Err(fault) => _ = reply.send(Err(fault)),
            Ok(Err(answer)) => _ = reply.send(Ok(Answer::SettingsChanged(answer))),
            Ok(Ok((staging, store))) => {
                let (by, keys) = (staging.record.who.clone(), staging.keys());
                let place: Arc<Mutex<Option<Ready>>> = Arc::default();
                self.staging = Arc::downgrade(&place);
                tokio::task::spawn_blocking(move || {
                    let laid = staging.lay(&store);
                    let answer = laid.map(|ready| {
                        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(ready);
                        let ready: Arc<dyn Any + Send + Sync> = place;
                        Answer::Staged(StagedSettings { by, keys, ready })
                    });
                    let _ = reply.send(answer);
                });
            }
        }
    }

    fn try_stage(
        &mut self,
        change: &SettingsChange,
        record: AuditRecord,
        consent: Consent,
    ) -> Result<Result<(Staging, Arc<Store>), SettingsChanged>, Fault> {
        let store = self.needs_store()?;
        if self.staging.strong_count() > 0 {
            let message = "somebody else changes settings just now: try again";
            return Err(Fault::new(Code::Conflict, message));
        }
        let version = self.config.version();
        if change.version.as_ref().is_some_and(|made_from| *made_from != version) {
            let message = "the settings are other ones by now: look at them again";
            return Err(Fault { field: Some("version".to_owned()), ..conflict(message) });
        }
        let Checked { loaded, edits, pairs, changes, back } = self.check_change(change)?;
        let files = || edits.iter().map(|it| it.file.display().to_string()).collect();
        if change.dry_run || edits.is_empty() {
            let message = told(&changes, if edits.is_empty() { "nothing changes" } else { "" });
            let files = files();
            return Ok(Err(SettingsChanged {
                done: false,
                message,
                version,
                changes,
                files,
                audit: None,
            }));
        }
        let mut waits = self.would_wait(&loaded, consent)?;
        let mut kept = Vec::new();
        if let Some(pending) = &mut waits {
            pending.settings.clone_from(&back);
            pending.by.clone_from(&record.who);
            if serde_json::to_string(&pending).map_or(0, |text| text.len()) > BACK_MAX {
                let message = "too much to be taken back at once: change countries by themselves";
                return Err(Fault::invalid("settings", message));
            }
            kept.push(Change::PutPending(pending.clone()));
        }
        let keys: Vec<&str> = change.settings.keys().map(String::as_str).collect();
        let target = match record.target.as_str() {
            "" => keys.join(" "),
            known => known.to_owned(),
        };
        let record = AuditRecord { pairs, target, ..record };
        let reads = self.needs_databases(&loaded.config);
        let staging = Staging { version, loaded, edits, changes, back, record, kept, reads };
        Ok(Ok((staging, store)))
    }

    /// The whole configuration as it would be, and what of it differs.
    fn check_change(&self, change: &SettingsChange) -> Result<Checked, Fault> {
        if change.settings.is_empty() {
            return Err(Fault::invalid("settings", "nothing to be changed"));
        }
        let mut by_file: Vec<(PathBuf, Values)> = Vec::new();
        let mut touched: Vec<(String, PathBuf)> = Vec::new();
        for (key, value) in &change.settings {
            let name = KeyName::parse(key).filter(KeyName::is_known);
            let Some(name) = name else {
                let shown = crate::message::clean(key.as_bytes(), 64);
                return Err(Fault::invalid(&shown, "there is no such setting"));
            };
            let value = Some(value.clone()).filter(|value| !value.is_null());
            if value.is_none() && self.origins.of(key).is_none() {
                continue;
            }
            let file = self.setting_file(key, name);
            let thing = self.thing_of(key, name);
            if !touched.iter().any(|(known, _)| *known == thing) {
                touched.push((thing, file.clone()));
            }
            match by_file.iter_mut().find(|(known, _)| *known == file) {
                Some((_, values)) => values.push((key.clone(), value)),
                None => by_file.push((file, vec![(key.clone(), value)])),
            }
        }
        let edits = edits(by_file).map_err(|fault| fault.of(change))?;
        let texts: Vec<(&Path, &str)> =
            edits.iter().map(|it| (it.0.as_path(), it.1.after.as_str())).collect();
        let loaded = Config::load_with(self.config_path.as_deref(), &texts)
            .map_err(|error| Wrong(error).of(change))?;
        let changes = self.config.differences(&loaded.config);
        self.only_asked(change, &changes)?;
        let (mut pairs, mut back) = (Vec::new(), Vec::new());
        for (key, file) in touched {
            let before = stated(&self.config, &self.origins, &key);
            let after = stated(&loaded.config, &loaded.origins, &key);
            pairs.push(setting_pair(&key, file, [before.clone(), after]));
            back.push((key, before));
        }
        pairs.retain(Pair::is_change);
        let edits = edits.into_iter().map(|(_, edit)| edit);
        let edits = edits.filter(|it| it.before.as_ref() != Some(&it.after)).collect();
        Ok(Checked { loaded, edits, pairs, changes: shown(changes), back })
    }

    /// What else the files say would come into force as well, by surprise.
    fn only_asked(&self, change: &SettingsChange, changes: &[Difference]) -> Result<(), Fault> {
        let asked = |it: &&Difference| {
            change.settings.contains_key(&it.key)
                || KeyName::parse(&it.key).and_then(|name| name.named).is_some_and(
                    |(kind, name)| {
                        let section = section_name(kind, name);
                        let whole = change.settings.contains_key(&section);
                        let is_new = self.stated(&section).is_none();
                        whole
                            || is_new && change.settings.keys().any(|key| key.starts_with(&section))
                    },
                )
        };
        match changes.iter().find(|it| !asked(it)) {
            None => Ok(()),
            Some(other) => Err(conflict(&format!(
                "the files say otherwise than what is in force, also of {}: see 'sipprot config \
                 diff', then 'sipprot reload'",
                other.key
            ))),
        }
    }

    /// As the files state it; what goes by its default isn't stated.
    pub(super) fn stated(&self, key: &str) -> Option<Json> {
        stated(&self.config, &self.origins, key)
    }

    /// A new section comes and goes as a whole.
    fn thing_of(&self, key: &str, name: KeyName<'_>) -> String {
        let section = name.named.map(|(kind, name)| section_name(kind, name));
        section.filter(|it| self.stated(it).is_none()).unwrap_or_else(|| key.to_owned())
    }

    /// Where it is set, or its section is, or else the main file.
    fn setting_file(&self, key: &str, name: KeyName<'_>) -> PathBuf {
        let section = name.named.map(|(kind, name)| section_name(kind, name));
        match section.filter(|_| self.origins.of(key).is_none()) {
            Some(section) => self.file_of(&section),
            None => self.file_of(key),
        }
    }

    /// Asks the lock-out guard. What a new database says is asked when it is there.
    fn would_wait(
        &mut self,
        loaded: &Loaded,
        consent: Consent,
    ) -> Result<Option<PendingRecord>, Fault> {
        let geography: Arc<Geography> = self.geography.clone();
        let plan = Plan::new(&loaded.config, self.observe, geography.is_available())
            .map_err(|error| Fault::invalid("settings", error.to_string()))?;
        let plan = Self::planned(plan, &self.lessons);
        self.consider_geo(&plan, &geography, consent)
    }

    pub(super) fn apply_settings(
        &mut self,
        staged: &StagedSettings,
        consent: Consent,
        reply: Reply,
    ) {
        let ready = staged.ready.downcast_ref::<Mutex<Option<Ready>>>();
        let ready = ready.and_then(|it| it.lock().unwrap_or_else(PoisonError::into_inner).take());
        let Some(ready) = ready else {
            let _ = reply.send(Err(Fault::internal()));
            return;
        };
        match self.try_apply_settings(ready, consent) {
            Err(fault) => {
                self.journal.begin(None);
                self.journal.write(vec![Change::RemoveIntent]);
                let _ = reply.send(Err(fault));
            }
            Ok((answer, files)) => {
                let stored = self.journal.write_for_good(vec![Change::RemoveIntent]);
                tokio::spawn(async move {
                    let stored = stored.await.ok().and_then(Result::ok);
                    let synced = tokio::task::spawn_blocking(move || {
                        staged::sync_directories(&files);
                    });
                    let _ = synced.await;
                    let what = "in force, but it could not be noted in the audit log";
                    let failed = || Fault::unavailable(what);
                    let answer = stored
                        .map(|audit| Answer::SettingsChanged(SettingsChanged { audit, ..answer }));
                    let _ = reply.send(answer.ok_or_else(failed));
                });
            }
        }
    }

    fn try_apply_settings(
        &mut self,
        ready: Ready,
        consent: Consent,
    ) -> Result<(SettingsChanged, Vec<PathBuf>), Fault> {
        let Ready { version, laid, loaded, changes, back, record, ahead } = ready;
        if version != self.config.version() || !laid.is_fresh() {
            return Err(conflict("the settings changed meanwhile: try again"));
        }
        laid.put_in_place().map_err(|error| {
            error!("settings: {error}");
            Fault::unavailable(format!("the files can't be written: {error}"))
        })?;
        let by = record.who.clone();
        let asked = Guarding::Asked { consent, by: by.clone(), settings: back };
        self.ahead = ahead;
        match self.put_in_force(loaded, asked) {
            Err(fault) => {
                laid.take_back();
                Err(fault)
            }
            Ok(_) => {
                self.reload_complaint = None;
                self.journal.tell(|act| *act = record);
                let files = laid.files();
                let learns = self.learns_on(&changes);
                let message = format!("{}{learns}{}", told(&changes, ""), self.deadline());
                info!("settings by {by}: {message}");
                let answer = SettingsChanged {
                    done: true,
                    message,
                    version: self.config.version(),
                    changes,
                    files: files.iter().map(|file| file.display().to_string()).collect(),
                    audit: None,
                };
                Ok((answer, files))
            }
        }
    }

    /// Who sets a mode is told that it does nothing yet.
    fn learns_on(&self, changes: &[Difference]) -> &'static str {
        let to_enforce =
            changes.iter().any(|it| it.key == "mode" && it.after == Some("enforce".into()));
        if to_enforce && self.lessons.goes_on() {
            return "; BUT the host learns, so the rules drop nothing until 'sipprot learn stop'";
        }
        ""
    }

    /// What nobody confirmed is taken out of the files and out of force. False if that can't be.
    pub(super) fn settings_go_back(&mut self, back: &Values) -> bool {
        let pairs = back.iter().map(|(key, value)| {
            setting_pair(key, self.file_of(key), [self.stated(key), value.clone()])
        });
        let pairs: Vec<Pair> = pairs.filter(Pair::is_change).collect();
        let origins = self.origins.clone();
        let loaded = match write_back(back, &origins, self.config_path.as_deref()) {
            Ok(loaded) => loaded,
            Err(error) => {
                self.complain(format!("taking settings back: {error}"));
                return false;
            }
        };
        if let Err(fault) = self.put_in_force(loaded, Guarding::GoingBack) {
            self.complain(format!("taking settings back: {fault}"));
            return false;
        }
        self.journal.tell(|act| act.pairs.extend(pairs));
        true
    }
}

/// A checked change on its way to the disk.
struct Staging {
    version: String,
    loaded: Loaded,
    edits: Vec<FileEdit>,
    changes: Vec<Difference>,
    back: Values,
    record: AuditRecord,
    /// What is to be stored with the record, after a crash.
    kept: Vec<Change>,
    /// Whether country databases are to be read for it.
    reads: bool,
}

impl Staging {
    fn keys(&self) -> Vec<String> {
        self.changes.iter().map(|it| it.key.clone()).collect()
    }

    /// The intent first: what is found beside a file is explained by it.
    fn lay(self, store: &Store) -> Result<Ready, Fault> {
        let Self { version, loaded, edits, changes, back, record, kept, reads } = self;
        let files = Laid::sums(&edits);
        let intent = IntentRecord { record: record.clone(), changes: kept, files };
        store.apply(&[Change::PutIntent(intent)]).map_err(|error| {
            error!("store: {error}");
            super::journal::not_stored()
        })?;
        let laid = Laid::lay(edits).map_err(|error| {
            warn!("settings: {error}");
            Fault::refused(format!("the files can't be written: {error}"))
        });
        if laid.is_err() {
            let _ = store.apply(&[Change::RemoveIntent]);
        }
        let (laid, ahead) = (laid?, reads.then(|| Ahead::read(&loaded.config)));
        Ok(Ready { version, laid, loaded, changes, back, record, ahead })
    }
}

/// The configuration after what a crash left, and what nobody confirmed while no daemon ran.
pub(super) fn settled(
    loaded: Loaded,
    store: Option<&Store>,
    path: Option<&Path>,
) -> anyhow::Result<Loaded> {
    let Some(store) = store else { return Ok(loaded) };
    let mut loaded = if staged::settle(store)? { Config::load(path)? } else { loaded };
    let pending = store.pending()?.filter(|it| !it.settings.is_empty() && !it.ended);
    if let Some(pending) = pending.filter(|it| it.until <= jiff::Timestamp::now()) {
        match write_back(&pending.settings, &loaded.origins, path) {
            Err(error) => error!("taking settings back: {error}"),
            Ok(former) => {
                warn!("{} was not confirmed: it is taken back", pending.what);
                store.apply(&[Change::audited(
                    rollback(&pending, &loaded),
                    vec![Change::RemovePending],
                )])?;
                loaded = former;
            }
        }
    }
    Ok(loaded)
}

fn rollback(pending: &PendingRecord, loaded: &Loaded) -> AuditRecord {
    let pair = |(key, back): &(String, Option<Json>)| {
        let file = loaded.origins.of(key).map(|(file, _)| file.to_owned()).unwrap_or_default();
        let now = stated(&loaded.config, &loaded.origins, key);
        setting_pair(key, file, [now, back.clone()])
    };
    AuditRecord {
        number: 0,
        at: jiff::Timestamp::now(),
        who: "sipprot".to_owned(),
        from: format!("for {}", pending.by),
        what: "rollback".to_owned(),
        target: pending.what.clone(),
        pairs: pending.settings.iter().map(pair).filter(Pair::is_change).collect(),
        left_out: None,
        undoes: None,
        undone_by: None,
    }
}

/// Puts values back into the files, and reads what these say then.
fn write_back(back: &Values, origins: &Origins, path: Option<&Path>) -> anyhow::Result<Loaded> {
    let main = path.unwrap_or(Path::new(crate::config::DEFAULT_PATH));
    let mut by_file: Vec<(PathBuf, Values)> = Vec::new();
    for (key, value) in &expanded(back) {
        // What is not there needs not be taken out.
        if value.is_none() && origins.of(key).is_none() {
            continue;
        }
        let file = origins.of(key).map_or(main, |(file, _)| file).to_owned();
        match by_file.iter_mut().find(|(known, _)| *known == file) {
            Some((_, values)) => values.push((key.clone(), value.clone())),
            None => by_file.push((file, vec![(key.clone(), value.clone())])),
        }
    }
    let edits = edits(by_file).map_err(|Wrong(error)| error)?;
    let texts: Vec<(&Path, &str)> =
        edits.iter().map(|it| (it.0.as_path(), it.1.after.as_str())).collect();
    let loaded = Config::load_with(path, &texts)?;
    for (_, edit) in &edits {
        staged::replace(&edit.file, &edit.after)?;
    }
    Ok(loaded)
}

/// A key's value where a file states it; of a whole section its keys with their values.
fn stated(config: &Config, origins: &Origins, key: &str) -> Option<Json> {
    let is_whole = KeyName::parse(key).is_some_and(|name| name.path.is_empty());
    let mut settings = config.settings().into_iter().filter(|it| origins.of(&it.key).is_some());
    if !is_whole {
        return settings.find(|it| it.key == key).map(|it| it.value);
    }
    let inside = format!("{key}.");
    let held = settings.filter_map(|it| {
        let path = it.key.strip_prefix(&inside)?.to_owned();
        (path != "name").then_some((path, it.value))
    });
    let held: serde_json::Map<String, Json> = held.collect();
    (!held.is_empty()).then_some(Json::Object(held))
}

/// A whole section's value is that of its keys.
fn expanded(values: &Values) -> Values {
    let mut all = Vec::new();
    for (key, value) in values {
        match (KeyName::parse(key), value) {
            (Some(KeyName { path: "", .. }), Some(Json::Object(held))) => {
                let inside = |(path, value): (&String, &Json)| {
                    (format!("{key}.{path}"), Some(value.clone()))
                };
                all.extend(held.iter().map(inside));
            }
            _ => all.push((key.clone(), value.clone())),
        }
    }
    all
}

/// The files as they would be, by the name that the configuration has for each.
fn edits(by_file: Vec<(PathBuf, Values)>) -> Result<Vec<(PathBuf, FileEdit)>, Wrong> {
    let mut edits = Vec::new();
    for (file, values) in by_file {
        let before = match std::fs::read_to_string(&file) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => return Err(Wrong(ConfigError::Unreadable { path: file, source })),
        };
        let after = Config::edited(&file, before.as_deref().unwrap_or_default(), &values);
        let edit = FileEdit::new(&file, before, after.map_err(Wrong)?);
        edits.push((file, edit));
    }
    Ok(edits)
}

/// What is wrong with a configuration that was not written.
struct Wrong(ConfigError);

impl Wrong {
    /// Named by the key that was to be changed.
    fn of(self, change: &SettingsChange) -> Fault {
        let Some(first) = self.0.faults().first() else {
            return Fault::refused(self.0.to_string());
        };
        // Its reader doesn't say which section: the change does, if it is of one.
        let section = first.key.split_once('.').and_then(|(kind, path)| {
            let names = change.settings.keys().filter_map(|key| KeyName::parse(key)?.named);
            let mut names: Vec<&str> =
                names.filter(|(named, _)| *named == kind).map(|(_, name)| name).collect();
            names.dedup();
            let [name] = names[..] else { return None };
            Some(format!("{}.{path}", section_name(kind, name)))
        });
        let field = section.as_deref().unwrap_or(&first.key);
        Fault::invalid(field, first.what.clone())
    }
}

fn conflict(message: &str) -> Fault {
    Fault::new(Code::Conflict, message)
}

/// Without what nobody is shown.
pub(super) fn shown(changes: Vec<Difference>) -> Vec<Difference> {
    let one = |it: Difference| {
        let shown = |value: Option<Json>| value.map(|value| config::shown(&it.key, value));
        Difference { before: shown(it.before), after: shown(it.after), key: it.key }
    };
    changes.into_iter().map(one).collect()
}

/// In one line for people.
fn told(changes: &[Difference], otherwise: &str) -> String {
    const SHOWN: usize = 5;
    let one = |it: &Difference| {
        let short = |value: &Json| shortened(&value.to_string(), 60);
        let value = |value: &Option<Json>| value.as_ref().map_or("unset".to_owned(), short);
        format!("{}: {} → {}", it.key, value(&it.before), value(&it.after))
    };
    let mut parts: Vec<String> = changes.iter().take(SHOWN).map(one).collect();
    if changes.len() > SHOWN {
        parts.push(format!("and {} more", changes.len() - SHOWN));
    }
    if changes.iter().any(|it| it.key.starts_with("daemon.")) {
        parts.push("daemon.* takes effect with the next start".to_owned());
    }
    match parts.is_empty() {
        true if otherwise.is_empty() => "written; in force is the same as before".to_owned(),
        true => otherwise.to_owned(),
        false => parts.join("; "),
    }
}

impl Core {
    /// The whole section, where it came or went.
    fn changed_thing(&self, before: &Loaded, key: String) -> String {
        let named = KeyName::parse(&key).and_then(|name| name.named);
        let section = named.map(|(kind, name)| section_name(kind, name));
        let is_there =
            |config: &Config, origins: &Origins, it: &str| stated(config, origins, it).is_some();
        let came_or_went = |it: &String| {
            is_there(&before.config, &before.origins, it)
                != is_there(&self.config, &self.origins, it)
        };
        section.filter(came_or_went).unwrap_or(key)
    }

    /// The configuration is read again; what it changes is recorded.
    pub(super) fn reload_as_asked(&mut self, consent: Consent) -> super::answers::Outcome {
        use super::answers::Outcome;
        let before = self.loaded();
        match self.reload(consent) {
            Err(fault) => Outcome::Now(Err(fault)),
            Ok(done) => {
                let keys = before.config.differences(&self.config).into_iter().map(|it| it.key);
                let mut things: Vec<String> =
                    keys.map(|key| self.changed_thing(&before, key)).collect();
                things.dedup();
                let pair = |key: String| {
                    let before = stated(&before.config, &before.origins, &key);
                    setting_pair(&key, self.file_of(&key), [before, self.stated(&key)])
                };
                let pairs: Vec<Pair> =
                    things.into_iter().map(pair).filter(Pair::is_change).collect();
                self.journal.tell(|act| act.pairs = pairs);
                Outcome::Stored(self.journal.write_for_good(Vec::new()), done)
            }
        }
    }
}
