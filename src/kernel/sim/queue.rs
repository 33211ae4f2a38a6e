//! Who watches what, and what waits to be fetched: `EVFILT_VNODE` knotes, or
//! one inotify instance.
//!
//! What is posted here are a kernel's own words; [`Queue::fetch`] turns them
//! into notes with the very functions that the real kernels' code uses.

use super::files::{Files, Name, Node};
use crate::kernel::hint::{inotify, vnode};
use crate::kernel::{Errno, Id, Kind, Notes, Token};
use hashbrown::{HashMap, HashSet};
use std::collections::VecDeque;

/// One word to those who watch an inode.
#[derive(Clone, Debug)]
pub struct Post {
    /// What is watched.
    pub node: Node,
    /// `NOTE_` bits, or an `IN_` mask.
    pub bits: u32,
    /// The entry of the directory it is about (inotify).
    pub name: Option<Name>,
    /// Ties the two halves of a rename together (inotify).
    pub cookie: u32,
}

/// A descriptor registered with a kqueue.
#[derive(Debug)]
struct Knote {
    node: Node,
    asked: u32,
    pending: u32,
    queued: bool,
    found: (Id, Kind),
}

/// A watch descriptor of inotify.
#[derive(Debug)]
struct Wd {
    node: Node,
    mask: u32,
}

/// An event in an inotify queue.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Event {
    wd: i32,
    mask: u32,
    cookie: u32,
    name: Option<Name>,
}

/// A kqueue with its knotes, or an inotify instance with its watches.
#[derive(Debug, Default)]
pub struct Queue {
    inotify: bool,
    /// How many watches there may be.
    pub limit: Option<usize>,
    /// How many events an inotify queue holds.
    pub capacity: usize,
    /// The bit by which this kernel tells of a truncation, if it has one (kqueue).
    pub truncate: u32,
    knotes: HashMap<Token, Knote>,
    /// Which knotes an inode has.
    watchers: HashMap<Node, Vec<Token>>,
    active: VecDeque<Token>,
    wds: HashMap<i32, Wd>,
    wd_of: HashMap<Node, i32>,
    last_wd: i32,
    events: VecDeque<Event>,
    /// The library's side of inotify: who is told of a watch descriptor.
    tokens: HashMap<i32, Vec<Token>>,
    watches: HashMap<Token, i32>,
}

impl Queue {
    /// Nothing watched.
    pub fn new(inotify: bool) -> Queue {
        Queue {
            inotify,
            capacity: 16384,
            ..Queue::default()
        }
    }

    /// How many watches there are.
    pub fn len(&self) -> usize {
        if self.inotify {
            self.wds.len()
        } else {
            self.knotes.len()
        }
    }

    /// How many watches the library knows of: of those that the kernel has ended it
    /// is told later.
    pub fn held(&self) -> usize {
        if self.inotify {
            self.tokens.len()
        } else {
            self.knotes.len()
        }
    }

    /// Whether the library has a watch for a token, as far as it knows.
    pub fn holds(&self, token: Token) -> bool {
        self.knotes.contains_key(&token) || self.watches.contains_key(&token)
    }

    /// Whether another token has the same watch descriptor (inotify).
    pub fn is_shared(&self, token: Token) -> bool {
        let wd = self.watches.get(&token);
        let tokens = wd.and_then(|wd| self.tokens.get(wd));
        tokens.is_some_and(|tokens| tokens.len() > 1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which inode a token's watch is on.
    pub fn node_of(&self, token: Token) -> Option<Node> {
        if self.inotify {
            let wd = self.watches.get(&token)?;
            Some(self.wds.get(wd)?.node)
        } else {
            Some(self.knotes.get(&token)?.node)
        }
    }

    /// What a descriptor turned out to be when it was registered (kqueue).
    pub fn found(&self, token: Token) -> Option<(Id, Kind)> {
        self.knotes.get(&token).map(|k| k.found)
    }

    /// The `NOTE_` bits that wait for a token, as they were posted (kqueue).
    pub fn pending(&self, token: Token) -> u32 {
        self.knotes.get(&token).map_or(0, |k| k.pending)
    }

    /// Every token that has a watch.
    pub fn tokens(&self) -> impl Iterator<Item = Token> + '_ {
        let knotes = self.knotes.keys().copied();
        knotes.chain(self.watches.keys().copied())
    }

    /// Whether anybody watches an inode.
    pub fn is_watched(&self, node: Node) -> bool {
        self.watchers.get(&node).is_some_and(|t| !t.is_empty()) || self.wd_of.contains_key(&node)
    }

    /// Whether every one of the library's watches that watches anything watches
    /// this inode as an entry.
    pub fn is_watched_by_all(&self, node: Node) -> bool {
        let id = |token: Token| match token {
            Token::Entry { watch, .. } | Token::Anchor { watch, .. } => watch,
        };
        let all: HashSet<i32> = self.tokens().map(id).collect();
        let entry = |token: &Token| matches!(token, Token::Entry { .. });
        let here = self.tokens().filter(entry);
        let here = here.filter(|&token| self.node_of(token) == Some(node));
        let here: HashSet<i32> = here.map(id).collect();
        here.len() == all.len()
    }

    /// Whether one more watch would be too many.
    pub fn is_full(&self, underway: usize) -> bool {
        self.limit
            .is_some_and(|limit| self.len() + underway >= limit)
    }

    /// Whether a fetch would bring anything.
    pub fn is_readable(&self) -> bool {
        !self.active.is_empty() || !self.events.is_empty()
    }

    /// Adds a watch, or adds to the one that is there.
    pub fn add(
        &mut self,
        files: &mut Files,
        token: Token,
        node: Node,
        asked: u32,
    ) -> Result<(), Errno> {
        if self.inotify {
            return self.add_wd(files, token, node, asked);
        }
        self.remove(files, token);
        files.hold(node);
        let stat = files.stat(node);
        let knote = Knote {
            node,
            asked,
            pending: 0,
            queued: false,
            found: (stat.id, stat.kind),
        };
        self.knotes.insert(token, knote);
        self.watchers.entry(node).or_default().push(token);
        Ok(())
    }

    /// `inotify_add_watch(IN_MASK_ADD)`, and who it is for.
    fn add_wd(
        &mut self,
        files: &mut Files,
        token: Token,
        node: Node,
        asked: u32,
    ) -> Result<(), Errno> {
        let wd = match self.wd_of.get(&node) {
            Some(&wd) => wd,
            None if self.is_full(0) => return Err(Errno::FULL),
            None => {
                files.hold(node);
                self.last_wd += 1;
                self.wd_of.insert(node, self.last_wd);
                self.wds.insert(self.last_wd, Wd { node, mask: 0 });
                self.last_wd
            }
        };
        if let Some(watch) = self.wds.get_mut(&wd) {
            watch.mask |= asked;
        }
        match self.watches.insert(token, wd) {
            Some(old) if old == wd => return Ok(()),
            Some(old) => self.let_go(files, token, old),
            None => {}
        }
        self.tokens.entry(wd).or_default().push(token);
        Ok(())
    }

    /// Ends a token's watch, if it has one.
    pub fn remove(&mut self, files: &mut Files, token: Token) -> bool {
        if self.inotify {
            let wd = self.watches.remove(&token);
            if let Some(wd) = wd {
                self.let_go(files, token, wd);
            }
            return wd.is_some();
        }
        let Some(knote) = self.knotes.remove(&token) else {
            return false;
        };
        if let Some(tokens) = self.watchers.get_mut(&knote.node) {
            tokens.retain(|&t| t != token);
        }
        // close(2) takes the knote and what was pending with it.
        self.active.retain(|&t| t != token);
        files.release(knote.node);
        true
    }

    /// A watch descriptor ends with its last token: `inotify_rm_watch`.
    fn let_go(&mut self, files: &mut Files, token: Token, wd: i32) {
        let Some(tokens) = self.tokens.get_mut(&wd) else {
            return;
        };
        tokens.retain(|&t| t != token);
        if tokens.is_empty() {
            self.tokens.remove(&wd);
            self.end_wd(files, wd);
        }
    }

    /// The kernel drops a watch descriptor, and says so.
    fn end_wd(&mut self, files: &mut Files, wd: i32) {
        if let Some(watch) = self.wds.remove(&wd) {
            self.wd_of.remove(&watch.node);
            files.release(watch.node);
            self.push(Event {
                wd,
                mask: inotify::IGNORED,
                cookie: 0,
                name: None,
            });
        }
    }

    fn push(&mut self, event: Event) {
        match self.events.back() {
            Some(last) if *last == event => {} // Only the last one is looked at.
            Some(last) if last.wd == -1 => {}  // Lost, until the queue is read.
            _ if self.events.len() < self.capacity => self.events.push_back(event),
            _ => self.overflow(),
        }
    }

    /// The queue has overflowed: what comes from now on is lost until it is read.
    pub fn overflow(&mut self) {
        if self.inotify {
            self.events.push_back(Event {
                wd: -1,
                mask: inotify::Q_OVERFLOW,
                cookie: 0,
                name: None,
            });
        }
    }

    /// Tells those who watch an inode. Whether anyone was told.
    pub fn post(&mut self, files: &mut Files, post: &Post) -> bool {
        if !self.inotify {
            return self.post_knotes(post);
        }
        let Some(&wd) = self.wd_of.get(&post.node) else {
            return false;
        };
        let asked = self.wds.get(&wd).map_or(0, |w| w.mask);
        let mut told = false;
        if post.bits & (asked | inotify::UNMOUNT) & !inotify::ISDIR != 0 {
            told = true;
            self.push(Event {
                wd,
                mask: post.bits,
                cookie: post.cookie,
                name: post.name.clone(),
            });
        }
        // What is removed or unmounted is watched no longer.
        if post.bits & (inotify::DELETE_SELF | inotify::UNMOUNT) != 0 {
            self.end_wd(files, wd);
        }
        told
    }

    fn post_knotes(&mut self, post: &Post) -> bool {
        let mut told = false;
        for &token in self.watchers.get(&post.node).into_iter().flatten() {
            let Some(knote) = self.knotes.get_mut(&token) else {
                continue;
            };
            // A revocation comes to everyone; of the rest the whole hint, if any
            // bit of it was asked for.
            if post.bits & (knote.asked | vnode::REVOKE) == 0 {
                continue;
            }
            told = true;
            knote.pending |= post.bits;
            if !knote.queued {
                knote.queued = true;
                self.active.push_back(token);
            }
        }
        told
    }

    /// Takes everything that waits. Answers how many events there were.
    pub fn fetch(&mut self, files: &mut Files, into: &mut Notes) -> u64 {
        if self.inotify {
            return self.read(into);
        }
        let mut count = 0;
        while let Some(token) = self.active.pop_front() {
            let Some(knote) = self.knotes.get_mut(&token) else {
                continue;
            };
            count += 1;
            knote.queued = false;
            let bits = std::mem::take(&mut knote.pending);
            let what = vnode::what(
                bits & (knote.asked | self.truncate | vnode::REVOKE),
                self.truncate,
                knote.found.1 == Kind::Dir,
            );
            if bits & vnode::REVOKE != 0 {
                self.remove(files, token);
            }
            if what != crate::kernel::What::default() {
                into.push([token], None, what);
            }
        }
        count
    }

    fn read(&mut self, into: &mut Notes) -> u64 {
        let count = self.events.len() as u64;
        for event in std::mem::take(&mut self.events) {
            if event.mask & inotify::Q_OVERFLOW != 0 {
                into.push_overflow();
                continue;
            }
            let what = inotify::what(event.mask);
            let tokens = self.tokens.get(&event.wd).into_iter().flatten();
            into.push(tokens.copied(), event.name.as_deref(), what);
            if event.mask & inotify::IGNORED != 0 {
                for token in self.tokens.remove(&event.wd).unwrap_or_default() {
                    self.watches.remove(&token);
                }
            }
        }
        count
    }
}
