//! What the targets share.

use serde_json::Value;

/// `bytes` with every `name` replaced by `value`.
pub fn replace(bytes: &[u8], name: &[u8], value: &[u8]) -> Vec<u8> {
    split(bytes, name).collect::<Vec<_>>().join(value)
}

/// The parts of `bytes` between separators.
pub fn split<'a>(bytes: &'a [u8], separator: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let found = bytes.windows(separator.len()).position(|window| window == separator);
        rest = found.map(|at| &bytes[at + separator.len()..]);
        Some(&bytes[..found.unwrap_or(bytes.len())])
    })
}

/// A reply that was understood to carry `code`, read by other means. `None` where
/// those are stricter: text and numbers that are valid JSON and no `Value`.
pub fn check_envelope(body: &[u8], code: i32) -> Option<Value> {
    let text = std::str::from_utf8(body).expect("valid UTF-8");
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            let reason = error.to_string();
            let stricter = ["surrogate", "number out of range", "unexpected end of hex escape"];
            assert!(stricter.iter().any(|known| reason.contains(known)), "{reason}: {text}");
            return None;
        }
    };
    assert!(depth(&value) <= 64, "{text}");
    let object = value.as_object().expect("an object");
    let said = match &object["ErrorCode"] {
        Value::String(digits) => digits.parse().ok(),
        number => number.as_i64(),
    };
    assert_eq!(said, Some(i64::from(code)), "{text}");
    let status = object.get("ActionStatus").and_then(Value::as_str);
    assert!(status.is_none_or(|status| status == if code == 0 { "OK" } else { "FAIL" }), "{text}");
    Some(value)
}

fn depth(value: &Value) -> usize {
    1 + match value {
        Value::Array(values) => values.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => members.values().map(depth).max().unwrap_or(0),
        _ => return 0,
    }
}

/// The targets that are written in C.
#[allow(missing_docs)]
pub mod c {
    unsafe extern "C" {
        pub fn fuzz_c_api(data: *const u8, size: usize);
        pub fn fuzz_known_bad(data: *const u8, size: usize);
    }
}

// The C code calls the library's exported functions.
extern crate imgroup as _;
