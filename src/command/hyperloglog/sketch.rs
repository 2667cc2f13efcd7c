//! A HyperLogLog as the string that it is to other commands.
//!
//! ```text
//! "HYLL" | form u8: 0 dense, 1 sparse | 3 zeros | estimate u64 | registers
//! ```
//!
//! The estimate is little-endian; its highest bit says that it is out of date. Format and changes of form are those of Redis.

use super::hash::place;
use super::registers::{
    DENSE_BYTES, Histogram, REGISTERS, dense_get, dense_histogram, dense_raise, estimate,
};
use super::sparse::{self, Raised, runs};

/// The string is no sketch.
pub(super) const NOT_A_SKETCH: &str = "WRONGTYPE Key is not a valid HyperLogLog string value.";
/// The registers make no sense.
pub(super) const CORRUPT: &str = "INVALIDOBJ Corrupted HLL object detected";

const MAGIC: &[u8] = b"HYLL";
const FORM_AT: usize = 4;
const ESTIMATE_AT: usize = 8;
const HEADER_BYTES: usize = 16;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const OUTDATED: u8 = 0x80;

/// A sketch to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct SketchRef<'a> {
    bytes: &'a [u8],
}

impl<'a> SketchRef<'a> {
    /// The sketch that a string is.
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let is_sketch = bytes.len() >= HEADER_BYTES
            && bytes.starts_with(MAGIC)
            && (bytes[FORM_AT] == SPARSE
                || bytes[FORM_AT] == DENSE && bytes.len() == HEADER_BYTES + DENSE_BYTES);
        is_sketch.then_some(Self { bytes }).ok_or(NOT_A_SKETCH)
    }

    pub(super) fn is_sparse(self) -> bool {
        self.bytes[FORM_AT] == SPARSE
    }

    fn registers(self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// The runs of a sparse sketch, as PFDEBUG DECODE shows them.
    pub(super) fn decoded(self) -> Option<String> {
        let show = |run: sparse::Run| match run.value {
            0 if run.is_long() => format!("Z:{}", run.registers),
            0 => format!("z:{}", run.registers),
            value => format!("v:{value},{}", run.registers),
        };
        self.is_sparse().then(|| runs(self.registers()).map(show).collect::<Vec<_>>().join(" "))
    }

    /// The estimate that stands in the header, unless it is out of date.
    pub(super) fn known_estimate(self) -> Option<u64> {
        let estimate = self.bytes[ESTIMATE_AT..].first_chunk()?;
        (estimate[7] & OUTDATED == 0).then_some(u64::from_le_bytes(*estimate))
    }

    /// The number of different elements, estimated from the registers.
    pub(super) fn estimate(self) -> Result<u64, &'static str> {
        if !self.is_sparse() {
            return Ok(estimate(&dense_histogram(self.registers())));
        }
        let mut histogram = Histogram::from([0; 64]);
        let mut count = 0;
        for run in runs(self.registers()) {
            histogram[usize::from(run.value)] += run.registers as u32;
            count += run.registers;
        }
        if count == REGISTERS { Ok(estimate(&histogram)) } else { Err(CORRUPT) }
    }

    /// Visits every run of registers that are not zero: the first, how many, their value.
    fn each(self, mut visit: impl FnMut(usize, usize, u8)) -> Result<(), &'static str> {
        if !self.is_sparse() {
            (0..REGISTERS).for_each(|index| visit(index, 1, dense_get(self.registers(), index)));
            return Ok(());
        }
        let mut index = 0;
        for run in runs(self.registers()) {
            if run.value > 0 {
                if index + run.registers > REGISTERS {
                    return Err(CORRUPT);
                }
                visit(index, run.registers, run.value);
            }
            index += run.registers;
        }
        if index == REGISTERS { Ok(()) } else { Err(CORRUPT) }
    }
}

/// The registers of several sketches, each at its highest.
#[derive(Debug)]
pub(super) struct Union {
    pub(super) registers: Box<[u8]>,
    /// Whether one of the sketches was dense.
    pub(super) is_dense: bool,
}

impl Union {
    pub(super) fn new() -> Self {
        Self { registers: vec![0; REGISTERS].into_boxed_slice(), is_dense: false }
    }

    pub(super) fn add(&mut self, sketch: SketchRef<'_>) -> Result<(), &'static str> {
        self.is_dense |= !sketch.is_sparse();
        sketch.each(|first, count, value| {
            for register in &mut self.registers[first..first + count] {
                *register = value.max(*register);
            }
        })
    }

    pub(super) fn estimate(&self) -> u64 {
        let mut histogram = Histogram::from([0; 64]);
        self.registers.iter().for_each(|&value| histogram[usize::from(value)] += 1);
        estimate(&histogram)
    }
}

/// A sketch to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sketch {
    bytes: Vec<u8>,
}

impl Sketch {
    /// A sketch of no elements.
    pub(super) fn new() -> Self {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[FORM_AT] = SPARSE;
        bytes.extend(sparse::zeros());
        Self { bytes }
    }

    /// The sketch that a string is, or the string back.
    pub(super) fn of(bytes: Vec<u8>) -> Result<Self, (Vec<u8>, &'static str)> {
        match SketchRef::of(&bytes) {
            Ok(_) => Ok(Self { bytes }),
            Err(error) => Err((bytes, error)),
        }
    }

    pub(super) fn as_ref(&self) -> SketchRef<'_> {
        SketchRef { bytes: &self.bytes }
    }

    /// The string.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Adds an element; whether that changed a register. `sparse_max` is `hll-sparse-max-bytes`.
    pub(super) fn add(&mut self, element: &[u8], sparse_max: usize) -> Result<bool, &'static str> {
        let (index, value) = place(element);
        self.raise(index, value, sparse_max)
    }

    /// Raises a register; `false` if it is that high.
    pub(super) fn raise(&mut self, index: usize, value: u8, sparse_max: usize) -> Result<bool, &'static str> {
        if self.as_ref().is_sparse() {
            let raised = match value {
                ..=sparse::VALUE_MAX => {
                    sparse::raise(&mut self.bytes, HEADER_BYTES, index, value, sparse_max)
                }
                _ => Raised::Full,
            };
            match raised {
                Raised::No => return Ok(false),
                Raised::Corrupt => return Err(CORRUPT),
                Raised::Yes => {
                    self.outdate();
                    return Ok(true);
                }
                Raised::Full => self.become_dense()?,
            };
        }
        Ok(dense_raise(&mut self.bytes[HEADER_BYTES..], index, value))
    }

    /// Says that the estimate is out of date.
    pub(super) fn outdate(&mut self) {
        self.bytes[HEADER_BYTES - 1] |= OUTDATED;
    }

    /// Notes the estimate.
    pub(super) fn set_estimate(&mut self, estimate: u64) {
        self.bytes[ESTIMATE_AT..HEADER_BYTES].copy_from_slice(&estimate.to_le_bytes());
    }

    /// Gives every register its six bits; whether they had not.
    pub(super) fn become_dense(&mut self) -> Result<bool, &'static str> {
        if !self.as_ref().is_sparse() {
            return Ok(false);
        }
        let mut dense = self.bytes[..HEADER_BYTES].to_vec();
        dense[FORM_AT] = DENSE;
        dense.resize(HEADER_BYTES + DENSE_BYTES, 0);
        self.as_ref().each(|first, count, value| {
            for index in first..first + count {
                dense_raise(&mut dense[HEADER_BYTES..], index, value);
            }
        })?;
        self.bytes = dense;
        Ok(true)
    }

    /// Every register's value.
    pub(super) fn values(&self) -> Result<Box<[u8]>, &'static str> {
        let mut union = Union::new();
        union.add(self.as_ref())?;
        Ok(union.registers)
    }
}
