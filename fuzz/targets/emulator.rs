//! Requests to the emulator, control requests among them.
//!
//! Requests stand one after the other between lines of `#`: a method and a target
//! in the first line, then the body. `$U$` stands for the query of an admin.

#![no_main]
#![forbid(unsafe_code)]

use std::io::ErrorKind;
use std::sync::LazyLock;

use imgroup::emulator::door::Door;
use imgroup::emulator::{DEMO_ADMIN, DEMO_SDKAPPID, DEMO_SECRET_KEY, Options};
use imgroup::fuzzing::envelope;
use imgroup::usersig::{Claims, TTL_MAX_S, usersig};
use imgroup_fuzz::{replace, split};
use libfuzzer_sys::fuzz_target;

/// Of an admin, for 50 years.
static QUERY: LazyLock<String> = LazyLock::new(|| {
    let claims = Claims {
        sdkappid: DEMO_SDKAPPID,
        identifier: DEMO_ADMIN,
        issued_at: 1_700_000_000,
        ttl_s: TTL_MAX_S,
        userbuf: None,
    };
    let usersig = usersig(DEMO_SECRET_KEY, &claims).unwrap();
    format!("sdkappid={DEMO_SDKAPPID}&identifier={DEMO_ADMIN}&usersig={usersig}&random=1&contenttype=json")
});

thread_local! {
    static DOOR: Door = {
        let seed_accounts = ["alice", "bob", "carol"].map(String::from).to_vec();
        Door::new(Options { seed_accounts, journal_max: 16, quota: 0, ..Options::default() }).unwrap()
    };
}

fuzz_target!(|data: &[u8]| DOOR.with(|door| {
    door.reset();
    let data = replace(data, b"$U$", QUERY.as_bytes());
    // A fault may answer what the service never would.
    let spoilt = data.windows(7).any(|window| window == b"/faults");
    // The state as it was last seen, if nothing has changed it since.
    let mut seen = None;
    for request in split(&data, b"\n#\n").take(8) {
        let mut parts = request.splitn(2, |&byte| byte == b'\n');
        let Ok(line) = std::str::from_utf8(parts.next().unwrap_or_default()) else { continue };
        let body = parts.next().unwrap_or_default();
        let Some((method, target)) = line.split_once(' ') else { continue };
        let is_call = !target.contains("/_emulator");
        let before = seen.take().unwrap_or_else(|| state(door));
        let (status, answer) = match door.answer(method, target, body) {
            Ok(answer) => answer,
            Err(error) => {
                assert!(spoilt || error.kind() == ErrorKind::InvalidInput, "{line}: {error}");
                continue;
            }
        };
        if spoilt {
            continue;
        }
        if !is_call {
            // A request to the emulator itself is never too much for it.
            assert!(status < 500, "{line}: {status}");
            continue;
        }
        assert_eq!(status, 200, "{line}");
        if method == "HEAD" {
            continue;
        }
        let text = String::from_utf8_lossy(&answer);
        let read = envelope(&answer).unwrap_or_else(|reason| panic!("{line}: {reason}: {text}"));
        if read.code != 0 {
            assert_eq!(state(door), before, "{line}: refused, and yet: {text}");
            seen = Some(before);
        }
    }
    let state = state(door);
    let (status, _) = door.answer("PUT", "/_emulator/state", state.as_bytes()).unwrap();
    assert_eq!(status, 200, "the state cannot be given back: {state}");
    assert_eq!(self::state(door), state);
}));

fn state(door: &Door) -> String {
    let (status, state) = door.answer("GET", "/_emulator/state", b"").unwrap();
    assert_eq!(status, 200);
    String::from_utf8(state).unwrap()
}
