//! Friend lists: `group_add`, `group_delete`, `group_get`.

#![forbid(unsafe_code)]

use serde::Serialize;

use super::fields::ACCOUNTS_PER_REQUEST;
use super::options::{EmptyArrays, ExistingList, NotAFriend, UnknownList};
use super::reply::{Item, ItemResult, Refusal, Reply};
use super::service::Context;
use super::state::{Account, LISTS_MAX};

/// Creates lists, and puts friends into every new one. A member who is no friend
/// fails alone: the lists are made all the same, as the live service was seen to do.
pub(crate) fn add(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let owner = context.owner()?;
    let names = context.fields.names("GroupName", LISTS_MAX)?;
    let members = context.fields.optional_accounts("To_Account", ACCOUNTS_PER_REQUEST)?;
    let policy = context.policy;
    let success = context.item_info("");
    let account = context.account(&owner);
    if let Some(name) = names.iter().find(|name| account.has_list(name)) {
        let info = format!("GroupName: the list {name:?} exists already");
        match policy.existing_list {
            ExistingList::InvalidParameters => return Err(Refusal::new(30001, info)),
            ExistingList::Exists => return Err(Refusal::new(32218, info)),
            ExistingList::Ok => {}
        }
    }
    let before = account.sequences.lists;
    account.make_lists(&names).map_err(|()| Refusal::of(30011))?;
    let mut changed = false;
    let items: Vec<Item> = members
        .iter()
        .map(|member| {
            let result = put(account, member, &names, &mut changed).map_err(|()| match policy.not_a_friend {
                NotAFriend::InvalidParameters => (30001, "Err_SNS_GroupAdd_Friend_Not_Exist"),
                NotAFriend::NotFriend => (32216, "Err_SNS_GroupAdd_ToTinyId_Not_Friend"),
            });
            Item::new(member, result as ItemResult, success)
        })
        .collect();
    account.sequences.standard += u64::from(changed);
    // One call moves the counter once, whatever it changed.
    account.sequences.lists = before + u64::from(changed || account.sequences.lists != before);
    let mut reply = Reply::new();
    if !items.is_empty() || (context.fields.has("To_Account") && policy.empty_arrays == EmptyArrays::Send) {
        reply = reply.with_items(policy, "ResultItem", &items);
    }
    let sequence = context.account(&owner).sequences.lists;
    Ok(reply.with("CurrentSequence", &sequence))
}

fn put(account: &mut Account, member: &str, names: &[&str], changed: &mut bool) -> Result<(), ()> {
    let friend = account.friend_mut(member).ok_or(())?;
    for name in names {
        if !friend.lists.iter().any(|list| list == name) {
            friend.lists.push((*name).to_owned());
            *changed = true;
        }
    }
    Ok(())
}

/// Deletes lists, not the friends in them. What becomes of a name that does not
/// exist is a switch.
pub(crate) fn delete(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let owner = context.owner()?;
    let names = context.fields.names("GroupName", LISTS_MAX)?;
    let unknown_list = context.policy.unknown_list;
    let account = context.account(&owner);
    if let Some(name) = names.iter().find(|name| !account.has_list(name)) {
        // No text for this was ever published, so it simply says what is the matter.
        let info = format!("GroupName: the list {name:?} does not exist");
        match unknown_list {
            UnknownList::Ok => {}
            UnknownList::InvalidParameters => return Err(Refusal::new(30001, info)),
            UnknownList::NotFound => return Err(Refusal::new(32309, info)),
        }
    }
    account.delete_lists(&names);
    Ok(Reply::new().with("CurrentSequence", &account.sequences.lists))
}

#[derive(Serialize)]
struct List<'a> {
    #[serde(rename = "GroupName")]
    name: &'a str,
    #[serde(rename = "FriendNumber")]
    count: usize,
    #[serde(rename = "To_Account", skip_serializing_if = "Option::is_none")]
    members: Option<Vec<&'a str>>,
}

/// Reads lists, with members if asked for. The page says that members come only
/// when no names are given, and its own sample shows otherwise: they come
/// whenever they are asked for. A name that does not exist is passed over.
pub(crate) fn get(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let owner = context.owner()?;
    let names = context.fields.optional_names("GroupName", LISTS_MAX)?;
    let with_members = context.fields.text("NeedFriend", 64)? == "Need_Friend_Type_Yes";
    // Gone from the page since 2022; 0 was the first pull.
    let known = context.fields.number("LastSequence")?;
    let policy = context.policy;
    let account = &*context.account(&owner);
    let sequence = account.sequences.lists;
    let lists: Vec<List<'_>> = if names.is_empty() && known != 0 && known == sequence {
        Vec::new()
    } else {
        let wanted = |list: &&String| names.is_empty() || names.contains(&list.as_str());
        account
            .lists
            .iter()
            .filter(wanted)
            .map(|list| {
                let members: Vec<&str> = account.members(list).collect();
                let count = members.len();
                let hidden = !with_members || (count == 0 && policy.empty_arrays == EmptyArrays::OmitAll);
                List { name: list, count, members: (!hidden).then_some(members) }
            })
            .collect()
    };
    let reply = if lists.is_empty() && policy.empty_arrays == EmptyArrays::OmitAll {
        Reply::new()
    } else {
        Reply::new().with("ResultItem", &lists)
    };
    Ok(reply.with("CurrentSequence", &sequence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::service::tests::Bench;
    use serde_json::{Value, json};

    fn lists(bench: &mut Bench) -> Vec<String> {
        let reply = bench.ok("group_get", json!({"From_Account": "alice"}));
        reply["ResultItem"]
            .as_array()
            .unwrap()
            .iter()
            .map(|list| list["GroupName"].as_str().unwrap().into())
            .collect()
    }

    fn add(names: &[&str]) -> Value {
        json!({"From_Account": "alice", "GroupName": names})
    }

    #[test]
    fn lists_are_made_read_and_deleted() {
        let mut bench = Bench::new();
        let reply = bench.ok("group_add", add(&["Family", "Work"]));
        assert_eq!(reply["CurrentSequence"], 1);
        assert_eq!(reply["ErrorDisplay"], "");
        assert!(reply.get("ResultItem").is_none(), "only when To_Account was sent");
        let reply = bench.ok(
            "group_add",
            json!({"From_Account": "alice", "GroupName": ["Gym"], "To_Account": ["carol", "mallory", "bob"]}),
        );
        assert_eq!(reply["CurrentSequence"], 2);
        assert_eq!(reply["Fail_Account"], json!(["mallory"]));
        assert_eq!(
            reply["ResultItem"][1],
            json!({"To_Account": "mallory", "ResultCode": 30001, "ResultInfo": "Err_SNS_GroupAdd_Friend_Not_Exist"})
        );
        assert_eq!(reply["ResultItem"][0], json!({"To_Account": "carol", "ResultCode": 0, "ResultInfo": ""}));
        let reply =
            bench.ok("group_get", json!({"From_Account": "alice", "NeedFriend": "Need_Friend_Type_Yes"}));
        assert_eq!(
            reply["ResultItem"],
            json!([
                {"GroupName": "Family", "FriendNumber": 0, "To_Account": []},
                {"GroupName": "Work", "FriendNumber": 0, "To_Account": []},
                {"GroupName": "Gym", "FriendNumber": 2, "To_Account": ["bob", "carol"]},
            ])
        );
        let reply = bench.ok("group_delete", add(&["Gym", "Family", "Gym"]));
        assert_eq!(
            reply,
            json!({"CurrentSequence": 3, "ActionStatus": "OK", "ErrorCode": 0, "ErrorInfo": "0", "ErrorDisplay": ""})
        );
        assert_eq!(lists(&mut bench), ["Work"]);
        assert!(bench.store.accounts["alice"].has_friend("bob"));
    }

    #[test]
    fn requests_out_of_range_are_refused_whole() {
        let many: Vec<String> = (0..33).map(|number| format!("list {number}")).collect();
        let crowd: Vec<String> = (0..1001).map(|number| format!("user {number}")).collect();
        let alice = |more: Value| {
            let mut body = json!({"From_Account": "alice"});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        #[rustfmt::skip]
        let rows = [
            ("group_delete", json!({}), 30001),
            ("group_delete", json!({"GroupName": []}), 30001),
            ("group_delete", json!({"GroupName": "Work"}), 30001),
            ("group_delete", json!({"GroupName": [1]}), 30001),
            ("group_delete", json!({"GroupName": [""]}), 30001),
            ("group_delete", json!({"GroupName": ["x".repeat(31)]}), 30001),
            ("group_delete", json!({"GroupName": many}), 30001),
            ("group_add", json!({"GroupName": ["é".repeat(16)]}), 30001),
            ("group_add", json!({"GroupName": many}), 30001),
            ("group_add", json!({"GroupName": ["a"], "To_Account": "bob"}), 30001),
            ("group_add", json!({"GroupName": ["a"], "To_Account": crowd}), 30001),
            ("group_get", json!({"GroupName": many}), 30001),
            ("group_get", json!({"NeedFriend": 1}), 30001),
            ("group_get", json!({"LastSequence": "1"}), 30001),
        ];
        for (name, body, code) in rows {
            assert_eq!(Bench::new().refused(name, alice(body.clone())), code, "{name} {body}");
        }
    }

    #[test]
    fn the_thirty_third_list_is_refused() {
        let mut bench = Bench::new();
        let names: Vec<String> = (0..32).map(|number| number.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        bench.ok("group_add", add(&names));
        assert_eq!(bench.refused("group_add", add(&["one more"])), 30011);
        bench.ok("group_delete", add(&names));
        assert!(lists(&mut bench).is_empty());
    }

    #[test]
    fn an_unknown_list_is_a_switch() {
        #[rustfmt::skip]
        let rows = [
            (UnknownList::Ok, None, vec![]),
            (UnknownList::InvalidParameters, Some(30001), vec!["Work"]),
            (UnknownList::NotFound, Some(32309), vec!["Work"]),
        ];
        for (unknown_list, code, left) in rows {
            let mut bench = Bench::new();
            bench.policy.unknown_list = unknown_list;
            bench.ok("group_add", add(&["Work"]));
            match code {
                Some(code) => assert_eq!(bench.refused("group_delete", add(&["Work", "None"])), code),
                None => drop(bench.ok("group_delete", add(&["Work", "None"]))),
            }
            assert_eq!(lists(&mut bench), left, "{unknown_list}");
            if code.is_none() {
                let reply = bench.ok("group_delete", add(&["None"]));
                assert_eq!(reply["CurrentSequence"], 2, "nothing changed");
            }
        }
    }

    #[test]
    fn an_existing_list_is_a_switch() {
        for (existing_list, code) in [(ExistingList::InvalidParameters, 30001), (ExistingList::Exists, 32218)]
        {
            let mut bench = Bench::new();
            bench.policy.existing_list = existing_list;
            bench.ok("group_add", add(&["Work"]));
            assert_eq!(bench.refused("group_add", add(&["New", "Work"])), code);
        }
        let mut bench = Bench::new();
        bench.policy.existing_list = ExistingList::Ok;
        bench.ok("group_add", add(&["Work"]));
        let reply = bench
            .ok("group_add", json!({"From_Account": "alice", "GroupName": ["Work"], "To_Account": ["bob"]}));
        assert_eq!(reply["CurrentSequence"], 2);
        assert_eq!(bench.store.accounts["alice"].members("Work").count(), 1);
    }

    #[test]
    fn somebody_who_is_no_friend_is_a_switch() {
        let mut bench = Bench::new();
        bench.policy.not_a_friend = NotAFriend::NotFriend;
        let items = bench.items(
            "group_add",
            json!({"From_Account": "alice", "GroupName": ["a"], "To_Account": ["mallory"]}),
        );
        assert_eq!(items, [("mallory".into(), 32216, "Err_SNS_GroupAdd_ToTinyId_Not_Friend".into())]);
        assert_eq!(lists(&mut bench), ["a"], "the list is made all the same");
    }

    #[test]
    fn reading_takes_names_and_the_old_sequence() {
        let mut bench = Bench::new();
        bench.ok("group_add", add(&["a", "b"]));
        let reply = bench.ok(
            "group_get",
            json!({"From_Account": "alice", "GroupName": ["b", "none"], "NeedFriend": "Need_Friend_Type_Yes"}),
        );
        assert_eq!(reply["ResultItem"], json!([{"GroupName": "b", "FriendNumber": 0, "To_Account": []}]));
        let reply = bench.ok("group_get", json!({"From_Account": "alice", "LastSequence": 1}));
        assert_eq!(reply["ResultItem"], json!([]));
        for last in [0, 7] {
            let reply = bench.ok("group_get", json!({"From_Account": "alice", "LastSequence": last}));
            assert_eq!(reply["ResultItem"].as_array().unwrap().len(), 2, "{last}");
        }
        let reply =
            bench.ok("group_get", json!({"From_Account": "alice", "NeedFriend": "Need_Friend_Type_No"}));
        assert!(reply["ResultItem"][0].get("To_Account").is_none());
    }

    #[test]
    fn empty_arrays_are_a_switch() {
        let everything = json!({"From_Account": "alice", "NeedFriend": "Need_Friend_Type_Yes"});
        let mut bench = Bench::new();
        bench.policy.empty_arrays = EmptyArrays::OmitAll;
        assert!(bench.ok("group_get", everything.clone()).get("ResultItem").is_none());
        bench.ok("group_add", add(&["a"]));
        assert_eq!(
            bench.ok("group_get", everything)["ResultItem"],
            json!([{"GroupName": "a", "FriendNumber": 0}])
        );
        bench.policy.empty_arrays = EmptyArrays::Send;
        let reply =
            bench.ok("group_add", json!({"From_Account": "alice", "GroupName": ["b"], "To_Account": []}));
        assert_eq!(
            (&reply["ResultItem"], &reply["Fail_Account"], &reply["Invalid_Account"]),
            (&json!([]), &json!([]), &json!([]))
        );
    }

    #[test]
    fn failures_carry_the_sequence_if_asked_to() {
        let mut bench = Bench::new();
        bench.ok("group_add", add(&["a"]));
        assert!(bench.call("group_add", add(&["a"])).get("CurrentSequence").is_none());
        bench.policy.failure_sequence = true;
        assert_eq!(bench.call("group_add", add(&["a"]))["CurrentSequence"], 1);
    }
}
