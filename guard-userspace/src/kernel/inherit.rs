//! What an earlier agent has left: whose it is, and whether all of it is there and as ours would be.

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

/// Takes up what is there, or makes room for what is to be loaded; gives where that is kept, and
/// whether it is there already.
#[must_use]
pub fn take(object: &Object, events: &Events) -> (Option<Pins>, bool) {
    match look_and_make_room(object, events) {
        Ok((pins, adopted)) => (Some(pins), adopted),
        Err(error) => {
            tracing::warn!(%error, "the gate ends with the agent: it cannot be kept");
            (None, false)
        }
    }
}

fn look_and_make_room(object: &Object, events: &Events) -> Result<(Pins, bool), PinError> {
    let pins = Pins::open()?;
    match look(&pins, object, events) {
        Left::Nothing => Ok((pins, false)),
        Left::Ours => Ok((pins, true)),
        Left::Broken(why) => {
            pins.remove()?;
            tracing::warn!(
                event = "replaced",
                why,
                "what an earlier agent left cannot be taken over ({why}) and is taken away; counts \
                 begin at 0"
            );
            Ok((Pins::open()?, false))
        }
        Left::Another(mark) => {
            pins.set_aside()?;
            tracing::warn!(
                event = "replacing",
                layout = mark.layout,
                "the gate at work is of another build (layout {}, here {LAYOUT_VERSION}): it holds \
                 until this one does; counts begin at 0",
                mark.layout
            );
            Ok((pins, false))
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
