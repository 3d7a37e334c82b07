//! Running a job: threads that take requests, send them and write down how each
//! ended, and the caller's own thread, which watches over them.
//!
//! A request ends a row only when the service answered, or when it failed again and
//! again while others were answered. What the network or the pace kept back is sent
//! again later, so that an outage costs time and no rows.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::group::{Spool, Unit};
use super::journal::{End, Ended, Ends, Header, Journal, Record, storage};
use super::report::Totals;
use super::results::{Found, Results};
use super::schedule::{Next, Pending, Schedule};
use super::{CONNECTIONS, Command, Job, Settings};
use crate::call::{CallOptions, Control};
use crate::client::Client;
use crate::codes::{self, Class, Retry};
use crate::error::{Error, Outcome, Result};
use crate::lock::lock;

/// How often the watching thread looks around.
const TICK: Duration = Duration::from_millis(50);
/// How often finished records are brought to the disk, and progress is told.
const GROUP: Duration = Duration::from_millis(100);
/// How many connections a run begins with.
const FIRST: u32 = 4;
/// A request that failed so often while the service answered others has ended.
const ROUNDS: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);
/// So many failures in a row to reach the service are an outage.
const OUTAGE_FROM: u32 = 3;
/// Between requests while the service cannot be reached, at most.
const OUTAGE_PAUSE: Duration = Duration::from_secs(2);
/// A job that never reached the service gives up after this.
const FIRST_CONTACT: Duration = Duration::from_secs(5);
/// Failures say nothing before so many rows have ended.
const FAILURES_FROM: u64 = 1000;

/// How far a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows to do; 0 while the input is being read.
    pub rows: u64,
    /// Rows that ended well: deleted, or read by an export.
    pub done: u64,
    /// Rows whose list was gone already, as a read showed.
    pub already_gone: u64,
    /// Rows that were refused.
    pub failed: u64,
    /// Rows that may have been applied.
    pub unknown: u64,
    /// Rows of these that earlier runs had ended.
    pub resumed: u64,
    /// Requests this run sent, repeats included.
    pub requests: u64,
    /// Connections in use.
    pub connections: u64,
    /// Milliseconds that requests of this run waited for the pace, all added.
    pub waited_ms: u64,
    /// Milliseconds since this run began.
    pub elapsed_ms: u64,
}

impl Progress {
    /// Rows that have ended.
    pub fn ended(&self) -> u64 {
        self.done + self.already_gone + self.failed + self.unknown
    }
}

/// What other threads see of a job, and ask of it.
#[derive(Debug, Default)]
pub(super) struct State {
    counts: [AtomicU64; 8],
    begun: Mutex<Option<Instant>>,
    elapsed_ms: AtomicU64,
    request: AtomicU8,
    /// Those of the calls under way.
    controls: Mutex<Vec<Arc<Control>>>,
}

/// Places in [`State::counts`].
#[derive(Clone, Copy)]
enum Counter {
    Rows,
    Done,
    AlreadyGone,
    Failed,
    Unknown,
    Resumed,
    Requests,
    WaitedMs,
}

const PAUSED: u8 = 1;
const CANCELLED: u8 = 2;

impl State {
    fn add(&self, counter: Counter, amount: u64) {
        self.counts[counter as usize].fetch_add(amount, Relaxed);
    }

    fn get(&self, counter: Counter) -> u64 {
        self.counts[counter as usize].load(Relaxed)
    }

    pub fn pause(&self) {
        self.request.fetch_max(PAUSED, Relaxed);
    }

    pub fn cancel(&self) {
        let controls = lock(&self.controls);
        self.request.store(CANCELLED, Relaxed);
        controls.iter().for_each(|control| control.cancel());
    }

    /// A run begins: everything is counted anew.
    pub fn begin(&self) {
        self.counts.iter().for_each(|count| count.store(0, Relaxed));
        *lock(&self.begun) = Some(Instant::now());
    }

    /// The run has ended, whatever was asked of it.
    pub fn forget_request(&self) {
        lock(&self.controls).clear();
        self.request.store(0, Relaxed);
        if let Some(begun) = lock(&self.begun).take() {
            self.elapsed_ms.store(begun.elapsed().as_millis() as u64, Relaxed);
        }
    }

    /// Whether somebody asked to stop.
    pub fn check_request(&self) -> Result<()> {
        match self.asked() {
            None => Ok(()),
            Some(stop) => Err(stop.error),
        }
    }

    fn asked(&self) -> Option<Stop> {
        match self.request.load(Relaxed) {
            0 => None,
            PAUSED => Some(Stop::new("pause", codes::JOB_STOPPED, "the job was paused")),
            _ => Some(Stop::new("cancel", codes::CANCELLED, "the job was cancelled")),
        }
    }

    pub fn progress(&self) -> Progress {
        let elapsed_ms = match *lock(&self.begun) {
            Some(begun) => begun.elapsed().as_millis() as u64,
            None => self.elapsed_ms.load(Relaxed),
        };
        Progress {
            rows: self.get(Counter::Rows),
            done: self.get(Counter::Done),
            already_gone: self.get(Counter::AlreadyGone),
            failed: self.get(Counter::Failed),
            unknown: self.get(Counter::Unknown),
            resumed: self.get(Counter::Resumed),
            requests: self.get(Counter::Requests),
            connections: lock(&self.controls).len() as u64,
            waited_ms: self.get(Counter::WaitedMs),
            elapsed_ms,
        }
    }

    /// Counts the rows of a request that ended; gives how many of them ended badly.
    fn count(&self, unit: &Unit, ended: Ended) -> u64 {
        match ended {
            Ended::Done { gone } => {
                self.add(Counter::Done, u64::from(unit.account_rows.0));
                for (index, (_, rows, _)) in unit.lists.iter().enumerate() {
                    let counter = if gone >> index & 1 == 1 { Counter::AlreadyGone } else { Counter::Done };
                    self.add(counter, u64::from(*rows));
                }
                0
            }
            Ended::Failed => {
                self.add(Counter::Failed, unit.rows());
                unit.rows()
            }
            Ended::Unknown => {
                self.add(Counter::Unknown, unit.rows());
                unit.rows()
            }
        }
    }
}

/// Why a run stopped before the end.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    /// One word: `pause`, `cancel`, `credentials`, `unreachable`, `failures`,
    /// `max_deletes`, `journal`, `spool`, `threads` or `shutdown`.
    pub reason: &'static str,
    pub error: Error,
}

impl Stop {
    fn new(reason: &'static str, code: i32, text: &str) -> Stop {
        Stop { reason, error: Error::new(code, format!("{text}; run it again to go on")) }
    }

    fn by(reason: &'static str, error: Error) -> Stop {
        Stop { reason, error }
    }
}

/// What the threads of a run share.
pub(super) struct Engine<'a> {
    client: &'a Client,
    command: Command,
    settings: &'a Settings,
    state: &'a State,
    header: &'a Header,
    journal_path: &'a std::path::Path,
    results_path: std::path::PathBuf,
    flow: Mutex<Flow>,
    changed: Condvar,
    journal: Mutex<Journal>,
    results: Mutex<Results>,
}

/// What decides on the next request.
struct Flow {
    schedule: Schedule,
    spool: Spool,
    ends: Ends,
    stop: Option<Stop>,
    /// Rows whose delete was begun, in this run or before.
    begun_rows: u64,
    ended_rows: u64,
    bad_rows: u64,
    /// Requests that a killed run had in flight; they are sent again.
    repeated: Vec<Unit>,
    health: Health,
}

/// Whether the service answers.
#[derive(Default)]
struct Health {
    answered: bool,
    /// How many answers there were.
    answers: u64,
    /// Since when, and how often, it could not be reached, and why.
    failing: Option<(Instant, u32, Error)>,
    /// Nothing is sent before.
    hold: Option<Instant>,
}

/// What becomes of a request after a call.
enum Verdict {
    Ended(Ended, i32),
    /// To be sent again; whether the service answered.
    Later {
        answered: bool,
    },
    Stop(&'static str),
}

impl<'a> Engine<'a> {
    pub fn new(
        job: &'a Job,
        header: &'a Header,
        journal: Journal,
        ends: Ends,
        spool: Spool,
    ) -> Result<Engine<'a>> {
        job.state.add(Counter::Rows, header.rows);
        let results_path = job.beside(".results");
        Ok(Engine {
            client: &job.client,
            command: job.command,
            settings: &job.settings,
            state: &job.state,
            header,
            journal_path: &job.journal,
            results: Mutex::new(Results::open(&results_path)?),
            results_path,
            flow: Mutex::new(Flow {
                schedule: Schedule::default(),
                spool,
                ends,
                stop: None,
                begun_rows: 0,
                ended_rows: 0,
                bad_rows: 0,
                repeated: Vec::new(),
                health: Health::default(),
            }),
            changed: Condvar::new(),
            journal: Mutex::new(journal),
        })
    }

    /// Works until nothing is left or something stops it.
    pub fn run(self, progress: &mut dyn FnMut(&Progress)) -> (Option<Stop>, Result<Totals>) {
        thread::scope(|scope| {
            let _stop = StopOnPanic(&self);
            let most = match self.settings.connections {
                0 => CONNECTIONS,
                set => set,
            };
            let mut workers: Vec<thread::ScopedJoinHandle<'_, ()>> = Vec::new();
            let mut wanted = FIRST.min(most);
            let waits_before = self.client.quota_waits();
            let (mut last_waits, mut last_requests) = (waits_before.0, 0);
            let (mut last_group, mut last_sample) = (Instant::now(), None);
            loop {
                while workers.len() < wanted as usize {
                    match self.employ(scope) {
                        Ok(worker) => workers.push(worker),
                        Err(error) if workers.is_empty() => {
                            let text = format!("no thread can be had: {error}");
                            self.stop(Stop::by("threads", Error::new(codes::RESOURCE, text)));
                            break;
                        }
                        Err(_) => wanted = workers.len() as u32,
                    }
                }
                if let Some(stop) = self.state.asked() {
                    self.stop(stop);
                }
                self.look_for_outage();
                let waits = self.client.quota_waits();
                let waited_ms = waits.1.saturating_sub(waits_before.1) / 1000;
                self.state.counts[Counter::WaitedMs as usize].store(waited_ms, Relaxed);
                if last_group.elapsed() >= GROUP {
                    last_group = Instant::now();
                    self.sync();
                    self.sample(&mut last_sample, false);
                    progress(&self.state.progress());
                    // Nobody waited for the pace, though all were at work: more
                    // connections are what is missing.
                    let requests = self.state.get(Counter::Requests);
                    let all_busy = lock(&self.flow).schedule.in_flight() >= workers.len();
                    if waits.0 == last_waits && requests > last_requests && all_busy {
                        wanted = (wanted + wanted.div_ceil(2)).min(most);
                    }
                    (last_waits, last_requests) = (waits.0, requests);
                }
                if workers.iter().all(thread::ScopedJoinHandle::is_finished) {
                    break;
                }
                let flow = lock(&self.flow);
                drop(self.changed.wait_timeout(flow, TICK).unwrap_or_else(PoisonError::into_inner));
            }
            for worker in workers {
                // One that panicked has stopped the job.
                let _ = worker.join();
            }
            let mut last = None;
            self.sample(&mut last, true);
            self.sync();
            progress(&self.state.progress());
        });
        let mut flow = self.flow.into_inner().unwrap_or_else(PoisonError::into_inner);
        flow.ends.settle();
        let progress = self.state.progress();
        let totals =
            Totals::new(self.header, progress, &flow.ends, &flow.repeated, &flow.stop, &self.results_path);
        (flow.stop, totals)
    }

    fn employ<'scope>(
        &'scope self,
        scope: &'scope thread::Scope<'scope, '_>,
    ) -> std::io::Result<thread::ScopedJoinHandle<'scope, ()>> {
        let control = Arc::<Control>::default();
        {
            let mut controls = lock(&self.state.controls);
            if self.state.request.load(Relaxed) == CANCELLED {
                control.cancel();
            }
            controls.push(Arc::clone(&control));
        }
        let worker = thread::Builder::new().name("imgroup-job".into());
        let spawned = worker.spawn_scoped(scope, move || {
            let _stop = StopOnPanic(self);
            self.work(&control);
        });
        if spawned.is_err() {
            lock(&self.state.controls).pop();
        }
        spawned
    }

    /// One thread: a request after the other.
    fn work(&self, control: &Arc<Control>) {
        let options = CallOptions {
            ignore_missing: true,
            control: Some(Arc::clone(control)),
            ..CallOptions::default()
        };
        while let Some(mut pending) = self.take() {
            let unit = &pending.unit;
            if let Err(error) = lock(&self.journal).append(Record::Start { unit: unit.number }) {
                self.stop(Stop::by("journal", storage(self.journal_path, "be written", &error)));
                lock(&self.flow).schedule.release(&pending.unit.account);
                break;
            }
            let (attempts, result) = self.call(unit, &options);
            self.state.add(Counter::Requests, u64::from(attempts));
            pending.attempts += attempts;
            if let Err(error) = &result {
                pending.outcome = pending.outcome.max(error.outcome());
            }
            self.settle(pending, result);
        }
        self.changed.notify_all();
    }

    /// Sends a request. Gives the mask of lists that were gone already, and what an
    /// export found.
    fn call(&self, unit: &Unit, options: &CallOptions) -> (u32, Result<(u32, Option<Found>)>) {
        let result = match self.command {
            Command::Delete => {
                let names: Vec<&str> = unit.lists.iter().map(|list| list.0.as_str()).collect();
                self.client.delete_lists(&unit.account, &names, options)
            }
            Command::Export => self.client.get_lists(&unit.account, &[], false, options),
        };
        match result {
            Err(error) => (error.attempts(), Err(error)),
            Ok(response) => {
                let is_gone = |name: &String| response.already_gone.contains(name);
                let all = unit.lists.iter().all(|list| is_gone(&list.0)) && !unit.lists.is_empty();
                let gone = match all {
                    true => u32::MAX,
                    false => (0..)
                        .zip(&unit.lists)
                        .fold(0, |mask, (index, list)| mask | u32::from(is_gone(&list.0)) << index),
                };
                let found = (self.command == Command::Export).then(|| Found::read(unit, &response.lists));
                (response.attempts, Ok((gone, found)))
            }
        }
    }

    /// Waits for a request that may be sent; `None` when there is none, or the run
    /// stops.
    fn take(&self) -> Option<Pending> {
        let mut flow = lock(&self.flow);
        loop {
            if flow.stop.is_none()
                && let Some(stop) = self.state.asked()
            {
                flow.stop = Some(stop);
            }
            if flow.stop.is_some() {
                return None;
            }
            let now = Instant::now();
            let next = match flow.health.may_send(now) {
                Some(later) => Ok(Next::At(later)),
                None => self.next(&mut flow, now),
            };
            let wait = match next {
                Ok(Next::Send(pending)) => return Some(pending),
                Ok(Next::End) => {
                    self.changed.notify_all();
                    return None;
                }
                Ok(Next::At(at)) => at.saturating_duration_since(now).min(TICK),
                Ok(Next::Blocked) => TICK,
                Err(error) => {
                    flow.stop = Some(Stop::by("spool", error));
                    return None;
                }
            };
            flow = self.changed.wait_timeout(flow, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn next(&self, flow: &mut Flow, now: Instant) -> Result<Next> {
        let Flow { schedule, spool, ends, begun_rows, repeated, stop, .. } = flow;
        let limit = match self.command {
            Command::Delete => self.settings.max_deletes,
            Command::Export => u64::MAX,
        };
        let next = schedule.next(now, || {
            while let Some(unit) = spool.next()? {
                if let Some(ended) = ends.of(unit.number) {
                    let bad = self.state.count(&unit, ended);
                    self.state.add(Counter::Resumed, unit.rows());
                    *begun_rows += unit.rows() - bad;
                    continue;
                }
                if ends.open.contains(&unit.number) {
                    repeated.push(unit.clone());
                }
                *begun_rows += unit.rows();
                if *begun_rows > limit {
                    *stop = Some(Stop::new(
                        "max_deletes",
                        codes::JOB_STOPPED,
                        &format!("stopped before more than {limit} rows were deleted"),
                    ));
                    return Ok(None);
                }
                return Ok(Some(unit));
            }
            Ok(None)
        })?;
        Ok(match (next, &stop) {
            (Next::Send(pending), _) => Next::Send(pending),
            (_, Some(_)) => Next::End,
            (next, None) => next,
        })
    }

    /// Writes down how a request ended, or puts it back.
    fn settle(&self, pending: Pending, result: Result<(u32, Option<Found>)>) {
        let verdict = match &result {
            Ok((gone, _)) => Verdict::Ended(Ended::Done { gone: *gone }, *gone as i32),
            Err(error) => self.judge(&pending, error),
        };
        let unit = &pending.unit;
        match verdict {
            Verdict::Ended(ended, code) => {
                let found = match &result {
                    Ok((_, found)) => found.clone(),
                    Err(error) => Some(Found::failed(unit, error, pending.outcome)),
                };
                let end = match ended {
                    Ended::Done { .. } => End::Done,
                    Ended::Failed => End::Failed,
                    Ended::Unknown => End::Unknown,
                };
                let attempts = pending.attempts.min(u32::from(u16::MAX)) as u16;
                let record = Record::Done { unit: unit.number, end, attempts, code };
                let written =
                    found.map_or(Ok(()), |found| lock(&self.results).append(&found)).and_then(|()| {
                        lock(&self.journal)
                            .append(record)
                            .map_err(|error| storage(self.journal_path, "be written", &error))
                    });
                let mut flow = lock(&self.flow);
                flow.schedule.release(&unit.account);
                match written {
                    // Not written down, so it will be sent again.
                    Err(error) => flow.stop = Some(Stop::by("journal", error)),
                    Ok(()) => {
                        let bad = self.state.count(unit, ended);
                        flow.ends.apply(record);
                        flow.ended_rows += unit.rows();
                        flow.bad_rows += bad;
                        let (ended, bad) = (flow.ended_rows, flow.bad_rows);
                        if ended >= FAILURES_FROM && bad as f64 > ended as f64 * self.settings.max_failures {
                            let text = format!("{bad} of {ended} rows failed");
                            flow.stop.get_or_insert(Stop::new("failures", codes::JOB_STOPPED, &text));
                        }
                        if result.is_ok() || pending.outcome != Outcome::NotSent {
                            flow.health.answer();
                        }
                    }
                }
            }
            Verdict::Later { answered } => {
                let error = result.expect_err("only a failure is sent again");
                let mut flow = lock(&self.flow);
                let now = Instant::now();
                match answered {
                    true => flow.health.answer(),
                    false => flow.health.fail(error, now),
                }
                // An outage is nobody's fault; a failure among answers to others is.
                let counts = answered || flow.health.answers > pending.answers;
                let pause = PAUSE * 2u32.pow(pending.rounds);
                let rounds = pending.rounds + u32::from(counts);
                let answers = flow.health.answers;
                flow.schedule.again(Pending { rounds, answers, ..pending }, now + pause);
            }
            Verdict::Stop(reason) => {
                let error = result.expect_err("only a failure stops a job");
                let mut flow = lock(&self.flow);
                flow.schedule.release(&unit.account);
                flow.stop.get_or_insert(Stop::by(reason, error));
            }
        }
        self.changed.notify_all();
    }

    /// What a failure means for its rows, and for the job.
    fn judge(&self, pending: &Pending, error: &Error) -> Verdict {
        match codes::retry(error.code()) {
            Retry::Fatal | Retry::Ticket => return Verdict::Stop("credentials"),
            _ if error.code() == codes::SHUTDOWN => return Verdict::Stop("shutdown"),
            _ if error.code() == codes::CANCELLED => return Verdict::Stop("cancel"),
            _ => {}
        }
        let transient = error.is_retryable()
            || matches!(error.class(), Class::Network | Class::Deadline | Class::Throttled)
            || error.code() == codes::RESOURCE;
        // A positive code or a status is an answer; so is a reply that makes no sense.
        let answered = error.code() > 0 || error.http_status() != 0 || error.code() == codes::BAD_REPLY;
        if transient && pending.rounds < ROUNDS {
            return Verdict::Later { answered };
        }
        let ended = match pending.outcome {
            Outcome::Unknown => Ended::Unknown,
            _ => Ended::Failed,
        };
        Verdict::Ended(ended, error.code())
    }

    fn stop(&self, stop: Stop) {
        lock(&self.flow).stop.get_or_insert(stop);
        self.changed.notify_all();
    }

    fn look_for_outage(&self) {
        let give_up = Duration::from_millis(u64::from(self.settings.give_up_ms));
        let mut flow = lock(&self.flow);
        let Some((since, _, error)) = &flow.health.failing else { return };
        let bound = if flow.health.answered { give_up } else { give_up.min(FIRST_CONTACT) };
        if since.elapsed() >= bound {
            let stop = Stop::by("unreachable", error.clone());
            flow.stop.get_or_insert(stop);
            drop(flow);
            self.changed.notify_all();
        }
    }

    /// Brings the journal to the disk, for all that were waiting at once.
    fn sync(&self) {
        let file = lock(&self.journal).take_unsynced();
        if let Err(error) = file.and_then(|file| file.map_or(Ok(()), |file| file.sync_data())) {
            lock(&self.journal).fail();
            self.stop(Stop::by("journal", storage(self.journal_path, "be brought to the disk", &error)));
        }
    }

    /// Notes once a second how far the job is.
    fn sample(&self, last: &mut Option<u32>, now: bool) {
        let elapsed_s = (crate::usersig::now_s() as u64).saturating_sub(self.header.created_s) as u32;
        if now || *last != Some(elapsed_s) {
            *last = Some(elapsed_s);
            let rows = u32::try_from(self.state.progress().ended()).unwrap_or(u32::MAX);
            let record = Record::Sample { elapsed_s, rows };
            // A journal that takes nothing more stops the job by the next request.
            if lock(&self.journal).append(record).is_ok() {
                lock(&self.flow).ends.apply(record);
            }
        }
    }
}

impl Health {
    fn answer(&mut self) {
        self.answered = true;
        self.answers += 1;
        self.failing = None;
        self.hold = None;
    }

    fn fail(&mut self, error: Error, now: Instant) {
        let (since, times) = self.failing.as_ref().map_or((now, 0), |(since, times, _)| (*since, *times));
        self.failing = Some((since, times + 1, error));
        self.hold = (times >= OUTAGE_FROM).then(|| now + self.pause());
    }

    fn pause(&self) -> Duration {
        let times = self.failing.as_ref().map_or(0, |failing| failing.1);
        (Duration::from_millis(100) * times).min(OUTAGE_PAUSE)
    }

    /// In an outage one request after the other looks whether it is over; gives the
    /// time before which no other may.
    fn may_send(&mut self, now: Instant) -> Option<Instant> {
        let hold = self.hold?;
        if hold > now {
            return Some(hold);
        }
        self.hold = Some(now + self.pause());
        None
    }
}

/// A thread that panics must not leave the others waiting for it.
struct StopOnPanic<'a, 'b>(&'a Engine<'b>);

impl Drop for StopOnPanic<'_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop(Stop::new("threads", codes::PANIC, "a thread of the job panicked"));
        }
    }
}
