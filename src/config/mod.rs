//! See the crate documentation for what lives on this floor.
