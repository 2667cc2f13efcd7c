//! What the black-box tests share: servers started as child processes, a small blocking client,
//! replies as values, seeded randomness. Standard library only; nothing of the crate under test is
//! imported here, so a fault in its parser cannot hide itself.
//!
//! Environment:
//!
//! - `SKERRY_BINARY`: the server under test instead of cargo's own build; any server that speaks the
//!   protocol will do, real Redis included (arguments it does not know are left out then)
//! - `SKERRY_EXTRA_ARGUMENTS`: words appended to each start of the server under test
//! - `SKERRY_STRICT=1`: a missing tool, or a server that cannot serve, fails a test instead of skipping it
//! - `SKERRY_SEED`: repeats a run whose seed was printed

// Each test binary compiles this module and uses a part of it.
#![allow(dead_code, unused_imports)]

mod client;
mod contents;
mod random;
mod reply;
mod server;

pub use client::{Client, encode};
pub use contents::{Answer, everything_about};
pub use random::{Random, seed};
pub use reply::Reply;
pub use server::{Kind, Server, Start, free_ports, has_tool, is_redis, redis, skerry};

/// The value of an environment variable as a number, or the default.
pub fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

/// Whether a missing tool fails a test (`tests/run` sets it) instead of skipping it.
pub fn strict() -> bool {
    setting("SKERRY_STRICT", 0) == 1
}

/// Prints why a test does not run; in strict mode fails it.
pub fn skip(reason: &str) {
    assert!(!strict(), "cannot run: {reason}");
    println!("skipped: {reason}");
}

/// Polls until the condition holds; fails the test after `limit_ms` milliseconds.
pub fn wait_until(what: &str, limit_ms: u64, mut condition: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + std::time::Duration::from_millis(limit_ms);
    while !condition() {
        assert!(std::time::Instant::now() < end, "waited {limit_ms} ms in vain: {what}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
