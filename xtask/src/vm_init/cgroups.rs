//! The cgroup hierarchies: v2 alone, or v1 controllers with v2 beside them.

use std::fs;

use rustix::mount::{MountFlags, mount};

const PLACE: &str = "/sys/fs/cgroup";

/// The kernel parameter that asks for both. With a dot in it, the kernel takes it for a module's.
const HYBRID: &str = "vm-init.hybrid";

/// Controllers that get a v1 hierarchy: what Docker and tests look for there.
const V1: [&str; 4] = ["cpu", "memory", "pids", "freezer"];

/// Mounts what the kernel's command line asks for. A kernel without one of them shows in the
/// command, not here.
pub fn mount_all() {
    if crate::mounted(PLACE) {
        return;
    }
    let parameters = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    if !parameters.split_whitespace().any(|word| word == HYBRID) {
        attach("cgroup2", PLACE, None);
        return;
    }
    attach("tmpfs", PLACE, None);
    attach("cgroup2", &format!("{PLACE}/unified"), None);
    for controller in V1 {
        attach("cgroup", &format!("{PLACE}/{controller}"), Some(controller));
    }
}

fn attach(kind: &str, place: &str, controller: Option<&str>) {
    let _ = fs::create_dir_all(place);
    let options = controller.and_then(|name| std::ffi::CString::new(name).ok());
    let _ = mount(kind, place, kind, MountFlags::empty(), options.as_deref());
}
