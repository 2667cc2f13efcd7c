//! How much of the machine is ours: the CPUs allowed to us, the cgroup's CPU quota and its memory limit.
//!
//! Both cgroup versions are read, for a process inside a container (where the cgroup's own directory is mounted as
//! the root) and outside. What does not live here: what to make of the memory limit, which the server says in its log.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What this process may use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    /// The CPUs in the affinity mask, ascending; never empty.
    pub allowed_cpus: Vec<usize>,
    /// CPU time allowed per time, in CPUs; `None` without a quota.
    pub quota_cpus: Option<f64>,
    /// The cgroup's memory limit in bytes; `None` without one.
    pub memory_limit_bytes: Option<u64>,
}

impl Machine {
    /// Looks at the machine. What cannot be read counts as no limit.
    pub fn detect() -> Self {
        let (quota_cpus, memory_limit_bytes) = cgroup_limits(Path::new("/"));
        let allowed_cpus = allowed_cpus().unwrap_or_else(|_| {
            let count = std::thread::available_parallelism().map_or(1, usize::from);
            (0..count).collect()
        });
        Self { allowed_cpus, quota_cpus, memory_limit_bytes }
    }

    /// One shard for each CPU that we may keep busy: the mask, bounded by the quota rounded up.
    pub fn default_shards(&self) -> usize {
        let quota = self.quota_cpus.map_or(usize::MAX, |cpus| cpus.ceil() as usize);
        self.allowed_cpus.len().min(quota).max(1)
    }

    /// Whether executors may be pinned to CPUs: not when the quota cuts the mask. A throttled process that
    /// is also tied to its CPUs cannot go where there is time left.
    pub fn may_pin(&self) -> bool {
        self.quota_cpus.is_none_or(|cpus| cpus.ceil() as usize >= self.allowed_cpus.len())
    }
}

/// The calling thread's affinity mask, ascending.
pub fn allowed_cpus() -> io::Result<Vec<usize>> {
    // Longer than `cpu_set_t`, for machines with more than 1024 CPUs.
    let mut mask = [0u64; 128];
    // SAFETY: the pointer and length are those of the array, which is writable.
    let result = unsafe { libc::sched_getaffinity(0, size_of_val(&mask), mask.as_mut_ptr().cast()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(cpus_of_mask(&mask))
}

fn cpus_of_mask(mask: &[u64]) -> Vec<usize> {
    (0..mask.len() * 64).filter(|cpu| mask[cpu / 64] >> (cpu % 64) & 1 == 1).collect()
}

/// The CPU quota and the memory limit below a root directory (`/`, but for tests): the tightest of this process's
/// cgroup and those above it.
fn cgroup_limits(root: &Path) -> (Option<f64>, Option<u64>) {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let (membership, mounts) = (read("proc/self/cgroup"), read("proc/self/mountinfo"));
    let mut quota_cpus: Option<f64> = None;
    let mut memory: Option<u64> = None;
    for directory in cgroup_directories(&membership, &mounts) {
        let directory = root.join(directory.strip_prefix("/").unwrap_or(&directory));
        let read = |file: &str| fs::read_to_string(directory.join(file)).ok();
        let version_1 = || quota_of_version_1(&read("cpu.cfs_quota_us")?, &read("cpu.cfs_period_us")?);
        if let Some(found) = read("cpu.max").and_then(|text| quota_of_version_2(&text)).or_else(version_1) {
            quota_cpus = Some(quota_cpus.map_or(found, |tightest| tightest.min(found)));
        }
        let limit = read("memory.max").or_else(|| read("memory.limit_in_bytes"));
        if let Some(found) = limit.and_then(|text| memory_limit(&text)) {
            memory = Some(memory.map_or(found, |tightest| tightest.min(found)));
        }
    }
    (quota_cpus, memory)
}

/// The directories whose limits hold for this process, by `/proc/self/cgroup` and `/proc/self/mountinfo`
/// (`cgroups(7)`, `proc_pid_mountinfo(5)`).
fn cgroup_directories(membership: &str, mounts: &str) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    for line in membership.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let wanted: Vec<&str> =
            controllers.split(',').filter(|name| ["cpu", "memory"].contains(name)).collect();
        if !controllers.is_empty() && wanted.is_empty() {
            continue;
        }
        let found = mounts.lines().filter_map(Mount::parse).find(|mount| {
            if controllers.is_empty() {
                mount.kind == "cgroup2"
            } else {
                mount.kind == "cgroup"
                    && wanted.iter().all(|name| mount.options.split(',').any(|o| o == *name))
            }
        });
        let Some(mount) = found else { continue };
        // A container sees its own cgroup mounted as the root, and may see the host's path of it.
        let below = Path::new(path).strip_prefix(mount.root).unwrap_or(Path::new(""));
        let escapes = below.components().any(|part| part.as_os_str() == "..");
        let leaf = if escapes { PathBuf::from(mount.point) } else { Path::new(mount.point).join(below) };
        directories.extend(leaf.ancestors().take_while(|up| up.starts_with(mount.point)).map(PathBuf::from));
    }
    directories
}

struct Mount<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (front, back) = line.split_once(" - ")?;
        let mut front = front.split(' ').skip(3);
        let mut back = back.split(' ');
        let (root, point) = (front.next()?, front.next()?);
        let (kind, options) = (back.next()?, back.nth(1)?);
        Some(Self { root: if root == "/" { "/" } else { root.trim_end_matches('/') }, point, kind, options })
    }
}

/// `cpu.max`: quota and period in microseconds, or `max`.
fn quota_of_version_2(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    quota_of_version_1(quota, period)
}

/// `cpu.cfs_quota_us` (-1: none) and `cpu.cfs_period_us`.
fn quota_of_version_1(quota: &str, period: &str) -> Option<f64> {
    let quota: i64 = quota.trim().parse().ok()?;
    let period: i64 = period.trim().parse().ok()?;
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

/// `memory.max` (`max`: none) or `memory.limit_in_bytes` (beyond any memory: none).
fn memory_limit(text: &str) -> Option<u64> {
    let limit: u64 = text.trim().parse().ok()?;
    (limit < 1 << 60).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(cpus: usize, quota_cpus: Option<f64>) -> Machine {
        Machine { allowed_cpus: (0..cpus).collect(), quota_cpus, memory_limit_bytes: None }
    }

    /// A root directory with these files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn shards_follow_mask_and_quota() {
        let cases = [
            (4, None, 4, true),
            (4, Some(1.5), 2, false),
            (4, Some(0.1), 1, false),
            (4, Some(3.2), 4, true),
            (4, Some(8.0), 4, true),
            (1, Some(0.5), 1, true),
        ];
        for (cpus, quota, shards, pin) in cases {
            let machine = machine(cpus, quota);
            assert_eq!((machine.default_shards(), machine.may_pin()), (shards, pin), "{cpus} {quota:?}");
        }
    }

    #[test]
    fn this_machine_has_a_cpu() {
        let machine = Machine::detect();
        assert!(!machine.allowed_cpus.is_empty() && machine.default_shards() >= 1);
        assert_eq!(cpus_of_mask(&[0b1010, 1]), [1, 3, 64]);
    }

    #[test]
    fn limits_parse() {
        assert_eq!(quota_of_version_2("150000 100000\n"), Some(1.5));
        assert_eq!(quota_of_version_2("max 100000\n"), None);
        assert_eq!(quota_of_version_1("-1\n", "100000\n"), None);
        assert_eq!(quota_of_version_1("50000\n", "100000\n"), Some(0.5));
        assert_eq!(quota_of_version_1("50000\n", "0\n"), None);
        assert_eq!(memory_limit("536870912\n"), Some(512 << 20));
        assert_eq!(memory_limit("max\n"), None);
        assert_eq!(memory_limit("9223372036854771712\n"), None);
        assert_eq!(memory_limit("nonsense"), None);
    }

    #[test]
    fn version_2_takes_the_tightest_on_the_way_up() {
        let root = root(&[
            ("proc/self/cgroup", "0::/system.slice/skerry.service\n"),
            (
                "proc/self/mountinfo",
                "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
            ),
            ("sys/fs/cgroup/system.slice/cpu.max", "200000 100000\n"),
            ("sys/fs/cgroup/system.slice/memory.max", "max\n"),
            ("sys/fs/cgroup/system.slice/skerry.service/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/system.slice/skerry.service/memory.max", "1073741824\n"),
        ]);
        assert_eq!(cgroup_limits(root.path()), (Some(2.0), Some(1 << 30)));
    }

    #[test]
    fn version_2_in_a_container_with_a_namespace() {
        let root = root(&[
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", "600 590 0:30 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n"),
            ("sys/fs/cgroup/cpu.max", "50000 100000\n"),
            ("sys/fs/cgroup/memory.max", "268435456\n"),
        ]);
        assert_eq!(cgroup_limits(root.path()), (Some(0.5), Some(256 << 20)));
    }

    #[test]
    fn version_1_in_a_container_that_sees_the_hosts_path() {
        let membership =
            "4:memory:/docker/abc\n3:cpuset:/docker/abc\n1:cpu,cpuacct:/docker/abc\n0::/docker/abc\n";
        let mounts = "\
            601 590 0:28 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n\
            602 590 0:29 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n\
            603 590 0:30 /docker/abc /sys/fs/cgroup/cpuset ro - cgroup cgroup rw,cpuset\n";
        let root = root(&[
            ("proc/self/cgroup", membership),
            ("proc/self/mountinfo", mounts),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "250000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728\n"),
        ]);
        assert_eq!(cgroup_limits(root.path()), (Some(2.5), Some(128 << 20)));
    }

    #[test]
    fn no_cgroup_means_no_limit() {
        assert_eq!(cgroup_limits(root(&[]).path()), (None, None));
        let strange = root(&[
            ("proc/self/cgroup", "0::/../../other\nrubbish\n"),
            ("proc/self/mountinfo", "35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\nrubbish\n"),
        ]);
        assert_eq!(cgroup_limits(strange.path()), (None, None));
    }
}
