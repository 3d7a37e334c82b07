//! Locking, where a panic of another thread changes nothing: what the core guards
//! is whole at every moment.

#![forbid(unsafe_code)]

use std::sync::PoisonError;

use crate::sync::{Mutex, MutexGuard};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
