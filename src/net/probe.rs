//! The checks made before anything starts: whether this kernel, and whoever confines us, gives us io_uring.
//!
//! glommio ends the process with a riddle when io_uring is missing, so the question is asked here first, and the
//! answer names the cause and the fix. What does not live here: the choice of the mode, which an option may overrule.

use std::fmt;
use std::fs;
use std::io;

use io_uring::{IoUring, Probe, opcode};
use thiserror::Error;

use super::IoMode;

/// The soft memlock limit below which glommio refuses to make an executor (`Reactor::new`, version 0.9).
const MEMLOCK_BYTES_MIN: u64 = 512 << 10;

/// The first kernel on which the plain mode works: `io_uring_enter` takes a timeout.
const KERNEL_MIN: KernelVersion = KernelVersion { major: 5, minor: 11 };

/// From this kernel on, rings are not charged to the memlock limit any more.
const KERNEL_RINGS_FREE_OF_MEMLOCK: KernelVersion = KernelVersion { major: 5, minor: 12 };

/// The first two numbers of a kernel release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    /// 6 of 6.1.
    pub major: u32,
    /// 1 of 6.1.
    pub minor: u32,
}

impl KernelVersion {
    /// Reads a release such as `6.1.0-13-amd64`.
    pub fn parse(release: &str) -> Option<Self> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        Some(Self { major: numbers.next()?.ok()?, minor: numbers.next()?.ok()? })
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

/// What a trial ring showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// Waiting with a timeout works (5.11).
    pub wait_timeout: bool,
    /// A ring with the flags and the shared buffers of the multishot mode could be made (6.0).
    pub multishot: bool,
    /// Operations that glommio or the network ring need and the kernel lacks.
    pub missing: Vec<&'static str>,
}

/// All that the verdict rests on.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The kernel's release; `None` if it could not be understood.
    pub kernel: Option<KernelVersion>,
    /// `kernel.io_uring_disabled`; `None` where there is no such setting.
    pub disabled: Option<u32>,
    /// The trial ring, or the error number of `io_uring_setup`.
    pub trial: Result<Abilities, i32>,
    /// The memlock limit in bytes, after raising the soft one to the hard one.
    pub memlock_bytes: u64,
}

/// Why the server cannot start here. Each message names the cause and the fix.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ProbeError {
    /// io_uring is missing or lacks what we need.
    #[error(
        "the kernel is too old: this is Linux {0}, and io_uring as needed exists from Linux {KERNEL_MIN} on. Run a newer kernel"
    )]
    KernelTooOld(KernelVersion),
    /// The administrator switched io_uring off.
    #[error(
        "io_uring is switched off on this machine (kernel.io_uring_disabled = {0}). Allow it: sysctl -w kernel.io_uring_disabled=0"
    )]
    SwitchedOff(u32),
    /// Neither the kernel nor the setting forbids it, so a filter of system calls does.
    #[error(
        "io_uring_setup is forbidden ({0}): most likely a container's seccomp profile blocks it. Start the container with a profile that allows io_uring_setup, io_uring_enter and io_uring_register (docker run --security-opt seccomp=FILE), or with seccomp=unconfined"
    )]
    Forbidden(&'static str),
    /// Some operation is not there; as in sandboxes that imitate a kernel.
    #[error(
        "this kernel's io_uring lacks operations: {0}. Sandboxes that imitate a kernel are not supported"
    )]
    OperationsMissing(String),
    /// The limit for locked memory is too low for the rings.
    #[error("the limit for locked memory is too low: {limit_bytes} bytes, and {needed_bytes} are needed. Raise it: ulimit -l {}, docker run --ulimit memlock={needed_bytes}:{needed_bytes}, or LimitMEMLOCK={needed_bytes} in a systemd unit", needed_bytes >> 10)]
    MemoryLock {
        /// The hard limit.
        limit_bytes: u64,
        /// What all executors need.
        needed_bytes: u64,
    },
    /// Anything else.
    #[error("io_uring cannot be used: {0}")]
    Other(String),
}

/// Raises the soft memlock limit to the hard one, tries io_uring, and returns the best mode that works here.
pub fn probe(executors: usize) -> Result<IoMode, ProbeError> {
    judge(&Facts::gather(), executors)
}

impl Facts {
    fn gather() -> Self {
        let read = |path: &str| fs::read_to_string(path).ok();
        Self {
            kernel: read("/proc/sys/kernel/osrelease").and_then(|text| KernelVersion::parse(&text)),
            disabled: read("/proc/sys/kernel/io_uring_disabled").and_then(|text| text.trim().parse().ok()),
            // Before the trial: on old kernels the trial ring counts against it.
            memlock_bytes: raise_memlock().unwrap_or(0),
            trial: try_ring().map_err(|error| error.raw_os_error().unwrap_or(libc::EIO)),
        }
    }
}

/// The verdict over the facts, for this number of glommio executors.
pub fn judge(facts: &Facts, executors: usize) -> Result<IoMode, ProbeError> {
    let old = facts.kernel.filter(|kernel| *kernel < KERNEL_MIN);
    let on_old_kernel = |otherwise| old.map_or(otherwise, ProbeError::KernelTooOld);
    let charged = facts.kernel.is_some_and(|kernel| kernel < KERNEL_RINGS_FREE_OF_MEMLOCK);
    let needed_bytes = MEMLOCK_BYTES_MIN * if charged { executors.max(1) as u64 } else { 1 };
    let memory_lock = ProbeError::MemoryLock { limit_bytes: facts.memlock_bytes, needed_bytes };
    let abilities = match &facts.trial {
        Ok(abilities) => abilities,
        Err(libc::EPERM) => {
            return Err(match facts.disabled {
                Some(value) if value > 0 => ProbeError::SwitchedOff(value),
                _ => ProbeError::Forbidden("EPERM"),
            });
        }
        Err(libc::ENOSYS) => return Err(on_old_kernel(ProbeError::Forbidden("ENOSYS"))),
        Err(libc::ENOMEM) => return Err(memory_lock),
        Err(code) => return Err(ProbeError::Other(io::Error::from_raw_os_error(*code).to_string())),
    };
    if !abilities.wait_timeout {
        return Err(on_old_kernel(ProbeError::OperationsMissing("waiting with a timeout".into())));
    }
    if !abilities.missing.is_empty() {
        return Err(on_old_kernel(ProbeError::OperationsMissing(abilities.missing.join(", "))));
    }
    if facts.memlock_bytes < needed_bytes {
        return Err(memory_lock);
    }
    Ok(if abilities.multishot { IoMode::Multishot } else { IoMode::Plain })
}

/// Makes a ring, asks what it can do, and drops it.
fn try_ring() -> io::Result<Abilities> {
    let ring = IoUring::new(8)?;
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    let missing =
        OPERATIONS.iter().filter(|(_, code)| !probe.is_supported(*code)).map(|(name, _)| *name).collect();
    let options =
        super::RingOptions { entries: 8, buffer_count: 1, buffer_bytes: 4096, mode: IoMode::Multishot };
    Ok(Abilities {
        wait_timeout: ring.params().is_feature_ext_arg(),
        // SINGLE_ISSUER came in 6.0, the release that also brought multishot receive.
        multishot: super::Ring::new(options).is_ok(),
        missing,
    })
}

/// The operations that glommio 0.9 insists on (its list in `sys/uring.rs`), and those of the network ring.
const OPERATIONS: [(&str, u8); 24] = [
    ("NOP", opcode::Nop::CODE),
    ("READV", opcode::Readv::CODE),
    ("WRITEV", opcode::Writev::CODE),
    ("FSYNC", opcode::Fsync::CODE),
    ("READ_FIXED", opcode::ReadFixed::CODE),
    ("WRITE_FIXED", opcode::WriteFixed::CODE),
    ("POLL_ADD", opcode::PollAdd::CODE),
    ("POLL_REMOVE", opcode::PollRemove::CODE),
    ("SENDMSG", opcode::SendMsg::CODE),
    ("RECVMSG", opcode::RecvMsg::CODE),
    ("TIMEOUT", opcode::Timeout::CODE),
    ("TIMEOUT_REMOVE", opcode::TimeoutRemove::CODE),
    ("ACCEPT", opcode::Accept::CODE),
    ("ASYNC_CANCEL", opcode::AsyncCancel::CODE),
    ("LINK_TIMEOUT", opcode::LinkTimeout::CODE),
    ("CONNECT", opcode::Connect::CODE),
    ("FALLOCATE", opcode::Fallocate::CODE),
    ("OPENAT", opcode::OpenAt::CODE),
    ("CLOSE", opcode::Close::CODE),
    ("STATX", opcode::Statx::CODE),
    ("READ", opcode::Read::CODE),
    ("WRITE", opcode::Write::CODE),
    ("SEND", opcode::Send::CODE),
    ("RECV", opcode::Recv::CODE),
];

/// Raises the soft limit for locked memory to the hard one; the limit in bytes now.
fn raise_memlock() -> io::Result<u64> {
    raise_limit(libc::RLIMIT_MEMLOCK, u64::MAX)
}

/// Raises the soft limit for open descriptors to `wanted`, or as far as the hard one allows; the limit now. A limit
/// that is higher stays.
pub fn raise_descriptor_limit(wanted: u64) -> io::Result<u64> {
    raise_limit(libc::RLIMIT_NOFILE, wanted)
}

fn raise_limit(resource: libc::__rlimit_resource_t, wanted: u64) -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a limit that the call may write.
    if unsafe { libc::getrlimit(resource, &raw mut limit) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // As root the hard limit can be raised too.
    for hard in [limit.rlim_max.max(wanted), limit.rlim_max] {
        let raised = libc::rlimit { rlim_cur: limit.rlim_cur.max(wanted.min(hard)), rlim_max: hard };
        // SAFETY: the pointer is to a limit that the call reads.
        if unsafe { libc::setrlimit(resource, &raw const raised) } == 0 {
            return Ok(raised.rlim_cur);
        }
    }
    Ok(limit.rlim_cur)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: KernelVersion = KernelVersion { major: 6, minor: 1 };

    fn good() -> Facts {
        Facts {
            kernel: Some(NEW),
            disabled: Some(0),
            trial: Ok(Abilities { wait_timeout: true, multishot: true, missing: Vec::new() }),
            memlock_bytes: 8 << 20,
        }
    }

    fn kernel(major: u32, minor: u32) -> Option<KernelVersion> {
        Some(KernelVersion { major, minor })
    }

    #[test]
    fn this_machine_passes() {
        assert!(probe(2).is_ok(), "{:?}", Facts::gather());
    }

    #[test]
    fn the_mode_follows_the_trial() {
        assert_eq!(judge(&good(), 2), Ok(IoMode::Multishot));
        let trial = Ok(Abilities { wait_timeout: true, multishot: false, missing: Vec::new() });
        assert_eq!(judge(&Facts { kernel: kernel(5, 15), trial, ..good() }, 2), Ok(IoMode::Plain));
    }

    #[test]
    fn every_cause_is_named_with_its_fix() {
        let abilities = |wait_timeout, missing| Ok(Abilities { wait_timeout, multishot: false, missing });
        let cases = [
            (
                Facts { trial: Err(libc::ENOSYS), kernel: kernel(4, 19), ..good() },
                ["Linux 4.19", "newer kernel"],
            ),
            (
                Facts { trial: abilities(false, vec![]), kernel: kernel(5, 10), ..good() },
                ["Linux 5.10", "Linux 5.11"],
            ),
            (
                Facts { trial: Err(libc::EPERM), disabled: Some(2), ..good() },
                ["io_uring_disabled = 2", "sysctl -w"],
            ),
            (Facts { trial: Err(libc::EPERM), disabled: None, ..good() }, ["EPERM", "seccomp"]),
            (Facts { trial: Err(libc::EPERM), ..good() }, ["EPERM", "--security-opt"]),
            (Facts { trial: Err(libc::ENOSYS), ..good() }, ["ENOSYS", "seccomp"]),
            (Facts { trial: Err(libc::ENOSYS), kernel: None, ..good() }, ["ENOSYS", "seccomp"]),
            (
                Facts { trial: Err(libc::ENOMEM), kernel: kernel(5, 11), ..good() },
                ["1048576 are needed", "ulimit -l 1024"],
            ),
            (Facts { memlock_bytes: 65536, ..good() }, ["65536 bytes", "memlock=524288:524288"]),
            (
                Facts { trial: abilities(true, vec!["STATX", "OPENAT"]), ..good() },
                ["STATX, OPENAT", "Sandboxes"],
            ),
            (Facts { trial: Err(libc::EMFILE), ..good() }, ["cannot be used", "open files"]),
        ];
        for (facts, parts) in cases {
            let message = judge(&facts, 2).unwrap_err().to_string();
            assert!(parts.iter().all(|part| message.contains(part)), "{facts:?}: {message}");
            assert!(!message.contains('\n'));
        }
    }

    #[test]
    fn old_kernels_charge_every_ring_to_the_limit() {
        let facts = Facts { kernel: kernel(5, 11), memlock_bytes: 1 << 20, ..good() };
        assert!(judge(&facts, 2).is_ok());
        assert!(judge(&facts, 3).is_err());
        assert!(judge(&Facts { kernel: Some(NEW), ..facts }, 3).is_ok());
    }

    #[test]
    fn releases_parse() {
        assert_eq!(KernelVersion::parse("6.1.0-13-amd64"), kernel(6, 1));
        assert_eq!(KernelVersion::parse("5.15.167.4-microsoft-standard-WSL2"), kernel(5, 15));
        assert_eq!(KernelVersion::parse("6.18\n"), kernel(6, 18));
        assert_eq!(KernelVersion::parse("unknown"), None);
        assert!(kernel(5, 9) < kernel(5, 11) && kernel(5, 19) < kernel(6, 0));
    }
}
