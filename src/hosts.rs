//! Which host to use: the primary, or its backup while the primary cannot be
//! reached.

#![forbid(unsafe_code)]

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// After so many failures of the primary in a row, the backup is used for a while.
const IN_A_ROW: u32 = 3;
const STAY: Duration = Duration::from_secs(30);
/// A probe that says nothing for so long (its call may have been cancelled) is
/// followed by another one.
const PROBE: Duration = Duration::from_secs(5);

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
        let mut state = self.lock();
        match state.stay_until {
            None => PRIMARY,
            Some(until) if now < until => BACKUP,
            // One call probes the primary; the others stay until that is known.
            Some(_) => {
                state.stay_until = Some(now + PROBE);
                PRIMARY
            }
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
        assert_eq!(hosts.choose(after(31)), BACKUP, "one is enough");
        assert_eq!(hosts.choose(after(37)), PRIMARY, "nothing was heard of it");
        hosts.report(PRIMARY, false, after(37));
        assert_eq!(hosts.choose(after(66)), BACKUP, "the probe failed");
        assert_eq!(hosts.choose(after(68)), PRIMARY, "the next probe");
        hosts.report(PRIMARY, true, after(68));
        assert_eq!(hosts.choose(after(68)), PRIMARY);
        hosts.report(PRIMARY, false, after(69));
        assert_eq!(hosts.choose(after(69)), PRIMARY, "the count began anew");
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
