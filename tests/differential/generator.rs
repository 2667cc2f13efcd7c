//! Random commands from the grammar, with arguments chosen so that they meet: few keys, numbers at the edges
//! of their types, and now and then a command that is wrong on purpose.

use super::common::Random;
use super::grammar::{COMMANDS, NEWER_COMMANDS, Part, SUBSCRIPTIONS, parse};

/// Few keys, so that commands meet: plain, of one slot, empty, binary, long.
const KEYS: [&[u8]; 12] = [
    b"a",
    b"b",
    b"c",
    b"{t}1",
    b"{t}2",
    b"{t}3",
    b"",
    b"\x00\xff\r\n",
    b"foo{}{bar}",
    b"{}x",
    b"key:7",
    b"n",
];
/// Keys that mostly hold a list.
const LISTS: [&[u8]; 4] = [b"l", b"list", b"{t}l", b"{t}list"];
/// What DUMP of Redis 7.0 answers for values of each type, and what it never does.
const PAYLOADS: [&[u8]; 9] = [
    b"\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb",
    b"\x12\x01\x02\x0f\x0f\x00\x00\x00\x03\x00\x81a\x02\x05\x01\x81a\x02\xff\n\x00\xa25\xf5\xc5 \xa0b\xa3",
    b"\x10\x12\x12\x00\x00\x00\x04\x00\x81f\x02\x01\x01\x81g\x02\x81x\x02\xff\n\x00\xf2\xc5\xd7;[\x9b\xc3Z",
    b"\x0b\x0e\x02\x00\x00\x00\x03\x00\x00\x00\x01\x00\x02\x00\x03\x00\n\x00\xa5\x02\\\xe2mnM\x1b",
    b"\x11\x14\x14\x00\x00\x00\x04\x00\x81a\x02\x831.5\x04\x81b\x02\x02\x01\xff\n\x00\xfa\x02\xb4%\xaf\x18\x87c",
    b"\x02\x02\x01a\x01b\n\x00\xfed!%\xeb\x03=\r",
    b"\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbc",
    b"",
    b"payload",
];
/// Never zero: a client that nobody serves would wait for ever.
const TIMEOUTS: [&str; 7] = ["0.01", "0.01", "0.01", "0.002", "1e-3", "-1", "x"];
/// Keys that mostly hold a set.
const SETS: [&[u8]; 5] = [b"s", b"set", b"{t}s", b"{t}set", b"{t}union"];
/// Keys that few other commands use, so that streams live for a while.
const STREAM_KEYS: [&[u8]; 8] =
    [b"stream:1", b"stream:1", b"stream:1", b"stream:1", b"stream:1", b"{t}stream", b"{t}stream", b"a"];
/// Keys that mostly hold a HyperLogLog.
const SKETCHES: [&[u8]; 4] = [b"p", b"hll", b"{t}p", b"{t}hll"];
/// Keys that mostly hold a hash.
const HASHES: [&[u8]; 4] = [b"h", b"hash", b"{t}h", b"{t}hash"];
/// Few fields of hashes, so that commands meet; one too long for a packed hash.
const FIELDS: [&[u8]; 10] = [
    b"f",
    b"g",
    b"h",
    b"1",
    b"-7",
    b"",
    b"\x00\xff",
    b"field",
    b"9223372036854775807",
    b"a field of more than sixty-four bytes makes a hash a table of its own..",
];
const INTEGERS: [&str; 22] = [
    "0",
    "1",
    "-1",
    "2",
    "7",
    "10",
    "63",
    "64",
    "100",
    "255",
    "256",
    "-128",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "9223372036854775806",
    "-9223372036854775809",
    "+1",
    " 1",
    "01",
    "1.0",
    "",
];
const FLOATS: [&str; 24] = [
    "0",
    "1",
    "-1",
    "0.1",
    "0.2",
    "-0.1",
    "1.5",
    "3.0e3",
    "1e17",
    "1e18",
    "1e-10",
    "123456789.123456789",
    "5e-324",
    "1.7976931348623157e308",
    "1e400",
    "inf",
    "-inf",
    "nan",
    "0x10",
    " 1",
    "1 ",
    "abc",
    "",
    "17179869184.0000001",
];
const VALUES: [&[u8]; 20] = [
    b"",
    b"a",
    b"abc",
    b"hello world",
    b"0",
    b"1",
    b"-1",
    b"10",
    b"3.14",
    b"1e5",
    b"-0",
    b"007",
    b" 12",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"\x00\x01\x80\xff",
    b"ohmytext",
    b"mynewtext",
    b"a string of more than forty-four bytes, which is a raw one",
    b"12345678901234567890",
];
/// Scores that 7.0 and 7.2 print alike, and so do their sums and products.
const SCORES: [&str; 22] = [
    "0",
    "1",
    "-1",
    "2",
    "3",
    "7",
    "1.5",
    "-2.5",
    "0.25",
    "10",
    "100",
    "3e3",
    "inf",
    "-inf",
    "+Infinity",
    "-0",
    "0x10",
    "nan",
    "1e400",
    " 1",
    "",
    "x",
];
const BOUNDS: [&str; 18] = [
    "0", "1", "(1", "-1", "(2", "3", "10", "(10", "-inf", "+inf", "(-inf", "(+inf", "1.5", "(7", "1e999", "",
    "(", "x",
];
const MEMBERS: [&[u8]; 16] = [
    b"a",
    b"b",
    b"c",
    b"d",
    b"e",
    b"m",
    b"n",
    b"10",
    b"-5",
    b"007",
    b"",
    b"\x00\xff",
    b"hello world",
    b"65536",
    b"9223372036854775807",
    b"z",
];
const PLACE_KEYS: [&str; 2] = ["{t}place", "place"];
const COORDINATES: [&str; 14] = [
    "13.361389",
    "38.115556",
    "15.087269",
    "37.502669",
    "0",
    "1",
    "-1",
    "-70.5",
    "84.9",
    "-85",
    "12.25",
    "38",
    "86",
    "x",
];
const DISTANCES: [&str; 10] = ["1", "0", "100", "200", "1000", "50000", "0.5", "2500000", "-1", "x"];
const UNITS: [&str; 6] = ["m", "km", "KM", "ft", "mi", "yd"];
const LEX_KEYS: [&str; 2] = ["{t}lex", "lex"];
const LEX_BOUNDS: [&str; 16] =
    ["-", "+", "-", "+", "[a", "(a", "[c", "(c", "[m", "(m", "[10", "(", "[", "[zz", "a", ""];
const OFFSETS: [&str; 12] =
    ["0", "1", "3", "7", "100", "300", "-1", "536870912", "9223372036854775807", "x", "5", "12"];
const BITS: [&str; 13] =
    ["0", "1", "7", "8", "9", "100", "1000", "2047", "-1", "4294967296", "9223372036854775807", "x", "33"];
const FIELD_OFFSETS: [&str; 12] =
    ["0", "1", "7", "8", "100", "#0", "#1", "#5", "-1", "#-1", "x", "4294967296"];
const FIELD_TYPES: [&str; 14] =
    ["u8", "i8", "u1", "u63", "i64", "u64", "i65", "u0", "i5", "u16", "x8", "u", "i32", "i1"];
const INDEXES: [&str; 15] = [
    "0",
    "1",
    "2",
    "5",
    "-1",
    "-2",
    "-5",
    "100",
    "-100",
    "7",
    "20",
    "9223372036854775807",
    "-9223372036854775808",
    "x",
    "1.5",
];
const SMALL: [&str; 7] = ["1", "2", "5", "10", "0", "-1", "x"];
const DATABASES: [&str; 8] = ["0", "1", "2", "0", "1", "-1", "16", "x"];
const PATTERNS: [&[u8]; 10] =
    [b"*", b"?", b"{t}*", b"[a-b]", b"[^a]", b"a\\*", b"*{*", b"\xff*", b"nosuch", b"[b-a]*"];
const WORDS: [&str; 9] = ["nosuchcommand", "x", "a b", "default", "name", "set", "GETT", "", "bad\nname"];
/// XXH3 digests of "" and "a", of nothing here, too short, and none at all.
const DIGESTS: [&str; 5] = ["2d06800538d394c2", "e6c632b61e964e1f", "0000000000000000", "2d06", "x"];
/// Long ago, and far enough ahead to be nobody's clock; shared, so that equal times are compared too.
const UNIX_SECONDS: [&str; 8] =
    ["1", "1000000000", "33177117420", "33177117421", "9999999999", "0", "-1", "9223372036854775807"];
const UNIX_MS: [&str; 8] = [
    "1",
    "1000000000000",
    "33177117420000",
    "33177117420001",
    "9999999999999",
    "0",
    "-1",
    "9223372036854775807",
];

/// When the keys of a run expire that are given a time to live.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Long after the run, so that no reply depends on the moment.
    Far,
    /// Some of them within milliseconds.
    #[allow(dead_code, reason = "not every test that uses the generator lets keys expire")]
    Near,
}

/// Makes the commands of a run.
pub struct Generator {
    random: Random,
    expiry: Expiry,
    forms: Vec<(u32, Vec<Part>)>,
    total: u32,
    /// Milliseconds of the id that an entry of a stream had last.
    last_id: u64,
}

impl Generator {
    /// The same commands for the same stream.
    pub fn new(random: Random) -> Self {
        let forms: Vec<_> = COMMANDS.iter().map(|(weight, form)| (*weight, parse(form))).collect();
        let total = forms.iter().map(|(weight, _)| weight).sum();
        Self { random, expiry: Expiry::Far, forms, total, last_id: 1 }
    }

    /// Adds the commands that are newer than the distribution's Redis.
    #[allow(dead_code, reason = "not every test that uses the generator compares with Skerry itself")]
    pub fn with_newer_commands(mut self) -> Self {
        self.add(NEWER_COMMANDS);
        self
    }

    /// Adds subscriptions.
    #[allow(dead_code, reason = "as for with_newer_commands")]
    pub fn with_subscriptions(mut self) -> Self {
        self.add(SUBSCRIPTIONS);
        self
    }

    fn add(&mut self, commands: &[(u32, &'static str)]) {
        self.forms.extend(commands.iter().map(|(weight, form)| (*weight, parse(form))));
        self.total = self.forms.iter().map(|(weight, _)| weight).sum();
    }

    /// Sets when keys expire.
    #[allow(dead_code, reason = "as for Expiry::Near")]
    pub fn expiring(mut self, expiry: Expiry) -> Self {
        self.expiry = expiry;
        self
    }

    /// The next commands, about as many as `length`. Inside a transaction EXEC comes soon.
    pub fn pipeline(&mut self, length: usize, in_transaction: bool) -> Vec<Vec<Vec<u8>>> {
        let mut commands = Vec::with_capacity(length + 1);
        while commands.len() < length {
            let command = self.command(in_transaction);
            // Redis takes numbers for none after any earlier overflow, which stays in `errno`. A cursor clears that.
            if [b"SORT".as_slice(), b"SORT_RO"].iter().any(|name| command[0].eq_ignore_ascii_case(name)) {
                commands.push(["SSCAN", "none", "0"].map(|word| word.as_bytes().to_vec()).to_vec());
            }
            commands.push(command);
        }
        commands
    }

    fn command(&mut self, in_transaction: bool) -> Vec<Vec<u8>> {
        if in_transaction && self.random.one_in(5) {
            return vec![b"EXEC".to_vec()];
        }
        let forms = std::mem::take(&mut self.forms);
        let mut out = Vec::new();
        let chosen = self.pick_form(&forms);
        self.expand(&forms[chosen].1, &mut out);
        self.forms = forms;
        // COMMAND's subcommands and PFDEBUG count their arguments differently in 7.0 and 7.2. What blocks might do so for ever.
        let may_spoil = out[0] != b"COMMAND"
            && out[0] != b"PFDEBUG"
            // Without its number it would take a member by chance.
            && out[0] != b"SPOP"
            // 7.0 lets an id be smaller than that of a deleted entry.
            && out[0] != b"XSETID"
            // Else somebody might publish there.
            && !out[0].ends_with(b"SUBSCRIBE")
            && ![b"BL", b"BR", b"BZ"].iter().any(|head| out[0].starts_with(*head))
            && !out.contains(&b"BLOCK".to_vec())
            // All members of these have one score, which spoiling could change.
            && !out.get(1).is_some_and(|key| LEX_KEYS.iter().any(|lex| lex.as_bytes() == key));
        if self.random.one_in(40) && may_spoil {
            self.spoil(&mut out);
        }
        if self.random.one_in(20) {
            out[0] = out[0].to_ascii_lowercase();
        }
        out
    }

    fn pick_form(&mut self, forms: &[(u32, Vec<Part>)]) -> usize {
        let mut left = self.random.below(self.total as usize) as u32;
        forms
            .iter()
            .position(|(weight, _)| {
                let here = left < *weight;
                left = left.saturating_sub(*weight);
                here
            })
            .expect("weights add up to the total")
    }

    fn expand(&mut self, parts: &[Part], out: &mut Vec<Vec<u8>>) {
        for part in parts {
            match part {
                Part::Literal(word) => out.push(word.as_bytes().to_vec()),
                Part::Argument(kind) => {
                    let argument = self.argument(kind);
                    out.push(argument);
                }
                Part::Choice(choices) => {
                    let chosen = self.random.below(choices.len());
                    self.expand(&choices[chosen], out);
                }
                Part::Repeat(choices) => {
                    for _ in 0..=self.random.below(4) {
                        let chosen = self.random.below(choices.len());
                        self.expand(&choices[chosen], out);
                    }
                }
            }
        }
    }

    fn argument(&mut self, kind: &str) -> Vec<u8> {
        if self.expiry == Expiry::Near && self.random.one_in(2) {
            match kind {
                "ms" => return self.random.between(1, 40).to_string().into(),
                "unixms" | "futurems" => return (unix_ms() + self.random.between(1, 40)).to_string().into(),
                _ => {}
            }
        }
        let random = &mut self.random;
        let text = match kind {
            "list" if !random.one_in(12) => return random.pick(&LISTS).to_vec(),
            "set" if !random.one_in(12) => return random.pick(&SETS).to_vec(),
            "sketch" if !random.one_in(12) => return random.pick(&SKETCHES).to_vec(),
            "key" if random.one_in(6) => return random.pick(&LISTS).to_vec(),
            "key" if random.one_in(6) => return random.pick(&SETS).to_vec(),
            "key" if random.one_in(12) => return random.pick(&SKETCHES).to_vec(),
            "hash" if !random.one_in(12) => return random.pick(&HASHES).to_vec(),
            "key" if random.one_in(6) => return random.pick(&HASHES).to_vec(),
            "key" | "list" | "set" | "sketch" | "hash" => return random.pick(&KEYS).to_vec(),
            "field" if random.one_in(30) => return random.pick(&FIELDS).to_vec(),
            "field" => return random.pick(&FIELDS[..9]).to_vec(),
            "pattern" => return random.pick(&PATTERNS).to_vec(),
            "value" => return self.value(),
            "payload" => return random.pick(&PAYLOADS).to_vec(),
            "member" => return random.pick(&MEMBERS).to_vec(),
            "streamkey" => return random.pick(&STREAM_KEYS).to_vec(),
            "laterid" => {
                self.last_id += 1;
                return format!("{}-5", self.last_id).into();
            }
            "newid" | "entryid" | "behind" | "border" => return self.entry_id(kind),
            "length" => return random.between(0, 40).to_string().into(),
            "channel" => random.pick(&["ch:1", "ch:1", "ch:2", "ch:*", "ch:3"]),
            "group" => random.pick(&["g", "g", "g", "g", "g", "g", "h", "h", "none"]),
            "consumer" => random.pick(&["alice", "bob", "bob", ""]),
            // Either over or never.
            "wait" => random.pick(&["0", "0", "0", "-1", "9000000000", "x"]),
            "score" => random.pick(&SCORES),
            "bound" => random.pick(&BOUNDS),
            "placekey" => random.pick(&PLACE_KEYS),
            "coordinate" => random.pick(&COORDINATES),
            "distance" => random.pick(&DISTANCES),
            "unit" => random.pick(&UNITS),
            "lexkey" => random.pick(&LEX_KEYS),
            "lexbound" => random.pick(&LEX_BOUNDS),
            // Never so close to now that the test's own duration decides.
            "seconds" if !random.one_in(5) => return random.between(1_000, 1_000_000).to_string().into(),
            "ms" if !random.one_in(5) => return random.between(1_000_000, 1_000_000_000).to_string().into(),
            "integer" if random.one_in(3) => return random.between(-1_000, 1_000).to_string().into(),
            "seconds" | "ms" => {
                random.pick(&["0", "-1", "-100", "9223372036854775807", "x", "1.5", "-9223372036854775808"])
            }
            "integer" => random.pick(&INTEGERS),
            "float" => random.pick(&FLOATS),
            "timeout" => random.pick(&TIMEOUTS),
            "offset" => random.pick(&OFFSETS),
            "bit" => random.pick(&BITS),
            "fieldoffset" => random.pick(&FIELD_OFFSETS),
            "type" => random.pick(&FIELD_TYPES),
            "index" => random.pick(&INDEXES),
            "small" => random.pick(&SMALL),
            "database" => random.pick(&DATABASES),
            "word" => random.pick(&WORDS),
            "unix" => random.pick(&UNIX_SECONDS),
            "unixms" => random.pick(&UNIX_MS),
            "future" => random.pick(&UNIX_SECONDS[2..]),
            "futurems" => random.pick(&UNIX_MS[2..]),
            "digest" => random.pick(&DIGESTS),
            "kind" => random.pick(&["string", "STRING", "hash", "set", "stream", "nosuch"]),
            _ => panic!("the grammar names an unknown kind of argument: {kind}"),
        };
        text.as_bytes().to_vec()
    }

    /// The id of an entry of a stream: a new one ascends, others are mostly of those that were new lately.
    fn entry_id(&mut self, kind: &str) -> Vec<u8> {
        let random = &mut self.random;
        let special: &[&str] = match kind {
            "newid" => &["0-0", "0-1", "x", "5", "1-*", "+", "18446744073709551616"],
            "behind" => &["$", "$", ">", "0", "0", "-", "x"],
            "border" => &["-", "-", "-", "+", "+", "+", "(", "(0-0", "(+", "x"],
            _ => &["0", "0-0", "x", "$", "$", "-"],
        };
        if random.one_in(if kind == "border" { 2 } else { 12 }) {
            return random.pick(special).as_bytes().to_vec();
        }
        if kind == "newid" {
            self.last_id += random.below(3) as u64;
            let seq = random.pick(&["0", "1", "2", "*", "*"]);
            return format!("{}-{seq}", self.last_id).into();
        }
        let ms = self.last_id.saturating_sub(random.below(12) as u64);
        let open = if kind == "border" && random.one_in(4) { "(" } else { "" };
        match random.below(3) {
            0 => format!("{open}{ms}").into(),
            seq => format!("{open}{ms}-{}", seq - 1).into(),
        }
    }

    fn value(&mut self) -> Vec<u8> {
        match self.random.below(20) {
            0 => {
                let length = self.random.below(300);
                self.random.bytes(length)
            }
            1 => self.random.between(-200, 20_000).to_string().into(),
            _ => self.random.pick(&VALUES).to_vec(),
        }
    }

    /// Makes a command wrong, probably: an argument too few or too many, twice, elsewhere, or of another kind.
    fn spoil(&mut self, out: &mut Vec<Vec<u8>>) {
        let position = self.random.below(out.len());
        match self.random.below(6) {
            0 => drop(out.pop().filter(|_| !out.is_empty())),
            1 => out.push(self.random.pick(&["", "x", "NX", "EX", "1", "GET"]).as_bytes().to_vec()),
            2 if position > 0 => drop(out.remove(position)),
            3 if position > 0 => out.insert(position, out[position].clone()),
            4 if position > 0 => {
                out[position] = self.random.pick(&["", "x", "-1", "NX", "0"]).as_bytes().to_vec()
            }
            // Behind the value only: a value in the place of a time could be one that ends during the run.
            _ if out.len() > 4 => {
                let other = 3 + self.random.below(out.len() - 3);
                out.swap(3, other);
            }
            _ => {}
        }
        if out.is_empty() {
            out.push(b"PING".to_vec());
        }
        // Only 7.2 knows a fourth argument of these.
        let is_rank = [b"ZRANK".as_slice(), b"ZREVRANK"].iter().any(|name| out[0].eq_ignore_ascii_case(name));
        if is_rank {
            out.truncate(3);
        }
    }
}

fn unix_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}
