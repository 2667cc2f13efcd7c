//! Where a command's keys are: key specifications as Redis describes them, and their evaluation.

bitflags::bitflags! {
    /// What a command does with the keys of one specification.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct KeyFlags: u16 {
        /// Reads and changes.
        const RW = 1 << 0;
        /// Reads only.
        const RO = 1 << 1;
        /// Overwrites without reading.
        const OW = 1 << 2;
        /// Removes.
        const RM = 1 << 3;
        /// Returns or uses the value.
        const ACCESS = 1 << 4;
        /// Changes the value.
        const UPDATE = 1 << 5;
        /// Adds to the value.
        const INSERT = 1 << 6;
        /// Deletes from the value.
        const DELETE = 1 << 7;
        /// Looks like a key but is none (a channel).
        const NOT_KEY = 1 << 8;
        /// The specification does not find all keys.
        const INCOMPLETE = 1 << 9;
        /// The flags depend on the arguments.
        const VARIABLE_FLAGS = 1 << 10;
    }
}

/// Where the search for keys begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this argument.
    Index(usize),
    /// Behind a keyword.
    Keyword {
        /// The keyword.
        word: &'static str,
        /// From which argument on it is looked for, as clients are told; from the end when negative.
        from: i32,
        /// The options that may stand before it, and how many arguments each takes: with any given, nothing else may,
        /// and the search does not take an option's argument for the keyword. One without a name in front of them
        /// says how many arguments stand before all options. With the keyword among them the last one counts.
        options: &'static [(&'static str, usize)],
    },
    /// Not among the arguments: the keys follow from a value.
    Unknown,
}

/// How keys follow from where the search began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// Every `step` arguments up to `last`, which counts from the beginning or, negative, from the end (-1 is the last
    /// argument); with a `limit` of n only the first n-th part of the arguments.
    Range {
        /// Last key relative to the begin, or from the end when negative.
        last: i32,
        /// Arguments per key.
        step: usize,
        /// 0 or 1: all; n: the first n-th part.
        limit: usize,
    },
    /// As many keys as the argument `number` (from the begin) says, the first at `first`.
    Count {
        /// Offset of the number of keys.
        number: usize,
        /// Offset of the first key.
        first: usize,
        /// Arguments per key.
        step: usize,
    },
}

/// One key specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// Where the search begins.
    pub begin: Begin,
    /// How the keys follow.
    pub find: Find,
    /// What is done with them.
    pub flags: KeyFlags,
}

impl KeySpec {
    /// One key at argument `index`.
    pub const fn one(index: usize, flags: KeyFlags) -> Self {
        Self::range(index, 0, 1, flags)
    }

    /// Keys from argument `index` to `last` (relative to `index`; negative: from the end), one every `step`.
    pub const fn range(index: usize, last: i32, step: usize, flags: KeyFlags) -> Self {
        Self { begin: Begin::Index(index), find: Find::Range { last, step, limit: 0 }, flags }
    }

    /// As many keys as argument `index` says, right behind it, one every `step`.
    pub const fn counted(index: usize, step: usize, flags: KeyFlags) -> Self {
        Self { begin: Begin::Index(index), find: Find::Count { number: 0, first: 1, step }, flags }
    }

    /// Position of the key when the specification always finds exactly one there; else 0.
    pub const fn fixed_position(&self) -> usize {
        match (self.begin, self.find) {
            (Begin::Index(index), Find::Range { last: 0, .. }) => index,
            _ => 0,
        }
    }

    /// Arguments that belong to one key.
    pub const fn step(&self) -> usize {
        match self.find {
            Find::Range { step, .. } | Find::Count { step, .. } => step,
        }
    }

    /// Whether clients cannot be told where the keys are: they follow from a value, or from the last of several keywords.
    pub fn is_unknown(&self) -> bool {
        match self.begin {
            Begin::Index(_) => false,
            Begin::Keyword { word, options, .. } => options.iter().any(|(option, _)| *option == word),
            Begin::Unknown => true,
        }
    }

    /// Whether the keys are only read.
    pub const fn is_read_only(&self) -> bool {
        self.flags.contains(KeyFlags::RO)
    }

    /// Calls `found` with the position of every key in `arguments`. Positions beyond the arguments are left out.
    pub fn positions(&self, arguments: &[&[u8]], mut found: impl FnMut(usize)) {
        if let Located::Keys { first, end, step } = self.locate(arguments) {
            let mut at = first;
            while at < end.min(arguments.len()) {
                found(at);
                at += step;
            }
        }
    }

    /// The positions of the keys in `arguments`, checked as `COMMAND GETKEYS` checks them: `None` when the arguments
    /// do not fit the specification. No keyword, no keys.
    pub fn checked_positions(&self, arguments: &[&[u8]]) -> Option<Vec<usize>> {
        match self.locate(arguments) {
            Located::Nowhere => Some(Vec::new()),
            Located::Keys { first, end, step } if first < end && end <= arguments.len() => {
                Some((first..end).step_by(step).collect())
            }
            _ => None,
        }
    }

    fn locate(&self, arguments: &[&[u8]]) -> Located {
        let count = arguments.len();
        let begin = match self.begin {
            Begin::Index(index) => index,
            Begin::Keyword { word, from, options } => match find_keyword(arguments, word, from, options) {
                Some(at) => at + 1,
                None => return Located::Nowhere,
            },
            Begin::Unknown => return Located::Nowhere,
        };
        if begin >= count {
            return Located::Malformed;
        }
        match self.find {
            Find::Range { last, step, limit } => {
                let end = if last >= 0 {
                    begin + last as usize + 1
                } else {
                    let span = count - begin;
                    let span = if limit > 1 { span / limit } else { span };
                    (begin + span + 1).saturating_sub(last.unsigned_abs() as usize)
                };
                Located::Keys { first: begin, end, step }
            }
            Find::Count { number, first, step } => {
                let Some(keys) = arguments
                    .get(begin + number)
                    .and_then(|digits| crate::base::number::parse_i64(digits))
                    .and_then(|keys| usize::try_from(keys).ok())
                else {
                    return Located::Malformed;
                };
                let first = begin + first;
                Located::Keys { first, end: first.saturating_add(keys.saturating_mul(step)), step }
            }
        }
    }
}

/// Where a specification finds keys.
enum Located {
    /// From `first` on, before `end`, every `step`. They may lie beyond the arguments.
    Keys { first: usize, end: usize, step: usize },
    /// The keyword is not there, so there are none.
    Nowhere,
    /// The arguments do not fit.
    Malformed,
}

fn find_keyword(arguments: &[&[u8]], word: &str, from: i32, options: &[(&str, usize)]) -> Option<usize> {
    let is = |at: usize, word: &str| arguments[at].eq_ignore_ascii_case(word.as_bytes());
    if !options.is_empty() {
        let (before, options) = match options {
            [("", before), options @ ..] => (*before, options),
            _ => (0, options),
        };
        let mut at = 1 + before;
        let mut found = None;
        while at < arguments.len() {
            found = if is(at, word) { Some(at) } else { found };
            let Some((_, taken)) = options.iter().find(|(option, _)| is(at, option)) else { break };
            at += 1 + taken;
        }
        return found;
    }
    if from >= 0 {
        (from as usize..arguments.len()).find(|&at| is(at, word))
    } else {
        (1..=(arguments.len() as i32 + from).max(0) as usize).rev().find(|&at| is(at, word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(spec: KeySpec, line: &str) -> Vec<usize> {
        let arguments: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut found = Vec::new();
        spec.positions(&arguments, |at| found.push(at));
        found
    }

    #[test]
    fn ranges_and_counts() {
        assert_eq!(positions(KeySpec::one(1, KeyFlags::RO), "get a"), [1]);
        assert_eq!(positions(KeySpec::range(1, -1, 2, KeyFlags::OW), "mset a 1 b 2"), [1, 3]);
        assert_eq!(positions(KeySpec::range(1, -1, 1, KeyFlags::RO), "mget a b c"), [1, 2, 3]);
        assert_eq!(positions(KeySpec::counted(1, 2, KeyFlags::OW), "msetex 2 a 1 b 2 EX 5"), [2, 4]);
        assert_eq!(positions(KeySpec::counted(1, 1, KeyFlags::RO), "zunion x a b"), []);
    }

    #[test]
    fn keywords_behind_options() {
        let options = &[("COUNT", 1), ("GROUP", 2), ("NOACK", 0)];
        let begin = Begin::Keyword { word: "STREAMS", from: 1, options };
        let spec = KeySpec { begin, find: Find::Range { last: -1, step: 1, limit: 2 }, flags: KeyFlags::RO };
        assert_eq!(positions(spec, "xread streams a b 1 2"), [2, 3]);
        assert_eq!(positions(spec, "xread streams streams 1"), [2]);
        assert_eq!(positions(spec, "xreadgroup group streams streams NoAck count 1 Streams a >"), [8]);
        assert_eq!(positions(spec, "xread count streams"), []);
        let begin = Begin::Keyword { word: "STORE", from: 2, options: &[("", 1), ("BY", 1), ("STORE", 1)] };
        let last = KeySpec { begin, find: Find::Range { last: 0, step: 1, limit: 0 }, flags: KeyFlags::OW };
        assert_eq!(positions(last, "sort store store a by store store b"), [7]);
        assert_eq!(positions(spec, "xread x streams a 1"), []);
    }
}
