//! One connection: a socket, TLS on it if need be, and waits that end with the
//! call.
//!
//! The socket's own timeouts are set once. They bound a single wait; every loop
//! looks at the deadline and at interrupts after each. So a warm call pays no
//! system call for its deadline, and signals cannot stretch it.

#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{RecvFlags, recv};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};

use crate::call::{Running, Stop};
use crate::tls;

/// The longest single wait for the socket.
const WAIT: Duration = Duration::from_millis(200);
/// A TLS record and its header.
const RECORD: usize = 16 * 1024 + 512;

/// Why bytes could not be moved.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The call ended.
    Stopped(Stop),
    /// The peer closed or reset, or the network failed.
    Lost(String),
    /// TLS failed: a text, and whether trying again may help.
    Tls(String, bool),
}

impl Broken {
    fn lost(error: &io::Error) -> Broken {
        Broken::Lost(error.to_string())
    }
}

pub(crate) struct Connection {
    stream: Arc<TcpStream>,
    tls: Option<Box<Tls>>,
    wait: Duration,
}

struct Tls {
    session: ClientConnection,
    /// Bytes of the wire, kept so that records need no allocation, and apart from
    /// each other so that none has to be cleared.
    incoming: Box<[u8]>,
    outgoing: Vec<u8>,
}

impl Connection {
    pub fn new(stream: TcpStream) -> io::Result<Connection> {
        let mut connection = Connection { stream: Arc::new(stream), tls: None, wait: Duration::ZERO };
        connection.set_wait(WAIT)?;
        Ok(connection)
    }

    pub fn stream(&self) -> &Arc<TcpStream> {
        &self.stream
    }

    /// Whether the TLS session was resumed from an earlier one.
    pub fn resumed(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.session.handshake_kind() == Some(HandshakeKind::Resumed))
    }

    /// The TLS handshake.
    pub fn secure(&mut self, config: Arc<ClientConfig>, host: &str, running: &Running) -> Result<(), Broken> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Broken::Tls("the host is no valid name for a certificate".into(), false))?;
        let session =
            ClientConnection::new(config, name).map_err(|error| Broken::Tls(error.to_string(), false))?;
        let mut tls = Box::new(Tls { session, incoming: vec![0; RECORD].into(), outgoing: Vec::new() });
        let mut heard = false;
        while tls.session.is_handshaking() {
            if tls.session.wants_write() {
                let mut out = Vec::with_capacity(1024);
                tls.session.write_tls(&mut out).map_err(|error| Broken::lost(&error))?;
                self.send(&out, running)?;
                continue;
            }
            match self.receive(&mut tls.incoming, running) {
                Ok(0) | Err(Broken::Lost(_)) if !heard => {
                    return Err(Broken::Lost("closed before the TLS handshake began".into()));
                }
                Ok(0) => return Err(Broken::Tls("closed during the handshake".into(), true)),
                Err(Broken::Lost(reason)) => {
                    return Err(Broken::Tls(format!("broken during the handshake: {reason}"), true));
                }
                Err(other) => return Err(other),
                Ok(amount) => {
                    heard = true;
                    if let Err(error) = feed(&mut tls, amount) {
                        // The alert tells the server why; whether it arrives does not matter.
                        let mut out = Vec::new();
                        if tls.session.write_tls(&mut out).is_ok() {
                            let _ = self.send(&out, running);
                        }
                        let (text, passing) = tls::explain(&error);
                        return Err(Broken::Tls(text, passing));
                    }
                }
            }
        }
        self.tls = Some(tls);
        Ok(())
    }

    /// Writes all of `bytes`.
    pub fn write(&mut self, bytes: &[u8], running: &Running) -> Result<(), Broken> {
        let Some(mut tls) = self.tls.take() else { return self.send(bytes, running) };
        let sent = (|| {
            let mut rest = bytes;
            while !rest.is_empty() || tls.session.wants_write() {
                let taken = tls.session.writer().write(rest).map_err(|error| Broken::lost(&error))?;
                rest = &rest[taken..];
                tls.outgoing.clear();
                while tls.session.wants_write() {
                    tls.session.write_tls(&mut tls.outgoing).map_err(|error| Broken::lost(&error))?;
                }
                self.send(&tls.outgoing, running)?;
            }
            Ok(())
        })();
        self.tls = Some(tls);
        sent
    }

    /// Reads what is there, waiting for the first byte. 0 is the end; with TLS,
    /// only an end that the peer has signed.
    pub fn read(&mut self, into: &mut [u8], running: &Running) -> Result<usize, Broken> {
        let Some(mut tls) = self.tls.take() else { return self.receive(into, running) };
        let read = loop {
            match tls.session.reader().read(into) {
                Ok(amount) => break Ok(amount),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => break Err(Broken::lost(&error)),
            }
            match self.receive(&mut tls.incoming, running) {
                Ok(0) => break Err(Broken::Lost("closed without a TLS close_notify".into())),
                Ok(amount) => {
                    if let Err(error) = feed(&mut tls, amount) {
                        break Err(Broken::Lost(format!("TLS: {error}")));
                    }
                }
                Err(broken) => break Err(broken),
            }
        };
        self.tls = Some(tls);
        read
    }

    /// Whether the peer has neither closed nor sent anything unasked. One system
    /// call, which does not wait.
    pub fn is_quiet(&mut self) -> bool {
        // What came behind a reply may have been decrypted with it.
        if self.tls.as_mut().is_some_and(|tls| !is_silent(tls)) {
            return false;
        }
        let mut byte = [0];
        match recv(&self.stream, &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Err(rustix::io::Errno::AGAIN) => true,
            Ok((_, 1)) => self.drain_tickets(),
            _ => false,
        }
    }

    /// A TLS server may send session tickets at any time; they are no reply.
    fn drain_tickets(&mut self) -> bool {
        let Some(tls) = &mut self.tls else { return false };
        let Ok((_, amount)) = recv(&self.stream, &mut tls.incoming[..], RecvFlags::DONTWAIT) else {
            return false;
        };
        amount > 0 && feed(tls, amount).is_ok() && is_silent(tls)
    }

    fn send(&mut self, mut bytes: &[u8], running: &Running) -> Result<(), Broken> {
        while !bytes.is_empty() {
            self.prepare(running)?;
            // std sends with MSG_NOSIGNAL: no SIGPIPE.
            match (&*self.stream).write(bytes) {
                Ok(amount) => bytes = &bytes[amount..],
                Err(error) => self.look(&error, running)?,
            }
        }
        Ok(())
    }

    fn receive(&mut self, into: &mut [u8], running: &Running) -> Result<usize, Broken> {
        loop {
            self.prepare(running)?;
            match (&*self.stream).read(into) {
                // An interrupt shuts the socket, which looks like the end.
                Ok(0) => {
                    return match running.interrupted() {
                        Some(stop) => Err(Broken::Stopped(stop)),
                        None => Ok(0),
                    };
                }
                Ok(amount) => return Ok(amount),
                Err(error) => self.look(&error, running)?,
            }
        }
    }

    /// Before each wait: is there time left, and is the socket's own timeout short
    /// enough for it?
    fn prepare(&mut self, running: &Running) -> Result<(), Broken> {
        let left = running.remaining().map_err(Broken::Stopped)?;
        let wanted = if left >= WAIT { WAIT } else { left.max(Duration::from_millis(1)) };
        if wanted != self.wait {
            self.set_wait(wanted).map_err(|error| Broken::lost(&error))?;
        }
        Ok(())
    }

    fn set_wait(&mut self, wait: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(wait))?;
        self.stream.set_write_timeout(Some(wait))?;
        self.wait = wait;
        Ok(())
    }

    /// After a failed system call: go on, or why not.
    fn look(&self, error: &io::Error, running: &Running) -> Result<(), Broken> {
        if let Some(stop) = running.interrupted() {
            return Err(Broken::Stopped(stop));
        }
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => Ok(()),
            _ => Err(Broken::lost(error)),
        }
    }
}

/// Whether the peer has said nothing and means to go on.
fn is_silent(tls: &mut Tls) -> bool {
    tls.session.reader().fill_buf().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

fn feed(tls: &mut Tls, amount: usize) -> Result<(), rustls::Error> {
    let mut bytes = &tls.incoming[..amount];
    loop {
        let taken =
            tls.session.read_tls(&mut bytes).map_err(|error| rustls::Error::General(error.to_string()))?;
        tls.session.process_new_packets()?;
        if bytes.is_empty() || taken == 0 {
            return Ok(());
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection {{ tls: {} }}", self.tls.is_some())
    }
}
