//! libkw tells a program what changed in a file tree.
#![doc = include_str!("../docs/promise.md")]

mod collections;
pub mod engine;
pub mod ffi;
pub mod kernel;
pub mod tree;
pub mod watcher;
