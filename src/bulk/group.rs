//! From rows in any order to requests: the spool.
//!
//! Rows go to files by the hash of their account, so that each file is small enough
//! to sort in memory; each is then sorted, cut into requests of at most 32 lists,
//! appended to the spool and removed. Memory stays flat, and the disk never holds
//! twice the input. A run that is resumed reads the spool, not the input.

#![forbid(unsafe_code)]

use std::cmp::Ordering;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

use super::Command;
use super::journal::{HEADER_BYTES, Header, SPOOL_MAGIC, storage, sync_directory};
use super::read::Row;
use crate::codes;
use crate::error::{Error, Result};
use crate::lists::LISTS_MAX;

/// How many files a set of rows is spread over, by six bits of the hash.
const SPREAD: usize = 64;
const SPREAD_BITS: u32 = 6;
/// A file up to this size is sorted in memory.
const SORT_BYTES: u64 = 16 * 1024 * 1024;
const WRITE_BUFFER: usize = 32 * 1024;
const READ_BUFFER: usize = 256 * 1024;
/// The longest row or request, as written here.
const RECORD_MAX: usize = 4096;

/// The hash by which accounts are spread, over files and over machines. It is the
/// same everywhere and for good: CRC-32C of the account.
pub fn account_hash(account: &str) -> u32 {
    crc32c::crc32c(account.as_bytes())
}

/// One request: an account and up to 32 of its lists; for an export none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub number: u32,
    pub account: String,
    /// Each list once: its name, how many rows name it, and the line of the first.
    pub lists: Vec<(String, u32, u64)>,
    /// For an export: how many rows name the account, and the line of the first.
    pub account_rows: (u32, u64),
}

impl Unit {
    /// How many rows it answers.
    pub fn rows(&self) -> u64 {
        u64::from(self.account_rows.0) + self.lists.iter().map(|list| u64::from(list.1)).sum::<u64>()
    }
}

/// Takes rows, and makes the spool of them.
#[derive(Debug)]
pub(super) struct Grouper {
    directory: PathBuf,
    parts: Parts,
}

/// Files that rows are spread over.
#[derive(Debug)]
struct Parts {
    paths: Vec<PathBuf>,
    files: Vec<Option<BufWriter<File>>>,
    /// Which bits of the hash choose.
    level: u32,
}

impl Parts {
    fn new(directory: &Path, prefix: &str, level: u32) -> Parts {
        Parts {
            paths: (0..SPREAD).map(|part| directory.join(format!("{prefix}{part:02}"))).collect(),
            files: (0..SPREAD).map(|_| None).collect(),
            level,
        }
    }

    fn add(&mut self, row: &Row<'_>) -> io::Result<()> {
        let shift = 32 - SPREAD_BITS * (self.level + 1);
        let part = (account_hash(row.account) >> shift) as usize % SPREAD;
        let file = match &mut self.files[part] {
            Some(file) => file,
            empty => {
                empty.insert(BufWriter::with_capacity(WRITE_BUFFER, File::create_new(&self.paths[part])?))
            }
        };
        let (account, list) = (row.account.as_bytes(), row.list.as_bytes());
        file.write_all(&[account.len() as u8])?;
        file.write_all(account)?;
        file.write_all(&[list.len() as u8])?;
        file.write_all(list)?;
        let mut number = Vec::with_capacity(10);
        put_number(&mut number, row.line);
        file.write_all(&number)
    }

    /// The files that hold something, whole.
    fn finish(self) -> io::Result<Vec<PathBuf>> {
        let mut filled = Vec::new();
        for (path, file) in self.paths.into_iter().zip(self.files) {
            if let Some(file) = file {
                file.into_inner().map_err(io::IntoInnerError::into_error)?;
                filled.push(path);
            }
        }
        Ok(filled)
    }
}

impl Grouper {
    /// Spreads rows over files in a directory of its own, which is made anew.
    pub fn new(directory: &Path) -> Result<Grouper> {
        let make = || {
            if let Err(error) = fs::remove_dir_all(directory)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
            fs::create_dir(directory)
        };
        make().map_err(|error| storage(directory, "be made", &error))?;
        Ok(Grouper { directory: directory.to_owned(), parts: Parts::new(directory, "", 0) })
    }

    /// Takes a row that was checked.
    pub fn add(&mut self, row: &Row<'_>) -> Result<()> {
        self.parts.add(row).map_err(|error| storage(&self.directory, "be written", &error))
    }

    /// Writes the spool, and removes everything else. `header` says all but the
    /// number of requests.
    pub fn finish(self, spool: &Path, header: &Header) -> Result<Header> {
        let Grouper { directory, parts } = self;
        let unfinished = directory.join("spool");
        let write = || -> io::Result<Result<u32>> {
            let mut writer = Writer {
                file: BufWriter::with_capacity(READ_BUFFER, File::create_new(&unfinished)?),
                command: header.command,
                units: 0,
                record: Vec::with_capacity(RECORD_MAX),
            };
            // The number of requests is written when it is known.
            writer.file.write_all(&[0; HEADER_BYTES])?;
            group(&directory, parts, &mut writer)?;
            let Ok(units) = u32::try_from(writer.units) else { return Ok(Err(too_many())) };
            let mut file = writer.file.into_inner().map_err(io::IntoInnerError::into_error)?;
            io::Seek::rewind(&mut file)?;
            file.write_all(&Header { units, ..header.clone() }.encode(SPOOL_MAGIC))?;
            file.sync_all()?;
            fs::rename(&unfinished, spool)?;
            fs::remove_dir(&directory)?;
            sync_directory(spool)?;
            Ok(Ok(units))
        };
        let units = write().map_err(|error| storage(spool, "be written", &error))??;
        Ok(Header { units, ..header.clone() })
    }

    /// Removes what was written so far.
    pub fn discard(self) {
        discard(&self.directory);
    }
}

/// Removes a directory of parts. What is left of it is in nobody's way.
pub(super) fn discard(directory: &Path) {
    let _ = fs::remove_dir_all(directory);
}

fn too_many() -> Error {
    Error::argument("input", format_args!("must be at most {} requests", u32::MAX))
}

/// Sorts one file after the other into the spool. One that is too large is spread
/// again, until the bits of the hash are used up.
fn group(directory: &Path, parts: Parts, writer: &mut Writer) -> io::Result<()> {
    let next_level = parts.level + 1;
    for path in parts.finish()? {
        let file = File::open(&path)?;
        let large = file.metadata()?.len() > SORT_BYTES;
        let mut rows = RowReader { reader: BufReader::with_capacity(READ_BUFFER, file) };
        if large && SPREAD_BITS * (next_level + 1) <= 32 {
            let name = path.file_name().expect("made with one").to_string_lossy().into_owned();
            let mut again = Parts::new(directory, &format!("{name}-"), next_level);
            let mut bytes = Vec::new();
            while let Some(row) = rows.next(&mut bytes)? {
                again.add(&row.of(&bytes))?;
                bytes.clear();
            }
            fs::remove_file(&path)?;
            group(directory, again, writer)?;
        } else {
            sort(&mut rows, writer)?;
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Sorts a file by account and list. One that is larger than memory allows is of a
/// few accounts alone; it is sorted piece by piece.
fn sort(rows: &mut RowReader, writer: &mut Writer) -> io::Result<()> {
    loop {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        while (bytes.len() as u64) < SORT_BYTES {
            match rows.next(&mut bytes)? {
                Some(place) => places.push(place),
                None => break,
            }
        }
        if places.is_empty() {
            return Ok(());
        }
        places.sort_unstable_by(|one, other| one.compare(other, &bytes));
        let mut unit = Unit { number: 0, account: String::new(), lists: Vec::new(), account_rows: (0, 0) };
        for row in places.iter().map(|place| place.of(&bytes)) {
            if unit.account != row.account || unit.lists.len() == LISTS_MAX && unit.lists[31].0 != row.list {
                writer.put(&unit)?;
                unit.account = row.account.to_owned();
                unit.lists.clear();
                unit.account_rows = (0, if writer.command == Command::Export { row.line } else { 0 });
            }
            match (writer.command, unit.lists.last_mut()) {
                (Command::Export, _) => unit.account_rows.0 += 1,
                // The same row again ends as the first one does.
                (_, Some((list, count, _))) if list == row.list => *count += 1,
                _ => unit.lists.push((row.list.to_owned(), 1, row.line)),
            }
        }
        writer.put(&unit)?;
    }
}

/// Where a row stands in memory.
#[derive(Clone, Copy)]
struct Place {
    start: u32,
    account: u8,
    list: u8,
    line: u64,
}

impl Place {
    /// By account, list and line. A sort compares in a dozen places; inlined in all of
    /// them this would be 6 kB.
    #[inline(never)]
    fn compare(&self, other: &Place, bytes: &[u8]) -> Ordering {
        let key = |place: &Place| {
            let (account, list) = place.texts(bytes);
            (account, list, place.line)
        };
        key(self).cmp(&key(other))
    }

    fn texts<'a>(&self, bytes: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        let (account, list) = (usize::from(self.account), usize::from(self.list));
        bytes[self.start as usize..][..account + list].split_at(account)
    }

    fn of<'a>(&self, bytes: &'a [u8]) -> Row<'a> {
        let text = |bytes| std::str::from_utf8(bytes).expect("read as text");
        let (account, list) = self.texts(bytes);
        Row { line: self.line, account: text(account), list: text(list) }
    }
}

struct RowReader {
    reader: BufReader<File>,
}

impl RowReader {
    /// Appends the texts of the next row to `bytes`.
    fn next(&mut self, bytes: &mut Vec<u8>) -> io::Result<Option<Place>> {
        let start = bytes.len() as u32;
        let Some(account) = first_byte(&mut self.reader)? else { return Ok(None) };
        append(&mut self.reader, account, bytes)?;
        let list = first_byte(&mut self.reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        append(&mut self.reader, list, bytes)?;
        let line = take_number(&mut self.reader)?;
        if std::str::from_utf8(&bytes[start as usize..]).is_err() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Some(Place { start, account, list, line }))
    }
}

fn first_byte(reader: &mut impl Read) -> io::Result<Option<u8>> {
    let mut byte = [0];
    match reader.read_exact(&mut byte) {
        Ok(()) => Ok(Some(byte[0])),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn append(reader: &mut impl Read, length: u8, bytes: &mut Vec<u8>) -> io::Result<()> {
    let start = bytes.len();
    bytes.resize(start + usize::from(length), 0);
    reader.read_exact(&mut bytes[start..])
}

/// A number in groups of seven bits, the lowest first.
fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_number(reader: &mut impl Read) -> io::Result<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = first_byte(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// Writes requests behind the header of a spool. Each carries a checksum.
struct Writer {
    file: BufWriter<File>,
    command: Command,
    units: u64,
    record: Vec<u8>,
}

impl Writer {
    fn put(&mut self, unit: &Unit) -> io::Result<()> {
        if unit.account.is_empty() {
            return Ok(());
        }
        self.units += 1;
        let record = &mut self.record;
        record.clear();
        let text = |record: &mut Vec<u8>, text: &str| {
            record.push(text.len() as u8);
            record.extend_from_slice(text.as_bytes());
        };
        text(record, &unit.account);
        record.push(unit.lists.len() as u8);
        if unit.lists.is_empty() {
            put_number(record, u64::from(unit.account_rows.0));
            put_number(record, unit.account_rows.1);
        }
        for (list, rows, line) in &unit.lists {
            text(record, list);
            put_number(record, u64::from(*rows));
            put_number(record, *line);
        }
        let sum = crc32c::crc32c(record);
        record.extend_from_slice(&sum.to_ne_bytes());
        let length = record.len() as u16;
        self.file.write_all(&length.to_ne_bytes())?;
        self.file.write_all(record)
    }
}

/// The requests of a job, in order.
#[derive(Debug)]
pub(super) struct Spool {
    path: PathBuf,
    reader: BufReader<File>,
    record: Vec<u8>,
    next: u32,
    units: u32,
}

impl Spool {
    /// Opens the spool of this job.
    pub fn open(path: &Path, header: &Header) -> Result<Spool> {
        let trouble = |error: io::Error| storage(path, "be read", &error);
        let mut reader = BufReader::with_capacity(READ_BUFFER, File::open(path).map_err(trouble)?);
        let mut head = [0; HEADER_BYTES];
        reader.read_exact(&mut head).map_err(trouble)?;
        let found = Header::decode(&head, SPOOL_MAGIC).map_err(|what| corrupt(path, what))?;
        if &found != header {
            return Err(corrupt(path, "it belongs to another journal"));
        }
        Ok(Spool { path: path.to_owned(), reader, record: Vec::new(), next: 0, units: header.units })
    }

    /// The next request; `None` behind the last.
    pub fn next(&mut self) -> Result<Option<Unit>> {
        if self.next == self.units {
            return Ok(None);
        }
        let mut length = [0; 2];
        let whole = self.reader.read_exact(&mut length).and_then(|()| {
            self.record.resize(usize::from(u16::from_ne_bytes(length)), 0);
            self.reader.read_exact(&mut self.record)
        });
        match whole {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(corrupt(&self.path, "it is cut short"));
            }
            Err(error) => return Err(storage(&self.path, "be read", &error)),
            Ok(()) => {}
        }
        let unit = decode(&self.record, self.next)
            .ok_or_else(|| corrupt(&self.path, &format!("request {} is damaged", self.next)))?;
        self.next += 1;
        Ok(Some(unit))
    }
}

fn decode(record: &[u8], number: u32) -> Option<Unit> {
    let (body, sum) = record.split_at_checked(record.len().checked_sub(4)?)?;
    if crc32c::crc32c(body).to_ne_bytes() != sum {
        return None;
    }
    let mut body = body;
    let reader = &mut body;
    let text = |reader: &mut &[u8]| {
        let mut bytes = Vec::new();
        let length = first_byte(reader).ok()??;
        append(reader, length, &mut bytes).ok()?;
        String::from_utf8(bytes).ok()
    };
    let count = |reader: &mut &[u8]| u32::try_from(take_number(reader).ok()?).ok();
    let account = text(reader)?;
    let lists = first_byte(reader).ok()??;
    let account_rows = match lists {
        0 => (count(reader)?, take_number(reader).ok()?),
        _ => (0, 0),
    };
    let lists = (0..lists)
        .map(|_| Some((text(reader)?, count(reader)?, take_number(reader).ok()?)))
        .collect::<Option<Vec<_>>>()?;
    reader.is_empty().then_some(Unit { number, account, lists, account_rows })
}

fn corrupt(path: &Path, what: &str) -> Error {
    Error::new(codes::JOB_CORRUPT, format!("{}: the spool cannot be used: {what}", path.display()))
}
