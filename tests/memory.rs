//! `maxmemory` and its eight policies, and the figures that INFO gives about memory.

mod common;

use common::{Client, Reply, Server, is_redis, skerry, wait_until};
use std::fs;

const MEGABYTE: i64 = 1 << 20;
/// How much room a test gives beyond what the server uses when it is empty.
const ROOM: i64 = 10 * MEGABYTE;
const VALUE: usize = 500;

fn info_field(client: &mut Client, section: &str, name: &str) -> i64 {
    let info = client.run(&format!("INFO {section}")).text();
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned));
    let line = line.unwrap_or_else(|| panic!("{name} in INFO {section}:\n{info}"));
    line.parse().unwrap_or_else(|_| panic!("{name} is a number: {line}"))
}

fn used(client: &mut Client) -> i64 {
    info_field(client, "memory", "used_memory")
}

/// Limits the memory to what is used now and some room.
fn limit_memory(client: &mut Client, policy: &str) -> i64 {
    let limit = used(client) + ROOM;
    assert_eq!(client.run(&format!("CONFIG SET maxmemory-policy {policy}")), Reply::ok());
    assert_eq!(client.run(&format!("CONFIG SET maxmemory {limit}")), Reply::ok());
    limit
}

/// Writes so many keys in pipelines; gives how many were refused for want of memory.
fn fill(client: &mut Client, prefix: &str, count: usize, ttl_s: Option<usize>) -> usize {
    let value = "x".repeat(VALUE);
    let mut refused = 0;
    for chunk in (0..count).collect::<Vec<_>>().chunks(100) {
        let mut bytes = Vec::new();
        for index in chunk {
            let key = format!("{prefix}:{index}");
            match ttl_s {
                Some(ttl) => {
                    common::encode(&["SET", &key, &value, "EX", &(ttl + index).to_string()], &mut bytes)
                }
                None => common::encode(&["SET", &key, &value], &mut bytes),
            }
        }
        client.send_raw(&bytes);
        for reply in client.receive_many(chunk.len()) {
            if reply.is_error() {
                assert_eq!(reply.text(), "OOM command not allowed when used memory > 'maxmemory'.");
                refused += 1;
            }
        }
    }
    refused
}

fn server() -> Option<Server> {
    Some(skerry()?.shards(4).spawn())
}

/// Three times as many keys as there is room for.
fn too_many() -> usize {
    3 * ROOM as usize / VALUE
}

#[test]
fn without_eviction_writes_are_refused() {
    let Some(server) = server() else { return };
    let mut client = server.client();
    limit_memory(&mut client, "noeviction");
    let refused = fill(&mut client, "key", too_many(), None);
    assert!(refused > too_many() / 3, "{refused} of {} refused", too_many());
    assert_eq!(client.run("GET key:0").bytes().len(), VALUE, "reading goes on");
    // The pipelines' own buffers are given back; what that leaves is filled up one by one.
    assert!((0..too_many()).any(|index| client.run(&format!("SET rest:{index} x")).is_error()));
    assert!(client.run("MSET a 1 b 2 c 3 d 4").text().starts_with("OOM"));
    assert!(client.run("APPEND key:0 x").text().starts_with("OOM"));
    client.run("MULTI");
    assert!(client.run("SET a 1").text().starts_with("OOM"));
    assert!(client.run("EXEC").text().starts_with("EXECABORT"));
    assert_eq!(client.run("DEL key:0 key:1 key:2"), Reply::Integer(3), "and so does removing");
    assert_eq!(client.run("FLUSHALL"), Reply::ok());
    wait_until("there is room again", 10_000, || client.run("SET a 1") == Reply::ok());
    assert_eq!(info_field(&mut client, "stats", "evicted_keys"), 0);
}

#[test]
fn what_a_flush_drops_counts_as_free() {
    let Some(server) = server() else { return };
    let mut client = server.client();
    let big = "x".repeat(100_000);
    limit_memory(&mut client, "allkeys-lru");
    for round in 0..5 {
        for index in 0..60 {
            assert_eq!(client.command(&["SET", &format!("key:{index}"), &big]), Reply::ok(), "round {round}");
        }
        assert_eq!(client.run("DBSIZE"), Reply::Integer(60), "round {round}");
        assert_eq!(client.run("FLUSHALL"), Reply::ok());
    }
    assert_eq!(info_field(&mut client, "stats", "evicted_keys"), 0);
}

#[test]
fn policies_for_all_keys_make_room() {
    for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random"] {
        let Some(server) = server() else { return };
        let mut client = server.client();
        let limit = limit_memory(&mut client, policy);
        assert_eq!(fill(&mut client, "key", too_many(), None), 0, "{policy} refuses nothing");
        wait_until("the limit is kept", 5_000, || used(&mut client) <= limit + MEGABYTE);
        // Each command may evict some more before it runs.
        let evicted_before = info_field(&mut client, "stats", "evicted_keys");
        let left = client.run("DBSIZE").integer();
        let evicted = evicted_before..=info_field(&mut client, "stats", "evicted_keys");
        assert!(evicted.contains(&(too_many() as i64 - left)), "{policy}: {left} left, {evicted:?} evicted");
        assert!(left > too_many() as i64 / 10, "{policy} evicts no more than needed: {left} left");
    }
}

#[test]
fn policies_for_mortal_keys_spare_the_others() {
    for policy in ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"] {
        let Some(server) = server() else { return };
        let mut client = server.client();
        let limit = limit_memory(&mut client, policy);
        let keep = too_many() / 10;
        assert_eq!(fill(&mut client, "keep", keep, None), 0);
        assert_eq!(fill(&mut client, "mortal", too_many(), Some(10_000)), 0, "{policy} refuses nothing");
        wait_until("the limit is kept", 5_000, || used(&mut client) <= limit + MEGABYTE);
        assert!(info_field(&mut client, "stats", "evicted_keys") > 0);
        for index in 0..keep {
            assert_eq!(
                client.run(&format!("EXISTS keep:{index}")),
                Reply::Integer(1),
                "{policy}: keep:{index}"
            );
        }
        client.run("FLUSHALL");
        fill(&mut client, "immortal", too_many() / 6, None);
        assert!(fill(&mut client, "more", too_many(), None) > 0, "{policy}: nothing to evict");
    }
}

#[test]
fn the_next_to_expire_go_first() {
    let Some(server) = server() else { return };
    let mut client = server.client();
    limit_memory(&mut client, "volatile-ttl");
    let count = too_many() / 2;
    fill(&mut client, "mortal", count, Some(10_000));
    let mut there = |from: usize, to: usize| {
        (from..to).filter(|index| client.run(&format!("EXISTS mortal:{index}")) == Reply::Integer(1)).count()
    };
    let (early, late) = (there(0, count / 4), there(count / 2, count * 3 / 4));
    assert!(late > 2 * early, "{early} of the early ones and {late} of the later ones are left");
}

#[test]
fn a_lonely_mortal_key_is_found_among_many() {
    let Some(start) = skerry() else { return };
    for policy in ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"] {
        let server = start.clone().shards(1).spawn();
        let mut client = server.client();
        // What has expired long ago is still in the index.
        client.run("DEBUG SET-ACTIVE-EXPIRE 0");
        for index in 0..50 {
            client.run(&format!("SET gone:{index} x PX 1"));
            client.run(&format!("DEL gone:{index}"));
            client.run(&format!("SET immortal:{index} x"));
        }
        client.run("SET mortal x EX 10000");
        client.run(&format!("CONFIG SET maxmemory-policy {policy}"));
        client.run("CONFIG SET maxmemory 1");
        wait_until("it is evicted", 5_000, || client.run("EXISTS mortal") == Reply::Integer(0));
        assert_eq!(client.run("DBSIZE"), Reply::Integer(50), "{policy}");
    }
}

#[test]
fn reads_make_room_and_caches_hear_of_it_first() {
    let Some(start) = skerry() else { return };
    let server = start.shards(1).spawn();
    let mut client = server.client();
    client.run("HELLO 3");
    client.run("CLIENT TRACKING ON");
    client.run("CONFIG SET maxmemory-policy volatile-random");
    client.run("SET mortal x EX 10000");
    client.run("GET mortal");
    let limit = used(&mut client) + 100 * 1024;
    client.run(&format!("CONFIG SET maxmemory {limit}"));
    client.run("SETBIT big 4000000 0");
    client.send(&["GETBIT", "big", "0"]);
    let Reply::Push(told) = client.receive() else { panic!("the key goes before the reply") };
    assert_eq!(told[1].items()[0].text(), "mortal");
    assert_eq!(client.receive(), Reply::Integer(0));
}

#[test]
fn messages_about_evictions_cause_no_further_ones() {
    const KEYS: i64 = 300;
    let Some(start) = skerry() else { return };
    let server = start.shards(1).spawn();
    let mut client = server.client();
    client.run("CONFIG SET maxmemory-policy allkeys-lru");
    let mut caching: Vec<Client> = (0..10).map(|_| server.client()).collect();
    for cache in &mut caching {
        cache.run("HELLO 3");
        cache.run("CLIENT TRACKING ON");
    }
    for index in 0..KEYS {
        let key = format!("{index}{}", "x".repeat(1000));
        client.command(&["SET", &key, "x"]);
        for cache in &mut caching {
            cache.command(&["GET", &key]);
        }
    }
    let limit = used(&mut client) - 40_000;
    client.run(&format!("CONFIG SET maxmemory {limit}"));
    std::thread::sleep(std::time::Duration::from_millis(500));
    let left = client.run("DBSIZE").integer();
    assert!((KEYS * 2 / 3..KEYS).contains(&left), "{left} keys are left");
}

#[test]
fn clients_that_take_most_are_cut_off() {
    let Some(start) = skerry() else { return };
    for shards in [1, 4] {
        let server = start.clone().shards(shards).spawn();
        let mut control = server.client();
        control.run("CLIENT NO-EVICT ON");
        control.run("CONFIG SET maxmemory-clients 3mb");
        let unfinished = |bytes: usize| {
            let mut client = server.client();
            client.send_raw(b"*2\r\n$3\r\nGET\r\n$8000000\r\n");
            // It may be cut off meanwhile.
            let _ = client.try_send_raw(&vec![b'x'; bytes]);
            client
        };
        let small: Vec<Client> = (0..8).map(|_| unfinished(100_000)).collect();
        let mut protected = server.client();
        protected.run("CLIENT NO-EVICT ON");
        let mut large = unfinished(4_000_000);
        wait_until("the largest is cut off", 10_000, || {
            info_field(&mut control, "stats", "evicted_clients") == 1
        });
        assert!(large.is_closed());
        assert_eq!(info_field(&mut control, "clients", "connected_clients"), 10);
        protected.send_raw(b"*2\r\n$3\r\nGET\r\n$8000000\r\n");
        protected.send_raw(&vec![b'x'; 4_000_000]);
        wait_until("all others are", 10_000, || {
            info_field(&mut control, "clients", "connected_clients") == 2
        });
        protected.send_raw(&vec![b'x'; 4_000_000]);
        protected.send_raw(b"\r\n");
        assert!(protected.receive().is_nil());
        drop(small);
    }
}

#[test]
fn no_reply_grows_far_beyond_all_limits() {
    let Some(server) = server() else { return };
    let mut control = server.client();
    let limits = "normal 1000000 0 0 slave 1000000 0 0 pubsub 1000000 0 0";
    control.command(&["CONFIG", "SET", "client-output-buffer-limit", limits]);
    control.run("HSET h f v");
    control.run("SADD s m");
    control.run("ZADD z 1 m");
    for line in ["HRANDFIELD h -9999999999", "SRANDMEMBER s -9999999999", "ZRANDMEMBER z -9999999999"] {
        let mut client = server.client();
        client.send(&line.split(' ').collect::<Vec<_>>());
        // However much of it came before.
        let _ = client.read_to_end();
        assert!(client.is_closed(), "{line}");
    }
    assert!(info_field(&mut control, "memory", "used_memory_peak") < 100 * MEGABYTE);
}

#[test]
fn keys_in_use_stay() {
    for policy in ["allkeys-lru", "allkeys-lfu"] {
        let Some(server) = server() else { return };
        let mut client = server.client();
        client.run("CONFIG SET maxmemory-samples 10");
        limit_memory(&mut client, policy);
        let hot = 200;
        fill(&mut client, "hot", hot, None);
        fill(&mut client, "cold", too_many() / 4, None);
        // Idle times count in seconds.
        std::thread::sleep(std::time::Duration::from_millis(2_100));
        (0..20).for_each(|_| (0..hot).for_each(|index| drop(client.run(&format!("GET hot:{index}")))));
        fill(&mut client, "new", too_many() / 5, None);
        let left =
            (0..hot).filter(|index| client.run(&format!("EXISTS hot:{index}")) == Reply::Integer(1)).count();
        assert!(left > hot * 3 / 4, "{policy}: {left} of {hot} keys in use are left");
    }
}

fn resident_bytes(server: &Server) -> i64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("a process's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its resident size");
    1024 * line.trim().trim_end_matches(" kB").parse::<i64>().expect("a number")
}

#[test]
fn used_memory_is_honest() {
    let Some(server) = server() else { return };
    let mut client = server.client();
    let (used_before, resident_before) = (used(&mut client), resident_bytes(&server));
    fill(&mut client, "key", 200_000, None);
    let (used_by_keys, resident_by_keys) =
        (used(&mut client) - used_before, resident_bytes(&server) - resident_before);
    println!("200 000 keys: {used_by_keys} bytes used, {resident_by_keys} bytes resident");
    let ratio = used_by_keys as f64 / resident_by_keys as f64;
    assert!((0.8..=1.2).contains(&ratio), "used {used_by_keys}, resident {resident_by_keys}");
    client.run("FLUSHALL ASYNC");
    wait_until("everything is given back", 20_000, || used(&mut client) - used_before < used_by_keys / 20);
    let usage = |client: &mut Client, key: &str| client.command(&["MEMORY", "USAGE", key]);
    client.command(&["SET", "big", &"x".repeat(100_000)]);
    assert!((100_000..200_000).contains(&usage(&mut client, "big").integer()));
    assert!(usage(&mut client, "none").is_nil());
    assert!(is_redis() || info_field(&mut client, "memory", "maxmemory") == 0);
}

#[test]
fn memory_is_given_back_on_request() {
    const MEMORY: i64 = 60 * MEGABYTE;
    let Some(server) = server() else { return };
    let mut client = server.client();
    let resident = || {
        let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("the process lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        line.trim().trim_end_matches(" kB").parse::<i64>().expect("a number") << 10
    };
    client.run("MEMORY PURGE");
    let before = resident();
    assert_eq!(client.run("DEBUG POPULATE 300000 key 200"), Reply::ok());
    assert!(resident() > before + MEMORY);
    client.run("FLUSHALL");
    wait_until("all is freed", 30_000, || info_field(&mut client, "memory", "lazyfree_pending_objects") == 0);
    assert_eq!(client.run("MEMORY PURGE"), Reply::ok());
    wait_until("the system has it", 5_000, || resident() < before + MEMORY / 4);
}
