//! Commands and options that are newer than the Redis of the distribution, against their documented replies and,
//! where that says more, against a model of a few lines.

mod common;

use common::{Client, Random, Reply, Server, is_redis, seed, skerry, wait_until};

/// The XXH3 digest of no bytes at all, as the algorithm's own description gives it.
const DIGEST_OF_NOTHING: &str = "2d06800538d394c2";

/// A server with four shards; none when real Redis stands in, which is too old for these.
fn server() -> Option<Server> {
    let start = skerry()?;
    if is_redis() { None } else { Some(start.shards(4).spawn()) }
}

#[track_caller]
fn assert_replies(client: &mut Client, cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        assert_eq!(format!("{:?}", client.run(line)), *expected, "{line}");
    }
}

#[test]
fn set_on_a_condition_about_the_value() {
    let Some(server) = server() else { return };
    let cases = [
        ("SET k a IFEQ a", "(nil)"),
        ("EXISTS k", ":0"),
        ("SET k a IFNE b", "+OK"),
        ("SET k b IFEQ x", "(nil)"),
        ("SET k b IFEQ a", "+OK"),
        ("SET k c IFEQ b GET", "\"b\""),
        ("SET k d IFEQ x GET", "\"c\""),
        ("GET k", "\"c\""),
        ("SET k d IFNE c", "(nil)"),
        ("SET k d IFNE x EX 100", "+OK"),
        ("TTL k", ":100"),
        ("SET k e IFEQ d KEEPTTL", "+OK"),
        ("TTL k", ":100"),
        ("SET k e NX IFEQ d", "-ERR syntax error"),
        ("SET k e IFEQ a IFNE b", "-ERR syntax error"),
        ("SET k e IFEQ", "-ERR syntax error"),
    ];
    assert_replies(&mut server.client(), &cases);
}

#[test]
fn digests_name_values() {
    let Some(server) = server() else { return };
    let mut client = server.client();
    assert!(client.run("DIGEST none").is_nil());
    client.command(&["SET", "empty", ""]);
    assert_eq!(client.run("DIGEST empty"), Reply::bulk(DIGEST_OF_NOTHING));
    client.run("SET k value");
    client.run("SET l value");
    let digest = client.run("DIGEST k");
    assert_eq!((digest.bytes().len(), &digest), (16, &client.run("DIGEST l")));
    let digest = digest.text();
    assert_eq!(client.run(&format!("SET k other IFDNE {digest}")), Reply::NilBulk);
    assert_eq!(client.run(&format!("SET k other IFDEQ {DIGEST_OF_NOTHING}")), Reply::NilBulk);
    assert_eq!(client.run(&format!("SET k other IFDEQ {digest}")), Reply::ok());
    assert_eq!(client.run("GET k"), Reply::bulk("other"));
    assert_eq!(client.run(&format!("DELEX k IFDEQ {digest}")), Reply::Integer(0));
    assert_eq!(client.run(&format!("DELEX k IFDNE {digest}")), Reply::Integer(1));
    assert!(client.run("DIGEST").is_error() && client.run("DIGEST a b").is_error());
}

#[test]
fn delete_on_a_condition() {
    let Some(server) = server() else { return };
    let cases = [
        ("DELEX none", ":0"),
        ("DELEX none IFEQ a", ":0"),
        ("SET k a", "+OK"),
        ("DELEX k IFEQ b", ":0"),
        ("DELEX k IFNE a", ":0"),
        ("DELEX k IFEQ a", ":1"),
        ("EXISTS k", ":0"),
        ("SET k a", "+OK"),
        ("DELEX k IFNE b", ":1"),
        ("SET k a", "+OK"),
        ("DELEX k", ":1"),
        ("DELEX", "-ERR wrong number of arguments for \\'delex\\' command"),
    ];
    assert_replies(&mut server.client(), &cases);
    server.client().run("SET k a");
    assert!(server.client().run("DELEX k NOSUCH a").is_error());
    assert!(server.client().run("DELEX k IFEQ").is_error());
}

#[test]
fn set_many_with_a_time() {
    let Some(server) = server() else { return };
    let mut client = server.client();
    // The keys lie on different shards, so each line is a spanning command.
    let cases = [
        ("MSETEX 3 a 1 b 2 c 3", ":1"),
        ("MGET a b c", "[\"1\", \"2\", \"3\"]"),
        ("TTL a", ":-1"),
        ("MSETEX 2 a 4 d 4 NX", ":0"),
        ("MGET a d", "[\"1\", (nil)]"),
        ("MSETEX 2 a 5 d 5 XX", ":0"),
        ("MSETEX 2 d 6 e 6 NX EX 100", ":1"),
        ("TTL d", ":100"),
        ("TTL e", ":100"),
        ("MSETEX 2 d 7 a 7 XX KEEPTTL", ":1"),
        ("TTL d", ":100"),
        ("TTL a", ":-1"),
        ("MSETEX 1 a 8 PXAT 33177117420000", ":1"),
        ("PEXPIRETIME a", ":33177117420000"),
        ("MSETEX 1 a 9", ":1"),
        ("PEXPIRETIME a", ":-1"),
    ];
    assert_replies(&mut client, &cases);
    for wrong in
        ["MSETEX", "MSETEX 2 a 1", "MSETEX 0 a 1", "MSETEX x a 1", "MSETEX 1 a 1 NX XX", "MSETEX 1 a 1 EX 0"]
    {
        assert!(client.run(wrong).is_error(), "{wrong}");
    }
}

#[test]
fn fields_expire_by_themselves() {
    let Some(server) = server() else { return };
    let mut client = server.client();
    for index in 0..200 {
        for line in [
            format!("HSET some:{index} brief 1 lasting 2"),
            format!("HSET gone:{index} brief 1"),
            format!("HPEXPIRE some:{index} 100 FIELDS 1 brief"),
            format!("HPEXPIRE gone:{index} 100 FIELDS 1 brief"),
        ] {
            assert!(!client.run(&line).is_error(), "{line}");
        }
    }
    // Most of these pairs lie on two shards.
    for index in 0..50 {
        client.run(&format!("RENAME gone:{index} moved:{index}"));
        client.run(&format!("COPY gone:{} copied:{index}", index + 100));
    }
    // Counting looks into no hash.
    wait_until("the hashes without fields are gone", 20_000, || client.run("DBSIZE") == Reply::Integer(200));
    for index in 0..200 {
        assert_eq!(format!("{:?}", client.run(&format!("HGETALL some:{index}"))), "[\"lasting\", \"2\"]");
    }
}

#[test]
fn fields_with_times() {
    let Some(server) = server() else { return };
    let cases = [
        ("HSETEX h EX 100 FIELDS 2 a 1 b 2", ":1"),
        ("HTTL h FIELDS 3 a b c", "[:100, :100, :-2]"),
        ("HGETEX h PERSIST FIELDS 1 a", "[\"1\"]"),
        ("HPEXPIREAT h 33177117420000 NX FIELDS 2 a b", "[:1, :0]"),
        ("HPEXPIRETIME h FIELDS 1 a", "[:33177117420000]"),
        ("HPERSIST h FIELDS 2 a c", "[:1, :-2]"),
        ("OBJECT ENCODING h", "\"listpackex\""),
        ("HGETDEL h FIELDS 2 a b", "[\"1\", \"2\"]"),
        ("EXISTS h", ":0"),
        ("HSET h a 1 b 2", ":2"),
        ("HSCAN h 0 NOVALUES", "[\"0\", [\"a\", \"b\"]]"),
        ("HEXPIRE h 100 FIELDS 3 a b c", "[:1, :1, :-2]"),
        ("HTTL h FIELDS 1 a", "[:100]"),
        ("HEXPIRE h 99 GT FIELDS 1 a", "[:0]"),
        ("HPEXPIRE h 200000 GT FIELDS 1 a", "[:1]"),
        ("HPEXPIRE h 0 FIELDS 2 a b", "[:2, :2]"),
        ("HPTTL h FIELDS 1 a", "[:-2]"),
        ("EXISTS h", ":0"),
        ("HPTTL h FIELDS 2 a", "-ERR The `numfields` parameter must match the number of arguments"),
    ];
    assert_replies(&mut server.client(), &cases);
}

#[test]
fn entries_that_groups_need() {
    let Some(server) = server() else { return };
    let cases = [
        ("XADD s 1 a 1", "\"1-0\""),
        ("XADD s ACKED MAXLEN 2 2 a 2", "\"2-0\""),
        ("XADD s 3 a 3", "\"3-0\""),
        ("XADD s 4 a 4", "\"4-0\""),
        ("XGROUP CREATE s g 0", "+OK"),
        ("XTRIM s MAXLEN 0 ACKED", ":0"),
        ("XREADGROUP GROUP g c COUNT 1 STREAMS s >", "[[\"s\", [[\"1-0\", [\"a\", \"1\"]]]]]"),
        ("XDELEX s ACKED IDS 3 1 4 9", "[:2, :2, :2]"),
        ("XACKDEL s g ACKED IDS 2 1 2", "[:1, :-1]"),
        ("XREADGROUP GROUP g c COUNT 1 STREAMS s >", "[[\"s\", [[\"2-0\", [\"a\", \"2\"]]]]]"),
        ("XTRIM s MINID 3 DELREF", ":1"),
        ("XPENDING s g - + 9", "[]"),
        ("XREADGROUP GROUP g c COUNT 1 NOACK STREAMS s >", "[[\"s\", [[\"3-0\", [\"a\", \"3\"]]]]]"),
        ("XTRIM s MAXLEN = 0 ACKED", ":1"),
        ("XLEN s", ":1"),
        ("XDELEX s IDS 1 4", "[:1]"),
    ];
    assert_replies(&mut server.client(), &cases);
}

/// The four newer operations on bits, bit by bit: the first operand, and the others.
fn expected_bits(operation: &str, first: u8, others: &[u8]) -> u8 {
    let any = others.iter().fold(0, |bits, other| bits | other);
    let all = || std::iter::once(first).chain(others.iter().copied());
    match operation {
        "DIFF" => first & !any,
        "DIFF1" => any & !first,
        "ANDOR" => first & any,
        _ => (0..8)
            .filter(|bit| all().filter(|byte| byte >> bit & 1 == 1).count() == 1)
            .map(|bit| 1 << bit)
            .sum(),
    }
}

#[test]
fn newer_bit_operations() {
    let Some(server) = server() else { return };
    let mut client = server.client();
    let mut random = Random::new(seed("newer_bit_operations"));
    for _ in 0..500 {
        let values: Vec<Vec<u8>> = (0..2 + random.below(4))
            .map(|_| {
                let length = random.below(40);
                random.bytes(length)
            })
            .collect();
        let keys: Vec<String> = (0..values.len()).map(|index| format!("operand:{index}")).collect();
        for (key, value) in keys.iter().zip(&values) {
            client.command(&[b"SET".as_slice(), key.as_bytes(), value]);
        }
        let length = values.iter().map(Vec::len).max().unwrap_or(0);
        let byte = |value: &Vec<u8>, index: usize| value.get(index).copied().unwrap_or(0);
        for operation in ["DIFF", "DIFF1", "ANDOR", "ONE"] {
            let mut command = vec!["BITOP", operation, "result"];
            command.extend(keys.iter().map(String::as_str));
            assert_eq!(client.command(&command), Reply::Integer(length as i64));
            let expected: Vec<u8> = (0..length)
                .map(|index| {
                    let others: Vec<u8> = values[1..].iter().map(|value| byte(value, index)).collect();
                    expected_bits(operation, byte(&values[0], index), &others)
                })
                .collect();
            let stored = client.run("GET result");
            assert!(stored.bytes() == expected, "{operation} of {values:?}: {stored:?}");
        }
    }
    assert!(client.run("BITOP DIFF result operand:0").is_error(), "one operand is not enough");
}
