//! UserSig, the ticket that signs every request: HMAC-SHA256 over a few lines of
//! text, packed as JSON, zlib and a base64 of its own.
//!
//! The format is that of the vendor's generators (TLSSigAPIv2). The key is used
//! as the characters it is printed with, not as the bytes they would decode to.
//! Only the layout of the signed text is shared with the emulator, which
//! verifies what this module signs.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use libdeflater::{CompressionLvl, Compressor};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// The longest identifier or account the service takes, in bytes.
pub const IDENTIFIER_MAX: usize = 32;
/// The longest life of a ticket the vendor documents: 50 years.
pub const TTL_MAX_S: u32 = 50 * 365 * 24 * 3600;

/// What a ticket says, before it is signed.
#[derive(Clone, Copy, Debug)]
pub struct Claims<'a> {
    /// The app.
    pub sdkappid: u32,
    /// The account the ticket is for.
    pub identifier: &'a str,
    /// When the ticket was made, in seconds since 1970.
    pub issued_at: i64,
    /// How long it lives, in seconds.
    pub ttl_s: u32,
    /// Bytes for TRTC room permissions; IM uses none.
    pub userbuf: Option<&'a [u8]>,
}

/// The text that is signed. `userbuf` is the base64 that also stands in the JSON.
pub fn signed_text(
    identifier: &str,
    sdkappid: impl std::fmt::Display,
    issued_at: impl std::fmt::Display,
    ttl_s: impl std::fmt::Display,
    userbuf: Option<&str>,
) -> String {
    let mut text = String::with_capacity(160);
    let _ = write!(
        text,
        "TLS.identifier:{identifier}\nTLS.sdkappid:{sdkappid}\nTLS.time:{issued_at}\nTLS.expire:{ttl_s}\n"
    );
    if let Some(userbuf) = userbuf {
        let _ = writeln!(text, "TLS.userbuf:{userbuf}");
    }
    text
}

/// Seconds since 1970 by the wall clock.
pub fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// The key, prepared once for many tickets and wiped when dropped.
///
/// The inner and outer HMAC states are derived from the key, so they are kept
/// only as long as one signature takes.
pub struct Signer {
    key: Zeroizing<Vec<u8>>,
}

impl Signer {
    /// Takes the secret key as printed in the console.
    pub fn new(secret_key: &str) -> Result<Signer> {
        if secret_key.is_empty() {
            return Err(Error::argument("secret_key", "must not be empty (length 0)"));
        }
        Ok(Signer { key: Zeroizing::new(secret_key.as_bytes().to_vec()) })
    }

    /// Signs without looking at the identifier; see [`usersig`] for the checked way.
    pub fn sign(&self, claims: &Claims<'_>) -> String {
        let userbuf = claims.userbuf.map(|bytes| STANDARD.encode(bytes));
        let text = signed_text(
            claims.identifier,
            claims.sdkappid,
            claims.issued_at,
            claims.ttl_s,
            userbuf.as_deref(),
        );
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.update(text.as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        pack(&json(claims, userbuf.as_deref(), &signature))
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer {{ key: {} bytes }}", self.key.len())
    }
}

/// Makes a UserSig for any account of the app, after checking every argument.
pub fn usersig(secret_key: &str, claims: &Claims<'_>) -> Result<String> {
    check_sdkappid(claims.sdkappid)?;
    check_identifier("identifier", claims.identifier)?;
    if claims.ttl_s == 0 || claims.ttl_s > TTL_MAX_S {
        return Err(Error::argument(
            "ttl_s",
            format_args!("must be 1 to {TTL_MAX_S} seconds, not {}", claims.ttl_s),
        ));
    }
    if claims.issued_at < 0 || claims.issued_at.checked_add(i64::from(claims.ttl_s)).is_none() {
        return Err(Error::argument("issued_at", "must be seconds since 1970, not negative"));
    }
    let issued_at = if claims.issued_at == 0 { now_s() } else { claims.issued_at };
    Ok(Signer::new(secret_key)?.sign(&Claims { issued_at, ..*claims }))
}

/// The SDKAppID is a number from the console, never 0.
pub(crate) fn check_sdkappid(sdkappid: u32) -> Result<()> {
    if sdkappid == 0 {
        return Err(Error::argument("sdkappid", "must not be 0"));
    }
    Ok(())
}

/// Who signs: 1 to 32 bytes of printable ASCII. A line break in an identifier
/// would let one ticket be rewritten into another. Names its length only.
pub(crate) fn check_identifier(parameter: &str, identifier: &str) -> Result<()> {
    if identifier.is_empty() || identifier.len() > IDENTIFIER_MAX {
        return Err(Error::argument(
            parameter,
            format_args!("must be 1 to {IDENTIFIER_MAX} bytes, not {}", identifier.len()),
        ));
    }
    if !identifier.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
        return Err(Error::argument(
            parameter,
            format_args!("must be printable ASCII ({} bytes given)", identifier.len()),
        ));
    }
    Ok(())
}

/// The JSON of the ticket, in the order of the vendor's Python generator.
fn json(claims: &Claims<'_>, userbuf: Option<&str>, signature: &str) -> String {
    let identifier = serde_json::to_string(claims.identifier).expect("a string is valid JSON");
    let mut json = String::with_capacity(256);
    let _ = write!(
        json,
        r#"{{"TLS.ver":"2.0","TLS.identifier":{identifier},"TLS.sdkappid":{},"TLS.expire":{},"TLS.time":{}"#,
        claims.sdkappid, claims.ttl_s, claims.issued_at
    );
    if let Some(userbuf) = userbuf {
        let _ = write!(json, r#","TLS.userbuf":"{userbuf}""#);
    }
    let _ = write!(json, r#","TLS.sig":"{signature}"}}"#);
    json
}

thread_local! {
    // A compressor's tables cost more to allocate than to use, so each thread keeps
    // one. libdeflate's are the only ones that need no clearing for each ticket.
    static COMPRESSOR: RefCell<Compressor> = RefCell::new(Compressor::new(CompressionLvl::default()));
}

/// zlib, then base64 with three characters replaced.
fn pack(json: &str) -> String {
    let mut packed = Vec::new();
    let written = COMPRESSOR.with_borrow_mut(|compressor| {
        packed.resize(compressor.zlib_compress_bound(json.len()), 0);
        compressor.zlib_compress(json.as_bytes(), &mut packed).expect("the buffer holds every ticket")
    });
    let mut text = STANDARD.encode(&packed[..written]).into_bytes();
    for byte in &mut text {
        *byte = match *byte {
            b'+' => b'*',
            b'/' => b'-',
            b'=' => b'_',
            other => other,
        };
    }
    String::from_utf8(text).expect("base64 is ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::ZlibDecoder;
    use serde_json::Value;
    use std::io::Read as _;

    /// The way back, written apart from `pack` and `json`.
    fn unpack(ticket: &str) -> Value {
        let standard: String = ticket
            .chars()
            .map(|c| match c {
                '*' => '+',
                '-' => '/',
                '_' => '=',
                other => other,
            })
            .collect();
        let packed = STANDARD.decode(standard).unwrap();
        let mut json = String::new();
        ZlibDecoder::new(&packed[..]).read_to_string(&mut json).unwrap();
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn vectors_of_the_vendors_generator_agree_and_verify() {
        let vectors: Vec<Value> =
            serde_json::from_str(include_str!("../tests/data/usersig_vectors.json")).unwrap();
        assert_eq!(vectors.len(), 40);
        let mut checked_way = 0;
        for vector in &vectors {
            let key = vector["key"].as_str().unwrap();
            let identifier = vector["identifier"].as_str().unwrap();
            let userbuf = vector["userbuf"].as_str().map(|text| STANDARD.decode(text).unwrap());
            let claims = Claims {
                sdkappid: u32::try_from(vector["sdkappid"].as_u64().unwrap()).unwrap(),
                identifier,
                issued_at: vector["time"].as_i64().unwrap(),
                ttl_s: u32::try_from(vector["expire"].as_u64().unwrap()).unwrap(),
                userbuf: userbuf.as_deref(),
            };
            let ticket = Signer::new(key).unwrap().sign(&claims);
            let parsed = unpack(&ticket);
            assert_eq!(parsed, vector["json"], "{identifier:?}");
            assert_eq!(parsed["TLS.sig"], vector["tls_sig"], "{identifier:?}");

            // Verifying: the signature over what the parsed ticket says.
            let text = signed_text(
                parsed["TLS.identifier"].as_str().unwrap(),
                &parsed["TLS.sdkappid"],
                &parsed["TLS.time"],
                &parsed["TLS.expire"],
                parsed["TLS.userbuf"].as_str(),
            );
            let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
            mac.update(text.as_bytes());
            let signature = STANDARD.decode(parsed["TLS.sig"].as_str().unwrap()).unwrap();
            mac.verify_slice(&signature).unwrap();

            if check_identifier("identifier", identifier).is_ok() && claims.ttl_s <= TTL_MAX_S {
                assert_eq!(usersig(key, &claims).unwrap(), ticket);
                checked_way += 1;
            }
        }
        assert!(checked_way >= 15, "only {checked_way} vectors went the public way");
    }

    #[test]
    fn arguments_are_checked_and_named() {
        let good = Claims { sdkappid: 1, identifier: "admin", issued_at: 1, ttl_s: 60, userbuf: None };
        let long = "x".repeat(33);
        #[rustfmt::skip]
        let rows: &[(&str, &str, Claims<'_>, &str)] = &[
            ("no app", "k", Claims { sdkappid: 0, ..good }, "sdkappid: must not be 0"),
            ("no identifier", "k", Claims { identifier: "", ..good }, "identifier: must be 1 to 32 bytes, not 0"),
            ("33 bytes", "k", Claims { identifier: &long, ..good }, "identifier: must be 1 to 32 bytes, not 33"),
            ("a line break", "k", Claims { identifier: "a\nb", ..good }, "identifier: must be printable ASCII (3 bytes given)"),
            ("not ASCII", "k", Claims { identifier: "é", ..good }, "identifier: must be printable ASCII (2 bytes given)"),
            ("no life", "k", Claims { ttl_s: 0, ..good }, "ttl_s: must be 1 to 1576800000 seconds, not 0"),
            ("51 years", "k", Claims { ttl_s: TTL_MAX_S + 1, ..good }, "ttl_s: must be 1 to 1576800000 seconds, not 1576800001"),
            ("before 1970", "k", Claims { issued_at: -1, ..good }, "issued_at: must be seconds since 1970, not negative"),
            ("no key", "", good, "secret_key: must not be empty (length 0)"),
        ];
        for (situation, key, claims, message) in rows {
            let error = usersig(key, claims).unwrap_err();
            assert_eq!(error.message(), *message, "{situation}");
            assert_eq!(error.code(), crate::codes::INVALID_ARGUMENT, "{situation}");
        }
    }

    #[test]
    fn issued_at_zero_means_now() {
        let claims = Claims { sdkappid: 1, identifier: "a", issued_at: 0, ttl_s: 60, userbuf: None };
        let issued = unpack(&usersig("k", &claims).unwrap())["TLS.time"].as_i64().unwrap();
        assert!((now_s() - issued).abs() <= 2);
    }
}
