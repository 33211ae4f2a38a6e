//! What the `.gitignore` files of a tree exclude: each directory's rules, as they were
//! read the last time.
//!
//! What an excluded directory holds is never asked for, so that nothing below it can be
//! included again, which is what git does, too.

use super::filter::NAME;
use crate::collections::{HashMap, IndexSet};
use crate::kernel::{Errno, Kind};
use crate::tree::Key;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use ignore::Match;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What a directory's file says.
#[derive(Debug)]
struct Rules {
    text: Vec<u8>,
    globs: Gitignore,
    /// Why it could not be read.
    trouble: Option<Errno>,
}

/// The rules of every directory that has some.
#[derive(Default, Debug)]
pub struct Gitignores {
    rules: HashMap<Key, Rules>,
    /// Directories of which it is not known, because they were not where they should be or
    /// something was used up.
    pub unread: IndexSet<Key>,
    /// How many there may be before those of directories that are gone are forgotten.
    room: usize,
}

/// What rules say of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Says {
    Nothing,
    Excluded,
    Included,
}

impl Gitignores {
    /// Takes down what a directory's file holds, or why that is not known. Whether it is
    /// anything new.
    pub fn set(&mut self, dir: Key, content: Result<Vec<u8>, Errno>) -> bool {
        let (text, trouble) = match content {
            Ok(text) => (text, None),
            // There is none.
            Err(error) if error.is_absent() => (Vec::new(), None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let before = self.rules.get(&dir);
        if before.is_some_and(|rules| rules.text == text && rules.trouble == trouble) {
            return false;
        }
        if text.is_empty() && trouble.is_none() {
            let before = self.rules.remove(&dir);
            return before.is_some_and(|rules| !rules.text.is_empty());
        }
        let differs = before.map_or(&[][..], |rules| &rules.text) != text;
        let globs = parse(&text);
        let rules = Rules {
            text,
            globs,
            trouble,
        };
        self.rules.insert(dir, rules);
        differs
    }

    /// Why a directory's file could not be read.
    pub fn trouble(&self, dir: Key) -> Option<Errno> {
        self.rules.get(&dir)?.trouble
    }

    /// Whether there are none at all.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.rules.clear();
        self.unread.clear();
    }

    /// Forgets those of directories that are gone, if they may be many.
    pub fn forget(&mut self, is_there: impl Fn(Key) -> bool) {
        if self.rules.len() > self.room {
            self.rules.retain(|&dir, _| is_there(dir));
            self.room = 64 + 2 * self.rules.len();
        }
    }

    /// Whether an entry is excluded. `way`: the directory it is in, and those above, each
    /// with its own name. `kind` `None`: it is not known; what it decides is left open.
    pub fn exclude<'a>(
        &self,
        way: impl Iterator<Item = (Key, &'a [u8])>,
        name: &[u8],
        kind: Option<Kind>,
    ) -> bool {
        if self.is_empty() || (name == NAME && kind != Some(Kind::Dir)) {
            return false;
        }
        let mut path = name.to_vec();
        for (dir, own_name) in way {
            if let Some(rules) = self.rules.get(&dir) {
                match rules.say(&path, kind) {
                    Says::Nothing => {}
                    Says::Excluded => return true,
                    Says::Included => return false,
                }
            }
            path.splice(0..0, own_name.iter().copied().chain([b'/']));
        }
        false
    }
}

impl Rules {
    fn say(&self, path: &[u8], kind: Option<Kind>) -> Says {
        let says = |is_dir| match self
            .globs
            .matched(Path::new(OsStr::from_bytes(path)), is_dir)
        {
            Match::None => Says::Nothing,
            Match::Ignore(_) => Says::Excluded,
            Match::Whitelist(_) => Says::Included,
        };
        match kind {
            Some(kind) => says(kind == Kind::Dir),
            // Not excluded until that is sure.
            None => match (says(false), says(true)) {
                (one, other) if one == other => one,
                _ => Says::Included,
            },
        }
    }
}

/// A line that is no pattern says nothing.
fn parse(text: &[u8]) -> Gitignore {
    let mut builder = GitignoreBuilder::new(".");
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    for line in text.split(|&b| b == b'\n') {
        if let Ok(line) = std::str::from_utf8(line) {
            let _ = builder.add_line(None, &without_braces(line));
        }
    }
    // Together they may be too large a machine.
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

/// To git a brace is a character like any other.
fn without_braces(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let (mut escaped, mut in_class) = (false, false);
    for c in line.chars() {
        if matches!(c, '{' | '}') && !escaped && !in_class {
            plain.push('\\');
        }
        plain.push(c);
        in_class = match c {
            '[' if !escaped => true,
            ']' => false,
            _ => in_class,
        };
        escaped = c == '\\' && !escaped;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(index: u32) -> Key {
        Key::from_parts(index, 1)
    }

    #[test]
    fn the_nearest_rule_decides_and_within_a_file_the_last() {
        let mut all = Gitignores::default();
        let (root, sub) = (key(0), key(1));
        assert!(all.set(
            root,
            Ok(b"# objects\n*.o\n/build/\nsub/x\n\xff\n[".to_vec())
        ));
        assert!(all.set(sub, Ok(b"!keep.o\r\ny\n!y\n".to_vec())));
        let ask = |dir, name: &str, kind| {
            let way: &[(Key, &[u8])] = match dir {
                0 => &[(root, b"")],
                _ => &[(sub, b"sub"), (root, b"")],
            };
            all.exclude(way.iter().copied(), name.as_bytes(), kind)
        };
        let file = Some(Kind::File);
        assert!(ask(0, "a.o", file) && ask(1, "a.o", file) && ask(1, "a.o", None));
        assert!(ask(0, "keep.o", file) && !ask(1, "keep.o", file));
        assert!(ask(0, "build", Some(Kind::Dir)) && !ask(0, "build", file));
        assert!(!ask(0, "build", None) && !ask(1, "build", Some(Kind::Dir)));
        assert!(ask(1, "x", file) && !ask(0, "x", file) && !ask(1, "y", file));
        // It is needed itself.
        assert!(!ask(0, ".gitignore", file));
    }

    #[test]
    fn braces_are_characters() {
        let mut all = Gitignores::default();
        all.set(key(0), Ok(b"*.{o,a}\n{{name}}/\n[{]\n\\{x\n".to_vec()));
        let ask = |name: &str| {
            let way: [(Key, &[u8]); 1] = [(key(0), b"")];
            all.exclude(way.into_iter(), name.as_bytes(), Some(Kind::Dir))
        };
        assert!(!ask("f.o") && ask("f.{o,a}") && ask("{{name}}"));
        assert!(!ask("name") && ask("{") && ask("{x"));
    }

    #[test]
    fn what_is_new_is_noticed() {
        let mut all = Gitignores::default();
        assert!(!all.set(key(1), Ok(Vec::new())) && !all.set(key(1), Err(Errno::ABSENT)));
        assert!(all.set(key(1), Ok(b"a".to_vec())) && !all.set(key(1), Ok(b"a".to_vec())));
        assert!(all.set(key(1), Err(Errno(libc::EACCES))));
        assert_eq!(all.trouble(key(1)), Some(Errno(libc::EACCES)));
        assert!(!all.set(key(1), Err(Errno::ABSENT)) && all.is_empty());
        all.set(key(2), Ok(b"b".to_vec()));
        all.forget(|_| false);
        assert!(all.is_empty());
    }
}
