//! SORT and SORT_RO with patterns whose keys are on any shard: the same as real Redis answers and stores, all at once
//! for whoever writes those keys meanwhile, and only where a cluster client may ask for it.

mod common;

use common::{Client, Random, Reply, Server, everything_about, is_redis, redis, seed, setting, skerry};
use std::sync::atomic::{AtomicBool, Ordering};

/// Elements of what is sorted.
const ELEMENTS: i64 = 40;
const SOURCES: [&str; 6] = ["list", "set", "sorted", "{t}list", "none", "h_1"];
const PATTERNS: [&str; 12] = [
    "w_*",
    "w_*",
    "w_*",
    "*_w",
    "h_*->f",
    "h_*->f",
    "h_*->",
    "{t}w_*",
    "{t}h_*->f",
    "list*",
    "sor*ed",
    "w_*_*",
];

/// The same keys on both servers: numbers to sort, and under the names of most of them weights of all types.
fn fill(clients: &mut [&mut Client], random: &mut Random) {
    let mut lines = vec!["FLUSHALL".to_owned()];
    for number in 0..random.between(1, ELEMENTS) {
        lines.push(format!("RPUSH list {}", random.between(-5, ELEMENTS)));
        lines.push(format!("SADD set {number}"));
        lines.push(format!("ZADD sorted {} {number}", random.between(0, 5)));
        lines.push(format!("RPUSH {{t}}list {number}"));
    }
    for number in 0..ELEMENTS {
        for name in [format!("w_{number}"), format!("{number}_w"), format!("{{t}}w_{number}")] {
            match random.below(8) {
                0 => {}
                1 => lines.push(format!("RPUSH {name} x")),
                2 => lines.push(format!("SET {name} 1.5e{number}")),
                _ => lines.push(format!("SET {name} {}", random.between(-20, 20))),
            }
        }
        for name in [format!("h_{number}"), format!("{{t}}h_{number}")] {
            let field = random.pick(&["f", "f", "f", "g"]);
            lines.push(format!("HSET {name} {field} {}", random.between(-20, 20)));
        }
    }
    for client in clients {
        lines.iter().for_each(|line| assert!(!client.run(line).is_error(), "{line}"));
    }
}

/// One SORT, and whether the order of what it answers is nobody's business.
fn sort(random: &mut Random) -> (String, bool) {
    let source = random.pick(&SOURCES);
    let mut line = format!("{source} ");
    let mut is_ordered = true;
    match random.below(5) {
        0 => {}
        1 => {
            line += "BY nosort ";
            is_ordered = source != "set";
        }
        _ => line += &format!("BY {} ", random.pick(&PATTERNS)),
    }
    // Elements of one weight are compared themselves, but not as texts.
    if line.contains("BY") && random.one_in(6) {
        line += "ALPHA ";
        is_ordered = false;
    }
    line += random.pick(&["", "", "ASC ", "DESC ", "BY w_* "]);
    if is_ordered && random.one_in(3) {
        line += &format!("LIMIT {} {} ", random.between(-2, 20), random.between(-2, 20));
    }
    let nothing_by = line.contains("nosort") && source == "set";
    for _ in 0..random.below(4) {
        line += &format!("GET {} ", if random.one_in(3) { "#" } else { random.pick(&PATTERNS) });
    }
    let stores = random.one_in(3);
    if stores {
        line += random.pick(&["STORE stored ", "STORE list ", "STORE {t}stored ", "STORE x STORE stored "]);
    }
    let name = if !stores && random.one_in(2) { "SORT_RO" } else { "SORT" };
    (format!("{name} {line}"), is_ordered && !nothing_by)
}

fn sorted(reply: &Reply) -> Vec<Reply> {
    let mut items = if let Reply::Array(items) = reply { items.clone() } else { vec![reply.clone()] };
    items.sort();
    items
}

fn sorts_like_redis(test: &str, shards: usize) {
    let (Some(reference), Some(start)) = (redis(), skerry()) else { return };
    let (redis, ours) = (reference.spawn(), start.shards(shards).spawn());
    let (mut redis, mut ours) = (redis.client(), ours.client());
    let mut random = Random::new(seed(test));
    for round in 0..setting("SKERRY_SORTS", 2_000) {
        if round % 50 == 0 {
            fill(&mut [&mut redis, &mut ours], &mut random);
        }
        let (line, is_ordered) = sort(&mut random);
        let (left, right) = if random.one_in(4) {
            (in_transaction(&mut redis, &line), in_transaction(&mut ours, &line))
        } else {
            (redis.run(&line), ours.run(&line))
        };
        let same = left == right || !is_ordered && sorted(&left) == sorted(&right);
        assert!(same, "{line}: reference {left:?}, ours {right:?}");
        for key in ["stored", "{t}stored", "list", "x"] {
            // What was stored without an order is made the same on both.
            if !is_ordered && line.contains("STORE") {
                redis.command(&["DEL", key]);
                ours.command(&["DEL", key]);
            }
            let answers = |client: &mut Client| -> Vec<Reply> {
                let all = everything_about(client, key.as_bytes()).into_iter();
                all.filter(|(question, _)| question[0] != b"OBJECT").map(|(_, reply)| reply).collect()
            };
            assert_eq!(answers(&mut redis), answers(&mut ours), "{key} after {line}");
        }
    }
}

/// As the second of three commands.
fn in_transaction(client: &mut Client, line: &str) -> Reply {
    client.run("MULTI");
    client.run("SET w_1 7");
    client.run(line);
    client.run("GET w_1");
    match client.run("EXEC") {
        Reply::Array(mut replies) => replies.swap_remove(1),
        other => other,
    }
}

#[test]
fn one_shard_sorts_like_redis() {
    sorts_like_redis("one_shard_sorts_like_redis", 1);
}

#[test]
fn two_shards_sort_like_redis() {
    sorts_like_redis("two_shards_sort_like_redis", 2);
}

#[test]
fn four_shards_sort_like_redis() {
    sorts_like_redis("four_shards_sort_like_redis", 4);
}

fn server() -> Option<Server> {
    let start = skerry()?;
    if is_redis() { None } else { Some(start.shards(4).spawn()) }
}

/// Somebody writes all weights at once, again and again; whoever sorts by them sees those of one moment.
#[test]
fn weights_are_those_of_one_moment() {
    let Some(server) = server() else { return };
    let names: Vec<String> = (0..16).map(|number| number.to_string()).collect();
    let mut push = vec!["RPUSH", "l"];
    push.extend(names.iter().map(String::as_str));
    server.client().command(&push);
    let write = |client: &mut Client, value: i64| {
        let pairs = names.iter().flat_map(|name| [format!("w_{name}"), value.to_string()]);
        let words: Vec<String> = std::iter::once("MSET".to_owned()).chain(pairs).collect();
        client.command(&words);
    };
    write(&mut server.client(), 0);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for start in 0..2 {
            let (mut client, ended, write) = (server.client(), &ended, &write);
            scope.spawn(move || {
                for value in start.. {
                    if ended.load(Ordering::Relaxed) {
                        break;
                    }
                    write(&mut client, value);
                    // Entries on their way between shards must not be missed.
                    client.run("RENAME w_3 moved");
                    client.run("RENAME moved w_3");
                }
            });
        }
        let readers = ["SORT_RO l GET w_*", "SORT l BY w_* GET w_*", "SORT l BY w_* GET w_* STORE stored"]
            .map(|line| {
                let mut client = server.client();
                scope.spawn(move || {
                    for _ in 0..400 {
                        let mut reply = client.run(line);
                        if line.contains("STORE") {
                            assert_eq!(reply, Reply::Integer(16));
                            reply = client.run("LRANGE stored 0 -1");
                        }
                        let mut values: Vec<&[u8]> =
                            reply.items().iter().filter(|item| !item.is_nil()).map(Reply::bytes).collect();
                        values.sort_unstable();
                        values.dedup();
                        // The one that is renamed may be missing, or from another moment than the rest.
                        assert!(values.len() <= 2 && reply.items().len() == 16, "{line}: {reply:?}");
                    }
                })
            });
        let results = readers.map(|reader| reader.join());
        ended.store(true, Ordering::Relaxed);
        results.into_iter().for_each(|result| result.expect("a reader"));
    });
}

#[test]
fn keys_of_patterns_are_read_as_any() {
    let Some(server) = server() else { return };
    let (mut client, mut other) = (server.client(), server.client());
    for line in ["RPUSH l a b c", "SET w_a 1 PX 1", "SET w_b 2", "HSET w_c f 3"] {
        client.run(line);
    }
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert_eq!(
        format!("{:?}", client.run("SORT l BY nosort GET w_* GET w_*->f")),
        "[(nil), (nil), \"2\", (nil), (nil), \"3\"]"
    );
    assert_eq!(client.run("EXISTS w_a"), Reply::Integer(0), "it had expired");
    assert_eq!(client.run("DBSIZE"), Reply::Integer(3), "what was taken is back");
    assert_eq!(client.run("TTL w_b"), Reply::Integer(-1));
    // Somebody waits for what SORT stores.
    other.send(&["BLPOP", "stored", "0"]);
    client.run("PING");
    while !client.run("INFO clients").text().contains("blocked_clients:1") {}
    assert_eq!(client.run("SORT l BY nosort GET w_* STORE stored"), Reply::Integer(3));
    assert_eq!(format!("{:?}", other.receive()), "[\"stored\", \"\"]");
    // A watched weight is no key of SORT, but one that a transaction can watch.
    client.run("WATCH w_b");
    client.run("SORT l BY w_*->f");
    client.run("MULTI");
    client.run("SORT_RO l BY nosort LIMIT 1 1 GET w_*");
    assert_eq!(format!("{:?}", client.run("EXEC")), "[[\"2\"]]", "reading a key does not change it");
}

#[test]
fn caching_clients_hear_of_the_sorted_key_only() {
    let Some(server) = server() else { return };
    let (mut client, mut other) = (server.client(), server.client());
    client.run("HELLO 3");
    client.run("MSET w_a 1 w_b 2 w_c 3");
    client.run("RPUSH l a b c");
    client.run("CLIENT TRACKING ON");
    client.run("SORT_RO l BY w_* GET w_*");
    other.run("MSET w_a 2 w_b 1 w_c 0");
    other.run("RPUSH l d");
    assert_eq!(
        client.receive(),
        Reply::Push(vec![Reply::bulk("invalidate"), Reply::Array(vec![Reply::bulk("l")])])
    );
    assert_eq!(client.run("PING"), Reply::simple("PONG"));
}

#[test]
fn nodes_look_up_one_slot_only() {
    let Some(start) = skerry().filter(|_| !is_redis()) else { return };
    let server = start.shards(2).cluster().spawn();
    let mut plain = server.client();
    plain.run("RPUSH {t}l 2 1");
    plain.run("MSET {t}w_1 one w_1 other");
    assert_eq!(
        format!("{:?}", plain.run("SORT {t}l GET {t}w_* GET w_*")),
        "[\"one\", \"other\", (nil), (nil)]"
    );
    let replies: Vec<[String; 2]> = (0..2)
        .map(|shard| {
            let mut node = Client::connect(server.cluster_port() + shard);
            ["SORT {t}l GET {t}w_*", "SORT {t}l GET {t}w_* GET w_*"]
                .map(|line| format!("{:?}", node.run(line)))
        })
        .collect();
    let here = replies.iter().find(|replies| !replies[0].starts_with("-MOVED")).expect("the owner");
    assert_eq!(here[0], "[\"one\", (nil)]");
    assert!(here[1].starts_with("-ERR GET option of SORT denied in cluster mode"), "{}", here[1]);
}
