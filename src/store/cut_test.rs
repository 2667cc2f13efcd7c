//! What a sink gets is the database at the cut, whatever happens to it meanwhile.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ahash::RandomState;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::base::clock::UnixMillis;
use crate::store::entry::NewValue;

const NOW: UnixMillis = 1_700_000_000_000;

type Name = (usize, Vec<u8>);
type Content = (Vec<u8>, Option<i64>);
type Contents = BTreeMap<Name, Content>;

#[derive(Debug, Default)]
struct Seen {
    entries: Contents,
    finished: usize,
    open: usize,
    is_over: bool,
}

#[derive(Debug)]
struct Collector(Arc<Mutex<Seen>>);

struct Collecting {
    seen: Arc<Mutex<Seen>>,
    database: usize,
    /// What was seen of the large entry that was begun.
    begun: Vec<u8>,
}

impl Collecting {
    /// Takes a slice of a large entry; where the next one begins.
    fn take(&mut self, entry: &Entry, from: usize) -> Option<u64> {
        const SLICE: usize = 30_000;
        let (name, (value, expire)) = described(self.database, entry);
        let end = value.len().min(from + SLICE);
        self.begun.extend_from_slice(&value[from..end]);
        if end < value.len() {
            return Some(end as u64);
        }
        let content = (std::mem::take(&mut self.begun), expire);
        let earlier = self.seen.lock().unwrap().entries.insert(name, content);
        assert!(earlier.is_none(), "an entry was passed twice");
        None
    }
}

impl Cutter for Collector {
    fn id(&self) -> u64 {
        1
    }

    fn replicates(&self) -> bool {
        false
    }

    fn begin(&mut self, _: u64) {}

    fn sink(&mut self, database: usize, _: &Database) -> Box<dyn Sink> {
        self.0.lock().unwrap().open += 1;
        Box::new(Collecting { seen: Arc::clone(&self.0), database, begun: Vec::new() })
    }

    fn pace(&self) -> Pace {
        if self.0.lock().unwrap().is_over { Pace::Ended } else { Pace::On }
    }
}

impl Sink for Collecting {
    fn entry(&mut self, entry: &Entry) {
        let (name, content) = described(self.database, entry);
        let earlier = self.seen.lock().unwrap().entries.insert(name, content);
        assert!(earlier.is_none(), "an entry was passed twice");
    }

    fn large_entry(&mut self, entry: &Entry) -> Option<u64> {
        assert!(self.begun.is_empty(), "another is under way");
        self.take(entry, 0)
    }

    fn large_entry_goes_on(&mut self, entry: &Entry, from: u64) -> Option<u64> {
        assert_eq!(self.begun.len() as u64, from);
        self.take(entry, from as usize)
    }

    fn finish(self: Box<Self>) {
        assert!(self.begun.is_empty(), "the last large entry is whole");
        self.seen.lock().unwrap().finished += 1;
    }
}

fn described(database: usize, entry: &Entry) -> (Name, Content) {
    let value = entry.string(&mut itoa::Buffer::new()).unwrap().to_vec();
    ((database, entry.key().to_vec()), (value, entry.expire_at()))
}

fn contents(keyspace: &Keyspace) -> Contents {
    let databases = 0..keyspace.databases();
    databases
        .flat_map(|index| keyspace.database(index).table().iter().map(move |entry| described(index, &entry)))
        .collect()
}

fn change(keyspace: &mut Keyspace, rng: &mut SmallRng, keys: usize, moved: &mut Vec<(usize, Entry)>) {
    let database = rng.random_range(0..keyspace.databases());
    let key = format!("key:{}", rng.random_range(0..keys)).into_bytes();
    let hash = keyspace.hash(&key);
    match rng.random_range(0..100) {
        0..30 => {
            let size = if rng.random_range(0..50) == 0 { 100_000 } else { rng.random_range(0..40) };
            let value = vec![b'a' + rng.random_range(0..26); size];
            let expire = rng.random_bool(0.2).then(|| NOW + rng.random_range(0..1000));
            keyspace.database_mut(database).put(hash, &key, NewValue::Bytes(&value), expire, 0, NOW);
        }
        30..45 => {
            keyspace.insert(database, Entry::new_string(&key, b"inserted", None), NOW);
        }
        45..60 => drop(keyspace.remove(database, &key)),
        60..70 => {
            keyspace.database_mut(database).set_expire(hash, &key, Some(NOW + 5), NOW);
        }
        70..80 => {
            if let Some(mut entry) = keyspace.database_mut(database).find_mut(hash, &key) {
                entry.append(b"tail");
            }
        }
        80..90 => match moved.pop() {
            Some((database, entry)) => drop(keyspace.insert(database, entry, NOW)),
            None => moved.extend(keyspace.remove(database, &key).map(|entry| (database, entry))),
        },
        90..96 => {
            let mut budget = 20;
            keyspace.expire_cycle(NOW + rng.random_range(0..1000), &mut budget, |_| false, |_, _| {});
        }
        96..98 => {
            let other = rng.random_range(0..keyspace.databases());
            keyspace.swap(database, other);
        }
        98 if rng.random_bool(0.1) => {
            let old = keyspace.replace_database(database);
            keyspace.discard(old);
        }
        _ => {
            keyspace.free_some(100);
        }
    }
}

#[test]
fn the_sink_gets_what_there_was_at_the_cut() {
    for seed in 0..60 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let keys = [1, 20, 300, 5000][seed as usize % 4];
        let mut keyspace = Keyspace::new(3, RandomState::with_seeds(1, 2, 3, seed));
        let mut moved = Vec::new();
        for _ in 0..2 * keys {
            change(&mut keyspace, &mut rng, keys, &mut moved);
        }
        let seen = Arc::new(Mutex::new(Seen::default()));
        keyspace.cut(Box::new(Collector(Arc::clone(&seen))));
        let expected = contents(&keyspace);
        let mut walk = rng.random_range(0..200);
        while keyspace.is_cut() {
            change(&mut keyspace, &mut rng, keys, &mut moved);
            if walk == 0 {
                keyspace.walk_cut();
                walk = rng.random_range(0..50);
            } else {
                walk -= 1;
            }
        }
        let seen = seen.lock().unwrap();
        assert_eq!(seen.entries, expected, "seed {seed}");
        assert_eq!(seen.finished, seen.open, "seed {seed}");
        while keyspace.lazy_objects() > 0 {
            keyspace.free_some(1000);
        }
        assert_eq!(keyspace.lazy_bytes(), 0);
    }
}

#[test]
fn a_cut_that_is_given_up_drops_its_sinks() {
    let mut keyspace = Keyspace::new(2, RandomState::with_seeds(1, 2, 3, 4));
    for number in 0..1000 {
        keyspace.insert(number % 2, Entry::new_string(number.to_string().as_bytes(), b"value", None), NOW);
    }
    let seen = Arc::new(Mutex::new(Seen::default()));
    keyspace.cut(Box::new(Collector(Arc::clone(&seen))));
    let old = keyspace.replace_database(1);
    keyspace.discard(old);
    assert_eq!(keyspace.lazy_objects(), 0, "the snapshot still needs it");
    assert_eq!(keyspace.walk_cut(), Pace::On);
    seen.lock().unwrap().is_over = true;
    assert_eq!(keyspace.walk_cut(), Pace::Ended);
    assert_eq!((Arc::strong_count(&seen), seen.lock().unwrap().finished), (1, 0));
    assert!(!keyspace.is_cut() && keyspace.lazy_objects() == 500);
}
