//! The transaction family: rows on top, handlers below.

use super::Command;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[];
