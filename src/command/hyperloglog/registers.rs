//! 16384 registers: how they are kept, one byte each to compute with or six bits each in dense sketches, and what number of
//! different elements they tell of.

/// Registers of a sketch.
pub(super) const REGISTERS: usize = 1 << 14;

/// Bytes of all registers in six bits each.
pub(super) const DENSE_BYTES: usize = REGISTERS * BITS / 8;

const BITS: usize = 6;
const VALUE_MAX: u8 = (1 << BITS) - 1;

/// Largest value that an element gives a register.
const HIGHEST: usize = 51;

/// One half over the natural logarithm of two.
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// The value of a register among those in six bits each.
pub(super) fn dense_get(dense: &[u8], index: usize) -> u8 {
    let (byte, shift) = (index * BITS / 8, index * BITS % 8);
    let low = u16::from(dense[byte]);
    // The last register ends with the last byte.
    let high = dense.get(byte + 1).map_or(0, |&high| u16::from(high));
    ((low | high << 8) >> shift) as u8 & VALUE_MAX
}

/// Raises a register to `value`; `false` if it is there already.
pub(super) fn dense_raise(dense: &mut [u8], index: usize, value: u8) -> bool {
    if dense_get(dense, index) >= value {
        return false;
    }
    let (byte, shift) = (index * BITS / 8, index * BITS % 8);
    let (mask, bits) = (u16::from(VALUE_MAX) << shift, u16::from(value) << shift);
    dense[byte] = dense[byte] & !(mask as u8) | bits as u8;
    if let Some(high) = dense.get_mut(byte + 1) {
        *high = *high & !((mask >> 8) as u8) | (bits >> 8) as u8;
    }
    true
}

/// How often each value occurs.
pub(super) type Histogram = [u32; 1 << BITS];

/// The histogram of registers in six bits each.
pub(super) fn dense_histogram(dense: &[u8]) -> Histogram {
    let mut histogram = [0; 1 << BITS];
    for &[first, second, third] in dense.as_chunks::<3>().0 {
        let four = u32::from_le_bytes([first, second, third, 0]);
        for shift in [0, 6, 12, 18] {
            histogram[(four >> shift) as usize % (1 << BITS)] += 1;
        }
    }
    histogram
}

/// The number of different elements, estimated as in "New cardinality estimation algorithms for HyperLogLog sketches" by
/// Otmar Ertl (2017), with the order of operations that makes the same number as Redis.
pub(super) fn estimate(histogram: &Histogram) -> u64 {
    let registers = REGISTERS as f64;
    let of = |value: usize| f64::from(histogram[value]);
    let mut sum = registers * tau((registers - of(HIGHEST)) / registers);
    for value in (1..HIGHEST).rev() {
        sum += of(value);
        sum *= 0.5;
    }
    sum += registers * sigma(of(0) / registers);
    (ALPHA * registers * registers / sum).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut weight, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * weight;
        weight += weight;
        if before == sum {
            return sum;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut weight, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * weight;
        if before == sum {
            return sum / 3.0;
        }
    }
}
