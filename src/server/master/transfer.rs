//! The way of a snapshot to one replica: a thread that reads the spool and writes the socket, so that a slow replica makes
//! nobody else wait.

use std::io::{self, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::spool::Spool;

/// Bytes written at once.
const CHUNK_BYTES: usize = 256 << 10;
/// How often a replica hears that the master lives while the size of its snapshot is not known.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// How a snapshot is framed.
#[derive(Debug)]
pub(super) enum Framing {
    /// By its length, as soon as that is known.
    Length,
    /// By 40 bytes that follow it, announced before.
    Mark(String),
}

/// What one replica is sent.
#[derive(Debug)]
pub(in crate::server) struct Transfer {
    /// Its socket.
    pub(super) socket: OwnedFd,
    /// Where the snapshot comes from.
    pub(super) spool: Arc<Spool>,
    /// What comes before: `+FULLRESYNC` or nothing.
    pub(super) greeting: String,
    /// How the snapshot is framed.
    pub(super) framing: Framing,
    /// How long the replica may take nothing.
    pub(super) timeout: Duration,
}

impl Transfer {
    /// Sends all of it. Returns when the kernel has the last byte.
    pub fn run(self) -> io::Result<()> {
        let mut socket = TcpStream::from(self.socket);
        socket.set_write_timeout(Some(self.timeout))?;
        socket.write_all(self.greeting.as_bytes())?;
        match &self.framing {
            Framing::Mark(mark) => socket.write_all(format!("$EOF:{mark}\r\n").as_bytes())?,
            Framing::Length => {
                let bytes = loop {
                    match self.spool.wait_for_size(SIGN_OF_LIFE)? {
                        Some(bytes) => break bytes,
                        None => socket.write_all(b"\n")?,
                    }
                };
                socket.write_all(format!("${bytes}\r\n").as_bytes())?;
            }
        }
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut position = 0;
        loop {
            let count = self.spool.read(position, &mut buffer)?;
            if count == 0 {
                break;
            }
            socket.write_all(&buffer[..count])?;
            position += count as u64;
        }
        if let Framing::Mark(mark) = &self.framing {
            socket.write_all(mark.as_bytes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::super::spool::SpoolWriter;
    use super::*;

    fn received(framing: Framing, end: Result<(), String>) -> (Vec<u8>, io::Result<()>) {
        let directory = tempfile::tempdir().unwrap();
        let spool = Arc::new(Spool::new(directory.path()).unwrap());
        SpoolWriter { spool: Arc::clone(&spool) }.write_all(b"snapshot").unwrap();
        spool.end(end);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = listener.accept().unwrap().0.into();
        let transfer = Transfer {
            socket,
            spool,
            greeting: "+FULL\r\n".into(),
            framing,
            timeout: Duration::from_secs(9),
        };
        let sent = std::thread::spawn(move || transfer.run());
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).unwrap();
        (bytes, sent.join().unwrap())
    }

    #[test]
    fn a_snapshot_is_framed_by_its_length_or_by_a_mark() {
        let (bytes, sent) = received(Framing::Length, Ok(()));
        assert!(sent.is_ok());
        assert_eq!(bytes, b"+FULL\r\n$8\r\nsnapshot");
        let mark = "m".repeat(40);
        let (bytes, sent) = received(Framing::Mark(mark.clone()), Ok(()));
        assert!(sent.is_ok());
        assert_eq!(bytes, format!("+FULL\r\n$EOF:{mark}\r\nsnapshot{mark}").as_bytes());
    }

    #[test]
    fn a_snapshot_that_failed_does_not_look_whole() {
        let (bytes, sent) = received(Framing::Length, Err("full".into()));
        assert!(sent.is_err());
        assert_eq!(bytes, b"+FULL\r\n");
    }
}
