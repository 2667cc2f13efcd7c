//! Sets against a sorted set of the standard library, and the changes of form against those of Redis.

use std::collections::BTreeSet;

use super::*;
use proptest::prelude::*;

fn config(ints_max: usize, packed_max: usize, value_max: usize) -> Config {
    Config::parse(format!(
        "set-max-intset-entries {ints_max}\nset-max-listpack-entries {packed_max}\nset-max-listpack-value {value_max}\n"
    ))
    .unwrap()
}

fn members(view: SetView<'_>) -> BTreeSet<Vec<u8>> {
    view.iter().map(|member| member.bytes(&mut itoa::Buffer::new()).to_vec()).collect()
}

fn of(members: &[&str], config: &Config) -> Set {
    let mut set = Set::default();
    for member in members {
        set.add(member.as_bytes(), config);
    }
    set
}

fn numbers(count: usize, config: &Config) -> Set {
    let mut set = Set::default();
    for number in 0..count {
        set.add(number.to_string().as_bytes(), config);
    }
    set
}

#[test]
fn integers_become_packed_or_a_table() {
    let config = Config::default();
    assert_eq!(numbers(512, &config).encoding_name(), "intset");
    assert_eq!(numbers(513, &config).encoding_name(), "hashtable");
    for (count, member, name) in [
        (127, "a", "listpack"),
        (128, "a", "hashtable"),
        (3, "a string of more than sixty-four bytes, which no packed set would take", "hashtable"),
        (3, "007", "listpack"),
        (3, "9223372036854775808", "listpack"),
        (3, "-5", "intset"),
    ] {
        let mut set = numbers(count, &config);
        assert!(set.add(member.as_bytes(), &config));
        assert_eq!((set.encoding_name(), set.len()), (name, count + 1), "{count} {member}");
    }
    let mut long = of(&["-100000"], &self::config(512, 128, 6));
    assert!(long.add(b"a", &self::config(512, 128, 6)));
    assert_eq!(long.encoding_name(), "hashtable");
}

#[test]
fn packed_members_become_a_table() {
    let config = config(512, 4, 8);
    let mut set = of(&["a", "b", "c", "1"], &config);
    assert_eq!(set.encoding_name(), "listpack");
    assert!(!set.add(b"1", &config));
    assert!(set.remove(b"a") && set.remove(b"b") && set.remove(b"c"));
    assert_eq!(set.encoding_name(), "listpack");
    assert!(set.add(b"12345678", &config));
    assert_eq!(set.encoding_name(), "listpack");
    assert!(set.add(b"123456789", &config));
    assert_eq!(set.encoding_name(), "hashtable");
    assert!(of(&["a", "b", "c", "d", "e"], &config).view().table().is_some());
}

#[test]
fn the_first_form_goes_by_the_first_member_and_their_number() {
    let config = Config::default();
    for (first, count, name) in [
        ("1", 512, "intset"),
        ("1", 513, "hashtable"),
        ("a", 128, "listpack"),
        ("a", 129, "hashtable"),
        ("01", 1, "listpack"),
    ] {
        let mut set = Set::default();
        set.prepare(&vec![first.as_bytes(); count], &config);
        assert_eq!(set.encoding_name(), name, "{first} {count}");
    }
    let mut set = of(&["a"], &config);
    set.prepare(&[b"b".as_slice(); 128], &config);
    assert_eq!(set.encoding_name(), "listpack");
    set.prepare(&[b"b".as_slice(); 129], &config);
    assert_eq!(set.encoding_name(), "hashtable");
}

#[test]
fn large_sets_are_freed_in_slices() {
    let mut set = numbers(20_000, &Config::default());
    let (mut slices, mut freed) = (0, 0);
    loop {
        let bytes = set.memory_usage();
        match set.free_some(100) {
            0 => break,
            count => freed += count,
        }
        assert!(set.memory_usage() < bytes);
        slices += 1;
    }
    assert_eq!((freed, set.len()), (20_000, 0));
    assert!(slices > 20, "only {slices} slices");
}

#[test]
fn random_members_are_fair() {
    for name in ["intset", "listpack", "hashtable"] {
        let config = if name == "hashtable" { config(0, 0, 64) } else { Config::default() };
        let mut set = numbers(if name == "listpack" { 99 } else { 100 }, &config);
        if name == "listpack" {
            set.add(b"a", &config);
        }
        assert_eq!(set.encoding_name(), name);
        let mut counts = std::collections::BTreeMap::<_, f64>::new();
        let mut state = 1u64;
        for _ in 0..100_000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let random = state ^ state.rotate_left(32);
            let member = set.view().random(random).unwrap().bytes(&mut itoa::Buffer::new()).to_vec();
            *counts.entry(member).or_default() += 1.0;
        }
        assert_eq!(counts.len(), 100);
        let chi_square: f64 = counts.values().map(|count| (count - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi_square < 190.0, "{name}: {chi_square}");
    }
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (-30i64..30).prop_map(|int| int.to_string().into_bytes()),
        any::<i64>().prop_map(|int| int.to_string().into_bytes()),
        proptest::collection::vec(b'a'..b'd', 0..3),
        proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #[test]
    fn behaves_as_a_set(
        limits in (0usize..40, 0usize..40, 0usize..12),
        steps in proptest::collection::vec((member(), 0u8..5, any::<u64>()), 0..200),
    ) {
        let config = config(limits.0, limits.1, limits.2);
        let (mut set, mut model) = (Set::default(), BTreeSet::new());
        for (member, action, random) in steps {
            prop_assert_eq!(set.view().contains(&member), model.contains(&member));
            match action {
                0..3 => prop_assert_eq!(set.add(&member, &config), model.insert(member)),
                3 => prop_assert_eq!(set.remove(&member), model.remove(&member)),
                _ => match set.pop(random) {
                    Some(popped) => prop_assert!(model.remove(&popped)),
                    None => prop_assert!(model.is_empty()),
                },
            }
            prop_assert_eq!(set.len(), model.len());
            prop_assert_eq!(&members(set.view()), &model);
            prop_assert_eq!(set.view().iter().count(), model.len());
        }
        prop_assert_eq!(&set.clone(), &set);
        let is_table = set.view().table().is_some();
        match set.clone().into_stored() {
            Stored::Ints(ints) => prop_assert_eq!(Set::from_ints(ints), Some(set)),
            Stored::Packed(packed) => prop_assert_eq!(Set::from_packed(packed), Some(set)),
            Stored::Value(value) => {
                prop_assert!(is_table || set.memory_usage() >= 1024);
                prop_assert_eq!(<Set as Collection>::view(&value).map(members), Some(model));
            }
        }
    }
}
