//! Restart and stop, which are systemd's to do: where it did not start the daemon, that is said and nothing
//! done. Protection goes on meanwhile, since the programs stay in the kernel.

use std::process::{Command as Child, Stdio};

use tracing::{error, info};

use super::answers::Reply;
use super::core::Core;
use crate::api::{Answer, Done, Fault, ServiceAct, ServiceView, StopService};
use crate::store::Change;

const AGAIN_S: std::ops::RangeInclusive<u32> = 10..=86_400;

impl Core {
    pub(super) fn service(&self) -> ServiceView {
        ServiceView { unit: own_unit(), started_at: self.started_at.as_second() }
    }

    pub(super) fn act_on_service(&self, act: ServiceAct, reply: Reply) {
        let (store, record) = (self.store.clone(), self.journal.take());
        tokio::task::spawn_blocking(move || {
            let answer = commands(&act, own_unit().as_deref()).and_then(|(commands, message)| {
                // Before it ends us.
                if let (Some(store), Some(record)) = (store, record)
                    && let Err(error) = store.apply(&[Change::audited(record, Vec::new())])
                {
                    error!("store: {error}");
                }
                info!("{message}");
                commands.iter().try_for_each(|command| run(command))?;
                Ok(Answer::Done(Done::new(message)))
            });
            let _ = reply.send(answer);
        });
    }
}

fn own_unit() -> Option<String> {
    let pid = std::env::var("SYSTEMD_EXEC_PID").ok()?;
    let cgroups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    unit(&pid, std::process::id(), &cgroups)
}

/// The service whose main process this is: who was started from a service's shell is not it.
fn unit(exec_pid: &str, pid: u32, cgroups: &str) -> Option<String> {
    if exec_pid.parse() != Ok(pid) {
        return None;
    }
    let ours = |line: &&str| line.starts_with("0::") || line.contains(":name=systemd:");
    let paths = cgroups.lines().filter(ours);
    let mut names = paths.filter_map(|path| path.rsplit('/').find(|it| it.ends_with(".service")));
    names.next().map(str::to_owned)
}

type Words = Vec<String>;

/// What to run, one after the other, and what to say of it.
fn commands(act: &ServiceAct, unit: Option<&str>) -> Result<(Vec<Words>, String), Fault> {
    let Some(unit) = unit else {
        let message = "systemd did not start this daemon, so that it can't be restarted or stopped from \
                       here: do it where it was started";
        return Err(Fault::refused(message));
    };
    let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect::<Words>();
    let stop = || words(&["systemctl", "--no-block", "stop", unit]);
    Ok(match act {
        ServiceAct::Restart { by } => {
            let restart = words(&["systemctl", "--no-block", "restart", unit]);
            (vec![restart], format!("{unit} is restarted, by {by}"))
        }
        ServiceAct::Stop(StopService { again_in_s: None, by }) => {
            (vec![stop()], format!("{unit} is stopped, by {by}"))
        }
        ServiceAct::Stop(StopService { again_in_s: Some(seconds), by }) => {
            if !AGAIN_S.contains(seconds) {
                return Err(Fault::invalid("again_in_s", "expected 10 to 86400 seconds"));
            }
            let after = format!("--on-active={seconds}s");
            // First what brings it back.
            let again =
                words(&["systemd-run", "--quiet", "--collect", &after, "systemctl", "start", unit]);
            let message = format!("{unit} is stopped for {seconds} s, by {by}");
            (vec![again, stop()], message)
        }
    })
}

fn run(words: &[String]) -> Result<(), Fault> {
    let [program, arguments @ ..] = words else { return Ok(()) };
    let mut child = Child::new(program);
    child.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let why = match child.output() {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => {
            crate::message::clean(String::from_utf8_lossy(&output.stderr).trim().as_bytes(), 200)
        }
        Err(error) => error.to_string(),
    };
    error!("{}: {why}", words.join(" "));
    Err(Fault::unavailable(format!("{program} failed: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_that_of_its_main_process() {
        fn check(exec_pid: &str, cgroups: &str, expected: Option<&str>) {
            assert_eq!(unit(exec_pid, 7, cgroups).as_deref(), expected, "{exec_pid} {cgroups}");
        }
        check("7", "0::/system.slice/sipprot.service\n", Some("sipprot.service"));
        check("7", "1:name=systemd:/system.slice/a@b.service\n0::/\n", Some("a@b.service"));
        check("6", "0::/system.slice/cron.service\n", None);
        check("", "0::/system.slice/sipprot.service\n", None);
        check("7", "0::/user.slice/user-0.slice/session-2.scope\n", None);
        check("7", "0::/\n", None);
    }

    #[test]
    fn what_brings_it_back_comes_before_the_stop() {
        let by = || "ann".to_owned();
        let told = |act, unit| commands(&act, unit).map(|(all, _)| all);
        let stop = |again_in_s| ServiceAct::Stop(StopService { again_in_s, by: by() });
        let unit = Some("sipprot.service");
        let all = told(stop(Some(600)), unit).unwrap();
        let programs: Vec<&str> = all.iter().map(|it| it[0].as_str()).collect();
        assert_eq!(programs, ["systemd-run", "systemctl"]);
        assert!(all[0].contains(&"--on-active=600s".to_owned()));
        assert_eq!(told(stop(None), unit).unwrap().len(), 1);
        assert_eq!(told(stop(Some(1)), unit).unwrap_err().field.as_deref(), Some("again_in_s"));
        let refused = told(ServiceAct::Restart { by: by() }, None).unwrap_err();
        assert_eq!(refused.code, crate::api::Code::Refused);
    }
}
