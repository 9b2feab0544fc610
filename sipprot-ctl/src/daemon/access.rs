//! Users and tokens by command. Hashes and the disk are waited for on another thread.

use jiff::Timestamp;
use tracing::info;

use super::answers::Reply;
use super::core::Core;
use crate::api::{Answer, Command, Done, Fault};
use crate::store::AuditRecord;

impl Core {
    /// The commands that are about who may use the API.
    pub(super) fn access(&self, command: Command, reply: Reply) {
        let access = self.access.clone();
        let record = self.journal.take();
        tokio::task::spawn_blocking(move || {
            let now = Timestamp::now();
            let answer = match command {
                Command::Users => Ok(Answer::Users(access.users(now))),
                Command::Tokens => Ok(Answer::Tokens(access.tokens())),
                Command::AddUser(new) => access
                    .add_user(&new, now, record)
                    .map(|()| done(&new.by, format!("{} may log in", new.name))),
                Command::EditUser { name, edit } => access
                    .edit_user(&name, &edit, record)
                    .map(|()| done(&edit.by, format!("{name} is changed"))),
                Command::RemoveUser { name, by } => access
                    .remove_user(&name, record)
                    .map(|()| done(&by, format!("{name} may no longer log in"))),
                Command::AddToken(new) => access.add_token(&new, now, record).map(|made| {
                    info!("{} made the token {}", new.by, new.name);
                    Answer::MadeToken(made)
                }),
                Command::RevokeToken { name, by } => access
                    .revoke_token(&name, record)
                    .map(|()| done(&by, format!("the token {name} is revoked"))),
                _ => Err(Fault::internal()),
            };
            let _ = reply.send(answer);
        });
    }

    /// What a record tells of users and tokens.
    pub(super) fn take_access_back(&self, record: AuditRecord, act: AuditRecord, reply: Reply) {
        let access = self.access.clone();
        tokio::task::spawn_blocking(move || {
            let (by, message) = (act.who.clone(), format!("undone: {}", act.target));
            let answer = access.take_back(&record.pairs, act).map(|()| done(&by, message));
            let _ = reply.send(answer);
        });
    }
}

fn done(by: &str, message: String) -> Answer {
    info!("{message}, by {by}");
    Answer::Done(Done::new(message))
}
