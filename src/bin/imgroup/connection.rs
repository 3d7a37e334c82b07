//! What every subcommand that talks to the service shares: credentials, host,
//! output, and the exit codes.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use imgroup::call::CallOptions;
use imgroup::client::Client;
use imgroup::codes::{self, Class};
use imgroup::config::{Config, LogLevel, read_key_file};
use imgroup::error::{Error, Outcome, Result};
use imgroup::lists::Response;
use serde_json::{Value, json};

/// Whom to talk to, and as whom.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// The SDKAppID of the app
    #[arg(long, env = "IMGROUP_SDKAPPID")]
    pub sdkappid: u32,

    /// An admin account of the app
    #[arg(long, env = "IMGROUP_IDENTIFIER", default_value = "administrator")]
    identifier: String,

    /// File with the secret key [default: the environment's IMGROUP_SECRET_KEY]
    ///
    /// A key is never taken from the command line, where others can read it.
    #[arg(long, env = "IMGROUP_SECRET_KEY_FILE", value_name = "PATH")]
    secret_key_file: Option<std::path::PathBuf>,

    /// Data centre: cn, sgp, kr, jpn, ger, usa, idn, ind, ksa
    #[arg(long, env = "IMGROUP_REGION")]
    region: Option<String>,

    /// Another host: https://host[:port], or http:// to loopback
    #[arg(long, env = "IMGROUP_ENDPOINT", value_name = "URL")]
    endpoint: Option<String>,

    /// PEM file of certificate authorities, or "system" [default: built-in roots]
    #[arg(long, env = "IMGROUP_CA_FILE", value_name = "PATH")]
    ca_file: Option<String>,

    /// How long a call may take, in milliseconds
    #[arg(long, env = "IMGROUP_TIMEOUT_MS", value_name = "MS", default_value_t = 15_000)]
    timeout_ms: u32,

    /// Share the pace with other machines through a Redis: redis://[[user]:password@]host[:port]
    ///
    /// Also rediss:// for TLS, and unix:///path. A password belongs into the
    /// environment: others can read the command line.
    #[arg(long, env = "IMGROUP_QUOTA_REDIS", value_name = "URL", hide_env_values = true)]
    quota: Option<String>,

    /// This machine's part of the quota, 1/n for n machines; with a Redis, while that is away
    #[arg(long, env = "IMGROUP_QUOTA_SHARE", value_name = "SHARE", default_value_t = 1.0)]
    pub quota_share: f64,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Say on standard error what happens; twice for every attempt
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// The exit codes, for the end of every `--help`.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the service refused; nothing was changed
  2  wrong usage or configuration; nothing was sent
  3  the service cannot be reached, or refuses the credentials; nothing was changed
  5  the outcome is unknown: the request may have been applied";

impl Connection {
    /// The configuration they describe.
    pub fn config(&self) -> Result<Config> {
        let key = secret_key(self.secret_key_file.as_deref())?;
        let mut config = Config::new(self.sdkappid, &self.identifier, &key)?;
        if let Some(region) = &self.region {
            config.set_region(region)?;
        }
        if let Some(endpoint) = &self.endpoint {
            config.set_endpoint(endpoint)?;
        }
        if let Some(ca_file) = &self.ca_file {
            config.set_ca_file(ca_file)?;
        }
        if let Ok(directory) = std::env::var("IMGROUP_QUOTA_DIR") {
            config.set_quota_directory(&directory)?;
        }
        if let Some(url) = self.quota.as_deref().filter(|url| !url.is_empty()) {
            config.set_quota_redis(url)?;
        }
        config.set_quota_share(self.quota_share)?;
        config.set_timeout_ms(self.timeout_ms)?;
        let level = match self.verbose {
            0 => return Ok(config),
            1 => LogLevel::Info,
            _ => LogLevel::Debug,
        };
        config.set_log(level, Some(Arc::new(|_, line: &str| eprintln!("{line}"))));
        Ok(config)
    }

    /// Makes one call and prints what `show` makes of its response.
    pub fn call(
        &self,
        call: impl FnOnce(&Client, &CallOptions) -> Result<Response>,
        show: impl FnOnce(&Response) -> (String, Value),
    ) -> ExitCode {
        let result = self
            .config()
            .and_then(|config| Client::new(&config))
            .and_then(|client| call(&client, &CallOptions::default()));
        match result {
            Ok(response) => {
                let (text, value) = show(&response);
                if self.json {
                    let mut object = json!({
                        "sequence": response.sequence,
                        "attempts": response.attempts,
                        "was_ambiguous": response.was_ambiguous,
                    });
                    object
                        .as_object_mut()
                        .expect("made as one")
                        .extend(value.as_object().cloned().unwrap_or_default());
                    println!("{object}");
                } else {
                    println!("{text}");
                }
                ExitCode::SUCCESS
            }
            Err(error) => self.fail(&error),
        }
    }

    /// Prints why it failed; gives the exit code for it.
    pub fn fail(&self, error: &Error) -> ExitCode {
        self.tell(error);
        exit_code(error)
    }

    /// Prints why it failed.
    pub fn tell(&self, error: &Error) {
        if self.json {
            println!(
                "{}",
                json!({"error": {
                    "code": error.code(), "name": error.name(), "class": error.class().name(),
                    "outcome": error.outcome().name(), "message": error.message(),
                    "http_status": error.http_status(), "attempts": error.attempts(),
                    "host": error.host(), "random": error.random(), "retryable": error.is_retryable(),
                }})
            );
        } else {
            eprintln!("imgroup: {error}");
        }
    }
}

/// See [`EXIT_CODES`].
pub fn exit_code(error: &Error) -> ExitCode {
    let local_argument = matches!(error.code(), codes::CONFIG..=codes::INVALID_ARGUMENT);
    ExitCode::from(match (error.outcome(), error.class()) {
        (Outcome::Unknown, _) => 5,
        _ if local_argument => 2,
        (Outcome::NotSent, _) | (_, Class::Auth) => 3,
        (Outcome::Rejected, _) => 1,
    })
}

/// The secret key from a file or the environment.
pub fn secret_key(file: Option<&std::path::Path>) -> Result<impl std::ops::Deref<Target = String> + use<>> {
    match (std::env::var("IMGROUP_SECRET_KEY"), file) {
        (_, Some(path)) => read_key_file(path),
        (Ok(key), None) if !key.is_empty() => Ok(key.into()),
        _ => Err(Error::config("secret key", "set IMGROUP_SECRET_KEY or give --secret-key-file")),
    }
}
