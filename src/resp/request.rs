//! The request parser: bytes to argument slices that borrow the input, over any split of the input.
//!
//! A command that has arrived whole is parsed without state; of one that has not, the parser keeps what it has
//! seen, so that nothing is scanned twice however the bytes are cut.

use crate::base::limits::{
    ARGUMENTS_MAX, INLINE_BYTES_MAX, UNAUTHENTICATED_ARGUMENTS_MAX, UNAUTHENTICATED_BULK_BYTES_MAX,
};
use crate::base::number::parse_i64;

/// Arguments whose room is kept from one unfinished command to the next.
const SEEN_MAX: usize = 64;

/// What the parser found at the start of its input.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A whole command; its arguments were appended. It took this many bytes of input.
    Command(usize),
    /// A whole inline command with its unquoted words, which took this many bytes of input.
    Inline(usize, Vec<Vec<u8>>),
    /// Something without meaning that is passed over: an empty line, an empty array.
    Nothing(usize),
    /// More bytes are needed. What is known of their number helps the caller reserve room once.
    Incomplete(Option<usize>),
    /// Not the protocol: the sentence for the client (without `-ERR`), after which the connection ends.
    Error(String),
}

/// The limits under which a connection parses.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `proto-max-bulk-len`.
    pub bulk_bytes_max: i64,
    /// Whether the small limits before authentication apply.
    pub unauthenticated: bool,
}

/// The parser of one connection. Between calls its input must start with the same unfinished command.
#[derive(Debug, Default)]
pub struct Parser {
    /// Bytes of the unfinished command that need no second look.
    position: usize,
    /// Arguments still to come, once the array header was read.
    arguments_left: Option<i64>,
    /// Length of the argument whose bytes come next, once its header was read.
    bulk_bytes: Option<usize>,
    /// The arguments so far of the unfinished command, as ranges from its start.
    seen: Vec<(usize, usize)>,
}

enum Line<'a> {
    Whole(&'a [u8], usize),
    Partial,
    TooLong,
}

impl Parser {
    /// Parses one command from the start of `input`, appending its arguments to `arguments`.
    pub fn parse<'a>(&mut self, input: &'a [u8], limits: Limits, arguments: &mut Vec<&'a [u8]>) -> Parsed {
        let before = arguments.len();
        if self.arguments_left.is_none() {
            match input.first() {
                None => return Parsed::Incomplete(None),
                Some(b'*') => {}
                Some(_) => return parse_inline(input),
            }
        }
        arguments.extend(self.seen.iter().map(|&(start, end)| &input[start..end]));
        let parsed = self.parse_array(input, limits, arguments);
        match parsed {
            Parsed::Incomplete(_) => {
                let known = self.seen.len();
                let base = input.as_ptr() as usize;
                self.seen.extend(arguments[before + known..].iter().map(|argument| {
                    let start = argument.as_ptr() as usize - base;
                    (start, start + argument.len())
                }));
                arguments.truncate(before);
            }
            _ => self.reset(),
        }
        parsed
    }

    /// Whether a command has begun to arrive.
    pub fn is_midway(&self) -> bool {
        self.arguments_left.is_some()
    }

    /// Bytes that it keeps of an unfinished command.
    pub fn memory_usage(&self) -> usize {
        self.seen.capacity() * size_of::<(usize, usize)>()
    }

    fn reset(&mut self) {
        self.position = 0;
        self.arguments_left = None;
        self.bulk_bytes = None;
        self.seen.clear();
        if self.seen.capacity() > SEEN_MAX {
            self.seen = Vec::new();
        }
    }

    fn parse_array<'a>(&mut self, input: &'a [u8], limits: Limits, arguments: &mut Vec<&'a [u8]>) -> Parsed {
        let mut left = match self.arguments_left {
            Some(left) => left,
            None => {
                let (digits, next) = match header_line(input, 0) {
                    Line::Whole(digits, next) => (digits, next),
                    Line::Partial => return Parsed::Incomplete(None),
                    Line::TooLong => return protocol_error("too big mbulk count string"),
                };
                let count = match parse_i64(digits) {
                    Some(count) if count <= ARGUMENTS_MAX => count,
                    _ => return protocol_error("invalid multibulk length"),
                };
                if count > UNAUTHENTICATED_ARGUMENTS_MAX && limits.unauthenticated {
                    return protocol_error("unauthenticated multibulk length");
                }
                self.position = next;
                if count <= 0 {
                    return Parsed::Nothing(next);
                }
                self.arguments_left = Some(count);
                count
            }
        };
        while left > 0 {
            let length = match self.bulk_bytes {
                Some(length) => length,
                None => match self.bulk_header(input, limits) {
                    Ok(length) => length,
                    Err(parsed) => {
                        self.arguments_left = Some(left);
                        return parsed;
                    }
                },
            };
            let start = self.position;
            let whole = start + length + 2;
            if input.len() < whole {
                self.bulk_bytes = Some(length);
                self.arguments_left = Some(left);
                return Parsed::Incomplete(Some(whole - input.len()));
            }
            arguments.push(&input[start..start + length]);
            self.position = whole;
            self.bulk_bytes = None;
            left -= 1;
        }
        Parsed::Command(self.position)
    }

    /// Reads `$length` at the position and moves behind it.
    fn bulk_header(&mut self, input: &[u8], limits: Limits) -> Result<usize, Parsed> {
        let (digits, next) = match header_line(input, self.position) {
            Line::Whole(digits, next) => (digits, next),
            Line::Partial => return Err(Parsed::Incomplete(None)),
            Line::TooLong => return Err(protocol_error("too big bulk count string")),
        };
        let tag = input[self.position];
        if tag != b'$' {
            return Err(Parsed::Error(format!("Protocol error: expected '$', got '{}'", char::from(tag))));
        }
        let length = match parse_i64(digits) {
            Some(length) if (0..=limits.bulk_bytes_max).contains(&length) => length,
            _ => return Err(protocol_error("invalid bulk length")),
        };
        if length > UNAUTHENTICATED_BULK_BYTES_MAX && limits.unauthenticated {
            return Err(protocol_error("unauthenticated bulk length"));
        }
        self.position = next;
        Ok(length as usize)
    }
}

fn protocol_error(reason: &str) -> Parsed {
    Parsed::Error(format!("Protocol error: {reason}"))
}

/// The text behind the tag at `start`, and where the next line begins.
#[inline]
fn header_line(input: &[u8], start: usize) -> Line<'_> {
    let rest = &input[start.min(input.len())..];
    // Nearly every header is a tag, one to four digits and the line end.
    let near = rest.len().min(8);
    let end = match rest[..near].iter().position(|&byte| byte == b'\r') {
        Some(end) => Some(end),
        None => rest[near..].iter().position(|&byte| byte == b'\r').map(|end| end + near),
    };
    match end {
        Some(end) if end + 1 < rest.len() => Line::Whole(&rest[1.min(end)..end], start + end + 2),
        Some(_) => Line::Partial,
        None if rest.len() > INLINE_BYTES_MAX => Line::TooLong,
        None => Line::Partial,
    }
}

fn parse_inline(input: &[u8]) -> Parsed {
    // Redis looks for the end of the line as C does for that of a string: behind a zero byte it finds none.
    let end = input.iter().position(|&byte| byte == b'\n' || byte == 0).filter(|&end| input[end] == b'\n');
    let Some(end) = end else {
        return if input.len() > INLINE_BYTES_MAX {
            protocol_error("too big inline request")
        } else {
            Parsed::Incomplete(None)
        };
    };
    let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
    match split_words(line) {
        None => protocol_error("unbalanced quotes in request"),
        Some(words) if words.is_empty() => Parsed::Nothing(end + 1),
        Some(words) => Parsed::Inline(end + 1, words),
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// Splits a line into words as Redis does for inline commands: blanks separate, double quotes know
/// `\n \r \t \b \a \xhh` and escaped characters, single quotes know `\'`; a closing quote ends its word.
/// `None` when quotes do not match.
pub fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let line = &line[..line.iter().position(|&byte| byte == 0).unwrap_or(line.len())];
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = &rest[rest.iter().position(|&byte| !is_blank(byte)).unwrap_or(rest.len())..];
        if rest.is_empty() {
            return Some(words);
        }
        let mut word = Vec::new();
        loop {
            match rest {
                [] => break,
                [blank, ..] if is_blank(*blank) => break,
                [quote @ (b'"' | b'\''), after @ ..] => {
                    rest = quoted(after, *quote, &mut word)?;
                    break;
                }
                [byte, after @ ..] => {
                    word.push(*byte);
                    rest = after;
                }
            }
        }
        words.push(word);
    }
}

/// Reads to the closing quote, which a blank or the end must follow; returns what is left.
fn quoted<'a>(mut rest: &'a [u8], quote: u8, word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        rest = match rest {
            [] => return None,
            [b'\\', b'x', high, low, after @ ..]
                if quote == b'"' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0) as u8;
                word.push(digit(*high) << 4 | digit(*low));
                after
            }
            [b'\\', escaped, after @ ..] if quote == b'"' => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                after
            }
            [b'\\', b'\'', after @ ..] if quote == b'\'' => {
                word.push(b'\'');
                after
            }
            [byte, after @ ..] if *byte == quote => {
                return match after {
                    [next, ..] if !is_blank(*next) => None,
                    _ => Some(after),
                };
            }
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { bulk_bytes_max: 512 << 20, unauthenticated: false };

    fn parse_once(input: &[u8]) -> (Parsed, Vec<Vec<u8>>) {
        let mut arguments = Vec::new();
        let parsed = Parser::default().parse(input, LIMITS, &mut arguments);
        (parsed, arguments.iter().map(|argument| argument.to_vec()).collect())
    }

    fn encode(arguments: &[Vec<u8>]) -> Vec<u8> {
        let mut out = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in arguments {
            out.extend(format!("${}\r\n", argument.len()).as_bytes());
            out.extend(argument);
            out.extend(b"\r\n");
        }
        out
    }

    #[test]
    fn room_for_the_arguments_of_a_long_command_is_given_back() {
        let mut parser = Parser::default();
        let bytes = encode(&vec![b"x".to_vec(); 10_000]);
        assert!(matches!(
            parser.parse(&bytes[..bytes.len() - 1], LIMITS, &mut Vec::new()),
            Parsed::Incomplete(_)
        ));
        assert!(parser.memory_usage() > 100_000);
        assert_eq!(parser.parse(&bytes, LIMITS, &mut Vec::new()), Parsed::Command(bytes.len()));
        assert_eq!(parser.memory_usage(), 0);
    }

    #[test]
    fn whole_commands() {
        let (parsed, arguments) = parse_once(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1");
        assert_eq!(parsed, Parsed::Command(20));
        assert_eq!(arguments, [b"GET".to_vec(), b"k".to_vec()]);
        assert_eq!(parse_once(b"\r\nPING").0, Parsed::Nothing(2));
        assert_eq!(parse_once(b"*0\r\n").0, Parsed::Nothing(4));
        assert_eq!(parse_once(b"*-1\r\nx").0, Parsed::Nothing(5));
    }

    #[test]
    fn errors_in_the_words_of_redis() {
        let sentence = |input: &[u8]| match parse_once(input).0 {
            Parsed::Error(sentence) => sentence,
            other => panic!("{other:?}"),
        };
        assert_eq!(sentence(b"*x\r\n"), "Protocol error: invalid multibulk length");
        assert_eq!(sentence(b"*1\r\nPING\r\n"), "Protocol error: expected '$', got 'P'");
        assert_eq!(sentence(b"*1\r\n$-1\r\n"), "Protocol error: invalid bulk length");
        assert_eq!(sentence(b"get \"a\r\n"), "Protocol error: unbalanced quotes in request");
        assert_eq!(sentence(&vec![b'a'; 70_000]), "Protocol error: too big inline request");
        let mut long = b"*".to_vec();
        long.resize(70_000, b'1');
        assert_eq!(sentence(&long), "Protocol error: too big mbulk count string");
    }

    #[test]
    fn limits_before_authentication() {
        let limits = Limits { unauthenticated: true, ..LIMITS };
        let parse = |input: &[u8]| Parser::default().parse(input, limits, &mut Vec::new());
        assert_eq!(
            parse(b"*11\r\n"),
            Parsed::Error("Protocol error: unauthenticated multibulk length".into())
        );
        assert_eq!(
            parse(b"*1\r\n$16385\r\n"),
            Parsed::Error("Protocol error: unauthenticated bulk length".into())
        );
    }

    #[test]
    fn inline_words() {
        let words = |line: &str| split_words(line.as_bytes());
        assert_eq!(words("a  b").unwrap(), [b"a".to_vec(), b"b".to_vec()]);
        assert_eq!(words(r#""\x41\n" 'it\'s' """#).unwrap(), [b"A\n".to_vec(), b"it's".to_vec(), vec![]]);
        assert_eq!(words(r#""a"b"#), None);
        assert_eq!(words("'a"), None);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_commands(
            commands in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6), 1..6),
            cuts in prop::collection::vec(1usize..12, 1..200),
        ) {
            let stream: Vec<u8> = commands.iter().flat_map(|command| encode(command)).collect();
            let mut parser = Parser::default();
            let (mut start, mut end, mut cut) = (0, 0, 0);
            let mut found: Vec<Vec<Vec<u8>>> = Vec::new();
            while end < stream.len() {
                end = (end + cuts[cut % cuts.len()]).min(stream.len());
                cut += 1;
                loop {
                    let mut arguments = Vec::new();
                    match parser.parse(&stream[start..end], LIMITS, &mut arguments) {
                        Parsed::Command(used) => {
                            start += used;
                            found.push(arguments.iter().map(|argument| argument.to_vec()).collect());
                        }
                        Parsed::Incomplete(_) => { prop_assert!(arguments.is_empty()); break; }
                        other => panic!("{other:?}"),
                    }
                }
            }
            prop_assert_eq!(found, commands);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut parser = Parser::default();
            let mut start = 0;
            for _ in 0..50 {
                match parser.parse(&bytes[start..], LIMITS, &mut Vec::new()) {
                    Parsed::Command(used) | Parsed::Nothing(used) | Parsed::Inline(used, _) => start += used,
                    _ => break,
                }
            }
        }
    }
}
