//! From bytes to rows.

use std::cell::Cell;
use std::io::{self, Cursor, Read};
use std::rc::Rc;

use csv::ByteRecord;
use ipnetwork::IpNetwork;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{Column, TEXT_MARK, is_formula};
use crate::api::TEXT_MAX;
use crate::config::{Choice, Scope, unmapped};
use crate::message::is_clean;

/// A row longer than this has a quote that nobody closed.
const ROW_BYTES_MAX: usize = 64 << 10;
const BUFFER: usize = 64 << 10;
/// The first line lies in this.
const HEAD_BYTES: usize = 4 << 10;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// What is wrong, and where. A line of 0 is the file as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wrong {
    pub line: u64,
    pub field: &'static str,
    pub what: String,
    /// Nothing behind it can be read.
    ends: bool,
}

impl Wrong {
    pub fn at(line: u64, field: &'static str, what: impl Into<String>) -> Self {
        Self { line, field, what: what.into(), ends: false }
    }

    pub fn is_end(&self) -> bool {
        self.ends
    }
}

/// One entry as the file has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row<'a> {
    pub line: u64,
    pub network: IpNetwork,
    pub note: &'a str,
    /// `None` where the file doesn't say.
    pub time: Option<Timestamp>,
    pub added_by: Option<&'a str>,
    pub expires: Option<Timestamp>,
    pub scope: Scope,
}

/// The rows of a file, one by one.
pub struct Rows<R> {
    csv: csv::Reader<Metered<R>>,
    meter: Rc<Cell<usize>>,
    columns: Vec<Column>,
    zone: TimeZone,
    separator: u8,
    record: ByteRecord,
}

/// Reads no more than its meter allows.
struct Metered<R> {
    inner: R,
    left: Rc<Cell<usize>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(io::Error::other("longer than 64 KiB: is a quote not closed?"));
        }
        let length = buffer.len().min(left);
        let read = self.inner.read(&mut buffer[..length])?;
        self.left.set(left - read);
        Ok(read)
    }
}

/// What was looked at first, the rest, and the newline that the last row may lack.
type Whole<R> = io::Chain<io::Chain<Cursor<Vec<u8>>, R>, &'static [u8]>;

impl<R: Read> Rows<Whole<R>> {
    /// Reads the first line. A time without a zone is one of `zone`.
    pub fn open(mut file: R, zone: TimeZone) -> Result<Self, Wrong> {
        let head = head(&mut file).map_err(|error| Wrong::at(0, "file", error.to_string()))?;
        if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
            return Err(Wrong::at(1, "header", "UTF-16: save the file as CSV in UTF-8"));
        }
        let head = head.strip_prefix(BOM).unwrap_or(&head).to_vec();
        let first = head.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
        let among = |separator: &u8| first.contains(separator);
        let separator = [b';', b'\t', b','].into_iter().find(among).unwrap_or(b',');
        let meter = Rc::new(Cell::new(ROW_BYTES_MAX + BUFFER));
        let whole = Cursor::new(head).chain(file).chain(b"\n".as_slice());
        let file = Metered { inner: whole, left: meter.clone() };
        let csv = csv::ReaderBuilder::new()
            .delimiter(separator)
            .has_headers(false)
            .flexible(true)
            // Of a CR LF the CR is trimmed like a blank; taken for a line's end, it would shift numbers.
            .terminator(csv::Terminator::Any(b'\n'))
            .buffer_capacity(BUFFER)
            .from_reader(file);
        let record = ByteRecord::new();
        let mut rows = Self { csv, meter, columns: Vec::new(), zone, separator, record };
        rows.columns = rows.read_columns()?;
        Ok(rows)
    }
}

impl<R: Read> Rows<R> {
    pub fn separator(&self) -> char {
        char::from(self.separator)
    }

    fn read_columns(&mut self) -> Result<Vec<Column>, Wrong> {
        if !self.advance()? {
            return Err(Wrong::at(1, "header", "the file is empty"));
        }
        let line = self.line();
        let mut columns = Vec::new();
        for cell in &self.record {
            let name = String::from_utf8_lossy(cell);
            let Some(column) = Column::named(&name) else {
                let name = crate::message::clean(cell, 32);
                let known = "IP_ADDRESS, NOTE (or REMARQUE), TIME, ADDED_BY, EXPIRES and SCOPE";
                let what = format!("there is no column {name:?}; the columns are {known}");
                return Err(Wrong::at(line, "header", what));
            };
            if columns.contains(&column) {
                return Err(Wrong::at(line, column.name(), "this column is there twice"));
            }
            columns.push(column);
        }
        if !columns.contains(&Column::Address) {
            return Err(Wrong::at(line, "IP_ADDRESS", "this column is missing"));
        }
        Ok(columns)
    }

    /// The next row, or what is wrong with it; after a fault of the file itself there is none.
    pub fn next_row(&mut self) -> Option<Result<Row<'_>, Wrong>> {
        loop {
            match self.advance() {
                Ok(false) => return None,
                Ok(true) if self.record.iter().all(|cell| cell.trim_ascii().is_empty()) => {}
                Ok(true) => return Some(self.row()),
                Err(wrong) => return Some(Err(wrong)),
            }
        }
    }

    fn advance(&mut self) -> Result<bool, Wrong> {
        self.meter.set(ROW_BYTES_MAX + BUFFER);
        // Where the row begins: a quote that nobody closes may take many lines with it.
        let line = self.csv.position().line();
        self.csv.read_byte_record(&mut self.record).map_err(|error| {
            let what = match error.into_kind() {
                csv::ErrorKind::Io(error) => error.to_string(),
                other => format!("{other:?}"),
            };
            Wrong { ends: true, ..Wrong::at(line, "row", what) }
        })
    }

    /// The line on which the row begins: the reader's own count begins with blank lines before it.
    fn line(&self) -> u64 {
        let within = self.record.as_slice().iter().filter(|&&byte| byte == b'\n').count();
        self.csv.position().line().saturating_sub(1 + within as u64)
    }

    fn row(&self) -> Result<Row<'_>, Wrong> {
        let line = self.line();
        if self.record.iter().skip(self.columns.len()).any(|cell| !cell.is_empty()) {
            let what = format!(
                "{} cells, and {} columns: put a text with a {:?} in it between quotes",
                self.record.len(),
                self.columns.len(),
                self.separator()
            );
            return Err(Wrong::at(line, "row", what));
        }
        let mut network = Err("empty".to_owned());
        let mut row = Row {
            line,
            network: IpNetwork::V4(ipnetwork::Ipv4Network::from(std::net::Ipv4Addr::UNSPECIFIED)),
            note: "",
            time: None,
            added_by: None,
            expires: None,
            scope: Scope::All,
        };
        for (cell, column) in self.record.iter().zip(&self.columns) {
            let at = |what: String| Wrong::at(line, column.name(), what);
            let text = std::str::from_utf8(cell)
                .map_err(|_| at("not UTF-8: save the file as CSV in UTF-8".to_owned()))?;
            let text = restored(text.trim());
            if !is_clean(text) {
                return Err(at("control characters".to_owned()));
            }
            let given = Some(text).filter(|text| !text.is_empty());
            match column {
                Column::Address => network = given.map_or(network, read_network),
                Column::Note => row.note = short(text).map_err(at)?,
                Column::AddedBy => row.added_by = given.map(short).transpose().map_err(at)?,
                Column::Time => row.time = self.time(given).map_err(at)?,
                Column::Expires => row.expires = self.time(given).map_err(at)?,
                Column::Scope => row.scope = given.map_or(Ok(Scope::All), scope).map_err(at)?,
            }
        }
        row.network = network.map_err(|what| Wrong::at(line, Column::Address.name(), what))?;
        Ok(row)
    }

    fn time(&self, given: Option<&str>) -> Result<Option<Timestamp>, String> {
        let Some(text) = given else { return Ok(None) };
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Some(at));
        }
        let expected = || format!("expected a time such as 2026-02-28 15:44:35, found {text:?}");
        let civil = text.parse::<DateTime>().map_err(|_| expected())?;
        let at = self.zone.to_ambiguous_zoned(civil).compatible().map_err(|_| expected())?;
        Ok(Some(at.timestamp()))
    }
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::from_name(text).ok_or_else(|| format!("expected all, sip, ssh or http, found {text:?}"))
}

fn short(text: &str) -> Result<&str, String> {
    if text.len() > TEXT_MAX {
        return Err(format!("{} bytes; at most {TEXT_MAX} are taken", text.len()));
    }
    Ok(text)
}

fn read_network(text: &str) -> Result<IpNetwork, String> {
    let Ok(network) = text.parse::<IpNetwork>() else {
        let shown = crate::message::clean(text.as_bytes(), 64);
        return Err(format!("{shown:?} is neither an address nor a network"));
    };
    let network = unmapped(network);
    if network.prefix() == 0 {
        return Err(format!("{network} is every address there is"));
    }
    let start = network.network();
    if network.ip() != start {
        return Err(format!(
            "{network}: host bits are set; is {start}/{} meant?",
            network.prefix()
        ));
    }
    Ok(network)
}

/// Without the mark that keeps a spreadsheet program from calculating the cell.
fn restored(cell: &str) -> &str {
    match cell.strip_prefix(TEXT_MARK) {
        Some(rest) if is_formula(rest) => rest,
        _ => cell,
    }
}

fn head(file: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}
