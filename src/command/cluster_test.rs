//! The cluster family: shards shown as nodes.

use crate::command::case::{Case, HomeCase};
use crate::config::Config;

const DISABLED: &str = "-ERR This instance has cluster support disabled\r\n";

#[test]
fn without_ports_only_keyslot_answers() {
    let mut client = HomeCase::new();
    assert_eq!(client.run("cluster keyslot foo"), ":12182\r\n");
    for line in ["cluster slots", "cluster info", "cluster help", "readonly", "readwrite", "asking"] {
        assert_eq!(client.run(line), DISABLED, "{line}");
    }
    assert!(!client.session.cluster_read_only);
    assert_eq!(Case::new().run("cluster countkeysinslot 1"), DISABLED);
    assert_eq!(client.run("cluster meet a 1"), "-ERR unknown subcommand 'meet'. Try CLUSTER HELP.\r\n");
}

#[test]
fn nodes_have_their_ports_and_ids() {
    let mut client = HomeCase::with("cluster-ports 7000");
    client.shard = 1;
    let id = |shard: usize| format!("012345678901234567890123456789012345000{shard}");
    assert_eq!(client.run("cluster myid"), format!("$40\r\n{}\r\n", id(1)));
    assert!(client.run("cluster myshardid").starts_with("$40\r\n0001"));
    let nodes = client.run("cluster nodes");
    let lines: Vec<&str> = nodes.lines().skip(1).filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[0].starts_with(&format!("{} 192.0.2.1:7000@0 master - 0 ", id(0))), "{nodes}");
    assert!(lines[1].starts_with(&format!("{} 192.0.2.1:7001@0 myself,master - 0 0 2 connected ", id(1))));
    assert!(lines[3].ends_with("-16383"));
    let slots = client.run("cluster slots");
    assert!(slots.starts_with("*4\r\n*3\r\n:0\r\n:"), "{slots}");
    assert!(slots.contains(&format!("*4\r\n$9\r\n192.0.2.1\r\n:7003\r\n$40\r\n{}\r\n*0\r\n", id(3))));
    let shards = client.run("cluster shards");
    assert!(shards.starts_with("*4\r\n*4\r\n$5\r\nslots\r\n*2\r\n:0\r\n"), "{shards}");
    assert!(client.run("cluster info").contains("cluster_state:ok\r\ncluster_slots_assigned:16384\r\n"));
    assert_eq!(client.run("readonly"), "+OK\r\n");
    assert!(client.session.cluster_read_only);
    assert_eq!(client.run("readwrite"), "+OK\r\n");
    assert!(!client.session.cluster_read_only);
}

#[test]
fn announced_names() {
    let mut client = HomeCase::with(
        "cluster-ports 7000\ncluster-announce-hostname core.example\ncluster-preferred-endpoint-type hostname",
    );
    let slots = client.run("cluster slots");
    assert!(slots.contains("*4\r\n$12\r\ncore.example\r\n:7000\r\n"), "{slots}");
    assert!(slots.contains("*2\r\n$2\r\nip\r\n$9\r\n192.0.2.1\r\n"), "{slots}");
}

#[test]
fn keys_of_a_slot() {
    let mut case = Case::new();
    case.config = Config::parse("cluster-ports 7000").expect("a good configuration");
    assert_eq!(case.run("cluster countkeysinslot 12182"), ":0\r\n");
    case.put("foo", "1");
    case.put("{foo}2", "2");
    case.put("bar", "3");
    assert_eq!(case.run("cluster countkeysinslot 12182"), ":2\r\n");
    let keys = case.run("cluster getkeysinslot 12182 10");
    assert!(keys.starts_with("*2\r\n") && keys.contains("foo") && !keys.contains("bar"), "{keys}");
    assert!(case.run("cluster getkeysinslot 12182 1").starts_with("*1\r\n"));
    assert_eq!(case.run("cluster getkeysinslot 12182 -1"), "-ERR Invalid slot or number of keys\r\n");
    assert_eq!(case.run("cluster getkeysinslot 16384 1"), "-ERR Invalid slot or number of keys\r\n");
    assert_eq!(case.run("cluster getkeysinslot x 1"), "-ERR value is not an integer or out of range\r\n");
    assert_eq!(case.run("cluster countkeysinslot 16384"), "-ERR Invalid slot\r\n");
}
