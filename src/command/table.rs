//! All commands: the families' rows in one index.

use std::sync::OnceLock;

use super::{Command, bitmap, connection, generic, server, string, transaction};

const FAMILIES: &[&[Command]] = &[
    bitmap::COMMANDS,
    connection::COMMANDS,
    generic::COMMANDS,
    server::COMMANDS,
    string::COMMANDS,
    transaction::COMMANDS,
];

/// Slots of the index; a power of two, several times the number of commands.
const SLOTS: usize = 2048;

struct Index {
    slots: Box<[Option<&'static Command>]>,
}

/// The families' rows with their numbers.
struct Table {
    top: Vec<&'static Command>,
    rows: Vec<&'static Command>,
}

/// The table is made once: numbering needs copies of the constants, and those live as long as the process.
fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Table { top: Vec::new(), rows: Vec::new() };
        for row in FAMILIES.iter().flat_map(|family| family.iter()) {
            let row = numbered(row, table.rows.len() as u16);
            table.top.push(row);
            table.rows.push(row);
            table.rows.extend(row.subcommands);
        }
        table
    })
}

/// A copy of `row` that has the number `index`, and its subcommands those that follow.
fn numbered(row: &Command, index: u16) -> &'static Command {
    let mut subcommands = row.subcommands.to_vec();
    for (subcommand, index) in subcommands.iter_mut().zip(index + 1..) {
        subcommand.index = index;
    }
    Box::leak(Box::new(Command { index, subcommands: subcommands.leak(), ..*row }))
}

/// Every top-level command.
pub fn all() -> impl Iterator<Item = &'static Command> {
    table().top.iter().copied()
}

/// Every row that can run or be counted: top-level commands, each followed by its subcommands. A row's place is its
/// [`Command::index`].
pub fn rows() -> &'static [&'static Command] {
    &table().rows
}

/// The full names of [`rows`], for the registers that count them.
pub fn names() -> Vec<&'static str> {
    rows().iter().map(|row| row.full_name).collect()
}

/// The top-level command of that name, whatever its case.
pub fn find(name: &[u8]) -> Option<&'static Command> {
    static INDEX: OnceLock<Index> = OnceLock::new();
    let index = INDEX.get_or_init(build);
    let mut at = place(name);
    loop {
        let row = index.slots[at]?;
        if row.name.len() == name.len() && name.eq_ignore_ascii_case(row.name.as_bytes()) {
            return Some(row);
        }
        at = (at + 1) % SLOTS;
    }
}

/// The row that `arguments` name: the subcommand's when the command is a container and knows it.
pub fn resolve(arguments: &[&[u8]]) -> Resolved {
    let Some(row) = arguments.first().and_then(|name| find(name)) else { return Resolved::UnknownCommand };
    if row.subcommands.is_empty() {
        return Resolved::Row(row);
    }
    let Some(name) = arguments.get(1) else { return Resolved::Row(row) };
    match row.subcommands.iter().find(|sub| name.eq_ignore_ascii_case(sub.name.as_bytes())) {
        Some(sub) => Resolved::Row(sub),
        None if matches!(row.run, super::Run::Container) => Resolved::UnknownSubcommand(row),
        None => Resolved::Row(row),
    }
}

/// What [`resolve`] found.
#[derive(Clone, Copy, Debug)]
pub enum Resolved {
    /// A row; its arity is not checked yet.
    Row(&'static Command),
    /// No such command.
    UnknownCommand,
    /// The container has no such subcommand.
    UnknownSubcommand(&'static Command),
}

/// A cheap hash of a short name, whatever its case (multiplicative hashing of the first eight bytes and the length).
fn place(name: &[u8]) -> usize {
    let mut head = [0u8; 8];
    let length = name.len().min(8);
    head[..length].copy_from_slice(&name[..length]);
    let folded = u64::from_le_bytes(head) | 0x2020_2020_2020_2020;
    let mixed = (folded ^ name.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> (64 - SLOTS.trailing_zeros())) as usize
}

fn build() -> Index {
    let mut slots = vec![None; SLOTS].into_boxed_slice();
    for row in all() {
        let mut at = place(row.name.as_bytes());
        while slots[at].is_some() {
            at = (at + 1) % SLOTS;
        }
        slots[at] = Some(row);
    }
    Index { slots }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_their_numbers() {
        for (index, row) in rows().iter().enumerate() {
            assert_eq!(usize::from(row.index), index, "{}", row.full_name);
        }
        for row in all() {
            let found = find(row.name.to_uppercase().as_bytes()).expect("its own name");
            assert!(std::ptr::eq(found, row));
            for subcommand in row.subcommands {
                assert!(std::ptr::eq(rows()[usize::from(subcommand.index)], subcommand));
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names = names();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
