//! Writes small MaxMind-format databases (format version 2.0), for tests alone.

use ipnetwork::IpNetwork;

/// A value of the data section.
#[derive(Clone)]
pub enum Data {
    Text(String),
    Short(u16),
    Number(u32),
    Long(u64),
    Map(Vec<(String, Data)>),
    Array(Vec<Data>),
}

impl Data {
    pub fn text(text: &str) -> Data {
        Data::Text(text.to_owned())
    }

    pub fn map<const N: usize>(entries: [(&str, Data); N]) -> Data {
        Data::Map(entries.map(|(key, value)| (key.to_owned(), value)).into())
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Data::Text(text) => {
                head(bytes, 2, text.len());
                bytes.extend(text.as_bytes());
            }
            Data::Short(number) => {
                head(bytes, 5, 2);
                bytes.extend(number.to_be_bytes());
            }
            Data::Number(number) => {
                head(bytes, 6, 4);
                bytes.extend(number.to_be_bytes());
            }
            Data::Long(number) => {
                head(bytes, 9, 8);
                bytes.extend(number.to_be_bytes());
            }
            Data::Map(entries) => {
                head(bytes, 7, entries.len());
                for (key, value) in entries {
                    Data::text(key).write(bytes);
                    value.write(bytes);
                }
            }
            Data::Array(elements) => {
                head(bytes, 11, elements.len());
                elements.iter().for_each(|element| element.write(bytes));
            }
        }
    }
}

/// A control byte; types past 7 take a second one, and sizes past 28 one more.
fn head(bytes: &mut Vec<u8>, kind: u8, size: usize) {
    assert!(size < 285, "longer sizes aren't written");
    let (short, more) = match u8::try_from(size) {
        Ok(size) if size < 29 => (size, None),
        _ => (29, Some((size - 29) as u8)),
    };
    if kind > 7 {
        bytes.extend([short, kind - 7]);
    } else {
        bytes.push(kind << 5 | short);
    }
    bytes.extend(more);
}

#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Data(usize),
}

/// An IPv6 tree in which IPv4 lies at ::/96, with records of 24, 28 or 32 bits.
pub fn write_database(networks: &[(&str, Data)], record_bits: u16, built: u32) -> Vec<u8> {
    let mut data = Vec::new();
    let mut nodes = vec![[Record::Nothing; 2]];
    for (network, value) in networks {
        let (bits, length) = place(network.parse().unwrap());
        let mut node = 0;
        for depth in 0..length - 1 {
            let side = bit(bits, depth);
            node = match nodes[node][side] {
                Record::Node(next) => next,
                _ => {
                    nodes.push([Record::Nothing; 2]);
                    nodes[node][side] = Record::Node(nodes.len() - 1);
                    nodes.len() - 1
                }
            };
        }
        nodes[node][bit(bits, length - 1)] = Record::Data(data.len());
        value.write(&mut data);
    }
    let mut bytes = Vec::new();
    for node in &nodes {
        let [left, right] = node.map(|record| match record {
            Record::Nothing => nodes.len() as u32,
            Record::Node(node) => node as u32,
            Record::Data(offset) => (nodes.len() + 16 + offset) as u32,
        });
        write_node(&mut bytes, left, right, record_bits);
    }
    bytes.extend([0; 16]);
    bytes.extend(data);
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    metadata(nodes.len() as u32, record_bits, built).write(&mut bytes);
    bytes
}

fn place(network: IpNetwork) -> (u128, u8) {
    match network {
        IpNetwork::V4(v4) => (v4.network().to_bits().into(), v4.prefix() + 96),
        IpNetwork::V6(v6) => (v6.network().to_bits(), v6.prefix()),
    }
}

fn bit(bits: u128, depth: u8) -> usize {
    (bits >> (127 - depth) & 1) as usize
}

fn write_node(bytes: &mut Vec<u8>, left: u32, right: u32, record_bits: u16) {
    let [left_high, left_low @ ..] = left.to_be_bytes();
    let [right_high, right_low @ ..] = right.to_be_bytes();
    match record_bits {
        24 => bytes.extend([left_low, right_low].concat()),
        28 => {
            bytes.extend(left_low);
            bytes.push(left_high << 4 | right_high);
            bytes.extend(right_low);
        }
        _ => bytes.extend([left.to_be_bytes(), right.to_be_bytes()].concat()),
    }
}

fn metadata(node_count: u32, record_bits: u16, built: u32) -> Data {
    Data::map([
        ("binary_format_major_version", Data::Short(2)),
        ("binary_format_minor_version", Data::Short(0)),
        ("build_epoch", Data::Long(built.into())),
        ("database_type", Data::text("Test-Country")),
        ("description", Data::map([("en", Data::text("a test"))])),
        ("ip_version", Data::Short(6)),
        ("languages", Data::Array(vec![Data::text("en")])),
        ("node_count", Data::Number(node_count)),
        ("record_size", Data::Short(record_bits)),
    ])
}
