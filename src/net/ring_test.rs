//! Tests of the ring over real sockets, each in both modes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};

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
            self.turn(Duration::from_millis(5));
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

#[test]
fn a_slow_reader_gets_everything_and_holds_nobody_up() {
    for mode in MODES {
        let mut echo = Echo::new(small(mode));
        let (mut slow, far) = UnixStream::pair().unwrap();
        let slow_id = echo.attach(far.into());
        let (mut quick, far) = UnixStream::pair().unwrap();
        echo.attach(far.into());
        let sent = pattern(3_000_000);
        echo.ring.send(slow_id, sent.clone());
        quick.write_all(b"hello").unwrap();
        echo.until("the quick one's bytes", |echo| echo.received_bytes == 5);
        echo.turn(Duration::ZERO);
        let mut bytes = [0; 5];
        quick.read_exact(&mut bytes).unwrap();
        assert!(echo.ring.is_sending(slow_id), "{mode:?}");
        assert!(echo.ring.statistics().sends_blocked > 0);

        let reading = thread::spawn(move || {
            let mut received = vec![0; sent.len()];
            slow.read_exact(&mut received).unwrap();
            assert!(received == sent);
            slow
        });
        echo.until("the send", |echo| !echo.ring.is_sending(slow_id));
        reading.join().unwrap();
    }
}

#[test]
fn a_whole_pipeline_may_be_written_before_anything_is_read() {
    for mode in MODES {
        let mut echo = Echo::new(small(mode));
        let (mut near, far) = UnixStream::pair().unwrap();
        let id = echo.attach(far.into());
        let sent = pattern(8_000_000);
        let client = thread::spawn(move || {
            near.write_all(&sent).unwrap();
            let mut received = vec![0; sent.len()];
            near.read_exact(&mut received).unwrap();
            assert!(received == sent);
        });
        echo.until("the client to end", |echo| echo.ended == [id]);
        client.join().unwrap();
    }
}

#[test]
fn closing_with_a_send_under_way_frees_the_slot_and_reports_nothing() {
    for mode in MODES {
        let mut echo = Echo::new(small(mode));
        let (near, far) = UnixStream::pair().unwrap();
        let id = echo.attach(far.into());
        echo.ring.send(id, pattern(3_000_000));
        echo.turn(Duration::ZERO);
        assert!(echo.ring.is_sending(id));
        echo.ring.close(id);
        assert!(!echo.ring.is_sending(id));
        // A successor while the old operations are still under way takes another slot.
        let (mut next, far) = UnixStream::pair().unwrap();
        let next_id = echo.attach(far.into());
        assert_ne!(next_id.index(), id.index());
        next.write_all(b"x").unwrap();
        echo.until("the slot", |echo| echo.ring.statistics().sockets == 1 && echo.received_bytes == 1);
        assert!(echo.ended.is_empty() && echo.broken.is_empty(), "{mode:?}");
        // The next one takes the freed slot, and its id differs.
        let (_other, far) = UnixStream::pair().unwrap();
        let other_id = echo.attach(far.into());
        assert_eq!(other_id.index(), id.index());
        assert_ne!(other_id, id);
        // The old id reaches nobody.
        echo.ring.send(id, b"stray".to_vec());
        echo.ring.pause_receive(id);
        echo.ring.close(id);
        assert!(echo.ring.fd(id).is_none() && echo.ring.fd(other_id).is_some());
        drop(near);
    }
}

#[test]
fn closing_before_anything_was_submitted_is_safe() {
    for mode in MODES {
        let mut echo = Echo::new(small(mode));
        for round in 0..200 {
            let (mut near, far) = UnixStream::pair().unwrap();
            near.write_all(b"unread").unwrap();
            let id = echo.attach(far.into());
            if round % 2 == 0 {
                echo.ring.send(id, b"queued".to_vec());
            }
            if round % 3 == 0 {
                echo.turn(Duration::ZERO);
            }
            echo.ring.close(id);
        }
        echo.until("all slots", |echo| echo.ring.statistics().sockets == 0);
        assert_eq!(echo.ring.statistics().buffers_available, 8);
    }
}

#[test]
fn a_broken_connection_is_reported_once() {
    for mode in MODES {
        let mut echo = Echo::new(small(mode));
        echo.echo = false;
        let (near, far) = UnixStream::pair().unwrap();
        let id = echo.attach(far.into());
        echo.ring.send(id, pattern(3_000_000));
        echo.turn(Duration::ZERO);
        drop(near);
        echo.until("the break", |echo| echo.broken == [id]);
        assert!(!echo.ring.is_sending(id));
        echo.ring.send(id, b"more".to_vec());
        for _ in 0..5 {
            echo.turn(Duration::from_millis(1));
        }
        assert_eq!((echo.broken.len(), echo.ended.len() <= 1), (1, true), "{mode:?}");
        echo.ring.close(id);
        echo.until("the slot", |echo| echo.ring.statistics().sockets == 0);
    }
}

#[test]
fn receiving_resumes_when_buffers_come_back_and_does_not_spin_before() {
    for mode in MODES {
        let mut ring = Ring::new(small(mode)).unwrap();
        let mut near = Vec::new();
        for _ in 0..40 {
            let (mut one, other) = UnixStream::pair().unwrap();
            one.write_all(b"0123456789").unwrap();
            ring.attach(other.into());
            near.push(one);
        }
        let mut held = Vec::new();
        let mut total = 0;
        let mut events = Vec::new();
        let mut collect = |ring: &mut Ring, held: &mut Vec<super::Buffer>| {
            ring.wait(&mut events, Some(Duration::from_millis(20))).unwrap();
            for event in events.drain(..) {
                let Event::Received { buffer, .. } = event else { panic!("{event:?}") };
                held.push(buffer);
            }
        };
        while held.len() < 8 {
            collect(&mut ring, &mut held);
        }
        for _ in 0..3 {
            collect(&mut ring, &mut held);
        }
        let before = ring.statistics();
        assert_eq!((held.len(), before.buffers_available), (8, 0));
        for _ in 0..5 {
            collect(&mut ring, &mut held);
        }
        assert_eq!(
            ring.statistics().receive_starved,
            before.receive_starved,
            "{mode:?}: nobody tries in vain"
        );
        let start = Instant::now();
        while total < 40 {
            assert!(start.elapsed() < PATIENCE);
            for buffer in held.drain(..) {
                assert_eq!(ring.bytes(&buffer), b"0123456789");
                total += 1;
                ring.recycle(buffer);
            }
            collect(&mut ring, &mut held);
        }
        assert!(ring.statistics().receive_starved >= 32);
    }
}

#[test]
fn a_paused_socket_receives_nothing_until_it_is_resumed() {
    for mode in MODES {
        let mut echo = Echo::new(small(mode));
        let (mut near, far) = UnixStream::pair().unwrap();
        let id = echo.attach(far.into());
        echo.turn(Duration::ZERO);
        echo.ring.pause_receive(id);
        // Twice, and with a change of mind between.
        echo.ring.resume_receive(id);
        echo.ring.pause_receive(id);
        for _ in 0..3 {
            echo.turn(Duration::from_millis(1));
        }
        near.write_all(&pattern(20_000)).unwrap();
        for _ in 0..3 {
            echo.turn(Duration::from_millis(5));
        }
        assert_eq!(echo.received_bytes, 0, "{mode:?}");
        echo.ring.resume_receive(id);
        echo.until("the bytes", |echo| echo.received_bytes == 20_000);
        // Pausing while bytes stream in loses none.
        let mut writer = near.try_clone().unwrap();
        let writing = thread::spawn(move || writer.write_all(&pattern(2_000_000)).unwrap());
        let draining = thread::spawn(move || {
            let mut received = vec![0; 2_020_000];
            near.read_exact(&mut received).unwrap();
            near
        });
        let mut turn = 0;
        echo.until("all bytes", |echo| {
            turn += 1;
            match turn % 3 {
                0 => echo.ring.pause_receive(id),
                _ => echo.ring.resume_receive(id),
            }
            echo.received_bytes == 2_020_000
        });
        writing.join().unwrap();
        echo.ring.resume_receive(id);
        echo.until("the echo", |_| draining.is_finished());
    }
}

#[test]
fn the_doorbell_wakes_a_waiting_ring_every_time() {
    for mode in MODES {
        let mut echo = Echo::new(small(mode));
        let bell = echo.ring.doorbell();
        for round in 1..=50 {
            let bell = bell.clone();
            let ringing = thread::spawn(move || {
                thread::sleep(Duration::from_millis(1));
                bell.ring();
            });
            let start = Instant::now();
            while echo.rung < round {
                assert!(start.elapsed() < PATIENCE, "{mode:?}");
                echo.turn(PATIENCE);
            }
            ringing.join().unwrap();
        }
        bell.ring();
        bell.ring();
        echo.until("a ring before the wait", |echo| echo.rung > 50);
    }
}

#[test]
fn waiting_ends_with_the_time_and_polling_does_not_wait() {
    for mode in MODES {
        let mut ring = Ring::new(small(mode)).unwrap();
        let mut events = Vec::new();
        let start = Instant::now();
        ring.wait(&mut events, Some(Duration::from_millis(30))).unwrap();
        assert!(start.elapsed() >= Duration::from_millis(30));
        let enters = ring.statistics().enters;
        for _ in 0..100 {
            ring.poll(&mut events).unwrap();
        }
        assert!(start.elapsed() < Duration::from_secs(5));
        assert_eq!(ring.statistics().enters, enters, "{mode:?}: nothing to do takes no system call");
        assert!(events.is_empty());
    }
}

#[test]
fn one_system_call_sends_and_waits_for_the_next_request() {
    for mode in MODES {
        let mut echo = Echo::new(small(mode));
        let (mut near, far) = UnixStream::pair().unwrap();
        echo.attach(far.into());
        echo.turn(Duration::ZERO);
        let client = thread::spawn(move || {
            let mut bytes = [0; 4];
            for _ in 0..500 {
                near.write_all(b"ping").unwrap();
                near.read_exact(&mut bytes).unwrap();
            }
        });
        let before = echo.ring.statistics().enters;
        echo.until("the requests", |echo| echo.ended.len() == 1);
        client.join().unwrap();
        let enters = echo.ring.statistics().enters - before;
        assert!(enters <= 520, "{mode:?}: {enters} system calls for 500 requests");
    }
}

#[test]
fn a_listener_that_cannot_accept_pauses_and_goes_on() {
    for mode in MODES {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut echo = Echo::new(small(mode));
        // Not listening: every accept fails with EINVAL, as it would with EMFILE when descriptors run out.
        let deaf = UnixStream::pair().unwrap().0;
        echo.ring.listen(deaf.into(), 1);
        echo.ring.listen(listener.into(), 2);
        let start = Instant::now();
        echo.until("failures", |echo| echo.accept_failures >= 3);
        assert!(start.elapsed() >= Duration::from_millis(200), "{mode:?}");
        let _client = TcpStream::connect(address).unwrap();
        echo.until("the other listener", |echo| echo.accepted.len() == 1);
        echo.ring.stop_listening(1);
        echo.ring.stop_listening(2);
        for _ in 0..5 {
            echo.turn(Duration::from_millis(2));
        }
        let failures = echo.accept_failures;
        assert!(TcpStream::connect(address).is_err(), "{mode:?}: nobody listens any more");
        thread::sleep(Duration::from_millis(150));
        echo.turn(Duration::from_millis(20));
        assert_eq!((echo.accepted.len(), echo.accept_failures), (1, failures));
    }
}

#[test]
fn a_dropped_ring_lets_go_of_everything() {
    for mode in MODES {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut echo = Echo::new(small(mode));
        echo.ring.listen(listener.into(), 0);
        let (mut near, far) = UnixStream::pair().unwrap();
        let id = echo.attach(far.into());
        echo.ring.send(id, pattern(3_000_000));
        echo.turn(Duration::ZERO);
        let start = Instant::now();
        drop(echo);
        assert!(start.elapsed() < Duration::from_millis(900), "{mode:?}: waited for the kernel in vain");
        let mut rest = Vec::new();
        near.read_to_end(&mut rest).unwrap();
        assert!(rest.len() < 3_000_000);
        assert!(TcpListener::bind(address).is_ok());
    }
}

#[test]
fn completions_beyond_the_queue_are_not_lost() {
    for mode in MODES {
        let options = RingOptions { entries: 4, buffer_count: 512, buffer_bytes: 64, mode };
        let mut echo = Echo::new(options);
        let mut near = Vec::new();
        for _ in 0..300 {
            let (mut one, other) = UnixStream::pair().unwrap();
            one.write_all(b"abc").unwrap();
            let id = echo.attach(other.into());
            echo.ring.send(id, b"first".to_vec());
            near.push(one);
        }
        echo.until("all bytes", |echo| echo.received_bytes == 900);
        echo.until("the sends", |echo| echo.pending.iter().all(Vec::is_empty));
        echo.turn(Duration::ZERO);
        for stream in &mut near {
            let mut bytes = [0; 8];
            stream.read_exact(&mut bytes).unwrap();
            assert_eq!(&bytes, b"firstabc");
        }
    }
}

#[test]
fn the_rings_descriptor_is_readable_when_there_is_something_to_reap() {
    for mode in MODES {
        let mut echo = Echo::new(small(mode));
        let (mut near, far) = UnixStream::pair().unwrap();
        echo.attach(far.into());
        echo.turn(Duration::ZERO);
        assert!(!readable(echo.ring.raw_fd(), 0), "{mode:?}");
        let writing = thread::spawn(move || {
            thread::sleep(Duration::from_millis(5));
            near.write_all(b"x").unwrap();
            near
        });
        assert!(readable(echo.ring.raw_fd(), 10_000), "{mode:?}");
        assert!(echo.ring.has_completions());
        let mut events = Vec::new();
        echo.ring.poll(&mut events).unwrap();
        assert!(matches!(events[..], [Event::Received { .. }]), "{events:?}");
        writing.join().unwrap();
    }
}

fn readable(fd: i32, timeout_ms: i32) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: the pointer is to one entry, alive for the call.
    unsafe { libc::poll(&raw mut poll, 1, timeout_ms) == 1 }
}

/// Random attaching, writing, pausing, closing: every peer gets its own bytes back in order, or the beginning of them
/// if it was closed, and in the end every slot and every buffer is free.
#[test]
fn random_lives_of_sockets_leave_nothing_behind() {
    for mode in MODES {
        let seed: u64 = rand::random();
        println!("seed {seed} {mode:?}");
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        let mut echo = Echo::new(small(mode));
        let mut peers: Vec<Peer> = Vec::new();
        for _ in 0..6000 {
            let pick = if peers.is_empty() { 0 } else { random.random_range(0..peers.len()) };
            match random.random_range(0..10) {
                0 if peers.len() < 50 => {
                    let (near, far) = UnixStream::pair().unwrap();
                    near.set_nonblocking(true).unwrap();
                    let id = echo.attach(far.into());
                    peers.push(Peer { near, id, written: Vec::new(), read: Vec::new() });
                }
                1..=4 if !peers.is_empty() => peers[pick].write(random.random_range(1..5000)),
                5 if !peers.is_empty() => echo.ring.pause_receive(peers[pick].id),
                6 if !peers.is_empty() => echo.ring.resume_receive(peers[pick].id),
                7 if !peers.is_empty() => peers[pick].read(),
                8 if !peers.is_empty() && random.random_range(0..4) == 0 => {
                    let mut peer = peers.swap_remove(pick);
                    echo.ring.close(peer.id);
                    peer.read();
                    assert!(peer.written.starts_with(&peer.read));
                }
                _ => echo.turn(Duration::ZERO),
            }
        }
        for peer in &peers {
            echo.ring.resume_receive(peer.id);
        }
        echo.until("all bytes to come back", |_| {
            peers.iter_mut().for_each(Peer::read);
            peers.iter().all(|peer| peer.read.len() == peer.written.len())
        });
        for peer in &peers {
            assert!(peer.read == peer.written);
            echo.ring.close(peer.id);
        }
        echo.until("all slots", |echo| echo.ring.statistics().sockets == 0);
        assert_eq!(echo.ring.statistics().buffers_available, 8);
        assert!(echo.broken.is_empty() && echo.ended.is_empty());
    }
}

struct Peer {
    near: UnixStream,
    id: SocketId,
    written: Vec<u8>,
    read: Vec<u8>,
}

impl Peer {
    fn write(&mut self, length: usize) {
        let start = self.written.len();
        let bytes: Vec<u8> =
            (start..start + length).map(|i| (i * 31 % 251 + self.id.index()) as u8).collect();
        if let Ok(count) = self.near.write(&bytes) {
            self.written.extend_from_slice(&bytes[..count]);
        }
    }

    fn read(&mut self) {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = self.near.read(&mut bytes) {
            self.read.extend_from_slice(&bytes[..count]);
        }
    }
}
