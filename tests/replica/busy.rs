//! A server of two shards of which the second does nothing for a while, so that what needs both has to wait.

use std::time::Duration;

use super::common::{Client, Server};

/// A key of the first shard of two, and one of the second.
pub const KEYS: [&str; 2] = ["b", "a"];

/// A client that is served by the second of two shards.
pub fn client_of_second_shard(server: &Server) -> Client {
    let mut others: Vec<Client> = (0..8).map(|_| server.client()).collect();
    for _ in 0..50 {
        let mut client = server.client();
        client.send(&["DEBUG", "SLEEP", "0.2"]);
        std::thread::sleep(Duration::from_millis(50));
        others.iter_mut().for_each(|other| other.send(&["GET", KEYS[0]]));
        let is_quick = |other: &mut Client| {
            other.set_read_limit(Duration::from_millis(5));
            other.try_receive().is_ok()
        };
        let quick: Vec<bool> = others.iter_mut().map(is_quick).collect();
        client.receive();
        for (other, was_quick) in others.iter_mut().zip(&quick) {
            other.set_read_limit(Duration::from_secs(20));
            if !was_quick {
                other.receive();
            }
        }
        // While the first shard sleeps nobody gets what is there.
        if quick.contains(&true) {
            return client;
        }
    }
    panic!("no client of the second shard");
}

/// Does this while the second shard does nothing.
pub fn while_busy(client: &mut Client, work: impl FnOnce()) {
    client.send(&["DEBUG", "SLEEP", "1"]);
    std::thread::sleep(Duration::from_millis(100));
    work();
    client.receive();
}
