//! The commands for sorted sets: replies, errors, effects.

use crate::command::case::Case;
use crate::config::Config;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";

/// A reply without lengths and line ends, so that it reads like what a client shows.
fn plain(reply: &str) -> String {
    let mut words = Vec::new();
    let mut lines = reply.split_terminator("\r\n");
    while let Some(line) = lines.next() {
        match line.split_at_checked(1) {
            Some(("$", "-1")) | Some(("_", _)) => words.push("nil"),
            Some(("*", "-1")) => words.push("nil[]"),
            Some(("$", _)) => words.push(lines.next().unwrap_or_default()),
            Some((":" | ",", rest)) => words.push(rest),
            _ => words.push(line),
        }
    }
    words.join(" ")
}

fn set_limit(case: &mut Case, directive: &str, value: usize) {
    case.config = Config::parse(format!("{directive} {value}")).expect("a good configuration");
}

#[track_caller]
fn expect(case: &mut Case, line: &str, reply: &str) {
    assert_eq!(plain(&case.run(line)), reply, "{line}");
}

/// A small sorted set `z` of a to e with scores 1 to 5, and the same as a tree in `big`.
fn filled() -> Case {
    let mut case = Case::new();
    case.run("zadd z 1 a 2 b 3 c 4 d 5 e");
    set_limit(&mut case, "zset-max-listpack-entries", 0);
    case.run("zadd big 1 a 2 b 3 c 4 d 5 e");
    set_limit(&mut case, "zset-max-listpack-entries", 128);
    case.effects();
    case
}

#[test]
fn adding() {
    let mut case = Case::new();
    expect(&mut case, "zadd z 1 a 2 b", "2");
    expect(&mut case, "zadd z 1 a 3 b 4 c", "1");
    expect(&mut case, "zadd z ch 2 a 3 b 4 d", "2");
    expect(&mut case, "zadd z nx 9 a 9 e", "1");
    expect(&mut case, "zadd z xx ch 7 a 7 nosuch", "1");
    expect(&mut case, "zadd z gt ch 6 a 8 b 1 f", "2");
    expect(&mut case, "zadd z lt ch 6 a 9 b", "1");
    expect(&mut case, "zrange z 0 -1 withscores", "*12 f 1 c 4 d 4 a 6 b 8 e 9");
    expect(&mut case, "zadd z incr 1.5 a", "7.5");
    expect(&mut case, "zadd z nx incr 1 a", "nil");
    expect(&mut case, "zadd z xx incr 1 nosuch", "nil");
    expect(&mut case, "zadd z gt incr -1 a", "nil");
    expect(&mut case, "zadd none xx 1 a", "0");
    expect(&mut case, "zadd none xx incr 1 a", "nil");
    expect(&mut case, "exists none", "0");
    expect(&mut case, "zincrby z -2.5 a", "5");
    expect(&mut case, "zincrby new inf a", "inf");
    expect(&mut case, "zincrby new -inf a", "-ERR resulting score is not a number (NaN)");
    expect(&mut case, "zscore new a", "inf");
}

#[test]
fn what_cannot_be_added() {
    let mut case = Case::new();
    case.put("s", "string");
    for (line, error) in [
        ("zadd z 1", "ERR wrong number of arguments for 'zadd' command"),
        ("zadd z 1 a 2", "ERR syntax error"),
        ("zadd z nx ch", "ERR syntax error"),
        ("zadd z nx xx 1 a", "ERR XX and NX options at the same time are not compatible"),
        ("zadd z nx gt 1 a", "ERR GT, LT, and/or NX options at the same time are not compatible"),
        ("zadd z gt lt 1 a", "ERR GT, LT, and/or NX options at the same time are not compatible"),
        ("zadd z incr 1 a 2 b", "ERR INCR option supports a single increment-element pair"),
        ("zadd z 1 a x b", "ERR value is not a valid float"),
        ("zadd z nan a", "ERR value is not a valid float"),
        ("zincrby z nan a", "ERR value is not a valid float"),
        ("zadd s 1 a", WRONG_TYPE.trim_end().trim_start_matches('-')),
        ("zincrby s 1 a", WRONG_TYPE.trim_end().trim_start_matches('-')),
    ] {
        assert_eq!(case.run(line), format!("-{error}\r\n"), "{line}");
    }
    expect(&mut case, "exists z", "0");
    assert_eq!(case.effects(), [] as [&str; 0]);
}

#[test]
fn both_forms_answer_alike() {
    for key in ["z", "big"] {
        let mut case = filled();
        let mut ask = |line: &str, reply: &str| expect(&mut case, &line.replace("KEY", key), reply);
        ask("zcard KEY", "5");
        ask("zscore KEY c", "3");
        ask("zscore KEY x", "nil");
        ask("zmscore KEY a x e", "*3 1 nil 5");
        ask("zrank KEY d", "3");
        ask("zrank KEY d withscore", "*2 3 4");
        ask("zrevrank KEY d", "1");
        ask("zrevrank KEY x", "nil");
        ask("zrank KEY x withscore", "nil[]");
        ask("zcount KEY 2 (4", "2");
        ask("zcount KEY (2 +inf", "3");
        ask("zcount KEY 4 2", "0");
        ask("zrange KEY 1 -2", "*3 b c d");
        ask("zrange KEY -100 100 rev", "*5 e d c b a");
        ask("zrange KEY 3 1", "*0");
        ask("zrange KEY 5 9", "*0");
        ask("zrange KEY 1 2 rev withscores", "*4 d 4 c 3");
        ask("zrange KEY 2 4 byscore limit 1 1", "*1 c");
        ask("zrange KEY 4 2 byscore rev limit 1 -1", "*2 c b");
        ask("zrange KEY -inf (5 byscore limit 2 10 withscores", "*4 c 3 d 4");
        ask("zrangebyscore KEY 0 9 limit -1 2", "*0");
        ask("zrangebyscore KEY 0 9 limit 9 2", "*0");
        ask("zrangebyscore KEY 0 9 limit 0 0", "*0");
        ask("zrevrangebyscore KEY 9 (1 limit 1 2", "*2 d c");
        ask("zrevrange KEY 0 1 withscores", "*4 e 5 d 4");
        ask("zremrangebyscore KEY (1 2", "1");
        ask("zremrangebyrank KEY -1 -1", "1");
        ask("zrem KEY a x a", "1");
        ask("zrange KEY 0 -1", "*2 c d");
        ask("zpopmax KEY", "*2 d 4");
        ask("zpopmin KEY 10", "*2 c 3");
        ask("exists KEY", "0");
    }
}

#[test]
fn ranges_of_strings() {
    for entries in [128, 0] {
        let mut case = Case::new();
        set_limit(&mut case, "zset-max-listpack-entries", entries);
        case.run("zadd z 0 alpha 0 bar 0 cool 0 down 0 elephant 0 foo 0 great 0 hill 0 omega");
        expect(&mut case, "zrangebylex z - [cool", "*3 alpha bar cool");
        expect(&mut case, "zrangebylex z [bar (down", "*2 bar cool");
        expect(&mut case, "zrangebylex z + -", "*0");
        expect(&mut case, "zrevrangebylex z + [d", "*6 omega hill great foo elephant down");
        expect(&mut case, "zrevrangebylex z + [d limit 1 2", "*2 hill great");
        expect(&mut case, "zrange z (az (b bylex", "*0");
        expect(&mut case, "zrange z [g [d bylex rev", "*3 foo elephant down");
        expect(&mut case, "zlexcount z - +", "9");
        expect(&mut case, "zlexcount z (hill +", "1");
        expect(&mut case, "zremrangebylex z - (cool", "2");
        expect(&mut case, "zremrangebylex z [x +", "0");
        expect(&mut case, "zcard z", "7");
        for line in ["zrangebylex z foo +", "zrangebylex z [a b", "zlexcount z ++ -", "zremrangebylex z + 1"]
        {
            expect(&mut case, line, "-ERR min or max not valid string range item");
        }
    }
}

#[test]
fn what_is_no_range() {
    let mut case = filled();
    case.put("s", "string");
    for (line, error) in [
        ("zrange z 0 x", "ERR value is not an integer or out of range"),
        (
            "zrange z 0 1 limit 1 2",
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        ),
        (
            "zrange z - + bylex withscores",
            "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
        ),
        ("zrange z 0 1 rev rev", "ERR syntax error"),
        ("zrange z 0 1 byscore bylex", "ERR syntax error"),
        ("zrange z 0 1 byscore limit 1", "ERR syntax error"),
        ("zrevrange z 0 1 rev", "ERR syntax error"),
        ("zrangebyscore z 0 1 rev", "ERR syntax error"),
        ("zrangebyscore z x 1", "ERR min or max is not a float"),
        ("zcount z nan 1", "ERR min or max is not a float"),
        ("zremrangebyscore z 0 str", "ERR min or max is not a float"),
        ("zremrangebyrank z 0 1.5", "ERR value is not an integer or out of range"),
        ("zrangestore t z 0 1 withscores", "ERR syntax error"),
        ("zrank z a b", "ERR syntax error"),
        ("zrank z a withscore x", "ERR wrong number of arguments for 'zrank' command"),
        ("zrange s 0 -1", WRONG_TYPE.trim_end().trim_start_matches('-')),
        ("zrangestore t s 0 -1", WRONG_TYPE.trim_end().trim_start_matches('-')),
    ] {
        assert_eq!(case.run(line), format!("-{error}\r\n"), "{line}");
    }
}

#[test]
fn ranges_stored() {
    let mut case = filled();
    case.put("t", "string");
    expect(&mut case, "zrangestore t z 1 2", "2");
    expect(&mut case, "zrange t 0 -1 withscores", "*4 b 2 c 3");
    expect(&mut case, "zrangestore t z 2 1 byscore rev limit 0 1", "1");
    expect(&mut case, "zrange t 0 -1", "*1 b");
    expect(&mut case, "zrangestore t z 9 9", "0");
    expect(&mut case, "exists t", "0");
    expect(&mut case, "zrangestore t nosuch 0 -1", "0");
    assert_eq!(
        case.effects(),
        ["zrangestore t z 1 2", "zrangestore t z 2 1 byscore rev limit 0 1", "zrangestore t z 9 9"]
    );
}

#[test]
fn combinations() {
    let mut case = Case::new();
    case.run("zadd x 1 a 2 b 3 c");
    case.run("zadd y 10 b 20 c 30 d");
    expect(&mut case, "zunion 2 x y withscores", "*8 a 1 b 12 c 23 d 30");
    expect(&mut case, "zunion 2 x nosuch", "*3 a b c");
    expect(&mut case, "zinter 2 x y weights 2 0.5 withscores", "*4 b 9 c 16");
    expect(&mut case, "zinter 2 x y aggregate max withscores", "*4 b 10 c 20");
    expect(&mut case, "zunion 2 x y aggregate min weights 1 -1 withscores", "*8 d -30 c -20 b -10 a 1");
    expect(&mut case, "zdiff 2 x y withscores", "*2 a 1");
    expect(&mut case, "zdiff 2 x x", "*0");
    expect(&mut case, "zintercard 2 x y", "2");
    expect(&mut case, "zintercard 2 x y limit 1", "1");
    expect(&mut case, "zintercard 2 x y limit 0", "2");
    expect(&mut case, "zunionstore t 2 x y", "4");
    expect(&mut case, "zinterstore t 2 x t weights 0 1", "3");
    expect(&mut case, "zrange t 0 -1 withscores", "*6 a 1 b 12 c 23");
    expect(&mut case, "zdiffstore t 2 y x", "1");
    expect(&mut case, "zdiffstore t 2 x x", "0");
    expect(&mut case, "exists t", "0");
    case.run("sadd s b c e");
    case.run("sadd ints 1 2");
    expect(&mut case, "zinter 2 x s weights 1 10 withscores", "*4 b 12 c 13");
    expect(&mut case, "zunion 2 s ints withscores", "*10 1 1 2 1 b 1 c 1 e 1");
    expect(&mut case, "zdiff 2 s x", "*1 e");
    expect(&mut case, "zintercard 2 s x", "2");
    expect(&mut case, "zunion 1 ints weights -0 withscores", "*4 1 -0 2 -0");
    case.run("zadd p inf a");
    case.run("zadd m -inf a");
    expect(&mut case, "zunion 2 p m withscores", "*2 a 0");
    expect(&mut case, "zinter 2 p m weights 0 1 withscores", "*2 a -inf");
}

#[test]
fn what_cannot_be_combined() {
    let mut case = filled();
    case.put("s", "string");
    for (line, error) in [
        ("zunion 0 z", "ERR at least 1 input key is needed for 'zunion' command"),
        ("zinterstore t 0 z", "ERR at least 1 input key is needed for 'zinterstore' command"),
        ("zunion x z", "ERR value is not an integer or out of range"),
        ("zunion 2 z", "ERR syntax error"),
        ("zunion 1 z weights x", "ERR weight value is not a float"),
        ("zunion 1 z weights", "ERR syntax error"),
        ("zunion 1 z aggregate avg", "ERR syntax error"),
        ("zunionstore t 1 z withscores", "ERR syntax error"),
        ("zdiff 1 z weights 1", "ERR syntax error"),
        ("zintercard 1 z limit -1", "ERR LIMIT can't be negative"),
        ("zintercard 1 z limit x", "ERR LIMIT can't be negative"),
        ("zintercard 1 z withscores", "ERR syntax error"),
        ("zunion 2 z s nosuch", WRONG_TYPE.trim_end().trim_start_matches('-')),
    ] {
        assert_eq!(case.run(line), format!("-{error}\r\n"), "{line}");
    }
}

#[test]
fn popping() {
    let mut case = filled();
    expect(&mut case, "zpopmin z 2", "*4 a 1 b 2");
    expect(&mut case, "zpopmax z", "*2 e 5");
    expect(&mut case, "zpopmin z 0", "*0");
    expect(&mut case, "zpopmin nosuch 3", "*0");
    expect(&mut case, "zmpop 2 nosuch z max count 5", "*2 z *2 *2 d 4 *2 c 3");
    expect(&mut case, "zmpop 1 z min", "nil[]");
    expect(&mut case, "bzpopmin z big 0", "*3 big a 1");
    expect(&mut case, "bzmpop 0.1 1 big max count 2", "*2 big *2 *2 e 5 *2 d 4");
    expect(&mut case, "bzpopmax z 1", "nil[]");
    assert_eq!(case.effects(), ["zpopmin z 2", "zpopmax z", "ZPOPMAX z 2", "ZPOPMIN big", "ZPOPMAX big 2"]);
    case.resp3();
    case.run("zadd z 1 a 2 b 3 c");
    assert_eq!(case.run("zpopmin z"), "*2\r\n$1\r\na\r\n,1\r\n");
    assert_eq!(case.run("zpopmin z 1"), "*1\r\n*2\r\n$1\r\nb\r\n,2\r\n");
    assert_eq!(case.run("zrange z 0 -1 withscores"), "*1\r\n*2\r\n$1\r\nc\r\n,3\r\n");
}

#[test]
fn what_cannot_be_popped() {
    let mut case = filled();
    case.put("s", "string");
    for (line, error) in [
        ("zpopmin z -1", "ERR value is out of range, must be positive"),
        ("zpopmin z x", "ERR value is out of range, must be positive"),
        ("zpopmin z 1 2", "ERR syntax error"),
        ("zmpop 0 z min", "ERR numkeys should be greater than 0"),
        ("zmpop x z min", "ERR numkeys should be greater than 0"),
        ("zmpop 2 z min", "ERR syntax error"),
        ("zmpop 9223372036854775807 z min", "ERR syntax error"),
        ("zmpop 1 z low", "ERR syntax error"),
        ("zmpop 1 z min count", "ERR syntax error"),
        ("zmpop 1 z min count 0", "ERR count should be greater than 0"),
        ("zmpop 1 z min count 1 count 1", "ERR syntax error"),
        ("bzpopmin z x", "ERR timeout is not a float or out of range"),
        ("bzpopmin z -1", "ERR timeout is negative"),
        ("bzmpop -1 1 z min", "ERR timeout is negative"),
        ("bzmpop inf 1 z min", "ERR timeout is out of range"),
        ("zpopmin s", WRONG_TYPE.trim_end().trim_start_matches('-')),
        ("bzpopmin nosuch s 0", WRONG_TYPE.trim_end().trim_start_matches('-')),
        ("zmpop 2 s z min", WRONG_TYPE.trim_end().trim_start_matches('-')),
    ] {
        assert_eq!(case.run(line), format!("-{error}\r\n"), "{line}");
    }
    expect(&mut case, "zcard z", "5");
}

#[test]
fn members_by_chance() {
    for key in ["z", "big"] {
        let mut case = filled();
        let all = case.run(&format!("zrange {key} 0 -1"));
        let member = case.run(&format!("zrandmember {key}"));
        assert!(all.contains(&member), "{member}");
        assert_eq!(case.run(&format!("zrandmember {key} 9")), all);
        let two = plain(&case.run(&format!("zrandmember {key} 2 withscores")));
        let words: Vec<&str> = two.split(' ').collect();
        assert!(words[0] == "*4" && words[1] != words[3], "{two}");
        let seven = plain(&case.run(&format!("zrandmember {key} -7")));
        assert!(seven.starts_with("*7 ") && seven.split(' ').count() == 8);
    }
    let mut case = filled();
    expect(&mut case, "zrandmember nosuch", "nil");
    expect(&mut case, "zrandmember nosuch 3", "*0");
    expect(&mut case, "zrandmember z 0", "*0");
    expect(&mut case, "zrandmember z x", "-ERR value is not an integer or out of range");
    expect(&mut case, "zrandmember z 1 scores", "-ERR syntax error");
    expect(&mut case, "zrandmember z -9223372036854775807 withscores", "-ERR value is out of range");
    expect(
        &mut case,
        "zrandmember z -9223372036854775808",
        "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
    );
}

#[test]
fn scanning() {
    let mut case = filled();
    expect(&mut case, "zscan z 0 match [ac]", "*2 0 *4 a 1 c 3");
    expect(&mut case, "zscan nosuch 0 x", "*2 0 *0");
    expect(&mut case, "zscan z x", "-ERR invalid cursor");
    expect(&mut case, "zscan z 0 count 0", "-ERR syntax error");
    expect(&mut case, "zscan z 0 type zset", "-ERR syntax error");
    case.run("zadd z 0.1 f");
    case.run("zadd big 0.1 f");
    expect(&mut case, "zscan z 0 match f", "*2 0 *2 f 0.1");
    expect(&mut case, "zscan big 0 count 100 match f", "*2 0 *2 f 0.10000000000000001");
}

#[test]
fn forms_and_kinds() {
    let mut case = filled();
    expect(&mut case, "object encoding z", "listpack");
    expect(&mut case, "object encoding big", "skiplist");
    expect(&mut case, "type z", "+zset");
    set_limit(&mut case, "zset-max-listpack-value", 3);
    expect(&mut case, "zadd z 1 long", "1");
    expect(&mut case, "object encoding z", "skiplist");
    expect(&mut case, "zrange z 0 -1", "*6 a long b c d e");
    expect(&mut case, "get z", WRONG_TYPE.trim_end());
    expect(&mut case, "copy z y", "1");
    expect(&mut case, "rename big z", "+OK");
    expect(&mut case, "zcard z", "5");
    expect(&mut case, "zcard y", "6");
}
