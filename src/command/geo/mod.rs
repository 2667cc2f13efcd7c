//! The geo family: places as members of sorted sets, whose scores are geohashes of 52 bits. Rows here, with the handlers
//! for single members; searches in the file beside.

mod grid;
mod search;
mod shape;

#[cfg(test)]
mod geo_test;

use self::grid::{LATITUDE_MAX, LONGITUDE_MAX, Point};
use super::args::{Cursor, float, is_word};
use super::keys::{Begin, Find, KeyFlags};
use super::sorted_set::add::{Options, add};
use super::{Command, Context, Flags, Group, KeySpec, Run};
use crate::resp::Reply;
use crate::resp::error::SYNTAX;
use crate::store::sorted_set::{SortedSet, SortedSetView};

const BAD_UNIT: &str = "ERR unsupported unit provided. please use M, KM, FT, MI";

const READ: Flags = Flags::READONLY;
const WRITE_OOM: Flags = Flags::WRITE.union(Flags::DENYOOM);
const ACCESS: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);
const OVERWRITE: KeyFlags = KeyFlags::OW.union(KeyFlags::UPDATE);
const READ_KEY: &[KeySpec] = &[KeySpec::one(1, ACCESS)];

const BY_MEMBERS: &str = "O(1) for each member asked for.";
const BY_AREA: &str =
    "O(N+log(M)), N being the members in the cells around the shape and M all members of the sorted set.";

/// The rows of this family.
pub const COMMANDS: &[Command] =
    &[
        row("geoadd", -5, WRITE_OOM, geoadd)
            .keys(&[KeySpec::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))])
            .docs("3.2.0", "Adds places by longitude and latitude.", "O(log(N)) for each place."),
        row("geodist", -4, READ, geodist).keys(READ_KEY).docs(
            "3.2.0",
            "Answers the distance between two places.",
            "O(1)",
        ),
        row("geohash", -2, READ, geohash).keys(READ_KEY).docs(
            "3.2.0",
            "Answers places as geohash strings.",
            BY_MEMBERS,
        ),
        row("geopos", -2, READ, geopos).keys(READ_KEY).docs(
            "3.2.0",
            "Answers longitude and latitude of places.",
            BY_MEMBERS,
        ),
        row("georadius", -6, WRITE_OOM.union(Flags::MOVABLE_KEYS), search::georadius)
            .keys(&[KeySpec::one(1, ACCESS), stored("STORE", 6), stored("STOREDIST", 6)])
            .docs("3.2.0", "Finds the places in a circle around a point, and may store them.", BY_AREA)
            .deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument"),
        row("georadius_ro", -6, READ, search::georadius_ro)
            .keys(READ_KEY)
            .docs("3.2.10", "Finds the places in a circle around a point.", BY_AREA)
            .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument"),
        row("georadiusbymember", -5, WRITE_OOM.union(Flags::MOVABLE_KEYS), search::georadiusbymember)
            .keys(&[KeySpec::one(1, ACCESS), stored("STORE", 5), stored("STOREDIST", 5)])
            .docs("3.2.0", "Finds the places in a circle around another one, and may store them.", BY_AREA)
            .deprecated(
                "6.2.0",
                "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
            ),
        row("georadiusbymember_ro", -5, READ, search::georadiusbymember_ro)
            .keys(READ_KEY)
            .docs("3.2.10", "Finds the places in a circle around another one.", BY_AREA)
            .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments"),
        row("geosearch", -7, READ, search::geosearch).keys(READ_KEY).docs(
            "6.2.0",
            "Finds the places in a circle or a box.",
            BY_AREA,
        ),
        row("geosearchstore", -8, WRITE_OOM, search::geosearchstore)
            .keys(&[KeySpec::one(1, OVERWRITE), KeySpec::one(2, ACCESS)])
            .docs("6.2.0", "Stores the places in a circle or a box.", BY_AREA),
    ];

/// The key behind the option that says where the result goes; `from` is where options begin.
const fn stored(word: &'static str, from: i32) -> KeySpec {
    KeySpec {
        begin: Begin::Keyword { word, from, options: &[] },
        find: Find::Range { last: 0, step: 1, limit: 0 },
        flags: OVERWRITE,
    }
}

const fn row(
    name: &'static str,
    arity: i32,
    flags: Flags,
    handler: fn(&mut Context<'_>, &[&[u8]]),
) -> Command {
    Command::new(name, arity, Group::Geo, Run::Keyspace(handler)).flags(flags)
}

/// GEOADD key [NX | XX] [CH] longitude latitude member …, which is replicated as the ZADD that it is.
fn geoadd(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let mut options = Options::default();
    let mut cursor = Cursor::new(arguments, 2);
    loop {
        match () {
            () if cursor.accept("nx") => options.only_new = true,
            () if cursor.accept("xx") => options.only_present = true,
            () if cursor.accept("ch") => options.counts_changed = true,
            () => break,
        }
    }
    let first = arguments.len() - cursor.remaining();
    let members = match places(&arguments[first..]) {
        _ if options.only_new && options.only_present => return ctx.reply.error(SYNTAX),
        Ok(members) => members,
        Err(error) => return ctx.reply.error(error),
    };
    add(ctx, arguments[1], options, &members);
    if ctx.changed {
        let mut words: Vec<Vec<u8>> = vec![b"ZADD".to_vec()];
        words.extend(arguments[1..first].iter().map(|word| word.to_vec()));
        for (score, member) in members {
            words.extend([(score as u64).to_string().into_bytes(), member.to_vec()]);
        }
        ctx.replicate(&words);
    }
}

/// Scores and members of triples of longitude, latitude and member.
fn places<'a>(arguments: &[&'a [u8]]) -> Result<Vec<(f64, &'a [u8])>, String> {
    let (triples, rest) = arguments.as_chunks::<3>();
    if triples.is_empty() || !rest.is_empty() {
        return Err(SYNTAX.into());
    }
    let place = |[longitude, latitude, member]: &[&'a [u8]; 3]| {
        Ok((parse_point(longitude, latitude)?.score(), *member))
    };
    triples.iter().map(place).collect()
}

/// A longitude and a latitude that the grid has.
fn parse_point(longitude: &[u8], latitude: &[u8]) -> Result<Point, String> {
    let point = Point { longitude: float(longitude)?, latitude: float(latitude)? };
    if point.longitude.abs() <= LONGITUDE_MAX && point.latitude.abs() <= LATITUDE_MAX {
        return Ok(point);
    }
    Err(format!("ERR invalid longitude,latitude pair {:.6},{:.6}", point.longitude, point.latitude))
}

/// Metres in a unit of length.
fn parse_unit(word: &[u8]) -> Result<f64, &'static str> {
    let units = [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)];
    units.into_iter().find(|(name, _)| is_word(word, name)).map(|(_, metres)| metres).ok_or(BAD_UNIT)
}

/// Where a member is.
fn place_of(set: Option<SortedSetView<'_>>, member: &[u8]) -> Option<Point> {
    set.and_then(|set| set.score(member)).map(Point::of_score)
}

/// GEOPOS key [member …]
fn geopos(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    ctx.read_as::<SortedSet, _>(arguments[1], |set, reply| {
        reply.array(arguments.len() - 2);
        for member in &arguments[2..] {
            match place_of(set, member) {
                Some(point) => push_point(point, reply),
                None => reply.null_array(),
            }
        }
    });
}

/// GEOHASH key [member …]
fn geohash(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    ctx.read_as::<SortedSet, _>(arguments[1], |set, reply| {
        reply.array(arguments.len() - 2);
        for member in &arguments[2..] {
            match place_of(set, member) {
                Some(point) => reply.bulk(&point.geohash()),
                None => reply.null(),
            }
        }
    });
}

/// GEODIST key member member [unit]
fn geodist(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    let unit = match arguments[4..] {
        [] => Ok(1.0),
        [unit] => parse_unit(unit),
        _ => Err(SYNTAX),
    };
    let unit = match unit {
        Ok(unit) => unit,
        Err(error) => return ctx.reply.error(error),
    };
    ctx.read_as::<SortedSet, _>(arguments[1], |set, reply| {
        match (place_of(set, arguments[2]), place_of(set, arguments[3])) {
            (Some(one), Some(other)) => push_distance(one.distance(other) / unit, reply),
            _ => reply.null(),
        }
    });
}

/// Replies longitude and latitude with up to 17 decimals.
fn push_point(point: Point, reply: &mut Reply<'_>) {
    reply.array(2);
    for coordinate in [point.longitude, point.latitude] {
        let digits = format!("{coordinate:.17}");
        let digits = digits.trim_end_matches('0').trim_end_matches('.');
        reply.double_text(if digits == "-0" { "0" } else { digits });
    }
}

/// Replies a distance with four decimals.
fn push_distance(distance: f64, reply: &mut Reply<'_>) {
    let tenths_of_thousandths = (distance * 10_000.0).round_ties_even() as i64;
    let (whole, rest) = (tenths_of_thousandths / 10_000, tenths_of_thousandths % 10_000);
    reply.bulk(format!("{whole}.{rest:04}").as_bytes());
}
