//! MIGRATE: what it asks for, and what it does to the keys at both ends of the way to another server. The way itself is the
//! server floor's.
//!
//! Nothing is locked while another server has the word. So a key goes only if it is still what was sent.

use crate::base::number::push_i64;
use crate::command::args::{Cursor, integer, is_word};
use crate::command::context::{Context, KeyspaceEvents};
use crate::command::home::{Ask, HomeContext, MigrateRequest, Then};
use crate::command::keys::{Begin, Find, KeyFlags, KeySpec};
use crate::command::{Command, Flags, Group, Run};
use crate::rdb::dump;

const KEY_WITH_KEYS: &str =
    "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string";
/// How long another server may take for a step if nothing else is said.
const TIMEOUT_MS: u64 = 1000;
/// Where the options begin.
const OPTIONS_AT: usize = 6;
/// Arguments of [`migrate_drop`] for each key.
const DROP_STEP: usize = 3;

const FLAGS: KeyFlags = KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE);
const KEYS: &[KeySpec] = &[
    KeySpec::one(3, FLAGS),
    KeySpec {
        begin: Begin::Keyword { word: "KEYS", from: -2, options: OPTIONS },
        find: Find::Range { last: -1, step: 1, limit: 0 },
        flags: FLAGS.union(KeyFlags::INCOMPLETE),
    },
];
const OPTIONS: &[(&str, usize)] =
    &[("", OPTIONS_AT - 1), ("COPY", 0), ("REPLACE", 0), ("AUTH", 1), ("AUTH2", 2)];

/// The row of MIGRATE.
pub const COMMAND: Command = Command::new("migrate", -6, Group::Generic, Run::Home(migrate))
    .flags(Flags::WRITE.union(Flags::MOVABLE_KEYS))
    .keys(KEYS)
    .docs(
        "2.6.0",
        "Moves keys to another server.",
        "O(N) on either server where N is the size of the values.",
    )
    .tips(&["nondeterministic_output"])
    .categories(&["keyspace", "dangerous"]);

fn migrate(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    match parse(arguments) {
        Ok(request) => Then::Ask(Ask::Migrate(Box::new(request))),
        Err(error) => home.error(error),
    }
}

fn parse(arguments: &[&[u8]]) -> Result<MigrateRequest, &'static str> {
    let mut request = MigrateRequest {
        host: String::from_utf8_lossy(arguments[1]).into_owned(),
        // As `atoi` would, which makes zero of what is no port.
        port: integer(arguments[2]).ok().and_then(|port| u16::try_from(port).ok()).unwrap_or(0),
        keys: vec![arguments[3].into()],
        ..MigrateRequest::default()
    };
    let mut options = Cursor::new(arguments, OPTIONS_AT);
    while let Some(option) = options.take() {
        if is_word(option, "copy") {
            request.copies = true;
        } else if is_word(option, "replace") {
            request.replaces = true;
        } else if is_word(option, "auth") {
            request.password = Some(options.need()?.to_vec());
        } else if is_word(option, "auth2") {
            request.user = Some(options.need()?.to_vec());
            request.password = Some(options.need()?.to_vec());
        } else if is_word(option, "keys") {
            if !arguments[3].is_empty() {
                return Err(KEY_WITH_KEYS);
            }
            request.keys = std::iter::from_fn(|| options.take()).map(Box::from).collect();
        } else {
            return Err(crate::resp::error::SYNTAX);
        }
    }
    let timeout_ms = integer(arguments[5])?;
    request.database = integer(arguments[4])?;
    request.timeout_ms = u64::try_from(timeout_ms).ok().filter(|ms| *ms > 0).unwrap_or(TIMEOUT_MS);
    Ok(request)
}

/// `DEBUG MIGRATE-DUMP key …`: of each key the value as DUMP answers it, and the deadline or -1; two nulls without the key.
pub fn migrate_dump(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let config = ctx.config;
    ctx.reply.array(2 * (arguments.len() - 2));
    for key in &arguments[2..] {
        let entry = ctx.find(key).map(|entry| (dump(&entry, config), entry.expire_at()));
        match entry {
            Some((payload, expire)) => {
                ctx.reply.bulk(&payload);
                ctx.reply.int(expire.unwrap_or(-1));
            }
            None => (0..2).for_each(|_| ctx.reply.null()),
        }
    }
}

/// `DEBUG MIGRATE-DROP key deadline payload …`: removes the keys that are still what [`migrate_dump`] said. Replies of each key
/// whether it is gone.
pub fn migrate_drop(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let config = ctx.config;
    let mut effect: Vec<&[u8]> = vec![b"DEL"];
    ctx.reply.array((arguments.len() - 2) / DROP_STEP);
    for sent in arguments[2..].chunks_exact(DROP_STEP) {
        let (key, expire, payload) = (sent[0], sent[1], sent[2]);
        let is_same = ctx.peek(key).map(|entry| {
            let mut deadline = Vec::new();
            push_i64(&mut deadline, entry.expire_at().unwrap_or(-1));
            deadline == expire && dump(&entry, config) == payload
        });
        if is_same == Some(true)
            && let Some(entry) = ctx.remove(key)
        {
            ctx.keyspace.discard_entry(entry);
            ctx.modified(key, KeyspaceEvents::GENERIC, "del");
            effect.push(key);
        }
        ctx.reply.int(i64::from(is_same != Some(false)));
    }
    if effect.len() > 1 {
        ctx.replicate(&effect);
    }
}
