//! The reply writer: RESP2 and RESP3 encodings appended straight to a client's output.

use crate::base::number::{format_f64, push_i64};

/// Version of the protocol that a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// The default until `HELLO 3`.
    #[default]
    Resp2,
    /// Maps, sets, doubles, nulls, pushes, verbatim strings.
    Resp3,
}

/// Appends replies to an output buffer in the client's protocol.
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
}

/// Where an aggregate's header goes once its length is known; made by [`Reply::open`].
#[must_use]
pub struct Open {
    at: usize,
}

impl<'a> Reply<'a> {
    /// A writer that appends to `out`.
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// The protocol in which this writer encodes.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether the client speaks RESP3.
    pub fn is_resp3(&self) -> bool {
        self.protocol == Protocol::Resp3
    }

    /// Changes the protocol of what follows.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// Bytes in the output so far; with [`Reply::truncate`] and [`Reply::written_since`] a caller can look back.
    pub fn position(&self) -> usize {
        self.out.len()
    }

    /// Takes back everything after `position`.
    pub fn truncate(&mut self, position: usize) {
        self.out.truncate(position);
    }

    /// What was written after `position`.
    pub fn written_since(&self, position: usize) -> &[u8] {
        &self.out[position..]
    }

    /// `+OK`
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A simple string; line ends inside become blanks.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// An error. `text` starts with its code and lacks the `-`; line ends inside become blanks.
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        self.line(b'-', text.as_ref());
    }

    fn line(&mut self, tag: u8, text: &[u8]) {
        self.out.push(tag);
        self.out.extend(text.iter().map(|&byte| if byte == b'\r' || byte == b'\n' { b' ' } else { byte }));
        self.out.extend_from_slice(b"\r\n");
    }

    fn header(&mut self, tag: u8, value: i64) {
        self.out.push(tag);
        if (0..10).contains(&value) {
            self.out.push(b'0' + value as u8);
        } else {
            push_i64(self.out, value);
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// An integer.
    pub fn int(&mut self, value: i64) {
        self.header(b':', value);
    }

    /// An integer from a length or a count.
    pub fn count(&mut self, value: usize) {
        self.int(value as i64);
    }

    /// A bulk string.
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 24);
        self.header(b'$', bytes.len() as i64);
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// A bulk string that is an integer in decimal.
    pub fn bulk_int(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// The null of RESP3, or RESP2's null bulk string.
    pub fn null(&mut self) {
        self.out.extend_from_slice(if self.is_resp3() { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// The null of RESP3, or RESP2's null array.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(if self.is_resp3() { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// The header of an array of `length` elements, which follow.
    pub fn array(&mut self, length: usize) {
        self.header(b'*', length as i64);
    }

    /// The header of a map of `pairs` pairs; a flat array in RESP2.
    pub fn map(&mut self, pairs: usize) {
        if self.is_resp3() { self.header(b'%', pairs as i64) } else { self.array(pairs * 2) }
    }

    /// The header of a set; an array in RESP2.
    pub fn set(&mut self, length: usize) {
        self.header(if self.is_resp3() { b'~' } else { b'*' }, length as i64);
    }

    /// The header of a push message; an array in RESP2.
    pub fn push(&mut self, length: usize) {
        self.header(if self.is_resp3() { b'>' } else { b'*' }, length as i64);
    }

    /// A double; a bulk string in RESP2.
    pub fn double(&mut self, value: f64) {
        self.double_text(&format_f64(value));
    }

    /// A double that is printed already; a bulk string in RESP2.
    pub fn double_text(&mut self, text: &str) {
        if self.is_resp3() { self.line(b',', text.as_bytes()) } else { self.bulk(text.as_bytes()) }
    }

    /// A boolean; the integers 1 and 0 in RESP2.
    pub fn boolean(&mut self, value: bool) {
        if self.is_resp3() {
            self.out.extend_from_slice(if value { b"#t\r\n" } else { b"#f\r\n" });
        } else {
            self.int(i64::from(value));
        }
    }

    /// A verbatim string with its three-letter format (`txt`, `mkd`); a bulk string in RESP2.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        if self.is_resp3() {
            self.header(b'=', text.len() as i64 + 4);
            self.out.extend_from_slice(format.as_bytes());
            self.out.push(b':');
            self.out.extend_from_slice(text);
            self.out.extend_from_slice(b"\r\n");
        } else {
            self.bulk(text);
        }
    }

    /// Bytes that are an encoded reply already.
    pub fn raw(&mut self, encoded: &[u8]) {
        self.out.extend_from_slice(encoded);
    }

    /// Starts an aggregate whose length is known only afterwards; close it with [`Reply::close_array`] or its kin.
    /// Closing moves what was written since by the header's few bytes.
    pub fn open(&mut self) -> Open {
        Open { at: self.out.len() }
    }

    /// Writes the header of an array of `length` elements where `open` was.
    pub fn close_array(&mut self, open: Open, length: usize) {
        self.close(open, |reply| reply.array(length));
    }

    /// Writes the header of a map of `pairs` pairs where `open` was.
    pub fn close_map(&mut self, open: Open, pairs: usize) {
        self.close(open, |reply| reply.map(pairs));
    }

    /// Writes the header of a set of `length` elements where `open` was.
    pub fn close_set(&mut self, open: Open, length: usize) {
        self.close(open, |reply| reply.set(length));
    }

    fn close(&mut self, open: Open, header: impl FnOnce(&mut Self)) {
        let end = self.out.len();
        header(self);
        let header_bytes = self.out.len() - end;
        self.out[open.at..].rotate_right(header_bytes);
    }

    /// The array of status lines with which `… HELP` answers: a first line naming `container`, then `lines`,
    /// then the two that every container shares.
    pub fn help(&mut self, container: &str, lines: &[&str]) {
        self.array(lines.len() + 3);
        let container = container.to_uppercase();
        self.simple(&format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
        for line in lines {
            self.simple(line);
        }
        self.simple("HELP");
        self.simple("    Print this help.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(protocol: Protocol, write: impl FnOnce(&mut Reply<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut Reply::new(&mut out, protocol));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn both_protocols() {
        let write = |reply: &mut Reply<'_>| {
            reply.map(1);
            reply.bulk(b"k");
            reply.double(1.5);
            reply.null();
            reply.boolean(true);
        };
        assert_eq!(written(Protocol::Resp2, write), "*2\r\n$1\r\nk\r\n$3\r\n1.5\r\n$-1\r\n:1\r\n");
        assert_eq!(written(Protocol::Resp3, write), "%1\r\n$1\r\nk\r\n,1.5\r\n_\r\n#t\r\n");
    }

    #[test]
    fn late_headers() {
        let text = written(Protocol::Resp2, |reply| {
            reply.int(7);
            let open = reply.open();
            reply.int(1);
            reply.int(2);
            reply.close_array(open, 2);
        });
        assert_eq!(text, ":7\r\n*2\r\n:1\r\n:2\r\n");
    }

    #[test]
    fn errors_stay_on_one_line() {
        assert_eq!(written(Protocol::Resp2, |reply| reply.error("ERR a\r\nb")), "-ERR a  b\r\n");
    }
}
