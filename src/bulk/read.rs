//! Input: rows out of CSV, TSV or JSON lines.
//!
//! The whole input is read and checked before anything is sent. Memory stays flat
//! whatever the input holds: a row is never longer than [`ROW_MAX`].

#![forbid(unsafe_code)]

use std::io::{self, BufRead, BufReader, Read};

use csv_core::ReadRecordResult;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::Command;
use crate::error::Error;
use crate::lists;

/// The longest row, in bytes.
const ROW_MAX: usize = 64 * 1024;
const BUFFER: usize = 256 * 1024;
/// How many faulty rows an error names.
const NAMED_FAULTS: usize = 5;
const COLUMNS_MAX: usize = 256;

/// How rows are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a header line.
    Csv,
    /// The same with tabs.
    Tsv,
    /// A JSON object a line.
    Jsonl,
}

impl Format {
    /// By its name: `csv`, `tsv` or `jsonl`.
    pub fn of_name(name: &str) -> Option<Format> {
        match name.to_ascii_lowercase().as_str() {
            "csv" => Some(Format::Csv),
            "tsv" => Some(Format::Tsv),
            "jsonl" | "ndjson" => Some(Format::Jsonl),
            _ => None,
        }
    }

    /// By the ending of a file's name; CSV if it says nothing.
    pub fn of_path(path: &std::path::Path) -> Format {
        path.extension().and_then(|extension| Format::of_name(extension.to_str()?)).unwrap_or(Format::Csv)
    }
}

/// One row. For an export the list is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// The line it begins at, or its number if it was pushed; from 1.
    pub line: u64,
    /// Whose list.
    pub account: &'a str,
    /// Which list.
    pub list: &'a str,
}

impl Row<'_> {
    /// Whether the service could take it.
    pub(super) fn check(&self, command: Command) -> crate::error::Result<()> {
        lists::check_account("account", self.account)?;
        match command {
            Command::Delete => lists::check_name("list", self.list),
            Command::Export if self.list.is_empty() => Ok(()),
            Command::Export => Err(Error::argument("list", "must be empty for an export")),
        }
    }
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// How many rows it holds.
    pub rows: u64,
}

/// Why an input is not taken.
#[derive(Debug)]
pub enum Fault {
    /// It cannot be read.
    Io(io::Error),
    /// It breaks the rules.
    Rows(Error),
    /// Whoever took the rows failed.
    Sink(Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Io(error)
    }
}

/// Counts and hashes what passes.
struct Hashing<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

/// Gathers what is wrong with rows; an error names the first few.
#[derive(Default)]
struct Faults {
    count: u64,
    first: Vec<String>,
}

impl Faults {
    fn add(&mut self, line: u64, what: impl std::fmt::Display) {
        self.count += 1;
        if self.first.len() < NAMED_FAULTS {
            self.first.push(format!("line {line}: {what}"));
        }
    }

    fn into_result(self) -> Result<(), Fault> {
        if self.count == 0 {
            return Ok(());
        }
        let more = self.count - self.first.len() as u64;
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        Err(Fault::Rows(Error::argument("input", format_args!("{}{more}", self.first.join("; ")))))
    }
}

/// Reads a whole input; every good row goes to `sink`. An input with a faulty row
/// is refused, but read to its end, so that one error tells of all.
pub fn read(
    source: impl Read,
    format: Format,
    command: Command,
    mut sink: impl FnMut(Row<'_>) -> crate::error::Result<()>,
) -> Result<Input, Fault> {
    let hashing = Hashing { inner: source, hash: Sha256::new(), bytes: 0 };
    let mut buffered = BufReader::with_capacity(BUFFER, hashing);
    let start = after_mark(&mut buffered)?;
    let mut reader = start.chain(&mut buffered);
    let mut faults = Faults::default();
    let mut rows = 0;
    let mut take = |line: u64, row: Result<(&str, &str), String>, faults: &mut Faults| {
        let row = row.and_then(|(account, list)| {
            let row = Row { line, account, list };
            row.check(command).map_err(|error| error.message().to_owned())?;
            Ok(row)
        });
        match row {
            Err(what) => faults.add(line, what),
            Ok(row) if faults.count == 0 => {
                rows += 1;
                return sink(row).map_err(Fault::Sink);
            }
            Ok(_) => {}
        }
        Ok(())
    };
    match format {
        Format::Csv => separated(&mut reader, b',', command, &mut faults, &mut take)?,
        Format::Tsv => separated(&mut reader, b'\t', command, &mut faults, &mut take)?,
        Format::Jsonl => json_lines(&mut reader, command, &mut faults, &mut take)?,
    }
    faults.into_result()?;
    let hashing = buffered.into_inner();
    Ok(Input { bytes: hashing.bytes, sha256: hashing.hash.finalize().into(), rows })
}

/// The first bytes, without byte order marks, which say nothing here. All of them: the
/// CSV parser would skip one more, but only if it came in one piece.
fn after_mark(reader: &mut impl Read) -> io::Result<io::Cursor<Vec<u8>>> {
    let mut start = Vec::new();
    loop {
        reader.by_ref().take(3).read_to_end(&mut start)?;
        if start != b"\xef\xbb\xbf" {
            return Ok(io::Cursor::new(start));
        }
        start.clear();
    }
}

fn count_newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}

type Take<'a> = dyn FnMut(u64, Result<(&str, &str), String>, &mut Faults) -> Result<(), Fault> + 'a;

/// CSV or TSV. The header says which columns count; others are ignored.
fn separated(
    reader: &mut impl BufRead,
    delimiter: u8,
    command: Command,
    faults: &mut Faults,
    take: &mut Take<'_>,
) -> Result<(), Fault> {
    let mut parser = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
    let mut fields = vec![0; ROW_MAX];
    let mut ends = [0; COLUMNS_MAX];
    let (mut written, mut ended) = (0, 0);
    let mut columns: Option<(usize, Option<usize>)> = None;
    let mut newlines = 0;
    loop {
        let input = reader.fill_buf()?;
        let (result, read, wrote, fields_ended) =
            parser.read_record(input, &mut fields[written..], &mut ends[ended..]);
        newlines += count_newlines(&input[..read]);
        let at_end_of_line = input[..read].last() == Some(&b'\n');
        reader.consume(read);
        written += wrote;
        ended += fields_ended;
        if result == ReadRecordResult::InputEmpty {
            continue;
        }
        // Blank lines before a row count, line ends inside its quotes do not.
        let line = 1 + newlines - u64::from(at_end_of_line) - count_newlines(&fields[..written]);
        match result {
            ReadRecordResult::OutputFull => {
                faults.add(line, format_args!("is longer than {ROW_MAX} bytes; is a quote left open?"));
                return Ok(());
            }
            ReadRecordResult::OutputEndsFull => {
                faults.add(line, format_args!("has more than {COLUMNS_MAX} columns"));
                return Ok(());
            }
            ReadRecordResult::End => break,
            ReadRecordResult::Record | ReadRecordResult::InputEmpty => {}
        }
        let field = |index: usize| {
            let start = if index == 0 { 0 } else { ends[index - 1] };
            (index < ended).then(|| &fields[start..ends[index]])
        };
        match columns {
            None => {
                let find = |name: &str| (0..ended).find(|&index| field(index) == Some(name.as_bytes()));
                match (find("account"), find("list"), command) {
                    (Some(account), _, Command::Export) => columns = Some((account, None)),
                    (Some(account), Some(list), Command::Delete) => columns = Some((account, Some(list))),
                    _ => {
                        let wanted = if command == Command::Delete { "account,list" } else { "account" };
                        faults.add(line, format_args!("must be a header with the columns {wanted}"));
                        return Ok(());
                    }
                }
            }
            Some((account, list)) => {
                let text = |index: usize, what: &str| match field(index).map(std::str::from_utf8) {
                    None => Err(format!("has no column for the {what}")),
                    Some(Err(_)) => Err(format!("{what}: must be UTF-8")),
                    Some(Ok(text)) => Ok(text),
                };
                let row = text(account, "account")
                    .and_then(|account| Ok((account, list.map_or(Ok(""), |list| text(list, "list"))?)));
                take(line, row, faults)?;
            }
        }
        (written, ended) = (0, 0);
    }
    if columns.is_none() {
        faults.add(1, "there is no header line");
    }
    Ok(())
}

#[derive(Deserialize)]
struct JsonRow<'a> {
    #[serde(borrow)]
    account: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    list: Option<std::borrow::Cow<'a, str>>,
}

fn json_lines(
    reader: &mut impl BufRead,
    command: Command,
    faults: &mut Faults,
    take: &mut Take<'_>,
) -> Result<(), Fault> {
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        let read = reader.by_ref().take(ROW_MAX as u64 + 1).read_until(b'\n', &mut text)?;
        if read == 0 {
            break;
        }
        if read > ROW_MAX {
            faults.add(line, format_args!("is longer than {ROW_MAX} bytes"));
            break;
        }
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let parsed = std::str::from_utf8(&text)
            .map_err(|_| "must be UTF-8".to_owned())
            // An array would do for the parser.
            .and_then(|text| match text.trim_start().starts_with('{') {
                true => Ok(text),
                false => Err("must be a JSON object".to_owned()),
            })
            .and_then(|text| serde_json::from_str::<JsonRow<'_>>(text).map_err(|error| json_fault(&error)));
        let row = match &parsed {
            Err(what) => Err(what.clone()),
            Ok(JsonRow { account, .. }) if command == Command::Export => Ok((&**account, "")),
            Ok(JsonRow { account, list: Some(list) }) => Ok((&**account, &**list)),
            Ok(JsonRow { list: None, .. }) => Err("has no member list".to_owned()),
        };
        take(line, row, faults)?;
    }
    Ok(())
}

/// Its own position counts lines from the row.
fn json_fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    format!("is not a row: {what} (column {})", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rows = Result<Vec<(u64, String, String)>, String>;

    /// In one piece and a byte at a time: how they come makes no difference.
    fn rows(format: Format, command: Command, input: &[u8]) -> Rows {
        struct Slowly<'a>(&'a [u8]);
        impl Read for Slowly<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0.read(&mut buffer[..1])
            }
        }
        let whole = rows_of(input, input.len(), format, command);
        assert_eq!(rows_of(Slowly(input), input.len(), format, command), whole);
        whole
    }

    fn rows_of(source: impl Read, bytes: usize, format: Format, command: Command) -> Rows {
        let mut rows = Vec::new();
        let sink = |row: Row<'_>| {
            rows.push((row.line, row.account.to_owned(), row.list.to_owned()));
            Ok(())
        };
        match read(source, format, command, sink) {
            Ok(summary) => {
                assert_eq!((summary.bytes, summary.rows), (bytes as u64, rows.len() as u64));
                Ok(rows)
            }
            Err(Fault::Rows(error)) => Err(error.message().to_owned()),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn rows_of_every_format() {
        use Command::{Delete, Export};
        use Format::{Csv, Jsonl, Tsv};
        type Situation<'a> = (&'a str, Format, Command, &'a str, &'a [(u64, &'a str, &'a str)]);
        #[rustfmt::skip]
        let table: &[Situation] = &[
            ("csv", Csv, Delete, "account,list\na,F\nb,W\n", &[(2, "a", "F"), (3, "b", "W")]),
            ("no newline at the end", Csv, Delete, "account,list\na,F", &[(2, "a", "F")]),
            ("CR LF, a mark, blank lines", Csv, Delete, "\u{feff}account,list\r\n\r\na,F\r\n", &[(3, "a", "F")]),
            ("marks of files put together", Csv, Delete, "\u{feff}\u{feff}\"account\",list\na,F\n", &[(2, "a", "F")]),
            ("columns in any order, others ignored", Csv, Delete, "list,reason,account\nF,\"x,y\",a\n", &[(2, "a", "F")]),
            ("quotes", Csv, Delete, "account,list\n\"a\",\"x,\"\"y\"\"\nz\"\nb,W\n", &[(2, "a", "x,\"y\"\nz"), (4, "b", "W")]),
            ("names that broke others", Csv, Delete, "account,list\na,@file:/etc/passwd\n#a,F\n", &[(2, "a", "@file:/etc/passwd"), (3, "#a", "F")]),
            ("tsv", Tsv, Delete, "account\tlist\na\tF,G\n", &[(2, "a", "F,G")]),
            ("only a header", Csv, Delete, "account,list\n", &[]),
            ("json lines", Jsonl, Delete, "{\"account\":\"a\",\"list\":\"F\"}\n\n{\"list\":\"\\u00e9\",\"x\":[1],\"account\":\"b\"}", &[(1, "a", "F"), (3, "b", "é")]),
            ("accounts alone", Csv, Export, "account\na\nb\n", &[(2, "a", ""), (3, "b", "")]),
            ("accounts alone, json", Jsonl, Export, "{\"account\":\"a\"}\n", &[(1, "a", "")]),
        ];
        for (situation, format, command, input, expected) in table {
            let expected: Vec<_> =
                expected.iter().map(|(n, a, l)| (*n, (*a).to_owned(), (*l).to_owned())).collect();
            assert_eq!(rows(*format, *command, input.as_bytes()), Ok(expected), "{situation}");
        }
    }

    #[test]
    fn a_fault_is_named_with_its_line() {
        use Format::{Csv, Jsonl};
        let long = format!("account,list\na,{}\n", "x".repeat(31));
        let open = format!("account,list\na,\"{}\n", "x\n".repeat(ROW_MAX));
        let endless = "x".repeat(2 * ROW_MAX);
        #[rustfmt::skip]
        let table: &[(&str, Format, &[u8], &str)] = &[
            ("empty", Csv, b"", "input: line 1: there is no header line"),
            ("no header", Csv, b"a,F\n", "input: line 1: must be a header with the columns account,list"),
            ("a column short", Csv, b"account,list\na\nb,F\n", "input: line 2: has no column for the list"),
            ("too long", Csv, long.as_bytes(), "input: line 2: list: must be 1 to 30 bytes, not 31"),
            ("no account", Csv, b"account,list\n,F\n", "input: line 2: account: must be 1 to 32 bytes, not 0"),
            ("not UTF-8", Csv, b"account,list\na,\xff\n", "input: line 2: list: must be UTF-8"),
            ("a quote left open", Csv, open.as_bytes(), "input: line 2: is longer than 65536 bytes; is a quote left open?"),
            ("an endless line", Jsonl, endless.as_bytes(), "input: line 1: is longer than 65536 bytes"),
            ("not JSON", Jsonl, b"{\"account\":\"a\",\"list\":\"F\"}\n{x}\n", "input: line 2: is not a row: key must be a string (column 2)"),
            ("not an object", Jsonl, b"[\"a\",\"F\"]\n", "input: line 1: must be a JSON object"),
            ("no list", Jsonl, b"{\"account\":\"a\"}\n", "input: line 1: has no member list"),
            ("many", Csv, b"account,list\n,a\n,a\n,a\n,a\n,a\n,a\n,a\n", "input: line 2: account: must be 1 to 32 bytes, not 0; line 3: account: must be 1 to 32 bytes, not 0; line 4: account: must be 1 to 32 bytes, not 0; line 5: account: must be 1 to 32 bytes, not 0; line 6: account: must be 1 to 32 bytes, not 0; and 2 more"),
        ];
        for (situation, format, input, expected) in table {
            assert_eq!(rows(*format, Command::Delete, input), Err((*expected).to_owned()), "{situation}");
        }
    }
}
