//! A file system in memory: inodes, names, devices and a clock.
//!
//! It is the simulation's truth, so it does what POSIX says and nothing clever.
//! What an operation did is left behind as [`Deed`]s; what a kernel tells of a
//! deed is not this module's concern.

use crate::kernel::{Errno, Hint, Id, Kind, Listing, Stat};
use indexmap::IndexMap;
use std::collections::{BTreeSet, VecDeque};

/// Names an inode, also one whose file is gone. Never reused, unlike the
/// inode's number.
pub type Node = usize;
/// A file name.
pub type Name = Box<[u8]>;

/// An inode.
#[derive(Debug)]
pub struct Inode {
    /// What `lstat` says.
    pub stat: Stat,
    /// A directory's entries, in the order in which they are listed.
    pub entries: IndexMap<Name, Node>,
    /// Where a symbolic link leads.
    pub target: Name,
    /// What a file says, as far as that matters.
    pub text: Name,
    /// The name it was last given; a file may have others.
    pub home: Option<(Node, Name)>,
    /// The file system that covers this directory.
    mounted: Option<Node>,
    /// The directory that this root of a file system covers.
    covers: Option<Node>,
    /// Open descriptors and watches; they keep the number from being reused.
    holds: u32,
    /// Its file system was unmounted.
    pub lost: bool,
    /// How often its content was changed.
    pub version: u64,
    /// How often its permissions were changed.
    pub chmods: u64,
    /// The version at which its time of modification was set back, so that nothing
    /// but a note shows that it was written to.
    pub set_back: u64,
}

/// A file system's inode numbers.
#[derive(Debug, Default)]
struct Device {
    last: u64,
    free: BTreeSet<u64>,
    /// It does not tell of every change.
    silent: bool,
}

/// What an operation was, as far as some kernel makes a difference.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)] // Each is what its name says.
pub enum Act {
    Create,
    Mkdir,
    Rmdir,
    RmdirFailed,
    Link,
    /// One of several names went.
    UnlinkOne,
    UnlinkLast,
    UnlinkFailed,
    Overwrite,
    Grow,
    Shrink,
    Extend,
    /// Truncated to the size that it had.
    SameSize,
    CloseWritten,
    Attrib,
    /// Renamed within its directory.
    RenameFile,
    RenameFileOver,
    RenameDir,
    RenameDirOver,
    /// Renamed into another directory.
    MoveFile,
    MoveFileOver,
    MoveDir,
    MoveDirOver,
    /// `rename` of one of a file's names onto another of them.
    RenameLinks,
    /// The same name in another spelling, on a case-insensitive volume.
    RenameCase,
    Swap,
    /// A store through a shared mapping.
    Mmap,
    /// Another file's blocks became this one's.
    Clone,
    Mount,
    Unmount,
}

/// Something that was done.
#[derive(Clone, Debug)]
pub struct Deed {
    /// What.
    pub act: Act,
    /// To which inode.
    pub object: Node,
    /// Through which name: the directory, and the name in it.
    pub at: (Node, Name),
    /// Where a rename took it.
    pub to: Option<(Node, Name)>,
    /// What was replaced, or swapped with.
    pub other: Option<Node>,
}

/// All file systems of the simulated machine.
#[derive(Debug)]
pub struct Files {
    inodes: Vec<Inode>,
    devices: Vec<Device>,
    /// Nanoseconds since the epoch.
    pub wall_ns: i64,
    /// The resolution of time stamps.
    pub granule_ns: i64,
    /// Names differ in more than the case of their letters.
    pub fold: bool,
    /// Whether times of birth are kept.
    pub births: bool,
    /// Whether a listing tells what kind an entry is.
    pub kinds: bool,
    /// `rename` between two names of one file removes the first (NetBSD, OpenBSD).
    pub unlinks_links: bool,
    /// What was done and not taken yet.
    pub deeds: Vec<Deed>,
}

/// The root directory of everything.
pub const ROOT: Node = 0;

const NOTEMPTY: Errno = Errno(libc::ENOTEMPTY);
const EXISTS: Errno = Errno(libc::EEXIST);
const NOT_A_DIRECTORY: Errno = Errno(libc::ENOTDIR);
const IS_A_DIRECTORY: Errno = Errno(libc::EISDIR);
const BUSY: Errno = Errno(libc::EBUSY);
const INVALID: Errno = Errno(libc::EINVAL);

type Done = Result<(), Errno>;

impl Files {
    /// A machine with an empty root directory.
    pub fn new() -> Files {
        let mut files = Files {
            inodes: Vec::new(),
            devices: vec![Device {
                last: 1,
                ..Device::default()
            }],
            wall_ns: 1_700_000_000_123_456_789,
            granule_ns: 1,
            fold: false,
            births: true,
            kinds: true,
            unlinks_links: false,
            deeds: Vec::new(),
        };
        files.allocate(0, Kind::Dir, 0o755);
        files
    }

    /// An inode.
    pub fn inode(&self, node: Node) -> &Inode {
        &self.inodes[node]
    }

    /// What `lstat` says of an inode.
    pub fn stat(&self, node: Node) -> Stat {
        let stat = self.inodes[node].stat;
        Stat {
            birth_ns: if self.births { stat.birth_ns } else { 0 },
            ..stat
        }
    }

    fn stamp(&self) -> i64 {
        self.wall_ns - self.wall_ns.rem_euclid(self.granule_ns)
    }

    fn allocate(&mut self, device: usize, kind: Kind, mode: u32) -> Node {
        let numbers = &mut self.devices[device];
        let ino = numbers.free.pop_first().unwrap_or_else(|| {
            numbers.last += 1;
            numbers.last
        });
        let now = self.stamp();
        self.inodes.push(Inode {
            stat: Stat {
                id: Id {
                    dev: device as u64 + 1,
                    ino,
                },
                birth_ns: now,
                kind,
                mode,
                nlink: 1,
                uid: 1000,
                gid: 1000,
                size: 0,
                mtime_ns: now,
                ctime_ns: now,
            },
            entries: IndexMap::new(),
            target: Name::default(),
            text: Name::default(),
            home: None,
            mounted: None,
            covers: None,
            holds: 0,
            lost: false,
            version: 0,
            chmods: 0,
            set_back: 0,
        });
        self.inodes.len() - 1
    }

    /// Keeps an inode's number from being given to another file.
    pub fn hold(&mut self, node: Node) {
        self.inodes[node].holds += 1;
    }

    /// The opposite of [`Files::hold`].
    pub fn release(&mut self, node: Node) {
        self.inodes[node].holds -= 1;
        self.recycle(node);
    }

    fn recycle(&mut self, node: Node) {
        let inode = &self.inodes[node];
        if inode.stat.nlink == 0 && inode.holds == 0 && !inode.lost {
            let id = inode.stat.id;
            self.devices[id.dev as usize - 1].free.insert(id.ino);
        }
    }

    // ---- finding ---------------------------------------------------------------

    /// The inode that a name in a directory stands for, under what is mounted there.
    fn beneath(&self, dir: Node, name: &[u8]) -> Option<Node> {
        let entries = &self.inodes[dir].entries;
        if self.fold {
            let mut all = entries.iter();
            return all
                .find(|(n, _)| n.eq_ignore_ascii_case(name))
                .map(|(_, &node)| node);
        }
        entries.get(name).copied()
    }

    /// What a name in a directory leads to; a mount point to what is mounted there.
    pub fn child(&self, dir: Node, name: &[u8]) -> Result<Node, Errno> {
        let inode = &self.inodes[dir];
        if inode.stat.kind != Kind::Dir {
            return Err(NOT_A_DIRECTORY);
        }
        let mut node = self.beneath(dir, name).ok_or(Errno::ABSENT)?;
        while let Some(over) = self.inodes[node].mounted {
            node = over;
        }
        Ok(node)
    }

    /// What a path from the root leads to. The last name is not followed when it
    /// is a symbolic link, unless `follow` says so. `permitted` says whether a
    /// directory may be searched.
    pub fn find(
        &self,
        path: &[u8],
        follow: bool,
        permitted: &dyn Fn(&Stat) -> bool,
    ) -> Result<Node, Errno> {
        let mut todo: VecDeque<Name> = steps(path).collect();
        let mut way = vec![ROOT];
        let mut links = 0;
        while let Some(step) = todo.pop_front() {
            let at = way[way.len() - 1];
            if self.inodes[at].stat.kind != Kind::Dir {
                return Err(NOT_A_DIRECTORY);
            }
            if !permitted(&self.inodes[at].stat) {
                return Err(Errno(libc::EACCES));
            }
            if *step == *b".." {
                way.truncate((way.len() - 1).max(1));
                continue;
            }
            let node = self.child(at, &step)?;
            if self.inodes[node].stat.kind == Kind::Symlink && (follow || !todo.is_empty()) {
                links += 1;
                if links > 16 {
                    return Err(Errno(libc::ELOOP));
                }
                let target = &self.inodes[node].target;
                if target.first() == Some(&b'/') {
                    way.truncate(1);
                }
                for step in steps(target).rev() {
                    todo.push_front(step);
                }
                continue;
            }
            way.push(node);
        }
        Ok(way[way.len() - 1])
    }

    /// The directory that a path's last name is in, and that name.
    fn slot(&self, path: &[u8]) -> Result<(Node, Name), Errno> {
        let cut = path.iter().rposition(|&b| b == b'/').ok_or(INVALID)?;
        let dir = self.find(&path[..cut], true, &|_| true)?;
        if self.inodes[dir].stat.kind != Kind::Dir {
            return Err(NOT_A_DIRECTORY);
        }
        let name = &path[cut + 1..];
        if name.is_empty() || name == b".." {
            return Err(INVALID);
        }
        Ok((dir, name.into()))
    }

    fn existing(&self, path: &[u8]) -> Result<(Node, (Node, Name)), Errno> {
        let (dir, name) = self.slot(path)?;
        let node = self.child(dir, &name)?;
        Ok((node, (dir, self.spelled(dir, name))))
    }

    /// A name as its directory spells it.
    fn spelled(&self, dir: Node, name: Name) -> Name {
        if !self.fold {
            return name;
        }
        let mut names = self.inodes[dir].entries.keys();
        names
            .find(|n| n.eq_ignore_ascii_case(&name))
            .cloned()
            .unwrap_or(name)
    }

    /// The path by which an inode was last named, if that still leads to it: what
    /// a kernel's cache of names knows.
    pub fn path_of(&self, node: Node) -> Option<Vec<u8>> {
        let mut names: Vec<&Name> = Vec::new();
        let mut at = node;
        while at != ROOT {
            while let Some(under) = self.inodes[at].covers {
                at = under;
            }
            let (dir, name) = self.inodes[at].home.as_ref()?;
            if self.beneath(*dir, name) != Some(at) || names.len() > self.inodes.len() {
                return None;
            }
            names.push(name);
            at = *dir;
        }
        let mut path = Vec::new();
        for name in names.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        Some(path)
    }

    /// Reads a directory.
    pub fn list(&self, dir: Node, into: &mut Listing) {
        into.clear();
        for (name, &node) in &self.inodes[dir].entries {
            let stat = &self.inodes[node].stat;
            let hint = Hint {
                ino: stat.id.ino,
                kind: self.kinds.then_some(stat.kind),
            };
            into.push(name, hint);
        }
    }

    // ---- doing -----------------------------------------------------------------

    fn deed(&mut self, act: Act, object: Node, at: (Node, Name)) {
        self.deeds.push(Deed {
            act,
            object,
            at,
            to: None,
            other: None,
        });
    }

    /// A directory's entries changed.
    fn touch(&mut self, dir: Node) {
        let now = self.stamp();
        let stat = &mut self.inodes[dir].stat;
        (stat.mtime_ns, stat.ctime_ns) = (now, now);
    }

    fn attach(&mut self, node: Node, at: &(Node, Name)) {
        self.inodes[at.0].entries.insert(at.1.clone(), node);
        self.inodes[node].home = Some(at.clone());
        self.touch(at.0);
        self.inodes[node].stat.ctime_ns = self.stamp();
    }

    fn detach(&mut self, at: &(Node, Name)) {
        // The order of the others changes, as it does in many a real directory.
        self.inodes[at.0].entries.swap_remove(&at.1);
        self.touch(at.0);
    }

    fn drop_link(&mut self, node: Node) {
        let now = self.stamp();
        let stat = &mut self.inodes[node].stat;
        stat.nlink -= 1;
        stat.ctime_ns = now;
        self.recycle(node);
    }

    fn make(&mut self, path: &[u8], kind: Kind, mode: u32) -> Result<Node, Errno> {
        let at = self.slot(path)?;
        if self.beneath(at.0, &at.1).is_some() {
            return Err(EXISTS);
        }
        let device = self.inodes[at.0].stat.id.dev as usize - 1;
        let node = self.allocate(device, kind, mode);
        self.attach(node, &at);
        let act = match kind {
            Kind::Dir => Act::Mkdir,
            _ => Act::Create,
        };
        self.deed(act, node, at);
        Ok(node)
    }

    /// `mkdir`.
    pub fn mkdir(&mut self, path: &[u8]) -> Done {
        self.make(path, Kind::Dir, 0o755).map(drop)
    }

    /// `open(O_CREAT|O_EXCL)`.
    pub fn create(&mut self, path: &[u8]) -> Done {
        self.make(path, Kind::File, 0o644).map(drop)
    }

    /// `mkfifo`.
    pub fn mkfifo(&mut self, path: &[u8]) -> Done {
        self.make(path, Kind::Other, 0o644).map(drop)
    }

    /// `symlink`.
    pub fn symlink(&mut self, target: &[u8], path: &[u8]) -> Done {
        let node = self.make(path, Kind::Symlink, 0o777)?;
        self.inodes[node].target = target.into();
        self.inodes[node].stat.size = target.len() as u64;
        Ok(())
    }

    /// What a path leads to, links followed, and where that is.
    fn followed(&self, path: &[u8]) -> Result<(Node, (Node, Name)), Errno> {
        let mut path = path.to_vec();
        for _ in 0..16 {
            let (node, at) = self.existing(&path)?;
            let inode = &self.inodes[node];
            if inode.stat.kind != Kind::Symlink {
                return Ok((node, at));
            }
            if inode.target.first() == Some(&b'/') {
                path = inode.target.to_vec();
            } else {
                path = self.path_of(at.0).ok_or(Errno::ABSENT)?;
                path.push(b'/');
                path.extend_from_slice(&inode.target);
            }
        }
        Err(Errno(libc::ELOOP))
    }

    fn file(&self, path: &[u8]) -> Result<(Node, (Node, Name)), Errno> {
        let (node, at) = self.followed(path)?;
        match self.inodes[node].stat.kind {
            Kind::File => Ok((node, at)),
            Kind::Dir => Err(IS_A_DIRECTORY),
            _ => Err(INVALID),
        }
    }

    fn resize(&mut self, node: Node, size: u64) {
        let now = self.stamp();
        let inode = &mut self.inodes[node];
        inode.version += 1;
        let stat = &mut inode.stat;
        stat.size = size;
        (stat.mtime_ns, stat.ctime_ns) = (now, now);
    }

    /// Opens a file (making it if need be), truncates it, writes and closes it.
    pub fn write(&mut self, path: &[u8], text: &[u8]) -> Done {
        if self.existing(path).is_err_and(|e| e == Errno::ABSENT) {
            self.create(path)?;
        } else {
            self.truncate(path, 0)?;
        }
        let (node, _) = self.file(path)?;
        self.inodes[node].text = text.into();
        self.append(path, text.len() as u64)
    }

    /// Writes at a file's end and closes it.
    pub fn append(&mut self, path: &[u8], len: u64) -> Done {
        let (node, at) = self.file(path)?;
        if len > 0 {
            let size = self.inodes[node].stat.size;
            self.resize(node, size + len);
            self.deed(Act::Grow, node, at.clone());
        }
        self.deed(Act::CloseWritten, node, at);
        Ok(())
    }

    /// Writes from a file's start and closes it.
    pub fn overwrite(&mut self, path: &[u8], len: u64) -> Done {
        let (node, at) = self.file(path)?;
        let size = self.inodes[node].stat.size;
        if len > 0 {
            self.resize(node, size.max(len));
            let act = if len > size {
                Act::Grow
            } else {
                Act::Overwrite
            };
            self.deed(act, node, at.clone());
        }
        self.deed(Act::CloseWritten, node, at);
        Ok(())
    }

    /// `truncate`.
    pub fn truncate(&mut self, path: &[u8], size: u64) -> Done {
        let (node, at) = self.file(path)?;
        if size == 0 {
            self.inodes[node].text = Name::default();
        }
        let act = match size.cmp(&self.inodes[node].stat.size) {
            std::cmp::Ordering::Less => Act::Shrink,
            std::cmp::Ordering::Equal => Act::SameSize,
            std::cmp::Ordering::Greater => Act::Extend,
        };
        self.resize(node, size);
        if act == Act::SameSize {
            self.inodes[node].version -= 1; // Its content is what it was.
        }
        self.deed(act, node, at);
        Ok(())
    }

    /// A store through a shared mapping.
    pub fn mmap(&mut self, path: &[u8]) -> Done {
        let (node, at) = self.file(path)?;
        self.resize(node, self.inodes[node].stat.size);
        self.deed(Act::Mmap, node, at);
        Ok(())
    }

    /// Another file's blocks become this one's.
    pub fn clone_into(&mut self, path: &[u8], len: u64) -> Done {
        let (node, at) = self.file(path)?;
        self.resize(node, len);
        self.deed(Act::Clone, node, at);
        Ok(())
    }

    /// `chmod`.
    pub fn chmod(&mut self, path: &[u8], mode: u32) -> Done {
        let (node, at) = self.followed(path)?;
        let now = self.stamp();
        let inode = &mut self.inodes[node];
        inode.chmods += 1;
        (inode.stat.mode, inode.stat.ctime_ns) = (mode, now);
        self.deed(Act::Attrib, node, at);
        Ok(())
    }

    /// `utimes`: long ago.
    pub fn age(&mut self, path: &[u8]) -> Done {
        let (node, at) = self.existing(path)?;
        let now = self.stamp();
        let inode = &mut self.inodes[node];
        inode.set_back = inode.version;
        (inode.stat.mtime_ns, inode.stat.ctime_ns) = (1_000_000_000_000_000_000, now);
        self.deed(Act::Attrib, node, at);
        Ok(())
    }

    /// `link`.
    pub fn link(&mut self, path: &[u8], to: &[u8]) -> Done {
        let (node, _) = self.existing(path)?;
        let at = self.slot(to)?;
        let (inode, dir) = (&self.inodes[node], &self.inodes[at.0]);
        if inode.stat.kind == Kind::Dir {
            return Err(Errno(libc::EPERM));
        }
        if inode.stat.id.dev != dir.stat.id.dev {
            return Err(Errno(libc::EXDEV));
        }
        if self.beneath(at.0, &at.1).is_some() {
            return Err(EXISTS);
        }
        self.inodes[node].stat.nlink += 1;
        self.attach(node, &at);
        self.deed(Act::Link, node, at);
        Ok(())
    }

    /// `unlink`.
    pub fn unlink(&mut self, path: &[u8]) -> Done {
        let (node, at) = self.existing(path)?;
        if self.inodes[node].stat.kind == Kind::Dir {
            self.deed(Act::UnlinkFailed, node, at);
            return Err(Errno(libc::EPERM));
        }
        let act = match self.inodes[node].stat.nlink {
            1 => Act::UnlinkLast,
            _ => Act::UnlinkOne,
        };
        self.detach(&at);
        self.deed(act, node, at);
        self.drop_link(node);
        Ok(())
    }

    /// `rmdir`.
    pub fn rmdir(&mut self, path: &[u8]) -> Done {
        let (node, at) = self.existing(path)?;
        let inode = &self.inodes[node];
        if inode.stat.kind != Kind::Dir {
            return Err(NOT_A_DIRECTORY);
        }
        if inode.covers.is_some() {
            return Err(BUSY);
        }
        if !inode.entries.is_empty() {
            self.deed(Act::RmdirFailed, node, at);
            return Err(NOTEMPTY);
        }
        self.detach(&at);
        self.deed(Act::Rmdir, node, at);
        self.drop_link(node);
        Ok(())
    }

    /// Whether this is the root of something mounted.
    pub fn is_mounted(&self, node: Node) -> bool {
        self.inodes[node].covers.is_some()
    }

    /// Every root of something mounted.
    pub fn mounts(&self) -> impl Iterator<Item = Node> + '_ {
        (0..self.inodes.len()).filter(|&node| self.is_mounted(node))
    }

    /// Whether a node's file system does not tell of every change.
    pub fn is_silent(&self, node: Node) -> bool {
        self.devices[self.inodes[node].stat.id.dev as usize - 1].silent
    }

    /// Whether a rename has something to rename and somewhere to go.
    pub fn may_rename(&self, from: &[u8], to: &[u8]) -> bool {
        self.existing(from).is_ok() && self.slot(to).is_ok()
    }

    /// The directory that a path's last name is in.
    pub fn parent_of(&self, path: &[u8]) -> Node {
        self.slot(path).map_or(ROOT, |(dir, _)| dir)
    }

    /// Everything below a path, and itself, as paths in the order of their removal.
    pub fn below(&self, path: &[u8]) -> Vec<(Vec<u8>, Kind)> {
        let Ok(node) = self.find(path, false, &|_| true) else {
            return Vec::new();
        };
        let mut all = vec![(path.to_vec(), node)];
        let mut next = 0;
        while next < all.len() {
            let (path, node) = all[next].clone();
            next += 1;
            if self.inodes[node].stat.kind == Kind::Dir {
                for name in self.inodes[node].entries.keys() {
                    let mut path = path.clone();
                    path.push(b'/');
                    path.extend_from_slice(name);
                    if let Ok(child) = self.child(node, name) {
                        all.push((path, child));
                    }
                }
            }
        }
        let all = all.into_iter().rev();
        all.map(|(path, node)| (path, self.inodes[node].stat.kind))
            .collect()
    }

    fn is_within(&self, mut node: Node, top: Node) -> bool {
        loop {
            if node == top {
                return true;
            }
            while let Some(under) = self.inodes[node].covers {
                node = under;
            }
            match &self.inodes[node].home {
                Some((dir, _)) if node != ROOT => node = *dir,
                _ => return false,
            }
        }
    }

    /// Whether there is a mount point in a directory or below it.
    fn holds_mount(&self, dir: Node) -> bool {
        self.inodes
            .iter()
            .any(|i| i.covers.is_some_and(|under| self.is_within(under, dir)))
    }

    /// `rename`.
    pub fn rename(&mut self, from: &[u8], to: &[u8]) -> Done {
        let (node, at) = self.existing(from)?;
        let to = self.slot(to)?;
        let kind = self.inodes[node].stat.kind;
        if self.inodes[node].covers.is_some() {
            return Err(BUSY);
        }
        if self.inodes[at.0].stat.id.dev != self.inodes[to.0].stat.id.dev {
            return Err(Errno(libc::EXDEV));
        }
        if kind == Kind::Dir && self.is_within(to.0, node) {
            return Err(INVALID);
        }
        let is_dir = kind == Kind::Dir;
        let across = at.0 != to.0;
        let other = self.child(to.0, &to.1).ok();
        if let Some(other) = other {
            let taken = &self.inodes[other];
            if other == node {
                return self.rename_onto_itself(node, at, to);
            }
            if taken.covers.is_some() {
                return Err(BUSY);
            }
            match (is_dir, taken.stat.kind == Kind::Dir) {
                (true, false) => return Err(NOT_A_DIRECTORY),
                (false, true) => return Err(IS_A_DIRECTORY),
                (true, true) if !taken.entries.is_empty() => return Err(NOTEMPTY),
                _ => {}
            }
            let spelled = self.spelled(to.0, to.1.clone());
            self.detach(&(to.0, spelled));
        }
        self.detach(&at);
        self.attach(node, &to);
        let act = match (is_dir, across, other.is_some()) {
            (false, false, false) => Act::RenameFile,
            (false, false, true) => Act::RenameFileOver,
            (true, false, false) => Act::RenameDir,
            (true, false, true) => Act::RenameDirOver,
            (false, true, false) => Act::MoveFile,
            (false, true, true) => Act::MoveFileOver,
            (true, true, false) => Act::MoveDir,
            (true, true, true) => Act::MoveDirOver,
        };
        self.deeds.push(Deed {
            act,
            object: node,
            at,
            to: Some(to),
            other,
        });
        if let Some(other) = other {
            self.drop_link(other);
        }
        Ok(())
    }

    fn rename_onto_itself(&mut self, node: Node, at: (Node, Name), to: (Node, Name)) -> Done {
        if at == to {
            return Ok(());
        }
        if self.fold && at.0 == to.0 && at.1.eq_ignore_ascii_case(&to.1) {
            self.detach(&at);
            self.attach(node, &to);
            self.deeds.push(Deed {
                act: Act::RenameCase,
                object: node,
                at,
                to: Some(to),
                other: None,
            });
            return Ok(());
        }
        // Two names of one file: POSIX has it that nothing happens.
        if self.unlinks_links {
            self.detach(&at);
            self.deed(Act::RenameLinks, node, at);
            self.drop_link(node);
        }
        Ok(())
    }

    /// `renameat2(RENAME_EXCHANGE)`, `renameatx_np(RENAME_SWAP)`.
    pub fn swap(&mut self, from: &[u8], to: &[u8]) -> Done {
        let (a, at) = self.existing(from)?;
        let (b, to) = self.existing(to)?;
        if self.inodes[a].covers.or(self.inodes[b].covers).is_some() {
            return Err(BUSY);
        }
        if self.inodes[at.0].stat.id.dev != self.inodes[to.0].stat.id.dev {
            return Err(Errno(libc::EXDEV));
        }
        if self.is_within(to.0, a) || self.is_within(at.0, b) || a == b {
            return Err(INVALID);
        }
        self.inodes[at.0].entries.insert(at.1.clone(), b);
        self.inodes[to.0].entries.insert(to.1.clone(), a);
        for (node, at) in [(a, &to), (b, &at)] {
            self.touch(at.0);
            self.inodes[node].home = Some(at.clone());
            self.inodes[node].stat.ctime_ns = self.stamp();
        }
        self.deeds.push(Deed {
            act: Act::Swap,
            object: a,
            at,
            to: Some(to),
            other: Some(b),
        });
        Ok(())
    }

    /// Mounts a fresh file system over a directory.
    pub fn mount(&mut self, path: &[u8], silent: bool) -> Done {
        let (node, at) = self.existing(path)?;
        if self.inodes[node].stat.kind != Kind::Dir {
            return Err(NOT_A_DIRECTORY);
        }
        if self.inodes[node].covers.is_some() {
            return Err(BUSY);
        }
        self.devices.push(Device {
            last: 1, // A file system's root has number 2, as it has everywhere.
            silent,
            ..Device::default()
        });
        let root = self.allocate(self.devices.len() - 1, Kind::Dir, 0o755);
        self.inodes[node].mounted = Some(root);
        self.inodes[root].covers = Some(node);
        self.deed(Act::Mount, root, at);
        Ok(())
    }

    /// Takes a file system away, whoever uses it.
    pub fn unmount(&mut self, path: &[u8]) -> Done {
        let (root, at) = self.existing(path)?;
        let under = self.inodes[root].covers.ok_or(INVALID)?;
        let dev = self.inodes[root].stat.id.dev;
        if self.holds_mount(root) {
            let mut inner = self.inodes.iter().filter_map(|i| i.covers);
            if inner.any(|n| self.inodes[n].stat.id.dev == dev) {
                return Err(BUSY);
            }
        }
        self.inodes[under].mounted = None;
        self.inodes[root].covers = None;
        for inode in &mut self.inodes {
            if inode.stat.id.dev == dev {
                inode.lost = true;
                inode.home = None;
            }
        }
        self.deed(Act::Unmount, root, at);
        Ok(())
    }

    /// Everything of a device.
    pub fn nodes_of(&self, dev: u64) -> impl Iterator<Item = Node> + '_ {
        let all = self.inodes.iter().enumerate();
        all.filter(move |(_, inode)| inode.stat.id.dev == dev)
            .map(|(node, _)| node)
    }
}

impl Default for Files {
    fn default() -> Files {
        Files::new()
    }
}

/// The names in a path, without `.`.
fn steps(path: &[u8]) -> impl DoubleEndedIterator<Item = Name> + '_ {
    let steps = path.split(|&b| b == b'/');
    steps
        .filter(|step| !step.is_empty() && *step != b".")
        .map(Name::from)
}
