//! Words of map values by name.

use super::Ref;
use crate::atomic::Cell;
use core::mem::offset_of;
use guard_common::{ProcessEntry, TreeEntry};

/// Shorthand for a word of a target's counts: `count!(target, spawns)`.
#[macro_export]
macro_rules! count {
    ($target:expr, $field:ident) => {
        $target
            .counters
            .word(core::mem::offset_of!(guard_common::TargetCounters, $field))
    };
}

/// Shorthand for a word of a target's gate.
#[macro_export]
macro_rules! gate_word {
    ($target:expr, $field:ident) => {
        $target
            .gate
            .word(core::mem::offset_of!(guard_common::GateState, $field))
    };
}

/// Words of a process entry.
impl Ref<ProcessEntry> {
    /// Tasks alive, two's complement.
    #[inline(always)]
    pub fn tasks(self) -> Cell {
        self.word(offset_of!(ProcessEntry, tasks))
    }

    /// Whether the death is counted.
    #[inline(always)]
    pub fn dead(self) -> Cell {
        self.word(offset_of!(ProcessEntry, dead))
    }

    /// Bits of [`guard_common::entry::flag`].
    #[inline(always)]
    pub fn flags(self) -> Cell {
        self.word(offset_of!(ProcessEntry, flags))
    }

    /// What it is and whose slot it has.
    #[inline(always)]
    pub fn place(self) -> Cell {
        self.word(offset_of!(ProcessEntry, place))
    }
}

/// Words of a tree.
impl Ref<TreeEntry> {
    /// What it uses and reserves.
    #[inline(always)]
    pub fn account(self) -> Cell {
        self.word(offset_of!(TreeEntry, account))
    }

    /// Its last fork or exec.
    #[inline(always)]
    pub fn active_ns(self) -> Cell {
        self.word(offset_of!(TreeEntry, active_ns))
    }
}
