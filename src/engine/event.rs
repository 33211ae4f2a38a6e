//! Events, as they are kept until the caller fetches them.

use crate::kernel::{Id, Kind, Stat};

/// What happened: the `KW_*` kinds of the C header, one bit each.
pub mod kind {
    /// An entry appeared.
    pub const CREATED: u32 = 1 << 0;
    /// An entry is gone.
    pub const DELETED: u32 = 1 << 1;
    /// A file's content changed.
    pub const MODIFIED: u32 = 1 << 2;
    /// An entry's metadata changed.
    pub const ATTRIB: u32 = 1 << 3;
    /// An entry has another path, with all that is below it.
    pub const MOVED: u32 = 1 << 4;
    /// History was lost; the events before this one made the state exact again.
    pub const RESCANNED: u32 = 1 << 5;
    /// Nothing is at the root's path any more.
    pub const ROOT_GONE: u32 = 1 << 6;
    /// Something is at the root's path again.
    pub const ROOT_BACK: u32 = 1 << 7;
    /// A file system was unmounted.
    pub const UNMOUNTED: u32 = 1 << 8;
    /// Some entries are polled, for want of watches.
    pub const DEGRADED: u32 = 1 << 9;
    /// A path could not be read.
    pub const ERROR: u32 = 1 << 10;
    /// All that the first crawl found has been told.
    pub const READY: u32 = 1 << 11;
    /// Every kind.
    pub const ALL: u32 = (1 << 12) - 1;
}

/// More about an event: the flags of the C header.
pub mod flag {
    /// The entry is a directory.
    pub const IS_DIR: u32 = 1 << 0;
    /// The entry is a symbolic link.
    pub const IS_SYMLINK: u32 = 1 << 1;
    /// With MODIFIED: another file has taken this name.
    pub const REPLACED: u32 = 1 << 2;
    /// Found by the first crawl.
    pub const INITIAL: u32 = 1 << 3;
    /// With MOVED: it has moved with a directory above it.
    pub const EXPANDED: u32 = 1 << 4;
}

/// One event, without its strings.
#[derive(Clone, Copy, Debug)]
struct Record {
    kind: u32,
    flags: u32,
    watch: i32,
    error: i32,
    path: (usize, usize),
    dest: Option<(usize, usize)>,
    root_len: usize,
    sequence: u64,
    id: Id,
    size: u64,
    mtime_ns: i64,
    count: u64,
}

/// One event. Paths are bytes; in the batch each is followed by a NUL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event<'a> {
    /// One bit of [`kind`].
    pub kind: u32,
    /// Bits of [`flag`].
    pub flags: u32,
    /// The watch it belongs to.
    pub watch: i32,
    /// `errno` of an ERROR, else 0.
    pub error: i32,
    /// Where it happened, in the caller's spelling of the root.
    pub path: &'a [u8],
    /// Where a MOVED went.
    pub dest: Option<&'a [u8]>,
    /// How much of `path` spells the root (and the slash after it).
    pub root_len: usize,
    /// 1, 2, 3, ... within the handle.
    pub sequence: u64,
    /// Identity as last seen.
    pub id: Id,
    /// Size in bytes as last seen; 0 for what is gone.
    pub size: u64,
    /// Modification time as last seen; 0 for what is gone.
    pub mtime_ns: i64,
    /// Of a DEGRADED: how many entries are polled; 0: none any more.
    pub count: u64,
}

/// Events with their strings.
#[derive(Default, Debug)]
pub struct Batch {
    records: Vec<Record>,
    bytes: Vec<u8>,
}

impl Batch {
    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Forgets all, keeps the memory unless it is much.
    pub fn clear(&mut self) {
        /// Memory of an extraordinary batch is given back.
        const KEEP: usize = 1 << 20;
        self.records.clear();
        self.records.shrink_to(KEEP / std::mem::size_of::<Record>());
        self.bytes.clear();
        self.bytes.shrink_to(KEEP);
    }

    /// Drops the events of a watch that come at or after `from`.
    pub fn forget(&mut self, watch: i32, from: usize) {
        let mut at = 0;
        self.records.retain(|r| {
            at += 1;
            at <= from || r.watch != watch
        });
    }

    /// The event at an index.
    pub fn get(&self, index: usize) -> Option<Event<'_>> {
        let r = self.records.get(index)?;
        let bytes = |(at, len): (usize, usize)| &self.bytes[at..at + len];
        Some(Event {
            kind: r.kind,
            flags: r.flags,
            watch: r.watch,
            error: r.error,
            path: bytes(r.path),
            dest: r.dest.map(bytes),
            root_len: r.root_len,
            sequence: r.sequence,
            id: r.id,
            size: r.size,
            mtime_ns: r.mtime_ns,
            count: r.count,
        })
    }

    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = Event<'_>> + '_ {
        (0..self.len()).filter_map(|i| self.get(i))
    }

    fn string(&mut self, root: &[u8], relative: &[u8]) -> (usize, usize) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(root);
        if !relative.is_empty() {
            if root.last() != Some(&b'/') {
                self.bytes.push(b'/');
            }
            self.bytes.extend_from_slice(relative);
        }
        let len = self.bytes.len() - at;
        self.bytes.push(0);
        (at, len)
    }
}

/// Writes the events of one watch, or swallows them.
#[derive(Debug)]
pub struct Emitter<'a> {
    /// Where they go; `None` swallows them.
    pub batch: Option<&'a mut Batch>,
    /// The last sequence number given out in the handle.
    pub sequence: &'a mut u64,
    /// The watch.
    pub watch: i32,
    /// The root as the caller spelled it.
    pub root: &'a [u8],
    /// The kinds that the caller wants.
    pub mask: u32,
    /// What moves with a directory is told of by itself, too.
    pub expanded: bool,
}

impl Emitter<'_> {
    /// Writes an event about the path `relative` to the root. `stat` is what
    /// is known of the entry; `gone` leaves out size and time.
    pub fn emit(
        &mut self,
        kind: u32,
        flags: u32,
        relative: &[u8],
        dest: Option<&[u8]>,
        stat: Option<&Stat>,
    ) {
        let gone = kind & (kind::DELETED | kind::ROOT_GONE) != 0;
        let flags = flags
            | match stat.map(|s| s.kind) {
                Some(Kind::Dir) => flag::IS_DIR,
                Some(Kind::Symlink) => flag::IS_SYMLINK,
                _ => 0,
            };
        self.write(kind, flags, 0, relative, dest, stat, gone);
    }

    /// Writes a KW_DEGRADED about the root: so many entries are polled.
    pub fn polling(&mut self, count: u64, stat: &Stat) {
        let written = self.batch.as_ref().map_or(0, |batch| batch.len());
        self.emit(kind::DEGRADED, 0, b"", None, Some(stat));
        let records = self.batch.iter_mut().flat_map(|b| &mut b.records);
        records.skip(written).for_each(|r| r.count = count);
    }

    /// Writes a KW_ERROR.
    pub fn error(&mut self, relative: &[u8], errno: i32, stat: Option<&Stat>) {
        let flags = match stat.map(|s| s.kind) {
            Some(Kind::Dir) => flag::IS_DIR,
            _ => 0,
        };
        self.write(kind::ERROR, flags, errno, relative, None, stat, false);
    }

    #[allow(clippy::too_many_arguments)] // One place that fills every field.
    fn write(
        &mut self,
        kind: u32,
        flags: u32,
        error: i32,
        relative: &[u8],
        dest: Option<&[u8]>,
        stat: Option<&Stat>,
        gone: bool,
    ) {
        let Some(batch) = self.batch.as_deref_mut() else {
            return;
        };
        if self.mask & kind == 0 {
            return;
        }
        *self.sequence += 1;
        let path = batch.string(self.root, relative);
        let dest = dest.map(|dest| batch.string(self.root, dest));
        let slash = usize::from(!relative.is_empty() && self.root.last() != Some(&b'/'));
        batch.records.push(Record {
            kind,
            flags,
            watch: self.watch,
            error,
            path,
            dest,
            root_len: self.root.len() + slash,
            sequence: *self.sequence,
            id: stat.map(|s| s.id).unwrap_or_default(),
            size: stat.filter(|_| !gone).map_or(0, |s| s.size),
            mtime_ns: stat.filter(|_| !gone).map_or(0, |s| s.mtime_ns),
            count: 0,
        });
    }
}
