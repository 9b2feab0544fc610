//! `sipprot setup`: the store, and on a terminal the first configuration by a few questions.
//!
//! Nothing is written that was not shown, and no file without a copy of what it was.

mod draft;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, ValueEnum};
use clap_complete::ArgValueCompleter;
use jiff::Timestamp;

use super::ask::{agrees, ask, ask_until, is_terminal};
use super::change::operator;
use super::client::{Client, ssh_client};
use super::complete;
use super::{CliError, Context, write_out};
use crate::api::{Done, LearnStart, LearnState, LearnStatus, NewEntry, Scope};
use crate::config::{Config, DEFAULT_PATH, Loaded};
use crate::store::{Change, LearningRecord, List, ListEntry, Origin, Store, StoreError};
use draft::{Draft, Endpoint, changes, news_of};

const LEARN_DAYS: u32 = 7;
const NOTE: &str = "from here sipprot was set up";

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum FirstMode {
    /// Watch for a week, then propose.
    Learn,
    Enforce,
    Observe,
}

impl FirstMode {
    pub const fn name(self) -> &'static str {
        match self {
            FirstMode::Learn => "learn",
            FirstMode::Enforce => "enforce",
            FirstMode::Observe => "observe",
        }
    }

    /// Of a name, or its first letter.
    fn of(text: &str) -> Option<Self> {
        let all = Self::value_variants().iter();
        all.copied().find(|mode| text == mode.name() || text == &mode.name()[..1])
    }
}

#[derive(ClapArgs, Debug)]
pub struct Setup {
    /// An interface to protect; that of the default route otherwise.
    #[arg(long = "iface", value_name = "IF", add = ArgValueCompleter::new(complete::interfaces))]
    pub interfaces: Vec<String>,
    /// A PBX and its addresses; those that listen on this host otherwise.
    #[arg(long = "endpoint", value_name = "NAME=ADDRESS,…", value_parser = named_endpoint)]
    pub endpoints: Vec<Endpoint>,
    /// An address for the allowlist; that from which you came by ssh otherwise.
    #[arg(long, value_name = "ADDRESS")]
    pub trust: Option<IpAddr>,
    /// What to begin with: learn otherwise.
    #[arg(long)]
    pub mode: Option<FirstMode>,
    /// Don't ask: what flags don't say is as proposed.
    #[arg(long)]
    pub yes: bool,
    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
}

impl Setup {
    pub fn says_something(&self) -> bool {
        let Self { interfaces, endpoints, trust, mode, yes, dry_run } = self;
        let named = !interfaces.is_empty() || !endpoints.is_empty();
        named || trust.is_some() || mode.is_some() || *yes || *dry_run
    }
}

pub(super) fn run(context: &Context, setup: &Setup) -> Result<(), CliError> {
    let asks = is_terminal() && !context.json;
    if !asks && !setup.says_something() {
        return prepare(context);
    }
    let file = context.config.clone().unwrap_or_else(|| DEFAULT_PATH.into());
    let before = match std::fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(CliError::Failed(format!("{}: {error}", file.display()))),
    };
    let as_it_is = before.as_deref().unwrap_or_default();
    let loaded = Config::load_with(Some(&file), &[(&file, as_it_is)])?;
    let named: Vec<&str> = setup.interfaces.iter().map(String::as_str).collect();
    all_there(&named).map_err(CliError::Usage)?;
    let mut draft = Draft::proposed(&loaded, &file, setup, ssh_client());
    if asks && !setup.yes {
        question(&mut draft, setup, &loaded, &file)?;
    }
    let after = draft.text(&file, before.as_deref())?;
    let plan = plan(&draft, &file, before.as_deref(), &after);
    // What only the whole tells, before anything is written.
    Config::load_with(Some(&file), &[(&file, &after)]).map_err(|error| {
        let lines = numbered(&after);
        CliError::Failed(format!(
            "nothing is written: {error}\n{} as it would be:\n{lines}",
            file.display()
        ))
    })?;
    if setup.dry_run {
        return say(context, false, plan);
    }
    if !setup.yes {
        if !asks {
            return Err(CliError::Failed(format!("{plan}nothing is written yet: add --yes")));
        }
        write_out(&plan)?;
        if !agrees("Do it?", false)? {
            return write_out("nothing is written\n");
        }
    }
    let shown = file.display();
    let written = if before.as_deref() == Some(after.as_str()) {
        format!("{shown} stays as it is\n")
    } else {
        let copy = write(&file, before.is_some(), &after)?;
        let copy = copy.map(|copy| format!("; what it was is in {}", copy.display()));
        format!("{shown} is written{}\n", copy.unwrap_or_default())
    };
    let done =
        carry_out(&Client::new(loaded.config.daemon.socket.clone()), &loaded.config, &draft)?;
    say(context, true, format!("{written}{done}"))
}

fn say(context: &Context, done: bool, message: String) -> Result<(), CliError> {
    context.print(&Done { done, ..Done::new(message) }, |done| done.message.clone())
}

/// The store alone. If it is there already, nothing is done.
fn prepare(context: &Context) -> Result<(), CliError> {
    let directory = context.load_config()?.config.daemon.state_dir;
    let shown = directory.display();
    let message = match Store::open(&directory) {
        Ok((_, report)) if report.created => format!("the store is ready in {shown}"),
        Ok((_, report)) if report.recovery.is_some() => report.to_string().trim_end().to_owned(),
        Ok(_) => format!("the store in {shown} is there already: nothing to do"),
        Err(StoreError::InUse { .. }) => {
            format!("the store in {shown} is there already, and a daemon uses it: nothing to do")
        }
        Err(error) => return Err(CliError::Failed(error.to_string())),
    };
    say(context, true, message + "\n")
}

/// What flags have not said yet.
fn question(
    draft: &mut Draft,
    setup: &Setup,
    loaded: &Loaded,
    file: &Path,
) -> Result<(), CliError> {
    if setup.interfaces.is_empty() {
        let proposed = draft.interfaces.join(" ");
        draft.interfaces = ask_until("Interfaces to protect", &proposed, |answer| {
            let names: Vec<&str> = answer.split([' ', ',']).filter(|it| !it.is_empty()).collect();
            match names.is_empty() {
                true => Err(format!("name one or more of {}", interfaces())),
                false => all_there(&names),
            }
        })?;
    }
    if setup.endpoints.is_empty() && !draft.endpoints.is_empty() {
        for endpoint in &draft.endpoints {
            write_out(&format!("{} answers on {}\n", endpoint.name, endpoint.addresses()))?;
        }
        if !agrees("Give each limits, counts and blocks of its own?", true)? {
            draft.endpoints.clear();
        }
    }
    let are_known = !draft.endpoints.is_empty() || !loaded.config.endpoints.is_empty();
    if setup.endpoints.is_empty() && !are_known {
        ask_for_pbxs(draft, loaded, file)?;
    }
    if setup.trust.is_none()
        && let Some(address) = draft.trust
        && !agrees(&format!("Always let in {address}, where you come from?"), true)?
    {
        draft.trust = None;
    }
    if setup.mode.is_none() {
        // A new package's configuration observes because nobody was asked yet.
        let proposed = match draft.mode {
            FirstMode::Observe => FirstMode::Learn,
            other => other,
        };
        let question = "Learn for a week first, or enforce now (learn, enforce, observe)";
        draft.mode = ask_until(question, proposed.name(), |answer| {
            FirstMode::of(answer).ok_or_else(|| format!("{answer:?} is none of them"))
        })?;
    }
    Ok(())
}

/// What runs in containers and guests can't be seen from here.
fn ask_for_pbxs(draft: &mut Draft, loaded: &Loaded, file: &Path) -> Result<(), CliError> {
    loop {
        let given = ask("A PBX, as NAME=ADDRESS (one in a container, say)", "no more")?;
        if given == "no more" {
            return Ok(());
        }
        match named_endpoint(&given) {
            Ok(endpoint) => draft.endpoints.push(news_of(endpoint, true, loaded, file)),
            Err(wrong) => eprintln!("{wrong}"),
        }
    }
}

/// The names, if each is one of this host's interfaces.
fn all_there(names: &[&str]) -> Result<Vec<String>, String> {
    let known = crate::doctor::interfaces();
    match names.iter().find(|name| !known.iter().any(|it| it == *name)) {
        None => Ok(names.iter().map(|&name| name.to_owned()).collect()),
        Some(name) => Err(format!("there is no interface {name}; there are {}", interfaces())),
    }
}

fn interfaces() -> String {
    crate::doctor::interfaces().join(", ")
}

/// As errors count them.
fn numbered(text: &str) -> String {
    (1..).zip(text.lines()).map(|(number, line)| format!("{number:4}  {line}\n")).collect()
}

/// What will be done, for who is asked.
fn plan(draft: &Draft, file: &Path, before: Option<&str>, after: &str) -> String {
    let mut text = match before {
        None => format!("This will be written to {}:\n", file.display()),
        Some(before) if before == after => format!("{} stays as it is.\n", file.display()),
        Some(_) => format!("This will change in {}:\n", file.display()),
    };
    text += &changes(before.unwrap_or_default(), after);
    for endpoint in &draft.endpoints {
        if let Some(place) = &endpoint.elsewhere {
            let (name, place) = (&endpoint.name, place.display());
            text += &format!("{name} has {} too: add it in {place}\n", endpoint.addresses());
        }
    }
    if let Some(address) = draft.trust {
        text += &format!("On the allowlist: {address}\n");
    }
    if draft.mode == FirstMode::Learn {
        text += &format!("Learning for {LEARN_DAYS} days: nothing is dropped by the rules.\n");
    }
    text
}

/// With a copy beside it of what it was; returns where.
fn write(file: &Path, is_there: bool, text: &str) -> Result<Option<PathBuf>, CliError> {
    let failed = |error: std::io::Error| CliError::Failed(format!("{}: {error}", file.display()));
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory).map_err(failed)?;
    }
    let copy = is_there.then(|| {
        let mut name = file.to_owned().into_os_string();
        name.push(Timestamp::now().strftime(".before-setup-%Y%m%dT%H%M%SZ").to_string());
        PathBuf::from(name)
    });
    if let Some(copy) = &copy {
        std::fs::copy(file, copy).map_err(failed)?;
    }
    crate::daemon::replace(file, text).map_err(failed)?;
    Ok(copy)
}

/// By the daemon, if one runs; else in the store, where the next one finds it.
fn carry_out(client: &Client, config: &Config, draft: &Draft) -> Result<String, CliError> {
    match Store::open(&config.daemon.state_dir) {
        Ok((store, _)) => {
            let failed = |error: StoreError| CliError::Failed(error.to_string());
            let learning = store.learning().map_err(failed)?;
            let learns = learning.is_some_and(|record| record.ended.is_none());
            store.apply(&records(draft, learns)).map_err(failed)?;
            let learning = learning_told(draft.mode, learns);
            Ok(format!("{learning}Now: systemctl start sipprot, or sipprot run\n"))
        }
        Err(StoreError::InUse { .. }) => {
            let mut said = Vec::new();
            if let Some(address) = draft.trust {
                let entry = NewEntry {
                    network: address.into(),
                    note: NOTE.to_owned(),
                    added_by: operator(),
                    expires_in_s: None,
                    scope: Scope::All,
                    endpoint: None,
                };
                said.push(client.post::<_, Done>("/lists/allow", &entry)?.message);
            }
            said.push(client.post::<_, Done>("/reload", &())?.message);
            let learning: LearnStatus = client.get("/learn")?;
            let learns = matches!(learning.state, LearnState::Learning | LearnState::Ready);
            if draft.mode == FirstMode::Learn && !learns {
                let start = LearnStart { days: LEARN_DAYS, by: operator() };
                said.push(client.post::<_, Done>("/learn", &start)?.message);
            }
            let said: String = said.iter().map(|line| format!("{line}\n")).collect();
            Ok(said + learning_told(draft.mode, learns))
        }
        Err(error) => Err(CliError::Failed(error.to_string())),
    }
}

/// Of learning that goes on, whatever was to be begun.
const fn learning_told(mode: FirstMode, learns: bool) -> &'static str {
    match (mode, learns) {
        (_, false) => "",
        (FirstMode::Learn, true) => "The host learns already.\n",
        (_, true) => {
            "The host goes on learning: nothing is dropped by the rules until 'sipprot learn stop'.\n"
        }
    }
}

fn records(draft: &Draft, learns: bool) -> Vec<Change> {
    let now = Timestamp::now();
    let mut changes = Vec::new();
    if let Some(address) = draft.trust {
        changes.push(Change::PutList(ListEntry {
            network: address.into(),
            list: List::Allow,
            endpoint: None,
            note: NOTE.to_owned(),
            added_at: now,
            added_by: operator(),
            expires_at: None,
            scope: Scope::All,
            origin: Origin::Manual,
        }));
    }
    if draft.mode == FirstMode::Learn && !learns {
        let span = std::time::Duration::from_secs(u64::from(LEARN_DAYS) * 86_400);
        changes.push(Change::PutLearning(LearningRecord {
            started_at: now,
            until: now.checked_add(span).unwrap_or(now),
            started_by: operator(),
            ended: None,
        }));
    }
    changes
}

/// Of `--endpoint NAME=ADDRESS,ADDRESS`.
fn named_endpoint(text: &str) -> Result<Endpoint, String> {
    let wrong = || "expected NAME=ADDRESS[,ADDRESS…]".to_owned();
    let (name, addresses) = text.split_once('=').ok_or_else(wrong)?;
    let addresses: Result<Vec<IpAddr>, _> = addresses.split(',').map(str::parse).collect();
    let addresses = addresses.map_err(|_| wrong())?;
    Ok(Endpoint::new(name, addresses))
}
