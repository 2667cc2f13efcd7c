//! The `skerry` binary: arguments to configuration to `server::boot`.

fn main() {}
