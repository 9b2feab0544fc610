//! The routes: method, path, who may, what becomes of it. A route is one row here; the router with its doors,
//! the API's document and the tests come from it.

use axum::http::{Method, StatusCode};
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use super::document::{Documented, Gives, Takes, content, gives_json};
use super::door::Least;
use super::{
    Rooms, fleet, lists, live, notices, people, routes, service, settings, sheets, welcome,
};
use crate::api::{
    AbuseReport, Accepted, AggregateAnswer, AuditAnswer, BlocklistsAnswer, BlocksAnswer, Check,
    Checkup, Command, Done, Entries, FleetAnswer, FleetHosts, FleetLog, FleetSources, GeoPreview,
    Ingested, LearnProposal, LearnStatus, LiveEvents, MadeToken, NotifyLog, NotifyStatus,
    NotifyTested, PeersAnswer, RemovedAnswer, Report, Right, Schema, ServiceView, SessionView,
    SettingsAnswer, SettingsChanged, SheetAnswer, Status, Summary, TokensAnswer, Top, TrustAnswer,
    Undone, UsersAnswer, Verification, Version, Welcome, Why,
};

pub(super) struct Route {
    pub method: Method,
    /// Below [`super::BASE`].
    pub path: &'static str,
    pub least: Least,
    pub summary: &'static str,
    /// When all is well.
    pub status: StatusCode,
    pub handler: MethodRouter<Rooms>,
    /// Whether it may be tried without doing it: the daemon's `rehearse` knows the command.
    pub tries: bool,
    pub takes: fn(&mut Takes, &mut SchemaGenerator),
    pub gives: Gives,
}

const ANYONE: Least = Least::Anyone;
const READ: Least = Least::Right(Right::Read);
const LISTS: Least = Least::Right(Right::Lists);
const ADMIN: Least = Least::Right(Right::Admin);

/// Every route of the API.
#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    let mut all = vec![
        get("/version", READ, |asker| routes::plain(asker, Command::Version)).gives::<Version>("Which sipprot this is."),
        get("/status", READ, |asker| routes::plain(asker, Command::Status)).gives::<Status>("Health, and how full everything is."),
        get("/lists/{list}", READ, lists::entries).gives::<Entries>("A list, page by page."),
        post("/lists/{list}", LISTS, routes::add_entry).gives::<Done>("Adds an address or network to a list.").tried(),
        patch("/lists/{list}", LISTS, lists::edit_entry).gives::<Done>("Changes note, scope, end or network of an entry.").tried(),
        delete("/lists/{list}", LISTS, routes::remove_entry).gives::<Done>("Removes an address or network from a list.").tried(),
        get("/lists/{list}/csv", READ, sheets::export).sends("text/csv", "A list as a CSV file."),
        post("/lists/{list}/import", LISTS, sheets::import).gives::<SheetAnswer>("Adds all of a CSV file, or nothing of it."),
        post("/lists/{list}/remove", LISTS, sheets::remove).gives::<SheetAnswer>("Removes all addresses of a CSV file, or none."),
        post("/confirm", LISTS, routes::confirm).gives::<Done>("Keeps the change that waits for its confirmation."),
        delete("/confirm", LISTS, routes::cancel).gives::<Done>("Takes back the change that waits for its confirmation."),
        get("/blocks", READ, lists::blocks).gives::<BlocksAnswer>("Who is blocked for a while."),
        post("/blocks", LISTS, lists::block).gives::<Done>("Blocks an address for a while.").tried(),
        delete("/blocks/{address}", LISTS, routes::unblock).gives::<Done>("Lifts the blocks of an address.").tried(),
        get("/trust", READ, lists::trust).gives::<TrustAnswer>("Whom the rules trust."),
        delete("/trust/{address}", ADMIN, routes::revoke_trust).gives::<Done>("Takes trust away.").tried(),
        get("/peers", READ, lists::peers).gives::<PeersAnswer>("Peers of the configuration, and those that were added."),
        post("/peers", ADMIN, routes::add_peer).gives::<Done>("Trusts an address or network at once.").tried(),
        delete("/peers", ADMIN, routes::remove_peer).gives::<Done>("Takes back a peer that was added.").tried(),
        get("/blocklists", READ, lists::blocklists).gives::<BlocklistsAnswer>("The lists of others, and how they fare."),
        get("/check/{address}", READ, routes::check).gives::<Check>("On which lists an address is, and what the kernel holds of it."),
        get("/why/{address}", READ, routes::why).gives::<Why>("Why an address is blocked, or not."),
        get("/report", READ, lists::report).gives::<Report>("Attacks of a day, or of several."),
        get("/learn", READ, |asker| routes::plain(asker, Command::Learn)).gives::<LearnStatus>("Whether the host learns."),
        post("/learn", ADMIN, routes::learn).gives::<Done>("Begins to learn."),
        delete("/learn", ADMIN, routes::discard_learned).gives::<Done>("Ends learning and forgets what was learned."),
        get("/learn/proposal", READ, |asker| routes::plain(asker, Command::LearnProposal)).gives::<LearnProposal>("What was learned, and what follows from it."),
        post("/learn/accept", ADMIN, routes::accept_learned).gives::<Accepted>("Takes the proposal, whole or in part."),
        post("/learn/stop", ADMIN, routes::stop_learning).gives::<Done>("Ends learning."),
        post("/geo/preview", READ, routes::preview_geo).gives::<GeoPreview>("Whom a change of countries would cut off. Changes nothing."),
        post("/logs/{log}", ANYONE, people::ingest).gives::<Ingested>("Takes lines of an endpoint's log."),
        post("/reload", ADMIN, routes::reload).gives::<Done>("Reads the configuration again.").tried(),
        get("/events", READ, live::follow).streams("What changes, as it changes: server-sent events, each of a LiveEvent."),
        get("/events/recent", READ, live::recent).gives::<LiveEvents>("The last changes."),
        get("/top", READ, routes::top).gives::<Top>("What is going on, with counts to make rates of."),
    ];
    all.extend([
        post("/session", ANYONE, people::log_in).gives::<SessionView>("Logs in: the answer sets a cookie."),
        get("/session", READ, people::session).gives::<SessionView>("Who asks, and what a page must send to change something."),
        delete("/session", READ, people::log_out).gives::<Done>("Logs out."),
        post("/session/password", READ, people::change_password).gives::<Done>("Changes one's own password, and ends one's other logins."),
        get("/users", ADMIN, |asker| routes::plain(asker, Command::Users)).gives::<UsersAnswer>("Who may log in."),
        post("/users", ADMIN, people::add_user).gives::<Done>("Adds a user."),
        patch("/users/{name}", ADMIN, people::edit_user).gives::<Done>("Gives a user another role or password."),
        delete("/users/{name}", ADMIN, people::remove_user).gives::<Done>("Removes a user, and ends the logins."),
        get("/tokens", ADMIN, |asker| routes::plain(asker, Command::Tokens)).gives::<TokensAnswer>("The API tokens."),
        post("/tokens", ADMIN, people::add_token).gives::<MadeToken>("Makes an API token, which is shown this once."),
        delete("/tokens/{name}", ADMIN, people::revoke_token).gives::<Done>("Revokes an API token."),
        get("/settings", READ, settings::show).gives::<SettingsAnswer>("What is set, and where it comes from."),
        patch("/settings", ADMIN, settings::change).gives::<SettingsChanged>("Changes several settings at once, or none."),
        get("/settings/schema", READ, |asker| routes::plain(asker, Command::Schema)).gives::<Schema>("Everything that can be set: types, bounds, defaults, help in English and French."),
        get("/audit", READ, settings::audit).gives::<AuditAnswer>("Who changed what, page by page."),
        post("/audit/{number}/undo", LISTS, settings::undo).gives::<Undone>("Takes back what a record tells, if it is still so."),
        get("/openapi.json", READ, people::openapi).gives::<Value>("This document."),
    ]);
    all.extend([
        post("/lists/{list}/delete", LISTS, lists::delete).gives::<RemovedAnswer>("Removes some entries by name, or all.").tried(),
        post("/lists/{list}/move", LISTS, lists::move_entries).gives::<Done>("Moves entries to the other list.").tried(),
        post("/lists/{list}/aggregate", LISTS, lists::aggregate).gives::<AggregateAnswer>("Lets one network take the place of entries that say together what it says."),
        delete("/blocks", LISTS, lists::unblock_all).gives::<Done>("Lifts all blocks.").tried(),
        post("/blocks/deny", LISTS, lists::deny_blocks).gives::<Done>("Puts blocked addresses on the denylist.").tried(),
        get("/report/csv", READ, lists::report_csv).sends("text/csv", "The report's rows as a CSV file."),
        get("/report/abuse/{address}", READ, lists::abuse).gives::<AbuseReport>("What the abuse desk of an address's provider asks for."),
        get("/report/summary", READ, lists::summary).gives::<Summary>("Sums of some days' attacks: by time, kind, country and endpoint."),
        get("/verify", ADMIN, lists::verify).gives::<Verification>("Whether the kernel holds what the store promises."),
        post("/verify", ADMIN, lists::repair).gives::<Verification>("Puts into the kernel what the store promises."),
        get("/notify", READ, |asker| routes::plain(asker, Command::NotifyStatus)).gives::<NotifyStatus>("How notifications fare."),
        get("/notify/log", READ, notices::log).gives::<NotifyLog>("What became of each message."),
        post("/notify/test", ADMIN, notices::test).gives::<NotifyTested>("Sends a message to try the way."),
    ]);
    all.extend([
        get("/welcome", ANYONE, welcome::welcome).gives::<Welcome>("What this is called and looks like, and whether anybody can log in."),
        get("/logo", ANYONE, welcome::logo).sends("image/*", "The operator's logo."),
        get("/doctor", READ, |asker| routes::plain(asker, Command::Doctor)).gives::<Checkup>("What may be wrong on this host, and what to do about it."),
        get("/service", READ, |asker| routes::plain(asker, Command::Service)).gives::<ServiceView>("Whether systemd runs the daemon."),
        post("/service/restart", ADMIN, service::restart).gives::<Done>("Restarts the daemon, by systemd. The kernel goes on protecting."),
        post("/service/stop", ADMIN, service::stop).gives::<Done>("Stops the daemon, by systemd, for a while or for good. The kernel goes on protecting."),
        get("/fleet", READ, |asker| routes::plain(asker, Command::Fleet)).gives::<FleetAnswer>("What this is of a fleet, a host or its hub, and how that fares."),
        get("/fleet/hub", READ, |asker| routes::plain(asker, Command::FleetHub)).gives::<FleetAnswer>("What the hub knows and decides, where this is one, or one runs beside the daemon (`fleet.hub`)."),
        get("/fleet/hosts", READ, |asker| routes::plain(asker, Command::FleetHosts)).gives::<FleetHosts>("How each host of the fleet fares. The hub's."),
        get("/fleet/sources", READ, fleet::sources).gives::<FleetSources>("Attackers that hosts reported, page by page. The hub's."),
        get("/fleet/log", READ, fleet::log).gives::<FleetLog>("What was decided at the hub, by whom, and what became of it: the last first. The hub's."),
        post("/fleet/judge", ADMIN, fleet::judge).gives::<Done>("Spreads, rejects or recalls sources: all of them or none. The hub's."),
        post("/fleet/protect", ADMIN, fleet::protect).gives::<Done>("Keeps a network from ever being spread. The hub's."),
    ]);
    all
}

fn get<T: 'static>(path: &'static str, least: Least, handler: impl Documented<T>) -> Route {
    route(Method::GET, MethodFilter::GET, path, least, handler)
}

fn post<T: 'static>(path: &'static str, least: Least, handler: impl Documented<T>) -> Route {
    route(Method::POST, MethodFilter::POST, path, least, handler)
}

fn patch<T: 'static>(path: &'static str, least: Least, handler: impl Documented<T>) -> Route {
    route(Method::PATCH, MethodFilter::PATCH, path, least, handler)
}

fn delete<T: 'static>(path: &'static str, least: Least, handler: impl Documented<T>) -> Route {
    route(Method::DELETE, MethodFilter::DELETE, path, least, handler)
}

fn route<T: 'static, H: Documented<T>>(
    method: Method,
    filter: MethodFilter,
    path: &'static str,
    least: Least,
    handler: H,
) -> Route {
    Route {
        method,
        path,
        least,
        summary: "",
        status: StatusCode::OK,
        handler: on(filter, handler),
        tries: false,
        takes: H::describe,
        gives: |_| json!({}),
    }
}

impl Route {
    /// Answers JSON of this type.
    fn gives<A: JsonSchema>(self, summary: &'static str) -> Self {
        Self { summary, gives: gives_json::<A>, ..self }
    }

    /// Takes the header of a dry run.
    fn tried(self) -> Self {
        Self { tries: true, ..self }
    }

    /// Answers server-sent events, without an end.
    fn streams(self, summary: &'static str) -> Self {
        Self { summary, gives: |_| content("text/event-stream", json!({"type": "string"})), ..self }
    }

    /// Answers a file of this media type.
    fn sends(self, kind: &'static str, summary: &'static str) -> Self {
        let gives: Gives = match kind {
            "text/csv" => |_| content("text/csv", json!({"type": "string"})),
            _ => |_| content("image/*", json!({})),
        };
        Self { summary, gives, ..self }
    }
}
