//! The blocklist: `black_list_add`, `black_list_delete`, `black_list_get`, `black_list_check`.

#![forbid(unsafe_code)]

use serde::Serialize;

use super::fields::ACCOUNTS_PER_REQUEST;
use super::reply::{Item, Refusal, Reply};
use super::service::Context;
use super::state::{BLOCKLIST_MAX, Blocked, Store};

/// Blocks accounts, and ends the friendship on both sides.
pub(crate) fn add(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let owner = context.owner()?;
    let accounts = context.fields.accounts("To_Account", ACCOUNTS_PER_REQUEST)?;
    let (now, success) = (context.now, context.item_info("OK"));
    let items: Vec<Item> = accounts
        .into_iter()
        .map(|account| Item::new(account, block(context.store, &owner, account, now), success))
        .collect();
    Ok(Reply::new().with_items(context.policy, "ResultItem", &items))
}

fn block(store: &mut Store, owner: &str, account: &str, now: i64) -> Result<(), (i32, &'static str)> {
    if account == owner {
        return Err((30001, "Err_SNS_BlackListAdd_Self"));
    }
    if !store.exists(account) {
        return Err((30003, "Err_SNS_BlackListAdd_Account_Not_Exist"));
    }
    let own = store.accounts.get_mut(owner).expect("the owner exists");
    if own.blocks(account) {
        return Err((30001, "Err_SNS_BlackListAdd_Already_Exist"));
    }
    if own.blocklist.len() >= BLOCKLIST_MAX {
        return Err((30013, "Err_SNS_BlackListAdd_BlackList_Num_Exceed_Threshold"));
    }
    own.blocklist.push(Blocked { account: account.to_owned(), added_at: now });
    own.sequences.blocklist += 1;
    own.remove_friend(account);
    store.accounts.get_mut(account).expect("it exists").remove_friend(owner);
    Ok(())
}

/// Takes accounts off the blocklist. The friendship does not come back.
pub(crate) fn delete(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let owner = context.owner()?;
    let accounts = context.fields.accounts("To_Account", ACCOUNTS_PER_REQUEST)?;
    let success = context.item_info("OK");
    let own = context.account(&owner);
    let items: Vec<Item> = accounts
        .into_iter()
        .map(|account| {
            let before = own.blocklist.len();
            own.blocklist.retain(|blocked| blocked.account != account);
            let result = if own.blocklist.len() == before {
                Err((30001, "Err_SNS_BlackListDelete_Not_Exist"))
            } else {
                own.sequences.blocklist += 1;
                Ok(())
            };
            Item::new(account, result, success)
        })
        .collect();
    Ok(Reply::new().with_items(context.policy, "ResultItem", &items))
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(rename = "To_Account")]
    account: &'a str,
    #[serde(rename = "AddBlackTimeStamp")]
    added_at: i64,
}

/// Reads the blocklist in pages. The name of the sequence is misspelt on the wire.
pub(crate) fn get(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let owner = context.owner()?;
    let start = context.fields.required_number("StartIndex")?;
    let most = context.fields.required_number("MaxLimited")?;
    context.fields.required_number("LastSequence")?;
    if most == 0 || most > ACCOUNTS_PER_REQUEST as u64 {
        return Err(context
            .fields
            .bad("MaxLimited", format_args!("must be 1 to {ACCOUNTS_PER_REQUEST}, not {most}")));
    }
    let policy = context.policy;
    let own = &*context.account(&owner);
    let start = usize::try_from(start).unwrap_or(usize::MAX).min(own.blocklist.len());
    let end = (start + most as usize).min(own.blocklist.len());
    let entries: Vec<_> = own.blocklist[start..end]
        .iter()
        .map(|blocked| Entry { account: &blocked.account, added_at: blocked.added_at })
        .collect();
    let next = if end == own.blocklist.len() { 0 } else { end };
    Ok(Reply::new()
        .with_array(policy, "BlackListItem", &entries)
        .with("StartIndex", &next)
        .with("CurruentSequence", &own.sequences.blocklist))
}

/// Who blocks whom.
pub(crate) fn check(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let owner = context.owner()?;
    let accounts = context.fields.accounts("To_Account", ACCOUNTS_PER_REQUEST)?;
    let kinds = ["BlackCheckResult_Type_Single", "BlackCheckResult_Type_Both"];
    let both = context.fields.word("CheckType", &kinds, None)? == kinds[1];
    let success = context.item_info("");
    let items: Vec<Item> = accounts
        .into_iter()
        .map(|account| {
            let forward = context.store.accounts[&owner].blocks(account);
            let other = context.store.accounts.get(account);
            let back = both && other.is_some_and(|other| other.blocks(&owner));
            let relation = match (forward, back) {
                (true, true) => "BlackCheckResult_Type_BothWay",
                (true, false) => "BlackCheckResult_Type_AWithB",
                (false, true) => "BlackCheckResult_Type_BWithA",
                (false, false) => "BlackCheckResult_Type_NO",
            };
            let result = match other {
                Some(_) => Ok(()),
                None => Err((30003, "Err_SNS_BlackListCheck_Account_Not_Exist")),
            };
            Item { relation: Some(relation), ..Item::new(account, result, success) }
        })
        .collect();
    Ok(Reply::new().with_items(context.policy, "BlackListCheckItem", &items))
}

#[cfg(test)]
mod tests {
    use crate::emulator::service::tests::Bench;
    use serde_json::json;

    #[test]
    fn blocking_ends_the_friendship_on_both_sides() {
        let mut bench = Bench::new();
        bench.ok(
            "friend_import",
            json!({"From_Account": "bob", "AddFriendItem": [{"To_Account": "alice", "AddSource": "AddSource_Type_Test"}]}),
        );
        let body = json!({"From_Account": "alice", "To_Account": ["bob", "bob", "nobody", "alice"]});
        assert_eq!(
            bench.items("black_list_add", body),
            [
                ("bob".into(), 0, "OK".into()),
                ("bob".into(), 30001, "Err_SNS_BlackListAdd_Already_Exist".into()),
                ("nobody".into(), 30003, "Err_SNS_BlackListAdd_Account_Not_Exist".into()),
                ("alice".into(), 30001, "Err_SNS_BlackListAdd_Self".into()),
            ]
        );
        assert!(
            !bench.store.accounts["alice"].has_friend("bob")
                && !bench.store.accounts["bob"].has_friend("alice")
        );
        let check = |from: &str, kind: &str| json!({"From_Account": from, "To_Account": ["alice", "bob", "nobody"], "CheckType": kind});
        #[rustfmt::skip]
        let rows = [
            ("alice", "BlackCheckResult_Type_Both", 1, "BlackCheckResult_Type_AWithB"),
            ("alice", "BlackCheckResult_Type_Single", 1, "BlackCheckResult_Type_AWithB"),
            ("bob", "BlackCheckResult_Type_Both", 0, "BlackCheckResult_Type_BWithA"),
            ("bob", "BlackCheckResult_Type_Single", 0, "BlackCheckResult_Type_NO"),
        ];
        for (from, kind, index, relation) in rows {
            let reply = bench.ok("black_list_check", check(from, kind));
            assert_eq!(reply["BlackListCheckItem"][index]["Relation"], relation, "{from} {kind}");
            assert_eq!(reply["Fail_Account"], json!(["nobody"]));
        }
        let body = json!({"From_Account": "bob", "To_Account": ["alice"]});
        bench.ok("black_list_add", body);
        let reply = bench.ok("black_list_check", check("alice", "BlackCheckResult_Type_Both"));
        assert_eq!(reply["BlackListCheckItem"][1]["Relation"], "BlackCheckResult_Type_BothWay");
        let items = bench
            .items("black_list_delete", json!({"From_Account": "alice", "To_Account": ["bob", "carol"]}));
        assert_eq!(
            items,
            [
                ("bob".into(), 0, "OK".into()),
                ("carol".into(), 30001, "Err_SNS_BlackListDelete_Not_Exist".into())
            ]
        );
    }

    #[test]
    fn the_blocklist_is_read_in_pages() {
        let mut bench = Bench::new();
        bench.ok("black_list_add", json!({"From_Account": "alice", "To_Account": ["carol", "bob"]}));
        let page = |start: u64| json!({"From_Account": "alice", "StartIndex": start, "MaxLimited": 1, "LastSequence": 0});
        let reply = bench.ok("black_list_get", page(0));
        assert_eq!(
            reply["BlackListItem"],
            json!([{"To_Account": "carol", "AddBlackTimeStamp": 1_700_000_000}])
        );
        assert_eq!((&reply["StartIndex"], &reply["CurruentSequence"]), (&json!(1), &json!(2)));
        let reply = bench.ok("black_list_get", page(1));
        assert_eq!(
            (&reply["BlackListItem"][0]["To_Account"], &reply["StartIndex"]),
            (&json!("bob"), &json!(0))
        );
        let reply = bench.ok("black_list_get", page(u64::MAX));
        assert!(reply.get("BlackListItem").is_none());
    }

    #[test]
    fn a_full_blocklist_takes_no_more() {
        let mut bench = Bench::new();
        let names: Vec<String> = (0..1001).map(|number| format!("u{number}")).collect();
        for name in &names {
            bench.store.import(name);
        }
        bench.ok("black_list_add", json!({"From_Account": "alice", "To_Account": names[..1000]}));
        let items =
            bench.items("black_list_add", json!({"From_Account": "alice", "To_Account": [names[1000]]}));
        assert_eq!(items[0].1, 30013);
    }

    #[test]
    fn requests_out_of_range_are_refused() {
        #[rustfmt::skip]
        let rows = [
            ("black_list_add", json!({"From_Account": "alice"})),
            ("black_list_add", json!({"From_Account": "alice", "To_Account": []})),
            ("black_list_add", json!({"From_Account": "alice", "To_Account": vec!["x"; 1001]})),
            ("black_list_delete", json!({"From_Account": "alice", "To_Account": "bob"})),
            ("black_list_get", json!({"From_Account": "alice", "StartIndex": 0, "LastSequence": 0})),
            ("black_list_get", json!({"From_Account": "alice", "StartIndex": 0, "MaxLimited": 1001, "LastSequence": 0})),
            ("black_list_get", json!({"From_Account": "alice", "StartIndex": 0, "MaxLimited": 0, "LastSequence": 0})),
            ("black_list_check", json!({"From_Account": "alice", "To_Account": ["bob"]})),
            ("black_list_check", json!({"From_Account": "alice", "To_Account": ["bob"], "CheckType": "x"})),
        ];
        for (name, body) in rows {
            assert_eq!(Bench::new().refused(name, body.clone()), 30001, "{name} {body}");
        }
    }
}
