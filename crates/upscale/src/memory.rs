//! How much memory there is.

/// Share of the available memory that a run takes at most unless told otherwise: the rest is for everything else.
const DEFAULT_SHARE: f64 = 0.8;

/// The program itself, its stacks and buffers. Measured with a 32x32 picture and a tiny model on Linux x86-64, 2026-11.
pub(crate) const PROCESS_BYTES: u64 = 10 << 20;

/// Memory that a run may take where none is named: four fifths of what the system says is available, within the limit of the
/// control group; no limit where the system does not say.
pub fn default_budget_bytes() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let available = available_bytes(&read("/proc/meminfo"));
    let group_limit = read("/sys/fs/cgroup/memory.max").trim().parse::<u64>().ok();
    match [available, group_limit].into_iter().flatten().min() {
        Some(bytes) => (bytes as f64 * DEFAULT_SHARE) as u64,
        None => u64::MAX,
    }
}

/// `MemAvailable` of Linux's `/proc/meminfo`, in bytes.
fn available_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read() {
        assert_eq!(available_bytes("MemTotal: 9 kB\nMemAvailable:   24101180 kB\n"), Some(24_101_180 * 1024));
        assert_eq!(available_bytes("MemTotal: 9 kB\n"), None);
        assert_eq!(available_bytes("MemAvailable: lots\n"), None);
    }
}
