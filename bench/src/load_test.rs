//! Tests of the loop against a small server within the test.

use std::net::TcpListener;
use std::thread;

use super::*;
use crate::slot::SlotSet;
use crate::workload::{Order, Shape, SplitMix};

/// Answers each complete request line block `*1 PING` of every connection with `reply`, until the client closes.
fn serve_pings(reply: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            thread::spawn(move || {
                let (mut buffer, mut pending) = ([0; 4096], 0);
                while let Ok(length @ 1..) = socket.read(&mut buffer) {
                    pending += length;
                    for _ in 0..pending / PING.len() {
                        let _ = socket.write_all(reply);
                    }
                    pending %= PING.len();
                }
            });
        }
    });
    port
}

const SHAPE: Shape = Shape { value_size: 0, multi_keys: 1, elements: None };
const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

fn load(port: u16, order: Order, window: Option<Duration>) -> Load {
    let template = Rc::new(Template::compile("PING", SHAPE, &SlotSet::all()).unwrap());
    let burst = Burst::new(Rc::clone(&template), 8, &SlotSet::all(), 100, order).unwrap();
    let target = Target { host: "127.0.0.1".into(), port, burst };
    Load::connect(template, vec![target], 3, Meter::start(Duration::ZERO, window, Vec::new())).unwrap()
}

fn random() -> Order {
    Order::Random(SplitMix(1))
}

#[test]
fn closed_loop() {
    let outcome = load(serve_pings(b"+PONG\r\n"), random(), Some(Duration::from_millis(100)))
        .run_closed(false)
        .unwrap();
    assert!(outcome.requests > 24 && outcome.errors == 0);
    assert!(outcome.latencies.quantile(0.5) > 0);
}

#[test]
fn open_loop_keeps_its_rate() {
    let interval = Duration::from_millis(4);
    let load = load(serve_pings(b"+PONG\r\n"), random(), Some(Duration::from_millis(400)));
    let outcome = load.run_scheduled(interval, false).unwrap();
    assert!((8 * 50..=8 * 101).contains(&outcome.requests), "{}", outcome.requests);
}

#[test]
fn wrong_replies_are_counted() {
    let port = serve_pings(b"-ERR no\r\n");
    let outcome = load(port, random(), Some(Duration::from_millis(50))).run_closed(false).unwrap();
    assert!(outcome.errors >= outcome.requests && outcome.requests > 0);
    assert_eq!(outcome.first_error.as_deref(), Some("ERR no"));
}

#[test]
fn a_server_that_speaks_something_else_ends_the_run() {
    let port = serve_pings(b"HTTP/1.1 400\r\n");
    assert!(load(port, random(), None).run_closed(false).is_err());
    assert!(load(serve_pings(b"+PONG\r\n+PONG\r\n"), random(), None).run_closed(false).is_err());
}
