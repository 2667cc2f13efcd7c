//! The transaction family: MULTI and its kin. Rows on top, handlers below. What is queued while a transaction is open
//! is decided in `gate`; running the queue is the floor above's.

use super::home::{HomeContext, Then};
use super::keys::KeyFlags;
use super::session::Queue;
use super::{Command, Context, Flags, Group, KeySpec, Merge, Route, Run};
use crate::resp::error::EXEC_ABORT;

const COMMON: Flags = Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE);

const QUICK: Flags = COMMON.union(Flags::FAST).union(Flags::ALLOW_BUSY);

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command::new("discard", 1, Group::Transactions, Run::Home(discard))
        .flags(QUICK.union(Flags::NOT_QUEUED))
        .docs(
            "2.0.0",
            "Drops the commands of a transaction.",
            "O(N), when N is the number of queued commands",
        ),
    Command::new("exec", 1, Group::Transactions, Run::Home(exec))
        .flags(COMMON.union(Flags::SKIP_SLOWLOG).union(Flags::NOT_QUEUED))
        .docs("1.2.0", "Runs the commands of a transaction.", "Depends on commands in the transaction"),
    Command::new("multi", 1, Group::Transactions, Run::Home(multi))
        .flags(QUICK.union(Flags::NOT_QUEUED))
        .docs("1.2.0", "Begins a transaction.", "O(1)"),
    Command::new("unwatch", 1, Group::Transactions, Run::Home(unwatch)).flags(QUICK).docs(
        "2.2.0",
        "Ends the watching of keys.",
        "O(1)",
    ),
    Command::new("watch", -2, Group::Transactions, Run::Keyspace(watch))
        .flags(QUICK.union(Flags::NOT_QUEUED))
        .keys(&[KeySpec::range(1, -1, 1, KeyFlags::RO)])
        .route(Route::Split(Merge::Watch))
        .docs(
            "2.2.0",
            "Lets the next transaction run only if these keys stay unchanged.",
            "O(1) for every key.",
        ),
];

fn multi(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    if home.session.queue.is_some() {
        return home.error("ERR MULTI calls can not be nested");
    }
    home.session.queue = Some(Box::<Queue>::default());
    home.ok()
}

fn exec(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    match &home.session.queue {
        None => home.error("ERR EXEC without MULTI"),
        Some(queue) if queue.refused => {
            home.session.discard();
            home.error(EXEC_ABORT)
        }
        Some(_) => Then::Exec,
    }
}

fn discard(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    if home.session.queue.is_none() {
        return home.error("ERR DISCARD without MULTI");
    }
    home.session.discard();
    home.ok()
}

fn unwatch(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    home.session.unwatch();
    home.ok()
}

/// Answers the versions of the keys; the floor above keeps them in the session and tells the client `+OK`.
fn watch(context: &mut Context<'_>, arguments: &[&[u8]]) {
    let keys = &arguments[1..];
    context.reply.array(keys.len());
    for key in keys {
        // A key whose time has come goes now: its removal later would look like a change.
        context.exists(key);
        let version = context.keyspace.watch(context.database(), key);
        context.reply.int(version as i64);
    }
}
