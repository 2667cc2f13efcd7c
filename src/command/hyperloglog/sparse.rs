//! Registers of which most are zero, as runs of equal ones:
//!
//! ```text
//! 00nnnnnn           n + 1 registers of zero
//! 01nnnnnn nnnnnnnn  n + 1 registers of zero
//! 1vvvvvnn           n + 1 registers of v + 1
//! ```
//!
//! The format and the way it changes are those of Redis, so that the same elements in the same order make the same bytes.

use super::registers::REGISTERS;

/// Largest value in this form.
pub(super) const VALUE_MAX: u8 = 32;

const SHORT_ZEROS_MAX: usize = 64;
const VALUES_MAX: usize = 4;

/// Runs from the one before a changed one on that are looked at for neighbours to join.
const JOIN_REACH: usize = 5;

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Where it begins, in bytes.
    pub(super) at: usize,
    /// Its own length in bytes.
    bytes: usize,
    /// The value of its registers.
    pub(super) value: u8,
    /// How many registers it stands for.
    pub(super) registers: usize,
}

impl Run {
    fn read(sparse: &[u8], at: usize) -> Option<Run> {
        let first = *sparse.get(at)?;
        let low = usize::from(first & 0x3f);
        Some(match first >> 6 {
            0 => Run { at, bytes: 1, value: 0, registers: low + 1 },
            1 => {
                let second = sparse.get(at + 1).map_or(0, |&second| usize::from(second));
                Run { at, bytes: 2, value: 0, registers: (low << 8 | second) + 1 }
            }
            _ => Run { at, bytes: 1, value: (first >> 2 & 0x1f) + 1, registers: usize::from(first & 3) + 1 },
        })
    }

    /// Whether it is a run of zeros in two bytes.
    pub(super) fn is_long(&self) -> bool {
        self.bytes == 2
    }
}

/// All runs.
pub(super) fn runs(sparse: &[u8]) -> impl Iterator<Item = Run> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let run = Run::read(sparse, at)?;
        at += run.bytes;
        Some(run)
    })
}

/// One run of all registers.
pub(super) fn zeros() -> Vec<u8> {
    let mut sparse = Vec::new();
    push_run(&mut sparse, 0, REGISTERS);
    sparse
}

fn push_run(out: &mut Vec<u8>, value: u8, registers: usize) {
    match (value, registers) {
        (_, 0) => {}
        (0, ..=SHORT_ZEROS_MAX) => out.push((registers - 1) as u8),
        (0, _) => out.extend([0x40 | ((registers - 1) >> 8) as u8, (registers - 1) as u8]),
        _ => out.push(values(value, registers)),
    }
}

fn values(value: u8, registers: usize) -> u8 {
    0x80 | (value - 1) << 2 | (registers - 1) as u8
}

/// What became of [`raise`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Raised {
    /// The register has the value now.
    Yes,
    /// It had that or a higher one.
    No,
    /// There is no room; nothing changed.
    Full,
    /// The runs do not reach that far.
    Corrupt,
}

/// Raises a register to `value`, of at most [`VALUE_MAX`], if the runs, which begin at `start`, then end before `bytes_max`.
pub(super) fn raise(bytes: &mut Vec<u8>, start: usize, index: usize, value: u8, bytes_max: usize) -> Raised {
    let sparse = &bytes[start..];
    let (mut first, mut previous) = (0, None);
    let found = runs(sparse).find(|run| {
        let is_there = index < first + run.registers;
        if !is_there {
            first += run.registers;
            previous = Some(run.at);
        }
        is_there
    });
    let Some(run) = found else { return Raised::Corrupt };
    if run.value >= value {
        return Raised::No;
    }
    let mut split = Vec::with_capacity(5);
    push_run(&mut split, run.value, index - first);
    split.push(values(value, 1));
    push_run(&mut split, run.value, first + run.registers - index - 1);
    let place = start + run.at;
    let end = (place + run.bytes).min(bytes.len());
    if place + split.len() > end && bytes.len() + split.len() - (end - place) > bytes_max {
        return Raised::Full;
    }
    bytes.splice(place..end, split);
    join(bytes, start + previous.unwrap_or(0));
    Raised::Yes
}

/// Joins neighbours of equal value, near the run that begins at `at`.
fn join(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOIN_REACH {
        let Some(run) = Run::read(bytes, at) else { return };
        let next = Run::read(bytes, at + run.bytes).filter(|next| next.value == run.value);
        let joined = next.map_or(0, |next| run.registers + next.registers);
        if run.value > 0 && (1..=VALUES_MAX).contains(&joined) {
            // Stay here: what was joined may join what follows.
            bytes[at] = values(run.value, joined);
            bytes.remove(at + 1);
        } else {
            at += run.bytes;
        }
    }
}
