//! The connection as hyper sees it, with a hand in between.
//!
//! For faults below HTTP the handler leaves a [`Plan`] before it answers. The
//! wrapper then gathers the answer that hyper writes, up to its flush, and sends
//! what the plan says instead: a part of it, other bytes, byte by byte, and then
//! perhaps an end with FIN, RST or silence.

#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// What is done to one answer.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Bytes to send in its place.
    pub replace: Option<Bytes>,
    /// How many bytes are sent at most.
    pub limit: Option<usize>,
    /// How many at a time, and the pause after each.
    pub step: Option<(usize, Duration)>,
    pub end: End,
}

/// What becomes of the connection after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Keep,
    /// FIN; over TLS with or without the close_notify that tells an end from a cut.
    Close {
        notify: bool,
    },
    /// RST.
    Reset,
    /// Nothing more ever comes.
    Stall,
}

/// Where the handler leaves its plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slot(Arc<Mutex<Option<Plan>>>);

impl Slot {
    pub fn put(&self, plan: Plan) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(plan);
    }

    fn take(&self) -> Option<Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A stream with a TCP socket at its bottom.
pub(crate) trait Raw: AsyncRead + AsyncWrite + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Raw for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Raw for tokio_rustls::server::TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

enum State {
    Plain,
    Gathering(Plan, Vec<u8>),
    Sending(Sending),
}

struct Sending {
    bytes: Bytes,
    sent: usize,
    step: Option<(usize, Duration)>,
    end: End,
    unflushed: bool,
    pause: Option<Pin<Box<Sleep>>>,
}

pub(crate) struct Wire<S> {
    stream: S,
    slot: Slot,
    state: State,
}

impl<S: Raw> Wire<S> {
    pub fn new(stream: S, slot: Slot) -> Wire<S> {
        Wire { stream, slot, state: State::Plain }
    }

    /// Sends what is planned, to its end.
    fn poll_sending(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let State::Sending(sending) = &mut self.state else { return Poll::Ready(Ok(())) };
        loop {
            if let Some(pause) = &mut sending.pause {
                ready!(pause.as_mut().poll(context));
                sending.pause = None;
            }
            if sending.unflushed {
                ready!(Pin::new(&mut self.stream).poll_flush(context))?;
                sending.unflushed = false;
                if let Some((_, pause)) = sending.step {
                    sending.pause = Some(Box::pin(tokio::time::sleep(pause)));
                    continue;
                }
            }
            let left = &sending.bytes[sending.sent..];
            if left.is_empty() {
                break;
            }
            let most = sending.step.map_or(left.len(), |(step, _)| step.min(left.len()));
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &left[..most]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            sending.sent += written;
            sending.unflushed = true;
        }
        match sending.end {
            End::Keep => {
                self.state = State::Plain;
                return Poll::Ready(Ok(()));
            }
            // Woken no more by writing; reading still notices when the peer leaves.
            End::Stall => return Poll::Pending,
            End::Reset => self.stream.tcp().set_zero_linger()?,
            End::Close { notify: true } => ready!(Pin::new(&mut self.stream).poll_shutdown(context))?,
            End::Close { notify: false } => {}
        }
        // hyper drops the connection on an error, which closes the socket.
        Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "a fault ended the connection")))
    }
}

impl<S: Raw> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

// Vectored writes are not announced, so hyper joins head and body, and each
// answer leaves in one write.
impl<S: Raw> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        ready!(wire.poll_sending(context))?;
        if let State::Gathering(_, gathered) = &mut wire.state {
            gathered.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        match wire.slot.take() {
            Some(plan) => {
                wire.state = State::Gathering(plan, bytes.to_vec());
                Poll::Ready(Ok(bytes.len()))
            }
            None => Pin::new(&mut wire.stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        if let State::Gathering(..) = wire.state {
            let State::Gathering(plan, gathered) = std::mem::replace(&mut wire.state, State::Plain) else {
                unreachable!("it was just looked at")
            };
            let mut bytes = plan.replace.unwrap_or_else(|| Bytes::from(gathered));
            bytes.truncate(plan.limit.unwrap_or(bytes.len()));
            wire.state = State::Sending(Sending {
                bytes,
                sent: 0,
                step: plan.step,
                end: plan.end,
                unflushed: false,
                pause: None,
            });
        }
        ready!(wire.poll_sending(context))?;
        Pin::new(&mut wire.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        ready!(Pin::new(&mut *wire).poll_flush(context))?;
        Pin::new(&mut wire.stream).poll_shutdown(context)
    }
}
