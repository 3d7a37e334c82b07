//! The pace, seen where it counts: at the arrivals of the service, from many
//! processes at once.

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use imgroup::call::CallOptions;
use imgroup::client::Client;
use imgroup::emulator::{Emulator, Options};

use super::{MARKER_KEY, SDKAPPID};

/// What the service allows in a second, and what the pace makes of it.
pub const LIMIT: usize = 200;
pub const PACE: f64 = 180.0;

/// One after the other: each wants the processors for itself.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An emulator that answers as fast as it can.
pub fn emulator() -> Emulator {
    Emulator::start(Options {
        secret_key: MARKER_KEY.into(),
        write_time: Duration::ZERO,
        seed_accounts: (0..70).map(|number| format!("worker{number}")).collect(),
        ..Options::default()
    })
    .unwrap()
}

/// Another program may take the processors away from the emulator or from a
/// process between its slot and its request; it will not do so every time.
pub fn three_tries(measure: impl Fn() -> Result<String, String>) {
    let mut reasons = Vec::new();
    for _ in 0..3 {
        match measure() {
            Ok(text) => return println!("{text}"),
            Err(reason) => reasons.push(reason),
        }
    }
    panic!("{reasons:#?}");
}

/// Processes that call as fast as they can until they are killed. The binary needs
/// a test `work`, ignored, that calls [`work`].
pub struct Workers(Vec<Child>);

impl Workers {
    /// `environment` gives more variables for each of them, by its number.
    pub fn start(
        number: usize,
        threads: usize,
        emulator: &Emulator,
        environment: impl Fn(usize) -> Vec<(&'static str, String)>,
    ) -> Workers {
        let me = std::env::current_exe().unwrap();
        let start = |worker: usize| {
            // Sixty programs starting at once would keep the emulator from looking at its clock.
            thread::sleep(Duration::from_millis(20));
            Command::new(&me)
                .args(["work", "--exact", "--ignored", "--nocapture"])
                .env("PACE_ACCOUNT", format!("worker{worker}"))
                .env("PACE_THREADS", threads.to_string())
                .env("IMGROUP_SDKAPPID", SDKAPPID.to_string())
                .env("IMGROUP_IDENTIFIER", "administrator")
                .env("IMGROUP_SECRET_KEY", MARKER_KEY)
                .env("IMGROUP_ENDPOINT", emulator.url())
                .envs(environment(worker))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        };
        Workers((0..number).map(start).collect())
    }

    /// SIGKILL, in the middle of whatever they do.
    pub fn kill(&mut self, number: usize) {
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

/// The body of a worker process.
pub fn work() {
    let Ok(account) = std::env::var("PACE_ACCOUNT") else { return };
    let client = Client::new(&imgroup::config::Config::from_env().unwrap()).unwrap();
    thread::scope(|scope| {
        for _ in 0..std::env::var("PACE_THREADS").unwrap().parse().unwrap() {
            scope.spawn(|| {
                // Ends with the emulator, if nobody kills it.
                while client.get_lists(&account, &[], false, &CallOptions::default()).is_ok() {}
            });
        }
    });
}

pub fn arrivals(emulator: &Emulator) -> Vec<u64> {
    let all = emulator.control("GET", "/_emulator/arrivals?command=group_get", None).unwrap();
    all.as_array().unwrap().iter().map(|at| at.as_u64().unwrap()).collect()
}

pub fn now_us(emulator: &Emulator) -> u64 {
    emulator.control("GET", "/_emulator/health", None).unwrap()["uptime_us"].as_u64().unwrap()
}

/// The most that came in any second.
pub fn densest(arrivals: &[u64]) -> usize {
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

pub fn between(arrivals: &[u64], from: u64, to: u64) -> usize {
    arrivals.iter().filter(|at| (from..to).contains(at)).count()
}

/// How many requests of each account arrived.
pub fn shares(emulator: &Emulator, from: u64, to: u64) -> HashMap<String, usize> {
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
