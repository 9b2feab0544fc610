//! `sipprot config`.

use std::path::PathBuf;

use super::args::{Config as ConfigArgs, ConfigVerb};
use super::{CliError, Context};
use crate::config::{Config, ConfigError};

pub(super) fn run(context: &Context, args: ConfigArgs) -> Result<(), CliError> {
    match args.verb {
        ConfigVerb::Default => {
            context.print(&Text { text: Config::documented_default() }, |it| it.text.clone())
        }
        ConfigVerb::Show => {
            let text = context.load_config()?.config.to_string();
            context.print(&Text { text }, |it| it.text.clone())
        }
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
        Err(ConfigError::Wrong(faults)) => {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            if context.json {
                let checked = Checked { ok: false, files: Vec::new(), faults: faults.clone() };
                context.print(&checked, |_| String::new())?;
            }
            Err(CliError::Config(faults.join("\nsipprot: ")))
        }
        Err(error) => Err(CliError::Config(error.to_string())),
    }
}
