//! How much of a file from a stranger is believed.

/// How much a file may declare before it is refused. The defaults are finite and above every published model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file; 4 GiB.
    pub max_file_bytes: u64,
    /// Bytes of all tensors of a file, as materialised; 2 GiB. A small file may declare less still: no more than
    /// four times its own size and 16 MiB.
    pub max_total_bytes: u64,
    /// Tensors of a file; 20,000.
    pub max_tensors: usize,
    /// Bytes of a file's index: a safetensors header, an ncnn `.param`, the pickle of a `.pth`; 10 MB.
    pub max_header_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_file_bytes: 4 << 30,
            max_total_bytes: 2 << 30,
            max_tensors: 20_000,
            max_header_bytes: 10_000_000,
        }
    }
}

impl Limits {
    /// Bytes that the tensors of a file may take together.
    ///
    /// Views that repeat elements (stride 0) would let a tiny file ask for any amount of memory.
    pub(crate) fn max_total_bytes_for(&self, file_bytes: u64) -> u64 {
        self.max_total_bytes.min(file_bytes.saturating_mul(4).saturating_add(16 << 20))
    }
}
