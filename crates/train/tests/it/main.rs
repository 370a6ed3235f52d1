//! Training against PyTorch.

mod goldens;
mod unet;
