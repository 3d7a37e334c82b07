//! Signing for any user of the app.

use std::ffi::{CString, c_char};

use super::error::imgroup_error;
use super::guard::{guard, guard_or};
use super::handle;
use super::input;
use crate::usersig::{Claims, usersig};

/// Makes a UserSig, the ticket with which a user of the app logs in. Servers hand
/// these to their own clients. A client object needs none: it signs for itself.
///
/// The format is that of the vendor's generators, TLSSigAPIv2 ("Generating
/// UserSig", HMAC-SHA256).
///
/// @param sdkappid     the SDKAppID of the app, not 0.
/// @param identifier   the user: 1 to 32 bytes of printable ASCII.
/// @param secret_key   the key of the app as printed in the console, not decoded.
/// @param ttl_s        how long it is valid: 1 to 1576800000 seconds (50 years);
///                     the vendor advises a day or more.
/// @param issued_at    from when on: seconds since 1970, or 0 for now.
/// @param userbuf      bytes for the room permissions of TRTC; (NULL, 0) for IM.
/// @param userbuf_len  their number.
/// @param text         out: the ticket; free it with imgroup_string_free.
/// @param error        out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_INVALID_ARGUMENT or IMGROUP_E_INVALID_UTF8.
///
/// May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_usersig(
    sdkappid: u32,
    identifier: *const c_char,
    secret_key: *const c_char,
    ttl_s: u32,
    issued_at: i64,
    userbuf: *const u8,
    userbuf_len: usize,
    text: *mut *mut c_char,
    error: *mut *mut imgroup_error,
) -> i32 {
    handle::put(text, std::ptr::null_mut());
    guard(error, || {
        handle::required(text, "text")?;
        // SAFETY: the caller passes NULL or NUL-terminated texts, and as many
        // bytes as announced.
        let (identifier, secret_key, userbuf) = unsafe {
            (
                input::text(identifier, "identifier")?,
                input::text(secret_key, "secret_key")?,
                input::bytes(userbuf, userbuf_len, "userbuf")?,
            )
        };
        let ticket = usersig(secret_key, &Claims { sdkappid, identifier, issued_at, ttl_s, userbuf })?;
        handle::put(text, CString::new(ticket).expect("base64 holds no NUL").into_raw());
        Ok(())
    })
}

/// Frees a text that this library gave out as `char *`.
///
/// @param text  the text, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_string_free(text: *mut c_char) {
    guard_or((), || {
        if !text.is_null() {
            // SAFETY: every `char *` this library gives out comes from
            // `CString::into_raw`, and the caller gives it up.
            drop(unsafe { CString::from_raw(text) });
        }
    });
}
