//! Two namespaces and a cable: at one end frames are forged in the kernel, at the other a filter is
//! tried. Sender and receiver share one core, to which the sender is pinned.
//!
//! Frames are "live" ones of BPF_PROG_TEST_RUN: a program writes another source into each and sends
//! it back out of the interface that it seems to come from. The receiver's half of the work is done
//! in softirqs of the same core, so the time of the call is that of both.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp};
use serde_json::Value;
use sipprot_tests::datapath::{Frame, Message};
use sipprot_tests::janitor::{self, Janitor, LabId};
use sipprot_tests::namespace::Namespace;
use sipprot_tests::topology::INTERFACE;

pub const ENDPOINT_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 11);
pub const ENDPOINT_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0x11);
/// Who sends where sources don't vary.
pub const FIXED_SOURCE: &str = "203.0.113.7";
/// Frames that are sent before the receiver has its turn.
const BATCH: u32 = 64;
const FRAMES_TO_BEGIN_WITH: u32 = 1 << 16;
const PAYLOAD: usize = 22;

pub struct Wire {
    pub sender: Namespace,
    pub receiver: Namespace,
    towards: [u8; 6],
    ifindex: u32,
    _janitor: Janitor,
}

/// What came through in one run.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub received: u64,
    pub sent: u64,
    pub elapsed: Duration,
}

impl Rate {
    pub fn mpps(&self) -> f64 {
        self.received as f64 / self.elapsed.as_secs_f64() / 1e6
    }
}

#[repr(C)]
struct XdpMd {
    data: u32,
    data_end: u32,
    data_meta: u32,
    ingress_ifindex: u32,
    rx_queue_index: u32,
    egress_ifindex: u32,
}

impl Wire {
    pub fn lay() -> Result<Self> {
        janitor::sweep()?;
        // No lab of the same process has this number.
        let id = LabId::new(1000);
        let janitor = Janitor::hire(&id)?;
        let sender = Namespace::create(&id.namespace("sender"))?;
        let receiver = Namespace::create(&id.namespace("receiver"))?;
        sender.ip(&format!(
            "link add name {INTERFACE} type veth peer name {INTERFACE} netns {}\n\
             link set {INTERFACE} up\n\
             addr add 192.0.2.1/24 dev {INTERFACE}\n",
            receiver.name()
        ))?;
        receiver.ip(&format!(
            "link set {INTERFACE} up\n\
             addr add {ENDPOINT_V4}/24 dev {INTERFACE}\n\
             addr add {ENDPOINT_V6}/64 dev {INTERFACE} nodad\n\
             neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev {INTERFACE}\n\
             route add default via 192.0.2.1\n"
        ))?;
        for key in ["all", "default", INTERFACE] {
            receiver.sysctl(&format!("net/ipv4/conf/{key}/rp_filter"), "0")?;
        }
        sender.plain_packets(INTERFACE)?;
        receiver.plain_packets(INTERFACE)?;
        let towards = receiver.hardware_address(INTERFACE)?;
        let index = sender.link(INTERFACE)?["ifindex"].as_u64();
        let ifindex = index.context("an interface index")? as u32;
        Ok(Self { sender, receiver, towards, ifindex, _janitor: janitor })
    }

    /// A small UDP datagram to a port of the endpoint.
    pub fn datagram(&self, v6: bool, port: u16) -> Vec<u8> {
        self.addressed(v6, port, vec![b'x'; PAYLOAD])
    }

    /// A REGISTER as phones send it, in a frame of about 600 bytes.
    pub fn register(&self) -> Vec<u8> {
        self.addressed(false, 5060, register())
    }

    fn addressed(&self, v6: bool, port: u16, payload: impl Into<Vec<u8>>) -> Vec<u8> {
        let mut bytes = frame(v6, port).payload(payload).bytes();
        bytes[..6].copy_from_slice(&self.towards);
        bytes
    }

    /// Lets the receiver take frames without a program of its own: its end then works by NAPI.
    pub fn without_xdp(&self) -> Result<()> {
        let status = self.receiver.command("ethtool").args(["-K", INTERFACE, "gro", "on"]).status();
        ensure!(status.context("run ethtool")?.success(), "cannot turn GRO on");
        Ok(())
    }

    /// The best of `runs` runs of about `time` each: what disturbs one only ever makes it slower. A
    /// first run finds out how many frames these are.
    pub fn flood(&self, generator: &Xdp, frame: &[u8], time: Duration, runs: u32) -> Result<Rate> {
        let mut best = self.send(generator, frame, FRAMES_TO_BEGIN_WITH)?;
        let per_second = f64::from(FRAMES_TO_BEGIN_WITH) / best.elapsed.as_secs_f64();
        let frames = (per_second * time.as_secs_f64()).clamp(1e4, 4e9) as u32;
        for _ in 0..runs {
            let rate = self.send(generator, frame, frames)?;
            if rate.mpps() > best.mpps() {
                best = rate;
            }
        }
        Ok(best)
    }

    fn send(&self, generator: &Xdp, frame: &[u8], frames: u32) -> Result<Rate> {
        let before = received(&self.receiver)?;
        let context = XdpMd {
            data: 0,
            data_end: frame.len() as u32,
            data_meta: 0,
            ingress_ifindex: self.ifindex,
            rx_queue_index: 0,
            egress_ifindex: 0,
        };
        // SAFETY: six words without padding, which live as long as `context`.
        let context = unsafe {
            std::slice::from_raw_parts((&raw const context).cast::<u8>(), size_of::<XdpMd>())
        };
        let elapsed = self.sender.run(|| {
            pin_to_last_cpu()?;
            let options = TestRunOptions {
                data_in: Some(frame),
                ctx_in: Some(context),
                repeat: frames,
                attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
                ..TestRunOptions::new()
            };
            let start = Instant::now();
            generator.test_run(options).context("cannot send live frames")?;
            Ok(start.elapsed())
        })?;
        let received = received(&self.receiver)? - before;
        Ok(Rate { received, sent: frames.into(), elapsed })
    }
}

/// A datagram to the endpoint from the fixed source, without its payload.
pub fn frame(v6: bool, port: u16) -> Frame {
    match v6 {
        true => Frame::udp("[2001:db8:bad::7]:40000", &format!("[{ENDPOINT_V6}]:{port}")),
        false => Frame::udp(&format!("{FIXED_SOURCE}:40000"), &format!("{ENDPOINT_V4}:{port}")),
    }
}

/// About 560 bytes.
pub fn register() -> Message {
    Message::request("REGISTER")
        .header("Contact", "<sip:100@203.0.113.7:5060;transport=udp>;expires=3600")
        .header(
            "Allow",
            "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER, SUBSCRIBE, INFO, UPDATE",
        )
        .agent("Yealink SIP-T46S 66.85.0.5")
        .header("Supported", "path, gruu, outbound, timer, 100rel")
}

fn received(namespace: &Namespace) -> Result<u64> {
    let link = namespace.link(INTERFACE)?;
    link.pointer("/stats64/rx/packets").and_then(Value::as_u64).context("a count of packets")
}

/// Of this thread alone. The last one: the first takes most interrupts.
pub fn pin_to_last_cpu() -> Result<()> {
    pin(cpus()? - 1)
}

/// Of the machine, wherever this thread is pinned.
pub fn cpus() -> Result<usize> {
    // SAFETY: sysconf takes a name and has no other effect.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    ensure!(count > 0, "cannot count the CPUs: {}", std::io::Error::last_os_error());
    Ok(count as usize)
}

pub fn pin(cpu: usize) -> Result<()> {
    // SAFETY: all-zero is a valid set, which CPU_SET and the call only use within its size.
    let done = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    ensure!(done == 0, "cannot pin to CPU {cpu}: {}", std::io::Error::last_os_error());
    Ok(())
}
