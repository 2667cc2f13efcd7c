//! Shards as nodes of a cluster: what cluster clients ask for, and what the shards' own ports refuse. The
//! clients themselves are tried in `clients.rs`.

mod common;

use common::{Client, Random, Reply, Server, is_redis, seed, skerry};
use std::collections::BTreeSet;

const SHARDS: usize = 4;
const SLOTS: i64 = 16384;

fn server() -> Option<Server> {
    let start = skerry()?;
    if is_redis() { None } else { Some(start.shards(SHARDS).cluster().spawn()) }
}

fn node(server: &Server, shard: usize) -> Client {
    Client::connect(server.cluster_port() + shard as u16)
}

/// The slot of a key as Redis Cluster defines it: CRC16 (XMODEM) of the key, or of its tag in braces.
fn slot(key: &[u8]) -> i64 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let length = key[open + 1..].iter().position(|byte| *byte == b'}')?;
        (length > 0).then(|| &key[open + 1..open + 1 + length])
    });
    let crc = tag.unwrap_or(key).iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            (crc << 1) ^ if crc >> 15 == 1 { 0x1021 } else { 0 }
        })
    });
    i64::from(crc) % SLOTS
}

/// First slot, last slot and port of each range in CLUSTER SLOTS.
fn ranges(client: &mut Client) -> Vec<(i64, i64, u16)> {
    let reply = client.run("CLUSTER SLOTS");
    let range = |entry: &Reply| {
        let fields = entry.items();
        (fields[0].integer(), fields[1].integer(), fields[2].items()[1].integer() as u16)
    };
    reply.items().iter().map(range).collect()
}

fn port_of(ranges: &[(i64, i64, u16)], slot: i64) -> u16 {
    let owner = ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&slot));
    owner.unwrap_or_else(|| panic!("nobody owns slot {slot}")).2
}

#[test]
fn slots_are_computed_as_in_redis_cluster() {
    let Some(server) = server() else { return };
    let mut client = server.client();
    let mut random = Random::new(seed("slots_are_computed_as_in_redis_cluster"));
    let fixed: [&[u8]; 9] =
        [b"", b"123456789", b"{a}b", b"x{a}", b"{}a", b"a{}{b}", b"{{a}}", b"{a", b"}a{b}"];
    let mut keys: Vec<Vec<u8>> = fixed.iter().map(|key| key.to_vec()).collect();
    for _ in 0..200 {
        let length = random.below(20);
        keys.push(random.bytes(length));
    }
    for key in keys {
        let reply = client.command(&[b"CLUSTER".as_slice(), b"KEYSLOT", &key]);
        assert_eq!(reply, Reply::Integer(slot(&key)), "{}", key.escape_ascii());
    }
}

#[test]
fn every_slot_has_one_owner_that_all_nodes_name() {
    let Some(server) = server() else { return };
    let expected = ranges(&mut server.client());
    assert_eq!(expected.len(), SHARDS);
    let mut next = 0;
    for (first, last, _) in &expected {
        assert_eq!(*first, next, "ranges follow one another");
        next = last + 1;
    }
    assert_eq!(next, SLOTS);
    let ports: BTreeSet<u16> = expected.iter().map(|range| range.2).collect();
    assert_eq!(ports, (server.cluster_port()..server.cluster_port() + SHARDS as u16).collect());
    let mut ids = BTreeSet::new();
    for shard in 0..SHARDS {
        let mut client = node(&server, shard);
        assert_eq!(ranges(&mut client), expected);
        let id = client.run("CLUSTER MYID").text();
        let nodes = client.run("CLUSTER NODES").text();
        let lines: Vec<&str> = nodes.lines().collect();
        assert_eq!(lines.len(), SHARDS, "{nodes}");
        let myself: Vec<&&str> = lines.iter().filter(|line| line.contains("myself,master")).collect();
        let port = server.cluster_port() + shard as u16;
        assert!(myself.len() == 1 && myself[0].starts_with(&format!("{id} 127.0.0.1:{port}@")), "{nodes}");
        assert!(lines.iter().all(|line| line.contains(" connected ")), "{nodes}");
        assert_eq!(id.len(), 40);
        ids.insert(id);
        let info = client.run("CLUSTER INFO").text();
        for line in
            ["cluster_state:ok", "cluster_slots_assigned:16384", "cluster_known_nodes:4", "cluster_size:4"]
        {
            assert!(info.contains(&format!("{line}\r\n")), "{line} in {info}");
        }
        assert_eq!(client.run("CLUSTER SHARDS").items().len(), SHARDS);
        assert!(client.run("INFO cluster").text().contains("cluster_enabled:1"));
    }
    assert_eq!(ids.len(), SHARDS, "every node has an id of its own");
}

#[test]
fn a_node_takes_its_own_keys_and_redirects_the_others() {
    let Some(server) = server() else { return };
    let ranges = ranges(&mut server.client());
    for shard in 0..SHARDS {
        let own_port = server.cluster_port() + shard as u16;
        let mut client = node(&server, shard);
        for index in 0..100 {
            let key = format!("key:{index}");
            let slot = slot(key.as_bytes());
            let owner = port_of(&ranges, slot);
            let reply = client.command(&["SET", &key, &index.to_string()]);
            if owner == own_port {
                assert_eq!(reply, Reply::ok());
                assert_eq!(server.client().command(&["GET", &key]), Reply::bulk(index.to_string()));
            } else {
                assert_eq!(reply.text(), format!("MOVED {slot} 127.0.0.1:{owner}"));
            }
        }
    }
}

#[test]
fn a_node_refuses_commands_over_several_slots() {
    let Some(server) = server() else { return };
    let ranges = ranges(&mut server.client());
    let mut client = node(&server, 0);
    let own: Vec<String> = (0..)
        .map(|index| format!("k{index}"))
        .filter(|key| port_of(&ranges, slot(key.as_bytes())) == server.cluster_port())
        .take(2)
        .collect();
    let cross = "CROSSSLOT Keys in request don't hash to the same slot";
    assert_eq!(client.run(&format!("MGET {} {}", own[0], own[1])).text(), cross);
    assert_eq!(client.run(&format!("MSET {} 1 {} 2", own[0], own[1])).text(), cross);
    assert_eq!(client.run(&format!("MSET {{{0}}}a 1 {{{0}}}b 2", own[0])), Reply::ok());
    assert_eq!(client.run(&format!("DEL {{{0}}}a {{{0}}}b", own[0])), Reply::Integer(2));
    assert_eq!(client.run("PING").text(), "PONG");
    assert_eq!(client.run("DBSIZE"), Reply::Integer(0));
}

#[test]
fn transactions_on_a_node() {
    let Some(server) = server() else { return };
    let ranges = ranges(&mut server.client());
    let key_of = |port: u16| {
        (0..)
            .map(|index| format!("k{index}"))
            .find(|key| port_of(&ranges, slot(key.as_bytes())) == port)
            .expect("a key")
    };
    let (own, foreign) = (key_of(server.cluster_port()), key_of(server.cluster_port() + 1));
    let mut client = node(&server, 0);
    client.run("MULTI");
    assert_eq!(client.run(&format!("INCR {own}")).text(), "QUEUED");
    assert_eq!(client.run("EXEC"), Reply::Array(vec![Reply::Integer(1)]));
    client.run("MULTI");
    assert!(client.run(&format!("INCR {foreign}")).text().starts_with("MOVED "));
    assert!(client.run("EXEC").text().starts_with("EXECABORT"));
    assert!(client.run(&format!("WATCH {foreign}")).text().starts_with("MOVED "));
    assert_eq!(server.client().run(&format!("MGET {own} {foreign}")).items().len(), 2);
}

#[test]
fn keys_are_counted_by_slot() {
    let Some(server) = server() else { return };
    let mut client = server.client();
    for index in 0..20 {
        client.run(&format!("SET {{tag}}:{index} x"));
    }
    client.run("SET other x");
    let slot = slot(b"tag");
    let owner = port_of(&ranges(&mut client), slot);
    let mut node = Client::connect(owner);
    assert_eq!(node.run(&format!("CLUSTER COUNTKEYSINSLOT {slot}")), Reply::Integer(20));
    let keys = node.run(&format!("CLUSTER GETKEYSINSLOT {slot} 7"));
    assert_eq!(keys.items().len(), 7);
    assert!(keys.items().iter().all(|key| key.text().starts_with("{tag}:")));
    assert_eq!(node.run("CLUSTER COUNTKEYSINSLOT 16384").text(), "ERR Invalid slot");
}

#[test]
fn commands_of_cluster_clients_are_answered() {
    let Some(server) = server() else { return };
    let mut client = node(&server, 2);
    for line in ["READONLY", "READWRITE", "ASKING"] {
        assert_eq!(client.run(line), Reply::ok(), "{line}");
    }
    assert!(client.run("CLUSTER NOSUCH").is_error());
    assert!(client.run("CLUSTER KEYSLOT").is_error());
}
