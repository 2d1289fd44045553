//! What the kernel side and later agents know of an agent: its heartbeat, and what it left.

use crate::abi::MAX_TARGETS;
use bytemuck::{Pod, Zeroable, bytes_of, bytes_of_mut};

/// Where the map of [`Note`]s has a [`Heartbeat`].
pub const HEARTBEAT: u32 = 0;

/// Where it has a [`Mark`].
pub const MARK: u32 = 1;

/// Where it has the [`Owner`] of slot 0, the others following.
pub const OWNERS: u32 = 2;

/// Where it has what is [`Inside`] slot 0's target, the others following.
pub const INSIDE: u32 = OWNERS + MAX_TARGETS;

/// How many there are.
pub const NOTES: u32 = INSIDE + MAX_TARGETS;

/// What an agent writes down: one of the types below.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Note {
    words: [u64; 32],
}

impl Note {
    /// Writes `value` down.
    #[must_use]
    pub fn of<T: Pod>(value: &T) -> Self {
        let mut note = Self::zeroed();
        let bytes = bytes_of_mut(&mut note).iter_mut();
        for (to, from) in bytes.zip(bytes_of(value)) {
            *to = *from;
        }
        note
    }

    /// Reads what was written down as a `T`.
    #[must_use]
    pub fn read<T: Pod>(&self) -> T {
        let mut value = T::zeroed();
        for (to, from) in bytes_of_mut(&mut value).iter_mut().zip(bytes_of(self)) {
            *to = *from;
        }
        value
    }

    /// Of a [`Heartbeat`]: whether the gate lets go at `now_ns`.
    #[inline(always)]
    #[must_use]
    pub const fn lets_go(&self, now_ns: u64) -> bool {
        let [beat_ns, timeout_ns, ..] = self.words;
        let heartbeat = Heartbeat {
            beat_ns,
            timeout_ns,
        };
        heartbeat.lets_go(now_ns)
    }
}

/// Written by the agent alone.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Heartbeat {
    /// When it beat last, in ns of CLOCK_MONOTONIC: while the machine sleeps nobody beats, and nobody is
    /// late when it wakes.
    pub beat_ns: u64,
    /// The gate lets go when the last beat is older than this many ns; 0: never.
    pub timeout_ns: u64,
}

impl Heartbeat {
    /// Whether the gate lets go at `now_ns`.
    #[inline(always)]
    #[must_use]
    pub const fn lets_go(&self, now_ns: u64) -> bool {
        self.timeout_ns != 0 && now_ns.saturating_sub(self.beat_ns) > self.timeout_ns
    }
}

/// Whose the pinned maps and links are; all 0 until they are complete. Written by the agent alone.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Mark {
    /// [`crate::abi::LAYOUT_VERSION`] of the agent that made them.
    pub layout: u64,
    /// Names its BPF object: what is attached is that one's programs.
    pub object: u64,
}

/// Longest name of a target, in bytes, with its final NUL.
pub const NAME_MAX: usize = 248;

/// Whose a slot is, for later agents. Written by the agent alone.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Owner {
    /// The target's name, NUL-padded; empty: the slot is nobody's.
    name: [u8; NAME_MAX],
    /// The cap that was fixed when it had started, in processes; 0: none was. The limits in force do not
    /// tell: they are lower while the gate is tightened.
    auto_cap: u64,
}

impl Owner {
    /// Nobody.
    pub const NOBODY: Self = Self {
        name: [0; NAME_MAX],
        auto_cap: 0,
    };

    /// A target of that name; `None`: it is empty or too long.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let mut owner = Self::NOBODY;
        let fits = (1..NAME_MAX).contains(&name.len());
        let to = owner.name.get_mut(..name.len()).filter(|_| fits)?;
        to.copy_from_slice(name.as_bytes());
        Some(owner)
    }

    /// The same with the cap that was fixed.
    #[must_use]
    pub const fn with_auto_cap(mut self, cap: Option<u64>) -> Self {
        self.auto_cap = match cap {
            Some(cap) => cap,
            None => 0,
        };
        self
    }

    /// The cap that was fixed when it had started; `None`: none was.
    #[must_use]
    pub const fn auto_cap(&self) -> Option<u64> {
        match self.auto_cap {
            0 => None,
            cap => Some(cap),
        }
    }

    /// The name; `None`: it is nobody's, or no name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        let name = self.name.split(|byte| *byte == 0).next()?;
        let name = core::str::from_utf8(name).ok()?;
        (!name.is_empty()).then_some(name)
    }
}

/// Words that have a bit for each slot.
const SLOT_WORDS: usize = MAX_TARGETS as usize / 64;

/// Which targets are within a target, and count for it too. Written by the agent alone.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Inside {
    slots: [u64; SLOT_WORDS],
    /// What those that were within it add to its totals beside what they have counted, modulo 2^64, in
    /// the agent's order.
    pub carry: [u64; 11],
}

impl Inside {
    /// Whether the target in `slot` is within it.
    #[must_use]
    pub fn has(&self, slot: u32) -> bool {
        let word = self.slots.get(slot as usize / 64);
        word.is_some_and(|word| word & (1 << (slot % 64)) != 0)
    }

    /// Says whether the target in `slot` is within it.
    pub fn set(&mut self, slot: u32, within: bool) {
        if let Some(word) = self.slots.get_mut(slot as usize / 64) {
            let bit = 1 << (slot % 64);
            *word = if within { *word | bit } else { *word & !bit };
        }
    }

    /// All that are.
    pub fn slots(self) -> impl Iterator<Item = u32> {
        (0..MAX_TARGETS).filter(move |slot| self.has(*slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_lets_go_of_an_agent_that_is_late_and_may_be() {
        let check = |beat_ns, timeout_ns, now, expected| {
            let heartbeat = Heartbeat {
                beat_ns,
                timeout_ns,
            };
            assert_eq!(heartbeat.lets_go(now), expected, "{heartbeat:?} at {now}");
            let note = Note::of(&heartbeat);
            assert_eq!(note.lets_go(now), expected, "{note:?} at {now}");
            assert_eq!(note.read::<Heartbeat>(), heartbeat);
        };
        check(5, 0, u64::MAX, false);
        check(5, 10, 15, false);
        check(5, 10, 16, true);
        // A beat that was written after the look at the clock.
        check(5, 10, 4, false);
    }

    #[test]
    fn an_owner_has_a_name_or_is_nobody() {
        let check = |name: &str, expected: Option<&str>| {
            let owner = Owner::of(name).unwrap_or(Owner::NOBODY);
            let owner: Owner = Note::of(&owner).read();
            assert_eq!(owner.name(), expected, "{name:?}");
        };
        check("metamcp", Some("metamcp"));
        check("", None);
        let longest = [b'x'; NAME_MAX];
        let longest = core::str::from_utf8(&longest).unwrap();
        check(longest, None);
        check(&longest[1..], Some(&longest[1..]));
        let broken = Owner {
            name: [0xff; NAME_MAX],
            auto_cap: 0,
        };
        assert_eq!(broken.name(), None);
    }

    #[test]
    fn an_owner_keeps_the_cap_that_was_fixed() {
        let owner = Owner::of("metamcp").unwrap();
        assert_eq!(owner.auto_cap(), None);
        let fixed: Owner = Note::of(&owner.with_auto_cap(Some(202))).read();
        assert_eq!(
            (fixed.name(), fixed.auto_cap()),
            (Some("metamcp"), Some(202))
        );
        assert_eq!(fixed.with_auto_cap(None), owner);
    }

    #[test]
    fn slots_are_within_one_each_by_itself() {
        let mut inside = Inside::default();
        for slot in [0, 63, 64, MAX_TARGETS - 1, MAX_TARGETS] {
            inside.set(slot, true);
        }
        let all = [0, 63, 64, MAX_TARGETS - 1];
        assert!(inside.slots().eq(all), "{inside:?}");
        inside.set(63, false);
        assert!(!inside.has(63) && inside.has(64) && !inside.has(62));
        inside.carry = [u64::MAX; 11];
        assert_eq!(Note::of(&inside).read::<Inside>(), inside);
    }
}
