//! Strict reading and printing of numbers, with the exact forms that Redis accepts and prints.

/// Reads a canonical decimal `i64`: no blanks, no plus sign, no leading zeros, as `string2ll` of Redis.
pub fn parse_i64(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, bytes),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut value: u64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u64::from(digit - b'0');
    }
    if negative {
        (value <= 1 << 63).then(|| (value as i64).wrapping_neg())
    } else {
        i64::try_from(value).ok()
    }
}

/// Reads an unsigned decimal number in the form `strtoull` would take without blanks or sign.
pub fn parse_u64(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// Reads a finite or infinite double as Redis does (`strtod` on the whole argument): no blanks, no NaN, nothing that is
/// too large or, without being zero, too small for the type.
pub fn parse_f64(bytes: &[u8]) -> Option<f64> {
    if bytes.first()?.is_ascii_whitespace() {
        return None;
    }
    let value = read_f64(bytes)?;
    let digits = bytes.iter().take_while(|byte| !matches!(byte, b'e' | b'E' | b'p' | b'P'));
    let says_zero = digits.filter(|byte| byte.is_ascii_hexdigit()).all(|&digit| digit == b'0');
    let says_infinite = bytes.iter().any(|byte| matches!(byte, b'i' | b'I'));
    (value.is_infinite() == says_infinite && (value == 0.0) <= says_zero).then_some(value)
}

/// Reads a double as Redis reads the bounds of a range: blanks may precede it, an empty argument is zero, everything from a
/// zero byte on is ignored, and what is too large is infinite.
pub fn parse_f64_loosely(bytes: &[u8]) -> Option<f64> {
    let text = until_zero(bytes);
    if text.is_empty() {
        return Some(0.0);
    }
    // The vertical tab is a blank in C, but not for `trim_ascii_start`.
    let blanks = text.iter().take_while(|&&byte| byte.is_ascii_whitespace() || byte == 0x0b).count();
    read_f64(&text[blanks..])
}

/// A double in decimal or hexadecimal, or an infinity.
fn read_f64(bytes: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let value = match unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")) {
        Some(digits) if text.starts_with('-') => -read_hexadecimal(digits)?,
        Some(digits) => read_hexadecimal(digits)?,
        None => text.parse().ok()?,
    };
    (!value.is_nan()).then_some(value)
}

/// Hexadecimal digits with a point somewhere, and a power of two behind `p`.
fn read_hexadecimal(text: &str) -> Option<f64> {
    let (digits, exponent) = match text.split_once(['p', 'P']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (mut mantissa, mut power, mut digits) = (0u64, i64::from(exponent), 0);
    for (digit, is_fraction) in
        whole.chars().map(|digit| (digit, false)).chain(fraction.chars().map(|digit| (digit, true)))
    {
        let digit = u64::from(digit.to_digit(16)?);
        if mantissa >> 59 == 0 {
            mantissa = mantissa << 4 | digit;
            power -= if is_fraction { 4 } else { 0 };
        } else {
            // What no longer fits only matters in that it is there.
            mantissa |= u64::from(digit != 0);
            power += if is_fraction { 0 } else { 4 };
        }
        digits += 1;
    }
    let scaled = |value: f64, power: i64| value * 2f64.powi(power.clamp(-2000, 2000) as i32);
    // In two steps, since the power alone may be out of range where the result is not.
    (digits > 0).then(|| scaled(scaled(mantissa as f64, power / 2), power - power / 2))
}

/// Appends `value` in decimal.
pub fn push_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Doubles up to this are printed as integers if they are whole, like Redis does.
const WHOLE_MAX: f64 = (i64::MAX / 2) as f64;

/// The shortest text that reads back as `value`, in the form in which Redis prints doubles: `3`, `0.1`, `1e+20`, `inf`.
pub fn format_f64(value: f64) -> String {
    if let Some(text) = format_special(value) {
        return text;
    }
    if value.abs() <= WHOLE_MAX && value == (value as i64) as f64 {
        return itoa::Buffer::new().format(value as i64).to_owned();
    }
    let (sign, digits, point) = decimal(&format!("{value:e}"));
    // The power of ten of the last digit decides about the form, and so does that of the first one.
    let (count, first) = (digits.len() as i32, point - 1);
    let last = point - count;
    match last {
        0.. if first < count + 7 => format!("{sign}{digits}{}", "0".repeat(last as usize)),
        ..0 if last > -7 || first.abs() < 4 => format!("{sign}{}", with_point(&digits, point)),
        _ => format!("{sign}{}e{first:+}", with_point(&digits, 1)),
    }
}

/// `value` with 17 significant digits at most, as `%.17g` of C prints it.
pub fn format_f64_long(value: f64) -> String {
    if let Some(text) = format_special(value) {
        return text;
    }
    let (sign, digits, point) = decimal(&format!("{value:.16e}"));
    let digits = digits.trim_end_matches('0');
    if (-3..=17).contains(&point) {
        return format!("{sign}{}", with_point(digits, point));
    }
    let (exponent, exponent_sign) = ((point - 1).abs(), if point < 1 { '-' } else { '+' });
    format!("{sign}{}e{exponent_sign}{exponent:02}", with_point(digits, 1))
}

/// What has no digits, and zero.
fn format_special(value: f64) -> Option<String> {
    let sign = if value.is_sign_negative() { "-" } else { "" };
    match value {
        _ if value.is_nan() => Some("nan".into()),
        _ if value.is_infinite() => Some(format!("{sign}inf")),
        0.0 => Some(format!("{sign}0")),
        _ => None,
    }
}

/// Sign and digits of a number in scientific notation, and how many of the digits stand before the point.
fn decimal(scientific: &str) -> (&'static str, String, i32) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |mantissa| ("-", mantissa));
    (sign, mantissa.replace('.', ""), exponent.parse().unwrap_or(0) + 1)
}

/// Digits with a point behind the first `point` of them, and zeros where digits are missing.
fn with_point(digits: &str, point: i32) -> String {
    let count = digits.len() as i32;
    match point {
        ..=0 => format!("0.{}{digits}", "0".repeat(point.unsigned_abs() as usize)),
        _ if point >= count => format!("{digits}{}", "0".repeat((point - count) as usize)),
        _ => format!("{}.{}", &digits[..point as usize], &digits[point as usize..]),
    }
}

/// The text as far as functions of C see it: up to the first zero byte.
pub fn until_zero(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_canonical() {
        for text in ["0", "1", "-1", "9223372036854775807", "-9223372036854775808"] {
            assert_eq!(parse_i64(text.as_bytes()), text.parse().ok());
        }
        for text in
            ["", "-", "-0", "01", "+1", " 1", "1 ", "9223372036854775808", "-9223372036854775809", "1.0"]
        {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn doubles() {
        for (text, value) in [
            ("3.5e2", 350.0),
            ("-inf", f64::NEG_INFINITY),
            ("+Infinity", f64::INFINITY),
            ("0x10", 16.0),
            ("-0x1.8p1", -3.0),
            ("0x.4", 0.25),
            ("0x1p-1074", 5e-324),
            ("0e-999", 0.0),
            ("5e-324", 5e-324),
            ("0x123456789abcdef012", 3.358127276707303e20),
        ] {
            assert_eq!(parse_f64(text.as_bytes()), Some(value), "{text}");
        }
        let longest = format!("{:.20}", f64::MAX);
        assert_eq!(parse_f64(longest.as_bytes()), Some(f64::MAX));
        for text in [
            "", " 1", "1 ", "nan", "1e999", "-1e999", "1e-400", "abc", "\0\u{80}", "0x\u{e9}", "0x", "0x1p",
            "1e", "1_0",
        ] {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn bounds() {
        for (text, value) in [
            ("", 0.0),
            (" \t\x0b1.5", 1.5),
            ("1e999", f64::INFINITY),
            ("1\0x", 1.0),
            ("1e-400", 0.0),
            ("-inf", f64::NEG_INFINITY),
        ] {
            assert_eq!(parse_f64_loosely(text.as_bytes()), Some(value), "{text}");
        }
        for text in [" ", "1 ", "nan", "x", "(1"] {
            assert_eq!(parse_f64_loosely(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn printed_doubles() {
        // Expected values are Redis 7.2's and, behind them, those of `%.17g`.
        for (value, short, long) in [
            (3.0, "3", "3"),
            (-0.0, "-0", "-0"),
            (0.1, "0.1", "0.10000000000000001"),
            (-2.5, "-2.5", "-2.5"),
            (1e17, "100000000000000000", "1e+17"),
            (1e20, "1e+20", "1e+20"),
            (123456789012345680000.0, "123456789012345680000", "1.2345678901234568e+20"),
            (1.5e-9, "1.5e-9", "1.5e-09"),
            (0.001, "0.001", "0.001"),
            (0.00012, "0.00012", "0.00012"),
            (1e-7, "1e-7", "9.9999999999999995e-08"),
            (1.5e300, "1.5e+300", "1.5000000000000001e+300"),
            (5e-324, "5e-324", "4.9406564584124654e-324"),
            (123.456, "123.456", "123.456"),
            (f64::NEG_INFINITY, "-inf", "-inf"),
        ] {
            assert_eq!((format_f64(value).as_str(), format_f64_long(value).as_str()), (short, long));
        }
    }
}
