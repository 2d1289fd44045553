//! `prevent`: start-up protection, now and for every later start.

use super::args::Whole as Options;
use super::enforce::{self, Who, gate, row, switch};
use super::exit::Failure;
use crate::model::deed::Step;
use crate::model::status::TargetStatus;
use crate::model::whole::Whole;
use std::path::Path;

/// Puts Docker's limits in force, and shows what guards each start.
///
/// # Errors
/// As of `enforce`; and the tier that would guard later starts is off.
pub(super) fn run(options: &Options, socket: &Path) -> Result<(), Failure> {
    enforce::limit(Whole::Prevent, options, socket, protection)
}

fn protection(target: &TargetStatus, who: Who) -> (Vec<Step>, Vec<String>) {
    let (seen, mut lacks) = (&target.sentinel, Vec::new());
    let is_container = !target.watches.starts_with("cgroup");
    let on = seen.tiers.get("startup_preventer").copied() == Some(true);
    let is_lack = !on && who == Who::Running;
    let mut all = vec![gate(target)];
    if is_container {
        let found = switch(on, who);
        all.push(row("tier startup_preventer", found, !is_lack));
        if is_lack {
            lacks.push(
                "later starts are not guarded: set `startup_preventer = { on = true }` under \
                 [target.tiers]"
                    .to_owned(),
            );
        }
        let start = &seen.start;
        let window = if start.running {
            "a start is under way: its values hold until 30 s after its last new family"
        } else {
            "over; at the next start its values hold until 30 s after the last new family"
        };
        all.push(row("start-up window", window.to_owned(), true));
        let bucket = format!("{} a second after {} at once", start.rate, start.burst);
        all.push(row("start-up bucket", bucket, true));
    } else {
        lacks.push("a cgroup has no start that could be seen: its usual limits hold".to_owned());
    }
    let (used, most) = (seen.restarts_last_hour, seen.max_restarts_per_hour);
    let restarts = format!("{used} of {most} within the hour");
    all.push(row("restarts by the guard", restarts, true));
    (all, lacks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::status::sentinel::{SentinelStatus, StartStatus};

    fn target(on: bool) -> TargetStatus {
        TargetStatus {
            watches: "container metamcp".to_owned(),
            sentinel: SentinelStatus {
                tiers: [("startup_preventer".to_owned(), on)].into(),
                start: StartStatus {
                    running: false,
                    since_ms: None,
                    rate: 120,
                    burst: 960,
                },
                ..SentinelStatus::default()
            },
            ..TargetStatus::default()
        }
    }

    #[test]
    fn a_tier_that_is_off_is_said_to_guard_no_later_start() {
        let (rows, lacks) = protection(&target(true), Who::Running);
        assert!(lacks.is_empty());
        assert!(
            rows.iter()
                .any(|row| row.found == "120 a second after 960 at once")
        );
        let (rows, lacks) = protection(&target(false), Who::Running);
        assert!(lacks.iter().any(|lack| lack.contains("not guarded")));
        assert!(
            rows.iter()
                .any(|row| !row.ok && row.what == "tier startup_preventer")
        );
        // Where no agent runs that is said, and the limits are put in force all the same.
        let (_, lacks) = protection(&target(false), Who::Own);
        assert!(lacks.is_empty());
    }

    #[test]
    fn a_cgroup_has_no_start() {
        let mut cgroup = target(true);
        cgroup.watches = "cgroup /x".to_owned();
        let (rows, lacks) = protection(&cgroup, Who::Running);
        assert_eq!(lacks.len(), 1);
        assert!(!rows.iter().any(|row| row.what == "start-up bucket"));
    }
}
