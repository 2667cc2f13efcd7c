//! Tests of the ring over real sockets, each in both modes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use super::{Event, IoMode, Ring, RingOptions, SocketId};

const MODES: [IoMode; 2] = [IoMode::Multishot, IoMode::Plain];
const PATIENCE: Duration = Duration::from_secs(20);

fn small(mode: IoMode) -> RingOptions {
    RingOptions { entries: 16, buffer_count: 8, buffer_bytes: 1024, mode }
}

/// A ring with an echo behind every socket, and what it noticed.
struct Echo {
    ring: Ring,
    /// Bytes per slot that wait for the send before them.
    pending: Vec<Vec<u8>>,
    accepted: Vec<SocketId>,
    ended: Vec<SocketId>,
    broken: Vec<SocketId>,
    rung: usize,
    accept_failures: usize,
    received_bytes: usize,
    echo: bool,
}

impl Echo {
    fn new(options: RingOptions) -> Self {
        Self {
            ring: Ring::new(options).unwrap(),
            pending: Vec::new(),
            accepted: Vec::new(),
            ended: Vec::new(),
            broken: Vec::new(),
            rung: 0,
            accept_failures: 0,
            received_bytes: 0,
            echo: true,
        }
    }

    fn attach(&mut self, fd: OwnedFd) -> SocketId {
        let id = self.ring.attach(fd);
        self.pending.resize(self.pending.len().max(id.index() + 1), Vec::new());
        self.pending[id.index()].clear();
        id
    }

    fn turn(&mut self, timeout: Duration) {
        let mut events = Vec::new();
        self.ring.wait(&mut events, Some(timeout)).unwrap();
        for event in events {
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Accepted { fd, .. } => {
                let id = self.attach(fd);
                self.accepted.push(id);
            }
            Event::AcceptFailed { .. } => self.accept_failures += 1,
            Event::Received { id, buffer } => {
                self.received_bytes += buffer.len();
                if self.echo {
                    self.pending[id.index()].extend_from_slice(self.ring.bytes(&buffer));
                }
                self.ring.recycle(buffer);
                self.flush(id);
            }
            Event::Sent { id, buffer } => {
                assert!(buffer.is_empty());
                self.flush(id);
            }
            Event::Closed { id, error: None } => self.ended.push(id),
            Event::Closed { id, error: Some(_) } => self.broken.push(id),
            Event::Rung => self.rung += 1,
        }
    }

    fn flush(&mut self, id: SocketId) {
        let pending = &mut self.pending[id.index()];
        if !pending.is_empty() && !self.ring.is_sending(id) {
            self.ring.send(id, std::mem::take(pending));
        }
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < PATIENCE, "gave up on: {what}");
            self.turn(Duration::from_millis(50));
        }
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 % 251) as u8).collect()
}

#[test]
fn echoes_over_a_socket_pair_until_the_peer_ends() {
    for mode in MODES {
        let mut echo = Echo::new(small(mode));
        let (mut near, far) = UnixStream::pair().unwrap();
        let id = echo.attach(far.into());
        let sent = pattern(5000);
        near.write_all(&sent).unwrap();
        near.shutdown(std::net::Shutdown::Write).unwrap();
        echo.until("the end", |echo| echo.ended == [id] && !echo.ring.is_sending(id));
        echo.ring.close(id);
        assert!(echo.ring.fd(id).is_none());
        let mut received = Vec::new();
        near.read_to_end(&mut received).unwrap();
        assert_eq!(received, sent, "{mode:?}");
        assert_eq!(echo.ring.statistics().sockets, 0);
    }
}

#[test]
fn accepts_and_echoes_over_tcp() {
    for mode in MODES {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut echo = Echo::new(small(mode));
        echo.ring.listen(listener.into(), 7);
        let clients: Vec<_> = (0..4)
            .map(|_| {
                thread::spawn(move || {
                    let mut stream = TcpStream::connect(address).unwrap();
                    let sent = pattern(200_000);
                    let mut writer = stream.try_clone().unwrap();
                    let copy = sent.clone();
                    let writing = thread::spawn(move || writer.write_all(&copy).unwrap());
                    let mut received = vec![0; sent.len()];
                    stream.read_exact(&mut received).unwrap();
                    writing.join().unwrap();
                    assert!(received == sent);
                })
            })
            .collect();
        echo.until("all clients to end", |echo| echo.ended.len() + echo.broken.len() == 4);
        for client in clients {
            client.join().unwrap();
        }
        for id in echo.accepted.clone() {
            echo.ring.close(id);
        }
        echo.until("slots to be freed", |echo| echo.ring.statistics().sockets == 0);
    }
}

#[test]
fn serves_thousands_of_sockets_with_few_buffers_and_entries() {
    for mode in MODES {
        let mut echo = Echo::new(small(mode));
        let mut near = Vec::new();
        for _ in 0..3000 {
            let (one, other) = UnixStream::pair().unwrap();
            echo.attach(other.into());
            near.push(one);
        }
        for (i, stream) in near.iter_mut().enumerate() {
            stream.write_all(&(i as u32).to_le_bytes()).unwrap();
        }
        echo.until("all bytes", |echo| echo.received_bytes == 3000 * 4);
        echo.turn(Duration::ZERO);
        for (i, stream) in near.iter_mut().enumerate() {
            let mut bytes = [0; 4];
            stream.read_exact(&mut bytes).unwrap();
            assert_eq!(u32::from_le_bytes(bytes), i as u32);
        }
        let statistics = echo.ring.statistics();
        assert_eq!((statistics.sockets, statistics.buffers_available), (3000, 8));
        drop(near);
        echo.until("all ends", |echo| echo.ended.len() == 3000);
    }
}
