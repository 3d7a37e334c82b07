//! The fault matrix: one row for each thing that can go wrong between the client
//! and the service, and the one right answer to it.
//!
//! Every row is played for a delete, which may be repeated, and for an add, which
//! may not. Checked are the code, the class, the outcome, the number of attempts,
//! what the server has received, the time, whether the connection is used again,
//! and that the next call of the same client succeeds.

mod support;

use std::io::Write as _;
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use imgroup::call::CallOptions;
use imgroup::client::Client;
use imgroup::codes::{self, Class};
use imgroup::error::{Error, Outcome};
use imgroup::lists::Response;
use support::server::Server as FaultServer;
use support::server::*;
use support::*;

use Class::*;
use Outcome::*;

/// What the fault does to the connection, seen from the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Kept,
    Dropped,
}
use After::*;

/// How the fault is brought about.
#[derive(Clone)]
enum Fault {
    /// On every request of a plain connection.
    Http(Act),
    /// As before, with small windows.
    Narrow(Act),
    /// On every request of a plain connection that has carried a request already.
    Warm(Act),
    /// On new connections, before TLS.
    Greet(support::server::Greet),
    /// As before, with a TLS server behind it.
    GreetTls(support::server::Greet),
    /// On every request of a TLS connection.
    Https(Act),
    /// In the certificate.
    Certificate(Flaw),
    /// Nobody listens.
    Closed,
    /// Connections hang.
    BlackHole,
}
use Fault::*;

struct Row {
    number: &'static str,
    situation: &'static str,
    fault: Fault,
    /// Code and class; `OK` has none.
    code: i32,
    class: Class,
    /// Outcome and attempts of the delete, then of the add.
    delete: (Outcome, u32),
    add: (Outcome, u32),
    after: After,
    /// Above the default, for rows with long pauses.
    timeout_ms: u32,
    max_attempts: u32,
    /// The body of the add is this long instead.
    bulk: usize,
}

/// A failure.
fn bad(
    number: &'static str,
    situation: &'static str,
    fault: Fault,
    (code, class): (i32, Class),
    delete: (Outcome, u32),
    add: (Outcome, u32),
    after: After,
) -> Row {
    let (timeout_ms, max_attempts) = (TIMEOUT_MS, 3);
    Row { number, situation, fault, code, class, delete, add, after, timeout_ms, max_attempts, bulk: 0 }
}

/// A success, after so many attempts.
fn good(
    number: &'static str,
    situation: &'static str,
    fault: Fault,
    attempts: (u32, u32),
    after: After,
) -> Row {
    let (delete, add) = ((NotSent, attempts.0), (NotSent, attempts.1));
    bad(number, situation, fault, (codes::OK, Internal), delete, add, after)
}

impl Row {
    fn slow(mut self, timeout_ms: u32, max_attempts: u32) -> Row {
        (self.timeout_ms, self.max_attempts) = (timeout_ms, max_attempts);
        self
    }

    fn bulky(mut self) -> Row {
        self.bulk = 1_000_000;
        self
    }
}

const IO: (i32, Class) = (codes::IO, Network);
const BAD: (i32, Class) = (codes::BAD_REPLY, Server);
const LATE_REPLY: (i32, Class) = (codes::DEADLINE, Deadline);
const CONNECT: (i32, Class) = (codes::CONNECT, Network);
const TLS: (i32, Class) = (codes::TLS, Network);
const HTTP: (i32, Class) = (codes::HTTP_STATUS, Server);
/// What a fault after the request means: a delete is repeated, an add is not.
const AMBIGUOUS: [(Outcome, u32); 2] = [(Unknown, 3), (Unknown, 1)];
const DEFINITE: [(Outcome, u32); 2] = [(Unknown, 1), (Unknown, 1)];
const UNSENT: [(Outcome, u32); 2] = [(NotSent, 3), (NotSent, 3)];

fn ambiguous(n: &'static str, what: &'static str, fault: Fault, code: (i32, Class), after: After) -> Row {
    bad(n, what, fault, code, AMBIGUOUS[0], AMBIGUOUS[1], after)
}

fn definite(n: &'static str, what: &'static str, fault: Fault, code: (i32, Class), after: After) -> Row {
    bad(n, what, fault, code, DEFINITE[0], DEFINITE[1], after)
}

fn unsent(n: &'static str, what: &'static str, fault: Fault, code: (i32, Class)) -> Row {
    bad(n, what, fault, code, UNSENT[0], UNSENT[1], Dropped)
}

fn never_sent(n: &'static str, what: &'static str, fault: Fault, code: (i32, Class)) -> Row {
    bad(n, what, fault, code, (NotSent, 1), (NotSent, 1), Dropped)
}

/// A complete reply after every request.
fn reply(bytes: impl Into<Vec<u8>>) -> Fault {
    Http(say(bytes, Then::Keep))
}

/// A body of the service's shape.
fn json(body: impl AsRef<[u8]>) -> Fault {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    reply([head.as_bytes(), body].concat())
}

fn raw(text: &str, then: Then) -> Fault {
    Http(say(text, then))
}

/// Plays it only on connections that have carried a request before.
fn when_reused(then: Then) -> Fault {
    Warm(act(move |peer| {
        let reused = peer.requests > 0;
        match peer.request() {
            Some(_) if reused => then,
            Some(_) => {
                peer.send(&ok());
                Then::Keep
            }
            None => Then::Close,
        }
    }))
}

fn reset(stream: &TcpStream) -> bool {
    let _ = rustix::net::sockopt::set_socket_linger(stream.as_fd(), Some(Duration::ZERO));
    false
}

fn greeting(bytes: &'static [u8]) -> Fault {
    GreetTls(Arc::new(move |mut stream| {
        let mut hello = [0; 4096];
        let _ = std::io::Read::read(&mut stream, &mut hello);
        let _ = stream.write_all(bytes);
        thread::sleep(Duration::from_millis(20));
        false
    }))
}

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let ok_text = String::from_utf8(ok()).unwrap();
    let chunked = |chunks: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
    let length = |value: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {value}\r\n\r\n{OK_BODY}");
    let n = OK_BODY.len();
    let padded = format!("{OK_BODY}{}", " ".repeat(16 * 1024 - n - "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n".len()));
    let filling = String::from_utf8(http("200 OK", "", &padded)).unwrap();
    let poison = ok_text.replace("3}", "4}");
    let mut rows = vec![
        unsent("6", "connection refused", Closed, CONNECT),
        unsent("7", "connections hang", BlackHole, CONNECT),
        unsent("11", "RST at accept", Greet(Arc::new(reset)), IO_OR_CONNECT),
        unsent("11t", "RST at accept, before TLS", GreetTls(Arc::new(reset)), CONNECT),
        never_sent("12", "expired certificate", Certificate(Flaw::Expired), TLS),
        never_sent("13", "certificate not yet valid", Certificate(Flaw::Future), TLS),
        never_sent("14", "certificate of another name", Certificate(Flaw::OtherName), TLS),
        never_sent("15", "self-signed certificate", Certificate(Flaw::SelfSigned), TLS),
        never_sent("16", "server refuses the protocol version", greeting(b"\x15\x03\x01\x00\x02\x02\x46"), TLS),
        unsent("17", "alert internal_error in the handshake", greeting(b"\x15\x03\x03\x00\x02\x02\x50"), TLS),
        unsent("18", "RST in the handshake", GreetTls(Arc::new(|stream| {
            let mut stream = stream;
            // The first bytes of a ServerHello, and no more.
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
            let _ = stream.write_all(b"\x16\x03\x03\x00\x7a\x02\x00");
            thread::sleep(Duration::from_millis(20));
            reset(stream)
        })), TLS),
        unsent("19", "handshake is never answered", GreetTls(Arc::new(|stream| {
            let mut stream = stream;
            while std::io::Read::read(&mut stream, &mut [0; 4096]).is_ok_and(|amount| amount > 0) {}
            false
        })), LATE_REPLY),
        never_sent("20", "plain HTTP on the TLS port", greeting(b"HTTP/1.1 400 Bad Request\r\n\r\n"), TLS),
        good("21", "TLS cut after a reply with a length", Https(say(ok(), Then::Cut)), (1, 1), Dropped),
        ambiguous("22", "TLS cut after a reply without a length", Https(say(format!("HTTP/1.1 200 OK\r\n\r\n{OK_BODY}"), Then::Cut)), IO, Dropped),
        good("22n", "the same with close_notify", Https(say(format!("HTTP/1.1 200 OK\r\n\r\n{OK_BODY}"), Then::Close)), (1, 1), Dropped),
        ambiguous("23", "a wrong byte in a TLS record", Https(act(|peer| {
            if peer.request().is_some() { let _ = send_spoiled(peer, &ok()); }
            Then::Close
        })), IO, Dropped),
        ambiguous("25", "RST before the request is read", Http(act(|peer| { peer.wait(); Then::Reset })), IO, Dropped),
        ambiguous("26", "RST halfway through the request", Http(act(|peer| {
            let _ = std::io::Read::read(&mut peer.stream, &mut [0; 20]);
            Then::Reset
        })), IO, Dropped),
        // The service has not got all of the add, so it cannot have been applied.
        bad("26b", "RST in the middle of a long body", Narrow(act(|peer| {
            peer.wait();
            thread::sleep(Duration::from_millis(30));
            Then::Reset
        })), IO, (Unknown, 3), (NotSent, 3), Dropped).bulky(),
        ambiguous("27", "RST after the request", raw("", Then::Reset), IO, Dropped),
        ambiguous("28", "FIN after the request", raw("", Then::Close), IO, Dropped),
        ambiguous("28t", "FIN after the request, over TLS", Https(say("", Then::Close)), IO, Dropped),
        good("29", "FIN after a reply, while idle", Http(say(ok(), Then::Close)), (1, 1), Dropped),
        good("29t", "FIN after a reply, while idle, over TLS", Https(say(ok(), Then::Close)), (1, 1), Dropped),
        good("30", "RST after a reply, while idle", Http(say(ok(), Then::Reset)), (1, 1), Dropped),
        // The add was sent and may have been applied: it is not sent again.
        bad("31", "FIN just as the request leaves", when_reused(Then::Close), IO, (NotSent, 2), (Unknown, 1), Dropped),
        bad("31r", "RST just as the request leaves", when_reused(Then::Reset), IO, (NotSent, 2), (Unknown, 1), Dropped),
        bad("32", "the fresh connection fails too", Warm(say("", Then::Close)), IO, (Unknown, 4), (Unknown, 1), Dropped),
        definite("33", "413 before the body is read", Http(act(|peer| {
            peer.wait();
            peer.send(&http("413 Payload Too Large", "", ""));
            Then::Close
        })), HTTP, Dropped),
        definite("33b", "413 in the middle of a long body", Http(act(|peer| {
            peer.wait();
            peer.send(&http("413 Payload Too Large", "", ""));
            thread::sleep(Duration::from_millis(50));
            Then::Close
        })), HTTP, Dropped).bulky(),
        // It cannot have been applied: the service has not got all of it.
        bad("34", "a long body is never read", Narrow(act(|peer| { peer.wait(); thread::sleep(Duration::from_secs(3)); Then::Reset })), LATE_REPLY, (Unknown, 3), (NotSent, 3), Dropped).bulky(),
        good("35", "100 Continue unasked", reply(format!("HTTP/1.1 100 Continue\r\n\r\n{ok_text}")), (1, 1), Kept),
        ambiguous("36", "200 times 100 Continue", reply("HTTP/1.1 100 Continue\r\n\r\n".repeat(200) + &ok_text), BAD, Dropped),
        good("37", "103 Early Hints", reply(format!("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n{ok_text}")), (1, 1), Kept),
        definite("37b", "101 Switching Protocols", raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", Then::Stall), HTTP, Dropped),
        ambiguous("38", "the head comes a byte at a time", Http(act(|peer| {
            if peer.request().is_some() { peer.dribble(&ok(), Duration::from_millis(20)); }
            Then::Close
        })), LATE_REPLY, Dropped),
        ambiguous("39", "the body comes a byte at a time", Http(act(|peer| {
            if peer.request().is_some() {
                let reply = ok();
                let head = reply.len() - OK_BODY.len();
                peer.send(&reply[..head]);
                peer.dribble(&reply[head..], Duration::from_millis(20));
            }
            Then::Close
        })), LATE_REPLY, Dropped),
        ambiguous("40", "no answer at all", raw("", Then::Stall), LATE_REPLY, Dropped),
        ambiguous("40t", "no answer at all, over TLS", Https(say("", Then::Stall)), LATE_REPLY, Dropped),
        ambiguous("41", "the answer comes too late", Http(act(|peer| {
            if peer.request().is_some() {
                thread::sleep(Duration::from_millis(u64::from(ATTEMPT_MS) + 50));
                peer.send(&http("200 OK", "", &OK_BODY.replace("3}", "666}")));
            }
            Then::Keep
        })), LATE_REPLY, Dropped),
        ambiguous("42", "cut before its Content-Length", raw(&length("500"), Then::Close), IO, Dropped),
        ambiguous("43", "cut in a chunk", raw(&chunked(&format!("ff\r\n{OK_BODY}")), Then::Close), IO, Dropped),
        ambiguous("43b", "the last chunk is missing", raw(&chunked(&format!("{n:x}\r\n{OK_BODY}\r\n")), Then::Close), IO, Dropped),
        good("43c", "chunked", reply(chunked(&format!("10\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n", &OK_BODY[..16], n - 16, &OK_BODY[16..]))), (1, 1), Kept),
        good("44", "bytes behind the reply", reply(format!("{ok_text}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")), (1, 1), Dropped),
        good("44t", "bytes behind the reply, over TLS", Https(say(format!("{ok_text}HTTP/1.1 500 Late\r\n\r\n"), Then::Keep)), (1, 1), Dropped),
        good("44u", "bytes behind a reply that fills the buffer, over TLS", Https(say(filling + &poison, Then::Keep)), (1, 1), Dropped),
        ambiguous("44b", "Content-Length ends inside the JSON", raw(&length("40"), Then::Keep), BAD, Dropped),
        ambiguous("45", "two different Content-Lengths", raw(&format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\nContent-Length: 9\r\n\r\n{OK_BODY}"), Then::Keep), BAD, Dropped),
        ambiguous("46", "negative Content-Length", raw(&length("-5"), Then::Keep), BAD, Dropped),
        ambiguous("46b", "Content-Length with a sign", raw(&length(&format!("+{n}")), Then::Keep), BAD, Dropped),
        ambiguous("46c", "Content-Length beyond 64 bits", raw(&length("99999999999999999999999"), Then::Keep), BAD, Dropped),
        ambiguous("47", "Content-Length and chunked", raw(&format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\nTransfer-Encoding: chunked\r\n\r\n{n:x}\r\n{OK_BODY}\r\n0\r\n\r\n"), Then::Keep), BAD, Dropped),
        ambiguous("48", "a chunk of 2^64-1 bytes", raw(&chunked(&format!("FFFFFFFFFFFFFFFF\r\n{OK_BODY}")), Then::Close), BAD_OR_IO, Dropped),
        ambiguous("48b", "a chunk extension of 1 MB", raw(&chunked(&format!("{n:x};{}\r\n{OK_BODY}\r\n0\r\n\r\n", "x".repeat(1 << 20))), Then::Close), BAD_OR_IO, Dropped),
        good("49", "no length, closed at the end", raw(&format!("HTTP/1.1 200 OK\r\n\r\n{OK_BODY}"), Then::Close), (1, 1), Dropped),
        good("50", "HTTP/1.0", raw(&format!("HTTP/1.0 200 OK\r\nContent-Length: {n}\r\n\r\n{OK_BODY}"), Then::Close), (1, 1), Dropped),
        good("51", "line ends without CR", reply(format!("HTTP/1.1 200 OK\nContent-Length: {n}\n\n{OK_BODY}")), (1, 1), Kept),
        ambiguous("52", "no status line", raw("what do you want\r\n\r\n", Then::Close), BAD, Dropped),
        ambiguous("53", "an SSH banner", raw("SSH-2.0-OpenSSH_9.2p1\r\n", Then::Stall), BAD, Dropped),
        ambiguous("53b", "an HTTP/2 preface", raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Then::Stall), BAD, Dropped),
        ambiguous("54", "a head of 300 KB", raw(&format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(300_000)), Then::Close), BAD, Dropped),
        ambiguous("55", "3000 header lines", raw(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(3000)), Then::Close), BAD, Dropped),
        definite("56", "a body over the limit", reply(http("200 OK", "", &" ".repeat(2 << 20))), BAD, Dropped),
        definite("57", "an encoded body", reply(http("200 OK", "Content-Encoding: gzip\r\n", OK_BODY)), BAD, Dropped),
        definite("59", "400", reply(http("400 Bad Request", "", "<html>")), HTTP, Kept),
        definite("59b", "404", reply(http("404 Not Found", "", "")), HTTP, Kept),
        definite("59c", "405", reply(http("405 Method Not Allowed", "", "")), HTTP, Kept),
        definite("60", "401", reply(http("401 Unauthorized", "", "")), (codes::HTTP_STATUS, Auth), Dropped),
        definite("60b", "403", reply(http("403 Forbidden", "", "")), (codes::HTTP_STATUS, Auth), Dropped),
        definite("61", "407", reply(http("407 Proxy Authentication Required", "", "")), (codes::HTTP_STATUS, Auth), Dropped),
        ambiguous("61b", "the page of a captive portal", reply(http("200 OK", "", "<html>Log in</html>")), BAD, Kept),
        ambiguous("62", "408", reply(http("408 Request Timeout", "", "")), HTTP, Dropped),
        ambiguous("64", "500", reply(http("500 Internal Server Error", "", "")), HTTP, Kept),
        ambiguous("65", "502 with a page", reply(http("502 Bad Gateway", "", "<html>")), HTTP, Kept),
        ambiguous("66", "503", reply(http("503 Service Unavailable", "", "")), HTTP, Kept),
        ambiguous("66b", "503 with an odd Retry-After", reply(http("503 Service Unavailable", "Retry-After: soon\r\n", "")), HTTP, Kept),
        ambiguous("67", "504", reply(http("504 Gateway Timeout", "", "")), HTTP, Kept),
        ambiguous("68", "204", reply("HTTP/1.1 204 No Content\r\n\r\n"), BAD, Kept),
        ambiguous("68b", "an empty 200", reply(http("200 OK", "", "")), BAD, Kept),
        good("69", "JSON that is called HTML", reply(http("200 OK", "Content-Type: text/html\r\n", OK_BODY)), (1, 1), Kept),
        good("70", "the code 0 as a text", json(r#"{"ErrorCode":"0"}"#), (1, 1), Kept),
        ambiguous("70b", "a code as a text", json(r#"{"ActionStatus":"FAIL","ErrorCode":"30006"}"#), (30006, Server), Kept),
        ambiguous("71", "no code", json(r#"{"ActionStatus":"OK"}"#), BAD, Kept),
        ambiguous("71b", "a code that is null", json(r#"{"ErrorCode":null}"#), BAD, Kept),
        ambiguous("72", "a code with a fraction", json(r#"{"ErrorCode":0.0}"#), BAD, Kept),
        ambiguous("72b", "a code beyond a double", json(r#"{"ErrorCode":1e400}"#), BAD, Kept),
        ambiguous("72c", "a code of 24 digits", json(r#"{"ErrorCode":100000000000000000000000}"#), BAD, Kept),
        ambiguous("72d", "a negative code", json(r#"{"ErrorCode":-1}"#), BAD, Kept),
        ambiguous("73", "FAIL beside 0", json(r#"{"ActionStatus":"FAIL","ErrorCode":0}"#), BAD, Kept),
        ambiguous("73b", "OK beside a code", json(r#"{"ActionStatus":"OK","ErrorCode":30003}"#), BAD, Kept),
        ambiguous("74", "the code twice", json(r#"{"ErrorCode":0,"ErrorCode":0}"#), BAD, Kept),
        ambiguous("75", "an array", json(r#"["OK",0,null,4]"#), BAD, Kept),
        ambiguous("76", "bytes that are no UTF-8", json(b"{\"ErrorCode\":0,\"x\":\"\xff\"}"), BAD, Kept),
        good("77", "a lone surrogate in the text", json(r#"{"ErrorCode":0,"ErrorInfo":"\ud800"}"#), (1, 1), Kept),
        bad("77b", "a NUL in the text", json(r#"{"ErrorCode":30003,"ErrorInfo":"a\u0000b"}"#), (30003, NotFound), (Rejected, 1), (Rejected, 1), Kept),
        ambiguous("78", "a byte order mark", json("\u{feff}{\"ErrorCode\":0}"), BAD, Kept),
        ambiguous("78b", "bytes behind the JSON", json(r#"{"ErrorCode":0}x"#), BAD, Kept),
        ambiguous("78c", "two documents", json(r#"{"ErrorCode":0}{"ErrorCode":0}"#), BAD, Kept),
        ambiguous("79", "nesting without end", json(format!(r#"{{"ErrorCode":0,"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000))), BAD, Kept),
        good("80", "a negative sequence", json(r#"{"ErrorCode":0,"CurrentSequence":-1}"#), (1, 1), Kept),
        good("80b", "a sequence of 2^64", json(r#"{"ErrorCode":0,"CurrentSequence":18446744073709551616}"#), (1, 1), Kept),
        bad("83", "30008", reply(code(30008)), (30008, Server), (Rejected, 5), (Rejected, 5), Kept).slow(12_000, 3),
        bad("86", "70001, again and again", reply(code(70001)), (70001, Auth), (Rejected, 2), (Rejected, 2), Kept),
        bad("86b", "70052, again and again", reply(code(70052)), (70052, Auth), (Rejected, 2), (Rejected, 2), Kept),
        definite("99", "a code nobody documented", reply(code(39999)), (39999, Server), Kept),
    ];
    for code_number in [30006, 30007, 60013, 60014, 70169, 70202, 70500] {
        rows.push(ambiguous("82", "a code that leaves it open", reply(code(code_number)), (code_number, Server), Kept));
    }
    rows.push(ambiguous("85", "60008", reply(code(60008)), (60008, Server), Kept));
    for number in [60007, 60011, 60018, 60019] {
        rows.push(bad("84", "throttled", reply(code(number)), (number, Throttled), (Rejected, 2), (Rejected, 2), Kept).slow(6_000, 2));
    }
    let later = ["3", "Sun, 06 Nov 1994 08:49:37 GMT", "at your leisure", "1000000000"];
    for value in later {
        let reply = reply(http("429 Too Many Requests", &format!("Retry-After: {value}\r\n"), ""));
        rows.push(bad("63", "429", reply, (codes::HTTP_STATUS, Throttled), (Unknown, 2), (Unknown, 2), Kept).slow(9_000, 2));
    }
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
        for to in ["/v4/sns/elsewhere", "https://elsewhere.test/"] {
            rows.push(definite("58", "a redirect", reply(http(status, &format!("Location: {to}\r\n"), "")), HTTP, Kept));
        }
    }
    rows
}

/// Plain HTTP has no handshake in which a reset could be noticed; see `of_row_11`.
const IO_OR_CONNECT: (i32, Class) = (-1, Network);
const BAD_OR_IO: (i32, Class) = (-2, Server);

/// Rows that this suite does not play here, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    ("1-5", "hosts.rs plays them with a getaddrinfo of its own"),
    ("8, 9, 24, 90, 91, 93, 94", "resources.rs plays them in processes of their own"),
    ("10", "hosts.rs plays it with a pthread_create of its own"),
    (
        "81",
        "an answer for another request cannot be told from the right one; hence 29-44 drop the connection",
    ),
    ("86, 87, 88", "credentials.rs: one new ticket for many threads, clocks of other days, local answers"),
    ("89, 92", "stops.rs: they need a call that is under way"),
    ("95", "torture.rs, on request: it needs strace"),
    (
        "96",
        "not played: Rust ends the process when memory runs out; what a peer can ask for is bounded, see 54-57",
    ),
];

#[derive(Clone, Copy, Debug)]
enum Call {
    Delete,
    Add,
}

fn perform(client: &Client, call: Call, row: &Row) -> Result<Response, Error> {
    let options = CallOptions::default();
    match call {
        Call::Delete => client.delete_lists("alice", &["Family"], &options),
        Call::Add if row.bulk > 0 => {
            let body = format!(r#"{{"From_Account":"alice","Filler":"{}"}}"#, "x".repeat(row.bulk));
            client.request("v4/sns/friend_import", &body, false, &options)
        }
        Call::Add => client.add_lists("alice", &["Family"], &[], &options),
    }
}

/// Plays a row for one kind of call; says what was wrong.
fn play(row: &Row, call: Call) -> Result<(), String> {
    let scratch = Scratch::new();
    let authority = Authority::new();
    let ca = scratch.join("ca.pem");
    authority.write(&ca);
    let good = say(ok(), Then::Keep);
    let sound = authority.server(&["localhost"], Flaw::None);
    let server = match &row.fault {
        Narrow(_) => FaultServer::narrow(good.clone(), None),
        Http(_) | Warm(_) | Greet(_) | Closed | BlackHole => FaultServer::http(good.clone()),
        Certificate(flaw) => FaultServer::https(good.clone(), authority.server(&["localhost"], *flaw)),
        GreetTls(_) | Https(_) => FaultServer::https(good.clone(), sound.clone()),
    };
    let hole = support::server::BlackHole::new();
    let mut config = config(&server.url(), &scratch);
    config.set_ca_file(&ca).unwrap();
    config.set_timeout_ms(row.timeout_ms).unwrap();
    config.set_max_attempts(row.max_attempts).unwrap();
    let lines = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&lines);
    config.set_log(
        imgroup::config::LogLevel::Debug,
        Some(Arc::new(move |_, line| *sink.lock().unwrap() += &format!("{line}\n"))),
    );
    let client = match &row.fault {
        Closed => {
            config.set_endpoint(&format!("http://127.0.0.1:{}", closed_port())).unwrap();
            Client::new(&config).unwrap()
        }
        Fault::BlackHole => {
            config.set_endpoint(&format!("http://127.0.0.1:{}", hole.port)).unwrap();
            Client::new(&config).unwrap()
        }
        _ => Client::new(&config).unwrap(),
    };

    match &row.fault {
        Warm(act) => {
            perform(&client, Call::Delete, row).map_err(|error| format!("warming up: {error}"))?;
            server.now(act.clone());
        }
        Http(act) | Https(act) | Narrow(act) => server.now(act.clone()),
        Greet(greet) | GreetTls(greet) => server.greet(Some(greet.clone())),
        Certificate(_) | Closed | Fault::BlackHole => {}
    }
    let before = server.seen().len();
    let begin = Instant::now();
    let result = perform(&client, call, row);
    let took = begin.elapsed();
    let received = server.seen().len() - before;

    let (outcome, attempts) = match call {
        Call::Delete => row.delete,
        Call::Add => row.add,
    };
    // A delete that succeeds in the end, although the row's code says otherwise.
    let succeeds = row.code == codes::OK || outcome == NotSent && matches!(row.fault, Warm(_));
    check(row, &result, succeeds, outcome, attempts)?;
    let counted = if outcome == NotSent && !succeeds { 0 } else { attempts as usize };
    let whole = !matches!(row.number, "25" | "26" | "26b" | "33" | "33b" | "34");
    if whole && received != counted {
        return Err(format!("the server received {received} requests, not {counted}"));
    }
    let bound = Duration::from_millis(u64::from(row.timeout_ms)) + LATE;
    if took > bound {
        return Err(format!("{TOO_LATE}: it took {took:?}"));
    }
    let texts = format!(
        "{result:?}{:?}{client:?}{}",
        result.as_ref().err().map(Error::to_string),
        lines.lock().unwrap()
    );
    for seen in server.seen() {
        let usersig = seen.target.split("usersig=").nth(1).unwrap_or("?").split('&').next().unwrap();
        if texts.contains(usersig) || texts.contains(MARKER_KEY) {
            return Err(format!("a secret stands in {texts}"));
        }
    }

    // The next call.
    match &row.fault {
        Closed | Fault::BlackHole => return Ok(()),
        Certificate(_) => server.use_tls(sound),
        _ => {}
    }
    server.greet(None);
    server.now(good);
    // An end of the connection has to arrive before anybody can notice it.
    thread::sleep(Duration::from_millis(if row.after == Dropped { 120 } else { 0 }));
    // A stale connection was replaced within the call.
    let last = server.seen().get(before).map(|seen| seen.connection);
    let next = perform(&client, Call::Delete, row).map_err(|error| format!("the next call: {error}"))?;
    if next.sequence != Some(3) {
        return Err(format!("the next call got another's reply: {next:?}"));
    }
    let now = server.seen().last().map(|seen| seen.connection);
    if last.is_some() && (last == now) != (row.after == Kept) {
        return Err(format!("the connection was to be {:?}: {last:?}, then {now:?}", row.after));
    }
    Ok(())
}

const TOO_LATE: &str = "too late";

fn check(
    row: &Row,
    result: &Result<Response, Error>,
    succeeds: bool,
    outcome: Outcome,
    attempts: u32,
) -> Result<(), String> {
    match result {
        Ok(response) if succeeds && response.attempts == attempts => Ok(()),
        Ok(response) => Err(format!("succeeded after {} attempts", response.attempts)),
        Err(error) if succeeds => Err(format!("failed: {error}")),
        Err(error) if !says_its_outcome(error) => Err(format!("the text says another outcome: {error}")),
        Err(error) => {
            let code = match (row.code, row.class, error.code()) {
                // The reset may come while connecting, writing or reading.
                (-1, _, codes::IO | codes::CONNECT) | (-2, _, codes::BAD_REPLY | codes::IO) => error.code(),
                (code, _, _) => code,
            };
            let class = if row.code < -9 || row.code > 0 { row.class } else { error.class() };
            let got = (error.code(), error.class(), error.outcome(), error.attempts());
            // Without a handshake the request may be on its way when the reset comes.
            let outcome = if row.code == -1 { error.outcome() } else { outcome };
            let attempts = if row.code == -1 { error.attempts() } else { attempts };
            let wanted = (code, class, outcome, attempts);
            if got == wanted { Ok(()) } else { Err(format!("{got:?} instead of {wanted:?}: {error}")) }
        }
    }
}

#[test]
fn every_fault_has_its_one_answer() {
    for (row, reason) in ELSEWHERE {
        println!("row {row}: {reason}");
    }
    play_all(false);
}

/// The same table, while every thread gets a thousand signals a second.
#[test]
fn every_fault_has_the_same_answer_in_a_storm_of_signals() {
    extern "C" fn ignore(_: libc::c_int) {}
    // SAFETY: the handler does nothing. With SA_RESTART the server's own reads go
    // on; those of the client have a time limit, which the kernel never restarts.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = ignore as extern "C" fn(libc::c_int) as usize;
        action.sa_flags = libc::SA_RESTART;
        assert_eq!(libc::sigaction(libc::SIGUSR2, &action, std::ptr::null_mut()), 0);
    }
    play_all(true);
}

fn play_all(storm: bool) {
    let rows = rows();
    let plays: Vec<_> = rows.iter().flat_map(|row| [(row, Call::Delete), (row, Call::Add)]).collect();
    let wrong = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let only = std::env::var("ROW").ok();
    let calling = Mutex::new(Vec::new());
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        // Most of the time is spent waiting.
        for _ in 0..WORKERS {
            scope.spawn(|| {
                // SAFETY: always possible.
                calling.lock().unwrap().push(unsafe { libc::pthread_self() });
                while let Some((row, call)) = plays.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if only.as_deref().is_some_and(|only| only != row.number) {
                        continue;
                    }
                    // Another program may have had the processor; it must not have it three times.
                    let mut played = play(row, *call);
                    for _ in 0..2 {
                        if played.as_ref().is_err_and(|reason| reason.starts_with(TOO_LATE)) {
                            played = play(row, *call);
                        }
                    }
                    if let Err(reason) = played {
                        let line = format!("row {} ({}), {call:?}: {reason}", row.number, row.situation);
                        wrong.lock().unwrap().push(line);
                    }
                }
                // Nobody signals a thread that has ended.
                // SAFETY: always possible.
                let own = unsafe { libc::pthread_self() };
                calling.lock().unwrap().retain(|other| *other != own);
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
        while storm && done.load(Ordering::SeqCst) < WORKERS {
            for thread in calling.lock().unwrap().iter() {
                // SAFETY: a thread takes itself off the list, under its lock, before it ends.
                unsafe { libc::pthread_kill(*thread, libc::SIGUSR2) };
            }
            thread::sleep(Duration::from_millis(1));
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), plays.len(), wrong.join("\n"));
}

const WORKERS: usize = 12;
