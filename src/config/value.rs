//! Values of directives: their kinds, how each kind reads its words and how CONFIG GET spells it. Which
//! directive is of which kind is in the table; how a value is written to a file is in `rewrite`.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::choice::{KeyspaceEvents, Names, ShutdownFlags};
use super::words::{parse_memory, parse_whole};
use crate::base::number;

/// Addresses in one `bind`, at most.
const BIND_ADDRESSES_MAX: usize = 16;

/// A check of a text beyond its kind; the error is the reason that the client reads.
pub(super) type Check = fn(&[u8]) -> Result<(), &'static str>;

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// Decimal digits.
    Decimal,
    /// Octal digits, for file modes.
    Octal,
    /// Bytes, with units (`64mb`).
    Memory,
    /// Bytes, or a percentage, which is kept as a negative number.
    MemoryOrPercent,
}

/// What a directive takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `yes` or `no`.
    YesNo,
    /// A number within inclusive bounds.
    Integer {
        /// The least value.
        min: i128,
        /// The greatest value.
        max: i128,
        /// How it is written.
        notation: Notation,
    },
    /// Any bytes. An optional one that is empty counts as not set, and is not written to a file.
    Text {
        /// Whether empty means "not set".
        optional: bool,
    },
    /// One name of several.
    Choice(Names),
    /// A set of names of which the numbers are [`ShutdownFlags`].
    Shutdown(Names),
    /// Pairs of seconds and changes.
    Save,
    /// Groups of class, hard limit, soft limit, seconds.
    OutputBufferLimits,
    /// Three numbers: primary, replica, background child.
    OomScores,
    /// Letters of [`KeyspaceEvents`].
    Events,
    /// Addresses to listen on.
    Bind,
    /// `host port`, or `no one`.
    ReplicaOf,
    /// Numbers from 0 to 100.
    Percentiles,
    /// A directory that exists; kept as an absolute path without links.
    Directory,
}

/// A save point: a snapshot is due when at least `changes` happened in `seconds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    /// Seconds, at least 1.
    pub seconds: u64,
    /// Changed keys.
    pub changes: u64,
}

/// Limits on the output that a client has not taken yet. Zero means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct OutputBufferLimit {
    /// Bytes from which the client is closed at once.
    pub hard_bytes: u64,
    /// Bytes from which it is closed when it stays above them too long.
    pub soft_bytes: u64,
    /// Seconds that it may stay above the soft limit.
    pub soft_seconds: u64,
}

/// Classes of clients with output limits of their own. The numbers index
/// [`Settings::client_output_buffer_limits`](super::Settings::client_output_buffer_limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientClass {
    /// Plain clients, MONITOR too.
    Normal = 0,
    /// Replicas.
    Replica = 1,
    /// Clients with a subscription.
    Pubsub = 2,
}

/// Names of [`ClientClass`] as CONFIG GET answers them.
pub(super) const CLIENT_CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

/// Where a replica finds its primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Primary {
    /// Host name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// The value of a directive.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of [`Kind::YesNo`].
    YesNo(bool),
    /// Of [`Kind::Integer`]; wide enough for the signed and the unsigned ones. A percentage is negative.
    Integer(i128),
    /// Of [`Kind::Text`] and [`Kind::Directory`].
    Text(Vec<u8>),
    /// Of [`Kind::Choice`] and [`Kind::Shutdown`].
    Choice(u32),
    /// Of [`Kind::Save`].
    Save(Vec<SavePoint>),
    /// Of [`Kind::OutputBufferLimits`], by [`ClientClass`].
    OutputBufferLimits([OutputBufferLimit; 3]),
    /// Of [`Kind::OomScores`].
    OomScores([i32; 3]),
    /// Of [`Kind::Events`].
    Events(KeyspaceEvents),
    /// Of [`Kind::Bind`].
    Addresses(Vec<Vec<u8>>),
    /// Of [`Kind::ReplicaOf`].
    Primary(Option<Primary>),
    /// Of [`Kind::Percentiles`].
    Percentiles(Vec<f64>),
}

impl Kind {
    /// The value that `words` name. `previous` is the value so far: limits of classes that are not named stay,
    /// and a relative directory starts from it. The error is the reason as Redis words it.
    pub(super) fn parse(&self, words: &[&[u8]], previous: &Value) -> Result<Value, String> {
        match *self {
            Kind::YesNo => parse_yes_no(only(words)?),
            Kind::Integer { min, max, notation } => parse_integer(only(words)?, min, max, notation),
            Kind::Text { .. } => Ok(Value::Text(only(words)?.to_vec())),
            Kind::Choice(names) if words.len() != 1 => Err(must_be_one_of(names)),
            Kind::Choice(names) => parse_choice(words, names),
            Kind::Shutdown(names) => parse_shutdown(words, names),
            Kind::Save => parse_save(words),
            Kind::OutputBufferLimits => parse_limits(words, previous),
            Kind::OomScores => parse_oom_scores(words),
            Kind::Events => KeyspaceEvents::parse(only(words)?)
                .map(Value::Events)
                .ok_or_else(|| "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".to_owned()),
            Kind::Bind => parse_bind(words),
            Kind::ReplicaOf => parse_replicaof(words),
            Kind::Percentiles => parse_percentiles(words),
            Kind::Directory => parse_directory(only(words)?, previous),
        }
    }

    /// The value as CONFIG GET answers it.
    pub(super) fn format(&self, value: &Value) -> Vec<u8> {
        match value {
            Value::YesNo(yes) => yes_no(*yes).into(),
            Value::Integer(number) => self.format_integer(*number).into_bytes(),
            Value::Text(text) => text.clone(),
            Value::Choice(number) => self.format_choice(*number).into_bytes(),
            Value::Save(points) => join(points.iter().map(|p| format!("{} {}", p.seconds, p.changes))),
            Value::OutputBufferLimits(limits) => {
                join(limits.iter().zip(CLIENT_CLASSES).map(|(limit, class)| {
                    format!("{class} {} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft_seconds)
                }))
            }
            Value::OomScores(scores) => join(scores.iter().map(i32::to_string)),
            Value::Events(events) => events.letters().into_bytes(),
            Value::Addresses(addresses) => addresses.join(&b' '),
            Value::Primary(None) => Vec::new(),
            Value::Primary(Some(primary)) => format!("{} {}", primary.host, primary.port).into_bytes(),
            Value::Percentiles(numbers) => join(numbers.iter().map(|number| format_percentile(*number))),
        }
    }

    fn format_integer(&self, number: i128) -> String {
        match self {
            Kind::Integer { notation: Notation::Octal, .. } => format!("{number:o}"),
            Kind::Integer { notation: Notation::MemoryOrPercent, .. } if number < 0 => {
                format!("{}%", -number)
            }
            _ => number.to_string(),
        }
    }

    /// The name of the number, or for a set the names of its bits.
    pub(super) fn format_choice(&self, number: u32) -> String {
        let (Kind::Choice(names) | Kind::Shutdown(names)) = self else { return String::new() };
        match names.iter().find(|(_, known)| *known == number) {
            Some((name, _)) => (*name).to_owned(),
            None => {
                let bits = names.iter().filter(|(_, bit)| number & bit != 0).map(|(name, _)| *name);
                bits.collect::<Vec<_>>().join(" ")
            }
        }
    }
}

pub(super) fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// Up to six decimals, without trailing zeros.
pub(super) fn format_percentile(number: f64) -> String {
    let text = format!("{number:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn join(parts: impl Iterator<Item = String>) -> Vec<u8> {
    parts.collect::<Vec<_>>().join(" ").into_bytes()
}

fn only<'a>(words: &[&'a [u8]]) -> Result<&'a [u8], String> {
    match words {
        [word] => Ok(word),
        _ => Err("wrong number of arguments".to_owned()),
    }
}

/// Whether the words stand for "nothing": none at all, or one that is empty.
fn is_empty(words: &[&[u8]]) -> bool {
    matches!(words, [] | [[]])
}

fn parse_yes_no(word: &[u8]) -> Result<Value, String> {
    match word.to_ascii_lowercase().as_slice() {
        b"yes" => Ok(Value::YesNo(true)),
        b"no" => Ok(Value::YesNo(false)),
        _ => Err("argument must be 'yes' or 'no'".to_owned()),
    }
}

fn parse_integer(word: &[u8], min: i128, max: i128, notation: Notation) -> Result<Value, String> {
    let (number, refusal) = match notation {
        Notation::Decimal => {
            (number::parse_i64(word).map(i128::from), "argument couldn't be parsed into an integer")
        }
        Notation::Octal => (parse_whole(word, 8), "argument couldn't be parsed as an octal number"),
        Notation::Memory => (parse_memory(word), "argument must be a memory value"),
        Notation::MemoryOrPercent => (
            parse_memory(word).or_else(|| parse_percent(word).map(|percent| -percent)),
            "argument must be a memory or percent value",
        ),
    };
    let number = number.ok_or_else(|| refusal.to_owned())?;
    if (min..=max).contains(&number) {
        return Ok(Value::Integer(number));
    }
    Err(match notation {
        Notation::Octal => format!("argument must be between {min:o} and {max:o} inclusive"),
        Notation::MemoryOrPercent if number < 0 => {
            format!("percentage argument must be less or equal to {}", -min)
        }
        _ => format!("argument must be between {min} and {max} inclusive"),
    })
}

fn parse_percent(word: &[u8]) -> Option<i128> {
    let percent = number::parse_i64(word.strip_suffix(b"%")?)?;
    (percent >= 0).then_some(i128::from(percent))
}

fn must_be_one_of(names: Names) -> String {
    let names: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
    format!("argument(s) must be one of the following: {}", names.join(", "))
}

fn parse_choice(words: &[&[u8]], names: Names) -> Result<Value, String> {
    let mut numbers = 0;
    for word in words {
        let known = names.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word));
        numbers |= known.ok_or_else(|| must_be_one_of(names))?.1;
    }
    Ok(Value::Choice(numbers))
}

fn parse_shutdown(words: &[&[u8]], names: Names) -> Result<Value, String> {
    if words.is_empty() {
        return Err(must_be_one_of(names));
    }
    let value = parse_choice(words, names)?;
    let both = (ShutdownFlags::SAVE | ShutdownFlags::NOSAVE).bits();
    match value {
        Value::Choice(bits) if bits & both == both => {
            Err("shutdown options SAVE and NOSAVE can't be used simultaneously".to_owned())
        }
        value => Ok(value),
    }
}

fn parse_save(words: &[&[u8]]) -> Result<Value, String> {
    let words = if is_empty(words) { &[] } else { words };
    let (pairs, rest) = words.as_chunks::<2>();
    let point = |[seconds, changes]: &[&[u8]; 2]| {
        let seconds = parse_whole(seconds, 10).filter(|seconds| *seconds >= 1)?;
        let changes = parse_whole(changes, 10)?;
        Some(SavePoint { seconds: seconds.try_into().ok()?, changes: changes.try_into().ok()? })
    };
    let points: Option<Vec<SavePoint>> = pairs.iter().map(point).collect();
    match points {
        Some(points) if rest.is_empty() => Ok(Value::Save(points)),
        _ => Err("Invalid save parameters".to_owned()),
    }
}

fn parse_limits(words: &[&[u8]], previous: &Value) -> Result<Value, String> {
    let (groups, rest) = words.as_chunks::<4>();
    if !rest.is_empty() {
        return Err("Wrong number of arguments in buffer limit configuration.".to_owned());
    }
    let Value::OutputBufferLimits(mut limits) = *previous else { unreachable!("limits replace limits") };
    for [class, hard, soft, seconds] in groups {
        let class = client_class(class)
            .ok_or_else(|| "Invalid client class specified in buffer limit configuration.".to_owned())?;
        limits[class as usize] = parse_limit(hard, soft, seconds).ok_or_else(|| {
            "Error in hard, soft or soft_seconds setting in buffer limit configuration.".to_owned()
        })?;
    }
    Ok(Value::OutputBufferLimits(limits))
}

fn client_class(name: &[u8]) -> Option<ClientClass> {
    match name.to_ascii_lowercase().as_slice() {
        b"normal" => Some(ClientClass::Normal),
        b"slave" | b"replica" => Some(ClientClass::Replica),
        b"pubsub" => Some(ClientClass::Pubsub),
        _ => None,
    }
}

fn parse_limit(hard: &[u8], soft: &[u8], seconds: &[u8]) -> Option<OutputBufferLimit> {
    Some(OutputBufferLimit {
        hard_bytes: parse_memory(hard)?.try_into().ok()?,
        soft_bytes: parse_memory(soft)?.try_into().ok()?,
        soft_seconds: u64::from(u32::try_from(parse_whole(seconds, 10)?).ok()?),
    })
}

fn parse_oom_scores(words: &[&[u8]]) -> Result<Value, String> {
    let words: &[&[u8]; 3] = words.try_into().map_err(|_| "wrong number of arguments".to_owned())?;
    let mut scores = [0; 3];
    for (score, word) in scores.iter_mut().zip(words) {
        *score = parse_whole(word, 10)
            .filter(|score| (-2000..=2000).contains(score))
            .and_then(|score| i32::try_from(score).ok())
            .ok_or("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")?;
    }
    Ok(Value::OomScores(scores))
}

fn parse_bind(words: &[&[u8]]) -> Result<Value, String> {
    if words.len() > BIND_ADDRESSES_MAX {
        return Err("Too many bind addresses specified.".to_owned());
    }
    let words = if is_empty(words) { &[] } else { words };
    Ok(Value::Addresses(words.iter().map(|word| word.to_vec()).collect()))
}

fn parse_replicaof(words: &[&[u8]]) -> Result<Value, String> {
    let [host, port] = words else { return Err("wrong number of arguments".to_owned()) };
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        return Ok(Value::Primary(None));
    }
    let port = parse_whole(port, 10).and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or_else(|| "Invalid master port".to_owned())?;
    Ok(Value::Primary(Some(Primary { host: String::from_utf8_lossy(host).into_owned(), port })))
}

fn parse_percentiles(words: &[&[u8]]) -> Result<Value, String> {
    let words = if is_empty(words) { &[] } else { words };
    let percentile = |word: &&[u8]| {
        // No number has other letters, and the reader of numbers takes none.
        let number = word.is_ascii().then(|| number::parse_f64(word)).flatten();
        let number = number.ok_or("Invalid latency-tracking-info-percentiles parameters")?;
        if !(0.0..=100.0).contains(&number) {
            return Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]");
        }
        Ok(number)
    };
    let numbers: Result<Vec<f64>, &str> = words.iter().map(percentile).collect();
    Ok(Value::Percentiles(numbers?))
}

fn parse_directory(word: &[u8], previous: &Value) -> Result<Value, String> {
    let Value::Text(current) = previous else { unreachable!("a directory replaces a directory") };
    let path = Path::new(OsStr::from_bytes(current)).join(OsStr::from_bytes(word));
    // The separator at the end makes the system refuse what is no directory.
    let path = std::fs::canonicalize(path.join("")).map_err(|error| system_reason(&error))?;
    Ok(Value::Text(path.into_os_string().into_vec()))
}

/// The system's own words for an error, without the number that Rust adds.
pub(super) fn system_reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// A typed field read from a value. Panics when the type does not fit the directive: that is a fault of the
/// table, which its test finds.
pub(super) trait FromValue {
    fn from_value(value: &Value) -> Self;
}

/// Implements [`FromValue`] for types that one variant holds.
macro_rules! from_variant {
    ($($type:ty: $pattern:pat => $result:expr;)+) => {$(
        impl FromValue for $type {
            fn from_value(value: &Value) -> Self {
                match value {
                    $pattern => $result,
                    other => panic!("{other:?} is no {}", stringify!($type)),
                }
            }
        }
    )+};
}

from_variant! {
    bool: Value::YesNo(yes) => *yes;
    Vec<u8>: Value::Text(text) => text.clone();
    PathBuf: Value::Text(text) => PathBuf::from(OsStr::from_bytes(text));
    Option<PathBuf>: Value::Text(text) => (!text.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(text)));
    Option<String>: Value::Text(text) => (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned());
    ShutdownFlags: Value::Choice(bits) => ShutdownFlags::from_bits_truncate(*bits);
    Vec<SavePoint>: Value::Save(points) => points.clone();
    [OutputBufferLimit; 3]: Value::OutputBufferLimits(limits) => *limits;
    KeyspaceEvents: Value::Events(events) => *events;
    Vec<String>: Value::Addresses(list) => list.iter().map(|a| String::from_utf8_lossy(a).into_owned()).collect();
    Option<Primary>: Value::Primary(primary) => primary.clone();
    Vec<f64>: Value::Percentiles(numbers) => numbers.clone();
}

/// Implements [`FromValue`] for integer types.
macro_rules! from_integer {
    ($($type:ty)+) => {$(
        impl FromValue for $type {
            fn from_value(value: &Value) -> Self {
                match value {
                    Value::Integer(number) => <$type>::try_from(*number)
                        .unwrap_or_else(|_| panic!("{number} is no {}", stringify!($type))),
                    other => panic!("{other:?} is no {}", stringify!($type)),
                }
            }
        }
    )+};
}

from_integer!(u16 u32 u64 usize i32 i64);
