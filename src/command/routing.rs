//! What routing must know of single commands beyond their rows: the shard of a cursor, the databases of a copy.

use super::Command;
use super::args::is_word;
use super::session::Caller;
use crate::base::number::{parse_i64, parse_u64};
use crate::base::slot::ShardId;

/// Bits of a SCAN cursor below the shard: where that shard's table goes on, in hash order.
pub const CURSOR_PLACE_BITS: u32 = 48;

/// The shard that the cursor in argument 1 names; shard zero for a cursor that is none.
pub fn cursor_shard(arguments: &[&[u8]], shards: usize) -> ShardId {
    let cursor = arguments.get(1).and_then(|digits| parse_u64(digits)).unwrap_or(0);
    let shard = (cursor >> CURSOR_PLACE_BITS) as usize;
    if shard < shards { shard } else { 0 }
}

/// The databases in which a command has keys: the caller's, and the one that COPY names.
pub fn databases_of(row: &Command, caller: Caller, arguments: &[&[u8]]) -> Vec<u32> {
    let mut databases = vec![caller.database];
    if row.full_name == "copy" {
        let named = arguments.windows(2).skip(3).find(|pair| is_word(pair[0], "db"));
        if let Some(index) =
            named.and_then(|pair| parse_i64(pair[1])).and_then(|index| u32::try_from(index).ok())
        {
            databases.push(index);
            databases.dedup();
        }
    }
    databases
}
