//! A fleet far larger than a lab holds, simulated: the hub's book, messages and a host's list as they are
//! shipped, with no server and no network between them. What goes over the wire is counted in bytes.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use ipnetwork::IpNetwork;
use serde::Serialize;
use sipprot_ctl::fleet::curation::Book;
use sipprot_ctl::fleet::key::{self, Signer, Verifier};
use sipprot_ctl::fleet::message::{
    CHUNK_ENTRIES, Delta, ListChange, Manifest, REPORTS_MAX, Reports, digest, pack_chunk,
    unpack_chunk,
};
use sipprot_ctl::fleet::rules::{Rules, Spread};
use sipprot_ctl::fleet::{Grade, Health, Held, Report};

const HOSTS: u32 = 10_000;
const SOURCES: u32 = 1_000_000;
/// A quorum.
const PROOFS: u32 = 3;
const NOW: i64 = 1_800_000_000;
/// Between two messages of a host's health.
const HEALTH_S: f64 = 5.0;
/// Between a host's looks at the stream, in a fleet of this size.
const POLL_S: f64 = 200.0;
/// A look's request and answer.
const POLL_BYTES: f64 = 700.0;
const MIB: f64 = (1 << 20) as f64;

#[derive(Debug, Serialize)]
pub struct Fleet {
    pub hosts: u32,
    pub sources: u32,
    /// Curating alone, and with signature and JSON, in a message of 256 and of one.
    pub reports_per_second: f64,
    pub opened_per_second: f64,
    pub opened_alone_per_second: f64,
    pub hub_mib: f64,
    pub report_bytes: usize,
    pub delta_bytes: usize,
    pub health_bytes: usize,
    pub snapshot_mib: f64,
    pub snapshot_seconds: f64,
    /// A host that was away for a day: what it fetches, verifies and takes in.
    pub catch_up_seconds: f64,
    pub host_mib: f64,
}

pub fn measure() -> Result<Fleet> {
    let made = key::make_operator()?;
    let (signer, verifier) = (Signer::new(&made.seed)?, Verifier::new(&made.public)?);
    let alone = message(0, 1, [source(0)]).seal(&signer);
    let full: Vec<IpNetwork> = (0..REPORTS_MAX as u32).map(source).collect();
    let full = message(0, 1, full).seal(&signer);
    let opened_alone_per_second = opened(&verifier, &alone, 2_000)?;
    let opened_per_second = opened(&verifier, &full, 50)? * REPORTS_MAX as f64;

    let before = resident_mib()?;
    let mut book = Book::default();
    let rules = Rules {
        spread: Spread::Quorum,
        quorum: PROOFS,
        reports_per_hour: u32::MAX,
        ..Rules::default()
    };
    book.follow(rules, Vec::new());
    book.enrol(&(0..HOSTS).map(name).collect::<BTreeSet<_>>());
    let start = Instant::now();
    let mut sequences = vec![0u64; HOSTS as usize];
    let sources: Vec<u32> = (0..SOURCES).collect();
    for (number, part) in (0..).zip(sources.chunks(REPORTS_MAX)) {
        for proof in 0..PROOFS {
            let host = (number * PROOFS + proof) % HOSTS;
            let sequence = &mut sequences[host as usize];
            *sequence += 1;
            let message = message(host, *sequence, part.iter().map(|it| source(*it)));
            book.take(&name(host), message, NOW);
        }
    }
    let reports_per_second = f64::from(SOURCES * PROOFS) / start.elapsed().as_secs_f64();
    let hub_mib = resident_mib()? - before;

    let start = Instant::now();
    let listed: Vec<ListChange> = book.listed(NOW).map(ListChange::Put).collect();
    ensure!(listed.len() == SOURCES as usize, "{} listed", listed.len());
    let chunks: Vec<Vec<u8>> = listed.chunks(CHUNK_ENTRIES).map(pack_chunk).collect();
    let manifest = Manifest {
        generation: 1,
        revision: 100_000,
        at: NOW,
        recalled: 0,
        sequence: 0,
        set: 'a',
        entries: listed.len() as u64,
        poll_s: POLL_S as u32,
        chunks: chunks.iter().map(|chunk| digest(chunk)).collect(),
    };
    let sealed = manifest.seal(&signer);
    let snapshot_seconds = start.elapsed().as_secs_f64();
    let snapshot_mib = (chunks.iter().map(Vec::len).sum::<usize>() + sealed.len()) as f64 / MIB;
    let delta =
        Delta { generation: 1, revision: 2, at: NOW, recalled: 0, changes: listed[..1].to_vec() };
    let delta_bytes = delta.seal(&signer).len();
    drop((book, listed));

    let before = resident_mib()?;
    let start = Instant::now();
    let held = catch_up(&verifier, &sealed, &chunks)?;
    let catch_up_seconds = start.elapsed().as_secs_f64();
    ensure!(held.len() == SOURCES as usize, "{} held", held.len());
    let host_mib = resident_mib()? - before;
    let health = Health {
        host: name(0),
        sent_at: NOW,
        version: "0.1.0".to_owned(),
        mode: "enforce".to_owned(),
        interfaces: vec![("eth0".to_owned(), "native".to_owned())],
        fullest: Some(("BLOCKS".to_owned(), 1)),
        spare: (0..4).map(source).collect(),
        ..Health::default()
    };
    Ok(Fleet {
        hosts: HOSTS,
        sources: SOURCES,
        reports_per_second,
        opened_per_second,
        opened_alone_per_second,
        hub_mib,
        report_bytes: alone.len(),
        delta_bytes,
        health_bytes: health.seal(&signer).len(),
        snapshot_mib,
        snapshot_seconds,
        catch_up_seconds,
        host_mib,
    })
}

/// As a host does that knows nothing yet.
fn catch_up(verifier: &Verifier, sealed: &[u8], chunks: &[Vec<u8>]) -> Result<Held> {
    let refused = |why| anyhow!("refused: {why}");
    let manifest = Manifest::open(verifier, sealed).map_err(refused)?;
    let mut listed = Vec::new();
    for (chunk, expected) in chunks.iter().zip(&manifest.chunks) {
        ensure!(digest(chunk) == *expected, "another chunk");
        listed.extend(unpack_chunk(chunk).map_err(refused)?);
    }
    let mut held = Held::default();
    held.replace(&manifest, listed, NOW).map_err(refused)?;
    Ok(held)
}

/// Messages a second.
fn opened(verifier: &Verifier, message: &[u8], times: u32) -> Result<f64> {
    let start = Instant::now();
    for _ in 0..times {
        Reports::open(verifier, message).map_err(|why| anyhow!("refused: {why}"))?;
    }
    Ok(f64::from(times) / start.elapsed().as_secs_f64())
}

fn message(host: u32, sequence: u64, sources: impl IntoIterator<Item = IpNetwork>) -> Reports {
    let report = |source| Report {
        source,
        grade: Grade::Proven,
        rule: "BRUTEFORCE:register".to_owned(),
        count: 11,
        first: NOW - 60,
        last: NOW,
        user_agent: Some("friendly-scanner".to_owned()),
        country: Some("FR".to_owned()),
        endpoint: None,
        account: None,
    };
    let reports = sources.into_iter().map(report).collect();
    Reports { host: name(host), sequence, sent_at: NOW, reports }
}

fn name(host: u32) -> String {
    format!("pbx-{host:05}")
}

/// Nine of ten are of IPv4; none is private.
fn source(number: u32) -> IpNetwork {
    if number % 10 == 9 {
        let address = Ipv6Addr::from((0x2a00_0000_0000_0000 + u128::from(number)) << 64);
        return IpNetwork::new(address.into(), 64).unwrap_or_else(|_| unreachable!("a /64"));
    }
    IpNetwork::from(std::net::IpAddr::from(Ipv4Addr::from(0x2d00_0000 + number * 7)))
}

/// Without what was freed and is kept for later.
fn resident_mib() -> Result<f64> {
    // SAFETY: malloc_trim gives free memory back to the kernel and touches no other.
    unsafe { libc::malloc_trim(0) };
    let text = std::fs::read_to_string("/proc/self/status").context("read /proc/self/status")?;
    let kib = text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
    Ok(kib.context("VmRSS")?.parse::<f64>()? / 1024.0)
}

impl fmt::Display for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = f64::from(self.hosts);
        let mbit = |bytes: f64| bytes * 8.0 / 1e6;
        writeln!(f, "A FLEET, SIMULATED: {} hosts, {} listed sources", self.hosts, self.sources)?;
        writeln!(
            f,
            "hub: {:.0} MiB; {:.0} reports a second are curated, {:.0} opened and verified ({:.0} where each comes alone)",
            self.hub_mib,
            self.reports_per_second,
            self.opened_per_second,
            self.opened_alone_per_second
        )?;
        writeln!(
            f,
            "an attacker: 3 reports of {} bytes in, one delta of {} bytes out to each host: {:.1} MB in all",
            self.report_bytes,
            self.delta_bytes,
            self.delta_bytes as f64 * hosts / 1e6
        )?;
        writeln!(
            f,
            "at rest: health {} bytes of each host every 5 s, {:.1} Mbit/s in all; looks at the stream {:.2} Mbit/s",
            self.health_bytes,
            mbit(self.health_bytes as f64 * hosts / HEALTH_S),
            mbit(POLL_BYTES * hosts / POLL_S)
        )?;
        writeln!(
            f,
            "the whole list: {:.1} MiB, packed and signed in {:.2} s",
            self.snapshot_mib, self.snapshot_seconds
        )?;
        writeln!(
            f,
            "a host that was away for a day: {:.1} s for the list over 100 Mbit/s, {:.2} s to verify it and take it in; {:.0} MiB",
            self.snapshot_mib * MIB * 8.0 / 1e8,
            self.catch_up_seconds,
            self.host_mib
        )
    }
}
