//! All SIMD: convolutions and their packing, behind safe entry points.
