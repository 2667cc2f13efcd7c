//! Masters and replicas as processes, each with real Redis on the other side: what the master holds the replica holds, key by
//! key, whatever happens to the link between them.
//!
//! `SKERRY_REPLICATION_ROUNDS` sets how many rounds of random commands there are (12).

#[path = "replica/busy.rs"]
#[allow(dead_code)]
mod busy;
mod common;
#[path = "differential/generator.rs"]
mod generator;
#[path = "differential/grammar.rs"]
mod grammar;
#[path = "effects/load.rs"]
mod load;
#[path = "replication/pair.rs"]
mod pair;
#[path = "effects/sink.rs"]
#[allow(dead_code)]
mod sink;
#[path = "effects/stream.rs"]
#[allow(dead_code)]
mod stream;

use busy::{KEYS, client_of_second_shard};
use common::{Client, Kind, Random, Reply, Server, Start, redis, seed, setting, skerry, wait_until};
use generator::Expiry;
use load::Load;
use pair::{Pair, assert_equal, assert_equal_to, counter, field, follow, wait_for_link};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Longer than the longest time to live of a key that expires during a run.
const EXPIRY_PAUSE: Duration = Duration::from_millis(60);

/// A real replica of a real master, to compare with.
fn reference(master: &Server) -> Option<Server> {
    (master.kind() == Kind::Redis).then(redis).flatten().map(|start| follow(master, start))
}

/// A master under random commands, half of them before its replica comes, with a second replica in the middle.
fn follows_under_load(test: &str, master: Start, replica: Start) {
    let master = master.spawn();
    let seed = seed(test);
    let mut random = Random::new(seed);
    let mut load = Load::new(&master, &mut random, Expiry::Near);
    load.round();
    let first = follow(&master, replica.clone());
    let mut references = vec![reference(&master)];
    let rounds = setting("SKERRY_REPLICATION_ROUNDS", 12);
    let mut second = None;
    for round in 0..rounds {
        if round == rounds / 2 {
            // The load goes on while it synchronizes.
            let port = master.port();
            let replica = replica.clone();
            let coming = std::thread::spawn(move || pair::follow_port(port, replica));
            load.round();
            second = Some(coming.join().expect("the second replica comes"));
            references.push(reference(&master));
        }
        load.round();
        std::thread::sleep(EXPIRY_PAUSE);
        for (replica, reference) in [Some(&first), second.as_ref()].into_iter().flatten().zip(&references) {
            let source = reference.as_ref().unwrap_or(&master);
            assert_equal_to(&master, source, replica, &format!("round {round}, SKERRY_SEED={seed}"));
        }
    }
    // Rounds end the same without any commands: what expires unread is deleted on both.
    let mut client = master.client();
    client.run("FLUSHALL");
    for index in 0..200 {
        client.command(&["SET", &format!("brief:{index}"), "x", "PX", "20"]);
    }
    wait_until("the master has removed what expired", 20_000, || client.run("DBSIZE") == Reply::Integer(0));
    assert_equal(&master, &first, "after expiry");
}

#[test]
fn redis_follows_one_shard() {
    let (Some(skerry), Some(redis)) = (skerry(), redis()) else { return };
    follows_under_load("redis_follows_one_shard", skerry.shards(1), redis);
}

#[test]
fn redis_follows_four_shards() {
    let (Some(skerry), Some(redis)) = (skerry(), redis()) else { return };
    follows_under_load("redis_follows_four_shards", skerry.shards(4), redis);
}

#[test]
fn one_shard_follows_redis() {
    let (Some(skerry), Some(redis)) = (skerry(), redis()) else { return };
    follows_under_load("one_shard_follows_redis", redis, skerry.shards(1));
}

#[test]
fn four_shards_follow_redis() {
    let (Some(skerry), Some(redis)) = (skerry(), redis()) else { return };
    follows_under_load("four_shards_follow_redis", redis, skerry.shards(4));
}

#[test]
fn one_shard_follows_four() {
    let Some(skerry) = skerry() else { return };
    follows_under_load("one_shard_follows_four", skerry.clone().shards(4), skerry.shards(1));
}

#[test]
fn four_shards_follow_one() {
    let Some(skerry) = skerry() else { return };
    follows_under_load("four_shards_follow_one", skerry.clone().shards(1), skerry.shards(4));
}

#[test]
fn four_shards_follow_four() {
    let Some(skerry) = skerry() else { return };
    follows_under_load("four_shards_follow_four", skerry.clone().shards(4), skerry.shards(4));
}

/// The link is cut again and again under load; the replica resumes each time.
fn resumes(test: &str, master: Start, replica: Start) {
    let Pair { master, replica } = Pair::new(master, replica);
    let seed = seed(test);
    let mut load = Load::new(&master, &mut Random::new(seed), Expiry::Far);
    let reference = reference(&master);
    let source = reference.as_ref().unwrap_or(&master);
    let full = counter(&master, "sync_full");
    let mut client = master.client();
    for round in 1..=5 {
        load.round();
        let before = counter(&master, "sync_partial_ok");
        let killed = client.run("CLIENT KILL TYPE replica").integer();
        assert_eq!(killed, 1 + i64::from(reference.is_some()), "round {round}");
        load.round();
        wait_until("the replicas resume", 20_000, || {
            counter(&master, "sync_partial_ok") >= before + killed as u64
        });
        assert_equal_to(&master, source, &replica, &format!("round {round}, SKERRY_SEED={seed}"));
    }
    assert_eq!(counter(&master, "sync_full"), full, "all resyncs were partial");
}

#[test]
fn redis_resumes_at_one_shard() {
    let (Some(skerry), Some(redis)) = (skerry(), redis()) else { return };
    resumes("redis_resumes_at_one_shard", skerry.shards(1), redis);
}

#[test]
fn redis_resumes_at_four_shards() {
    let (Some(skerry), Some(redis)) = (skerry(), redis()) else { return };
    resumes("redis_resumes_at_four_shards", skerry.shards(4), redis);
}

#[test]
fn four_shards_resume_at_redis() {
    let (Some(skerry), Some(redis)) = (skerry(), redis()) else { return };
    let redis = redis.arguments(&["--repl-backlog-size", "64mb"]);
    resumes("four_shards_resume_at_redis", redis, skerry.shards(4));
}

#[test]
fn four_shards_resume_at_four() {
    let Some(skerry) = skerry() else { return };
    resumes("four_shards_resume_at_four", skerry.clone().shards(4), skerry.shards(4));
}

/// What is acknowledged to a WAIT is with the replica, in each of many rounds.
fn waits(master: Start, replica: Start) {
    let Pair { master, replica } = Pair::new(master, replica);
    let (mut client, mut copy) = (master.client(), replica.client());
    for number in 0..200 {
        client.command(&["SET", &format!("key:{number}"), &number.to_string()]);
        client.command(&[
            "MSET",
            "a",
            &number.to_string(),
            "b",
            &number.to_string(),
            "c",
            &number.to_string(),
        ]);
        assert_eq!(client.run("WAIT 1 5000"), Reply::Integer(1));
        for key in [&*format!("key:{number}"), "a", "b", "c"] {
            assert_eq!(copy.command(&["GET", key]).text(), number.to_string());
        }
    }
    assert_eq!(client.run("WAIT 0 10"), Reply::Integer(1));
    let started = Instant::now();
    assert_eq!(client.run("WAIT 2 300"), Reply::Integer(1));
    assert!(started.elapsed() >= Duration::from_millis(290), "{:?}", started.elapsed());
    assert!(client.run("WAIT -1 -1").is_error());
    client.run("MULTI");
    client.run("SET x 1");
    client.run("WAIT 5 0");
    let Reply::Array(replies) = client.run("EXEC") else { panic!("EXEC") };
    assert_eq!(replies.len(), 2);
    // One that waits for ever is ended by another client.
    let id = client.run("CLIENT ID").integer();
    client.send(&["WAIT", "5", "0"]);
    let mut other = master.client();
    wait_until("it waits", 5_000, || other.run(&format!("CLIENT UNBLOCK {id} ERROR")) == Reply::Integer(1));
    assert!(client.receive().text().contains("UNBLOCKED"));
}

#[test]
fn wait_counts_redis_replicas() {
    let (Some(skerry), Some(redis)) = (skerry(), redis()) else { return };
    for shards in [1, 4] {
        waits(skerry.clone().shards(shards), redis.clone());
    }
}

#[test]
fn wait_counts_skerry_replicas() {
    let (Some(skerry), Some(redis)) = (skerry(), redis()) else { return };
    waits(skerry.clone().shards(4), skerry.clone().shards(4));
    waits(redis, skerry.shards(4));
}

/// Speaks the replica's part, without the libraries of either server.
struct BareReplica {
    socket: TcpStream,
    bytes: Vec<u8>,
}

impl BareReplica {
    fn connect(port: u16) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).expect("the master accepts");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        Self { socket, bytes: Vec::new() }
    }

    fn say(&mut self, line: &str) {
        self.socket.write_all(format!("{line}\r\n").as_bytes()).expect("the master listens");
    }

    fn fill(&mut self) {
        let mut chunk = [0; 16384];
        let count = self.socket.read(&mut chunk).expect("the master speaks");
        assert!(count > 0, "the master hung up");
        self.bytes.extend_from_slice(&chunk[..count]);
    }

    /// The next line that is not empty.
    fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.bytes.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                if !line.is_empty() {
                    return line;
                }
                continue;
            }
            self.fill();
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        while self.bytes.len() < count {
            self.fill();
        }
        self.bytes.drain(..count).collect()
    }
}

#[test]
fn the_handshake_is_that_of_redis() {
    let Some(skerry) = skerry() else { return };
    for shards in [1, 4] {
        let master = skerry.clone().shards(shards).spawn();
        let mut replica = BareReplica::connect(master.port());
        replica.say("PING");
        assert_eq!(replica.line(), "+PONG");
        replica.say("REPLCONF listening-port 6380");
        assert_eq!(replica.line(), "+OK");
        replica.say("REPLCONF capa psync2");
        assert_eq!(replica.line(), "+OK");
        replica.say("PSYNC ? -1");
        let line = replica.line();
        let id = field(&mut master.client(), "replication", "master_replid");
        assert_eq!(line, format!("+FULLRESYNC {id} 0"), "a fresh master begins at 0");
        assert_eq!(id.len(), 40);
        let size = replica.line();
        let size: usize = size.strip_prefix('$').expect("a length").parse().expect("a number");
        let snapshot = replica.take(size);
        assert!(snapshot.starts_with(b"REDIS00"), "{:?}", &snapshot[..9]);
        let mut client = master.client();
        assert_eq!(client.run("SET foo 123"), Reply::ok());
        let expected = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$3\r\nfoo\r\n$3\r\n123\r\n";
        assert_eq!(replica.take(expected.len()), expected);
        // The bytes are those of the stream: no CRLF stood behind the snapshot.
        client.send(&["WAIT", "1", "10000"]);
        let request = b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n";
        assert_eq!(replica.take(request.len()), request);
        replica.say(&format!("REPLCONF ACK {}", expected.len()));
        assert_eq!(client.receive(), Reply::Integer(1));
        let line = field(&mut client, "replication", "slave0");
        assert!(line.starts_with("ip=127.0.0.1,port=6380,state=online,offset="), "{line}");
    }
}

/// A replica that stops reading costs neither memory without bound nor its place: it gets everything when it reads again.
#[test]
fn a_replica_that_does_not_read_gets_everything_later() {
    let Some(skerry) = skerry() else { return };
    let arguments = ["--repl-backlog-size", "1mb", "--client-output-buffer-limit", "replica 0 0 0"];
    let master = skerry.shards(2).arguments(&arguments).spawn();
    let mut replica = BareReplica::connect(master.port());
    replica.say("PSYNC ? -1");
    assert!(replica.line().starts_with("+FULLRESYNC"));
    let size = replica.line();
    let size: usize = size[1..].parse().expect("a number");
    replica.take(size);
    let mut client = master.client();
    let value = "v".repeat(10_000);
    let before = counter_of_memory(&mut client);
    for number in 0..8_000 {
        client.command(&["SET", &format!("key:{}", number % 10), &value]);
    }
    let grown = counter_of_memory(&mut client).saturating_sub(before);
    assert!(grown < 16 << 20, "80 MB of stream cost {grown} bytes");
    // All of it comes, in order.
    let mut seen = 0;
    while seen < 8_000 {
        let line = replica.line();
        let words: usize = line.strip_prefix('*').expect("an array").parse().expect("a number");
        let mut command = Vec::new();
        for _ in 0..words {
            let length: usize = replica.line()[1..].parse().expect("a number");
            command.push(replica.take(length));
            replica.take(2);
        }
        if command[0] == b"SET" {
            assert_eq!(command[1], format!("key:{}", seen % 10).as_bytes());
            seen += 1;
        }
    }
    assert!(client.run("PING").text() == "PONG");
}

fn counter_of_memory(client: &mut Client) -> u64 {
    field(client, "memory", "used_memory").parse().expect("a number")
}

/// A chain of three, whose middle goes on when its master is gone, and whose end resumes at the middle.
fn chain(starts: [Start; 3]) {
    let [first, second, third] = starts;
    let master = first.spawn();
    let mut load = Load::new(&master, &mut Random::new(seed("chain")), Expiry::Far);
    load.round();
    let middle = follow(&master, second);
    let end = follow(&middle, third);
    load.round();
    assert_equal(&master, &middle, "the middle");
    assert_equal(&master, &end, "the end");
    let id = field(&mut master.client(), "replication", "master_replid");
    assert_eq!(field(&mut end.client(), "replication", "master_replid"), id, "the chain has one history");
    // The end goes round the middle, straight to the head, without a full resync.
    let partial = counter(&master, "sync_partial_ok");
    assert_eq!(end.client().run(&format!("REPLICAOF 127.0.0.1 {}", master.port())), Reply::ok());
    wait_for_link(&end);
    assert_eq!(counter(&master, "sync_partial_ok"), partial + 1);
    load.round();
    assert_equal(&master, &end, "the end at the head");
    // The head dies; the middle is promoted, and the end resumes there by the second id.
    let mut master = master;
    master.signal(9);
    master.wait_exit(10_000);
    wait_until("the middle has lost its master", 20_000, || {
        field(&mut middle.client(), "replication", "master_link_status") == "down"
    });
    assert_eq!(middle.client().run("REPLICAOF NO ONE"), Reply::ok());
    assert_eq!(field(&mut middle.client(), "replication", "master_replid2"), id);
    let partial = counter(&middle, "sync_partial_ok");
    assert_eq!(end.client().run(&format!("REPLICAOF 127.0.0.1 {}", middle.port())), Reply::ok());
    wait_for_link(&end);
    assert_eq!(counter(&middle, "sync_partial_ok"), partial + 1, "the second id lets it resume");
    let mut load = Load::new(&middle, &mut Random::new(seed("chain, promoted")), Expiry::Far);
    load.round();
    assert_equal(&middle, &end, "the end at the promoted middle");
}

#[test]
fn a_chain_of_skerries() {
    let Some(skerry) = skerry() else { return };
    chain([skerry.clone().shards(4), skerry.clone().shards(4), skerry.shards(1)]);
}

#[test]
fn a_chain_with_redis_at_its_ends() {
    let (Some(skerry), Some(redis)) = (skerry(), redis()) else { return };
    chain([redis.clone().arguments(&["--repl-backlog-size", "64mb"]), skerry.shards(4), redis]);
}

#[test]
fn a_chain_with_redis_in_the_middle() {
    let (Some(skerry), Some(redis)) = (skerry(), redis()) else { return };
    let redis = redis.arguments(&["--repl-backlog-size", "64mb"]);
    chain([skerry.clone().shards(4), redis, skerry.shards(4)]);
}

/// Writes are refused while too few replicas are in touch.
#[test]
fn writes_need_good_replicas() {
    let (Some(skerry), Some(redis)) = (skerry(), redis()) else { return };
    for shards in [1, 4] {
        let arguments = ["--min-replicas-to-write", "1", "--min-replicas-max-lag", "2"];
        let master = skerry.clone().shards(shards).arguments(&arguments).spawn();
        let mut client = master.client();
        let refused = "-NOREPLICAS Not enough good replicas to write.";
        assert_eq!(format!("-{}", client.run("SET a 1").text()), refused);
        assert_eq!(format!("-{}", client.run("MSET a 1 b 2 c 3").text()), refused);
        assert!(client.run("GET a").is_nil());
        let mut replica = follow(&master, redis.clone());
        wait_until("it writes", 20_000, || client.run("SET a 1") == Reply::ok());
        replica.signal(9);
        replica.wait_exit(10_000);
        wait_until("it refuses again", 20_000, || client.run("SET a 1").is_error());
    }
}

fn stays_whole(server: &mut Server) {
    server.assert_serving();
}

/// Replicas that vanish in the middle of everything leave the master as it was.
#[test]
fn replicas_that_vanish_harm_nobody() {
    let Some(skerry) = skerry() else { return };
    let mut master = skerry.shards(2).spawn();
    let mut client = master.client();
    client.run("DEBUG POPULATE 100000 key 100");
    for round in 0..20 {
        let mut replica = BareReplica::connect(master.port());
        replica.say("REPLCONF capa eof capa psync2");
        assert_eq!(replica.line(), "+OK");
        replica.say("PSYNC ? -1");
        if round % 2 == 0 {
            replica.line();
            replica.take(round * 1000);
        }
        drop(replica);
        assert_eq!(client.run("SET x 1"), Reply::ok());
    }
    wait_until("the master has let go of all", 20_000, || {
        field(&mut client, "replication", "connected_slaves") == "0"
    });
    stays_whole(&mut master);
}

/// Writes until the server is a replica; returns the keys that were acknowledged, each with its own name as the value.
fn write_until_refused(port: u16, writer: usize) -> Vec<String> {
    let mut client = Client::connect(port);
    let mut written = Vec::new();
    for number in 0.. {
        let keys = ["a", "b", "c"].map(|part| format!("{part}:{writer}:{number}"));
        let pairs = keys.iter().flat_map(|key| [key.as_str(), key.as_str()]);
        let words: Vec<&str> = std::iter::once("MSET").chain(pairs).collect();
        match client.command(&words) {
            reply if reply == Reply::ok() => written.extend(keys),
            refused => {
                assert!(refused.text().contains("READONLY"), "{refused:?}");
                break;
            }
        }
    }
    written
}

/// FAILOVER under load: the replica takes over, the master follows it without a full resync, and nothing acknowledged is lost.
fn hands_over(master: Start, first: Start, second: Start, commands: &[&str]) {
    let master = master.spawn();
    let first = follow(&master, first);
    let second = follow(&master, second);
    let port = master.port();
    // Over several shards, so that writes are under way everywhere when the pause begins.
    let writers: Vec<_> =
        (0..4).map(|writer| std::thread::spawn(move || write_until_refused(port, writer))).collect();
    std::thread::sleep(Duration::from_millis(300));
    let mut client = master.client();
    for command in commands {
        let command = command.replace("PORT", &first.port().to_string());
        assert_eq!(client.run(&command), Reply::ok(), "{command}");
    }
    wait_until("the master is a replica", 30_000, || {
        field(&mut client, "replication", "role") == "slave"
            && field(&mut client, "replication", "master_link_status") == "up"
    });
    assert_eq!(field(&mut client, "replication", "master_failover_state"), "no-failover");
    let written: Vec<String> =
        writers.into_iter().flat_map(|writer| writer.join().expect("a writer ends")).collect();
    assert!(written.len() > 100, "{}", written.len());
    let new_port: u16 = field(&mut client, "replication", "master_port").parse().expect("a port");
    let (new, other) = if new_port == first.port() { (first, second) } else { (second, first) };
    assert_eq!(counter(&new, "sync_full"), 0, "the old master has resumed");
    let mut new_client = new.client();
    for key in &written {
        assert_eq!(new_client.command(&["GET", key]).text(), *key);
    }
    assert_eq!(other.client().run(&format!("REPLICAOF 127.0.0.1 {new_port}")), Reply::ok());
    wait_for_link(&other);
    let mut load = Load::new(&new, &mut Random::new(seed("hands_over")), Expiry::Far);
    load.round();
    assert_equal(&new, &master, "the old master");
    assert_equal(&new, &other, "the other replica");
}

#[test]
fn a_master_hands_over_to_any_replica() {
    let Some(skerry) = skerry() else { return };
    let skerry = skerry.shards(2);
    hands_over(skerry.clone(), skerry.clone(), skerry, &["FAILOVER TIMEOUT 20000"]);
}

#[test]
fn a_master_hands_over_to_redis_and_redis_to_it() {
    let (Some(skerry), Some(redis)) = (skerry(), redis()) else { return };
    let skerry = skerry.shards(4);
    hands_over(skerry.clone(), redis.clone(), skerry.clone(), &["FAILOVER TO 127.0.0.1 PORT TIMEOUT 20000"]);
    hands_over(redis.clone(), skerry.clone(), redis, &["FAILOVER TO 127.0.0.1 PORT TIMEOUT 20000"]);
}

#[test]
fn failover_refuses_what_redis_refuses() {
    let (Some(skerry), Some(redis)) = (skerry(), redis()) else { return };
    let pairs = [skerry.shards(2), redis].map(|start| {
        let master = start.clone().spawn();
        let replica = follow(&master, start);
        (master, replica)
    });
    let lines = [
        "FAILOVER ABORT",
        "FAILOVER TIMEOUT 0",
        "FAILOVER TIMEOUT x",
        "FAILOVER TO 127.0.0.1",
        "FAILOVER TO 127.0.0.1 1",
        "FAILOVER TO 127.0.0.1 x",
        "FAILOVER TO 127.0.0.1 1 FORCE",
        "FAILOVER FORCE",
        "FAILOVER FORCE TIMEOUT 100",
        "FAILOVER BAD",
    ];
    for line in lines {
        let replies = [&pairs[0].0, &pairs[1].0].map(|server| server.client().run(line));
        assert_eq!(replies[0], replies[1], "{line}");
        let replies = [&pairs[0].1, &pairs[1].1].map(|server| server.client().run(line));
        assert_eq!(replies[0], replies[1], "{line} of a replica");
    }
    for (master, replica) in &pairs {
        let mut client = master.client();
        replica.signal(libc::SIGSTOP);
        client.run("SET a 1");
        assert_eq!(client.run("FAILOVER"), Reply::ok());
        assert!(client.run("FAILOVER").text().contains("already in progress"));
        assert_eq!(field(&mut client, "replication", "master_failover_state"), "waiting-for-sync");
        let mut writer = master.client();
        writer.send(&["SET", "a", "2"]);
        assert_eq!(client.run("FAILOVER ABORT"), Reply::ok());
        assert_eq!(writer.receive(), Reply::ok(), "writes go on");
        replica.signal(libc::SIGCONT);
    }
}

#[test]
fn a_shutdown_waits_until_replicas_have_the_last_write() {
    let Some(start) = skerry() else { return };
    let start = start.shards(2);
    for round in 0..4 {
        let mut master = start.clone().spawn();
        let replica = follow(&master, start.clone());
        let mut client = client_of_second_shard(&master);
        assert_eq!(client.run(&format!("SET {} old", KEYS[1])), Reply::ok());
        assert_eq!(client.run("WAIT 1 5000").integer(), 1);
        // By itself the replica says once a second how far it is: then it has everything.
        std::thread::sleep(Duration::from_millis(1200));
        // The effect of the write is behind the word of the shutdown on its way to the stream.
        let mut bytes = Vec::new();
        common::encode(&["SET", KEYS[1], "new"], &mut bytes);
        common::encode(&["SHUTDOWN", "NOSAVE"], &mut bytes);
        client.send_raw(&bytes);
        assert_eq!(client.receive(), Reply::ok());
        master.wait_exit(20_000);
        let mut other = replica.client();
        wait_until(&format!("the write of round {round} is there"), 2_000, || {
            other.command(&["GET", KEYS[1]]).text() == "new"
        });
    }
}
