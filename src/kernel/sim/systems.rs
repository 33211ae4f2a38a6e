//! What each kernel tells of each deed, as tables.
//!
//! A row says which of those who watch get what. The kqueue rows are
//! `EVFILT_VNODE` bits, read from the kernels' sources (named beside them) or,
//! for NetBSD's tmpfs, ffs and ext2fs, recorded from a running kernel: the test
//! `tests/traces.rs` compares those tables with the recordings. The inotify rows
//! are `IN_` masks, measured on Linux 6.18 (ext4, tmpfs).
//!
//! Five rules hold for every kqueue, and are the queue's affair
//! ([`super::queue`]), not a table's: a hint is delivered whole if any bit of it
//! was asked for; bits are or-ed until they are fetched; every watch of the
//! inode is told, whatever the name; a rename tells nothing to what is below a
//! directory; a revoked watch is dead.

use super::files::Act;
use crate::kernel::hint::inotify::*;
use crate::kernel::hint::vnode;
use Act::*;
use Role::*;

const D: u32 = vnode::DELETE;
const W: u32 = vnode::WRITE;
const E: u32 = vnode::EXTEND;
const A: u32 = vnode::ATTRIB;
const L: u32 = vnode::LINK;
const N: u32 = vnode::RENAME;
/// `NOTE_TRUNCATE`, which OpenBSD alone has.
const T: u32 = 0x80;

/// Who is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The directory, before anything has changed.
    DirBefore,
    /// The directory; of a rename the one that is left.
    Dir,
    /// The directory that a rename leads into, if it is another one.
    Dest,
    /// What it was done to.
    Object,
    /// What was replaced, if it has no other name; or what was swapped with.
    Other,
    /// What was replaced, if it has another name.
    OtherKept,
}

/// Which acts, and what is posted to whom, in this order.
pub type Row = (&'static [Act], &'static [(Role, u32)]);

/// Where `fcntl` says that a descriptor's file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whereabouts {
    /// There is no such call.
    Never,
    /// The name by which it was last looked up, if that still leads to it.
    Cached,
}

/// A kernel, or one of its file systems where these differ.
#[derive(Debug)]
pub struct System {
    /// The names that a scenario may call it by, the most particular first.
    pub names: &'static [&'static str],
    /// Through inotify; else through kqueue.
    pub inotify: bool,
    /// What it tells.
    pub rows: &'static [Row],
    /// What holds where `rows` says nothing about an act.
    pub otherwise: &'static [Row],
    /// A symbolic link can be opened itself, and watched.
    pub links: bool,
    /// How a descriptor's path can be asked for.
    pub whereabouts: Whereabouts,
    /// `rename` between two names of one file removes the first.
    pub unlinks_links: bool,
    /// Volumes may be case-insensitive.
    pub folds: bool,
    /// Two names can be exchanged.
    pub swaps: bool,
    /// A directory may be told of a rename before it has happened.
    pub early: bool,
    /// Files have a time of birth.
    pub births: bool,
    /// The bit that tells of a truncation, where there is one.
    pub truncate: u32,
}

/// Rows of the acts on names that are the same on every kqueue: each system's
/// wrappers around its file systems' `create`, `mknod`, `symlink`, `mkdir`,
/// `rmdir`, `link` and `remove` post to the directory.
const COMMON: &[Row] = &[
    (&[Create], &[(Dir, W)]),
    (&[Mkdir], &[(Dir, W | L)]),
    (&[Rmdir], &[(Dir, W | L), (Object, D)]),
    (&[Link], &[(Dir, W), (Object, L)]),
    (&[UnlinkLast], &[(Dir, W), (Object, D)]),
    // Which of these a file's own watch gets is where systems differ.
    (&[UnlinkOne], &[(Dir, W), (Object, D)]),
    (&[Overwrite], &[(Object, W)]),
    (&[Grow], &[(Object, W | E)]),
    (&[Attrib], &[(Object, A)]),
];

/// xnu: `bsd/vfs/kpi_vfs.c`, for every file system.
pub static MACOS: System = System {
    names: &["macos", "kqueue"],
    inotify: false,
    rows: &[
        // VNOP_RMDIR, VNOP_REMOVE: the object gets its link count, too.
        (&[Rmdir], &[(Dir, W | L), (Object, D | L)]),
        (&[UnlinkLast, UnlinkOne], &[(Dir, W), (Object, D | L)]),
        // VNOP_WRITE, then ubc_setsize_ex by itself.
        (&[Grow], &[(Object, W), (Object, E)]),
        // VNOP_SETATTR, then ubc_setsize_ex.
        (&[Shrink, SameSize], &[(Object, A)]),
        (&[Extend], &[(Object, A), (Object, E)]),
        // post_rename: NOTE_LINK for a directory that changes parents and
        // replaces nothing, or within one parent when a directory was replaced.
        (&[RenameFile, RenameDir], &[(Dir, W), (Object, N)]),
        (
            &[RenameFileOver],
            &[(Dir, W), (Other, D), (OtherKept, D), (Object, N)],
        ),
        (&[RenameDirOver], &[(Dir, W | L), (Other, D), (Object, N)]),
        (&[MoveFile], &[(Dir, W), (Dest, W), (Object, N)]),
        (
            &[MoveFileOver],
            &[(Dir, W), (Dest, W), (Other, D), (OtherKept, D), (Object, N)],
        ),
        (&[MoveDir], &[(Dir, W | L), (Dest, W | L), (Object, N)]),
        (
            &[MoveDirOver],
            &[(Dir, W), (Dest, W), (Other, D), (Object, N)],
        ),
        // post_rename does not ask whether the target is the source
        // (hfs_vnop_rename, "simple case variant").
        (&[RenameCase], &[(Dir, W), (Object, D), (Object, N)]),
        // VNOP_RENAMEX: the second lives, and is told that it was deleted.
        (&[Swap], &[(Dir, W), (Dest, W), (Other, D), (Object, N)]),
        // VNOP_PAGEOUT, when the page is written.
        (&[Mmap], &[(Object, W)]),
        (&[Clone], &[(Object, W)]),
        // vfs_notify_mount, dounmount: the parent of the mount point.
        (&[Mount, Unmount], &[(Dir, W)]),
    ],
    otherwise: COMMON,
    links: true,                      // O_SYMLINK
    whereabouts: Whereabouts::Cached, // F_GETPATH
    unlinks_links: false,
    folds: true,
    swaps: true,
    early: false,
    births: true,
    truncate: 0,
};

/// FreeBSD: `sys/kern/vfs_subr.c`, for every file system.
const FREEBSD_ROWS: &[Row] = &[
    // vop_setattr_post.
    (&[Shrink, SameSize, Extend], &[(Object, A)]),
    // vop_rename_post: the directory twice if it is the same; NOTE_LINK if a
    // directory comes or goes.
    (&[RenameFile, RenameDir], &[(Dir, W), (Dir, W), (Object, N)]),
    (
        &[RenameFileOver],
        &[(Dir, W), (Dir, W), (Object, N), (Other, D), (OtherKept, D)],
    ),
    (
        &[RenameDirOver],
        &[(Dir, W | L), (Dir, W), (Object, N), (Other, D)],
    ),
    (&[MoveFile], &[(Dir, W | E), (Dest, W | E), (Object, N)]),
    (
        &[MoveFileOver],
        &[
            (Dir, W | E),
            (Dest, W | E),
            (Object, N),
            (Other, D),
            (OtherKept, D),
        ],
    ),
    (
        &[MoveDir],
        &[(Dir, W | E | L), (Dest, W | E | L), (Object, N)],
    ),
    (
        &[MoveDirOver],
        &[(Dir, W | E | L), (Dest, W | E), (Object, N), (Other, D)],
    ),
];

/// FreeBSD on UFS.
pub static FREEBSD: System = System {
    names: &["freebsd-ufs", "freebsd", "kqueue"],
    inotify: false,
    rows: &[
        (&[Mmap], &[(Object, W)]),      // At pageout.
        (&[Clone], &[(Object, W | E)]), // vn_generic_copy_file_range writes.
    ],
    otherwise: FREEBSD_ROWS,
    links: true,                      // O_PATH
    whereabouts: Whereabouts::Cached, // F_KINFO
    unlinks_links: false,
    folds: false,
    swaps: false,
    early: false,
    births: true,
    truncate: 0,
};

/// FreeBSD on ZFS, where a store through a mapping (`zfs_putpages`) and a cloned
/// block (`zfs_clone_range`) are told to nobody.
pub static FREEBSD_ZFS: System = System {
    names: &["freebsd-zfs", "freebsd", "kqueue"],
    rows: &[(&[Mmap, Clone], &[])],
    ..FREEBSD
};

/// NetBSD's `genfs_rename_knote`, as ffs uses it.
const NETBSD_RENAME: &[Row] = &[
    (&[RenameFile, RenameDir], &[(Dir, W), (Object, N)]),
    (
        &[RenameFileOver, RenameDirOver],
        &[(Dir, W), (Other, D), (OtherKept, L), (Object, N)],
    ),
    (&[MoveFile], &[(Dir, W), (Dest, W | E), (Object, N)]),
    (
        &[MoveFileOver],
        &[(Dir, W), (Dest, W), (Other, D), (OtherKept, L), (Object, N)],
    ),
    (&[MoveDir], &[(Dir, W | L), (Dest, W | E | L), (Object, N)]),
    (
        &[MoveDirOver],
        &[(Dir, W | L), (Dest, W), (Other, D), (Object, N)],
    ),
    // The first name goes: `rename` as an unlink.
    (&[RenameLinks], &[(Dir, W), (Object, L)]),
    (&[Shrink, SameSize, Extend], &[(Object, A)]),
];

/// NetBSD 7 to 9 on ffs: `sys/ufs/ufs/ufs_vnops.c`; recorded.
pub static NETBSD_FFS: System = System {
    names: &["netbsd-ffs", "netbsd", "kqueue"],
    inotify: false,
    // ufs_rmdir tells of what it then does not do.
    rows: &[(&[RmdirFailed], &[(Object, D)])],
    otherwise: NETBSD_RENAME,
    links: false,
    whereabouts: Whereabouts::Never,
    unlinks_links: true,
    folds: false,
    swaps: false,
    early: false,
    births: true,
    truncate: 0,
};

/// NetBSD 7 to 9 on ext2fs: `ext2fs_rename.c`; recorded.
pub static NETBSD_EXT2: System = System {
    names: &["netbsd-ext2fs", "netbsd", "kqueue"],
    rows: &[
        (&[RmdirFailed], &[(Object, D)]),
        // `..` is rewritten in the directory that moves.
        (
            &[MoveDir],
            &[(Dir, W | L), (Dest, W | E | L), (Object, W), (Object, N)],
        ),
        (
            &[MoveDirOver],
            &[
                (Dir, W | L),
                (Dest, W),
                (Other, D),
                (Object, W),
                (Object, N),
            ],
        ),
    ],
    births: false,
    ..NETBSD_FFS
};

/// NetBSD 7 to 9 on tmpfs: `sys/fs/tmpfs/tmpfs_subr.c`; recorded.
pub static NETBSD_TMPFS: System = System {
    names: &["netbsd-tmpfs", "netbsd", "kqueue"],
    rows: &[
        // tmpfs_reg_resize posts when a file grows, and only then.
        (&[Shrink, SameSize], &[]),
        (&[Extend], &[(Object, E)]),
        (&[Grow], &[(Object, W), (Object, E)]),
        (&[UnlinkOne], &[(Dir, W), (Object, L)]),
        // tmpfs_dir_detach: for a moment a file that changes directories has no
        // link, and is told that it was deleted; a directory still has its own.
        (
            &[MoveFile],
            &[(Dir, W), (Dest, W), (Object, D), (Object, N)],
        ),
        (
            &[MoveFileOver],
            &[
                (Dir, W),
                (Dest, W),
                (Object, D),
                (Other, D),
                (OtherKept, L),
                (Object, N),
            ],
        ),
        (&[RenameDirOver], &[(Dir, W | L), (Other, D), (Object, N)]),
        (
            &[MoveDir],
            &[(Dir, W | L), (Dest, W | L), (Object, L), (Object, N)],
        ),
        (
            &[MoveDirOver],
            &[
                (Dir, W | L),
                (Dest, W | L),
                (Other, D),
                (Object, L),
                (Object, N),
            ],
        ),
    ],
    ..NETBSD_FFS
};

/// NetBSD 10: the hooks moved to the common layer (`vnode_if.c`, `vfs_vnops.c`).
pub static NETBSD_10: System = System {
    names: &["netbsd-10", "netbsd", "kqueue"],
    rows: &[(&[UnlinkOne], &[(Dir, W), (Object, L)])],
    whereabouts: Whereabouts::Cached, // F_GETPATH
    ..NETBSD_FFS
};

/// OpenBSD on UFS: `sys/ufs/ufs/ufs_vnops.c`.
pub static OPENBSD: System = System {
    names: &["openbsd", "kqueue"],
    inotify: false,
    rows: &[
        // ufs_rmdir and ufs_remove post at `out:`, whether it was done or not.
        (&[RmdirFailed, UnlinkFailed], &[(Dir, W), (Object, D)]),
        // ufs_setattr: both in one hint.
        (&[Shrink], &[(Object, A | T)]),
        (&[SameSize, Extend], &[(Object, A)]),
        // ufs_rename: the source directory before ("XXX right place?"), the
        // destination after, the file last; NOTE_LINK for none.
        (
            &[RenameFile, RenameDir],
            &[(DirBefore, W), (Dir, W), (Object, N)],
        ),
        (
            &[RenameFileOver, RenameDirOver],
            &[
                (DirBefore, W),
                (Dir, W),
                (Other, D),
                (OtherKept, D),
                (Object, N),
            ],
        ),
        (
            &[MoveFile, MoveDir],
            &[(DirBefore, W), (Dest, W), (Object, N)],
        ),
        (
            &[MoveFileOver, MoveDirOver],
            &[
                (DirBefore, W),
                (Dest, W),
                (Other, D),
                (OtherKept, D),
                (Object, N),
            ],
        ),
        (&[RenameLinks], &[(Dir, W), (Object, D)]),
    ],
    otherwise: COMMON,
    links: false,
    whereabouts: Whereabouts::Never,
    unlinks_links: true,
    folds: false,
    swaps: false,
    early: true,
    births: true,
    truncate: T,
};

/// DragonFly on HAMMER2: `sys/vfs/hammer2/hammer2_vnops.c`.
pub static DRAGONFLY: System = System {
    names: &["dragonfly-hammer2", "dragonfly", "kqueue"],
    inotify: false,
    rows: &[
        // hammer2_inode_unlink_finisher: only the last link's going is told.
        (&[UnlinkOne], &[(Dir, W)]),
        (&[Shrink, SameSize], &[(Object, W)]),
        (&[Extend], &[(Object, W | E)]),
        (&[RenameFile, RenameDir], &[(Dir, W), (Object, N)]),
        (
            &[RenameFileOver, RenameDirOver],
            &[(Dir, W), (Other, D), (Object, N)],
        ),
        (&[MoveFile, MoveDir], &[(Dir, W), (Dest, W), (Object, N)]),
        (
            &[MoveFileOver, MoveDirOver],
            &[(Dir, W), (Dest, W), (Other, D), (Object, N)],
        ),
    ],
    otherwise: COMMON,
    links: false,
    whereabouts: Whereabouts::Never,
    unlinks_links: false,
    folds: false,
    swaps: false,
    early: false,
    births: false,
    truncate: 0,
};

/// DragonFly on tmpfs: `tmpfs_nrename` tells the target *directory* that it was
/// deleted, and the replaced file nothing.
pub static DRAGONFLY_TMPFS: System = System {
    names: &["dragonfly-tmpfs", "dragonfly", "kqueue"],
    rows: &[
        (&[UnlinkOne], &[(Dir, W)]),
        (&[Grow], &[(Object, W)]),
        (&[Shrink, SameSize], &[(Object, W)]),
        (&[Extend], &[(Object, W)]),
        (&[RenameFile, RenameDir], &[(Dir, W), (Object, N)]),
        (
            &[RenameFileOver, RenameDirOver],
            &[(Dir, W | D), (Object, N)],
        ),
        (&[MoveFile, MoveDir], &[(Dir, W), (Dest, W), (Object, N)]),
        (
            &[MoveFileOver, MoveDirOver],
            &[(Dir, W), (Dest, W | D), (Object, N)],
        ),
    ],
    ..DRAGONFLY
};

/// Linux: `fs/notify`, measured. A directory is told with the name, what is
/// watched itself without.
pub static LINUX: System = System {
    names: &["linux", "inotify"],
    inotify: true,
    rows: &[
        (&[Create], &[(Dir, CREATE)]),
        (&[Mkdir], &[(Dir, CREATE | ISDIR)]),
        (&[Rmdir], &[(Object, DELETE_SELF), (Dir, DELETE | ISDIR)]),
        (&[Link], &[(Object, ATTRIB), (Dir, CREATE)]),
        (&[UnlinkOne], &[(Object, ATTRIB), (Dir, DELETE)]),
        (
            &[UnlinkLast],
            &[(Object, ATTRIB), (Object, DELETE_SELF), (Dir, DELETE)],
        ),
        (
            &[Overwrite, Grow, Shrink, Extend, SameSize, Clone],
            &[(Dir, MODIFY), (Object, MODIFY)],
        ),
        (
            &[CloseWritten],
            &[(Dir, CLOSE_WRITE), (Object, CLOSE_WRITE)],
        ),
        (&[Attrib], &[(Dir, ATTRIB), (Object, ATTRIB)]),
        (
            &[RenameFile, RenameFileOver, MoveFile, MoveFileOver],
            &[
                (Dir, MOVED_FROM),
                (Dest, MOVED_TO),
                // No DELETE for the name that was replaced.
                (Other, ATTRIB),
                (Other, DELETE_SELF),
                (OtherKept, ATTRIB),
                (Object, MOVE_SELF),
            ],
        ),
        (
            &[RenameDir, RenameDirOver, MoveDir, MoveDirOver],
            &[
                (Dir, MOVED_FROM | ISDIR),
                (Dest, MOVED_TO | ISDIR),
                (Other, DELETE_SELF),
                (Object, MOVE_SELF),
            ],
        ),
        (
            &[Swap],
            &[
                (Dir, MOVED_FROM),
                (Dest, MOVED_TO),
                (Dest, MOVED_FROM),
                (Dir, MOVED_TO),
                (Object, MOVE_SELF),
                (Other, MOVE_SELF),
            ],
        ),
        // Nothing is told of a store through a mapping. Watches of what is on an
        // unmounted file system get UNMOUNT and IGNORED.
        (&[Mmap, Mount, Unmount], &[]),
    ],
    otherwise: &[],
    links: false,
    whereabouts: Whereabouts::Never,
    unlinks_links: false,
    folds: false,
    swaps: true,
    early: false,
    births: true,
    truncate: 0,
};

/// Linux on a file system without times of birth.
pub static LINUX_PLAIN: System = System {
    names: &["linux-plain", "linux", "inotify"],
    births: false,
    ..LINUX
};

/// Every model, by system.
pub const SYSTEMS: [(&str, &[&System]); 5] = [
    ("macos", &[&MACOS]),
    ("freebsd", &[&FREEBSD, &FREEBSD_ZFS]),
    (
        "netbsd",
        &[&NETBSD_FFS, &NETBSD_TMPFS, &NETBSD_EXT2, &NETBSD_10],
    ),
    (
        "openbsd-dragonfly",
        &[&OPENBSD, &DRAGONFLY, &DRAGONFLY_TMPFS],
    ),
    ("linux", &[&LINUX, &LINUX_PLAIN]),
];

impl System {
    /// The model of that name.
    pub fn named(name: &str) -> Option<&'static System> {
        let mut all = SYSTEMS.iter().flat_map(|(_, systems)| systems.iter());
        all.find(|s| s.names[0] == name).copied()
    }

    /// What it posts for an act.
    pub fn posts(&self, act: Act) -> &'static [(Role, u32)] {
        let common = if self.inotify { &[] } else { COMMON };
        let mut rows = self.rows.iter().chain(self.otherwise).chain(common);
        let row = rows.find(|(acts, _)| acts.contains(&act));
        row.map_or(&[], |(_, posts)| posts)
    }
}
