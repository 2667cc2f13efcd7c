//! The pubsub family's replies, word for word, and what subscribing leaves for the connection's loop.

use std::sync::Arc;

use super::{Listening, SubscriptionChange, Topic};
use crate::command::case::{Case, HomeCase};

fn changes(client: &mut HomeCase) -> Vec<(Topic, String, bool)> {
    let text = |change: SubscriptionChange| {
        (change.topic, String::from_utf8_lossy(&change.name).into_owned(), change.begins)
    };
    client.session.subscription_changes.drain(..).map(text).collect()
}

#[test]
fn every_change_is_told_with_the_count() {
    let mut client = HomeCase::new();
    assert_eq!(
        client.run("SUBSCRIBE a a b"),
        "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n\
         *3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"
    );
    assert_eq!(client.run("PSUBSCRIBE a"), "*3\r\n$10\r\npsubscribe\r\n$1\r\na\r\n:3\r\n");
    assert_eq!(client.run("SSUBSCRIBE a"), "*3\r\n$10\r\nssubscribe\r\n$1\r\na\r\n:1\r\n");
    assert_eq!(changes(&mut client).len(), 4);
    assert_eq!(client.run("UNSUBSCRIBE x"), "*3\r\n$11\r\nunsubscribe\r\n$1\r\nx\r\n:3\r\n");
    assert_eq!(client.run("UNSUBSCRIBE a"), "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:2\r\n");
    assert_eq!(client.run("UNSUBSCRIBE"), "*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:1\r\n");
    assert_eq!(client.run("UNSUBSCRIBE"), "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:1\r\n");
    assert_eq!(client.run("SUNSUBSCRIBE"), "*3\r\n$12\r\nsunsubscribe\r\n$1\r\na\r\n:0\r\n");
    assert_eq!(client.run("PUNSUBSCRIBE"), "*3\r\n$12\r\npunsubscribe\r\n$1\r\na\r\n:0\r\n");
    assert!(client.session.is_plain());
    assert_eq!(
        changes(&mut client),
        [
            (Topic::Channel, "a".into(), false),
            (Topic::Channel, "b".into(), false),
            (Topic::ShardChannel, "a".into(), false),
            (Topic::Pattern, "a".into(), false),
        ]
    );
}

#[test]
fn subscribers_of_resp2_do_nothing_else() {
    let mut client = HomeCase::new();
    client.run("SUBSCRIBE a");
    let refused = "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
                   allowed in this context\r\n";
    assert_eq!(client.run("GET a"), refused);
    assert_eq!(client.run("PING"), "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    client.run("UNSUBSCRIBE");
    assert_eq!(client.run("GET a"), "+get\r\n");
    client.run("HELLO 3");
    assert_eq!(client.run("SUBSCRIBE a"), ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    assert_eq!(client.run("GET a"), "+get\r\n");
    assert_eq!(client.run("PING"), "+PONG\r\n");
    assert_eq!(client.run("UNSUBSCRIBE b"), ">3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:1\r\n");
    assert_eq!(client.run("PUNSUBSCRIBE"), ">3\r\n$12\r\npunsubscribe\r\n_\r\n:1\r\n");
    client.session.subscription_changes.clear();
    client.run("RESET");
    assert_eq!(changes(&mut client), [(Topic::Channel, "a".into(), false)]);
}

fn case(subscriptions: &[(Topic, &str, u32)]) -> Case {
    let mut case = Case::new();
    for &(topic, name, connections) in subscriptions {
        let name = Arc::from(name.as_bytes());
        case.notices.registry.set(0, &Listening { topic, name, connections, is_own: true });
    }
    case
}

#[test]
fn publishing_counts_receivers() {
    let mut case = case(&[(Topic::Channel, "a", 2), (Topic::Pattern, "*", 1), (Topic::ShardChannel, "a", 1)]);
    assert_eq!(case.run("PUBLISH a x"), ":3\r\n");
    assert_eq!(case.run("PUBLISH b x"), ":1\r\n");
    assert_eq!(case.run("SPUBLISH a x"), ":1\r\n");
    assert_eq!(case.run("SPUBLISH b x"), ":0\r\n");
    assert_eq!(case.notices(), ["a x to 3", "b x to 1", "a x to 1"]);
    assert_eq!(case.effects().len(), 4, "replicas have subscribers of their own");
}

#[test]
fn questions_about_channels() {
    let mut case = case(&[
        (Topic::Channel, "a1", 2),
        (Topic::Channel, "b1", 1),
        (Topic::Pattern, "*", 1),
        (Topic::Pattern, "x", 3),
        (Topic::ShardChannel, "s", 1),
    ]);
    assert_eq!(case.run("PUBSUB CHANNELS a*"), "*1\r\n$2\r\na1\r\n");
    assert!(case.run("PUBSUB CHANNELS").starts_with("*2\r\n"));
    assert_eq!(case.run("PUBSUB SHARDCHANNELS"), "*1\r\n$1\r\ns\r\n");
    assert_eq!(case.run("PUBSUB NUMPAT"), ":2\r\n");
    assert_eq!(case.run("PUBSUB NUMSUB a1 s"), "*4\r\n$2\r\na1\r\n:2\r\n$1\r\ns\r\n:0\r\n");
    assert_eq!(case.run("PUBSUB SHARDNUMSUB a1 s"), "*4\r\n$2\r\na1\r\n:0\r\n$1\r\ns\r\n:1\r\n");
    assert_eq!(case.run("PUBSUB NUMSUB"), "*0\r\n");
    assert_eq!(
        case.run("PUBSUB CHANNELS a b"),
        "-ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP.\r\n"
    );
}

#[test]
fn events_of_keys() {
    let mut case = Case::new();
    case.run("SET a 1");
    assert_eq!(case.notices(), [""; 0], "nothing is collected while the directive is empty");
    case.config = crate::config::Config::parse("notify-keyspace-events KEAmn").unwrap();
    case.run("SET a 1 PX 10");
    assert_eq!(case.notices(), ["0 a set", "0 a expire"], "a key that is there is not new");
    case.run("SET b 1");
    assert_eq!(case.notices(), ["0 b new", "0 b set"]);
    case.after_ms(11).run("GET a");
    assert_eq!(case.notices(), ["0 a expired", "0 a keymiss"]);
    case.run("DEL b");
    assert_eq!(case.notices(), ["0 b del"]);
    case.config = crate::config::Config::parse("notify-keyspace-events A").unwrap();
    case.run("SET b 1");
    assert_eq!(case.notices(), [""; 0], "without K and E no channel tells of events");
    case.config = crate::config::Config::parse("notify-keyspace-events Eg").unwrap();
    case.run("SET b 1 EX 10");
    assert_eq!(case.notices(), ["0 b expire"]);
}
