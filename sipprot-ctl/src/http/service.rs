//! The daemon itself: its health, and as a service.

use super::asker::Asker;
use super::error::{Body, Params};
use super::routes::{By, Called, answer};
use crate::api::{Command, ServiceAct, StopService};

pub(super) async fn restart(asker: Asker, Params(By { by }): Params<By>) -> Called {
    answer(&asker, Command::ActOnService(ServiceAct::Restart { by })).await
}

pub(super) async fn stop(asker: Asker, Body(stop): Body<StopService>) -> Called {
    answer(&asker, Command::ActOnService(ServiceAct::Stop(stop))).await
}
