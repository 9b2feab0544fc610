//! Changes by hand: lists, blocks, trust, the configuration. At once in the kernel, then in the store.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use sipprot_common::abi::maps;
use sipprot_common::source::{Address, SourceKey};
use tracing::{info, warn};

use super::answers::Outcome;
use super::carry::kernel_block;
use super::clock::after;
use super::core::Core;
use super::entries::waiting;
use super::geography::Geography;
use super::guard::{self, Guarding};
use super::memory::Persisted;
use super::own::Own;
use super::own_lists;
use super::plan::Plan;
use super::rehearsal::only_said;
use super::scope::{kernel_scope, rules_scope};
use super::settings;
use crate::api::{BLOCK_SECONDS_MAX, Code, Consent, Done, Fault, LiveKind, NewBlock, TEXT_MAX};
use crate::config::{Config, Difference, Loaded, Scope, format_duration, unmapped};
use crate::datapath::{BlockTarget, DatapathError};
use crate::message::clean;
use crate::report::address;
use crate::store::{
    BlockKey, BlockKind, BlockRecord, Change, Lifted, List, ListEntry, Origin, Pair, PendingRecord,
    Store,
};

/// METHOD of blocks by hand.
pub const BY_HAND: &str = "MANUAL:operator";

pub(super) fn now_or_fault(result: Result<Outcome, Fault>) -> Outcome {
    result.unwrap_or_else(|fault| Outcome::Now(Err(fault)))
}

impl Core {
    pub(super) fn block_by_hand(&mut self, new: NewBlock, consent: Consent) -> Outcome {
        now_or_fault(self.try_block(new, consent))
    }

    fn try_block(&mut self, new: NewBlock, consent: Consent) -> Result<Outcome, Fault> {
        let source = SourceKey::from(new.address);
        let network = Self::network_of(source);
        self.spares_own(network)?;
        let duration = match new.duration_s {
            Some(0) => return Err(Fault::invalid("duration_s", "must be more than 0")),
            Some(seconds) if seconds > BLOCK_SECONDS_MAX => {
                let message = "longer than a year: put it on the denylist instead";
                return Err(Fault::invalid("duration_s", message));
            }
            Some(seconds) => Duration::from_secs(seconds),
            None => self.config.rules.block_time,
        };
        let (reason, by) = (text("reason", &new.reason)?, text("by", &new.by)?);
        let pending = self.consider_block(network, new.scope, &by, consent)?;
        let length = format_duration(duration);
        let said = self.would(|| {
            let waits = waiting(&pending);
            format!("{} would be blocked for {length}{waits}", address(network))
        });
        if let Some(said) = said {
            return Ok(only_said(said));
        }
        let waits = pending.map(|pending| self.begin_pending(pending)).transpose()?;
        let block = kernel_block(duration, kernel_scope(rules_scope(new.scope)));
        let target = BlockTarget::host(source);
        self.kernel
            .put(maps::BLOCKS, |datapath| datapath.put_block(target, &block))
            .map_err(|error| self.fault("blocking", &error))?;
        let now = self.clock.timestamp_now();
        let why = if reason.is_empty() { format!("by {by}") } else { format!("{reason}, by {by}") };
        let record =
            by_hand(network, now, duration, new.scope, why, self.country_code(new.address));
        info!(source = %address(network), "blocked {} for {}: {}", address(network), format_duration(duration), record.reason);
        self.metrics.judgement.blocks.with_label_values(&["manual"]).inc();
        self.tell_block(LiveKind::Block, &record);
        self.ledger.put_block(record.clone());
        let message = format!("{} is blocked for {length}{}", address(network), self.deadline());
        let changes = std::iter::once(Change::PutBlock(record)).chain(waits).collect();
        let stored = self.journal.write_for_good(changes);
        Ok(Outcome::Stored(stored, Done::new(message)))
    }

    /// Refuses a block of an operator, or says what is to wait for their confirmation.
    fn consider_block(
        &mut self,
        network: IpNetwork,
        scope: Scope,
        by: &str,
        consent: Consent,
    ) -> Result<Option<PendingRecord>, Fault> {
        if !guard::cuts_ssh(scope) {
            return Ok(None);
        }
        let cut = self.cut_by_block(network, consent)?;
        let key = BlockKey { source: network, port: None, endpoint: None };
        let lifted = Lifted { at: self.clock.timestamp_now(), by: by.to_owned() };
        let undo = vec![Change::LiftBlock { key, lifted }];
        let what = format!("the block of {}", address(network));
        self.consider(cut, what, by, undo, consent)
    }

    /// Lifts all that stands against a source, but for wider denylist entries, which it names.
    pub(super) fn unblock(&mut self, asked: IpAddr, by: &str) -> Outcome {
        now_or_fault(self.try_unblock(asked, by))
    }

    fn try_unblock(&mut self, asked: IpAddr, by: &str) -> Result<Outcome, Fault> {
        let source = SourceKey::from(asked);
        let network = Self::network_of(source);
        let by = text("by", by)?;
        if self.rehearses {
            return self.would_unblock(asked, network).map(only_said);
        }
        let now = self.clock.timestamp_now();
        let lifted = Lifted { at: now, by: by.clone() };
        let policies = self.blocking_policies();
        let in_kernel = self
            .kernel
            .with(|datapath| {
                let mut any = false;
                for policy in &policies {
                    any |= datapath.remove_block(BlockTarget { source, policy: *policy })?;
                }
                any |= datapath.uncontain(source)?;
                any |= datapath.release_networks(source)?;
                for port in datapath.quarantined()?.iter().filter(|it| it.source == source) {
                    any |= datapath.release_port(source, port.port)?;
                }
                // A known source is no finding: only what was held against it would be.
                datapath.clear_source(source)?;
                Ok(any)
            })
            .map_err(|error| self.fault("unblocking", &error))?;
        let held: Vec<BlockRecord> = self.ledger.blocks_of(network).cloned().collect();
        for record in held {
            let lifted = Some(lifted.clone());
            self.tell_block(LiveKind::Ended, &BlockRecord { lifted, ..record });
        }
        let keys = self.end_blocks(source);
        let mut changes: Vec<Change> = keys
            .iter()
            .map(|key| Change::LiftBlock { key: key.clone(), lifted: lifted.clone() })
            .collect();
        let (denied, wider) = self.lift_denials(asked, network)?;
        changes.extend(denied.iter().filter_map(|entry| escalation_lifted(entry, &lifted)));
        changes.extend(denied.iter().map(|entry| Change::RemoveList(entry.key())));
        self.engine.unblock(source, self.clock.time_now());
        changes.push(Change::PutStanding(self.standing(source)));
        let grace = match self.engine.settings().unblock_grace {
            Duration::ZERO => String::new(),
            grace => format!(", and left alone for {}", format_duration(grace)),
        };
        let any = in_kernel || !keys.is_empty() || !denied.is_empty();
        let mut message = match any {
            true => format!("{asked} is unblocked{grace}"),
            false => format!("nothing stood against {asked}{grace}"),
        };
        for network in wider {
            message += &format!("; it is still denied by {}", address(network));
        }
        info!("{message} (by {by})");
        let stored = self.journal.write_for_good(changes);
        Ok(Outcome::Stored(stored, Done::new(message)))
    }

    fn would_unblock(&mut self, asked: IpAddr, network: IpNetwork) -> Result<Done, Fault> {
        let check = self.check(asked)?;
        let held = self.ledger.blocks_of(network).count();
        let denied = check.entries.iter().filter(|entry| entry.list == List::Deny).count();
        let message = match held > 0 || check.denied || check.held || check.contained {
            true => format!(
                "{asked} would be unblocked: blocks and containments {held}, denials {denied}"
            ),
            false => format!("nothing stands against {asked}"),
        };
        Ok(Done::said(message))
    }

    /// Takes the source itself off the denylist; wider networks are returned, not lifted.
    fn lift_denials(
        &mut self,
        asked: IpAddr,
        network: IpNetwork,
    ) -> Result<(Vec<ListEntry>, Vec<IpNetwork>), Fault> {
        let covering = self.covering(List::Deny, Address::from(asked).to_ip())?;
        let (own, wider): (Vec<_>, Vec<_>) = covering.into_iter().partition(|entry| {
            let is_others = matches!(entry.origin, Origin::Feed | Origin::Fleet);
            let is_ours = !is_others && !self.is_configured(entry);
            is_ours && entry.network.prefix() >= network.prefix()
        });
        for entry in &own {
            self.take_out(&entry.key())?;
        }
        Ok((own, wider.into_iter().map(|entry| entry.network).collect()))
    }

    pub(super) fn revoke_trust(&mut self, asked: IpAddr, by: &str) -> Outcome {
        let source = SourceKey::from(asked);
        let by = match text("by", by) {
            Ok(by) => by,
            Err(fault) => return Outcome::Now(Err(fault)),
        };
        let now = self.clock.time_now();
        if self.rehearses && self.engine.explain(source, now).trust.is_some() {
            let message = format!("{asked} would lose its trust, and gain none for a day");
            return only_said(Done::said(message));
        }
        let before = Persisted::trust_of(source, &self.engine.state());
        let revoked = if self.rehearses { None } else { self.engine.revoke_trust(source, now) };
        let Some(decision) = revoked else {
            let message = format!("{asked} has no learned trust");
            return Outcome::Now(Err(Fault::not_found(message)));
        };
        info!("trust of {asked} revoked by {by}");
        let gone = |it| Pair::Trust { before: Some(it), after: None };
        self.journal.tell(|act| act.pairs.extend(before.into_iter().map(gone)));
        self.carry_out(decision);
        self.write_memory();
        let message = format!("{asked} is no longer trusted, and gains no trust for a day");
        let stored = self.journal.write_for_good(Vec::new());
        Outcome::Stored(stored, Done::new(message))
    }

    /// Reads the configuration again. If anything is wrong with it, nothing changes.
    pub(super) fn reload(&mut self, consent: Consent) -> Result<Done, Fault> {
        let result = self.try_reload(consent);
        self.metrics.health.reload_successful.set(result.is_ok().into());
        match &result {
            Ok(_) => {
                self.reload_complaint = None;
                let now = Timestamp::now().as_millisecond() as f64 / 1000.0;
                self.metrics.health.reload_time.set(now);
                self.tell(LiveKind::Reload, "the configuration was read again");
            }
            Err(fault) => {
                self.tell(LiveKind::Reload, format!("the configuration stays as it was: {fault}"));
                self.reload_complaint = Some(format!("the last reload failed: {fault}"));
            }
        }
        result
    }

    pub(super) fn try_reload(&mut self, consent: Consent) -> Result<Done, Fault> {
        let loaded = Config::load(self.config_path.as_deref())
            .map_err(|error| Fault::invalid("config", error.to_string()))?;
        let by = self.journal.who().unwrap_or_else(|| "reload".to_owned());
        let settings = Vec::new();
        self.put_in_force(loaded, Guarding::Asked { consent, by, settings })
    }

    /// All of a configuration, or nothing of it.
    pub(super) fn put_in_force(
        &mut self,
        loaded: Loaded,
        guarding: Guarding,
    ) -> Result<Done, Fault> {
        // Reading a database takes long: only when it may have changed.
        let other = loaded.config.geo.databases != self.config.geo.databases;
        let geography = match other || self.geography.has_changed() {
            true => Arc::new(Geography::open(&loaded.config)),
            false => self.geography.clone(),
        };
        let plan = Plan::new(&loaded.config, self.observe, geography.is_available())
            .map_err(|error| Fault::invalid("config", error.to_string()))?;
        let plan = Self::planned(plan, &self.lessons);
        // There may be none from the start, where the daemon waits for them.
        let names_none = self.named_interfaces.is_empty() && loaded.config.interfaces.is_empty();
        if names_none && !self.wanted_interfaces().is_empty() {
            return Err(Fault::invalid("interfaces", "no interface to protect"));
        }
        let pending = match guarding {
            Guarding::Asked { consent, by, settings } => self
                .consider_geo(&plan, &geography, consent)?
                .map(|pending| PendingRecord { by, settings, ..pending }),
            Guarding::GoingBack => None,
        };
        if let Some(said) = self.would(|| told_difference(&self.config, &loaded.config)) {
            return Ok(said);
        }
        let fixed = loaded.config.daemon != self.config.daemon;
        if fixed {
            warn!("changes of daemon.* take effect with the next start");
        }
        let is_settled = pending.is_none();
        if let Some(pending) = pending {
            let change = self.begin_pending(pending)?;
            self.guard.former = Some(self.loaded());
            self.journal.write(vec![change]);
        }
        let renumbered =
            plan.names != self.plan.names || plan.keeps_blocks != self.plan.keeps_blocks;
        // Also whom an outside list may not touch.
        let lists_changed =
            !loaded.config.blocklists.is_empty() || !self.config.blocklists.is_empty();
        let relisted =
            renumbered || lists_changed || !own_lists::are_same(&loaded.config, &self.config);
        let before = std::mem::replace(&mut self.config, loaded.config);
        let plan_before = std::mem::replace(&mut self.plan, plan);
        let geography_before = std::mem::replace(&mut self.geography, geography);
        if let Err(error) = self.tell_kernel() {
            self.config = before;
            self.plan = plan_before;
            self.geography = geography_before;
            let fault = self.fault("applying the configuration", &error);
            if let Err(error) = self.tell_kernel() {
                self.kernel.failed("going back to the old configuration", &error);
            }
            return Err(fault);
        }
        if is_settled {
            self.geo_is_settled();
        }
        (self.files, self.origins) = (loaded.files, loaded.origins);
        self.own = Own::look();
        self.engine.apply(self.rule_settings());
        if lists_changed {
            self.open_blocklists();
        }
        let relisted = self.open_fleet() || relisted;
        if relisted && let Err(error) = self.load_lists() {
            self.complain(format!("the lists could not be put again: {error:#}"));
        }
        if renumbered {
            self.engine.forget_endpoints();
            self.renumber(&plan_before);
        }
        self.peers_seen.clear();
        self.forget_trust();
        self.restore_trust();
        self.follow_interfaces();
        self.follow_logs();
        self.follow_front();
        info!("configuration reloaded");
        Ok(Done::new(format!("the configuration is in force{}", self.deadline())))
    }

    /// What is in force.
    pub(super) fn loaded(&self) -> Loaded {
        let (config, files) = (self.config.clone(), self.files.clone());
        Loaded { config, files, origins: self.origins.clone() }
    }

    /// Endpoints have other numbers now: blocks that are kept by them are put again.
    fn renumber(&mut self, before: &Plan) {
        let own = (1..).zip(&before.names[1..]).zip(&before.keeps_blocks[1..]);
        let policies: Vec<u32> =
            own.filter(|(_, own)| **own).map(|((index, _), _)| index).collect();
        let records: Vec<BlockRecord> =
            self.ledger.blocks().filter(|record| record.endpoint_only).cloned().collect();
        for record in &records {
            let source = SourceKey::from(record.source.ip());
            for policy in &policies {
                let target = BlockTarget { source, policy: *policy };
                self.kernel.carry("moving a block", |datapath| datapath.remove_block(target));
            }
        }
        records.into_iter().for_each(|record| self.put_back(record));
    }

    fn follow_interfaces(&mut self) {
        let wanted = self.wanted_interfaces().to_vec();
        self.detach_others(&wanted);
        let attached = self.attachments();
        for interface in wanted.iter().filter(|it| !attached.iter().any(|a| &a.interface == *it)) {
            let done =
                self.kernel.carry("attaching", |datapath| datapath.attach(interface).map(Some));
            if done.is_none() {
                self.kernel.carry("waiting for an interface", |datapath| {
                    datapath.expect(interface);
                    Ok(())
                });
            }
        }
    }

    pub(super) fn needs_store(&self) -> Result<Arc<Store>, Fault> {
        self.store.clone().ok_or_else(super::journal::not_stored)
    }

    pub(super) fn fault(&mut self, what: &str, error: &DatapathError) -> Fault {
        self.kernel.failed(what, error);
        match error {
            DatapathError::MapFull { .. } => Fault::new(Code::Full, "the kernel has no room left"),
            DatapathError::Invalid(what) => Fault::new(Code::Invalid, what.clone()),
            _ => Fault::internal(),
        }
    }

    /// The host must not cut itself off.
    pub(super) fn spares_own(&self, network: IpNetwork) -> Result<(), Fault> {
        match self.own.within(network) {
            Some(what) => Err(Fault::refused(format!("{} holds {what}", address(network)))),
            None => Ok(()),
        }
    }
}

/// What had led to the denylist is lifted in the history, too.
pub(super) fn escalation_lifted(entry: &ListEntry, lifted: &Lifted) -> Option<Change> {
    (entry.origin == Origin::Escalation).then(|| Change::NoteLift {
        key: BlockKey { source: entry.network, port: None, endpoint: entry.endpoint.clone() },
        started_at: entry.added_at,
        lifted: lifted.clone(),
    })
}

fn by_hand(
    source: IpNetwork,
    now: Timestamp,
    duration: Duration,
    scope: Scope,
    reason: String,
    country: Option<String>,
) -> BlockRecord {
    BlockRecord {
        source,
        kind: BlockKind::Dynamic,
        port: None,
        endpoint_only: false,
        endpoint: None,
        victim: None,
        started_at: now,
        expires_at: after(now, duration),
        duration_s: duration.as_secs(),
        scope,
        also: Vec::new(),
        rule: BY_HAND.to_owned(),
        reason,
        user_agent: None,
        account: None,
        country,
        proven: false,
        evidence_first: now,
        evidence_last: now,
        evidence: None,
        renewals: 0,
        reaction_us: None,
        escalated: false,
        lifted: None,
        refused: false,
    }
}

fn told_difference(before: &Config, after: &Config) -> String {
    let changes = settings::shown(before.differences(after));
    if changes.is_empty() {
        return "nothing would change".to_owned();
    }
    let mut text = "this would change:".to_owned();
    for Difference { key, before, after } in changes {
        let lines = [('-', before), ('+', after)];
        let lines = lines.into_iter().filter_map(|(sign, value)| Some((sign, value?)));
        lines.for_each(|(sign, value)| text += &format!("\n{sign} {key} = {value}"));
    }
    text
}

/// Without host bits, and IPv4 as IPv4.
pub fn plain(network: IpNetwork) -> IpNetwork {
    let network = unmapped(network);
    IpNetwork::new(network.network(), network.prefix()).unwrap_or(network)
}

pub(super) fn is_one_source(network: IpNetwork) -> bool {
    match network {
        IpNetwork::V4(v4) => v4.prefix() == 32,
        IpNetwork::V6(v6) => v6.prefix() >= 64,
    }
}

pub(super) fn text(field: &str, given: &str) -> Result<String, Fault> {
    if given.len() > TEXT_MAX {
        return Err(Fault::invalid(field, format!("longer than {TEXT_MAX} bytes")));
    }
    Ok(clean(given.as_bytes(), TEXT_MAX))
}

pub(super) const fn name(list: List) -> &'static str {
    match list {
        List::Allow => "allowlist",
        List::Deny => "denylist",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reload_would_change_is_told_by_its_key() {
        let check = |before: &str, after: &str, expected: &str| {
            let read = |text: &str| {
                let hosts = "interfaces = [\"eth0\"]\n";
                Config::parse("it".as_ref(), &format!("{hosts}{text}")).unwrap()
            };
            assert_eq!(told_difference(&read(before), &read(after)), expected, "{after}");
        };
        let limit = |limit: u32| format!("rules.register_limit = {limit}\n");
        check(&limit(9), &limit(9), "nothing would change");
        let told = "this would change:\n- rules.register_limit = 9\n+ rules.register_limit = 8";
        check(&limit(9), &limit(8), told);
        // Lines that stand elsewhere too, and what nobody is shown.
        let endpoints = |mode: &str, token: &str| {
            let one = |number: u8, mode: &str| {
                format!(
                    "[[endpoint]]\nname = \"e{number}\"\naddresses = [\"192.0.2.{number}\"]\nmode = \"{mode}\"\n"
                )
            };
            let token = format!("log_token = \"sha256:{}\"\n", token.repeat(64));
            one(1, mode) + &token + &one(2, "enforce") + &one(3, "observe")
        };
        let told = "this would change:\n\
                    - endpoint[e1].mode = \"observe\"\n+ endpoint[e1].mode = \"enforce\"\n\
                    - endpoint[e1].log_token = \"(not shown)\"\n\
                    + endpoint[e1].log_token = \"(not shown)\"";
        check(&endpoints("observe", "0"), &endpoints("enforce", "f"), told);
    }
}
