//! Host names to addresses, within a deadline.
//!
//! `getaddrinfo` cannot be cancelled, so it runs on a thread of its own, at most
//! two at a time in a process, and the call waits for it no longer than it may.
//! Answers are kept for a minute, and served for an hour when the name service
//! fails. One look-up serves all calls that want the same name.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::call::{Control, Running, Stop};
use crate::lock::lock;
use crate::per_process::PerProcess;

const FRESH: Duration = Duration::from_secs(60);
const STALE: Duration = Duration::from_secs(3600);
const THREADS: usize = 2;

/// Why a name has no address.
#[derive(Debug)]
pub(crate) enum Unresolved {
    /// The name service said so, or did not answer in time.
    Failed(String),
    /// No thread could be had for asking.
    NoThread(io::Error),
    /// The call ended.
    Stopped(Stop),
}

#[derive(Default)]
struct Resolver {
    names: Mutex<BTreeMap<String, Name>>,
    threads: AtomicUsize,
}

#[derive(Default)]
struct Name {
    known: Option<(Instant, Vec<IpAddr>)>,
    pending: Option<Arc<Lookup>>,
}

#[derive(Default)]
struct Lookup {
    done: AtomicBool,
    answer: Mutex<Option<Result<Vec<IpAddr>, String>>>,
    waiting: Mutex<Vec<Arc<Control>>>,
}

/// One for the process: the limit on threads is the process's.
static RESOLVER: PerProcess<Resolver> = PerProcess::new();

/// The addresses of a host, in the order to try them. `within` bounds the wait
/// for the name service; `running` bounds it too.
pub(crate) fn resolve(host: &str, within: Duration, running: &Running) -> Result<Vec<IpAddr>, Unresolved> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let resolver = RESOLVER.get(Resolver::default);
    if let Some((at, addresses)) = &lock(&resolver.names).entry(host.to_owned()).or_default().known
        && at.elapsed() < FRESH
    {
        return Ok(addresses.clone());
    }
    let begin = Instant::now();
    let answer = look_up(resolver, host, begin + within, running);
    if let Err(Unresolved::Failed(_)) = &answer
        && let Some((at, addresses)) = lock(&resolver.names).get(host).and_then(|name| name.known.as_ref())
        && at.elapsed() < STALE
    {
        return Ok(addresses.clone());
    }
    answer
}

fn look_up(
    resolver: &Arc<Resolver>,
    host: &str,
    until: Instant,
    running: &Running,
) -> Result<Vec<IpAddr>, Unresolved> {
    let lookup = loop {
        let mut names = lock(&resolver.names);
        let name = names.entry(host.to_owned()).or_default();
        if let Some(lookup) = &name.pending {
            break Arc::clone(lookup);
        }
        if resolver.threads.load(Ordering::SeqCst) < THREADS {
            // Counted under the lock, so that the limit holds.
            resolver.threads.fetch_add(1, Ordering::SeqCst);
            let lookup = Arc::<Lookup>::default();
            match spawn(Arc::clone(resolver), Arc::clone(&lookup), host.to_owned()) {
                Ok(()) => {
                    name.pending = Some(Arc::clone(&lookup));
                    break lookup;
                }
                Err(error) => {
                    resolver.threads.fetch_sub(1, Ordering::SeqCst);
                    return Err(Unresolved::NoThread(error));
                }
            }
        }
        drop(names);
        // Both threads are caught in look-ups of other names.
        if Instant::now() >= until {
            return Err(Unresolved::Failed("look-ups of other names have not returned".into()));
        }
        running.sleep_until(Instant::now() + Duration::from_millis(10)).map_err(Unresolved::Stopped)?;
    };
    lock(&lookup.waiting).push(Arc::clone(&running.control));
    running.wait(until, || lookup.done.load(Ordering::SeqCst)).map_err(Unresolved::Stopped)?;
    if !lookup.done.load(Ordering::SeqCst) {
        return Err(Unresolved::Failed("no answer from the name service in time".into()));
    }
    let answer = lock(&lookup.answer).clone().expect("a look-up that is done has an answer");
    answer.map_err(Unresolved::Failed)
}

fn spawn(resolver: Arc<Resolver>, lookup: Arc<Lookup>, host: String) -> io::Result<()> {
    let ask = move || {
        // The port does not matter; the resolver wants one.
        let answer = (host.as_str(), 0)
            .to_socket_addrs()
            .map(|addresses| addresses.map(|address| address.ip()).collect::<Vec<_>>())
            .map_err(|error| error.to_string())
            .and_then(
                |addresses| if addresses.is_empty() { Err("no address".into()) } else { Ok(addresses) },
            );
        {
            let mut names = lock(&resolver.names);
            let name = names.entry(host).or_default();
            name.pending = None;
            if let Ok(addresses) = &answer {
                name.known = Some((Instant::now(), addresses.clone()));
            }
        }
        *lock(&lookup.answer) = Some(answer);
        lookup.done.store(true, Ordering::SeqCst);
        resolver.threads.fetch_sub(1, Ordering::SeqCst);
        for control in lock(&lookup.waiting).drain(..) {
            control.notify();
        }
    };
    thread::Builder::new().name("imgroup-resolve".into()).spawn(ask).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_need_no_look_up_and_localhost_has_one() {
        let running = Running {
            control: Arc::default(),
            shutdown: Arc::default(),
            deadline: Instant::now() + Duration::from_secs(10),
        };
        let within = Duration::from_secs(5);
        assert_eq!(resolve("192.0.2.7", within, &running).unwrap(), ["192.0.2.7".parse::<IpAddr>().unwrap()]);
        assert!(resolve("localhost", within, &running).unwrap().iter().all(IpAddr::is_loopback));
        running.control.cancel();
        let other = resolve("does-not-exist.invalid", within, &running);
        assert!(matches!(other, Err(Unresolved::Stopped(Stop::Cancelled))), "{other:?}");
    }
}
