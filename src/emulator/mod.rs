//! A local stand-in for the friend-list REST API.
//!
//! It keeps accounts, friends, lists and blocklists, verifies every UserSig, and
//! answers with the documented shapes, codes, texts and limits, so that a program
//! can be tested against it that was written for the real service, in any
//! language and with any client.
//!
//! It shares with the client of this crate only the code table and the layout of
//! the signed text: what both sides took from one function, no test would ever
//! find wrong. Where the documents are silent there is a switch ([`Policy`]), and
//! each of its values names its evidence.
//!
//! Beside the API, under `/_emulator/`, a test can read and write the state, see
//! what arrived, order faults and move the clock. See [`Emulator::control`].
//!
//! ```
//! use imgroup::emulator::{Emulator, Options};
//!
//! let emulator = Emulator::start(Options { seed_accounts: vec!["alice".into()], ..Options::default() })?;
//! // Point a client at emulator.url(), sign with the demo key, and afterwards ask what arrived:
//! let count = emulator.control("GET", "/_emulator/requests/count", None)?;
//! assert_eq!(count["count"], 0);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! One thread with a runtime of its own serves everything, so the order of
//! events is the order of arrival.
//!
//! # Control
//!
//! All of it is JSON without a signature, for this machine alone; a refusal is an
//! HTTP status of 4xx with `{"error": reason}`.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /_emulator/` | | a page to look at |
//! | `GET /_emulator/health` | | `{"status":"ok","version","pid","sdkappid","admins","quota","uptime_us","connections","now"}` |
//! | `GET /_emulator/state` | | `{"accounts":{"alice":{…}}}`, see below |
//! | `PUT /_emulator/state` | the same; every member but the names may be left out | `{"accounts":number}` |
//! | `DELETE /_emulator/state` | | `{"removed":number}` |
//! | `GET /_emulator/requests` `?command=&since=&limit=` | | `{"requests":[…],"first":n,"last":n}`: those with an index above `since` |
//! | `DELETE /_emulator/requests` | | `{}`; counts and arrivals go too |
//! | `GET /_emulator/requests/count` `?command=` | | `{"count":n,"codes":{"0":n,"60007":n}}` |
//! | `GET /_emulator/arrivals` `?command=` | | `[n,…]`, µs since the start, by a clock nothing moves |
//! | `GET /_emulator/faults` | | `{"faults":[…]}`, those still waiting |
//! | `POST /_emulator/faults` | a fault or an array of them | `{"ids":[n,…]}` |
//! | `DELETE /_emulator/faults` `?id=` | | `{"removed":number}` |
//! | `GET /_emulator/clock` | | `{"now":seconds,"offset_s":n}` |
//! | `PUT /_emulator/clock` | `{"offset_s":n}` or `{"now":seconds}` | the same |
//! | `POST /_emulator/clock` | `{"advance_s":n}` | the same |
//! | `POST /_emulator/reset` | | `{}`: seeded accounts, nothing else |
//!
//! An account in the state: `{"nick":"","face_url":"","allow_type":"AllowType_Type_AllowAny",
//! "lists":["Work"],"friends":[{"account":"bob","lists":["Work"],"remark":"","add_source":"",
//! "add_wording":"","add_time":0,"remark_time":0,"custom":{}}],"blocklist":[{"account":"x",
//! "added_at":0}],"pending":["y"],"sequences":{"lists":1,"standard":1,"custom":0,"blocklist":0}}`.
//!
//! A request in the journal: `{"index":1,"arrival_us":n,"connection":1,"tls":false,"method":"POST",
//! "path":"/v4/sns/group_add","command":"group_add","sdkappid":"…","identifier":"…","random":"…",
//! "usersig":"[200 characters]","body":{…},"body_bytes":45,"verdict":{"code":0,"name":"IMGROUP_OK",
//! "text":"","http_status":200,"applied":true,"fault":{"id":1,"kind":"reset"}}}`. `verdict` is null
//! while it is in progress, `fault` is null without one, `http_status` is 0 where no reply was given.
//!
//! # Faults
//!
//! The first waiting fault that fits a call is played. Members of every kind: `command` (`"*"`, a
//! command, or `"@accept"` for new connections), `account` (only calls about it), `times` (1), `skip`
//! (0: how many calls go by first), `delay_ms` (0), and `when`: `"before"` the call, which is then
//! never carried out; `"after"` it was; or at the `"head"`, before its body is read.
//!
//! | `kind` | members | what happens |
//! |---|---|---|
//! | `error` | `code`, `info`, `display` | the service fails with that code |
//! | `http` | `status`, `headers` (object), `body` or `body_base64` | something on the way answers |
//! | `delay` | | the call is carried out late (`before`: and its account is busy meanwhile) or answered late (`after`) |
//! | `reset` | | RST, no reply |
//! | `hang_up` | `close_notify` (false) | FIN, no reply |
//! | `silence` | | no reply, the connection stays |
//! | `truncate` | `bytes`, `then` (`close`) | the reply is cut, head included |
//! | `garbage` | `body` or `body_base64`, `then` (`close`), `step`, `pause_ms` | these bytes instead of the reply |
//! | `dribble` | `step` (1), `pause_ms` (10), `bytes`, `then` (`keep`, with `bytes` `close`) | the reply byte by byte, or only so many of it |
//! | `close` | `close_notify` (false) | a whole reply, and then FIN without having said so |
//!
//! `then` is `keep`, `close`, `reset` or `stall`. `truncate`, `dribble` and `close` spoil a real answer
//! and are `after` unless told otherwise; all others are `before`. `truncate`, `dribble` and
//! `close` with `before` spoil the answer that the call would have got.

#![forbid(unsafe_code)]

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

mod accounts;
mod blocklist;
mod clock;
mod command;
mod control;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod door;
mod exchange;
mod faults;
mod fields;
mod friends;
mod gateway;
mod journal;
mod lists;
mod options;
mod quota;
mod reply;
mod server;
mod service;
mod shared;
mod state;
mod tls;
pub mod verify;
mod wire;

pub use options::*;

use shared::Shared;
use state::Store;

/// A running emulator. Dropping it stops it.
#[derive(Debug)]
pub struct Emulator {
    address: SocketAddr,
    url: String,
    tls_url: Option<String>,
    ca_pem: Option<String>,
    ca_file: Option<CaFile>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct CaFile {
    path: PathBuf,
    /// Ours to remove at the end.
    temporary: bool,
}

impl Emulator {
    /// Starts one. When this returns, it listens.
    pub fn start(options: Options) -> io::Result<Emulator> {
        let seed = seed(&options)?;
        let http = server::listen(options.port)?;
        let address = http.local_addr()?;
        let mut tls = None;
        let (mut tls_url, mut ca_pem, mut ca_file) = (None, None, None);
        if let Some(tls_options) = &options.tls {
            let identity = tls::identity(tls_options)?;
            let listener = server::listen(tls_options.port)?;
            let port = listener.local_addr()?.port();
            tls_url = Some(format!("https://localhost:{port}"));
            let (path, temporary) = match &tls_options.ca_file {
                Some(path) => (path.clone(), false),
                None => {
                    let name = format!("imgroup-emulator-ca-{}-{port}.pem", std::process::id());
                    (std::env::temp_dir().join(name), true)
                }
            };
            std::fs::write(&path, &identity.ca_pem)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
            ca_file = Some(CaFile { path, temporary });
            ca_pem = Some(identity.ca_pem);
            tls = Some((listener, tokio_rustls::TlsAcceptor::from(identity.config)));
        }

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let shared = Arc::new(Shared::new(options, seed));
        let thread = std::thread::Builder::new().name("imgroup-emulator".into()).spawn(move || {
            runtime.block_on(async move {
                let router = server::router(Arc::clone(&shared));
                if let Ok(listener) = tokio::net::TcpListener::from_std(http) {
                    tokio::spawn(server::accept(listener, None, Arc::clone(&shared), router.clone()));
                }
                if let Some((listener, acceptor)) = tls
                    && let Ok(listener) = tokio::net::TcpListener::from_std(listener)
                {
                    tokio::spawn(server::accept(listener, Some(acceptor), shared, router));
                }
                // Ends when told, and also when nobody is left to tell.
                let _ = stopped.await;
            });
        })?;
        Ok(Emulator {
            address,
            url: format!("http://127.0.0.1:{}", address.port()),
            tls_url,
            ca_pem,
            ca_file,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// `http://127.0.0.1:port`, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port of [`Emulator::url`].
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `https://localhost:port`, if HTTPS was asked for.
    pub fn tls_url(&self) -> Option<&str> {
        self.tls_url.as_deref()
    }

    /// The certificate of the authority that signs the HTTPS side, as PEM.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// The file that certificate was written to.
    pub fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_ref().map(|file| file.path.as_path())
    }

    /// Makes a control request, for tests in Rust that have no HTTP client at hand.
    /// An answer other than 200 is an error with its reason.
    pub fn control(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Value> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .into();
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .body(body.map(Value::to_string).unwrap_or_default())
            .map_err(io::Error::other)?;
        let mut reply = agent.run(request).map_err(ureq::Error::into_io)?;
        let body = reply.body_mut().read_to_string().map_err(ureq::Error::into_io)?;
        let value: Value = serde_json::from_str(&body).map_err(io::Error::other)?;
        if reply.status() == 200 {
            return Ok(value);
        }
        Err(io::Error::other(format!("{method} {path}: {}", value["error"].as_str().unwrap_or(&body))))
    }

    /// Stops it: closes every connection, and the thread is gone when this returns.
    pub fn stop(self) {}
}

impl Drop for Emulator {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if let Some(file) = self.ca_file.take().filter(|file| file.temporary) {
            let _ = std::fs::remove_file(file.path);
        }
    }
}

fn seed(options: &Options) -> io::Result<Store> {
    if options.sdkappid == 0 || options.secret_key.is_empty() || options.admins.iter().any(String::is_empty) {
        return Err(io::Error::other("sdkappid, secret key and admins must not be empty"));
    }
    let mut seed = match &options.seed_state {
        Some(document) => Store::from_json(document.as_bytes()).map_err(io::Error::other)?,
        None => Store::default(),
    };
    for account in &options.seed_accounts {
        if account.is_empty() || account.len() > fields::ACCOUNT_MAX {
            let text =
                format!("an account of {} bytes, 1 to {} are allowed", account.len(), fields::ACCOUNT_MAX);
            return Err(io::Error::other(text));
        }
        seed.import(account);
    }
    Ok(seed)
}
