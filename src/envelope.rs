//! The JSON around every reply: `ActionStatus`, `ErrorCode`, `ErrorInfo`,
//! `ErrorDisplay`, and what all replies about lists share.
//!
//! A reply decides whether a caller believes that something was deleted, so what
//! is not clearly a reply is refused: anything but one object, a known key twice,
//! bytes that are not UTF-8 anywhere, nesting without end, a code that is no
//! number, a code and a status that contradict each other. What the service
//! leaves open (a missing status, an odd sequence, `"0"` as text) is tolerated.

#![forbid(unsafe_code)]

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::codes;

const DEPTH: usize = 64;
/// The items of a reply that has none.
pub(crate) const NO_ITEMS: &[u8] = b"[]";

/// A reply that was understood.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    /// 0, or the server's code.
    pub code: i32,
    /// `CurrentSequence`, if it is a number this library can hold.
    pub sequence: Option<u64>,
    body: &'a [u8],
    items: Option<&'a RawValue>,
    info: Option<&'a RawValue>,
    display: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, rename = "ActionStatus")]
    status: Option<&'a RawValue>,
    #[serde(borrow, rename = "ErrorCode")]
    code: Option<&'a RawValue>,
    #[serde(borrow, rename = "ErrorInfo")]
    info: Option<&'a RawValue>,
    #[serde(borrow, rename = "ErrorDisplay")]
    display: Option<&'a RawValue>,
    #[serde(borrow, rename = "CurrentSequence")]
    sequence: Option<&'a RawValue>,
    #[serde(borrow, rename = "ResultItem")]
    items: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    /// Reads a body, or says why it is none.
    pub fn parse(body: &'a [u8]) -> Result<Envelope<'a>, String> {
        // serde would let bytes that are not UTF-8 pass in values it skips.
        let text = std::str::from_utf8(body).map_err(|_| "it is not valid UTF-8".to_owned())?;
        // serde would take an array as the members of a struct, in order.
        if !text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{') {
            return Err(if text.is_empty() {
                "it is empty".into()
            } else {
                "it is not a JSON object".into()
            });
        }
        if deeper_than(text, DEPTH) {
            return Err(format!("its JSON is nested deeper than {DEPTH}"));
        }
        let wire: Wire<'a> =
            serde_json::from_str(text).map_err(|error| format!("its JSON is wrong: {error}"))?;
        let code = wire.code.ok_or("it has no ErrorCode")?;
        let code = code_of(code.get()).ok_or("its ErrorCode is not a code")?;
        let failed = match wire.status.map(RawValue::get) {
            None => code != codes::OK,
            Some("\"OK\"") => false,
            Some("\"FAIL\"") => true,
            Some(_) => return Err("its ActionStatus is neither OK nor FAIL".into()),
        };
        if failed != (code != codes::OK) {
            return Err(format!("ActionStatus and ErrorCode {code} contradict each other"));
        }
        Ok(Envelope {
            code,
            sequence: wire.sequence.and_then(|sequence| sequence.get().parse().ok()),
            body,
            items: wire.items,
            info: wire.info,
            display: wire.display,
        })
    }

    /// Where in the body `ResultItem` stands, so that it can be kept with the body.
    /// Not looked into. An absent member and `null` are no items.
    pub fn items(&self) -> Option<Range<usize>> {
        let items = self.items?.get();
        let start = items.as_ptr().addr() - self.body.as_ptr().addr();
        Some(start..start + items.len())
    }

    /// The text for developers, empty if there is none.
    pub fn info(&self) -> String {
        text_of(self.info)
    }

    /// The text for end users, empty if there is none.
    pub fn display(&self) -> String {
        text_of(self.display)
    }
}

fn text_of(value: Option<&RawValue>) -> String {
    value.and_then(|value| serde_json::from_str(value.get()).ok()).unwrap_or_default()
}

/// A whole number, or one in quotation marks, that a code can be.
fn code_of(raw: &str) -> Option<i32> {
    let digits = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// Whether brackets outside of strings are nested deeper than `limit`.
fn deeper_than(json: &str, limit: usize) -> bool {
    // Mostly there are not even so many, which is soon found out.
    if json.matches('{').count() + json.matches('[').count() <= limit {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_understood_or_refused() {
        let deep = format!(r#"{{"ErrorCode":0,"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let nested = format!(r#"{{"ErrorCode":0,"x":{}{}}}"#, "[".repeat(63), "]".repeat(63));
        type Understood = Option<(i32, Option<u64>)>;
        #[rustfmt::skip]
        let rows: &[(&str, &[u8], Understood)] = &[
            ("success", br#"{"CurrentSequence":7,"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"0","ErrorDisplay":""}"#, Some((0, Some(7)))),
            ("no status", br#"{"ErrorCode":0}"#, Some((0, None))),
            ("white space around", b" \r\n{\"ErrorCode\":0}\n ", Some((0, None))),
            ("unknown members", br#"{"ErrorCode":0,"New":{"a":[1,2]},"ActionStatus":"OK"}"#, Some((0, None))),
            ("failure", br#"{"ActionStatus":"FAIL","ErrorCode":30003,"ErrorInfo":"x"}"#, Some((30003, None))),
            ("code as text", br#"{"ActionStatus":"FAIL","ErrorCode":"30006"}"#, Some((30006, None))),
            ("zero as text", br#"{"ErrorCode":"0"}"#, Some((0, None))),
            ("largest sequence", br#"{"ErrorCode":0,"CurrentSequence":18446744073709551615}"#, Some((0, Some(u64::MAX)))),
            ("sequence too large", br#"{"ErrorCode":0,"CurrentSequence":18446744073709551616}"#, Some((0, None))),
            ("negative sequence", br#"{"ErrorCode":0,"CurrentSequence":-1}"#, Some((0, None))),
            ("sequence as text", br#"{"ErrorCode":0,"CurrentSequence":"7"}"#, Some((0, None))),
            ("info that is no text", br#"{"ErrorCode":0,"ErrorInfo":null,"ErrorDisplay":5}"#, Some((0, None))),
            ("depth 64", nested.as_bytes(), Some((0, None))),
            ("depth 100000", deep.as_bytes(), None),
            ("brackets in a string", br#"{"ErrorCode":0,"x":"[[[[\"[["}"#, Some((0, None))),
            ("no code", br#"{"ActionStatus":"OK"}"#, None),
            ("code null", br#"{"ErrorCode":null}"#, None),
            ("code 0.0", br#"{"ErrorCode":0.0}"#, None),
            ("code 1e400", br#"{"ErrorCode":1e400}"#, None),
            ("code negative", br#"{"ErrorCode":-1}"#, None),
            ("code beyond int32", br#"{"ErrorCode":2147483648}"#, None),
            ("code huge", br#"{"ErrorCode":100000000000000000000000}"#, None),
            ("code empty", br#"{"ErrorCode":""}"#, None),
            ("code +0", br#"{"ErrorCode":"+0"}"#, None),
            ("FAIL beside 0", br#"{"ActionStatus":"FAIL","ErrorCode":0}"#, None),
            ("OK beside a code", br#"{"ActionStatus":"OK","ErrorCode":30003}"#, None),
            ("another status", br#"{"ActionStatus":"MAYBE","ErrorCode":0}"#, None),
            ("duplicate code", br#"{"ErrorCode":0,"ErrorCode":0}"#, None),
            ("an array", br#"["OK",0,null,4]"#, None),
            ("invalid UTF-8 in a skipped member", b"{\"ErrorCode\":0,\"x\":\"\xff\"}", None),
            ("a byte order mark", b"\xef\xbb\xbf{\"ErrorCode\":0}", None),
            ("trailing bytes", br#"{"ErrorCode":0}x"#, None),
            ("two documents", br#"{"ErrorCode":0}{"ErrorCode":0}"#, None),
            ("HTML", b"<html>", None),
            ("empty", b"", None),
            ("cut off", br#"{"ErrorCode":0"#, None),
        ];
        for (situation, body, expected) in rows {
            let parsed = Envelope::parse(body).map(|envelope| (envelope.code, envelope.sequence));
            assert_eq!(parsed.clone().ok(), *expected, "{situation}: {parsed:?}");
        }
    }

    #[test]
    fn texts_are_decoded() {
        let body = br#"{"ErrorCode":1,"ErrorInfo":"a\u0000b","ErrorDisplay":"\u00e9"}"#;
        let envelope = Envelope::parse(body).unwrap();
        assert_eq!((envelope.info(), envelope.display()), ("a\0b".to_owned(), "é".to_owned()));
        // A lone surrogate is no text; the code still counts.
        assert_eq!(Envelope::parse(br#"{"ErrorCode":1,"ErrorInfo":"\ud800"}"#).unwrap().info(), "");
    }
}
