//! A kernel that misbehaves on request, so that a program can be tested against what is
//! rare: lost notes, refused watches, entries that cannot be looked at, notes that are late.
//!
//! Everything is asked of the real kernel, and some of its answers are replaced. Without a
//! script this is that kernel.

use super::room::Room;
use super::{
    Anchor, Counters, Entered, Entrant, Errno, Hint, Id, Kernel, Kind, Listing, Notes, Now, Place,
    Stat, Token, Verdict, Visitor,
};
use crate::collections::HashMap;
use globset::{GlobBuilder, GlobMatcher};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::ops::{Deref, DerefMut};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What goes wrong, as its lines have it.
#[derive(Clone, Default, Debug)]
pub struct Script {
    /// After so many notes some are lost, once or again and again.
    overflow: Option<(u64, bool)>,
    /// What cannot be watched, and why.
    refused: Vec<(Pattern, Errno)>,
    /// What cannot be looked at, and why.
    failing: Vec<(Pattern, Errno)>,
    /// So much later than they came notes are delivered.
    late: Duration,
}

/// A line that is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadLine(pub Vec<u8>);

#[derive(Clone, Debug)]
enum Pattern {
    Name(GlobMatcher),
    Path(GlobMatcher),
}

const ERRORS: &[(&str, i32)] = &[
    ("EACCES", libc::EACCES),
    ("EIO", libc::EIO),
    ("EMFILE", libc::EMFILE),
    ("ENFILE", libc::ENFILE),
    ("ENOMEM", libc::ENOMEM),
    ("ENOSPC", libc::ENOSPC),
    ("EPERM", libc::EPERM),
];

/// As late as a note may be: an hour.
const LATEST_MS: u64 = 3_600_000;

impl Pattern {
    fn parse(text: &str) -> Option<Pattern> {
        let build = |text: &str| {
            let glob = GlobBuilder::new(text)
                .literal_separator(true)
                .backslash_escape(true)
                .build();
            Some(glob.ok()?.compile_matcher())
        };
        match text {
            "" => None,
            path if path.starts_with('/') => build(path).map(Pattern::Path),
            path if path.contains('/') => build(&format!("**/{path}")).map(Pattern::Path),
            name => build(name).map(Pattern::Name),
        }
    }

    fn fits(&self, dir: &Path, name: &[u8]) -> bool {
        let name = OsStr::from_bytes(name);
        match self {
            Pattern::Name(glob) => glob.is_match(name),
            Pattern::Path(glob) => glob.is_match(dir.join(name)),
        }
    }
}

impl Script {
    /// Reads a script: a fault on each line; empty lines and what follows `#` are nothing.
    pub fn parse(text: &[u8]) -> Result<Script, BadLine> {
        let mut script = Script::default();
        for line in text.split(|&b| b == b'\n') {
            let bad = || BadLine(line.to_vec());
            let words = std::str::from_utf8(line).map_err(|_| bad())?;
            let words = words.split('#').next().unwrap_or_default();
            let words: Vec<&str> = words.split_ascii_whitespace().collect();
            script.add(&words).ok_or_else(bad)?;
        }
        Ok(script)
    }

    fn add(&mut self, words: &[&str]) -> Option<()> {
        let number = |word: &str| word.parse::<u64>().ok();
        let error = |word: &str| {
            let known = ERRORS.iter().find(|(name, _)| *name == word);
            known.map(|&(_, errno)| Errno(errno))
        };
        match *words {
            [] => {}
            ["overflow", "after", count] => self.overflow = Some((number(count)?, false)),
            ["overflow", "every", count] => {
                self.overflow = Some((number(count).filter(|&n| n > 0)?, true));
            }
            ["late", ms] => {
                let ms = number(ms).filter(|&ms| ms <= LATEST_MS)?;
                self.late = Duration::from_millis(ms);
            }
            ["refuse", pattern] => self.refused.push((Pattern::parse(pattern)?, Errno::FULL)),
            ["refuse", pattern, why] => {
                self.refused.push((Pattern::parse(pattern)?, error(why)?));
            }
            ["fail", pattern] => {
                self.failing
                    .push((Pattern::parse(pattern)?, Errno(libc::EIO)));
            }
            ["fail", pattern, why] => self.failing.push((Pattern::parse(pattern)?, error(why)?)),
            _ => return None,
        }
        Some(())
    }
}

fn why(faults: &[(Pattern, Errno)], dir: &Path, name: &[u8]) -> Result<(), Errno> {
    let fault = faults.iter().find(|(pattern, _)| pattern.fits(dir, name));
    fault.map_or(Ok(()), |&(_, error)| Err(error))
}

/// The same for something of which the whole path is known.
fn why_not(faults: &[(Pattern, Errno)], path: &Path) -> Result<(), Errno> {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let dir = path.parent().unwrap_or(Path::new(""));
    match faults.is_empty() {
        true => Ok(()),
        false => why(faults, dir, name),
    }
}

/// A kernel with faults.
#[derive(Debug)]
pub struct Faulty<K> {
    kernel: K,
    script: Option<Box<Running>>,
}

/// A script, and how far it has come.
#[derive(Debug)]
struct Running {
    script: Script,
    /// Notes since the last were lost.
    came: u64,
    /// What is held back, and until when.
    held: VecDeque<(Duration, Notes)>,
    fetched: Notes,
}

impl<K> Faulty<K> {
    /// That kernel, with the faults of a script if there is one.
    pub fn new(kernel: K, script: Option<Script>) -> Faulty<K> {
        let running = |script| {
            Box::new(Running {
                script,
                came: 0,
                held: VecDeque::new(),
                fetched: Notes::default(),
            })
        };
        Faulty {
            kernel,
            script: script.map(running),
        }
    }

    fn refused(&self) -> &[(Pattern, Errno)] {
        let script = self.script.as_ref();
        script.map_or(&[], |running| &running.script.refused)
    }

    fn failing(&self) -> &[(Pattern, Errno)] {
        let script = self.script.as_ref();
        script.map_or(&[], |running| &running.script.failing)
    }
}

impl<K> Deref for Faulty<K> {
    type Target = K;
    fn deref(&self) -> &K {
        &self.kernel
    }
}

impl<K> DerefMut for Faulty<K> {
    fn deref_mut(&mut self) -> &mut K {
        &mut self.kernel
    }
}

impl Running {
    /// Loses of what was fetched what is to be lost, and holds the rest back or passes it on.
    fn pass(&mut self, keep_writes: bool, now: Duration, into: &mut Notes) {
        let mut passed = Notes::default();
        let mut lost = false;
        for note in self.fetched.iter() {
            self.came += 1;
            let full = self.script.overflow.filter(|&(after, _)| self.came > after);
            lost |= full.is_some();
            // (Where a note may come before its change, it is not the time to look yet.)
            if !lost || keep_writes {
                passed.push_note(note);
            }
        }
        if lost {
            passed.push_overflow();
            self.came = 0;
            self.script.overflow = self.script.overflow.filter(|&(_, again)| again);
        }
        self.fetched.clear();
        if !passed.is_empty() {
            self.held.push_back((now + self.script.late, passed));
        }
        let later = self.held.partition_point(|(due, _)| *due <= now);
        for (_, notes) in self.held.drain(..later) {
            for note in notes.iter() {
                into.push_note(note);
            }
        }
    }
}

/// Tells a visitor of a crawl in which some things go wrong.
struct Faults<'a> {
    visitor: &'a mut dyn Visitor,
    script: &'a Script,
    /// Where what has been found is.
    paths: HashMap<Token, PathBuf>,
    /// What must not be watched after all.
    unwatch: Vec<Token>,
    /// Directories that cannot be listed.
    closed: HashMap<Token, Errno>,
}

impl Visitor for Faults<'_> {
    fn found(&mut self, parent: Token, name: &[u8], hint: Hint) -> Verdict {
        if self.closed.contains_key(&parent) {
            return Verdict::Skip;
        }
        let verdict = self.visitor.found(parent, name, hint);
        if let (Verdict::Enter(token) | Verdict::Leaf(token), Some(dir)) =
            (verdict, self.paths.get(&parent))
        {
            let path = dir.join(OsStr::from_bytes(name));
            self.paths.insert(token, path);
        }
        verdict
    }

    fn entered(&mut self, token: Token, entered: Entered) {
        let mut entered = entered;
        if let Some(path) = self.paths.get(&token) {
            let is_dir = entered.stat.is_ok_and(|stat| stat.kind == Kind::Dir);
            if let (Ok(()), Err(error)) = (entered.watched, why_not(&self.script.refused, path)) {
                entered.watched = Err(error);
                self.unwatch.push(token);
                // What may not be read can be neither watched nor listed.
                if is_dir && error.is_denied() {
                    self.closed.insert(token, error);
                }
            }
            if let Err(error) = why_not(&self.script.failing, path) {
                match is_dir {
                    true => drop(self.closed.insert(token, error)),
                    false => entered.stat = entered.stat.and(Err(error)),
                }
            }
            if !is_dir {
                self.paths.remove(&token);
            }
        }
        self.visitor.entered(token, entered);
    }

    fn goes_on(&mut self) -> bool {
        self.visitor.goes_on()
    }

    fn device(&self) -> Option<u64> {
        self.visitor.device()
    }

    fn reads(&self) -> Option<&'static [u8]> {
        self.visitor.reads()
    }

    fn content(&mut self, dir: Token, content: Result<Vec<u8>, Errno>) {
        self.visitor.content(dir, content);
    }

    fn unlisted(&mut self, dir: Token, error: Errno) {
        self.visitor.unlisted(dir, error);
    }
}

impl<K: Kernel> Kernel for Faulty<K> {
    const EXACT: bool = K::EXACT;
    const NAMES: bool = K::NAMES;
    const PINS: bool = K::PINS;
    const EARLY: Option<Duration> = K::EARLY;
    const FOLDS: bool = K::FOLDS;

    fn now(&self) -> Now {
        self.kernel.now()
    }

    fn crawl(&mut self, root: Place<'_>, visitor: &mut dyn Visitor) {
        if self.refused().is_empty() && self.failing().is_empty() {
            return self.kernel.crawl(root, visitor);
        }
        let Some(running) = &self.script else {
            return;
        };
        let mut faults = Faults {
            visitor,
            script: &running.script,
            paths: HashMap::new(),
            unwatch: Vec::new(),
            closed: HashMap::new(),
        };
        faults.paths.insert(root.token, root.path.to_path_buf());
        self.kernel.crawl(root, &mut faults);
        let Faults {
            visitor,
            unwatch,
            closed,
            ..
        } = faults;
        for token in unwatch {
            self.kernel.unwatch(token);
        }
        for (dir, error) in closed {
            visitor.unlisted(dir, error);
        }
    }

    fn scan(&mut self, dir: Place<'_>, into: &mut Listing) -> Result<Result<(), Errno>, Errno> {
        if self.script.is_none() {
            return self.kernel.scan(dir, into);
        }
        let watched = self.kernel.scan(dir, into)?;
        why_not(self.failing(), dir.path)?;
        let refused = why_not(self.refused(), dir.path);
        let Err(error) = refused else {
            return Ok(watched);
        };
        self.kernel.unwatch(dir.token);
        match error.is_denied() {
            true => Err(error),
            false => Ok(refused),
        }
    }

    fn stat(&mut self, dir: Place<'_>, name: &[u8]) -> Result<Stat, Errno> {
        if self.script.is_none() {
            return self.kernel.stat(dir, name);
        }
        let stat = self.kernel.stat(dir, name)?;
        // (What fails of a directory is its listing.)
        if stat.kind != Kind::Dir {
            why(self.failing(), dir.path, name)?;
        }
        Ok(stat)
    }

    fn read(&mut self, dir: Place<'_>, name: &[u8]) -> Result<Vec<u8>, Errno> {
        let content = self.kernel.read(dir, name)?;
        why(self.failing(), dir.path, name)?;
        Ok(content)
    }

    fn is_spelled(&mut self, dir: Place<'_>, name: &[u8]) -> bool {
        self.kernel.is_spelled(dir, name)
    }

    fn resolve(&mut self, path: &Path) -> Result<PathBuf, Errno> {
        self.kernel.resolve(path)
    }

    fn read_link(&mut self, path: &Path) -> Result<PathBuf, Errno> {
        self.kernel.read_link(path)
    }

    fn stat_path(&mut self, path: &Path) -> Result<Stat, Errno> {
        self.kernel.stat_path(path)
    }

    fn enter(&mut self, dir: Place<'_>, entrants: &mut [Entrant<'_>]) {
        self.kernel.enter(dir, entrants);
        if self.refused().is_empty() && self.failing().is_empty() {
            return;
        }
        for entrant in entrants {
            let Some(entered) = &mut entrant.entered else {
                continue;
            };
            if entered.stat.is_ok_and(|stat| stat.kind != Kind::Dir) {
                let failed = why(self.failing(), dir.path, entrant.name);
                entered.stat = entered.stat.and_then(|stat| failed.map(|()| stat));
            }
            let refused = match K::NAMES {
                true => Ok(()), // Their directory is watched.
                false => why(self.refused(), dir.path, entrant.name),
            };
            if entered.watched.is_ok() && refused.is_err() {
                entered.watched = refused;
                self.kernel.unwatch(entrant.token);
            }
        }
    }

    fn watch_path(&mut self, token: Token, path: &Path, id: Option<Id>) -> Result<(), Errno> {
        why_not(self.refused(), path)?;
        self.kernel.watch_path(token, path, id)
    }

    fn watch_anchor(&mut self, token: Token, path: &Path, role: Anchor) -> Result<(), Errno> {
        why_not(self.refused(), path)?;
        self.kernel.watch_anchor(token, path, role)
    }

    fn unwatch(&mut self, token: Token) {
        self.kernel.unwatch(token);
    }

    fn notes(&mut self, into: &mut Notes) -> Result<(), Errno> {
        let Some(running) = &mut self.script else {
            return self.kernel.notes(into);
        };
        let fetched = self.kernel.notes(&mut running.fetched);
        let now = self.kernel.now().since;
        running.pass(K::EARLY.is_some(), now, into);
        fetched
    }

    fn due(&self) -> Option<Duration> {
        let held = &self.script.as_ref()?.held;
        held.front().map(|(due, _)| *due)
    }

    fn set_deadline(&mut self, at: Option<Duration>) -> Result<(), Errno> {
        self.kernel.set_deadline(at)
    }

    fn counters(&self) -> Counters {
        self.kernel.counters()
    }

    fn whereabouts(&mut self, token: Token) -> Option<PathBuf> {
        self.kernel.whereabouts(token)
    }

    fn held(&self) -> (u64, u64) {
        self.kernel.held()
    }

    fn is_watched(&self, token: Token) -> bool {
        self.kernel.is_watched(token)
    }

    fn is_shared(&self, token: Token) -> bool {
        self.kernel.is_shared(token)
    }

    fn tokens(&self) -> impl Iterator<Item = Token> + '_ {
        self.kernel.tokens()
    }

    fn room(&self) -> &Room {
        self.kernel.room()
    }

    fn room_mut(&mut self) -> &mut Room {
        self.kernel.room_mut()
    }

    fn reopen_room(&mut self) {
        self.kernel.reopen_room();
    }

    fn is_full(&self) -> bool {
        self.kernel.is_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Note, What};

    #[test]
    fn what_is_no_fault_is_named() {
        for bad in [
            "overflow",
            "overflow after",
            "overflow after x",
            "overflow every 0",
            "late -1",
            "late 3600001",
            "refuse",
            "refuse a EWHAT",
            "refuse a EIO b",
            "fail [",
            "lose 1",
        ] {
            let text = format!("# fine\n\nlate 5\n{bad}\nrefuse a\n");
            let bad = BadLine(bad.as_bytes().to_vec());
            assert_eq!(Script::parse(text.as_bytes()).err(), Some(bad));
        }
        assert_eq!(
            Script::parse(b"\xff").err(),
            Some(BadLine(b"\xff".to_vec()))
        );
        assert!(Script::parse(b"").is_ok());
    }

    #[test]
    fn a_pattern_is_for_names_or_for_ends_of_paths() {
        let fits = |pattern: &str, path: &str| {
            let (dir, name) = path.rsplit_once('/').unwrap();
            Pattern::parse(pattern)
                .unwrap()
                .fits(Path::new(dir), name.as_bytes())
        };
        assert!(fits("*.c", "/a/b.c") && !fits("*.c", "/a.c/b"));
        assert!(fits("a/*.c", "/x/a/b.c") && !fits("a/*.c", "/x/ba/b.c"));
        assert!(fits("/a/b", "/a/b") && !fits("/a/b", "/x/a/b"));
    }

    #[test]
    fn what_comes_after_so_many_notes_is_lost_and_the_rest_is_late() {
        let token = |index| Token::Entry {
            watch: 1,
            index,
            generation: 1,
        };
        let script = Script::parse(b"overflow every 2\nlate 5").unwrap();
        let mut running = Faulty::new((), Some(script)).script.unwrap();
        let mut into = Notes::default();
        let at = Duration::from_millis;
        for i in 0..4 {
            running.fetched.push([token(i)], None, What::WRITE);
        }
        running.pass(false, at(1), &mut into);
        assert!(into.is_empty());
        running.fetched.push([token(9)], None, What::WRITE);
        running.pass(false, at(5), &mut into);
        assert!(into.is_empty());
        running.pass(false, at(6), &mut into);
        let one = |index| Note::Entry(token(index), What::WRITE);
        assert_eq!(
            into.iter().collect::<Vec<_>>(),
            [one(0), one(1), Note::Overflow]
        );
        into.clear();
        running.pass(false, at(10), &mut into);
        assert_eq!(into.iter().collect::<Vec<_>>(), [one(9)]);
    }
}
