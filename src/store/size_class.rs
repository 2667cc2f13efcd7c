//! The size classes of the usual allocators: how many bytes an allocation really takes.

pub use crate::base::memory::good_size as allocation_size;
