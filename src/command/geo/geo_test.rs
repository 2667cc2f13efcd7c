//! The commands for places: replies, errors, effects. Numbers are those that Redis answers.

use crate::command::case::Case;

fn plain(reply: &str) -> String {
    let mut words = Vec::new();
    let mut lines = reply.split_terminator("\r\n");
    while let Some(line) = lines.next() {
        match line.split_at_checked(1) {
            Some(("$", "-1")) => words.push("nil"),
            Some(("*", "-1")) => words.push("nil[]"),
            Some(("$", _)) => words.push(lines.next().unwrap_or_default()),
            Some((":", rest)) => words.push(rest),
            _ => words.push(line),
        }
    }
    words.join(" ")
}

#[track_caller]
fn expect(case: &mut Case, line: &str, reply: &str) {
    assert_eq!(plain(&case.run(line)), reply, "{line}");
}

fn sicily() -> Case {
    let mut case = Case::new();
    expect(
        &mut case,
        "geoadd Sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 13.583333 37.316667 Agrigento",
        "3",
    );
    case
}

#[test]
fn places_and_distances() {
    let mut case = sicily();
    assert_eq!(
        case.effects(),
        ["ZADD Sicily 3479099956230698 Palermo 3479447370796909 Catania 3479030013248308 Agrigento"]
    );
    expect(
        &mut case,
        "geopos Sicily Palermo nosuch Catania",
        "*3 *2 13.36138933897018433 38.11555639549629859 nil[] *2 15.08726745843887329 37.50266842333162032",
    );
    expect(&mut case, "geopos nosuch a", "*1 nil[]");
    expect(&mut case, "geohash Sicily Palermo Catania nosuch", "*3 sqc8b49rny0 sqdtr74hyu0 nil");
    expect(&mut case, "geodist Sicily Palermo Catania", "166274.1516");
    expect(&mut case, "geodist Sicily Palermo Catania km", "166.2742");
    expect(&mut case, "geodist Sicily Palermo Catania MI", "103.3182");
    expect(&mut case, "geodist Sicily Palermo Palermo", "0.0000");
    expect(&mut case, "geodist Sicily Palermo nosuch", "nil");
    expect(&mut case, "geodist nosuch a b", "nil");
    expect(&mut case, "geoadd Sicily nx 0 0 Palermo", "0");
    expect(&mut case, "geoadd Sicily xx ch 13.4 38.1 Palermo 1 1 nosuch", "1");
    assert_eq!(case.effects().len(), 1);
    case.resp3();
    assert_eq!(
        case.run("geopos Sicily Catania"),
        "*1\r\n*2\r\n,15.08726745843887329\r\n,37.50266842333162032\r\n"
    );
}

#[test]
fn circles_and_boxes() {
    let mut case = sicily();
    expect(
        &mut case,
        "georadius Sicily 15 37 200 km withdist withcoord withhash asc",
        "*3 *4 Catania 56.4413 3479447370796909 *2 15.08726745843887329 37.50266842333162032 \
         *4 Agrigento 130.4235 3479030013248308 *2 13.5833314061164856 37.31666804993816555 \
         *4 Palermo 190.4424 3479099956230698 *2 13.36138933897018433 38.11555639549629859",
    );
    expect(&mut case, "georadius_ro Sicily 15 37 100 km", "*1 Catania");
    expect(&mut case, "georadiusbymember Sicily Agrigento 100 km asc", "*2 Agrigento Palermo");
    expect(&mut case, "georadius Sicily 15 37 200 km count 1", "*1 Catania");
    expect(&mut case, "georadius Sicily 15 37 200 km desc count 1", "*1 Palermo");
    expect(
        &mut case,
        "geosearch Sicily fromlonlat 15 37 bybox 400 400 km asc withdist",
        "*3 *2 Catania 56.4413 *2 Agrigento 130.4235 *2 Palermo 190.4424",
    );
    expect(&mut case, "geosearch Sicily frommember Palermo byradius 0 m", "*1 Palermo");
    expect(&mut case, "geosearch Sicily fromlonlat 0 0 byradius 1 km", "*0");
    expect(&mut case, "geosearch nosuch frommember a byradius 1 km", "*0");
    assert!(case.run("geosearch Sicily fromlonlat 15 37 byradius 300 km count 2 any").starts_with("*2"));
    expect(
        &mut case,
        "geosearch Sicily fromlonlat 15 37 byradius 30000 km asc",
        "*3 Catania Agrigento Palermo",
    );
}

#[test]
fn results_stored() {
    let mut case = sicily();
    case.effects();
    expect(&mut case, "georadius Sicily 15 37 200 km store near count 2", "2");
    expect(&mut case, "zrange near 0 -1", "*2 Agrigento Catania");
    expect(&mut case, "georadius Sicily 15 37 200 km storedist near", "3");
    expect(&mut case, "zrange near 0 -1", "*3 Catania Agrigento Palermo");
    expect(&mut case, "geosearchstore far Sicily fromlonlat 15 37 byradius 100 km storedist", "1");
    assert!(case.run("zscore far Catania").contains("56.4412578701582"));
    expect(&mut case, "geosearchstore far Sicily fromlonlat 0 0 byradius 1 m", "0");
    expect(&mut case, "exists far", "0");
    expect(&mut case, "georadiusbymember nosuch a 1 m store near", "0");
    expect(&mut case, "exists near", "0");
    assert_eq!(case.effects().len(), 5);
}

#[test]
fn what_cannot_be_searched() {
    let mut case = sicily();
    case.put("s", "string");
    for (line, error) in [
        ("geoadd k 181 1 a", "invalid longitude,latitude pair 181.000000,1.000000"),
        ("geoadd k 1 86 a", "invalid longitude,latitude pair 1.000000,86.000000"),
        ("geoadd k x 1 a", "value is not a valid float"),
        ("geoadd k nx xx 1 1 a", "syntax error"),
        ("geoadd k 1 1 a 2", "syntax error"),
        ("geoadd k nx ch nx", "syntax error"),
        ("geodist Sicily a b yd", "unsupported unit provided. please use M, KM, FT, MI"),
        ("geodist Sicily a b m x", "syntax error"),
        ("georadius Sicily 1 1 x km", "need numeric radius"),
        ("georadius Sicily 1 1 -1 km", "radius cannot be negative"),
        ("georadius Sicily 1 1 1 x", "unsupported unit provided. please use M, KM, FT, MI"),
        ("georadius Sicily 1 1 1 m count 0", "COUNT must be > 0"),
        ("georadius Sicily 1 1 1 m count", "syntax error"),
        ("georadius Sicily 1 1 1 m any", "the ANY argument requires COUNT argument"),
        ("georadius_ro Sicily 1 1 1 m store x", "syntax error"),
        (
            "georadius Sicily 1 1 1 m store x withdist",
            "STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        ),
        (
            "geosearchstore x Sicily fromlonlat 1 1 byradius 1 m withhash",
            "GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        ),
        ("georadiusbymember Sicily nosuch 1 m", "could not decode requested zset member"),
        ("geosearch Sicily frommember nosuch byradius 1 m", "could not decode requested zset member"),
        ("geosearch Sicily frommember Palermo fromlonlat 1 1 byradius 1 m", "syntax error"),
        (
            "geosearch Sicily byradius 1 m asc withdist",
            "exactly one of FROMMEMBER or FROMLONLAT can be specified for geosearch",
        ),
        (
            "geosearch Sicily fromlonlat 1 1 asc withdist",
            "exactly one of BYRADIUS and BYBOX can be specified for geosearch",
        ),
        ("geosearch Sicily fromlonlat 1 1 bybox x 1 m", "need numeric width"),
        ("geosearch Sicily fromlonlat 1 1 bybox 1 x m", "need numeric height"),
        ("geosearch Sicily fromlonlat 1 1 bybox 1 -1 m", "height or width cannot be negative"),
        ("geosearch Sicily fromlonlat 1 1 byradius 1 m storedist", "syntax error"),
    ] {
        assert_eq!(case.run(line), format!("-ERR {error}\r\n"), "{line}");
    }
    for line in ["geoadd s 1 1 a", "geopos s a", "geosearch s fromlonlat x 1 byradius 1 m"] {
        assert!(case.run(line).starts_with("-WRONGTYPE "), "{line}");
    }
}
