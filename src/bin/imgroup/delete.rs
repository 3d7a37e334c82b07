//! `imgroup delete`

#![forbid(unsafe_code)]

use std::process::ExitCode;

use serde_json::json;

use crate::connection::{Connection, EXIT_CODES};

/// Delete friend lists of an account; the friends stay friends
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(flatten)]
    connection: Connection,

    /// A list that does not exist is no failure
    #[arg(long)]
    ignore_missing: bool,

    /// Whose lists
    account: String,

    /// Which lists: 1 to 32 names of 1 to 30 bytes
    #[arg(required = true, value_name = "LIST")]
    lists: Vec<String>,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let Arguments { connection, ignore_missing, account, lists } = arguments;
    let names: Vec<&str> = lists.iter().map(String::as_str).collect();
    connection.call(
        |client, options| {
            let options = imgroup::call::CallOptions { ignore_missing: *ignore_missing, ..options.clone() };
            client.delete_lists(account, &names, &options)
        },
        |response| {
            let text = match response.sequence {
                Some(sequence) => format!("deleted; the lists of {account} are at sequence {sequence}"),
                None => "deleted".to_owned(),
            };
            (text, json!({}))
        },
    )
}
