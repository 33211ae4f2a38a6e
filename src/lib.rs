//! libkw tells a program what changed in a file tree.

pub mod engine;
pub mod kernel;
pub mod tree;
