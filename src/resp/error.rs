//! The error sentences that more than one command uses, each written once, in the wording of Redis 7.2.
//!
//! A sentence starts with its code (`ERR`, `WRONGTYPE`, …) and has neither the leading `-` nor the line end.

/// A value of another type stands at the key.
pub const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
/// An option is unknown or stands where it may not.
pub const SYNTAX: &str = "ERR syntax error";
/// An argument or value is no canonical 64-bit integer.
pub const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
/// An argument is no integer from zero on.
pub const NOT_POSITIVE: &str = "ERR value is out of range, must be positive";
/// An argument or value is no float.
pub const NOT_A_FLOAT: &str = "ERR value is not a valid float";
/// The key must exist for this command.
pub const NO_SUCH_KEY: &str = "ERR no such key";
/// A database index outside of `databases`.
pub const DB_INDEX_OUT_OF_RANGE: &str = "ERR DB index is out of range";
/// The value would pass `proto-max-bulk-len`.
pub const STRING_TOO_LONG: &str = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
/// The client has not authenticated.
pub const NO_AUTH: &str = "NOAUTH Authentication required.";
/// AUTH or HELLO with a wrong password or user.
pub const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";
/// A command of a cluster's node while there are no ports of shards.
pub const CLUSTER_DISABLED: &str = "ERR This instance has cluster support disabled";
/// A write is refused because `maxmemory` is reached and nothing can be evicted.
pub const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";
/// A write to a replica.
pub const READ_ONLY: &str = "READONLY You can't write against a read only replica.";
/// A replica that lost its master is asked for data.
pub const MASTER_DOWN: &str =
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
/// A dataset is being loaded.
pub const LOADING: &str = "LOADING Redis is loading the dataset in memory";
/// EXEC after an error while queueing.
pub const EXEC_ABORT: &str = "EXECABORT Transaction discarded because of previous errors.";
/// Source and destination are one object.
pub const SAME_OBJECT: &str = "ERR source and destination objects are the same";

/// `ERR wrong number of arguments for '…' command`; a subcommand is named `client|list`.
pub fn wrong_arity(full_name: &str) -> String {
    format!("ERR wrong number of arguments for '{full_name}' command")
}

/// `ERR invalid expire time in '…' command`.
pub fn invalid_expire(full_name: &str) -> String {
    format!("ERR invalid expire time in '{full_name}' command")
}

/// The sentence for an unknown subcommand of `container`; the caller cuts what is shown of its name.
pub fn unknown_subcommand(shown: &[u8], container: &[u8]) -> Vec<u8> {
    let container = container.to_ascii_uppercase();
    [b"ERR unknown subcommand '", shown, b"'. Try ", &container, b" HELP."].concat()
}

/// The sentence for a number of arguments that a subcommand's arity lets pass but its syntax does not.
pub fn unknown_form(subcommand: &[u8], container: &str) -> Vec<u8> {
    let shown = subcommand.get(..128).unwrap_or(subcommand);
    let start = &b"ERR unknown subcommand or wrong number of arguments for '"[..];
    [start, shown, b"'. Try ", container.as_bytes(), b" HELP."].concat()
}
