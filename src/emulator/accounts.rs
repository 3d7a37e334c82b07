//! Accounts: `account_import`, `multiaccount_import`, `account_check`, `account_delete`.

#![forbid(unsafe_code)]

use serde::Serialize;

use super::fields::ACCOUNT_MAX;
use super::options::AccountDelete;
use super::reply::{Refusal, Reply};
use super::service::Context;

/// The most accounts in one request of this family.
const BATCH_MAX: usize = 100;
/// The longest profile value, in bytes.
const PROFILE_MAX: usize = 500;

struct Profile<'a> {
    account: &'a str,
    nick: Option<&'a str>,
    face_url: Option<&'a str>,
}

fn profile<'a>(context: &Context<'a>, fields: super::fields::Fields<'a>) -> Result<Profile<'a>, Refusal> {
    // An older name of the field, which timsdk still sends.
    let name = if fields.has("UserID") || !fields.has("Identifier") { "UserID" } else { "Identifier" };
    let account = fields.account(name)?;
    let text = |name: &str| match fields.value(name).and_then(|value| value.as_str()) {
        Some(text) if text.len() > PROFILE_MAX => Err(Refusal::of(40601)),
        Some(text) => Ok(Some(text)),
        None => context.fields.text(name, PROFILE_MAX).map(|_| None),
    };
    Ok(Profile { account, nick: text("Nick")?, face_url: text("FaceUrl")? })
}

fn room_for(context: &Context<'_>, account: &str) -> bool {
    let limit = context.policy.account_limit as usize;
    limit == 0 || context.store.exists(account) || context.store.accounts.len() < limit
}

fn apply(context: &mut Context<'_>, profile: &Profile<'_>) {
    context.store.import(profile.account);
    let account = context.account(profile.account);
    if let Some(nick) = profile.nick {
        account.nick = nick.to_owned();
    }
    if let Some(face_url) = profile.face_url {
        account.face_url = face_url.to_owned();
    }
}

/// Makes one account. Importing it again changes nothing but the profile.
pub(crate) fn import(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let profile = profile(context, context.fields)?;
    if !room_for(context, profile.account) {
        return Err(Refusal::of(70398));
    }
    apply(context, &profile);
    Ok(Reply::new())
}

/// Makes up to 100 accounts. The body has an old form, `Accounts`, and one since
/// 2024, `AccountList`, with profiles.
pub(crate) fn import_many(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let mut failed: Vec<&str> = Vec::new();
    if context.fields.has("AccountList") {
        let items = context.fields.objects("AccountList", BATCH_MAX)?.into_iter();
        let items: Vec<_> =
            items.map(|fields| Ok((fields.account("UserID")?, fields))).collect::<Result<_, Refusal>>()?;
        for (account, fields) in items {
            // A profile that is too long fails its account alone: this call has a
            // place to say so.
            match profile(context, fields) {
                Ok(profile) if room_for(context, account) => apply(context, &profile),
                _ => failed.push(account),
            }
        }
    } else {
        for account in context.fields.texts("Accounts", BATCH_MAX)? {
            if account.is_empty() || account.len() > ACCOUNT_MAX || !room_for(context, account) {
                failed.push(account);
            } else {
                apply(context, &Profile { account, nick: None, face_url: None });
            }
        }
    }
    // This one is sent even when it is empty.
    Ok(Reply::new().with("FailAccounts", &failed))
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(rename = "UserID")]
    account: &'a str,
    #[serde(rename = "ResultCode")]
    code: i32,
    #[serde(rename = "ResultInfo")]
    info: &'static str,
    #[serde(rename = "AccountStatus", skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

fn batch<'a>(context: &Context<'a>, name: &str) -> Result<Vec<&'a str>, Refusal> {
    context.fields.objects(name, BATCH_MAX)?.into_iter().map(|fields| fields.account("UserID")).collect()
}

/// Which accounts exist.
pub(crate) fn check(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let items: Vec<_> = batch(context, "CheckItem")?
        .into_iter()
        .map(|account| {
            let status = if context.store.exists(account) { "Imported" } else { "NotImported" };
            Answer { account, code: 0, info: "", status: Some(status) }
        })
        .collect();
    Ok(Reply::new().with("ResultItem", &items))
}

/// Deletes accounts with all that belongs to them.
pub(crate) fn delete(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let accounts = batch(context, "DeleteItem")?;
    if context.policy.account_delete == AccountDelete::Refuse {
        return Err(Refusal::of(71000));
    }
    let items: Vec<_> = accounts
        .into_iter()
        .map(|account| {
            let (code, info) = if context.store.remove(account) {
                (0, "")
            } else {
                (70107, "Err_TLS_PT_Open_Login_Account_Not_Exist")
            };
            Answer { account, code, info, status: None }
        })
        .collect();
    Ok(Reply::new().with("ResultItem", &items))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::service::tests::Bench;
    use serde_json::json;

    #[test]
    fn accounts_are_imported_checked_and_deleted() {
        let mut bench = Bench::new();
        let reply = bench
            .ok("account_import", json!({"UserID": "dave", "Nick": "Dave", "FaceUrl": "http://localhost/"}));
        assert_eq!(
            reply,
            json!({"ActionStatus": "OK", "ErrorCode": 0, "ErrorInfo": ""}),
            "no ErrorDisplay here"
        );
        bench.ok("account_import", json!({"UserID": "dave"}));
        assert_eq!(bench.store.accounts["dave"].nick, "Dave", "importing again keeps what is not named");
        let reply = bench.ok("account_check", json!({"CheckItem": [{"UserID": "dave"}, {"UserID": "erin"}]}));
        assert_eq!(
            reply["ResultItem"],
            json!([
                {"UserID": "dave", "ResultCode": 0, "ResultInfo": "", "AccountStatus": "Imported"},
                {"UserID": "erin", "ResultCode": 0, "ResultInfo": "", "AccountStatus": "NotImported"},
            ])
        );
        let reply =
            bench.ok("account_delete", json!({"DeleteItem": [{"UserID": "bob"}, {"UserID": "erin"}]}));
        assert_eq!(
            reply["ResultItem"],
            json!([
                {"UserID": "bob", "ResultCode": 0, "ResultInfo": ""},
                {"UserID": "erin", "ResultCode": 70107, "ResultInfo": "Err_TLS_PT_Open_Login_Account_Not_Exist"},
            ])
        );
        assert!(!bench.store.accounts["alice"].has_friend("bob"));
    }

    #[test]
    fn both_bodies_of_the_batch_import_are_taken() {
        let mut bench = Bench::new();
        let reply = bench.ok("multiaccount_import", json!({"Accounts": ["u1", "", "u2", "x".repeat(33)]}));
        assert_eq!(reply["FailAccounts"], json!(["", "x".repeat(33)]));
        let reply = bench.ok(
            "multiaccount_import",
            json!({"AccountList": [{"UserID": "u1", "Nick": "One"}, {"UserID": "u3", "Nick": "n".repeat(501)}]}),
        );
        assert_eq!(reply["FailAccounts"], json!(["u3"]));
        assert_eq!(bench.store.accounts["u1"].nick, "One", "an existing account gets the new nick");
        assert!(bench.store.exists("u2") && !bench.store.exists("u3"));
    }

    #[test]
    fn bad_requests_are_refused() {
        let many: Vec<_> = (0..101).map(|number| json!({"UserID": number.to_string()})).collect();
        let names: Vec<_> = (0..101).map(|number| number.to_string()).collect();
        #[rustfmt::skip]
        let rows = [
            ("account_import", json!({}), 70402),
            ("account_import", json!({"UserID": ""}), 70402),
            ("account_import", json!({"UserID": "x".repeat(33)}), 70402),
            ("account_import", json!({"UserID": "x", "Nick": "n".repeat(501)}), 40601),
            ("account_import", json!({"UserID": "x", "Nick": 7}), 70402),
            ("multiaccount_import", json!({"Accounts": names}), 70402),
            ("multiaccount_import", json!({"AccountList": many}), 70402),
            ("multiaccount_import", json!({"AccountList": ["a"]}), 70402),
            ("multiaccount_import", json!({"AccountList": [{"UserID": "new"}, {}]}), 70402),
            ("account_check", json!({"CheckItem": many}), 70402),
            ("account_check", json!({"CheckItem": [{}]}), 70402),
            ("account_delete", json!({"DeleteItem": many}), 70402),
        ];
        for (name, body, code) in rows {
            assert_eq!(Bench::new().refused(name, body.clone()), code, "{name} {body}");
        }
    }

    #[test]
    fn plans_limit_accounts_and_deletion() {
        let mut bench = Bench::new();
        bench.policy.account_limit = 4;
        bench.ok("account_import", json!({"UserID": "alice"}));
        bench.ok("account_import", json!({"UserID": "dave"}));
        assert_eq!(bench.refused("account_import", json!({"UserID": "erin"})), 70398);
        assert_eq!(
            bench.ok("multiaccount_import", json!({"Accounts": ["erin"]}))["FailAccounts"],
            json!(["erin"])
        );
        bench.policy.account_delete = AccountDelete::Refuse;
        assert_eq!(bench.refused("account_delete", json!({"DeleteItem": [{"UserID": "bob"}]})), 71000);
    }
}
