//! The `imgroup` command: one file per subcommand.

#![forbid(unsafe_code)]

mod emulator;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Friend lists of Tencent Cloud Chat (IM) from the command line
#[derive(Parser)]
#[command(name = "imgroup", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Emulator(emulator::Arguments),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Emulator(arguments) => emulator::run(arguments),
    }
}
