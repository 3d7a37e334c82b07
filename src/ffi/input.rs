//! Texts and arrays from C, checked before the core sees them.

use std::ffi::c_char;
use std::slice;

use crate::codes;
use crate::error::{Error, Result};

/// No text parameter is longer than this; the core's own limits are far below.
const TEXT_MAX: usize = 64 * 1024;
/// No array parameter has more entries than this.
const ENTRIES_MAX: usize = 4096;
/// No byte parameter is longer than this.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// A text that must be there.
///
/// # Safety
/// `text` is NULL or leads to a NUL-terminated text that lives for `'a`.
pub(super) unsafe fn text<'a>(text: *const c_char, parameter: &str) -> Result<&'a str> {
    if text.is_null() {
        return Err(Error::argument(parameter, "must not be NULL"));
    }
    // SAFETY: reads up to the NUL, which the caller promises, or the bound.
    let length = unsafe { libc::strnlen(text, TEXT_MAX + 1) };
    if length > TEXT_MAX {
        return Err(Error::argument(parameter, format_args!("must be at most {TEXT_MAX} bytes")));
    }
    // SAFETY: that many bytes were just read.
    utf8(unsafe { slice::from_raw_parts(text.cast(), length) }, parameter)
}

/// A text of given length, `(NULL, 0)` for an empty one.
///
/// # Safety
/// `text` leads to `length` bytes that live for `'a`, or `length` is 0.
pub(super) unsafe fn text_of_length<'a>(
    text: *const c_char,
    length: usize,
    parameter: &str,
) -> Result<&'a str> {
    // SAFETY: the same promise.
    utf8(unsafe { bytes(text.cast(), length, parameter) }?.unwrap_or_default(), parameter)
}

/// Bytes of given length; `None` for `(NULL, 0)`.
///
/// # Safety
/// `start` leads to `length` bytes that live for `'a`, or `length` is 0.
pub(super) unsafe fn bytes<'a>(start: *const u8, length: usize, parameter: &str) -> Result<Option<&'a [u8]>> {
    if length > BYTES_MAX {
        return Err(Error::argument(
            parameter,
            format_args!("must be at most {BYTES_MAX} bytes, not {length}"),
        ));
    }
    if start.is_null() {
        return if length == 0 { Ok(None) } else { Err(Error::argument(parameter, "must not be NULL")) };
    }
    // SAFETY: the caller's promise, and the length is bounded.
    Ok(Some(unsafe { slice::from_raw_parts(start, length) }))
}

/// An array of texts, `(NULL, 0)` for an empty one.
///
/// # Safety
/// `array` leads to `length` pointers, each NULL or a NUL-terminated text, all of
/// which live for `'a`; or `length` is 0.
pub(super) unsafe fn texts<'a>(
    array: *const *const c_char,
    length: usize,
    parameter: &str,
) -> Result<Vec<&'a str>> {
    if length == 0 {
        return Ok(Vec::new());
    }
    if length > ENTRIES_MAX {
        return Err(Error::argument(parameter, format_args!("must be at most {ENTRIES_MAX}, not {length}")));
    }
    if array.is_null() {
        return Err(Error::argument(parameter, format_args!("must not be NULL, as {length} are announced")));
    }
    if !array.is_aligned() {
        return Err(Error::argument(parameter, "must be an array of pointers, aligned as such"));
    }
    // SAFETY: the caller's promise; it is aligned, and the length is bounded.
    let array = unsafe { slice::from_raw_parts(array, length) };
    let mut texts = Vec::with_capacity(length);
    for (index, &entry) in array.iter().enumerate() {
        if entry.is_null() {
            return Err(Error::argument(&format!("{parameter}[{index}]"), "must not be NULL"));
        }
        // SAFETY: the caller's promise for each entry.
        texts.push(unsafe { text(entry, parameter) }.map_err(|error| at(error, parameter, index))?);
    }
    Ok(texts)
}

/// Names the entry in an error about the array.
fn at(error: Error, parameter: &str, index: usize) -> Error {
    let rule = error.message().strip_prefix(parameter).unwrap_or(error.message()).to_owned();
    Error::new(error.code(), format!("{parameter}[{index}]{rule}"))
}

fn utf8<'a>(bytes: &'a [u8], parameter: &str) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|error| {
        Error::new(
            codes::INVALID_UTF8,
            format!("{parameter}: must be UTF-8, which byte {} is not", error.valid_up_to()),
        )
    })
}
