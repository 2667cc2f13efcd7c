//! Reading what we write, what older versions wrote, and what nobody wrote.

use proptest::prelude::*;

use super::*;
use crate::config::Config;
use crate::rdb::write::{self, Access, Options, Version, Writer};
use crate::store::hash::{Deadline, Hash, HashLimits};
use crate::store::list::{End, Limit, List};
use crate::store::set::{Set, SetView};
use crate::store::sorted_set::{Limits, SortedSet};
use crate::store::stream::{Group, NodeLimits, Stream, StreamId};
use crate::store::value::{Collection, Stored};
use crate::store::{Entry, NewValue, Value, ValueRef};

const NOW: UnixMillis = 1_700_000_000_000;

fn raw(kind: u8, body: &[u8]) -> RawEntry {
    let (key, body) = (b"k".to_vec(), body.to_vec());
    RawEntry { expire_ms: None, access: RawAccess::Unknown, kind, key, body, offset: 9 }
}

fn entry_of<T: Collection>(collection: T) -> Entry {
    match collection.into_stored() {
        Stored::Packed(packed) => Entry::new(b"k", NewValue::Packed(T::KIND, packed.as_ref()), None),
        Stored::Ints(ints) => Entry::new(b"k", NewValue::Ints(ints.as_ref()), None),
        Stored::Value(value) => Entry::new(b"k", NewValue::Object(Box::new(value)), None),
    }
}

/// A string of up to 63 bytes, or of up to 16383.
fn string(bytes: &[u8]) -> Vec<u8> {
    let length = match bytes.len() {
        length @ ..64 => vec![length as u8],
        length => vec![0x40 | (length >> 8) as u8, length as u8],
    };
    [&length, bytes].concat()
}

fn config(text: &str) -> Config {
    Config::parse(text).unwrap()
}

/// The form of a value and all its elements as text, those of tables sorted.
fn shown(entry: &Entry) -> (&'static str, Vec<String>) {
    let mut shown: Vec<String> = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let value = entry.value();
    if let Some(string) = entry.string(&mut itoa::Buffer::new()) {
        shown.push(text(string));
    } else if let Some(hash) = Hash::view_in(value) {
        hash.each(|pair| {
            let (mut field, mut value) = (itoa::Buffer::new(), itoa::Buffer::new());
            let deadline = pair.deadline.map_or(String::new(), |at_ms| format!("@{at_ms}"));
            let (field, value) = (pair.field.bytes(&mut field), pair.value.bytes(&mut value));
            shown.push(format!("{}={}{deadline}", text(field), text(value)));
        });
        shown.sort();
    } else if let Some(set) = Set::view_in(value) {
        shown.extend(set.iter().map(|member| text(member.bytes(&mut itoa::Buffer::new()))));
        if matches!(set, SetView::Table(_)) {
            shown.sort();
        }
    } else if let Some(set) = SortedSet::view_in(value) {
        set.visit(0..set.len(), false, |member, score| shown.push(format!("{}={score}", text(member))));
    } else if let Some(list) = List::view_in(value) {
        shown.extend(list.walk(End::Head, 0).map(|item| text(item.bytes(&mut itoa::Buffer::new()))));
    } else if let Some(stream) = Stream::view_in(value) {
        for entry in stream.log.range(StreamId::MIN, StreamId::MAX) {
            let fields = entry.fields.map(|(name, value)| format!(" {}={}", text(name), text(value)));
            shown.push(format!("{}{}", entry.id, fields.collect::<String>()));
        }
        let log = &stream.log;
        let ids = (log.last_id(), log.first_id(), log.max_deleted_id());
        shown.push(format!("{ids:?} {} {}", log.entries_added(), log.len()));
        shown.extend(stream.groups().map(|group| format!("{group:?}")));
    }
    (entry.encoding_name(), shown)
}

#[track_caller]
fn check(kind: u8, body: &[u8], encoding: &str, elements: &[&str]) {
    let entry = decode(&raw(kind, body), &Config::default(), NOW).unwrap();
    let (name, shown) = shown(&entry);
    assert_eq!((name, shown.iter().map(String::as_str).collect::<Vec<_>>()), (encoding, elements.to_vec()));
}

#[track_caller]
fn check_damaged(kind: u8, body: &[u8]) {
    let error = decode(&raw(kind, body), &Config::default(), NOW).expect_err("damaged");
    assert!(matches!(error, RdbError::Damaged { code, offset: 9, .. } if code == kind), "{error}");
}

/// A ziplist of "a", a string of 300 bytes, and integers of all widths.
fn ziplist() -> Vec<u8> {
    let long = [b'x'; 300];
    let entries: [(&[u8], usize); 9] = [
        (&[0x01, b'a'], 0),
        (&[&[0x41, 0x2c][..], &long].concat(), 3),
        (&[0xf3], 303),
        (&[0xfe, 0x80], 6),
        (&[0xc0, 0x00, 0x80], 3),
        (&[0xf0, 0, 0, 0x80], 4),
        (&[0xd0, 0, 0, 0, 0x80], 5),
        (&[0xe0, 0, 0, 0, 0, 0, 0, 0, 0x80], 6),
        (&[0x80, 0, 0, 0, 1, b'b'], 10),
    ];
    let mut bytes = vec![0; 10];
    for (entry, before) in entries {
        match before {
            0..254 => bytes.push(before as u8),
            _ => bytes.extend_from_slice(&[&[254][..], &(before as u32).to_le_bytes()].concat()),
        }
        bytes.extend_from_slice(entry);
    }
    bytes.push(0xff);
    let length = bytes.len() as u32;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    // The last entry takes seven bytes.
    bytes[4..8].copy_from_slice(&(length - 8).to_le_bytes());
    bytes[8] = 9;
    bytes
}

fn small_ziplist(items: &[&str]) -> Vec<u8> {
    let mut bytes = vec![0; 10];
    let mut before = 0;
    for item in items {
        bytes.extend_from_slice(&[before, item.len() as u8]);
        bytes.extend_from_slice(item.as_bytes());
        before = item.len() as u8 + 2;
    }
    bytes.push(0xff);
    bytes[0] = bytes.len() as u8;
    bytes[4] = bytes[0] - before - 1;
    bytes[8] = items.len() as u8;
    bytes
}

fn listpack(items: &[&str]) -> Vec<u8> {
    let mut bytes = vec![0; 6];
    for item in items {
        bytes.push(0x80 | item.len() as u8);
        bytes.extend_from_slice(item.as_bytes());
        bytes.push(item.len() as u8 + 1);
    }
    bytes.push(0xff);
    bytes[0] = bytes.len() as u8;
    bytes[4] = items.len() as u8;
    bytes
}

#[test]
fn strings() {
    check(kind::STRING, b"\x03abc", "embstr", &["abc"]);
    check(kind::STRING, b"\xc2\x00\x00\x00\x80", "int", &["-2147483648"]);
    check(kind::STRING, b"\x0312a", "embstr", &["12a"]);
    check(kind::STRING, b"\x80\x00\x00\x00\x0212", "int", &["12"]);
    check(kind::STRING, b"\x81\x00\x00\x00\x00\x00\x00\x00\x02hi", "embstr", &["hi"]);
    check(kind::STRING, b"\xc3\x05\x14\x00a\xe0\x0a\x00", "embstr", &[&"a".repeat(20)]);
}

#[test]
fn ziplists() {
    let long = "x".repeat(300);
    let ints = ["2", "-128", "-32768", "-8388608", "-2147483648", "-9223372036854775808"];
    let all: Vec<&str> = [&["a", &long][..], &ints, &["b"]].concat();
    check(kind::LIST_ZIPLIST, &string(&ziplist()), "listpack", &all);
    let two = [&[2][..], &string(&ziplist()), &string(&small_ziplist(&["c"]))].concat();
    check(kind::LIST_QUICKLIST, &two, "listpack", &[&all[..], &["c"]].concat());
    let pairs = string(&small_ziplist(&["b", "1.5", "a", "7"]));
    check(kind::HASH_ZIPLIST, &pairs, "listpack", &["a=7", "b=1.5"]);
    check(kind::SORTED_SET_ZIPLIST, &pairs, "listpack", &["b=1.5", "a=7"]);
    for (at, byte) in [(4, 9), (13, 2)] {
        let mut broken = ziplist();
        broken[at] = byte;
        check_damaged(kind::LIST_ZIPLIST, &string(&broken));
    }
    check_damaged(kind::HASH_ZIPLIST, &string(&ziplist()));
    check_damaged(kind::HASH_ZIPLIST, &string(&small_ziplist(&["a", "1", "a", "1"])));
    let error = decode(&raw(kind::LIST_ZIPLIST, &string(&small_ziplist(&[]))), &Config::default(), NOW);
    assert!(matches!(error, Err(RdbError::Empty)));
}

#[test]
fn zipmaps() {
    let zipmap = b"\x02\x03foo\x03\x01barX\x05hello\x00\x00\xff";
    check(kind::HASH_ZIPMAP, &string(zipmap), "listpack", &["foo=bar", "hello="]);
    let long = [&b"\xfe\x01a\xfe\x46\x00\x00\x00\x00"[..], &[b'v'; 70], b"\xff"].concat();
    check(kind::HASH_ZIPMAP, &string(&long), "hashtable", &[&format!("a={}", "v".repeat(70))]);
    check_damaged(kind::HASH_ZIPMAP, &string(b"\x01\x01a\xff"));
    check_damaged(kind::HASH_ZIPMAP, &string(b"\x02\x01a\x01\x00b\xff"));
}

#[test]
fn listpacks() {
    let pairs = string(&listpack(&["b", "1.5", "a", "7"]));
    check(kind::HASH_LISTPACK, &pairs, "listpack", &["a=7", "b=1.5"]);
    check(kind::SORTED_SET_LISTPACK, &pairs, "listpack", &["b=1.5", "a=7"]);
    check(kind::SET_LISTPACK, &pairs, "listpack", &["b", "1.5", "a", "7"]);
    let nodes = [&[3, 2][..], &pairs, b"\x01\x03big\x02", &string(&listpack(&[]))].concat();
    check(kind::LIST_QUICKLIST_2, &nodes, "listpack", &["b", "1.5", "a", "7", "big"]);
    let mut unknown_length = listpack(&["x"]);
    unknown_length[4..6].fill(0xff);
    check(kind::SET_LISTPACK, &string(&unknown_length), "listpack", &["x"]);
    for (at, byte) in [(0, 99), (4, 3), (6, 0xf8), (6, 0x82), (8, 9), (8, 0x82), (20, 0)] {
        let mut broken = listpack(&["a", "bc", "d", "ef"]);
        broken[at] = byte;
        check_damaged(kind::SET_LISTPACK, &string(&broken));
    }
}

#[test]
fn deadlines_of_fields() {
    let min = 1000u64.to_le_bytes();
    let early = [&[2][..], b"\x00\x01a\x011", b"\x43\xe8\x01b\x012"].concat();
    check(kind::HASH_DEADLINES_EARLY, &early, "listpackex", &["a=1", "b=2@1000"]);
    let later = [&min[..], &[2], b"\x00\x01a\x011", b"\x03\x01b\x012"].concat();
    check(kind::HASH_DEADLINES, &later, "listpackex", &["a=1", "b=2@1002"]);
    let triples = string(&listpack(&["b", "2", "1002", "a", "1", "0"]));
    check(kind::HASH_LISTPACK_DEADLINES_EARLY, &triples, "listpackex", &["a=1", "b=2@1002"]);
    let later = [&min[..], &triples].concat();
    check(kind::HASH_LISTPACK_DEADLINES, &later, "listpackex", &["a=1", "b=2@1002"]);
    check_damaged(kind::HASH_DEADLINES_EARLY, b"\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01a\x011");
    check_damaged(kind::HASH_LISTPACK_DEADLINES_EARLY, &string(&listpack(&["b", "2", "-1"])));
}

#[test]
fn elements_as_strings() {
    check(kind::LIST, b"\x03\x01a\xc0\x05\x01a", "listpack", &["a", "5", "a"]);
    check(kind::SET, b"\x02\xc0\x05\xc0\x03", "intset", &["3", "5"]);
    check(kind::SET, b"\x02\xc0\x05\x01a", "listpack", &["5", "a"]);
    check(
        kind::SET_INTSET,
        &string(b"\x04\0\0\0\x02\0\0\0\xff\xff\xff\xff\x07\0\0\0"),
        "intset",
        &["-1", "7"],
    );
    check(kind::SORTED_SET, b"\x03\x01a\x031.5\x01b\xfe\x01c\xff", "listpack", &["c=-inf", "a=1.5", "b=inf"]);
    check(kind::SORTED_SET_2, b"\x01\x01a\0\0\0\0\0\0\xf8\x3f", "listpack", &["a=1.5"]);
    check(kind::HASH, b"\x01\x01a\xc0\x05", "listpack", &["a=5"]);
    check_damaged(kind::SET, b"\x02\xc0\x05\xc0\x05");
    check_damaged(kind::HASH, b"\x02\x01a\x01b\x01a\x01b");
    check_damaged(kind::SORTED_SET, b"\x01\x01a\xfd");
    check_damaged(kind::SORTED_SET, b"\x01\x01a\x02xy");
    check_damaged(kind::SORTED_SET_2, b"\x01\x01a\0\0\0\0\0\0\xf8\x7f");
    check_damaged(kind::SET_INTSET, &string(b"\x02\0\0\0\x02\0\0\0\x07\0\x06\0"));
    check_damaged(kind::SET_INTSET, &string(b"\x02\0\0\0\x00\0\0\0"));
    check_damaged(kind::SET_INTSET, &string(b"\x03\0\0\0\x01\0\0\0\x01\0\0"));
    check_damaged(kind::LIST, b"\x02\x01a");
    check_damaged(kind::STRING, b"\x01ab");
    check_damaged(kind::STRING, b"\xc7");
    check_damaged(kind::STRING, b"\x82");
    for kind in [kind::LIST, kind::SET, kind::HASH, kind::SORTED_SET_2, kind::LIST_QUICKLIST_2] {
        assert!(matches!(decode(&raw(kind, b"\x00"), &Config::default(), NOW), Err(RdbError::Empty)));
    }
}

#[test]
fn forms_follow_the_configuration() {
    let name =
        |kind, body: &[u8], text| decode(&raw(kind, body), &config(text), NOW).unwrap().encoding_name();
    let pairs = string(&listpack(&["b", "1.5", "a", "7"]));
    assert_eq!(name(kind::HASH_LISTPACK, &pairs, "hash-max-listpack-entries 1"), "hashtable");
    assert_eq!(name(kind::HASH_LISTPACK, &pairs, "hash-max-listpack-value 1"), "listpack");
    assert_eq!(name(kind::HASH, b"\x01\x01a\x02bc", "hash-max-listpack-value 1"), "hashtable");
    assert_eq!(name(kind::SORTED_SET_LISTPACK, &pairs, "zset-max-listpack-entries 1"), "skiplist");
    assert_eq!(name(kind::SET_LISTPACK, &pairs, "set-max-listpack-entries 3"), "hashtable");
    assert_eq!(name(kind::SET, b"\x02\xc0\x05\x01a", "set-max-intset-entries 1"), "hashtable");
    let ints = string(b"\x02\0\0\0\x02\0\0\0\x01\0\x02\0");
    assert_eq!(name(kind::SET_INTSET, &ints, "set-max-intset-entries 1"), "hashtable");
    assert_eq!(name(kind::LIST, b"\x02\x01a\x01b", "list-max-listpack-size 1"), "quicklist");
}

fn stream_body(kind: u8) -> Vec<u8> {
    // Two entries and a deleted one, of which the second has other names.
    let node = [
        &[2, 1, 1, 1, 1, 1, 0x81, b'n', 2, 0, 1][..],
        &[2, 1, 0, 1, 0, 1, 0x81, b'1', 2, 4, 1],
        &[3, 1, 1, 1, 0, 1, 0x81, b'2', 2, 4, 1],
        &[0, 1, 2, 1, 0xdf, 0xff, 2, 1, 1, 0x81, b'm', 2, 0x81, b'3', 2, 6, 1],
    ]
    .concat();
    let size = node.len() as u8 + 7;
    let node = [&[size, 0, 0, 0, 0xff, 0xff][..], &node, &[0xff]].concat();
    let raw_id = |ms: u64, seq: u64| [ms.to_be_bytes(), seq.to_be_bytes()].concat();
    let mut body = [&[1, 16][..], &raw_id(5, 1), &string(&node), &[2, 7, 0]].concat();
    if kind != kind::STREAM {
        body.extend_from_slice(&[5, 1, 6, 1, 3]);
    }
    body.extend_from_slice(&[1, 1, b'g', 5, 1]);
    if kind != kind::STREAM {
        body.push(1);
    }
    let time = 77u64.to_le_bytes();
    body.extend_from_slice(&[&[1][..], &raw_id(5, 1), &time, &[2, 1, 1, b'c'], &time].concat());
    if kind == kind::STREAM_3 {
        body.extend_from_slice(&66u64.to_le_bytes());
    }
    body.extend_from_slice(&[&[1][..], &raw_id(5, 1)].concat());
    body
}

#[test]
fn streams() {
    for (kind, deleted, added, active) in
        [(kind::STREAM, (0, 0), 2, 77), (kind::STREAM_2, (6, 1), 3, 77), (kind::STREAM_3, (6, 1), 3, 66)]
    {
        let body = stream_body(kind);
        let entry = decode(&raw(kind, &body), &Config::default(), NOW).unwrap();
        let ValueRef::Object(Value::Stream(stream)) = entry.value() else { panic!("no stream") };
        let (_, lines) = shown(&entry);
        assert_eq!(lines[..2], ["5-1 n=1", "7-0 m=3"]);
        let log = &stream.log;
        assert_eq!((log.len(), log.entries_added(), log.last_id()), (2, added, StreamId::new(7, 0)));
        assert_eq!(log.max_deleted_id(), StreamId::new(deleted.0, deleted.1));
        let group = stream.group(b"g").expect("a group");
        assert_eq!((group.entries_read, group.pending_len()), (Some(1), 1));
        let pending = group.pending(StreamId::new(5, 1)).expect("pending");
        assert_eq!((pending.delivered_at, pending.deliveries, &*pending.consumer), (77, 2, &b"c"[..]));
        let consumer = group.consumer(b"c").expect("a consumer");
        assert_eq!((consumer.seen_at, consumer.active_at), (77, Some(active)));
        for length in 0..body.len() {
            check_damaged(kind, &body[..length]);
        }
    }
}

/// A snapshot of one part, with its checksum.
fn sealed(version: u16, parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("REDIS{version:04}").into_bytes();
    bytes.extend_from_slice(&parts.concat());
    bytes.push(code::END);
    let checksum = Checksum::of(&bytes);
    if version >= 5 {
        bytes.extend_from_slice(&checksum.to_le_bytes());
    }
    bytes
}

fn all(bytes: &[u8]) -> Result<Vec<Record>, RdbError> {
    Records::new(bytes, true)?.collect()
}

#[test]
fn large_values_are_written_in_slices() {
    let config = Config::default();
    let (mut set, mut list, mut hash) = (Set::default(), List::default(), Hash::default());
    let (mut scores, mut stream) = (SortedSet::default(), Stream::default());
    for number in 0..20_000u64 {
        let text = format!("element number {number}").into_bytes();
        set.add(&text, &config);
        list.push(End::Tail, &[&text], Limit::new(-2));
        hash.set(&text, &text, Deadline::Ends, HashLimits { fields: 9, element_bytes: 64 });
        scores.update(&text, Limits { members: 9, member_bytes: 64 }, |_| Some(number as f64));
        let limits = NodeLimits { bytes: 4096, entries: 100 };
        stream.log.append(StreamId::new(number + 1, 0), &[b"name", &text], limits);
    }
    let long = Value::String(vec![b'x'; 5 << 20]);
    let long = Entry::new(b"k", NewValue::Object(Box::new(long)), None);
    let entries = [entry_of(set), entry_of(list), entry_of(hash), entry_of(scores), entry_of(stream), long];
    for entry in entries {
        let mut writer =
            Writer::new(Options { version: Version::Ten, compresses: true, access: Access::Omitted });
        let mut bytes = b"REDIS0010".to_vec();
        let (mut slices, mut longest) = (0, 0);
        let mut rest = writer.push_beginning(&mut bytes, &entry);
        while let Some(from) = rest {
            let before = bytes.len();
            rest = writer.push_some(&mut bytes, &entry, from);
            (slices, longest) = (slices + 1, longest.max(bytes.len() - before));
        }
        assert!(slices > 10 && longest < 300 << 10, "{slices} slices of up to {longest} bytes");
        bytes.push(code::END);
        bytes.extend_from_slice(&[0; 8]);
        let Some(Record::Entry(raw)) = all(&bytes).unwrap().pop() else { panic!("no entry") };
        assert_eq!(shown(&decode(&raw, &config, NOW).unwrap()).1, shown(&entry).1);
    }
}

#[test]
fn records() {
    let module = 0x0123_4567_89ab_cc00u64.to_be_bytes();
    let bytes = sealed(
        12,
        &[
            b"\xfa\x01n\xc0\x05",
            b"\xf5\x04code",
            &[
                &[0xf7, 0x81][..],
                &module,
                &[2, 1, 1, 3, 3, 0, 0, 0, 0, 5, 1, b'x', 4, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            ]
            .concat(),
            b"\xfe\x03\xfb\x01\x00",
            b"\xf4\x01\x01\x01",
            b"\xfc\x10\0\0\0\0\0\0\0\xf8\x05\x00\xc0\x07\x01v",
            b"\xfd\x10\0\0\0\xf9\x09\x00\x01k\x01v",
            b"\x00\x01k\x01v",
        ],
    );
    let entry = |expire_ms, access, key: &[u8], offset| {
        let (key, body) = (key.to_vec(), b"\x01v".to_vec());
        Record::Entry(RawEntry { expire_ms, access, kind: 0, key, body, offset })
    };
    let mut records = all(&bytes).unwrap();
    let Some(Record::ModuleAux { name }) = records.get(2) else { panic!("{records:?}") };
    assert_eq!(name.len(), 9);
    records.remove(2);
    let at = bytes.len() as u64 - 9;
    assert_eq!(
        records,
        [
            Record::Aux { name: b"n".to_vec(), value: b"5".to_vec() },
            Record::Function(b"code".to_vec()),
            Record::Select(3),
            Record::Resize { keys: 1, deadlines: 0 },
            entry(Some(16), RawAccess::Idle(5), b"7", at - 5 - 12 - 5),
            entry(Some(16_000), RawAccess::Frequency(9), b"k", at - 5 - 5),
            entry(None, RawAccess::Unknown, b"k", at - 5),
        ]
    );
}

#[test]
fn what_is_no_snapshot() {
    let error = |bytes: &[u8]| all(bytes).expect_err("damaged").to_string();
    assert!(error(b"").contains("at byte 0"));
    assert!(error(b"REDIX0010\xff").contains("REDIS"));
    assert!(error(b"REDIS001x\xff").contains("REDIS"));
    assert!(error(b"REDIS0013\xff").contains("version 13"));
    assert_eq!(error(&sealed(10, &[b"\xfe\x00", &[30]])), "opcode 30 at byte 11 is not known");
    assert!(error(&sealed(10, &[&[7, 1, b'k', 1]])).contains("module"));
    let damaged = error(&sealed(10, &[b"\x00\xc9"]));
    assert_eq!(damaged, "String integrity check failed: a string of unknown form (opcode 0 at byte 9)");
    let mut good = sealed(10, &[b"\x00\x01k\x01v"]);
    assert_eq!(all(&good).unwrap().len(), 1);
    for length in 0..good.len() {
        let error = all(&good[..length]).expect_err("it ends too early").to_string();
        assert!(error.contains("it ends too early"), "{error}");
    }
    let at = good.len() - 9 - 1;
    good[at] ^= 1;
    assert!(error(&good).contains("checksum"));
    assert_eq!(Records::new(&good[..], false).unwrap().map(Result::unwrap).count(), 1);
    let end = good.len() - 8;
    good[end..].fill(0);
    assert_eq!(all(&good).unwrap().len(), 1, "zero is no checksum");
    assert_eq!(all(&sealed(4, &[b"\x00\x01k\x01v"])).unwrap().len(), 1, "there was none before version 5");
}

#[test]
fn no_byte_more_is_read() {
    let bytes = [&sealed(10, &[b"\x00\x01k\x01v"])[..], b"next"].concat();
    let mut records = Records::new(&bytes[..], true).unwrap();
    assert_eq!(records.by_ref().map(Result::unwrap).count(), 1);
    assert!(records.next().is_none());
    assert_eq!(records.into_inner(), b"next");
}

#[test]
fn a_lie_about_a_length_is_not_believed() {
    // Setting aside what the first one announces would panic.
    for lie in [&b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff"[..], b"\x80\xff\xff\xff\xff"] {
        for kind in 0..=25 {
            let bytes = [b"REDIS0010".as_slice(), &[kind, 1, b'k'], lie, lie, lie].concat();
            assert!(all(&bytes).is_err());
            assert!(decode(&raw(kind, &[lie, lie, lie].concat()), &Config::default(), NOW).is_err());
        }
        let compressed = [&[0xc3, 2][..], lie, &[0, b'a']].concat();
        check_damaged(kind::STRING, &compressed);
    }
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..30),
        1 => prop::collection::vec(0..3u8, 60..300),
        1 => (0..20_000usize).prop_map(|length| vec![b'x'; length]),
        2 => any::<i64>().prop_map(|int| int.to_string().into_bytes()),
        4 => (-300i64..300).prop_map(|int| int.to_string().into_bytes()),
    ]
}

fn texts() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop_oneof![prop::collection::vec(text(), 1..20), prop::collection::vec(text(), 100..200)]
}

fn collection() -> impl Strategy<Value = Entry> {
    let score = prop_oneof![any::<f64>(), (-10i32..10).prop_map(f64::from), Just(f64::INFINITY)];
    prop_oneof![
        text().prop_map(|text| Entry::new_string(b"k", &text, None)),
        texts().prop_map(|texts| {
            let mut set = Set::default();
            for text in texts {
                set.add(&text, &Config::default());
            }
            entry_of(set)
        }),
        prop::collection::vec(any::<i64>(), 1..600).prop_map(|ints| {
            let mut set = Set::default();
            for int in ints {
                set.add(int.to_string().as_bytes(), &Config::default());
            }
            entry_of(set)
        }),
        texts().prop_map(|texts| {
            let mut list = List::default();
            for text in texts {
                list.push(End::Tail, &[&text], Limit::new(-2));
            }
            entry_of(list)
        }),
        (texts(), prop::collection::vec(prop::option::of(1..1i64 << 40), 200), any::<bool>()).prop_map(
            |(texts, deadlines, has_deadlines)| {
                let limits = HashLimits { fields: 128, element_bytes: 64 };
                let mut hash = Hash::default();
                for (text, deadline) in texts.iter().zip(deadlines) {
                    hash.set(text, text, Deadline::Ends, limits);
                    if has_deadlines {
                        hash.set_deadline(text, deadline);
                    }
                }
                entry_of(hash)
            }
        ),
        (texts(), prop::collection::vec(score, 200)).prop_map(|(texts, scores)| {
            let mut set = SortedSet::default();
            for (text, score) in texts.iter().zip(scores).filter(|(_, score)| !score.is_nan()) {
                set.update(text, Limits { members: 128, member_bytes: 64 }, |_| Some(score));
            }
            set.update(b"one", Limits { members: 128, member_bytes: 64 }, |_| Some(1.0));
            entry_of(set)
        }),
        (texts(), any::<u16>(), any::<bool>()).prop_map(|(texts, seed, has_groups)| {
            let mut stream = Stream::default();
            let mut id = StreamId::new(1, 0);
            for (number, text) in texts.iter().enumerate() {
                id = match (number + seed as usize) % 3 {
                    0 => StreamId::new(id.ms + u64::from(seed), 0),
                    _ => StreamId::new(id.ms, id.seq + 1),
                };
                let name: &[u8] = if number % 5 == 4 { text } else { b"name" };
                stream.log.append(id, &[name, text], NodeLimits { bytes: 4096, entries: 7 });
                if number % 4 == 3 && number + 1 < texts.len() {
                    stream.log.delete(id);
                }
            }
            if has_groups {
                let mut group = Group::new(id, None);
                for name in texts.iter().take(3) {
                    group.add_consumer(name, NOW);
                    group.consumer_mut(name).expect("just added").active_at = (seed > 9).then_some(7);
                    group.assign(StreamId::new(u64::from(seed), name.len() as u64), name, 5, 9);
                }
                stream.add_group(b"g", group);
                stream.add_group(b"", Group::new(StreamId::MIN, Some(3)));
            }
            entry_of(stream)
        }),
    ]
}

fn written(entry: &Entry, options: Options) -> RawEntry {
    let mut bytes = Vec::new();
    write::push_header(&mut bytes, options.version, []);
    Writer::new(options).push_entry(&mut bytes, entry);
    write::push_end(&mut bytes);
    let checksum = Checksum::of(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    match all(&bytes).expect("just written").pop() {
        Some(Record::Entry(raw)) => raw,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn reads_what_was_written(entry in collection(), compresses in any::<bool>()) {
        let options = Options { version: Version::Twelve, compresses, access: Access::Omitted };
        let read = decode(&written(&entry, options), &Config::default(), NOW).unwrap();
        prop_assert_eq!(shown(&read), shown(&entry));
    }

    #[test]
    fn slices_add_up(entry in collection(), compresses in any::<bool>()) {
        let options = Options { version: Version::Twelve, compresses, access: Access::Omitted };
        let mut writer = Writer::new(options);
        let (mut whole, mut slices) = (Vec::new(), Vec::new());
        writer.push_entry(&mut whole, &entry);
        let mut rest = writer.push_beginning(&mut slices, &entry);
        while let Some(from) = rest {
            let before = slices.len();
            rest = writer.push_some(&mut slices, &entry, from);
            prop_assert!(slices.len() > before, "a slice has something");
        }
        prop_assert!(slices == whole);
    }

    #[test]
    fn the_older_version_loses_forms_and_times_only(entry in collection()) {
        let options = Options { version: Version::Ten, compresses: true, access: Access::Omitted };
        let read = decode(&written(&entry, options), &Config::default(), NOW).unwrap();
        if Stream::view_in(entry.value()).is_none() {
            let (mut one, mut other) = (shown(&read).1, shown(&entry).1);
            one.sort();
            other.sort();
            prop_assert_eq!(one, other);
        }
    }

    #[test]
    fn bears_damage(entry in collection(), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let options = Options { version: Version::Twelve, compresses: false, access: Access::Omitted };
        let mut raw = written(&entry, options);
        for (at, byte) in damage {
            if !raw.body.is_empty() {
                let at = at.index(raw.body.len());
                raw.body[at] = byte;
            }
        }
        if let Ok(entry) = decode(&raw, &Config::default(), NOW) {
            // Whatever was read is sound: it can be walked through, written, and read again.
            let again = decode(&written(&entry, options), &Config::default(), NOW).unwrap();
            prop_assert_eq!(shown(&again), shown(&entry));
        }
    }

}

proptest! {
    #[test]
    fn bears_anything(kind in 0..26u8, body in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = decode(&raw(kind, &body), &Config::default(), NOW);
        let _ = all(&[b"REDIS0010".as_slice(), &[kind, 1, b'k'], &body].concat());
    }
}
