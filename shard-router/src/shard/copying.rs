//! What passes between two shards while a partition is copied. Opaque to whoever carries it: only the source knows what
//! an item's name means, and only the target what is in a part.

use bytes::Bytes;

use crate::partition::Partition;

/// What is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CopyScope {
    /// Everything.
    All,
    /// The results of publications (idempotency keys) alone.
    Results,
}

/// Where a walk over a shard has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanCursor(pub Bytes);

impl ScanCursor {
    /// The beginning of a walk.
    pub const START: Self = Self(Bytes::new());
}

/// Something that can be copied by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyItem {
    /// The partition it belongs to.
    pub partition: Partition,
    /// Its name at the source.
    pub name: Bytes,
    /// Where an earlier part of it ended ([`CopyPart::mark`]): only what comes after is wanted.
    pub resume: Option<Bytes>,
}

/// A part of an item, or all of it.
#[derive(Clone, PartialEq, Eq)]
pub struct CopyPart {
    /// The partition it belongs to.
    pub partition: Partition,
    /// The item's name.
    pub name: Bytes,
    /// What the target has to write: the content and when it expires, or that the item is gone.
    pub content: Bytes,
    /// Where this part ends, for [`CopyItem::resume`]; `None` where an item is only ever copied whole.
    pub mark: Option<Bytes>,
    /// Whether nothing of the item comes after it.
    pub complete: bool,
}

/// Subscribers' data is not for logs.
impl std::fmt::Debug for CopyPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopyPart")
            .field("partition", &self.partition)
            .field("name", &self.name)
            .field("bytes", &self.content.len())
            .field("complete", &self.complete)
            .finish_non_exhaustive()
    }
}

/// A part of what has changed in a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirtyPage {
    /// What has changed, each item once.
    pub items: Vec<CopyItem>,
    /// The number to ask from next time.
    pub through: u64,
    /// Whether more is known to have changed already.
    pub more: bool,
}

/// How much a shard's server holds, other users of it included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardUsage {
    /// Bytes of memory.
    pub bytes: u64,
    /// Keys, or channels where there are no keys.
    pub keys: u64,
    /// Commands a second that it has carried out lately, for whomever; `None`: it does not count them.
    pub operations: Option<u64>,
}
