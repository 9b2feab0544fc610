//! `sipprot verify`.

use super::table::{Align, Table};
use super::{CliError, Context};
use crate::api::{KindView, Verification};

pub(super) fn run(context: &Context, repair: bool) -> Result<(), CliError> {
    let client = context.client()?;
    let found: Verification = match repair {
        true => client.post_large("/verify", &())?,
        false => client.get_large("/verify")?,
    };
    context.print(&found, text)?;
    match (found.agrees || found.repaired, repair) {
        (true, _) => Ok(()),
        (false, true) => Err(CliError::Failed("it still differs: see the daemon's log".to_owned())),
        (false, false) => {
            let message = "the kernel differs from what is promised: --repair puts it right";
            Err(CliError::Failed(message.to_owned()))
        }
    }
}

pub(super) fn text(found: &Verification) -> String {
    let mut table = Table::new([
        ("KIND", Align::Left),
        ("PROMISED", Align::Right),
        ("MISSING", Align::Right),
        ("UNEXPECTED", Align::Right),
        ("DIFFERENT", Align::Right),
    ]);
    for kind in &found.kinds {
        let KindView { promised, missing, unexpected, different, .. } = kind;
        let numbers = [promised, missing, unexpected, different].map(ToString::to_string);
        let [promised, missing, unexpected, different] = numbers;
        table.row([kind.kind.clone(), promised, missing, unexpected, different]);
    }
    let mut text = table.render();
    for kind in found.kinds.iter().filter(|kind| !kind.agrees()) {
        for it in &kind.differences {
            let (what, promised, found) = (&it.what, &it.promised, &it.found);
            text += &format!("{}: {what}: promised {promised}; found {found}\n", kind.kind);
        }
        let all = kind.missing + kind.unexpected + kind.different;
        let hidden = all.saturating_sub(kind.differences.len() as u64);
        if hidden > 0 {
            text += &format!("{}: and {hidden} more\n", kind.kind);
        }
    }
    text += match (found.agrees, found.repaired) {
        (true, _) => "The kernel holds what is promised.\n",
        (false, true) => "The kernel differed, and is repaired.\n",
        (false, false) => "The kernel differs from what is promised.\n",
    };
    text
}
