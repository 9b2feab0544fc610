//! Tables against what they are compiled from: for every address both must say the same.

use super::*;

fn zeroed<T: sipprot_common::table::Zeroed>() -> Box<T> {
    // SAFETY: that all zeroes are a value is what the trait says.
    unsafe { Box::<T>::new_zeroed().assume_init() }
}

/// A small generator of our own: the same networks in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 16) % limit
    }

    /// Few different bits, so that networks cover each other and addresses meet them.
    fn address(&mut self) -> Address {
        if self.below(2) == 0 {
            let [a, b, c, d] = [2, 3, 5, 256].map(|limit| self.below(limit) as u32);
            return Address::from_v4(192 << 24 | a << 23 | b << 16 | c << 8 | d);
        }
        let high = 0x2001_0db8 << 32 | self.below(3) << 30 | self.below(4) << 14 | self.below(300);
        Address::from_halves(high, self.below(4))
    }

    fn network(&mut self) -> Network {
        let address = self.address();
        let length = match (address.is_v4(), self.below(8)) {
            (true, 0) => 96 + 8 + self.below(17) as u32,
            (true, 1..4) => 96 + 24 + self.below(9) as u32,
            (_, 4..8) => 128,
            (false, 0) => 12 + self.below(20) as u32,
            (false, _) => 32 + self.below(97) as u32,
            _ => 128,
        };
        (keys::masked(address, length), length)
    }
}

fn covers((base, length): Network, address: Address) -> bool {
    keys::masked(address, length) == base
}

/// What the datapath makes of table and trie.
fn is_denied(table: &ListTable, trie: &[Network], address: Address) -> bool {
    let bits = table.look(&address);
    bits & LISTED != 0 || bits & ASK != 0 && trie.iter().any(|&network| covers(network, address))
}

fn compiled(networks: &[Network]) -> (Box<ListTable>, Vec<Network>) {
    let table = zeroed::<ListTable>();
    table.seed.set(0x5eed);
    let rest = fill(&table, networks);
    let trie: Vec<_> = rest.into_iter().map(|index| networks[index]).collect();
    assert_eq!(table.compiled.get() as usize + trie.len(), networks.len());
    (table, trie)
}

#[test]
fn a_table_says_what_its_list_says() {
    let mut random = Random(7);
    for count in [0, 1, 5, 40, 400] {
        let networks: Vec<_> = (0..count).map(|_| random.network()).collect();
        let (table, trie) = compiled(&networks);
        let mut hits = 0;
        for _ in 0..20_000 {
            let address = random.address();
            let expected = networks.iter().any(|&network| covers(network, address));
            let found = is_denied(&table, &trie, address);
            assert_eq!(found, expected, "{} among {count}", address.to_ip());
            hits += usize::from(found);
        }
        assert!(count < 40 || hits > 1_000, "only {hits} addresses were listed");
    }
}

#[test]
fn what_is_removed_is_gone_and_the_others_stay() {
    let mut random = Random(11);
    let mut networks: Vec<_> = (0..300).map(|_| random.network()).collect();
    networks.sort_by_key(|(address, length)| (address.halves(), *length));
    networks.dedup();
    let (table, mut trie) = compiled(&networks);
    while let Some(gone) = networks.pop() {
        let overlaps = |other: &&Network| covers(**other, gone.0) || covers(gone, other.0);
        for &other in networks.iter().filter(overlaps) {
            trie.push(other);
            ask(&table, std::cmp::max_by_key(gone, other, |(_, length)| *length));
        }
        unlist(&table, gone);
        trie.retain(|network| *network != gone);
        for _ in 0..100 {
            let address = random.address();
            let expected = networks.iter().any(|&network| covers(network, address));
            assert_eq!(is_denied(&table, &trie, address), expected, "{}", address.to_ip());
        }
        // The next one is any of those that are left.
        let index = random.below(networks.len().max(1) as u64) as usize;
        if index < networks.len() {
            networks[index..].rotate_left(1);
        }
    }
}

#[test]
fn what_finds_no_room_goes_to_the_trie() {
    let table = zeroed::<ListTable>();
    table.seed.set(3);
    // Each /25 is cut into 128 hosts: this is more than there is room for.
    let count = Hosts::CAPACITY / 128 + 1000;
    let networks: Vec<Network> = (0..count as u32)
        .map(|index| (Address::from_v4(0x0a00_0000 + (index << 8)), 96 + 25))
        .collect();
    let rest = fill(&table, &networks);
    assert!(rest.len() > 1000 && rest.len() < count / 5, "{} of {count}", rest.len());
    for (index, &(address, _)) in networks.iter().enumerate() {
        let bits = table.look(&address);
        let expected = if rest.binary_search(&index).is_ok() { ASK } else { LISTED };
        assert_ne!(bits & expected, 0, "{}", address.to_ip());
    }
}

#[test]
fn an_address_is_let_in_with_little_around_it() {
    let parse = |text: &str| keys::canonical(text.parse().unwrap());
    let address = |text: &str| Address::from(text.parse::<std::net::IpAddr>().unwrap());
    let (table, trie) =
        compiled(&["192.0.0.0/16", "198.51.100.7", "198.51.100.9", "2001:db8::/48"].map(parse));
    let let_in = |text: &str| {
        let found = let_in(&table, address(text)).into_iter();
        found
            .map(|(base, length)| keys::network(base, length).unwrap().to_string())
            .collect::<Vec<_>>()
    };
    let none: Vec<String> = Vec::new();
    assert_eq!(let_in("203.0.113.1"), none);
    assert_eq!(let_in("192.0.2.7"), ["192.0.2.0/24"].map(String::from).to_vec());
    assert_eq!(let_in("198.51.100.7"), ["198.51.100.7/32"].map(String::from).to_vec());
    assert_eq!(let_in("2001:db8::1"), ["2001:db8::/48"].map(String::from).to_vec());
    for (text, denied) in [
        ("192.0.2.7", false),
        ("192.0.3.7", true),
        ("198.51.100.7", false),
        ("198.51.100.9", true),
        ("2001:db8::9", false),
    ] {
        assert_eq!(is_denied(&table, &trie, address(text)), denied, "{text}");
    }
}

#[test]
fn countries_are_those_of_the_networks() {
    let table = zeroed::<PlaceTable>();
    let networks: Vec<_> = [
        ("192.0.0.0/16", 5),
        ("198.51.100.0/25", 7),
        ("198.51.100.128/25", 5),
        ("2001:db8::/32", 9),
        ("2400::/12", 7),
        ("fd00::/8", 3),
        ("203.0.112.0/23", 7),
        ("203.0.113.240/28", 5),
    ]
    .map(|(text, country)| (keys::canonical(text.parse().unwrap()), country))
    .to_vec();
    let rest = fill_places(&table, &networks);
    assert_eq!(rest, [1, 2, 3, 7, 6]);
    let check = |text: &str, country: Option<u32>| {
        let address = Address::from(text.parse::<std::net::IpAddr>().unwrap());
        assert_eq!(table.country(&address), country, "{text}");
    };
    check("192.0.255.255", Some(5));
    check("192.1.0.0", Some(COUNTRY_UNKNOWN));
    check("198.51.100.1", None);
    check("2001:db8::1", None);
    check("203.0.112.1", Some(7));
    check("203.0.113.1", None);
    check("2001:1db8::1", Some(COUNTRY_UNKNOWN));
    check("240f:ffff::1", Some(7));
    check("fd00::1", Some(COUNTRY_UNKNOWN));
}

#[test]
fn networks_of_a_country_are_marked() {
    let (table, places) = (zeroed::<ListTable>(), zeroed::<PlaceTable>());
    places.put_v4(0x1_0000, 0x1_ffff, 4);
    places.put_v4(0x2_0003, 0x2_0004, 5);
    places.put_v4(0xff_ffff, 0xff_ffff, 4);
    let has = |address: u32| table.networks.get(address) & GEO != 0;
    let matters = |text: &str| {
        table.look(&Address::from(text.parse::<std::net::IpAddr>().unwrap())) & GEO != 0
    };
    places.put_v6(0x01_0000, 0x01_0041, 4);
    mark_geo(&table, Some(&places), |code| code == 4);
    assert!(matters("2100::1") && matters("2100:41ff::1") && matters("fd00::1"));
    assert!(!matters("20ff:ffff::1") && !matters("2100:4200::1") && !matters("3fff::1"));
    assert!(!has(0x00ff_ffff) && has(0x0100_0000) && has(0x01ff_ffff) && !has(0x0200_0000));
    assert!(!has(0x0200_0300) && has(u32::MAX) && !has(0xfffe_ffff));
    mark_geo(&table, Some(&places), |code| code == 5);
    assert!(!has(0x0200_02ff) && has(0x0200_0300) && has(0x0200_04ff) && !has(0x0200_0500));
    assert!(!matters("2100::1"));
    mark_geo(&table, None, |_| false);
    assert!(!has(0x0200_0300) && !has(u32::MAX));
    mark_geo(&table, None, |_| true);
    assert!(has(0x0200_0300) && matters("3fff:ffff::1") && matters("2000::1"));
}
