//! What becomes of elements that a blocked client was served when it is gone before they reach it.

use crate::base::number::parse_i64;
use crate::resp::skim::{array, elements};

/// The command that puts back what `arguments`, a blocking command, took with this `reply`; `None` when it took nothing, or
/// left it where others find it.
pub fn put_back(arguments: &[&[u8]], reply: &[u8]) -> Option<Vec<Vec<u8>>> {
    if reply.first() != Some(&b'*') || reply.starts_with(b"*-1") {
        return None;
    }
    let name = arguments.first()?.to_ascii_lowercase();
    let parts: Vec<&[u8]> = elements(reply).collect();
    let (&key, taken) = parts.split_first()?;
    let is_left = || {
        let keys = parse_i64(arguments.get(2)?)?;
        let direction = arguments.get(3 + usize::try_from(keys).ok()?)?;
        direction.eq_ignore_ascii_case(b"left").then_some(())
    };
    let mut words = match name.as_slice() {
        b"blpop" => vec![b"LPUSH".to_vec(), bulk(key)?],
        b"brpop" => vec![b"RPUSH".to_vec(), bulk(key)?],
        b"blmpop" if is_left().is_some() => vec![b"LPUSH".to_vec(), bulk(key)?],
        b"blmpop" => vec![b"RPUSH".to_vec(), bulk(key)?],
        b"bzpopmin" | b"bzpopmax" | b"bzmpop" => vec![b"ZADD".to_vec(), bulk(key)?, b"NX".to_vec()],
        _ => return None,
    };
    match name.as_slice() {
        b"blpop" | b"brpop" => words.push(bulk(taken.first()?)?),
        // The last one taken goes back first.
        b"blmpop" => {
            let all: Option<Vec<Vec<u8>>> = elements(taken.first()?).map(bulk).collect();
            words.extend(all?.into_iter().rev());
        }
        b"bzmpop" => {
            for pair in elements(taken.first()?) {
                (array(pair).0 == 2).then_some(())?;
                let mut pair = elements(pair).map(bulk);
                let (member, score) = (pair.next()??, pair.next()??);
                words.extend([score, member]);
            }
        }
        _ => {
            let (member, score) = (bulk(taken.first()?)?, bulk(taken.get(1)?)?);
            words.extend([score, member]);
        }
    }
    Some(words)
}

/// The bytes of a bulk string, or the digits of a double.
fn bulk(encoded: &[u8]) -> Option<Vec<u8>> {
    let content = encoded.strip_suffix(b"\r\n")?;
    match content.first()? {
        b'$' => {
            let start = content.iter().position(|&byte| byte == b'\n')? + 1;
            Some(content[start..].to_vec())
        }
        b',' => Some(content[1..].to_vec()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(command: &str, reply: &str) -> Option<String> {
        let arguments: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        put_back(&arguments, reply.as_bytes())
            .map(|words| String::from_utf8_lossy(&words.join(&b' ')).into_owned())
    }

    #[test]
    fn elements_go_back_to_where_they_were() {
        let pair = "*2\r\n$1\r\nk\r\n$1\r\na\r\n";
        assert_eq!(back("BLPOP k 0", pair).as_deref(), Some("LPUSH k a"));
        assert_eq!(back("brpop k 0", pair).as_deref(), Some("RPUSH k a"));
        let several = "*2\r\n$1\r\nk\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n";
        assert_eq!(back("BLMPOP 0 1 k LEFT COUNT 2", several).as_deref(), Some("LPUSH k b a"));
        assert_eq!(back("BLMPOP 0 1 k right COUNT 2", several).as_deref(), Some("RPUSH k b a"));
        let scored = "*3\r\n$1\r\nk\r\n$1\r\na\r\n$3\r\n1.5\r\n";
        assert_eq!(back("BZPOPMIN k 0", scored).as_deref(), Some("ZADD k NX 1.5 a"));
        let nested = "*2\r\n$1\r\nk\r\n*1\r\n*2\r\n$1\r\na\r\n,2\r\n";
        assert_eq!(back("BZMPOP 0 1 k MIN", nested).as_deref(), Some("ZADD k NX 2 a"));
        for (command, reply) in [("BLPOP k 0", "*-1\r\n"), ("BLPOP k 0", "-ERR\r\n"), ("XREAD x", pair)] {
            assert_eq!(back(command, reply), None);
        }
    }
}
