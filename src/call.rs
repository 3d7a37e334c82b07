//! The control of one call: its deadline, and the ways to end it early.
//!
//! Every place where a call can wait (a name, a connection, bytes, the quota, its
//! turn, the pause before a retry) waits through this module, so that a cancel or
//! a shutdown frees it at once and no wait outlives the deadline.

#![forbid(unsafe_code)]

use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::codes;
use crate::sync::{AtomicBool, Condvar, Mutex, MutexGuard, Ordering};

/// What one call may ask for beyond its arguments.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    /// How long the call may take, all attempts and pauses included; `None`
    /// takes the client's.
    pub timeout: Option<Duration>,
    /// For deletes: a list that does not exist is no failure. The library reads
    /// the account's lists to be sure.
    pub ignore_missing: bool,
    /// By which another thread can cancel the call.
    pub control: Option<Arc<Control>>,
}

/// Cancels calls from another thread. Sticky: a cancelled control ends every
/// call that uses it, until [`Control::reset`].
#[derive(Debug, Default)]
pub struct Control {
    cancelled: AtomicBool,
    /// The connection the call is using right now.
    connection: Mutex<Option<Arc<TcpStream>>>,
    wake: Condvar,
}

impl Control {
    /// Ends the call that uses this control, wherever it waits, and every later one.
    pub fn cancel(&self) {
        self.interrupt(|| self.cancelled.store(true, Ordering::SeqCst));
    }

    /// Allows calls again.
    pub fn reset(&self) {
        self.cancelled.store(false, Ordering::SeqCst);
    }

    /// Whether it was cancelled and not reset since.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// Sets a reason under the lock, then frees whoever waits.
    pub(crate) fn interrupt(&self, set_reason: impl FnOnce()) {
        let connection = self.lock();
        set_reason();
        if let Some(stream) = connection.as_ref() {
            // An error means that the peer was faster.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.wake.notify_all();
    }

    /// Lets the waiter look at its condition again.
    pub(crate) fn notify(&self) {
        let _connection = self.lock();
        self.wake.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<TcpStream>>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a call ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Cancelled,
    Shutdown,
    Deadline,
}

impl Stop {
    pub fn code(self) -> i32 {
        match self {
            Stop::Cancelled => codes::CANCELLED,
            Stop::Shutdown => codes::SHUTDOWN,
            Stop::Deadline => codes::DEADLINE,
        }
    }
}

/// A call under way.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub control: Arc<Control>,
    pub shutdown: Arc<AtomicBool>,
    pub deadline: Instant,
}

impl Running {
    /// The same call with an earlier end, for one attempt or one phase.
    pub fn until(&self, deadline: Instant) -> Running {
        Running { deadline: deadline.min(self.deadline), ..self.clone() }
    }

    /// Whether somebody ended the call. Says nothing of the deadline.
    pub fn interrupted(&self) -> Option<Stop> {
        if self.shutdown.load(Ordering::SeqCst) {
            Some(Stop::Shutdown)
        } else if self.control.is_cancelled() {
            Some(Stop::Cancelled)
        } else {
            None
        }
    }

    /// The time left, or why there is none.
    pub fn remaining(&self) -> Result<Duration, Stop> {
        if let Some(stop) = self.interrupted() {
            return Err(stop);
        }
        match self.deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(Stop::Deadline),
            left => Ok(left),
        }
    }

    /// Waits until `ready`, `wake_at`, the deadline or an interrupt. Whoever
    /// makes `ready` true calls [`Control::notify`] afterwards.
    pub fn wait(&self, wake_at: Instant, ready: impl Fn() -> bool) -> Result<(), Stop> {
        let mut guard = self.control.lock();
        loop {
            if ready() {
                return Ok(());
            }
            let left = self.remaining()?;
            let now = Instant::now();
            if now >= wake_at {
                return Ok(());
            }
            guard = self
                .control
                .wake
                .wait_timeout(guard, left.min(wake_at - now))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits until `wake_at`.
    pub fn sleep_until(&self, wake_at: Instant) -> Result<(), Stop> {
        self.wait(wake_at, || false)
    }

    /// From now on an interrupt shuts this connection. Fails if one has come already.
    pub fn attach(&self, stream: &Arc<TcpStream>) -> Result<(), Stop> {
        let mut connection = self.control.lock();
        if let Some(stop) = self.interrupted() {
            return Err(stop);
        }
        *connection = Some(Arc::clone(stream));
        Ok(())
    }

    /// No interrupt that comes later touches the connection.
    pub fn detach(&self) {
        *self.control.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn running(timeout_ms: u64) -> Running {
        Running {
            control: Arc::default(),
            shutdown: Arc::default(),
            deadline: Instant::now() + Duration::from_millis(timeout_ms),
        }
    }

    #[test]
    fn a_wait_ends_by_whatever_comes_first() {
        let far = Duration::from_secs(60);
        type Trigger = fn(&Running);
        #[rustfmt::skip]
        let rows: &[(&str, Trigger, Result<(), Stop>)] = &[
            ("cancel", |r| r.control.cancel(), Err(Stop::Cancelled)),
            ("shutdown", |r| r.control.interrupt(|| r.shutdown.store(true, Ordering::SeqCst)), Err(Stop::Shutdown)),
        ];
        for (situation, trigger, expected) in rows {
            let call = running(60_000);
            let other = call.clone();
            let waiter = thread::spawn(move || other.sleep_until(Instant::now() + far));
            thread::sleep(Duration::from_millis(20));
            trigger(&call);
            assert_eq!(waiter.join().unwrap(), *expected, "{situation}");
        }
        assert_eq!(running(10).sleep_until(Instant::now() + far), Err(Stop::Deadline));
        assert_eq!(running(60_000).sleep_until(Instant::now() + Duration::from_millis(5)), Ok(()));
        assert_eq!(running(60_000).wait(Instant::now() + far, || true), Ok(()));
    }

    #[test]
    fn a_cancel_is_sticky_until_reset() {
        let call = running(60_000);
        call.control.cancel();
        assert_eq!(call.remaining(), Err(Stop::Cancelled));
        assert_eq!(call.sleep_until(Instant::now()), Err(Stop::Cancelled));
        call.control.reset();
        assert!(call.remaining().is_ok());
    }
}
