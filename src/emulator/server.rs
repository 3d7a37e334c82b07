//! Listening, accepting, and the way from a connection to the router.

#![forbid(unsafe_code)]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::{DATE, SERVER};
use axum::http::{HeaderMap, HeaderValue};
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::clock::http_date;
use super::control;
use super::exchange::{self, Connection};
use super::faults::{Effect, Fault};
use super::shared::Shared;
use super::wire::{End, Raw, Slot, Wire};

/// How long a client may take for its TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Everything that is answered.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    control::router(Arc::clone(&shared)).fallback(exchange::handle).with_state(shared)
}

/// `Server` and `Date`, by the emulator's own clock.
pub(crate) fn sign(shared: &Shared, headers: &mut HeaderMap) {
    const NAME: &str = concat!("imgroup-emulator/", env!("CARGO_PKG_VERSION"));
    if !headers.contains_key(SERVER) {
        headers.insert(SERVER, HeaderValue::from_static(NAME));
    }
    if !headers.contains_key(DATE) {
        let date = http_date(shared.clock.now());
        headers.insert(DATE, HeaderValue::try_from(date).expect("a date is ASCII"));
    }
}

/// Accepts until the runtime ends.
pub(crate) async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    router: Router,
) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, mostly: let some be closed.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        tokio::spawn(connection(stream, tls.clone(), Arc::clone(&shared), router.clone()));
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>, router: Router) {
    let id = shared.next_connection();
    let _ = stream.set_nodelay(true);
    let fault = shared.faults().draw_accept();
    let stream = match fault {
        Some(fault) => match spoil(stream, &fault).await {
            Some(stream) => stream,
            None => return,
        },
        None => stream,
    };
    let connection = Connection { id, tls: tls.is_some(), slot: Slot::default() };
    // A client that leaves, or a fault that throws it out, is nothing to report.
    let _ = match tls {
        None => serve(stream, connection, &shared, router).await,
        Some(acceptor) => match tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => serve(stream, connection, &shared, router).await,
            _ => Ok(()),
        },
    };
}

/// Plays a fault on a new connection; gives it back if it may go on.
async fn spoil(mut stream: TcpStream, fault: &Fault) -> Option<TcpStream> {
    tokio::time::sleep(fault.delay).await;
    if matches!(fault.effect, Effect::Silence) {
        // Held open, and never answered, until the client goes.
        let mut drain = [0; 4096];
        while tokio::io::AsyncReadExt::read(&mut stream, &mut drain).await.is_ok_and(|length| length > 0) {}
        return None;
    }
    let Some(plan) = &fault.plan else { return Some(stream) };
    if let Some(bytes) = &plan.replace {
        let _ = stream.write_all(bytes).await;
        let _ = stream.flush().await;
    }
    match plan.end {
        End::Keep => return Some(stream),
        End::Reset => drop(stream.set_zero_linger()),
        End::Stall => {
            let mut drain = [0; 4096];
            while tokio::io::AsyncReadExt::read(&mut stream, &mut drain).await.is_ok_and(|length| length > 0)
            {
            }
        }
        End::Close { .. } => drop(stream.shutdown().await),
    }
    None
}

async fn serve<S: Raw + 'static>(
    stream: S,
    connection: Connection,
    shared: &Arc<Shared>,
    router: Router,
) -> Result<(), hyper::Error> {
    let io = TokioIo::new(Wire::new(stream, connection.slot.clone()));
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(connection.clone());
        router.call(request)
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.auto_date_header(false).title_case_headers(true);
    let idle = shared.options.idle_timeout;
    if idle.is_zero() {
        builder.header_read_timeout(None);
    } else {
        builder.timer(TokioTimer::new()).header_read_timeout(idle);
    }
    builder.serve_connection(io, service).await
}

/// Binds to the loopback address; port 0 takes a free one.
pub(crate) fn listen(port: u16) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port))
        .map_err(|error| io::Error::new(error.kind(), format!("port {port} of 127.0.0.1: {error}")))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
