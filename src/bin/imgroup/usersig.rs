//! `imgroup usersig`

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use imgroup::usersig::{Claims, now_s, usersig};
use serde_json::json;

use crate::connection::{exit_code, secret_key};

/// Sign a UserSig for a user of the app
///
/// The ticket goes to standard output. It is as good as a password until it
/// expires.
#[derive(clap::Args)]
pub struct Arguments {
    /// The SDKAppID of the app
    #[arg(long, env = "IMGROUP_SDKAPPID")]
    sdkappid: u32,

    /// File with the secret key [default: the environment's IMGROUP_SECRET_KEY]
    #[arg(long, env = "IMGROUP_SECRET_KEY_FILE", value_name = "PATH")]
    secret_key_file: Option<PathBuf>,

    /// How long it is valid, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
    ttl: u32,

    /// From when on, in seconds since 1970; 0 for now
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    issued_at: i64,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// The user
    identifier: String,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let Arguments { sdkappid, ttl, identifier, .. } = arguments;
    let issued_at = if arguments.issued_at == 0 { now_s() } else { arguments.issued_at };
    let claims = Claims { sdkappid: *sdkappid, identifier, issued_at, ttl_s: *ttl, userbuf: None };
    match secret_key(arguments.secret_key_file.as_deref()).and_then(|key| usersig(&key, &claims)) {
        Ok(ticket) if arguments.json => {
            let expires = issued_at + i64::from(*ttl);
            println!("{}", json!({"usersig": ticket, "issued_at": issued_at, "expires_at": expires}));
            ExitCode::SUCCESS
        }
        Ok(ticket) => {
            println!("{ticket}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("imgroup: {error}");
            exit_code(&error)
        }
    }
}
