//! Verifying a UserSig: the way back through base64, zlib and JSON, then the
//! comparison with what the request claims.
//!
//! One pure function, so that it can be fuzzed and tested without a server. It
//! is deliberately not written from the signing side; the layout of the signed
//! text is all they share. Generators differ in member order, spacing, escapes
//! and compression level, so the ticket is parsed, never compared as text.

#![forbid(unsafe_code)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::{Decompress, FlushDecompress, Status};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::usersig::signed_text;

/// What a ticket may unpack to. The longest known ones stay far below; more is a
/// decompression bomb.
const UNPACKED_MAX: usize = 64 * 1024;

/// What the request says, and what the service knows.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    /// The app of the request.
    pub sdkappid: u32,
    /// The identifier of the request.
    pub identifier: &'a str,
    /// The secret key of the app, as printed.
    pub secret_key: &'a str,
    /// The service's clock, in seconds since 1970.
    pub now: i64,
}

/// What a verified ticket says beyond what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// When it was made.
    pub issued_at: i64,
    /// How long it lives, in seconds.
    pub ttl_s: i64,
    /// The bytes of the userbuf, if it carries one.
    pub userbuf: Option<Vec<u8>>,
}

/// Why a ticket is refused. Each has a code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// There is none.
    Empty,
    /// It cannot be read; the text says at which step.
    Unreadable(&'static str),
    /// It was made for another app.
    OtherApp,
    /// It was made for another identifier.
    OtherIdentifier,
    /// It was not made with this key.
    Forged,
    /// It was good once.
    Expired,
}

impl Rejection {
    /// The service's code.
    pub fn code(self) -> i32 {
        match self {
            Rejection::Empty => 70002,
            Rejection::Unreadable(_) => 70003,
            Rejection::OtherApp => 70014,
            Rejection::OtherIdentifier => 70013,
            Rejection::Forged => 70009,
            Rejection::Expired => 70001,
        }
    }
}

/// Reads a ticket and compares it with the request.
///
/// The signature is compared before the expiry, so that only tickets which were
/// good once are called expired. Time in the future is accepted, as the vendor's
/// verifiers accept it.
pub fn verify(ticket: &str, expected: &Expected<'_>) -> Result<Verified, Rejection> {
    if ticket.is_empty() {
        return Err(Rejection::Empty);
    }
    let claims = parse(ticket)?;
    if claims.sdkappid != u64::from(expected.sdkappid) {
        return Err(Rejection::OtherApp);
    }
    if claims.identifier != expected.identifier {
        return Err(Rejection::OtherIdentifier);
    }
    let text = signed_text(
        &claims.identifier,
        claims.sdkappid,
        claims.issued_at,
        claims.ttl_s,
        claims.userbuf.as_ref().map(|(text, _)| text.as_str()),
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(expected.secret_key.as_bytes()).expect("HMAC takes any key");
    mac.update(text.as_bytes());
    let signature = STANDARD.decode(&claims.signature).map_err(|_| Rejection::Forged)?;
    // In constant time, inside the hmac crate.
    mac.verify_slice(&signature).map_err(|_| Rejection::Forged)?;
    // In 128 bits, so that no pair of numbers wraps into a long life.
    if i128::from(expected.now) > i128::from(claims.issued_at) + i128::from(claims.ttl_s) {
        return Err(Rejection::Expired);
    }
    Ok(Verified {
        issued_at: claims.issued_at,
        ttl_s: claims.ttl_s,
        userbuf: claims.userbuf.map(|(_, bytes)| bytes),
    })
}

struct Claims {
    identifier: String,
    sdkappid: u64,
    issued_at: i64,
    ttl_s: i64,
    userbuf: Option<(String, Vec<u8>)>,
    signature: String,
}

fn parse(ticket: &str) -> Result<Claims, Rejection> {
    use Rejection::Unreadable;
    let packed = decode(ticket).ok_or(Unreadable("not base64 in the ticket's alphabet"))?;
    let json = inflate(&packed).ok_or(Unreadable("not a complete zlib stream of at most 64 KiB"))?;
    let Ok(Value::Object(mut members)) = serde_json::from_slice(&json) else {
        return Err(Unreadable("not a JSON object"));
    };
    // Types are strict: a verifier that compares loosely takes `"TLS.sig": true`.
    let mut text = |name: &str| match members.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let identifier = text("TLS.identifier").ok_or(Unreadable("TLS.identifier is not a string"))?;
    let signature = text("TLS.sig").ok_or(Unreadable("TLS.sig is not a string"))?;
    let integer = |name: &str| members.get(name).and_then(Value::as_i64);
    let sdkappid = members.get("TLS.sdkappid").and_then(Value::as_u64);
    let sdkappid = sdkappid.ok_or(Unreadable("TLS.sdkappid is not an integer"))?;
    let issued_at = integer("TLS.time").ok_or(Unreadable("TLS.time is not an integer"))?;
    let ttl_s = integer("TLS.expire").ok_or(Unreadable("TLS.expire is not an integer"))?;
    let userbuf = match members.remove("TLS.userbuf") {
        None => None,
        Some(Value::String(text)) => {
            // The signed text is not escaped: only strict base64 keeps a line
            // break in the userbuf from posing as further lines.
            let bytes = STANDARD.decode(&text).map_err(|_| Unreadable("TLS.userbuf is not base64"))?;
            Some((text, bytes))
        }
        Some(_) => return Err(Unreadable("TLS.userbuf is not a string")),
    };
    Ok(Claims { identifier, sdkappid, issued_at, ttl_s, userbuf, signature })
}

/// Base64 with padding and three characters exchanged; the usual ones are refused.
fn decode(ticket: &str) -> Option<Vec<u8>> {
    let standard: Option<Vec<u8>> = ticket
        .bytes()
        .map(|byte| match byte {
            b'*' => Some(b'+'),
            b'-' => Some(b'/'),
            b'_' => Some(b'='),
            byte if byte.is_ascii_alphanumeric() => Some(byte),
            _ => None,
        })
        .collect();
    STANDARD.decode(standard?).ok()
}

/// One complete zlib stream, its checksum included. Bytes after it are ignored,
/// as the vendor's verifiers ignore them.
fn inflate(packed: &[u8]) -> Option<Vec<u8>> {
    let mut inflater = Decompress::new(true);
    let mut json = Vec::with_capacity(1024);
    loop {
        let read = inflater.total_in() as usize;
        let before = json.len();
        let status = inflater.decompress_vec(&packed[read..], &mut json, FlushDecompress::None).ok()?;
        match status {
            Status::StreamEnd => return Some(json),
            _ if json.len() >= UNPACKED_MAX => return None,
            _ if json.len() == json.capacity() => json.reserve(json.len()),
            // Room was left and nothing moved: the stream is cut off.
            _ if json.len() == before && inflater.total_in() as usize == read => return None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use std::io::Write as _;

    const KEY: &str = "0b30557a9fc4e90e33587da2c7ec11365b80a5caef14395e83a8cdf2173c6186";
    const ROW_1: &str = "z2QC04VusNrCvMfEfn0ZYfn3xEUdDWEFUs6K4DKuo3Y=";
    const NOW: i64 = 1_700_000_100;

    fn expected() -> Expected<'static> {
        Expected { sdkappid: 1_400_000_001, identifier: "administrator", secret_key: KEY, now: NOW }
    }

    fn zlib(json: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(json).unwrap();
        encoder.finish().unwrap()
    }

    fn encode(packed: &[u8]) -> String {
        STANDARD.encode(packed).replace('+', "*").replace('/', "-").replace('=', "_")
    }

    fn pack(json: &str) -> String {
        encode(&zlib(json.as_bytes(), 6))
    }

    fn json(signature: &str) -> String {
        format!(
            r#"{{"TLS.ver":"2.0","TLS.identifier":"administrator","TLS.sdkappid":1400000001,"TLS.expire":86400,"TLS.time":1700000000,"TLS.sig":"{signature}"}}"#
        )
    }

    #[test]
    fn vectors_of_the_vendors_generator_verify() {
        let vectors: Vec<Value> =
            serde_json::from_str(include_str!("../../tests/data/usersig_vectors.json")).unwrap();
        assert_eq!(vectors.len(), 40);
        for vector in &vectors {
            let issued_at = vector["time"].as_i64().unwrap();
            let expected = Expected {
                sdkappid: u32::try_from(vector["sdkappid"].as_u64().unwrap()).unwrap(),
                identifier: vector["identifier"].as_str().unwrap(),
                secret_key: vector["key"].as_str().unwrap(),
                now: issued_at,
            };
            let verified = verify(vector["usersig"].as_str().unwrap(), &expected).unwrap();
            assert_eq!(verified.issued_at, issued_at);
            assert_eq!(
                verified.userbuf.map(|bytes| STANDARD.encode(bytes)).as_deref(),
                vector["userbuf"].as_str()
            );
            let other = Expected { secret_key: "another key", ..expected };
            assert_eq!(verify(vector["usersig"].as_str().unwrap(), &other), Err(Rejection::Forged));
        }
    }

    #[test]
    fn order_spacing_escapes_and_level_are_free() {
        let rows = [
            json(ROW_1),
            format!("{}\n", json(ROW_1)),
            format!(
                r#"{{ "TLS.sig" : "{}", "TLS.time":1700000000, "TLS.identifier":"\u0061dministrator", "TLS.expire": 86400, "TLS.sdkappid": 1400000001, "more": [1] }}"#,
                ROW_1.replace('/', "\\/")
            ),
        ];
        for json in &rows {
            for level in [0, 1, 6, 9] {
                let ticket = encode(&zlib(json.as_bytes(), level));
                assert!(verify(&ticket, &expected()).is_ok(), "level {level}: {json}");
            }
        }
        let mut packed = zlib(rows[0].as_bytes(), 6);
        packed.extend_from_slice(b"after the stream");
        assert!(verify(&encode(&packed), &expected()).is_ok());
    }

    #[test]
    fn each_fault_has_its_own_code() {
        let good = pack(&json(ROW_1));
        let truncated = encode(&zlib(json(ROW_1).as_bytes(), 6)[..60]);
        let mut damaged = zlib(json(ROW_1).as_bytes(), 0);
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        let mut gzip = GzEncoder::new(Vec::new(), Compression::new(6));
        gzip.write_all(json(ROW_1).as_bytes()).unwrap();
        let changed = |from: &str, to: &str| pack(&json(ROW_1).replace(from, to));
        #[rustfmt::skip]
        let rows: Vec<(&str, String, i32)> = vec![
            ("nothing", String::new(), 70002),
            ("a foreign character", good.replace(['*', '-', '_'], "!"), 70003),
            ("blanks", format!(" {good}"), 70003),
            ("the standard alphabet", STANDARD.encode(zlib(json(ROW_1).as_bytes(), 6)), 70003),
            ("no padding", "eJw".into(), 70003),
            ("not zlib", encode(json(ROW_1).as_bytes()), 70003),
            ("gzip", encode(&gzip.finish().unwrap()), 70003),
            ("cut short", truncated, 70003),
            ("a wrong checksum", encode(&damaged), 70003),
            ("a bomb", encode(&zlib(&vec![b' '; 4 << 20], 9)), 70003),
            ("not JSON", pack("hello"), 70003),
            ("an array", pack("[]"), 70003),
            ("an empty object", pack("{}"), 70003),
            ("too deep", pack(&"[".repeat(1000)), 70003),
            ("signature true", pack(&json(ROW_1).replace(&format!("\"{ROW_1}\""), "true")), 70003),
            ("identifier a number", changed("\"administrator\"", "1"), 70003),
            ("app a string", changed("1400000001", "\"1400000001\""), 70003),
            ("time a string", changed("1700000000", "\"1700000000\""), 70003),
            ("expire a fraction", changed("86400", "86400.0"), 70003),
            ("expire null", changed("86400", "null"), 70003),
            ("userbuf a number", changed("\"TLS.ver\"", "\"TLS.userbuf\":7,\"TLS.ver\""), 70003),
            ("userbuf not base64", changed("\"TLS.ver\"", "\"TLS.userbuf\":\"Zg==\\nTLS\",\"TLS.ver\""), 70003),
            ("another app", changed("1400000001", "1400000002"), 70014),
            ("an app beyond 32 bits", changed("1400000001", "5694967297"), 70014),
            ("another identifier", changed("administrator", "Administrator"), 70013),
            ("another signature", pack(&json(&ROW_1.replace('z', "y"))), 70009),
            ("a short signature", pack(&json("AAAA")), 70009),
            ("no signature", pack(&json("")), 70009),
            ("a longer life", changed("86400", "86401"), 70009),
            ("an added userbuf", changed("\"TLS.ver\"", "\"TLS.userbuf\":\"Zg==\",\"TLS.ver\""), 70009),
        ];
        for (situation, ticket, code) in rows {
            assert_eq!(verify(&ticket, &expected()).unwrap_err().code(), code, "{situation}");
        }
    }

    #[test]
    fn the_last_second_counts_and_the_future_is_accepted() {
        let ticket = pack(&json(ROW_1));
        let at = |now| verify(&ticket, &Expected { now, ..expected() }).map(|_| ());
        assert_eq!(at(1_700_000_000 + 86400), Ok(()));
        assert_eq!(at(1_700_000_000 + 86401), Err(Rejection::Expired));
        assert_eq!(at(0), Ok(()), "issued in the future");
        // Forged and expired: called forged.
        let forged = pack(&json(&ROW_1.replace('z', "y")));
        assert_eq!(verify(&forged, &Expected { now: i64::MAX, ..expected() }), Err(Rejection::Forged));
    }

    /// A ticket honestly issued for an identifier with line breaks must not be
    /// rewritten into one for somebody else.
    #[test]
    fn lines_cannot_be_spliced() {
        let tail = "Zg==\\nTLS.sdkappid:1400000001\\nTLS.time:1700000000\\nTLS.expire:60";
        let honest = signed_text(
            "administrator\nTLS.sdkappid:1400000001\nTLS.time:1\nTLS.expire:9999999999\nTLS.userbuf:Zg==",
            1_400_000_001,
            1_700_000_000,
            60,
            None,
        );
        let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
        mac.update(honest.as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let forged = pack(&format!(
            r#"{{"TLS.identifier":"administrator","TLS.sdkappid":1400000001,"TLS.time":1,"TLS.expire":9999999999,"TLS.userbuf":"{tail}","TLS.sig":"{signature}"}}"#
        ));
        assert_eq!(verify(&forged, &expected()).unwrap_err().code(), 70003);
    }

    /// A small fuzz run: whatever is thrown at it, it answers.
    #[test]
    fn damaged_tickets_never_panic_or_pass() {
        let good = pack(&json(ROW_1)).into_bytes();
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed as usize
        };
        for _ in 0..5000 {
            let mut ticket = good.clone();
            for _ in 0..1 + random() % 4 {
                let position = random() % ticket.len();
                match random() % 3 {
                    0 => ticket[position] = b"ABCabc019*-_+/=%"[random() % 16],
                    1 => ticket.truncate(position.max(1)),
                    _ => ticket.insert(position, b'A'),
                }
            }
            let ticket = String::from_utf8(ticket).unwrap();
            if ticket.as_bytes() != good {
                // Bytes behind the stream are free, so a few changes do no harm.
                let _ = verify(&ticket, &expected());
            }
        }
    }
}
