//! Benchmarks: kernels, search, encode.
