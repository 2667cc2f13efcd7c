//! XADD, XTRIM, XRANGE, XDEL, XSETID, XREAD, XINFO STREAM.

use crate::command::case::Case;
use crate::config::Config;

/// Runs a line and shows the reply compactly: `[…]` for arrays, `{…}` for maps, texts as they are, `nil` for nulls.
pub(super) fn shown(case: &mut Case, line: &str) -> String {
    let reply = case.run(line);
    let mut lines = reply.split("\r\n");
    let text = show(&mut lines);
    assert_eq!(lines.next(), Some(""), "one whole reply to {line}: {reply}");
    text
}

fn show<'a>(lines: &mut impl Iterator<Item = &'a str>) -> String {
    let line = lines.next().expect("a line");
    let (tag, rest) = line.split_at(1);
    let mut several = |count: usize| (0..count).map(|_| show(lines)).collect::<Vec<_>>().join(" ");
    match (tag, rest) {
        ("$" | "*", "-1") | ("_", "") => "nil".into(),
        ("*", count) => format!("[{}]", several(count.parse().expect("a count"))),
        ("%", count) => format!("{{{}}}", several(2 * count.parse::<usize>().expect("a count"))),
        ("$", _) => lines.next().expect("a text").into(),
        ("-", error) => format!("-{error}"),
        (_, text) => text.into(),
    }
}

#[track_caller]
pub(super) fn check(case: &mut Case, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        assert_eq!(shown(case, line), *expected, "{line}");
    }
}

const INVALID: &str = "-ERR Invalid stream ID specified as stream command argument";
const SMALL: &str = "-ERR The ID specified in XADD is equal or smaller than the target stream top item";

#[test]
fn adding() {
    let mut case = Case::new();
    let now = format!("{}-0", case.now);
    let next = format!("{}-1", case.now);
    check(
        &mut case,
        &[
            ("XADD s 1-1 a 1 b 2", "1-1"),
            ("XADD s 1-* a 3", "1-2"),
            ("XADD s 1-2 a 3", SMALL),
            ("XADD s 0-5 a 3", SMALL),
            ("XADD s 2 c 4", "2-0"),
            ("XADD s * a 5", &now),
            ("XADD s * a 6", &next),
            ("XADD s 5-* a 6", SMALL),
            ("XLEN s", "5"),
            ("TYPE s", "stream"),
            ("OBJECT ENCODING s", "stream"),
            ("XADD t 0-0 a 1", "-ERR The ID specified in XADD must be greater than 0-0"),
            ("XADD t 0 a 1", "-ERR The ID specified in XADD must be greater than 0-0"),
            ("EXISTS t", "0"),
            ("XADD t 0-* a 1", "0-1"),
            ("XADD t NOMKSTREAM 0-* a 1", "0-2"),
            ("XADD n NOMKSTREAM * a 1", "nil"),
            ("EXISTS n", "0"),
            ("XADD t * a", "-ERR wrong number of arguments for 'xadd' command"),
            ("XADD t * a 1 b", "-ERR wrong number of arguments for 'xadd' command"),
            ("XADD t MAXLEN 5 * a", "-ERR wrong number of arguments for 'xadd' command"),
            ("XADD t NOMKSTREAM NOMKSTREAM NOMKSTREAM", "-ERR wrong number of arguments for 'xadd' command"),
            ("XADD t x a 1", INVALID),
            ("XADD t - a 1", INVALID),
            ("XADD t + a 1", INVALID),
            ("XADD t 1-x a 1", INVALID),
            ("XADD t 18446744073709551616 a 1", INVALID),
            ("XADD t 1-18446744073709551615 a 1", "1-18446744073709551615"),
            ("XADD t 1-* a 1", SMALL),
            (
                "XADD t 18446744073709551615-18446744073709551615 a 1",
                "18446744073709551615-18446744073709551615",
            ),
            ("XADD t * a 1", "-ERR The stream has exhausted the last possible ID, unable to add more items"),
        ],
    );
    case.put("text", "x");
    for line in
        ["XADD text * a 1", "XADD text NOMKSTREAM * a 1", "XLEN text", "XRANGE text - +", "XDEL text 1-1"]
    {
        assert!(case.run(line).starts_with("-WRONGTYPE"), "{line}");
    }
}

#[test]
fn what_adding_replicates() {
    let mut case = Case::new();
    let now = case.now;
    case.run("XADD s 5-1 a 1");
    case.run("XADD s 5-* a 2");
    case.run("XADD s MAXLEN = 2 6 a 3");
    case.run("XADD s MAXLEN ~ 1 LIMIT 10 NOMKSTREAM 7 a 4");
    case.run("XADD s MINID ~ 7 * a 5");
    assert_eq!(
        case.effects(),
        [
            "XADD s 5-1 a 1",
            "XADD s 5-2 a 2",
            "XADD s MAXLEN = 2 6 a 3",
            "XADD s MAXLEN = 3 NOMKSTREAM 7 a 4",
            &format!("XADD s MINID = 5-1 {now}-0 a 5"),
        ]
    );
    case.run("XADD n NOMKSTREAM * a 1");
    case.run("XADD s 1-1 a 1");
    assert!(case.effects().is_empty());
}

fn filled(entries: usize, node_entries: usize) -> Case {
    let mut case = Case::new();
    case.config = Config::parse(format!("stream-node-max-entries {node_entries}")).expect("a directive");
    (1..=entries)
        .for_each(|ms| assert_eq!(shown(&mut case, &format!("XADD s {ms} a {ms}")), format!("{ms}-0")));
    case.effects();
    case
}

#[test]
fn trimming() {
    let mut case = filled(100, 10);
    check(
        &mut case,
        &[
            ("XTRIM s MAXLEN ~ 85", "10"),
            ("XTRIM s MAXLEN = 85", "5"),
            ("XTRIM s MAXLEN 85", "0"),
            ("XTRIM s MINID ~ 31", "15"),
            ("XTRIM s MINID 32-1", "2"),
            ("XTRIM s MAXLEN ~ 0 LIMIT 20", "18"),
            ("XTRIM s MAXLEN ~ 0 LIMIT 0", "50"),
            ("XLEN s", "0"),
            ("EXISTS s", "1"),
            ("XTRIM none MAXLEN 0", "0"),
            (
                "XTRIM s MAXLEN 1 MINID 1",
                "-ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ),
            ("XTRIM s MAXLEN -1", "-ERR The MAXLEN argument must be >= 0."),
            ("XTRIM s MAXLEN x", "-ERR value is not an integer or out of range"),
            ("XTRIM s MAXLEN ~", "-ERR value is not an integer or out of range"),
            ("XTRIM s MINID x", INVALID),
            ("XTRIM s MAXLEN ~ 1 LIMIT -1", "-ERR The LIMIT argument must be >= 0."),
            (
                "XTRIM s MAXLEN 1 LIMIT 5",
                "-ERR syntax error, LIMIT cannot be used without the special ~ option",
            ),
            ("XTRIM s MAXLEN 1 x", "-ERR syntax error"),
            (
                "XTRIM s LIMIT 5",
                "-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ),
            ("XTRIM s LIMIT 0", "-ERR syntax error, XTRIM must be called with a trimming strategy"),
            (
                "XADD s LIMIT 5 * a 1",
                "-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ),
            ("XADD s LIMIT 0 * a 1", "-ERR syntax error, LIMIT cannot be used without the special ~ option"),
        ],
    );
    assert_eq!(
        case.effects(),
        [
            "XTRIM s MAXLEN = 90",
            "XTRIM s MAXLEN = 85",
            "XTRIM s MINID = 31-0",
            "XTRIM s MINID 32-1",
            "XTRIM s MAXLEN = 50",
            "XTRIM s MAXLEN = 0",
        ]
    );
}

#[test]
fn trimming_by_adding_is_bounded() {
    let mut case = filled(1000, 2);
    // A hundred nodes at most.
    check(&mut case, &[("XADD s MAXLEN ~ 0 2000 a 1", "2000-0"), ("XLEN s", "801")]);
    check(&mut case, &[("XADD s MAXLEN ~ 0 LIMIT 0 2001 a 1", "2001-0"), ("XLEN s", "0")]);
}

#[test]
fn ranges() {
    let mut case = filled(3, 2);
    check(
        &mut case,
        &[
            ("XRANGE s - +", "[[1-0 [a 1]] [2-0 [a 2]] [3-0 [a 3]]]"),
            ("XREVRANGE s + -", "[[3-0 [a 3]] [2-0 [a 2]] [1-0 [a 1]]]"),
            ("XRANGE s 2 2", "[[2-0 [a 2]]]"),
            ("XRANGE s (1 (3", "[[2-0 [a 2]] [3-0 [a 3]]]"),
            ("XRANGE s (1-0 (3-0", "[[2-0 [a 2]]]"),
            ("XRANGE s 3 1", "[]"),
            ("XRANGE s - + COUNT 1", "[[1-0 [a 1]]]"),
            ("XREVRANGE s + - COUNT 2", "[[3-0 [a 3]] [2-0 [a 2]]]"),
            ("XRANGE s - + COUNT 0", "nil"),
            ("XRANGE s - + COUNT -7", "nil"),
            ("XRANGE none - + COUNT 0", "[]"),
            ("XRANGE s - + COUNT", "-ERR syntax error"),
            ("XRANGE s - + COUNT x", "-ERR value is not an integer or out of range"),
            ("XRANGE s - + LIMIT 1", "-ERR syntax error"),
            ("XRANGE s (- +", INVALID),
            ("XRANGE s - (+", INVALID),
            ("XRANGE s x +", INVALID),
            (
                "XRANGE s (18446744073709551615-18446744073709551615 +",
                "-ERR invalid start ID for the interval",
            ),
            ("XREVRANGE s (0-0 -", "-ERR invalid end ID for the interval"),
            ("XDEL s 2 2 7-7", "1"),
            ("XRANGE s - +", "[[1-0 [a 1]] [3-0 [a 3]]]"),
            ("XREVRANGE s + -", "[[3-0 [a 3]] [1-0 [a 1]]]"),
            ("XDEL s 1 x", INVALID),
            ("XDEL s 1 3", "2"),
            ("XRANGE s - +", "[]"),
            ("XDEL none x", "0"),
        ],
    );
    assert_eq!(case.effects(), ["XDEL s 2 2 7-7", "XDEL s 1 3"]);
}

#[test]
fn setting_ids() {
    let mut case = filled(3, 10);
    check(
        &mut case,
        &[
            ("XSETID none 1", "-ERR no such key"),
            ("XSETID s x", INVALID),
            ("XSETID s 2-9", "-ERR The ID specified in XSETID is smaller than the target stream top item"),
            (
                "XSETID s 9 ENTRIESADDED 2",
                "-ERR The entries_added specified in XSETID is smaller than the target stream length",
            ),
            ("XSETID s 9 ENTRIESADDED -1", "-ERR entries_added must be positive"),
            (
                "XSETID s 9 MAXDELETEDID 9-1",
                "-ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
            ),
            ("XSETID s 9 ENTRIESADDED", "-ERR syntax error"),
            ("XSETID s 9 x 1", "-ERR syntax error"),
            ("XSETID s 9-5 ENTRIESADDED 40 MAXDELETEDID 7-7", "OK"),
            ("XSETID s 7-6", "-ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"),
            (
                "XINFO STREAM s",
                "[length 3 radix-tree-keys 1 radix-tree-nodes 2 last-generated-id 9-5 max-deleted-entry-id 7-7 \
                 entries-added 40 recorded-first-entry-id 1-0 groups 0 first-entry [1-0 [a 1]] last-entry [3-0 [a 3]]]",
            ),
            ("XADD s 9-* b 1", "9-6"),
            ("XINFO STREAM none", "-ERR no such key"),
            (
                "XINFO STREAM s x",
                "-ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.",
            ),
        ],
    );
    assert_eq!(case.effects(), ["XSETID s 9-5 ENTRIESADDED 40 MAXDELETEDID 7-7", "XADD s 9-6 b 1"]);
    check(
        &mut case,
        &[
            ("XTRIM s MAXLEN 0", "4"),
            (
                "XINFO STREAM s FULL",
                "[length 0 radix-tree-keys 0 radix-tree-nodes 1 last-generated-id 9-6 max-deleted-entry-id 7-7 \
                 entries-added 41 recorded-first-entry-id 0-0 entries [] groups []]",
            ),
        ],
    );
}

#[test]
fn reading() {
    let mut case = filled(3, 2);
    case.run("XADD t 7 x y");
    check(
        &mut case,
        &[
            ("XREAD STREAMS s 1", "[[s [[2-0 [a 2]] [3-0 [a 3]]]]]"),
            ("XREAD COUNT 1 STREAMS s t 0 0", "[[s [[1-0 [a 1]]]] [t [[7-0 [x y]]]]]"),
            ("XREAD COUNT -1 STREAMS s t 2 7", "[[s [[3-0 [a 3]]]]]"),
            ("XREAD STREAMS s t $ $", "nil"),
            ("XREAD STREAMS none 0", "nil"),
            ("XREAD STREAMS s 18446744073709551615-18446744073709551615", "nil"),
            (
                "XREAD STREAMS s t 0",
                "-ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.",
            ),
            ("XREAD COUNT 1 s 0", "-ERR syntax error"),
            ("XREAD COUNT x STREAMS s 0", "-ERR value is not an integer or out of range"),
            ("XREAD BLOCK x STREAMS s 0", "-ERR timeout is not an integer or out of range"),
            ("XREAD BLOCK -1 STREAMS s 0", "-ERR timeout is negative"),
            ("XREAD BLOCK 9223372036854775807 STREAMS s 0", "-ERR timeout is out of range"),
            (
                "XREAD STREAMS s >",
                "-ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
            ),
            ("XREAD STREAMS s t 0 x", INVALID),
            (
                "XREAD GROUP g c STREAMS s 0",
                "-ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
            ),
            (
                "XREAD NOACK STREAMS s 0",
                "-ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
            ),
        ],
    );
    case.put("text", "x");
    let refused = shown(&mut case, "XREAD STREAMS s text 0 0");
    assert!(refused.starts_with("-WRONGTYPE"), "{refused}");
    assert!(case.effects().len() == 1, "reading replicates nothing");
    case.resp3();
    assert_eq!(shown(&mut case, "XREAD COUNT 1 STREAMS s t 2 0"), "{s [[3-0 [a 3]]] t [[7-0 [x y]]]}");
    assert_eq!(shown(&mut case, "XREAD STREAMS s $"), "nil");
}

#[test]
fn waiting_with_what_dollar_means_now() {
    let mut case = filled(3, 2);
    case.may_block = true;
    assert_eq!(case.run("XREAD COUNT 5 BLOCK 70 STREAMS s none $ $"), "");
    let wish = case.blocked.take().expect("it waits");
    assert_eq!((wish.keys.len(), wish.timeout_ms), (2, Some(70)));
    let again = wish.arguments.expect("other arguments");
    assert_eq!(again.slices().join(&b' '), b"XREAD COUNT 5 BLOCK 70 STREAMS s none 3-0 0-0");
    assert_eq!(case.run("XREAD BLOCK 0 STREAMS s 3"), "");
    assert_eq!(case.blocked.take().map(|wish| wish.timeout_ms), Some(None));
    assert_eq!(shown(&mut case, "XREAD BLOCK 0 STREAMS s 2"), "[[s [[3-0 [a 3]]]]]");
}
