//! What earlier agents left at work, and what this one leaves.
//!
//! A target has its slot by its name (`NOTES`). Its limits stay in force until this agent sets others,
//! and it is looked at as one that ran already, which finds everything counted.

use super::Guard;
use crate::agent::clock;
use crate::agent::places::Up;
use crate::config::checked::OnAgentExit;
use crate::config::{Mode, TargetSource};
use crate::evidence::tree;
use crate::model::input::Inherited;
use crate::model::{CgroupId, TargetId};
use guard_common::life::Heartbeat;
use guard_common::{GateLimits, GateMode};

/// Seconds in which labelled containers are found.
pub(super) const PATIENCE: u32 = 30;

impl Guard {
    /// Says to the kernel side that the agent lives.
    pub(super) fn beat(&mut self) {
        let timeout_ns = match self.config.on_agent_exit {
            OnAgentExit::Keep => 0,
            OnAgentExit::Release => {
                u64::try_from(self.config.agent_timeout.as_nanos()).unwrap_or(u64::MAX)
            }
        };
        let heartbeat = Heartbeat {
            beat_ns: clock::awake_ns(),
            timeout_ns,
        };
        if let Err(error) = self.kernel.tables.beat(heartbeat) {
            tracing::warn!(%error, "the gate is not told that the agent lives");
        }
    }

    /// Whether a target has a slot in which it was held before; else the slot is its from now on.
    pub(super) fn takes_up(&mut self, id: TargetId) -> bool {
        let Some(place) = self.places.get_mut(id) else {
            return false;
        };
        if !place.inherited {
            let earlier = self.earlier.remove(&place.config.name);
            place.goes_on = earlier.is_some();
            self.leave_note(id);
            if let Some(counters) = earlier {
                self.goes_on_from(id, &counters);
            }
            return false;
        }
        let mut names = self.kernel.tables.expected(id.0).into_iter();
        place.expected = names.next();
        for name in names {
            if let Err(error) = self.kernel.tables.forget_expected(&name) {
                tracing::debug!(%error, name, "still expected");
            }
        }
        true
    }

    /// Writes down for later agents whose a slot is, and the cap that was fixed for it.
    pub(super) fn leave_note(&mut self, id: TargetId) {
        let Some(place) = self.places.get(id) else {
            return;
        };
        let known = self.engine.target(id);
        let auto_cap = known.and_then(|known| known.state.auto_cap());
        let name = Some(place.config.name.as_str());
        if let Err(error) = self.kernel.tables.set_owner(id.0, name, auto_cap) {
            tracing::debug!(%error, "a later agent will not know whose slot this is");
        }
    }

    /// What a target that goes on from another build's counts had counted when it is first counted here:
    /// none of that is news.
    pub(super) fn goes_on(&mut self, id: TargetId) -> Option<Box<Inherited>> {
        if !std::mem::take(&mut self.places.get_mut(id)?.goes_on) {
            return None;
        }
        let counters = self.whole(id, &self.kernel.tables.counters(id.0).ok()?);
        Some(Box::new(Inherited {
            counters,
            auto_cap: None,
            held: false,
        }))
    }

    /// Takes over a target that an earlier agent has left; `None`: none has, or it was taken over already.
    /// What was its cgroup meanwhile and is no more is let go of.
    pub(super) fn take_over(&mut self, id: TargetId, up: &Up) -> Option<Box<Inherited>> {
        let place = self.places.get_mut(id)?;
        if !std::mem::take(&mut place.inherited) {
            return None;
        }
        let held = self.kernel.tables.slot_of(up.id.0) == Some(id.0);
        self.let_go_of_slot(id, Some(up));
        let counters = self.whole(id, &self.kernel.tables.counters(id.0).ok()?);
        Some(Box::new(Inherited {
            counters,
            auto_cap: self.kernel.tables.auto_cap(id.0),
            held,
        }))
    }

    /// Lets go of all cgroups of a slot, but for that one and what is in it.
    fn let_go_of_slot(&mut self, id: TargetId, but: Option<&Up>) {
        for cgroup in self.kernel.tables.cgroups(id.0) {
            let dir = tree::find(&self.v2_mount, cgroup);
            match &dir {
                Some(dir) if but.is_some_and(|up| dir.starts_with(&up.dir)) => {}
                Some(dir) => {
                    let heir = self.release(id, dir, CgroupId(cgroup));
                    self.has_inherited(heir);
                }
                None => {
                    if let Err(error) = self.kernel.tables.untag(cgroup) {
                        tracing::warn!(%error, cgroup, "what runs there is counted on");
                    }
                }
            }
        }
    }

    /// Lets go of targets that an earlier agent held and nobody wants any more, a second nearer to when
    /// that is known: those of labels are known only when their containers are.
    pub(super) fn let_go_of_unwanted(&mut self) {
        let mut targets = self.config.targets.iter();
        if targets.any(|target| matches!(target.source, TargetSource::Label(_)))
            && self.patience > 1
        {
            self.patience -= 1;
            return;
        }
        let left: Vec<_> = self
            .places
            .left()
            .map(|(name, id)| (name.to_owned(), id))
            .collect();
        for (name, id) in left {
            let is_held = self
                .kernel
                .tables
                .limits(id.0)
                .is_ok_and(|limits| limits != GateLimits::OBSERVE);
            if !is_held && self.kernel.tables.cgroups(id.0).is_empty() {
                continue;
            }
            self.open_slot(id);
            tracing::info!(
                event = "disarmed",
                target = name,
                "{name}, held by an earlier agent, is no target any more and is let go"
            );
        }
        self.patience = 0;
    }

    /// Holds nothing by a slot any more: no limits, no cgroup, nothing expected.
    pub(super) fn open_slot(&mut self, id: TargetId) {
        for name in self.kernel.tables.expected(id.0) {
            if let Err(error) = self.kernel.tables.forget_expected(&name) {
                tracing::debug!(%error, name, "still expected");
            }
        }
        let opened = self.kernel.tables.set_limits(id.0, &GateLimits::OBSERVE);
        if let Err(error) = opened {
            tracing::warn!(%error, "limits stay in force");
        }
        self.let_go_of_slot(id, None);
        self.lose_contents(id);
    }

    /// Whether the gate goes on when the agent ends.
    pub(super) fn stays(&self) -> bool {
        let kept = self.config.on_agent_exit == OnAgentExit::Keep && !self.is_disarmed();
        kept && self.config.mode == Mode::Enforce && self.kernel.is_kept()
    }

    /// The agent ends: the gate stays, and that is said, or is taken away.
    pub(super) fn leave(&mut self, stays: bool) {
        if !stays {
            return self.kernel.disarm();
        }
        let mode = match self.gate.mode {
            GateMode::Deny => GateMode::Kill,
            mode => mode,
        };
        let cost = match mode {
            GateMode::Kill => {
                ": without an agent no exec can be denied, so who is refused dies, which MetaMCP counts \
                 as a crash"
            }
            GateMode::Observe | GateMode::Lsm | GateMode::FmodRet | GateMode::Deny => "",
        };
        tracing::info!(
            event = "kept",
            mode = mode.name(),
            "the gate stays in force without the agent, by {}{cost}. A new agent takes it over; \
             `metamcp-guard disarm` takes it away",
            mode.name()
        );
    }
}
