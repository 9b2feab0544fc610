//! What the API's document says of types that aren't ours.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// An address or a network, as `IpNetwork` reads it.
pub enum Network {}

impl JsonSchema for Network {
    fn schema_name() -> Cow<'static, str> {
        "Network".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let v4 = r"^(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(\.(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3}/(3[0-2]|[12]?[0-9])$";
        json_schema!({
            "description": "An IP address, or a network as address/length.",
            "type": "string",
            "anyOf": [
                {"format": "ipv4"},
                {"format": "ipv6"},
                {"pattern": v4},
                {"pattern": "^[0-9a-fA-F:.]{2,45}/[0-9]{1,3}$"},
            ],
            "examples": ["192.0.2.0/24", "2001:db8::/32"],
        })
    }
}
