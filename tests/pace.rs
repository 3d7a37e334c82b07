//! The pace, seen where it counts: at the arrivals of the service, from many
//! processes at once.

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use imgroup::call::CallOptions;
use imgroup::client::Client;
use imgroup::codes;
use imgroup::config::LogLevel;
use imgroup::emulator::Emulator;
use imgroup::error::Outcome;
use serde_json::json;
use support::arrivals::{self, *};
use support::*;

#[test]
#[ignore = "the body of a worker process"]
fn work() {
    arrivals::work();
}

#[test]
fn no_second_holds_more_than_the_service_allows_from_however_many_processes() {
    let _alone = alone();
    // processes, threads in each, how many are killed on the way, seconds measured
    for (processes, threads, killed, seconds) in [(1, 6, 0, 4), (11, 2, 3, 5), (64, 1, 16, 6)] {
        three_tries(|| measure(processes, threads, killed, seconds));
    }
}

fn workers(number: usize, threads: usize, emulator: &Emulator, scratch: &Scratch) -> Workers {
    Workers::start(number, threads, emulator, |_| vec![("IMGROUP_QUOTA_DIR", scratch.path().into())])
}

fn measure(processes: usize, threads: usize, killed: usize, seconds: u64) -> Result<String, String> {
    let emulator = emulator();
    let scratch = Scratch::new();
    let mut workers = workers(processes, threads, &emulator, &scratch);
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
    let _workers = workers(2, 4, &emulator, &scratch);
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
