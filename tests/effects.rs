//! The merged stream of effects is a serial history of what the shards did: applied to empty servers, it
//! makes the same dataset, key by key.
//!
//! Clients run random commands at the same time; after each round the stream so far is applied to an empty
//! server of the same kind and to real Redis, and all three are compared. A second run lets keys expire
//! meanwhile and gives the stream to a real Redis replica, which leaves expiry to its master.
//! `SKERRY_EFFECT_ROUNDS` sets how many rounds there are (40).

mod common;
#[path = "differential/generator.rs"]
mod generator;
#[path = "differential/grammar.rs"]
mod grammar;
#[path = "effects/load.rs"]
mod load;
#[path = "effects/sink.rs"]
mod sink;
#[path = "effects/stream.rs"]
mod stream;

use common::{Client, Random, Reply, Server, redis, seed, setting, skerry, wait_until};
use generator::Expiry;
use load::Load;
use sink::{ClientSink, ReplicaSink, dataset, difference};
use std::time::Duration;
use stream::{Command, Listener, show};

/// Longer than the longest time to live of a key that expires during a run.
const EXPIRY_PAUSE: Duration = Duration::from_millis(60);

#[track_caller]
fn assert_equal(
    source: &mut Client,
    copy: &mut Client,
    whose: &str,
    round: u64,
    seed: u64,
    batch: &[Command],
) {
    let Some(difference) = difference(&dataset(source), &dataset(copy)) else { return };
    println!("the last commands of the stream:");
    batch.iter().rev().take(60).rev().for_each(|command| println!("  {}", show(command)));
    panic!("{whose} differs in round {round}, SKERRY_SEED={seed}: {difference}");
}

fn replay(test: &str, shards: usize) {
    let (Some(start), Some(redis)) = (skerry(), redis()) else { return };
    let source = start.clone().shards(shards).spawn();
    let mut sinks = [ClientSink::new(start.shards(shards)), ClientSink::new(redis)];
    let seed = seed(test);
    let mut random = Random::new(seed);
    let mut load = Load::new(&source, &mut random, Expiry::Far);
    let mut listener = Listener::start(&source);
    let mut effects = 0;
    for round in 0..setting("SKERRY_EFFECT_ROUNDS", 40) {
        load.round();
        let batch = listener.batch();
        effects += batch.len();
        for sink in sinks.iter_mut().filter(|sink| !sink.is_lost) {
            sink.apply(&batch);
            if sink.is_lost {
                continue;
            }
            let whose = format!("{:?}", sink.server.kind());
            assert_equal(&mut source.client(), &mut sink.server.client(), &whose, round, seed, &batch);
        }
    }
    println!("{test}: {effects} effects replayed equal");
    assert!(effects > 1_000, "the clients' writes are in the stream");
}

fn replicate_with_expiry(test: &str, shards: usize) {
    let (Some(start), Some(redis)) = (skerry(), redis()) else { return };
    let source = start.shards(shards).spawn();
    let seed = seed(test);
    let mut random = Random::new(seed);
    let mut load = Load::new(&source, &mut random, Expiry::Near);
    let mut listener = Listener::start(&source);
    let mut replica = ReplicaSink::new(redis, &mut random);
    for round in 0..setting("SKERRY_EFFECT_ROUNDS", 40) {
        load.round();
        std::thread::sleep(EXPIRY_PAUSE);
        let mut source_client = source.client();
        let mut replica_client = replica.server.client();
        // Reading every key makes the source notice those that have expired.
        dataset(&mut source_client);
        let batch = listener.batch();
        replica.apply(&batch);
        let mark = batch.last().expect("the mark at least").clone();
        wait_until("the replica has applied the batch", 20_000, || {
            replica_client.run("SELECT 0");
            replica_client.command(&[b"GET".as_slice(), &mark[1]]).bytes() == mark[2]
        });
        assert_equal(&mut source_client, &mut replica_client, "the replica", round, seed, &batch);
    }
    replica.assert_no_errors();
    assert_deletions_arrive(&source, &mut listener, &mut replica);
}

/// What expires unread is deleted in the stream as well: in the end both hold as many keys.
fn assert_deletions_arrive(source: &Server, listener: &mut Listener, replica: &mut ReplicaSink) {
    let mut client = source.client();
    client.run("FLUSHALL");
    for index in 0..200 {
        client.command(&["SET", &format!("brief:{index}"), "x", "PX", "20"]);
    }
    wait_until("the source has removed what expired", 20_000, || client.run("DBSIZE").integer() <= 1);
    replica.apply(&listener.batch());
    let mut replica_client = replica.server.client();
    wait_until("the replica has removed it too", 20_000, || {
        replica_client.run("DBSIZE") == Reply::Integer(1)
    });
}

#[test]
fn one_shard_replays_equal() {
    replay("one_shard_replays_equal", 1);
}

#[test]
fn four_shards_replay_equal() {
    replay("four_shards_replay_equal", 4);
}

#[test]
fn one_shard_feeds_a_replica_while_keys_expire() {
    replicate_with_expiry("one_shard_feeds_a_replica_while_keys_expire", 1);
}

#[test]
fn four_shards_feed_a_replica_while_keys_expire() {
    replicate_with_expiry("four_shards_feed_a_replica_while_keys_expire", 4);
}
