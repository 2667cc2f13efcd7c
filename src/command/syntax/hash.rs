//! The syntax of the commands for hashes.

use super::table::Family;
use super::{Argument, block, double, integer, key, one_of, pattern, string, token, unix_time};

/// The fields behind FIELDS.
const HASH_FIELDS: Argument =
    block("fields", &[integer("numfields"), string("field").multiple()]).after("FIELDS");

/// When the time to live of a field may be set.
const HASH_CONDITION: Argument =
    one_of("condition", &[token("nx", "NX"), token("xx", "XX"), token("gt", "GT"), token("lt", "LT")])
        .optional();

pub(super) const HASH: Family = &[
    ("hdel", &[key("key", 0), string("field").multiple()]),
    ("hexists", &[key("key", 0), string("field")]),
    ("hexpire", &[key("key", 0), integer("seconds"), HASH_CONDITION, HASH_FIELDS]),
    ("hexpireat", &[key("key", 0), unix_time("unix-time-seconds"), HASH_CONDITION, HASH_FIELDS]),
    ("hexpiretime", &[key("key", 0), HASH_FIELDS]),
    ("hget", &[key("key", 0), string("field")]),
    ("hgetall", &[key("key", 0)]),
    ("hgetdel", &[key("key", 0), HASH_FIELDS]),
    (
        "hgetex",
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
            HASH_FIELDS,
        ],
    ),
    ("hincrby", &[key("key", 0), string("field"), integer("increment")]),
    ("hincrbyfloat", &[key("key", 0), string("field"), double("increment")]),
    ("hkeys", &[key("key", 0)]),
    ("hlen", &[key("key", 0)]),
    ("hmget", &[key("key", 0), string("field").multiple()]),
    ("hmset", &[key("key", 0), block("data", &[string("field"), string("value")]).multiple()]),
    ("hpersist", &[key("key", 0), HASH_FIELDS]),
    ("hpexpire", &[key("key", 0), integer("milliseconds"), HASH_CONDITION, HASH_FIELDS]),
    ("hpexpireat", &[key("key", 0), unix_time("unix-time-milliseconds"), HASH_CONDITION, HASH_FIELDS]),
    ("hpexpiretime", &[key("key", 0), HASH_FIELDS]),
    ("hpttl", &[key("key", 0), HASH_FIELDS]),
    (
        "hrandfield",
        &[
            key("key", 0),
            block("options", &[integer("count"), token("withvalues", "WITHVALUES").optional()]).optional(),
        ],
    ),
    (
        "hscan",
        &[
            key("key", 0),
            integer("cursor"),
            pattern("pattern").after("MATCH").optional(),
            integer("count").after("COUNT").optional(),
            token("novalues", "NOVALUES").optional().since("7.4.0"),
        ],
    ),
    ("hset", &[key("key", 0), block("data", &[string("field"), string("value")]).multiple()]),
    (
        "hsetex",
        &[
            key("key", 0),
            one_of("condition", &[token("fnx", "FNX"), token("fxx", "FXX")]).optional(),
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
            block(
                "fields",
                &[integer("numfields"), block("data", &[string("field"), string("value")]).multiple()],
            )
            .after("FIELDS"),
        ],
    ),
    ("hsetnx", &[key("key", 0), string("field"), string("value")]),
    ("hstrlen", &[key("key", 0), string("field")]),
    ("httl", &[key("key", 0), HASH_FIELDS]),
    ("hvals", &[key("key", 0)]),
];
