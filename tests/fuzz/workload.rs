//! What a client might do with a key, whatever it holds.

use super::common::{Client, Random};

const STRING: &[&str] = &[
    "GET key",
    "STRLEN key",
    "APPEND key x",
    "SETRANGE key 3 abc",
    "GETRANGE key 0 -1",
    "INCRBY key 3",
    "BITCOUNT key",
    "GETDEL key",
    "PFCOUNT key",
    "PFADD key a",
    "SETBIT key 9 1",
    "BITFIELD key INCRBY u8 3 7",
    "LCS key key LEN",
];
const LIST: &[&str] = &[
    "LRANGE key 0 -1",
    "LLEN key",
    "LINDEX key 3",
    "LPOP key 2",
    "RPOP key",
    "RPUSH key a 5 b",
    "LPUSH key 70000",
    "LSET key 0 x",
    "LINSERT key BEFORE a y",
    "LREM key 0 a",
    "LTRIM key 1 -2",
    "LPOS key b",
    "LMOVE key key LEFT RIGHT",
    "SORT key ALPHA",
];
const SET: &[&str] = &[
    "SMEMBERS key",
    "SCARD key",
    "SADD key a 5",
    "SREM key 0 a",
    "SPOP key",
    "SPOP key 3",
    "SRANDMEMBER key -5",
    "SISMEMBER key 3",
    "SSCAN key 0",
    "SUNIONSTORE other key",
    "SINTER key other",
    "SMOVE key other 0",
    "SORT key ALPHA",
];
const SORTED_SET: &[&str] = &[
    "ZRANGE key 0 -1 WITHSCORES",
    "ZCARD key",
    "ZADD key 1.5 a 7 5",
    "ZINCRBY key 3 a",
    "ZREM key 0",
    "ZPOPMIN key",
    "ZPOPMAX key 2",
    "ZRANK key a",
    "ZRANGEBYSCORE key -inf +inf",
    "ZREMRANGEBYRANK key 0 1",
    "ZRANDMEMBER key -3",
    "ZUNIONSTORE other 2 key key",
    "ZSCAN key 0",
    "ZCOUNT key (1 5",
    "ZRANGEBYLEX key - +",
    "SORT key",
];
const HASH: &[&str] = &[
    "HGETALL key",
    "HLEN key",
    "HSET key a 1 b 2",
    "HDEL key 0",
    "HGET key a",
    "HINCRBY key n 3",
    "HRANDFIELD key -3",
    "HSCAN key 0",
    "HEXPIRE key 100 FIELDS 1 a",
    "HTTL key FIELDS 1 a",
    "HPERSIST key FIELDS 1 0",
    "HSTRLEN key a",
    "HGETDEL key FIELDS 1 b",
    "HINCRBYFLOAT key n 0.5",
];
const STREAM: &[&str] = &[
    "XRANGE key - +",
    "XREVRANGE key + -",
    "XLEN key",
    "XADD key * a b",
    "XADD key 18446744073709551615-* c d",
    "XDEL key 0-1",
    "XDEL key 0-3",
    "XTRIM key MAXLEN 5",
    "XTRIM key MAXLEN ~ 3",
    "XTRIM key MINID 1",
    "XINFO STREAM key FULL",
    "XINFO GROUPS key",
    "XINFO CONSUMERS key g",
    "XPENDING key g",
    "XPENDING key g - + 10",
    "XREADGROUP GROUP g anna COUNT 3 STREAMS key >",
    "XREADGROUP GROUP g berta STREAMS key 0",
    "XACK key g 0-1",
    "XAUTOCLAIM key g anna 0 0",
    "XCLAIM key g berta 0 0-3",
    "XGROUP SETID key g $",
    "XGROUP DELCONSUMER key g anna",
    "XGROUP DESTROY key h",
    "XSETID key 18446744073709551615-5",
    "XGROUP CREATE key i $",
];
const ANY: &[&str] = &[
    "TYPE key",
    "OBJECT ENCODING key",
    "DUMP key",
    "DEBUG DIGEST-VALUE key",
    "DEBUG OBJECT key",
    "MEMORY USAGE key",
    "COPY key copy REPLACE",
    "EXPIRE key 1000",
    "PERSIST key",
    "RENAME key renamed",
    "RENAME renamed key",
    "DEBUG DIGEST",
];

/// Commands for the key by its type, in any order, at the end one that removes it.
pub fn commands(client: &mut Client, random: &mut Random) -> Vec<Vec<Vec<u8>>> {
    let family = match client.run("TYPE key").text().as_str() {
        "string" => STRING,
        "list" => LIST,
        "set" => SET,
        "zset" => SORTED_SET,
        "hash" => HASH,
        _ => STREAM,
    };
    let mut lines: Vec<&str> =
        (0..12).map(|_| if random.one_in(3) { random.pick(ANY) } else { random.pick(family) }).collect();
    lines.push("DEL key other copy renamed");
    let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    lines.into_iter().map(words).collect()
}
