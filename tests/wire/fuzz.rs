//! Bytes that nobody should send, for some seconds: the server answers or closes, and goes on serving.

use super::common::{Client, Random, Server, encode, seed, setting, skerry};
use std::time::{Duration, Instant};

const WORDS: [&[u8]; 30] = [
    b"SET",
    b"GET",
    b"MSET",
    b"MGET",
    b"DEL",
    b"INCR",
    b"MULTI",
    b"EXEC",
    b"WATCH",
    b"DISCARD",
    b"BITFIELD",
    b"SETRANGE",
    b"EXPIRE",
    b"SCAN",
    b"HELLO",
    b"3",
    b"k",
    b"l",
    b"{m}",
    b"-1",
    b"NX",
    b"EX",
    b"9223372036854775807",
    b"BITOP",
    b"AND",
    b"OBJECT",
    b"LCS",
    b"SELECT",
    b"GET #0",
    b"RENAME",
];
const PIECES: [&[u8]; 14] = [
    b"\r\n",
    b"*",
    b"$",
    b"*3\r\n",
    b"$3\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"$99999999999\r\n",
    b"\"",
    b"'",
    b"\\x",
    b"\0",
    b"PING\r\n",
    b"*1\r\n$4\r\nPING\r\n",
];

/// Random bytes of one of several kinds, from noise to commands that are almost right.
fn garbage(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    match random.below(4) {
        0 => {
            let length = random.below(2_000);
            bytes = random.bytes(length);
        }
        1 => (0..random.below(60)).for_each(|_| bytes.extend_from_slice(random.pick(&PIECES))),
        _ => {
            for _ in 0..1 + random.below(30) {
                let words: Vec<&[u8]> = (0..1 + random.below(6)).map(|_| random.pick(&WORDS)).collect();
                encode(&words, &mut bytes);
            }
            for _ in 0..random.below(4) {
                let position = random.below(bytes.len());
                bytes[position] = random.next() as u8;
            }
            if random.one_in(3) {
                bytes.truncate(random.below(bytes.len()));
            }
        }
    }
    bytes
}

fn send_garbage(server: &Server, mut random: Random, end: Instant) -> usize {
    let mut sent = 0;
    while Instant::now() < end {
        let Ok(mut client) = Client::try_connect(server.port()) else { continue };
        client.set_read_limit(Duration::from_millis(20));
        for _ in 0..random.below(20) {
            let bytes = garbage(&mut random);
            sent += bytes.len();
            if client.try_send_raw(&bytes).is_err() {
                break;
            }
            // Now and then the replies stay unread.
            if random.one_in(3) && client.is_closed() {
                break;
            }
        }
    }
    sent
}

#[test]
fn random_bytes_leave_the_server_serving() {
    let Some(start) = skerry() else { return };
    // The limit keeps a lucky SETRANGE from taking the machine's memory.
    let mut server = start.shards(4).arguments(&["--proto-max-bulk-len", "1mb"]).spawn();
    let mut random = Random::new(seed("random_bytes_leave_the_server_serving"));
    let end = Instant::now() + Duration::from_secs(setting("SKERRY_FUZZ_SECONDS", 10));
    let sent: usize = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..4)
            .map(|_| {
                let random = random.fork();
                let server = &server;
                scope.spawn(move || send_garbage(server, random, end))
            })
            .collect();
        senders.into_iter().map(|sender| sender.join().expect("a sender ends")).sum()
    });
    println!("{sent} bytes of garbage sent");
    server.assert_serving();
    let mut client = server.client();
    client.run("FLUSHALL");
    assert_eq!(client.run("DBSIZE").integer(), 0, "whole-keyspace commands still work");
}
