//! Which library this is.

use std::ffi::c_char;

/// The version of the loaded library as text, "0.1.0". Compare
/// imgroup_version_number with IMGROUP_VERSION_NUMBER to find out whether the
/// header fits: same major and minor, and a patch not below the header's.
///
/// @return a text that lives for ever.
///
/// May be called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn imgroup_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The version of the loaded library as a number, to compare.
///
/// @return MAJOR * 1000000 + MINOR * 1000 + PATCH.
///
/// May be called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn imgroup_version_number() -> u32 {
    const fn number(text: &str) -> u32 {
        let (bytes, mut value, mut index) = (text.as_bytes(), 0, 0);
        while index < bytes.len() {
            value = value * 10 + (bytes[index] - b'0') as u32;
            index += 1;
        }
        value
    }
    const NUMBER: u32 = number(env!("CARGO_PKG_VERSION_MAJOR")) * 1_000_000
        + number(env!("CARGO_PKG_VERSION_MINOR")) * 1_000
        + number(env!("CARGO_PKG_VERSION_PATCH"));
    NUMBER
}
