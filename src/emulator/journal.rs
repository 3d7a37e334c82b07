//! The request journal: what arrived, when, and what became of it.
//!
//! Kept cheap, because it stands in every request's way: bodies are held as they
//! came and parsed when somebody asks. It is bounded in requests and in bytes;
//! counts and arrival times, which tests of the pace need by the ten thousand,
//! are kept apart and outlive the entries. A UserSig never gets in.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use crate::codes;

/// Bodies beyond this are noted by their length alone.
const BODY_MAX: usize = 64 * 1024;
/// All bodies together.
const BODIES_MAX: usize = 64 << 20;
/// Arrival times kept of each command.
const ARRIVALS_MAX: usize = 1_000_000;

/// What a request said, without its ticket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heading {
    pub arrival_us: u64,
    pub connection: u64,
    pub tls: bool,
    pub method: String,
    pub path: String,
    /// The last segment of the path, if the path table knows it.
    pub command: Option<&'static str>,
    pub sdkappid: String,
    pub identifier: String,
    pub random: String,
    pub usersig_length: usize,
}

/// What became of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    pub code: i64,
    pub text: String,
    /// 0 if no HTTP reply was given.
    pub http_status: u16,
    /// Whether the state of the emulator may have changed.
    pub applied: bool,
    /// Number and kind of the fault that was played.
    pub fault: Option<(u64, &'static str)>,
}

#[derive(Debug)]
struct Entry {
    heading: Heading,
    /// A copy: the bytes as they came would hold the whole read buffer.
    body: Box<[u8]>,
    body_length: usize,
    verdict: Option<Verdict>,
    /// The gateway gave up on it; what comes later changes `applied` alone.
    given_up: bool,
}

#[derive(Debug, Default)]
struct Tally {
    count: u64,
    arrivals: Vec<u64>,
    codes: BTreeMap<i64, u64>,
}

#[derive(Debug)]
pub(crate) struct Journal {
    most: usize,
    /// The number of the first entry kept. The first request of all is 1.
    first: u64,
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Per known command; everything else under "".
    tallies: BTreeMap<&'static str, Tally>,
}

impl Journal {
    pub fn new(most: usize) -> Journal {
        Journal { most, first: 1, entries: VecDeque::new(), bytes: 0, tallies: BTreeMap::new() }
    }

    /// Forgets everything; the numbers go on.
    pub fn clear(&mut self) {
        self.first += self.entries.len() as u64;
        self.entries.clear();
        self.bytes = 0;
        self.tallies.clear();
    }

    /// Notes an arrival, and gives it its number.
    pub fn arrive(&mut self, heading: Heading) -> u64 {
        let tally = self.tallies.entry(heading.command.unwrap_or("")).or_default();
        tally.count += 1;
        if tally.arrivals.len() < ARRIVALS_MAX {
            tally.arrivals.push(heading.arrival_us);
        }
        self.entries.push_back(Entry {
            heading,
            body: Box::default(),
            body_length: 0,
            verdict: None,
            given_up: false,
        });
        while self.entries.len() > self.most.max(1) {
            self.drop_first();
        }
        self.first + self.entries.len() as u64 - 1
    }

    fn drop_first(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.body.len();
            self.first += 1;
        }
    }

    fn entry(&mut self, index: u64) -> Option<&mut Entry> {
        let position = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.entries.get_mut(position)
    }

    /// Adds the body of a request that arrived.
    pub fn body(&mut self, index: u64, body: &[u8]) {
        let Some(entry) = self.entry(index) else { return };
        entry.body_length = body.len();
        if body.len() <= BODY_MAX {
            entry.body = body.into();
            self.bytes += body.len();
        }
        while self.bytes > BODIES_MAX {
            self.drop_first();
        }
    }

    /// Notes what became of a request.
    pub fn finish(&mut self, index: u64, verdict: Verdict) {
        let Some(entry) = self.entry(index) else { return };
        if entry.given_up {
            if let Some(given) = &mut entry.verdict {
                given.applied = verdict.applied;
            }
            return;
        }
        let (code, command) = (verdict.code, entry.heading.command.unwrap_or(""));
        entry.verdict = Some(verdict);
        *self.tallies.entry(command).or_default().codes.entry(code).or_default() += 1;
    }

    /// Notes that the gateway answered while the service was still at work.
    pub fn give_up(&mut self, index: u64, verdict: Verdict) {
        self.finish(index, verdict);
        if let Some(entry) = self.entry(index) {
            entry.given_up = true;
        }
    }

    /// The entries after number `since`, of one command or of all.
    pub fn show(&self, command: Option<&str>, since: u64, most: usize) -> Value {
        let skip = usize::try_from(since.saturating_sub(self.first.saturating_sub(1))).unwrap_or(usize::MAX);
        let requests: Vec<Value> = self
            .entries
            .iter()
            .enumerate()
            .skip(skip)
            .filter(|(_, entry)| command.is_none_or(|command| entry.heading.is(command)))
            .take(most)
            .map(|(position, entry)| entry.show(self.first + position as u64))
            .collect();
        json!({
            "requests": requests,
            "first": self.first,
            "last": self.first + self.entries.len() as u64 - 1,
        })
    }

    /// How many arrived, and with which codes they were answered.
    pub fn count(&self, command: Option<&str>) -> Value {
        let mut count = 0;
        let mut codes: BTreeMap<String, u64> = BTreeMap::new();
        for tally in self.tallies(command) {
            count += tally.count;
            for (code, number) in &tally.codes {
                *codes.entry(code.to_string()).or_default() += number;
            }
        }
        json!({ "count": count, "codes": codes })
    }

    /// When they arrived, in microseconds since the emulator began.
    pub fn arrivals(&self, command: Option<&str>) -> Vec<u64> {
        let mut arrivals: Vec<u64> =
            self.tallies(command).flat_map(|tally| tally.arrivals.iter().copied()).collect();
        arrivals.sort_unstable();
        arrivals
    }

    fn tallies(&self, command: Option<&str>) -> impl Iterator<Item = &Tally> {
        let wanted = command.map(last_segment);
        self.tallies
            .iter()
            .filter(move |(name, _)| wanted.is_none_or(|wanted| wanted == **name))
            .map(|(_, tally)| tally)
    }
}

/// `group_delete` out of `v4/sns/group_delete`.
pub(crate) fn last_segment(command: &str) -> &str {
    command.rsplit('/').next().unwrap_or(command)
}

impl Heading {
    fn is(&self, command: &str) -> bool {
        let wanted = last_segment(command);
        self.command == Some(wanted) || (self.command.is_none() && last_segment(&self.path) == wanted)
    }
}

impl Entry {
    fn show(&self, index: u64) -> Value {
        let heading = &self.heading;
        let body = match serde_json::from_slice::<Value>(&self.body) {
            Ok(body) => body,
            Err(_) if self.body.is_empty() => Value::Null,
            Err(_) => Value::String(String::from_utf8_lossy(&self.body).into_owned()),
        };
        let verdict = self.verdict.as_ref().map(|verdict| {
            let name = i32::try_from(verdict.code).map_or("UNKNOWN", codes::name);
            json!({
                "code": verdict.code,
                "name": name,
                "text": verdict.text,
                "http_status": verdict.http_status,
                "applied": verdict.applied,
                "fault": verdict.fault.map(|(id, kind)| json!({ "id": id, "kind": kind })),
            })
        });
        json!({
            "index": index,
            "arrival_us": heading.arrival_us,
            "connection": heading.connection,
            "tls": heading.tls,
            "method": heading.method,
            "path": heading.path,
            "command": heading.command,
            "sdkappid": heading.sdkappid,
            "identifier": heading.identifier,
            "random": heading.random,
            "usersig": format!("[{} characters]", heading.usersig_length),
            "body": body,
            "body_bytes": self.body_length,
            "verdict": verdict,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heading(command: &'static str, arrival_us: u64) -> Heading {
        Heading {
            arrival_us,
            command: Some(command),
            path: format!("/v4/sns/{command}"),
            ..Heading::default()
        }
    }

    fn indices(shown: &Value) -> Vec<u64> {
        shown["requests"].as_array().unwrap().iter().map(|entry| entry["index"].as_u64().unwrap()).collect()
    }

    #[test]
    fn old_entries_go_and_counts_stay() {
        let mut journal = Journal::new(3);
        for number in 1..=5 {
            let name = if number % 2 == 0 { "group_get" } else { "group_delete" };
            assert_eq!(journal.arrive(heading(name, number * 10)), number);
            journal.finish(number, Verdict { code: 30003, ..Verdict::default() });
        }
        journal.finish(1, Verdict::default());
        assert_eq!(indices(&journal.show(None, 0, 99)), [3, 4, 5]);
        assert_eq!(indices(&journal.show(None, 4, 99)), [5]);
        assert_eq!(indices(&journal.show(None, 99, 99)), [0; 0]);
        assert_eq!(indices(&journal.show(Some("v4/sns/group_get"), 0, 99)), [4]);
        assert_eq!(journal.count(Some("group_delete")), json!({"count": 3, "codes": {"30003": 3}}));
        assert_eq!(journal.arrivals(Some("group_get")), [20, 40]);
        assert_eq!(journal.arrivals(None), [10, 20, 30, 40, 50]);
        journal.clear();
        assert_eq!(journal.count(None), json!({"count": 0, "codes": {}}));
        assert_eq!(journal.arrive(heading("group_get", 1)), 6, "numbers are never reused");
    }

    #[test]
    fn bodies_are_bounded() {
        let mut journal = Journal::new(usize::MAX);
        let body = vec![b'1'; BODY_MAX];
        for _ in 0..2000 {
            let index = journal.arrive(heading("group_get", 1));
            journal.body(index, &body);
        }
        assert!(journal.bytes <= BODIES_MAX);
        let index = journal.arrive(heading("group_get", 1));
        journal.body(index, &vec![b'1'; BODY_MAX + 1]);
        let shown = journal.show(None, index - 1, 1);
        assert_eq!(
            (&shown["requests"][0]["body"], &shown["requests"][0]["body_bytes"]),
            (&Value::Null, &json!(BODY_MAX + 1))
        );
    }

    #[test]
    fn a_late_end_changes_only_whether_it_was_applied() {
        let mut journal = Journal::new(9);
        let index = journal.arrive(heading("group_add", 1));
        journal.give_up(index, Verdict { code: 60008, http_status: 200, ..Verdict::default() });
        journal.finish(index, Verdict { code: 0, applied: true, ..Verdict::default() });
        let shown = journal.show(None, 0, 9);
        assert_eq!(shown["requests"][0]["verdict"]["code"], 60008);
        assert_eq!(shown["requests"][0]["verdict"]["applied"], true);
    }
}
