//! One exchange with the service: a request out, a reply in. The fast path.
//!
//! ureq speaks HTTP/1.1; the bytes go through a transport of our own, so that a
//! warm call is three system calls: one look whether the connection is still
//! quiet, one write of head and body together, one read. Names are resolved and
//! connections opened only when there is none to reuse, with the deadline and the
//! interrupts of the call (`dial.rs`, `connection.rs`).
//!
//! Every connection has an ureq agent of its own, and this module keeps them: the
//! agent's own pool is one lock around every look at a socket.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use ureq::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, USER_AGENT};
use ureq::http::uri::{Authority, Parts, PathAndQuery, Scheme, Uri};
use ureq::http::{HeaderMap, HeaderValue, Method, Request as HttpRequest};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, NextTimeout, Transport as UreqTransport,
};

use crate::call::{Running, Stop};
use crate::codes::{self, Retry};
use crate::config::{Config, Endpoint};
use crate::connection::{Broken, Connection};
use crate::dial::{self, NoConnection};
use crate::lock::lock;
use crate::resolver::{self, Unresolved};
use crate::stats::{Count, Stats};

/// A connection that was idle for longer is not used again.
const IDLE: Duration = Duration::from_secs(30);
/// A connection is not used for longer than this: names and certificates change.
const LIFE: Duration = Duration::from_secs(300);
/// Idle connections kept for each host.
const KEPT: usize = 64;
const HEAD_BYTES: usize = 64 * 1024;
/// Interim replies (1xx) accepted before the reply.
const INTERIM: u8 = 8;
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
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// No reply that could be read.
#[derive(Debug)]
pub(crate) struct Lost {
    pub code: i32,
    pub message: String,
    /// Whether the whole request was handed over, so that it can have arrived. The
    /// service cannot apply a part of one.
    pub sent: bool,
    /// The connection had been used before and broke before a byte of the reply:
    /// the peer had probably closed it while it was idle.
    pub stale: bool,
    /// How the policy treats it, if the call goes on.
    pub retry: Retry,
    /// The host itself could not be used: another one may do better.
    pub unreachable: bool,
    /// The call ended, or the attempt's time.
    pub stopped: Option<Stop>,
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
    scheme: Scheme,
    authority: Authority,
    /// Those of every request.
    headers: HeaderMap,
    dialer: Arc<Dialer>,
    /// The one used last is at the back.
    idle: Mutex<VecDeque<Lane>>,
}

/// A connection, or the place for one.
struct Lane {
    agent: ureq::Agent,
    exchange: Arc<Mutex<Exchange>>,
    born: Instant,
    used: Instant,
}

/// What all connections to one host share.
struct Dialer {
    endpoint: Endpoint,
    proxy: Option<Endpoint>,
    tls: Arc<ClientConfig>,
    resolve_timeout: Duration,
    connect_timeout: Duration,
    stats: Arc<Stats>,
}

/// The exchange a lane is busy with: what the transport needs to know of the
/// call, and what the call wants to know of the transport.
#[derive(Default)]
struct Exchange {
    running: Option<Running>,
    attached: bool,
    reused: bool,
    sent: bool,
    heard: bool,
    failure: Option<Lost>,
}

impl HttpTransport {
    pub fn new(config: &Config, hosts: &[Endpoint], tls: Arc<ClientConfig>, stats: Arc<Stats>) -> Self {
        let host = |endpoint: &Endpoint| Host {
            scheme: if endpoint.tls { Scheme::HTTPS } else { Scheme::HTTP },
            authority: Authority::try_from(endpoint.to_string()).expect("an endpoint was checked"),
            headers: HeaderMap::from_iter([
                (CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (USER_AGENT, HeaderValue::from_static(concat!("libimgroup/", env!("CARGO_PKG_VERSION")))),
            ]),
            dialer: Arc::new(Dialer {
                endpoint: endpoint.clone(),
                // Plain HTTP is for loopback, where no proxy is.
                proxy: config.proxy.clone().filter(|_| endpoint.tls),
                tls: Arc::clone(&tls),
                resolve_timeout: config.resolve_timeout,
                connect_timeout: config.connect_timeout,
                stats: Arc::clone(&stats),
            }),
            idle: Mutex::default(),
        };
        HttpTransport {
            hosts: hosts.iter().map(host).collect(),
            max_reply_bytes: config.max_reply_bytes,
            stats,
        }
    }
}

impl Transport for HttpTransport {
    fn exchange(&self, request: Request<'_>, running: &Running) -> Result<Reply, Lost> {
        let host = &self.hosts[request.host];
        let lane = host.take();
        lane.begin(running);
        let outcome = lane.run(host, request, self.max_reply_bytes);
        // From here on an interrupt must not touch the connection: it is idle, or
        // soon in another call.
        running.detach();
        let exchange = lane.end();
        let outcome = match (outcome, exchange.failure) {
            (Ok(reply), None) => Ok(reply),
            (_, Some(failure)) => Err(failure),
            (Err(error), None) => Err(unreadable(&error)),
        };
        match outcome {
            Ok(reply) => {
                self.stats.add(if exchange.reused {
                    Count::ReusedConnections
                } else {
                    Count::FreshConnections
                });
                if !is_at_odds(reply.status) {
                    host.keep(lane);
                }
                Ok(reply)
            }
            Err(lost) => {
                let sent = exchange.sent;
                let stale =
                    exchange.reused && !exchange.heard && lost.stopped.is_none() && lost.code == codes::IO;
                if stale {
                    // The peer closes idle connections; the others have gone with this one.
                    lock(&host.idle).clear();
                }
                Err(Lost { sent, stale, ..lost })
            }
        }
    }
}

/// Whoever answers this is no service to go on talking to over this connection: a
/// firewall, a proxy, or a server that waited too long.
fn is_at_odds(status: u16) -> bool {
    matches!(status, 401 | 403 | 407 | 408)
}

impl Host {
    /// The connection used last, so that those not needed grow old.
    fn take(&self) -> Lane {
        let mut idle = lock(&self.idle);
        while let Some(lane) = idle.pop_back() {
            if lane.born.elapsed() < LIFE {
                return lane;
            }
        }
        drop(idle);
        let exchange = Arc::<Mutex<Exchange>>::default();
        let connector = LinkConnector { dialer: Arc::clone(&self.dialer), exchange: Arc::clone(&exchange) };
        Lane {
            agent: ureq::Agent::with_parts(agent_config(), connector, NoResolver),
            exchange,
            born: Instant::now(),
            used: Instant::now(),
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
    fn begin(&self, running: &Running) {
        *lock(&self.exchange) = Exchange { running: Some(running.clone()), ..Exchange::default() };
    }

    fn end(&self) -> Exchange {
        std::mem::take(&mut lock(&self.exchange))
    }

    fn run(&self, host: &Host, request: Request<'_>, limit: usize) -> Result<Reply, ureq::Error> {
        let mut parts = Parts::default();
        parts.scheme = Some(host.scheme.clone());
        parts.authority = Some(host.authority.clone());
        let target = PathAndQuery::from_maybe_shared(request.target.into_bytes());
        parts.path_and_query = Some(target.map_err(|error| ureq::Error::BadUri(error.to_string()))?);
        let uri = Uri::from_parts(parts).map_err(|error| ureq::Error::BadUri(error.to_string()))?;
        // Its builder would move the whole request for every part of it.
        let mut http = HttpRequest::new(request.body);
        (*http.method_mut(), *http.uri_mut()) = (Method::POST, uri);
        *http.headers_mut() = host.headers.clone();
        let (head, body) = self.agent.run(http)?.into_parts();
        self.refuse(&head.headers)?;
        let expected = body.content_length().unwrap_or(0).min(BUFFER as u64) as usize;
        let mut bytes = Vec::with_capacity(expected + 1);
        body.into_with_config().limit(limit as u64).reader().read_to_end(&mut bytes)?;
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, body: bytes })
    }

    /// What a reply must not say about its own body.
    fn refuse(&self, headers: &HeaderMap) -> Result<(), ureq::Error> {
        let encoded = headers
            .get(CONTENT_ENCODING)
            .is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
        let failure = if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
            refused("the reply is chunked and has a Content-Length")
        } else if encoded {
            Lost { retry: Retry::Never, ..refused("the reply is encoded, which was not asked for") }
        } else {
            return Ok(());
        };
        lock(&self.exchange).failure = Some(failure);
        Err(ureq::Error::ConnectionFailed)
    }
}

fn agent_config() -> ureq::config::Config {
    ureq::config::Config::builder()
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        // The request brings it, which saves a copy.
        .user_agent("")
        .accept("")
        .accept_encoding("")
        .max_response_header_size(HEAD_BYTES)
        .max_idle_connections(1)
        .max_idle_connections_per_host(1)
        .max_idle_age(IDLE)
        .build()
}

fn lost(code: i32, message: impl Into<String>, retry: Retry) -> Lost {
    Lost {
        code,
        message: message.into(),
        sent: false,
        stale: false,
        retry,
        unreachable: false,
        stopped: None,
    }
}

fn refused(reason: impl Into<String>) -> Lost {
    lost(codes::BAD_REPLY, reason, Retry::Ambiguous)
}

/// ureq's own complaints: the peer broke the protocol, or left early.
fn unreadable(error: &ureq::Error) -> Lost {
    match error {
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            lost(codes::IO, "the connection was closed before the reply was complete", Retry::Ambiguous)
        }
        ureq::Error::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>())
        {
            Some(inner) => unreadable(inner),
            None => lost(codes::IO, error.to_string(), Retry::Ambiguous),
        },
        ureq::Error::BodyExceedsLimit(limit) => {
            Lost { retry: Retry::Never, ..refused(format!("the reply is longer than {limit} bytes")) }
        }
        ureq::Error::LargeResponseHeader(_, limit) => {
            refused(format!("the head of the reply is longer than {limit} bytes"))
        }
        // The URL never stands in ureq's texts of these kinds.
        other => refused(format!("the reply is not HTTP/1.1: {other}")),
    }
}

impl From<Broken> for Lost {
    fn from(broken: Broken) -> Lost {
        match broken {
            Broken::Stopped(stop) => stopped(stop),
            Broken::Lost(reason) => lost(codes::IO, reason, Retry::Ambiguous),
            Broken::Tls(reason, passing) => Lost {
                unreachable: true,
                ..lost(codes::TLS, reason, if passing { Retry::NotSent } else { Retry::Never })
            },
        }
    }
}

fn stopped(stop: Stop) -> Lost {
    let message = match stop {
        Stop::Cancelled => "the call was cancelled",
        Stop::Shutdown => "the client was shut down",
        Stop::Deadline => "no reply in time",
    };
    Lost { stopped: Some(stop), ..lost(stop.code(), message, Retry::Ambiguous) }
}

impl Dialer {
    /// Name, connection, handshake.
    fn open(&self, running: &Running) -> Result<Connection, Lost> {
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
        let unreachable =
            |code, message: String| Lost { unreachable: true, ..lost(code, message, Retry::NotSent) };
        let addresses =
            resolver::resolve(&through.host, self.resolve_timeout, running).map_err(|why| match why {
                Unresolved::Failed(reason) => unreachable(codes::DNS, format!("{}: {reason}", through.host)),
                Unresolved::NoThread(error) => {
                    lost(codes::RESOURCE, format!("no thread for the resolver: {error}"), Retry::Never)
                }
                Unresolved::Stopped(stop) => stopped(stop),
            })?;
        if !self.endpoint.tls && !addresses.iter().all(|address| address.is_loopback()) {
            return Err(lost(codes::CONNECT, "plain http:// is allowed to loopback only", Retry::Never));
        }
        let stream =
            dial::dial(&addresses, through.port, self.connect_timeout, running).map_err(|why| match why {
                NoConnection::Unreachable(reason) => {
                    unreachable(codes::CONNECT, format!("{through}: {reason}"))
                }
                NoConnection::Resource(error) => {
                    lost(codes::RESOURCE, format!("no descriptor for a connection: {error}"), Retry::Never)
                }
                NoConnection::Stopped(stop) => stopped(stop),
            })?;
        let cut_short = |broken| match broken {
            Broken::Lost(reason) => unreachable(codes::CONNECT, format!("{through}: {reason}")),
            other => other.into(),
        };
        let mut connection =
            Connection::new(stream).map_err(|error| unreachable(codes::CONNECT, error.to_string()))?;
        running.attach(connection.stream()).map_err(stopped)?;
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

/// Makes the link of a lane when ureq finds none to reuse.
struct LinkConnector {
    dialer: Arc<Dialer>,
    exchange: Arc<Mutex<Exchange>>,
}

impl Connector for LinkConnector {
    type Out = Link;

    fn connect(&self, _: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Link>, ureq::Error> {
        let running = lock(&self.exchange).running.clone().ok_or(ureq::Error::ConnectionFailed)?;
        match self.dialer.open(&running) {
            Ok(connection) => {
                lock(&self.exchange).attached = true;
                Ok(Some(Link {
                    connection,
                    exchange: Arc::clone(&self.exchange),
                    buffers: LinkBuffers::default(),
                    used: false,
                    probe: false,
                    broken: None,
                }))
            }
            Err(lost) => {
                lock(&self.exchange).failure = Some(lost);
                Err(ureq::Error::ConnectionFailed)
            }
        }
    }
}

/// ureq asks for addresses before it looks for a connection to reuse; the dialer
/// finds them when they are needed.
#[derive(Debug)]
struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(
        &self,
        _: &Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}

/// A connection as ureq sees it.
struct Link {
    connection: Connection,
    exchange: Arc<Mutex<Exchange>>,
    buffers: LinkBuffers,
    /// It has carried an exchange before this one.
    used: bool,
    /// ureq asks twice whether the link is open: after a reply, where there is
    /// nothing to learn, and before it uses it again.
    probe: bool,
    /// Why the request could not be written to its end.
    broken: Option<String>,
}

impl Link {
    fn fail(&self, lost: Lost) -> ureq::Error {
        lock(&self.exchange).failure = Some(lost);
        // Not a kind that ureq would take for the end of a body.
        ureq::Error::Io(io::Error::other("see the exchange"))
    }

    /// The call this link works for, registered so that an interrupt finds it.
    fn running(&mut self) -> Result<Running, ureq::Error> {
        let mut exchange = lock(&self.exchange);
        let running = exchange.running.clone().ok_or(ureq::Error::ConnectionFailed)?;
        if !exchange.attached {
            if let Err(stop) = running.attach(self.connection.stream()) {
                exchange.failure = Some(stopped(stop));
                return Err(ureq::Error::ConnectionFailed);
            }
            exchange.attached = true;
            exchange.reused = self.used;
        }
        Ok(running)
    }

    /// Head and body leave together. A peer that refuses a request early may have
    /// said why before it closed, so a failure to write is kept until that was read.
    fn flush(&mut self) -> Result<(), ureq::Error> {
        let running = self.running()?;
        self.used = true;
        let pending = std::mem::take(&mut self.buffers.pending);
        if self.broken.is_some() {
            return Ok(());
        }
        match self.connection.write(&self.buffers.output[..pending], &running) {
            Ok(()) => Ok(()),
            Err(Broken::Lost(reason)) => {
                self.broken = Some(reason);
                Ok(())
            }
            Err(broken) => Err(self.fail(broken.into())),
        }
    }
}

impl UreqTransport for Link {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        self.buffers.pending += amount;
        if self.buffers.pending * 2 > self.buffers.output.len() { self.flush() } else { Ok(()) }
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        if self.buffers.pending > 0 {
            self.flush()?;
        }
        if self.buffers.interim > INTERIM {
            return Err(self.fail(refused(format!("more than {INTERIM} interim replies"))));
        }
        let running = self.running()?;
        self.probe = false;
        // ureq waits for input only when it has written everything.
        lock(&self.exchange).sent |= self.broken.is_none();
        match (self.connection.read(self.buffers.input_append_buf(), &running), &self.broken) {
            (Ok(0) | Err(Broken::Lost(_)), Some(reason)) => {
                let reason = reason.clone();
                Err(self.fail(Broken::Lost(reason).into()))
            }
            (Ok(amount), _) => {
                self.buffers.input_appended(amount);
                lock(&self.exchange).heard |= amount > 0;
                Ok(amount > 0)
            }
            (Err(broken), _) => Err(self.fail(broken.into())),
        }
    }

    fn is_open(&mut self) -> bool {
        if self.probe {
            return self.connection.is_quiet();
        }
        self.probe = true;
        self.broken.is_none()
    }

    fn is_tls(&self) -> bool {
        self.connection.is_tls()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.connection, f)
    }
}

impl fmt::Debug for LinkConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkConnector {{ {} }}", self.dialer.endpoint)
    }
}

/// The buffers of a link. What ureq writes is kept until it waits for input, so
/// that head and body leave in one write.
#[derive(Default)]
struct LinkBuffers {
    output: Vec<u8>,
    pending: usize,
    input: Vec<u8>,
    start: usize,
    end: usize,
    progress: bool,
    /// Interim replies seen in this exchange.
    interim: u8,
}

impl LinkBuffers {
    fn allocate(&mut self) {
        if self.output.is_empty() {
            self.output = vec![0; BUFFER];
            self.input = vec![0; BUFFER];
        }
    }
}

impl Buffers for LinkBuffers {
    fn output(&mut self) -> &mut [u8] {
        self.allocate();
        if self.pending == 0 {
            self.interim = 0;
        }
        &mut self.output[self.pending..]
    }

    fn input(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        self.allocate();
        if self.start > 0 {
            self.input.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.input.len() {
            // A head may be longer than the buffer; ureq bounds it.
            self.input.resize(self.input.len() * 2, 0);
        }
        &mut self.input[self.end..]
    }

    fn input_appended(&mut self, amount: usize) {
        self.end += amount;
    }

    fn input_consume(&mut self, amount: usize) {
        if amount > 0 && self.input().starts_with(b"HTTP/1.1 1") {
            self.interim = self.interim.saturating_add(1);
        }
        self.progress = amount > 0;
        self.start += amount;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        self.allocate();
        (&mut self.input[self.end..], &mut self.output[self.pending..])
    }

    fn can_use_input(&self) -> bool {
        // After too many interim replies ureq shall ask the link, which refuses.
        self.end > self.start && self.progress && self.interim <= INTERIM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_connections_are_let_go() {
        let mut config = Config::new(1400000000, "administrator", "key").unwrap();
        config.set_endpoint("https://localhost").unwrap();
        let roots = crate::tls::roots(&config.trust).unwrap();
        let hosts = [config.primary().unwrap().clone()];
        let transport = HttpTransport::new(&config, &hosts, crate::tls::client_config(roots), Arc::default());
        let host = &transport.hosts[0];
        let ago = |age: Duration| Instant::now().checked_sub(age).expect("the machine runs for minutes");

        let lane = host.take();
        let first = Arc::clone(&lane.exchange);
        host.keep(lane);
        let mut lane = host.take();
        assert!(Arc::ptr_eq(&first, &lane.exchange), "the one used last");
        lane.born = ago(LIFE);
        host.keep(lane);
        assert!(!Arc::ptr_eq(&first, &host.take().exchange), "it had lived long enough");

        let lanes: Vec<_> = (0..3).map(|_| host.take()).collect();
        lanes.into_iter().for_each(|lane| host.keep(lane));
        lock(&host.idle)[0].used = ago(IDLE + Duration::from_secs(1));
        let lane = host.take();
        host.keep(lane);
        assert_eq!(lock(&host.idle).len(), 2, "the one that nobody needed has gone");
        (0..KEPT + 9).map(|_| host.take()).collect::<Vec<_>>().into_iter().for_each(|lane| host.keep(lane));
        assert_eq!(lock(&host.idle).len(), KEPT);
    }
}
