//! Notices a fork without a system call: a page that the kernel gives to the
//! child as zeros (`MADV_WIPEONFORK`, Linux 4.14).

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

use once_cell::race::OnceBox;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

/// The page's first word, or nothing where the kernel cannot wipe pages.
struct Page(Option<NonNull<AtomicU64>>);

// SAFETY: the pointer leads to an atomic in a mapping that is never unmapped
// once a `Page` holds it, so any thread may use it at any time.
unsafe impl Send for Page {}
// SAFETY: as above; an atomic may be shared.
unsafe impl Sync for Page {}

static PAGE: OnceBox<Page> = OnceBox::new();
/// The highest mark given out so far, by this process or those it was forked from.
static LAST: AtomicU64 = AtomicU64::new(0);

const PAGE_SIZE: usize = 4096;

fn map() -> Box<Page> {
    // SAFETY: a new anonymous mapping at an address of the kernel's choice
    // overlaps nothing.
    let mapped = unsafe {
        mmap_anonymous(ptr::null_mut(), PAGE_SIZE, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
    };
    let Ok(start) = mapped else { return Box::new(Page(None)) };
    // SAFETY: the range is exactly the mapping made above, which nobody else knows.
    if unsafe { madvise(start, PAGE_SIZE, Advice::LinuxWipeOnFork) }.is_err() {
        // SAFETY: as above; it is not used after this.
        let _ = unsafe { munmap(start, PAGE_SIZE) };
        return Box::new(Page(None));
    }
    Box::new(Page(NonNull::new(start.cast::<c_void>().cast())))
}

/// A number that is the same for the life of a process and differs from that of
/// every process it was forked from.
pub fn mark() -> u64 {
    let Page(Some(word)) = *PAGE.get_or_init(map) else {
        // The parent's own id cannot come again while the child lives.
        return u64::from(std::process::id());
    };
    // SAFETY: the mapping is page-aligned, holds the word, and lives for ever.
    let word = unsafe { word.as_ref() };
    match word.load(Ordering::Relaxed) {
        0 => {
            let fresh = LAST.fetch_add(1, Ordering::Relaxed) + 1;
            match word.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => fresh,
                Err(other_thread) => other_thread,
            }
        }
        mark => mark,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_mark_stays_within_a_process() {
        let mark = super::mark();
        assert_ne!(mark, 0);
        assert_eq!(std::thread::spawn(super::mark).join().unwrap(), mark);
    }
}
