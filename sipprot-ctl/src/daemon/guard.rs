//! No lock-out: a change that would cut off who makes it is refused, or taken back unless they confirm it.
//!
//! While it waits, the kernel's allowlist has the operators' addresses with a time from which on they are
//! let in: they come back even when nobody is left to take the change back. At the deadline, or at the next
//! start after it, the change itself is taken back from the store and the kernel.

pub(crate) mod own;
pub(super) mod rehearsal;
pub(crate) mod sessions;

use std::net::IpAddr;
use std::time::Duration;

use ipnetwork::IpNetwork;
use serde_json::Value as Json;
use sipprot_common::abi::{GEO_ALLOW, MODE_ENFORCE, SCOPE_LATER};
use sipprot_common::policy::{self, geo_drops};
use sipprot_common::source::Address;
use tracing::{info, warn};

use super::answers::{Outcome, store_fault};
use super::change::{now_or_fault, text};
use super::clock::after;
use super::core::Core;
use super::geography::Geography;
use super::plan::Plan;
use crate::api::{Consent, Done, Fault, LiveKind, PendingView, Right};
use crate::config::{Loaded, Scope, format_duration};
use crate::datapath::{List as KernelList, ListItem};
use crate::geo::is_exempt;
use crate::report::utc;
use crate::store::{Change, List, ListKey, PendingRecord, Store};

/// The change that waits, and what the configuration was before it.
#[derive(Default)]
pub(super) struct Guard {
    pub pending: Option<PendingRecord>,
    pub former: Option<Loaded>,
    /// What the configuration says of countries waits for a confirmation, and nobody knows what was before.
    pub geo_off: bool,
}

/// How careful a configuration is put in force.
pub(super) enum Guarding {
    /// Somebody asks for it; these settings take it back.
    Asked { consent: Consent, by: String, settings: Vec<(String, Option<Json>)> },
    /// It was in force before.
    GoingBack,
}

impl Guard {
    pub fn load(store: Option<&Store>) -> Result<Self, crate::store::StoreError> {
        let pending = store.map(Store::pending).transpose()?.flatten();
        let now = jiff::Timestamp::now();
        let late = |it: &PendingRecord| it.geo && (it.ended || it.until <= now);
        Ok(Self { geo_off: pending.as_ref().is_some_and(late), pending, former: None })
    }

    fn waiting(&self) -> Option<&PendingRecord> {
        self.pending.as_ref().filter(|pending| !pending.ended)
    }
}

/// Does a denial of this scope stop who works by ssh?
pub(super) fn cuts_ssh(scope: Scope) -> bool {
    matches!(scope, Scope::All | Scope::Ssh)
}

/// What a change of the configuration risks.
struct GeoRisk {
    cut: Vec<IpAddr>,
    /// Nobody can tell who may come from elsewhere.
    allow_mode: bool,
}

impl Core {
    /// Addresses from which somebody works on this host now.
    pub(super) fn operators(&self, consent: Consent) -> Vec<IpAddr> {
        let own = |address: &IpAddr| {
            address.is_loopback() || self.own.addresses.iter().any(|own| own.ip() == *address)
        };
        let mut all = sessions::clients();
        all.extend(consent.operator);
        all.iter_mut().for_each(|address| *address = Address::from(*address).to_ip());
        all.retain(|address| !own(address) && !address.is_unspecified());
        all.sort();
        all.dedup();
        all
    }

    /// Operators that a denial would cut off, and that get through now.
    pub(super) fn cut_by(
        &self,
        consent: Consent,
        denies: impl Fn(IpAddr) -> bool,
    ) -> Result<Vec<IpAddr>, Fault> {
        let mut cut = Vec::new();
        for operator in self.operators(consent) {
            let (allowed, denied) = (self.is_allowed(operator, &[])?, self.is_denied(operator)?);
            let stops = |denied| self.stops(&self.plan, &self.geography, operator, denied);
            // Whom a change that waits has cut off comes back.
            let waits = self.guard.waiting().is_some_and(|it| it.operators.contains(&operator));
            if denies(operator) && !allowed && stops(true) && (waits || !stops(denied)) {
                cut.push(operator);
            }
        }
        Ok(cut)
    }

    /// Operators whom a block would cut off.
    pub(super) fn cut_by_block(
        &self,
        network: IpNetwork,
        consent: Consent,
    ) -> Result<Vec<IpAddr>, Fault> {
        let host = self.plan.policies.first().filter(|host| host.mode == MODE_ENFORCE);
        if host.is_none_or(|host| host.observe & policy::Protection::Block.bit() != 0) {
            return Ok(Vec::new());
        }
        let mut cut = self.operators(consent);
        cut.retain(|operator| network.contains(*operator));
        let mut stopped = Vec::new();
        for operator in cut {
            if !self.is_allowed(operator, &[])? {
                stopped.push(operator);
            }
        }
        Ok(stopped)
    }

    /// Operators whom nothing would let in but these entries of the host's allowlist.
    pub(super) fn cut_without(
        &self,
        networks: &[IpNetwork],
        consent: Consent,
    ) -> Result<Vec<IpAddr>, Fault> {
        let mut cut = Vec::new();
        let holds = |it: &IpAddr| networks.iter().any(|network| network.contains(*it));
        for operator in self.operators(consent).into_iter().filter(holds) {
            let denied = self.is_denied(operator)?;
            if !self.is_allowed(operator, networks)?
                && self.stops(&self.plan, &self.geography, operator, denied)
            {
                cut.push(operator);
            }
        }
        Ok(cut)
    }

    /// Refuses a configuration whose countries may cut somebody off, or says what is to wait.
    pub(super) fn consider_geo(
        &mut self,
        plan: &Plan,
        geography: &Geography,
        consent: Consent,
    ) -> Result<Option<PendingRecord>, Fault> {
        let GeoRisk { cut, allow_mode } = self.geo_risk(plan, geography, consent)?;
        let what = "geo protection as configured";
        let pending = if allow_mode && cut.is_empty() {
            let reason = "geo mode allow drops whoever comes from elsewhere, maybe you".to_owned();
            // Who is allowed anyway must not wait for it.
            let mut operators = Vec::new();
            for operator in self.operators(consent) {
                if !self.is_allowed(operator, &[])? {
                    operators.push(operator);
                }
            }
            Some(self.pend(operators, reason, what.to_owned(), "reload", Vec::new(), consent)?)
        } else {
            self.consider(cut, what.to_owned(), "reload", Vec::new(), consent)?
        };
        // Countries bite only once their flows are learned.
        let learning = Duration::from_nanos(policy::GEO_LEARNING_NS);
        Ok(pending.map(|it| PendingRecord { geo: true, until: after(it.until, learning), ..it }))
    }

    fn geo_risk(
        &self,
        plan: &Plan,
        geography: &Geography,
        consent: Consent,
    ) -> Result<GeoRisk, Fault> {
        let allows = |plan: &Plan, name: &str| {
            let index = plan.names.iter().position(|known| known == name);
            let policy = index.and_then(|index| plan.policies.get(index));
            policy.is_some_and(|it| it.geo_mode == GEO_ALLOW && it.mode == MODE_ENFORCE)
        };
        let allow_mode =
            plan.names.iter().any(|name| allows(plan, name) && !allows(&self.plan, name));
        let mut cut = Vec::new();
        for operator in self.operators(consent) {
            let denied = self.is_denied(operator)?;
            if !self.is_allowed(operator, &[])?
                && self.stops(plan, geography, operator, denied)
                && !self.stops(&self.plan, &self.geography, operator, denied)
            {
                cut.push(operator);
            }
        }
        Ok(GeoRisk { cut, allow_mode })
    }

    /// Is there an entry of the host that lets it in, but for some?
    pub(super) fn is_allowed(&self, address: IpAddr, but: &[IpNetwork]) -> Result<bool, Fault> {
        let entries = self.covering(List::Allow, address)?;
        Ok(entries.iter().any(|it| it.endpoint.is_none() && !but.contains(&it.network)))
    }

    fn is_denied(&self, address: IpAddr) -> Result<bool, Fault> {
        let entries = self.covering(List::Deny, address)?;
        Ok(entries.iter().any(|it| it.endpoint.is_none() && cuts_ssh(it.scope)))
    }

    /// Does a denial bite at all?
    pub(super) fn would_stop(&self, address: IpAddr) -> bool {
        self.stops(&self.plan, &self.geography, address, true)
    }

    /// Would the host's policy stop an address that is on no allowlist?
    fn stops(&self, plan: &Plan, geography: &Geography, address: IpAddr, denied: bool) -> bool {
        use policy::Protection::{Deny, Geo};
        let Some(host) = plan.policies.first().filter(|host| host.mode == MODE_ENFORCE) else {
            return false;
        };
        let bites = |protection: policy::Protection| host.observe & protection.bit() == 0;
        let country = geography
            .country(address)
            .map_or(sipprot_common::abi::COUNTRY_UNKNOWN, |country| country.index().into());
        denied && bites(Deny) || bites(Geo) && !is_exempt(address) && geo_drops(host, country)
    }

    /// Refuses a change that cuts operators off, or says what is to wait for their confirmation.
    pub(super) fn consider(
        &mut self,
        cut: Vec<IpAddr>,
        what: String,
        by: &str,
        undo: Vec<Change>,
        consent: Consent,
    ) -> Result<Option<PendingRecord>, Fault> {
        if cut.is_empty() {
            return Ok(None);
        }
        let shown: Vec<String> = cut.iter().take(5).map(ToString::to_string).collect();
        let reason = format!("{what} would cut off {}, who works on this host", shown.join(", "));
        self.pend(cut, reason, what, by, undo, consent).map(Some)
    }

    /// The same where the reason is another one than an operator's address.
    pub(super) fn pend(
        &mut self,
        operators: Vec<IpAddr>,
        reason: String,
        what: String,
        by: &str,
        undo: Vec<Change>,
        consent: Consent,
    ) -> Result<PendingRecord, Fault> {
        let within = format_duration(self.config.confirm_within);
        if !consent.confirm {
            return Err(Fault::needs_consent(format!(
                "{reason}. --confirm does it, and takes it back after {within} unless 'sipprot \
                 confirm' follows"
            )));
        }
        if let Some(other) = self.guard.waiting() {
            let message = format!("{} waits for 'sipprot confirm' already", other.what);
            return Err(Fault::refused(message));
        }
        let until = after(self.clock.timestamp_now(), self.config.confirm_within);
        let by = by.to_owned();
        let settings = Vec::new();
        Ok(PendingRecord { what, by, until, operators, undo, geo: false, settings, ended: false })
    }

    /// From its deadline on the operators are let in by the kernel. Returns what keeps that in the store.
    pub(super) fn begin_pending(&mut self, pending: PendingRecord) -> Result<Change, Fault> {
        warn!("{} waits for its confirmation until {}", pending.what, pending.until);
        let until = utc(pending.until);
        self.tell(
            LiveKind::Confirm,
            format!("{} waits for a confirmation until {until}", pending.what),
        );
        self.guard.pending = Some(pending.clone());
        for item in self.guard_items() {
            self.kernel
                .with(|datapath| datapath.add_entry(KernelList::Allow, &item))
                .map_err(|error| self.fault("letting the operator in", &error))?;
        }
        Ok(Change::PutPending(pending))
    }

    /// The part of the allowlist that holds from the deadline on.
    pub(super) fn guard_items(&self) -> Vec<ListItem> {
        let Some(pending) = self.guard.waiting() else { return Vec::new() };
        let expires_ns = self.clock.to_kernel_from(pending.until);
        let item = |operator: &IpAddr| ListItem {
            expires_ns,
            scope: SCOPE_LATER,
            ..ListItem::host((*operator).into())
        };
        pending.operators.iter().map(item).collect()
    }

    /// For the end of a message about a change.
    pub(super) fn deadline(&self) -> String {
        let Some(pending) = self.guard.waiting() else { return String::new() };
        let left = format_duration(self.left(pending));
        format!("; it is taken back in {left} unless 'sipprot confirm' follows")
    }

    /// In whole seconds.
    fn left(&self, pending: &PendingRecord) -> Duration {
        let left = pending.until.duration_since(self.clock.timestamp_now());
        Duration::from_secs_f64(left.as_secs_f64().max(0.0).round())
    }

    pub(super) fn pending_view(&self) -> Option<PendingView> {
        self.guard.pending.as_ref().map(|pending| PendingView {
            what: pending.what.clone(),
            by: pending.by.clone(),
            until: pending.until.as_second(),
            left_s: self.left(pending).as_secs(),
            ended: pending.ended,
        })
    }

    pub(super) fn pending_problem(&self) -> Option<String> {
        let pending = self.guard.pending.as_ref().filter(|pending| pending.ended)?;
        Some(format!(
            "{} was not confirmed, and is not in force: 'sipprot reload --confirm' tries again",
            pending.what
        ))
    }

    pub(super) fn confirm(&mut self, cancel: bool, right: Right, by: &str) -> Outcome {
        now_or_fault(self.try_confirm(cancel, right, by))
    }

    fn try_confirm(&mut self, cancel: bool, right: Right, by: &str) -> Result<Outcome, Fault> {
        let by = text("by", by)?;
        let Some(pending) = self.guard.waiting().cloned() else {
            return Err(Fault::not_found("nothing waits for a confirmation"));
        };
        let is_of_settings = pending.geo || !pending.settings.is_empty();
        if is_of_settings && right < Right::Admin {
            return Err(Fault::forbidden("settings wait, which only an admin may change"));
        }
        let bites = pending.until - self.config.confirm_within;
        if pending.geo && !cancel && self.clock.timestamp_now() < bites {
            let what = "countries bite only after five minutes of learning: confirm it when you \
                        still get through then";
            return Err(Fault::refused(what));
        }
        let (changes, message) = if cancel {
            info!("{} is taken back by {by}", pending.what);
            (self.take_back(&pending), format!("{} is taken back", pending.what))
        } else {
            info!("{} is confirmed by {by}", pending.what);
            self.guard = Guard::default();
            self.end_guard(&pending);
            self.tell(LiveKind::Confirm, format!("{} is confirmed by {by}", pending.what));
            (vec![Change::RemovePending], format!("{} stays", pending.what))
        };
        let stored = self.journal.write_for_good(changes);
        Ok(Outcome::Stored(stored, Done::new(message)))
    }

    /// What nobody confirmed in time.
    pub(super) fn end_pending_due(&mut self) {
        let now = self.clock.timestamp_now();
        let due = self.guard.waiting().filter(|pending| pending.until <= now).cloned();
        if let Some(pending) = due {
            warn!("{} was not confirmed: it is taken back", pending.what);
            let record = self.own_record("rollback", pending.what.clone(), &pending.by);
            self.journal.begin(Some(record));
            let changes = self.take_back(&pending);
            let changes = self.journal.signed(changes);
            // Directly: whoever asks next whom the lists stop must see it.
            let stored = self.store.as_ref().map_or(Ok(()), |store| store.apply(&changes));
            if let Err(error) = stored {
                self.complain(format!("taking back {}: {error}", pending.what));
            }
        }
    }

    fn take_back(&mut self, pending: &PendingRecord) -> Vec<Change> {
        self.tell(LiveKind::Confirm, format!("{} is taken back", pending.what));
        for change in &pending.undo {
            let done = match change {
                Change::PutList(entry) => self.put_in(entry),
                Change::RemoveList(key) => self.take_out(key),
                Change::LiftBlock { key, .. } => {
                    if let Some(record) = self.ledger.remove_block(key) {
                        self.lift_in_kernel(&record);
                    }
                    Ok(())
                }
                _ => Ok(()),
            };
            if let Err(fault) = done {
                self.complain(format!("taking back {}: {fault}", pending.what));
            }
        }
        let former = self.guard.former.take();
        let ended = PendingRecord { ended: true, undo: Vec::new(), ..pending.clone() };
        self.guard.pending = pending.geo.then_some(ended.clone());
        let mut says_it_still = pending.geo;
        if !pending.settings.is_empty() && self.settings_go_back(&pending.settings) {
            self.guard.pending = None;
            says_it_still = false;
        } else if pending.geo {
            self.geo_goes_back(former);
        }
        self.end_guard(pending);
        let rest = if says_it_still { Change::PutPending(ended) } else { Change::RemovePending };
        pending.undo.iter().cloned().chain([rest]).collect()
    }

    /// The former configuration holds again; after a restart nobody knows it, and geo bites no more.
    fn geo_goes_back(&mut self, former: Option<Loaded>) {
        match former {
            Some(Loaded { config, files, origins }) => {
                (self.config, self.files, self.origins) = (config, files, origins);
            }
            None => self.guard.geo_off = true,
        }
        match self.make_plan() {
            Ok(plan) => self.plan = plan,
            Err(error) => self.complain(format!("going back: {error}")),
        }
        if let Err(error) = self.tell_kernel() {
            self.kernel.failed("going back to the old configuration", &error);
        }
    }

    /// The allowlist is again what the store says.
    fn end_guard(&mut self, pending: &PendingRecord) {
        for operator in &pending.operators {
            let network = IpNetwork::from(*operator);
            let key = ListKey { list: List::Allow, network, endpoint: None };
            let known = self.store.as_ref().and_then(|store| store.list_entry(&key).ok().flatten());
            let undone = pending
                .undo
                .iter()
                .any(|change| matches!(change, Change::PutList(it) if it.key() == key));
            if known.is_none() && !undone {
                self.kernel.carry("ending the operator's guard", |datapath| {
                    datapath.remove_ended(KernelList::Allow, network, 0)
                });
            }
        }
    }

    /// At the start: what was due while nobody ran is taken back, before the lists go into the kernel.
    pub(super) fn restore_pending(&mut self, store: &Store) -> Result<(), Fault> {
        let now = self.clock.timestamp_now();
        let due = self.guard.waiting().filter(|pending| pending.until <= now).cloned();
        let Some(pending) = due else { return Ok(()) };
        warn!("{} was not confirmed: it is taken back", pending.what);
        let record = self.own_record("rollback", pending.what.clone(), &pending.by);
        let mut changes = pending.undo.clone();
        self.guard.pending = (pending.geo && self.guard.geo_off).then(|| PendingRecord {
            ended: true,
            undo: Vec::new(),
            ..pending
        });
        changes.push(self.guard.pending.clone().map_or(Change::RemovePending, Change::PutPending));
        store.apply(&[Change::audited(record, changes)]).map_err(|error| store_fault(&error))
    }

    /// A configuration is in force that needs no confirmation, or has it.
    pub(super) fn geo_is_settled(&mut self) {
        self.guard.geo_off = false;
        if self.guard.pending.as_ref().is_some_and(|pending| pending.ended) {
            self.guard.pending = None;
            self.journal.write(vec![Change::RemovePending]);
        }
    }
}
