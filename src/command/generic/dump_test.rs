//! DUMP, RESTORE and the digests that compare what came of them: replies, events and effects as Redis 7.2 gives them.

use crate::command::case::Case;

fn dump(case: &mut Case, key: &str) -> Vec<u8> {
    let reply = case.run_arguments(&[b"DUMP", key.as_bytes()]);
    let start = reply.windows(2).position(|pair| pair == b"\r\n").expect("a bulk string") + 2;
    reply[start..reply.len() - 2].to_vec()
}

fn restore(case: &mut Case, key: &str, time: &str, payload: &[u8], options: &str) -> String {
    let mut arguments = vec![b"RESTORE", key.as_bytes(), time.as_bytes(), payload];
    arguments.extend(options.split_ascii_whitespace().map(str::as_bytes));
    String::from_utf8(case.run_arguments(&arguments)).expect("a line")
}

#[test]
fn values_come_back() {
    let mut case = Case::new();
    for line in [
        "SET s 12",
        "RPUSH l a 5",
        "SADD t a b",
        "SADD i 1 2",
        "ZADD z 1.5 a",
        "HSET h a 1 b 2",
        "XADD x 1-1 a b",
    ] {
        case.run(line);
    }
    for key in ["s", "l", "t", "i", "z", "h", "x"] {
        let payload = dump(&mut case, key);
        let (before, encoding) =
            (case.run(&format!("DEBUG DIGEST-VALUE {key}")), case.run(&format!("OBJECT ENCODING {key}")));
        case.run(&format!("DEL {key}"));
        assert_eq!(restore(&mut case, key, "0", &payload, ""), "+OK\r\n");
        assert_eq!(case.run(&format!("DEBUG DIGEST-VALUE {key}")), before, "{key}");
        assert_eq!(case.run(&format!("OBJECT ENCODING {key}")), encoding, "{key}");
        assert_eq!(case.run(&format!("PTTL {key}")), ":-1\r\n");
    }
    assert_eq!(case.run("DUMP none"), "$-1\r\n");
}

#[test]
fn options_and_errors() {
    let mut case = Case::new();
    case.run("SET k v");
    let payload = dump(&mut case, "k");
    let mut check = |time: &str, options: &str, expected: &str| {
        assert_eq!(restore(&mut case, "k", time, &payload, options), expected, "{time} {options}");
    };
    check("0", "", "-BUSYKEY Target key name already exists.\r\n");
    check("x", "", "-BUSYKEY Target key name already exists.\r\n");
    check("0", "REPLACE", "+OK\r\n");
    check("-1", "REPLACE", "-ERR Invalid TTL value, must be >= 0\r\n");
    check("x", "REPLACE", "-ERR value is not an integer or out of range\r\n");
    for options in ["NO", "IDLETIME", "FREQ", "IDLETIME 1 FREQ 1", "FREQ 1 IDLETIME 1"] {
        check("0", options, "-ERR syntax error\r\n");
    }
    check("0", "IDLETIME -1", "-ERR Invalid IDLETIME value, must be >= 0\r\n");
    check("0", "FREQ 256", "-ERR Invalid FREQ value, must be >= 0 and <= 255\r\n");
    check("0", "FREQ -1", "-ERR Invalid FREQ value, must be >= 0 and <= 255\r\n");
    check("0", "replace idletime 1000", "+OK\r\n");
    assert_eq!(case.run("OBJECT IDLETIME k"), ":1000\r\n");
    let wrong = "-ERR DUMP payload version or checksum are wrong\r\n";
    assert_eq!(restore(&mut case, "other", "0", b"", ""), wrong);
    assert_eq!(restore(&mut case, "other", "0", &payload[..payload.len() - 1], ""), wrong);
    let mut bad = b"\x01\x01\x0a\x00".to_vec();
    bad.extend_from_slice(&crate::rdb::Checksum::of(&bad).to_le_bytes());
    assert_eq!(restore(&mut case, "other", "0", &bad, ""), "-ERR Bad data format\r\n");
    assert_eq!(case.run("EXISTS other"), ":0\r\n");
}

#[test]
fn times_are_replicated_as_points_in_time() {
    let mut case = Case::new();
    case.run("SET k v");
    let payload = dump(&mut case, "k");
    case.effects();
    restore(&mut case, "n", "0", &payload, "");
    restore(&mut case, "n", "1000", &payload, "REPLACE");
    restore(&mut case, "n", "1700000005000", &payload, "REPLACE ABSTTL");
    let effects = case.effects();
    let ends = [" REPLACE ABSTTL", " REPLACE ABSTTL"];
    assert_eq!(effects.len(), 3);
    assert!(effects[0].starts_with("RESTORE n 0 ") && !effects[0].contains("ABSTTL"));
    assert!(effects[1].starts_with("RESTORE n 1700000001000 ") && effects[1].ends_with(ends[0]));
    assert!(effects[2].starts_with("RESTORE n 1700000005000 ") && effects[2].ends_with(ends[1]));
    assert_eq!(restore(&mut case, "n", "1", &payload, "REPLACE ABSTTL"), "+OK\r\n");
    assert_eq!(case.effects(), ["DEL n"]);
    assert_eq!(restore(&mut case, "n", "1", &payload, "ABSTTL"), "+OK\r\n");
    assert!(case.effects().is_empty());
    assert_eq!(case.run("EXISTS n"), ":0\r\n");
}

#[test]
fn a_newer_payload_is_replicated_as_an_older_one() {
    let mut case = Case::new();
    let mut newer = b"\x14\x0a\x0a\x00\x00\x00\x01\x00\x81a\x02\xff\x0c\x00".to_vec();
    newer.extend_from_slice(&crate::rdb::Checksum::of(&newer).to_le_bytes());
    assert_eq!(restore(&mut case, "set", "0", &newer, ""), "+OK\r\n");
    let effects = case.effects();
    assert_eq!(effects.len(), 1);
    assert!(effects[0].starts_with("RESTORE set 0 \x02\x01\x01a\x0a\x00"), "{effects:?}");
}

#[test]
fn what_is_notified() {
    let mut case = Case::new();
    case.config = crate::config::Config::parse("notify-keyspace-events KEAn").unwrap();
    case.run("SET k v");
    let payload = dump(&mut case, "k");
    case.notices();
    restore(&mut case, "k", "0", &payload, "REPLACE");
    restore(&mut case, "k", "1", &payload, "REPLACE ABSTTL");
    assert_eq!(case.notices(), ["0 k new", "0 k restore", "0 k del"]);
}
