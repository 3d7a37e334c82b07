//! Friends: the eight `friend_*` commands.
//!
//! Naming a list that does not exist makes it, up to the 32nd: the documented
//! 30011 of these commands has no other reading. A friendship has two sides, and
//! each account keeps its own.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::fields::{ACCOUNTS_PER_REQUEST, Fields};
use super::options::DeleteNotAFriend;
use super::reply::{Item, ItemResult, Refusal, Reply};
use super::service::Context;
use super::state::{Account, FRIENDS_MAX, Friend, LISTS_MAX, PENDING_MAX, Store};

const REMARK_MAX: usize = 96;
const WORDING_MAX: usize = 256;
const VALUE_MAX: usize = 500;
/// The documents give no page size; 100 is what they advise for reading friends by name.
const PAGE: usize = 100;

const GROUP: &str = "Tag_SNS_IM_Group";
const REMARK: &str = "Tag_SNS_IM_Remark";
const CUSTOM: &str = "Tag_SNS_Custom_";

/// `AddSource_Type_` and one to eight letters. Required.
fn add_source<'a>(fields: &Fields<'a>) -> Result<&'a str, Refusal> {
    let source = fields.text("AddSource", VALUE_MAX)?;
    let word = source.strip_prefix("AddSource_Type_").unwrap_or_default();
    if word.is_empty() || word.len() > 8 || !word.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(fields.bad("AddSource", "must be AddSource_Type_ and 1 to 8 letters"));
    }
    Ok(source)
}

/// What stands in the way of a friendship before anybody is asked.
fn obstacle(store: &Store, owner: &str, other: &str, texts: [&'static str; 2]) -> ItemResult {
    if other == owner {
        return Err((30001, texts[0]));
    }
    if !store.exists(other) {
        return Err((30003, texts[1]));
    }
    Ok(())
}

/// One request of `friend_add`, read.
struct Request<'a> {
    account: &'a str,
    remark: &'a str,
    list: &'a str,
    source: &'a str,
    wording: &'a str,
}

/// Adds friends as a client would: blocklists, limits and the other side's wishes count.
pub(crate) fn add(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let owner = context.owner()?;
    let kinds = ["Add_Type_Both", "Add_Type_Single"];
    let both = context.fields.word("AddType", &kinds, Some(kinds[0]))? == kinds[0];
    let force = context.fields.number("ForceAddFlags")? == 1;
    let requests: Vec<Request<'_>> = context
        .fields
        .objects("AddFriendItem", ACCOUNTS_PER_REQUEST)?
        .iter()
        .map(|fields| {
            let list = fields.text("GroupName", VALUE_MAX)?;
            if !list.is_empty() {
                fields.check_name("GroupName", list)?;
            }
            Ok(Request {
                account: fields.account("To_Account")?,
                remark: fields.text("Remark", REMARK_MAX)?,
                list,
                source: add_source(fields)?,
                wording: fields.text("AddWording", WORDING_MAX)?,
            })
        })
        .collect::<Result<_, Refusal>>()?;
    let (now, success) = (context.now, context.item_info(""));
    let items: Vec<Item> = requests
        .iter()
        .map(|request| {
            Item::new(request.account, befriend(context.store, &owner, request, both, force, now), success)
        })
        .collect();
    Ok(Reply::new().with_items(context.policy, "ResultItem", &items))
}

fn befriend(
    store: &mut Store,
    owner: &str,
    request: &Request<'_>,
    both: bool,
    force: bool,
    now: i64,
) -> ItemResult {
    let texts = ["Err_SNS_FriendAdd_Self", "Err_SNS_FriendAdd_Account_Not_Exist"];
    obstacle(store, owner, request.account, texts)?;
    let own = &store.accounts[owner];
    let other = &store.accounts[request.account];
    if own.blocks(request.account) {
        return Err((30515, "Err_SNS_FriendAdd_In_Self_BlackList"));
    }
    if other.blocks(owner) {
        return Err((30525, "Err_SNS_FriendAdd_In_Peer_BlackList"));
    }
    let (here, there) = (own.has_friend(request.account), other.has_friend(owner));
    if here && (there || !both) {
        return Err((30001, "Err_SNS_FriendAdd_Friend_Exist"));
    }
    if !here && own.friends.len() >= FRIENDS_MAX {
        return Err((30010, "Err_SNS_FriendAdd_My_Friend_Num_Exceed_Threshold"));
    }
    if both && !there && other.friends.len() >= FRIENDS_MAX {
        return Err((30014, "Err_SNS_FriendAdd_Peer_Friend_Num_Exceed_Threshold"));
    }
    if !force {
        use super::state::AllowType;
        match other.allow_type {
            AllowType::AllowAny => {}
            AllowType::DenyAny => return Err((30516, "Err_SNS_FriendAdd_Friend_Allow_Type_Forbid")),
            AllowType::NeedConfirm => {
                let other = store.accounts.get_mut(request.account).expect("it was found above");
                if !other.pending.iter().any(|from| from == owner) {
                    if other.pending.len() >= PENDING_MAX {
                        return Err((30012, "Err_SNS_FriendAdd_Pendency_Num_Exceed_Threshold"));
                    }
                    other.pending.push(owner.to_owned());
                }
                return Err((30539, "Err_SNS_FriendAdd_Friend_Allow_Type_Need_Confirm"));
            }
        }
    }
    let own = store.accounts.get_mut(owner).expect("it was found above");
    let lists: Vec<&str> = if request.list.is_empty() { Vec::new() } else { vec![request.list] };
    own.make_lists(&lists).map_err(|()| (30011, "Err_SNS_FriendAdd_Group_Num_Exceed_Threshold"))?;
    if !here {
        own.friends.push(Friend {
            account: request.account.to_owned(),
            lists: lists.iter().map(|list| (*list).to_owned()).collect(),
            remark: request.remark.to_owned(),
            add_source: request.source.to_owned(),
            add_wording: request.wording.to_owned(),
            add_time: now,
            remark_time: 0,
            custom: BTreeMap::new(),
        });
        own.sequences.standard += 1;
    }
    if both && !there {
        let other = store.accounts.get_mut(request.account).expect("it was found above");
        other.friends.push(Friend {
            account: owner.to_owned(),
            add_source: request.source.to_owned(),
            add_wording: request.wording.to_owned(),
            add_time: now,
            ..Friend::default()
        });
        other.pending.retain(|from| from != owner);
        other.sequences.standard += 1;
    }
    Ok(())
}

/// Writes friends into one side's table without asking anybody. Importing a
/// friend again writes over the old entry.
pub(crate) fn import(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let owner = context.owner()?;
    let now = context.now;
    let friends: Vec<Friend> = context
        .fields
        .objects("AddFriendItem", ACCOUNTS_PER_REQUEST)?
        .iter()
        .map(|fields| {
            let lists = fields.optional_names("GroupName", LISTS_MAX)?;
            let time = |name: &str| fields.number(name).map(|time| i64::try_from(time).unwrap_or(i64::MAX));
            let add_time = time("AddTime")?;
            let mut custom = BTreeMap::new();
            if fields.has("CustomItem") {
                for item in fields.objects("CustomItem", ACCOUNTS_PER_REQUEST)? {
                    let (tag, value) = custom_tag(&item)?;
                    custom.insert(tag.to_owned(), value.clone());
                }
            }
            Ok(Friend {
                account: fields.account("To_Account")?.to_owned(),
                lists: lists.into_iter().map(str::to_owned).collect(),
                remark: fields.text("Remark", REMARK_MAX)?.to_owned(),
                add_source: add_source(fields)?.to_owned(),
                add_wording: fields.text("AddWording", WORDING_MAX)?.to_owned(),
                add_time: if add_time == 0 { now } else { add_time },
                remark_time: time("RemarkTime")?,
                custom,
            })
        })
        .collect::<Result<_, Refusal>>()?;
    let success = context.item_info("");
    let items: Vec<Item> = friends
        .into_iter()
        .map(|friend| {
            let account = friend.account.clone();
            Item::new(&account, write(context.store, &owner, friend), success)
        })
        .collect();
    Ok(Reply::new().with_items(context.policy, "ResultItem", &items))
}

fn write(store: &mut Store, owner: &str, friend: Friend) -> ItemResult {
    let texts = ["Err_SNS_FriendImport_Self", "Err_SNS_FriendImport_Account_Not_Exist"];
    obstacle(store, owner, &friend.account, texts)?;
    let own = store.accounts.get_mut(owner).expect("the owner exists");
    if !own.has_friend(&friend.account) && own.friends.len() >= FRIENDS_MAX {
        return Err((30010, "Err_SNS_FriendImport_My_Friend_Num_Exceed_Threshold"));
    }
    let lists: Vec<&str> = friend.lists.iter().map(String::as_str).collect();
    own.make_lists(&lists).map_err(|()| (30011, "Err_SNS_FriendImport_Group_Num_Exceed_Threshold"))?;
    own.sequences.standard += 1;
    own.sequences.custom += u64::from(!friend.custom.is_empty());
    match own.friend_mut(&friend.account) {
        Some(known) => *known = friend,
        None => own.friends.push(friend),
    }
    Ok(())
}

/// `Tag_SNS_Custom_` and one to eight letters, with a text or a number.
fn custom_tag<'a>(fields: &Fields<'a>) -> Result<(&'a str, &'a Value), Refusal> {
    let tag = fields.text("Tag", VALUE_MAX)?;
    let word = tag.strip_prefix(CUSTOM).unwrap_or_default();
    if word.is_empty() || word.len() > 8 || !word.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(fields.bad("Tag", "must be Tag_SNS_Custom_ and 1 to 8 letters"));
    }
    match fields.value("Value") {
        Some(value @ Value::String(text)) if text.len() <= VALUE_MAX => Ok((tag, value)),
        // The page says texts and bytes only; its own sample shows a number.
        Some(value @ Value::Number(_)) => Ok((tag, value)),
        _ => {
            Err(fields.bad("Value", format_args!("must be a text of at most {VALUE_MAX} bytes or a number")))
        }
    }
}

/// One change of `friend_update`, read.
enum Change<'a> {
    Remark(&'a str),
    Lists(Vec<&'a str>),
    Custom(&'a str, &'a Value),
}

/// Changes remark, lists and custom tags of friends. The lists given replace the old ones.
pub(crate) fn update(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let owner = context.owner()?;
    let mut updates: Vec<(&str, Vec<Change<'_>>)> = Vec::new();
    for fields in context.fields.objects("UpdateItem", ACCOUNTS_PER_REQUEST)? {
        let account = fields.account("To_Account")?;
        let changes = fields.objects("SnsItem", ACCOUNTS_PER_REQUEST)?;
        updates.push((account, changes.iter().map(change).collect::<Result<_, Refusal>>()?));
    }
    let success = context.item_info("");
    let own = context.account(&owner);
    let items: Vec<Item> = updates
        .iter()
        .map(|(account, changes)| Item::new(account, alter(own, account, changes), success))
        .collect();
    Ok(Reply::new().with_items(context.policy, "ResultItem", &items))
}

fn change<'a>(fields: &Fields<'a>) -> Result<Change<'a>, Refusal> {
    match fields.text("Tag", VALUE_MAX)? {
        REMARK => Ok(Change::Remark(fields.text("Value", REMARK_MAX)?)),
        GROUP => match fields.value("Value") {
            // Samples before 2019 gave one name as a plain text.
            Some(Value::String(name)) => fields.check_name("Value", name).map(|()| Change::Lists(vec![name])),
            _ => fields.optional_names("Value", LISTS_MAX).map(Change::Lists),
        },
        tag if tag.starts_with(CUSTOM) => custom_tag(fields).map(|(tag, value)| Change::Custom(tag, value)),
        _ => {
            Err(fields
                .bad("Tag", "must be Tag_SNS_IM_Remark, Tag_SNS_IM_Group or Tag_SNS_Custom_ and a word"))
        }
    }
}

fn alter(own: &mut Account, account: &str, changes: &[Change<'_>]) -> ItemResult {
    if !own.has_friend(account) {
        return Err((30001, "Err_SNS_FriendUpdate_Friend_Not_Exist"));
    }
    let before = own.sequences.lists;
    // Lists first: they alone can fail, and an item that failed has changed nothing.
    for change in changes {
        if let Change::Lists(names) = change {
            own.make_lists(names).map_err(|()| (30011, "Err_SNS_FriendUpdate_Group_Num_Exceed_Threshold"))?;
        }
    }
    let friend = own.friend_mut(account).expect("it was found above");
    let (mut standard, mut custom, mut moved) = (false, false, false);
    for change in changes {
        match change {
            Change::Remark(remark) => {
                friend.remark = (*remark).to_owned();
                standard = true;
            }
            Change::Lists(names) => {
                friend.lists = names.iter().map(|name| (*name).to_owned()).collect();
                (standard, moved) = (true, true);
            }
            Change::Custom(tag, value) => {
                friend.custom.insert((*tag).to_owned(), (*value).clone());
                custom = true;
            }
        }
    }
    own.sequences.standard += u64::from(standard);
    own.sequences.custom += u64::from(custom);
    own.sequences.lists = before + u64::from(moved);
    Ok(())
}

fn delete_type(fields: &Fields<'_>) -> Result<bool, Refusal> {
    // Only delete_all's page states the default.
    let kinds = ["Delete_Type_Single", "Delete_Type_Both"];
    Ok(fields.word("DeleteType", &kinds, Some(kinds[0]))? == kinds[1])
}

/// Deletes friends on this side, or on both.
pub(crate) fn delete(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let owner = context.owner()?;
    let accounts = context.fields.accounts("To_Account", ACCOUNTS_PER_REQUEST)?;
    let both = delete_type(&context.fields)?;
    let success = context.item_info("OK");
    let missing = match context.policy.delete_not_a_friend {
        DeleteNotAFriend::NotFriend => 31704,
        DeleteNotAFriend::InvalidParameters => 30001,
    };
    let items: Vec<Item> = accounts
        .into_iter()
        .map(|account| {
            let mut removed = context.account(&owner).remove_friend(account);
            if both && let Some(other) = context.store.accounts.get_mut(account) {
                removed |= other.remove_friend(&owner);
            }
            let result = if removed { Ok(()) } else { Err((missing, "Err_SNS_FriendDelete_Not_Friend")) };
            Item::new(account, result, success)
        })
        .collect();
    Ok(Reply::new().with_items(context.policy, "ResultItem", &items))
}

/// Deletes all friends. The lists stay, empty.
pub(crate) fn delete_all(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let owner = context.owner()?;
    let both = delete_type(&context.fields)?;
    let friends = std::mem::take(&mut context.account(&owner).friends);
    if !friends.is_empty() {
        let sequences = &mut context.account(&owner).sequences;
        sequences.standard += 1;
        sequences.lists += u64::from(friends.iter().any(|friend| !friend.lists.is_empty()));
        sequences.custom += u64::from(friends.iter().any(|friend| !friend.custom.is_empty()));
    }
    for friend in friends.iter().filter(|_| both) {
        if let Some(other) = context.store.accounts.get_mut(&friend.account) {
            other.remove_friend(&owner);
        }
    }
    Ok(Reply::new())
}

/// Who is whose friend.
pub(crate) fn check(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let owner = context.owner()?;
    let accounts = context.fields.accounts("To_Account", ACCOUNTS_PER_REQUEST)?;
    let kinds = ["CheckResult_Type_Single", "CheckResult_Type_Both"];
    let both = context.fields.word("CheckType", &kinds, None)? == kinds[1];
    let success = context.item_info("");
    let items: Vec<Item> = accounts
        .into_iter()
        .map(|account| {
            let forward = context.store.accounts[&owner].has_friend(account);
            let other = context.store.accounts.get(account);
            let back = both && other.is_some_and(|other| other.has_friend(&owner));
            let relation = match (forward, back) {
                (true, true) => "CheckResult_Type_BothWay",
                (true, false) => "CheckResult_Type_AWithB",
                (false, true) => "CheckResult_Type_BWithA",
                (false, false) => "CheckResult_Type_NoRelation",
            };
            let result = match other {
                Some(_) => Ok(()),
                None => Err((30003, "Err_SNS_FriendCheck_Account_Not_Exist")),
            };
            Item { relation: Some(relation), ..Item::new(account, result, success) }
        })
        .collect();
    Ok(Reply::new().with_items(context.policy, "InfoItem", &items))
}

#[derive(Serialize)]
struct Tagged<'a> {
    #[serde(rename = "Tag")]
    tag: &'a str,
    #[serde(rename = "Value")]
    value: Value,
}

/// The standard tags that have a value.
fn standard_tags(friend: &Friend) -> Vec<Tagged<'static>> {
    let mut tags = Vec::new();
    let mut put = |tag, value: Value| tags.push(Tagged { tag, value });
    for (tag, text) in [
        ("Tag_SNS_IM_AddSource", &friend.add_source),
        (REMARK, &friend.remark),
        ("Tag_SNS_IM_AddWording", &friend.add_wording),
    ] {
        if !text.is_empty() {
            put(tag, json!(text));
        }
    }
    if !friend.lists.is_empty() {
        put(GROUP, json!(friend.lists));
    }
    put("Tag_SNS_IM_AddTime", json!(friend.add_time));
    tags
}

fn custom_tags(friend: &Friend) -> impl Iterator<Item = Tagged<'_>> {
    friend.custom.iter().map(|(tag, value)| Tagged { tag, value: value.clone() })
}

#[derive(Serialize)]
struct UserData<'a> {
    #[serde(rename = "To_Account")]
    account: &'a str,
    #[serde(rename = "ValueItem")]
    values: Vec<Tagged<'a>>,
}

/// Reads friends in pages. A caller that knows the current sequence of one half
/// of the data is not sent that half.
pub(crate) fn get(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let owner = context.owner()?;
    let start = context.fields.required_number("StartIndex")?;
    let known_standard = context.fields.number("StandardSequence")?;
    let known_custom = context.fields.number("CustomSequence")?;
    let policy = context.policy;
    let own = &*context.account(&owner);
    let sequences = own.sequences;
    let with_standard = known_standard == 0 || known_standard != sequences.standard;
    let with_custom = known_custom == 0 || known_custom != sequences.custom;
    let total = own.friends.len();
    let start = usize::try_from(start).unwrap_or(usize::MAX).min(total);
    let end = (start + PAGE).min(total);
    let page: Vec<UserData<'_>> = own.friends[start..end]
        .iter()
        .filter(|_| with_standard || with_custom)
        .map(|friend| {
            let mut values = if with_standard { standard_tags(friend) } else { Vec::new() };
            if with_custom {
                values.extend(custom_tags(friend));
            }
            UserData { account: &friend.account, values }
        })
        .collect();
    let complete = end == total;
    Ok(Reply::new()
        .with_array(policy, "UserDataItem", &page)
        .with("StandardSequence", &sequences.standard)
        .with("CustomSequence", &sequences.custom)
        .with("FriendNum", &total)
        .with("CompleteFlag", &u8::from(complete))
        .with("NextStartIndex", &if complete { 0 } else { end }))
}

#[derive(Serialize)]
struct Info<'a> {
    #[serde(rename = "To_Account")]
    account: &'a str,
    #[serde(rename = "SnsProfileItem", skip_serializing_if = "Option::is_none")]
    values: Option<Vec<Tagged<'a>>>,
    #[serde(rename = "ResultCode")]
    code: i32,
    #[serde(rename = "ResultInfo")]
    info: &'static str,
}

/// Reads chosen tags of chosen friends, their profile's among them.
pub(crate) fn get_list(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let owner = context.owner()?;
    let accounts = context.fields.accounts("To_Account", ACCOUNTS_PER_REQUEST)?;
    let tags = context.fields.texts("TagList", ACCOUNTS_PER_REQUEST)?;
    let success = context.item_info("");
    let own = &context.store.accounts[&owner];
    let items: Vec<Info<'_>> = accounts
        .into_iter()
        .map(|account| match own.friend(account) {
            Some(friend) => {
                let values = tags.iter().filter_map(|tag| look_up(context.store, friend, tag)).collect();
                Info { account, values: Some(values), code: 0, info: success }
            }
            None => {
                Info { account, values: None, code: 30001, info: "Err_SNS_FriendGetList_Friend_Not_Exist" }
            }
        })
        .collect();
    let failed: Vec<&str> = items.iter().filter(|item| item.code != 0).map(|item| item.account).collect();
    Ok(Reply::new().with("InfoItem", &items).with_array(context.policy, "Fail_Account", &failed))
}

fn look_up<'a>(store: &Store, friend: &'a Friend, tag: &'a str) -> Option<Tagged<'a>> {
    let profile = |read: fn(&Account) -> &str| {
        let value = store.accounts.get(&friend.account).map_or("", read);
        (!value.is_empty()).then(|| Tagged { tag, value: json!(value) })
    };
    match tag {
        "Tag_Profile_IM_Nick" => profile(|account| &account.nick),
        "Tag_Profile_IM_Image" => profile(|account| &account.face_url),
        "Tag_Profile_IM_AllowType" => profile(|account| account.allow_type.word()),
        _ => standard_tags(friend).into_iter().chain(custom_tags(friend)).find(|tagged| tagged.tag == tag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::service::tests::Bench;
    use crate::emulator::state::AllowType;

    fn person(account: &str) -> Value {
        json!({"To_Account": account, "AddSource": "AddSource_Type_Test"})
    }

    fn add(from: &str, items: Vec<Value>) -> Value {
        json!({"From_Account": from, "AddFriendItem": items})
    }

    fn one(items: Vec<(String, i64, String)>) -> (i64, String) {
        assert_eq!(items.len(), 1);
        (items[0].1, items[0].2.clone())
    }

    #[test]
    fn friends_are_added_on_both_sides_or_one() {
        let mut bench = Bench::new();
        let mut dave = person("dave");
        dave["GroupName"] = json!("Work");
        dave["Remark"] = json!("D.");
        bench.store.import("dave");
        bench.store.import("erin");
        assert_eq!(one(bench.items("friend_add", add("alice", vec![dave]))), (0, String::new()));
        assert!(bench.store.accounts["dave"].has_friend("alice"));
        let alice = &bench.store.accounts["alice"];
        assert_eq!(alice.lists, ["Work"], "made on the way");
        assert_eq!((alice.friend("dave").unwrap().remark.as_str(), alice.sequences.lists), ("D.", 1));
        let mut single = add("alice", vec![person("erin")]);
        single["AddType"] = json!("Add_Type_Single");
        bench.items("friend_add", single);
        assert!(!bench.store.accounts["erin"].has_friend("alice"));
        // Adding on both sides completes what is there on one.
        assert_eq!(one(bench.items("friend_add", add("alice", vec![person("erin")]))).0, 0);
        assert!(bench.store.accounts["erin"].has_friend("alice"));
    }

    #[test]
    fn each_obstacle_has_its_code_and_text() {
        let mut bench = Bench::new();
        for name in ["deny", "confirm", "blocked", "blocker", "full", "crowded"] {
            bench.store.import(name);
        }
        let crowd = |number| Friend { account: format!("u{number}"), ..Friend::default() };
        bench.store.accounts.get_mut("deny").unwrap().allow_type = AllowType::DenyAny;
        bench.store.accounts.get_mut("confirm").unwrap().allow_type = AllowType::NeedConfirm;
        bench.store.accounts.get_mut("full").unwrap().friends = (0..FRIENDS_MAX).map(crowd).collect();
        let crowded = bench.store.accounts.get_mut("crowded").unwrap();
        crowded.allow_type = AllowType::NeedConfirm;
        crowded.pending = (0..PENDING_MAX).map(|number| format!("u{number}")).collect();
        bench.ok("black_list_add", json!({"From_Account": "alice", "To_Account": ["blocked"]}));
        bench.ok("black_list_add", json!({"From_Account": "blocker", "To_Account": ["alice"]}));
        #[rustfmt::skip]
        let rows = [
            ("alice", "alice", 30001, "Err_SNS_FriendAdd_Self"),
            ("alice", "nobody", 30003, "Err_SNS_FriendAdd_Account_Not_Exist"),
            ("alice", "blocked", 30515, "Err_SNS_FriendAdd_In_Self_BlackList"),
            ("alice", "blocker", 30525, "Err_SNS_FriendAdd_In_Peer_BlackList"),
            ("alice", "deny", 30516, "Err_SNS_FriendAdd_Friend_Allow_Type_Forbid"),
            ("alice", "confirm", 30539, "Err_SNS_FriendAdd_Friend_Allow_Type_Need_Confirm"),
            ("alice", "crowded", 30012, "Err_SNS_FriendAdd_Pendency_Num_Exceed_Threshold"),
            ("alice", "full", 30014, "Err_SNS_FriendAdd_Peer_Friend_Num_Exceed_Threshold"),
            ("full", "alice", 30010, "Err_SNS_FriendAdd_My_Friend_Num_Exceed_Threshold"),
        ];
        for (from, to, code, info) in rows {
            let result = one(bench.items("friend_add", add(from, vec![person(to)])));
            assert_eq!(result, (code, info.into()), "{from} -> {to}");
        }
        assert_eq!(bench.store.accounts["confirm"].pending, ["alice"]);
        let mut forced = add("alice", vec![person("deny"), person("confirm")]);
        forced["ForceAddFlags"] = json!(1);
        assert!(bench.items("friend_add", forced).iter().all(|item| item.1 == 0));
        assert!(bench.store.accounts["confirm"].pending.is_empty());
        let again = one(bench.items("friend_add", add("alice", vec![person("deny")])));
        assert_eq!(again, (30001, "Err_SNS_FriendAdd_Friend_Exist".into()));
    }

    #[test]
    fn naming_a_thirty_third_list_is_an_items_failure() {
        let mut bench = Bench::new();
        let names: Vec<String> = (0..32).map(|number| number.to_string()).collect();
        bench.ok("group_add", json!({"From_Account": "alice", "GroupName": names}));
        bench.store.import("dave");
        let mut single = person("dave");
        single["GroupName"] = json!("new");
        let mut several = person("dave");
        several["GroupName"] = json!(["0", "new"]);
        let update = json!({"From_Account": "alice", "UpdateItem": [
            {"To_Account": "bob", "SnsItem": [{"Tag": REMARK, "Value": "r"}, {"Tag": GROUP, "Value": ["new"]}]}]});
        #[rustfmt::skip]
        let rows = [
            ("friend_add", add("alice", vec![single]), "Err_SNS_FriendAdd_Group_Num_Exceed_Threshold"),
            ("friend_import", add("alice", vec![several]), "Err_SNS_FriendImport_Group_Num_Exceed_Threshold"),
            ("friend_update", update, "Err_SNS_FriendUpdate_Group_Num_Exceed_Threshold"),
        ];
        let before = bench.store.clone();
        for (name, body, info) in rows {
            assert_eq!(one(bench.items(name, body)), (30011, info.into()), "{name}");
        }
        assert!(before == bench.store, "an item that failed has changed nothing");
    }

    #[test]
    fn imports_are_one_sided_and_can_be_repeated() {
        let mut bench = Bench::new();
        let body = add(
            "alice",
            vec![
                json!({"To_Account": "bob", "AddSource": "AddSource_Type_Test", "Remark": "B.", "RemarkTime": 5,
                "GroupName": ["Work", "Gym"], "AddWording": "hi", "AddTime": 7,
                "CustomItem": [{"Tag": "Tag_SNS_Custom_Level", "Value": 3}]}),
            ],
        );
        for _ in 0..2 {
            assert_eq!(one(bench.items("friend_import", body.clone())).0, 0);
        }
        assert!(!bench.store.accounts["bob"].has_friend("alice"));
        let reply = bench.ok("friend_get", json!({"From_Account": "alice", "StartIndex": 0}));
        assert_eq!(
            reply["UserDataItem"][0],
            json!({"To_Account": "bob", "ValueItem": [
                {"Tag": "Tag_SNS_IM_AddSource", "Value": "AddSource_Type_Test"},
                {"Tag": REMARK, "Value": "B."},
                {"Tag": "Tag_SNS_IM_AddWording", "Value": "hi"},
                {"Tag": GROUP, "Value": ["Work", "Gym"]},
                {"Tag": "Tag_SNS_IM_AddTime", "Value": 7},
                {"Tag": "Tag_SNS_Custom_Level", "Value": 3},
            ]})
        );
        assert_eq!((&reply["FriendNum"], &reply["CompleteFlag"]), (&json!(2), &json!(1)));
        let result = one(bench.items("friend_import", add("alice", vec![person("nobody")])));
        assert_eq!(result, (30003, "Err_SNS_FriendImport_Account_Not_Exist".into()));
    }

    #[test]
    fn updates_replace_lists_and_say_who_is_no_friend() {
        let mut bench = Bench::new();
        let update = |account: &str, tag: &str, value: Value| {
            json!({"From_Account": "alice", "UpdateItem": [
                {"To_Account": account, "SnsItem": [{"Tag": tag, "Value": value}]}]})
        };
        bench.items("friend_update", update("bob", GROUP, json!(["a", "b"])));
        bench.items("friend_update", update("bob", GROUP, json!("c")));
        bench.items("friend_update", update("bob", "Tag_SNS_Custom_X", json!("y")));
        let alice = &bench.store.accounts["alice"];
        assert_eq!(
            (alice.lists.join(","), alice.friend("bob").unwrap().lists.join(",")),
            ("a,b,c".into(), "c".into())
        );
        assert_eq!((alice.sequences.lists, alice.sequences.custom), (2, 1));
        let result = one(bench.items("friend_update", update("mallory", REMARK, json!("x"))));
        assert_eq!(result, (30001, "Err_SNS_FriendUpdate_Friend_Not_Exist".into()));
        for (tag, value) in [
            ("Tag_SNS_IM_AddTime", json!(1)),
            (REMARK, json!("x".repeat(97))),
            (GROUP, json!(["x".repeat(31)])),
            ("Tag_SNS_Custom_123", json!("x")),
            ("Tag_SNS_Custom_X", json!([])),
        ] {
            assert_eq!(
                bench.refused("friend_update", update("bob", tag, value.clone())),
                30001,
                "{tag} {value}"
            );
        }
    }

    #[test]
    fn friends_are_deleted_on_one_side_or_both() {
        let mut bench = Bench::new();
        bench.items("friend_import", add("bob", vec![person("alice")]));
        let reply =
            bench.ok("friend_delete", json!({"From_Account": "alice", "To_Account": ["bob", "mallory"]}));
        assert_eq!(reply["ErrorInfo"], "0");
        assert_eq!(
            reply["ResultItem"],
            json!([
                {"To_Account": "bob", "ResultCode": 0, "ResultInfo": "OK"},
                {"To_Account": "mallory", "ResultCode": 31704, "ResultInfo": "Err_SNS_FriendDelete_Not_Friend"},
            ])
        );
        assert!(bench.store.accounts["bob"].has_friend("alice"), "one side by default");
        bench.items(
            "friend_delete",
            json!({"From_Account": "alice", "To_Account": ["bob"], "DeleteType": "Delete_Type_Both"}),
        );
        assert!(!bench.store.accounts["bob"].has_friend("alice"));
        bench.policy.delete_not_a_friend = DeleteNotAFriend::InvalidParameters;
        let body = json!({"From_Account": "alice", "To_Account": ["mallory"]});
        assert_eq!(one(bench.items("friend_delete", body)).0, 30001);
    }

    #[test]
    fn all_friends_go_and_the_lists_stay() {
        let mut bench = Bench::new();
        bench.ok("group_add", json!({"From_Account": "alice", "GroupName": ["Work"], "To_Account": ["bob"]}));
        bench.items("friend_import", add("bob", vec![person("alice")]));
        let reply =
            bench.ok("friend_delete_all", json!({"From_Account": "alice", "DeleteType": "Delete_Type_Both"}));
        assert!(reply.get("ResultItem").is_none());
        assert!(
            bench.store.accounts["alice"].friends.is_empty()
                && bench.store.accounts["bob"].friends.is_empty()
        );
        assert_eq!(bench.store.accounts["alice"].lists, ["Work"]);
        let reply = bench.ok("friend_get", json!({"From_Account": "alice", "StartIndex": 0}));
        assert!(reply.get("UserDataItem").is_none(), "{reply}");
        assert_eq!((&reply["FriendNum"], &reply["CompleteFlag"]), (&json!(0), &json!(1)));
    }

    #[test]
    fn relations_are_told_from_both_sides() {
        let mut bench = Bench::new();
        bench.items("friend_import", add("carol", vec![person("alice")]));
        let check = |from: &str, kind: &str| json!({"From_Account": from, "To_Account": ["alice", "bob", "carol"], "CheckType": kind});
        #[rustfmt::skip]
        let rows = [
            ("alice", "CheckResult_Type_Both", ["NoRelation", "AWithB", "BothWay"]),
            ("alice", "CheckResult_Type_Single", ["NoRelation", "AWithB", "AWithB"]),
            ("bob", "CheckResult_Type_Both", ["BWithA", "NoRelation", "NoRelation"]),
            ("bob", "CheckResult_Type_Single", ["NoRelation", "NoRelation", "NoRelation"]),
        ];
        for (from, kind, relations) in rows {
            let reply = bench.ok("friend_check", check(from, kind));
            for (index, relation) in relations.iter().enumerate() {
                let expected = format!("CheckResult_Type_{relation}");
                assert_eq!(reply["InfoItem"][index]["Relation"], expected, "{from} {kind} {index}");
            }
        }
    }

    #[test]
    fn friends_are_read_in_pages_and_by_half() {
        let mut bench = Bench::new();
        let alice = bench.store.accounts.get_mut("alice").unwrap();
        alice.friends =
            (0..250).map(|number| Friend { account: format!("u{number}"), ..Friend::default() }).collect();
        alice.friends[0].custom.insert("Tag_SNS_Custom_X".into(), json!("x"));
        alice.sequences = crate::emulator::state::Sequences { standard: 9, custom: 4, ..alice.sequences };
        let mut start = 0;
        let mut seen = Vec::new();
        loop {
            let reply = bench.ok("friend_get", json!({"From_Account": "alice", "StartIndex": start}));
            let page = reply["UserDataItem"].as_array().unwrap();
            seen.extend(page.iter().map(|item| item["To_Account"].as_str().unwrap().to_owned()));
            if reply["CompleteFlag"] != 0 {
                break;
            }
            start = reply["NextStartIndex"].as_u64().unwrap();
        }
        assert_eq!(seen, (0..250).map(|number| format!("u{number}")).collect::<Vec<_>>());
        let tags = |bench: &mut Bench, standard: u64, custom: u64| -> Vec<String> {
            let body = json!({"From_Account": "alice", "StartIndex": 0, "StandardSequence": standard, "CustomSequence": custom});
            let reply = bench.ok("friend_get", body);
            let values = reply["UserDataItem"][0]["ValueItem"].as_array();
            values.into_iter().flatten().map(|item| item["Tag"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(tags(&mut bench, 9, 0), ["Tag_SNS_Custom_X"]);
        assert_eq!(tags(&mut bench, 0, 4), ["Tag_SNS_IM_AddTime"]);
        assert_eq!(tags(&mut bench, 9, 4), [""; 0]);
    }

    #[test]
    fn chosen_tags_come_from_friend_and_profile() {
        let mut bench = Bench::new();
        bench.ok("account_import", json!({"UserID": "bob", "Nick": "Bobby"}));
        let reply = bench.ok(
            "friend_get_list",
            json!({"From_Account": "alice", "To_Account": ["bob", "mallory"],
                "TagList": ["Tag_Profile_IM_Nick", "Tag_Profile_IM_AllowType", "Tag_SNS_IM_AddSource", REMARK]}),
        );
        assert_eq!(
            reply["InfoItem"],
            json!([
                {"To_Account": "bob", "SnsProfileItem": [
                    {"Tag": "Tag_Profile_IM_Nick", "Value": "Bobby"},
                    {"Tag": "Tag_Profile_IM_AllowType", "Value": "AllowType_Type_AllowAny"},
                    {"Tag": "Tag_SNS_IM_AddSource", "Value": "AddSource_Type_Test"},
                ], "ResultCode": 0, "ResultInfo": ""},
                {"To_Account": "mallory", "ResultCode": 30001, "ResultInfo": "Err_SNS_FriendGetList_Friend_Not_Exist"},
            ])
        );
        assert_eq!(reply["Fail_Account"], json!(["mallory"]));
    }

    #[test]
    fn requests_out_of_range_are_refused() {
        #[rustfmt::skip]
        let rows = [
            ("friend_add", add("alice", vec![])),
            ("friend_add", add("alice", vec![json!({"To_Account": "bob"})])),
            ("friend_add", add("alice", vec![json!({"To_Account": "bob", "AddSource": "Test"})])),
            ("friend_add", add("alice", vec![json!({"To_Account": "bob", "AddSource": "AddSource_Type_Verylongword"})])),
            ("friend_add", add("alice", vec![json!({"To_Account": "bob", "AddSource": "AddSource_Type_A", "GroupName": ["a"]})])),
            ("friend_add", add("alice", vec![json!({"To_Account": "bob", "AddSource": "AddSource_Type_A", "Remark": "r".repeat(97)})])),
            ("friend_add", add("alice", vec![json!({"To_Account": "bob", "AddSource": "AddSource_Type_A", "AddWording": "w".repeat(257)})])),
            ("friend_add", json!({"From_Account": "alice", "AddFriendItem": [person("bob")], "AddType": "Both"})),
            ("friend_add", add("alice", vec![person("bob"); 1001])),
            ("friend_import", add("alice", vec![json!({"To_Account": "bob", "AddSource": "AddSource_Type_A", "GroupName": "a"})])),
            ("friend_delete", json!({"From_Account": "alice", "To_Account": ["bob"], "DeleteType": "x"})),
            ("friend_check", json!({"From_Account": "alice", "To_Account": ["bob"]})),
            ("friend_get", json!({"From_Account": "alice"})),
            ("friend_get", json!({"From_Account": "alice", "StartIndex": "0"})),
            ("friend_get_list", json!({"From_Account": "alice", "To_Account": ["bob"]})),
            ("friend_update", json!({"From_Account": "alice", "UpdateItem": [{"To_Account": "bob"}]})),
        ];
        for (name, body) in rows {
            assert_eq!(Bench::new().refused(name, body.clone()), 30001, "{name} {body}");
        }
    }
}
