//! The pace of several machines: slots that a script in Redis gives out.
//!
//! The time of the next free slot is one key for each command of an app. It is
//! counted by the server's clock, and given out evenly and a little ahead, with
//! no burst. A machine that is told how long its slot lies ahead counts from the
//! moment the answer arrives, so it is never early.
//!
//! Redis is asked by a thread of this module, one at a time for each client and
//! command, in the order in which calls came. Calls wait for its answers as they
//! wait for everything, so a cancel or a deadline ends them however Redis hangs.
//!
//! While Redis is away, each machine keeps to its own share of the quota, by the
//! word that its processes share. Not all notice at one moment that Redis is
//! back. So with a new connection the share holds as well for a while, until the
//! others must have noticed too: together they do not exceed the whole.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use redis::{Connection, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisResult, Script};

use crate::call::{Control, Running, Stop};
use crate::config::Trust;
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::pace::{MISSES, Pacer, TOLERANCE};
use crate::retry::Random;
use crate::tls;

/// How far ahead slots are given out: what may overlap if the server's clock jumps.
const BACKLOG: Duration = Duration::from_millis(50);
/// Slots lie this far apart altogether if several are taken at once, which the
/// time of a round trip asks for at a high pace.
const BATCH: Duration = Duration::from_millis(10);
/// The key goes after so long without use; the next slot is then a late one.
const LIFE: Duration = Duration::from_secs(3600);
const CONNECT: Duration = Duration::from_millis(200);
const ANSWER: Duration = Duration::from_millis(250);
/// Redis is away after so many failures in a row, or so long without an answer.
const TRIES: u32 = 2;
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a lost Redis is tried, give or take a fifth.
const PROBE: Duration = Duration::from_secs(1);
/// By then everybody else has tried too, and has used the slots of its share.
const JOIN: Duration = Duration::from_millis(2_500);
/// The thread and its connection go after so long without a call.
const IDLE: Duration = Duration::from_secs(10);

/// Gives out slots. All times are microseconds, the life of the key milliseconds.
///
/// A key that is missing or lies absurdly far ahead is the sign of a Redis that
/// has lost its data or set its clock back. Then the first slot lies behind all
/// that can have been given before; and that is stored even if nothing is given,
/// as otherwise the first slot would move away for ever.
const TAKE: &str = "
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local interval, wanted, backlog = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local hold, horizon, life = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local free = tonumber(redis.call('GET', KEYS[1]) or '')
local lost = free == nil or free > now + horizon
if lost then free = now + hold end
if free < now then free = now end
local ahead = free - now
local granted = wanted
if ahead > backlog then granted = 0 end
if lost or granted > 0 then
  redis.call('SET', KEYS[1], string.format('%.0f', free + granted * interval), 'PX', life)
end
return {granted, ahead}";

/// After a complaint of the service: nobody gets a slot within a second.
const PAUSE: &str = "
local clock = redis.call('TIME')
local resume = clock[1] * 1000000 + clock[2] + 1000000
local free = tonumber(redis.call('GET', KEYS[1]) or '')
if free == nil or free < resume then
  redis.call('SET', KEYS[1], string.format('%.0f', resume), 'PX', ARGV[1])
end";

/// Where Redis is. No text of it ever shows the password.
pub(crate) struct Server(ConnectionInfo);

impl Server {
    /// Reads the URL of a setting.
    pub fn parse(setting: &str, url: &str) -> Result<Server> {
        let schemes = ["redis://", "rediss://", "unix://"];
        // A fragment would switch the verification of the certificate off.
        let plausible = schemes.iter().any(|scheme| url.starts_with(scheme)) && !url.contains('#');
        match url.into_connection_info() {
            Ok(info) if plausible => Ok(Server(info)),
            _ => Err(Error::config(
                setting,
                "must be redis://[[user]:password@]host[:port][/database], rediss:// for TLS, \
                 or unix:///path",
            )),
        }
    }

    fn connect(&self, trust: &Trust) -> Result<Connection, String> {
        let client = match self.0.addr() {
            ConnectionAddr::TcpTls { .. } => {
                let root_cert = tls::bundle(trust).map_err(|error| error.message().to_owned())?;
                let certificates = redis::TlsCertificates { client_tls: None, root_cert };
                redis::Client::build_with_tls(self.0.clone(), certificates)
            }
            _ => redis::Client::open(self.0.clone()),
        };
        let connect = || {
            let connection = client?.get_connection_with_timeout(CONNECT)?;
            connection.set_read_timeout(Some(ANSWER))?;
            connection.set_write_timeout(Some(ANSWER))?;
            Ok(connection)
        };
        connect().map_err(|error| self.explain(&error))
    }

    /// What went wrong. The server's own words are in it, so it is looked through.
    fn explain(&self, error: &redis::RedisError) -> String {
        let text = error.to_string();
        match self.0.redis_settings().password() {
            Some(password) if !password.is_empty() => text.replace(password, "***"),
            _ => text,
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.addr().fmt(f)
    }
}

/// What is worth telling beside the slot itself.
pub(crate) enum Event {
    /// Redis went away, or came back.
    Changed(String),
    /// This request leaves within the share of the machine alone.
    OwnShare,
}

/// The slots of one command of one app, for one client.
pub(crate) struct RedisPacer {
    line: Arc<Line>,
}

struct Line {
    server: Arc<Server>,
    trust: Trust,
    key: String,
    per_second: f64,
    share: f64,
    machine: Arc<Pacer>,
    random: Random,
    state: Mutex<State>,
    /// Wakes the thread that asks.
    work: Condvar,
}

struct State {
    mode: Mode,
    waiting: VecDeque<Arc<Wish>>,
    /// Redis had no slot to give: not asked before this.
    ask_at: Instant,
    /// Since when an answer is missing.
    unanswered: Option<Instant>,
    failures: u32,
    pause: bool,
    news: Option<String>,
    used: Instant,
    asker: bool,
    closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Shared,
    /// Tried again at this time.
    Away(Instant),
    /// A new connection: the own share holds as well, until this time.
    Joining(Instant),
}

/// A call that wants a slot.
struct Wish {
    answer: OnceLock<Answer>,
    control: Arc<Control>,
}

#[derive(Clone, Copy)]
enum Answer {
    At(Instant),
    Away,
}

impl Wish {
    fn fulfil(&self, answer: Answer) {
        let _ = self.answer.set(answer);
        self.control.notify();
    }
}

/// What the thread does next.
#[derive(Clone, Copy)]
enum Task {
    Take(u32),
    Pause,
}

impl RedisPacer {
    /// `per_second` is the pace of all machines together; `share` the part of this
    /// one, which `machine` gives out while Redis is away.
    pub fn new(
        server: Arc<Server>,
        trust: Trust,
        sdkappid: u32,
        command: &str,
        (per_second, share): (f64, f64),
        machine: Arc<Pacer>,
    ) -> RedisPacer {
        let now = Instant::now();
        let state = State {
            mode: Mode::Joining(now + JOIN),
            waiting: VecDeque::new(),
            ask_at: now,
            unanswered: None,
            failures: 0,
            pause: false,
            news: None,
            used: now,
            asker: false,
            closed: false,
        };
        let line = Arc::new(Line {
            server,
            trust,
            // The braces keep the keys of an app on one node of a cluster.
            key: format!("{{imgroup:{sdkappid}}}:{command}"),
            per_second,
            share,
            machine,
            random: Random::new(),
            state: Mutex::new(state),
            work: Condvar::new(),
        });
        RedisPacer { line }
    }

    /// Waits for a slot. `Ok(None)` if none comes before the deadline; else how
    /// long it had to wait.
    pub fn acquire(&self, running: &Running, tell: impl Fn(Event)) -> Result<Option<Duration>, Stop> {
        let line = &self.line;
        let begin = Instant::now();
        let mut missed = 0;
        loop {
            let mode = line.mode();
            if mode != Mode::Shared {
                if line.machine.acquire(running, line.per_second * line.share)?.is_none() {
                    return Ok(None);
                }
                if let Mode::Away(_) = mode {
                    line.tell(&tell);
                    tell(Event::OwnShare);
                    return Ok(Some(begin.elapsed()));
                }
            }
            let asked = line.ask(running);
            line.tell(&tell);
            match asked {
                Ok(Answer::At(at)) if at > running.deadline => return Ok(None),
                Ok(Answer::At(at)) => {
                    running.sleep_until(at)?;
                    // As on the machine: sent much later, it would crowd a later second.
                    if Instant::now() <= at + TOLERANCE || missed == MISSES {
                        return Ok(Some(begin.elapsed()));
                    }
                    missed += 1;
                }
                Ok(Answer::Away) => {}
                Err(Stop::Deadline) => return Ok(None),
                Err(stop) => return Err(stop),
            }
        }
    }

    /// The service complained.
    pub fn lower(&self) {
        let mut state = lock(&self.line.state);
        state.pause = true;
        self.line.employ(&mut state);
    }
}

impl Drop for RedisPacer {
    fn drop(&mut self) {
        lock(&self.line.state).closed = true;
        self.line.work.notify_one();
    }
}

impl fmt::Debug for RedisPacer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisPacer {{ server: {}, key: {} }}", self.line.server, self.line.key)
    }
}

/// The side of the calls.
impl Line {
    fn mode(self: &Arc<Line>) -> Mode {
        let mut state = lock(&self.state);
        if let Mode::Joining(until) = state.mode
            && Instant::now() >= until
        {
            state.mode = Mode::Shared;
        }
        if let Mode::Away(_) = state.mode {
            // Nobody waits for Redis now, yet somebody has to look for it.
            self.employ(&mut state);
        }
        state.mode
    }

    fn tell(&self, tell: &impl Fn(Event)) {
        let news = lock(&self.state).news.take();
        if let Some(news) = news {
            tell(Event::Changed(news));
        }
    }

    fn ask(self: &Arc<Line>, running: &Running) -> Result<Answer, Stop> {
        let wish = Arc::new(Wish { answer: OnceLock::new(), control: Arc::clone(&running.control) });
        {
            let mut state = lock(&self.state);
            if let Mode::Away(_) = state.mode {
                return Ok(Answer::Away);
            }
            state.waiting.push_back(Arc::clone(&wish));
            self.employ(&mut state);
        }
        loop {
            let unanswered = lock(&self.state).unanswered;
            let look_again = match unanswered {
                Some(since) => since + PATIENCE,
                None => Instant::now() + PATIENCE / 5,
            };
            let waited = running.wait(look_again, || wish.answer.get().is_some());
            if let Some(answer) = wish.answer.get() {
                return Ok(*answer);
            }
            let mut state = lock(&self.state);
            if let Err(stop) = waited {
                state.waiting.retain(|other| !Arc::ptr_eq(other, &wish));
                return Err(stop);
            }
            // The thread itself may be caught where no timeout reaches: in the name service.
            if state.unanswered.is_some_and(|since| since.elapsed() >= PATIENCE) {
                self.lose(&mut state, "no answer in time");
            }
        }
    }

    /// There is work: wakes the thread, or starts it.
    fn employ(self: &Arc<Line>, state: &mut State) {
        state.used = Instant::now();
        if state.asker {
            self.work.notify_one();
            return;
        }
        let line = Arc::clone(self);
        let asker = thread::Builder::new().name("imgroup-redis".into()).spawn(move || line.serve());
        match asker {
            Ok(_) => state.asker = true,
            Err(error) => self.lose(state, &format!("no thread: {error}")),
        }
    }

    /// Redis is away: everybody who waits goes on without it.
    fn lose(&self, state: &mut State, reason: &str) {
        (state.failures, state.unanswered) = (0, None);
        if !matches!(state.mode, Mode::Away(_)) {
            let hint = if self.share < 1.0 { "" } else { "; if there are other machines, set quota_share" };
            let (server, share) = (&self.server, self.share);
            state.news = Some(format!(
                "Redis at {server} cannot be used ({reason}); the pace is this machine's share \
                 of the quota, {share}{hint}"
            ));
        }
        let fifth = PROBE / 5;
        state.mode = Mode::Away(Instant::now() + PROBE - fifth + self.random.part_of(fifth * 2));
        for wish in state.waiting.drain(..) {
            wish.fulfil(Answer::Away);
        }
    }
}

/// Says that the thread has ended, be it by a panic.
struct Ended<'a>(&'a Line);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).asker = false;
    }
}

/// The side of the thread.
impl Line {
    fn serve(&self) {
        let ended = Ended(self);
        let scripts = [Script::new(TAKE), Script::new(PAUSE)];
        let mut connection = None;
        loop {
            let (task, mut state) = self.next_task(lock(&self.state));
            let Some(task) = task else {
                // Under the lock: whoever finds no thread after this starts one.
                state.asker = false;
                std::mem::forget(ended);
                return;
            };
            drop(state);
            let interval = self.machine.interval(self.per_second);
            let joins = connection.is_none();
            let done = self.carry_out(task, interval, &scripts, &mut connection);
            let arrived = Instant::now();
            let mut state = lock(&self.state);
            match done {
                Ok(slots) => {
                    if joins {
                        self.join(&mut state, arrived);
                    }
                    self.answered(&mut state, task, slots, arrived, interval);
                }
                Err(reason) => {
                    connection = None;
                    state.failures += 1;
                    let away = matches!(state.mode, Mode::Away(_))
                        || state.failures >= TRIES
                        || state.unanswered.is_some_and(|since| since.elapsed() >= PATIENCE);
                    if away {
                        self.lose(&mut state, &reason);
                    }
                }
            }
        }
    }

    fn next_task<'a>(&self, mut state: MutexGuard<'a, State>) -> (Option<Task>, MutexGuard<'a, State>) {
        loop {
            let now = Instant::now();
            if state.closed {
                return (None, state);
            }
            let wake = match state.mode {
                // Nothing taken: shows whether the script runs and may write.
                Mode::Away(probe) if now >= probe => return (Some(Task::Take(0)), state),
                Mode::Away(probe) => probe.min(state.used + IDLE),
                _ if state.pause => {
                    state.pause = false;
                    return (Some(Task::Pause), state);
                }
                _ if state.waiting.is_empty() => state.used + IDLE,
                _ if now >= state.ask_at => {
                    state.unanswered.get_or_insert(now);
                    let wanted = state.waiting.len() as u32;
                    return (Some(Task::Take(wanted)), state);
                }
                _ => state.ask_at,
            };
            if state.waiting.is_empty() && now >= state.used + IDLE {
                return (None, state);
            }
            let pause = wake.saturating_duration_since(now);
            state = self.work.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Asks Redis: how many slots it gave, and how far ahead the first one lies.
    fn carry_out(
        &self,
        task: Task,
        interval: Duration,
        [take, pause]: &[Script; 2],
        connection: &mut Option<Connection>,
    ) -> Result<(u32, Duration), String> {
        let connection = match connection {
            Some(open) => open,
            None => connection.insert(self.server.connect(&self.trust)?),
        };
        let answer: RedisResult<(u32, u64)> = match task {
            Task::Take(waiting) => {
                let batch = (BATCH.as_nanos() / interval.as_nanos().max(1)).max(1) as u32;
                let wanted = waiting.min(batch);
                let taken = interval * wanted.max(1);
                let hold = BACKLOG + taken.max(BACKLOG);
                // Pauses push the key ahead by a second, slots of a lowered pace by twenty.
                let horizon = hold + taken * 20 + Duration::from_secs(1);
                take.key(&self.key)
                    .arg(interval.as_micros() as u64)
                    .arg(wanted)
                    .arg(BACKLOG.as_micros() as u64)
                    .arg(hold.as_micros() as u64)
                    .arg(horizon.as_micros() as u64)
                    .arg((LIFE + horizon).as_millis() as u64)
                    .invoke(connection)
            }
            Task::Pause => {
                let paused = pause.key(&self.key).arg(LIFE.as_millis() as u64).invoke(connection);
                paused.map(|()| (0, 0))
            }
        };
        answer
            .map(|(granted, ahead)| (granted, Duration::from_micros(ahead)))
            .map_err(|error| self.server.explain(&error))
    }

    fn join(&self, state: &mut State, now: Instant) {
        if let Mode::Away(_) = state.mode {
            state.news = Some(format!("Redis at {} answers again; the pace is shared again", self.server));
        }
        state.mode = Mode::Joining(now + JOIN);
    }

    fn answered(
        &self,
        state: &mut State,
        task: Task,
        (granted, ahead): (u32, Duration),
        arrived: Instant,
        interval: Duration,
    ) {
        (state.failures, state.unanswered) = (0, None);
        let Task::Take(_) = task else { return };
        if granted == 0 {
            // Comes back when there is room, not with everybody else, and before
            // the slots that are given out run dry.
            state.ask_at = arrived + ahead.saturating_sub(BACKLOG) + self.random.part_of(BACKLOG);
        }
        for number in 0..granted {
            // Whose caller has left in the meantime goes to the next one.
            let Some(wish) = state.waiting.pop_front() else { break };
            wish.fulfil(Answer::At(arrived + ahead + interval * number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_or_refused_without_a_word_of_them() {
        #[rustfmt::skip]
        let rows: &[(&str, Option<&str>)] = &[
            ("redis://localhost", Some("localhost:6379")),
            ("redis://:marker@10.0.0.1:6380/2", Some("10.0.0.1:6380")),
            ("redis://user:m%40rker@redis.example", Some("redis.example:6379")),
            ("redis://[::1]:7000", Some("::1:7000")),
            ("rediss://:marker@redis.example:6390", Some("redis.example:6390")),
            ("unix:///run/redis.sock", Some("/run/redis.sock")),
            ("unix:///run/redis.sock?pass=marker&db=1", Some("/run/redis.sock")),
            ("rediss://:marker@redis.example/#insecure", None),
            ("redis://:marker@redis.example/marker", None),
            ("redis://:marker@0.0.0.0", None),
            ("redis://:marker@", None),
            ("redis:marker", None),
            ("http://:marker@redis.example", None),
            ("marker", None),
            ("", None),
        ];
        for (url, expected) in rows {
            match Server::parse("quota_redis", url) {
                Ok(server) => assert_eq!(Some(server.to_string().as_str()), *expected, "{url}"),
                Err(error) => {
                    assert_eq!(*expected, None, "{url}: {error}");
                    assert!(error.message().starts_with("quota_redis: must be redis://"), "{error}");
                    assert!(!error.message().contains("marker"), "{error}");
                }
            }
        }
    }
}
