//! A host with one or two uplinks, and the world at their other ends. On the host listens whoever counts what came.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddrV4, UdpSocket},
    ops::{Deref, DerefMut},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sipprot_tests::{
    daemon::Settings,
    outpost::{FAR_END, Outpost, cable},
    patience::wait_for,
};

const PORT: u16 = 5060;
/// How many times each source sends.
const TIMES: usize = 5;
const LISTENED: &str = "daft-scanner";
const PATIENCE: Duration = Duration::from_secs(10);

/// The host's address on an uplink, and the world's: one that is denied, and one that isn't.
struct Ends {
    host: Ipv4Addr,
    denied: Ipv4Addr,
    control: Ipv4Addr,
}

/// Each uplink has a network of its own.
fn ends(uplink: u8) -> Ends {
    let [host, denied, control] =
        [1, 66, 10].map(|last| Ipv4Addr::new(198, 51, 100, 128 * uplink + last));
    Ends { host, denied, control }
}

pub struct Stage(Outpost);

impl Deref for Stage {
    type Target = Outpost;

    fn deref(&self) -> &Outpost {
        &self.0
    }
}

impl DerefMut for Stage {
    fn deref_mut(&mut self) -> &mut Outpost {
        &mut self.0
    }
}

impl Stage {
    /// With one uplink, `up0`, which has no address yet; or `None`, and a line that says why.
    pub fn set() -> Result<Option<Self>> {
        let Some(outpost) = Outpost::build()? else { return Ok(None) };
        let agents = format!("sip.blocked_user_agents = [\"{LISTENED}\"]");
        outpost.daemon.configure(&Settings::of(&[&agents]))?;
        let stage = Self(outpost);
        stage.address_world(FAR_END, 0)?;
        Ok(Some(stage))
    }

    /// `up1`, with its addresses.
    pub fn second_uplink(&self) -> Result<()> {
        cable(&self.world, "down1", &self.host, "up1")?;
        self.address_world("down1", 1)?;
        self.address("up1", 1)
    }

    /// Gives an interface of the host the address of an uplink.
    pub fn address(&self, interface: &str, uplink: u8) -> Result<()> {
        self.host.ip(&format!("addr add {}/25 dev {interface}\n", ends(uplink).host))
    }

    pub fn address_world(&self, interface: &str, uplink: u8) -> Result<()> {
        let Ends { denied, control, .. } = ends(uplink);
        self.world.ip(&format!(
            "addr add {control}/25 dev {interface}\naddr add {denied}/25 dev {interface}\n"
        ))
    }

    /// What `status` says of each interface, and the kernel must say the same.
    pub fn interfaces(&self) -> Result<Vec<(String, Option<String>)>> {
        let status = self.daemon.json(&["status"])?;
        let mut found = Vec::new();
        for interface in status["interfaces"].as_array().context("interfaces")? {
            let name = interface["name"].as_str().context("a name")?.to_owned();
            let told = interface["xdp"].as_str().map(str::to_owned);
            ensure!(interface["attached"] == told.is_some(), "{status}");
            let is = self.mode_of(&name)?;
            ensure!(told.is_none() || told.as_deref() == is, "{name} is {is:?}, told is {status}");
            found.push((name, told));
        }
        Ok(found)
    }

    /// As the kernel tells it.
    fn mode_of(&self, interface: &str) -> Result<Option<&'static str>> {
        // XDP_ATTACHED_* of linux/if_link.h.
        let link = self.host.link(interface).unwrap_or_default();
        Ok(match link.pointer("/xdp/mode").and_then(Value::as_u64) {
            Some(1) => Some("native"),
            Some(2) => Some("generic"),
            _ => None,
        })
    }

    /// The number of the XDP program on an interface.
    pub fn program_of(&self, interface: &str) -> Result<Option<u64>> {
        Ok(self.host.link(interface)?.pointer("/xdp/prog/id").and_then(Value::as_u64))
    }

    /// Waits until `status` says of these interfaces alone that they are filtered, and that all is well.
    pub fn is_filtered(&self, expected: &[(&str, &str)]) -> Result<()> {
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, mode)| ((*name).to_owned(), Some((*mode).to_owned())))
            .collect();
        wait_for("the filter", || Ok((self.interfaces()? == expected).then_some(())))
            .with_context(|| format!("{:?}\n{}", self.interfaces(), self.daemon.log()))?;
        let status = self.daemon.json(&["status"])?;
        ensure!(
            status["protected"] == true && status["problems"] == serde_json::json!([]),
            "{status}"
        );
        Ok(())
    }

    /// Waits until `status` says that an interface isn't filtered.
    pub fn is_missed(&self, interface: &str) -> Result<()> {
        wait_for("what is missed", || {
            let status = self.daemon.json(&["status"])?;
            let told =
                status["problems"].to_string().contains(&format!("{interface} is not filtered"));
            Ok((told && status["protected"] == false).then_some(()))
        })
    }

    /// A denied source is dropped on an uplink, and another one passes.
    pub fn judges(&self, uplink: u8) -> Result<()> {
        self.judges_in(uplink, 64)
    }

    /// The same, with datagrams of so many bytes.
    pub fn judges_in(&self, uplink: u8, bytes: usize) -> Result<()> {
        let Ends { denied, control, .. } = ends(uplink);
        if self.daemon.process_id().is_some() {
            self.daemon.text(&["deny", "add", &denied.to_string()])?;
        }
        let before = self.dropped("denied")?;
        let padding = "x".repeat(bytes - 16);
        let came = self.came(uplink, &[(denied, &padding), (control, &padding)])?;
        ensure!(came == BTreeMap::from([(control, TIMES)]), "from uplink {uplink} came {came:?}");
        if let Some(before) = before {
            let dropped = self.dropped("denied")?.context("it went")? - before;
            ensure!(dropped as usize >= TIMES, "{dropped} were dropped, of {TIMES}");
        }
        Ok(())
    }

    /// A listed agent is found in a message of so many bytes, and one that isn't listed passes.
    pub fn agents_are_read(&self, bytes: usize) -> Result<()> {
        let message = |agent: &str| {
            let head = format!(
                "OPTIONS sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa\r\n\
                 User-Agent: {agent}\r\nCSeq: 1 OPTIONS\r\nContent-Type: text/plain\r\n\r\n"
            );
            let padding = "x".repeat(bytes - head.len());
            head + &padding
        };
        let source = ends(0).control;
        let came = self.came(0, &[(source, &message(LISTENED))])?;
        ensure!(came.is_empty(), "a listed agent came through: {came:?}");
        let came = self.came(0, &[(source, &message("a phone"))])?;
        ensure!(came == BTreeMap::from([(source, TIMES)]), "{came:?}");
        Ok(())
    }

    /// Packets that were dropped for a reason; nobody tells while no daemon runs.
    fn dropped(&self, reason: &str) -> Result<Option<u64>> {
        if self.daemon.process_id().is_none() {
            return Ok(None);
        }
        Ok(Some(self.daemon.dropped()?.get(reason).copied().unwrap_or(0)))
    }

    /// How many datagrams of each sender came in by an uplink, of those sent one after another; and behind them
    /// one that passes, from a port that nobody listens to SIP on.
    fn came(&self, uplink: u8, sent: &[(Ipv4Addr, &str)]) -> Result<BTreeMap<Ipv4Addr, usize>> {
        let Ends { host, control, .. } = ends(uplink);
        let listen = |port| {
            self.host.run(|| {
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).context("listen")?;
                socket.set_read_timeout(Some(PATIENCE)).context("set a time-out")?;
                Ok(socket)
            })
        };
        let (sip, end) = (listen(PORT)?, listen(PORT + 4)?);
        let from = |source| self.world.run(|| UdpSocket::bind((source, 0)).context("bind"));
        for (source, text) in sent {
            let socket = from(*source)?;
            for _ in 0..TIMES {
                socket.send_to(text.as_bytes(), (host, PORT)).context("send")?;
            }
        }
        // A cable keeps the order: what was sent before has come, or will not. A bond may need a moment.
        let last = from(control)?;
        wait_for("the uplink", || {
            last.send_to(b"the end", SocketAddrV4::new(host, PORT + 4)).context("send")?;
            end.set_read_timeout(Some(Duration::from_millis(100))).context("set a time-out")?;
            Ok(end.recv(&mut [0; 16]).ok().map(drop))
        })?;
        sip.set_nonblocking(true).context("don't wait")?;
        let mut came = BTreeMap::new();
        let mut buffer = vec![0; 65_536];
        while let Ok((_, source)) = sip.recv_from(&mut buffer) {
            if let IpAddr::V4(source) = source.ip() {
                *came.entry(source).or_default() += 1;
            }
        }
        Ok(came)
    }
}
