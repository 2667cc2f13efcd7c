//! Tests of templates, bursts and the judging of replies.

use std::collections::HashSet;
use std::rc::Rc;

use super::*;
use crate::reply::Array;

const SHAPE: Shape = Shape { value_size: 3, multi_keys: 10, elements: None };

fn compile(text: &str) -> Template {
    Template::compile(text, SHAPE, &SlotSet::all()).unwrap()
}

fn burst(text: &str, pipeline: usize, owned: &SlotSet, key_count: u64, order: Order) -> Burst {
    Burst::new(Rc::new(compile(text)), pipeline, owned, key_count, order).unwrap()
}

#[test]
fn templates_become_requests() {
    assert_eq!(compile("PING").bytes, b"*1\r\n$4\r\nPING\r\n");
    assert_eq!(compile("set").bytes, b"*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000000\r\n$3\r\nxxx\r\n");
    assert_eq!(
        compile("EXPIRE {a}:__rand__:z 5").bytes,
        b"*3\r\n$6\r\nEXPIRE\r\n$18\r\n{a}:000000000000:z\r\n$1\r\n5\r\n"
    );
    assert_eq!(compile("mget").keys.len(), 10);
    assert_eq!(compile("exec").replies(), 4);
    for bad in
        ["", "GET a ; ; GET b", "GET __rand__:__rand__", "GET __rand:9-1__", "GET __random__", "GET __rand"]
    {
        assert!(Template::compile(bad, SHAPE, &SlotSet::all()).is_err(), "{bad}");
    }
}

#[test]
fn random_keys_stay_in_the_key_space_and_the_seed_fixes_them() {
    let text = |seed| {
        let mut burst = burst("GET k__rand__", 4, &SlotSet::all(), 50, Order::Random(SplitMix(seed)));
        let (bytes, requests) = burst.next();
        assert_eq!(requests, 4);
        String::from_utf8(bytes.to_vec()).unwrap()
    };
    assert_eq!(text(1), text(1));
    assert_ne!(text(1), text(2));
    for line in text(3).lines().filter(|line| line.starts_with('k')) {
        assert!(line[1..].parse::<u64>().unwrap() < 50);
    }
}

#[test]
fn a_sequence_visits_every_owned_key_once() {
    let mut seen = HashSet::new();
    for slots in ["0-8191", "8192-16383"] {
        let mut burst = burst("set", 7, &SlotSet::parse(slots).unwrap(), 1000, Order::Sequential(0));
        loop {
            let (bytes, requests) = burst.next();
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let keys: Vec<String> =
                text.lines().filter(|line| line.starts_with("key:")).map(str::to_owned).collect();
            assert_eq!(keys.len(), requests);
            keys.into_iter().for_each(|key| assert!(seen.insert(key)));
            if requests < 7 {
                break;
            }
        }
    }
    assert_eq!(seen.len(), 1000);
}

#[test]
fn each_key_field_keeps_to_its_slots() {
    let template = compile("MSET a__rand:0-8191__ v a__rand:8192-16383__ v");
    let halves = [SlotSet::parse("0-8191").unwrap(), SlotSet::parse("8192-16383").unwrap()];
    let mut random = Order::Random(SplitMix(9));
    for _ in 0..100 {
        for (key, half) in template.keys.iter().zip(&halves) {
            let digits = draw(&mut random, 1_000_000, &key.hash, Some(&key.slots)).unwrap();
            assert!(half.contains(key.hash.slot(digits)));
        }
    }
    assert!(Burst::new(Rc::new(template), 1, &halves[0], 100, random).is_err());
}

#[test]
fn replies_are_judged() {
    let array = |length, nils| Reply::Array(Array { length, nils, error: None });
    assert_eq!(compile("get").judge(0, Reply::Bulk(3)), Verdict::Right);
    assert_eq!(compile("get").judge(0, Reply::Nil), Verdict::Missing(1));
    assert!(matches!(compile("get").judge(0, Reply::Bulk(4)), Verdict::Wrong(_)));
    assert_eq!(compile("mget").judge(0, array(10, 0)), Verdict::Right);
    assert_eq!(compile("mget").judge(0, array(10, 2)), Verdict::Missing(2));
    assert!(matches!(compile("mget").judge(0, array(9, 0)), Verdict::Wrong(_)));
    assert_eq!(compile("exec").judge(1, Reply::Status), Verdict::Right);
    assert_eq!(compile("exec").judge(3, array(2, 0)), Verdict::Right);
    let failed = Reply::Array(Array { length: 2, nils: 0, error: Some("ERR x".into()) });
    assert_eq!(compile("exec").judge(3, failed), Verdict::Wrong("ERR x".into()));
    assert_eq!(compile("incr a").judge(0, Reply::Integer), Verdict::Right);
    assert_eq!(compile("incr a").judge(0, Reply::Error("ERR y".into())), Verdict::Wrong("ERR y".into()));
}
