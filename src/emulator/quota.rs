//! The limit on requests a second, counted per command over a sliding second of
//! arrivals.
//!
//! The window of the real service is not documented. A sliding one is the
//! strictest reading of "200 calls a second": a client that keeps to it keeps to
//! any other. Requests that were refused count too, as the vendor's alarm counts
//! what it observes.

#![forbid(unsafe_code)]

use std::collections::{HashMap, VecDeque};

use super::command::Command;

const SECOND_US: u64 = 1_000_000;

#[derive(Debug)]
pub(crate) struct Quota {
    /// Requests a second of an ordinary command; 0 is no limit.
    limit: u32,
    windows: HashMap<&'static str, VecDeque<u64>>,
}

impl Quota {
    pub fn new(limit: u32) -> Quota {
        Quota { limit, windows: HashMap::new() }
    }

    pub fn clear(&mut self) {
        self.windows.clear();
    }

    /// Counts an arrival, in microseconds of any clock; false if it is one too many.
    pub fn admit(&mut self, command: &Command, arrival_us: u64) -> bool {
        if self.limit == 0 {
            return true;
        }
        let limit = if command.half_rate { (self.limit / 2).max(1) } else { self.limit };
        let window = self.windows.entry(command.name).or_default();
        while window.front().is_some_and(|first| first + SECOND_US <= arrival_us) {
            window.pop_front();
        }
        window.push_back(arrival_us);
        window.len() <= limit as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::command;

    #[test]
    fn no_second_holds_more_than_the_limit() {
        let delete = command::find("sns", "group_delete").unwrap();
        let check = command::find("im_open_login_svc", "account_check").unwrap();
        let mut quota = Quota::new(4);
        #[rustfmt::skip]
        let rows = [
            (delete, 0, true), (delete, 1, true), (delete, 500_000, true), (delete, 999_999, true),
            (check, 999_999, true), (check, 999_999, true), (check, 999_999, false),
            (delete, 999_999, false),
            // At 1.0 s the arrival at 0 has left, but the refused one counts.
            (delete, 1_000_000, false),
            (delete, 1_999_999, true), (delete, 2_000_000, true),
        ];
        for (command, arrival, admitted) in rows {
            assert_eq!(quota.admit(command, arrival), admitted, "{} at {arrival}", command.name);
        }
    }

    #[test]
    fn zero_lifts_it() {
        let delete = command::find("sns", "group_delete").unwrap();
        let mut quota = Quota::new(0);
        assert!((0..10_000).all(|arrival| quota.admit(delete, arrival)));
    }
}
