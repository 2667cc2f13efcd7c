//! XGROUP: consumer groups and their consumers.

use super::ids;
use crate::command::args::{integer, is_word};
use crate::command::context::KeyspaceEvents;
use crate::command::{Context, HomeContext, Then};
use crate::store::stream::{Group, Stream, StreamId};

const NO_KEY: &str = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use \
    the MKSTREAM option to create an empty stream automatically.";
const BUSY: &str = "BUSYGROUP Consumer Group name already exists";
const BAD_ENTRIES_READ: &str = "ERR value for ENTRIESREAD must be positive or -1";

const HELP: &[&str] = &[
    "CREATE <key> <groupname> <id|$> [option]",
    "    Create a new consumer group. Options are:",
    "    * MKSTREAM",
    "      Create the empty stream if it does not exist.",
    "    * ENTRIESREAD entries_read",
    "      Set the group's entries_read counter (internal use).",
    "CREATECONSUMER <key> <groupname> <consumer>",
    "    Create a new consumer in the specified group.",
    "DELCONSUMER <key> <groupname> <consumer>",
    "    Remove the specified consumer.",
    "DESTROY <key> <groupname>",
    "    Remove the specified group.",
    "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
    "    Set the current group ID and entries_read counter.",
];

/// XGROUP HELP
pub(super) fn help(ctx: &mut HomeContext<'_>, _arguments: &[&[u8]]) -> Then {
    ctx.reply.help("xgroup", HELP);
    Then::Done
}

/// The options behind the id of XGROUP CREATE and SETID.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    makes_stream: bool,
    entries_read: Option<i64>,
}

impl Options {
    fn parse(arguments: &[&[u8]], may_make_stream: bool) -> Result<Self, Vec<u8>> {
        let mut options = Self::default();
        let mut at = 5;
        while at < arguments.len() {
            if may_make_stream && is_word(arguments[at], "MKSTREAM") {
                options.makes_stream = true;
                at += 1;
            } else if at + 1 < arguments.len() && is_word(arguments[at], "ENTRIESREAD") {
                options.entries_read = match integer(arguments[at + 1])? {
                    -1 => None,
                    ..-1 => return Err(BAD_ENTRIES_READ.into()),
                    read => Some(read),
                };
                at += 2;
            } else {
                return Err(wrong_form(arguments));
            }
        }
        Ok(options)
    }
}

/// The sentence for a subcommand whose arguments do not fit.
pub(super) fn wrong_form(arguments: &[&[u8]]) -> Vec<u8> {
    let name = ids::shown(arguments[1]);
    let name = &name[..name.len().min(128)];
    let container = arguments[0].to_ascii_uppercase();
    let start = b"ERR unknown subcommand or wrong number of arguments for '".as_slice();
    [start, name, b"'. Try ", &container, b" HELP."].concat()
}

/// XGROUP CREATE key group id | $ [MKSTREAM] [ENTRIESREAD entries-read]
pub(super) fn create(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (key, name) = (arguments[2], arguments[3]);
    let options = match Options::parse(arguments, true) {
        Ok(options) => options,
        Err(error) => return ctx.reply.error(error),
    };
    // Looked at first: what is wrong must leave no stream behind.
    let looked = ctx.peek_as::<Stream, _>(key, |stream, _| {
        let Some(stream) = stream else {
            let known = id_or_last(arguments[4], StreamId::MIN, false);
            return if options.makes_stream { check(arguments, known) } else { Err(NO_KEY.into()) };
        };
        let id = check(arguments, id_or_last(arguments[4], stream.log.last_id(), false))?;
        if stream.group(name).is_some() { Err(BUSY.into()) } else { Ok(id) }
    });
    let id = match looked {
        None => return,
        Some(Err(error)) => return ctx.reply.error(error),
        Some(Ok(id)) => id,
    };
    let is_new_stream = !ctx.exists(key);
    let add = |stream: &mut Stream, _: &_| stream.add_group(name, Group::new(id, options.entries_read));
    if ctx.change_or_create(key, add).is_err() {
        return;
    }
    ctx.reply.ok();
    match is_new_stream {
        true => ctx.modified(key, KeyspaceEvents::STREAM, "xgroup-create"),
        false => ctx.modified_aside(key, KeyspaceEvents::STREAM, "xgroup-create"),
    }
}

/// The id, if there are not too many arguments.
fn check(arguments: &[&[u8]], id: Result<StreamId, &'static str>) -> Result<StreamId, Vec<u8>> {
    if arguments.len() > 8 { Err(wrong_form(arguments)) } else { Ok(id?) }
}

fn id_or_last(text: &[u8], last: StreamId, allows_signs: bool) -> Result<StreamId, &'static str> {
    match text {
        b"$" => Ok(last),
        _ if allows_signs => ids::any(text, 0),
        _ => ids::strict(text, 0),
    }
}

/// XGROUP SETID key group id | $ [ENTRIESREAD entries-read]
pub(super) fn setid(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let options = match Options::parse(arguments, false) {
        Ok(options) => options,
        Err(error) => return ctx.reply.error(error),
    };
    let set = change(ctx, arguments, |log_last, group| {
        if arguments.len() > 7 {
            return Err(wrong_form(arguments));
        }
        group.last_id = id_or_last(arguments[4], log_last, true)?;
        group.entries_read = options.entries_read;
        Ok(())
    });
    match set {
        None => {}
        Some(Err(error)) => ctx.reply.error(error),
        Some(Ok(())) => {
            ctx.reply.ok();
            ctx.modified_aside(arguments[2], KeyspaceEvents::STREAM, "xgroup-setid");
        }
    }
}

/// XGROUP DESTROY key group
pub(super) fn destroy(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (key, name) = (arguments[2], arguments[3]);
    match ctx.change(key, |stream: &mut Stream, _| stream.remove_group(name)) {
        Err(_) => {}
        Ok(None) => ctx.reply.error(NO_KEY),
        Ok(Some(changed)) => {
            ctx.reply.int(i64::from(changed.result));
            if changed.result {
                ctx.modified_aside(key, KeyspaceEvents::STREAM, "xgroup-destroy");
                // Whoever waits for the group learns that it is gone.
                ctx.keyspace.make_ready(ctx.caller.database, key);
            }
        }
    }
}

/// XGROUP CREATECONSUMER key group consumer
pub(super) fn createconsumer(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let now = ctx.now;
    let Some(is_new) = change(ctx, arguments, |_, group| group.add_consumer(arguments[4], now)) else {
        return;
    };
    ctx.reply.int(i64::from(is_new));
    if is_new {
        ctx.modified_aside(arguments[2], KeyspaceEvents::STREAM, "xgroup-createconsumer");
    }
}

/// XGROUP DELCONSUMER key group consumer
pub(super) fn delconsumer(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let Some(removed) = change(ctx, arguments, |_, group| group.remove_consumer(arguments[4])) else {
        return;
    };
    ctx.reply.count(removed.unwrap_or(0));
    if removed.is_some() {
        ctx.modified_aside(arguments[2], KeyspaceEvents::STREAM, "xgroup-delconsumer");
    }
}

/// Changes the group that `arguments` name, with the stream's last id at hand; without such a key or group replies so.
fn change<R>(
    ctx: &mut Context<'_>,
    arguments: &[&[u8]],
    change: impl FnOnce(StreamId, &mut Group) -> R,
) -> Option<R> {
    let (key, name) = (arguments[2], arguments[3]);
    let changed = ctx.change(key, |stream: &mut Stream, _| {
        stream.change_group(name, |log, group| change(log.last_id(), group))
    });
    match changed {
        Err(_) => return None,
        Ok(None) => ctx.reply.error(NO_KEY),
        Ok(Some(changed)) if changed.result.is_none() => ctx.reply.error(ids::no_group(key, name)),
        Ok(Some(changed)) => return changed.result,
    }
    None
}
