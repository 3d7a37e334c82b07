//! Jobs over many accounts: deleting the friend lists of millions, killed and
//! resumed, with nothing lost.
//!
//! | what | where |
//! |---|---|
//! | rows out of files | `read` |
//! | rows to requests, grouped by account | `group` |
//! | which request goes next | `schedule` |
//! | sending them | `run` |
//! | what was begun and how it ended | `journal`; what more there is to say, `results` |
//! | totals, the report, the failed rows, the exported lists | `report` |
//!
//! Beside a journal `J` stand `J.spool`, the requests, and `J.results`. All three
//! belong together.

#![forbid(unsafe_code)]

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod door;
mod group;
mod journal;
mod read;
mod report;
mod results;
mod run;
mod schedule;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

pub use self::group::account_hash;
use self::group::{Grouper, Spool};
use self::journal::{Ends, Found, Header, Journal, storage};
pub use self::read::{Fault, Format, Input, Row, read};
use self::report::Totals;
pub use self::run::Progress;
use self::run::{Engine, State, Stop};
use crate::client::Client;
use crate::codes;
use crate::error::{Error, Result};

/// The most connections a job uses.
pub const CONNECTIONS_MAX: u32 = 256;
/// As many as latency needs, up to this, if nothing is set.
const CONNECTIONS: u32 = 64;

/// What a job does with each account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Command {
    /// Deletes the lists that the rows name.
    Delete = 1,
    /// Reads the lists of the accounts that the rows name.
    Export = 2,
}

impl Command {
    fn of_number(number: u32) -> Option<Command> {
        [Command::Delete, Command::Export].into_iter().find(|&command| command as u32 == number)
    }

    /// As it stands on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Command::Delete => "delete",
            Command::Export => "export",
        }
    }
}

/// What a job may do.
#[derive(Clone, Debug)]
struct Settings {
    partition: (u32, u32),
    max_deletes: u64,
    max_failures: f64,
    connections: u32,
    give_up_ms: u32,
}

/// Where rows come from.
enum Source {
    File(PathBuf),
    Stream(Box<dyn Read + Send>),
}

/// A job: its settings, its input, and after a run its report. One thread at a
/// time, but for [`Job::handle`].
pub struct Job {
    client: Arc<Client>,
    command: Command,
    journal: PathBuf,
    settings: Settings,
    input: Option<(Source, Format)>,
    pushed: Option<Pushed>,
    prepared: Option<Prepared>,
    state: Arc<State>,
    totals: Option<Totals>,
}

/// Stops a job and looks at it, from any thread.
#[derive(Clone)]
pub struct JobHandle(Arc<State>);

impl JobHandle {
    /// Sends nothing new, waits for what is in flight, and lets the run end.
    pub fn pause(&self) {
        self.0.pause();
    }

    /// Ends what is in flight too, within 50 ms.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.0.progress()
    }
}

/// Rows that were pushed, on their way to the spool.
struct Pushed {
    opened: Opened,
    /// `None` if the journal was begun by an earlier run, whose spool there is.
    grouper: Option<Grouper>,
    hash: Sha256,
    bytes: u64,
    rows: u64,
    kept: u64,
}

/// A journal that this run holds.
struct Opened {
    journal: Journal,
    begun: Option<(Header, Ends)>,
}

/// A journal that is bound, and a spool that is made.
struct Prepared {
    journal: Journal,
    header: Header,
    ends: Ends,
    /// Whether this job made them.
    new: bool,
}

/// What a job would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Rows that are to be done.
    pub rows: u64,
    /// Requests that this takes.
    pub requests: u64,
    /// Rows that an earlier run has ended.
    pub ended: u64,
}

impl Job {
    /// A job with its journal: a file that is made if it is not there.
    pub fn new(client: Arc<Client>, command: Command, journal: &Path) -> Result<Job> {
        if journal.file_name().is_none() {
            return Err(Error::argument("journal", "must be the path of a file"));
        }
        Ok(Job {
            client,
            command,
            journal: journal.to_owned(),
            settings: Settings {
                partition: (1, 1),
                max_deletes: u64::MAX,
                max_failures: 0.5,
                connections: 0,
                give_up_ms: 60_000,
            },
            input: None,
            pushed: None,
            prepared: None,
            state: Arc::default(),
            totals: None,
        })
    }

    /// Takes only the accounts of one part: `index` from 1 to `count`, at most 65536
    /// parts. An account is in the part that [`account_hash`] modulo `count` says, so
    /// no two parts write to the same one.
    pub fn set_partition(&mut self, index: u32, count: u32) -> Result<()> {
        if count == 0 || count > 65_536 || index == 0 || index > count {
            return Err(Error::argument(
                "partition",
                format_args!("must be 1 to n of at most 65536, not {index}/{count}"),
            ));
        }
        self.settings.partition = (index, count);
        Ok(())
    }

    /// Stops before more rows than this are deleted, those of earlier runs
    /// included. 0 for no limit, the default.
    pub fn set_max_deletes(&mut self, rows: u64) -> Result<()> {
        self.settings.max_deletes = if rows == 0 { u64::MAX } else { rows };
        Ok(())
    }

    /// Stops when a larger share of this run's rows failed or is unknown, counted
    /// after 1000 rows: 0 to 1. The default is 0.5.
    pub fn set_max_failures(&mut self, share: f64) -> Result<()> {
        if !(0.0..=1.0).contains(&share) {
            return Err(Error::argument("max_failures", format_args!("must be 0 to 1, not {share}")));
        }
        self.settings.max_failures = share;
        Ok(())
    }

    /// The most connections: 1 to [`CONNECTIONS_MAX`]; 0, the default, for as many as
    /// latency needs, up to 64.
    pub fn set_connections(&mut self, connections: u32) -> Result<()> {
        if connections > CONNECTIONS_MAX {
            return Err(Error::argument(
                "connections",
                format_args!("must be 0 to {CONNECTIONS_MAX}, not {connections}"),
            ));
        }
        self.settings.connections = connections;
        Ok(())
    }

    /// Stops when the service could not be reached for so long: 100 to 86400000 ms,
    /// 0 for the default of 60000. A job that never reached it stops after 5000 at
    /// most.
    pub fn set_give_up_ms(&mut self, ms: u32) -> Result<()> {
        if ms != 0 && !(100..=86_400_000).contains(&ms) {
            return Err(Error::argument("give_up_ms", format_args!("must be 100 to 86400000, not {ms}")));
        }
        self.settings.give_up_ms = if ms == 0 { 60_000 } else { ms };
        Ok(())
    }

    /// Takes the rows from a file. An input is not needed to go on with a journal;
    /// if one is given, it must be the same.
    pub fn set_input_file(&mut self, path: &Path, format: Option<Format>) -> Result<()> {
        self.only_input()?;
        let format = format.unwrap_or_else(|| Format::of_path(path));
        self.input = Some((Source::File(path.to_owned()), format));
        Ok(())
    }

    /// Takes the rows from a stream, to its end.
    pub fn set_input_stream(&mut self, stream: Box<dyn Read + Send>, format: Format) -> Result<()> {
        self.only_input()?;
        self.input = Some((Source::Stream(stream), format));
        Ok(())
    }

    fn only_input(&self) -> Result<()> {
        match (&self.input, &self.pushed) {
            (None, None) => Ok(()),
            (Some(_), _) => Err(Error::argument("input", "is given already")),
            (_, Some(_)) => Err(Error::argument("input", "rows were pushed already")),
        }
    }

    /// Takes one row. It is checked now and sent by [`Job::run`]. For an export the
    /// list is empty.
    pub fn push(&mut self, account: &str, list: &str) -> Result<()> {
        if self.input.is_some() || self.prepared.is_some() {
            return Err(Error::argument("input", "is given already"));
        }
        let row = Row { line: self.pushed.as_ref().map_or(1, |pushed| pushed.rows + 1), account, list };
        row.check(self.command)?;
        let pushed = match &mut self.pushed {
            Some(pushed) => pushed,
            None => {
                let opened = self.open()?;
                let grouper = match opened.begun {
                    Some(_) => None,
                    None => Some(Grouper::new(&self.beside(".parts"))?),
                };
                let new = Pushed { opened, grouper, hash: Sha256::new(), bytes: 0, rows: 0, kept: 0 };
                self.pushed.insert(new)
            }
        };
        for text in [account, list] {
            pushed.hash.update([text.len() as u8]);
            pushed.hash.update(text);
            pushed.bytes += 1 + text.len() as u64;
        }
        pushed.rows += 1;
        if is_in(self.settings.partition, account) {
            pushed.kept += 1;
            if let Some(grouper) = &mut pushed.grouper {
                grouper.add(&row)?;
            }
        }
        Ok(())
    }

    /// What is left to be done, and what was done before. Reads the whole input, gives
    /// every request to `each`, sends nothing and leaves nothing behind.
    pub fn plan(&mut self, each: impl FnMut(&str, &[&str])) -> Result<Plan> {
        let (header, spool, ends, temporary) = match self.peek()? {
            Some((header, ends)) => {
                self.check_input(&header, None)?;
                (header, self.beside(".spool"), ends, None)
            }
            None => {
                let name = format!(".plan-{}", std::process::id());
                let (parts, spool) = (self.beside(&format!("{name}.parts")), self.beside(&name));
                let header = self.spool_input(&parts, &spool)?;
                let ends = Ends::new(header.units);
                (header, spool.clone(), ends, Some(spool))
            }
        };
        let counted = self.count(&spool, &header, &ends, each);
        if let Some(spool) = temporary {
            let _ = fs::remove_file(spool);
        }
        counted
    }

    fn count(
        &self,
        spool: &Path,
        header: &Header,
        ends: &Ends,
        mut each: impl FnMut(&str, &[&str]),
    ) -> Result<Plan> {
        let mut plan = Plan::default();
        let mut units = Spool::open(spool, header)?;
        while let Some(unit) = units.next()? {
            if ends.has_ended(unit.number) {
                plan.ended += unit.rows();
                continue;
            }
            plan.requests += 1;
            plan.rows += unit.rows();
            each(&unit.account, &unit.lists.iter().map(|list| list.0.as_str()).collect::<Vec<_>>());
        }
        Ok(plan)
    }

    /// Runs the job to its end, or until something stops it. Goes on where the last
    /// run with this journal ended. `progress` is called on this thread, about ten
    /// times a second.
    ///
    /// Succeeds when every row has ended, be it badly: see [`Job::report`].
    pub fn run(&mut self, progress: &mut dyn FnMut(&Progress)) -> Result<()> {
        let result = self.run_once(progress);
        self.state.forget_request();
        result
    }

    /// Reads and checks the whole input and groups it, and says what is to be done.
    /// [`Job::run`] then begins at once; a job that is dropped instead leaves nothing
    /// behind.
    pub fn prepare(&mut self) -> Result<Plan> {
        let prepared = self.take_prepared()?;
        let plan = self.count(&self.beside(".spool"), &prepared.header, &prepared.ends, |_, _| ());
        self.prepared = Some(prepared);
        plan
    }

    fn take_prepared(&mut self) -> Result<Prepared> {
        if let Some(prepared) = self.prepared.take() {
            return Ok(prepared);
        }
        let (opened, pushed) = match self.pushed.take() {
            Some(Pushed { opened, grouper, hash, bytes, rows, kept }) => {
                let input = Input { bytes, sha256: hash.finalize().into(), rows };
                (opened, Some((grouper, input, kept)))
            }
            None => (self.open()?, None),
        };
        let Opened { mut journal, begun } = opened;
        let new = begun.is_none();
        let (header, ends) = match begun {
            Some((header, ends)) => {
                self.check_input(&header, pushed.map(|(_, input, _)| input))?;
                (header, ends)
            }
            // A journal that never began leaves nothing behind.
            None => self.begin(&mut journal, pushed).inspect_err(|_| {
                let _ = fs::remove_file(&self.journal);
            })?,
        };
        Ok(Prepared { journal, header, ends, new })
    }

    fn run_once(&mut self, progress: &mut dyn FnMut(&Progress)) -> Result<()> {
        self.state.begin();
        let Prepared { journal, header, ends, .. } = self.take_prepared()?;
        let spool = Spool::open(&self.beside(".spool"), &header)?;
        let engine = Engine::new(self, &header, journal, ends, spool)?;
        let (stop, totals) = engine.run(progress);
        let totals = totals?;
        self.totals = Some(totals);
        match stop {
            None => Ok(()),
            Some(Stop { error, .. }) => Err(error),
        }
    }

    /// Makes the spool, and then the header of the journal: from here on it is bound.
    fn begin(
        &mut self,
        journal: &mut Journal,
        pushed: Option<(Option<Grouper>, Input, u64)>,
    ) -> Result<(Header, Ends)> {
        let spool = self.beside(".spool");
        for leftover in [&spool, &self.beside(".results")] {
            remove(leftover)?;
        }
        let header = match pushed {
            Some((grouper, input, kept)) => {
                let grouper = grouper.expect("made for a new journal");
                grouper.finish(&spool, &self.header(&input, kept))?
            }
            None => self.spool_input(&self.beside(".parts"), &spool)?,
        };
        journal.begin(&self.journal, &header)?;
        let ends = Ends::new(header.units);
        Ok((header, ends))
    }

    /// To stop and watch the job from other threads.
    pub fn handle(&self) -> JobHandle {
        JobHandle(Arc::clone(&self.state))
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.state.progress()
    }

    /// The report of the last run, a JSON object.
    pub fn report(&self) -> Result<String> {
        Ok(self.totals()?.to_json())
    }

    /// Why the last run stopped before the end, as one word; `None` if it did not.
    pub fn stopped_by(&self) -> Option<&'static str> {
        self.totals.as_ref()?.stopped_by()
    }

    /// Writes the report: JSON to `path`, and a page to look at to the same name with
    /// the ending `.html`.
    pub fn write_report(&self, path: &Path) -> Result<()> {
        report::write(self.totals()?, path)
    }

    /// Writes the rows that failed or are unknown, in a format this reads again, with
    /// the reasons beside them. Gives their number.
    pub fn write_failed(&self, path: &Path, format: Format) -> Result<u64> {
        let (header, ends) = self.ended()?;
        report::write_failed(&self.beside(".results"), &header, &ends, path, format)
    }

    /// For an export: writes the lists, as CSV with the columns account, list and
    /// friends. Gives their number.
    pub fn write_lists(&self, to: &mut dyn io::Write) -> Result<u64> {
        let (_, ends) = self.ended()?;
        report::write_lists(&self.beside(".results"), &ends, to)
    }

    /// As [`Job::write_lists`], to a file that is there whole or not at all.
    pub fn write_lists_file(&self, path: &Path) -> Result<u64> {
        report::write_whole(path, |file| self.write_lists(file))
    }

    fn totals(&self) -> Result<&Totals> {
        self.totals.as_ref().ok_or_else(|| Error::argument("job", "has not run yet"))
    }

    /// What the journal says, without holding it.
    fn ended(&self) -> Result<(Header, Ends)> {
        self.peek()?.ok_or_else(|| Error::argument("job", "has not run yet"))
    }

    fn peek(&self) -> Result<Option<(Header, Ends)>> {
        let file = match File::open(&self.journal) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(storage(&self.journal, "be read", &error)),
            Ok(file) => file,
        };
        let length = file.metadata().map_err(|error| storage(&self.journal, "be read", &error))?.len();
        if length == 0 {
            return Ok(None);
        }
        let (header, ends, ..) = journal::read_file(&self.journal, &file, length)?;
        self.check_binding(&header)?;
        Ok(Some((header, ends)))
    }

    fn open(&self) -> Result<Opened> {
        match Journal::open(&self.journal)? {
            Found::New(journal) => Ok(Opened { journal, begun: None }),
            Found::Begun(journal, header, ends) => {
                self.check_binding(&header)?;
                Ok(Opened { journal, begun: Some((header, ends)) })
            }
        }
    }

    /// A file that belongs to the journal.
    fn beside(&self, ending: &str) -> PathBuf {
        let mut name: OsString = self.journal.clone().into();
        name.push(ending);
        name.into()
    }

    fn check_binding(&self, header: &Header) -> Result<()> {
        let (index, count) = self.settings.partition;
        let differs = |what: &str, then: String, now: String| {
            Err(Error::new(
                codes::JOB_MISMATCH,
                format!("{}: the journal is for {what} {then}, not {now}", self.journal.display()),
            ))
        };
        if header.command != self.command {
            return differs("the command", header.command.name().into(), self.command.name().into());
        }
        if header.sdkappid != self.client.sdkappid() {
            return differs("sdkappid", header.sdkappid.to_string(), self.client.sdkappid().to_string());
        }
        if header.partition != (index, count) {
            let (then, of) = header.partition;
            return differs("partition", format!("{then}/{of}"), format!("{index}/{count}"));
        }
        Ok(())
    }

    /// An input that is given again must be the one the journal was begun with.
    fn check_input(&mut self, header: &Header, pushed: Option<Input>) -> Result<()> {
        let given = match (self.input.take(), pushed) {
            (None, None) => return Ok(()),
            (_, Some(input)) => (input.bytes, input.sha256),
            (Some((source, _)), None) => {
                let mut hash = Sha256::new();
                let mut bytes = 0;
                let mut buffer = vec![0; 256 * 1024];
                let mut reader = source.open()?;
                loop {
                    match reader.read(&mut buffer) {
                        Ok(0) => break,
                        Ok(read) => {
                            hash.update(&buffer[..read]);
                            bytes += read as u64;
                        }
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(unreadable(&error)),
                    }
                }
                (bytes, hash.finalize().into())
            }
        };
        if given != (header.input_bytes, header.input_sha256) {
            return Err(Error::new(
                codes::JOB_MISMATCH,
                format!("{}: the journal is for another input", self.journal.display()),
            ));
        }
        Ok(())
    }

    /// Reads the whole input, checks it, and makes the spool.
    fn spool_input(&mut self, parts: &Path, spool: &Path) -> Result<Header> {
        let Some((source, format)) = self.input.take() else {
            return Err(Error::argument("input", "is not given, and the journal holds no job to go on with"));
        };
        let reader = source.open()?;
        let mut grouper = Grouper::new(parts)?;
        let mut kept = 0;
        let input = read(reader, format, self.command, |row| {
            self.state.check_request()?;
            if is_in(self.settings.partition, row.account) {
                kept += 1;
                grouper.add(&row)?;
            }
            Ok(())
        });
        match input {
            Ok(input) => grouper.finish(spool, &self.header(&input, kept)),
            Err(fault) => {
                grouper.discard();
                Err(match fault {
                    Fault::Io(error) => unreadable(&error),
                    Fault::Rows(error) | Fault::Sink(error) => error,
                })
            }
        }
    }

    fn header(&self, input: &Input, rows: u64) -> Header {
        Header {
            command: self.command,
            sdkappid: self.client.sdkappid(),
            partition: self.settings.partition,
            input_bytes: input.bytes,
            input_sha256: input.sha256,
            rows,
            units: 0,
            created_s: crate::usersig::now_s() as u64,
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // Pushed or prepared, and never run: nothing of it is of use.
        let (journal, grouper) = match (self.pushed.take(), self.prepared.take()) {
            (Some(Pushed { opened, grouper: Some(grouper), .. }), _) => (opened.journal, Some(grouper)),
            (_, Some(Prepared { journal, new: true, .. })) => (journal, None),
            _ => return,
        };
        if journal.is_ours() {
            if let Some(grouper) = grouper {
                grouper.discard();
            }
            for file in [&self.journal, &self.beside(".spool")] {
                let _ = fs::remove_file(file);
            }
        } else {
            // What it holds in memory is the parent's to write.
            std::mem::forget(grouper);
        }
    }
}

impl Source {
    fn open(self) -> Result<Box<dyn Read + Send>> {
        match self {
            Source::Stream(stream) => Ok(stream),
            Source::File(path) => match File::open(&path) {
                Ok(file) => Ok(Box::new(file)),
                Err(error) => Err(Error::argument("input", format_args!("{}: {error}", path.display()))),
            },
        }
    }
}

fn unreadable(error: &io::Error) -> Error {
    Error::argument("input", format_args!("cannot be read: {error}"))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(storage(path, "be removed", &error)),
        _ => Ok(()),
    }
}

/// Whether an account is in a part.
fn is_in((index, count): (u32, u32), account: &str) -> bool {
    count == 1 || account_hash(account) % count == index - 1
}
