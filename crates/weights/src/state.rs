//! Named tensors as a file holds them, before anyone knows which network they are.

use esrgan_core::Notice;

use crate::stored::StoredTensor;

/// What a file calls, beside its tensors, what convolutions saw beyond the edge in training, and the one value of it that is not usual.
pub(crate) const EDGE: &str = "edge";
pub(crate) const REPLICATE: &str = "replicate";

/// Named tensors as a file holds them, in its order.
#[derive(Debug, Default)]
pub(crate) struct StateDict {
    /// Keys as the file has them, each once.
    pub(crate) tensors: Vec<(String, StoredTensor)>,
    /// What the user should know about the reading.
    pub(crate) notices: Vec<Notice>,
    /// The scale that the file names beside its tensors.
    pub(crate) declared_scale: Option<usize>,
    /// Whether it says beside them that the network was trained with its edge repeated.
    pub(crate) repeats_edge: bool,
}

/// Prefixes that frameworks put before a generator's keys, the more wanted first.
const PREFIXES: [&str; 5] = ["generator_ema.", "generator.", "netG.", "net_g.", "module."];
/// Prefixes within each other at most.
const MAX_PREFIXES: usize = 4;

impl StateDict {
    /// Takes prefixes such as `module.` off the keys. Where only some keys have one, the others belong to another
    /// network, such as the discriminator, and are left out.
    pub(crate) fn without_prefixes(mut self) -> Self {
        for _ in 0..MAX_PREFIXES {
            let has = |prefix: &str| self.tensors.iter().any(|(key, _)| key.starts_with(prefix));
            let is_lightning = ["model.conv_first.weight", "model.model.0.weight", "model.body.0.weight"]
                .iter()
                .any(|wanted| self.tensors.iter().any(|(key, _)| key == wanted));
            let prefix = PREFIXES.into_iter().find(|prefix| has(prefix)).or(is_lightning.then_some("model."));
            let Some(prefix) = prefix else { break };
            let before = self.tensors.len();
            self.tensors = self
                .tensors
                .into_iter()
                .filter_map(|(key, tensor)| Some((key.strip_prefix(prefix)?.to_owned(), tensor)))
                .collect();
            if self.tensors.len() < before {
                let left_out = before - self.tensors.len();
                self.notices.push(Notice::new(format!(
                    "tensors left out because their keys lack the prefix `{prefix}`: {left_out}"
                )));
            }
        }
        self
    }
}
