//! COMMAND: the shapes of its replies, and what follows from a row.

use crate::command::case::HomeCase;
use crate::command::description::{categories, write_docs, write_info};
use crate::command::keys::{KeyFlags, KeySpec};
use crate::command::{Argument, Command, Flags, Group, HomeContext, Run, Then, syntax};
use crate::resp::Reply;
use crate::resp::reply::Protocol;

fn nothing(_: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    Then::Done
}

fn written(protocol: Protocol, write: impl FnOnce(&mut Reply<'_>)) -> String {
    let mut out = Vec::new();
    write(&mut Reply::new(&mut out, protocol));
    String::from_utf8(out).unwrap()
}

#[test]
fn counting_and_listing() {
    let mut client = HomeCase::new();
    let count = crate::command::table::all().count();
    assert_eq!(client.run("command count"), format!(":{count}\r\n"));
    assert!(client.run("command").starts_with(&format!("*{count}\r\n*10\r\n")));
    assert!(client.run("command docs").starts_with(&format!("*{}\r\n", count * 2)));
    assert!(client.run("command list").contains("$11\r\nclient|list\r\n"));
    assert_eq!(client.run("command list filterby pattern PIN?"), "*1\r\n$4\r\nping\r\n");
    assert_eq!(client.run("command list filterby module m"), "*0\r\n");
    assert_eq!(client.run("command list filterby aclcat nosuch"), "*0\r\n");
    let connection = client.run("command list filterby aclcat connection");
    assert!(connection.contains("$4\r\nping\r\n") && connection.contains("$13\r\ncommand|count\r\n"));
    assert!(!connection.contains("$4\r\nexec\r\n") && !connection.contains("$6\r\nclient\r\n"));
    for wrong in ["bad_arg", "filterby bad_arg", "filterby bad_arg bad_arg2", "filterby pattern a b"] {
        assert_eq!(client.run(&format!("command list {wrong}")), "-ERR syntax error\r\n");
    }
}

#[test]
fn info_of_one() {
    let mut client = HomeCase::new();
    assert_eq!(client.run("command info nosuch get|key"), "*2\r\n$-1\r\n$-1\r\n");
    assert_eq!(
        client.run("command info PING"),
        "*1\r\n*10\r\n$4\r\nping\r\n:-1\r\n*1\r\n+fast\r\n:0\r\n:0\r\n:0\r\n*2\r\n+@fast\r\n+@connection\r\n\
         *2\r\n$25\r\nrequest_policy:all_shards\r\n$29\r\nresponse_policy:all_succeeded\r\n*0\r\n*0\r\n"
    );
    let watch = client.run("command info watch");
    assert!(watch.contains(":1\r\n:-1\r\n:1\r\n"), "{watch}");
    assert!(watch.contains(
        "*1\r\n*6\r\n$5\r\nflags\r\n*1\r\n+RO\r\n$12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n\
         *2\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n*6\r\n\
         $7\r\nlastkey\r\n:-1\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n"
    ));
    let count = |reply: String, word: &str| reply.matches(word).count();
    assert_eq!(count(client.run("command info sort"), "\r\nunknown\r\n"), 4);
    assert_eq!(count(client.run("command info sort_ro"), "\r\nunknown\r\n"), 2);
    assert_eq!(count(client.run("command info xread"), "\r\nunknown\r\n"), 0);
    assert!(
        client
            .run("command info client|kill")
            .contains("+@admin\r\n+@slow\r\n+@dangerous\r\n+@connection\r\n")
    );
}

#[test]
fn docs_of_one() {
    let mut client = HomeCase::new();
    assert_eq!(client.run("command docs nosuch"), "*0\r\n");
    assert_eq!(
        client.run("command docs echo"),
        "*2\r\n$4\r\necho\r\n*10\r\n$7\r\nsummary\r\n$21\r\nReturns its argument.\r\n$5\r\nsince\r\n$5\r\n1.0.0\r\n\
         $5\r\ngroup\r\n$10\r\nconnection\r\n$10\r\ncomplexity\r\n$4\r\nO(1)\r\n$9\r\narguments\r\n*1\r\n*6\r\n\
         $4\r\nname\r\n$7\r\nmessage\r\n$4\r\ntype\r\n$6\r\nstring\r\n$12\r\ndisplay_text\r\n$7\r\nmessage\r\n"
    );
    let quit = client.run("command docs quit");
    assert!(
        quit.contains("doc_flags\r\n*1\r\n+deprecated\r\n$16\r\ndeprecated_since\r\n$5\r\n7.2.0\r\n"),
        "{quit}"
    );
}

#[test]
fn nested_arguments_and_options() {
    const ARGUMENTS: &[Argument] = &[
        syntax::key("key", 0),
        syntax::one_of("when", &[syntax::token("nx", "NX"), syntax::token("xx", "XX")])
            .optional()
            .since("2.0.0"),
        syntax::string("value").after("V").multiple_token(),
    ];
    let mut row = Command::new("x", 2, Group::SortedSet, Run::Home(nothing));
    row.arguments = ARGUMENTS;
    let text = written(Protocol::Resp3, |reply| write_docs(reply, &row));
    assert!(text.starts_with("%5\r\n"), "{text}");
    assert!(text.contains("$10\r\nsorted-set\r\n"));
    assert!(text.contains(
        "%4\r\n$4\r\nname\r\n$3\r\nkey\r\n$4\r\ntype\r\n$3\r\nkey\r\n$12\r\ndisplay_text\r\n$3\r\nkey\r\n\
                           $14\r\nkey_spec_index\r\n:0\r\n"
    ));
    assert!(text.contains(
        "%5\r\n$4\r\nname\r\n$4\r\nwhen\r\n$4\r\ntype\r\n$5\r\noneof\r\n$5\r\nsince\r\n$5\r\n2.0.0\r\n\
                           $5\r\nflags\r\n~1\r\n+optional\r\n$9\r\narguments\r\n*2\r\n%4\r\n"
    ));
    assert!(
        text.ends_with("$5\r\ntoken\r\n$1\r\nV\r\n$5\r\nflags\r\n~2\r\n+multiple\r\n+multiple_token\r\n")
    );
}

#[test]
fn categories_follow_from_flags_and_group() {
    let row = |group, flags| Command::new("x", 2, group, Run::Home(nothing)).flags(flags);
    assert_eq!(categories(&row(Group::String, Flags::WRITE.union(Flags::FAST))), ["write", "string", "fast"]);
    assert_eq!(categories(&row(Group::Generic, Flags::READONLY)), ["keyspace", "read", "slow"]);
    assert_eq!(
        categories(&row(Group::Generic, Flags::BLOCKING).categories(&["connection"])),
        ["slow", "blocking", "connection"]
    );
    assert_eq!(categories(&row(Group::Server, Flags::ADMIN)), ["admin", "slow", "dangerous"]);
    assert_eq!(categories(&Command::new("x", 2, Group::String, Run::Container)), ["slow"]);
}

#[test]
fn ranges_of_old() {
    let first_last_step = |keys: &'static [KeySpec]| {
        let row = Command::new("x", -2, Group::String, Run::Home(nothing)).keys(keys);
        let text = written(Protocol::Resp2, |reply| write_info(reply, Some(&row)));
        let movable = text.contains("+movablekeys\r\n");
        let numbers: Vec<i64> = text
            .split("\r\n")
            .filter_map(|line| line.strip_prefix(':')?.parse().ok())
            .skip(1)
            .take(3)
            .collect();
        (numbers, movable)
    };
    const RO: KeyFlags = KeyFlags::RO;
    const PAIRS: &[KeySpec] = &[KeySpec::range(1, -1, 2, RO)];
    const TWO: &[KeySpec] = &[KeySpec::one(1, RO), KeySpec::one(2, RO)];
    const FAR: &[KeySpec] = &[KeySpec::one(1, RO), KeySpec::one(3, RO)];
    const COUNTED: &[KeySpec] = &[KeySpec::counted(2, 1, RO)];
    const BOTH: &[KeySpec] = &[KeySpec::one(1, RO), KeySpec::counted(2, 1, RO)];
    const REST: &[KeySpec] = &[KeySpec::one(1, RO), KeySpec::range(2, -1, 1, RO)];
    assert_eq!(first_last_step(PAIRS), (vec![1, -1, 2], false));
    assert_eq!(first_last_step(TWO), (vec![1, 2, 1], false));
    assert_eq!(first_last_step(FAR), (vec![1, 1, 1], true));
    assert_eq!(first_last_step(COUNTED), (vec![0, 0, 0], true));
    assert_eq!(first_last_step(BOTH), (vec![1, 1, 1], true));
    assert_eq!(first_last_step(REST), (vec![1, -1, 1], false));
}

#[test]
fn keys_of_a_command() {
    let mut client = HomeCase::new();
    assert_eq!(client.run("command getkeys watch a b"), "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    assert_eq!(client.run("command getkeysandflags watch a"), "*1\r\n*2\r\n$1\r\na\r\n*1\r\n+RO\r\n");
    assert_eq!(client.run("command getkeys ping a"), "-ERR The command has no key arguments\r\n");
    assert_eq!(client.run("command getkeys nosuch a"), "-ERR Invalid command specified\r\n");
    assert_eq!(
        client.run("command getkeys watch"),
        "-ERR Invalid number of arguments specified for command\r\n"
    );
}

#[test]
fn specifications_that_do_not_fit() {
    let check = |spec: KeySpec, line: &str| {
        let arguments: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        spec.checked_positions(&arguments)
    };
    let counted = KeySpec::counted(1, 1, KeyFlags::RO);
    assert_eq!(check(counted, "x 2 a b"), Some(vec![2, 3]));
    assert_eq!(check(counted, "x 3 a b"), None);
    assert_eq!(check(counted, "x 0 a"), None);
    assert_eq!(check(counted, "x y a"), None);
    assert_eq!(check(KeySpec::one(3, KeyFlags::RO), "x a b"), None);
}
