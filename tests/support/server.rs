//! A server on the loopback that reads requests and then does what it is told,
//! byte by byte, with or without TLS.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustix::net::sockopt;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};

pub const OK_BODY: &str =
    r#"{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"0","ErrorDisplay":"","CurrentSequence":3}"#;

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It serves the next request.
    Keep,
    /// FIN, over TLS with its close_notify.
    Close,
    /// FIN without a close_notify.
    Cut,
    Reset,
    /// It stays, and nothing comes any more.
    Stall,
}

/// What the server does with a connection that is about to carry a request.
pub type Act = Arc<dyn Fn(&mut Peer) -> Then + Send + Sync>;

/// What it does with a new connection, before TLS; false if that was all.
pub type Greet = Arc<dyn Fn(&TcpStream) -> bool + Send + Sync>;

/// Reads the request, sends these bytes.
pub fn say(bytes: impl Into<Vec<u8>>, then: Then) -> Act {
    let bytes = bytes.into();
    Arc::new(move |peer| match peer.request() {
        Some(_) => {
            peer.send(&bytes);
            then
        }
        None => Then::Close,
    })
}

/// Something else.
pub fn act(act: impl Fn(&mut Peer) -> Then + Send + Sync + 'static) -> Act {
    Arc::new(act)
}

/// A reply with a length.
pub fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len()).into_bytes()
}

pub fn ok() -> Vec<u8> {
    http("200 OK", "Content-Type: application/json\r\n", OK_BODY)
}

/// A reply of the service with a code.
pub fn code(code: i32) -> Vec<u8> {
    let status = if code == 0 { "OK" } else { "FAIL" };
    http("200 OK", "", &format!(r#"{{"ActionStatus":"{status}","ErrorCode":{code},"ErrorInfo":"x"}}"#))
}

/// One request that was read to its end.
#[derive(Clone, Debug)]
pub struct Seen {
    pub connection: usize,
    pub target: String,
    pub body: String,
    pub server_name: Option<String>,
}

pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

struct Shared {
    act: Mutex<Act>,
    greet: Mutex<Option<Greet>>,
    tls: Mutex<Option<Arc<ServerConfig>>>,
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    stop: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

/// A connection, seen from the server.
pub struct Peer {
    pub stream: TcpStream,
    pub tls: Option<ServerConnection>,
    pub connection: usize,
    /// How many requests it has read.
    pub requests: usize,
    shared: Arc<Shared>,
    buffered: Vec<u8>,
}

impl Server {
    pub fn http(act: Act) -> Server {
        Server::start(act, None)
    }

    pub fn https(act: Act, config: Arc<ServerConfig>) -> Server {
        Server::start(act, Some(config))
    }

    /// With windows so small that a long request does not fit in.
    pub fn narrow(act: Act, tls: Option<Arc<ServerConfig>>) -> Server {
        use std::os::fd::AsRawFd as _;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        sockopt::set_socket_recv_buffer_size(&listener, 4096).unwrap();
        let segment: libc::c_int = 536;
        // SAFETY: a plain integer option of a socket that is open.
        let set = unsafe {
            let (value, length) = ((&raw const segment).cast(), size_of_val(&segment) as libc::socklen_t);
            libc::setsockopt(listener.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_MAXSEG, value, length)
        };
        assert_eq!(set, 0);
        Server::on(listener, act, tls)
    }

    pub fn start(act: Act, tls: Option<Arc<ServerConfig>>) -> Server {
        Server::on(TcpListener::bind("127.0.0.1:0").unwrap(), act, tls)
    }

    fn on(listener: TcpListener, act: Act, tls: Option<Arc<ServerConfig>>) -> Server {
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            act: Mutex::new(act),
            greet: Mutex::default(),
            tls: Mutex::new(tls),
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            streams: Mutex::default(),
        });
        let for_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if for_thread.stop.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&for_thread);
                shared.streams.lock().unwrap().push(stream.try_clone().unwrap());
                let connection = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
                thread::spawn(move || converse(stream, connection, shared));
            }
        });
        Server { address, shared, thread: Some(thread) }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `http://127.0.0.1:port` or `https://localhost:port`.
    pub fn url(&self) -> String {
        match *self.shared.tls.lock().unwrap() {
            None => format!("http://127.0.0.1:{}", self.port()),
            Some(_) => format!("https://localhost:{}", self.port()),
        }
    }

    /// From now on it does this.
    pub fn now(&self, act: Act) {
        *self.shared.act.lock().unwrap() = act;
    }

    /// What it does with new connections, before anything else.
    pub fn greet(&self, greet: Option<Greet>) {
        *self.shared.greet.lock().unwrap() = greet;
    }

    pub fn use_tls(&self, config: Arc<ServerConfig>) {
        *self.shared.tls.lock().unwrap() = Some(config);
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        for stream in self.shared.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn converse(stream: TcpStream, connection: usize, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let greet = shared.greet.lock().unwrap().clone();
    if greet.is_some_and(|greet| !greet(&stream)) {
        return forget(stream, &shared);
    }
    let tls = shared.tls.lock().unwrap().clone().map(|config| ServerConnection::new(config).unwrap());
    let mut peer =
        Peer { stream, tls, connection, requests: 0, shared: Arc::clone(&shared), buffered: Vec::new() };
    if let Some(tls) = &mut peer.tls {
        while tls.is_handshaking() {
            if tls.complete_io(&mut &peer.stream).is_err() {
                let _ = tls.write_tls(&mut &peer.stream);
                return forget(peer.stream, &shared);
            }
        }
    }
    loop {
        // The act of the moment when a request begins to arrive.
        if peer.buffered.is_empty() && peer.requests > 0 && !peer.wait() {
            break;
        }
        let act = shared.act.lock().unwrap().clone();
        match act(&mut peer) {
            Then::Keep => {}
            Then::Stall => {
                let _ = peer.stream.read(&mut [0; 1]);
                while peer.stream.read(&mut [0; 4096]).is_ok_and(|amount| amount > 0) {}
                break;
            }
            Then::Reset => {
                let _ = sockopt::set_socket_linger(&peer.stream, Some(Duration::ZERO));
                break;
            }
            Then::Cut => {
                let _ = peer.stream.shutdown(Shutdown::Both);
                break;
            }
            Then::Close => {
                if let Some(tls) = &mut peer.tls {
                    tls.send_close_notify();
                    let _ = tls.write_tls(&mut &peer.stream);
                }
                let _ = peer.stream.shutdown(Shutdown::Write);
                break;
            }
        }
    }
    forget(peer.stream, &shared);
}

/// Closes for good: the copy kept for the end of the server goes too.
fn forget(stream: TcpStream, shared: &Shared) {
    let address = stream.peer_addr().ok();
    let mut streams = shared.streams.lock().unwrap();
    // A stream whose peer has reset it has no address any more.
    streams.retain(|other| other.peer_addr().ok().is_some_and(|other| Some(other) != address));
    drop(streams);
    drop(stream);
}

impl Peer {
    /// Waits for the first byte of something.
    pub fn wait(&mut self) -> bool {
        if self.tls.is_some() {
            return self.fill();
        }
        self.stream.peek(&mut [0; 1]).is_ok_and(|amount| amount > 0)
    }

    fn fill(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        let amount = match &mut self.tls {
            None => self.stream.read(&mut bytes),
            Some(tls) => rustls::Stream::new(tls, &mut self.stream).read(&mut bytes),
        };
        let amount = amount.unwrap_or(0);
        self.buffered.extend_from_slice(&bytes[..amount]);
        amount > 0
    }

    /// Reads one request to its end; `None` if the client went away.
    pub fn request(&mut self) -> Option<Seen> {
        loop {
            if let Some(end) = find(&self.buffered, b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.buffered[..end]).into_owned();
                let length = head
                    .lines()
                    .find_map(|line| {
                        line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
                    })
                    .unwrap_or(0);
                if self.buffered.len() >= end + 4 + length {
                    let rest = self.buffered.split_off(end + 4 + length);
                    let request = std::mem::replace(&mut self.buffered, rest);
                    let seen = Seen {
                        connection: self.connection,
                        target: head.split(' ').nth(1).unwrap_or_default().to_owned(),
                        body: String::from_utf8_lossy(&request[end + 4..]).into_owned(),
                        server_name: self.tls.as_ref().and_then(|tls| tls.server_name().map(str::to_owned)),
                    };
                    self.requests += 1;
                    self.shared.seen.lock().unwrap().push(seen.clone());
                    return Some(seen);
                }
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Whether the request that begins to arrive has a body of many bytes.
    pub fn looks_long(&mut self) -> bool {
        while find(&self.buffered, b"\r\n\r\n").is_none() {
            if !self.fill() {
                return false;
            }
        }
        let head = String::from_utf8_lossy(&self.buffered).to_ascii_lowercase();
        let length = head.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
        length.is_some_and(|length| length.trim().len() > 4)
    }

    /// Sends; a client that has gone is no matter.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = match &mut self.tls {
            None => self.stream.write_all(bytes),
            Some(tls) => rustls::Stream::new(tls, &mut self.stream).write_all(bytes),
        };
    }

    /// Sends byte by byte with pauses, until the client goes.
    pub fn dribble(&mut self, bytes: &[u8], pause: Duration) {
        for byte in bytes {
            if self.stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(pause);
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// A certificate authority of the test's own.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    None,
    Expired,
    Future,
    OtherName,
    SelfSigned,
}

impl Authority {
    pub fn new() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// Writes the certificate to a file, for `set_ca_file`.
    pub fn write(&self, path: &str) {
        std::fs::write(path, &self.pem).unwrap();
    }

    /// A server for these names.
    pub fn server(&self, names: &[&str], flaw: Flaw) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = match flaw {
            Flaw::OtherName => vec!["elsewhere.test".into()],
            _ => names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let mut params = CertificateParams::new(names).unwrap();
        match flaw {
            Flaw::Expired => {
                params.not_before = rcgen::date_time_ymd(2020, 1, 1);
                params.not_after = rcgen::date_time_ymd(2021, 1, 1);
            }
            Flaw::Future => params.not_before = rcgen::date_time_ymd(2090, 1, 1),
            _ => {}
        }
        let certificate = match flaw {
            Flaw::SelfSigned => params.self_signed(&key),
            _ => params.signed_by(&key, &self.issuer),
        };
        let chain = vec![CertificateDer::from(certificate.unwrap().der().to_vec())];
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, PrivatePkcs8KeyDer::from(key.serialize_der()).into())
            .unwrap();
        Arc::new(config)
    }
}

/// A port on which connections are never accepted, nor refused.
pub struct BlackHole {
    _listener: rustix::fd::OwnedFd,
    _fillers: Vec<rustix::fd::OwnedFd>,
    pub port: u16,
}

impl BlackHole {
    pub fn new() -> BlackHole {
        BlackHole::on(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    pub fn on(address: SocketAddr) -> BlackHole {
        use rustix::net::{
            AddressFamily, SocketFlags, SocketType, bind, connect, getsockname, listen, socket_with,
        };
        let socket = || {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap()
        };
        let listener = socket();
        bind(&listener, &address).unwrap();
        listen(&listener, 0).unwrap();
        let address: SocketAddr = getsockname(&listener).unwrap().try_into().unwrap();
        // The queue of one is soon full.
        let fillers = (0..4)
            .map(|_| {
                let filler = socket();
                let _ = connect(&filler, &address);
                filler
            })
            .collect();
        thread::sleep(Duration::from_millis(20));
        BlackHole { _listener: listener, _fillers: fillers, port: address.port() }
    }
}

/// A port on which nobody listens.
pub fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Bytes that rustls would send, spoiled.
pub fn send_spoiled(peer: &mut Peer, bytes: &[u8]) -> io::Result<()> {
    let tls = peer.tls.as_mut().expect("a TLS server");
    tls.writer().write_all(bytes)?;
    let mut wire = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut wire)?;
    }
    if let Some(last) = wire.last_mut() {
        *last ^= 1;
    }
    peer.stream.write_all(&wire)
}
