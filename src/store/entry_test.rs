//! Entries against a plain model, and their encodings and sizes one by one.

use super::*;
use proptest::prelude::*;

fn text(entry: &Entry) -> Vec<u8> {
    entry.string(&mut itoa::Buffer::new()).unwrap().to_vec()
}

#[test]
fn encodings_are_those_of_redis() {
    let encoding = |value: &[u8]| Entry::new_string(b"k", value, None).encoding_name();
    assert_eq!(encoding(b"12345"), "int");
    assert_eq!(encoding(b"hello"), "embstr");
    assert_eq!(encoding(&[b'x'; 44]), "embstr");
    assert_eq!(encoding(&[b'x'; 45]), "raw");
    assert_eq!(encoding(&[b'x'; 100_000]), "raw");

    let mut entry = Entry::new_string(b"k", b"12", None);
    assert_eq!(entry.append(b"3"), Some(3));
    assert_eq!((text(&entry), entry.encoding_name()), (b"123".to_vec(), "raw"));
    entry.set_int(7);
    assert_eq!(entry.encoding_name(), "int");
    entry.set_value(NewValue::Bytes(b"7"));
    assert_eq!(entry.encoding_name(), "embstr");
    entry.bytes_mut().unwrap()[0] = b'8';
    assert_eq!((text(&entry), entry.encoding_name()), (b"8".to_vec(), "raw"));
    assert_eq!(entry.type_name(), "string");
}

#[test]
fn a_small_string_takes_one_block_of_64_bytes() {
    assert_eq!(Entry::new_string(&[b'k'; 16], &[b'v'; 32], None).memory_usage(), 64);
    assert_eq!(Entry::new_string(&[b'k'; 16], &[b'v'; 36], None).memory_usage(), 64);
    assert_eq!(Entry::new_string(&[b'k'; 12], &[b'v'; 32], Some(1)).memory_usage(), 64);
    assert_eq!(Entry::new_string(&[b'k'; 12], b"12345678", None).memory_usage(), 32);
    assert_eq!(size_of::<Option<Entry>>(), 8);
}

#[test]
fn the_millisecond_of_the_deadline_still_lives() {
    let entry = Entry::new_string(b"k", b"v", Some(1_000));
    assert!(!entry.is_expired(1_000));
    assert!(entry.is_expired(1_001));
    assert!(!Entry::new_string(b"k", b"v", None).is_expired(i64::MAX));
}

#[test]
fn a_long_value_moves_by_pointer_when_the_key_changes() {
    let entry = Entry::new_string(b"old", &[b'x'; 5000], Some(9));
    let ValueRef::Object(value) = entry.value() else { panic!("not on the heap") };
    let address = std::ptr::from_ref(value);
    let renamed = entry.with_key(b"a new key");
    assert_eq!((renamed.key(), renamed.expire_at()), (&b"a new key"[..], Some(9)));
    assert!(matches!(renamed.value(), ValueRef::Object(value) if std::ptr::from_ref(value) == address));
}

#[test]
fn odd_keys_and_values() {
    for key_len in [0, 1, 300, 5000, 100_000] {
        for value_len in [0, 1, 1024, 1025] {
            let (key, value) = (vec![b'k'; key_len], vec![b'v'; value_len]);
            let mut entry = Entry::new_string(&key, &value, None);
            entry.set_expire(Some(i64::MIN));
            entry.resize(value_len + 1000);
            entry.set_expire(None);
            entry.resize(value_len);
            assert_eq!((entry.key(), text(&entry)), (&key[..], value));
        }
    }
}

#[test]
fn appending_does_not_reallocate_each_time() {
    let mut entry = Entry::new_string(b"k", b"", None);
    let mut sizes = std::collections::BTreeSet::new();
    for length in 1..100_000 {
        assert_eq!(entry.append(b"x"), Some(length));
        sizes.insert(entry.memory_usage());
    }
    assert!(sizes.len() < 60, "{} sizes", sizes.len());
}

#[derive(Clone, Debug)]
enum Step {
    SetString(Vec<u8>),
    SetInt(i64),
    SetRaw(Vec<u8>),
    SetOwned(Vec<u8>),
    Append(Vec<u8>),
    Resize(usize),
    Flip(usize),
    Expire(Option<i64>),
    Access(u32),
    Rename(Vec<u8>),
    Duplicate(Vec<u8>),
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..60),
        1 => prop::collection::vec(any::<u8>(), 900..1200),
        1 => any::<i64>().prop_map(|int| int.to_string().into_bytes()),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        bytes().prop_map(Step::SetString),
        any::<i64>().prop_map(Step::SetInt),
        bytes().prop_map(Step::SetRaw),
        bytes().prop_map(Step::SetOwned),
        bytes().prop_map(Step::Append),
        (0usize..1500).prop_map(Step::Resize),
        any::<usize>().prop_map(Step::Flip),
        any::<Option<i64>>().prop_map(Step::Expire),
        any::<u32>().prop_map(Step::Access),
        bytes().prop_map(Step::Rename),
        bytes().prop_map(Step::Duplicate),
    ]
}

const CASES: u32 = if cfg!(miri) { 4 } else { 400 };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]
    #[test]
    fn behaves_as_its_parts_would(
        key in bytes(),
        first in bytes(),
        steps in prop::collection::vec(step(), 0..30),
    ) {
        let (mut key, mut value, mut expire, mut access) = (key, first, None, 0u32);
        let mut entry = Entry::new_string(&key, &value, expire);
        for step in steps {
            match step {
                Step::SetString(new) => {
                    entry.set_value(NewValue::string(&new));
                    value = new;
                }
                Step::SetInt(int) => {
                    entry.set_int(int);
                    value = int.to_string().into_bytes();
                }
                Step::SetRaw(new) => {
                    entry.set_value(NewValue::Raw(&new));
                    value = new;
                    prop_assert_eq!(entry.encoding_name(), "raw");
                }
                Step::SetOwned(new) => {
                    value = new.clone();
                    entry.set_value(NewValue::Object(Box::new(Value::String(new))));
                }
                Step::Append(tail) => {
                    value.extend_from_slice(&tail);
                    prop_assert_eq!(entry.append(&tail), Some(value.len()));
                    prop_assert_eq!(entry.encoding_name(), "raw");
                }
                Step::Resize(len) => {
                    value.resize(len, 0);
                    prop_assert!(entry.resize(len));
                }
                Step::Flip(at) => {
                    let bytes = entry.bytes_mut().unwrap();
                    prop_assert_eq!(bytes.len(), value.len());
                    if !value.is_empty() {
                        let at = at % value.len();
                        bytes[at] ^= 1;
                        value[at] ^= 1;
                    }
                }
                Step::Expire(new) => {
                    entry.set_expire(new);
                    expire = new;
                }
                Step::Access(new) => {
                    entry.set_access(new);
                    access = new & 0x00ff_ffff;
                }
                Step::Rename(new) => {
                    entry = entry.with_key(&new);
                    key = new;
                }
                Step::Duplicate(new) => {
                    let copy = entry.duplicate(&new);
                    prop_assert_eq!(entry.key(), &key[..]);
                    prop_assert_eq!(copy.encoding_name(), entry.encoding_name());
                    entry = copy;
                    key = new;
                }
            }
            prop_assert_eq!(entry.key(), &key[..]);
            prop_assert_eq!(text(&entry), value.clone());
            prop_assert_eq!(entry.string_len(), Some(value.len()));
            prop_assert_eq!(entry.expire_at(), expire);
            prop_assert_eq!(entry.access(), access);
            prop_assert!(entry.memory_usage() >= 12 + key.len());
        }
    }
}
