//! What a job came to, for a person to read.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::progress::{counted, duration, grouped};

/// How many codes are named.
const CODES: usize = 5;

/// A file that was written.
pub struct Written {
    pub path: PathBuf,
    pub what: String,
}

/// All that there is to say.
pub struct Summary<'a> {
    /// The job's own report.
    pub report: &'a Value,
    pub journal: &'a Path,
    pub written: &'a [Written],
    pub is_delete: bool,
}

impl Summary<'_> {
    /// To standard error.
    pub fn print(&self) {
        eprint!("{}", self.text());
    }

    fn text(&self) -> String {
        let (rows, run) = (&self.report["rows"], &self.report["this_run"]);
        let finished = self.report["finished"] == true;
        let mut text = format!(
            "imgroup: {} of {} rows ended; this run: {} in {}, {} rows/s, {} sent\n",
            grouped(count(&rows["total"]) - count(&rows["open"])),
            grouped(count(&rows["total"])),
            counted(count(&run["rows"]), "row"),
            duration(count(&run["elapsed_ms"]) as f64 / 1000.0),
            grouped(run["rows_per_second"].as_f64().unwrap_or(0.0).round() as u64),
            counted(count(&run["requests_sent"]), "request"),
        );
        let done = if self.is_delete { "deleted" } else { "read" };
        let lines = [
            (done, done),
            ("already gone", "already_gone"),
            ("failed", "failed"),
            ("unknown", "unknown"),
            ("left", "open"),
        ];
        for (label, member) in lines {
            if member != "already_gone" || self.is_delete {
                text += &format!("  {label:<13}{:>12}\n", grouped(count(&rows[member])));
            }
        }
        let waited = duration(count(&run["waited_for_pace_ms"]) as f64 / 1000.0);
        text += &format!("  waited for the pace, all connections together: {waited}\n");
        let repeated = run["repeated"].as_array().map_or(0, Vec::len) as u64;
        if repeated > 0 {
            text += &format!(
                "  sent again, as an earlier run was cut off before the answer: {} (--report lists them)\n",
                counted(repeated, "row")
            );
        }
        text += &self.failures();
        for Written { path, what } in self.written {
            text += &format!("  written: {} ({what})\n", path.display());
        }
        if finished {
            text += &format!(
                "  done with: {}, and the same with .spool and .results, may be removed\n",
                self.journal.display()
            );
        }
        text
    }

    /// The most frequent codes, with what helps.
    fn failures(&self) -> String {
        let Some(failures) = self.report["failures"].as_array().filter(|failures| !failures.is_empty())
        else {
            return String::new();
        };
        let mut failures: Vec<&Value> = failures.iter().collect();
        failures.sort_by_key(|failure| std::cmp::Reverse(failure["rows"].as_u64()));
        let mut text = "  why rows failed:\n".to_owned();
        for failure in failures.iter().take(CODES) {
            let rows = counted(count(&failure["rows"]), "row");
            let name = failure["name"].as_str().unwrap_or("");
            text += &format!("    {rows}: {} {name}\n", failure["code"]);
            if let Some(advice) = failure["advice"].as_str() {
                text += &format!("      {advice}\n");
            }
        }
        if failures.len() > CODES {
            text += &format!("    and {} codes more\n", failures.len() - CODES);
        }
        text
    }
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}
