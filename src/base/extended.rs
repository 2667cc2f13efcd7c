//! The 80-bit floating point of the x87 (`long double` in C on x86-64), in software: read, added, printed.
//!
//! INCRBYFLOAT and its kin are defined by it: `3 + 1.1` is `4.1` there, because a sum of 64-bit mantissas is printed
//! with 17 decimals. Only what those commands need is here. Every result is the exact one rounded to nearest, ties to
//! even, as IEEE 754 asks of `strtold`, addition and `printf`.

use std::cmp::Ordering;

use num_bigint::BigUint;

/// Bits of the mantissa.
const MANTISSA_BITS: i64 = 64;
/// Exponent of the last mantissa bit of the smallest numbers (the denormal ones).
const EXPONENT_MIN: i64 = -16445;
/// The same of the largest.
const EXPONENT_MAX: i64 = 16383 - 63;
/// Beyond this power of ten nothing is finite, and below minus this nothing is above zero.
const DECIMAL_EXPONENT_MAX: i64 = 5000;
/// The same for powers of two, with the digits that the longest text can have beside the exponent.
const EXPONENT_READ_MAX: i64 = 64 * 1024;
/// Longest text that is read; Redis has a buffer of this size.
const TEXT_BYTES_MAX: usize = 5 * 1024 - 1;
/// Decimals that are printed, before trailing zeros go.
const DECIMALS: u32 = 17;

/// A number of 64 mantissa bits and 15 exponent bits, or an infinity. Never NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extended {
    /// `mantissa * 2^exponent`, negated if `negative`.
    Finite {
        /// The sign.
        negative: bool,
        /// The digits.
        mantissa: u64,
        /// The power of two they are multiplied with.
        exponent: i32,
    },
    /// Beyond all numbers.
    Infinite {
        /// The sign.
        negative: bool,
    },
}

impl Extended {
    /// Zero.
    pub const ZERO: Extended = Extended::Finite { negative: false, mantissa: 0, exponent: 0 };

    /// Reads what `strtold` reads of the whole text, in decimal or hexadecimal; no blanks before it, no NaN, nothing
    /// that is too large or too small for the type.
    pub fn parse(text: &[u8]) -> Option<Extended> {
        if text.is_empty() || text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let (negative, unsigned) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
            return Some(Extended::Infinite { negative });
        }
        let parsed = match unsigned {
            [b'0', b'x' | b'X', rest @ ..] => Digits::parse(rest, 16)?.rounded(negative),
            _ => Digits::parse(unsigned, 10)?.rounded(negative),
        };
        parsed.filter(|value| matches!(value, Extended::Finite { .. }))
    }

    /// The integer, exactly.
    pub fn from_i64(value: i64) -> Extended {
        Extended::Finite { negative: value < 0, mantissa: value.unsigned_abs(), exponent: 0 }
    }

    /// The sum; `None` where it would be no number or no finite one.
    pub fn checked_add(self, other: Extended) -> Option<Extended> {
        let (
            Extended::Finite { negative, mantissa, exponent },
            Extended::Finite { negative: other_negative, mantissa: other_mantissa, exponent: other_exponent },
        ) = (self, other)
        else {
            return None;
        };
        let sum = match (mantissa, other_mantissa) {
            (_, 0) => self,
            (0, _) => other,
            _ => {
                let lowest = exponent.min(other_exponent);
                let own = (negative, mantissa, exponent.abs_diff(lowest));
                let others = (other_negative, other_mantissa, other_exponent.abs_diff(lowest));
                add_shifted(own, others, i64::from(lowest))
            }
        };
        matches!(sum, Extended::Finite { .. }).then_some(sum)
    }

    /// The number in decimal with 17 decimals, without trailing zeros, as Redis stores it.
    pub fn format(self) -> String {
        let Extended::Finite { negative, mantissa, exponent } = self else {
            let Extended::Infinite { negative: true } = self else { return "inf".into() };
            return "-inf".into();
        };
        let magnitude = if exponent >= 0 {
            (BigUint::from(mantissa) << exponent as usize).to_string()
        } else {
            format_fraction(mantissa, exponent.unsigned_abs())
        };
        if negative && magnitude != "0" { format!("-{magnitude}") } else { magnitude }
    }
}

/// The sum of two numbers given as sign, mantissa and the bits it is shifted to the left, times `2^exponent`.
fn add_shifted(one: (bool, u64, u32), other: (bool, u64, u32), exponent: i64) -> Extended {
    let (negative, other_negative) = (one.0, other.0);
    if one.2 < u64::BITS && other.2 < u64::BITS {
        let (one, other) = (u128::from(one.1) << one.2, u128::from(other.1) << other.2);
        return if negative == other_negative {
            round_small(negative, one + other, 1, exponent)
        } else {
            round_small(
                if one < other { other_negative } else { negative && one != other },
                one.abs_diff(other),
                1,
                exponent,
            )
        };
    }
    let (one, other) = (BigUint::from(one.1) << one.2, BigUint::from(other.1) << other.2);
    let unit = BigUint::from(1u8);
    // Shifted so differently, they cannot be equal.
    match (negative == other_negative, one < other) {
        (true, _) => round(negative, one + other, unit, exponent),
        (false, true) => round(other_negative, other - one, unit, exponent),
        (false, false) => round(negative, one - other, unit, exponent),
    }
}

/// `mantissa / 2^shift` with up to 17 decimals.
fn format_fraction(mantissa: u64, shift: u32) -> String {
    let scale = 10u128.pow(DECIMALS);
    // Below 2^121, so nothing is left of it beyond 128 bits.
    let scaled = u128::from(mantissa) * scale;
    let rounded = if shift >= u128::BITS { 0 } else { shift_rounding(scaled, shift) };
    let (whole, fraction) = (rounded / scale, rounded % scale);
    if fraction == 0 {
        return whole.to_string();
    }
    let mut text = format!("{whole}.{fraction:0width$}", width = DECIMALS as usize);
    text.truncate(text.trim_end_matches('0').len());
    text
}

/// `value / 2^shift` to the nearest integer, ties to even.
fn shift_rounding(value: u128, shift: u32) -> u128 {
    let quotient = value >> shift;
    let rest = value & ((1 << shift) - 1);
    let half = (1u128 << shift) >> 1;
    quotient + u128::from(shift > 0 && (rest > half || (rest == half && quotient & 1 == 1)))
}

/// Digits as they were read: `whole.fraction * (10 or 2)^exponent`.
struct Digits<'a> {
    base: u32,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Digits<'a> {
    /// Reads `digits[.digits][exponent]` to the end; at least one digit. The exponent is decimal behind `e`, and
    /// binary behind `p` in base 16.
    fn parse(text: &'a [u8], base: u32) -> Option<Self> {
        let mark = if base == 16 { b'p' } else { b'e' };
        let end = text.iter().position(|byte| byte.to_ascii_lowercase() == mark).unwrap_or(text.len());
        let exponent = if end < text.len() { parse_exponent(&text[end + 1..])? } else { 0 };
        let point = text[..end].iter().position(|&byte| byte == b'.').unwrap_or(end);
        let (whole, fraction) = (&text[..point], text[..end].get(point + 1..).unwrap_or_default());
        let digits = Self { base, whole, fraction, exponent };
        let is_number =
            point + fraction.len() > 0 && digits.bytes().all(|digit| char::from(digit).is_digit(base));
        is_number.then_some(digits)
    }

    fn bytes(&self) -> impl Iterator<Item = u8> + 'a {
        self.whole.iter().chain(self.fraction).copied()
    }

    /// All digits as one integer, if it is not too large.
    fn small(&self) -> Option<u128> {
        self.bytes().try_fold(0u128, |value, digit| {
            let digit = char::from(digit).to_digit(self.base)?;
            value.checked_mul(u128::from(self.base))?.checked_add(u128::from(digit))
        })
    }

    /// All digits as one integer.
    fn large(&self) -> BigUint {
        let bytes: Vec<u8> = self.bytes().collect();
        BigUint::parse_bytes(&bytes, self.base).unwrap_or_default()
    }

    /// The nearest number; `None` where that is zero and the digits are not.
    fn rounded(&self, negative: bool) -> Option<Extended> {
        if self.bytes().all(|digit| digit == b'0') {
            return Some(Extended::Finite { negative, mantissa: 0, exponent: 0 });
        }
        let fraction_digits = self.fraction.len() as i64;
        let rounded = if self.base == 10 {
            self.rounded_decimal(negative, self.exponent - fraction_digits)?
        } else {
            let exponent = self.exponent - 4 * fraction_digits;
            // What is far out of range needs no exact answer, and must not cost one.
            round(
                negative,
                self.large(),
                BigUint::from(1u8),
                exponent.clamp(-EXPONENT_READ_MAX, EXPONENT_READ_MAX),
            )
        };
        (!matches!(rounded, Extended::Finite { mantissa: 0, .. })).then_some(rounded)
    }

    /// All digits as one integer times `10^power`, rounded; `None` far out of range.
    fn rounded_decimal(&self, negative: bool, power: i64) -> Option<Extended> {
        if !(-DECIMAL_EXPONENT_MAX - TEXT_BYTES_MAX as i64..=DECIMAL_EXPONENT_MAX).contains(&power) {
            return None;
        }
        let magnitude = power.unsigned_abs() as u32;
        if let (Some(digits), Some(ten)) = (self.small(), 10u64.checked_pow(magnitude)) {
            if power < 0 {
                return Some(round_small(negative, digits, ten, 0));
            }
            if let Some(product) = digits.checked_mul(u128::from(ten)) {
                return Some(round_small(negative, product, 1, 0));
            }
        }
        let ten = BigUint::from(10u8).pow(magnitude);
        Some(if power < 0 {
            round(negative, self.large(), ten, 0)
        } else {
            round(negative, self.large() * ten, BigUint::from(1u8), 0)
        })
    }
}

/// An optional sign and digits; what no number can need is cut to something as far out of range.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value =
        digits.iter().fold(0i64, |value, digit| (value * 10 + i64::from(digit - b'0')).min(1_000_000));
    Some(if negative { -value } else { value })
}

/// `numerator / denominator * 2^exponent`, rounded.
fn round(negative: bool, numerator: BigUint, denominator: BigUint, exponent: i64) -> Extended {
    let quotient_bits = numerator.bits() as i64 - denominator.bits() as i64;
    round_quotient(negative, quotient_bits, exponent, |shift| {
        let (numerator, divisor) = match shift {
            0.. => (numerator.clone(), &denominator << shift),
            _ => (&numerator << shift.unsigned_abs(), denominator.clone()),
        };
        let quotient = &numerator / &divisor;
        let rest = numerator - &quotient * &divisor;
        let order = (&rest << 1u8).cmp(&divisor);
        let mut words = quotient.iter_u64_digits();
        let low = u128::from(words.next().unwrap_or(0));
        (u128::from(words.next().unwrap_or(0)) << 64 | low, order)
    })
}

/// The same for numbers that leave the quotient room in 128 bits: the usual ones.
fn round_small(negative: bool, numerator: u128, denominator: u64, exponent: i64) -> Extended {
    let denominator = u128::from(denominator);
    let quotient_bits = bits(numerator) - bits(denominator);
    round_quotient(negative, quotient_bits, exponent, |shift| {
        let (numerator, divisor) =
            if shift >= 0 { (numerator, denominator << shift) } else { (numerator << -shift, denominator) };
        let (quotient, rest) = (numerator / divisor, numerator % divisor);
        (quotient, rest.cmp(&(divisor - rest)))
    })
}

fn bits(value: u128) -> i64 {
    i64::from(u128::BITS - value.leading_zeros())
}

/// The number nearest to a quotient of `quotient_bits` bits or one more, times `2^exponent`. `divide` gives the
/// quotient by `2^shift`, and how its rest compares with one half.
fn round_quotient(
    negative: bool,
    quotient_bits: i64,
    exponent: i64,
    divide: impl Fn(i64) -> (u128, Ordering),
) -> Extended {
    let mut shift = (quotient_bits - MANTISSA_BITS).max(EXPONENT_MIN - exponent);
    let (mut quotient, mut rest) = divide(shift);
    if bits(quotient) > MANTISSA_BITS {
        shift += 1;
        (quotient, rest) = divide(shift);
    }
    let rounds_up = rest == Ordering::Greater || (rest == Ordering::Equal && quotient & 1 == 1);
    quotient += u128::from(rounds_up);
    if bits(quotient) > MANTISSA_BITS {
        quotient >>= 1;
        shift += 1;
    }
    let exponent = exponent + shift;
    if exponent > EXPONENT_MAX {
        return Extended::Infinite { negative };
    }
    Extended::Finite { negative, mantissa: quotient as u64, exponent: exponent as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(one: &str, other: &str) -> Option<String> {
        let one = Extended::parse(one.as_bytes()).expect("a number");
        let other = Extended::parse(other.as_bytes()).expect("a number");
        one.checked_add(other).map(Extended::format)
    }

    #[test]
    fn sums_as_the_x87_has_them() {
        // Expected values come from `long double` arithmetic and `%.17Lf` on x86-64.
        for (one, other, expected) in [
            ("3", "1.1", "4.1"),
            ("0.1", "0.2", "0.3"),
            ("1.5", "1.5", "3"),
            ("17179869184", "1.5", "17179869185.5"),
            ("17179869184", "17179869184", "34359738368"),
            ("1", "-1", "0"),
            ("-1.5", "0.5", "-1"),
            ("0", "-0.000000000000000001", "0"),
            ("10.5", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("1e20", "1", "100000000000000000000"),
            ("0.1", "-0.1", "0"),
            ("0x10", "0x.8p1", "17"),
            ("9223372036854775807", "1", "9223372036854775808"),
            ("1.23456789012345678", "0", "1.23456789012345678"),
            ("123456789.123456789", "0.1", "123456789.22345678899728227"),
        ] {
            assert_eq!(sum(one, other).as_deref(), Some(expected), "{one} + {other}");
        }
    }

    #[test]
    fn what_is_no_number() {
        for text in [
            "", " 1", "1 ", "nan", "1e", "e1", ".", "-", "0x", "1.2.3", "1e99999", "1e-99999", "abc", "1\0",
            "--1",
        ] {
            assert_eq!(Extended::parse(text.as_bytes()), None, "{text}");
        }
        for text in
            ["1.", ".5", "+5", "1E5", "-0", "0e99999999999", "1e4932", "INF", "-infinity", "3.6e-4951"]
        {
            assert!(Extended::parse(text.as_bytes()).is_some(), "{text}");
        }
    }

    #[test]
    fn limits() {
        assert_eq!(sum("1e4932", "1e4932"), None, "overflow");
        assert_eq!(sum("inf", "1"), None);
        assert_eq!(Extended::parse(b"1e4933"), None);
        let huge = sum("1e4000", "0").expect("finite");
        assert!(
            huge.starts_with("999999999999999999") && huge.len() == 4000,
            "the nearest number is a little less"
        );
        assert_eq!(Extended::Infinite { negative: true }.format(), "-inf");
        assert_eq!(Extended::from_i64(i64::MIN).format(), "-9223372036854775808");
    }
}
