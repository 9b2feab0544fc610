//! Values of the files as JSON, and back.

use serde_json::{Map, Number, Value as Json};
use toml_edit::{Array, InlineTable, Value};

pub(super) fn from_toml(value: &Value) -> Json {
    match value {
        Value::String(text) => Json::String(text.value().clone()),
        Value::Integer(number) => Json::from(*number.value()),
        Value::Float(number) => Number::from_f64(*number.value()).map_or(Json::Null, Json::Number),
        Value::Boolean(flag) => Json::Bool(*flag.value()),
        Value::Datetime(time) => Json::String(time.value().to_string()),
        Value::Array(array) => array.iter().map(from_toml).collect(),
        Value::InlineTable(table) => {
            let pairs = table.iter().map(|(name, value)| (name.to_owned(), from_toml(value)));
            Json::Object(pairs.collect::<Map<_, _>>())
        }
    }
}

/// `None` for what a file can't hold: null, and numbers past its own.
pub(super) fn to_toml(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(flag) => (*flag).into(),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => number.as_f64()?.into(),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(array) => array.iter().map(to_toml).collect::<Option<Array>>()?.into(),
        Json::Object(pairs) => {
            let mut table = InlineTable::new();
            for (name, value) in pairs {
                table.insert(name, to_toml(value)?);
            }
            table.into()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        let text = r#"[1, -2, "a \"b\"", true, { network = "192.0.2.0/24", rate = 5 }, []]"#;
        let value: Value = text.parse().unwrap();
        let json = from_toml(&value);
        assert_eq!(from_toml(&to_toml(&json).unwrap()), json);
        assert_eq!(json[4]["rate"], 5);
        assert!(to_toml(&Json::Null).is_none() && to_toml(&serde_json::json!([null])).is_none());
        assert!(to_toml(&serde_json::json!(u64::MAX)).is_some_and(|value| value.is_float()));
    }
}
