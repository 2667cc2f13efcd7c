//! The latency monitor: per kind of event, how long the longest one of a second took, for the latest 160 such seconds.
//! Touched by events longer than `latency-monitor-threshold` and by LATENCY only.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Samples kept per event.
const SAMPLES_MAX: usize = 160;

/// The longest event of one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Unix time in seconds.
    pub at_s: i64,
    /// How long, milliseconds.
    pub millis: u64,
}

/// One kind of event.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// The longest since start or reset, milliseconds.
    pub millis_max: u64,
    /// Samples, oldest first; never empty.
    pub samples: VecDeque<Sample>,
}

/// The register.
#[derive(Debug, Default)]
pub struct LatencyMonitor(Mutex<BTreeMap<&'static str, Series>>);

impl LatencyMonitor {
    /// Notes that an event took `millis`, if that reaches `threshold_ms` (latency-monitor-threshold) and this is not
    /// zero. Redis's names of events: `command`, `fast-command`, `expire-cycle`, `eviction-cycle`, `eviction-del`.
    #[inline]
    pub fn note(&self, event: &'static str, millis: u64, threshold_ms: u64, now_s: i64) {
        if threshold_ms > 0 && millis >= threshold_ms {
            self.add(event, Sample { at_s: now_s, millis });
        }
    }

    #[cold]
    fn add(&self, event: &'static str, sample: Sample) {
        let mut events = self.lock();
        let series = events.entry(event).or_default();
        series.millis_max = series.millis_max.max(sample.millis);
        match series.samples.back_mut() {
            Some(last) if last.at_s == sample.at_s => last.millis = last.millis.max(sample.millis),
            _ => {
                series.samples.push_back(sample);
                if series.samples.len() > SAMPLES_MAX {
                    series.samples.pop_front();
                }
            }
        }
    }

    /// All events by name.
    pub fn events(&self) -> Vec<(&'static str, Series)> {
        self.lock().iter().map(|(name, series)| (*name, series.clone())).collect()
    }

    /// One event.
    pub fn event(&self, name: &[u8]) -> Option<Series> {
        self.lock().iter().find(|(known, _)| known.as_bytes() == name).map(|(_, series)| series.clone())
    }

    /// Forgets the events with one of these names, in any case, or all when there are no names; how many these were.
    pub fn reset(&self, names: &[&[u8]]) -> usize {
        let mut events = self.lock();
        let before = events.len();
        events.retain(|event, _| {
            !names.is_empty() && !names.iter().any(|name| name.eq_ignore_ascii_case(event.as_bytes()))
        });
        before - events.len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Series>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sample_a_second() {
        let monitor = LatencyMonitor::default();
        monitor.note("command", 100, 0, 1);
        monitor.note("command", 99, 100, 1);
        assert!(monitor.events().is_empty());
        for (millis, now_s) in [(100, 1), (300, 1), (200, 1), (150, 2)] {
            monitor.note("command", millis, 100, now_s);
        }
        let series = monitor.event(b"command").unwrap();
        assert_eq!(series.millis_max, 300);
        assert_eq!(series.samples, [Sample { at_s: 1, millis: 300 }, Sample { at_s: 2, millis: 150 }]);
    }

    #[test]
    fn bounded_and_resettable() {
        let monitor = LatencyMonitor::default();
        (0..1000).for_each(|now_s| monitor.note("command", 5, 1, now_s));
        monitor.note("expire-cycle", 5, 1, 1);
        assert_eq!(monitor.event(b"command").unwrap().samples.len(), SAMPLES_MAX);
        assert_eq!(monitor.reset(&[b"nothing"]), 0);
        assert_eq!(monitor.reset(&[b"COMMAND"]), 1);
        assert_eq!(monitor.reset(&[]), 1);
    }
}
