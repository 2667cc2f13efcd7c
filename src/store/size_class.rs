//! The size classes of the usual allocators: how many bytes an allocation really takes.

/// Bytes that an allocation of `size` takes: multiples of 16 up to 128, then four classes to each
/// doubling. That is how mimalloc and jemalloc both round; page rounding of huge ones is ignored.
pub const fn allocation_size(size: usize) -> usize {
    if size <= 128 {
        return size.next_multiple_of(16);
    }
    let step = 1usize << ((size - 1).ilog2() - 2);
    size.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::allocation_size;

    #[test]
    fn rounds_to_the_classes() {
        for (size, class) in [
            (0, 0),
            (1, 16),
            (60, 64),
            (64, 64),
            (65, 80),
            (128, 128),
            (129, 160),
            (160, 160),
            (161, 192),
            (256, 256),
            (257, 320),
            (1024, 1024),
            (1025, 1280),
        ] {
            assert_eq!(allocation_size(size), class, "size {size}");
        }
    }
}
