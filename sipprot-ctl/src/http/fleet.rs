//! The fleet's requests.

use super::asker::Asker;
use super::error::{Body, Params};
use super::routes::{Called, answer};
use crate::api::{Command, FleetJudge, FleetLogQuery, FleetProtect, FleetQuery};

pub(super) async fn sources(asker: Asker, Params(query): Params<FleetQuery>) -> Called {
    answer(&asker, Command::FleetSources { query }).await
}

pub(super) async fn log(asker: Asker, Params(query): Params<FleetLogQuery>) -> Called {
    answer(&asker, Command::FleetLog { query }).await
}

pub(super) async fn judge(asker: Asker, Body(judge): Body<FleetJudge>) -> Called {
    answer(&asker, Command::FleetJudge(judge)).await
}

pub(super) async fn protect(asker: Asker, Body(protect): Body<FleetProtect>) -> Called {
    answer(&asker, Command::FleetProtect(protect)).await
}
