//! What the watch says of targets: expected, there, gone, waited for.
//!
//! The kernel side sees a cgroup's birth and end by itself and sooner; the watch's word decides
//! who is a target. So a word about a cgroup that is no longer the one being counted changes
//! nothing of that one.

use super::{Came, Guard, named};
use crate::agent::clock;
use crate::agent::places::Up;
use crate::config::TargetSource;
use crate::evidence::tree;
use crate::model::{CgroupId, InputKind, TargetId};
use crate::targets::{Event, Found, Target};
use guard_common::abi::Control;

impl Guard {
    /// Has the kernel arm cgroup targets as they are made.
    pub(super) fn expect_paths(&mut self) {
        let paths: Vec<_> = self
            .places
            .iter()
            .filter_map(|(id, place)| match &place.config.source {
                TargetSource::Cgroup(path) => Some((id, path.strip_prefix(&self.v2_mount).ok()?)),
                _ => None,
            })
            .map(|(id, below)| (id, format!("/{}", below.display())))
            .collect();
        for (id, name) in paths {
            self.expect(id, Some(name));
        }
    }

    /// Has the kernel arm a cgroup of that name, and no other, for a target.
    fn expect(&mut self, id: TargetId, name: Option<String>) {
        let Some(place) = self.places.get_mut(id) else {
            return;
        };
        if place.expected == name {
            return;
        }
        let before = std::mem::replace(&mut place.expected, name.clone());
        let forgotten = before.map_or(Ok(()), |name| self.kernel.tables.forget_expected(&name));
        let expected = name.map_or(Ok(()), |name| self.kernel.tables.expect(&name, id.0));
        if let Err(error) = forgotten.and(expected) {
            // It is armed when it is seen, some time after its first processes.
            tracing::warn!(%error, target = named(self.places.get(id)), "cannot be armed at birth");
        }
    }

    /// Takes what the watch says.
    pub fn target_event(&mut self, event: Event) {
        match event {
            Event::Expected { target, container } => {
                if let Some(id) = self.known(&target) {
                    self.expect(id, Some(container));
                }
            }
            Event::Appeared { target, found } => {
                if let Some(id) = self.known(&target) {
                    self.appeared(id, &found);
                }
            }
            Event::Gone { target, why } => {
                if let Some(id) = self.known(&target) {
                    self.gone(id, &why);
                }
            }
            Event::Waiting { target, why } => {
                if let Some(id) = self.known(&target) {
                    self.forget_container(id);
                }
                waiting(&target.name, &why);
            }
            Event::Refused { target, why } => {
                if let Some(id) = self.known(&target) {
                    self.forget_container(id);
                }
                let name = target.name.as_str();
                tracing::error!(event = "refused", target = name, why, "{name}: {why}");
            }
            Event::DockerLost { why } => {
                tracing::warn!(
                    event = "docker_lost",
                    why,
                    "Docker cannot be followed: {why}; what is guarded stays guarded, and it is \
                     tried again"
                );
                self.wait_for_docker();
            }
            Event::DockerBack => {
                tracing::info!(event = "docker_back", "Docker is followed again");
            }
        }
    }

    /// Containers of which Docker has not said anything yet wait for it too.
    fn wait_for_docker(&self) {
        for (_, place) in self.places.iter() {
            if place.config.source.is_container() && place.up.is_none() && place.expected.is_none()
            {
                waiting(&place.config.name, "Docker cannot be asked for it");
            }
        }
    }

    /// A target's slot; it gets one where it is new.
    fn known(&mut self, target: &Target) -> Option<TargetId> {
        let Some((id, is_new)) = self.places.slot(target) else {
            tracing::error!(
                target = target.name,
                "{} is not guarded: no more targets fit; restart the agent to forget those that \
                 are gone, or guard their common parent as one cgroup",
                target.name
            );
            return None;
        };
        if is_new {
            let config = self.places.get(id)?.config.clone();
            self.engine.watch(id, config);
            self.begin(id);
            self.tell_gate_to(id);
        }
        Some(id)
    }

    /// A container that is no target any more, or not yet. A cgroup's path stays expected.
    fn forget_container(&mut self, id: TargetId) {
        let place = self.places.get(id);
        if place.is_some_and(|place| place.config.source.is_container()) {
            self.expect(id, None);
        }
    }

    fn appeared(&mut self, id: TargetId, found: &Found) {
        let at = clock::now();
        if self.places.get(id).is_none_or(|place| place.disarmed) {
            return;
        }
        if let Some(container) = &found.container {
            // Expected on: a restart is armed from birth before Docker has told of it.
            self.expect(id, Some(container.clone()));
        }
        let Ok(inode) = tree::id(&found.cgroup_dir) else {
            // Gone already: the watch will say so.
            return;
        };
        let up = Up {
            id: CgroupId(inode),
            dir: found.cgroup_dir.clone(),
            init: found.init,
        };
        if let Some(place) = self.places.get_mut(id) {
            place.said = Some(up.id);
            if let Some(known) = place.up.as_mut().filter(|known| known.id == up.id) {
                known.init = up.init;
            }
        }
        if self.place_of(id, up.id) {
            return;
        }
        self.go_down(at, id, "its cgroup is another one now");
        let inherited = self.take_over(id, &up);
        if let Some(inherited) = inherited.clone().filter(|inherited| inherited.held) {
            // All of it is counted: to list and adopt it would count once more who is just ending.
            let came = Came {
                adopted: inherited.processes(),
                inherited: Some(inherited),
                from_birth: false,
                started_ns: found.started_boot_ns,
            };
            self.go_up(at, id, up, came);
            return self.survey(id);
        }
        if self.kernel.tables.slot_of(inode) == Some(id.0) {
            // The kernel armed it at its birth; its record of that is on its way.
            let came = Came {
                adopted: 0,
                inherited: None,
                from_birth: true,
                started_ns: found.started_boot_ns,
            };
            self.go_up(at, id, up, came);
            return;
        }
        match self.kernel.arm(id.0, &found.cgroup_dir, &self.v2_mount) {
            Ok(armed) => {
                if found.started_boot_ns != 0 {
                    self.started(id, found.started_boot_ns);
                }
                let came = Came {
                    adopted: armed.adopted,
                    inherited,
                    from_birth: false,
                    started_ns: found.started_boot_ns,
                };
                self.go_up(at, id, up, came);
                self.survey(id);
            }
            Err(error) => tracing::error!(
                %error,
                target = named(self.places.get(id)),
                "cannot be counted; it is tried again when it starts again"
            ),
        }
    }

    /// The start-up window of a container that was started a moment ago may not be over.
    fn started(&self, id: TargetId, started_ns: u64) {
        let told = self
            .kernel
            .control(Control::Started, id.0, [started_ns, 0, 0, 0]);
        if let Err(error) = told {
            tracing::warn!(%error, "no start-up window");
        }
    }

    fn gone(&mut self, id: TargetId, why: &str) {
        let Some(place) = self.places.get_mut(id) else {
            return;
        };
        let said = place.said.take();
        let Some(up) = place.up.clone() else { return };
        if said.is_some_and(|said| said != up.id) {
            // It was started again meanwhile, and the kernel armed that one.
            return;
        }
        if up.dir.exists() {
            // It runs on and is no target any more; nor is it when it starts again.
            self.forget_container(id);
        }
        self.go_down(clock::now(), id, why);
    }

    /// Tells a target how the gate refuses.
    pub(super) fn tell_gate_to(&mut self, id: TargetId) {
        if !self.gate.known {
            return;
        }
        self.tell_near(id);
        let kind = InputKind::Gate {
            mode: self.gate.mode,
            proved: self.gate.proved,
            errno: self.gate.errno,
            why: self.gate.why.clone(),
        };
        self.step(clock::now(), id, kind);
    }
}

fn waiting(name: &str, why: &str) {
    tracing::info!(
        event = "waiting",
        target = name,
        why,
        "waiting for {name}: {why}; it is guarded from its start"
    );
}
