//! The lab: a protected host in front of real PBXs, with real phones and real attackers.
//!
//! Everything lives in network namespaces that a [`lab::Lab`] makes and removes; no interface of
//! the machine itself is touched, and no packet leaves it. The lab knows sipprot as its users do:
//! a binary, a config file and a command line. `datapath` stands apart: it tries the programs alone.
//!
//! Read in this order: `topology` (the map), `lab` (the whole), then the people in it.

/// Those whom the firewall is for.
pub mod attackers;
/// A real browser, by Playwright.
pub mod browser;
/// Builds of sipprot with a number changed in the programs within.
pub mod build;
/// A big office: five hundred phones that keep trying.
pub mod campus;
/// What PBXs saw and answered, and what attackers sent, told apart by source.
pub mod counter;
/// sipprot itself, as a child process and a command line.
pub mod daemon;
/// The datapath in the kernel and its model on the host, as tables of packets and verdicts.
pub mod datapath;
/// The demonstration: an office at work, attackers one after another, and what came of it.
pub mod demo;
/// Machines under QEMU.
pub mod emulated;
/// fail2ban, with jails of the test's own.
pub mod fail2ban;
/// What removes a lab, also one whose process was killed.
pub mod janitor;
/// systemd's journal.
pub mod journal;
/// Tests on another kernel.
pub mod kernels;
/// The whole lab, ready to use, and the guard that removes it.
pub mod lab;
/// A network namespace, and how to run something inside it.
pub mod namespace;
/// The office: fifty phones behind one address.
pub mod office;
/// A host and the world, and nothing else.
pub mod outpost;
/// Waiting for what others do in their own time.
pub mod patience;
/// Kamailio, asking for digest authentication.
pub mod pbx;
/// A child process that never outlives its owner.
pub mod process;
/// Those who are told: a mail server and a webhook.
pub mod receivers;
/// A terminal with somebody who types.
pub mod screen;
/// Services beside SIP, and the clients that ask them.
pub mod services;
/// SIP as the counter and the cracker need it: messages out of datagrams and streams.
pub mod sip;
/// SIPp: one run, its bounds and its counts.
pub mod sipp;
/// OpenSSH: a server that logs, and clients that log in or fail.
pub mod sshd;
/// The threat model's tests.
#[cfg(test)]
mod threats;
/// TLS as openssl speaks it: a certificate, and a client that says lines and hears the answers.
pub mod tls;
/// Addresses, all from the documentation ranges, and the links between the namespaces.
pub mod topology;
/// What a host loses while its firewall is stopped, killed, upgraded, or loses its disk.
pub mod torture;
/// The trunk: a provider that never registers.
pub mod trunk;
/// What a process takes: CPU time and memory.
pub mod usage;
/// HTTP: one request, and what came of it.
pub mod web;
