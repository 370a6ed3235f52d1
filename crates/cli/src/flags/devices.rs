//! Flags of `devices`.

use clap::Args;

/// Flags of `devices`.
#[derive(Args, Debug)]
pub(crate) struct DevicesFlags {
    /// One JSON object a line on stdout for each device
    #[arg(long)]
    pub(crate) json: bool,
}
