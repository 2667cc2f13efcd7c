//! The counters of commands as clients see them: subcommands that the command table hides (those of DEBUG) count as
//! their command.

use crate::command::table;
use crate::command::{Command, Flags};
use crate::state::Server;
use crate::state::commands::CommandTotals;

/// The totals of every row that clients know, in the order of the table.
pub fn totals(server: &Server) -> impl Iterator<Item = CommandTotals> {
    table::all().flat_map(move |row| of_command(server, row))
}

/// The totals of a command and, as far as clients know them, of its subcommands.
pub fn of_command(server: &Server, row: &Command) -> Vec<CommandTotals> {
    let mut own = server.commands.total(row.index);
    let subcommands = row.subcommands.iter().map(|row| server.commands.total(row.index));
    if row.flags.contains(Flags::HIDDEN_SUBCOMMANDS) {
        subcommands.for_each(|totals| own.add(&totals));
        return vec![own];
    }
    std::iter::once(own).chain(subcommands).collect()
}
