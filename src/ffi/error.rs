//! `imgroup_error`: the details of a failure.

use std::ffi::{CString, c_char};

use super::codes::imgroup_code_name;
use super::guard::guard_or;
use super::handle::{self, Handle, c_pointer, c_text};
use crate::error::Error;

/// Why a call failed. One thread at a time.
///
/// All getters take NULL and then answer as for no error: 0, or "". No secret key
/// and no UserSig ever stands in an error.
pub struct imgroup_error {
    _private: [u8; 0],
}

pub(super) struct Texts {
    error: Error,
    message: CString,
    display: CString,
    host: CString,
}

impl Handle for imgroup_error {
    type Value = Texts;
    const MAGIC: u64 = 0x4552_524f_6d69_6567;
}

impl imgroup_error {
    pub(super) fn new(error: Error) -> *mut imgroup_error {
        handle::give(Texts {
            message: c_text(error.message()),
            display: c_text(error.display_text()),
            host: c_text(error.host()),
            error,
        })
    }
}

fn get<T>(error: *const imgroup_error, otherwise: T, read: impl FnOnce(&Texts) -> T) -> T
where
    T: Copy,
{
    guard_or(otherwise, || {
        // SAFETY: the caller passes NULL or a live handle.
        unsafe { handle::borrow(error, "error") }.map_or(otherwise, read)
    })
}

/// The code, the same that the function returned.
///
/// @param error  an error, or NULL.
/// @return negative for a code of enum imgroup_code, positive for the service's
///         ErrorCode, 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_error_code(error: *const imgroup_error) -> i32 {
    get(error, 0, |texts| texts.error.code())
}

/// The symbolic name of the code, as imgroup_code_name gives it.
///
/// @param error  an error, or NULL.
/// @return a text that lives for ever; "" for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_error_name(error: *const imgroup_error) -> *const c_char {
    get(error, c"".as_ptr(), |texts| imgroup_code_name(texts.error.code()))
}

/// What went wrong, for a developer or a log: command, reason, the service's own
/// text, advice, attempts, host, random and outcome, in one line.
///
/// @param error  an error, or NULL.
/// @return a text borrowed from the error; "" for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_error_message(error: *const imgroup_error) -> *const c_char {
    get(error, c_pointer(None), |texts| c_pointer(Some(&texts.message)))
}

/// The service's text meant for end users (ErrorDisplay); mostly empty.
///
/// @param error  an error, or NULL.
/// @return a text borrowed from the error; "" for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_error_display(error: *const imgroup_error) -> *const c_char {
    get(error, c_pointer(None), |texts| c_pointer(Some(&texts.display)))
}

/// What kind of failure it is, one of enum imgroup_class. Choose by it what to
/// do: it stays right when the service adds codes.
///
/// @param error  an error, or NULL.
/// @return the class; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_error_class(error: *const imgroup_error) -> i32 {
    get(error, 0, |texts| texts.error.class() as i32)
}

/// What became of the request, one of enum imgroup_outcome: the worst over all
/// attempts of the call.
///
/// @param error  an error, or NULL.
/// @return the outcome; IMGROUP_OUTCOME_NOT_SENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_error_outcome(error: *const imgroup_error) -> i32 {
    get(error, 0, |texts| texts.error.outcome() as i32)
}

/// Whether the same call may succeed later, unchanged. It does not say whether
/// repeating is harmless: see imgroup_error_outcome.
///
/// @param error  an error, or NULL.
/// @return 1 if so, 0 if not or for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_error_is_retryable(error: *const imgroup_error) -> i32 {
    get(error, 0, |texts| i32::from(texts.error.is_retryable()))
}

/// The HTTP status of the last reply.
///
/// @param error  an error, or NULL.
/// @return the status; 0 if there was no reply, or for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_error_http_status(error: *const imgroup_error) -> i32 {
    get(error, 0, |texts| i32::from(texts.error.http_status()))
}

/// How many requests were sent or tried to be sent.
///
/// @param error  an error, or NULL.
/// @return the number; 0 if none, or for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_error_attempts(error: *const imgroup_error) -> u32 {
    get(error, 0, |texts| texts.error.attempts())
}

/// The host of the last attempt.
///
/// @param error  an error, or NULL.
/// @return a text borrowed from the error; "" if there was no attempt, or for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_error_host(error: *const imgroup_error) -> *const c_char {
    get(error, c_pointer(None), |texts| c_pointer(Some(&texts.host)))
}

/// The `random` of the last attempt: the number in its URL by which the vendor's
/// support finds a request.
///
/// @param error  an error, or NULL.
/// @return the number; 0 if there was no attempt, or for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_error_random(error: *const imgroup_error) -> u32 {
    get(error, 0, |texts| texts.error.random().unwrap_or(0))
}

/// Frees an error and all texts borrowed from it.
///
/// @param error  an error, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_error_free(error: *mut imgroup_error) {
    // SAFETY: the caller gives the handle up.
    guard_or((), || unsafe { handle::take_back(error) });
}
