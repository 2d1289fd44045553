//! Where processes belong that were there before anybody watched, or whose births were missed.
//!
//! By parent up to the spine; a child that a wrapper of the spine has only inherited (its own
//! session's first process is gone) by its session. What each is now is compared with that, so that
//! a survey of what is known already asks for nothing.

use super::gateways::Gateways;
use super::role;
use crate::config::TargetConfig;
use crate::model::kin::{Found, Survey};
use crate::model::{Action, Reason};
use guard_common::tree::Role;
use guard_common::tree::force::Post;
use std::collections::BTreeMap;

/// Most generations that are looked through.
const GENERATIONS: usize = 64;

/// What a process should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// In the spine.
    Spine(Role),
    /// A root in a cgroup target that `protect` means.
    Protected,
    /// A root.
    Root,
    /// In the tree of this root.
    In(u32),
    /// Came from outside.
    Guest,
    /// With this one, which did.
    With(u32),
    /// In the tree that it is in already, though its parent there has ended.
    Kept,
}

/// What is to be done so that each process is counted where it belongs.
#[must_use]
pub fn decide(
    survey: &Survey,
    config: &TargetConfig,
    gateways: &mut Gateways,
) -> Vec<(Reason, Action)> {
    let found: BTreeMap<u32, &Found> = survey
        .processes
        .iter()
        .map(|one| (one.process.pid, one))
        .collect();
    let roots: BTreeMap<u64, u32> = survey
        .trees
        .iter()
        .map(|tree| (tree.id, tree.root))
        .collect();
    let mut scene = Scene {
        found,
        roots,
        config,
        gateways,
        init: survey.init,
        due: BTreeMap::new(),
    };
    let pids: Vec<u32> = scene.found.keys().copied().collect();
    for pid in &pids {
        scene.due(*pid, GENERATIONS);
    }
    pids.iter()
        .filter_map(|pid| scene.action(*pid))
        .map(|action| (Reason::Found, action))
        .collect()
}

struct Scene<'a> {
    found: BTreeMap<u32, &'a Found>,
    /// Each tree's first process.
    roots: BTreeMap<u64, u32>,
    config: &'a TargetConfig,
    gateways: &'a mut Gateways,
    init: Option<u32>,
    due: BTreeMap<u32, Due>,
}

impl Scene<'_> {
    /// What `pid` should be.
    fn due(&mut self, pid: u32, generations: usize) -> Option<Due> {
        if let Some(due) = self.due.get(&pid) {
            return Some(*due);
        }
        let found = *self.found.get(&pid)?;
        let due = self.look(found, generations.checked_sub(1)?)?;
        self.due.insert(pid, due);
        Some(due)
    }

    fn look(&mut self, found: &Found, generations: usize) -> Option<Due> {
        let container = self.config.source.is_container();
        if self.init == Some(found.process.pid) {
            return Some(self.spine(found));
        }
        let parent = self.due(found.parent, generations);
        let is_no_member = matches!(parent, None | Some(Due::Spine(_) | Due::Protected));
        if is_no_member && self.has_lost_its_parent(found) {
            return Some(Due::Kept);
        }
        let Some(parent) = parent else {
            return Some(match (container, self.init) {
                (true, Some(_)) => Due::Guest,
                _ => self.root(found),
            });
        };
        Some(match parent {
            Due::Spine(Role::Gateway) | Due::Protected => self.root(found),
            Due::Spine(_) if self.is_inherited(found) => {
                self.of_session(found).map_or(Due::Root, Due::In)
            }
            Due::Spine(_) => self.spine(found),
            Due::Root | Due::Kept => Due::In(found.parent),
            Due::In(root) => Due::In(root),
            Due::Guest => Due::With(found.parent),
            Due::With(first) => Due::With(first),
        })
    }

    fn spine(&mut self, found: &Found) -> Due {
        match role::of_spine(&found.argv, &self.config.gate.wrappers) {
            Some(Role::Gateway) if self.gateways.admit(found.process.pid, &found.argv) => {
                Due::Spine(Role::Gateway)
            }
            _ => Due::Spine(Role::Wrapper),
        }
    }

    fn root(&mut self, found: &Found) -> Due {
        if role::is_protected(&found.argv, &self.config.protect)
            && self.gateways.admit(found.process.pid, &found.argv)
        {
            Due::Protected
        } else {
            Due::Root
        }
    }

    /// Whether it is in a tree that is neither its own nor its parent's: the kernel side has it from its
    /// birth there, and its parent adopted it later. Membership is never looked up by parent again.
    fn has_lost_its_parent(&self, found: &Found) -> bool {
        let tree = found.place.tree();
        let parents = self.found.get(&found.parent);
        let is_member = found.place.role() == Role::Member && tree != 0;
        let root = self.roots.get(&tree);
        is_member
            && root.is_some_and(|root| *root != found.process.pid)
            && parents.is_none_or(|parent| parent.place.tree() != tree)
    }

    /// Whether its parent adopted it when its own parent ended.
    fn is_inherited(&self, found: &Found) -> bool {
        let parent = self.found.get(&found.parent);
        let leader_lives = self.found.contains_key(&found.session);
        !leader_lives && parent.is_some_and(|parent| parent.session != found.session)
    }

    /// The process of the same session that is looked at first, where that is another.
    fn of_session(&self, found: &Found) -> Option<u32> {
        let same = |one: &&&Found| one.session == found.session;
        let first = self.found.values().find(same)?.process.pid;
        (first != found.process.pid).then_some(first)
    }

    /// What brings `pid` from what it is to what it should be.
    fn action(&self, pid: u32) -> Option<Action> {
        let found = *self.found.get(&pid)?;
        let (process, place) = (found.process, found.place);
        let of_own_tree = self.roots.get(&place.tree()) == Some(&pid);
        let moved = |post| Some(Action::Move { process, post });
        // Where its first process is not there yet itself, the next survey finds both.
        let beside = |first: u32| {
            let first = self.found.get(&first)?.place;
            let id = first.tree();
            (id != 0 && id != place.tree()).then_some(Post::In { id, hold: false })
        };
        match (*self.due.get(&pid)?, place.role()) {
            (_, Role::Nobody) | (Due::Kept, _) => None,
            (Due::Spine(role), _) if place.is_spine() => {
                let program = found.argv.join(" ");
                (role != place.role()).then_some(Action::Role {
                    process,
                    role,
                    program,
                })
            }
            (Due::Spine(Role::Gateway), _) => moved(Post::Gateway),
            (Due::Spine(_), _) => moved(Post::Wrapper),
            (Due::Protected, Role::Gateway) => None,
            (Due::Protected, Role::Member) if of_own_tree => {
                let program = found.argv.join(" ");
                Some(Action::Protect { process, program })
            }
            (Due::Root, Role::Member) if of_own_tree => None,
            (Due::Root | Due::Protected, _) => moved(Post::Found),
            (Due::In(root), _) => moved(beside(root)?),
            (Due::Guest, Role::Guest) => None,
            (Due::Guest, _) => moved(Post::Guest),
            (Due::With(first), _) => moved(beside(first)?),
        }
    }
}

#[cfg(test)]
mod tests;
