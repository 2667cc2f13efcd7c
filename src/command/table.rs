//! All commands: the families' rows in one index.

use std::sync::OnceLock;

use super::{
    Command, Flags, bitmap, client, cluster, connection, generic, hash, introspection, list, pubsub, server,
    set, sorted_set, stream, string, syntax, transaction,
};

const FAMILIES: &[&[Command]] = &[
    bitmap::COMMANDS,
    client::COMMANDS,
    cluster::COMMANDS,
    connection::COMMANDS,
    generic::COMMANDS,
    hash::COMMANDS,
    introspection::COMMANDS,
    list::COMMANDS,
    pubsub::COMMANDS,
    server::COMMANDS,
    set::COMMANDS,
    sorted_set::COMMANDS,
    stream::COMMANDS,
    string::COMMANDS,
    transaction::COMMANDS,
];

/// Slots of the index; a power of two, several times the number of commands.
const SLOTS: usize = 2048;

/// The names under which clients find commands.
struct Index {
    slots: Box<[Option<Name>]>,
    /// Every top-level command that has a name, in the order of the families.
    named: Vec<&'static Command>,
}

#[derive(Clone, Copy)]
struct Name {
    head: u64,
    /// Whether the name consists of at most eight letters.
    is_short_word: bool,
    text: &'static str,
    row: &'static Command,
}

impl Name {
    fn new(text: &'static str, row: &'static Command) -> Self {
        let head = folded_head(text.as_bytes());
        let is_short_word = text.len() <= 8 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
        Self { head, is_short_word, text, row }
    }
}

static INDEX: OnceLock<Index> = OnceLock::new();

#[inline]
fn index() -> &'static Index {
    INDEX.get_or_init(|| Index::new(table().top.iter().map(|row| Name::new(row.name, row))))
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

/// A copy of `row` that has the number `index` and its syntax, and its subcommands the numbers that follow.
fn numbered(row: &Command, index: u16) -> &'static Command {
    let mut subcommands = row.subcommands.to_vec();
    for (subcommand, index) in subcommands.iter_mut().zip(index + 1..) {
        subcommand.index = index;
        subcommand.arguments = syntax::of(subcommand.full_name);
    }
    let arguments = syntax::of(row.full_name);
    Box::leak(Box::new(Command { index, arguments, subcommands: subcommands.leak(), ..*row }))
}

/// Every top-level command that clients can find.
pub fn all() -> impl Iterator<Item = &'static Command> {
    index().named.iter().copied()
}

/// Gives commands other names (`rename-command`): pairs of the old and the new name, an empty one to take the command
/// away. To be called once, before anything is looked up. The error is the number of the pair at fault and Redis's
/// reason.
pub fn rename(pairs: &[(&[u8], &[u8])]) -> Result<(), (usize, &'static str)> {
    let fresh = INDEX.set(Index::new(renamed(pairs)?.into_iter())).is_ok();
    assert!(fresh, "commands are renamed before they are looked up");
    Ok(())
}

/// All names after renaming. New ones live as long as the process.
fn renamed(pairs: &[(&[u8], &[u8])]) -> Result<Vec<Name>, (usize, &'static str)> {
    let mut names: Vec<Name> = table().top.iter().map(|row| Name::new(row.name, row)).collect();
    for (number, (old, new)) in pairs.iter().enumerate() {
        let place = names.iter().position(|name| old.eq_ignore_ascii_case(name.text.as_bytes()));
        let place = place.ok_or((number, "No such command in rename-command"))?;
        let Name { row, .. } = names.remove(place);
        if new.is_empty() {
            continue;
        }
        if names.iter().any(|name| new.eq_ignore_ascii_case(name.text.as_bytes())) {
            return Err((number, "Target command name already exists"));
        }
        let text = Box::leak(String::from_utf8_lossy(new).into_owned().into_boxed_str());
        names.insert(place, Name::new(text, row));
    }
    Ok(names)
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
#[inline]
pub fn find(name: &[u8]) -> Option<&'static Command> {
    index().find(name)
}

/// The row that `arguments` name: the subcommand's when the command has such. What hides its subcommands
/// ([`Flags::HIDDEN_SUBCOMMANDS`]) may take other words in their place.
pub fn resolve(arguments: &[&[u8]]) -> Resolved {
    let Some(row) = arguments.first().and_then(|name| find(name)) else { return Resolved::UnknownCommand };
    if row.subcommands.is_empty() {
        return Resolved::Row(row);
    }
    let Some(name) = arguments.get(1) else { return Resolved::Row(row) };
    match row.subcommands.iter().find(|sub| name.eq_ignore_ascii_case(sub.name.as_bytes())) {
        Some(sub) => Resolved::Row(sub),
        None if row.flags.contains(Flags::HIDDEN_SUBCOMMANDS) => Resolved::Row(row),
        None => Resolved::UnknownSubcommand(row),
    }
}

/// What [`resolve`] found.
#[derive(Clone, Copy, Debug)]
pub enum Resolved {
    /// A row; its arity is not checked yet.
    Row(&'static Command),
    /// No such command.
    UnknownCommand,
    /// The command has no such subcommand.
    UnknownSubcommand(&'static Command),
}

/// The first eight bytes of a name, those that are missing as zeros, with letters in lower case (other bytes may change
/// too). Reads short names in two or three overlapping parts: their length varies, so a copy would be a call.
#[inline]
fn folded_head(name: &[u8]) -> u64 {
    let part =
        |at: usize| u64::from(u32::from_le_bytes([name[at], name[at + 1], name[at + 2], name[at + 3]]));
    let head = match name.len() {
        0 => 0,
        length @ 1..=3 => {
            let byte = |at: usize| u64::from(name[at]) << (8 * at);
            byte(0) | byte(length / 2) | byte(length - 1)
        }
        length @ 4..=7 => part(0) | part(length - 4) << (8 * (length - 4)),
        _ => part(0) | part(4) << 32,
    };
    head | 0x2020_2020_2020_2020
}

/// Where the search for a name begins (multiplicative hashing of its head and length).
#[inline]
fn place(head: u64, length: usize) -> usize {
    let mixed = (head ^ length as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> (64 - SLOTS.trailing_zeros())) as usize
}

impl Index {
    fn new(names: impl Iterator<Item = Name>) -> Self {
        let mut index = Self { slots: vec![None; SLOTS].into_boxed_slice(), named: Vec::new() };
        for name in names {
            let mut at = place(name.head, name.text.len());
            while index.slots[at].is_some() {
                at = (at + 1) % SLOTS;
            }
            index.slots[at] = Some(name);
            index.named.push(name.row);
        }
        index
    }

    #[inline]
    fn find(&self, name: &[u8]) -> Option<&'static Command> {
        let head = folded_head(name);
        let mut at = place(head, name.len());
        loop {
            let known = self.slots[at]?;
            if known.head == head && known.text.len() == name.len() {
                // A head of letters tells short names apart; what else there is must be compared.
                let is_told = known.is_short_word || name.eq_ignore_ascii_case(known.text.as_bytes());
                if is_told {
                    return Some(known.row);
                }
            }
            at = (at + 1) % SLOTS;
        }
    }
}

#[cfg(test)]
#[path = "table_test.rs"]
mod tests;
