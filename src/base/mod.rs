//! Floor 0: the clock, slots, numbers, patterns and limits that every other floor leans on.
//!
//! Nothing here knows keys, commands or sockets.

pub mod clock;
pub mod extended;
pub mod glob;
pub mod limits;
pub mod memory;
pub mod number;
pub mod slot;
