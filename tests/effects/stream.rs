//! The stream of effects as a server sends it: received by a thread of its own, checked for its form, and
//! handed over in batches of whole commands.

use super::common::{Client, Reply, Server, is_redis};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// One command of the stream.
pub type Command = Vec<Vec<u8>>;

/// The key whose writing ends a batch.
const END_KEY: &str = "{effects}end";
const BATCH_LIMIT: Duration = Duration::from_secs(60);

/// The listening side of a server's stream.
pub struct Listener {
    commands: Receiver<Command>,
    control: Client,
    batches: usize,
    in_transaction: bool,
    _thread: JoinHandle<()>,
}

impl Listener {
    /// Starts to listen; everything the server does from now on is in the stream.
    pub fn start(server: &Server) -> Self {
        let mut client = server.client();
        client.set_read_limit(Duration::from_secs(600));
        if is_redis() {
            client.send(&["SYNC"]);
            skip_snapshot(&mut client);
        } else {
            assert_eq!(client.run("DEBUG EFFECTS"), Reply::ok());
        }
        let (sender, commands) = channel();
        let thread = std::thread::spawn(move || receive_all(&mut client, &sender));
        Self { commands, control: server.client(), batches: 0, in_transaction: false, _thread: thread }
    }

    /// All effects of what was answered before this call and after the last one.
    pub fn batch(&mut self) -> Vec<Command> {
        if !is_redis() {
            assert_eq!(self.control.run("DEBUG EFFECTS-SYNC"), Reply::ok());
        }
        self.batches += 1;
        let mark = self.batches.to_string();
        assert_eq!(self.control.command(&["SET", END_KEY, &mark]), Reply::ok());
        let mut batch = Vec::new();
        loop {
            let command = self.commands.recv_timeout(BATCH_LIMIT).expect("the stream goes on up to the mark");
            let is_mark =
                command.len() == 3 && command[1] == END_KEY.as_bytes() && command[2] == mark.as_bytes();
            self.check_form(&command);
            batch.push(command);
            if is_mark {
                assert!(!self.in_transaction, "the mark was written outside of any transaction");
                return batch;
            }
        }
    }

    /// The stream is for replicas: transactions are whole, and nothing depends on when or where it is applied.
    fn check_form(&mut self, command: &Command) {
        let word = |index: usize| {
            command
                .get(index)
                .map_or_else(String::new, |word| String::from_utf8_lossy(word).to_ascii_uppercase())
        };
        match word(0).as_str() {
            "MULTI" => assert!(!std::mem::replace(&mut self.in_transaction, true), "MULTI inside MULTI"),
            "EXEC" => assert!(std::mem::replace(&mut self.in_transaction, false), "EXEC without MULTI"),
            "EXPIRE" | "PEXPIRE" | "EXPIREAT" | "SETEX" | "PSETEX" | "GETEX" | "GETDEL" | "INCRBYFLOAT" => {
                panic!("not in the form of the stream: {}", show(command))
            }
            "SET" => {
                let relative =
                    (3..command.len()).any(|index| matches!(word(index).as_str(), "EX" | "PX" | "EXAT"));
                assert!(!relative, "a time in the stream is in Unix milliseconds: {}", show(command));
            }
            _ => {}
        }
    }
}

/// A command as one line.
pub fn show(command: &Command) -> String {
    command.iter().map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>().join(" ")
}

fn receive_all(client: &mut Client, sender: &Sender<Command>) {
    // Ends when the server or the listener does.
    while let Ok(reply) = client.try_receive() {
        let Reply::Array(words) = reply else { panic!("no command in the stream: {reply:?}") };
        let command: Command = words.iter().map(|word| word.bytes().to_vec()).collect();
        if command[0].eq_ignore_ascii_case(b"PING") {
            continue;
        }
        if sender.send(command).is_err() {
            return;
        }
    }
}

/// Reads past what real Redis sends before its stream: line ends to keep the connection, then a snapshot.
fn skip_snapshot(client: &mut Client) {
    let mut header = Vec::new();
    loop {
        match client.read_exact(1).expect("a snapshot").as_slice() {
            b"\n" if header.is_empty() => {}
            b"\n" => break,
            byte => header.extend_from_slice(byte),
        }
    }
    let header = String::from_utf8_lossy(&header).trim().to_owned();
    let length = header.strip_prefix('$').and_then(|digits| digits.parse().ok());
    client
        .read_exact(length.unwrap_or_else(|| panic!("the length of a snapshot: {header}")))
        .expect("a snapshot");
}
