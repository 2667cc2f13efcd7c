//! CLIENT TRACKING and its kin, word for word, and the table of cached keys.

use super::*;
use crate::command::case::{Case, HomeCase};

#[test]
fn options_must_fit_together() {
    let mut client = HomeCase::new();
    for (line, error) in [
        ("client tracking maybe", "ERR syntax error"),
        ("client tracking on what", "ERR syntax error"),
        ("client tracking on redirect", "ERR syntax error"),
        ("client tracking on redirect x", "ERR value is not an integer or out of range"),
        (
            "client tracking on redirect 1 redirect 2",
            "ERR A client can only redirect to a single other client",
        ),
        ("client tracking on prefix a", "ERR PREFIX option requires BCAST mode to be enabled"),
        ("client tracking on bcast optin", "ERR OPTIN and OPTOUT are not compatible with BCAST"),
        ("client tracking on optin optout", "ERR You can't specify both OPTIN mode and OPTOUT mode"),
        (
            "client tracking on bcast prefix ab prefix abc",
            "ERR Prefix 'ab' overlaps with another provided prefix 'abc'. Prefixes for a single client must not \
             overlap.",
        ),
        (
            "client caching yes",
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode \
             enabled",
        ),
    ] {
        assert_eq!(client.run(line), format!("-{error}\r\n"), "{line}");
    }
    assert_eq!(client.run("client tracking on bcast prefix a prefix b"), "+OK\r\n");
    assert_eq!(client.session.subscription_changes.len(), 2);
    assert_eq!(
        client.run("client tracking on bcast prefix ax"),
        "-ERR Prefix 'ax' overlaps with an existing prefix 'a'. Prefixes for a single client must not overlap.\r\n"
    );
    assert!(client.run("client tracking on").starts_with("-ERR You can't switch BCAST mode on/off"));
    assert_eq!(client.run("client tracking off"), "+OK\r\n");
    assert_eq!(client.session.subscription_changes.len(), 4);
    assert_eq!(client.run("client tracking on optin"), "+OK\r\n");
    assert!(client.run("client tracking on optout").starts_with("-ERR You can't switch OPTIN/OPTOUT mode"));
    assert!(client.run("client caching no").starts_with("-ERR CLIENT CACHING NO is only valid"));
    assert_eq!(client.run("client caching maybe"), "-ERR syntax error\r\n");
}

#[test]
fn what_a_client_follows() {
    let mut client = HomeCase::new();
    let tracks = |client: &HomeCase| client.session.caller.tracks;
    client.run("client tracking on");
    assert!(tracks(&client));
    client.run("client tracking on optin");
    assert!(!tracks(&client));
    assert_eq!(client.run("client caching yes"), "+OK\r\n");
    assert!(tracks(&client));
    client.session.end_caching();
    assert!(!tracks(&client));
    client.run("client tracking off");
    client.run("client tracking on optout");
    assert!(tracks(&client));
    client.run("client caching no");
    assert!(!tracks(&client));
    client.session.queue = Some(Box::default());
    client.session.end_caching();
    assert!(!tracks(&client), "what is said of a transaction holds until its end");
    client.session.queue = None;
    client.session.end_caching();
    assert!(tracks(&client));
    client.run("client tracking off");
    client.run("client tracking on bcast");
    assert!(!tracks(&client));
    client.run("reset");
    assert!(client.session.tracking.is_none());
}

#[test]
fn what_a_client_is_told_of_it() {
    let mut client = HomeCase::new();
    assert_eq!(client.run("client getredir"), ":-1\r\n");
    client.run("client tracking on optin noloop");
    client.run("client caching yes");
    assert_eq!(client.run("client getredir"), ":0\r\n");
    assert_eq!(
        client.run("client trackinginfo"),
        "*6\r\n$5\r\nflags\r\n*4\r\n$2\r\non\r\n$5\r\noptin\r\n$11\r\ncaching-yes\r\n$6\r\nnoloop\r\n\
         $8\r\nredirect\r\n:0\r\n$8\r\nprefixes\r\n*0\r\n"
    );
    assert!(client.run("client tracking on optin redirect 7").starts_with("<Ask(Track("));
}

#[test]
fn readers_are_remembered_once_and_forgotten() {
    let mut tracked = Tracked::default();
    tracked.remember(b"a", (0, 1));
    tracked.remember(b"a", (0, 1));
    tracked.remember(b"a", (1, 1));
    tracked.remember(b"b", (0, 1));
    assert_eq!((tracked.keys(), tracked.items()), (2, 3));
    assert_eq!(tracked.forget(b"a").as_slice(), [(0, 1), (1, 1)]);
    assert!(tracked.forget(b"a").is_empty());
    assert_eq!((tracked.keys(), tracked.items()), (1, 1));
    assert_eq!(tracked.some_keys(5).len(), 1);
    tracked.clear();
    assert!(tracked.is_empty() && tracked.items() == 0);
}

#[test]
fn changes_are_collected_while_somebody_caches() {
    let mut case = Case::new();
    case.run("SET a 1");
    assert_eq!(case.notices(), [""; 0]);
    case.notices.tracked.remember(b"x", (0, 1));
    case.run("SET a 1 PX 10");
    case.run("GET a");
    assert_eq!(case.notices(), ["changed a"; 2], "one for each event");
    case.after_ms(20).run("EXISTS a");
    assert_eq!(case.notices(), ["changed a"]);
    case.run("FLUSHALL");
    assert_eq!(case.notices(), ["flushed", "emptied"]);
    assert!(case.notices.tracked.is_empty());
}
