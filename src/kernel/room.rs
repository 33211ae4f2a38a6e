//! How many watches there may be: as many as the caller allows, and no more than the
//! kernel gives.

use super::Errno;

/// Watches of roots' ancestors are for the rare case, and not worth more than a part of
/// few.
const ANCHORS_SHARE: usize = 4;

/// Room for watches. Once a kernel has refused one, it is not asked again until there
/// is reason to: a watch has ended, or it is time to [ask anew](Room::reopen).
#[derive(Clone, Default, Debug)]
pub struct Room {
    limit: Option<usize>,
    /// What the system allows, where that is known before it refuses.
    system: Option<usize>,
    /// How many ancestors all roots have.
    anchors: usize,
    refused: Option<Errno>,
    last_refusal: Option<Errno>,
}

impl Room {
    /// What the caller allows; `None`: as many as there are.
    pub fn set_limit(&mut self, limit: Option<usize>) {
        self.limit = limit;
    }

    /// What the caller allows.
    pub fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// What the system allows, as of now.
    pub fn set_system_limit(&mut self, limit: usize) {
        self.system = Some(limit);
    }

    fn least_limit(&self) -> Option<usize> {
        self.limit.into_iter().chain(self.system).min()
    }

    /// Whether one more may be asked for where so many are held, or why not.
    pub fn admit(&self, held: usize) -> Result<(), Errno> {
        let reached = |limit: Option<usize>| limit.is_some_and(|limit| held >= limit);
        match self.refused {
            _ if reached(self.limit) => Err(Errno::FULL),
            _ if reached(self.system) => Err(Errno(libc::EMFILE)),
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// What one more would be refused with, or was.
    pub fn shortage(&self, held: usize) -> Errno {
        let refused = self.admit(held).err();
        refused.or(self.last_refusal).unwrap_or(Errno::FULL)
    }

    /// How many more there is room for, as far as that is known.
    pub fn spare(&self, held: usize) -> usize {
        match (self.refused, self.least_limit()) {
            (Some(_), _) => 0,
            (None, Some(limit)) => limit.saturating_sub(held),
            (None, None) => usize::MAX,
        }
    }

    /// A root has come or gone, with so many ancestors.
    pub fn count_anchors(&mut self, more: usize, less: usize) {
        self.anchors = (self.anchors + more).saturating_sub(less);
    }

    /// Whether the roots' ancestors may be watched.
    pub fn has_room_for_anchors(&self) -> bool {
        let limit = self.least_limit();
        limit.is_none_or(|limit| limit >= ANCHORS_SHARE * self.anchors)
    }

    /// By how many more watches than allowed are held.
    pub fn excess(&self, held: usize) -> usize {
        let limit = self.least_limit();
        limit.map_or(0, |limit| held.saturating_sub(limit))
    }

    /// The kernel's answer to a request for a watch.
    pub fn heed(&mut self, error: Errno) {
        if error.is_exhaustion() {
            self.refused = Some(error);
            self.last_refusal = Some(error);
        }
    }

    /// With which error the kernel has refused last, whenever that was.
    pub fn last_refusal(&self) -> Option<Errno> {
        self.last_refusal
    }

    /// A watch has ended, or others may have given back what they had: the kernel may
    /// be asked again.
    pub fn reopen(&mut self) {
        self.refused = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_admits_as_many_as_it_says() {
        let mut room = Room::default();
        assert_eq!(room.admit(1_000_000), Ok(()));
        room.set_limit(Some(2));
        assert_eq!(room.admit(1), Ok(()));
        assert_eq!(room.admit(2), Err(Errno::FULL));
        assert_eq!((room.excess(2), room.excess(5)), (0, 3));
        room.reopen(); // That changes nothing of what the caller allows.
        assert_eq!(room.admit(2), Err(Errno::FULL));
    }

    #[test]
    fn the_lower_one_of_two_limits_counts() {
        let mut room = Room::default();
        room.set_system_limit(3);
        assert_eq!((room.excess(4), room.limit()), (1, None));
        room.set_limit(Some(2));
        assert_eq!(room.excess(4), 2);
        room.set_system_limit(1);
        assert_eq!((room.excess(4), room.limit()), (3, Some(2)));
        assert_eq!(room.admit(1), Err(Errno(libc::EMFILE)));
        assert_eq!((room.shortage(2), room.spare(0)), (Errno::FULL, 1));
    }

    #[test]
    fn a_kernel_that_refused_is_not_asked_again_until_there_is_reason_to() {
        let mut room = Room::default();
        room.heed(Errno(libc::EACCES)); // That one entry may not be watched.
        assert_eq!(room.admit(0), Ok(()));
        room.heed(Errno(libc::EMFILE));
        assert_eq!(room.admit(0), Err(Errno(libc::EMFILE)));
        room.reopen();
        assert_eq!(room.admit(0), Ok(()));
    }
}
