//! The pace: requests leave in evenly spaced slots, so that no second holds more
//! than the service allows.
//!
//! The service counts arrivals per command and app, over all processes. So all
//! processes of a user on this machine draw their slots from one word in a shared
//! file: the time of the next free slot. Taking one is a compare-and-swap. There
//! is no lock, so a process that is killed leaves at most the slots it had taken
//! unused. A second word holds how far the pace was lowered after the service
//! complained; it rises again by itself.
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
use crate::sys::shared_words::{SharedWords, WORDS};

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;
/// How far ahead slots are given out. Whoever would wait longer asks again later.
const BACKLOG: u64 = SECOND;
/// A next slot further away than this was not written by this library.
const ABSURD: u64 = 600 * SECOND;
/// A slot that was missed by more is left unused, and another one taken.
const TOLERANCE: u64 = 20 * MILLISECOND;
/// How often that happens to one request at most.
const MISSES: u32 = 3;
/// The part of the limit that is used.
const USED_SHARE: f64 = 0.9;
/// After a complaint: the pace is multiplied by this, but stays above the floor.
const LOWERED_TO: u64 = 700;
const LOWEST: u64 = 50;
const FULL: u64 = 1000;
/// How fast it recovers, in thousandths of the full pace a second.
const RECOVERY: u64 = 25;

/// An atomic word; a trait so that the algorithm can be checked by a model.
pub trait Word {
    /// Reads it.
    fn load(&self) -> u64;
    /// Replaces it if it still holds `current`.
    fn replace(&self, current: u64, new: u64) -> bool;
}

impl Word for AtomicU64 {
    fn load(&self) -> u64 {
        AtomicU64::load(self, Ordering::Relaxed)
    }

    // Relaxed is enough: the word guards no other memory.
    fn replace(&self, current: u64, new: u64) -> bool {
        self.compare_exchange(current, new, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// What asking for a slot gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Slot {
    /// Granted: send at this time, in nanoseconds.
    At(u64),
    /// Too many wait already: ask again in so many nanoseconds.
    Later(u64),
    /// No slot comes before the deadline.
    None,
}

/// Takes the next slot, unless it lies beyond the deadline.
pub fn take_slot(next: &impl Word, now: u64, interval: u64, deadline: u64) -> Slot {
    loop {
        let stored = next.load();
        let free = if stored > now.saturating_add(ABSURD) { now } else { stored.max(now) };
        if free > deadline {
            return Slot::None;
        }
        if free - now > BACKLOG {
            return Slot::Later(free - now - BACKLOG);
        }
        if next.replace(stored, free + interval) {
            return Slot::At(free);
        }
    }
}

/// How much of the full pace is allowed now, in thousandths.
fn allowed(level: u64, now: u64) -> u64 {
    let (stored, since_ms) = (level >> 48, level & 0xffff_ffff_ffff);
    if stored == 0 {
        return FULL;
    }
    let elapsed_ms = (now / MILLISECOND).saturating_sub(since_ms);
    (stored + elapsed_ms * RECOVERY / 1000).min(FULL)
}

/// After a complaint of the service: nobody sends for a second, and the pace is
/// lowered, once a second at most, since a whole volley may be refused at once.
fn lower(next: &impl Word, level: &impl Word, now: u64) {
    let stored = level.load();
    let now_ms = now / MILLISECOND;
    if stored == 0 || now_ms.saturating_sub(stored & 0xffff_ffff_ffff) >= 1000 {
        let lowered = (allowed(stored, now) * LOWERED_TO / FULL).max(LOWEST);
        // Whoever is faster has lowered it.
        level.replace(stored, (lowered << 48) | (now_ms & 0xffff_ffff_ffff));
    }
    loop {
        let stored = next.load();
        if stored >= now + SECOND && stored <= now + ABSURD || next.replace(stored, now + SECOND) {
            return;
        }
    }
}

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
        let [next, level, ..] = self.words();
        let full_interval = SECOND as f64 / (per_second * USED_SHARE);
        let begin = now_ns();
        let mut now = begin;
        let mut missed = 0;
        loop {
            let interval =
                (full_interval * FULL as f64 / allowed(level.load(Ordering::Relaxed), now) as f64) as u64;
            let deadline = now.saturating_add(running.remaining()?.as_nanos() as u64);
            match take_slot(next, now, interval, deadline) {
                Slot::At(at) if at <= now => return Ok(Some(Duration::from_nanos(now - begin))),
                Slot::At(at) => {
                    running.sleep_until(Instant::now() + Duration::from_nanos(at - now))?;
                    // On a busy machine the thread may wake up long after its slot.
                    // Sent then, the request would crowd a later second.
                    let woken = now_ns();
                    if woken <= at + TOLERANCE || missed == MISSES {
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
    let name = digest[..16].iter().fold(String::from("imgroup-"), |name, byte| format!("{name}{byte:02x}"));
    let path = directory.join(format!("{name}-{}", rustix::process::geteuid().as_raw()));

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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000 * SECOND;

    #[test]
    fn slots_are_evenly_spaced_and_bounded() {
        let far = NOW + 3600 * SECOND;
        #[rustfmt::skip]
        let rows: &[(&str, u64, u64, Slot, u64)] = &[
            // situation, stored, deadline, expected, stored afterwards
            ("a new word", 0, far, Slot::At(NOW), NOW + 5),
            ("an idle pacer gives no burst", NOW - SECOND, far, Slot::At(NOW), NOW + 5),
            ("the next slot is ahead", NOW + 7, far, Slot::At(NOW + 7), NOW + 12),
            ("a full backlog", NOW + BACKLOG + 9, far, Slot::Later(9), NOW + BACKLOG + 9),
            ("beyond the deadline", NOW + 7, NOW + 6, Slot::None, NOW + 7),
            ("nonsense in the word", u64::MAX, far, Slot::At(NOW), NOW + 5),
        ];
        for (situation, stored, deadline, expected, afterwards) in rows {
            let word = AtomicU64::new(*stored);
            assert_eq!(take_slot(&word, NOW, 5, *deadline), *expected, "{situation}");
            assert_eq!(word.load(Ordering::Relaxed), *afterwards, "{situation}");
        }
    }

    #[test]
    fn complaints_lower_the_pace_once_a_second_and_it_recovers() {
        let (next, level) = (AtomicU64::new(0), AtomicU64::new(0));
        lower(&next, &level, NOW);
        lower(&next, &level, NOW + 10 * MILLISECOND);
        assert_eq!(allowed(level.load(Ordering::Relaxed), NOW), 700);
        assert_eq!(next.load(Ordering::Relaxed), NOW + SECOND + 10 * MILLISECOND);
        assert_eq!(allowed(level.load(Ordering::Relaxed), NOW + 4 * SECOND), 800);
        assert_eq!(allowed(level.load(Ordering::Relaxed), NOW + 60 * SECOND), FULL);
        for step in 1..100 {
            lower(&next, &level, NOW + step * SECOND);
        }
        assert!(allowed(level.load(Ordering::Relaxed), NOW + 99 * SECOND) >= LOWEST);
    }
}
