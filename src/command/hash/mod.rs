//! The hash family: rows here, handlers in the files beside.
//!
//! What a hash is, and how it is kept, is [`crate::store::hash`]. Fields whose time is over are removed, with their effect,
//! before a handler sees the hash; where they have to stay for the moment they are hidden.

mod combined;
mod expire;
mod number;
mod random;
mod read;
mod scan;
mod write;

#[cfg(test)]
mod expire_test;
#[cfg(test)]
mod hash_test;

use super::keys::KeyFlags;
use super::{Command, Context, Flags, Group, KeySpec, Run};
use crate::config::Config;
use crate::resp::Reply;
use crate::store::hash::{HashLimits, HashView};
use crate::store::packed::Element;

const READ_FAST: Flags = Flags::READONLY.union(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.union(Flags::FAST);
const WRITE_OOM_FAST: Flags = WRITE_FAST.union(Flags::DENYOOM);

const TOLD_KEY: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RO)];
const READ_KEY: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))];
const UPDATED_KEY: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))];
const INSERTED_KEY: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::INSERT))];
const DELETED_KEY: &[KeySpec] = &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::DELETE))];
const COUNTED_KEY: &[KeySpec] =
    &[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))];

const CONSTANT: &str = "O(1)";
const BY_FIELDS: &str = "O(N), N being the number of fields given.";
const BY_SIZE: &str = "O(N), N being the size of the hash.";

const BY_CHANCE: &[&str] = &["nondeterministic_output"];
const BY_CHANCE_ORDER: &[&str] = &["nondeterministic_output_order"];

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    row("hdel", -3, WRITE_FAST, write::hdel).keys(DELETED_KEY).element(2).docs(
        "2.0.0",
        "Removes fields of a hash; a hash without fields goes.",
        BY_FIELDS,
    ),
    row("hexists", 3, READ_FAST, read::hexists).keys(TOLD_KEY).element(2).docs(
        "2.0.0",
        "Tells whether a hash has a field.",
        CONSTANT,
    ),
    row("hexpire", -6, WRITE_OOM_FAST, expire::hexpire).keys(UPDATED_KEY).docs(
        "7.4.0",
        "Sets the time to live of fields of a hash, in seconds.",
        BY_FIELDS,
    ),
    row("hexpireat", -6, WRITE_OOM_FAST, expire::hexpireat).keys(UPDATED_KEY).docs(
        "7.4.0",
        "Sets when fields of a hash expire, in Unix seconds.",
        BY_FIELDS,
    ),
    row("hexpiretime", -5, READ_FAST, expire::hexpiretime).keys(READ_KEY).docs(
        "7.4.0",
        "Tells when fields of a hash expire, in Unix seconds.",
        BY_FIELDS,
    ),
    row("hget", 3, READ_FAST, read::hget).keys(READ_KEY).element(2).docs(
        "2.0.0",
        "Answers the value of a field of a hash.",
        CONSTANT,
    ),
    row("hgetall", 2, Flags::READONLY, read::hgetall)
        .keys(READ_KEY)
        .docs("2.0.0", "Answers all fields of a hash with their values.", BY_SIZE)
        .tips(BY_CHANCE_ORDER),
    row("hgetdel", -5, WRITE_FAST, combined::hgetdel)
        .keys(&[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE))])
        .docs("8.0.0", "Answers the values of fields of a hash and removes the fields.", BY_FIELDS),
    row("hgetex", -5, WRITE_FAST, combined::hgetex).keys(COUNTED_KEY).docs(
        "8.0.0",
        "Answers the values of fields of a hash and sets or ends the fields' time to live.",
        BY_FIELDS,
    ),
    row("hincrby", 4, WRITE_OOM_FAST, number::hincrby).keys(COUNTED_KEY).element(2).docs(
        "2.0.0",
        "Adds a number to the integer in a field; a missing field counts as 0.",
        CONSTANT,
    ),
    row("hincrbyfloat", 4, WRITE_OOM_FAST, number::hincrbyfloat).keys(COUNTED_KEY).element(2).docs(
        "2.6.0",
        "Adds a number with a fraction to the number in a field; a missing field counts as 0.",
        CONSTANT,
    ),
    row("hkeys", 2, Flags::READONLY, read::hkeys)
        .keys(READ_KEY)
        .docs("2.0.0", "Answers all fields of a hash.", BY_SIZE)
        .tips(BY_CHANCE_ORDER),
    row("hlen", 2, READ_FAST, read::hlen).keys(TOLD_KEY).docs(
        "2.0.0",
        "Counts the fields of a hash.",
        CONSTANT,
    ),
    row("hmget", -3, READ_FAST, read::hmget).keys(READ_KEY).docs(
        "2.0.0",
        "Answers the values of several fields of a hash.",
        BY_FIELDS,
    ),
    row("hmset", -4, WRITE_OOM_FAST, write::hmset)
        .keys(UPDATED_KEY)
        .docs("2.0.0", "Sets the values of several fields of a hash.", BY_FIELDS)
        .deprecated("4.0.0", "`HSET` with multiple field-value pairs"),
    row("hpersist", -5, WRITE_FAST, expire::hpersist).keys(UPDATED_KEY).docs(
        "7.4.0",
        "Ends the time to live of fields of a hash.",
        BY_FIELDS,
    ),
    row("hpexpire", -6, WRITE_OOM_FAST, expire::hpexpire).keys(UPDATED_KEY).docs(
        "7.4.0",
        "Sets the time to live of fields of a hash, in milliseconds.",
        BY_FIELDS,
    ),
    row("hpexpireat", -6, WRITE_OOM_FAST, expire::hpexpireat).keys(UPDATED_KEY).docs(
        "7.4.0",
        "Sets when fields of a hash expire, in Unix milliseconds.",
        BY_FIELDS,
    ),
    row("hpexpiretime", -5, READ_FAST, expire::hpexpiretime).keys(READ_KEY).docs(
        "7.4.0",
        "Tells when fields of a hash expire, in Unix milliseconds.",
        BY_FIELDS,
    ),
    row("hpttl", -5, READ_FAST, expire::hpttl).keys(READ_KEY).docs(
        "7.4.0",
        "Tells the time to live of fields of a hash, in milliseconds.",
        BY_FIELDS,
    ),
    row("hrandfield", -2, Flags::READONLY, random::hrandfield)
        .keys(READ_KEY)
        .docs("6.2.0", "Answers fields of a hash by chance.", "O(N), N being the number of fields answered.")
        .tips(BY_CHANCE),
    row("hscan", -3, Flags::READONLY, scan::hscan)
        .keys(READ_KEY)
        .docs(
            "2.8.0",
            "Walks over the fields of a hash, some with each call.",
            "O(1) for each call, O(N) for a whole walk, N being the size of the hash.",
        )
        .tips(BY_CHANCE),
    row("hset", -4, WRITE_OOM_FAST, write::hset).keys(UPDATED_KEY).element(2).docs(
        "2.0.0",
        "Sets the values of fields of a hash, which is created when it does not exist.",
        "O(1) for each field.",
    ),
    row("hsetex", -6, WRITE_OOM_FAST, combined::hsetex).keys(UPDATED_KEY).docs(
        "8.0.0",
        "Sets the values of fields of a hash and their time to live.",
        BY_FIELDS,
    ),
    row("hsetnx", 4, WRITE_OOM_FAST, write::hsetnx).keys(INSERTED_KEY).element(2).docs(
        "2.0.0",
        "Sets the value of a field of a hash only if there is no such field.",
        CONSTANT,
    ),
    row("hstrlen", 3, READ_FAST, read::hstrlen).keys(TOLD_KEY).element(2).docs(
        "3.2.0",
        "Answers the length of the value of a field.",
        CONSTANT,
    ),
    row("httl", -5, READ_FAST, expire::httl).keys(READ_KEY).docs(
        "7.4.0",
        "Tells the time to live of fields of a hash, in seconds.",
        BY_FIELDS,
    ),
    row("hvals", 2, Flags::READONLY, read::hvals)
        .keys(READ_KEY)
        .docs("2.0.0", "Answers all values of a hash.", BY_SIZE)
        .tips(BY_CHANCE_ORDER),
];

const fn row(
    name: &'static str,
    arity: i32,
    flags: Flags,
    handler: fn(&mut Context<'_>, &[&[u8]]),
) -> Command {
    Command::new(name, arity, Group::Hash, Run::Keyspace(handler)).flags(flags)
}

/// Up to where hashes are packed under this configuration.
fn limits(config: &Config) -> HashLimits {
    HashLimits { fields: config.hash_max_listpack_entries, element_bytes: config.hash_max_listpack_value }
}

/// Replies a field or a value.
fn push(reply: &mut Reply<'_>, element: Element<'_>) {
    match element {
        Element::Int(int) => reply.bulk_int(int),
        Element::Bytes(bytes) => reply.bulk(bytes),
    }
}

/// Replies the value of a field, or null.
fn push_value(reply: &mut Reply<'_>, hash: Option<HashView<'_>>, field: &[u8]) {
    match hash.and_then(|hash| hash.get(field)) {
        Some(value) => push(reply, value),
        None => reply.null(),
    }
}

/// Looks a hash up to read it: see [`Context::read_as`].
#[inline]
fn read<R>(
    ctx: &mut Context<'_>,
    key: &[u8],
    read: impl FnOnce(Option<HashView<'_>>, &mut Reply<'_>) -> R,
) -> Option<R> {
    let now = ctx.now;
    ctx.read_as::<crate::store::hash::Hash, R>(key, |hash, reply| read(hash.map(|hash| hash.at(now)), reply))
}
