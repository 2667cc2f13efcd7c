//! The state machine without sockets: what it orders when replicas come, lag, resume and leave.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use super::*;
use crate::shard::blocked::End;
use crate::shard::replicas::Hello;
use crate::state::replication::ReplicaState;

struct World {
    master: Master,
    registers: Replication,
    config: Config,
    now: UnixMillis,
    _directory: tempfile::TempDir,
}

fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let config = Config::default().with("dir", directory.path().as_os_str().as_encoded_bytes()).unwrap();
    let registers = Replication::new("a".repeat(40));
    World { master: Master::default(), registers, config, now: 1_000_000, _directory: directory }
}

fn hello(connection: u64, id: &str, position: Option<u64>) -> Hello {
    let (socket, _) = std::os::unix::net::UnixStream::pair().unwrap();
    Hello {
        seat: (0, connection),
        address: "127.0.0.1".into(),
        port: 7000 + connection as u16,
        knows_eof: false,
        knows_psync2: true,
        only_snapshot: false,
        is_old: false,
        hands_over: false,
        id: id.into(),
        position,
        socket: Some(OwnedFd::from(socket)),
    }
}

impl World {
    fn with<R>(&mut self, work: impl FnOnce(&mut Master, View<'_>) -> R) -> R {
        let view = View { now: self.now, config: &self.config, registers: &self.registers };
        work(&mut self.master, view)
    }

    fn configure(&mut self, name: &str, value: &str) {
        self.config = self.config.with(name, value).unwrap();
    }

    fn stream(&mut self, bytes: &[u8], reached: &[Reached]) {
        let reached = reached.iter().map(|&reached| (bytes.len(), reached)).collect();
        let merged = Merged { bytes: bytes.to_vec(), reached };
        self.with(|master, view| master.take_stream(view, &merged));
    }

    /// Brings a replica online with a snapshot; returns the position of the cut.
    fn attach(&mut self, connection: u64) {
        self.with(|master, view| master.begin_sync(view, hello(connection, "?", None)));
        let orders = self.master.take_orders();
        let Some(Order::Snapshot(number, mut writer)) = orders.into_iter().next() else {
            panic!("no snapshot")
        };
        self.stream(b"", &[Reached::Cut(number)]);
        let [Order::Transfer(..)] = self.master.take_orders()[..] else { panic!("no transfer") };
        writer.write_all(b"snapshot").unwrap();
        self.with(|master, view| master.snapshot_written(view, number, Ok(())));
        self.with(|master, view| master.transferred(view, (0, connection), Ok(())));
        assert_eq!(self.state(connection), Some(ReplicaState::Online));
    }

    fn state(&self, connection: u64) -> Option<ReplicaState> {
        let port = 7000 + connection as u16;
        self.registers.replicas().iter().find(|replica| replica.port == port).map(|replica| replica.state)
    }

    /// What a replica is fed until there is no more.
    fn fed(&mut self, connection: u64) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            self.with(|master, view| master.feed(view));
            let before = all.len();
            for order in self.master.take_orders() {
                match order {
                    Order::Feed((0, at), bytes) if at == connection => all.extend(bytes),
                    order => panic!("{order:?}"),
                }
            }
            if all.len() == before {
                return all;
            }
            self.master.fed((0, connection));
        }
    }
}

#[test]
fn a_replica_gets_what_follows_the_cut_of_its_snapshot() {
    let mut world = world();
    world.with(|master, view| master.begin_sync(view, hello(1, "?", None)));
    assert_eq!(world.state(1), Some(ReplicaState::SendBulk));
    let Some(Order::Snapshot(number, _)) = world.master.take_orders().pop() else { panic!() };
    let reached = vec![(3, Reached::Cut(number))];
    let merged = Merged { bytes: b"oldnew".to_vec(), reached };
    world.with(|master, view| master.take_stream(view, &merged));
    let orders = world.master.take_orders();
    let [Order::Transfer(seat, transfer)] = &orders[..] else { panic!("{orders:?}") };
    assert_eq!(*seat, (0, 1));
    let id = world.registers.history().id;
    assert_eq!(transfer.greeting, format!("+FULLRESYNC {id} 3\r\n"));
    assert!(world.fed(1).is_empty(), "nothing but the snapshot goes before that has gone");
    world.with(|master, view| master.snapshot_written(view, number, Ok(())));
    world.with(|master, view| master.transferred(view, (0, 1), Ok(())));
    assert_eq!(world.fed(1), b"new");
}

#[test]
fn a_replica_that_comes_during_a_snapshot_shares_it() {
    let mut world = world();
    world.with(|master, view| master.begin_sync(view, hello(1, "?", None)));
    let Some(Order::Snapshot(number, _)) = world.master.take_orders().pop() else { panic!() };
    world.stream(b"old", &[Reached::Cut(number)]);
    world.master.take_orders();
    world.stream(b"new", &[]);
    world.with(|master, view| master.begin_sync(view, hello(2, "?", None)));
    let orders = world.master.take_orders();
    let [Order::Transfer((0, 2), transfer)] = &orders[..] else { panic!("{orders:?}") };
    assert!(transfer.greeting.ends_with(" 3\r\n"));
    assert_eq!(world.registers.full_syncs.load(Ordering::Relaxed), 2);
}

#[test]
fn a_replica_resumes_by_either_id_if_the_backlog_has_what_it_lacks() {
    let mut world = world();
    world.attach(1);
    world.stream(b"0123456789", &[]);
    let id = world.registers.history().id;
    let second = Some(("b".repeat(40), 4));
    world.registers.set_history(History { id: id.clone(), second });
    for (connection, asked, position, resumes) in [
        (2, id.clone(), 7, true),
        (3, id.clone(), 10, true),
        (4, id.clone(), 11, false),
        (5, "b".repeat(40), 4, true),
        (6, "b".repeat(40), 5, false),
        (7, "c".repeat(40), 4, false),
    ] {
        world.master.take_orders();
        world.with(|master, view| master.begin_sync(view, hello(connection, &asked, Some(position))));
        let orders = world.master.take_orders();
        if resumes {
            let Some(Order::Feed(_, line)) = orders.first() else { panic!("{orders:?}") };
            assert_eq!(*line, format!("+CONTINUE {id}\r\n").into_bytes());
            world.master.fed((0, connection));
            world.with(|master, view| master.follower_gone(view, (0, 1)));
            world.attach_nobody_but(connection);
            assert_eq!(world.fed(connection), &b"0123456789"[position as usize..]);
        } else {
            assert!(!matches!(orders.first(), Some(Order::Feed(..))), "{orders:?}");
        }
    }
    assert_eq!(world.registers.partial_syncs.load(Ordering::Relaxed), 3);
    assert_eq!(world.registers.refused_partial_syncs.load(Ordering::Relaxed), 3);
}

impl World {
    fn attach_nobody_but(&mut self, connection: u64) {
        self.master.followers.retain(|follower| follower.hello.seat == (0, connection));
    }
}

#[test]
fn a_replica_that_lags_gets_all_of_it_though_the_backlog_is_small() {
    let mut world = world();
    world.configure("repl-backlog-size", "16kb");
    world.attach(1);
    // Fed once, and never done with it.
    world.stream(b"first", &[]);
    world.with(|master, view| master.feed(view));
    let Some(Order::Feed(_, first)) = world.master.take_orders().pop() else { panic!() };
    assert_eq!(first, b"first");
    let mut all = Vec::new();
    for number in 0..20_000u32 {
        let part = format!("{number:>100}");
        all.extend_from_slice(part.as_bytes());
        world.stream(part.as_bytes(), &[]);
    }
    assert!(world.registers.backlog().length < 1 << 20, "the backlog is bounded");
    world.master.fed((0, 1));
    assert!(world.fed(1) == all);
    assert!(world.master.followers[0].overflow.is_none(), "what was taken is let go");
}

#[test]
fn a_replica_beyond_its_limit_is_cut_off_once_it_had_caught_up() {
    let mut world = world();
    world.configure("client-output-buffer-limit", "replica 1000 0 0");
    world.attach(1);
    world.stream(&[b'x'; 2000], &[]);
    assert!(world.master.take_orders().is_empty(), "it has yet to catch up");
    assert_eq!(world.fed(1).len(), 2000);
    world.stream(&[b'x'; 2000], &[]);
    assert!(matches!(world.master.take_orders()[..], [Order::Disconnect((0, 1))]));
}

#[test]
fn a_wait_ends_with_the_acknowledgements_or_its_time() {
    let mut world = world();
    world.attach(1);
    let ticket = Ticket { connection: 9, sequence: 1 };
    world.master.wait((1, ticket), 1, 2);
    world.stream(b"set", &[Reached::Mark(1, ticket)]);
    world.stream(b"more", &[Reached::Mark(1, ticket)]);
    let position = world.master.position().unwrap();
    let fed = world.fed(1);
    assert!(fed.ends_with(GET_ACK), "{}", String::from_utf8_lossy(&fed));
    world.with(|master, view| master.acknowledge(view, (0, 1), position - 1));
    assert!(world.master.take_orders().is_empty());
    world.with(|master, view| master.acknowledge(view, (0, 1), position));
    let orders = world.master.take_orders();
    let [Order::Reply(1, at, reply)] = &orders[..] else { panic!("{orders:?}") };
    assert_eq!((*at, &reply[..]), (ticket, &b":1\r\n"[..]));
    world.master.wait((1, ticket), 2, 1);
    world.stream(b"", &[Reached::Mark(1, ticket)]);
    world.master.end_wait((1, ticket), End::Timeout);
    let orders = world.master.take_orders();
    let Some(Order::Reply(1, _, reply)) = orders.last() else { panic!("{orders:?}") };
    assert_eq!(reply, b":1\r\n");
}

#[test]
fn the_history_ends_with_the_backlog() {
    let mut world = world();
    world.configure("repl-backlog-ttl", "10");
    world.attach(1);
    let id = world.registers.history().id;
    world.with(|master, view| master.follower_gone(view, (0, 1)));
    world.now += 9_000;
    world.with(|master, view| master.keep_time(view, true));
    assert!(world.master.has_backlog());
    world.now += 2_000;
    world.with(|master, view| master.keep_time(view, true));
    assert!(!world.master.has_backlog());
    assert_ne!(world.registers.history().id, id);
}

#[test]
fn a_snapshot_that_nobody_waits_for_is_abandoned() {
    let mut world = world();
    world.with(|master, view| master.begin_sync(view, hello(1, "?", None)));
    let Some(Order::Snapshot(number, _writer)) = world.master.take_orders().pop() else { panic!() };
    world.with(|master, view| master.follower_gone(view, (0, 1)));
    assert!(matches!(world.master.take_orders()[..], [Order::Abandon(at)] if at == number));
    world.with(|master, view| master.begin_sync(view, hello(2, "?", None)));
    assert!(world.master.take_orders().is_empty(), "it waits for the next one");
    world.with(|master, view| master.snapshot_written(view, number, Err("abandoned".into())));
    assert!(matches!(world.master.take_orders()[..], [Order::Snapshot(next, _)] if next != number));
}

#[test]
fn a_snapshot_of_another_history_goes_to_nobody_else() {
    let mut world = world();
    world.with(|master, view| master.begin_sync(view, hello(1, "?", None)));
    let Some(Order::Snapshot(number, _writer)) = world.master.take_orders().pop() else { panic!() };
    world.stream(&[b'x'; 100], &[Reached::Cut(number)]);
    assert!(matches!(world.master.take_orders()[..], [Order::Transfer(..)]));
    // This server's own master has another history, whose stream soon is at the same position.
    world.with(|master, view| master.restart(view, 50));
    world.with(|master, view| master.append(view, &[b'y'; 200]));
    let orders = world.master.take_orders();
    assert!(
        matches!(orders[..], [Order::Disconnect((0, 1)), Order::Abandon(at)] if at == number),
        "{orders:?}"
    );
    world.with(|master, view| master.begin_sync(view, hello(2, "?", None)));
    world.with(|master, view| master.feed(view));
    assert!(world.master.take_orders().is_empty(), "it waits for the next one");
    world.with(|master, view| master.follower_gone(view, (0, 1)));
    world.with(|master, view| master.snapshot_written(view, number, Err("abandoned".into())));
    assert!(matches!(world.master.take_orders()[..], [Order::Snapshot(next, _)] if next != number));
}
