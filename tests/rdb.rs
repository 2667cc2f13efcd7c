//! The format of snapshots against real Redis.

mod common;

use common::{Client, Random, Reply, everything_about, redis, seed, skerry};
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

/// Commands that make keys of every type and encoding, with contents by chance.
fn commands(random: &mut Random) -> Vec<Vec<Vec<u8>>> {
    let mut commands = Vec::new();
    for round in 0..6 {
        let large = round >= 4;
        let mut add = |key: &str, head: &str, tail: Vec<Vec<u8>>| {
            let mut command = vec![head.as_bytes().to_vec(), format!("{key}:{round}").into_bytes()];
            command.extend(tail);
            commands.push(command);
        };
        let count = 1 + random.below(if large { 700 } else { 60 });
        let mut texts = |count: usize| (0..count).map(|_| text(random)).collect::<Vec<_>>();
        add("string", "SET", texts(1));
        add("counter", "INCRBY", vec![(round * 1_000_000_007i64).to_string().into_bytes()]);
        add("list", "RPUSH", texts(count));
        add("list", "LPUSH", vec![vec![b'l'; 9_000]]);
        add("hash", "HSET", texts(2 * count));
        add("set", "SADD", texts(count));
        add("ints", "SADD", (0..count).map(|at| (at as i64 * 70_000).to_string().into_bytes()).collect());
        add("sketch", "PFADD", texts(count));
        let scores = (0..count).map(|_| score(random));
        let scores: Vec<Vec<u8>> = scores.collect();
        let members = (0..count).map(|_| text(random));
        let pairs = scores.into_iter().zip(members).flat_map(|(score, member)| [score, member]);
        add("zset", "ZADD", pairs.collect());
        for at in 0..count {
            let name: &[u8] = if at % 5 == 4 { b"other" } else { b"name" };
            let id = format!("{}-{}", 1 + at / 3, at).into_bytes();
            add("stream", "XADD", vec![id, name.to_vec(), text(random), b"same".to_vec(), text(random)]);
        }
        add("stream", "XDEL", vec![b"1-1".to_vec(), b"2-3".to_vec(), format!("{}-0", count).into_bytes()]);
        let stream = format!("stream:{round}");
        for line in [
            format!("XGROUP CREATE {stream} g 0"),
            format!("XGROUP CREATE {stream} h 2-4"),
            format!("XREADGROUP GROUP g anna COUNT 4 STREAMS {stream} >"),
            format!("XREADGROUP GROUP g berta COUNT 3 STREAMS {stream} >"),
            format!("XACK {stream} g 1-0"),
            format!("PEXPIREAT string:{round} 33000000000{round}"),
            format!("EXPIREAT set:{round} 3300000000"),
        ] {
            commands.push(line.split(' ').map(|word| word.as_bytes().to_vec()).collect());
        }
    }
    commands
}

fn text(random: &mut Random) -> Vec<u8> {
    match random.below(12) {
        0..4 => {
            let length = random.below(20);
            random.bytes(length)
        }
        4..7 => random.between(-70_000, 70_000).to_string().into_bytes(),
        7 => (random.next() as i64).to_string().into_bytes(),
        8 => vec![b'a' + random.below(26) as u8; random.below(400)],
        9 => {
            let length = random.below(150);
            random.bytes(length)
        }
        _ => format!("element number {}", random.below(1000)).into_bytes(),
    }
}

fn score(random: &mut Random) -> Vec<u8> {
    match random.below(6) {
        0 => b"inf".to_vec(),
        1 => b"-0.1".to_vec(),
        2 => format!("{}e{}", random.between(-999, 999), random.between(-200, 200)).into_bytes(),
        3 => format!("{}.{}", random.between(-99, 99), random.below(99999)).into_bytes(),
        _ => random.between(-(1 << 50), 1 << 50).to_string().into_bytes(),
    }
}

fn fill(client: &mut Client, random: &mut Random) {
    for command in commands(random) {
        let reply = client.command(&command);
        assert!(!reply.is_error(), "{reply:?} to {:?}", String::from_utf8_lossy(&command[0]));
    }
}

fn keys(client: &mut Client) -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> =
        client.run("KEYS *").items().iter().map(|key| key.bytes().to_vec()).collect();
    keys.sort();
    keys
}

/// Carries all keys over by DUMP and RESTORE.
fn carry(from: &mut Client, to: &mut Client) {
    for key in keys(from) {
        let payload = from.command(&[b"DUMP", key.as_slice()]);
        let time = from.command(&[b"PEXPIRETIME", key.as_slice()]).integer().max(0).to_string();
        let restore = [b"RESTORE", key.as_slice(), time.as_bytes(), payload.bytes(), b"REPLACE", b"ABSTTL"];
        assert_eq!(to.command(&restore), Reply::ok(), "{}", String::from_utf8_lossy(&key));
    }
}

fn compare(one: &mut Client, other: &mut Client) {
    assert_eq!(keys(one), keys(other));
    for key in keys(one) {
        let name = String::from_utf8_lossy(&key).into_owned();
        let digest = |client: &mut Client| client.command(&[b"DEBUG".as_slice(), b"DIGEST-VALUE", &key]);
        assert_eq!(digest(one), digest(other), "{name}");
        assert_eq!(everything_about(one, &key), everything_about(other, &key), "{name}");
        // Redis 7.0 has no packed sets, and lists of one form only; a string that was changed is a new one elsewhere.
        if !["set", "list", "sketch"].iter().any(|kind| name.starts_with(kind)) {
            let encoding = |client: &mut Client| client.command(&[b"OBJECT".as_slice(), b"ENCODING", &key]);
            assert_eq!(encoding(one), encoding(other), "{name}");
        }
    }
    assert_eq!(one.run("DEBUG DIGEST"), other.run("DEBUG DIGEST"));
}

#[test]
fn values_travel_between_both_servers() {
    let (Some(redis), Some(skerry)) = (redis(), skerry()) else { return };
    let mut random = Random::new(seed("values_travel_between_both_servers"));
    for shards in [1, 4] {
        let (redis, skerry) = (redis.clone().spawn(), skerry.clone().shards(shards).spawn());
        let (mut theirs, mut ours) = (redis.client(), skerry.client());
        for client in [&mut theirs, &mut ours] {
            client.run("SELECT 3");
        }
        fill(&mut theirs, &mut random);
        carry(&mut theirs, &mut ours);
        compare(&mut theirs, &mut ours);
        for client in [&mut theirs, &mut ours] {
            client.run("FLUSHALL");
        }
        fill(&mut ours, &mut random);
        carry(&mut ours, &mut theirs);
        compare(&mut ours, &mut theirs);
    }
}

#[test]
fn fields_keep_their_deadlines() {
    let Some(skerry) = skerry() else { return };
    let server = skerry.shards(2).spawn();
    let mut client = server.client();
    for (key, count) in [("small", 3), ("large", 300)] {
        for field in 0..count {
            client.run(&format!("HSET {key} field{field} {field}"));
        }
        client.run(&format!("HPEXPIREAT {key} 3300000000007 FIELDS 2 field0 field1"));
        let payload = client.run(&format!("DUMP {key}"));
        let copy = format!("copy-of-{key}");
        let restored = client.command(&[b"RESTORE", copy.as_bytes(), b"0", payload.bytes()]);
        assert_eq!(restored, Reply::ok());
        let mut both = |question: &str| [key, &copy].map(|key| client.run(&question.replace("KEY", key)));
        for question in [
            "OBJECT ENCODING KEY",
            "DEBUG DIGEST-VALUE KEY",
            "HLEN KEY",
            "HPEXPIRETIME KEY FIELDS 3 field0 field1 field2",
        ] {
            let [one, other] = both(question);
            assert_eq!(one, other, "{question}");
            assert!(!one.is_error(), "{one:?}");
        }
    }
}

/// Sends keys of one server to another by MIGRATE, some of them missing.
fn migrate(from: &mut Client, to: u16, options: &[&str], keys: &[Vec<u8>]) -> Reply {
    let port = to.to_string();
    let mut words: Vec<&[u8]> = vec![b"MIGRATE", b"127.0.0.1", port.as_bytes(), b"", b"3", b"5000"];
    words.extend(options.iter().map(|option| option.as_bytes()));
    words.push(b"KEYS");
    words.extend(keys.iter().map(Vec::as_slice));
    from.command(&words)
}

#[test]
fn keys_migrate_between_servers() {
    let (Some(redis), Some(skerry)) = (redis(), skerry()) else { return };
    let mut random = Random::new(seed("keys_migrate_between_servers"));
    let starts = [skerry.clone().shards(4), redis, skerry.shards(1)];
    let servers = starts.map(|start| start.spawn());
    let mut clients: Vec<Client> = servers.iter().map(|server| server.client()).collect();
    clients.iter_mut().for_each(|client| drop(client.run("SELECT 3")));
    fill(&mut clients[0], &mut random);
    let all = keys(&mut clients[0]);
    // Those of Redis 7.2 and later that others do not know are none here.
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        let port = servers[to].port();
        assert_eq!(migrate(&mut clients[from], port, &[], &[b"none".to_vec()]).text(), "NOKEY");
        let digest = clients[from].run("DEBUG DIGEST");
        assert_eq!(migrate(&mut clients[from], port, &["COPY"], &all[..3]), Reply::ok());
        assert_eq!(clients[from].run("DEBUG DIGEST"), digest);
        let busy = migrate(&mut clients[from], port, &[], &all[..1]).text();
        assert!(busy.contains("BUSYKEY"), "{busy}");
        assert_eq!(clients[from].run("DEBUG DIGEST"), digest);
        let asked = [&all[..], &[b"none".to_vec()]].concat();
        assert_eq!(migrate(&mut clients[from], port, &["REPLACE"], &asked), Reply::ok());
        assert_eq!(clients[from].run("DBSIZE"), Reply::Integer(0));
        assert_eq!(clients[to].run("DEBUG DIGEST"), digest, "from {from} to {to}");
    }
    let nobody = migrate(&mut clients[0], 1, &[], &all);
    assert!(nobody.text().starts_with("IOERR"), "{nobody:?}");
    assert_eq!(keys(&mut clients[0]), all);
}

#[test]
fn nothing_is_lost_of_what_is_written_during_a_migration() {
    let Some(skerry) = skerry() else { return };
    let (from, to) = (skerry.clone().shards(2).spawn(), skerry.spawn());
    let (mut theirs, mut written) = (to.client(), 0);
    theirs.run("SELECT 3");
    let mut migrating = from.client();
    std::thread::scope(|scope| {
        let (target, source) = (to.port(), &from);
        let migrations = scope.spawn(move || {
            let keys = [b"a".to_vec(), b"b".to_vec()];
            (0..20).map(|_| migrate(&mut migrating, target, &["REPLACE"], &keys)).collect::<Vec<_>>()
        });
        let mut client = source.client();
        while !migrations.is_finished() {
            // The one that migrates takes turns with the one that writes, so that it sometimes comes through.
            std::thread::sleep(std::time::Duration::from_micros(500));
            for key in ["a", "b"] {
                client.run(&format!("RPUSH {key} {written}"));
            }
            written += 1;
        }
        for reply in migrations.join().expect("the one that migrates ends") {
            let text = reply.text();
            assert!(["OK", "NOKEY"].contains(&text.as_str()) || text.starts_with("TRYAGAIN"), "{text}");
        }
    });
    // What is left here comes behind what was taken away last, so the last element is in one place or the other.
    let mut ours = from.client();
    for key in ["a", "b"] {
        let last = |client: &mut Client| client.run(&format!("LINDEX {key} -1")).text();
        let found = [last(&mut ours), last(&mut theirs)];
        assert!(found.contains(&(written - 1).to_string()), "{key}: {found:?}, {written} written");
        let elements = |client: &mut Client| -> Vec<i64> {
            let list = client.run(&format!("LRANGE {key} 0 -1"));
            list.items().iter().map(|item| item.text().parse().expect("a number")).collect()
        };
        // Each list is a run without holes: nothing was cut out of the middle.
        for list in [elements(&mut ours), elements(&mut theirs)] {
            assert!(list.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{list:?}");
        }
    }
}
