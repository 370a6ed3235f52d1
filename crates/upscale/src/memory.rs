//! How much memory there is.

/// Share of the available memory that a run takes at most unless told otherwise: the rest is for everything else.
const DEFAULT_SHARE: f64 = 0.8;

/// The program itself, its stacks and buffers. Measured with a 32x32 picture and a tiny model on Linux x86-64, 2026-11.
pub(crate) const PROCESS_BYTES: u64 = 10 << 20;

/// Memory that a run may take where none is named: four fifths of what the system says is available, within the limit of the
/// control group; no limit where the system does not say.
pub fn default_budget_bytes() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let available = bytes_of("MemAvailable:", &read("/proc/meminfo"));
    match [available, group_limit_bytes()].into_iter().flatten().min() {
        Some(bytes) => (bytes as f64 * DEFAULT_SHARE) as u64,
        None => u64::MAX,
    }
}

/// All memory of the machine, or what the control group may take of it; none where the system does not say.
pub fn machine_memory_bytes() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    [bytes_of("MemTotal:", &meminfo), group_limit_bytes()].into_iter().flatten().min()
}

fn group_limit_bytes() -> Option<u64> {
    std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok()?.trim().parse().ok()
}

/// A line of Linux's `/proc/meminfo`, in bytes.
fn bytes_of(name: &str, meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read() {
        let meminfo = "MemTotal: 9 kB\nMemAvailable:   24101180 kB\n";
        assert_eq!(bytes_of("MemAvailable:", meminfo), Some(24_101_180 * 1024));
        assert_eq!(bytes_of("MemTotal:", meminfo), Some(9 * 1024));
        assert_eq!(bytes_of("MemAvailable:", "MemTotal: 9 kB\n"), None);
        assert_eq!(bytes_of("MemAvailable:", "MemAvailable: lots\n"), None);
    }
}
