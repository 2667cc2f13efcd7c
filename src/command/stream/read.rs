//! XREAD and XREADGROUP: entries behind an id, of several streams at once.

use super::effect::{Claim, note_new_consumer, push_claimed, replicate_claims, replicate_position};
use super::ids;
use crate::base::number::parse_i64;
use crate::command::Context;
use crate::command::args::{integer, is_word};
use crate::command::context::Null;
use crate::resp::Reply;
use crate::resp::error::SYNTAX;
use crate::resp::reply::Open;
use crate::store::stream::{Group, Log, Stream, StreamId};

const GROUP_FOR_XREAD: &str =
    "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.";
const NOACK_FOR_XREAD: &str =
    "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.";
const NO_GROUP_OPTION: &str = "ERR Missing GROUP option for XREADGROUP";
const LAST_ID_FOR_GROUP: &str = "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the \
    history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just \
    return an empty result set.";
const NEW_FOR_XREAD: &str =
    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.";
const BAD_TIMEOUT: &str = "ERR timeout is not an integer or out of range";
const NEGATIVE_TIMEOUT: &str = "ERR timeout is negative";
const LATE_TIMEOUT: &str = "ERR timeout is out of range";

/// A group's name and a consumer's.
#[derive(Clone, Copy, Debug)]
struct Reader<'a> {
    group: &'a [u8],
    consumer: &'a [u8],
}

/// The arguments of both commands.
#[derive(Debug)]
struct Options<'a, 'b> {
    /// Milliseconds to wait; 0 for ever.
    block: Option<i64>,
    /// Entries per stream; 0 for all.
    count: usize,
    no_ack: bool,
    reader: Option<Reader<'a>>,
    keys: &'b [&'a [u8]],
    ids: &'b [&'a [u8]],
    /// Where the ids begin.
    ids_at: usize,
}

impl<'a, 'b> Options<'a, 'b> {
    fn parse(arguments: &'b [&'a [u8]], now: i64, for_group: bool) -> Result<Self, String> {
        let mut options =
            Options { block: None, count: 0, no_ack: false, reader: None, keys: &[], ids: &[], ids_at: 0 };
        let mut at = 1;
        while let Some(&word) = arguments.get(at) {
            let more = arguments.len() - at - 1;
            if more >= 1 && is_word(word, "BLOCK") {
                options.block = Some(timeout(arguments[at + 1], now)?);
                at += 2;
            } else if more >= 1 && is_word(word, "COUNT") {
                options.count = integer(arguments[at + 1])?.max(0) as usize;
                at += 2;
            } else if more >= 1 && is_word(word, "STREAMS") {
                options.take_streams(arguments, at + 1, for_group)?;
                break;
            } else if more >= 2 && is_word(word, "GROUP") {
                if !for_group {
                    return Err(GROUP_FOR_XREAD.into());
                }
                options.reader = Some(Reader { group: arguments[at + 1], consumer: arguments[at + 2] });
                at += 3;
            } else if is_word(word, "NOACK") {
                if !for_group {
                    return Err(NOACK_FOR_XREAD.into());
                }
                options.no_ack = true;
                at += 1;
            } else {
                return Err(SYNTAX.into());
            }
        }
        if options.keys.is_empty() {
            return Err(SYNTAX.into());
        }
        Ok(options)
    }

    fn take_streams(&mut self, arguments: &'b [&'a [u8]], at: usize, for_group: bool) -> Result<(), String> {
        let streams = &arguments[at..];
        if !streams.len().is_multiple_of(2) {
            let (name, symbol) = if for_group { ("xreadgroup", '>') } else { ("xread", '$') };
            return Err(format!(
                "ERR Unbalanced '{name}' list of streams: for each stream key an ID or '{symbol}' must be specified."
            ));
        }
        self.ids_at = at + streams.len() / 2;
        (self.keys, self.ids) = streams.split_at(streams.len() / 2);
        Ok(())
    }
}

/// The argument of BLOCK, milliseconds from now on.
fn timeout(argument: &[u8], now: i64) -> Result<i64, &'static str> {
    match parse_i64(argument).ok_or(BAD_TIMEOUT)? {
        ..0 => Err(NEGATIVE_TIMEOUT),
        timeout if timeout > i64::MAX - now => Err(LATE_TIMEOUT),
        timeout => Ok(timeout),
    }
}

fn block(ctx: &mut Context<'_>, options: &Options<'_, '_>, arguments: Option<&[&[u8]]>) {
    match options.block {
        None => ctx.reply.null_array(),
        Some(milliseconds) => {
            let timeout_ms = Some(milliseconds).filter(|milliseconds| *milliseconds > 0);
            ctx.block(options.keys, timeout_ms, Null::Array, arguments);
        }
    }
}

/// Replies what stands before the entries of one stream. The reply is a map to those who know maps.
fn push_key(reply: &mut Reply<'_>, key: &[u8]) {
    if !reply.is_resp3() {
        reply.array(2);
    }
    reply.bulk(key);
}

fn close(reply: &mut Reply<'_>, open: Open, streams: usize) {
    if reply.is_resp3() { reply.close_map(open, streams) } else { reply.close_array(open, streams) }
}

/// XREAD [COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]
pub(super) fn xread(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let options = match Options::parse(arguments, ctx.now, false) {
        Ok(options) => options,
        Err(error) => return ctx.reply.error(error),
    };
    let start = ctx.reply.position();
    let open = ctx.reply.open();
    let mut served = 0;
    let mut behind = Vec::with_capacity(options.keys.len());
    for (&key, &id) in options.keys.iter().zip(options.ids) {
        let count = options.count;
        let before = ctx.reply.position();
        let read = ctx.read_as::<Stream, _>(key, |stream, reply| {
            let log = stream.map(|stream| &stream.log);
            let id = read_from(id, log);
            id.map(|id| (id, log.is_some_and(|log| push_behind(reply, key, log, id, count))))
        });
        match read {
            Some(Ok((id, is_served))) => {
                behind.push(id);
                served += usize::from(is_served);
            }
            Some(Err(error)) => {
                ctx.reply.truncate(start);
                return ctx.reply.error(error);
            }
            None => {
                let error = ctx.reply.written_since(before).to_vec();
                ctx.reply.truncate(start);
                return ctx.reply.raw(&error);
            }
        }
    }
    if served > 0 {
        return close(&mut ctx.reply, open, served);
    }
    if options.block.is_none() {
        return ctx.reply.null_array();
    }
    // What `$` means now it still means when the command runs again.
    let texts: Vec<_> = behind.iter().map(|id| id.text()).collect();
    let mut resolved = arguments.to_vec();
    for (word, text) in resolved[options.ids_at..].iter_mut().zip(&texts) {
        *word = text.as_ref();
    }
    block(ctx, &options, Some(&resolved));
}

/// The id behind which XREAD reads.
fn read_from(id: &[u8], log: Option<&Log>) -> Result<StreamId, &'static str> {
    match id {
        b"$" => Ok(log.map_or(StreamId::MIN, Log::last_id)),
        b">" => Err(NEW_FOR_XREAD),
        _ => ids::strict(id, 0),
    }
}

/// Replies the entries behind an id, if there are any.
fn push_behind(reply: &mut Reply<'_>, key: &[u8], log: &Log, behind: StreamId, count: usize) -> bool {
    let Some(from) = behind.next().filter(|from| log.last_entry_id().is_some_and(|last| last >= *from))
    else {
        return false;
    };
    push_key(reply, key);
    ids::push_entries(reply, log.range(from, StreamId::MAX), count);
    true
}

/// What XREADGROUP is to read of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// What the group has not read yet.
    New,
    /// What the consumer has pending behind this id.
    Pending(StreamId),
}

/// XREADGROUP GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]
pub(super) fn xreadgroup(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let options = match Options::parse(arguments, ctx.now, true) {
        Ok(options) => options,
        Err(error) => return ctx.reply.error(error),
    };
    let Some(reader) = options.reader else { return ctx.reply.error(NO_GROUP_OPTION) };
    let mut wanted = Vec::with_capacity(options.keys.len());
    for (&key, &id) in options.keys.iter().zip(options.ids) {
        let checked = ctx.read_as::<Stream, _>(key, |stream, _| check_group(stream, key, reader.group, id));
        match checked {
            Some(Ok(id)) => wanted.push(id),
            Some(Err(error)) => return ctx.reply.error(error),
            None => return,
        }
    }
    ctx.replicate_nothing();
    let open = ctx.reply.open();
    let mut served = 0;
    for (&key, wanted) in options.keys.iter().zip(wanted) {
        served += usize::from(!ctx.is_kept(key) && serve(ctx, &options, reader, key, wanted));
    }
    match served {
        0 => block(ctx, &options, None),
        _ => close(&mut ctx.reply, open, served),
    }
}

fn check_group(stream: Option<&Stream>, key: &[u8], group: &[u8], id: &[u8]) -> Result<Wanted, Vec<u8>> {
    if stream.and_then(|stream| stream.group(group)).is_none() {
        return Err(ids::no_key_or_group(key, group, " in XREADGROUP with GROUP option"));
    }
    match id {
        b"$" => Err(LAST_ID_FOR_GROUP.into()),
        b">" => Ok(Wanted::New),
        _ => match ids::strict(id, 0)? {
            // Redis's own sign for `>`.
            StreamId::MAX => Ok(Wanted::New),
            id => Ok(Wanted::Pending(id)),
        },
    }
}

/// What a read of a group changed.
#[derive(Debug, Default)]
struct Delivery {
    is_new_consumer: bool,
    /// The entries to reply; `None` when this stream has nothing to say.
    ids: Option<Vec<StreamId>>,
    claims: Vec<Claim>,
    /// How far the group has read, if the claims do not say it.
    position: Option<(StreamId, Option<i64>)>,
}

/// Reads one stream for a group; `true` when there was something to reply.
fn serve(
    ctx: &mut Context<'_>,
    options: &Options<'_, '_>,
    reader: Reader<'_>,
    key: &[u8],
    wanted: Wanted,
) -> bool {
    let read = Read { options, consumer: reader.consumer, now: ctx.now, has_effects: ctx.effects.on };
    let changed = ctx.change(key, |stream: &mut Stream, _| {
        stream.change_group(reader.group, |log, group| read.deliver(log, group, wanted))
    });
    let Ok(Some(changed)) = changed else { return false };
    let Some(delivery) = changed.result else { return false };
    if delivery.is_new_consumer {
        note_new_consumer(ctx, key, reader.group, reader.consumer);
    }
    let Some(ids) = delivery.ids else { return false };
    ctx.changed_aside();
    replicate_claims(ctx, key, reader.group, &delivery.claims);
    if let Some((last_id, entries_read)) = delivery.position {
        replicate_position(ctx, key, reader.group, last_id, entries_read);
    }
    push_key(&mut ctx.reply, key);
    push_claimed(ctx, key, &ids, false);
    true
}

/// One read of one stream for a group.
struct Read<'a, 'b, 'c> {
    options: &'c Options<'a, 'b>,
    consumer: &'c [u8],
    now: i64,
    has_effects: bool,
}

impl Read<'_, '_, '_> {
    fn deliver(&self, log: &Log, group: &mut Group, wanted: Wanted) -> Delivery {
        let is_new_consumer = group.add_consumer(self.consumer, self.now);
        if let Some(consumer) = group.consumer_mut(self.consumer) {
            consumer.seen_at = self.now;
        }
        let delivery = match wanted {
            Wanted::New => self.deliver_new(log, group),
            Wanted::Pending(behind) => self.deliver_pending(log, group, behind),
        };
        Delivery { is_new_consumer, ..delivery }
    }

    fn count_max(&self) -> usize {
        if self.options.count == 0 { usize::MAX } else { self.options.count }
    }

    /// Makes an entry pending for the consumer, in place of whoever has it.
    fn assign(&self, group: &mut Group, id: StreamId, deliveries: u64, claims: &mut Vec<Claim>) {
        group.assign(id, self.consumer, self.now, deliveries);
        if self.has_effects {
            claims.extend(Claim::of(group, id));
        }
    }

    /// Delivers what the group has not read yet.
    fn deliver_new(&self, log: &Log, group: &mut Group) -> Delivery {
        let read_before = group.entries_read;
        let has_more = |from: &StreamId| log.last_entry_id().is_some_and(|last| last >= *from);
        let Some(from) = group.last_id.next().filter(has_more) else { return Delivery::default() };
        let (mut ids, mut claims) = (Vec::new(), Vec::new());
        let no_ack = self.options.no_ack;
        for entry in log.range(from, StreamId::MAX).take(self.count_max()) {
            group.advance(log, entry.id);
            if !no_ack {
                self.assign(group, entry.id, 1, &mut claims);
            }
            ids.push(entry.id);
        }
        if let Some(consumer) = group.consumer_mut(self.consumer).filter(|_| !no_ack) {
            consumer.active_at = Some(self.now);
        }
        // Claims tell the last id only.
        let is_untold = no_ack || group.entries_read != read_before;
        let position = is_untold.then_some((group.last_id, group.entries_read));
        Delivery { is_new_consumer: false, ids: Some(ids), claims, position }
    }

    /// Delivers once more what the consumer has pending, even what has been deleted since.
    fn deliver_pending(&self, log: &Log, group: &mut Group, behind: StreamId) -> Delivery {
        let ids: Vec<StreamId> = match (group.consumer(self.consumer), behind.next()) {
            (Some(consumer), Some(from)) => {
                consumer.pending(from, StreamId::MAX).take(self.count_max()).collect()
            }
            _ => Vec::new(),
        };
        let mut claims = Vec::new();
        for &id in ids.iter().filter(|&&id| log.get(id).is_some()) {
            let deliveries = group.pending(id).map_or(1, |pending| pending.deliveries.saturating_add(1));
            self.assign(group, id, deliveries, &mut claims);
        }
        Delivery { is_new_consumer: false, ids: Some(ids), claims, position: None }
    }
}
