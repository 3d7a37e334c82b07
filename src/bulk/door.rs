//! The journal as bytes, for `fuzz/`. Only with the feature `fuzzing`.

#![forbid(unsafe_code)]

use super::Command;
use super::journal::{self, End, Ended, Flaw, HEADER_BYTES, Header, JOURNAL_MAGIC, Record};

/// A line of a journal: the end of a request if it has a code, its start if not.
pub type Line = (u32, Option<i32>);

/// What a journal says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Read {
    pub records: u64,
    /// How many bytes of it are whole.
    pub whole: u64,
    /// Begun, and not ended.
    pub open: Vec<u32>,
    /// How each request ended: 0 is success, otherwise which lists were gone.
    pub ended: Vec<Option<u32>>,
}

/// A journal of a job of so many requests.
pub fn write(units: u32, lines: &[Line]) -> Vec<u8> {
    let header = Header {
        command: Command::Delete,
        sdkappid: 1_400_000_000,
        partition: (1, 1),
        input_bytes: 0,
        input_sha256: [0; 32],
        rows: u64::from(units),
        units,
        created_s: 0,
    };
    let mut bytes = header.encode(JOURNAL_MAGIC).to_vec();
    for (number, &(unit, code)) in (0..).zip(lines) {
        let record = match code {
            None => Record::Start { unit },
            Some(code) => Record::Done { unit, end: End::Done, attempts: 1, code },
        };
        bytes.extend_from_slice(&record.encode(number));
    }
    bytes
}

/// Reads a journal, or says what is wrong with it.
pub fn read(bytes: &[u8]) -> Result<Read, String> {
    let (header, ends, records, whole) =
        journal::read(&mut &*bytes, bytes.len() as u64).map_err(|flaw| match flaw {
            Flaw::Damage(what) => what,
            Flaw::Io(error) => panic!("{error}"),
        })?;
    let ended = |unit| match ends.of(unit) {
        Some(Ended::Done { gone }) => Some(gone),
        Some(Ended::Failed | Ended::Unknown) => Some(u32::MAX),
        None => None,
    };
    Ok(Read {
        records,
        whole,
        open: ends.open.iter().copied().collect(),
        ended: (0..header.units).map(ended).collect(),
    })
}

/// Makes the sums of a journal right, whatever else is wrong with it. `None` if it
/// is shorter than a header.
pub fn mend(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut mended = bytes.to_vec();
    let header = mended.get_mut(..HEADER_BYTES)?;
    // The number of requests: a million of them would take too long.
    header[34..36].fill(0);
    journal::mend(&mut mended);
    Some(mended)
}
