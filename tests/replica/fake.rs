//! A master played with a bare socket, which looks at every byte that the replica sends.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use super::common::encode;

/// An empty snapshot: the format's name and version, the mark of the end, no checksum.
pub const EMPTY_SNAPSHOT: &[u8] = b"REDIS0010\xff\0\0\0\0\0\0\0\0";
/// The name of the history.
pub const ID: &str = "1234567890123456789012345678901234567890";

/// Where replicas connect to.
pub struct FakeMaster {
    listener: TcpListener,
}

/// One link.
pub struct FakeLink {
    stream: TcpStream,
}

impl FakeMaster {
    pub fn new() -> Self {
        Self { listener: TcpListener::bind(("127.0.0.1", 0)).expect("a port to play the master on") }
    }

    pub fn port(&self) -> u16 {
        self.listener.local_addr().expect("the port").port()
    }

    /// Waits for a replica to connect.
    pub fn accept(&self) -> FakeLink {
        let (stream, _) = self.listener.accept().expect("the replica connects");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
        FakeLink { stream }
    }

    /// Waits for a replica that listens on `port`, and talks with it up to PSYNC, whose arguments are given.
    pub fn accept_handshake(&self, port: u16, psync: [&str; 2]) -> FakeLink {
        let mut link = self.accept();
        link.expect(&["PING"]);
        link.send(b"+PONG\r\n");
        link.expect(&["REPLCONF", "listening-port", &port.to_string()]);
        link.send(b"+OK\r\n");
        link.expect(&["REPLCONF", "capa", "eof", "capa", "psync2"]);
        link.send(b"+OK\r\n");
        link.expect(&["PSYNC", psync[0], psync[1]]);
        link
    }

    /// Waits for a replica, whatever it says of itself, and gives it an empty dataset at offset 0.
    pub fn accept_with_any_history(&self) -> FakeLink {
        let mut link = self.accept();
        for answer in ["+PONG\r\n", "+OK\r\n", "+OK\r\n"] {
            link.pass_command();
            link.send(answer.as_bytes());
        }
        link.pass_command();
        link.send(format!("+FULLRESYNC {ID} 0\r\n${}\r\n", EMPTY_SNAPSHOT.len()).as_bytes());
        link.send(EMPTY_SNAPSHOT);
        link
    }

    /// Waits for a replica that listens on `port` and knows nothing, and gives it an empty dataset at this offset.
    pub fn accept_anew(&self, port: u16, offset: u64) -> FakeLink {
        let mut link = self.accept_handshake(port, ["?", "-1"]);
        link.send(format!("+FULLRESYNC {ID} {offset}\r\n${}\r\n", EMPTY_SNAPSHOT.len()).as_bytes());
        link.send(EMPTY_SNAPSHOT);
        link
    }
}

/// A command as it stands in the stream.
pub fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(words, &mut bytes);
    bytes
}

impl FakeLink {
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("sending to the replica");
    }

    /// Sends commands of the stream; returns their bytes.
    pub fn stream(&mut self, lines: &[&str]) -> u64 {
        let mut bytes = Vec::new();
        for line in lines {
            bytes.extend(command(&line.split(' ').collect::<Vec<_>>()));
        }
        self.send(&bytes);
        bytes.len() as u64
    }

    /// Waits for a line.
    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = String::new();
        while !line.ends_with("\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).expect("the replica sends something");
            // While a snapshot takes long, an empty line says that somebody listens.
            if !line.is_empty() || byte != *b"\n" {
                line.push(byte[0].into());
            }
        }
        line.trim_end().to_owned()
    }

    /// Waits for a command, whichever it is.
    fn pass_command(&mut self) {
        let words: usize = self.line()[1..].parse().expect("a number of words");
        (0..2 * words).for_each(|_| drop(self.line()));
    }

    /// Waits for this command and nothing else.
    #[track_caller]
    pub fn expect(&mut self, words: &[&str]) {
        let expected = command(words);
        let mut received = vec![0; expected.len()];
        self.stream.read_exact(&mut received).expect("the replica sends something");
        assert_eq!(received.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    /// Waits for an acknowledgement of this offset; those of less may come before.
    #[track_caller]
    pub fn expect_acknowledgement(&mut self, offset: u64) {
        loop {
            let acknowledged = self.acknowledgement();
            assert!(acknowledged <= offset, "{acknowledged} is more than {offset}");
            if acknowledged == offset {
                return;
            }
        }
    }

    /// Waits for the next acknowledgement.
    #[track_caller]
    pub fn acknowledgement(&mut self) -> u64 {
        let words: Vec<String> = (0..7).map(|_| self.line()).collect();
        assert_eq!(words[..6], ["*3", "$8", "REPLCONF", "$3", "ACK", &format!("${}", words[6].len())]);
        words[6].parse().expect("an offset")
    }

    /// Whether the replica sends nothing for so long.
    pub fn is_silent(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).expect("a time limit");
        let is_silent = self.stream.peek(&mut [0]).is_err();
        self.stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
        is_silent
    }

    /// Whether the replica closes the link.
    pub fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).is_ok()
    }

    /// Cuts the link.
    pub fn cut(self) {
        self.stream.shutdown(Shutdown::Both).expect("cutting the link");
    }
}
