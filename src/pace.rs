//! The pace: requests leave in evenly spaced slots, so that no second holds more
//! than the service allows.
//!
//! The service counts arrivals per command and app, over all processes. So all
//! processes of a user on this machine draw their slots (`slots.rs`) from words in
//! a shared file.
//!
//! Evenly spaced requests at exactly the limit arrive as a few more than the limit
//! in some second, hence nine tenths of it.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use sha2::{Digest as _, Sha256};

use crate::call::{Running, Stop};
use crate::config::Endpoint;
use crate::per_process::PerProcess;
use crate::slots::{FULL, MILLISECOND, SECOND, Slot, allowed, lower, take_slot};
use crate::sys::shared_words::{SharedWords, WORDS};

/// A slot that was missed by more is left unused, and another one taken.
pub(crate) const TOLERANCE: Duration = Duration::from_millis(20);
/// How often that happens to one request at most.
pub(crate) const MISSES: u32 = 3;
/// The part of the limit that is used.
const USED_SHARE: f64 = 0.9;

/// Nanoseconds of the monotonic clock, which all processes of a machine share.
fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * SECOND + now.tv_nsec as u64
}

/// The slots of one command of one app.
#[derive(Debug)]
pub(crate) struct Pacer {
    words: Words,
}

#[derive(Debug)]
enum Words {
    Shared(SharedWords),
    Private([AtomicU64; WORDS]),
}

impl Pacer {
    fn words(&self) -> &[AtomicU64; WORDS] {
        match &self.words {
            Words::Shared(words) => words.words(),
            Words::Private(words) => words,
        }
    }

    /// Waits for a slot. `Ok(None)` if none comes before the deadline; else how
    /// long it had to wait.
    pub fn acquire(&self, running: &Running, per_second: f64) -> Result<Option<Duration>, Stop> {
        let [next, ..] = self.words();
        let begin = now_ns();
        let mut now = begin;
        let mut missed = 0;
        loop {
            let interval = self.interval_ns(per_second, now);
            let deadline = now.saturating_add(running.remaining()?.as_nanos() as u64);
            match take_slot(next, now, interval, deadline) {
                Slot::At(at) if at <= now => return Ok(Some(Duration::from_nanos(now - begin))),
                Slot::At(at) => {
                    running.sleep_until(Instant::now() + Duration::from_nanos(at - now))?;
                    // On a busy machine the thread may wake up long after its slot.
                    // Sent then, the request would crowd a later second.
                    let woken = now_ns();
                    if woken <= at + TOLERANCE.as_nanos() as u64 || missed == MISSES {
                        return Ok(Some(Duration::from_nanos(at - begin)));
                    }
                    missed += 1;
                }
                Slot::Later(wait) => {
                    running.sleep_until(Instant::now() + Duration::from_nanos(wait.max(MILLISECOND)))?;
                }
                Slot::None => return Ok(None),
            }
            now = now_ns();
        }
    }

    /// How far apart the slots lie now, in nanoseconds.
    fn interval_ns(&self, per_second: f64, now: u64) -> u64 {
        let [_, level, ..] = self.words();
        let full = SECOND as f64 / (per_second * USED_SHARE);
        (full * FULL as f64 / allowed(level.load(Ordering::Relaxed), now) as f64) as u64
    }

    /// How far apart the slots lie now, for whoever gives them out elsewhere.
    #[cfg(feature = "redis")]
    pub fn interval(&self, per_second: f64) -> Duration {
        Duration::from_nanos(self.interval_ns(per_second, now_ns()))
    }

    /// The service complained.
    pub fn lower(&self) {
        let [next, level, ..] = self.words();
        lower(next, level, now_ns());
    }
}

/// The pacers this process has opened, so that clients of one app share them even
/// where no file is to be had.
static PACERS: PerProcess<Mutex<BTreeMap<String, Arc<Pacer>>>> = PerProcess::new();

/// The pacer of (endpoint, app, command), and why it is not shared if it is not.
pub(crate) fn pacer(
    directory: &Path,
    endpoint: &Endpoint,
    sdkappid: u32,
    command: &str,
) -> (Arc<Pacer>, Option<std::io::Error>) {
    // The monotonic clock starts anew with each boot, so the name does too.
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let key = format!("{}\n{sdkappid}\n{command}\n{}", endpoint.origin(), boot.trim_end());
    let digest = Sha256::digest(key.as_bytes());
    let name = u128::from_be_bytes(*digest.first_chunk().expect("SHA-256 gives 32 bytes"));
    let path = directory.join(format!("imgroup-{name:032x}-{}", rustix::process::geteuid().as_raw()));

    let mut pacers = PACERS.get(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let id = path.to_string_lossy().into_owned();
    if let Some(pacer) = pacers.get(&id) {
        return (Arc::clone(pacer), None);
    }
    let (words, problem) = match SharedWords::open(&path) {
        Ok(words) => (Words::Shared(words), None),
        Err(error) => (Words::Private(Default::default()), Some(error)),
    };
    let pacer = Arc::new(Pacer { words });
    pacers.insert(id, Arc::clone(&pacer));
    (pacer, problem)
}

/// The documented limit of a command, in requests a second.
pub(crate) fn documented_limit(command: &str) -> u32 {
    match command {
        "account_check" | "account_delete" | "multiaccount_import" => 100,
        _ => 200,
    }
}
