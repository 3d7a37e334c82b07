//! What a job came to: totals, the classes of its failures, the rate over time, the
//! rows to look at again.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

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

/// What is known when a run has ended.
#[derive(Debug)]
pub(super) struct Totals {
    header: Header,
    progress: Progress,
    stop: Option<(&'static str, i32, String)>,
    /// By code: rows, and one of the texts.
    failures: BTreeMap<i32, (u64, String)>,
    repeated: Vec<Value>,
    samples: Vec<(u32, u32)>,
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
        let row = |account: &str, list: &str, line: u64| match header.command {
            Command::Delete => json!({"line": line, "account": account, "list": list}),
            Command::Export => json!({"line": line, "account": account}),
        };
        let repeated = repeated
            .iter()
            .flat_map(|unit| match unit.lists.is_empty() {
                true => vec![row(&unit.account, "", unit.account_rows.1)],
                false => unit.lists.iter().map(|list| row(&unit.account, &list.0, list.2)).collect(),
            })
            .collect();
        Ok(Totals {
            header: header.clone(),
            progress,
            stop: stop.as_ref().map(|stop| (stop.reason, stop.error.code(), stop.error.message().to_owned())),
            failures,
            repeated,
            samples: thin_out(&ends.samples),
        })
    }

    pub fn stopped_by(&self) -> Option<&'static str> {
        self.stop.as_ref().map(|stop| stop.0)
    }

    pub fn to_json(&self) -> Value {
        let Totals { header, progress, .. } = self;
        let done = if header.command == Command::Delete { "deleted" } else { "read" };
        let this_run = progress.ended() - progress.resumed;
        let per_second = this_run as f64 * 1000.0 / progress.elapsed_ms.max(1) as f64;
        let failures: Vec<Value> = self
            .failures
            .iter()
            .map(|(&code, (rows, text))| {
                let advice = codes::lookup(code).map(|code| code.advice);
                json!({"code": code, "name": codes::name(code), "class": codes::class(code).name(),
                       "rows": rows, "example": text, "advice": advice})
            })
            .collect();
        json!({
            "command": header.command.name(),
            "sdkappid": header.sdkappid,
            "partition": {"index": header.partition.0, "count": header.partition.1},
            "input": {
                "bytes": header.input_bytes,
                "sha256": header.input_sha256.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            },
            "begun_s": header.created_s,
            "finished": self.stop.is_none(),
            "stopped": self.stop.as_ref().map(|(reason, code, text)| {
                json!({"reason": reason, "code": code, "name": codes::name(*code), "message": text})
            }),
            "rows": {
                "total": progress.rows,
                done: progress.done,
                "already_gone": progress.already_gone,
                "failed": progress.failed,
                "unknown": progress.unknown,
                "open": progress.rows - progress.ended(),
            },
            "requests": header.units,
            "this_run": {
                "rows": this_run,
                "requests_sent": progress.requests,
                "elapsed_ms": progress.elapsed_ms,
                "waited_for_pace_ms": progress.waited_ms,
                "rows_per_second": (per_second * 10.0).round() / 10.0,
                "repeated": self.repeated,
            },
            "failures": failures,
            "rate": self.samples.iter().map(|&(at, rows)| json!([at, rows])).collect::<Vec<_>>(),
        })
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
    to(&json_path, &format!("{report:#}\n"))?;
    // Nothing in a text may end the script that it stands in.
    let safe = report.to_string().replace('<', "\\u003c");
    to(&page_path, &PAGE.replace(PLACE, &safe))?;
    Ok(())
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
                    let row = json!({"account": found.account, "list": list, "line": line,
                        "outcome": outcome, "code": failure.code, "reason": failure.text});
                    writeln!(file, "{row}")?;
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
