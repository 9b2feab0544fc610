//! The services beside SIP: ceilings of what a source asks of them, DNS answers that are too long, and
//! blocks of one of them alone.

use sipprot_common::abi::*;
use sipprot_common::guard::Service;
use sipprot_common::policy::Protection;
use sipprot_common::reason::Reason;
use sipprot_tests::datapath::frame::{ACK, PSH, RST, SYN};
use sipprot_tests::datapath::world::{Block, Listing};
use sipprot_tests::datapath::{Case, Datapath, Frame, Kernel, Policy, World, check_all, kernel};

use crate::places::*;

#[test]
fn guards() {
    check_all(&cases());
}

pub fn cases() -> Vec<Case> {
    let mut cases = scopes();
    cases.extend(ceilings());
    cases.extend(requests());
    cases.extend(modes());
    cases.extend(datagrams());
    cases.extend(streams());
    cases
}

fn host() -> Policy {
    Policy::new(0)
        .guards(22, Service::Ssh)
        .guards(80, Service::Http)
        .guards(443, Service::Http)
        .guards(69, Service::Tftp)
        .ports(443..=443, PORT_SIP_OPAQUE)
}

/// Mallory opens a connection to a port of the PBX.
fn opens(port: u16) -> Frame {
    Frame::tcp(MALLORY, &format!("198.51.100.10:{port}")).segment(SYN, 1, 0)
}

fn scopes() -> Vec<Case> {
    let blocked = |scope: u8| World::of(host()).block(Block::new(MALLORY_ADDRESS).scope(scope));
    let udp = |port: u16| Frame::udp(MALLORY, &format!("198.51.100.10:{port}"));
    vec![
        Case::new("a block of ssh stops ssh alone", blocked(SCOPE_SSH))
            .ingress(&opens(22), Reason::Blocked)
            .ingress(&Frame::tcp(MALLORY, "198.51.100.10:22"), Reason::Blocked)
            .ingress(&udp(22), Reason::Other)
            .ingress(&opens(23), Reason::Other)
            .ingress(&opens(80), Reason::Other)
            .ingress(&says(register()), Reason::SipRequest),
        Case::new("a block of http stops http alone", blocked(SCOPE_HTTP))
            .ingress(&opens(80), Reason::Blocked)
            .ingress(&opens(443), Reason::Blocked)
            .ingress(&opens(22), Reason::Other)
            .ingress(&udp(69), Reason::Other)
            .ingress(&says(register()), Reason::SipRequest),
        Case::new("a block of both", blocked(SCOPE_SSH | SCOPE_HTTP))
            .ingress(&opens(22), Reason::Blocked)
            .ingress(&opens(80), Reason::Blocked)
            .ingress(&says(register()), Reason::SipRequest),
        Case::new("a block of SIP reaches a port of both", blocked(SCOPE_SIP))
            .ingress(&opens(443), Reason::Blocked)
            .ingress(&opens(80), Reason::Other)
            .ingress(&opens(22), Reason::Other),
        Case::new("new connections renew a block, as requests do", {
            let block = Block::new(MALLORY_ADDRESS).expires(10, 100).scope(SCOPE_SSH);
            World::of(host()).block(block)
        })
        .ingress_each(0..10, |_| opens(22), Reason::Blocked)
        .ingress_each(0..9, |_| Frame::tcp(MALLORY, "198.51.100.10:22"), Reason::Blocked)
        .events(&[])
        .ingress(&opens(22), Reason::Blocked)
        .events(&[(EVENT_RENEWED, 0)])
        .wait(15)
        .ingress(&opens(22), Reason::Blocked),
        Case::new("a denial of ssh alone", {
            World::of(host()).deny(Listing::new("203.0.113.0/24").scope(SCOPE_SSH))
        })
        .ingress(&opens(22), Reason::Denied)
        .ingress(&opens(80), Reason::Other)
        .ingress(&says(register()), Reason::SipRequest),
    ]
}

/// Two new connections or requests at once, then ten a minute.
fn limited() -> Policy {
    [Service::Ssh, Service::Http, Service::Tftp]
        .into_iter()
        .fold(host(), |host, service| host.guard_ceiling(service, 10, 2))
}

/// A guarded service: where it is, who asks, and for what reason that is too much.
struct Asked {
    name: &'static str,
    ask: fn(&str) -> Frame,
    passes: Reason,
    over: Reason,
}

fn read_request() -> Vec<u8> {
    b"\0\x01phone.cfg\0octet\0".to_vec()
}

const ASKED: &[Asked] = &[
    Asked {
        name: "ssh",
        ask: |source| Frame::tcp(source, "198.51.100.10:22").segment(SYN, 1, 0),
        passes: Reason::Other,
        over: Reason::SshCeiling,
    },
    Asked {
        name: "http",
        ask: |source| Frame::tcp(source, "198.51.100.10:80").segment(SYN, 1, 0),
        passes: Reason::Other,
        over: Reason::HttpCeiling,
    },
    Asked {
        name: "http where SIP over WebSocket is, too",
        ask: |source| Frame::tcp(source, "198.51.100.10:443").segment(SYN, 1, 0),
        passes: Reason::SipOpaque,
        over: Reason::HttpCeiling,
    },
    Asked {
        name: "TFTP",
        ask: |source| Frame::udp(source, "198.51.100.10:69").payload(read_request()),
        passes: Reason::Other,
        over: Reason::TftpCeiling,
    },
    Asked {
        name: "ssh over IPv6",
        ask: |source| {
            let last: u32 = source.rsplit(':').next().and_then(|it| it.parse().ok()).unwrap_or(0);
            let source = format!("[2001:db8:bad:{last:x}::7]:1");
            Frame::tcp(&source, "[2001:db8:100::10]:22").segment(SYN, 1, 0).vlans(1)
        },
        passes: Reason::Other,
        over: Reason::SshCeiling,
    },
    Asked {
        name: "TFTP over IPv6",
        ask: |source| {
            let last: u32 = source.rsplit(':').next().and_then(|it| it.parse().ok()).unwrap_or(0);
            let source = format!("[2001:db8:bad:{last:x}::7]:1");
            Frame::udp(&source, "[2001:db8:100::10]:69").payload(read_request()).vlans(2)
        },
        passes: Reason::Other,
        over: Reason::TftpCeiling,
    },
];

fn ceilings() -> Vec<Case> {
    let each = ASKED.iter().map(|asked| {
        let ask = |source: &str| (asked.ask)(source);
        Case::new(format!("{}: a burst, then a rate", asked.name), World::of(limited()))
            .ingress_each(0..2, |_| ask("203.0.113.7:1"), asked.passes)
            .ingress_each(0..3, |_| ask("203.0.113.7:1"), asked.over)
            .events(&[(EVENT_DROP, 0); 3])
            .ingress(&ask("203.0.113.8:2"), asked.passes)
            .wait(5)
            .ingress(&ask("203.0.113.7:1"), asked.over)
            .wait(1)
            .ingress(&ask("203.0.113.7:1"), asked.passes)
            .ingress(&ask("203.0.113.7:1"), asked.over)
            .wait(600)
            .ingress_each(0..2, |_| ask("203.0.113.7:1"), asked.passes)
            .ingress(&ask("203.0.113.7:1"), asked.over)
    });
    each.collect()
}

fn requests() -> Vec<Case> {
    let segment = |flags: u8| Frame::tcp(MALLORY, "198.51.100.10:22").segment(flags, 1, 1);
    let tftp = |port: u16, payload: &[u8]| {
        Frame::udp(&format!("203.0.113.7:{port}"), "198.51.100.10:69").payload(payload)
    };
    let tenant = Policy { index: 7, ..limited() };
    let to_tenant = Frame::tcp(MALLORY, "198.51.100.20:22").segment(SYN, 1, 0);
    let office = || World::of(limited()).office(MALLORY_ADDRESS, 3);
    let in_a_64 = |last: u32| {
        let source = format!("[2001:db8:bad::{last:x}]:1");
        Frame::tcp(&source, "[2001:db8:100::10]:22").segment(SYN, 1, 0)
    };
    let answers = || Frame::udp("198.51.100.10:69", MALLORY).payload([0; 516]);
    vec![
        Case::new("only what opens a connection counts", World::of(limited()))
            .ingress_each(0..2, |_| opens(22), Reason::Other)
            .ingress_each(0..9, |_| segment(ACK), Reason::Other)
            .ingress(&segment(PSH | ACK).payload([1; 40]), Reason::Other)
            .ingress(&segment(RST), Reason::Other)
            .ingress(&segment(SYN | ACK), Reason::Other)
            .ingress(&opens(22), Reason::SshCeiling),
        Case::new("each service has its own", World::of(limited()))
            .ingress_each(0..2, |_| opens(22), Reason::Other)
            .ingress_each(0..2, |_| opens(80), Reason::Other)
            .ingress_each(0..2, |_| tftp(1, &read_request()), Reason::Other)
            .ingress(&opens(22), Reason::SshCeiling)
            .ingress(&opens(80), Reason::HttpCeiling)
            .ingress(&tftp(1, &read_request()), Reason::TftpCeiling),
        Case::new(
            "all ports of a service together",
            World::of(limited().guards(2222, Service::Ssh)),
        )
        .ingress(&opens(22), Reason::Other)
        .ingress(&opens(2222), Reason::Other)
        .ingress(&opens(22), Reason::SshCeiling),
        Case::new("all endpoints together", {
            World::of(limited()).endpoint("198.51.100.20", tenant.clone())
        })
        .ingress_each(0..2, |_| opens(22), Reason::Other)
        .ingress(&to_tenant, Reason::SshCeiling)
        .under(7),
        Case::new("an endpoint with limits of its own counts apart", {
            let tenant = tenant.clone().guard_ceiling(Service::Ssh, 10, 3).counts_apart();
            World::of(limited()).endpoint("198.51.100.20", tenant)
        })
        .ingress_each(0..2, |_| opens(22), Reason::Other)
        .ingress(&opens(22), Reason::SshCeiling)
        .ingress(&to_tenant, Reason::Other)
        .under(7)
        .ingress(&to_tenant, Reason::Other)
        .under(7)
        .ingress(&to_tenant, Reason::Other)
        .under(7)
        .ingress(&to_tenant, Reason::SshCeiling)
        .under(7)
        .wait(6)
        .ingress(&opens(22), Reason::Other)
        .ingress(&to_tenant, Reason::Other)
        .under(7),
        Case::new("a /64 is one source", World::of(limited()))
            .ingress_each(1..3, in_a_64, Reason::Other)
            .ingress(&in_a_64(3), Reason::SshCeiling),
        Case::new("whatever is sent to TFTP counts, from any port", World::of(limited()))
            .ingress(&tftp(1, b"\0\x02up\0octet\0"), Reason::Other)
            .ingress(&tftp(2, b""), Reason::Other)
            .ingress(&tftp(3, b"\0\x01a\0octet\0"), Reason::TftpCeiling)
            .egress(&answers()),
        Case::new("of a fragmented request the first fragment counts", World::of(limited()))
            .ingress_each(0..2, |_| tftp(1, &[0; 64]).fragment(0, true), Reason::Other)
            .ingress(&tftp(1, &[0; 64]).fragment(0, true), Reason::TftpCeiling)
            .ingress(&tftp(1, &[0; 64]).fragment(9, false), Reason::LaterFragment),
        Case::new("a SYN cut in two is a SYN (RFC 1858)", World::of(limited()))
            .ingress_each(0..2, |_| opens(22), Reason::Other)
            .ingress_bytes(cut(&opens(22), 8), Reason::SshCeiling)
            .ingress_bytes(cut(&opens(22), 16), Reason::SshCeiling)
            .ingress_bytes(cut(&opens(23), 8), Reason::Other),
        Case::new("and so is one whose options are elsewhere", World::of(limited()))
            .ingress_each(0..2, |_| opens(22), Reason::Other)
            .ingress_bytes(
                {
                    let mut bytes = cut(&opens(22), 20);
                    bytes[14 + 20 + 12] = 0xf0;
                    bytes
                },
                Reason::SshCeiling,
            ),
        Case::new("other transports and ports are not guarded", World::of(limited()))
            .ingress_each(0..9, |_| Frame::udp(MALLORY, "198.51.100.10:22"), Reason::Other)
            .ingress_each(0..9, |_| opens(69), Reason::Other)
            .ingress_each(0..9, |_| opens(23), Reason::Other),
        Case::new("an office fetches for each of its phones", office())
            .ingress_each(0..4, |_| tftp(1, &read_request()), Reason::Other)
            .ingress(&tftp(1, &read_request()), Reason::TftpCeiling)
            .wait(2)
            .ingress(&tftp(1, &read_request()), Reason::Other)
            .ingress(&tftp(1, &read_request()), Reason::TftpCeiling)
            .ingress_each(0..4, |_| opens(80), Reason::Other)
            .ingress(&opens(80), Reason::HttpCeiling),
        Case::new("but its phones don't ssh", office())
            .ingress_each(0..2, |_| opens(22), Reason::Other)
            .ingress(&opens(22), Reason::SshCeiling),
        Case::new("nothing is held against its SIP", office())
            .ingress_each(0..2, |_| opens(22), Reason::Other)
            .ingress_each(0..9, |_| opens(22), Reason::SshCeiling)
            .ingress(&says(register()), Reason::SipRequest),
        Case::new("the allowlist goes before", {
            World::of(limited()).allow(Listing::new(MALLORY_ADDRESS))
        })
        .ingress_each(0..9, |_| opens(22), Reason::Allowed),
        Case::new("no limit where none is set", World::of(host())).ingress_each(
            0..50,
            |_| opens(22),
            Reason::Other,
        ),
    ]
}

/// The first fragment of a frame, with so many bytes of TCP.
fn cut(frame: &Frame, length: usize) -> Vec<u8> {
    let mut bytes = frame.clone().fragment(0, true).bytes();
    bytes.truncate(14 + 20 + length);
    bytes[16..18].copy_from_slice(&(20 + length as u16).to_be_bytes());
    bytes
}

fn modes() -> Vec<Case> {
    let observed = EVENT_FLAG_OBSERVED;
    let mut cases = Vec::new();
    for (asked, protection) in
        [(&ASKED[0], Protection::Ssh), (&ASKED[1], Protection::Http), (&ASKED[3], Protection::Tftp)]
    {
        let (name, ask) = (asked.name, || (asked.ask)(MALLORY));
        let watched = |name: String, host: Policy| {
            Case::new(name, World::of(host))
                .ingress_each(0..2, |_| ask(), asked.passes)
                .ingress(&ask(), asked.passes)
                .observed(asked.over)
                .events(&[(EVENT_DROP, observed)])
        };
        cases.extend([
            watched(format!("{name}: the guard observes"), limited().observe(protection)),
            watched(format!("{name}: the policy observes"), limited().mode(MODE_OBSERVE)),
            Case::new(format!("{name}: the guard is off"), World::of(limited().off(protection)))
                .ingress_each(0..9, |_| ask(), asked.passes)
                .events(&[]),
            Case::new(
                format!("{name}: another guard is off"),
                World::of(limited().off(Protection::Dns)),
            )
            .ingress_each(0..2, |_| ask(), asked.passes)
            .ingress(&ask(), asked.over),
        ]);
    }
    let long = || answer(2049);
    cases.extend([
        Case::new("DNS: the guard observes", World::of(resolves().observe(Protection::Dns)))
            .ingress(&long(), Reason::Other)
            .observed(Reason::DnsOversize)
            .events(&[(EVENT_DROP, observed)]),
        Case::new("DNS: the guard is off", World::of(resolves().off(Protection::Dns)))
            .ingress(&long(), Reason::Other)
            .events(&[]),
        Case::new("DNS: an endpoint that only observes", {
            let tenant = Policy { index: 7, ..resolves() };
            World::of(resolves()).endpoint("198.51.100.20", tenant.observe(Protection::Dns))
        })
        .ingress(&long(), Reason::DnsOversize)
        .ingress(&Frame::udp(SERVER, "198.51.100.20:4000").payload([0; 2049]), Reason::Other)
        .under(7)
        .observed(Reason::DnsOversize),
    ]);
    cases
}

/// A name server, and who asks it.
const SERVER: &str = "192.0.2.53:53";
const SERVER_V6: &str = "[2001:db8:53::53]:53";
const CLIENT: &str = "198.51.100.10:40000";
const CLIENT_V6: &str = "[2001:db8:100::10]:40000";

fn resolves() -> Policy {
    Policy::new(0).dns(2048, 2048)
}

/// A UDP answer of so many bytes.
fn answer(length: usize) -> Frame {
    Frame::udp(SERVER, CLIENT).payload(vec![0; length])
}

/// Its first fragment, though the header says more.
fn first_fragment(server: &str, client: &str, says: u16) -> Vec<u8> {
    let frame = Frame::udp(server, client).payload([0; 512]).fragment(0, true);
    let mut bytes = frame.bytes();
    let header = bytes.len() - 512 - 8;
    bytes[header + 4..header + 6].copy_from_slice(&says.to_be_bytes());
    bytes
}

fn datagrams() -> Vec<Case> {
    let strict = || Policy::new(0).dns(512, 1024);
    let v6 = |length: usize| Frame::udp(SERVER_V6, CLIENT_V6).payload(vec![0; length]);
    let exempt = |network: &str| World::of(resolves()).resolver(network);
    let fragment = |says: u16| first_fragment(SERVER, CLIENT, says);
    let fragment_v6 = |says: u16| first_fragment(SERVER_V6, CLIENT_V6, says);
    vec![
        Case::new("answers up to 2,048 bytes (CVE-2015-7547)", World::of(resolves()))
            .ingress(&answer(2048), Reason::Other)
            .ingress(&answer(2049), Reason::DnsOversize)
            .ingress(&answer(2049).vlans(2), Reason::DnsOversize)
            .ingress(&v6(2048), Reason::Other)
            .ingress(&v6(2049).vlans(1), Reason::DnsOversize),
        Case::new("glibc's advice: 512 bytes", World::of(strict()))
            .ingress(&answer(512), Reason::Other)
            .ingress(&answer(513), Reason::DnsOversize)
            .ingress(&v6(512), Reason::Other)
            .ingress(&v6(513), Reason::DnsOversize),
        Case::new("the first fragment says how long it will be", World::of(resolves()))
            .ingress_bytes(fragment(8 + 2048), Reason::Other)
            .ingress_bytes(fragment(8 + 2049), Reason::DnsOversize)
            .ingress(&answer(512).fragment(65, false), Reason::LaterFragment)
            .ingress_bytes(fragment_v6(8 + 2048), Reason::Other)
            .ingress_bytes(fragment_v6(8 + 2049), Reason::DnsOversize),
        Case::new("or doesn't say, and is not believed", World::of(resolves()))
            .ingress_bytes(fragment_v6(0), Reason::DnsOversize),
        Case::new("only what comes from port 53", World::of(resolves()))
            .ingress(&Frame::udp("192.0.2.53:5353", CLIENT).payload([0; 3000]), Reason::Other)
            .ingress(
                &Frame::udp("192.0.2.53:4000", "198.51.100.10:53").payload([0; 3000]),
                Reason::Other,
            ),
        Case::new("an exempt resolver", exempt("192.0.2.0/24"))
            .ingress(&answer(3000), Reason::Other)
            .ingress(&v6(3000), Reason::DnsOversize),
        Case::new("over IPv6", exempt("2001:db8:53::/48"))
            .ingress(&answer(3000), Reason::DnsOversize)
            .ingress(&v6(3000), Reason::Other),
        Case::new("who has its address inside another is not exempt", exempt("192.0.2.53"))
            .ingress(
                &Frame::udp("[2002:c000:235::1]:53", CLIENT_V6).payload([0; 3000]),
                Reason::DnsOversize,
            ),
    ]
}

/// Sequence numbers before those of the first bytes.
const ASKS: u32 = 0x1000;
const FIRST: u32 = 0xffff_fffe;

fn asks(flags: u8) -> Frame {
    Frame::tcp(CLIENT, SERVER).segment(flags, ASKS, FIRST.wrapping_add(1))
}

/// The server's bytes from an offset in its stream.
fn says_at(offset: i32, bytes: &[u8]) -> Frame {
    let sequence = FIRST.wrapping_add(1).wrapping_add_signed(offset);
    Frame::tcp(SERVER, CLIENT).segment(PSH | ACK, sequence, ASKS + 1).payload(bytes)
}

/// The same, with the length before an answer; less of that comes at once.
fn says_length(length: u16) -> Frame {
    says_at(0, &[&length.to_be_bytes()[..], &[0; 100]].concat())
}

/// A connection that the client has opened.
fn connected(name: &str, host: Policy) -> Case {
    Case::new(name, World::of(host))
        .egress(&asks(SYN))
        .ingress(&Frame::tcp(SERVER, CLIENT).segment(SYN | ACK, FIRST, ASKS + 1), Reason::Other)
        .egress(&asks(ACK))
}

fn streams() -> Vec<Case> {
    let v6 = |length: u16| {
        let bytes = [&length.to_be_bytes()[..], &[0; 100]].concat();
        Frame::tcp(SERVER_V6, CLIENT_V6).segment(ACK, 8, 1).payload(bytes)
    };
    let asks_v6 = |flags: u8| Frame::tcp(CLIENT_V6, SERVER_V6).segment(flags, 1, 8);
    vec![
        connected("an answer of 2,048 bytes over TCP", resolves())
            .ingress(&says_length(2048), Reason::Other)
            .ingress(&says_at(102, &[0xff; 1000]), Reason::Other),
        connected("and a longer one", resolves())
            .ingress(&says_length(2049), Reason::DnsOversize)
            .ingress(&says_length(2049).vlans(2), Reason::DnsOversize)
            .ingress(&says_length(u16::MAX), Reason::DnsOversize),
        connected("glibc's advice over TCP: 1,024 bytes", Policy::new(0).dns(512, 1024))
            .ingress(&says_length(1025), Reason::DnsOversize)
            .ingress(&says_length(1024), Reason::Other),
        Case::new("over TCP and IPv6", World::of(resolves()))
            .egress(&asks_v6(SYN))
            .egress(&asks_v6(ACK))
            .ingress(&v6(2048).vlans(1), Reason::Other)
            .ingress(&v6(2049), Reason::DnsOversize),
        connected("a length that comes alone is read", resolves())
            .ingress(&says_at(0, &[8, 0]), Reason::Other)
            .ingress(&says_at(0, &[8, 1]), Reason::DnsOversize),
        connected("one that is cut in two isn't let in", resolves())
            .ingress(&says_at(0, &[0]), Reason::DnsOversize)
            .ingress(&says_at(1, &[40, 0, 0]), Reason::Other)
            .ingress(&says_at(0, &[0, 40, 0, 0]), Reason::Other),
        connected("what repeats an acknowledged byte hides nothing", resolves())
            .ingress(&says_at(-1, &[0, 8, 0, 1]), Reason::Other)
            .ingress(&says_at(-1, &[0, 8, 1, 1]), Reason::DnsOversize)
            .ingress(&says_at(-1, &[0]), Reason::Other)
            .ingress(&says_at(-1, &[0, 0]), Reason::DnsOversize),
        connected("a second SYN of the server's changes nothing", resolves())
            .ingress(&Frame::tcp(SERVER, CLIENT).segment(SYN | ACK, 77, ASKS + 1), Reason::Other)
            .egress(&asks(ACK))
            .ingress(&says_length(2049), Reason::DnsOversize),
        Case::new("nobody answers before the connection is there", World::of(resolves()))
            .egress(&asks(SYN))
            .ingress(&says_length(40), Reason::DnsOversize)
            .ingress(&says_at(0, b""), Reason::Other)
            .egress(&asks(ACK))
            .ingress(&says_length(40), Reason::Other),
        Case::new("a connection that nobody here opened", World::of(resolves()))
            .ingress(&says_length(2049), Reason::Other)
            .egress(&asks(ACK))
            .ingress(&says_length(2049), Reason::Other),
        Case::new("an exempt resolver over TCP", World::of(resolves()).resolver("192.0.2.53"))
            .egress(&asks(SYN))
            .egress(&asks(ACK))
            .ingress(&says_length(4000), Reason::Other),
        connected("over TCP the guard is off", resolves().off(Protection::Dns))
            .ingress(&says_length(4000), Reason::Other),
    ]
}

/// Who is at a ceiling stays there, whatever a forger sends beside it; and newcomers come through.
#[test]
fn forged_sources_wash_nobody_out() {
    if let Some(missing) = kernel::missing() {
        println!("skipped: a forged flood needs {missing}");
        return;
    }
    let world = World::of(host().guard_ceiling(Service::Ssh, 10, 20));
    let mut kernel = Kernel::load(&world).expect("the object loads");
    let mut passed = |frame: &Frame, times: usize| {
        let bytes = frame.bytes();
        (0..times).filter(|_| kernel.ingress(&bytes).expect("a frame that runs")).count()
    };
    assert_eq!(passed(&opens(22), 100), 20);
    let forged = |n: u32| {
        let source = format!("{}.{}.{}.{}:9", 10 + (n >> 16), n >> 8 & 255, n & 255, n % 250 + 1);
        Frame::tcp(&source, "198.51.100.10:22").segment(SYN, n, 0)
    };
    let newcomers = (0..200_000).map(|n| passed(&forged(n), 1)).sum::<usize>();
    assert_eq!(newcomers, 200_000);
    assert!(passed(&opens(22), 100) <= 2, "who is at the ceiling was washed out");
}
