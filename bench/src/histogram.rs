//! A histogram of latencies with a bounded relative error. Knows nothing of clocks.

/// Values below this are exact; above, each power of two is cut into half as many buckets (error below 0.8 %).
const EXACT: u64 = 256;
const HALF: usize = EXACT as usize / 2;
const BUCKETS: usize = EXACT as usize + HALF * (64 - EXACT.trailing_zeros() as usize);

/// Counts of nanosecond values in log-linear buckets, the scheme that HdrHistogram made known.
pub struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into_boxed_slice(), total: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts `value` `times` times.
    pub fn record(&mut self, value: u64, times: u64) {
        self.counts[bucket(value)] += times;
        self.total += times;
        self.max = self.max.max(value);
    }

    /// The largest value counted, exactly; 0 when empty.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The value that the fraction `quantile` of all values does not exceed, rounded up to its bucket's end; 0 when empty.
    pub fn quantile(&self, quantile: f64) -> u64 {
        let rank = ((self.total as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper_bound(index).min(self.max);
            }
        }
        self.max
    }

    /// How many values lie in buckets wholly above `value`.
    pub fn count_above(&self, value: u64) -> u64 {
        self.counts[bucket(value) + 1..].iter().sum()
    }
}

fn bucket(value: u64) -> usize {
    if value < EXACT {
        return value as usize;
    }
    let shift = EXACT.leading_zeros() - value.leading_zeros() + 1;
    EXACT as usize + (shift as usize - 1) * HALF + (value >> shift) as usize - HALF
}

fn upper_bound(index: usize) -> u64 {
    if index < EXACT as usize {
        return index as u64;
    }
    let shift = (index - EXACT as usize) / HALF + 1;
    let mantissa = (index - EXACT as usize) % HALF + HALF;
    ((mantissa as u64) << shift) + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_all_values_in_order() {
        let mut previous = 0;
        for value in (0..100_000).chain((17..64).map(|bit| 1 << bit)).chain([u64::MAX]) {
            let index = bucket(value);
            assert!(index >= previous && index < BUCKETS);
            assert!(upper_bound(index) >= value);
            assert!((upper_bound(index) - value) as f64 <= value as f64 * 0.008);
            previous = index;
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), 0);
        (1..=100).for_each(|value| histogram.record(value, 1));
        assert_eq!(histogram.quantile(0.5), 50);
        assert_eq!(histogram.quantile(0.99), 99);
        assert_eq!(histogram.quantile(1.0), 100);
        histogram.record(1_000_000, 900);
        assert_eq!(histogram.quantile(0.5), 1_000_000);
        assert_eq!(histogram.max(), 1_000_000);
        assert_eq!(histogram.count_above(200), 900);
        assert_eq!(histogram.count_above(1_000_000), 0);
    }
}
