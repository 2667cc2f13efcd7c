//! The directory of a table: from the first bits of a hash to its segment.
//!
//! It is a tree of extendible directories, each of at most 2^[`LEVEL_BITS`] nodes. A directory doubles when
//! one of its segments splits deeper than it can tell apart, up to that bound; from there on the split
//! segment's node becomes a directory of its own for the bits that follow. So no step copies more than
//! one bounded directory, however many keys there are. Merging goes the same way back.
//!
//! A segment less deep than its directory stands in several nodes in a row; the first of them
//! (the *canonical* one) holds its count of entries. All that a lookup needs to know about a segment stands in
//! its node, so beyond the directory it touches nothing but buckets.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::{self, NonNull};

use super::bucket::Bucket;
use super::segment::Segment;

/// Bits of the hash that one directory tells apart at most. Fewer under test, for levels with few entries.
pub(super) const LEVEL_BITS: u32 = if cfg!(test) { 3 } else { 10 };

const ADDRESS_BITS: u32 = 42;
const ADDRESS_MASK: u64 = (1 << ADDRESS_BITS) - 1;
const ADDRESS_ZEROS: u32 = 6;
const DEPTH_SHIFT: u32 = ADDRESS_BITS;
const DEPTH_MASK: u64 = 63;
const CLASS_SHIFT: u32 = 48;
const CLASS_MASK: u64 = 31;
const COUNT_SHIFT: u32 = 53;
const DIRECTORY_CLASS: u64 = 31;

/// A segment with its class, depth and count of entries, or a directory with its depth, in one word.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Node(u64);

impl Node {
    /// A segment and how many entries it has.
    pub(super) fn segment(segment: Segment, count: usize) -> Node {
        let address = pack(segment.first_bucket().as_ptr().cast());
        Node(
            address
                | u64::from(segment.shape().depth) << DEPTH_SHIFT
                | (segment.class() as u64) << CLASS_SHIFT
                | (count as u64) << COUNT_SHIFT,
        )
    }

    /// A directory of two nodes.
    fn directory_of(low: Node, high: Node) -> Node {
        let directory = Node::allocate(1);
        // SAFETY: the directory has room for two nodes.
        unsafe {
            directory.first().write(low);
            directory.first().add(1).write(high);
        }
        directory
    }

    /// A directory whose nodes are yet to be written.
    fn allocate(depth: u32) -> Node {
        let layout = directory_layout(depth);
        // SAFETY: the layout has a size above zero.
        let nodes = unsafe { alloc(layout) };
        if nodes.is_null() {
            handle_alloc_error(layout);
        }
        Node(pack(nodes) | u64::from(depth) << DEPTH_SHIFT | DIRECTORY_CLASS << CLASS_SHIFT)
    }

    #[inline]
    pub(super) fn is_directory(self) -> bool {
        self.0 >> CLASS_SHIFT & CLASS_MASK == DIRECTORY_CLASS
    }

    /// Bits of the hash: of a segment those its entries share, of a directory those it tells apart.
    #[inline]
    pub(super) fn depth(self) -> u32 {
        (self.0 >> DEPTH_SHIFT & DEPTH_MASK) as u32
    }

    /// Entries in the segment; only the canonical node knows.
    #[inline]
    pub(super) fn count(self) -> usize {
        (self.0 >> COUNT_SHIFT) as usize
    }

    #[inline]
    pub(super) fn with_count(self, count: usize) -> Node {
        Node(self.0 & ((1 << COUNT_SHIFT) - 1) | (count as u64) << COUNT_SHIFT)
    }

    /// The segment of a node that is not a directory.
    #[inline]
    pub(super) fn to_segment(self) -> Segment {
        debug_assert!(!self.is_directory());
        let class = (self.0 >> CLASS_SHIFT & CLASS_MASK) as usize;
        // SAFETY: the node was made from a segment; a table keeps no node longer than what it names.
        unsafe {
            let buckets = NonNull::new_unchecked(self.address().cast::<Bucket>());
            Segment::from_parts(buckets, class, self.depth())
        }
    }

    /// First node of a directory.
    #[inline]
    fn first(self) -> *mut Node {
        debug_assert!(self.is_directory());
        self.address().cast()
    }

    /// The child of a directory for the hash whose bits begin with this directory's.
    ///
    /// # Safety
    /// The node is a living directory.
    #[inline]
    unsafe fn child(self, rest: u64) -> *mut Node {
        // SAFETY: a directory has a node for each value of `depth` bits.
        unsafe { self.first().add((rest >> 1 >> (63 - self.depth())) as usize) }
    }

    fn address(self) -> *mut u8 {
        ptr::with_exposed_provenance_mut(((self.0 & ADDRESS_MASK) << ADDRESS_ZEROS) as usize)
    }

    fn names_same(self, other: Node) -> bool {
        (self.0 ^ other.0) & ADDRESS_MASK == 0
    }
}

fn pack(pointer: *mut u8) -> u64 {
    let address = pointer.expose_provenance() as u64;
    assert!(address >> (ADDRESS_BITS + ADDRESS_ZEROS) == 0, "user space has 48 bits of addresses");
    debug_assert!(address.is_multiple_of(1 << ADDRESS_ZEROS));
    address >> ADDRESS_ZEROS
}

fn directory_layout(depth: u32) -> Layout {
    Layout::from_size_align(size_of::<Node>() << depth, 1 << ADDRESS_ZEROS).expect("a directory is small")
}

/// The segment of `hash` below `root`.
///
/// # Safety
/// The tree is alive and not changed meanwhile.
#[inline]
pub(super) unsafe fn lookup(root: Node, hash: u64) -> Segment {
    let mut node = root;
    let mut rest = hash;
    while node.is_directory() {
        // SAFETY: promised by the caller.
        node = unsafe { *node.child(rest) };
        rest <<= LEVEL_BITS;
    }
    node.to_segment()
}

/// Where a segment stands in the tree: valid until the tree changes.
pub(super) struct Path {
    /// The segment's canonical node.
    node: *mut Node,
    /// In how many nodes it stands.
    copies: usize,
    /// The node that is its directory; null for a segment that is the root.
    directory: *mut Node,
    /// Bits of the hash consumed above the directory.
    base: u32,
}

impl Path {
    /// The way to the segment of `hash`.
    ///
    /// # Safety
    /// `root` is the only way in use to a living tree for as long as the path is used.
    pub(super) unsafe fn to(root: *mut Node, hash: u64) -> Path {
        let mut path = Path { node: root, copies: 1, directory: ptr::null_mut(), base: 0 };
        let mut below = 0;
        // SAFETY: promised by the caller; nodes of directories are living segments and directories.
        unsafe {
            while (*path.node).is_directory() {
                path.base = below;
                path.directory = path.node;
                path.node = (*path.directory).child(hash << path.base);
                below += LEVEL_BITS;
            }
            if !path.directory.is_null() {
                let spare_bits = path.base + (*path.directory).depth() - (*path.node).depth();
                path.copies = 1 << spare_bits;
                let index = path.index() & !(path.copies - 1);
                path.node = (*path.directory).first().add(index);
            }
        }
        path
    }

    fn index(&self) -> usize {
        // SAFETY: a path's node lies in its directory.
        unsafe { self.node.offset_from((*self.directory).first()) as usize }
    }

    /// The canonical node.
    pub(super) fn node(&self) -> Node {
        // SAFETY: the path is valid.
        unsafe { *self.node }
    }

    /// Sets the segment's count of entries.
    pub(super) fn set_count(&self, count: usize) {
        // SAFETY: the path is valid.
        unsafe { *self.node = self.node().with_count(count) }
    }

    /// Puts another segment of the same depth into the place of this one.
    pub(super) fn replace(&self, node: Node) {
        debug_assert_eq!(node.depth(), self.node().depth());
        // SAFETY: the segment stands in this many nodes.
        unsafe { fill(self.node, self.copies, node) }
    }

    /// Puts the two halves of the segment into its place. Returns by how many bytes directories grew.
    pub(super) fn split(mut self, low: Node, high: Node) -> usize {
        let mut grown = 0;
        // SAFETY: the path is valid, and stays so through the steps below.
        unsafe {
            if self.copies == 1 {
                if self.directory.is_null() || (*self.directory).depth() == LEVEL_BITS {
                    *self.node = Node::directory_of(low, high);
                    return directory_layout(1).size();
                }
                grown = self.double();
            }
            let half = self.copies / 2;
            fill(self.node, half, low);
            fill(self.node.add(half), half, high);
        }
        grown
    }

    /// Doubles the directory. Returns the bytes it grew by.
    ///
    /// # Safety
    /// The path is valid and has a directory; it is the only path in use.
    unsafe fn double(&mut self) -> usize {
        // SAFETY: promised by the caller; the new directory has twice the nodes.
        unsafe {
            let old = *self.directory;
            let index = self.index();
            let new = Node::allocate(old.depth() + 1);
            for position in 0..1 << old.depth() {
                fill(new.first().add(2 * position), 2, *old.first().add(position));
            }
            *self.directory = new;
            self.node = new.first().add(2 * index);
            self.copies *= 2;
            free_directory(old)
        }
    }

    /// The segment with which this one would merge, if that is not split further.
    pub(super) fn buddy(&self) -> Option<Node> {
        if self.directory.is_null() {
            return None;
        }
        // SAFETY: the path is valid; a segment in a directory is deeper than the directory's base, so its
        // buddy stands in the same one.
        let buddy = unsafe { *(*self.directory).first().add(self.index() ^ self.copies) };
        (!buddy.is_directory() && buddy.depth() == self.node().depth()).then_some(buddy)
    }

    /// Puts `merged` into the place of this segment and its buddy. Returns by how many bytes
    /// directories shrank.
    pub(super) fn merge(self, merged: Node) -> usize {
        // SAFETY: the path is valid; the two segments stand side by side.
        unsafe {
            let directory = *self.directory;
            if merged.depth() == self.base {
                *self.directory = merged;
                return free_directory(directory);
            }
            let first = self.index() & !(2 * self.copies - 1);
            fill(directory.first().add(first), 2 * self.copies, merged);
            let mut shrunk = 0;
            if self.copies == 1 {
                while let Some(half) = halved(*self.directory) {
                    shrunk += free_directory(*self.directory) - directory_layout(half.depth()).size();
                    *self.directory = half;
                }
            }
            shrunk
        }
    }
}

/// Half of a directory in which every segment stands at least twice. The search ends at the first that does not.
///
/// # Safety
/// The node is a living directory.
unsafe fn halved(directory: Node) -> Option<Node> {
    let depth = directory.depth();
    let pairs = 1usize << (depth - 1);
    // SAFETY: promised by the caller.
    unsafe {
        let node = |index: usize| *directory.first().add(index);
        if depth == 1 || !(0..pairs).all(|pair| node(2 * pair).names_same(node(2 * pair + 1))) {
            return None;
        }
        let half = Node::allocate(depth - 1);
        for pair in 0..pairs {
            half.first().add(pair).write(node(2 * pair));
        }
        Some(half)
    }
}

/// # Safety
/// `first` is the first of at least `copies` nodes.
unsafe fn fill(first: *mut Node, copies: usize, node: Node) {
    for index in 0..copies {
        // SAFETY: promised by the caller.
        unsafe { first.add(index).write(node) }
    }
}

/// Frees a directory's own memory and returns its bytes.
///
/// # Safety
/// No path leads through the directory any more.
unsafe fn free_directory(directory: Node) -> usize {
    let layout = directory_layout(directory.depth());
    // SAFETY: allocated by `Node::allocate` with this layout.
    unsafe { dealloc(directory.first().cast(), layout) }
    layout.size()
}

/// Frees all directories below and at `root` after handing out each segment once.
///
/// # Safety
/// The tree is alive, and nobody uses it afterwards.
pub(super) unsafe fn dismantle(root: Node, visit: &mut impl FnMut(Segment)) {
    unsafe fn walk(node: Node, base: u32, visit: &mut impl FnMut(Segment)) {
        if !node.is_directory() {
            return visit(node.to_segment());
        }
        let mut index = 0;
        while index < 1usize << node.depth() {
            // SAFETY: the index lies inside the directory.
            let child = unsafe { *node.first().add(index) };
            let copies = if child.is_directory() { 1 } else { 1 << (base + node.depth() - child.depth()) };
            // SAFETY: each child is visited once, and not used afterwards.
            unsafe { walk(child, base + LEVEL_BITS, visit) };
            index += copies;
        }
        // SAFETY: all below is dismantled.
        unsafe { free_directory(node) };
    }
    // SAFETY: promised by the caller.
    unsafe { walk(root, 0, visit) }
}
