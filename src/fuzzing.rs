//! The doors by which `fuzz/` comes in: bytes in place of the network, and the
//! envelope of a reply. Only with the feature `fuzzing`; nothing of it is shipped.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::TcpStream;

use crate::envelope::{self, NO_ITEMS};
use crate::lists::{self, FriendResult, List};

thread_local! {
    static CONNECTIONS: RefCell<VecDeque<TcpStream>> = const { RefCell::new(VecDeque::new()) };
}

/// Whoever connects on this thread gets these, in order, and then dials as always.
pub fn connect_to(connections: impl IntoIterator<Item = TcpStream>) {
    CONNECTIONS.set(connections.into_iter().collect());
}

pub(crate) fn connection() -> Option<TcpStream> {
    CONNECTIONS.with_borrow_mut(VecDeque::pop_front)
}

/// What a reply was understood to say.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Envelope {
    pub code: i32,
    pub sequence: Option<u64>,
    pub info: String,
    pub display: String,
    pub lists: Result<Vec<List>, String>,
    pub friends: Result<Vec<FriendResult>, String>,
}

/// Reads a reply, both as the answer to a get and as that to an add.
pub fn envelope(body: &[u8]) -> Result<Envelope, String> {
    let envelope = envelope::Envelope::parse(body)?;
    let items = envelope.items().map_or(NO_ITEMS, |range| &body[range]);
    Ok(Envelope {
        code: envelope.code,
        sequence: envelope.sequence,
        info: envelope.info(),
        display: envelope.display(),
        lists: lists::items_of(items),
        friends: lists::items_of(items),
    })
}
