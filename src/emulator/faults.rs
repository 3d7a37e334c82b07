//! The queue of faults: what shall go wrong, for which calls, how often.
//!
//! The first queued fault that fits a call is played. `when` decides what a
//! client cannot see from outside: `before` stands in for the call, which is
//! never carried out; `after` carries it out and spoils the answer; `head` acts
//! before the body of the request is read. A delay belongs to the same moment: before, the
//! write takes that long (and holds its account); after, only the answer does.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use axum::body::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::command::COMMANDS;
use super::journal::last_segment;
use super::wire::{End, Plan};

/// The name that stands for connections instead of a command.
pub(crate) const ACCEPT: &str = "@accept";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum When {
    Head,
    Before,
    After,
}

/// A fault as a test asks for it, and as `GET` shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    kind: String,
    #[serde(default = "any")]
    command: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(default = "once")]
    times: u64,
    #[serde(default)]
    skip: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    when: Option<When>,
    #[serde(default)]
    delay_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    info: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pause_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    then: Option<Then>,
    #[serde(default)]
    close_notify: bool,
}

fn any() -> String {
    "*".into()
}

fn once() -> u64 {
    1
}

/// What happens to the connection afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Then {
    Keep,
    Close,
    Reset,
    Stall,
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// The call's own answer.
    None,
    /// A failure of the service.
    Error { code: i64, info: String, display: String },
    /// An answer from something between client and service.
    Http { status: u16, headers: Vec<(String, String)>, body: Bytes },
    /// No answer, and the connection stays.
    Silence,
}

/// A fault that was drawn from the queue for one call.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub id: u64,
    pub kind: &'static str,
    pub when: When,
    pub delay: Duration,
    pub effect: Effect,
    /// What is done to the bytes of the answer.
    pub plan: Option<Plan>,
}

impl Fault {
    /// Whether the call's own answer is needed, if only to be spoiled.
    pub fn wants_reply(&self) -> bool {
        matches!(self.effect, Effect::None)
    }
}

#[derive(Debug)]
struct Queued {
    order: Order,
    fault: Fault,
}

#[derive(Debug, Default)]
pub(crate) struct Faults {
    queue: VecDeque<Queued>,
    last_id: u64,
}

const KINDS: [&str; 10] =
    ["error", "http", "delay", "reset", "hang_up", "silence", "truncate", "garbage", "dribble", "close"];

impl Faults {
    /// Queues one fault, or an array of them, all or none. Gives their numbers.
    pub fn push(&mut self, document: &[u8]) -> Result<Vec<u64>, String> {
        let value: Value = serde_json::from_slice(document).map_err(|error| error.to_string())?;
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        let mut ids = Vec::new();
        let mut new = Vec::new();
        for value in values {
            let mut order: Order = serde_json::from_value(value).map_err(|error| error.to_string())?;
            let id = self.last_id + 1 + new.len() as u64;
            order.id = Some(id);
            order.command = last_segment(&order.command).to_owned();
            let fault = order.fault(id)?;
            order.when = Some(fault.when);
            ids.push(id);
            new.push(Queued { order, fault });
        }
        self.last_id += new.len() as u64;
        self.queue.extend(new);
        Ok(ids)
    }

    pub fn clear(&mut self) -> usize {
        let number = self.queue.len();
        self.queue.clear();
        number
    }

    /// Takes back one fault.
    pub fn remove(&mut self, id: u64) -> bool {
        let before = self.queue.len();
        self.queue.retain(|queued| queued.fault.id != id);
        self.queue.len() != before
    }

    pub fn show(&self) -> Value {
        let orders: Vec<&Order> = self.queue.iter().map(|queued| &queued.order).collect();
        serde_json::json!({ "faults": orders })
    }

    /// Draws the first fault that acts on the head of such a request.
    pub fn draw_head(&mut self, command: &str) -> Option<Fault> {
        self.draw(|order| order.when == Some(When::Head) && order.fits(command))
    }

    /// Draws the first fault for such a call.
    pub fn draw_call(&mut self, command: &str, account: Option<&str>) -> Option<Fault> {
        self.draw(|order| {
            order.when != Some(When::Head)
                && order.fits(command)
                && order.account.as_deref().is_none_or(|wanted| Some(wanted) == account)
        })
    }

    /// Draws the first fault for a new connection.
    pub fn draw_accept(&mut self) -> Option<Fault> {
        self.draw(|order| order.command == ACCEPT)
    }

    fn draw(&mut self, fits: impl Fn(&Order) -> bool) -> Option<Fault> {
        // The usual case, in every request's way.
        if self.queue.is_empty() {
            return None;
        }
        let mut drawn = None;
        for (position, queued) in self.queue.iter_mut().enumerate().filter(|(_, queued)| fits(&queued.order))
        {
            if queued.order.skip > 0 {
                queued.order.skip -= 1;
                continue;
            }
            queued.order.times -= 1;
            drawn = Some((position, queued.fault.clone(), queued.order.times));
            break;
        }
        let (position, fault, left) = drawn?;
        if left == 0 {
            self.queue.remove(position);
        }
        Some(fault)
    }
}

impl Order {
    fn fits(&self, command: &str) -> bool {
        self.command == command || self.command == "*"
    }

    /// Checks an order and makes it ready to play.
    fn fault(&self, id: u64) -> Result<Fault, String> {
        let kind = KINDS
            .iter()
            .find(|kind| **kind == self.kind)
            .copied()
            .ok_or_else(|| format!("kind must be one of {}", KINDS.join(", ")))?;
        if self.command != "*"
            && self.command != ACCEPT
            && !COMMANDS.iter().any(|known| known.name == self.command)
        {
            return Err(format!("command {:?} is neither known nor \"*\" nor {ACCEPT:?}", self.command));
        }
        if self.times == 0 {
            return Err("times must not be 0".into());
        }
        self.check_parameters(kind)?;
        let spoils = matches!(kind, "truncate" | "dribble" | "close");
        let when = self.when.unwrap_or(if spoils { When::After } else { When::Before });
        if spoils && when == When::Head {
            return Err(format!("{kind} spoils an answer, and at the head there is none"));
        }
        if self.command == ACCEPT && !matches!(kind, "delay" | "reset" | "hang_up" | "silence" | "garbage") {
            return Err(format!("{kind} cannot be done to a new connection"));
        }
        if self.account.is_some() && (when == When::Head || self.command == ACCEPT) {
            return Err("account is not known that early".into());
        }
        let close = End::Close { notify: self.close_notify };
        let end = |default: End| match self.then {
            None => default,
            Some(Then::Keep) => End::Keep,
            Some(Then::Close) => close,
            Some(Then::Reset) => End::Reset,
            Some(Then::Stall) => End::Stall,
        };
        let nothing = Plan { replace: None, limit: Some(0), step: None, end: End::Keep };
        let mut plan = None;
        let mut effect = Effect::None;
        match kind {
            "error" => {
                let code = self.code.ok_or("an error needs a code")?;
                let known = i32::try_from(code).map_or("", super::reply::text);
                effect = Effect::Error {
                    code,
                    info: self.info.clone().unwrap_or_else(|| known.to_owned()),
                    display: self.display.clone().unwrap_or_default(),
                };
            }
            "http" => {
                let status = self.status.filter(|status| (200..=599).contains(status));
                let status = status.ok_or("http needs a status of 200 to 599")?;
                let page =
                    format!("<html><head><title>{status}</title></head><body>{status}</body></html>\n");
                let body = self.payload()?.unwrap_or_else(|| Bytes::from(page));
                let headers: Vec<_> =
                    self.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
                for (name, value) in &headers {
                    use axum::http::{HeaderName, HeaderValue};
                    if HeaderName::try_from(name).is_err() || HeaderValue::try_from(value).is_err() {
                        return Err(format!("the header {name:?} cannot be sent; use garbage for such"));
                    }
                }
                effect = Effect::Http { status, headers, body };
            }
            "delay" if self.delay_ms == 0 => return Err("a delay needs delay_ms".into()),
            "delay" => {}
            "silence" => effect = Effect::Silence,
            "reset" => plan = Some(Plan { end: End::Reset, ..nothing }),
            "hang_up" => plan = Some(Plan { end: close, ..nothing }),
            "truncate" => {
                let bytes = self.bytes.ok_or("truncate needs bytes, how much of the answer is sent")?;
                plan = Some(Plan { limit: Some(bytes), end: end(close), ..nothing });
            }
            "garbage" => {
                let bytes = self.payload()?.unwrap_or_else(|| Bytes::from_static(b"\x00\xffgarbage\r\n\r\n"));
                let step = self.stepping(None);
                plan = Some(Plan { replace: Some(bytes), limit: None, step, end: end(close) });
            }
            "dribble" => {
                let default = if self.bytes.is_some() { close } else { End::Keep };
                let step = self.stepping(Some(10));
                plan = Some(Plan { limit: self.bytes, step, end: end(default), ..nothing });
            }
            _ => plan = Some(Plan { limit: None, end: close, ..nothing }),
        }
        Ok(Fault { id, kind, when, delay: Duration::from_millis(self.delay_ms), effect, plan })
    }

    /// A parameter of another kind is a test that does not test what it means to.
    fn check_parameters(&self, kind: &str) -> Result<(), String> {
        let payload = self.body.is_some() || self.body_base64.is_some();
        let stepping = self.step.is_some() || self.pause_ms.is_some();
        #[rustfmt::skip]
        let rows = [
            ("code, info and display", self.code.is_some() || self.info.is_some() || self.display.is_some(), &["error"][..]),
            ("status and headers", self.status.is_some() || !self.headers.is_empty(), &["http"]),
            ("body and body_base64", payload, &["http", "garbage"]),
            ("bytes", self.bytes.is_some(), &["truncate", "dribble"]),
            ("step and pause_ms", stepping, &["dribble", "garbage"]),
            ("then", self.then.is_some(), &["truncate", "dribble", "garbage"]),
        ];
        for (names, given, kinds) in rows {
            if given && !kinds.contains(&kind) {
                return Err(format!("{names} belong to {}, not to {kind}", kinds.join(", ")));
            }
        }
        if self.body.is_some() && self.body_base64.is_some() {
            return Err("give body or body_base64, not both".into());
        }
        Ok(())
    }

    fn payload(&self) -> Result<Option<Bytes>, String> {
        match (&self.body, &self.body_base64) {
            (Some(text), _) => Ok(Some(Bytes::from(text.clone()))),
            (_, Some(text)) => {
                let bytes = STANDARD.decode(text).map_err(|error| format!("body_base64: {error}"))?;
                Ok(Some(Bytes::from(bytes)))
            }
            _ => Ok(None),
        }
    }

    fn stepping(&self, default_ms: Option<u64>) -> Option<(usize, Duration)> {
        let pause = self.pause_ms.or(default_ms).or(self.step.map(|_| 10))?;
        Some((self.step.unwrap_or(1).max(1), Duration::from_millis(pause)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn queue(orders: Value) -> Faults {
        let mut faults = Faults::default();
        faults.push(orders.to_string().as_bytes()).unwrap();
        faults
    }

    #[test]
    fn the_first_that_fits_is_drawn_as_often_as_ordered() {
        let mut faults = queue(json!([
            {"kind": "reset", "command": "v4/sns/group_delete", "times": 2, "skip": 1},
            {"kind": "error", "code": 30006, "account": "alice"},
            {"kind": "hang_up", "command": "@accept"},
            {"kind": "http", "status": 413, "when": "head", "command": "group_add"},
        ]));
        let mut draw = |command: &str, account: &str| {
            faults.draw_call(command, Some(account)).map_or("-", |fault| fault.kind)
        };
        #[rustfmt::skip]
        let rows = [
            ("group_get", "bob", "-"),
            ("group_delete", "bob", "-"),
            ("group_delete", "bob", "reset"),
            ("group_get", "alice", "error"),
            ("group_get", "alice", "-"),
            ("group_delete", "alice", "reset"),
            ("group_delete", "alice", "-"),
            ("group_add", "alice", "-"),
        ];
        for (command, account, kind) in rows {
            assert_eq!(draw(command, account), kind, "{command} {account}");
        }
        assert_eq!(faults.draw_head("group_add").unwrap().kind, "http");
        assert_eq!(faults.draw_accept().unwrap().kind, "hang_up");
        assert_eq!(faults.show(), json!({"faults": []}));
    }

    #[test]
    fn what_is_shown_can_be_ordered_again() {
        let mut faults = queue(json!({"kind": "truncate", "bytes": 5, "times": 3}));
        assert_eq!(
            faults.show(),
            json!({"faults": [{"id": 1, "kind": "truncate", "command": "*", "times": 3, "skip": 0, "when": "after",
                "delay_ms": 0, "bytes": 5, "close_notify": false}]})
        );
        let again = faults.show()["faults"].to_string();
        assert_eq!(faults.push(again.as_bytes()).unwrap(), [2]);
        assert!(faults.remove(1) && !faults.remove(1));
        assert_eq!(faults.clear(), 1);
    }

    #[test]
    fn orders_that_make_no_sense_are_refused_with_a_reason() {
        #[rustfmt::skip]
        let rows = [
            (json!({"kind": "explode"}), "kind must be one of"),
            (json!({}), "missing field"),
            (json!({"kind": "reset", "colour": 1}), "unknown field"),
            (json!({"kind": "reset", "command": "group_remove"}), "neither known"),
            (json!({"kind": "reset", "times": 0}), "times"),
            (json!({"kind": "error"}), "needs a code"),
            (json!({"kind": "http"}), "needs a status"),
            (json!({"kind": "http", "status": 101}), "needs a status"),
            (json!({"kind": "http", "status": 502, "headers": {"a b": "c"}}), "cannot be sent"),
            (json!({"kind": "delay"}), "needs delay_ms"),
            (json!({"kind": "truncate"}), "needs bytes"),
            (json!({"kind": "truncate", "bytes": 1, "when": "head"}), "there is none"),
            (json!({"kind": "error", "code": 1, "command": "@accept"}), "new connection"),
            (json!({"kind": "reset", "code": 30006}), "belong to error"),
            (json!({"kind": "garbage", "body_base64": "!"}), "body_base64"),
            (json!({"kind": "reset", "when": "head", "account": "alice"}), "not known that early"),
        ];
        for (order, part) in rows {
            let mut faults = Faults::default();
            let both = json!([{"kind": "reset"}, order]);
            let error = faults.push(both.to_string().as_bytes()).unwrap_err();
            assert!(error.contains(part), "{order}: {error}");
            assert_eq!(faults.show(), json!({"faults": []}), "all or none");
        }
    }
}
