//! Which token has which watch descriptor.
//!
//! The same inode reached by two paths has one descriptor: most have one token, some
//! several. A watch takes 20 bytes and, on average, 15 in the two indexes.

use crate::kernel::Token;
use hashbrown::hash_table::HashTable;
use hashbrown::DefaultHashBuilder;
use std::hash::BuildHasher;

#[derive(Default, Debug)]
pub(super) struct Watches {
    rows: Vec<(Token, i32)>,
    by_token: HashTable<u32>,
    /// One for each token: a descriptor may be in it more than once.
    by_descriptor: HashTable<u32>,
    descriptors: usize,
    hasher: DefaultHashBuilder,
}

impl Watches {
    /// How many descriptors there are.
    pub fn descriptors(&self) -> usize {
        self.descriptors
    }

    /// Every token, in any order.
    pub fn tokens(&self) -> impl Iterator<Item = Token> + '_ {
        self.rows.iter().map(|&(token, _)| token)
    }

    /// The descriptor of a token.
    pub fn descriptor_of(&self, token: Token) -> Option<i32> {
        let hash = self.hasher.hash_one(token);
        let found = self
            .by_token
            .find(hash, |&i| self.rows[i as usize].0 == token);
        found.map(|&i| self.rows[i as usize].1)
    }

    /// Who is told of what happens to a descriptor.
    pub fn tokens_of(&self, descriptor: i32) -> impl Iterator<Item = Token> + '_ {
        let hash = self.hasher.hash_one(descriptor);
        let rows = self.by_descriptor.iter_hash(hash);
        let rows = rows.map(|&i| self.rows[i as usize]);
        rows.filter(move |row| row.1 == descriptor).map(|row| row.0)
    }

    /// A token has this descriptor from now on. It must have none yet.
    pub fn insert(&mut self, token: Token, descriptor: i32) {
        debug_assert_eq!(self.descriptor_of(token), None);
        let first = self.tokens_of(descriptor).next().is_none();
        self.descriptors += usize::from(first);
        let index = self.rows.len() as u32;
        self.rows.push((token, descriptor));
        let (rows, hasher) = (&self.rows, &self.hasher);
        self.by_token
            .insert_unique(hasher.hash_one(token), index, |&i| {
                hasher.hash_one(rows[i as usize].0)
            });
        let hash = hasher.hash_one(descriptor);
        self.by_descriptor
            .insert_unique(hash, index, |&i| hasher.hash_one(rows[i as usize].1));
    }

    /// Takes a token's descriptor away. If nobody else has it, it is for the caller to
    /// end: `Some`.
    pub fn remove(&mut self, token: Token) -> Option<i32> {
        let descriptor = self.descriptor_of(token)?;
        let by_token = self.hasher.hash_one(token);
        let is_it = |&i: &u32| self.rows[i as usize].0 == token;
        let (index, _) = self.by_token.find_entry(by_token, is_it).ok()?.remove();
        let by_descriptor = self.hasher.hash_one(descriptor);
        let entry = self
            .by_descriptor
            .find_entry(by_descriptor, |&i| i == index);
        entry.ok()?.remove();
        // The last row takes its place.
        let last = self.rows.len() as u32 - 1;
        let moved = self.rows[last as usize];
        if index != last {
            let by_token = self.hasher.hash_one(moved.0);
            if let Some(row) = self.by_token.find_mut(by_token, |&i| i == last) {
                *row = index;
            }
            let by_descriptor = self.hasher.hash_one(moved.1);
            if let Some(row) = self.by_descriptor.find_mut(by_descriptor, |&i| i == last) {
                *row = index;
            }
        }
        self.rows.swap_remove(index as usize);
        if self.tokens_of(descriptor).next().is_some() {
            return None;
        }
        self.descriptors -= 1;
        Some(descriptor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(level: u32) -> Token {
        Token::Anchor { watch: 1, level }
    }

    #[test]
    fn a_descriptor_ends_with_its_last_token() {
        let mut watches = Watches::default();
        for level in 0..1000 {
            watches.insert(token(level), (level / 2) as i32);
        }
        assert_eq!(watches.descriptors(), 500);
        assert_eq!(watches.tokens_of(7).count(), 2);
        assert_eq!(watches.remove(token(14)), None);
        assert_eq!(watches.tokens_of(7).collect::<Vec<_>>(), [token(15)]);
        assert_eq!(watches.remove(token(14)), None);
        assert_eq!(watches.remove(token(15)), Some(7));
        assert_eq!(watches.descriptors(), 499);
        for level in (0..1000).filter(|level| level / 2 != 7) {
            assert_eq!(
                watches.descriptor_of(token(level)),
                Some((level / 2) as i32)
            );
            let last = watches.remove(token(level)).is_some();
            assert_eq!(last, level % 2 == 1);
        }
        assert_eq!((watches.descriptors(), watches.tokens().count()), (0, 0));
    }
}
