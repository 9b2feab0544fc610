//! Changes of single keys in a file, which keep its comments and its order.

use std::path::Path;

use toml_edit::{DocumentMut, Item, Table, Value};

use super::error::{ConfigError, Fault};

/// Sets keys, such as `rules.register_limit`, in a file's text; values are TOML.
pub(super) fn set(
    file: &Path,
    text: &str,
    keys: &[(String, String)],
) -> Result<String, ConfigError> {
    let wrong = |key: &str, what: String| {
        let fault = Fault { file: file.to_owned(), line: 1, key: key.to_owned(), what };
        ConfigError::Wrong(vec![fault])
    };
    let mut document: DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| wrong("", error.to_string()))?;
    for (path, value) in keys {
        let value: Value =
            value.parse().map_err(|error: toml_edit::TomlError| wrong(path, error.to_string()))?;
        let mut tables: Vec<&str> = path.split('.').collect();
        let Some(name) = tables.pop() else { continue };
        let mut place: &mut dyn toml_edit::TableLike = document.as_table_mut();
        for table in tables {
            let inner = place.entry(table).or_insert(Item::Table(Table::new()));
            place = inner
                .as_table_like_mut()
                .ok_or_else(|| wrong(path, "expected a table".to_owned()))?;
        }
        match place.get_mut(name).and_then(Item::as_value_mut) {
            Some(known) => {
                let decor = known.decor().clone();
                *known = value;
                *known.decor_mut() = decor;
            }
            None => _ = place.insert(name, Item::Value(value)),
        }
    }
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &str, key: &str, value: &str, after: &str) {
        let keys = [(key.to_owned(), value.to_owned())];
        assert_eq!(set(Path::new("t.toml"), before, &keys).unwrap(), after, "{key}");
    }

    #[test]
    fn comments_and_order_stay() {
        let before = "# ours\ninterfaces = [\"eth0\"] # uplink\nmode = \"observe\" # for now\n\n\
                      [rules]\n# many phones\nregister_limit = 10 # a minute\n";
        check(before, "mode", "\"enforce\"", &before.replace("\"observe\"", "\"enforce\""));
        check(before, "rules.register_limit", "18", &before.replace("= 10", "= 18"));
        check(before, "rules.invite_limit", "8", &format!("{before}invite_limit = 8\n"));
    }

    #[test]
    fn what_is_not_there_is_added() {
        check("", "mode", "\"enforce\"", "mode = \"enforce\"\n");
        check("", "rules.invite_limit", "8", "[rules]\ninvite_limit = 8\n");
        check(
            "rules.register_limit = 3\n[[endpoint]]\nname = \"pbx1\"\n",
            "rules.register_limit",
            "9",
            "rules.register_limit = 9\n[[endpoint]]\nname = \"pbx1\"\n",
        );
        check(
            "[[endpoint]]\nname = \"pbx1\"\n",
            "mode",
            "\"enforce\"",
            "mode = \"enforce\"\n[[endpoint]]\nname = \"pbx1\"\n",
        );
    }

    #[test]
    fn what_is_no_table_is_refused() {
        let keys = [("rules.invite_limit".to_owned(), "8".to_owned())];
        assert!(set(Path::new("t.toml"), "rules = 7\n", &keys).is_err());
        assert!(set(Path::new("t.toml"), "rules = \n", &keys).is_err());
    }
}
