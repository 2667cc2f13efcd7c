//! Deadlines through a database's life, against a map of them.

use std::collections::BTreeMap;

use super::super::NewValue;
use super::*;
use proptest::prelude::*;

fn database() -> Database {
    Database::new(RandomState::with_seeds(1, 2, 3, 4))
}

fn key(number: u32) -> Vec<u8> {
    format!("key:{number}").into_bytes()
}

fn put(database: &mut Database, number: u32, expire: Option<i64>, now_ms: i64) {
    let key = key(number);
    database.replace(database.hash(&key), Entry::new(&key, NewValue::Int(1), expire), now_ms);
}

fn expire_all(database: &mut Database, now_ms: i64) -> Vec<Vec<u8>> {
    let mut budget = usize::MAX;
    std::iter::from_fn(|| database.expire_next(now_ms, &mut budget, |_| true))
        .map(|entry| entry.key().to_vec())
        .collect()
}

#[test]
fn expires_what_is_due_and_nothing_else() {
    let mut database = database();
    put(&mut database, 1, Some(1_000), 0);
    put(&mut database, 2, Some(90_000), 0);
    put(&mut database, 3, None, 0);
    assert_eq!((database.len(), database.expires_len()), (3, 2));
    assert!(expire_all(&mut database, 1_000).is_empty());
    assert_eq!(expire_all(&mut database, 1_100), [key(1)]);
    assert!(expire_all(&mut database, 90_000).is_empty());
    assert_eq!(expire_all(&mut database, 90_100), [key(2)]);
    assert_eq!((database.len(), database.expires_len()), (1, 0));
    assert!(database.expires.is_empty());
}

#[test]
fn a_refused_entry_is_asked_about_again() {
    let mut database = database();
    put(&mut database, 1, Some(1_000), 0);
    assert!(database.expire_next(2_000, &mut 10, |_| false).is_none());
    assert!(database.expire_next(2_001, &mut 10, |_| panic!("asked too early")).is_none());
    assert_eq!(expire_all(&mut database, 2_000 + 3 * RETRY_MS), [key(1)]);
}

#[test]
fn the_budget_bounds_the_work() {
    let mut database = database();
    (0..100).for_each(|number| put(&mut database, number, Some(10), 0));
    let mut budget = 30;
    let removed = std::iter::from_fn(|| database.expire_next(1_000, &mut budget, |_| true)).count();
    assert_eq!((removed, budget, database.len()), (30, 0, 70));
}

#[test]
fn a_later_deadline_costs_no_registration() {
    let mut database = database();
    for turn in 0..1000 {
        put(&mut database, 1, Some(100_000 + turn), turn);
    }
    assert_eq!(database.expires.len(), 1);
}

#[test]
fn the_index_does_not_fill_with_what_is_of_no_use() {
    let mut database = database();
    (0..1000).for_each(|number| put(&mut database, number, Some(500_000_000), 0));
    let mut largest = 0;
    for turn in 0..100_000 {
        let key = key(5000 + turn % 7);
        let hash = database.hash(&key);
        database.remove(hash, &key);
        put(&mut database, 5000 + turn % 7, Some(900_000_000), 0);
        put(&mut database, 5000 + turn % 7, None, 0);
        largest = largest.max(database.indexes().map(ExpireIndex::len).sum());
    }
    assert!(largest < 15_000, "{largest} registrations");
    assert_eq!(expire_all(&mut database, 500_001_000).len(), 1000);
}

#[test]
fn samples_for_eviction() {
    let mut database = database();
    (0..10_000).for_each(|number| put(&mut database, number, (number % 1000 == 0).then_some(5_000), 0));
    for random in 0..100u64 {
        let random = random.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut seen = 0;
        database.sample_for_eviction(false, random, 5, |_| seen += 1);
        assert_eq!(seen, 5);
        let mut seen = 0;
        database.sample_for_eviction(true, random, 5, |entry| {
            assert!(entry.expire_at().is_some());
            seen += 1;
        });
        assert_eq!(seen, 5);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(u32, Option<i64>),
    Expire(u32, Option<i64>),
    Remove(u32),
    Pass(i64),
}

fn left() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![
        Just(None),
        (0i64..2_000).prop_map(Some),
        (0i64..100_000).prop_map(Some),
        (0i64..10_000_000_000).prop_map(Some),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u32..50, left()).prop_map(|(number, left)| Step::Put(number, left)),
        4 => (0u32..50, left()).prop_map(|(number, left)| Step::Expire(number, left)),
        1 => (0u32..50).prop_map(Step::Remove),
        2 => prop_oneof![0i64..300, 0i64..100_000, 0i64..5_000_000_000].prop_map(Step::Pass),
    ]
}

const CASES: u32 = if cfg!(miri) { 4 } else { 300 };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]
    #[test]
    fn no_entry_outlives_its_deadline_by_much_or_dies_before_it(steps in prop::collection::vec(step(), 1..120)) {
        let mut database = database();
        let mut model: BTreeMap<u32, Option<i64>> = BTreeMap::new();
        let mut now = 1_700_000_000_000;
        for step in steps {
            match step {
                Step::Put(number, left) => {
                    let expire = left.map(|left| now + left);
                    put(&mut database, number, expire, now);
                    model.insert(number, expire);
                }
                Step::Expire(number, left) => {
                    let expire = left.map(|left| now + left);
                    let key = key(number);
                    let found = database.set_expire(database.hash(&key), &key, expire, now);
                    prop_assert_eq!(found, model.contains_key(&number));
                    if found {
                        model.insert(number, expire);
                    }
                }
                Step::Remove(number) => {
                    let key = key(number);
                    let removed = database.remove(database.hash(&key), &key);
                    prop_assert_eq!(removed.map(|entry| entry.expire_at()), model.remove(&number));
                }
                Step::Pass(left) => {
                    now += left;
                    for key in expire_all(&mut database, now) {
                        let number: u32 = std::str::from_utf8(&key[4..]).unwrap().parse().unwrap();
                        prop_assert!(model.remove(&number).unwrap().unwrap() < now);
                    }
                    prop_assert!(model.values().flatten().all(|&at| at + 64 >= now));
                }
            }
            prop_assert_eq!(database.len(), model.len());
            prop_assert_eq!(database.expires_len(), model.values().flatten().count());
        }
    }
}

#[test]
fn put_keeps_the_block_and_the_index_true() {
    let mut database = database();
    let key = key(1);
    let hash = database.hash(&key);
    let block = |database: &Database| database.find(hash, &key).map(|entry| entry.key().as_ptr());
    assert!(database.put(hash, &key, NewValue::Bytes(b"some value"), None, 1, 0).is_none());
    let first = block(&database);
    assert!(database.put(hash, &key, NewValue::Bytes(b"same width"), None, 2, 0).is_none());
    assert_eq!(block(&database), first);
    database.put(hash, &key, NewValue::Int(1), Some(1_000), 3, 0);
    database.put(hash, &key, NewValue::Int(2), Some(500), 4, 0);
    assert_eq!((database.expires_len(), database.find(hash, &key).map(|entry| entry.access())), (1, Some(4)));
    assert_eq!(expire_all(&mut database, 600).len(), 1);
    let long = vec![b'x'; 5_000];
    assert!(database.put(hash, &key, NewValue::Bytes(&long), Some(1_000), 5, 0).is_none());
    let replaced = database.put(hash, &key, NewValue::Int(3), None, 6, 0);
    assert_eq!(replaced.and_then(|entry| entry.string_len()), Some(5_000));
    assert_eq!((database.len(), database.expires_len()), (1, 0));
}
