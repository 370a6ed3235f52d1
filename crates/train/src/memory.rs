//! The memory that this process has held at its peak, as Linux says it.

/// The most memory that this process has held since its beginning, or since [`forget_peak`]; none where the system does not say.
pub(crate) fn peak_bytes() -> Option<u64> {
    peak_in(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// Lets the peak begin anew at what is held now.
pub(crate) fn forget_peak() {
    // proc(5): 5 resets the peak of the resident set. Where it is refused, what was held before counts too.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// `VmHWM` of `/proc/self/status`, in bytes.
fn peak_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read() {
        assert_eq!(peak_in("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"), Some(2 << 20));
        assert_eq!(peak_in("VmRSS:\t 1 kB\n"), None);
        assert_eq!(peak_in("VmHWM:\t lots\n"), None);
    }
}
