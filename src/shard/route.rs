//! Which shard a command runs on, and what it locks there.

use super::locks::{Claims, Mode};
use crate::base::slot::{ShardId, SlotMap};
use crate::command::keys::KeySpec;
use crate::command::routing::{self, Reach};
use crate::command::{Command, Merge, Route};
use crate::store::keyspace::Keyspace;

/// Where a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// On the home shard, over the session.
    Home,
    /// On one shard.
    Shard(ShardId),
    /// On several shards, as a transaction.
    Spanning,
}

/// Where the command of `row` with these arguments runs.
#[inline]
pub fn target(slots: &SlotMap, home: ShardId, row: &Command, arguments: &[&[u8]]) -> Target {
    if let Some(key) = row.single_key(arguments) {
        return Target::Shard(slots.owner_of_key(key));
    }
    match row.route {
        Route::Home => Target::Home,
        Route::Split(Merge::Watch) => Target::Spanning,
        Route::EveryShard(_) if slots.shards() > 1 => Target::Spanning,
        Route::EveryShard(_) => Target::Shard(0),
        Route::Cursor => Target::Shard(routing::cursor_shard(arguments, slots.shards())),
        Route::Channel => Target::Shard(channel_shard(slots, arguments)),
        Route::Split(_) | Route::Gather | Route::Patterns if slots.shards() == 1 => Target::Shard(0),
        Route::Split(_) | Route::Gather | Route::Patterns => keyed_target(slots, home, row, arguments),
    }
}

/// The shard of the channel in argument 1.
pub fn channel_shard(slots: &SlotMap, arguments: &[&[u8]]) -> ShardId {
    arguments.get(1).map_or(0, |channel| slots.owner_of_key(channel))
}

fn keyed_target(slots: &SlotMap, home: ShardId, row: &Command, arguments: &[&[u8]]) -> Target {
    let mut owner = None;
    let mut spanning = false;
    for spec in row.keys {
        spec.positions(arguments, |at| {
            let shard = slots.owner_of_key(arguments[at]);
            spanning |= *owner.get_or_insert(shard) != shard;
        });
    }
    if row.route == Route::Patterns {
        spanning |= routing::reach(slots, arguments, owner.into_iter()) == Reach::Anywhere;
    }
    if spanning { Target::Spanning } else { Target::Shard(owner.unwrap_or(home)) }
}

/// How a key of `spec` is locked: shared by a command that only reads. What another reader of a shared key finds expired it
/// removes, which must not come before the effects of a command that has read it.
pub fn mode_of(row: &Command, spec: &KeySpec) -> Mode {
    if spec.is_read_only() && !row.is_write() { Mode::Shared } else { Mode::Exclusive }
}

/// How a command locks whole shards.
pub fn whole_mode(row: &Command) -> Mode {
    if row.is_write() { Mode::Exclusive } else { Mode::Shared }
}

/// What a command whose keys are all on one shard locks there.
pub fn claims_of(keyspace: &Keyspace, row: &Command, arguments: &[&[u8]]) -> Claims {
    if matches!(row.route, Route::EveryShard(_) | Route::Cursor) {
        return Claims::Whole(whole_mode(row));
    }
    if row.route == Route::Patterns && routing::has_pattern(arguments) {
        return Claims::Whole(whole_mode(row));
    }
    let mut keys = Vec::new();
    if row.route == Route::Channel {
        return Claims::keys(keys);
    }
    for spec in row.keys {
        spec.positions(arguments, |at| keys.push((keyspace.hash(arguments[at]), mode_of(row, spec))));
    }
    Claims::keys(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table::{Resolved, resolve};

    #[test]
    fn what_changes_every_shard_shares_none() {
        let mode = |line: &str| {
            let arguments: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let Resolved::Row(row) = resolve(&arguments) else { panic!("{line} is a command") };
            assert!(matches!(row.route, Route::EveryShard(_)), "{line}");
            whole_mode(row)
        };
        for line in ["FLUSHALL", "FLUSHDB", "SWAPDB 0 1", "DEBUG POPULATE 10", "DEBUG EFFECTS-SWITCH ON"] {
            assert_eq!(mode(line), Mode::Exclusive, "{line}");
        }
        for line in ["DBSIZE", "KEYS *", "RANDOMKEY"] {
            assert_eq!(mode(line), Mode::Shared, "{line}");
        }
    }
}
