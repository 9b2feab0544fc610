//! Settings change as a whole: in the file, in force, told, and taken back.

use std::path::PathBuf;

use serde_json::{Value as Json, json};

use super::audit::log;
use super::*;
use crate::api::{Code, LearnStart, Right, SettingsAnswer, SettingsChange, SettingsChanged};

struct Scene {
    core: Core,
    file: PathBuf,
    directory: tempfile::TempDir,
}

const TEXT: &str =
    "# ours\nmode = \"enforce\" # for good\n\n[rules]\nregister_limit = 10 # a minute\n";

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("sipprot.toml");
        let state = directory.path().join("state");
        let fixed = format!("daemon.state_dir = {state:?}\ninterfaces = [\"none0\"]\n");
        std::fs::write(&file, fixed + &own_countries(&state) + TEXT).unwrap();
        Self { core: Self::start(&file), file, directory }
    }

    fn start(file: &Path) -> Core {
        let options = Options {
            config_path: Some(file.to_owned()),
            loaded: Config::load(Some(file)).unwrap(),
            interfaces: Vec::new(),
            observe: false,
            detach_on_exit: false,
            wait: false,
        };
        Core::start(options, Kernel::default()).unwrap()
    }

    fn restart(self) -> Self {
        let Self { core, file, directory } = self;
        core.finish(false).unwrap();
        Self { core: Self::start(&file), file, directory }
    }

    fn drop_in(&self, name: &str, text: &str) -> PathBuf {
        let drop_ins = self.file.with_extension("d");
        std::fs::create_dir_all(&drop_ins).unwrap();
        let file = drop_ins.join(name);
        std::fs::write(&file, text).unwrap();
        file
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.file).unwrap()
    }

    async fn carried(&mut self, command: Command) -> Result<SettingsChanged, Fault> {
        let consent = match &command {
            Command::ChangeSettings { consent, .. } | Command::Undo { consent, .. } => *consent,
            _ => Consent::default(),
        };
        match ask(&mut self.core, command).await? {
            Answer::SettingsChanged(changed) => Ok(changed),
            Answer::Staged(staged) => {
                match ask(&mut self.core, Command::ApplySettings { staged, consent }).await? {
                    Answer::SettingsChanged(changed) => Ok(changed),
                    other => panic!("{other:?}"),
                }
            }
            other => panic!("{other:?}"),
        }
    }

    async fn set(&mut self, settings: Json) -> Result<SettingsChanged, Fault> {
        self.carried(change(settings, Consent::default())).await
    }

    async fn refused(&mut self, settings: Json) -> Fault {
        let before = self.text();
        let fault = self.set(settings).await.unwrap_err();
        assert_eq!(self.text(), before, "nothing half-applied");
        let hidden = std::fs::read_dir(self.directory.path()).unwrap().flatten();
        let left: Vec<_> =
            hidden.filter(|it| it.file_name().to_string_lossy().starts_with('.')).collect();
        assert!(left.is_empty(), "{left:?}");
        fault
    }

    async fn settings(&mut self) -> SettingsAnswer {
        match ask(&mut self.core, Command::Settings).await.unwrap() {
            Answer::Settings(settings) => *settings,
            other => panic!("{other:?}"),
        }
    }
}

fn change(settings: Json, consent: Consent) -> Command {
    let settings = serde_json::from_value(settings).unwrap();
    let change = SettingsChange { settings, by: "ann".to_owned(), ..SettingsChange::default() };
    Command::ChangeSettings { change, consent }
}

fn undo(number: u64) -> Command {
    Command::Undo { number, by: "bob".to_owned(), right: Right::Admin, consent: Consent::default() }
}

#[tokio::test]
async fn who_enforces_while_the_host_learns_is_told_that_it_does_not_yet() {
    let mut scene = Scene::new();
    scene.set(json!({ "mode": "observe" })).await.unwrap();
    let done = scene.set(json!({ "mode": "enforce" })).await.unwrap();
    assert!(!done.message.contains("learn"), "{}", done.message);
    scene.set(json!({ "mode": "observe" })).await.unwrap();
    let start = LearnStart { days: 7, by: "ann".to_owned() };
    ask(&mut scene.core, Command::LearnStart(start)).await.unwrap();
    let done = scene.set(json!({ "mode": "enforce" })).await.unwrap();
    assert!(done.message.contains("until 'sipprot learn stop'"), "{}", done.message);
}

#[tokio::test]
async fn several_at_once_are_in_force_in_the_file_and_in_the_log() {
    let mut scene = Scene::new();
    let settings =
        json!({ "rules.register_limit": 12, "rules.block_time": "2h", "mode": "observe" });
    let done = scene.set(settings).await.unwrap();
    assert!(done.done && done.changes.len() == 3, "{done:?}");
    let config = &scene.core.config;
    assert_eq!((config.rules.register_limit, config.mode.to_string().as_str()), (12, "observe"));
    assert_eq!(scene.core.engine.settings().block_time, Duration::from_secs(7200));
    let expected = TEXT
        .replace("\"enforce\"", "\"observe\"")
        .replace("= 10 # a minute\n", "= 12 # a minute\nblock_time = \"2h\"\n");
    assert!(scene.text().ends_with(&expected), "{}", scene.text());
    let answer = scene.settings().await;
    assert_eq!(answer.version, done.version);
    let row = answer.settings.iter().find(|it| it.key == "rules.block_time").unwrap();
    assert_eq!((&row.value, &row.default, row.origin.line), (&json!("2h"), &json!("1h"), Some(9)));
    let last = &log(&mut scene.core).await[0];
    assert_eq!((last.who.as_str(), last.what.as_str()), ("ann", "settings"));
    let told = last.changes.iter().find(|it| it.thing == "rules.block_time").unwrap();
    assert_eq!((&told.before, &told.after), (&Json::Null, &json!("2h")));

    scene.carried(undo(last.number)).await.unwrap();
    assert!(scene.text().ends_with(TEXT), "{}", scene.text());
    assert_eq!(scene.core.engine.settings().block_time, Duration::from_secs(3600));
    let last = &log(&mut scene.core).await[0];
    assert_eq!((last.what.as_str(), last.undoes), ("undo", Some(1)));
    scene.carried(undo(2)).await.unwrap();
    assert_eq!(scene.restart().core.config.rules.register_limit, 12, "and forth, for good");
}

#[tokio::test]
async fn wrong_ones_change_nothing_and_are_named() {
    let mut scene = Scene::new();
    for (settings, field, what) in [
        (json!({}), "settings", "nothing"),
        (json!({ "mode": "of" }), "mode", "found \"of\""),
        (json!({ "mode": 7 }), "mode", "found 7"),
        (json!({ "rules.register_limit": 12, "rules.block_time": "1w" }), "rules.block_time", "1w"),
        (json!({ "rules.block_tim": "1h" }), "rules.block_tim", "no such setting"),
        (json!({ "a\u{1b}[0m": "1h" }), "a\u{fffd}[0m", "no such setting"),
        (json!({ "geo.mode": "allow" }), "geo.mode", "lets nobody in"),
        (json!({ "rules.register_limit": -1 }), "rules.register_limit", "from 1 to 10000"),
        (json!({ "rules.register_limit": 1e99 }), "rules.register_limit", "from 1 to 10000"),
        (json!({ "sip.ports": ["5060", null] }), "sip.ports", "null"),
        (json!({ "endpoint[a].mode": "off" }), "endpoint[a].addresses", "missing"),
        (json!({ "interfaces": [] }), "interfaces", "no interface"),
        (
            json!({ "sip.blocked_user_agents": ["x\u{7}yz"] }),
            "sip.blocked_user_agents",
            "printable",
        ),
    ] {
        let fault = scene.refused(settings.clone()).await;
        let found = fault.field.clone().unwrap_or_default();
        assert!(found == field && fault.message.contains(what), "{settings}: {fault:?}");
    }
    assert_eq!(log(&mut scene.core).await, []);
}

#[tokio::test]
async fn two_editors_and_files_that_say_more() {
    let mut scene = Scene::new();
    let version = scene.settings().await.version;
    let made_from = |version: &str, limit: u32| {
        let Command::ChangeSettings { change, consent } =
            change(json!({ "rules.register_limit": limit }), Consent::default())
        else {
            unreachable!()
        };
        let change = SettingsChange { version: Some(version.to_owned()), ..change };
        Command::ChangeSettings { change, consent }
    };
    let one = ask(&mut scene.core, made_from(&version, 11)).await.unwrap();
    let busy = ask(&mut scene.core, made_from(&version, 12)).await.unwrap_err();
    assert_eq!(busy.code, Code::Conflict, "{busy}");
    let Answer::Staged(staged) = one else { panic!("{one:?}") };
    let apply = Command::ApplySettings { staged, consent: Consent::default() };
    ask(&mut scene.core, apply).await.unwrap();
    let late = scene.carried(made_from(&version, 12)).await.unwrap_err();
    assert_eq!((late.code, late.field.as_deref()), (Code::Conflict, Some("version")));

    // Somebody else has written to the file, and nobody asked for that.
    let by_hand = scene.text().replace("\"enforce\"", "\"off\"");
    std::fs::write(&scene.file, by_hand).unwrap();
    let fault = scene.refused(json!({ "rules.register_limit": 13 })).await;
    assert!(fault.code == Code::Conflict && fault.message.contains("also of mode"), "{fault}");
    ask(&mut scene.core, Command::Reload { consent: Consent::default() }).await.unwrap();
    scene.set(json!({ "rules.register_limit": 13 })).await.unwrap();
    let told: Vec<_> = log(&mut scene.core).await.into_iter().map(|it| it.what).collect();
    assert_eq!(told, ["settings", "reload", "settings"]);
    // An undo of what a reload had brought goes into the file as well.
    scene.carried(undo(2)).await.unwrap();
    assert!(scene.text().contains("mode = \"enforce\""));
    let fault = scene.carried(undo(1)).await.unwrap_err();
    let says = "rules.register_limit was changed by ann since (3)";
    assert_eq!((fault.code, fault.message.as_str()), (Code::Conflict, says));
}

#[tokio::test]
async fn a_key_stays_in_the_file_where_it_is() {
    let mut scene = Scene::new();
    let first = scene.drop_in("10-a.toml", "rules.block_time = \"3h\" # here\n");
    let pbx = "[[endpoint]]\nname = \"pbx1\"\naddresses = [\"192.0.2.11\"]\n";
    let second = scene.drop_in("20-b.toml", pbx);
    ask(&mut scene.core, Command::Reload { consent: Consent::default() }).await.unwrap();
    let settings = json!({ "rules.block_time": "4h", "endpoint[pbx1].geo.mode": "off", "mode": null,
                           "endpoint[pbx2].addresses": ["192.0.2.12"] });
    let done = scene.set(settings).await.unwrap();
    assert_eq!(done.files.len(), 3, "{done:?}");
    let read = |file| std::fs::read_to_string(file).unwrap();
    assert_eq!(read(&first), "rules.block_time = \"4h\" # here\n");
    assert_eq!(read(&second), format!("{pbx}geo.mode = \"off\"\n"));
    assert!(
        scene.text().ends_with("[[endpoint]]\nname = \"pbx2\"\naddresses = [\"192.0.2.12\"]\n")
    );
    assert!(scene.text().contains("\n# for good\n"), "{}", scene.text());
    assert_eq!(scene.core.plan.names, ["host", "pbx2", "pbx1"]);
    let number = log(&mut scene.core).await[0].number;
    scene.carried(undo(number)).await.unwrap();
    assert_eq!(read(&second), pbx);
    assert_eq!(scene.core.plan.names, ["host", "pbx1"]);
}

#[tokio::test]
async fn what_nobody_confirms_leaves_the_file_again() {
    let mut scene = Scene::new();
    let database = scene.directory.path().join("geoip");
    // 203.0.113.0/24
    std::fs::write(&database, "3405803776,3405804031,FR\n").unwrap();
    scene.set(json!({ "geo.databases": [database] })).await.unwrap();
    let before = scene.text();
    let operator = Some("203.0.113.7".parse().unwrap());
    let geo = |confirm| {
        let settings = json!({ "geo.mode": "deny", "geo.countries": ["FR"] });
        change(settings, Consent { confirm, operator })
    };
    let fault = scene.carried(geo(false)).await.unwrap_err();
    assert!(fault.code == Code::Refused && fault.message.contains("203.0.113.7"), "{fault}");
    assert_eq!(scene.text(), before);
    let done = scene.carried(geo(true)).await.unwrap();
    assert!(done.message.contains("it is taken back in"), "{}", done.message);
    assert!(scene.text().contains("mode = \"deny\""));
    scene.core.guard.pending.as_mut().unwrap().until = scene.core.clock.timestamp_now();
    scene.core.second();
    assert_eq!((scene.text().contains("deny"), scene.core.config.geo.countries.len()), (false, 0));
    let told = log(&mut scene.core).await;
    let told = (told[0].what.as_str(), told[0].from.as_str(), told[0].changes.len());
    assert_eq!(told, ("rollback", "for ann", 2));
    assert_eq!(status(&mut scene.core).await.pending, None);

    // The same while no daemon runs.
    scene.carried(geo(true)).await.unwrap();
    let pending = scene.core.guard.pending.as_ref().unwrap().clone();
    let until = scene.core.clock.timestamp_now();
    let late = crate::store::PendingRecord { until, ..pending };
    let store = scene.core.store.clone().unwrap();
    store.apply(&[crate::store::Change::PutPending(late)]).unwrap();
    drop(store);
    let mut scene = scene.restart();
    assert_eq!((scene.text().contains("deny"), scene.core.config.geo.countries.len()), (false, 0));
    assert_eq!(log(&mut scene.core).await[0].what, "rollback");
    assert_eq!(status(&mut scene.core).await.pending, None);
}
