//! `imgroup_client`, and the calls.

use std::ffi::{CString, c_char};
use std::sync::Arc;

use super::call::imgroup_call;
use super::config::imgroup_config;
use super::error::imgroup_error;
use super::guard::{guard, guard_or};
use super::handle::{self, Handle};
use super::input;
use super::response::imgroup_response;
use crate::call::CallOptions;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::lists::Response;

/// A client of the service. May be used from many threads at once, and in a child
/// after fork(). It keeps connections, the ticket and the order of writes on each
/// account, so make one and keep it.
///
/// To end it: imgroup_client_shutdown, then imgroup_client_free. Freeing it while
/// another thread is inside one of its calls is safe; beginning a call with it
/// during or after the free is not.
pub struct imgroup_client {
    _private: [u8; 0],
}

impl Handle for imgroup_client {
    // Jobs keep the client itself.
    type Value = Arc<Client>;
    const MAGIC: u64 = 0x434c_4e54_6d69_6567;
}

/// Flags of imgroup_request.
#[repr(C)]
pub enum imgroup_request_flag {
    /// The command does no harm when it is applied twice, so it may be repeated
    /// when its outcome is open.
    IMGROUP_REQUEST_IDEMPOTENT = 1,
}

const IDEMPOTENT: u32 = imgroup_request_flag::IMGROUP_REQUEST_IDEMPOTENT as u32;

/// Makes a client. Reads the CA file, if one is set; connects nowhere yet.
///
/// @param config  the configuration; copied.
/// @param client  out: the handle; free it with imgroup_client_free.
/// @param error   out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE, IMGROUP_E_INVALID_ARGUMENT, or
///         IMGROUP_E_CONFIG if no host is set or the CA file cannot be used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_client_new(
    config: *const imgroup_config,
    client: *mut *mut imgroup_client,
    error: *mut *mut imgroup_error,
) -> i32 {
    handle::put(client, std::ptr::null_mut());
    guard(error, || {
        handle::required(client, "client")?;
        // SAFETY: the caller passes NULL or a live handle.
        let config = unsafe { handle::borrow(config, "config") }?;
        handle::put(client, handle::give_shared(Arc::new(Client::new(config)?)));
        Ok(())
    })
}

/// Runs a call in the frame they all share.
///
/// # Safety
/// The handles are NULL or live; `response` is NULL or a place for a pointer.
unsafe fn run(
    client: *const imgroup_client,
    call: *const imgroup_call,
    response: *mut *mut imgroup_response,
    error: *mut *mut imgroup_error,
    body: impl FnOnce(&Client, &CallOptions) -> Result<Response>,
) -> i32 {
    handle::put(response, std::ptr::null_mut());
    guard(error, || {
        // SAFETY: the same promise.
        let (client, options) = unsafe { (handle::enter(client, "client")?, imgroup_call::options(call)?) };
        let reply = body(&client.value, &options)?;
        if !response.is_null() {
            handle::put(response, imgroup_response::new(reply));
        }
        Ok(())
    })
}

/// Deletes friend lists of an account (v4/sns/group_delete, "Deleting a List").
/// The friends in them stay friends.
///
/// Writes on one account are sent one after the other, and deletes that wait for
/// the same account leave as one request. A delete is safe to repeat, so the
/// library does that when an attempt fails without a clear answer. If a list turns
/// out to be missing after such an attempt, or imgroup_call_set_ignore_missing was
/// set, it reads the account's lists and succeeds when none of the names is left.
///
/// @param client     the client.
/// @param account    whose lists: 1 to 32 bytes.
/// @param names      which lists: 1 to 32 names of 1 to 30 bytes.
/// @param names_len  how many names.
/// @param call       deadline and cancellation; NULL for the defaults.
/// @param response   out, may be NULL: what the service answered; free it with
///                   imgroup_response_free.
/// @param error      out, may be NULL: why it failed.
/// @return IMGROUP_OK when none of the lists exists any more; a code of enum
///         imgroup_code; or the service's ErrorCode, among them 30001 (a list does
///         not exist, or a parameter is wrong), 30003 (no such account).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_delete_lists(
    client: *mut imgroup_client,
    account: *const c_char,
    names: *const *const c_char,
    names_len: usize,
    call: *mut imgroup_call,
    response: *mut *mut imgroup_response,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes what the parameters say.
    unsafe {
        run(client, call, response, error, |client, options| {
            client.delete_lists(
                input::text(account, "account")?,
                &input::texts(names, names_len, "names")?,
                options,
            )
        })
    }
}

/// Creates friend lists of an account, and puts friends into every one of them
/// (v4/sns/group_add, "Adding a List"). An account has 32 lists at most.
///
/// Adding is not safe to repeat. If an attempt fails without a clear answer, the
/// call fails with the outcome IMGROUP_OUTCOME_UNKNOWN.
///
/// A friend that could not be put into the lists does not fail the call: see
/// imgroup_response_result_code.
///
/// @param client       the client.
/// @param account      whose lists: 1 to 32 bytes.
/// @param names        which lists: 1 to 32 names of 1 to 30 bytes without control
///                     characters.
/// @param names_len    how many names.
/// @param friends      who is put into each of them: up to 1000 accounts of 1 to
///                     32 bytes; (NULL, 0) for nobody.
/// @param friends_len  how many friends.
/// @param call         deadline and cancellation; NULL for the defaults.
/// @param response     out, may be NULL: what the service answered; free it with
///                     imgroup_response_free.
/// @param error        out, may be NULL: why it failed.
/// @return IMGROUP_OK, a code of enum imgroup_code, or the service's ErrorCode,
///         among them 30001 (a list exists already), 30003 (no such account),
///         30011 (32 lists already).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_add_lists(
    client: *mut imgroup_client,
    account: *const c_char,
    names: *const *const c_char,
    names_len: usize,
    friends: *const *const c_char,
    friends_len: usize,
    call: *mut imgroup_call,
    response: *mut *mut imgroup_response,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes what the parameters say.
    unsafe {
        run(client, call, response, error, |client, options| {
            client.add_lists(
                input::text(account, "account")?,
                &input::texts(names, names_len, "names")?,
                &input::texts(friends, friends_len, "friends")?,
                options,
            )
        })
    }
}

/// Reads friend lists of an account (v4/sns/group_get, "Pulling Lists").
///
/// @param client        the client.
/// @param account       whose lists: 1 to 32 bytes.
/// @param names         which lists: up to 32 names; (NULL, 0) for all.
/// @param names_len     how many names.
/// @param with_members  0: names and sizes only; anything else: the members too.
/// @param call          deadline and cancellation; NULL for the defaults.
/// @param response      out, may be NULL: the lists; free it with
///                      imgroup_response_free.
/// @param error         out, may be NULL: why it failed.
/// @return IMGROUP_OK, a code of enum imgroup_code, or the service's ErrorCode,
///         among them 30003 (no such account).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_get_lists(
    client: *mut imgroup_client,
    account: *const c_char,
    names: *const *const c_char,
    names_len: usize,
    with_members: i32,
    call: *mut imgroup_call,
    response: *mut *mut imgroup_response,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes what the parameters say.
    unsafe {
        run(client, call, response, error, |client, options| {
            client.get_lists(
                input::text(account, "account")?,
                &input::texts(names, names_len, "names")?,
                with_members != 0,
                options,
            )
        })
    }
}

/// Sends any other command of the REST API, with the same signing, pace, retries
/// and errors. The reply is imgroup_response_body.
///
/// A command of v4/sns that writes waits for its turn among the writes on its
/// From_Account.
///
/// @param client    the client.
/// @param command   "v4/SERVICE/COMMAND", as "v4/sns/friend_get".
/// @param body      a JSON object of up to 1048576 bytes; "{}" for nothing.
/// @param body_len  its length in bytes.
/// @param flags     0, or IMGROUP_REQUEST_IDEMPOTENT.
/// @param call      deadline and cancellation; NULL for the defaults.
/// @param response  out, may be NULL: what the service answered; free it with
///                  imgroup_response_free.
/// @param error     out, may be NULL: why it failed.
/// @return IMGROUP_OK, a code of enum imgroup_code, or the service's ErrorCode.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_request(
    client: *mut imgroup_client,
    command: *const c_char,
    body: *const c_char,
    body_len: usize,
    flags: u32,
    call: *mut imgroup_call,
    response: *mut *mut imgroup_response,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes what the parameters say.
    unsafe {
        run(client, call, response, error, |client, options| {
            if flags & !IDEMPOTENT != 0 {
                return Err(Error::argument(
                    "flags",
                    format_args!("has unknown bits: {:#x}", flags & !IDEMPOTENT),
                ));
            }
            client.request(
                input::text(command, "command")?,
                input::text_of_length(body, body_len, "body")?,
                flags & IDEMPOTENT != 0,
                options,
            )
        })
    }
}

/// What this client did so far, for an operator: calls, attempts, retries by
/// reason, outcomes, connections, quota waits, latencies.
///
/// @param client  the client.
/// @param text    out: a JSON object; free it with imgroup_string_free. Members
///                may be added in later versions.
/// @param error   out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_client_stats(
    client: *mut imgroup_client,
    text: *mut *mut c_char,
    error: *mut *mut imgroup_error,
) -> i32 {
    handle::put(text, std::ptr::null_mut());
    guard(error, || {
        handle::required(text, "text")?;
        // SAFETY: the caller passes NULL or a live handle.
        let client = unsafe { handle::enter(client.cast_const(), "client") }?;
        handle::put(text, CString::new(client.value.stats()).expect("JSON holds no NUL").into_raw());
        Ok(())
    })
}

/// Ends all calls of the client within 50 ms, with IMGROUP_E_SHUTDOWN, and lets no
/// more begin. For good, and idempotent. Does nothing for NULL.
///
/// @param client  the client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_client_shutdown(client: *mut imgroup_client) {
    guard_or((), || {
        // SAFETY: the caller passes NULL or a live handle.
        if let Ok(client) = unsafe { handle::enter(client.cast_const(), "client") } {
            client.value.shutdown();
        }
    });
}

/// Frees a client. Calls of other threads that are inside go on and end normally;
/// to end them too, call imgroup_client_shutdown first.
///
/// @param client  a client, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_client_free(client: *mut imgroup_client) {
    // SAFETY: the caller gives the handle up.
    guard_or((), || unsafe { handle::leave(client) });
}
