//! The journal: which request was begun, and how each ended.
//!
//! A header of 128 bytes binds it to one job; records of 16 bytes follow, each with
//! a checksum over its place. A start mark is written before a request leaves and a
//! done mark when its answer is there, each by one `write`, so a process may be
//! killed at any moment: what was done is known, and what was in flight is exactly
//! the starts without an end. Only a power loss can take away more, the records of
//! the last tenth of a second.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write as _};
use std::path::Path;

use rustix::fs::FlockOperation;

use super::Command;
use crate::codes;
use crate::error::{Error, Result};

pub(super) const HEADER_BYTES: usize = 128;
const RECORD_BYTES: usize = 16;
/// More damage at the end than this is not the trace of a write cut short.
const TORN_MAX: u64 = 64 * 1024;
const FORMAT: u32 = 1;
/// Reads differently on a machine of the other byte order.
const ORDER_MARK: u32 = 0x0102_0304;

/// What begins a journal, and what begins the spool that belongs to it.
pub(super) const JOURNAL_MAGIC: &[u8; 8] = b"IMGRPJNL";
pub(super) const SPOOL_MAGIC: &[u8; 8] = b"IMGRPSPL";

/// What a journal is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub command: Command,
    pub sdkappid: u32,
    /// Which part of the accounts, from 1, and of how many.
    pub partition: (u32, u32),
    /// Of the whole input, before it was partitioned.
    pub input_bytes: u64,
    pub input_sha256: [u8; 32],
    /// Rows and requests of this partition.
    pub rows: u64,
    pub units: u32,
    /// Seconds since 1970.
    pub created_s: u64,
}

impl Header {
    pub fn encode(&self, magic: &[u8; 8]) -> [u8; HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(magic);
        for number in [FORMAT, ORDER_MARK, self.command as u32, self.sdkappid] {
            bytes.extend_from_slice(&number.to_ne_bytes());
        }
        for number in [self.partition.0, self.partition.1, self.units, 0] {
            bytes.extend_from_slice(&number.to_ne_bytes());
        }
        for number in [self.input_bytes, self.rows, self.created_s] {
            bytes.extend_from_slice(&number.to_ne_bytes());
        }
        bytes.extend_from_slice(&self.input_sha256);
        bytes.resize(HEADER_BYTES - 4, 0);
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_ne_bytes());
        bytes.try_into().expect("as long as a header")
    }

    /// Reads a header, or says what is wrong with it.
    pub fn decode(bytes: &[u8; HEADER_BYTES], magic: &[u8; 8]) -> Result<Header, &'static str> {
        let u32_at = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let u64_at = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        if &bytes[..8] != magic {
            return Err("it is another kind of file");
        }
        if u32_at(12) != ORDER_MARK {
            return Err("it was written on a machine of another byte order");
        }
        if crc32c::crc32c(&bytes[..HEADER_BYTES - 4]) != u32_at(HEADER_BYTES - 4) {
            return Err("its header is damaged");
        }
        if u32_at(8) != FORMAT {
            return Err("it was written by another version of this library");
        }
        Ok(Header {
            command: Command::of_number(u32_at(16)).ok_or("it is for a command unknown to this version")?,
            sdkappid: u32_at(20),
            partition: (u32_at(24), u32_at(28)),
            units: u32_at(32),
            input_bytes: u64_at(40),
            rows: u64_at(48),
            created_s: u64_at(56),
            input_sha256: bytes[64..96].try_into().expect("32 bytes"),
        })
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum End {
    /// The lists of the mask were gone already; the others were deleted. For an
    /// export the account was read.
    Done = 1,
    /// Refused.
    Failed = 2,
    /// It may have been applied.
    Unknown = 3,
}

/// One line of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A request is about to leave.
    Start { unit: u32 },
    /// It ended; `code` is the service's or this library's, or, for `Done`, the
    /// mask of the lists that were gone already.
    Done { unit: u32, end: End, attempts: u16, code: i32 },
    /// So many rows had ended so many seconds after the job was begun.
    Sample { elapsed_s: u32, rows: u32 },
}

impl Record {
    pub fn encode(self, number: u64) -> [u8; RECORD_BYTES] {
        let (kind, end, attempts, unit, code) = match self {
            Record::Start { unit } => (1, 0, 0, unit, 0),
            Record::Done { unit, end, attempts, code } => (2, end as u8, attempts, unit, code),
            Record::Sample { elapsed_s, rows } => (3, 0, 0, elapsed_s, rows as i32),
        };
        let mut bytes = [0; RECORD_BYTES];
        bytes[0] = kind;
        bytes[1] = end;
        bytes[2..4].copy_from_slice(&attempts.to_ne_bytes());
        bytes[4..8].copy_from_slice(&unit.to_ne_bytes());
        bytes[8..12].copy_from_slice(&code.to_ne_bytes());
        let sum = checksum(&bytes, number);
        bytes[12..].copy_from_slice(&sum.to_ne_bytes());
        bytes
    }

    fn decode(bytes: &[u8; RECORD_BYTES], number: u64) -> Option<Record> {
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        if word(12) != checksum(bytes, number) {
            return None;
        }
        let unit = word(4);
        match (bytes[0], bytes[1]) {
            (1, 0) => Some(Record::Start { unit }),
            (2, end @ 1..=3) => Some(Record::Done {
                unit,
                end: [End::Done, End::Failed, End::Unknown][usize::from(end) - 1],
                attempts: u16::from_ne_bytes([bytes[2], bytes[3]]),
                code: word(8) as i32,
            }),
            (3, 0) => Some(Record::Sample { elapsed_s: unit, rows: word(8) }),
            _ => None,
        }
    }
}

/// Over a record and its place, so that none can stand in for another.
fn checksum(bytes: &[u8; RECORD_BYTES], number: u64) -> u32 {
    crc32c::crc32c(&bytes[..12]) ^ number as u32
}

/// What the records say of each request. A byte a request, as there are millions.
#[derive(Debug, Default)]
pub(super) struct Ends {
    states: Vec<u8>,
    /// Masks that are neither empty nor full: (unit, mask), in order.
    masks: Vec<(u32, u32)>,
    /// Those that came since [`Ends::settle`].
    late_masks: Vec<(u32, u32)>,
    /// Begun, and not ended.
    pub open: BTreeSet<u32>,
    /// The rate over time.
    pub samples: Vec<(u32, u32)>,
}

/// How a request ended, as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Done { gone: u32 },
    Failed,
    Unknown,
}

const OPEN: u8 = 0;
const DONE: u8 = 1;
const ALL_GONE: u8 = 2;
const SOME_GONE: u8 = 3;
const FAILED: u8 = 4;
const UNKNOWN: u8 = 5;

impl Ends {
    pub fn new(units: u32) -> Ends {
        Ends { states: vec![OPEN; units as usize], ..Ends::default() }
    }

    /// Takes a record in; `false` if it makes no sense in this job.
    pub fn apply(&mut self, record: Record) -> bool {
        match record {
            Record::Start { unit } => {
                self.open.insert(unit);
                (unit as usize) < self.states.len()
            }
            Record::Done { unit, end, code, .. } => {
                self.open.remove(&unit);
                let Some(state) = self.states.get_mut(unit as usize) else { return false };
                *state = match (end, code as u32) {
                    (End::Done, 0) => DONE,
                    (End::Done, u32::MAX) => ALL_GONE,
                    (End::Done, mask) => {
                        self.late_masks.push((unit, mask));
                        SOME_GONE
                    }
                    (End::Failed, _) => FAILED,
                    (End::Unknown, _) => UNKNOWN,
                };
                true
            }
            Record::Sample { elapsed_s, rows } => {
                self.samples.push((elapsed_s, rows));
                true
            }
        }
    }

    /// How a request ended, if it had when [`Ends::settle`] was called.
    pub fn of(&self, unit: u32) -> Option<Ended> {
        Some(match *self.states.get(unit as usize)? {
            DONE => Ended::Done { gone: 0 },
            ALL_GONE => Ended::Done { gone: u32::MAX },
            SOME_GONE => {
                let at = self.masks.binary_search_by_key(&unit, |&(unit, _)| unit);
                Ended::Done { gone: at.map_or(0, |at| self.masks[at].1) }
            }
            FAILED => Ended::Failed,
            UNKNOWN => Ended::Unknown,
            _ => return None,
        })
    }

    /// Whether a request ended.
    pub fn has_ended(&self, unit: u32) -> bool {
        self.states.get(unit as usize).is_some_and(|&state| state != OPEN)
    }

    /// Brings the masks in order.
    pub fn settle(&mut self) {
        self.masks.append(&mut self.late_masks);
        self.masks.sort_unstable();
    }
}

/// The journal of a job, open and locked.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    /// Who holds the lock.
    process: u32,
    /// How many records it holds.
    records: u64,
    failed: bool,
    dirty: bool,
}

/// What was found where the journal is to be.
pub(super) enum Found {
    /// Nothing was begun.
    New(Journal),
    /// A job to go on with.
    Begun(Journal, Header, Ends),
}

impl Journal {
    /// Opens or makes a journal, and locks it against other runs.
    pub fn open(path: &Path) -> Result<Found> {
        let trouble = |error: io::Error| storage(path, "be opened", &error);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(|error| Error::config("journal", format_args!("{}: {error}", path.display())))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            if error == rustix::io::Errno::WOULDBLOCK {
                Error::new(codes::JOB_BUSY, format!("{}: another run holds this journal", path.display()))
            } else {
                storage(path, "be locked", &error.into())
            }
        })?;
        let length = file.metadata().map_err(trouble)?.len();
        let mut journal =
            Journal { file, process: std::process::id(), records: 0, failed: false, dirty: false };
        if length == 0 {
            return Ok(Found::New(journal));
        }
        let (header, ends, records, whole) = read_file(path, &journal.file, length)?;
        if whole < length {
            journal.file.set_len(whole).map_err(trouble)?;
            journal.file.sync_all().map_err(trouble)?;
        }
        journal.records = records;
        Ok(Found::Begun(journal, header, ends))
    }

    /// Writes the header. From here on the journal is bound.
    pub fn begin(&mut self, path: &Path, header: &Header) -> Result<()> {
        let mut write = || {
            self.file.write_all(&header.encode(JOURNAL_MAGIC))?;
            self.file.sync_all()?;
            sync_directory(path)
        };
        write().map_err(|error: io::Error| storage(path, "be written", &error))
    }

    /// Appends a record. After a failure the journal takes nothing more: what is
    /// not recorded must not be done.
    pub fn append(&mut self, record: Record) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier write failed"));
        }
        self.dirty = true;
        let written = loop {
            match self.file.write(&record.encode(self.records)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        match written {
            Ok(RECORD_BYTES) => {
                self.records += 1;
                Ok(())
            }
            // A part of a record is what a reader takes for the end.
            Ok(_) => {
                self.failed = true;
                Err(io::ErrorKind::StorageFull.into())
            }
            Err(error) => {
                self.failed = true;
                Err(error)
            }
        }
    }

    /// Whether this process opened it; a child's copy is none of the child's business.
    pub fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }

    /// What has to be brought to the disk, if something has.
    pub fn take_unsynced(&mut self) -> io::Result<Option<File>> {
        if !std::mem::take(&mut self.dirty) {
            return Ok(None);
        }
        self.file.try_clone().map(Some)
    }

    /// The disk refused what was written: nothing more is taken.
    pub fn fail(&mut self) {
        self.failed = true;
    }
}

impl Drop for Journal {
    /// Closing the file would not unlock it while another thread starts a program, as
    /// that has a copy of every file until it runs. A copy that fork() made must not.
    fn drop(&mut self) {
        if self.is_ours() {
            let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
        }
    }
}

/// Why a journal cannot be read.
#[derive(Debug)]
pub(super) enum Flaw {
    Io(io::Error),
    Damage(String),
}

impl From<io::Error> for Flaw {
    fn from(error: io::Error) -> Flaw {
        Flaw::Io(error)
    }
}

/// Reads a journal of so many bytes: its header, how requests ended, the number of
/// records, and how many bytes of it are whole.
pub(super) fn read(reader: &mut impl Read, length: u64) -> Result<(Header, Ends, u64, u64), Flaw> {
    let damage = |what: &str| Flaw::Damage(what.to_owned());
    if length < HEADER_BYTES as u64 {
        return Err(damage("its header is cut short"));
    }
    let mut head = [0; HEADER_BYTES];
    reader.read_exact(&mut head)?;
    let header = Header::decode(&head, JOURNAL_MAGIC).map_err(damage)?;
    let mut ends = Ends::new(header.units);
    let count = (length - HEADER_BYTES as u64) / RECORD_BYTES as u64;
    let mut whole = count;
    let mut bytes = [0; RECORD_BYTES];
    for number in 0..count {
        reader.read_exact(&mut bytes)?;
        match Record::decode(&bytes, number) {
            None => whole = whole.min(number),
            Some(_) if whole < number => {
                return Err(Flaw::Damage(format!("record {whole} is damaged, and whole ones follow")));
            }
            Some(record) => {
                if !ends.apply(record) {
                    return Err(Flaw::Damage(format!("record {number} is not of this job")));
                }
            }
        }
    }
    ends.settle();
    let whole_bytes = HEADER_BYTES as u64 + whole * RECORD_BYTES as u64;
    if length - whole_bytes > TORN_MAX {
        return Err(Flaw::Damage(format!("nothing from record {whole} on can be read")));
    }
    Ok((header, ends, whole, whole_bytes))
}

/// Reads a journal of so many bytes from its file; as [`read`].
pub(super) fn read_file(path: &Path, file: &File, length: u64) -> Result<(Header, Ends, u64, u64)> {
    read(&mut BufReader::with_capacity(1 << 20, file), length).map_err(|flaw| match flaw {
        Flaw::Io(error) => storage(path, "be read", &error),
        Flaw::Damage(what) => {
            Error::new(codes::JOB_CORRUPT, format!("{}: the journal cannot be used: {what}", path.display()))
        }
    })
}

/// Makes all sums right, so that a fuzzer comes past them.
#[cfg(feature = "fuzzing")]
pub(super) fn mend(bytes: &mut [u8]) {
    let (header, records) = bytes.split_at_mut(HEADER_BYTES);
    let sum = crc32c::crc32c(&header[..HEADER_BYTES - 4]);
    header[HEADER_BYTES - 4..].copy_from_slice(&sum.to_ne_bytes());
    for (record, number) in records.chunks_exact_mut(RECORD_BYTES).zip(0..) {
        let sum = checksum((&*record).try_into().expect("as long as a record"), number);
        record[12..].copy_from_slice(&sum.to_ne_bytes());
    }
}

/// The disk does not do what it has to.
pub(super) fn storage(path: &Path, what: &str, error: &io::Error) -> Error {
    Error::new(codes::RESOURCE, format!("{} cannot {what}: {error}", path.display()))
}

/// A new name in a directory lasts only after this.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            command: Command::Delete,
            sdkappid: 1_400_000_000,
            partition: (2, 5),
            input_bytes: 77,
            input_sha256: [9; 32],
            rows: 12,
            units: 4,
            created_s: 1_795_000_000,
        }
    }

    const RECORDS: [Record; 6] = [
        Record::Start { unit: 0 },
        Record::Start { unit: 3 },
        Record::Done { unit: 3, end: End::Failed, attempts: 2, code: 30003 },
        Record::Sample { elapsed_s: 1, rows: 3 },
        Record::Done { unit: 0, end: End::Done, attempts: 1, code: 0b101 },
        Record::Start { unit: 1 },
    ];

    fn file() -> Vec<u8> {
        let mut bytes = header().encode(JOURNAL_MAGIC).to_vec();
        for (number, record) in RECORDS.iter().enumerate() {
            bytes.extend_from_slice(&record.encode(number as u64));
        }
        bytes
    }

    fn read_all(bytes: &[u8]) -> Result<(Header, Ends, u64, u64), Flaw> {
        read(&mut &bytes[..], bytes.len() as u64)
    }

    #[test]
    fn a_copy_of_the_file_does_not_hold_the_lock() {
        let path = std::env::temp_dir().join(format!("imgroup-journal-{}", std::process::id()));
        let Found::New(journal) = Journal::open(&path).unwrap() else { panic!("it was begun") };
        assert_eq!(Journal::open(&path).err().map(|error| error.code()), Some(codes::JOB_BUSY));
        // What a child has until it runs its program.
        let copy = journal.file.try_clone().unwrap();
        drop(journal);
        assert!(Journal::open(&path).is_ok());
        drop(copy);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_was_written_is_read() {
        let (found, ends, records, whole) = read_all(&file()).unwrap();
        assert_eq!(found, header());
        assert_eq!((records, whole), (6, file().len() as u64));
        assert_eq!(ends.of(0), Some(Ended::Done { gone: 0b101 }));
        assert_eq!((ends.of(1), ends.of(2), ends.of(3)), (None, None, Some(Ended::Failed)));
        assert_eq!(ends.open, BTreeSet::from([1]));
        assert_eq!(ends.samples, [(1, 3)]);
    }

    #[test]
    fn cut_at_every_byte_it_is_read_or_refused() {
        let whole = file();
        for length in 1..whole.len() {
            let result = read_all(&whole[..length]);
            if length < HEADER_BYTES {
                assert!(matches!(result, Err(Flaw::Damage(_))), "{length}");
                continue;
            }
            let (_, ends, records, kept) = result.unwrap();
            assert_eq!(records, ((length - HEADER_BYTES) / RECORD_BYTES) as u64, "{length}");
            assert_eq!(kept, HEADER_BYTES as u64 + records * RECORD_BYTES as u64);
            // Nothing counts as ended whose end was cut off.
            assert_eq!(ends.has_ended(0), records > 4, "{length}");
            assert_eq!(ends.has_ended(3), records > 2, "{length}");
        }
    }

    #[test]
    fn any_changed_bit_is_noticed() {
        let whole = file();
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                let last = at >= whole.len() - RECORD_BYTES;
                match read_all(&damaged) {
                    // The last record counts as torn: the request is repeated.
                    Ok((_, _, records, _)) => assert!(last && records == 5, "byte {at} bit {bit}"),
                    Err(Flaw::Damage(_)) => assert!(!last, "byte {at} bit {bit}"),
                    Err(Flaw::Io(error)) => panic!("{error}"),
                }
            }
        }
    }

    #[test]
    fn a_record_in_another_place_is_not_taken() {
        let mut swapped = file();
        let (first, second) = (HEADER_BYTES, HEADER_BYTES + RECORD_BYTES);
        for at in 0..RECORD_BYTES {
            swapped.swap(first + at, second + at);
        }
        assert!(matches!(read_all(&swapped), Err(Flaw::Damage(_))));
    }

    #[test]
    fn a_unit_beyond_the_job_is_refused() {
        let mut bytes = header().encode(JOURNAL_MAGIC).to_vec();
        bytes.extend_from_slice(&Record::Start { unit: 4 }.encode(0));
        assert!(matches!(read_all(&bytes), Err(Flaw::Damage(_))));
    }

    #[test]
    fn a_long_stretch_of_damage_is_refused() {
        let mut bytes = file();
        bytes.resize(bytes.len() + 2 * TORN_MAX as usize, 0);
        assert!(matches!(read_all(&bytes), Err(Flaw::Damage(_))));
        // A short one is what a power loss leaves.
        bytes.truncate(file().len() + 160);
        assert_eq!(read_all(&bytes).unwrap().2, 6);
    }
}
