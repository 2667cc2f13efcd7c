//! Collections of many elements: who reads them whole holds nobody else up, and sees them as they were at one moment.

mod common;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::{Client, Reply, Server, encode, skerry};

const ELEMENTS: usize = 60_000;

fn on_shards(script: impl Fn(&Server)) {
    let Some(start) = skerry() else { return };
    for shards in [1, 4] {
        script(&start.clone().shards(shards).spawn());
    }
}

fn connect(server: &Server) -> Client {
    Client::connect(server.port())
}

/// A command of one key with words made of numbers.
fn with_numbers(head: &[&str], count: usize, mut push: impl FnMut(usize, &mut Vec<String>)) -> Vec<String> {
    let mut words: Vec<String> = head.iter().map(|word| (*word).to_owned()).collect();
    (0..count).for_each(|number| push(number, &mut words));
    words
}

fn add_set(client: &mut Client, key: &str, count: usize) {
    let words = with_numbers(&["SADD", key], count, |number, words| words.push(format!("m{number}")));
    assert_eq!(client.command(&words).integer(), count as i64);
}

fn add_hash(client: &mut Client, key: &str, count: usize, value: &str) -> Reply {
    let pair =
        |number: usize, words: &mut Vec<String>| words.extend([format!("f{number}"), value.to_owned()]);
    client.command(&with_numbers(&["HSET", key], count, pair))
}

fn texts(reply: &Reply) -> Vec<String> {
    reply.items().iter().map(Reply::text).collect()
}

#[test]
fn replies_are_whole() {
    on_shards(|server| {
        let mut client = connect(server);
        let elements: Vec<String> = (0..ELEMENTS).map(|number| format!("e{number}")).collect();
        let mut push = vec!["RPUSH".to_owned(), "list".to_owned()];
        push.extend_from_slice(&elements);
        client.command(&push);
        let scored = |number: usize, words: &mut Vec<String>| {
            words.extend([number.to_string(), format!("e{number}")]);
        };
        client.command(&with_numbers(&["ZADD", "ranking"], ELEMENTS, scored));
        add_set(&mut client, "set", ELEMENTS);
        add_hash(&mut client, "hash", ELEMENTS, "v");

        assert_eq!(texts(&client.run("LRANGE list 0 -1")), elements);
        assert_eq!(texts(&client.run("LRANGE list 7 -9")), elements[7..ELEMENTS - 8]);
        assert_eq!(texts(&client.run("ZRANGE ranking 0 -1")), elements);
        let reversed: Vec<String> = elements.iter().rev().cloned().collect();
        assert_eq!(texts(&client.run("ZRANGE ranking 0 -1 REV")), reversed);
        assert_eq!(
            texts(&client.run("ZREVRANGEBYSCORE ranking 50000 (3")),
            reversed[ELEMENTS - 50_001..ELEMENTS - 4]
        );
        let with_scores = texts(&client.run("ZRANGE ranking 5 -1 WITHSCORES"));
        assert_eq!((with_scores.len(), &*with_scores[0], &*with_scores[1]), (2 * (ELEMENTS - 5), "e5", "5"));
        assert_eq!(texts(&client.run("SMEMBERS set")).into_iter().collect::<BTreeSet<_>>().len(), ELEMENTS);
        assert_eq!(texts(&client.run("HKEYS hash")).into_iter().collect::<BTreeSet<_>>().len(), ELEMENTS);
        assert_eq!(texts(&client.run("HVALS hash")), vec!["v"; ELEMENTS]);
        client.run("HELLO 3");
        assert_eq!(client.run("ZRANGE ranking 0 -1 WITHSCORES").items().len(), ELEMENTS);
        assert!(matches!(client.run("SMEMBERS set"), Reply::Set(members) if members.len() == ELEMENTS));
        // Within a transaction as well, and counted once.
        client.run("MULTI");
        client.run("SMEMBERS set");
        assert_eq!(client.run("EXEC").items()[0].items().len(), ELEMENTS);
        assert!(client.run("INFO commandstats").text().contains("cmdstat_smembers:calls=3,"));
    });
}

#[test]
fn replies_keep_the_order_of_their_requests() {
    on_shards(|server| {
        let mut client = connect(server);
        for number in 0..8 {
            add_set(&mut client, &format!("set{number}"), 5000 + number);
        }
        for number in 0..8 {
            client.send(&["SMEMBERS", &format!("set{number}")]);
            client.send(&["ECHO", &number.to_string()]);
            client.send(&["SADD", &format!("set{number}"), "another"]);
            client.send(&["SCARD", &format!("set{number}")]);
        }
        for number in 0..8 {
            let members = texts(&client.receive());
            assert_eq!(members.len(), 5000 + number);
            assert!(!members.contains(&"another".to_owned()));
            assert_eq!(client.receive().text(), number.to_string());
            assert_eq!(client.receive(), Reply::Integer(1));
            assert_eq!(client.receive(), Reply::Integer(5001 + number as i64));
        }
    });
}

#[test]
fn nobody_sees_half_of_a_write() {
    on_shards(|server| {
        let mut writer = connect(server);
        add_hash(&mut writer, "hash", ELEMENTS, "0");
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let readers = [(); 3].map(|()| {
                scope.spawn(|| {
                    let mut reader = connect(server);
                    while !is_over.load(Ordering::Relaxed) {
                        let values: BTreeSet<String> = texts(&reader.run("HVALS hash")).into_iter().collect();
                        assert_eq!(values.len(), 1, "{values:?}");
                    }
                })
            });
            for version in 1..=20 {
                add_hash(&mut writer, "hash", ELEMENTS, &version.to_string());
                // In its turn among the readers, whatever takes the key away.
                if version % 5 == 0 {
                    writer.run("MULTI");
                    writer.run("RENAME hash other");
                    writer.run("RENAME other hash");
                    assert!(!writer.run("EXEC").is_error());
                }
            }
            is_over.store(true, Ordering::Relaxed);
            readers.into_iter().for_each(|reader| reader.join().expect("a reader"));
        });
    });
}

#[test]
fn others_have_their_turn_meanwhile() {
    on_shards(|server| {
        let mut reader = connect(server);
        add_set(&mut reader, "set", 4 * ELEMENTS);
        let turns = thread::scope(|scope| {
            let reading = scope.spawn(|| {
                for _ in 0..10 {
                    assert_eq!(reader.run("SMEMBERS set").items().len(), 4 * ELEMENTS);
                }
            });
            let mut other = connect(server);
            let mut turns = 0;
            while !reading.is_finished() {
                // On the shard of the set too.
                assert_eq!(other.run("INCR {set}counter"), Reply::Integer(turns + 1));
                turns += 1;
            }
            reading.join().expect("the reader");
            turns
        });
        // One after each read would be ten.
        assert!(turns > 30, "{turns} turns");
    });
}

#[test]
fn messages_stand_between_replies() {
    on_shards(|server| {
        let (mut reader, mut publisher) = (connect(server), connect(server));
        add_set(&mut publisher, "set", ELEMENTS);
        reader.run("HELLO 3");
        reader.run("SUBSCRIBE channel");
        for _ in 0..5 {
            reader.send(&["SMEMBERS", "set"]);
            (0..20).for_each(|_| publisher.send(&["PUBLISH", "channel", "message"]));
            let (mut sets, mut messages) = (0, 0);
            while sets < 1 || messages < 20 {
                match reader.receive() {
                    Reply::Set(members) => {
                        assert_eq!(members.len(), ELEMENTS);
                        sets += 1;
                    }
                    Reply::Push(parts) => {
                        assert_eq!(parts[2].text(), "message");
                        messages += 1;
                    }
                    other => panic!("{other:?}"),
                }
            }
            publisher.receive_many(20);
        }
    });
}

#[test]
fn what_expires_meanwhile_is_read_to_its_end() {
    on_shards(|server| {
        let (mut reader, mut other) = (connect(server), connect(server));
        for round in 0..6 {
            add_set(&mut reader, "set", ELEMENTS);
            add_hash(&mut reader, "hash", ELEMENTS, "v");
            other.run("HPEXPIRE hash 2 FIELDS 2 f1 f2");
            other.run(&format!("PEXPIRE set {}", 1 + round));
            reader.send(&["HGETALL", "hash"]);
            reader.send(&["SMEMBERS", "set"]);
            (0..50).for_each(|_| other.send(&["SCARD", "set"]));
            (0..50).for_each(|_| other.send(&["HLEN", "hash"]));
            assert!([2 * ELEMENTS, 2 * ELEMENTS - 4].contains(&reader.receive().items().len()));
            assert!([0, ELEMENTS].contains(&reader.receive().items().len()));
            other.receive_many(100);
            other.run("DEL hash set");
        }
    });
}

#[test]
fn who_leaves_in_the_midst_leaves_nothing_locked() {
    on_shards(|server| {
        let mut client = connect(server);
        add_set(&mut client, "set", ELEMENTS);
        for _ in 0..10 {
            let mut reader = connect(server);
            reader.send(&["SMEMBERS", "set"]);
            drop(reader);
        }
        assert_eq!(client.run("SADD set another"), Reply::Integer(1));
        assert_eq!(client.run("DEL set"), Reply::Integer(1));
    });
}

/// A command that is longer than what may wait, and has begun to come behind others that wait for a busy shard, comes to its
/// end when those are done.
#[test]
fn a_long_command_behind_others_is_read_to_its_end() {
    let Some(start) = skerry() else { return };
    let server = start.shards(2).spawn();
    // Some of them are on the shard that is busy, whichever that is, and some on the other.
    let mut clients: Vec<Client> = (0..6).map(|_| connect(&server)).collect();
    let mut command = Vec::new();
    encode(&[b"SET".as_slice(), b"big", &vec![b'x'; 1 << 20]], &mut command);
    let (first, rest) = command.split_at(600 << 10);
    for busy in 0..2 {
        let mut sleeping = clients.remove(busy);
        sleeping.send(&["DEBUG", "SLEEP", "0.5"]);
        thread::sleep(Duration::from_millis(50));
        for client in &mut clients {
            ["a", "b", "c", "d"].iter().for_each(|key| client.send(&["GET", key]));
            client.send_raw(first);
        }
        thread::sleep(Duration::from_millis(1000));
        for client in &mut clients {
            client.set_read_limit(Duration::from_secs(10));
            client.send_raw(rest);
            assert!(client.receive_many(4).iter().all(Reply::is_nil));
            assert_eq!(client.receive(), Reply::ok());
        }
        assert_eq!(sleeping.receive(), Reply::ok());
        clients.insert(busy, sleeping);
    }
}
