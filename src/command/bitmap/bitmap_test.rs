//! The bitmap family: known answers, and a comparison with a model that keeps one `bool` per bit.

use proptest::prelude::*;

use crate::command::case::Case;

const SYNTAX: &str = "-ERR syntax error\r\n";

fn check(case: &mut Case, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        assert_eq!(&case.run(line), expected, "{line}");
    }
}

#[test]
fn single_bits() {
    let mut case = Case::new();
    let bad_offset = "-ERR bit offset is not an integer or out of range\r\n";
    let bad_bit = "-ERR bit is not an integer or out of range\r\n";
    check(
        &mut case,
        &[
            ("SETBIT k 1 1", ":0\r\n"),
            ("GET k", "$1\r\n@\r\n"),
            ("SETBIT k 1 1", ":1\r\n"),
            ("SETBIT k 23 0", ":0\r\n"),
            ("STRLEN k", ":3\r\n"),
            ("SETBIT k 23 0", ":0\r\n"),
            ("GETBIT k 1", ":1\r\n"),
            ("GETBIT k 100000", ":0\r\n"),
            ("GETBIT none 0", ":0\r\n"),
            ("SET i 1", "+OK\r\n"),
            ("GETBIT i 2", ":1\r\n"),
            ("SETBIT i 6 1", ":0\r\n"),
            ("GET i", "$1\r\n3\r\n"),
            ("SETBIT k -1 1", bad_offset),
            ("SETBIT k 4294967296 1", bad_offset),
            ("SETBIT k #1 1", bad_offset),
            ("GETBIT k x", bad_offset),
            ("SETBIT k 0 2", bad_bit),
            ("SETBIT k 0 -1", bad_bit),
        ],
    );
    let effects = ["SETBIT k 1 1", "SETBIT k 23 0", "SET i 1", "SETBIT i 6 1"];
    assert_eq!(case.effects(), effects, "only what changed something");
}

#[test]
fn counting_and_searching() {
    let mut case = Case::new();
    case.run("SET k foobar");
    check(
        &mut case,
        &[
            ("BITCOUNT k", ":26\r\n"),
            ("BITCOUNT k 0 0", ":4\r\n"),
            ("BITCOUNT k 1 1 BYTE", ":6\r\n"),
            ("BITCOUNT k 5 30 bit", ":17\r\n"),
            ("BITCOUNT k -2 -5", ":0\r\n"),
            ("BITCOUNT k -2 -5 foo", ":0\r\n"),
            ("BITCOUNT k 0", SYNTAX),
            ("BITCOUNT k 0 1 foo", SYNTAX),
            ("BITCOUNT k 0 1 BIT x", SYNTAX),
            ("BITCOUNT none 0 1 foo", ":0\r\n"),
            ("BITCOUNT k a 1", "-ERR value is not an integer or out of range\r\n"),
            ("BITPOS none 0", ":0\r\n"),
            ("BITPOS none 1", ":-1\r\n"),
            ("BITPOS k 1", ":1\r\n"),
            ("BITPOS k 0 0 0", ":0\r\n"),
            ("BITPOS k 2", "-ERR The bit argument must be 1 or 0.\r\n"),
            ("BITPOS k 1 0 1 foo", SYNTAX),
            ("BITPOS k 1 0 1 BIT x", SYNTAX),
            ("BITPOS k 1 4 2", ":-1\r\n"),
        ],
    );
    case.run_arguments(&[b"SET", b"ones", b"\xff\xff\xff"]);
    check(
        &mut case,
        &[
            ("BITPOS ones 0", ":24\r\n"),
            ("BITPOS ones 0 1", ":24\r\n"),
            ("BITPOS ones 0 0 -1", ":-1\r\n"),
            ("BITPOS ones 0 3", ":-1\r\n"),
            ("BITPOS ones 1 7 15 BIT", ":7\r\n"),
        ],
    );
}

#[test]
fn combining() {
    let mut case = Case::new();
    case.run_arguments(&[b"SET", b"x", b"\x0f\xff"]);
    case.run_arguments(&[b"SET", b"y", b"\x3c"]);
    case.run_arguments(&[b"SET", b"z", b"\x05\x01\x80"]);
    case.effects();
    for (line, expected) in [
        ("AND d x y", &b"\x0c\x00"[..]),
        ("OR d x y z", b"\x3f\xff\x80"),
        ("XOR d x y z", b"\x36\xfe\x80"),
        ("NOT d y", b"\xc3"),
        ("DIFF d x y z", b"\x02\xfe\x00"),
        ("DIFF1 d x y z", b"\x30\x00\x80"),
        ("ANDOR d x y z", b"\x0d\x01\x00"),
        ("ONE d x y z", b"\x32\xfe\x80"),
    ] {
        assert_eq!(case.run(&format!("BITOP {line}")), format!(":{}\r\n", expected.len()), "{line}");
        let mut encoded = format!("${}\r\n", expected.len()).into_bytes();
        encoded.extend_from_slice(expected);
        encoded.extend_from_slice(b"\r\n");
        assert_eq!(case.run_arguments(&[b"GET", b"d"]), encoded, "{line}");
    }
    let effects = case.effects();
    assert_eq!(effects[0], "BITOP AND d x y");
    assert!(effects[4].starts_with("SET d "), "older servers do not know DIFF");
    check(
        &mut case,
        &[
            ("BITOP NOT d x y", "-ERR BITOP NOT must be called with a single source key.\r\n"),
            ("BITOP diff d x", "-ERR BITOP DIFF must be called with at least two source keys.\r\n"),
            ("BITOP foo d x", SYNTAX),
            ("BITOP AND d none", ":0\r\n"),
        ],
    );
    assert_eq!(case.run("GET d"), "$-1\r\n");
    assert_eq!(case.effects(), ["BITOP AND d none"]);
    assert_eq!(case.run("BITOP ONE d none"), ":0\r\n");
    assert!(case.effects().is_empty());
}

#[test]
fn fields() {
    let mut case = Case::new();
    let bad_type = "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.\r\n";
    check(
        &mut case,
        &[
            ("BITFIELD k", "*0\r\n"),
            ("BITFIELD k GET u8 0", "*1\r\n:0\r\n"),
            ("BITFIELD k SET i8 0 -1 GET u8 0 GET i8 0", "*3\r\n:0\r\n:255\r\n:-1\r\n"),
            ("BITFIELD k SET u8 #1 65 GET u8 8", "*2\r\n:0\r\n:65\r\n"),
            ("BITFIELD k INCRBY u2 100 1 OVERFLOW SAT INCRBY u2 102 1", "*2\r\n:1\r\n:1\r\n"),
            ("BITFIELD k INCRBY u2 100 3 OVERFLOW SAT INCRBY u2 102 3", "*2\r\n:0\r\n:3\r\n"),
            ("BITFIELD k OVERFLOW FAIL INCRBY u2 102 1 SET u2 102 4", "*2\r\n$-1\r\n$-1\r\n"),
            ("BITFIELD k OVERFLOW SAT SET i8 0 -1000 GET i8 0", "*2\r\n:-1\r\n:-128\r\n"),
            (
                "BITFIELD k SET i64 7 -9223372036854775808 INCRBY i64 7 -1",
                "*2\r\n:2341871806232657920\r\n:9223372036854775807\r\n",
            ),
            ("BITFIELD_RO k GET u63 7", "*1\r\n:4611686018427387903\r\n"),
            ("BITFIELD_RO k SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand\r\n"),
            ("BITFIELD k GET u64 0", bad_type),
            ("BITFIELD k GET i65 0", bad_type),
            ("BITFIELD k GET x8 0", bad_type),
            ("BITFIELD k GET u8", SYNTAX),
            ("BITFIELD k SET u8 0", SYNTAX),
            ("BITFIELD k OVERFLOW foo", "-ERR Invalid OVERFLOW type specified\r\n"),
            ("BITFIELD k GET u8 -1", "-ERR bit offset is not an integer or out of range\r\n"),
            (
                "BITFIELD k GET u8 #9223372036854775807",
                "-ERR bit offset is not an integer or out of range\r\n",
            ),
            ("BITFIELD k SET u8 0 x", "-ERR value is not an integer or out of range\r\n"),
        ],
    );
    case.run("BITFIELD k SET u8 0 0");
    case.effects();
    case.run("BITFIELD k SET u8 0 0 GET u8 0");
    assert!(case.effects().is_empty(), "nothing changed");
    let version = case.keyspace.watch(0, b"grown");
    case.run("BITFIELD grown OVERFLOW FAIL SET u1 0 2");
    assert_eq!(case.keyspace.watched_version(0, b"grown"), Some(version), "watchers are not told");
    assert_eq!(case.effects(), ["BITFIELD grown OVERFLOW FAIL SET u1 0 2"], "replicas grow theirs too");
    case.run("BITFIELD grown SET u1 100 0");
    assert_ne!(case.keyspace.watched_version(0, b"grown"), Some(version), "a step was done");
    case.keyspace.unwatch(0, b"grown");
    case.effects();
}

/// A string as bits, the most significant of each byte first.
fn to_bits(bytes: &[u8]) -> Vec<bool> {
    bytes.iter().flat_map(|byte| (0..8).map(move |at| byte >> (7 - at) & 1 == 1)).collect()
}

fn to_bytes(bits: &[bool]) -> Vec<u8> {
    bits.chunks(8).map(|byte| byte.iter().fold(0, |all, &bit| all << 1 | u8::from(bit))).collect()
}

/// The range that indices name in something of `length`, as the documentation of the commands tells it.
fn model_range(start: i64, end: i64, length: i64) -> Option<(usize, usize)> {
    let absolute = |index: i64| if index < 0 { (length + index).max(0) } else { index };
    let (start, end) = (absolute(start), absolute(end).min(length - 1));
    (start <= end).then_some((start as usize, end as usize))
}

fn integer(reply: &[u8]) -> i64 {
    let text = std::str::from_utf8(reply).expect("text");
    text.trim_start_matches(':').trim_end().parse().expect("an integer")
}

fn stored(case: &mut Case, key: &[u8]) -> Vec<u8> {
    let reply = case.run_arguments(&[b"GET", key]);
    let head = reply.iter().position(|&byte| byte == b'\n').expect("a line") + 1;
    if reply.starts_with(b"$-1") { Vec::new() } else { reply[head..reply.len() - 2].to_vec() }
}

/// Bytes with long runs of equal ones, so that searches get somewhere.
fn bitmap() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => Just(0u8), 3 => Just(0xff), 1 => any::<u8>()];
    prop::collection::vec(byte, 0..40)
}

proptest! {
    #[test]
    fn counts_and_positions(bytes in bitmap(), start in -330i64..330, end in -330i64..330, by_bit: bool, bit: bool) {
        let mut case = Case::new();
        case.run_arguments(&[b"SET", b"k", &bytes]);
        let bits = to_bits(&bytes);
        let scale = if by_bit { 1 } else { 8 };
        let range = model_range(start, end, (bits.len() / scale) as i64);
        let range = range.map(|(first, last)| first * scale..(last + 1) * scale);
        let (start_text, end_text) = (start.to_string(), end.to_string());
        let unit: &[u8] = if by_bit { b"BIT" } else { b"BYTE" };
        let (start_text, end_text) = (start_text.as_bytes(), end_text.as_bytes());

        let crossed = start < 0 && end < 0 && start > end;
        let expected = range.clone().filter(|_| !crossed).map_or(0, |range| bits[range].iter().filter(|bit| **bit).count());
        let count = integer(&case.run_arguments(&[b"BITCOUNT", b"k", start_text, end_text, unit]));
        prop_assert_eq!(count, expected as i64);

        let expected = range.and_then(|range| range.clone().find(|&at| bits[at] == bit)).map_or(-1, |at| at as i64);
        let digit: &[u8] = if bit { b"1" } else { b"0" };
        let found = integer(&case.run_arguments(&[b"BITPOS", b"k", digit, start_text, end_text, unit]));
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn operations(sources in prop::collection::vec(bitmap(), 2..5)) {
        let mut case = Case::new();
        let keys: Vec<String> = (0..sources.len()).map(|number| format!("s{number}")).collect();
        for (key, bytes) in keys.iter().zip(&sources) {
            case.run_arguments(&[b"SET", key.as_bytes(), bytes]);
        }
        let length = sources.iter().map(Vec::len).max().unwrap_or(0);
        let all: Vec<Vec<bool>> = sources
            .iter()
            .map(|bytes| { let mut bits = to_bits(bytes); bits.resize(length * 8, false); bits })
            .collect();
        type Rule = fn(bool, usize, usize) -> bool;
        // By the first source's bit, the number of others that have it, and the number of sources.
        let rules: [(&str, Rule); 7] = [
            ("AND", |first, others, sources| first && others + 1 == sources),
            ("OR", |first, others, _| first || others > 0),
            ("XOR", |first, others, _| (usize::from(first) + others) % 2 == 1),
            ("DIFF", |first, others, _| first && others == 0),
            ("DIFF1", |first, others, _| !first && others > 0),
            ("ANDOR", |first, others, _| first && others > 0),
            ("ONE", |first, others, _| usize::from(first) + others == 1),
        ];
        for (name, rule) in rules {
            let mut arguments: Vec<&[u8]> = vec![b"BITOP", name.as_bytes(), b"d"];
            arguments.extend(keys.iter().map(|key| key.as_bytes()));
            prop_assert_eq!(integer(&case.run_arguments(&arguments)), length as i64);
            let expected: Vec<bool> = (0..length * 8)
                .map(|at| rule(all[0][at], all[1..].iter().filter(|bits| bits[at]).count(), all.len()))
                .collect();
            prop_assert_eq!(stored(&mut case, b"d"), to_bytes(&expected), "{}", name);
        }
    }

    #[test]
    fn set_bits(steps in prop::collection::vec((0usize..300, any::<bool>()), 1..60)) {
        let mut case = Case::new();
        let mut model = Vec::new();
        for (offset, bit) in steps {
            if model.len() <= offset {
                model.resize((offset / 8 + 1) * 8, false);
            }
            let old = std::mem::replace(&mut model[offset], bit);
            let reply = case.run(&format!("SETBIT k {offset} {}", u8::from(bit)));
            prop_assert_eq!(reply, format!(":{}\r\n", u8::from(old)));
        }
        prop_assert_eq!(stored(&mut case, b"k"), to_bytes(&model));
    }

    #[test]
    fn field_steps(steps in prop::collection::vec((any::<bool>(), 1u32..65, 0usize..200, any::<i64>(), 0u8..3, any::<bool>()), 1..30)) {
        let mut case = Case::new();
        let mut model: Vec<bool> = Vec::new();
        for (signed, bits, offset, value, overflow, is_increment) in steps {
            let bits = if signed { bits } else { bits.min(63) };
            let end = offset + bits as usize;
            if model.len() < end {
                model.resize(end.div_ceil(8) * 8, false);
            }
            let raw = model[offset..end].iter().fold(0u128, |all, &bit| all << 1 | u128::from(bit)) as i128;
            let modulus = 1i128 << bits;
            let old = if signed && raw >= modulus / 2 { raw - modulus } else { raw };
            let (least, most) = if signed { (-modulus / 2, modulus / 2 - 1) } else { (0, modulus - 1) };
            let wanted = match (is_increment, signed) {
                (true, _) => old + i128::from(value),
                (false, true) => i128::from(value),
                (false, false) => i128::from(value as u64),
            };
            let fits = (least..=most).contains(&wanted);
            let wrapped = (wanted - least).rem_euclid(modulus) + least;
            let new = match overflow {
                _ if fits => Some(wanted),
                0 => Some(wrapped),
                // As Redis has it: 64 bits do not hold how far the value is from the largest.
                1 if signed && !is_increment && bits < 64 && most - wanted > i128::from(i64::MAX) => Some(most),
                1 => Some(wanted.clamp(least, most)),
                _ => None,
            };
            let line = format!(
                "BITFIELD k OVERFLOW {} {} {}{bits} {offset} {value}",
                ["WRAP", "SAT", "FAIL"][overflow as usize],
                if is_increment { "INCRBY" } else { "SET" },
                if signed { 'i' } else { 'u' },
            );
            let expected = match new {
                None => "*1\r\n$-1\r\n".into(),
                Some(new) => format!("*1\r\n:{}\r\n", if is_increment { new } else { old }),
            };
            prop_assert_eq!(case.run(&line), expected, "{}", line);
            if let Some(new) = new {
                for (at, place) in model[offset..end].iter_mut().rev().enumerate() {
                    *place = new >> at & 1 == 1;
                }
            }
        }
        prop_assert_eq!(stored(&mut case, b"k"), to_bytes(&model));
    }
}
