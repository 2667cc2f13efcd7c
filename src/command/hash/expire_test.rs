//! Fields with a time to live: replies, effects, and what becomes of fields whose time is over.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::command::case::Case;
use crate::config::Config;
use crate::resp::error::WRONG_TYPE;

/// The clock of a case at its start.
const START: i64 = 1_700_000_000_000;

#[track_caller]
fn assert_replies(case: &mut Case, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        let reply = case.run(line).trim_end().replace("\r\n", " ");
        assert_eq!(reply, *expected, "{line}");
    }
}

/// Cases with a packed hash `h`, with one in a table of its own, and with one too large for its entry: fields `a`, `b`, `c`.
fn cases() -> [Case; 3] {
    let mut cases = [Case::new(), Case::new(), Case::new()];
    cases[1].config = Config::parse("hash-max-listpack-entries 0").unwrap();
    cases[2].config = Config::parse("hash-max-listpack-value 3000").unwrap();
    for case in &mut cases {
        case.run("HSET h a 1 b 2 c 3");
    }
    let long = "x".repeat(2000);
    cases[2].run(&format!("HSET h a {long} b {long}"));
    cases[2].run("HSET h a 1 b 2");
    cases.iter_mut().for_each(|case| drop(case.effects()));
    cases
}

/// One round of the background cycle; what it says about each hash.
fn cycle(case: &mut Case, budget: usize) -> Vec<String> {
    let mut told = Vec::new();
    let mut left = budget;
    case.keyspace.expire_fields_cycle(
        case.now,
        &mut left,
        |_| false,
        |database, key, fields, is_gone| {
            let mut names: Vec<_> = fields.iter().map(|field| String::from_utf8_lossy(field)).collect();
            names.sort();
            let gone = if is_gone { " gone" } else { "" };
            told.push(format!("{database} {} {}{gone}", String::from_utf8_lossy(key), names.join(",")));
        },
    );
    told
}

#[test]
fn fields_expire() {
    for mut case in cases() {
        assert_replies(
            &mut case,
            &[
                ("HEXPIRE h 10 FIELDS 3 a none b", "*3 :1 :-2 :1"),
                ("HTTL h FIELDS 4 a b c none", "*4 :10 :10 :-1 :-2"),
                ("HPTTL h FIELDS 1 a", "*1 :10000"),
                ("HEXPIRETIME h FIELDS 1 a", "*1 :1700000010"),
                ("HPEXPIRETIME h FIELDS 2 a c", "*2 :1700000010000 :-1"),
                ("HPEXPIRE h 500 FIELDS 1 b", "*1 :1"),
                ("HTTL h FIELDS 1 b", "*1 :1"),
            ],
        );
        assert_eq!(
            case.effects(),
            ["HPEXPIREAT h 1700000010000 FIELDS 2 a b", "HPEXPIREAT h 1700000000500 FIELDS 1 b"]
        );
        case.after_ms(500);
        assert_replies(&mut case, &[("HGET h b", "$1 2"), ("HLEN h", ":3")]);
        case.after_ms(1);
        assert_replies(&mut case, &[("HGET h b", "$-1"), ("HLEN h", ":2"), ("HTTL h FIELDS 1 b", "*1 :-2")]);
        assert_eq!(case.effects(), ["HDEL h b"]);
        case.after_ms(10_000);
        assert_replies(&mut case, &[("HGETALL h", "*2 $1 c $1 3"), ("HDEL h a", ":0")]);
        assert_eq!(case.effects(), ["HDEL h a"]);
        assert_eq!(case.keyspace.counters.expired_fields, 2);
    }
}

#[test]
fn the_last_field_takes_the_key_with_it() {
    for mut case in cases() {
        case.run("HEXPIREAT h 1700000001 FIELDS 3 a b c");
        case.effects();
        case.after_ms(1001);
        let version = case.keyspace.watch(0, b"h");
        assert_replies(&mut case, &[("HLEN h", ":0"), ("EXISTS h", ":0")]);
        assert_ne!(case.keyspace.watched_version(0, b"h"), Some(version));
        let effects = case.effects();
        let mut fields: Vec<&str> = effects[0].split(' ').skip(2).collect();
        fields.sort_unstable();
        assert_eq!((effects.len(), fields), (1, vec!["a", "b", "c"]));
        assert!(!case.keyspace.has_due_fields(0, i64::MAX));
    }
}

#[test]
fn the_background_cycle_removes_fields() {
    for mut case in cases() {
        case.run("HPEXPIRE h 100 FIELDS 2 a b");
        case.run("HSET g x 1 y 2");
        case.run("HPEXPIRE g 200 FIELDS 2 x y");
        case.run("COPY g g2 DB 1");
        case.run("RENAME g renamed");
        assert!(cycle(case.after_ms(100), 100).is_empty());
        assert_eq!(cycle(case.after_ms(1), 1).len(), 1, "within the budget");
        assert_eq!(cycle(&mut case, 100).len(), 1);
        assert_replies(&mut case, &[("HGETALL h", "*2 $1 c $1 3")]);
        let mut told = cycle(case.after_ms(100), 100);
        told.sort();
        assert_eq!(told, ["0 renamed x,y gone", "1 g2 x,y gone"]);
        assert_replies(&mut case, &[("EXISTS renamed g2", ":0")]);
        assert!(cycle(case.after_ms(1_000_000), 100).is_empty());
    }
}

#[test]
fn the_index_follows_what_becomes_of_hashes() {
    for mut case in cases() {
        for line in ["DEL h", "SET h x", "FLUSHDB", "RENAME other h"] {
            case.run("HSET h a 1");
            case.run("HSET other a 1");
            case.run("HPEXPIRE h 100 FIELDS 1 a");
            assert!(case.keyspace.has_due_fields(0, i64::MAX));
            if line == "FLUSHDB" {
                let old = case.keyspace.replace_database(0);
                case.keyspace.discard(old);
            } else {
                case.run(line);
            }
            assert!(!case.keyspace.has_due_fields(0, i64::MAX), "{line}");
            case.run("DEL h");
        }
        for line in ["HPERSIST h FIELDS 1 a", "HSET h a 2", "HDEL h a"] {
            case.run("HSET h a 1 b 2");
            case.run("HPEXPIRE h 100 FIELDS 1 a");
            case.run(line);
            assert!(!case.keyspace.has_due_fields(0, i64::MAX), "{line}");
        }
    }
}

#[test]
fn locked_hashes_wait() {
    let [mut case, ..] = cases();
    case.run("HPEXPIRE h 1 FIELDS 3 a b c");
    case.after_ms(2);
    let mut budget = 10;
    case.keyspace.expire_fields_cycle(case.now, &mut budget, |_| true, |_, _, _, _| panic!("it is locked"));
    assert_eq!(budget, 10);
    assert_eq!(cycle(&mut case, 10), ["0 h a,b,c gone"]);
}

#[test]
fn a_pause_hides_fields_and_keeps_them() {
    for mut case in cases() {
        case.run("HPEXPIRE h 100 FIELDS 2 a b");
        case.effects();
        case.after_ms(101).keyspace.keeps_expired = true;
        let lines = [
            ("HLEN h", ":1"),
            ("HGET h a", "$-1"),
            ("HGETALL h", "*2 $1 c $1 3"),
            ("HRANDFIELD h 5", "*1 $1 c"),
            ("HRANDFIELD h", "$1 c"),
            ("HRANDFIELD h -2", "*2 $1 c $1 c"),
            ("HSCAN h 0", "*2 $1 0 *2 $1 c $1 3"),
            ("HEXISTS h b", ":0"),
            ("HSTRLEN h b", ":0"),
            ("HTTL h FIELDS 1 a", "*1 :-2"),
        ];
        assert_replies(&mut case, &lines);
        assert!(case.effects().is_empty());
        case.keyspace.keeps_expired = false;
        assert_replies(&mut case, &[("HLEN h", ":1")]);
        assert_eq!(case.effects().len(), 1);
    }
}

#[test]
fn conditions() {
    for mut case in cases() {
        let lines = [
            ("HPEXPIRE h 1000 XX FIELDS 1 a", "*1 :0"),
            ("HPEXPIRE h 1000 GT FIELDS 1 a", "*1 :0"),
            ("HPEXPIRE h 1000 NX FIELDS 1 a", "*1 :1"),
            ("HPEXPIRE h 2000 NX FIELDS 2 a b", "*2 :0 :1"),
            ("HPEXPIRE h 1500 GT FIELDS 2 a b", "*2 :1 :0"),
            ("HPEXPIRE h 1500 gt FIELDS 2 a b", "*2 :0 :0"),
            ("HPEXPIRE h 1400 LT FIELDS 3 a b c", "*3 :1 :1 :1"),
            ("HPEXPIRE h 1400 LT FIELDS 3 a b c", "*3 :0 :0 :0"),
            ("HPEXPIRE h 3000 xx FIELDS 2 a c", "*2 :1 :1"),
            ("HPTTL h FIELDS 3 a b c", "*3 :3000 :1400 :3000"),
        ];
        assert_replies(&mut case, &lines);
        let effects = case.effects();
        assert_eq!(effects[1], "HPEXPIREAT h 1700000002000 FIELDS 1 b");
        assert_eq!(effects.len(), 5);
    }
}

#[test]
fn a_time_that_is_over_removes_fields() {
    for mut case in cases() {
        let lines = [
            ("HPEXPIREAT h 1 FIELDS 2 a none", "*2 :2 :-2"),
            ("HEXPIRE h 0 FIELDS 2 b b", "*2 :2 :-2"),
            ("HPEXPIRE h 0 XX FIELDS 1 c", "*1 :0"),
            ("HEXPIREAT h 1700000000 FIELDS 1 c", "*1 :2"),
            ("EXISTS h", ":0"),
            ("HEXPIRE h 1 FIELDS 2 a b", "*2 :-2 :-2"),
            ("HTTL h FIELDS 2 a b", "*2 :-2 :-2"),
            ("HPERSIST h FIELDS 1 a", "*1 :-2"),
        ];
        assert_replies(&mut case, &lines);
        assert_eq!(case.effects(), ["HDEL h a", "HDEL h b", "HDEL h c"]);
    }
}

#[test]
fn what_ends_a_deadline_and_what_does_not() {
    for mut case in cases() {
        case.run("HSET h d 4");
        case.run("HEXPIRE h 100 FIELDS 4 a b c d");
        case.effects();
        let lines = [
            ("HINCRBY h a 5", ":6"),
            ("HINCRBYFLOAT h b 0.5", "$3 2.5"),
            ("HTTL h FIELDS 2 a b", "*2 :100 :100"),
            ("HSET h c 7", ":0"),
            ("HSETNX h d 7", ":0"),
            ("HTTL h FIELDS 2 c d", "*2 :-1 :100"),
            ("HPERSIST h FIELDS 3 a c none", "*3 :1 :-1 :-2"),
            ("HPERSIST h FIELDS 1 a", "*1 :-1"),
            ("HTTL h FIELDS 1 a", "*1 :-1"),
        ];
        assert_replies(&mut case, &lines);
        assert_eq!(
            case.effects(),
            [
                "HINCRBY h a 5",
                "HSET h b 2.5",
                "HPEXPIREAT h 1700000100000 FIELDS 1 b",
                "HSET h c 7",
                "HPERSIST h FIELDS 3 a c none"
            ]
        );
        case.after_ms(200_000);
        assert_replies(&mut case, &[("HINCRBY h b 1", ":1"), ("HSETNX h d 1", ":1"), ("HLEN h", ":4")]);
        assert_eq!(case.effects()[1..], ["HINCRBY h b 1", "HSETNX h d 1"]);
    }
}

#[test]
fn encodings_with_deadlines() {
    let [mut packed, mut table, mut large] = cases();
    for (case, before, after) in [
        (&mut packed, "$8 listpack", "$10 listpackex"),
        (&mut table, "$9 hashtable", "$9 hashtable"),
        (&mut large, "$8 listpack", "$10 listpackex"),
    ] {
        assert_replies(case, &[("OBJECT ENCODING h", before), ("HEXPIRE h 10 FIELDS 1 a", "*1 :1")]);
        assert_replies(case, &[("OBJECT ENCODING h", after), ("HPERSIST h FIELDS 1 a", "*1 :1")]);
        assert_replies(
            case,
            &[("OBJECT ENCODING h", after), ("COPY h g", ":1"), ("OBJECT ENCODING g", after)],
        );
    }
}

#[test]
fn arguments_of_expiry() {
    let [mut case, ..] = cases();
    case.put("s", "text");
    let misplaced = "-ERR Mandatory argument FIELDS is missing or not at the right position";
    let mismatch = "-ERR The `numfields` parameter must match the number of arguments";
    let not_positive = "-ERR Number of fields must be a positive integer";
    let lines = [
        ("HEXPIRE h x FIELDS 1 a", "-ERR value is not an integer or out of range"),
        ("HEXPIRE h -1 FIELDS 1 a", "-ERR invalid expire time, must be >= 0"),
        ("HEXPIRE h 9223372036854775807 FIELDS 1 a", "-ERR invalid expire time in 'hexpire' command"),
        ("HPEXPIREAT h 70368744177664 FIELDS 1 a", "-ERR invalid expire time in 'hpexpireat' command"),
        ("HPEXPIREAT h 70368744177663 FIELDS 1 a", "*1 :1"),
        ("HPEXPIRE h 70368744177663 FIELDS 1 a", "-ERR invalid expire time in 'hpexpire' command"),
        ("HEXPIRE h 1 a FIELDS 1 a", misplaced),
        ("HEXPIRE h 1 NX XX FIELDS 1 a", misplaced),
        ("HEXPIRE h 1 NX GT 1 a", misplaced),
        ("HEXPIRE h 1 FIELDS 2 a", mismatch),
        ("HEXPIRE h 1 FIELDS 1 a b", mismatch),
        ("HEXPIRE h 1 FIELDS 0 a", "-ERR Parameter `numFields` should be greater than 0"),
        ("HEXPIRE h 1 FIELDS x a", "-ERR Parameter `numFields` should be greater than 0"),
        ("HTTL h FIELD 1 a", misplaced),
        ("HTTL h FIELDS 0 a", not_positive),
        ("HTTL h FIELDS 2 a", mismatch),
        ("HPERSIST h FIELDS -1 a", not_positive),
        ("HPERSIST h FIELDS 3 a b", mismatch),
        ("HPERSIST h a b c", misplaced),
        ("HTTL none FIELDS 2 a b", "*2 :-2 :-2"),
        ("HTTL none FIELDS 3 a b", mismatch),
        ("HEXPIRE none 1 FIELDS 3 a b", mismatch),
    ];
    assert_replies(&mut case, &lines);
    for line in [
        "HEXPIRE s x FIELDS 1 a",
        "HTTL s FIELD 1 a",
        "HPERSIST s FIELD 1 a",
        "HGETDEL s FIELD 1 a",
        "HGETEX s FIELD 1 a",
        "HSETEX s FIELDS 1 a b",
    ] {
        assert_replies(&mut case, &[(line, &format!("-{WRONG_TYPE}"))]);
    }
}

#[test]
fn get_and_delete() {
    for mut case in cases() {
        let lines = [
            ("HGETDEL h FIELDS 3 a none a", "*3 $1 1 $-1 $-1"),
            ("HGETDEL h FIELDS 1 none", "*1 $-1"),
            ("HGETDEL none FIELDS 2 a b", "*2 $-1 $-1"),
            ("HGETDEL h FIELDS 2 b c", "*2 $1 2 $1 3"),
            ("EXISTS h", ":0"),
            ("HGETDEL h FIELDS 0 a", "-ERR Number of fields must be a positive integer"),
            ("HGETDEL h FIELDS 2 a", "-ERR The `numfields` parameter must match the number of arguments"),
            ("HGETDEL h 1 a b", "-ERR Mandatory argument FIELDS is missing or not at the right position"),
        ];
        assert_replies(&mut case, &lines);
        assert_eq!(case.effects(), ["HDEL h a", "HDEL h b c"]);
    }
}

#[test]
fn get_with_a_time() {
    for mut case in cases() {
        let lines = [
            ("HGETEX h FIELDS 2 a none", "*2 $1 1 $-1"),
            ("HGETEX h EX 10 FIELDS 2 a none", "*2 $1 1 $-1"),
            ("HGETEX h PX 2500 FIELDS 1 b", "*1 $1 2"),
            ("HPTTL h FIELDS 3 a b c", "*3 :10000 :2500 :-1"),
            ("HGETEX h PERSIST FIELDS 2 a c", "*2 $1 1 $1 3"),
            ("HGETEX h EXAT 1700000003 FIELDS 1 a", "*1 $1 1"),
            ("HGETEX h PXAT 1700000004000 FIELDS 1 a", "*1 $1 1"),
            ("HPTTL h FIELDS 3 a b c", "*3 :4000 :2500 :-1"),
            ("HGETEX h PXAT 1 FIELDS 3 a b c", "*3 $1 1 $1 2 $1 3"),
            ("EXISTS h", ":0"),
            ("HGETEX none EX 1 FIELDS 2 a b", "*2 $-1 $-1"),
            ("HGETEX h EX -1 FIELDS 1 a", "-ERR invalid expire time, must be >= 0"),
            (
                "HGETEX h EX 1 PX 1 FIELDS 1 a",
                "-ERR Mandatory argument FIELDS is missing or not at the right position",
            ),
            ("HGETEX h FIELDS 1 a b", "-ERR The `numfields` parameter must match the number of arguments"),
        ];
        assert_replies(&mut case, &lines);
        assert_eq!(
            case.effects(),
            [
                "HPEXPIREAT h 1700000010000 FIELDS 1 a",
                "HPEXPIREAT h 1700000002500 FIELDS 1 b",
                "HPERSIST h FIELDS 1 a",
                "HPEXPIREAT h 1700000003000 FIELDS 1 a",
                "HPEXPIREAT h 1700000004000 FIELDS 1 a",
                "HDEL h a b c"
            ]
        );
    }
}

#[test]
fn set_with_a_time() {
    for mut case in cases() {
        let lines = [
            ("HSETEX h FNX FIELDS 2 d 4 a 9", ":0"),
            ("HSETEX h FXX FIELDS 2 d 4 a 9", ":0"),
            ("HSETEX none FXX FIELDS 1 a 1", ":0"),
            ("HMGET h a d", "*2 $1 1 $-1"),
            ("HSETEX h FNX EX 10 FIELDS 2 d 4 e 5", ":1"),
            ("HTTL h FIELDS 2 d e", "*2 :10 :10"),
            ("HSETEX h FXX KEEPTTL FIELDS 2 d 6 a 7", ":1"),
            ("HTTL h FIELDS 2 d a", "*2 :10 :-1"),
            ("HSETEX h FIELDS 1 d 8", ":1"),
            ("HTTL h FIELDS 1 d", "*1 :-1"),
            ("HMGET h a d e", "*3 $1 7 $1 8 $1 5"),
            ("HSETEX h PXAT 1 FIELDS 2 a 1 f 1", ":1"),
            ("HMGET h a f", "*2 $-1 $-1"),
            ("HSETEX none PXAT 1 FIELDS 1 a 1", ":1"),
            ("EXISTS none", ":0"),
        ];
        assert_replies(&mut case, &lines);
        assert_eq!(
            case.effects(),
            [
                "HSET h d 4 e 5",
                "HPEXPIREAT h 1700000010000 FIELDS 1 d",
                "HPEXPIREAT h 1700000010000 FIELDS 1 e",
                "HSET h d 6 a 7",
                "HPEXPIREAT h 1700000010000 FIELDS 1 d",
                "HSET h d 8",
                "HDEL h a f",
                "HDEL none a"
            ]
        );
        let arity = "-ERR wrong number of arguments for 'hsetex' command";
        let expirations = "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified";
        let errors = [
            ("HSETEX h FIELDS 2 a 1", arity),
            ("HSETEX h FIELDS 1 a 1 b", arity),
            ("HSETEX h FNX EX 1 FIELDS", arity),
            ("HSETEX h FNX EX 1 KEEPTTL", expirations),
            ("HSETEX h EX 1 PX 1 FIELDS 1 a 1", expirations),
            ("HSETEX h FNX FXX FIELDS 1 a 1", "-ERR Only one of FXX or FNX arguments can be specified"),
            ("HSETEX h NX FIELDS 1 a 1", "-ERR unknown argument: NX"),
            ("HSETEX h FIELDS 0 a 1", "-ERR invalid number of fields"),
            ("HSETEX h EX x FIELDS 1 a 1", "-ERR value is not an integer or out of range"),
        ];
        assert_replies(&mut case, &errors);
    }
    assert_eq!(Case::new().now, START);
}

/// Value and deadline by field, of each hash.
type Model = BTreeMap<String, BTreeMap<String, (String, Option<i64>)>>;

/// Makes one random change to both, and says what both should have answered.
fn change(case: &mut Case, model: &mut Model, what: u8, names: (u8, u8, u8), left: i64) {
    let key = format!("h{}", names.0 % 3);
    let (field, other) = (format!("f{}", names.1 % 12), format!("h{}", names.2 % 3));
    let at_ms = case.now + left;
    let run = |case: &mut Case, line: &str| case.run(line).trim_end().replace("\r\n", " ");
    match what {
        0..3 => {
            let is_new =
                model.entry(key.clone()).or_default().insert(field.clone(), ("v".into(), None)).is_none();
            assert_eq!(run(case, &format!("HSET {key} {field} v")), format!(":{}", u8::from(is_new)));
        }
        3 | 4 => {
            let found = model.get_mut(&key).and_then(|fields| fields.get_mut(&field));
            let code = if found.is_some() { "1" } else { "-2" };
            found.into_iter().for_each(|(_, deadline)| *deadline = Some(at_ms));
            let line = format!("HPEXPIREAT {key} {at_ms} FIELDS 1 {field}");
            assert_eq!(run(case, &line), format!("*1 :{code}"));
        }
        5 => {
            let found = model.get_mut(&key).and_then(|fields| fields.get_mut(&field));
            let before = found.map(|(_, deadline)| deadline.take());
            let code = before.map_or("-2", |deadline| if deadline.is_some() { "1" } else { "-1" });
            assert_eq!(run(case, &format!("HPERSIST {key} FIELDS 1 {field}")), format!("*1 :{code}"));
        }
        6 => {
            let was_there = model.get_mut(&key).is_some_and(|fields| fields.remove(&field).is_some());
            assert_eq!(run(case, &format!("HDEL {key} {field}")), format!(":{}", u8::from(was_there)));
        }
        7 => {
            assert_eq!(run(case, &format!("COPY {key} {other} REPLACE")).starts_with(":1"), {
                let copied = model.get(&key).cloned().filter(|_| key != other);
                copied.map(|fields| model.insert(other.clone(), fields)).is_some()
            });
        }
        8 => {
            let moved = model.remove(&key);
            let is_moved = moved.is_some();
            moved.into_iter().for_each(|fields| drop(model.insert(other.clone(), fields)));
            assert_eq!(run(case, &format!("RENAME {key} {other}")) == "+OK", is_moved);
        }
        _ => {
            let was_there = model.remove(&key).is_some();
            assert_eq!(run(case, &format!("DEL {key}")), format!(":{}", u8::from(was_there)));
        }
    }
    model.retain(|_, fields| !fields.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn fields_go_when_their_time_comes(
        steps in prop::collection::vec((0u8..10, any::<(u8, u8, u8)>(), 1i64..100, 0i64..60), 0..60),
        is_packed: bool,
    ) {
        let (mut case, mut model) = (Case::new(), Model::new());
        if !is_packed {
            case.config = Config::parse("hash-max-listpack-entries 3").unwrap();
        }
        for (what, names, left, passed) in steps {
            case.after_ms(passed / 10);
            let now = case.now;
            // A hash of which fields are over stands in the index, earliest first, and nothing else does.
            let deadlines = |model: &Model| -> Vec<i64> {
                let earliest = |fields: &BTreeMap<_, (_, Option<i64>)>| fields.values().filter_map(|(_, at)| *at).min();
                model.values().filter_map(earliest).collect()
            };
            let is_due = deadlines(&model).iter().any(|at_ms| *at_ms < now);
            prop_assert_eq!(case.keyspace.database(0).has_due_fields(now), is_due);
            for fields in model.values_mut() {
                fields.retain(|_, (_, deadline)| deadline.is_none_or(|at_ms| at_ms >= now));
            }
            model.retain(|_, fields| !fields.is_empty());
            for key in ["h0", "h1", "h2"] {
                let reply = case.run(&format!("HGETALL {key}"));
                let mut seen: Vec<&str> = reply.split("\r\n").filter(|word| word.starts_with('f')).collect();
                seen.sort_unstable();
                let expected = model.get(key).into_iter().flat_map(|fields| fields.keys().map(String::as_str));
                let mut expected: Vec<&str> = expected.collect();
                expected.sort_unstable();
                prop_assert_eq!(seen, expected);
                let len = format!(":{}\r\n", model.get(key).map_or(0, BTreeMap::len));
                prop_assert_eq!(case.run(&format!("HLEN {key}")), len);
            }
            prop_assert!(!case.keyspace.database(0).has_due_fields(now));
            change(&mut case, &mut model, what, names, left);
            let next = case.keyspace.database_mut(0).next_with_due_fields(i64::MAX, |_| false);
            prop_assert_eq!(next.is_some(), !deadlines(&model).is_empty());
        }
    }
}
