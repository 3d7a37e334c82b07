//! State that a forked child must not inherit: connections, random numbers,
//! locks that a thread of the parent may hold.
//!
//! Each process has its own copy, made when first asked for. A child appends its
//! copy behind the parent's and never looks into that again: it takes no lock of
//! the parent's, and drops nothing of it either.

#![forbid(unsafe_code)]

use std::sync::Arc;

use once_cell::race::OnceBox;

use crate::sys::fork;

/// A value of which every process has its own.
pub(crate) struct PerProcess<T> {
    first: OnceBox<Node<T>>,
}

struct Node<T> {
    mark: u64,
    value: Arc<T>,
    next: OnceBox<Node<T>>,
}

impl<T> PerProcess<T> {
    /// A value that no process has made yet.
    pub const fn new() -> Self {
        PerProcess { first: OnceBox::new() }
    }

    /// This process's value, made now if need be. Two threads that ask at once
    /// may both make one; the loser's is dropped.
    pub fn get(&self, make: impl Fn() -> T) -> &Arc<T> {
        let mark = fork::mark();
        let new = || Box::new(Node { mark, value: Arc::new(make()), next: OnceBox::new() });
        let mut node = self.first.get_or_init(new);
        while node.mark != mark {
            node = node.next.get_or_init(new);
        }
        &node.value
    }

    /// This process's value, if it made one.
    pub fn existing(&self) -> Option<&Arc<T>> {
        let mark = fork::mark();
        let mut node = self.first.get();
        while let Some(this) = node {
            if this.mark == mark {
                return Some(&this.value);
            }
            node = this.next.get();
        }
        None
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let mark = fork::mark();
        let mut node = self.first.get();
        while let Some(this) = node {
            if this.mark != mark {
                // Another reference that nobody gives back: never dropped here.
                std::mem::forget(Arc::clone(&this.value));
            }
            node = this.next.get();
        }
    }
}
