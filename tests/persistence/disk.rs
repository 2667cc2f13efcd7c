//! A disk that is full, for one process: its files may only grow to a certain size.

use std::io;

/// Makes writes beyond so many bytes of a file fail. Called between fork and exec, so it allocates nothing.
pub fn limit_files(bytes: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: the calls take numbers and a struct that outlives them. The signal is ignored so that the write fails instead.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        if libc::setrlimit(libc::RLIMIT_FSIZE, &limit) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
