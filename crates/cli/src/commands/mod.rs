//! What the commands do: flags into the facade's terms, results into lines.

pub(crate) mod bench;
pub(crate) mod degrade;
pub(crate) mod docs;
pub(crate) mod models;
mod suite;
pub(crate) mod upscale;

use esrgan_upscale::Isa;

/// The instruction set that the environment asks for, for tests and comparisons.
fn isa_from_environment() -> anyhow::Result<Option<Isa>> {
    match std::env::var("ESRGAN_ISA") {
        Ok(name) if !name.is_empty() => {
            Ok(Some(name.parse().map_err(|error| anyhow::anyhow!("ESRGAN_ISA: {error}"))?))
        }
        _ => Ok(None),
    }
}
