//! Commands that wait for keys: who is served, in which order, and that no element is lost or given out twice, whatever
//! becomes of those who wait. Every script runs on Skerry with one shard and with four, and on real Redis.

mod common;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use common::{Client, Kind, Random, Reply, Server, redis, seed, skerry, wait_until};

/// Runs a script on Skerry.
fn on_skerry(script: impl Fn(&Server)) {
    for shards in [1, 4] {
        let Some(start) = skerry() else { return };
        println!("Skerry, {shards} shards");
        script(&start.shards(shards).spawn());
    }
}

/// Runs a script on every server.
fn on_all(script: impl Fn(&Server)) {
    on_skerry(&script);
    if let Some(start) = redis() {
        println!("Redis");
        script(&start.spawn());
    }
}

fn blocked(client: &mut Client) -> usize {
    let info = client.run("INFO clients").text();
    let line =
        info.lines().find(|line| line.starts_with("blocked_clients:")).expect("a count of blocked clients");
    line["blocked_clients:".len()..].trim().parse().expect("a number")
}

fn wait_for_blocked(client: &mut Client, count: usize) {
    wait_until(&format!("{count} clients are blocked"), 20_000, || blocked(client) == count);
}

/// A client that has sent a blocking command.
fn waiting(server: &Server, line: &str) -> Client {
    let mut client = server.client();
    client.send(&line.split(' ').collect::<Vec<_>>());
    client
}

/// Keys that live on several shards.
const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// A thousand clients come to wait one after another, each with `line` of its number; then as many elements come by
/// `push`. Each client gets the element of its number, which `element` finds in its reply.
fn serve_a_thousand(
    server: &Server,
    line: impl Fn(usize) -> String,
    push: impl Fn(usize) -> String,
    element: impl Fn(&Reply) -> String,
) {
    let mut control = server.client();
    let mut clients = Vec::new();
    for index in 0..1000 {
        clients.push(waiting(server, &line(index)));
        // One after another, so that there is an order.
        while blocked(&mut control) <= index {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    for index in 0..1000 {
        control.run(&push(index));
    }
    let served: Vec<String> = clients.iter_mut().map(|client| element(&client.receive())).collect();
    assert_eq!(served, (0..1000).map(|index| index.to_string()).collect::<Vec<_>>());
    wait_for_blocked(&mut control, 0);
}

#[test]
fn a_thousand_clients_are_served_in_order() {
    on_all(|server| {
        let element = |reply: &Reply| reply.items()[1].text();
        serve_a_thousand(server, |_| "BLPOP queue 0".into(), |index| format!("RPUSH queue {index}"), element);
    });
}

#[test]
fn a_thousand_clients_of_keys_on_several_shards_are_served_in_order() {
    on_all(|server| {
        let line = |index: usize| ["BLPOP a b c d e f 0", "BLPOP d 0", "BRPOP f e d 0"][index % 3].into();
        let element = |reply: &Reply| reply.items()[1].text();
        serve_a_thousand(server, line, |index| format!("RPUSH d {index}"), element);
    });
}

#[test]
fn a_thousand_moves_are_served_in_order() {
    on_all(|server| {
        let line = |index: usize| format!("BLMOVE queue {} LEFT RIGHT 0", KEYS[index % KEYS.len()]);
        serve_a_thousand(server, line, |index| format!("RPUSH queue {index}"), Reply::text);
    });
}

#[test]
fn a_thousand_clients_of_sorted_sets_are_served_in_order() {
    on_all(|server| {
        let line =
            |index: usize| ["BZPOPMIN a b c d e f 0", "BZPOPMIN d 0", "BZPOPMAX f d 0"][index % 3].into();
        let element = |reply: &Reply| reply.items()[1].text();
        serve_a_thousand(server, line, |index| format!("ZADD d {index} {index}"), element);
    });
}

#[test]
fn a_thousand_readers_of_a_group_are_served_in_order() {
    on_all(|server| {
        let mut control = server.client();
        for key in KEYS {
            control.run(&format!("XGROUP CREATE {key} group $ MKSTREAM"));
        }
        let line = |index: usize| {
            let streams = ["a b c d e f > > > > > >", "d >", "f d > >"][index % 3];
            format!("XREADGROUP GROUP group reader COUNT 1 BLOCK 0 STREAMS {streams}")
        };
        let element = |reply: &Reply| {
            let streams = reply.items();
            let entries = streams[0].items();
            let entry = entries[1].items();
            entry[0].items()[1].items()[1].text()
        };
        serve_a_thousand(server, line, |index| format!("XADD d * number {index}"), element);
    });
}

/// What a client waits for is its own at once: whoever comes behind finds nothing, whichever shards the keys are on.
#[test]
fn newcomers_find_nothing_that_somebody_waits_for() {
    let seed = seed("newcomers_find_nothing_that_somebody_waits_for");
    on_all(|server| {
        let mut random = Random::new(seed);
        let (mut control, mut other) = (server.client(), server.client());
        for round in 0..300 {
            let line =
                ["BLPOP a b c d e f 0", "BRPOP f e d c b a 0", "BLMPOP 0 6 a b c d e f LEFT"][round % 3];
            let mut waiter = waiting(server, line);
            wait_for_blocked(&mut control, 1);
            let key = KEYS[random.below(KEYS.len())];
            let newcomer = [
                format!("LPOP {key}"),
                format!("LLEN {key}"),
                format!("BLPOP {key} 0.001"),
                format!("BLPOP f e {key} a b 0.001"),
                format!("LMPOP 1 {key} LEFT"),
            ];
            let newcomer = &newcomer[random.below(newcomer.len())];
            // In one go, so that nobody knows when the waiting client is served.
            let mut request = Vec::new();
            common::encode(&["RPUSH", key, "element"], &mut request);
            if !newcomer.starts_with("BLPOP f") {
                common::encode(&newcomer.split(' ').collect::<Vec<_>>(), &mut request);
            }
            control.send_raw(&request);
            assert_eq!(control.receive().integer(), 1);
            let reply = match newcomer.starts_with("BLPOP f") {
                true => other.run(newcomer),
                false => control.receive(),
            };
            assert!(reply.is_nil() || reply == Reply::Integer(0), "{newcomer} after {line}: {reply:?}");
            let served = waiter.receive();
            let served = format!("{served:?}");
            assert!(served.contains("element"), "{line}: {served}");
            wait_for_blocked(&mut control, 0);
        }
    });
}

fn info(client: &mut Client, field: &str) -> usize {
    let text = client.run("INFO clients").text();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field}")).trim().parse().expect("a number")
}

#[test]
fn info_counts_the_keys_that_somebody_waits_for() {
    on_all(|server| {
        let mut control = server.client();
        if server.kind() == Kind::Redis {
            // Newer than that.
            return;
        }
        let mut expect = |keys: usize, on_removal: usize| {
            wait_until(&format!("{keys} keys, {on_removal} of them on removal"), 5000, || {
                info(&mut control, "total_blocking_keys") == keys
                    && info(&mut control, "total_blocking_keys_on_nokey") == on_removal
            });
        };
        expect(0, 0);
        let lists = waiting(server, "BLPOP a b c d e f 0");
        expect(6, 0);
        let again = waiting(server, "BLPOP a b x 0");
        expect(7, 0);
        drop(lists);
        expect(3, 0);
        let mut other = server.client();
        other.run("XGROUP CREATE s group $ MKSTREAM");
        other.run("XGROUP CREATE t group $ MKSTREAM");
        let one = waiting(server, "XREADGROUP GROUP group me BLOCK 0 STREAMS s t > >");
        expect(5, 2);
        let two = waiting(server, "XREADGROUP GROUP group me BLOCK 0 STREAMS s >");
        let reader = waiting(server, "XREAD BLOCK 0 STREAMS s $");
        wait_for_blocked(&mut other, 4);
        drop(one);
        expect(4, 1);
        drop(two);
        expect(4, 0);
        drop(reader);
        drop(again);
        expect(0, 0);
    });
}

#[test]
fn what_blocks_is_reported_when_it_has_ended() {
    on_all(|server| {
        let mut control = server.client();
        control.run("CONFIG SET slowlog-log-slower-than 0");
        for line in ["BLPOP a 0", "BLPOP a b c d e f 0", "BLMOVE a b LEFT RIGHT 0", "BLPOP f e 0.05"] {
            control.run("SLOWLOG RESET");
            control.run("CONFIG RESETSTAT");
            let mut client = waiting(server, line);
            wait_for_blocked(&mut control, 1);
            let name = line.split(' ').next().unwrap_or_default();
            let is_there =
                |control: &mut Client| format!("{:?}", control.run("SLOWLOG GET -1")).contains(name);
            let field = format!("cmdstat_{}:calls=1,", name.to_lowercase());
            let is_counted = |control: &mut Client| control.run("INFO commandstats").text().contains(&field);
            if !line.contains('.') {
                assert!(!is_there(&mut control), "{line} is reported while it waits");
                // Redis before 7.2 counts at once.
                let is_early = is_counted(&mut control) && server.kind() != Kind::Redis;
                assert!(!is_early, "{line} counts while it waits");
                control.run("RPUSH a x");
            }
            client.receive();
            if line.contains('.') && server.kind() == Kind::Redis {
                continue;
            }
            wait_until(&format!("{line} is reported"), 2000, || is_there(&mut control));
            wait_until(&format!("{line} counts"), 2000, || is_counted(&mut control));
            control.run("FLUSHALL");
        }
    });
}

#[test]
fn whoever_waits_longer_is_served_first_on_one_shard_and_on_several() {
    on_all(|server| {
        let mut control = server.client();
        let lines = ["BLPOP a b c d e f 0", "BLPOP a 0", "BRPOP f e d c b a 0", "BLPOP a 0"];
        let mut clients = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            clients.push(waiting(server, line));
            wait_for_blocked(&mut control, index + 1);
        }
        for (index, client) in clients.iter_mut().enumerate() {
            control.command(&["RPUSH".to_owned(), "a".to_owned(), index.to_string()]);
            let reply = client.receive();
            assert_eq!(reply.items(), [Reply::bulk("a"), Reply::bulk(index.to_string())], "client {index}");
        }
    });
}

#[test]
fn of_several_keys_the_first_with_elements_counts() {
    on_all(|server| {
        let mut control = server.client();
        let mut client = waiting(server, "BLPOP a b c d e f 0");
        wait_for_blocked(&mut control, 1);
        control.run("MULTI");
        control.run("RPUSH e five");
        control.run("RPUSH b two");
        control.run("RPUSH d four");
        control.run("EXEC");
        // Redis before 7.2 serves the key that was pushed to first; since then the command runs again as it is.
        if server.kind() == Kind::Redis {
            return;
        }
        assert_eq!(client.receive().items(), [Reply::bulk("b"), Reply::bulk("two")]);
        assert_eq!(client.run("BLPOP a b c d e f 0").items(), [Reply::bulk("d"), Reply::bulk("four")]);
        assert_eq!(client.run("BLPOP f e 0").items(), [Reply::bulk("e"), Reply::bulk("five")]);
    });
}

#[test]
fn times_run_out_and_waits_are_ended() {
    on_all(|server| {
        let mut control = server.client();
        for line in [
            "BLPOP a 0.2",
            "BLPOP a b c d e f 0.2",
            "BLMPOP 0.2 6 a b c d e f LEFT",
            "BLMOVE a b LEFT LEFT 0.2",
        ] {
            let started = Instant::now();
            let reply = control.run(line);
            assert!(reply.is_nil(), "{line}: {reply:?}");
            let taken = started.elapsed();
            assert!((180..2000).contains(&taken.as_millis()), "{line} took {taken:?}");
        }
        for line in ["BLPOP a 0", "BLPOP a b c d e f 0", "BLMOVE a b LEFT RIGHT 0"] {
            for (reason, expected) in
                [("TIMEOUT", None), ("ERROR", Some("UNBLOCKED client unblocked via CLIENT UNBLOCK"))]
            {
                let mut client = server.client();
                let id = client.run("CLIENT ID").integer();
                client.send(&line.split(' ').collect::<Vec<_>>());
                wait_for_blocked(&mut control, 1);
                assert_eq!(control.run(&format!("CLIENT UNBLOCK {id} {reason}")).integer(), 1);
                let reply = client.receive();
                match expected {
                    None => assert!(reply.is_nil(), "{line}: {reply:?}"),
                    Some(error) => assert_eq!(reply, Reply::Error(error.into()), "{line}"),
                }
                assert_eq!(control.run(&format!("CLIENT UNBLOCK {id}")).integer(), 0);
                assert_eq!(client.run("PING"), Reply::simple("PONG"));
            }
        }
        wait_for_blocked(&mut control, 0);
    });
}

#[test]
fn a_wait_counts_when_it_ends() {
    // Older servers count a command that waits twice.
    on_skerry(|server| {
        let mut control = server.client();
        control.run("CONFIG SET slowlog-log-slower-than 50000");
        for line in ["BLPOP a 0", "BLPOP a b c d e f 0"] {
            for (reason, failed) in [("TIMEOUT", 0), ("ERROR", 1)] {
                control.run("CONFIG RESETSTAT");
                control.run("SLOWLOG RESET");
                let mut client = server.client();
                let id = client.run("CLIENT ID").integer();
                client.send(&line.split(' ').collect::<Vec<_>>());
                wait_for_blocked(&mut control, 1);
                std::thread::sleep(Duration::from_millis(60));
                assert!(!control.run("INFO commandstats").text().contains("cmdstat_blpop"), "{line}");
                control.run(&format!("CLIENT UNBLOCK {id} {reason}"));
                client.receive();
                let info = control.run("INFO commandstats").text();
                let counted = info.lines().find(|line| line.starts_with("cmdstat_blpop")).unwrap_or_default();
                assert!(
                    counted.contains("calls=1,") && counted.contains(&format!("failed_calls={failed}")),
                    "{line} {reason}: {counted}"
                );
                // What it waited is no time that it took.
                assert_eq!(control.run("SLOWLOG LEN"), Reply::Integer(0));
            }
        }
    });
}

#[test]
fn what_is_behind_a_blocking_command_waits() {
    on_all(|server| {
        let mut control = server.client();
        for line in ["BLPOP a 0", "BLPOP a b c d e f 0"] {
            let mut client = server.client();
            let mut request = Vec::new();
            common::encode(&["SET", "behind", "no"], &mut request);
            common::encode(&line.split(' ').collect::<Vec<_>>(), &mut request);
            common::encode(&["SET", "behind", "yes"], &mut request);
            common::encode(&["PING"], &mut request);
            client.send_raw(&request);
            assert_eq!(client.receive(), Reply::ok());
            wait_for_blocked(&mut control, 1);
            std::thread::sleep(Duration::from_millis(30));
            assert_eq!(control.run("GET behind"), Reply::bulk("no"));
            control.run("RPUSH a x");
            assert_eq!(client.receive().items(), [Reply::bulk("a"), Reply::bulk("x")]);
            assert_eq!(client.receive_many(2), [Reply::ok(), Reply::simple("PONG")]);
            assert_eq!(control.run("GET behind"), Reply::bulk("yes"));
        }
    });
}

#[test]
fn nothing_blocks_inside_a_transaction() {
    on_all(|server| {
        let mut client = server.client();
        client.run("MULTI");
        client.run("BLPOP a 0");
        client.run("BLPOP a b c d e f 0");
        client.run("BLMOVE a b LEFT LEFT 0");
        let reply = client.run("EXEC");
        assert!(reply.items().iter().all(Reply::is_nil), "{reply:?}");
    });
}

#[test]
fn a_transaction_serves_when_it_has_ended() {
    on_all(|server| {
        let mut control = server.client();
        for line in ["BLPOP a 0", "BLPOP f a 0"] {
            let mut client = waiting(server, line);
            wait_for_blocked(&mut control, 1);
            control.run("MULTI");
            control.run("RPUSH a 1 2");
            control.run("RPOP a");
            control.run("LSET a 0 changed");
            control.run("SET elsewhere 1");
            control.run("EXEC");
            assert_eq!(client.receive().items(), [Reply::bulk("a"), Reply::bulk("changed")]);
            assert_eq!(control.run("EXISTS a").integer(), 0);
        }
        // What comes and goes within one wakes nobody.
        let mut client = waiting(server, "BLPOP a 0");
        wait_for_blocked(&mut control, 1);
        control.run("MULTI");
        control.run("RPUSH a 1");
        control.run("DEL a");
        control.run("EXEC");
        control.run("SET a string");
        control.run("DEL a");
        assert_eq!(blocked(&mut control), 1);
        control.run("RENAME elsewhere other");
        control.run("RPUSH source moved");
        control.run("RENAME source a");
        assert_eq!(client.receive().items(), [Reply::bulk("a"), Reply::bulk("moved")]);
    });
}

#[test]
fn chains_of_moves_serve_one_another() {
    on_all(|server| {
        let mut control = server.client();
        let mut last = waiting(server, "BLPOP d 0");
        wait_for_blocked(&mut control, 1);
        let mut moves = Vec::new();
        for (index, (from, to)) in [("a", "b"), ("b", "c"), ("c", "d")].into_iter().enumerate() {
            moves.push(waiting(server, &format!("BLMOVE {from} {to} LEFT RIGHT 0")));
            wait_for_blocked(&mut control, index + 2);
        }
        control.run("RPUSH a traveller");
        for client in &mut moves {
            assert_eq!(client.receive(), Reply::bulk("traveller"));
        }
        assert_eq!(last.receive().items(), [Reply::bulk("d"), Reply::bulk("traveller")]);
        for key in KEYS {
            assert_eq!(control.run(&format!("EXISTS {key}")).integer(), 0, "{key}");
        }
    });
}

/// Elements are pushed while clients that wait for them vanish: each is received once, or still there.
#[test]
fn no_element_is_lost_or_given_out_twice() {
    const ELEMENTS: usize = 3000;
    let seed = seed("no_element_is_lost_or_given_out_twice");
    on_all(|server| {
        let port = server.port();
        let consumers: Vec<_> = (0..6)
            .map(|number| {
                let mut random = Random::new(seed ^ number);
                std::thread::spawn(move || {
                    let mut taken = Vec::new();
                    let mut client = Client::connect(port);
                    loop {
                        let line = [
                            "BLPOP a 0.5",
                            "BRPOP c b a 0.5",
                            "BLMPOP 0.5 3 a b c LEFT COUNT 2",
                            "BLPOP b 0.5",
                        ][random.below(4)];
                        let reply = client.run(line);
                        if reply.is_nil() {
                            return taken;
                        }
                        match &reply.items()[1] {
                            Reply::Array(all) => taken.extend(all.iter().map(Reply::text)),
                            one => taken.push(one.text()),
                        }
                    }
                })
            })
            .collect();
        let vanishing = std::thread::spawn(move || {
            let mut random = Random::new(seed ^ 77);
            let mut taken = Vec::new();
            for _ in 0..300 {
                let mut client = Client::connect(port);
                let line = ["BLPOP a 0", "BLPOP x b z a 0", "BRPOP c 0"][random.below(3)];
                client.send(&line.split(' ').collect::<Vec<_>>());
                std::thread::sleep(Duration::from_micros(random.below(3000) as u64));
                client.end_input();
                let mut rest = client.read_to_end().expect("what is left for a client that ends");
                while let Some((reply, length)) = Reply::decode(&rest) {
                    taken.push(reply.items()[1].text());
                    rest.drain(..length);
                }
            }
            taken
        });
        let mut producer = server.client();
        let mut random = Random::new(seed ^ 99);
        for element in 0..ELEMENTS {
            let key = ["a", "b", "c"][random.below(3)];
            if random.one_in(10) {
                producer.run("MULTI");
                producer.run(&format!("RPUSH {key} {element}"));
                producer.run("SET other 1");
                producer.run("EXEC");
            } else {
                producer.run(&format!("RPUSH {key} {element}"));
            }
        }
        let mut seen: HashMap<String, usize> = HashMap::new();
        for element in vanishing.join().expect("the vanishing clients") {
            *seen.entry(element).or_default() += 1;
        }
        for consumer in consumers {
            consumer
                .join()
                .expect("a consumer")
                .into_iter()
                .for_each(|element| *seen.entry(element).or_default() += 1);
        }
        for key in ["a", "b", "c"] {
            for element in producer.run(&format!("LRANGE {key} 0 -1")).items() {
                *seen.entry(element.text()).or_default() += 1;
            }
        }
        let twice: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "given out twice: {twice:?}");
        let lost: Vec<usize> =
            (0..ELEMENTS).filter(|element| !seen.contains_key(&element.to_string())).collect();
        // Redis forgets what it has yet to send to a client that ends its side.
        assert!(lost.is_empty() || server.kind() == Kind::Redis, "lost: {lost:?}");
        wait_for_blocked(&mut producer, 0);
    });
}
