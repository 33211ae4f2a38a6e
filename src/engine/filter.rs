//! Which entries of a tree are followed.
//!
//! What is excluded does not exist for a watch: a listing leaves it out and a look at its
//! name finds nothing. So what is moved there is told as deleted, and what comes from there
//! as created, and neither the plan nor its order need to know of filters.

use crate::kernel::Kind;
use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Patterns for names and for paths; of each those that mean directories alone.
#[derive(Debug)]
struct Globs {
    names: GlobSet,
    paths: GlobSet,
    dir_names: GlobSet,
    dir_paths: GlobSet,
}

/// A pattern that is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadGlob(pub Vec<u8>);

impl Globs {
    /// A pattern without a slash is one for names, at any depth, one with a slash for paths
    /// relative to the root. A slash at the end means a directory.
    fn new(patterns: &[&[u8]]) -> Result<Globs, BadGlob> {
        let mut sets = [const { None::<GlobSetBuilder> }; 4];
        for &pattern in patterns {
            let bad = || BadGlob(pattern.to_vec());
            let text = std::str::from_utf8(pattern).map_err(|_| bad())?;
            let (text, dirs) = match text.strip_suffix('/') {
                Some(rest) => (rest, true),
                None => (text, false),
            };
            let (path, paths) = match text.strip_prefix('/') {
                Some(rest) => (rest, true),
                None => (text, text.contains('/')),
            };
            if path.is_empty() {
                return Err(bad());
            }
            let glob = GlobBuilder::new(path)
                .literal_separator(true)
                .backslash_escape(true)
                .build()
                .map_err(|_| bad())?;
            let at = usize::from(paths) + 2 * usize::from(dirs);
            sets[at].get_or_insert_with(GlobSetBuilder::new).add(glob);
        }
        // Together they may be too large a machine.
        let all = || BadGlob(patterns.join(&b' '));
        let [names, paths, dir_names, dir_paths] = sets.map(|set| match set {
            Some(set) => set.build().map_err(|_| all()),
            None => Ok(GlobSet::empty()),
        });
        Ok(Globs {
            names: names?,
            paths: paths?,
            dir_names: dir_names?,
            dir_paths: dir_paths?,
        })
    }

    fn has_paths(&self) -> bool {
        !(self.paths.is_empty() && self.dir_paths.is_empty())
    }

    fn is_empty(&self) -> bool {
        !self.has_paths() && self.names.is_empty() && self.dir_names.is_empty()
    }

    fn has_name(&self, name: &Candidate<'_>, is_dir: bool) -> bool {
        self.names.is_match_candidate(name) || (is_dir && self.dir_names.is_match_candidate(name))
    }

    fn has_path(&self, path: &Candidate<'_>, is_dir: bool) -> bool {
        self.paths.is_match_candidate(path) || (is_dir && self.dir_paths.is_match_candidate(path))
    }
}

fn candidate(bytes: &[u8]) -> Candidate<'_> {
    Candidate::new(Path::new(OsStr::from_bytes(bytes)))
}

/// What the caller asked for.
#[derive(Clone, Copy, Default, Debug)]
pub struct Rules<'a> {
    /// What matches one of these is excluded.
    pub exclude: &'a [&'a [u8]],
    /// If there are any: what is no directory and matches none of these is excluded.
    pub include: &'a [&'a [u8]],
    /// Names that begin with a dot are excluded.
    pub hidden: bool,
    /// What is no directory is excluded.
    pub dirs_only: bool,
    /// What `.gitignore` files say is heeded.
    pub gitignore: bool,
}

/// The name of a file that says what is excluded in the directory it is in.
pub const NAME: &[u8] = b".gitignore";
/// What git keeps for itself.
const GIT: &[u8] = b".git";

/// Which entries are followed.
#[derive(Debug)]
pub struct Filter {
    exclude: Globs,
    include: Option<Globs>,
    hidden: bool,
    dirs_only: bool,
    gitignore: bool,
}

impl Filter {
    /// A filter; `None` if it would exclude nothing.
    pub fn new(rules: &Rules<'_>) -> Result<Option<Filter>, BadGlob> {
        let filter = Filter {
            exclude: Globs::new(rules.exclude)?,
            include: match rules.include {
                [] => None,
                patterns => Some(Globs::new(patterns)?),
            },
            hidden: rules.hidden,
            dirs_only: rules.dirs_only,
            gitignore: rules.gitignore,
        };
        let excludes = !filter.exclude.is_empty()
            || filter.include.is_some()
            || filter.hidden
            || filter.dirs_only
            || filter.gitignore;
        Ok(excludes.then_some(filter))
    }

    /// Whether an entry's path, and not only its name, decides about it.
    pub fn depends_on_path(&self) -> bool {
        let globs = [Some(&self.exclude), self.include.as_ref()];
        self.gitignore || globs.into_iter().flatten().any(Globs::has_paths)
    }

    /// Whether what `.gitignore` files say is heeded.
    pub fn heeds_gitignore(&self) -> bool {
        self.gitignore
    }

    /// Whether something of that name says what is excluded, so that it is followed whatever
    /// else is asked for.
    fn is_rule(&self, name: &[u8], kind: Option<Kind>) -> bool {
        self.gitignore && name == NAME && kind.is_none_or(|kind| kind == Kind::File)
    }

    /// Whether everything of this name is excluded, wherever it is and whatever it is.
    pub fn excludes_name(&self, name: &[u8]) -> bool {
        self.excludes_name_of(name, &candidate(name), None)
    }

    fn excludes_name_of(&self, name: &[u8], candidate: &Candidate<'_>, kind: Option<Kind>) -> bool {
        let is_dir = kind == Some(Kind::Dir);
        if self.is_rule(name, kind) {
            return false;
        }
        (self.hidden && name.first() == Some(&b'.'))
            || (self.gitignore && name == GIT)
            || self.exclude.has_name(candidate, is_dir)
    }

    /// Whether an entry is excluded. `kind` `None`: it is not known; what it decides is left
    /// open. `path` is the path relative to the root, for those who
    /// [depend on it](Filter::depends_on_path).
    pub fn excludes(&self, path: &[u8], name: &[u8], kind: Option<Kind>) -> bool {
        let is_dir = kind == Some(Kind::Dir);
        let by_name = candidate(name);
        if self.excludes_name_of(name, &by_name, kind) {
            return true;
        }
        if self.is_rule(name, kind) {
            return false;
        }
        let by_path = self.depends_on_path().then(|| candidate(path));
        let on_path = |globs: &Globs| {
            let path = by_path.as_ref();
            path.is_some_and(|path| globs.has_path(path, is_dir))
        };
        if on_path(&self.exclude) {
            return true;
        }
        if is_dir || kind.is_none() {
            return false;
        }
        let included = |globs: &Globs| globs.has_name(&by_name, false) || on_path(globs);
        self.dirs_only || self.include.as_ref().is_some_and(|globs| !included(globs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(exclude: &[&[u8]], include: &[&[u8]]) -> Filter {
        let rules = Rules {
            exclude,
            include,
            ..Rules::default()
        };
        Filter::new(&rules).unwrap().unwrap()
    }

    fn excludes(filter: &Filter, path: &str, kind: Kind) -> bool {
        let name = path.rsplit('/').next().unwrap();
        filter.excludes(path.as_bytes(), name.as_bytes(), Some(kind))
    }

    #[test]
    fn a_pattern_without_a_slash_is_for_names() {
        let filter = filter(&[b"*.o", b"build/"], &[]);
        assert!(!filter.depends_on_path());
        assert!(excludes(&filter, "a/b/c.o", Kind::File));
        assert!(excludes(&filter, "a/build", Kind::Dir));
        assert!(!excludes(&filter, "a/build", Kind::File));
        assert!(filter.excludes_name(b"\xff.o") && !filter.excludes_name(b"build"));
    }

    #[test]
    fn a_pattern_with_a_slash_is_for_paths() {
        let filter = filter(&[b"/top", b"a/*.o", b"**/deep", b"x/**"], &[]);
        assert!(filter.depends_on_path());
        assert!(excludes(&filter, "top", Kind::Dir) && !excludes(&filter, "a/top", Kind::Dir));
        assert!(
            excludes(&filter, "a/f.o", Kind::File) && !excludes(&filter, "a/b/f.o", Kind::File)
        );
        assert!(excludes(&filter, "deep", Kind::File) && excludes(&filter, "a/b/deep", Kind::File));
        assert!(!excludes(&filter, "x", Kind::Dir) && excludes(&filter, "x/y/z", Kind::File));
    }

    #[test]
    fn what_is_to_be_included_is_no_matter_of_directories() {
        let filter = filter(&[b"skip"], &[b"*.{c,h}", b"doc/*"]);
        assert!(!excludes(&filter, "src", Kind::Dir));
        assert!(!excludes(&filter, "src/a.c", Kind::File));
        assert!(excludes(&filter, "src/a.o", Kind::File));
        assert!(!excludes(&filter, "doc/a.o", Kind::Symlink));
        assert!(excludes(&filter, "skip", Kind::Dir));
        // Not known yet.
        assert!(!filter.excludes(b"src/a.o", b"a.o", None));
    }

    #[test]
    fn what_says_what_is_excluded_is_not() {
        let rules = Rules {
            exclude: &[b".*", b"**/.gitignore"],
            hidden: true,
            dirs_only: true,
            gitignore: true,
            ..Rules::default()
        };
        let filter = Filter::new(&rules).unwrap().unwrap();
        assert!(filter.depends_on_path() && filter.excludes_name(b".git"));
        assert!(!excludes(&filter, "a/.gitignore", Kind::File));
        assert!(!filter.excludes_name(b".gitignore"));
        assert!(excludes(&filter, "a/.gitignore", Kind::Dir));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in [&b"a["[..], b"", b"/", b"{a", b"\xff"] {
            let rules = Rules {
                exclude: &[bad],
                ..Rules::default()
            };
            assert_eq!(Filter::new(&rules).err(), Some(BadGlob(bad.to_vec())));
        }
        assert!(Filter::new(&Rules::default()).unwrap().is_none());
    }
}
