//! `sipprot config get|set|unset|diff` and `sipprot geo set|off`: settings of the running daemon.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value as Json;

use super::args::{GeoOff, GeoSet, How, OfEndpoint};
use super::change::operator;
use super::{CliError, Context};
use crate::api::{Difference, SettingView, SettingsAnswer, SettingsChange, SettingsChanged};
use crate::config::{Config, Setting, differences, is_hidden, schema, section_name, version_of};

pub(super) fn get(context: &Context, keys: &[String], of: &OfEndpoint) -> Result<(), CliError> {
    let answer: SettingsAnswer = context.client()?.get("/settings")?;
    let mut found = BTreeMap::new();
    for key in keys {
        let key = name_of(key, of);
        let inside = format!("{key}.");
        let mut known =
            answer.settings.iter().filter(|it| it.key == key || it.key.starts_with(&inside));
        let first = known.next().ok_or_else(|| no_such(&key))?;
        found.extend(
            std::iter::once(first).chain(known).map(|it| (it.key.clone(), it.value.clone())),
        );
    }
    let single = found.len() == 1;
    context.print(&found, |found| {
        let line = |(key, value): (&String, &Json)| match single {
            true => format!("{}\n", bare(value)),
            false => format!("{key} = {value}\n"),
        };
        found.iter().map(line).collect()
    })
}

fn no_such(key: &str) -> CliError {
    let message = format!("there is no setting {key:?}, or it is not set");
    crate::api::Fault::not_found(message).into()
}

/// For scripts: a text without its quotes.
fn bare(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub(super) fn set(
    context: &Context,
    words: &[String],
    of: &OfEndpoint,
    how: &How,
) -> Result<(), CliError> {
    let settings = assignments(words, of)?;
    send(context, settings, how)
}

pub(super) fn unset(
    context: &Context,
    keys: &[String],
    of: &OfEndpoint,
    how: &How,
) -> Result<(), CliError> {
    send(context, keys.iter().map(|key| (name_of(key, of), Json::Null)).collect(), how)
}

pub(super) fn geo(context: &Context, set: GeoSet) -> Result<(), CliError> {
    let key = |key: &str| name_of(&format!("geo.{key}"), &set.of);
    let mut settings = BTreeMap::from([(key("mode"), Json::from(set.mode.to_string()))]);
    if !set.countries.is_empty() {
        settings.insert(key("countries"), set.countries.clone().into());
    }
    if let Some(scope) = set.scope {
        settings.insert(key("scope"), scope.to_string().into());
    }
    send(context, settings, &set.how)
}

pub(super) fn geo_off(context: &Context, off: &GeoOff) -> Result<(), CliError> {
    send(context, BTreeMap::from([(name_of("geo.mode", &off.of), "off".into())]), &off.how)
}

fn send(context: &Context, settings: BTreeMap<String, Json>, how: &How) -> Result<(), CliError> {
    let change = SettingsChange { settings, version: None, dry_run: how.dry_run, by: operator() };
    let client = context.client()?.confirming(how.confirm);
    let changed: SettingsChanged = client.patch("/settings", &change)?;
    context.print(&changed, |changed| {
        let verb = if changed.done { "written to" } else { "would be written to" };
        let files = match changed.files.as_slice() {
            [] => String::new(),
            files => format!("{verb} {}\n", files.join(", ")),
        };
        format!("{}\n{files}", changed.message)
    })
}

fn name_of(key: &str, of: &OfEndpoint) -> String {
    match &of.endpoint {
        Some(name) => format!("{}.{key}", section_name("endpoint", name)),
        None => key.to_owned(),
    }
}

/// `KEY VALUE...`, or `KEY=VALUE` any number of times.
fn assignments(words: &[String], of: &OfEndpoint) -> Result<BTreeMap<String, Json>, CliError> {
    let pairs: Option<Vec<(&str, &str)>> = words.iter().map(|word| word.split_once('=')).collect();
    let pairs = pairs.filter(|pairs| pairs.iter().all(|(key, _)| !key.is_empty()));
    let schema = schema();
    let value = |key: &str, texts: &[&str]| -> Result<(String, Json), CliError> {
        let name = name_of(key.trim(), of);
        let value = schema
            .value(&name, texts)
            .map_err(|what| CliError::Usage(format!("{name}: {what}")))?;
        Ok((name, value))
    };
    if let Some(pairs) = pairs {
        return pairs.into_iter().map(|(key, text)| value(key, &[text.trim()])).collect();
    }
    let Some((key, texts)) = words.split_first().filter(|(_, texts)| !texts.is_empty()) else {
        return Err(CliError::Usage("give KEY VALUE, or KEY=VALUE".to_owned()));
    };
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    Ok(BTreeMap::from([value(key, &texts)?]))
}

#[derive(Serialize)]
struct Diff {
    files: Vec<String>,
    changes: Vec<Difference>,
    /// Secrets, of which one at least is another in the files.
    secrets: Vec<String>,
}

pub(super) fn diff(context: &Context, file: Option<PathBuf>) -> Result<(), CliError> {
    let path = file.or_else(|| context.config.clone());
    let loaded = Config::load(path.as_deref())?;
    let there = SettingsAnswer::of(&loaded);
    let running: SettingsAnswer = context.client()?.get("/settings")?;
    let secrets = other_secrets(&running, &loaded.config);
    let plain = |answer: SettingsAnswer| -> Vec<Setting> {
        let setting = |it: SettingView| Setting { key: it.key, value: it.value };
        answer.settings.into_iter().map(setting).collect()
    };
    let files = there.files.clone();
    let diff = Diff { files, changes: differences(plain(running), plain(there)), secrets };
    context.print(&diff, |diff| {
        if diff.changes.is_empty() && diff.secrets.is_empty() {
            return "no difference: the files say what is in force\n".to_owned();
        }
        let secrets = match diff.secrets.as_slice() {
            [] => String::new(),
            [only] => format!("{only}: another secret\n"),
            several => format!("another secret, one at least of: {}\n", several.join(", ")),
        };
        let line = |it: &Difference| {
            let value =
                |value: &Option<Json>| value.as_ref().map_or("unset".to_owned(), Json::to_string);
            let place = loaded.origins.place(&it.key).map(|it| format!("  # {it}"));
            let place = place.unwrap_or_default();
            format!("{}: {} → {}{place}\n", it.key, value(&it.before), value(&it.after))
        };
        diff.changes.iter().map(line).collect::<String>() + &secrets
    })
}

/// No secret is told, but the version of what is in force knows them: with ours in their place it is
/// the same, or one of them is another.
fn other_secrets(running: &SettingsAnswer, files: &Config) -> Vec<String> {
    let own: BTreeMap<String, Json> =
        files.settings().into_iter().map(|it| (it.key, it.value)).collect();
    let mut secrets = Vec::new();
    let with_own = |it: &SettingView| {
        let own = own.get(&it.key).filter(|own| is_hidden(&it.key, own) && **own != it.value);
        secrets.extend(own.map(|_| it.key.clone()));
        Setting { key: it.key.clone(), value: own.unwrap_or(&it.value).clone() }
    };
    let settings: Vec<Setting> = running.settings.iter().map(with_own).collect();
    if version_of(&settings) == running.version { Vec::new() } else { secrets }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Loaded;

    #[track_caller]
    fn check(words: &[&str], endpoint: Option<&str>, expected: Option<Json>) {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let of = OfEndpoint { endpoint: endpoint.map(str::to_owned) };
        let found = assignments(&words, &of).ok().map(|found| json!(found));
        assert_eq!(found, expected, "{words:?}");
    }

    #[test]
    fn another_secret_is_found_though_none_is_told() {
        let read = |tokens: [&str; 2], mode: &str| {
            let endpoint = |number: usize| {
                let token = format!("sha256:{}", tokens[number].repeat(64));
                format!(
                    "[[endpoint]]\nname = \"e{number}\"\naddresses = [\"192.0.2.{number}\"]\n\
                     mode = \"{mode}\"\nlog_token = \"{token}\"\n"
                )
            };
            let text = format!("interfaces = [\"eth0\"]\n{}{}", endpoint(0), endpoint(1));
            Config::parse("it".as_ref(), &text).unwrap()
        };
        let running = |config: Config| {
            let (files, origins) = (Vec::new(), crate::config::Origins::default());
            SettingsAnswer::of(&Loaded { config, files, origins })
        };
        let told = running(read(["a", "b"], "off"));
        let keys = ["endpoint[e0].log_token".to_owned(), "endpoint[e1].log_token".to_owned()];
        assert_eq!(other_secrets(&told, &read(["a", "b"], "off")), [""; 0]);
        assert_eq!(other_secrets(&told, &read(["a", "b"], "enforce")), [""; 0]);
        assert_eq!(other_secrets(&told, &read(["a", "c"], "off")), keys);
    }

    #[test]
    fn words_are_values() {
        check(&["rules.block_time", "2h"], None, Some(json!({"rules.block_time": "2h"})));
        check(&["rules.register_limit", "12"], None, Some(json!({"rules.register_limit": 12})));
        check(&["rules.register_limit", "x"], None, Some(json!({"rules.register_limit": "x"})));
        check(
            &["dns.strict=true", "mode=off"],
            None,
            Some(json!({"dns.strict": true, "mode": "off"})),
        );
        let countries = json!({"geo.countries": ["FR", "DE"]});
        check(&["geo.countries", "FR", "DE"], None, Some(countries.clone()));
        check(&["geo.countries=FR,DE"], None, Some(countries.clone()));
        check(&["geo.countries", "[\"FR\", \"DE\"]"], None, Some(countries));
        check(&["geo.countries="], None, Some(json!({"geo.countries": []})));
        check(
            &["sip.ports", "5060", "5070:5080"],
            None,
            Some(json!({"sip.ports": ["5060", "5070:5080"]})),
        );
        let agents = json!({"sip.blocked_user_agents": ["=smap", "sip, cli"]});
        check(&["sip.blocked_user_agents", "=smap", "sip, cli"], None, Some(agents));
        let peer = json!({"peers": [{"network": "192.0.2.1", "rate": 5}]});
        check(&["peers", "[{ network = \"192.0.2.1\", rate = 5 }]"], None, Some(peer));
        check(&["mode", "off"], Some("a"), Some(json!({"endpoint[a].mode": "off"})));
        check(&["endpoint[a].geo.mode=off"], None, Some(json!({"endpoint[a].geo.mode": "off"})));
        for wrong in
            [&["mode"][..], &["mode", "off", "on"], &["nothing", "x"], &["geo.countries", "["]]
        {
            check(wrong, None, None);
        }
    }
}
