//! From an admitted request to the function that carries it out.

#![forbid(unsafe_code)]

use super::command::{Command, Family};
use super::fields::Fields;
use super::options::{ItemInfo, Policy, SuccessInfo};
use super::reply::{Refusal, Reply};
use super::state::{Account, Store};
use super::{accounts, blocklist, friends, lists};

/// What every command works with.
pub(crate) struct Context<'a> {
    pub store: &'a mut Store,
    pub fields: Fields<'a>,
    pub policy: &'a Policy,
    /// Seconds since 1970, by the emulator's clock.
    pub now: i64,
    /// Who signed the request.
    pub caller: &'a str,
    /// Whether the caller is an app admin.
    pub is_admin: bool,
}

impl Context<'_> {
    /// The account whose data the command is about. It must exist.
    pub fn owner(&self) -> Result<String, Refusal> {
        let owner = self.fields.account("From_Account")?;
        if !self.is_admin && owner != self.caller {
            return Err(Refusal::of(30004));
        }
        if !self.store.exists(owner) {
            return Err(Refusal::new(30003, format!("From_Account {owner:?} has not been imported")));
        }
        Ok(owner.to_owned())
    }

    /// An account that `owner` has found to exist.
    pub fn account(&mut self, name: &str) -> &mut Account {
        self.store.accounts.get_mut(name).expect("the owner was looked up before")
    }

    /// `ResultInfo` of a successful item; `observed` is what the live service was seen to send.
    pub fn item_info(&self, observed: &'static str) -> &'static str {
        match self.policy.item_info {
            ItemInfo::Observed => observed,
            ItemInfo::Ok => "OK",
            ItemInfo::Empty => "",
        }
    }
}

/// Carries a command out. On an error nothing was changed.
pub(crate) fn run(command: &Command, context: &mut Context<'_>) -> Result<Reply, Refusal> {
    if command.family == Family::Accounts && !context.is_admin {
        return Err(Refusal::of(70403));
    }
    let mut reply = match command.name {
        "group_add" => lists::add(context),
        "group_delete" => lists::delete(context),
        "group_get" => lists::get(context),
        "friend_add" => friends::add(context),
        "friend_import" => friends::import(context),
        "friend_update" => friends::update(context),
        "friend_delete" => friends::delete(context),
        "friend_delete_all" => friends::delete_all(context),
        "friend_check" => friends::check(context),
        "friend_get" => friends::get(context),
        "friend_get_list" => friends::get_list(context),
        "black_list_add" => blocklist::add(context),
        "black_list_delete" => blocklist::delete(context),
        "black_list_get" => blocklist::get(context),
        "black_list_check" => blocklist::check(context),
        "account_import" => accounts::import(context),
        "multiaccount_import" => accounts::import_many(context),
        "account_check" => accounts::check(context),
        "account_delete" => accounts::delete(context),
        name => unreachable!("{name} is in the path table and not here"),
    }?;
    // The samples of these two pages show "0", in every edition since 2016.
    let documented = if matches!(command.name, "group_delete" | "friend_delete") { "0" } else { "" };
    reply.info = match context.policy.success_info {
        SuccessInfo::Documented => documented,
        SuccessInfo::Zero => "0",
        SuccessInfo::Empty => "",
    };
    Ok(reply)
}

/// `CurrentSequence` of a failed list call, if the switch asks for it.
pub(crate) fn failure_sequence(command: &Command, context: &Context<'_>) -> Option<u64> {
    if !context.policy.failure_sequence || !command.name.starts_with("group_") {
        return None;
    }
    let owner = context.fields.account("From_Account").ok()?;
    context.store.accounts.get(owner).map(|account| account.sequences.lists)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::emulator::command;
    use serde_json::{Value, json};

    /// A store to call commands on, without a server.
    pub(crate) struct Bench {
        pub store: Store,
        pub policy: Policy,
        pub now: i64,
    }

    impl Bench {
        /// alice, bob and carol exist; bob and carol are friends of alice.
        pub fn new() -> Bench {
            let mut bench = Bench { store: Store::default(), policy: Policy::default(), now: 1_700_000_000 };
            for account in ["alice", "bob", "carol"] {
                bench.store.import(account);
            }
            bench.ok(
                "friend_import",
                json!({"From_Account": "alice", "AddFriendItem": [
                    {"To_Account": "bob", "AddSource": "AddSource_Type_Test"},
                    {"To_Account": "carol", "AddSource": "AddSource_Type_Test"}]}),
            );
            bench
        }

        /// The answer as JSON, failures included.
        pub fn call(&mut self, name: &str, body: Value) -> Value {
            let command = command::COMMANDS.iter().find(|command| command.name == name).unwrap();
            let mut context = Context {
                store: &mut self.store,
                fields: Fields::new(body.as_object().unwrap(), command.family),
                policy: &self.policy,
                now: self.now,
                caller: "administrator",
                is_admin: true,
            };
            let text = match run(command, &mut context) {
                Ok(reply) => reply.render(command.family),
                Err(refusal) => {
                    let sequence = failure_sequence(command, &context);
                    super::super::reply::failure(refusal.code.into(), &refusal.info, Some(""), sequence)
                }
            };
            serde_json::from_str(&text).unwrap()
        }

        pub fn ok(&mut self, name: &str, body: Value) -> Value {
            let reply = self.call(name, body);
            assert_eq!(reply["ErrorCode"], 0, "{name}: {reply}");
            assert_eq!(reply["ActionStatus"], "OK", "{name}: {reply}");
            reply
        }

        /// Code and `ErrorInfo` of a call that is refused.
        pub fn refused(&mut self, name: &str, body: Value) -> i64 {
            let before = self.store.clone();
            let reply = self.call(name, body);
            assert_eq!(reply["ActionStatus"], "FAIL", "{name}: {reply}");
            assert!(before == self.store, "{name}: a refused call changed something");
            reply["ErrorCode"].as_i64().unwrap()
        }

        /// The result codes of a batch, in its order.
        pub fn items(&mut self, name: &str, body: Value) -> Vec<(String, i64, String)> {
            let reply = self.ok(name, body);
            let items = ["ResultItem", "InfoItem", "BlackListCheckItem"];
            let items = items.iter().find_map(|member| reply[*member].as_array()).unwrap();
            let failed: Vec<&Value> = items
                .iter()
                .filter(|item| item["ResultCode"] != 0 && item["ResultCode"] != 30539)
                .map(|item| &item["To_Account"])
                .collect();
            let again: Vec<&Value> = reply["Fail_Account"].as_array().into_iter().flatten().collect();
            assert_eq!(failed, again, "{reply}");
            items
                .iter()
                .map(|item| {
                    let text = |member: &str| item[member].as_str().unwrap_or_default().to_owned();
                    (text("To_Account"), item["ResultCode"].as_i64().unwrap(), text("ResultInfo"))
                })
                .collect()
        }
    }

    #[test]
    fn every_command_of_the_path_table_is_carried_out_by_something() {
        for command in command::COMMANDS {
            let mut bench = Bench::new();
            let code = bench.refused(command.name, json!({}));
            assert!(code == 30001 || code == 70402, "{}: {code}", command.name);
        }
    }

    #[test]
    fn owners_are_checked_alike_in_all_relation_commands() {
        for command in command::COMMANDS.iter().filter(|command| command.family == Family::Relations) {
            let mut bench = Bench::new();
            #[rustfmt::skip]
            let rows = [
                (json!({}), 30001),
                (json!({"From_Account": ""}), 30001),
                (json!({"From_Account": "x".repeat(33)}), 30001),
                (json!({"From_Account": ["alice"]}), 30001),
                (json!({"From_Account": "nobody"}), 30003),
            ];
            for (body, code) in rows {
                assert_eq!(bench.refused(command.name, body.clone()), code, "{} {body}", command.name);
            }
        }
    }

    #[test]
    fn what_is_said_on_success_follows_the_switch() {
        #[rustfmt::skip]
        let rows = [
            (SuccessInfo::Documented, "group_delete", "0"),
            (SuccessInfo::Documented, "group_get", ""),
            (SuccessInfo::Zero, "group_get", "0"),
            (SuccessInfo::Empty, "group_delete", ""),
        ];
        for (success_info, name, info) in rows {
            let mut bench = Bench::new();
            bench.policy.success_info = success_info;
            let reply = bench.ok(name, json!({"From_Account": "alice", "GroupName": ["x"]}));
            assert_eq!(reply["ErrorInfo"], info, "{success_info} {name}");
        }
    }
}
