//! `imgroup bulk`: what each situation leaves at the service, which exit code it has,
//! and that whatever is printed to go on with does go on.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use imgroup::emulator::{Emulator, Options};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use support::*;

const DELETE: &str = "v4/sns/group_delete";
const JOURNAL_HEADER: usize = 128;
const RECORD: usize = 16;

/// What a test has: an emulator and a folder in which the command runs.
struct Ground {
    emulator: Emulator,
    scratch: Scratch,
}

/// What a run printed, and how it exited.
#[derive(Debug)]
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ground {
    fn new(write_time: Duration) -> Ground {
        let options = Options { secret_key: MARKER_KEY.into(), quota: 0, write_time, ..Options::default() };
        Ground { emulator: Emulator::start(options).unwrap(), scratch: Scratch::new() }
    }

    /// Accounts `u0`, `u1` … with these lists each.
    fn seed(&self, accounts: usize, lists: &[&str]) {
        let accounts: serde_json::Map<String, Value> =
            (0..accounts).map(|n| (format!("u{n}"), json!({"lists": lists}))).collect();
        self.put_state(&json!({ "accounts": accounts }));
    }

    fn put_state(&self, state: &Value) {
        self.emulator.control("PUT", "/_emulator/state", Some(state)).unwrap();
    }

    fn state(&self) -> Value {
        self.emulator.control("GET", "/_emulator/state", None).unwrap()
    }

    fn fault(&self, fault: &Value) {
        self.emulator.control("POST", "/_emulator/faults", Some(fault)).unwrap();
    }

    /// Account and list, of those that are left.
    fn left(&self) -> BTreeSet<(String, String)> {
        let state = self.state();
        let accounts = state["accounts"].as_object().unwrap().iter();
        accounts
            .flat_map(|(name, account)| {
                let lists = account["lists"].as_array().unwrap().iter();
                lists.map(|list| (name.clone(), list.as_str().unwrap().to_owned())).collect::<Vec<_>>()
            })
            .collect()
    }

    fn deletes(&self) -> u64 {
        let path = format!("/_emulator/requests/count?command={DELETE}");
        self.emulator.control("GET", &path, None).unwrap()["count"].as_u64().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name).into()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    /// A program in the folder, with the app's credentials in its environment and
    /// little else.
    fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("IMGROUP_SDKAPPID", SDKAPPID.to_string())
            .env("IMGROUP_SECRET_KEY", MARKER_KEY)
            .env("IMGROUP_ENDPOINT", self.emulator.url())
            .env("IMGROUP_QUOTA_DIR", self.scratch.path())
            .current_dir(self.scratch.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// `imgroup bulk` and so on.
    fn bulk(&self, line: &str) -> Command {
        let mut command = self.program(IMGROUP);
        command.arg("bulk").args(line.split_whitespace());
        command
    }

    fn run(&self, line: &str) -> Ended {
        finish(self.bulk(line).spawn().unwrap())
    }

    /// A line as a shell takes it.
    fn shell(&self, line: &str) -> Ended {
        finish(self.program("sh").args(["-c", line]).spawn().unwrap())
    }

    /// The line in a terminal of its own, which gets these keys once it asks.
    fn terminal(&self, line: &str, term: &str, keys: &str) -> Ended {
        let shown = self.path("shown");
        let line = format!("{IMGROUP} bulk {line}");
        let mut command = self.program("script");
        command.args(["-qec", &line, "/dev/null"]).env("TERM", term).env("SHELL", "/bin/sh");
        let output = std::fs::File::create(&shown).unwrap();
        let mut child = command.stdin(Stdio::piped()).stdout(output).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        if !keys.is_empty() {
            eventually("it asks", || self.read("shown").contains("[y/N] "));
            stdin.write_all(keys.as_bytes()).unwrap();
        }
        // The pipe stays open until the end: an answer is not the end of a terminal.
        let ended = finish(child);
        drop(stdin);
        let text = self.read("shown");
        assert!(!text.contains(MARKER_KEY), "a secret in: {text}");
        Ended { stdout: text, ..ended }
    }

    /// Starts it, and waits until so many deletes have arrived.
    fn start(&self, line: &str, deletes: u64) -> Child {
        let mut child = self.bulk(line).spawn().unwrap();
        let begin = Instant::now();
        while self.deletes() < deletes {
            assert!(begin.elapsed() < Duration::from_secs(20), "{line}: no delete arrives");
            assert_eq!(child.try_wait().unwrap(), None, "{line}: has ended already");
            std::thread::sleep(Duration::from_millis(2));
        }
        child
    }
}

const IMGROUP: &str = env!("CARGO_BIN_EXE_imgroup");

/// Waits for the end. No output may ever hold a secret.
fn finish(child: Child) -> Ended {
    let output = child.wait_with_output().unwrap();
    let code = exit_code(output.status);
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    for text in [&stdout, &stderr] {
        assert!(!text.contains(MARKER_KEY) && !text.contains("usersig="), "a secret in: {text}");
    }
    Ended { code, stdout, stderr }
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| panic!("{status}"))
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// The command that a stopped run has printed to go on with.
fn printed_command(ended: &Ended) -> String {
    let mut lines = ended.stderr.lines().skip_while(|line| !line.starts_with("To "));
    let line = lines.nth(1).unwrap_or_else(|| panic!("no command in {ended:?}"));
    line.trim().to_owned()
}

/// A row each for these lists of `u0` to `u{accounts - 1}`.
fn csv(accounts: usize, lists: &[&str]) -> String {
    let mut text = "account,list\n".to_owned();
    for list in lists {
        (0..accounts).for_each(|n| text += &format!("u{n},{list}\n"));
    }
    text
}

fn count(report: &Value, name: &str) -> u64 {
    report["rows"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {report}"))
}

#[test]
fn every_situation_has_its_exit_code_and_leaves_what_it_should() {
    let good = csv(4, &["F", "W"]);
    let nobody: String = (0..1200).fold("account,list\n".into(), |text, n| text + &format!("nobody{n},F\n"));
    let bad_json = "{\"account\":\"u0\",\"list\":\"F\"}\n{\"account\":\"u1\"}\n";
    let wrong_key = [("IMGROUP_SECRET_KEY", "wrong")];
    let nowhere = [("IMGROUP_ENDPOINT", "http://127.0.0.1:1")];
    /// Situation, rows, command line, environment, exit code, on standard error, lists left of 8.
    type Line<'a> = (&'a str, &'a str, &'a str, &'a [(&'a str, &'a str)], i32, &'a str, usize);
    #[rustfmt::skip]
    let table: &[Line<'_>] = &[
        ("dry run", &good, "delete rows.csv --dry-run", &[], 0, "nothing was sent: 8 rows in 4 requests", 8),
        ("a dry run needs no yes, but good rows", "account,list\nu0,\n", "delete rows.csv --dry-run", &[], 2, "line 2: list: must be 1 to 30 bytes, not 0", 8),
        ("run", &good, "delete rows.csv --yes", &[], 0, "8 of 8 rows ended", 0),
        ("quietly", &good, "delete rows.csv --yes --quiet", &[], 0, "", 0),
        ("nobody can be asked", &good, "delete rows.csv", &[], 2, "--yes: is needed", 8),
        ("a faulty row", "account,list\nu0,F\nu1\n", "delete rows.csv --yes", &[], 2, "line 3: has no column for the list", 8),
        ("a faulty row of JSON", bad_json, "delete rows.csv --format jsonl --yes", &[], 2, "line 2: has no member list", 8),
        ("no header", "u0,F\n", "delete rows.csv --yes", &[], 2, "line 1: must be a header", 8),
        ("no such file", &good, "delete none.csv --yes", &[], 2, "none.csv: No such file", 8),
        ("an unknown format", &good, "delete rows.csv --format xml --yes", &[], 2, "'xml'", 8),
        ("standard input without a journal", &good, "delete - --yes", &[], 2, "--journal: is needed", 8),
        ("failed rows over the input", &good, "delete rows.csv --failed ./rows.csv --yes", &[], 2, "--failed: ./rows.csv: would overwrite", 8),
        ("a report over the failed rows", &good, "delete rows.csv --failed f --report f --yes", &[], 2, "--report: f: would overwrite", 8),
        ("a report in no folder", &good, "delete rows.csv --report none/r.json --yes", &[], 2, "none/r.json: no file can be made there", 8),
        ("a part that is none", &good, "delete rows.csv --partition 4/3 --yes", &[], 2, "must be as 1/3", 8),
        ("a share that is none", &good, "delete rows.csv --max-failures 5 --yes", &[], 2, "must be 0% to 100%, or 0 to 1", 8),
        ("no delete allowed", &good, "delete rows.csv --max-delete 0 --yes", &[], 2, "--max-delete", 8),
        ("no key", &good, "delete rows.csv --yes", &[("IMGROUP_SECRET_KEY", "")], 2, "set IMGROUP_SECRET_KEY", 8),
        ("a wrong key", &good, "delete rows.csv --yes", &wrong_key, 3, "(70009)", 8),
        ("nobody listens", &good, "delete rows.csv --yes --give-up-after 0.3", &nowhere, 3, "IMGROUP_E_CONNECT", 8),
        ("some rows fail", "account,list\nu0,F\nnobody,F\n", "delete rows.csv --yes", &[], 1, "1 row: 30003 ERR_SVR_FRIENDSHIP_ACCOUNT_NOT_FOUND", 7),
        ("most rows fail", &nobody, "delete rows.csv --yes --rate 100000 --max-failures 5%", &[], 4, "rows failed", 8),
        ("most rows may fail", &nobody, "delete rows.csv --yes --rate 100000 --max-failures 1", &[], 1, "1,200 rows: 30003", 8),
        ("no more than four", &good, "delete rows.csv --yes --max-delete 4 --connections 1", &[], 4, "stopped before more than 4 rows", 4),
        ("a raised quota is remarked on", &good, "delete rows.csv --yes --rate 181", &[], 0, "needs a raised quota", 0),
        ("no row", "account,list\n", "delete rows.csv --yes", &[], 0, "0 of 0 rows ended", 8),
    ];
    let ground = Ground::new(Duration::ZERO);
    for &(situation, rows, line, environment, code, message, left) in table {
        for file in std::fs::read_dir(ground.scratch.path()).unwrap() {
            let path = file.unwrap().path();
            if path.to_str().unwrap().contains("rows.csv") {
                std::fs::remove_file(path).unwrap();
            }
        }
        ground.seed(4, &["F", "W"]);
        ground.write("rows.csv", rows);
        let ended = finish(ground.bulk(line).envs(environment.iter().copied()).spawn().unwrap());
        assert_eq!(ended.code, code, "{situation}: {ended:?}");
        assert!(ended.stderr.contains(message), "{situation}: {ended:?}");
        assert_eq!(ground.left().len(), left, "{situation}: {ended:?}");
        // Standard output is for data.
        let requests = if situation == "dry run" { 4 } else { 0 };
        assert_eq!(ended.stdout.lines().count(), requests, "{situation}: {ended:?}");
        if line.contains("--quiet") {
            assert_eq!(ended.stderr, "", "{situation}");
        }
        // Nothing lies about that was not begun.
        let journal = ground.path("rows.csv.imgroup-journal").exists();
        assert_eq!(journal, code != 2 && situation != "dry run", "{situation}");
    }
}

#[test]
fn a_dry_run_prints_every_request() {
    let ground = Ground::new(Duration::ZERO);
    ground.write("rows.csv", "account,list\nb,\"x\ty\"\na,F\nb,W\n");
    let ended = ground.run("delete rows.csv --dry-run");
    let requests: BTreeSet<String> = ended.stdout.lines().map(str::to_owned).collect();
    let expected = [r#"{"account":"a","lists":["F"]}"#, r#"{"account":"b","lists":["W","x\ty"]}"#];
    let sorted = |line: &String| {
        let mut request: Value = serde_json::from_str(line).unwrap();
        request["lists"].as_array_mut().unwrap().sort_by_key(|list| list.to_string());
        request.to_string()
    };
    assert_eq!(requests.iter().map(sorted).collect::<Vec<_>>(), expected);
    let ended = ground.run("delete rows.csv --dry-run --json");
    let counts: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(counts, json!({"dry_run": true, "rows": 3, "requests": 2, "ended": 0}));
    assert_eq!(ground.deletes(), 0);
}

#[test]
fn on_a_terminal_it_asks_first() {
    // Situation, keys, line, exit code, shown, lists left of 8.
    #[rustfmt::skip]
    let table = [
        ("yes", "y\n", "delete rows.csv", 0, "8 rows in 4 requests", 0),
        ("the whole word", "YES\n", "delete rows.csv", 0, "[y/N]", 0),
        ("no", "n\n", "delete rows.csv", 2, "nothing was sent", 8),
        ("only enter", "\n", "delete rows.csv", 2, "nothing was sent", 8),
        ("Ctrl-C", "\u{3}", "delete rows.csv", 130, "[y/N]", 8),
        ("not asked", "", "delete rows.csv --yes", 0, "8/8 rows 100%", 0),
    ];
    for (situation, keys, line, code, shown, left) in table {
        let ground = Ground::new(Duration::ZERO);
        ground.seed(4, &["F", "W"]);
        ground.write("rows.csv", &csv(4, &["F", "W"]));
        let ended = ground.terminal(line, "xterm", keys);
        assert_eq!(ended.code, code, "{situation}: {ended:?}");
        assert!(ended.stdout.contains(shown), "{situation}: {ended:?}");
        assert_eq!(ended.stdout.contains("[y/N]"), situation != "not asked", "{situation}: {ended:?}");
        assert_eq!(ground.left().len(), left, "{situation}: {ended:?}");
    }
}

#[test]
fn a_bar_only_where_it_can_be_drawn() {
    let ground = Ground::new(Duration::ZERO);
    ground.seed(4, &["F"]);
    ground.write("rows.csv", &csv(4, &["F"]));
    for (situation, term, is_drawn) in [("dumb", "dumb", false), ("able", "xterm", true)] {
        let ended = ground.terminal("delete rows.csv --yes", term, "");
        assert_eq!(ended.code, 0, "{situation}: {ended:?}");
        assert_eq!(ended.stdout.contains("[####"), is_drawn, "{situation}: {ended:?}");
        assert_eq!(ended.stdout.contains('\u{1b}'), is_drawn, "{situation}: {ended:?}");
        // Nothing is coloured, so there is nothing that NO_COLOR could turn off.
        assert!(!ended.stdout.contains("\u{1b}[3"), "{situation}: {ended:?}");
    }
}

#[test]
fn what_a_stopped_run_prints_goes_on() {
    const ACCOUNTS: usize = 300;
    const OPTIONS: &str = "--yes --rate 5000 --connections 4 --failed left.csv --report r.json";
    #[rustfmt::skip]
    let table = [
        // situation, line, whether rows come by standard input, signal, exit code
        ("Ctrl-C", format!("delete rows.csv {OPTIONS}"), false, Signal::INT, 130),
        ("SIGTERM", format!("delete rows.csv {OPTIONS}"), false, Signal::TERM, 143),
        ("of standard input", format!("delete - --journal job {OPTIONS}"), true, Signal::INT, 130),
        ("of standard input, unsaid", format!("delete --journal job {OPTIONS}"), true, Signal::INT, 130),
        ("a name that a shell would split", "delete 'my rows.csv'".into(), false, Signal::INT, 130),
    ];
    for (situation, line, by_stdin, by, code) in table {
        let ground = Ground::new(Duration::from_millis(20));
        ground.seed(ACCOUNTS, &["F", "keep"]);
        ground.write("rows.csv", &csv(ACCOUNTS, &["F"]));
        ground.write("my rows.csv", &csv(ACCOUNTS, &["F"]));
        let mut command = ground.bulk(&line);
        if line.contains('\'') {
            command = ground.bulk("delete");
            command.arg("my rows.csv").args(OPTIONS.split(' '));
        }
        if by_stdin {
            command.stdin(std::fs::File::open(ground.path("rows.csv")).unwrap());
        }
        let child = command.spawn().unwrap();
        eventually("deletes arrive", || ground.deletes() >= 20);
        signal(&child, by);
        let ended = finish(child);
        assert_eq!(ended.code, code, "{situation}: {ended:?}");
        assert!(ended.stderr.contains("stopping: nothing new is sent"), "{situation}: {ended:?}");
        let report = ground.json("r.json");
        assert_eq!(report["stopped"]["reason"], "pause", "{situation}");
        let (deleted, open) = (count(&report, "deleted"), count(&report, "open"));
        assert!(deleted >= 20 && open > 0, "{situation}: {report}");
        assert_eq!(ground.left().len() as u64, open + ACCOUNTS as u64, "{situation}");

        let ended = ground.shell(&printed_command(&ended));
        assert_eq!(ended.code, 0, "{situation}: {ended:?}");
        assert!(ground.left().iter().all(|(_, list)| list == "keep"), "{situation}");
        // A drained run leaves nothing in doubt, so nothing was sent twice.
        assert_eq!(ground.deletes(), ACCOUNTS as u64, "{situation}");
        let report = ground.json("r.json");
        assert_eq!(report["this_run"]["repeated"], json!([]), "{situation}");
        assert_eq!(count(&report, "deleted"), ACCOUNTS as u64, "{situation}");
    }
}

#[test]
fn a_second_signal_cancels_what_is_in_flight() {
    let ground = Ground::new(Duration::ZERO);
    ground.seed(10, &["F"]);
    ground.write("rows.csv", &csv(10, &["F"]));
    ground.fault(&json!({"kind": "silence", "command": "group_delete", "times": 100}));
    let line = "delete rows.csv --yes --connections 2";
    let child = ground.start(line, 2);
    signal(&child, Signal::INT);
    std::thread::sleep(Duration::from_millis(200));
    let begin = Instant::now();
    signal(&child, Signal::INT);
    let ended = finish(child);
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert_eq!(ended.code, 130, "{ended:?}");
    assert!(ended.stderr.contains("cancelling what is in flight"), "{ended:?}");
    ground.emulator.control("DELETE", "/_emulator/faults", None).unwrap();
    let ended = ground.shell(&printed_command(&ended));
    assert_eq!((ended.code, ground.left().len()), (0, 0), "{ended:?}");
}

#[test]
fn a_signal_while_rows_are_read_begins_nothing() {
    let ground = Ground::new(Duration::ZERO);
    ground.seed(1, &["F"]);
    let mut child = ground.bulk("delete - --journal job --yes").stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"account,list\nu0,F\n").unwrap();
    eventually("the input is being read", || ground.path("job.parts").exists());
    signal(&child, Signal::INT);
    // The read ends with the input, as in a pipe whose writer got the signal too.
    drop(child.stdin.take());
    let ended = finish(child);
    assert_eq!((ended.code, ground.left().len(), ground.deletes()), (130, 1, 0), "{ended:?}");
}

#[test]
fn one_run_at_a_time_may_have_a_journal_and_it_says_how_far_it_is() {
    let ground = Ground::new(Duration::ZERO);
    ground.seed(10, &["F"]);
    ground.write("rows.csv", &csv(10, &["F"]));
    ground
        .fault(&json!({"kind": "delay", "delay_ms": 2500, "command": "group_delete", "skip": 4, "times": 1}));
    let line = "delete rows.csv --yes --connections 1";
    let child = ground.start(line, 5);
    let second = ground.run(line);
    assert_eq!(second.code, 2, "{second:?}");
    assert!(second.stderr.contains("another run holds this journal"), "{second:?}");
    signal(&child, Signal::USR1);
    let first = finish(child);
    assert_eq!((first.code, ground.left().len()), (0, 0), "{first:?}");
    assert!(first.stderr.contains("imgroup: 4/10 rows 40%"), "{first:?}");
}

#[test]
fn a_journal_is_for_one_job() {
    let ground = Ground::new(Duration::ZERO);
    ground.seed(3, &["F"]);
    ground.write("rows.csv", &csv(2, &["F"]));
    ground.write("other.csv", &csv(3, &["F"]));
    assert_eq!(ground.run("delete rows.csv --yes --journal job").code, 0);
    #[rustfmt::skip]
    let table = [
        ("another input", "delete other.csv --journal job --yes", 2, "for another input"),
        ("another command", "export rows.csv --journal job", 2, "the command delete, not export"),
        ("another part", "delete rows.csv --journal job --partition 1/2 --yes", 2, "partition 1/1, not 1/2"),
        ("another app", "delete rows.csv --journal job --sdkappid 7 --yes", 2, "sdkappid 1400000000, not 7"),
        ("no journal but the rows", "delete other.csv --journal rows.csv --yes", 2, "its header is cut short"),
        ("the same again", "delete rows.csv --journal job --yes", 0, "2 of 2 rows ended; this run: 0 rows"),
        ("another pace", "delete rows.csv --journal job --yes --rate 10 --connections 2", 0, "2 of 2 rows ended"),
    ];
    for (situation, line, code, message) in table {
        let ended = ground.run(line);
        assert_eq!(ended.code, code, "{situation}: {ended:?}");
        assert!(ended.stderr.contains(message), "{situation}: {ended:?}");
        assert_eq!(ground.deletes(), 2, "{situation}");
        assert_eq!(ended.stderr.contains("name another --journal"), code == 2, "{situation}: {ended:?}");
    }
}

#[test]
fn rows_that_failed_are_retried_by_the_same_command() {
    let odd = "odd, \"name\"";
    #[rustfmt::skip]
    let table = [
        ("csv", "rows.csv", "failed.csv", format!("account,list\nu0,F\nlate,F\nlate,\"{}\"\n", odd.replace('"', "\"\""))),
        ("tsv", "rows.tsv", "failed.tsv", format!("list\taccount\nF\tu0\nF\tlate\n\"{}\"\tlate\n", odd.replace('"', "\"\""))),
        ("jsonl", "rows.jsonl", "failed.jsonl", [("u0", "F"), ("late", "F"), ("late", odd)]
            .map(|(account, list)| json!({"account": account, "list": list}).to_string()).join("\n")),
        // The name says nothing, so the printed command has to.
        ("tsv, unsaid", "rows.tsv", "failed", "account\tlist\nu0\tF\nlate\tF\nlate\tW\n".into()),
    ];
    for (situation, input, failed, rows) in table {
        let ground = Ground::new(Duration::ZERO);
        let seed = |late: &[&str]| {
            let mut accounts = json!({"u0": {"lists": ["F"]}});
            if !late.is_empty() {
                accounts["late"] = json!({"lists": late});
            }
            ground.put_state(&json!({ "accounts": accounts }));
        };
        seed(&[]);
        ground.write(input, &rows);
        let ended = ground.run(&format!("delete {input} --failed {failed} --yes"));
        assert_eq!(ended.code, 1, "{situation}: {ended:?}");
        let text = ground.read(failed);
        assert!(text.contains("30003") && text.contains("has not been imported"), "{situation}: {text}");
        assert!(!text.contains("u0"), "{situation}: {text}");
        // What was wrong is dealt with; the next run deletes these rows alone.
        seed(&["F", "W", odd, "keep"]);
        let ended = ground.shell(&printed_command(&ended));
        assert_eq!(ended.code, 0, "{situation}: {ended:?}");
        let kept = ground.left();
        let has = |account: &str, list: &str| kept.contains(&(account.into(), list.into()));
        assert!(has("late", "keep") && has("u0", "F") && !has("late", "F"), "{situation}: {kept:?}");
        assert_eq!(has("late", odd), rows.contains("late\tW"), "{situation}: {kept:?}");
    }
}

#[test]
fn rows_that_failed_can_be_had_later() {
    let ground = Ground::new(Duration::ZERO);
    ground.seed(1, &["F"]);
    ground.write("rows.csv", "account,list\nu0,F\nlate,F\n");
    let ended = ground.run("delete rows.csv --yes");
    assert_eq!((ended.code, ground.deletes()), (1, 2), "{ended:?}");
    let again = ground.shell(&printed_command(&ended));
    assert_eq!((again.code, ground.deletes()), (1, 2), "{again:?}");
    assert!(ground.read("rows-failed.csv").contains("late,F,3,failed,30003"), "{again:?}");
}

#[test]
fn a_limit_is_raised_by_the_printed_command() {
    let ground = Ground::new(Duration::ZERO);
    ground.seed(5, &["F"]);
    ground.write("rows.csv", &csv(5, &["F"]));
    let ended = ground.run("delete rows.csv --yes --max-delete 2 --connections 1");
    assert_eq!((ended.code, ground.left().len()), (4, 3), "{ended:?}");
    // The limit holds over all runs.
    let again = ground.run("delete rows.csv --yes --max-delete 2 --connections 1");
    assert_eq!((again.code, ground.left().len()), (4, 3), "{again:?}");
    let ended = ground.shell(&printed_command(&ended));
    assert_eq!((ended.code, ground.left().len(), ground.deletes()), (0, 0, 5), "{ended:?}");
}

#[test]
fn parts_cover_the_input_and_no_account_twice() {
    const ACCOUNTS: usize = 90;
    let ground = Ground::new(Duration::ZERO);
    ground.seed(ACCOUNTS, &["F", "W"]);
    ground.write("rows.csv", &csv(ACCOUNTS, &["F", "W"]));
    let mut rows = 0;
    for part in 1..=3 {
        let ended = ground.run(&format!("delete rows.csv --yes --rate 5000 --partition {part}/3 --json"));
        assert_eq!(ended.code, 0, "{ended:?}");
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(report["partition"], json!({"index": part, "count": 3}));
        let deleted = count(&report, "deleted");
        assert!((30..=90).contains(&deleted), "part {part} has {deleted} of 180 rows");
        rows += deleted;
        // Each has a journal of its own, though none was named.
        assert!(ground.path(&format!("rows.csv.{part}-of-3.imgroup-journal")).exists());
    }
    assert_eq!((rows, ground.left().len(), ground.deletes()), (180, 0, ACCOUNTS as u64));
}

#[test]
fn an_export_is_what_the_service_has() {
    let ground = Ground::new(Duration::ZERO);
    let lists = ["plain", "with, comma", "with \"quotes\"", "ünïcödé"];
    let mut accounts = serde_json::Map::new();
    for n in 0..200 {
        let lists: Vec<&str> = lists.iter().copied().take(n % 5).collect();
        accounts.insert(format!("u{n}"), json!({"lists": lists}));
    }
    accounts.insert("f".into(), json!({}));
    accounts.insert("g".into(), json!({"lists": ["two"], "friends": [{"account": "f", "lists": ["two"]}]}));
    ground.put_state(&json!({ "accounts": accounts }));
    let input = (0..200).fold("account\ng\n".to_owned(), |text, n| text + &format!("u{n}\n"));
    ground.write("accounts.csv", &input);
    let expected: BTreeMap<(String, String), u64> = ground
        .left()
        .into_iter()
        .map(|row| {
            let friends = u64::from(row.0 == "g");
            (row, friends)
        })
        .collect();
    let parsed = |text: &str| -> BTreeMap<(String, String), u64> {
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("account,list,friends"));
        let rows: Vec<_> = lines
            .map(|line| {
                let (account, rest) = line.split_once(',').unwrap();
                let (list, friends) = rest.rsplit_once(',').unwrap();
                let list = match list.strip_prefix('"') {
                    Some(list) => list.strip_suffix('"').unwrap().replace("\"\"", "\""),
                    None => list.to_owned(),
                };
                ((account.to_owned(), list), friends.parse().unwrap())
            })
            .collect();
        let map: BTreeMap<_, _> = rows.iter().cloned().collect();
        assert_eq!(map.len(), rows.len(), "a list stands there twice");
        map
    };
    let to_stdout = ground.run("export accounts.csv --rate 5000");
    assert_eq!(to_stdout.code, 0, "{to_stdout:?}");
    assert_eq!(parsed(&to_stdout.stdout), expected);
    let to_file = ground.run("export accounts.csv --output lists.csv --json");
    assert_eq!(to_file.code, 0, "{to_file:?}");
    assert_eq!(parsed(&ground.read("lists.csv")), expected);
    let report: Value = serde_json::from_str(&to_file.stdout).unwrap();
    assert_eq!((count(&report, "read"), count(&report, "open")), (201, 0));

    // Two things cannot both have standard output.
    assert_eq!(ground.run("export accounts.csv --json").code, 2);
    // A reader that leaves is no trouble.
    let piped = ground.shell(&format!("{IMGROUP} bulk export accounts.csv | head -1"));
    assert_eq!(piped.stdout, "account,list,friends\n", "{piped:?}");
    assert!(!piped.stderr.contains("pipe") && !piped.stderr.contains("panic"), "{piped:?}");
    // What was exported can be deleted.
    assert_eq!(ground.run("delete lists.csv --yes --rate 5000").code, 0);
    assert_eq!(ground.left().len(), 0);
}

#[test]
fn an_export_is_interrupted_and_resumed_and_its_failures_retried() {
    const ACCOUNTS: usize = 200;
    let ground = Ground::new(Duration::ZERO);
    ground.seed(ACCOUNTS, &["F"]);
    let input = (0..ACCOUNTS).fold("account\nlate\n".to_owned(), |text, n| text + &format!("u{n}\n"));
    ground.write("accounts.csv", &input);
    ground.fault(&json!({"kind": "delay", "delay_ms": 10, "command": "group_get", "times": 1000}));
    let line = "export accounts.csv --output lists.csv --failed failed.csv --rate 5000 --connections 2";
    let child = ground.bulk(line).spawn().unwrap();
    let reads = || {
        let path = "/_emulator/requests/count?command=v4/sns/group_get";
        ground.emulator.control("GET", path, None).unwrap()["count"].as_u64().unwrap()
    };
    eventually("reads arrive", || reads() >= 20);
    signal(&child, Signal::INT);
    let stopped = finish(child);
    assert_eq!(stopped.code, 130, "{stopped:?}");
    assert!(!ground.path("lists.csv").exists(), "half an export looks like a whole one");
    let ended = ground.shell(&printed_command(&stopped));
    assert_eq!(ended.code, 1, "{ended:?}");
    assert_eq!(ground.read("lists.csv").lines().count(), 1 + ACCOUNTS);
    assert_eq!(reads(), 1 + ACCOUNTS as u64);

    ground.put_state(&json!({"accounts": {"late": {"lists": ["L"]}}}));
    let ended = ground.run("export failed.csv --output more.csv");
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ground.read("more.csv"), "account,list,friends\nlate,L,0\n");
}

#[test]
fn a_report_stands_alone() {
    let ground = Ground::new(Duration::ZERO);
    ground.seed(3, &["F"]);
    ground.write("rows.csv", "account,list\nu0,F\nu1,F\nnobody,</script>\n");
    let ended = ground.run("delete rows.csv --yes --report r.json --json");
    assert_eq!(ended.code, 1, "{ended:?}");
    let report = ground.json("r.json");
    assert_eq!(report, serde_json::from_str::<Value>(&ended.stdout).unwrap());
    assert_eq!(
        ["total", "deleted", "already_gone", "failed", "unknown", "open"].map(|name| count(&report, name)),
        [3, 2, 0, 1, 0, 0]
    );
    assert_eq!(report["failures"][0]["code"], 30003);
    let page = ground.read("r.html");
    // The names of XML's own languages are no addresses that a browser opens.
    let bare = page.replace("http://www.w3.org/2000/svg", "").replace("http://www.w3.org/1999/xhtml", "");
    for reference in ["http:", "https:", "src=", "href=", "@import", "url("] {
        assert!(!bare.contains(reference), "the page refers to something by {reference}");
    }
    assert_eq!(page.matches("</script>").count(), 1, "a list's name ends the script");
    let report_in_page = page.split("const report = ").nth(1).unwrap().split(";\n").next().unwrap();
    assert_eq!(serde_json::from_str::<Value>(report_in_page).unwrap(), report);
    for file in ["r.json", "r.html", "rows.csv.imgroup-journal.results"] {
        assert!(!ground.read(file).contains(MARKER_KEY), "{file}");
    }
}

#[test]
fn the_help_tells_a_new_operator_every_step() {
    let ground = Ground::new(Duration::ZERO);
    let help = ground.run("--help").stdout;
    #[rustfmt::skip]
    let steps = [
        "--dry-run", "--failed failed.csv", "Ctrl-C", "the same command again", "delete failed.csv", "account,list",
        "{\"account\":\"alice\",\"list\":\"Family\"}", "J.spool", "J.results", "not faster", "--partition", "143",
    ];
    for step in steps {
        assert!(help.contains(step), "{step}");
    }
    for subcommand in ["delete", "export"] {
        let help = ground.run(&format!("{subcommand} --help")).stdout;
        assert!(help.contains("Examples:") && help.contains("130  stopped by SIGINT"), "{help}");
        assert!(!help.contains("--secret-key "), "{help}");
    }
}

/// Numbers that differ from run to run.
fn random(below: u64) -> u64 {
    RandomState::new().build_hasher().finish() % below
}

/// Requests that a journal shows as begun and not ended.
fn in_flight(journal: &[u8]) -> BTreeSet<u32> {
    let mut open = BTreeSet::new();
    for record in journal[JOURNAL_HEADER.min(journal.len())..].chunks_exact(RECORD) {
        let unit = u32::from_ne_bytes(record[4..8].try_into().unwrap());
        match record[0] {
            1 => drop(open.insert(unit)),
            2 => drop(open.remove(&unit)),
            _ => {}
        }
    }
    open
}

#[test]
fn killed_again_and_again_nothing_is_lost_and_little_repeated() {
    const ACCOUNTS: usize = 3000;
    const CONNECTIONS: u64 = 8;
    const KILLS: u64 = 24;
    let ground = Ground::new(Duration::from_millis(5));
    ground.seed(ACCOUNTS, &["F", "W", "keep"]);
    ground.write("rows.csv", &csv(ACCOUNTS, &["F", "W"]));
    let line = format!(
        "delete rows.csv --yes --rate 400 --connections {CONNECTIONS} --report r.json --failed f.csv"
    );
    let mut kills_at_work = 0;
    for kill in 0..KILLS {
        let before = ground.deletes();
        let mut child = ground.bulk(&line).spawn().unwrap();
        // Every fourth comes before the first request or at it, the others amid the work.
        if kill % 4 > 0 {
            eventually("deletes arrive", || ground.deletes() > before);
        }
        std::thread::sleep(Duration::from_micros(random(150_000)));
        assert_eq!(child.try_wait().unwrap(), None, "the job was over before kill {kill}");
        child.kill().unwrap();
        child.wait().unwrap();
        if let Ok(journal) = std::fs::read(ground.path("rows.csv.imgroup-journal")) {
            kills_at_work += u64::from(!in_flight(&journal).is_empty());
        }
    }
    assert!(kills_at_work >= 10, "only {kills_at_work} kills met requests in flight");
    let in_doubt = in_flight(&std::fs::read(ground.path("rows.csv.imgroup-journal")).unwrap());

    let ended = ground.run(&line);
    assert_eq!(ended.code, 0, "{ended:?}");
    let expected: BTreeSet<_> = (0..ACCOUNTS).map(|n| (format!("u{n}"), "keep".to_owned())).collect();
    assert_eq!(ground.left(), expected);
    let report = ground.json("r.json");
    assert_eq!(count(&report, "deleted"), 2 * ACCOUNTS as u64);
    assert_eq!((count(&report, "failed"), count(&report, "open")), (0, 0));
    let repeats = ground.deletes() - ACCOUNTS as u64;
    println!("{KILLS} kills, {kills_at_work} of them with requests in flight: {repeats} requests sent twice");
    assert!(repeats <= CONNECTIONS * KILLS, "{repeats} repeats");
    // The rows of what was in flight at the last kill are named, and no others.
    let repeated = report["this_run"]["repeated"].as_array().unwrap();
    let accounts: BTreeSet<&str> = repeated.iter().map(|row| row["account"].as_str().unwrap()).collect();
    assert_eq!(accounts.len(), in_doubt.len(), "{repeated:?}");
    assert_eq!(repeated.len(), 2 * accounts.len());
    assert!(in_doubt.len() as u64 <= CONNECTIONS);
}

#[test]
fn a_journal_cut_anywhere_goes_on_or_is_refused() {
    const ACCOUNTS: usize = 6;
    const THREADS: usize = 4;
    let lists = ["F", "W"];
    let all = csv(ACCOUNTS, &lists);
    // Half done: three requests have ended, two are in flight, one is not begun.
    let first = Ground::new(Duration::ZERO);
    first.seed(ACCOUNTS, &lists);
    first.write("rows.csv", &all);
    let silence =
        json!({"kind": "silence", "command": "group_delete", "when": "after", "skip": 3, "times": 2});
    first.fault(&silence);
    let line = "delete rows.csv --yes --connections 2 --report r.json";
    let mut child = first.start(line, 5);
    child.kill().unwrap();
    child.wait().unwrap();
    let state = first.state();
    let name = "rows.csv.imgroup-journal";
    let journal = std::fs::read(first.path(name)).unwrap();
    assert_eq!(in_flight(&journal).len(), 2);
    let beside = |ending: &str| std::fs::read(first.path(&format!("{name}{ending}"))).unwrap();
    let (spool, results) = (beside(".spool"), beside(".results"));

    let cut_at = |ground: &Ground, length: usize| {
        ground.put_state(&state);
        std::fs::write(ground.path(name), &journal[..length]).unwrap();
        std::fs::write(ground.path(&format!("{name}.spool")), &spool).unwrap();
        std::fs::write(ground.path(&format!("{name}.results")), &results).unwrap();
        let _ = std::fs::remove_file(ground.path("r.json"));
        let before = ground.deletes();
        let ended = ground.run(line);
        if (1..JOURNAL_HEADER).contains(&length) {
            assert_eq!((ended.code, ground.deletes()), (2, before), "cut at {length}: {ended:?}");
            assert!(ended.stderr.contains("header is cut short"), "cut at {length}: {ended:?}");
        } else {
            assert_eq!((ended.code, ground.left().len()), (0, 0), "cut at {length}: {ended:?}");
            let report = ground.json("r.json");
            assert_eq!(count(&report, "open"), 0, "cut at {length}");
            assert_eq!(count(&report, "deleted"), count(&report, "total"), "cut at {length}");
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (cut_at, all, length) = (&cut_at, &all, journal.len());
            scope.spawn(move || {
                let ground = Ground::new(Duration::ZERO);
                ground.write("rows.csv", all);
                (thread..=length).step_by(THREADS).for_each(|length| cut_at(&ground, length));
            });
        }
    });
}
