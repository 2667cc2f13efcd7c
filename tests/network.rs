//! Replication over a network that fails: the replica lives in a network namespace of its own, and the cable to it is cut without
//! a word to either end, or loses and delays packets.
//!
//! Needs root and `ip`; the part with loss and delay a kernel with `netem`. What is missing is said and skipped.

mod common;
#[path = "differential/generator.rs"]
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

use common::{Kind, Random, Reply, Server, Start, redis, seed, skerry, wait_until};
use generator::Expiry;
use load::Load;
use pair::{counter, field, wait_for_link, without_what_redis_keeps_to_itself};
use sink::{Dataset, dataset, difference};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Longer than `repl-timeout`, so that both ends give the link up.
const CUT: Duration = Duration::from_secs(4);

/// A network namespace with a cable to this one; removed with this value.
struct Namespace {
    name: String,
    cable: String,
    address: String,
}

fn ip(words: &str) -> Result<(), String> {
    let output = Command::new("ip").args(words.split(' ')).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("ip {words}: {text}")) }
}

impl Namespace {
    /// Makes one, or says why that is not possible here.
    fn new() -> Result<Self, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = (std::process::id() % 200) + NUMBER.fetch_add(1, Ordering::Relaxed) % 50;
        let (name, cable) = (format!("skerry-test-{number}"), format!("skt{number}a"));
        let (address, other) = (format!("10.213.{number}.1"), format!("10.213.{number}.2"));
        ip(&format!("netns add {name}"))?;
        let namespace = Self { name: name.clone(), cable: cable.clone(), address: address.clone() };
        ip(&format!("link add {cable} type veth peer name skt{number}b netns {name}"))?;
        ip(&format!("addr add {address}/24 dev {cable}"))?;
        ip(&format!("link set {cable} up"))?;
        ip(&format!("-n {name} addr add {other}/24 dev skt{number}b"))?;
        ip(&format!("-n {name} link set skt{number}b up"))?;
        ip(&format!("-n {name} link set lo up"))?;
        Ok(namespace)
    }

    /// Runs something inside, with all processes that it starts.
    fn inside<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let file = File::open(format!("/run/netns/{}", self.name)).expect("the namespace's file");
                // SAFETY: the descriptor is that of an open file, and only this thread changes its namespace.
                let result = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
                assert_eq!(result, 0, "entering the namespace");
                work()
            });
            thread.join().expect("what ran inside")
        })
    }

    fn cut(&self, is_cut: bool) {
        ip(&format!("link set {} {}", self.cable, if is_cut { "down" } else { "up" })).expect("the cable");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What is left over is of no use to anybody.
        let _ = ip(&format!("link del {}", self.cable));
        let _ = ip(&format!("netns del {}", self.name));
    }
}

struct Apart {
    master: Server,
    replica: Server,
    namespace: Namespace,
}

impl Apart {
    fn new(master: Start, replica: Start) -> Option<Self> {
        let namespace = match Namespace::new() {
            Ok(namespace) => namespace,
            Err(reason) => {
                println!("SKIPPED, no network namespace: {reason}");
                return None;
            }
        };
        let arguments = ["--repl-timeout", "2", "--repl-ping-replica-period", "1", "--protected-mode", "no"];
        let master = master.arguments(&arguments).spawn();
        let bind = format!("CONFIG SET bind \"127.0.0.1 {}\"", namespace.address);
        let set =
            master.client().command(&["CONFIG", "SET", "bind", &format!("127.0.0.1 {}", namespace.address)]);
        assert_eq!(set, Reply::ok(), "{bind}");
        let target = format!("{} {}", namespace.address, master.port());
        let replica = replica.arguments(&arguments).arguments(&["--replicaof", &target]);
        let replica = namespace.inside(|| {
            let replica = replica.spawn();
            wait_for_link(&replica);
            replica
        });
        Some(Self { master, replica, namespace })
    }

    fn held_there(&self) -> (String, Dataset) {
        self.namespace.inside(|| {
            let mut client = self.replica.client();
            (field(&mut client, "replication", "slave_repl_offset"), dataset(&mut client))
        })
    }

    #[track_caller]
    fn assert_equal(&self, when: &str) {
        let mut source = self.master.client();
        let held = dataset(&mut source);
        let mut found = None;
        wait_until("the replica has the stream", 60_000, || {
            let offset = field(&mut source, "replication", "master_repl_offset");
            let (there, copy) = self.held_there();
            found = (offset == there).then_some(copy);
            found.is_some()
        });
        let Some(mut copied) = found else { return };
        let mut held = held;
        if self.master.kind() == Kind::Redis {
            [&mut held, &mut copied].into_iter().for_each(without_what_redis_keeps_to_itself);
        }
        if let Some(difference) = difference(&held, &copied) {
            panic!("{when}: the replica differs: {difference}");
        }
    }
}

/// The cable is cut for longer than the timeout while clients write; the replica resumes.
fn survives_cuts(test: &str, master: Start, replica: Start) {
    let Some(apart) = Apart::new(master, replica) else { return };
    let seed = seed(test);
    let mut load = Load::new(&apart.master, &mut Random::new(seed), Expiry::Far);
    load.round();
    let full = counter(&apart.master, "sync_full");
    for round in 0..2 {
        apart.namespace.cut(true);
        load.round();
        std::thread::sleep(CUT);
        load.round();
        let partial = counter(&apart.master, "sync_partial_ok");
        apart.namespace.cut(false);
        wait_until("the replica resumes", 60_000, || counter(&apart.master, "sync_partial_ok") > partial);
        apart.assert_equal(&format!("round {round}, SKERRY_SEED={seed}"));
    }
    assert_eq!(counter(&apart.master, "sync_full"), full, "all resyncs were partial");
}

#[test]
fn redis_resumes_after_a_cut_cable() {
    let (Some(skerry), Some(redis)) = (skerry(), redis()) else { return };
    survives_cuts("redis_resumes_after_a_cut_cable", skerry.shards(4), redis);
}

#[test]
fn skerry_resumes_at_redis_after_a_cut_cable() {
    let (Some(skerry), Some(redis)) = (skerry(), redis()) else { return };
    let redis = redis.arguments(&["--repl-backlog-size", "64mb"]);
    survives_cuts("skerry_resumes_at_redis_after_a_cut_cable", redis, skerry.shards(4));
}

#[test]
fn skerry_resumes_at_skerry_after_a_cut_cable() {
    let Some(skerry) = skerry() else { return };
    survives_cuts("skerry_resumes_at_skerry_after_a_cut_cable", skerry.clone().shards(2), skerry.shards(2));
}

/// A cable that delays and loses packets slows the replica down and changes nothing else.
#[test]
fn a_lossy_cable_changes_nothing() {
    let Some(skerry) = skerry() else { return };
    let Some(apart) = Apart::new(skerry.clone().shards(2), skerry.shards(2)) else { return };
    let words = [
        "qdisc",
        "add",
        "dev",
        &apart.namespace.cable,
        "root",
        "netem",
        "delay",
        "30ms",
        "10ms",
        "loss",
        "3%",
    ];
    let output = Command::new("tc").args(words).output();
    if !output.is_ok_and(|output| output.status.success()) {
        return println!("SKIPPED: the kernel has no netem, or tc is not installed");
    }
    let mut load =
        Load::new(&apart.master, &mut Random::new(seed("a_lossy_cable_changes_nothing")), Expiry::Far);
    for round in 0..3 {
        load.round();
        apart.assert_equal(&format!("round {round}"));
    }
}
