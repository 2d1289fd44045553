//! Finds tracefs and the places of fields in its events, which differ from kernel to kernel.

use crate::evidence::mounts;
use rustix::mount::{MountFlags, mount};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where tracefs belongs.
const PLACE: &str = "/sys/kernel/tracing";

/// Why no events can be heard.
#[derive(Debug, thiserror::Error)]
pub enum TracefsError {
    /// It is not mounted and cannot be.
    #[error(
        "tracefs is not mounted and cannot be mounted at {PLACE}: {0}; mount it: \
         mount -t tracefs tracefs {PLACE}"
    )]
    Unmounted(io::Error),
    /// The event is not there.
    #[error(
        "the kernel shows no event {event} ({}): {source}; under lockdown=confidentiality it hides \
         them all, else it was built without CONFIG_FTRACE", path.display()
    )]
    NoEvent {
        /// Its name.
        event: &'static str,
        /// Where it was looked for.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The event has no such field.
    #[error("the kernel's event {event} has no field {field}; Linux 6.1 to 7.3 have it")]
    NoField {
        /// The event.
        event: &'static str,
        /// The field.
        field: &'static str,
    },
}

/// Where tracefs is mounted; mounts it where nobody has yet. It stays mounted.
///
/// # Errors
/// It cannot be.
pub fn place() -> Result<PathBuf, TracefsError> {
    let mounted = mounts::here().ok().and_then(|mounts| {
        let mut all = mounts.into_iter();
        all.find(|mount| mount.fs_type == "tracefs")
            .map(|mount| mount.mount_point)
    });
    if let Some(place) = mounted {
        return Ok(place);
    }
    mount("tracefs", PLACE, "tracefs", MountFlags::empty(), None)
        .map_err(|errno| TracefsError::Unmounted(errno.into()))?;
    Ok(PathBuf::from(PLACE))
}

/// Where `field` begins in the records of an event, in bytes.
///
/// # Errors
/// No such event, or no such field.
pub fn field(
    tracefs: &Path,
    category: &str,
    event: &'static str,
    field: &'static str,
) -> Result<u32, TracefsError> {
    let folder = tracefs.join("events").join(category).join(event);
    let path = folder.join("format");
    match fs::read_to_string(&path) {
        Ok(text) => offset(&text, field).ok_or(TracefsError::NoField { event, field }),
        Err(source) => Err(TracefsError::NoEvent {
            event,
            path,
            source,
        }),
    }
}

/// `field:pid_t pid; offset:8; size:4; signed:1;` (with tabs) says that `pid` is at 8.
fn offset(format: &str, wanted: &str) -> Option<u32> {
    format.lines().find_map(|line| {
        let mut parts = line.trim().strip_prefix("field:")?.split(';');
        let name = parts.next()?.rsplit(' ').next()?;
        let place = || parts.find_map(|part| part.trim().strip_prefix("offset:"));
        (name.split('[').next()? == wanted)
            .then(place)
            .flatten()?
            .parse()
            .ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_a_format(text: String, lines in "(\tfield:[a-z \\[;:]{0,20};\toffset:-?[0-9]{0,12};\n){0,4}") {
            for field in ["", "pid"] {
                let _ = offset(&text, field);
                let _ = offset(&lines, field);
            }
        }
    }

    #[test]
    fn a_fields_offset_is_read_from_the_format() {
        let format = "name: task_newtask\nformat:\n\
                      \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
                      \tfield:pid_t pid;\toffset:8;\tsize:4;\tsigned:1;\n\
                      \tfield:char comm[16];\toffset:12;\tsize:16;\tsigned:0;\n\
                      \tfield:odd;\n\nprint fmt: \"pid=%d\", REC->pid\n";
        let check = |field, expected| assert_eq!(offset(format, field), expected, "{field}");
        check("pid", Some(8));
        check("comm", Some(12));
        check("common_type", Some(0));
        check("clone_flags", None);
        check("odd", None);
    }
}
