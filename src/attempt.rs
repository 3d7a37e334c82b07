//! One request, from the moment it may leave to its answer or its last failure.
//!
//! [`Inner::perform`] is the only way a request takes: pace, ticket, attempt,
//! verdict, and whether to try again.

#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::call::{Running, Stop};
use crate::client::Inner;
use crate::codes::{self, Retry};
#[cfg(feature = "redis")]
use crate::config::Config;
use crate::config::{LogLevel, Quota};
use crate::credentials::Ticket;
use crate::envelope::NO_ITEMS;
use crate::error::{Error, Outcome, Result};
use crate::hosts::{BACKUP, PRIMARY};
use crate::lists::Response;
#[cfg(feature = "redis")]
use crate::lock::lock;
use crate::pace::{self, Pacer};
#[cfg(feature = "redis")]
use crate::redis_pace::{Event, RedisPacer, Server};
use crate::retry::{self, LEAST_TIME, Next, Used};
use crate::stats::Count;
use crate::transport::Request;
use crate::verdict::{CLOCK_ERROR_S, Failed};

/// What a call has done so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally {
    pub attempts: u32,
    pub outcome: Outcome,
    /// The call ended for a reason of its own (deadline, cancel), so that another
    /// caller may well go on.
    pub personal: bool,
}

impl Default for Tally {
    fn default() -> Self {
        Tally { attempts: 0, outcome: Outcome::NotSent, personal: false }
    }
}

/// A success, its items not looked into.
pub(crate) struct Success {
    body: Vec<u8>,
    sequence: Option<u64>,
    /// Where in the body `ResultItem` stands.
    items: Option<Range<usize>>,
}

impl Success {
    /// What the caller gets; `fill` takes from the items what is particular to a command.
    pub fn into_response(
        self,
        tally: &Tally,
        fill: impl FnOnce(&[u8], &mut Response) -> Result<(), String>,
    ) -> Result<Response> {
        let mut response = Response {
            attempts: tally.attempts,
            was_ambiguous: tally.outcome == Outcome::Unknown,
            sequence: self.sequence,
            ..Response::default()
        };
        let items = self.items.map_or(NO_ITEMS, |range| &self.body[range]);
        if let Err(reason) = fill(items, &mut response) {
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

/// What is sent.
pub(crate) trait Payload {
    /// The body of the attempt that is about to leave.
    fn prepare(&mut self) -> &[u8];
    /// The attempt failed, and what may have become of it.
    fn failed(&mut self, _: Outcome) {}
}

/// The same body in every attempt.
pub(crate) struct Fixed<'a>(pub &'a [u8]);

impl Payload for Fixed<'_> {
    fn prepare(&mut self) -> &[u8] {
        self.0
    }
}

/// What the attempts of one request have used up.
#[derive(Default)]
struct Course {
    used: Used,
    /// Taken from the retry budget; a success gives it back.
    held: u32,
    /// The host the next attempt must take.
    host: Option<usize>,
}

/// What follows a failed attempt.
enum Step {
    Again,
    At(Instant),
    GiveUp(&'static str),
    /// Only this caller has to give up: there is no time left.
    Leave(&'static str),
}

impl Inner {
    /// Sends one request, as often as the policy allows.
    pub(crate) fn perform(
        &self,
        command: &str,
        payload: &mut dyn Payload,
        idempotent: bool,
        running: &Running,
        tally: &mut Tally,
    ) -> Result<Success> {
        let mut course = Course::default();
        let mut last = None;
        loop {
            let ticket = match self.admit(command, running, tally) {
                Ok(ticket) => ticket,
                Err(error) => return Err(self.after_failure(error, last.as_deref())),
            };
            let failed = match self.attempt(command, payload, &ticket, &mut course, running, tally) {
                Ok(success) => {
                    self.budget.give_back(course.held);
                    return Ok(success);
                }
                Err(failed) => failed,
            };
            let ended = failed.stopped.and_then(|_| running.remaining().err());
            if let Some(stop) = ended {
                return Err(self.ended(command, stop, &failed, "", tally));
            }
            let wake = match self.next_step(command, &failed, idempotent, running, &mut course) {
                Step::Again => {
                    last = Some(failed);
                    continue;
                }
                Step::At(wake) => wake,
                Step::GiveUp(remark) => return Err(self.failure(command, &failed, remark, tally)),
                Step::Leave(remark) => {
                    tally.personal = true;
                    return Err(self.failure(command, &failed, remark, tally));
                }
            };
            if let Err(stop) = running.sleep_until(wake) {
                let remark = "ended in the pause before the next attempt";
                return Err(self.ended(command, stop, &failed, remark, tally));
            }
            last = Some(failed);
        }
    }

    /// What has to be there before a request may leave: credentials that are not
    /// known to be refused, time, a ticket, and a slot of the quota. The slot comes
    /// last, as the request shall leave when its time has come and not much later.
    fn admit(&self, command: &str, running: &Running, tally: &mut Tally) -> Result<Arc<Ticket>> {
        if let Some(error) = self.credentials.fatal() {
            return Err(self.answered_locally(command, error, tally));
        }
        if let Err(stop) = running.remaining() {
            return Err(self.stopped(command, stop, "before the request was sent", tally));
        }
        let ticket = self.credentials.ticket();
        self.wait_for_quota(command, running, tally)?;
        Ok(ticket)
    }

    /// One attempt, with a `random` of its own.
    fn attempt(
        &self,
        command: &str,
        payload: &mut dyn Payload,
        ticket: &Arc<Ticket>,
        course: &mut Course,
        running: &Running,
        tally: &mut Tally,
    ) -> Result<Success, Box<Failed>> {
        let random = self.random.next_u32();
        let now = Instant::now();
        let host = course.host.take().unwrap_or_else(|| self.hosts.choose(now));
        let mut target = String::with_capacity(command.len() + ticket.query.len() + 40);
        for part in ["/", command, "?", &ticket.query] {
            target.push_str(part);
        }
        let _ = write!(target, "{random}&contenttype=json");
        let within = running.until(now + self.config.attempt_timeout);
        tally.attempts += 1;
        self.stats.add(Count::Attempts);
        let request = Request { host, target, body: payload.prepare() };
        let mut failed = match self.transport.exchange(request, &within) {
            Ok(reply) => {
                self.hosts.report(host, true, Instant::now());
                match Failed::of_reply(&reply, ticket, &self.config.secret_key) {
                    Ok(envelope) => {
                        self.log_attempt(command, tally, host, random, "success", "");
                        let (sequence, items) = (envelope.sequence, envelope.items());
                        return Ok(Success { body: reply.body, sequence, items });
                    }
                    Err(failed) => failed,
                }
            }
            Err(lost) => {
                let failed = Failed::of_lost(lost);
                // Nothing is learned of the host from a call that ran out of time itself.
                if running.remaining().is_ok() && failed.code != codes::RESOURCE {
                    self.hosts.report(host, !failed.unreachable, Instant::now());
                }
                failed
            }
        };
        (failed.host, failed.random) = (host, random);
        tally.outcome = tally.outcome.max(failed.outcome);
        payload.failed(failed.outcome);
        self.log_attempt(command, tally, host, random, codes::name(failed.code), &failed.text);
        self.learn(command, &failed, ticket, course);
        Err(Box::new(failed))
    }

    /// What a failure says about more than its own request.
    fn learn(&self, command: &str, failed: &Failed, ticket: &Arc<Ticket>, course: &Course) {
        match failed.retry {
            Retry::Throttled => {
                self.stats.add(Count::Throttled);
                self.lower_pace(command);
                self.log(LogLevel::Warning, || {
                    format!("{command}: throttled by the service; the pace is lowered")
                });
            }
            Retry::Ticket if !course.used.ticket => {
                let ahead = failed.clock_error_s;
                self.credentials.replace(ticket, if ahead.abs() > CLOCK_ERROR_S { ahead } else { 0 });
                self.log(LogLevel::Info, || "the service refused the UserSig as expired; signed anew".into());
            }
            Retry::Fatal => {
                let alone = Tally { attempts: 1, outcome: failed.outcome, personal: false };
                self.credentials.set_fatal(&self.failure(command, failed, "", &alone));
            }
            _ => {}
        }
    }

    /// The policy: whether, when and where to try again.
    fn next_step(
        &self,
        command: &str,
        failed: &Failed,
        idempotent: bool,
        running: &Running,
        course: &mut Course,
    ) -> Step {
        if self.fails_over(command, failed, course) {
            return Step::Again;
        }
        let most = self.config.max_attempts;
        let pause = match retry::next(failed.retry, idempotent, failed.stale, most, &mut course.used) {
            Next::GiveUp => return Step::GiveUp(""),
            Next::Uncounted => {
                self.stats.add(if failed.stale { Count::RetriesStale } else { Count::RetriesTicket });
                return Step::Again;
            }
            Next::After(pause) => self.random.part_of(pause),
        };
        // The service may ask for a longer pause, within reason.
        let pause = match failed.retry_after {
            Some(asked) => pause.max(asked.min(pause + Duration::from_secs(5))),
            None => pause,
        };
        let wake = Instant::now() + pause;
        if wake + LEAST_TIME > running.deadline {
            return Step::Leave("no time left for another attempt");
        }
        let Some(cost) = self.budget.take(failed.retry) else {
            self.stats.add(Count::RetriesSuppressed);
            return Step::GiveUp("not tried again: too many retries lately");
        };
        course.held += cost;
        self.stats.add(match failed.retry {
            Retry::Conflict => Count::RetriesConflict,
            Retry::Throttled => Count::RetriesThrottled,
            Retry::Ambiguous => Count::RetriesAmbiguous,
            _ => Count::RetriesNotSent,
        });
        Step::At(wake)
    }

    /// The other host may do better, at once, and be it for a wrong certificate.
    fn fails_over(&self, command: &str, failed: &Failed, course: &mut Course) -> bool {
        let may = failed.unreachable
            && failed.host == PRIMARY
            && self.hosts.has_backup()
            && course.used.attempts + 1 < self.config.max_attempts;
        if may {
            course.used.attempts += 1;
            course.host = Some(BACKUP);
            self.stats.add(Count::Failovers);
            self.log(LogLevel::Warning, || {
                let (from, to) = (self.host(PRIMARY), self.host(BACKUP));
                format!("{command}: {from} cannot be used ({}); trying {to}", failed.text)
            });
        }
        may
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
            Quota::Machine => {
                let pacer = self.pacer(command).expect("only a callback has no pacer");
                pacer.acquire(running, self.limit(name) * self.config.quota_share)
            }
            #[cfg(feature = "redis")]
            Quota::Redis(server) => {
                self.redis_pacer(server, command, self.limit(name)).acquire(running, |event| match event {
                    Event::Changed(text) => self.log(LogLevel::Warning, || format!("{command}: {text}")),
                    Event::OwnShare => self.stats.add(Count::QuotaOwnShare),
                })
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

    /// What the service allows, in requests a second.
    fn limit(&self, name: &str) -> f64 {
        f64::from(match self.config.quota_per_second {
            0 => pace::documented_limit(name),
            set => set,
        })
    }

    /// The service complained.
    fn lower_pace(&self, command: &str) {
        if let Some(pacer) = self.pacer(command) {
            pacer.lower();
        }
        #[cfg(feature = "redis")]
        if let Some(pacer) = lock(&self.redis_pacers).get(command) {
            pacer.lower();
        }
    }

    #[cfg(feature = "redis")]
    fn redis_pacer(&self, server: &Arc<Server>, command: &str, limit: f64) -> Arc<RedisPacer> {
        if let Some(pacer) = lock(&self.redis_pacers).get(command) {
            return Arc::clone(pacer);
        }
        let machine = self.pacer(command).expect("only a callback has no pacer");
        let Config { sdkappid, quota_share, .. } = *self.config;
        let trust = self.config.trust.clone();
        let new =
            RedisPacer::new(Arc::clone(server), trust, sdkappid, command, (limit, quota_share), machine);
        Arc::clone(lock(&self.redis_pacers).entry(command.to_owned()).or_insert_with(|| Arc::new(new)))
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

    fn failure(&self, command: &str, failed: &Failed, remark: &str, tally: &Tally) -> Error {
        let mut message = format!("{command}: {}", failed.text);
        if !remark.is_empty() {
            let _ = write!(message, "; {remark}");
        }
        if let Some(code) = codes::lookup(failed.code).filter(|_| failed.stopped.is_none()) {
            let _ = write!(message, "; {}", code.advice);
        }
        let mut error = Error::new(failed.code, message);
        let details = error.details_mut();
        details.class = failed.class;
        details.display.clone_from(&failed.display);
        details.http_status = failed.http_status;
        details.attempts = tally.attempts;
        (details.host, details.random) = (self.host(failed.host), Some(failed.random));
        details.retryable = !matches!(failed.retry, Retry::Never | Retry::Fatal)
            && !matches!(failed.stopped, Some(Stop::Cancelled | Stop::Shutdown));
        details.outcome = tally.outcome;
        error
    }

    /// The call ended in or after an attempt that failed.
    fn ended(&self, command: &str, stop: Stop, failed: &Failed, remark: &str, tally: &mut Tally) -> Error {
        tally.personal = true;
        let mut error = self.failure(command, failed, remark, tally);
        let details = error.details_mut();
        (details.code, details.class) = (stop.code(), codes::class(stop.code()));
        details.retryable = stop == Stop::Deadline;
        error
    }

    /// A further attempt was not let out: what the last one met is worth telling too.
    fn after_failure(&self, mut error: Error, last: Option<&Failed>) -> Error {
        if let Some(failed) = last {
            let details = error.details_mut();
            let _ = write!(
                details.message,
                "; the attempt before met {}: {}",
                codes::name(failed.code),
                failed.text
            );
            (details.host, details.random) = (self.host(failed.host), Some(failed.random));
            details.http_status = failed.http_status;
        }
        error
    }

    fn stopped(&self, command: &str, stop: Stop, place: &str, tally: &mut Tally) -> Error {
        tally.personal = true;
        let text = match stop {
            Stop::Cancelled => "cancelled",
            Stop::Shutdown => "the client was shut down",
            Stop::Deadline => "no time left",
        };
        let mut error = Error::new(stop.code(), format!("{command}: {text} {place}"));
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

    fn log_attempt(&self, command: &str, tally: &Tally, host: usize, random: u32, name: &str, text: &str) {
        self.log(LogLevel::Debug, || {
            let (number, host) = (tally.attempts, self.host(host));
            let text = if text.is_empty() { String::new() } else { format!(": {text}") };
            format!("{command}: attempt {number} at {host}: {name}{text} (random {random})")
        });
    }
}
