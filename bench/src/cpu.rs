//! CPU time of processes, from `/proc/PID/stat`.

use std::io::{self, Error};
use std::ops::{Add, Sub};

/// `/proc` counts in USER_HZ, which Linux fixes at 100 on every architecture that the servers run on. The sum of user
/// and system time is exact to one tick; windows of some seconds make that a fraction of a percent.
const TICK_US: u64 = 10_000;

/// CPU time of all threads of some processes, living and ended.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct CpuTime {
    /// Microseconds in user mode.
    pub user_us: u64,
    /// Microseconds in the kernel.
    pub system_us: u64,
}

impl CpuTime {
    /// What the processes have used up to now, together.
    ///
    /// # Errors
    /// When one of them does not exist.
    pub fn of(pids: &[u32]) -> io::Result<Self> {
        pids.iter().try_fold(Self::default(), |sum, pid| {
            let path = format!("/proc/{pid}/stat");
            let text =
                std::fs::read_to_string(&path).map_err(|error| Error::other(format!("{path}: {error}")))?;
            Ok(sum + parse(&text).ok_or_else(|| Error::other(format!("{path}: odd content")))?)
        })
    }
}

impl Add for CpuTime {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { user_us: self.user_us + other.user_us, system_us: self.system_us + other.system_us }
    }
}

impl Sub for CpuTime {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        let user_us = self.user_us.saturating_sub(earlier.user_us);
        Self { user_us, system_us: self.system_us.saturating_sub(earlier.system_us) }
    }
}

/// Fields 14 and 15 of proc(5); the process's name, in parentheses, may itself hold blanks and parentheses.
fn parse(stat: &str) -> Option<CpuTime> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut ticks = after_name.split_ascii_whitespace().skip(11).map(|field| field.parse::<u64>().ok());
    Some(CpuTime { user_us: ticks.next()?? * TICK_US, system_us: ticks.next()?? * TICK_US })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_behind_an_awkward_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 150 25 0 0 20 0 1 0";
        assert_eq!(parse(stat), Some(CpuTime { user_us: 1_500_000, system_us: 250_000 }));
        assert_eq!(parse("7 (a) S 1"), None);
    }

    #[test]
    fn own_process() {
        let before = CpuTime::of(&[std::process::id()]).unwrap();
        let after = CpuTime::of(&[std::process::id()]).unwrap();
        assert!((after - before).user_us < 10_000_000);
        assert!(CpuTime::of(&[0]).is_err());
    }
}
