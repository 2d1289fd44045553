//! Which target has which slot, and where it is right now.

use crate::config::{TargetConfig, TargetSource};
use crate::model::{CgroupId, TargetId};
use crate::targets::{Target, Wanted};
use guard_common::abi::CANARY_SLOT;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// All slots that were given away. A slot is a target's for as long as the agent runs, whatever
/// becomes of its container: totals go on and limits stay.
#[derive(Debug)]
pub struct Places {
    configs: Vec<TargetConfig>,
    by_target: BTreeMap<Target, TargetId>,
    places: BTreeMap<TargetId, Place>,
    /// Slots that were given away by earlier agents, by name, and have not been asked for yet.
    left: BTreeMap<String, TargetId>,
}

/// One target's.
#[derive(Debug)]
pub struct Place {
    /// Its config; the name is its own, of a label's too.
    pub config: TargetConfig,
    /// What the kernel expects by name.
    pub expected: Option<String>,
    /// The cgroup that the watch spoke of last.
    pub said: Option<CgroupId>,
    /// Where it is counted.
    pub up: Option<Up>,
    /// An earlier agent had it, and this one has not seen it yet.
    pub inherited: bool,
    /// It goes on from what another build had counted, and that has not been said to its state yet.
    pub goes_on: bool,
    /// Let go of by an operator's word, for as long as the agent runs.
    pub disarmed: bool,
}

/// A cgroup that is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Up {
    /// Its id.
    pub id: CgroupId,
    /// Its directory.
    pub dir: PathBuf,
    /// Its container's first process, where Docker has told it.
    pub init: Option<u32>,
}

impl Places {
    /// Slots for all targets that are known by name: those they had under earlier agents (`owners`), the
    /// others in the order of the config. Those of a label get theirs when their containers are found.
    #[must_use]
    pub fn new(configs: Vec<TargetConfig>, owners: BTreeMap<u32, String>) -> Self {
        let owners = owners.into_iter();
        let mut places = Self {
            configs: configs.clone(),
            by_target: BTreeMap::new(),
            places: BTreeMap::new(),
            left: owners.map(|(slot, name)| (name, TargetId(slot))).collect(),
        };
        for (index, config) in configs.into_iter().enumerate() {
            if !matches!(config.source, TargetSource::Label(_)) {
                let name = config.name;
                places.slot(&Target { index, name });
            }
        }
        places
    }

    /// What the watch is to look for.
    #[must_use]
    pub fn wanted(&self) -> Vec<Wanted> {
        let all = self.configs.iter().map(|config| Wanted {
            name: config.name.clone(),
            source: config.source.clone(),
        });
        all.collect()
    }

    /// A target's slot, and whether it is new. `None`: no slot is left, or no such target.
    pub fn slot(&mut self, target: &Target) -> Option<(TargetId, bool)> {
        if let Some(id) = self.by_target.get(target) {
            return Some((*id, false));
        }
        let mut config = self.configs.get(target.index)?.clone();
        config.name.clone_from(&target.name);
        let known = self.left.remove(&target.name);
        let id = known.or_else(|| self.free())?;
        self.by_target.insert(target.clone(), id);
        let place = Place {
            config,
            expected: None,
            said: None,
            up: None,
            inherited: known.is_some(),
            goes_on: false,
            disarmed: false,
        };
        self.places.insert(id, place);
        Some((id, true))
    }

    /// A slot that is nobody's.
    fn free(&self) -> Option<TargetId> {
        let left: BTreeSet<TargetId> = self.left.values().copied().collect();
        let mut all = (0..CANARY_SLOT).map(TargetId);
        all.find(|id| !self.places.contains_key(id) && !left.contains(id))
    }

    /// Slots of earlier agents' targets that nobody has asked for. They stay their names'.
    pub fn left(&self) -> impl Iterator<Item = (&str, TargetId)> {
        self.left.iter().map(|(name, id)| (name.as_str(), *id))
    }

    /// One place.
    #[must_use]
    pub fn get(&self, id: TargetId) -> Option<&Place> {
        self.places.get(&id)
    }

    /// One place.
    pub fn get_mut(&mut self, id: TargetId) -> Option<&mut Place> {
        self.places.get_mut(&id)
    }

    /// All places, by slot.
    pub fn iter(&self) -> impl Iterator<Item = (TargetId, &Place)> {
        self.places.iter().map(|(id, place)| (*id, place))
    }
}

impl Place {
    /// What it is, in words.
    #[must_use]
    pub fn watches(&self) -> String {
        match &self.config.source {
            TargetSource::Container(name) => format!("container {name}"),
            TargetSource::Label(label) => {
                format!("container {} (label {label})", self.config.name)
            }
            TargetSource::Cgroup(path) => format!("cgroup {}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Profile;

    #[test]
    fn slots_follow_the_config_and_are_kept() {
        let of = |source| TargetConfig::of(source, Profile::Generic);
        let mut places = Places::new(
            vec![
                of(TargetSource::Container("one".to_owned())),
                of(TargetSource::Label("guard=on".to_owned())),
                of(TargetSource::Container("two".to_owned())),
            ],
            BTreeMap::new(),
        );
        let mut slot = |index, name: &str| {
            let name = name.to_owned();
            places.slot(&Target { index, name })
        };
        assert_eq!(slot(2, "two"), Some((TargetId(1), false)));
        assert_eq!(slot(1, "labelled"), Some((TargetId(2), true)));
        assert_eq!(slot(1, "labelled"), Some((TargetId(2), false)));
        assert_eq!(slot(9, "nobody"), None);
        assert_eq!(places.iter().count(), 3);
        let label = places.get(TargetId(2)).unwrap();
        assert_eq!(label.watches(), "container labelled (label guard=on)");
    }

    #[test]
    fn a_target_has_the_slot_that_it_had_under_an_earlier_agent() {
        let of = |name: &str| {
            let source = TargetSource::Container(name.to_owned());
            TargetConfig::of(source, Profile::Generic)
        };
        let owners = [(0, "gone"), (2, "one")].map(|(slot, name)| (slot, name.to_owned()));
        let mut places = Places::new(vec![of("new"), of("one")], owners.into());
        let slots: Vec<_> = places
            .iter()
            .map(|(id, place)| (id.0, place.config.name.clone(), place.inherited))
            .collect();
        let expected = [(1, "new", false), (2, "one", true)];
        assert_eq!(
            slots,
            expected.map(|(id, name, old)| (id, name.to_owned(), old))
        );
        assert_eq!(places.left().collect::<Vec<_>>(), [("gone", TargetId(0))]);
        let name = "gone".to_owned();
        assert_eq!(
            places.slot(&Target { index: 0, name }),
            Some((TargetId(0), true))
        );
        assert_eq!(places.left().count(), 0);
    }
}
