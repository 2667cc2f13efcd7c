//! Every bound of the server by name, so that none hides in the code that applies it.

/// Replies that a connection may await from other shards before reading from it stops.
pub const UNANSWERED_COMMANDS_MAX: usize = 1024;
/// Commands of one connection that are parsed in one tick, so that no pipeline starves its neighbours.
pub const COMMANDS_PER_TICK_MAX: usize = 1024;
/// Commands in a batch that is run on a borrowed shard.
pub const BORROWED_BATCH_MAX: usize = 512;
/// Keys of commands that go to the sequencer as one transaction.
pub const GROUP_KEYS_MAX: usize = 1024;
/// Arguments of one command before authentication.
pub const UNAUTHENTICATED_ARGUMENTS_MAX: i64 = 10;
/// Bytes of one argument before authentication.
pub const UNAUTHENTICATED_BULK_BYTES_MAX: i64 = 16384;
/// Bytes of an inline command, and of a protocol line.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;
/// Arguments of one command.
pub const ARGUMENTS_MAX: i64 = i32::MAX as i64;
/// How many commands ahead of the one that runs a key's entry is fetched into the cache; its bucket twice as far.
pub const PREFETCH_DISTANCE: usize = 12;
/// How many commands ahead of the one that runs an element of a big collection is fetched into the cache; its bucket twice as
/// far.
pub const ELEMENT_DISTANCE: usize = 4;
/// Elements from which on a reply is given in slices, between which others have their turn.
pub const SLICED_ELEMENTS_MIN: usize = 4096;
/// Bytes of a reply after which a slice ends.
pub const SLICE_BYTES: usize = 32 * 1024;
