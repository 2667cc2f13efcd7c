//! Replies and effects of the string family, checked against what Redis 7.2 (and 8.4 for newer commands) answers.

use crate::command::case::Case;

const SYNTAX: &str = "-ERR syntax error\r\n";
const NULL: &str = "$-1\r\n";
const OK: &str = "+OK\r\n";

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// Runs lines one after another and compares each reply.
fn check(case: &mut Case, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        assert_eq!(&case.run(line), expected, "{line}");
    }
}

fn encoding(case: &Case, key: &str) -> &'static str {
    case.keyspace.find(0, key.as_bytes()).expect("the key exists").encoding_name()
}

fn deadline(case: &Case, key: &str) -> Option<i64> {
    case.keyspace.find(0, key.as_bytes()).expect("the key exists").expire_at()
}

#[test]
fn set_and_get() {
    let mut case = Case::new();
    check(
        &mut case,
        &[
            ("GET a", NULL),
            ("SET a hello", OK),
            ("GET a", "$5\r\nhello\r\n"),
            ("SET a 123", OK),
            ("GET a", "$3\r\n123\r\n"),
            ("STRLEN a", ":3\r\n"),
            ("STRLEN none", ":0\r\n"),
            ("GETSET a x", "$3\r\n123\r\n"),
            ("GETSET b y", NULL),
            ("MGET a none b", "*3\r\n$1\r\nx\r\n$-1\r\n$1\r\ny\r\n"),
            ("SETNX a z", ":0\r\n"),
            ("SETNX c z", ":1\r\n"),
            ("GETDEL c", "$1\r\nz\r\n"),
            ("GETDEL c", NULL),
            ("GET", "-ERR wrong number of arguments for 'get' command\r\n"),
        ],
    );
    let effects = ["SET a hello", "SET a 123", "SET a x", "SET b y", "SETNX c z", "DEL c"];
    assert_eq!(case.effects(), effects);
    assert_eq!(case.resp3().run("GET c"), "_\r\n");
    assert_eq!(case.keyspace.counters.hits, 7);
}

#[test]
fn encodings() {
    let mut case = Case::new();
    for (line, expected) in [
        ("SET k 12", "int"),
        ("SET k 012", "embstr"),
        ("SET k -9223372036854775808", "int"),
        ("SET k 9223372036854775808", "embstr"),
        ("APPEND k x", "raw"),
        ("INCRBYFLOAT f 3", "embstr"),
        ("SETRANGE k 0 1", "raw"),
    ] {
        case.run(line);
        let key = line.split(' ').nth(1).expect("a key");
        assert_eq!(encoding(&case, key), expected, "{line}");
    }
    case.run("APPEND n 12");
    assert_eq!(encoding(&case, "n"), "int");
    case.run("APPEND n 34");
    assert_eq!((encoding(&case, "n"), case.run("INCR n")), ("raw", ":1235\r\n".into()));
    assert_eq!(encoding(&case, "n"), "int");
}

#[test]
fn options_of_set() {
    let mut case = Case::new();
    check(
        &mut case,
        &[
            ("SET a 1 XX", NULL),
            ("SET a 1 NX", OK),
            ("SET a 2 nx", NULL),
            ("SET a 2 XX GET", "$1\r\n1\r\n"),
            ("SET a 3 NX GET", "$1\r\n2\r\n"),
            ("GET a", "$1\r\n2\r\n"),
            ("SET none 3 XX GET", NULL),
            ("SET new 3 NX GET", NULL),
            ("SET a 1 NX XX", SYNTAX),
            ("SET a 1 EX", SYNTAX),
            ("SET a 1 EX 10 PX 10", SYNTAX),
            ("SET a 1 EX 10 KEEPTTL", SYNTAX),
            ("SET a 1 EX 10 KEEPTTL GET", SYNTAX),
            ("SET a 1 KEEPTTL EX 10", SYNTAX),
            ("SET a 1 PERSIST", SYNTAX),
            ("SET a 1 foo", SYNTAX),
            ("SET a 1 NX IFEQ 1", SYNTAX),
            ("SET a 1 EX 0", "-ERR invalid expire time in 'set' command\r\n"),
            ("SET a 1 EX -1", "-ERR invalid expire time in 'set' command\r\n"),
            ("SET a 1 EX 9223372036854775807", "-ERR invalid expire time in 'set' command\r\n"),
            ("SET a 1 PX 9223372036854775807", "-ERR invalid expire time in 'set' command\r\n"),
            ("SET a 1 EX x", "-ERR value is not an integer or out of range\r\n"),
        ],
    );
    assert_eq!(case.effects(), ["SET a 1 NX", "SET a 2 XX", "SET new 3 NX"]);
}

#[test]
fn times_to_live() {
    let mut case = Case::new();
    let now = case.now;
    check(&mut case, &[("SET a 1 EX 10", OK), ("SET a 2 KEEPTTL", OK)]);
    assert_eq!(deadline(&case, "a"), Some(now + 10_000));
    check(&mut case, &[("SET a 3", OK), ("SETEX b 2 x", OK), ("PSETEX c 3 x", OK)]);
    assert_eq!(deadline(&case, "a"), None);
    assert_eq!(deadline(&case, "b"), Some(now + 2000));
    check(
        &mut case,
        &[
            ("SET d x EXAT 1800000000", OK),
            ("SET d x PXAT 1800000000001 GET", "$1\r\nx\r\n"),
            ("SETEX e 0 x", "-ERR invalid expire time in 'setex' command\r\n"),
            ("PSETEX e -1 x", "-ERR invalid expire time in 'psetex' command\r\n"),
            ("SETEX e x x", "-ERR value is not an integer or out of range\r\n"),
        ],
    );
    assert_eq!(
        case.effects(),
        [
            &format!("SET a 1 PXAT {}", now + 10_000),
            "SET a 2 KEEPTTL",
            "SET a 3",
            &format!("SET b x PXAT {}", now + 2000),
            &format!("SET c x PXAT {}", now + 3),
            "SET d x PXAT 1800000000000",
            "SET d x PXAT 1800000000001 GET",
        ]
    );
    assert_eq!(case.after_ms(4).run("GET c"), NULL);
    assert_eq!(case.effects(), ["DEL c"]);
    // A moment that has passed is stored, and gone when next looked at.
    assert_eq!(case.run("SET d x PXAT 1"), OK);
    assert_eq!(case.run("GET d"), NULL);
    assert_eq!(case.effects(), ["SET d x PXAT 1", "DEL d"]);
}

#[test]
fn expired_values_count_for_nothing() {
    let mut case = Case::new();
    for line in ["SET n 5 PX 1", "SET f 5 PX 1", "SET s abc PX 1", "SET r abc PX 1", "SET x 1 PX 1"] {
        case.run(line);
    }
    case.after_ms(2);
    check(
        &mut case,
        &[
            ("INCR n", ":1\r\n"),
            ("INCRBYFLOAT f 1", "$1\r\n1\r\n"),
            ("APPEND s z", ":1\r\n"),
            ("SETRANGE r 1 z", ":2\r\n"),
            ("SET x 1 XX", NULL),
        ],
    );
    assert_eq!(deadline(&case, "n"), None);
}

#[test]
fn getex() {
    let mut case = Case::new();
    let now = case.now;
    case.run("SET a 1");
    case.effects();
    check(
        &mut case,
        &[
            ("GETEX none EX 10", NULL),
            ("GETEX a", "$1\r\n1\r\n"),
            ("GETEX a EX 10", "$1\r\n1\r\n"),
            ("GETEX a PERSIST", "$1\r\n1\r\n"),
            ("GETEX a PERSIST", "$1\r\n1\r\n"),
            ("GETEX a PXAT 1800000000000", "$1\r\n1\r\n"),
            ("GETEX a EX 0", "-ERR invalid expire time in 'getex' command\r\n"),
            ("GETEX a EX 10 PERSIST", SYNTAX),
            ("GETEX a PERSIST EX 10", SYNTAX),
            ("GETEX a KEEPTTL", SYNTAX),
            ("GETEX a EX", SYNTAX),
            ("GETEX a EXAT 100", "$1\r\n1\r\n"),
            ("GET a", NULL),
        ],
    );
    let expected =
        [&format!("PEXPIREAT a {}", now + 10_000), "PERSIST a", "PEXPIREAT a 1800000000000", "DEL a"];
    assert_eq!(case.effects(), expected);
}

#[test]
fn several_keys() {
    let mut case = Case::new();
    check(
        &mut case,
        &[
            ("MSET a 1 b 2 a 3", OK),
            ("MGET a b", "*2\r\n$1\r\n3\r\n$1\r\n2\r\n"),
            ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command\r\n"),
            ("MSETNX a 1 b", "-ERR wrong number of arguments for 'msetnx' command\r\n"),
            ("MSETNX c 1 a 2", ":0\r\n"),
            ("GET c", NULL),
            ("MSETNX c 1 c 2", ":1\r\n"),
            ("GET c", "$1\r\n2\r\n"),
        ],
    );
    assert_eq!(case.effects(), ["MSET a 1 b 2 a 3", "MSETNX c 1 c 2"]);
}

#[test]
fn msetex() {
    let mut case = Case::new();
    let now = case.now;
    check(
        &mut case,
        &[
            ("MSETEX 2 a 1 b 2 EX 10", ":1\r\n"),
            ("MSETEX 2 a 1 c 2 NX", ":0\r\n"),
            ("MSETEX 2 a 1 c 2 XX", ":0\r\n"),
            ("MSETEX 2 a 3 b 4 KEEPTTL XX", ":1\r\n"),
            ("MSETEX 1 c 5 NX", ":1\r\n"),
            ("MSETEX x a 1", "-ERR invalid numkeys value\r\n"),
            ("MSETEX 0 a 1", "-ERR invalid numkeys value\r\n"),
            ("MSETEX 2147483648 a 1", "-ERR invalid numkeys value\r\n"),
            ("MSETEX 2147483647 a 1", "-ERR wrong number of key-value pairs\r\n"),
            ("MSETEX 2 a 1 b", "-ERR wrong number of key-value pairs\r\n"),
            ("MSETEX 1 a 1 foo", SYNTAX),
            ("MSETEX 1 a 1 NX XX", SYNTAX),
            ("MSETEX 1 a 1 EX 1 PX 1", SYNTAX),
            ("MSETEX 1 a 1 KEEPTTL EX 1", SYNTAX),
            ("MSETEX 1 a 1 EX 0", "-ERR invalid expire time in 'msetex' command\r\n"),
        ],
    );
    assert_eq!(deadline(&case, "b"), Some(now + 10_000));
    let moment = now + 10_000;
    assert_eq!(
        case.effects(),
        [
            "MSET a 1 b 2",
            &format!("PEXPIREAT a {moment}"),
            &format!("PEXPIREAT b {moment}"),
            "SET a 3 KEEPTTL",
            "SET b 4 KEEPTTL",
            "MSET c 5",
        ]
    );
}

#[test]
fn integers() {
    let mut case = Case::new();
    check(
        &mut case,
        &[
            ("INCR n", ":1\r\n"),
            ("DECR n", ":0\r\n"),
            ("INCRBY n 17179869184", ":17179869184\r\n"),
            ("DECRBY n 17179869185", ":-1\r\n"),
            ("DECRBY n -9223372036854775808", "-ERR decrement would overflow\r\n"),
            ("INCRBY n 1.5", "-ERR value is not an integer or out of range\r\n"),
            ("SET n 9223372036854775807", OK),
            ("INCR n", "-ERR increment or decrement would overflow\r\n"),
            ("SET n \" 11\"", OK),
            ("INCR n", "-ERR value is not an integer or out of range\r\n"),
            ("SET n -9223372036854775808", OK),
            ("DECR n", "-ERR increment or decrement would overflow\r\n"),
        ],
    );
    case.run("SET t 1 EX 10");
    case.run("INCR t");
    assert!(deadline(&case, "t").is_some(), "the time to live stays");
    assert_eq!(case.effects().last().map(String::as_str), Some("INCR t"));
}

#[test]
fn floats() {
    let mut case = Case::new();
    check(
        &mut case,
        &[
            ("INCRBYFLOAT f 1", "$1\r\n1\r\n"),
            ("INCRBYFLOAT f 0.25", "$4\r\n1.25\r\n"),
            ("SET f 3", OK),
            ("INCRBYFLOAT f 1.1", "$3\r\n4.1\r\n"),
            ("SET f 5.0e3", OK),
            ("INCRBYFLOAT f 2.0e2", "$4\r\n5200\r\n"),
            ("SET f 1", OK),
            ("INCRBYFLOAT f -1", "$1\r\n0\r\n"),
            ("INCRBYFLOAT f +inf", "-ERR increment would produce NaN or Infinity\r\n"),
            ("INCRBYFLOAT f nan", "-ERR value is not a valid float\r\n"),
            ("INCRBYFLOAT f \" 1\"", "-ERR value is not a valid float\r\n"),
            ("SET f \" 11\"", OK),
            ("INCRBYFLOAT f 1", "-ERR value is not a valid float\r\n"),
            ("SET f 1 PXAT 1800000000000", OK),
        ],
    );
    case.effects();
    case.run("INCRBYFLOAT f 1.5");
    assert!(deadline(&case, "f").is_some());
    assert_eq!(case.effects(), ["SET f 2.5 KEEPTTL"]);
}

#[test]
fn growing_in_place() {
    let mut case = Case::new();
    check(
        &mut case,
        &[
            ("APPEND a foo", ":3\r\n"),
            ("APPEND a bar", ":6\r\n"),
            ("APPEND a \"\"", ":6\r\n"),
            ("SETRANGE a 1 OO", ":6\r\n"),
            ("GET a", "$6\r\nfOObar\r\n"),
            ("SETRANGE a 8 x", ":9\r\n"),
            ("GET a", "$9\r\nfOObar\0\0x\r\n"),
            ("SETRANGE none 3 \"\"", ":0\r\n"),
            ("SETRANGE a 3 \"\"", ":9\r\n"),
            ("SETRANGE a -1 x", "-ERR offset is out of range\r\n"),
            ("SETRANGE a x x", "-ERR value is not an integer or out of range\r\n"),
            (
                "SETRANGE a 536870908 world",
                "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n",
            ),
            (
                "SETRANGE new 9223372036854775807 world",
                "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n",
            ),
            ("SETRANGE n 2 x", ":3\r\n"),
            ("GET n", "$3\r\n\0\0x\r\n"),
        ],
    );
    case.run("SET i 1234");
    assert_eq!(case.run("SETRANGE i 0 \"\""), ":4\r\n");
    assert_eq!(encoding(&case, "i"), "int");
    // Through the bound of what an entry keeps inline, and back and forth on the heap.
    let mut expected = String::new();
    for round in 0..40 {
        let part = format!("{round:064}");
        expected.push_str(&part);
        assert_eq!(case.run(&format!("APPEND long {part}")), format!(":{}\r\n", expected.len()));
    }
    expected.replace_range(2000..2003, "xyz");
    case.run("SETRANGE long 2000 xyz");
    assert_eq!(case.run("GET long"), bulk(&expected));
}

#[test]
fn ranges() {
    let mut case = Case::new();
    case.run("SET a \"Hello World\"");
    case.run("SET i 1234");
    for (range, expected) in [
        ("a 0 3", "Hell"),
        ("a 0 -1", "Hello World"),
        ("a -4 -1", "orld"),
        ("a 5 3", ""),
        ("a 5 5000", " World"),
        ("a -5000 10000", "Hello World"),
        ("a 0 -100", "H"),
        ("a 1 -100", ""),
        ("a -1 -100", ""),
        ("a -100 -99", "H"),
        ("a -100 -100", "H"),
        ("a -100 -101", ""),
        ("a -9223372036854775808 9223372036854775807", "Hello World"),
        ("i -3 -1", "234"),
        ("none 0 -1", ""),
    ] {
        assert_eq!(case.run(&format!("GETRANGE {range}")), bulk(expected), "{range}");
        assert_eq!(case.run(&format!("SUBSTR {range}")), bulk(expected), "{range}");
    }
    assert_eq!(case.run("GETRANGE none x 1"), "-ERR value is not an integer or out of range\r\n");
}

#[test]
fn comparing_conditions() {
    let mut case = Case::new();
    check(
        &mut case,
        &[
            ("SET a new IFEQ old", NULL),
            ("SET a hello IFNE old", OK),
            ("SET a x IFEQ other", NULL),
            ("SET a x IFNE hello", NULL),
            ("SET a x IFEQ other GET", "$5\r\nhello\r\n"),
            ("SET a 12 ifeq hello GET", "$5\r\nhello\r\n"),
            ("SET a 13 IFEQ 12 EX 10", OK),
            ("SET a hello IFEQ 13 KEEPTTL", OK),
            ("DIGEST a", "$16\r\n9555e8555c62dcfd\r\n"),
            ("DIGEST none", NULL),
            ("SET a x IFDEQ 0000000000000000", NULL),
            ("SET a x IFDEQ 123", "-ERR must be exactly 16 hexadecimal characters\r\n"),
            ("SET a x IFDEQ 123 GET", "-ERR must be exactly 16 hexadecimal characters\r\n"),
            ("SET none x IFDEQ 123", NULL),
            ("SET a x IFDNE 9555E8555C62DCFD", NULL),
            ("SET a x IFDEQ 9555E8555C62DCFD", OK),
            ("SET a x IFEQ", SYNTAX),
            ("SET a x IFEQ x IFNE y", SYNTAX),
        ],
    );
    let moment = case.now + 10_000;
    assert_eq!(
        case.effects(),
        ["SET a hello", "SET a 12", &format!("SET a 13 PXAT {moment}"), "SET a hello KEEPTTL", "SET a x"]
    );
}

#[test]
fn digests_keep_their_zeros() {
    let mut case = Case::new();
    case.run("SET a v8");
    assert_eq!(case.run("DIGEST a"), "$16\r\n0cc76dbb41381419\r\n");
    case.run("SET a 123");
    assert_eq!(case.run("DIGEST a"), "$16\r\n404a763b3f4c8c9a\r\n");
}

#[test]
fn delex() {
    let mut case = Case::new();
    case.run("SET a hello");
    case.effects();
    check(
        &mut case,
        &[
            ("DELEX a IFEQ other", ":0\r\n"),
            ("DELEX a IFNE hello", ":0\r\n"),
            ("DELEX a IFDEQ 12", "-ERR must be exactly 16 hexadecimal characters\r\n"),
            ("DELEX a FOO x", "-ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE\r\n"),
            ("DELEX none FOO x", ":0\r\n"),
            ("DELEX a IFEQ", "-ERR wrong number of arguments for 'delex' command\r\n"),
            ("DELEX a IFEQ x y", "-ERR wrong number of arguments for 'delex' command\r\n"),
            ("DELEX a IFDEQ 9555e8555c62dcfd", ":1\r\n"),
            ("DELEX a", ":0\r\n"),
            ("SET a 1", OK),
            ("DELEX a", ":1\r\n"),
        ],
    );
    assert_eq!(case.effects(), ["DEL a", "SET a 1", "DEL a"]);
}

#[test]
fn longest_common_subsequence() {
    let mut case = Case::new();
    case.run("MSET a ohmytext b mynewtext");
    check(
        &mut case,
        &[
            ("LCS a b", "$6\r\nmytext\r\n"),
            ("LCS a b LEN", ":6\r\n"),
            (
                "LCS a b IDX",
                "*4\r\n$7\r\nmatches\r\n*2\r\n*2\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n\
                 *2\r\n*2\r\n:2\r\n:3\r\n*2\r\n:0\r\n:1\r\n$3\r\nlen\r\n:6\r\n",
            ),
            (
                "LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN",
                "*4\r\n$7\r\nmatches\r\n*1\r\n*3\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n:4\r\n$3\r\nlen\r\n:6\r\n",
            ),
            ("LCS a none", "$0\r\n\r\n"),
            ("LCS a b LEN IDX", "-ERR If you want both the length and indexes, please just use IDX.\r\n"),
            ("LCS a b MINMATCHLEN", SYNTAX),
            ("LCS a b foo", SYNTAX),
        ],
    );
}

#[test]
fn blocks_are_reused() {
    let mut case = Case::new();
    case.run("SET key some-value");
    let before = case.keyspace.find(0, b"key").expect("a key").key().as_ptr();
    case.run("SET key same-width");
    assert_eq!(case.keyspace.find(0, b"key").expect("a key").key().as_ptr(), before);
}
