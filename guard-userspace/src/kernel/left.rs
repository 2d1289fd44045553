//! What is at work without an agent, for people who ask.

use super::inherit::mark;
use super::pins::Pins;
use aya::Pod;
use aya::maps::{Array, Map, MapData};
use guard_common::abi::CANARY_SLOT;
use guard_common::life::{self, Heartbeat, Mark, Note, Owner};
use guard_common::{GateLimits, GateMode, TargetCounters};
use std::fmt;

/// A gate that an agent has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftGate {
    /// How it refuses.
    pub mode: GateMode,
    /// It lets all pass, since its agent is gone for too long.
    pub lets_go: bool,
    /// Whom it holds; `None`: it is of another version, which alone knows.
    pub targets: Option<Vec<LeftTarget>>,
}

/// A target that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftTarget {
    /// Its name.
    pub name: String,
    /// Its live processes.
    pub live: u64,
    /// Its cap.
    pub max_processes: u64,
}

/// Looks; `None`: nothing is at work, or it may not be looked at.
#[must_use]
pub fn look(now_ns: u64) -> Option<LeftGate> {
    let pins = Pins::left().into_iter().next()?;
    let is_there = |name: &str| pins.link(name).exists();
    let mode = if is_there("task_alloc") {
        GateMode::Lsm
    } else if is_there("modify_task_alloc_0") {
        GateMode::FmodRet
    } else if is_there("task_newtask") || is_there("typed_newtask") {
        GateMode::Kill
    } else {
        return None;
    };
    let ours = noted::<Mark>(&pins, life::MARK) == Some(mark());
    let heartbeat = noted::<Heartbeat>(&pins, life::HEARTBEAT);
    Some(LeftGate {
        mode,
        lets_go: ours && heartbeat.is_some_and(|heart| heart.lets_go(now_ns)),
        targets: ours.then(|| targets(&pins)),
    })
}

fn targets(pins: &Pins) -> Vec<LeftTarget> {
    let held = (0..CANARY_SLOT).filter_map(|slot| {
        let owner = noted::<Owner>(pins, life::OWNERS + slot)?;
        let limits: GateLimits = value(pins, "LIMITS", slot)?;
        let counters: TargetCounters = value(pins, "COUNTERS", slot)?;
        (limits.mode != GateMode::Observe as u32).then(|| LeftTarget {
            name: owner.name().unwrap_or_default().to_owned(),
            live: counters.live,
            max_processes: limits.max_processes,
        })
    });
    held.filter(|target| !target.name.is_empty()).collect()
}

fn noted<T: bytemuck::Pod>(pins: &Pins, at: u32) -> Option<T> {
    Some(value::<Note>(pins, "NOTES", at)?.read())
}

fn value<T: Pod>(pins: &Pins, name: &str, at: u32) -> Option<T> {
    let map = MapData::from_pin(pins.map(name)).ok()?;
    let map: Array<MapData, T> = Map::Array(map).try_into().ok()?;
    map.get(&at, 0).ok()
}

impl fmt::Display for LeftGate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lets_go {
            return out.write_str(
                "the gate that an agent left lets all pass (on_agent_exit = \"release\")",
            );
        }
        write!(
            out,
            "the gate that an agent left is at work, by {}",
            self.mode.name()
        )?;
        let Some(targets) = &self.targets else {
            return out.write_str(" (it is of another version)");
        };
        for (index, target) in targets.iter().enumerate() {
            let between = if index == 0 { ": " } else { ", " };
            let LeftTarget {
                name,
                live,
                max_processes,
            } = target;
            write!(out, "{between}{name} {live} of {max_processes} processes")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_and_whom() {
        let target = |name: &str, live| LeftTarget {
            name: name.to_owned(),
            live,
            max_processes: 40,
        };
        let gate = |targets, lets_go| LeftGate {
            mode: GateMode::Kill,
            lets_go,
            targets,
        };
        let check = |gate: LeftGate, expected: &str| assert_eq!(gate.to_string(), expected);
        check(
            gate(Some(vec![target("a", 3), target("b", 40)]), false),
            "the gate that an agent left is at work, by kill: a 3 of 40 processes, b 40 of 40 processes",
        );
        check(
            gate(None, false),
            "the gate that an agent left is at work, by kill (it is of another version)",
        );
        check(
            gate(Some(Vec::new()), true),
            "the gate that an agent left lets all pass (on_agent_exit = \"release\")",
        );
    }
}
