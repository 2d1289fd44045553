//! What a target is and what it is called.

use super::checked::TargetSource;
use super::error::Problem;
use super::overlay::Overlay;
use super::raw::At;
use core::ops::Range;
use std::path::{Component, Path, PathBuf};

/// Longest name of a target, in bytes: it is a label in every metric.
const NAME_MAX: usize = 128;

/// The one of `container`, `label` and `cgroup` that a target has.
pub(super) fn of(
    on: &mut Overlay<'_>,
    place: Range<usize>,
    container: At<String>,
    label: At<String>,
    cgroup: At<String>,
) -> Option<TargetSource> {
    let (place, source) = match (container, label, cgroup) {
        (Some(name), None, None) => (name.span(), container_named(name.get_ref())),
        (None, Some(label), None) => (label.span(), labelled(label.get_ref())),
        (None, None, Some(path)) => (path.span(), cgroup_at(Path::new(path.get_ref()), on.mount)),
        (None, None, None) => {
            let cause = "this target does not say what it guards";
            let fix = "add container = \"NAME\", label = \"KEY=VALUE\" or cgroup = \"PATH\"";
            (place, Err(Problem::new(cause, fix)))
        }
        _ => {
            let cause = "this target says more than one of `container`, `label` and `cgroup`";
            (
                place,
                Err(Problem::new(
                    cause,
                    "keep one; make a [[target]] of its own for another",
                )),
            )
        }
    };
    source.map_err(|problem| on.refuse(problem, place)).ok()
}

/// Takes a target's name.
pub(super) fn name(on: &mut Overlay<'_>, given: At<String>, to: &mut String) {
    let Some(given) = given else { return };
    let place = given.span();
    let name = given.get_ref();
    if name.trim().is_empty() || name.len() > NAME_MAX || name.contains(char::is_control) {
        let cause = "a target's `name` is empty, longer than 128 bytes or has control characters";
        let fix = "write a short name, or leave it out: it is then called after what it guards";
        on.refuse(Problem::new(cause, fix), place.clone());
    }
    on.value("name", Some(given), to);
}

/// The container called `name`, or with an id that begins so.
pub(super) fn container_named(name: &str) -> Result<TargetSource, Problem> {
    // Docker's API shows names with a slash before them.
    let bare = name.strip_prefix('/').unwrap_or(name);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if bare.starts_with(|c: char| c.is_ascii_alphanumeric())
        && bare.chars().all(allowed)
        && bare.len() <= NAME_MAX
    {
        return Ok(TargetSource::Container(bare.to_owned()));
    }
    let cause = format!("\"{name}\" cannot be the name or id of a container");
    Err(Problem::new(
        cause,
        "take one that `docker ps` shows: letters, digits, _ . -",
    ))
}

fn labelled(label: &str) -> Result<TargetSource, Problem> {
    let key = label.split('=').next().unwrap_or_default();
    if key.trim().is_empty() || label.contains(char::is_control) || label.len() > NAME_MAX {
        let cause = format!("\"{label}\" is no label of containers");
        return Err(Problem::new(
            cause,
            "write it as `docker ps --filter label=` takes it: \
                                        \"guard=on\", or \"guard\" for any value",
        ));
    }
    Ok(TargetSource::Label(label.to_owned()))
}

/// The cgroup at `path`, which must be below `mount` where that is known.
pub(super) fn cgroup_at(path: &Path, mount: Option<&Path>) -> Result<TargetSource, Problem> {
    let shown = path.display();
    let plain = |part: Component<'_>| !matches!(part, Component::ParentDir | Component::Prefix(_));
    if !path.is_absolute() || !path.components().all(plain) || shown.to_string().contains('\0') {
        let cause = format!("the cgroup \"{shown}\" is no absolute path without `..`");
        return Err(Problem::new(cause, example(mount)));
    }
    // Without doubled or final slashes.
    let path: PathBuf = path.components().collect();
    match mount {
        Some(mount) if path == mount => Err(Problem::new(
            format!(
                "\"{shown}\" is the root of all cgroups: the guard and the whole host are in it"
            ),
            example(Some(mount)),
        )),
        Some(mount) if !path.starts_with(mount) => Err(Problem::new(
            format!(
                "\"{shown}\" is not below {}, where cgroup v2 is mounted",
                mount.display()
            ),
            example(Some(mount)),
        )),
        _ => Ok(TargetSource::Cgroup(path)),
    }
}

fn example(mount: Option<&Path>) -> String {
    let mount = mount.unwrap_or(Path::new("/sys/fs/cgroup"));
    format!(
        "write the whole path of a cgroup below it, as {}",
        mount.join("my.slice/my.service").display()
    )
}
