//! How large a family's trees become.

/// Trees that a family's usual size is taken from.
const REMEMBERED: usize = 9;

/// Sizes of a family's trees, each at its largest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    peak: u64,
    /// The latest, oldest first.
    latest: Vec<u64>,
}

impl Sizes {
    /// A tree has grown to `peak` processes and is quiet, or has ended.
    pub fn note(&mut self, peak: u64) {
        self.peak = self.peak.max(peak);
        if self.latest.len() == REMEMBERED {
            self.latest.remove(0);
        }
        self.latest.push(peak);
    }

    /// The largest ever: what a new tree's reservation is raised towards.
    #[must_use]
    pub const fn peak(&self) -> Option<u64> {
        if self.peak > 0 { Some(self.peak) } else { None }
    }

    /// The size that most of the latest reached: the lower median. A tree below it still grows.
    #[must_use]
    pub fn usual(&self) -> Option<u64> {
        let mut sorted = self.latest.clone();
        sorted.sort_unstable();
        let middle = sorted.len().saturating_sub(1) / 2;
        sorted.get(middle).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_for_ever_and_the_usual_is_of_late() {
        let check = |noted: &[u64], peak: Option<u64>, usual: Option<u64>| {
            let mut sizes = Sizes::default();
            noted.iter().for_each(|&size| sizes.note(size));
            assert_eq!((sizes.peak(), sizes.usual()), (peak, usual), "{noted:?}");
        };
        check(&[], None, None);
        check(&[3], Some(3), Some(3));
        check(&[3, 12], Some(12), Some(3));
        check(&[3, 12, 3], Some(12), Some(3));
        check(&[3, 12, 12], Some(12), Some(12));
        check(&[9, 3, 3, 3, 3, 3, 3, 3, 3, 3], Some(9), Some(3));
        check(&[3, 3, 3, 3, 3, 9, 9, 9, 9, 9, 9], Some(9), Some(9));
    }
}
