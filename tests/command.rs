//! The `imgroup` command's one-off calls: what they print, and how they exit.

use std::path::PathBuf;
use std::process::{Command, Output};

use imgroup::emulator::{DEMO_SECRET_KEY, Emulator, Options};
use serde_json::{Value, json};

fn emulator() -> Emulator {
    let emulator = Emulator::start(Options::default()).unwrap();
    let state = json!({"accounts": {
        "bob": {}, "alice": {"lists": ["Family", "Work"], "friends": [{"account": "bob", "lists": ["Family"]}]}
    }});
    emulator.control("PUT", "/_emulator/state", Some(&state)).unwrap();
    emulator
}

/// The command with the demo app's credentials, and nothing else from outside.
fn imgroup(emulator: &Emulator) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imgroup"));
    command
        .env_clear()
        .env("IMGROUP_SDKAPPID", "1400000000")
        .env("IMGROUP_SECRET_KEY", DEMO_SECRET_KEY)
        .env("IMGROUP_ENDPOINT", emulator.url())
        .env("IMGROUP_QUOTA_DIR", env!("CARGO_TARGET_TMPDIR"));
    command
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn status(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn calls_print_what_they_did() {
    let emulator = emulator();
    #[rustfmt::skip]
    let rows = [
        ("get alice", "Family\t1\nWork\t0\n"),
        ("get --members alice Family", "Family\t1\tbob\n"),
        ("add --friend bob --friend mallory alice Gym",
         "created; the lists of alice are at sequence 1\nnot put in: mallory (30001 ERR_SVR_FRIENDSHIP_INVALID_PARAMETERS Err_SNS_GroupAdd_Friend_Not_Exist)\n"),
        ("delete alice Family Work", "deleted; the lists of alice are at sequence 2\n"),
        ("delete --ignore-missing alice Family", "deleted; the lists of alice are at sequence 2\n"),
        ("get alice", "Gym\t1\n"),
    ];
    for (line, expected) in rows {
        let output = imgroup(&emulator).args(words(line)).output().unwrap();
        assert_eq!((status(&output), text(&output.stdout).as_str()), (0, expected), "{line}: {output:?}");
    }
    let output = imgroup(&emulator).args(words("get --json --members alice")).output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["lists"], json!([{"name": "Gym", "friend_count": 1, "members": ["bob"]}]));
    let output = imgroup(&emulator)
        .args(["request", "--idempotent", "v4/sns/friend_check"])
        .arg(r#"{"From_Account":"alice","To_Account":["bob"],"CheckType":"CheckResult_Type_Single"}"#)
        .output()
        .unwrap();
    assert!(text(&output.stdout).contains("CheckResult_Type_AWithB"), "{output:?}");
}

#[test]
fn exit_codes_tell_failures_apart() {
    let emulator = emulator();
    let hang_up = json!({"kind": "hang_up", "command": "group_add", "when": "after"});
    /// Situation, command line, environment, exit code, message.
    type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], i32, &'a str);
    #[rustfmt::skip]
    let rows: &[Row<'_>] = &[
        ("the service refuses", "delete nobody Family", &[], 1, "ERR_SVR_FRIENDSHIP_ACCOUNT_NOT_FOUND (30003)"),
        ("no list named", "delete alice", &[], 2, "required"),
        ("an empty account", "delete --json= alice", &[], 2, "--json"),
        ("a name of 31 bytes", "delete alice 0123456789012345678901234567890", &[], 2, "names[0]: must be 1 to 30 bytes, not 31"),
        ("no key", "get alice", &[("IMGROUP_SECRET_KEY", "")], 2, "set IMGROUP_SECRET_KEY or give --secret-key-file"),
        ("an unknown region", "get --region mars alice", &[], 2, "region: must be one of"),
        ("a wrong key", "get alice", &[("IMGROUP_SECRET_KEY", "wrong")], 3, "(70009)"),
        ("nobody listens", "get --timeout-ms 500 alice", &[("IMGROUP_ENDPOINT", "http://127.0.0.1:1")], 3, "IMGROUP_E_CONNECT"),
        ("the reply is lost", "add alice Gym", &[], 5, "outcome UNKNOWN"),
    ];
    for (situation, line, environment, code, message) in rows {
        if *code == 5 {
            emulator.control("POST", "/_emulator/faults", Some(&hang_up)).unwrap();
        }
        let output = imgroup(&emulator).args(words(line)).envs(environment.iter().copied()).output().unwrap();
        assert_eq!(status(&output), *code, "{situation}: {output:?}");
        assert!(text(&output.stderr).contains(message), "{situation}: {output:?}");
        assert!(output.stdout.is_empty(), "{situation}: {output:?}");
    }
}

#[test]
fn json_errors_go_to_standard_output() {
    let emulator = emulator();
    let output = imgroup(&emulator).args(words("delete --json nobody Family")).output().unwrap();
    assert_eq!(status(&output), 1);
    let error = serde_json::from_slice::<Value>(&output.stdout).unwrap()["error"].take();
    assert_eq!(
        (&error["code"], &error["class"], &error["outcome"]),
        (&json!(30003), &json!("not_found"), &json!("REJECTED"))
    );
}

#[test]
fn a_ticket_is_signed_with_a_key_from_a_file_and_the_key_stays_there() {
    let emulator = emulator();
    let key_file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("command-key");
    std::fs::write(&key_file, format!("{DEMO_SECRET_KEY}\n")).unwrap();
    let output = imgroup(&emulator)
        .env_remove("IMGROUP_SECRET_KEY")
        .args(["usersig", "--ttl", "60", "--secret-key-file"])
        .arg(&key_file)
        .arg("alice")
        .output()
        .unwrap();
    assert_eq!(status(&output), 0, "{output:?}");
    let ticket = text(&output.stdout);
    assert!(ticket.len() > 100 && !ticket.contains(DEMO_SECRET_KEY));
    // No option takes a key itself.
    for subcommand in ["usersig", "delete", "emulator"] {
        let help = imgroup(&emulator).args([subcommand, "--help"]).output().unwrap();
        assert!(!text(&help.stdout).contains("--secret-key "), "{subcommand}");
    }
}

#[test]
fn verbose_says_what_happens_without_a_secret() {
    let emulator = emulator();
    let output = imgroup(&emulator).args(words("get -vv alice")).output().unwrap();
    let log = text(&output.stderr);
    assert!(log.contains("v4/sns/group_get: attempt 1 at 127.0.0.1"), "{log}");
    assert!(!log.contains(DEMO_SECRET_KEY) && !log.contains("usersig="), "{log}");
}
