//! No panic leaves the library: each exported body runs in here.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use super::error::imgroup_error;
use crate::codes;
use crate::error::{Error, Outcome};

thread_local! {
    static GUARDED: Cell<u32> = const { Cell::new(0) };
}

/// Keeps the panic hook quiet on this thread while it lives: the panic is
/// reported as an error instead.
struct Quiet;

impl Quiet {
    fn new() -> Quiet {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let previous = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                if GUARDED.with(Cell::get) == 0 {
                    previous(info);
                }
            }));
        });
        GUARDED.with(|depth| depth.set(depth.get() + 1));
        Quiet
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        GUARDED.with(|depth| depth.set(depth.get() - 1));
    }
}

/// Runs a fallible body: gives its code, and its error if one is wanted.
pub(super) fn guard(error: *mut *mut imgroup_error, body: impl FnOnce() -> Result<(), Error>) -> i32 {
    super::handle::put(error, std::ptr::null_mut());
    let _quiet = Quiet::new();
    let result =
        panic::catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| Err(of_panic(&*payload)));
    match result {
        Ok(()) => codes::OK,
        Err(failure) => {
            let code = failure.code();
            if !error.is_null() {
                super::handle::put(error, imgroup_error::new(failure));
            }
            code
        }
    }
}

/// Runs a body that cannot fail; a panic gives `otherwise`.
pub(super) fn guard_or<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    let _quiet = Quiet::new();
    panic::catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

fn of_panic(payload: &(dyn Any + Send)) -> Error {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text");
    let mut error = Error::new(codes::PANIC, format!("an internal error was caught: {text}"));
    // Where it happened is not known, nor what was sent before.
    error.details_mut().outcome = Outcome::Unknown;
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_code_and_the_hook_is_back_afterwards() {
        let mut error = std::ptr::null_mut();
        assert_eq!(guard(&raw mut error, || panic!("planted")), codes::PANIC);
        assert!(!error.is_null());
        // SAFETY: the guard has just made it.
        unsafe { crate::ffi::error::imgroup_error_free(error) };
        assert_eq!(guard_or(7, || panic!("planted")), 7);
        assert_eq!(GUARDED.with(Cell::get), 0);
    }
}
