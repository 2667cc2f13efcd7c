//! Everything about a key, as replies that two servers with the same dataset give alike.

use super::{Client, Reply};

/// What is asked about the value of a key, by its type; `KEY` stands for the key. Times that depend on the moment are
/// left out. `g` and `h` are the groups that the random commands use.
const QUESTIONS: &[(&str, &str)] = &[
    ("string", "GET KEY"),
    ("list", "LRANGE KEY 0 -1"),
    ("hash", "HGETALL KEY"),
    ("set", "SMEMBERS KEY"),
    ("zset", "ZRANGE KEY 0 -1 WITHSCORES"),
    ("stream", "XRANGE KEY - +"),
    ("stream", "XINFO GROUPS KEY"),
    ("stream", "XPENDING KEY g"),
    ("stream", "XPENDING KEY h"),
];

/// A question about a key, as a command, and the reply.
pub type Answer = (Vec<Vec<u8>>, Reply);

/// The type of a key, when it expires, and its whole value.
pub fn everything_about(client: &mut Client, key: &[u8]) -> Vec<Answer> {
    let mut ask = |question: &str| {
        let word = |word: &str| if word == "KEY" { key.to_vec() } else { word.as_bytes().to_vec() };
        let words: Vec<Vec<u8>> = question.split(' ').map(word).collect();
        let mut reply = client.command(&words);
        match (question, &mut reply) {
            ("SMEMBERS KEY", Reply::Array(members)) => members.sort(),
            // The pairs of a large hash have no order.
            ("HGETALL KEY", Reply::Array(items)) => {
                let mut pairs: Vec<Vec<Reply>> = items.chunks(2).map(<[Reply]>::to_vec).collect();
                pairs.sort();
                *items = pairs.concat();
            }
            // Redis before 7.2 prints doubles with all their digits.
            ("ZRANGE KEY 0 -1 WITHSCORES", Reply::Array(items)) => {
                for score in items.iter_mut().skip(1).step_by(2) {
                    if let Ok(number) = score.text().parse::<f64>() {
                        *score = Reply::bulk(number.to_string());
                    }
                }
            }
            _ => {}
        }
        if let ("HGETALL KEY", Reply::Array(items)) = (question, &mut reply) {
            let mut pairs: Vec<Vec<Reply>> = items.chunks(2).map(<[Reply]>::to_vec).collect();
            pairs.sort();
            *items = pairs.concat();
        }
        (words, reply)
    };
    let mut all = vec![ask("TYPE KEY"), ask("PEXPIRETIME KEY")];
    let kind = all[0].1.text();
    all.extend(QUESTIONS.iter().filter(|(of, _)| *of == kind).map(|(_, question)| ask(question)));
    all
}
