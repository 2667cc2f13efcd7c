//! What PFSELFTEST checks: that registers keep what they are given, that dense and sparse sketches agree, and that estimates
//! are as near the truth as they should be. With fewer elements than Redis takes, since a shard waits meanwhile.

use rand::Rng;
use rand::rngs::SmallRng;

use super::registers::{DENSE_BYTES, REGISTERS, dense_get, dense_raise};
use super::sketch::Sketch;

const ROUNDS: usize = 50;
const ELEMENTS: u64 = 1_000_000;
const SPARSE_MAX: usize = 3000;

/// Runs all checks; the error is what failed.
pub(super) fn run(rng: &mut SmallRng) -> Result<(), String> {
    for _ in 0..ROUNDS {
        check_registers(rng)?;
    }
    check_estimates(rng.random())
}

fn check_registers(rng: &mut SmallRng) -> Result<(), String> {
    let mut dense = vec![0; DENSE_BYTES];
    let values: Vec<u8> = (0..REGISTERS).map(|_| rng.random_range(0..64)).collect();
    for (index, &value) in values.iter().enumerate() {
        dense_raise(&mut dense, index, value);
    }
    for (index, &value) in values.iter().enumerate() {
        let found = dense_get(&dense, index);
        if found != value {
            return Err(format!("ERR TESTFAILED Register {index} should be {value} but is {found}"));
        }
    }
    Ok(())
}

fn check_estimates(seed: u64) -> Result<(), String> {
    let (mut dense, mut sparse) = (Sketch::new(), Sketch::new());
    dense.become_dense()?;
    // Six standard errors, which are 1.04 by the root of the number of registers.
    let tolerance = 6.0 * 1.04 / (REGISTERS as f64).sqrt();
    let mut checkpoint = 1;
    for number in 1..=ELEMENTS {
        let element = (number ^ seed).to_le_bytes();
        dense.add(&element, SPARSE_MAX)?;
        sparse.add(&element, SPARSE_MAX)?;
        if number != checkpoint {
            continue;
        }
        if number < SPARSE_MAX as u64 / 2 && !sparse.as_ref().is_sparse() {
            return Err("ERR TESTFAILED sparse encoding not used".into());
        }
        let estimate = dense.as_ref().estimate()?;
        if estimate != sparse.as_ref().estimate()? {
            return Err("ERR TESTFAILED dense/sparse disagree".into());
        }
        let error = estimate.abs_diff(number);
        if error > (tolerance * number as f64).ceil() as u64 {
            return Err(format!("ERR TESTFAILED Too big error. card:{number} abserr:{error}"));
        }
        checkpoint *= 10;
    }
    Ok(())
}
