//! The client: one call from its arguments to its answer.
//!
//! Deletes, adds and gets differ in what they send and in what a refusal means,
//! nothing else. How one request is sent, and how often, is `attempt.rs`; what is
//! particular to deletes is `delete.rs`.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

use rustls::RootCertStore;
use serde_json::value::RawValue;

use crate::attempt::{Fixed, Success, Tally};
use crate::call::{CallOptions, Control, Running, Stop};
use crate::config::{Config, LogLevel};
use crate::credentials::Credentials;
use crate::error::{Error, Outcome, Result};
use crate::hosts::Hosts;
use crate::lists::{self, Response};
use crate::lock::lock;
use crate::pace::Pacer;
use crate::per_process::PerProcess;
use crate::queue::{AccountQueue, Entered};
#[cfg(feature = "redis")]
use crate::redis_pace::RedisPacer;
use crate::retry::{Budget, Random};
use crate::stats::{Count, Stats};
use crate::tls;
use crate::transport::{HttpTransport, Transport};

const GROUP_ADD: &str = "v4/sns/group_add";
pub(crate) const GROUP_GET: &str = "v4/sns/group_get";
/// Commands of `v4/sns` that change nothing; all others wait for their turn.
const SNS_READS: &[&str] =
    &["friend_get", "friend_get_list", "friend_check", "group_get", "black_list_get", "black_list_check"];
/// The longest body of a request.
const REQUEST_BYTES: usize = 1024 * 1024;

/// A client of the service. Use one from as many threads as you like.
pub struct Client {
    config: Arc<Config>,
    roots: Arc<RootCertStore>,
    shutdown: Arc<AtomicBool>,
    inner: PerProcess<Inner>,
    /// In place of the network, for tests.
    transport: Option<Arc<dyn Transport>>,
}

/// What each process has of its own.
pub(crate) struct Inner {
    pub config: Arc<Config>,
    shutdown: Arc<AtomicBool>,
    pub credentials: Credentials,
    pub hosts: Hosts,
    pub transport: Arc<dyn Transport>,
    pub pacers: RwLock<BTreeMap<String, Arc<Pacer>>>,
    #[cfg(feature = "redis")]
    pub redis_pacers: Mutex<BTreeMap<String, Arc<RedisPacer>>>,
    pub queue: AccountQueue,
    pub budget: Budget,
    pub random: Random,
    pub stats: Arc<Stats>,
    running: Mutex<Vec<Arc<Control>>>,
}

impl Client {
    /// Makes a client. Copies the configuration; connects nowhere yet.
    pub fn new(config: &Config) -> Result<Client> {
        config.primary()?;
        Ok(Client {
            roots: tls::roots(&config.trust)?,
            config: Arc::new(config.clone()),
            shutdown: Arc::default(),
            inner: PerProcess::new(),
            transport: None,
        })
    }

    #[cfg(test)]
    pub(crate) fn with_transport(config: &Config, transport: Arc<dyn Transport>) -> Client {
        Client { transport: Some(transport), ..Client::new(config).expect("a test's configuration") }
    }

    fn inner(&self) -> &Arc<Inner> {
        self.inner.get(|| {
            let stats = Arc::<Stats>::default();
            let primary = self.config.primary().expect("checked by Client::new").clone();
            let hosts: Vec<_> = std::iter::once(primary).chain(self.config.backup.clone()).collect();
            let transport = self.transport.clone().unwrap_or_else(|| {
                let tls = tls::client_config(Arc::clone(&self.roots));
                Arc::new(HttpTransport::new(&self.config, &hosts, tls, Arc::clone(&stats)))
            });
            Inner {
                credentials: Credentials::new(&self.config, Arc::clone(&stats))
                    .expect("checked by Config::new"),
                config: Arc::clone(&self.config),
                shutdown: Arc::clone(&self.shutdown),
                hosts: Hosts::new(hosts.len() > 1),
                transport,
                pacers: RwLock::default(),
                #[cfg(feature = "redis")]
                redis_pacers: Mutex::default(),
                queue: AccountQueue::new(),
                budget: Budget::default(),
                random: Random::new(),
                stats,
                running: Mutex::default(),
            }
        })
    }

    /// Deletes friend lists of an account (`v4/sns/group_delete`). The friends in
    /// them stay friends. 1 to 32 names of 1 to 30 bytes.
    pub fn delete_lists(&self, account: &str, names: &[&str], options: &CallOptions) -> Result<Response> {
        lists::check_delete(account, names)?;
        let inner = self.inner();
        inner.run(options, |running| inner.delete(account, names, options.ignore_missing, running))
    }

    /// Creates friend lists and puts friends into every one of them
    /// (`v4/sns/group_add`). Up to 1000 friends, who must be friends already.
    pub fn add_lists(
        &self,
        account: &str,
        names: &[&str],
        friends: &[&str],
        options: &CallOptions,
    ) -> Result<Response> {
        let body = lists::add_body(account, names, friends)?;
        let inner = self.inner();
        inner.run(options, |running| {
            let mut tally = Tally::default();
            let reply = inner.write(account, GROUP_ADD, &body, false, running, &mut tally)?;
            reply.into_response(&tally, |items, response| {
                response.friends = lists::items_of(items)?;
                Ok(())
            })
        })
    }

    /// Reads friend lists (`v4/sns/group_get`): the named ones, or all if no name
    /// is given; with their members if asked.
    pub fn get_lists(
        &self,
        account: &str,
        names: &[&str],
        members: bool,
        options: &CallOptions,
    ) -> Result<Response> {
        let body = lists::get_body(account, names, members)?;
        let inner = self.inner();
        inner.run(options, |running| {
            let mut tally = Tally::default();
            let reply = inner.perform(GROUP_GET, &mut Fixed(&body), true, running, &mut tally)?;
            reply.into_response(&tally, |items, response| {
                response.lists = lists::items_of(items)?;
                Ok(())
            })
        })
    }

    /// Any other command, `v4/<service>/<command>`, with a JSON object as body.
    /// `idempotent` allows to repeat it when its outcome is open.
    pub fn request(
        &self,
        command: &str,
        body: &str,
        idempotent: bool,
        options: &CallOptions,
    ) -> Result<Response> {
        let (service, name) = check_command(command)?;
        let account = check_body(body)?;
        let inner = self.inner();
        inner.run(options, |running| {
            let mut tally = Tally::default();
            let reply = match account {
                Some(account) if service == "sns" && !SNS_READS.contains(&name) => {
                    inner.write(&account, command, body.as_bytes(), idempotent, running, &mut tally)?
                }
                _ => inner.perform(command, &mut Fixed(body.as_bytes()), idempotent, running, &mut tally)?,
            };
            reply.into_response(&tally, |_, _| Ok(()))
        })
    }

    /// Ends all calls of this client, now and for good. Idempotent.
    pub fn shutdown(&self) {
        self.shutdown.store(true, Ordering::SeqCst);
        if let Some(inner) = self.inner.existing() {
            for control in lock(&inner.running).iter() {
                control.interrupt(|| ());
            }
        }
    }

    /// Which app it calls.
    pub(crate) fn sdkappid(&self) -> u32 {
        self.config.sdkappid
    }

    /// How many requests had to wait for the pace, and for how many microseconds.
    pub(crate) fn quota_waits(&self) -> (u64, u64) {
        let stats = &self.inner().stats;
        (stats.get(Count::QuotaWaits), stats.get(Count::QuotaWaitedUs))
    }

    /// What this client did so far, as a JSON object.
    pub fn stats(&self) -> String {
        self.inner().stats.to_json()
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("config", &self.config).finish_non_exhaustive()
    }
}

/// `v4/<service>/<command>`, letters, digits and underscores.
fn check_command(command: &str) -> Result<(&str, &str)> {
    let word = |text: &str| {
        !text.is_empty()
            && text.len() <= 64
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    command
        .strip_prefix("v4/")
        .and_then(|rest| rest.split_once('/'))
        .filter(|(service, name)| word(service) && word(name))
        .ok_or_else(|| Error::argument("command", "must be v4/<service>/<command>"))
}

/// A JSON object of bounded size; gives the account it is about, if it names one.
fn check_body(body: &str) -> Result<Option<String>> {
    #[derive(serde::Deserialize)]
    struct About<'a> {
        #[serde(borrow, rename = "From_Account")]
        account: Option<&'a RawValue>,
    }
    if body.len() > REQUEST_BYTES {
        return Err(Error::argument(
            "body",
            format_args!("must be at most {REQUEST_BYTES} bytes, not {}", body.len()),
        ));
    }
    if !body.trim_start().starts_with('{') {
        return Err(Error::argument("body", "must be a JSON object; send {} for nothing"));
    }
    let about: About<'_> = serde_json::from_str(body)
        .map_err(|error| Error::argument("body", format_args!("is not JSON: {error}")))?;
    Ok(about.account.and_then(|account| serde_json::from_str(account.get()).ok()))
}

impl Inner {
    /// A call from its beginning to its end.
    fn run(
        &self,
        options: &CallOptions,
        call: impl FnOnce(&Running) -> Result<Response>,
    ) -> Result<Response> {
        let begin = Instant::now();
        let running = self.begin(options, begin);
        let result = call(&running).map_err(Error::conclude);
        self.end(&running, begin, result.as_ref().err());
        result
    }

    /// Registers a call, so that a shutdown finds it.
    fn begin(&self, options: &CallOptions, now: Instant) -> Running {
        let running = Running {
            control: options.control.clone().unwrap_or_default(),
            shutdown: Arc::clone(&self.shutdown),
            deadline: now + options.timeout.unwrap_or(self.config.timeout),
        };
        lock(&self.running).push(Arc::clone(&running.control));
        running
    }

    /// Counts how a call ended.
    fn end(&self, running: &Running, begin: Instant, error: Option<&Error>) {
        {
            let mut all = lock(&self.running);
            if let Some(index) = all.iter().position(|control| Arc::ptr_eq(control, &running.control)) {
                all.swap_remove(index);
            }
        }
        self.stats.add(Count::Calls);
        self.stats.add(match error.map(Error::outcome) {
            None => Count::OutcomeOk,
            Some(Outcome::NotSent) => Count::OutcomeNotSent,
            Some(Outcome::Rejected) => Count::OutcomeRejected,
            Some(Outcome::Unknown) => Count::OutcomeUnknown,
        });
        self.stats.ended(begin.elapsed());
        if let Some(error) = error {
            self.log(LogLevel::Error, || error.to_string());
        }
    }

    pub(crate) fn log(&self, level: LogLevel, text: impl FnOnce() -> String) {
        if let Some((wanted, sink)) = &self.config.log
            && level <= *wanted
        {
            sink(level, &text());
        }
    }

    /// A write other than a delete: alone, in its turn.
    fn write(
        &self,
        account: &str,
        command: &str,
        body: &[u8],
        idempotent: bool,
        running: &Running,
        tally: &mut Tally,
    ) -> Result<Success> {
        match self.queue.enter(account, None, false, running, || self.stats.add(Count::QueueWaits)) {
            Entered::Turn(_turn) => self.perform(command, &mut Fixed(body), idempotent, running, tally),
            Entered::Stopped(stop, outcome) => Err(self.left_queue(command, stop, outcome)),
            Entered::Served(_) => unreachable!("only deletes are served by others"),
        }
    }

    /// The call ended while it waited in the line of its account.
    pub(crate) fn left_queue(&self, command: &str, stop: Stop, outcome: Outcome) -> Error {
        let text = match stop {
            Stop::Cancelled => "cancelled",
            Stop::Shutdown => "the client was shut down",
            Stop::Deadline => "no time left",
        };
        let waiting = if outcome == Outcome::NotSent {
            "while waiting for another write on the account"
        } else {
            "while another caller's request carried this one"
        };
        let mut error = Error::new(stop.code(), format!("{command}: {text} {waiting}"));
        error.details_mut().outcome = outcome;
        error.details_mut().retryable = stop == Stop::Deadline;
        error
    }
}
