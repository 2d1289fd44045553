//! Functions of the kernel that the kernel side calls (kfuncs): found in the kernel's types by name,
//! and put into the object where it calls them. Rust has no linker that would do that.

use super::btf::Btf;
use guard_common::abi::kfunc::{ALL, CALL};
use object::{File, Object, ObjectSection, SectionKind};
use std::ops::Range;

/// Bytes of an instruction.
const INSTRUCTION: usize = 8;

/// Has the object's calls name this kernel's functions. False where the kernel lacks one, or it takes
/// other arguments (`bpf_send_signal_task`: 6.12 has it not, 6.16 has): programs that call it do not load then,
/// and nothing is changed.
pub fn name(object: &mut [u8], types: &Btf<'_>) -> bool {
    let found = ALL.map(|(mark, name, arguments)| {
        let found = types
            .function(name)
            .filter(|(_, takes)| *takes == arguments);
        found.map(|(id, _)| (mark, id))
    });
    if found.contains(&None) {
        return false;
    }
    for code in code(object) {
        let Some(code) = object.get_mut(code) else {
            continue;
        };
        for instruction in code.chunks_exact_mut(INSTRUCTION) {
            let (call, operand) = instruction.split_at_mut(CALL.len());
            if *call != CALL {
                continue;
            }
            let named = found.iter().flatten();
            let mut named = named.filter(|(mark, _)| *operand == mark.to_ne_bytes());
            if let Some((_, id)) = named.next() {
                operand.copy_from_slice(&id.to_ne_bytes());
            }
        }
    }
    true
}

/// Where the object has instructions.
fn code(object: &[u8]) -> Vec<Range<usize>> {
    let Ok(file) = File::parse(object) else {
        return Vec::new();
    };
    let code = file
        .sections()
        .filter(|one| one.kind() == SectionKind::Text);
    let ranges = code.filter_map(|one| {
        let (at, len) = one.file_range()?;
        let at = usize::try_from(at).ok()?;
        Some(at..at.checked_add(usize::try_from(len).ok()?)?)
    });
    ranges.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::load::OBJECT;
    use proptest::prelude::*;

    fn marks(object: &[u8]) -> usize {
        let calls = object.windows(INSTRUCTION);
        let calls = calls.filter(|bytes| bytes[..CALL.len()] == CALL);
        let marked = |bytes: &&[u8]| ALL.iter().any(|one| bytes[4..] == one.0.to_ne_bytes());
        calls.filter(marked).count()
    }

    #[test]
    fn calls_are_named_or_left_alone() {
        assert_eq!(marks(OBJECT), ALL.len(), "each is called once");
        let bytes = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
        let types = Btf::parse(&bytes).unwrap();
        let mut object = OBJECT.to_vec();
        let left = if name(&mut object, &types) {
            0
        } else {
            ALL.len()
        };
        assert_eq!(marks(&object), left);
        let differing = object.iter().zip(OBJECT).filter(|(a, b)| a != b).count();
        assert!(differing <= 4 * ALL.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        /// The object's own bytes, spoilt where its head and its sections are described.
        #[test]
        fn a_spoilt_object_is_no_panic(
            spoilt in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut object = OBJECT.to_vec();
            let tail = object.len() - (4 << 10);
            for (at, byte) in spoilt {
                let at = at.index(4 << 10);
                object[if at < 64 { at } else { tail + at }] = byte;
            }
            let _ = code(&object);
            let _ = crate::kernel::layout::check(&object);
            object.truncate(cut.index(OBJECT.len()));
            let _ = code(&object);
            let _ = crate::kernel::layout::check(&object);
        }
    }

    #[test]
    fn what_is_no_object_is_no_panic() {
        let bytes = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
        let types = Btf::parse(&bytes).unwrap();
        for bytes in [&b"no ELF"[..], &[]] {
            let mut bytes = bytes.to_vec();
            name(&mut bytes, &types);
        }
    }
}
