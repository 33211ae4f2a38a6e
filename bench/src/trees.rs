//! The trees that are watched.
//!
//! Every name ends in a number that no other name of the same tree has: `f` and a number
//! for a file, `d` and a number for a directory, unless it is said otherwise.
//! [`crate::tally`] says why.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Files in each directory of the trees that are not flat.
const FILES_PER_DIRECTORY: u64 = 10;
/// Levels of a chain in a deep tree.
const DEPTH: u64 = 100;
/// Directories in each of the directories that hold the directories of a wide tree.
const SPREAD: u64 = 100;

/// How a tree is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Ten files a directory, a hundred directories in each directory above.
    Wide,
    /// Ten files a directory, each directory in the one before, in chains of a hundred.
    Deep,
    /// One directory.
    Flat,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Shape::Wide => "wide",
            Shape::Deep => "deep",
            Shape::Flat => "flat",
        })
    }
}

/// A tree on disk. It is removed when this goes.
#[derive(Debug)]
pub struct Tree {
    /// Its root.
    pub root: PathBuf,
    /// The directories below the root, parents first.
    pub directories: Vec<PathBuf>,
    /// How many files there are.
    pub files: u64,
    /// A number that no name in it has yet; nor has any higher one.
    pub free: u64,
}

impl Tree {
    /// An empty one, as `name` in the directory `place`.
    pub fn empty(place: &Path, name: &str) -> io::Result<Tree> {
        let root = place.join(name);
        fs::create_dir(&root)?;
        Ok(Tree {
            root,
            directories: Vec::new(),
            files: 0,
            free: 0,
        })
    }

    /// One of `files` empty files.
    pub fn of_shape(place: &Path, shape: Shape, files: u64) -> io::Result<Tree> {
        let mut tree = Tree::empty(place, &format!("{shape}-{files}"))?;
        match shape {
            Shape::Flat => {
                let root = tree.root.clone();
                for _ in 0..files {
                    tree.add_file(&root)?;
                }
            }
            Shape::Deep => tree.fill(files, DEPTH)?,
            Shape::Wide => tree.fill(files, 1)?,
        }
        Ok(tree)
    }

    /// One of `directories` in the root, each with `files` empty files. The names of these
    /// directories end in no number: what is told of them is not counted.
    pub fn of_directories(
        place: &Path,
        name: &str,
        directories: u64,
        files: u64,
    ) -> io::Result<Tree> {
        let mut tree = Tree::empty(place, name)?;
        for i in 0..directories {
            let directory = tree.root.join(format!("{i}-directory"));
            fs::create_dir(&directory)?;
            for _ in 0..files {
                tree.add_file(&directory)?;
            }
            tree.directories.push(directory);
        }
        Ok(tree)
    }

    /// Files and directories, without the root.
    pub fn entries(&self) -> u64 {
        self.files + self.directories.len() as u64
    }

    /// Makes a directory with the next free number.
    pub fn add_directory(&mut self, parent: &Path) -> io::Result<PathBuf> {
        let path = parent.join(format!("d{}", self.free));
        fs::create_dir(&path)?;
        self.directories.push(path.clone());
        self.free += 1;
        Ok(path)
    }

    /// Makes an empty file with the next free number.
    pub fn add_file(&mut self, parent: &Path) -> io::Result<PathBuf> {
        let path = parent.join(format!("f{}", self.free));
        File::create_new(&path)?;
        self.files += 1;
        self.free += 1;
        Ok(path)
    }

    /// Adds `files` files in chains of `depth` directories, ten in each directory.
    fn fill(&mut self, files: u64, depth: u64) -> io::Result<()> {
        let root = self.root.clone();
        let mut top = root.clone();
        let mut parent = root.clone();
        for i in 0..files.div_ceil(FILES_PER_DIRECTORY) {
            if i % (SPREAD * depth) == 0 {
                top = self.add_directory(&root)?;
            }
            if i % depth == 0 {
                parent = top.clone();
            }
            parent = self.add_directory(&parent)?;
            for _ in 0..FILES_PER_DIRECTORY.min(files - i * FILES_PER_DIRECTORY) {
                self.add_file(&parent)?;
            }
        }
        Ok(())
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // The directory that it is in is temporary, too, and has another try.
        let _ = fs::remove_dir_all(&self.root);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_as_many_files_and_directories_as_it_says() {
        let place = tempfile::tempdir().unwrap();
        for (shape, directories) in [(Shape::Wide, 103), (Shape::Deep, 102), (Shape::Flat, 0)] {
            let tree = Tree::of_shape(place.path(), shape, 1001).unwrap();
            let (mut files, mut found) = (0, 0);
            let mut left = vec![tree.root.clone()];
            while let Some(directory) = left.pop() {
                for entry in fs::read_dir(directory).unwrap() {
                    let entry = entry.unwrap();
                    if entry.file_type().unwrap().is_dir() {
                        found += 1;
                        left.push(entry.path());
                    } else {
                        files += 1;
                    }
                }
            }
            assert_eq!((files, found as usize), (1001, tree.directories.len()));
            assert_eq!(tree.entries(), files + found);
            assert_eq!(found, directories, "{shape}");
        }
    }
}
