//! Names for the numbers.

use std::ffi::{CString, c_char};

use once_cell::sync::OnceCell;

use super::guard::guard_or;
use crate::codes::{self, CODES, Class};
use crate::error::Outcome;

/// What functions return. Negative codes are raised by this library; a positive
/// one is the service's ErrorCode, and imgroup_code_name knows the documented
/// ones. Numbers are never reused.
#[repr(C)]
pub enum imgroup_code {
    /// Success.
    IMGROUP_OK = 0,
    /// An argument breaks a rule; the message names the parameter.
    IMGROUP_E_INVALID_ARGUMENT = -1,
    /// A text is not valid UTF-8.
    IMGROUP_E_INVALID_UTF8 = -2,
    /// A handle is NULL, freed or of another type.
    IMGROUP_E_HANDLE = -3,
    /// The configuration is wrong or incomplete.
    IMGROUP_E_CONFIG = -4,
    /// The host name could not be resolved.
    IMGROUP_E_DNS = -10,
    /// The host could not be connected.
    IMGROUP_E_CONNECT = -11,
    /// No trusted TLS connection could be made.
    IMGROUP_E_TLS = -12,
    /// The connection broke before the reply was complete.
    IMGROUP_E_IO = -13,
    /// The reply had another HTTP status than 200.
    IMGROUP_E_HTTP_STATUS = -14,
    /// The reply could not be understood.
    IMGROUP_E_BAD_REPLY = -15,
    /// The time for the call or an attempt ran out.
    IMGROUP_E_DEADLINE = -20,
    /// The call was cancelled.
    IMGROUP_E_CANCELLED = -21,
    /// The client was shut down.
    IMGROUP_E_SHUTDOWN = -22,
    /// No quota slot could be had before the deadline.
    IMGROUP_E_QUOTA = -23,
    /// The process ran out of descriptors, threads or memory.
    IMGROUP_E_RESOURCE = -30,
    /// An internal error of the library was caught.
    IMGROUP_E_PANIC = -31,
    /// The journal belongs to another job.
    IMGROUP_E_JOB_MISMATCH = -40,
    /// Another run holds the journal.
    IMGROUP_E_JOB_BUSY = -41,
    /// The journal is damaged.
    IMGROUP_E_JOB_CORRUPT = -42,
    /// The job stopped before its end and can be resumed.
    IMGROUP_E_JOB_STOPPED = -43,
}

/// What kind of failure an error is; see imgroup_error_class.
#[repr(C)]
pub enum imgroup_class {
    /// An argument or a setting breaks a rule, or the service refused a value.
    IMGROUP_CLASS_ARGUMENT = 1,
    /// The service could not be reached, or the reply was lost.
    IMGROUP_CLASS_NETWORK = 2,
    /// The deadline passed.
    IMGROUP_CLASS_DEADLINE = 3,
    /// The caller cancelled, or shut the client down.
    IMGROUP_CLASS_CANCELLED = 4,
    /// Too many requests for the quota of the app.
    IMGROUP_CLASS_THROTTLED = 5,
    /// Credentials, permissions or the state of the app.
    IMGROUP_CLASS_AUTH = 6,
    /// The account, friend or list does not exist.
    IMGROUP_CLASS_NOT_FOUND = 7,
    /// The service failed, or its reply makes no sense.
    IMGROUP_CLASS_SERVER = 8,
    /// This library or the process ran out of something.
    IMGROUP_CLASS_INTERNAL = 9,
}

/// What became of a failed request; see imgroup_error_outcome.
#[repr(C)]
pub enum imgroup_outcome {
    /// Nothing was sent that could have been applied.
    IMGROUP_OUTCOME_NOT_SENT = 0,
    /// The service answered and refused; nothing was applied.
    IMGROUP_OUTCOME_REJECTED = 1,
    /// It may have been applied, or not.
    IMGROUP_OUTCOME_UNKNOWN = 2,
}

/// The names of the table, in its order, for C.
fn names() -> &'static [CString] {
    static NAMES: OnceCell<Vec<CString>> = OnceCell::new();
    NAMES.get_or_init(|| CODES.iter().map(|code| super::handle::c_text(code.name)).collect())
}

/// The symbolic name of a code: "IMGROUP_E_DEADLINE", or the vendor's own name
/// for a code of the service, "ERR_SVR_FRIENDSHIP_ACCOUNT_NOT_FOUND".
///
/// @param code  whatever a function returned.
/// @return a text that lives for ever, "UNKNOWN" for a code nobody documented;
///         never NULL.
///
/// May be called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn imgroup_code_name(code: i32) -> *const c_char {
    guard_or(c"UNKNOWN".as_ptr(), || match CODES.binary_search_by_key(&code, |row| row.number) {
        Ok(index) => names()[index].as_ptr(),
        Err(_) => c"UNKNOWN".as_ptr(),
    })
}

/// The class a code belongs to.
///
/// @param code  whatever a function returned.
/// @return one of enum imgroup_class; 0 for IMGROUP_OK.
///
/// May be called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn imgroup_code_class(code: i32) -> i32 {
    if code == codes::OK { 0 } else { codes::class(code) as i32 }
}

/// The name of a class: "network", "not_found", …
///
/// @param class_number  one of enum imgroup_class.
/// @return a text that lives for ever, "" for another number; never NULL.
///
/// May be called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn imgroup_class_name(class_number: i32) -> *const c_char {
    match class_number {
        1 => c"argument",
        2 => c"network",
        3 => c"deadline",
        4 => c"cancelled",
        5 => c"throttled",
        6 => c"auth",
        7 => c"not_found",
        8 => c"server",
        9 => c"internal",
        _ => c"",
    }
    .as_ptr()
}

/// The name of an outcome: "NOT_SENT", "REJECTED" or "UNKNOWN".
///
/// @param outcome  one of enum imgroup_outcome.
/// @return a text that lives for ever, "" for another number; never NULL.
///
/// May be called from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn imgroup_outcome_name(outcome: i32) -> *const c_char {
    match outcome {
        0 => c"NOT_SENT",
        1 => c"REJECTED",
        2 => c"UNKNOWN",
        _ => c"",
    }
    .as_ptr()
}

// The numbers that C sees are the core's.
const _: () = {
    assert!(imgroup_code::IMGROUP_E_INVALID_ARGUMENT as i32 == codes::INVALID_ARGUMENT);
    assert!(imgroup_code::IMGROUP_E_INVALID_UTF8 as i32 == codes::INVALID_UTF8);
    assert!(imgroup_code::IMGROUP_E_HANDLE as i32 == codes::HANDLE);
    assert!(imgroup_code::IMGROUP_E_CONFIG as i32 == codes::CONFIG);
    assert!(imgroup_code::IMGROUP_E_DNS as i32 == codes::DNS);
    assert!(imgroup_code::IMGROUP_E_CONNECT as i32 == codes::CONNECT);
    assert!(imgroup_code::IMGROUP_E_TLS as i32 == codes::TLS);
    assert!(imgroup_code::IMGROUP_E_IO as i32 == codes::IO);
    assert!(imgroup_code::IMGROUP_E_HTTP_STATUS as i32 == codes::HTTP_STATUS);
    assert!(imgroup_code::IMGROUP_E_BAD_REPLY as i32 == codes::BAD_REPLY);
    assert!(imgroup_code::IMGROUP_E_DEADLINE as i32 == codes::DEADLINE);
    assert!(imgroup_code::IMGROUP_E_CANCELLED as i32 == codes::CANCELLED);
    assert!(imgroup_code::IMGROUP_E_SHUTDOWN as i32 == codes::SHUTDOWN);
    assert!(imgroup_code::IMGROUP_E_QUOTA as i32 == codes::QUOTA);
    assert!(imgroup_code::IMGROUP_E_RESOURCE as i32 == codes::RESOURCE);
    assert!(imgroup_code::IMGROUP_E_PANIC as i32 == codes::PANIC);
    assert!(imgroup_code::IMGROUP_E_JOB_MISMATCH as i32 == codes::JOB_MISMATCH);
    assert!(imgroup_code::IMGROUP_E_JOB_BUSY as i32 == codes::JOB_BUSY);
    assert!(imgroup_code::IMGROUP_E_JOB_CORRUPT as i32 == codes::JOB_CORRUPT);
    assert!(imgroup_code::IMGROUP_E_JOB_STOPPED as i32 == codes::JOB_STOPPED);
    assert!(imgroup_class::IMGROUP_CLASS_ARGUMENT as i32 == Class::Argument as i32);
    assert!(imgroup_class::IMGROUP_CLASS_INTERNAL as i32 == Class::Internal as i32);
    assert!(imgroup_outcome::IMGROUP_OUTCOME_UNKNOWN as i32 == Outcome::Unknown as i32);
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    fn text(pointer: *const c_char) -> &'static str {
        // SAFETY: the functions under test return texts that live for ever.
        unsafe { CStr::from_ptr(pointer) }.to_str().unwrap()
    }

    #[test]
    fn names_for_c_are_those_of_the_core() {
        for code in CODES {
            assert_eq!(text(imgroup_code_name(code.number)), code.name);
            if code.number != codes::OK {
                let class = imgroup_code_class(code.number);
                assert_eq!(text(imgroup_class_name(class)), code.class.name());
            }
        }
        assert_eq!(text(imgroup_code_name(12345)), "UNKNOWN");
        assert_eq!(text(imgroup_class_name(0)), "");
        for outcome in [Outcome::NotSent, Outcome::Rejected, Outcome::Unknown] {
            assert_eq!(text(imgroup_outcome_name(outcome as i32)), outcome.name());
        }
    }
}
