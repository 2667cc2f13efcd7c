//! A blocking client over one TCP connection: commands, pipelines, and raw bytes both ways.

use super::reply::Reply;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// How long a test waits for a reply before it fails.
const REPLY_LIMIT: Duration = Duration::from_secs(30);

/// One connection to a server.
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    /// How much of `received` was already handed out.
    taken: usize,
}

impl Client {
    /// Connects to a port of this machine; fails the test when that fails.
    #[track_caller]
    pub fn connect(port: u16) -> Self {
        Self::try_connect(port).unwrap_or_else(|error| panic!("connecting to port {port}: {error}"))
    }

    /// Connects to a port of this machine.
    pub fn try_connect(port: u16) -> io::Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_LIMIT))?;
        stream.set_write_timeout(Some(REPLY_LIMIT))?;
        Ok(Self { stream, received: Vec::new(), taken: 0 })
    }

    /// Sends one command and waits for its reply; fails the test when the connection breaks.
    #[track_caller]
    pub fn command<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> Reply {
        self.send(arguments);
        self.receive()
    }

    /// Sends a command given as words between blanks.
    #[track_caller]
    pub fn run(&mut self, line: &str) -> Reply {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        self.command(&words)
    }

    /// Sends one command and does not wait.
    #[track_caller]
    pub fn send<A: AsRef<[u8]>>(&mut self, arguments: &[A]) {
        let mut request = Vec::new();
        encode(arguments, &mut request);
        self.send_raw(&request);
    }

    /// Sends bytes as they are; fails the test when that fails.
    #[track_caller]
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("sending to the server");
    }

    /// Sends bytes as they are.
    pub fn try_send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Waits for the next reply; fails the test when the connection breaks.
    #[track_caller]
    pub fn receive(&mut self) -> Reply {
        match self.try_receive() {
            Ok(reply) => reply,
            Err(error) => panic!("waiting for a reply: {error}"),
        }
    }

    /// Waits for so many replies.
    #[track_caller]
    pub fn receive_many(&mut self, count: usize) -> Vec<Reply> {
        (0..count).map(|_| self.receive()).collect()
    }

    /// Waits for the next reply.
    pub fn try_receive(&mut self) -> io::Result<Reply> {
        // A reply of many megabytes is decoded again only after it has grown by half, or when nothing more is at hand.
        let mut decode_at = 1;
        loop {
            let pending = &self.received[self.taken..];
            if pending.len() >= decode_at || (pending.len() >= 1 << 16 && self.is_drained()) {
                if let Some((reply, length)) = Reply::decode(pending) {
                    self.taken += length;
                    self.forget_taken();
                    return Ok(reply);
                }
                decode_at = if pending.len() < 1 << 16 { pending.len() + 1 } else { self.wanted() };
            }
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Sends bytes and waits for one reply; `None` when the server closes the connection instead.
    pub fn try_receive_after(&mut self, bytes: &[u8]) -> Option<Reply> {
        // A server that refuses a connection answers before it is asked.
        let _ = self.try_send_raw(bytes);
        self.try_receive().ok()
    }

    /// Lets the next reads fail after so long with `WouldBlock`.
    pub fn set_read_limit(&mut self, limit: Duration) {
        self.stream.set_read_timeout(Some(limit)).expect("setting a time limit");
    }

    /// Everything the server sends until it closes the connection.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.fill() {
                Ok(0) => break,
                // A server that closes with input unread resets the connection; what it sent still counts.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
                other => other.map(drop)?,
            }
        }
        let rest = self.received.split_off(self.taken);
        self.received.clear();
        self.taken = 0;
        Ok(rest)
    }

    /// Waits for exactly so many bytes.
    pub fn read_exact(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.received.len() - self.taken < count {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let bytes = self.received[self.taken..self.taken + count].to_vec();
        self.taken += count;
        self.forget_taken();
        Ok(bytes)
    }

    /// Whether the server has closed the connection, judged within the limit of the reads.
    pub fn is_closed(&mut self) -> bool {
        match self.fill() {
            Ok(count) => count == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    /// Ends the sending side; the server sees the end of input.
    pub fn end_input(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("closing the sending side");
    }

    /// A second handle on the connection, for a thread that writes while this one reads.
    pub fn writer(&self) -> TcpStream {
        self.stream.try_clone().expect("cloning a socket")
    }

    fn wanted(&self) -> usize {
        let pending = self.received.len() - self.taken;
        // A lone big bulk string says how long it is; anything else is tried again after some growth.
        match bulk_length(&self.received[self.taken..]) {
            Some(length) => length,
            None => pending + pending / 2,
        }
        .max(pending + 1)
    }

    /// Whether all that has come was read, unless it is a part of a bulk string that is known to be longer.
    fn is_drained(&self) -> bool {
        if bulk_length(&self.received[self.taken..]).is_some() {
            return false;
        }
        self.stream.set_nonblocking(true).expect("a socket");
        let is_drained = self.stream.peek(&mut [0]).is_err();
        self.stream.set_nonblocking(false).expect("a socket");
        is_drained
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 1 << 16];
        let count = loop {
            match self.stream.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.received.extend_from_slice(&chunk[..count]);
        Ok(count)
    }

    fn forget_taken(&mut self) {
        if self.taken == self.received.len() || self.taken > 1 << 20 {
            self.received.drain(..self.taken);
            self.taken = 0;
        }
    }
}

fn bulk_length(bytes: &[u8]) -> Option<usize> {
    let line_end = bytes.iter().take(32).position(|byte| *byte == b'\r')?;
    let header = bytes[..line_end].strip_prefix(b"$")?;
    let length: usize = std::str::from_utf8(header).ok()?.parse().ok()?;
    Some(line_end + 2 + length + 2)
}

/// Appends a command in the protocol's form.
pub fn encode<A: AsRef<[u8]>>(arguments: &[A], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", arguments.len()).as_bytes());
    for argument in arguments {
        let argument = argument.as_ref();
        out.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
}
