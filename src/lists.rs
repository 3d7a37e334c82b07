//! Friend lists: what a request may ask, and what a reply tells.
//!
//! On the wire a friend list is a *group* and its owner *From_Account*; those
//! names stand here and nowhere else. The rules are those of "Adding a List",
//! "Deleting a List" and "Pulling Lists" of the REST API; lengths are bytes.

#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::text::Text;
use crate::usersig::IDENTIFIER_MAX;

/// An account has at most so many lists, and a request names at most so many.
pub const LISTS_MAX: usize = 32;
/// The longest name of a list, in bytes.
pub const NAME_MAX: usize = 30;
/// The most friends one request puts into lists.
pub const FRIENDS_MAX: usize = 1000;

/// What a call gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// `CurrentSequence`: the version of the account's table of lists. It changes
    /// with the lists; nothing else is promised of it.
    pub sequence: Option<u64>,
    /// How many times the request was sent; reads to find out whether a list is gone
    /// do not count.
    pub attempts: u32,
    /// An earlier attempt may have been applied already.
    pub was_ambiguous: bool,
    /// The body of the last reply, JSON.
    pub body: Vec<u8>,
    /// For an add: what became of each friend.
    pub friends: Vec<FriendResult>,
    /// For a get: the lists.
    pub lists: Vec<List>,
    /// For a delete that looked for missing lists: which of its own there were not.
    pub already_gone: Vec<String>,
}

/// What became of one friend of an add.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "FriendItem")]
pub struct FriendResult {
    /// The friend.
    pub account: Text,
    /// 0, or the server's code for this friend alone.
    pub code: i32,
    /// The server's text for developers.
    pub info: Text,
}

/// One friend list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "ListItem")]
pub struct List {
    /// Its name.
    pub name: Text,
    /// How many friends are in it.
    pub friend_count: u64,
    /// The friends, if they were asked for.
    pub members: Vec<Text>,
}

#[derive(Serialize)]
struct Delete<'a> {
    #[serde(rename = "From_Account")]
    account: &'a str,
    #[serde(rename = "GroupName")]
    names: &'a [&'a str],
}

#[derive(Serialize)]
struct Add<'a> {
    #[serde(rename = "From_Account")]
    account: &'a str,
    #[serde(rename = "GroupName")]
    names: &'a [&'a str],
    #[serde(rename = "To_Account", skip_serializing_if = "<[_]>::is_empty")]
    friends: &'a [&'a str],
}

#[derive(Serialize)]
struct Get<'a> {
    #[serde(rename = "From_Account")]
    account: &'a str,
    #[serde(rename = "NeedFriend", skip_serializing_if = "Option::is_none")]
    members: Option<&'static str>,
    #[serde(rename = "GroupName", skip_serializing_if = "<[_]>::is_empty")]
    names: &'a [&'a str],
}

#[derive(Deserialize)]
struct FriendItem {
    #[serde(rename = "To_Account", default)]
    account: Text,
    #[serde(rename = "ResultCode", default)]
    code: i32,
    #[serde(rename = "ResultInfo", default)]
    info: Option<Text>,
}

impl From<FriendItem> for FriendResult {
    fn from(item: FriendItem) -> FriendResult {
        FriendResult { account: item.account, code: item.code, info: item.info.unwrap_or_default() }
    }
}

#[derive(Deserialize)]
struct ListItem {
    #[serde(rename = "GroupName")]
    name: Text,
    #[serde(rename = "FriendNumber", default)]
    friend_count: Option<u64>,
    #[serde(rename = "To_Account", default)]
    members: Option<Vec<Text>>,
}

impl From<ListItem> for List {
    fn from(item: ListItem) -> List {
        let members = item.members.unwrap_or_default();
        List { name: item.name, friend_count: item.friend_count.unwrap_or(members.len() as u64), members }
    }
}

/// The body of a delete whose arguments were checked.
pub(crate) fn delete_body(account: &str, names: &[&str]) -> Vec<u8> {
    to_json(&Delete { account, names })
}

/// Checks the arguments of an add and builds its body.
pub(crate) fn add_body(account: &str, names: &[&str], friends: &[&str]) -> Result<Vec<u8>> {
    check_account("account", account)?;
    check_names(names, 1)?;
    for (index, name) in names.iter().enumerate() {
        // What can be created must stay deletable by every tool.
        if name.chars().any(char::is_control) {
            return Err(Error::argument(&format!("names[{index}]"), "must not contain control characters"));
        }
    }
    if friends.len() > FRIENDS_MAX {
        return Err(Error::argument(
            "friends",
            format_args!("must be at most {FRIENDS_MAX}, not {}", friends.len()),
        ));
    }
    for (index, friend) in friends.iter().enumerate() {
        check_account(&format!("friends[{index}]"), friend)?;
    }
    Ok(to_json(&Add { account, names, friends }))
}

/// Checks the arguments of a get and builds its body. No names: all lists.
pub(crate) fn get_body(account: &str, names: &[&str], members: bool) -> Result<Vec<u8>> {
    check_account("account", account)?;
    check_names(names, 0)?;
    Ok(to_json(&Get { account, members: members.then_some("Need_Friend_Type_Yes"), names }))
}

/// Checks the arguments of a delete.
pub(crate) fn check_delete(account: &str, names: &[&str]) -> Result<()> {
    check_account("account", account)?;
    check_names(names, 1)
}

pub(crate) fn check_account(parameter: &str, account: &str) -> Result<()> {
    if account.is_empty() || account.len() > IDENTIFIER_MAX {
        return Err(Error::argument(
            parameter,
            format_args!("must be 1 to {IDENTIFIER_MAX} bytes, not {}", account.len()),
        ));
    }
    Ok(())
}

fn check_names(names: &[&str], least: usize) -> Result<()> {
    if names.len() < least || names.len() > LISTS_MAX {
        return Err(Error::argument(
            "names",
            format_args!("must be {least} to {LISTS_MAX} names, not {}", names.len()),
        ));
    }
    for (index, name) in names.iter().enumerate() {
        if !is_name(name) {
            check_name(&format!("names[{index}]"), name)?;
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    (1..=NAME_MAX).contains(&name.len())
}

pub(crate) fn check_name(parameter: &str, name: &str) -> Result<()> {
    if is_name(name) {
        return Ok(());
    }
    Err(Error::argument(parameter, format_args!("must be 1 to {NAME_MAX} bytes, not {}", name.len())))
}

/// The friends of an add's reply, or the lists of a get's. An item that makes no
/// sense makes the whole reply unreadable: a caller must not take a failed friend
/// for a good one.
pub(crate) fn items_of<'de, T: Deserialize<'de>>(items: &'de [u8]) -> Result<Vec<T>, String> {
    // Where and not what: serde would quote the reply, which may be long, and may
    // send back the secrets of the request.
    serde_json::from_slice(items).map_err(|error| {
        format!("its ResultItem is wrong at line {} column {}", error.line(), error.column())
    })
}

fn to_json(request: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(request).expect("texts and lists are valid JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{Envelope, NO_ITEMS};

    fn text(body: Vec<u8>) -> String {
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn bodies_are_those_of_the_documentation() {
        assert_eq!(
            text(delete_body("alice", &["Family", "Work"])),
            r#"{"From_Account":"alice","GroupName":["Family","Work"]}"#
        );
        assert_eq!(
            text(add_body("alice", &["Gym"], &["bob"]).unwrap()),
            r#"{"From_Account":"alice","GroupName":["Gym"],"To_Account":["bob"]}"#
        );
        assert_eq!(
            text(add_body("alice", &["Gym"], &[]).unwrap()),
            r#"{"From_Account":"alice","GroupName":["Gym"]}"#
        );
        assert_eq!(text(get_body("alice", &[], false).unwrap()), r#"{"From_Account":"alice"}"#);
        assert_eq!(
            text(get_body("alice", &["A"], true).unwrap()),
            r#"{"From_Account":"alice","NeedFriend":"Need_Friend_Type_Yes","GroupName":["A"]}"#
        );
        // Names that broke other clients go out as they are.
        assert_eq!(
            text(delete_body("a", &["@file:/etc/passwd", "\"\n\\"])),
            r#"{"From_Account":"a","GroupName":["@file:/etc/passwd","\"\n\\"]}"#
        );
    }

    #[test]
    fn arguments_are_checked_and_named() {
        let name_31 = "x".repeat(31);
        let account_33 = "x".repeat(33);
        let names_33 = vec!["x"; 33];
        let friends_1001 = vec!["x"; 1001];
        #[rustfmt::skip]
        let rows: &[(Result<()>, Option<&str>)] = &[
            (check_delete("alice", &["a"]), None),
            (check_delete("alice", &["ключ", "名单名单名单名单名单"]), None),
            (check_delete("alice", &["a\tb"]), None),
            (check_delete("", &["a"]), Some("account: must be 1 to 32 bytes, not 0")),
            (check_delete(&account_33, &["a"]), Some("account: must be 1 to 32 bytes, not 33")),
            (check_delete("alice", &[]), Some("names: must be 1 to 32 names, not 0")),
            (check_delete("alice", &names_33), Some("names: must be 1 to 32 names, not 33")),
            (check_delete("alice", &["a", ""]), Some("names[1]: must be 1 to 30 bytes, not 0")),
            (check_delete("alice", &[&name_31]), Some("names[0]: must be 1 to 30 bytes, not 31")),
            (check_delete("alice", &["名单名单名单名单名单名"]), Some("names[0]: must be 1 to 30 bytes, not 33")),
            (add_body("alice", &["a\tb"], &[]).map(drop), Some("names[0]: must not contain control characters")),
            (add_body("alice", &["a"], &["b", ""]).map(drop), Some("friends[1]: must be 1 to 32 bytes, not 0")),
            (add_body("alice", &["a"], &friends_1001).map(drop), Some("friends: must be at most 1000, not 1001")),
            (get_body("alice", &names_33, false).map(drop), Some("names: must be 0 to 32 names, not 33")),
        ];
        for (index, (result, message)) in rows.iter().enumerate() {
            assert_eq!(result.as_ref().err().map(Error::message), *message, "row {index}");
        }
    }

    #[test]
    fn replies_of_every_documented_shape_are_read() {
        let items = |body: &'static str| {
            let envelope = Envelope::parse(body.as_bytes()).unwrap();
            envelope.items().map_or(NO_ITEMS, |range| &body.as_bytes()[range])
        };
        let lists = |body| items_of::<List>(items(body));
        let list = |name: &str, friend_count, members: &[&str]| List {
            name: name.into(),
            friend_count,
            members: members.iter().copied().map(Text::from).collect(),
        };
        #[rustfmt::skip]
        let rows: &[(&str, &'static str, Vec<List>)] = &[
            ("members", r#"{"ErrorCode":0,"ResultItem":[{"GroupName":"F","FriendNumber":2,"To_Account":["b","c"]}]}"#, vec![list("F", 2, &["b", "c"])]),
            ("no members", r#"{"ErrorCode":0,"ResultItem":[{"GroupName":"F","FriendNumber":2}]}"#, vec![list("F", 2, &[])]),
            ("members null", r#"{"ErrorCode":0,"ResultItem":[{"GroupName":"F","To_Account":null}]}"#, vec![list("F", 0, &[])]),
            ("no number", r#"{"ErrorCode":0,"ResultItem":[{"GroupName":"F","To_Account":["b"]}]}"#, vec![list("F", 1, &["b"])]),
            ("no items", r#"{"ErrorCode":0}"#, vec![]),
            ("items null", r#"{"ErrorCode":0,"ResultItem":null}"#, vec![]),
        ];
        for (situation, body, expected) in rows {
            assert_eq!(lists(body).as_ref(), Ok(expected), "{situation}");
        }
        assert!(
            lists(r#"{"ErrorCode":0,"ResultItem":[{"FriendNumber":2}]}"#).is_err(),
            "a list without a name"
        );
        assert!(lists(r#"{"ErrorCode":0,"ResultItem":{}}"#).is_err(), "not a list of items");
        assert_eq!(
            lists(r#"{"ErrorCode":0,"ResultItem":"eJw-a-ticket"}"#),
            Err("its ResultItem is wrong at line 1 column 14".into()),
            "what the server sent is not repeated"
        );

        let body = r#"{"ErrorCode":0,"Fail_Account":["m"],"Invalid_Account":[],"ResultItem":[
            {"To_Account":"b","ResultCode":0,"ResultInfo":""},{"To_Account":"m","ResultCode":30001}]}"#;
        let friends: Vec<FriendResult> = items_of(items(body)).unwrap();
        assert_eq!(friends[0], FriendResult { account: "b".into(), code: 0, info: Text::default() });
        assert_eq!((&*friends[1].account, friends[1].code), ("m", 30001));
    }
}
