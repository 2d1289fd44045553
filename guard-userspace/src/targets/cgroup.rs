//! A target by its cgroup's path, which may appear later.

use super::resolve::check_path;
use super::{Event, Found, Target};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

/// How often the path is looked at. What starts in between is counted when it is armed: the kernel
/// side sees a cgroup's removal at once, so this decides only how soon a new one is guarded.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Says when the cgroup appears, is made anew and goes, until nobody listens.
pub async fn follow(target: Target, path: PathBuf, v2_mount: PathBuf, events: mpsc::Sender<Event>) {
    if let Err(error) = check_path(&path, &v2_mount) {
        // Nobody listens: nothing to tell, and this ends either way.
        let _unheard = events
            .send(Event::Refused {
                target,
                why: error.to_string(),
            })
            .await;
        return;
    }
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut look = Look {
        target,
        path,
        inode: None,
        waiting_said: false,
    };
    loop {
        tokio::select! {
            () = events.closed() => return,
            _ = ticks.tick() => {}
        }
        for event in look.again() {
            if events.send(event).await.is_err() {
                return;
            }
        }
    }
}

struct Look {
    target: Target,
    path: PathBuf,
    /// The directory's inode while it is there: another one means that it was made anew.
    inode: Option<u64>,
    waiting_said: bool,
}

impl Look {
    fn again(&mut self) -> Vec<Event> {
        let now = inode(&self.path);
        let target = || self.target.clone();
        let mut events = Vec::new();
        if self.inode.is_some() && self.inode != now {
            let why = format!("cgroup {} was removed", self.path.display());
            events.push(Event::Gone {
                target: target(),
                why,
            });
        }
        if now.is_some() && self.inode != now {
            let found = Found {
                container: None,
                init: None,
                cgroup_dir: self.path.clone(),
                started_boot_ns: 0,
            };
            events.push(Event::Appeared {
                target: target(),
                found,
            });
        }
        if now.is_none() && !self.waiting_said {
            let why = format!("cgroup {} does not exist yet", self.path.display());
            events.push(Event::Waiting {
                target: target(),
                why,
            });
        }
        self.waiting_said = true;
        self.inode = now;
        events
    }
}

fn inode(path: &Path) -> Option<u64> {
    let found = std::fs::symlink_metadata(path).ok()?;
    found.is_dir().then(|| found.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(events: &[Event]) -> Vec<&'static str> {
        let kind = |event: &Event| match event {
            Event::Appeared { .. } => "appeared",
            Event::Gone { .. } => "gone",
            Event::Waiting { .. } => "waiting",
            _ => "other",
        };
        events.iter().map(kind).collect()
    }

    /// Any directory will do here: that it is a cgroup is what `check_path` is for.
    #[test]
    fn appears_goes_and_is_made_anew() {
        let path = std::env::temp_dir().join(format!("guard-look-{}", std::process::id()));
        let target = Target {
            index: 0,
            name: "one".to_owned(),
        };
        let mut look = Look {
            target,
            path: path.clone(),
            inode: None,
            waiting_said: false,
        };
        assert_eq!(kinds(&look.again()), ["waiting"]);
        assert!(look.again().is_empty(), "said once");
        std::fs::create_dir(&path).unwrap();
        assert_eq!(kinds(&look.again()), ["appeared"]);
        assert!(look.again().is_empty(), "said once");
        let other = path.with_extension("other");
        std::fs::create_dir(&other).unwrap();
        std::fs::remove_dir(&path).unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(kinds(&look.again()), ["gone", "appeared"]);
        std::fs::remove_dir(&path).unwrap();
        assert_eq!(kinds(&look.again()), ["gone"]);
        std::fs::write(&path, "").unwrap();
        assert!(look.again().is_empty(), "a file is no cgroup");
        std::fs::remove_file(&path).unwrap();
    }

    #[tokio::test]
    async fn a_path_that_cannot_be_is_refused_with_the_one_that_could() {
        let (tx, mut rx) = mpsc::channel(4);
        let target = Target {
            index: 0,
            name: "one".to_owned(),
        };
        follow(
            target,
            "docker/x".into(),
            "/sys/fs/cgroup/unified".into(),
            tx,
        )
        .await;
        let Some(Event::Refused { why, .. }) = rx.recv().await else {
            panic!("not refused")
        };
        assert!(why.contains("/sys/fs/cgroup/unified/docker/x"), "{why}");
    }
}
