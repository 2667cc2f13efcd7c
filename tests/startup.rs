//! Starting and stopping: the command line, the configuration file, ports and sockets, signals, the log.
//! What commands do once the server runs is tested elsewhere.

mod common;

use common::{Kind, skerry};

#[test]
fn answers_once_it_is_ready() {
    let Some(start) = skerry() else { return };
    let mut server = start.shards(2).spawn();
    assert_eq!(server.kind(), Kind::UnderTest);
    server.assert_serving();
}
