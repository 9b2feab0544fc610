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
    let mut wrong = Vec::new();
    for Command { words, has } in COMMANDS {
        let text = daemon.text(words)?;
        println!("# sipprot {}\n{text}", words.join(" "));
        if !has_in_order(&text, has) {
            wrong.push(format!("sipprot {words:?} lacks one of {has:#?}:\n{text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

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
