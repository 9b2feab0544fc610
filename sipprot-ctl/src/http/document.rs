//! The API's own description (OpenAPI 3.1), made of the table of routes and of the types that they take and
//! give.

use axum::body::{Body as RawBody, Bytes};
use axum::extract::{Extension, Path, State};
use axum::handler::Handler;
use axum::http::HeaderMap;
use schemars::generate::{Contract, SchemaSettings};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::Rooms;
use super::asker::{Asker, Cookie};
use super::consent::Consented;
use super::door::{CSRF_HEADER, Least, cookie_name};
use super::error::{Body, Params};
use super::table::Route;
use crate::api::{Consent, FaultBody, List};

/// What a handler takes, as its arguments tell.
#[derive(Default)]
pub(super) struct Takes {
    parameters: Vec<Value>,
    body: Option<Value>,
}

/// An argument of a handler.
pub(super) trait Described {
    fn describe(_: &mut Takes, _: &mut SchemaGenerator) {}
}

impl Described for Asker {}
impl Described for Option<Cookie> {}
impl Described for HeaderMap {}
impl<T> Described for State<T> {}
impl<T> Described for Extension<T> {}
/// The route's path names them.
impl<T> Described for Path<T> {}

impl<T: JsonSchema> Described for Params<T> {
    fn describe(takes: &mut Takes, schemas: &mut SchemaGenerator) {
        let schema = T::json_schema(schemas);
        let empty = Map::new();
        let object = |name| schema.get(name).and_then(Value::as_object).unwrap_or(&empty);
        let required =
            schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        for (name, schema) in object("properties") {
            let mut schema = without_null(schema.clone());
            let description = schema.as_object_mut().and_then(|it| it.remove("description"));
            takes.parameters.push(parameter(
                ("query", name),
                required.contains(&json!(name)),
                description.unwrap_or(json!("")),
                schema,
            ));
        }
    }
}

impl<T: JsonSchema> Described for Body<T> {
    fn describe(takes: &mut Takes, schemas: &mut SchemaGenerator) {
        takes.body = Some(content("application/json", schemas.subschema_for::<T>().to_value()));
    }
}

impl Described for RawBody {
    fn describe(takes: &mut Takes, _: &mut SchemaGenerator) {
        takes.body = Some(content("text/csv", csv()));
    }
}

impl Described for Bytes {
    fn describe(takes: &mut Takes, _: &mut SchemaGenerator) {
        takes.body = Some(content("text/plain", json!({"type": "string"})));
    }
}

impl Described for Consented {
    fn describe(takes: &mut Takes, _: &mut SchemaGenerator) {
        let what =
            "Do it although it may cut off whoever asks; it is taken back unless it is confirmed.";
        let schema = json!({"type": "boolean"});
        takes.parameters.push(parameter(("header", Consent::CONFIRM), false, json!(what), schema));
    }
}

/// A handler whose arguments all are.
pub(super) trait Documented<T>: Handler<T, Rooms> {
    fn describe(takes: &mut Takes, schemas: &mut SchemaGenerator);
}

macro_rules! documented {
    ($($argument:ident),*) => {
        impl<F, M, $($argument),*> Documented<(M, $($argument,)*)> for F
        where
            F: Handler<(M, $($argument,)*), Rooms>,
            $($argument: Described,)*
        {
            fn describe(takes: &mut Takes, schemas: &mut SchemaGenerator) {
                $($argument::describe(takes, schemas);)*
            }
        }
    };
}

documented!(A);
documented!(A, B);
documented!(A, B, C);
documented!(A, B, C, D);
documented!(A, B, C, D, E);
documented!(A, B, C, D, E, G);

/// What a route answers when all is well.
pub(super) type Gives = fn(&mut SchemaGenerator) -> Value;

pub(super) fn gives_json<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Value {
    content("application/json", schemas.subschema_for::<T>().to_value())
}

fn csv() -> Value {
    json!({"type": "string", "examples": ["IP_ADDRESS,NOTE\n192.0.2.0/24,an office\n"]})
}

pub(super) fn content(kind: &str, schema: Value) -> Value {
    json!({"content": {kind: {"schema": schema}}})
}

pub(super) fn document(routes: &[Route], secure: bool) -> Value {
    let schemas = |contract| {
        let mut settings = SchemaSettings::draft2020_12();
        settings.definitions_path = "/components/schemas".into();
        settings.contract = contract;
        settings.meta_schema = None;
        settings.into_generator()
    };
    let (mut taken, mut given) = (schemas(Contract::Deserialize), schemas(Contract::Serialize));
    let mut paths = Map::new();
    for route in routes {
        let operation = operation(route, &mut taken, &mut given);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation;
    }
    let fault = gives_json::<FaultBody>(&mut given);
    let mut all = taken.take_definitions(true);
    all.extend(given.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "SIPprot",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What people and programs may ask of SIPprot. Times are Unix seconds, durations seconds.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": super::BASE}],
        "security": [{"session": []}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": all,
            "responses": {"Fault": with(fault, "description", json!("It was not done. `field` names what is wrong."))},
            "securitySchemes": {
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": cookie_name(secure),
                    "description": format!("A login (`POST /session`). All that changes something needs the header {CSRF_HEADER}, too, as `GET /session` tells it."),
                },
                "token": {"type": "http", "scheme": "bearer", "description": "An API token (`POST /tokens`)."},
                "log": {"type": "http", "scheme": "bearer", "description": "The token of an endpoint's logs."},
            },
        },
    })
}

fn operation(route: &Route, taken: &mut SchemaGenerator, given: &mut SchemaGenerator) -> Value {
    let mut takes = Takes::default();
    (route.takes)(&mut takes, taken);
    let named = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = named
        .map(|name| parameter(("path", name), true, json!(""), path_schema(name, taken)))
        .collect();
    parameters.append(&mut takes.parameters);
    if route.tries {
        let what = "Only say what would be done, or why it would be refused.";
        let schema = json!({"type": "boolean"});
        parameters.push(parameter(("header", Consent::DRY_RUN), false, json!(what), schema));
    }
    if !route.method.is_safe() && route.least != Least::Anyone {
        let what = "Of a page that is logged in by a cookie, as `GET /session` tells it.";
        let schema = json!({"type": "string"});
        parameters.push(parameter(("header", CSRF_HEADER), false, json!(what), schema));
    }
    let mut answer = (route.gives)(given);
    answer["description"] = json!("Done.");
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "x-sipprot-right": route.least.name(),
        "parameters": parameters,
        "responses": {
            route.status.as_str(): answer,
            "4XX": {"$ref": "#/components/responses/Fault"},
            "5XX": {"$ref": "#/components/responses/Fault"},
        },
    });
    if let Some(body) = takes.body {
        operation["requestBody"] = with(body, "required", json!(true));
    }
    match route.least {
        Least::Anyone if route.path.starts_with("/logs") => {
            operation["security"] = json!([{"log": []}])
        }
        Least::Anyone => operation["security"] = json!([]),
        Least::Right(_) => {}
    }
    operation
}

/// `get_lists_list_csv`
fn operation_id(route: &Route) -> String {
    let words = route.path.split(['/', '{', '}', '.']).filter(|word| !word.is_empty());
    let words = std::iter::once(route.method.as_str().to_lowercase())
        .chain(words.map(str::to_owned))
        .collect::<Vec<_>>();
    words.join("_")
}

/// What stands between braces in a path has one meaning, wherever it stands.
fn path_schema(name: &str, schemas: &mut SchemaGenerator) -> Value {
    match name {
        "list" => schemas.subschema_for::<List>().to_value(),
        "address" => {
            json!({"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}], "examples": ["192.0.2.1"]})
        }
        _ => {
            json!({"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[A-Za-z0-9._@-]+$"})
        }
    }
}

fn parameter((place, name): (&str, &str), required: bool, what: Value, schema: Value) -> Value {
    json!({"in": place, "name": name, "required": required, "description": what, "schema": schema})
}

/// What may be left out of a query is not sent as null.
fn without_null(mut schema: Value) -> Value {
    if let Some(kinds) = schema.get_mut("type").and_then(Value::as_array_mut) {
        kinds.retain(|kind| kind != "null");
        if let [only] = kinds.as_slice() {
            schema["type"] = only.clone();
        }
    }
    if let Some(choices) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        choices.retain(|choice| choice["type"] != "null");
    }
    if schema["default"].is_null() {
        schema.as_object_mut().and_then(|it| it.remove("default"));
    }
    schema
}

fn with(mut object: Value, key: &str, value: Value) -> Value {
    object[key] = value;
    object
}
