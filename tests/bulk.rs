//! Jobs over many accounts: what a row comes to, what a run that was stopped or
//! killed leaves behind, and what a damaged journal does.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imgroup::bulk::{Command, Format, Job, account_hash};
use imgroup::client::Client;
use imgroup::codes;
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

    fn fault(&self, order: Value) {
        self.emulator.control("POST", "/_emulator/faults", Some(&order)).unwrap();
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
    // A busy machine is no fault.
    config.set_attempt_timeout_ms(5_000).unwrap();
    config.set_timeout_ms(15_000).unwrap();
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

/// Accounts with a list each, and the input that deletes it.
fn many(ground: &Ground, accounts: usize) {
    ground.seed(accounts, &["F", "keep"]);
    let rows: Vec<_> = (0..accounts).map(|n| format!("u{n},F\n")).collect();
    ground.write("rows.csv", &format!("account,list\n{}", rows.concat()));
}

/// Whether only what should be is left.
fn assert_kept(ground: &Ground, accounts: usize) {
    let left = ground.left();
    assert_eq!(left.len(), accounts);
    assert!(left.values().all(|lists| lists.iter().eq(["keep"])), "a list was not deleted");
}

#[test]
fn a_job_that_was_stopped_goes_on_where_it_was() {
    let slow = Options { write_time: Duration::from_millis(3), ..Options::default() };
    for (how, code) in [("pause", codes::JOB_STOPPED), ("cancel", codes::CANCELLED)] {
        let ground = Ground::with(Options { policy: Policy::default(), ..slow.clone() });
        many(&ground, 2_000);
        let mut job = ground.job(Command::Delete, "rows.csv");
        job.set_connections(4).unwrap();
        let handle = job.handle();
        let mut asked = None;
        let error = job
            .run(&mut |progress| {
                if progress.ended() > 200 && asked.is_none() {
                    asked = Some(Instant::now());
                    if how == "pause" { handle.pause() } else { handle.cancel() }
                }
            })
            .unwrap_err();
        assert_eq!(error.code(), code, "{how}: {error}");
        assert!(asked.unwrap().elapsed() < Duration::from_secs(2), "{how} took long");
        assert_eq!(job.stopped_by(), Some(how));
        let [deleted, .., open] = rows(&job);
        assert!(deleted > 200 && open > 0 && deleted + open == 2_000, "{how}: {deleted} and {open}");

        // Another process would do the same: a new job with the same journal.
        let mut again = ground.job(Command::Delete, "rows.csv");
        run(&mut again).unwrap();
        assert_eq!(rows(&again), [2_000, 0, 0, 0, 0], "{how}");
        assert_eq!(again.progress().resumed, deleted);
        assert_kept(&ground, 2_000);
        // Drained, nothing is sent twice; cancelled, what was in flight.
        let most = if how == "pause" { 2_000 } else { 2_000 + 4 };
        assert!(ground.count(DELETE) <= most, "{how}: {} requests", ground.count(DELETE));
        // A third time there is nothing left to do.
        let before = ground.count(DELETE);
        run(&mut ground.job(Command::Delete, "rows.csv")).unwrap();
        assert_eq!(ground.count(DELETE), before);
    }
}

#[test]
fn what_stops_a_job_by_itself_and_what_is_left_then() {
    type Prepare = fn(&Ground, &mut Job);
    #[rustfmt::skip]
    let table: &[(&str, Prepare, &str, i32)] = &[
        ("the key is refused", |g, _| g.fault(json!({"kind": "error", "code": 70003, "skip": 50})), "credentials", 70003),
        ("it may not go on", |_, job| job.set_max_deletes(100).unwrap(), "max_deletes", codes::JOB_STOPPED),
        ("too much fails", |g, job| {
            g.fault(json!({"kind": "error", "code": 30003, "times": 500}));
            job.set_max_failures(0.1).unwrap();
        }, "failures", codes::JOB_STOPPED),
    ];
    for (situation, prepare, reason, code) in table {
        let ground = Ground::new(UnknownList::Ok);
        many(&ground, 3_000);
        let mut job = ground.job(Command::Delete, "rows.csv");
        prepare(&ground, &mut job);
        let error = run(&mut job).unwrap_err();
        assert_eq!((error.code(), job.stopped_by()), (*code, Some(*reason)), "{situation}: {error}");
        let [deleted, gone, failed, unknown, open] = rows(&job);
        assert_eq!(deleted + gone + failed + unknown + open, 3_000, "{situation}");
        assert!(open > 0, "{situation}");
        let applied = 3_000 - ground.left().values().filter(|lists| lists.contains("F")).count() as u64;
        assert_eq!(deleted, applied, "{situation}");
        if *reason == "max_deletes" {
            assert_eq!(deleted, 100);
        }
        ground.emulator.control("DELETE", "/_emulator/faults", None).unwrap();
        // The credentials are refused for a minute, so another client goes on.
        let client = fast_client(ground.emulator.url(), &ground.scratch);
        let mut again = Job::new(client, Command::Delete, &ground.path("journal")).unwrap();
        run(&mut again).unwrap();
        let [deleted, _, failed, ..] = rows(&again);
        assert_eq!(deleted + failed, 3_000, "{situation}");
        // What failed can be done by itself.
        let retry = ground.path("failed.csv");
        assert_eq!(again.write_failed(&retry, Format::Csv).unwrap(), failed);
        let mut last = Job::new(Arc::clone(&ground.client), Command::Delete, &ground.path("second")).unwrap();
        if *reason != "credentials" {
            last.set_input_file(&retry, None).unwrap();
            run(&mut last).unwrap();
            assert_kept(&ground, 3_000);
        }
    }
}

#[test]
fn an_outage_costs_time_and_no_rows() {
    let ground = Ground::new(UnknownList::Ok);
    many(&ground, 1_500);
    // Every connection is reset for a while, in the middle of the job.
    let mut job = ground.job(Command::Delete, "rows.csv");
    let mut begun = false;
    let result = job.run(&mut |progress| {
        if !begun && progress.ended() > 0 {
            begun = true;
            ground.fault(json!([
                {"kind": "reset", "times": 10},
                {"kind": "reset", "command": "@accept", "times": 10},
            ]));
        }
    });
    result.unwrap();
    assert_eq!(rows(&job), [1_500, 0, 0, 0, 0]);
    assert_kept(&ground, 1_500);
}

#[test]
fn a_service_that_cannot_be_reached_stops_the_job_with_all_rows_open() {
    let ground = Ground::new(UnknownList::Ok);
    many(&ground, 100);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let mut job =
        Job::new(fast_client(&url, &ground.scratch), Command::Delete, &ground.path("journal")).unwrap();
    job.set_input_file(&ground.path("rows.csv"), None).unwrap();
    job.set_give_up_ms(500).unwrap();
    let begin = Instant::now();
    let error = run(&mut job).unwrap_err();
    assert_eq!((error.code(), job.stopped_by()), (codes::CONNECT, Some("unreachable")), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!(rows(&job), [0, 0, 0, 0, 100]);
    let mut again = ground.job(Command::Delete, "rows.csv");
    run(&mut again).unwrap();
    assert_eq!(rows(&again), [100, 0, 0, 0, 0]);
}

#[test]
fn one_request_that_is_always_lost_ends_unknown_while_others_go_on() {
    let ground = Ground::new(UnknownList::Ok);
    many(&ground, 200);
    ground.fault(json!({"kind": "reset", "when": "after", "account": "u7", "times": 1000}));
    // Something has to be answered meanwhile.
    let mut job = ground.job(Command::Delete, "rows.csv");
    job.set_connections(1).unwrap();
    job.set_give_up_ms(2_000).unwrap();
    let result = run(&mut job);
    // Alone at the end it looks like an outage; either way nothing is claimed of it.
    let [deleted, gone, failed, unknown, open] = rows(&job);
    assert_eq!((deleted, gone, failed), (199, 0, 0));
    assert_eq!(unknown + open, 1);
    assert_eq!(result.is_ok(), unknown == 1);
}

#[test]
fn a_journal_belongs_to_one_job() {
    let ground = Ground::new(UnknownList::Ok);
    many(&ground, 50);
    ground.write("other.csv", &csv(&[("u1", "F")]));
    let mut job = ground.job(Command::Delete, "rows.csv");
    job.set_max_deletes(10).unwrap();
    run(&mut job).unwrap_err();
    type Change = fn(&Ground) -> Job;
    #[rustfmt::skip]
    let table: &[(&str, Change, i32, &str)] = &[
        ("another input", |g| g.job(Command::Delete, "other.csv"), codes::JOB_MISMATCH, "the journal is for another input"),
        ("another command", |g| g.job(Command::Export, "rows.csv"), codes::JOB_MISMATCH, "the journal is for the command delete, not export"),
        ("another part", |g| {
            let mut job = g.job(Command::Delete, "rows.csv");
            job.set_partition(2, 3).unwrap();
            job
        }, codes::JOB_MISMATCH, "the journal is for partition 1/1, not 2/3"),
        ("another app", |g| {
            let mut config = imgroup::config::Config::new(1_400_000_001, "administrator", MARKER_KEY).unwrap();
            config.set_endpoint(g.emulator.url()).unwrap();
            Job::new(Arc::new(Client::new(&config).unwrap()), Command::Delete, &g.path("journal")).unwrap()
        }, codes::JOB_MISMATCH, "the journal is for sdkappid 1400000000, not 1400000001"),
        ("a damaged record", |g| {
            let mut bytes = std::fs::read(g.path("journal")).unwrap();
            bytes[130] ^= 1;
            std::fs::write(g.path("journal"), bytes).unwrap();
            g.job(Command::Delete, "rows.csv")
        }, codes::JOB_CORRUPT, "the journal cannot be used: record 0 is damaged, and whole ones follow"),
        ("no journal at all", |g| {
            std::fs::write(g.path("journal"), "account,list\n".repeat(99)).unwrap();
            g.job(Command::Delete, "rows.csv")
        }, codes::JOB_CORRUPT, "the journal cannot be used: it is another kind of file"),
        ("nothing to go on with", |g| Job::new(Arc::clone(&g.client), Command::Delete, &g.path("new")).unwrap(),
            codes::INVALID_ARGUMENT, "input: is not given, and the journal holds no job to go on with"),
        ("no input file", |g| {
            let mut job = Job::new(Arc::clone(&g.client), Command::Delete, &g.path("new")).unwrap();
            job.set_input_file(&g.path("none.csv"), None).unwrap();
            job
        }, codes::INVALID_ARGUMENT, "No such file or directory (os error 2)"),
    ];
    for (situation, change, code, text) in table {
        let before = ground.count(DELETE);
        let error = run(&mut change(&ground)).unwrap_err();
        assert_eq!(error.code(), *code, "{situation}: {error}");
        assert!(error.message().ends_with(text), "{situation}: {error}");
        assert_eq!(ground.count(DELETE), before, "{situation}: something was sent");
        assert!(!ground.path("new").exists(), "{situation}: a journal that never began");
    }
}

#[test]
fn two_runs_at_once_are_refused() {
    let ground = Ground::with(Options { write_time: Duration::from_millis(5), ..Options::default() });
    many(&ground, 500);
    let mut first = ground.job(Command::Delete, "rows.csv");
    let mut second = ground.job(Command::Delete, "rows.csv");
    let mut refused = None;
    first
        .run(&mut |progress| {
            if progress.ended() > 0 && refused.is_none() {
                refused = Some(run(&mut second).unwrap_err().code());
            }
        })
        .unwrap();
    assert_eq!(refused, Some(codes::JOB_BUSY));
    assert_kept(&ground, 500);
}

#[test]
fn a_journal_cut_at_every_byte_goes_on_rightly_or_is_refused() {
    let ground = Ground::new(UnknownList::InvalidParameters);
    ground.seed(8, &["F", "keep"]);
    let input: Vec<_> = (0..8).map(|n| format!("u{n}")).collect();
    let input: Vec<_> = input.iter().map(|account| (account.as_str(), "F")).collect();
    ground.write("rows.csv", &csv(&input));
    let mut job = ground.job(Command::Delete, "rows.csv");
    job.set_max_deletes(4).unwrap();
    run(&mut job).unwrap_err();
    let names = ["journal", "journal.spool", "journal.results"];
    let half: Vec<Vec<u8>> = names.iter().map(|name| std::fs::read(ground.path(name)).unwrap()).collect();
    let state = ground.emulator.control("GET", "/_emulator/state", None).unwrap();
    for length in 0..=half[0].len() {
        for (name, bytes) in names.iter().zip(&half) {
            std::fs::write(ground.path(name), bytes).unwrap();
        }
        std::fs::write(ground.path("journal"), &half[0][..length]).unwrap();
        ground.emulator.control("PUT", "/_emulator/state", Some(&state)).unwrap();
        let mut again = ground.job(Command::Delete, "rows.csv");
        match run(&mut again) {
            Err(error) => {
                assert_eq!(error.code(), codes::JOB_CORRUPT, "{length}: {error}");
                assert!((1..128).contains(&length), "{length}: {error}");
            }
            Ok(()) => {
                let [deleted, gone, failed, unknown, open] = rows(&again);
                assert_eq!((deleted + gone, failed + unknown + open), (8, 0), "{length}");
                assert_kept(&ground, 8);
            }
        }
    }
}

#[test]
fn each_account_is_in_exactly_one_part() {
    let ground = Ground::new(UnknownList::Ok);
    many(&ground, 300);
    let mut total = 0;
    for index in 1..=3 {
        let mut job =
            Job::new(Arc::clone(&ground.client), Command::Delete, &ground.path(&format!("j{index}")))
                .unwrap();
        job.set_input_file(&ground.path("rows.csv"), None).unwrap();
        job.set_partition(index, 3).unwrap();
        run(&mut job).unwrap();
        let [deleted, .., open] = rows(&job);
        assert!(deleted > 50 && open == 0, "part {index}: {deleted}");
        total += deleted;
    }
    assert_eq!(total, 300);
    assert_eq!(ground.count(DELETE), 300);
    assert_kept(&ground, 300);
    // Other machines count on this number.
    assert_eq!(account_hash("123456789"), 0xe306_9283);
}

#[test]
fn rows_can_be_pushed_and_are_sent_at_the_end() {
    let ground = Ground::new(UnknownList::Ok);
    ground.seed(10, &["F", "keep"]);
    let new = || Job::new(Arc::clone(&ground.client), Command::Delete, &ground.path("journal")).unwrap();
    let mut job = new();
    let error = job.push("u0", "").unwrap_err();
    assert_eq!(error.message(), "list: must be 1 to 30 bytes, not 0");
    assert!(!ground.path("journal").exists(), "a bad row began a journal");
    for n in 0..10 {
        job.push(&format!("u{n}"), "F").unwrap();
    }
    assert_eq!(ground.count(DELETE), 0, "sent before the end");
    job.set_max_deletes(4).unwrap();
    assert_eq!(run(&mut job).unwrap_err().code(), codes::JOB_STOPPED);
    // The same rows again, or none, go on with the journal; others do not.
    let mut other = new();
    other.push("u1", "F").unwrap();
    assert_eq!(run(&mut other).unwrap_err().code(), codes::JOB_MISMATCH);
    let mut same = new();
    for n in 0..10 {
        same.push(&format!("u{n}"), "F").unwrap();
    }
    run(&mut same).unwrap();
    assert_eq!(rows(&same), [10, 0, 0, 0, 0]);
    assert_eq!(ground.count(DELETE), 10);
    assert_kept(&ground, 10);

    // Pushed and thought better of.
    let mut dropped = Job::new(Arc::clone(&ground.client), Command::Delete, &ground.path("dropped")).unwrap();
    dropped.push("u1", "keep").unwrap();
    drop(dropped);
    let leftovers: Vec<_> = std::fs::read_dir(&ground.scratch.0)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("dropped"))
        .collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
}

#[test]
fn an_export_reads_every_account_once_whatever_stops_it() {
    let ground = Ground::new(UnknownList::Ok);
    ground.seed(600, &["F", "a,\"b\""]);
    let accounts: String = (0..600).map(|n| format!("u{n}\n")).collect();
    ground.write("accounts.csv", &format!("account\nnobody\nu1\n{accounts}"));
    let mut job = ground.job(Command::Export, "accounts.csv");
    let handle = job.handle();
    let stopped = job.run(&mut |progress| {
        if progress.ended() > 0 {
            handle.cancel();
        }
    });
    let mut last = ground.job(Command::Export, "accounts.csv");
    run(&mut last).unwrap();
    assert!(stopped.is_err() || job.progress().ended() == 602);
    assert_eq!(rows(&last), [601, 0, 1, 0, 0]);
    let mut text = Vec::new();
    assert_eq!(last.write_lists(&mut text).unwrap(), 1200);
    let mut lines: Vec<_> = std::str::from_utf8(&text).unwrap().lines().collect();
    assert_eq!(lines.remove(0), "account,list,friends");
    lines.sort_unstable();
    let mut expected: Vec<_> =
        (0..600).flat_map(|n| [format!("u{n},F,0"), format!("u{n},\"a,\"\"b\"\"\",0")]).collect();
    expected.sort_unstable();
    assert_eq!(lines, expected);
    let failed = ground.path("failed.csv");
    assert_eq!(last.write_failed(&failed, Format::Csv).unwrap(), 1);
    let failed = std::fs::read_to_string(failed).unwrap();
    assert!(failed.lines().nth(1).unwrap().starts_with("nobody,\"\",2,failed,30003,"), "{failed}");
}

#[test]
fn the_plan_says_what_would_be_sent_and_leaves_nothing_behind() {
    let ground = Ground::new(UnknownList::Ok);
    many(&ground, 20);
    let files = || {
        let mut names: Vec<_> =
            std::fs::read_dir(&ground.scratch.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = files();
    let mut told = Vec::new();
    let plan = ground
        .job(Command::Delete, "rows.csv")
        .plan(|account, lists| told.push((account.to_owned(), lists.join("+"))))
        .unwrap();
    assert_eq!((plan.rows, plan.requests, plan.ended), (20, 20, 0));
    told.sort();
    assert_eq!(told[0], ("u0".into(), "F".into()));
    assert_eq!(files(), before);
    assert_eq!(ground.count(DELETE), 0);

    let mut job = ground.job(Command::Delete, "rows.csv");
    job.set_max_deletes(5).unwrap();
    run(&mut job).unwrap_err();
    let plan = ground.job(Command::Delete, "rows.csv").plan(|_, _| ()).unwrap();
    assert_eq!((plan.rows, plan.requests, plan.ended), (15, 15, 5));
}

#[test]
fn what_was_prepared_is_run_or_leaves_nothing_behind() {
    let ground = Ground::new(UnknownList::Ok);
    many(&ground, 20);
    let mut job = ground.job(Command::Delete, "rows.csv");
    let plan = job.prepare().unwrap();
    assert_eq!((plan.rows, plan.requests, plan.ended), (20, 20, 0));
    assert_eq!(run(&mut ground.job(Command::Delete, "rows.csv")).unwrap_err().code(), codes::JOB_BUSY);
    drop(job);
    for name in ["journal", "journal.spool", "journal.parts"] {
        assert!(!ground.path(name).exists(), "{name} was left");
    }
    let mut job = ground.job(Command::Delete, "rows.csv");
    job.prepare().unwrap();
    // Read once is read: the input may change now.
    std::fs::remove_file(ground.path("rows.csv")).unwrap();
    job.set_max_deletes(5).unwrap();
    run(&mut job).unwrap_err();
    drop(job);
    let mut again = Job::new(Arc::clone(&ground.client), Command::Delete, &ground.path("journal")).unwrap();
    assert_eq!(again.prepare().unwrap().ended, 5);
    drop(again);
    // What an earlier run began is not thrown away.
    let mut last = Job::new(Arc::clone(&ground.client), Command::Delete, &ground.path("journal")).unwrap();
    run(&mut last).unwrap();
    assert_eq!(rows(&last), [20, 0, 0, 0, 0]);
    assert_kept(&ground, 20);
}

#[test]
fn the_report_is_json_and_a_page_that_needs_nothing_else() {
    let ground = Ground::new(UnknownList::Ok);
    ground.seed(2, &["F"]);
    ground.write("rows.csv", &csv(&[("u0", "F"), ("</script><b>", "F")]));
    let mut job = ground.job(Command::Delete, "rows.csv");
    run(&mut job).unwrap();
    job.write_report(&ground.path("report.json")).unwrap();
    let report: Value =
        serde_json::from_str(&std::fs::read_to_string(ground.path("report.json")).unwrap()).unwrap();
    assert_eq!(
        report["rows"],
        json!({"total": 2, "deleted": 1, "already_gone": 0, "failed": 1, "unknown": 0, "open": 0})
    );
    assert_eq!(report["failures"][0]["code"], 30003);
    assert_eq!(report["failures"][0]["rows"], 1);
    let page = std::fs::read_to_string(ground.path("report.html")).unwrap();
    assert!(!page.contains("\"REPORT\""), "the report is not in the page");
    assert_eq!(page.matches("</script>").count(), 1, "a text ends the script");
    for foreign in ["src=", "href=", "@import", "url("] {
        assert!(!page.contains(foreign), "the page needs {foreign}");
    }
}

/// The disk fails: the n-th write or sync of the journal, by strace.
#[test]
fn a_disk_that_fails_stops_the_job_and_nothing_is_lost() {
    const SELF: &str = "a_disk_that_fails_stops_the_job_and_nothing_is_lost";
    if is_child(SELF) {
        let directory = PathBuf::from(std::env::var("BULK_DIRECTORY").unwrap());
        let scratch = Scratch::new();
        let client = fast_client(&std::env::var("BULK_URL").unwrap(), &scratch);
        let mut job = Job::new(client, Command::Delete, &directory.join("journal")).unwrap();
        job.set_input_file(&directory.join("rows.csv"), None).unwrap();
        // strace counts the calls of each thread by itself.
        job.set_connections(1).unwrap();
        let error = run(&mut job).unwrap_err();
        assert_eq!((error.code(), job.stopped_by()), (codes::RESOURCE, Some("journal")), "{error}");
        println!("stopped by: {error}");
        return;
    }
    for (situation, injection) in [
        ("the disk is full", "inject=write:error=ENOSPC:when=400+"),
        ("a record is cut short", "inject=write:retval=7:when=401"),
        ("a write fails", "inject=write:error=EIO:when=300"),
        ("a sync fails", "inject=fdatasync:error=EIO:when=1"),
    ] {
        let ground = Ground::with(Options { write_time: Duration::from_millis(1), ..Options::default() });
        many(&ground, 2_000);
        let journal = ground.path("journal");
        let directory = ground.scratch.path().to_owned();
        // The file has to be there for strace to know its path.
        std::fs::write(&journal, "").unwrap();
        let strace =
            ["strace", "-f", "-qq", "-o", "/dev/null", "-P", journal.to_str().unwrap(), "-e", injection];
        in_child(SELF, &strace, &[("BULK_DIRECTORY", &directory), ("BULK_URL", ground.emulator.url())]);
        let first = ground.count(DELETE);
        assert!(first > 0 && first < 2_000, "{situation}: {first}");
        let mut again = ground.job(Command::Delete, "rows.csv");
        run(&mut again).unwrap_or_else(|error| panic!("{situation}: {error}"));
        assert_eq!(rows(&again), [2_000, 0, 0, 0, 0], "{situation}");
        assert_kept(&ground, 2_000);
        // What was in flight when the disk failed, and no more, was sent twice.
        let twice = ground.count(DELETE) - 2_000;
        assert!(twice <= 1, "{situation}: {twice} requests twice");
    }
}
