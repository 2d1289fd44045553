//! What an earlier agent has left: whose it is, and whether all of it is there and as ours would be.

use super::carried::Carried;
use super::events::Events;
use super::load::OBJECT;
use super::pins::{PinError, Pins};
use aya::maps::{Array, Map, MapData, MapInfo};
use aya_obj::{EbpfSectionKind, Object};
use guard_common::abi::LAYOUT_VERSION;
use guard_common::life::{self, Mark, Note};
use std::hash::{DefaultHasher, Hasher};

/// aya-log's buffer: what is in it is for the agent that reads it.
const LOGS: &str = "AYA_LOGS";

/// What is there.
#[derive(Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    Nothing,
    /// All that an agent of this very build pins.
    Ours,
    /// All that another build pins.
    Another(Mark),
    /// Not all of it, or not as it should be: why.
    Broken(String),
}

/// Where the kernel side is to be kept, and what is there of it.
#[derive(Debug, Default)]
pub struct Place {
    /// `None`: it ends with the agent.
    pub pins: Option<Pins>,
    /// It is there already.
    pub adopted: bool,
    /// What another build has counted.
    pub carried: Carried,
}

/// Takes up what is there, or makes room for what is to be loaded.
#[must_use]
pub fn take(object: &Object, events: &Events) -> Place {
    match look_and_make_room(object, events) {
        Ok(place) => place,
        Err(error) => {
            tracing::warn!(%error, "the gate ends with the agent: it cannot be kept");
            Place::default()
        }
    }
}

fn look_and_make_room(object: &Object, events: &Events) -> Result<Place, PinError> {
    let pins = Pins::open()?;
    let place = |pins, adopted, carried| Place {
        pins: Some(pins),
        adopted,
        carried,
    };
    match look(&pins, object, events) {
        Left::Nothing => Ok(place(pins, false, Carried::default())),
        Left::Ours => Ok(place(pins, true, Carried::default())),
        Left::Broken(why) => {
            pins.remove()?;
            tracing::warn!(
                event = "replaced",
                why,
                "what an earlier agent left cannot be taken over ({why}) and is taken away; counts \
                 begin at 0"
            );
            Ok(place(Pins::open()?, false, Carried::default()))
        }
        Left::Another(mark) => {
            let aside = pins.set_aside()?;
            let is_known = mark.layout == u64::from(LAYOUT_VERSION);
            let carried = is_known.then(|| Carried::read(&aside)).flatten();
            let counts = match &carried {
                Some(_) => "totals go on, peaks begin anew",
                None => "counts begin at 0, since its cannot be read here",
            };
            tracing::warn!(
                event = "replacing",
                layout = mark.layout,
                counts_go_on = carried.is_some(),
                "the gate at work is of another build (layout {}, here {LAYOUT_VERSION}): it holds \
                 until this one does; {counts}",
                mark.layout
            );
            Ok(place(pins, false, carried.unwrap_or_default()))
        }
    }
}

/// Takes away what any agent has left: this one refuses nothing and leaves nothing.
pub fn clear_away() {
    for pins in Pins::left() {
        match pins.remove() {
            Ok(()) => tracing::warn!(
                event = "disarmed",
                "the gate that an earlier agent left at work is taken away"
            ),
            Err(error) => tracing::warn!(%error, "the gate that an earlier agent left stays"),
        }
    }
}

/// The mark of this build.
#[must_use]
pub fn mark() -> Mark {
    let mut hash = DefaultHasher::new();
    hash.write(OBJECT);
    Mark {
        layout: LAYOUT_VERSION.into(),
        object: hash.finish(),
    }
}

/// Names of the maps that are pinned.
#[must_use]
pub fn maps(object: &Object) -> Vec<String> {
    let kinds = [EbpfSectionKind::Maps, EbpfSectionKind::BtfMaps];
    let ours = object
        .maps
        .iter()
        .filter(|(name, map)| kinds.contains(&map.section_kind()) && name.as_str() != LOGS);
    ours.map(|(name, _)| name.clone()).collect()
}

/// Looks at what is pinned.
#[must_use]
pub fn look(pins: &Pins, object: &Object, events: &Events) -> Left {
    if pins.is_empty() {
        return Left::Nothing;
    }
    let found = match read_mark(pins) {
        Ok(Mark { layout: 0, .. }) => {
            return Left::Broken("its agent was ended before it was complete".to_owned());
        }
        Ok(found) => found,
        Err(why) => return Left::Broken(why),
    };
    if found != mark() {
        return Left::Another(found);
    }
    let maps = maps(object);
    let odd = maps.iter().find_map(|name| differs(pins, object, name));
    let missing = || {
        let missing = events.found(pins).err()?;
        Some(format!("the program {missing} is not attached"))
    };
    match odd.or_else(missing) {
        Some(why) => Left::Broken(why),
        None => Left::Ours,
    }
}

fn read_mark(pins: &Pins) -> Result<Mark, String> {
    let failed =
        |error: &dyn std::fmt::Display| format!("it has no mark that can be read: {error}");
    let path = pins.map("NOTES");
    let info = MapInfo::from_pin(&path).map_err(|error| failed(&error))?;
    if info.value_size() as usize != size_of::<Note>() {
        return Err(failed(&"it has another size"));
    }
    let map = MapData::from_pin(&path).map_err(|error| failed(&error))?;
    let map: Array<MapData, Note> = Map::Array(map).try_into().map_err(|error| failed(&error))?;
    let note = map.get(&life::MARK, 0).map_err(|error| failed(&error))?;
    Ok(note.read())
}

/// How a pinned map is not what our programs take it for: aya does not look, and the kernel looks at
/// what it is only where a program uses it.
fn differs(pins: &Pins, object: &Object, name: &str) -> Option<String> {
    let ours = object.maps.get(name)?;
    let found = match MapInfo::from_pin(pins.map(name)) {
        Ok(found) => found,
        Err(error) => return Some(format!("the map {name} is missing: {error}")),
    };
    let theirs = (
        found.map_type().ok().map(|kind| kind as u32),
        found.key_size(),
        found.value_size(),
        found.max_entries(),
    );
    let ours = (
        Some(ours.map_type()),
        ours.key_size(),
        ours.value_size(),
        ours.max_entries(),
    );
    (theirs != ours).then(|| format!("the map {name} is another one: {theirs:?}, not {ours:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_maps_that_hold_state_are_pinned_and_no_others() {
        let object = Object::parse(OBJECT).unwrap();
        let maps = maps(&object);
        for name in [
            "PROCESSES",
            "TREES",
            "COUNTERS",
            "GATES",
            "LIMITS",
            "NOTES",
            "EVENTS",
        ] {
            assert!(maps.iter().any(|map| map == name), "{name}: {maps:?}");
        }
        assert!(
            maps.iter().all(|map| !map.starts_with('.') && map != LOGS),
            "{maps:?}"
        );
    }
}
