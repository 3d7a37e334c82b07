//! What the emulator remembers: accounts with their friends, lists, blocklist,
//! pending requests and sequences.
//!
//! Everything is kept in the order in which it was made, accounts in the order
//! of their names, so that the same calls always give the same answers. Who is
//! in a list is written at the friend alone (as the wire shows it, in
//! `Tag_SNS_IM_Group`), so a list and its members cannot disagree.
//!
//! The same types, through serde, are the document of `/_emulator/state`: what
//! one GET gives, a PUT takes.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fields::{ACCOUNT_MAX, NAME_MAX};

/// The most lists of an account.
pub(crate) const LISTS_MAX: usize = 32;
/// The most friends of an account.
pub(crate) const FRIENDS_MAX: usize = 3000;
/// The longest blocklist.
pub(crate) const BLOCKLIST_MAX: usize = 1000;
/// The most requests waiting for an account to confirm.
pub(crate) const PENDING_MAX: usize = 100;

/// All accounts of the app.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Store {
    pub accounts: BTreeMap<String, Account>,
}

/// One account and what belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Account {
    pub nick: String,
    pub face_url: String,
    pub allow_type: AllowType,
    pub lists: Vec<String>,
    pub friends: Vec<Friend>,
    pub blocklist: Vec<Blocked>,
    pub pending: Vec<String>,
    pub sequences: Sequences,
}

/// What becomes of a request to be friends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AllowType {
    #[default]
    #[serde(rename = "AllowType_Type_AllowAny")]
    AllowAny,
    #[serde(rename = "AllowType_Type_NeedConfirm")]
    NeedConfirm,
    #[serde(rename = "AllowType_Type_DenyAny")]
    DenyAny,
}

impl AllowType {
    pub fn word(self) -> &'static str {
        match self {
            AllowType::AllowAny => "AllowType_Type_AllowAny",
            AllowType::NeedConfirm => "AllowType_Type_NeedConfirm",
            AllowType::DenyAny => "AllowType_Type_DenyAny",
        }
    }
}

/// One friend, as its owner sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Friend {
    pub account: String,
    pub lists: Vec<String>,
    pub remark: String,
    pub add_source: String,
    pub add_wording: String,
    pub add_time: i64,
    pub remark_time: i64,
    /// `Tag_SNS_Custom_*`.
    pub custom: BTreeMap<String, serde_json::Value>,
}

/// One entry of a blocklist.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Blocked {
    pub account: String,
    pub added_at: i64,
}

/// The counters that tell a reader whether anything changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sequences {
    pub lists: u64,
    pub standard: u64,
    pub custom: u64,
    pub blocklist: u64,
}

impl Store {
    /// Makes an account unless it exists; true if it is new.
    pub fn import(&mut self, account: &str) -> bool {
        if self.accounts.contains_key(account) {
            return false;
        }
        self.accounts.insert(account.to_owned(), Account::default());
        true
    }

    pub fn exists(&self, account: &str) -> bool {
        self.accounts.contains_key(account)
    }

    /// Takes an account away, and from everybody's friends and blocklists.
    pub fn remove(&mut self, account: &str) -> bool {
        if self.accounts.remove(account).is_none() {
            return false;
        }
        for other in self.accounts.values_mut() {
            other.remove_friend(account);
            other.blocklist.retain(|blocked| blocked.account != account);
            other.pending.retain(|from| from != account);
        }
        true
    }

    /// Reads a document, refusing what the commands could never have made.
    pub fn from_json(text: &[u8]) -> Result<Store, String> {
        let store: Store = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        for (name, account) in &store.accounts {
            account.check(name)?;
        }
        Ok(store)
    }
}

impl Account {
    pub fn friend(&self, account: &str) -> Option<&Friend> {
        self.friends.iter().find(|friend| friend.account == account)
    }

    pub fn friend_mut(&mut self, account: &str) -> Option<&mut Friend> {
        self.friends.iter_mut().find(|friend| friend.account == account)
    }

    pub fn has_friend(&self, account: &str) -> bool {
        self.friend(account).is_some()
    }

    pub fn has_list(&self, name: &str) -> bool {
        self.lists.iter().any(|list| list == name)
    }

    pub fn blocks(&self, account: &str) -> bool {
        self.blocklist.iter().any(|blocked| blocked.account == account)
    }

    /// Who is in a list, in the order in which they became friends.
    pub fn members<'a>(&'a self, list: &'a str) -> impl Iterator<Item = &'a str> {
        self.friends
            .iter()
            .filter(move |friend| friend.lists.iter().any(|name| name == list))
            .map(|friend| friend.account.as_str())
    }

    /// Makes the lists that do not exist yet: all of them, or none if there
    /// would be more than 32.
    pub fn make_lists(&mut self, names: &[&str]) -> Result<(), ()> {
        let new: Vec<&str> = names.iter().filter(|name| !self.has_list(name)).copied().collect();
        if self.lists.len() + new.len() > LISTS_MAX {
            return Err(());
        }
        if !new.is_empty() {
            self.lists.extend(new.into_iter().map(str::to_owned));
            self.sequences.lists += 1;
        }
        Ok(())
    }

    /// Deletes lists; their members stay friends. False if none existed.
    pub fn delete_lists(&mut self, names: &[&str]) -> bool {
        let before = self.lists.len();
        self.lists.retain(|list| !names.contains(&list.as_str()));
        if self.lists.len() == before {
            return false;
        }
        let mut had_members = false;
        for friend in &mut self.friends {
            let before = friend.lists.len();
            friend.lists.retain(|list| !names.contains(&list.as_str()));
            had_members |= friend.lists.len() != before;
        }
        self.sequences.lists += 1;
        self.sequences.standard += u64::from(had_members);
        true
    }

    /// Takes a friend out of the table and of all lists. False if it was none.
    pub fn remove_friend(&mut self, account: &str) -> bool {
        let Some(position) = self.friends.iter().position(|friend| friend.account == account) else {
            return false;
        };
        let friend = self.friends.remove(position);
        self.sequences.standard += 1;
        self.sequences.lists += u64::from(!friend.lists.is_empty());
        self.sequences.custom += u64::from(!friend.custom.is_empty());
        true
    }

    fn check(&self, name: &str) -> Result<(), String> {
        let account = |what: &str, account: &str| {
            if account.is_empty() || account.len() > ACCOUNT_MAX {
                return Err(format!(
                    "{name}: {what} of {} bytes, 1 to {ACCOUNT_MAX} are allowed",
                    account.len()
                ));
            }
            Ok(())
        };
        account("an account name", name)?;
        let unique = |what: &str, names: &mut dyn Iterator<Item = &str>, most: usize| {
            let mut names: Vec<&str> = names.collect();
            names.sort_unstable();
            if names.len() > most {
                return Err(format!("{name}: {} {what}, at most {most} are allowed", names.len()));
            }
            match names.windows(2).find(|pair| pair[0] == pair[1]) {
                Some(pair) => Err(format!("{name}: {:?} stands twice in {what}", pair[0])),
                None => Ok(()),
            }
        };
        unique("lists", &mut self.lists.iter().map(String::as_str), LISTS_MAX)?;
        unique("friends", &mut self.friends.iter().map(|friend| friend.account.as_str()), FRIENDS_MAX)?;
        unique(
            "blocklist",
            &mut self.blocklist.iter().map(|blocked| blocked.account.as_str()),
            BLOCKLIST_MAX,
        )?;
        unique("pending", &mut self.pending.iter().map(String::as_str), PENDING_MAX)?;
        for list in &self.lists {
            if list.is_empty() || list.len() > NAME_MAX {
                return Err(format!(
                    "{name}: a list name of {} bytes, 1 to {NAME_MAX} are allowed",
                    list.len()
                ));
            }
        }
        for friend in &self.friends {
            account("a friend's name", &friend.account)?;
            unique("lists of a friend", &mut friend.lists.iter().map(String::as_str), LISTS_MAX)?;
            if let Some(list) = friend.lists.iter().find(|list| !self.has_list(list)) {
                return Err(format!(
                    "{name}: {} is in the list {list:?}, which is not among the lists",
                    friend.account
                ));
            }
        }
        for blocked in &self.blocklist {
            account("a blocklist entry", &blocked.account)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn friend(account: &str, lists: &[&str]) -> Friend {
        Friend {
            account: account.into(),
            lists: lists.iter().map(|list| list.to_string()).collect(),
            ..Friend::default()
        }
    }

    #[test]
    fn lists_are_made_whole_or_not_at_all() {
        let mut account = Account::default();
        let names: Vec<String> = (0..31).map(|number| number.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(account.make_lists(&names), Ok(()));
        assert_eq!(account.make_lists(&["a", "b"]), Err(()));
        assert_eq!((account.lists.len(), account.sequences.lists), (31, 1));
        assert_eq!(account.make_lists(&["0", "1"]), Ok(()));
        assert_eq!(account.sequences.lists, 1, "nothing changed");
        assert_eq!(account.make_lists(&["a", "0"]), Ok(()));
        assert_eq!((account.lists.len(), account.sequences.lists), (32, 2));
    }

    #[test]
    fn deleting_a_list_keeps_its_members_as_friends() {
        let mut account = Account { lists: vec!["a".into(), "b".into()], ..Account::default() };
        account.friends = vec![friend("bob", &["a", "b"]), friend("carol", &[])];
        assert!(account.delete_lists(&["a", "x"]));
        assert_eq!(account.lists, ["b"]);
        assert_eq!(account.friends[0].lists, ["b"]);
        assert_eq!(account.friends.len(), 2);
        assert_eq!((account.sequences.lists, account.sequences.standard), (1, 1));
        assert!(!account.delete_lists(&["a"]));
        assert_eq!(account.sequences.lists, 1);
    }

    #[test]
    fn an_account_goes_with_all_its_traces() {
        let mut store = Store::default();
        for account in ["alice", "bob"] {
            assert!(store.import(account));
        }
        assert!(!store.import("bob"));
        let alice = store.accounts.get_mut("alice").unwrap();
        alice.friends.push(friend("bob", &[]));
        alice.blocklist.push(Blocked { account: "bob".into(), added_at: 1 });
        alice.pending.push("bob".into());
        assert!(store.remove("bob"));
        assert!(!store.remove("bob"));
        let alice = &store.accounts["alice"];
        assert!(alice.friends.is_empty() && alice.blocklist.is_empty() && alice.pending.is_empty());
    }

    #[test]
    fn documents_are_checked() {
        #[rustfmt::skip]
        let rows = [
            (r#"{"accounts":{"alice":{}}}"#, None),
            (r#"{}"#, None),
            (r#"[1]"#, Some("invalid")),
            (r#"{"accounts":{"":{}}}"#, Some("an account name of 0 bytes")),
            (r#"{"accounts":{"a":{"lists":["x","x"]}}}"#, Some("stands twice")),
            (r#"{"accounts":{"a":{"friends":[{"account":"b","lists":["x"]}]}}}"#, Some("not among the lists")),
            (r#"{"accounts":{"a":{"lists":[""]}}}"#, Some("a list name of 0 bytes")),
            (r#"{"accounts":{"a":{"friend":[]}}}"#, Some("unknown field")),
        ];
        for (text, expected) in rows {
            match (Store::from_json(text.as_bytes()), expected) {
                (Ok(_), None) => {}
                (Err(error), Some(part)) => assert!(error.contains(part), "{text}: {error}"),
                (other, _) => panic!("{text}: {other:?}"),
            }
        }
    }
}
