//! The log: one line per event in Redis's format, to standard output or a file.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::config::LogLevel;

static LEVEL: AtomicU8 = AtomicU8::new(LogLevel::Notice as u8);
static FILE: Mutex<Option<File>> = Mutex::new(None);

/// Sends the log to `path` (standard output without one), from `level` on.
pub fn open(path: Option<&Path>, level: LogLevel) -> std::io::Result<()> {
    let file = match path {
        Some(path) => Some(OpenOptions::new().append(true).create(true).open(path)?),
        None => None,
    };
    *FILE.lock().unwrap_or_else(PoisonError::into_inner) = file;
    set_level(level);
    Ok(())
}

/// Changes the least severe level that is logged.
pub fn set_level(level: LogLevel) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

/// Writes one line if `level` is severe enough.
pub fn write(level: LogLevel, text: impl std::fmt::Display) {
    if (level as u8) < LEVEL.load(Ordering::Relaxed) {
        return;
    }
    let mark = match level {
        LogLevel::Debug => '.',
        LogLevel::Verbose => '-',
        LogLevel::Notice => '*',
        _ => '#',
    };
    let time = chrono::Local::now().format("%d %b %Y %H:%M:%S%.3f");
    raw(format_args!("{}:M {time} {mark} {text}\n", std::process::id()));
}

/// Writes text as it is, whatever the level.
pub fn raw(text: std::fmt::Arguments<'_>) {
    let mut file = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    // A log that cannot be written has nobody to tell.
    let _ = match file.as_mut() {
        Some(file) => file.write_fmt(text),
        None => {
            let mut out = std::io::stdout().lock();
            out.write_fmt(text).and_then(|()| out.flush())
        }
    };
}

/// Logs at level notice.
#[macro_export]
macro_rules! notice {
    ($($text:tt)*) => { $crate::state::log::write($crate::config::LogLevel::Notice, format_args!($($text)*)) };
}

/// Logs at level warning.
#[macro_export]
macro_rules! warning {
    ($($text:tt)*) => { $crate::state::log::write($crate::config::LogLevel::Warning, format_args!($($text)*)) };
}

/// Logs at level verbose.
#[macro_export]
macro_rules! verbose {
    ($($text:tt)*) => { $crate::state::log::write($crate::config::LogLevel::Verbose, format_args!($($text)*)) };
}
