//! Several copies of one program at one event, of which the first that is not skipped does its work.

use crate::maps;
use crate::task::tid;

/// Kinds of events that copies hear.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Kind {
    /// A task is born.
    Birth = 0,
    /// It has been made.
    Fork = 1,
    /// A program was executed.
    Exec = 2,
    /// A task ends.
    Exit = 3,
}

/// 1: no copy has heard this event of the current thread yet. Its copies run one after the other in that
/// thread, so nobody else asks about it meanwhile.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn copy_is_first(kind: u32, id: u64) -> u32 {
    let key = u64::from(tid()) << 2 | u64::from(kind);
    if maps::heard(key) == Some(id) {
        return 0;
    }
    maps::hear(key, id);
    1
}

/// Whether this copy is to do the work. `id` differs from that of the thread's last event of this kind.
#[inline(always)]
pub fn is_first(kind: Kind, id: u64) -> bool {
    copy_is_first(kind as u32, id) != 0
}
