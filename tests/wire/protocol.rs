//! Requests as raw bytes: every answer is compared with Redis's, and so is whether the connection stays open.

use super::common::{Client, Reply, Server, encode, redis, skerry};
use std::time::{Duration, Instant};

/// How long an answer is waited for; some requests get none until more of them arrives.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
const SENTINEL_REQUEST: &[u8] = b"*2\r\n$4\r\nECHO\r\n$8\r\nsentinel\r\n";
const SENTINEL_REPLY: &[u8] = b"$8\r\nsentinel\r\n";

/// What the server sends in answer to these bytes, up to the answer to a last command, and whether the
/// connection was still open then.
fn answer(client: &mut Client, request: &[u8]) -> (Vec<u8>, bool) {
    let mut bytes = request.to_vec();
    bytes.extend_from_slice(SENTINEL_REQUEST);
    // A server that closes early may refuse the rest.
    let _ = client.try_send_raw(&bytes);
    let mut received = Vec::new();
    loop {
        match client.read_exact(1) {
            Ok(byte) => received.extend(byte),
            Err(_) => return (received, false),
        }
        if received.ends_with(SENTINEL_REPLY) {
            return (received, true);
        }
    }
}

fn assert_same_answers(redis: &Server, ours: &Server, requests: &[&[u8]]) {
    for request in requests {
        let mut redis_client = redis.client();
        let mut our_client = ours.client();
        redis_client.set_read_limit(ANSWER_LIMIT);
        our_client.set_read_limit(ANSWER_LIMIT);
        let (expected, expected_open) = answer(&mut redis_client, request);
        let (actual, actual_open) = answer(&mut our_client, request);
        // 7.0 and 7.2 word the last line of each HELP differently.
        let expected = expected.escape_ascii().to_string().replace("Prints this help.", "Print this help.");
        let shown = &request[..request.len().min(200)];
        assert_eq!(
            (expected, expected_open),
            (actual.escape_ascii().to_string(), actual_open),
            "answer and whether the connection stays open, after {}",
            shown.escape_ascii()
        );
    }
}

/// Both servers with the same arguments.
fn both(arguments: &[&str]) -> Option<(Server, Server)> {
    let (redis, ours) = (redis()?, skerry()?);
    Some((redis.arguments(arguments).spawn(), ours.shards(2).arguments(arguments).spawn()))
}

#[test]
fn malformed_requests_get_redis_errors() {
    let Some((redis, ours)) = both(&[]) else { return };
    let requests: &[&[u8]] = &[
        b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$blabla\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$-10\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$2000000000\r\n",
        b"*2\r\n$4\r\nECHO\r\n$ 4\r\nabcd\r\n",
        b"*2\r\n$4\r\nECHO\r\n$+4\r\nabcd\r\n",
        b"*2\r\n$4\r\nECHO\r\n$04\r\nabcd\r\n",
        b"*2\r\n$4\r\nECHO\r\n$\r\nabcd\r\n",
        b"*2\r\n$4\r\nECHO\r\n$9223372036854775808\r\n",
        b"*2\r\n$4\r\nECHO\r\n:4\r\nabcd\r\n",
        b"*blabla\r\n",
        b"*\r\n",
        b"* 1\r\n",
        b"*+1\r\n",
        b"*01\r\n",
        b"*1x\r\n",
        b"*-10\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"*3000000000\r\n",
        b"*99999999999999999999\r\n",
        b"*1\r\n$0\r\n\r\n",
        b"*1\r\n$4\r\nPINGxx",
        b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n",
        b"*2\r\n$4\r\nECHO\r\n$2\r\n\r\n\r\n",
        b"PING\r\n*1\r\n$4\r\nPING\r\n*1\r\nPING\r\n",
        b"SET \"unbalanced\r\n",
        b"SET 'unbalanced\r\n",
        b"ECHO \"a\"b\r\n",
        b"ECHO 'a'b\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n",
        b"GET k\r\nHost: example\r\n",
        b"+OK\r\n",
        b"$3\r\nfoo\r\n",
        b"\x00\r\n",
        b"\xff\xfe\xfd\r\n",
    ];
    assert_same_answers(&redis, &ours, requests);
}

#[test]
fn endless_lines_get_redis_errors() {
    let Some((redis, ours)) = both(&[]) else { return };
    for (start, fill) in [("", "a"), ("*", "1"), ("*1\r\n$", "1"), ("PING\r\nECHO ", "b")] {
        let request = [start, &fill.repeat(70_000)].concat();
        // No line end ever comes, so only an error and the end of the connection can answer.
        let [expected, actual] = [&redis, &ours].map(|server| {
            let mut client = server.client();
            client.send_raw(request.as_bytes());
            client.read_to_end().expect("the server closes the connection").escape_ascii().to_string()
        });
        assert_eq!(expected, actual, "after {start} and {fill} without end");
    }
}

#[test]
fn inline_commands_are_split_like_in_redis() {
    let Some((redis, ours)) = both(&[]) else { return };
    let requests: &[&[u8]] = &[
        b"PING\r\n",
        b"PING\n",
        b"  PING   hello  \r\n",
        b"\r\n\r\nPING\r\n",
        b"   \r\n",
        b"\tECHO\tx\r\n",
        b"ECHO \"hello world\"\r\n",
        b"ECHO 'hello world'\r\n",
        b"ECHO \"\\x41\\x0a\\xZZ\\n\\r\\t\\b\\a\\q\\\"\"\r\n",
        b"ECHO 'it\\'s \\n raw'\r\n",
        b"ECHO \"\"\r\n",
        b"ECHO ''\r\n",
        b"\"ECHO\" x\r\n",
        b"ECHO a\"b\"\r\n",
        b"ECHO \xff\x01\r\n",
        b"set k v\r\nget k\r\nGET\r\n",
        b"PING\r\n*1\r\n$4\r\nPING\r\nPING\r\n",
        b"nosuch a b\r\n",
    ];
    assert_same_answers(&redis, &ours, requests);
}

#[test]
fn commands_on_the_connection_itself_answer_like_redis() {
    let Some((redis, ours)) = both(&[]) else { return };
    let requests: &[&[u8]] = &[
        b"CLIENT REPLY OFF\r\nPING\r\nSET a b\r\nCLIENT REPLY ON\r\nGET a\r\n",
        b"CLIENT REPLY SKIP\r\nPING\r\nGET a\r\n",
        b"CLIENT REPLY SKIP\r\nCLIENT REPLY ON\r\nPING\r\n",
        b"CLIENT REPLY maybe\r\nPING\r\n",
        b"PING\r\nQUIT\r\nPING\r\n",
        b"MULTI\r\nPING\r\nRESET\r\nPING\r\nEXEC\r\n",
        b"MULTI\r\nSET a\r\nGET a\r\nEXEC\r\nGET a\r\n",
        b"MULTI\r\nMULTI\r\nWATCH a\r\nDISCARD\r\nDISCARD\r\n",
        b"MULTI\r\nQUIT\r\n",
        b"SELECT 1\r\nRESET\r\nDBSIZE\r\n",
        b"HELLO 4\r\nHELLO x\r\nHELLO 3 FOO\r\nHELLO 2 AUTH x\r\nHELLO 3 SETNAME \"a b\"\r\n",
        b"AUTH x\r\nAUTH default x\r\nAUTH no x\r\nAUTH a b c\r\n",
        b"CLIENT SETNAME x\r\nCLIENT GETNAME\r\nCLIENT SETNAME \"x y\"\r\nCLIENT GETNAME\r\n",
        b"CLIENT NO-EVICT on\r\nCLIENT NO-EVICT maybe\r\n",
        b"CLIENT\r\nCLIENT nosuch\r\nCLIENT KILL\r\nCLIENT KILL 1.2.3.4:5\r\nCLIENT KILL ID 0\r\nCLIENT KILL ID x\r\n",
        b"CLIENT PAUSE x\r\nCLIENT PAUSE 0 ALL\r\nCLIENT PAUSE 0 WHAT\r\nCLIENT UNPAUSE\r\n",
        b"OBJECT HELP\r\nSELECT 99\r\nSELECT x\r\n",
    ];
    assert_same_answers(&redis, &ours, requests);
}

#[test]
fn hello_switches_the_version() {
    let Some(start) = skerry() else { return };
    let server = start.shards(2).spawn();
    let mut client = server.client();
    assert_eq!(client.run("GET none"), Reply::NilBulk);
    let Reply::Map(fields) = client.run("HELLO 3 SETNAME me") else { panic!("HELLO 3 answers a map") };
    let field = |name: &str| {
        let found = fields.iter().find(|(field, _)| field.text() == name);
        found.unwrap_or_else(|| panic!("HELLO's reply has {name}")).1.clone()
    };
    let names: Vec<String> = fields.iter().map(|(name, _)| name.text()).collect();
    assert_eq!(names, ["server", "version", "proto", "id", "mode", "role", "modules"]);
    assert_eq!((field("server"), field("proto")), (Reply::bulk("redis"), Reply::Integer(3)));
    assert_eq!((field("role"), field("modules")), (Reply::bulk("master"), Reply::Array(Vec::new())));
    assert_eq!(client.run("CLIENT GETNAME"), Reply::bulk("me"));
    assert_eq!(client.run("GET none"), Reply::Null);
    assert_eq!(client.run("MGET none none"), Reply::Array(vec![Reply::Null, Reply::Null]));
    client.run("WATCH w");
    server.client().run("SET w 1");
    client.run("MULTI");
    assert_eq!(client.run("EXEC"), Reply::Null, "an aborted EXEC");
    assert!(matches!(client.run("HELLO 2"), Reply::Array(items) if items.len() == 14));
    assert_eq!(client.run("GET none"), Reply::NilBulk);
    assert_eq!(client.run("RESET"), Reply::simple("RESET"));
}

/// Requests of every form, whose replies a split must not change.
fn mixed_requests() -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&["SET", "key:1", "a value\r\n with a line end"], &mut bytes);
    bytes.extend_from_slice(b"GET key:1\r\n");
    encode(&["MSET", "{a}x", "1", "{b}x", "2", "{c}x", "3"], &mut bytes);
    bytes.extend_from_slice(b"\r\n*0\r\n*-1\r\n");
    encode(&["MGET", "{a}x", "{b}x", "{c}x", "none"], &mut bytes);
    encode(&["ECHO", ""], &mut bytes);
    bytes.extend_from_slice(b"ECHO \"in \\\"quotes\\\"\"\n");
    encode(&["GET", "{b}x"], &mut bytes);
    bytes
}

#[test]
fn input_may_be_cut_anywhere() {
    let Some(start) = skerry() else { return };
    let server = start.shards(4).spawn();
    let requests = mixed_requests();
    let (whole, _) = answer(&mut server.client(), &requests);
    let mut other = server.client();
    for cut in 1..requests.len() {
        let mut client = server.client();
        client.send_raw(&requests[..cut]);
        // The reply on another connection shows that the server had time to read the first part.
        other.run("PING");
        let (rest, open) = answer(&mut client, &requests[cut..]);
        assert_eq!(
            (rest.escape_ascii().to_string(), open),
            (whole.escape_ascii().to_string(), true),
            "cut at {cut}"
        );
    }
    let mut client = server.client();
    for byte in &requests {
        client.send_raw(&[*byte]);
        other.run("PING");
    }
    assert_eq!(answer(&mut client, b"").0.escape_ascii().to_string(), whole.escape_ascii().to_string());
}

#[test]
fn pipelines_of_any_depth_keep_their_order() {
    const COMMANDS: usize = 100_000;
    let Some(start) = skerry() else { return };
    let server = start.shards(4).spawn();
    let mut client = server.client();
    let mut bytes = Vec::new();
    for index in 0..COMMANDS {
        match index % 4 {
            0 => encode(&["INCR", "counter"], &mut bytes),
            1 => encode(&["SET", &format!("key:{}", index % 100), &index.to_string()], &mut bytes),
            2 => encode(&["ECHO", &index.to_string()], &mut bytes),
            _ => encode(&["GET", &format!("key:{}", (index - 2) % 100)], &mut bytes),
        }
    }
    client.send_raw(&bytes);
    for index in 0..COMMANDS {
        let expected = match index % 4 {
            0 => Reply::Integer(index as i64 / 4 + 1),
            1 => Reply::ok(),
            2 => Reply::bulk(index.to_string()),
            _ => Reply::bulk((index - 2).to_string()),
        };
        assert_eq!(client.receive(), expected, "reply {index}");
    }
}

#[test]
fn limits_before_authentication() {
    let Some((redis, ours)) = both(&["--requirepass", "secret"]) else { return };
    let requests: Vec<Vec<u8>> = [
        "*11\r\n",
        "*10\r\n$4\r\nPING\r\n",
        "*2\r\n$4\r\nAUTH\r\n$16385\r\n",
        "PING\r\nGET k\r\nSET k v\r\nCLIENT ID\r\nnosuch\r\nGET\r\nHELLO 3\r\nHELLO 3 AUTH default no\r\nAUTH secret\r\n",
        "AUTH no\r\nAUTH default no\r\nAUTH default secret\r\nPING\r\n",
        "HELLO 2 AUTH default no SETNAME x\r\nMULTI\r\nEXEC\r\nRESET\r\nPING\r\nQUIT\r\n",
    ]
    .map(|text| if text.starts_with("*10") { eleven_words() } else { text.as_bytes().to_vec() })
    .to_vec();
    for request in &requests {
        let mut clients = [redis.client(), ours.client()];
        clients.iter_mut().for_each(|client| client.set_read_limit(ANSWER_LIMIT));
        let [expected, actual] = clients.each_mut().map(|client| answer_of_stranger(client, request));
        // 7.2 names the argument between the two words, 7.0 does not.
        let expected = String::from_utf8_lossy(&expected).replace("HELLO AUTH", "HELLO <proto> AUTH");
        let actual = String::from_utf8_lossy(&actual).replace("HELLO AUTH", "HELLO <proto> AUTH");
        assert_eq!(expected, actual);
    }
    let mut client = ours.client();
    assert_eq!(client.run("AUTH secret"), Reply::ok());
    let long = "x".repeat(20_000);
    assert_eq!(client.command(&["ECHO", &long]).bytes().len(), 20_000, "no such limit afterwards");
}

/// Ten arguments are allowed, so this is answered with an error about authentication only.
fn eleven_words() -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&["MGET", "1", "2", "3", "4", "5", "6", "7", "8", "9"], &mut bytes);
    bytes
}

/// As `answer`, for a connection on which the last command is refused.
fn answer_of_stranger(client: &mut Client, request: &[u8]) -> Vec<u8> {
    client.send_raw(request);
    client.send_raw(b"QUIT\r\n");
    client.read_to_end().unwrap_or_default()
}

#[test]
fn bulk_limit_follows_the_configuration() {
    let Some((redis, ours)) = both(&["--proto-max-bulk-len", "1mb"]) else { return };
    let requests: &[&[u8]] = &[
        b"*2\r\n$4\r\nECHO\r\n$1048577\r\n",
        b"SETRANGE k 1048576 x\r\nSETRANGE k 1048575 x\r\nSTRLEN k\r\nAPPEND k x\r\n",
        b"SETBIT b 8388608 1\r\nSETBIT b 8388607 1\r\nSTRLEN b\r\n",
        b"BITFIELD f SET u8 8388600 1\r\nBITFIELD f SET u8 8388601 1\r\n",
        b"CONFIG GET proto-max-bulk-len\r\nCONFIG SET proto-max-bulk-len 1\r\n",
    ];
    assert_same_answers(&redis, &ours, requests);
    let mut request = Vec::new();
    encode(&[b"SET".as_slice(), b"whole", &vec![b'x'; 1 << 20]], &mut request);
    encode(&["STRLEN", "whole"], &mut request);
    assert_same_answers(&redis, &ours, &[&request]);
}

#[test]
fn values_of_many_megabytes_travel_in_linear_time() {
    const LENGTH: usize = 128 << 20;
    let Some(start) = skerry() else { return };
    let server = start.shards(2).spawn();
    let mut client = server.client();
    let value: Vec<u8> = (0..LENGTH).map(|index| (index % 251) as u8).collect();
    let begun = Instant::now();
    for key in ["{a}big", "{c}big"] {
        assert_eq!(client.command(&[b"SET".as_slice(), key.as_bytes(), &value]), Reply::ok());
        assert!(client.command(&["GET", key]) == Reply::Bulk(value.clone()), "the value is as it was");
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "took {:?}", begun.elapsed());
}

#[test]
fn query_buffer_limit_closes_the_connection() {
    let Some((redis, ours)) = both(&["--client-query-buffer-limit", "1mb"]) else { return };
    for server in [&redis, &ours] {
        let mut client = server.client();
        client.set_read_limit(Duration::from_secs(10));
        let mut request = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4000000\r\n".to_vec();
        request.resize(3_000_000, b'x');
        let _ = client.try_send_raw(&request);
        assert!(client.is_closed(), "{:?} closes a connection that sends too much", server.kind());
        assert_eq!(server.client().run("EXISTS k"), Reply::Integer(0));
    }
}
