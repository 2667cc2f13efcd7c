//! MEMORY: how memory is used.

use super::info::MemoryFigures;
use super::{ALL_SHARDS_SPECIAL, ANYTIME, row};
use crate::command::Command;
use crate::command::generic::MEMORY_USAGE;
use crate::command::home::{Ask, HomeContext, Then};
use crate::resp::Reply;
use crate::state::counters::ShardCounters;

const SLOW: &str = "Depends on how much memory is allocated, could be slow";

pub(super) const COMMANDS: &[Command] = &[
    row("memory|doctor", 2, doctor)
        .docs("4.0.0", "Explains what is wrong with the use of memory.", "O(1)")
        .tips(ALL_SHARDS_SPECIAL),
    row("memory|help", 2, help).flags(ANYTIME).docs("4.0.0", "Lists the subcommands.", "O(1)"),
    row("memory|malloc-stats", 2, allocator_statistics)
        .docs("4.0.0", "Tells what the allocator says of itself.", SLOW)
        .tips(ALL_SHARDS_SPECIAL),
    row("memory|purge", 2, purge)
        .docs("4.0.0", "Has the allocator give memory back to the system.", SLOW)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    row("memory|stats", 2, stats)
        .docs("4.0.0", "Tells what memory is used for.", "O(1)")
        .tips(ALL_SHARDS_SPECIAL),
    MEMORY_USAGE,
];

const HELP: &[&str] = &[
    "DOCTOR",
    "    Explain in words what is wrong with the use of memory.",
    "MALLOC-STATS",
    "    Tell what the allocator says of itself.",
    "PURGE",
    "    Have the allocator give memory back to the system.",
    "STATS",
    "    Tell what memory is used for.",
    "USAGE <key> [SAMPLES <count>]",
    "    Return how many bytes <key> and its value take. Of nested values up to <count>",
    "    are looked at (5 when not given, all for 0).",
];

fn help(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    home.reply.help("memory", HELP);
    Then::Done
}

fn allocator_statistics(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    home.reply.bulk(b"Stats not supported for the current allocator");
    Then::Done
}

fn purge(_: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    Then::Ask(Ask::MemoryPurge)
}

fn stats(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    let totals = home.server.totals();
    let figures = MemoryFigures::of(home.server, &totals);
    let databases: Vec<usize> =
        (0..home.config.databases).filter(|&index| keys_in(&home.server.shards[..], index) > 0).collect();
    let excess = figures.resident as i64 - figures.used as i64;
    let reply = &mut home.reply;
    reply.map(27 + databases.len());
    integer(reply, "peak.allocated", figures.peak as i64);
    integer(reply, "total.allocated", figures.used as i64);
    integer(reply, "startup.allocated", figures.startup as i64);
    integer(reply, "replication.backlog", 0);
    integer(reply, "clients.slaves", 0);
    integer(reply, "clients.normal", totals.client_bytes as i64);
    integer(reply, "cluster.links", 0);
    integer(reply, "aof.buffer", 0);
    integer(reply, "lua.caches", 0);
    integer(reply, "functions.caches", 0);
    for index in databases {
        let share = keys_in(&home.server.shards[..], index) as f64 / totals.keys.max(1) as f64;
        reply.bulk(format!("db.{index}").as_bytes());
        reply.map(3);
        integer(reply, "overhead.hashtable.main", (totals.table_bytes as f64 * share) as i64);
        integer(reply, "overhead.hashtable.expires", 0);
        integer(reply, "overhead.hashtable.slot-to-keys", 0);
    }
    integer(reply, "overhead.total", figures.overhead as i64);
    integer(reply, "keys.count", totals.keys as i64);
    let per_key = figures.used.saturating_sub(figures.startup).checked_div(totals.keys).unwrap_or(0);
    integer(reply, "keys.bytes-per-key", per_key as i64);
    integer(reply, "dataset.bytes", figures.dataset as i64);
    double(reply, "dataset.percentage", figures.dataset_percent);
    double(reply, "peak.percentage", figures.peak_percent);
    integer(reply, "allocator.allocated", figures.used as i64);
    integer(reply, "allocator.active", figures.resident as i64);
    integer(reply, "allocator.resident", figures.resident as i64);
    double(reply, "allocator-fragmentation.ratio", figures.resident_ratio());
    integer(reply, "allocator-fragmentation.bytes", excess.max(0));
    double(reply, "allocator-rss.ratio", 1.0);
    integer(reply, "allocator-rss.bytes", 0);
    double(reply, "rss-overhead.ratio", 1.0);
    integer(reply, "rss-overhead.bytes", 0);
    double(reply, "fragmentation", figures.resident_ratio());
    integer(reply, "fragmentation.bytes", excess);
    Then::Done
}

fn keys_in<C: std::ops::Deref<Target = ShardCounters>>(shards: &[C], database: usize) -> u64 {
    shards.iter().filter_map(|shard| shard.databases.get(database)).map(|register| register.keys.get()).sum()
}

fn integer(reply: &mut Reply<'_>, name: &str, value: i64) {
    reply.bulk(name.as_bytes());
    reply.int(value);
}

fn double(reply: &mut Reply<'_>, name: &str, value: f64) {
    reply.bulk(name.as_bytes());
    reply.double(value);
}

/// Below so many bytes in use nothing can be said.
const TELLING_BYTES: u64 = 5 << 20;

fn doctor(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    let figures = MemoryFigures::of(home.server, &home.server.totals());
    home.reply.verbatim("txt", report(&figures).as_bytes());
    Then::Done
}

fn report(figures: &MemoryFigures) -> String {
    if figures.used < TELLING_BYTES {
        return "So little memory is used that nothing can be said about it. Ask again when there is data.\n"
            .into();
    }
    let mut report = String::new();
    if figures.peak as f64 > 1.5 * figures.used as f64 {
        report.push_str(
            "- Peak: more than one and a half times as much memory was in use before. What the allocator keeps of \
             that it will use again; a high fragmentation ratio is no problem then.\n",
        );
    }
    if figures.resident_ratio() > 1.4 && figures.resident - figures.used > 10 << 20 {
        report.push_str(
            "- Fragmentation: the process has more than 1.4 times as much memory resident as is in use. After a \
             peak that is harmless; otherwise values of many different sizes come and go.\n",
        );
    }
    if report.is_empty() {
        return "Nothing is wrong with the use of memory.\n".into();
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(used: u64, peak: u64, resident: u64) -> MemoryFigures {
        MemoryFigures {
            used,
            resident,
            peak,
            startup: 0,
            overhead: 0,
            dataset: used,
            dataset_percent: 100.0,
            peak_percent: 100.0,
        }
    }

    #[test]
    fn the_doctor_has_three_diagnoses() {
        assert!(report(&figures(1 << 20, 1 << 20, 1 << 20)).starts_with("So little"));
        assert!(report(&figures(1 << 30, 1 << 30, 1 << 30)).starts_with("Nothing"));
        let both = report(&figures(1 << 30, 2 << 30, 2 << 30));
        assert!(both.contains("Peak") && both.contains("Fragmentation"));
    }
}
