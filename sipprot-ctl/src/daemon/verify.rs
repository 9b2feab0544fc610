//! Does the kernel hold what store and configuration promise?
//!
//! Another thread compares: what is promised as it was at one moment with the kernel as it is then. What
//! differs is looked at once more here, where nothing else changes meanwhile, and put right if that is
//! wanted. If the lists changed, their comparison is worth nothing: whoever asked compares again.

mod compare;
mod countries;
mod small;

use std::sync::{Arc, Mutex, PoisonError};

use jiff::SignedDuration;
use jiff::Timestamp;
use sipprot_common::block;
use sipprot_common::source::SourceKey;
use tracing::{error, info, warn};

use super::answers::{Reply, store_fault};
use super::core::Core;
use crate::api::{Answer, Code, Compared, Fault, KindView, Verification};
use crate::datapath::{BlockTarget, Differs, ListItem, monotonic_ns};
use crate::report::{address, utc};
use crate::store::{BlockKey, BlockKind, BlockRecord, List};
use compare::{Findings, Look, Promise};
pub(super) use countries::Countries;

/// A block that ends this soon is nobody's difference.
const ENDS_SOON: SignedDuration = SignedDuration::from_secs(3);
/// By how much an end in the kernel may be before the one in the books.
const EARLIER: SignedDuration = SignedDuration::from_secs(2);

impl Core {
    pub(super) fn compare(&mut self, reply: Reply) {
        // Countries are on their way into the kernel: what is there is nobody's promise.
        if self.opening.is_some() {
            return self.compares.push(reply);
        }
        let look = self.look_at_promises().map(|look| {
            move || match look.compare() {
                Ok(findings) => {
                    let ready = Arc::new(Mutex::new(Some(findings)));
                    Ok(Answer::Compared(Compared { ready }))
                }
                Err(compare::Failure::Store(error)) => Err(store_fault(&error)),
                Err(compare::Failure::Kernel(error)) => {
                    error!("comparing with the kernel: {error}");
                    Err(Fault::internal())
                }
            }
        });
        self.answer_after_writes(look, reply);
    }

    fn look_at_promises(&self) -> Result<Look, Fault> {
        let datapath = self.kernel.datapath();
        let datapath = datapath.ok_or_else(|| Fault::unavailable("there is no kernel part"))?;
        let now = self.clock.timestamp_now();
        let lasts = |it: &&BlockRecord| !it.refused && it.expires_at > now + ENDS_SOON;
        let learned = self.engine.state().trust.into_iter().map(|peer| peer.source);
        let trusted = learned.chain(self.configured_peers());
        Ok(Look {
            datapath,
            store: self.needs_store()?,
            version: self.lists_version,
            now,
            clock: self.clock,
            extra: self.extra_items(),
            fresh: self.fresh_denials.clone(),
            edits: self.fresh_edits.iter().map(|(_, entry)| entry.clone()).collect(),
            blocks: self.ledger.blocks().filter(lasts).map(|it| self.promise(it)).collect(),
            trusted: trusted.map(|source| (source, self.kernel_rate(source))).collect(),
            interfaces: self.wanted_interfaces().to_vec(),
            plan: small::Told::of(&self.plan),
            countries: self.countries_told(),
        })
    }

    fn promise(&self, record: &BlockRecord) -> Promise {
        let key = record.key();
        Promise {
            source: SourceKey::from(record.source.ip()),
            kind: record.kind,
            policy: self.plan.policy(key.endpoint.as_deref()),
            expires_ns: self.clock.to_kernel_from(record.expires_at),
            key,
        }
    }

    pub(super) fn settle(&mut self, compared: &Compared, repair: bool) -> Result<Answer, Fault> {
        let ready = compared.ready.downcast_ref::<Mutex<Option<Findings>>>();
        let ready = ready.and_then(|it| it.lock().unwrap_or_else(PoisonError::into_inner).take());
        let findings = ready.ok_or_else(Fault::internal)?;
        let lists_differ = !findings.lists.iter().all(|(_, differ)| differ.agrees());
        if lists_differ && findings.version != self.lists_version {
            return Err(Fault::new(Code::Conflict, "the lists changed meanwhile: try again"));
        }
        let now = &self.countries_told().geography;
        let others = findings.geography.as_ref().is_some_and(|it| !Arc::ptr_eq(it, now));
        if !findings.countries.agrees() && (others || self.opening.is_some()) {
            return Err(Fault::new(Code::Conflict, "the countries changed meanwhile: try again"));
        }
        let mut kinds = Vec::new();
        for (list, differ) in [List::Allow, List::Deny].into_iter().zip(&findings.lists) {
            kinds.push(self.list_view(list, differ));
        }
        let blocks = self.differing_blocks(&findings);
        kinds.extend(self.block_views(&findings, &blocks));
        let trust = self.trust_view(&findings);
        let is_trusted_right = trust.agrees();
        kinds.push(trust);
        let is_told_right = findings.small.iter().all(KindView::agrees);
        kinds.extend(findings.small);
        let is_in_country = findings.countries.agrees();
        kinds.push(findings.countries);
        let agrees = kinds.iter().all(KindView::agrees);
        if !agrees {
            let what: Vec<&str> =
                kinds.iter().filter(|it| !it.agrees()).map(|it| it.kind.as_str()).collect();
            warn!("the kernel differs from what is promised: {}", what.join(", "));
        }
        if repair && !agrees {
            if lists_differ {
                let [allow, deny] = &findings.items;
                self.kernel
                    .with(|datapath| datapath.replace_lists(allow, deny))
                    .map_err(|error| self.fault("repairing the lists", &error))?;
            }
            self.repair_blocks(blocks);
            if !is_trusted_right {
                self.forget_trust();
                self.restore_trust();
            }
            if !is_told_right {
                self.tell_kernel().map_err(|error| self.fault("repairing policies", &error))?;
                self.reconcile();
            }
            if !is_in_country {
                self.told_countries = None;
                self.load_countries();
            }
            info!("the kernel is repaired");
        }
        Ok(Answer::Verified(Verification { agrees, repaired: false, kinds }))
    }

    fn list_view(&self, list: List, (promised, differ): &compare::ListFindings) -> KindView {
        let mut view = KindView {
            promised: *promised,
            found: Some(differ.found),
            ..KindView::of(super::change::name(list))
        };
        let named = |item: &ListItem| format!("{}{}", address(item.network), self.of_policy(item));
        for differs in &differ.first {
            match differs {
                Differs::Missing(item) => view.missing(named(item), self.words(item)),
                Differs::Unexpected(Some(item)) => view.unexpected(named(item), self.words(item)),
                Differs::Unexpected(None) => view.unexpected("an IPv6 network", "in the table"),
                Differs::Other(promised, found) => {
                    view.different(named(promised), self.words(promised), self.words(found));
                }
            }
        }
        (view.missing, view.unexpected, view.different) =
            (differ.missing, differ.unexpected, differ.different);
        view
    }

    fn of_policy(&self, item: &ListItem) -> String {
        match item.policy {
            0 => String::new(),
            policy => format!(" ({})", self.plan.name(policy)),
        }
    }

    /// `scope sip, until 2026-11-22T17:21:03Z`.
    fn words(&self, item: &ListItem) -> String {
        let scope = crate::daemon::plan::scope::scope_words(item.scope);
        match item.expires_ns {
            0 => format!("scope {scope}, without an end"),
            ns => format!("scope {scope}, until {}", utc(self.clock.kernel_timestamp(ns))),
        }
    }

    /// What still differs now.
    fn differing_blocks(&self, findings: &Findings) -> Blocks {
        let now = self.clock.timestamp_now();
        let mut blocks = Blocks::default();
        for key in &findings.doubtful {
            let Some(record) = self.ledger.block(key) else { continue };
            if record.refused || record.expires_at <= now + ENDS_SOON {
                continue;
            }
            let source = SourceKey::from(record.source.ip());
            let end = self
                .kernel_end(record)
                .filter(|_| record.kind != BlockKind::Dynamic || !self.is_stranger(source));
            if end.is_none_or(|end| end + EARLIER < record.expires_at) {
                blocks.promised.push((record.clone(), end));
            }
        }
        let now_ns = monotonic_ns();
        for target in &findings.unknown_blocks {
            let found = self.kernel.with(|datapath| datapath.block(*target)).ok().flatten();
            let Some(found) = found.filter(|it| block::in_force(it.expires_ns, now_ns)) else {
                continue;
            };
            if self.ledger.block(&self.block_key(*target)).is_none() {
                blocks.unknown.push((*target, self.clock.kernel_timestamp(found.expires_ns)));
            }
        }
        let ports = findings.unknown_ports.iter().filter(|it| {
            let key = BlockKey { source: Self::network_of(it.0), port: Some(it.1), endpoint: None };
            self.ledger.block(&key).is_none()
        });
        blocks.ports = ports.copied().collect();
        blocks
    }

    fn block_views(&self, findings: &Findings, blocks: &Blocks) -> [KindView; 3] {
        let kinds = [
            (BlockKind::Dynamic, "blocks", findings.found_blocks),
            (BlockKind::Containment, "containments", findings.found_contained),
            (BlockKind::Quarantine, "quarantines", findings.found_ports),
        ];
        let mut views = kinds.map(|(kind, name, found)| KindView {
            promised: findings.promised(kind),
            found: Some(found),
            ..KindView::of(name)
        });
        for (record, found) in &blocks.promised {
            let view = &mut views[record.kind as usize];
            let (what, promised) = (block_words(record), until(record.expires_at));
            match found {
                None => view.missing(what, promised),
                Some(end) => view.different(what, promised, until(*end)),
            }
        }
        for (target, end) in &blocks.unknown {
            views[0].unexpected(address(Self::network_of(target.source)), until(*end));
        }
        for (source, port) in &blocks.ports {
            let what = format!("{} port {port}", address(Self::network_of(*source)));
            views[2].unexpected(what, "quarantined");
        }
        views
    }

    fn is_stranger(&self, source: SourceKey) -> bool {
        self.kernel.with(|datapath| Ok(datapath.is_stranger(source))).unwrap_or_default()
    }

    fn repair_blocks(&mut self, blocks: Blocks) {
        for (record, _) in blocks.promised {
            self.put_back(record);
        }
        for (target, _) in blocks.unknown {
            self.kernel.carry("removing a block", |datapath| datapath.remove_block(target));
        }
        for (source, port) in blocks.ports {
            self.kernel.carry("releasing a port", |datapath| datapath.release_port(source, port));
        }
    }

    fn trust_view(&self, findings: &Findings) -> KindView {
        let mut view = KindView {
            promised: findings.promised_trust,
            found: Some(findings.found_trust),
            ..KindView::of("trust")
        };
        for source in &findings.doubtful_trust {
            let what = address(Self::network_of(*source));
            let found = self.kernel.with(|datapath| datapath.trust_of(*source)).ok().flatten();
            let found = found.filter(|_| !self.is_stranger(*source));
            let rate = self.kernel_rate(*source);
            match (self.engine.is_trusted(source.network().0), found) {
                (true, None) => view.missing(what, rate_words(rate)),
                (true, Some(found)) if found.rate != rate => {
                    view.different(what, rate_words(rate), rate_words(found.rate));
                }
                (false, Some(found)) => view.unexpected(what, rate_words(found.rate)),
                _ => {}
            }
        }
        view
    }
}

/// Blocks that differ.
#[derive(Default)]
struct Blocks {
    /// With their end in the kernel, if they are there.
    promised: Vec<(BlockRecord, Option<Timestamp>)>,
    unknown: Vec<(BlockTarget, Timestamp)>,
    ports: Vec<(SourceKey, u16)>,
}

fn block_words(record: &BlockRecord) -> String {
    let port = record.port.map(|port| format!(" port {port}")).unwrap_or_default();
    let owner = record.endpoint.as_ref().filter(|_| record.endpoint_only);
    let owner = owner.map(|name| format!(" ({name})")).unwrap_or_default();
    format!("{}{port}{owner}", address(record.source))
}

fn until(at: Timestamp) -> String {
    format!("until {}", utc(at))
}

fn rate_words(rate: u32) -> String {
    match rate {
        0 => "trusted".to_owned(),
        rate => format!("trusted, {rate} packets/s"),
    }
}
