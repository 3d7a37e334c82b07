//! libimgroup: friend lists of Tencent Cloud Chat (IM).

mod attempt;
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
pub mod lists;
mod pace;
mod per_process;
mod queue;
mod resolver;
mod retry;
mod stats;
mod sys;
mod tls;
mod transport;
pub mod usersig;
mod verdict;

#[cfg(feature = "emulator")]
pub mod emulator;
