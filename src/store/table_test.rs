//! The table against a map, with honest and with crowded hashes, through growth and shrinking.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use proptest::prelude::*;

/// Few cases where each takes long.
const CASES: u32 = if cfg!(miri) { 2 } else { 60 };
const MANY: u64 = if cfg!(miri) { 700 } else { 200_000 };

fn table() -> Table {
    Table::new(RandomState::with_seeds(1, 2, 3, 4))
}

fn key(number: u64) -> Vec<u8> {
    format!("key:{number}").into_bytes()
}

fn number(entry: &Entry) -> u64 {
    std::str::from_utf8(&entry.key()[4..]).unwrap().parse().unwrap()
}

fn add(table: &mut Table, number: u64) {
    let key = key(number);
    table.insert(table.hash(&key), Entry::new(&key, super::super::NewValue::Int(number as i64), None));
}

fn take(table: &mut Table, number: u64) -> bool {
    let key = key(number);
    table.remove(table.hash(&key), &key).is_some()
}

fn has(table: &Table, number: u64) -> bool {
    let key = key(number);
    table.find(table.hash(&key), &key).is_some_and(|entry| entry.value() == ValueRef::Int(number as i64))
}

/// Checks every invariant that can be seen from inside.
fn check(table: &Table) {
    let mut hash = 0u64;
    let (mut len, mut segments, mut bytes) = (0, 0, 0);
    loop {
        let mut root = table.root;
        // SAFETY: the tree is only read.
        let node = unsafe { Path::to(&raw mut root, hash) }.node();
        let segment = node.to_segment();
        let shape = segment.shape();
        // SAFETY: as above.
        let buckets = unsafe { segment.buckets() };
        let count = segment::slots(buckets).count();
        assert_eq!(node.count(), count);
        let by_home: usize =
            (0..buckets.len()).map(|home| segment::slots_of(buckets, shape, home).count()).sum();
        assert_eq!(by_home, count, "an entry strayed farther than its home knows");
        for slot in segment::slots(buckets) {
            // SAFETY: the slot is in use, the entry only read.
            let entry = unsafe { slot.entry() };
            let entry_hash = spread(table.hash(entry.key()));
            assert_eq!(slot.tag(), shape.tag(entry_hash));
            let prefix = |hash: u64| hash.checked_shr(64 - shape.depth).unwrap_or(0);
            assert_eq!(prefix(entry_hash), prefix(hash));
        }
        len += count;
        segments += 1;
        bytes += segment.bytes();
        hash = shape.hash_beyond(hash, buckets.len() - 1);
        if hash == 0 {
            break;
        }
    }
    assert_eq!(table.len(), len);
    assert_eq!(table.structure.segments, segments);
    assert_eq!(table.structure.segment_bytes, bytes);
}

#[test]
fn grows_and_shrinks_back_to_nothing() {
    let mut table = table();
    let mut peak = 0;
    for number in 0..MANY {
        add(&mut table, number);
        peak = peak.max(table.memory_usage());
    }
    check(&table);
    assert!((0..MANY).all(|number| has(&table, number)));
    assert!((MANY..2 * MANY).all(|number| !has(&table, number)));
    assert!(table.stats().load > 0.6, "{:?}", table.stats());
    for number in 0..MANY {
        assert!(take(&mut table, number));
        let room = 64 + 40 * table.len();
        assert!(table.memory_usage() <= room.min(peak).max(64 * 40), "{:?} {}", table.stats(), table.len());
    }
    check(&table);
    assert_eq!(table.stats().segments, 1);
    assert_eq!((table.memory_usage(), table.entry_bytes()), (64, 0));
}

#[test]
fn counts_follow_entries_that_change() {
    let mut table = table();
    add(&mut table, 1);
    add(&mut table, 2);
    let key = key(1);
    let hash = table.hash(&key);
    let before = table.entry_bytes();
    let mut entry = table.find_mut(hash, &key).unwrap();
    entry.set_expire(Some(5));
    entry.append(&[b'x'; 3000]);
    drop(entry);
    assert!(table.entry_bytes() >= before + 3000);
    assert_eq!(table.deadlines(), 1);
    assert_eq!(table.find(hash, &key).unwrap().string_len(), Some(3001));
    let removed = table.remove(hash, &key).unwrap();
    assert_eq!((table.deadlines(), table.len()), (0, 1));
    assert_eq!(table.entry_bytes(), before / 2);
    assert_eq!(removed.expire_at(), Some(5));
}

#[test]
fn a_leaked_guard_leaves_no_dangling_slot() {
    let mut table = table();
    add(&mut table, 1);
    let hash = table.hash(&key(1));
    std::mem::forget(table.find_mut(hash, &key(1)));
    assert!(table.find(hash, &key(1)).is_none());
}

#[test]
fn random_is_fair_and_never_empty_handed() {
    let mut table = table();
    assert!(table.random(1).is_none());
    add(&mut table, 0);
    assert!((0..1000).all(|random| table.random(random).is_some()));
    // Segments in all stages: after growing, and after losing most of what they had.
    for number in 1..3000 {
        add(&mut table, number);
    }
    for number in 1000..3000 {
        assert!(take(&mut table, number));
    }
    let rounds: u32 = if cfg!(miri) { 100 } else { 1_000_000 };
    let mut counts = vec![0u32; 1000];
    for random in 0..rounds {
        counts[number(&table.random(u64::from(random)).unwrap()) as usize] += 1;
    }
    let expected = f64::from(rounds) / 1000.0;
    let chi_square: f64 = counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum();
    // 999 degrees of freedom: more happens once in 10^9 runs.
    assert!(cfg!(miri) || chi_square < 1280.0, "{chi_square}");
}

#[test]
fn copies_are_equal_until_one_changes() {
    let mut table = table();
    for number in 0..500 {
        add(&mut table, number);
    }
    let mut copy = table.clone();
    check(&copy);
    assert!(copy == table);
    assert_eq!(copy.iter().count(), 500);
    take(&mut copy, 7);
    assert!(copy != table);
    add(&mut copy, 1000);
    assert!(copy != table);
}

#[test]
fn samples_meet_all_of_a_small_table_once() {
    let mut table = table();
    for number in 0..37 {
        add(&mut table, number);
    }
    for random in 0..200 {
        let mut seen = BTreeSet::new();
        table.sample(random, 1000, |entry| assert!(seen.insert(number(entry))));
        assert_eq!(seen.len(), 37);
        let mut few = 0;
        table.sample(random, 5, |_| few += 1);
        assert_eq!(few, 5);
    }
}

#[test]
fn drains_in_slices() {
    let mut table = table();
    for number in 0..MANY {
        add(&mut table, number);
    }
    let (mut cursor, mut taken, mut slices) = (0, BTreeSet::new(), 0);
    loop {
        let before = taken.len();
        cursor = table.drain_some(cursor, 1000, |entry| assert!(taken.insert(number(&entry))));
        slices += 1;
        assert!(taken.len() - before < 1000 + SEGMENT_SLOTS_MAX);
        if slices % 50 == 0 {
            check(&table);
        }
        if cursor == 0 {
            break;
        }
    }
    assert_eq!((taken.len() as u64, table.len(), table.memory_usage()), (MANY, 0, 64));
}

#[test]
fn prefetching_changes_nothing() {
    let mut table = table();
    for number in 0..500 {
        add(&mut table, number);
        let hash = table.hash(&key(number * 7));
        table.prefetch_bucket(hash);
        table.prefetch_entry(hash);
    }
    check(&table);
}

/// A key that carries its own hash.
fn crowd_key(number: u16, hash: u64) -> Vec<u8> {
    [&hash.to_le_bytes()[..], &number.to_le_bytes()].concat()
}

#[derive(Clone, Debug)]
enum Step {
    /// Inserts so many of the numbers from the first on.
    Insert(u64, u64),
    Remove(u64, u64),
    Scan(usize),
}

fn steps(numbers: u64) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..numbers, 1..numbers / 4).prop_map(|(from, count)| Step::Insert(from, count)),
        3 => (0..numbers, 1..numbers / 4).prop_map(|(from, count)| Step::Remove(from, count)),
        4 => (1usize..2000).prop_map(Step::Scan),
    ];
    prop::collection::vec(step, 1..40)
}

const NUMBERS: u64 = if cfg!(miri) { 300 } else { 12_000 };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]
    #[test]
    fn behaves_as_a_map_and_scans_meet_all_that_stays(steps in steps(NUMBERS)) {
        let mut table = table();
        let mut model = BTreeSet::new();
        let (mut cursor, mut stayed, mut seen) = (0, BTreeSet::new(), BTreeSet::new());
        for step in steps {
            match step {
                Step::Insert(from, count) => for number in from..from + count {
                    if model.insert(number) {
                        add(&mut table, number);
                    }
                },
                Step::Remove(from, count) => for number in from..from + count {
                    prop_assert_eq!(take(&mut table, number), model.remove(&number));
                    stayed.remove(&number);
                },
                Step::Scan(budget) => {
                    if cursor == 0 {
                        stayed.clone_from(&model);
                        seen.clear();
                    }
                    cursor = table.scan(cursor, budget, |entry| {
                        let number = number(entry);
                        assert!(model.contains(&number));
                        seen.insert(number);
                    });
                    if cursor == 0 {
                        prop_assert!(stayed.is_subset(&seen));
                    }
                }
            }
            prop_assert_eq!(table.len(), model.len());
        }
        check(&table);
        while cursor != 0 {
            cursor = table.scan(cursor, 100, |entry| { seen.insert(number(entry)); });
        }
        prop_assert!(stayed.is_subset(&seen));
        prop_assert!((0..NUMBERS).all(|number| has(&table, number) == model.contains(&number)));
    }

    /// Some hashes agree in many bits, so that their bucket overflows as far as it can.
    #[test]
    fn survives_crowded_hashes(
        crowd: u64,
        shared_bits in 1u32..64,
        crowded_max in 1usize..40,
        steps in prop::collection::vec((any::<u16>(), any::<bool>()), 1..if cfg!(miri) { 100 } else { 3000 }),
    ) {
        let mut table = table();
        table.test_hash = Some(|key| u64::from_le_bytes(key[..8].try_into().unwrap()));
        let mut model: BTreeMap<u16, u64> = BTreeMap::new();
        let mut crowded = 0;
        for (number, insert) in steps {
            let number = number % 4096;
            let spread = next_random(&mut u64::from(number));
            let is_crowded = number % 16 == 0;
            let shared = u64::MAX << (64 - shared_bits);
            let hash = if is_crowded { crowd & shared | spread & !shared } else { spread };
            let key = crowd_key(number, hash);
            let present = model.contains_key(&number);
            prop_assert_eq!(table.find(hash, &key).is_some(), present);
            if present && !insert {
                let removed = table.remove(hash, &key).unwrap();
                prop_assert_eq!(removed.key(), &key[..]);
                model.remove(&number);
                crowded -= usize::from(is_crowded);
            } else if !present {
                prop_assert!(table.remove(hash, &key).is_none());
                if !is_crowded || crowded < crowded_max {
                    table.insert(hash, Entry::new_string(&key, b"value", None));
                    model.insert(number, hash);
                    crowded += usize::from(is_crowded);
                }
            }
            prop_assert_eq!(table.len(), model.len());
        }
        check(&table);
        prop_assert!(model.iter().all(|(&number, &hash)| table.find(hash, &crowd_key(number, hash)).is_some()));
        let mut seen = 0;
        prop_assert_eq!(table.scan(0, usize::MAX, |_| seen += 1), 0);
        prop_assert_eq!(seen, model.len());
    }
}
