//! What a command must pass on its way in: a fixed list of reasons to refuse it, in the order in which Redis 7.2 looks
//! at them, and the queue of MULTI.
//!
//! Only what the home shard can judge from the session is here. What depends on where and when a command runs (memory,
//! pauses, the role of the server) is judged there; it uses [`refuse`] to the same end.

use super::session::{Queue, Session};
use super::table::Resolved;
use super::{Command, Flags, cluster};
use crate::base::number::until_zero;
use crate::base::slot::{ShardId, SlotMap};
use crate::config::{Config, ProtectedAction};
use crate::resp::error::{LOADING, MASTER_DOWN, NO_AUTH, OUT_OF_MEMORY, unknown_subcommand, wrong_arity};
use crate::state::CANNOT_SAVE;

/// Bytes of a client's words that an error shows.
const SHOWN_BYTES_MAX: usize = 128;

/// What is to be done with a command.
#[derive(Debug)]
pub enum Admission {
    /// It runs now.
    Run(&'static Command),
    /// It was queued; the client is told `+QUEUED`.
    Queued,
    /// It waits for the end of a pause.
    Paused,
    /// The client gets this error.
    Refused(Vec<u8>),
    /// The client is a browser or means no good: the connection is closed without an answer.
    HangUp,
}

/// Where the client is connected, and how things stand there.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// The shard.
    pub shard: ShardId,
    /// Who owns which slot.
    pub slots: &'a SlotMap,
    /// Whether memory is short. Asked only of a client in a transaction, since its queue takes memory, and of a command
    /// over several shards, which must not be done by half: all others are judged where their command runs.
    pub is_out_of_memory: bool,
    /// Whether CLIENT PAUSE holds the command back, if nothing else speaks against it.
    pub is_paused: bool,
    /// What the server refuses.
    pub refuses: Refuses,
}

/// What the server refuses to its clients: as a replica, and until it has loaded its dataset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refuses {
    /// Writes, and why: a replica takes its master's only, and a master none without good replicas.
    pub writes: Option<&'static str>,
    /// What shows data that may be old: the link to the master is down (`replica-serve-stale-data`).
    pub stale: bool,
    /// What has no place while a snapshot of the master is loaded.
    pub while_loading: bool,
    /// What needs the dataset, which is still being loaded at the start of the server.
    pub until_loaded: bool,
}

impl Refuses {
    /// Whether it refuses anything.
    pub fn is_anything(self) -> bool {
        self != Self::default()
    }
}

/// A command before the gate, as reasons to refuse it look at it.
#[derive(Clone, Copy)]
struct Visitor<'a> {
    session: &'a Session,
    row: &'static Command,
    arguments: &'a [&'a [u8]],
    config: &'a Config,
    node: Node<'a>,
}

/// Decides about a command that `resolved` names. Costs a few branches for a command that is right, of a client that
/// has authenticated and is in no transaction; on a port of a shard's own also a look at its keys.
#[inline]
pub fn admit(
    session: &mut Session,
    resolved: Resolved,
    arguments: &[&[u8]],
    config: &Config,
    node: Node<'_>,
) -> Admission {
    if let Resolved::Row(row) = resolved
        && session.is_plain()
        && row.arity_fits(arguments.len())
        && !row.flags.contains(Flags::PROTECTED)
        && !node.is_out_of_memory
        && !node.is_paused
        && !node.refuses.is_anything()
    {
        let visitor = Visitor { session, row, arguments, config, node };
        return match served_elsewhere(visitor) {
            None => Admission::Run(row),
            Some(text) => Admission::Refused(text.into_bytes()),
        };
    }
    admit_slowly(session, resolved, arguments, config, node)
}

#[cold]
fn admit_slowly(
    session: &mut Session,
    resolved: Resolved,
    arguments: &[&[u8]],
    config: &Config,
    node: Node<'_>,
) -> Admission {
    if arguments.first().is_some_and(|name| speaks_http(name)) {
        return Admission::HangUp;
    }
    let row = match resolved {
        Resolved::Row(row) => row,
        Resolved::UnknownCommand => {
            return Admission::Refused(refuse(session, None, &unknown_command(arguments)));
        }
        Resolved::UnknownSubcommand(_) => {
            let text = unknown_subcommand(as_c_text(arguments[1], SHOWN_BYTES_MAX), arguments[0]);
            return Admission::Refused(refuse(session, None, &text));
        }
    };
    let reasons = [
        wrong_number_of_arguments,
        not_allowed_here,
        not_authenticated,
        not_in_transactions,
        served_elsewhere,
        out_of_memory,
        read_only,
        only_subscribes,
        cut_off,
        loading,
    ];
    let visitor = Visitor { session, row, arguments, config, node };
    if let Some(text) = reasons.iter().find_map(|reason| reason(visitor)) {
        return Admission::Refused(refuse(session, Some(row), text.as_bytes()));
    }
    if node.is_paused {
        return Admission::Paused;
    }
    match &mut session.queue {
        Some(_) if row.full_name == "watch" => {
            Admission::Refused(b"ERR WATCH inside MULTI is not allowed".to_vec())
        }
        Some(queue) if !row.flags.contains(Flags::NOT_QUEUED) => {
            // EXEC will refuse a spoilt transaction anyway: nothing of it is kept.
            if !queue.refused {
                queue.push(row, arguments);
            }
            Admission::Queued
        }
        _ => Admission::Run(row),
    }
}

/// The error that the client gets for a refused command. It spoils the transaction that is being queued; a refused EXEC
/// ends it.
pub fn refuse(session: &mut Session, row: Option<&'static Command>, error: &[u8]) -> Vec<u8> {
    if row.is_some_and(|row| row.full_name == "exec") {
        session.discard();
        if cluster::is_redirection(error) {
            return error.to_vec();
        }
        let reason = error.strip_prefix(b"ERR ").unwrap_or(error);
        return [b"EXECABORT Transaction discarded because of: ", reason].concat();
    }
    if let Some(queue) = &mut session.queue {
        queue.refused = true;
    }
    error.to_vec()
}

/// Words with which requests of HTTP begin or go on; a browser can be made to send such by a malicious page.
fn speaks_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

fn wrong_number_of_arguments(visitor: Visitor<'_>) -> Option<String> {
    let fits = visitor.row.arity_fits(visitor.arguments.len());
    (!fits).then(|| wrong_arity(visitor.row.full_name))
}

fn not_allowed_here(visitor: Visitor<'_>) -> Option<String> {
    let allowed = !visitor.row.flags.contains(Flags::PROTECTED)
        || match visitor.config.enable_debug_command {
            ProtectedAction::Yes => true,
            ProtectedAction::Local => visitor.session.is_local(),
            ProtectedAction::No => false,
        };
    let sentence = "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", \
        you can run it from a local connection, otherwise you need to set this option in the configuration file, \
        and then restart the server.";
    (!allowed).then(|| sentence.into())
}

fn not_authenticated(visitor: Visitor<'_>) -> Option<String> {
    let required = !visitor.session.authenticated && !visitor.config.requirepass.is_empty();
    (required && !visitor.row.flags.contains(Flags::NO_AUTH)).then(|| NO_AUTH.into())
}

fn not_in_transactions(visitor: Visitor<'_>) -> Option<String> {
    let refused = visitor.session.queue.is_some() && visitor.row.flags.contains(Flags::NO_MULTI);
    refused.then(|| "ERR Command not allowed inside a transaction".into())
}

/// On a port of a shard's own, only keys of that shard and of one slot are served. EXEC is judged by its queue.
#[inline]
fn served_elsewhere(visitor: Visitor<'_>) -> Option<String> {
    let Visitor { session, row, arguments, config, node } = visitor;
    if !session.caller.cluster_port {
        return None;
    }
    let queued = session.queue.as_ref().filter(|_| row.full_name == "exec");
    let mut slots = cluster::Slots::default();
    slots.add(row, arguments);
    for command in queued.iter().flat_map(|queue| &queue.commands) {
        slots.add(command.row, &command.arguments.slices());
    }
    slots.redirection(node, config, &session.local_address)
}

/// What may still be done when memory is short: commands that need none, and a transaction of such may end.
fn out_of_memory(visitor: Visitor<'_>) -> Option<String> {
    if !visitor.node.is_out_of_memory {
        return None;
    }
    let refused = match (visitor.row.full_name, &visitor.session.queue) {
        (_, None) => visitor.row.flags.contains(Flags::DENYOOM),
        ("exec", Some(queue)) => queue.flags().contains(Flags::DENYOOM),
        ("discard" | "quit" | "reset", _) => false,
        _ => true,
    };
    refused.then(|| OUT_OF_MEMORY.into())
}

/// Writes when there may be none; EXEC is judged by its queue. That nothing can be saved is for whoever looks after the server, so
/// PING tells it too.
fn read_only(visitor: Visitor<'_>) -> Option<String> {
    let queued = queued_for(visitor).map_or(Flags::empty(), |queue| queue.flags());
    let error = visitor.node.refuses.writes?;
    let is_told = error == CANNOT_SAVE && visitor.row.full_name == "ping";
    (is_told || (visitor.row.flags | queued).contains(Flags::WRITE)).then(|| error.into())
}

fn cut_off(visitor: Visitor<'_>) -> Option<String> {
    let shows_data = |row: &Command| !row.flags.contains(Flags::STALE);
    let queued =
        queued_for(visitor).is_some_and(|queue| queue.commands.iter().any(|queued| shows_data(queued.row)));
    (visitor.node.refuses.stale && (shows_data(visitor.row) || queued)).then(|| MASTER_DOWN.into())
}

fn loading(visitor: Visitor<'_>) -> Option<String> {
    let needs_data = |row: &Command| !row.flags.contains(Flags::LOADING);
    let queued = || {
        queued_for(visitor).is_some_and(|queue| queue.commands.iter().any(|queued| needs_data(queued.row)))
    };
    if visitor.node.refuses.until_loaded && (needs_data(visitor.row) || queued()) {
        return Some(LOADING.into());
    }
    // Clients see the old data until the snapshot is here, so the role may change at any time.
    let has_no_place = |row: &Command| {
        row.flags.contains(Flags::NO_ASYNC_LOADING) && !matches!(row.full_name, "replicaof" | "slaveof")
    };
    (visitor.node.refuses.while_loading && has_no_place(visitor.row)).then(|| LOADING.into())
}

/// What EXEC is about to run.
fn queued_for(visitor: Visitor<'_>) -> Option<&Queue> {
    visitor.session.queue.as_deref().filter(|_| visitor.row.full_name == "exec")
}

fn only_subscribes(visitor: Visitor<'_>) -> Option<String> {
    let Visitor { session, row, .. } = visitor;
    const ALLOWED: &[&str] = &[
        "ping",
        "subscribe",
        "ssubscribe",
        "unsubscribe",
        "sunsubscribe",
        "psubscribe",
        "punsubscribe",
        "quit",
        "reset",
    ];
    if !session.only_subscribes() || ALLOWED.contains(&row.full_name) {
        return None;
    }
    let name = row.full_name;
    Some(format!(
        "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
         this context"
    ))
}

/// The error for an unknown command, with the first words that came with it.
fn unknown_command(arguments: &[&[u8]]) -> Vec<u8> {
    let mut shown = Vec::new();
    for argument in arguments.iter().skip(1) {
        if shown.len() >= SHOWN_BYTES_MAX {
            break;
        }
        let room = SHOWN_BYTES_MAX - shown.len();
        shown.push(b'\'');
        shown.extend_from_slice(as_c_text(argument, room));
        shown.extend_from_slice(b"' ");
    }
    let name = as_c_text(arguments.first().copied().unwrap_or_default(), SHOWN_BYTES_MAX);
    [b"ERR unknown command '", name, b"', with args beginning with: ", &shown].concat()
}

/// What `printf("%.*s")` shows of a client's bytes.
fn as_c_text(bytes: &[u8], bytes_max: usize) -> &[u8] {
    let shown = &bytes[..bytes.len().min(bytes_max)];
    until_zero(shown)
}

#[cfg(test)]
#[path = "gate_test.rs"]
mod tests;
