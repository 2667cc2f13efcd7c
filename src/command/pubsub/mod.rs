//! The pubsub family: rows on top, handlers below. A channel belongs to the shard of its slot, like a key; that shard
//! orders what is published on it.
//!
//! Subscribing changes the client's session only; the connection's loop tells the shards that must know before the
//! reply leaves. Whoever publishes after it has seen the reply is therefore behind it in that shard's inbox.

mod registry;
mod subscriptions;

#[cfg(test)]
mod pubsub_test;

pub use registry::{Audience, Listening, Receiver, Registry};
pub use subscriptions::{SubscriptionChange, Subscriptions, Topic};

use super::home::{HomeContext, Then};
use super::keys::KeyFlags;
use super::{Command, Context, Flags, Group, KeySpec, Merge, Route, Run};
use crate::base::glob;
use crate::resp::error::unknown_form;

const ANYTIME: Flags = Flags::PUBSUB.union(Flags::LOADING).union(Flags::STALE);
const SUBSCRIBES: Flags = ANYTIME.union(Flags::NOSCRIPT);
const PUBLISHES: Flags = ANYTIME.union(Flags::FAST).union(Flags::MAY_REPLICATE);

const SHARD_CHANNELS: &[KeySpec] = &[KeySpec::range(1, -1, 1, KeyFlags::NOT_KEY)];

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command::new("publish", 3, Group::Pubsub, Run::Keyspace(publish))
        .flags(PUBLISHES.union(Flags::SENTINEL))
        .route(Route::Channel)
        .docs(
            "2.0.0",
            "Publishes a message on a channel.",
            "O(N+M), N being the number of subscribers of the channel and M the number of patterns.",
        ),
    home("subscribe", -2, subscribe).flags(SUBSCRIBES.union(Flags::SENTINEL)).docs(
        "2.0.0",
        "Subscribes to channels.",
        "O(N), N being the number of channels.",
    ),
    home("unsubscribe", -1, unsubscribe).flags(SUBSCRIBES.union(Flags::SENTINEL)).docs(
        "2.0.0",
        "Ends subscriptions to channels.",
        "O(N), N being the number of channels.",
    ),
    home("psubscribe", -2, psubscribe).flags(SUBSCRIBES.union(Flags::SENTINEL)).docs(
        "2.0.0",
        "Subscribes to all channels that match patterns.",
        "O(N), N being the number of patterns.",
    ),
    home("punsubscribe", -1, punsubscribe).flags(SUBSCRIBES.union(Flags::SENTINEL)).docs(
        "2.0.0",
        "Ends subscriptions to patterns.",
        "O(N), N being the number of patterns.",
    ),
    Command::new("spublish", 3, Group::Pubsub, Run::Keyspace(spublish))
        .flags(PUBLISHES)
        .keys(&[KeySpec::one(1, KeyFlags::NOT_KEY)])
        .route(Route::Channel)
        .docs(
            "7.0.0",
            "Publishes a message on a shard channel.",
            "O(N), N being the number of subscribers of the channel.",
        ),
    home("ssubscribe", -2, ssubscribe).flags(SUBSCRIBES).keys(SHARD_CHANNELS).docs(
        "7.0.0",
        "Subscribes to shard channels.",
        "O(N), N being the number of channels.",
    ),
    home("sunsubscribe", -1, sunsubscribe).flags(SUBSCRIBES).keys(SHARD_CHANNELS).docs(
        "7.0.0",
        "Ends subscriptions to shard channels.",
        "O(N), N being the number of channels.",
    ),
    Command::new("pubsub", -2, Group::Pubsub, Run::Container)
        .docs("2.8.0", "Commands about channels.", "Depends on subcommand.")
        .subcommands(SUBCOMMANDS),
];

const fn home(name: &'static str, arity: i32, run: fn(&mut HomeContext<'_>, &[&[u8]]) -> Then) -> Command {
    Command::new(name, arity, Group::Pubsub, Run::Home(run))
}

const fn question(
    name: &'static str,
    arity: i32,
    merge: Merge,
    run: fn(&mut Context<'_>, &[&[u8]]),
) -> Command {
    Command::new(name, arity, Group::Pubsub, Run::Keyspace(run))
        .flags(ANYTIME)
        .route(Route::EveryShard(merge))
}

const BY_CHANNELS: &str = "O(N), N being the number of channels that somebody is subscribed to.";
const BY_NAMES: &str = "O(N), N being the number of channels that are named.";

const SUBCOMMANDS: &[Command] = &[
    question("pubsub|channels", -2, Merge::Concatenate, channels).docs(
        "2.8.0",
        "Lists channels that somebody is subscribed to.",
        BY_CHANNELS,
    ),
    home("pubsub|help", 2, help).flags(Flags::LOADING.union(Flags::STALE)).docs(
        "6.2.0",
        "Lists the subcommands.",
        "O(1)",
    ),
    Command::new("pubsub|numpat", 2, Group::Pubsub, Run::Keyspace(numpat)).flags(ANYTIME).docs(
        "2.8.0",
        "Counts the patterns that somebody is subscribed to.",
        "O(1)",
    ),
    question("pubsub|numsub", -2, Merge::Counts, numsub).docs(
        "2.8.0",
        "Counts the subscribers of channels.",
        BY_NAMES,
    ),
    question("pubsub|shardchannels", -2, Merge::Concatenate, shard_channels).docs(
        "7.0.0",
        "Lists shard channels that somebody is subscribed to.",
        BY_CHANNELS,
    ),
    question("pubsub|shardnumsub", -2, Merge::Counts, shard_numsub).docs(
        "7.0.0",
        "Counts the subscribers of shard channels.",
        BY_NAMES,
    ),
];

const HELP: &[&str] = &[
    "CHANNELS [<pattern>]",
    "    List channels that somebody is subscribed to and that match <pattern> (default: '*').",
    "NUMPAT",
    "    Count the patterns that somebody is subscribed to.",
    "NUMSUB [<channel> ...]",
    "    Count the subscribers of each channel, those by patterns left out.",
    "SHARDCHANNELS [<pattern>]",
    "    List shard channels that somebody is subscribed to and that match <pattern> (default: '*').",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    Count the subscribers of each shard channel.",
];

fn help(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    home.reply.help("pubsub", HELP);
    Then::Done
}

fn subscribe(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    begin(home, "subscribe", Topic::Channel, arguments)
}

fn psubscribe(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    begin(home, "psubscribe", Topic::Pattern, arguments)
}

fn ssubscribe(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    if home.is_inside_exec {
        return home.error("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client");
    }
    begin(home, "ssubscribe", Topic::ShardChannel, arguments)
}

fn unsubscribe(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    end(home, "unsubscribe", Topic::Channel, arguments)
}

fn punsubscribe(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    end(home, "punsubscribe", Topic::Pattern, arguments)
}

fn sunsubscribe(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    end(home, "sunsubscribe", Topic::ShardChannel, arguments)
}

fn begin(home: &mut HomeContext<'_>, word: &str, topic: Topic, arguments: &[&[u8]]) -> Then {
    for name in arguments.iter().skip(1) {
        home.session.subscribe(topic, name);
        tell(home, word, topic, Some(name));
    }
    Then::Pushed
}

fn end(home: &mut HomeContext<'_>, word: &str, topic: Topic, arguments: &[&[u8]]) -> Then {
    let all;
    let named = match arguments.get(1..) {
        Some(named @ [_, ..]) => named,
        _ => {
            all = home.session.subscriptions.as_ref().map_or_else(Vec::new, |known| known.names_of(topic));
            &all.iter().map(|name| &**name).collect::<Vec<_>>()
        }
    };
    for name in named {
        home.session.unsubscribe(topic, name);
        tell(home, word, topic, Some(name));
    }
    if named.is_empty() {
        tell(home, word, topic, None);
    }
    Then::Pushed
}

/// Tells the client of a change, with the number of its subscriptions.
fn tell(home: &mut HomeContext<'_>, word: &str, topic: Topic, name: Option<&[u8]>) {
    let count = home.session.subscriptions.as_ref().map_or(0, |known| known.told_count(topic));
    let reply = &mut home.reply;
    reply.push(3);
    reply.bulk(word.as_bytes());
    match name {
        Some(name) => reply.bulk(name),
        None => reply.null(),
    }
    reply.count(count);
}

fn publish(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    publish_on(ctx, arguments, false);
}

fn spublish(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    publish_on(ctx, arguments, true);
}

fn publish_on(ctx: &mut Context<'_>, arguments: &[&[u8]], is_sharded: bool) {
    let receivers = ctx.notices.publish(arguments[1], arguments[2], is_sharded);
    ctx.replicate(arguments);
    ctx.reply.int(receivers as i64);
}

fn channels(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    list(ctx, arguments, Topic::Channel);
}

fn shard_channels(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    list(ctx, arguments, Topic::ShardChannel);
}

fn list(ctx: &mut Context<'_>, arguments: &[&[u8]], topic: Topic) {
    if arguments.len() > 3 {
        return ctx.reply.error(unknown_form(arguments[1], "PUBSUB"));
    }
    let pattern = arguments.get(2).copied().unwrap_or(b"*");
    let open = ctx.reply.open();
    let mut count = 0;
    for name in ctx.notices.registry.own_names(topic) {
        if glob::matches(pattern, name, false) {
            ctx.reply.bulk(name);
            count += 1;
        }
    }
    ctx.reply.close_array(open, count);
}

fn numpat(ctx: &mut Context<'_>, _: &[&[u8]]) {
    ctx.reply.count(ctx.notices.registry.count(Topic::Pattern));
}

fn numsub(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    count(ctx, arguments, Topic::Channel);
}

fn shard_numsub(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    count(ctx, arguments, Topic::ShardChannel);
}

fn count(ctx: &mut Context<'_>, arguments: &[&[u8]], topic: Topic) {
    let names = arguments.get(2..).unwrap_or_default();
    ctx.reply.array(2 * names.len());
    for name in names {
        ctx.reply.bulk(name);
        ctx.reply.int(ctx.notices.registry.own_subscribers(topic, name) as i64);
    }
}
