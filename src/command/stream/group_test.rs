//! Consumer groups: XGROUP, XREADGROUP, XACK, XPENDING, XCLAIM, XAUTOCLAIM, XDELEX, XACKDEL, XINFO.

use super::stream_test::{check, shown};
use crate::command::case::Case;

const NO_KEY: &str = "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use \
    the MKSTREAM option to create an empty stream automatically.";
const INVALID: &str = "-ERR Invalid stream ID specified as stream command argument";

/// A stream of some entries with a group that has read none.
fn with_group(entries: u64) -> Case {
    let mut case = Case::new();
    case.run("XGROUP CREATE s g 0 MKSTREAM");
    (1..=entries)
        .for_each(|ms| assert_eq!(shown(&mut case, &format!("XADD s {ms} a {ms}")), format!("{ms}-0")));
    case.effects();
    case
}

#[test]
fn groups_come_and_go() {
    let mut case = Case::new();
    case.put("text", "x");
    check(
        &mut case,
        &[
            ("XGROUP CREATE s g $", NO_KEY),
            ("XGROUP CREATE s g x MKSTREAM", INVALID),
            ("XGROUP CREATE s g - MKSTREAM", INVALID),
            ("EXISTS s", "0"),
            ("XGROUP CREATE s g $ MKSTREAM", "OK"),
            ("XGROUP CREATE s g $", "-BUSYGROUP Consumer Group name already exists"),
            ("XGROUP CREATE s h 5 ENTRIESREAD 3", "OK"),
            ("XGROUP CREATE s i 5 ENTRIESREAD -2", "-ERR value for ENTRIESREAD must be positive or -1"),
            (
                "XGROUP CREATE s i 5 ENTRIESREAD",
                "-ERR unknown subcommand or wrong number of arguments for 'CREATE'. Try XGROUP HELP.",
            ),
            (
                "XGROUP CREATE s i 5 x",
                "-ERR unknown subcommand or wrong number of arguments for 'CREATE'. Try XGROUP HELP.",
            ),
            ("XGROUP SETID s g 7-1", "OK"),
            ("XGROUP SETID s g - ENTRIESREAD 2", "OK"),
            ("XGROUP SETID s g x", INVALID),
            ("XGROUP SETID s nope 0", "-NOGROUP No such consumer group 'nope' for key name 's'"),
            ("XGROUP SETID none g 0", NO_KEY),
            (
                "XGROUP SETID s g 0 MKSTREAM",
                "-ERR unknown subcommand or wrong number of arguments for 'SETID'. Try XGROUP HELP.",
            ),
            ("XGROUP CREATECONSUMER s g c", "1"),
            ("XGROUP CREATECONSUMER s g c", "0"),
            ("XGROUP CREATECONSUMER s x c", "-NOGROUP No such consumer group 'x' for key name 's'"),
            ("XGROUP CREATECONSUMER none g c", NO_KEY),
            ("XGROUP DELCONSUMER s g c", "0"),
            ("XGROUP DELCONSUMER s g c", "0"),
            ("XGROUP DESTROY s nope", "0"),
            ("XGROUP DESTROY s g", "1"),
            ("XGROUP DESTROY s h", "1"),
            ("XGROUP DESTROY none h", NO_KEY),
            ("EXISTS s", "1"),
        ],
    );
    assert!(case.run("XGROUP CREATE text g $ MKSTREAM").starts_with("-WRONGTYPE"));
    assert_eq!(
        case.effects(),
        [
            "XGROUP CREATE s g $ MKSTREAM",
            "XGROUP CREATE s h 5 ENTRIESREAD 3",
            "XGROUP SETID s g 7-1",
            "XGROUP SETID s g - ENTRIESREAD 2",
            "XGROUP CREATECONSUMER s g c",
            "XGROUP DELCONSUMER s g c",
            "XGROUP DESTROY s g",
            "XGROUP DESTROY s h",
        ]
    );
}

#[test]
fn reading_for_a_group() {
    let mut case = with_group(3);
    let now = case.now;
    let claim = |id: &str, count: u64| {
        format!("XCLAIM s g c 0 {id} TIME {now} RETRYCOUNT {count} FORCE JUSTID LASTID {id}")
    };
    check(&mut case, &[("XREADGROUP GROUP g c COUNT 2 STREAMS s >", "[[s [[1-0 [a 1]] [2-0 [a 2]]]]]")]);
    assert_eq!(
        case.effects(),
        [
            "XGROUP CREATECONSUMER s g c",
            &claim("1-0", 1),
            &claim("2-0", 1),
            "XGROUP SETID s g 2-0 ENTRIESREAD 2",
        ]
    );
    check(&mut case, &[("XREADGROUP GROUP g d NOACK STREAMS s >", "[[s [[3-0 [a 3]]]]]")]);
    assert_eq!(case.effects(), ["XGROUP CREATECONSUMER s g d", "XGROUP SETID s g 3-0 ENTRIESREAD 3"]);
    check(
        &mut case,
        &[
            ("XREADGROUP GROUP g c STREAMS s >", "nil"),
            ("XREADGROUP GROUP g d STREAMS s 0", "[[s []]]"),
            ("XDEL s 2", "1"),
            ("XREADGROUP GROUP g c STREAMS s 0", "[[s [[1-0 [a 1]] [2-0 nil]]]]"),
        ],
    );
    let again = format!("XCLAIM s g c 0 1-0 TIME {now} RETRYCOUNT 2 FORCE JUSTID LASTID 3-0");
    assert_eq!(case.effects(), ["XDEL s 2", again.as_str()]);
    check(
        &mut case,
        &[
            ("XREADGROUP GROUP g c COUNT 1 STREAMS s 1", "[[s [[2-0 nil]]]]"),
            ("XPENDING s g - + 9", "[[1-0 c 0 2] [2-0 c 0 1]]"),
            (
                "XREADGROUP GROUP x c STREAMS s >",
                "-NOGROUP No such key 's' or consumer group 'x' in XREADGROUP with GROUP option",
            ),
            (
                "XREADGROUP GROUP g c STREAMS s none > >",
                "-NOGROUP No such key 'none' or consumer group 'g' in XREADGROUP with GROUP option",
            ),
            ("XREADGROUP COUNT 1 NOACK BLOCK 1 STREAMS s >", "-ERR Missing GROUP option for XREADGROUP"),
            ("XREADGROUP GROUP g c STREAMS s x", INVALID),
            (
                "XREADGROUP GROUP g c STREAMS s s >",
                "-ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.",
            ),
        ],
    );
    let refused = shown(&mut case, "XREADGROUP GROUP g c STREAMS s $");
    assert!(refused.starts_with("-ERR The $ ID is meaningless in the context of XREADGROUP:"), "{refused}");
    case.resp3();
    assert_eq!(shown(&mut case, "XREADGROUP GROUP g c STREAMS s 5"), "{s []}");
}

#[test]
fn waiting_for_a_group() {
    let mut case = with_group(0);
    case.may_block = true;
    assert_eq!(case.run("XREADGROUP GROUP g c BLOCK 0 STREAMS s >"), "");
    assert!(case.blocked.take().is_some_and(|wish| wish.arguments.is_none() && wish.timeout_ms.is_none()));
    assert_eq!(case.effects(), ["XGROUP CREATECONSUMER s g c"]);
    assert_eq!(case.run("XREADGROUP GROUP g c BLOCK 0 STREAMS s >"), "");
    assert!(case.effects().is_empty());
    case.blocked = None;
    check(
        &mut case,
        &[("XREADGROUP GROUP g c BLOCK 0 STREAMS s 0", "[[s []]]"), ("XGROUP DESTROY s g", "1")],
    );
    assert!(shown(&mut case, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >").starts_with("-NOGROUP"));
}

#[test]
fn acknowledging() {
    let mut case = with_group(3);
    check(
        &mut case,
        &[
            ("XPENDING s g", "[0 nil nil nil]"),
            ("XREADGROUP GROUP g c COUNT 2 STREAMS s >", "[[s [[1-0 [a 1]] [2-0 [a 2]]]]]"),
            ("XREADGROUP GROUP g b STREAMS s >", "[[s [[3-0 [a 3]]]]]"),
            ("XPENDING s g", "[3 1-0 3-0 [[b 1] [c 2]]]"),
            ("XPENDING s g - + 2", "[[1-0 c 0 1] [2-0 c 0 1]]"),
            ("XPENDING s g (1 + 9", "[[2-0 c 0 1] [3-0 b 0 1]]"),
            ("XPENDING s g - + 9 b", "[[3-0 b 0 1]]"),
            ("XPENDING s g - + 9 nobody", "[]"),
            ("XPENDING s g - + 0", "[]"),
            ("XPENDING s g - + -5", "[]"),
            ("XPENDING s g IDLE 1 - + 9", "[]"),
            ("XPENDING s g IDLE 0 - + 9 b", "[[3-0 b 0 1]]"),
            ("XPENDING s g IDLE 5 - +", "-ERR syntax error"),
            ("XPENDING s g - +", "-ERR syntax error"),
            ("XPENDING s g - + x", "-ERR value is not an integer or out of range"),
            ("XPENDING s g x + 1", INVALID),
            ("XPENDING s x", "-NOGROUP No such key 's' or consumer group 'x'"),
            ("XPENDING none g", "-NOGROUP No such key 'none' or consumer group 'g'"),
            ("XACK s g 1 x", INVALID),
            ("XACK s nope x", "0"),
            ("XACK none g 1", "0"),
            ("XACK s g 1 1 7 3", "2"),
            ("XPENDING s g", "[1 2-0 2-0 [[c 1]]]"),
            ("XGROUP DELCONSUMER s g c", "1"),
            ("XPENDING s g", "[0 nil nil nil]"),
        ],
    );
    case.after_ms(500);
    check(
        &mut case,
        &[
            ("XGROUP SETID s g 2", "OK"),
            ("XREADGROUP GROUP g b STREAMS s >", "[[s [[3-0 [a 3]]]]]"),
            ("XGROUP SETID s g 2", "OK"),
            ("XREADGROUP GROUP g c STREAMS s >", "[[s [[3-0 [a 3]]]]]"),
            ("XPENDING s g - + 9", "[[3-0 c 0 1]]"),
        ],
    );
    case.after_ms(50);
    check(
        &mut case,
        &[("XPENDING s g IDLE 50 - + 9", "[[3-0 c 50 1]]"), ("XPENDING s g IDLE 51 - + 9 c", "[]")],
    );
}

#[test]
fn claiming() {
    let mut case = with_group(4);
    check(
        &mut case,
        &[("XREADGROUP GROUP g a COUNT 3 STREAMS s >", "[[s [[1-0 [a 1]] [2-0 [a 2]] [3-0 [a 3]]]]]")],
    );
    case.effects();
    case.after_ms(100);
    let now = case.now;
    check(
        &mut case,
        &[
            ("XCLAIM s g b 101 1 2", "[]"),
            ("XCLAIM s g b 100 1 4 9", "[[1-0 [a 1]]]"),
            ("XPENDING s g - + 9", "[[1-0 b 0 2] [2-0 a 100 1] [3-0 a 100 1]]"),
            ("XCLAIM s g b 0 2 JUSTID IDLE 30", "[2-0]"),
            ("XCLAIM s g b 0 4 FORCE RETRYCOUNT 7", "[[4-0 [a 4]]]"),
            ("XPENDING s g - + 9", "[[1-0 b 0 2] [2-0 b 30 1] [3-0 a 100 1] [4-0 b 0 7]]"),
            ("XDEL s 3", "1"),
            ("XCLAIM s g b 0 3", "[]"),
            ("XPENDING s g - + 9 a", "[]"),
            ("XCLAIM s x b 0 1", "-NOGROUP No such key 's' or consumer group 'x'"),
            ("XCLAIM s g b x 1", "-ERR Invalid min-idle-time argument for XCLAIM"),
            ("XCLAIM s g b 0 1 IDLE x", "-ERR Invalid IDLE option argument for XCLAIM"),
            ("XCLAIM s g b 0 1 TIME x", "-ERR Invalid TIME option argument for XCLAIM"),
            ("XCLAIM s g b 0 1 RETRYCOUNT x", "-ERR Invalid RETRYCOUNT option argument for XCLAIM"),
            ("XCLAIM s g b 0 1 LASTID x", INVALID),
            ("XCLAIM s g b 0 1 IDLE", "-ERR Unrecognized XCLAIM option 'IDLE'"),
            ("XCLAIM s g b 0 1 what", "-ERR Unrecognized XCLAIM option 'what'"),
        ],
    );
    let claim = |id: &str, who: &str, time: i64, count: u64| {
        format!("XCLAIM s g {who} 0 {id} TIME {time} RETRYCOUNT {count} FORCE JUSTID LASTID 3-0")
    };
    assert_eq!(
        case.effects(),
        [
            "XGROUP CREATECONSUMER s g b".to_owned(),
            claim("1-0", "b", now, 2),
            claim("2-0", "b", now - 30, 1),
            claim("4-0", "b", now, 7),
            "XDEL s 3".to_owned(),
            claim("3-0", "a", now - 100, 1),
        ]
    );
    check(&mut case, &[("XCLAIM s g b 0 77 LASTID 50", "[]"), ("XREADGROUP GROUP g b STREAMS s >", "nil")]);
    assert_eq!(case.effects(), ["XGROUP SETID s g 50-0 ENTRIESREAD 3"]);
}

#[test]
fn claiming_what_is_idle() {
    let mut case = with_group(5);
    case.run("XREADGROUP GROUP g a STREAMS s >");
    case.after_ms(100);
    case.effects();
    check(
        &mut case,
        &[
            ("XAUTOCLAIM s g b 100 - COUNT 2", "[3-0 [[1-0 [a 1]] [2-0 [a 2]]] []]"),
            ("XAUTOCLAIM s g b 100 3 COUNT 1 JUSTID", "[4-0 [3-0] []]"),
            ("XPENDING s g - + 9", "[[1-0 b 0 2] [2-0 b 0 2] [3-0 b 0 1] [4-0 a 100 1] [5-0 a 100 1]]"),
            ("XDEL s 4", "1"),
            ("XAUTOCLAIM s g b 50 -", "[0-0 [[5-0 [a 5]]] [4-0]]"),
            ("XAUTOCLAIM s g b 50 (5", "[0-0 [] []]"),
            ("XAUTOCLAIM s g b 50 - COUNT 0", "-ERR COUNT must be > 0"),
            ("XAUTOCLAIM s g b 50 - COUNT x", "-ERR COUNT must be > 0"),
            ("XAUTOCLAIM s g b 50 - COUNT", "-ERR syntax error"),
            ("XAUTOCLAIM s g b x -", "-ERR Invalid min-idle-time argument for XAUTOCLAIM"),
            ("XAUTOCLAIM s g b 5 x", INVALID),
            ("XAUTOCLAIM s x b 5 -", "-NOGROUP No such key 's' or consumer group 'x'"),
        ],
    );
    assert_eq!(case.effects().len(), 7, "a consumer, five claims, a deletion");
    // Ten times COUNT are looked at.
    let mut case = with_group(30);
    case.run("XREADGROUP GROUP g a STREAMS s >");
    case.after_ms(100);
    case.run("XCLAIM s g a 0 1 2 3 4 5 6 7 8 9 10 11 12 JUSTID");
    check(&mut case, &[("XAUTOCLAIM s g b 50 - COUNT 1", "[11-0 [] []]")]);
}

#[test]
fn deletion_with_regard_to_groups() {
    let mut case = with_group(4);
    check(
        &mut case,
        &[
            ("XDELEX none IDS 2 1 2", "[-1 -1]"),
            ("XDELEX s ACKED IDS 1 4", "[2]"),
            ("XGROUP CREATE s h $", "OK"),
            ("XREADGROUP GROUP g c STREAMS s >", "[[s [[1-0 [a 1]] [2-0 [a 2]] [3-0 [a 3]] [4-0 [a 4]]]]]"),
            ("XDELEX s IDS 2 1 9", "[1 -1]"),
            ("XDELEX s IDS 1 2 DELREF", "[1]"),
            ("XDELEX s ACKED IDS 2 3 4", "[2 2]"),
            ("XPENDING s g - + 9", "[[1-0 c 0 1] [3-0 c 0 1] [4-0 c 0 1]]"),
            ("XACKDEL s g IDS 3 1 2 3", "[1 -1 1]"),
            ("XGROUP SETID s h 0", "OK"),
            ("XACKDEL s g ACKED IDS 1 4", "[2]"),
            ("XGROUP SETID s h $", "OK"),
            ("XDELEX s ACKED IDS 1 4", "[1]"),
            ("XLEN s", "0"),
            ("XACKDEL s nope IDS 1 4", "[-1]"),
            ("XACKDEL none g IDS 1 4", "[-1]"),
            ("XDELEX s KEEPREF IDS 2 1", "-ERR The `numids` parameter must match the number of arguments"),
            ("XDELEX s KEEPREF IDS 0 1", "-ERR Number of IDs must be a positive integer"),
            ("XDELEX s KEEPREF ACKED IDS 1 1", "-ERR syntax error"),
            ("XDELEX s KEEPREF IDS 1 x", INVALID),
            ("XACKDEL s g IDS 1 1 x", "-ERR syntax error"),
        ],
    );
    let effects = case.effects();
    let told: Vec<&str> = effects
        .iter()
        .map(String::as_str)
        .filter(|effect| effect.starts_with("XDEL") || effect.starts_with("XACK"))
        .collect();
    assert_eq!(
        told,
        [
            "XDEL s 1-0",
            "XACK s g 2-0",
            "XDEL s 2-0",
            "XACK s g 1-0 3-0",
            "XDEL s 3-0",
            "XACK s g 4-0",
            "XDEL s 4-0"
        ]
    );
    case.put("text", "x");
    assert!(case.run("XDELEX text IDS x 1").starts_with("-WRONGTYPE"));
    assert!(case.run("XACKDEL text g IDS 1 1").starts_with("-WRONGTYPE"));
}

#[test]
fn trimming_with_regard_to_groups() {
    let mut case = with_group(8);
    check(
        &mut case,
        &[
            ("XTRIM s MAXLEN 0 ACKED", "0"),
            (
                "XREADGROUP GROUP g c COUNT 6 NOACK STREAMS s >",
                "[[s [[1-0 [a 1]] [2-0 [a 2]] [3-0 [a 3]] [4-0 [a 4]] [5-0 [a 5]] [6-0 [a 6]]]]]",
            ),
            ("XCLAIM s g c 0 2 4 FORCE JUSTID", "[2-0 4-0]"),
            ("XTRIM s ACKED MINID 5", "2"),
            ("XRANGE s - + COUNT 3", "[[2-0 [a 2]] [4-0 [a 4]] [5-0 [a 5]]]"),
            ("XTRIM s MAXLEN = 5 ACKED", "1"),
            // Only whole nodes, of which this is none.
            ("XTRIM s MAXLEN ~ 1 ACKED", "0"),
            ("XTRIM s MAXLEN ~ 0 ACKED", "1"),
            ("XRANGE s - + COUNT 3", "[[2-0 [a 2]] [4-0 [a 4]] [7-0 [a 7]]]"),
            ("XADD s ACKED MINID 9 9 a 9", "9-0"),
            ("XLEN s", "5"),
            ("XADD s DELREF MAXLEN 5 10 a 10", "10-0"),
            ("XPENDING s g - + 9", "[[4-0 c 0 1]]"),
            ("XTRIM s KEEPREF MAXLEN 3", "2"),
            ("XPENDING s g - + 9", "[[4-0 c 0 1]]"),
            ("XTRIM s DELREF MAXLEN ~ 0", "3"),
            ("XADD s KEEPREF NOMKSTREAM 11 a 11", "11-0"),
            ("XADD s KEEPREF ACKED 12 a 12", INVALID),
            ("XTRIM s MAXLEN 0 DELREF DELREF", "-ERR syntax error"),
        ],
    );
    let trims: Vec<String> = case
        .effects()
        .into_iter()
        .filter(|effect| effect.contains("MAXLEN") || effect.contains("MINID"))
        .collect();
    assert_eq!(
        trims,
        [
            "XTRIM s ACKED MINID 5",
            "XTRIM s MAXLEN = 5 ACKED",
            "XTRIM s MAXLEN = 4 ACKED",
            "XADD s ACKED MINID 9 9 a 9",
            "XADD s DELREF MAXLEN 5 10 a 10",
            "XTRIM s KEEPREF MAXLEN 3",
            "XTRIM s DELREF MAXLEN = 0",
        ]
    );
}

#[test]
fn information() {
    let mut case = with_group(3);
    let start = case.now;
    case.run("XREADGROUP GROUP g c COUNT 2 STREAMS s >");
    case.after_ms(70);
    case.run("XGROUP CREATECONSUMER s g b");
    let end = case.now;
    check(
        &mut case,
        &[
            ("XINFO GROUPS s", "[[name g consumers 2 pending 2 last-delivered-id 2-0 entries-read 2 lag 1]]"),
            (
                "XINFO CONSUMERS s g",
                "[[name b pending 0 idle 0 inactive -1] [name c pending 2 idle 70 inactive 70]]",
            ),
            ("XINFO CONSUMERS s x", "-NOGROUP No such consumer group 'x' for key name 's'"),
            ("XINFO GROUPS none", "-ERR no such key"),
            (
                "XINFO STREAM s FULL COUNT 1",
                &format!(
                    "[length 3 radix-tree-keys 1 radix-tree-nodes 2 last-generated-id 3-0 max-deleted-entry-id 0-0 \
                     entries-added 3 recorded-first-entry-id 1-0 entries [[1-0 [a 1]]] groups [[name g \
                     last-delivered-id 2-0 entries-read 2 lag 1 pel-count 2 pending [[1-0 c {start} 1]] consumers \
                     [[name b seen-time {end} active-time -1 pel-count 0 pending []] [name c seen-time {start} \
                     active-time {start} pel-count 2 pending [[1-0 {start} 1]]]]]]]"
                ),
            ),
            ("XDEL s 3", "1"),
            (
                "XINFO GROUPS s",
                "[[name g consumers 2 pending 2 last-delivered-id 2-0 entries-read 2 lag nil]]",
            ),
        ],
    );
}
