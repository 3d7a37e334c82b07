//! The pace, seen where it counts: at the arrivals of the service, from many
//! processes at once.

mod support;

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use imgroup::call::CallOptions;
use imgroup::client::Client;
use imgroup::codes;
use imgroup::config::LogLevel;
use imgroup::emulator::{Emulator, Options};
use imgroup::error::Outcome;
use serde_json::json;
use support::*;

/// What the service allows in a second, and what the pace makes of it.
const LIMIT: usize = 200;
const PACE: f64 = 180.0;

/// One after the other: each wants the processors for itself.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn emulator() -> Emulator {
    Emulator::start(Options {
        secret_key: MARKER_KEY.into(),
        write_time: Duration::ZERO,
        seed_accounts: (0..70).map(|number| format!("worker{number}")).collect(),
        ..Options::default()
    })
    .unwrap()
}

/// Processes that call as fast as they can until they are killed.
struct Workers(Vec<Child>);

impl Workers {
    fn start(number: usize, threads: usize, emulator: &Emulator, scratch: &Scratch) -> Workers {
        let me = std::env::current_exe().unwrap();
        let start = |worker: usize| {
            // Sixty programs starting at once would keep the emulator from looking at its clock.
            thread::sleep(Duration::from_millis(20));
            Command::new(&me)
                .args(["work", "--exact", "--ignored", "--nocapture"])
                .env("PACE_URL", emulator.url())
                .env("PACE_DIRECTORY", scratch.path())
                .env("PACE_ACCOUNT", format!("worker{worker}"))
                .env("PACE_THREADS", threads.to_string())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        };
        Workers((0..number).map(start).collect())
    }

    /// SIGKILL, in the middle of whatever they do.
    fn kill(&mut self, number: usize) {
        for mut child in self.0.drain(..number) {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.kill(self.0.len());
    }
}

#[test]
#[ignore = "the body of a worker process"]
fn work() {
    let Ok(url) = std::env::var("PACE_URL") else { return };
    let variable = |name| std::env::var(name).unwrap();
    let mut config = imgroup::config::Config::new(SDKAPPID, "administrator", MARKER_KEY).unwrap();
    config.set_endpoint(&url).unwrap();
    config.set_quota_directory(&variable("PACE_DIRECTORY")).unwrap();
    let client = Client::new(&config).unwrap();
    let account = variable("PACE_ACCOUNT");
    thread::scope(|scope| {
        for _ in 0..variable("PACE_THREADS").parse().unwrap() {
            scope.spawn(|| {
                // Ends with the emulator, if nobody kills it.
                while client.get_lists(&account, &[], false, &CallOptions::default()).is_ok() {}
            });
        }
    });
}

fn arrivals(emulator: &Emulator) -> Vec<u64> {
    let all = emulator.control("GET", "/_emulator/arrivals?command=group_get", None).unwrap();
    all.as_array().unwrap().iter().map(|at| at.as_u64().unwrap()).collect()
}

fn now_us(emulator: &Emulator) -> u64 {
    emulator.control("GET", "/_emulator/health", None).unwrap()["uptime_us"].as_u64().unwrap()
}

/// The most that came in any second.
fn densest(arrivals: &[u64]) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (index, at) in arrivals.iter().enumerate() {
        while arrivals[first] + 1_000_000 <= *at {
            first += 1;
        }
        most = most.max(index - first + 1);
    }
    most
}

fn between(arrivals: &[u64], from: u64, to: u64) -> usize {
    arrivals.iter().filter(|at| (from..to).contains(at)).count()
}

/// How many requests of each account arrived.
fn shares(emulator: &Emulator, from: u64, to: u64) -> HashMap<String, usize> {
    let journal = emulator.control("GET", "/_emulator/requests?command=group_get", None).unwrap();
    let mut shares = HashMap::new();
    for entry in journal["requests"].as_array().unwrap() {
        if (from..to).contains(&entry["arrival_us"].as_u64().unwrap()) {
            let account = entry["body"]["From_Account"].as_str().unwrap_or_default().to_owned();
            *shares.entry(account).or_default() += 1;
        }
    }
    shares
}

#[test]
fn no_second_holds_more_than_the_service_allows_from_however_many_processes() {
    let _alone = alone();
    // processes, threads in each, how many are killed on the way, seconds measured
    for (processes, threads, killed, seconds) in [(1, 6, 0, 4), (11, 2, 3, 5), (64, 1, 16, 6)] {
        // Another program may take the processors away from the emulator or from a
        // process between its slot and its request; it will not do so every time.
        let measured = (0..3).map(|_| measure(processes, threads, killed, seconds));
        let mut reasons = Vec::new();
        for result in measured {
            match result {
                Ok(text) => {
                    println!("{text}");
                    reasons.clear();
                    break;
                }
                Err(reason) => reasons.push(reason),
            }
        }
        assert!(reasons.is_empty(), "{reasons:#?}");
    }
}

fn measure(processes: usize, threads: usize, killed: usize, seconds: u64) -> Result<String, String> {
    let emulator = emulator();
    let scratch = Scratch::new();
    let mut workers = Workers::start(processes, threads, &emulator, &scratch);
    eventually("all workers call", || {
        let now = now_us(&emulator);
        shares(&emulator, now.saturating_sub(2_000_000), now).len() == processes
    });
    // Whoever is killed takes at most the slots it had drawn with it.
    let before = now_us(&emulator);
    thread::sleep(Duration::from_millis(if killed > 0 { 700 } else { 0 }));
    workers.kill(killed);
    thread::sleep(Duration::from_millis(1_100));
    let from = now_us(&emulator);
    thread::sleep(Duration::from_secs(seconds));
    let to = now_us(&emulator);
    let arrivals = arrivals(&emulator);
    let shares = shares(&emulator, from, to);
    drop(workers);

    let most = densest(&arrivals);
    let offered = PACE * (to - from) as f64 / 1e6;
    let used = between(&arrivals, from, to) as f64 / offered * 100.0;
    let alive = processes - killed;
    let mean = shares.values().sum::<usize>() as f64 / alive as f64;
    // A few requests more or less are much where each has but a few.
    let slack = (mean * 0.2).max(6.0);
    let farthest = shares.values().map(|share| (*share as f64 - mean).abs()).fold(0.0, f64::max);
    let text = format!(
        "{processes} processes, {killed} killed: densest second {most}, slots used {used:.1} %, \
         {mean:.1} for each, {farthest:.1} off at most"
    );
    let refused =
        emulator.control("GET", "/_emulator/requests/count", None).unwrap()["codes"]["60007"].clone();
    let fine = most <= LIMIT
        && refused.is_null()
        && used >= 97.0
        && farthest <= slack
        && shares.len() == alive
        && between(&arrivals, before, from) > 100;
    if fine { Ok(text) } else { Err(text) }
}

#[test]
fn a_complaint_of_the_service_lowers_the_pace_of_all_processes_and_it_recovers() {
    let _alone = alone();
    let emulator = emulator();
    let scratch = Scratch::new();
    let _workers = Workers::start(2, 4, &emulator, &scratch);
    eventually("the workers call", || arrivals(&emulator).len() > 200);
    emulator
        .control(
            "POST",
            "/_emulator/faults",
            Some(&json!({"kind": "error", "code": 60007, "command": "group_get", "account": "worker60"})),
        )
        .unwrap();
    let mut config = config(emulator.url(), &scratch);
    config.set_max_attempts(1).unwrap();
    config.set_timeout_ms(5_000).unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    config.set_log(
        LogLevel::Warning,
        Some(Arc::new(move |_, line| sink.lock().unwrap().push(line.to_owned()))),
    );
    let client = Client::new(&config).unwrap();
    let error = client.get_lists("worker60", &[], false, &CallOptions::default()).unwrap_err();
    assert_eq!((error.code(), error.outcome()), (60007, Outcome::Rejected));
    assert_eq!(stat(&client, "", "throttle_replies"), 1);
    assert!(lines.lock().unwrap().iter().any(|line| line.contains("the pace is lowered")));
    let complaint = now_us(&emulator);
    thread::sleep(Duration::from_millis(7_300));
    let arrivals = arrivals(&emulator);
    let rate = |from: u64| {
        let from = complaint + from * 1_000;
        between(&arrivals, from, from + 1_000_000)
    };
    // Slots drawn before the complaint are still used.
    let pause = rate(100).min(rate(200));
    assert!(pause < 60, "no pause: {pause} in the second after the complaint");
    let lowered = rate(1_400);
    assert!((110..=150).contains(&lowered), "{lowered} a second after the pause");
    let later = rate(6_000);
    assert!(later >= lowered + 10 && later <= 180, "{later}, {lowered} before");
}

#[test]
fn quota_share_and_callback_are_kept_to() {
    let _alone = alone();
    let emulator = emulator();
    let scratch = Scratch::new();
    let mut config = config(emulator.url(), &scratch);
    config.set_quota(100).unwrap();
    config.set_quota_share(0.5).unwrap();
    let client = Client::new(&config).unwrap();
    let begin = Instant::now();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while begin.elapsed() < Duration::from_secs(3) {
                    client.get_lists("worker0", &[], false, &CallOptions::default()).unwrap();
                }
            });
        }
    });
    let arrived = arrivals(&emulator).len();
    // 0.9 x 100 x 0.5 a second.
    assert!((128..=142).contains(&arrived), "{arrived} in three seconds");
    assert!(stat(&client, "quota", "waits") > 100);
    assert!(stat(&client, "quota", "waited_us") > 1_000_000);

    // A slot beyond the deadline is not waited for.
    config.set_quota(1).unwrap();
    let slow = Client::new(&config).unwrap();
    let options = CallOptions { timeout: Some(Duration::from_millis(300)), ..CallOptions::default() };
    slow.delete_lists("worker0", &["x"], &options).unwrap();
    let begin = Instant::now();
    let error = slow.delete_lists("worker0", &["x"], &options).unwrap_err();
    assert_eq!((error.code(), error.outcome(), error.attempts()), (codes::QUOTA, Outcome::NotSent, 0));
    assert!(begin.elapsed() < Duration::from_millis(300) + LATE);

    // The callback replaces all that.
    let asked = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&asked);
    config.set_quota_callback(Some(Arc::new(move |command: &str| {
        assert_eq!(command, "group_delete");
        [0, 120, -1][counter.fetch_add(1, Ordering::Relaxed) as usize % 3]
    })));
    let client = Client::new(&config).unwrap();
    let begin = Instant::now();
    client.delete_lists("worker0", &["x"], &CallOptions::default()).unwrap();
    client.delete_lists("worker0", &["x"], &CallOptions::default()).unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(120));
    let error = client.delete_lists("worker0", &["x"], &CallOptions::default()).unwrap_err();
    assert_eq!((error.code(), error.outcome()), (codes::QUOTA, Outcome::NotSent));
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[test]
fn without_a_shared_file_a_process_keeps_its_own_pace_and_says_so() {
    let _alone = alone();
    let emulator = emulator();
    let scratch = Scratch::new();
    let mut config = config(emulator.url(), &scratch);
    config.set_quota_directory("/dev/null/nowhere").unwrap();
    config.set_quota(50).unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    config.set_log(
        LogLevel::Warning,
        Some(Arc::new(move |_, line| sink.lock().unwrap().push(line.to_owned()))),
    );
    let clients = [Client::new(&config).unwrap(), Client::new(&config).unwrap()];
    let begin = Instant::now();
    thread::scope(|scope| {
        for client in &clients {
            scope.spawn(move || {
                while begin.elapsed() < Duration::from_secs(2) {
                    client.get_lists("worker0", &[], false, &CallOptions::default()).unwrap();
                }
            });
        }
    });
    let arrived = arrivals(&emulator).len();
    assert!((80..=94).contains(&arrived), "{arrived} in two seconds, from two clients of one process");
    let lines = lines.lock().unwrap();
    assert!(lines.iter().any(|line| line.contains("this process's own")), "{lines:?}");
}
