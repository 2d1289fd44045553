//! Which container is which target.

use super::container::Container;
use super::resolve::is_hex;
use super::{Target, Wanted};
use crate::config::TargetSource;
use std::collections::BTreeMap;

/// Containers by id.
pub type Containers = BTreeMap<String, Container>;

/// Which container is which target. A container is one target at most: the first that wants it.
pub fn assign<'a>(
    wanted: &[Wanted],
    containers: &'a Containers,
) -> BTreeMap<Target, &'a Container> {
    let mut taken: BTreeMap<Target, &Container> = BTreeMap::new();
    for (index, one) in wanted.iter().enumerate() {
        let found: Vec<&Container> = match &one.source {
            TargetSource::Cgroup(_) => continue,
            TargetSource::Container(by) => by_name_or_id(containers, by).into_iter().collect(),
            TargetSource::Label(label) => containers
                .values()
                .filter(|container| has_label(container, label))
                .collect(),
        };
        for container in found {
            if taken.values().all(|other| other.id != container.id) {
                let name = target_name(wanted, index, container);
                taken.insert(Target { index, name }, container);
            }
        }
    }
    taken
}

/// The config's name; for a label the container's, unless another target in the config has it.
fn target_name(wanted: &[Wanted], index: usize, container: &Container) -> String {
    let own = wanted.get(index).map_or("", |one| one.name.as_str());
    let by_label = wanted
        .get(index)
        .is_some_and(|one| matches!(one.source, TargetSource::Label(_)));
    let clash = wanted
        .iter()
        .enumerate()
        .any(|(at, other)| at != index && other.name == container.name);
    match (by_label, clash) {
        (false, _) => own.to_owned(),
        (true, false) => container.name.clone(),
        (true, true) => format!("{own}/{}", container.name),
    }
}

/// As Docker does it: the whole id, the name, then the one id that begins so.
fn by_name_or_id<'a>(containers: &'a Containers, by: &str) -> Option<&'a Container> {
    containers
        .get(by)
        .or_else(|| containers.values().find(|one| one.name == by))
        .or_else(|| {
            let mut found = with_prefix(containers, by);
            found.next().filter(|_| found.next().is_none())
        })
}

/// The containers whose id begins with `by`: none where that is no hexadecimal number.
pub fn with_prefix<'a>(
    containers: &'a Containers,
    by: &str,
) -> impl Iterator<Item = &'a Container> {
    let by = by.to_owned();
    containers
        .values()
        .filter(move |one| is_hex(&by) && one.id.starts_with(&by))
}

/// `key`, or `key=value`.
fn has_label(container: &Container, label: &str) -> bool {
    match label.split_once('=') {
        Some((key, value)) => container
            .labels
            .get(key)
            .is_some_and(|found| found == value),
        None => container.labels.contains_key(label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::container::Standing;

    const A: &str = "aaaa157d2ba2914185d411be32014bbdeb2ddab0f25962fe872724ab0599a46d";
    const B: &str = "aabb157d2ba2914185d411be32014bbdeb2ddab0f25962fe872724ab0599a46d";

    fn want(name: &str, source: TargetSource) -> Wanted {
        Wanted {
            name: name.to_owned(),
            source,
        }
    }

    /// Assigns A, called `a_name`, and B, called `b_name`, both labelled guard=on.
    fn check(wanted: &[Wanted], a_name: &str, b_name: &str, expect: &str) {
        let container = |(id, name): (&str, &str)| Container {
            id: id.to_owned(),
            name: name.to_owned(),
            labels: BTreeMap::from([("guard".to_owned(), "on".to_owned())]),
            standing: Standing::Stopped(None),
        };
        let both = [(A, a_name), (B, b_name)].map(container);
        let containers: Containers = both.into_iter().map(|one| (one.id.clone(), one)).collect();
        let found: Vec<String> = assign(wanted, &containers)
            .iter()
            .map(|(target, container)| format!("{}:{}", target.name, &container.id[..4]))
            .collect();
        assert_eq!(found.join(" "), expect, "{wanted:?}");
    }

    #[test]
    fn by_name_by_id_and_by_its_beginning() {
        let by = |by: &str, expect: &str| {
            check(
                &[want("gw", TargetSource::Container(by.to_owned()))],
                "one",
                "aaa",
                expect,
            );
        };
        by("one", "gw:aaaa");
        by(A, "gw:aaaa");
        by("aabb157d2ba2", "gw:aabb");
        by("aaa", "gw:aabb"); // a name goes before an id's beginning
        by("aa", ""); // two begin so
        by("AABB", "");
        by("", "");
        by("on", "");
    }

    #[test]
    fn each_container_with_the_label_is_a_target_of_its_own() {
        let label = |label: &str, expect: &str| {
            check(
                &[want("gw", TargetSource::Label(label.to_owned()))],
                "one",
                "two",
                expect,
            );
        };
        label("guard=on", "one:aaaa two:aabb");
        label("guard", "one:aaaa two:aabb");
        label("guard=off", "");
        label("guar", "");
    }

    #[test]
    fn a_labelled_container_whose_name_another_target_has_gets_both() {
        let elsewhere = want("one", TargetSource::Container("elsewhere".to_owned()));
        let labelled = want("labelled", TargetSource::Label("guard".to_owned()));
        check(
            &[elsewhere, labelled],
            "one",
            "two",
            "labelled/one:aaaa two:aabb",
        );
    }

    #[test]
    fn a_container_is_one_target_only() {
        let named = want("gw", TargetSource::Container("one".to_owned()));
        let labelled = want("labelled", TargetSource::Label("guard".to_owned()));
        check(&[named, labelled], "one", "two", "gw:aaaa two:aabb");
    }
}
