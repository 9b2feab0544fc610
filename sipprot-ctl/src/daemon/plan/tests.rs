//! From a configuration to what the maps must hold.

use std::path::Path;
use std::time::Duration;

use sipprot_common::abi::Rate;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn plan(text: &str, observe: bool) -> Plan {
    let config = Config::parse(Path::new("test.toml"), text).unwrap();
    Plan::new(&config, observe, true).unwrap()
}

const TWO_ENDPOINTS: &str = r#"
observe.protections = ["geo"]
geo.mode = "deny"
geo.countries = ["FR"]
sip.ports = ["5060", "5062"]
[[endpoint]]
name = "pbx1"
addresses = ["192.0.2.11", "2001:db8:c::11"]
register_limit = 3
[[endpoint]]
name = "pbx2"
addresses = ["192.0.2.12"]
mode = "observe"
sip_ports = [5080]
geo.mode = "off"
block_scope = "endpoint"
"#;

#[test]
fn defaults_enforce_on_the_host() {
    let plan = plan("", false);
    assert_eq!(plan.policies.len(), 1);
    let host = plan.policies[0];
    assert_eq!((host.mode, host.protocols, host.geo_mode), (MODE_ENFORCE, 3, GEO_OFF));
    assert_eq!((host.attempt_limit, host.source_interval_ns), (10, 10_000_000));
    assert_eq!(host.containment_ns, 60_000_000_000);
    assert_eq!(plan.port_sets[0].get(5060), PORT_SIP);
    assert_eq!(plan.port_sets[0].get(5061), PORT_SIP_OPAQUE);
    assert!(!plan.tracks_flows());
}

#[test]
fn endpoints_differ_where_they_say_so() {
    let plan = plan(TWO_ENDPOINTS, false);
    let [host, one, two] = plan.policies.as_slice() else { panic!() };
    assert_eq!((host.mode, one.mode, two.mode), (MODE_ENFORCE, MODE_ENFORCE, MODE_OBSERVE));
    assert_eq!((host.attempt_limit, one.attempt_limit, two.attempt_limit), (10, 3, 10));
    assert_eq!((host.port_set, one.port_set, two.port_set), (0, 0, 1));
    assert_eq!((one.geo_mode, two.geo_mode), (GEO_DENY, GEO_OFF));
    assert_eq!(host.observe, policy::Protection::Geo.bit());
    assert_eq!((plan.port_sets[1].get(5080), plan.port_sets[1].get(5060)), (PORT_SIP, 0));
    let france = Country::from_code("FR").unwrap();
    assert!(policy::geo_drops(one, u32::from(france.index())));
    assert_eq!(plan.countries, [france]);
    assert!(plan.tracks_flows());
    assert_eq!(plan.endpoints.len(), 3);
    assert_eq!((plan.policy(Some("pbx2")), plan.policy(None)), (Some(2), Some(0)));
    assert_eq!(plan.policy(Some("pbx3")), None);
}

#[test]
fn an_endpoint_has_its_own_scope_and_ceilings() {
    let text = "geo.mode = \"allow\"\ngeo.countries = [\"Asia\"]\n\
                ceilings.source_rate = 100\nceilings.endpoint_rate = 7\n\
                [[endpoint]]\nname = \"a\"\naddresses = [\"192.0.2.1\"]\n\
                geo.scope = \"sip\"\nceilings.source_rate = 50\n";
    let plan = plan(text, false);
    let [host, own] = plan.policies.as_slice() else { panic!() };
    assert_eq!((host.geo_scope, own.geo_scope), (SCOPE_ALL, SCOPE_SIP));
    assert_eq!((host.source_interval_ns, own.source_interval_ns), (10_000_000, 20_000_000));
    assert_eq!(host.endpoint_interval_ns, own.endpoint_interval_ns);
    let [japan, france] =
        ["JP", "FR"].map(|code| u32::from(Country::from_code(code).unwrap().index()));
    assert!(!policy::geo_drops(own, japan) && policy::geo_drops(own, france));
    assert!(plan.countries.len() > 249, "whoever is dropped is counted by country");
}

#[test]
fn services_are_guarded_by_default() {
    let plan = plan("sip.tls_ports = [443]", false);
    let (host, ports) = (plan.policies[0], &plan.port_sets[0]);
    assert_eq!((host.off, host.observe), (0, 0));
    assert_eq!((host.dns_udp_max, host.dns_tcp_max), (2048, 2048));
    let rate = |service: Service| {
        let Rate { interval_ns, burst_ns } = host.guards[service as usize];
        (60_000_000_000 / interval_ns, burst_ns / interval_ns + 1)
    };
    assert_eq!(Service::ALL.map(rate), [(10, 20), (300, 600), (10, 100)]);
    let found = [22, 80, 443, 69, 2222].map(|port| ports.service(port));
    let (ssh, http, tftp) = (Some(Service::Ssh), Some(Service::Http), Some(Service::Tftp));
    assert_eq!(found, [ssh, http, http, tftp, None]);
    assert_eq!(ports.get(443), PORT_SIP_OPAQUE);
}

#[test]
fn an_sshd_is_guarded_where_it_listens_unless_its_ports_are_named() {
    let found = plan("", false).guarding(vec![80, 2222]);
    let services = [22, 80, 2222].map(|port| found.port_sets[0].service(port));
    assert_eq!(services, [Service::Ssh, Service::Http, Service::Ssh].map(Some));
    assert_eq!(found.sshd, Some(vec![80, 2222]));
    let named = plan("ssh.ports = [2200]", false).guarding(vec![2222]);
    let services = [22, 2200, 2222].map(|port| named.port_sets[0].service(port));
    assert_eq!((services, named.sshd), ([None, Some(Service::Ssh), None], None));
}

#[test]
fn each_guard_has_its_mode_at_each_endpoint() {
    let text = "tftp.mode = \"off\"\nhttp.mode = \"observe\"\ndns.strict = true\n\
                observe.protections = [\"dns\"]\n\
                [[endpoint]]\nname = \"a\"\naddresses = [\"192.0.2.1\"]\n\
                ssh.mode = \"off\"\nhttp.mode = \"enforce\"\n";
    let plan = plan(text, false);
    let [host, a] = plan.policies.as_slice() else { panic!() };
    use policy::Protection::{Dns, Http, Ssh, Tftp};
    assert_eq!((host.off, host.observe), (Tftp.bit(), Http.bit() | Dns.bit()));
    assert_eq!((a.off, a.observe), (Tftp.bit() | Ssh.bit(), Dns.bit()));
    assert_eq!((a.dns_udp_max, a.dns_tcp_max), (512, 1024));
}

#[test]
fn observing_overrides_enforcing_only() {
    let text = "[[endpoint]]\nname = \"a\"\naddresses = [\"192.0.2.1\"]\nmode = \"off\"\n";
    let plan = plan(text, true);
    assert_eq!((plan.policies[0].mode, plan.policies[1].mode), (MODE_OBSERVE, MODE_OFF));
}

#[test]
fn without_a_database_nobody_is_dropped_for_a_country() {
    let config = Config::parse(Path::new("test.toml"), TWO_ENDPOINTS).unwrap();
    let plan = Plan::new(&config, false, false).unwrap();
    assert!(plan.policies.iter().all(|policy| policy.geo_mode == GEO_OFF));
    assert!(plan.countries.is_empty());
}

#[test]
fn too_many_port_sets_are_refused() {
    let mut text = String::new();
    for number in 0..70 {
        let port = 6000 + number;
        text += &format!(
            "[[endpoint]]\nname = \"e{number}\"\naddresses = [\"192.0.2.{number}\"]\n\
             sip_ports = [{port}]\n"
        );
    }
    let config = Config::parse(Path::new("test.toml"), &text).unwrap();
    assert_eq!(Plan::new(&config, false, true).err(), Some(PlanError::TooManyPortSets));
}

#[test]
fn endpoints_have_their_own_limits_where_they_say_so() {
    let text = "ssh.burst = 7\nrules.probe_limit = 9\nrules.not_sip_limit = 8\n\
                [[endpoint]]\nname = \"a\"\naddresses = [\"192.0.2.1\"]\nssh.rate = 3\n\
                invite_limit = 2\nblock_time = \"5m\"\nblock_scope = \"endpoint\"\n\
                [[endpoint]]\nname = \"b\"\naddresses = [\"192.0.2.2\"]\nregister_limit = 4\n";
    let config = Config::parse(Path::new("test.toml"), text).unwrap();
    let settings = settings(&config, &Own::default());
    let [a, b] = [EndpointId(1), EndpointId(2)];
    let limit = |rule, endpoint| {
        let rule = settings.rules.iter().find(|it| it.id == rule).unwrap();
        settings.limit(rule, endpoint)
    };
    assert_eq!((limit(RuleId::Invite, a), limit(RuleId::Invite, b)), (2, 5));
    assert_eq!((limit(RuleId::Register, a), limit(RuleId::Register, b)), (10, 4));
    assert_eq!((limit(RuleId::Probe, a), limit(RuleId::NotSip, a)), (9, 8));
    assert_eq!((settings.block_time(a), settings.block_time(b)), (HOUR / 12, HOUR));
    assert_eq!((settings.blocks_alone(a), settings.blocks_alone(b)), (true, false));
    let plan = Plan::new(&config, false, true).unwrap();
    let ssh = |policy: &Policy| {
        let Rate { interval_ns, burst_ns } = policy.guards[Service::Ssh as usize];
        (60_000_000_000 / interval_ns, burst_ns / interval_ns + 1, policy.own_guards)
    };
    let found: Vec<_> = plan.policies.iter().map(ssh).collect();
    assert_eq!(found, [(10, 7, 0), (3, 7, 1), (10, 7, 0)]);
    let shown: Vec<_> = config.endpoints[0]
        .in_force(&config)
        .into_iter()
        .filter(|it| ["invite_limit", "probe_limit", "ssh.rate", "block_time"].contains(&it.key))
        .map(|it| format!("{} {} {}", it.key, it.value, it.own))
        .collect();
    let expected =
        ["invite_limit 2 true", "probe_limit 9 false", "block_time 5m true", "ssh.rate 3 true"];
    assert_eq!(shown, expected);
}

#[test]
fn rules_take_the_configured_limits() {
    let text = "rules.register_limit = 4\nrules.block_threshold = 2\nrules.scope = \"sip\"\n\
                rules.count_age = \"7d\"\nrules.unblock_grace = \"10m\"\n\
                never_block = [\"198.51.100.0/24\"]\npeers = [\"203.0.113.7\"]\n";
    let config = Config::parse(Path::new("test.toml"), text).unwrap();
    let own = Own { addresses: vec!["192.0.2.1/24".parse().unwrap()], ..Own::default() };
    let settings = settings(&config, &own);
    let register = settings.rules.iter().find(|rule| rule.id == RuleId::Register).unwrap();
    assert_eq!((register.limit, settings.block_threshold), (4, 2));
    assert_eq!((settings.count_age, settings.unblock_grace), (7 * 24 * HOUR, HOUR / 6));
    assert_eq!(settings.block_scope, rules::Scope::Sip);
    let check = |address: &str, spared| {
        assert_eq!(settings.is_never_blocked(address.parse().unwrap()), spared, "{address}");
    };
    check("192.0.2.1", true);
    check("192.0.2.77", true);
    check("198.51.100.3", true);
    check("203.0.113.7", false);
    assert!(settings.is_peer("203.0.113.7".parse().unwrap()));
}
