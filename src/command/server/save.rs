//! SAVE, BGSAVE and LASTSAVE. Shard zero does the work.

use std::sync::atomic::Ordering;

use super::row;
use crate::command::args::is_word;
use crate::command::home::{Ask, HomeContext, SnapshotWish, Then};
use crate::command::{Command, Flags};
use crate::resp::error::SYNTAX;

const FLAGS: Flags = Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::NO_ASYNC_LOADING);

pub(super) const SAVE: Command = row("save", 1, save).flags(FLAGS.union(Flags::NO_MULTI)).docs(
    "1.0.0",
    "Saves the dataset, and replies when that is done.",
    "O(N) where N is the total number of keys in all databases",
);

pub(super) const BGSAVE: Command =
    row("bgsave", -1, bgsave).flags(FLAGS).docs("1.0.0", "Saves the dataset in the background.", "O(1)");

pub(super) const LASTSAVE: Command = row("lastsave", 1, lastsave)
    .flags(Flags::LOADING.union(Flags::STALE).union(Flags::FAST))
    .docs("1.0.0", "Tells when the dataset was last saved.", "O(1)")
    .tips(&["nondeterministic_output"])
    .categories(&["admin", "dangerous"]);

fn save(_: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    Then::Ask(Ask::Snapshot(SnapshotWish::Save))
}

/// BGSAVE [SCHEDULE]: there is nothing beside a snapshot for which it would have to wait, so SCHEDULE makes no difference.
fn bgsave(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    match arguments {
        [_] => {}
        [_, word] if is_word(word, "schedule") => {}
        _ => return home.error(SYNTAX),
    }
    Then::Ask(Ask::Snapshot(SnapshotWish::InBackground { inside_exec: home.is_inside_exec }))
}

fn lastsave(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    home.reply.int(home.server.persistence.saved_at.load(Ordering::Relaxed));
    Then::Done
}
