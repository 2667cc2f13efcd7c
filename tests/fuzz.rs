//! Snapshots and dumped values that nobody wrote, for some seconds: damaged ones are errors, or something that can be worked
//! with like anything else. (Random bytes in place of commands are sent in `wire/fuzz.rs`.)
//!
//! `SKERRY_FUZZ_SECONDS` sets for how long (10), half of it in this process and half with a server.

mod common;
#[path = "fuzz/damage.rs"]
mod damage;
#[path = "fuzz/samples.rs"]
mod samples;
#[path = "fuzz/workload.rs"]
mod workload;

use common::{Random, Reply, encode, seed, setting, skerry};
use skerry::base::clock::unix_millis;
use skerry::config::Config;
use skerry::rdb::write::{Access, Options, Version, Writer};
use skerry::rdb::{Checksum, Digest, RawAccess, RawEntry, Record, Records, decode};
use std::time::{Duration, Instant};

/// What the process may take: a length that is believed takes more.
const MEMORY_BYTES_MAX: u64 = 16 << 30;
/// What one sample may take.
const TIME_MAX: Duration = Duration::from_secs(5);

fn half() -> Instant {
    Instant::now() + Duration::from_millis(setting("SKERRY_FUZZ_SECONDS", 10) * 500)
}

fn raw(kind: u8, body: &[u8]) -> RawEntry {
    let (key, body) = (b"key".to_vec(), body.to_vec());
    RawEntry { expire_ms: None, access: RawAccess::Unknown, kind, key, body, offset: 0 }
}

/// Writes a decoded entry and reads it again; `false` if it cannot be decoded.
fn check_sound(raw: &RawEntry, config: &Config, now: i64) -> bool {
    let Ok(entry) = decode(raw, config, now) else { return false };
    let options = Options { version: Version::Twelve, compresses: true, access: Access::Omitted };
    let mut bytes = b"REDIS0012".to_vec();
    Writer::new(options).push_entry(&mut bytes, &entry);
    bytes.push(0xff);
    bytes.extend_from_slice(&Checksum::of(&bytes).to_le_bytes());
    let record = Records::new(&bytes[..], true).ok().and_then(|mut records| records.next());
    let Some(Ok(Record::Entry(again))) = record else { panic!("not read again: {record:?}") };
    let again = decode(&again, config, now).expect("what was read is written as it was");
    assert_eq!(Digest::of_value(&entry), Digest::of_value(&again));
    assert!(entry.memory_usage() > 0);
    true
}

#[test]
fn damaged_snapshots_are_errors_or_sound() {
    // SAFETY: sets a limit of this process by a value on the stack.
    let limited = unsafe {
        let limit = libc::rlimit { rlim_cur: MEMORY_BYTES_MAX, rlim_max: libc::RLIM_INFINITY };
        libc::setrlimit(libc::RLIMIT_AS, &limit)
    };
    assert_eq!(limited, 0, "limiting this process's memory");
    let mut random = Random::new(seed("damaged_snapshots_are_errors_or_sound"));
    let (config, samples, end) = (Config::default(), samples::values(), half());
    for (kind, body) in &samples {
        assert!(check_sound(&raw(*kind, body), &config, unix_millis()), "type {kind}: {body:02x?}");
    }
    let (mut rounds, mut decoded, mut snapshots) = (0u64, 0u64, 0u64);
    while Instant::now() < end {
        let (kind, body) = &samples[random.below(samples.len())];
        let kind = if random.one_in(20) { random.below(27) as u8 } else { *kind };
        let body = damage::damaged(body, &mut random);
        let started = Instant::now();
        decoded += u64::from(check_sound(&raw(kind, &body), &config, unix_millis()));
        let snapshot = [b"REDIS0011\xfe\x00", &[kind, 3][..], b"key", &body, b"\xff"].concat();
        let snapshot = if random.one_in(2) { damage::damaged(&snapshot, &mut random) } else { snapshot };
        if let Ok(records) = Records::new(&snapshot[..], false) {
            for record in records.map_while(Result::ok) {
                snapshots += 1;
                if let Record::Entry(raw) = record {
                    check_sound(&raw, &config, unix_millis());
                }
            }
        }
        rounds += 1;
        let took = started.elapsed();
        assert!(took < TIME_MAX, "{took:?} for a value of type {kind}: {body:02x?}");
    }
    println!("{rounds} damaged values, {decoded} of them sound; {snapshots} records of damaged snapshots");
    assert!(decoded > 0 && snapshots > 0);
}

#[test]
fn damaged_values_leave_the_server_serving() {
    let Some(start) = skerry() else { return };
    let mut server = start.shards(2).spawn();
    let mut random = Random::new(seed("damaged_values_leave_the_server_serving"));
    let (samples, end) = (samples::values(), half());
    let mut client = server.client();
    let (mut rounds, mut restored) = (0u64, 0u64);
    while Instant::now() < end {
        let (kind, body) = &samples[random.below(samples.len())];
        let mut payload = vec![*kind];
        payload.extend(damage::damaged(body, &mut random));
        payload.extend_from_slice(&[11, 0]);
        payload.extend_from_slice(&Checksum::of(&payload).to_le_bytes());
        let reply = client.command(&[b"RESTORE".as_slice(), b"key", b"0", &payload, b"REPLACE"]);
        rounds += 1;
        if reply != Reply::ok() {
            assert_eq!(reply.text(), "ERR Bad data format");
            continue;
        }
        restored += 1;
        let commands = workload::commands(&mut client, &mut random);
        for command in commands {
            let mut request = Vec::new();
            encode(&command, &mut request);
            let replied = client.try_send_raw(&request).and_then(|()| client.try_receive());
            let shown = String::from_utf8_lossy(&command.join(&b' ')).into_owned();
            assert!(replied.is_ok(), "no reply to {shown} after {payload:02x?}");
        }
    }
    println!("{rounds} damaged values, {restored} of them taken");
    assert!(restored > 0);
    server.assert_serving();
}
