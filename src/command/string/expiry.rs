//! Times to live as SET, GETEX and MSETEX take them: EX, PX, EXAT, PXAT.

use crate::base::clock::UnixMillis;
use crate::command::args::{Cursor, integer};
use crate::resp::error::invalid_expire;

/// What the number behind EX and its kin means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Seconds from now.
    Seconds,
    /// Milliseconds from now.
    Millis,
    /// Unix time in seconds.
    UnixSeconds,
    /// Unix time in milliseconds.
    UnixMillis,
}

/// An expiry as it was given, not yet checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiry<'a> {
    /// What the number means.
    pub unit: Unit,
    /// The number.
    pub number: &'a [u8],
}

impl<'a> Expiry<'a> {
    /// Takes `EX 10` and its kin from the cursor; `None`, and nothing taken, when the next words are no expiry.
    pub fn take(cursor: &mut Cursor<'a, '_>) -> Option<Self> {
        let mut ahead = *cursor;
        let unit = match ahead.take()? {
            word if word.eq_ignore_ascii_case(b"EX") => Unit::Seconds,
            word if word.eq_ignore_ascii_case(b"PX") => Unit::Millis,
            word if word.eq_ignore_ascii_case(b"EXAT") => Unit::UnixSeconds,
            word if word.eq_ignore_ascii_case(b"PXAT") => Unit::UnixMillis,
            _ => return None,
        };
        let number = ahead.take()?;
        *cursor = ahead;
        Some(Self { unit, number })
    }

    /// The deadline, or the error of the command `name`.
    pub fn deadline(&self, now: UnixMillis, name: &str) -> Result<UnixMillis, String> {
        let number = integer(self.number)?;
        let is_relative = matches!(self.unit, Unit::Seconds | Unit::Millis);
        let millis = match self.unit {
            Unit::Seconds | Unit::UnixSeconds => number.checked_mul(1000),
            Unit::Millis | Unit::UnixMillis => Some(number),
        };
        millis
            .filter(|&millis| millis > 0)
            .and_then(|millis| if is_relative { millis.checked_add(now) } else { Some(millis) })
            .ok_or_else(|| invalid_expire(name))
    }

    /// Whether it names a moment and not a span.
    pub fn is_absolute(&self) -> bool {
        matches!(self.unit, Unit::UnixSeconds | Unit::UnixMillis)
    }
}
