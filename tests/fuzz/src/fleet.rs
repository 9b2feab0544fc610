//! What travels in the fleet. Nothing is believed that isn't signed; and behind a right signature, where a host was
//! taken over, there is a bounded value or a refusal, and what is written of a value is read as the same again.

use std::sync::LazyLock;

use sipprot_ctl::fleet::key::{Signer, Verifier, make_user};
use sipprot_ctl::fleet::message::{
    CHANGES_MAX, Delta, Health, Kind, ListChange, Listed, Manifest, REPORTS_MAX, Reports,
    SPARED_MAX, TEXT_MAX, pack_chunk, seal, unpack_chunk,
};
use sipprot_ctl::fleet::{Grade, Report};

static KEYS: LazyLock<(Signer, Verifier)> = LazyLock::new(|| {
    let made = make_user().expect("a key");
    let signer = Signer::new(&made.seed).expect("a signer");
    (signer, Verifier::new(&made.public).expect("a verifier"))
});

/// The first byte says as what the others come.
pub fn check(bytes: &[u8]) {
    let (signer, verifier) = &*KEYS;
    assert!(Reports::open(verifier, bytes).is_err(), "nobody has signed it");
    assert!(Delta::open(verifier, bytes).is_err(), "nobody has signed it");
    let Some((kind, body)) = bytes.split_first() else { return };
    match kind % 5 {
        0 => {
            let sealed = seal(signer, Kind::Reports, body);
            let Ok(reports) = Reports::open(verifier, &sealed) else { return };
            assert!(reports.reports.len() <= REPORTS_MAX);
            reports.reports.iter().for_each(|it| shown(&it.rule));
            assert_eq!(Reports::open(verifier, &reports.seal(signer)), Ok(reports));
        }
        1 => {
            let Ok(health) = Health::open(verifier, &seal(signer, Kind::Health, body)) else {
                return;
            };
            assert!(health.spare.len() <= SPARED_MAX);
            shown(&health.host);
            assert_eq!(Health::open(verifier, &health.seal(signer)), Ok(health));
        }
        2 => {
            let Ok(delta) = Delta::open(verifier, &seal(signer, Kind::Delta, body)) else { return };
            assert!(delta.changes.len() <= CHANGES_MAX);
            // Host bits of a network are not written; that a host takes none is its list's business.
            let delta = Delta::open(verifier, &delta.seal(signer)).expect("what was written");
            assert_eq!(Delta::open(verifier, &delta.seal(signer)), Ok(delta));
        }
        3 => {
            let sealed = seal(signer, Kind::Manifest, body);
            let Ok(manifest) = Manifest::open(verifier, &sealed) else { return };
            assert_eq!(Manifest::open(verifier, &manifest.seal(signer)), Ok(manifest));
        }
        _ => {
            let Ok(entries) = unpack_chunk(body) else { return };
            entries.iter().for_each(|it| shown(&it.rule));
            let packed = |entries: &[Listed]| {
                let changes: Vec<_> = entries.iter().cloned().map(ListChange::Put).collect();
                pack_chunk(&changes)
            };
            let entries = unpack_chunk(&packed(&entries)).expect("what was written");
            assert_eq!(unpack_chunk(&packed(&entries)), Ok(entries));
        }
    }
}

fn shown(text: &str) {
    assert!(text.len() <= TEXT_MAX, "{text:?} is long");
    assert!(!text.chars().any(char::is_control), "{text:?} steers a terminal");
}

/// Of each kind one, without envelope.
pub fn seeds() -> Vec<Vec<u8>> {
    /// What lies before the body.
    const ENVELOPE: usize = 4 + 2 + 64;
    let signer = &KEYS.0;
    let network = |text: &str| text.parse().expect("a network");
    let report = Report {
        source: network("198.51.100.7/32"),
        grade: Grade::Proven,
        rule: "BRUTEFORCE:register".to_owned(),
        count: 3,
        first: 1_700_000_000,
        last: 1_700_000_060,
        user_agent: Some("friendly-scanner".to_owned()),
        country: Some("FR".to_owned()),
        endpoint: None,
        account: None,
    };
    let reports = Reports {
        host: "a".to_owned(),
        sequence: 1,
        sent_at: 1_700_000_000,
        reports: vec![report],
    };
    let health = Health {
        host: "a".to_owned(),
        interfaces: vec![("eth0".to_owned(), "native".to_owned())],
        spare: vec![network("192.0.2.0/24")],
        ..Health::default()
    };
    let listed = |text: &str| {
        let (rule, network) = ("SCAN:agent".to_owned(), network(text));
        ListChange::Put(Listed { network, since: 1, until: 2, rule, hosts: 3 })
    };
    let changes = vec![listed("198.51.100.7/32"), listed("2001:db8::/64")];
    let chunk = pack_chunk(&changes);
    let removed = ListChange::Remove(network("203.0.113.0/24"));
    let changes = [changes, vec![removed]].concat();
    let delta = Delta { generation: 1, revision: 2, at: 3, recalled: 4, changes };
    let manifest = Manifest {
        generation: 1,
        revision: 2,
        at: 3,
        recalled: 4,
        sequence: 5,
        set: 'a',
        entries: 2,
        poll_s: 30,
        chunks: vec!["5e".repeat(32)],
    };
    let sealed =
        [reports.seal(signer), health.seal(signer), delta.seal(signer), manifest.seal(signer)];
    let bodies = sealed.iter().map(|it| it[ENVELOPE..].to_vec()).chain([chunk]);
    (0..).zip(bodies).map(|(kind, body)| [vec![kind], body].concat()).collect()
}
