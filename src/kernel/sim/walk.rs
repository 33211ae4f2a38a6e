//! The crawl of a new tree.
//!
//! Where every entry has a watch of its own, as walkdir and `kqueue::walk` do it: a
//! directory's stream is opened by path when its entry is met, the directory is then
//! watched by path, and its entries are read from the stream afterwards. Where notes go
//! by names, as `inotify::crawl` does it: a directory is opened by path, watched, read
//! and its entries looked at, and only then told of.

use super::super::hint::inotify;
use super::files::Node;
use super::{nothing, searchable, Fault, Sim};
use crate::engine::defect::{planted, Defect};
use crate::kernel::{
    Entered, Errno, Hint, Kernel, Kind, Listing, Place, Stat, Token, Verdict, Visitor,
};
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

/// The entries of a directory, with what a look at them found.
type Surveyed = Vec<(Box<[u8]>, Hint, Option<Result<Stat, Errno>>)>;

impl<F: super::Family> Sim<F> {
    /// Calls the visitor for everything below `root`.
    pub(super) fn walk(&mut self, root: Place<'_>, visitor: &mut dyn Visitor) {
        if F::NAMES {
            let mut jobs = vec![(root.token, root.path.to_path_buf(), root.id)];
            while let Some((token, path, id)) = jobs.pop() {
                if !visitor.goes_on() {
                    break;
                }
                let place = Place {
                    token,
                    path: &path,
                    id,
                    doubted: false,
                    many: false,
                };
                for (token, path) in self.survey(place, visitor) {
                    jobs.push((token, path, None));
                }
            }
            return;
        }
        if !self.walk_into(root, visitor) {
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
            if !visitor.goes_on() {
                break;
            }
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
                        many: false,
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
                            many: false,
                        };
                        self.walk_leaf(dir, &name, token, visitor);
                    }
                    Some(stream) => {
                        let place = Place {
                            token,
                            path: &path,
                            id: None,
                            doubted: false,
                            many: false,
                        };
                        if planted(Defect::ListBeforeWatch) {
                            self.push(&mut way, token, path.clone(), stream, visitor);
                            self.walk_dir(place, visitor);
                        } else if self.walk_into(place, visitor) {
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

    fn walk_into(&mut self, dir: Place<'_>, visitor: &mut dyn Visitor) -> bool {
        let go_in = self.walk_dir(dir, visitor);
        if let Some(name) = visitor.reads().filter(|_| go_in) {
            let content = self.read(dir, name);
            visitor.content(dir.token, content);
        }
        go_in
    }

    fn walk_dir(&mut self, place: Place<'_>, visitor: &mut dyn Visitor) -> bool {
        self.race();
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
        let home = |dev| visitor.device().is_none_or(|home| home == dev);
        let is_dir = |stat: Stat| stat.kind == Kind::Dir && home(stat.id.dev);
        readable && entered.stat.is_ok_and(is_dir)
    }

    /// One directory. Answers with those in it that are to be gone into.
    fn survey(&mut self, place: Place<'_>, visitor: &mut dyn Visitor) -> Vec<(Token, PathBuf)> {
        self.race();
        let opened = self.open_dir(place);
        let mut entries = Vec::new();
        let mut listed = None;
        let mut content = None;
        let entered = match opened {
            Ok(node) => {
                self.files.hold(node);
                self.race();
                if let Some(home) = visitor.device() {
                    let stat = self.stat_node(node);
                    if stat.is_ok_and(|stat| stat.id.dev != home) {
                        self.files.release(node);
                        let watched = Ok(());
                        visitor.entered(place.token, Entered { stat, watched });
                        return Vec::new();
                    }
                }
                let hasty = planted(Defect::ListBeforeWatch);
                let before = hasty.then(|| self.survey_entries(node, &mut entries));
                let watched = self.watch_node(place.token, node, inotify::TREE);
                self.race();
                let stat = self.stat_node(node);
                if stat.is_ok() {
                    self.race();
                    content = visitor.reads().map(|name| self.read_at(node, name));
                    listed = before.or_else(|| Some(self.survey_entries(node, &mut entries)));
                }
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
        // Other threads may be at work on other directories meanwhile.
        self.race();
        visitor.entered(place.token, entered);
        if let Some(content) = content {
            visitor.content(place.token, content);
        }
        let mut dirs = Vec::new();
        for (name, hint, stat) in entries {
            let path = place.path.join(OsStr::from_bytes(&name));
            match stat {
                Some(stat) if hint.kind != Some(Kind::Dir) => {
                    visitor.looked_at(place.token, &name, hint, stat);
                }
                _ => match visitor.found(place.token, &name, hint) {
                    Verdict::Skip => {}
                    Verdict::Enter(token) => dirs.push((token, path)),
                    Verdict::Leaf(token) => {
                        let stat = self.stat_path(&path);
                        let watched = Ok(());
                        visitor.entered(token, Entered { stat, watched });
                    }
                },
            }
        }
        if let Some(Err(error)) = listed {
            visitor.unlisted(place.token, error);
        }
        dirs
    }

    /// Reads an open directory, and looks at what is in it but for directories.
    fn survey_entries(&mut self, dir: Node, entries: &mut Surveyed) -> Result<(), Errno> {
        self.race();
        let mut listing = Listing::default();
        let listed = self.list(dir, &mut listing);
        for (name, mut hint) in listing.iter() {
            let stat = (hint.kind != Some(Kind::Dir)).then(|| {
                self.race();
                match self.child(dir, name) {
                    Ok(node) => self.stat_node(node),
                    Err(error) => {
                        self.counters.stats += 1;
                        Err(error)
                    }
                }
            });
            if let (None, Some(Ok(stat))) = (hint.kind, stat) {
                hint.kind = Some(stat.kind);
            }
            entries.push((name.into(), hint, stat));
        }
        listed
    }

    fn walk_leaf(&mut self, dir: Place<'_>, name: &[u8], token: Token, visitor: &mut dyn Visitor) {
        self.race();
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
