//! The core without sockets: a transport that plays a script, and the policy
//! tested on it, reply by reply.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::call::{CallOptions, Running};
use crate::client::Client;
use crate::codes::{self, Retry};
use crate::config::Config;
use crate::error::{Error, Outcome};
use crate::lists::Response;
use crate::lost::Lost;
use crate::transport::{Reply, Request, Transport};

/// One reply, or none.
#[derive(Clone, Debug)]
enum Step {
    Reply(u16, &'static str),
    /// The connection broke: sent or not, on a connection used before or not.
    Lost {
        sent: bool,
        stale: bool,
    },
    /// The host cannot be reached.
    Unreachable,
}

use Step::{Lost as Broken, Reply as Answer, Unreachable};

const FINE: Step = Answer(200, r#"{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"0","CurrentSequence":7}"#);
const MISSING: Step = Answer(200, r#"{"ActionStatus":"FAIL","ErrorCode":30001,"ErrorInfo":"x"}"#);
const INTERNAL: Step = Answer(200, r#"{"ActionStatus":"FAIL","ErrorCode":30006,"ErrorInfo":"x"}"#);
const NO_LISTS: Step =
    Answer(200, r#"{"ActionStatus":"OK","ErrorCode":0,"ResultItem":[],"CurrentSequence":8}"#);
const ONE_LIST: Step = Answer(
    200,
    r#"{"ErrorCode":0,"ResultItem":[{"GroupName":"Work","FriendNumber":0}],"CurrentSequence":8}"#,
);
const LOST: Step = Broken { sent: true, stale: false };
const UNSENT: Step = Broken { sent: false, stale: false };
const STALE: Step = Broken { sent: true, stale: true };
const STALE_UNSENT: Step = Broken { sent: false, stale: true };

#[derive(Default)]
struct Script {
    steps: Mutex<VecDeque<Step>>,
    /// Command, host and body of each request, in order.
    sent: Mutex<Vec<(String, usize, String)>>,
}

impl Transport for Script {
    fn exchange(&self, request: Request<'_>, _: &Running) -> Result<Reply, Lost> {
        let command = request.target.split(['/', '?']).nth(3).unwrap().to_owned();
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        self.sent.lock().unwrap().push((command, request.host, body));
        let lost = |code, sent, stale, retry, unreachable| {
            Err(Lost { code, message: "scripted".into(), sent, stale, retry, unreachable, stopped: None })
        };
        match self.steps.lock().unwrap().pop_front().expect("the script is long enough") {
            Answer(status, body) => Ok(Reply { status, body: body.into(), ..Reply::default() }),
            Broken { sent, stale } => lost(codes::IO, sent, stale, Retry::Ambiguous, false),
            Unreachable => lost(codes::CONNECT, false, false, Retry::NotSent, true),
        }
    }
}

fn client(steps: &[Step]) -> (Client, Arc<Script>) {
    let script = Arc::new(Script { steps: Mutex::new(steps.to_vec().into()), ..Script::default() });
    let mut config = Config::new(1400000000, "administrator", "key").unwrap();
    config.set_region("sgp").unwrap();
    config.set_quota_callback(Some(Arc::new(|_: &str| 0)));
    (Client::with_transport(&config, Arc::clone(&script) as Arc<dyn Transport>), script)
}

type Call = fn(&Client) -> Result<Response, Error>;

fn delete(client: &Client) -> Result<Response, Error> {
    client.delete_lists("alice", &["Family", "Work"], &CallOptions::default())
}

fn delete_leniently(client: &Client) -> Result<Response, Error> {
    let options = CallOptions { ignore_missing: true, ..CallOptions::default() };
    client.delete_lists("alice", &["Family", "Work"], &options)
}

fn add(client: &Client) -> Result<Response, Error> {
    client.add_lists("alice", &["Gym"], &[], &CallOptions::default())
}

fn get(client: &Client) -> Result<Response, Error> {
    client.get_lists("alice", &[], false, &CallOptions::default())
}

fn request(client: &Client) -> Result<Response, Error> {
    client.request("v4/sns/friend_delete_all", r#"{"From_Account":"alice"}"#, false, &CallOptions::default())
}

fn flagged(client: &Client) -> Result<Response, Error> {
    client.request("v4/sns/friend_delete_all", r#"{"From_Account":"alice"}"#, true, &CallOptions::default())
}

/// What a row expects: attempts and whether an earlier one is open, or code,
/// outcome and attempts.
type Expected = Result<(u32, bool), (i32, Outcome, u32)>;

#[test]
fn each_script_has_one_right_answer() {
    use Outcome::{NotSent, Rejected, Unknown};
    /// Situation, call, replies, result, commands sent.
    type Row<'a> = (&'a str, Call, &'a [Step], Expected, &'a [&'a str]);
    #[rustfmt::skip]
    let rows: &[Row<'_>] = &[
        ("success", delete, &[FINE], Ok((1, false)), &["group_delete"]),
        ("a delete whose reply is lost is repeated", delete, &[LOST, FINE], Ok((2, true)), &["group_delete"; 2]),
        ("three times lost", delete, &[LOST, LOST, LOST], Err((codes::IO, Unknown, 3)), &["group_delete"; 3]),
        ("an add whose reply is lost is not", add, &[LOST], Err((codes::IO, Unknown, 1)), &["group_add"]),
        ("nor is a request", request, &[LOST], Err((codes::IO, Unknown, 1)), &["friend_delete_all"]),
        ("unless it is flagged", flagged, &[LOST, FINE], Ok((2, true)), &["friend_delete_all"; 2]),
        ("an add that did not leave is", add, &[UNSENT, FINE], Ok((2, false)), &["group_add"; 2]),
        ("a stale connection counts for nothing", get, &[STALE, LOST, LOST, LOST], Err((codes::IO, Unknown, 4)), &["group_get"; 4]),
        ("an add on a stale connection, not sent", add, &[STALE_UNSENT, FINE], Ok((2, false)), &["group_add"; 2]),
        ("an add on a stale connection, sent", add, &[STALE], Err((codes::IO, Unknown, 1)), &["group_add"]),
        ("an ambiguous code, a delete", delete, &[INTERNAL, FINE], Ok((2, true)), &["group_delete"; 2]),
        ("an ambiguous code, an add", add, &[INTERNAL], Err((30006, Unknown, 1)), &["group_add"]),
        ("a refusal after a lost reply leaves it open", add, &[UNSENT, LOST], Err((codes::IO, Unknown, 2)), &["group_add"; 2]),
        ("a definite code", get, &[MISSING], Err((30001, Rejected, 1)), &["group_get"]),
        ("an undocumented code proves nothing", get, &[Answer(200, r#"{"ErrorCode":91234,"ActionStatus":"FAIL"}"#)], Err((91234, Unknown, 1)), &["group_get"]),
        ("a redirect is not followed", get, &[Answer(302, "")], Err((codes::HTTP_STATUS, Unknown, 1)), &["group_get"]),
        ("404 is not repeated", delete, &[Answer(404, "")], Err((codes::HTTP_STATUS, Unknown, 1)), &["group_delete"]),
        ("502 is", delete, &[Answer(502, "<html>"), FINE], Ok((2, true)), &["group_delete"; 2]),
        ("502 and an add", add, &[Answer(502, "<html>")], Err((codes::HTTP_STATUS, Unknown, 1)), &["group_add"]),
        ("an unreadable reply", delete, &[Answer(200, "<html>"), FINE], Ok((2, true)), &["group_delete"; 2]),
        ("an expired ticket is signed anew, once", add, &[Answer(200, r#"{"ErrorCode":70001,"ActionStatus":"FAIL"}"#), FINE], Ok((2, false)), &["group_add"; 2]),
        ("a list is missing", delete, &[MISSING], Err((30001, Rejected, 1)), &["group_delete"]),
        ("missing after a lost reply, and gone", delete, &[LOST, MISSING, NO_LISTS], Ok((2, true)), &["group_delete", "group_delete", "group_get"]),
        ("missing after a lost reply, one is left", delete, &[LOST, MISSING, ONE_LIST, FINE], Ok((3, true)), &["group_delete", "group_delete", "group_get", "group_delete"]),
        ("missing, and that is no failure", delete_leniently, &[MISSING, NO_LISTS], Ok((1, false)), &["group_delete", "group_get"]),
        ("missing, no failure, but unreadable", delete_leniently, &[MISSING, LOST, LOST, LOST], Err((30001, Unknown, 1)), &["group_delete", "group_get", "group_get", "group_get"]),
        ("nobody there", add, &[Unreachable, Unreachable, Unreachable], Err((codes::CONNECT, NotSent, 3)), &["group_add"; 3]),
    ];
    for (situation, call, steps, expected, commands) in rows {
        let (client, script) = client(steps);
        let result = call(&client);
        let short = result
            .as_ref()
            .map(|response| (response.attempts, response.was_ambiguous))
            .map_err(|error| (error.code(), error.outcome(), error.attempts()));
        assert_eq!(short, *expected, "{situation}: {result:?}");
        let sent = script.sent.lock().unwrap();
        assert_eq!(
            sent.iter().map(|(command, ..)| command.as_str()).collect::<Vec<_>>(),
            *commands,
            "{situation}"
        );
        assert!(script.steps.lock().unwrap().is_empty(), "{situation}: replies are left");
    }
}

#[test]
fn what_is_left_is_sent_again_alone() {
    let (client, script) = client(&[LOST, MISSING, ONE_LIST, FINE]);
    delete(&client).unwrap();
    let sent = script.sent.lock().unwrap();
    assert_eq!(sent.last().unwrap().2, r#"{"From_Account":"alice","GroupName":["Work"]}"#);
}

#[test]
fn an_unreachable_primary_gives_its_backup_one_try() {
    let (client, script) = client(&[Unreachable, FINE, Unreachable, Unreachable, Unreachable]);
    get(&client).unwrap();
    let error = get(&client).unwrap_err();
    assert_eq!((error.code(), error.outcome()), (codes::CONNECT, Outcome::NotSent));
    let hosts: Vec<_> = script.sent.lock().unwrap().iter().map(|(_, host, _)| *host).collect();
    assert_eq!(hosts, [0, 1, 0, 1, 0]);
    assert_eq!(error.host(), "adminapisgp.im.qcloud.com");
}

#[test]
fn fatal_credentials_are_answered_locally() {
    let (client, script) = client(&[Answer(200, r#"{"ErrorCode":70009,"ActionStatus":"FAIL"}"#)]);
    assert_eq!(get(&client).unwrap_err().outcome(), Outcome::Rejected);
    let error = delete(&client).unwrap_err();
    assert_eq!((error.code(), error.outcome(), error.attempts()), (70009, Outcome::NotSent, 0));
    assert!(error.message().contains("answered locally"), "{error}");
    assert_eq!(script.sent.lock().unwrap().len(), 1);
}

#[test]
fn a_retry_that_would_come_too_late_is_not_waited_for() {
    let (client, script) = client(&[LOST]);
    let options = CallOptions { timeout: Some(Duration::from_millis(200)), ..CallOptions::default() };
    let error = client.delete_lists("alice", &["Family"], &options).unwrap_err();
    assert_eq!((error.code(), error.outcome()), (codes::IO, Outcome::Unknown));
    assert!(error.message().contains("no time left for another attempt"), "{error}");
    assert_eq!(script.sent.lock().unwrap().len(), 1);
}

#[test]
fn a_refused_retry_tells_of_the_attempt_before() {
    let (_, script) =
        client(&[Answer(200, r#"{"ErrorCode":60007,"ActionStatus":"FAIL","ErrorInfo":"too often"}"#)]);
    let asked = AtomicU32::new(0);
    let mut config = Config::new(1400000000, "administrator", "key").unwrap();
    config.set_region("sgp").unwrap();
    let first_only = move |_: &str| if asked.fetch_add(1, Ordering::SeqCst) == 0 { 0 } else { -1 };
    config.set_quota_callback(Some(Arc::new(first_only)));
    let client = Client::with_transport(&config, Arc::clone(&script) as Arc<dyn Transport>);
    let error = get(&client).unwrap_err();
    assert_eq!((error.code(), error.outcome(), error.attempts()), (codes::QUOTA, Outcome::Rejected, 1));
    assert_eq!((error.host(), error.http_status()), ("adminapisgp.im.qcloud.com", 200));
    assert!(error.random().is_some());
    let told =
        "the attempt before met ERR_SVR_COMM_REST_FREQ_LIMIT: this command is called more often than allowed";
    assert!(error.message().contains(told), "{error}");
}
