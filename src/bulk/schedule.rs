//! Which request goes next: no two on one account at a time, those that failed
//! again after a pause, all others in the order of the spool.

#![forbid(unsafe_code)]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet, VecDeque};
use std::time::Instant;

use super::group::Unit;
use crate::error::{Outcome, Result};

/// So many requests may wait for their account or their pause; then nothing new is
/// read, so that memory stays flat.
const WAITING_MAX: usize = 4096;

/// A request, and what became of it so far.
#[derive(Debug)]
pub(super) struct Pending {
    pub unit: Unit,
    /// How often it failed while the service answered others.
    pub rounds: u32,
    /// How many answers there had been when it last failed.
    pub answers: u64,
    /// The worst that may have become of it.
    pub outcome: Outcome,
    /// How often it was sent.
    pub attempts: u32,
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Next {
    /// Send this.
    Send(Pending),
    /// Nothing before this moment.
    At(Instant),
    /// Nothing before another request has ended.
    Blocked,
    /// All is done.
    End,
}

/// The order of things.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// Accounts with a request in flight.
    busy: HashSet<String>,
    /// Requests whose account is busy.
    behind: HashMap<String, VecDeque<Pending>>,
    /// Requests whose account has become free.
    ready: VecDeque<Pending>,
    /// Requests in a pause, by the end of it.
    paused: BinaryHeap<Reverse<(Instant, u32)>>,
    by_number: BTreeMap<u32, Pending>,
    waiting: usize,
    ended: bool,
}

impl Schedule {
    /// How many requests are in flight.
    pub fn in_flight(&self) -> usize {
        self.busy.len()
    }

    /// What comes next. `read` gives the next request of the spool.
    pub fn next(&mut self, now: Instant, mut read: impl FnMut() -> Result<Option<Unit>>) -> Result<Next> {
        while let Some(Reverse((at, number))) = self.paused.peek().copied()
            && at <= now
        {
            self.paused.pop();
            let pending = self.by_number.remove(&number).expect("paused with its request");
            self.waiting -= 1;
            self.line_up(pending);
        }
        while let Some(pending) = self.ready.pop_front() {
            self.waiting -= 1;
            if !self.busy.contains(&pending.unit.account) {
                return Ok(self.send(pending));
            }
            self.line_up(pending);
        }
        while !self.ended && self.waiting < WAITING_MAX {
            let Some(unit) = read()? else {
                self.ended = true;
                break;
            };
            let pending =
                Pending { unit, rounds: 0, answers: u64::MAX, outcome: Outcome::NotSent, attempts: 0 };
            if !self.busy.contains(&pending.unit.account) {
                return Ok(self.send(pending));
            }
            self.line_up(pending);
        }
        Ok(match self.paused.peek() {
            Some(Reverse((at, _))) => Next::At(*at),
            None if self.busy.is_empty() && self.waiting == 0 => Next::End,
            None => Next::Blocked,
        })
    }

    fn send(&mut self, pending: Pending) -> Next {
        self.busy.insert(pending.unit.account.clone());
        Next::Send(pending)
    }

    /// Puts a request where it waits for its account.
    fn line_up(&mut self, pending: Pending) {
        self.waiting += 1;
        if self.busy.contains(&pending.unit.account) {
            self.behind.entry(pending.unit.account.clone()).or_default().push_back(pending);
        } else {
            self.ready.push_back(pending);
        }
    }

    /// The request of an account is no longer in flight.
    pub fn release(&mut self, account: &str) {
        self.busy.remove(account);
        if let Some(line) = self.behind.get_mut(account) {
            let next = line.pop_front();
            if line.is_empty() {
                self.behind.remove(account);
            }
            self.ready.extend(next);
        }
    }

    /// Sends a request again, after a pause.
    pub fn again(&mut self, pending: Pending, at: Instant) {
        self.release(&pending.unit.account);
        self.waiting += 1;
        self.paused.push(Reverse((at, pending.unit.number)));
        self.by_number.insert(pending.unit.number, pending);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn unit(number: u32, account: &str) -> Unit {
        Unit { number, account: account.into(), lists: vec![("F".into(), 1, 1)], account_rows: (0, 0) }
    }

    /// A script of what is asked and what is expected, over a spool of accounts.
    fn play(spool: &[&str], steps: &[(&str, &str)]) {
        let mut units: VecDeque<Unit> = (0..).zip(spool).map(|(n, account)| unit(n, account)).collect();
        let mut schedule = Schedule::default();
        let mut flying: BTreeMap<u32, Pending> = BTreeMap::new();
        let begin = Instant::now();
        let mut now = begin;
        for (index, (act, expected)) in steps.iter().enumerate() {
            let (word, number) = act.split_once(' ').unwrap_or((act, "0"));
            let number = number.parse().unwrap();
            match word {
                "next" => {
                    let told = match schedule.next(now, || Ok(units.pop_front())).unwrap() {
                        Next::Send(pending) => {
                            let number = pending.unit.number;
                            flying.insert(number, pending);
                            format!("send {number}")
                        }
                        Next::At(at) => format!("at {}", (at - begin).as_secs()),
                        Next::Blocked => "blocked".into(),
                        Next::End => "end".into(),
                    };
                    assert_eq!(told, *expected, "step {index}");
                    let mut accounts: Vec<_> = flying.values().map(|p| p.unit.account.clone()).collect();
                    let flights = accounts.len();
                    accounts.sort();
                    accounts.dedup();
                    assert_eq!(accounts.len(), flights, "step {index}: two requests on one account");
                }
                "done" => schedule.release(&flying.remove(&number).unwrap().unit.account),
                "again" => schedule.again(flying.remove(&number).unwrap(), now + Duration::from_secs(5)),
                "wait" => now += Duration::from_secs(u64::from(number)),
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn one_request_an_account_in_the_order_of_the_spool() {
        play(
            &["a", "a", "b", "a", "c"],
            &[
                ("next", "send 0"),
                ("next", "send 2"),
                ("next", "send 4"),
                ("next", "blocked"),
                ("done 2", ""),
                ("next", "blocked"),
                ("done 0", ""),
                ("next", "send 1"),
                ("next", "blocked"),
                ("done 1", ""),
                ("next", "send 3"),
                ("done 3", ""),
                ("next", "blocked"),
                ("done 4", ""),
                ("next", "end"),
            ],
        );
    }

    #[test]
    fn a_request_that_failed_waits_while_others_go_on() {
        play(
            &["a", "b", "a"],
            &[
                ("next", "send 0"),
                ("again 0", ""),
                ("next", "send 1"),
                ("next", "send 2"),
                ("done 1", ""),
                ("next", "at 5"),
                ("wait 5", ""),
                // Its account is in use by now.
                ("next", "blocked"),
                ("done 2", ""),
                ("next", "send 0"),
                ("done 0", ""),
                ("next", "end"),
            ],
        );
    }

    #[test]
    fn two_ready_requests_of_one_account_go_one_after_the_other() {
        play(
            &["a", "a", "b"],
            &[
                ("next", "send 0"),
                ("next", "send 2"),
                ("again 0", ""),
                ("wait 6", ""),
                ("next", "send 1"),
                ("next", "blocked"),
                ("done 1", ""),
                ("next", "send 0"),
                ("done 0", ""),
                ("done 2", ""),
                ("next", "end"),
            ],
        );
    }

    #[test]
    fn reading_stops_when_too_many_wait() {
        let mut read = 0;
        let mut schedule = Schedule::default();
        let mut next = || {
            schedule.next(Instant::now(), || {
                read += 1;
                Ok(Some(unit(read, "a")))
            })
        };
        assert!(matches!(next(), Ok(Next::Send(_))));
        assert!(matches!(next(), Ok(Next::Blocked)));
        assert!(matches!(next(), Ok(Next::Blocked)));
        assert_eq!(read as usize, WAITING_MAX + 1);
    }
}
