//! LATENCY: what took long, by kind of event, and how long commands take.

use std::fmt::Write;

use super::{ADMIN_NO_SCRIPT, ALL_NODES_SPECIAL, ANYTIME, row, statistics};
use crate::command::home::{HomeContext, Then};
use crate::command::{Command, table};
use crate::state::commands::CommandTotals;
use crate::state::latency::{Sample, Series};

/// Columns and rows of a graph.
const GRAPH_COLUMNS: usize = 80;
const GRAPH_ROWS: usize = 4;
/// What a row shows, from empty to full.
const GRAPH_LEVELS: [char; 3] = ['_', 'o', '#'];

pub(super) const COMMANDS: &[Command] = &[
    row("latency|doctor", 2, doctor)
        .flags(ADMIN_NO_SCRIPT)
        .docs("2.8.13", "Explains what took long.", "O(1)")
        .tips(ALL_NODES_SPECIAL),
    row("latency|graph", 3, graph)
        .flags(ADMIN_NO_SCRIPT)
        .docs("2.8.13", "Draws how long events took.", "O(1)")
        .tips(ALL_NODES_SPECIAL),
    row("latency|help", 2, help).flags(ANYTIME).docs("2.8.13", "Lists the subcommands.", "O(1)"),
    row("latency|histogram", -2, histogram)
        .flags(ADMIN_NO_SCRIPT)
        .docs(
            "7.0.0",
            "Counts the calls of commands by how long they took.",
            "O(N) where N is the number of commands with latency information being retrieved.",
        )
        .tips(ALL_NODES_SPECIAL),
    row("latency|history", 3, history)
        .flags(ADMIN_NO_SCRIPT)
        .docs("2.8.13", "Returns when events took long, and how long.", "O(1)")
        .tips(ALL_NODES_SPECIAL),
    row("latency|latest", 2, latest)
        .flags(ADMIN_NO_SCRIPT)
        .docs("2.8.13", "Returns the latest long event of each kind.", "O(1)")
        .tips(ALL_NODES_SPECIAL),
    row("latency|reset", -2, reset)
        .flags(ADMIN_NO_SCRIPT)
        .docs("2.8.13", "Forgets what took long.", "O(1)")
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum"]),
];

const HELP: &[&str] = &[
    "DOCTOR",
    "    Explain in words what took long.",
    "GRAPH <event>",
    "    Draw how long events of the kind <event> took.",
    "HISTORY <event>",
    "    Return when events of the kind <event> took long, and how long.",
    "LATEST",
    "    Return the latest long event of each kind.",
    "RESET [<event> ...]",
    "    Forget the events of these kinds (of all when none is given).",
    "HISTOGRAM [COMMAND ...]",
    "    Count the calls of these commands (of all when none is given) by how long they took.",
];

fn help(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    home.reply.help("latency", HELP);
    Then::Done
}

fn latest(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    let events = home.server.latency.events();
    home.reply.array(events.len());
    for (name, series) in events {
        let last = series.samples.back().copied().unwrap_or(Sample { at_s: 0, millis: 0 });
        home.reply.array(4);
        home.reply.bulk(name.as_bytes());
        home.reply.int(last.at_s);
        home.reply.int(last.millis as i64);
        home.reply.int(series.millis_max as i64);
    }
    Then::Done
}

fn history(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let series = home.server.latency.event(arguments[2]).unwrap_or_default();
    home.reply.array(series.samples.len());
    for sample in series.samples {
        home.reply.array(2);
        home.reply.int(sample.at_s);
        home.reply.int(sample.millis as i64);
    }
    Then::Done
}

fn reset(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    home.reply.count(home.server.latency.reset(&arguments[2..]));
    Then::Done
}

fn graph(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let name = String::from_utf8_lossy(arguments[2]).into_owned();
    match home.server.latency.event(arguments[2]) {
        Some(series) => home.reply.verbatim("txt", draw(&name, &series, home.now / 1000).as_bytes()),
        None => home.reply.error(format!("ERR No samples available for event '{name}'")),
    }
    Then::Done
}

/// Bars from the smallest to the largest sample, 80 to a line, each over the time that has passed since.
fn draw(name: &str, series: &Series, now_s: i64) -> String {
    let smallest = series.samples.iter().map(|sample| sample.millis).min().unwrap_or(0);
    let largest = series.samples.iter().map(|sample| sample.millis).max().unwrap_or(0);
    let mut text = format!(
        "{name} - high {largest} ms, low {smallest} ms (all time high {} ms)\n{}\n",
        series.millis_max,
        "-".repeat(GRAPH_COLUMNS)
    );
    let samples: Vec<Sample> = series.samples.iter().copied().collect();
    let steps = GRAPH_LEVELS.len() * GRAPH_ROWS;
    let step_of = |sample: &Sample| {
        let range = (largest - smallest).max(1) as f64;
        (((sample.millis - smallest) as f64 * steps as f64 / range) as usize).min(steps - 1)
    };
    for line in samples.chunks(GRAPH_COLUMNS) {
        for row in (0..GRAPH_ROWS).rev() {
            let bar = |sample| {
                let first = row * GRAPH_LEVELS.len();
                match step_of(sample).checked_sub(first) {
                    Some(level) if level < GRAPH_LEVELS.len() => GRAPH_LEVELS[level],
                    Some(_) => '|',
                    None => ' ',
                }
            };
            push_line(&mut text, line.iter().map(bar));
        }
        let labels: Vec<Vec<char>> =
            line.iter().map(|sample| age(now_s - sample.at_s).chars().collect()).collect();
        let longest = labels.iter().map(Vec::len).max().unwrap_or(0);
        text.push('\n');
        for at in 0..longest {
            push_line(&mut text, labels.iter().map(|label| label.get(at).copied().unwrap_or(' ')));
        }
    }
    text
}

fn push_line(text: &mut String, line: impl Iterator<Item = char>) {
    let line: String = line.collect();
    text.push_str(line.trim_end());
    text.push('\n');
}

/// Seconds as the largest unit that fits.
fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ ..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86400),
    }
}

fn doctor(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    let events = home.server.latency.events();
    let report = if !events.is_empty() {
        report(&events, home.now / 1000)
    } else if home.config.latency_monitor_threshold_ms == 0 {
        "The latency monitor is off, so there is nothing to report. CONFIG SET latency-monitor-threshold \
         <milliseconds> turns it on.\n"
            .to_owned()
    } else {
        "No event has reached latency-monitor-threshold so far.\n".to_owned()
    };
    home.reply.verbatim("txt", report.as_bytes());
    Then::Done
}

fn report(events: &[(&'static str, Series)], now_s: i64) -> String {
    let mut text = String::from("These events took longer than latency-monitor-threshold:\n\n");
    for (number, (name, series)) in events.iter().enumerate() {
        let count = series.samples.len() as u64;
        let mean = series.samples.iter().map(|sample| sample.millis).sum::<u64>() / count.max(1);
        let deviation =
            series.samples.iter().map(|sample| sample.millis.abs_diff(mean)).sum::<u64>() / count.max(1);
        let period = series.samples.front().map_or(1, |oldest| (now_s - oldest.at_s).max(1)) as f64;
        let _ = writeln!(
            text,
            "{}. {name}: {count} latency spikes (average {mean}ms, mean deviation {deviation}ms, period {:.2} sec). \
             Worst all time event {}ms.",
            number + 1,
            period / count.max(1) as f64,
            series.millis_max
        );
    }
    text.push_str("\nWhat can be done:\n\n");
    for (name, _) in events {
        text.push_str(advice(name));
    }
    text
}

fn advice(event: &str) -> &'static str {
    match event {
        "command" => {
            "- SLOWLOG GET shows the slow commands. Large values and commands that look at many keys hold their \
             shard for as long as they run.\n"
        }
        "fast-command" => {
            "- Commands that take constant time were slow: the machine was busy elsewhere, or swapped. Look at the \
             load, and whether the shards' cores are shared with others.\n"
        }
        "expire-cycle" => {
            "- Many keys end at the same time. Spread their times to live, or lower active-expire-effort.\n"
        }
        "eviction-cycle" | "eviction-del" => {
            "- Memory is at maxmemory and keys are removed as others are written. Raise maxmemory, or write less \
             at a time.\n"
        }
        _ => "",
    }
}

fn histogram(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let totals: Vec<CommandTotals> = match &arguments[2..] {
        [] => statistics::totals(home.server).collect(),
        names => names.iter().flat_map(|name| named(home, name)).collect(),
    };
    let totals: Vec<&CommandTotals> = totals.iter().filter(|totals| totals.latencies.total() > 0).collect();
    home.reply.map(totals.len());
    for totals in totals {
        home.reply.bulk(totals.name.as_bytes());
        home.reply.map(2);
        home.reply.bulk(b"calls");
        home.reply.int(totals.latencies.total() as i64);
        home.reply.bulk(b"histogram_usec");
        let counts = growing(totals.latencies.cumulative());
        home.reply.map(counts.len());
        for (micros, count) in counts {
            home.reply.int(micros as i64);
            home.reply.int(count as i64);
        }
    }
    Then::Done
}

/// The totals of the command of that name, with its subcommands, or of the subcommand of that name (`client|list`).
fn named(home: &HomeContext<'_>, name: &[u8]) -> Vec<CommandTotals> {
    let container = name.split(|&byte| byte == b'|').next().unwrap_or_default();
    let Some(row) = table::find(container) else { return Vec::new() };
    let mut totals = statistics::of_command(home.server, row);
    if container.len() < name.len() {
        totals.retain(|totals| name.eq_ignore_ascii_case(totals.name.as_bytes()));
    }
    totals
}

/// Bounds in microseconds at which the count grows. A bound is shown as the end of its bucket in a histogram of two
/// significant digits, which is what Redis keeps.
fn growing(cumulative: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    let mut before = 0;
    let mut counts = Vec::new();
    for (nanos, count) in cumulative {
        if count > before {
            counts.push(((nanos + nanos / 128 - 1) / 1000, count));
        }
        before = count;
    }
    counts
}
