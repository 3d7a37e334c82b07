//! Whether to try again, and after which pause.
//!
//! Three attempts with full jitter, paid from a budget, so that a service in
//! trouble is not buried under repeats. What may have been applied is repeated
//! only when repeating does no harm.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};

use crate::codes::Retry;

/// Attempts when two writes met on one account: the other writer is soon done.
const CONFLICT_ATTEMPTS: u32 = 5;
const PAUSE_MAX: Duration = Duration::from_secs(20);
/// An attempt that starts later than this before the deadline is not worth it.
pub(crate) const LEAST_TIME: Duration = Duration::from_millis(250);

const BUDGET: u32 = 500;
const COST: u32 = 14;
const COST_THROTTLED: u32 = 5;

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Return the error.
    GiveUp,
    /// Try again at once; this attempt does not count against the limit.
    Uncounted,
    /// Try again after a random part of this pause.
    After(Duration),
}

/// What one call has used up so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    /// Attempts that count.
    pub attempts: u32,
    /// A new ticket was signed for this call.
    pub ticket: bool,
    /// A stale connection was replaced.
    pub stale: bool,
}

/// The policy. `stale` is a reused connection that broke before a byte of the
/// reply; `sent` whether the request can have arrived on it.
pub(crate) fn next(retry: Retry, idempotent: bool, stale: bool, max_attempts: u32, used: &mut Used) -> Next {
    if stale && !used.stale && matches!(retry, Retry::NotSent) | idempotent {
        used.stale = true;
        return Next::Uncounted;
    }
    used.attempts += 1;
    let (base_ms, limit) = match retry {
        Retry::Never | Retry::Fatal => return Next::GiveUp,
        Retry::Ticket if used.ticket => return Next::GiveUp,
        Retry::Ticket => {
            used.ticket = true;
            used.attempts -= 1;
            return Next::Uncounted;
        }
        Retry::Ambiguous if !idempotent => return Next::GiveUp,
        Retry::NotSent | Retry::Ambiguous => (50, max_attempts),
        // Fewer only if the caller wants a single attempt.
        Retry::Conflict => (250, if max_attempts == 1 { 1 } else { CONFLICT_ATTEMPTS }),
        Retry::Throttled => (1000, max_attempts),
    };
    if used.attempts >= limit {
        return Next::GiveUp;
    }
    let pause = Duration::from_millis(base_ms) * 2u32.saturating_pow(used.attempts - 1);
    Next::After(pause.min(PAUSE_MAX))
}

/// Tokens that retries take and successes give back.
#[derive(Debug)]
pub(crate) struct Budget(AtomicU32);

impl Default for Budget {
    fn default() -> Self {
        Budget(AtomicU32::new(BUDGET))
    }
}

impl Budget {
    /// Takes the price of a retry; `None` if there is not enough left.
    pub fn take(&self, retry: Retry) -> Option<u32> {
        let cost = if retry == Retry::Throttled { COST_THROTTLED } else { COST };
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(cost))
            .ok()
            .map(|_| cost)
    }

    /// A call succeeded: what its retries took comes back, and a first try that
    /// succeeds adds one.
    pub fn give_back(&self, held: u32) {
        // Full is the common case, and costs one load.
        if self.0.load(Ordering::Relaxed) < BUDGET {
            let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                Some((left + held.max(1)).min(BUDGET))
            });
        }
    }

    /// How many tokens are left.
    #[cfg(test)]
    pub fn left(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Random numbers for jitter and for the `random` of requests, without a lock:
/// SplitMix64 over a counter, seeded by the operating system for each process.
#[derive(Debug)]
pub(crate) struct Random(AtomicU64);

impl Random {
    pub fn new() -> Random {
        let mut seed = [0; 8];
        // A clock is enough where the system gives none: nothing here is a secret.
        if getrandom(&mut seed, GetRandomFlags::empty()) != Ok(seed.len()) {
            seed = (crate::usersig::now_s() as u64 ^ u64::from(std::process::id()) << 32).to_ne_bytes();
        }
        Random(AtomicU64::new(u64::from_ne_bytes(seed)))
    }

    pub fn next_u32(&self) -> u32 {
        let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z >> 32) as u32
    }

    /// A random part of `pause`.
    pub fn part_of(&self, pause: Duration) -> Duration {
        pause.mul_f64(f64::from(self.next_u32()) / (f64::from(u32::MAX) + 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the policy to its end: the pauses in milliseconds, 0 for uncounted.
    fn pauses(retry: Retry, idempotent: bool, stale: bool) -> Vec<u64> {
        let mut used = Used::default();
        let mut pauses = Vec::new();
        loop {
            match next(retry, idempotent, stale, 3, &mut used) {
                Next::GiveUp => return pauses,
                Next::Uncounted => pauses.push(0),
                Next::After(pause) => pauses.push(pause.as_millis() as u64),
            }
            assert!(pauses.len() < 20);
        }
    }

    #[test]
    fn the_policy_row_by_row() {
        #[rustfmt::skip]
        let rows: &[(&str, Retry, bool, bool, &[u64])] = &[
            // situation, class, idempotent, stale, pauses before the next attempts
            ("not sent, any call", Retry::NotSent, false, false, &[50, 100]),
            ("not sent, a delete", Retry::NotSent, true, false, &[50, 100]),
            ("reply lost, a delete", Retry::Ambiguous, true, false, &[50, 100]),
            ("reply lost, an add", Retry::Ambiguous, false, false, &[]),
            ("stale connection, nothing sent, an add", Retry::NotSent, false, true, &[0, 50, 100]),
            ("stale connection, sent, an add", Retry::Ambiguous, false, true, &[]),
            ("stale connection, sent, a delete", Retry::Ambiguous, true, true, &[0, 50, 100]),
            ("conflict", Retry::Conflict, false, false, &[250, 500, 1000, 2000]),
            ("throttled", Retry::Throttled, false, false, &[1000, 2000]),
            ("expired ticket", Retry::Ticket, false, false, &[0]),
            ("wrong key", Retry::Fatal, true, false, &[]),
            ("bad parameter", Retry::Never, true, false, &[]),
        ];
        for (situation, retry, idempotent, stale, expected) in rows {
            assert_eq!(pauses(*retry, *idempotent, *stale), *expected, "{situation}");
        }
    }

    #[test]
    fn the_budget_runs_out_and_fills_up() {
        let budget = Budget::default();
        let mut taken = 0;
        while budget.take(Retry::Ambiguous).is_some() {
            taken += 1;
        }
        assert_eq!(taken, 35, "500 tokens at 14 each");
        assert!(budget.take(Retry::Throttled).is_some(), "10 are left, 5 needed");
        budget.give_back(14);
        assert_eq!(budget.left(), 19);
        budget.give_back(0);
        assert_eq!(budget.left(), 20, "a first try that succeeds adds one");
        budget.give_back(1000);
        assert_eq!(budget.left(), 500);
    }

    #[test]
    fn random_parts_stay_inside() {
        let random = Random::new();
        let pause = Duration::from_millis(100);
        let parts: Vec<_> = (0..1000).map(|_| random.part_of(pause)).collect();
        assert!(parts.iter().all(|part| *part < pause));
        assert!(parts.iter().max() > Some(&(pause * 9 / 10)) && parts.iter().min() < Some(&(pause / 10)));
    }
}
