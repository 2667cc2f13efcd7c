//! What is written, against bytes that Redis writes for the same.

use super::*;
use crate::store::NewValue;
use crate::store::hash::{Deadline, HashLimits};
use crate::store::list::{End, Limit};
use crate::store::packed::Packed;
use crate::store::set::Ints;

const PLAIN: Options = Options { version: Version::Ten, compresses: false, access: Access::Omitted };

fn written(options: Options, entry: &Entry) -> Vec<u8> {
    let mut out = Vec::new();
    Writer::new(options).push_entry(&mut out, entry);
    out
}

fn string(value: &[u8]) -> Vec<u8> {
    written(PLAIN, &Entry::new_string(b"k", value, None))[3..].to_vec()
}

#[test]
fn lengths() {
    let length = |value| {
        let mut out = Vec::new();
        push_length(&mut out, value);
        out
    };
    assert_eq!(length(63), [63]);
    assert_eq!(length(64), [0x40, 64]);
    assert_eq!(length(16383), [0x7f, 0xff]);
    assert_eq!(length(16384), [0x80, 0, 0, 0x40, 0]);
    assert_eq!(length(0xffff_ffff), [0x80, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(length(1 << 32), [0x81, 0, 0, 0, 1, 0, 0, 0, 0]);
}

#[test]
fn strings() {
    assert_eq!(string(b""), [0]);
    assert_eq!(string(b"-128"), [0xc0, 0x80]);
    assert_eq!(string(b"128"), [0xc1, 0x80, 0]);
    assert_eq!(string(b"-32769"), [0xc2, 0xff, 0x7f, 0xff, 0xff]);
    assert_eq!(string(b"2147483648"), [&[10][..], b"2147483648"].concat());
    assert_eq!(string(b"-0"), [2, b'-', b'0']);
    assert_eq!(string(b"12a"), [3, b'1', b'2', b'a']);
    let options = Options { compresses: true, ..PLAIN };
    let entry = Entry::new_string(b"k", &[b'a'; 100], None);
    assert_eq!(written(options, &entry), [0, 1, b'k', 0xc3, 5, 0x40, 100, 0, b'a', 0xe0, 90, 0]);
}

#[test]
fn what_stands_before_a_key() {
    let entry = Entry::new_string(b"12", b"v", Some(0x0102));
    entry.set_access(7);
    let now = 17_000;
    let idle = written(Options { access: Access::Idle { now }, ..PLAIN }, &entry);
    assert_eq!(idle, [0xfc, 2, 1, 0, 0, 0, 0, 0, 0, 0xf8, 10, 0, 0xc0, 12, 1, b'v']);
    let access = Access::Frequency { now: 0, decay_minutes: 0 };
    let frequency = written(Options { access, ..PLAIN }, &Entry::new_string(b"k", b"v", None));
    assert_eq!(frequency, [0xf9, 0, 0, 1, b'k', 1, b'v']);
}

#[test]
fn the_frame() {
    let mut out = Vec::new();
    push_header(&mut out, Version::Ten, [("redis-bits", "64")]);
    push_select(&mut out, 3);
    push_resize(&mut out, 100, 2);
    push_end(&mut out);
    let expected: [&[u8]; 5] =
        [b"REDIS0010", b"\xfa\x0aredis-bits\xc0\x40", &[0xfe, 3], &[0xfb, 0x40, 100, 2], &[0xff]];
    assert_eq!(out, expected.concat());
}

fn value(options: Options, value: NewValue<'_>) -> Vec<u8> {
    let out = written(options, &Entry::new(b"k", value, None));
    [&out[..1], &out[3..]].concat()
}

#[test]
fn small_collections() {
    let mut ints = Ints::default();
    for int in [-1, 300] {
        ints.insert(int);
    }
    let intset = [11, 12, 2, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 0x2c, 1];
    assert_eq!(value(PLAIN, NewValue::Ints(ints.as_ref())), intset);

    let mut packed = Packed::default();
    [&b"a"[..], b"5"].into_iter().for_each(|text| packed.push(Element::of(text)));
    let listpack = [12, 12, 0, 0, 0, 2, 0, 0x81, b'a', 2, 5, 1, 0xff];
    let in_form = |kind: u8| [&[kind][..], &listpack].concat();
    assert_eq!(value(PLAIN, NewValue::Packed(Kind::Hash, packed.as_ref())), in_form(16));
    assert_eq!(value(PLAIN, NewValue::Packed(Kind::SortedSet, packed.as_ref())), in_form(17));
    assert_eq!(value(PLAIN, NewValue::Packed(Kind::Set, packed.as_ref())), [2, 2, 1, b'a', 0xc0, 5]);
    let newer = Options { version: Version::Twelve, ..PLAIN };
    assert_eq!(value(newer, NewValue::Packed(Kind::Set, packed.as_ref())), in_form(20));

    let mut list = List::default();
    list.push(End::Tail, &[b"a", b"5"], Limit::new(-2));
    let list = NewValue::Object(Box::new(Value::List(list)));
    assert_eq!(value(PLAIN, list), [&[18, 1, 2][..], &listpack].concat());
}

#[test]
fn deadlines_of_fields() {
    let limits = HashLimits { fields: 2, element_bytes: 64 };
    let mut hash = Hash::default();
    for field in [b"a", b"b"] {
        hash.set(field, b"1", Deadline::Ends, limits);
    }
    hash.set_deadline(b"b", Some(1000));
    let hash_of = |hash: &Hash| NewValue::Object(Box::new(Value::Hash(hash.clone())));
    let min = [0xe8, 3, 0, 0, 0, 0, 0, 0];
    let listpack =
        [22, 22, 0, 0, 0, 6, 0, 0x81, b'b', 2, 1, 1, 0xc3, 0xe8, 2, 0x81, b'a', 2, 1, 1, 0, 1, 0xff];
    let packed = value(PLAIN, hash_of(&hash));
    assert_eq!(packed[..9], [&[25][..], &min].concat());
    assert_eq!(packed[10..], listpack[1..]);
    hash.set(b"c", b"1", Deadline::Ends, limits);
    hash.remove(b"a");
    hash.set_deadline(b"c", Some(1063));
    let table = value(PLAIN, hash_of(&hash));
    let pairs: [&[u8]; 2] = [&[1, 1, b'b', 0xc0, 1], &[0x40, 64, 1, b'c', 0xc0, 1]];
    let either = [pairs.concat(), [pairs[1], pairs[0]].concat()];
    assert!(either.iter().any(|pairs| table == [&[24][..], &min, &[2], pairs].concat()), "{table:?}");
}
