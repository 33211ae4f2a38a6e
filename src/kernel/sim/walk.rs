//! The crawl of a new tree, as walkdir and `posix::walk` do it: a directory's
//! stream is opened by path when its entry is met, the directory is then watched
//! by path, and its entries are read from the stream afterwards.

use super::super::hint::inotify;
use super::files::Node;
use super::{nothing, searchable, Fault, Sim};
use crate::engine::defect::{planted, Defect};
use crate::kernel::{Entered, Errno, Hint, Kernel, Kind, Listing, Place, Token, Verdict, Visitor};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A directory that is being read.
struct Level {
    token: Token,
    path: PathBuf,
    /// What is left of its entries, the next one last.
    entries: Vec<(Box<[u8]>, Hint)>,
}

impl<F: super::Family> Sim<F> {
    /// Calls the visitor for everything below `root`.
    pub(super) fn walk(&mut self, root: Place<'_>, visitor: &mut dyn Visitor) {
        if !self.walk_dir(root, visitor) {
            return;
        }
        let stream = self.open_stream(root.path);
        let mut way: Vec<Level> = Vec::new();
        self.push(
            &mut way,
            root.token,
            root.path.to_path_buf(),
            stream,
            visitor,
        );
        while let Some(level) = way.last_mut() {
            let Some((name, hint)) = level.entries.pop() else {
                way.pop();
                continue;
            };
            let (parent, parent_path) = (level.token, level.path.clone());
            let path = parent_path.join(OsStr::from_bytes(&name));
            self.race();
            // walkdir asks for the kind where the listing does not give it.
            let hint = Hint {
                kind: hint.kind.or_else(|| {
                    let node = self.find(&path, false).ok()?;
                    Some(self.files.stat(node).kind)
                }),
                ..hint
            };
            let Some(kind) = hint.kind else {
                visitor.unlisted(parent, Errno::ABSENT);
                continue;
            };
            let stream = (kind == Kind::Dir).then(|| self.open_stream(&path));
            match visitor.found(parent, &name, hint) {
                Verdict::Skip => self.close_stream(stream),
                Verdict::Leaf(token) => {
                    self.close_stream(stream);
                    let dir = Place {
                        token: parent,
                        path: &parent_path,
                        id: None,
                        doubted: false,
                    };
                    self.walk_leaf(dir, &name, token, visitor);
                }
                Verdict::Enter(token) => match stream {
                    None => {
                        let dir = Place {
                            token: parent,
                            path: &parent_path,
                            id: None,
                            doubted: false,
                        };
                        self.walk_leaf(dir, &name, token, visitor);
                    }
                    Some(stream) => {
                        let place = Place {
                            token,
                            path: &path,
                            id: None,
                            doubted: false,
                        };
                        if planted(Defect::ListBeforeWatch) {
                            self.push(&mut way, token, path.clone(), stream, visitor);
                            self.walk_dir(place, visitor);
                        } else if self.walk_dir(place, visitor) {
                            self.push(&mut way, token, path, stream, visitor);
                        } else {
                            self.close_stream(Some(stream));
                        }
                    }
                },
            }
        }
    }

    fn open_stream(&mut self, path: &Path) -> Result<Node, Errno> {
        let node = self.find(path, true)?;
        if !super::readable(&self.files.stat(node)) {
            return Err(Errno(libc::EACCES));
        }
        if self.files.stat(node).kind != Kind::Dir {
            return Err(Errno(libc::ENOTDIR));
        }
        self.fault(Fault::List, node)?;
        self.files.hold(node);
        Ok(node)
    }

    fn close_stream(&mut self, stream: Option<Result<Node, Errno>>) {
        if let Some(Ok(node)) = stream {
            self.files.release(node);
        }
    }

    /// Reads a stream that was opened before.
    fn push(
        &mut self,
        way: &mut Vec<Level>,
        token: Token,
        path: PathBuf,
        stream: Result<Node, Errno>,
        visitor: &mut dyn Visitor,
    ) {
        self.race();
        self.counters.listings += 1;
        match stream {
            Err(error) => visitor.unlisted(token, error),
            Ok(node) => {
                let mut listing = Listing::default();
                self.files.list(node, &mut listing);
                self.files.release(node);
                let entries = listing.iter().map(|(name, hint)| (name.into(), hint));
                let mut entries: Vec<_> = entries.collect();
                entries.reverse();
                way.push(Level {
                    token,
                    path,
                    entries,
                });
            }
        }
    }

    fn walk_dir(&mut self, place: Place<'_>, visitor: &mut dyn Visitor) -> bool {
        self.race();
        if F::NAMES {
            return self.walk_dir_by_name(place, visitor);
        }
        let mut entered = match self.open_entry(place.token, self.find(place.path, false)) {
            Ok(()) => {
                let mut own = nothing(Errno(libc::EIO));
                for (token, outcome) in self.commit() {
                    if token == place.token {
                        own = outcome;
                    } else {
                        visitor.entered(token, outcome);
                    }
                }
                own
            }
            Err(entered) => entered,
        };
        if let (Ok(stat), Some(id)) = (entered.stat, place.id) {
            if stat.id != id {
                self.unwatch(place.token);
                entered = nothing(super::STALE);
            }
        }
        visitor.entered(place.token, entered);
        let readable = !entered.watched.is_err_and(Errno::is_denied);
        readable && entered.stat.is_ok_and(|stat| stat.kind == Kind::Dir)
    }

    fn walk_dir_by_name(&mut self, place: Place<'_>, visitor: &mut dyn Visitor) -> bool {
        let opened = self.open_dir(place);
        let entered = match opened {
            Ok(node) => {
                self.files.hold(node);
                self.race();
                let watched = self.watch_node(place.token, node, inotify::TREE);
                self.race();
                let stat = self.stat_node(node);
                self.files.release(node);
                Entered { stat, watched }
            }
            Err(error) => Entered {
                stat: match place.id {
                    Some(_) => Err(error),
                    None => self.stat_path(place.path),
                },
                watched: Err(error),
            },
        };
        visitor.entered(place.token, entered);
        opened.is_ok() && entered.stat.is_ok_and(|s| s.kind == Kind::Dir)
    }

    fn walk_leaf(&mut self, dir: Place<'_>, name: &[u8], token: Token, visitor: &mut dyn Visitor) {
        self.race();
        if F::NAMES {
            let stat = self.stat(dir, name);
            let watched = Ok(());
            return visitor.entered(token, Entered { stat, watched });
        }
        let at = match self.descriptor_of(dir) {
            Some(node) => Ok(node),
            None => self.find(dir.path, false),
        };
        let node = at.and_then(|at| {
            let stat = self.files.stat(at);
            if stat.kind == Kind::Dir && !searchable(&stat) {
                return Err(Errno(libc::EACCES));
            }
            self.files.child(at, name)
        });
        match self.open_entry(token, node) {
            // A directory yet to come must fit in.
            Ok(()) if self.batch.len() == 63 => {
                for (token, entered) in self.commit() {
                    visitor.entered(token, entered);
                }
            }
            Ok(()) => {}
            Err(entered) => visitor.entered(token, entered),
        }
    }
}
