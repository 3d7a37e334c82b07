//! The ticket a client signs its requests with: made once, kept, renewed early.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::stats::{Count, Stats};
use crate::usersig::{Claims, Signer, now_s};

/// How long a fatal answer is repeated locally.
const FATAL_FOR: Duration = Duration::from_secs(60);

pub(crate) struct Credentials {
    sdkappid: u32,
    identifier: String,
    signer: Signer,
    ttl_s: u32,
    ticket: Mutex<Option<Arc<Ticket>>>,
    renewing: AtomicBool,
    fatal: Mutex<Option<(Instant, Error)>>,
    /// So that the common case takes no lock.
    is_fatal: AtomicBool,
    stats: Arc<Stats>,
}

/// A UserSig and how long to use it. No `Debug`: it is a secret.
pub(crate) struct Ticket {
    /// The query of every request, up to `random`.
    pub query: String,
    renew_at: Instant,
}

impl Credentials {
    pub fn new(config: &Config, stats: Arc<Stats>) -> Result<Credentials> {
        Ok(Credentials {
            sdkappid: config.sdkappid,
            identifier: config.identifier.clone(),
            signer: Signer::new(&config.secret_key)?,
            ttl_s: config.usersig_ttl_s,
            ticket: Mutex::default(),
            renewing: AtomicBool::new(false),
            fatal: Mutex::default(),
            is_fatal: AtomicBool::new(false),
            stats,
        })
    }

    /// The ticket to use now. When its time to be renewed has come, one thread
    /// makes the next one and the others go on with this one.
    pub fn ticket(&self) -> Arc<Ticket> {
        let mut kept = lock(&self.ticket);
        let Some(ticket) = kept.as_ref() else {
            // Under the lock: everybody needs the first one.
            let ticket = self.sign(0);
            *kept = Some(Arc::clone(&ticket));
            return ticket;
        };
        let ticket = Arc::clone(ticket);
        drop(kept);
        if Instant::now() < ticket.renew_at || self.renewing.swap(true, Ordering::Acquire) {
            return ticket;
        }
        let current = lock(&self.ticket).clone().unwrap_or(ticket);
        // Another thread may have renewed it between the two looks.
        let fresh = if Instant::now() < current.renew_at { current } else { self.sign(0) };
        *lock(&self.ticket) = Some(Arc::clone(&fresh));
        self.renewing.store(false, Ordering::Release);
        fresh
    }

    /// After the service refused a ticket as expired: makes a new one, unless
    /// another thread has done so already. `clock_error_s` is how far the
    /// service's clock is ahead of ours, if its reply told.
    pub fn replace(&self, refused: &Arc<Ticket>, clock_error_s: i64) {
        let mut kept = lock(&self.ticket);
        if kept.as_ref().is_some_and(|current| Arc::ptr_eq(current, refused)) {
            *kept = Some(self.sign(clock_error_s));
        }
    }

    fn sign(&self, clock_error_s: i64) -> Arc<Ticket> {
        self.stats.add(Count::Signatures);
        let usersig = self.signer.sign(&Claims {
            sdkappid: self.sdkappid,
            identifier: &self.identifier,
            issued_at: now_s() + clock_error_s,
            ttl_s: self.ttl_s,
            userbuf: None,
        });
        let identifier = percent_encode(&self.identifier);
        Arc::new(Ticket {
            query: format!("sdkappid={}&identifier={identifier}&usersig={usersig}&random=", self.sdkappid),
            renew_at: Instant::now() + Duration::from_secs(u64::from(self.ttl_s)) * 4 / 5,
        })
    }

    /// The fatal answer of the last minute, if there was one.
    pub fn fatal(&self) -> Option<Error> {
        if !self.is_fatal.load(Ordering::Relaxed) {
            return None;
        }
        let mut fatal = lock(&self.fatal);
        match fatal.as_ref() {
            Some((at, error)) if at.elapsed() < FATAL_FOR => Some(error.clone()),
            _ => {
                *fatal = None;
                self.is_fatal.store(false, Ordering::Relaxed);
                None
            }
        }
    }

    /// The service will give every request of these credentials this answer.
    pub fn set_fatal(&self, error: &Error) {
        *lock(&self.fatal) = Some((Instant::now(), error.clone()));
        self.is_fatal.store(true, Ordering::Relaxed);
    }
}

fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(ttl_s: u32) -> Credentials {
        let mut config = Config::new(1400000000, "ad min", "key").unwrap();
        config.usersig_ttl_s = ttl_s;
        Credentials::new(&config, Arc::default()).unwrap()
    }

    #[test]
    fn a_ticket_is_kept_and_replaced_once() {
        let credentials = credentials(60);
        let first = credentials.ticket();
        assert!(Arc::ptr_eq(&first, &credentials.ticket()));
        assert!(first.query.starts_with("sdkappid=1400000000&identifier=ad%20min&usersig="));
        credentials.replace(&first, 0);
        let second = credentials.ticket();
        assert!(!Arc::ptr_eq(&first, &second));
        // A thread that comes late with the same refusal changes nothing.
        credentials.replace(&first, 0);
        assert!(Arc::ptr_eq(&second, &credentials.ticket()));
    }

    #[test]
    fn one_of_many_threads_renews() {
        let credentials = Arc::new(credentials(0));
        let first = credentials.ticket();
        // With a life of 0 every look would renew; with the flag taken, none does.
        credentials.renewing.store(true, Ordering::SeqCst);
        assert!(Arc::ptr_eq(&first, &credentials.ticket()));
        credentials.renewing.store(false, Ordering::SeqCst);
        assert!(!Arc::ptr_eq(&first, &credentials.ticket()));
    }

    #[test]
    fn a_ticket_is_renewed_at_four_fifths_of_its_life_by_one_thread() {
        let credentials = credentials(1);
        let begin = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    while begin.elapsed() < Duration::from_millis(1_200) {
                        credentials.ticket();
                        std::thread::sleep(Duration::from_micros(200));
                    }
                });
            }
        });
        let stats: serde_json::Value = serde_json::from_str(&credentials.stats.to_json()).unwrap();
        assert_eq!(stats["usersig_signatures"], 2, "one at the start, one after 0.8 s");
    }

    #[test]
    fn a_fatal_answer_is_good_for_a_minute() {
        let credentials = credentials(60);
        assert!(credentials.fatal().is_none());
        credentials.set_fatal(&Error::new(70009, "no"));
        assert_eq!(credentials.fatal().map(|error| error.code()), Some(70009));
        let past = Instant::now().checked_sub(FATAL_FOR).expect("the machine runs for a minute");
        lock(&credentials.fatal).as_mut().expect("set above").0 = past;
        assert!(credentials.fatal().is_none());
    }
}
