//! Memory of the machine and of this process, as Linux says it. Elsewhere nothing is known.

/// Memory that can be taken without paging, within the limit of the control group; none where the system does not say.
pub fn available_memory_bytes() -> Option<u64> {
    [bytes_of("MemAvailable:", &read("/proc/meminfo")), group_limit_bytes()].into_iter().flatten().min()
}

/// All memory of the machine, or what the control group may take of it; none where the system does not say.
pub fn machine_memory_bytes() -> Option<u64> {
    [bytes_of("MemTotal:", &read("/proc/meminfo")), group_limit_bytes()].into_iter().flatten().min()
}

/// The most memory that this process has held since its beginning, or since [`forget_peak_memory`]; none where the system does not
/// say.
pub fn peak_memory_bytes() -> Option<u64> {
    bytes_of("VmHWM:", &read("/proc/self/status"))
}

/// Lets the peak begin anew at what is held now.
pub fn forget_peak_memory() {
    // proc(5): 5 resets the peak of the resident set. Where it is refused, what was held before counts too.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn group_limit_bytes() -> Option<u64> {
    read("/sys/fs/cgroup/memory.max").trim().parse().ok()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// A line of one of the kernel's tables, in bytes.
fn bytes_of(name: &str, table: &str) -> Option<u64> {
    let line = table.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        let meminfo = "MemTotal: 9 kB\nMemAvailable:   24101180 kB\n";
        assert_eq!(bytes_of("MemAvailable:", meminfo), Some(24_101_180 * 1024));
        assert_eq!(bytes_of("MemTotal:", meminfo), Some(9 * 1024));
        assert_eq!(bytes_of("MemAvailable:", "MemTotal: 9 kB\n"), None);
        assert_eq!(bytes_of("MemAvailable:", "MemAvailable: lots\n"), None);
        assert_eq!(bytes_of("VmHWM:", "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"), Some(2 << 20));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_peak_is_seen_and_forgotten() {
        const BYTES: usize = 256 << 20;
        let held = vec![1_u8; BYTES];
        let peak = peak_memory_bytes().unwrap();
        assert!(peak > BYTES as u64 && held.iter().all(|byte| *byte == 1), "{peak}");
        drop(held);
        forget_peak_memory();
        let later = peak_memory_bytes().unwrap();
        assert!(later < peak, "{later} after {peak}");
        assert!(machine_memory_bytes().unwrap() >= available_memory_bytes().unwrap());
    }
}
