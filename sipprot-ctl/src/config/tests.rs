//! What files mean, and what is said of wrong ones.

use std::path::Path;

use super::*;

/// What reading `text` as `t.toml` says: "ok", or every fault.
fn verdict(text: &str) -> String {
    match Config::parse(Path::new("t.toml"), text) {
        Ok(_) => "ok".to_owned(),
        Err(error) => {
            let faults: Vec<_> = error.faults().iter().map(Fault::to_string).collect();
            faults.join("; ")
        }
    }
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(verdict(text), expected, "{text}");
}

fn parse(text: &str) -> Config {
    Config::parse(Path::new("t.toml"), text).unwrap()
}

/// The default file with every default taken out of its comment.
fn uncommented(documented: &str) -> String {
    let prose = |line: &str| line == "#" || line.starts_with("# ");
    let lines = documented.lines().filter(|line| !prose(line));
    lines.map(|line| line.strip_prefix('#').unwrap_or(line).to_owned() + "\n").collect()
}

#[test]
fn the_documented_default_reads_back_to_the_defaults() {
    let text = Config::documented_default();
    assert!(text.lines().all(|line| line.chars().count() <= 100));
    assert_eq!(parse(&text), Config::default());
    let mut config = parse(&uncommented(&text));
    assert_eq!(config.endpoints.len(), 1);
    assert_eq!(config.endpoints[0].geo_countries(&config)[0].code(), "KP");
    assert_eq!(config.logs.len(), 1);
    config.endpoints.clear();
    assert_eq!(config.blocklists.len(), 1);
    config.blocklists.clear();
    config.logs.clear();
    assert_eq!(config, Config::default());
}

#[test]
fn every_key_is_documented_in_a_section() {
    let text = uncommented(&Config::documented_default());
    for path in keys::KEYS.iter().map(|key| key.path) {
        let name = path.rsplit('.').next().unwrap();
        assert!(text.contains(&format!("\n{name} = ")), "{path}");
    }
}

#[test]
fn what_is_in_force_reads_back() {
    let text = r#"
        interfaces = ["eth0", "eth1"]
        mode = "observe"
        peers = ["192.0.2.7", "2001:db8::/32"]
        never_block = ["198.51.100.0/24"]
        daemon = { metrics = "", log = "debug", state_dir = "/tmp/s" }
        sip.ports = [5060, "5070:5080"]
        sip.protocols = ["tcp"]
        sip.blocked_user_agents = ["a \"quoted\" agent"]
        rules.block_time = "1h30m"
        rules.scope = "sip"
        rules.escalate_unproven = true
        geo = { mode = "allow", countries = ["France", "de"] }
        observe.protections = ["geo", "user_agent"]
        [[endpoint]]
        name = "pbx1"
        addresses = ["203.0.113.9", "203.0.113.64/26"]
        geo.mode = "off"
        block_scope = "endpoint"
    "#;
    let config = parse(text);
    assert_eq!(config.daemon.metrics, None);
    assert_eq!(config.sip.ports[1].to_string(), "5070:5080");
    assert_eq!(config.rules.block_time, Duration::from_secs(5400));
    assert_eq!(config.geo.countries[1].code(), "DE");
    assert!(config.only_observes(Protection::Geo) && !config.only_observes(Protection::Deny));
    let endpoint = &config.endpoints[0];
    assert_eq!(endpoint.mode(&config), Mode::Observe);
    assert_eq!(endpoint.geo_mode(&config), GeoMode::Off);
    assert_eq!(endpoint.sip_ports(&config), config.sip.ports);
    assert_eq!(endpoint.register_limit(&config), 10);
    assert_eq!(parse(&config.to_string()), config);
}

#[test]
fn unknown_keys_are_named() {
    check("", "ok");
    check("\nmodes = 1", "t.toml:2: modes: unknown key; is mode meant?");
    check(
        "[rules]\nblok_time = \"1h\"",
        "t.toml:2: rules.blok_time: unknown key; is block_time meant?",
    );
    check("colour = 1", "t.toml:1: colour: unknown key");
    check("[hub]\nfleet = 1", "t.toml:1: hub: unknown key");
    check("allow = []", "t.toml:1: allow: unknown key");
    check("rules = 1", "t.toml:1: rules: expected a table");
    check("[mode]", "t.toml:1: mode: expected \"enforce\", \"observe\" or \"off\", found a table");
    check("a = 1\nb = 2", "t.toml:1: a: unknown key; t.toml:2: b: unknown key");
}

#[test]
fn wrong_values_name_what_was_expected() {
    let limit = "t.toml:2: rules.register_limit: expected a whole number from 1 to 10000, found ";
    for found in ["\"ten\"", "0", "10001", "-1", "true", "99999999999"] {
        check(&format!("[rules]\nregister_limit = {found}"), &format!("{limit}{found}"));
    }
    check("[rules]\nregister_limit = [1]", &format!("{limit}a list"));
    check(
        "[rules]\nblock_time = 60",
        "t.toml:2: rules.block_time: expected a time such as \"90s\", \"10m\", \"1h\" or \"7d\", \
         from 1s to 365d, found 60",
    );
    check(
        "daemon.metrics = \"localhost\"",
        "t.toml:1: daemon.metrics: expected an address and port such as \"127.0.0.1:9160\", \
         or \"\" for none, found \"localhost\"",
    );
    check(
        "daemon.socket = \"here\"",
        "t.toml:1: daemon.socket: expected an absolute path, found \"here\"",
    );
    check(
        "[geo]\ncountries = [\n  \"FR\",\n  \"Atlantis\",\n]",
        "t.toml:4: geo.countries: expected a country's ISO code such as \"FR\", its English name \
         such as \"France\", or a continent such as \"Asia\", found \"Atlantis\"",
    );
    check(
        "mode = \"a\\nb\"",
        "t.toml:1: mode: expected \"enforce\", \"observe\" or \"off\", found \"a\\nb\"",
    );
}

#[test]
fn ports_are_checked() {
    let ports = "t.toml:1: sip.ports: expected a port such as \"5060\" or a range such as \"5060:5062\", found ";
    check(
        "sip.ports = [\"5062:5060\"]",
        &format!("{ports}\"5062:5060\" (the range runs backwards)"),
    );
    check("sip.ports = [\"0\"]", &format!("{ports}\"0\" (port 0 does not exist)"));
    check("sip.ports = [0]", &format!("{ports}0"));
    check("sip.ports = [65536]", &format!("{ports}65536"));
    check("sip.ports = []", "t.toml:1: sip.ports: expected 1 to 64 entries, found 0");
    check("sip.ports = [5060, \"5060\"]", "t.toml:1: sip.ports: \"5060\": listed twice");
    check("sip.ports = [\"5060:5062\"]", "t.toml:1: sip.tls_ports: 5060:5062 is in sip.ports too");
}

#[test]
fn networks_are_checked() {
    let peers = "t.toml:1: peers: ";
    let form =
        "expected an address such as \"192.0.2.7\" or a network such as \"192.0.2.0/24\", found ";
    check("peers = [\"192.0.2.256\"]", &format!("{peers}{form}\"192.0.2.256\""));
    check("peers = [\"192.0.2.0/33\"]", &format!("{peers}{form}\"192.0.2.0/33\""));
    check(
        "peers = [\"192.0.2.7/24\"]",
        &format!("{peers}\"192.0.2.7/24\": host bits are set; is 192.0.2.0/24 meant?"),
    );
    for all in ["0.0.0.0/0", "::/0", "::ffff:0:0/96"] {
        let text = format!("peers = [\"{all}\"]");
        check(&text, &format!("{peers}\"{all}\": every address there is"));
    }
    assert_eq!(
        parse("peers = [\"::ffff:192.0.2.7\"]").peers[0].network.to_string(),
        "192.0.2.7/32"
    );
}

#[test]
fn user_agents_are_checked() {
    let agents = |list: &str| verdict(&format!("sip.blocked_user_agents = [{list}]"));
    assert_eq!(agents("\"abc\", \"Nmap NSE\""), "ok");
    assert_eq!(agents("\"=smap\", \"*scan*\", \"smap\", \"a*b\""), "ok");
    assert_eq!(agents(&format!("\"={0}\", \"*{0}*\"", "x".repeat(32))), "ok");
    for wrong in
        ["ab", "é-scanner", " padded", "=ab", "*ab*", "= padded", "*scan", "scan*", "**", "=*scan*"]
    {
        let wrong = format!("\"{wrong}\"");
        let wrong = wrong.as_str();
        assert!(agents(wrong).contains("3 to 32 printable ASCII"), "{wrong}");
    }
    assert!(agents(&format!("\"{}\"", "x".repeat(33))).contains("3 to 32 printable ASCII"));
    assert!(agents("\"sipcli\", \"SIPCLI\"").contains("listed twice"));
    let many: Vec<_> = (0..65).map(|n| format!("\"agent{n}\"")).collect();
    assert!(agents(&many.join(",")).contains("expected 0 to 64 entries, found 65"));
}

#[test]
fn keys_that_contradict_each_other() {
    check("geo.mode = \"allow\"", "t.toml:1: geo.mode: allow without any country lets nobody in");
    check(
        "\nrules.containment = \"20m\"",
        "t.toml:2: rules.containment_max: shorter than rules.containment",
    );
}

#[test]
fn guards_are_checked() {
    check("ssh = { ports = [22, 2222], rate = 5, burst = 9 }\ntftp.mode = \"observe\"", "ok");
    check("sip.tls_ports = [443]", "ok");
    check("http.ports = []", "ok");
    check(
        "\nhttp.ports = [8080, 22]\nssh.ports = [22]",
        "t.toml:2: http.ports: 22 is in ssh.ports too",
    );
    check("ssh.ports = [80]", "t.toml:1: http.ports: 80 is in ssh.ports too");
    check("tftp.ports = [\"60:80\"]", "t.toml:1: tftp.ports: 60:80 is in http.ports too");
    check(
        "ssh.rate = 0",
        "t.toml:1: ssh.rate: expected a whole number from 1 to 10000000, found 0",
    );
    check(
        "ssh.mode = \"on\"",
        "t.toml:1: ssh.mode: expected \"enforce\", \"observe\" or \"off\", found \"on\"",
    );
    check("dns.resolvers = [\"192.0.2.0/24\", \"2001:db8::53\"]", "ok");
}

#[test]
fn endpoints_are_checked() {
    let one = "[[endpoint]]\nname = \"a\"\naddresses = [\"192.0.2.1\"]\n";
    check(one, "ok");
    check(&format!("{one}{one}"), "t.toml:5: endpoint.name: another endpoint is called \"a\"");
    check(
        &format!("{one}{}", one.replace("\"a\"", "\"b\"")),
        "t.toml:6: endpoint.addresses: 192.0.2.1/32 belongs to endpoint \"a\" already, and 5060 is a \
         port of both: endpoints with one address are told apart by their sip_ports",
    );
    let other =
        |ports: &str| format!("{one}{}sip_ports = [{ports}]\n", one.replace("\"a\"", "\"b\""));
    check(&other("5070"), "ok");
    check(
        &other("\"7000:7300\""),
        "t.toml:6: endpoint.addresses: 192.0.2.1/32 belongs to endpoint \"a\" already: 256 sip_ports may \
         tell another from it",
    );
    check(
        &format!("{}{}sip_ports = [5070]\n", other("5070"), one.replace("\"a\"", "\"c\"")),
        "t.toml:10: endpoint.addresses: 192.0.2.1/32 belongs to endpoint \"b\" already, and 5070 is a \
         port of both: endpoints with one address are told apart by their sip_ports",
    );
    check("[[endpoint]]\nname = \"a\"", "t.toml:1: endpoint.addresses: missing");
    check(
        &one.replace("\"a\"", "\"A b\""),
        "t.toml:2: endpoint.name: expected a name of 1 to 32 of a-z, 0-9, dot, underscore and dash, found \"A b\"",
    );
    check(&format!("{one}ports = [1]"), "t.toml:4: endpoint.ports: unknown key");
    check(&format!("{one}geo.mod = 1"), "t.toml:4: endpoint.geo.mod: unknown key; is mode meant?");
    check(
        &format!("{one}geo.mode = \"allow\""),
        "t.toml:4: endpoint.geo.mode: allow without any country lets nobody in",
    );
    check(
        &format!("{one}sip_ports = [5061]"),
        "t.toml:4: endpoint.sip_ports: 5061 is in sip.tls_ports too",
    );
    check(
        "[endpoint]\nname = \"a\"",
        "t.toml:1: endpoint: expected tables that begin with [[endpoint]]",
    );
    check("endpoint = [{ name = \"a\", addresses = [\"192.0.2.1\"] }]", "ok");
    let many = |count: usize| -> String {
        (0..count)
            .map(|n| {
                format!(
                    "[[endpoint]]\nname = \"e{n}\"\naddresses = [\"10.0.{}.{}\"]\n",
                    n / 256,
                    n % 256
                )
            })
            .collect()
    };
    check(&many(511), "ok");
    check(&many(513), "t.toml:1534: endpoint: more than 511 endpoints");
}

#[test]
fn what_is_not_toml_names_its_line() {
    assert!(verdict("mode = \"off\"\nports = [").starts_with("t.toml:2: "));
    assert!(verdict("mode = \"off\"\nmode = \"off\"").starts_with("t.toml:2: duplicate key"));
    assert!(!verdict("x = \n\n").contains('\n'));
}

#[test]
fn drop_ins_override_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let main = directory.path().join("sipprot.toml");
    let drop_ins = directory.path().join("sipprot.d");
    std::fs::create_dir(&drop_ins).unwrap();
    std::fs::write(&main, "mode = \"off\"\nrules.register_limit = 3\n").unwrap();
    std::fs::write(drop_ins.join("20-b.toml"), "mode = \"enforce\"").unwrap();
    std::fs::write(drop_ins.join("10-a.toml"), "mode = \"observe\"\nrules.block_threshold = 2")
        .unwrap();
    std::fs::write(drop_ins.join("30.bak"), "not toml").unwrap();
    let loaded = Config::load(Some(&main)).unwrap();
    assert_eq!(
        loaded.files,
        [main.clone(), drop_ins.join("10-a.toml"), drop_ins.join("20-b.toml")]
    );
    let rules = &loaded.config.rules;
    assert_eq!((rules.register_limit, rules.block_threshold), (3, 2));
    assert_eq!(loaded.config.mode, Mode::Enforce);

    std::fs::write(drop_ins.join("30.toml"), "\nmode = 1").unwrap();
    let error = Config::load(Some(&main)).unwrap_err().to_string();
    let path = drop_ins.join("30.toml");
    assert!(error.starts_with(&format!("{}:2: mode: expected", path.display())), "{error}");
}

#[test]
fn a_named_file_must_be_there() {
    let error = Config::load(Some(Path::new("/nowhere/sipprot.toml"))).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }));
    assert!(error.to_string().starts_with("/nowhere/sipprot.toml: "));
}
