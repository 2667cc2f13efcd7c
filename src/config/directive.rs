//! What a directive is, and how one is found by name. The list of all of them is in `table`.

use super::choice::Names;
use super::table::{DIRECTIVES, FILE_ONLY};
use super::value::{Check, Kind, Notation, Value};

/// What the server makes of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It takes effect.
    Active,
    /// It is checked, kept and answered; what it governs does not exist yet.
    Later,
    /// It is checked, kept and answered; nothing here corresponds to what it governs in Redis.
    Meaningless,
}

bitflags::bitflags! {
    /// How a directive may be used.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u8 {
        /// CONFIG SET refuses it.
        const IMMUTABLE = 1;
        /// Its value is a secret: logs, MONITOR and the slow log leave it out.
        const SENSITIVE = 1 << 1;
        /// Patterns of CONFIG GET do not find it, only its full name does.
        const HIDDEN = 1 << 2;
        /// CONFIG SET needs `enable-protected-configs`.
        const PROTECTED = 1 << 3;
        /// It takes any number of words.
        const SEVERAL_ARGUMENTS = 1 << 4;
        /// CONFIG SET refuses it while the dataset loads.
        const DENIED_WHILE_LOADING = 1 << 5;
        /// Setting it to the value that it has counts as a change (files whose content may differ).
        const VOLATILE = 1 << 6;
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Directive {
    /// The name in lower case.
    pub name: &'static str,
    /// Another name of the same directive, an older one of Redis.
    pub alias: Option<&'static str>,
    /// What it takes.
    pub kind: Kind,
    /// Its default, as CONFIG SET takes it.
    pub default: &'static str,
    /// How it may be used.
    pub flags: Flags,
    /// What the server makes of it.
    pub status: Status,
    /// A check beyond the kind.
    pub(super) check: Option<Check>,
    /// Bounds to which an accepted number is silently brought.
    pub(super) clamp: Option<(i128, i128)>,
}

/// The directive of that name or alias, in any case, with the name that matched. Logarithmic for names.
pub fn lookup(name: &[u8]) -> Option<(&'static Directive, &'static str)> {
    let name = name.to_ascii_lowercase();
    if let Ok(index) = DIRECTIVES.binary_search_by(|row| row.name.as_bytes().cmp(&name)) {
        return Some((&DIRECTIVES[index], DIRECTIVES[index].name));
    }
    DIRECTIVES.iter().find_map(|row| {
        let alias = row.alias.filter(|alias| alias.as_bytes() == name)?;
        Some((row, alias))
    })
}

/// Whether a file or the command line may name it: a row, an alias, or one of those that only files know.
pub(super) fn is_known(name: &[u8]) -> bool {
    lookup(name).is_some() || FILE_ONLY.iter().any(|row| row.0.as_bytes().eq_ignore_ascii_case(name))
}

/// A Markdown table of all directives with their aliases, defaults and status, for the documentation.
pub fn compatibility_table() -> String {
    let mut table = String::from("| directive | alias | default | here |\n| --- | --- | --- | --- |\n");
    for row in DIRECTIVES {
        table.push_str(&document(row.name, row.alias, row.default, row.status));
    }
    for (name, status) in FILE_ONLY {
        table.push_str(&document(name, None, "", *status));
    }
    table
}

fn document(name: &str, alias: Option<&str>, default: &str, status: Status) -> String {
    let quoted = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
    let status = match status {
        Status::Active => "active",
        Status::Later => "kept for later",
        Status::Meaningless => "means nothing",
    };
    format!("| `{name}` | {} | {} | {status} |\n", quoted(alias.unwrap_or_default()), quoted(default))
}

impl Directive {
    /// The value that `words` name, with the checks of this row. The error is the reason as Redis words it.
    pub(super) fn parse(&self, words: &[&[u8]], previous: &Value) -> Result<Value, String> {
        let value = self.kind.parse(words, previous)?;
        match (&value, self.check, self.clamp) {
            (Value::Text(text), Some(check), _) => check(text)?,
            (Value::Integer(number), _, Some((min, max))) => {
                return Ok(Value::Integer(*number.clamp(&min, &max)));
            }
            _ => {}
        }
        Ok(value)
    }

    /// The words of a value of CONFIG SET: split at each single space where several are taken.
    pub(super) fn words<'a>(&self, value: &'a [u8]) -> Vec<&'a [u8]> {
        match self.flags.contains(Flags::SEVERAL_ARGUMENTS) {
            true if value.is_empty() => Vec::new(),
            true => value.split(|&byte| byte == b' ').collect(),
            false => vec![value],
        }
    }

    /// The empty value of the kind, before the default is read.
    fn blank(&self) -> Value {
        match self.kind {
            Kind::YesNo => Value::YesNo(false),
            Kind::Integer { .. } => Value::Integer(0),
            Kind::Text { .. } | Kind::Directory => Value::Text(b"/".to_vec()),
            Kind::Choice(_) | Kind::Shutdown(_) => Value::Choice(0),
            Kind::Save => Value::Save(Vec::new()),
            Kind::OutputBufferLimits => Value::OutputBufferLimits(Default::default()),
            Kind::OomScores => Value::OomScores([0; 3]),
            Kind::Events => Value::Events(super::KeyspaceEvents::empty()),
            Kind::Bind => Value::Addresses(Vec::new()),
            Kind::ReplicaOf => Value::Primary(None),
            Kind::Percentiles => Value::Percentiles(Vec::new()),
        }
    }

    /// The default. The directory's is the one that the process runs in.
    pub(super) fn default_value(&self) -> Value {
        use std::os::unix::ffi::OsStringExt;
        match self.kind {
            Kind::Directory => {
                let current = std::env::current_dir().unwrap_or_else(|_| "/".into());
                Value::Text(current.into_os_string().into_vec())
            }
            Kind::ReplicaOf => Value::Primary(None),
            _ => self
                .parse(&self.words(self.default.as_bytes()), &self.blank())
                .unwrap_or_else(|reason| panic!("the default of {}: {reason}", self.name)),
        }
    }

    const fn new(name: &'static str, default: &'static str, kind: Kind) -> Directive {
        let (flags, status) = (Flags::empty(), Status::Active);
        Directive { name, alias: None, kind, default, flags, status, check: None, clamp: None }
    }

    const fn flag(mut self, flag: Flags) -> Directive {
        self.flags = self.flags.union(flag);
        self
    }

    pub(super) const fn alias(mut self, alias: &'static str) -> Directive {
        self.alias = Some(alias);
        self
    }

    pub(super) const fn checked(mut self, check: Check) -> Directive {
        self.check = Some(check);
        self
    }

    pub(super) const fn clamped(mut self, min: i128, max: i128) -> Directive {
        self.clamp = Some((min, max));
        self
    }

    pub(super) const fn immutable(self) -> Directive {
        self.flag(Flags::IMMUTABLE)
    }

    pub(super) const fn sensitive(self) -> Directive {
        self.flag(Flags::SENSITIVE)
    }

    pub(super) const fn hidden(self) -> Directive {
        self.flag(Flags::HIDDEN)
    }

    pub(super) const fn protected(self) -> Directive {
        self.flag(Flags::PROTECTED)
    }

    pub(super) const fn several(self) -> Directive {
        self.flag(Flags::SEVERAL_ARGUMENTS)
    }

    pub(super) const fn denied_while_loading(self) -> Directive {
        self.flag(Flags::DENIED_WHILE_LOADING)
    }

    pub(super) const fn volatile(self) -> Directive {
        self.flag(Flags::VOLATILE)
    }

    pub(super) const fn later(mut self) -> Directive {
        self.status = Status::Later;
        self
    }

    pub(super) const fn meaningless(mut self) -> Directive {
        self.status = Status::Meaningless;
        self
    }
}

pub(super) const fn yes_no(name: &'static str, default: &'static str) -> Directive {
    Directive::new(name, default, Kind::YesNo)
}

pub(super) const fn integer(name: &'static str, default: &'static str, min: i128, max: i128) -> Directive {
    Directive::new(name, default, Kind::Integer { min, max, notation: Notation::Decimal })
}

pub(super) const fn octal(name: &'static str, default: &'static str, min: i128, max: i128) -> Directive {
    Directive::new(name, default, Kind::Integer { min, max, notation: Notation::Octal })
}

pub(super) const fn memory(name: &'static str, default: &'static str, min: i128, max: i128) -> Directive {
    Directive::new(name, default, Kind::Integer { min, max, notation: Notation::Memory })
}

pub(super) const fn memory_or_percent(
    name: &'static str,
    default: &'static str,
    percent_max: i128,
    max: i128,
) -> Directive {
    Directive::new(
        name,
        default,
        Kind::Integer { min: -percent_max, max, notation: Notation::MemoryOrPercent },
    )
}

pub(super) const fn text(name: &'static str, default: &'static str) -> Directive {
    Directive::new(name, default, Kind::Text { optional: false })
}

/// A text that is not set by default, and that setting to nothing unsets.
pub(super) const fn optional_text(name: &'static str) -> Directive {
    Directive::new(name, "", Kind::Text { optional: true })
}

pub(super) const fn choice(name: &'static str, default: &'static str, names: Names) -> Directive {
    Directive::new(name, default, Kind::Choice(names))
}

pub(super) const fn special(name: &'static str, default: &'static str, kind: Kind) -> Directive {
    Directive::new(name, default, kind)
}
