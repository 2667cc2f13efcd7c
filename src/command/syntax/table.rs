//! The syntax of every command that takes arguments, family by family; facts of Redis 7.2 but where a later version is
//! named.

use super::geo::GEO;
use super::hash::HASH;
use super::list::LIST;
use super::sorted_set::SORTED_SET;
use super::stream::STREAM;
use super::{Argument, block, double, integer, key, one_of, pattern, string, token, unix_time};

/// Commands by full name, and their arguments.
pub(super) type Family = &'static [(&'static str, &'static [Argument])];

pub(super) const FAMILIES: &[Family] = &[
    BITMAP,
    CLUSTER,
    CONNECTION,
    GENERIC,
    GEO,
    HASH,
    HYPERLOGLOG,
    LIST,
    PUBSUB,
    SERVER,
    SET,
    SORTED_SET,
    STREAM,
    STRING,
    TRANSACTIONS,
];

const BITMAP: Family = &[
    (
        "bitcount",
        &[
            key("key", 0),
            block(
                "range",
                &[
                    integer("start"),
                    integer("end"),
                    one_of("unit", &[token("byte", "BYTE"), token("bit", "BIT")]).optional().since("7.0.0"),
                ],
            )
            .optional(),
        ],
    ),
    (
        "bitfield",
        &[
            key("key", 0),
            one_of(
                "operation",
                &[
                    block("get-block", &[string("encoding"), integer("offset")]).after("GET"),
                    block(
                        "write",
                        &[
                            one_of(
                                "overflow-block",
                                &[token("wrap", "WRAP"), token("sat", "SAT"), token("fail", "FAIL")],
                            )
                            .after("OVERFLOW")
                            .optional(),
                            one_of(
                                "write-operation",
                                &[
                                    block(
                                        "set-block",
                                        &[string("encoding"), integer("offset"), integer("value")],
                                    )
                                    .after("SET"),
                                    block(
                                        "incrby-block",
                                        &[string("encoding"), integer("offset"), integer("increment")],
                                    )
                                    .after("INCRBY"),
                                ],
                            ),
                        ],
                    ),
                ],
            )
            .optional()
            .multiple(),
        ],
    ),
    (
        "bitfield_ro",
        &[
            key("key", 0),
            block("get-block", &[string("encoding"), integer("offset")])
                .after("GET")
                .optional()
                .multiple_token(),
        ],
    ),
    (
        "bitop",
        &[
            one_of(
                "operation",
                &[
                    token("and", "AND"),
                    token("or", "OR"),
                    token("xor", "XOR"),
                    token("not", "NOT"),
                    token("diff", "DIFF").since("8.2.0"),
                    token("diff1", "DIFF1").since("8.2.0"),
                    token("andor", "ANDOR").since("8.2.0"),
                    token("one", "ONE").since("8.2.0"),
                ],
            ),
            key("destkey", 0),
            key("key", 1).multiple(),
        ],
    ),
    (
        "bitpos",
        &[
            key("key", 0),
            integer("bit"),
            block(
                "range",
                &[
                    integer("start"),
                    block(
                        "end-unit-block",
                        &[
                            integer("end"),
                            one_of("unit", &[token("byte", "BYTE"), token("bit", "BIT")])
                                .optional()
                                .since("7.0.0"),
                        ],
                    )
                    .optional(),
                ],
            )
            .optional(),
        ],
    ),
    ("getbit", &[key("key", 0), integer("offset")]),
    ("setbit", &[key("key", 0), integer("offset"), integer("value")]),
];

const CLUSTER: Family = &[
    ("cluster|countkeysinslot", &[integer("slot")]),
    ("cluster|getkeysinslot", &[integer("slot"), integer("count")]),
    ("cluster|keyslot", &[string("key")]),
];

const CONNECTION: Family = &[
    ("auth", &[string("username").optional().since("6.0.0"), string("password")]),
    ("client|caching", &[one_of("mode", &[token("yes", "YES"), token("no", "NO")])]),
    (
        "client|kill",
        &[one_of(
            "filter",
            &[
                string("old-format").shown_as("ip:port").deprecated("2.8.12"),
                one_of(
                    "new-format",
                    &[
                        integer("client-id").after("ID").optional().since("2.8.12"),
                        one_of(
                            "client-type",
                            &[
                                token("normal", "normal"),
                                token("master", "master").since("3.2.0"),
                                token("slave", "slave"),
                                token("replica", "replica").since("5.0.0"),
                                token("pubsub", "pubsub"),
                            ],
                        )
                        .after("TYPE")
                        .optional()
                        .since("2.8.12"),
                        string("username").after("USER").optional(),
                        string("addr").after("ADDR").shown_as("ip:port").optional(),
                        string("laddr").after("LADDR").shown_as("ip:port").optional().since("6.2.0"),
                        one_of("skipme", &[token("yes", "YES"), token("no", "NO")])
                            .after("SKIPME")
                            .optional(),
                        integer("maxage").after("MAXAGE").optional().since("7.4.0"),
                    ],
                )
                .multiple(),
            ],
        )],
    ),
    (
        "client|list",
        &[
            one_of(
                "client-type",
                &[
                    token("normal", "normal"),
                    token("master", "master"),
                    token("replica", "replica"),
                    token("pubsub", "pubsub"),
                ],
            )
            .after("TYPE")
            .optional()
            .since("5.0.0"),
            integer("client-id").after("ID").optional().multiple().since("6.2.0"),
        ],
    ),
    ("client|no-evict", &[one_of("enabled", &[token("on", "ON"), token("off", "OFF")])]),
    ("client|no-touch", &[one_of("enabled", &[token("on", "ON"), token("off", "OFF")])]),
    (
        "client|pause",
        &[
            integer("timeout"),
            one_of("mode", &[token("write", "WRITE"), token("all", "ALL")]).optional().since("6.2.0"),
        ],
    ),
    ("client|reply", &[one_of("action", &[token("on", "ON"), token("off", "OFF"), token("skip", "SKIP")])]),
    (
        "client|setinfo",
        &[one_of("attr", &[string("libname").after("lib-name"), string("libver").after("lib-ver")])],
    ),
    ("client|setname", &[string("connection-name")]),
    (
        "client|tracking",
        &[
            one_of("status", &[token("on", "ON"), token("off", "OFF")]),
            integer("client-id").after("REDIRECT").optional(),
            string("prefix").after("PREFIX").optional().multiple().multiple_token(),
            token("bcast", "BCAST").optional(),
            token("optin", "OPTIN").optional(),
            token("optout", "OPTOUT").optional(),
            token("noloop", "NOLOOP").optional(),
        ],
    ),
    (
        "client|unblock",
        &[
            integer("client-id"),
            one_of("unblock-type", &[token("timeout", "TIMEOUT"), token("error", "ERROR")]).optional(),
        ],
    ),
    ("echo", &[string("message")]),
    (
        "hello",
        &[block(
            "arguments",
            &[
                integer("protover"),
                block("auth", &[string("username"), string("password")]).after("AUTH").optional(),
                string("clientname").after("SETNAME").optional(),
            ],
        )
        .optional()],
    ),
    ("ping", &[string("message").optional()]),
    ("select", &[integer("index")]),
];

const BY_PATTERN: Argument = pattern("by-pattern").shown_as("pattern").after("BY").optional();
const GET_PATTERNS: Argument =
    pattern("get-pattern").shown_as("pattern").after("GET").optional().multiple_token();
const SORT_LIMIT: Argument = block("limit", &[integer("offset"), integer("count")]).after("LIMIT").optional();
const SORT_ORDER: Argument = one_of("order", &[token("asc", "ASC"), token("desc", "DESC")]).optional();

const GENERIC: Family = &[
    (
        "copy",
        &[
            key("source", 0),
            key("destination", 1),
            integer("destination-db").after("DB").optional(),
            token("replace", "REPLACE").optional(),
        ],
    ),
    ("del", &[key("key", 0).multiple()]),
    ("dump", &[key("key", 0)]),
    ("exists", &[key("key", 0).multiple()]),
    (
        "expire",
        &[
            key("key", 0),
            integer("seconds"),
            one_of(
                "condition",
                &[token("nx", "NX"), token("xx", "XX"), token("gt", "GT"), token("lt", "LT")],
            )
            .optional()
            .since("7.0.0"),
        ],
    ),
    (
        "expireat",
        &[
            key("key", 0),
            unix_time("unix-time-seconds"),
            one_of(
                "condition",
                &[token("nx", "NX"), token("xx", "XX"), token("gt", "GT"), token("lt", "LT")],
            )
            .optional()
            .since("7.0.0"),
        ],
    ),
    ("expiretime", &[key("key", 0)]),
    ("keys", &[pattern("pattern")]),
    (
        "migrate",
        &[
            string("host"),
            integer("port"),
            one_of("key-selector", &[key("key", 0), token("empty-string", "\"\"")]),
            integer("destination-db"),
            integer("timeout"),
            token("copy", "COPY").optional().since("3.0.0"),
            token("replace", "REPLACE").optional().since("3.0.0"),
            one_of(
                "authentication",
                &[
                    string("auth").shown_as("password").after("AUTH").since("4.0.7"),
                    block("auth2", &[string("username"), string("password")]).after("AUTH2").since("6.0.0"),
                ],
            )
            .optional(),
            key("keys", 1).shown_as("key").after("KEYS").optional().multiple().since("3.0.6"),
        ],
    ),
    ("move", &[key("key", 0), integer("db")]),
    ("object|encoding", &[key("key", 0)]),
    ("object|freq", &[key("key", 0)]),
    ("object|idletime", &[key("key", 0)]),
    ("object|refcount", &[key("key", 0)]),
    ("persist", &[key("key", 0)]),
    (
        "pexpire",
        &[
            key("key", 0),
            integer("milliseconds"),
            one_of(
                "condition",
                &[token("nx", "NX"), token("xx", "XX"), token("gt", "GT"), token("lt", "LT")],
            )
            .optional()
            .since("7.0.0"),
        ],
    ),
    (
        "pexpireat",
        &[
            key("key", 0),
            unix_time("unix-time-milliseconds"),
            one_of(
                "condition",
                &[token("nx", "NX"), token("xx", "XX"), token("gt", "GT"), token("lt", "LT")],
            )
            .optional()
            .since("7.0.0"),
        ],
    ),
    ("pexpiretime", &[key("key", 0)]),
    ("pttl", &[key("key", 0)]),
    ("rename", &[key("key", 0), key("newkey", 1)]),
    ("renamenx", &[key("key", 0), key("newkey", 1)]),
    ("restore", RESTORE),
    ("restore-asking", RESTORE),
    (
        "scan",
        &[
            integer("cursor"),
            pattern("pattern").after("MATCH").optional(),
            integer("count").after("COUNT").optional(),
            string("type").after("TYPE").optional().since("6.0.0"),
        ],
    ),
    (
        "sort",
        &[
            key("key", 0),
            BY_PATTERN,
            SORT_LIMIT,
            GET_PATTERNS,
            SORT_ORDER,
            token("sorting", "ALPHA").optional(),
            key("destination", 1).after("STORE").optional(),
        ],
    ),
    (
        "sort_ro",
        &[
            key("key", 0),
            BY_PATTERN,
            SORT_LIMIT,
            GET_PATTERNS,
            SORT_ORDER,
            token("sorting", "ALPHA").optional(),
        ],
    ),
    ("touch", &[key("key", 0).multiple()]),
    ("ttl", &[key("key", 0)]),
    ("type", &[key("key", 0)]),
    ("unlink", &[key("key", 0).multiple()]),
    ("wait", &[integer("numreplicas"), integer("timeout")]),
];

const RESTORE: &[Argument] = &[
    key("key", 0),
    integer("ttl"),
    string("serialized-value"),
    token("replace", "REPLACE").optional().since("3.0.0"),
    token("absttl", "ABSTTL").optional().since("5.0.0"),
    integer("seconds").after("IDLETIME").optional().since("5.0.0"),
    integer("frequency").after("FREQ").optional().since("5.0.0"),
];

const HYPERLOGLOG: Family = &[
    ("pfadd", &[key("key", 0), string("element").optional().multiple()]),
    ("pfcount", &[key("key", 0).multiple()]),
    ("pfdebug", &[string("subcommand"), key("key", 0)]),
    ("pfmerge", &[key("destkey", 0), key("sourcekey", 1).optional().multiple()]),
];

const PUBSUB: Family = &[
    ("publish", &[string("channel"), string("message")]),
    ("subscribe", &[string("channel").multiple()]),
    ("unsubscribe", &[string("channel").optional().multiple()]),
    ("psubscribe", &[pattern("pattern").multiple()]),
    ("punsubscribe", &[pattern("pattern").optional().multiple()]),
    ("spublish", &[string("shardchannel"), string("message")]),
    ("ssubscribe", &[string("shardchannel").multiple()]),
    ("sunsubscribe", &[string("shardchannel").optional().multiple()]),
    ("pubsub|channels", &[pattern("pattern").optional()]),
    ("pubsub|numsub", &[string("channel").optional().multiple()]),
    ("pubsub|shardchannels", &[pattern("pattern").optional()]),
    ("pubsub|shardnumsub", &[string("shardchannel").optional().multiple()]),
];

const SERVER: Family = &[
    ("command|docs", &[string("command-name").optional().multiple()]),
    ("command|getkeys", &[string("command"), string("arg").optional().multiple()]),
    ("command|getkeysandflags", &[string("command"), string("arg").optional().multiple()]),
    ("command|info", &[string("command-name").optional().multiple()]),
    (
        "command|list",
        &[one_of(
            "filterby",
            &[
                string("module-name").after("MODULE"),
                string("category").after("ACLCAT"),
                pattern("pattern").after("PATTERN"),
            ],
        )
        .after("FILTERBY")
        .optional()],
    ),
    ("config|get", &[string("parameter").multiple()]),
    ("config|set", &[block("data", &[string("parameter"), string("value")]).multiple()]),
    (
        "flushall",
        &[one_of(
            "flush-type",
            &[token("async", "ASYNC").since("4.0.0"), token("sync", "SYNC").since("6.2.0")],
        )
        .optional()],
    ),
    (
        "flushdb",
        &[one_of(
            "flush-type",
            &[token("async", "ASYNC").since("4.0.0"), token("sync", "SYNC").since("6.2.0")],
        )
        .optional()],
    ),
    (
        "failover",
        &[
            block(
                "target",
                &[string("host").after("TO"), integer("port"), token("force", "FORCE").optional()],
            )
            .optional(),
            token("abort", "ABORT").optional(),
            integer("milliseconds").after("TIMEOUT").optional(),
        ],
    ),
    ("function|flush", &[one_of("flush-type", &[token("async", "ASYNC"), token("sync", "SYNC")]).optional()]),
    ("info", &[string("section").optional().multiple()]),
    ("latency|graph", &[string("event")]),
    ("latency|histogram", &[string("COMMAND").optional().multiple()]),
    ("latency|history", &[string("event")]),
    ("latency|reset", &[string("event").optional().multiple()]),
    ("lolwut", &[integer("version").after("VERSION").optional()]),
    ("memory|usage", &[key("key", 0), integer("count").after("SAMPLES").optional()]),
    ("psync", &[string("replicationid"), integer("offset")]),
    ("replicaof", MASTER),
    (
        "shutdown",
        &[
            one_of("save-selector", &[token("nosave", "NOSAVE"), token("save", "SAVE")]).optional(),
            token("now", "NOW").optional().since("7.0.0"),
            token("force", "FORCE").optional().since("7.0.0"),
            token("abort", "ABORT").optional().since("7.0.0"),
        ],
    ),
    ("slaveof", MASTER),
    ("slowlog|get", &[integer("count").optional()]),
    ("swapdb", &[integer("index1"), integer("index2")]),
];

const MASTER: &[Argument] = &[one_of(
    "args",
    &[
        block("host-port", &[string("host"), integer("port")]),
        block("no-one", &[token("no", "NO"), token("one", "ONE")]),
    ],
)];

const SET: Family = &[
    ("sadd", &[key("key", 0), string("member").multiple()]),
    ("scard", &[key("key", 0)]),
    ("sdiff", &[key("key", 0).multiple()]),
    ("sdiffstore", &[key("destination", 0), key("key", 1).multiple()]),
    ("sinter", &[key("key", 0).multiple()]),
    (
        "sintercard",
        &[integer("numkeys"), key("key", 0).multiple(), integer("limit").after("LIMIT").optional()],
    ),
    ("sinterstore", &[key("destination", 0), key("key", 1).multiple()]),
    ("sismember", &[key("key", 0), string("member")]),
    ("smembers", &[key("key", 0)]),
    ("smismember", &[key("key", 0), string("member").multiple()]),
    ("smove", &[key("source", 0), key("destination", 1), string("member")]),
    ("spop", &[key("key", 0), integer("count").optional().since("3.2.0")]),
    ("srandmember", &[key("key", 0), integer("count").optional().since("2.6.0")]),
    ("srem", &[key("key", 0), string("member").multiple()]),
    (
        "sscan",
        &[
            key("key", 0),
            integer("cursor"),
            pattern("pattern").after("MATCH").optional(),
            integer("count").after("COUNT").optional(),
        ],
    ),
    ("sunion", &[key("key", 0).multiple()]),
    ("sunionstore", &[key("destination", 0), key("key", 1).multiple()]),
];

const STRING: Family = &[
    ("append", &[key("key", 0), string("value")]),
    ("decr", &[key("key", 0)]),
    ("decrby", &[key("key", 0), integer("decrement")]),
    (
        "delex",
        &[
            key("key", 0),
            one_of(
                "condition",
                &[
                    string("ifeq-value").after("IFEQ"),
                    string("ifne-value").after("IFNE"),
                    string("ifdeq-digest").after("IFDEQ"),
                    string("ifdne-digest").after("IFDNE"),
                ],
            )
            .optional(),
        ],
    ),
    ("digest", &[key("key", 0)]),
    ("get", &[key("key", 0)]),
    ("getdel", &[key("key", 0)]),
    (
        "getex",
        &[
            key("key", 0),
            one_of(
                "expiration",
                &[
                    integer("seconds").after("EX"),
                    integer("milliseconds").after("PX"),
                    unix_time("unix-time-seconds").after("EXAT"),
                    unix_time("unix-time-milliseconds").after("PXAT"),
                    token("persist", "PERSIST"),
                ],
            )
            .optional(),
        ],
    ),
    ("getrange", &[key("key", 0), integer("start"), integer("end")]),
    ("getset", &[key("key", 0), string("value")]),
    ("incr", &[key("key", 0)]),
    ("incrby", &[key("key", 0), integer("increment")]),
    ("incrbyfloat", &[key("key", 0), double("increment")]),
    (
        "lcs",
        &[
            key("key1", 0),
            key("key2", 0),
            token("len", "LEN").optional(),
            token("idx", "IDX").optional(),
            integer("min-match-len").after("MINMATCHLEN").optional(),
            token("withmatchlen", "WITHMATCHLEN").optional(),
        ],
    ),
    ("mget", &[key("key", 0).multiple()]),
    ("mset", &[block("data", &[key("key", 0), string("value")]).multiple()]),
    (
        "msetex",
        &[
            integer("numkeys"),
            block("data", &[key("key", 0), string("value")]).multiple(),
            one_of("condition", &[token("nx", "NX"), token("xx", "XX")]).optional(),
            one_of(
                "expiration",
                &[
                    integer("seconds").after("EX"),
                    integer("milliseconds").after("PX"),
                    unix_time("unix-time-seconds").after("EXAT"),
                    unix_time("unix-time-milliseconds").after("PXAT"),
                    token("keepttl", "KEEPTTL"),
                ],
            )
            .optional(),
        ],
    ),
    ("msetnx", &[block("data", &[key("key", 0), string("value")]).multiple()]),
    ("psetex", &[key("key", 0), integer("milliseconds"), string("value")]),
    (
        "set",
        &[
            key("key", 0),
            string("value"),
            one_of(
                "condition",
                &[
                    token("nx", "NX"),
                    token("xx", "XX"),
                    string("ifeq-value").after("IFEQ").since("8.4.0"),
                    string("ifne-value").after("IFNE").since("8.4.0"),
                    string("ifdeq-digest").after("IFDEQ").since("8.4.0"),
                    string("ifdne-digest").after("IFDNE").since("8.4.0"),
                ],
            )
            .optional()
            .since("2.6.12"),
            token("get", "GET").optional().since("6.2.0"),
            one_of(
                "expiration",
                &[
                    integer("seconds").after("EX").since("2.6.12"),
                    integer("milliseconds").after("PX").since("2.6.12"),
                    unix_time("unix-time-seconds").after("EXAT").since("6.2.0"),
                    unix_time("unix-time-milliseconds").after("PXAT").since("6.2.0"),
                    token("keepttl", "KEEPTTL").since("6.0.0"),
                ],
            )
            .optional(),
        ],
    ),
    ("setex", &[key("key", 0), integer("seconds"), string("value")]),
    ("setnx", &[key("key", 0), string("value")]),
    ("setrange", &[key("key", 0), integer("offset"), string("value")]),
    ("strlen", &[key("key", 0)]),
    ("substr", &[key("key", 0), integer("start"), integer("end")]),
];

const TRANSACTIONS: Family = &[("watch", &[key("key", 0).multiple()])];
