//! Load generator: placeholder entry until its modules land.
fn main() {}
