//! A snapshot as bytes, to be kept in a file.
//!
//! What was written by another program, cut short or changed on the way is recognised: the
//! bytes begin with a mark and a version, and end with a checksum of all before it. What
//! passes that is nevertheless not believed: it must make a tree.
//!
//! Numbers are written seven bits in a byte, the lowest first, the highest bit saying that
//! more follow (LEB128); signed ones with the sign in the lowest bit. Entries follow one
//! another as in [`Tree::subtree`], each after the directory it is in, and times, which
//! are mostly near to one another, as differences.

use super::classes::Class;
use super::{Key, Marks, Tree};
use crate::kernel::{Id, Kind, Stat};

/// No text has this, and a transfer as text would change it.
const MARK: &[u8; 8] = b"\x89KWsnap\n";
/// Of what follows the mark.
const VERSION: u64 = 1;
/// Of the checksum: CRC-32.
const SUM: usize = 4;

/// What was read from a file.
#[derive(Debug)]
pub struct Image {
    /// The tree; all its entries are marked as polled, for they are not watched.
    pub tree: Tree,
    /// Whether anything was at the root's path.
    pub present: bool,
}

/// The bytes are not those of a snapshot, or not all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Damaged;

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn put_signed(bytes: &mut Vec<u8>, number: i64) {
    put(bytes, ((number << 1) ^ (number >> 63)) as u64);
}

/// Reads what [`put`] has written.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Result<u64, Damaged> {
        let mut number = 0;
        for (at, &byte) in self.0.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7f);
            if at == 9 && bits > 1 {
                break; // More than there is room for.
            }
            number |= bits << (7 * at);
            if byte < 0x80 {
                self.0 = &self.0[at + 1..];
                return Ok(number);
            }
        }
        Err(Damaged)
    }

    fn signed(&mut self) -> Result<i64, Damaged> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    fn small(&mut self) -> Result<u32, Damaged> {
        self.number()?.try_into().map_err(|_| Damaged)
    }

    fn bytes(&mut self, len: usize) -> Result<&'a [u8], Damaged> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Damaged)?;
        self.0 = rest;
        Ok(bytes)
    }
}

const KINDS: [Kind; 4] = [Kind::File, Kind::Dir, Kind::Symlink, Kind::Other];

fn put_class(bytes: &mut Vec<u8>, class: &Class) {
    let kind = KINDS.iter().position(|kind| *kind == class.kind);
    put(bytes, class.dev);
    put(bytes, kind.unwrap_or_default() as u64);
    for number in [class.mode, class.nlink, class.uid, class.gid] {
        put(bytes, number.into());
    }
}

fn class(from: &mut Reader<'_>) -> Result<Class, Damaged> {
    Ok(Class {
        dev: from.number()?,
        kind: *KINDS.get(from.number()? as usize).ok_or(Damaged)?,
        mode: from.small()?,
        nlink: from.small()?,
        uid: from.small()?,
        gid: from.small()?,
    })
}

/// Writes a tree. `present`: whether anything is at the root's path.
pub fn write(tree: &Tree, present: bool) -> Vec<u8> {
    let mut bytes = MARK.to_vec();
    // The tree's own may hold many that are not in use any more.
    let mut classes = super::Classes::default();
    let mut entries = Vec::with_capacity(32 * tree.len());
    let (mut depth, mut last_mtime) = (1, 0i64);
    let mut at_depth = vec![tree.root()];
    for key in tree.subtree(tree.root()) {
        if let Some(parent) = tree.parent(key) {
            while at_depth.last() != Some(&parent) && at_depth.len() > 1 {
                at_depth.pop();
            }
            // How many levels up from the entry before its directory is.
            put(&mut entries, (depth - at_depth.len()) as u64);
            let name = tree.name(key);
            put(&mut entries, name.len() as u64);
            entries.extend_from_slice(name);
            at_depth.push(key);
        }
        depth = at_depth.len();
        let stat = tree.stat(key);
        let racy = tree.has_mark(key, Marks::RACY);
        let class = classes.number(Class::of(&stat));
        put(&mut entries, (u64::from(class) << 1) | u64::from(racy));
        put(&mut entries, stat.id.ino);
        put(&mut entries, stat.size);
        put_signed(&mut entries, stat.mtime_ns.wrapping_sub(last_mtime));
        put_signed(&mut entries, stat.ctime_ns.wrapping_sub(stat.mtime_ns));
        put_signed(&mut entries, stat.birth_ns.wrapping_sub(stat.mtime_ns));
        last_mtime = stat.mtime_ns;
    }
    put(&mut bytes, VERSION);
    put(&mut bytes, present.into());
    put(&mut bytes, tree.len() as u64);
    put(&mut bytes, classes.iter().count() as u64);
    for class in classes.iter() {
        put_class(&mut bytes, class);
    }
    bytes.append(&mut entries);
    let sum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

/// Reads what [`write`] has written. A device's number may be another one after a
/// restart: that of the root is `device` now, if it is known.
pub fn read(bytes: &[u8], device: impl Fn(Id) -> Option<u64>) -> Result<Image, Damaged> {
    let end = bytes.len().checked_sub(SUM).ok_or(Damaged)?;
    let (bytes, sum) = bytes.split_at(end);
    let mut from = Reader(bytes.strip_prefix(MARK).ok_or(Damaged)?);
    if crc32fast::hash(bytes).to_le_bytes() != sum || from.number()? != VERSION {
        return Err(Damaged);
    }
    let present = from.number()? != 0;
    let count = from.number()?;
    // Each takes more than that, so that no number makes us ask for all memory.
    if count == 0 || count > bytes.len() as u64 / 7 {
        return Err(Damaged);
    }
    let mut classes = Vec::new();
    for _ in 0..from.number()? {
        classes.push(class(&mut from)?);
    }
    let mut last_mtime = 0;
    let root = stat(&mut from, &classes, &mut last_mtime)?;
    if let Some(now) = device(root.0.id).filter(|now| *now != root.0.id.dev) {
        let before = root.0.id.dev;
        for class in classes.iter_mut().filter(|class| class.dev == before) {
            class.dev = now;
        }
    }
    let root_stat = Stat {
        id: Id {
            dev: device(root.0.id).unwrap_or(root.0.id.dev),
            ..root.0.id
        },
        ..root.0
    };
    let mut tree = Tree::new(root_stat);
    let mut way: Vec<(Key, Kind)> = vec![(tree.root(), root_stat.kind)];
    mark(&mut tree, way[0].0, root.1);
    tree.begin_bulk();
    tree.reserve(count as usize);
    for _ in 1..count {
        let up = usize::try_from(from.number()?).map_err(|_| Damaged)?;
        let len = way.len().checked_sub(up).ok_or(Damaged)?;
        way.truncate(len);
        let &(parent, kind) = way.last().ok_or(Damaged)?;
        let len = usize::try_from(from.number()?).map_err(|_| Damaged)?;
        let name = from.bytes(len)?;
        if kind != Kind::Dir || !is_name(name) {
            return Err(Damaged);
        }
        let (stat, racy) = stat(&mut from, &classes, &mut last_mtime)?;
        let key = tree.enter(parent, name, stat).ok_or(Damaged)?;
        mark(&mut tree, key, racy);
        way.push((key, stat.kind));
    }
    if !from.0.is_empty() || !tree.end_bulk().is_empty() {
        return Err(Damaged);
    }
    Ok(Image { tree, present })
}

fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|&byte| byte == b'/' || byte == 0)
}

fn mark(tree: &mut Tree, key: Key, racy: bool) {
    tree.set_mark(key, Marks::RACY, racy);
    tree.set_mark(key, Marks::POLLED, true);
}

/// What was seen of an entry, and whether it is racy.
fn stat(
    from: &mut Reader<'_>,
    classes: &[Class],
    last_mtime: &mut i64,
) -> Result<(Stat, bool), Damaged> {
    let number = from.number()?;
    let class = classes.get((number >> 1) as usize).ok_or(Damaged)?;
    let (ino, size) = (from.number()?, from.number()?);
    let mtime_ns = last_mtime.wrapping_add(from.signed()?);
    *last_mtime = mtime_ns;
    let stat = Stat {
        id: Id {
            dev: class.dev,
            ino,
        },
        kind: class.kind,
        mode: class.mode,
        nlink: class.nlink,
        uid: class.uid,
        gid: class.gid,
        size,
        mtime_ns,
        ctime_ns: mtime_ns.wrapping_add(from.signed()?),
        birth_ns: mtime_ns.wrapping_add(from.signed()?),
    };
    Ok((stat, number & 1 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(ino: u64, kind: Kind) -> Stat {
        Stat {
            birth_ns: -5,
            mode: 0o644,
            size: ino << 40,
            mtime_ns: i64::MAX.wrapping_sub(ino as i64),
            ctime_ns: i64::MIN,
            ..Stat::unseen(Id { dev: ino % 3, ino }, kind)
        }
    }

    fn sample() -> Tree {
        let mut tree = Tree::new(stat(3, Kind::Dir));
        let root = tree.root();
        let a = tree.enter(root, b"a", stat(4, Kind::Dir)).unwrap();
        let b = tree.enter(a, b"\xff\n", stat(5, Kind::Dir)).unwrap();
        tree.enter(b, b"deep", stat(6, Kind::Symlink)).unwrap();
        let f = tree.enter(root, b"f", stat(u64::MAX, Kind::File)).unwrap();
        tree.enter(root, b"g", stat(u64::MAX, Kind::File)).unwrap();
        tree.enter(a, b"fifo", stat(7, Kind::Other)).unwrap();
        tree.set_mark(f, Marks::RACY, true);
        tree
    }

    fn contents(tree: &Tree) -> Vec<(Vec<u8>, Stat, bool)> {
        let mut all: Vec<_> = tree
            .subtree(tree.root())
            .map(|key| {
                let mut path = Vec::new();
                tree.path(key, &mut path);
                (path, tree.stat(key), tree.has_mark(key, Marks::RACY))
            })
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let tree = sample();
        let bytes = write(&tree, true);
        let image = read(&bytes, |_| None).unwrap();
        image.tree.check().unwrap();
        assert!(image.present);
        assert_eq!(contents(&image.tree), contents(&tree));
        assert_eq!(image.tree.polled(), tree.len());
        assert!(!read(&write(&tree, false), |_| None).unwrap().present);
    }

    #[test]
    fn the_root_s_device_may_have_another_number() {
        let image = read(&write(&sample(), true), |_| Some(77)).unwrap();
        let devs: Vec<u64> = contents(&image.tree).iter().map(|c| c.1.id.dev).collect();
        assert_eq!(devs, [77, 1, 1, 2, 77, 77, 77]);
        image.tree.check().unwrap();
    }

    #[test]
    fn no_bit_and_no_byte_may_be_another_or_missing() {
        let bytes = write(&sample(), true);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut other = bytes.clone();
                other[at] ^= 1 << bit;
                assert_eq!(read(&other, |_| None).err(), Some(Damaged), "{at}.{bit}");
            }
            assert_eq!(read(&bytes[..at], |_| None).err(), Some(Damaged), "{at}");
        }
        assert_eq!(read(b"", |_| None).err(), Some(Damaged));
    }

    #[test]
    fn nonsense_with_a_valid_sum_is_refused_and_does_no_harm() {
        let good = write(&sample(), true);
        let body = &good[..good.len() - SUM];
        for at in MARK.len()..body.len() {
            for byte in [0, 1, 2, 0x7f, 0x80, 0xff] {
                let mut other = body.to_vec();
                other[at] = byte;
                let sum = crc32fast::hash(&other);
                other.extend_from_slice(&sum.to_le_bytes());
                if let Ok(image) = read(&other, |_| None) {
                    image.tree.check().unwrap();
                }
            }
        }
    }
}
