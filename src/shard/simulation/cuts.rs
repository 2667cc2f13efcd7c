//! Histories with a cut in their midst: what the sinks get is the dataset at one moment of the serial history, the same that
//! the stream of effects has at that place.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ahash::RandomState;
use rand::Rng;
use rand::rngs::SmallRng;

use super::model::{Keys, State, Stored, replay};
use super::search::is_linearizable;
use super::workload::Workload;
use super::world::{World, describe, shards};
use super::{HISTORIES, each_history};
use crate::config::Config;
use crate::shard::stream::Reached;
use crate::state::Server;
use crate::store::cut::{Cutter, Pace, Sink};
use crate::store::{Database, Entry};

/// Number of the snapshot.
const SNAPSHOT: u64 = 7;

type Seen = BTreeMap<(usize, Vec<u8>), (Vec<u8>, Option<i64>)>;

/// What the sinks of all shards have got.
#[derive(Debug, Default)]
struct Collected {
    seen: Mutex<Seen>,
    open: AtomicUsize,
}

#[derive(Debug)]
struct Collector(Arc<Collected>);

struct Collecting {
    collected: Arc<Collected>,
    database: usize,
}

impl Cutter for Collector {
    fn id(&self) -> u64 {
        SNAPSHOT
    }

    fn replicates(&self) -> bool {
        true
    }

    fn begin(&mut self, _: u64) {}

    fn sink(&mut self, index: usize, _: &Database) -> Box<dyn Sink> {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        Box::new(Collecting { collected: Arc::clone(&self.0), database: index })
    }

    fn pace(&self) -> Pace {
        Pace::On
    }
}

impl Sink for Collecting {
    fn entry(&mut self, entry: &Entry) {
        let value = entry.string(&mut itoa::Buffer::new()).expect("a string").to_vec();
        let name = (self.database, entry.key().to_vec());
        let earlier = self.collected.seen.lock().expect("a mutex").insert(name, (value, entry.expire_at()));
        assert!(earlier.is_none(), "an entry was passed twice");
    }

    fn finish(self: Box<Self>) {
        self.collected.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn a_cut_is_one_moment_of_the_history() {
    each_history(HISTORIES / 8, 1..=4, |seed, config, server, rng| {
        let workload = Workload::draw_cut(rng);
        live(seed, config, server, workload, rng);
    });
}

fn live(seed: u64, config: &Config, server: &Arc<Server>, workload: Workload, rng: &mut SmallRng) {
    let hashers = RandomState::with_seeds(1, 2, 3, 4);
    let shards = shards(server, &hashers, true, seed);
    let collected = Arc::new(Collected::default());
    for shard in 0..shards.len() {
        shards.own(shard).keyspace.prepared_cut = Some(Box::new(Collector(Arc::clone(&collected))));
    }
    let keys = Keys::new(&server.slots, rng.random_range(2..=5), if rng.random_bool(0.3) { 2 } else { 1 });
    let mut world = World::new(&keys, &shards, config, &hashers, workload, seed);
    let verdict = world.run().and_then(|()| {
        world.end_cuts();
        let end = world.dataset();
        let (stream, reached) = (world.stream(), world.reached());
        let [(at, Reached::Cut(SNAPSHOT))] = reached else {
            return Err(format!("the stream has reached {reached:?}"));
        };
        if collected.open.load(Ordering::Relaxed) > 0 {
            return Err("a sink has not got all".into());
        }
        let snapshot = snapshot(&keys, &collected.seen.lock().expect("a mutex"));
        let nothing = vec![None; keys.len()];
        let before = replay(&keys, &nothing, &stream[..*at])?;
        if before != snapshot {
            return Err(format!("the snapshot is {snapshot:?}, the stream before it makes {before:?}"));
        }
        let after = replay(&keys, &snapshot, &stream[*at..])?;
        if after != end {
            return Err(format!("the snapshot is {snapshot:?}, the stream behind it makes {after:?} of it"));
        }
        let is_end = |state: &State| state.entries == end && state.cut.as_ref() == Some(&snapshot);
        let fits = is_linearizable(&keys, world.clients(), &world.history, &is_end);
        fits.then_some(()).ok_or_else(|| format!("no order explains this with the snapshot {snapshot:?}"))
    });
    if let Err(reason) = verdict {
        let stream = String::from_utf8_lossy(world.stream()).replace("\r\n", " ");
        let history = describe(&world.history, &keys);
        panic!("{history}the end is {:?}\nthe stream is {stream}\n{reason}", world.dataset());
    }
}

fn snapshot(keys: &Keys, seen: &Seen) -> Vec<Stored> {
    let mut snapshot = vec![None; keys.len()];
    for ((database, name), content) in seen {
        snapshot[keys.find(*database as u32, name)] = Some(content.clone());
    }
    snapshot
}
