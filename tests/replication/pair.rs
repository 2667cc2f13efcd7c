//! A master and its replica, and how to tell whether they hold the same.

use super::common::{Client, Kind, Reply, Server, Start, is_redis, wait_until};
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

/// Redis 7.0 tells its replicas neither of consumers that appear by reading nor of how much a group has read with NOACK.
pub fn without_what_redis_keeps_to_itself(dataset: &mut Dataset) {
    let answers = dataset.values_mut().flatten();
    for (_, reply) in answers.filter(|(question, _)| question[0] == b"XINFO") {
        let Reply::Array(groups) = reply else { continue };
        for group in groups {
            let Reply::Array(fields) = group else { continue };
            let told = |pair: &&[Reply]| !["consumers", "entries-read", "lag"].contains(&&*pair[0].text());
            *fields = fields.chunks(2).filter(told).flatten().cloned().collect();
        }
    }
}

/// Waits until the replica has the master's stream, and compares the datasets.
#[track_caller]
pub fn assert_equal(master: &Server, replica: &Server, when: &str) {
    assert_equal_to(master, master, replica, when);
}

/// The same, but compares with another server than the master: Redis 7.0 as a master now and then holds what its stream does
/// not say, so that its replicas, real ones as well, agree with one another but not with it.
#[track_caller]
pub fn assert_equal_to(master: &Server, other: &Server, replica: &Server, when: &str) {
    let (mut source, mut copy) = (master.client(), replica.client());
    // Reading every key makes the master notice those that have expired.
    dataset(&mut source);
    let mut offsets = [String::new(), String::new()];
    for (client, offset) in [(&mut copy, 0), (&mut other.client(), 1)] {
        wait_until("the replica has the stream", 30_000, || {
            let at = field(&mut source, "replication", "master_repl_offset");
            offsets[offset] = field(client, "replication", "master_repl_offset");
            at == offsets[offset]
        });
    }
    let (mut held, mut copied) = (dataset(&mut other.client()), dataset(&mut copy));
    if master.kind() == Kind::Redis || is_redis() {
        [&mut held, &mut copied].into_iter().for_each(without_what_redis_keeps_to_itself);
    }
    if let Some(difference) = difference(&held, &copied) {
        panic!("{when}: the replica differs at offset {}: {difference}", offsets[0]);
    }
    if replica.kind() == Kind::UnderTest && master.kind() == Kind::UnderTest {
        let log = replica.log();
        let complaint = log.lines().find(|line| line.contains("CRITICAL"));
        assert!(complaint.is_none(), "{when}: {complaint:?}");
    }
}
