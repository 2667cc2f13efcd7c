//! The syntax of the commands for places.

use super::table::Family;
use super::{block, double, integer, key, one_of, string, token};

pub(super) const GEO: Family = &[
    (
        "geoadd",
        &[
            key("key", 0),
            one_of("condition", &[token("nx", "NX"), token("xx", "XX")]).optional().since("6.2.0"),
            token("change", "CH").optional().since("6.2.0"),
            block("data", &[double("longitude"), double("latitude"), string("member")]).multiple(),
        ],
    ),
    (
        "geodist",
        &[
            key("key", 0),
            string("member1"),
            string("member2"),
            one_of("unit", &[token("m", "m"), token("km", "km"), token("ft", "ft"), token("mi", "mi")])
                .optional(),
        ],
    ),
    ("geohash", &[key("key", 0), string("member").multiple().optional()]),
    ("geopos", &[key("key", 0), string("member").multiple().optional()]),
    (
        "georadius",
        &[
            key("key", 0),
            double("longitude"),
            double("latitude"),
            double("radius"),
            one_of("unit", &[token("m", "m"), token("km", "km"), token("ft", "ft"), token("mi", "mi")]),
            token("withcoord", "WITHCOORD").optional(),
            token("withdist", "WITHDIST").optional(),
            token("withhash", "WITHHASH").optional(),
            block(
                "count-block",
                &[integer("count").after("COUNT"), token("any", "ANY").optional().since("6.2.0")],
            )
            .optional(),
            one_of("order", &[token("asc", "ASC"), token("desc", "DESC")]).optional(),
            one_of(
                "store",
                &[
                    key("storekey", 1).after("STORE").shown_as("key"),
                    key("storedistkey", 2).after("STOREDIST").shown_as("key"),
                ],
            )
            .optional(),
        ],
    ),
    (
        "georadius_ro",
        &[
            key("key", 0),
            double("longitude"),
            double("latitude"),
            double("radius"),
            one_of("unit", &[token("m", "m"), token("km", "km"), token("ft", "ft"), token("mi", "mi")]),
            token("withcoord", "WITHCOORD").optional(),
            token("withdist", "WITHDIST").optional(),
            token("withhash", "WITHHASH").optional(),
            block(
                "count-block",
                &[integer("count").after("COUNT"), token("any", "ANY").optional().since("6.2.0")],
            )
            .optional(),
            one_of("order", &[token("asc", "ASC"), token("desc", "DESC")]).optional(),
        ],
    ),
    (
        "georadiusbymember",
        &[
            key("key", 0),
            string("member"),
            double("radius"),
            one_of("unit", &[token("m", "m"), token("km", "km"), token("ft", "ft"), token("mi", "mi")]),
            token("withcoord", "WITHCOORD").optional(),
            token("withdist", "WITHDIST").optional(),
            token("withhash", "WITHHASH").optional(),
            block("count-block", &[integer("count").after("COUNT"), token("any", "ANY").optional()])
                .optional(),
            one_of("order", &[token("asc", "ASC"), token("desc", "DESC")]).optional(),
            one_of(
                "store",
                &[
                    key("storekey", 1).after("STORE").shown_as("key"),
                    key("storedistkey", 2).after("STOREDIST").shown_as("key"),
                ],
            )
            .optional(),
        ],
    ),
    (
        "georadiusbymember_ro",
        &[
            key("key", 0),
            string("member"),
            double("radius"),
            one_of("unit", &[token("m", "m"), token("km", "km"), token("ft", "ft"), token("mi", "mi")]),
            token("withcoord", "WITHCOORD").optional(),
            token("withdist", "WITHDIST").optional(),
            token("withhash", "WITHHASH").optional(),
            block("count-block", &[integer("count").after("COUNT"), token("any", "ANY").optional()])
                .optional(),
            one_of("order", &[token("asc", "ASC"), token("desc", "DESC")]).optional(),
        ],
    ),
    (
        "geosearch",
        &[
            key("key", 0),
            one_of(
                "from",
                &[
                    string("member").after("FROMMEMBER"),
                    block("fromlonlat", &[double("longitude"), double("latitude")]).after("FROMLONLAT"),
                ],
            ),
            one_of(
                "by",
                &[
                    block(
                        "circle",
                        &[
                            double("radius").after("BYRADIUS"),
                            one_of(
                                "unit",
                                &[token("m", "m"), token("km", "km"), token("ft", "ft"), token("mi", "mi")],
                            ),
                        ],
                    ),
                    block(
                        "box",
                        &[
                            double("width").after("BYBOX"),
                            double("height"),
                            one_of(
                                "unit",
                                &[token("m", "m"), token("km", "km"), token("ft", "ft"), token("mi", "mi")],
                            ),
                        ],
                    ),
                ],
            ),
            one_of("order", &[token("asc", "ASC"), token("desc", "DESC")]).optional(),
            block("count-block", &[integer("count").after("COUNT"), token("any", "ANY").optional()])
                .optional(),
            token("withcoord", "WITHCOORD").optional(),
            token("withdist", "WITHDIST").optional(),
            token("withhash", "WITHHASH").optional(),
        ],
    ),
    (
        "geosearchstore",
        &[
            key("destination", 0),
            key("source", 1),
            one_of(
                "from",
                &[
                    string("member").after("FROMMEMBER"),
                    block("fromlonlat", &[double("longitude"), double("latitude")]).after("FROMLONLAT"),
                ],
            ),
            one_of(
                "by",
                &[
                    block(
                        "circle",
                        &[
                            double("radius").after("BYRADIUS"),
                            one_of(
                                "unit",
                                &[token("m", "m"), token("km", "km"), token("ft", "ft"), token("mi", "mi")],
                            ),
                        ],
                    ),
                    block(
                        "box",
                        &[
                            double("width").after("BYBOX"),
                            double("height"),
                            one_of(
                                "unit",
                                &[token("m", "m"), token("km", "km"), token("ft", "ft"), token("mi", "mi")],
                            ),
                        ],
                    ),
                ],
            ),
            one_of("order", &[token("asc", "ASC"), token("desc", "DESC")]).optional(),
            block("count-block", &[integer("count").after("COUNT"), token("any", "ANY").optional()])
                .optional(),
            token("storedist", "STOREDIST").optional(),
        ],
    ),
];
