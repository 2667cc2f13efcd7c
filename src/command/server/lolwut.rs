//! LOLWUT: a small drawing, never twice the same, and the version.

use rand::Rng;

use super::info::REDIS_VERSION;
use crate::command::args::is_word;
use crate::command::home::{HomeContext, Then};
use crate::resp::error::NOT_AN_INTEGER;

const COLUMNS: usize = 66;
const SKY_ROWS: usize = 5;
const SEA_ROWS: usize = 4;

pub(super) fn lolwut(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    if let [_, word, version, ..] = arguments
        && is_word(word, "version")
        && crate::base::number::parse_i64(version).is_none()
    {
        return home.error(NOT_AN_INTEGER);
    }
    let mut drawing = draw(home.rng);
    drawing.push_str("\nSkerries at night. Redis ver. ");
    drawing.push_str(REDIS_VERSION);
    drawing.push('\n');
    home.reply.verbatim("txt", drawing.as_bytes());
    Then::Done
}

/// Stars above rocks in the sea: the rocks' heights wander by at most one step a column.
fn draw(rng: &mut impl Rng) -> String {
    let mut heights = [0usize; COLUMNS];
    let mut height: i32 = rng.random_range(0..3);
    for column in &mut heights {
        height = (height + rng.random_range(-1..=1)).clamp(0, SKY_ROWS as i32 - 1);
        *column = height as usize;
    }
    let mut drawing = String::new();
    for row in (0..SKY_ROWS).rev() {
        for &height in &heights {
            let star = rng.random_range(0..40) == 0;
            drawing.push(match height.cmp(&row) {
                std::cmp::Ordering::Greater => '#',
                std::cmp::Ordering::Equal if height > 0 => '^',
                _ if star && row > 1 => '.',
                _ => ' ',
            });
        }
        drawing.push('\n');
    }
    for _ in 0..SEA_ROWS {
        drawing.extend((0..COLUMNS).map(|_| if rng.random_range(0..3) == 0 { '~' } else { ' ' }));
        drawing.push('\n');
    }
    drawing
}
