//! Jobs over many accounts: what a row comes to, what a run that was stopped or
//! killed leaves behind, and what a damaged journal does.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use imgroup::bulk::{Command, Job};
use imgroup::client::Client;
use imgroup::emulator::{Emulator, Options, Policy, UnknownList};
use imgroup::error::Result;
use serde_json::{Value, json};
use support::*;

const DELETE: &str = "v4/sns/group_delete";

/// What a test has: an emulator, a client, and a place for files.
struct Ground {
    emulator: Emulator,
    client: Arc<Client>,
    scratch: Scratch,
}

impl Ground {
    fn new(unknown_list: UnknownList) -> Ground {
        Ground::with(Options { policy: Policy { unknown_list, ..Policy::default() }, ..Options::default() })
    }

    fn with(options: Options) -> Ground {
        let emulator = Emulator::start(Options {
            secret_key: MARKER_KEY.into(),
            quota: 0,
            write_time: Duration::ZERO,
            ..options
        })
        .unwrap();
        let scratch = Scratch::new();
        let client = fast_client(emulator.url(), &scratch);
        Ground { emulator, client, scratch }
    }

    /// Accounts with these lists each.
    fn seed(&self, accounts: usize, lists: &[&str]) {
        let accounts: serde_json::Map<String, Value> =
            (0..accounts).map(|n| (format!("u{n}"), json!({"lists": lists}))).collect();
        let state = json!({ "accounts": accounts });
        self.emulator.control("PUT", "/_emulator/state", Some(&state)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name).into()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn job(&self, command: Command, input: &str) -> Job {
        let mut job = Job::new(Arc::clone(&self.client), command, &self.path("journal")).unwrap();
        job.set_input_file(&self.path(input), None).unwrap();
        job
    }

    /// The lists that are left, by account.
    fn left(&self) -> BTreeMap<String, BTreeSet<String>> {
        let state = self.emulator.control("GET", "/_emulator/state", None).unwrap();
        let lists = |account: &Value| {
            let lists = account["lists"].as_array().unwrap();
            lists.iter().map(|list| list.as_str().unwrap().to_owned()).collect()
        };
        let accounts = state["accounts"].as_object().unwrap();
        accounts
            .iter()
            .map(|(name, account)| (name.clone(), lists(account)))
            .filter(|(_, lists): &(_, BTreeSet<_>)| !lists.is_empty())
            .collect()
    }

    fn count(&self, command: &str) -> u64 {
        let path = format!("/_emulator/requests/count?command={command}");
        self.emulator.control("GET", &path, None).unwrap()["count"].as_u64().unwrap()
    }
}

/// A client whose pace is no matter.
fn fast_client(url: &str, scratch: &Scratch) -> Arc<Client> {
    let mut config = config(url, scratch);
    config.set_quota(1_000_000).unwrap();
    Arc::new(Client::new(&config).unwrap())
}

fn run(job: &mut Job) -> Result<()> {
    job.run(&mut |_| ())
}

/// The rows of a report: deleted (or read), already gone, failed, unknown, open.
fn rows(job: &Job) -> [u64; 5] {
    let report: Value = serde_json::from_str(&job.report().unwrap()).unwrap();
    let rows = &report["rows"];
    let done = if rows["read"].is_null() { "deleted" } else { "read" };
    [done, "already_gone", "failed", "unknown", "open"].map(|name| rows[name].as_u64().unwrap())
}

fn csv(rows: &[(&str, &str)]) -> String {
    rows.iter().fold("account,list\n".to_owned(), |text, (account, list)| text + account + "," + list + "\n")
}

#[test]
fn every_row_ends_once_and_as_it_really_was() {
    type Situation<'a> = (&'a str, UnknownList, &'a [(&'a str, &'a str)], [u64; 5]);
    #[rustfmt::skip]
    let table: &[Situation] = &[
        // situation, the service's habit, rows, deleted / gone / failed / unknown / open
        ("in any order", UnknownList::Ok, &[("u1", "F"), ("u0", "W"), ("u1", "W"), ("u0", "F")], [4, 0, 0, 0, 0]),
        ("the same row again", UnknownList::Ok, &[("u1", "F"), ("u1", "F"), ("u0", "F"), ("u1", "F")], [4, 0, 0, 0, 0]),
        ("nothing shows a list to be gone", UnknownList::Ok, &[("u1", "none"), ("u1", "F")], [2, 0, 0, 0, 0]),
        ("a read shows it", UnknownList::InvalidParameters, &[("u1", "none"), ("u1", "F")], [1, 1, 0, 0, 0]),
        ("the old code", UnknownList::NotFound, &[("u1", "none"), ("u1", "F"), ("u2", "none")], [1, 2, 0, 0, 0]),
        ("no such account", UnknownList::Ok, &[("nobody", "F"), ("nobody", "W"), ("u1", "F")], [1, 0, 2, 0, 0]),
        ("no row at all", UnknownList::Ok, &[], [0, 0, 0, 0, 0]),
    ];
    for (situation, habit, input, expected) in table {
        let ground = Ground::new(*habit);
        ground.seed(3, &["F", "W", "G"]);
        ground.write("rows.csv", &csv(input));
        let mut job = ground.job(Command::Delete, "rows.csv");
        run(&mut job).unwrap_or_else(|error| panic!("{situation}: {error}"));
        assert_eq!(rows(&job), *expected, "{situation}");
        for (account, list) in *input {
            let left = ground.left();
            let exists = left.get(*account).is_some_and(|lists| lists.contains(*list));
            assert!(!exists, "{situation}: {account} still has {list}");
        }
    }
}

#[test]
fn rows_of_an_account_leave_in_requests_of_32() {
    let ground = Ground::new(UnknownList::Ok);
    ground.seed(30, &["F"]);
    // The rows of one account are spread over the whole input.
    let mut text = csv(&[]);
    for list in 0..40 {
        for account in 0..30 {
            text += &format!("u{account},L{list}\n");
        }
    }
    ground.write("rows.csv", &text);
    let mut job = ground.job(Command::Delete, "rows.csv");
    run(&mut job).unwrap();
    assert_eq!(rows(&job), [1200, 0, 0, 0, 0]);
    assert_eq!(ground.count(DELETE), 60);
    // Overlapping writes on an account would have been answered with a conflict.
    let counts = ground
        .emulator
        .control("GET", "/_emulator/requests/count?command=v4/sns/group_delete", None)
        .unwrap();
    assert_eq!(counts["codes"], json!({"0": 60}));
}
