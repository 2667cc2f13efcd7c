//! Which commands the differential test sends: one line per form of a command, and how often each is
//! taken. `$name` stands for a random argument of that kind, `( | )` for a choice, `+` for repetition.
//! A new command needs a line here and nothing else.

/// Weight and form of each command. Times that pass during a run would make replies depend on the moment,
/// so `SET` takes none of the past either.
pub const COMMANDS: &[(u32, &str)] = &[
    // strings
    (9, "SET $key $value"),
    (
        9,
        "SET $key $value ( NX | XX | GET | NX GET | XX GET | ) ( EX $seconds | PX $ms | EXAT $future | PXAT $futurems | KEEPTTL | )",
    ),
    (6, "GET $key"),
    (2, "GETDEL $key"),
    (3, "GETEX $key ( EX $seconds | PX $ms | EXAT $unix | PXAT $unixms | PERSIST | )"),
    (2, "GETSET $key $value"),
    (3, "GETRANGE $key $index $index"),
    (1, "SUBSTR $key $index $index"),
    (3, "SETRANGE $key $offset $value"),
    (4, "APPEND $key $value"),
    (2, "STRLEN $key"),
    (4, "INCR $key"),
    (3, "DECR $key"),
    (4, "INCRBY $key $integer"),
    (3, "DECRBY $key $integer"),
    (4, "INCRBYFLOAT $key $float"),
    (3, "MGET ( $key )+"),
    (3, "MSET ( $key $value )+"),
    (3, "MSETNX ( $key $value )+"),
    (2, "SETEX $key $seconds $value"),
    (2, "PSETEX $key $ms $value"),
    (2, "SETNX $key $value"),
    (
        3,
        "LCS $key $key ( LEN | IDX | IDX WITHMATCHLEN | IDX MINMATCHLEN $small | IDX MINMATCHLEN $small WITHMATCHLEN | LEN IDX | )",
    ),
    // lists
    (7, "( LPUSH | RPUSH ) $list ( $value )+"),
    (3, "( LPUSHX | RPUSHX ) $list ( $value )+"),
    (3, "( LPOP | RPOP ) $list ( $small | )"),
    (2, "LLEN $list"),
    (3, "LINDEX $list $index"),
    (3, "LSET $list $index $value"),
    (4, "LINSERT $list ( BEFORE | AFTER ) $value $value"),
    (4, "LRANGE $list $index $index"),
    (1, "LTRIM $list $index $index"),
    (3, "LREM $list $small $value"),
    (
        4,
        "LPOS $list $value ( RANK ( 1 | 2 | -1 | -3 | $small ) | ) ( COUNT $small | ) ( MAXLEN ( $small | 7 ) | )",
    ),
    (
        2,
        "LMPOP ( 1 $list | 2 $list $list | 3 $list $list $list | $small $list ) ( LEFT | RIGHT ) ( COUNT $small | )",
    ),
    (4, "LMOVE $list $list ( LEFT | RIGHT ) ( LEFT | RIGHT )"),
    (2, "RPOPLPUSH $list $list"),
    (1, "( BLPOP | BRPOP ) ( $list )+ $timeout"),
    (
        1,
        "( BLMOVE $list $list ( LEFT | RIGHT ) ( LEFT | RIGHT ) $timeout | BRPOPLPUSH $list $list $timeout | BLMPOP $timeout ( 1 $list | 2 $list $list | $small $list ) ( LEFT | RIGHT ) ( COUNT $small | ) )",
    ),
    // SORT: BY nosort only with STORE, else a set answers in an order of its own.
    (
        3,
        "SORT ( $list | $list | $set | $key ) ( LIMIT $small $small | ) ( GET # GET # | GET $pattern | ) ( DESC | ASC | ) ( ALPHA | ) ( BY nosort STORE $list | STORE $list | STORE $list STORE $key | )",
    ),
    (
        2,
        "SORT ( $list | $set | $key ) BY ( * | h* | {t}* | *->1 | *->f | *a ) ( DESC | ) ( LIMIT $small $small | ) ( GET * | GET *->f | ) ( STORE $list | )",
    ),
    (
        1,
        "SORT_RO ( $list | $set | $key ) ( LIMIT $small $small | ) ( GET * | ) ( DESC | ) ( ALPHA | STORE $list | )",
    ),
    // bitmaps
    (4, "SETBIT $key $bit ( 0 | 1 )"),
    (1, "SETBIT $key $bit $integer"),
    (2, "GETBIT $key $bit"),
    (3, "BITCOUNT $key ( $index $index ( BYTE | BIT | ) | )"),
    (3, "BITPOS $key ( 0 | 1 ) ( $index ( $index ( BYTE | BIT | ) | ) | )"),
    (3, "BITOP ( AND | OR | XOR ) $key ( $key )+"),
    (1, "BITOP NOT $key $key"),
    (
        4,
        "BITFIELD $key ( ( GET $type $fieldoffset | SET $type $fieldoffset $integer | INCRBY $type $fieldoffset $integer | OVERFLOW ( WRAP | SAT | FAIL ) ) )+",
    ),
    (2, "BITFIELD_RO $key ( GET $type $fieldoffset )+"),
    // sets; what SPOP takes may not be left to chance
    (8, "SADD $set ( $value )+"),
    (5, "SADD $set ( $integer )+"),
    (3, "SREM $set ( $value )+"),
    (2, "SREM $set ( $integer )+"),
    (2, "SMEMBERS $set"),
    (2, "SCARD $set"),
    (2, "SISMEMBER $set $value"),
    (1, "SISMEMBER $set $integer"),
    (2, "SMISMEMBER $set ( $value )+"),
    (4, "SMOVE $set $set $value"),
    (2, "SMOVE $set $set $integer"),
    (1, "SPOP $set ( 0 | 1000 | -1 | x )"),
    (2, "SRANDMEMBER $set ( $index | )"),
    (3, "SINTER ( $set )+"),
    (3, "SINTERSTORE $set ( $set )+"),
    (2, "SINTERCARD ( 1 | 2 | 2 | 3 | 0 | x ) $set $set ( LIMIT $small | )"),
    (2, "SUNION ( $set )+"),
    (3, "SUNIONSTORE $set ( $set )+"),
    (2, "SDIFF ( $set )+"),
    (3, "SDIFFSTORE $set ( $set )+"),
    (2, "SSCAN $set 0 ( MATCH $pattern | ) ( COUNT $small | )"),
    // sorted sets
    (9, "ZADD $key ( $score $member )+"),
    (
        5,
        "ZADD $key ( NX | XX | GT | LT | XX GT | NX GT | XX NX | GT LT | ) ( CH | INCR | CH INCR | ) $score $member ( $score $member | )",
    ),
    (3, "ZINCRBY $key $score $member"),
    (3, "ZREM $key ( $member )+"),
    (2, "ZSCORE $key $member"),
    (1, "ZMSCORE $key ( $member )+"),
    (1, "ZCARD $key"),
    (2, "ZCOUNT $key $bound $bound"),
    (4, "ZRANGE $key $index $index ( REV | ) ( WITHSCORES | )"),
    (3, "ZRANGE $key $bound $bound BYSCORE ( REV | ) ( LIMIT $index $index | ) ( WITHSCORES | )"),
    (1, "ZRANGE $key $index $index ( LIMIT $index $index | BYLEX WITHSCORES | BYSCORE BYLEX | REV REV )"),
    (2, "ZRANGESTORE $key $key $index $index ( REV | )"),
    (2, "ZRANGESTORE $key $key $bound $bound BYSCORE ( REV | ) ( LIMIT $index $index | )"),
    (1, "ZREVRANGE $key $index $index ( WITHSCORES | )"),
    (2, "ZRANGEBYSCORE $key $bound $bound ( LIMIT $index $index | ) ( WITHSCORES | )"),
    (2, "ZREVRANGEBYSCORE $key $bound $bound ( WITHSCORES | ) ( LIMIT $index $index | )"),
    (2, "( ZRANK | ZREVRANK ) $key $member"),
    (1, "ZREMRANGEBYRANK $key $index $index"),
    (1, "ZREMRANGEBYSCORE $key $bound $bound"),
    (2, "( ZPOPMIN | ZPOPMAX ) $key ( $small | )"),
    (2, "( BZPOPMIN | BZPOPMAX ) ( $key )+ ( 0.01 | 0.01 | 0.01 | x | -1 )"),
    (2, "ZMPOP ( 1 $key | 2 $key $key | 0 $key | 3 $key $key ) ( MIN | MAX ) ( COUNT $small | )"),
    (1, "BZMPOP 0.01 ( 1 $key | 2 $key $key ) ( MIN | MAX ) ( COUNT $small | )"),
    (1, "ZRANDMEMBER $key ( 20 ( WITHSCORES | ) | $small ( WITHSCORES | ) | )"),
    (1, "ZSCAN $key 0 ( MATCH $pattern | ) ( COUNT $small | )"),
    (
        3,
        "( ZUNION | ZINTER ) 2 $key $key ( WEIGHTS $score $score | ) ( AGGREGATE ( SUM | MIN | MAX ) | ) ( WITHSCORES | )",
    ),
    (2, "( ZUNION | ZINTER | ZDIFF ) ( 1 $key | 3 $key $key $key | $small $key ) ( WITHSCORES | )"),
    (
        3,
        "( ZUNIONSTORE | ZINTERSTORE ) $key 2 $key $key ( WEIGHTS $score $score | ) ( AGGREGATE ( SUM | MIN | MAX ) | )",
    ),
    (2, "ZDIFFSTORE $key 2 $key $key"),
    (2, "ZINTERCARD ( 1 $key | 2 $key $key ) ( LIMIT $small | )"),
    // places; distances of 7.0 and 7.2 are compared as they are printed
    (5, "GEOADD $placekey ( NX | XX | CH | NX XX | ) ( $coordinate $coordinate $member )+"),
    (2, "GEOPOS ( $placekey | $key ) ( $member )+"),
    (1, "GEOHASH ( $placekey | $key ) ( $member )+"),
    (2, "GEODIST $placekey $member $member ( $unit | )"),
    (
        3,
        "GEOSEARCH $placekey ( FROMMEMBER $member | FROMLONLAT $coordinate $coordinate ) ( BYRADIUS $distance $unit | BYBOX $distance $distance $unit ) ( ASC | DESC ) ( COUNT $small | ) ( WITHCOORD | ) ( WITHDIST | ) ( WITHHASH | )",
    ),
    (
        1,
        "GEOSEARCH $placekey ( FROMMEMBER $member | FROMLONLAT $coordinate $coordinate | BYRADIUS $distance $unit | BYBOX $distance $distance $unit | ANY | COUNT $small | STOREDIST | STORE $placekey )+",
    ),
    (
        2,
        "GEOSEARCHSTORE $placekey $placekey FROMLONLAT $coordinate $coordinate BYRADIUS $distance $unit ( ASC | DESC | COUNT $small ( ANY | ) | ) ( STOREDIST | )",
    ),
    (
        1,
        "GEORADIUS $placekey $coordinate $coordinate $distance $unit ASC ( WITHCOORD | ) ( WITHDIST | ) ( WITHHASH | ) ( COUNT $small | )",
    ),
    (
        1,
        "GEORADIUS $placekey $coordinate $coordinate $distance $unit ( STORE $placekey | STOREDIST $placekey ) ( DESC | )",
    ),
    (
        1,
        "GEORADIUSBYMEMBER $placekey $member $distance $unit ( WITHDIST ASC | STORE $placekey | COUNT $small )",
    ),
    (1, "GEORADIUS_RO $placekey $coordinate $coordinate $distance $unit ASC ( STORE $placekey | )"),
    (1, "GEORADIUSBYMEMBER_RO $placekey $member $distance $unit ASC"),
    // Ranges of members mean something only where all scores are the same.
    (4, "ZADD $lexkey 0 $member 0 $member 0 $member"),
    (2, "( ZRANGEBYLEX | ZREVRANGEBYLEX ) $lexkey $lexbound $lexbound ( LIMIT $index $index | )"),
    (2, "ZRANGE $lexkey $lexbound $lexbound BYLEX ( REV | ) ( LIMIT $index $index | )"),
    (1, "ZRANGESTORE $lexkey $lexkey $lexbound $lexbound BYLEX ( REV | ) ( LIMIT $index $index | )"),
    (1, "ZLEXCOUNT $lexkey $lexbound $lexbound"),
    (1, "ZREMRANGEBYLEX $lexkey $lexbound $lexbound"),
    // HyperLogLogs
    (4, "PFADD $sketch ( $value )+"),
    (2, "PFADD $sketch ( $integer | )"),
    (3, "PFCOUNT ( $sketch )+"),
    (2, "PFMERGE ( $sketch )+"),
    (1, "PFDEBUG ( ENCODING | DECODE | TODENSE | x ) $sketch"),
    (2, "GET $sketch"),
    // streams: ids are given, and what waits for a time waits for none or for ever
    (9, "XADD $streamkey $newid $value $value"),
    (
        4,
        "XADD $streamkey ( NOMKSTREAM | ) ( MAXLEN | MAXLEN = | MAXLEN ~ ) $length ( LIMIT $small | ) $newid ( $value $value )+",
    ),
    (
        3,
        "XADD $streamkey ( MINID | MINID = | MINID ~ ) $entryid ( LIMIT $small | ) ( NOMKSTREAM | ) $newid ( $value $value )+",
    ),
    (1, "XADD $key $newid $value $value"),
    (3, "XLEN $streamkey"),
    (4, "XRANGE $streamkey $border $border ( COUNT $small | )"),
    (4, "XREVRANGE $streamkey $border $border ( COUNT $small | )"),
    (4, "XDEL $streamkey ( $entryid )+"),
    (2, "XTRIM $streamkey ( MAXLEN | MAXLEN = | MAXLEN ~ ) $length ( LIMIT $small | )"),
    (2, "XTRIM $streamkey ( MINID | MINID = | MINID ~ ) $entryid ( LIMIT $small | )"),
    // Later ids only: 7.2 looks at what was deleted before it looks at what is there.
    (
        2,
        "XSETID $streamkey $laterid ( ENTRIESADDED $length | MAXDELETEDID $entryid | ENTRIESADDED $length MAXDELETEDID $entryid | )",
    ),
    (3, "XREAD ( COUNT $small | ) STREAMS $streamkey $behind"),
    (2, "XREAD STREAMS $streamkey $streamkey $behind $behind"),
    (1, "XREAD ( COUNT $small | ) BLOCK ( 1 | 2 | -1 | x ) STREAMS $streamkey $behind"),
    (
        1,
        "XREADGROUP GROUP $group $consumer BLOCK ( 1 | 1 | x ) ( NOACK | ) STREAMS $streamkey ( > | $behind )",
    ),
    (7, "XGROUP CREATE $streamkey $group $entryid ( MKSTREAM | MKSTREAM | ) ( ENTRIESREAD $length | )"),
    (2, "XGROUP SETID $streamkey $group $entryid ( ENTRIESREAD $length | )"),
    (1, "XGROUP DESTROY $streamkey $group"),
    (2, "XGROUP CREATECONSUMER $streamkey $group $consumer"),
    (1, "XGROUP DELCONSUMER $streamkey $group $consumer"),
    (
        9,
        "XREADGROUP GROUP $group $consumer ( COUNT $small | ) ( NOACK | ) STREAMS $streamkey ( > | > | > | $behind )",
    ),
    (3, "XREADGROUP GROUP $group $consumer COUNT $small STREAMS $streamkey $streamkey > >"),
    (5, "XACK $streamkey $group ( $entryid )+"),
    (2, "XPENDING $streamkey $group"),
    (4, "XPENDING $streamkey $group ( IDLE $wait | ) $border $border $small ( $consumer | )"),
    (
        4,
        "XCLAIM $streamkey $group $consumer $wait ( $entryid )+ ( IDLE $small | TIME $unixms | ) ( RETRYCOUNT $small | ) ( FORCE | ) ( JUSTID | ) ( LASTID $entryid | )",
    ),
    (4, "XAUTOCLAIM $streamkey $group $consumer $wait $border ( COUNT $small | ) ( JUSTID | )"),
    (2, "XINFO STREAM $streamkey ( FULL | FULL COUNT $small | | )"),
    (2, "XINFO GROUPS $streamkey"),
    (1, "XINFO CONSUMERS $streamkey $group"),
    // hashes
    (9, "HSET $hash ( $field $value )+"),
    (2, "HMSET $hash ( $field $value )+"),
    (3, "HSETNX $hash $field $value"),
    (4, "HGET $hash $field"),
    (3, "HMGET $hash ( $field )+"),
    (3, "HGETALL $hash"),
    (2, "HKEYS $hash"),
    (2, "HVALS $hash"),
    (2, "HLEN $hash"),
    (2, "HSTRLEN $hash $field"),
    (2, "HEXISTS $hash $field"),
    (4, "HDEL $hash ( $field )+"),
    (4, "HINCRBY $hash $field $integer"),
    (4, "HINCRBYFLOAT $hash $field $float"),
    (2, "HRANDFIELD $hash ( $index ( WITHVALUES | ) | )"),
    (2, "HSCAN $hash 0 ( MATCH $pattern | ) ( COUNT $small | )"),
    // keys
    (4, "DEL ( $key )+"),
    (2, "UNLINK ( $key )+"),
    (3, "EXISTS ( $key )+"),
    (2, "TOUCH ( $key )+"),
    (2, "TYPE $key"),
    (1, "KEYS $pattern"),
    (1, "RANDOMKEY"),
    (4, "RENAME $key $key"),
    (3, "RENAMENX $key $key"),
    (2, "MOVE $key $database"),
    (3, "RESTORE $key ( 0 | $ms ) $payload ( REPLACE | ) ( IDLETIME $small | FREQ $small | )"),
    (1, "RESTORE $key ( $futurems | $unixms ) $payload ABSTTL ( REPLACE | )"),
    (4, "COPY $key $key ( DB $database | ) ( REPLACE | )"),
    (1, "SCAN 0 ( MATCH $pattern | ) ( COUNT $small | ) ( TYPE $kind | )"),
    (3, "EXPIRE $key $seconds ( NX | XX | GT | LT | NX XX | XX GT | GT LT | )"),
    (3, "PEXPIRE $key $ms ( NX | XX | GT | LT | XX LT | NX GT | )"),
    (3, "EXPIREAT $key $unix ( NX | XX | GT | LT | )"),
    (3, "PEXPIREAT $key $unixms ( NX | XX | GT | LT | )"),
    (2, "TTL $key"),
    (2, "PTTL $key"),
    (2, "EXPIRETIME $key"),
    (2, "PEXPIRETIME $key"),
    (2, "PERSIST $key"),
    (3, "OBJECT ENCODING $key"),
    // Not REFCOUNT: it counts references that Redis itself holds for the moment.
    (1, "OBJECT ( FREQ | IDLETIME ) $key"),
    // transactions
    (4, "MULTI"),
    (3, "EXEC"),
    (1, "DISCARD"),
    (4, "WATCH ( $key )+"),
    (1, "UNWATCH"),
    // connection and server
    (1, "PING ( $value | )"),
    (1, "ECHO $value"),
    // messages, without subscribers: their messages would stand between replies
    (1, "( PUBLISH | SPUBLISH ) $key $value"),
    (1, "PUBSUB ( NUMPAT | CHANNELS | CHANNELS $key | SHARDCHANNELS | CHANNELS a b | NUMPAT a )"),
    (1, "PUBSUB ( NUMSUB | SHARDNUMSUB ) ( $key | $key $key | )"),
    (1, "CLIENT ( GETREDIR | TRACKINGINFO | CACHING YES | TRACKING OFF | TRACKING ON PREFIX a )"),
    (2, "SELECT $database"),
    (1, "SWAPDB $database $database"),
    (2, "DBSIZE"),
    (1, "FLUSHDB ( ASYNC | SYNC | )"),
    (1, "FLUSHALL ( ASYNC | SYNC | )"),
    (1, "TIME"),
    (1, "RESET"),
    (1, "HELLO ( 2 | 3 | 4 | x | ) "),
    (1, "CLIENT ( ID | GETNAME | SETNAME $word )"),
    (1, "CLIENT UNBLOCK 99999999 ( TIMEOUT | ERROR | )"),
    (1, "CLIENT NO-EVICT ( on | off | x )"),
    (
        1,
        "COMMAND GETKEYS ( SET k v | XREAD COUNT 1 STREAMS a b 0 0 | XREADGROUP GROUP g c STREAMS a > | MSET a b c d | BITOP AND a b c | GET k | PING x | nosuch a )",
    ),
    (1, "COMMAND GETKEYSANDFLAGS ( SET k v | GET k | COPY a b | RENAME a b | DEL a b )"),
    (1, "MEMORY USAGE $key"),
    (1, "AUTH $word"),
    (1, "AUTH $word $word"),
    (1, "READONLY"),
    (1, "$word ( $value )+"),
];

/// Subscriptions to what nobody publishes: messages would stand between replies. Each channel is answered apart.
#[allow(dead_code, reason = "not every test that uses the grammar counts replies")]
pub const SUBSCRIPTIONS: &[(u32, &str)] = &[
    (3, "( SUBSCRIBE | PSUBSCRIBE | SSUBSCRIBE ) ( $channel )+"),
    (3, "( UNSUBSCRIBE | PUNSUBSCRIBE | SUNSUBSCRIBE ) ( ( $channel )+ | )"),
    (2, "PUBSUB ( NUMSUB | SHARDNUMSUB ) ( $channel )+"),
];

/// Commands and options newer than the Redis of the distribution; Skerry is compared with itself there.
#[allow(dead_code, reason = "not every test that uses the grammar sends them")]
pub const NEWER_COMMANDS: &[(u32, &str)] = &[
    (6, "SET $key $value ( IFEQ | IFNE ) $value ( GET | ) ( EX $seconds | PXAT $futurems | KEEPTTL | )"),
    (3, "SET $key $value ( IFDEQ | IFDNE ) $digest ( GET | )"),
    (3, "DIGEST $key"),
    (4, "DELEX $key ( IFEQ $value | IFNE $value | IFDEQ $digest | IFDNE $digest | )"),
    (4, "MSETEX 2 $key $value $key $value ( NX | XX | ) ( EX $seconds | PXAT $futurems | KEEPTTL | )"),
    (2, "MSETEX ( 1 | 3 | 0 | x ) $key $value $key $value $key $value ( NX | )"),
    (4, "BITOP ( DIFF | DIFF1 | ANDOR | ONE ) $key ( $key )+"),
    (4, "HEXPIREAT $hash $future ( NX | XX | GT | LT | ) FIELDS 2 $field $field"),
    (4, "HPEXPIREAT $hash $futurems ( NX | XX | GT | LT | x | ) FIELDS ( 1 | 2 ) $field"),
    (4, "( HEXPIRETIME | HPEXPIRETIME ) $hash FIELDS 2 $field $field"),
    (4, "HEXPIRE $hash $seconds ( NX | XX | GT | LT | x | ) FIELDS ( 1 | 2 ) $field"),
    (4, "HPEXPIRE $hash $ms ( NX | XX | GT | LT | ) FIELDS 2 $field $field"),
    (3, "( HTTL | HPTTL ) $hash FIELDS 2 $field $field"),
    (2, "HPERSIST $hash FIELDS 2 $field $field"),
    (2, "HGETDEL $hash FIELDS 2 $field $field"),
    (3, "HGETEX $hash ( PXAT $futurems | EXAT $future | PERSIST | ) FIELDS 2 $field $field"),
    (4, "HSETEX $hash ( FNX | FXX | ) ( PXAT $futurems | KEEPTTL | ) FIELDS 2 $field $value $field $value"),
    (1, "HSCAN $hash 0 NOVALUES"),
    (
        4,
        "XADD $streamkey ( KEEPREF | DELREF | ACKED ) ( MAXLEN | MAXLEN = | MAXLEN ~ ) $length ( LIMIT $small | ) $newid $value $value",
    ),
    (
        3,
        "XTRIM $streamkey ( MAXLEN | MAXLEN = | MAXLEN ~ ) $length ( LIMIT $small | ) ( KEEPREF | DELREF | ACKED | ACKED DELREF )",
    ),
    (3, "XTRIM $streamkey ( MINID | MINID = | MINID ~ ) $entryid ( KEEPREF | DELREF | ACKED )"),
    (4, "XDELEX $streamkey ( KEEPREF | DELREF | ACKED | ) IDS ( 2 | 2 | 1 ) $entryid $entryid"),
    (4, "XACKDEL $streamkey $group ( KEEPREF | DELREF | ACKED | ) IDS ( 2 | 2 | 3 ) $entryid $entryid"),
    (3, "( ZRANK | ZREVRANK ) $key $member ( WITHSCORE | WITHSCORE x | x )"),
];

/// One part of a form.
#[derive(Debug)]
pub enum Part {
    /// Stands as it is.
    Literal(&'static str),
    /// A random argument of a kind.
    Argument(&'static str),
    /// One of several sequences.
    Choice(Vec<Vec<Part>>),
    /// The choice, one to four times.
    Repeat(Vec<Vec<Part>>),
}

/// Reads a form; fails the test when a bracket is missing.
pub fn parse(form: &'static str) -> Vec<Part> {
    let mut words = form.split_ascii_whitespace();
    let (mut alternatives, end) = alternatives(&mut words);
    assert!(end.is_none() && alternatives.len() == 1, "brackets in {form}");
    alternatives.remove(0)
}

fn alternatives(words: &mut dyn Iterator<Item = &'static str>) -> (Vec<Vec<Part>>, Option<&'static str>) {
    let mut all = vec![Vec::new()];
    while let Some(word) = words.next() {
        let part = match word {
            "|" => {
                all.push(Vec::new());
                continue;
            }
            ")" | ")+" => return (all, Some(word)),
            "(" => match alternatives(words) {
                (choices, Some(")+")) => Part::Repeat(choices),
                (choices, _) => Part::Choice(choices),
            },
            _ => word.strip_prefix('$').map_or(Part::Literal(word), Part::Argument),
        };
        all.last_mut().expect("never empty").push(part);
    }
    (all, None)
}
