//! What routing must know of single commands beyond their rows: the shard of a cursor, the databases of a copy.

use super::Command;
use super::args::is_word;
use super::generic::scan;
use super::session::Caller;
use crate::base::number::parse_i64;
use crate::base::slot::ShardId;

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
