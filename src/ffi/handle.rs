//! Handles: opaque pointers whose first word tells what they lead to.
//!
//! The word catches the wrong kind of handle and, with luck, one that was freed.
//! It cannot make a wild pointer safe.

use std::ffi::{CString, c_char};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::codes;
use crate::error::Error;

/// Replaces the word when a handle is freed.
const FREED: u64 = 0xdead_0000_6d69_6567;

/// What a handle leads to. The C type is an empty struct, so that nothing of this
/// shows.
#[repr(C)]
pub(super) struct Object<T> {
    magic: AtomicU64,
    pub value: T,
}

/// Ties a C type to what it leads to.
pub(super) trait Handle {
    type Value;
    /// Different for each type.
    const MAGIC: u64;
}

fn wrong<T>(parameter: &str, rule: &str) -> Result<T, Error> {
    Err(Error::new(codes::HANDLE, format!("{parameter}: {rule}")))
}

fn check<H: Handle>(handle: *const H, parameter: &str) -> Result<*const Object<H::Value>, Error> {
    if handle.is_null() {
        return wrong(parameter, "must not be NULL");
    }
    if !handle.cast::<u64>().is_aligned() {
        return wrong(parameter, "is not a handle of this library");
    }
    // SAFETY: the caller passes a handle that this library gave out, of whatever
    // type: all begin with the word, and it is aligned.
    match unsafe { &*handle.cast::<AtomicU64>() }.load(Ordering::Relaxed) {
        magic if magic == H::MAGIC => Ok(handle.cast()),
        FREED => wrong(parameter, "was freed"),
        _ => wrong(parameter, "is a handle of another type"),
    }
}

/// Gives out a new handle that one owner frees.
pub(super) fn give<H: Handle>(value: H::Value) -> *mut H {
    Box::into_raw(Box::new(Object { magic: AtomicU64::new(H::MAGIC), value })).cast()
}

/// What a handle leads to, or an error that names the parameter.
///
/// # Safety
/// `handle` is NULL or a live handle of this library, and stays so for `'a`.
pub(super) unsafe fn borrow<'a, H: Handle>(handle: *const H, parameter: &str) -> Result<&'a H::Value, Error> {
    let object = check(handle, parameter)?;
    // SAFETY: the word says that it is this type; it lives by the caller's promise.
    Ok(unsafe { &(*object).value })
}

/// As [`borrow`], to change it.
///
/// # Safety
/// As [`borrow`], and no other thread uses the handle.
pub(super) unsafe fn borrow_mut<'a, H: Handle>(
    handle: *mut H,
    parameter: &str,
) -> Result<&'a mut H::Value, Error> {
    let object = check(handle.cast_const(), parameter)?.cast_mut();
    // SAFETY: as in `borrow`; alone by the caller's promise.
    Ok(unsafe { &mut (*object).value })
}

/// Frees a handle of [`give`]; ignores NULL and handles of other types.
///
/// # Safety
/// `handle` is NULL or a live handle of this library that nobody uses any more.
pub(super) unsafe fn take_back<H: Handle>(handle: *mut H) {
    if let Ok(object) = check(handle.cast_const(), "handle") {
        // SAFETY: the word says that `give` made it, and it is not used any more.
        let object = unsafe { Box::from_raw(object.cast_mut()) };
        object.magic.store(FREED, Ordering::Relaxed);
    }
}

/// Gives out a handle that calls under way keep alive.
pub(super) fn give_shared<H: Handle>(value: H::Value) -> *mut H {
    Arc::into_raw(Arc::new(Object { magic: AtomicU64::new(H::MAGIC), value })).cast_mut().cast()
}

/// Keeps a shared handle alive for the length of a call.
///
/// # Safety
/// `handle` is NULL or a live handle of this library, and is not freed before
/// this function has returned.
pub(super) unsafe fn enter<H: Handle>(
    handle: *const H,
    parameter: &str,
) -> Result<Arc<Object<H::Value>>, Error> {
    let object = check(handle, parameter)?;
    // SAFETY: `give_shared` made it from an `Arc` that is still held by the handle.
    unsafe {
        Arc::increment_strong_count(object);
        Ok(Arc::from_raw(object))
    }
}

/// Gives up the handle's own part of a shared object; calls under way keep theirs.
///
/// # Safety
/// `handle` is NULL or a live handle of this library; no call enters with it from
/// now on.
pub(super) unsafe fn leave<H: Handle>(handle: *mut H) {
    if let Ok(object) = check(handle.cast_const(), "handle") {
        // SAFETY: the word says that `give_shared` made it and that its reference
        // is still held.
        let object = unsafe { Arc::from_raw(object) };
        // A call under way keeps the memory, so that even a second free is harmless.
        object.magic.store(FREED, Ordering::Relaxed);
    }
}

/// Writes an output, if the caller wants it.
pub(super) fn put<T>(output: *mut T, value: T) {
    if !output.is_null() {
        // SAFETY: the caller passes NULL or a place for one `T`. `write` drops
        // nothing: what stood there belongs to the caller.
        unsafe { output.write(value) };
    }
}

/// An output that must be there.
pub(super) fn required<T>(output: *mut T, parameter: &str) -> Result<(), Error> {
    if output.is_null() {
        return Err(Error::argument(parameter, "must not be NULL"));
    }
    Ok(())
}

/// A text for C. A NUL inside would cut it short, so it is written as `\0`.
pub(super) fn c_text(text: &str) -> CString {
    CString::new(text).unwrap_or_else(|_| CString::new(text.replace('\0', "\\0")).expect("no NUL is left"))
}

/// The text of an optional `CString`, or an empty one.
pub(super) fn c_pointer(text: Option<&CString>) -> *const c_char {
    text.map_or(c"".as_ptr(), |text| text.as_ptr())
}
