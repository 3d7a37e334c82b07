//! `imgroup add`

#![forbid(unsafe_code)]

use std::process::ExitCode;

use imgroup::codes;
use serde_json::json;

use crate::connection::{Connection, EXIT_CODES};

/// Create friend lists of an account, and put friends into them
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(flatten)]
    connection: Connection,

    /// A friend to put into every one of the lists; may be given several times
    #[arg(long = "friend", value_name = "ACCOUNT")]
    friends: Vec<String>,

    /// Whose lists
    account: String,

    /// Which lists: 1 to 32 names of 1 to 30 bytes
    #[arg(required = true, value_name = "LIST")]
    lists: Vec<String>,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let Arguments { connection, friends, account, lists } = arguments;
    let names: Vec<&str> = lists.iter().map(String::as_str).collect();
    let friends: Vec<&str> = friends.iter().map(String::as_str).collect();
    connection.call(
        |client, options| client.add_lists(account, &names, &friends, options),
        |response| {
            let mut text = "created".to_owned();
            if let Some(sequence) = response.sequence {
                text += &format!("; the lists of {account} are at sequence {sequence}");
            }
            for friend in response.friends.iter().filter(|friend| friend.code != 0) {
                text += &format!(
                    "\nnot put in: {} ({} {} {})",
                    friend.account,
                    friend.code,
                    codes::name(friend.code),
                    friend.info
                );
            }
            let results: Vec<_> = response
                .friends
                .iter()
                .map(|friend| json!({"account": friend.account, "code": friend.code, "info": friend.info}))
                .collect();
            (text, json!({"friends": results}))
        },
    )
}
