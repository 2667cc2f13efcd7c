//! What clients' buffers take, as INFO tells: every connection is looked at about once a second, a few at a time.

use super::executor::Core;

/// Connections looked at in one go at least, so that the figures of few are fresh.
const SHARE_MIN: usize = 64;
/// Seconds that INFO calls recent.
const RECENT_SECONDS: usize = 8;

/// Bytes of the largest input and output buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Largest {
    input: u64,
    output: u64,
}

impl Largest {
    fn or(self, other: Self) -> Self {
        Self { input: self.input.max(other.input), output: self.output.max(other.output) }
    }
}

/// The largest of the last seconds.
#[derive(Debug, Default)]
struct Recent {
    seconds: [Largest; RECENT_SECONDS],
    now: u64,
}

impl Recent {
    /// Goes on to a second; what is older than [`RECENT_SECONDS`] is forgotten.
    fn go_to(&mut self, second: u64) {
        for gone in (self.now + 1..=second).rev().take(RECENT_SECONDS) {
            self.seconds[gone as usize % RECENT_SECONDS] = Largest::default();
        }
        self.now = self.now.max(second);
    }

    fn note(&mut self, largest: Largest) {
        let slot = &mut self.seconds[self.now as usize % RECENT_SECONDS];
        *slot = slot.or(largest);
    }

    fn largest(&self) -> Largest {
        self.seconds.into_iter().fold(Largest::default(), Largest::or)
    }
}

/// A walk over the connections of one shard.
#[derive(Debug, Default)]
pub(super) struct Survey {
    next: usize,
    recent: Recent,
}

impl Survey {
    /// Looks at the next connections and publishes what is known; to be called `hz` times a second.
    pub fn go_on(&mut self, core: &mut Core, hz: usize) {
        self.recent.go_to(core.now as u64 / 1000);
        let share = core.connections.len().div_ceil(hz).max(SHARE_MIN);
        for index in self.next..core.connections.len().min(self.next + share) {
            core.weigh(index);
            let Some(connection) = &core.connections[index] else { continue };
            let (input, output) = (connection.input.capacity() as u64, connection.output_bytes() as u64);
            self.recent.note(Largest { input, output });
        }
        self.next += share;
        if self.next >= core.connections.len() {
            self.next = 0;
        }
        let counters = core.counters();
        let Largest { input, output } = self.recent.largest();
        counters.client_input_bytes_max.set(input);
        counters.client_output_bytes_max.set(output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_is_forgotten_after_some_seconds() {
        let mut recent = Recent::default();
        let start = 1_700_000_000;
        recent.go_to(start);
        recent.note(Largest { input: 5, output: 1 });
        recent.go_to(start + 7);
        recent.note(Largest { input: 3, output: 2 });
        assert_eq!(recent.largest(), Largest { input: 5, output: 2 });
        recent.go_to(start + 8);
        assert_eq!(recent.largest(), Largest { input: 3, output: 2 });
        recent.go_to(start + 100);
        assert_eq!(recent.largest(), Largest::default());
        recent.go_to(start);
        recent.note(Largest { input: 1, output: 1 });
        assert_eq!(recent.largest(), Largest { input: 1, output: 1 }, "a clock that was set back");
    }
}
