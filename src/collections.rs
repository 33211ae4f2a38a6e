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
