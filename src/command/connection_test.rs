//! The connection family's replies, word for word.

use crate::command::case::HomeCase;
use crate::command::session::ReplyMode;

#[test]
fn ping_and_echo() {
    let mut client = HomeCase::new();
    assert_eq!(client.run("PING"), "+PONG\r\n");
    assert_eq!(client.run("ping hello"), "$5\r\nhello\r\n");
    assert_eq!(client.run("ping a b"), "-ERR wrong number of arguments for 'ping' command\r\n");
    assert_eq!(client.run("echo hi"), "$2\r\nhi\r\n");
    client.run("subscribe a");
    assert_eq!(client.run("ping"), "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    assert_eq!(client.run("ping x"), "*2\r\n$4\r\npong\r\n$1\r\nx\r\n");
}

#[test]
fn auth_without_a_password_configured() {
    let mut client = HomeCase::new();
    assert_eq!(
        client.run("AUTH foo"),
        "-ERR AUTH <password> called without any password configured for the default user. Are you sure your \
         configuration is correct?\r\n"
    );
    assert_eq!(client.run("AUTH default anything"), "+OK\r\n");
    assert_eq!(
        client.run("AUTH nobody anything"),
        "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
    );
    assert_eq!(client.run("AUTH a b c"), "-ERR syntax error\r\n");
}

#[test]
fn auth_with_a_password() {
    let mut client = HomeCase::with("requirepass secret");
    assert_eq!(client.run("ping"), "-NOAUTH Authentication required.\r\n");
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    assert_eq!(client.run("AUTH secre"), wrong);
    assert_eq!(client.run("AUTH secret1"), wrong);
    assert_eq!(client.run("AUTH \"\""), wrong);
    assert_eq!(client.run("AUTH other secret"), wrong);
    assert_eq!(client.run("AUTH secret"), "+OK\r\n");
    assert_eq!(client.run("ping"), "+PONG\r\n");
    assert_eq!(client.run("AUTH wrong"), wrong);
    assert_eq!(client.run("ping"), "+PONG\r\n");
    assert_eq!(client.run("AUTH default secret"), "+OK\r\n");
}

#[test]
fn hello() {
    let mut client = HomeCase::new();
    let two = "*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.6\r\n$5\r\nproto\r\n:2\r\n$2\r\nid\r\n\
               :1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n";
    assert_eq!(client.run("HELLO"), two);
    assert_eq!(client.run("HELLO 2"), two);
    let three = client.run("HELLO 3 SETNAME me");
    assert!(three.starts_with("%7\r\n") && three.contains("proto\r\n:3\r\n"), "{three}");
    assert_eq!(client.run("client getname"), "$2\r\nme\r\n");
    assert!(client.run("HELLO").starts_with("%7\r\n"));
    assert_eq!(client.run("HELLO 4"), "-NOPROTO unsupported protocol version\r\n");
    assert_eq!(client.run("HELLO x"), "-ERR Protocol version is not an integer or out of range\r\n");
    assert_eq!(client.run("HELLO 3 AUTH x"), "-ERR Syntax error in HELLO option 'AUTH'\r\n");
    assert_eq!(
        client.run("HELLO 3 SETNAME \"a b\""),
        "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"
    );
    client.session.caller.cluster_port = true;
    assert!(client.run("HELLO 2").contains("mode\r\n$7\r\ncluster\r\n"));
}

#[test]
fn hello_authenticates() {
    let mut client = HomeCase::with("requirepass secret");
    assert!(
        client
            .run("HELLO 3")
            .starts_with("-NOAUTH HELLO must be called with the client already authenticated,")
    );
    assert!(client.run("HELLO 3 AUTH default wrong").starts_with("-WRONGPASS "));
    assert!(client.run("HELLO 3 AUTH default secret SETNAME n").starts_with("%7\r\n"));
    assert_eq!(client.run("client getname"), "$1\r\nn\r\n");
}

#[test]
fn select() {
    let mut client = HomeCase::new();
    assert_eq!(client.run("select 15"), "+OK\r\n");
    assert_eq!(client.session.database(), 15);
    for index in ["16", "-1", "2147483647"] {
        assert_eq!(client.run(&format!("select {index}")), "-ERR DB index is out of range\r\n");
    }
    assert_eq!(client.run("select x"), "-ERR value is not an integer or out of range\r\n");
    assert_eq!(
        client.run("select 2147483648"),
        "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n"
    );
    assert_eq!(client.session.database(), 15);
}

#[test]
fn quit_and_reset() {
    let mut client = HomeCase::with("requirepass secret");
    client.run("auth secret");
    client.run("hello 3 setname me");
    client.run("client setinfo lib-name lib");
    client.run("client no-touch on");
    client.run("select 3");
    client.run("multi");
    assert_eq!(client.run("reset"), "<Ask(Reset)>");
    assert!(
        !client.session.authenticated && client.session.queue.is_none() && client.session.name.is_empty()
    );
    assert_eq!(client.session.caller, Default::default());
    assert_eq!(&*client.session.library_name, b"lib");
    assert_eq!(client.run("quit"), "<Close>");
}

#[test]
fn names() {
    let mut client = HomeCase::new();
    assert_eq!(client.run("client getname"), "$-1\r\n");
    assert_eq!(client.run("client setname me"), "+OK\r\n");
    assert_eq!(client.run("client getname"), "$2\r\nme\r\n");
    assert_eq!(client.run("client setname \"\""), "+OK\r\n");
    assert_eq!(client.run("client getname"), "$-1\r\n");
    assert_eq!(
        client.run("client setname \"a b\""),
        "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"
    );
    assert_eq!(client.run("client setinfo lib-name redis-py"), "+OK\r\n");
    assert_eq!(client.run("client setinfo LIB-VER 1.2.3"), "+OK\r\n");
    assert_eq!(&*client.session.library_version, b"1.2.3");
    assert_eq!(
        client.run("client setinfo lib-ver \"1 2\""),
        "-ERR lib-ver cannot contain spaces, newlines or special characters.\r\n"
    );
    assert_eq!(client.run("client setinfo bogus x"), "-ERR Unrecognized option 'bogus'\r\n");
    assert_eq!(client.run("client id"), ":1\r\n");
}

#[test]
fn client_list_and_kill() {
    let mut client = HomeCase::new();
    assert!(client.run("client list").starts_with("<Ask(ClientList(ClientFilter { ids: None, kind: None"));
    assert!(client.run("client list type replica").contains("kind: Some(Replica)"));
    assert!(client.run("client list id 1 2").contains("ids: Some([1, 2])"));
    assert_eq!(client.run("client list id x"), "-ERR Invalid client ID\r\n");
    assert_eq!(client.run("client list type x"), "-ERR Unknown client type 'x'\r\n");
    assert_eq!(client.run("client list foo"), "-ERR syntax error\r\n");
    let old = client.run("client kill 127.0.0.1:1");
    assert!(old.contains("old_form: true") && old.contains("skip: None"), "{old}");
    let new = client.run("client kill id 7 type normal skipme yes");
    assert!(new.contains("ids: Some([7])") && new.contains("skip: Some(1)"), "{new}");
    assert!(client.run("client kill id 7 skipme no").contains("skip: None"));
    assert!(client.run("client kill maxage 5 laddr a:1").contains("age_min_ms: Some(5000)"));
    assert_eq!(client.run("client kill id 0 addr x"), "-ERR client-id should be greater than 0\r\n");
    assert_eq!(client.run("client kill user x type normal"), "-ERR No such user 'x'\r\n");
    assert_eq!(client.run("client kill type wrong skipme no"), "-ERR Unknown client type 'wrong'\r\n");
    assert_eq!(client.run("client kill skipme yesorno addr x"), "-ERR syntax error\r\n");
    assert_eq!(client.run("client kill id 1 addr"), "-ERR syntax error\r\n");
    assert_eq!(client.run("client kill"), "-ERR wrong number of arguments for 'client|kill' command\r\n");
}

#[test]
fn client_pause_and_unblock() {
    let mut client = HomeCase::new();
    let until = client.now + 100;
    assert_eq!(
        client.run("client pause 100"),
        format!("<Ask(ClientPause {{ until: {until}, writes_only: false }})>")
    );
    assert!(client.run("client pause 100 write").contains("writes_only: true"));
    assert_eq!(client.run("client pause 100 x"), "-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n");
    assert_eq!(client.run("client pause x"), "-ERR timeout is not an integer or out of range\r\n");
    assert_eq!(client.run("client pause -1"), "-ERR timeout is negative\r\n");
    assert_eq!(client.run("client pause 9223372036854775807"), "-ERR timeout is out of range\r\n");
    assert_eq!(
        client.run("client pause 1 all more"),
        "-ERR unknown subcommand or wrong number of arguments for 'pause'. Try CLIENT HELP.\r\n"
    );
    assert_eq!(client.run("client unpause"), "<Ask(ClientUnpause)>");
    assert_eq!(client.run("client unblock 5 error"), "<Ask(ClientUnblock { id: 5, with_error: true })>");
    assert_eq!(client.run("client unblock -5"), ":0\r\n");
    assert_eq!(client.run("client unblock x"), "-ERR value is not an integer or out of range\r\n");
    assert_eq!(client.run("client unblock 5 x"), "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n");
}

#[test]
fn client_reply_and_switches() {
    let mut client = HomeCase::new();
    assert_eq!(client.run("client reply off"), "");
    assert!(!client.session.reply_mode.settle());
    assert_eq!(client.run("client reply skip"), "");
    assert_eq!(client.session.reply_mode, ReplyMode::Off);
    assert_eq!(client.run("client reply on"), "+OK\r\n");
    assert!(client.session.reply_mode.settle());
    assert_eq!(client.run("client reply skip"), "");
    let answered: Vec<bool> = (0..3).map(|_| client.session.reply_mode.settle()).collect();
    assert_eq!(answered, [false, false, true]);
    assert_eq!(client.run("client reply x"), "-ERR syntax error\r\n");
    assert_eq!(client.run("client no-evict on"), "+OK\r\n");
    assert_eq!(client.run("client no-touch on"), "+OK\r\n");
    assert!(client.session.no_evict && client.session.caller.no_touch);
    assert_eq!(client.run("client no-touch maybe"), "-ERR syntax error\r\n");
    assert_eq!(client.run("client getredir"), ":-1\r\n");
    assert_eq!(
        client.run("client trackinginfo"),
        "*6\r\n$5\r\nflags\r\n*1\r\n$3\r\noff\r\n$8\r\nredirect\r\n:-1\r\n$8\r\nprefixes\r\n*0\r\n"
    );
    assert!(
        client
            .run("client help")
            .contains("+CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n")
    );
}
