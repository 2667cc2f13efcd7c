//! What is counted of each command: calls, time, failures, and how long the calls took. One register per shard and
//! row of the command table; rows are numbers here, with a name to show.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::counters::Counter;
use super::histogram::{Distribution, Histogram};

/// One command on one shard, written by that shard alone.
#[derive(Debug)]
pub struct CommandCounters {
    calls: Counter,
    nanos: Counter,
    failed: Counter,
    rejected: Counter,
    /// Made when the command first runs: most never do.
    histogram: OnceLock<Box<Histogram>>,
    tracking: Arc<AtomicBool>,
}

impl CommandCounters {
    /// Counts a call that took `nanos`; one that did not succeed replied with an error.
    #[inline]
    pub fn count(&self, nanos: u64, succeeded: bool) {
        self.calls.add(1);
        self.nanos.add(nanos);
        if !succeeded {
            self.failed.add(1);
        }
        if self.tracking.load(Ordering::Relaxed) {
            self.histogram.get_or_init(Box::default).count(nanos);
        }
    }

    /// Counts a call that was refused before it ran.
    #[inline]
    pub fn reject(&self) {
        self.rejected.add(1);
    }

    fn reset(&self) {
        for counter in [&self.calls, &self.nanos, &self.failed, &self.rejected] {
            counter.set(0);
        }
        if let Some(histogram) = self.histogram.get() {
            histogram.reset();
        }
    }
}

/// One command, over all shards.
#[derive(Clone, Debug, Default)]
pub struct CommandTotals {
    /// Full name, `client|list`.
    pub name: &'static str,
    /// Calls that ran.
    pub calls: u64,
    /// Nanoseconds that they took.
    pub nanos: u64,
    /// Calls that ran and replied with an error.
    pub failed: u64,
    /// Calls that were refused before they ran.
    pub rejected: u64,
    /// How long calls took, as far as latencies were tracked.
    pub latencies: Distribution,
}

impl CommandTotals {
    /// Adds another row's counts; the name stays.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.nanos += other.nanos;
        self.failed += other.failed;
        self.rejected += other.rejected;
        self.latencies.merge(&other.latencies);
    }
}

/// The registers of all commands. CONFIG RESETSTAT clears them while shards count: a count that falls into that
/// moment may be lost.
#[derive(Debug)]
pub struct Commands {
    names: Vec<&'static str>,
    shards: Box<[Box<[CommandCounters]>]>,
    tracking: Arc<AtomicBool>,
}

impl Commands {
    /// Registers for the rows that `names` names in order; `tracking` is the directive latency-tracking.
    pub fn new(shards: usize, names: Vec<&'static str>, tracking: bool) -> Self {
        let tracking = Arc::new(AtomicBool::new(tracking));
        let register = || CommandCounters {
            calls: Counter::default(),
            nanos: Counter::default(),
            failed: Counter::default(),
            rejected: Counter::default(),
            histogram: OnceLock::new(),
            tracking: tracking.clone(),
        };
        let shards = (0..shards).map(|_| names.iter().map(|_| register()).collect()).collect();
        Self { names, shards, tracking }
    }

    /// The register of one shard and row.
    #[inline]
    pub fn of(&self, shard: usize, row: u16) -> &CommandCounters {
        &self.shards[shard][usize::from(row)]
    }

    /// Whether latencies are counted from now on (latency-tracking).
    pub fn set_tracking(&self, on: bool) {
        self.tracking.store(on, Ordering::Relaxed);
    }

    /// What all shards counted of a row.
    pub fn total(&self, row: u16) -> CommandTotals {
        let row = usize::from(row);
        let mut totals = CommandTotals { name: self.names[row], ..CommandTotals::default() };
        for counters in self.shards.iter().map(|rows| &rows[row]) {
            totals.calls += counters.calls.get();
            totals.nanos += counters.nanos.get();
            totals.failed += counters.failed.get();
            totals.rejected += counters.rejected.get();
            if let Some(histogram) = counters.histogram.get() {
                totals.latencies.add(histogram);
            }
        }
        totals
    }

    /// The totals of every row.
    pub fn totals(&self) -> impl Iterator<Item = CommandTotals> {
        (0..self.names.len() as u16).map(|row| self.total(row))
    }

    /// Forgets everything.
    pub fn reset(&self) {
        self.shards.iter().flatten().for_each(CommandCounters::reset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_add_up() {
        let commands = Commands::new(2, vec!["get", "set"], true);
        commands.of(0, 1).count(1_000, true);
        commands.of(1, 1).count(3_000, false);
        commands.of(1, 1).reject();
        let totals = commands.total(1);
        assert_eq!((totals.name, totals.calls, totals.nanos), ("set", 2, 4_000));
        assert_eq!((totals.failed, totals.rejected, totals.latencies.total()), (1, 1, 2));
        assert_eq!(commands.totals().next().map(|totals| totals.calls), Some(0));
        commands.reset();
        assert_eq!(commands.total(1).calls, 0);
    }

    #[test]
    fn latencies_only_while_tracked() {
        let commands = Commands::new(1, vec!["get"], false);
        commands.of(0, 0).count(5, true);
        assert_eq!(commands.total(0).latencies.total(), 0);
        commands.set_tracking(true);
        commands.of(0, 0).count(5, true);
        assert_eq!(commands.total(0).latencies.total(), 1);
        assert_eq!(commands.total(0).calls, 2);
    }
}
