//! The slots of the pace, and how a complaint of the service lowers it.
//!
//! The time of the next free slot is one word. Taking a slot is a
//! compare-and-swap: there is no lock, so a process that is killed leaves at most
//! the slots it had taken unused. A second word holds how far the pace was lowered
//! after the service complained; it rises again by itself.
//!
//! `tests/models` runs this code through every order in which threads can come.

#![forbid(unsafe_code)]

use crate::sync::{AtomicU64, Ordering};

pub(crate) const MILLISECOND: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MILLISECOND;
/// How far ahead slots are given out. Whoever would wait longer asks again later.
const BACKLOG: u64 = SECOND;
/// A next slot further away than this was not written by this library.
const ABSURD: u64 = 600 * SECOND;
/// After a complaint: the pace is multiplied by this, but stays above the floor.
const LOWERED_TO: u64 = 700;
const LOWEST: u64 = 50;
/// The full pace.
pub(crate) const FULL: u64 = 1000;
/// How fast it recovers, in thousandths of the full pace a second.
const RECOVERY: u64 = 25;

/// Replaces the word if it still holds `current`. Relaxed is enough: the word guards
/// no other memory.
fn replace(word: &AtomicU64, current: u64, new: u64) -> bool {
    word.compare_exchange(current, new, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

/// What asking for a slot gives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Granted: send at this time, in nanoseconds.
    At(u64),
    /// Too many wait already: ask again in so many nanoseconds.
    Later(u64),
    /// No slot comes before the deadline.
    None,
}

/// Takes the next slot, unless it lies beyond the deadline.
pub(crate) fn take_slot(next: &AtomicU64, now: u64, interval: u64, deadline: u64) -> Slot {
    loop {
        let stored = next.load(Ordering::Relaxed);
        let free = if stored > now.saturating_add(ABSURD) { now } else { stored.max(now) };
        if free > deadline {
            return Slot::None;
        }
        if free - now > BACKLOG {
            return Slot::Later(free - now - BACKLOG);
        }
        if replace(next, stored, free + interval) {
            return Slot::At(free);
        }
    }
}

/// How much of the full pace is allowed now, in thousandths.
pub(crate) fn allowed(level: u64, now: u64) -> u64 {
    let (stored, since_ms) = (level >> 48, level & 0xffff_ffff_ffff);
    if stored == 0 {
        return FULL;
    }
    let elapsed_ms = (now / MILLISECOND).saturating_sub(since_ms);
    (stored + elapsed_ms * RECOVERY / 1000).min(FULL)
}

/// After a complaint of the service: nobody sends for a second, and the pace is
/// lowered, once a second at most, since a whole volley may be refused at once.
pub(crate) fn lower(next: &AtomicU64, level: &AtomicU64, now: u64) {
    let stored = level.load(Ordering::Relaxed);
    let now_ms = now / MILLISECOND;
    if stored == 0 || now_ms.saturating_sub(stored & 0xffff_ffff_ffff) >= 1000 {
        let lowered = (allowed(stored, now) * LOWERED_TO / FULL).max(LOWEST);
        // Whoever is faster has lowered it.
        replace(level, stored, (lowered << 48) | (now_ms & 0xffff_ffff_ffff));
    }
    loop {
        let stored = next.load(Ordering::Relaxed);
        if stored >= now + SECOND && stored <= now + ABSURD || replace(next, stored, now + SECOND) {
            return;
        }
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
