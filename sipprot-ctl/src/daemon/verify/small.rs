//! What the kernel was told of the configuration: policies, ports, endpoints, name servers, user agents,
//! and where the programs are attached.

use ipnetwork::IpNetwork;
use sipprot_common::abi::{Policy, PortSet};

use super::super::plan::Plan;
use crate::api::KindView;
use crate::datapath::{Datapath, EndpointDiffers, Mode, Result, SharedPort, kept};
use crate::report::address;

/// A plan's part of it.
pub struct Told {
    /// Of the policies.
    pub names: Vec<String>,
    policies: Vec<Policy>,
    port_sets: Vec<Box<PortSet>>,
    endpoints: Vec<(IpNetwork, u32)>,
    shared: Vec<SharedPort>,
    resolvers: Vec<IpNetwork>,
    user_agents: Vec<String>,
}

impl Told {
    pub fn of(plan: &Plan) -> Self {
        Self {
            names: plan.names.clone(),
            policies: plan.policies.clone(),
            port_sets: plan.port_sets.clone(),
            endpoints: plan.endpoints.clone(),
            shared: plan.shared.clone(),
            resolvers: plan.resolvers.clone(),
            user_agents: plan.user_agents.clone(),
        }
    }

    pub fn compare(&self, datapath: &Datapath, interfaces: &[String]) -> Result<Vec<KindView>> {
        Ok(vec![
            self.policies(datapath)?,
            self.ports(datapath)?,
            self.endpoints(datapath)?,
            self.resolvers(datapath)?,
            self.user_agents(datapath)?,
            attached(datapath, interfaces),
        ])
    }

    fn policies(&self, datapath: &Datapath) -> Result<KindView> {
        let mut view = view("policies", self.policies.len());
        for ((index, promised), name) in (0..).zip(&self.policies).zip(&self.names) {
            let Some(found) = datapath.policy(index)? else {
                view.missing(name, "a policy");
                continue;
            };
            // How far learning of flows has come is the kernel's own.
            let promised = Policy {
                geo_learning: found.geo_learning,
                geo_from_ns: found.geo_from_ns,
                geo_epoch: found.geo_epoch,
                ..*promised
            };
            if promised != found {
                let (promised, found) = differing_lines(&promised, &found);
                view.different(name, promised, found);
            }
        }
        Ok(view)
    }

    fn ports(&self, datapath: &Datapath) -> Result<KindView> {
        let mut view = view("port sets", self.port_sets.len());
        for (index, ports) in (0..).zip(&self.port_sets) {
            if !datapath.has_port_set(index, ports)? {
                view.different(format!("number {index}"), "as configured", "other ports");
            }
        }
        Ok(view)
    }

    fn endpoints(&self, datapath: &Datapath) -> Result<KindView> {
        let (promised, found, differing) =
            datapath.compare_endpoints(&self.endpoints, &self.shared)?;
        let mut view =
            KindView { found: Some(found as u64), ..view("endpoint addresses", promised) };
        let name = |policy: u32| {
            let name = self.names.get(policy as usize).cloned();
            name.unwrap_or_else(|| format!("policy {policy}"))
        };
        for EndpointDiffers { what, promised, found } in differing {
            match (promised.map(name), found.map(name)) {
                (Some(promised), None) => view.missing(what, promised),
                (None, Some(found)) => view.unexpected(what, found),
                (Some(promised), Some(found)) => view.different(what, promised, found),
                (None, None) => {}
            }
        }
        Ok(view)
    }

    fn resolvers(&self, datapath: &Datapath) -> Result<KindView> {
        let mut promised: Vec<_> = self.resolvers.iter().filter_map(|it| kept(*it)).collect();
        promised.sort();
        promised.dedup();
        let found = datapath.resolvers()?;
        let mut view =
            KindView { found: Some(found.len() as u64), ..view("name servers", promised.len()) };
        for network in promised.iter().filter(|it| !found.contains(it)) {
            view.missing(address(*network), "a name server");
        }
        for network in found.iter().filter(|it| !promised.contains(it)) {
            view.unexpected(address(*network), "a name server");
        }
        Ok(view)
    }

    fn user_agents(&self, datapath: &Datapath) -> Result<KindView> {
        let mut view = view("user agents", self.user_agents.len());
        if !datapath.has_user_agents(&self.user_agents)? {
            view.different("the list", "as configured", "other ones");
        }
        Ok(view)
    }
}

fn attached(datapath: &Datapath, interfaces: &[String]) -> KindView {
    let found = datapath.attachments();
    let there =
        |name: &String| found.iter().any(|it| it.interface == *name && it.mode != Mode::Gone);
    let mut view =
        KindView { found: Some(found.len() as u64), ..view("interfaces", interfaces.len()) };
    for name in interfaces.iter().filter(|name| !there(name)) {
        view.missing(name, "filtered");
    }
    view
}

fn view(kind: &str, promised: usize) -> KindView {
    KindView { promised: promised as u64, ..KindView::of(kind) }
}

/// The fields that differ, of each.
fn differing_lines(promised: &Policy, found: &Policy) -> (String, String) {
    let (promised, found) = (format!("{promised:#?}"), format!("{found:#?}"));
    let pairs = promised.lines().zip(found.lines()).filter(|(left, right)| left != right);
    let clean = |line: &str| line.trim().trim_end_matches(',').to_owned();
    let (left, right): (Vec<_>, Vec<_>) = pairs.map(|(l, r)| (clean(l), clean(r))).unzip();
    (left.join(" "), right.join(" "))
}
