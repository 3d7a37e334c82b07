//! HTTP/1.1 as this service speaks it: a request as bytes, and a reply out of bytes
//! (RFC 9112). Nothing here knows of connections.
//!
//! httparse reads heads and sizes of chunks. Where a reply ends is decided here, and
//! strictly: two peers that disagree about it take one reply for another. What a
//! client of this service has no use for (redirects, encodings, trailers) is refused
//! or skipped.

#![forbid(unsafe_code)]

use std::io::Write as _;
use std::mem::MaybeUninit;
use std::time::{Duration, SystemTime};

use httparse::Status;

/// The longest head, and the longest line between chunks.
pub(crate) const HEAD_BYTES: usize = 64 * 1024;
/// The most fields of a head.
const FIELDS: usize = 128;

/// Why a reply is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It breaks the protocol.
    Malformed(String),
    /// It is whole, but nothing that this client asked for.
    Unwanted(String),
}

fn malformed<T>(reason: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::Malformed(reason.into()))
}

/// The fields that all requests to one host share, up to the length of the body.
pub(crate) fn fields(authority: &str) -> String {
    format!(
        "Host: {authority}\r\nUser-Agent: libimgroup/{}\r\nContent-Type: application/json\r\nContent-Length: ",
        env!("CARGO_PKG_VERSION")
    )
}

/// Appends the head of a request. Neither `target` nor `fields` may hold a line end.
pub(crate) fn write_head(to: &mut Vec<u8>, target: &str, fields: &str, body_bytes: usize) {
    for part in ["POST ", target, " HTTP/1.1\r\n", fields] {
        to.extend_from_slice(part.as_bytes());
    }
    write!(to, "{body_bytes}\r\n\r\n").expect("memory takes every byte");
}

/// What the head of a reply says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub status: u16,
    pub body: Body,
    /// Whether the connection may carry another request after this reply.
    pub keeps_alive: bool,
    /// The service's clock.
    pub date: Option<SystemTime>,
    /// How long the service wants us to wait.
    pub retry_after: Option<Duration>,
}

/// What is left of the body of a reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// Nothing.
    Complete,
    /// So many bytes.
    Length(u64),
    /// All until the peer closes.
    UntilClosed,
    /// The line with the size of the next chunk.
    ChunkSize,
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The line end behind a chunk.
    ChunkEnd,
    /// The lines behind the last chunk, so many bytes at most.
    Trailer(usize),
}

impl Head {
    /// Reads a head at the beginning of `bytes`, and tells how long it is; `None` if
    /// it is not all there. An interim reply has a status below 200.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Refused> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
        let mut reply = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut reply,
            bytes,
            &mut fields,
        );
        let length = match parsed {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) => return Ok(None),
            Err(error) => return malformed(format!("the reply is not HTTP/1.1: {error}")),
        };
        let status = reply.code.unwrap_or(0);
        if status < 100 {
            return malformed("the reply has no status");
        }
        let (mut content_length, mut chunked) = (None, false);
        let (mut closes, mut keeps) = (false, false);
        let (mut date, mut retry_after) = (None, None);
        for field in &*reply.headers {
            let value = field.value.trim_ascii();
            let is = |name| field.name.eq_ignore_ascii_case(name);
            if is("content-length") {
                for value in value.split(|&byte| byte == b',') {
                    let Some(length) = number(value.trim_ascii()) else {
                        return malformed("the reply's Content-Length is not a number");
                    };
                    if content_length.replace(length).is_some_and(|other| other != length) {
                        return malformed("the reply has two different Content-Lengths");
                    }
                }
            } else if is("transfer-encoding") {
                if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return malformed("the reply has an unknown Transfer-Encoding");
                }
                chunked = true;
            } else if is("connection") {
                for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                    closes |= option.eq_ignore_ascii_case(b"close");
                    keeps |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            } else if is("content-encoding") {
                if !value.eq_ignore_ascii_case(b"identity") {
                    let reason = "the reply is encoded, which was not asked for";
                    return Err(Refused::Unwanted(reason.into()));
                }
            } else if is("date") {
                date = http_date(value);
            } else if is("retry-after") {
                retry_after = Some(value);
            }
        }
        let body = match (status, content_length) {
            (..200 | 204 | 304, _) => Body::Complete,
            (_, Some(_)) if chunked => {
                return malformed("the reply is chunked and has a Content-Length");
            }
            (_, None) if chunked => Body::ChunkSize,
            (_, Some(0)) => Body::Complete,
            (_, Some(length)) => Body::Length(length),
            (_, None) => Body::UntilClosed,
        };
        let head = Head {
            status,
            // After 101 it speaks another protocol; HTTP/1.0 closes unless it says otherwise.
            keeps_alive: status >= 200
                && !closes
                && body != Body::UntilClosed
                && (reply.version == Some(1) || keeps),
            body,
            date,
            retry_after: retry_after.and_then(|value| pause(value, date)),
        };
        Ok(Some((head, length)))
    }

    /// Whether another reply to the same request follows.
    pub fn is_interim(&self) -> bool {
        // What follows 101 is in another protocol.
        self.status < 200 && self.status != 101
    }
}

impl Body {
    /// Moves what belongs to the body from `bytes` to `to`, which takes `limit` bytes.
    /// Tells how many bytes were used; the rest has to come again, with more.
    pub fn take(&mut self, bytes: &[u8], to: &mut Vec<u8>, limit: usize) -> Result<usize, Refused> {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            used += match self {
                Body::Complete => return Ok(used),
                // Known at once; a chunk is believed when it has come.
                Body::Length(left) if *left > (limit - to.len()) as u64 => return Err(too_long(limit)),
                Body::Length(left) | Body::Chunk(left) => {
                    let part = &rest[..(*left).min(rest.len() as u64) as usize];
                    append(to, part, limit)?;
                    *left -= part.len() as u64;
                    if *left > 0 {
                        return Ok(used + part.len());
                    }
                    *self = if matches!(self, Body::Length(_)) { Body::Complete } else { Body::ChunkEnd };
                    part.len()
                }
                Body::UntilClosed => {
                    append(to, rest, limit)?;
                    return Ok(bytes.len());
                }
                Body::ChunkSize => match rest.first().map(|_| httparse::parse_chunk_size(rest)) {
                    // httparse takes no digit for 0.
                    Some(Ok(Status::Complete((line, size)))) if rest[0].is_ascii_hexdigit() => {
                        *self = if size == 0 { Body::Trailer(HEAD_BYTES) } else { Body::Chunk(size) };
                        line
                    }
                    Some(Ok(Status::Partial)) | None => return Ok(used),
                    Some(_) => return malformed("the size of a chunk of the reply is wrong"),
                },
                Body::ChunkEnd if rest.starts_with(b"\r\n") => {
                    *self = Body::ChunkSize;
                    2
                }
                Body::ChunkEnd if b"\r\n".starts_with(rest) => return Ok(used),
                Body::ChunkEnd => return malformed("a chunk of the reply is longer than it says"),
                Body::Trailer(left) => {
                    let Some(end) = rest.iter().position(|&byte| byte == b'\n') else { return Ok(used) };
                    let line = end + 1;
                    if line > *left {
                        return malformed("the reply has too many lines behind its last chunk");
                    }
                    *left -= line;
                    if matches!(&rest[..line], b"\r\n" | b"\n") {
                        *self = Body::Complete;
                    }
                    line
                }
            };
        }
    }

    /// Whether the body is at an end when the peer closes now.
    pub fn ends_when_closed(&self) -> bool {
        matches!(self, Body::Complete | Body::UntilClosed)
    }

    /// How long it will be, if that is known.
    pub fn length(&self) -> Option<u64> {
        if let Body::Length(length) = self { Some(*length) } else { None }
    }
}

fn append(to: &mut Vec<u8>, part: &[u8], limit: usize) -> Result<(), Refused> {
    if part.len() > limit - to.len() {
        return Err(too_long(limit));
    }
    to.extend_from_slice(part);
    Ok(())
}

fn too_long(limit: usize) -> Refused {
    Refused::Unwanted(format!("the reply is longer than {limit} bytes"))
}

/// Digits and nothing else.
fn number(digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    digits.parse().ok()
}

fn http_date(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()
}

/// Retry-After: seconds, or a time by the service's clock.
fn pause(value: &[u8], date: Option<SystemTime>) -> Option<Duration> {
    match number(value) {
        Some(seconds) => Some(Duration::from_secs(seconds)),
        None => http_date(value)?.duration_since(date.unwrap_or_else(SystemTime::now)).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 64;

    /// Status, whether the connection is kept, and the body; or how it was refused;
    /// or nothing, if it was cut short.
    type Read = Result<(u16, bool, String), Option<Refused>>;

    /// Reads a reply that comes in pieces of so many bytes and ends with the connection.
    /// Bytes behind it keep the connection from being used again.
    fn read(bytes: &[u8], piece: usize) -> Read {
        let (mut held, mut head, mut body) = (Vec::new(), None, Vec::new());
        for piece in bytes.chunks(piece) {
            held.extend_from_slice(piece);
            if head.is_none() {
                head = Head::parse(&held)?.map(|(head, length)| {
                    held.drain(..length);
                    head
                });
            }
            if let Some(head) = &mut head {
                let used = head.body.take(&held, &mut body, LIMIT)?;
                held.drain(..used);
            }
        }
        let head = head.filter(|head| head.body.ends_when_closed()).ok_or(None)?;
        Ok((head.status, head.keeps_alive && held.is_empty(), String::from_utf8(body).unwrap()))
    }

    #[test]
    fn a_reply_ends_where_it_says_however_it_comes() {
        let ok = |keeps, body: &str| Read::Ok((200, keeps, body.to_owned()));
        let status = |status, keeps| Read::Ok((status, keeps, String::new()));
        let wrong = |reason: &str| Read::Err(Some(Refused::Malformed(reason.into())));
        let unwanted = |reason: &str| Read::Err(Some(Refused::Unwanted(reason.into())));
        let cut = Read::Err(None);
        let size = wrong("the size of a chunk of the reply is wrong");
        let long = unwanted("the reply is longer than 64 bytes");
        let number = wrong("the reply's Content-Length is not a number");
        let encoding = wrong("the reply has an unknown Transfer-Encoding");
        let chunked = "Transfer-Encoding: chunked\r\n\r\n";
        #[rustfmt::skip]
        let rows: Vec<(&str, String, Read)> = vec![
            ("a length", "Content-Length: 2\r\n\r\n{}".into(), ok(true, "{}")),
            ("a length in any case", "cONTENT-lENGTH:2 \r\n\r\n{}".into(), ok(true, "{}")),
            ("no body", "Content-Length: 0\r\n\r\n".into(), ok(true, "")),
            ("the same length twice", "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}".into(), ok(true, "{}")),
            ("the same length in a list", "Content-Length: 2, 2\r\n\r\n{}".into(), ok(true, "{}")),
            ("two lengths", "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}".into(), wrong("the reply has two different Content-Lengths")),
            ("a negative length", "Content-Length: -2\r\n\r\n{}".into(), number.clone()),
            ("a length with a sign", "Content-Length: +2\r\n\r\n{}".into(), number.clone()),
            ("an empty length", "Content-Length:\r\n\r\n{}".into(), number.clone()),
            ("a length of 20 digits", "Content-Length: 99999999999999999999\r\n\r\n{}".into(), number),
            ("cut before its length", "Content-Length: 3\r\n\r\n{}".into(), cut.clone()),
            ("bytes behind its length", "Content-Length: 2\r\n\r\n{}H".into(), ok(false, "{}")),
            ("as long as allowed", format!("Content-Length: {LIMIT}\r\n\r\n{}", "x".repeat(LIMIT)), ok(true, &"x".repeat(LIMIT))),
            ("longer than allowed, by its head alone", "Content-Length: 65\r\n\r\n".into(), long.clone()),
            ("longer than allowed", format!("Content-Length: 65\r\n\r\n{}", "x".repeat(65)), long.clone()),
            ("no length", "\r\n{}".into(), ok(false, "{}")),
            ("no length, and too long", format!("\r\n{}", "x".repeat(65)), long.clone()),
            ("chunks", format!("{chunked}1\r\n{{\r\n01;x=\"\n\"\r\n}}\r\n0\r\n\r\n"), ok(true, "{}")),
            ("chunks and a trailer", format!("{chunked}2\r\n{{}}\r\n0\r\nDate: x\r\nX: y\n\n"), ok(true, "{}")),
            ("bytes behind the chunks", format!("{chunked}2\r\n{{}}\r\n0\r\n\r\nH"), ok(false, "{}")),
            ("no last chunk", format!("{chunked}2\r\n{{}}\r\n"), cut.clone()),
            ("no line end behind the last chunk", format!("{chunked}2\r\n{{}}\r\n0\r\n"), cut.clone()),
            ("a chunk longer than it says", format!("{chunked}1\r\n{{}}\r\n0\r\n\r\n"), wrong("a chunk of the reply is longer than it says")),
            ("a chunk without a size", format!("{chunked}\r\n{{}}\r\n0\r\n\r\n"), size.clone()),
            ("a chunk with an extension alone", format!("{chunked};x\r\n{{}}\r\n0\r\n\r\n"), size.clone()),
            ("a negative chunk", format!("{chunked}-2\r\n{{}}\r\n0\r\n\r\n"), size.clone()),
            ("a chunk of 17 digits", format!("{chunked}{}2\r\n{{}}\r\n0\r\n\r\n", "0".repeat(16)), size),
            ("a chunk of 2^64-1 bytes", format!("{chunked}{}\r\n{{}}", "f".repeat(16)), cut),
            ("chunks that are too long", format!("{chunked}40\r\n{}\r\n1\r\nx\r\n0\r\n\r\n", "x".repeat(64)), long),
            ("an endless trailer", format!("{chunked}0\r\n{}", "X: y\r\n".repeat(HEAD_BYTES / 6 + 1)), wrong("the reply has too many lines behind its last chunk")),
            ("chunks and a length", format!("Content-Length: 2\r\n{chunked}2\r\n{{}}\r\n0\r\n\r\n"), wrong("the reply is chunked and has a Content-Length")),
            ("chunked twice", format!("Transfer-Encoding: chunked\r\n{chunked}0\r\n\r\n"), encoding.clone()),
            ("another transfer encoding", "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".into(), encoding),
            ("encoded", "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}".into(), unwanted("the reply is encoded, which was not asked for")),
            ("not encoded", "Content-Encoding: Identity\r\nContent-Length: 2\r\n\r\n{}".into(), ok(true, "{}")),
            ("closed", "Connection: x, Close\r\nContent-Length: 2\r\n\r\n{}".into(), ok(false, "{}")),
            ("a line that goes on", "X: y\r\n z\r\nContent-Length: 2\r\n\r\n{}".into(), wrong("the reply is not HTTP/1.1: invalid header name")),
            ("129 fields", format!("{}\r\n", "X: y\r\n".repeat(129)), wrong("the reply is not HTTP/1.1: too many headers")),
            ("a head that is cut", "Content-Length: 2\r\n".into(), Read::Err(None)),
        ];
        let with_status = |line: &str, rest: &str| format!("{line}\r\n{rest}");
        let mut all: Vec<_> = rows
            .into_iter()
            .map(|(what, rest, expected)| (what, with_status("HTTP/1.1 200 OK", &rest), expected))
            .collect();
        #[rustfmt::skip]
        all.extend([
            ("204 has no body", with_status("HTTP/1.1 204 No Content", "Content-Length: 2\r\n\r\n"), status(204, true)),
            ("304 has no body", with_status("HTTP/1.1 304 Not Modified", "Content-Length: 2\r\n\r\n"), status(304, true)),
            ("an interim reply has none", with_status("HTTP/1.1 103 Early Hints", "Link: </x>\r\n\r\n"), status(103, false)),
            ("another protocol", with_status("HTTP/1.1 101 Switching Protocols", "Upgrade: x\r\n\r\n"), status(101, false)),
            ("no reason", with_status("HTTP/1.1 200", "Content-Length: 2\r\n\r\n{}"), ok(true, "{}")),
            ("HTTP/1.0", with_status("HTTP/1.0 200 OK", "Content-Length: 2\r\n\r\n{}"), ok(false, "{}")),
            ("HTTP/1.0 kept", with_status("HTTP/1.0 200 OK", "Connection: Keep-Alive\r\nContent-Length: 2\r\n\r\n{}"), ok(true, "{}")),
            ("lines without CR", "HTTP/1.1 200 OK\nContent-Length: 2\n\n{}".into(), ok(true, "{}")),
            ("status 099", with_status("HTTP/1.1 099 x", "\r\n"), wrong("the reply has no status")),
            ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), wrong("the reply is not HTTP/1.1: invalid HTTP version")),
        ]);
        for (situation, bytes, expected) in all {
            for piece in [1, 2, 3, 7, bytes.len()] {
                assert_eq!(read(bytes.as_bytes(), piece), expected, "{situation}, {piece} bytes at a time");
            }
        }
    }

    #[test]
    fn the_service_says_when_to_come_again() {
        let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        #[rustfmt::skip]
        let rows: &[(&str, &str, Option<u64>)] = &[
            (date, "", None),
            (date, "Retry-After: 3\r\n", Some(3)),
            (date, "Retry-After: Sun, 06 Nov 1994 08:49:42 GMT\r\n", Some(5)),
            (date, "Retry-After: Sun, 06 Nov 1994 08:49:36 GMT\r\n", None),
            ("", "Retry-After: Sun, 06 Nov 1994 08:49:42 GMT\r\n", None),
            ("", "Retry-After: soon\r\n", None),
            ("", "Retry-After: -1\r\n", None),
            ("Date: yesterday\r\n", "Retry-After: 0\r\n", Some(0)),
        ];
        for (date, retry_after, expected) in rows {
            let head = format!("HTTP/1.1 503 x\r\n{date}{retry_after}\r\n");
            let (head, _) = Head::parse(head.as_bytes()).unwrap().unwrap();
            assert_eq!(head.retry_after, expected.map(Duration::from_secs), "{date}{retry_after}");
            assert_eq!(head.date.is_some(), date.ends_with("GMT\r\n"), "{date}");
        }
    }

    #[test]
    fn a_request_is_one_piece() {
        let mut request = Vec::new();
        write_head(&mut request, "/v4/sns/group_delete?x=y", &fields("localhost:1"), 12);
        assert_eq!(
            String::from_utf8(request).unwrap(),
            format!(
                "POST /v4/sns/group_delete?x=y HTTP/1.1\r\nHost: localhost:1\r\nUser-Agent: libimgroup/{}\r\n\
                 Content-Type: application/json\r\nContent-Length: 12\r\n\r\n",
                env!("CARGO_PKG_VERSION")
            )
        );
    }
}
