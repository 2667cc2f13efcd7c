//! The syntax of the commands for lists.

use super::table::Family;
use super::{Argument, double, integer, key, one_of, string, token};

const ENDS: &[Argument] = &[token("left", "LEFT"), token("right", "RIGHT")];
const TAKEN_COUNT: Argument = integer("count").after("COUNT").optional();

pub(super) const LIST: Family = &[
    (
        "blmove",
        &[
            key("source", 0),
            key("destination", 1),
            one_of("wherefrom", ENDS),
            one_of("whereto", ENDS),
            double("timeout"),
        ],
    ),
    (
        "blmpop",
        &[
            double("timeout"),
            integer("numkeys"),
            key("key", 0).multiple(),
            one_of("where", ENDS),
            TAKEN_COUNT,
        ],
    ),
    ("blpop", &[key("key", 0).multiple(), double("timeout")]),
    ("brpop", &[key("key", 0).multiple(), double("timeout")]),
    ("brpoplpush", &[key("source", 0), key("destination", 1), double("timeout")]),
    ("lindex", &[key("key", 0), integer("index")]),
    (
        "linsert",
        &[
            key("key", 0),
            one_of("where", &[token("before", "BEFORE"), token("after", "AFTER")]),
            string("pivot"),
            string("element"),
        ],
    ),
    ("llen", &[key("key", 0)]),
    ("lmove", &[key("source", 0), key("destination", 1), one_of("wherefrom", ENDS), one_of("whereto", ENDS)]),
    ("lmpop", &[integer("numkeys"), key("key", 0).multiple(), one_of("where", ENDS), TAKEN_COUNT]),
    ("lpop", &[key("key", 0), integer("count").optional().since("6.2.0")]),
    (
        "lpos",
        &[
            key("key", 0),
            string("element"),
            integer("rank").after("RANK").optional(),
            integer("num-matches").after("COUNT").optional(),
            integer("len").after("MAXLEN").optional(),
        ],
    ),
    ("lpush", &[key("key", 0), string("element").multiple()]),
    ("lpushx", &[key("key", 0), string("element").multiple()]),
    ("lrange", &[key("key", 0), integer("start"), integer("stop")]),
    ("lrem", &[key("key", 0), integer("count"), string("element")]),
    ("lset", &[key("key", 0), integer("index"), string("element")]),
    ("ltrim", &[key("key", 0), integer("start"), integer("stop")]),
    ("rpop", &[key("key", 0), integer("count").optional().since("6.2.0")]),
    ("rpoplpush", &[key("source", 0), key("destination", 1)]),
    ("rpush", &[key("key", 0), string("element").multiple()]),
    ("rpushx", &[key("key", 0), string("element").multiple()]),
];
