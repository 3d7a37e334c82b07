//! Cancel and shutdown from another thread, wherever a call waits; and that
//! neither reaches a connection that serves another call.

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use imgroup::call::{CallOptions, Control};
use imgroup::client::Client;
use imgroup::codes;
use imgroup::config::Config;
use imgroup::error::{Error, Outcome};
use support::server::*;
use support::*;

const TRIALS: usize = 20;
const BOUND: Duration = Duration::from_millis(50);

/// Where a call is caught.
struct Place {
    name: &'static str,
    outcome: Outcome,
    prepare: fn(&Scratch) -> Scene,
}

/// A client whose next delete waits for something that does not come.
struct Scene {
    config: Config,
    /// Called with the client before the call; what it gives lives until the end.
    before: fn(&Arc<Client>) -> Option<thread::JoinHandle<()>>,
    body: usize,
    _server: Box<dyn std::any::Any>,
}

fn patient(url: &str, scratch: &Scratch) -> Config {
    let mut config = config(url, scratch);
    config.set_timeout_ms(60_000).unwrap();
    config.set_attempt_timeout_ms(60_000).unwrap();
    config.set_connect_timeout_ms(60_000).unwrap();
    config.set_resolve_timeout_ms(60_000).unwrap();
    config
}

fn scene(config: Config, server: impl std::any::Any) -> Scene {
    Scene { config, before: |_| None, body: 0, _server: Box::new(server) }
}

#[rustfmt::skip]
fn places() -> Vec<Place> {
    vec![
        Place { name: "connect", outcome: Outcome::NotSent, prepare: |scratch| {
            let hole = BlackHole::new();
            scene(patient(&format!("http://127.0.0.1:{}", hole.port), scratch), hole)
        }},
        Place { name: "TLS handshake", outcome: Outcome::NotSent, prepare: |scratch| {
            let authority = Authority::new();
            authority.write(&scratch.join("ca.pem"));
            let server = Server::https(say(ok(), Then::Keep), authority.server(&["localhost"], Flaw::None));
            server.greet(Some(Arc::new(|stream| {
                let mut stream = stream;
                while std::io::Read::read(&mut stream, &mut [0; 4096]).is_ok_and(|amount| amount > 0) {}
                false
            })));
            let mut config = patient(&server.url(), scratch);
            config.set_ca_file(&scratch.join("ca.pem")).unwrap();
            scene(config, server)
        }},
        Place { name: "write", outcome: Outcome::NotSent, prepare: |scratch| {
            // It reads nothing, so that the client's buffers fill up.
            let server = Server::narrow(act(|_| { thread::sleep(Duration::from_secs(1)); Then::Reset }), None);
            Scene { body: 1_000_000, ..scene(patient(&server.url(), scratch), server) }
        }},
        Place { name: "read", outcome: Outcome::Unknown, prepare: |scratch| {
            let server = Server::http(say("", Then::Stall));
            scene(patient(&server.url(), scratch), server)
        }},
        Place { name: "read over TLS", outcome: Outcome::Unknown, prepare: |scratch| {
            let authority = Authority::new();
            authority.write(&scratch.join("ca.pem"));
            let server = Server::https(say("", Then::Stall), authority.server(&["localhost"], Flaw::None));
            let mut config = patient(&server.url(), scratch);
            config.set_ca_file(&scratch.join("ca.pem")).unwrap();
            scene(config, server)
        }},
        Place { name: "half a reply", outcome: Outcome::Unknown, prepare: |scratch| {
            let server = Server::http(say("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", Then::Stall));
            scene(patient(&server.url(), scratch), server)
        }},
        // After a 429 the service asks for a longer pause than the jitter may give.
        Place { name: "back-off", outcome: Outcome::Unknown, prepare: |scratch| {
            let server = Server::http(say(http("429 Too Many", "Retry-After: 5\r\n", ""), Then::Keep));
            scene(patient(&server.url(), scratch), server)
        }},
        Place { name: "queue", outcome: Outcome::NotSent, prepare: |scratch| {
            let server = Server::http(say("", Then::Stall));
            Scene { before: |client| {
                let first = Arc::clone(client);
                let thread = thread::spawn(move || {
                    let options = CallOptions { timeout: Some(Duration::from_millis(400)), ..CallOptions::default() };
                    let _ = first.add_lists("alice", &["Family"], &[], &options);
                });
                thread::sleep(Duration::from_millis(50));
                Some(thread)
            }, ..scene(patient(&server.url(), scratch), server) }
        }},
        Place { name: "quota", outcome: Outcome::NotSent, prepare: |scratch| {
            let server = Server::http(say(ok(), Then::Keep));
            let mut config = patient(&server.url(), scratch);
            config.set_quota(1).unwrap();
            // The first slot is taken at once, the next comes after more than a second.
            Scene { before: |client| {
                client.delete_lists("bob", &["Family"], &CallOptions::default()).unwrap();
                None
            }, ..scene(config, server) }
        }},
        Place { name: "quota callback", outcome: Outcome::NotSent, prepare: |scratch| {
            let server = Server::http(say(ok(), Then::Keep));
            let mut config = patient(&server.url(), scratch);
            config.set_quota_callback(Some(Arc::new(|_| 50_000)));
            scene(config, server)
        }},
    ]
}

/// Lets a call wait, ends it, and gives how long it took to return; or the error, if
/// the call was caught elsewhere, as happens when the machine is busy.
fn trial(place: &Place, shutdown: bool) -> Result<Duration, Error> {
    let scratch = Scratch::new();
    let scene = (place.prepare)(&scratch);
    let client = Arc::new(Client::new(&scene.config).unwrap());
    let other = (scene.before)(&client);
    let control = Arc::new(Control::default());
    let (sender, receiver) = mpsc::channel();
    let caller = {
        let (client, control, bytes) = (Arc::clone(&client), Arc::clone(&control), scene.body);
        thread::spawn(move || {
            let options = CallOptions { control: Some(control), ..CallOptions::default() };
            let result = if bytes > 0 {
                let body = format!(r#"{{"Filler":"{}"}}"#, "x".repeat(bytes));
                client.request("v4/sns/friend_import", &body, false, &options)
            } else {
                client.delete_lists("alice", &["Family"], &options)
            };
            let _ = sender.send((result, Instant::now()));
        })
    };
    thread::sleep(Duration::from_millis(80));
    assert!(receiver.try_recv().is_err(), "{}: it did not wait", place.name);
    let begin = Instant::now();
    if shutdown {
        client.shutdown()
    } else {
        control.cancel()
    }
    let (result, end) = receiver
        .recv_timeout(10 * BOUND + Duration::from_secs(5))
        .unwrap_or_else(|_| panic!("{}: the call goes on waiting", place.name));
    caller.join().unwrap();
    let error = result.unwrap_err();
    let code = if shutdown { codes::SHUTDOWN } else { codes::CANCELLED };
    assert_eq!(error.code(), code, "{}: {error}", place.name);
    if let Some(other) = other {
        other.join().unwrap();
    }
    if error.outcome() == place.outcome { Ok(end - begin) } else { Err(error) }
}

#[test]
fn every_wait_ends_at_once() {
    let places = places();
    thread::scope(|scope| {
        for place in &places {
            for shutdown in [false, true] {
                scope.spawn(move || {
                    let name = place.name;
                    let (mut times, mut strays) = (Vec::new(), Vec::new());
                    while times.len() < TRIALS {
                        match trial(place, shutdown) {
                            Ok(time) => times.push(time),
                            Err(error) => strays.push(error),
                        }
                        assert!(strays.len() <= TRIALS / 2, "{name}: {strays:?}");
                    }
                    let worst = *times.iter().max().unwrap();
                    let median = median(times);
                    assert!(
                        median <= BOUND,
                        "{name}, shutdown {shutdown}: median {median:?}, worst {worst:?}"
                    );
                    assert!(worst <= 10 * BOUND, "{name}, shutdown {shutdown}: worst {worst:?}");
                });
            }
        }
    });
}

/// The deadline of the call, when no limit of a phase or an attempt comes first.
#[test]
fn every_wait_ends_at_the_deadline() {
    const TIMEOUT: Duration = Duration::from_millis(300);
    let places = places();
    thread::scope(|scope| {
        for place in &places {
            scope.spawn(move || {
                let name = place.name;
                // Where waiting is of no use, nobody waits.
                let (code, waits) = match name {
                    "back-off" => (codes::HTTP_STATUS, false),
                    "quota" | "quota callback" => (codes::QUOTA, false),
                    _ => (codes::DEADLINE, true),
                };
                let late: Vec<_> = (0..TRIALS / 2)
                    .map(|_| {
                        let scratch = Scratch::new();
                        let scene = (place.prepare)(&scratch);
                        let client = Arc::new(Client::new(&scene.config).unwrap());
                        let other = (scene.before)(&client);
                        let options = CallOptions { timeout: Some(TIMEOUT), ..CallOptions::default() };
                        let begin = Instant::now();
                        let error = if scene.body > 0 {
                            let body = format!(r#"{{"Filler":"{}"}}"#, "x".repeat(scene.body));
                            client.request("v4/sns/friend_import", &body, false, &options)
                        } else {
                            client.delete_lists("alice", &["Family"], &options)
                        }
                        .unwrap_err();
                        let took = begin.elapsed();
                        assert_eq!(error.code(), code, "{name}: {error}");
                        assert!(!waits || took >= TIMEOUT, "{name}: {took:?}");
                        if let Some(other) = other {
                            other.join().unwrap();
                        }
                        took.saturating_sub(TIMEOUT)
                    })
                    .collect();
                let worst = *late.iter().max().unwrap();
                let median = median(late);
                assert!(median <= LATE && worst <= 10 * LATE, "{name}: median {median:?}, worst {worst:?}");
            });
        }
    });
}

#[test]
fn a_shut_down_client_stays_so_and_a_cancelled_control_too() {
    let scratch = Scratch::new();
    let server = Server::http(say(ok(), Then::Keep));
    let client = client(&server.url(), &scratch);
    let control = Arc::new(Control::default());
    let options = CallOptions { control: Some(Arc::clone(&control)), ..CallOptions::default() };
    control.cancel();
    for _ in 0..2 {
        let error = client.delete_lists("alice", &["Family"], &options).unwrap_err();
        assert_eq!((error.code(), error.outcome()), (codes::CANCELLED, Outcome::NotSent));
    }
    control.reset();
    client.delete_lists("alice", &["Family"], &options).unwrap();
    client.shutdown();
    client.shutdown();
    let error = client.delete_lists("alice", &["Family"], &options).unwrap_err();
    assert_eq!((error.code(), error.outcome()), (codes::SHUTDOWN, Outcome::NotSent));
    assert_eq!(server.seen().len(), 1);
}

/// The server answers each request with the number in it, slowly; a call that was
/// cancelled must not leave its reply to another.
#[test]
fn no_call_reads_the_reply_of_a_cancelled_one() {
    let scratch = Scratch::new();
    let server = Server::http(act(|peer| {
        let Some(seen) = peer.request() else { return Then::Close };
        let number =
            seen.body.split("From_Account\":\"").nth(1).unwrap_or("").split('"').next().unwrap().to_owned();
        thread::sleep(Duration::from_micros(u64::from(seen.body.len() as u32 % 7) * 700));
        let body = format!(r#"{{"ActionStatus":"OK","ErrorCode":0,"CurrentSequence":{number}}}"#);
        peer.send(&http("200 OK", "", &body));
        Then::Keep
    }));
    let mut config = config(&server.url(), &scratch);
    config.set_quota(1_000_000).unwrap();
    let client = Client::new(&config).unwrap();
    let (done, wrong) = (AtomicU64::new(0), AtomicU64::new(0));
    let cancelled = AtomicU64::new(0);
    thread::scope(|scope| {
        for worker in 0..8_u64 {
            let (client, done, wrong, cancelled) = (&client, &done, &wrong, &cancelled);
            scope.spawn(move || {
                for round in 0..60_u64 {
                    let number = worker * 1_000 + round;
                    let control = Arc::new(Control::default());
                    let options =
                        CallOptions { control: Some(Arc::clone(&control)), ..CallOptions::default() };
                    let canceller = (round % 2 == 0).then(|| {
                        thread::spawn(move || {
                            thread::sleep(Duration::from_micros((number * 37) % 14_000));
                            control.cancel();
                        })
                    });
                    match client.delete_lists(&number.to_string(), &["x"], &options) {
                        Ok(response) => {
                            done.fetch_add(1, Ordering::Relaxed);
                            if response.sequence != Some(number) {
                                wrong.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                        Err(error) => {
                            assert!(round % 2 == 0, "not cancelled, yet {error}");
                            assert_eq!(error.code(), codes::CANCELLED, "{error}");
                            cancelled.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    if let Some(canceller) = canceller {
                        canceller.join().unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(wrong.into_inner(), 0, "replies of other calls");
    assert!(done.into_inner() >= 240);
    let cancelled = cancelled.into_inner();
    assert!(cancelled >= 20, "hardly a cancel came in time to matter");
    assert!(cancelled <= 200, "hardly a cancel came late: {cancelled}");
    // Each cancel costs the connection it hit, and a late one costs none.
    assert_eq!(stat(&client, "retries", "stale_connection"), 0, "{}", client.stats());
    let opened = stat(&client, "connections", "opened");
    assert!(opened <= 8 + cancelled, "{opened} connections for {cancelled} cancelled calls");
}

/// A member of a merged delete that cancels does not disturb the others.
#[test]
fn cancelling_one_of_many_in_one_request_spares_the_others() {
    let scratch = Scratch::new();
    let server = Server::http(act(|peer| match peer.request() {
        Some(_) => {
            thread::sleep(Duration::from_millis(300));
            peer.send(&ok());
            Then::Keep
        }
        None => Then::Close,
    }));
    let client = client(&server.url(), &scratch);
    let barrier = Barrier::new(9);
    let control = Arc::new(Control::default());
    let results: Vec<Result<(), Error>> = thread::scope(|scope| {
        let calls: Vec<_> = (0..8)
            .map(|number| {
                let (client, barrier, control) = (&client, &barrier, Arc::clone(&control));
                scope.spawn(move || {
                    barrier.wait();
                    // The first one leads; number 4 comes last, rides along and leaves.
                    let comes = match number {
                        0 => 0,
                        4 => 120,
                        _ => 50,
                    };
                    thread::sleep(Duration::from_millis(comes));
                    let control = (number == 4).then_some(control);
                    let options = CallOptions { control, ..CallOptions::default() };
                    client.delete_lists("alice", &[&format!("list{number}")], &options).map(drop)
                })
            })
            .collect();
        barrier.wait();
        // While the second request, which carries all the others, is under way.
        thread::sleep(Duration::from_millis(450));
        control.cancel();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    for (number, result) in results.iter().enumerate() {
        match result {
            Err(error) if number == 4 => {
                assert_eq!((error.code(), error.outcome()), (codes::CANCELLED, Outcome::Unknown), "{error}");
            }
            result => assert!(number != 4 && result.is_ok(), "{number}: {result:?}"),
        }
    }
    assert_eq!(server.seen().len(), 2);
}

/// A flood of signals neither shortens nor stretches anything.
#[test]
fn a_thousand_signals_a_second_change_nothing() {
    static SEEN: AtomicU64 = AtomicU64::new(0);
    extern "C" fn count(_: libc::c_int) {
        SEEN.fetch_add(1, Ordering::Relaxed);
    }
    let scratch = Scratch::new();
    let good = Server::http(say(ok(), Then::Keep));
    let mute = Server::http(say("", Then::Stall));
    let stop = AtomicBool::new(false);
    // SAFETY: the handler touches one atomic alone. No SA_RESTART, so that every
    // system call is interrupted.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = count as extern "C" fn(libc::c_int) as usize;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()), 0);
    }
    thread::scope(|scope| {
        let stop = &stop;
        // SAFETY: the thread that calls; it outlives the storm.
        let target = unsafe { libc::pthread_self() };
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                // SAFETY: the thread is alive, as it joins this one at the end of the scope.
                unsafe { libc::pthread_kill(target, libc::SIGUSR1) };
                thread::sleep(Duration::from_millis(1));
            }
        });
        let client = client(&good.url(), &scratch);
        for _ in 0..50 {
            client.delete_lists("alice", &["Family"], &CallOptions::default()).unwrap();
        }
        let client = support::client(&mute.url(), &scratch);
        let begin = Instant::now();
        let error = client.delete_lists("alice", &["Family"], &CallOptions::default()).unwrap_err();
        let took = begin.elapsed();
        stop.store(true, Ordering::Relaxed);
        assert_eq!((error.code(), error.attempts()), (codes::DEADLINE, 3), "{error}");
        let floor = Duration::from_millis(u64::from(ATTEMPT_MS) * 3);
        assert!(took >= floor && took < floor + Duration::from_millis(200) + 2 * LATE, "{took:?}");
    });
    assert!(SEEN.load(Ordering::Relaxed) > 200, "the storm was a breeze");
}
