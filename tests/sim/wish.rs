//! What a watch of a scenario is asked for, and what that makes of a tree: the oracle's
//! idea of filters, which shares no code with the engine's.

use kw::engine::event::kind;
use kw::engine::filter::{Filter, Rules};
use kw::engine::watch::{Options, Settle, ALL_LEVELS};
use kw::kernel::sim::ops::{escape, unescape};
use kw::kernel::Kind;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The words after `watch`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wish {
    pub path: Box<[u8]>,
    pub flat: bool,
    pub dirs: bool,
    pub all: bool,
    pub initial: bool,
    /// 0: no limit.
    pub depth: usize,
    pub exclude: Vec<Box<[u8]>>,
    pub include: Vec<Box<[u8]>>,
    pub nohidden: bool,
    pub onlydirs: bool,
    pub onedevice: bool,
    pub missing: bool,
    pub gitignore: bool,
    pub expanded: bool,
    /// Milliseconds; 0: not at all.
    pub settle: u64,
    /// What was saved under that name; empty: nothing.
    pub since: String,
    pub label: String,
    /// Whether it must, or must not, succeed, if either.
    pub succeeds: Option<bool>,
}

impl Wish {
    pub fn parse(words: &[&str], succeeds: Option<bool>) -> Result<Wish, String> {
        let mut wish = Wish {
            path: b".".as_slice().into(),
            succeeds,
            ..Wish::default()
        };
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let number = || -> Result<usize, String> {
                let number = value.parse();
                number.map_err(|_| format!("{word:?}: no number"))
            };
            match key {
                "flat" => wish.flat = true,
                "dirs" => wish.dirs = true,
                "all" => wish.all = true,
                "initial" => wish.initial = true,
                "depth" => wish.depth = number()?,
                "exclude" => wish.exclude.push(unescape(value)?),
                "include" => wish.include.push(unescape(value)?),
                "nohidden" => wish.nohidden = true,
                "onlydirs" => wish.onlydirs = true,
                "onedevice" => wish.onedevice = true,
                "missing" => wish.missing = true,
                "gitignore" => wish.gitignore = true,
                "expanded" => wish.expanded = true,
                "since" => wish.since = value.to_string(),
                "settle" => wish.settle = number()? as u64,
                "as" => wish.label = words.next().ok_or("as what?")?.to_string(),
                _ => wish.path = unescape(word)?,
            }
        }
        Ok(wish)
    }

    /// What the engine is asked for.
    pub fn options(&self) -> Options {
        let bytes = |globs: &'_ Vec<Box<[u8]>>| globs.iter().map(|g| g.to_vec()).collect();
        let (exclude, include): (Vec<Vec<u8>>, Vec<Vec<u8>>) =
            (bytes(&self.exclude), bytes(&self.include));
        let exclude: Vec<&[u8]> = exclude.iter().map(Vec::as_slice).collect();
        let include: Vec<&[u8]> = include.iter().map(Vec::as_slice).collect();
        let filter = Filter::new(&Rules {
            exclude: &exclude,
            include: &include,
            hidden: self.nohidden,
            dirs_only: self.onlydirs,
            gitignore: self.gitignore,
        });
        Options {
            levels: match (self.flat, self.depth) {
                (true, _) => 1,
                (false, 0) => ALL_LEVELS,
                (false, depth) => depth,
            },
            one_device: self.onedevice,
            filter: filter.expect("patterns").map(Arc::new),
            dir_modified: self.dirs,
            sync_all: self.all,
            // As few as lets much happen before all is told.
            initial: if self.initial { 3 } else { 0 },
            mask: kind::ALL,
            expanded: self.expanded,
            settle: (self.settle > 0).then(|| Settle {
                quiet: Duration::from_millis(self.settle),
                longest: Duration::from_millis(self.settle * 10),
            }),
            may_be_absent: self.missing,
        }
    }

    /// Whether some of what is there is not followed.
    pub fn is_filtered(&self) -> bool {
        let globs = !(self.exclude.is_empty() && self.include.is_empty());
        let others = self.onlydirs || self.depth > 0 || self.onedevice || self.gitignore;
        globs || self.nohidden || others
    }

    /// Whether what is at a path is followed, if the directory it is in is. `rules`: what
    /// the files say that say what is excluded, each with its directory, the nearest last.
    pub fn wants(&self, path: &[u8], kind: Kind, rules: &[Rule]) -> bool {
        let is_dir = kind == Kind::Dir;
        let name = path.rsplit(|&b| b == b'/').next().unwrap_or(path);
        if self.gitignore {
            if name == b".gitignore" && kind == Kind::File {
                return true;
            }
            let excluded = || rules.iter().rev().find_map(|rule| rule.says(path, is_dir));
            if name == b".git" || (name != b".gitignore" || is_dir) && excluded() == Some(true) {
                return false;
            }
        }
        let matches = |glob: &[u8]| {
            let (glob, dirs) = match glob.strip_suffix(b"/") {
                Some(glob) => (glob, true),
                None => (glob, false),
            };
            let found = match glob.strip_prefix(b"/") {
                Some(anchored) => fits(anchored, path),
                None if glob.contains(&b'/') => fits(glob, path),
                None => fits(glob, name),
            };
            found && (is_dir || !dirs)
        };
        let excluded = (self.nohidden && name.first() == Some(&b'.'))
            || self.exclude.iter().any(|glob| matches(glob));
        let included = is_dir
            || (!self.onlydirs
                && (self.include.is_empty() || self.include.iter().any(|glob| matches(glob))));
        included && !excluded
    }

    /// Whether the entries of a directory at that path are followed.
    pub fn goes_into(&self, path: &[u8], is_on_root_device: bool) -> bool {
        if path.is_empty() {
            return true;
        }
        let level = 1 + path.iter().filter(|&&b| b == b'/').count();
        let limit = match (self.flat, self.depth) {
            (true, _) => 1,
            (false, 0) => usize::MAX,
            (false, depth) => depth,
        };
        level < limit && (is_on_root_device || !self.onedevice)
    }
}

/// What a `.gitignore` says, and in which directory.
#[derive(Clone, Debug)]
pub struct Rule {
    pub dir: Vec<u8>,
    pub text: Box<[u8]>,
}

impl Rule {
    /// Whether that is excluded, if anything is said of it.
    fn says(&self, path: &[u8], is_dir: bool) -> Option<bool> {
        let below = match self.dir.is_empty() {
            true => path,
            false => &path[self.dir.len() + 1..],
        };
        let name = below.rsplit(|&b| b == b'/').next().unwrap_or(below);
        let lines = self.text.split(|&b| b == b'\n').filter(|l| !l.is_empty());
        lines.rev().find_map(|line| {
            let (line, excludes) = match line.strip_prefix(b"!") {
                Some(line) => (line, false),
                None => (line, true),
            };
            let (line, dirs) = match line.strip_suffix(b"/") {
                Some(line) => (line, true),
                None => (line, false),
            };
            let found = match line.strip_prefix(b"/") {
                Some(line) => fits(line, below),
                None if line.contains(&b'/') => fits(line, below),
                None => fits(line, name),
            };
            (found && (is_dir || !dirs)).then_some(excludes)
        })
    }
}

/// Whether a text fits a pattern of `?`, `*` and `**/`.
fn fits(glob: &[u8], text: &[u8]) -> bool {
    match glob {
        [] => text.is_empty(),
        [b'*', b'*', b'/', rest @ ..] => {
            let mut starts = (0..text.len()).filter(|&at| at == 0 || text[at - 1] == b'/');
            starts.any(|at| fits(rest, &text[at..]))
        }
        [b'*', rest @ ..] => {
            let reach = text.iter().position(|&b| b == b'/').unwrap_or(text.len());
            (0..=reach).any(|at| fits(rest, &text[at..]))
        }
        [b'?', rest @ ..] => match text {
            [first, more @ ..] if *first != b'/' => fits(rest, more),
            _ => false,
        },
        [byte, rest @ ..] => match text {
            [first, more @ ..] if first == byte => fits(rest, more),
            _ => false,
        },
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.succeeds {
            Some(true) => "",
            Some(false) => "- ",
            None => "? ",
        })?;
        write!(f, "watch {}", escape(&self.path))?;
        let words = [
            (self.flat, " flat"),
            (self.dirs, " dirs"),
            (self.all, " all"),
            (self.initial, " initial"),
            (self.nohidden, " nohidden"),
            (self.onlydirs, " onlydirs"),
            (self.onedevice, " onedevice"),
            (self.missing, " missing"),
            (self.gitignore, " gitignore"),
            (self.expanded, " expanded"),
        ];
        for (_, word) in words.iter().filter(|(wanted, _)| *wanted) {
            f.write_str(word)?;
        }
        if self.depth > 0 {
            write!(f, " depth={}", self.depth)?;
        }
        if self.settle > 0 {
            write!(f, " settle={}", self.settle)?;
        }
        if !self.since.is_empty() {
            write!(f, " since={}", self.since)?;
        }
        for glob in &self.exclude {
            write!(f, " exclude={}", escape(glob))?;
        }
        for glob in &self.include {
            write!(f, " include={}", escape(glob))?;
        }
        match self.label.is_empty() {
            true => Ok(()),
            false => write!(f, " as {}", self.label),
        }
    }
}
