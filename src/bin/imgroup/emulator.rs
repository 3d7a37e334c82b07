//! `imgroup emulator`: the local stand-in for the service.

#![forbid(unsafe_code)]

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use imgroup::emulator::{
    AccountDelete, Certificate, DEMO_ADMIN, DEMO_SDKAPPID, DEMO_SECRET_KEY, DeleteNotAFriend, EmptyArrays,
    Emulator, ExistingList, ItemInfo, NonAdmin, NotAFriend, Options, Policy, SuccessInfo, TlsOptions,
    TlsVersions, UnknownList,
};
use serde::Serialize;

/// Run a local stand-in for the service, for tests
///
/// It verifies every UserSig, keeps accounts, friends, lists and blocklists in
/// memory, and answers with the documented shapes, codes and limits. It listens
/// on 127.0.0.1 only, and prints one line of JSON when it is ready:
///
///   {"event":"ready","url":"http://127.0.0.1:40001","pid":4711,
///    "sdkappid":1400000000,"identifier":"administrator"}
///
/// Open URL/_emulator/ in a browser to look inside.
#[derive(Args)]
#[command(after_long_help = CONTROL, verbatim_doc_comment)]
pub struct Arguments {
    /// Port for HTTP; 0 takes a free one, named in the ready line
    #[arg(long, default_value_t = 0, help_heading = "Listening")]
    port: u16,
    /// Speak HTTPS too, with a certificate authority made for this run
    #[arg(long, help_heading = "Listening")]
    tls: bool,
    /// Port for HTTPS; 0 takes a free one
    #[arg(long, default_value_t = 0, requires = "tls", help_heading = "Listening")]
    tls_port: u16,
    /// Where the authority's certificate is written [default: a temporary file, removed at the end]
    #[arg(long, value_name = "PATH", requires = "tls", help_heading = "Listening")]
    ca_file: Option<PathBuf>,
    /// What the HTTPS side shows: valid, expired, future, other-name, self-signed
    #[arg(long, value_name = "KIND", default_value_t, requires = "tls", help_heading = "Listening")]
    certificate: Certificate,
    /// Protocol versions of the HTTPS side: both, 1.2, 1.3
    #[arg(long, value_name = "VERSION", default_value_t, requires = "tls", help_heading = "Listening")]
    tls_versions: TlsVersions,
    /// Close connections that are idle this long; 0 never
    #[arg(long, value_name = "MS", default_value_t = 75_000, help_heading = "Listening")]
    idle_timeout_ms: u64,
    /// End when standard input ends: with the parent, however that ends
    #[arg(long, help_heading = "Listening")]
    exit_on_stdin_eof: bool,

    /// The app that is served
    #[arg(long, env = "IMGROUP_SDKAPPID", default_value_t = DEMO_SDKAPPID, help_heading = "App")]
    sdkappid: u32,
    /// File with the app's secret key [default: IMGROUP_SECRET_KEY, else the demo key]
    ///
    /// The demo key is obviously fake and the same everywhere. A key is never
    /// taken from the command line, where others can read it.
    #[arg(long, value_name = "PATH", help_heading = "App")]
    secret_key_file: Option<PathBuf>,
    /// Who may sign requests; may be given several times
    #[arg(long = "admin", value_name = "IDENTIFIER", env = "IMGROUP_IDENTIFIER", default_value = DEMO_ADMIN, value_delimiter = ',', help_heading = "App")]
    admins: Vec<String>,
    /// Accounts that exist from the start
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', help_heading = "App")]
    seed_accounts: Vec<String>,
    /// State to begin with, as GET /_emulator/state gives it
    #[arg(long, value_name = "PATH", help_heading = "App")]
    seed_state: Option<PathBuf>,

    /// Requests a second of each command, over a sliding second; 0 is no limit
    ///
    /// account_check, account_delete and multiaccount_import get half, as
    /// documented (200 and 100). What is too much is answered with 60007.
    #[arg(long, value_name = "N", default_value_t = 200, help_heading = "Pace")]
    quota: u32,
    /// How long a write takes; meanwhile another write on the account gets 30008
    #[arg(long, value_name = "MS", default_value_t = 1, help_heading = "Pace")]
    write_time_ms: u64,
    /// Answer 60008 when the service takes longer; the real one does after 3000. 0 never
    #[arg(long, value_name = "MS", default_value_t = 0, help_heading = "Pace")]
    gateway_timeout_ms: u64,

    /// Deleting a list that does not exist: ok, 30001, 32309
    ///
    /// ok: today's page lists no error for it. 30001: what similar private codes
    /// became in 2019. 32309: documented until 2018. With the codes the whole
    /// call is refused.
    #[arg(long, value_name = "ANSWER", default_value_t, help_heading = "Open questions")]
    unknown_list: UnknownList,
    /// Adding a list that exists: 30001, 32218, ok
    ///
    /// 30001: names must not exist yet, say the SDK's documents. 32218: documented
    /// until 2018. ok: the members are added.
    #[arg(long, value_name = "ANSWER", default_value_t, help_heading = "Open questions")]
    existing_list: ExistingList,
    /// Putting somebody into a list who is not a friend: 30001, 32216
    ///
    /// 30001: recorded from the live service in 2020. 32216: the sample on the page.
    #[arg(long, value_name = "ANSWER", default_value_t, help_heading = "Open questions")]
    not_a_friend: NotAFriend,
    /// Deleting somebody who is not a friend: 31704, 30001
    ///
    /// 31704: on the page, and recorded. 30001: in the FAQ.
    #[arg(long, value_name = "ANSWER", default_value_t, help_heading = "Open questions")]
    delete_not_a_friend: DeleteNotAFriend,
    /// A caller who is no admin: 60010, 30004
    ///
    /// 60010: the gateway refuses it. 30004: the service does, unless the caller
    /// acts on itself; one reading of the FAQ.
    #[arg(long, value_name = "ANSWER", default_value_t, help_heading = "Open questions")]
    non_admin: NonAdmin,
    /// ErrorInfo on success: documented, 0, empty
    ///
    /// documented: "0" in group_delete and friend_delete, as their pages show it.
    #[arg(long, value_name = "TEXT", default_value_t, help_heading = "Open questions")]
    success_info: SuccessInfo,
    /// ResultInfo of items that succeeded: observed, ok, empty
    ///
    /// observed: "OK" where the live service was seen to send it in 2020.
    #[arg(long, value_name = "TEXT", default_value_t, help_heading = "Open questions")]
    item_info: ItemInfo,
    /// Array members that would be empty: omit, send, omit-all
    ///
    /// omit: as today. send: as from 2016 to 2018. omit-all: also an empty list's
    /// To_Account and an account's empty lists.
    #[arg(long, value_name = "HOW", default_value_t, help_heading = "Open questions")]
    empty_arrays: EmptyArrays,
    /// Send CurrentSequence in failed list calls too; the documents do not say
    #[arg(long, help_heading = "Open questions")]
    failure_sequence: bool,
    /// The most accounts, beyond which imports get 70398; the trial plan has 100, 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Open questions")]
    account_limit: u32,
    /// account_delete: allow (trial plan), 71000 (paid plan)
    #[arg(long, value_name = "ANSWER", default_value_t, help_heading = "Open questions")]
    account_delete: AccountDelete,
}

const CONTROL: &str = "\
Control, for tests (JSON, no signature):
  GET    /_emulator/                  a page to look at
  GET    /_emulator/health
  GET    /_emulator/state             PUT restores it, DELETE empties it
  GET    /_emulator/requests          ?command= &since=INDEX &limit=; DELETE forgets
  GET    /_emulator/requests/count    ?command=
  GET    /_emulator/arrivals          ?command=; microseconds since the start
  GET    /_emulator/faults            POST orders, DELETE (?id=) takes back
  GET    /_emulator/clock             PUT {\"offset_s\":N} or {\"now\":N}, POST {\"advance_s\":N}
  POST   /_emulator/reset             back to the start

Faults, for the next `times` (1) calls of `command` (any), after `skip` (0) of them:
  {\"kind\":\"error\",\"code\":30006,\"info\":\"...\",\"command\":\"group_delete\",\"when\":\"after\"}
  {\"kind\":\"http\",\"status\":502,\"headers\":{},\"body\":\"...\"}   or body_base64
  {\"kind\":\"delay\",\"delay_ms\":500}          delay_ms goes with every kind
  {\"kind\":\"reset\"}  {\"kind\":\"hang_up\"}  {\"kind\":\"silence\"}  {\"kind\":\"close\"}
  {\"kind\":\"truncate\",\"bytes\":40}  {\"kind\":\"garbage\",\"body\":\"...\"}
  {\"kind\":\"dribble\",\"pause_ms\":10,\"step\":1,\"bytes\":40}
  when: before (the call is never carried out), after (it is), head (before its body is read)
  then: keep, close, reset, stall (for truncate, garbage, dribble); close_notify: true for TLS
  command \"@accept\": new connections; account \"alice\": calls about that account

Exit status: 0 after SIGTERM, SIGINT or the end of standard input; 1 if it cannot start.";

/// What a parent reads to know where to go.
#[derive(Serialize)]
struct Ready<'a> {
    event: &'static str,
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<&'a std::path::Path>,
    pid: u32,
    sdkappid: u32,
    identifier: &'a str,
}

/// Runs until it is told to end.
pub fn run(arguments: Arguments) -> ExitCode {
    match serve(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("imgroup emulator: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: Arguments) -> std::io::Result<()> {
    let exit_on_stdin_eof = arguments.exit_on_stdin_eof;
    let options = arguments.options()?;
    let (sdkappid, identifier) = (options.sdkappid, options.admins[0].clone());
    // Signals are caught before anybody can know that there is something to signal.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _context = runtime.enter();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    let emulator = Emulator::start(options)?;

    let ready = Ready {
        event: "ready",
        url: emulator.url(),
        tls_url: emulator.tls_url(),
        ca_file: emulator.ca_file(),
        pid: std::process::id(),
        sdkappid,
        identifier: &identifier,
    };
    let ready = serde_json::to_string(&ready).map_err(std::io::Error::other)?;
    let mut output = std::io::stdout().lock();
    writeln!(output, "{ready}")?;
    output.flush()?;
    drop(output);

    let (at_end, mut ended) = tokio::sync::mpsc::channel::<()>(1);
    if exit_on_stdin_eof {
        // A thread of its own: a blocked read of standard input cannot be given up.
        std::thread::spawn(move || {
            let mut drain = [0; 4096];
            while matches!(std::io::stdin().read(&mut drain), Ok(length) if length > 0) {}
            let _ = at_end.blocking_send(());
        });
    }
    runtime.block_on(async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = ended.recv(), if exit_on_stdin_eof => {}
        }
    });
    emulator.stop();
    Ok(())
}

impl Arguments {
    fn options(self) -> std::io::Result<Options> {
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path)
                .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display())))
        };
        let secret_key = match &self.secret_key_file {
            Some(path) => read(path)?.trim_end_matches(['\r', '\n']).to_owned(),
            None => std::env::var("IMGROUP_SECRET_KEY").unwrap_or_default(),
        };
        let secret_key = if secret_key.is_empty() && self.secret_key_file.is_none() {
            DEMO_SECRET_KEY.to_owned()
        } else {
            secret_key
        };
        if secret_key.is_empty() {
            return Err(std::io::Error::other("the secret key file is empty"));
        }
        let tls = self.tls.then(|| TlsOptions {
            port: self.tls_port,
            ca_file: self.ca_file.clone(),
            certificate: self.certificate,
            versions: self.tls_versions,
        });
        Ok(Options {
            port: self.port,
            tls,
            sdkappid: self.sdkappid,
            secret_key,
            admins: self.admins,
            quota: self.quota,
            write_time: Duration::from_millis(self.write_time_ms),
            gateway_timeout: Duration::from_millis(self.gateway_timeout_ms),
            idle_timeout: Duration::from_millis(self.idle_timeout_ms),
            seed_accounts: self.seed_accounts,
            seed_state: self.seed_state.as_ref().map(read).transpose()?,
            policy: Policy {
                unknown_list: self.unknown_list,
                existing_list: self.existing_list,
                not_a_friend: self.not_a_friend,
                delete_not_a_friend: self.delete_not_a_friend,
                non_admin: self.non_admin,
                success_info: self.success_info,
                item_info: self.item_info,
                empty_arrays: self.empty_arrays,
                failure_sequence: self.failure_sequence,
                account_limit: self.account_limit,
                account_delete: self.account_delete,
            },
            ..Options::default()
        })
    }
}
