//! When two replies count as equal: byte for byte, but for what depends on chance or the clock, and for the
//! differences between Redis 7.0, which the tests run, and 7.2, which is the reference.

use super::common::Reply;

/// How far two servers' clocks and our own pace may put times apart, in milliseconds.
const TIME_TOLERANCE_MS: i64 = 20_000;

/// A known difference between the two versions of Redis.
pub struct Difference {
    /// The command, as words.
    pub command: &'static [&'static str],
    /// The reply of 7.0 and that of 7.2, in the form of the protocol without the line's end.
    pub replies: [&'static str; 2],
    /// What changed.
    pub reason: &'static str,
}

/// Every place where 7.0 and 7.2 are known to differ among the commands that both have and the tests send.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        command: &["COMMAND", "GETKEYS", "PING"],
        replies: [
            "-ERR wrong number of arguments for 'command|getkeys' command",
            "-ERR The command has no key arguments",
        ],
        reason: "7.0 asks for an argument behind the name, 7.2 takes commands without any",
    },
    Difference {
        command: &["COMMAND", "GETKEYSANDFLAGS", "GET"],
        replies: [
            "-ERR wrong number of arguments for 'command|getkeysandflags' command",
            "-ERR Invalid number of arguments specified for command",
        ],
        reason: "as for COMMAND GETKEYS",
    },
    Difference {
        command: &["CLIENT", "NO-TOUCH", "on"],
        replies: ["-ERR unknown subcommand 'NO-TOUCH'. Try CLIENT HELP.", "+OK"],
        reason: "new in 7.2",
    },
    Difference {
        command: &["CLIENT", "SETINFO", "lib-name", "x"],
        replies: ["-ERR unknown subcommand 'SETINFO'. Try CLIENT HELP.", "+OK"],
        reason: "new in 7.2",
    },
];

/// How errors begin that 7.2 words otherwise: it shows the command's name in other letters, and looks at what was deleted
/// before it looks at what is there.
const REWORDED: [&[u8]; 2] = [b"ERR Unbalanced ", b"ERR The ID specified in XSETID is smaller than "];

fn known_difference(command: &[Vec<u8>], redis: &Reply, ours: &Reply) -> bool {
    let shows = |reply: &Reply, text: &str| format!("{reply:?}").replace("\\'", "'") == text;
    DIFFERENCES.iter().any(|row| {
        command.iter().map(Vec::as_slice).eq(row.command.iter().map(|word| word.as_bytes()))
            && shows(redis, row.replies[0])
            && shows(ours, row.replies[1])
    })
}

/// Whether the replies to a command count as equal; `queued` are the commands of its transaction.
pub fn equal(command: &[Vec<u8>], queued: &[Vec<Vec<u8>>], redis: &Reply, ours: &Reply) -> bool {
    let name = command_name(command);
    if redis == ours || known_difference(command, redis, ours) {
        return true;
    }
    match (redis, ours) {
        (Reply::Error(left), Reply::Error(right)) => {
            REWORDED.iter().any(|start| left.starts_with(start) && right.starts_with(start))
        }
        (Reply::Error(_), _) | (_, Reply::Error(_)) => false,
        (Reply::Array(left), Reply::Array(right)) if name == "EXEC" => {
            let mut each = left.iter().zip(right).zip(queued);
            // Subscriptions of a transaction begin and end before its other commands.
            let subscribes = queued.iter().any(|command| command_name(command).ends_with("SUBSCRIBE"));
            let is_count = |command: &[Vec<u8>]| subscribes && command_name(command).starts_with("PUBSUB");
            left.len() == right.len()
                && left.len() == queued.len()
                && each.all(|((left, right), command)| {
                    equal(command, &[], left, right) || is_count(command) && same_kind(left, right)
                })
        }
        _ if name == "SORT" || name == "SORT_RO" => equally_sorted(command, redis, ours),
        _ => {
            let has_count = command.iter().any(|word| word.eq_ignore_ascii_case(b"COUNT"));
            equal_by_chance(&name, has_count, redis, ours)
        }
    }
}

/// A constant BY leaves a set in an order of its own, and ALPHA compares texts as far as their first zero byte.
fn equally_sorted(command: &[Vec<u8>], redis: &Reply, ours: &Reply) -> bool {
    let has = |word: &str| command.iter().any(|argument| argument.eq_ignore_ascii_case(word.as_bytes()));
    let is_constant = |pair: &[Vec<u8>]| pair[0].eq_ignore_ascii_case(b"BY") && !pair[1].contains(&b'*');
    let until_zero = |reply: &Reply| -> Vec<Vec<u8>> {
        let texts = reply.items().iter().map(|item| if item.is_nil() { b"" } else { item.bytes() });
        texts.map(|text| text.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()).collect()
    };
    if !same_shape(redis, ours) || matches!(redis, Reply::Integer(_)) {
        return false;
    }
    let same = has("LIMIT") || sorted(redis) == sorted(ours);
    let no_order = command.windows(2).any(is_constant);
    same && (no_order || has("ALPHA") && (has("GET") || until_zero(redis) == until_zero(ours)))
}

/// Equal but for chance, clocks and what differs from process to process.
fn equal_by_chance(name: &str, has_count: bool, redis: &Reply, ours: &Reply) -> bool {
    match name {
        "KEYS" | "HKEYS" | "HVALS" | "PUBSUB CHANNELS" | "PUBSUB SHARDCHANNELS" => {
            sorted(redis) == sorted(ours)
        }
        "HGETALL" => sorted_pairs(redis) == sorted_pairs(ours),
        "SMEMBERS" | "SINTER" | "SUNION" | "SDIFF" | "SPOP" => {
            same_kind(redis, ours) && sorted(redis) == sorted(ours)
        }
        // The cursors differ; whole iterations are compared elsewhere.
        "SCAN" | "SSCAN" | "ZSCAN" | "HSCAN" | "TIME" => same_shape(redis, ours),
        "SRANDMEMBER" | "ZRANDMEMBER" | "HRANDFIELD" => same_shape(redis, ours),
        "RANDOMKEY" => redis.is_nil() == ours.is_nil(),
        "TTL" | "EXPIRETIME" => near(redis, ours, TIME_TOLERANCE_MS / 1000),
        "HTTL" | "HEXPIRETIME" => each_near(redis, ours, TIME_TOLERANCE_MS / 1000),
        "HPTTL" | "HPEXPIRETIME" => each_near(redis, ours, TIME_TOLERANCE_MS),
        "PTTL" | "PEXPIRETIME" => near(redis, ours, TIME_TOLERANCE_MS),
        // Redis compares a cached clock with a fresh one there, and wraps now and then.
        "OBJECT IDLETIME" | "CLIENT ID" | "MEMORY USAGE" => same_shape(redis, ours),
        // 7.0 has no list without a quicklist around it, and packs no sets.
        "OBJECT ENCODING" => {
            let unpacked = [b"quicklist".as_slice(), b"hashtable"];
            unpacked.contains(&redis.bytes()) && ours.bytes() == b"listpack"
        }
        // Which of several members at one distance are the nearest is up to the sorting.
        "GEOSEARCH" | "GEORADIUS" | "GEORADIUSBYMEMBER" | "GEORADIUS_RO" | "GEORADIUSBYMEMBER_RO" => {
            sorted(redis) == sorted(ours) || has_count && distances(redis) == distances(ours)
        }
        // Without names it is all of them, as they come in a table: one reply each, with how many are left.
        "UNSUBSCRIBE" | "PUNSUBSCRIBE" | "SUNSUBSCRIBE" => unsubscribed(redis) == unsubscribed(ours),
        "HELLO" => greeting(redis) == greeting(ours),
        "XPENDING" => without_idle_times(redis) == without_idle_times(ours),
        "XINFO STREAM" => stream_facts(redis) == stream_facts(ours),
        // 7.2 creates a consumer that claims nothing, 7.0 does not.
        "XGROUP CREATECONSUMER" => same_shape(redis, ours),
        "XINFO CONSUMERS" => consumers(redis) == consumers(ours),
        "XINFO GROUPS" => groups(redis.items()) == groups(ours.items()),
        _ => false,
    }
}

fn near(redis: &Reply, ours: &Reply, tolerance: i64) -> bool {
    match (redis, ours) {
        // Negative numbers say that there is no key or no time.
        (Reply::Integer(left), Reply::Integer(right)) => {
            *left >= 0 && *right >= 0 && left.abs_diff(*right) <= tolerance as u64
        }
        _ => false,
    }
}

fn each_near(redis: &Reply, ours: &Reply, tolerance: i64) -> bool {
    let mut pairs = redis.items().iter().zip(ours.items());
    same_shape(redis, ours) && pairs.all(|(redis, ours)| redis == ours || near(redis, ours, tolerance))
}

fn sorted(reply: &Reply) -> Option<Vec<Reply>> {
    let (Reply::Array(items) | Reply::Set(items)) = reply else { return None };
    let mut items = items.clone();
    items.sort();
    Some(items)
}

fn sorted_pairs(reply: &Reply) -> Option<Vec<(Reply, Reply)>> {
    let mut pairs: Vec<(Reply, Reply)> = match reply {
        Reply::Map(pairs) => pairs.clone(),
        Reply::Array(items) => items.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
        _ => return None,
    };
    pairs.sort();
    Some(pairs)
}

fn same_kind(redis: &Reply, ours: &Reply) -> bool {
    std::mem::discriminant(redis) == std::mem::discriminant(ours)
}

fn same_shape(redis: &Reply, ours: &Reply) -> bool {
    match (redis, ours) {
        (Reply::Array(left), Reply::Array(right)) => left.len() == right.len(),
        _ => same_kind(redis, ours),
    }
}

/// The names of several replies in order, and all else as it is.
fn unsubscribed(reply: &Reply) -> (Vec<Reply>, Vec<Reply>) {
    let Reply::Array(changes) = reply else { return (vec![reply.clone()], Vec::new()) };
    let part = |change: &Reply, index: usize| match change {
        Reply::Array(parts) | Reply::Push(parts) => parts.get(index).cloned().unwrap_or(Reply::Null),
        other => other.clone(),
    };
    let mut names: Vec<Reply> = changes.iter().map(|change| part(change, 1)).collect();
    names.sort();
    (names, changes.iter().flat_map(|change| [part(change, 0), part(change, 2)]).collect())
}

/// What GEOSEARCH and its kin say of each place, in order, if they say anything: the distance first.
fn distances(reply: &Reply) -> Option<Vec<Reply>> {
    let Reply::Array(places) = reply else { return None };
    let first_of = |place: &Reply| match place {
        Reply::Array(parts) => parts.get(1).filter(|part| matches!(part, Reply::Bulk(_))).cloned(),
        _ => None,
    };
    Some(places.iter().map(|place| first_of(place).unwrap_or(Reply::Null)).collect())
}

/// HELLO's fields without those whose values belong to one server.
fn greeting(reply: &Reply) -> Vec<(Reply, Reply)> {
    let mut pairs: Vec<(Reply, Reply)> = match reply {
        Reply::Map(pairs) => pairs.clone(),
        Reply::Array(items) => items.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
        other => vec![(other.clone(), Reply::Null)],
    };
    for (field, value) in &mut pairs {
        if ["version", "id", "mode"].contains(&field.text().as_str()) {
            *value = Reply::Null;
        }
    }
    pairs
}

/// XPENDING's list of entries without how long each was left alone.
fn without_idle_times(reply: &Reply) -> Vec<Reply> {
    let mut entries = reply.items().to_vec();
    for entry in &mut entries {
        if let Reply::Array(parts) = entry {
            parts.get_mut(2).into_iter().for_each(|idle| *idle = Reply::Null);
        }
    }
    entries
}

/// The value of a field of a map, in either protocol.
fn field(map: &Reply, name: &str) -> Reply {
    match map {
        Reply::Map(pairs) => {
            pairs.iter().find(|(field, _)| field.text() == name).map(|(_, value)| value.clone())
        }
        other => {
            other.items().chunks_exact(2).find(|pair| pair[0].text() == name).map(|pair| pair[1].clone())
        }
    }
    .unwrap_or(Reply::Null)
}

/// Name and number of pending entries of each consumer that has any; 7.2 has one more field than 7.0.
fn consumers(reply: &Reply) -> Vec<(Reply, Reply)> {
    let facts = |consumer: &Reply| (field(consumer, "name"), field(consumer, "pending"));
    reply.items().iter().map(facts).filter(|(_, pending)| *pending != Reply::Integer(0)).collect()
}

/// What is known of groups besides the number of their consumers.
fn groups(groups: &[Reply]) -> Vec<Reply> {
    let names = ["name", "last-delivered-id", "entries-read", "lag", "pel-count", "pending"];
    let facts = groups.iter().flat_map(|group| names.iter().map(|name| field(group, name)));
    // XINFO STREAM lists what is pending, with times; elsewhere it is a number.
    facts.filter(|fact| !matches!(fact, Reply::Array(_))).collect()
}

/// What XINFO STREAM says that is no time, nor about Redis's radix tree.
fn stream_facts(reply: &Reply) -> Vec<Reply> {
    let names = [
        "length",
        "last-generated-id",
        "max-deleted-entry-id",
        "entries-added",
        "recorded-first-entry-id",
        "first-entry",
        "last-entry",
        "entries",
    ];
    let mut facts: Vec<Reply> = names.iter().map(|name| field(reply, name)).collect();
    match field(reply, "groups") {
        Reply::Array(all) => facts.extend(groups(&all)),
        number => facts.push(number),
    }
    facts
}

/// The name of a command in upper case, with the subcommand for those that have any.
pub fn command_name(command: &[Vec<u8>]) -> String {
    let word = |index: usize| {
        command.get(index).map_or_else(String::new, |word| String::from_utf8_lossy(word).to_ascii_uppercase())
    };
    match word(0).as_str() {
        container @ ("OBJECT" | "CLIENT" | "PUBSUB" | "MEMORY" | "COMMAND" | "XINFO" | "XGROUP") => {
            format!("{container} {}", word(1))
        }
        name => name.to_owned(),
    }
}
