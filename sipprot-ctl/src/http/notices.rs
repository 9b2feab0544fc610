//! Notifications: their log, and a test.

use super::asker::Asker;
use super::error::{Body, Params};
use super::routes::{Called, answer};
use crate::api::{Command, NotifyLogQuery, NotifyTest};

pub(super) async fn log(asker: Asker, Params(query): Params<NotifyLogQuery>) -> Called {
    answer(&asker, Command::NotifyLog { query }).await
}

pub(super) async fn test(asker: Asker, Body(test): Body<NotifyTest>) -> Called {
    answer(&asker, Command::NotifyTest(test)).await
}
