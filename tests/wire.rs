//! The protocol byte by byte, and clients that behave badly. Whatever bytes a client sends, the answer is
//! Redis's to the letter; whatever a client does or leaves undone, the others are served.
//!
//! `SKERRY_FUZZ_SECONDS` sets how long random bytes are sent (10).

mod common;
#[path = "wire/crowd.rs"]
mod crowd;
#[path = "wire/fuzz.rs"]
mod fuzz;
#[path = "wire/protocol.rs"]
mod protocol;
