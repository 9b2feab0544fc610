//! The commands that operators have in their fingers, one by one: the same words give the same columns,
//! fields and sentences.
//!
//! The binary is the one that `SIPPROT_BIN` names; without it, or without what the lab needs, the test says
//! what is missing. Addresses are documentation ones; numbers are the lab's.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sipprot_tests::{
    attackers::cracker::{self, Plan},
    daemon::{Daemon, Settings},
    lab::Lab,
    pbx::Manners,
    topology::Family,
};

/// A command, and what its output has, in this order.
struct Command {
    words: &'static [&'static str],
    has: &'static [&'static str],
}

impl Command {
    fn line(&self) -> String {
        format!("sipprot {}", self.words.join(" "))
    }
}

/// Both outputs beside each other. `SIPPROT_WRITE_DOCS=1` writes it anew.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/seed-commands.md");
const HEAD: &str = "# The commands of sipPROT 5, one by one

What its documentation shows (addresses are other ones here), and below it what SIPprot prints in the lab. A test,
`tests/tests/seed.rs`, runs each of these commands, and compares; with `SIPPROT_WRITE_DOCS=1` it writes this page.
";

/// As the documentation of sipPROT 5 has it, where it has it.
const DOCUMENTED: &[(&str, &str)] = &[
    (
        "sipprot status",
        "+---------------------+------------+
| LIST                | NUM OF IPS |
+---------------------+------------+
| Allow               |        493 |
+---------------------+------------+
| Deny                |        482 |
+---------------------+------------+
| Dynamic (temporary) |        100 |
+---------------------+------------+
",
    ),
    (
        "sipprot status -allow",
        "Allowlist:
+-----------------+----------------+
| IP ADDRESS      |        COUNTRY |
+-----------------+----------------+
| 203.0.113.233   |      Argentina |
+-----------------+----------------+
| 198.51.100.98   |      Australia |
+-----------------+----------------+
",
    ),
    (
        "sipprot report",
        "Daily Firewall Report

Host: PBXware-Standalone
Date: Tue, 28 Feb 2023

+-----------------+-----------------------+-----------------+----------------+--------+
|     ATTACKER IP |               COUNTRY |          METHOD |      VICTIM IP | BLOCKS |
+-----------------+-----------------------+-----------------+----------------+--------+
|    198.51.100.32 | Palestinian Territory | SCANNER:21da605 |     192.0.2.106 |      1 |
+-----------------+-----------------------+-----------------+----------------+--------+
|                 |                       |                 |          TOTAL |      1 |
+-----------------+-----------------------+-----------------+----------------+--------+
",
    ),
    ("sipprot version", "sipPROT : 5.0.0+build.619.rev.1b112e5\n"),
    (
        "sipprot check 203.0.113.193",
        "IP address '203.0.113.193' found in Allowlist
IP address '203.0.113.193' found in Denylist
",
    ),
    ("sipprot setup", "Setup redis repositories. If the repositories already exist, this is no-op.\n"),
    (
        "sipprot --help",
        "NAME: sipPROT - CLI

USAGE: sipPROT [global options] command [command options] [arguments...]

VERSION: 5.1.0+build.777.rev.5ad785a

COMMANDS:
    status, s Prints number of IPs per list
    report, r Prints out daily attack report
    setup, Setup redis repositories. If the repositories already exist, this is no-op.
    version, Print only the version
    list, l Manages IP lists
    help, h Shows a list of commands or help for one command

GLOBAL OPTIONS:
    --config FILE load configuration from FILE (default: \"/opt/sipprot/conf/sipprot.conf\")
    --log value log URI e.g. stdout://, syslog:// or file:///var/log/sipprotd.log (default: \"stdout://\")
    --debug include debug logs (default: false)
    --help, -h show help
    --version, -v print the version
",
    ),
    (
        "sipprot deny template",
        "IP_ADDRESS,NOTE,TIME,ADDED_BY
192.0.2.1,\"réseau privé interne\",2023-09-01 15:44:35,\"Support (support@example.com)\"
",
    ),
];

fn section(command: &Command, text: &str) -> String {
    let line = command.line();
    let known = DOCUMENTED.iter().find(|(documented, _)| *documented == line);
    let before = known.map(|(_, text)| format!("sipPROT 5:\n\n```\n{text}```\n\nSIPprot:\n\n"));
    format!("\n## `{line}`\n\n{}```\n{text}```\n", before.unwrap_or_default())
}

/// What the page says of a command.
fn on_page<'a>(page: &'a str, command: &Command) -> Option<&'a str> {
    let (_, rest) = page.split_once(&format!("\n## `{}`\n", command.line()))?;
    Some(rest.split("\n## `").next().unwrap_or(rest))
}

const COMMANDS: &[Command] = &[
    Command {
        words: &["status"],
        has: &[
            "+---------------------+------------+\n| LIST                | NUM OF IPS |\n",
            "| Allow               |          1 |\n",
            "| Deny                |          2 |\n",
            "| Dynamic (temporary) |          1 |\n",
        ],
    },
    Command { words: &["s"], has: &["| LIST                | NUM OF IPS |\n"] },
    Command {
        words: &["status", "-allow"],
        has: &[
            "Allowlist:\n+",
            "| IP ADDRESS     |     COUNTRY |\n",
            "| 203.0.113.0/24 | Switzerland |\n",
        ],
    },
    Command {
        words: &["status", "-deny"],
        has: &["Denylist:\n+", "| IP ADDRESS", "     COUNTRY |\n"],
    },
    Command {
        words: &["status", "\u{2013}dynamic"],
        has: &["Dynamic (temporary):\n+", "| IP ADDRESS"],
    },
    Command {
        words: &["status", "--all"],
        has: &["Allowlist:", "Denylist:", "Dynamic (temporary):"],
    },
    Command {
        words: &["report"],
        has: &[
            "Daily Firewall Report\n\nHost: ",
            "\nDate: ",
            "|   ATTACKER IP | COUNTRY |              METHOD |  VICTIM IP | BLOCKS |\n",
            "| 198.51.100.10 |  France | BRUTEFORCE:register | 192.0.2.11 |      1 |\n",
            "|               |         |                     |      TOTAL |      1 |\n",
        ],
    },
    Command { words: &["r"], has: &["Daily Firewall Report\n"] },
    Command { words: &["version"], has: &["sipPROT : "] },
    Command {
        words: &["check", "203.0.113.193"],
        has: &[
            "IP address '203.0.113.193' found in Allowlist\n",
            "IP address '203.0.113.193' found in Denylist\n",
        ],
    },
    Command { words: &["setup"], has: &[] },
    Command {
        words: &["list", "deny"],
        has: &["| IP ADDRESS", "     COUNTRY | NOTE", "| TIME", "| ADDED BY"],
    },
    Command { words: &["l", "allow"], has: &["| IP ADDRESS"] },
    Command {
        words: &["--help"],
        has: &[
            "status",
            "[alias: s]",
            "report",
            "[alias: r]",
            "setup",
            "version",
            "list",
            "[alias: l]",
            "check",
            "help",
            "--config <FILE>",
            "--log <URI>",
            "--debug",
            "--version",
            "--help",
        ],
    },
    Command { words: &["help"], has: &["Usage: sipprot"] },
    Command { words: &["h"], has: &["Usage: sipprot"] },
    Command { words: &["--debug", "--log", "stdout://", "version"], has: &["sipPROT : "] },
    Command { words: &["-v"], has: &["sipprot "] },
    Command { words: &["deny", "template"], has: &["IP_ADDRESS,NOTE,TIME,ADDED_BY\n"] },
    Command {
        words: &["deny", "export"],
        has: &["IP_ADDRESS,NOTE,TIME,ADDED_BY\n", "198.51.100.200,", ",2023-09-01 15:44:35Z,"],
    },
];

/// The page is the output of some day; what the outputs must have, it has too.
#[test]
fn the_page_says_what_the_commands_say() -> Result<()> {
    let page = std::fs::read_to_string(PAGE).context(PAGE)?;
    for command in COMMANDS {
        let told = on_page(&page, command).with_context(|| format!("no {}", command.line()))?;
        assert!(
            has_in_order(told, command.has),
            "{}: {:#?} not in {told}",
            command.line(),
            command.has
        );
    }
    for (line, text) in DOCUMENTED {
        assert!(page.contains(&format!("## `{line}`\n\nsipPROT 5:\n\n```\n{text}")), "{line}");
    }
    Ok(())
}

fn has_in_order(text: &str, parts: &[&str]) -> bool {
    let mut rest = text;
    parts.iter().all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

fn fields(value: &Value) -> Vec<&str> {
    value.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

/// One attacker blocked, one network on both lists, one row of a spreadsheet.
fn prepare(lab: &Lab, daemon: &Daemon) -> Result<()> {
    let csv = "IP_ADDRESS,NOTE,TIME,ADDED_BY \n\
               198.51.100.200,\"a private note\",2023-09-01 15:44:35,\"Ann Example (ann@example.net)\"\n";
    let file = lab.directory().join("deny.csv");
    std::fs::write(&file, csv)?;
    daemon.text(&["deny", "import", file.to_str().context("a path")?])?;
    daemon.text(&["allow", "add", "203.0.113.0/24"])?;
    daemon.text(&["deny", "add", "203.0.113.192/26"])?;
    let source = lab.newcomer().v4.into();
    let plan = Plan { guesses: 300, ..Plan::new(source, lab.pbxs[0].sip(Family::V4)) };
    cracker::attack_from(&lab.net.attackers, &plan)?;
    ensure!(daemon.check(source)?.blocked, "the attacker is not blocked");
    Ok(())
}

#[test]
fn every_command_says_what_it_said() -> Result<()> {
    // 198.51.100.0/24 is in France, 203.0.113.0/24 in Switzerland.
    let directory = tempfile::tempdir()?;
    let database = directory.path().join("countries");
    std::fs::write(&database, "3325256704,3325256959,FR\n3405803776,3405804031,CH\n")?;
    let line = format!("geo.databases = [{database:?}]");
    let settings = Settings { lines: vec![line], ..Settings::default() };
    let Some((lab, daemon)) = Lab::protected(Manners::default(), &settings)? else { return Ok(()) };
    prepare(&lab, &daemon)?;
    let (mut wrong, mut page) = (Vec::new(), HEAD.to_owned());
    let state = daemon.state_dir().display().to_string();
    for command in COMMANDS {
        let Command { words, has } = command;
        let text = daemon.text(words)?.replace(&state, "/var/lib/sipprot");
        println!("# {}\n{text}", command.line());
        page += &section(command, &text);
        if !has_in_order(&text, has) {
            wrong.push(format!("sipprot {words:?} lacks one of {has:#?}:\n{text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if std::env::var_os("SIPPROT_WRITE_DOCS").is_some() {
        std::fs::write(PAGE, page).context(PAGE)?;
    }

    // The record as other tools know it: its five fields first.
    let listed = daemon.text(&["list", "deny", "--covers", "198.51.100.200", "--json"])?;
    println!("{listed}");
    assert!(has_in_order(
        &listed,
        &[
            r#""ip":"#,
            r#""note":"#,
            r#""time":1693583075,"#,
            r#""added_by":"#,
            r#""geo_data":{"country_code":"FR","country_name":"France"}"#
        ]
    ));
    let report = daemon.json(&["report"])?;
    let row = &report["rows"][0];
    for field in ["attacker", "country_name", "method", "victim", "blocks"] {
        assert!(fields(row).contains(&field), "{row}");
    }
    let letter =
        daemon.text(&["report", "abuse", row["attacker"].as_str().context("an attacker")?])?;
    println!("{letter}");
    assert!(has_in_order(
        &letter,
        &["Reported by:", "All times are UTC", "Source:", "Evidence", "source port", "What we did"]
    ));
    let csv = daemon.text(&["report", "--days", "2", "--csv"])?;
    assert!(csv.starts_with("ATTACKER_IP,COUNTRY,METHOD,VICTIM_IP,BLOCKS,"), "{csv}");
    Ok(())
}
