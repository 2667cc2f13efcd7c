//! Commands about the master that this server follows, and what INFO and ROLE tell of it.

use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;

use super::row;
use crate::base::number::parse_i64;
use crate::command::args::is_word;
use crate::command::home::{Ask, HomeContext, Then};
use crate::command::{Command, Flags};
use crate::config::{Config, Primary};
use crate::resp::Reply;
use crate::state::Server;
use crate::state::following::Link;

const FLAGS: Flags = Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::STALE).union(Flags::NO_ASYNC_LOADING);

pub(super) const REPLICAOF: Command = row("replicaof", 3, replicaof).flags(FLAGS).docs(
    "5.0.0",
    "Makes the server a replica of another one, or a master.",
    "O(1)",
);

pub(super) const SLAVEOF: Command = row("slaveof", 3, replicaof)
    .flags(FLAGS)
    .docs("1.0.0", "Makes the server a replica of another one, or a master.", "O(1)")
    .deprecated("5.0.0", "`REPLICAOF`");

fn replicaof(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    if home.config.cluster_ports != 0 {
        return home.error("ERR REPLICAOF not allowed in cluster mode.");
    }
    if is_word(arguments[1], "no") && is_word(arguments[2], "one") {
        return Then::Ask(Ask::Follow(None));
    }
    let Some(port) = parse_i64(arguments[2]) else {
        return home.error("ERR Invalid master port");
    };
    let Ok(port) = u16::try_from(port) else { return home.error("ERR Invalid master port") };
    let host = String::from_utf8_lossy(arguments[1]).into_owned();
    let is_it = |master: &Primary| master.port == port && master.host.eq_ignore_ascii_case(&host);
    if home.server.following.master().as_ref().is_some_and(is_it) {
        crate::notice!(
            "REPLICAOF would result into synchronization with the master we are already connected with. No operation \
             performed."
        );
        home.reply.simple("OK Already connected to specified master");
        return Then::Done;
    }
    Then::Ask(Ask::Follow(Some(Primary { host, port })))
}

/// ROLE of a replica; false when the server is none.
pub(super) fn role(server: &Server, reply: &mut Reply<'_>) -> bool {
    let Some(master) = server.following.master() else { return false };
    let link = server.following.link();
    reply.array(5);
    reply.bulk(b"slave");
    reply.bulk(master.host.as_bytes());
    reply.int(i64::from(master.port));
    reply.bulk(link.name().as_bytes());
    let applied = server.following.applied.load(Relaxed) as i64;
    reply.int(if link == Link::Connected { applied } else { -1 });
    true
}

/// What INFO tells of the master that is followed, between the role and the replicas.
pub(super) fn info(server: &Server, config: &Config, now: i64, out: &mut String) {
    let following = &server.following;
    let Some(master) = following.master() else { return };
    let (link, transfer) = (following.link(), following.transfer());
    let is_up = link == Link::Connected;
    let seconds_since = |at: i64| now.saturating_sub(at).max(0) / 1000;
    let mut field = |name: &str, value: &dyn std::fmt::Display| {
        let _ = write!(out, "{name}:{value}\r\n");
    };
    field("master_host", &master.host);
    field("master_port", &master.port);
    field("master_link_status", &if is_up { "up" } else { "down" });
    let last_io = if is_up { seconds_since(following.last_io.load(Relaxed)) } else { -1 };
    field("master_last_io_seconds_ago", &last_io);
    field("master_sync_in_progress", &u8::from(link == Link::Transfer));
    field("slave_read_repl_offset", &following.received.load(Relaxed));
    field("slave_repl_offset", &following.applied.load(Relaxed));
    if link == Link::Transfer {
        let percent = match transfer.total {
            0 => 0.0,
            total => transfer.read as f64 * 100.0 / total as f64,
        };
        field("master_sync_total_bytes", &transfer.total);
        field("master_sync_read_bytes", &transfer.read);
        field("master_sync_left_bytes", &(transfer.total as i64 - transfer.read as i64));
        field("master_sync_perc", &format_args!("{percent:.2}"));
        field("master_sync_last_io_seconds_ago", &seconds_since(transfer.last_io));
    }
    if !is_up {
        let down_since = following.down_since.load(Relaxed);
        field(
            "master_link_down_since_seconds",
            &if down_since == 0 { -1 } else { seconds_since(down_since) },
        );
    }
    field("slave_priority", &config.replica_priority);
    field("slave_read_only", &u8::from(config.replica_read_only));
    field("replica_announced", &u8::from(config.replica_announced));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::case::{Case, HomeCase};

    #[test]
    fn replicaof_names_a_master_or_nobody() {
        let mut client = HomeCase::new();
        assert_eq!(client.run("replicaof No oNe"), "<Ask(Follow(None))>");
        assert_eq!(client.run("slaveof here 1"), r#"<Ask(Follow(Some(Primary { host: "here", port: 1 })))>"#);
        for port in ["x", "-1", "65536", "1.5"] {
            assert_eq!(client.run(&format!("replicaof here {port}")), "-ERR Invalid master port\r\n");
        }
        client.server.following.set_master(Some(Primary { host: "here".into(), port: 1 }));
        assert_eq!(client.run("replicaof HERE 1"), "+OK Already connected to specified master\r\n");
        assert_eq!(client.run("role"), "*5\r\n$5\r\nslave\r\n$4\r\nhere\r\n:1\r\n$7\r\nconnect\r\n:-1\r\n");
        assert!(client.run("hello").contains("$4\r\nrole\r\n$7\r\nreplica\r\n"));
    }

    #[test]
    fn info_tells_of_the_master() {
        let mut client = HomeCase::new();
        assert!(client.run("info replication").contains("role:master\r\nconnected_slaves:0\r\n"));
        client.server.following.set_master(Some(Primary { host: "here".into(), port: 7 }));
        let text = client.run("info replication");
        let expected = "role:slave\r\nmaster_host:here\r\nmaster_port:7\r\nmaster_link_status:down\r\n\
             master_last_io_seconds_ago:-1\r\nmaster_sync_in_progress:0\r\nslave_read_repl_offset:0\r\n\
             slave_repl_offset:0\r\nmaster_link_down_since_seconds:-1\r\nslave_priority:100\r\nslave_read_only:1\r\n\
             replica_announced:1\r\nconnected_slaves:0\r\n";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn only_the_master_removes_keys_of_a_replica() {
        let mut t = Case::new();
        t.run("SET a 1 PX 10");
        t.run("RPUSH l x");
        t.keyspace.follows = true;
        t.keyspace.keeps_expired = true;
        t.after_ms(20);
        assert_eq!(t.run("GET a"), "$-1\r\n");
        assert_eq!(t.run("DBSIZE"), ":2\r\n", "hidden, not gone");
        t.caller.from_master = true;
        assert_eq!(t.run("INCR a"), ":2\r\n", "what the master saw is there for its stream");
        assert_eq!(t.run("PEXPIREAT l 1"), ":1\r\n");
        t.caller.from_master = false;
        assert_eq!(t.run("EXISTS a l"), ":0\r\n");
        assert_eq!(t.run("DBSIZE"), ":2\r\n");
        t.caller.from_master = true;
        assert_eq!(t.run("DEL a l"), ":2\r\n");
        assert_eq!(t.run("DBSIZE"), ":0\r\n");
    }

    #[test]
    fn only_the_master_removes_fields_of_a_replica() {
        let mut t = Case::new();
        t.keyspace.follows = true;
        t.keyspace.keeps_expired = true;
        t.caller.from_master = true;
        t.run("HSET h a 1 b 2");
        t.run("HPEXPIREAT h 1 FIELDS 1 a");
        t.run("HSET gone c 3");
        t.run("HPEXPIREAT gone 1 FIELDS 1 c");
        assert_eq!(t.run("HINCRBY h a 1"), ":2\r\n", "the stream sees what the master saw");
        t.caller.from_master = false;
        for (line, reply) in [
            ("HGET h a", "$-1\r\n"),
            ("HLEN h", ":1\r\n"),
            ("HGETALL h", "*2\r\n$1\r\nb\r\n$1\r\n2\r\n"),
            ("HRANDFIELD h 5", "*1\r\n$1\r\nb\r\n"),
            ("HRANDFIELD gone", "$-1\r\n"),
            ("HLEN gone", ":0\r\n"),
            ("DBSIZE", ":2\r\n"),
        ] {
            assert_eq!(t.run(line), reply, "{line}");
        }
        t.caller.from_master = true;
        assert_eq!(t.run("HDEL h a"), ":1\r\n");
        assert_eq!(t.run("HDEL gone c"), ":1\r\n");
        assert_eq!(t.run("DBSIZE"), ":1\r\n");
    }
}
