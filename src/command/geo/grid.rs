//! The grid of geohashes: points of the earth as numbers of 52 bits that keep neighbours mostly together.
//!
//! Each of `step` halvings of the ranges of latitude and longitude gives a bit for each; they are interleaved, the
//! longitude's above the latitude's. The latitude ends where the Mercator projection is square (EPSG:3857), as in Redis,
//! since the numbers are visible as scores.

use std::ops::Range;

/// Bits for each coordinate in a score.
pub const STEP_MAX: u32 = 26;
/// No point lies farther to the north or south.
pub const LATITUDE_MAX: f64 = 85.05112878;
/// No point lies farther to the east or west.
pub const LONGITUDE_MAX: f64 = 180.0;
/// The pole, up to which the standard's geohashes go.
const POLE: f64 = 90.0;

/// The radius of the earth in metres that distances are told by.
pub const EARTH_RADIUS: f64 = 6372797.560856;

const EVEN_BITS: u64 = 0x5555_5555_5555_5555;
const ODD_BITS: u64 = !EVEN_BITS;

/// The digits of the standard's geohashes.
const DIGITS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

/// A place on earth, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// To the east.
    pub longitude: f64,
    /// To the north.
    pub latitude: f64,
}

impl Point {
    /// The middle of the smallest cell that a score names.
    pub fn of_score(score: f64) -> Self {
        let area = Cell { bits: whole(score), step: STEP_MAX }.area();
        Self {
            longitude: ((area.west + area.east) / 2.0).clamp(-LONGITUDE_MAX, LONGITUDE_MAX),
            latitude: ((area.south + area.north) / 2.0).clamp(-LATITUDE_MAX, LATITUDE_MAX),
        }
    }

    /// The score of the smallest cell around the point.
    pub fn score(self) -> f64 {
        Cell::around(self, STEP_MAX).scores().start as f64
    }

    /// The standard's geohash, of which 52 bits are known; the last of its 11 digits is zero.
    pub fn geohash(self) -> [u8; 11] {
        let bits = interleaved(self, POLE, STEP_MAX);
        let mut digits = [DIGITS[0]; 11];
        for (index, digit) in digits.iter_mut().take(10).enumerate() {
            *digit = DIGITS[(bits >> (52 - 5 * (index + 1)) & 31) as usize];
        }
        digits
    }

    /// The distance to another point along a great circle, in metres (haversine formula).
    pub fn distance(self, other: Point) -> f64 {
        let half_longitude = ((radians(other.longitude) - radians(self.longitude)) / 2.0).sin();
        if half_longitude == 0.0 {
            return latitude_distance(self.latitude, other.latitude);
        }
        let (own, others) = (radians(self.latitude), radians(other.latitude));
        let half_latitude = ((others - own) / 2.0).sin();
        let chord =
            half_latitude * half_latitude + own.cos() * others.cos() * half_longitude * half_longitude;
        2.0 * EARTH_RADIUS * chord.sqrt().asin()
    }
}

/// The distance between two latitudes on one meridian, in metres.
pub fn latitude_distance(one: f64, other: f64) -> f64 {
    EARTH_RADIUS * (radians(other) - radians(one)).abs()
}

/// Degrees as radians; not `to_radians`, whose last bit may differ from Redis's.
pub fn radians(degrees: f64) -> f64 {
    degrees * (std::f64::consts::PI / 180.0)
}

/// A rectangle in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// Least longitude.
    pub west: f64,
    /// Least latitude.
    pub south: f64,
    /// Greatest longitude.
    pub east: f64,
    /// Greatest latitude.
    pub north: f64,
}

/// A rectangle of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    bits: u64,
    step: u32,
}

impl Cell {
    /// The cell of a size that a point lies in; `step` is from 1 to [`STEP_MAX`].
    pub fn around(point: Point, step: u32) -> Self {
        Self { bits: interleaved(point, LATITUDE_MAX, step), step }
    }

    /// Where the cell lies.
    pub fn area(self) -> Area {
        let cells = (1u64 << self.step) as f64;
        let (latitude, longitude) = (gathered(self.bits), gathered(self.bits >> 1));
        let edge = |index: u32, max: f64| -max + (f64::from(index) / cells) * (max + max);
        Area {
            west: edge(longitude, LONGITUDE_MAX),
            south: edge(latitude, LATITUDE_MAX),
            east: edge(longitude.wrapping_add(1), LONGITUDE_MAX),
            north: edge(latitude.wrapping_add(1), LATITUDE_MAX),
        }
    }

    /// The scores of all points in the cell.
    pub fn scores(self) -> Range<u64> {
        let shift = 2 * (STEP_MAX - self.step);
        self.bits << shift..(self.bits + 1) << shift
    }

    /// The cell next to it to the east (1) or west (-1) and to the north (1) or south (-1), round the earth.
    pub fn neighbour(self, east: i32, north: i32) -> Self {
        let longitude = moved(self.bits, ODD_BITS, self.step, east);
        let latitude = moved(self.bits, EVEN_BITS, self.step, north);
        Self { bits: longitude | latitude, step: self.step }
    }
}

/// One coordinate of a cell, which `mask` selects, after a step up or down: the bits between are set so that carries pass.
fn moved(bits: u64, mask: u64, step: u32, by: i32) -> u64 {
    let used = u64::MAX >> (64 - 2 * step);
    let between = !mask & used;
    match by {
        0 => bits & mask,
        1.. => (bits & mask).wrapping_add(between + 1) & mask & used,
        _ => (bits & mask | between).wrapping_sub(between + 1) & mask & used,
    }
}

/// The interleaved bits of a point where the latitude goes up to `latitude_max`.
fn interleaved(point: Point, latitude_max: f64, step: u32) -> u64 {
    let index = |coordinate: f64, max: f64| ((coordinate + max) / (max + max) * (1u64 << step) as f64) as u32;
    scattered(index(point.latitude, latitude_max)) | scattered(index(point.longitude, LONGITUDE_MAX)) << 1
}

/// Moves each bit to twice its place (S. E. Anderson, Bit Twiddling Hacks: interleave bits by binary magic numbers).
fn scattered(index: u32) -> u64 {
    [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
    ]
    .into_iter()
    .chain([(1, EVEN_BITS)])
    .fold(u64::from(index), |bits, (shift, mask)| (bits | bits << shift) & mask)
}

/// Moves each even bit to half its place.
fn gathered(bits: u64) -> u32 {
    [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
    ]
    .into_iter()
    .chain([(16, 0x0000_0000_ffff_ffff)])
    .fold(bits & EVEN_BITS, |bits, (shift, mask): (u32, u64)| (bits | bits >> shift) & mask) as u32
}

/// A score as bits. Scores that are no geohashes wrap like C's conversions on x86-64.
fn whole(score: f64) -> u64 {
    if score < 0.0 {
        score as i64 as u64
    } else if score >= u64::MAX as f64 {
        0
    } else {
        score as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PALERMO: Point = Point { longitude: 13.361389, latitude: 38.115556 };
    const CATANIA: Point = Point { longitude: 15.087269, latitude: 37.502669 };

    #[test]
    fn known_points() {
        assert_eq!(PALERMO.score(), 3479099956230698.0);
        assert_eq!(CATANIA.score(), 3479447370796909.0);
        let stored = Point::of_score(PALERMO.score());
        assert_eq!((stored.longitude, stored.latitude), (13.361389338970184, 38.1155563954963));
        assert_eq!(&stored.geohash(), b"sqc8b49rny0");
        assert_eq!(&Point::of_score(CATANIA.score()).geohash(), b"sqdtr74hyu0");
        let distance = stored.distance(Point::of_score(CATANIA.score()));
        assert_eq!(format!("{distance:.4}"), "166274.1516");
    }

    proptest! {
        #[test]
        fn cells_hold_their_points(
            longitude in -180.0..180.0,
            latitude in -LATITUDE_MAX..LATITUDE_MAX,
            step in 1..=STEP_MAX,
        ) {
            let point = Point { longitude, latitude };
            let cell = Cell::around(point, step);
            let area = cell.area();
            let slack = 1e-9;
            prop_assert!(area.west - slack <= longitude && longitude <= area.east + slack);
            prop_assert!(area.south - slack <= latitude && latitude <= area.north + slack);
            prop_assert!(cell.scores().contains(&(point.score() as u64)));
            prop_assert_eq!(gathered(scattered(cell.bits as u32)), cell.bits as u32);
            let around = cell.neighbour(1, 0).neighbour(0, 1).neighbour(-1, -1);
            prop_assert_eq!(around, cell);
            if step > 2 && area.east < 179.0 && area.north < 85.0 {
                let next = cell.neighbour(1, 1).area();
                prop_assert!((next.west - area.east).abs() < slack && (next.south - area.north).abs() < slack);
            }
        }
    }
}
