//! The way to a root by symbolic links. They are followed when the watch begins, and again
//! when one of them may lead elsewhere.

use super::Watch;
use crate::engine::defect::{planted, Defect};
use crate::kernel::{Anchor, Errno, Kernel, Kind, Token};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// A path that led through symbolic links when it was given.
#[derive(Debug)]
pub(super) struct Way {
    /// Absolute.
    given: PathBuf,
    /// Each link, without links on the way to it.
    links: Vec<PathBuf>,
}

/// So many links are followed, as by most kernels.
const MOST_LINKS: usize = 40;
/// The ancestors of the first link begin with this level, and so on; of the root with 0.
const LEVELS: u32 = 1 << 16;

fn steps(path: &Path) -> impl DoubleEndedIterator<Item = OsString> + '_ {
    path.components().filter_map(|step| match step {
        Component::Normal(name) => Some(name.to_os_string()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

/// Where a path leads of which perhaps only the beginning is there, and the links on the way.
fn follow<K: Kernel>(kernel: &mut K, path: &Path) -> Result<(PathBuf, Vec<PathBuf>), Errno> {
    let mut todo: Vec<OsString> = steps(path).rev().collect();
    let mut at = PathBuf::from("/");
    let mut links: Vec<PathBuf> = Vec::new();
    let mut lefts: Vec<usize> = Vec::new();
    let mut missing = false;
    let mut tries = 0;
    while let Some(step) = todo.pop() {
        match (missing, step == "..") {
            (false, true) => {
                at.pop();
                continue;
            }
            // What comes then depends on what will be there. Without a link that is never
            // asked again.
            (true, true) if links.is_empty() => return Err(Errno::ABSENT),
            (true, true) => break,
            _ => at.push(&step),
        }
        if missing {
            continue;
        }
        let stat = match kernel.stat_path(&at) {
            Ok(stat) => stat,
            Err(error) if error.is_absent() => {
                missing = true;
                continue;
            }
            Err(error) => return Err(error),
        };
        if stat.kind != Kind::Symlink {
            continue;
        }
        tries += 1;
        if tries > MOST_LINKS {
            return Err(Errno(libc::ELOOP));
        }
        let target = kernel.read_link(&at);
        let link = at.clone();
        at.pop();
        match target {
            Ok(target) => {
                // It was met before with no more of the path left: it leads to itself.
                let circle = |(met, left): (&PathBuf, &usize)| *met == link && *left <= todo.len();
                if links.iter().zip(&lefts).any(circle) {
                    return Err(Errno(libc::ELOOP));
                }
                links.push(link);
                lefts.push(todo.len());
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                todo.extend(steps(&target).rev());
            }
            Err(error) if error.is_denied() => return Err(error),
            Err(_) => todo.push(step), // It has just become something else.
        }
    }
    Ok((at, links))
}

/// The same, in the words of the file system as far as it is there.
fn lead<K: Kernel>(kernel: &mut K, given: &Path) -> Result<(PathBuf, Vec<PathBuf>), Errno> {
    let (ahead, links) = follow(kernel, given)?;
    match kernel.resolve(given) {
        Ok(root) => Ok((root, links)),
        Err(error) if error.is_absent() => Ok((ahead, links)),
        Err(error) => Err(error),
    }
}

/// Where a root is, and the way to it if that leads through links.
pub(super) fn find<K: Kernel>(
    kernel: &mut K,
    path: &Path,
    may_be_absent: bool,
) -> Result<(PathBuf, Option<Way>), Errno> {
    let resolved = match kernel.resolve(path) {
        Err(error) if error.is_absent() && may_be_absent => None,
        resolved => Some(resolved?),
    };
    let given = match path.is_absolute() {
        true => path.to_path_buf(),
        false => kernel.resolve(Path::new("."))?.join(path),
    };
    match resolved {
        Some(root) if root.components().eq(given.components()) => Ok((root, None)),
        _ => {
            let (root, links) = lead(kernel, &given)?;
            let way = (!links.is_empty()).then_some(Way { given, links });
            Ok((root, way))
        }
    }
}

impl Watch {
    /// Whether the root is where links lead.
    pub fn is_led(&self) -> bool {
        self.way.is_some()
    }

    /// Whether a watch of that level is one of a link's.
    pub(super) fn is_of_link(level: u32) -> bool {
        level >= LEVELS
    }

    /// Follows the links to the root again. Whether they, or where they lead, are others.
    pub(super) fn follow_links<K: Kernel>(&mut self, kernel: &mut K) -> Result<bool, Errno> {
        let Some(way) = &self.way else {
            return Ok(false);
        };
        if planted(Defect::LinksFollowedOnce) {
            return Ok(false);
        }
        let (root, links) = lead(kernel, &way.given)?;
        if root == self.root && links == way.links {
            return Ok(false);
        }
        let before = self.levels();
        self.root = root;
        if let Some(way) = &mut self.way {
            way.links = links;
        }
        kernel.room_mut().count_anchors(self.levels(), before);
        Ok(true)
    }

    /// How many ancestors the links have.
    pub(super) fn levels_of_links(&self) -> usize {
        let links = self.way.iter().flat_map(|way| &way.links);
        links.map(|link| link.ancestors().skip(1).count()).sum()
    }

    /// The path of which an ancestor is watched at that level, and that ancestor's level.
    pub(super) fn led_by(&self, level: u32) -> Option<(&Path, usize)> {
        let (link, level) = (level / LEVELS, (level % LEVELS) as usize);
        match link.checked_sub(1) {
            None => Some((&self.root, level)),
            Some(link) => {
                let links = self.way.as_ref().map(|way| &way.links)?;
                Some((links.get(link as usize)?, level))
            }
        }
    }

    /// Watches the ancestors of the links: the nearest one tells when a link is another one.
    /// Whether they were the same before and after.
    pub(super) fn anchor_links<K: Kernel>(&mut self, kernel: &mut K) -> bool {
        let links = self.way.as_ref().map(|way| way.links.clone());
        let mut settled = true;
        for (link, first) in links.iter().flatten().zip(1..) {
            for (above, level) in link.ancestors().skip(1).zip(0..LEVELS) {
                let role = match level {
                    0 => Anchor::Vigil,
                    _ => Anchor::Above,
                };
                let level = first * LEVELS + level;
                let token = Token::Anchor {
                    watch: self.id,
                    level,
                };
                let before = kernel.stat_path(above).map(|stat| stat.id);
                let watched = kernel.watch_anchor(token, above, role);
                match watched {
                    Ok(()) => self.link_anchors.push(level),
                    Err(error) => {
                        kernel.unwatch(token);
                        settled &= !error.is_elsewhere();
                        if !error.is_elsewhere() {
                            self.blind = true;
                            self.blind_for = Some(error);
                        }
                        self.cramped |= error.is_exhaustion();
                    }
                }
                settled &= before == kernel.stat_path(above).map(|stat| stat.id);
            }
        }
        settled
    }
}
