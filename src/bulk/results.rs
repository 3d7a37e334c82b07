//! What a journal's sixteen bytes cannot hold: why a request was refused, or which
//! lists an account has. A JSON object a line, written before the done mark.
//!
//! A line counts only if the journal says that its request ended so. What a killed
//! run left without a done mark is passed over.

#![forbid(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::group::Unit;
use super::journal::{Ended, Ends, storage};
use crate::error::{Error, Outcome, Result};
use crate::lists::List;

/// The longest line: an account with all its lists fits many times.
const LINE_MAX: u64 = 64 * 1024;
const TEXT_MAX: usize = 2048;

/// A line.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Found {
    pub unit: u32,
    pub account: String,
    /// The lists that were asked for: name, rows, first line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<(String, u32, u64)>,
    /// For an export: rows and first line.
    #[serde(default)]
    pub account_rows: (u32, u64),
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The lists there are: name and number of friends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lists: Option<Vec<(String, u64)>>,
}

/// Why a request failed.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Failure {
    pub code: i32,
    pub unknown: bool,
    pub text: String,
}

impl Found {
    /// A request that failed.
    pub fn failed(unit: &Unit, error: &Error, outcome: Outcome) -> Found {
        let mut text = error.message().to_owned();
        if let Some((at, _)) = text.char_indices().find(|&(at, _)| at >= TEXT_MAX) {
            text.truncate(at);
        }
        let failure = Failure { code: error.code(), unknown: outcome == Outcome::Unknown, text };
        Found {
            unit: unit.number,
            account: unit.account.clone(),
            asked: unit.lists.clone(),
            account_rows: unit.account_rows,
            failure: Some(failure),
            lists: None,
        }
    }

    /// An account that was read.
    pub fn read(unit: &Unit, lists: &[List]) -> Found {
        let lists = lists.iter().map(|list| (list.name.to_string(), list.friend_count)).collect();
        Found {
            unit: unit.number,
            account: unit.account.clone(),
            asked: Vec::new(),
            account_rows: (0, 0),
            failure: None,
            lists: Some(lists),
        }
    }

    /// How many rows it is about.
    pub fn rows(&self) -> u64 {
        u64::from(self.account_rows.0) + self.asked.iter().map(|asked| u64::from(asked.1)).sum::<u64>()
    }
}

/// The file, open for more.
#[derive(Debug)]
pub(super) struct Results {
    path: PathBuf,
    file: File,
}

impl Results {
    /// Opens or makes it, and cuts off a line that was not finished.
    pub fn open(path: &Path) -> Result<Results> {
        let open = || -> io::Result<File> {
            let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
            let length = file.metadata()?.len();
            let start = length.saturating_sub(LINE_MAX);
            file.seek(SeekFrom::Start(start))?;
            let mut tail = Vec::new();
            (&file).take(LINE_MAX).read_to_end(&mut tail)?;
            let whole = tail.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            file.set_len(start + whole as u64)?;
            Ok(file)
        };
        let file = open().map_err(|error| storage(path, "be opened", &error))?;
        Ok(Results { path: path.to_owned(), file })
    }

    /// Appends a line by one `write`.
    pub fn append(&mut self, found: &Found) -> Result<()> {
        let mut line = serde_json::to_vec(found).expect("texts and numbers are valid JSON");
        line.push(b'\n');
        self.file.write_all(&line).map_err(|error| storage(&self.path, "be written", &error))
    }
}

/// Gives every line that counts, each request once.
pub(super) fn each(path: &Path, ends: &Ends, mut take: impl FnMut(&Found) -> io::Result<()>) -> Result<()> {
    let trouble = |error: io::Error| storage(path, "be read", &error);
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(trouble)?,
    };
    let mut reader = BufReader::with_capacity(256 * 1024, file);
    let (mut line, mut seen) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        if reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut line).map_err(trouble)? == 0 {
            return Ok(());
        }
        let Ok(found) = serde_json::from_slice::<Found>(&line) else { continue };
        let counts = match ends.of(found.unit) {
            Some(Ended::Done { .. }) => found.failure.is_none(),
            Some(Ended::Failed) => found.failure.as_ref().is_some_and(|failure| !failure.unknown),
            Some(Ended::Unknown) => found.failure.as_ref().is_some_and(|failure| failure.unknown),
            None => false,
        };
        if counts && first(&mut seen, found.unit) {
            take(&found).map_err(|error| storage(path, "be passed on", &error))?;
        }
    }
}

/// Marks a bit; whether it was not marked before.
fn first(seen: &mut Vec<u64>, number: u32) -> bool {
    let (word, bit) = (number as usize / 64, 1 << (number % 64));
    if seen.len() <= word {
        seen.resize(word + 1, 0);
    }
    let new = seen[word] & bit == 0;
    seen[word] |= bit;
    new
}

#[cfg(test)]
mod tests {
    use super::super::journal::{End, Record};
    use super::*;

    #[test]
    fn only_what_the_journal_confirms_is_given_and_only_once() {
        let directory = std::env::temp_dir().join(format!("imgroup-results-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("results");
        let unit = |number| Unit {
            number,
            account: format!("a{number}"),
            lists: vec![("F".into(), 2, 9)],
            account_rows: (0, 0),
        };
        let error = |text: &str| Error::new(30003, text);
        let mut results = Results::open(&path).unwrap();
        for (number, text) in [(0, "first"), (0, "second"), (1, "never ended"), (2, "done later")] {
            results.append(&Found::failed(&unit(number), &error(text), Outcome::Rejected)).unwrap();
        }
        // A run that was killed in the middle of a line.
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"unit\":3,").unwrap();
        let mut results = Results::open(&path).unwrap();
        results.append(&Found::failed(&unit(3), &error("after the cut"), Outcome::Unknown)).unwrap();

        let mut ends = Ends::new(4);
        for (unit, end) in [(0, End::Failed), (2, End::Done), (3, End::Unknown)] {
            assert!(ends.apply(Record::Done { unit, end, attempts: 1, code: 0 }));
        }
        let mut told = Vec::new();
        each(&path, &ends, |found| {
            told.push((found.unit, found.failure.as_ref().unwrap().text.clone(), found.rows()));
            Ok(())
        })
        .unwrap();
        assert_eq!(told, [(0, "first".into(), 2), (3, "after the cut".into(), 2)]);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
