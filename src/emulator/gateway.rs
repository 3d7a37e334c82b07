//! What stands before every service: is this a request, from whom, may they, and
//! is there room for it.
//!
//! The order of the checks is not documented; this one goes from the outside in.

#![forbid(unsafe_code)]

use axum::http::{Method, Uri};
use serde_json::{Map, Value};

use super::command::{self, Command};
use super::fields;
use super::options::NonAdmin;
use super::reply::Refusal;
use super::shared::Shared;
use super::verify::{self, Expected, Rejection};

/// The request line, taken apart.
#[derive(Debug)]
pub(crate) struct Target {
    pub method: Method,
    pub path: String,
    /// Whether the path has the shape of an API call.
    pub shaped: bool,
    pub command: Option<&'static Command>,
    pub sdkappid: String,
    pub identifier: String,
    pub usersig: String,
    pub random: String,
}

impl Target {
    pub fn new(method: Method, uri: &Uri) -> Target {
        let split = command::split(uri.path());
        let mut target = Target {
            method,
            path: uri.path().to_owned(),
            shaped: split.is_some(),
            command: split.and_then(|(service, name)| command::find(service, name)),
            sdkappid: String::new(),
            identifier: String::new(),
            usersig: String::new(),
            random: String::new(),
        };
        let query = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        for (name, value) in query.map(|query| query.0).unwrap_or_default() {
            // Names and values are case-sensitive.
            match name.as_str() {
                "sdkappid" => target.sdkappid = value,
                "identifier" => target.identifier = value,
                "usersig" => target.usersig = value,
                "random" => target.random = value,
                _ => {}
            }
        }
        target
    }
}

/// A request that may go on to its service.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub command: &'static Command,
    pub body: Map<String, Value>,
    pub caller: String,
    pub is_admin: bool,
}

/// Checks everything up to the service. Counts the arrival against the quota.
pub(crate) fn admit(
    shared: &Shared,
    target: &Target,
    body: &[u8],
    arrival_us: u64,
) -> Result<Admitted, Refusal> {
    // A bare host, as somebody's browser asks it, is answered with this.
    if !target.shaped {
        return Err(Refusal::of(60002).detail("the path is not /v4/{service}/{command}"));
    }
    if target.sdkappid.is_empty() {
        return Err(Refusal::of(60012));
    }
    if target.method != Method::POST {
        return Err(Refusal::of(60002).detail(format!("the method is {}, not POST", target.method)));
    }
    let command = target.command.ok_or_else(|| Refusal::of(60009))?;
    let options = &shared.options;
    let sdkappid: u32 = target
        .sdkappid
        .parse()
        .map_err(|_| Refusal::of(60006).detail("sdkappid is not a number of 32 bits"))?;
    if sdkappid != options.sdkappid {
        return Err(Refusal::of(70020).detail(format!("this emulator serves app {}", options.sdkappid)));
    }
    let expected = Expected {
        sdkappid,
        identifier: &target.identifier,
        secret_key: &options.secret_key,
        now: shared.clock.now(),
    };
    verify::verify(&target.usersig, &expected).map_err(|rejection| {
        let refusal = Refusal::of(rejection.code());
        match rejection {
            Rejection::Unreadable(step) => refusal.detail(step),
            _ => refusal,
        }
    })?;
    let is_admin = options.admins.contains(&target.identifier);
    if !is_admin && options.policy.non_admin == NonAdmin::Gateway {
        return Err(Refusal::of(60010));
    }
    if !shared.quota().admit(command, arrival_us) {
        return Err(Refusal::of(60007));
    }
    let body = parse(body)?;
    if let Some(name) = fields::misspelt_account(&body) {
        return Err(Refusal::of(60015).detail(format!("{name} holds something that is not a string")));
    }
    Ok(Admitted { command, body, caller: target.identifier.clone(), is_admin })
}

fn parse(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(Refusal::of(60003).detail("the body is not a JSON object")),
        Err(_) if body.is_empty() => Err(Refusal::of(60003).detail("the body is empty")),
        Err(error) => Err(Refusal::of(60003).detail(error.to_string())),
    }
}
