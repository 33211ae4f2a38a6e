//! Maps and sets, all with the same quick hasher, which is seeded anew in every
//! process. Those named `Index...` keep the order in which things came.

use hashbrown::DefaultHashBuilder;

/// From keys to values.
pub type HashMap<K, V> = hashbrown::HashMap<K, V, DefaultHashBuilder>;
/// Each thing once.
pub type HashSet<K> = hashbrown::HashSet<K, DefaultHashBuilder>;
/// From keys to values, in order.
pub type IndexMap<K, V> = indexmap::IndexMap<K, V, DefaultHashBuilder>;
/// Each thing once, in order.
pub type IndexSet<K> = indexmap::IndexSet<K, DefaultHashBuilder>;

/// What is used again in every turn keeps its memory, unless a turn has needed so much
/// more than others that keeping it, and clearing it, would cost too much.
const KEEP: usize = 4096;
/// The same of a vector, in bytes: to clear it costs nothing.
const KEEP_BYTES: usize = 512 * 1024;

/// Empties a collection that is used again.
pub trait Reset {
    /// Empties it, and keeps its memory unless that is much.
    fn reset(&mut self);
}

impl<K, V> Reset for HashMap<K, V> {
    fn reset(&mut self) {
        match self.capacity() > KEEP {
            true => *self = HashMap::default(),
            false => self.clear(),
        }
    }
}

impl<K> Reset for HashSet<K> {
    fn reset(&mut self) {
        match self.capacity() > KEEP {
            true => *self = HashSet::default(),
            false => self.clear(),
        }
    }
}

impl<K, V> Reset for IndexMap<K, V> {
    fn reset(&mut self) {
        match self.capacity() > KEEP {
            true => *self = IndexMap::default(),
            false => self.clear(),
        }
    }
}

impl<K> Reset for IndexSet<K> {
    fn reset(&mut self) {
        match self.capacity() > KEEP {
            true => *self = IndexSet::default(),
            false => self.clear(),
        }
    }
}

impl<T> Reset for Vec<T> {
    fn reset(&mut self) {
        match self.capacity() * size_of::<T>() > KEEP_BYTES {
            true => *self = Vec::new(),
            false => self.clear(),
        }
    }
}

impl<T> Reset for hashbrown::HashTable<T> {
    fn reset(&mut self) {
        match self.capacity() > KEEP {
            true => *self = hashbrown::HashTable::new(),
            false => self.clear(),
        }
    }
}
