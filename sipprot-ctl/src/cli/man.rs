//! `sipprot man DIR`: a page of the manual for each verb, from the command line's definition.

use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use jiff::Timestamp;

use super::args::Args;
use super::{CliError, EXIT_CODES, write_out};

pub(super) fn write(directory: &Path) -> Result<(), CliError> {
    let failed = |error: std::io::Error| {
        CliError::Failed(format!("cannot write to {}: {error}", directory.display()))
    };
    std::fs::create_dir_all(directory).map_err(failed)?;
    let mut command = Args::command();
    command.build();
    for (name, page) in pages(&command) {
        std::fs::write(directory.join(format!("{name}.1")), page).map_err(failed)?;
    }
    write_out(&format!("the pages are in {}\n", directory.display()))
}

/// Name and text of each page: that of the program, and of its verbs at any depth.
pub(super) fn pages(command: &Command) -> Vec<(String, Vec<u8>)> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let mut found = vec![(name, page(command))];
    let verbs = command.get_subcommands().filter(|it| !it.is_hide_set() && it.get_name() != "help");
    found.extend(verbs.flat_map(pages));
    found
}

fn page(command: &Command) -> Vec<u8> {
    let mut text = Vec::new();
    let source = format!("sipprot {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).date(date()).source(source).manual("SIPprot");
    // Writing into memory doesn't fail.
    let _ = man.render(&mut text);
    let mut end = String::from(".SH \"EXIT STATUS\"\n");
    for (code, meaning) in EXIT_CODES {
        end += &format!(".TP\n\\fB{code}\\fR\n{meaning}\n");
    }
    text.extend(end.into_bytes());
    text
}

/// Today, or the day that a build that is to be repeated says.
fn date() -> String {
    let told = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
    let at = told.and_then(|seconds| Timestamp::from_second(seconds).ok());
    at.unwrap_or_else(Timestamp::now).strftime("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_page() {
        let mut command = Args::command();
        command.build();
        let pages = pages(&command);
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["sipprot", "sipprot-top", "sipprot-deny-add", "sipprot-learn-proposal"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(
            !names.iter().any(|name| name.contains("help") || name.contains("man")),
            "{names:?}"
        );
        for (name, page) in &pages {
            let page = String::from_utf8_lossy(page);
            let expected = [".TH ", ".SH NAME", ".SH SYNOPSIS", ".SH \"EXIT STATUS\""];
            assert!(expected.iter().all(|part| page.contains(part)), "{name}: {page}");
        }
    }
}
