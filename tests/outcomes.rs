//! Whether the outcome a caller is told is what really happened: every call is
//! compared with what the emulator has applied.

mod support;

use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use imgroup::call::{CallOptions, Control};
use imgroup::client::Client;
use imgroup::emulator::{Emulator, Options, Policy, UnknownList};
use imgroup::error::Outcome;
use serde_json::{Value, json};
use support::*;

const DELETE: &str = "v4/sns/group_delete";
const ADD: &str = "v4/sns/group_add";

fn emulator(unknown_list: UnknownList, write_time: Duration, accounts: Vec<String>) -> Emulator {
    Emulator::start(Options {
        secret_key: MARKER_KEY.into(),
        quota: 0,
        write_time,
        seed_accounts: accounts,
        policy: Policy { unknown_list, ..Policy::default() },
        ..Options::default()
    })
    .unwrap()
}

/// What arrived for an account: whether each request was applied, in order.
fn applied(emulator: &Emulator, command: &str, account: &str) -> Vec<bool> {
    let journal = emulator.control("GET", &format!("/_emulator/requests?command={command}"), None).unwrap();
    journal["requests"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["body"]["From_Account"] == account)
        .map(|entry| entry["verdict"]["applied"] == true)
        .collect()
}

fn count(emulator: &Emulator, command: &str) -> u64 {
    let path = format!("/_emulator/requests/count?command={command}");
    emulator.control("GET", &path, None).unwrap()["count"].as_u64().unwrap()
}

fn fault(emulator: &Emulator, order: Value) {
    emulator.control("POST", "/_emulator/faults", Some(&order)).unwrap();
}

fn lists(client: &Client, account: &str) -> Vec<String> {
    let response = client.get_lists(account, &[], false, &CallOptions::default()).unwrap();
    response.lists.iter().map(|list| list.name.to_string()).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Delete,
    Add,
    Request,
    IdempotentRequest,
}

impl Call {
    fn command(self) -> &'static str {
        if self == Call::Delete { DELETE } else { ADD }
    }

    fn may_repeat(self) -> bool {
        matches!(self, Call::Delete | Call::IdempotentRequest)
    }
}

/// Faults, and whether an attempt that met one may have been applied.
#[rustfmt::skip]
fn faults() -> Vec<(Value, bool)> {
    vec![
        (json!({"kind": "error", "code": 30006}), true),
        (json!({"kind": "error", "code": 60008}), true),
        (json!({"kind": "error", "code": 39999}), true),
        (json!({"kind": "http", "status": 502}), true),
        (json!({"kind": "http", "status": 413}), true),
        (json!({"kind": "reset"}), true),
        (json!({"kind": "hang_up"}), true),
        (json!({"kind": "silence"}), true),
        (json!({"kind": "delay", "delay_ms": 750}), true),
        (json!({"kind": "truncate", "bytes": 30}), true),
        (json!({"kind": "truncate", "bytes": 160}), true),
        (json!({"kind": "garbage"}), true),
    ]
}

#[test]
fn what_callers_are_told_is_what_happened() {
    // Before the write, the service may say with a definite code that it refuses;
    // after it, no such code can be true.
    let definite = [
        (json!({"kind": "error", "code": 30003, "when": "before"}), false),
        (json!({"kind": "error", "code": 30008, "when": "before"}), false),
        (json!({"kind": "error", "code": 70001, "when": "before"}), false),
    ];
    let mut plays = Vec::new();
    for policy in [UnknownList::Ok, UnknownList::InvalidParameters, UnknownList::NotFound] {
        for call in [Call::Delete, Call::Add, Call::Request, Call::IdempotentRequest] {
            for times in [1, 9] {
                for (order, open) in &definite {
                    plays.push((policy, call, times, order.clone(), *open));
                }
                for (order, open) in faults() {
                    for when in ["before", "after"] {
                        let mut order = order.clone();
                        order["when"] = when.into();
                        plays.push((policy, call, times, order, open));
                    }
                }
            }
        }
    }
    let wrong = Mutex::new(Vec::new());
    let todo = Mutex::new(plays.iter());
    let scratch = Scratch::new();
    thread::scope(|scope| {
        for _ in 0..48 {
            scope.spawn(|| {
                loop {
                    let Some((policy, call, times, order, open)) = todo.lock().unwrap().next() else {
                        return;
                    };
                    // One for each, so that none waits for the journal of the others.
                    let emulator = emulator(*policy, Duration::ZERO, vec!["alice".into()]);
                    if let Err(reason) = compare(&emulator, &scratch, "alice", *call, *times, order, *open) {
                        wrong.lock().unwrap().push(format!("{policy} {call:?} {times}x {order}: {reason}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), plays.len(), wrong.join("\n"));
}

fn compare(
    emulator: &Emulator,
    scratch: &Scratch,
    account: &str,
    call: Call,
    times: u32,
    order: &Value,
    open: bool,
) -> Result<(), String> {
    let mut config = config(emulator.url(), scratch);
    config.set_quota(100_000).unwrap();
    config.set_timeout_ms(8_000).unwrap();
    config.set_attempt_timeout_ms(500).unwrap();
    let client = Client::new(&config).unwrap();
    let options = CallOptions::default();
    let mut order = order.clone();
    (order["account"], order["times"], order["command"]) =
        (account.into(), times.into(), call.command().into());
    if call == Call::Delete {
        client.add_lists(account, &["Family", "Work"], &[], &options).map_err(|error| error.to_string())?;
    }
    fault(emulator, order);
    let body = format!(r#"{{"From_Account":"{account}","GroupName":["Family"]}}"#);
    let result = match call {
        Call::Delete => client.delete_lists(account, &["Family"], &options),
        Call::Add => client.add_lists(account, &["Family"], &[], &options),
        Call::Request => client.request(ADD, &body, false, &options),
        Call::IdempotentRequest => client.request(ADD, &body, true, &options),
    };
    // The service goes on with what it began.
    thread::sleep(Duration::from_millis(350));
    let arrived = applied(emulator, call.command(), account);
    let happened = arrived.contains(&true);
    match &result {
        Ok(_) if !happened => return Err("success, and nothing was applied".into()),
        Ok(response) if response.attempts as usize != arrived.len() && call != Call::Delete => {
            return Err(format!("{} attempts, {} arrived", response.attempts, arrived.len()));
        }
        Ok(_) => {}
        Err(error) if error.outcome() != Outcome::Unknown && happened => {
            return Err(format!("applied, and the caller is told {error}"));
        }
        Err(error) if error.outcome() == Outcome::NotSent && !arrived.is_empty() => {
            return Err(format!("arrived, and the caller is told {error}"));
        }
        Err(error) if !says_its_outcome(error) => {
            return Err(format!("the text says another outcome: {error}"));
        }
        Err(error) if error.attempts() as usize != arrived.len() && call != Call::Delete => {
            return Err(format!("{} attempts, {} arrived: {error}", error.attempts(), arrived.len()));
        }
        Err(_) => {}
    }
    if open && !call.may_repeat() && arrived.len() != 1 {
        return Err(format!("sent {} times", arrived.len()));
    }
    if open && call == Call::Delete && times == 1 && result.is_err() && order_is_repeated(&result) {
        return Err(format!("one fault, and the delete failed: {result:?}"));
    }
    emulator.control("GET", "/_emulator/health", None).map_err(|error| error.to_string())?;
    Ok(())
}

/// Whether the policy repeats a delete after this until it succeeds. A write that the
/// service is slow with may collide with its own repetitions to the end.
fn order_is_repeated(result: &Result<imgroup::lists::Response, imgroup::error::Error>) -> bool {
    result.as_ref().is_err_and(|error| error.http_status() != 413 && ![39999, 30008].contains(&error.code()))
}

#[test]
fn a_list_that_is_gone_is_found_by_reading() {
    type Play = fn(&Emulator, &Client) -> Result<imgroup::lists::Response, imgroup::error::Error>;
    fn ignoring() -> CallOptions {
        CallOptions { ignore_missing: true, ..CallOptions::default() }
    }
    const LOST: fn(&Emulator) =
        |emulator| fault(emulator, json!({"kind": "hang_up", "when": "after", "command": DELETE}));
    const NO_READ: fn(&Emulator) =
        |emulator| fault(emulator, json!({"kind": "hang_up", "command": "group_get", "times": 9}));
    /// What is expected where the service refuses missing lists; where it does not, all succeed.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Expected {
        Gone,
        Refused,
        Open,
    }
    use Expected::*;
    #[rustfmt::skip]
    let rows: &[(&str, Play, Expected, &[&str])] = &[
        // situation, call, expected, lists left of Family and Work
        ("a list that exists", |_, c| c.delete_lists("alice", &["Family"], &CallOptions::default()), Gone, &["Work"]),
        ("applied, and the reply was lost", |e, c| { LOST(e); c.delete_lists("alice", &["Family"], &CallOptions::default()) }, Gone, &["Work"]),
        ("a list that never was", |_, c| c.delete_lists("alice", &["Nobody"], &CallOptions::default()), Refused, &["Family", "Work"]),
        ("the same, and never mind", |_, c| c.delete_lists("alice", &["Nobody"], &ignoring()), Gone, &["Family", "Work"]),
        ("one of two never was, and never mind", |_, c| c.delete_lists("alice", &["Nobody", "Work"], &ignoring()), Gone, &["Family"]),
        ("one of two never was", |_, c| c.delete_lists("alice", &["Nobody", "Work"], &CallOptions::default()), Refused, &["Family", "Work"]),
        ("one of two never was, and the reply to the second try is lost", |e, c| {
            fault(e, json!({"kind": "hang_up", "when": "after", "command": DELETE, "skip": 1}));
            c.delete_lists("alice", &["Nobody", "Work"], &ignoring())
        }, Gone, &["Family"]),
        ("applied, reply lost, reading fails", |e, c| { LOST(e); NO_READ(e); c.delete_lists("alice", &["Family"], &CallOptions::default()) }, Open, &["Work"]),
    ];
    for (word, policy) in UnknownList::ALL {
        for (situation, play, expected, left) in rows {
            let scratch = Scratch::new();
            let emulator = emulator(*policy, Duration::ZERO, vec!["alice".into()]);
            let client = client(emulator.url(), &scratch);
            client.add_lists("alice", &["Family", "Work"], &[], &CallOptions::default()).unwrap();
            let result = play(&emulator, &client);
            emulator.control("DELETE", "/_emulator/faults", None).unwrap();
            let strict = *policy != UnknownList::Ok;
            let place = format!("{word}, {situation}: {result:?}");
            match (expected, &result) {
                (Gone, Ok(response)) => {
                    // Without a refusal there is no second try.
                    let lost = situation.contains("lost") && (strict || !situation.contains("second"));
                    assert_eq!(response.was_ambiguous, lost, "{place}");
                }
                (Refused, Err(error)) if strict => {
                    assert_eq!(
                        (error.outcome(), error.code()),
                        (Outcome::Rejected, word.parse().unwrap()),
                        "{place}"
                    );
                }
                (Open, Err(error)) if strict => assert_eq!(error.outcome(), Outcome::Unknown, "{place}"),
                (Refused | Open, Ok(_)) if !strict => {
                    let left = if *expected == Open { left.to_vec() } else { vec![] };
                    if *expected == Open {
                        assert_eq!(lists(&client, "alice"), left, "{place}");
                    }
                    continue;
                }
                _ => panic!("{place}"),
            }
            assert_eq!(lists(&client, "alice"), *left, "{place}");
        }
    }
}

#[test]
fn sixty_four_threads_on_one_account_never_collide() {
    for (word, policy) in [("ok", UnknownList::Ok), ("30001", UnknownList::InvalidParameters)] {
        let scratch = Scratch::new();
        let emulator = emulator(policy, Duration::from_millis(200), vec!["alice".into()]);
        let mut config = config(emulator.url(), &scratch);
        config.set_timeout_ms(10_000).unwrap();
        config.set_attempt_timeout_ms(5_000).unwrap();
        let client = Client::new(&config).unwrap();
        let names: Vec<String> = (0..32).map(|number| format!("list{number}")).collect();
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        client.add_lists("alice", &all, &[], &CallOptions::default()).unwrap();
        let barrier = Barrier::new(64);
        thread::scope(|scope| {
            let calls: Vec<_> = (0..64)
                .map(|number| {
                    let (client, barrier, name) = (&client, &barrier, all[number % 32]);
                    scope.spawn(move || {
                        barrier.wait();
                        client.delete_lists("alice", &[name], &CallOptions::default())
                    })
                })
                .collect();
            for call in calls {
                let result = call.join().unwrap();
                assert!(result.is_ok(), "{word}: {result:?}");
            }
        });
        let requests = count(&emulator, DELETE) + count(&emulator, "group_get");
        assert!(requests < 10, "{word}: {requests} requests");
        let codes = emulator.control("GET", "/_emulator/requests/count", None).unwrap();
        assert_eq!(codes["codes"]["30008"], Value::Null, "{word}: {codes}");
        assert_eq!(lists(&client, "alice"), [""; 0], "{word}");
        assert!(stat(&client, "", "merged_deletes") >= 50, "{word}: {}", client.stats());
    }
}

#[test]
fn who_leaves_the_line_early_is_told_the_truth() {
    for (word, policy) in [("ok", UnknownList::Ok), ("30001", UnknownList::InvalidParameters)] {
        let scratch = Scratch::new();
        let emulator = emulator(policy, Duration::from_millis(60), vec!["alice".into()]);
        let mut config = config(emulator.url(), &scratch);
        config.set_timeout_ms(10_000).unwrap();
        let client = Client::new(&config).unwrap();
        for round in 0..6 {
            let names: Vec<String> = (0..32).map(|number| format!("r{round}-{number}")).collect();
            let all: Vec<&str> = names.iter().map(String::as_str).collect();
            client.add_lists("alice", &all, &[], &CallOptions::default()).unwrap();
            // Some replies are lost and some writes are refused on the way.
            for kind in [
                json!({"kind": "hang_up", "when": "after"}),
                json!({"kind": "error", "code": 30008, "when": "before"}),
            ] {
                let mut order = kind;
                (order["command"], order["skip"]) = (DELETE.into(), (round % 3).into());
                fault(&emulator, order);
            }
            let before = applied(&emulator, DELETE, "alice").len();
            let begin = Instant::now();
            let results: Vec<_> = thread::scope(|scope| {
                let calls: Vec<_> = (0..32)
                    .map(|number| {
                        let (client, name) = (&client, all[number]);
                        scope.spawn(move || {
                            let control = Arc::new(Control::default());
                            let mut options = CallOptions::default();
                            if number % 3 == 0 {
                                options.timeout = Some(Duration::from_millis(10 + 7 * number as u64));
                            }
                            if number % 3 == 1 {
                                options.control = Some(Arc::clone(&control));
                                thread::spawn(move || {
                                    thread::sleep(Duration::from_millis(5 + 6 * number as u64));
                                    control.cancel();
                                });
                            }
                            let begin = Instant::now();
                            let result = client.delete_lists("alice", &[name], &options);
                            (number, name, result, begin.elapsed())
                        })
                    })
                    .collect();
                calls.into_iter().map(|call| call.join().unwrap()).collect()
            });
            assert!(begin.elapsed() < Duration::from_secs(8), "{word}: {:?}", begin.elapsed());
            emulator.control("DELETE", "/_emulator/faults", None).unwrap();
            // What a request carried that was applied has happened.
            thread::sleep(Duration::from_millis(100));
            let left = lists(&client, "alice");
            let sent = sent_names(&emulator, before);
            for (number, name, result, took) in results {
                let exists = left.iter().any(|other| other == name);
                let was_sent = sent.iter().any(|other| other == name);
                let place = format!("{word}, round {round}, {name}: {result:?}, exists {exists}");
                match result {
                    Ok(_) => assert!(!exists, "{place}"),
                    Err(error) => {
                        assert!(says_its_outcome(&error), "{place}");
                        match error.outcome() {
                            Outcome::NotSent => assert!(exists && !was_sent, "{place}"),
                            Outcome::Rejected => assert!(exists, "{place}"),
                            Outcome::Unknown => assert!(was_sent, "{place}"),
                        }
                    }
                }
                if number % 3 == 0 {
                    let bound = Duration::from_millis(10 + 7 * number as u64) + 10 * LATE;
                    assert!(took < bound, "{place}: {took:?}");
                }
            }
            if !left.is_empty() {
                let left: Vec<&str> = left.iter().map(String::as_str).collect();
                client.delete_lists("alice", &left, &CallOptions::default()).unwrap();
            }
        }
    }
}

/// The names that requests carried which have arrived since.
fn sent_names(emulator: &Emulator, skip: usize) -> Vec<String> {
    let journal = emulator.control("GET", &format!("/_emulator/requests?command={DELETE}"), None).unwrap();
    journal["requests"]
        .as_array()
        .unwrap()
        .iter()
        .skip(skip)
        .flat_map(|entry| entry["body"]["GroupName"].as_array().cloned().unwrap_or_default())
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect()
}

#[test]
fn other_writes_wait_their_turn_and_nothing_merges_across_them() {
    let scratch = Scratch::new();
    let emulator = emulator(UnknownList::Ok, Duration::from_millis(40), vec!["alice".into()]);
    let mut config = config(emulator.url(), &scratch);
    config.set_timeout_ms(10_000).unwrap();
    let client = Client::new(&config).unwrap();
    thread::scope(|scope| {
        for number in 0..12 {
            let client = &client;
            scope.spawn(move || {
                let name = format!("list{number}");
                let options = CallOptions::default();
                let body = format!(r#"{{"From_Account":"alice","GroupName":["{name}"]}}"#);
                match number % 3 {
                    0 => client.add_lists("alice", &[&name], &[], &options).map(drop),
                    1 => client.request(ADD, &body, false, &options).map(drop),
                    _ => client.delete_lists("alice", &[&name], &options).map(drop),
                }
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            });
        }
    });
    let codes = emulator.control("GET", "/_emulator/requests/count", None).unwrap();
    assert_eq!(codes["codes"], json!({"0": codes["count"]}), "no conflict");
    assert_eq!(lists(&client, "alice").len(), 8);
}

#[test]
fn the_counters_tell_what_happened() {
    let scratch = Scratch::new();
    let emulator = emulator(UnknownList::InvalidParameters, Duration::ZERO, vec!["alice".into()]);
    let client = client(emulator.url(), &scratch);
    let options = CallOptions::default();
    client.add_lists("alice", &["Family", "Work"], &[], &options).unwrap();
    fault(&emulator, json!({"kind": "hang_up", "when": "after", "command": DELETE}));
    client.delete_lists("alice", &["Family"], &options).unwrap();
    fault(&emulator, json!({"kind": "error", "code": 30008, "when": "before", "command": DELETE}));
    client.delete_lists("alice", &["Work"], &options).unwrap();
    client.delete_lists("alice", &["Nobody"], &options).unwrap_err();
    fault(&emulator, json!({"kind": "hang_up", "command": ADD}));
    client.add_lists("alice", &["Home"], &[], &options).unwrap_err();
    #[rustfmt::skip]
    let rows = [
        ("", "calls", 5), ("", "attempts", 8), ("", "missing_list_reads", 1), ("", "usersig_signatures", 1),
        ("", "throttle_replies", 0), ("", "failovers", 0), ("", "merged_deletes", 0),
        // The lost reply came on a connection that had been used: that is its stale one.
        ("retries", "stale_connection", 1), ("retries", "ambiguous", 0), ("retries", "conflict", 1),
        ("retries", "ticket", 0), ("retries", "suppressed_by_budget", 0),
        ("outcomes", "ok", 3), ("outcomes", "rejected", 1), ("outcomes", "unknown", 1), ("outcomes", "not_sent", 0),
        ("connections", "opened", 2), ("connections", "requests_on_new", 2), ("connections", "requests_on_reused", 4),
    ];
    for (group, name, expected) in rows {
        assert_eq!(stat(&client, group, name), expected, "{group} {name}: {}", client.stats());
    }
    let stats: Value = serde_json::from_str(&client.stats()).unwrap();
    let quantile = |name: &str| stats["latency_us"][name].as_u64().unwrap();
    assert!(quantile("p50") > 0 && quantile("p50") <= quantile("p99") && quantile("p99") <= quantile("max"));
}
