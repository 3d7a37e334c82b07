//! The emulator over real sockets: a table of situations and what comes back.
//!
//! Requests are written by hand here, byte for byte, so that nothing a client
//! library would smooth over goes unseen.

#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use imgroup::emulator::{
    Certificate, DEMO_ADMIN, DEMO_SDKAPPID, DEMO_SECRET_KEY, Emulator, NonAdmin, Options, Policy, TlsOptions,
    TlsVersions, UnknownList,
};
use imgroup::usersig::{Claims, now_s, usersig};
use serde_json::{Value, json};

/// No wait in this file is longer.
const PATIENCE: Duration = Duration::from_secs(20);

fn start(options: Options) -> Emulator {
    let seed_accounts = if options.seed_accounts.is_empty() {
        ["alice", "bob", "carol"].map(String::from).to_vec()
    } else {
        options.seed_accounts.clone()
    };
    Emulator::start(Options { seed_accounts, ..options }).unwrap()
}

/// Without a pace and with writes that take no time.
fn quick() -> Emulator {
    start(Options { quota: 0, write_time: Duration::ZERO, ..Options::default() })
}

fn ticket(identifier: &str) -> String {
    let claims = Claims { sdkappid: DEMO_SDKAPPID, identifier, issued_at: 0, ttl_s: 3600, userbuf: None };
    usersig(DEMO_SECRET_KEY, &claims).unwrap()
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'*' => (byte as char).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn query(sdkappid: impl std::fmt::Display, identifier: &str, ticket: &str) -> String {
    format!(
        "sdkappid={sdkappid}&identifier={}&usersig={}&random=4294967295&contenttype=json",
        encode(identifier),
        encode(ticket)
    )
}

/// A good query.
fn signed() -> String {
    query(DEMO_SDKAPPID, DEMO_ADMIN, &ticket(DEMO_ADMIN))
}

fn path(command: &str) -> String {
    let service = if command.starts_with("account") || command.starts_with("multi") {
        "im_open_login_svc"
    } else {
        "sns"
    };
    format!("/v4/{service}/{command}")
}

fn request(command: &str, body: &str) -> String {
    format!(
        "POST {}?{} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
        path(command),
        signed(),
        body.len()
    )
}

#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn code(&self) -> i64 {
        self.json()["ErrorCode"].as_i64().unwrap_or_else(|| panic!("{self:?}"))
    }
}

/// Reads one reply by its Content-Length.
fn read_reply(stream: &mut impl Read) -> std::io::Result<Reply> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut reply = Reply { status, head, body: Vec::new() };
    let length: usize = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
    reply.body.resize(length, 0);
    stream.read_exact(&mut reply.body)?;
    Ok(reply)
}

fn connect(emulator: &Emulator) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", emulator.port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn exchange(emulator: &Emulator, raw: &str) -> Reply {
    let mut stream = connect(emulator);
    stream.write_all(raw.as_bytes()).unwrap();
    read_reply(&mut stream).unwrap()
}

fn call(emulator: &Emulator, command: &str, body: Value) -> Value {
    exchange(emulator, &request(command, &body.to_string())).json()
}

fn code(emulator: &Emulator, command: &str, body: Value) -> i64 {
    call(emulator, command, body)["ErrorCode"].as_i64().unwrap()
}

fn control(emulator: &Emulator, method: &str, path: &str, body: Value) -> Value {
    let body = (!body.is_null()).then_some(body);
    emulator.control(method, &format!("/_emulator/{path}"), body.as_ref()).unwrap()
}

fn order(emulator: &Emulator, fault: Value) {
    control(emulator, "POST", "faults", fault);
}

fn lists(emulator: &Emulator, account: &str) -> Vec<String> {
    let state = control(emulator, "GET", "state", Value::Null);
    serde_json::from_value(state["accounts"][account]["lists"].clone()).unwrap()
}

fn names(account: &str, names: &[&str]) -> Value {
    json!({"From_Account": account, "GroupName": names})
}

/// Waits for something that another thread brings about.
fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn arrived(emulator: &Emulator, number: u64) {
    wait_for("the request to arrive", || {
        control(emulator, "GET", "requests/count", Value::Null)["count"].as_u64().unwrap() >= number
    });
}

fn last_request(emulator: &Emulator) -> Value {
    let shown = control(emulator, "GET", "requests", Value::Null);
    shown["requests"].as_array().unwrap().last().unwrap().clone()
}

// ---- the gateway ------------------------------------------------------------

#[test]
fn every_gateway_code_has_its_situation() {
    let emulator = quick();
    let good = ticket(DEMO_ADMIN);
    let body = names("alice", &["x"]).to_string();
    let made = |sdkappid, identifier: &str, issued_at, ttl_s, key: &str| {
        usersig(key, &Claims { sdkappid, identifier, issued_at, ttl_s, userbuf: None }).unwrap()
    };
    let expired = made(DEMO_SDKAPPID, DEMO_ADMIN, now_s() - 100, 60, DEMO_SECRET_KEY);
    let forged = made(DEMO_SDKAPPID, DEMO_ADMIN, 0, 60, "some other key");
    let forged_and_expired = made(DEMO_SDKAPPID, DEMO_ADMIN, now_s() - 100, 60, "some other key");
    let other_app = made(1_400_000_001, DEMO_ADMIN, 0, 60, DEMO_SECRET_KEY);
    let user = made(DEMO_SDKAPPID, "alice", 0, 60, DEMO_SECRET_KEY);
    let future = made(DEMO_SDKAPPID, DEMO_ADMIN, now_s() + 86400, 60, DEMO_SECRET_KEY);
    let claims = Claims {
        sdkappid: DEMO_SDKAPPID,
        identifier: DEMO_ADMIN,
        issued_at: 0,
        ttl_s: 60,
        userbuf: Some(b"\0\x01\xff"),
    };
    let with_userbuf = usersig(DEMO_SECRET_KEY, &claims).unwrap();
    let target = |path: &str, query: &str| format!("{path}?{query}");
    let delete = path("group_delete");
    let as_admin = |ticket: &str| target(&delete, &query(DEMO_SDKAPPID, DEMO_ADMIN, ticket));
    let fine = as_admin(&good);
    #[rustfmt::skip]
    let rows: Vec<(&str, &str, String, &str, i64)> = vec![
        // In the order in which the gateway looks.
        ("a bare host", "GET", "/".into(), "", 60002),
        ("no such shape", "POST", target("/v3/sns/group_delete", &signed()), &body, 60002),
        ("no query", "POST", delete.clone(), &body, 60012),
        ("sdkappid empty", "POST", target(&delete, "sdkappid="), &body, 60012),
        ("sdkappid in capitals", "POST", target(&delete, "SDKAppID=1400000000"), &body, 60012),
        ("GET", "GET", fine.clone(), "", 60002),
        ("PUT", "PUT", fine.clone(), &body, 60002),
        ("no such command", "POST", target("/v4/sns/group_remove", &signed()), &body, 60009),
        ("no such service", "POST", target("/v4/groups/group_delete", &signed()), &body, 60009),
        ("a command in capitals", "POST", target("/v4/sns/Group_Delete", &signed()), &body, 60009),
        ("sdkappid no number", "POST", target(&delete, &query("abc", DEMO_ADMIN, &good)), &body, 60006),
        ("sdkappid beyond 32 bits", "POST", target(&delete, &query(1_u64 << 32, DEMO_ADMIN, &good)), &body, 60006),
        ("an unknown app", "POST", target(&delete, &query(1_400_000_001, DEMO_ADMIN, &good)), &body, 70020),
        ("no ticket", "POST", as_admin(""), &body, 70002),
        ("bad base64", "POST", as_admin("!!!!"), &body, 70003),
        ("bad zlib", "POST", as_admin(&encode_ticket(b"not zlib")), &body, 70003),
        ("bad JSON", "POST", as_admin(&pack("[1")), &body, 70003),
        ("a signature that is true", "POST", as_admin(&pack(r#"{"TLS.identifier":"administrator","TLS.sdkappid":1400000000,"TLS.time":1,"TLS.expire":9999999999,"TLS.sig":true}"#)), &body, 70003),
        ("cut short", "POST", as_admin(&good[..good.len() - 20]), &body, 70003),
        ("a ticket of another app", "POST", as_admin(&other_app), &body, 70014),
        ("a ticket of somebody else", "POST", as_admin(&user), &body, 70013),
        ("no identifier", "POST", target(&delete, &query(DEMO_SDKAPPID, "", &good)), &body, 70013),
        ("the wrong key", "POST", as_admin(&forged), &body, 70009),
        ("the wrong key, and expired", "POST", as_admin(&forged_and_expired), &body, 70009),
        ("expired", "POST", as_admin(&expired), &body, 70001),
        ("no admin", "POST", target(&delete, &query(DEMO_SDKAPPID, "alice", &user)), &body, 60010),
        ("no admin, and no body", "POST", target(&delete, &query(DEMO_SDKAPPID, "alice", &user)), "", 60010),
        ("no body", "POST", fine.clone(), "", 60003),
        ("no JSON", "POST", fine.clone(), "{\"From_Account\":", 60003),
        ("no object", "POST", fine.clone(), "[]", 60003),
        ("not UTF-8", "POST", fine.clone(), "{\"From_Account\":\"\\ud800\"}", 60003),
        ("an account that is a number", "POST", fine.clone(), "{\"From_Account\":1,\"GroupName\":[]}", 60015),
        ("an account that is a number in a list", "POST", fine.clone(), "{\"To_Account\":[\"a\",1]}", 60015),
        ("the service's turn", "POST", fine.clone(), "{}", 30001),
        ("an unknown account", "POST", fine.clone(), "{\"From_Account\":\"nobody\",\"GroupName\":[\"x\"]}", 30003),
        // And what passes.
        ("all well", "POST", fine.clone(), &body, 0),
        ("a ticket from the future", "POST", as_admin(&future), &body, 0),
        ("a ticket with userbuf", "POST", as_admin(&with_userbuf), &body, 0),
    ];
    for (situation, method, target, body, expected) in rows {
        let raw = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let reply = exchange(&emulator, &raw);
        assert_eq!(reply.status, 200, "{situation}");
        assert_eq!(reply.code(), expected, "{situation}: {}", reply.json());
        assert_eq!(reply.json()["ActionStatus"], if expected == 0 { "OK" } else { "FAIL" }, "{situation}");
        let noted = last_request(&emulator);
        assert_eq!(noted["verdict"]["code"], expected, "{situation}");
        assert!(!noted.to_string().contains(&good[..40]), "{situation}: the ticket stands in the journal");
    }
}

fn encode_ticket(packed: &[u8]) -> String {
    STANDARD.encode(packed).replace('+', "*").replace('/', "-").replace('=', "_")
}

fn pack(json: &str) -> String {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(json.as_bytes()).unwrap();
    encode_ticket(&encoder.finish().unwrap())
}

#[test]
fn known_texts_are_sent_word_for_word() {
    let emulator = quick();
    let raw = format!(
        "POST {}?{} HTTP/1.1\r\nHost: h\r\n\r\n",
        path("group_get"),
        query(DEMO_SDKAPPID, DEMO_ADMIN, "x")
    );
    let reply = exchange(&emulator, &raw).json();
    assert_eq!(
        reply["ErrorInfo"],
        "The UserSig in use is illegal. Please regenerate UserSig through official API"
    );
    assert!(reply.get("ErrorDisplay").is_none(), "the gateway knows no display text");
    assert_eq!(
        last_request(&emulator)["verdict"]["text"],
        format!("{} (not base64 in the ticket's alphabet)", reply["ErrorInfo"].as_str().unwrap()),
        "the journal says at which step"
    );
}

#[test]
fn an_identifier_may_hold_any_character_and_there_may_be_several_admins() {
    let admins = vec!["a b&c=%+".to_owned(), "second".to_owned()];
    let emulator = start(Options { admins: admins.clone(), ..Options::default() });
    for admin in &admins {
        let raw = format!(
            "POST {}?{} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{{}}",
            path("account_check"),
            query(DEMO_SDKAPPID, admin, &ticket(admin))
        );
        assert_eq!(exchange(&emulator, &raw).code(), 70402, "{admin}");
    }
}

#[test]
fn callers_who_are_no_admins_are_a_switch() {
    let policy = Policy { non_admin: NonAdmin::Service, ..Policy::default() };
    let emulator = start(Options { policy, ..Options::default() });
    #[rustfmt::skip]
    let rows = [
        ("group_get", json!({"From_Account": "alice"}), 0),
        ("group_get", json!({"From_Account": "bob"}), 30004),
        ("account_check", json!({"CheckItem": [{"UserID": "alice"}]}), 70403),
    ];
    for (command, body, expected) in rows {
        let body = body.to_string();
        let raw = format!(
            "POST {}?{} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}",
            path(command),
            query(DEMO_SDKAPPID, "alice", &ticket("alice")),
            body.len()
        );
        assert_eq!(exchange(&emulator, &raw).code(), expected, "{command} {body}");
    }
}

// ---- the commands -----------------------------------------------------------

#[test]
fn every_command_succeeds_and_fails_in_its_items() {
    let emulator = quick();
    let person = |account: &str| json!({"To_Account": account, "AddSource": "AddSource_Type_Test"});
    let many = |accounts: &[&str]| json!({"From_Account": "alice", "To_Account": accounts});
    let with = |mut body: Value, name: &str, value: &str| {
        body[name] = json!(value);
        body
    };
    // Each with the member that holds its items, and the items' codes.
    #[rustfmt::skip]
    let rows: Vec<(&str, Value, &str, Vec<i64>)> = vec![
        ("account_import", json!({"UserID": "dave", "Nick": "D"}), "", vec![]),
        ("multiaccount_import", json!({"Accounts": ["erin", "frank"]}), "", vec![]),
        ("multiaccount_import", json!({"AccountList": [{"UserID": "erin", "Nick": "E"}]}), "", vec![]),
        ("account_check", json!({"CheckItem": [{"UserID": "dave"}, {"UserID": "nobody"}]}), "ResultItem", vec![0, 0]),
        ("friend_import", json!({"From_Account": "alice", "AddFriendItem": [person("bob"), person("nobody")]}), "ResultItem", vec![0, 30003]),
        ("friend_add", json!({"From_Account": "alice", "AddFriendItem": [person("carol"), person("bob")]}), "ResultItem", vec![0, 0]),
        ("friend_add", json!({"From_Account": "alice", "AddFriendItem": [person("dave"), person("bob")]}), "ResultItem", vec![0, 30001]),
        ("group_add", json!({"From_Account": "alice", "GroupName": ["Work"], "To_Account": ["bob", "erin"]}), "ResultItem", vec![0, 30001]),
        ("friend_update", json!({"From_Account": "alice", "UpdateItem": [
            {"To_Account": "bob", "SnsItem": [{"Tag": "Tag_SNS_IM_Group", "Value": ["Work", "New"]}]},
            {"To_Account": "erin", "SnsItem": [{"Tag": "Tag_SNS_IM_Remark", "Value": "x"}]}]}), "ResultItem", vec![0, 30001]),
        ("group_get", json!({"From_Account": "alice", "NeedFriend": "Need_Friend_Type_Yes"}), "", vec![]),
        ("friend_check", with(many(&["bob", "nobody"]), "CheckType", "CheckResult_Type_Both"), "InfoItem", vec![0, 30003]),
        ("friend_get", json!({"From_Account": "alice", "StartIndex": 0}), "", vec![]),
        ("friend_get_list", json!({"From_Account": "alice", "To_Account": ["bob", "erin"], "TagList": ["Tag_SNS_IM_Group"]}), "InfoItem", vec![0, 30001]),
        ("group_delete", names("alice", &["Work"]), "", vec![]),
        ("friend_delete", many(&["bob", "bob"]), "ResultItem", vec![0, 31704]),
        ("black_list_add", many(&["carol", "carol"]), "ResultItem", vec![0, 30001]),
        ("black_list_check", with(many(&["carol", "nobody"]), "CheckType", "BlackCheckResult_Type_Single"), "BlackListCheckItem", vec![0, 30003]),
        ("black_list_get", json!({"From_Account": "alice", "StartIndex": 0, "MaxLimited": 10, "LastSequence": 0}), "", vec![]),
        ("black_list_delete", many(&["carol", "bob"]), "ResultItem", vec![0, 30001]),
        ("friend_delete_all", json!({"From_Account": "alice"}), "", vec![]),
        ("account_delete", json!({"DeleteItem": [{"UserID": "frank"}, {"UserID": "nobody"}]}), "ResultItem", vec![0, 70107]),
    ];
    let mut called: Vec<&str> = Vec::new();
    for (command, body, member, codes) in rows {
        let reply = call(&emulator, command, body);
        assert_eq!(
            (&reply["ActionStatus"], &reply["ErrorCode"]),
            (&json!("OK"), &json!(0)),
            "{command}: {reply}"
        );
        let items = reply[member].as_array();
        let found: Vec<i64> =
            items.into_iter().flatten().map(|item| item["ResultCode"].as_i64().unwrap()).collect();
        assert_eq!(found, codes, "{command}: {reply}");
        let accounts = command.contains("account");
        assert_eq!(reply.get("ErrorDisplay").is_none(), accounts, "{command}: {reply}");
        called.push(command);
    }
    called.sort_unstable();
    called.dedup();
    assert_eq!(called.len(), 19);
    assert_eq!(lists(&emulator, "alice"), ["New"]);
}

#[test]
fn lists_are_created_read_and_deleted_as_documented() {
    let emulator = quick();
    let reply = exchange(&emulator, &request("group_add", &names("alice", &["Family", "Work"]).to_string()));
    assert_eq!(
        String::from_utf8(reply.body).unwrap(),
        r#"{"CurrentSequence":1,"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","ErrorDisplay":""}"#
    );
    let reply = exchange(&emulator, &request("group_delete", &names("alice", &["Work", "None"]).to_string()));
    assert_eq!(
        String::from_utf8(reply.body).unwrap(),
        r#"{"CurrentSequence":2,"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"0","ErrorDisplay":""}"#
    );
    let reply = exchange(&emulator, &request("group_get", r#"{"From_Account":"alice"}"#));
    assert_eq!(
        String::from_utf8(reply.body).unwrap(),
        r#"{"ResultItem":[{"GroupName":"Family","FriendNumber":0}],"CurrentSequence":2,"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","ErrorDisplay":""}"#
    );
}

#[test]
fn the_switch_for_unknown_lists_refuses_the_whole_call() {
    for (unknown_list, expected) in [(UnknownList::InvalidParameters, 30001), (UnknownList::NotFound, 32309)]
    {
        let policy = Policy { unknown_list, ..Policy::default() };
        let emulator = start(Options { policy, ..Options::default() });
        call(&emulator, "group_add", names("alice", &["Work"]));
        let reply = call(&emulator, "group_delete", names("alice", &["Work", "None"]));
        assert_eq!((&reply["ErrorCode"], &reply["ErrorDisplay"]), (&json!(expected), &json!("")));
        assert_eq!(lists(&emulator, "alice"), ["Work"]);
        assert_eq!(last_request(&emulator)["verdict"]["applied"], false);
    }
}

// ---- HTTP -------------------------------------------------------------------

#[test]
fn connections_are_kept_or_closed_as_asked() {
    let emulator = quick();
    let body = r#"{"From_Account":"alice"}"#;
    let mut stream = connect(&emulator);
    for _ in 0..3 {
        stream.write_all(request("group_get", body).as_bytes()).unwrap();
        assert_eq!(read_reply(&mut stream).unwrap().code(), 0);
    }
    // Two at once, answered in their order.
    let both = request("group_get", body) + &request("group_get", "{}");
    stream.write_all(both.as_bytes()).unwrap();
    assert_eq!(read_reply(&mut stream).unwrap().code(), 0);
    assert_eq!(read_reply(&mut stream).unwrap().code(), 30001);
    let shown = control(&emulator, "GET", "requests", Value::Null);
    let connections: Vec<&Value> =
        shown["requests"].as_array().unwrap().iter().map(|entry| &entry["connection"]).collect();
    assert!(connections.iter().all(|connection| *connection == connections[0]), "{connections:?}");

    let closing =
        request("group_get", body).replace("Host: localhost", "Host: localhost\r\nConnection: close");
    stream.write_all(closing.as_bytes()).unwrap();
    let reply = read_reply(&mut stream).unwrap();
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "closed by the server");

    let mut stream = connect(&emulator);
    stream.write_all(request("group_get", body).replace("HTTP/1.1", "HTTP/1.0").as_bytes()).unwrap();
    assert_eq!(read_reply(&mut stream).unwrap().code(), 0);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "HTTP/1.0 is closed");
}

#[test]
fn bodies_come_by_length_in_chunks_or_after_a_question() {
    let emulator = quick();
    let head = format!("POST {}?{} HTTP/1.1\r\nHost: h\r\n", path("group_get"), signed());
    let chunked = format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n8\r\n{{\"From_A\r\n10\r\nccount\":\"alice\"}}\r\n0\r\n\r\n"
    );
    assert_eq!(exchange(&emulator, &chunked).code(), 0);
    assert_eq!(last_request(&emulator)["body"], json!({"From_Account": "alice"}));

    let mut stream = connect(&emulator);
    stream.write_all(format!("{head}Content-Length: 24\r\nExpect: 100-continue\r\n\r\n").as_bytes()).unwrap();
    let go_on = read_reply(&mut stream).unwrap();
    assert_eq!(go_on.status, 100);
    stream.write_all(br#"{"From_Account":"alice"}"#).unwrap();
    assert_eq!(read_reply(&mut stream).unwrap().code(), 0);

    // In pieces, with pauses.
    let raw = request("group_get", r#"{"From_Account":"alice"}"#);
    let mut stream = connect(&emulator);
    for piece in raw.as_bytes().chunks(raw.len() / 4) {
        stream.write_all(piece).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(read_reply(&mut stream).unwrap().code(), 0);
}

#[test]
fn content_types_do_not_matter() {
    let emulator = quick();
    for line in ["", "Content-Type: application/json\r\n", "Content-Type: text/plain\r\n"] {
        let raw =
            request("group_get", r#"{"From_Account":"alice"}"#).replace("Host:", &format!("{line}Host:"));
        assert_eq!(exchange(&emulator, &raw).code(), 0, "{line}");
    }
}

#[test]
fn a_reply_leaves_in_one_write_with_its_headers() {
    let emulator = quick();
    let mut stream = connect(&emulator);
    for _ in 0..20 {
        stream.write_all(request("group_get", r#"{"From_Account":"alice"}"#).as_bytes()).unwrap();
        // One write on that side with Nagle off is one read on this.
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).unwrap();
        let reply = read_reply(&mut &buffer[..length]).unwrap();
        assert_eq!(reply.code(), 0);
        assert!(reply.header("server").unwrap().starts_with("imgroup-emulator/"));
        assert!(reply.header("date").unwrap().ends_with(" GMT"));
        assert_eq!(reply.header("content-length").unwrap(), reply.body.len().to_string());
    }
}

#[test]
fn a_body_without_end_is_refused() {
    let emulator = start(Options { body_max: 1000, ..Options::default() });
    let raw = request("group_get", &" ".repeat(1001));
    let reply = exchange(&emulator, &raw);
    assert_eq!((reply.status, reply.header("connection")), (413, Some("close")));
    assert_eq!(exchange(&emulator, &request("group_get", &" ".repeat(1000))).code(), 60003);
}

#[test]
fn the_health_probe_of_the_documents_is_answered() {
    let emulator = quick();
    let mut stream = connect(&emulator);
    stream.write_all(b"HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.ends_with("\r\n\r\n"), "{reply}");
}

#[test]
fn idle_connections_are_closed() {
    let emulator = start(Options { idle_timeout: Duration::from_millis(200), ..Options::default() });
    let mut stream = connect(&emulator);
    stream.write_all(request("group_get", r#"{"From_Account":"alice"}"#).as_bytes()).unwrap();
    assert_eq!(read_reply(&mut stream).unwrap().code(), 0);
    let began = Instant::now();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert!(began.elapsed() < PATIENCE);
}

// ---- pace and conflicts -----------------------------------------------------

#[test]
fn the_quota_is_a_sliding_second_per_command() {
    let emulator = start(Options { quota: 20, ..Options::default() });
    let mut stream = connect(&emulator);
    let mut ask = |command: &str, body: &str| {
        stream.write_all(request(command, body).as_bytes()).unwrap();
        read_reply(&mut stream).unwrap().code()
    };
    let body = r#"{"From_Account":"alice"}"#;
    // On a busy machine 25 requests may take longer than the second: once more, then.
    let mut began = Instant::now();
    let mut codes: Vec<i64> = (0..25).map(|_| ask("group_get", body)).collect();
    while began.elapsed() > Duration::from_millis(900) {
        control(&emulator, "POST", "reset", Value::Null);
        began = Instant::now();
        codes = (0..25).map(|_| ask("group_get", body)).collect();
    }
    assert_eq!(codes, [vec![0; 20], vec![60007; 5]].concat());
    assert_eq!(ask("friend_check", body), 30001, "another command has its own");
    std::thread::sleep(Duration::from_millis(1050));
    assert_eq!(ask("group_get", body), 0);

    let count = control(&emulator, "GET", "requests/count?command=group_get", Value::Null);
    assert_eq!(count, json!({"count": 26, "codes": {"0": 21, "60007": 5}}));
    let arrivals = control(&emulator, "GET", "arrivals?command=group_get", Value::Null);
    let arrivals: Vec<u64> = serde_json::from_value(arrivals).unwrap();
    assert_eq!(arrivals.len(), 26);
    assert!(arrivals.is_sorted() && arrivals[25] - arrivals[24] >= 1_000_000);
}

#[test]
fn account_commands_have_half_the_quota() {
    let emulator = start(Options { quota: 4, ..Options::default() });
    for command in ["account_check", "account_delete", "multiaccount_import"] {
        wait_for("three requests within a second", || {
            control(&emulator, "POST", "reset", Value::Null);
            let began = Instant::now();
            let codes: Vec<i64> = (0..3).map(|_| code(&emulator, command, json!({}))).collect();
            let in_time = began.elapsed() < Duration::from_millis(900);
            assert!(!in_time || codes == [70402, 70402, 60007], "{command}: {codes:?}");
            in_time
        });
    }
}

#[test]
fn without_a_quota_nothing_is_too_much() {
    let emulator = quick();
    let mut stream = connect(&emulator);
    for _ in 0..300 {
        stream.write_all(request("group_get", r#"{"From_Account":"alice"}"#).as_bytes()).unwrap();
        assert_eq!(read_reply(&mut stream).unwrap().code(), 0);
    }
}

#[test]
fn writes_that_overlap_on_one_account_conflict() {
    let emulator = start(Options { write_time: Duration::from_millis(800), ..Options::default() });
    let mut first = connect(&emulator);
    first.write_all(request("group_add", &names("alice", &["first"]).to_string()).as_bytes()).unwrap();
    arrived(&emulator, 1);
    #[rustfmt::skip]
    let rows = [
        ("group_add", names("alice", &["second"]), 30008),
        ("friend_delete_all", json!({"From_Account": "alice"}), 30008),
        ("group_get", json!({"From_Account": "alice"}), 0),
    ];
    for (command, body, expected) in rows {
        let reply = call(&emulator, command, body);
        assert_eq!(reply["ErrorCode"], expected, "{command}");
        assert_eq!(reply["ErrorDisplay"], "", "{command}");
    }
    // Somebody else's lists are another matter.
    assert_eq!(code(&emulator, "group_add", names("bob", &["second"])), 0);
    assert_eq!(read_reply(&mut first).unwrap().code(), 0);
    assert_eq!(code(&emulator, "group_add", names("alice", &["second"])), 0);
    assert_eq!(lists(&emulator, "alice"), ["first", "second"]);
}

#[test]
fn a_delay_before_a_write_holds_the_account_and_one_after_it_does_not() {
    for (when, expected) in [("before", 30008), ("after", 0)] {
        let emulator = quick();
        order(&emulator, json!({"kind": "delay", "delay_ms": 1000, "when": when}));
        let mut slow = connect(&emulator);
        slow.write_all(request("group_add", &names("alice", &["slow"]).to_string()).as_bytes()).unwrap();
        arrived(&emulator, 1);
        assert_eq!(lists(&emulator, "alice").len(), usize::from(when == "after"), "{when}");
        assert_eq!(code(&emulator, "group_add", names("alice", &["quick"])), expected, "{when}");
        assert_eq!(read_reply(&mut slow).unwrap().code(), 0);
    }
}

#[test]
fn a_write_goes_on_when_its_client_has_left() {
    let emulator = quick();
    order(&emulator, json!({"kind": "delay", "delay_ms": 1000}));
    let mut stream = connect(&emulator);
    stream.write_all(request("group_add", &names("alice", &["late"]).to_string()).as_bytes()).unwrap();
    arrived(&emulator, 1);
    drop(stream);
    assert!(lists(&emulator, "alice").is_empty());
    wait_for("the write", || !lists(&emulator, "alice").is_empty());
    wait_for("the verdict", || !last_request(&emulator)["verdict"].is_null());
    assert_eq!(last_request(&emulator)["verdict"]["applied"], true);
}

#[test]
fn the_gateway_gives_up_on_a_slow_service_that_goes_on() {
    let emulator = start(Options { gateway_timeout: Duration::from_millis(100), ..Options::default() });
    order(&emulator, json!({"kind": "delay", "delay_ms": 300}));
    let reply = call(&emulator, "group_add", names("alice", &["late"]));
    assert_eq!(reply["ErrorCode"], 60008);
    assert_eq!(reply["ErrorInfo"], "service timeout or request format error,please check and try again");
    wait_for("the write", || lists(&emulator, "alice") == ["late"]);
    wait_for("the verdict", || last_request(&emulator)["verdict"]["applied"] == true);
    let verdict = last_request(&emulator)["verdict"].clone();
    assert_eq!((&verdict["code"], &verdict["applied"]), (&json!(60008), &json!(true)));
}

// ---- faults -----------------------------------------------------------------

/// What a client sees of one call: the bytes, and how they ended. A connection
/// that should stay open is watched for a moment after `part` was seen, any other
/// until it ends, so that a busy machine changes nothing but the time it takes.
fn observe(emulator: &Emulator, raw: &str, part: &str, stays: bool) -> (Vec<u8>, &'static str) {
    let mut stream = connect(emulator);
    stream.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
    stream.write_all(raw.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let began = Instant::now();
    let end = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break "fin",
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break "rst",
            Err(_) if stays && String::from_utf8_lossy(&bytes).contains(part) => break "open",
            Err(_) if began.elapsed() > PATIENCE => break "open",
            Err(_) => {}
        }
    };
    (bytes, end)
}

#[test]
fn every_fault_does_what_it_says_before_and_after() {
    let whole = r#"{"CurrentSequence":1,"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","ErrorDisplay":""}"#;
    // Fault; is the write applied; a part of what is seen; how the connection ends.
    #[rustfmt::skip]
    let rows = [
        (json!({"kind": "error", "code": 30006}), false, "\"ErrorCode\":30006", "open"),
        (json!({"kind": "error", "code": 30006, "when": "after"}), true, "\"ErrorCode\":30006", "open"),
        (json!({"kind": "error", "code": 30007, "info": "why", "display": "sorry"}), false, "\"ErrorInfo\":\"why\",\"ErrorDisplay\":\"sorry\"", "open"),
        (json!({"kind": "error", "code": 99_999_999_999_i64}), false, "\"ErrorCode\":99999999999", "open"),
        (json!({"kind": "http", "status": 502}), false, "HTTP/1.1 502 Bad Gateway", "open"),
        (json!({"kind": "http", "status": 502, "when": "after"}), true, "HTTP/1.1 502 Bad Gateway", "open"),
        (json!({"kind": "http", "status": 429, "headers": {"Retry-After": "3"}, "body": "slow down"}), false, "slow down", "open"),
        (json!({"kind": "http", "status": 429, "headers": {"retry-after": "3"}}), false, "Retry-After: 3", "open"),
        (json!({"kind": "http", "status": 200, "body_base64": "eyJhIjo="}), false, "{\"a\":", "open"),
        (json!({"kind": "http", "status": 302, "headers": {"Location": "http://127.0.0.1:1/"}}), false, "Location: http://127.0.0.1:1/", "open"),
        (json!({"kind": "http", "status": 413, "when": "head"}), false, "HTTP/1.1 413", "fin"),
        (json!({"kind": "delay", "delay_ms": 50}), true, whole, "open"),
        (json!({"kind": "delay", "delay_ms": 50, "when": "after"}), true, whole, "open"),
        (json!({"kind": "delay", "delay_ms": 50, "when": "head"}), true, whole, "open"),
        (json!({"kind": "reset"}), false, "", "rst"),
        (json!({"kind": "reset", "when": "after"}), true, "", "rst"),
        (json!({"kind": "reset", "when": "head"}), false, "", "rst"),
        (json!({"kind": "reset", "delay_ms": 50}), false, "", "rst"),
        (json!({"kind": "hang_up"}), false, "", "fin"),
        (json!({"kind": "hang_up", "when": "after"}), true, "", "fin"),
        (json!({"kind": "silence"}), false, "", "open"),
        (json!({"kind": "silence", "when": "after"}), true, "", "open"),
        (json!({"kind": "truncate", "bytes": 12}), true, "HTTP/1.1 200", "fin"),
        (json!({"kind": "truncate", "bytes": 12, "when": "before"}), false, "HTTP/1.1 200", "fin"),
        (json!({"kind": "truncate", "bytes": 12, "then": "reset"}), true, "", "rst"),
        (json!({"kind": "truncate", "bytes": 12, "then": "stall"}), true, "HTTP/1.1 200", "open"),
        (json!({"kind": "garbage"}), false, "garbage", "fin"),
        (json!({"kind": "garbage", "body": "SSH-2.0-x\r\n", "when": "after"}), true, "SSH-2.0-x\r\n", "fin"),
        (json!({"kind": "garbage", "body_base64": "AP8=", "then": "keep"}), false, "\u{0}", "open"),
        (json!({"kind": "dribble", "pause_ms": 1, "step": 8}), true, whole, "open"),
        (json!({"kind": "dribble", "pause_ms": 2, "bytes": 12}), true, "HTTP/1.1 200", "fin"),
        (json!({"kind": "dribble", "pause_ms": 2, "bytes": 12, "then": "stall"}), true, "HTTP/1.1 200", "open"),
        (json!({"kind": "close"}), true, whole, "fin"),
    ];
    let emulator = quick();
    for (fault, applied, part, expected_end) in rows {
        control(&emulator, "POST", "reset", Value::Null);
        order(&emulator, fault.clone());
        let raw = request("group_add", &names("alice", &["Work"]).to_string());
        let (bytes, end) = observe(&emulator, &raw, part, expected_end == "open");
        let seen = String::from_utf8_lossy(&bytes);
        assert_eq!(end, expected_end, "{fault}: {seen}");
        assert!(seen.contains(part), "{fault}: {seen}");
        if part.is_empty() && end != "rst" {
            assert!(bytes.is_empty(), "{fault}: {seen}");
        }
        if let Some(limit) = fault["bytes"].as_u64().filter(|_| end != "rst") {
            assert_eq!(bytes.len() as u64, limit, "{fault}");
        }
        assert_eq!(!lists(&emulator, "alice").is_empty(), applied, "{fault}");
        let noted = last_request(&emulator);
        assert_eq!(noted["verdict"]["applied"], applied, "{fault}: {noted}");
        assert_eq!(noted["verdict"]["fault"]["kind"], fault["kind"], "{fault}");
        // It was for one call: the next is answered.
        assert_eq!(control(&emulator, "GET", "faults", Value::Null), json!({"faults": []}), "{fault}");
        assert_eq!(code(&emulator, "group_get", json!({"From_Account": "alice"})), 0, "{fault}");
    }
}

#[test]
fn faults_are_aimed_counted_and_taken_back() {
    let emulator = quick();
    order(
        &emulator,
        json!([
            {"kind": "error", "code": 30006, "command": "group_delete", "times": 2, "skip": 1},
            {"kind": "error", "code": 30007, "account": "bob"},
        ]),
    );
    #[rustfmt::skip]
    let rows = [
        ("group_delete", "alice", 0), ("group_delete", "alice", 30006), ("group_add", "alice", 0),
        ("group_add", "bob", 30007), ("group_delete", "alice", 30006), ("group_delete", "alice", 0),
    ];
    for (index, (command, account, expected)) in rows.into_iter().enumerate() {
        assert_eq!(code(&emulator, command, names(account, &["x"])), expected, "row {index}");
    }
    let ids =
        control(&emulator, "POST", "faults", json!([{"kind": "reset"}, {"kind": "hang_up"}]))["ids"].clone();
    assert_eq!(
        control(&emulator, "DELETE", &format!("faults?id={}", ids[0]), Value::Null),
        json!({"removed": 1})
    );
    let left = control(&emulator, "GET", "faults", Value::Null);
    assert_eq!(
        (left["faults"].as_array().unwrap().len(), &left["faults"][0]["kind"]),
        (1, &json!("hang_up"))
    );
    assert_eq!(control(&emulator, "DELETE", "faults", Value::Null), json!({"removed": 1}));
    let refused = emulator.control("POST", "/_emulator/faults", Some(&json!({"kind": "explode"})));
    assert!(refused.unwrap_err().to_string().contains("kind must be one of"));
}

#[test]
fn new_connections_can_be_refused_too() {
    let emulator = quick();
    let raw = request("group_get", r#"{"From_Account":"alice"}"#);
    #[rustfmt::skip]
    let rows = [
        (json!({"kind": "reset", "delay_ms": 50}), "", "rst"),
        (json!({"kind": "hang_up"}), "", "fin rst"),
        (json!({"kind": "silence"}), "", "open"),
        (json!({"kind": "garbage", "body": "220 mail ready\r\n"}), "220 mail", "fin rst"),
        (json!({"kind": "delay", "delay_ms": 50}), "HTTP/1.1 200", "open"),
    ];
    for (mut fault, part, ends) in rows {
        fault["command"] = json!("@accept");
        order(&emulator, fault.clone());
        let (bytes, end) = observe(&emulator, &raw, part, ends == "open");
        assert!(ends.contains(end), "{fault}: {end}");
        assert!(String::from_utf8_lossy(&bytes).contains(part), "{fault}");
    }
}

#[test]
fn a_close_after_the_reply_leaves_a_stale_connection() {
    let emulator = quick();
    order(&emulator, json!({"kind": "close"}));
    let mut stream = connect(&emulator);
    let raw = request("group_get", r#"{"From_Account":"alice"}"#);
    stream.write_all(raw.as_bytes()).unwrap();
    let reply = read_reply(&mut stream).unwrap();
    assert_eq!((reply.code(), reply.header("connection")), (0, None), "it does not announce it");
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

// ---- clock, state, journal, page --------------------------------------------

#[test]
fn tickets_expire_when_the_clock_is_moved() {
    let emulator = quick();
    let body = json!({"From_Account": "alice"});
    assert_eq!(code(&emulator, "group_get", body.clone()), 0);
    let moved = control(&emulator, "POST", "clock", json!({"advance_s": 7200}));
    assert_eq!(moved["offset_s"], 7200);
    let reply = exchange(&emulator, &request("group_get", &body.to_string()));
    assert_eq!(reply.code(), 70001);
    assert!(reply.json()["ErrorInfo"].as_str().unwrap().contains("The UserSig in use is expired"));
    control(&emulator, "PUT", "clock", json!({"now": 951_782_400}));
    let reply = exchange(&emulator, &request("group_get", &body.to_string()));
    assert_eq!(reply.code(), 0, "a ticket from the future");
    assert!(reply.header("date").unwrap().starts_with("Tue, 29 Feb 2000 00:00:0"), "{}", reply.head);
    let back = control(&emulator, "PUT", "clock", json!({"offset_s": 0}));
    assert!((back["now"].as_i64().unwrap() - now_s()).abs() <= 2);
    assert!(emulator.control("PUT", "/_emulator/clock", Some(&json!({"offset": 1}))).is_err());
}

#[test]
fn what_the_state_gives_it_takes() {
    let emulator = quick();
    let person = json!({"To_Account": "bob", "AddSource": "AddSource_Type_Test", "Remark": "\u{1f600} \"x\"",
        "GroupName": ["Work"], "CustomItem": [{"Tag": "Tag_SNS_Custom_N", "Value": 5}]});
    call(&emulator, "friend_import", json!({"From_Account": "alice", "AddFriendItem": [person]}));
    call(&emulator, "group_add", names("alice", &["z", "a"]));
    call(&emulator, "black_list_add", json!({"From_Account": "bob", "To_Account": ["carol"]}));
    let state = control(&emulator, "GET", "state", Value::Null);
    assert_eq!(state["accounts"]["alice"]["lists"], json!(["Work", "z", "a"]), "in their order");
    assert_eq!(control(&emulator, "DELETE", "state", Value::Null), json!({"removed": 3}));
    assert_eq!(code(&emulator, "group_get", json!({"From_Account": "alice"})), 30003);
    assert_eq!(control(&emulator, "PUT", "state", state.clone()), json!({"accounts": 3}));
    assert_eq!(control(&emulator, "GET", "state", Value::Null), state);
    let reply = call(&emulator, "group_get", json!({"From_Account": "alice"}));
    assert_eq!(reply["CurrentSequence"], state["accounts"]["alice"]["sequences"]["lists"]);
    // Nothing is lost over a restart either.
    let again = start(Options { seed_state: Some(state.to_string()), ..Options::default() });
    assert_eq!(control(&again, "GET", "state", Value::Null), state);
    let refused = emulator.control("PUT", "/_emulator/state", Some(&json!({"accounts": {"": {}}})));
    assert!(refused.is_err());
    assert_eq!(control(&emulator, "GET", "state", Value::Null), state, "a bad document changes nothing");
}

#[test]
fn a_reset_goes_back_to_the_start() {
    let emulator = start(Options { quota: 2, ..Options::default() });
    let started = control(&emulator, "GET", "state", Value::Null);
    for _ in 0..3 {
        call(&emulator, "group_add", names("alice", &["x"]));
    }
    order(&emulator, json!({"kind": "reset"}));
    control(&emulator, "PUT", "clock", json!({"offset_s": 9}));
    control(&emulator, "POST", "reset", Value::Null);
    assert_eq!(control(&emulator, "GET", "state", Value::Null), started);
    assert_eq!(control(&emulator, "GET", "requests/count", Value::Null)["count"], 0);
    assert_eq!(control(&emulator, "GET", "faults", Value::Null), json!({"faults": []}));
    assert_eq!(control(&emulator, "GET", "clock", Value::Null)["offset_s"], 0);
    assert_eq!(code(&emulator, "group_add", names("alice", &["x"])), 0, "the quota too");
}

#[test]
fn the_journal_tells_what_arrived() {
    let emulator = quick();
    call(&emulator, "group_add", names("alice", &["Work"]));
    call(&emulator, "group_get", json!({"From_Account": "nobody"}));
    let shown = control(&emulator, "GET", "requests", Value::Null);
    let entry = &shown["requests"][0];
    assert_eq!(
        *entry,
        json!({
            "index": 1, "arrival_us": entry["arrival_us"], "connection": entry["connection"], "tls": false,
            "method": "POST", "path": "/v4/sns/group_add", "command": "group_add",
            "sdkappid": "1400000000", "identifier": "administrator", "random": "4294967295",
            "usersig": format!("[{} characters]", ticket(DEMO_ADMIN).len()),
            "body": {"From_Account": "alice", "GroupName": ["Work"]}, "body_bytes": 45,
            "verdict": {"code": 0, "name": "IMGROUP_OK", "text": "", "http_status": 200, "applied": true, "fault": null},
        })
    );
    assert_eq!(shown["requests"][1]["verdict"]["name"], "ERR_SVR_FRIENDSHIP_ACCOUNT_NOT_FOUND");
    let shown = control(&emulator, "GET", "requests?since=1", Value::Null);
    assert_eq!((shown["requests"].as_array().unwrap().len(), &shown["last"]), (1, &json!(2)));
    let shown = control(&emulator, "GET", "requests?command=v4/sns/group_add", Value::Null);
    assert_eq!(shown["requests"][0]["index"], 1);
    control(&emulator, "DELETE", "requests", Value::Null);
    let shown = control(&emulator, "GET", "requests", Value::Null);
    assert_eq!(shown["requests"], json!([]));
}

#[test]
fn control_requests_are_for_this_machine_and_answered_in_json() {
    let emulator = quick();
    #[rustfmt::skip]
    let rows = [
        ("GET /_emulator/health HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        ("GET /_emulator/health HTTP/1.1\r\nHost: 127.0.0.1:1\r\nOrigin: http://127.0.0.1:1\r\n\r\n", 200),
        ("GET /_emulator/health HTTP/1.1\r\nHost: rebound.example\r\n\r\n", 403),
        ("GET /_emulator/health HTTP/1.1\r\nHost: localhost\r\nOrigin: http://elsewhere.example\r\n\r\n", 403),
        ("DELETE /_emulator/state HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n", 403),
        ("GET /_emulator/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        ("POST /_emulator/health HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        ("GET /_emulator/requests?colour=1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("POST /_emulator/faults HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n{", 400),
    ];
    for (raw, status) in rows {
        let reply = exchange(&emulator, raw);
        assert_eq!(reply.status, status, "{raw}");
        assert_eq!(reply.json().get("error").is_some(), status != 200, "{raw}");
    }
    let health = control(&emulator, "GET", "health", Value::Null);
    assert_eq!((&health["status"], &health["sdkappid"]), (&json!("ok"), &json!(DEMO_SDKAPPID)));
    for path in ["/_emulator", "/_emulator/"] {
        let reply = exchange(&emulator, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let page = String::from_utf8(reply.body).unwrap();
        assert!(page.contains("<title>imgroup emulator</title>"));
        for outside in ["src=\"http", "href=\"http", "@import", "url("] {
            assert!(!page.contains(outside), "the page needs nothing from elsewhere: {outside}");
        }
    }
    assert_eq!(
        control(&emulator, "GET", "requests/count", Value::Null)["count"],
        0,
        "control is not journalled"
    );
}

// ---- TLS --------------------------------------------------------------------

fn with_tls(options: TlsOptions) -> Emulator {
    start(Options { tls: Some(options), quota: 0, write_time: Duration::ZERO, ..Options::default() })
}

fn client_config(emulator: &Emulator) -> Arc<rustls::ClientConfig> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let mut roots = rustls::RootCertStore::empty();
    let file = emulator.ca_file().unwrap();
    assert_eq!(std::fs::read_to_string(file).unwrap(), emulator.ca_pem().unwrap());
    roots.add(CertificateDer::from_pem_file(file).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

type Tls = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

fn connect_tls(
    emulator: &Emulator,
    config: &Arc<rustls::ClientConfig>,
    name: &'static str,
) -> std::io::Result<Tls> {
    let port: u16 = emulator.tls_url().unwrap().rsplit(':').next().unwrap().parse().unwrap();
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let connection = rustls::ClientConnection::new(Arc::clone(config), name.try_into().unwrap()).unwrap();
    let mut tls = rustls::StreamOwned::new(connection, stream);
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock)?;
    }
    Ok(tls)
}

#[test]
fn https_is_trusted_through_the_file_and_sessions_are_resumed() {
    for versions in [TlsVersions::Both, TlsVersions::Tls12, TlsVersions::Tls13] {
        let emulator = with_tls(TlsOptions { versions, ..TlsOptions::default() });
        let config = client_config(&emulator);
        let raw = request("group_get", r#"{"From_Account":"alice"}"#);
        let mut kinds = Vec::new();
        for name in ["localhost", "localhost", "127.0.0.1"] {
            let mut tls = connect_tls(&emulator, &config, name).unwrap();
            for _ in 0..2 {
                tls.write_all(raw.as_bytes()).unwrap();
                assert_eq!(read_reply(&mut tls).unwrap().code(), 0);
            }
            let expected = match versions {
                TlsVersions::Tls12 => rustls::ProtocolVersion::TLSv1_2,
                _ => rustls::ProtocolVersion::TLSv1_3,
            };
            assert_eq!(tls.conn.protocol_version(), Some(expected));
            kinds.push(tls.conn.handshake_kind().unwrap());
        }
        use rustls::HandshakeKind::{Full, Resumed};
        assert_eq!(kinds, [Full, Resumed, Full], "{versions}");
        assert_eq!(last_request(&emulator)["tls"], true);
    }
}

#[test]
fn the_authority_goes_with_the_emulator() {
    let emulator = with_tls(TlsOptions::default());
    let file = emulator.ca_file().unwrap().to_owned();
    assert!(file.exists());
    emulator.stop();
    assert!(!file.exists(), "a temporary file is removed");

    let kept = std::env::temp_dir().join(format!("imgroup-test-ca-{}.pem", std::process::id()));
    let emulator = with_tls(TlsOptions { ca_file: Some(kept.clone()), ..TlsOptions::default() });
    assert_eq!(emulator.ca_file(), Some(kept.as_path()));
    emulator.stop();
    assert!(kept.exists(), "a named file stays");
    std::fs::remove_file(kept).unwrap();
}

#[test]
fn wrong_certificates_are_wrong_in_their_way() {
    #[rustfmt::skip]
    let rows = [
        (Certificate::Expired, "Expired"),
        (Certificate::Future, "NotValidYet"),
        (Certificate::OtherName, "NotValidForName"),
        (Certificate::SelfSigned, "UnknownIssuer"),
    ];
    for (certificate, reason) in rows {
        let emulator = with_tls(TlsOptions { certificate, ..TlsOptions::default() });
        let error = connect_tls(&emulator, &client_config(&emulator), "localhost").unwrap_err();
        let text = format!("{error:?}").replace("NotValidYetContext", "NotValidYet");
        assert!(text.contains(reason), "{certificate}: {text}");
    }
}

#[test]
fn faults_work_below_tls() {
    let emulator = with_tls(TlsOptions::default());
    let config = client_config(&emulator);
    #[rustfmt::skip]
    let rows = [
        (json!({"kind": "reset"}), "ConnectionReset", 0),
        (json!({"kind": "hang_up"}), "UnexpectedEof", 0),
        (json!({"kind": "hang_up", "close_notify": true}), "end", 0),
        (json!({"kind": "truncate", "bytes": 30}), "UnexpectedEof", 30),
        (json!({"kind": "truncate", "bytes": 30, "close_notify": true}), "end", 30),
        (json!({"kind": "garbage", "body": "hello", "close_notify": true}), "end", 5),
    ];
    for (fault, expected, length) in rows {
        order(&emulator, fault.clone());
        let mut tls = connect_tls(&emulator, &config, "localhost").unwrap();
        tls.write_all(request("group_get", r#"{"From_Account":"alice"}"#).as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let end = match tls.read_to_end(&mut bytes) {
            Ok(_) => "end".to_owned(),
            Err(error) => format!("{:?}", error.kind()),
        };
        assert_eq!((end.as_str(), bytes.len()), (expected, length), "{fault}");
    }
    for (fault, expected) in [
        (json!({"kind": "reset", "command": "@accept"}), "ConnectionReset"),
        (json!({"kind": "hang_up", "command": "@accept"}), "UnexpectedEof"),
        (
            json!({"kind": "garbage", "command": "@accept", "body": "HTTP/1.1 400 Bad Request\r\n\r\n"}),
            "InvalidData",
        ),
    ] {
        order(&emulator, fault.clone());
        let error = connect_tls(&emulator, &config, "localhost").unwrap_err();
        let kind = format!("{:?}", error.kind());
        // A reset may overtake what was sent before it.
        assert!(kind == expected || kind == "ConnectionReset" || kind == "BrokenPipe", "{fault}: {error:?}");
    }
}

// ---- the library's face ------------------------------------------------------

#[test]
fn a_stopped_emulator_is_gone() {
    let emulator = quick();
    let port = emulator.port();
    let mut open = connect(&emulator);
    assert_eq!(emulator.url(), format!("http://127.0.0.1:{port}"));
    emulator.stop();
    assert!(matches!(open.read(&mut [0]), Ok(0) | Err(_)));
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn a_port_that_is_taken_is_named() {
    let emulator = quick();
    let error = Emulator::start(Options { port: emulator.port(), ..Options::default() }).unwrap_err();
    assert!(error.to_string().contains(&emulator.port().to_string()), "{error}");
}

#[test]
fn many_clients_at_once_are_all_answered() {
    let emulator = start(Options { quota: 0, ..Options::default() });
    let accounts: Vec<String> = (0..16).map(|number| format!("user{number}")).collect();
    call(&emulator, "multiaccount_import", json!({"Accounts": accounts}));
    std::thread::scope(|scope| {
        for account in &accounts {
            let emulator = &emulator;
            scope.spawn(move || {
                let mut stream = connect(emulator);
                for number in 0..32 {
                    let name = number.to_string();
                    stream
                        .write_all(request("group_add", &names(account, &[&name]).to_string()).as_bytes())
                        .unwrap();
                    assert_eq!(read_reply(&mut stream).unwrap().json()["CurrentSequence"], number + 1);
                }
            });
        }
    });
    let count = control(&emulator, "GET", "requests/count?command=group_add", Value::Null);
    assert_eq!(count, json!({"count": 512, "codes": {"0": 512}}));
}

// ---- the command -------------------------------------------------------------

#[cfg(feature = "cli")]
mod command {
    use super::*;
    use std::io::{BufRead as _, BufReader};
    use std::process::{Child, Command, ExitStatus, Stdio};

    /// A running `imgroup emulator`, never left behind.
    struct Running {
        child: Child,
        ready: Value,
    }

    impl Drop for Running {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    fn command() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imgroup"));
        for name in ["IMGROUP_SECRET_KEY", "IMGROUP_SDKAPPID", "IMGROUP_IDENTIFIER"] {
            command.env_remove(name);
        }
        command.arg("emulator").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(change: impl FnOnce(&mut Command) -> &mut Command) -> Running {
        let mut command = command();
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Running { child, ready }
    }

    fn wait(running: &mut Running) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = running.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn ask(running: &Running, query: &str) -> i64 {
        let address = running.ready["url"].as_str().unwrap().strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let body = r#"{"From_Account":"alice"}"#;
        let raw = format!(
            "POST {}?{query} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}",
            path("group_get"),
            body.len()
        );
        stream.write_all(raw.as_bytes()).unwrap();
        read_reply(&mut stream).unwrap().code()
    }

    #[test]
    fn it_says_when_it_is_ready_and_ends_with_its_parent() {
        let mut running =
            run(|command| command.args(["--exit-on-stdin-eof", "--seed-accounts", "alice,bob"]));
        assert_eq!(running.ready["event"], "ready");
        assert_eq!(running.ready["pid"], running.child.id());
        assert_eq!(running.ready["sdkappid"], DEMO_SDKAPPID);
        assert_eq!(running.ready["identifier"], DEMO_ADMIN);
        assert!(running.ready.get("tls_url").is_none());
        assert_eq!(ask(&running, &signed()), 0);
        drop(running.child.stdin.take());
        assert!(wait(&mut running).success());
    }

    #[test]
    fn it_stays_without_standard_input_and_ends_cleanly_on_a_signal() {
        for signal in ["TERM", "INT"] {
            let mut running = run(|command| command.args(["--tls", "--port", "0"]));
            drop(running.child.stdin.take());
            let file = std::path::PathBuf::from(running.ready["ca_file"].as_str().unwrap());
            assert!(file.exists());
            assert!(running.ready["tls_url"].as_str().unwrap().starts_with("https://localhost:"));
            std::thread::sleep(Duration::from_millis(100));
            assert!(running.child.try_wait().unwrap().is_none());
            let pid = running.child.id().to_string();
            assert!(Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap().success());
            assert!(wait(&mut running).success(), "{signal}");
            assert!(!file.exists(), "{signal}");
        }
    }

    #[test]
    fn the_key_comes_from_the_environment_or_a_file() {
        let claims =
            Claims { sdkappid: 1_400_000_007, identifier: "boss", issued_at: 0, ttl_s: 60, userbuf: None };
        let query = query(1_400_000_007, "boss", &usersig("a key of mine", &claims).unwrap());
        let file = std::env::temp_dir().join(format!("imgroup-test-key-{}", std::process::id()));
        std::fs::write(&file, "a key of mine\n").unwrap();
        let app =
            ["--sdkappid", "1400000007", "--admin", "boss", "--admin", "other", "--seed-accounts", "alice"];
        let by_file = run(|command| command.args(app).arg("--secret-key-file").arg(&file));
        assert_eq!(ask(&by_file, &query), 0);
        assert_eq!(by_file.ready["identifier"], "boss");
        let by_environment = run(|command| {
            command
                .env("IMGROUP_SECRET_KEY", "a key of mine")
                .env("IMGROUP_SDKAPPID", "1400000007")
                .env("IMGROUP_IDENTIFIER", "boss")
                .args(["--seed-accounts", "alice"])
        });
        assert_eq!(ask(&by_environment, &query), 0);
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn what_cannot_start_says_why() {
        let taken = quick();
        #[rustfmt::skip]
        let rows = [
            (vec!["--port".to_owned(), taken.port().to_string()], 1, taken.port().to_string()),
            (vec!["--secret-key-file".to_owned(), "/nonexistent".to_owned()], 1, "/nonexistent".to_owned()),
            (vec!["--unknown-list".to_owned(), "strict".to_owned()], 2, "one of ok, 30001, 32309".to_owned()),
            (vec!["--tls-port".to_owned(), "1".to_owned()], 2, "--tls".to_owned()),
            (vec!["--secret-key".to_owned(), "x".to_owned()], 2, "unexpected argument".to_owned()),
            (vec!["--seed-accounts".to_owned(), "a,,b".to_owned()], 1, "0 bytes".to_owned()),
            (vec!["--admin".to_owned(), String::new()], 1, "must not be empty".to_owned()),
        ];
        for (arguments, status, part) in rows {
            let output = command().args(&arguments).stdin(Stdio::null()).output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(status), "{arguments:?}: {text}");
            assert!(text.contains(&part), "{arguments:?}: {text}");
        }
    }
}
