//! What an earlier agent has left when it was killed: something frozen, where its thawer was killed with
//! it, or a container that was being restarted.

use super::Guard;
use super::deeds::{BEGUN, FROZEN};
use crate::actions::deed::Frozen;
use crate::agent::clock;
use crate::config::Config;
use crate::journal::{self, Journal};
use crate::model::{InputKind, TargetId};
use serde_json::Value;
use std::collections::BTreeSet;

/// What is left of an earlier agent, by the names of targets.
#[derive(Debug, Default)]
pub struct Left {
    /// Something was begun of them.
    begun: BTreeSet<String>,
}

impl Left {
    /// Reads the journal, and lets go on what is frozen: its thawer would have done that too, whoever
    /// the targets are now.
    pub fn take_up(config: &Config, journal: Option<&Journal>) -> Self {
        let [frozen, begun] = journal::last_notes(&config.state_dir, [FROZEN, BEGUN]);
        for (name, note) in frozen {
            if let Ok(frozen) = serde_json::from_value::<Frozen>(note) {
                thaw(&name, &frozen);
                if let Some(journal) = journal {
                    drop(journal.note(FROZEN, clock::now(), &name, Value::Null));
                }
            }
        }
        let open = begun.into_iter().filter(|(_, note)| !note.is_null());
        Self {
            begun: open.map(|(name, _)| name).collect(),
        }
    }
}

fn thaw(name: &str, frozen: &Frozen) {
    let dir = frozen.dir.display();
    match frozen.let_go() {
        Ok(true) => tracing::warn!(
            event = "thawed",
            target = name,
            "{name} was frozen by an earlier agent that was killed, and goes on: {dir}"
        ),
        // It has ended, or somebody has thawed it.
        Ok(false) => {}
        Err(why) => tracing::error!(
            event = "thawed",
            target = name,
            why,
            "{name} was frozen by an earlier agent that was killed, and cannot be thawed: {why}; do it by \
             `echo 0 > {dir}/cgroup.freeze`"
        ),
    }
}

impl Guard {
    /// A second has passed: what is frozen has somebody who thaws it, and what was left is known.
    pub(super) fn tend(&mut self) {
        self.hands.look();
        self.recall();
    }

    /// Says to the engine what was begun of the targets that are known by now.
    fn recall(&mut self) {
        if self.left.begun.is_empty() {
            return;
        }
        let names = self.places.iter();
        let names = names.map(|(id, place)| (id, place.config.name.clone()));
        let all: Vec<(TargetId, String)> = names.collect();
        for (id, name) in all {
            if self.left.begun.remove(&name) {
                self.step(clock::now(), id, InputKind::HalfDone);
            }
        }
    }
}
