//! What a replica and its master say to each other before the stream begins. Each command is sent when the one before
//! is answered. Knows no socket.

use crate::command::effect::encode;
use crate::notice;
use crate::state::replication::{ID_LENGTH, parse_offset};

/// What a replica says of itself, and where it would go on.
#[derive(Clone, Debug, Default)]
pub(super) struct Introduction {
    /// User to authenticate as, empty for none.
    pub user: Vec<u8>,
    /// Password, empty for none.
    pub password: Vec<u8>,
    /// The port it listens on.
    pub port: u16,
    /// The address to tell others, if not the one it comes from.
    pub address: Option<String>,
    /// The history it has, and the offset of the first byte that it lacks.
    pub resume: Option<(String, u64)>,
    /// Whether the other one is a replica that is to take over.
    pub hands_over: bool,
}

/// What the handshake waits for the answer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Ping,
    Auth,
    Port,
    Address,
    Capabilities,
    Psync,
}

/// How it goes on after an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This is to be sent.
    Send(Vec<u8>),
    /// The stream follows from where the replica wanted it; the history may have another name now.
    Continue {
        /// That name.
        id: Option<String>,
    },
    /// A snapshot follows, then the stream.
    Full {
        /// The history.
        id: String,
        /// Its bytes before the stream.
        offset: u64,
    },
}

/// A handshake under way.
#[derive(Debug)]
pub(super) struct Handshake {
    introduction: Introduction,
    stage: Stage,
}

impl Handshake {
    /// A handshake and what is to be sent first.
    pub fn begin(introduction: Introduction) -> (Self, Vec<u8>) {
        (Self { introduction, stage: Stage::Ping }, encode(&["PING"]))
    }

    /// Whether the last answer is the one to PSYNC.
    pub fn is_at_end(&self) -> bool {
        self.stage == Stage::Psync
    }

    /// Judges an answer, a line without its end; the error says why this try is over.
    pub fn answer(&mut self, line: &[u8]) -> Result<Next, String> {
        let shown = String::from_utf8_lossy(line);
        let is_error = line.first() == Some(&b'-');
        match self.stage {
            Stage::Ping => {
                let may_go_on = ["+", "-NOAUTH", "-NOPERM", "-ERR operation not permitted"];
                if !may_go_on.iter().any(|start| line.starts_with(start.as_bytes())) {
                    return Err(format!("Error reply to PING from master: '{shown}'"));
                }
                notice!("Master replied to PING, replication can continue...");
            }
            Stage::Auth if is_error => return Err(format!("Unable to AUTH to MASTER: {shown}")),
            Stage::Psync => return self.judge(line),
            Stage::Port if is_error => complain("listening-port", &shown),
            Stage::Address if is_error => complain("ip-address", &shown),
            Stage::Capabilities if is_error => complain("capa", &shown),
            _ => {}
        }
        self.stage = self.following_stage();
        Ok(Next::Send(self.command()))
    }

    fn following_stage(&self) -> Stage {
        match self.stage {
            Stage::Ping if !self.introduction.password.is_empty() => Stage::Auth,
            Stage::Ping | Stage::Auth => Stage::Port,
            Stage::Port if self.introduction.address.is_some() => Stage::Address,
            Stage::Port | Stage::Address => Stage::Capabilities,
            Stage::Capabilities | Stage::Psync => Stage::Psync,
        }
    }

    fn command(&self) -> Vec<u8> {
        let Introduction { user, password, port, address, resume, hands_over } = &self.introduction;
        match self.stage {
            Stage::Ping => encode(&["PING"]),
            Stage::Auth if user.is_empty() => encode(&[b"AUTH".as_slice(), password]),
            Stage::Auth => encode(&[b"AUTH".as_slice(), user, password]),
            Stage::Port => encode(&["REPLCONF", "listening-port", &port.to_string()]),
            Stage::Address => encode(&["REPLCONF", "ip-address", address.as_deref().unwrap_or_default()]),
            Stage::Capabilities => encode(&["REPLCONF", "capa", "eof", "capa", "psync2"]),
            Stage::Psync => match resume {
                Some((id, offset)) => {
                    notice!("Trying a partial resynchronization (request {id}:{offset}).");
                    let offset = offset.to_string();
                    let words = ["PSYNC", id, &offset, "FAILOVER"];
                    encode(&words[..if *hands_over { 4 } else { 3 }])
                }
                None => {
                    notice!("Partial resynchronization not possible (no cached master)");
                    encode(&["PSYNC", "?", "-1"])
                }
            },
        }
    }

    /// Judges the answer to PSYNC.
    fn judge(&self, line: &[u8]) -> Result<Next, String> {
        let shown = String::from_utf8_lossy(line);
        let words: Vec<&str> = shown.split(' ').collect();
        match words[0] {
            "+FULLRESYNC" => {
                let offset = words.get(2).and_then(|offset| parse_offset(offset));
                match (words.get(1).filter(|id| id.len() == ID_LENGTH), offset) {
                    (Some(id), Some(offset)) => Ok(Next::Full { id: (*id).to_owned(), offset }),
                    _ => Err("Master replied with wrong +FULLRESYNC syntax.".to_owned()),
                }
            }
            "+CONTINUE" if self.introduction.resume.is_some() => {
                let id = words.get(1).filter(|id| id.len() == ID_LENGTH).map(|id| (*id).to_owned());
                Ok(Next::Continue { id })
            }
            "-NOMASTERLINK" | "-LOADING" => {
                Err(format!("Master is currently unable to PSYNC but should be in the future: {shown}"))
            }
            "-ERR" => Err(format!("Master does not support PSYNC or is in error state (reply: {shown})")),
            _ => Err(format!("Unexpected reply to PSYNC from master: {shown}")),
        }
    }
}

fn complain(option: &str, answer: &str) {
    notice!("(Non critical) Master does not understand REPLCONF {option}: {answer}");
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789012345678901234567890123456789";

    /// What is sent, word by word, when the master answers so; the last answer decides.
    fn talk(introduction: Introduction, answers: &[&str]) -> (Vec<String>, Result<Next, String>) {
        let words = |sent: &[u8]| {
            let text = String::from_utf8_lossy(sent).into_owned();
            let words: Vec<&str> = text.split("\r\n").skip(2).step_by(2).collect();
            words.join(" ")
        };
        let (mut handshake, first) = Handshake::begin(introduction);
        let mut sent = vec![words(&first)];
        for answer in answers {
            match handshake.answer(answer.as_bytes()) {
                Ok(Next::Send(bytes)) => sent.push(words(&bytes)),
                end => return (sent, end),
            }
        }
        panic!("the handshake goes on");
    }

    #[test]
    fn commands_come_in_their_order() {
        let full = format!("+FULLRESYNC {ID} 7");
        let (sent, end) =
            talk(Introduction { port: 6380, ..Introduction::default() }, &["+PONG", "+OK", "+OK", &full]);
        let expected =
            ["PING", "REPLCONF listening-port 6380", "REPLCONF capa eof capa psync2", "PSYNC ? -1"];
        assert_eq!(sent, expected);
        assert_eq!(end, Ok(Next::Full { id: ID.into(), offset: 7 }));
    }

    #[test]
    fn everything_that_can_be_said_is_said() {
        let introduction = Introduction {
            user: b"me".to_vec(),
            password: b"secret".to_vec(),
            port: 1,
            address: Some("10.0.0.1".into()),
            resume: Some((ID.into(), 11)),
            ..Introduction::default()
        };
        let answers = [
            "-NOAUTH Authentication required.",
            "+OK",
            "-ERR what?",
            "-ERR what?",
            "-ERR what?",
            "+CONTINUE",
        ];
        let (sent, end) = talk(introduction, &answers);
        let expected = [
            "PING",
            "AUTH me secret",
            "REPLCONF listening-port 1",
            "REPLCONF ip-address 10.0.0.1",
            "REPLCONF capa eof capa psync2",
            &format!("PSYNC {ID} 11"),
        ];
        assert_eq!(sent, expected);
        assert_eq!(end, Ok(Next::Continue { id: None }));
    }

    #[test]
    fn answers_that_end_a_try() {
        let end = |answers: &[&str]| talk(Introduction::default(), answers).1;
        assert!(end(&["-ERR no"]).is_err());
        assert!(end(&["hello"]).is_err());
        let with_password = Introduction { password: b"x".to_vec(), ..Introduction::default() };
        assert!(talk(with_password, &["+PONG", "-WRONGPASS no"]).1.is_err());
        for last in [
            "-LOADING wait",
            "-NOMASTERLINK wait",
            "-ERR unknown command",
            "+FULLRESYNC short 1",
            "+FULLRESYNC",
            &format!("+FULLRESYNC {ID} -1"),
            &format!("+FULLRESYNC {ID} {}", u64::MAX),
            "+CONTINUE",
            "$5",
            "",
        ] {
            assert!(end(&["+PONG", "+OK", "+OK", last]).is_err(), "{last}");
        }
    }

    #[test]
    fn a_new_name_of_the_history_is_taken_if_it_is_one() {
        let end = |last: &str| {
            let resume = Some((ID.into(), 3));
            talk(Introduction { resume, ..Introduction::default() }, &["+PONG", "+OK", "+OK", last]).1
        };
        assert_eq!(end(&format!("+CONTINUE {ID}")), Ok(Next::Continue { id: Some(ID.into()) }));
        assert_eq!(end("+CONTINUE nonsense"), Ok(Next::Continue { id: None }));
    }
}
