//! The C ABI: thin, and the only place but `sys` with `unsafe`.
//!
//! Every exported function checks its pointers, calls the core, and turns the
//! result into numbers and handles, inside a guard that lets no panic out. The
//! documentation of the functions is the manual of the C header, written for C
//! programmers; what a caller must guarantee for each pointer is stated once, in
//! the header's rules, so the functions carry no section of their own on it.

#![allow(non_camel_case_types)]
#![allow(clippy::missing_safety_doc)]
#![deny(unsafe_op_in_unsafe_fn)]

mod guard;
mod handle;
mod input;

// In the order of the header, which is that of the modules.
pub mod version;

pub mod codes;

pub mod error;

pub mod config;

pub mod client;

pub mod call;

pub mod response;

pub mod job;

pub mod usersig;
