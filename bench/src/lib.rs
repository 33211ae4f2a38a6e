//! The harness that measures libkw beside other file watchers, and beside the *floor*: a
//! C program that makes only the system calls that no watcher can do without.
//!
//! Every contender is a process of its own that is told by one protocol what to do
//! ([`contenders`]); what each measurement does to the tree is in [`measure`]. In every
//! round all contenders have their turn, and what is compared is their ratio to the floor
//! *in that round*: so what else the machine does meanwhile falls on all alike.

pub mod charts;
pub mod clock;
pub mod contenders;
pub mod lines;
pub mod machine;
pub mod measure;
pub mod process;
pub mod report;
pub mod results;
pub mod tally;
pub mod trees;
pub mod watchman;
