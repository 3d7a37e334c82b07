//! `imgroup request`

#![forbid(unsafe_code)]

use std::io::Read as _;
use std::process::ExitCode;

use imgroup::error::Error;
use serde_json::{Value, json};

use crate::connection::{Connection, EXIT_CODES};

/// Send any command of the REST API
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(flatten)]
    connection: Connection,

    /// The command may be repeated when its outcome is open
    #[arg(long)]
    idempotent: bool,

    /// v4/<service>/<command>, as v4/sns/friend_get
    command: String,

    /// The JSON object to send; "-" reads it from standard input
    #[arg(default_value = "{}")]
    body: String,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let Arguments { connection, idempotent, command, body } = arguments;
    let mut body = body.clone();
    if body == "-" {
        body.clear();
        if let Err(error) = std::io::stdin().read_to_string(&mut body) {
            return connection.fail(&Error::argument("standard input", error));
        }
    }
    connection.call(
        |client, options| client.request(command, &body, *idempotent, options),
        |response| {
            let text = String::from_utf8_lossy(&response.body).into_owned();
            let reply: Value = serde_json::from_str(&text).unwrap_or_default();
            (text, json!({"reply": reply}))
        },
    )
}
