//! Defects that can be planted in the engine, to see whether the simulation
//! finds them: a net that catches nothing proves nothing.
//!
//! Only with the feature `sim`; in the library [`planted`] is `false`, and what
//! it guards is not there. `tests/defects.rs` plants each in turn.

macro_rules! defects {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A defect.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Defect { $($(#[$doc])* $name,)* }

        impl Defect {
            /// All of them.
            pub const ALL: &'static [Defect] = &[$(Defect::$name,)*];
        }
    };
}

defects! {
    /// An overflow is not heeded.
    OverflowIgnored,
    /// After an overflow names are compared, but no entry is looked at.
    OverflowNamesOnly,
    /// After an overflow the watch of a root that is a file is taken to stand.
    OverflowKeepsFileWatch,
    /// A directory is listed before it is watched (in the simulated kernel).
    ListBeforeWatch,
    /// A directory's rename is not noted.
    RenameIgnored,
    /// Looks by a path that a rename made doubtful are not repeated.
    NoDoubt,
    /// What is found under a new name is not looked for under its old one.
    NoSearch,
    /// A directory goes while something that moves out is still in it.
    LeaveNothingBehind,
    /// A replaced file's watch is left.
    ReplacedKeepsWatch,
    /// A removed entry's watch is left.
    RemovedKeepsWatch,
    /// The generation in a key is not checked.
    NoGenerations,
    /// A change is told for one of a file's names only.
    LinksForgotten,
    /// Two inodes are the same if their numbers are.
    NumbersOnly,
    /// Looks inside a directory that may have moved do not wait.
    NothingUnsettled,
    /// What is excluded below a directory that has moved is left as it was.
    MovedNotFiltered,
    /// What says what is excluded is not read again when it changes.
    RulesKept,
    /// What says what is excluded is read by a crawl only.
    RulesReadOnce,
    /// A sync does not keep what it fetches from having to settle.
    SyncLetsSettle,
    /// What was saved is taken for what is there.
    SavedBelieved,
    /// What is to settle is looked at at once.
    SettledAtOnce,
    /// The root's ancestors are not watched.
    NoAnchors,
    /// What happens to the root's ancestors is not heeded.
    AnchorsIgnored,
    /// What cannot be watched is not polled.
    NotPolled,
    /// What is polled and changes is not watched instead.
    NoClaims,
    /// What has lost its watch to something else is not polled.
    EvictedForgotten,
    /// What is watched after all is not looked at.
    GrantedNotLookedAt,
    /// A path that leads through something polled is taken to lead where it did.
    PathsTrusted,
    /// A note about a moved file is one about its old name only.
    NotesStayBehind,
    /// `A` is taken for `a` where names fold.
    SpellingIgnored,
    /// A dead watch is not made again.
    RevokedForgotten,
    /// What came and went within a turn is kept.
    VanishedKept,
    /// What was made in vain is left.
    SparesKept,
    /// A listing says all that there is to say of an entry.
    ListingAnswersAll,
    /// Notes for other watches that are fetched on the way are dropped.
    ForeignNotesDropped,
    /// An inode number is its file's for as long as it has that name.
    NumbersNeverReused,
    /// What a move brought is not compared.
    MovedNotCompared,
    /// What could not be read is not read again when it can be.
    ShutForever,
    /// Anything that vanished is paired with anything that appeared.
    PairedAtRandom,
    /// A directory's names are a full look at what could not be looked at.
    NamesMakeGood,
    /// The root's entries are told as deleted with directories first.
    ParentsDeletedFirst,
    /// An entry that a crawl could not look at is not looked at again.
    CrawlErrorsForgotten,
    /// The mountpoint on the way to a new directory is not looked for.
    MountsOnTheWayIgnored,
    /// The links of a name that is gone are not looked at.
    LeftLinksIgnored,
    /// Moves are told where they are seen, with the name taken or not.
    TakenNamesIgnored,
    /// What was seen before new notes came is believed.
    NewNotesIgnored,
    /// Notes are not fetched once more when something came or went.
    OneFetch,
    /// A note that comes before its change is taken to come after it.
    EarlyIsComplete,
    /// Of two places where something was seen, neither is looked at again.
    ClaimsBelieved,
    /// A root that went with its file system is not looked for where nothing tells of it.
    MountsNotAwaited,
    /// Links on the way to a root are not followed again.
    LinksFollowedOnce,
    /// The root is not looked at once it is watched.
    RootNotConfirmed,
    /// What was read in the place of another is believed.
    SuspectsBelieved,
    /// Looks are made while first sight is told.
    FirstSightChanges,
}

#[cfg(feature = "sim")]
mod planting {
    use super::Defect;
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<Defect>> = const { Cell::new(None) };
    }

    /// Plants a defect, for this thread.
    pub fn plant(defect: Option<Defect>) {
        PLANTED.with(|planted| planted.set(defect));
    }

    /// Whether a defect was planted.
    pub fn planted(defect: Defect) -> bool {
        PLANTED.with(|planted| planted.get() == Some(defect))
    }
}

#[cfg(feature = "sim")]
pub use planting::{plant, planted};

/// Never, in the library.
#[cfg(not(feature = "sim"))]
#[inline(always)]
pub const fn planted(_: Defect) -> bool {
    false
}
