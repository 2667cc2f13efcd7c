//! What is asked: request templates, the keys that go into them, and the replies they must get. Knows no sockets.

use crate::reply::Reply;
use crate::slot::{DigitHash, SlotSet};

/// Digits of a key's number.
const DIGITS: usize = 12;
/// What a template's text carries where a key's twelve digits go: `__rand__`, or `__rand:LOW-HIGH__` for a key of those slots.
const RANDOM: &str = "__rand";
/// What a template's text carries where the value goes.
const DATA: &str = "__data__";

/// The reply that a command must get.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expected {
    Status,
    Value(u64),
    Values(u64),
    Array(u64),
    /// Anything, but arrays must have that many elements, and nils are counted as missing.
    Anything(Option<u64>),
}

/// The sizes of what a template asks for.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Bytes of a value.
    pub value_size: usize,
    /// Keys of one `mget` or `mset`.
    pub multi_keys: usize,
    /// Elements that an array must have in reply to a command that the generator does not know.
    pub elements: Option<u64>,
}

/// How a reply compares with the expected one.
#[derive(PartialEq, Eq, Debug)]
pub enum Verdict {
    /// As expected.
    Right,
    /// As expected, but that many values were nil.
    Missing(u64),
    /// An error or something else, in words.
    Wrong(String),
}

/// Where a key's digits stand in a request, and which keys may go there.
struct KeyField {
    offset: usize,
    hash: DigitHash,
    slots: SlotSet,
}

/// One request, of one or more commands, ready to send but for its keys' digits.
pub struct Template {
    bytes: Vec<u8>,
    keys: Vec<KeyField>,
    expected: Vec<Expected>,
}

impl Template {
    /// Compiles `text`: words separated by blanks, commands by ` ; `. A single word that names one of the built-in
    /// requests (`get`, `set`, `mget`, `mset`, `exec`) stands for it. Keys are taken from `slots`.
    ///
    /// # Errors
    /// When the text is empty or names an impossible range of slots.
    pub fn compile(text: &str, shape: Shape, slots: &SlotSet) -> Result<Self, String> {
        let text = built_in(text.trim(), shape.multi_keys);
        let mut template = Self { bytes: Vec::new(), keys: Vec::new(), expected: Vec::new() };
        let mut queued = None;
        for command in text.split(';') {
            let words: Vec<&str> = command.split_ascii_whitespace().collect();
            let name = words.first().ok_or("an empty command")?.to_ascii_uppercase();
            let expected = match (name.as_str(), queued) {
                ("MULTI", _) => {
                    queued = Some(0);
                    Expected::Status
                }
                ("EXEC", Some(count)) => {
                    queued = None;
                    Expected::Array(count)
                }
                (_, Some(count)) => {
                    queued = Some(count + 1);
                    Expected::Status
                }
                (name, None) => expected_reply(name, words.len() as u64 - 1, shape),
            };
            template.expected.push(expected);
            template.push_command(&words, shape.value_size, slots)?;
        }
        Ok(template)
    }

    /// How many replies one request gets.
    pub fn replies(&self) -> usize {
        self.expected.len()
    }

    /// Whether any key varies.
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Judges the reply to the request's command `index`.
    pub fn judge(&self, index: usize, reply: Reply) -> Verdict {
        match (self.expected[index], reply) {
            (_, Reply::Error(text)) => Verdict::Wrong(text),
            (_, Reply::Array(array)) if array.error.is_some() => {
                Verdict::Wrong(array.error.unwrap_or_default())
            }
            (Expected::Anything(_) | Expected::Value(_), Reply::Nil) => Verdict::Missing(1),
            (Expected::Anything(Some(count)), Reply::Array(array)) if array.length != count => {
                Verdict::Wrong(format!("an array of {} elements", array.length))
            }
            (Expected::Status, Reply::Status) | (Expected::Anything(_), _) => Verdict::Right,
            (Expected::Value(size), Reply::Bulk(length)) if size == length => Verdict::Right,
            (Expected::Values(count) | Expected::Array(count), Reply::Array(array))
                if array.length == count =>
            {
                if array.nils == 0 {
                    Verdict::Right
                } else {
                    Verdict::Missing(array.nils)
                }
            }
            (expected, reply) => Verdict::Wrong(format!("expected {expected:?}, got {reply:?}")),
        }
    }

    fn push_command(&mut self, words: &[&str], value_size: usize, slots: &SlotSet) -> Result<(), String> {
        self.bytes.extend(format!("*{}\r\n", words.len()).bytes());
        for word in words {
            let mut argument = Vec::new();
            let key = expand(word, value_size, &mut argument)?;
            self.bytes.extend(format!("${}\r\n", argument.len()).bytes());
            if let Some((digits_at, own_slots)) = key {
                let slots = own_slots.map_or_else(|| slots.clone(), |own| own.intersection(slots));
                let hash = DigitHash::new(&argument, digits_at);
                self.keys.push(KeyField { offset: self.bytes.len() + digits_at, hash, slots });
            }
            self.bytes.extend(argument);
            self.bytes.extend(b"\r\n");
        }
        Ok(())
    }
}

fn built_in(text: &str, multi_keys: usize) -> String {
    let key = format!("key:{RANDOM}__");
    match text.to_ascii_lowercase().as_str() {
        "get" => format!("GET {key}"),
        "set" => format!("SET {key} {DATA}"),
        "mget" => format!("MGET {}", vec![key; multi_keys].join(" ")),
        "mset" => format!("MSET {}", vec![format!("{key} {DATA}"); multi_keys].join(" ")),
        "exec" => format!("MULTI ; SET {key} {DATA} ; SET {key} {DATA} ; EXEC"),
        _ => text.to_owned(),
    }
}

fn expected_reply(name: &str, arguments: u64, shape: Shape) -> Expected {
    match name {
        "PING" if arguments == 0 => Expected::Status,
        "SET" if arguments == 2 => Expected::Status,
        "MSET" | "SELECT" | "AUTH" => Expected::Status,
        "GET" => Expected::Value(shape.value_size as u64),
        "MGET" => Expected::Values(arguments),
        _ => Expected::Anything(shape.elements),
    }
}

/// Writes `word` with its placeholders replaced. Returns where the digits of a key begin, and the key's own slots.
fn expand(
    word: &str,
    value_size: usize,
    out: &mut Vec<u8>,
) -> Result<Option<(usize, Option<SlotSet>)>, String> {
    let filled = word.replace(DATA, &"x".repeat(value_size));
    let Some((before, rest)) = filled.split_once(RANDOM) else {
        out.extend(filled.bytes());
        return Ok(None);
    };
    let (range, after) =
        rest.split_once("__").ok_or_else(|| format!("'{word}' has no end of its placeholder"))?;
    if after.contains(RANDOM) {
        return Err(format!("'{word}' has two random numbers in one argument"));
    }
    let slots = match range.strip_prefix(':') {
        Some(range) => Some(SlotSet::parse(range)?),
        None if range.is_empty() => None,
        None => return Err(format!("'{word}' has an unknown placeholder")),
    };
    out.extend(before.bytes().chain([b'0'; DIGITS]).chain(after.bytes()));
    Ok(Some((before.len(), slots)))
}

/// Which numbers the keys take.
pub enum Order {
    /// Uniformly random ones, from this generator's state.
    Random(SplitMix),
    /// All in turn, then none: this one comes next.
    Sequential(u64),
}

/// A burst of requests in one buffer, whose keys are drawn anew for every use.
pub struct Burst {
    template: std::rc::Rc<Template>,
    bytes: Vec<u8>,
    /// Per key field the slots that its keys must be in; none when any will do.
    filters: Vec<Option<SlotSet>>,
    key_count: u64,
    order: Order,
}

impl Burst {
    /// A burst of up to `pipeline` requests with keys numbered below `key_count` whose slots are all in `owned`.
    ///
    /// # Errors
    /// When a key field would find no key.
    pub fn new(
        template: std::rc::Rc<Template>,
        pipeline: usize,
        owned: &SlotSet,
        key_count: u64,
        order: Order,
    ) -> Result<Self, String> {
        let filters: Vec<Option<SlotSet>> = template
            .keys
            .iter()
            .map(|key| Some(key.slots.intersection(owned)).filter(|set| !set.is_all()))
            .collect();
        for (key, filter) in template.keys.iter().zip(&filters) {
            let finds_one =
                |slots: &SlotSet| (0..key_count).any(|number| slots.contains(key.hash.slot(split(number))));
            if !filter.as_ref().is_none_or(finds_one) {
                return Err("no key of the key space is in the slots asked for".into());
            }
        }
        let bytes = template.bytes.repeat(pipeline);
        Ok(Self { template, bytes, filters, key_count, order })
    }

    /// Draws the keys and returns the requests' bytes and how many they are: all, but for the end of a sequence.
    pub fn next(&mut self) -> (&[u8], usize) {
        let size = self.template.bytes.len();
        let mut requests = 0;
        for request in self.bytes.chunks_exact_mut(size) {
            for (key, filter) in self.template.keys.iter().zip(&self.filters) {
                let Some(digits) = draw(&mut self.order, self.key_count, &key.hash, filter.as_ref()) else {
                    return (&self.bytes[..requests * size], requests);
                };
                write_digits(&mut request[key.offset..key.offset + DIGITS], digits);
            }
            requests += 1;
        }
        (&self.bytes, requests)
    }
}

/// The next number, as groups of three digits, whose key passes the filter; rejected ones are simply drawn again.
fn draw(order: &mut Order, key_count: u64, hash: &DigitHash, filter: Option<&SlotSet>) -> Option<[u16; 4]> {
    loop {
        let number = match order {
            Order::Random(random) => random.below(key_count),
            Order::Sequential(next) if *next < key_count => {
                *next += 1;
                *next - 1
            }
            Order::Sequential(_) => return None,
        };
        let digits = split(number);
        if filter.is_none_or(|slots| slots.contains(hash.slot(digits))) {
            return Some(digits);
        }
    }
}

fn split(number: u64) -> [u16; 4] {
    let (high, low) = ((number / 1_000_000) as u32, (number % 1_000_000) as u32);
    [high / 1000 % 1000, high % 1000, low / 1000, low % 1000].map(|group| group as u16)
}

fn write_digits(out: &mut [u8], digits: [u16; 4]) {
    for (out, group) in out.chunks_exact_mut(3).zip(digits) {
        out.copy_from_slice(&[group / 100, group / 10 % 10, group % 10].map(|digit| b'0' + digit as u8));
    }
}

/// Vigna's SplitMix64: small, fast, and good enough to choose keys.
pub struct SplitMix(pub u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, by Lemire's multiplication without its rejection (the bias is below 2^-20 here).
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
#[path = "workload_test.rs"]
mod workload_test;
