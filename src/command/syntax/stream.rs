//! The syntax of the commands of streams; facts of Redis 7.2 but where a later version is named.

use super::table::Family;
use super::{Argument, block, integer, key, one_of, string, token, unix_time};

const TRIM: Argument = block(
    "trim",
    &[
        one_of("strategy", &[token("maxlen", "MAXLEN"), token("minid", "MINID").since("6.2.0")]),
        one_of("operator", &[token("equal", "="), token("approximately", "~")]).optional(),
        string("threshold"),
        integer("count").after("LIMIT").optional().since("6.2.0"),
    ],
);

const REFERENCES: Argument =
    one_of("condition", &[token("keepref", "KEEPREF"), token("delref", "DELREF"), token("acked", "ACKED")])
        .optional();

const COUNTED_IDS: Argument = block("ids", &[integer("numids"), string("id").multiple()]).after("IDS");

const STREAMS: Argument =
    block("streams", &[key("key", 0).multiple(), string("ID").multiple()]).after("STREAMS");

pub(super) const STREAM: Family = &[
    ("xack", &[key("key", 0), string("group"), string("ID").multiple()]),
    ("xackdel", &[key("key", 0), string("group"), REFERENCES, COUNTED_IDS]),
    (
        "xadd",
        &[
            key("key", 0),
            token("nomkstream", "NOMKSTREAM").optional().since("6.2.0"),
            REFERENCES.since("8.2.0"),
            TRIM.optional(),
            one_of("id-selector", &[token("auto-id", "*"), string("id")]),
            block("data", &[string("field"), string("value")]).multiple(),
        ],
    ),
    (
        "xautoclaim",
        &[
            key("key", 0),
            string("group"),
            string("consumer"),
            string("min-idle-time"),
            string("start"),
            integer("count").after("COUNT").optional(),
            token("justid", "JUSTID").optional(),
        ],
    ),
    (
        "xclaim",
        &[
            key("key", 0),
            string("group"),
            string("consumer"),
            string("min-idle-time"),
            string("ID").multiple(),
            integer("ms").after("IDLE").optional(),
            unix_time("unix-time-milliseconds").after("TIME").optional(),
            integer("count").after("RETRYCOUNT").optional(),
            token("force", "FORCE").optional(),
            token("justid", "JUSTID").optional(),
            string("lastid").after("LASTID").optional(),
        ],
    ),
    ("xdel", &[key("key", 0), string("ID").multiple()]),
    ("xdelex", &[key("key", 0), REFERENCES, COUNTED_IDS]),
    (
        "xgroup|create",
        &[
            key("key", 0),
            string("group"),
            one_of("id-selector", &[string("id"), token("new-id", "$")]),
            token("mkstream", "MKSTREAM").optional(),
            integer("entries-read").after("ENTRIESREAD").optional(),
        ],
    ),
    ("xgroup|createconsumer", &[key("key", 0), string("group"), string("consumer")]),
    ("xgroup|delconsumer", &[key("key", 0), string("group"), string("consumer")]),
    ("xgroup|destroy", &[key("key", 0), string("group")]),
    (
        "xgroup|setid",
        &[
            key("key", 0),
            string("group"),
            one_of("id-selector", &[string("id"), token("new-id", "$")]),
            integer("entriesread").shown_as("entries-read").after("ENTRIESREAD").optional(),
        ],
    ),
    ("xinfo|consumers", &[key("key", 0), string("group")]),
    ("xinfo|groups", &[key("key", 0)]),
    (
        "xinfo|stream",
        &[
            key("key", 0),
            block("full-block", &[token("full", "FULL"), integer("count").after("COUNT").optional()])
                .optional(),
        ],
    ),
    ("xlen", &[key("key", 0)]),
    (
        "xpending",
        &[
            key("key", 0),
            string("group"),
            block(
                "filters",
                &[
                    integer("min-idle-time").after("IDLE").optional().since("6.2.0"),
                    string("start"),
                    string("end"),
                    integer("count"),
                    string("consumer").optional(),
                ],
            )
            .optional(),
        ],
    ),
    ("xrange", &[key("key", 0), string("start"), string("end"), integer("count").after("COUNT").optional()]),
    (
        "xread",
        &[
            integer("count").after("COUNT").optional(),
            integer("milliseconds").after("BLOCK").optional(),
            STREAMS,
        ],
    ),
    (
        "xreadgroup",
        &[
            block("group-block", &[string("group"), string("consumer")]).after("GROUP"),
            integer("count").after("COUNT").optional(),
            integer("milliseconds").after("BLOCK").optional(),
            token("noack", "NOACK").optional(),
            STREAMS,
        ],
    ),
    (
        "xrevrange",
        &[key("key", 0), string("end"), string("start"), integer("count").after("COUNT").optional()],
    ),
    (
        "xsetid",
        &[
            key("key", 0),
            string("last-id"),
            integer("entries-added").after("ENTRIESADDED").optional().since("7.0.0"),
            string("max-deleted-id").after("MAXDELETEDID").optional().since("7.0.0"),
        ],
    ),
    ("xtrim", &[key("key", 0), TRIM, REFERENCES.since("8.2.0")]),
];
