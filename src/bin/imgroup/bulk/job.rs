//! Running a job: the input and the journal found, the question asked, the files
//! written, the exit code.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use imgroup::bulk::{Command, Format, Job, Plan};
use imgroup::client::Client;
use imgroup::codes::{self, Class};
use imgroup::config::Config;
use imgroup::error::{Error, Result};
use serde_json::{Value, json};

use super::line::Line;
use super::progress::{Display, counted, duration, grouped};
use super::signals::Signals;
use super::summary::{Summary, Written};
use super::{Shared, format_of_name};

const DONE: u8 = 0;
const ROWS_FAILED: u8 = 1;
const USAGE: u8 = 2;
const UNREACHABLE: u8 = 3;
const LIMIT: u8 = 4;

/// How many requests a second leave if nothing is set.
const RATE: u32 = 180;
/// The library uses this part of what it is told the service allows.
const USED_SHARE: f64 = 0.9;

/// What a subcommand asks for.
pub struct Task<'a> {
    pub command: Command,
    pub shared: &'a Shared,
    /// 0 for no limit.
    pub max_delete: u64,
    /// Somebody has to say yes first.
    pub ask: bool,
    /// Where an export writes to; `None` for standard output.
    pub output: Option<&'a Path>,
}

/// Where the rows come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Input<'a> {
    File(&'a Path),
    Standard,
    /// The job was begun; its spool holds what is needed.
    Journal,
}

/// Runs it; gives the exit code.
pub fn run(task: &Task<'_>) -> ExitCode {
    let code = match Run::new(task) {
        Ok(run) => run.go(),
        Err(error) => task.fail(&error),
    };
    ExitCode::from(code)
}

impl Task<'_> {
    /// Says why nothing came of it; gives the exit code.
    fn fail(&self, error: &Error) -> u8 {
        self.shared.connection.tell(error);
        if matches!(error.code(), codes::JOB_MISMATCH | codes::JOB_CORRUPT) {
            eprintln!(
                "imgroup: name another --journal; or, if that job is done or given up, remove the journal with its .spool and .results"
            );
        }
        match error.class() {
            Class::Network | Class::Deadline | Class::Auth => UNREACHABLE,
            _ => USAGE,
        }
    }

    /// The input and the journal that belong together.
    fn places(&self) -> Result<(Input<'_>, PathBuf)> {
        let Shared { input, journal, partition: (index, count), .. } = self.shared;
        let has_begun = |path: &PathBuf| fs::metadata(path).is_ok_and(|data| data.len() > 0);
        match (input, journal) {
            (Some(path), journal) if path.as_os_str() != "-" => {
                let journal = journal.clone().unwrap_or_else(|| {
                    let part = if *count > 1 { format!(".{index}-of-{count}") } else { String::new() };
                    let mut name = OsString::from(path);
                    name.push(format!("{part}.imgroup-journal"));
                    name.into()
                });
                Ok((Input::File(path), journal))
            }
            (None, Some(journal)) if has_begun(journal) => Ok((Input::Journal, journal.clone())),
            (None, _) if io::stdin().is_terminal() => {
                Err(Error::argument("INPUT", "is needed: a file with rows, or - for standard input"))
            }
            (_, Some(journal)) => Ok((Input::Standard, journal.clone())),
            (_, None) => Err(Error::argument("--journal", "is needed for rows from standard input")),
        }
    }

    /// Hours of work are not to end with a file that cannot be written, or with one
    /// written over another.
    fn check_files(&self, input: Input<'_>, journal: &Path) -> Result<()> {
        let mut taken = vec![journal.to_owned()];
        for ending in [".spool", ".results"] {
            let mut name = OsString::from(journal);
            name.push(ending);
            taken.push(name.into());
        }
        if let Input::File(path) = input {
            taken.push(path.to_owned());
        }
        let Shared { failed, report, .. } = self.shared;
        let page = report.as_ref().map(|report| report.with_extension("html"));
        let json = report.as_ref().filter(|report| page.as_ref() != Some(report));
        let wanted = [
            ("--failed", failed.as_deref()),
            ("--report", json.map(PathBuf::as_path)),
            ("--report", page.as_deref()),
            ("--output", self.output),
        ];
        for (option, path) in wanted {
            let Some(path) = path else { continue };
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            if path.is_dir() || !directory.is_none_or(Path::is_dir) || path.file_name().is_none() {
                return Err(Error::argument(
                    option,
                    format_args!("{}: no file can be made there", path.display()),
                ));
            }
            if taken.iter().any(|other| is_same(other, path)) {
                let text = format!("{}: would overwrite another file of this job", path.display());
                return Err(Error::argument(option, text));
            }
            taken.push(path.to_owned());
        }
        if self.command == Command::Export && self.shared.connection.json && self.output.is_none() {
            return Err(Error::argument("--output", "is needed with --json, as both would print"));
        }
        Ok(())
    }

    /// The client's settings, with the pace.
    fn config(&self, display: &Display) -> Result<Config> {
        let mut config = self.shared.connection.config()?;
        if let Some(rate) = self.shared.rate {
            // The share makes up for what rounding adds to the quota.
            let quota = (f64::from(rate) / USED_SHARE).ceil();
            config.set_quota(quota as u32)?;
            config
                .set_quota_share(self.shared.connection.quota_share * f64::from(rate) / USED_SHARE / quota)?;
            if rate > RATE {
                display.remark(&format!(
                    "imgroup: {rate} requests a second are more than the service allows by itself (200, used to nine tenths); the app needs a raised quota"
                ));
            }
        }
        Ok(config)
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let full = |path: &Path| fs::canonicalize(path).or_else(|_| std::path::absolute(path)).ok();
    full(one) == full(other)
}

/// A job that is ready to go.
struct Run<'a> {
    task: &'a Task<'a>,
    input: Input<'a>,
    journal: PathBuf,
    job: Job,
    /// The input was read already, for the question.
    prepared: bool,
    display: Display,
    signals: Signals,
}

impl<'a> Run<'a> {
    fn new(task: &'a Task<'a>) -> Result<Run<'a>> {
        let shared = task.shared;
        let (input, journal) = task.places()?;
        task.check_files(input, &journal)?;
        let display = Display::new(shared.quiet);
        let client = Client::new(&task.config(&display)?)?;
        let mut job = Job::new(Arc::new(client), task.command, &journal)?;
        job.set_partition(shared.partition.0, shared.partition.1)?;
        job.set_max_deletes(task.max_delete)?;
        job.set_max_failures(shared.max_failures)?;
        job.set_connections(shared.connections.unwrap_or(0))?;
        job.set_give_up_ms(shared.give_up_after)?;
        let signals = Signals::watch(job.handle(), display.clone())
            .map_err(|error| Error::config("signals", format_args!("cannot be caught: {error}")))?;
        Ok(Run { task, input, journal, job, prepared: false, display, signals })
    }

    /// From the first row to the exit code.
    fn go(mut self) -> u8 {
        let code = if self.task.shared.dry_run {
            self.dry_run()
        } else {
            self.confirm().and_then(|yes| if yes { self.work() } else { Ok(USAGE) })
        };
        // Nothing was begun that there would be a report of.
        code.unwrap_or_else(|error| match self.signals.exit_code() {
            Some(code) if matches!(error.code(), codes::JOB_STOPPED | codes::CANCELLED) => {
                self.display
                    .say("imgroup: stopped while reading the input; nothing was sent. To begin again:");
                self.display.say(&format!("  {}", Line::given().to_text()));
                code
            }
            _ => self.task.fail(&error),
        })
    }

    fn set_input(&mut self) -> Result<()> {
        let format = self.task.shared.format.map(|format| format.0);
        match self.input {
            Input::File(path) => self.job.set_input_file(path, format),
            Input::Standard => {
                self.job.set_input_stream(Box::new(io::stdin()), format.unwrap_or(Format::Csv))
            }
            Input::Journal => Ok(()),
        }
    }

    fn dry_run(&mut self) -> Result<u8> {
        self.set_input()?;
        let json = self.task.shared.connection.json;
        let mut output = BufWriter::new(Forgiving(io::stdout().lock()));
        let mut failure = Ok(());
        let plan = self.job.plan(|account, lists| {
            if !json && failure.is_ok() {
                let request = match self.task.command {
                    Command::Delete => json!({"account": account, "lists": lists}),
                    Command::Export => json!({"account": account}),
                };
                failure = writeln!(output, "{request}");
            }
        })?;
        if json {
            let counts =
                json!({"dry_run": true, "rows": plan.rows, "requests": plan.requests, "ended": plan.ended});
            failure = writeln!(output, "{counts}");
        }
        failure.and_then(|()| output.flush()).map_err(|error| Error::argument("standard output", error))?;
        self.display.remark(&format!("imgroup: dry run, nothing was sent: {}", self.describe(&plan)));
        Ok(DONE)
    }

    /// As `1,200 rows in 60 requests, 1s at 180 requests a second`.
    fn describe(&self, plan: &Plan) -> String {
        let shared = self.task.shared;
        let rate = f64::from(shared.rate.unwrap_or(RATE)) * shared.connection.quota_share;
        let mut text = format!(
            "{} in {}, {} at {rate:.0} requests a second",
            counted(plan.rows, "row"),
            counted(plan.requests, "request"),
            duration(plan.requests as f64 / rate),
        );
        if plan.ended > 0 {
            text += &format!("; {} ended in earlier runs", counted(plan.ended, "row"));
        }
        text
    }

    /// Whether to go on. Deleting needs a yes.
    fn confirm(&mut self) -> Result<bool> {
        if !self.task.ask {
            return Ok(true);
        }
        // What the rows come from cannot give the answer.
        if self.input == Input::Standard || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(Error::argument(
                "--yes",
                "is needed where nobody can be asked; --dry-run shows what it would do",
            ));
        }
        self.set_input()?;
        let plan = self.job.prepare()?;
        self.prepared = true;
        if plan.requests == 0 {
            return Ok(true);
        }
        eprintln!(
            "imgroup: to be deleted, from app {}: {}",
            self.task.shared.connection.sdkappid,
            self.describe(&plan)
        );
        if self.task.max_delete > 0 {
            eprintln!(
                "imgroup: it stops before more than {} rows are deleted",
                grouped(self.task.max_delete)
            );
        }
        eprint!("Delete these lists? [y/N] ");
        let mut answer = String::new();
        let read = self.signals.ask(|| io::stdin().read_line(&mut answer));
        read.map_err(|error| Error::argument("standard input", error))?;
        let yes = ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str());
        if !yes {
            eprintln!("imgroup: nothing was sent");
        }
        Ok(yes)
    }

    fn work(&mut self) -> Result<u8> {
        if !self.prepared {
            self.set_input()?;
            self.display.remark(&match self.input {
                Input::File(path) => format!("imgroup: reading {}", path.display()),
                Input::Standard => "imgroup: reading standard input".into(),
                Input::Journal => {
                    format!("imgroup: going on with {}; standard input is not read", self.journal.display())
                }
            });
        }
        let display = self.display.clone();
        let result = self.job.run(&mut |progress| display.show(progress));
        self.display.end();
        let report: Value = match self.job.report() {
            Ok(report) => serde_json::from_str(&report).expect("a report is JSON"),
            Err(_) => return result.map(|()| DONE),
        };
        let mut code = self.exit_code(&result, &report);
        let mut written = Vec::new();
        if let Err(error) = self.write_files(result.is_ok(), &mut written) {
            self.display.say(&format!("imgroup: {error}"));
            code = USAGE;
        }
        if self.task.shared.connection.json {
            let _ = writeln!(Forgiving(io::stdout().lock()), "{report}");
        }
        let summary = Summary {
            report: &report,
            journal: &self.journal,
            written: &written,
            is_delete: self.is_delete(),
        };
        if !self.task.shared.quiet {
            summary.print();
        }
        if let Err(error) = &result {
            self.say_how_to_go_on(error);
        } else if let Some(hint) = self.retry_hint(&report) {
            self.display.remark(&hint);
        }
        Ok(code)
    }

    fn is_delete(&self) -> bool {
        self.task.command == Command::Delete
    }

    fn exit_code(&self, result: &Result<()>, report: &Value) -> u8 {
        match (result, self.job.stopped_by()) {
            (Ok(()), _) => {
                let count = |name: &str| report["rows"][name].as_u64().unwrap_or(0);
                if count("failed") + count("unknown") > 0 { ROWS_FAILED } else { DONE }
            }
            (Err(_), Some("pause" | "cancel")) => self.signals.exit_code().unwrap_or(USAGE),
            (Err(_), Some("max_deletes" | "failures")) => LIMIT,
            (Err(_), Some("credentials" | "unreachable")) => UNREACHABLE,
            (Err(_), _) => USAGE,
        }
    }

    /// Writes what was asked for; an export only when it is whole.
    fn write_files(&self, done: bool, written: &mut Vec<Written>) -> Result<()> {
        let Shared { failed, report, .. } = self.task.shared;
        if let Some(path) = failed {
            let rows = self.job.write_failed(path, self.failed_format(path))?;
            written.push(Written { path: path.clone(), what: counted(rows, "row") });
        }
        if let Some(path) = report {
            self.job.write_report(path)?;
            let page = path.with_extension("html");
            let json = if *path == page { path.with_extension("json") } else { path.clone() };
            written.push(Written { path: json, what: "report".into() });
            written.push(Written { path: page, what: "report as a page".into() });
        }
        if self.task.command == Command::Export && done {
            match self.task.output {
                None => drop(self.job.write_lists(&mut Forgiving(io::stdout().lock()))?),
                Some(path) => {
                    let trouble =
                        |error| Error::argument("--output", format_args!("{}: {error}", path.display()));
                    let mut unfinished = OsString::from(path);
                    unfinished.push(".unfinished");
                    let mut file = File::create(&unfinished).map_err(trouble)?;
                    let lists = self.job.write_lists(&mut file)?;
                    file.sync_all().and_then(|()| fs::rename(&unfinished, path)).map_err(trouble)?;
                    written.push(Written { path: path.to_owned(), what: counted(lists, "list") });
                }
            }
        }
        Ok(())
    }

    /// The format in which the same command will read the failed rows again.
    fn failed_format(&self, path: &Path) -> Format {
        let of_input = match self.input {
            Input::File(path) => format_of_name(path),
            _ => None,
        };
        let given = self.task.shared.format.map(|format| format.0);
        given.or(format_of_name(path)).or(of_input).unwrap_or(Format::Csv)
    }

    /// What has to be typed to go on.
    fn say_how_to_go_on(&self, error: &Error) {
        let mut line = Line::given();
        if matches!(self.input, Input::Standard) {
            line = line.without("input");
        }
        let how = match self.job.stopped_by() {
            Some("max_deletes") => {
                line = line.without("max_delete");
                "To go on without a limit, or with a higher --max-delete:"
            }
            _ => "To go on, with the same command:",
        };
        self.display.say(&format!("imgroup: stopped: {error}\n{how}\n  {}", line.to_text()));
    }

    /// The command for the rows that failed, if there are any.
    fn retry_hint(&self, report: &Value) -> Option<String> {
        let count = |name: &str| report["rows"][name].as_u64().unwrap_or(0);
        if count("failed") + count("unknown") == 0 {
            return None;
        }
        let Some(failed) = &self.task.shared.failed else {
            let name = match self.input {
                Input::File(path) => changed_stem(path, |stem| format!("{stem}-failed")),
                _ => "failed.csv".into(),
            };
            let line = Line::given().with("failed", name).to_text();
            return Some(format!("To have these rows in a file (nothing is sent again):\n  {line}"));
        };
        let line = Line::given().without("journal").without("report").without("max_delete");
        let line = match self.failed_format(failed) {
            format if self.task.shared.format.is_none() && format_of_name(failed).is_none() => match format {
                Format::Csv => line,
                Format::Tsv => line.with("format", "tsv"),
                Format::Jsonl => line.with("format", "jsonl"),
            },
            _ => line,
        };
        let line = line.with_input(failed).with("failed", next_name(failed)).to_text();
        Some(format!("To retry these rows:\n  {line}"))
    }
}

/// `failed.csv`, `failed-2.csv`, `failed-3.csv` …
fn next_name(path: &Path) -> PathBuf {
    changed_stem(path, |stem| {
        match stem.rsplit_once('-').map(|(stem, number)| (stem, number.parse::<u32>())) {
            Some((stem, Ok(number))) if number < u32::MAX => format!("{stem}-{}", number + 1),
            _ => format!("{stem}-2"),
        }
    })
}

/// Another name in the same folder, with the same ending.
fn changed_stem(path: &Path, change: impl FnOnce(&str) -> String) -> PathBuf {
    let mut name = change(&path.file_stem().unwrap_or_default().to_string_lossy());
    if let Some(ending) = path.extension() {
        name = format!("{name}.{}", ending.to_string_lossy());
    }
    path.with_file_name(name)
}

/// Standard output that nobody reads any more takes everything in silence.
struct Forgiving<W>(W);

impl<W: Write> Write for Forgiving<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(bytes.len()),
            other => other,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.flush() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_for_what_fails_again() {
        let table = [
            ("failed.csv", "failed-2.csv"),
            ("a/failed-2.csv", "a/failed-3.csv"),
            ("failed", "failed-2"),
            ("x-y.tsv", "x-y-2.tsv"),
        ];
        for (name, expected) in table {
            assert_eq!(next_name(Path::new(name)), Path::new(expected), "{name}");
        }
    }
}
