//! XADD and XTRIM: the end and the beginning of a stream.

use super::delete::policy_of;
use super::ids::{self, NewId};
use crate::base::clock::UnixMillis;
use crate::command::Context;
use crate::command::args::{integer, is_word};
use crate::command::context::KeyspaceEvents;
use crate::config::Config;
use crate::resp::error::{SYNTAX, wrong_arity};
use crate::store::stream::{ENTRY_BYTES_MAX, Keep, NodeLimits, Policy, Stream, StreamId, Trim};

const TWO_STRATEGIES: &str = "ERR syntax error, MAXLEN and MINID options at the same time are not compatible";
const NEGATIVE_MAXLEN: &str = "ERR The MAXLEN argument must be >= 0.";
const NEGATIVE_LIMIT: &str = "ERR The LIMIT argument must be >= 0.";
const LIMIT_WITHOUT_STRATEGY: &str =
    "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy";
const LIMIT_WITHOUT_TILDE: &str = "ERR syntax error, LIMIT cannot be used without the special ~ option";
const NO_STRATEGY: &str = "ERR syntax error, XTRIM must be called with a trimming strategy";
const ZERO_ID: &str = "ERR The ID specified in XADD must be greater than 0-0";
const SMALL_ID: &str = "ERR The ID specified in XADD is equal or smaller than the target stream top item";
const EXHAUSTED: &str = "ERR The stream has exhausted the last possible ID, unable to add more items";
const TOO_LARGE: &str = "ERR Elements are too large to be stored";

/// What stands between the key and the fields of XADD, or behind the key of XTRIM.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    keep: Option<Keep>,
    is_approximate: bool,
    limit: Option<i64>,
    policy: Option<Policy>,
    must_exist: bool,
    id: Option<NewId>,
    /// Where the number or id of the trim stands.
    keep_at: usize,
    /// Where LIMIT stands; 0 without it.
    limit_at: usize,
    /// Where the id stands, or the end of the arguments.
    id_at: usize,
}

impl Options {
    /// What stands before the fields of XADD, or behind the key of XTRIM. A master says exactly what it did, and may leave the
    /// LIMIT there.
    fn parse(arguments: &[&[u8]], is_add: bool, from_master: bool) -> Result<Self, &'static str> {
        let mut options = Self::default();
        let mut at = 2;
        while let Some(&word) = arguments.get(at) {
            let has_more = at + 1 < arguments.len();
            if is_add && word == b"*" {
                options.id = Some(NewId::Auto);
                break;
            } else if has_more && (is_word(word, "MAXLEN") || is_word(word, "MINID")) {
                at = options.parse_keep(arguments, at)?;
            } else if has_more && is_word(word, "LIMIT") {
                options.limit_at = at;
                let limit = integer(arguments[at + 1])?;
                options.limit = Some(if limit >= 0 { limit } else { return Err(NEGATIVE_LIMIT) });
                at += 2;
            } else if options.policy.is_none() && policy_of(word).is_some() {
                options.policy = policy_of(word);
                at += 1;
            } else if is_add && is_word(word, "NOMKSTREAM") {
                options.must_exist = true;
                at += 1;
            } else if is_add {
                options.id = Some(ids::new(word, 0)?);
                break;
            } else {
                return Err(SYNTAX);
            }
        }
        options.id_at = at;
        if from_master {
            options.limit = None;
        }
        options.check(is_add)?;
        Ok(options)
    }

    /// Reads the strategy that begins at `at`; returns where the next option begins.
    fn parse_keep(&mut self, arguments: &[&[u8]], at: usize) -> Result<usize, &'static str> {
        if self.keep.is_some() {
            return Err(TWO_STRATEGIES);
        }
        let operator = if at + 2 < arguments.len() { arguments[at + 1] } else { b"" };
        self.is_approximate = operator == b"~";
        self.keep_at = if self.is_approximate || operator == b"=" { at + 2 } else { at + 1 };
        let value = arguments[self.keep_at];
        self.keep = Some(if is_word(arguments[at], "MAXLEN") {
            Keep::Length(u64::try_from(integer(value)?).map_err(|_| NEGATIVE_MAXLEN)?)
        } else {
            Keep::From(ids::strict(value, 0)?)
        });
        Ok(self.keep_at + 1)
    }

    fn check(&self, is_add: bool) -> Result<(), &'static str> {
        match (self.keep, self.limit) {
            (None, Some(1..)) => Err(LIMIT_WITHOUT_STRATEGY),
            (None, _) if !is_add => Err(NO_STRATEGY),
            (_, Some(_)) if !self.is_approximate => Err(LIMIT_WITHOUT_TILDE),
            _ => Ok(()),
        }
    }

    /// How to trim. An approximate trim without LIMIT takes a hundred full nodes at most.
    fn trim(&self, config: &Config) -> Option<Trim> {
        let limit = match (self.limit, self.is_approximate) {
            (Some(limit), _) => limit as u64,
            (None, false) => 0,
            (None, true) => match config.stream_node_max_entries {
                0 => 10_000,
                entries => (entries as u64).saturating_mul(100).min(1_000_000),
            },
        };
        Some(Trim { keep: self.keep?, is_approximate: self.is_approximate, limit })
    }

    fn policy(&self) -> Policy {
        self.policy.unwrap_or_default()
    }

    /// Whether what groups still need stays.
    fn keeps_awaited(&self) -> bool {
        self.policy() == Policy::Acknowledged
    }

    /// The arguments with what the command turned out to do: the id that was given, and an exact trim to what is left.
    fn resolved<'a>(
        &self,
        arguments: &[&'a [u8]],
        id: Option<&'a [u8]>,
        kept: Option<&'a [u8]>,
    ) -> Vec<&'a [u8]> {
        let mut words = arguments.to_vec();
        if let Some(id) = id {
            words[self.id_at] = id;
        }
        if let Some(kept) = kept {
            if self.keeps_awaited() {
                words[self.keep_at - 2] = b"MAXLEN";
            }
            words[self.keep_at - 1] = b"=";
            words[self.keep_at] = kept;
            if self.limit_at != 0 {
                words.drain(self.limit_at..self.limit_at + 2);
            }
        }
        words
    }
}

/// What was left by an approximate trim, as an exact one says it: a number if some stayed among those that went.
fn kept(stream: &Stream, keep: Keep, options: &Options) -> Vec<u8> {
    match keep {
        Keep::From(_) if !options.keeps_awaited() => stream.log.first_kept_id().to_string().into(),
        _ => stream.log.len().to_string().into(),
    }
}

fn node_limits(config: &Config) -> NodeLimits {
    NodeLimits { bytes: config.stream_node_max_bytes, entries: config.stream_node_max_entries }
}

/// What XADD did.
struct Added {
    id: StreamId,
    trimmed: u64,
    kept: Option<Vec<u8>>,
}

/// XADD key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] [MAXLEN | MINID [= | ~] threshold [LIMIT count]] * | id field value [field value ...]
pub(super) fn xadd(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let options = match Options::parse(arguments, true, ctx.caller.from_master) {
        Ok(options) => options,
        Err(error) => return ctx.reply.error(error),
    };
    let fields = arguments.get(options.id_at + 1..).unwrap_or_default();
    let Some(wanted) = options.id.filter(|_| !fields.is_empty() && fields.len() % 2 == 0) else {
        return ctx.reply.error(wrong_arity("xadd"));
    };
    if wanted == NewId::Given(StreamId::MIN) {
        return ctx.reply.error(ZERO_ID);
    }
    let (key, now) = (arguments[1], ctx.now);
    let add = |stream: &mut Stream, config: &Config| add(stream, config, now, wanted, fields, &options);
    let added = if options.must_exist {
        match ctx.change(key, add) {
            Err(_) => return,
            Ok(None) => return ctx.reply.null(),
            Ok(Some(changed)) => changed.result,
        }
    } else {
        match ctx.change_or_create(key, add) {
            Err(_) => return,
            Ok(changed) => changed.result,
        }
    };
    let Added { id, trimmed, kept } = match added {
        Ok(added) => added,
        Err(error) => return ctx.reply.error(error),
    };
    ids::push_id(&mut ctx.reply, id);
    ctx.modified(key, KeyspaceEvents::STREAM, "xadd");
    if trimmed > 0 {
        ctx.signal(ctx.database(), key, KeyspaceEvents::STREAM, "xtrim");
    }
    let is_given = matches!(wanted, NewId::Given(_));
    if ctx.effects.on && (!is_given || kept.is_some()) {
        let text = id.text();
        let id = (!is_given).then_some(text.as_ref());
        ctx.replicate(&options.resolved(arguments, id, kept.as_deref()));
    }
}

fn add(
    stream: &mut Stream,
    config: &Config,
    now: UnixMillis,
    wanted: NewId,
    fields: &[&[u8]],
    options: &Options,
) -> Result<Added, &'static str> {
    let last = stream.log.last_id();
    let id = match (wanted, last.next()) {
        (_, None) => return Err(EXHAUSTED),
        (NewId::Given(id), _) => id,
        (NewId::Auto, Some(next)) => next.max(StreamId::new(now as u64, 0)),
        (NewId::Within(ms), Some(next)) if ms == last.ms => next,
        (NewId::Within(ms), _) => StreamId::new(ms, 0),
    };
    let has_left_millisecond = matches!(wanted, NewId::Within(ms) if ms != id.ms);
    if id <= last || has_left_millisecond {
        return Err(SMALL_ID);
    }
    if fields.iter().map(|text| text.len()).sum::<usize>() > ENTRY_BYTES_MAX {
        return Err(TOO_LARGE);
    }
    stream.log.append(id, fields, node_limits(config));
    let trim = options.trim(config);
    let trimmed = trim.map_or(0, |trim| stream.trim(trim, options.policy()));
    let kept = trim.filter(|trim| trim.is_approximate).map(|trim| kept(stream, trim.keep, options));
    Ok(Added { id, trimmed, kept })
}

/// XTRIM key MAXLEN | MINID [= | ~] threshold [LIMIT count] [KEEPREF | DELREF | ACKED]
pub(super) fn xtrim(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let options = match Options::parse(arguments, false, ctx.caller.from_master) {
        Ok(options) => options,
        Err(error) => return ctx.reply.error(error),
    };
    let key = arguments[1];
    let changed = ctx.change(key, |stream: &mut Stream, config| {
        let trim = options.trim(config)?;
        let trimmed = stream.trim(trim, options.policy());
        Some((trimmed, trim.is_approximate.then(|| kept(stream, trim.keep, &options))))
    });
    let Ok(changed) = changed else { return };
    let (trimmed, kept) = changed.and_then(|changed| changed.result).unwrap_or_default();
    ctx.reply.int(trimmed as i64);
    if trimmed == 0 {
        return;
    }
    ctx.modified(key, KeyspaceEvents::STREAM, "xtrim");
    ctx.keyspace.counters.dirty += trimmed - 1;
    if kept.is_some() && ctx.effects.on {
        ctx.replicate(&options.resolved(arguments, None, kept.as_deref()));
    }
}
