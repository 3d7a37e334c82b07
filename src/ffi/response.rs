//! `imgroup_response`: what a successful call gave.

use std::ffi::c_char;

use super::guard::guard_or;
use super::handle::{self, Handle};
use crate::lists::Response;

/// What a call gave. One thread at a time.
///
/// All getters take NULL and an index out of range, and then answer 0 or NULL.
pub struct imgroup_response {
    _private: [u8; 0],
}

impl Handle for imgroup_response {
    type Value = Response;
    const MAGIC: u64 = 0x5245_5350_6d69_6567;
}

impl imgroup_response {
    pub(super) fn new(mut response: Response) -> *mut imgroup_response {
        // The body is handed out as a text too; its length does not count this.
        response.body.push(0);
        handle::give(response)
    }
}

fn get<T: Copy>(
    response: *const imgroup_response,
    otherwise: T,
    read: impl FnOnce(&Response) -> Option<T>,
) -> T {
    guard_or(otherwise, || {
        // SAFETY: the caller passes NULL or a live handle.
        unsafe { handle::borrow(response, "response") }.ok().and_then(read).unwrap_or(otherwise)
    })
}

/// The sequence of the account's lists after the call (CurrentSequence). It
/// changes when the lists change; nothing else is promised of it.
///
/// @param response  a response, or NULL.
/// @return the sequence; 0 if the reply held none, which
///         imgroup_response_has_sequence tells apart.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_response_sequence(response: *const imgroup_response) -> u64 {
    get(response, 0, |response| response.sequence)
}

/// Whether the reply held a sequence.
///
/// @param response  a response, or NULL.
/// @return 1 if so, else 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_response_has_sequence(response: *const imgroup_response) -> i32 {
    get(response, 0, |response| Some(i32::from(response.sequence.is_some())))
}

/// How many times the request was sent. What the library read to find out whether a
/// list is gone does not count.
///
/// @param response  a response, or NULL.
/// @return their number, 1 if all went well at once; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_response_attempts(response: *const imgroup_response) -> u32 {
    get(response, 0, |response| Some(response.attempts))
}

/// Whether an attempt before the last one may have been applied already.
///
/// @param response  a response, or NULL.
/// @return 1 if so, else 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_response_was_ambiguous(response: *const imgroup_response) -> i32 {
    get(response, 0, |response| Some(i32::from(response.was_ambiguous)))
}

/// The body of the last reply: a JSON object, unchanged, with a NUL behind it.
///
/// @param response  a response, or NULL.
/// @param length    out, may be NULL: its length in bytes, without the NUL.
/// @return a text borrowed from the response; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_response_body(
    response: *const imgroup_response,
    length: *mut usize,
) -> *const c_char {
    handle::put(length, 0);
    get(response, std::ptr::null(), |response| {
        handle::put(length, response.body.len() - 1);
        Some(response.body.as_ptr().cast())
    })
}

/// After imgroup_get_lists: how many lists came back.
///
/// @param response  a response, or NULL.
/// @return their number; 0 after other calls, or for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_response_list_count(response: *const imgroup_response) -> usize {
    get(response, 0, |response| Some(response.lists.len()))
}

/// The name of a list.
///
/// @param response  a response, or NULL.
/// @param index     from 0.
/// @return a text borrowed from the response; NULL if there is no such list.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_response_list_name(
    response: *const imgroup_response,
    index: usize,
) -> *const c_char {
    get(response, std::ptr::null(), |response| {
        response.lists.get(index).map(|list| list.name.as_c_str().as_ptr())
    })
}

/// How many friends are in a list, whether they were asked for or not.
///
/// @param response  a response, or NULL.
/// @param index     from 0.
/// @return their number; 0 if there is no such list.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_response_list_friend_count(
    response: *const imgroup_response,
    index: usize,
) -> u64 {
    get(response, 0, |response| response.lists.get(index).map(|list| list.friend_count))
}

/// How many members of a list came back.
///
/// @param response  a response, or NULL.
/// @param index     from 0.
/// @return their number; 0 if they were not asked for, or there is no such list.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_response_member_count(
    response: *const imgroup_response,
    index: usize,
) -> usize {
    get(response, 0, |response| response.lists.get(index).map(|list| list.members.len()))
}

/// The account of a member of a list.
///
/// @param response  a response, or NULL.
/// @param index     the list, from 0.
/// @param member    the member, from 0.
/// @return a text borrowed from the response; NULL if there is no such member.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_response_member(
    response: *const imgroup_response,
    index: usize,
    member: usize,
) -> *const c_char {
    get(response, std::ptr::null(), |response| {
        response.lists.get(index)?.members.get(member).map(|account| account.as_c_str().as_ptr())
    })
}

/// After imgroup_add_lists with friends: for how many of them the service
/// answered.
///
/// @param response  a response, or NULL.
/// @return their number; 0 after other calls, or for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_response_result_count(response: *const imgroup_response) -> usize {
    get(response, 0, |response| Some(response.friends.len()))
}

/// Which friend a result is about.
///
/// @param response  a response, or NULL.
/// @param index     from 0.
/// @return a text borrowed from the response; NULL if there is no such result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_response_result_account(
    response: *const imgroup_response,
    index: usize,
) -> *const c_char {
    get(response, std::ptr::null(), |response| {
        response.friends.get(index).map(|friend| friend.account.as_c_str().as_ptr())
    })
}

/// What became of a friend that imgroup_add_lists was to put into the lists. They
/// were created all the same.
///
/// @param response  a response, or NULL.
/// @param index     from 0.
/// @return IMGROUP_OK, or the service's code for this friend alone, which
///         imgroup_code_name knows; 0 also if there is no such result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_response_result_code(
    response: *const imgroup_response,
    index: usize,
) -> i32 {
    get(response, 0, |response| response.friends.get(index).map(|friend| friend.code))
}

/// The service's text about a friend; may say "OK" or nothing on success.
///
/// @param response  a response, or NULL.
/// @param index     from 0.
/// @return a text borrowed from the response; NULL if there is no such result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_response_result_info(
    response: *const imgroup_response,
    index: usize,
) -> *const c_char {
    get(response, std::ptr::null(), |response| {
        response.friends.get(index).map(|friend| friend.info.as_c_str().as_ptr())
    })
}

/// Frees a response and all texts borrowed from it.
///
/// @param response  a response, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_response_free(response: *mut imgroup_response) {
    // SAFETY: the caller gives the handle up.
    guard_or((), || unsafe { handle::take_back(response) });
}
