//! libimgroup: friend lists of Tencent Cloud Chat (IM) from a server.
//!
//! This is the core under the C ABI in `include/imgroup.h`; C, C++, Python and Go
//! programs use that. The Rust interface serves the command, the emulator's tests
//! and the bindings' tests, and promises nothing between versions.
//!
//! # A map
//!
//! | what | where |
//! |---|---|
//! | the calls | [`client`]; deletes and their merging in `delete`, `queue` |
//! | one request, from the pace to the verdict | `attempt`, `verdict`, `retry` |
//! | what a request says and a reply means | [`lists`], [`text`], `envelope`, [`codes`] |
//! | the ticket | [`usersig`], `credentials` |
//! | the pace | `pace`, `slots`; over several machines `redis_pace` |
//! | the wire | `transport` (the fast path), `http`, `lost`, `connection`, `dial`, `tcp`, `resolver`, `tls`, `hosts` |
//! | deadlines, cancellation | [`call`] |
//! | settings, errors, counters | [`config`], [`error`], `stats` |
//! | jobs over many accounts | [`bulk`] |
//! | fork | `per_process`, `sys` |
//! | the C ABI | [`ffi`] |
//!
//! Arrows point one way: the command, the emulator and `ffi` use the core, and the
//! core knows none of them. `unsafe` stands in `ffi` and `sys` alone.

#![warn(missing_docs)]

mod attempt;
pub mod bulk;
pub mod call;
pub mod client;
pub mod codes;
pub mod config;
mod connection;
mod credentials;
mod delete;
mod dial;
mod envelope;
pub mod error;
pub mod ffi;
mod hosts;
mod http;
pub mod lists;
mod lock;
mod lost;
mod pace;
mod per_process;
mod queue;
#[cfg(feature = "redis")]
mod redis_pace;
mod resolver;
mod retry;
#[cfg(test)]
mod scripted;
mod slots;
mod stats;
mod sync;
mod sys;
mod tcp;
pub mod text;
mod tls;
mod transport;
pub mod usersig;
mod verdict;

#[cfg(feature = "emulator")]
pub mod emulator;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
