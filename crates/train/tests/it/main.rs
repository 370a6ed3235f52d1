//! Training against PyTorch, and bf16 against `f32`.

mod bf16;
mod goldens;
mod unet;
