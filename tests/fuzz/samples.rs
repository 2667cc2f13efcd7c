//! Values of every type and form, as they should be: what is written here, and what older versions of Redis wrote.

use skerry::rdb::write::{Access, Options, Version, Writer};
use skerry::store::hash::{Deadline, Hash, HashLimits};
use skerry::store::list::{End, Limit, List};
use skerry::store::set::Set;
use skerry::store::sorted_set::{Limits, SortedSet};
use skerry::store::stream::{Group, NodeLimits, Stream, StreamId};
use skerry::store::{Entry, NewValue, Value};

/// Types and bodies.
pub fn values() -> Vec<(u8, Vec<u8>)> {
    let mut values: Vec<(u8, Vec<u8>)> = older();
    for version in [Version::Ten, Version::Twelve] {
        for compresses in [false, true] {
            let mut writer = Writer::new(Options { version, compresses, access: Access::Omitted });
            for entry in entries() {
                let mut out = Vec::new();
                writer.push_kind_and_value(&mut out, entry.value());
                values.push((out[0], out[1..].to_vec()));
            }
        }
    }
    values
}

fn on_heap(value: Value) -> Entry {
    Entry::new(b"key", NewValue::Object(Box::new(value)), None)
}

fn entries() -> Vec<Entry> {
    let mut entries = vec![
        Entry::new_string(b"key", b"12345", None),
        Entry::new_string(b"key", b"a string that repeats, that repeats, that repeats itself", None),
    ];
    for count in [1, 5, 40, 600] {
        let config = skerry::config::Config::default();
        let (mut list, mut hash, mut late) = (List::default(), Hash::default(), Hash::default());
        let (mut set, mut ints, mut scores) = (Set::default(), Set::default(), SortedSet::default());
        let limits = HashLimits { fields: 128, element_bytes: 64 };
        for number in 0..count {
            let text = if number % 3 == 0 { number.to_string() } else { format!("element {number}") };
            let text = text.as_bytes();
            list.push(End::Tail, &[text], Limit::new(-2));
            hash.set(text, text, Deadline::Ends, limits);
            late.set(text, text, Deadline::Ends, limits);
            late.set_deadline(text, (number % 2 == 0).then_some(3_300_000_000_000 + number));
            set.add(text, &config);
            ints.add((number * number * 1000).to_string().as_bytes(), &config);
            scores.update(text, Limits { members: 128, member_bytes: 64 }, |_| Some(number as f64 / 3.0));
        }
        let values = [Value::List(list), Value::Hash(hash), Value::Hash(late), Value::Set(set)];
        entries.extend(values.map(on_heap));
        entries.extend([Value::Set(ints), Value::SortedSet(scores), stream(count as u64)].map(on_heap));
    }
    entries
}

fn stream(count: u64) -> Value {
    let mut stream = Stream::default();
    for number in 1..=count {
        let name: &[u8] = if number % 7 == 0 { b"other" } else { b"name" };
        let fields = [name, b"value", b"second", b"17"];
        let limits = NodeLimits { bytes: 4096, entries: 20 };
        stream.log.append(StreamId::new(number / 4, number), &fields, limits);
    }
    stream.log.delete(StreamId::new(0, 2));
    let mut group = Group::new(StreamId::new(1, 5), Some(5));
    for (name, id) in [(&b"anna"[..], 1), (b"berta", 3)] {
        group.add_consumer(name, 1_700_000_000_000);
        group.assign(StreamId::new(0, id), name, 1_700_000_000_000, 2);
    }
    stream.add_group(b"g", group);
    stream.add_group(b"h", Group::new(StreamId::MIN, None));
    Value::Stream(Box::new(stream))
}

/// Types that only older versions, or release candidates, wrote.
fn older() -> Vec<(u8, Vec<u8>)> {
    let string = |bytes: &[u8]| [&[bytes.len() as u8][..], bytes].concat();
    let ziplist = b"\x17\0\0\0\x12\0\0\0\x04\0\x00\x01a\x03\xf2\x02\x01b\x03\xc0\x10\x27\xff";
    let zipmap = b"\x02\x03foo\x03\x01barX\x05hello\x00\x00\xff";
    let triples = b"\x0f\0\0\0\x03\0\x81b\x02\x01\x01\xc3\xe8\x02\xff";
    let pairs = b"\x01a\x031.5\x01b\xfe";
    vec![
        (1, b"\x03\x01a\xc0\x05\x01b".to_vec()),
        (2, b"\x02\xc0\x05\x01a".to_vec()),
        (3, [&[2][..], pairs].concat()),
        (4, b"\x02\x01a\x01b\x01c\x01d".to_vec()),
        (9, string(zipmap)),
        (10, string(ziplist)),
        (12, string(ziplist)),
        (13, string(ziplist)),
        (14, [&[2][..], &string(ziplist), &string(ziplist)].concat()),
        (22, b"\x02\x00\x01a\x011\x43\xe8\x01b\x012".to_vec()),
        (23, string(triples)),
    ]
}
