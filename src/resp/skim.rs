//! Finding the ends of encoded replies without decoding them. Only for replies that this server encoded itself.

use crate::base::number::parse_i64;

/// The first line of `encoded` without its tag and line end, and what follows it.
fn line(encoded: &[u8]) -> (&[u8], &[u8]) {
    let end = encoded.iter().position(|&byte| byte == b'\r').expect("a reply's line ends");
    (&encoded[1..end], &encoded[end + 2..])
}

fn number(text: &[u8]) -> i64 {
    parse_i64(text).expect("a reply's header holds a number")
}

/// Splits the first whole reply off `encoded`.
///
/// # Panics
/// When `encoded` does not start with a whole reply.
pub fn split_first(encoded: &[u8]) -> (&[u8], &[u8]) {
    let mut rest = encoded;
    let mut missing: i64 = 1;
    while missing > 0 {
        missing -= 1;
        let tag = rest[0];
        let (header, after) = line(rest);
        rest = match tag {
            b'$' | b'=' | b'!' if header != b"-1" => &after[number(header) as usize + 2..],
            b'*' | b'~' | b'>' => {
                missing += number(header).max(0);
                after
            }
            b'%' | b'|' => {
                missing += 2 * number(header).max(0);
                after
            }
            _ => after,
        };
    }
    encoded.split_at(encoded.len() - rest.len())
}

/// The elements of an encoded array or set, one encoded reply each.
///
/// # Panics
/// When `encoded` is no whole array.
pub fn elements(encoded: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (count, mut rest) = array(encoded);
    (0..count).map(move |_| {
        let (element, after) = split_first(rest);
        rest = after;
        element
    })
}

/// Number of elements of an encoded array or set, and their bytes.
///
/// # Panics
/// When `encoded` is no array.
pub fn array(encoded: &[u8]) -> (usize, &[u8]) {
    assert!(matches!(encoded.first(), Some(b'*' | b'~')), "an array");
    let (header, rest) = line(encoded);
    (number(header).max(0) as usize, rest)
}

/// The value of an encoded integer.
///
/// # Panics
/// When `encoded` is no integer.
pub fn integer(encoded: &[u8]) -> i64 {
    assert_eq!(encoded.first(), Some(&b':'), "an integer");
    number(line(encoded).0)
}

/// The bytes of an encoded bulk string.
///
/// # Panics
/// When `encoded` is no bulk string.
pub fn bulk(encoded: &[u8]) -> &[u8] {
    assert_eq!(encoded.first(), Some(&b'$'), "a bulk string");
    let (header, rest) = line(encoded);
    &rest[..number(header) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_reply_ends_where_it_ends() {
        for reply in [
            "+OK\r\n",
            "-ERR x\r\n",
            ":-5\r\n",
            "$3\r\na\r\n\r\n",
            "$0\r\n\r\n",
            "$-1\r\n",
            "*-1\r\n",
            "*0\r\n",
            "*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
            "%1\r\n+k\r\n,1.5\r\n",
            "_\r\n",
            "#t\r\n",
            "=5\r\ntxt:a\r\n",
            "~2\r\n:1\r\n:2\r\n",
        ] {
            let both = format!("{reply}+next\r\n");
            assert_eq!(split_first(both.as_bytes()), (reply.as_bytes(), &b"+next\r\n"[..]));
        }
    }

    #[test]
    fn elements_of_an_array() {
        let found: Vec<&[u8]> = elements(b"*3\r\n:1\r\n$-1\r\n*1\r\n+a\r\n").collect();
        assert_eq!(found, [&b":1\r\n"[..], b"$-1\r\n", b"*1\r\n+a\r\n"]);
        assert_eq!((integer(b":42\r\n"), bulk(b"$3\r\na\r\n\r\n")), (42, &b"a\r\n"[..]));
    }
}
