//! Asks a cluster node once, at the start, who owns which slots.

use std::io::{self, BufRead, BufReader, Error, Read, Write};
use std::net::TcpStream;

use crate::slot::{SLOT_COUNT, SlotSet};

/// One node and the slots it owns.
pub struct Node {
    /// Host name or address.
    pub host: String,
    /// Port for clients.
    pub port: u16,
    /// The slots it owns.
    pub slots: SlotSet,
}

/// The nodes that own slots, in the order of their first slots.
///
/// # Errors
/// When the node cannot be reached, refuses CLUSTER SLOTS, answers something else, or leaves slots without an owner.
pub fn discover(host: &str, port: u16) -> io::Result<Vec<Node>> {
    let mut socket = TcpStream::connect((host, port))?;
    socket.write_all(b"*2\r\n$7\r\nCLUSTER\r\n$5\r\nSLOTS\r\n")?;
    nodes(&read_value(&mut BufReader::new(socket), 0)?, host)
}

/// What CLUSTER SLOTS consists of.
enum Value {
    Text(String),
    Number(i64),
    List(Vec<Value>),
}

fn nodes(reply: &Value, asked_host: &str) -> io::Result<Vec<Node>> {
    let Value::List(ranges) = reply else { return Err(Error::other("CLUSTER SLOTS: not an array")) };
    let mut ranges = ranges
        .iter()
        .map(slot_range)
        .collect::<Option<Vec<_>>>()
        .ok_or(Error::other("CLUSTER SLOTS: odd reply"))?;
    ranges.sort_unstable();
    let mut nodes: Vec<Node> = Vec::new();
    let mut covered = SlotSet::empty();
    for (low, high, host, port) in ranges {
        // A node that does not know its own address yet names none: then it is the one that was asked.
        let host = if host.is_empty() || host == "?" { asked_host } else { host };
        covered.insert_range(low, high);
        let known = nodes.iter().position(|node| node.host == host && node.port == port);
        let index = known.unwrap_or_else(|| {
            nodes.push(Node { host: host.to_owned(), port, slots: SlotSet::empty() });
            nodes.len() - 1
        });
        nodes[index].slots.insert_range(low, high);
    }
    if covered.is_all() { Ok(nodes) } else { Err(Error::other("CLUSTER SLOTS: some slots have no owner")) }
}

fn slot_range(range: &Value) -> Option<(u16, u16, &str, u16)> {
    let Value::List(range) = range else { return None };
    let [Value::Number(low), Value::Number(high), Value::List(master), ..] = &range[..] else { return None };
    let [Value::Text(host), Value::Number(port), ..] = &master[..] else { return None };
    let slot = |number: i64| u16::try_from(number).ok().filter(|&slot| usize::from(slot) < SLOT_COUNT);
    Some((slot(*low)?, slot(*high)?, host, u16::try_from(*port).ok()?))
}

/// Reads one RESP2 value; nil reads as empty text.
fn read_value(input: &mut impl BufRead, depth: usize) -> io::Result<Value> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let odd = || Error::other(format!("CLUSTER SLOTS: {}", line.trim_end()));
    let (kind, rest) = line.trim_end().split_at_checked(1).ok_or_else(odd)?;
    let number = || rest.parse::<i64>().map_err(|_| odd());
    match kind {
        ":" => Ok(Value::Number(number()?)),
        "+" => Ok(Value::Text(rest.to_owned())),
        "$" => {
            let Ok(length) = u64::try_from(number()?) else { return Ok(Value::Text(String::new())) };
            let mut body = Vec::new();
            input.take(length + 2).read_to_end(&mut body)?;
            body.truncate(length as usize);
            Ok(Value::Text(String::from_utf8_lossy(&body).into_owned()))
        }
        "*" if depth < 8 => {
            (0..number()?).map(|_| read_value(input, depth + 1)).collect::<io::Result<_>>().map(Value::List)
        }
        _ => Err(odd()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(mut reply: &[u8]) -> io::Result<Vec<Node>> {
        nodes(&read_value(&mut reply, 0)?, "asked")
    }

    #[test]
    fn nodes_of_a_reply() {
        let reply = b"*3\r\n*3\r\n:8192\r\n:16000\r\n*3\r\n$9\r\n127.0.0.1\r\n:7001\r\n$1\r\nb\r\n\
            *3\r\n:0\r\n:8191\r\n*4\r\n$0\r\n\r\n:7000\r\n$1\r\na\r\n*0\r\n\
            *3\r\n:16001\r\n:16383\r\n*2\r\n$-1\r\n:7000\r\n";
        let nodes = parse(reply).unwrap();
        assert_eq!(nodes.len(), 2);
        assert_eq!((nodes[0].host.as_str(), nodes[0].port), ("asked", 7000));
        assert!(
            nodes[0].slots.contains(0) && nodes[0].slots.contains(16383) && !nodes[0].slots.contains(16000)
        );
        assert_eq!((nodes[1].host.as_str(), nodes[1].port), ("127.0.0.1", 7001));
    }

    #[test]
    fn refusals() {
        let error = |reply: &[u8]| parse(reply).err().map(|error| error.to_string());
        assert_eq!(error(b"-ERR cluster off\r\n").unwrap(), "CLUSTER SLOTS: -ERR cluster off");
        assert!(error(b"*0\r\n").is_some());
        assert!(error(b"*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n").is_some());
        assert!(error(b"").is_some());
    }
}
