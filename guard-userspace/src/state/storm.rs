//! Refusals that belong together.

/// A storm ends when nothing was refused for this long.
pub const GAP_NS: u64 = 5_000_000_000;

/// The storm that runs, or the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Storm {
    span: Option<Span>,
    at_cap_ns: Option<u64>,
}

/// First and last refusal, in nanoseconds of CLOCK_BOOTTIME.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    first_ns: u64,
    last_ns: u64,
}

impl Storm {
    /// Takes a refusal; says whether it is the first of its storm.
    pub fn refused(&mut self, at_ns: u64, at_cap: bool) -> bool {
        if at_cap {
            self.at_cap_ns = self.at_cap_ns.max(Some(at_ns));
        }
        match &mut self.span {
            Some(span) if at_ns < span.last_ns.saturating_add(GAP_NS) => {
                span.last_ns = span.last_ns.max(at_ns);
                false
            }
            _ => {
                self.span = Some(Span {
                    first_ns: at_ns,
                    last_ns: at_ns,
                });
                true
            }
        }
    }

    /// Start of the storm that runs at `now_ns`, in nanoseconds of CLOCK_BOOTTIME.
    #[must_use]
    pub fn since(&self, now_ns: u64) -> Option<u64> {
        let span = self.span?;
        (now_ns < span.last_ns.saturating_add(GAP_NS)).then_some(span.first_ns)
    }

    /// Whether in this storm a spawn was refused for want of a slot, less than a gap ago.
    #[must_use]
    pub fn at_cap(&self, now_ns: u64) -> bool {
        self.at_cap_ns
            .is_some_and(|at| now_ns < at.saturating_add(GAP_NS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_storm_is_one_until_a_gap_of_five_seconds() {
        let mut storm = Storm::default();
        assert!(storm.refused(S, true));
        assert!(!storm.refused(5 * S, false));
        assert!(!storm.refused(10 * S - 1, false));
        assert_eq!(storm.since(10 * S), Some(S));
        assert!(
            storm.refused(15 * S, false),
            "five seconds after the last one"
        );
        assert_eq!(storm.since(15 * S), Some(15 * S));
        assert_eq!(storm.since(20 * S), None);
    }

    #[test]
    fn only_refusals_for_want_of_a_slot_are_at_the_cap() {
        let mut storm = Storm::default();
        storm.refused(S, false);
        assert!(!storm.at_cap(S));
        storm.refused(2 * S, true);
        assert!(storm.at_cap(7 * S - 1));
        assert!(!storm.at_cap(7 * S));
    }
}
