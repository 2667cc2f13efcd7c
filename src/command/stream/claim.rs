//! XCLAIM and XAUTOCLAIM: pending entries change hands.

use super::effect::{Claim, note_new_consumer, push_claimed, replicate_claims, replicate_position};
use super::ids::{self, push_id};
use crate::base::clock::UnixMillis;
use crate::base::number::parse_i64;
use crate::command::Context;
use crate::command::args::{Cursor, is_word};
use crate::resp::error::SYNTAX;
use crate::store::stream::{Group, Log, Stream, StreamId};

const BAD_MIN_IDLE: &str = "ERR Invalid min-idle-time argument for XCLAIM";
const BAD_IDLE: &str = "ERR Invalid IDLE option argument for XCLAIM";
const BAD_TIME: &str = "ERR Invalid TIME option argument for XCLAIM";
const BAD_RETRYCOUNT: &str = "ERR Invalid RETRYCOUNT option argument for XCLAIM";
const BAD_AUTO_MIN_IDLE: &str = "ERR Invalid min-idle-time argument for XAUTOCLAIM";
const BAD_COUNT: &str = "ERR COUNT must be > 0";

/// Entries that XAUTOCLAIM takes unless COUNT says otherwise.
const COUNT_DEFAULT: u64 = 100;
/// The greatest COUNT that Redis takes.
const COUNT_MAX: i64 = i64::MAX / 16;
/// Pending entries that XAUTOCLAIM looks at for each that it may take.
const ATTEMPTS_PER_COUNT: u64 = 10;

/// Who claims, and on what condition.
#[derive(Clone, Copy, Debug)]
struct Claimant<'a> {
    key: &'a [u8],
    group: &'a [u8],
    consumer: &'a [u8],
    idle_ms_min: i64,
    now: UnixMillis,
    only_ids: bool,
}

impl<'a> Claimant<'a> {
    fn new(ctx: &Context<'_>, arguments: &[&'a [u8]], error: &'static str) -> Result<Self, &'static str> {
        let idle_ms_min = parse_i64(arguments[4]).ok_or(error)?.max(0);
        let (key, group, consumer) = (arguments[1], arguments[2], arguments[3]);
        Ok(Self { key, group, consumer, idle_ms_min, now: ctx.now, only_ids: false })
    }

    /// Whether a pending entry was left alone for long enough.
    fn may_take(&self, delivered_at: UnixMillis) -> bool {
        self.idle_ms_min == 0 || self.now.saturating_sub(delivered_at) >= self.idle_ms_min
    }

    /// Starts a claim: the consumer was seen, and comes to be if it is missing.
    fn start(&self, group: &mut Group) -> Outcome {
        let is_new_consumer = group.add_consumer(self.consumer, self.now);
        if let Some(consumer) = group.consumer_mut(self.consumer) {
            consumer.seen_at = self.now;
        }
        Outcome { is_new_consumer, ..Outcome::default() }
    }

    /// Takes an entry.
    fn take(&self, group: &mut Group, id: StreamId, at: UnixMillis, deliveries: u64, outcome: &mut Outcome) {
        group.assign(id, self.consumer, at, deliveries);
        if let Some(consumer) = group.consumer_mut(self.consumer) {
            consumer.active_at = Some(self.now);
        }
        outcome.claims.extend(Claim::of(group, id));
        outcome.taken.push(id);
    }

    /// Says and replicates what was claimed.
    fn conclude(&self, ctx: &mut Context<'_>, outcome: &Outcome) {
        ctx.replicate_nothing();
        if outcome.is_new_consumer {
            note_new_consumer(ctx, self.key, self.group, self.consumer);
        }
        replicate_claims(ctx, self.key, self.group, &outcome.claims);
        outcome.claims.iter().for_each(|_| ctx.changed_aside());
    }
}

/// What a claim did.
#[derive(Debug, Default)]
struct Outcome {
    is_new_consumer: bool,
    taken: Vec<StreamId>,
    /// Pending entries whose stream entries are gone; they are pending no more.
    gone: Vec<StreamId>,
    /// Both of these as they are to be replicated, in the order in which they were found.
    claims: Vec<Claim>,
    /// Where XAUTOCLAIM is to go on.
    next: Option<StreamId>,
    /// The last id that LASTID set.
    last_id: Option<(StreamId, Option<i64>)>,
}

impl Outcome {
    /// Lets go of a pending entry that is in the stream no more.
    fn release(&mut self, group: &mut Group, id: StreamId) {
        let claim = Claim::of(group, id);
        if group.acknowledge(id) {
            self.claims.extend(claim);
            self.gone.push(id);
        }
    }
}

/// The options of XCLAIM.
#[derive(Debug)]
struct Options<'a> {
    claimant: Claimant<'a>,
    ids: Vec<StreamId>,
    delivered_at: UnixMillis,
    deliveries: Option<u64>,
    is_forced: bool,
    last_id: StreamId,
}

impl<'a> Options<'a> {
    fn parse(ctx: &Context<'_>, arguments: &[&'a [u8]]) -> Result<Self, Vec<u8>> {
        let now = ctx.now;
        let mut options = Self {
            claimant: Claimant::new(ctx, arguments, BAD_MIN_IDLE)?,
            ids: arguments[5..].iter().map_while(|text| ids::strict(text, 0).ok()).collect(),
            delivered_at: now,
            deliveries: None,
            is_forced: false,
            last_id: StreamId::MIN,
        };
        let mut cursor = Cursor::new(arguments, 5 + options.ids.len());
        while let Some(word) = cursor.take() {
            let number = |cursor: &mut Cursor<'_, '_>, error: &'static str| {
                cursor.take().and_then(parse_i64).ok_or(error)
            };
            let has_more = !cursor.is_done();
            if is_word(word, "FORCE") {
                options.is_forced = true;
            } else if is_word(word, "JUSTID") {
                options.claimant.only_ids = true;
            } else if has_more && is_word(word, "IDLE") {
                options.delivered_at = now.saturating_sub(number(&mut cursor, BAD_IDLE)?);
            } else if has_more && is_word(word, "TIME") {
                options.delivered_at = number(&mut cursor, BAD_TIME)?;
            } else if has_more && is_word(word, "RETRYCOUNT") {
                options.deliveries = u64::try_from(number(&mut cursor, BAD_RETRYCOUNT)?).ok();
            } else if has_more && is_word(word, "LASTID") {
                options.last_id = ids::strict(cursor.need()?, 0)?;
            } else {
                let word = ids::shown(word);
                return Err([b"ERR Unrecognized XCLAIM option '".as_slice(), word, b"'"].concat());
            }
        }
        // A clock may be ahead of ours, which is no reason to refuse.
        if !(0..=now).contains(&options.delivered_at) {
            options.delivered_at = now;
        }
        Ok(options)
    }

    fn claim(&self, log: &Log, group: &mut Group) -> Outcome {
        let set_last_id = self.last_id > group.last_id;
        if set_last_id {
            group.last_id = self.last_id;
        }
        let mut outcome = self.claimant.start(group);
        for &id in &self.ids {
            if log.get(id).is_none() {
                outcome.release(group, id);
                continue;
            }
            let deliveries = match group.pending(id) {
                Some(pending) if !self.claimant.may_take(pending.delivered_at) => continue,
                Some(pending) => pending.deliveries,
                None if self.is_forced => 1,
                None => continue,
            };
            let deliveries = match self.deliveries {
                Some(deliveries) => deliveries,
                None => deliveries.saturating_add(u64::from(!self.claimant.only_ids)),
            };
            self.claimant.take(group, id, self.delivered_at, deliveries, &mut outcome);
        }
        outcome.last_id = set_last_id.then_some((group.last_id, group.entries_read));
        outcome
    }
}

/// XCLAIM key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE]
/// [JUSTID] [LASTID lastid]
pub(super) fn xclaim(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (key, name) = (arguments[1], arguments[2]);
    let options = Options::parse(ctx, arguments);
    let changed = ctx.change(key, |stream: &mut Stream, _| {
        stream.change_group(name, |log, group| {
            options.map(|options| (options.claim(log, group), options.claimant))
        })
    });
    let Ok(changed) = changed else { return };
    let (outcome, claimant) = match changed.and_then(|changed| changed.result) {
        None => return ctx.reply.error(ids::no_key_or_group(key, name, "")),
        Some(Err(error)) => return ctx.reply.error(error),
        Some(Ok(claimed)) => claimed,
    };
    claimant.conclude(ctx, &outcome);
    // Claims tell the last id.
    if let Some((last_id, entries_read)) = outcome.last_id.filter(|_| outcome.claims.is_empty()) {
        replicate_position(ctx, key, name, last_id, entries_read);
        ctx.changed_aside();
    }
    push_claimed(ctx, key, &outcome.taken, claimant.only_ids);
}

/// XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]
pub(super) fn xautoclaim(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let (claimant, start, count) = match parse_auto(ctx, arguments) {
        Ok(options) => options,
        Err(error) => return ctx.reply.error(error),
    };
    let (key, name) = (arguments[1], arguments[2]);
    let changed = ctx.change(key, |stream: &mut Stream, _| {
        stream.change_group(name, |log, group| claim_idle(&claimant, log, group, start, count))
    });
    let Ok(changed) = changed else { return };
    let Some(outcome) = changed.and_then(|changed| changed.result) else {
        return ctx.reply.error(ids::no_key_or_group(key, name, ""));
    };
    claimant.conclude(ctx, &outcome);
    ctx.reply.array(3);
    push_id(&mut ctx.reply, outcome.next.unwrap_or(StreamId::MIN));
    push_claimed(ctx, key, &outcome.taken, claimant.only_ids);
    ctx.reply.array(outcome.gone.len());
    outcome.gone.iter().for_each(|&id| push_id(&mut ctx.reply, id));
}

fn parse_auto<'a>(
    ctx: &Context<'_>,
    arguments: &[&'a [u8]],
) -> Result<(Claimant<'a>, StreamId, u64), &'static str> {
    let mut claimant = Claimant::new(ctx, arguments, BAD_AUTO_MIN_IDLE)?;
    let start = ids::start(arguments[5])?;
    let mut count = COUNT_DEFAULT;
    let mut options = Cursor::new(arguments, 6);
    while !options.is_done() {
        if options.remaining() >= 2 && options.accept("COUNT") {
            let given = options.take().and_then(parse_i64).filter(|count| (1..=COUNT_MAX).contains(count));
            count = given.ok_or(BAD_COUNT)? as u64;
        } else if options.accept("JUSTID") {
            claimant.only_ids = true;
        } else {
            return Err(SYNTAX);
        }
    }
    Ok((claimant, start, count))
}

/// Claims pending entries from `start` on that were left alone for long enough. Those that are gone count, too.
fn claim_idle(claimant: &Claimant<'_>, log: &Log, group: &mut Group, start: StreamId, count: u64) -> Outcome {
    let mut outcome = claimant.start(group);
    let (mut count, mut attempts) = (count, count.saturating_mul(ATTEMPTS_PER_COUNT));
    let mut from = Some(start);
    let next = |group: &Group, from: Option<StreamId>| {
        group.pending_from(from?).next().map(|(id, pending)| (*id, pending.delivered_at, pending.deliveries))
    };
    while attempts > 0 && count > 0 {
        let Some((id, delivered_at, deliveries)) = next(group, from) else { break };
        attempts -= 1;
        from = id.next();
        if log.get(id).is_none() {
            outcome.release(group, id);
            count -= 1;
        } else if claimant.may_take(delivered_at) {
            let deliveries = deliveries.saturating_add(u64::from(!claimant.only_ids));
            claimant.take(group, id, claimant.now, deliveries, &mut outcome);
            count -= 1;
        }
    }
    outcome.next = next(group, from).map(|(id, ..)| id);
    outcome
}
