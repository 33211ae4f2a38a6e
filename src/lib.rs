//! libkw tells a program what changed in a file tree.

pub mod kernel;
pub mod tree;
