//! Replies, events and effects of the hash commands.

use std::collections::BTreeMap;

use crate::command::case::Case;
use crate::config::Config;
use crate::resp::error::WRONG_TYPE;

#[track_caller]
fn assert_replies(case: &mut Case, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        let reply = case.run(line).trim_end().replace("\r\n", " ");
        assert_eq!(reply, *expected, "{line}");
    }
}

/// A hash of numbered fields, set one by one.
fn numbered(case: &mut Case, key: &str, count: usize) {
    for number in 0..count {
        case.run(&format!("HSET {key} field:{number} {number}"));
    }
    case.effects();
}

/// A reply of alternating fields and values as a map.
fn pairs(reply: &str) -> BTreeMap<String, String> {
    let words: Vec<&str> = reply.split("\r\n").skip(2).step_by(2).collect();
    words.chunks_exact(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect()
}

#[test]
fn fields_are_set_and_read() {
    let mut case = Case::new();
    let lines = [
        ("HSET h a 1 b two", ":2"),
        ("HSET h a 3 c 4", ":1"),
        ("HGET h a", "$1 3"),
        ("HGET h none", "$-1"),
        ("HGET none a", "$-1"),
        ("HMGET h a none b", "*3 $1 3 $-1 $3 two"),
        ("HMGET none a b", "*2 $-1 $-1"),
        ("HGETALL h", "*6 $1 a $1 3 $1 b $3 two $1 c $1 4"),
        ("HKEYS h", "*3 $1 a $1 b $1 c"),
        ("HVALS h", "*3 $1 3 $3 two $1 4"),
        ("HGETALL none", "*0"),
        ("HKEYS none", "*0"),
        ("HVALS none", "*0"),
        ("HLEN h", ":3"),
        ("HLEN none", ":0"),
        ("HSTRLEN h b", ":3"),
        ("HSTRLEN h none", ":0"),
        ("HSTRLEN none b", ":0"),
        ("HEXISTS h b", ":1"),
        ("HEXISTS h none", ":0"),
        ("HEXISTS none b", ":0"),
        ("HMSET h d 5", "+OK"),
        ("HSETNX h d 6", ":0"),
        ("HSETNX h e 6", ":1"),
        ("HSETNX g e 6", ":1"),
        ("TYPE g", "+hash"),
        ("HMGET h d e", "*2 $1 5 $1 6"),
        ("HSET h a", "-ERR wrong number of arguments for 'hset' command"),
        ("HSET h a 1 b", "-ERR wrong number of arguments for 'hset' command"),
        ("HMSET h a 1 b", "-ERR wrong number of arguments for 'hmset' command"),
    ];
    assert_replies(&mut case, &lines);
    assert_replies(
        case.resp3(),
        &[("HGETALL g", "%1 $1 e $1 6"), ("HKEYS g", "*1 $1 e"), ("HGETALL none", "%0")],
    );
}

#[test]
fn removing_the_last_field_removes_the_key() {
    let mut case = Case::new();
    case.run("HSET h a 1 b 2 c 3");
    case.effects();
    let lines = [
        ("HDEL h none", ":0"),
        ("HDEL none a", ":0"),
        ("HDEL h a a none", ":1"),
        ("EXISTS h", ":1"),
        ("HDEL h b c d", ":2"),
        ("EXISTS h", ":0"),
    ];
    assert_replies(&mut case, &lines);
    assert_eq!(case.effects(), ["HDEL h a a none", "HDEL h b c d"]);
    case.config = Config::parse("hash-max-listpack-entries 0").unwrap();
    assert_replies(&mut case, &[("HSET h a 1", ":1"), ("HDEL h a", ":1"), ("EXISTS h", ":0")]);
}

#[test]
fn values_of_other_types_are_left_alone() {
    let mut case = Case::new();
    case.put("s", "text");
    let commands = [
        "HSET s a 1",
        "HMSET s a 1",
        "HSETNX s a 1",
        "HGET s a",
        "HMGET s a",
        "HGETALL s",
        "HKEYS s",
        "HVALS s",
        "HLEN s",
        "HSTRLEN s a",
        "HEXISTS s a",
        "HDEL s a",
        "HINCRBY s a 1",
        "HINCRBYFLOAT s a 1",
        "HRANDFIELD s",
        "HRANDFIELD s 1",
        "HSCAN s 0",
    ];
    for command in commands {
        assert_eq!(case.run(command), format!("-{WRONG_TYPE}\r\n"), "{command}");
    }
    assert_eq!((case.run("GET s").as_str(), case.effects().len()), ("$4\r\ntext\r\n", 0));
    case.run("HSET h a 1");
    for command in ["GET h", "APPEND h x", "INCR h", "SETRANGE h 0 x", "GETBIT h 0", "STRLEN h"] {
        assert_eq!(case.run(command), format!("-{WRONG_TYPE}\r\n"), "{command}");
    }
    assert_replies(&mut case, &[("MGET h s", "*2 $-1 $4 text"), ("SET h x", "+OK")]);
}

#[test]
fn encodings_follow_the_configuration() {
    let mut case = Case::new();
    numbered(&mut case, "h", 512);
    assert_eq!(case.run("OBJECT ENCODING h"), "$8\r\nlistpack\r\n");
    case.run("HSET h field:7 again");
    assert_eq!(case.run("OBJECT ENCODING h"), "$8\r\nlistpack\r\n");
    case.run("HSET h one more");
    assert_eq!(case.run("OBJECT ENCODING h"), "$9\r\nhashtable\r\n");
    assert_eq!(case.run("HLEN h"), ":513\r\n");
    let (fits, long) = ("x".repeat(64), "x".repeat(65));
    for (line, name) in [
        (format!("HSET a {fits} {fits}"), "listpack"),
        (format!("HSET a b {long}"), "hashtable"),
        (format!("HSET b {long} b"), "hashtable"),
        (format!("HSETNX a2 b {long}"), "hashtable"),
    ] {
        case.run(&line);
        let key = line.split(' ').nth(1).unwrap();
        let expected = format!("${}\r\n{name}\r\n", name.len());
        assert_eq!(case.run(&format!("OBJECT ENCODING {key}")), expected, "{line}");
    }
    case.config = Config::parse("hash-max-listpack-value 3").unwrap();
    case.run("HINCRBY i a 9999");
    assert_eq!(case.run("OBJECT ENCODING i"), "$9\r\nhashtable\r\n");
}

#[test]
fn packed_hashes_leave_their_entry_when_they_grow() {
    let mut case = Case::new();
    numbered(&mut case, "h", 400);
    assert_eq!(case.run("OBJECT ENCODING h"), "$8\r\nlistpack\r\n");
    let all = pairs(&case.run("HGETALL h"));
    assert_eq!((all.len(), all["field:399"].as_str()), (400, "399"));
    for number in 0..399 {
        case.run(&format!("HDEL h field:{number}"));
    }
    assert_replies(&mut case, &[("HGETALL h", "*2 $9 field:399 $3 399"), ("COPY h g", ":1")]);
    assert_replies(&mut case, &[("RENAME h i", "+OK"), ("HGET i field:399", "$3 399"), ("HLEN g", ":1")]);
}

#[test]
fn integers_in_fields() {
    let mut case = Case::new();
    let lines = [
        ("HINCRBY h a 5", ":5"),
        ("HINCRBY h a -7", ":-2"),
        ("HINCRBY h a x", "-ERR value is not an integer or out of range"),
        ("HSET h b 9223372036854775807 c ' 1' d 1.5 e abc", ":4"),
        ("HINCRBY h b 1", "-ERR increment or decrement would overflow"),
        ("HINCRBY h b -1", ":9223372036854775806"),
        ("HINCRBY h c 1", "-ERR hash value is not an integer"),
        ("HINCRBY h d 1", "-ERR hash value is not an integer"),
        ("HINCRBY h e 1", "-ERR hash value is not an integer"),
        ("HINCRBY none a x", "-ERR value is not an integer or out of range"),
        ("EXISTS none", ":0"),
    ];
    assert_replies(&mut case, &lines);
}

#[test]
fn fractions_in_fields() {
    let mut case = Case::new();
    let lines = [
        ("HINCRBYFLOAT h a 3", "$1 3"),
        ("HINCRBYFLOAT h a 1.1", "$3 4.1"),
        ("HINCRBYFLOAT h a -4.1", "$1 0"),
        ("HINCRBYFLOAT h a x", "-ERR value is not a valid float"),
        ("HINCRBYFLOAT h a inf", "-ERR value is NaN or Infinity"),
        ("HSET h b abc c ' 1' d 1e3", ":3"),
        ("HINCRBYFLOAT h b 1", "-ERR hash value is not a float"),
        ("HINCRBYFLOAT h c 1", "-ERR hash value is not a float"),
        ("HINCRBYFLOAT h d 0.5", "$6 1000.5"),
        ("HINCRBYFLOAT none a x", "-ERR value is not a valid float"),
        ("EXISTS none", ":0"),
    ];
    case.run("HSET h z 1");
    case.effects();
    assert_replies(&mut case, &lines[..2]);
    assert_eq!(case.effects(), ["HSET h a 3", "HSET h a 4.1"]);
    assert_replies(&mut case, &lines[2..]);
}

#[test]
fn random_fields() {
    let mut case = Case::new();
    let lines = [
        ("HRANDFIELD none", "$-1"),
        ("HRANDFIELD none 3", "*0"),
        ("HSET h a 1", ":1"),
        ("HRANDFIELD h", "$1 a"),
        ("HRANDFIELD h 0", "*0"),
        ("HRANDFIELD h 5", "*1 $1 a"),
        ("HRANDFIELD h 5 WITHVALUES", "*2 $1 a $1 1"),
        ("HRANDFIELD h -2 withvalues", "*4 $1 a $1 1 $1 a $1 1"),
        ("HRANDFIELD h 1 x", "-ERR syntax error"),
        ("HRANDFIELD h 1 WITHVALUES x", "-ERR syntax error"),
        ("HRANDFIELD h x", "-ERR value is not an integer or out of range"),
        (
            "HRANDFIELD h -9223372036854775808",
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ),
        ("HRANDFIELD h -9223372036854770000 WITHVALUES", "-ERR value is out of range"),
        ("HRANDFIELD h 9223372036854770000 WITHVALUES", "-ERR value is out of range"),
    ];
    assert_replies(&mut case, &lines);
    assert_replies(
        case.resp3(),
        &[("HRANDFIELD h 1 WITHVALUES", "*1 *2 $1 a $1 1"), ("HRANDFIELD none", "_")],
    );
}

#[test]
fn distinct_random_fields_are_distinct_and_all_come() {
    for size in [30, 600] {
        let mut case = Case::new();
        numbered(&mut case, "h", size);
        let mut seen = BTreeMap::new();
        for round in 0..600 {
            let count = [1, 2, size / 3 + 1, size - 1][round % 4];
            let drawn = pairs(&case.run(&format!("HRANDFIELD h {count} WITHVALUES")));
            assert_eq!(drawn.len(), count);
            assert!(drawn.iter().all(|(field, value)| field.strip_prefix("field:") == Some(value)));
            seen.extend(drawn);
        }
        assert_eq!(seen.len(), size);
        let drawn = case.run(&format!("HRANDFIELD h -{}", 3 * size));
        assert!(drawn.starts_with(&format!("*{}\r\n", 3 * size)));
    }
}

#[test]
fn sorting_by_fields() {
    let mut case = Case::new();
    for line in ["RPUSH l 1 2 3 4", "HSET w_1 f 3", "HSET w_2 f 2 g two", "HSET w_3 f 1", "SET w_4 text"] {
        case.run(line);
    }
    let lines = [
        ("SORT l BY w_*->f", "*4 $1 4 $1 3 $1 2 $1 1"),
        ("SORT l BY nosort GET w_*->g GET w_*->", "*8 $-1 $-1 $3 two $-1 $-1 $-1 $-1 $-1"),
    ];
    assert_replies(&mut case, &lines);
    case.run("HPEXPIRE w_2 1 FIELDS 1 g");
    assert_replies(case.after_ms(2), &[("SORT l BY nosort LIMIT 1 1 GET w_*->g", "*1 $-1")]);
}

#[test]
fn scanning() {
    let mut case = Case::new();
    let lines = [
        ("HSCAN none 0", "*2 $1 0 *0"),
        ("HSCAN none 0 NOSUCH", "*2 $1 0 *0"),
        ("HSCAN none x", "-ERR invalid cursor"),
        ("HSET h a 1 b 2 ab 3", ":3"),
        ("HSCAN h 0", "*2 $1 0 *6 $1 a $1 1 $1 b $1 2 $2 ab $1 3"),
        ("HSCAN h 77 COUNT 1 MATCH a*", "*2 $1 0 *4 $1 a $1 1 $2 ab $1 3"),
        ("HSCAN h 0 NOVALUES MATCH a*", "*2 $1 0 *2 $1 a $2 ab"),
        ("HSCAN h 0 COUNT 0", "-ERR syntax error"),
        ("HSCAN h 0 COUNT x", "-ERR value is not an integer or out of range"),
        ("HSCAN h 0 COUNT", "-ERR syntax error"),
        ("HSCAN h 0 TYPE hash", "-ERR syntax error"),
    ];
    assert_replies(&mut case, &lines);
    numbered(&mut case, "big", 1000);
    let (mut cursor, mut seen, mut calls) = ("0".to_owned(), BTreeMap::new(), 0);
    loop {
        let reply = case.run(&format!("HSCAN big {cursor} COUNT 50"));
        let mut words = reply.splitn(4, "\r\n");
        cursor = words.nth(2).unwrap().to_owned();
        seen.extend(pairs(words.next().unwrap()));
        calls += 1;
        if cursor == "0" {
            break;
        }
    }
    assert_eq!((seen.len(), seen["field:999"].as_str()), (1000, "999"));
    assert!((10..30).contains(&calls), "{calls} calls");
}
