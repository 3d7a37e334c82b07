//! A few atomic words in a file that processes of one user share.
//!
//! There is no lock in it, so a process that dies leaves nothing to clean up.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;

use rustix::fs::{Mode, OFlags};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// How many words a file holds.
pub const WORDS: usize = 4;
const LENGTH: usize = 4096;

/// The mapped file.
#[derive(Debug)]
pub struct SharedWords {
    start: NonNull<[AtomicU64; WORDS]>,
}

// SAFETY: the mapping lives as long as the value and holds only atomics.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// Opens or makes the file. Refuses one that somebody else owns or may
    /// write, and one that is not a plain file: in a directory that everyone may
    /// write, another user could have put it there.
    pub fn open(path: &Path) -> io::Result<SharedWords> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
        let metadata = file.metadata()?;
        if !metadata.is_file()
            || metadata.uid() != rustix::process::geteuid().as_raw()
            || metadata.mode() & 0o077 != 0
        {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "not a plain file that this user alone may use",
            ));
        }
        if metadata.len() < LENGTH as u64 {
            file.set_len(LENGTH as u64)?;
        }
        // SAFETY: a new shared mapping at an address of the kernel's choice. The
        // file is long enough, and only its owner could cut it short.
        let start = unsafe {
            mmap(ptr::null_mut(), LENGTH, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, &file, 0)
        }?;
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at NULL"))?;
        Ok(SharedWords { start })
    }

    /// The words. A new file holds zeros.
    pub fn words(&self) -> &[AtomicU64; WORDS] {
        // SAFETY: the mapping is page-aligned, longer than the array, lives as
        // long as `self`, and other processes touch it by atomics alone.
        unsafe { self.start.as_ref() }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `open`; borrows of it have ended.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), LENGTH) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::sync::atomic::Ordering;

    #[test]
    fn two_mappings_see_one_word_and_strangers_files_are_refused() {
        let directory = std::env::temp_dir().join(format!("imgroup-words-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("word");
        let first = SharedWords::open(&path).unwrap();
        let second = SharedWords::open(&path).unwrap();
        first.words()[1].store(7, Ordering::Relaxed);
        assert_eq!(second.words()[1].load(Ordering::Relaxed), 7);

        let link = directory.join("link");
        symlink(&path, &link).unwrap();
        assert!(SharedWords::open(&link).is_err(), "followed a link");

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o622)).unwrap();
        assert!(SharedWords::open(&path).is_err(), "took a file that others may write");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
