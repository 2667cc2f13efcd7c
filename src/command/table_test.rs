//! Walks the table: what must hold for every row of every family.

use super::*;
use crate::command::Run;
use crate::command::keys::{Begin, Find};

#[test]
fn rows_have_their_numbers() {
    for (index, row) in rows().iter().enumerate() {
        assert_eq!(usize::from(row.index), index, "{}", row.full_name);
    }
}

#[test]
fn every_name_leads_to_its_row() {
    for row in all() {
        let found = find(row.name.to_uppercase().as_bytes()).expect("its own name");
        assert!(std::ptr::eq(found, row));
        for sub in row.subcommands {
            assert!(std::ptr::eq(rows()[usize::from(sub.index)], sub));
            let prefix = format!("{}|", row.full_name);
            assert_eq!(sub.full_name.strip_prefix(&prefix), Some(sub.name));
            let resolved = resolve(&[row.name.as_bytes(), sub.name.to_uppercase().as_bytes()]);
            assert!(matches!(resolved, Resolved::Row(found) if std::ptr::eq(found, sub)));
        }
    }
}

#[test]
fn heads_are_read_whole() {
    for length in 0..20 {
        let name: Vec<u8> = (0..length).map(|at| b'a' + at).collect();
        let mut wanted = [b' '; 8];
        let known = name.len().min(8);
        wanted[..known].copy_from_slice(&name[..known]);
        assert_eq!(folded_head(&name).to_le_bytes(), wanted);
    }
}

#[test]
fn bytes_that_fold_alike_are_no_names() {
    for row in all() {
        for at in 0..row.name.len() {
            for flipped in [0x20, 0x80, 0x40] {
                let mut name = row.name.as_bytes().to_vec();
                name[at] ^= flipped;
                let wanted = name.eq_ignore_ascii_case(row.name.as_bytes());
                assert_eq!(find(&name).is_some_and(|found| found.name == row.name), wanted, "{name:?}");
            }
        }
    }
}

#[test]
fn names_are_unique() {
    let mut names = names();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn every_row_is_documented() {
    for row in rows() {
        assert!(!row.summary.is_empty(), "{} has no summary", row.full_name);
        assert!(!row.complexity.is_empty(), "{} has no complexity", row.full_name);
        assert!(row.since.split('.').count() == 3, "{} has no version", row.full_name);
        assert!(row.arity != 0, "{} has no arity", row.full_name);
    }
}

#[test]
fn syntax_agrees_with_the_rows() {
    let mut names: Vec<&str> = syntax::names().collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a syntax stands twice");
    for row in rows() {
        let own_words = row.full_name.split('|').count() as i32;
        let told = !row.flags.contains(Flags::PROTECTED) && !matches!(row.run, Run::Container);
        if told && row.arity.abs() > own_words {
            assert!(!row.arguments.is_empty(), "{} has no syntax", row.full_name);
        }
        let specs = row.keys.len();
        assert!(keys_of(row.arguments).all(|spec| usize::from(spec) < specs), "{}", row.full_name);
    }
}

/// The key specifications that arguments name.
fn keys_of(arguments: &'static [syntax::Argument]) -> Box<dyn Iterator<Item = u8>> {
    Box::new(
        arguments
            .iter()
            .flat_map(|argument| argument.key_spec.into_iter().chain(keys_of(argument.arguments))),
    )
}

#[test]
fn flags_agree_with_each_other() {
    for row in rows() {
        let name = row.full_name;
        assert!(!row.flags.contains(Flags::WRITE.union(Flags::READONLY)), "{name} writes and does not");
        if row.flags.contains(Flags::DENYOOM) {
            assert!(row.flags.contains(Flags::WRITE), "{name} needs memory but does not write");
        }
        if matches!(row.run, Run::Container) {
            assert!(!row.subcommands.is_empty(), "{name} contains nothing");
        }
        if name == "debug" || name.starts_with("debug|") {
            assert!(row.flags.contains(Flags::PROTECTED), "{name} is not protected");
        }
    }
}

#[test]
fn the_least_arguments_have_room_for_the_keys() {
    for row in rows() {
        let least = row.arity.unsigned_abs() as usize;
        for spec in row.keys {
            let Begin::Index(first) = spec.begin else { continue };
            // PFMERGE may have no source.
            let may_lack = row.flags.contains(Flags::PUBSUB) || row.full_name == "pfmerge";
            assert!(first < least || may_lack, "{}: first key behind the arguments", row.full_name);
            match spec.find {
                Find::Range { last, step, .. } => {
                    assert!(step > 0);
                    assert!(last < 0 || first + (last as usize) < least, "{}", row.full_name);
                }
                Find::Count { number, step, .. } => {
                    assert!(step > 0);
                    assert!(first + number < least, "{}", row.full_name);
                }
            }
        }
    }
}

#[test]
fn keys_of_writers_are_written() {
    for row in rows().iter().filter(|row| row.is_write() && !row.keys.is_empty()) {
        // Redis says that it only reads; what it changes is what groups know.
        if row.full_name == "xreadgroup" {
            continue;
        }
        assert!(row.keys.iter().any(|spec| !spec.is_read_only()), "{} writes no key", row.full_name);
    }
    // PFCOUNT is one that only reads, but notes in the key what it counted.
    for row in rows().iter().filter(|row| row.flags.contains(Flags::READONLY) && row.full_name != "pfcount") {
        assert!(row.keys.iter().all(|spec| spec.is_read_only()), "{} writes a key", row.full_name);
    }
}

#[test]
fn unknown_names() {
    assert!(find(b"nosuchcommand").is_none());
    assert!(find(b"").is_none());
    assert!(
        matches!(resolve(&[b"client", b"nosuch"]), Resolved::UnknownSubcommand(row) if row.name == "client")
    );
    assert!(matches!(resolve(&[b"command", b"nosuch"]), Resolved::UnknownSubcommand(_)));
    assert!(matches!(resolve(&[b"client"]), Resolved::Row(row) if row.name == "client"));
    assert!(matches!(resolve(&[]), Resolved::UnknownCommand));
}

#[test]
fn renaming() {
    let index = |pairs: &[(&[u8], &[u8])]| Index::new(renamed(pairs).expect("good names").into_iter());
    let renamed_ping = index(&[(b"PING", b"Halloo")]);
    assert!(renamed_ping.find(b"ping").is_none());
    assert_eq!(renamed_ping.find(b"HALLOO").map(|row| row.full_name), Some("ping"));
    let without = index(&[(b"ping", b"")]);
    assert!(without.find(b"ping").is_none());
    assert_eq!(without.named.len() + 1, all().count());
    let swapped = index(&[(b"ping", b"x"), (b"echo", b"ping"), (b"x", b"echo")]);
    assert_eq!(swapped.find(b"ping").map(|row| row.full_name), Some("echo"));
    assert_eq!(swapped.find(b"echo").map(|row| row.full_name), Some("ping"));
    assert!(matches!(renamed(&[(b"nosuch", b"x")]), Err((0, "No such command in rename-command"))));
    let taken = renamed(&[(b"select", b""), (b"ping", b"echo")]);
    assert!(matches!(taken, Err((1, "Target command name already exists"))));
}
