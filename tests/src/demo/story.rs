//! The acts.

use std::{
    io::BufRead,
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    Options,
    cast::{self, Character},
    outcome::{self, Attacker, Endpoint, Office, Outcome, Summary, Trunk},
    stage::Stage,
};
use crate::{
    daemon::{Check, Daemon, Settings},
    lab::Lab,
    office::PHONES,
    process::Process,
    sipp::{Calls, Sipp},
    topology::{Family, OFFICE, PBXS, TRUNK},
};

/// How often the live row is drawn anew.
const FRAME: Duration = Duration::from_millis(150);
/// How long the daemon may take to tell what it did.
const VERDICT_LIMIT: Duration = Duration::from_secs(2);
/// Calls all through the attacks: enough for the whole story.
const OFFICE_CALLS: u32 = 80;
const TRUNK_CALLS: u32 = 40;

pub struct Story<'a> {
    // Dropped in this order: the phones, sipprot, and what they ran in.
    business: Option<Business>,
    daemon: Option<Daemon>,
    lab: Lab,
    stage: &'a mut Stage,
    attackers: Vec<Attacker>,
    failures: Vec<String>,
}

/// Phones and trunk at work while the attacks go on.
struct Business {
    answering: Vec<Process>,
    renewals: Sipp,
    calls: Sipp,
    calls_out: Sipp,
    calls_in: Sipp,
}

impl<'a> Story<'a> {
    /// All of it; returns the object and what was not as it must be.
    pub fn play(
        lab: Lab,
        options: &Options,
        stage: &'a mut Stage,
    ) -> Result<(Summary, Vec<String>)> {
        let mut story = Self {
            business: None,
            daemon: None,
            lab,
            stage,
            attackers: Vec::new(),
            failures: Vec::new(),
        };
        let mode = story.protect(options)?;
        let registered = story.open_office()?;
        story.attacks()?;
        story.daemon_dies()?;
        let (office, trunk) = story.close_office(registered)?;
        story.tell()?;
        let endpoints = story.endpoints()?;
        let attackers = std::mem::take(&mut story.attackers);
        let summary = Summary { mode, attackers, office, trunk, endpoints };
        let mut failures = outcome::failures(&summary, options.register_limit);
        failures.append(&mut story.failures);
        if options.hold {
            story.hold()?;
        }
        Ok((summary, failures))
    }

    fn protect(&mut self, options: &Options) -> Result<String> {
        let [one, two] = PBXS.map(|pbx| pbx.v4);
        self.stage.line(&format!(
            "Two real PBXs (Kamailio) at {one} and {two} behind one host. All traffic from outside\n\
             enters that host by its uplink, {}.",
            self.lab.uplink()
        ))?;
        let Some(program) = &options.sipprot else {
            self.stage.line("Nobody protects them: this is what there is to lose.")?;
            return Ok("none".to_owned());
        };
        self.stage.heading("sipprot run")?;
        let daemon = self.daemon.insert(self.lab.daemon(program)?);
        daemon.configure(&Settings {
            register_limit: options.register_limit,
            ..Settings::default()
        })?;
        daemon.start()?;
        let mode = daemon.xdp_mode()?;
        self.stage.line(&format!(
            "It is attached to the uplink ({mode} XDP) and enforces: more than {} failed\n\
             registrations a minute are an attack.",
            options.register_limit
        ))?;
        Ok(mode)
    }

    /// Returns how many phones are registered.
    fn open_office(&mut self) -> Result<u32> {
        self.stage.heading("An office opens")?;
        let office = self.lab.office();
        let registered = office.register()?;
        self.stage.line(&format!(
            "{} of {PHONES} phones behind one address, {}, have registered, with the normal\n\
             challenge. From now on they call each other and the outside, and a trunk ({}),\n\
             which never registers, calls them, while the attacks go on.",
            registered.ok, OFFICE.v4, TRUNK.v4
        ))?;
        let mut answering = office.answer()?;
        let trunk = self.lab.trunk();
        answering.push(trunk.answer()?);
        self.business = Some(Business {
            answering,
            renewals: office.register_callers(1)?,
            calls: office.start_calls(OFFICE_CALLS, 2)?,
            calls_out: office.start_calls_out(TRUNK_CALLS / 2, 1)?,
            calls_in: trunk.start_calls_in(TRUNK_CALLS / 2, 1)?,
        });
        Ok(registered.ok)
    }

    fn attacks(&mut self) -> Result<()> {
        self.stage.heading("Scanners as packaged: they say who they are")?;
        self.act(cast::listed(&self.lab))?;
        self.stage.heading("The same scanners hide their agent")?;
        self.act(cast::hidden(&self.lab))?;
        self.stage
            .heading("A cracker: 5,000 guesses on one nonce, as fast as a socket takes them")?;
        self.act(cast::crackers(&self.lab))
    }

    fn daemon_dies(&mut self) -> Result<()> {
        if self.daemon.is_some() {
            self.stage.heading("kill -9: the daemon is dead, the kernel is alone")?;
        } else {
            self.stage.heading("More crackers")?;
        }
        if let Some(daemon) = &mut self.daemon {
            daemon.kill()?;
        }
        let before = self.attackers.len();
        self.old_acquaintance()?;
        self.act(cast::vultures(&self.lab))?;
        let Some(daemon) = &mut self.daemon else { return Ok(()) };
        self.stage.heading("sipprot run: the daemon is back")?;
        daemon.start()?;
        self.stage.titles()?;
        for number in before..self.attackers.len() {
            self.judge(number)?;
            self.stage.row(&self.attackers[number], true)?;
        }
        self.nothing_forgotten(before)
    }

    /// Whoever was blocked stays blocked.
    fn old_acquaintance(&mut self) -> Result<()> {
        let Some(known) = self.attackers.iter().find(|who| who.name == "cracker").cloned() else {
            return Ok(());
        };
        if known.outcome != Outcome::Blocked {
            return Ok(());
        }
        let before = self.lab.counts(known.source)?.all_requests();
        Character::returning(&self.lab, known.name, known.source).attack(&self.lab)?;
        let arrived = self.lab.counts(known.source)?.all_requests() - before;
        self.stage.line(&format!(
            "The cracker of before tries again: {arrived} of its requests reach the PBX."
        ))?;
        if arrived > 0 {
            let text =
                format!("with the daemon dead {arrived} requests of a blocked source arrived");
            self.failures.push(text);
        }
        Ok(())
    }

    /// Whoever was blocked before the restart is blocked after it.
    fn nothing_forgotten(&mut self, before: usize) -> Result<()> {
        for number in 0..before {
            let Attacker { name, source, outcome, .. } = self.attackers[number];
            let Some(daemon) = &self.daemon else { return Ok(()) };
            let check = daemon.check(source)?;
            if outcome == Outcome::Blocked && !check.blocked && !check.denied {
                self.failures.push(format!("the restart forgot the block of {name}"));
            }
        }
        Ok(())
    }

    /// One after another, each in a row of the table.
    fn act(&mut self, characters: Vec<Character>) -> Result<()> {
        self.stage.titles()?;
        for character in characters {
            let attacker = self.watch(&character)?;
            self.attackers.push(attacker);
            let number = self.attackers.len() - 1;
            let known = self.daemon.as_mut().is_none_or(Daemon::is_running);
            if known {
                self.judge(number)?;
            }
            self.stage.row(&self.attackers[number], known)?;
        }
        Ok(())
    }

    fn watch(&mut self, character: &Character) -> Result<Attacker> {
        let Character { name, source, .. } = character;
        let (lab, stage) = (&self.lab, &mut *self.stage);
        std::thread::scope(|scope| {
            let attack = scope.spawn(|| character.attack(lab));
            while !attack.is_finished() {
                let (sent, reached) = so_far(lab, *source);
                stage.live(name, &source.to_string(), sent, reached)?;
                std::thread::sleep(FRAME);
            }
            let ended = attack.join().map_err(|_| anyhow::anyhow!("{name} panicked"))?;
            ended.with_context(|| format!("attack of {name}"))
        })?;
        let (sent, seen) = (self.lab.sent.settled(*source)?, self.lab.counts(*source)?);
        let (sent, reached) = (sent.all_requests(), seen.all_requests());
        Ok(Attacker {
            name,
            source: *source,
            sent,
            reached,
            rejected_by_pbx: seen.rejected,
            outcome: Outcome::of(None, sent, reached),
            time_to_block_us: None,
        })
    }

    /// Asks the daemon what it made of an attacker.
    fn judge(&mut self, number: usize) -> Result<()> {
        let (Some(daemon), attacker) = (&self.daemon, &mut self.attackers[number]) else {
            return Ok(());
        };
        let start = Instant::now();
        let mut check = daemon.check(attacker.source)?;
        while !check.is_cut_off() && check.dropped() == 0 && start.elapsed() < VERDICT_LIMIT {
            std::thread::sleep(FRAME);
            check = daemon.check(attacker.source)?;
        }
        attacker.outcome = Outcome::of(Some(&check), attacker.sent, attacker.reached);
        attacker.time_to_block_us = check.block.as_ref().and_then(|block| block.reaction_us);
        Ok(())
    }

    fn close_office(&mut self, registered: u32) -> Result<(Office, Trunk)> {
        self.stage.heading("The office closes")?;
        // Those who answer must do so until the last call has ended.
        let Business { answering: _answering, renewals, calls, calls_out, calls_in } =
            self.business.take().context("the office never opened")?;
        let renewals = renewals.finish()?;
        let calls = calls.finish()? + calls_out.finish()?;
        let trunk_calls = calls_in.finish()?;
        let Calls { ok, failed } = calls;
        self.stage.line(&format!(
            "Office: {} renewals, {} failed; {ok} calls, {failed} failed.\n\
             Trunk: {} calls, {} failed.",
            renewals.ok, renewals.failed, trunk_calls.ok, trunk_calls.failed
        ))?;
        let office = Office {
            phones: PHONES,
            registered: registered.saturating_sub(renewals.failed),
            calls_ok: ok,
            calls_failed: failed,
            blocked: self.check(OFFICE.of(Family::V4))?.is_cut_off(),
        };
        let trunk = Trunk {
            calls_ok: trunk_calls.ok,
            calls_failed: trunk_calls.failed,
            blocked: self.check(TRUNK.of(Family::V4))?.is_cut_off(),
        };
        Ok((office, trunk))
    }

    fn check(&self, source: IpAddr) -> Result<Check> {
        self.daemon.as_ref().map_or_else(|| Ok(Check::default()), |daemon| daemon.check(source))
    }

    /// sipprot's own account of it.
    fn tell(&mut self) -> Result<()> {
        let Some(daemon) = &self.daemon else { return Ok(()) };
        self.stage.heading("What sipprot tells of it")?;
        let cracker = self.attackers.iter().find(|who| who.name == "cracker");
        let cracker = cracker.map_or(String::new(), |who| who.source.to_string());
        let office = OFFICE.v4.to_string();
        for arguments in [&["status"][..], &["report"], &["check", &cracker], &["check", &office]] {
            let printed = daemon.text(arguments)?;
            self.stage.command(&format!("sipprot {}", arguments.join(" ")), &printed)?;
        }
        Ok(())
    }

    fn endpoints(&self) -> Result<Vec<Endpoint>> {
        let Some(daemon) = &self.daemon else { return Ok(Vec::new()) };
        let attacks = daemon.attacks()?;
        Ok(attacks.into_iter().map(|(address, attacks)| Endpoint { address, attacks }).collect())
    }

    /// Everything stays up until Enter, or Ctrl-C, which the janitor cleans up after.
    fn hold(&mut self) -> Result<()> {
        self.stage.heading("The lab stays up")?;
        let id = self.lab.id().as_str().to_owned();
        let target = self.lab.pbxs[0].sip(Family::V4);
        let fresh = self.lab.newcomer().v4;
        let inside = |role: &str| format!("nsenter --net=/run/netns/{id}-{role}");
        if let Some(daemon) = &self.daemon {
            let command = daemon.command();
            let words = std::iter::once(command.get_program()).chain(command.get_args());
            let words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
            let words = words.join(" ");
            self.stage.line(&format!("sipprot        {} {words} status", inside("host")))?;
        }
        let cracker = std::env::current_exe().context("own path")?.with_file_name("cracker");
        self.stage.line(&format!(
            "attack again   {} {} --source {fresh} {target}\n\
             watch the wire {} tcpdump -ni {}\n\
             watch the PBX  {} tcpdump -ni eth0 port 5060\n\
             files, logs    {}\n\n\
             Enter or Ctrl-C ends it.",
            inside("attackers"),
            cracker.display(),
            inside("host"),
            self.lab.uplink(),
            inside("pbx1"),
            self.lab.directory().display(),
        ))?;
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line).context("wait for Enter")? == 0 {
            loop {
                // Nobody is at the keyboard: a signal ends it.
                std::thread::park();
            }
        }
        Ok(())
    }
}

/// Requests sent and arrived, while more may be on their way.
fn so_far(lab: &Lab, source: IpAddr) -> (u64, u64) {
    let reached = lab.pbxs.iter().map(|pbx| pbx.counter.of(source).all_requests()).sum();
    (lab.sent.of(source).all_requests(), reached)
}
