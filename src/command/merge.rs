//! How the replies of several shards become one: pure folds over encoded replies.

use std::collections::BTreeMap;

use rand::Rng;

use crate::rdb::Digest;
use crate::resp::Reply;
use crate::resp::skim::{array, bulk, elements, integer};

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
    /// Arrays of names, each followed by a number, alike but for the numbers, which are added up (PUBSUB NUMSUB).
    Counts,
    /// Weighted choice: each shard answers `[number of keys, key or null]`; one key is drawn (RANDOMKEY).
    Draw,
    /// Databases with keys, each its number and the digest of its entries; the whole dataset's digest (DEBUG DIGEST).
    Digest,
    /// Versions of watched keys, which the session keeps; the client sees `+OK` (WATCH). Whoever runs WATCH takes the
    /// versions out of the pieces ([`integers`]) itself; [`merge`] only says `+OK`.
    Watch,
}

/// One shard's reply, and the places of its keys among all keys of the command.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// The encoded reply, in the client's protocol.
    pub reply: &'a [u8],
    /// Places of its keys, in the order of the elements; only [`Merge::Weave`] needs them.
    pub positions: &'a [u32],
}

/// Folds the shards' replies into the client's. An error of any shard is the reply, the first of several.
///
/// # Panics
/// When a piece is no whole reply of the shape that `kind` asks for, or there is no piece.
pub fn merge(kind: Merge, pieces: &[Piece<'_>], out: &mut Reply<'_>, rng: &mut impl Rng) {
    if let Some(error) = pieces.iter().find(|piece| piece.reply.first() == Some(&b'-')) {
        return out.raw(error.reply);
    }
    match kind {
        Merge::AllOk => out.raw(pieces[0].reply),
        Merge::Sum => out.int(pieces.iter().map(|piece| integer(piece.reply)).sum()),
        Merge::Weave => weave(pieces, out),
        Merge::Concatenate => {
            out.array(pieces.iter().map(|piece| array(piece.reply).0).sum());
            pieces.iter().for_each(|piece| out.raw(array(piece.reply).1));
        }
        Merge::Counts => counts(pieces, out),
        Merge::Draw => draw(pieces, out, rng),
        Merge::Digest => digest(pieces, out),
        Merge::Watch => out.ok(),
    }
}

fn weave(pieces: &[Piece<'_>], out: &mut Reply<'_>) {
    let keys = pieces.iter().map(|piece| piece.positions.len()).sum();
    let mut woven: Vec<&[u8]> = vec![&[]; keys];
    for piece in pieces {
        assert_eq!(array(piece.reply).0, piece.positions.len(), "one element per key");
        for (&position, element) in piece.positions.iter().zip(elements(piece.reply)) {
            woven[position as usize] = element;
        }
    }
    out.array(keys);
    woven.iter().for_each(|element| out.raw(element));
}

fn counts(pieces: &[Piece<'_>], out: &mut Reply<'_>) {
    let Some((first, rest)) = pieces.split_first() else { return };
    out.array(array(first.reply).0);
    let mut rest: Vec<_> = rest.iter().map(|piece| elements(piece.reply)).collect();
    for (at, element) in elements(first.reply).enumerate() {
        let others = rest.iter_mut().filter_map(Iterator::next);
        if at % 2 == 0 {
            others.for_each(drop);
            out.raw(element);
        } else {
            out.int(integer(element) + others.map(integer).sum::<i64>());
        }
    }
}

/// Each shard weighs as much as it has keys, so each key of the server is about equally likely.
fn draw(pieces: &[Piece<'_>], out: &mut Reply<'_>, rng: &mut impl Rng) {
    let weighed: Vec<(u64, &[u8])> = pieces
        .iter()
        .filter_map(|piece| {
            let mut pair = elements(piece.reply);
            Some((integer(pair.next()?).max(0) as u64, pair.next()?))
        })
        .collect();
    let total: u64 = weighed.iter().map(|(weight, _)| weight).sum();
    if total == 0 {
        return out.null();
    }
    let mut drawn = rng.random_range(0..total);
    for (weight, key) in weighed {
        if drawn < weight {
            return out.raw(key);
        }
        drawn -= weight;
    }
}

fn digest(pieces: &[Piece<'_>], out: &mut Reply<'_>) {
    let mut databases: BTreeMap<u32, Digest> = BTreeMap::new();
    for piece in pieces {
        let mut parts = elements(piece.reply);
        while let (Some(index), Some(entries)) = (parts.next(), parts.next()) {
            if let Ok(entries) = bulk(entries).try_into() {
                databases.entry(integer(index) as u32).or_default().combine(entries);
            }
        }
    }
    let mut digest = Digest::default();
    databases.iter().for_each(|(index, entries)| digest.mix_database(*index, entries));
    out.simple(&digest.hex());
}

/// The integers of an encoded array of them: the versions that a shard's part of WATCH answers.
pub fn integers(encoded: &[u8]) -> Vec<i64> {
    elements(encoded).map(integer).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;
    use crate::resp::reply::Protocol;

    fn merged(kind: Merge, parts: &[(&str, &[u32])]) -> String {
        merged_with(kind, parts, &mut SmallRng::seed_from_u64(1))
    }

    fn merged_with(kind: Merge, parts: &[(&str, &[u32])], rng: &mut SmallRng) -> String {
        let parts: Vec<Piece<'_>> =
            parts.iter().map(|&(reply, positions)| Piece { reply: reply.as_bytes(), positions }).collect();
        let mut out = Vec::new();
        merge(kind, &parts, &mut Reply::new(&mut out, Protocol::Resp2), rng);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_first_error_wins() {
        let kinds = [Merge::AllOk, Merge::Sum, Merge::Weave, Merge::Concatenate, Merge::Counts];
        for kind in kinds.into_iter().chain([Merge::Draw, Merge::Watch]) {
            let parts: [(&str, &[u32]); 3] = [(":1\r\n", &[]), ("-ERR a\r\n", &[]), ("-ERR b\r\n", &[])];
            assert_eq!(merged(kind, &parts), "-ERR a\r\n");
        }
    }

    #[test]
    fn plain_folds() {
        assert_eq!(merged(Merge::AllOk, &[("+OK\r\n", &[]), ("+OK\r\n", &[])]), "+OK\r\n");
        assert_eq!(merged(Merge::Watch, &[("*0\r\n", &[]), ("*0\r\n", &[])]), "+OK\r\n");
        assert_eq!(merged(Merge::Sum, &[(":2\r\n", &[]), (":0\r\n", &[]), (":40\r\n", &[])]), ":42\r\n");
        let parts: [(&str, &[u32]); 3] =
            [("*1\r\n$1\r\na\r\n", &[]), ("*0\r\n", &[]), ("*2\r\n$1\r\nb\r\n$1\r\nc\r\n", &[])];
        assert_eq!(merged(Merge::Concatenate, &parts), "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
    }

    #[test]
    fn counts_are_added_name_by_name() {
        let parts: [(&str, &[u32]); 2] = [
            ("*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:0\r\n", &[]),
            ("*4\r\n$1\r\na\r\n:0\r\n$1\r\nb\r\n:2\r\n", &[]),
        ];
        assert_eq!(merged(Merge::Counts, &parts), "*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:2\r\n");
        assert_eq!(merged(Merge::Counts, &[("*0\r\n", &[]), ("*0\r\n", &[])]), "*0\r\n");
    }

    #[test]
    fn keys_are_woven_back() {
        let parts: [(&str, &[u32]); 2] =
            [("*2\r\n$1\r\na\r\n$-1\r\n", &[0, 3]), ("*2\r\n$1\r\nb\r\n*1\r\n:1\r\n", &[1, 2])];
        assert_eq!(merged(Merge::Weave, &parts), "*4\r\n$1\r\na\r\n$1\r\nb\r\n*1\r\n:1\r\n$-1\r\n");
    }

    #[test]
    fn digests_are_combined_database_by_database() {
        let part = |digit: &str| digit.repeat(20);
        let one = format!("*4\r\n:0\r\n$20\r\n{}\r\n:3\r\n$20\r\n{}\r\n", part("a"), part("b"));
        let other = format!("*2\r\n:3\r\n$20\r\n{}\r\n", part("\x20"));
        let both = format!("*4\r\n:0\r\n$20\r\n{}\r\n:3\r\n$20\r\n{}\r\n", part("a"), part("B"));
        let of_two = merged(Merge::Digest, &[(&one, &[]), (&other, &[])]);
        assert_eq!(of_two, merged(Merge::Digest, &[("*0\r\n", &[]), (&both, &[])]));
        assert_ne!(of_two, merged(Merge::Digest, &[(&one, &[])]));
        assert_eq!(merged(Merge::Digest, &[("*0\r\n", &[])]), format!("+{}\r\n", "0".repeat(40)));
    }

    #[test]
    fn keys_are_drawn_by_weight() {
        let mut rng = SmallRng::seed_from_u64(1);
        let parts: [(&str, &[u32]); 3] = [
            ("*2\r\n:100\r\n$1\r\na\r\n", &[]),
            ("*2\r\n:0\r\n$-1\r\n", &[]),
            ("*2\r\n:300\r\n$1\r\nb\r\n", &[]),
        ];
        let drawn: Vec<String> = (0..1000).map(|_| merged_with(Merge::Draw, &parts, &mut rng)).collect();
        let of_a = drawn.iter().filter(|reply| *reply == "$1\r\na\r\n").count();
        assert!((200..300).contains(&of_a), "{of_a} of 1000");
        assert!(drawn.iter().all(|reply| reply != "$-1\r\n"));
        assert_eq!(merged(Merge::Draw, &[("*2\r\n:0\r\n$-1\r\n", &[])]), "$-1\r\n");
    }
}
