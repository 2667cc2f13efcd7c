//! The lexical level of a configuration: splitting a line into words, quoting a word, sizes with units.
//! What the words mean is not here.

/// Splits a line as redis.conf does: words are separated by blanks; `"…"` knows `\n \r \t \b \a \xHH` and takes
/// any other escaped byte as itself; `'…'` knows only `\'`. A closing quote must end its word.
/// `None` when quotes are unbalanced.
pub fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        let blanks = rest.iter().take_while(|&&byte| is_blank(byte)).count();
        rest = &rest[blanks..];
        if rest.is_empty() {
            return Some(words);
        }
        let mut word = Vec::new();
        rest = take_word(rest, &mut word)?;
        words.push(word);
    }
}

/// Blank as C's `isspace` has it, which also knows the vertical tab.
fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// Appends the first word of `rest`, which does not start with a blank, and answers what follows it.
fn take_word<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match *rest {
            [] | [b' ' | b'\n' | b'\r' | b'\t', ..] => return Some(rest),
            [b'"', ..] => return end_of_quotes(take_double_quoted(&rest[1..], word)?),
            [b'\'', ..] => return end_of_quotes(take_single_quoted(&rest[1..], word)?),
            [byte, ..] => {
                word.push(byte);
                rest = &rest[1..];
            }
        }
    }
}

fn end_of_quotes(rest: &[u8]) -> Option<&[u8]> {
    rest.first().is_none_or(|&byte| is_blank(byte)).then_some(rest)
}

fn take_double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, taken) = match *rest {
            [] => return None,
            [b'"', ..] => return Some(&rest[1..]),
            [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex_digit(high) << 4 | hex_digit(low), 4)
            }
            [b'\\', escaped, ..] => (unescape(escaped), 2),
            [byte, ..] => (byte, 1),
        };
        word.push(byte);
        rest = &rest[taken..];
    }
}

fn take_single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, taken) = match *rest {
            [] => return None,
            [b'\'', ..] => return Some(&rest[1..]),
            [b'\\', b'\'', ..] => (b'\'', 2),
            [byte, ..] => (byte, 1),
        };
        word.push(byte);
        rest = &rest[taken..];
    }
}

fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => byte.to_ascii_lowercase() - b'a' + 10,
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

/// Appends `word` in double quotes, so that [`split`] reads it back as it is.
pub fn push_quoted(line: &mut Vec<u8>, word: &[u8]) {
    line.push(b'"');
    for &byte in word {
        match byte {
            b'\\' | b'"' => line.extend([b'\\', byte]),
            b'\n' => line.extend(b"\\n"),
            b'\r' => line.extend(b"\\r"),
            b'\t' => line.extend(b"\\t"),
            0x07 => line.extend(b"\\a"),
            0x08 => line.extend(b"\\b"),
            b' '..=b'~' => line.push(byte),
            _ => line.extend(format!("\\x{byte:02x}").bytes()),
        }
    }
    line.push(b'"');
}

/// Bytes that a size such as `100`, `1k` (1000), `1kb` (1024), `2MB`, `1g` names; `None` if it is none.
/// Without digits it is zero. The number saturates, so that a huge one fails its bounds instead of wrapping.
pub(super) fn parse_memory(word: &[u8]) -> Option<i128> {
    let digits = word.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let unit: i128 = match word[digits..].to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    Some(parse_digits(&word[..digits], 10)? * unit)
}

/// A whole number in C's notation: an optional sign, then digits of the radix; no digits at all is zero.
pub(super) fn parse_whole(word: &[u8], radix: u32) -> Option<i128> {
    match word {
        [b'-', digits @ ..] => parse_digits(digits, radix).map(|number| -number),
        [b'+', digits @ ..] | digits => parse_digits(digits, radix),
    }
}

fn parse_digits(digits: &[u8], radix: u32) -> Option<i128> {
    let ceiling = i128::from(u64::MAX);
    digits.iter().try_fold(0, |number: i128, &byte| {
        let digit = char::from(byte).to_digit(radix)?;
        Some((number * i128::from(radix) + i128::from(digit)).min(ceiling))
    })
}

/// The shortest exact notation of a size: `64mb`, `1gb`, `3000`.
pub(super) fn format_memory(bytes: i128) -> String {
    for (unit, suffix) in [(1 << 30, "gb"), (1 << 20, "mb"), (1 << 10, "kb")] {
        if bytes != 0 && bytes % unit == 0 {
            return format!("{}{suffix}", bytes / unit);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> Option<Vec<String>> {
        let words = split(line.as_bytes())?;
        Some(words.into_iter().map(|word| String::from_utf8_lossy(&word).into_owned()).collect())
    }

    #[test]
    fn splits_plain_and_quoted_words() {
        assert_eq!(words("  save 900\t1 ").unwrap(), ["save", "900", "1"]);
        assert_eq!(words("a \"b c\" 'd \\' e' ''").unwrap(), ["a", "b c", "d ' e", ""]);
        assert_eq!(words(r#""\x41\n\q\"""#).unwrap(), ["A\nq\""]);
        assert_eq!(words(r#""\xzz""#).unwrap(), ["xzz"]);
        assert_eq!(words("pre\"quoted\"").unwrap(), ["prequoted"]);
        assert_eq!(words("").unwrap(), [""; 0]);
    }

    #[test]
    fn refuses_unbalanced_quotes() {
        for line in ["\"a", "'a", "\"a\"b", "'a'b", "\"a\\\""] {
            assert_eq!(words(line), None, "{line}");
        }
    }

    #[test]
    fn sizes() {
        let cases =
            [("1", 1), ("1b", 1), ("1k", 1000), ("1KB", 1024), ("2mb", 2 << 20), ("3G", 3_000_000_000)];
        for (text, bytes) in cases {
            assert_eq!(parse_memory(text.as_bytes()), Some(bytes), "{text}");
        }
        for text in ["-1", "1tb", "1 mb", "mb1", "0x10"] {
            assert_eq!(parse_memory(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_memory(b""), Some(0));
        assert!(parse_memory(b"99999999999999999999999999gb").unwrap() > i128::from(u64::MAX));
        assert_eq!(format_memory(64 << 20), "64mb");
        assert_eq!(format_memory(1 << 30), "1gb");
        assert_eq!(format_memory(3000), "3000");
        assert_eq!(format_memory(0), "0");
    }

    proptest! {
        #[test]
        fn a_quoted_word_reads_back(word in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut line = b"x ".to_vec();
            push_quoted(&mut line, &word);
            prop_assert_eq!(split(&line).unwrap(), vec![b"x".to_vec(), word]);
        }
    }
}
