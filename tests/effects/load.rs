//! Random commands of several clients at once.

use super::common::{Client, Kind, Random, Server, encode};
use super::generator::{Expiry, Generator};

const CLIENTS: usize = 6;
const COMMANDS_PER_ROUND: usize = 400;
const LONGEST_PIPELINE: usize = 12;

/// Whether Redis tells its replicas what the command does: of a string that grew for a BITFIELD of which every step failed it
/// does not tell.
fn is_replicated(command: &[Vec<u8>]) -> bool {
    let has = |word: &[u8]| command.iter().any(|argument| argument.eq_ignore_ascii_case(word));
    !(has(b"BITFIELD") && has(b"FAIL"))
}

/// One client's share of a round.
fn run_commands(client: &mut Client, generator: &mut Generator, random: &mut Random, on_redis: bool) {
    let mut in_transaction = false;
    let mut left = COMMANDS_PER_ROUND;
    while left > 0 {
        let mut commands = generator.pipeline(1 + random.below(LONGEST_PIPELINE), in_transaction);
        commands.retain(|command| !on_redis || is_replicated(command));
        let mut bytes = Vec::new();
        commands.iter().for_each(|command| encode(command, &mut bytes));
        client.send_raw(&bytes);
        for command in &commands {
            let reply = client.receive();
            match command[0].to_ascii_uppercase().as_slice() {
                b"MULTI" => in_transaction = !reply.is_error() || in_transaction,
                b"EXEC" | b"DISCARD" | b"RESET" => in_transaction = false,
                _ => {}
            }
        }
        left = left.saturating_sub(commands.len().max(1));
    }
    // An open transaction would queue what the next round sends.
    client.send_raw(b"DISCARD\r\n");
    client.receive();
}

/// Clients that run random commands at the same time.
pub struct Load {
    clients: Vec<(Client, Generator, Random)>,
    /// Whether they run on Redis.
    on_redis: bool,
}

impl Load {
    /// Clients of a server; `random` decides what they do.
    pub fn new(server: &Server, random: &mut Random, expiry: Expiry) -> Self {
        let one = |_| (server.client(), Generator::new(random.fork()).expiring(expiry), random.fork());
        Self { clients: (0..CLIENTS).map(one).collect(), on_redis: server.kind() == Kind::Redis }
    }

    /// Runs one round and waits for its end.
    pub fn round(&mut self) {
        let on_redis = self.on_redis;
        std::thread::scope(|scope| {
            for (client, generator, random) in &mut self.clients {
                scope.spawn(move || run_commands(client, generator, random, on_redis));
            }
        });
    }
}
