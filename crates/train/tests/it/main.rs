//! Training against PyTorch.

mod goldens;
