//! What the process around the client does to it: too few descriptors, no
//! network, forks, signals, being stopped; and what the client leaves behind in
//! the process: nothing.

mod support;

use std::io::{BufRead as _, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use imgroup::call::CallOptions;
use imgroup::client::Client;
use imgroup::codes::{self, Class};
use imgroup::emulator::{Emulator, Options};
use imgroup::error::{Error, Outcome};
use imgroup::lists::Response;
use support::server::*;
use support::*;

fn delete(client: &Client) -> Result<Response, Error> {
    client.delete_lists("alice", &["Family"], &CallOptions::default())
}

fn emulator(accounts: &[&str]) -> Emulator {
    Emulator::start(Options {
        secret_key: MARKER_KEY.into(),
        quota: 0,
        write_time: Duration::ZERO,
        seed_accounts: accounts.iter().map(|account| (*account).to_owned()).collect(),
        ..Options::default()
    })
    .unwrap()
}

fn run(mut command: Command) {
    let output = command.output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
}

/// Row 9.
#[test]
fn no_descriptor_is_left() {
    const NAME: &str = "no_descriptor_is_left";
    if !is_child(NAME) {
        let server = Server::http(say(ok(), Then::Keep));
        in_child(NAME, &[], &[("SERVER_URL", &server.url())]);
        return;
    }
    let scratch = Scratch::new();
    let client = client(&std::env::var("SERVER_URL").unwrap(), &scratch);
    let mut hoard = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        hoard.push(file);
        if hoard.len() > 100_000 {
            break;
        }
        if hoard.len() == 1 {
            use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
            let maximum = getrlimit(Resource::Nofile).maximum;
            setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum }).unwrap();
        }
    }
    // The pace needs no descriptor that it has not got; without one it is the process's own.
    for _ in 0..3 {
        let error = delete(&client).unwrap_err();
        let told = (error.code(), error.class(), error.outcome(), error.attempts());
        assert_eq!(told, (codes::RESOURCE, Class::Internal, Outcome::NotSent, 1), "{error}");
    }
    drop(hoard);
    delete(&client).unwrap();
}

/// Row 8.
#[test]
fn no_network_at_all() {
    const NAME: &str = "no_network_at_all";
    if !is_child(NAME) {
        if Command::new("unshare").args(["-n", "true"]).status().is_ok_and(|status| status.success()) {
            in_child(NAME, &["unshare", "-n"], &[]);
        } else {
            println!("row 8: no network namespace can be made here");
        }
        return;
    }
    let scratch = Scratch::new();
    // In a new namespace even the loopback is down.
    for url in ["http://127.0.0.1:9", "http://[::1]:9", "https://192.0.2.1"] {
        let error = delete(&client(url, &scratch)).unwrap_err();
        let told = (error.code(), error.class(), error.outcome(), error.attempts());
        assert_eq!(told, (codes::CONNECT, Class::Network, Outcome::NotSent, 3), "{url}: {error}");
    }
}

/// Row 24.
#[test]
fn a_server_that_forgets_its_tickets() {
    let scratch = Scratch::new();
    let authority = Authority::new();
    authority.write(&scratch.join("ca.pem"));
    let server = Server::https(say(ok(), Then::Close), authority.server(&["localhost"], Flaw::None));
    let mut config = config(&server.url(), &scratch);
    config.set_ca_file(&scratch.join("ca.pem")).unwrap();
    let client = Client::new(&config).unwrap();
    let call = || {
        assert_eq!(delete(&client).unwrap().attempts, 1);
        // The end of the connection has to arrive.
        thread::sleep(Duration::from_millis(30));
    };
    call();
    call();
    assert_eq!(stat(&client, "connections", "tls_resumed"), 1);
    server.use_tls(authority.server(&["localhost"], Flaw::None));
    call();
    assert_eq!(stat(&client, "connections", "tls_resumed"), 1, "no longer known");
    call();
    assert_eq!(stat(&client, "connections", "tls_resumed"), 2);
    assert_eq!(server.connections(), 4);
}

/// Row 93: the time in which the process was stopped counts.
#[test]
fn a_process_that_was_stopped() {
    const NAME: &str = "a_process_that_was_stopped";
    if is_child(NAME) {
        let scratch = Scratch::new();
        let client = client(&std::env::var("SERVER_URL").unwrap(), &scratch);
        println!("calling");
        let options = CallOptions { timeout: Some(Duration::from_millis(700)), ..CallOptions::default() };
        let begin = Instant::now();
        let error = client.delete_lists("mute", &["Family"], &options).unwrap_err();
        assert_eq!((error.code(), error.outcome()), (codes::DEADLINE, Outcome::Unknown), "{error}");
        assert!(begin.elapsed() > Duration::from_millis(900), "it was not stopped");
        assert!(begin.elapsed() < Duration::from_millis(1_500) + 10 * LATE, "{:?}", begin.elapsed());
        delete(&client).unwrap();
        return;
    }
    let server = Server::http(act(|peer| match peer.request() {
        Some(seen) if seen.body.contains("mute") => Then::Stall,
        Some(_) => {
            peer.send(&ok());
            Then::Keep
        }
        None => Then::Close,
    }));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([NAME, "--exact", "--nocapture"])
        .envs([("IMGROUP_TEST_CHILD", NAME), ("SERVER_URL", &server.url())])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    eventually("the child calls", || !server.seen().is_empty());
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    thread::sleep(Duration::from_millis(1_000));
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
}

/// Row 94: the wall clock jumps while a call waits.
#[test]
fn a_wall_clock_that_jumps() {
    const NAME: &str = "a_wall_clock_that_jumps";
    if is_child(NAME) {
        let file = std::env::var("FAKETIME_TIMESTAMP_FILE").unwrap();
        let scratch = Scratch::new();
        let client = client(&std::env::var("SERVER_URL").unwrap(), &scratch);
        let wall = std::time::SystemTime::now();
        for shift in ["+1h", "-1h"] {
            let begin = Instant::now();
            thread::scope(|scope| {
                let call = scope.spawn(|| delete(&client));
                thread::sleep(Duration::from_millis(60));
                std::fs::write(&file, shift).unwrap();
                assert_eq!(call.join().unwrap().unwrap().attempts, 1);
            });
            assert!(begin.elapsed() < Duration::from_millis(150) + LATE, "{shift}: {:?}", begin.elapsed());
        }
        let jumped = wall.duration_since(std::time::SystemTime::now()).unwrap();
        assert!(jumped > Duration::from_secs(3_000), "the clock did not jump");
        return;
    }
    let scratch = Scratch::new();
    let file = scratch.join("clock");
    std::fs::write(&file, "+0").unwrap();
    let server = Server::http(act(|peer| {
        let Some(_) = peer.request() else { return Then::Close };
        thread::sleep(Duration::from_millis(150));
        peer.send(&ok());
        Then::Keep
    }));
    let environment = [
        ("SERVER_URL", server.url()),
        ("FAKETIME_TIMESTAMP_FILE", file),
        ("FAKETIME_NO_CACHE", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ("LD_PRELOAD", "libfaketime.so.1".into()),
    ];
    // Where distributions keep it.
    let path = "/usr/lib/x86_64-linux-gnu/faketime:/usr/lib/faketime".to_owned();
    let environment: Vec<_> = environment
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .chain([("LD_LIBRARY_PATH", path.as_str())])
        .collect();
    in_child(NAME, &[], &environment);
}

/// Row 91, from C and from Python.
#[test]
fn a_fork_gives_the_child_a_client_of_its_own() {
    let emulator = emulator(&["parent", "child", "alice"]);
    let scratch = Scratch::new();
    let mut config = config(emulator.url(), &scratch);
    config.set_quota(1_000_000).unwrap();
    let client = Client::new(&config).unwrap();
    for (account, list) in [("parent", "parent"), ("child", "child"), ("alice", "Family")] {
        client.add_lists(account, &[list], &[], &CallOptions::default()).unwrap();
    }
    let mut fork = program("fork", &scratch);
    fork.args([emulator.url(), MARKER_KEY, scratch.path(), "300"]);
    run(fork);
    // Requests of different processes have different randoms.
    let journal = emulator.control("GET", "/_emulator/requests?command=group_get", None).unwrap();
    let entries = journal["requests"].as_array().unwrap();
    let randoms: std::collections::HashSet<_> =
        entries.iter().map(|entry| entry["random"].to_string()).collect();
    assert!(entries.len() > 380, "{}", entries.len());
    // Two of some hundred random numbers of 32 bits may be the same, once in a long while.
    assert!(randoms.len() + 1 >= entries.len(), "{} of {}", randoms.len(), entries.len());

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fork.py");
    let mut python = Command::new("python3");
    python.args([script, &scratch.join("libimgroup.so.0.1"), emulator.url(), MARKER_KEY, scratch.path()]);
    run(python);
}

/// Row 90.
#[test]
fn no_peer_raises_sigpipe() {
    let authority = Authority::new();
    for tls in [false, true] {
        let scratch = Scratch::new();
        authority.write(&scratch.join("ca.pem"));
        let turn = std::sync::atomic::AtomicUsize::new(0);
        let server = Server::narrow(
            act(move |peer| {
                let turn = turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let ways = [Then::Reset, Then::Close, Then::Cut, Then::Keep, Then::Reset];
                // Long requests are left unread.
                let long = peer.looks_long();
                if long {
                    thread::sleep(Duration::from_millis(500));
                    return Then::Reset;
                }
                if !turn.is_multiple_of(3) {
                    peer.request();
                    peer.send(&ok());
                }
                ways[turn % ways.len()]
            }),
            tls.then(|| authority.server(&["localhost"], Flaw::None)),
        );
        let mut sigpipe = program("sigpipe", &scratch);
        sigpipe.args([&server.url(), MARKER_KEY, scratch.path(), &scratch.join("ca.pem")]);
        run(sigpipe);
    }
}

/// The key is not in a core dump that was taken after all was freed.
#[test]
fn the_key_is_gone_with_the_client() {
    if Command::new("gcore").arg("-h").output().is_err() {
        println!("no gcore here");
        return;
    }
    let emulator = emulator(&["alice"]);
    let scratch = Scratch::new();
    let mut command = program("secrets", &scratch);
    let mut child = command
        .args([emulator.url(), scratch.path()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(MARKER_KEY.as_bytes()).unwrap();
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let core = scratch.join("core");
    let output = Command::new("gcore").args(["-a", "-o", &core, &child.id().to_string()]).output().unwrap();
    drop(input);
    child.wait().unwrap();
    let dump = std::fs::read(format!("{core}.{}", child.id()))
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let holds = |needle: &[u8]| dump.windows(needle.len()).any(|window| window == needle);
    assert!(holds(b"group_delete"), "this is no dump of the program");
    let key = MARKER_KEY.as_bytes();
    let masked = |mask: u8| key.iter().map(|byte| byte ^ mask).collect::<Vec<_>>();
    for (what, needle) in [
        ("the key", key.to_vec()),
        ("half of the key", key[..16].to_vec()),
        ("the other half", key[key.len() - 16..].to_vec()),
        ("the key as the inner pad of HMAC", masked(0x36)),
        ("the key as the outer pad of HMAC", masked(0x5c)),
    ] {
        assert!(!holds(&needle), "{what} is in the dump");
    }
}

/// A thousand faults leave nothing behind.
#[test]
fn a_thousand_faults_leave_no_traces() {
    const NAME: &str = "a_thousand_faults_leave_no_traces";
    if !is_child(NAME) {
        let authority = Authority::new();
        let scratch = Scratch::new();
        authority.write(&scratch.join("ca.pem"));
        let turn = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let fault = act(move |peer| {
            let turn = turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let Some(_) = peer.request() else { return Then::Close };
            let (bytes, then) = match turn % 9 {
                0 => (Vec::new(), Then::Reset),
                1 => (Vec::new(), Then::Close),
                2 => (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{".to_vec(), Then::Close),
                3 => (b"rubbish\r\n\r\n".to_vec(), Then::Cut),
                4 => (http("200 OK", "", &" ".repeat(2 << 20)), Then::Keep),
                5 => (http("302 Found", "Location: /\r\n", ""), Then::Keep),
                6 => (code(30006), Then::Keep),
                7 => (http("200 OK", "", "{}"), Then::Close),
                _ => (
                    format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(80_000)).into_bytes(),
                    Then::Reset,
                ),
            };
            peer.send(&bytes);
            then
        });
        let plain = Server::http(fault.clone());
        let secure = Server::https(fault, authority.server(&["localhost"], Flaw::None));
        let (plain, secure) = (plain.url(), secure.url());
        in_child(
            NAME,
            &[],
            &[("PLAIN_URL", &plain), ("SECURE_URL", &secure), ("CA", &scratch.join("ca.pem"))],
        );
        return;
    }
    let scratch = Scratch::new();
    let client = |url: &str| {
        let mut config = config(url, &scratch);
        config.set_ca_file(&std::env::var("CA").unwrap()).unwrap();
        config.set_quota(1_000_000).unwrap();
        config.set_max_attempts(1).unwrap();
        Client::new(&config).unwrap()
    };
    let clients = [
        client(&std::env::var("PLAIN_URL").unwrap()),
        client(&std::env::var("SECURE_URL").unwrap()),
        client(&format!("http://127.0.0.1:{}", closed_port())),
    ];
    let count = |directory: &str| std::fs::read_dir(directory).unwrap().count();
    let resident = || -> usize {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4
    };
    let mut before = (0, 0, 0);
    for round in 0..400 {
        if round == 67 {
            before = (count("/proc/self/fd"), count("/proc/self/task"), resident());
        }
        for client in &clients {
            delete(client).unwrap_err();
        }
    }
    let after = (count("/proc/self/fd"), count("/proc/self/task"), resident());
    assert!(after.0 <= before.0 + 2, "descriptors: {} then {}", before.0, after.0);
    assert!(after.1 <= before.1, "threads: {} then {}", before.1, after.1);
    assert!(after.2 <= before.2 + 2_048, "memory: {} KiB then {} KiB", before.2, after.2);
    let calls: u64 = clients.iter().map(|client| stat(client, "", "calls")).sum();
    assert_eq!(calls, 1_200);
}
