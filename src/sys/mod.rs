//! The little that needs the operating system and `unsafe`: a page that a fork
//! wipes, and a word shared between processes.

#![deny(unsafe_op_in_unsafe_fn)]

pub mod fork;
pub mod shared_words;
