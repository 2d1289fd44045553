//! Arrays of the kernel side's words that are read without bpf(2).
//!
//! A classic tracepoint that preempts a bpf(2) call on a map is skipped: with preempt=full on 6.12 one
//! exit of 1,541 beside 578 looks at the status was never counted, and its slot stayed taken (`cargo
//! xtask test --matrix 6.12-full`). These are what the agent reads most.

use super::raw::Mapped;
use aya::maps::{Map, MapData, MapError};
use bytemuck::{Pod, Zeroable};
use std::marker::PhantomData;
use std::os::fd::AsFd;

/// An array map of values that are made of words.
#[derive(Debug)]
pub struct MappedArray<T> {
    memory: Mapped,
    len: u32,
    _map: MapData,
    _of: PhantomData<T>,
}

impl<T: Pod> MappedArray<T> {
    const WORDS: usize = size_of::<T>() / size_of::<u64>();

    /// The value at an index, word by word: each is whole, together they are of no one moment.
    #[must_use]
    pub fn get(&self, index: u32) -> Option<T> {
        if index >= self.len {
            return None;
        }
        let mut value = T::zeroed();
        let first = usize::try_from(index).ok()?.checked_mul(Self::WORDS)?;
        let bytes = bytemuck::bytes_of_mut(&mut value);
        for (at, to) in bytes.chunks_exact_mut(size_of::<u64>()).enumerate() {
            to.copy_from_slice(&self.memory.word(first + at)?.to_ne_bytes());
        }
        Some(value)
    }
}

impl<T: Zeroable> TryFrom<Map> for MappedArray<T> {
    type Error = MapError;

    fn try_from(map: Map) -> Result<Self, MapError> {
        let Map::Array(map) = map else {
            return Err(MapError::InvalidMapType { map_type: u32::MAX });
        };
        const { assert!(size_of::<T>().is_multiple_of(size_of::<u64>())) };
        let len = map.info()?.max_entries();
        let words = usize::try_from(len).unwrap_or(0) * (size_of::<T>() / size_of::<u64>());
        let memory = Mapped::map(map.fd().as_fd(), words).map_err(MapError::IoError)?;
        Ok(Self {
            memory,
            len,
            _map: map,
            _of: PhantomData,
        })
    }
}
