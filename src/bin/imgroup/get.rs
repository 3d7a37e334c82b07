//! `imgroup get`

#![forbid(unsafe_code)]

use std::process::ExitCode;

use serde_json::json;

use crate::connection::{Connection, EXIT_CODES};

/// Read friend lists of an account
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(flatten)]
    connection: Connection,

    /// Read the members too
    #[arg(long)]
    members: bool,

    /// Whose lists
    account: String,

    /// Which lists; all if none is named
    #[arg(value_name = "LIST")]
    lists: Vec<String>,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let Arguments { connection, members, account, lists } = arguments;
    let names: Vec<&str> = lists.iter().map(String::as_str).collect();
    connection.call(
        |client, options| client.get_lists(account, &names, *members, options),
        |response| {
            let lines: Vec<_> = response
                .lists
                .iter()
                .map(|list| match members {
                    true => format!("{}\t{}\t{}", list.name, list.friend_count, list.members.join(" ")),
                    false => format!("{}\t{}", list.name, list.friend_count),
                })
                .collect();
            let values: Vec<_> = response
                .lists
                .iter()
                .map(|list| {
                    let mut value = json!({"name": list.name, "friend_count": list.friend_count});
                    if *members {
                        value["members"] = json!(list.members);
                    }
                    value
                })
                .collect();
            (lines.join("\n"), json!({"lists": values}))
        },
    )
}
