//! What another build has counted, read from its maps while they are still there: its successor goes on
//! from it. What happens between this look and the new programs' first event is in neither.

use super::pins::Pins;
use super::tables;
use aya::maps::{Array, Map, MapData, MapInfo};
use guard_common::TargetCounters;
use guard_common::life::{Inside, Note};
use std::collections::BTreeMap;

/// By slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Whose each slot was.
    pub owners: BTreeMap<u32, String>,
    /// Which targets were within which.
    pub inside: BTreeMap<u32, Inside>,
    /// What each had counted.
    pub counters: BTreeMap<u32, TargetCounters>,
}

impl Carried {
    /// Of maps of this build's layout; `None`: they cannot be read, or are of another one.
    #[must_use]
    pub fn read(pins: &Pins) -> Option<Self> {
        let notes: Array<MapData, Note> = array(pins, "NOTES")?;
        let counters: Array<MapData, TargetCounters> = array(pins, "COUNTERS")?;
        let owners = tables::owners(&notes);
        let slots = owners.keys().copied();
        let counted = slots.filter_map(|slot| Some((slot, counters.get(&slot, 0).ok()?)));
        Some(Self {
            inside: tables::inside(&notes),
            counters: counted.collect(),
            owners,
        })
    }
}

/// A pinned array whose values are as large as ours: the kernel copies as many bytes as its own have.
fn array<T: aya::Pod>(pins: &Pins, name: &str) -> Option<Array<MapData, T>> {
    let path = pins.map(name);
    let info = MapInfo::from_pin(&path).ok()?;
    if info.value_size() as usize != size_of::<T>() {
        return None;
    }
    Map::Array(MapData::from_pin(&path).ok()?).try_into().ok()
}
