//! The measured window: its clock, the counts within it, and the CPU time that it cost.

use std::io;
use std::time::{Duration, Instant};

use crate::cpu::CpuTime;
use crate::histogram::Histogram;
use crate::workload::Verdict;

/// What happened in the measured window.
#[derive(Default)]
pub struct Outcome {
    /// Requests whose replies all came.
    pub requests: u64,
    /// Length of the window.
    pub elapsed: Duration,
    /// Latencies of the requests, in nanoseconds.
    pub latencies: Histogram,
    /// Values that were nil.
    pub missing: u64,
    /// Replies that were errors or not what the command answers.
    pub errors: u64,
    /// The first of these, in words.
    pub first_error: Option<String>,
    /// CPU time of the servers.
    pub server_cpu: CpuTime,
    /// CPU time of this process.
    pub own_cpu: CpuTime,
}

/// Counts, and throws away what it counted when the warm-up ends.
pub struct Meter {
    started: Instant,
    warmup: Duration,
    window: Option<Duration>,
    server_pids: Vec<u32>,
    /// When the window opened, and the CPU times then.
    opened: Option<(Duration, CpuTime, CpuTime)>,
    outcome: Outcome,
}

impl Meter {
    /// A meter whose warm-up begins now. Without a `window` it measures until it is asked for its outcome.
    pub fn start(warmup: Duration, window: Option<Duration>, server_pids: Vec<u32>) -> Self {
        Self {
            started: Instant::now(),
            warmup,
            window,
            server_pids,
            opened: None,
            outcome: Outcome::default(),
        }
    }

    /// Time since the start.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Opens the window when the warm-up is over; tells whether it is still to be measured.
    ///
    /// # Errors
    /// When a server's process is gone.
    pub fn go_on(&mut self) -> io::Result<bool> {
        let now = self.now();
        match (&self.opened, self.window) {
            (None, _) if now >= self.warmup => {
                let servers = CpuTime::of(&self.server_pids)?;
                self.opened = Some((self.now(), servers, own_cpu()?));
                self.outcome = Outcome { first_error: self.outcome.first_error.take(), ..Outcome::default() };
            }
            (Some((opened, ..)), Some(window)) => return Ok(now < *opened + window),
            _ => {}
        }
        Ok(true)
    }

    /// Counts `requests` answered at `now` that should have been sent at `due`.
    pub fn answered(&mut self, requests: u64, due: Duration, now: Duration) {
        self.outcome.requests += requests;
        self.outcome.latencies.record(now.saturating_sub(due).as_nanos() as u64, requests);
    }

    /// Counts a reply that was not wholly right.
    pub fn judged(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Right => {}
            Verdict::Missing(values) => self.outcome.missing += values,
            Verdict::Wrong(text) => {
                self.outcome.errors += 1;
                self.outcome.first_error.get_or_insert(text);
            }
        }
    }

    /// Closes the window.
    ///
    /// # Errors
    /// When a server's process is gone.
    pub fn finish(mut self) -> io::Result<Outcome> {
        if let Some((opened, servers, own)) = self.opened {
            self.outcome.elapsed = self.now() - opened;
            self.outcome.server_cpu = CpuTime::of(&self.server_pids)? - servers;
            self.outcome.own_cpu = own_cpu()? - own;
        }
        Ok(self.outcome)
    }
}

fn own_cpu() -> io::Result<CpuTime> {
    CpuTime::of(&[std::process::id()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warmup_does_not_count() {
        let mut meter = Meter::start(Duration::ZERO, None, Vec::new());
        meter.answered(5, Duration::ZERO, Duration::ZERO);
        assert!(meter.go_on().unwrap());
        meter.answered(2, Duration::from_nanos(10), Duration::from_nanos(30));
        meter.judged(Verdict::Wrong("first".into()));
        meter.judged(Verdict::Wrong("second".into()));
        meter.judged(Verdict::Missing(3));
        assert!(meter.go_on().unwrap());
        let outcome = meter.finish().unwrap();
        assert_eq!((outcome.requests, outcome.missing, outcome.errors), (2, 3, 2));
        assert_eq!((outcome.latencies.max(), outcome.first_error.as_deref()), (20, Some("first")));
    }

    #[test]
    fn the_window_ends() {
        let mut meter = Meter::start(Duration::ZERO, Some(Duration::ZERO), Vec::new());
        assert!(meter.go_on().unwrap());
        assert!(!meter.go_on().unwrap());
    }
}
