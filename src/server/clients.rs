//! Questions about clients: CLIENT LIST, INFO and KILL over the connections of one shard.

use super::connection::Connection;
use super::executor::Core;
use crate::base::clock::UnixMillis;
use crate::command::home::{ClientFilter, ClientKind};
use crate::command::pubsub::Topic;
use crate::command::session::Session;
use crate::command::tracking::redirection;
use crate::net::SocketId;
use crate::resp::reply::Protocol;

/// Whether the client is one that the filter means.
fn passes(filter: &ClientFilter, session: &Session, now: UnixMillis) -> bool {
    let same = |wanted: &Option<Box<str>>, own: &str| wanted.as_ref().is_none_or(|wanted| &**wanted == own);
    filter.ids.as_ref().is_none_or(|ids| ids.contains(&session.id))
        && filter.kind.is_none_or(|kind| kind == kind_of(session))
        && same(&filter.address, &session.peer_address)
        && same(&filter.local_address, &session.local_address)
        && filter.user.as_ref().is_none_or(|user| *user == session.user)
        && filter.age_min_ms.is_none_or(|age| now - session.created_at >= age)
        && filter.skip != Some(session.id)
}

fn kind_of(session: &Session) -> ClientKind {
    if session.follows() {
        ClientKind::Replica
    } else if session.caller.from_master {
        ClientKind::Master
    } else if session.subscriptions.is_some() {
        ClientKind::Pubsub
    } else {
        ClientKind::Normal
    }
}

/// The line of a client in CLIENT LIST, as Redis 7.2 writes it, with its line end.
fn line(connection: &Connection, fd: i32, now: UnixMillis) -> String {
    let session = &connection.session;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut flags = String::new();
    if session.follows() {
        flags.push('S');
    }
    if session.caller.from_master {
        flags.push('M');
    }
    if session.monitor {
        flags.push('O');
    }
    if session.subscriptions.is_some() {
        flags.push('P');
    }
    if session.queue.is_some() {
        flags.push('x');
    }
    if connection.blocked.is_some() {
        flags.push('b');
    }
    if let Some(tracking) = &session.tracking {
        flags.push('t');
        flags.extend(tracking.is_broken.then_some('R'));
        flags.extend(tracking.bcast.then_some('B'));
    }
    if connection.phase == super::connection::Phase::Closing {
        flags.push('c');
    }
    if session.cluster_read_only {
        flags.push('r');
    }
    if session.peer_address.ends_with(":0") {
        flags.push('U');
    }
    if session.no_evict {
        flags.push('e');
    }
    if session.caller.no_touch {
        flags.push('T');
    }
    if flags.is_empty() {
        flags.push('N');
    }
    let subscribed = |topic| session.subscriptions.as_ref().map_or(0, |known| known.count_of(topic));
    let queue = session.queue.as_ref();
    let multi = queue.map_or(-1, |queue| queue.commands.len() as i64);
    let events = if connection.has_output() { "rw" } else { "r" };
    format!(
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} qbuf={} \
         qbuf-free={} argv-mem={} multi-mem={} rbs={} rbp={} obl={} oll=0 omem={} tot-mem={} events={} cmd={} user={} \
         redir={} resp={} lib-name={} lib-ver={}\n",
        session.id,
        session.peer_address,
        session.local_address,
        fd,
        text(&session.name),
        (now - session.created_at) / 1000,
        (now - session.active_at) / 1000,
        flags,
        session.caller.database,
        subscribed(Topic::Channel),
        subscribed(Topic::Pattern),
        subscribed(Topic::ShardChannel),
        multi,
        connection.unparsed() + connection.in_hand,
        connection.input.capacity() - connection.input.len(),
        0,
        queue.map_or(0, |queue| queue.memory_usage()),
        connection.out.capacity(),
        connection.out.len(),
        connection.output_bytes(),
        connection.output_bytes(),
        connection.memory_usage(),
        events,
        session.last_command.map_or("NULL", |row| row.full_name),
        text(&session.user),
        redirection(session),
        if session.caller.protocol == Protocol::Resp3 { 3 } else { 2 },
        text(&session.library_name),
        text(&session.library_version),
    )
}

impl Core {
    /// Lines of this shard's clients that pass.
    pub fn client_list(&self, filter: &ClientFilter) -> Vec<u8> {
        let mut out = Vec::new();
        for connection in self.connections.iter().flatten() {
            if passes(filter, &connection.session, self.now) {
                out.extend_from_slice(self.client_line(connection).as_bytes());
            }
        }
        out
    }

    /// The line of one client.
    pub fn client_line(&self, connection: &Connection) -> String {
        line(connection, connection.socket.index() as i32, self.now)
    }

    /// Ends the clients of this shard that pass; how many those were. The client that asks (`asking`) gets its reply
    /// first.
    pub fn client_kill(&mut self, filter: &ClientFilter, asking: Option<SocketId>) -> u64 {
        let killed: Vec<SocketId> = self
            .connections
            .iter()
            .flatten()
            .filter(|connection| passes(filter, &connection.session, self.now))
            .map(|connection| connection.socket)
            .collect();
        for &id in &killed {
            if asking == Some(id) { self.end_after_replies(id) } else { self.break_connection(id) }
        }
        killed.len() as u64
    }
}
