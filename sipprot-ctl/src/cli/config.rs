//! `sipprot config`.

use std::path::PathBuf;

use super::args::{Config as ConfigArgs, ConfigVerb};
use super::{CliError, Context, settings};
use crate::api::SettingsAnswer;
use crate::config::{Config, ConfigError, schema};

pub(super) fn run(context: &Context, args: ConfigArgs) -> Result<(), CliError> {
    match args.verb {
        ConfigVerb::Default => {
            context.print(&Text { text: Config::documented_default() }, |it| it.text.clone())
        }
        ConfigVerb::Schema => {
            let json = serde_json::to_string(&schema());
            let json = json.map_err(|error| CliError::Failed(error.to_string()))?;
            super::write_out(&(json + "\n"))
        }
        ConfigVerb::Show => {
            let loaded = context.load_config()?;
            context.print(&SettingsAnswer::of(&loaded), |_| loaded.annotated())
        }
        ConfigVerb::Diff { file } => settings::diff(context, file),
        ConfigVerb::Get { keys, of } => settings::get(context, &keys, &of),
        ConfigVerb::Set { words, of, how } => settings::set(context, &words, &of, &how),
        ConfigVerb::Unset { keys, of, how } => settings::unset(context, &keys, &of, &how),
        ConfigVerb::Check { file } => check(context, file),
    }
}

#[derive(serde::Serialize)]
struct Text {
    text: String,
}

#[derive(serde::Serialize)]
struct Checked {
    ok: bool,
    files: Vec<String>,
    faults: Vec<String>,
}

fn check(context: &Context, file: Option<PathBuf>) -> Result<(), CliError> {
    let path = file.or_else(|| context.config.clone());
    match Config::load(path.as_deref()) {
        Ok(loaded) => {
            let files = loaded.files.iter().map(|file| file.display().to_string()).collect();
            let checked = Checked { ok: true, files, faults: Vec::new() };
            context.print(&checked, |it| match it.files.as_slice() {
                [] => "no configuration file: the defaults hold\n".to_owned(),
                files => format!("ok: {}\n", files.join(", ")),
            })
        }
        Err(ConfigError::Wrong(all)) => {
            if context.json {
                let faults = all.iter().map(ToString::to_string).collect();
                context
                    .print(&Checked { ok: false, files: Vec::new(), faults }, |_| String::new())?;
            }
            let faults: Vec<String> = all.iter().map(ToString::to_string).collect();
            Err(CliError::Config(faults.join("\nsipprot: ")))
        }
        Err(error) => Err(CliError::Config(error.to_string())),
    }
}
