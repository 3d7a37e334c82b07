//! The `imgroup` command: one file per subcommand.

#![forbid(unsafe_code)]

mod add;
mod bulk;
mod connection;
mod delete;
mod emulator;
mod get;
mod request;
mod usersig;

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
    Delete(delete::Arguments),
    Add(add::Arguments),
    Get(get::Arguments),
    Request(request::Arguments),
    Bulk(bulk::Arguments),
    Usersig(usersig::Arguments),
    Emulator(emulator::Arguments),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Delete(arguments) => delete::run(&arguments),
        Command::Add(arguments) => add::run(&arguments),
        Command::Get(arguments) => get::run(&arguments),
        Command::Request(arguments) => request::run(&arguments),
        Command::Bulk(arguments) => bulk::run(&arguments),
        Command::Usersig(arguments) => usersig::run(&arguments),
        Command::Emulator(arguments) => emulator::run(arguments),
    }
}
