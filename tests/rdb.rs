//! The format of snapshots against real Redis.

mod common;

use common::{Reply, redis};
use skerry::rdb::Checksum;
use skerry::rdb::write::{self, Access, Options, Version, Writer};
use skerry::store::hash::{Deadline, Hash, HashLimits};
use skerry::store::list::{End, Limit, List};
use skerry::store::packed::{Element, Packed};
use skerry::store::set::Set;
use skerry::store::sorted_set::{Limits, SortedSet};
use skerry::store::stream::{Group, NodeLimits, Stream, StreamId};
use skerry::store::value::Kind;
use skerry::store::{Entry, NewValue, Value};

fn on_heap(value: Value) -> NewValue<'static> {
    NewValue::Object(Box::new(value))
}

fn stream() -> Stream {
    let mut stream = Stream::default();
    let limits = NodeLimits { bytes: 4096, entries: 10 };
    for number in 1..=25u64 {
        let (value, name) = (number.to_string(), if number % 7 == 0 { "other" } else { "name" });
        let fields: [&[u8]; 4] = [name.as_bytes(), value.as_bytes(), b"second", &[b'x'; 70]];
        stream.log.append(StreamId::new(5 + number / 3, number), &fields, limits);
    }
    stream.log.delete(StreamId::new(6, 5));
    let mut group = Group::new(StreamId::new(8, 10), Some(10));
    group.add_consumer(b"anna", 1_700_000_000_000);
    group.add_consumer(b"berta", 1_700_000_000_001);
    group.assign(StreamId::new(6, 4), b"anna", 1_700_000_000_002, 3);
    group.assign(StreamId::new(7, 8), b"anna", 1_700_000_000_003, 1);
    stream.add_group(b"g", group);
    stream.add_group(b"h", Group::new(StreamId::MIN, None));
    stream
}

/// Entries of every type and form.
fn entries() -> Vec<Entry> {
    let config = skerry::config::Config::default();
    let text = |number: usize| format!("element number {number}").into_bytes();
    let limits = HashLimits { fields: 0, element_bytes: 0 };
    let mut packed = Packed::default();
    for text in [&b"field"[..], b"value", b"12", b"-70000"] {
        packed.push(Element::of(text));
    }
    let (mut hash, mut set, mut ints) = (Hash::default(), Set::default(), Set::default());
    let (mut list, mut short, mut scores) = (List::default(), List::default(), SortedSet::default());
    let mut small_scores = SortedSet::default();
    for number in 0..1000 {
        hash.set(&text(number), number.to_string().as_bytes(), Deadline::Ends, limits);
        set.add(&text(number), &config);
        list.push(End::Tail, &[&text(number)], Limit::new(-2));
        scores.update(&text(number), Limits { members: 0, member_bytes: 0 }, |_| Some(number as f64 / 8.0));
    }
    for number in 0..20 {
        ints.add((number * 100_000i64).to_string().as_bytes(), &config);
        short.push(End::Tail, &[number.to_string().as_bytes()], Limit::new(-2));
        let limits = Limits { members: 128, member_bytes: 64 };
        small_scores.update(&text(number as usize), limits, |_| Some(number as f64 * 1.1));
    }
    small_scores.update(b"inf", Limits { members: 128, member_bytes: 64 }, |_| Some(f64::NEG_INFINITY));
    vec![
        Entry::new_string(b"int", b"12345678901", None),
        Entry::new_string(b"text", b"hello", Some(33_000_000_000_000)),
        Entry::new_string(b"long", &b"lorem ipsum ".repeat(10_000), None),
        Entry::new(b"packed hash", NewValue::Packed(Kind::Hash, packed.as_ref()), None),
        Entry::new(b"packed set", NewValue::Packed(Kind::Set, packed.as_ref()), None),
        Entry::new(b"hash", on_heap(Value::Hash(hash)), None),
        Entry::new(b"set", on_heap(Value::Set(set)), None),
        Entry::new(b"ints", on_heap(Value::Set(ints)), None),
        Entry::new(b"list", on_heap(Value::List(list)), None),
        Entry::new(b"short list", on_heap(Value::List(short)), None),
        Entry::new(b"scores", on_heap(Value::SortedSet(scores)), None),
        Entry::new(b"few scores", on_heap(Value::SortedSet(small_scores)), None),
        Entry::new(b"stream", on_heap(Value::Stream(Box::new(stream()))), None),
    ]
}

fn snapshot(entries: &[Entry], options: Options) -> Vec<u8> {
    let mut out = Vec::new();
    write::push_header(&mut out, options.version, [("redis-ver", "7.0.0"), ("ctime", "1700000000")]);
    write::push_select(&mut out, 0);
    write::push_resize(&mut out, entries.len(), 1);
    let mut writer = Writer::new(options);
    entries.iter().for_each(|entry| writer.push_entry(&mut out, entry));
    write::push_end(&mut out);
    let checksum = Checksum::of(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

#[test]
fn redis_loads_what_is_written() {
    let Some(redis) = redis() else { return };
    let directory = tempfile::tempdir().expect("making a directory");
    for compresses in [false, true] {
        let options = Options { version: Version::Ten, compresses, access: Access::Idle { now: 5_000_000 } };
        let bytes = snapshot(&entries(), options);
        std::fs::write(directory.path().join("dump.rdb"), bytes).expect("writing a file");
        let place = directory.path().to_str().expect("a path is text");
        let arguments =
            ["--dir", place, "--sanitize-dump-payload", "yes", "--maxmemory-policy", "allkeys-lru"];
        let server = redis.clone().arguments(&arguments).spawn();
        let mut client = server.client();
        let mut ask = |words: &[&str]| client.command(words);
        assert_eq!(ask(&["DBSIZE"]), Reply::Integer(13));
        assert_eq!(ask(&["GET", "int"]).text(), "12345678901");
        assert_eq!(ask(&["PEXPIRETIME", "text"]), Reply::Integer(33_000_000_000_000));
        assert!(matches!(ask(&["OBJECT", "IDLETIME", "text"]), Reply::Integer(5000..)));
        assert_eq!(ask(&["GET", "long"]).text(), "lorem ipsum ".repeat(10_000));
        assert_eq!(ask(&["HGET", "packed hash", "12"]).text(), "-70000");
        assert_eq!(ask(&["SCARD", "packed set"]), Reply::Integer(4));
        assert_eq!(ask(&["HGET", "hash", "element number 999"]).text(), "999");
        assert_eq!(ask(&["HLEN", "hash"]), Reply::Integer(1000));
        assert_eq!(ask(&["SISMEMBER", "set", "element number 7"]), Reply::Integer(1));
        assert_eq!(ask(&["SISMEMBER", "ints", "1900000"]), Reply::Integer(1));
        assert_eq!(ask(&["LINDEX", "list", "-1"]).text(), "element number 999");
        assert_eq!(ask(&["LLEN", "list"]), Reply::Integer(1000));
        assert_eq!(ask(&["LINDEX", "short list", "5"]).text(), "5");
        assert_eq!(ask(&["ZRANK", "scores", "element number 8"]), Reply::Integer(8));
        assert_eq!(ask(&["ZSCORE", "scores", "element number 9"]).text(), "1.125");
        assert_eq!(ask(&["ZSCORE", "few scores", "inf"]).text(), "-inf");
        assert_eq!(ask(&["XLEN", "stream"]), Reply::Integer(24));
        let entry = ask(&["XRANGE", "stream", "7-7", "7-7"]);
        assert!(format!("{entry:?}").contains("other"), "{entry:?}");
        let info = format!("{:?}", ask(&["XINFO", "STREAM", "stream", "FULL"]));
        for part in ["anna", "berta", "1700000000002"] {
            assert!(info.contains(part), "{part} in {info}");
        }
        let encodings = [("packed hash", "listpack"), ("ints", "intset"), ("few scores", "listpack")];
        for (key, encoding) in encodings {
            assert_eq!(ask(&["OBJECT", "ENCODING", key]).text(), encoding);
        }
    }
}
