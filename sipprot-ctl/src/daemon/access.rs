//! Users and tokens by command. Hashes and the disk are waited for on another thread.

use jiff::Timestamp;
use tracing::{error, info};

use super::answers::Reply;
use super::core::Core;
use crate::api::{Answer, Command, Done, Fault};
use crate::store::Change;

impl Core {
    /// The commands that are about who may use the API.
    pub(super) fn access(&self, command: Command, reply: Reply) {
        let access = self.access.clone();
        let (store, record) = (self.store.clone(), self.journal.take());
        tokio::task::spawn_blocking(move || {
            let now = Timestamp::now();
            let answer = match command {
                Command::Users => Ok(Answer::Users(access.users(now))),
                Command::Tokens => Ok(Answer::Tokens(access.tokens())),
                Command::AddUser(new) => access
                    .add_user(&new, now)
                    .map(|()| done(&new.by, format!("{} may log in", new.name))),
                Command::EditUser { name, edit } => access
                    .edit_user(&name, &edit)
                    .map(|()| done(&edit.by, format!("{name} is changed"))),
                Command::RemoveUser { name, by } => access
                    .remove_user(&name)
                    .map(|()| done(&by, format!("{name} may no longer log in"))),
                Command::AddToken(new) => access.add_token(&new, now).map(|made| {
                    info!("{} made the token {}", new.by, new.name);
                    Answer::MadeToken(made)
                }),
                Command::RevokeToken { name, by } => access
                    .revoke_token(&name)
                    .map(|()| done(&by, format!("the token {name} is revoked"))),
                _ => Err(Fault::internal()),
            };
            if let (Ok(_), Some(store), Some(record)) = (&answer, store, record)
                && let Err(error) = store.apply(&[Change::audited(record, Vec::new())])
            {
                error!("store: {error}");
            }
            let _ = reply.send(answer);
        });
    }
}

fn done(by: &str, message: String) -> Answer {
    info!("{message}, by {by}");
    Answer::Done(Done::new(message))
}
