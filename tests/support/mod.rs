//! What the tests of reliability share: clients with short limits of time, and a
//! server that does on the wire whatever a test wants.

#![allow(dead_code)]

pub mod arrivals;
pub mod server;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use imgroup::client::Client;
use imgroup::config::Config;
use imgroup::error::Error;

/// A key and an identifier that must never show up in any text.
pub const MARKER_KEY: &str = "marker-key-5b1c9e07aa43d2f86e90b7c1d4f3a258";
pub const SDKAPPID: u32 = 1_400_000_000;

/// A directory that goes with the test.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("imgroup-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Scratch(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().expect("a plain path")
    }

    pub fn join(&self, name: &str) -> String {
        format!("{}/{name}", self.path())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Short limits, so that a whole call is over in two seconds.
pub const TIMEOUT_MS: u32 = 2_000;
pub const ATTEMPT_MS: u32 = 300;
/// How late a call may be.
pub const LATE: Duration = Duration::from_millis(250);

pub fn config(url: &str, scratch: &Scratch) -> Config {
    let mut config = Config::new(SDKAPPID, "administrator", MARKER_KEY).unwrap();
    config.set_endpoint(url).unwrap();
    config.set_timeout_ms(TIMEOUT_MS).unwrap();
    config.set_attempt_timeout_ms(ATTEMPT_MS).unwrap();
    config.set_connect_timeout_ms(250).unwrap();
    config.set_resolve_timeout_ms(250).unwrap();
    config.set_quota_directory(scratch.path()).unwrap();
    config
}

pub fn client(url: &str, scratch: &Scratch) -> Client {
    Client::new(&config(url, scratch)).unwrap()
}

/// Whether the text of a failed call tells the same outcome as its getter.
pub fn says_its_outcome(error: &Error) -> bool {
    error.message().ends_with(&format!(", outcome {})", error.outcome().name()))
}

/// A number out of `Client::stats`.
pub fn stat(client: &Client, group: &str, name: &str) -> u64 {
    let stats: serde_json::Value = serde_json::from_str(&client.stats()).unwrap();
    let value = if group.is_empty() { &stats[name] } else { &stats[group][name] };
    value.as_u64().unwrap_or_else(|| panic!("no {group}.{name} in {stats}"))
}

/// Waits until something is true, for a few seconds at most.
pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(10), "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Runs one test of this binary in a process of its own, by a command line that
/// may come in front. Gives what it printed; fails if it failed.
pub fn in_child(test: &str, before: &[&str], environment: &[(&str, &str)]) -> String {
    let me = std::env::current_exe().unwrap();
    let me = me.to_str().unwrap();
    let line: Vec<&str> = before.iter().copied().chain([me]).collect();
    let output = std::process::Command::new(line[0])
        .args(&line[1..])
        .args([test, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(CHILD, test)
        .envs(environment.iter().copied())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", line[0]));
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test} in a process of its own: {}\n{text}", output.status);
    assert!(text.contains("1 passed"), "{test} did not run:\n{text}");
    text
}

const CHILD: &str = "IMGROUP_TEST_CHILD";

/// Whether this process was started by [`in_child`] for this test.
pub fn is_child(test: &str) -> bool {
    std::env::var(CHILD).is_ok_and(|wanted| wanted == test)
}

/// Compiles a C file of `tests/c`; extra arguments come last.
pub fn compile(source: &str, output: &str, arguments: &[&str]) {
    let source = format!("{}/tests/c/{source}", env!("CARGO_MANIFEST_DIR"));
    let include = concat!("-I", env!("CARGO_MANIFEST_DIR"), "/include");
    let result = std::process::Command::new("cc")
        .args(["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", include, &source, "-o", output])
        .args(arguments)
        .output()
        .expect("a C compiler");
    assert!(result.status.success(), "{source}: {}", String::from_utf8_lossy(&result.stderr));
}

/// The directory in which cargo has put the shared library.
pub fn library_directory() -> PathBuf {
    let me = std::env::current_exe().unwrap();
    let directory = me.parent().unwrap().to_owned();
    assert!(directory.join("libimgroup.so").is_file(), "no libimgroup.so in {}", directory.display());
    directory
}

/// Compiles a C program of `tests/c` against the shared library.
pub fn program(name: &str, scratch: &Scratch) -> std::process::Command {
    let library = scratch.join("libimgroup.so.0.1");
    std::fs::copy(library_directory().join("libimgroup.so"), &library).unwrap();
    let binary = scratch.join(name);
    let rpath = format!("-Wl,-rpath,{}", scratch.path());
    compile(&format!("{name}.c"), &binary, &[&library, &rpath, "-pthread"]);
    std::process::Command::new(binary)
}
