//! What a page needs before anybody has logged in: nothing of what the host protects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Welcome {
    /// Of the product, as the operator calls it.
    pub name: String,
    /// As `#rrggbb`, like the next.
    pub colour: Option<String>,
    pub ground: Option<String>,
    /// Changes with the logo; absent without one.
    pub logo: Option<String>,
    /// Somebody can log in.
    pub has_users: bool,
}
