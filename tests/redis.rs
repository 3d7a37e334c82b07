//! The pace that machines share through Redis, against a real one: what arrives at
//! the service while Redis, its data, its clock and its clients come and go.

mod support;

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use imgroup::call::{CallOptions, Control};
use imgroup::client::Client;
use imgroup::codes;
use imgroup::config::{Config, LogLevel};
use imgroup::emulator::Emulator;
use imgroup::error::Outcome;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use support::arrivals::{self, *};
use support::*;

const PASSWORD: &str = "marker-password-7c41d";
const KEY: &str = "{imgroup:1400000000}:v4/sns/group_get";
/// With a new connection a machine's own share holds as well, for so long.
const JOIN: Duration = Duration::from_millis(2_500);

/// A Redis of the test's own, that keeps nothing on disk.
struct Redis {
    child: Child,
    port: u16,
    scratch: Scratch,
}

impl Redis {
    fn start() -> Redis {
        let port = free_port();
        let scratch = Scratch::new();
        let child = Redis::spawn(port, &scratch);
        let redis = Redis { child, port, scratch };
        redis.until_ready();
        redis
    }

    fn spawn(port: u16, scratch: &Scratch) -> Child {
        Command::new("redis-server")
            .args([
                "--bind",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--unixsocket",
                &scratch.join("socket"),
            ])
            .args(["--save", "", "--appendonly", "no", "--dir", scratch.path(), "--requirepass", PASSWORD])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server, of Debian's package of that name")
    }

    fn until_ready(&self) {
        eventually("Redis answers", || self.connect().is_ok());
    }

    fn url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    fn connect(&self) -> redis::RedisResult<redis::Connection> {
        redis::Client::open(self.url())?.get_connection_with_timeout(Duration::from_secs(1))
    }

    fn query<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(word);
        }
        command.query(&mut self.connect().unwrap()).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn stop_for(&self, time: Duration) {
        self.signal(Signal::STOP);
        thread::sleep(time);
        self.signal(Signal::CONT);
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// `kill -9`, and after a while another one without its data.
    fn replace_after(&mut self, time: Duration) {
        self.kill();
        thread::sleep(time);
        self.child = Redis::spawn(self.port, &self.scratch);
        self.until_ready();
    }

    /// As if the server's clock jumped: the key is all that it has told anybody.
    fn move_clock(&self, seconds: i64) {
        let free: i64 = self.query(&["GET", KEY]);
        let moved = (free - seconds * 1_000_000).to_string();
        self.query::<()>(&["SET", KEY, &moved]);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What is logged from warnings up.
fn logged(config: &mut Config) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    config
        .set_log(LogLevel::Debug, Some(Arc::new(move |_, line| sink.lock().unwrap().push(line.to_owned()))));
    lines
}

fn with_redis(emulator: &Emulator, url: &str, scratch: &Scratch) -> Config {
    let mut config = config(emulator.url(), scratch);
    config.set_quota_redis(url).unwrap();
    config
}

fn get(client: &Client, timeout_ms: u64) -> Result<imgroup::lists::Response, imgroup::error::Error> {
    let timeout = Some(Duration::from_millis(timeout_ms));
    client.get_lists("worker60", &[], false, &CallOptions { timeout, ..CallOptions::default() })
}

#[test]
#[ignore = "the body of a worker process"]
fn work() {
    arrivals::work();
}

/// What happens to four processes, on a machine each, and how much of the pace is
/// used from then on, in percent at least. With a fault it is to go on at all.
struct Scenario {
    what: &'static str,
    happens: fn(&mut Redis, &mut Workers),
    seconds: u64,
    used: f64,
}

#[test]
fn no_second_holds_more_than_the_service_allows_whatever_happens_to_redis() {
    let _alone = alone();
    #[rustfmt::skip]
    let scenarios = [
        Scenario { what: "nothing happens", happens: |_, _| (), seconds: 6, used: 97.0 },
        Scenario { what: "a client is killed", happens: |_, workers| workers.kill(1), seconds: 4, used: 97.0 },
        Scenario { what: "FLUSHALL", happens: |redis, _| redis.query(&["FLUSHALL"]), seconds: 4, used: 80.0 },
        Scenario { what: "the server's clock goes back 30 s", happens: |redis, _| redis.move_clock(-30), seconds: 4, used: 80.0 },
        Scenario { what: "the server's clock goes ahead 30 s", happens: |redis, _| redis.move_clock(30), seconds: 4, used: 80.0 },
        // Half a second passes until it is noticed.
        Scenario { what: "Redis is stopped for 3 s",
            happens: |redis, _| redis.stop_for(Duration::from_secs(3)), seconds: 4, used: 75.0 },
        Scenario { what: "Redis is killed and another one started",
            happens: |redis, _| redis.replace_after(Duration::from_secs(1)), seconds: 4, used: 80.0 },
        Scenario { what: "Redis is killed and another one started at once",
            happens: |redis, _| redis.replace_after(Duration::ZERO), seconds: 4, used: 80.0 },
    ];
    for scenario in &scenarios {
        three_tries(|| measure(scenario));
    }
}

fn measure(scenario: &Scenario) -> Result<String, String> {
    let emulator = emulator();
    let scratch = Scratch::new();
    let mut redis = Redis::start();
    let mut workers = Workers::start(4, 3, &emulator, |worker| {
        let machine = scratch.join(&format!("machine{worker}"));
        std::fs::create_dir_all(&machine).unwrap();
        vec![
            ("IMGROUP_QUOTA_DIR", machine),
            ("IMGROUP_QUOTA_SHARE", "0.25".into()),
            ("IMGROUP_QUOTA_REDIS", redis.url()),
        ]
    });
    eventually("all workers call", || shares(&emulator, 0, u64::MAX).len() == 4);
    thread::sleep(JOIN);
    let from = now_us(&emulator);
    (scenario.happens)(&mut redis, &mut workers);
    thread::sleep(Duration::from_secs(scenario.seconds));
    let to = now_us(&emulator);
    drop(workers);

    let arrivals = arrivals(&emulator);
    let most = densest(&arrivals);
    let used = between(&arrivals, from, to) as f64 / (PACE * (to - from) as f64 / 1e6) * 100.0;
    let refused =
        emulator.control("GET", "/_emulator/requests/count", None).unwrap()["codes"]["60007"].clone();
    let text = format!("{}: densest second {most}, slots used {used:.1} %", scenario.what);
    if most <= LIMIT && refused.is_null() && used >= scenario.used { Ok(text) } else { Err(text) }
}

#[test]
fn processes_on_one_machine_get_their_part_and_share_a_complaint() {
    let _alone = alone();
    let emulator = emulator();
    let scratch = Scratch::new();
    let redis = Redis::start();
    let _workers = Workers::start(6, 4, &emulator, |_| {
        vec![("IMGROUP_QUOTA_DIR", scratch.path().into()), ("IMGROUP_QUOTA_REDIS", redis.url())]
    });
    eventually("all workers call", || shares(&emulator, 0, u64::MAX).len() == 6);
    thread::sleep(JOIN);
    let from = now_us(&emulator);
    thread::sleep(Duration::from_secs(4));
    let shares = shares(&emulator, from, now_us(&emulator));
    let mean = shares.values().sum::<usize>() as f64 / 6.0;
    let farthest = shares.values().map(|share| (*share as f64 - mean).abs()).fold(0.0, f64::max);
    println!("6 processes: {mean:.1} for each, {farthest:.1} off at most");
    assert!(shares.len() == 6 && mean > 110.0 && farthest < mean * 0.4, "{shares:?}");

    // One of many is refused by the service; all of them pause.
    let fault = json!({"kind": "error", "code": 60007, "command": "group_get", "account": "worker60"});
    emulator.control("POST", "/_emulator/faults", Some(&fault)).unwrap();
    let other_machine = Scratch::new();
    let mut config = with_redis(&emulator, &redis.url(), &other_machine);
    config.set_max_attempts(1).unwrap();
    let client = Client::new(&config).unwrap();
    assert_eq!(get(&client, 2_000).unwrap_err().code(), 60007);
    let complaint = now_us(&emulator);
    thread::sleep(Duration::from_millis(1_500));
    let arrivals = arrivals(&emulator);
    let pause = between(&arrivals, complaint + 150_000, complaint + 950_000);
    assert!(pause < 20, "no pause: {pause} in 0.8 s after the complaint");
    let later = between(&arrivals, complaint + 1_000_000, complaint + 1_500_000);
    assert!(later > 40, "{later} in half a second after the pause");
}

#[test]
fn a_call_ends_in_time_while_redis_hangs_and_goes_on_without_it() {
    let _alone = alone();
    let emulator = emulator();
    let scratch = Scratch::new();
    let redis = Redis::start();
    let mut config = with_redis(&emulator, &redis.url(), &scratch);
    config.set_quota_share(0.5).unwrap();
    let lines = logged(&mut config);
    let said = |what: &str| lines.lock().unwrap().iter().filter(|line| line.contains(what)).count();
    let client = Client::new(&config).unwrap();
    get(&client, 2_000).unwrap();
    assert_eq!(stat(&client, "quota", "redis_away"), 0);

    redis.signal(Signal::STOP);
    let prompt = Duration::from_millis(50);
    let begin = Instant::now();
    let error = get(&client, 200).unwrap_err();
    assert_eq!((error.code(), error.outcome(), error.attempts()), (codes::QUOTA, Outcome::NotSent, 0));
    assert!(begin.elapsed() < Duration::from_millis(200) + prompt, "{:?}", begin.elapsed());

    let hanging = Client::new(&config).unwrap();
    let control = Arc::new(Control::default());
    let options = CallOptions { control: Some(Arc::clone(&control)), ..CallOptions::default() };
    let ended = thread::scope(|scope| {
        let call = scope.spawn(|| {
            let error = hanging.get_lists("worker60", &[], false, &options).unwrap_err();
            (error.code(), Instant::now())
        });
        thread::sleep(Duration::from_millis(100));
        let cancelled = Instant::now();
        control.cancel();
        let (code, at) = call.join().unwrap();
        (code, at - cancelled)
    });
    assert!(ended.0 == codes::CANCELLED && ended.1 < prompt, "{ended:?}");

    // Whoever has the time gets a slot of the own share, and the next ones at once.
    let begin = Instant::now();
    for _ in 0..5 {
        get(&hanging, 2_000).unwrap();
    }
    let took = begin.elapsed();
    assert!(took < Duration::from_millis(800), "{took:?}");
    assert_eq!(stat(&hanging, "quota", "redis_away"), 5);
    assert_eq!(said("cannot be used"), 1, "{:?}", lines.lock().unwrap());
    assert!(said("share of the quota, 0.5") == 1 && said(PASSWORD) == 0);

    redis.signal(Signal::CONT);
    eventually("Redis is used again", || {
        get(&hanging, 2_000).unwrap();
        said("answers again") == 1
    });
    let before = stat(&hanging, "quota", "redis_away");
    get(&hanging, 2_000).unwrap();
    assert_eq!(stat(&hanging, "quota", "redis_away"), before);
}

#[test]
fn without_redis_a_machine_keeps_to_its_share() {
    let _alone = alone();
    let closed = format!("redis://:{PASSWORD}@127.0.0.1:{}", free_port());
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = format!("redis://:{PASSWORD}@{}", silent.local_addr().unwrap());
    let redis = Redis::start();
    let mistaken = format!("redis://:{PASSWORD}-not@127.0.0.1:{}", redis.port);
    let nothing = Scratch::new();
    #[rustfmt::skip]
    let rows = [
        ("nobody listens", closed, "refused"),
        ("no answer", mute, "cannot be used"),
        ("a wrong password", mistaken, "Password authentication failed"),
        ("no such name", "redis://redis.invalid".to_owned(), "cannot be used"),
        ("no such socket", format!("unix://{}", nothing.join("none")), "No such file"),
        ("no TLS there", format!("rediss://:{PASSWORD}@127.0.0.1:{}", redis.port), "cannot be used"),
    ];
    for (situation, url, reason) in rows {
        let emulator = emulator();
        let scratch = Scratch::new();
        let mut config = with_redis(&emulator, &url, &scratch);
        config.set_quota(100).unwrap();
        config.set_quota_share(0.5).unwrap();
        let lines = logged(&mut config);
        let client = Client::new(&config).unwrap();
        let begin = Instant::now();
        get(&client, 2_000).unwrap();
        assert!(begin.elapsed() < Duration::from_millis(900), "{situation}: {:?}", begin.elapsed());
        let begin = Instant::now();
        let mut calls = 0;
        while begin.elapsed() < Duration::from_secs(1) {
            get(&client, 2_000).unwrap();
            calls += 1;
        }
        // 0.9 x 100 x 0.5 a second.
        assert!((38..=47).contains(&calls), "{situation}: {calls} in a second");
        let text = format!("{:?}{client:?}{config:?}", lines.lock().unwrap());
        assert!(text.contains(reason), "{situation}: {text}");
        assert!(!text.contains(PASSWORD), "{situation}: {text}");
    }
}

#[test]
fn all_ways_to_redis_and_all_settings_lead_there() {
    let _alone = alone();
    let emulator = emulator();
    let redis = Redis::start();
    let socket = redis.scratch.join("socket");
    for url in [
        redis.url(),
        format!("redis://:{PASSWORD}@localhost:{}/3", redis.port),
        format!("unix://{socket}?pass={PASSWORD}"),
    ] {
        let scratch = Scratch::new();
        let client = Client::new(&with_redis(&emulator, &url, &scratch)).unwrap();
        get(&client, 2_000).unwrap();
        assert_eq!(stat(&client, "quota", "redis_away"), 0, "{url}");
    }
    let exists = |database: &str| -> bool {
        let mut connection = redis.connect().unwrap();
        redis::cmd("SELECT").arg(database).exec(&mut connection).unwrap();
        redis::cmd("EXISTS").arg(KEY).query(&mut connection).unwrap()
    };
    assert_eq!(["0", "1", "3"].map(exists), [true, false, true]);
    redis.query::<()>(&["FLUSHALL"]);

    let scratch = Scratch::new();
    let imgroup = |words: &[&str], url: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_imgroup"))
            .args(words)
            .env_clear()
            .env("IMGROUP_SDKAPPID", SDKAPPID.to_string())
            .env("IMGROUP_SECRET_KEY", MARKER_KEY)
            .env("IMGROUP_ENDPOINT", emulator.url())
            .env("IMGROUP_QUOTA_DIR", scratch.path())
            .env("IMGROUP_QUOTA_REDIS", url)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        assert!(!text.contains(PASSWORD), "{text}");
        (output.status.code(), text)
    };
    // From the environment; the option wins.
    assert_eq!(imgroup(&["get", "worker1"], &redis.url()).0, Some(0));
    assert!(exists("0"));
    redis.query::<()>(&["FLUSHALL"]);
    let socket = format!("unix://{socket}?pass={PASSWORD}");
    assert_eq!(imgroup(&["get", "worker1", "--quota", &socket, "--quota-share", "0.5"], "").0, Some(0));
    assert!(exists("0"));
    let (code, text) = imgroup(&["get", "worker1"], &format!("http://:{PASSWORD}@127.0.0.1"));
    assert!(code == Some(2) && text.contains("quota_redis: must be redis://"), "{text}");
    let (code, text) = imgroup(&["get", "--help"], &redis.url());
    assert!(code == Some(0) && text.contains("IMGROUP_QUOTA_REDIS"), "{text}");
}

#[test]
fn a_fork_gives_the_child_a_connection_of_its_own() {
    let _alone = alone();
    let emulator = emulator();
    let scratch = Scratch::new();
    let redis = Redis::start();
    let mut config = config(emulator.url(), &scratch);
    config.set_quota(1_000_000).unwrap();
    let client = Client::new(&config).unwrap();
    let accounts = json!({"accounts": {"parent": {"lists": ["parent"]}, "child": {"lists": ["child"]}}});
    emulator.control("PUT", "/_emulator/state", Some(&accounts)).unwrap();
    get(&client, 2_000).unwrap_err();
    let connections = || -> usize {
        let info: String = redis.query(&["INFO", "stats"]);
        let line = info.lines().find_map(|line| line.strip_prefix("total_connections_received:")).unwrap();
        line.trim().parse().unwrap()
    };
    let before = connections();
    let rounds = 30;
    let output = program("fork", &scratch)
        .args([emulator.url(), MARKER_KEY, scratch.path(), &rounds.to_string(), &redis.url()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    // The parent, four children beside it, one child a round, a child and its child; and this.
    let made = connections() - before;
    assert_eq!(made, 1 + 4 + rounds + 2 + 1);
}
