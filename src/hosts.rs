//! Which host to use: the primary, or its backup while the primary cannot be
//! reached.

#![forbid(unsafe_code)]

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// After so many failures of the primary in a row, the backup is used for a while.
const IN_A_ROW: u32 = 3;
const STAY: Duration = Duration::from_secs(30);

pub(crate) const PRIMARY: usize = 0;
pub(crate) const BACKUP: usize = 1;

#[derive(Debug)]
pub(crate) struct Hosts {
    has_backup: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    stay_until: Option<Instant>,
}

impl Hosts {
    pub fn new(has_backup: bool) -> Hosts {
        Hosts { has_backup, state: Mutex::default() }
    }

    pub fn has_backup(&self) -> bool {
        self.has_backup
    }

    /// The host for a first attempt.
    pub fn choose(&self, now: Instant) -> usize {
        if !self.has_backup {
            return PRIMARY;
        }
        match self.lock().stay_until {
            Some(until) if now < until => BACKUP,
            // Time to probe the primary.
            _ => PRIMARY,
        }
    }

    /// A host was reached, or not. What the reply said does not matter.
    pub fn report(&self, host: usize, reached: bool, now: Instant) {
        if !self.has_backup || host != PRIMARY {
            return;
        }
        let mut state = self.lock();
        if reached {
            *state = State::default();
        } else {
            state.failures = state.failures.saturating_add(1);
            if state.failures >= IN_A_ROW {
                state.stay_until = Some(now + STAY);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_in_a_row_stay_on_the_backup_for_half_a_minute() {
        let hosts = Hosts::new(true);
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        for _ in 0..2 {
            hosts.report(PRIMARY, false, begin);
            assert_eq!(hosts.choose(begin), PRIMARY);
        }
        hosts.report(PRIMARY, false, begin);
        assert_eq!(hosts.choose(after(29)), BACKUP);
        assert_eq!(hosts.choose(after(31)), PRIMARY, "the probe");
        hosts.report(PRIMARY, false, after(31));
        assert_eq!(hosts.choose(after(32)), BACKUP, "the probe failed");
        hosts.report(PRIMARY, true, after(62));
        assert_eq!(hosts.choose(after(62)), PRIMARY);
        hosts.report(PRIMARY, false, after(63));
        assert_eq!(hosts.choose(after(63)), PRIMARY, "the count began anew");
    }

    #[test]
    fn without_a_backup_there_is_no_choice() {
        let hosts = Hosts::new(false);
        for _ in 0..5 {
            hosts.report(PRIMARY, false, Instant::now());
        }
        assert_eq!(hosts.choose(Instant::now()), PRIMARY);
    }
}
