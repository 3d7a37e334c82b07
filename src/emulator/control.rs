//! What a test asks of the emulator itself, under `/_emulator/`.
//!
//! No ticket is needed, so the guard is another: the emulator listens on the
//! loopback alone, and a request that a web page of elsewhere makes a browser
//! send is refused by its `Host` or `Origin`.

#![forbid(unsafe_code)]

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::server::sign;
use super::shared::Shared;
use super::state::Store;

type Here = State<Arc<Shared>>;

pub(crate) fn router(shared: Arc<Shared>) -> Router<Arc<Shared>> {
    let control = Router::new()
        .route("/_emulator", get(page))
        .route("/_emulator/", get(page))
        .route("/_emulator/health", get(health))
        .route("/_emulator/state", get(state).put(put_state).delete(delete_state))
        .route("/_emulator/requests", get(requests).delete(delete_requests))
        .route("/_emulator/requests/count", get(count))
        .route("/_emulator/arrivals", get(arrivals))
        .route("/_emulator/faults", get(faults).post(post_faults).delete(delete_faults))
        .route("/_emulator/clock", get(clock).put(put_clock).post(post_clock))
        .route("/_emulator/reset", post(reset))
        .route("/_emulator/{*rest}", axum::routing::any(nothing_here))
        .method_not_allowed_fallback(wrong_method);
    // A state of many accounts is long.
    control.layer(DefaultBodyLimit::max(256 << 20)).layer(middleware::from_fn_with_state(shared, guard))
}

/// Lets only loopback names through, and signs every answer.
async fn guard(State(shared): Here, request: Request, next: Next) -> Response {
    let mut response = if is_foreign(request.headers()) {
        failed(StatusCode::FORBIDDEN, "only this machine may ask, and no page of elsewhere")
    } else {
        next.run(request).await
    };
    sign(&shared, response.headers_mut());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(HOST).unwrap_or("localhost");
    let elsewhere = |origin: &str| origin.split_once("://").is_none_or(|(_, from)| from != host);
    !is_loopback(host) || text(ORIGIN).is_some_and(elsewhere)
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    matches!(name, "localhost" | "127.0.0.1" | "::1")
}

fn answer(status: StatusCode, value: &impl Serialize) -> Response {
    let text = serde_json::to_string(value).expect("answers are plain data");
    let mut response = Response::new((text + "\n").into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn fine(value: &impl Serialize) -> Response {
    answer(StatusCode::OK, value)
}

fn failed(status: StatusCode, reason: impl Into<String>) -> Response {
    answer(status, &json!({ "error": reason.into() }))
}

async fn nothing_here(uri: Uri) -> Response {
    failed(StatusCode::NOT_FOUND, format!("there is no {}", uri.path()))
}

async fn wrong_method(uri: Uri) -> Response {
    failed(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not know this method", uri.path()))
}

async fn page() -> Response {
    let mut response = Response::new(include_str!("page.html").into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    let policy =
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

async fn health(State(shared): Here) -> Response {
    let options = &shared.options;
    fine(&json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "sdkappid": options.sdkappid,
        "admins": options.admins,
        "quota": options.quota,
        "uptime_us": shared.micros(),
        "connections": shared.connections(),
        "now": shared.clock.now(),
    }))
}

async fn state(State(shared): Here) -> Response {
    fine(&*shared.store())
}

async fn put_state(State(shared): Here, body: Bytes) -> Response {
    reply(Store::from_json(&body).map(|store| {
        let accounts = store.accounts.len();
        *shared.store() = store;
        json!({ "accounts": accounts })
    }))
}

async fn delete_state(State(shared): Here) -> Response {
    let removed = std::mem::take(&mut *shared.store()).accounts.len();
    fine(&json!({ "removed": removed }))
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Filter {
    command: Option<String>,
    since: u64,
    limit: Option<usize>,
}

/// The query, or what is wrong with it.
fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, String> {
    Query::try_from_uri(uri).map(|query| query.0).map_err(|error| error.body_text())
}

fn reply(result: Result<impl Serialize, String>) -> Response {
    match result {
        Ok(value) => fine(&value),
        Err(reason) => failed(StatusCode::BAD_REQUEST, reason),
    }
}

async fn requests(State(shared): Here, uri: Uri) -> Response {
    reply(query(&uri).map(|filter: Filter| {
        shared.journal().show(filter.command.as_deref(), filter.since, filter.limit.unwrap_or(usize::MAX))
    }))
}

async fn delete_requests(State(shared): Here) -> Response {
    shared.journal().clear();
    fine(&json!({}))
}

async fn count(State(shared): Here, uri: Uri) -> Response {
    reply(query(&uri).map(|filter: Filter| shared.journal().count(filter.command.as_deref())))
}

async fn arrivals(State(shared): Here, uri: Uri) -> Response {
    reply(query(&uri).map(|filter: Filter| shared.journal().arrivals(filter.command.as_deref())))
}

async fn faults(State(shared): Here) -> Response {
    let value = shared.faults().show();
    fine(&value)
}

async fn post_faults(State(shared): Here, body: Bytes) -> Response {
    reply(shared.faults().push(&body).map(|ids| json!({ "ids": ids })))
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Which {
    id: Option<u64>,
}

async fn delete_faults(State(shared): Here, uri: Uri) -> Response {
    reply(query(&uri).map(|which: Which| {
        let mut faults = shared.faults();
        let removed = match which.id {
            Some(id) => usize::from(faults.remove(id)),
            None => faults.clear(),
        };
        json!({ "removed": removed })
    }))
}

fn time(shared: &Shared) -> Response {
    fine(&json!({ "now": shared.clock.now(), "offset_s": shared.clock.offset_s() }))
}

async fn clock(State(shared): Here) -> Response {
    time(&shared)
}

/// `{"offset_s": n}` or `{"now": n}`.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Setting {
    OffsetS(i64),
    Now(i64),
}

async fn put_clock(State(shared): Here, body: Bytes) -> Response {
    match serde_json::from_slice(&body) {
        Ok(Setting::OffsetS(offset_s)) => shared.clock.set_offset(offset_s),
        Ok(Setting::Now(now)) => shared.clock.set_now(now),
        Err(error) => return failed(StatusCode::BAD_REQUEST, error.to_string()),
    }
    time(&shared)
}

/// `{"advance_s": n}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_s: i64,
}

async fn post_clock(State(shared): Here, body: Bytes) -> Response {
    match serde_json::from_slice::<Advance>(&body) {
        Ok(advance) => shared.clock.set_offset(shared.clock.offset_s().saturating_add(advance.advance_s)),
        Err(error) => return failed(StatusCode::BAD_REQUEST, error.to_string()),
    }
    time(&shared)
}

async fn reset(State(shared): Here) -> Response {
    shared.reset();
    fine(&json!({}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_let_through() {
        #[rustfmt::skip]
        let rows = [
            ("localhost", true), ("localhost:8080", true), ("127.0.0.1:1", true), ("[::1]:80", true),
            ("localhost.evil.example", false), ("evil.example:80", false), ("", false), ("127.0.0.2", false),
        ];
        for (host, expected) in rows {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }
}
