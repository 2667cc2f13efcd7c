//! The server family: what the server tells of itself and how it is told to behave. Rows on top; handlers in the files
//! beside, the shortest ones below. The registers are in `state`; what needs other shards or connections is asked for
//! as an [`Ask`].

mod config;
mod debug;
mod function;
mod info;
mod latency;
mod lolwut;
mod memory;
mod redact;
mod replica;
mod replicas;
mod save;
mod slowlog;
mod statistics;

#[cfg(test)]
mod server_test;

pub use config::change as change_config;
pub use info::REDIS_VERSION;
pub use redact::redacted;

use super::home::{Ask, HomeContext, Then};
use super::{Command, Flags, Group, Run};
use crate::base::clock::unix_micros;
use crate::config::ShutdownFlags;
use crate::resp::error::SYNTAX;

const ANYTIME: Flags = Flags::LOADING.union(Flags::STALE);
const ADMIN: Flags = ANYTIME.union(Flags::ADMIN);
const ADMIN_NO_SCRIPT: Flags = ADMIN.union(Flags::NOSCRIPT);

const SUBCOMMAND_COST: &str = "Depends on subcommand.";
const ALL_NODES_SUCCEED: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];
const ALL_NODES_SPECIAL: &[&str] =
    &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];
const ALL_SHARDS_SPECIAL: &[&str] =
    &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    save::BGSAVE,
    container("config")
        .docs("2.0.0", "Commands about the configuration.", SUBCOMMAND_COST)
        .subcommands(config::COMMANDS),
    debug::COMMAND,
    replicas::FAILOVER,
    Command::new("function", -2, Group::Scripting, Run::Container)
        .docs("7.0.0", "Commands about functions.", SUBCOMMAND_COST)
        .subcommands(function::COMMANDS),
    row("info", -1, info::info)
        .flags(ANYTIME.union(Flags::SENTINEL))
        .docs("1.0.0", "Tells what the server is and does.", "O(1)")
        .tips(ALL_SHARDS_SPECIAL)
        .categories(&["dangerous"]),
    save::LASTSAVE,
    container("latency")
        .docs("2.8.13", "Commands about what took long.", SUBCOMMAND_COST)
        .subcommands(latency::COMMANDS),
    row("lolwut", -1, lolwut::lolwut).flags(Flags::READONLY.union(Flags::FAST)).docs(
        "5.0.0",
        "Draws something, and tells the version.",
        "O(1)",
    ),
    container("memory")
        .docs("4.0.0", "Commands about the use of memory.", SUBCOMMAND_COST)
        .subcommands(memory::COMMANDS),
    row("monitor", 1, monitor).flags(ADMIN_NO_SCRIPT).docs(
        "1.0.0",
        "Shows every command that the server runs, as it runs.",
        "O(1)",
    ),
    replicas::PSYNC,
    replicas::REPLCONF,
    replicas::ROLE,
    save::SAVE,
    row("shutdown", -1, shutdown)
        .flags(ADMIN_NO_SCRIPT.union(Flags::NO_MULTI).union(Flags::SENTINEL).union(Flags::ALLOW_BUSY))
        .docs(
            "1.0.0",
            "Ends the server, after saving the dataset where that is configured.",
            "O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise \
             O(1)",
        ),
    replica::REPLICAOF,
    replica::SLAVEOF,
    container("slowlog")
        .docs("2.2.12", "Commands about the log of slow commands.", SUBCOMMAND_COST)
        .subcommands(slowlog::COMMANDS),
    replicas::SYNC,
    row("time", 1, time)
        .flags(ANYTIME.union(Flags::FAST))
        .docs("2.6.0", "Tells the time of the server's clock.", "O(1)")
        .tips(&["nondeterministic_output"]),
    replicas::WAIT,
];

const fn container(name: &'static str) -> Command {
    Command::new(name, -2, Group::Server, Run::Container)
}

const fn row(name: &'static str, arity: i32, run: fn(&mut HomeContext<'_>, &[&[u8]]) -> Then) -> Command {
    Command::new(name, arity, Group::Server, Run::Home(run))
}

/// Replies that no subcommand of the command has this name with so many arguments.
fn unknown_or_wrong_arity(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let shown = String::from_utf8_lossy(&arguments[1][..arguments[1].len().min(128)]).into_owned();
    let container = String::from_utf8_lossy(arguments[0]).to_uppercase();
    home.error(format!(
        "ERR unknown subcommand or wrong number of arguments for '{shown}'. Try {container} HELP."
    ))
}

fn monitor(_: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    Then::Ask(Ask::Monitor)
}

/// TIME: the clock itself, since the tick's is in milliseconds.
fn time(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    let micros = unix_micros();
    home.reply.array(2);
    home.reply.bulk_int(micros / 1_000_000);
    home.reply.bulk_int(micros % 1_000_000);
    Then::Done
}

fn shutdown(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let mut flags = ShutdownFlags::empty();
    let mut aborts = false;
    for option in &arguments[1..] {
        match option.to_ascii_lowercase().as_slice() {
            b"nosave" => flags |= ShutdownFlags::NOSAVE,
            b"save" => flags |= ShutdownFlags::SAVE,
            b"now" => flags |= ShutdownFlags::NOW,
            b"force" => flags |= ShutdownFlags::FORCE,
            b"abort" => aborts = true,
            _ => return home.error(SYNTAX),
        }
    }
    if aborts && !flags.is_empty() || flags.contains(ShutdownFlags::SAVE | ShutdownFlags::NOSAVE) {
        return home.error(SYNTAX);
    }
    Then::Ask(if aborts { Ask::AbortShutdown } else { Ask::Shutdown(flags) })
}
