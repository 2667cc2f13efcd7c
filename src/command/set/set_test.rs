//! The set family against the replies, encodings and effects of Redis.

use crate::command::case::Case;

fn case(lines: &[&str]) -> Case {
    let mut case = Case::new();
    for line in lines {
        let reply = case.run(line);
        assert!(!reply.starts_with('-'), "{line}: {reply}");
    }
    case.effects();
    case
}

fn check(case: &mut Case, lines: &[(&str, &str)]) {
    for (line, reply) in lines {
        assert_eq!(case.run(line), reply.replace(' ', "\r\n") + "\r\n", "{line}");
    }
}

/// The elements of a reply that is an array of bulk strings, in order.
fn elements(reply: &str) -> Vec<String> {
    let mut elements: Vec<_> = reply.split("\r\n").skip(2).step_by(2).map(String::from).collect();
    elements.sort();
    elements
}

fn encoding(case: &mut Case, key: &str) -> String {
    case.run(&format!("OBJECT ENCODING {key}")).split("\r\n").nth(1).unwrap_or_default().into()
}

#[test]
fn members_come_and_go() {
    let mut case = Case::new();
    check(
        &mut case,
        &[
            ("SADD s foo", ":1"),
            ("SADD s bar foo bar", ":1"),
            ("SADD s bar", ":0"),
            ("SCARD s", ":2"),
            ("SISMEMBER s foo", ":1"),
            ("SISMEMBER s ooh", ":0"),
            ("SMISMEMBER s ooh bar foo", "*3 :0 :1 :1"),
            ("SMISMEMBER none a", "*1 :0"),
            ("SREM s none", ":0"),
            ("SREM s foo none foo", ":1"),
            ("SMEMBERS s", "*1 $3 bar"),
            ("SREM s bar more", ":1"),
            ("EXISTS s", ":0"),
            ("SREM s bar", ":0"),
            ("SMEMBERS s", "*0"),
            ("SCARD s", ":0"),
            ("SISMEMBER s a", ":0"),
        ],
    );
    assert_eq!(
        case.effects(),
        ["SADD s foo", "SADD s bar foo bar", "SREM s foo none foo", "SREM s bar more"]
    );
    assert_eq!(case.keyspace.counters.dirty, 4);
    case.resp3();
    check(&mut case, &[("SMEMBERS s", "~0"), ("SADD s a", ":1"), ("SMEMBERS s", "~1 $1 a")]);
}

#[test]
fn other_types_are_refused() {
    let mut case = case(&["SADD s a"]);
    case.put("string", "x");
    for line in [
        "SADD string a",
        "SREM string a",
        "SCARD string",
        "SMEMBERS string",
        "SISMEMBER string a",
        "SMISMEMBER string a",
        "SPOP string",
        "SPOP string 0",
        "SRANDMEMBER string",
        "SRANDMEMBER string 0",
        "SMOVE string s a",
        "SMOVE s string a",
        "SMOVE s string none",
        "SSCAN string 0",
        "SINTER none string",
        "SINTERCARD 2 none string",
        "SINTERSTORE d none string",
        "SUNION s string",
        "SUNIONSTORE d string",
        "SDIFF none string",
        "SDIFFSTORE d s string",
    ] {
        let reply = case.run(line);
        assert_eq!(reply, "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", "{line}");
    }
    check(&mut case, &[("SMOVE none string a", ":0"), ("GET string", "$1 x")]);
    assert!(case.run("GET s").starts_with("-WRONGTYPE") && case.run("INCR s").starts_with("-WRONGTYPE"));
    assert!(case.effects().is_empty());
}

#[test]
fn encodings_are_those_of_redis() {
    let mut case = Case::new();
    for (line, name) in [
        ("SADD a 1 2", "intset"),
        ("SADD a x", "listpack"),
        ("SADD b x 1", "listpack"),
        ("SREM b x", "listpack"),
        ("SADD c 1 x", "listpack"),
    ] {
        case.run(line);
        assert_eq!(encoding(&mut case, &line[5..6]), name, "{line}");
    }
    let numbers =
        |range: std::ops::Range<usize>| range.map(|number| format!(" {number}")).collect::<String>();
    case.run(&format!("SADD d{}", numbers(0..512)));
    assert_eq!(encoding(&mut case, "d"), "intset");
    case.run("SADD d 512");
    assert_eq!(encoding(&mut case, "d"), "hashtable");
    case.run("SUNIONSTORE e d");
    assert_eq!(encoding(&mut case, "e"), "hashtable");
    case.run("SREM d 512");
    assert_eq!(encoding(&mut case, "d"), "hashtable");
    case.run("SINTERSTORE e d");
    assert_eq!(encoding(&mut case, "e"), "intset");
    case.run("SADD d x");
    case.run("SINTERSTORE e d c");
    assert_eq!(encoding(&mut case, "e"), "listpack");
    case.run("COPY d f");
    assert_eq!((encoding(&mut case, "f"), case.run("SCARD f")), ("hashtable".into(), ":513\r\n".into()));
    case.run("SPOP f 510");
    assert_eq!(encoding(&mut case, "f"), "listpack");
    assert_eq!(case.run("TYPE f") + &case.run("TYPE a") + &case.run("TYPE e"), "+set\r\n+set\r\n+set\r\n");
}

#[test]
fn moves() {
    let mut case = case(&["SADD a 1 x", "SADD b 2"]);
    check(
        &mut case,
        &[
            ("SMOVE a b none", ":0"),
            ("SMOVE none b x", ":0"),
            ("SMOVE a a x", ":1"),
            ("SMOVE a a none", ":0"),
            ("SMOVE a b x", ":1"),
            ("SISMEMBER b x", ":1"),
            ("SADD a 2", ":1"),
            ("SMOVE a b 2", ":1"),
            ("SCARD b", ":2"),
            ("SMOVE a c 1", ":1"),
            ("EXISTS a", ":0"),
        ],
    );
    assert_eq!(encoding(&mut case, "c"), "intset");
    assert_eq!(case.effects(), ["SMOVE a b x", "SADD a 2", "SMOVE a b 2", "SMOVE a c 1"]);
}

#[test]
fn intersections_unions_and_differences() {
    let mut case =
        case(&["SADD a 1 2 3 x y", "SADD b 2 3 x z", "SADD c 3 x", "SADD i 1 2 3", "SADD j 2 3 4"]);
    for (line, members) in [
        ("SINTER a b c", "3 x"),
        ("SINTER a a", "1 2 3 x y"),
        ("SINTER a none", ""),
        ("SINTER i j a", "2 3"),
        ("SUNION a c none", "1 2 3 x y"),
        ("SUNION i j", "1 2 3 4"),
        ("SUNION none", ""),
        ("SDIFF a b", "1 y"),
        ("SDIFF a b none c", "1 y"),
        ("SDIFF none a", ""),
        ("SDIFF a b a", ""),
        ("SDIFF a", "1 2 3 x y"),
        ("SDIFF c a b i j", ""),
    ] {
        let found = elements(&case.run(line));
        assert_eq!(found.join(" "), members, "{line}");
    }
    check(
        &mut case,
        &[
            ("SINTERCARD 2 a b", ":3"),
            ("SINTERCARD 2 a b LIMIT 2", ":2"),
            ("SINTERCARD 2 a b LIMIT 0", ":3"),
            ("SINTERCARD 2 a b limit 10", ":3"),
            ("SINTERCARD 1 none", ":0"),
        ],
    );
    for (line, error) in [
        ("SINTERCARD 0 a", "numkeys should be greater than 0"),
        ("SINTERCARD x a", "numkeys should be greater than 0"),
        ("SINTERCARD 2 a", "Number of keys can't be greater than number of args"),
        ("SINTERCARD 1 a b", "syntax error"),
        ("SINTERCARD 1 a LIMIT", "syntax error"),
        ("SINTERCARD 1 a LIMIT -1", "LIMIT can't be negative"),
        ("SINTERCARD 1 a LIMIT x", "LIMIT can't be negative"),
    ] {
        assert_eq!(case.run(line), format!("-ERR {error}\r\n"), "{line}");
    }
    case.resp3();
    check(&mut case, &[("SINTER c c none", "~0"), ("SDIFF i j", "~1 $1 1"), ("SUNION none", "~0")]);
}

#[test]
fn results_are_stored() {
    let mut case = case(&["SADD a 1 2 x", "SADD b 2 3", "SET d old EX 100"]);
    check(
        &mut case,
        &[
            ("SINTERSTORE d a b", ":1"),
            ("TTL d", ":-1"),
            ("SMEMBERS d", "*1 $1 2"),
            ("SUNIONSTORE d a b", ":4"),
            ("SDIFFSTORE b b a", ":1"),
            ("SMEMBERS b", "*1 $1 3"),
            ("SINTERSTORE d a none", ":0"),
            ("EXISTS d", ":0"),
            ("SDIFFSTORE d none a", ":0"),
        ],
    );
    assert_eq!(
        case.effects(),
        ["SINTERSTORE d a b", "SUNIONSTORE d a b", "SDIFFSTORE b b a", "SINTERSTORE d a none"]
    );
}

/// A difference that is cheaper by removing than by looking up.
#[test]
fn both_ways_to_a_difference() {
    let many: String = (0..600).map(|number| format!(" {number}")).collect();
    let mut case = case(&[&format!("SADD a{many}"), "SADD b 1 2", "SADD c 3 4", "SADD d 5", "SADD e 6"]);
    assert_eq!(case.run("SDIFFSTORE r a b c d e"), ":594\r\n");
    assert_eq!(case.run("SMISMEMBER r 1 5 7"), "*3\r\n:0\r\n:0\r\n:1\r\n");
    assert_eq!(case.run("SDIFFSTORE r a b c d e a"), ":0\r\n");
    assert_eq!(case.run("SDIFFSTORE r b a"), ":0\r\n");
}

#[test]
fn members_are_popped() {
    let mut case = case(&["SADD s a"]);
    check(&mut case, &[("SPOP s", "$1 a"), ("SPOP s", "$-1"), ("SPOP s 3", "*0"), ("EXISTS s", ":0")]);
    assert_eq!(case.effects(), ["SREM s a"]);
    case.run("SADD s 1 2 3");
    assert_eq!(case.run("SPOP s 0"), "*0\r\n");
    assert_eq!(elements(&case.run("SPOP s 4")).join(" "), "1 2 3");
    assert_eq!(case.effects(), ["SADD s 1 2 3", "DEL s"]);
    for (line, error) in [
        ("SPOP s -1", "value is out of range, must be positive"),
        ("SPOP s x", "value is out of range, must be positive"),
        ("SPOP s 1 2", "syntax error"),
        ("SRANDMEMBER s 1 2", "syntax error"),
        ("SRANDMEMBER s x", "value is not an integer or out of range"),
        (
            "SRANDMEMBER s -9223372036854775808",
            "value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ),
    ] {
        assert_eq!(case.run(line), format!("-ERR {error}\r\n"), "{line}");
    }
}

/// The effects of SPOP take out what was answered, whichever way it was drawn.
#[test]
fn what_is_popped_is_what_goes() {
    for (size, name) in [(100, "intset"), (100, "listpack"), (2000, "hashtable")] {
        for count in [1, size / 10, size - 1, size - 30] {
            let members: String = (0..size)
                .map(|number| format!(" {}{number}", if name == "intset" { "" } else { "m" }))
                .collect();
            let mut case = case(&[&format!("SADD s{members}")]);
            assert_eq!(encoding(&mut case, "s"), name);
            let popped = elements(&case.run(&format!("SPOP s {count}")));
            assert_eq!((popped.len(), case.run("SCARD s")), (count, format!(":{}\r\n", size - count)));
            let mut removed: Vec<String> = Vec::new();
            for effect in case.effects() {
                let words: Vec<_> = effect.split(' ').map(String::from).collect();
                assert!(words[..2] == ["SREM", "s"] && words.len() <= 1026);
                removed.extend_from_slice(&words[2..]);
            }
            removed.sort();
            assert_eq!(removed, popped);
        }
    }
}

#[test]
fn random_members() {
    let mut case = case(&["SADD i 1 2 3", "SADD l a b c"]);
    let many: String = (0..300).map(|number| format!(" m{number}")).collect();
    case.run(&format!("SADD t{many}"));
    check(&mut case, &[("SRANDMEMBER none", "$-1"), ("SRANDMEMBER none 3", "*0"), ("SRANDMEMBER i 0", "*0")]);
    assert_eq!(elements(&case.run("SRANDMEMBER i 5")).join(" "), "1 2 3");
    for (key, size) in [("i", 3), ("l", 3), ("t", 300)] {
        assert!(case.run(&format!("SRANDMEMBER {key}")).starts_with('$'));
        for count in [1, 2, (size / 4).max(1), size - 1, size, size + 1] {
            let mut drawn = elements(&case.run(&format!("SRANDMEMBER {key} {count}")));
            drawn.dedup();
            assert_eq!(drawn.len(), count.min(size), "{key} {count}");
            let repeated = case.run(&format!("SRANDMEMBER {key} -{}", 2 * count));
            assert!(repeated.starts_with(&format!("*{}\r\n", 2 * count)));
            drawn.iter().for_each(|member| {
                assert_eq!(case.run(&format!("SISMEMBER {key} {member}")), ":1\r\n");
            });
        }
    }
    assert!(case.effects().len() == 1);
}

#[test]
fn walks() {
    let many: String = (0..1000).map(|number| format!(" m{number}")).collect();
    let mut case = case(&["SADD l a b ab", "SADD i 1 2 21", &format!("SADD t{many}")]);
    check(
        &mut case,
        &[
            ("SSCAN l 0 MATCH a*", "*2 $1 0 *2 $1 a $2 ab"),
            ("SSCAN i 5 COUNT 1", "*2 $1 0 *3 $1 1 $1 2 $2 21"),
            ("SSCAN i 0 MATCH 2* COUNT 1 MATCH 1", "*2 $1 0 *1 $1 1"),
            ("SSCAN none 0 BAD", "*2 $1 0 *0"),
        ],
    );
    for (line, error) in [
        ("SSCAN l x", "invalid cursor"),
        ("SSCAN none x", "invalid cursor"),
        ("SSCAN l 0 COUNT 0", "syntax error"),
        ("SSCAN l 0 COUNT x", "value is not an integer or out of range"),
        ("SSCAN l 0 TYPE set", "syntax error"),
        ("SSCAN l 0 COUNT", "syntax error"),
    ] {
        assert_eq!(case.run(line), format!("-ERR {error}\r\n"), "{line}");
    }
    let (mut cursor, mut seen, mut calls) = ("0".to_owned(), std::collections::BTreeSet::new(), 0);
    loop {
        let reply = case.run(&format!("SSCAN t {cursor} COUNT 20"));
        let lines: Vec<_> = reply.split("\r\n").collect();
        cursor = lines[2].to_owned();
        seen.extend(
            lines[5..].iter().step_by(2).filter(|line| !line.is_empty()).map(|line| line.to_string()),
        );
        calls += 1;
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 1000);
    assert!((20..=50).contains(&calls), "{calls}");
}

#[test]
fn large_sets_move_and_vanish_with_their_keys() {
    let many: String = (0..3000).map(|number| format!(" m{number}")).collect();
    let mut case = case(&[&format!("SADD s{many}")]);
    let bytes = case.keyspace.database(0).memory_usage();
    check(&mut case, &[("RENAME s t", "+OK"), ("SCARD t", ":3000"), ("UNLINK t", ":1"), ("SCARD t", ":0")]);
    assert!(case.keyspace.database(0).memory_usage() < bytes / 10);
    while case.keyspace.free_some(100) > 0 {}
    case.run("SADD s a");
    assert_eq!(case.run("PEXPIRE s 10"), ":1\r\n");
    case.after_ms(20);
    check(&mut case, &[("SADD s b", ":1"), ("SMEMBERS s", "*1 $1 b")]);
    case.effects();
}
