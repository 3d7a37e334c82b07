//! Writes on one account, one after the other.
//!
//! The service answers overlapping writes on one account with a conflict. So each
//! account has a line: whoever has the turn writes, the others wait in order.
//! Deletes that stand next to each other leave as one request; nothing merges
//! across another write.
//!
//! Nobody waits for a thread that is not his own longer than he must: a caller
//! who is cancelled or out of time leaves at once. If it was his thread that was
//! writing for others, they step back to the head of the line, marked as possibly
//! applied, and the oldest of them takes over.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use crate::call::{Running, Stop};
use crate::error::{Error, Outcome};
use crate::lists::{LISTS_MAX, Response};
use crate::lock::lock;
use crate::sync::{AtomicU8, Mutex, Ordering};

const SHARDS: usize = 16;

/// The lines of all accounts that are being written to.
pub(crate) struct AccountQueue {
    shards: [Shard; SHARDS],
    hasher: RandomState,
}

type Shard = Mutex<HashMap<String, Line>>;

/// The line of one account. It exists while somebody has the turn or waits.
#[derive(Default)]
struct Line {
    waiting: VecDeque<Arc<Waiter>>,
    /// What whoever has the turn has removed: callers that come before it returns
    /// were there at the same time.
    removed: Vec<String>,
}

/// Where a waiter stands.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// In the line.
    Waiting,
    /// It has the turn.
    Turn,
    /// Another thread is sending its names.
    Riding,
    /// Its result is there.
    Served,
    /// It was out of time when its turn came.
    Passed,
    /// Its caller left while another thread was sending its names.
    Left,
}

impl Place {
    fn of(value: u8) -> Place {
        use Place::*;
        [Waiting, Turn, Riding, Served, Passed, Left][usize::from(value)]
    }
}

/// A caller that could not write at once.
pub(crate) struct Waiter {
    /// The lists to delete; `None` for another kind of write.
    names: Option<Vec<String>>,
    pub ignore_missing: bool,
    running: Running,
    place: AtomicU8,
    /// The worst that may have become of its names so far.
    outcome: AtomicU8,
    result: Mutex<Option<Result<Response, Error>>>,
    /// Names that another delete removed while this one waited for its turn.
    removed: Mutex<Vec<String>>,
}

/// A waiter whose names another caller sends along with its own.
pub(crate) struct Rider {
    pub waiter: Arc<Waiter>,
    /// The worst that had become of its names before the present attempt.
    pub before: Outcome,
}

/// How waiting in the line ended.
pub(crate) enum Entered<'a> {
    /// It is this caller's turn; the waiter it was, if it had to wait.
    Turn(Turn<'a>),
    /// Another caller's request served this one too.
    Served(Result<Response, Error>),
    /// The call ended first, and what may have become of it.
    Stopped(Stop, Outcome),
}

/// The right to write to an account, given up when dropped.
pub(crate) struct Turn<'a> {
    shard: &'a Shard,
    account: &'a str,
    /// This caller's own place, if it had to wait.
    pub own: Option<Arc<Waiter>>,
}

impl Waiter {
    pub fn names(&self) -> &[String] {
        self.names.as_deref().unwrap_or_default()
    }

    pub fn outcome(&self) -> Outcome {
        match self.outcome.load(Ordering::SeqCst) {
            0 => Outcome::NotSent,
            1 => Outcome::Rejected,
            _ => Outcome::Unknown,
        }
    }

    /// Whether another delete of this client, while this one waited, removed the list.
    pub fn saw_removed(&self, name: &str) -> bool {
        lock(&self.removed).iter().any(|removed| removed == name)
    }

    /// Another delete has removed these lists.
    fn learn<'n>(&self, removed: impl Iterator<Item = &'n str>) {
        let common = removed.filter(|removed| self.names().iter().any(|name| name == removed));
        lock(&self.removed).extend(common.map(str::to_owned));
    }

    /// What may have become of its names by now.
    pub fn set_outcome(&self, outcome: Outcome) {
        self.outcome.store(outcome as u8, Ordering::SeqCst);
    }

    /// Hands over its result.
    pub fn serve(&self, result: Result<Response, Error>) {
        *lock(&self.result) = Some(result);
        self.move_to(Place::Served);
    }

    fn place(&self) -> Place {
        Place::of(self.place.load(Ordering::SeqCst))
    }

    fn move_to(&self, place: Place) {
        self.place.store(place as u8, Ordering::SeqCst);
        self.running.control.notify();
    }
}

impl AccountQueue {
    pub fn new() -> AccountQueue {
        AccountQueue { shards: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() }
    }

    fn shard(&self, account: &str) -> &Shard {
        &self.shards[self.hasher.hash_one(account) as usize % SHARDS]
    }

    /// Waits for the turn to write to an account. `names` are the lists of a
    /// delete, which another caller may take along. `waited` is called before a wait.
    pub fn enter<'a>(
        &'a self,
        account: &'a str,
        names: Option<&[&str]>,
        ignore_missing: bool,
        running: &Running,
        waited: impl FnOnce(),
    ) -> Entered<'a> {
        let shard = self.shard(account);
        let waiter = {
            let mut lines = lock(shard);
            let line = match lines.entry(account.to_owned()) {
                Entry::Occupied(line) => line.into_mut(),
                Entry::Vacant(free) => {
                    free.insert(Line::default());
                    return Entered::Turn(Turn { shard, account, own: None });
                }
            };
            let waiter = Arc::new(Waiter {
                names: names.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
                ignore_missing,
                running: running.clone(),
                place: AtomicU8::new(Place::Waiting as u8),
                outcome: AtomicU8::new(Outcome::NotSent as u8),
                result: Mutex::default(),
                removed: Mutex::default(),
            });
            waiter.learn(line.removed.iter().map(String::as_str));
            line.waiting.push_back(Arc::clone(&waiter));
            waiter
        };
        waited();
        let ended =
            running.wait(running.deadline, || !matches!(waiter.place(), Place::Waiting | Place::Riding));
        let stop = ended.err().or_else(|| running.interrupted()).unwrap_or(Stop::Deadline);
        // Under the lock nobody moves the waiter any more.
        let mut lines = lock(shard);
        match waiter.place() {
            Place::Turn => {
                drop(lines);
                // If the call has ended, dropping the turn passes it on.
                let turn = Turn { shard, account, own: Some(Arc::clone(&waiter)) };
                if ended.is_ok() { Entered::Turn(turn) } else { Entered::Stopped(stop, waiter.outcome()) }
            }
            Place::Served => {
                drop(lines);
                Entered::Served(lock(&waiter.result).take().expect("a served waiter has a result"))
            }
            Place::Waiting => {
                if let Some(line) = lines.get_mut(account) {
                    line.waiting.retain(|other| !Arc::ptr_eq(other, &waiter));
                }
                Entered::Stopped(stop, waiter.outcome())
            }
            Place::Riding => {
                waiter.place.store(Place::Left as u8, Ordering::SeqCst);
                Entered::Stopped(stop, waiter.outcome())
            }
            Place::Passed | Place::Left => Entered::Stopped(stop, waiter.outcome()),
        }
    }
}

impl Turn<'_> {
    /// Whose turn it is.
    pub fn account(&self) -> &str {
        self.account
    }

    /// Takes along the deletes that stand first in the line, as long as the names
    /// of all fit into one request.
    pub fn gather(&self, own: &[&str]) -> Vec<Rider> {
        let mut lines = lock(self.shard);
        let Some(line) = lines.get_mut(self.account) else { return Vec::new() };
        if line.waiting.is_empty() {
            return Vec::new();
        }
        let mut names: Vec<String> = Vec::with_capacity(LISTS_MAX);
        for name in own {
            if !names.iter().any(|other| other == name) {
                names.push((*name).to_owned());
            }
        }
        let mut riders = Vec::new();
        while let Some(waiter) = line.waiting.front() {
            if waiter.names.is_none() {
                break;
            }
            if waiter.running.remaining().is_err() {
                // Its own thread is about to leave; it must not hold up the others.
                let gone = line.waiting.pop_front().expect("there is a front");
                gone.move_to(Place::Passed);
                continue;
            }
            let before = names.len();
            for name in waiter.names() {
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
            if names.len() > LISTS_MAX {
                names.truncate(before);
                break;
            }
            let rider = line.waiting.pop_front().expect("there is a front");
            rider.move_to(Place::Riding);
            riders.push(Rider { before: rider.outcome(), waiter: rider });
        }
        riders
    }

    /// The names of the riders are about to leave: from now on one that leaves is
    /// told that its outcome is open. Gives those who have not left already.
    pub fn embark(&self, mut riders: Vec<Rider>) -> Vec<Rider> {
        if riders.is_empty() {
            return riders;
        }
        // Under this lock nobody can leave.
        let _lines = lock(self.shard);
        riders.retain_mut(|rider| {
            rider.before = rider.waiter.outcome();
            let there = rider.waiter.place() == Place::Riding;
            if there {
                rider.waiter.set_outcome(Outcome::Unknown);
            }
            there
        });
        riders
    }

    /// Those still waiting, and those who come before the turn ends, learn which
    /// lists were just removed.
    pub fn removed<'n>(&self, names: impl Iterator<Item = &'n str> + Clone) {
        let mut lines = lock(self.shard);
        let Some(line) = lines.get_mut(self.account) else { return };
        for waiter in &line.waiting {
            waiter.learn(names.clone());
        }
        line.removed.extend(names.map(str::to_owned));
    }

    /// This caller has to leave before the request was through: those who rode
    /// along go back to the head of the line, in their order.
    pub fn hand_back(&self, riders: Vec<Rider>) {
        if riders.is_empty() {
            return;
        }
        let mut lines = lock(self.shard);
        let line = lines.entry(self.account.to_owned()).or_default();
        for Rider { waiter, before } in riders.into_iter().rev() {
            if waiter.place() == Place::Riding {
                waiter.set_outcome(before);
                waiter.move_to(Place::Waiting);
                line.waiting.push_front(waiter);
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut lines = lock(self.shard);
        // Nobody waits, mostly: then this is all.
        let Some((account, mut line)) = lines.remove_entry(self.account) else { return };
        while let Some(next) = line.waiting.pop_front() {
            if next.running.remaining().is_ok() {
                next.move_to(Place::Turn);
                line.removed.clear();
                lines.insert(account, line);
                return;
            }
            next.move_to(Place::Passed);
        }
    }
}
