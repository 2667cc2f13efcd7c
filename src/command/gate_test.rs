//! What is let through, queued and refused, and with which words.

use crate::command::case::HomeCase;

#[test]
fn unknown_commands() {
    let mut client = HomeCase::new();
    assert_eq!(client.run("foo"), "-ERR unknown command 'foo', with args beginning with: \r\n");
    assert_eq!(client.run("foo a b"), "-ERR unknown command 'foo', with args beginning with: 'a' 'b' \r\n");
    let long = "x".repeat(200);
    let shown = &long[..128];
    assert_eq!(
        client.run(&format!("{long} {long} {long}")),
        format!("-ERR unknown command '{shown}', with args beginning with: '{shown}' \r\n")
    );
    let (reply, _) = client.run_arguments(&[b"a\r\nb", b"c\0d"]);
    assert_eq!(reply, b"-ERR unknown command 'a  b', with args beginning with: 'c' \r\n");
    assert_eq!(client.run("client foo"), "-ERR unknown subcommand 'foo'. Try CLIENT HELP.\r\n");
    assert_eq!(client.run("command foo"), "-ERR unknown subcommand 'foo'. Try COMMAND HELP.\r\n");
    assert_eq!(client.run("client"), "-ERR wrong number of arguments for 'client' command\r\n");
    assert_eq!(client.run("client id x"), "-ERR wrong number of arguments for 'client|id' command\r\n");
}

#[test]
fn browsers_are_hung_up_on() {
    let mut client = HomeCase::new();
    assert_eq!(client.run("POST /"), "<Close>");
    assert_eq!(client.run("host: x"), "<Close>");
}

#[test]
fn authentication_comes_after_arity() {
    let mut client = HomeCase::with("requirepass secret");
    assert_eq!(client.run("echo x"), "-NOAUTH Authentication required.\r\n");
    assert_eq!(client.run("echo"), "-ERR wrong number of arguments for 'echo' command\r\n");
    assert!(client.run("foo").starts_with("-ERR unknown command"));
    assert_eq!(
        client.run("exec"),
        "-EXECABORT Transaction discarded because of: NOAUTH Authentication required.\r\n"
    );
    assert_eq!(client.run("quit"), "<Close>");
}

#[test]
fn a_removed_password_is_not_asked_for() {
    let mut client = HomeCase::with("requirepass secret");
    client.config = HomeCase::new().config;
    assert_eq!(client.run("ping"), "+PONG\r\n");
}

#[test]
fn transactions_queue() {
    let mut client = HomeCase::new();
    assert_eq!(client.run("exec"), "-ERR EXEC without MULTI\r\n");
    assert_eq!(client.run("discard"), "-ERR DISCARD without MULTI\r\n");
    assert_eq!(client.run("multi"), "+OK\r\n");
    assert_eq!(client.run("ping"), "+QUEUED\r\n");
    assert_eq!(client.run("select 1"), "+QUEUED\r\n");
    assert_eq!(client.run("unwatch"), "+QUEUED\r\n");
    assert_eq!(client.run("multi"), "-ERR MULTI calls can not be nested\r\n");
    assert_eq!(client.run("watch a"), "-ERR WATCH inside MULTI is not allowed\r\n");
    assert_eq!(client.session.queue.as_ref().map(|queue| queue.commands.len()), Some(3));
    assert_eq!(client.run("exec"), "<Exec>");
    assert_eq!(client.run("discard"), "+OK\r\n");
    assert!(client.session.queue.is_none());
    assert_eq!(client.run("watch a"), "+watch\r\n");
}

#[test]
fn refused_commands_spoil_the_transaction() {
    for wrong in ["foo", "echo", "client foo"] {
        let mut client = HomeCase::new();
        client.run("multi");
        client.run("ping");
        assert!(client.run(wrong).starts_with("-ERR "));
        assert_eq!(client.run("ping"), "+QUEUED\r\n");
        assert_eq!(client.session.queue.as_ref().map(|queue| queue.commands.len()), Some(1));
        assert_eq!(client.run("exec"), "-EXECABORT Transaction discarded because of previous errors.\r\n");
        assert_eq!(client.run("exec"), "-ERR EXEC without MULTI\r\n");
    }
}

#[test]
fn a_refused_exec_ends_the_transaction() {
    let mut client = HomeCase::new();
    client.run("multi");
    assert_eq!(
        client.run("exec now"),
        "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n"
    );
    assert!(client.session.queue.is_none());
}

#[test]
fn subscribers() {
    let mut client = HomeCase::new();
    client.session.subscriptions = Some(Box::default());
    assert_eq!(
        client.run("echo x"),
        "-ERR Can't execute 'echo': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this \
         context\r\n"
    );
    client.session.caller.protocol = crate::resp::reply::Protocol::Resp3;
    assert_eq!(client.run("echo x"), "$1\r\nx\r\n");
}

#[test]
fn who_is_local() {
    let mut client = HomeCase::new();
    for (address, local) in [
        ("127.0.0.1:5", true),
        ("[::1]:5", true),
        ("::1:5", true),
        ("/tmp/skerry.sock:0", true),
        ("127.0.0.2:5", false),
        ("192.0.2.1:5", false),
        ("[2001:db8::1]:5", false),
        ("", false),
    ] {
        client.session.peer_address = address.into();
        assert_eq!(client.session.is_local(), local, "{address}");
    }
}

#[test]
fn nodes_serve_their_own_slots() {
    let mut client = HomeCase::with("cluster-ports 7000");
    client.session.caller.cluster_port = true;
    client.shard = client.server.slots.owner_of_key(b"foo");
    assert_eq!(client.run("watch foo {foo}2"), "+watch\r\n");
    let cross = "-CROSSSLOT Keys in request don't hash to the same slot\r\n";
    assert_eq!(client.run("watch foo bar"), cross);
    let elsewhere = client.server.slots.owner_of_key(b"bar");
    assert_ne!(elsewhere, client.shard);
    let moved = format!("-MOVED 5061 192.0.2.1:{}\r\n", 7000 + elsewhere);
    assert_eq!(client.run("watch bar"), moved);
    assert_eq!(client.run("ping"), "+PONG\r\n");
    client.session.caller.cluster_port = false;
    assert_eq!(client.run("watch foo bar"), "+watch\r\n");
}

#[test]
fn transactions_on_nodes() {
    let mut client = HomeCase::with("cluster-ports 7000");
    client.session.caller.cluster_port = true;
    client.shard = client.server.slots.owner_of_key(b"foo");
    client.run("multi");
    assert_eq!(client.run("get foo"), "+QUEUED\r\n");
    assert_eq!(client.run("get {foo}2"), "+QUEUED\r\n");
    assert_eq!(client.run("exec"), "<Exec>");
    assert!(client.run("get bar").starts_with("-MOVED 5061 "));
    assert_eq!(client.run("exec"), "-EXECABORT Transaction discarded because of previous errors.\r\n");
    let other = (0..)
        .map(|number| format!("k{number}"))
        .find(|key| client.server.slots.owner_of_key(key.as_bytes()) == client.shard);
    client.run("multi");
    client.run("get foo");
    assert_eq!(client.run(&format!("get {}", other.unwrap())), "+QUEUED\r\n");
    assert_eq!(client.run("exec"), "-CROSSSLOT Keys in request don't hash to the same slot\r\n");
    assert!(client.session.queue.is_none());
}

#[test]
fn transactions_without_memory() {
    let mut client = HomeCase::new();
    let refusal = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
    client.run("multi");
    client.run("set a 1");
    client.is_out_of_memory = true;
    assert_eq!(
        client.run("exec"),
        "-EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.\r\n"
    );
    assert_eq!(client.run("ping"), "+PONG\r\n");
    assert_eq!(client.run("multi"), "+OK\r\n");
    assert_eq!(client.run("get a"), refusal);
    assert_eq!(client.run("exec"), "-EXECABORT Transaction discarded because of previous errors.\r\n");
    client.is_out_of_memory = false;
    client.run("multi");
    client.run("get a");
    client.is_out_of_memory = true;
    assert_eq!(client.run("exec"), "<Exec>");
    assert_eq!(client.run("discard"), "+OK\r\n");
    assert_eq!(client.run("mset a 1 b 2"), refusal);
    assert_eq!(client.run("mget a b"), "+mget\r\n");
}

#[test]
fn a_pause_holds_back_only_what_nothing_else_speaks_against() {
    let mut client = HomeCase::new();
    client.run("multi");
    client.is_paused = true;
    assert_eq!(client.run("set a 1"), "+PAUSED\r\n");
    assert_eq!(client.session.queue.as_ref().map(|queue| queue.commands.len()), Some(0));
    assert_eq!(client.run("set a"), "-ERR wrong number of arguments for 'set' command\r\n");
    client.session.discard();
    assert_eq!(client.run("set a 1"), "+PAUSED\r\n");
    assert_eq!(client.run("foo"), "-ERR unknown command 'foo', with args beginning with: \r\n");
}

#[test]
fn a_replica_takes_no_writes_of_clients() {
    let mut client = HomeCase::new();
    client.run("multi");
    client.run("set a 1");
    client.refuses.writes = Some(crate::resp::error::READ_ONLY);
    let refusal = "READONLY You can't write against a read only replica.\r\n";
    assert_eq!(client.run("exec"), format!("-EXECABORT Transaction discarded because of: {refusal}"));
    assert_eq!(client.run("mset a 1 b 2"), format!("-{refusal}"));
    assert_eq!(client.run("get a"), "+get\r\n");
    client.run("multi");
    assert_eq!(client.run("get a"), "+QUEUED\r\n");
    assert_eq!(client.run("exec"), "<Exec>");
    client.run("multi");
    assert_eq!(client.run("set a 1"), format!("-{refusal}"));
    assert_eq!(client.run("exec"), "-EXECABORT Transaction discarded because of previous errors.\r\n");
}

#[test]
fn a_replica_that_lost_its_master_shows_no_data() {
    let mut client = HomeCase::new();
    client.run("multi");
    client.run("get a");
    client.refuses.stale = true;
    let refusal = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n";
    assert_eq!(client.run("exec"), format!("-EXECABORT Transaction discarded because of: {refusal}"));
    assert_eq!(client.run("get a"), format!("-{refusal}"));
    assert_eq!(client.run("client getname"), "$-1\r\n");
    assert_eq!(client.run("multi"), "+OK\r\n");
    assert_eq!(client.run("exec"), "<Exec>");
}

#[test]
fn a_replica_may_change_its_master_while_it_loads() {
    let mut client = HomeCase::new();
    client.refuses.while_loading = true;
    assert_eq!(client.run("get a"), "+get\r\n");
    assert_eq!(client.run("replicaof no one"), "<Ask(Follow(None))>");
}
