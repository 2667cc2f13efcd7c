//! What an entry's access field of 24 bits means: a clock for LRU, or a counter and the time of its last decay for LFU.
//! Both are laid out as in Redis, whose documentation of `maxmemory-policy` describes them.

use crate::base::clock::UnixMillis;
use crate::config::Config;

/// Seconds, modulo 2^24: the resolution of the LRU clock.
pub fn lru_clock(now: UnixMillis) -> u32 {
    (now / 1000) as u32 & 0xFF_FFFF
}

/// Milliseconds since an entry was used, by its LRU clock.
pub fn lru_idle_ms(access: u32, now: UnixMillis) -> u64 {
    u64::from(lru_clock(now).wrapping_sub(access) & 0xFF_FFFF) * 1000
}

/// Minutes, modulo 2^16: the resolution of the LFU counter's decay.
pub fn lfu_minutes(now: UnixMillis) -> u32 {
    (now / 60_000) as u32 & 0xFFFF
}

/// The LFU counter after the time that passed: one less for every `decay_minutes`, none for zero.
pub fn lfu_decayed(access: u32, now: UnixMillis, decay_minutes: u32) -> u8 {
    let counter = (access & 0xFF) as u8;
    let elapsed = lfu_minutes(now).wrapping_sub(access >> 8) & 0xFFFF;
    let periods = elapsed.checked_div(decay_minutes).unwrap_or(0);
    counter.saturating_sub(periods.min(255) as u8)
}

/// The access field of a new entry: its least recent use for LRU, or a counter of 5 and the minute for LFU, as Redis.
pub fn first_access(now: UnixMillis, config: &Config) -> u32 {
    if config.maxmemory_policy.is_lfu() { (lfu_minutes(now) << 8) | 5 } else { lru_clock(now) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lru_clock_wraps() {
        let now = 0xFF_FFFF * 1000;
        assert_eq!(lru_idle_ms(lru_clock(now), now + 5000), 5000);
    }

    #[test]
    fn the_lfu_counter_decays() {
        let now = 1_700_000_000_000;
        let access = (lfu_minutes(now) << 8) | 5;
        assert_eq!(lfu_decayed(access, now, 1), 5);
        assert_eq!(lfu_decayed(access, now + 3 * 60_000, 1), 2);
        assert_eq!(lfu_decayed(access, now + 30 * 60_000, 1), 0);
        assert_eq!(lfu_decayed(access, now + 30 * 60_000, 0), 5);
    }
}
