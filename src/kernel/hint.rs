//! What a kernel's own words mean to the engine: the bits of `EVFILT_VNODE` and
//! of inotify, as [`What`]. Without any system's headers, because the simulation
//! speaks both.

use super::What;

/// `EVFILT_VNODE`. These numbers are the same on every system that has it;
/// those above 0x40 are not.
pub mod vnode {
    use super::What;

    /// `NOTE_DELETE`.
    pub const DELETE: u32 = 0x01;
    /// `NOTE_WRITE`.
    pub const WRITE: u32 = 0x02;
    /// `NOTE_EXTEND`.
    pub const EXTEND: u32 = 0x04;
    /// `NOTE_ATTRIB`.
    pub const ATTRIB: u32 = 0x08;
    /// `NOTE_LINK`.
    pub const LINK: u32 = 0x10;
    /// `NOTE_RENAME`.
    pub const RENAME: u32 = 0x20;
    /// `NOTE_REVOKE`.
    pub const REVOKE: u32 = 0x40;

    /// What an ancestor of a root is watched for: that it goes elsewhere.
    pub const SELF: u32 = DELETE | RENAME | REVOKE;
    /// What an entry of a tree, or a root that is a file, is watched for.
    pub const TREE: u32 = SELF | WRITE | EXTEND | ATTRIB | LINK;
    /// What a directory is watched for in which something is to appear.
    pub const VIGIL: u32 = SELF | WRITE | EXTEND | LINK;

    /// What these bits say of a directory or of anything else. `truncate` is the
    /// bit by which a system tells of a truncation, if it has one.
    pub fn what(fflags: u32, truncate: u32, is_dir: bool) -> What {
        let bits = [
            (WRITE | EXTEND | truncate, What::WRITE),
            // Where there is no such bit, a truncation is told as any other change
            // of attributes; and everywhere, if it makes the file longer.
            (ATTRIB, What(What::ATTRIB.0 | What::RESIZE.0)),
            // Of a directory it says that a subdirectory came or went: some
            // kernels, some of the time. NOTE_WRITE says so always.
            (if is_dir { 0 } else { LINK }, What::ATTRIB),
            (DELETE, What::DELETE),
            (RENAME, What::RENAME),
            (REVOKE, What(What::REVOKE.0 | What::DELETE.0)),
        ];
        super::translate(fflags, &bits)
    }
}

/// inotify.
pub mod inotify {
    use super::What;

    /// `IN_MODIFY`.
    pub const MODIFY: u32 = 0x0000_0002;
    /// `IN_ATTRIB`.
    pub const ATTRIB: u32 = 0x0000_0004;
    /// `IN_CLOSE_WRITE`.
    pub const CLOSE_WRITE: u32 = 0x0000_0008;
    /// `IN_MOVED_FROM`.
    pub const MOVED_FROM: u32 = 0x0000_0040;
    /// `IN_MOVED_TO`.
    pub const MOVED_TO: u32 = 0x0000_0080;
    /// `IN_CREATE`.
    pub const CREATE: u32 = 0x0000_0100;
    /// `IN_DELETE`.
    pub const DELETE: u32 = 0x0000_0200;
    /// `IN_DELETE_SELF`.
    pub const DELETE_SELF: u32 = 0x0000_0400;
    /// `IN_MOVE_SELF`.
    pub const MOVE_SELF: u32 = 0x0000_0800;
    /// `IN_UNMOUNT`.
    pub const UNMOUNT: u32 = 0x0000_2000;
    /// `IN_Q_OVERFLOW`.
    pub const Q_OVERFLOW: u32 = 0x0000_4000;
    /// `IN_IGNORED`.
    pub const IGNORED: u32 = 0x0000_8000;
    /// `IN_ISDIR`.
    pub const ISDIR: u32 = 0x4000_0000;

    /// What anything is watched for that matters itself.
    pub const SELF: u32 = MOVE_SELF | DELETE_SELF;
    /// What a directory of a tree is watched for.
    pub const TREE: u32 = NAMES | MODIFY | CLOSE_WRITE | ATTRIB;
    /// What a root that is a file is watched for.
    pub const FILE: u32 = MODIFY | CLOSE_WRITE | ATTRIB | SELF;
    /// What a root's parent is watched for: names that come and go.
    pub const NAMES: u32 = CREATE | DELETE | MOVED_FROM | MOVED_TO | SELF;

    /// What an event's mask says.
    pub fn what(mask: u32) -> What {
        let bits = [
            (MODIFY, What::WRITE),
            (ATTRIB | CLOSE_WRITE, What::ATTRIB),
            (MOVE_SELF, What::RENAME),
            (DELETE_SELF, What::DELETE),
            (IGNORED, What(What::REVOKE.0 | What::DELETE.0)),
            (UNMOUNT, What(What::UNMOUNT.0 | What::REVOKE.0)),
            (CREATE | DELETE | MOVED_FROM | MOVED_TO, What::NAME),
        ];
        super::translate(mask, &bits)
    }
}

fn translate(word: u32, bits: &[(u32, What)]) -> What {
    let mut what = What::default();
    for &(bit, meaning) in bits {
        if word & bit != 0 {
            what |= meaning;
        }
    }
    what
}
