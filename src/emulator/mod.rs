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

#![forbid(unsafe_code)]

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
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
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply)?;
        let reply = String::from_utf8(reply).map_err(io::Error::other)?;
        let (head, body) = reply.split_once("\r\n\r\n").ok_or_else(|| io::Error::other("no HTTP reply"))?;
        let value: Value = serde_json::from_str(body).map_err(io::Error::other)?;
        if head.starts_with("HTTP/1.1 200 ") {
            return Ok(value);
        }
        Err(io::Error::other(format!("{method} {path}: {}", value["error"].as_str().unwrap_or(body))))
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
