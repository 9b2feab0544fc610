//! What operators type and see.

use clap::{CommandFactory, Parser};

use super::args::{self, Args, Verb};
use super::*;
use crate::api::{
    Check, EventView, GeoView, GuardView, InterfaceView, ListCounts, Report, ReportRow, Status,
    StoreView,
};

fn parse(line: &str) -> Result<Args, clap::Error> {
    let words = line.split(' ').map(OsString::from);
    Args::try_parse_from(args::accept_seed_forms(words))
}

#[test]
fn command_line_is_sound() {
    Args::command().debug_assert();
}

#[test]
fn aliases_and_single_dashes() {
    let check = |line: &str, expected: &str| {
        let verb = format!("{:?}", parse(line).unwrap().verb);
        assert!(verb.starts_with(expected), "{line}: {verb}");
    };
    check("sipprot s", "Status(Shown { allow: false");
    check("sipprot status -allow", "Status(Shown { allow: true, deny: false");
    check("sipprot status \u{2013}deny", "Status(Shown { allow: false, deny: true");
    check(
        "sipprot status --all --json",
        "Status(Shown { allow: false, deny: false, dynamic: false, all: true",
    );
    check("sipprot r --date 2026-02-28", "Report(Report { verb: None, date: Some(2026-02-28)");
    check("sipprot l allow", "List(List { which: Allow");
    check("sipprot list deny --country FR", "List(List { which: Deny");
    check("sipprot list deny --limit 5 --offset 10", "List(List { which: Deny");
    check("sipprot list blocklists", "List(List { which: Blocklists");
    check(
        "sipprot deny import - --preview",
        "Deny(Edit { verb: Import(Import { file: \"-\", dry_run: true",
    );
    check("sipprot list allow export", "List(List { which: Allow");
    check(
        "sipprot deny remove --csv a.csv --dry-run",
        "Deny(Edit { verb: Remove(Remove { networks: [], csv: Some",
    );
    check("sipprot deny edit 192.0.2.1 --note scanner", "Deny(Edit { verb: Edit(");
    check("sipprot deny remove 192.0.2.1 192.0.2.2", "Deny(Edit { verb: Remove(Remove {");
    check("sipprot deny remove --all --yes", "Deny(Edit { verb: Remove(Remove {");
    check("sipprot deny move 192.0.2.1 --to allow", "Deny(Edit { verb: Move(MoveArgs {");
    check("sipprot list dynamic move 192.0.2.1 --to deny", "List(List { which: Dynamic(");
    check("sipprot list deny --sort time --reverse --covers ::1", "List(List { which: Deny(");
    check("sipprot deny aggregate --dry-run", "Deny(Edit { verb: Aggregate(");
    check("sipprot unblock --all --yes", "Unblock(Unblock { addresses: [], all: true");
    check("sipprot report --days 7 --csv", "Report(Report { verb: None");
    check("sipprot report abuse ::1", "Report(Report { verb: Some(Abuse { address: ::1 })");
    check("sipprot verify --repair", "Verify { repair: true }");
    check("sipprot map dump blocks", "Map(MapArgs { verb: Dump { map: Some(\"blocks\")");
    check("sipprot allow template", "Allow(Edit { verb: Template");
    check("sipprot confirm --cancel", "Confirm { cancel: true }");
    check("sipprot reload --confirm", "Reload { confirm: true, dry_run: false }");
    check("sipprot --config /x check 192.0.2.1", "Check { address: 192.0.2.1");
    check("sipprot allow add 2001:db8::/32 --note office", "Allow(Edit { verb: Add");
    check(
        "sipprot block 192.0.2.1 --for 1h30m",
        "Block(Block { addresses: [192.0.2.1], time: Some(5400s)",
    );
    check(
        "sipprot run --iface eth0 --iface eth1 --observe",
        "Run(Run { interfaces: [\"eth0\", \"eth1\"]",
    );
    check("sipprot rescue unblock ::1", "Rescue(");
    check("sipprot why 2001:db8::1", "Why { address: 2001:db8::1 }");
    check("sipprot peer add 192.0.2.0/28 --note trunk", "Peer(Peer { verb: Add {");
    check("sipprot peer list", "Peer(Peer { verb: List");
    check("sipprot filter test sshd - --json", "Filter(Filter { verb: Test { filter: \"sshd\"");
    check(
        "sipprot replay a.pcap --endpoints 192.0.2.0/24,2001:db8::1",
        "Replay(Replay { file: \"a.pcap\", endpoints: [V4(",
    );
}

#[test]
fn wrong_lines_are_usage_errors() {
    for line in [
        "sipprot",
        "sipprot nonsense",
        "sipprot check",
        "sipprot check 192.0.2.300",
        "sipprot deny add",
        "sipprot deny remove",
        "sipprot deny remove 192.0.2.1 --all",
        "sipprot deny edit 192.0.2.1",
        "sipprot deny edit 192.0.2.1 --for 1h --forever",
        "sipprot deny move 192.0.2.1",
        "sipprot deny move 192.0.2.1 --to dynamic",
        "sipprot list dynamic move 192.0.2.1 --to allow",
        "sipprot list deny --sort colour",
        "sipprot list deny --expires soon",
        "sipprot unblock",
        "sipprot unblock 192.0.2.1 --all",
        "sipprot block",
        "sipprot report --days 3 --from 2026-02-01",
        "sipprot report --date 2026-02-01 --to 2026-02-02",
        "sipprot report abuse",
        "sipprot map",
        "sipprot map dump BLOCKS --limit few",
        "sipprot deny remove 192.0.2.1 --csv a.csv",
        "sipprot deny import",
        "sipprot block 192.0.2.1 --for soon",
        "sipprot --log nowhere status",
        "sipprot report --date 2026-13-01",
        "sipprot list grey",
        "sipprot replay",
        "sipprot replay a.pcap --endpoints pbx",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}

#[test]
fn h_is_help_where_a_verb_is_expected() {
    let forms = |line: &str| args::accept_seed_forms(line.split(' ').map(OsString::from));
    for (line, expected) in [
        ("h h", "h help"),
        ("sipprot --config h h", "sipprot --config h help"),
        ("sipprot --debug h", "sipprot --debug help"),
        ("sipprot check h", "sipprot check h"),
    ] {
        assert_eq!(forms(line).join(std::ffi::OsStr::new(" ")), expected);
    }
}

#[test]
fn version_line() {
    let version = version();
    assert_eq!(version.name, "sipPROT");
    let Verb::Version = parse("sipprot version").unwrap().verb else { panic!() };
}

fn status() -> Status {
    let guard = |name: &str, mode: &str| GuardView {
        name: name.to_owned(),
        mode: mode.to_owned(),
        ports: vec!["22".to_owned(), "2222".to_owned()],
        rate: Some(10),
        burst: Some(20),
        bytes_max: None,
    };
    let dns = GuardView { bytes_max: Some((512, 1024)), ..guard("dns", "observe") };
    let ssh = guard("ssh", "enforce");
    Status {
        learning: None,
        version: "1".to_owned(),
        protected: true,
        problems: Vec::new(),
        mode: "enforce".to_owned(),
        started_at: 0,
        interfaces: vec![InterfaceView {
            name: "eth0".to_owned(),
            attached: true,
            xdp: Some("native".to_owned()),
        }],
        endpoints: Vec::new(),
        guards: vec![dns, ssh],
        lists: ListCounts {
            allow: 493,
            deny: 482,
            dynamic: 100,
            contained: 2,
            networks_contained: 0,
            quarantined: 0,
            trust: 7,
        },
        events: EventView::default(),
        maps: Vec::new(),
        store: StoreView { healthy: true, notes: Vec::new() },
        geo: GeoView::default(),
        logs: Vec::new(),
        config_files: Vec::new(),
        pending: None,
        confirm_within_s: 60,
    }
}

#[test]
fn status_table_and_health() {
    let expected = "\
+---------------------+------------+
| LIST                | NUM OF IPS |
+---------------------+------------+
| Allow               |        493 |
+---------------------+------------+
| Deny                |        482 |
+---------------------+------------+
| Dynamic (temporary) |        100 |
+---------------------+------------+
The system is protected.
Mode: enforce   Interfaces: eth0 (XDP native)   Contained: 2   Trusted: 7
Guards: dns observe (512 bytes, 1024 over TCP), ssh enforce (22 2222)
";
    assert_eq!(super::status::text(&status()), expected);
    let ill = Status { protected: false, problems: vec!["eth0 is gone".to_owned()], ..status() };
    let text = super::status::text(&ill);
    assert!(text.contains("NOT protected; problems detected:\n"), "{text}");
    assert!(text.ends_with("  - eth0 is gone\n"), "{text}");
}

#[test]
fn report_table() {
    let row = ReportRow {
        attacker: "192.0.2.132".to_owned(),
        country: Some("PS".to_owned()),
        country_name: Some("Palestinian Territory".to_owned()),
        method: "SCANNER:21da605".to_owned(),
        victim: Some([198, 51, 100, 106].into()),
        endpoint: None,
        blocks: 1,
        containments: 0,
        drops: 7,
        observed: 3,
        user_agent: None,
        line: None,
        first: 0,
        last: 0,
    };
    let report = Report {
        alerts: Vec::new(),
        host: "PBXware-Standalone".to_owned(),
        until: String::new(),
        zone: String::new(),
        kept_since: None,
        countries: Vec::new(),
        date: "2023-02-28".to_owned(),
        rows: vec![row],
        total_rows: 1,
        total_blocks: 1,
        total_containments: 0,
        total_drops: 7,
        total_observed: 3,
    };
    let expected = "\
Daily Firewall Report

Host: PBXware-Standalone
Date: Tue, 28 Feb 2023

+-------------+-----------------------+-----------------+----------------+--------+
| ATTACKER IP |               COUNTRY |          METHOD |      VICTIM IP | BLOCKS |
+-------------+-----------------------+-----------------+----------------+--------+
| 192.0.2.132 | Palestinian Territory | SCANNER:21da605 | 198.51.100.106 |      1 |
+-------------+-----------------------+-----------------+----------------+--------+
|             |                       |                 |          TOTAL |      1 |
+-------------+-----------------------+-----------------+----------------+--------+

Blocks: 1   Containments: 0   Packets dropped: 7   Would have been dropped: 3
";
    assert_eq!(super::report::text(&report), expected);
}

#[test]
fn check_sentences() {
    let address = [203, 0, 113, 193].into();
    let nothing = Check::nothing(address, "203.0.113.193/32");
    let text = super::check::text(&nothing);
    assert!(text.starts_with("IP address '203.0.113.193' not found in any list\n"), "{text}");
    let wider = Some("2001:db8:1::/56".to_owned());
    let held = Check { held: true, wider, blocks_counted: 2, ..nothing.clone() };
    let text = super::check::text(&held);
    for line in ["  Held with 2001:db8:1::/56 by the kernel: ", "\n  2 of 5 blocks that lead"] {
        assert!(text.contains(line), "{text}");
    }
    let text = super::check::text(&Check { observed: true, ..held });
    for line in ["  Would be held with 2001:db8:1::/56 by", "\n  would be 2 of 5 blocks"] {
        assert!(text.contains(line), "{text}");
    }
    let both = Check { allowed: true, denied: true, ..nothing };
    let text = super::check::text(&both);
    let expected = "IP address '203.0.113.193' found in Allowlist\n\
                    IP address '203.0.113.193' found in Denylist\n";
    assert!(text.starts_with(expected), "{text}");
}
