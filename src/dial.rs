//! A new connection to a host: its name, TCP, a way through the proxy, TLS.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use crate::call::{Running, Stop};
use crate::codes::{self, Retry};
use crate::config::Endpoint;
use crate::connection::{Broken, Connection};
use crate::lost::Lost;
use crate::resolver::{self, Unresolved};
use crate::stats::{Count, Stats};
use crate::tcp::{self, NoConnection};

/// What all connections to one host share.
pub(crate) struct Dialer {
    pub endpoint: Endpoint,
    pub proxy: Option<Endpoint>,
    pub tls: Arc<ClientConfig>,
    pub resolve_timeout: Duration,
    pub connect_timeout: Duration,
    pub stats: Arc<Stats>,
}

impl Dialer {
    /// Name, connection, handshake.
    pub fn open(&self, running: &Running) -> Result<Connection, Lost> {
        self.connect(running).map_err(|lost| match lost.stopped {
            // A host that lets the attempt's time pass is as good as none.
            Some(Stop::Deadline) => {
                Lost { unreachable: true, message: "no connection in time".into(), ..lost }
            }
            _ => lost,
        })
    }

    fn connect(&self, running: &Running) -> Result<Connection, Lost> {
        let through = self.proxy.as_ref().unwrap_or(&self.endpoint);
        let addresses =
            resolver::resolve(&through.host, self.resolve_timeout, running).map_err(|why| match why {
                Unresolved::Failed(reason) => {
                    Lost::unreachable(codes::DNS, format!("{}: {reason}", through.host))
                }
                Unresolved::NoThread(error) => {
                    Lost::new(codes::RESOURCE, format!("no thread for the resolver: {error}"), Retry::Never)
                }
                Unresolved::Stopped(stop) => stop.into(),
            })?;
        if !self.endpoint.tls && !addresses.iter().all(|address| address.is_loopback()) {
            return Err(Lost::new(codes::CONNECT, "plain http:// is allowed to loopback only", Retry::Never));
        }
        let stream = tcp::connect(&addresses, through.port, self.connect_timeout, running).map_err(
            |why| match why {
                NoConnection::Unreachable(reason) => {
                    Lost::unreachable(codes::CONNECT, format!("{through}: {reason}"))
                }
                NoConnection::Resource(error) => Lost::new(
                    codes::RESOURCE,
                    format!("no descriptor for a connection: {error}"),
                    Retry::Never,
                ),
                NoConnection::Stopped(stop) => stop.into(),
            },
        )?;
        let cut_short = |broken| match broken {
            Broken::Lost(reason) => Lost::unreachable(codes::CONNECT, format!("{through}: {reason}")),
            other => other.into(),
        };
        let mut connection =
            Connection::new(stream).map_err(|error| Lost::unreachable(codes::CONNECT, error.to_string()))?;
        running.attach(connection.stream())?;
        if self.proxy.is_some() {
            connection.tunnel(&self.endpoint, running).map_err(cut_short)?;
        }
        if self.endpoint.tls {
            connection.secure(Arc::clone(&self.tls), &self.endpoint.host, running).map_err(cut_short)?;
        }
        self.stats.add(Count::Connects);
        if connection.resumed() {
            self.stats.add(Count::ResumedHandshakes);
        }
        Ok(connection)
    }
}

impl Connection {
    /// Asks an HTTP proxy for a way through (RFC 9110, 9.3.6).
    fn tunnel(&mut self, to: &Endpoint, running: &Running) -> Result<(), Broken> {
        let host = if to.host.contains(':') { format!("[{}]", to.host) } else { to.host.clone() };
        let authority = format!("{host}:{}", to.port);
        let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        self.write(request.as_bytes(), running)?;
        let mut head = Vec::new();
        // Byte by byte: what follows the head belongs to TLS.
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if head.len() > 8 * 1024 || self.read(&mut byte, running)? == 0 {
                return Err(Broken::Lost("the proxy gave no answer".into()));
            }
            head.push(byte[0]);
        }
        let status = head.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
        if status != b"200" {
            return Err(Broken::Lost(format!("the proxy refused: {}", String::from_utf8_lossy(status))));
        }
        Ok(())
    }
}
