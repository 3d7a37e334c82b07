//! `imgroup_call`: the control of one call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::error::imgroup_error;
use super::guard::{guard, guard_or};
use super::handle::{self, Handle};
use crate::call::{CallOptions, Control};
use crate::config::TIMEOUT_MAX_MS;
use crate::error::{Error, Result};

/// What one call asks for beyond its arguments: its own deadline, and the means to
/// cancel it. Optional: every call takes NULL for the defaults. May be used for
/// any number of calls, one after the other. One thread at a time, but for
/// imgroup_call_cancel.
pub struct imgroup_call {
    _private: [u8; 0],
}

#[derive(Default)]
pub(super) struct Call {
    control: Arc<Control>,
    timeout_ms: AtomicU32,
    ignore_missing: AtomicBool,
}

impl Handle for imgroup_call {
    type Value = Call;
    const MAGIC: u64 = 0x4341_4c4c_6d69_6567;
}

impl imgroup_call {
    /// The options a call was given, or the defaults for NULL.
    ///
    /// # Safety
    /// `call` is NULL or a live handle.
    pub(super) unsafe fn options(call: *const imgroup_call) -> Result<CallOptions> {
        if call.is_null() {
            return Ok(CallOptions::default());
        }
        // SAFETY: the same promise.
        let call = unsafe { handle::borrow(call, "call") }?;
        let timeout_ms = call.timeout_ms.load(Ordering::Relaxed);
        Ok(CallOptions {
            timeout: (timeout_ms != 0).then(|| Duration::from_millis(u64::from(timeout_ms))),
            ignore_missing: call.ignore_missing.load(Ordering::Relaxed),
            control: Some(Arc::clone(&call.control)),
        })
    }
}

/// Makes the control of a call.
///
/// @param call   out: the handle; free it with imgroup_call_free.
/// @param error  out, may be NULL: why it failed.
/// @return IMGROUP_OK, or IMGROUP_E_INVALID_ARGUMENT if `call` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_call_new(
    call: *mut *mut imgroup_call,
    error: *mut *mut imgroup_error,
) -> i32 {
    handle::put(call, std::ptr::null_mut());
    guard(error, || {
        handle::required(call, "call")?;
        handle::put(call, handle::give(Call::default()));
        Ok(())
    })
}

/// Sets how long a call with this control may take, all attempts and pauses
/// included.
///
/// @param call        the control.
/// @param timeout_ms  1 to 600000 milliseconds; 0 for the client's own.
/// @param error       out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_call_set_timeout_ms(
    call: *mut imgroup_call,
    timeout_ms: u32,
    error: *mut *mut imgroup_error,
) -> i32 {
    guard(error, || {
        // SAFETY: the caller passes NULL or a live handle.
        let call = unsafe { handle::borrow(call, "call") }?;
        if timeout_ms > TIMEOUT_MAX_MS {
            return Err(Error::argument(
                "timeout_ms",
                format_args!("must be 1 to {TIMEOUT_MAX_MS} (0 for the client's own), not {timeout_ms}"),
            ));
        }
        call.timeout_ms.store(timeout_ms, Ordering::Relaxed);
        Ok(())
    })
}

/// Sets whether imgroup_delete_lists with this control succeeds when a list does
/// not exist. The service may refuse the whole request for one missing list; the
/// library then reads the account's lists and deletes those that are left. It
/// costs up to two requests more.
///
/// @param call            the control.
/// @param ignore_missing  0: a missing list may fail the call, as the service
///                        decides (the default); anything else: it does not.
/// @param error           out, may be NULL: why it failed.
/// @return IMGROUP_OK or IMGROUP_E_HANDLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_call_set_ignore_missing(
    call: *mut imgroup_call,
    ignore_missing: i32,
    error: *mut *mut imgroup_error,
) -> i32 {
    guard(error, || {
        // SAFETY: the caller passes NULL or a live handle.
        let call = unsafe { handle::borrow(call, "call") }?;
        call.ignore_missing.store(ignore_missing != 0, Ordering::Relaxed);
        Ok(())
    })
}

/// Ends the call that uses this control, within 50 ms wherever it waits, with
/// IMGROUP_E_CANCELLED; its outcome tells what may have become of it. Sticky:
/// later calls with this control fail at once, until imgroup_call_reset. Does
/// nothing for NULL.
///
/// Any thread may call this, also while another one uses the control, but not
/// during or after imgroup_call_free.
///
/// @param call  the control.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_call_cancel(call: *mut imgroup_call) {
    guard_or((), || {
        // SAFETY: the caller passes NULL or a live handle; only shared access is
        // taken, as everywhere for this type.
        if let Ok(call) = unsafe { handle::borrow(call, "call") } {
            call.control.cancel();
        }
    });
}

/// Allows calls again after imgroup_call_cancel. Not while a call uses it. Does
/// nothing for NULL.
///
/// @param call  the control.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_call_reset(call: *mut imgroup_call) {
    guard_or((), || {
        // SAFETY: the caller passes NULL or a live handle.
        if let Ok(call) = unsafe { handle::borrow(call, "call") } {
            call.control.reset();
        }
    });
}

/// Frees the control of a call. Not while a call uses it.
///
/// @param call  the control, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_call_free(call: *mut imgroup_call) {
    // SAFETY: the caller gives the handle up.
    guard_or((), || unsafe { handle::take_back(call) });
}
