//! What threads share and wait by.
//!
//! Code that takes its types from here is checked by models of every order in which
//! threads can come (`tests/models`): they put types there that stop at each step.

#![forbid(unsafe_code)]

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
