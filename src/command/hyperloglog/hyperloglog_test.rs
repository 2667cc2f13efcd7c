//! HyperLogLogs against the bytes, replies and estimates that Redis makes of the same commands.

use super::registers::{DENSE_BYTES, REGISTERS, dense_get, dense_raise};
use super::sketch::{Sketch, SketchRef, Union};
use crate::command::case::Case;
use crate::store::entry::Entry;
use proptest::prelude::*;

fn check(case: &mut Case, lines: &[(&str, &str)]) {
    for (line, reply) in lines {
        assert_eq!(case.run(line), format!("{reply}\r\n"), "{line}");
    }
}

fn bytes(case: &mut Case, key: &str) -> Vec<u8> {
    let entry = case.keyspace.find(0, key.as_bytes()).unwrap();
    let mut digits = itoa::Buffer::new();
    entry.string(&mut digits).unwrap().to_vec()
}

/// FNV-1a, to compare long strings with what Redis made of the same commands.
fn digest(bytes: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Elements added so far, bytes of the string, its digest, the estimate, and the digest when the estimate is noted.
type Checkpoint = (usize, usize, u64, u64, u64);

const DEFAULT: &[Checkpoint] = &[
    (1, 21, 0xfffb6faeff77f7cd, 1, 0x546d16fdfd2c805a),
    (10, 48, 0x953ea581c3d6700b, 10, 0xd06c25fbeaa23420),
    (100, 285, 0xdc190eeb2be4c6cc, 100, 0x40dec5e3b1513cfa),
    (500, 1068, 0x1295390da0900aba, 506, 0x4785b546f1b4a8cb),
    (1000, 1906, 0x65d14d844e16560d, 1008, 0x4ded8ea0046b668d),
    (1500, 2719, 0xdf8eccb17c30d277, 1509, 0xf02083a1232a1a76),
    (2000, 12304, 0x5864161f4ab7611c, 2000, 0xdd4d26f186b57d33),
    (5000, 12304, 0x359526983ee783b3, 4968, 0x9219c5a2921db657),
];
const SMALL: &[Checkpoint] = &[
    (1, 21, 0xfffb6faeff77f7cd, 1, 0x546d16fdfd2c805a),
    (10, 48, 0x953ea581c3d6700b, 10, 0xd06c25fbeaa23420),
    (100, 12304, 0x62b74495536e7ab5, 100, 0x19a893d5cd6cdb3),
    (500, 12304, 0xca873388f397128d, 506, 0x791103302b3f8090),
    (1000, 12304, 0x522fd980b928be03, 1008, 0x2390895aa41243f7),
];

#[test]
fn strings_are_those_of_redis() {
    for (directive, checkpoints) in [("", DEFAULT), ("hll-sparse-max-bytes 100", SMALL)] {
        let mut case = Case::new();
        case.config = crate::config::Config::parse(directive).unwrap();
        let mut added = 0;
        for &(elements, length, fresh, estimate, noted) in checkpoints {
            while added < elements {
                case.run(&format!("PFADD h e{added}"));
                added += 1;
            }
            let string = bytes(&mut case, "h");
            assert_eq!((string.len(), digest(&string)), (length, fresh), "{directive} {elements}");
            assert_eq!(case.run("PFCOUNT h"), format!(":{estimate}\r\n"), "{directive} {elements}");
            assert_eq!(digest(&bytes(&mut case, "h")), noted, "{directive} {elements}");
        }
    }
}

#[test]
fn unions_are_those_of_redis() {
    let mut case = Case::new();
    for number in 0..300 {
        case.run(&format!("PFADD a e{number}"));
        case.run(&format!("PFADD b x{number}"));
    }
    for number in 0..5000 {
        case.run(&format!("PFADD h e{number}"));
    }
    check(&mut case, &[("PFCOUNT a b", ":598"), ("PFMERGE c a b", "+OK")]);
    let merged = bytes(&mut case, "c");
    assert_eq!((merged.len(), digest(&merged)), (1217, 0xe174e0967167a376));
    check(&mut case, &[("PFCOUNT c", ":598"), ("PFMERGE d a h none", "+OK")]);
    let merged = bytes(&mut case, "d");
    assert_eq!((merged.len(), digest(&merged)), (12304, 0x805246753a1cdada));
    check(&mut case, &[("PFCOUNT d", ":4968"), ("PFCOUNT d none b", ":5263"), ("PFCOUNT none", ":0")]);
    check(&mut case, &[("PFMERGE new", "+OK"), ("PFCOUNT new", ":0"), ("STRLEN new", ":18")]);
}

#[test]
fn changes_and_effects() {
    let mut case = Case::new();
    check(
        &mut case,
        &[
            ("PFADD s a b c", ":1"),
            ("PFADD s a b c", ":0"),
            ("PFDEBUG DECODE s", "$44\r\nZ:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603"),
            ("OBJECT ENCODING s", "$3\r\nraw"),
            ("TYPE s", "+string"),
            ("PFCOUNT s", ":3"),
            ("PFCOUNT s", ":3"),
            ("PFADD empty", ":1"),
            ("PFADD empty", ":0"),
            ("PFDEBUG ENCODING s", "+sparse"),
            ("PFDEBUG TODENSE s", ":1"),
            ("PFDEBUG TODENSE s", ":0"),
            ("PFDEBUG ENCODING s", "+dense"),
            ("PFDEBUG DECODE s", "-ERR HLL encoding is not sparse"),
            ("PFDEBUG DECODE none", "-ERR The specified key does not exist"),
            ("PFDEBUG x s", "-ERR Unknown PFDEBUG subcommand 'x'"),
            ("PFADD s a", ":0"),
            ("PFADD s d", ":1"),
            ("PFCOUNT s", ":4"),
        ],
    );
    assert_eq!(
        case.effects(),
        ["PFADD s a b c", "PFCOUNT s", "PFADD empty", "PFDEBUG TODENSE s", "PFADD s d", "PFCOUNT s"]
    );
    assert!(case.run("PFDEBUG GETREG empty").starts_with("*16384\r\n:0\r\n"));
    case.run("PFADD expiring a");
    case.run("PEXPIRE expiring 10");
    case.after_ms(20);
    check(&mut case, &[("PFCOUNT expiring", ":0"), ("PFADD expiring b", ":1"), ("TTL expiring", ":-1")]);
}

#[test]
fn other_strings_are_refused() {
    let mut case = Case::new();
    case.run("PFADD s a b c");
    let good = bytes(&mut case, "s");
    let mut put = |key: &str, value: &[u8]| {
        let entry = Entry::new_string(key.as_bytes(), value, None);
        case.keyspace.insert(0, entry, case.now);
    };
    put("bad", &good[..good.len() - 1]);
    put("magic", &[b"x", &good[1..]].concat());
    put("short", b"HYLL");
    put("form", &[b"HYLL\x02", &good[5..]].concat());
    put("dense", &[b"HYLL\x00", &good[5..]].concat());
    put("int", b"12");
    let refused = "-WRONGTYPE Key is not a valid HyperLogLog string value.";
    for key in ["magic", "short", "form", "dense", "int"] {
        for line in
            ["PFADD $ a", "PFCOUNT $", "PFCOUNT s $", "PFMERGE d $", "PFMERGE $ s", "PFDEBUG GETREG $"]
        {
            check(&mut case, &[(&line.replace('$', key), refused)]);
        }
    }
    let corrupt = "-INVALIDOBJ Corrupted HLL object detected";
    for line in ["PFCOUNT bad", "PFCOUNT s bad", "PFMERGE d bad", "PFDEBUG TODENSE bad"] {
        check(&mut case, &[(line, corrupt)]);
    }
    case.run("SADD set a");
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    check(
        &mut case,
        &[("PFADD set a", wrong), ("PFCOUNT set", wrong), ("EXISTS d", ":0"), ("GET short", "$4\r\nHYLL")],
    );
}

#[test]
fn the_self_test_passes() {
    use rand::SeedableRng;
    assert_eq!(super::self_test::run(&mut rand::rngs::SmallRng::seed_from_u64(3)), Ok(()));
}

proptest! {
    /// Any bytes behind a good header: nothing panics, and what is dense afterwards is as long as it should be.
    #[test]
    fn nonsense_is_survived(runs in proptest::collection::vec(any::<u8>(), 0..60), elements in 0u32..20) {
        let string = [b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0".as_slice(), &runs].concat();
        let mut sketch = Sketch::of(string).unwrap();
        let _ = sketch.as_ref().estimate();
        let _ = Union::new().add(sketch.as_ref());
        for element in 0..elements {
            let _ = sketch.add(&element.to_le_bytes(), 70);
        }
        if sketch.become_dense().is_ok() {
            prop_assert_eq!(sketch.into_bytes().len(), 16 + DENSE_BYTES);
        }
    }

    /// Sparse registers against plain ones.
    #[test]
    fn sparse_registers_keep_what_they_are_given(
        steps in proptest::collection::vec((prop_oneof![0usize..40, 0..REGISTERS, REGISTERS - 40..REGISTERS], 1u8..34), 1..200),
        sparse_max in prop_oneof![Just(3000usize), 20usize..200],
    ) {
        let (mut sketch, mut model) = (Sketch::new(), vec![0; REGISTERS]);
        for (index, value) in steps {
            prop_assert_eq!(sketch.raise(index, value, sparse_max), Ok(value > model[index]));
            model[index] = value.max(model[index]);
        }
        let is_sparse = sketch.as_ref().is_sparse();
        let string = sketch.clone().into_bytes();
        prop_assert!(!is_sparse || string.len() <= sparse_max);
        prop_assert!(SketchRef::of(&string).is_ok());
        prop_assert_eq!(&sketch.values().unwrap()[..], &model[..]);
    }

    /// Both forms estimate alike, and so does what is merged of several sketches.
    #[test]
    fn merged_registers_are_the_highest(
        sketches in proptest::collection::vec(
            (proptest::collection::vec((prop_oneof![0usize..60, 0..REGISTERS], 1u8..33), 0..80), any::<bool>()),
            1..5,
        ),
        more in proptest::collection::vec(any::<[u8; 3]>(), 0..400),
    ) {
        let (mut union, mut all) = (Union::new(), vec![0; REGISTERS]);
        for (steps, is_dense) in &sketches {
            let (mut sketch, mut model) = (Sketch::new(), vec![0; REGISTERS]);
            for &(index, value) in steps {
                sketch.raise(index, value, 3000).unwrap();
                model[index] = value.max(model[index]);
                all[index] = value.max(all[index]);
            }
            let sparse = sketch.as_ref().estimate();
            if *is_dense {
                prop_assert_eq!(sketch.become_dense(), Ok(true));
                prop_assert_eq!(sketch.as_ref().estimate(), sparse);
            }
            prop_assert_eq!(&sketch.values().unwrap()[..], &model[..]);
            union.add(sketch.as_ref()).unwrap();
        }
        prop_assert_eq!(&union.registers[..], &all[..]);
        prop_assert_eq!(union.is_dense, sketches.iter().any(|(_, is_dense)| *is_dense));
        // Elements change the same registers in a sketch that grows and in one that is dense from the start.
        let (mut sparse, mut dense) = (Sketch::new(), Sketch::new());
        dense.become_dense().unwrap();
        for element in &more {
            prop_assert_eq!(sparse.add(element, 200), dense.add(element, 200));
        }
        prop_assert_eq!(sparse.values().unwrap(), dense.values().unwrap());
        prop_assert_eq!(sparse.as_ref().estimate(), dense.as_ref().estimate());
    }

    #[test]
    fn dense_registers_do_not_disturb_each_other(steps in proptest::collection::vec((0..REGISTERS, 1u8..64), 1..200)) {
        let (mut dense, mut model) = (vec![0; DENSE_BYTES], std::collections::BTreeMap::new());
        for (index, value) in steps {
            let before = model.get(&index).copied().unwrap_or(0);
            prop_assert_eq!(dense_raise(&mut dense, index, value), value > before);
            model.insert(index, value.max(before));
        }
        for (index, value) in model {
            prop_assert_eq!(dense_get(&dense, index), value);
        }
    }
}
