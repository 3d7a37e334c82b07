//! One exchange with the service: a request out, a reply in. The fast path.
//!
//! A warm call is three system calls: one look whether the connection is still
//! quiet, one write of head and body together, one read. Names are resolved and
//! connections opened only when there is none to reuse, with the deadline and the
//! interrupts of the call (`dial.rs`, `connection.rs`). What the bytes mean is in
//! `http.rs`.
//!
//! HTTP is spoken here and not by a client library: this client needs one method,
//! one kind of body and no option, and has to know of every failure whether the
//! request had left. `make bench` has the most suitable library (ureq) beside it.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use rustls::ClientConfig;

use crate::call::Running;
use crate::codes;
use crate::config::{Config, Endpoint};
use crate::connection::{Broken, Connection};
use crate::dial::Dialer;
use crate::http::{self, HEAD_BYTES, Head, Refused};
use crate::lock::lock;
use crate::lost::Lost;
use crate::stats::{Count, Stats};

/// A connection that was idle for longer is not used again.
const IDLE: Duration = Duration::from_secs(30);
/// A connection is not used for longer than this: names and certificates change.
const LIFE: Duration = Duration::from_secs(300);
/// Idle connections kept for each host.
const KEPT: usize = 64;
/// Interim replies (1xx) accepted before the reply.
const INTERIM: u32 = 8;
/// What is read at once, and of a request what is copied to leave in one write.
const BUFFER: usize = 16 * 1024;

/// What goes out. The target carries the UserSig, so it has no `Debug`.
pub(crate) struct Request<'a> {
    /// Which of the hosts to use: 0 the primary, 1 the backup.
    pub host: usize,
    /// `/v4/…?…`
    pub target: String,
    /// JSON.
    pub body: &'a [u8],
}

/// What came back, of whatever status.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
    /// The service's clock.
    pub date: Option<SystemTime>,
    /// How long the service wants us to wait.
    pub retry_after: Option<Duration>,
}

/// The seam at which the core is tested without sockets.
pub(crate) trait Transport: Send + Sync {
    /// Sends one request and reads one reply, once, within `running`'s deadline.
    fn exchange(&self, request: Request<'_>, running: &Running) -> Result<Reply, Lost>;
}

/// HTTP and HTTPS over TCP.
pub(crate) struct HttpTransport {
    hosts: Vec<Host>,
    max_reply_bytes: usize,
    stats: Arc<Stats>,
}

struct Host {
    /// The fields of every request.
    fields: String,
    dialer: Dialer,
    /// The one used last is at the back.
    idle: Mutex<VecDeque<Lane>>,
}

/// A connection and its buffers.
struct Lane {
    connection: Connection,
    output: Vec<u8>,
    input: Input,
    born: Instant,
    used: Instant,
}

/// What has arrived and was not used yet.
struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

/// How far an exchange has come.
#[derive(Default)]
struct Progress {
    /// The whole request was handed over.
    sent: bool,
    /// A byte of the reply has come.
    heard: bool,
}

impl HttpTransport {
    pub fn new(config: &Config, hosts: &[Endpoint], tls: Arc<ClientConfig>, stats: Arc<Stats>) -> Self {
        let host = |endpoint: &Endpoint| Host {
            fields: http::fields(&endpoint.to_string()),
            dialer: Dialer {
                endpoint: endpoint.clone(),
                // Plain HTTP is for loopback, where no proxy is.
                proxy: config.proxy.clone().filter(|_| endpoint.tls),
                tls: Arc::clone(&tls),
                resolve_timeout: config.resolve_timeout,
                connect_timeout: config.connect_timeout,
                stats: Arc::clone(&stats),
            },
            idle: Mutex::default(),
        };
        HttpTransport {
            hosts: hosts.iter().map(host).collect(),
            max_reply_bytes: config.max_reply_bytes,
            stats,
        }
    }

    /// Over a connection that is kept, or a new one; gives it back if it is good for more.
    fn run(
        &self,
        host: &Host,
        request: &Request<'_>,
        running: &Running,
    ) -> Result<(Reply, Option<Lane>), Lost> {
        let (mut lane, reused) = match host.take() {
            Some(lane) => {
                running.attach(lane.connection.stream())?;
                (lane, true)
            }
            // The dialer has attached it.
            None => (Lane::new(host.dialer.open(running)?), false),
        };
        let mut progress = Progress::default();
        match lane.exchange(&host.fields, request, self.max_reply_bytes, running, &mut progress) {
            Ok((reply, keeps_alive)) => {
                self.stats.add(if reused { Count::ReusedConnections } else { Count::FreshConnections });
                let lane = (keeps_alive && !is_at_odds(reply.status)).then_some(lane);
                Ok((reply, lane))
            }
            Err(lost) => {
                let stale = reused && !progress.heard && lost.stopped.is_none() && lost.code == codes::IO;
                if stale {
                    // The peer closes idle connections; the others have gone with this one.
                    lock(&host.idle).clear();
                }
                Err(Lost { sent: progress.sent, stale, ..lost })
            }
        }
    }
}

impl Transport for HttpTransport {
    fn exchange(&self, request: Request<'_>, running: &Running) -> Result<Reply, Lost> {
        let host = &self.hosts[request.host];
        let outcome = self.run(host, &request, running);
        // From here on an interrupt must not touch the connection: it is idle, or soon
        // in another call.
        running.detach();
        let (reply, lane) = outcome?;
        if let Some(lane) = lane {
            host.keep(lane);
        }
        Ok(reply)
    }
}

/// Whoever answers this is no service to go on talking to over this connection: a
/// firewall, a proxy, or a server that waited too long.
fn is_at_odds(status: u16) -> bool {
    matches!(status, 401 | 403 | 407 | 408)
}

impl Host {
    /// The connection used last that still lives, so that those not needed grow old.
    fn take(&self) -> Option<Lane> {
        let now = Instant::now();
        loop {
            let mut lane = lock(&self.idle).pop_back()?;
            if now - lane.born < LIFE && now - lane.used < IDLE && lane.connection.is_quiet() {
                return Some(lane);
            }
        }
    }

    fn keep(&self, mut lane: Lane) {
        lane.used = Instant::now();
        let mut idle = lock(&self.idle);
        // Those that a busier time has left over go one by one.
        if idle.front().is_some_and(|oldest| lane.used - oldest.used > IDLE) {
            idle.pop_front();
        }
        if idle.len() < KEPT {
            idle.push_back(lane);
        }
    }
}

impl Lane {
    fn new(connection: Connection) -> Lane {
        let now = Instant::now();
        let input = Input { bytes: vec![0; BUFFER], start: 0, end: 0 };
        Lane { connection, output: Vec::new(), input, born: now, used: now }
    }

    /// Gives the reply, and whether the connection may carry another request.
    fn exchange(
        &mut self,
        fields: &str,
        request: &Request<'_>,
        limit: usize,
        running: &Running,
        progress: &mut Progress,
    ) -> Result<(Reply, bool), Lost> {
        // A peer that refuses a request early may have said why before it closed, so
        // a failure to write is kept until that was read.
        let unsent = match self.send(fields, request, running) {
            Ok(()) => None,
            Err(Broken::Lost(reason)) => Some(reason),
            Err(broken) => return Err(broken.into()),
        };
        progress.sent = unsent.is_none();
        let reply = self.receive(limit, running, progress);
        match (reply, unsent) {
            (Ok((reply, keeps_alive)), unsent) => Ok((reply, keeps_alive && unsent.is_none())),
            (Err(lost), Some(reason)) if lost.code == codes::IO => Err(Broken::Lost(reason).into()),
            (Err(lost), _) => Err(lost),
        }
    }

    /// Head and body leave together, but for the rest of a long body.
    fn send(&mut self, fields: &str, request: &Request<'_>, running: &Running) -> Result<(), Broken> {
        self.output.clear();
        http::write_head(&mut self.output, &request.target, fields, request.body.len());
        let room = BUFFER.saturating_sub(self.output.len());
        let (first, rest) = request.body.split_at(request.body.len().min(room));
        self.output.extend_from_slice(first);
        self.connection.write(&self.output, running)?;
        if rest.is_empty() { Ok(()) } else { self.connection.write(rest, running) }
    }

    fn receive(
        &mut self,
        limit: usize,
        running: &Running,
        progress: &mut Progress,
    ) -> Result<(Reply, bool), Lost> {
        let mut head = self.receive_head(running, progress)?;
        let expected = head.body.length().unwrap_or(0).min(BUFFER as u64);
        let mut body = Vec::with_capacity(expected as usize);
        loop {
            let used = head.body.take(self.input.held(), &mut body, limit)?;
            self.input.consume(used);
            if head.body == http::Body::Complete {
                break;
            }
            if !self.read(running, progress)? {
                if head.body.ends_when_closed() {
                    break;
                }
                return Err(Lost::cut_short());
            }
        }
        // What comes unasked behind a reply would be taken for the next one.
        let keeps_alive = head.keeps_alive && self.input.held().is_empty();
        let Head { status, date, retry_after, .. } = head;
        Ok((Reply { status, body, date, retry_after }, keeps_alive))
    }

    fn receive_head(&mut self, running: &Running, progress: &mut Progress) -> Result<Head, Lost> {
        let mut interim = 0;
        loop {
            match Head::parse(self.input.held())? {
                Some((head, length)) => {
                    self.input.consume(length);
                    if !head.is_interim() {
                        return Ok(head);
                    }
                    interim += 1;
                    if interim > INTERIM {
                        let reason = format!("more than {INTERIM} interim replies");
                        return Err(Refused::Malformed(reason).into());
                    }
                }
                None if !self.read(running, progress)? => return Err(Lost::cut_short()),
                None => {}
            }
        }
    }

    /// Reads more; false at the end.
    fn read(&mut self, running: &Running, progress: &mut Progress) -> Result<bool, Lost> {
        let Some(room) = self.input.room() else {
            let reason = format!("the reply has a head or a line of more than {HEAD_BYTES} bytes");
            return Err(Refused::Malformed(reason).into());
        };
        let amount = self.connection.read(room, running)?;
        self.input.end += amount;
        progress.heard |= amount > 0;
        Ok(amount > 0)
    }
}

impl Input {
    fn held(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    fn consume(&mut self, amount: usize) {
        self.start += amount;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Where the next bytes go; `None` if too many are held already.
    fn room(&mut self) -> Option<&mut [u8]> {
        if self.end == self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.end == HEAD_BYTES {
                return None;
            }
            if self.end == self.bytes.len() {
                self.bytes.resize(self.end * 2, 0);
            }
        }
        Some(&mut self.bytes[self.end..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{SocketAddr, TcpListener, TcpStream};

    #[test]
    fn old_connections_are_let_go() {
        let mut config = Config::new(1400000000, "administrator", "key").unwrap();
        config.set_endpoint("https://localhost").unwrap();
        let roots = crate::tls::roots(&config.trust).unwrap();
        let hosts = [config.primary().unwrap().clone()];
        let transport = HttpTransport::new(&config, &hosts, crate::tls::client_config(roots), Arc::default());
        let host = &transport.hosts[0];
        let ago = |age: Duration| Instant::now().checked_sub(age).expect("the machine runs for minutes");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peers = Vec::new();
        let mut lane = || {
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            peers.push(listener.accept().unwrap().0);
            Lane::new(Connection::new(stream).unwrap())
        };
        let name = |lane: &Lane| -> SocketAddr { lane.connection.stream().local_addr().unwrap() };

        assert!(host.take().is_none());
        let (first, second) = (lane(), lane());
        let last = name(&second);
        host.keep(first);
        host.keep(second);
        let mut taken = host.take().unwrap();
        assert_eq!(name(&taken), last, "the one used last");
        taken.born = ago(LIFE);
        host.keep(taken);
        assert_ne!(host.take().map(|lane| name(&lane)), Some(last), "it had lived long enough");
        assert!(host.take().is_none());

        host.keep(lane());
        lock(&host.idle)[0].used = ago(IDLE + Duration::from_secs(1));
        assert!(host.take().is_none(), "it was idle for too long");

        (0..3).for_each(|_| host.keep(lane()));
        lock(&host.idle)[0].used = ago(IDLE + Duration::from_secs(1));
        let taken = host.take().unwrap();
        host.keep(taken);
        assert_eq!(lock(&host.idle).len(), 2, "the one that nobody needed has gone");
        (0..KEPT + 9).for_each(|_| host.keep(lane()));
        assert_eq!(lock(&host.idle).len(), KEPT);

        drop(peers);
        assert!(host.take().is_none(), "the peers have closed");
    }
}
