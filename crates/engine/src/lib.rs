//! CPU inference: what a run will take (plan), how rows flow through the network (schedule), and the threads that
//! compute them.
//!
//! What lives here: networks from checked models, exact runs in bounded memory, tiles as the fallback, for other engines too. What does not:
//! files, pictures' encodings, flags; instructions (those are in `esrgan-kernels`). `docs/architecture.md` draws the flow.

mod convolve;
mod convolve_rows;
mod edge;
mod engine;
mod error;
mod exact;
mod execute;
mod graph;
mod network;
mod output_rows;
mod packing;
mod picture;
mod plan;
mod rows;
mod schedule;
mod tiles;

pub use edge::Edge;
pub use engine::Engine;
pub use error::EngineError;
pub use esrgan_kernels::{Isa, UnknownIsaError};
pub use execute::{Progress, RowSink};
pub use network::{Network, Precision};
pub use plan::{Plan, RunOptions, TilePolicy};
pub use tiles::{EnlargeTiles, LARGEST_TILE_DEVIATION_LEVELS, TileRows, Tiling, smaller_tile, tile_sides};
