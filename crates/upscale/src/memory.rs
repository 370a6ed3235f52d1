//! How much memory a run may take.

/// Share of the available memory that a run takes at most unless told otherwise: the rest is for everything else.
const DEFAULT_SHARE: f64 = 0.8;

/// The program itself, its stacks and buffers. Measured with a 32x32 picture and a tiny model on Linux x86-64, 2026-11.
pub(crate) const PROCESS_BYTES: u64 = 10 << 20;

/// Memory that a run may take where none is named: four fifths of what the system says is available, within the limit of the
/// control group; no limit where the system does not say.
pub fn default_budget_bytes() -> u64 {
    match esrgan_core::available_memory_bytes() {
        Some(bytes) => (bytes as f64 * DEFAULT_SHARE) as u64,
        None => u64::MAX,
    }
}
