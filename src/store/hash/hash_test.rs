//! Hashes against a plain map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Value and deadline by field.
type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

const LIMITS: HashLimits = HashLimits { fields: 6, element_bytes: 20 };

#[derive(Clone, Debug)]
enum Step {
    Set(Vec<u8>, Vec<u8>, Deadline),
    SetDeadline(Vec<u8>, Option<i64>),
    Remove(Vec<u8>),
    Expire(i64, usize),
    Clone,
}

fn field() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (0u8..14).prop_map(|number| vec![b'f', number]),
        3 => (-3i64..4).prop_map(|number| number.to_string().into_bytes()),
        1 => Just(Vec::new()),
        1 => Just(vec![b'x'; 21]),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..20),
        4 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 1000..1100),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let keeps = prop_oneof![Just(Deadline::Ends), Just(Deadline::Stays)];
    prop_oneof![
        6 => (field(), value(), keeps).prop_map(|(field, value, keeps)| Step::Set(field, value, keeps)),
        3 => (field(), prop::option::of(0i64..100)).prop_map(|(field, at_ms)| Step::SetDeadline(field, at_ms)),
        3 => field().prop_map(Step::Remove),
        1 => (0i64..100, 0usize..4).prop_map(|(now_ms, budget)| Step::Expire(now_ms, budget)),
        1 => Just(Step::Clone),
    ]
}

fn bytes(element: Element<'_>) -> Vec<u8> {
    element.bytes(&mut itoa::Buffer::new()).to_vec()
}

fn content(view: HashView<'_>) -> Model {
    let mut content = Model::new();
    view.each(|pair| {
        let twice = content.insert(bytes(pair.field), (bytes(pair.value), pair.deadline));
        assert!(twice.is_none(), "{pair:?} stands twice");
    });
    content
}

fn apply(hash: &mut Hash, model: &mut Model, step: &Step) {
    match step {
        Step::Set(field, value, keeps) => {
            let is_new = hash.set(field, value, *keeps, LIMITS);
            let old = model.get(field).map(|(_, deadline)| *deadline);
            assert_eq!(is_new, old.is_none());
            let deadline = old.flatten().filter(|_| *keeps == Deadline::Stays);
            model.insert(field.clone(), (value.clone(), deadline));
        }
        Step::SetDeadline(field, at_ms) => {
            let found = hash.set_deadline(field, *at_ms);
            assert_eq!(found, model.contains_key(field));
            model.entry(field.clone()).and_modify(|(_, deadline)| *deadline = *at_ms);
            model.retain(|known, _| found || known != field);
        }
        Step::Remove(field) => assert_eq!(hash.remove(field), model.remove(field).is_some()),
        Step::Expire(now_ms, budget) => {
            let is_due = |deadline: Option<i64>| deadline.is_some_and(|at_ms| at_ms < *now_ms);
            let due = model.values().filter(|(_, deadline)| is_due(*deadline)).count();
            let mut told = Vec::new();
            let removed = hash.expire(*now_ms, *budget, |field| told.push(field.to_vec()));
            assert_eq!((removed, told.len()), (due.min(*budget), removed));
            for field in told {
                let (_, deadline) = model.remove(&field).expect("a field that was there");
                assert!(is_due(deadline));
            }
        }
        Step::Clone => {
            let copy = hash.clone();
            assert_eq!(&copy, hash);
            *hash = copy;
        }
    }
}

/// As an entry keeps it between two commands.
fn stored(hash: Hash) -> Hash {
    match hash.into_stored() {
        Stored::Packed(packed) => Hash::from_packed(packed.as_ref().to_packed()).expect("hashes are packed"),
        Stored::Value(Value::Hash(hash)) => hash,
        other => panic!("{other:?} is no hash"),
    }
}

proptest! {
    #[test]
    fn behaves_as_a_map(steps in prop::collection::vec(step(), 0..60), now_ms in 0i64..100) {
        let (mut hash, mut model) = (Hash::default(), Model::new());
        let mut is_packed = true;
        for step in &steps {
            apply(&mut hash, &mut model, step);
            hash = stored(hash);
            let long = model.iter().any(|(field, (value, _))| field.len().max(value.len()) > LIMITS.element_bytes);
            is_packed = is_packed && !long && model.len() <= LIMITS.fields;
            prop_assert_eq!(hash.view().is_packed(), is_packed);
            prop_assert_eq!(hash.len(), model.len());
            prop_assert_eq!(&content(hash.view()), &model);
            let earliest = model.values().filter_map(|(_, deadline)| *deadline).min();
            prop_assert_eq!(hash.view().earliest_deadline(), earliest);
            let mut seen = model.clone();
            seen.retain(|_, (_, deadline)| deadline.is_none_or(|at_ms| at_ms >= now_ms));
            let view = hash.view().at(now_ms);
            prop_assert_eq!((view.len(), view.is_hiding()), (seen.len(), seen.len() < model.len()));
            prop_assert_eq!(&content(view), &seen);
            for field in model.keys() {
                let found = view.find(field).map(|pair| (bytes(pair.value), pair.deadline));
                prop_assert_eq!(found.as_ref(), seen.get(field));
            }
            let random = hash.view().random(|| model.len() as u64 * 7919);
            prop_assert!(random.map_or(model.is_empty(), |pair| model.contains_key(&bytes(pair.field))));
        }
    }
}

/// Field `number` of a scan that changes come between.
fn scanned(number: u16) -> Vec<u8> {
    format!("field:{number}").into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_scan_sees_what_stays(
        size in 0u16..900,
        budget in 1usize..40,
        changes in prop::collection::vec(prop::collection::vec((any::<bool>(), 0u16..2_000), 0..30), 0..60),
    ) {
        let mut hash = Hash::default();
        let mut present: std::collections::BTreeSet<u16> = (0..size).collect();
        for &number in &present {
            hash.set(&scanned(number), b"v", Deadline::Ends, LIMITS);
        }
        let (mut stayed, mut ever) = (present.clone(), present.clone());
        let (mut cursor, mut changes, mut seen) = (0, changes.into_iter(), std::collections::BTreeSet::new());
        loop {
            cursor = hash.view().scan(cursor, budget, |pair| {
                let field = String::from_utf8(bytes(pair.field)).expect("a name");
                seen.insert(field["field:".len()..].parse::<u16>().expect("a number"));
            });
            if cursor == 0 {
                break;
            }
            for (adds, number) in changes.next().unwrap_or_default() {
                if adds {
                    hash.set(&scanned(number), b"v", Deadline::Ends, LIMITS);
                    present.insert(number);
                    ever.insert(number);
                } else {
                    prop_assert_eq!(hash.remove(&scanned(number)), present.remove(&number));
                    stayed.remove(&number);
                }
            }
        }
        prop_assert!(stayed.is_subset(&seen) && seen.is_subset(&ever));
    }
}

fn numbered(count: usize, limits: HashLimits) -> Hash {
    let mut hash = Hash::default();
    for number in 0..count {
        hash.set(format!("field:{number:04}").as_bytes(), b"a value...", Deadline::Ends, limits);
    }
    hash
}

#[test]
fn encodings_have_their_names() {
    let limits = HashLimits { fields: 512, element_bytes: 64 };
    let mut hash = numbered(512, limits);
    assert_eq!(hash.encoding_name(), "listpack");
    assert!(hash.set_deadline(b"field:0007", Some(1)));
    assert_eq!(hash.encoding_name(), "listpackex");
    assert!(hash.set_deadline(b"field:0007", None));
    assert_eq!(hash.encoding_name(), "listpackex", "it stays what it is");
    hash.set(b"one more", b"", Deadline::Ends, limits);
    assert_eq!((hash.encoding_name(), hash.len()), ("hashtable", 513));
    assert_eq!(packed_name(Packed::default().as_ref()), "listpack");
}

#[test]
fn walks_visit_all_in_slices() {
    let hash = numbered(5000, LIMITS);
    let (mut cursor, mut seen, mut calls) = (0, Model::new(), 0);
    loop {
        cursor = hash.view().scan(cursor, 10, |pair| {
            seen.insert(bytes(pair.field), (bytes(pair.value), None));
        });
        calls += 1;
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen, content(hash.view()));
    assert!(calls > 100, "{calls} calls");
}

#[test]
fn large_ones_are_freed_in_slices() {
    let mut hash = numbered(5000, LIMITS);
    for number in 0..1000 {
        hash.set_deadline(format!("field:{number:04}").as_bytes(), Some(number));
    }
    let usage = hash.memory_usage();
    let mut slices = 0;
    while hash.free_some(100) > 0 {
        slices += 1;
        assert!(hash.memory_usage() < usage);
    }
    assert!(slices > 10 && hash.is_empty(), "{slices} slices");
    assert_eq!(hash.view().earliest_deadline(), None);
}

#[test]
fn a_large_hash_takes_little_beyond_its_bytes() {
    let hash = numbered(1000, LIMITS);
    // 20 bytes of text in an entry of 32 and a slot of eight, of which three in four are used.
    let per_field = hash.memory_usage() / 1000;
    assert!((40..48).contains(&per_field), "{per_field} bytes for each field");
}
