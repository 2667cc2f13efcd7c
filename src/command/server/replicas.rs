//! Commands about this server's replicas: what replicas say (REPLCONF, PSYNC, SYNC), and what clients ask about them (WAIT,
//! ROLE).

use super::{ADMIN_NO_SCRIPT, ANYTIME, row};
use crate::base::number::parse_i64;
use crate::command::args::{integer, is_word};
use crate::command::home::{Ask, FailoverRequest, HomeContext, SyncRequest, Then};
use crate::command::session::ReplicaHello;
use crate::command::{Command, Flags, Group, Run};
use crate::config::Primary;
use crate::resp::error::{NOT_AN_INTEGER, SYNTAX};
use crate::state::replication::ReplicaState;

/// Longest address that a replica may announce, that of a host name.
const ADDRESS_BYTES_MAX: usize = 255;

const INTERNAL: Flags = ADMIN_NO_SCRIPT.union(Flags::SYSTEM);

pub(super) const FAILOVER: Command = row("failover", -1, failover)
    .flags(Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::STALE))
    .docs("6.2.0", "Has a replica take over, without losing a write.", "O(1)");

pub(super) const PSYNC: Command = row("psync", -3, psync)
    .flags(Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::NO_MULTI).union(Flags::NO_ASYNC_LOADING))
    .docs("2.8.0", "Begins or resumes replication; replicas send it.", "O(1), or O(N) of the dataset");

pub(super) const SYNC: Command = row("sync", 1, sync)
    .flags(Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::NO_MULTI).union(Flags::NO_ASYNC_LOADING))
    .docs("1.0.0", "Begins replication; old replicas send it.", "O(N) of the dataset");

pub(super) const REPLCONF: Command = row("replconf", -1, replconf)
    .flags(INTERNAL.union(Flags::ALLOW_BUSY))
    .docs("3.0.0", "What replicas say of themselves, and how far they are.", "O(1)");

pub(super) const ROLE: Command = row("role", 1, role)
    .flags(Flags::NOSCRIPT.union(ANYTIME).union(Flags::FAST).union(Flags::SENTINEL))
    .docs("2.8.12", "Tells whether the server is a master or a replica, and of whom.", "O(1)")
    .categories(&["admin", "dangerous"]);

pub(super) const WAIT: Command = Command::new("wait", 3, Group::Generic, Run::Home(wait))
    .flags(Flags::BLOCKING)
    .docs("3.0.0", "Waits until so many replicas have what the connection has written.", "O(1)")
    .tips(&["request_policy:all_shards", "response_policy:agg_min"]);

/// REPLCONF option value …
pub(super) fn replconf(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    if arguments.len().is_multiple_of(2) {
        return home.error(SYNTAX);
    }
    let mut hello = home.session.replica.take().unwrap_or_default();
    let then = take_options(home, &mut hello, &arguments[1..]);
    home.session.replica = Some(hello);
    then
}

fn take_options(home: &mut HomeContext<'_>, hello: &mut ReplicaHello, options: &[&[u8]]) -> Then {
    for pair in options.chunks_exact(2) {
        let (option, value) = (pair[0], pair[1]);
        if is_word(option, "listening-port") {
            let Some(port) = parse_i64(value).and_then(|port| u16::try_from(port).ok()) else {
                return home.error(NOT_AN_INTEGER);
            };
            hello.port = port;
        } else if is_word(option, "ip-address") {
            if value.len() > ADDRESS_BYTES_MAX {
                return home.error(format!(
                    "ERR REPLCONF ip-address provided by replica instance is too long: {} bytes",
                    value.len()
                ));
            }
            hello.address = Some(String::from_utf8_lossy(value).into());
        } else if is_word(option, "capa") {
            hello.knows_eof |= is_word(value, "eof");
            hello.knows_psync2 |= is_word(value, "psync2");
        } else if is_word(option, "ack") {
            // Only what follows this server acknowledges anything, and nobody is answered.
            let offset = parse_i64(value).and_then(|offset| u64::try_from(offset).ok());
            return match offset.filter(|_| hello.follows) {
                Some(offset) => Then::Ask(Ask::Acknowledge { offset }),
                None => Then::Done,
            };
        } else if is_word(option, "rdb-only") {
            let Some(value) = parse_i64(value) else { return home.error(NOT_AN_INTEGER) };
            hello.only_snapshot = value == 1;
        } else {
            let option = String::from_utf8_lossy(option);
            return home.error(format!("ERR Unrecognized REPLCONF option: {option}"));
        }
    }
    home.ok()
}

/// PSYNC id offset [FAILOVER]
fn psync(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let Some(offset) = parse_i64(arguments[2]) else { return home.error(NOT_AN_INTEGER) };
    let takes_over = match arguments.get(3) {
        None => false,
        Some(word) if is_word(word, "failover") => true,
        Some(_) => return home.error(SYNTAX),
    };
    // The first byte that the replica lacks; it has all before that. "? -1" has nothing.
    let position = offset.checked_sub(1).and_then(|offset| u64::try_from(offset).ok());
    let id = String::from_utf8_lossy(arguments[1]).into_owned();
    begin_sync(home, SyncRequest { id, position, takes_over, is_old: false })
}

fn sync(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    begin_sync(home, SyncRequest { id: "?".into(), position: None, takes_over: false, is_old: true })
}

fn begin_sync(home: &mut HomeContext<'_>, request: SyncRequest) -> Then {
    let hello = home.session.replica.get_or_insert_default();
    if std::mem::replace(&mut hello.follows, true) {
        return Then::Done;
    }
    Then::Ask(Ask::Sync(request))
}

/// FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]
fn failover(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    if home.config.cluster_ports != 0 {
        return home.error("ERR FAILOVER not allowed in cluster mode.");
    }
    if let [_, word] = arguments
        && is_word(word, "abort")
    {
        return Then::Ask(Ask::Failover(FailoverRequest::Abort));
    }
    let (mut target, mut timeout_ms, mut is_forced) = (None, None, false);
    let mut rest = &arguments[1..];
    loop {
        rest = match rest {
            [] => break,
            [word, value, rest @ ..] if is_word(word, "timeout") && timeout_ms.is_none() => {
                let value = match integer(value) {
                    Ok(value) => value,
                    Err(error) => return home.error(error),
                };
                if value <= 0 {
                    return home.error("ERR FAILOVER timeout must be greater than 0");
                }
                timeout_ms = Some(value);
                rest
            }
            [word, host, port, rest @ ..] if is_word(word, "to") && target.is_none() => {
                let port = match integer(port) {
                    Ok(port) => port,
                    Err(error) => return home.error(error),
                };
                let Ok(port) = u16::try_from(port) else { return home.error(NOT_AN_INTEGER) };
                target = Some(Primary { host: String::from_utf8_lossy(host).into_owned(), port });
                rest
            }
            [word, rest @ ..] if is_word(word, "force") && !is_forced => {
                is_forced = true;
                rest
            }
            _ => return home.error(SYNTAX),
        };
    }
    Then::Ask(Ask::Failover(FailoverRequest::Begin { target, timeout_ms, is_forced }))
}

/// ROLE
fn role(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    if super::replica::role(home.server, &mut home.reply) {
        return Then::Done;
    }
    let replication = &home.server.replication;
    let replicas = replication.replicas();
    let online = replicas.iter().filter(|replica| replica.state == ReplicaState::Online);
    home.reply.array(3);
    home.reply.bulk(b"master");
    home.reply.int(replication.offset() as i64);
    home.reply.array(online.clone().count());
    for replica in online {
        home.reply.array(3);
        home.reply.bulk(replica.address.as_bytes());
        home.reply.bulk(replica.port.to_string().as_bytes());
        home.reply.bulk(replica.offset.to_string().as_bytes());
    }
    Then::Done
}

/// WAIT numreplicas timeout
fn wait(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let replicas = match integer(arguments[1]) {
        Ok(replicas) => replicas,
        Err(error) => return home.error(error),
    };
    let Some(timeout_ms) = parse_i64(arguments[2]) else {
        return home.error("ERR timeout is not an integer or out of range");
    };
    if timeout_ms < 0 {
        return home.error("ERR timeout is negative");
    }
    if timeout_ms > i64::MAX - home.now {
        return home.error("ERR timeout is out of range");
    }
    if home.server.replication.is_replica.load(std::sync::atomic::Ordering::Relaxed) {
        return home.error(
            "ERR WAIT cannot be used with replica instances. Please also note that writes to replicas are just \
             local and are not propagated.",
        );
    }
    let timeout_ms = (timeout_ms > 0).then_some(timeout_ms);
    Then::Ask(Ask::Wait { replicas: usize::try_from(replicas).unwrap_or(0), timeout_ms })
}
