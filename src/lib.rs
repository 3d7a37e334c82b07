//! libimgroup: friend lists of Tencent Cloud Chat (IM) from any language.

pub mod codes;
pub mod error;
pub mod usersig;

#[cfg(feature = "emulator")]
pub mod emulator;
