//! `imgroup_job`: one command for many accounts.

use std::ffi::{CString, c_char, c_void};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use super::client::imgroup_client;
use super::config::{Userdata, imgroup_drop_callback};
use super::error::imgroup_error;
use super::guard::{guard, guard_or};
use super::handle::{self, Handle, c_text};
use super::input;
use crate::bulk::{Command, Format, Job, JobHandle};
use crate::error::{Error, Result};

/// A job: one command for many accounts, millions if need be, with a journal so
/// that a run which was stopped or killed goes on where it ended and repeats no
/// more than was in flight.
///
/// Rows come from a file or are pushed one by one, in any order. They are all
/// checked before the first request leaves. Rows of one account are sent together,
/// up to 32 lists a request, and two requests of one account never overlap. Pace,
/// retries and lists that are already gone are dealt with as everywhere in this
/// library. Each row ends once: done, already gone, failed or unknown.
///
/// Beside the journal J stand J.spool, the requests, and J.results. The three
/// belong together; remove them together when they are of no more use. Reading the
/// input takes at most twice its size on that disk.
///
/// One thread at a time, but for imgroup_job_pause, imgroup_job_cancel and
/// imgroup_job_count, which any thread may call. While imgroup_job_run is under
/// way, every other function that can fail gives IMGROUP_E_INVALID_ARGUMENT, also
/// to the progress callback. A job is for the process that made it, not for its
/// children after fork().
pub struct imgroup_job {
    _private: [u8; 0],
}

/// What a job does with each account.
#[repr(C)]
pub enum imgroup_job_command {
    /// Deletes the lists that the rows name.
    IMGROUP_JOB_DELETE = 1,
    /// Reads the lists of the accounts that the rows name.
    IMGROUP_JOB_EXPORT = 2,
}

/// What imgroup_job_count counts.
#[repr(C)]
pub enum imgroup_job_counter {
    /// Rows to do; 0 while the input is being read.
    IMGROUP_JOB_ROWS = 1,
    /// Rows that ended well: deleted, or read by an export.
    IMGROUP_JOB_DONE = 2,
    /// Rows whose list was gone already, as a read showed.
    IMGROUP_JOB_ALREADY_GONE = 3,
    /// Rows that were refused.
    IMGROUP_JOB_FAILED = 4,
    /// Rows that may have been applied, or not.
    IMGROUP_JOB_UNKNOWN = 5,
    /// Rows among the four above that earlier runs had ended.
    IMGROUP_JOB_RESUMED = 6,
    /// Requests that this run sent, repeats included.
    IMGROUP_JOB_REQUESTS = 7,
    /// Connections in use.
    IMGROUP_JOB_CONNECTIONS = 8,
    /// Milliseconds that requests of this run waited for the pace, all added.
    IMGROUP_JOB_WAITED_MS = 9,
    /// Milliseconds since this run began, or that it took.
    IMGROUP_JOB_ELAPSED_MS = 10,
}

const _: () = {
    assert!(imgroup_job_command::IMGROUP_JOB_DELETE as u32 == Command::Delete as u32);
    assert!(imgroup_job_command::IMGROUP_JOB_EXPORT as u32 == Command::Export as u32);
};

/// Is told how a job goes on; imgroup_job_count has the numbers.
pub type imgroup_job_callback = Option<unsafe extern "C" fn(userdata: *mut c_void, job: *const imgroup_job)>;

/// What the handle leads to. A run holds the lock from its beginning to its end, so
/// other threads only ever try it.
pub(super) struct Shared {
    handle: JobHandle,
    inner: Mutex<Inner>,
}

struct Inner {
    job: Job,
    progress: Option<(unsafe extern "C" fn(*mut c_void, *const imgroup_job), Userdata)>,
    stopped_by: Option<CString>,
}

// What any thread may use at the same time.
const _: () = {
    const fn may_be_shared<T: Send + Sync>() {}
    may_be_shared::<Shared>();
};

impl Handle for imgroup_job {
    type Value = Shared;
    const MAGIC: u64 = 0x4a4f_4253_6d69_6567;
}

impl Shared {
    fn inner(&self) -> Result<MutexGuard<'_, Inner>> {
        match self.inner.try_lock() {
            Ok(inner) => Ok(inner),
            // A caught panic: the journal knows what is true.
            Err(TryLockError::Poisoned(inner)) => Ok(inner.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Error::argument("job", "is running")),
        }
    }
}

/// Does something to a job that is not running.
///
/// # Safety
/// `job` is NULL or a live handle.
unsafe fn with(
    job: *const imgroup_job,
    error: *mut *mut imgroup_error,
    body: impl FnOnce(&mut Inner) -> Result<()>,
) -> i32 {
    guard(error, || {
        // SAFETY: the same promise.
        let shared = unsafe { handle::enter(job, "job") }?;
        body(&mut *shared.value.inner()?)
    })
}

/// What any thread may ask for at any time.
///
/// # Safety
/// As [`with`].
unsafe fn ask<T>(job: *const imgroup_job, otherwise: T, body: impl FnOnce(&Shared) -> Option<T>) -> T {
    // SAFETY: the same promise.
    let answer = guard_or(None, || body(&unsafe { handle::enter(job, "job") }.ok()?.value));
    answer.unwrap_or(otherwise)
}

/// A format by its name, or by the ending of the path for NULL.
///
/// # Safety
/// `format` is NULL or a NUL-terminated text.
unsafe fn format_of(format: *const c_char, path: &Path) -> Result<Format> {
    if format.is_null() {
        return Ok(Format::of_path(path));
    }
    // SAFETY: the same promise.
    let name = unsafe { input::text(format, "format") }?;
    Format::of_name(name).ok_or_else(|| Error::argument("format", "must be csv, tsv or jsonl"))
}

/// Makes a job, new or to go on with the one that the journal holds.
///
/// @param client   who sends; the job keeps it alive. imgroup_client_shutdown ends
///                 a run at once, resumable.
/// @param command  one of enum imgroup_job_command.
/// @param journal  the path of a file, which the first run makes. It is bound to
///                 the command, the app, the partition and the input; all else may
///                 change between runs.
/// @param job      out: the handle; free it with imgroup_job_free.
/// @param error    out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE or an argument error. Nothing is opened
///         yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_job_new(
    client: *mut imgroup_client,
    command: i32,
    journal: *const c_char,
    job: *mut *mut imgroup_job,
    error: *mut *mut imgroup_error,
) -> i32 {
    handle::put(job, std::ptr::null_mut());
    guard(error, || {
        handle::required(job, "job")?;
        // SAFETY: the caller passes NULL or a live handle, NULL or a NUL-terminated
        // text.
        let (client, journal) = unsafe {
            (handle::enter(client.cast_const(), "client")?, Path::new(input::text(journal, "journal")?))
        };
        let command = match command {
            1 => Command::Delete,
            2 => Command::Export,
            other => return Err(Error::argument("command", format_args!("must be 1 or 2, not {other}"))),
        };
        let core = Job::new(Arc::clone(&client.value), command, journal)?;
        let shared = Shared {
            handle: core.handle(),
            inner: Mutex::new(Inner { job: core, progress: None, stopped_by: None }),
        };
        handle::put(job, handle::give_shared(shared));
        Ok(())
    })
}

/// Takes only the accounts of one part, so that several machines share an input: an
/// account is always in the same part. More machines do not go faster, as the pace
/// is the app's; they go on when one is lost.
///
/// @param job    the job.
/// @param index  which part: 1 to `count`.
/// @param count  how many parts: 1 to 65536. 1/1 is the default.
/// @param error  out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_job_set_partition(
    job: *mut imgroup_job,
    index: u32,
    count: u32,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle.
    unsafe { with(job, error, |inner| inner.job.set_partition(index, count)) }
}

/// Sets how many rows may be deleted, those of earlier runs included. The run stops
/// before there are more, with IMGROUP_E_JOB_STOPPED.
///
/// @param job    the job.
/// @param rows   the limit; 0 for none, the default.
/// @param error  out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_job_set_max_deletes(
    job: *mut imgroup_job,
    rows: u64,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle.
    unsafe { with(job, error, |inner| inner.job.set_max_deletes(rows)) }
}

/// Sets the share of a run's rows that may fail or stay unknown. The run stops with
/// IMGROUP_E_JOB_STOPPED when there are more, counted after 1000 rows.
///
/// @param job    the job.
/// @param share  0 to 1; 0.5 is the default.
/// @param error  out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_job_set_max_failures(
    job: *mut imgroup_job,
    share: f64,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle.
    unsafe { with(job, error, |inner| inner.job.set_max_failures(share)) }
}

/// Sets how many connections, each with a thread, a run uses at most.
///
/// @param job          the job.
/// @param connections  1 to 256; 0, the default, for as many as latency needs, up
///                     to 64.
/// @param error        out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_job_set_connections(
    job: *mut imgroup_job,
    connections: u32,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle.
    unsafe { with(job, error, |inner| inner.job.set_connections(connections)) }
}

/// Sets for how long a run goes on trying while the service cannot be reached.
/// Until then an outage costs time and no rows. A run that never reached the service
/// stops after 5000 ms at most.
///
/// @param job    the job.
/// @param ms     100 to 86400000 milliseconds; 0 for the default of 60000.
/// @param error  out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_job_set_give_up_ms(
    job: *mut imgroup_job,
    ms: u32,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle.
    unsafe { with(job, error, |inner| inner.job.set_give_up_ms(ms)) }
}

/// Takes the rows from a file, which imgroup_job_run reads whole and checks before
/// it sends anything. A journal that was begun needs no input any more; if one is
/// given, it must be the same, or the run is refused with IMGROUP_E_JOB_MISMATCH.
///
/// CSV and TSV begin with a header line; the columns "account" and, unless it is an
/// export, "list" count, others are ignored. A line of JSONL is an object with these
/// members. One row names one list.
///
/// @param job     the job, to which no row was pushed.
/// @param path    the file; "/dev/stdin" for standard input.
/// @param format  "csv", "tsv" or "jsonl"; NULL to go by the ending of the path,
///                CSV if it says nothing.
/// @param error   out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE or an argument error. The file is opened by
///         imgroup_job_run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_job_set_input_file(
    job: *mut imgroup_job,
    path: *const c_char,
    format: *const c_char,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle, NULL or NUL-terminated texts.
    unsafe {
        with(job, error, |inner| {
            let path = Path::new(input::text(path, "path")?);
            inner.job.set_input_file(path, Some(format_of(format, path)?))
        })
    }
}

/// Sets who is told how the job goes on.
///
/// The callback runs on the thread that is inside imgroup_job_run, about ten times a
/// second once requests leave, and a last time at the end. It may call
/// imgroup_job_count, imgroup_job_pause and imgroup_job_cancel. It must not call the
/// same client and must not throw or jump out.
///
/// @param job       the job.
/// @param progress  the receiver; NULL for none.
/// @param userdata  passed to `progress`. The library takes it over in any case,
///                  also when this function fails.
/// @param drop      called with `userdata` when the job does not use it any more;
///                  may be NULL.
/// @param error     out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE or IMGROUP_E_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_job_set_progress(
    job: *mut imgroup_job,
    progress: imgroup_job_callback,
    userdata: *mut c_void,
    drop: imgroup_drop_callback,
    error: *mut *mut imgroup_error,
) -> i32 {
    let userdata = Userdata { pointer: userdata, drop };
    // SAFETY: the caller passes NULL or a live handle.
    unsafe {
        with(job, error, move |inner| {
            inner.progress = progress.map(|progress| (progress, userdata));
            Ok(())
        })
    }
}

/// Takes one row. It is checked now and sent by imgroup_job_run. The first one opens
/// the journal. To go on with a journal that was begun, push nothing, or the same
/// rows in the same order.
///
/// @param job      the job, which has no input file.
/// @param account  whose list: 1 to 32 bytes.
/// @param list     which list: 1 to 30 bytes; NULL for an export.
/// @param error    out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE, an argument error, or, from the journal,
///         IMGROUP_E_CONFIG, IMGROUP_E_JOB_BUSY, IMGROUP_E_JOB_MISMATCH,
///         IMGROUP_E_JOB_CORRUPT or IMGROUP_E_RESOURCE, as imgroup_job_run. A row that was refused is not part of the job; the
///         others are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_job_push(
    job: *mut imgroup_job,
    account: *const c_char,
    list: *const c_char,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle, NULL or NUL-terminated texts.
    unsafe {
        with(job, error, |inner| {
            let account = input::text(account, "account")?;
            let list = if list.is_null() { "" } else { input::text(list, "list")? };
            inner.job.push(account, list)
        })
    }
}

/// Runs the job until every row has ended or something stops it. Blocks, without a
/// deadline; imgroup_job_pause and imgroup_job_cancel end it from other threads.
///
/// Whatever stopped it, a crash or kill -9 included, nothing is lost: run a job with
/// the same journal again, this one or a new one, and it goes on. Requests that were
/// in flight when the process was killed are sent again, which does no harm, and
/// their rows are named in the report. A run holds the journal alone.
///
/// @param job    the job.
/// @param error  out, may be NULL: why it stopped.
/// @return IMGROUP_OK when every row has ended, be it badly: imgroup_job_count and
///         imgroup_job_report tell.
///         IMGROUP_E_JOB_STOPPED after imgroup_job_pause, or at a limit that was
///         set; IMGROUP_E_CANCELLED after imgroup_job_cancel; IMGROUP_E_SHUTDOWN
///         after imgroup_client_shutdown.
///         The service's code when it refuses the credentials, or that of the
///         network when it could not be reached for too long.
///         IMGROUP_E_INVALID_ARGUMENT if rows of the input are wrong (the message
///         names the first), there is no input, or the job is running already.
///         IMGROUP_E_CONFIG if the journal cannot be opened, IMGROUP_E_JOB_BUSY if
///         another run holds it, IMGROUP_E_JOB_MISMATCH if it belongs to another
///         job, IMGROUP_E_JOB_CORRUPT if it is damaged, IMGROUP_E_RESOURCE if it
///         cannot be written; or IMGROUP_E_HANDLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_job_run(job: *mut imgroup_job, error: *mut *mut imgroup_error) -> i32 {
    // SAFETY: the caller passes NULL or a live handle. The callback is the caller's
    // own function, on the caller's own pointer.
    unsafe {
        with(job, error, |inner| {
            let Inner { job: core, progress, stopped_by } = inner;
            let result = core.run(&mut |_| {
                if let Some((progress, userdata)) = progress {
                    progress(userdata.pointer, job);
                }
            });
            *stopped_by = core.stopped_by().map(c_text);
            result
        })
    }
}

/// Lets a run end soon: nothing new is sent, what is in flight is waited for. Before
/// a run, the next one ends at once. Does nothing for NULL.
///
/// Any thread may call this, also while another one is inside imgroup_job_run, but
/// not during or after imgroup_job_free.
///
/// @param job  the job.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_job_pause(job: *mut imgroup_job) {
    // SAFETY: the caller passes NULL or a live handle.
    unsafe {
        ask(job, (), |shared| {
            shared.handle.pause();
            None
        });
    }
}

/// As imgroup_job_pause, but what is in flight is ended too, within 50 ms. It is sent
/// again when the job goes on.
///
/// @param job  the job.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_job_cancel(job: *mut imgroup_job) {
    // SAFETY: the caller passes NULL or a live handle.
    unsafe {
        ask(job, (), |shared| {
            shared.handle.cancel();
            None
        });
    }
}

/// How far the job is, in the run that is under way or was the last.
///
/// Any thread may call this, as imgroup_job_pause.
///
/// @param job   a job, or NULL.
/// @param what  one of enum imgroup_job_counter.
/// @return the number; 0 before the first run, for another number, or for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_job_count(job: *const imgroup_job, what: i32) -> u64 {
    let number = |shared: &Shared| {
        let progress = shared.handle.progress();
        Some(match what {
            1 => progress.rows,
            2 => progress.done,
            3 => progress.already_gone,
            4 => progress.failed,
            5 => progress.unknown,
            6 => progress.resumed,
            7 => progress.requests,
            8 => progress.connections,
            9 => progress.waited_ms,
            10 => progress.elapsed_ms,
            _ => return None,
        })
    };
    // SAFETY: the caller passes NULL or a live handle.
    unsafe { ask(job, 0, number) }
}

/// Why the last run stopped before the end, as one word: "pause", "cancel",
/// "credentials", "unreachable", "failures", "max_deletes", "journal", "spool",
/// "threads" or "shutdown".
///
/// @param job  a job, or NULL.
/// @return a text borrowed from the job until its next run; NULL if the last run
///         came to its end or never began sending.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_job_stopped_by(job: *const imgroup_job) -> *const c_char {
    // SAFETY: the caller passes NULL or a live handle.
    unsafe { ask(job, std::ptr::null(), |shared| Some(shared.inner().ok()?.stopped_by.as_ref()?.as_ptr())) }
}

/// The report of the last run: totals, failures by code, the rows that were sent
/// again after a kill, the rate over time.
///
/// @param job    the job.
/// @param text   out: a JSON object; free it with imgroup_string_free. Members may
///               be added in later versions.
/// @param error  out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE, or IMGROUP_E_INVALID_ARGUMENT also if the
///         job has not run yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_job_report(
    job: *const imgroup_job,
    text: *mut *mut c_char,
    error: *mut *mut imgroup_error,
) -> i32 {
    handle::put(text, std::ptr::null_mut());
    // SAFETY: the caller passes NULL or a live handle.
    unsafe {
        with(job, error, |inner| {
            handle::required(text, "text")?;
            handle::put(text, c_text(&inner.job.report()?).into_raw());
            Ok(())
        })
    }
}

/// Writes the report of the last run to a file, and as a page to look at to the same
/// name with the ending ".html".
///
/// @param job    the job.
/// @param path   the JSON file; what is there is replaced.
/// @param error  out, may be NULL: why it failed.
/// @return IMGROUP_OK, IMGROUP_E_HANDLE, IMGROUP_E_RESOURCE if it cannot be written,
///         or an argument error, also if the job has not run yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_job_write_report(
    job: *const imgroup_job,
    path: *const c_char,
    error: *mut *mut imgroup_error,
) -> i32 {
    // SAFETY: the caller passes NULL or a live handle, NULL or a NUL-terminated text.
    unsafe { with(job, error, |inner| inner.job.write_report(Path::new(input::text(path, "path")?))) }
}

/// Writes the rows that failed or are unknown, those of earlier runs with this
/// journal included, in a form that is an input again, with the reasons beside them.
/// A new job with a journal of its own tries them again.
///
/// @param job     the job.
/// @param path    the file; what is there is replaced.
/// @param format  as for imgroup_job_set_input_file.
/// @param rows    out, may be NULL: how many; 0 on failure.
/// @param error   out, may be NULL: why it failed.
/// @return as imgroup_job_write_report, and IMGROUP_E_JOB_MISMATCH or
///         IMGROUP_E_JOB_CORRUPT from the journal.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_job_write_failed(
    job: *const imgroup_job,
    path: *const c_char,
    format: *const c_char,
    rows: *mut u64,
    error: *mut *mut imgroup_error,
) -> i32 {
    handle::put(rows, 0);
    // SAFETY: the caller passes NULL or a live handle, NULL or NUL-terminated texts.
    unsafe {
        with(job, error, |inner| {
            let path = Path::new(input::text(path, "path")?);
            handle::put(rows, inner.job.write_failed(path, format_of(format, path)?)?);
            Ok(())
        })
    }
}

/// Writes the lists that an export found, as CSV with the columns account, list and
/// friends, which is how many are in the list.
///
/// @param job    the job.
/// @param path   the file; what is there is replaced.
/// @param lists  out, may be NULL: how many; 0 on failure.
/// @param error  out, may be NULL: why it failed.
/// @return as imgroup_job_write_failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_job_write_lists(
    job: *const imgroup_job,
    path: *const c_char,
    lists: *mut u64,
    error: *mut *mut imgroup_error,
) -> i32 {
    handle::put(lists, 0);
    // SAFETY: the caller passes NULL or a live handle, NULL or a NUL-terminated text.
    unsafe {
        with(job, error, |inner| {
            let path = Path::new(input::text(path, "path")?);
            handle::put(lists, inner.job.write_lists_file(path)?);
            Ok(())
        })
    }
}

/// Frees a job. Its files stay, to go on with; of rows that were pushed and never
/// run, everything is removed, which is the one case of a free that works on files.
/// A run that another thread is inside goes on and ends normally; to end it too,
/// call imgroup_job_cancel first.
///
/// @param job  a job, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgroup_job_free(job: *mut imgroup_job) {
    // SAFETY: the caller gives the handle up.
    guard_or((), || unsafe { handle::leave(job) });
}
