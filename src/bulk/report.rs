//! What a job came to: totals, the classes of its failures, the rate over time, the
//! rows to look at again.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Command;
use super::group::Unit;
use super::journal::{Ends, Header, storage, sync_directory};
use super::read::Format;
use super::results;
use super::run::{Progress, Stop};
use crate::codes;
use crate::error::Result;

/// The page. The report stands in it as JSON, and a script of its own shows it.
const PAGE: &str = include_str!("report.html");
const PLACE: &str = "\"REPORT\"";
/// More points than this nobody can tell apart.
const POINTS: usize = 400;

/// What is known when a run has ended; as it stands in the JSON.
#[derive(Debug, Serialize)]
pub(super) struct Totals {
    command: &'static str,
    sdkappid: u32,
    partition: Partition,
    input: Input,
    begun_s: u64,
    finished: bool,
    stopped: Option<Stopped>,
    rows: Rows,
    requests: u32,
    this_run: ThisRun,
    failures: Vec<Failure>,
    /// (seconds since the job was begun, rows that had ended)
    rate: Vec<(u32, u32)>,
}

#[derive(Debug, Serialize)]
struct Partition {
    index: u32,
    count: u32,
}

#[derive(Debug, Serialize)]
struct Input {
    bytes: u64,
    sha256: String,
}

#[derive(Debug, Serialize)]
struct Stopped {
    reason: &'static str,
    code: i32,
    name: &'static str,
    message: String,
}

#[derive(Debug, Serialize)]
struct Rows {
    total: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<u64>,
    already_gone: u64,
    failed: u64,
    unknown: u64,
    open: u64,
}

#[derive(Debug, Serialize)]
struct ThisRun {
    rows: u64,
    requests_sent: u64,
    elapsed_ms: u64,
    waited_for_pace_ms: u64,
    rows_per_second: f64,
    repeated: Vec<Repeated>,
}

/// A row that a killed run may have sent already.
#[derive(Debug, Serialize)]
struct Repeated {
    line: u64,
    account: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<String>,
}

#[derive(Debug, Serialize)]
struct Failure {
    code: i32,
    name: &'static str,
    class: &'static str,
    rows: u64,
    example: String,
    advice: Option<&'static str>,
}

impl Totals {
    pub fn new(
        header: &Header,
        progress: Progress,
        ends: &Ends,
        repeated: &[Unit],
        stop: &Option<Stop>,
        results: &Path,
    ) -> Result<Totals> {
        let mut failures = BTreeMap::<i32, (u64, String)>::new();
        results::each(results, ends, |found| {
            if let Some(failure) = &found.failure {
                let class = failures.entry(failure.code).or_insert_with(|| (0, failure.text.clone()));
                class.0 += found.rows();
            }
            Ok(())
        })?;
        let failures = failures.into_iter().map(|(code, (rows, example))| Failure {
            code,
            name: codes::name(code),
            class: codes::class(code).name(),
            rows,
            example,
            advice: codes::lookup(code).map(|code| code.advice),
        });
        let stopped = stop.as_ref().map(|stop| Stopped {
            reason: stop.reason,
            code: stop.error.code(),
            name: stop.error.name(),
            message: stop.error.message().to_owned(),
        });
        let is_delete = header.command == Command::Delete;
        let this_run = progress.ended() - progress.resumed;
        let per_second = this_run as f64 * 1000.0 / progress.elapsed_ms.max(1) as f64;
        Ok(Totals {
            command: header.command.name(),
            sdkappid: header.sdkappid,
            partition: Partition { index: header.partition.0, count: header.partition.1 },
            input: Input {
                bytes: header.input_bytes,
                sha256: header.input_sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
            },
            begun_s: header.created_s,
            finished: stop.is_none(),
            stopped,
            rows: Rows {
                total: progress.rows,
                deleted: is_delete.then_some(progress.done),
                read: (!is_delete).then_some(progress.done),
                already_gone: progress.already_gone,
                failed: progress.failed,
                unknown: progress.unknown,
                open: progress.rows - progress.ended(),
            },
            requests: header.units,
            this_run: ThisRun {
                rows: this_run,
                requests_sent: progress.requests,
                elapsed_ms: progress.elapsed_ms,
                waited_for_pace_ms: progress.waited_ms,
                rows_per_second: (per_second * 10.0).round() / 10.0,
                repeated: repeated.iter().flat_map(rows_of).collect(),
            },
            failures: failures.collect(),
            rate: thin_out(&ends.samples),
        })
    }

    pub fn stopped_by(&self) -> Option<&'static str> {
        self.stopped.as_ref().map(|stopped| stopped.reason)
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are valid JSON")
    }
}

fn rows_of(unit: &Unit) -> Vec<Repeated> {
    let row = |list, line| Repeated { line, account: unit.account.clone(), list };
    match unit.lists.is_empty() {
        true => vec![row(None, unit.account_rows.1)],
        false => unit.lists.iter().map(|list| row(Some(list.0.clone()), list.2)).collect(),
    }
}

/// Keeps points at even distances, the first and the last among them.
fn thin_out(samples: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let step = samples.len().div_ceil(POINTS).max(1);
    let last = samples.last().copied();
    let mut kept: Vec<_> = samples.iter().copied().step_by(step).collect();
    if kept.last().copied() != last {
        kept.extend(last);
    }
    kept
}

/// Writes a file whole or not at all.
pub(super) fn write_whole(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<u64>) -> Result<u64> {
    let trouble = |error: io::Error| storage(path, "be written", &error);
    let mut name = path.as_os_str().to_owned();
    name.push(".unfinished");
    let unfinished = PathBuf::from(name);
    let mut file = BufWriter::new(File::create(&unfinished).map_err(trouble)?);
    let count = write(&mut file).inspect_err(|_| drop(fs::remove_file(&unfinished)))?;
    let finish = || -> io::Result<()> {
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&unfinished, path)?;
        sync_directory(path)
    };
    finish().map_err(trouble)?;
    Ok(count)
}

/// The report as JSON, and beside it as a page.
pub(super) fn write(totals: &Totals, path: &Path) -> Result<()> {
    let report = totals.to_json();
    let page_path = path.with_extension("html");
    let json_path = if page_path == path { path.with_extension("json") } else { path.to_owned() };
    let to = |path: &Path, text: &str| {
        write_whole(path, |file| {
            file.write_all(text.as_bytes()).map_err(|error| storage(path, "be written", &error))?;
            Ok(0)
        })
    };
    to(&json_path, &format!("{report}\n"))?;
    // Nothing in a text may end the script that it stands in.
    let safe = report.replace('<', "\\u003c");
    to(&page_path, &PAGE.replace(PLACE, &safe))?;
    Ok(())
}

#[derive(Serialize)]
struct FailedRow<'a> {
    account: &'a str,
    list: &'a str,
    line: u64,
    outcome: &'a str,
    code: i32,
    reason: &'a str,
}

/// The rows that failed or are unknown, to be read again as input.
pub(super) fn write_failed(
    results: &Path,
    header: &Header,
    ends: &Ends,
    path: &Path,
    format: Format,
) -> Result<u64> {
    let separator = if format == Format::Tsv { '\t' } else { ',' };
    write_whole(path, |file| {
        let mut rows = 0;
        if format != Format::Jsonl {
            let columns = ["account", "list", "line", "outcome", "code", "reason"];
            write_line(file, separator, &columns).map_err(|error| storage(path, "be written", &error))?;
        }
        results::each(results, ends, |found| {
            let Some(failure) = &found.failure else { return Ok(()) };
            let outcome = if failure.unknown { "unknown" } else { "failed" };
            let none = [(String::new(), found.account_rows.0, found.account_rows.1)];
            let asked = if header.command == Command::Export { &none[..] } else { &found.asked };
            for (list, _, line) in asked {
                rows += 1;
                if format == Format::Jsonl {
                    let account = &found.account;
                    let row = FailedRow {
                        account,
                        list,
                        line: *line,
                        outcome,
                        code: failure.code,
                        reason: &failure.text,
                    };
                    serde_json::to_writer(&mut *file, &row)?;
                    writeln!(file)?;
                } else {
                    let (line, code) = (line.to_string(), failure.code.to_string());
                    let fields = [&found.account, list, &line, outcome, &code, &failure.text];
                    write_line(file, separator, &fields)?;
                }
            }
            Ok(())
        })?;
        Ok(rows)
    })
}

/// The lists that an export found.
pub(super) fn write_lists(results: &Path, ends: &Ends, to: &mut dyn Write) -> Result<u64> {
    let mut lists = 0;
    let mut to = BufWriter::new(to);
    let mut write = |fields: [&str; 3]| write_line(&mut to, ',', &fields);
    write(["account", "list", "friends"]).map_err(|error| storage(results, "be passed on", &error))?;
    results::each(results, ends, |found| {
        for (list, friends) in found.lists.iter().flatten() {
            lists += 1;
            write([&found.account, list, &friends.to_string()])?;
        }
        Ok(())
    })?;
    to.flush().map_err(|error| storage(results, "be passed on", &error))?;
    Ok(lists)
}

/// One line of CSV or TSV, with quotes where they are needed.
fn write_line(to: &mut (impl Write + ?Sized), separator: char, fields: &[&str]) -> io::Result<()> {
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            write!(to, "{separator}")?;
        }
        let plain = !field.is_empty() && !field.contains([separator, '"', '\n', '\r']);
        if plain {
            to.write_all(field.as_bytes())?;
        } else {
            write!(to, "\"{}\"", field.replace('"', "\"\""))?;
        }
    }
    to.write_all(b"\n")
}
