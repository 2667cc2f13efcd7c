//! Publish and subscribe, keyspace notifications and client-side caching over connections: at one shard, at four, and
//! against real Redis as the reference for the same script.

mod common;

use common::{Client, Reply, Server, is_redis, redis, skerry, wait_until};
use std::time::Duration;

/// Runs a script against every server there is.
fn on_all(script: impl Fn(&Server)) {
    let Some(start) = skerry() else { return };
    for shards in [1, 4] {
        script(&start.clone().shards(shards).spawn());
    }
    if let Some(start) = redis() {
        script(&start.spawn());
    }
}

fn connect(server: &Server) -> Client {
    Client::connect(server.port())
}

fn connect_3(server: &Server) -> Client {
    let mut client = connect(server);
    client.run("HELLO 3");
    client
}

/// A reply in short: texts and numbers between brackets.
fn short(reply: &Reply) -> String {
    match reply {
        Reply::Array(items) | Reply::Set(items) => bracketed("[", items),
        Reply::Push(items) => bracketed(">[", items),
        Reply::Integer(number) => number.to_string(),
        other if other.is_nil() => "nil".into(),
        other => other.text(),
    }
}

fn bracketed(open: &str, items: &[Reply]) -> String {
    let words: Vec<String> = items.iter().map(short).collect();
    format!("{open}{}]", words.join(" "))
}

#[track_caller]
fn expect(client: &mut Client, expected: &[&str]) {
    for expected in expected {
        assert_eq!(short(&client.receive()), *expected);
    }
}

/// That nothing came: the next that comes is the answer to this PING.
#[track_caller]
fn expect_nothing(client: &mut Client) {
    client.send(&["PING", "end"]);
    let reply = short(&client.receive());
    assert!(reply == "end" || reply == "[pong end]", "{reply}");
}

#[test]
fn messages_reach_channels_and_patterns() {
    on_all(|server| {
        let (mut one, mut two, mut publisher) = (connect(server), connect_3(server), connect(server));
        one.send(&["SUBSCRIBE", "a", "b", "a"]);
        expect(&mut one, &["[subscribe a 1]", "[subscribe b 2]", "[subscribe a 2]"]);
        two.send(&["PSUBSCRIBE", "?", "a*"]);
        expect(&mut two, &[">[psubscribe ? 1]", ">[psubscribe a* 2]"]);
        assert_eq!(publisher.run("PUBLISH a hello").integer(), 3);
        assert_eq!(publisher.run("PUBLISH b hello").integer(), 2);
        assert_eq!(publisher.run("PUBLISH abc hello").integer(), 1);
        assert_eq!(publisher.run("PUBLISH xyz hello").integer(), 0);
        expect(&mut one, &["[message a hello]", "[message b hello]"]);
        let mut got = [short(&two.receive()), short(&two.receive())];
        got.sort();
        assert_eq!(got, [">[pmessage ? a hello]", ">[pmessage a* a hello]"]);
        let mut got = [short(&two.receive()), short(&two.receive())];
        got.sort();
        assert_eq!(got, [">[pmessage ? b hello]", ">[pmessage a* abc hello]"]);
        one.send(&["UNSUBSCRIBE", "a", "x"]);
        expect(&mut one, &["[unsubscribe a 1]", "[unsubscribe x 1]"]);
        assert_eq!(publisher.run("PUBLISH a again").integer(), 2);
        expect_nothing(&mut one);
        one.send(&["UNSUBSCRIBE"]);
        expect(&mut one, &["[unsubscribe b 0]"]);
        one.send(&["UNSUBSCRIBE"]);
        expect(&mut one, &["[unsubscribe nil 0]"]);
        assert_eq!(one.run("GET nothing"), Reply::NilBulk);
    });
}

#[test]
fn questions_about_channels() {
    on_all(|server| {
        let mut subscribers: Vec<Client> = (0..6).map(|_| connect(server)).collect();
        for (index, client) in subscribers.iter_mut().enumerate() {
            client.send(&["SUBSCRIBE", "all", &format!("own{index}")]);
            client.receive_many(2);
            client.send(&["PSUBSCRIBE", "p*"]);
            client.receive();
            client.send(&["SSUBSCRIBE", &format!("shard{}", index / 2)]);
            client.receive();
        }
        let mut asking = connect(server);
        assert_eq!(short(&asking.run("PUBSUB NUMSUB all own1 p* none")), "[all 6 own1 1 p* 0 none 0]");
        assert_eq!(short(&asking.run("PUBSUB SHARDNUMSUB shard0 shard2 all")), "[shard0 2 shard2 2 all 0]");
        assert_eq!(asking.run("PUBSUB NUMPAT").integer(), 1);
        let listed = |asking: &mut Client, line: &str| {
            let mut names: Vec<String> = asking.run(line).items().iter().map(Reply::text).collect();
            names.sort();
            names.join(" ")
        };
        assert_eq!(listed(&mut asking, "PUBSUB CHANNELS"), "all own0 own1 own2 own3 own4 own5");
        assert_eq!(listed(&mut asking, "PUBSUB CHANNELS *[13]"), "own1 own3");
        assert_eq!(listed(&mut asking, "PUBSUB SHARDCHANNELS"), "shard0 shard1 shard2");
        let info = asking.run("INFO stats").text();
        for field in ["pubsub_channels:7\r\n", "pubsub_patterns:1\r\n", "pubsubshard_channels:3\r\n"] {
            assert!(info.contains(field), "{field} in {info}");
        }
        let list = asking.run("CLIENT LIST TYPE pubsub").text();
        assert_eq!(list.lines().count(), 6);
        assert!(list.lines().all(|line| line.contains(" sub=2 psub=1 ")), "{list}");
        assert!(list.lines().all(|line| line.contains(" flags=P ")), "{list}");
        assert_eq!(asking.run("PUBLISH all x").integer(), 6);
        subscribers.truncate(2);
        wait_until("subscriptions of closed connections end", 5000, || {
            short(&asking.run("PUBSUB NUMSUB all own5")) == "[all 2 own5 0]"
        });
        subscribers[0].send(&["RESET"]);
        expect(&mut subscribers[0], &["[message all x]", "RESET"]);
        assert_eq!(asking.run("CLIENT KILL TYPE pubsub").integer(), 1);
        wait_until("nobody is left", 5000, || short(&asking.run("PUBSUB CHANNELS")) == "[]");
        assert_eq!(asking.run("PUBSUB NUMPAT").integer(), 0);
        assert_eq!(short(&asking.run("PUBSUB SHARDCHANNELS")), "[]");
    });
}

#[test]
fn all_subscribers_see_one_order() {
    const PUBLISHERS: usize = 4;
    const MESSAGES: usize = 300;
    on_all(|server| {
        let mut subscribers: Vec<Client> = (0..8).map(|_| connect(server)).collect();
        for (index, client) in subscribers.iter_mut().enumerate() {
            client.send(&[if index % 2 == 0 { "SUBSCRIBE" } else { "PSUBSCRIBE" }, "c"]);
            client.receive();
        }
        std::thread::scope(|scope| {
            for publisher in 0..PUBLISHERS {
                let mut client = connect(server);
                scope.spawn(move || {
                    for number in 0..MESSAGES {
                        client.send(&["PUBLISH", "c", &format!("{publisher}:{number}")]);
                    }
                    assert!(client.receive_many(MESSAGES).iter().all(|reply| reply.integer() == 8));
                });
            }
        });
        let seen: Vec<Vec<String>> = subscribers
            .iter_mut()
            .map(|client| {
                let messages = client.receive_many(PUBLISHERS * MESSAGES);
                messages.iter().map(|message| message.items().last().expect("a payload").text()).collect()
            })
            .collect();
        assert!(seen.iter().all(|order| *order == seen[0]), "one order for all");
        for publisher in 0..PUBLISHERS {
            let own = seen[0].iter().filter(|text| text.starts_with(&format!("{publisher}:")));
            let numbers: Vec<usize> = own.filter_map(|text| text.split(':').nth(1)?.parse().ok()).collect();
            assert!(numbers.is_sorted() && numbers.len() == MESSAGES);
        }
    });
}

#[test]
fn who_has_an_answer_is_subscribed() {
    on_all(|server| {
        let mut publisher = connect(server);
        for round in 0..50 {
            let mut subscriber = connect(server);
            let channel = format!("c{round}");
            subscriber.send(&["SUBSCRIBE", &channel]);
            subscriber.receive();
            assert_eq!(publisher.command(&["PUBLISH", &channel, "x"]).integer(), 1);
            subscriber.send(&["PSUBSCRIBE", "c*"]);
            expect(&mut subscriber, &[&format!("[message {channel} x]"), "[psubscribe c* 2]"]);
            assert_eq!(publisher.command(&["PUBLISH", &channel, "y"]).integer(), 2);
            subscriber.send(&["PUNSUBSCRIBE", "c*"]);
            subscriber.receive_many(3);
            assert_eq!(publisher.command(&["PUBLISH", &channel, "z"]).integer(), 1);
        }
    });
}

#[test]
fn transactions_publish_at_their_end() {
    on_all(|server| {
        let (mut subscriber, mut client) = (connect(server), connect(server));
        subscriber.send(&["SUBSCRIBE", "a", "b"]);
        subscriber.receive_many(2);
        for line in ["MULTI", "SET k1 1", "PUBLISH a one", "SET k2 2", "PUBLISH b two", "GET k1"] {
            client.run(line);
        }
        expect_nothing(&mut subscriber);
        assert_eq!(short(&client.run("EXEC")), "[OK 1 OK 1 1]");
        let mut got = [short(&subscriber.receive()), short(&subscriber.receive())];
        got.sort();
        assert_eq!(got, ["[message a one]", "[message b two]"]);
        for line in ["MULTI", "SUBSCRIBE c", "PUBLISH a x"] {
            client.run(line);
        }
        assert_eq!(short(&client.run("EXEC")), "[[subscribe c 1] 1]");
        assert_eq!(subscriber.run("PING").items().len(), 3, "the message first");
        let mut publisher = connect(server);
        assert_eq!(publisher.run("PUBLISH c late").integer(), 1);
        expect(&mut client, &["[message c late]"]);
        publisher.run("MULTI");
        publisher.run("SSUBSCRIBE s");
        assert!(publisher.run("EXEC").items()[0].text().contains("isn't allowed for a DENY BLOCKING client"));
    });
}

#[test]
fn pushes_stand_between_replies() {
    on_all(|server| {
        let mut client = connect_3(server);
        client.send(&["SUBSCRIBE", "a"]);
        client.receive();
        assert_eq!(short(&client.run("SET k v")), "OK");
        client.send(&["PUBLISH", "a", "own"]);
        let mut got = [short(&client.receive()), short(&client.receive())];
        got.sort();
        assert_eq!(got, ["1", ">[message a own]"]);
        client.send(&["CLIENT", "REPLY", "OFF"]);
        client.send(&["GET", "k"]);
        client.send(&["SUBSCRIBE", "b"]);
        expect(&mut client, &[">[subscribe b 2]"]);
        assert_eq!(connect(server).run("PUBLISH b x").integer(), 1);
        expect(&mut client, &[">[message b x]"]);
        client.send(&["CLIENT", "REPLY", "ON"]);
        expect(&mut client, &["OK"]);
    });
}

#[test]
fn a_slow_subscriber_is_cut_off() {
    on_all(|server| {
        let mut publisher = connect(server);
        publisher.command(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 0 0"]);
        let mut slow = connect(server);
        let mut healthy = connect(server);
        for client in [&mut slow, &mut healthy] {
            client.send(&["SUBSCRIBE", "flood"]);
            client.receive();
        }
        let payload = "x".repeat(50_000);
        let mut published = 0;
        wait_until("the slow one is cut off", 20_000, || {
            let receivers = publisher.command(&["PUBLISH", "flood", &payload]).integer();
            published += 1;
            assert_eq!(healthy.receive().items()[2].bytes().len(), payload.len());
            receivers == 1
        });
        assert!(published > 5);
        let list = publisher.run("CLIENT LIST TYPE pubsub").text();
        assert_eq!(list.lines().count(), 1, "{list}");
    });
}

#[test]
fn shard_channels_of_a_cluster() {
    let Some(start) = skerry() else { return };
    if is_redis() {
        return;
    }
    let server = start.shards(4).cluster().spawn();
    let mut client = Client::connect(server.cluster_port());
    let mut refused = 0;
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        let reply = client.command(&["SPUBLISH", name, "x"]);
        refused += usize::from(reply.text().starts_with("MOVED "));
        let reply = client.command(&["SSUBSCRIBE", name, &format!("{{{name}}}2")]);
        match reply {
            Reply::Error(text) => assert!(text.starts_with(b"MOVED ")),
            _ => drop(client.receive()),
        }
        if client.run("PING").text() != "PONG" {
            client.send(&["SUNSUBSCRIBE"]);
            client.receive_many(2);
        }
    }
    assert!((1..8).contains(&refused));
    assert!(client.run("SSUBSCRIBE a b").text().starts_with("CROSSSLOT "));
    let mut normal = Client::connect(server.port());
    normal.send(&["SSUBSCRIBE", "a", "b"]);
    expect(&mut normal, &["[ssubscribe a 1]", "[ssubscribe b 2]"]);
    let mut publisher = Client::connect(server.port());
    assert_eq!(publisher.run("SPUBLISH b x").integer(), 1);
    expect(&mut normal, &["[smessage b x]"]);
}

#[test]
fn events_of_keys_are_told() {
    on_all(|server| {
        let (mut subscriber, mut client) = (connect(server), connect(server));
        client.run("CONFIG SET notify-keyspace-events KEA");
        subscriber.send(&["PSUBSCRIBE", "__key*__:*"]);
        subscriber.receive();
        let both = |key: &str, event: &str| {
            [
                format!("[pmessage __key*__:* __keyspace@0__:{key} {event}]"),
                format!("[pmessage __key*__:* __keyevent@0__:{event} {key}]"),
            ]
        };
        for (line, key, events) in [
            ("SET one 1", "one", &["set"][..]),
            ("SET two 1 EX 100", "two", &["set", "expire"]),
            ("INCR one", "one", &["incrby"]),
            ("APPEND three x", "three", &["append"]),
            ("PERSIST two", "two", &["persist"]),
            ("DEL two", "two", &["del"]),
            ("GET none", "none", &[]),
        ] {
            client.run(line);
            for event in events {
                let expected = both(key, event);
                expect(&mut subscriber, &[&expected[0], &expected[1]]);
            }
        }
        client.run("SET short 1 PX 20");
        for event in ["set", "expire", "expired"] {
            let expected = both("short", event);
            expect(&mut subscriber, &[&expected[0], &expected[1]]);
        }
        client.run("CONFIG SET notify-keyspace-events Em");
        client.run("SET one 2");
        client.run("GET none");
        expect(&mut subscriber, &["[pmessage __key*__:* __keyevent@0__:keymiss none]"]);
        client.run("CONFIG SET notify-keyspace-events Kn");
        client.run("SET one 2");
        client.run("SET fresh 2");
        expect(&mut subscriber, &["[pmessage __key*__:* __keyspace@0__:fresh new]"]);
        client.run("CONFIG SET notify-keyspace-events E$");
        let mut single = connect(server);
        single.send(&["SUBSCRIBE", "__keyevent@3__:set"]);
        single.receive();
        client.run("SELECT 3");
        for key in ["a", "b", "c", "d"] {
            client.run(&format!("SET {key} 1"));
            expect(&mut single, &[&format!("[message __keyevent@3__:set {key}]")]);
        }
        for line in ["MULTI", "SET a 1", "SET b 1"] {
            client.run(line);
        }
        expect_nothing(&mut single);
        client.run("EXEC");
        let mut got = [short(&single.receive()), short(&single.receive())];
        got.sort();
        assert_eq!(got, ["[message __keyevent@3__:set a]", "[message __keyevent@3__:set b]"]);
    });
}

#[test]
fn caches_are_told_of_changes() {
    on_all(|server| {
        let (mut caching, mut other) = (connect_3(server), connect(server));
        let keys: Vec<String> = (0..8).map(|index| format!("key{index}")).collect();
        assert_eq!(short(&caching.run("CLIENT TRACKING ON")), "OK");
        for key in &keys {
            other.command(&["SET", key, "1"]);
            caching.command(&["GET", key]);
        }
        for key in &keys {
            other.command(&["INCR", key]);
            expect(&mut caching, &[&format!(">[invalidate [{key}]]")]);
            other.command(&["INCR", key]);
        }
        expect_nothing(&mut caching);
        let words: Vec<&str> = std::iter::once("MGET").chain(keys.iter().map(String::as_str)).collect();
        caching.command(&words);
        other.run("MSET key1 x key5 y");
        let mut got = [short(&caching.receive()), short(&caching.receive())];
        got.sort();
        assert_eq!(got, [">[invalidate [key1]]", ">[invalidate [key5]]"]);
        other.run("FLUSHALL");
        expect(&mut caching, &[">[invalidate nil]"]);
        expect_nothing(&mut caching);
        other.run("SET short 1 PX 50");
        caching.run("GET short");
        expect(&mut caching, &[">[invalidate [short]]"]);
        caching.run("GET own");
        caching.send(&["SET", "own", "1"]);
        expect(&mut caching, &["OK", ">[invalidate [own]]"]);
        caching.run("CLIENT TRACKING ON NOLOOP");
        caching.run("GET own");
        assert_eq!(short(&caching.run("SET own 2")), "OK");
        expect_nothing(&mut caching);
        caching.run("CLIENT TRACKING OFF");
        caching.run("GET own");
        other.run("SET own 3");
        expect_nothing(&mut caching);
    });
}

#[test]
fn caches_choose_what_is_followed() {
    on_all(|server| {
        let (mut caching, mut other) = (connect_3(server), connect(server));
        other.run("MSET a 1 b 1 c 1 d 1");
        caching.run("CLIENT TRACKING ON OPTIN");
        caching.run("GET a");
        caching.run("CLIENT CACHING YES");
        caching.run("GET b");
        caching.run("GET c");
        other.run("MSET a 2 b 2 c 2");
        expect(&mut caching, &[">[invalidate [b]]"]);
        caching.run("CLIENT CACHING YES");
        for line in ["MULTI", "GET a", "GET c"] {
            caching.run(line);
        }
        caching.run("EXEC");
        caching.run("GET d");
        other.run("MSET a 2 b 2 c 2 d 2");
        let mut got = [short(&caching.receive()), short(&caching.receive())];
        got.sort();
        assert_eq!(got, [">[invalidate [a]]", ">[invalidate [c]]"]);
        expect_nothing(&mut caching);
        caching.run("CLIENT TRACKING OFF");
        caching.run("CLIENT TRACKING ON OPTOUT");
        caching.run("CLIENT CACHING NO");
        caching.run("GET a");
        caching.run("GET b");
        other.run("MSET a 3 b 3");
        expect(&mut caching, &[">[invalidate [b]]"]);
        expect_nothing(&mut caching);
        caching.run("CLIENT TRACKING OFF");
        caching.run("CLIENT TRACKING ON BCAST PREFIX user: PREFIX item:");
        for key in ["user:1", "item:7", "else"] {
            other.command(&["SET", key, "1"]);
        }
        expect(&mut caching, &[">[invalidate [user:1]]", ">[invalidate [item:7]]"]);
        expect_nothing(&mut caching);
        let info = other.run("INFO stats").text();
        assert!(info.contains("tracking_total_prefixes:2\r\n"), "{info}");
        assert!(other.run("INFO clients").text().contains("tracking_clients:1\r\n"));
        for line in ["MULTI", "INCR {user:}2", "INCR user:{user:}3", "INCR user:{user:}1"] {
            other.run(line);
        }
        other.run("EXEC");
        expect(&mut caching, &[">[invalidate [user:{user:}1 user:{user:}3]]"]);
    });
}

#[test]
fn invalidations_go_to_another_client() {
    on_all(|server| {
        for round in 0..4 {
            let (mut told, mut caching, mut other) = (connect(server), connect_3(server), connect(server));
            let id = told.run("CLIENT ID").integer().to_string();
            told.send(&["SUBSCRIBE", "__redis__:invalidate"]);
            told.receive();
            assert_eq!(short(&caching.command(&["CLIENT", "TRACKING", "ON", "REDIRECT", &id])), "OK");
            assert_eq!(caching.run("CLIENT GETREDIR").integer().to_string(), id);
            let key = format!("key{round}");
            caching.command(&["GET", &key]);
            other.command(&["SET", &key, "1"]);
            expect(&mut told, &[&format!("[message __redis__:invalidate [{key}]]")]);
            caching.command(&["GET", &key]);
            drop(told);
            wait_until("the other client is gone", 5000, || {
                other.command(&["CLIENT", "LIST", "ID", &id]).text().is_empty()
            });
            other.command(&["SET", &key, "2"]);
            expect(&mut caching, &[&format!(">[tracking-redir-broken {id}]")]);
            let info = caching.run("CLIENT TRACKINGINFO");
            assert!(format!("{info:?}").contains("broken_redirect"), "{info:?}");
            let refused = caching.command(&["CLIENT", "TRACKING", "ON", "REDIRECT", &id]);
            assert_eq!(refused.text(), "ERR The client ID you want redirect to does not exist");
        }
    });
}

#[test]
fn an_element_comes_before_the_news_of_it() {
    on_all(|server| {
        let (mut caching, mut other) = (connect_3(server), connect(server));
        other.run("RPUSH list2{t} a");
        caching.run("CLIENT TRACKING ON");
        caching.run("LRANGE list2{t} 0 -1");
        caching.send(&["BLMOVE", "list1{t}", "list2{t}", "LEFT", "LEFT", "0"]);
        wait_until("it waits", 5_000, || other.run("INFO clients").text().contains("blocked_clients:1"));
        other.run("RPUSH list1{t} foo");
        expect(&mut caching, &["foo", ">[invalidate [list2{t}]]"]);
    });
}

#[test]
fn all_cached_keys_but_so_many_are_let_go_of() {
    on_all(|server| {
        let (mut caching, mut other) = (connect_3(server), connect(server));
        caching.run("CLIENT TRACKING ON");
        for number in 0..250 {
            caching.run(&format!("GET key{number}"));
        }
        other.run("CONFIG SET tracking-table-max-keys 1");
        for _ in 0..249 {
            assert!(matches!(caching.receive(), Reply::Push(_)));
        }
        expect_nothing(&mut caching);
    });
}

#[test]
fn the_table_of_cached_keys_is_bounded() {
    on_all(|server| {
        let (mut caching, mut other) = (connect_3(server), connect(server));
        caching.set_read_limit(Duration::from_secs(10));
        other.run("CONFIG SET tracking-table-max-keys 20");
        caching.run("CLIENT TRACKING ON");
        let mut forgotten = 0;
        for number in 0..100 {
            caching.send(&["GET", &format!("key{number}")]);
            while let Reply::Push(_) = caching.receive() {
                forgotten += 1;
            }
        }
        wait_until("keys are let go of", 5000, || {
            let info = other.run("INFO stats").text();
            let keys = info.lines().find_map(|line| line.strip_prefix("tracking_total_keys:"));
            keys.and_then(|keys| keys.parse::<usize>().ok()).is_some_and(|keys| keys <= 20)
        });
        caching.send(&["PING"]);
        while let Reply::Push(_) = caching.receive() {
            forgotten += 1;
        }
        assert!((80..=100).contains(&forgotten), "{forgotten}");
    });
}

/// What happens to keys of every kind, line by line.
const EVENTFUL: &str = "\
SET s 1|SET s 2 EX 100|SET s 3 KEEPTTL|SETNX s 1|SETEX s 100 1|APPEND s x|SETRANGE s 5 y|GETSET s 5|GETDEL s|GETDEL s
MSET m1 a m2 b|MSETNX m1 a m3 b|INCR n|INCRBYFLOAT n 1.5|GETEX n EX 100|GETEX n PERSIST|GETEX n|SETBIT bits 7 1
BITOP OR bits2 bits n|BITOP AND none none1 none2|BITFIELD bits SET u8 0 1 INCRBY u8 8 1|BITFIELD bits GET u8 0
COPY s copied|SET s 1|COPY s copied|COPY s copied REPLACE|RENAME copied renamed|RENAMENX s renamed|RENAMENX s fresh
EXPIRE fresh 100|EXPIRE fresh -1|PEXPIREAT renamed 1|EXPIRE none 1|SET p 1 PX 100000|PERSIST p|PERSIST p|MOVE p 1
TOUCH p m1|EXISTS m1 none|TYPE none|TTL none|OBJECT ENCODING none|STRLEN none|GETRANGE none 0 1|MGET none m1
DEL m1 none m2|UNLINK n|LPUSH l a b c|RPUSH l d|LPUSHX none x|LINSERT l BEFORE a z|LSET l 0 q|LTRIM l 0 2|LPOP l
LREM l 0 a|RPOP l 5|RPUSH l a b|LMOVE l l2 LEFT RIGHT|RPOPLPUSH l l2|RPOPLPUSH l2 l2|BLPOP l2 0|LMPOP 1 l2 LEFT COUNT 9
SADD a 1 2 3|SADD a 1|SREM a 1|SREM a 9|SPOP a 2|SADD a 1 2|SADD b 2 3|SMOVE a b 1|SMOVE a b 9|SINTERSTORE c a b
SUNIONSTORE c a b|SDIFFSTORE c none|SPOP b 9|HSET h f 1 g 2|HSETNX h f 1|HINCRBY h f 1|HINCRBYFLOAT h g 1.5|HDEL h f none
HMSET h x 1|HDEL h g x|HSET h f 1|HGET h none|ZADD z 1 a 2 b 3 c|ZADD z 1 a|ZADD z INCR 1 a|ZINCRBY z 1 a|ZREM z a none
ZRANGESTORE z2 z 0 -1|ZUNIONSTORE z3 2 z z2|ZINTERSTORE z3 2 z none|ZDIFFSTORE z3 2 z none|ZPOPMIN z2|ZPOPMAX z2 9
ZREMRANGEBYSCORE z 2 2|ZREMRANGEBYRANK z 0 -1|ZADD z 1 a 2 b|ZREMRANGEBYLEX z - +|ZADD z 1 a|ZMPOP 1 z MIN|ZADD z 1 a|BZPOPMIN z 0
GEOADD g 13.361389 38.115556 x|GEOSEARCHSTORE g2 g FROMMEMBER x BYRADIUS 1 m|GEORADIUS g 1 1 1 m STORE g2|PFADD hll a b|PFADD hll a|PFMERGE hll2 hll
XADD x 1-1 a b|XADD x MAXLEN 1 2-1 a b|XTRIM x MAXLEN 0|XADD x NOMKSTREAM 3-1 a b|XGROUP CREATE x g $|XGROUP CREATECONSUMER x g c
XGROUP SETID x g 0|XREADGROUP GROUP g d STREAMS x >|XDEL x 3-1|XSETID x 9-9|XGROUP DELCONSUMER x g c|XGROUP DESTROY x g
SORT z STORE sorted|SADD a 3 1 2|SORT a STORE sorted|SORT none STORE sorted|FLUSHDB";

/// The events of every line, after it.
fn events_of(server: &Server, lines: &[&str]) -> Vec<String> {
    let (mut subscriber, mut client) = (connect(server), connect(server));
    client.run("CONFIG SET notify-keyspace-events KEAmn");
    subscriber.send(&["PSUBSCRIBE", "__key*__:*"]);
    subscriber.receive();
    let mut events = Vec::new();
    for line in lines {
        client.run(line);
        client.run("PUBLISH __key-end__: x");
        let mut told = vec![(*line).to_owned()];
        loop {
            let message = subscriber.receive();
            let [_, _, channel, payload] = message.items() else { panic!("{message:?}") };
            if channel.text() == "__key-end__:" {
                break;
            }
            told.push(format!("{} {}", channel.text(), payload.text()));
        }
        events.push(told.join(", "));
    }
    events
}

#[test]
fn events_are_those_of_redis() {
    let (Some(start), Some(reference)) = (skerry(), redis()) else { return };
    let server = start.shards(1).spawn();
    let mut asking = connect(&server);
    let mut is_known = |line: &&str| {
        let name = line.split(' ').next().unwrap_or_default();
        !asking.command(&["COMMAND", "INFO", name]).items()[0].is_nil()
    };
    let lines: Vec<&str> = EVENTFUL.split(['|', '\n']).filter(|line| is_known(line)).collect();
    let (told, expected) = (events_of(&server, &lines), events_of(&reference.spawn(), &lines));
    let differing: Vec<String> = told
        .iter()
        .zip(&expected)
        .filter(|(told, expected)| told != expected)
        .map(|(told, expected)| format!("{told}\n  not\n{expected}"))
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
