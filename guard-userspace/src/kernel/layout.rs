//! Holds the built object's structs against ours: both sides of the ring buffer must have the same
//! bytes in mind. (The idea is tetragon's pkg/alignchecker.)

use super::btf::Btf;
use guard_common::life::Note;
use guard_common::record::{Breach, Cgroup, Header, Near, Process, RateSample};
use guard_common::{GateLimits, GateState, ProcessEntry, TargetCounters, TreeEntry};
use object::{File, Object, ObjectSection};

/// The object is not the one that this agent was written for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the BPF object does not fit this agent: {0}; build both together: cargo xtask build")]
pub struct LayoutError(String);

/// Size, and each field with its offset, of a struct.
struct Layout {
    name: &'static str,
    size: usize,
    fields: Vec<(&'static str, usize)>,
}

macro_rules! layouts {
    ($($strukt:ident { $($field:ident),* $(,)? })+) => {
        vec![$(Layout {
            name: stringify!($strukt),
            size: size_of::<$strukt>(),
            fields: vec![$((stringify!($field), core::mem::offset_of!($strukt, $field))),*],
        }),+]
    };
}

fn ours() -> Vec<Layout> {
    layouts! {
        Header { version, kind, slot, boot_ns }
        RateSample { header, second, committed, counters }
        Breach { header, limit, verdict, pid, committed, max_processes, comm }
        Process { header, start_ns, place, what, pid, parent, flags, status, args_len, comm }
        Cgroup { header, id, what }
        Near { header }
        ProcessEntry { tasks, dead, flags, start_ns, place, slot, parent }
        TreeEntry { account, active_ns, born_ns, root, slot }
        GateLimits {
            max_processes, token_ns, burst, startup_token_ns, startup_burst, startup_ns, reserve,
            tree_processes, tree_spawns, guest_processes, newborn_max, mode, kind,
        }
        GateState {
            committed, full_at, started_ns, second, breach_ns, detail_second, details, newborns,
        }
        Note { }
        TargetCounters {
            live, guests, tasks, trees, spawns, threads, execs, exits, parked, denied, condemned,
            condemned_now, killed, would_refuse, entered, left, peak_live, lost, sampled, table_full,
        }
    }
}

/// Compares every struct that both sides know.
///
/// # Errors
/// The first difference.
pub fn check(object: &[u8]) -> Result<(), LayoutError> {
    let file = File::parse(object).map_err(|error| LayoutError(error.to_string()))?;
    let section = file
        .section_by_name(".BTF")
        .ok_or_else(|| LayoutError("it has no .BTF section".to_owned()))?;
    let bytes = section
        .data()
        .map_err(|error| LayoutError(error.to_string()))?;
    let btf = Btf::parse(bytes).map_err(|error| LayoutError(error.to_string()))?;
    ours().iter().try_for_each(|layout| same(&btf, layout))
}

fn same(btf: &Btf<'_>, ours: &Layout) -> Result<(), LayoutError> {
    let Layout { name, size, fields } = ours;
    let theirs = btf
        .find(name)
        .ok_or_else(|| LayoutError(format!("it has no {name}")))?;
    if theirs.size() as usize != *size {
        let theirs = theirs.size();
        return Err(LayoutError(format!(
            "its {name} has {theirs} bytes, ours {size}"
        )));
    }
    for (field, at) in fields {
        if theirs.offset(field).map(|at| at as usize) != Some(*at) {
            let theirs = theirs.offset(field);
            let words = format!("its {name}.{field} is at {theirs:?}, ours at {at}");
            return Err(LayoutError(words));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::load::OBJECT;

    #[test]
    fn the_embedded_object_has_our_layouts() {
        assert_eq!(check(OBJECT), Ok(()));
    }

    #[test]
    fn another_layout_is_told_by_name() {
        let check = |layout: Layout, expected: &str| {
            let file = File::parse(OBJECT).unwrap();
            let section = file.section_by_name(".BTF").unwrap();
            let btf = Btf::parse(section.data().unwrap()).unwrap();
            let error = same(&btf, &layout).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        let (name, size) = ("Header", size_of::<Header>());
        let with = |size, fields| Layout { name, size, fields };
        check(with(size + 8, vec![]), "its Header has 16 bytes, ours 24");
        check(
            with(size, vec![("slot", 12)]),
            "Header.slot is at Some(4), ours at 12",
        );
        check(with(size, vec![("gone", 0)]), "Header.gone is at None");
    }

    #[test]
    fn what_is_no_object_is_no_panic() {
        assert!(check(b"no ELF").is_err());
        assert!(check(&[]).is_err());
    }
}
