//! What happens per second now: the mean over the latest sixteen samples, as INFO's `instantaneous_…` fields show.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::base::clock::Monotonic;

/// Samples that a rate is the mean of.
const SAMPLES: usize = 16;
/// Samples are at least so far apart.
const PERIOD_MICROS: u64 = 100_000;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Commands.
    Commands,
    /// Bytes received.
    InputBytes,
    /// Bytes sent.
    OutputBytes,
    /// Ticks of the shards' loops.
    Ticks,
    /// Microseconds that the shards' loops were busy.
    BusyMicros,
}

const KINDS: usize = 5;

/// Totals since start, in the order of [`Rate`].
pub type Readings = [u64; KINDS];

/// The register; shard zero samples it, INFO reads it.
#[derive(Debug, Default)]
pub struct Rates(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    last: Option<(Monotonic, Readings)>,
    per_second: [[f64; SAMPLES]; KINDS],
    next: usize,
}

impl Rates {
    /// Takes a sample if the last one is old enough; `read` tells the totals.
    pub fn sample(&self, now: Monotonic, read: impl FnOnce() -> Readings) {
        let mut inner = self.lock();
        let Some((before, last)) = inner.last else {
            inner.last = Some((now, read()));
            return;
        };
        let micros = now.micros_since(before);
        if micros < PERIOD_MICROS {
            return;
        }
        let readings = read();
        let at = inner.next;
        for kind in 0..KINDS {
            let grown = readings[kind].saturating_sub(last[kind]);
            inner.per_second[kind][at] = grown as f64 * 1e6 / micros as f64;
        }
        inner.next = (at + 1) % SAMPLES;
        inner.last = Some((now, readings));
    }

    /// The rate per second.
    pub fn per_second(&self, rate: Rate) -> f64 {
        self.lock().per_second[rate as usize].iter().sum::<f64>() / SAMPLES as f64
    }

    /// Forgets the samples.
    pub fn reset(&self) {
        *self.lock() = Inner::default();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn rates_are_means() {
        let rates = Rates::default();
        let mut now = Monotonic::now();
        for tick in 0..40 {
            rates.sample(now, || [tick * 10, tick * 1000, 0, 0, 0]);
            now = now.plus(Duration::from_millis(100));
        }
        assert!((rates.per_second(Rate::Commands) - 100.0).abs() < 1.0);
        assert!((rates.per_second(Rate::InputBytes) - 10_000.0).abs() < 100.0);
        rates.reset();
        assert_eq!(rates.per_second(Rate::Commands), 0.0);
    }
}
