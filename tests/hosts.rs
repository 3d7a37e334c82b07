//! Names, addresses and the second host: rows 1 to 5 and 10 of the fault matrix.
//! They run in a process whose `getaddrinfo` is the test's own.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use imgroup::call::{CallOptions, Control};
use imgroup::client::Client;
use imgroup::codes;
use imgroup::error::Outcome;
use support::server::*;
use support::*;

/// Runs the test of this name behind the shim; false in the process that has it.
fn behind_the_shim(test: &str) -> bool {
    if is_child(test) {
        return false;
    }
    let scratch = Scratch::new();
    let shim = scratch.join("shim.so");
    compile("shim.c", &shim, &["-shared", "-fPIC", "-ldl"]);
    in_child(test, &[], &[("LD_PRELOAD", &shim)]);
    true
}

struct Site {
    scratch: Scratch,
    authority: Authority,
}

impl Site {
    fn new() -> Site {
        let (scratch, authority) = (Scratch::new(), Authority::new());
        authority.write(&scratch.join("ca.pem"));
        Site { scratch, authority }
    }

    fn server(&self, names: &[&str]) -> Server {
        Server::https(say(ok(), Then::Keep), self.authority.server(names, Flaw::None))
    }

    fn config(&self, host: &str, port: u16) -> imgroup::config::Config {
        let mut config = config(&format!("https://{host}:{port}"), &self.scratch);
        config.set_ca_file(&self.scratch.join("ca.pem")).unwrap();
        config
    }

    fn client(&self, host: &str, port: u16) -> Client {
        Client::new(&self.config(host, port)).unwrap()
    }
}

fn delete(client: &Client) -> Result<imgroup::lists::Response, imgroup::error::Error> {
    client.delete_lists("alice", &["Family"], &CallOptions::default())
}

/// Threads of the resolver in this process.
fn resolvers() -> usize {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .flatten()
        .filter(|task| {
            std::fs::read_to_string(task.path().join("comm"))
                .is_ok_and(|name| name.trim() == "imgroup-resolve")
        })
        .count()
}

#[test]
fn names_that_do_not_resolve() {
    if behind_the_shim("names_that_do_not_resolve") {
        return;
    }
    let site = Site::new();
    let server = site.server(&["two.test", "good.test"]);
    for host in ["nowhere.test", "again.test", "hang1.test", "hang2.test", "hang3.test"] {
        let begin = Instant::now();
        let error = delete(&site.client(host, server.port())).unwrap_err();
        let told = (error.code(), error.class(), error.outcome(), error.attempts());
        assert_eq!(told, (codes::DNS, codes::Class::Network, Outcome::NotSent, 3), "{host}: {error}");
        let bound = Duration::from_millis(u64::from(TIMEOUT_MS)) + LATE;
        assert!(begin.elapsed() < bound, "{host}: {:?}", begin.elapsed());
        assert!(resolvers() <= 2, "{host}: {} threads", resolvers());
    }
    assert_eq!(resolvers(), 2, "two look-ups hang");

    // A call that waits for a name can be cancelled.
    let control = Arc::new(Control::default());
    let options = CallOptions { control: Some(Arc::clone(&control)), ..CallOptions::default() };
    let mut config = site.config("hang1.test", server.port());
    config.set_resolve_timeout_ms(60_000).unwrap();
    config.set_attempt_timeout_ms(60_000).unwrap();
    config.set_timeout_ms(60_000).unwrap();
    let client = Client::new(&config).unwrap();
    let times = (0..10).map(|_| {
        control.reset();
        thread::scope(|scope| {
            let call = scope.spawn(|| {
                let error = client.delete_lists("alice", &["Family"], &options).unwrap_err();
                assert_eq!((error.code(), error.outcome()), (codes::CANCELLED, Outcome::NotSent));
                Instant::now()
            });
            thread::sleep(Duration::from_millis(30));
            let begin = Instant::now();
            control.cancel();
            call.join().unwrap() - begin
        })
    });
    let times: Vec<_> = times.collect();
    assert!(*times.iter().max().unwrap() < Duration::from_millis(500), "{times:?}");
    assert!(median(times) <= Duration::from_millis(50));
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn the_second_address_of_a_name() {
    if behind_the_shim("the_second_address_of_a_name") {
        return;
    }
    let site = Site::new();
    let server = site.server(&["two.test"]);
    // The first address refuses.
    let client = site.client("two.test", server.port());
    assert_eq!(delete(&client).unwrap().attempts, 1);
    assert_eq!(server.seen()[0].server_name.as_deref(), Some("two.test"));
    // The first address never answers.
    let _hole = BlackHole::on(SocketAddr::from(([127, 0, 0, 2], server.port())));
    let mut config = site.config("two.test", server.port());
    config.set_connect_timeout_ms(1_000).unwrap();
    config.set_attempt_timeout_ms(1_500).unwrap();
    let begin = Instant::now();
    assert_eq!(delete(&Client::new(&config).unwrap()).unwrap().attempts, 1);
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(190) && took < Duration::from_millis(900), "{took:?}");
}

#[test]
fn no_thread_for_a_look_up() {
    if behind_the_shim("no_thread_for_a_look_up") {
        return;
    }
    let site = Site::new();
    let server = site.server(&["good.test"]);
    let client = site.client("good.test", server.port());
    // The server needs its threads for the next call, so one connects first.
    // SAFETY: no other thread reads or writes the environment meanwhile.
    unsafe { std::env::set_var("SHIM_NO_THREADS", "1") };
    let error = delete(&client).unwrap_err();
    // SAFETY: as above.
    unsafe { std::env::remove_var("SHIM_NO_THREADS") };
    let told = (error.code(), error.class(), error.outcome(), error.attempts());
    assert_eq!(told, (codes::RESOURCE, codes::Class::Internal, Outcome::NotSent, 1), "{error}");
    delete(&client).unwrap();
}

#[test]
fn the_backup_serves_when_the_primary_cannot_be_reached() {
    if behind_the_shim("the_backup_serves_when_the_primary_cannot_be_reached") {
        return;
    }
    let site = Site::new();
    let client = |primary: (&str, u16), backup: &Server| {
        let mut config = site.config(primary.0, primary.1);
        config.set_backup_endpoint(&format!("https://backup.test:{}", backup.port())).unwrap();
        Client::new(&config).unwrap()
    };
    let wrong = |flaw| Server::https(say(ok(), Then::Keep), site.authority.server(&["primary.test"], flaw));
    let (expired, future, other, own) =
        (wrong(Flaw::Expired), wrong(Flaw::Future), wrong(Flaw::OtherName), wrong(Flaw::SelfSigned));
    let hole = BlackHole::new();
    let mute = site.server(&["primary.test"]);
    mute.greet(Some(Arc::new(|stream| {
        let mut stream = stream;
        while std::io::Read::read(&mut stream, &mut [0; 4096]).is_ok_and(|amount| amount > 0) {}
        false
    })));
    #[rustfmt::skip]
    let rows = [
        ("the name does not resolve", "nowhere.test", 1),
        ("connection refused", "primary.test", closed_port()),
        ("connections hang", "primary.test", hole.port),
        ("the handshake hangs", "primary.test", mute.port()),
        ("expired certificate", "primary.test", expired.port()),
        ("certificate not yet valid", "primary.test", future.port()),
        ("certificate of another name: the name was hijacked", "primary.test", other.port()),
        ("self-signed certificate", "primary.test", own.port()),
    ];
    for (situation, host, port) in rows {
        let backup = site.server(&["backup.test"]);
        let client = client((host, port), &backup);
        for call in 1..=5 {
            let response = delete(&client).unwrap_or_else(|error| panic!("{situation}: {error}"));
            // After three in a row the backup is asked first.
            assert_eq!(response.attempts, if call <= 3 { 2 } else { 1 }, "{situation}, call {call}");
        }
        assert_eq!(stat(&client, "", "failovers"), 3, "{situation}");
        assert!(backup.seen().iter().all(|seen| seen.server_name.as_deref() == Some("backup.test")));
        assert_eq!(backup.connections(), 1, "{situation}: the backup has a pool of its own");
    }
    for server in [&expired, &future, &other, &own] {
        assert_eq!(server.seen().len(), 0, "no request goes to a host that is not the right one");
    }

    // A reply, of whatever kind, is no reason to ask another host.
    for reply in
        [http("502 Bad Gateway", "", ""), code(30006), code(30008), code(70169), b"?\r\n\r\n".to_vec()]
    {
        let (primary, backup) = (site.server(&["primary.test"]), site.server(&["backup.test"]));
        primary.now(say(reply, Then::Keep));
        delete(&client(("primary.test", primary.port()), &backup)).unwrap_err();
        assert!(primary.seen().len() >= 3);
        assert!(primary.seen().iter().all(|seen| seen.server_name.as_deref() == Some("primary.test")));
        assert_eq!((backup.seen().len(), backup.connections()), (0, 0));
    }

    // Both are gone: not sent, and three attempts in all.
    let backup = Server::http(say(ok(), Then::Keep));
    let port = backup.port();
    drop(backup);
    let mut config = site.config("primary.test", closed_port());
    config.set_backup_endpoint(&format!("https://backup.test:{port}")).unwrap();
    let error = delete(&Client::new(&config).unwrap()).unwrap_err();
    let told = (error.code(), error.outcome(), error.attempts());
    assert_eq!(told, (codes::CONNECT, Outcome::NotSent, 3), "{error}");
}

/// A proxy that opens tunnels, or answers with something else.
fn proxy(answer: &'static str) -> (u16, Arc<std::sync::Mutex<Vec<String>>>) {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::<std::sync::Mutex<Vec<String>>>::default();
    let notes = Arc::clone(&asked);
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let length = client.read(&mut head).unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
            notes.lock().unwrap().push(head);
            let _ = client.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes());
            if !answer.starts_with("200") {
                continue;
            }
            let port: u16 = target.rsplit(':').next().unwrap().parse().unwrap();
            let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut up, &mut down));
            let (mut up, mut down) = (client, server);
            thread::spawn(move || std::io::copy(&mut down, &mut up));
        }
    });
    (port, asked)
}

#[test]
fn a_proxy_is_used_when_set_and_never_otherwise() {
    const NAME: &str = "a_proxy_is_used_when_set_and_never_otherwise";
    if !is_child(NAME) {
        // What other programs would obey.
        let nowhere = format!("http://127.0.0.1:{}", closed_port());
        let names = ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
        in_child(NAME, &[], &names.map(|name| (name, nowhere.as_str())));
        return;
    }
    let site = Site::new();
    let server = site.server(&["localhost"]);
    delete(&site.client("localhost", server.port())).unwrap();

    let (port, asked) = proxy("200 Connection established");
    let mut config = site.config("localhost", server.port());
    config.set_proxy(&format!("http://127.0.0.1:{port}")).unwrap();
    let client = Client::new(&config).unwrap();
    delete(&client).unwrap();
    delete(&client).unwrap();
    let heads = asked.lock().unwrap().clone();
    assert_eq!(heads.len(), 1, "one tunnel, used twice");
    assert!(heads[0].starts_with(&format!("CONNECT localhost:{} HTTP/1.1\r\n", server.port())));
    assert!(!heads[0].contains("usersig"), "the proxy sees no ticket");

    let (port, _) = proxy("403 Forbidden");
    config.set_proxy(&format!("http://127.0.0.1:{port}")).unwrap();
    let error = delete(&Client::new(&config).unwrap()).unwrap_err();
    let told = (error.code(), error.outcome(), error.attempts());
    assert_eq!(told, (codes::CONNECT, Outcome::NotSent, 3), "{error}");
    assert_eq!(server.seen().len(), 3);
}
