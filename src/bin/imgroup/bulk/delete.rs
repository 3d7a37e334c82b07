//! `imgroup bulk delete`

#![forbid(unsafe_code)]

use std::process::ExitCode;

use imgroup::bulk::Command;

use super::job::{self, Task};
use super::{Shared, exit_codes};

/// Delete friend lists of many accounts; the friends stay friends
///
/// Each row names an account and a list. Rows may come in any order and more than
/// once. Every row ends as deleted, already gone (a read showed it), failed (with a
/// code and a text), or unknown (it may have been applied).
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES, after_help = exit_codes!())]
pub struct Arguments {
    /// Stop before more rows than this are deleted, those of earlier runs included
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_delete: Option<u64>,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,

    #[command(flatten)]
    shared: Shared,
}

const EXAMPLES: &str = concat!(
    "\
Examples:
  $ imgroup bulk delete rows.csv --dry-run
  $ imgroup bulk delete rows.csv --failed failed.csv --report report.json
  $ imgroup bulk delete failed.csv --failed failed-2.csv
  $ imgroup bulk delete rows.csv --max-delete 1000      (try a few first)
  $ imgroup bulk delete rows.csv --partition 1/3 --quota-share 0.33 --yes
  $ export-rows | imgroup bulk delete - --format jsonl --journal job --yes
  To resume, run the same command again; without an input: --journal job --yes.
  The formats, the files and every step: imgroup bulk --help

",
    exit_codes!()
);

pub fn run(arguments: &Arguments) -> ExitCode {
    let Arguments { shared, max_delete, yes } = arguments;
    job::run(&Task {
        command: Command::Delete,
        shared,
        max_delete: max_delete.unwrap_or(0),
        ask: !yes,
        output: None,
    })
}
