//! Following a master: one that is played with a bare socket, so that every byte counts, and real Redis under load.

#[path = "replica/busy.rs"]
mod busy;
mod common;
#[path = "replica/fake.rs"]
mod fake;
#[path = "differential/generator.rs"]
#[allow(dead_code)]
mod generator;
#[path = "differential/grammar.rs"]
mod grammar;
#[path = "effects/load.rs"]
mod load;
#[path = "replication/pair.rs"]
#[allow(dead_code)]
mod pair;
#[path = "effects/sink.rs"]
#[allow(dead_code)]
mod sink;
#[path = "effects/stream.rs"]
#[allow(dead_code)]
mod stream;

use busy::{KEYS, client_of_second_shard, while_busy};
use common::{Client, Random, Reply, Server, Start, encode, redis, seed, setting, skerry, wait_until};
use fake::{EMPTY_SNAPSHOT, FakeMaster, ID};
use generator::Expiry;
use load::Load;
use pair::{assert_equal, counter, follow, wait_for_link};
use std::time::Duration;

const READ_ONLY: &str = "READONLY You can't write against a read only replica.";

/// Starts a replica of the server at `port`.
fn replica_of(start: Start, shards: usize, port: u16) -> Server {
    start.shards(shards).arguments(&["--replicaof", &format!("127.0.0.1 {port}")]).spawn()
}

/// A field of a section of INFO.
fn info(client: &mut Client, section: &str, field: &str) -> String {
    let text = client.run(&format!("INFO {section}")).text();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{field} is in {text}")).trim().to_owned()
}

fn number(client: &mut Client, section: &str, field: &str) -> u64 {
    info(client, section, field).parse().expect("a number")
}

/// Runs a test with one shard and with four.
fn on_shards(test: impl Fn(Start, usize)) {
    for shards in [1, 4] {
        let Some(start) = skerry() else { return };
        println!("{shards} shards");
        test(start, shards);
    }
}

#[test]
fn the_handshake_is_redis_s() {
    let Some(start) = skerry() else { return };
    let master = FakeMaster::new();
    let to = format!("127.0.0.1 {}", master.port());
    let replica = start
        .arguments(&["--replicaof", &to, "--masteruser", "me", "--masterauth", "secret"])
        .arguments(&["--replica-announce-ip", "10.1.2.3", "--replica-announce-port", "7777"])
        .spawn();
    let mut link = master.accept();
    let steps: [(&[&str], &str); 5] = [
        (&["PING"], "-NOAUTH Authentication required.\r\n"),
        (&["AUTH", "me", "secret"], "+OK\r\n"),
        (&["REPLCONF", "listening-port", "7777"], "+OK\r\n"),
        (&["REPLCONF", "ip-address", "10.1.2.3"], "-ERR what is that\r\n"),
        (&["REPLCONF", "capa", "eof", "capa", "psync2"], "+OK\r\n"),
    ];
    for (words, answer) in steps {
        link.expect(words);
        assert!(link.is_silent(Duration::from_millis(50)), "nothing is sent before {words:?} is answered");
        link.send(answer.as_bytes());
    }
    link.expect(&["PSYNC", "?", "-1"]);
    let mut client = replica.client();
    assert_eq!(info(&mut client, "replication", "master_link_status"), "down");
    let role = client.run("ROLE");
    assert_eq!(role.items()[3].text(), "handshake");
    // A master that is not ready yet says so with empty lines.
    link.send(b"\n\n");
    link.send(format!("+FULLRESYNC {ID} 1000\r\n\n\n").as_bytes());
    wait_until("the replica waits for the snapshot", 20_000, || {
        client.run("ROLE").items()[3].text() == "sync"
    });
    link.send(format!("\n${}\r\n", EMPTY_SNAPSHOT.len()).as_bytes());
    link.send(EMPTY_SNAPSHOT);
    wait_for_link(&replica);
    assert_eq!(info(&mut client, "replication", "master_replid"), ID);
    assert_eq!(number(&mut client, "replication", "master_repl_offset"), 1000);
    assert_eq!(client.run("ROLE").items()[3].text(), "connected");
    link.expect_acknowledgement(1000);
}

#[test]
fn a_master_that_is_not_ready_is_asked_again() {
    let Some(start) = skerry() else { return };
    let master = FakeMaster::new();
    let replica = replica_of(start, 1, master.port());
    let port = replica.port();
    for answer in ["-LOADING wait\r\n", "-NOMASTERLINK wait\r\n", "-ERR no\r\n", "+FULLRESYNC nonsense\r\n"] {
        master.accept_handshake(port, ["?", "-1"]).send(answer.as_bytes());
    }
    let mut link = master.accept();
    link.expect(&["PING"]);
    link.send(b"-ERR something\r\n");
    assert!(link.is_closed());
    let mut link = master.accept_handshake(port, ["?", "-1"]);
    link.send(format!("+FULLRESYNC {ID} 1\r\n-ERR no snapshot today\r\n").as_bytes());
    assert!(link.is_closed());
    master.accept_handshake(port, ["?", "-1"]).cut();
    let mut link = master.accept_anew(port, 5);
    link.expect_acknowledgement(5);
    let log = replica.log();
    assert!(log.contains("MASTER aborted replication with an error: ERR no snapshot today"), "{log}");
}

#[test]
fn every_byte_of_the_stream_counts() {
    on_shards(|start, shards| {
        let master = FakeMaster::new();
        let replica = replica_of(start, shards, master.port());
        let mut link = master.accept_anew(replica.port(), 7);
        let mut client = replica.client();
        let mut offset = 7;
        offset += link.stream(&["PING", "SELECT 2", "SET a 1", "MSET b 2 c 3 d 4 e 5", "INCR a"]);
        let asking = link.stream(&["REPLCONF GETACK *"]);
        link.expect_acknowledgement(offset);
        assert_eq!(client.run("SELECT 2"), Reply::ok());
        assert_eq!(client.run("MGET a b e").items().len(), 3);
        assert_eq!(client.run("GET a").text(), "2");
        offset += asking;
        // By itself, a second later at most.
        link.expect_acknowledgement(offset);
        // Nothing counts before the end of its transaction.
        let open = link.stream(&["MULTI", "SET a 10", "SET b 20", "SADD s x"]);
        assert_eq!(link.acknowledgement(), offset);
        assert_eq!(client.run("GET a").text(), "2");
        offset += open + link.stream(&["EXEC"]);
        link.expect_acknowledgement(offset);
        assert_eq!(client.run("GET a").text(), "10");
        // Half a command is no command.
        link.send(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n");
        assert_eq!(link.acknowledgement(), offset);
        link.send(b"11\r\n");
        offset += fake::command(&["SET", "a", "11"]).len() as u64;
        link.expect_acknowledgement(offset);
        assert_eq!(client.run("GET a").text(), "11");
        assert_eq!(number(&mut client, "replication", "slave_repl_offset"), offset);
        assert_eq!(number(&mut client, "replication", "slave_read_repl_offset"), offset);
        assert_eq!(number(&mut client, "replication", "master_repl_offset"), offset);
    });
}

#[test]
fn an_acknowledgement_waits_for_all_that_came_before() {
    let Some(start) = skerry() else { return };
    let master = FakeMaster::new();
    let replica = replica_of(start, 4, master.port());
    let mut link = master.accept_anew(replica.port(), 0);
    let mut client = replica.client();
    let mut offset = 0;
    for round in 0..200 {
        let lines: Vec<String> = (0..50).map(|index| format!("SET key:{index} {round}")).collect();
        let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        lines.extend(["MSET x 1 y 2 z 3", "MULTI", "INCR sum", "INCR {a}sum", "EXEC"]);
        offset += link.stream(&lines);
        let asking = link.stream(&["REPLCONF GETACK *"]);
        link.expect_acknowledgement(offset);
        offset += asking;
        for index in 0..50 {
            assert_eq!(client.run(&format!("GET key:{index}")).text(), round.to_string());
        }
        assert_eq!(client.run("GET sum").text(), (round + 1).to_string());
    }
}

#[test]
fn a_broken_link_goes_on_where_it_broke() {
    on_shards(|start, shards| {
        let master = FakeMaster::new();
        let replica = replica_of(start, shards, master.port());
        let port = replica.port();
        let mut link = master.accept_anew(port, 100);
        let mut client = replica.client();
        let mut offset = 100 + link.stream(&["SELECT 3", "INCR a", "INCR b", "INCR c"]);
        // What is open when it breaks is sent again.
        link.stream(&["MULTI", "INCR a"]);
        link.send(b"*2\r\n$4\r\nIN");
        link.expect_acknowledgement(offset);
        link.cut();
        let mut link = master.accept_handshake(port, [ID, &(offset + 1).to_string()]);
        link.send(b"+CONTINUE\r\n");
        offset += link.stream(&["MULTI", "INCR a", "INCR b", "EXEC", "INCR c"]);
        link.expect_acknowledgement(offset);
        client.run("SELECT 3");
        for key in ["a", "b", "c"] {
            assert_eq!(client.run(&format!("GET {key}")).text(), "2");
        }
        // The history has another name now.
        link.cut();
        let mut link = master.accept_handshake(port, [ID, &(offset + 1).to_string()]);
        let other = ID.replace('1', "f");
        link.send(format!("+CONTINUE {other}\r\n").as_bytes());
        let before = offset;
        offset += link.stream(&["INCR a"]);
        link.expect_acknowledgement(offset);
        assert_eq!(info(&mut client, "replication", "master_replid"), other);
        assert_eq!(info(&mut client, "replication", "master_replid2"), ID);
        assert_eq!(number(&mut client, "replication", "second_repl_offset"), before + 1);
        link.cut();
        master.accept_handshake(port, [&other, &(offset + 1).to_string()]);
    });
}

#[test]
fn garbage_is_no_history_to_go_on_with() {
    let Some(start) = skerry() else { return };
    let master = FakeMaster::new();
    let mut replica = replica_of(start, 4, master.port());
    let port = replica.port();
    for garbage in [&b"*1\r\n$-5\r\n"[..], b"*3000000000\r\n", b"SET a 1\r\n", b"*1\r\n+PING\r\n"] {
        let mut link = master.accept_anew(port, 0);
        let offset = link.stream(&["SET a 1", "MSET b 1 c 1 d 1"]);
        link.expect_acknowledgement(offset);
        link.send(garbage);
        assert!(link.is_closed(), "{}", garbage.escape_ascii());
    }
    replica.assert_serving();
    // No snapshot, a wrong one, and one that ends too early.
    for snapshot in [&b"HTTP/1.1 200 OK\r\n"[..], b"$-1\r\n", b"$nonsense\r\n"] {
        let mut link = master.accept_handshake(port, ["?", "-1"]);
        link.send(format!("+FULLRESYNC {ID} 1\r\n").as_bytes());
        link.send(snapshot);
        assert!(link.is_closed(), "{}", snapshot.escape_ascii());
    }
    replica.assert_serving();
    assert_eq!(replica.client().run("GET a").text(), "1", "the old data is still there");
}

#[test]
fn a_command_of_the_master_that_fails_is_no_secret() {
    on_shards(|start, shards| {
        let master = FakeMaster::new();
        let replica = replica_of(start, shards, master.port());
        let mut link = master.accept_anew(replica.port(), 0);
        let mut client = replica.client();
        let offset = link.stream(&[
            "SET a x",
            "INCR a",
            "NONSENSE",
            "SELECT 99",
            "MULTI",
            "LPUSH a 1",
            "EXEC",
            "SET a y",
        ]);
        link.expect_acknowledgement(offset);
        assert_eq!(client.run("GET a").text(), "y");
        let log = replica.log();
        for (error, name) in
            [("value is not an integer", "incr"), ("wrong kind of value", "lpush"), ("DB index", "select")]
        {
            let found = log.lines().any(|line| {
                line.contains("== CRITICAL ==") && line.contains(error) && line.contains(&format!("'{name}'"))
            });
            assert!(found, "{name}: {log}");
        }
        assert!(number(&mut client, "stats", "unexpected_error_replies") >= 4);
    });
}

#[test]
fn a_replica_leaves_writes_to_its_master() {
    on_shards(|start, shards| {
        let master = FakeMaster::new();
        let replica = replica_of(start, shards, master.port());
        let mut link = master.accept_anew(replica.port(), 0);
        let mut client = replica.client();
        wait_for_link(&replica);
        for line in
            ["SET a 1", "MSET a 1 b 2 c 3 d 4", "RENAME a b", "FLUSHALL", "BLPOP a 0", "LMOVE a b LEFT LEFT"]
        {
            assert_eq!(client.run(line), Reply::Error(READ_ONLY.into()), "{line}");
        }
        assert_eq!(client.run("MULTI"), Reply::ok());
        assert_eq!(client.run("SET a 1"), Reply::Error(READ_ONLY.into()));
        assert!(client.run("EXEC").text().starts_with("EXECABORT"));
        assert!(client.run("GET a").is_nil());
        // Local writes are allowed, but are in nobody's stream.
        assert_eq!(client.run("CONFIG SET replica-read-only no"), Reply::ok());
        assert_eq!(client.run("MSET a 1 b 2 c 3 d 4"), Reply::ok());
        // Nobody else ends the time to live that a client gives.
        assert_eq!(client.run("SET brief 1 PX 50"), Reply::ok());
        assert_eq!(client.run("RPUSH list x"), Reply::Integer(1));
        assert_eq!(client.run("PEXPIRE list 50"), Reply::Integer(1));
        wait_until("they are gone", 20_000, || client.run("DBSIZE") == Reply::Integer(4));
        assert_eq!(client.run("CONFIG SET replica-read-only yes"), Reply::ok());
        let offset = link.stream(&["INCR a"]);
        link.expect_acknowledgement(offset);
        assert_eq!(client.run("GET a").text(), "2");
        assert_eq!(number(&mut client, "replication", "master_repl_offset"), offset);
        // Data that may be old.
        assert_eq!(client.run("CONFIG SET replica-serve-stale-data no"), Reply::ok());
        assert_eq!(client.run("GET a").text(), "2");
        link.cut();
        wait_until("the link is down", 20_000, || {
            info(&mut client, "replication", "master_link_status") == "down"
        });
        let down = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
        for line in ["GET a", "MGET a b c d", "DBSIZE"] {
            assert_eq!(client.run(line), Reply::Error(down.into()), "{line}");
        }
        assert_eq!(client.run("PING").text(), down);
        assert_eq!(client.run("CONFIG SET replica-serve-stale-data yes"), Reply::ok());
        assert_eq!(client.run("GET a").text(), "2");
    });
}

#[test]
fn only_the_master_removes_what_is_over() {
    on_shards(|start, shards| {
        let master = FakeMaster::new();
        let replica = replica_of(start, shards, master.port());
        let mut link = master.accept_anew(replica.port(), 0);
        let mut client = replica.client();
        let mut offset = link.stream(&[
            "SET a 1 PXAT 1000",
            "SET b 1",
            "PEXPIREAT b 1000",
            "SADD s1 x",
            "PEXPIREAT s1 1000",
            "SADD s2 y",
            "SUNIONSTORE s3 s1 s2",
            "INCR a",
        ]);
        link.expect_acknowledgement(offset);
        for key in ["a", "b", "s1"] {
            assert_eq!(client.run(&format!("EXISTS {key}")), Reply::Integer(0));
        }
        assert!(client.run("MGET a b").items().iter().all(Reply::is_nil));
        assert_eq!(client.run("SUNION s1 s2").items().len(), 1);
        assert_eq!(client.run("KEYS *").items().len(), 2, "s2 and s3");
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(client.run("DBSIZE"), Reply::Integer(5), "nothing is removed");
        assert_eq!(client.run("SCARD s3"), Reply::Integer(2), "the stream sees what the master saw");
        offset += link.stream(&["PERSIST a", "DEL b", "DEL s1"]);
        link.expect_acknowledgement(offset);
        assert_eq!(client.run("GET a").text(), "2");
        assert_eq!(client.run("DBSIZE"), Reply::Integer(3));
    });
}

#[test]
fn roles_change_and_the_history_goes_on() {
    on_shards(|start, shards| {
        let master = FakeMaster::new();
        let replica = replica_of(start, shards, master.port());
        let port = replica.port();
        let mut link = master.accept_anew(port, 10);
        let mut client = replica.client();
        let offset = 10 + link.stream(&["SET a 1", "MSET b 2 c 3 d 4"]);
        // An open transaction is dropped at the promotion.
        link.stream(&["MULTI", "SET a 2"]);
        link.expect_acknowledgement(offset);
        assert_eq!(client.run("REPLICAOF NO ONE"), Reply::ok());
        assert!(link.is_closed());
        assert_eq!(client.run("GET a").text(), "1");
        assert_eq!(info(&mut client, "replication", "role"), "master");
        assert_eq!(info(&mut client, "replication", "master_replid2"), ID);
        assert_eq!(number(&mut client, "replication", "second_repl_offset"), offset + 1);
        let id = info(&mut client, "replication", "master_replid");
        assert_ne!(id, ID);
        assert_eq!(client.run("MSET a 5 b 6 c 7 d 8"), Reply::ok());
        assert_eq!(client.run("REPLICAOF NO ONE"), Reply::ok());
        // Who waits to take something from a master must not do so from a replica.
        let mut waiting = [replica.client(), replica.client()];
        waiting[0].send(&["BLPOP", "list", "0"]);
        waiting[1].send(&["BLPOP", "list", "e", "f", "g", "h", "0"]);
        wait_until("both wait", 20_000, || number(&mut client, "clients", "blocked_clients") == 2);
        let to = format!("REPLICAOF 127.0.0.1 {}", master.port());
        assert_eq!(client.run(&to), Reply::ok());
        assert!(client.run(&to).text().starts_with("OK Already connected"));
        for waiting in &mut waiting {
            assert!(waiting.receive().text().starts_with("UNBLOCKED force unblock"));
            assert!(waiting.is_closed());
        }
        assert_eq!(client.run("SET a 1"), Reply::Error(READ_ONLY.into()));
        // It asks to go on from its own history.
        let own = number(&mut client, "replication", "master_repl_offset");
        let mut link = master.accept_handshake(port, [&id, &(own + 1).to_string()]);
        link.send(format!("+CONTINUE {ID}\r\n").as_bytes());
        let offset = own + link.stream(&["SET a 9"]);
        link.expect_acknowledgement(offset);
        assert_eq!(client.run("GET a").text(), "9");
        // From one master to another.
        let other = FakeMaster::new();
        assert_eq!(client.run(&format!("SLAVEOF 127.0.0.1 {}", other.port())), Reply::ok());
        assert!(link.is_closed());
        let mut link = other.accept_handshake(port, [ID, &(offset + 1).to_string()]);
        link.send(b"+CONTINUE\r\n");
        let offset = offset + link.stream(&["SET a 10"]);
        link.expect_acknowledgement(offset);
        assert_eq!(client.run("ROLE").items()[2], Reply::Integer(other.port().into()));
    });
}

/// Random commands on real Redis while its replica follows over a link that is cut again and again.
fn follow_over_a_bad_link(test: &str, shards: usize) {
    let (Some(start), Some(redis)) = (skerry(), redis()) else { return };
    let master = redis.arguments(&["--repl-backlog-size", "64mb"]).spawn();
    let replica = follow(&master, start.shards(shards));
    let seed = seed(test);
    let mut load = Load::new(&master, &mut Random::new(seed), Expiry::Far);
    for round in 0..setting("SKERRY_REPLICA_ROUNDS", 10) {
        std::thread::scope(|scope| {
            let cutting = scope.spawn(|| {
                for _ in 0..5 {
                    std::thread::sleep(Duration::from_millis(5));
                    master.client().run("CLIENT KILL TYPE replica");
                }
            });
            (0..3).for_each(|_| load.round());
            cutting.join().expect("cutting the link");
        });
        assert_equal(&master, &replica, &format!("round {round}, SKERRY_SEED={seed}"));
    }
    let partial = counter(&master, "sync_partial_ok");
    println!("{test}: {partial} partial synchronizations");
    assert_eq!(counter(&master, "sync_full"), 1);
    assert!(partial > 5, "{partial} partial synchronizations");
}

#[test]
fn one_shard_follows_redis_over_a_bad_link() {
    follow_over_a_bad_link("one_shard_follows_redis_over_a_bad_link", 1);
}

#[test]
fn four_shards_follow_redis_over_a_bad_link() {
    follow_over_a_bad_link("four_shards_follow_redis_over_a_bad_link", 4);
}

/// Fills a master with values of every type, small and large, some of them mortal.
fn fill(master: &Server, keys: usize) {
    let mut client = master.client();
    let mut commands = Vec::new();
    for index in 0..keys {
        let many: Vec<String> = (0..300).map(|number| format!("element:{number}")).collect();
        let large = index % 50 == 0;
        let elements = || if large { many.join(" ") } else { format!("x{index} y z") };
        let pairs = |count: usize| {
            (0..count).map(|number| format!("{number} m{number}")).collect::<Vec<_>>().join(" ")
        };
        let line = match index % 7 {
            0 => format!("SET key:{index} {}", "value".repeat(if large { 5000 } else { 1 + index % 20 })),
            1 => format!("RPUSH key:{index} {}", elements()),
            2 => format!("SADD key:{index} {}", elements()),
            3 => format!("SADD key:{index} 1 2 {index}"),
            4 => format!("ZADD key:{index} {}", pairs(if large { 300 } else { 3 })),
            5 => format!("HSET key:{index} {}", pairs(if large { 300 } else { 2 })),
            _ => format!("XADD key:{index} {}-1 f {index}", index + 1),
        };
        commands.push(line);
        if index % 3 == 0 {
            commands.push(format!("PEXPIREAT key:{index} {}", 4_000_000_000_000 + index as u64));
        }
    }
    for chunk in commands.chunks(500) {
        let mut bytes = Vec::new();
        chunk.iter().for_each(|line| encode(&line.split(' ').collect::<Vec<_>>(), &mut bytes));
        client.send_raw(&bytes);
        assert!(client.receive_many(chunk.len()).iter().all(|reply| !reply.is_error()));
    }
}

/// Processes die, on both sides and in the middle of a synchronization.
#[test]
fn masters_and_replicas_that_die_come_back() {
    let Some(redis) = redis() else { return };
    on_shards(|start, shards| {
        let mut master = redis.clone().spawn();
        fill(&master, 20_000);
        let mut replica = follow(&master, start.clone().shards(shards));
        assert_equal(&master, &replica, "at first");
        // A replica that dies comes back empty.
        replica.signal(9);
        replica.wait_exit(10_000);
        let mut replica = follow(&master, start.shards(shards));
        assert_equal(&master, &replica, "after the death of the replica");
        // Another master of this name has another history; until it is there, what was is served.
        let port = master.port();
        master.signal(9);
        master.wait_exit(10_000);
        let mut client = replica.client();
        wait_until("the link is down", 20_000, || {
            info(&mut client, "replication", "master_link_status") == "down"
        });
        assert!(client.run("DBSIZE").integer() > 19_000);
        let again = redis.clone().launch(port, None);
        wait_until("the master is back", 20_000, || Client::try_connect(port).is_ok());
        wait_for_link(&replica);
        assert_equal(&again, &replica, "after the death of the master");
        assert_eq!(client.run("DBSIZE"), Reply::Integer(0));
        // One that dies while it sends its snapshot leaves no trace of that.
        fill(&again, 20_000);
        assert_equal(&again, &replica, "with data again");
        let other = redis.clone().arguments(&["--rdb-key-save-delay", "500"]).spawn();
        fill(&other, 3_000);
        other.client().run("SET other 1");
        assert_eq!(client.run(&format!("REPLICAOF 127.0.0.1 {}", other.port())), Reply::ok());
        wait_until("the snapshot is on its way", 20_000, || {
            info(&mut client, "replication", "master_sync_in_progress") == "1"
                && number(&mut client, "replication", "master_sync_read_bytes") > 0
        });
        assert_eq!(info(&mut client, "persistence", "async_loading"), "1");
        other.signal(9);
        wait_until("the synchronization has failed", 20_000, || {
            info(&mut client, "replication", "master_sync_in_progress") == "0"
        });
        assert!(client.run("GET other").is_nil());
        assert_eq!(client.run(&format!("REPLICAOF 127.0.0.1 {port}")), Reply::ok());
        wait_for_link(&replica);
        assert_equal(&again, &replica, "back at the first");
        assert_eq!(counter(&again, "sync_full"), 1, "its own data were never gone");
        replica.assert_serving();
    });
}

/// A change of the role while a snapshot is on its way, and while the stream is.
#[test]
fn a_promotion_may_come_at_any_time() {
    let Some(redis) = redis() else { return };
    on_shards(|start, shards| {
        let master = redis.clone().arguments(&["--rdb-key-save-delay", "300"]).spawn();
        fill(&master, 3_000);
        let replica = start.shards(shards).spawn();
        let mut client = replica.client();
        client.run("SET own 1");
        let to = format!("REPLICAOF 127.0.0.1 {}", master.port());
        assert_eq!(client.run(&to), Reply::ok());
        wait_until("the snapshot is on its way", 20_000, || {
            info(&mut client, "replication", "master_sync_in_progress") == "1"
        });
        assert_eq!(client.run("GET own").text(), "1", "the old data are served meanwhile");
        assert_eq!(client.run("REPLICAOF NO ONE"), Reply::ok());
        assert_eq!(client.run("GET own").text(), "1");
        assert_eq!(client.run("SET own 2"), Reply::ok());
        assert_eq!(client.run("DBSIZE"), Reply::Integer(1));
        master.client().run("CONFIG SET rdb-key-save-delay 0");
        for _ in 0..4 {
            assert_eq!(client.run(&to), Reply::ok());
            wait_for_link(&replica);
            std::thread::scope(|scope| {
                let writing = scope.spawn(|| {
                    let mut writer = master.client();
                    for number in 0..2_000 {
                        writer.run(&format!("MSET a {number} b {number} c {number} d {number}"));
                    }
                });
                std::thread::sleep(Duration::from_millis(20));
                assert_eq!(client.run("REPLICAOF NO ONE"), Reply::ok());
                let found = client.run("MGET a b c d");
                assert!(found.items().iter().all(|value| *value == found.items()[0]), "{found:?}");
                let mark = client.run("INCR mark");
                std::thread::sleep(Duration::from_millis(20));
                assert_eq!(client.run("MGET a b c d"), found, "nothing of the old master comes any more");
                assert_eq!(client.run("GET mark").text(), mark.integer().to_string());
                writing.join().expect("writing");
            });
        }
    });
}

/// REPLICAOF is part of the configuration, and a replica that starts anew with its file goes on from there.
#[test]
fn a_replica_that_starts_anew_resumes_from_its_file() {
    on_shards(|start, shards| {
        let master = FakeMaster::new();
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().display().to_string();
        let replica = replica_of(start.clone().arguments(&["--dir", &path]), shards, master.port());
        let mut link = master.accept_anew(replica.port(), 50);
        let offset = 50 + link.stream(&["SELECT 3", "MSET a 1 b 2 c 3 d 4", "SET e 5 PXAT 1000"]);
        link.expect_acknowledgement(offset);
        let mut client = replica.client();
        assert_eq!(client.run("SAVE"), Reply::ok());
        drop(link);
        drop(client);
        drop(replica);
        let replica = replica_of(start.arguments(&["--dir", &path]), shards, master.port());
        let mut link = master.accept_handshake(replica.port(), [ID, &(offset + 1).to_string()]);
        link.send(b"+CONTINUE\r\n");
        let offset = offset + link.stream(&["INCR a", "PERSIST e"]);
        link.expect_acknowledgement(offset);
        let mut client = replica.client();
        client.run("SELECT 3");
        assert_eq!(client.run("GET a").text(), "2");
        assert_eq!(client.run("GET e").text(), "5", "a replica keeps what is over");
    });
}

#[test]
fn rewriting_the_configuration_keeps_the_master() {
    let Some(start) = skerry() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("skerry.conf");
    std::fs::write(&file, "# mine\n").expect("writing a file");
    let path = file.display().to_string();
    let server = start.arguments(&[&path]).spawn();
    let mut client = server.client();
    assert_eq!(client.run("REPLICAOF localhost 1"), Reply::ok());
    assert_eq!(client.run("CONFIG GET replicaof").items()[1].text(), "localhost 1");
    assert_eq!(client.run("CONFIG REWRITE"), Reply::ok());
    let text = std::fs::read_to_string(&file).expect("reading a file");
    assert!(text.lines().any(|line| line == "replicaof localhost 1"), "{text}");
    assert_eq!(client.run("REPLICAOF NO ONE"), Reply::ok());
    assert_eq!(client.run("CONFIG REWRITE"), Reply::ok());
    let text = std::fs::read_to_string(&file).expect("reading a file");
    assert!(!text.contains("replicaof"), "{text}");
}

/// Connections of replicas that ask for the stream, on any shards, with this request.
fn asking(server: &Server, request: &str) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
    let words: Vec<&str> = request.split(' ').collect();
    clients.iter_mut().for_each(|client| client.send(&words));
    std::thread::sleep(Duration::from_millis(200));
    clients
}

#[test]
fn a_snapshot_that_is_not_wanted_any_more_holds_no_link() {
    let Some(start) = skerry() else { return };
    let master = FakeMaster::new();
    let replica = replica_of(start, 2, master.port());
    let mut link = master.accept_anew(replica.port(), 0);
    let mut offset = link.stream(&["SET a 1"]);
    link.expect_acknowledgement(offset);
    while_busy(&mut client_of_second_shard(&replica), || {
        offset += link.stream(&[&format!("SET {} 2", KEYS[1])]);
        // The snapshot for these waits until that command is done.
        drop(asking(&replica, "PSYNC ? -1"));
        std::thread::sleep(Duration::from_millis(200));
    });
    offset += link.stream(&["SET a 3"]);
    link.expect_acknowledgement(offset);
}

#[test]
fn who_begins_to_follow_has_no_stream_of_its_own() {
    let Some(start) = skerry() else { return };
    let master = FakeMaster::new();
    let server = start.shards(2).spawn();
    let mut replicas = Vec::new();
    let mut asker: Vec<Client> = (0..4).map(|_| server.client()).collect();
    let port = master.port().to_string();
    while_busy(&mut client_of_second_shard(&server), || {
        asker.iter_mut().for_each(|client| client.send(&["REPLICAOF", "127.0.0.1", &port]));
        std::thread::sleep(Duration::from_millis(100));
        replicas = asking(&server, "PSYNC ? -1");
    });
    let mut link = master.accept_with_any_history();
    let offset = link.stream(&["SELECT 0", "INCR a", "INCR b"]);
    link.expect_acknowledgement(offset);
    let mut client = server.client();
    assert_eq!(number(&mut client, "replication", "master_repl_offset"), offset);
}

#[test]
fn a_master_that_hands_over_and_goes_is_no_replica() {
    let Some(start) = skerry() else { return };
    let master = FakeMaster::new();
    let replica = replica_of(start, 2, master.port());
    let mut link = master.accept_anew(replica.port(), 0);
    let offset = link.stream(&["SET a 1"]);
    link.expect_acknowledgement(offset);
    while_busy(&mut client_of_second_shard(&replica), || {
        drop(asking(&replica, &format!("PSYNC {ID} {} FAILOVER", offset + 1)));
        std::thread::sleep(Duration::from_millis(200));
    });
    let mut client = replica.client();
    wait_until("it is a master", 10_000, || info(&mut client, "replication", "role") == "master");
    wait_until("nobody follows", 5_000, || number(&mut client, "replication", "connected_slaves") == 0);
}

#[test]
fn a_link_ends_though_its_last_command_waits() {
    let Some(start) = skerry() else { return };
    let master = FakeMaster::new();
    let replica = replica_of(start, 2, master.port());
    let mut client = replica.client();
    for line in ["BLPOP a b 0", "XREAD BLOCK 0 STREAMS a b $ $", "SAVE", "REPLICAOF NO ONE"] {
        let mut link = master.accept_with_any_history();
        let offset = link.stream(&["SET c 1"]);
        link.expect_acknowledgement(offset);
        link.stream(&[line]);
        std::thread::sleep(Duration::from_millis(200));
        link.cut();
        if line.starts_with("REPLICAOF") {
            wait_until(line, 5_000, || info(&mut client, "replication", "role") == "master");
        } else {
            wait_until(line, 5_000, || info(&mut client, "replication", "master_link_status") == "down");
        }
    }
}
