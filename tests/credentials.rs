//! Tickets and credentials: signed anew once, however many threads are refused;
//! what is refused for good is not asked again for a while.

mod support;

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use imgroup::call::CallOptions;
use imgroup::client::Client;
use imgroup::codes::Class;
use imgroup::emulator::{Emulator, Options};
use imgroup::error::Outcome;
use support::server::*;
use support::*;

fn usersig(seen: &Seen) -> &str {
    seen.target.split("usersig=").nth(1).unwrap().split('&').next().unwrap()
}

#[test]
fn a_hundred_threads_with_an_expired_ticket_sign_one_new_one() {
    for refusal in [70001, 70052] {
        let scratch = Scratch::new();
        let expired = std::sync::Mutex::new(String::new());
        let server = Server::http(act(move |peer| {
            let Some(seen) = peer.request() else { return Then::Close };
            let mut expired = expired.lock().unwrap();
            if expired.is_empty() {
                *expired = usersig(&seen).to_owned();
            }
            let refused = *expired == usersig(&seen);
            drop(expired);
            // The tickets differ by the second they were made in.
            if refused {
                thread::sleep(Duration::from_millis(1_100));
                peer.send(&code(refusal));
            } else {
                peer.send(&ok());
            }
            Then::Keep
        }));
        let mut config = config(&server.url(), &scratch);
        config.set_timeout_ms(20_000).unwrap();
        config.set_attempt_timeout_ms(10_000).unwrap();
        config.set_quota(1_000_000).unwrap();
        let client = Client::new(&config).unwrap();
        let barrier = Barrier::new(100);
        thread::scope(|scope| {
            for number in 0..100 {
                let (client, barrier) = (&client, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    let account = format!("user{number}");
                    client.delete_lists(&account, &["Family"], &CallOptions::default()).unwrap();
                });
            }
        });
        assert_eq!(stat(&client, "", "usersig_signatures"), 2, "{refusal}");
        let tickets: std::collections::HashSet<_> =
            server.seen().iter().map(|seen| usersig(seen).to_owned()).collect();
        assert_eq!(tickets.len(), 2, "{refusal}");
        assert_eq!(stat(&client, "retries", "ticket") + 100, server.seen().len() as u64, "{refusal}");
    }
}

/// Row 88, and all others that no repetition helps.
#[test]
fn fatal_answers_are_repeated_locally() {
    #[rustfmt::skip]
    let fatal = [
        70002, 70003, 70005, 70009, 70013, 70014, 70016, 70020, 70050, 70051, 60004, 60005, 60006, 60010,
        60012, 60016, 60017, 60020, 60021,
    ];
    for refusal in fatal {
        let scratch = Scratch::new();
        let server = Server::http(say(code(refusal), Then::Keep));
        let client = client(&server.url(), &scratch);
        let delete = || client.delete_lists("alice", &["Family"], &CallOptions::default()).unwrap_err();
        let error = delete();
        let told = (error.code(), error.class(), error.outcome(), error.attempts());
        assert_eq!(told, (refusal, Class::Auth, Outcome::Rejected, 1), "{error}");
        for _ in 0..20 {
            let error = delete();
            let told = (error.code(), error.class(), error.outcome(), error.attempts());
            assert_eq!(told, (refusal, Class::Auth, Outcome::NotSent, 0), "{error}");
            assert!(error.message().contains("answered locally"), "{error}");
        }
        assert_eq!(server.seen().len(), 1, "{refusal}");
        assert_eq!(stat(&client, "", "local_refusals"), 20);
        // Another client has credentials of its own.
        server.now(say(ok(), Then::Keep));
        support::client(&server.url(), &scratch)
            .delete_lists("alice", &["Family"], &CallOptions::default())
            .unwrap();
    }
}

#[test]
fn the_emulator_agrees_on_wrong_keys() {
    let scratch = Scratch::new();
    let emulator = Emulator::start(Options {
        secret_key: "another key".into(),
        seed_accounts: vec!["alice".into()],
        ..Options::default()
    })
    .unwrap();
    let client = client(emulator.url(), &scratch);
    for attempts in [1, 0, 0] {
        let error = client.delete_lists("alice", &["Family"], &CallOptions::default()).unwrap_err();
        assert_eq!((error.code(), error.attempts()), (70009, attempts), "{error}");
    }
    let count = emulator.control("GET", "/_emulator/requests/count", None).unwrap();
    assert_eq!(count["count"], 1);
}

/// Row 87: a clock of another day. The monotonic clock stays the machine's.
#[test]
fn a_wrong_clock_costs_one_attempt() {
    const NAME: &str = "a_wrong_clock_costs_one_attempt";
    if is_child(NAME) {
        let scratch = Scratch::new();
        let mut config = config(&std::env::var("CLOCK_URL").unwrap(), &scratch);
        config.set_usersig_ttl_s(3_600).unwrap();
        let client = Client::new(&config).unwrap();
        let wanted: u32 = std::env::var("CLOCK_ATTEMPTS").unwrap().parse().unwrap();
        let response = client.get_lists("alice", &[], false, &CallOptions::default()).unwrap();
        assert_eq!(response.attempts, wanted);
        let response = client.get_lists("alice", &[], false, &CallOptions::default()).unwrap();
        assert_eq!(response.attempts, 1, "the new ticket stays");
        return;
    }
    let emulator = Emulator::start(Options {
        secret_key: MARKER_KEY.into(),
        seed_accounts: vec!["alice".into()],
        ..Options::default()
    })
    .unwrap();
    for (shift, attempts) in [("-1d", "2"), ("+1d", "1"), ("+0", "1")] {
        in_child(
            NAME,
            &["faketime", "-f", shift],
            &[
                ("CLOCK_URL", emulator.url()),
                ("CLOCK_ATTEMPTS", attempts),
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ],
        );
    }
}
