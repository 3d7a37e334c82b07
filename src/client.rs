//! The client: one call from its arguments to its answer.
//!
//! [`Client::perform`] is the only way a request takes: pace, ticket, attempt,
//! verdict, and whether to try again. Deletes, adds and gets differ in what they
//! send and in what a refusal means, nothing else.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use rustls::RootCertStore;

use crate::call::{CallOptions, Control, Running, Stop};
use crate::codes::{self, Certainty, Class, Retry};
use crate::config::{Config, LogLevel, Quota};
use crate::credentials::{Credentials, Ticket};
use crate::envelope::Envelope;
use crate::error::{Error, Outcome, Result};
use crate::hosts::{BACKUP, Hosts, PRIMARY};
use crate::lists::{self, List, Response};
use crate::pace::{self, Pacer};
use crate::per_process::PerProcess;
use crate::queue::{AccountQueue, Entered, Turn, Waiter};
use crate::retry::{self, Budget, LEAST_TIME, Next, Random, Used};
use crate::stats::{Count, Stats};
use crate::tls;
use crate::transport::{HttpTransport, Lost, Reply, Request, Transport};

const GROUP_DELETE: &str = "v4/sns/group_delete";
const GROUP_ADD: &str = "v4/sns/group_add";
const GROUP_GET: &str = "v4/sns/group_get";
/// Commands of `v4/sns` that change nothing; all others wait for their turn.
const SNS_READS: &[&str] =
    &["friend_get", "friend_get_list", "friend_check", "group_get", "black_list_get", "black_list_check"];
/// The longest body of a request.
const REQUEST_BYTES: usize = 1024 * 1024;
/// A clock that differs by more explains a refused ticket.
const CLOCK_ERROR_S: i64 = 60;

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
struct Inner {
    config: Arc<Config>,
    shutdown: Arc<AtomicBool>,
    credentials: Credentials,
    hosts: Hosts,
    transport: Arc<dyn Transport>,
    pacers: RwLock<HashMap<String, Arc<Pacer>>>,
    queue: AccountQueue,
    budget: Budget,
    random: Random,
    stats: Arc<Stats>,
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
            reply.into_response(&tally, |envelope, response| {
                response.friends = lists::friends_of(envelope)?;
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
            reply.into_response(&tally, |envelope, response| {
                response.lists = lists::lists_of(envelope)?;
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
    struct About {
        #[serde(rename = "From_Account", default)]
        account: Option<serde_json::Value>,
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
    let about: About = serde_json::from_str(body)
        .map_err(|error| Error::argument("body", format_args!("is not JSON: {error}")))?;
    Ok(about.account.and_then(|account| account.as_str().map(str::to_owned)))
}

/// What a call has done so far.
#[derive(Clone, Copy, Debug)]
struct Tally {
    attempts: u32,
    outcome: Outcome,
    /// The call ended for a reason of its own (deadline, cancel), so that another
    /// caller may well go on.
    personal: bool,
}

impl Default for Tally {
    fn default() -> Self {
        Tally { attempts: 0, outcome: Outcome::NotSent, personal: false }
    }
}

/// A success, not looked into.
struct Success {
    body: Vec<u8>,
}

impl Success {
    fn into_response(
        self,
        tally: &Tally,
        fill: impl FnOnce(&Envelope<'_>, &mut Response) -> Result<(), String>,
    ) -> Result<Response> {
        let mut response = Response {
            attempts: tally.attempts,
            was_ambiguous: tally.outcome == Outcome::Unknown,
            ..Response::default()
        };
        let filled = Envelope::parse(&self.body).and_then(|envelope| {
            response.sequence = envelope.sequence;
            fill(&envelope, &mut response)
        });
        if let Err(reason) = filled {
            // It was applied, but what it says cannot be told.
            let mut error =
                Error::new(codes::BAD_REPLY, format!("the reply could not be understood: {reason}"));
            error.details_mut().attempts = tally.attempts;
            error.details_mut().outcome = Outcome::Unknown;
            return Err(error);
        }
        response.body = self.body;
        Ok(response)
    }
}

/// What is sent. The body is asked for when the request is about to leave.
trait Payload {
    fn body(&mut self) -> &[u8];
    /// What may have become of it by now.
    fn outcome(&mut self, _: Outcome) {}
}

struct Fixed<'a>(&'a [u8]);

impl Payload for Fixed<'_> {
    fn body(&mut self) -> &[u8] {
        self.0
    }
}

/// A delete that takes along those waiting behind it.
struct Merged<'a> {
    turn: &'a Turn<'a>,
    account: &'a str,
    own: &'a [&'a str],
    riders: Vec<Arc<Waiter>>,
    /// What had become of each rider's names before it rode along.
    before: Vec<Outcome>,
    names: Vec<String>,
    body: Vec<u8>,
}

impl Payload for Merged<'_> {
    fn body(&mut self) -> &[u8] {
        if self.body.is_empty() {
            self.riders = self.turn.gather(self.own);
            self.before = self.riders.iter().map(|rider| rider.outcome()).collect();
            self.names = self.own.iter().map(|name| (*name).to_owned()).collect();
            for name in self.riders.iter().flat_map(|rider| rider.names()) {
                if !self.names.contains(name) {
                    self.names.push(name.clone());
                }
            }
            self.body = lists::delete_body(self.account, &refs(&self.names));
        }
        &self.body
    }

    fn outcome(&mut self, outcome: Outcome) {
        for (rider, before) in self.riders.iter().zip(&self.before) {
            rider.set_outcome(outcome.max(*before));
        }
    }
}

fn refs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// A failed attempt.
struct Failed {
    code: i32,
    class: Class,
    text: String,
    display: String,
    http_status: u16,
    outcome: Outcome,
    retry: Retry,
    stale: bool,
    unreachable: bool,
    stopped: Option<Stop>,
    /// How long the service wants us to wait (HTTP 429 and 503).
    retry_after: Option<Duration>,
    clock_error_s: i64,
}

impl Failed {
    fn new(code: i32, text: String, outcome: Outcome, retry: Retry) -> Failed {
        Failed {
            code,
            class: codes::class(code),
            text,
            display: String::new(),
            http_status: 0,
            outcome,
            retry,
            stale: false,
            unreachable: false,
            stopped: None,
            retry_after: None,
            clock_error_s: 0,
        }
    }

    fn of_lost(lost: Lost) -> Failed {
        let outcome = if lost.sent { Outcome::Unknown } else { Outcome::NotSent };
        let retry = if !lost.sent && lost.retry == Retry::Ambiguous { Retry::NotSent } else { lost.retry };
        Failed {
            stale: lost.stale,
            unreachable: lost.unreachable,
            stopped: lost.stopped,
            ..Failed::new(lost.code, lost.message, outcome, retry)
        }
    }

    /// The verdict on a reply.
    fn of_reply(reply: &Reply, ticket: &Ticket, key: &str) -> Option<Failed> {
        let status = reply.status;
        if !(200..300).contains(&status) {
            let retry = match status {
                408 | 500 | 502 | 503 | 504 => Retry::Ambiguous,
                429 => Retry::Throttled,
                _ => Retry::Never,
            };
            let mut failed =
                Failed::new(codes::HTTP_STATUS, format!("HTTP status {status}"), Outcome::Unknown, retry);
            failed.http_status = status;
            match status {
                429 => failed.class = Class::Throttled,
                401 | 403 | 407 => failed.class = Class::Auth,
                _ => {}
            }
            if matches!(status, 429 | 503) {
                failed.retry_after = retry_after(reply);
            }
            return Some(failed);
        }
        let envelope = match Envelope::parse(&reply.body) {
            Ok(envelope) if envelope.code == codes::OK => return None,
            Ok(envelope) => envelope,
            Err(reason) => {
                let text = format!("the reply could not be understood: {reason}");
                let mut failed = Failed::new(codes::BAD_REPLY, text, Outcome::Unknown, Retry::Ambiguous);
                failed.http_status = status;
                return Some(failed);
            }
        };
        let code = envelope.code;
        let outcome = match codes::certainty(code) {
            Certainty::Definite => Outcome::Rejected,
            Certainty::Ambiguous => Outcome::Unknown,
        };
        let mut text = codes::lookup(code).map_or("a code nobody documented", |code| code.meaning).to_owned();
        let info = scrub(envelope.info(), ticket, key);
        if !info.is_empty() && info != "0" {
            let _ = write!(text, "; the service says: {info}");
        }
        let mut failed = Failed::new(code, text, outcome, codes::retry(code));
        failed.display = scrub(envelope.display(), ticket, key);
        failed.http_status = status;
        if failed.class == Class::Auth {
            failed.clock_error_s = clock_error_s(reply);
            if failed.clock_error_s.abs() > CLOCK_ERROR_S {
                let (amount, side) = (
                    failed.clock_error_s.abs(),
                    if failed.clock_error_s > 0 { "behind" } else { "ahead of" },
                );
                let _ = write!(failed.text, "; the local clock is {amount} s {side} the service's");
            }
        }
        Some(failed)
    }
}

/// Takes secrets that a server may have put into its texts out again.
fn scrub(mut text: String, ticket: &Ticket, key: &str) -> String {
    const LONGEST: usize = 512;
    let usersig =
        ticket.query.split("usersig=").nth(1).and_then(|rest| rest.split('&').next()).unwrap_or_default();
    for (secret, instead) in [(usersig, "<usersig>"), (key, "<secret key>")] {
        if !secret.is_empty() && text.contains(secret) {
            text = text.replace(secret, instead);
        }
    }
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// How far the service's clock is ahead of ours, 0 if its reply does not tell.
fn clock_error_s(reply: &Reply) -> i64 {
    let Some(date) = header_date(reply, "date") else { return 0 };
    match date.duration_since(SystemTime::now()) {
        Ok(ahead) => ahead.as_secs() as i64,
        Err(behind) => -(behind.duration().as_secs() as i64),
    }
}

fn header_date(reply: &Reply, name: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(reply.headers.get(name)?.to_str().ok()?).ok()
}

fn retry_after(reply: &Reply) -> Option<Duration> {
    let text = reply.headers.get("retry-after")?.to_str().ok()?;
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let sent = header_date(reply, "date").unwrap_or_else(SystemTime::now);
            httpdate::parse_http_date(text).ok()?.duration_since(sent).ok()
        }
    }
}

impl Inner {
    /// Registers the call, so that a shutdown finds it, and counts how it ended.
    fn run(
        &self,
        options: &CallOptions,
        call: impl FnOnce(&Running) -> Result<Response>,
    ) -> Result<Response> {
        let begin = Instant::now();
        let running = Running {
            control: options.control.clone().unwrap_or_default(),
            shutdown: Arc::clone(&self.shutdown),
            deadline: begin + options.timeout.unwrap_or(self.config.timeout),
        };
        lock(&self.running).push(Arc::clone(&running.control));
        let result = call(&running);
        {
            let mut all = lock(&self.running);
            if let Some(index) = all.iter().position(|control| Arc::ptr_eq(control, &running.control)) {
                all.swap_remove(index);
            }
        }
        self.stats.add(Count::Calls);
        self.stats.add(match result.as_ref().map_err(Error::outcome) {
            Ok(_) => Count::OutcomeOk,
            Err(Outcome::NotSent) => Count::OutcomeNotSent,
            Err(Outcome::Rejected) => Count::OutcomeRejected,
            Err(Outcome::Unknown) => Count::OutcomeUnknown,
        });
        self.stats.ended(begin.elapsed());
        if let Err(error) = &result {
            self.log(LogLevel::Error, || error.to_string());
        }
        result
    }

    fn log(&self, level: LogLevel, text: impl FnOnce() -> String) {
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

    fn left_queue(&self, command: &str, stop: Stop, outcome: Outcome) -> Error {
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

    fn delete(
        &self,
        account: &str,
        names: &[&str],
        ignore_missing: bool,
        running: &Running,
    ) -> Result<Response> {
        let waits = || self.stats.add(Count::QueueWaits);
        match self.queue.enter(account, Some(names), ignore_missing, running, waits) {
            Entered::Turn(turn) => self.lead(&turn, account, names, ignore_missing, running),
            Entered::Served(result) => {
                self.stats.add(Count::MergedDeletes);
                result
            }
            Entered::Stopped(stop, outcome) => Err(self.left_queue(GROUP_DELETE, stop, outcome)),
        }
    }

    /// Sends a delete for this caller and for those it takes along.
    fn lead(
        &self,
        turn: &Turn<'_>,
        account: &str,
        own: &[&str],
        ignore_missing: bool,
        running: &Running,
    ) -> Result<Response> {
        let mut tally = Tally::default();
        if let Some(waiter) = &turn.own {
            tally.outcome = waiter.outcome();
        }
        let mut merged = Merged {
            turn,
            account,
            own,
            riders: Vec::new(),
            before: Vec::new(),
            names: Vec::new(),
            body: Vec::new(),
        };
        let result = self.perform(GROUP_DELETE, &mut merged, true, running, &mut tally);
        let Merged { riders, names, .. } = merged;
        if tally.personal {
            turn.hand_back(riders);
            return result.and_then(|reply| reply.into_response(&tally, |_, _| Ok(())));
        }
        match result {
            Ok(reply) => {
                turn.removed(&refs(&names));
                let result = reply.into_response(&tally, |_, _| Ok(()));
                for rider in &riders {
                    rider.serve(for_rider(rider, result.clone()));
                }
                result
            }
            Err(error) if means_missing(&error) => {
                let own = Member { names: own, ignore_missing, tally, waiter: turn.own.as_deref() };
                self.settle_missing(turn, account, own, riders, error, running)
            }
            Err(error) => {
                for rider in &riders {
                    rider.serve(for_rider(rider, Err(error.clone())));
                }
                Err(error)
            }
        }
    }

    /// The service says that something is not there, without saying what. Who may
    /// take that for done, and what is still to be deleted, is found by reading.
    fn settle_missing(
        &self,
        turn: &Turn<'_>,
        account: &str,
        own: Member<'_>,
        riders: Vec<Arc<Waiter>>,
        error: Error,
        running: &Running,
    ) -> Result<Response> {
        let mut tally = own.tally;
        let forgiven = |names: &[&str], ignore: bool, outcome: Outcome, waiter: Option<&Waiter>| {
            ignore
                || outcome == Outcome::Unknown
                || waiter.is_some_and(|waiter| names.iter().any(|name| waiter.saw_removed(name)))
        };
        let alone = riders.is_empty();
        if alone && !forgiven(own.names, own.ignore_missing, tally.outcome, own.waiter) {
            return Err(error);
        }
        self.stats.add(Count::MissingListReads);
        let body = lists::get_body(account, &[], false).expect("the account was checked");
        let read = self.perform(GROUP_GET, &mut Fixed(&body), true, running, &mut Tally::default()).and_then(
            |reply| {
                reply.into_response(&Tally::default(), |envelope, response| {
                    response.lists = lists::lists_of(envelope)?;
                    Ok(())
                })
            },
        );
        let read = match read {
            Ok(read) => read,
            Err(reason) => {
                for rider in &riders {
                    let names = refs(rider.names());
                    let open = forgiven(&names, rider.ignore_missing, rider.outcome(), Some(rider));
                    rider.serve(Err(unread(&error, &reason, open)));
                }
                let open = forgiven(own.names, own.ignore_missing, tally.outcome, own.waiter);
                return Err(unread(&error, &reason, open));
            }
        };
        let exists = |name: &str| read.lists.iter().any(|list: &List| list.name == name);
        // Whoever names a list that is not there gets the service's own answer to
        // that, unless he has reason to find it gone.
        let settled = |names: &[&str], ignore: bool, outcome: Outcome, waiter: Option<&Waiter>| {
            ignore
                || outcome == Outcome::Unknown
                || names
                    .iter()
                    .all(|name| exists(name) || waiter.is_some_and(|waiter| waiter.saw_removed(name)))
        };
        let own_settled = settled(own.names, own.ignore_missing, tally.outcome, own.waiter);
        let (together, apart): (Vec<_>, Vec<_>) = riders.into_iter().partition(|rider| {
            settled(&refs(rider.names()), rider.ignore_missing, rider.outcome(), Some(rider))
        });
        let mut left: Vec<String> = Vec::new();
        let own_names =
            own_settled.then(|| own.names.iter().map(|name| (*name).to_owned())).into_iter().flatten();
        let their_names = together.iter().flat_map(|rider| rider.names().iter().cloned());
        for name in own_names.chain(their_names) {
            if exists(&name) && !left.contains(&name) {
                left.push(name);
            }
        }
        let gone = Response {
            attempts: tally.attempts,
            was_ambiguous: tally.outcome == Outcome::Unknown,
            lists: Vec::new(),
            ..read.clone()
        };
        let joint = if left.is_empty() {
            Ok(gone)
        } else {
            let body = lists::delete_body(account, &refs(&left));
            self.perform(GROUP_DELETE, &mut Fixed(&body), true, running, &mut tally)
                .and_then(|reply| reply.into_response(&tally, |_, _| Ok(())))
        };
        if joint.is_ok() {
            turn.removed(&refs(&left));
        }
        if tally.personal {
            turn.hand_back(together.into_iter().chain(apart).collect());
            return joint;
        }
        for rider in &together {
            rider.serve(for_rider(rider, joint.clone()));
        }
        for (index, rider) in apart.iter().enumerate() {
            let mut tally = Tally { outcome: rider.outcome(), ..Tally::default() };
            let result = self.alone(account, &refs(rider.names()), running, &mut tally);
            if tally.personal {
                turn.hand_back(apart[index..].to_vec());
                break;
            }
            rider.serve(result);
        }
        if own_settled {
            return joint;
        }
        // Alone from the start: the first answer was this caller's own.
        if alone {
            return Err(error);
        }
        self.alone(account, own.names, running, &mut tally)
    }

    fn alone(&self, account: &str, names: &[&str], running: &Running, tally: &mut Tally) -> Result<Response> {
        let body = lists::delete_body(account, names);
        self.perform(GROUP_DELETE, &mut Fixed(&body), true, running, tally)?
            .into_response(tally, |_, _| Ok(()))
    }

    /// One request, tried as often as the policy allows.
    fn perform(
        &self,
        command: &str,
        payload: &mut dyn Payload,
        idempotent: bool,
        running: &Running,
        tally: &mut Tally,
    ) -> Result<Success> {
        let mut used = Used::default();
        let mut held = 0;
        let mut failed_over = None;
        loop {
            if let Some(error) = self.credentials.fatal() {
                return Err(self.answered_locally(command, error, tally));
            }
            if let Err(stop) = running.remaining() {
                return Err(self.stopped(command, stop, "before the request was sent", tally));
            }
            self.wait_for_quota(command, running, tally)?;
            let ticket = self.credentials.ticket();
            let random = self.random.next_u32();
            let host = failed_over.take().unwrap_or_else(|| self.hosts.choose(Instant::now()));
            let mut target = String::with_capacity(command.len() + ticket.query.len() + 40);
            let _ = write!(target, "/{command}?{}{random}&contenttype=json", ticket.query);
            let attempt = running.until(Instant::now() + self.config.attempt_timeout);
            let before = tally.outcome;
            payload.body();
            tally.attempts += 1;
            self.stats.add(Count::Attempts);
            payload.outcome(Outcome::Unknown);
            let request = Request { host, target: &target, body: payload.body() };
            let exchanged = self.transport.exchange(&request, &attempt);
            let failed = match exchanged {
                Ok(reply) => {
                    self.hosts.report(host, true, Instant::now());
                    match Failed::of_reply(&reply, &ticket, &self.config.secret_key) {
                        None => {
                            payload.outcome(before);
                            self.budget.give_back(held);
                            self.log(LogLevel::Debug, || {
                                format!(
                                    "{command}: attempt {} at {}: success (random {random})",
                                    tally.attempts,
                                    self.host(host)
                                )
                            });
                            return Ok(Success { body: reply.body });
                        }
                        Some(failed) => failed,
                    }
                }
                Err(lost) => {
                    let failed = Failed::of_lost(lost);
                    if failed.stopped.is_none_or(|stop| stop == Stop::Deadline) {
                        self.hosts.report(host, !failed.unreachable, Instant::now());
                    }
                    failed
                }
            };
            tally.outcome = before.max(failed.outcome);
            payload.outcome(tally.outcome);
            self.log(LogLevel::Debug, || {
                format!(
                    "{command}: attempt {} at {}: {} {} (random {random})",
                    tally.attempts,
                    self.host(host),
                    codes::name(failed.code),
                    failed.text
                )
            });
            let so_far = *tally;
            let error = |text: &str| self.failure(command, &failed, text, host, random, &so_far);
            if failed.stopped.is_some()
                && let Err(stop) = running.remaining()
            {
                let mut error = error("");
                error.details_mut().code = stop.code();
                error.details_mut().class = codes::class(stop.code());
                tally.personal = true;
                return Err(error);
            }
            match failed.retry {
                Retry::Throttled => {
                    self.stats.add(Count::Throttled);
                    if let Some(pacer) = self.pacer(command) {
                        pacer.lower();
                    }
                    self.log(LogLevel::Warning, || {
                        format!("{command}: throttled by the service; the pace is lowered")
                    });
                }
                Retry::Ticket if !used.ticket => {
                    let ahead = failed.clock_error_s;
                    self.credentials.replace(&ticket, if ahead.abs() > CLOCK_ERROR_S { ahead } else { 0 });
                    self.log(LogLevel::Info, || {
                        "the service refused the UserSig as expired; signed anew".into()
                    });
                }
                Retry::Fatal => {
                    let error = error("");
                    self.credentials.set_fatal(&error);
                    return Err(error);
                }
                _ => {}
            }
            // The other host may do better, at once, and be it for a wrong certificate.
            if failed.unreachable
                && host == PRIMARY
                && self.hosts.has_backup()
                && used.attempts + 1 < self.config.max_attempts
            {
                used.attempts += 1;
                failed_over = Some(BACKUP);
                self.stats.add(Count::Failovers);
                self.log(LogLevel::Warning, || {
                    format!(
                        "{} cannot be used ({}); trying {}",
                        self.host(PRIMARY),
                        failed.text,
                        self.host(BACKUP)
                    )
                });
                continue;
            }
            let pause = match retry::next(
                failed.retry,
                idempotent,
                failed.stale,
                self.config.max_attempts,
                &mut used,
            ) {
                Next::GiveUp => return Err(error("")),
                Next::Uncounted => {
                    self.stats.add(if failed.stale { Count::RetriesStale } else { Count::RetriesTicket });
                    continue;
                }
                Next::After(pause) => self.random.part_of(pause),
            };
            let pause = match failed.retry_after {
                Some(asked) => pause.max(asked.min(pause + Duration::from_secs(5))),
                None => pause,
            };
            let wake = Instant::now() + pause;
            if wake + LEAST_TIME > running.deadline {
                tally.personal = true;
                return Err(error("no time left for another attempt"));
            }
            let Some(cost) = self.budget.take(failed.retry) else {
                self.stats.add(Count::RetriesSuppressed);
                return Err(error("not tried again: too many retries lately"));
            };
            held += cost;
            self.stats.add(match failed.retry {
                Retry::Conflict => Count::RetriesConflict,
                Retry::Throttled => Count::RetriesThrottled,
                Retry::Ambiguous => Count::RetriesAmbiguous,
                _ => Count::RetriesNotSent,
            });
            if let Err(stop) = running.sleep_until(wake) {
                let mut error = error("ended in the pause before the next attempt");
                error.details_mut().code = stop.code();
                error.details_mut().class = codes::class(stop.code());
                tally.personal = true;
                return Err(error);
            }
        }
    }

    /// Waits for a slot of the quota; fails if none can be had.
    fn wait_for_quota(&self, command: &str, running: &Running, tally: &mut Tally) -> Result<()> {
        let name = command.rsplit('/').next().unwrap_or(command);
        let refused = |tally: &mut Tally, text: &str| {
            self.stats.add(Count::QuotaRefusals);
            tally.personal = true;
            let mut error = Error::new(codes::QUOTA, format!("{command}: {text}"));
            let details = error.details_mut();
            (details.attempts, details.outcome, details.retryable) = (tally.attempts, tally.outcome, true);
            error
        };
        let waited = match &self.config.quota {
            Quota::Callback(source) => match u64::try_from(source(name)) {
                Err(_) => return Err(refused(tally, "refused by the quota callback")),
                Ok(0) => Ok(Some(Duration::ZERO)),
                Ok(ms) => {
                    let wait = Duration::from_millis(ms);
                    if Instant::now() + wait > running.deadline {
                        return Err(refused(tally, "the quota callback asks to wait beyond the deadline"));
                    }
                    running.sleep_until(Instant::now() + wait).map(|()| Some(wait))
                }
            },
            Quota::Machine | Quota::Redis(_) => {
                let limit = match self.config.quota_per_second {
                    0 => pace::documented_limit(name),
                    set => set,
                };
                let pacer = self.pacer(command).expect("only a callback has no pacer");
                pacer.acquire(running, f64::from(limit) * self.config.quota_share)
            }
        };
        match waited {
            Ok(Some(Duration::ZERO)) => Ok(()),
            Ok(Some(waited)) => {
                self.stats.add(Count::QuotaWaits);
                self.stats.add_many(Count::QuotaWaitedUs, waited.as_micros() as u64);
                Ok(())
            }
            Ok(None) => Err(refused(tally, "no quota slot comes before the deadline")),
            Err(stop) => Err(self.stopped(command, stop, "while waiting for a quota slot", tally)),
        }
    }

    fn pacer(&self, command: &str) -> Option<Arc<Pacer>> {
        if matches!(self.config.quota, Quota::Callback(_)) {
            return None;
        }
        if let Some(pacer) = self.pacers.read().unwrap_or_else(PoisonError::into_inner).get(command) {
            return Some(Arc::clone(pacer));
        }
        let primary = self.config.primary().expect("checked by Client::new");
        let (pacer, problem) =
            pace::pacer(&self.config.quota_directory, primary, self.config.sdkappid, command);
        if let Some(problem) = problem {
            self.log(LogLevel::Warning, || {
                let directory = self.config.quota_directory.display();
                format!("{command}: the pace is this process's own, {directory} cannot be used: {problem}")
            });
        }
        self.pacers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(command.to_owned(), Arc::clone(&pacer));
        Some(pacer)
    }

    fn host(&self, host: usize) -> String {
        let endpoint = if host == PRIMARY { &self.config.primary } else { &self.config.backup };
        endpoint.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    fn failure(
        &self,
        command: &str,
        failed: &Failed,
        remark: &str,
        host: usize,
        random: u32,
        tally: &Tally,
    ) -> Error {
        let host = self.host(host);
        let mut message = format!("{command}: {}", failed.text);
        if !remark.is_empty() {
            let _ = write!(message, "; {remark}");
        }
        if let Some(code) = codes::lookup(failed.code).filter(|_| failed.stopped.is_none()) {
            let _ = write!(message, "; {}", code.advice);
        }
        let _ = write!(
            message,
            " (attempts {}, host {host}, random {random}, outcome {})",
            tally.attempts,
            tally.outcome.name()
        );
        let mut error = Error::new(failed.code, message);
        let details = error.details_mut();
        details.class = failed.class;
        details.display.clone_from(&failed.display);
        details.http_status = failed.http_status;
        details.attempts = tally.attempts;
        details.host = host;
        details.random = Some(random);
        details.retryable = !matches!(failed.retry, Retry::Never | Retry::Fatal)
            && !matches!(failed.stopped, Some(Stop::Cancelled | Stop::Shutdown));
        details.outcome = tally.outcome;
        error
    }

    fn stopped(&self, command: &str, stop: Stop, place: &str, tally: &mut Tally) -> Error {
        tally.personal = true;
        let text = match stop {
            Stop::Cancelled => "cancelled",
            Stop::Shutdown => "the client was shut down",
            Stop::Deadline => "no time left",
        };
        let mut error = Error::new(
            stop.code(),
            format!(
                "{command}: {text} {place} (attempts {}, outcome {})",
                tally.attempts,
                tally.outcome.name()
            ),
        );
        let details = error.details_mut();
        (details.attempts, details.outcome) = (tally.attempts, tally.outcome);
        details.retryable = stop == Stop::Deadline;
        error
    }

    fn answered_locally(&self, command: &str, mut error: Error, tally: &Tally) -> Error {
        self.stats.add(Count::LocalRefusals);
        let details = error.details_mut();
        details.message = format!(
            "{command}: answered locally, as the service refused these credentials less than a minute ago: {}",
            details.message
        );
        (details.attempts, details.outcome) = (tally.attempts, tally.outcome);
        error
    }
}

/// This caller in a merged delete.
struct Member<'a> {
    names: &'a [&'a str],
    ignore_missing: bool,
    tally: Tally,
    waiter: Option<&'a Waiter>,
}

fn means_missing(error: &Error) -> bool {
    matches!(error.code(), codes::INVALID_PARAMETERS | codes::LIST_NOT_FOUND)
}

/// A rider's own view of the joint result: what happened to its names before counts too.
fn for_rider(rider: &Waiter, mut result: Result<Response>) -> Result<Response> {
    let before = rider.outcome();
    match &mut result {
        Ok(response) => response.was_ambiguous |= before == Outcome::Unknown,
        Err(error) => {
            let details = error.details_mut();
            details.outcome = details.outcome.max(before);
        }
    }
    result
}

/// Whether a list is gone could not be read.
fn unread(error: &Error, reason: &Error, open: bool) -> Error {
    let mut error = error.clone();
    let details = error.details_mut();
    let _ = write!(details.message, "; whether the lists are gone could not be read: {}", reason.message());
    if open {
        details.outcome = Outcome::Unknown;
    }
    error
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
