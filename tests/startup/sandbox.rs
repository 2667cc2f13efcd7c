//! A system without io_uring, made from one that has it: a seccomp filter as containers install it.

use std::io;

/// The system call's number, the same on all architectures that came after it.
const IO_URING_SETUP: u32 = 425;

/// Makes `io_uring_setup` fail with an error for this process and its successors. Called between fork and
/// exec, so it allocates nothing.
pub fn refuse_io_uring(errno: i32) -> io::Result<()> {
    let instruction = |code: u32, jump_true: u8, value: u32| libc::sock_filter {
        code: code as u16,
        jt: jump_true,
        jf: 0,
        k: value,
    };
    let mut program = [
        // The number stands first in what the filter sees.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, IO_URING_SETUP),
        instruction(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
        instruction(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the filter and its program outlive both calls, which only read them.
    let refused = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter) != 0
    };
    if refused { Err(io::Error::last_os_error()) } else { Ok(()) }
}
