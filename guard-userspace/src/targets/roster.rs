//! All containers that Docker knows, which of them are targets, and what has been said of each.
//!
//! Events are never handed on: what Docker says is put in here, and [`Roster::settle`] compares.
//! So an event that is lost, late or said twice changes nothing in the end.

use super::assign::{assign, with_prefix};
use super::container::{Container, Listed, Standing};
use super::said::Said;
use super::{Event, Target, Wanted};
use crate::config::TargetSource;
use std::collections::BTreeMap;
use std::path::Path;

/// All containers, and what has been said of the targets among them.
#[derive(Debug)]
pub struct Roster {
    wanted: Vec<Wanted>,
    containers: BTreeMap<String, Container>,
    said: BTreeMap<Target, Said>,
    waiting: BTreeMap<usize, String>,
    /// Whether Docker's list was ever read: before, nothing is known to be missing.
    listed: bool,
}

impl Roster {
    /// Nothing known yet.
    #[must_use]
    pub fn new(wanted: Vec<Wanted>) -> Self {
        Self {
            wanted,
            containers: BTreeMap::new(),
            said: BTreeMap::new(),
            waiting: BTreeMap::new(),
            listed: false,
        }
    }

    /// A container was created: it does not run yet. Of a known one this says nothing new.
    pub fn created(&mut self, container: Container) {
        self.containers
            .entry(container.id.clone())
            .or_insert(container);
    }

    /// What Docker says of a container now.
    pub fn put(&mut self, container: Container) {
        self.containers.insert(container.id.clone(), container);
    }

    /// Docker no longer knows a container.
    pub fn remove(&mut self, id: &str) {
        self.containers.remove(id);
    }

    /// Docker's whole list. One that is listed as running keeps what is known of how it runs: the
    /// list does not tell.
    pub fn list(&mut self, all: Vec<Listed>) {
        self.listed = true;
        let mut before = std::mem::take(&mut self.containers);
        for Listed {
            mut container,
            running,
        } in all
        {
            if let Some(known) = before.remove(&container.id)
                && running == !matches!(known.standing, Standing::Stopped(_))
            {
                container.standing = known.standing;
            }
            self.put(container);
        }
    }

    /// While Docker cannot be asked: a container whose cgroup is gone does not run.
    pub fn look_for_cgroups(&mut self, exists: impl Fn(&Path) -> bool) {
        for container in self.containers.values_mut() {
            if let Standing::Running(found) = &container.standing
                && !exists(&found.cgroup_dir)
            {
                let how = format!("the cgroup of container {} was removed", container.name);
                container.standing = Standing::Stopped(Some(how));
            }
        }
    }

    /// Whether a container is a target now.
    #[must_use]
    pub fn is_target(&self, id: &str) -> bool {
        assign(&self.wanted, &self.containers)
            .values()
            .any(|assigned| assigned.id == id)
    }

    /// Whether a container is known at all.
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        self.containers.contains_key(id)
    }

    /// What must be said now, so that everything true has been said.
    #[must_use]
    pub fn settle(&mut self) -> Vec<Event> {
        let assigned: BTreeMap<Target, Container> = assign(&self.wanted, &self.containers)
            .into_iter()
            .map(|(target, container)| (target, container.clone()))
            .collect();
        let mut events = self.settle_lost(&assigned);
        for (target, container) in assigned {
            let next = match container.standing {
                Standing::Stopped(_) => Said::Expected(container.id),
                Standing::Running(found) => Said::Appeared(found),
                Standing::Refused(why) => Said::Refused(container.id, why),
            };
            self.waiting.remove(&target.index);
            if self.said.get(&target) != Some(&next) {
                events.push(next.event(&target));
                self.said.insert(target, next);
            }
        }
        events.extend(self.settle_waiting());
        events
    }

    /// `Gone` for what is no longer what was said of it.
    fn settle_lost(&mut self, assigned: &BTreeMap<Target, Container>) -> Vec<Event> {
        let mut events = Vec::new();
        self.said.retain(|target, said| {
            let now = assigned.get(target);
            let why = match (
                &*said,
                now.map(|container| (container, &container.standing)),
            ) {
                (Said::Expected(id), Some((now, _))) if *id == now.id => None,
                (Said::Appeared(was), Some((_, Standing::Running(is)))) if was == is => None,
                (Said::Refused(id, _), Some((now, Standing::Refused(_)))) if *id == now.id => None,
                (_, Some((now, Standing::Stopped(how)))) if said.id() == Some(&now.id) => Some(
                    how.clone()
                        .unwrap_or_else(|| format!("container {} stopped", now.name)),
                ),
                (_, Some((now, _))) if said.id() == Some(&now.id) => {
                    Some(format!("container {} was started again", now.name))
                }
                _ => Some(lost(target, said, &self.containers)),
            };
            // What was refused was never there: its end is no news.
            if let Some(why) = &why
                && !matches!(said, Said::Refused(..))
            {
                events.push(Event::Gone {
                    target: target.clone(),
                    why: why.clone(),
                });
            }
            why.is_none()
        });
        events
    }

    /// `Waiting`, once, for each wanted that no container is.
    fn settle_waiting(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for (index, wanted) in self.wanted.iter().enumerate().filter(|_| self.listed) {
            if self.said.keys().any(|target| target.index == index) {
                continue;
            }
            let why = match &wanted.source {
                TargetSource::Cgroup(_) => continue,
                TargetSource::Label(label) => format!("no container has the label {label}"),
                TargetSource::Container(by) => match with_prefix(&self.containers, by).count() {
                    0 | 1 => format!("there is no container {by}"),
                    n => {
                        format!("{n} containers have an id that begins with {by}: give more of it")
                    }
                },
            };
            if self.waiting.get(&index) != Some(&why) {
                self.waiting.insert(index, why.clone());
                events.push(Event::Waiting {
                    target: Target {
                        index,
                        name: wanted.name.clone(),
                    },
                    why,
                });
            }
        }
        events
    }
}

fn lost(target: &Target, said: &Said, containers: &BTreeMap<String, Container>) -> String {
    match said.id().and_then(|id| containers.get(id)) {
        None => format!("the container of target {} was removed", target.name),
        Some(container) => format!(
            "the container of target {} is now named {}",
            target.name, container.name
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::Found;

    const A: &str = "aaaa157d2ba2914185d411be32014bbdeb2ddab0f25962fe872724ab0599a46d";
    const B: &str = "aabb157d2ba2914185d411be32014bbdeb2ddab0f25962fe872724ab0599a46d";

    fn new(name: &str) -> Roster {
        let source = TargetSource::Container(name.to_owned());
        let name = "gw".to_owned();
        Roster::new(vec![Wanted { name, source }])
    }

    /// Docker's list was read, and was empty.
    fn named(name: &str) -> Roster {
        let mut roster = new(name);
        roster.list(Vec::new());
        roster
    }

    fn found(id: &str, pid: u32) -> Found {
        Found {
            container: Some(id.to_owned()),
            init: Some(pid),
            cgroup_dir: format!("/cg/{id}").into(),
            started_boot_ns: u64::from(pid),
        }
    }

    fn stopped(id: &str, name: &str) -> Container {
        Container {
            id: id.to_owned(),
            name: name.to_owned(),
            labels: BTreeMap::from([("guard".to_owned(), "on".to_owned())]),
            standing: Standing::Stopped(None),
        }
    }

    fn running(id: &str, name: &str, pid: u32) -> Container {
        Container {
            standing: Standing::Running(found(id, pid)),
            ..stopped(id, name)
        }
    }

    /// What was said, short: `+gw:aaaa` appeared, `?` expected, `-` gone, `~` waiting, `!` refused.
    fn said(roster: &mut Roster) -> String {
        let short = |event: &Event| match event {
            Event::Expected { target, container } => {
                format!("?{}:{}", target.name, &container[..4])
            }
            Event::Appeared { target, found } => {
                format!(
                    "+{}:{}",
                    target.name,
                    &found.container.clone().unwrap()[..4]
                )
            }
            Event::Gone { target, .. } => format!("-{}", target.name),
            Event::Waiting { target, .. } => format!("~{}", target.name),
            Event::Refused { target, .. } => format!("!{}", target.name),
            other => panic!("{other:?}"),
        };
        roster
            .settle()
            .iter()
            .map(short)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn a_container_from_its_creation_to_its_end() {
        let mut roster = new("gw");
        assert_eq!(said(&mut roster), "", "nothing is known to be missing yet");
        roster.list(Vec::new());
        assert_eq!(said(&mut roster), "~gw");
        assert_eq!(said(&mut roster), "", "said once");
        roster.created(stopped(A, "gw"));
        assert_eq!(said(&mut roster), "?gw:aaaa");
        roster.put(running(A, "gw", 7));
        assert_eq!(said(&mut roster), "+gw:aaaa");
        assert_eq!(said(&mut roster), "", "said once");
        roster.created(stopped(A, "gw"));
        assert_eq!(
            said(&mut roster),
            "",
            "an old message about its creation is no news"
        );
        roster.put(stopped(A, "gw"));
        assert_eq!(said(&mut roster), "-gw ?gw:aaaa");
        roster.put(running(A, "gw", 8));
        assert_eq!(said(&mut roster), "+gw:aaaa");
        roster.put(running(A, "gw", 9));
        assert_eq!(said(&mut roster), "-gw +gw:aaaa", "restarted unseen");
        roster.remove(A);
        assert_eq!(said(&mut roster), "-gw ~gw");
    }

    #[test]
    fn the_name_is_followed() {
        let mut roster = named("gw");
        roster.put(running(A, "gw", 1));
        roster.put(running(B, "next", 2));
        assert_eq!(said(&mut roster), "+gw:aaaa");
        roster.put(running(A, "old", 1));
        assert_eq!(said(&mut roster), "-gw ~gw");
        roster.put(running(B, "gw", 2));
        assert_eq!(said(&mut roster), "+gw:aabb");
    }

    #[test]
    fn recreated_under_the_same_name() {
        let mut roster = named("gw");
        roster.put(running(A, "gw", 1));
        assert_eq!(said(&mut roster), "+gw:aaaa");
        roster.remove(A);
        roster.created(stopped(B, "gw"));
        assert_eq!(said(&mut roster), "-gw ?gw:aabb");
        roster.put(running(B, "gw", 2));
        assert_eq!(said(&mut roster), "+gw:aabb");
    }

    #[test]
    fn an_ambiguous_beginning_is_said_to_be() {
        let mut roster = named("aa");
        roster.put(running(A, "one", 1));
        roster.put(running(B, "two", 2));
        let events = roster.settle();
        let [Event::Waiting { why, .. }] = events.as_slice() else {
            panic!("{events:?}")
        };
        assert!(why.contains("2 containers"), "{why}");
    }

    #[test]
    fn what_cannot_be_guarded_is_said_once_and_leaves_without_a_word() {
        let mut roster = named("gw");
        let refused = Container {
            standing: Standing::Refused("root cgroup".to_owned()),
            ..stopped(A, "gw")
        };
        roster.put(refused.clone());
        assert_eq!(said(&mut roster), "!gw");
        roster.put(refused);
        assert_eq!(said(&mut roster), "");
        roster.put(stopped(A, "gw"));
        assert_eq!(said(&mut roster), "?gw:aaaa");
    }

    #[test]
    fn a_list_keeps_how_the_running_run_and_forgets_the_removed() {
        let mut roster = named("gw");
        roster.put(running(A, "gw", 1));
        assert_eq!(said(&mut roster), "+gw:aaaa");
        let listed = |running| {
            vec![Listed {
                container: stopped(A, "gw"),
                running,
            }]
        };
        roster.list(listed(true));
        assert_eq!(said(&mut roster), "");
        roster.list(listed(false));
        assert_eq!(said(&mut roster), "-gw ?gw:aaaa");
        roster.list(Vec::new());
        assert_eq!(said(&mut roster), "-gw ~gw");
    }

    #[test]
    fn without_docker_a_cgroup_that_is_gone_is_gone() {
        let mut roster = named("gw");
        roster.put(running(A, "gw", 1));
        assert_eq!(said(&mut roster), "+gw:aaaa");
        roster.look_for_cgroups(|_| true);
        assert_eq!(said(&mut roster), "");
        roster.look_for_cgroups(|_| false);
        assert_eq!(said(&mut roster), "-gw ?gw:aaaa");
    }
}
