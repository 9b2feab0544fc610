//! Lists as CSV: rows that are bounded and clean or faults that name a line of the file, and what is written of
//! rows is read as the same rows.

use jiff::tz::TimeZone;
use sipprot_ctl::sheet::{Rows, Writer, harmless};
use sipprot_ctl::store::{List, ListEntry, Origin};

pub fn check(bytes: &[u8]) {
    let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    let rows = match Rows::open(bytes, TimeZone::UTC) {
        Ok(rows) => rows,
        Err(wrong) => return assert!(wrong.line <= lines && !wrong.what.is_empty(), "{wrong:?}"),
    };
    let mut rows = rows;
    let mut entries = Vec::new();
    while let Some(row) = rows.next_row() {
        match row {
            Err(wrong) => {
                assert!(wrong.line <= lines, "{wrong:?} of {lines}");
                assert!(!wrong.what.is_empty());
                if wrong.is_end() {
                    break;
                }
            }
            Ok(row) => {
                assert!((1..=lines).contains(&row.line), "line {} of {lines}", row.line);
                assert!(row.network.prefix() > 0, "every address there is");
                let added_by = row.added_by.unwrap_or_default();
                for text in [row.note, added_by] {
                    assert!(!text.chars().any(char::is_control), "{text:?} steers a terminal");
                    assert!(
                        !harmless(text).starts_with(['=', '+', '-', '@']),
                        "{text:?} is a formula"
                    );
                }
                entries.push(entry(&row));
            }
        }
    }
    assert_eq!(written_and_read(&entries), entries);
}

fn entry(row: &sipprot_ctl::sheet::Row<'_>) -> ListEntry {
    let at = row.time.unwrap_or_default();
    // Whole seconds are written.
    let whole = |at: jiff::Timestamp| jiff::Timestamp::from_second(at.as_second()).unwrap_or(at);
    ListEntry {
        network: row.network,
        list: List::Deny,
        endpoint: None,
        note: row.note.to_owned(),
        added_at: whole(at),
        added_by: row.added_by.unwrap_or_default().to_owned(),
        expires_at: row.expires.map(whole),
        scope: row.scope,
        origin: Origin::Import,
    }
}

fn written_and_read(entries: &[ListEntry]) -> Vec<ListEntry> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, true).expect("room");
    entries.iter().for_each(|entry| writer.entry(entry).expect("room"));
    writer.finish().expect("room");
    let mut rows = Rows::open(&*bytes, TimeZone::UTC).expect("what was written");
    let mut read = Vec::new();
    while let Some(row) = rows.next_row() {
        read.push(entry(&row.expect("a row that was written")));
    }
    read
}

pub fn seeds() -> Vec<Vec<u8>> {
    [
        "IP_ADDRESS,NOTE,TIME,ADDED_BY\n192.0.2.1,\"a, b\",2026-02-28 15:44:35,ann\n2001:db8::/32,,,\n",
        "\u{feff}ip address;remarque\r\n192.0.2.0/24;'=1+1\r\n192.0.2.1;\"two\r\nlines\"\r\n",
        "IP_ADDRESS\tEXPIRES\tSCOPE\n192.0.2.1\t2027-01-01T00:00:00Z\tsip\n0.0.0.0/0\t\tall\n",
        "IP_ADDRESS,NOTE\n192.0.2.1,\"a quote that nobody closes\n192.0.2.2,b\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}
