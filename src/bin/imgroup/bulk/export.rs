//! `imgroup bulk export`

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use imgroup::bulk::Command;

use super::job::{self, Task};
use super::{Shared, exit_codes};

/// Read the friend lists of many accounts, to CSV
///
/// Each row names an account, in a column or member `account`; others are ignored.
/// The lists are written when the job is done, with the columns account, list and
/// friends (how many are in it).
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES, after_help = exit_codes!())]
pub struct Arguments {
    /// Write the lists there [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    shared: Shared,
}

const EXAMPLES: &str = concat!(
    "\
Examples:
  $ imgroup bulk export accounts.csv --output lists.csv
  $ imgroup bulk export accounts.csv --journal export > lists.csv
  $ imgroup bulk export accounts.csv --output lists.csv --failed failed.csv
  What is exported can be deleted: imgroup bulk delete lists.csv
  To resume, run the same command again.
  The formats, the files and every step: imgroup bulk --help

",
    exit_codes!()
);

pub fn run(arguments: &Arguments) -> ExitCode {
    let Arguments { shared, output } = arguments;
    job::run(&Task { command: Command::Export, shared, max_delete: 0, ask: false, output: output.as_deref() })
}
