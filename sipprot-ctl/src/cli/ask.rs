//! Questions to who sits at the terminal.

use std::io::{self, BufRead, IsTerminal};

use super::CliError;

/// Whether somebody is there to answer.
pub(super) fn is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// What was typed, or the default; an error when whoever was there is gone.
pub(super) fn ask(question: &str, default: &str) -> Result<String, CliError> {
    // Not among the data, which may go to a file.
    eprint!("{question} [{default}]: ");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    let read = read.map_err(|error| CliError::Failed(format!("cannot ask: {error}")))?;
    if read == 0 {
        return Err(CliError::Failed("nothing is changed: nobody answered".to_owned()));
    }
    let answer = answer.trim();
    Ok(if answer.is_empty() { default } else { answer }.to_owned())
}

/// Asks again until the answer is one of them.
pub(super) fn ask_until<T>(
    question: &str,
    default: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<T, CliError> {
    loop {
        match read(&ask(question, default)?) {
            Ok(answer) => return Ok(answer),
            Err(wrong) => eprintln!("{wrong}"),
        }
    }
}

pub(super) fn agrees(question: &str, default: bool) -> Result<bool, CliError> {
    let proposed = if default { "Y/n" } else { "y/N" };
    ask_until(question, proposed, |answer| match answer {
        _ if answer == proposed => Ok(default),
        _ => yes_or_no(answer).ok_or_else(|| format!("{answer:?} is neither yes nor no")),
    })
}

fn yes_or_no(answer: &str) -> Option<bool> {
    match answer.to_lowercase().as_str() {
        "y" | "yes" => Some(true),
        "n" | "no" => Some(false),
        _ => None,
    }
}

/// Asks before something is done; where nobody can answer it was to be said before.
pub(super) fn is_agreed(question: &str) -> Result<bool, CliError> {
    if !is_terminal() {
        let message = format!("{question} Nobody is here to ask: --yes does it");
        return Err(CliError::Usage(message));
    }
    agrees(question, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        for (answer, expected) in [
            ("y", Some(true)),
            ("YES", Some(true)),
            ("n", Some(false)),
            ("No", Some(false)),
            ("Y/n", None),
            ("maybe", None),
        ] {
            assert_eq!(yes_or_no(answer), expected, "{answer}");
        }
    }
}
