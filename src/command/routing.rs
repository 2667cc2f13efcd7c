//! What routing must know of single commands beyond their rows: the shard of a cursor, the databases of a copy, the keys
//! that patterns name.

use super::Command;
use super::args::is_word;
use super::generic::{scan, sort};
use super::session::Caller;
use crate::base::number::parse_i64;
use crate::base::slot::{ShardId, SlotMap};
use crate::store::entry::Entry;

/// The shard that the cursor in argument 1 names; shard zero for a cursor that is none.
pub fn cursor_shard(arguments: &[&[u8]], shards: usize) -> ShardId {
    scan::cursor_shard(arguments, shards)
}

/// The databases in which a command has keys: the caller's, and those that COPY names, which may
/// not exist.
pub fn databases_of(row: &Command, caller: Caller, arguments: &[&[u8]]) -> Vec<u32> {
    let mut databases = vec![caller.database];
    if row.full_name == "copy" {
        // Of several the last one counts, but more than the right one does no harm.
        let named = arguments.windows(2).skip(3).filter(|pair| is_word(pair[0], "db"));
        for index in named.filter_map(|pair| u32::try_from(parse_i64(pair[1])?).ok()) {
            if !databases.contains(&index) {
                databases.push(index);
            }
        }
    }
    databases
}

/// Which keys a command of [`Route::Patterns`](super::Route::Patterns) looks at besides its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// None: it has no pattern.
    Own,
    /// Keys of this shard, which is also that of its own.
    Shard(ShardId),
    /// Keys of any shard.
    Anywhere,
}

/// How far the patterns among the arguments reach, if the command's own keys are on the shards `own`.
pub fn reach(slots: &SlotMap, arguments: &[&[u8]], own: impl Iterator<Item = ShardId>) -> Reach {
    let patterns = sort::patterns(arguments);
    if patterns.is_empty() {
        return Reach::Own;
    }
    let only = (slots.shards() == 1).then_some(0);
    let owner_of = |pattern: &&[u8]| sort::slot_of_pattern(pattern).map(|slot| slots.owner(slot));
    let mut shards = patterns.iter().map(|pattern| only.or_else(|| owner_of(pattern))).chain(own.map(Some));
    match shards.next().flatten() {
        Some(first) if shards.all(|shard| shard == Some(first)) => Reach::Shard(first),
        _ => Reach::Anywhere,
    }
}

/// Whether any pattern of keys is among the arguments.
pub fn has_pattern(arguments: &[&[u8]]) -> bool {
    !sort::patterns(arguments).is_empty()
}

/// The keys that patterns among the arguments name, each once; `entry` is at the command's first key.
pub fn keys_of_patterns(arguments: &[&[u8]], entry: Option<&Entry>) -> Vec<Vec<u8>> {
    sort::keys_of_patterns(arguments, entry)
}
