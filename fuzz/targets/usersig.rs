//! The verifier of tickets against the signer, and against forgers.
//!
//! The first byte chooses what the rest is: a ticket, the JSON of one, or claims
//! to sign and a place to damage.

#![no_main]
#![forbid(unsafe_code)]

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use imgroup::emulator::verify::{Expected, Verified, verify};
use imgroup::usersig::{Claims, Signer};
use libfuzzer_sys::fuzz_target;

const KEY: &str = "0b30557a9fc4e90e33587da2c7ec11365b80a5caef14395e83a8cdf2173c6186";
const ISSUED_AT: i64 = 1_700_000_000;
const TTL_S: u32 = 86_400;
const EXPECTED: Expected<'_> =
    Expected { sdkappid: 1_400_000_001, identifier: "administrator", secret_key: KEY, now: ISSUED_AT + 100 };

fuzz_target!(|data: &[u8]| {
    let Some((&choice, rest)) = data.split_first() else { return };
    match choice % 4 {
        0 => {
            let Ok(ticket) = std::str::from_utf8(rest) else { return };
            only_honest(verify(ticket, &EXPECTED).ok());
        }
        1 => only_honest(verify(&pack(rest, u32::from(choice / 4 % 10)), &EXPECTED).ok()),
        _ => round_trip(rest),
    }
});

/// The one ticket that was ever made with the key (it stands in the corpus), for
/// each identifier: without the key, nothing else verifies.
fn only_honest(verified: Option<Verified>) {
    if let Some(verified) = verified {
        assert_eq!((verified.issued_at, verified.ttl_s), (ISSUED_AT, i64::from(TTL_S)));
        assert!(verified.userbuf.is_none());
    }
}

/// As the vendor packs tickets.
fn pack(json: &[u8], level: u32) -> String {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(json).unwrap();
    let text = STANDARD.encode(encoder.finish().unwrap());
    text.replace('+', "*").replace('/', "-").replace('=', "_")
}

/// What is signed verifies, and damaged verifies as itself or not at all.
fn round_trip(bytes: &[u8]) {
    let Some((head, rest)) = bytes.split_first_chunk::<20>() else { return };
    let number = |at: usize| i64::from_le_bytes(head[at..at + 8].try_into().unwrap());
    let (issued_at, ttl_s) = (number(0), head[8..12].try_into().map(u32::from_le_bytes).unwrap());
    let (place, flip) = (usize::from(head[12]) | usize::from(head[13]) << 8, head[14] | 1);
    let (identifier, userbuf) = rest.split_at(rest.len().min(usize::from(head[15] % 40)));
    let Ok(identifier) = std::str::from_utf8(identifier) else { return };
    let userbuf = (head[16] & 1 == 1).then_some(userbuf);
    let claims = Claims { sdkappid: EXPECTED.sdkappid, identifier, issued_at, ttl_s, userbuf };
    let ticket = Signer::new(KEY).unwrap().sign(&claims);

    let expected = Expected { identifier, now: issued_at, ..EXPECTED };
    let honest = Verified { issued_at, ttl_s: i64::from(ttl_s), userbuf: userbuf.map(<[u8]>::to_vec) };
    assert_eq!(verify(&ticket, &expected).as_ref(), Ok(&honest));
    assert!(verify(&ticket, &Expected { secret_key: "another", ..expected }).is_err());
    assert!(verify(&ticket, &Expected { sdkappid: EXPECTED.sdkappid + 1, ..expected }).is_err());
    let longer = format!("{identifier}x");
    assert!(verify(&ticket, &Expected { identifier: &longer, ..expected }).is_err());

    let mut damaged = ticket.into_bytes();
    let place = place % damaged.len();
    damaged[place] ^= flip & 0x7f;
    let damaged = String::from_utf8(damaged).expect("ASCII");
    if let Ok(verified) = verify(&damaged, &expected) {
        assert_eq!(verified, honest, "a damaged ticket says something else");
    }
}
