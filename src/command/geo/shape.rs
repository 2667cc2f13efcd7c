//! What a search looks for: circles and boxes, and the cells of the grid that cover them.

use super::grid::{Area, Cell, EARTH_RADIUS, Point, STEP_MAX, latitude_distance, radians};

/// Half of the equator in the Mercator projection, in metres.
const MERCATOR_MAX: f64 = 20037726.37;

/// What lies around a centre. Lengths are in metres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outline {
    /// All within a distance.
    Circle {
        /// The distance.
        radius: f64,
    },
    /// All within half a width to the east and west and half a height to the north and south.
    Rectangle {
        /// West to east.
        width: f64,
        /// South to north.
        height: f64,
    },
}

/// A part of the earth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Its middle.
    pub centre: Point,
    /// What lies around it.
    pub outline: Outline,
}

impl Shape {
    /// The distance of a point from the centre in metres if it lies inside.
    pub fn distance_inside(&self, point: Point) -> Option<f64> {
        match self.outline {
            Outline::Circle { radius } => {
                Some(self.centre.distance(point)).filter(|&distance| distance <= radius)
            }
            Outline::Rectangle { width, height } => {
                if latitude_distance(point.latitude, self.centre.latitude) > height / 2.0 {
                    return None;
                }
                let level = Point { latitude: point.latitude, ..self.centre };
                (point.distance(level) <= width / 2.0).then(|| self.centre.distance(point))
            }
        }
    }

    /// A rectangle that bounds the shape. Meridians meet at the poles, so the edge nearer to one decides about its width.
    fn bounds(&self) -> Area {
        let (half_width, half_height) = match self.outline {
            Outline::Circle { radius } => (radius, radius),
            Outline::Rectangle { width, height } => (width / 2.0, height / 2.0),
        };
        let Point { longitude, latitude } = self.centre;
        let height = degrees(half_height / EARTH_RADIUS);
        let edge = if latitude < 0.0 { latitude - height } else { latitude + height };
        let width = degrees(half_width / EARTH_RADIUS / radians(edge).cos());
        Area {
            west: longitude - width,
            south: latitude - height,
            east: longitude + width,
            north: latitude + height,
        }
    }

    /// The largest cells of which nine cover the shape, most of the time: two less than what would cover the radius, and
    /// larger ones near the poles.
    fn estimated_step(&self) -> u32 {
        let mut radius = match self.outline {
            Outline::Circle { radius } => radius,
            Outline::Rectangle { width, height } => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
        };
        if radius == 0.0 {
            return STEP_MAX;
        }
        let mut step = 1i32;
        while radius < MERCATOR_MAX {
            radius *= 2.0;
            step += 1;
        }
        let latitude = self.centre.latitude.abs();
        step -= 2 + i32::from(latitude > 66.0) + i32::from(latitude > 80.0);
        step.clamp(1, STEP_MAX as i32) as u32
    }

    /// The cells to search, the middle one first, in the order of Redis, which decides what a limited search finds.
    pub fn cells(&self) -> Vec<Cell> {
        /// East and north of the middle.
        const AROUND: [(i32, i32); 9] =
            [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let bounds = self.bounds();
        let mut step = self.estimated_step();
        let mut middle = Cell::around(self.centre, step);
        if step > 1 && !covers(middle, bounds) {
            step -= 1;
            middle = Cell::around(self.centre, step);
        }
        let area = middle.area();
        let is_needed = |east: i32, north: i32| {
            step < 2
                || !((north < 0 && area.south < bounds.south)
                    || (north > 0 && area.north > bounds.north)
                    || (east < 0 && area.west < bounds.west)
                    || (east > 0 && area.east > bounds.east))
        };
        let mut cells: Vec<Cell> = Vec::with_capacity(AROUND.len());
        for (east, north) in AROUND.into_iter().filter(|&(east, north)| is_needed(east, north)) {
            let cell = middle.neighbour(east, north);
            // Huge cells meet on the other side of the earth.
            if cells.len() < 2 || cells.last() != Some(&cell) {
                cells.push(cell);
            }
        }
        cells
    }
}

/// Whether a cell and those next to it reach over all of an area.
fn covers(middle: Cell, bounds: Area) -> bool {
    middle.neighbour(0, 1).area().north >= bounds.north
        && middle.neighbour(0, -1).area().south <= bounds.south
        && middle.neighbour(1, 0).area().east >= bounds.east
        && middle.neighbour(-1, 0).area().west <= bounds.west
}

fn degrees(radians: f64) -> f64 {
    radians / (std::f64::consts::PI / 180.0)
}
