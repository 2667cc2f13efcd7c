//! Many clients at once, slow ones, and ones that do not read: each gets what it asked for, and none of
//! them keeps the server from the others.

use super::common::{Client, Reply, Server, encode, skerry, wait_until};
use std::io::Write;
use std::time::{Duration, Instant};

/// Descriptors a test process and its server need beyond the crowd's.
const SPARE_DESCRIPTORS: u64 = 300;

/// Raises the limit of open files to the hard limit, for this process and the servers it starts; gives it.
fn raise_descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls read or write the one structure that outlives them.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        limit.rlim_cur = limit.rlim_max;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
    }
    limit.rlim_cur
}

fn assert_prompt(server: &Server, what: &str) {
    let begun = Instant::now();
    let mut client = server.client();
    for index in 0..50 {
        let key = format!("prompt:{index}");
        assert_eq!(client.command(&["SET", &key, "x"]), Reply::ok());
        assert_eq!(client.command(&["GET", &key]), Reply::bulk("x"));
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{what}: 100 commands took {:?}", begun.elapsed());
}

#[test]
fn ten_thousand_connections_at_once() {
    let Some(start) = skerry() else { return };
    let limit = raise_descriptor_limit();
    let count = limit.saturating_sub(SPARE_DESCRIPTORS).min(10_000) as usize;
    let mut server = start.shards(2).arguments(&["--maxclients", "10100"]).spawn();
    let mut clients: Vec<Client> = (0..count).map(|_| server.client()).collect();
    for round in 0..2 {
        for (index, client) in clients.iter_mut().enumerate() {
            client.send(&["INCRBY", &format!("of:{}", index % 97), "1"]);
        }
        for client in &mut clients {
            assert!(matches!(client.receive(), Reply::Integer(_)), "round {round}");
        }
    }
    let mut client = server.client();
    let total: i64 = (0..97)
        .map(|index| client.command(&["GET", &format!("of:{index}")]).text().parse().unwrap_or(0))
        .sum();
    assert_eq!(total, 2 * count as i64, "every command of {count} connections counted once");
    assert!(client.run("INFO clients").text().contains(&format!("connected_clients:{}", count + 1)));
    drop(clients);
    let alone = |client: &mut Client| client.run("INFO clients").text().contains("connected_clients:1\r\n");
    wait_until("closed connections are forgotten", 20_000, || alone(&mut client));
    server.assert_serving();
}

#[test]
fn one_connection_too_many_is_refused() {
    let Some(start) = skerry() else { return };
    let mut server = start.shards(2).arguments(&["--maxclients", "20"]).spawn();
    wait_until("the first connection is forgotten", 5_000, || {
        server.client().run("INFO clients").text().contains("connected_clients:1\r\n")
    });
    let mut clients: Vec<Client> = (0..18).map(|_| server.client()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.run("PING").text(), "PONG"));
    let mut refused = 0;
    let mut more: Vec<Client> = (0..12).map(|_| server.client()).collect();
    for client in &mut more {
        let answer = client.try_receive_after(b"PING\r\n");
        match answer {
            Some(Reply::Error(text)) => {
                assert_eq!(String::from_utf8_lossy(&text), "ERR max number of clients reached");
                refused += 1;
            }
            Some(reply) => assert_eq!(reply.text(), "PONG"),
            None => refused += 1,
        }
    }
    assert!((9..=11).contains(&refused), "{refused} of 12 were refused");
    drop((more, clients));
    wait_until("there is room again", 10_000, || {
        server.client().try_receive_after(b"PING\r\n").is_some_and(|r| r.text() == "PONG")
    });
    server.assert_serving();
}

#[test]
fn a_client_that_never_reads_holds_up_nobody() {
    let Some(start) = skerry() else { return };
    let mut server = start.shards(2).spawn();
    let mut client = server.client();
    client.command(&["SET", "{a}big", &"x".repeat(100_000)]);
    client.command(&["SET", "{c}big", &"x".repeat(100_000)]);
    let mut silent = server.client();
    for _ in 0..500 {
        silent.send(&["GET", "{a}big"]);
        silent.send(&["GET", "{c}big"]);
    }
    assert_prompt(&server, "beside a client that never reads");
    drop(silent);
    assert_prompt(&server, "after it left");
    server.assert_serving();
}

#[test]
fn a_client_that_never_reads_is_closed_at_its_limit() {
    let Some(start) = skerry() else { return };
    let limit = ["--client-output-buffer-limit", "normal 4mb 2mb 60"];
    let mut server = start.shards(2).arguments(&limit).spawn();
    let mut client = server.client();
    client.command(&["SET", "{a}big", &"x".repeat(100_000)]);
    client.command(&["SET", "{c}big", &"x".repeat(100_000)]);
    let mut silent = server.client();
    silent.run("CLIENT SETNAME silent");
    for _ in 0..500 {
        // Fails once the server has closed the connection.
        let mut request = Vec::new();
        encode(&["GET", "{a}big"], &mut request);
        encode(&["GET", "{c}big"], &mut request);
        let _ = silent.try_send_raw(&request);
    }
    wait_until("the server closes it", 10_000, || !client.run("CLIENT LIST").text().contains("name=silent"));
    server.assert_serving();
}

#[test]
fn a_million_replies_arrive_however_late_they_are_read() {
    const REQUESTS: usize = 1_000_000;
    const KEYS: usize = 8;
    let Some(start) = skerry() else { return };
    let mut server = start.shards(4).spawn();
    let mut client = server.client();
    let value = |key: usize| vec![b'a' + key as u8; 1024];
    let mut batch = Vec::new();
    for key in 0..KEYS {
        client.command(&[b"SET".as_slice(), format!("key:{key}").as_bytes(), &value(key)]);
        encode(&["GET", &format!("key:{key}")], &mut batch);
    }
    let batch = batch.repeat(1000);
    for _ in 0..REQUESTS / KEYS / 1000 {
        client.send_raw(&batch);
    }
    assert_prompt(&server, "with a gigabyte of replies waiting");
    let expected: Vec<u8> =
        (0..KEYS).flat_map(|key| [b"$1024\r\n".as_slice(), &value(key), b"\r\n"].concat()).collect();
    for round in 0..REQUESTS / KEYS {
        let received = client.read_exact(expected.len()).expect("the replies arrive");
        assert!(received == expected, "replies {} to {}", round * KEYS, (round + 1) * KEYS);
    }
    drop(client);
    server.assert_serving();
}

#[test]
fn a_slow_sender_is_waited_for() {
    let Some(start) = skerry() else { return };
    let server = start.shards(2).spawn();
    let mut client = server.client();
    let mut writer = client.writer();
    for byte in b"*2\r\n$4\r\nECHO\r\n$4\r\nslow\r\n" {
        writer.write_all(&[*byte]).expect("sending");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(client.receive(), Reply::bulk("slow"));
    assert_prompt(&server, "beside a slow sender");
}

#[test]
fn connections_come_and_go() {
    let Some(start) = skerry() else { return };
    let mut server = start.shards(4).spawn();
    for round in 0..2_000 {
        let mut client = server.client();
        client.send(&["MGET", "a", "b", "c", "d"]);
        // Every other one leaves before its reply, so that replies meet closed connections.
        if round % 2 == 0 {
            assert_eq!(client.receive().items().len(), 4);
        }
    }
    wait_until("all are forgotten", 10_000, || {
        server.client().run("INFO clients").text().contains("connected_clients:1\r\n")
    });
    server.assert_serving();
}

#[test]
fn idle_connections_are_closed_at_the_timeout() {
    let Some(start) = skerry() else { return };
    let server = start.shards(2).arguments(&["--timeout", "1"]).spawn();
    let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.run("PING").text(), "PONG"));
    for client in &mut clients {
        client.set_read_limit(Duration::from_secs(10));
        assert!(client.is_closed(), "closed after a second of silence");
    }
}
