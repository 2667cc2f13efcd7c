//! The command line.

use clap::Parser;

use crate::slot::SlotSet;

/// Load generator for servers that speak the Redis protocol. Prints one line of JSON.
///
/// Closed loop by default: every connection sends a burst of `--pipeline` requests, waits for all replies, and sends
/// the next. With `--rate` the bursts leave on schedule whether or not replies came, and latency counts from the
/// intended time.
#[derive(Parser)]
#[command(name = "skerry-load", version, args_override_self = true)]
pub struct Args {
    /// Host of the server (or of any node of the cluster)
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// Port of the server
    #[arg(short, long, default_value_t = 6379)]
    pub port: u16,
    /// Number of connections, over all nodes
    #[arg(short, long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,
    /// Requests that a connection sends at once
    #[arg(short = 'P', long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub pipeline: u32,
    /// Requests a second over all connections, sent on schedule (open loop); without it as fast as replies come
    #[arg(long, value_parser = positive)]
    pub rate: Option<f64>,
    /// The request: `get`, `set`, `mget`, `mset`, `exec` (MULTI, two SETs, EXEC), or any commands, separated by ` ; `.
    /// `__rand__` stands for a key's twelve digits, `__rand:LOW-HIGH__` for those of a key of these slots, `__data__` for a
    /// value. Default: `get`; with --populate `set`
    #[arg(long)]
    pub command: Option<String>,
    /// Keys in the key space
    #[arg(short, long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    pub keys: u64,
    /// Bytes of a value
    #[arg(short = 'd', long, default_value_t = 64)]
    pub value_size: usize,
    /// Keys of one `mget` or `mset`
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub multi_keys: u32,
    /// Elements that every array in reply to a command of one's own must have
    #[arg(long)]
    pub elements: Option<u64>,
    /// Connections beside the others that subscribe to `--channel` and read what is published there
    #[arg(long, default_value_t = 0)]
    pub subscribers: u32,
    /// What the subscribers subscribe to
    #[arg(long, default_value = "channel")]
    pub channel: String,
    /// Ask only for keys of the slots LOW-HIGH
    #[arg(long, value_parser = SlotSet::parse)]
    pub slots: Option<SlotSet>,
    /// Ask the server for CLUSTER SLOTS and send every key to the node that owns it
    #[arg(long)]
    pub cluster: bool,
    /// Go through the key space once, in order, and stop
    #[arg(long)]
    pub populate: bool,
    /// Length of the measured window
    #[arg(short, long, default_value_t = 3.0, value_parser = positive)]
    pub seconds: f64,
    /// Time before the measured window
    #[arg(short, long, default_value_t = 0.5, value_parser = not_negative)]
    pub warmup: f64,
    /// Process ids whose CPU time is measured, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub server_pid: Vec<u32>,
    /// Seed of the random keys (printed in the report); by default taken from the clock
    #[arg(long)]
    pub seed: Option<u64>,
    /// Never sleep: lower latency figures at the cost of a whole core
    #[arg(long)]
    pub busy: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    not_negative(text)
        .and_then(|number| if number > 0.0 { Ok(number) } else { Err("must be above 0".into()) })
}

fn not_negative(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if number.is_finite() && number >= 0.0 { Ok(number) } else { Err("must not be negative".into()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
        assert!(Args::try_parse_from(["skerry-load", "--rate", "0"]).is_err());
        assert!(Args::try_parse_from(["skerry-load", "--slots", "0-16384"]).is_err());
        let args = Args::try_parse_from(["skerry-load", "-P", "16", "--server-pid", "1,2"]).unwrap();
        assert_eq!((args.pipeline, args.server_pid), (16, vec![1, 2]));
    }
}
