//! An incremental reader of RESP2 replies that keeps no values: it only tells what each reply was.

/// What one whole reply was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// A status line such as `+OK`.
    Status,
    /// An integer.
    Integer,
    /// A bulk string of that many bytes.
    Bulk(u64),
    /// An array, all its elements included.
    Array(Array),
    /// The nil bulk string or the nil array.
    Nil,
    /// An error with its text.
    Error(String),
}

/// What an array held.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Array {
    /// Elements of the outermost array.
    pub length: u64,
    /// Nils at any depth.
    pub nils: u64,
    /// The text of the first error at any depth.
    pub error: Option<String>,
}

/// Bytes that are no RESP2 reply: the offending header line.
#[derive(PartialEq, Eq, Debug)]
pub struct BadReply(pub String);

/// Reads replies from bytes that arrive in any pieces. Bodies are skipped; only an unfinished header line is copied.
#[derive(Default)]
pub struct ReplyReader {
    line: Vec<u8>,
    body_length: u64,
    body_left: u64,
    array: Array,
    elements_left: u64,
}

impl ReplyReader {
    /// Takes the next bytes and hands every reply that they complete to `on_reply`.
    ///
    /// # Errors
    /// When a header line is none of RESP2; the connection is of no more use then.
    pub fn feed(&mut self, mut bytes: &[u8], mut on_reply: impl FnMut(Reply)) -> Result<(), BadReply> {
        while !bytes.is_empty() {
            if self.body_left > 0 {
                let skipped = self.body_left.min(bytes.len() as u64);
                self.body_left -= skipped;
                bytes = &bytes[skipped as usize..];
                if self.body_left == 0 {
                    self.element(Reply::Bulk(self.body_length), &mut on_reply);
                }
                continue;
            }
            let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
                self.line.extend_from_slice(bytes);
                return Ok(());
            };
            if self.line.is_empty() {
                self.header(&bytes[..end], &mut on_reply)?;
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(&bytes[..end]);
                self.header(&line, &mut on_reply)?;
            }
            bytes = &bytes[end + 1..];
        }
        Ok(())
    }

    fn header(&mut self, line: &[u8], on_reply: &mut impl FnMut(Reply)) -> Result<(), BadReply> {
        let bad = || BadReply(String::from_utf8_lossy(line).into_owned());
        let (kind, rest) = match line {
            [kind, rest @ .., b'\r'] => (kind, rest),
            _ => return Err(bad()),
        };
        match kind {
            b'+' => self.element(Reply::Status, on_reply),
            b'-' => self.element(Reply::Error(String::from_utf8_lossy(rest).into_owned()), on_reply),
            b':' => self.element(Reply::Integer, on_reply),
            b'$' | b'*' if rest == b"-1" => self.element(Reply::Nil, on_reply),
            b'$' => {
                self.body_length = number(rest).ok_or_else(bad)?;
                self.body_left = self.body_length + 2;
            }
            b'*' => self.open_array(number(rest).ok_or_else(bad)?, on_reply),
            _ => return Err(bad()),
        }
        Ok(())
    }

    /// Nested arrays are flattened: their elements are simply more that the outermost one waits for.
    fn open_array(&mut self, length: u64, on_reply: &mut impl FnMut(Reply)) {
        if self.elements_left > 0 {
            self.elements_left += length;
            self.element_done(on_reply);
        } else if length == 0 {
            on_reply(Reply::Array(Array::default()));
        } else {
            self.array.length = length;
            self.elements_left = length;
        }
    }

    fn element(&mut self, reply: Reply, on_reply: &mut impl FnMut(Reply)) {
        if self.elements_left == 0 {
            return on_reply(reply);
        }
        match reply {
            Reply::Nil => self.array.nils += 1,
            Reply::Error(text) => {
                self.array.error.get_or_insert(text);
            }
            _ => {}
        }
        self.element_done(on_reply);
    }

    fn element_done(&mut self, on_reply: &mut impl FnMut(Reply)) {
        self.elements_left -= 1;
        if self.elements_left == 0 {
            on_reply(Reply::Array(std::mem::take(&mut self.array)));
        }
    }
}

/// A plain decimal number that leaves room for what is added to it later.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(length: u64, nils: u64, error: Option<&str>) -> Reply {
        Reply::Array(Array { length, nils, error: error.map(str::to_owned) })
    }

    #[test]
    fn replies_cut_at_every_byte() {
        let bytes = b"+OK\r\n-ERR no\r\n:-7\r\n$3\r\na\r\n\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n\
            *3\r\n$1\r\nx\r\n$-1\r\n*2\r\n:1\r\n-EXEC bad\r\n*1\r\n*0\r\n+PONG\r\n";
        let expected = [
            Reply::Status,
            Reply::Error("ERR no".into()),
            Reply::Integer,
            Reply::Bulk(3),
            Reply::Bulk(0),
            Reply::Nil,
            Reply::Nil,
            array(0, 0, None),
            array(3, 1, Some("EXEC bad")),
            array(1, 0, None),
            Reply::Status,
        ];
        for size in 1..=bytes.len() {
            let (mut reader, mut replies) = (ReplyReader::default(), Vec::new());
            for piece in bytes.chunks(size) {
                reader.feed(piece, |reply| replies.push(reply)).unwrap();
            }
            assert_eq!(replies, expected, "pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_reply() {
        for bytes in ["HTTP/1.1\r\n", "\r\n", "+OK\n", "$x\r\n", "*-2\r\n", "$\r\n"] {
            assert!(ReplyReader::default().feed(bytes.as_bytes(), |_| ()).is_err(), "{bytes:?}");
        }
    }
}
