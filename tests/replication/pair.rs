//! A master and its replica, and how to tell whether they hold the same.

use super::common::{Client, Kind, Reply, Server, Start, wait_until};
use super::sink::{Dataset, dataset, difference};

/// A replica that is in sync with its master.
pub struct Pair {
    pub master: Server,
    pub replica: Server,
}

impl Pair {
    /// Starts both.
    pub fn new(master: Start, replica: Start) -> Self {
        let master = master.arguments(&["--repl-diskless-sync-delay", "0"]).spawn();
        let replica = follow(&master, replica);
        Self { master, replica }
    }
}

/// A replica of `master`, in sync.
pub fn follow(master: &Server, replica: Start) -> Server {
    master.client().run("CONFIG SET repl-diskless-sync-delay 0");
    follow_port(master.port(), replica)
}

/// A replica of the master at a port, in sync.
pub fn follow_port(port: u16, replica: Start) -> Server {
    let replica = replica.arguments(&["--replicaof", &format!("127.0.0.1 {port}")]).spawn();
    wait_for_link(&replica);
    replica
}

/// Waits until a replica is in sync.
pub fn wait_for_link(replica: &Server) {
    wait_until("the replica is in sync", 60_000, || {
        let mut client = replica.client();
        field(&mut client, "replication", "master_link_status") == "up"
    });
}

/// A field of INFO; empty without it.
pub fn field(client: &mut Client, section: &str, name: &str) -> String {
    let text = client.run(&format!("INFO {section}")).text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or("").to_owned()
}

/// A counter of INFO stats.
pub fn counter(server: &Server, name: &str) -> u64 {
    field(&mut server.client(), "stats", name).parse().expect("a counter")
}

/// Waits until the replica has the master's stream, and compares the datasets.
#[track_caller]
pub fn assert_equal(master: &Server, replica: &Server, when: &str) {
    let (mut source, mut copy) = (master.client(), replica.client());
    // Reading every key makes the master notice those that have expired.
    let held = dataset(&mut source);
    let mut offsets = (String::new(), String::new());
    wait_until("the replica has the stream", 30_000, || {
        offsets = (
            field(&mut source, "replication", "master_repl_offset"),
            field(&mut copy, "replication", "slave_repl_offset"),
        );
        offsets.0 == offsets.1
    });
    let mut datasets = [held, dataset(&mut copy)];
    if master.kind() == Kind::Redis {
        datasets = datasets.map(as_redis_replicates);
    }
    if let Some(difference) = difference(&datasets[0], &datasets[1]) {
        panic!("{when}: the replica differs at offset {}: {difference}", offsets.0);
    }
    if replica.kind() == Kind::UnderTest {
        let log = replica.log();
        let complaint = log.lines().find(|line| line.contains("CRITICAL"));
        assert!(complaint.is_none(), "{when}: {complaint:?}");
    }
}

/// A dataset without what Redis does not replicate: which consumers came in vain, and how many entries a group has read.
fn as_redis_replicates(mut dataset: Dataset) -> Dataset {
    for (question, reply) in dataset.values_mut().flatten() {
        if question.starts_with(&[b"XINFO".to_vec(), b"GROUPS".to_vec()])
            && let Reply::Array(groups) = reply
        {
            for group in groups {
                let items = group.items();
                *group = Reply::Array([0, 1, 4, 5, 6, 7].map(|index| items[index].clone()).to_vec());
            }
        }
    }
    dataset
}
