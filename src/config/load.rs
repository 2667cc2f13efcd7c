//! Reading a configuration at start: the file, standard input and the options of the command line make one
//! text, as in Redis, so that the last word on a directive wins and errors name a line of it. How arguments
//! become such options is in `cli`; what CONFIG SET may do is not here.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::directive::{Directive, Flags, lookup};
use super::table::{DIRECTIVES, RETIRED};
use super::value::{Kind, Value, system_reason};
use super::{Config, index_of, words};
use crate::base::glob;

/// How deep files may include files.
const INCLUDE_DEPTH_MAX: usize = 32;

/// Where a configuration comes from, in the order of reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// A file in redis.conf's syntax.
    pub file: Option<PathBuf>,
    /// Whether standard input is read after it.
    pub standard_input: bool,
    /// More lines in that syntax, those of the command line.
    pub options: Vec<u8>,
}

/// A line that only the start can act on, kept with its place for errors that show later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// Its words after the directive's name.
    pub arguments: Vec<Vec<u8>>,
    line: Line,
}

impl Declaration {
    /// The error for a line that turns out to be wrong when it is acted on, such as an unknown command.
    pub fn refuse(&self, reason: impl Into<String>) -> ConfigError {
        ConfigError::Refused { line: Some(self.line.clone()), reason: reason.into() }
    }
}

/// What CONFIG GET does not know.
#[derive(Clone, Debug, Default)]
pub struct Declarations {
    /// The configuration file, absolute, if there is one.
    pub file: Option<PathBuf>,
    /// `rename-command OLD NEW`; an empty new name removes the command.
    pub renamed_commands: Vec<Declaration>,
    /// `user NAME RULE...`.
    pub users: Vec<Declaration>,
    /// `loadmodule PATH ARGUMENT...`.
    pub modules: Vec<Declaration>,
}

/// A line of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: usize,
    /// Its text without blanks around it.
    pub text: String,
}

/// Why a configuration cannot be used. Its text is what the process prints before it exits with code 1.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Something in it is wrong.
    #[error("{}", block(line, reason))]
    Refused {
        /// The line at fault, unless the whole is.
        line: Option<Line>,
        /// Why, in Redis's words.
        reason: String,
    },
    /// A file cannot be read.
    #[error("Fatal error, can't open config file '{path}': {reason}")]
    Unreadable {
        /// The file as it was named.
        path: String,
        /// The system's reason.
        reason: String,
    },
}

fn block(line: &Option<Line>, reason: &str) -> String {
    let title = concat!("\n*** FATAL CONFIG FILE ERROR (Skerry ", env!("CARGO_PKG_VERSION"), ") ***");
    match line {
        Some(Line { number, text }) => {
            format!("{title}\nReading the configuration file, at line {number}\n>>> '{text}'\n{reason}")
        }
        None => format!("{title}\n{reason}"),
    }
}

impl Config {
    /// Reads a configuration. As Redis does, it also tries whether the log file can be opened for writing,
    /// because later there is nowhere to complain.
    pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
        let mut text = Vec::new();
        let mut loader = Loader::default();
        if let Some(file) = &sources.file {
            let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            text = read_file(&file)?;
            loader.declarations.file = Some(file);
        }
        if sources.standard_input {
            if !text.is_empty() && !text.ends_with(b"\n") {
                text.push(b'\n');
            }
            io::stdin().read_to_end(&mut text).map_err(|error| unreadable("-".as_ref(), &error))?;
        }
        text.push(b'\n');
        text.extend(&sources.options);
        loader.read(&text)?;
        loader.finish()
    }

    /// Reads a configuration from a text.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Config, ConfigError> {
        let mut loader = Loader::default();
        loader.read(text.as_ref())?;
        loader.finish()
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, ConfigError> {
    fs::read(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> ConfigError {
    ConfigError::Unreadable { path: path.display().to_string(), reason: system_reason(error) }
}

/// Why a line fails: by itself, or by what it includes.
enum Failure {
    Reason(String),
    Included(ConfigError),
}

impl From<String> for Failure {
    fn from(reason: String) -> Failure {
        Failure::Reason(reason)
    }
}

impl From<&str> for Failure {
    fn from(reason: &str) -> Failure {
        Failure::Reason(reason.to_owned())
    }
}

struct Loader {
    values: Vec<Value>,
    declarations: Declarations,
    /// Whether a `save` was read: the first one replaces the defaults, further ones add to it.
    saw_save: bool,
    depth: usize,
}

impl Default for Loader {
    fn default() -> Loader {
        let values = DIRECTIVES.iter().map(Directive::default_value).collect();
        Loader { values, declarations: Declarations::default(), saw_save: false, depth: 0 }
    }
}

impl Loader {
    fn read(&mut self, text: &[u8]) -> Result<(), ConfigError> {
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let line = trim(line);
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            let place = || Line { number: index + 1, text: String::from_utf8_lossy(line).into_owned() };
            self.read_line(line, place).map_err(|failure| match failure {
                Failure::Reason(reason) => ConfigError::Refused { line: Some(place()), reason },
                Failure::Included(error) => error,
            })?;
        }
        Ok(())
    }

    fn read_line(&mut self, line: &[u8], place: impl Fn() -> Line) -> Result<(), Failure> {
        let words = words::split(line).ok_or("Unbalanced quotes in configuration line")?;
        let Some((name, arguments)) = words.split_first() else { return Ok(()) };
        let name = name.to_ascii_lowercase();
        if let Some((row, _)) = lookup(&name) {
            return Ok(self.set(row, arguments)?);
        }
        let declaration = || Declaration { arguments: arguments.to_vec(), line: place() };
        match (name.as_slice(), arguments.len()) {
            (b"include", 1) => self.include(&arguments[0]),
            (b"rename-command", 2) => {
                self.declarations.renamed_commands.push(declaration());
                Ok(())
            }
            (b"user", 1..) => {
                self.declarations.users.push(declaration());
                Ok(())
            }
            (b"loadmodule", 1..) => {
                self.declarations.modules.push(declaration());
                Ok(())
            }
            (b"sentinel", _) => Err("sentinel directive while not in sentinel mode".into()),
            (name, 1) if RETIRED.iter().any(|retired| retired.as_bytes() == name) => Ok(()),
            (name, 0) if name.contains(&b'.') => Err("Module config specified without value".into()),
            (name, _) if name.contains(&b'.') => Err(
                "Module Configuration detected without loadmodule directive or no ApplyConfig call: aborting"
                    .into(),
            ),
            _ => Err("Bad directive or wrong number of arguments".into()),
        }
    }

    fn set(&mut self, row: &'static Directive, arguments: &[Vec<u8>]) -> Result<(), String> {
        let several = row.flags.contains(Flags::SEVERAL_ARGUMENTS);
        if !several && arguments.len() != 1 {
            return Err("wrong number of arguments".to_owned());
        }
        let inner = match arguments {
            // `--save "900 1"`: one argument that holds several.
            [single] if several && !single.is_empty() => {
                words::split(single).ok_or("Unbalanced quotes in configuration line")?
            }
            arguments => arguments.to_vec(),
        };
        let inner: Vec<&[u8]> = inner.iter().map(Vec::as_slice).collect();
        let value = &mut self.values[index_of(row)];
        let mut new = row.parse(&inner, value)?;
        if let (Kind::Save, Value::Save(before), Value::Save(points)) = (row.kind, &*value, &mut new) {
            if self.saw_save && !points.is_empty() {
                points.splice(..0, before.iter().copied());
            }
            self.saw_save = true;
        }
        *value = new;
        Ok(())
    }

    /// Reads a file, or all files that a pattern finds, as if they were one. Relative paths start from `dir`.
    fn include(&mut self, name: &[u8]) -> Result<(), Failure> {
        let name = OsStr::from_bytes(name);
        let path = self.directory().join(name);
        let text = if has_wildcard(name.as_bytes()) {
            let texts: Result<Vec<Vec<u8>>, ConfigError> =
                expand(&path).iter().map(|path| read_file(path)).collect();
            texts.map_err(Failure::Included)?.concat()
        } else {
            fs::read(&path).map_err(|error| Failure::Included(unreadable(name.as_ref(), &error)))?
        };
        if self.depth == INCLUDE_DEPTH_MAX {
            return Err("Included files are nested too deeply".into());
        }
        self.depth += 1;
        self.read(&text).map_err(Failure::Included)?;
        self.depth -= 1;
        Ok(())
    }

    fn directory(&self) -> PathBuf {
        let dir = lookup(b"dir").map(|(row, _)| &self.values[index_of(row)]);
        match dir {
            Some(Value::Text(path)) => PathBuf::from(OsStr::from_bytes(path)),
            _ => unreachable!("dir is a text"),
        }
    }

    fn finish(self) -> Result<Config, ConfigError> {
        let config = Config::from_parts(self.values, self.declarations);
        if let Some(file) = &config.logfile {
            let opened = fs::OpenOptions::new().append(true).create(true).open(config.dir.join(file));
            opened.map_err(|error| ConfigError::Refused {
                line: None,
                reason: format!("Can't open the log file: {}", system_reason(&error)),
            })?;
        }
        Ok(config)
    }
}

/// The line without blanks around it.
pub(super) fn trim(line: &[u8]) -> &[u8] {
    line.trim_ascii()
}

fn has_wildcard(path: &[u8]) -> bool {
    path.iter().any(|byte| b"*?[".contains(byte))
}

/// The existing paths that a pattern finds, sorted. A wildcard stays within its component, does not find a
/// leading dot, and `[!…]` negates a class as `[^…]` does. What cannot be listed holds nothing.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::new()];
    for component in pattern.components() {
        let name = component.as_os_str();
        paths = match component {
            Component::Normal(name) if has_wildcard(name.as_bytes()) => {
                paths.iter().flat_map(|directory| find(directory, name.as_bytes())).collect()
            }
            _ => paths.into_iter().map(|directory| directory.join(name)).collect(),
        };
    }
    paths.retain(|path| path.exists());
    paths.sort();
    paths
}

fn find(directory: &Path, pattern: &[u8]) -> Vec<PathBuf> {
    let pattern = String::from_utf8_lossy(pattern).replace("[!", "[^").into_bytes();
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    names
        .filter(|name| pattern[0] == b'.' || name.as_bytes()[0] != b'.')
        .filter(|name| glob::matches(&pattern, name.as_bytes(), false))
        .map(|name| directory.join(name))
        .collect()
}
