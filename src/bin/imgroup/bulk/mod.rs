//! `imgroup bulk`: jobs over many accounts. One file per subcommand; what they share
//! is here.
//!
//! | what | where |
//! |---|---|
//! | running a job from the first row to the exit code | `job` |
//! | the bar and the lines while it runs | `progress` |
//! | Ctrl-C and its like | `signals` |
//! | what is said at the end | `summary` |
//! | command lines to go on with | `line` |

#![forbid(unsafe_code)]

mod delete;
mod export;
mod job;
mod line;
mod progress;
mod signals;
mod summary;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::PossibleValue;
use clap::{Subcommand, ValueEnum};
use imgroup::bulk::{CONNECTIONS_MAX, Format};

use crate::connection::Connection;

/// Jobs over many accounts, journaled and resumed, with nothing lost
///
/// A job reads rows from a file, groups them by account into requests of up to 32
/// lists, and sends these at the pace that the service allows. A journal beside the
/// input says how far it is: kill the job at any moment and run the same command
/// again, and it goes on where it was.
#[derive(clap::Args)]
#[command(after_long_help = MANUAL, after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Delete(delete::Arguments),
    Export(export::Arguments),
}

pub fn run(arguments: &Arguments) -> ExitCode {
    match &arguments.command {
        Command::Delete(arguments) => delete::run(arguments),
        Command::Export(arguments) => export::run(arguments),
    }
}

/// The exit codes; they differ from those of a single call.
macro_rules! exit_codes {
    () => {
        "\
Exit codes of a job:
  0    done: every row ended well
  1    done, and rows failed or are unknown
  2    wrong usage, input or journal, not confirmed, or a file cannot be written
  3    the service cannot be reached, or refuses the credentials; run it again later
  4    a limit was reached: --max-delete or --max-failures
  130  stopped by SIGINT (Ctrl-C); run it again to go on
  143  stopped by SIGTERM; run it again to go on"
    };
}
use exit_codes;

const EXIT_CODES: &str = exit_codes!();

const MANUAL: &str = concat!(
    "\
A job, step by step:
  Say whose app it is; the key stays in a file:
    $ export IMGROUP_SDKAPPID=1400000000 IMGROUP_REGION=sgp
    $ export IMGROUP_SECRET_KEY_FILE=~/.imgroup-key
  1. Look first. The whole input is checked; every request is printed, none sent:
    $ imgroup bulk delete rows.csv --dry-run
  2. Run it. On a terminal it asks; elsewhere, as from cron, it needs --yes:
    $ imgroup bulk delete rows.csv --failed failed.csv --report report.json
  3. Interrupt it with Ctrl-C. What is in flight is finished, and the command to go
     on is printed. A second Ctrl-C cancels what is in flight too.
  4. Resume it, also after a crash, a kill -9 or a reboot: the same command again.
    $ imgroup bulk delete rows.csv --failed failed.csv --report report.json
  5. Retry the rows that failed, once the reasons beside them are dealt with:
    $ imgroup bulk delete failed.csv --failed failed-2.csv

Input as CSV, the default; other columns are ignored:
  account,list
  alice,Family
  bob,\"Work, old\"

Input as TSV (rows.tsv or --format tsv), the same with tabs:
  account\tlist
  alice\tFamily
  bob\tWork, old

Input as JSON lines (rows.jsonl or --format jsonl):
  {\"account\":\"alice\",\"list\":\"Family\"}
  {\"account\":\"alice\",\"list\":\"Work\"}
  {\"account\":\"bob\",\"list\":\"Work, old\"}

Input from a program is read from standard input; it needs a --journal:
  $ export-rows | imgroup bulk delete - --journal job --yes
  $ imgroup bulk delete --journal job --yes       (resumes; the rows are kept)

Files:
  J          the journal, INPUT.imgroup-journal unless --journal names another
  J.spool    the requests, grouped by account
  J.results  why rows failed; for an export, what was read
  Keep the three together until the job is done; remove them then. They hold names
  of accounts and lists, never a key. A journal belongs to one input, one app and
  one partition, and one run at a time may have it.

More machines:
  The service allows an app so many requests a second, however many machines send
  them. More machines make a job more available, not faster. --partition i/n gives
  each one its own accounts. They keep to the quota together by --quota redis://HOST,
  or without it by --quota-share 0.33 on each of three.

Signals:
  SIGINT (Ctrl-C) and SIGTERM stop a job, see step 3; SIGUSR1 prints how far it is.

",
    exit_codes!()
);

/// What all jobs are told.
#[derive(clap::Args, Clone, Debug)]
struct Shared {
    /// File with the rows; "-" for standard input
    ///
    /// Without it, a job goes on from its journal, if that was begun; otherwise
    /// standard input is read.
    #[arg(value_name = "INPUT")]
    input: Option<PathBuf>,

    /// Format of the rows: csv, tsv, jsonl [default: by the ending of the name, or csv]
    #[arg(long, value_name = "FORMAT", hide_possible_values = true)]
    format: Option<InputFormat>,

    /// Where the job keeps how far it is [default: INPUT.imgroup-journal]
    ///
    /// A partition of many has INPUT.i-of-n.imgroup-journal. Required for standard
    /// input.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,

    /// Write the rows that failed or are unknown there, to be used as input again
    ///
    /// In the input's own format, with the reason in further columns. It is written
    /// at the end and after a stop.
    #[arg(long, value_name = "FILE")]
    failed: Option<PathBuf>,

    /// Write a report there as JSON, and beside it as a page, FILE with .html
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Check the input and print every request, as JSON lines; send none
    #[arg(long)]
    dry_run: bool,

    /// Stop when more of this run's rows failed, as 5% or 0.05; looked at from 1000 rows on
    #[arg(long, value_name = "SHARE", default_value = "50%", value_parser = share)]
    max_failures: f64,

    /// Requests a second, times --quota-share; above 180 the app needs a raised quota [default: 180]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=900_000))]
    rate: Option<u32>,

    /// The most connections [default: as many as latency needs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(CONNECTIONS_MAX)))]
    connections: Option<u32>,

    /// Take part i of n only, by a hash of the account
    #[arg(long, value_name = "I/N", default_value = "1/1", value_parser = partition)]
    partition: (u32, u32),

    /// Stop when the service could not be reached for so long
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    give_up_after: u32,

    /// Print neither progress nor a summary
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    connection: Connection,
}

/// A format as the command line knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct InputFormat(Format);

impl ValueEnum for InputFormat {
    fn value_variants<'a>() -> &'a [InputFormat] {
        &[InputFormat(Format::Csv), InputFormat(Format::Tsv), InputFormat(Format::Jsonl)]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self.0 {
            Format::Csv => "csv",
            Format::Tsv => "tsv",
            Format::Jsonl => "jsonl",
        }))
    }
}

/// The format that the name of a file tells, if it tells one.
fn format_of_name(path: &Path) -> Option<Format> {
    Format::of_name(path.extension()?.to_str()?)
}

/// `5%` or `0.05`.
fn share(text: &str) -> Result<f64, String> {
    let number = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse(),
    };
    match number {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("must be 0% to 100%, or 0 to 1".into()),
    }
}

/// `2/3`.
fn partition(text: &str) -> Result<(u32, u32), String> {
    let parts =
        text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
    parts.filter(|&(index, count)| index >= 1 && index <= count).ok_or("must be as 1/3, 2/3 or 3/3".into())
}

/// Seconds, as milliseconds.
fn seconds(text: &str) -> Result<u32, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=86_400.0).contains(&seconds) => Ok((seconds * 1000.0) as u32),
        _ => Err("must be 0.1 to 86400".into()),
    }
}
