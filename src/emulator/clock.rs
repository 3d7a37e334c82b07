//! The emulator's wall clock, which can be moved so that tickets expire while a
//! test looks on. The `Date` header moves with it, as a client corrects its own
//! clock by that.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The machine's time and an offset.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    offset_s: AtomicI64,
}

impl Clock {
    /// Seconds since 1970.
    pub fn now(&self) -> i64 {
        machine().saturating_add(self.offset_s())
    }

    pub fn offset_s(&self) -> i64 {
        self.offset_s.load(Ordering::Relaxed)
    }

    pub fn set_offset(&self, offset_s: i64) {
        self.offset_s.store(offset_s, Ordering::Relaxed);
    }

    /// Makes it `now` here; the clock goes on from there.
    pub fn set_now(&self, now: i64) {
        self.set_offset(now.saturating_sub(machine()));
    }
}

fn machine() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// A time as HTTP writes it. Years outside 1970 to 9999 are cut to that range.
pub(crate) fn http_date(seconds: i64) -> String {
    let seconds = seconds.clamp(0, 253_402_300_799).unsigned_abs();
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        #[rustfmt::skip]
        let rows = [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_700_000_000, "Tue, 14 Nov 2023 22:13:20 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (-5, "Thu, 01 Jan 1970 00:00:00 GMT"),
        ];
        for (seconds, text) in rows {
            assert_eq!(http_date(seconds), text);
        }
    }

    #[test]
    fn the_clock_goes_on_from_where_it_is_put() {
        let clock = Clock::default();
        clock.set_now(1000);
        assert!((1000..1005).contains(&clock.now()));
        clock.set_offset(0);
        assert!((clock.now() - machine()).abs() <= 1);
    }
}
