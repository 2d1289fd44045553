//! Reads the kernel's type information (BTF): where a struct has its members.
//!
//! Only that, in one pass over the bytes. aya-obj keeps its members to itself, and btf-rs is LGPL
//! and took 236 ms for the 6 MB of 6.18, as long as the whole start of the agent may take.
//! Format: Documentation/bpf/btf.rst.

use bytes::Buf;

/// A member's or a type's place in the bytes was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the type information is damaged at its byte {0}; is this kernel's BTF complete?")]
pub struct Damaged(usize);

/// Type information, indexed.
#[derive(Debug)]
pub struct Btf<'a> {
    types: Vec<Type<'a>>,
    strings: &'a [u8],
}

/// One type: what all kinds have, and the rest as bytes.
#[derive(Clone, Copy, Debug)]
struct Type<'a> {
    name: u32,
    info: u32,
    size_or_type: u32,
    rest: &'a [u8],
}

/// A struct or union.
#[derive(Clone, Copy, Debug)]
pub struct Struct<'b, 'a>(&'b Btf<'a>, Type<'a>);

const MAGIC: u16 = 0xeb9f;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const FUNCTION: u32 = 12;
const SIGNATURE: u32 = 13;
/// Typedef, volatile, const, restrict and type tag: another name for a type.
const ALIASES: [u32; 5] = [8, 9, 10, 11, 18];
/// Deepest nesting of unnamed members and of aliases that is followed.
const DEPTH: u32 = 8;

impl Type<'_> {
    const fn kind(self) -> u32 {
        (self.info >> 24) & 0x1f
    }

    const fn members(self) -> usize {
        (self.info & 0xffff) as usize
    }

    /// Bytes that follow the head of a type.
    const fn rest_len(kind: u32, members: usize) -> Option<usize> {
        Some(match kind {
            1 | 14 | 17 => 4,
            3 => 12,
            STRUCT | UNION | 15 | 19 => members * 12,
            6 | 13 => members * 8,
            2 | 7..=12 | 16 | 18 => 0,
            _ => return None,
        })
    }
}

impl<'a> Btf<'a> {
    /// Indexes the bytes of /sys/kernel/btf/vmlinux or of an object's `.BTF` section.
    ///
    /// # Errors
    /// They are no BTF, are cut, or have a kind of type that this version does not know.
    pub fn parse(data: &'a [u8]) -> Result<Self, Damaged> {
        let mut head = data;
        if data.len() < 24 || head.get_u16_ne() != MAGIC {
            return Err(Damaged(0));
        }
        head.advance(2);
        let head_len = head.get_u32_ne() as usize;
        let mut part = || {
            let (at, len) = (head.get_u32_ne() as usize, head.get_u32_ne() as usize);
            let from = head_len.checked_add(at).ok_or(Damaged(8))?;
            let to = from.checked_add(len).ok_or(Damaged(8))?;
            data.get(from..to).ok_or(Damaged(from))
        };
        let (mut rest, strings) = (part()?, part()?);
        // Ids begin at 1: 0 is void.
        let mut types = Vec::with_capacity(rest.len() / 24);
        while rest.has_remaining() {
            let damaged = Damaged(data.len() - rest.len());
            if rest.len() < 12 {
                return Err(damaged);
            }
            let mut one = Type {
                name: rest.get_u32_ne(),
                info: rest.get_u32_ne(),
                size_or_type: rest.get_u32_ne(),
                rest: &[],
            };
            let len = Type::rest_len(one.kind(), one.members()).ok_or(damaged)?;
            (one.rest, rest) = rest.split_at_checked(len).ok_or(damaged)?;
            types.push(one);
        }
        Ok(Self { types, strings })
    }

    /// The struct of that name, if there is one with members.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Struct<'_, 'a>> {
        let one = self.types.iter().find(|one| {
            one.kind() == STRUCT && one.members() > 0 && self.name(one.name) == name.as_bytes()
        })?;
        Some(Struct(self, *one))
    }

    /// The function of that name: its id, and how many arguments it takes.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<(u32, usize)> {
        let is = |one: &Type<'_>| one.kind() == FUNCTION && self.name(one.name) == name.as_bytes();
        let at = self.types.iter().position(is)?;
        let signature = self.types.get(at)?.size_or_type as usize;
        let signature = self.types.get(signature.checked_sub(1)?)?;
        let id = u32::try_from(at + 1).ok()?;
        (signature.kind() == SIGNATURE).then(|| (id, signature.members()))
    }

    fn name(&self, at: u32) -> &'a [u8] {
        let from = self.strings.get(at as usize..).unwrap_or_default();
        from.split(|&byte| byte == 0).next().unwrap_or_default()
    }

    /// The struct or union that a type is, behind its other names.
    fn composite(&self, id: u32) -> Option<Struct<'_, 'a>> {
        let mut id = id;
        for _ in 0..DEPTH {
            let one = *self.types.get((id as usize).checked_sub(1)?)?;
            match one.kind() {
                STRUCT | UNION => return Some(Struct(self, one)),
                kind if ALIASES.contains(&kind) => id = one.size_or_type,
                _ => return None,
            }
        }
        None
    }
}

impl Struct<'_, '_> {
    /// Its size in bytes.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.1.size_or_type
    }

    /// Where a member begins, in bytes; members of unnamed members are its own.
    #[must_use]
    pub fn offset(&self, member: &str) -> Option<u32> {
        self.find(member.as_bytes(), DEPTH)
    }

    fn find(&self, member: &[u8], depth: u32) -> Option<u32> {
        let Self(btf, one) = self;
        // With this flag the upper eight bits of an offset are a bit field's width.
        let bits = if one.info >> 31 == 0 {
            u32::MAX
        } else {
            0x00ff_ffff
        };
        one.rest.chunks_exact(12).find_map(|mut raw| {
            let (name, kind, offset) = (raw.get_u32_ne(), raw.get_u32_ne(), raw.get_u32_ne());
            let at = (offset & bits) / 8;
            match btf.name(name) {
                found if found == member => Some(at),
                [] if depth > 0 => at.checked_add(btf.composite(kind)?.find(member, depth - 1)?),
                _ => None,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_running_kernel_has_the_fields_that_every_kernel_has() {
        let bytes = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
        let btf = Btf::parse(&bytes).unwrap();
        let head = btf.find("list_head").unwrap();
        assert_eq!(head.size(), 16);
        assert_eq!(
            (head.offset("next"), head.offset("prev")),
            (Some(0), Some(8))
        );
        assert_eq!(head.offset("no_such_member"), None);
        // Inside an unnamed struct of mm_struct.
        assert!(btf.find("mm_struct").unwrap().offset("arg_start") > Some(0));
        assert!(btf.find("no_such_struct").is_none());
        // Since 5.5, and older than all that we run on.
        let (id, arguments) = btf.function("security_task_alloc").unwrap();
        assert!(id > 0);
        assert_eq!(arguments, 2);
        assert_eq!(btf.function("no_such_function"), None);
        assert_eq!(btf.function("task_struct"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_damaged_or_fine_and_never_a_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 0..400),
            is_headed in any::<bool>(),
        ) {
            if is_headed && bytes.len() > 24 {
                bytes[..8].copy_from_slice(&[0x9f, 0xeb, 1, 0, 24, 0, 0, 0]);
                bytes[8..24].fill(0);
                let half = (bytes.len() - 24) / 2;
                bytes[12..16].copy_from_slice(&u32::try_from(half).unwrap().to_ne_bytes());
                bytes[20..24].copy_from_slice(&u32::try_from(half).unwrap().to_ne_bytes());
            }
            if let Ok(btf) = Btf::parse(&bytes) {
                let _ = btf.function("");
                for id in 0..20 {
                    if let Some(found) = btf.composite(id) {
                        let _ = found.offset("x");
                    }
                }
            }
        }
    }
}
