//! Floor 1: the configuration. Directives are declared in `table`; [`Config`] holds their values, answers
//! CONFIG GET and SET, and shows what the server reads as typed fields ([`Settings`]).
//!
//! Pure data: nothing here acts on a value. CONFIG SET answers which directives changed, and the server applies
//! the effects. A `Config` is immutable once shared: a change makes a changed clone.
//!
//! `cli` turns arguments into [`Sources`], `load` reads those, `rewrite` writes a file for CONFIG REWRITE.

use std::fmt;
use std::ops::Deref;

use crate::base::glob;

mod choice;
pub mod cli;
mod directive;
mod load;
mod rewrite;
mod settings;
mod table;
mod value;
mod words;

pub use choice::{
    AclPubsubDefault, AppendFsync, DisklessLoad, EndpointType, IoMode, KeyspaceEvents, LogLevel,
    MaxmemoryPolicy, PipelineOrder, ProtectedAction, SanitizeDumpPayload, ShutdownFlags,
};
pub use directive::{Directive, Flags, Status, compatibility_table, lookup};
pub use load::{ConfigError, Declaration, Declarations, Line, Sources};
pub use settings::Settings;
pub use table::DIRECTIVES;
pub use value::{ClientClass, Kind, Notation, OutputBufferLimit, Primary, SavePoint, Value};
pub use words::{push_quoted, split};

/// All values. Typed fields are read through it as if they were its own: `config.maxmemory`.
#[derive(Clone, Debug)]
pub struct Config {
    settings: Settings,
    /// By position in [`DIRECTIVES`].
    values: Vec<Value>,
    declarations: Declarations,
}

/// Who asks for a CONFIG SET, and when.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetContext {
    /// The client is on this machine.
    pub local: bool,
    /// The dataset is being loaded.
    pub loading: bool,
}

/// What a CONFIG SET makes.
#[derive(Clone, Debug)]
pub struct Change {
    /// The configuration with the new values.
    pub config: Config,
    /// Names (never aliases) of the directives that have a new value, in the order in which they were given.
    pub changed: Vec<&'static str>,
}

/// Why a CONFIG SET was refused. Its text is the error reply after `ERR ` (for [`SetError::Loading`]: instead of it).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// No such directive.
    Unknown {
        /// The name as it was given.
        name: String,
    },
    /// It cannot be set, or not to this.
    Refused {
        /// The directive at fault.
        name: String,
        /// Why.
        reason: String,
    },
    /// It cannot be set while the dataset loads.
    Loading,
}

impl fmt::Display for SetError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::Unknown { name } => {
                write!(formatter, "Unknown option or number of arguments for CONFIG SET - '{name}'")
            }
            SetError::Refused { name, reason } => {
                write!(formatter, "CONFIG SET failed (possibly related to argument '{name}') - {reason}")
            }
            SetError::Loading => formatter.write_str("LOADING Redis is loading the dataset in memory"),
        }
    }
}

impl std::error::Error for SetError {}

impl Deref for Config {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.settings
    }
}

impl Default for Config {
    /// Every directive at its default; `dir` is the directory that the process runs in.
    fn default() -> Config {
        let values = DIRECTIVES.iter().map(Directive::default_value).collect();
        Config::from_parts(values, Declarations::default())
    }
}

impl Config {
    fn from_parts(values: Vec<Value>, declarations: Declarations) -> Config {
        Config { settings: Settings::read(&values), values, declarations }
    }

    /// What only a file or the command line can say: renamed commands, users, modules, and the file's own path.
    pub fn declarations(&self) -> &Declarations {
        &self.declarations
    }

    /// What CONFIG GET answers: name and value of each directive that a pattern finds, each name once. A name
    /// without wildcards is answered as it was spelled, in any case, also when the directive is hidden; a pattern
    /// finds names and aliases. Order: that of the patterns, then that of the table.
    pub fn get<P: AsRef<[u8]>>(&self, patterns: &[P]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut add = |name: &[u8], row: &Directive| {
            if !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                found.push((name.to_vec(), self.format(row)));
            }
        };
        for pattern in patterns.iter().map(AsRef::as_ref) {
            if !pattern.iter().any(|byte| b"[*?".contains(byte)) {
                if let Some((row, _)) = lookup(pattern) {
                    add(pattern, row);
                }
                continue;
            }
            for row in DIRECTIVES.iter().filter(|row| !row.flags.contains(Flags::HIDDEN)) {
                for name in std::iter::once(row.name).chain(row.alias) {
                    if glob::matches(pattern, name.as_bytes(), true) {
                        add(name.as_bytes(), row);
                    }
                }
            }
        }
        found
    }

    /// The value of a directive, by name or alias.
    pub fn value(&self, name: &str) -> Option<&Value> {
        lookup(name.as_bytes()).map(|(row, _)| &self.values[index_of(row)])
    }

    /// What CONFIG SET does: all of the pairs, or none. Names may be aliases, in any case.
    pub fn set<N, V>(&self, pairs: &[(N, V)], context: SetContext) -> Result<Change, SetError>
    where
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let mut rows: Vec<(&'static Directive, &'static str)> = Vec::with_capacity(pairs.len());
        for (given, _) in pairs {
            rows.push(self.settable(given.as_ref(), &rows, context)?);
        }
        let mut values = self.values.clone();
        let mut changed = Vec::new();
        for ((row, name), (_, text)) in rows.into_iter().zip(pairs) {
            let value = &mut values[index_of(row)];
            let new = row
                .parse(&row.words(text.as_ref()), value)
                .map_err(|reason| SetError::Refused { name: name.to_owned(), reason })?;
            if (new != *value || row.flags.contains(Flags::VOLATILE)) && !changed.contains(&row.name) {
                changed.push(row.name);
            }
            *value = new;
        }
        Ok(Change { config: self.with_values(values), changed })
    }

    /// Checks everything about a name of CONFIG SET but its value. `earlier` are the names before it. An alias
    /// beside its own directive is no duplicate, as in Redis.
    fn settable(
        &self,
        given: &[u8],
        earlier: &[(&Directive, &str)],
        context: SetContext,
    ) -> Result<(&'static Directive, &'static str), SetError> {
        let spelled = || String::from_utf8_lossy(given).into_owned();
        let refused = |reason: &str| SetError::Refused { name: spelled(), reason: reason.to_owned() };
        let (row, name) = lookup(given).ok_or_else(|| SetError::Unknown { name: spelled() })?;
        if row.flags.contains(Flags::IMMUTABLE) {
            return Err(refused("can't set immutable config"));
        }
        if row.flags.contains(Flags::PROTECTED) && !self.allows_protected(context.local) {
            return Err(refused("can't set protected config"));
        }
        if row.flags.contains(Flags::DENIED_WHILE_LOADING) && context.loading {
            return Err(SetError::Loading);
        }
        if earlier.iter().any(|(_, known)| *known == name) {
            return Err(refused("duplicate parameter"));
        }
        Ok((row, name))
    }

    fn allows_protected(&self, local: bool) -> bool {
        match self.enable_protected_configs {
            ProtectedAction::Yes => true,
            ProtectedAction::Local => local,
            ProtectedAction::No => false,
        }
    }

    /// A clone with one directive changed, whatever CONFIG SET may do: for the server's own changes (REPLICAOF)
    /// and for tests. The error is the reason, as CONFIG SET has it.
    pub fn with(&self, name: &str, text: impl AsRef<[u8]>) -> Result<Config, String> {
        let (row, _) = lookup(name.as_bytes()).ok_or_else(|| format!("no directive '{name}'"))?;
        let mut values = self.values.clone();
        let value = &mut values[index_of(row)];
        *value = row.parse(&row.words(text.as_ref()), value)?;
        Ok(self.with_values(values))
    }

    /// Bytes of output with which a client of any class is cut off; without end if some class has no such limit.
    pub fn output_bytes_max(&self) -> usize {
        let limits = self.client_output_buffer_limits.iter().map(|limit| match limit.hard_bytes {
            0 => usize::MAX,
            bytes => bytes as usize,
        });
        limits.max().unwrap_or(usize::MAX)
    }

    fn with_values(&self, values: Vec<Value>) -> Config {
        Config::from_parts(values, self.declarations.clone())
    }

    fn format(&self, row: &Directive) -> Vec<u8> {
        row.kind.format(&self.values[index_of(row)])
    }
}

/// The position of a row of the table.
fn index_of(row: &Directive) -> usize {
    let found = DIRECTIVES.binary_search_by(|other| other.name.cmp(row.name));
    found.unwrap_or_else(|_| unreachable!("{} is a row of the table", row.name))
}

#[cfg(test)]
mod load_test;
#[cfg(test)]
mod mod_test;
