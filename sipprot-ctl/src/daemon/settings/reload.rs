//! The configuration read again, and put in force as a whole or not at all.

use jiff::Timestamp;
use sipprot_common::source::SourceKey;
use tracing::{info, warn};

use crate::api::{Consent, Done, Fault, LiveKind};
use crate::config::{Config, Difference, Loaded};
use crate::daemon::core::Core;
use crate::daemon::guard::Guarding;
use crate::daemon::guard::own::Own;
use crate::daemon::lists::configured;
use crate::daemon::plan::Plan;
use crate::daemon::settings;
use crate::datapath::BlockTarget;
use crate::store::{BlockRecord, PendingRecord};

impl Core {
    /// Reads the configuration again. If anything is wrong with it, nothing changes.
    pub(in crate::daemon) fn reload(&mut self, consent: Consent) -> Result<Done, Fault> {
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

    pub(in crate::daemon) fn try_reload(&mut self, consent: Consent) -> Result<Done, Fault> {
        let loaded = Config::load(self.config_path.as_deref())
            .map_err(|error| Fault::invalid("config", error.to_string()))?;
        let by = self.journal.who().unwrap_or_else(|| "reload".to_owned());
        let settings = Vec::new();
        self.put_in_force(loaded, Guarding::Asked { consent, by, settings })
    }

    /// All of a configuration, or nothing of it.
    pub(in crate::daemon) fn put_in_force(
        &mut self,
        loaded: Loaded,
        guarding: Guarding,
    ) -> Result<Done, Fault> {
        let geography = self.geography_of(&loaded.config);
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
            renumbered || lists_changed || !configured::are_same(&loaded.config, &self.config);
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
        self.follow_notices();
        info!("configuration reloaded");
        Ok(Done::new(format!("the configuration is in force{}", self.deadline())))
    }

    /// What is in force.
    pub(in crate::daemon) fn loaded(&self) -> Loaded {
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
