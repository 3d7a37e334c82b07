//! What all connections share. Each part has a lock of its own, held for a few
//! instructions and never across a wait.

#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::clock::Clock;
use super::faults::Faults;
use super::journal::Journal;
use super::options::Options;
use super::quota::Quota;
use super::state::Store;

#[derive(Debug)]
pub(crate) struct Shared {
    pub options: Options,
    pub clock: Clock,
    seed: Store,
    store: Mutex<Store>,
    /// Accounts with a write in progress.
    writing: Mutex<HashSet<String>>,
    quota: Mutex<Quota>,
    journal: Mutex<Journal>,
    faults: Mutex<Faults>,
    started: Instant,
    connections: AtomicU64,
}

// A panic in one request must not take the others along.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub fn new(options: Options, seed: Store) -> Shared {
        Shared {
            clock: Clock::default(),
            store: Mutex::new(seed.clone()),
            seed,
            writing: Mutex::default(),
            quota: Mutex::new(Quota::new(options.quota)),
            journal: Mutex::new(Journal::new(options.journal_max)),
            faults: Mutex::default(),
            started: Instant::now(),
            connections: AtomicU64::new(0),
            options,
        }
    }

    pub fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    pub fn quota(&self) -> MutexGuard<'_, Quota> {
        lock(&self.quota)
    }

    pub fn journal(&self) -> MutexGuard<'_, Journal> {
        lock(&self.journal)
    }

    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    /// Microseconds since the emulator began, by a clock that nothing moves.
    pub fn micros(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    pub fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Takes the right to write to an account; `None` while somebody else has it.
    pub fn begin_write(self: &Arc<Self>, account: &str) -> Option<Writing> {
        lock(&self.writing)
            .insert(account.to_owned())
            .then(|| Writing { shared: Arc::clone(self), account: account.to_owned() })
    }

    /// Back to the start: the seeded accounts, no journal, no faults, the right time.
    pub fn reset(&self) {
        *self.store() = self.seed.clone();
        self.quota().clear();
        self.journal().clear();
        self.faults().clear();
        self.clock.set_offset(0);
    }
}

/// A write in progress, until it is dropped.
#[derive(Debug)]
pub(crate) struct Writing {
    shared: Arc<Shared>,
    account: String,
}

impl Drop for Writing {
    fn drop(&mut self) {
        lock(&self.shared.writing).remove(&self.account);
    }
}
