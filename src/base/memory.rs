//! x
/// x
pub fn thread_allocated() -> i64 {
    0
}
