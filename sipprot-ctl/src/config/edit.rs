//! Changes of single keys in a file, which keep its comments and its order.
//!
//! Where the text can say it by itself, the text is changed: what stands beside a key stays to the letter.

use std::path::Path;

use serde_json::Value as Json;
use toml_edit::{
    ArrayOfTables, Document, DocumentMut, InlineTable, Item, Table, TableLike, TomlError, Value,
};

use super::error::{ConfigError, Fault};
use super::json::to_toml;
use super::settings::KeyName;

/// Sets keys, such as `rules.register_limit` or `endpoint[pbx1].mode`, or takes them out where there is
/// no value.
pub(super) fn edited(
    file: &Path,
    text: &str,
    edits: &[(String, Option<Json>)],
) -> Result<String, ConfigError> {
    let mut text = text.to_owned();
    for (key, value) in edits {
        text = one(&text, key, value.as_ref()).map_err(|what| {
            let fault = Fault { file: file.to_owned(), line: 1, key: key.clone(), what };
            ConfigError::Wrong(vec![fault])
        })?;
    }
    Ok(text)
}

fn one(text: &str, key: &str, value: Option<&Json>) -> Result<String, String> {
    let name = KeyName::parse(key).ok_or("this is no name of a setting")?;
    match value {
        None => take_out(text, name),
        Some(json) => {
            let value = to_toml(json).ok_or("null is no value of a setting")?;
            set(text, name, value)
        }
    }
}

fn set(text: &str, name: KeyName<'_>, value: Value) -> Result<String, String> {
    if name.path.is_empty() {
        return Err("a whole section can only be taken out".to_owned());
    }
    let mut document: DocumentMut = text.parse().map_err(|error: TomlError| error.to_string())?;
    if name.named.is_none()
        && !holds(document.as_table(), name.path)
        && let Some(text) = beside_its_default(text, name.path, &value)
    {
        return Ok(text);
    }
    let mut inline = is_written_inline(document.as_table(), name);
    let root: &mut dyn TableLike = match name.named {
        None => document.as_table_mut(),
        Some((kind, name)) => section(document.as_table_mut(), kind, name)?,
    };
    let mut place = root;
    let (tables, last) = name.path.rsplit_once('.').unwrap_or(("", name.path));
    for table in tables.split('.').filter(|table| !table.is_empty()) {
        let inner = place.entry(table).or_insert_with(|| fresh_table(inline, name));
        inline |= inner.is_inline_table();
        place = inner.as_table_like_mut().ok_or("expected a table")?;
    }
    match place.get_mut(last).and_then(Item::as_value_mut) {
        Some(known) => {
            let decor = known.decor().clone();
            *known = value;
            *known.decor_mut() = decor;
        }
        None => {
            place.insert(last, Item::Value(value));
            if inline {
                place.fmt();
                space_evenly(document.as_table_mut(), name);
            }
        }
    }
    Ok(document.to_string())
}

/// Whether the section is one of `endpoint = [{ … }]`.
fn is_written_inline(root: &Table, name: KeyName<'_>) -> bool {
    name.named.is_some_and(|(kind, _)| root.get(kind).is_some_and(Item::is_value))
}

/// A section within braces, whose values came or went: blanks and commas as usual.
fn space_evenly(root: &mut Table, name: KeyName<'_>) {
    if let Some((kind, of)) = name.named.filter(|_| is_written_inline(root, name))
        && let Ok(section) = section(root, kind, of)
    {
        section.fmt();
    }
}

fn fresh_table(inline: bool, name: KeyName<'_>) -> Item {
    if inline {
        let mut fresh = InlineTable::new();
        fresh.set_dotted(true);
        return Item::Value(Value::InlineTable(fresh));
    }
    let mut fresh = Table::new();
    fresh.set_dotted(name.named.is_some());
    Item::Table(fresh)
}

fn holds(table: &dyn TableLike, path: &str) -> bool {
    match path.split_once('.') {
        None => table.contains_key(path),
        Some((first, rest)) => {
            table.get(first).and_then(Item::as_table_like).is_some_and(|inner| holds(inner, rest))
        }
    }
}

/// The section of this name; a new one at the end if there is none.
fn section<'a>(
    root: &'a mut Table,
    kind: &str,
    name: &str,
) -> Result<&'a mut dyn TableLike, String> {
    let item = root.entry(kind).or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    let is_it = |table: &dyn TableLike| is_named(table, name);
    match item {
        Item::ArrayOfTables(tables) => {
            if !tables.iter().any(|table| is_it(table)) {
                let mut table = Table::new();
                table.insert("name", Item::Value(name.into()));
                tables.push(table);
            }
            let known = tables.iter_mut().find(|table| is_it(*table));
            known.map(|table| table as _).ok_or_else(|| format!("there is no {kind} {name:?}"))
        }
        Item::Value(Value::Array(array)) => {
            if !array.iter().filter_map(Value::as_inline_table).any(|table| is_it(table)) {
                let mut table = InlineTable::new();
                table.insert("name", name.into());
                array.push(table);
            }
            let mut tables = array.iter_mut().filter_map(Value::as_inline_table_mut);
            let known = tables.find(|table| is_it(*table));
            known.map(|table| table as _).ok_or_else(|| format!("there is no {kind} {name:?}"))
        }
        _ => Err("expected tables".to_owned()),
    }
}

fn is_named(table: &dyn TableLike, name: &str) -> bool {
    table.get("name").and_then(Item::as_str) == Some(name)
}

/// The section of this name, if the text has it.
fn known_section<'a>(root: &'a Table, kind: &str, name: &str) -> Option<&'a dyn TableLike> {
    match root.get(kind)? {
        Item::ArrayOfTables(tables) => {
            tables.iter().find(|table| is_named(*table, name)).map(|table| table as _)
        }
        Item::Value(Value::Array(array)) => {
            let mut tables = array.iter().filter_map(Value::as_inline_table);
            tables.find(|table| is_named(*table, name)).map(|table| table as _)
        }
        _ => None,
    }
}

/// The assignment behind the comment that shows the key's default, as in the file that is installed.
fn beside_its_default(text: &str, path: &str, value: &Value) -> Option<String> {
    let (heading, last) = path.rsplit_once('.').unwrap_or(("", path));
    let mut here = heading.is_empty();
    let mut end = None;
    let mut inside = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        at += line.len();
        let bare = line.trim();
        if bare.starts_with('[') {
            here = bare.strip_prefix('[').and_then(|it| it.strip_suffix(']')) == Some(heading);
            inside = false;
        }
        let shown = bare.strip_prefix('#').and_then(|it| it.strip_prefix(last));
        if here && let Some(rest) = shown.and_then(|it| it.trim_start().strip_prefix('=')) {
            inside = rest.trim() == "[";
            end = (!inside).then_some(at);
        } else if inside && bare == "#]" {
            end = Some(at);
        }
        if end.is_some() {
            break;
        }
    }
    let end = end.filter(|end| text[..*end].ends_with('\n'))?;
    Some(format!("{}{last} = {value}\n{}", &text[..end], &text[end..]))
}

/// What it removes is the key and its value; comments stay.
fn take_out(text: &str, name: KeyName<'_>) -> Result<String, String> {
    let document = Document::parse(text).map_err(|error| error.to_string())?;
    let mut inline = is_written_inline(document.as_table(), name);
    let mut place: &dyn TableLike = match name.named {
        None => document.as_table(),
        Some((kind, of)) => {
            let table = known_section(document.as_table(), kind, of);
            let table = table.ok_or_else(|| format!("there is no {kind} {of:?} here"))?;
            if name.path.is_empty() {
                return Ok(without_section(text, kind, of));
            }
            table
        }
    };
    let (tables, last) = name.path.rsplit_once('.').unwrap_or(("", name.path));
    for table in tables.split('.').filter(|table| !table.is_empty()) {
        let inner = place.get(table).ok_or("it is not set here")?;
        inline |= inner.is_inline_table();
        place = inner.as_table_like().ok_or("expected a table")?;
    }
    let (Some(key), Some(item)) = (place.key(last), place.get(last)) else {
        return Err("it is not set here".to_owned());
    };
    if inline {
        return Ok(without_inline(text, name));
    }
    let (Some(key), Some(value)) = (key.span(), item.span()) else {
        return Err("it can't be taken out".to_owned());
    };
    // One assignment stands on a line of its own, but for what follows its value.
    let start = text[..key.start].rfind('\n').map_or(0, |at| at + 1);
    let rest = &text[value.end..];
    let line_end = rest.find('\n').map_or(rest.len(), |at| at + 1);
    let (tail, after) = rest.split_at(line_end);
    let tail = tail.trim_start_matches([' ', '\t']);
    let tail = if tail.trim().is_empty() { "" } else { tail };
    Ok(format!("{}{tail}{after}", &text[..start]))
}

fn without_section(text: &str, kind: &str, name: &str) -> String {
    let Ok(mut document) = text.parse::<DocumentMut>() else { return text.to_owned() };
    match document.get_mut(kind) {
        Some(Item::ArrayOfTables(tables)) => tables.retain(|table| !is_named(table, name)),
        Some(Item::Value(Value::Array(array))) => {
            array.retain(|value| !value.as_inline_table().is_some_and(|it| is_named(it, name)));
        }
        _ => {}
    }
    document.to_string()
}

fn without_inline(text: &str, name: KeyName<'_>) -> String {
    let Ok(mut document) = text.parse::<DocumentMut>() else { return text.to_owned() };
    let mut place: Option<&mut dyn TableLike> = match name.named {
        None => Some(document.as_table_mut()),
        Some((kind, of)) => section(document.as_table_mut(), kind, of).ok(),
    };
    let (tables, last) = name.path.rsplit_once('.').unwrap_or(("", name.path));
    for table in tables.split('.').filter(|table| !table.is_empty()) {
        place = place.and_then(|it| it.get_mut(table)).and_then(Item::as_table_like_mut);
    }
    if let Some(place) = place {
        place.remove(last);
        place.fmt();
        space_evenly(document.as_table_mut(), name);
    }
    document.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(before: &str, key: &str, value: Option<Json>, after: &str) {
        let edits = [(key.to_owned(), value)];
        assert_eq!(edited(Path::new("t.toml"), before, &edits).unwrap(), after, "{key}");
    }

    #[test]
    fn comments_and_order_stay() {
        let before = "# ours\ninterfaces = [\"eth0\"] # uplink\nmode = \"observe\" # for now\n\n\
                      [rules]\n# many phones\nregister_limit = 10 # a minute\n";
        let enforce = before.replace("\"observe\"", "\"enforce\"");
        check(before, "mode", Some(json!("enforce")), &enforce);
        check(before, "rules.register_limit", Some(json!(18)), &before.replace("= 10", "= 18"));
        let added = format!("{before}invite_limit = 8\n");
        check(before, "rules.invite_limit", Some(json!(8)), &added);
        let without = before.replace("mode = \"observe\" # for now", "# for now");
        check(before, "mode", None, &without);
        let without = before.replace("register_limit = 10 # a minute", "# a minute");
        check(before, "rules.register_limit", None, &without);
    }

    #[test]
    fn what_is_not_there_is_added() {
        check("", "mode", Some(json!("enforce")), "mode = \"enforce\"\n");
        check("", "rules.invite_limit", Some(json!(8)), "[rules]\ninvite_limit = 8\n");
        check(
            "rules.register_limit = 3\n[[endpoint]]\nname = \"pbx1\"\n",
            "rules.register_limit",
            Some(json!(9)),
            "rules.register_limit = 9\n[[endpoint]]\nname = \"pbx1\"\n",
        );
        check(
            "[[endpoint]]\nname = \"pbx1\"\n",
            "mode",
            Some(json!("enforce")),
            "mode = \"enforce\"\n[[endpoint]]\nname = \"pbx1\"\n",
        );
    }

    #[test]
    fn a_value_goes_beside_its_default() {
        let before = "# Head.\n\n# The mode. Takes words.\n#mode = \"enforce\"\n\n[sip]\n\n#ports = [\n#\"5060\",\n#]\n\n\
                      # Other.\n#tls_ports = [\"5061\"]\n\n[geo]\n#mode = \"off\"\n";
        let set = before.replace("#mode = \"enforce\"\n", "#mode = \"enforce\"\nmode = \"off\"\n");
        check(before, "mode", Some(json!("off")), &set);
        let set = before.replace("#]\n", "#]\nports = [\"5070\"]\n");
        check(before, "sip.ports", Some(json!(["5070"])), &set);
        let set = format!("{before}mode = \"deny\"\n");
        check(before, "geo.mode", Some(json!("deny")), &set);
        check(&set, "geo.mode", None, before);
    }

    #[test]
    fn named_sections() {
        let before = "[[endpoint]]\nname = \"a\"\naddresses = [\"192.0.2.1\"] # one\n\n\
                      [[endpoint]]\nname = \"b\"\naddresses = [\"192.0.2.2\"]\n";
        let set = before.replace("# one\n", "# one\nmode = \"off\"\n");
        check(before, "endpoint[a].mode", Some(json!("off")), &set);
        check(&set, "endpoint[a].mode", None, before);
        let set = format!("{before}geo.mode = \"deny\"\n");
        check(before, "endpoint[b].geo.mode", Some(json!("deny")), &set);
        let set = format!("{before}\n[[endpoint]]\nname = \"c\"\naddresses = [\"192.0.2.3\"]\n");
        check(before, "endpoint[c].addresses", Some(json!(["192.0.2.3"])), &set);
        let first = &before[..before.find("\n[[").unwrap()];
        check(before, "endpoint[b]", None, first);
    }

    #[test]
    fn inline_tables() {
        let before = "geo = { mode = \"deny\", countries = [\"FR\"] } # ours\n";
        check(before, "geo.mode", None, "geo = { countries = [\"FR\"] } # ours\n");
        let off = before.replace("deny", "off");
        check(before, "geo.mode", Some(json!("off")), &off);
    }

    #[test]
    fn inline_sections() {
        let before = "endpoint = [{ name = \"a\", mode = \"off\", geo.mode = \"off\" }, { name = \"b\" }] # ours\n";
        let without = before.replace(" mode = \"off\",", "");
        check(before, "endpoint[a].mode", None, &without);
        check(&without, "endpoint[a].geo.mode", None, &without.replace(", geo.mode = \"off\"", ""));
        check(before, "endpoint[b]", None, &before.replace(", { name = \"b\" }", ""));
        let set = before.replace("\"b\" }", "\"b\", geo.mode = \"deny\" }");
        check(before, "endpoint[b].geo.mode", Some(json!("deny")), &set);
        let set = before.replace("\"b\" }", "\"b\" }, { name = \"c\", mode = \"off\" }");
        check(before, "endpoint[c].mode", Some(json!("off")), &set);
    }

    #[test]
    fn an_inline_table_of_a_section_leaves_its_comments_alone() {
        let before = "[[endpoint]]\nname = \"a\" # one\ngeo = { mode = \"off\" } # two\n";
        let set = before.replace("\"off\" }", "\"off\", countries = [\"FR\"] }");
        check(before, "endpoint[a].geo.countries", Some(json!(["FR"])), &set);
        check(&set, "endpoint[a].geo.countries", None, before);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, key, value) in [
            ("rules = 7\n", "rules.invite_limit", Some(json!(8))),
            ("rules = \n", "rules.invite_limit", Some(json!(8))),
            ("", "mode", Some(Json::Null)),
            ("", "mode", None),
            ("", "endpoint[a]", Some(json!("x"))),
            ("", "endpoint[a].mode", None),
            ("endpoint = [{ name = \"a\" }]\n", "endpoint[a].mode", None),
            ("endpoint = [{ name = \"a\" }]\n", "endpoint[b]", None),
            ("geo = { mode = \"off\" }\n", "geo.countries", None),
            ("", "a[b", Some(json!(8))),
        ] {
            let edits = [(key.to_owned(), value)];
            assert!(edited(Path::new("t.toml"), text, &edits).is_err(), "{text:?} {key}");
        }
    }
}
