//! The way in behind the sockets, for `fuzz/`. Only with the feature `fuzzing`.

#![forbid(unsafe_code)]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::http::header::HOST;
use http_body_util::BodyExt as _;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::runtime::{Builder, Runtime};

use super::exchange::Connection;
use super::options::Options;
use super::shared::Shared;
use super::wire::Slot;
use super::{seed, server};

/// Longer than any delay that a fault can ask for.
const PATIENCE: Duration = Duration::from_secs(1 << 32);

/// An emulator that is asked directly. Waits take no time.
pub struct Door {
    runtime: Runtime,
    shared: Arc<Shared>,
    router: Router,
}

impl Door {
    /// Opens one.
    pub fn new(options: Options) -> io::Result<Door> {
        let shared = Arc::new(Shared::new(options.clone(), seed(&options)?));
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
        Ok(Door { runtime, router: server::router(Arc::clone(&shared)), shared })
    }

    /// Back to the start, as `POST /_emulator/reset`.
    pub fn reset(&self) {
        self.shared.reset();
    }

    /// Status and body of the answer to a request. `InvalidInput` if it cannot be
    /// said in HTTP, `TimedOut` if it is never answered.
    pub fn answer(&self, method: &str, target: &str, body: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        let request = Request::builder().method(method).uri(target).header(HOST, "localhost");
        let request = request.body(Body::from(body.to_vec()));
        let mut request = request.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        request.extensions_mut().insert(Connection { id: 1, tls: false, slot: Slot::default() });
        let service = TowerToHyperService::new(self.router.clone());
        let answer = async {
            let answer = service.call(request).await.map_err(io::Error::other)?;
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.map_err(io::Error::other)?;
            Ok((status, body.to_bytes().to_vec()))
        };
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, answer).await })?
    }
}
