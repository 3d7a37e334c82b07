//! A delete with ureq as its README shows it, with a timeout. The loop is that of
//! `worker.h`.

use std::env;
use std::io::{self, BufRead as _, Write as _};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

const WARM_UP: usize = 100;

#[derive(Serialize)]
struct Delete<'a> {
    #[serde(rename = "From_Account")]
    account: &'a str,
    #[serde(rename = "GroupName")]
    names: &'a [&'a str],
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reply {
    action_status: String,
    error_code: i64,
}

struct Client {
    agent: Agent,
    endpoint: String,
    sdkappid: String,
    identifier: String,
    usersig: String,
    random: AtomicU32,
}

impl Client {
    fn from_env() -> Client {
        let setting = |name| env::var(name).unwrap_or_else(|_| panic!("{name}"));
        let mut config = Agent::config_builder().timeout_global(Some(Duration::from_secs(15)));
        if let Ok(file) = env::var("IMGROUP_CA_FILE") {
            let ca = Certificate::from_pem(&std::fs::read(file).unwrap()).unwrap();
            let roots = RootCerts::new_with_certs(&[ca]);
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        Client {
            agent: config.build().into(),
            endpoint: setting("IMGROUP_ENDPOINT"),
            sdkappid: setting("IMGROUP_SDKAPPID"),
            identifier: setting("IMGROUP_IDENTIFIER"),
            usersig: setting("BENCH_USERSIG"),
            random: AtomicU32::new(2_654_435_769),
        }
    }

    fn delete_lists(&self, account: &str, names: &[&str]) -> Result<(), ureq::Error> {
        let random = self.random.fetch_add(2_654_435_769, Ordering::Relaxed);
        let url = format!(
            "{}/v4/sns/group_delete?sdkappid={}&identifier={}&usersig={}&random={random}&contenttype=json",
            self.endpoint, self.sdkappid, self.identifier, self.usersig
        );
        let reply: Reply =
            self.agent.post(&url).send_json(Delete { account, names })?.body_mut().read_json()?;
        assert!(reply.action_status == "OK" && reply.error_code == 0);
        Ok(())
    }
}

fn cpu() -> i64 {
    // SAFETY: all zeroes is a valid rusage, and the pointer is to a whole one.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let nanoseconds = |time: libc::timeval| time.tv_sec * 1_000_000_000 + time.tv_usec * 1_000;
    nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime)
}

fn main() {
    let client = Client::from_env();
    let call = || client.delete_lists("alice", &["Family"]).unwrap();
    for line in io::stdin().lock().lines() {
        let calls: usize = line.unwrap().parse().unwrap();
        (0..WARM_UP).for_each(|_| call());
        let mut took = Vec::with_capacity(calls);
        let before = cpu();
        let begin = Instant::now();
        let mut last = begin;
        for _ in 0..calls {
            call();
            let now = Instant::now();
            took.push((now - last).as_nanos());
            last = now;
        }
        let mut out = io::stdout().lock();
        write!(out, "{} {}", cpu() - before, (last - begin).as_nanos()).unwrap();
        took.iter().for_each(|each| write!(out, " {each}").unwrap());
        writeln!(out).unwrap();
        out.flush().unwrap();
    }
}
