//! A new TCP connection: every address gets its chance, and the call can be ended
//! at any moment.

#![forbid(unsafe_code)]

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::call::{Running, Stop};

/// After this long without an answer, the next address is tried beside the first.
const NEXT_ADDRESS: Duration = Duration::from_millis(200);
/// How long an interrupt can go unnoticed.
const LOOK_AROUND: Duration = Duration::from_millis(20);

/// Why no connection was made.
#[derive(Debug)]
pub(crate) enum NoConnection {
    /// No address answered; the last reason.
    Unreachable(String),
    /// The process has no descriptor left.
    Resource(io::Error),
    /// The call ended.
    Stopped(Stop),
}

/// Connects to the first address that answers, trying one after the other and
/// several at once.
pub(crate) fn connect(
    addresses: &[IpAddr],
    port: u16,
    within: Duration,
    running: &Running,
) -> Result<TcpStream, NoConnection> {
    #[cfg(feature = "fuzzing")]
    if let Some(stream) = crate::fuzzing::connection() {
        return Ok(stream);
    }
    let until = Instant::now() + within;
    let mut next = addresses.iter().copied();
    let mut pending: Vec<OwnedFd> = Vec::new();
    let mut reason = String::from("no address");
    let mut start_next = Instant::now();
    loop {
        let now = Instant::now();
        if now >= start_next || pending.is_empty() {
            match next.next() {
                Some(address) => {
                    start_next = now + NEXT_ADDRESS;
                    match begin(SocketAddr::new(address, port)) {
                        Ok(socket) => pending.push(socket),
                        Err(error) if out_of_descriptors(&error) => {
                            return Err(NoConnection::Resource(error));
                        }
                        Err(error) => {
                            reason = error.to_string();
                            continue;
                        }
                    }
                }
                None if pending.is_empty() => return Err(NoConnection::Unreachable(reason)),
                None => start_next = until,
            }
        }
        let left = running.remaining().map_err(NoConnection::Stopped)?;
        let Some(own) = until.checked_duration_since(now).filter(|own| !own.is_zero()) else {
            return Err(NoConnection::Unreachable(format!("no answer within {} ms", within.as_millis())));
        };
        let pause = left.min(own).min(start_next.saturating_duration_since(now)).min(LOOK_AROUND);
        for index in answered(&pending, pause).into_iter().rev() {
            let socket = pending.swap_remove(index);
            match sockopt::socket_error(&socket) {
                Ok(Ok(())) => {
                    return finish(socket).map_err(|error| NoConnection::Unreachable(error.to_string()));
                }
                Ok(Err(error)) | Err(error) => reason = io::Error::from(error).to_string(),
            }
        }
    }
}

fn begin(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket_with(
        family,
        SocketType::STREAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        None,
    )?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

fn finish(socket: OwnedFd) -> io::Result<TcpStream> {
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(false)?;
    // A request leaves in one write and waits for nothing.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Which sockets have an answer, good or bad, within `pause`.
fn answered(sockets: &[OwnedFd], pause: Duration) -> Vec<usize> {
    let mut polled: Vec<_> = sockets.iter().map(|socket| PollFd::new(socket, PollFlags::OUT)).collect();
    let pause = Timespec { tv_sec: pause.as_secs() as _, tv_nsec: pause.subsec_nanos() as _ };
    // A signal ends the pause early; the caller comes back.
    let _ = poll(&mut polled, Some(&pause));
    polled.iter().enumerate().filter(|(_, fd)| !fd.revents().is_empty()).map(|(index, _)| index).collect()
}

fn out_of_descriptors(error: &io::Error) -> bool {
    let errno = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].iter().any(|e| errno == Some(e.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn running() -> Running {
        Running {
            control: Default::default(),
            shutdown: Default::default(),
            deadline: Instant::now() + Duration::from_secs(10),
        }
    }

    #[test]
    fn the_first_address_that_answers_wins() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let within = Duration::from_secs(2);
        // Nobody listens on 127.0.0.2, which refuses at once.
        let stream =
            connect(&[address("127.0.0.2"), address("127.0.0.1")], port, within, &running()).unwrap();
        assert_eq!(stream.peer_addr().unwrap().ip(), address("127.0.0.1"));
        let refused = connect(&[address("127.0.0.2")], port, within, &running());
        assert!(
            matches!(&refused, Err(NoConnection::Unreachable(why)) if why.contains("refused")),
            "{refused:?}"
        );
    }
}
