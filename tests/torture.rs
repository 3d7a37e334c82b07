//! Row 95 of the fault matrix: the n-th system call of the network fails, for
//! every n and in many ways. Whatever comes of it: no hang, no crash, and the
//! client works on.
//!
//! `cargo test --features emulator --test torture -- --ignored` (needs strace).

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use imgroup::call::CallOptions;
use imgroup::client::Client;
use imgroup::codes;
use imgroup::error::Outcome;
use support::server::*;
use support::*;

const NAME: &str = "the_nth_network_call_fails";
const ERRORS: [&str; 6] = ["ECONNRESET", "EPIPE", "EINTR", "ENOBUFS", "ENETUNREACH", "EMFILE"];
/// The calls a client makes, and which of each shall fail. strace counts each by itself.
const CALLS: [(&str, u32); 6] =
    [("socket", 1), ("connect", 1), ("getsockopt", 1), ("setsockopt", 3), ("sendto", 3), ("recvfrom", 5)];

#[test]
#[ignore = "needs strace and half a minute; part of make check"]
fn the_nth_network_call_fails() {
    if is_child(NAME) {
        return work();
    }
    assert!(
        Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success()),
        "no strace"
    );
    let authority = Authority::new();
    let scratch = Scratch::new();
    authority.write(&scratch.join("ca.pem"));
    let plain = Server::http(say(ok(), Then::Keep));
    let secure = Server::https(say(ok(), Then::Keep), authority.server(&["localhost"], Flaw::None));
    let (mut runs, mut failed) = (0, 0);
    for url in [plain.url(), secure.url()] {
        for error in ERRORS {
            for (call, position) in CALLS.iter().flat_map(|(call, most)| (1..=*most).map(move |n| (call, n)))
            {
                let inject = format!("inject={call}:error={error}:when={position}");
                let output = scratch.join("trace");
                let line = ["strace", "-f", "-qq", "-o", &output, "-e", "trace=%network", "-e", &inject];
                let environment = [("SERVER_URL", url.as_str()), ("CA", &scratch.join("ca.pem"))];
                let text = in_child(NAME, &line, &environment);
                let trace = std::fs::read_to_string(&output).unwrap();
                assert!(trace.contains("(INJECTED)"), "{url} {inject}: nothing was injected\n{trace}");
                runs += 1;
                failed += u32::from(text.contains("FAILED CALL"));
            }
        }
    }
    println!("{failed} of {runs} injections made a call fail");
    assert!(failed > 0, "no descriptor for a socket is an error that is seen");
}

fn work() {
    let scratch = Scratch::new();
    let mut config = config(&std::env::var("SERVER_URL").unwrap(), &scratch);
    config.set_ca_file(&std::env::var("CA").unwrap()).unwrap();
    config.set_timeout_ms(5_000).unwrap();
    config.set_attempt_timeout_ms(1_500).unwrap();
    config.set_connect_timeout_ms(1_000).unwrap();
    let client = Client::new(&config).unwrap();
    for _ in 0..4 {
        let begin = Instant::now();
        let result = client.delete_lists("alice", &["Family"], &CallOptions::default());
        assert!(begin.elapsed() < Duration::from_millis(5_000) + 10 * LATE, "{:?}", begin.elapsed());
        if let Err(error) = result {
            println!("FAILED CALL {error}");
            let known = [codes::CONNECT, codes::IO, codes::TLS, codes::RESOURCE, codes::DEADLINE];
            assert!(known.contains(&error.code()), "{error}");
            assert_ne!(error.outcome(), Outcome::Rejected, "{error}");
        }
    }
    // By now the one failure is past.
    client.delete_lists("alice", &["Family"], &CallOptions::default()).unwrap();
}
