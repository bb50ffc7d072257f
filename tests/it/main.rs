//! Integration tests, in one binary.

mod bad_input;
mod corruption;
mod crash;
mod life;
mod model;
mod recall;
