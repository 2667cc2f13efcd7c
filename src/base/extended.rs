//! The 80-bit floating point of the x87 (`long double` in C on x86-64), in software: read, added, printed.
//!
//! INCRBYFLOAT and its kin are defined by it: `3 + 1.1` is `4.1` there, because a sum of 64-bit mantissas is printed
//! with 17 decimals. Only what those commands need is here. Every result is the exact one rounded to nearest, ties to
//! even, as IEEE 754 asks of `strtold`, addition and `printf`.

use num_bigint::BigUint;

/// Bits of the mantissa.
const MANTISSA_BITS: i64 = 64;
/// Exponent of the last mantissa bit of the smallest numbers (the denormal ones).
const EXPONENT_MIN: i64 = -16445;
/// The same of the largest.
const EXPONENT_MAX: i64 = 16383 - 63;
/// Beyond this power of ten nothing is finite, and below minus this nothing is above zero.
const DECIMAL_EXPONENT_MAX: i64 = 5000;
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
            [b'0', b'x' | b'X', rest @ ..] => parse_digits(rest, 16)?.rounded_binary(negative),
            _ => parse_digits(unsigned, 10)?.rounded_decimal(negative),
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
        let lowest = exponent.min(other_exponent);
        let own = BigUint::from(mantissa) << (exponent - lowest) as usize;
        let others = BigUint::from(other_mantissa) << (other_exponent - lowest) as usize;
        let (sum_negative, magnitude) = if negative == other_negative {
            (negative, own + others)
        } else if own >= others {
            (negative && own != others, own - others)
        } else {
            (other_negative, others - own)
        };
        let sum = round(sum_negative, magnitude, BigUint::from(1u8), i64::from(lowest));
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
    let decimals = format!("{fraction:0width$}", width = DECIMALS as usize);
    format!("{whole}.{}", decimals.trim_end_matches('0'))
}

/// `value / 2^shift` to the nearest integer, ties to even.
fn shift_rounding(value: u128, shift: u32) -> u128 {
    let quotient = value >> shift;
    let rest = value & ((1 << shift) - 1);
    let half = (1u128 << shift) >> 1;
    quotient + u128::from(shift > 0 && (rest > half || (rest == half && quotient & 1 == 1)))
}

/// Digits as they were read: `digits * base^-fraction_digits * (10 or 2)^exponent`.
struct Digits {
    digits: BigUint,
    fraction_digits: i64,
    exponent: i64,
}

impl Digits {
    fn rounded_decimal(self, negative: bool) -> Option<Extended> {
        if self.digits == BigUint::ZERO {
            return Some(Extended::Finite { negative, mantissa: 0, exponent: 0 });
        }
        let power = self.exponent - self.fraction_digits;
        // Digits beside the exponent: at most as many as the text has bytes.
        let bytes_max = TEXT_BYTES_MAX as i64;
        if !(-DECIMAL_EXPONENT_MAX - bytes_max..=DECIMAL_EXPONENT_MAX).contains(&power) {
            return None;
        }
        let ten = BigUint::from(10u8).pow(power.unsigned_abs() as u32);
        let value = if power >= 0 {
            round(negative, self.digits * ten, BigUint::from(1u8), 0)
        } else {
            round(negative, self.digits, ten, 0)
        };
        value.not_zero()
    }

    fn rounded_binary(self, negative: bool) -> Option<Extended> {
        if self.digits == BigUint::ZERO {
            return Some(Extended::Finite { negative, mantissa: 0, exponent: 0 });
        }
        let exponent = self.exponent - 4 * self.fraction_digits;
        if exponent.abs() > 8 * (DECIMAL_EXPONENT_MAX + TEXT_BYTES_MAX as i64) {
            return None;
        }
        round(negative, self.digits, BigUint::from(1u8), exponent).not_zero()
    }
}

impl Extended {
    /// Nothing when a number that is not zero was rounded to it.
    fn not_zero(self) -> Option<Extended> {
        (!matches!(self, Extended::Finite { mantissa: 0, .. })).then_some(self)
    }
}

/// Reads `digits[.digits][exponent]` in a base, to the end; at least one digit. The exponent is decimal behind `e`, and
/// binary behind `p` in base 16.
fn parse_digits(text: &[u8], base: u32) -> Option<Digits> {
    let mark = if base == 16 { b'p' } else { b'e' };
    let end = text.iter().position(|byte| byte.to_ascii_lowercase() == mark).unwrap_or(text.len());
    let exponent = if end < text.len() { parse_exponent(&text[end + 1..])? } else { 0 };
    let point = text[..end].iter().position(|&byte| byte == b'.').unwrap_or(end);
    let mut digits = text[..point].to_vec();
    digits.extend_from_slice(text[..end].get(point + 1..).unwrap_or_default());
    let fraction_digits = digits.len() - point;
    if digits.is_empty() || !digits.iter().all(|&digit| char::from(digit).is_digit(base)) {
        return None;
    }
    let digits = BigUint::parse_bytes(&digits, base)?;
    Some(Digits { digits, fraction_digits: fraction_digits as i64, exponent })
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
    if numerator == BigUint::ZERO {
        return Extended::Finite { negative, mantissa: 0, exponent: 0 };
    }
    // The quotient has as many bits as this says, or one more.
    let quotient_bits = numerator.bits() as i64 - denominator.bits() as i64;
    let mut shift = (quotient_bits - MANTISSA_BITS).max(EXPONENT_MIN - exponent);
    let (mut quotient, mut rest, mut divisor) = divide_shifted(&numerator, &denominator, shift);
    if quotient.bits() as i64 > MANTISSA_BITS {
        shift += 1;
        (quotient, rest, divisor) = divide_shifted(&numerator, &denominator, shift);
    }
    let twice = rest << 1u8;
    let is_odd = quotient.bit(0);
    if twice > divisor || (twice == divisor && is_odd) {
        quotient += 1u8;
    }
    if quotient.bits() as i64 > MANTISSA_BITS {
        quotient >>= 1u8;
        shift += 1;
    }
    let exponent = exponent + shift;
    if exponent > EXPONENT_MAX {
        return Extended::Infinite { negative };
    }
    let mantissa = quotient.iter_u64_digits().next().unwrap_or(0);
    Extended::Finite { negative, mantissa, exponent: exponent as i32 }
}

/// Quotient, rest and divisor of `numerator / (denominator * 2^shift)`, in integers.
fn divide_shifted(numerator: &BigUint, denominator: &BigUint, shift: i64) -> (BigUint, BigUint, BigUint) {
    let (numerator, divisor) = if shift >= 0 {
        (numerator.clone(), denominator << shift as usize)
    } else {
        (numerator << shift.unsigned_abs() as usize, denominator.clone())
    };
    let quotient = &numerator / &divisor;
    let rest = numerator - &quotient * &divisor;
    (quotient, rest, divisor)
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
