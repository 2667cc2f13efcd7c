//! The syntax of commands as `COMMAND DOCS` describes it: an [`Argument`] and the words to write one down. The
//! commands themselves are in `table`; a row gets its arguments from there when the command table is made.
//!
//! Nothing here takes part in parsing: handlers read their arguments themselves.

mod hash;
mod list;
mod sorted_set;
mod stream;
mod table;

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentKind {
    /// Any string.
    String,
    /// An integer.
    Integer,
    /// A floating-point number.
    Double,
    /// The name of a key.
    Key,
    /// A glob-style pattern.
    Pattern,
    /// A Unix time.
    UnixTime,
    /// A word that stands for itself.
    PureToken,
    /// One of its sub-arguments.
    OneOf,
    /// All of its sub-arguments.
    Block,
}

impl ArgumentKind {
    /// The name that `COMMAND DOCS` gives it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Double => "double",
            Self::Key => "key",
            Self::Pattern => "pattern",
            Self::UnixTime => "unix-time",
            Self::PureToken => "pure-token",
            Self::OneOf => "oneof",
            Self::Block => "block",
        }
    }

    /// Whether it consists of sub-arguments.
    pub const fn is_nested(self) -> bool {
        matches!(self, Self::OneOf | Self::Block)
    }
}

/// One argument of a command.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// Name.
    pub name: &'static str,
    /// What it is.
    pub kind: ArgumentKind,
    /// How a syntax line shows it, when not by its name; else empty.
    pub display: &'static str,
    /// The word in front of it, or the word itself; empty without one.
    pub token: &'static str,
    /// First version that had it, when that is later than the command's; else empty.
    pub since: &'static str,
    /// Version since which it is deprecated; else empty.
    pub deprecated_since: &'static str,
    /// Whether it may be left out.
    pub optional: bool,
    /// Whether it may be given several times.
    pub multiple: bool,
    /// Whether its token is given each of these times.
    pub multiple_token: bool,
    /// Which key specification of the row finds it.
    pub key_spec: Option<u8>,
    /// Sub-arguments.
    pub arguments: &'static [Argument],
}

impl Argument {
    const fn new(name: &'static str, kind: ArgumentKind) -> Self {
        Self {
            name,
            kind,
            display: "",
            token: "",
            since: "",
            deprecated_since: "",
            optional: false,
            multiple: false,
            multiple_token: false,
            key_spec: None,
            arguments: &[],
        }
    }

    /// It stands behind this word.
    pub const fn after(mut self, token: &'static str) -> Self {
        self.token = token;
        self
    }

    /// It may be left out.
    pub const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// It may be given several times.
    pub const fn multiple(mut self) -> Self {
        self.multiple = true;
        self
    }

    /// It may be given several times, each time behind its word.
    pub const fn multiple_token(mut self) -> Self {
        self.multiple = true;
        self.multiple_token = true;
        self
    }

    /// It came later than the command.
    pub const fn since(mut self, version: &'static str) -> Self {
        self.since = version;
        self
    }

    /// It is deprecated.
    pub const fn deprecated(mut self, version: &'static str) -> Self {
        self.deprecated_since = version;
        self
    }

    /// A syntax line shows it so.
    pub const fn shown_as(mut self, display: &'static str) -> Self {
        self.display = display;
        self
    }
}

/// Any string.
pub const fn string(name: &'static str) -> Argument {
    Argument::new(name, ArgumentKind::String)
}

/// An integer.
pub const fn integer(name: &'static str) -> Argument {
    Argument::new(name, ArgumentKind::Integer)
}

/// A floating-point number.
pub const fn double(name: &'static str) -> Argument {
    Argument::new(name, ArgumentKind::Double)
}

/// A key that the row's key specification number `spec` finds.
pub const fn key(name: &'static str, spec: u8) -> Argument {
    let mut argument = Argument::new(name, ArgumentKind::Key);
    argument.key_spec = Some(spec);
    argument
}

/// A glob-style pattern.
pub const fn pattern(name: &'static str) -> Argument {
    Argument::new(name, ArgumentKind::Pattern)
}

/// A Unix time.
pub const fn unix_time(name: &'static str) -> Argument {
    Argument::new(name, ArgumentKind::UnixTime)
}

/// A word that stands for itself.
pub const fn token(name: &'static str, token: &'static str) -> Argument {
    Argument::new(name, ArgumentKind::PureToken).after(token)
}

/// One of several.
pub const fn one_of(name: &'static str, arguments: &'static [Argument]) -> Argument {
    let mut argument = Argument::new(name, ArgumentKind::OneOf);
    argument.arguments = arguments;
    argument
}

/// Several that belong together.
pub const fn block(name: &'static str, arguments: &'static [Argument]) -> Argument {
    let mut argument = Argument::new(name, ArgumentKind::Block);
    argument.arguments = arguments;
    argument
}

/// The arguments of a command, by its full name (`client|list`); none when it takes none.
pub fn of(full_name: &str) -> &'static [Argument] {
    let known = table::FAMILIES.iter().flat_map(|family| family.iter()).find(|(name, _)| *name == full_name);
    known.map_or(&[], |(_, arguments)| *arguments)
}

/// The names of all commands whose syntax is known.
#[cfg(test)]
pub fn names() -> impl Iterator<Item = &'static str> {
    table::FAMILIES.iter().flat_map(|family| family.iter()).map(|(name, _)| *name)
}
