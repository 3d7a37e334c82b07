//! The verdict on a failed attempt: which code, what may have become of the
//! request, and whether to try again.

#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use crate::call::Stop;
use crate::codes::{self, Certainty, Class, Retry};
use crate::credentials::Ticket;
use crate::envelope::Envelope;
use crate::error::Outcome;
use crate::lost::Lost;
use crate::transport::Reply;

/// A clock that differs by more explains a refused ticket.
pub(crate) const CLOCK_ERROR_S: i64 = 60;

/// A failed attempt.
pub(crate) struct Failed {
    pub code: i32,
    pub class: Class,
    pub text: String,
    pub display: String,
    pub http_status: u16,
    pub outcome: Outcome,
    pub retry: Retry,
    pub stale: bool,
    pub unreachable: bool,
    pub stopped: Option<Stop>,
    /// How long the service wants us to wait (HTTP 429 and 503).
    pub retry_after: Option<Duration>,
    pub clock_error_s: i64,
    /// Where and under which `random` it was tried.
    pub host: usize,
    pub random: u32,
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
            host: 0,
            random: 0,
        }
    }

    /// No reply that could be read.
    pub fn of_lost(lost: Lost) -> Failed {
        let outcome = if lost.sent { Outcome::Unknown } else { Outcome::NotSent };
        let retry = if !lost.sent && lost.retry == Retry::Ambiguous { Retry::NotSent } else { lost.retry };
        Failed {
            stale: lost.stale,
            unreachable: lost.unreachable,
            stopped: lost.stopped,
            ..Failed::new(lost.code, lost.message, outcome, retry)
        }
    }

    /// The verdict on a reply; what it says if that is a success.
    pub fn of_reply<'a>(reply: &'a Reply, ticket: &Ticket, key: &str) -> Result<Envelope<'a>, Failed> {
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
                failed.retry_after = reply.retry_after;
            }
            return Err(failed);
        }
        let envelope = match Envelope::parse(&reply.body) {
            Ok(envelope) if envelope.code == codes::OK => return Ok(envelope),
            Ok(envelope) => envelope,
            Err(reason) => {
                let text = format!("the reply could not be understood: {reason}");
                let mut failed = Failed::new(codes::BAD_REPLY, text, Outcome::Unknown, Retry::Ambiguous);
                failed.http_status = status;
                return Err(failed);
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
        Err(failed)
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
    let Some(date) = reply.date else { return 0 };
    match date.duration_since(SystemTime::now()) {
        Ok(ahead) => ahead.as_secs() as i64,
        Err(behind) => -(behind.duration().as_secs() as i64),
    }
}
