//! How far a job is: a bar on a terminal, a line now and then elsewhere. All of it
//! goes to standard error.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, PoisonError};

use imgroup::bulk::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How far apart plain lines are.
const LINE_EVERY_MS: u64 = 10_000;
/// The rate is that of the last so long.
const WINDOW_MS: u64 = 10_000;
const SAMPLE_MS: u64 = 500;

/// Where progress is shown. Cheap to clone.
#[derive(Clone)]
pub struct Display {
    bar: ProgressBar,
    meter: Arc<Mutex<Meter>>,
    manner: Manner,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Quiet,
    Lines,
    Bar,
}

/// What the rate is made of.
#[derive(Default)]
struct Meter {
    /// Milliseconds, and the rows that this run had ended by then.
    samples: VecDeque<(u64, u64)>,
    last_line_ms: u64,
}

impl Display {
    pub fn new(quiet: bool) -> Display {
        let is_dumb = std::env::var("TERM").is_ok_and(|name| name == "dumb");
        let manner = match std::io::stderr().is_terminal() && !is_dumb {
            _ if quiet => Manner::Quiet,
            true => Manner::Bar,
            false => Manner::Lines,
        };
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        // Short, so that millions of rows fit beside it into 80 columns.
        let style = ProgressStyle::with_template("[{bar:10}] {msg}").expect("a template without a fault");
        bar.set_style(style.progress_chars("#> "));
        Display { bar, meter: Arc::default(), manner }
    }

    /// Takes in how far it is, and shows it if it is time.
    pub fn show(&self, progress: &Progress) {
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        meter.note(progress);
        match self.manner {
            Manner::Quiet => {}
            Manner::Bar => {
                if self.bar.is_hidden() {
                    self.bar.set_draw_target(ProgressDrawTarget::stderr());
                }
                self.bar.set_length(progress.rows);
                self.bar.set_message(text(progress, meter.rate()));
                self.bar.set_position(progress.ended());
            }
            Manner::Lines if progress.elapsed_ms >= meter.last_line_ms + LINE_EVERY_MS => {
                meter.last_line_ms = progress.elapsed_ms;
                eprintln!("imgroup: {}", text(progress, meter.rate()));
            }
            Manner::Lines => {}
        }
    }

    /// One line that says how far it is.
    pub fn status(&self, progress: &Progress) -> String {
        let rate = self.meter.lock().unwrap_or_else(PoisonError::into_inner).rate();
        match progress.rows {
            0 => "imgroup: reading the input".into(),
            _ => format!("imgroup: {}", text(progress, rate)),
        }
    }

    /// Prints a line without spoiling the bar.
    pub fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    /// As [`Display::say`], unless told to be quiet.
    pub fn remark(&self, line: &str) {
        if self.manner != Manner::Quiet {
            self.say(line);
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Meter {
    fn note(&mut self, progress: &Progress) {
        let ended = progress.ended().saturating_sub(progress.resumed);
        let is_due = self.samples.back().is_none_or(|last| progress.elapsed_ms >= last.0 + SAMPLE_MS);
        if is_due {
            self.samples.push_back((progress.elapsed_ms, ended));
        }
        while self.samples.len() > 2 && progress.elapsed_ms - self.samples[0].0 > WINDOW_MS {
            self.samples.pop_front();
        }
    }

    /// Rows a second, once there is something to say.
    fn rate(&self) -> Option<f64> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        (last.0 > first.0).then(|| (last.1 - first.1) as f64 * 1000.0 / (last.0 - first.0) as f64)
    }
}

/// As `610,000/1,000,000 rows 61% 1,940/s ETA 3m20s failed 12 pace 40s`.
fn text(progress: &Progress, rate: Option<f64>) -> String {
    let ended = progress.ended();
    let percent = ended * 100 / progress.rows.max(1);
    let mut text = format!("{}/{} rows {percent}%", grouped(ended), grouped(progress.rows));
    if let Some(rate) = rate {
        text += &format!(" {}/s", grouped(rate.round() as u64));
        if rate > 0.0 {
            text += &format!(" ETA {}", duration((progress.rows - ended) as f64 / rate));
        }
    }
    text += &format!(" failed {}", grouped(progress.failed));
    if progress.unknown > 0 {
        text += &format!(" unknown {}", grouped(progress.unknown));
    }
    text + &format!(" pace {}", duration(progress.waited_ms as f64 / 1000.0))
}

/// `1,234,567`
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 row`, `2 rows`
pub fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// `12s`, `3m20s`, `2h05m`
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_as_people_read_them() {
        let numbers = [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")];
        for (number, expected) in numbers {
            assert_eq!(grouped(number), expected);
        }
        let times = [(0.4, "0s"), (59.4, "59s"), (59.6, "1m00s"), (200.0, "3m20s"), (7_500.0, "2h05m")];
        for (seconds, expected) in times {
            assert_eq!(duration(seconds), expected);
        }
    }

    #[test]
    fn the_rate_is_that_of_this_run_and_of_late() {
        let mut meter = Meter::default();
        assert_eq!(meter.rate(), None);
        // 1000 rows of an earlier run; then 100 a second, and later 10.
        for second in 0..40 {
            let done = 1000 + if second < 20 { second * 100 } else { 2000 + (second - 20) * 10 };
            let progress = Progress {
                rows: 9000,
                done,
                resumed: 1000,
                elapsed_ms: second * 1000,
                ..Progress::default()
            };
            meter.note(&progress);
            if second == 19 {
                assert_eq!(meter.rate(), Some(100.0));
            }
        }
        assert_eq!(meter.rate(), Some(10.0));
    }
}
