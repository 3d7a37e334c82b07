//! One request from its head to its answer.

#![forbid(unsafe_code)]

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::command::{Command, Family};
use super::faults::{Effect, Fault, When};
use super::fields::Fields;
use super::gateway::{self, Admitted, Target};
use super::journal::{Heading, Verdict};
use super::reply::{self, Refusal};
use super::service::{self, Context};
use super::shared::{Shared, Writing};
use super::wire::{Plan, Slot};

/// What a handler knows of the connection it answers on.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub id: u64,
    pub tls: bool,
    pub slot: Slot,
}

/// An answer, and what is to be done to its bytes.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
    plan: Option<Plan>,
    silent: bool,
}

/// Answers anything that is not a control request.
pub(crate) async fn handle(
    State(shared): State<Arc<Shared>>,
    Extension(connection): Extension<Connection>,
    request: Request,
) -> Response {
    let arrival_us = shared.micros();
    let (parts, body) = request.into_parts();
    let target = Target::new(parts.method, &parts.uri);
    let name = target.command.map_or("", |command| command.name);
    let index = shared.journal().arrive(Heading {
        arrival_us,
        connection: connection.id,
        tls: connection.tls,
        method: target.method.to_string(),
        path: target.path.clone(),
        command: target.command.map(|command| command.name),
        sdkappid: target.sdkappid.clone(),
        identifier: target.identifier.clone(),
        random: target.random.clone(),
        usersig_length: target.usersig.len(),
    });
    let mut call = Call { shared: Arc::clone(&shared), index, played: None };

    let early = shared.faults().draw_head(name);
    if let Some(fault) = early {
        tokio::time::sleep(fault.delay).await;
        call.played = Some((fault.id, fault.kind));
        if fault.kind != "delay" {
            let (answer, verdict) = call.play(&fault, None, false, family(target.command));
            shared.journal().finish(index, verdict);
            // The body was never read, so the connection is of no further use.
            drop(body);
            return respond(&shared, &connection, answer, true).await;
        }
    }
    let body = match collect(body, shared.options.body_max).await {
        Ok(body) => body,
        Err(too_long) => {
            let status = if too_long { 413 } else { 400 };
            let text = if too_long { "the body is too long" } else { "the body could not be read" };
            let verdict = Verdict { text: text.into(), http_status: status, ..Verdict::default() };
            shared.journal().finish(index, verdict);
            let answer = Answer { status, headers: vec![], body: Bytes::new(), plan: None, silent: false };
            return respond(&shared, &connection, answer, true).await;
        }
    };
    shared.journal().body(index, &body);
    let is_head = target.method == Method::HEAD;
    let admitted = gateway::admit(&shared, &target, &body, arrival_us);
    let account = account(&admitted).map(str::to_owned);
    let fault = shared.faults().draw_call(name, account.as_deref());
    let family = family(target.command);

    let takes_time = fault.as_ref().is_some_and(|fault| !fault.delay.is_zero())
        || (!shared.options.write_time.is_zero()
            && admitted.as_ref().is_ok_and(|admitted| admitted.command.writes));
    let work = call.carry_out(admitted, account, fault, family);
    let mut answer = if takes_time {
        // The service goes on with what it began, whether or not the client waits.
        let task = tokio::spawn(work);
        let patience = shared.options.gateway_timeout;
        let done =
            if patience.is_zero() { Ok(task.await) } else { tokio::time::timeout(patience, task).await };
        match done {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => {
                Answer { status: 500, headers: vec![], body: Bytes::new(), plan: None, silent: false }
            }
            Err(_) => {
                let verdict = Verdict {
                    code: 60008,
                    text: reply::text(60008).into(),
                    http_status: 200,
                    ..Verdict::default()
                };
                shared.journal().give_up(index, verdict);
                json(reply::failure(60008, reply::text(60008), None, None))
            }
        }
    } else {
        work.await
    };
    if is_head {
        answer.body = Bytes::new();
    }
    respond(&shared, &connection, answer, false).await
}

fn family(command: Option<&'static Command>) -> Option<Family> {
    command.map(|command| command.family)
}

/// Whose account a request is about: what faults can be aimed at.
fn account(admitted: &Result<Admitted, Refusal>) -> Option<&str> {
    let body = &admitted.as_ref().ok()?.body;
    body.get("From_Account").or_else(|| body.get("UserID"))?.as_str()
}

/// The body, or whether it was too long.
async fn collect(body: Body, most: usize) -> Result<Bytes, bool> {
    match Limited::new(body, most).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => Err(error.is::<LengthLimitError>()),
    }
}

fn json(text: String) -> Answer {
    Answer { status: 200, headers: vec![], body: Bytes::from(text), plan: None, silent: false }
}

/// One request that has its number in the journal.
struct Call {
    shared: Arc<Shared>,
    index: u64,
    /// A fault that came before the body.
    played: Option<(u64, &'static str)>,
}

/// What the service said, before a fault spoils it.
struct Outcome {
    text: String,
    code: i64,
    info: String,
    applied: bool,
}

impl Call {
    /// Plays the fault if there is one, and calls the service if that is right.
    async fn carry_out(
        self,
        admitted: Result<Admitted, Refusal>,
        account: Option<String>,
        fault: Option<Fault>,
        family: Option<Family>,
    ) -> Answer {
        // Two writes on one account collide from here until the first is done.
        let mut writing: Option<Writing> = None;
        let admitted = match (admitted, &account) {
            (Ok(admitted), Some(account))
                if admitted.command.writes && admitted.command.family == Family::Relations =>
            {
                writing = self.shared.begin_write(account);
                if writing.is_some() { Ok(admitted) } else { Err(Refusal::of(30008)) }
            }
            (admitted, _) => admitted,
        };
        let before = fault.as_ref().is_some_and(|fault| fault.when != When::After);
        let delay = fault.as_ref().map(|fault| fault.delay).unwrap_or_default();
        if before {
            pause(delay).await;
        }
        let is_write = admitted.as_ref().is_ok_and(|admitted| admitted.command.writes);
        if is_write {
            pause(self.shared.options.write_time).await;
        }
        // A fault before the call keeps it from happening; a delay merely comes first.
        let prevented = before && fault.as_ref().is_some_and(|fault| fault.kind != "delay");
        let needed = !prevented || fault.as_ref().is_some_and(Fault::wants_reply);
        let outcome = needed.then(|| self.serve(&admitted, family, prevented));
        drop(writing);
        if !before {
            pause(delay).await;
        }
        let (answer, verdict) = match (&fault, outcome) {
            (Some(fault), outcome) => self.play(fault, outcome, prevented, family),
            (None, Some(outcome)) => {
                let verdict = Verdict {
                    code: outcome.code,
                    text: outcome.info,
                    http_status: 200,
                    applied: outcome.applied,
                    fault: self.played,
                };
                (json(outcome.text), verdict)
            }
            (None, None) => unreachable!("without a fault the service is always called"),
        };
        self.shared.journal().finish(self.index, verdict);
        answer
    }

    /// Calls the service; in a rehearsal on a copy, so that nothing stays.
    fn serve(
        &self,
        admitted: &Result<Admitted, Refusal>,
        family: Option<Family>,
        rehearsal: bool,
    ) -> Outcome {
        let admitted = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => return refused(refusal, family.filter(|_| refusal.code == 30008), None),
        };
        let mut store = self.shared.store();
        let mut copy = rehearsal.then(|| store.clone());
        let mut context = Context {
            store: copy.as_mut().unwrap_or(&mut store),
            fields: Fields::new(&admitted.body, admitted.command.family),
            policy: &self.shared.options.policy,
            now: self.shared.clock.now(),
            caller: &admitted.caller,
            is_admin: admitted.is_admin,
        };
        match service::run(admitted.command, &mut context) {
            Ok(reply) => Outcome {
                code: 0,
                info: String::new(),
                applied: admitted.command.writes && !rehearsal,
                text: reply.render(admitted.command.family),
            },
            Err(refusal) => {
                let sequence = service::failure_sequence(admitted.command, &context);
                refused(&refusal, family, sequence)
            }
        }
    }

    /// The answer that a fault makes of the service's own, if there is one.
    fn play(
        &self,
        fault: &Fault,
        outcome: Option<Outcome>,
        prevented: bool,
        family: Option<Family>,
    ) -> (Answer, Verdict) {
        let mut verdict =
            Verdict { fault: Some((fault.id, fault.kind)), http_status: 200, ..Verdict::default() };
        let mut text = String::new();
        if let Some(outcome) = outcome {
            verdict.applied = outcome.applied && !prevented;
            (verdict.code, verdict.text, text) = (outcome.code, outcome.info, outcome.text);
        }
        let mut answer = json(text);
        match &fault.effect {
            Effect::None => {}
            Effect::Error { code, info, display } => {
                let display = (family == Some(Family::Relations)).then_some(display.as_str());
                answer = json(reply::failure(*code, info, display, None));
                (verdict.code, verdict.text) = (*code, info.clone());
            }
            Effect::Http { status, headers, body } => {
                answer.status = *status;
                answer.headers.clone_from(headers);
                answer.body = body.clone();
                (verdict.code, verdict.text, verdict.http_status) = (0, String::new(), *status);
            }
            Effect::Silence => {
                answer.silent = true;
                verdict.http_status = 0;
            }
        }
        if let Some(plan) = &fault.plan {
            if plan.replace.is_some() || plan.limit == Some(0) {
                verdict.http_status = 0;
            }
            answer.plan = Some(plan.clone());
        }
        (answer, verdict)
    }
}

async fn pause(duration: std::time::Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

/// `ErrorDisplay` comes from the relation service, never from the gateway.
fn refused(refusal: &Refusal, family: Option<Family>, sequence: Option<u64>) -> Outcome {
    let display = (family == Some(Family::Relations)).then_some("");
    let info = match &*refusal.detail {
        "" => refusal.info.to_string(),
        detail => format!("{} ({detail})", refusal.info),
    };
    Outcome {
        text: reply::failure(refusal.code.into(), &refusal.info, display, sequence),
        code: refusal.code.into(),
        info,
        applied: false,
    }
}

/// The answer as HTTP, with the headers the service is known to send.
async fn respond(shared: &Shared, connection: &Connection, answer: Answer, last: bool) -> Response {
    if answer.silent {
        // Ends when the client goes away and hyper drops this.
        std::future::pending::<()>().await;
    }
    if let Some(plan) = answer.plan {
        connection.slot.put(plan);
    }
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    if answer.status == 200 {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    if last {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    // A fault may have named a length of its own, which hyper would refuse.
    headers.remove(CONTENT_LENGTH);
    super::server::sign(shared, headers);
    response
}
