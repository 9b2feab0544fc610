//! The daemon as a service of systemd's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::nobody;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceView {
    /// The unit; absent where systemd did not start the daemon, which then can't be restarted or stopped
    /// from afar.
    pub unit: Option<String>,
    pub started_at: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopService {
    /// Then it is started again, whoever has forgotten it; absent: it stays stopped.
    #[serde(default)]
    #[schemars(range(min = 10, max = 86_400))]
    pub again_in_s: Option<u32>,
    #[serde(default = "nobody")]
    pub by: String,
}

/// What systemd is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceAct {
    Restart { by: String },
    Stop(StopService),
}

impl ServiceAct {
    pub(super) fn by(&mut self) -> &mut String {
        match self {
            Self::Restart { by } => by,
            Self::Stop(stop) => &mut stop.by,
        }
    }
}
