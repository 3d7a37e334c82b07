//! What a server sends, from its bytes to what a caller is told.
//!
//! The first byte chooses the call; the rest is what arrives, on one connection
//! after the other, between lines of `#`. `$USERSIG$` and `$KEY$` stand for the
//! secrets, as a server may send back what it was sent.

#![no_main]
#![forbid(unsafe_code)]

use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use imgroup::call::CallOptions;
use imgroup::client::Client;
use imgroup::config::{Config, LogLevel};
use imgroup::error::{Error, Outcome};
use imgroup::fuzzing;
use imgroup::lists::Response;
use imgroup::usersig::{self, Claims};
use imgroup_fuzz::replace;
use libfuzzer_sys::fuzz_target;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

const SDKAPPID: u32 = 1_400_000_000;
const IDENTIFIER: &str = "administrator";
const KEY: &str = "a-secret-key-that-nobody-may-see";
const MAX_REPLY_BYTES: u32 = 2048;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, bytes)) = data.split_first() else { return };
    let issued_at = usersig::now_s();
    let claims =
        Claims { sdkappid: SDKAPPID, identifier: IDENTIFIER, issued_at, ttl_s: 86400, userbuf: None };
    let usersig = usersig::usersig(KEY, &claims).unwrap();
    let bytes = replace(&replace(bytes, b"$USERSIG$", usersig.as_bytes()), b"$KEY$", KEY.as_bytes());

    let (peers, ours): (Vec<_>, Vec<_>) = connections(&bytes).into_iter().unzip();
    fuzzing::connect_to(ours);
    let log = Arc::<Mutex<String>>::default();
    let client = client(choice & 0x80 != 0, &log);
    let options = CallOptions { ignore_missing: choice & 0x40 != 0, ..CallOptions::default() };
    let result = call(choice, &client, &options);
    fuzzing::connect_to([]);
    drop(peers);
    if usersig::now_s() != issued_at {
        // In another second the client signs another ticket than the server sends back.
        return;
    }

    for secret in [usersig.as_str(), KEY] {
        let shown = format!("{result:?}");
        let told =
            result.as_ref().map_or_else(|error| error.to_string() + error.display_text(), |_| String::new());
        let is_hidden = |text: &str| !text.contains(secret);
        assert!(is_hidden(&told), "a secret in an error: {told}");
        assert!(is_hidden(&log.lock().unwrap()), "a secret in the log");
        assert!(result.is_ok() || is_hidden(&shown), "a secret in a debug text: {shown}");
    }
    match result {
        Ok(response) => believe(&response),
        Err(error) => blame(&error),
    }
});

/// One connection for each part of what arrives, and its other end.
fn connections(bytes: &[u8]) -> Vec<(TcpStream, TcpStream)> {
    let parts = imgroup_fuzz::split(bytes, b"\n#\n").take(4);
    let connection = |part: &[u8]| {
        let (peer, ours) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        let (mut peer, ours) = (TcpStream::from(peer), TcpStream::from(ours));
        std::io::Write::write_all(&mut peer, part).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        (peer, ours)
    };
    parts.map(connection).collect()
}

fn client(tls: bool, log: &Arc<Mutex<String>>) -> Client {
    let mut config = Config::new(SDKAPPID, IDENTIFIER, KEY).unwrap();
    // Where nobody listens, should it come to that.
    config.set_endpoint(if tls { "https://127.0.0.1:1" } else { "http://127.0.0.1:1" }).unwrap();
    config.set_max_reply_bytes(MAX_REPLY_BYTES).unwrap();
    // No pause between attempts is short enough for a fuzzer.
    config.set_max_attempts(1).unwrap();
    config.set_quota_callback(Some(Arc::new(|_: &str| 0)));
    let log = Arc::clone(log);
    let sink = move |_: LogLevel, line: &str| log.lock().unwrap().push_str(line);
    config.set_log(LogLevel::Debug, Some(Arc::new(sink)));
    Client::new(&config).unwrap()
}

fn call(choice: u8, client: &Client, options: &CallOptions) -> Result<Response, Error> {
    let options = &CallOptions { timeout: Some(Duration::from_secs(60)), ..options.clone() };
    match choice % 4 {
        0 => client.delete_lists("alice", &["Family", "Work"], options),
        1 => client.add_lists("alice", &["Family"], &["bob"], options),
        2 => client.get_lists("alice", &[], true, options),
        _ => client.request("v4/sns/friend_get", "{}", true, options),
    }
}

/// What is given as a success says so itself.
fn believe(response: &Response) {
    if response.body.is_empty() {
        // A delete that a read has confirmed.
        return;
    }
    assert!(response.body.len() <= MAX_REPLY_BYTES as usize, "{} bytes", response.body.len());
    imgroup_fuzz::check_envelope(&response.body, 0);
}

/// An error that a reply caused tells what may have become of the request.
fn blame(error: &Error) {
    assert!(!error.message().is_empty());
    if error.code() > 0 {
        assert!(error.attempts() > 0, "{error}");
        assert_ne!(error.outcome(), Outcome::NotSent, "{error}");
    }
    if error.http_status() != 0 {
        assert_ne!(error.outcome(), Outcome::NotSent, "{error}");
    }
}
