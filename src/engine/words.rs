//! Names, as they stand in what is owed and found.
//!
//! A name that is spoken of is kept once, and a number stands for it: so what is owed
//! can be copied and compared without its bytes, and nothing is allocated for it once
//! the memory is there.

use crate::collections::Reset;
use hashbrown::hash_table::{Entry, HashTable};
use hashbrown::DefaultHashBuilder;
use std::hash::BuildHasher;

/// Stands for a name; the same number, the same name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Word(u32);

/// All names spoken of, until [`Words::clear`].
#[derive(Default, Debug)]
pub struct Words {
    bytes: Vec<u8>,
    /// Where each name ends, and the next one begins.
    ends: Vec<u32>,
    index: HashTable<u32>,
    last: Option<Word>,
    hasher: DefaultHashBuilder,
}

/// The bytes of a name, by its number.
fn spelled<'a>(bytes: &'a [u8], ends: &[u32], number: u32) -> &'a [u8] {
    let number = number as usize;
    let start = number.checked_sub(1).map_or(0, |before| ends[before]);
    &bytes[start as usize..ends[number] as usize]
}

impl Words {
    /// What a number stands for.
    pub fn get(&self, word: Word) -> &[u8] {
        spelled(&self.bytes, &self.ends, word.0)
    }

    /// The number that stands for a name, if it has been spoken of.
    pub fn find(&self, name: &[u8]) -> Option<Word> {
        if self.ends.is_empty() {
            return None;
        }
        let hash = self.hasher.hash_one(name);
        let is_it = |&n: &u32| spelled(&self.bytes, &self.ends, n) == name;
        self.index.find(hash, is_it).map(|&n| Word(n))
    }

    /// The number that stands for a name.
    pub fn word(&mut self, name: &[u8]) -> Word {
        // Most often the kernel speaks of a file several times in a row.
        if let Some(last) = self.last.filter(|&last| self.get(last) == name) {
            return last;
        }
        let (bytes, ends, hasher) = (&mut self.bytes, &mut self.ends, &self.hasher);
        let slot = self.index.entry(
            hasher.hash_one(name),
            |&n| spelled(bytes, ends, n) == name,
            |&n| hasher.hash_one(spelled(bytes, ends, n)),
        );
        let word = match slot {
            Entry::Occupied(known) => Word(*known.get()),
            Entry::Vacant(vacant) => {
                let number = ends.len() as u32;
                vacant.insert(number);
                bytes.extend_from_slice(name);
                ends.push(u32::try_from(bytes.len()).expect("less than 4 GiB of names at a time"));
                Word(number)
            }
        };
        self.last = Some(word);
        word
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// Forgets all: no number stands for anything any more.
    pub fn clear(&mut self) {
        self.bytes.reset();
        self.ends.reset();
        self.index.reset();
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_number() {
        let mut words = Words::default();
        let a = words.word(b"a");
        let empty = words.word(b"");
        let b = words.word(b"\xffb");
        assert_eq!(
            [words.word(b"a"), words.word(b""), words.word(b"\xffb")],
            [a, empty, b]
        );
        assert_eq!(
            [words.get(a), words.get(empty), words.get(b)],
            [&b"a"[..], b"", b"\xffb"]
        );
        assert!(a != b && words.count() == 3);
        words.clear();
        assert_eq!(words.count(), 0);
    }
}
