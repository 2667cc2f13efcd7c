//! Replies and effects of the list family, checked against what Redis 7.2 answers.

use crate::command::case::Case;
use crate::config::Config;

const SYNTAX: &str = "-ERR syntax error\r\n";
const NOT_AN_INTEGER: &str = "-ERR value is not an integer or out of range\r\n";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
const NULL: &str = "$-1\r\n";
const NULL_ARRAY: &str = "*-1\r\n";
const EMPTY: &str = "*0\r\n";
const OK: &str = "+OK\r\n";

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn array(words: &str) -> String {
    let words: Vec<&str> = words.split_ascii_whitespace().collect();
    let elements: String = words.iter().map(|word| bulk(word)).collect();
    format!("*{}\r\n{elements}", words.len())
}

/// Runs lines one after another and compares each reply.
fn check(case: &mut Case, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        assert_eq!(&case.run(line), expected, "{line}");
    }
}

/// A case with lists, each `(key, elements)`, and a string at `string`.
fn with_lists(lists: &[(&str, &str)]) -> Case {
    let mut case = Case::new();
    case.run("SET string x");
    for (key, elements) in lists {
        case.run(&format!("RPUSH {key} {elements}"));
    }
    case.effects();
    case
}

fn elements(case: &mut Case, key: &str) -> String {
    case.run(&format!("LRANGE {key} 0 -1"))
}

fn encoding(case: &Case, key: &str) -> &'static str {
    case.keyspace.find(0, key.as_bytes()).expect("the key exists").encoding_name()
}

#[test]
fn pushing_and_popping() {
    let mut case = with_lists(&[]);
    check(
        &mut case,
        &[
            ("LPUSHX l a", ":0\r\n"),
            ("RPUSHX l a", ":0\r\n"),
            ("RPUSH l a b", ":2\r\n"),
            ("LPUSH l c d", ":4\r\n"),
            ("LPUSHX l e", ":5\r\n"),
            ("RPUSHX l 12 -7", ":7\r\n"),
            ("LLEN l", ":7\r\n"),
            ("LLEN none", ":0\r\n"),
            ("LRANGE l 0 -1", &array("e d c a b 12 -7")),
            ("LPOP l", &bulk("e")),
            ("RPOP l", &bulk("-7")),
            ("RPOP l 2", &array("12 b")),
            ("LPOP l 0", EMPTY),
            ("LPOP l 100", &array("d c a")),
            ("LPOP l", NULL),
            ("LPOP l 1", NULL_ARRAY),
            ("LPOP l 0", NULL_ARRAY),
            ("LPOP l -1", "-ERR value is out of range, must be positive\r\n"),
            ("LPOP l x", "-ERR value is out of range, must be positive\r\n"),
            ("RPOP l 1 2", "-ERR wrong number of arguments for 'rpop' command\r\n"),
            ("LPUSH string a", WRONG_TYPE),
            ("RPUSHX string a", WRONG_TYPE),
            ("LPOP string", WRONG_TYPE),
            ("LPOP string x", "-ERR value is out of range, must be positive\r\n"),
            ("RPOP string 0", WRONG_TYPE),
            ("LLEN string", WRONG_TYPE),
            ("EXISTS l", ":0\r\n"),
        ],
    );
    let effects = [
        "RPUSH l a b",
        "LPUSH l c d",
        "LPUSHX l e",
        "RPUSHX l 12 -7",
        "LPOP l",
        "RPOP l",
        "RPOP l 2",
        "LPOP l 100",
    ];
    assert_eq!(case.effects(), effects);
    // SET, and every element that came or went.
    assert_eq!(case.keyspace.counters.dirty, 1 + 7 + 7);
}

#[test]
fn reading() {
    let mut case = with_lists(&[("l", "a b c d e")]);
    check(
        &mut case,
        &[
            ("LINDEX l 0", &bulk("a")),
            ("LINDEX l -1", &bulk("e")),
            ("LINDEX l 5", NULL),
            ("LINDEX l -6", NULL),
            ("LINDEX l -9223372036854775808", NULL),
            ("LINDEX l x", NOT_AN_INTEGER),
            ("LINDEX none x", NULL),
            ("LINDEX string x", WRONG_TYPE),
            ("LRANGE l 1 3", &array("b c d")),
            ("LRANGE l -2 100", &array("d e")),
            ("LRANGE l -100 0", &array("a")),
            ("LRANGE l 0 -100", EMPTY),
            ("LRANGE l 3 1", EMPTY),
            ("LRANGE l 5 10", EMPTY),
            ("LRANGE l 0 x", NOT_AN_INTEGER),
            ("LRANGE string x 0", NOT_AN_INTEGER),
            ("LRANGE string 0 0", WRONG_TYPE),
            ("LRANGE none 0 -1", EMPTY),
            ("LRANGE l -9223372036854775808 9223372036854775807", &array("a b c d e")),
        ],
    );
    assert_eq!(case.effects(), [""; 0]);
}

#[test]
fn positions() {
    let mut case = with_lists(&[("l", "a b c 1 2 3 c c")]);
    let negative = "-ERR COUNT can't be negative\r\n";
    check(
        &mut case,
        &[
            ("LPOS l a", ":0\r\n"),
            ("LPOS l c", ":2\r\n"),
            ("LPOS l 1", ":3\r\n"),
            ("LPOS l 01", NULL),
            ("LPOS l c RANK 2", ":6\r\n"),
            ("LPOS l c RANK 4", NULL),
            ("LPOS l c RANK -1", ":7\r\n"),
            ("LPOS l c RANK -2", ":6\r\n"),
            ("LPOS l c COUNT 0", "*3\r\n:2\r\n:6\r\n:7\r\n"),
            ("LPOS l c COUNT 2", "*2\r\n:2\r\n:6\r\n"),
            ("LPOS l c COUNT 2 RANK 2", "*2\r\n:6\r\n:7\r\n"),
            ("LPOS l c COUNT 5 RANK -1", "*3\r\n:7\r\n:6\r\n:2\r\n"),
            ("LPOS l c COUNT 5 RANK 9", EMPTY),
            ("LPOS l c RANK -9223372036854775807", NULL),
            ("LPOS l c MAXLEN 2", NULL),
            ("LPOS l c MAXLEN 3 COUNT 0", "*1\r\n:2\r\n"),
            ("LPOS l c MAXLEN 2 RANK -1 COUNT 0", "*2\r\n:7\r\n:6\r\n"),
            ("LPOS l c MAXLEN 0", ":2\r\n"),
            ("LPOS none c", NULL),
            ("LPOS none c COUNT 1", EMPTY),
            ("LPOS string c", WRONG_TYPE),
            ("LPOS string c x 1", SYNTAX),
            ("LPOS l c RANK", SYNTAX),
            ("LPOS l c RANK x", NOT_AN_INTEGER),
            ("LPOS l c COUNT -1", negative),
            ("LPOS l c COUNT x", negative),
            ("LPOS l c MAXLEN -1", "-ERR MAXLEN can't be negative\r\n"),
            (
                "LPOS l c RANK 0",
                "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
                 negative to start from the end of the list\r\n",
            ),
            (
                "LPOS l c RANK -9223372036854775808",
                "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807\r\n",
            ),
        ],
    );
}

#[test]
fn changing_in_the_middle() {
    let mut case = with_lists(&[("l", "a b c"), ("m", "x 1 x 2 x 3 x")]);
    check(
        &mut case,
        &[
            ("LSET l 1 B", OK),
            ("LSET l -1 C", OK),
            ("LSET l 3 D", "-ERR index out of range\r\n"),
            ("LSET l x D", NOT_AN_INTEGER),
            ("LSET none x D", "-ERR no such key\r\n"),
            ("LSET string x D", WRONG_TYPE),
            ("LINSERT l BEFORE B 1", ":4\r\n"),
            ("LINSERT l after B 2", ":5\r\n"),
            ("LINSERT l AFTER none 2", ":-1\r\n"),
            ("LINSERT none AFTER B 2", ":0\r\n"),
            ("LINSERT string AFTER B 2", WRONG_TYPE),
            ("LINSERT string BEHIND B 2", SYNTAX),
            ("LRANGE l 0 -1", &array("a 1 B 2 C")),
            ("LREM m 1 x", ":1\r\n"),
            ("LREM m -2 x", ":2\r\n"),
            ("LRANGE m 0 -1", &array("1 x 2 3")),
            ("LREM m 0 none", ":0\r\n"),
            ("LREM m 0 3", ":1\r\n"),
            ("LREM m x 3", NOT_AN_INTEGER),
            ("LREM string 0 3", WRONG_TYPE),
            ("LREM none 0 3", ":0\r\n"),
            ("LTRIM m 1 1", OK),
            ("LRANGE m 0 -1", &array("x")),
            ("LREM m -9223372036854775808 x", ":1\r\n"),
            ("EXISTS m", ":0\r\n"),
        ],
    );
    let effects = [
        "LSET l 1 B",
        "LSET l -1 C",
        "LINSERT l BEFORE B 1",
        "LINSERT l after B 2",
        "LREM m 1 x",
        "LREM m -2 x",
        "LREM m 0 3",
        "LTRIM m 1 1",
        "LREM m -9223372036854775808 x",
    ];
    assert_eq!(case.effects(), effects);
}

#[test]
fn trimming() {
    for (range, left) in [
        ("0 -1", "1 2 3 4 5"),
        ("1 -2", "2 3 4"),
        ("-2 -1", "4 5"),
        ("-100 2", "1 2 3"),
        ("3 100", "4 5"),
        ("0 0", "1"),
        ("-1 -1", "5"),
        ("5 5", ""),
        ("3 1", ""),
        ("0 -6", ""),
    ] {
        let mut case = with_lists(&[("l", "1 2 3 4 5")]);
        assert_eq!(case.run(&format!("LTRIM l {range}")), OK);
        assert_eq!(elements(&mut case, "l"), array(left), "LTRIM l {range}");
        assert_eq!(case.run("EXISTS l"), if left.is_empty() { ":0\r\n" } else { ":1\r\n" });
        let effects = if range == "0 -1" { vec![] } else { vec![format!("LTRIM l {range}")] };
        assert_eq!(case.effects(), effects);
    }
    let mut case = with_lists(&[]);
    check(
        &mut case,
        &[("LTRIM none 0 0", OK), ("LTRIM string 0 0", WRONG_TYPE), ("LTRIM string x 0", NOT_AN_INTEGER)],
    );
}

#[test]
fn moving() {
    let mut case = with_lists(&[("a", "1 2 3 4"), ("b", "x")]);
    check(
        &mut case,
        &[
            ("LMOVE a b LEFT RIGHT", &bulk("1")),
            ("LMOVE a b right left", &bulk("4")),
            ("RPOPLPUSH a c", &bulk("3")),
            ("RPOPLPUSH a c", &bulk("2")),
            ("EXISTS a", ":0\r\n"),
            ("RPOPLPUSH a c", NULL),
            ("LMOVE a string LEFT LEFT", NULL),
            ("LMOVE b b LEFT RIGHT", &bulk("4")),
            ("LMOVE b b RIGHT RIGHT", &bulk("4")),
            ("LRANGE b 0 -1", &array("x 1 4")),
            ("LRANGE c 0 -1", &array("2 3")),
            ("LMOVE b string LEFT LEFT", WRONG_TYPE),
            ("LMOVE string b LEFT LEFT", WRONG_TYPE),
            ("LMOVE string b UP LEFT", SYNTAX),
            ("LMOVE string b LEFT UP", SYNTAX),
            ("LLEN b", ":3\r\n"),
        ],
    );
    let effects = [
        "LMOVE a b LEFT RIGHT",
        "LMOVE a b right left",
        "RPOPLPUSH a c",
        "RPOPLPUSH a c",
        "LMOVE b b LEFT RIGHT",
        "LMOVE b b RIGHT RIGHT",
    ];
    assert_eq!(case.effects(), effects);
    case.run("RPUSH one 1");
    assert_eq!(case.run("RPOPLPUSH one one"), bulk("1"));
    assert_eq!(elements(&mut case, "one"), array("1"));
}

#[test]
fn popping_from_many_keys() {
    let mut case = with_lists(&[("a", "1 2 3 4"), ("b", "x y")]);
    let nested = |key: &str, elements: &str| format!("*2\r\n{}{}", bulk(key), array(elements));
    let numkeys = "-ERR numkeys should be greater than 0\r\n";
    let count = "-ERR count should be greater than 0\r\n";
    check(
        &mut case,
        &[
            ("LMPOP 2 none a LEFT", &nested("a", "1")),
            ("LMPOP 2 a b right count 2", &nested("a", "4 3")),
            ("LMPOP 3 a b string LEFT COUNT 100", &nested("a", "2")),
            ("LMPOP 2 a b LEFT COUNT 1", &nested("b", "x")),
            ("LMPOP 1 a LEFT", NULL_ARRAY),
            ("LMPOP 2 a string LEFT", WRONG_TYPE),
            ("LMPOP 0 a LEFT", numkeys),
            ("LMPOP x a LEFT", numkeys),
            ("LMPOP 9223372036854775807 a LEFT", SYNTAX),
            ("LMPOP 1 a UP", SYNTAX),
            ("LMPOP 2 a LEFT", SYNTAX),
            ("LMPOP 1 a b LEFT", SYNTAX),
            ("LMPOP 1 a LEFT COUNT", SYNTAX),
            ("LMPOP 1 a LEFT COUNT 1 COUNT 1", SYNTAX),
            ("LMPOP 1 a LEFT COUNT 0", count),
            ("LMPOP 1 a LEFT COUNT x", count),
        ],
    );
    assert_eq!(case.effects(), ["LPOP a 1", "RPOP a 2", "LPOP a 1", "LPOP b 1"]);
}

#[test]
fn blocking_forms_serve_at_once_what_is_there() {
    let mut case = with_lists(&[("a", "1 2 3 4"), ("b", "x y z")]);
    let nested = format!("*2\r\n{}{}", bulk("b"), array("x y"));
    check(
        &mut case,
        &[
            ("BLPOP none a b 0", &array("a 1")),
            ("BRPOP a 1.5", &array("a 4")),
            ("BLMOVE a b LEFT right 1", &bulk("2")),
            ("BRPOPLPUSH a b 0", &bulk("3")),
            ("BLMPOP 1 2 a b RIGHT COUNT 1", &format!("*2\r\n{}{}", bulk("b"), array("2"))),
            ("LPOP b", &bulk("3")),
            ("BLMPOP 0.1 2 a b LEFT COUNT 2", &nested),
            ("BLPOP a 1", NULL_ARRAY),
            ("BLMPOP 1 1 a LEFT", NULL_ARRAY),
            ("BLMOVE a string LEFT LEFT 1", NULL),
            ("BRPOPLPUSH a b 1", NULL),
            ("BLPOP a string 1", WRONG_TYPE),
            ("BLMOVE b string LEFT LEFT 1", WRONG_TYPE),
            ("BLPOP a -1", "-ERR timeout is negative\r\n"),
            ("BLPOP string x", "-ERR timeout is not a float or out of range\r\n"),
            ("BLPOP a inf", "-ERR timeout is out of range\r\n"),
            ("BLPOP a 9223372036854775807", "-ERR timeout is out of range\r\n"),
            ("BLMOVE a b UP LEFT x", SYNTAX),
            ("BLMPOP x 0 a LEFT", "-ERR numkeys should be greater than 0\r\n"),
            ("BLMPOP x 1 a LEFT", "-ERR timeout is not a float or out of range\r\n"),
        ],
    );
    let effects =
        ["LPOP a", "RPOP a", "LMOVE a b LEFT right", "RPOPLPUSH a b", "RPOP b 1", "LPOP b", "LPOP b 2"];
    assert_eq!(case.effects(), effects);
    assert_eq!(case.resp3().run("BRPOPLPUSH a b 1"), "_\r\n");
}

#[test]
fn encodings_follow_the_directive() {
    let mut case = Case::new();
    case.config = Config::parse("list-max-listpack-size 3").expect("a good configuration");
    case.run("RPUSH l 1 2 3");
    assert_eq!(encoding(&case, "l"), "listpack");
    case.run("LINSERT l BEFORE none 4");
    assert_eq!(encoding(&case, "l"), "quicklist", "Redis converts before it looks for the pivot");
    case.run("LPOP l");
    assert_eq!(encoding(&case, "l"), "quicklist");
    case.run("LPOP l");
    assert_eq!(encoding(&case, "l"), "listpack");
    let long = "x".repeat(9000);
    case.config = Config::default();
    case.run(&format!("LSET l 0 {long}"));
    assert_eq!(encoding(&case, "l"), "quicklist");
    case.run("LSET l 0 short");
    assert_eq!(encoding(&case, "l"), "listpack");
}

#[test]
fn lists_live_and_move_as_other_values() {
    let mut case = with_lists(&[("l", "a b c")]);
    check(
        &mut case,
        &[
            ("TYPE l", "+list\r\n"),
            ("OBJECT ENCODING l", &bulk("listpack")),
            ("GET l", WRONG_TYPE),
            ("APPEND l x", WRONG_TYPE),
            ("COPY l m", ":1\r\n"),
            ("LPOP l", &bulk("a")),
            ("LRANGE m 0 -1", &array("a b c")),
            ("RENAME m l", OK),
            ("LRANGE l 0 -1", &array("a b c")),
            ("PEXPIRE l 10", ":1\r\n"),
            ("RPUSH l d", ":4\r\n"),
            ("PTTL l", ":10\r\n"),
            ("SET l x", OK),
            ("LLEN l", WRONG_TYPE),
        ],
    );
    case.run("RPUSH t 1");
    case.run("PEXPIRE t 10");
    case.after_ms(11);
    assert_eq!(case.run("RPUSH t 2"), ":1\r\n");
}
