//! Durations counted in buckets whose width grows with the value, so that percentiles cost a few hundred counters.

use super::counters::Counter;

/// Buckets per power of two: a percentile is at most an eighth too high.
const PER_OCTAVE: usize = 8;
/// Longer durations count as this one (2^30 ns, just above a second, where Redis caps them too).
const NANOS_MAX: u64 = (1 << 30) - 1;
const BUCKETS: usize = bucket_of(NANOS_MAX) + 1;

/// A histogram of nanoseconds with one writer.
#[derive(Debug)]
pub struct Histogram([Counter; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl Histogram {
    /// Counts one duration. Only the shard that owns the histogram may.
    #[inline]
    pub fn count(&self, nanos: u64) {
        self.0[bucket_of(nanos.min(NANOS_MAX))].add(1);
    }

    /// Forgets everything.
    pub fn reset(&self) {
        self.0.iter().for_each(|bucket| bucket.set(0));
    }
}

/// Histograms of several shards added up.
#[derive(Clone, Debug)]
pub struct Distribution([u64; BUCKETS]);

impl Default for Distribution {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Distribution {
    /// Adds what `histogram` holds now.
    pub fn add(&mut self, histogram: &Histogram) {
        for (sum, bucket) in self.0.iter_mut().zip(&histogram.0) {
            *sum += bucket.get();
        }
    }

    /// Adds another distribution.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, count)| *sum += count);
    }

    /// Durations counted.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The nanoseconds that `percent` percent of the durations do not exceed; 0 when there are none.
    pub fn percentile(&self, percent: f64) -> u64 {
        let total = self.total();
        if total == 0 {
            return 0;
        }
        let wanted = ((percent.clamp(0.0, 100.0) / 100.0 * total as f64).round() as u64).max(1);
        let mut seen = 0;
        let reached = self.0.iter().position(|&count| {
            seen += count;
            seen >= wanted
        });
        last_of(reached.unwrap_or(BUCKETS - 1))
    }

    /// For each power of two from 1024 ns on: that bound, and how many durations are below it. The last one is
    /// the first that has all below it.
    pub fn cumulative(&self) -> Vec<(u64, u64)> {
        let total = self.total();
        let mut counts = Vec::new();
        for exponent in 10.. {
            let below = self.0[..bucket_of((1 << exponent) - 1) + 1].iter().sum();
            counts.push((1 << exponent, below));
            if below == total {
                break;
            }
        }
        counts
    }
}

/// The bucket of a duration: the first ones hold one value each, further ones an eighth of an octave.
const fn bucket_of(nanos: u64) -> usize {
    let width = PER_OCTAVE.trailing_zeros();
    if nanos < PER_OCTAVE as u64 {
        return nanos as usize;
    }
    let shift = nanos.ilog2() - width;
    PER_OCTAVE * shift as usize + (nanos >> shift) as usize
}

/// The longest duration that a bucket holds.
fn last_of(bucket: usize) -> u64 {
    if bucket < 2 * PER_OCTAVE {
        return bucket as u64;
    }
    let shift = bucket / PER_OCTAVE - 1;
    let first = ((bucket % PER_OCTAVE + PER_OCTAVE) as u64) << shift;
    first + (1 << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_one_another() {
        let mut next = 0;
        for nanos in 0..100_000 {
            let bucket = bucket_of(nanos);
            assert!(bucket == next || bucket + 1 == next, "{nanos}");
            next = bucket + 1;
            assert!(last_of(bucket) >= nanos && last_of(bucket) <= nanos + nanos / 8, "{nanos}");
            assert!(nanos == 0 || last_of(bucket_of(last_of(bucket))) == last_of(bucket));
        }
        assert_eq!(last_of(BUCKETS - 1), NANOS_MAX);
    }

    #[test]
    fn percentiles_and_sums() {
        let histogram = Histogram::default();
        (1..=1000u64).for_each(|micros| histogram.count(micros * 1000));
        histogram.count(u64::MAX);
        let mut distribution = Distribution::default();
        distribution.add(&histogram);
        assert_eq!(distribution.total(), 1001);
        let median = distribution.percentile(50.0);
        assert!((500_000..563_000).contains(&median), "{median}");
        assert_eq!(distribution.percentile(100.0), NANOS_MAX);
        let cumulative = distribution.cumulative();
        assert_eq!(cumulative[..2], [(1024, 1), (2048, 2)]);
        assert_eq!(cumulative.last(), Some(&(1 << 30, 1001)));
        histogram.reset();
        assert_eq!(Distribution::default().percentile(50.0), 0);
    }
}
