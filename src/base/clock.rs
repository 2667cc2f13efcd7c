//! The only callers of the operating system's clocks. Handlers never call these: `now` comes to them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch, as Redis counts expiry.
pub type UnixMillis = i64;

/// The wall clock in milliseconds since the Unix epoch.
pub fn unix_millis() -> UnixMillis {
    since_epoch().as_millis() as UnixMillis
}

/// The wall clock in microseconds since the Unix epoch.
pub fn unix_micros() -> i64 {
    since_epoch().as_micros() as i64
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A point on the monotonic clock. Reading it costs a few nanoseconds where the processor's counter can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(quanta::Instant);

impl Monotonic {
    /// The monotonic clock now.
    #[inline]
    pub fn now() -> Self {
        Self(quanta::Instant::now())
    }

    /// Microseconds from `earlier` to this point, zero when `earlier` is later.
    pub fn micros_since(self, earlier: Self) -> u64 {
        self.0.saturating_duration_since(earlier.0).as_micros() as u64
    }

    /// Nanoseconds from `earlier` to this point, zero when `earlier` is later.
    #[inline]
    pub fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_duration_since(earlier.0).as_nanos() as u64
    }

    /// This point moved by `duration`.
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }
}
