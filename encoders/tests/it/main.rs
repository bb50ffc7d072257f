//! Encoders opened from folders: tiny ones kept here, and the real model where there is one.

mod folders;
mod minilm;
mod support;
