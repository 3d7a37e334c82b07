//! What a client did, in numbers: cheap to count, read as JSON.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

macro_rules! counts {
    ($($variant:ident => $group:literal . $name:literal,)*) => {
        /// Everything that is counted.
        #[derive(Clone, Copy, Debug)]
        // What only Redis counts stays 0 without it, and is told all the same.
        #[cfg_attr(not(feature = "redis"), expect(dead_code))]
        pub(crate) enum Count { $($variant,)* }
        const NAMES: &[(&str, &str)] = &[$(($group, $name),)*];
    };
}

counts! {
    Calls => "" . "calls",
    Attempts => "" . "attempts",
    MergedDeletes => "" . "merged_deletes",
    MissingListReads => "" . "missing_list_reads",
    LocalRefusals => "" . "local_refusals",
    Signatures => "" . "usersig_signatures",
    Throttled => "" . "throttle_replies",
    Failovers => "" . "failovers",
    RetriesNotSent => "retries" . "not_sent",
    RetriesStale => "retries" . "stale_connection",
    RetriesAmbiguous => "retries" . "ambiguous",
    RetriesConflict => "retries" . "conflict",
    RetriesThrottled => "retries" . "throttled",
    RetriesTicket => "retries" . "ticket",
    RetriesSuppressed => "retries" . "suppressed_by_budget",
    OutcomeOk => "outcomes" . "ok",
    OutcomeNotSent => "outcomes" . "not_sent",
    OutcomeRejected => "outcomes" . "rejected",
    OutcomeUnknown => "outcomes" . "unknown",
    FreshConnections => "connections" . "requests_on_new",
    ReusedConnections => "connections" . "requests_on_reused",
    Connects => "connections" . "opened",
    ResumedHandshakes => "connections" . "tls_resumed",
    QuotaWaits => "quota" . "waits",
    QuotaWaitedUs => "quota" . "waited_us",
    QuotaRefusals => "quota" . "refusals",
    QuotaOwnShare => "quota" . "redis_away",
    QueueWaits => "queue" . "waits",
}

const COUNTS: usize = NAMES.len();
/// Latency is kept in buckets that grow by an eighth of a power of two, from a
/// microsecond to over an hour.
const STEPS: usize = 8;
const BUCKETS: usize = 32 * STEPS;

/// The counters of one client.
#[derive(Debug)]
pub(crate) struct Stats {
    counts: [AtomicU64; COUNTS],
    latency: Box<[AtomicU64; BUCKETS]>,
}

impl Default for Stats {
    fn default() -> Self {
        Stats {
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            latency: Box::new(std::array::from_fn(|_| AtomicU64::new(0))),
        }
    }
}

impl Stats {
    pub fn add(&self, count: Count) {
        self.add_many(count, 1);
    }

    pub fn add_many(&self, count: Count, amount: u64) {
        self.counts[count as usize].fetch_add(amount, Ordering::Relaxed);
    }

    pub fn get(&self, count: Count) -> u64 {
        self.counts[count as usize].load(Ordering::Relaxed)
    }

    /// A call ended, well or badly, after so long.
    pub fn ended(&self, took: Duration) {
        self.latency[bucket(took.as_micros() as u64)].fetch_add(1, Ordering::Relaxed);
    }

    /// All of it as a JSON object, an object in it for each group.
    pub fn to_json(&self) -> String {
        let member = |(&(group, name), count): (&(&'static str, &str), &AtomicU64)| {
            (group, format!("\"{name}\":{}", count.load(Ordering::Relaxed)))
        };
        let members: Vec<_> = NAMES.iter().zip(&self.counts).map(member).collect();
        let mut parts: Vec<String> = Vec::new();
        for group in members.chunk_by(|one, next| one.0 == next.0) {
            let members = group.iter().map(|(_, member)| member.as_str()).collect::<Vec<_>>().join(",");
            parts.push(match group[0].0 {
                "" => members,
                name => format!("\"{name}\":{{{members}}}"),
            });
        }
        let filled: Vec<u64> = self.latency.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)]
            .map(|(name, share)| format!("\"{name}\":{}", quantile(&filled, share)));
        parts.push(format!("\"latency_us\":{{{}}}", quantiles.join(",")));
        format!("{{{}}}", parts.join(","))
    }
}

/// Buckets below 8 µs hold one value each; above, each power of two has eight.
fn bucket(us: u64) -> usize {
    if us < STEPS as u64 {
        return us as usize;
    }
    let power = us.ilog2() as usize;
    let step = (us >> (power - 3)) as usize & (STEPS - 1);
    ((power - 2) * STEPS + step).min(BUCKETS - 1)
}

/// The upper end of a bucket.
fn upper(bucket: usize) -> u64 {
    if bucket < STEPS {
        return bucket as u64;
    }
    let power = bucket / STEPS + 2;
    (1 << power) + ((bucket % STEPS + 1) as u64) * (1 << (power - 3)) - 1
}

fn quantile(filled: &[u64], share: f64) -> u64 {
    let total: u64 = filled.iter().sum();
    let wanted = ((total as f64 * share).ceil() as u64).max(1);
    let mut seen = 0;
    for (index, count) in filled.iter().enumerate() {
        seen += count;
        if seen >= wanted {
            return upper(index);
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn buckets_hold_what_they_say() {
        for us in (0..100_000).chain([1 << 20, 1 << 30, (1 << 33) - 1]) {
            let index = bucket(us);
            assert!(upper(index) >= us, "{us} in bucket {index} up to {}", upper(index));
            assert!(index == 0 || upper(index - 1) < us, "{us} in bucket {index}");
            // An eighth at most too high.
            assert!(upper(index) <= us + us / 8 + 1, "{us}");
        }
    }

    #[test]
    fn quantiles_come_from_the_calls() {
        let stats = Stats::default();
        for ms in 1..=100 {
            stats.ended(Duration::from_millis(ms));
        }
        stats.add(Count::RetriesConflict);
        let json: Value = serde_json::from_str(&stats.to_json()).unwrap();
        assert_eq!(json["retries"]["conflict"], 1);
        assert_eq!(json["calls"], 0);
        let p50 = json["latency_us"]["p50"].as_u64().unwrap();
        assert!((50_000..57_000).contains(&p50), "{p50}");
        assert!(json["latency_us"]["max"].as_u64().unwrap() >= 100_000);
    }
}
