//! The oracle: folds events over a tree, and fails on one that does not apply.
//!
//! It is as simple as it can be, shares no code with the engine, and is what
//! every test of the promise compares with the tree on disk.

use super::event::{flag, kind, Event};
use std::collections::BTreeMap;

/// What the oracle knows of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Node {
    /// A directory, a symbolic link, or neither: the event's flags.
    pub flags: u32,
    /// Inode number.
    pub inode: u64,
    /// Size in bytes; 0 for directories, whose size is not followed.
    pub size: u64,
    /// Modification time; 0 for directories, whose time is not followed.
    pub mtime_ns: i64,
}

/// A tree as a sorted map from path to entry. The root is the empty path.
pub type Replayed = BTreeMap<Vec<u8>, Node>;

/// Applies one event, or says why it cannot be applied.
pub fn replay(tree: &mut Replayed, event: &Event<'_>) -> Result<(), String> {
    let fail = |why: &str| {
        let dest = event.dest.map(String::from_utf8_lossy);
        let path = String::from_utf8_lossy(event.path);
        Err(format!(
            "event {}: {path:?} (dest {dest:?}), kind {:#x}: {why}",
            event.sequence, event.kind
        ))
    };
    let path = event.path[event.root_len.min(event.path.len())..].to_vec();
    let is_dir = event.flags & flag::IS_DIR != 0;
    let node = Node {
        flags: event.flags & (flag::IS_DIR | flag::IS_SYMLINK),
        inode: event.id.ino,
        size: if is_dir { 0 } else { event.size },
        mtime_ns: if is_dir { 0 } else { event.mtime_ns },
    };
    let has_parent = |tree: &Replayed, path: &[u8]| {
        let cut = path.iter().rposition(|&b| b == b'/').unwrap_or(0);
        let parent = tree.get(&path[..cut]);
        parent.is_some_and(|n| n.flags & flag::IS_DIR != 0)
    };
    let below = |path: &[u8]| {
        let mut prefix = path.to_vec();
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        prefix
    };
    let has_children = |tree: &Replayed, path: &[u8]| {
        let prefix = below(path);
        tree.range(prefix.clone()..)
            .find(|(p, _)| !p.is_empty())
            .is_some_and(|(p, _)| p.starts_with(&prefix))
    };
    match event.kind {
        kind::CREATED => {
            if path.is_empty() || tree.contains_key(&path) {
                return fail("created, but it exists");
            }
            if !has_parent(tree, &path) {
                return fail("created in a directory that does not exist");
            }
            tree.insert(path, node);
        }
        kind::DELETED => {
            match tree.get(&path) {
                None => return fail("deleted, but it does not exist"),
                Some(n) if n.flags != node.flags => return fail("deleted as another kind"),
                Some(_) => {}
            }
            if path.is_empty() || has_children(tree, &path) {
                return fail("deleted, but it is not empty");
            }
            tree.remove(&path);
        }
        kind::MODIFIED | kind::ATTRIB => match tree.get_mut(&path) {
            None => return fail("changed, but it does not exist"),
            Some(n) if n.flags != node.flags && event.flags & flag::REPLACED == 0 => {
                return fail("changed as another kind")
            }
            Some(n) if n.inode != node.inode && event.flags & flag::REPLACED == 0 => {
                return fail("changed as another inode")
            }
            Some(n) => *n = node,
        },
        kind::MOVED if event.flags & flag::EXPANDED != 0 => {
            // It has moved with a directory above it.
            let dest = event.dest.unwrap_or_default();
            let dest = &dest[event.root_len.min(dest.len())..];
            if tree.contains_key(&path) || tree.get(dest).is_none_or(|n| n.flags != node.flags) {
                return fail("moved with a directory, but did not");
            }
        }
        kind::MOVED => {
            let Some(dest) = event.dest else {
                return fail("moved nowhere");
            };
            let dest = dest[event.root_len.min(dest.len())..].to_vec();
            if !tree.contains_key(&path) {
                return fail("moved, but it does not exist");
            }
            if tree.contains_key(&dest) {
                return fail("moved onto a name that is taken");
            }
            if dest.starts_with(&below(&path)) || !has_parent(tree, &dest) {
                return fail("moved into a directory that does not exist");
            }
            let prefix = below(&path);
            let inside: Vec<_> = tree
                .range(prefix.clone()..)
                .map(|(p, _)| p.clone())
                .take_while(|p| p.starts_with(&prefix))
                .collect();
            for old in inside {
                if let Some(n) = tree.remove(&old) {
                    let mut new = below(&dest);
                    new.extend_from_slice(&old[prefix.len()..]);
                    tree.insert(new, n);
                }
            }
            if let Some(n) = tree.remove(&path) {
                // A move changes no content: what changed besides is an event of its own.
                tree.insert(dest, n);
            }
        }
        kind::ROOT_GONE => {
            if has_children(tree, &path) {
                return fail("the root went, but it is not empty");
            }
            if tree.remove(&path).is_none() {
                return fail("the root went twice");
            }
        }
        kind::ROOT_BACK if tree.contains_key(&path) => {
            return fail("the root came back, but it was there");
        }
        kind::ROOT_BACK => {
            tree.insert(path, node);
        }
        _ => {}
    }
    Ok(())
}
