//! The mode `deny`: execs asked about, answered, denied, and never left waiting.
//!
//! A wrong mark stops every exec of this machine. So nothing is marked here but in mount namespaces
//! that the tests make (`Apart` refuses the host's), and a held question is answered after 4 s.

#[path = "deny/docket.rs"]
mod docket;
#[path = "deny/hangs.rs"]
mod hangs;
#[path = "deny/places.rs"]
mod places;
#[path = "deny/spawners.rs"]
mod spawners;
#[path = "deny/targets.rs"]
mod targets;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use guard_tests::suite::{run, trial};
use guard_userspace::kernel::deny::Refusal;
use guard_userspace::kernel::deny::probe::probe;

fn main() -> ExitCode {
    if let Some(code) = hangs::as_agent() {
        return code;
    }
    run(vec![
        trial("the_kernel_is_asked_what_it_can_say", asked),
        trial("node_sees_a_spawn_that_failed_and_no_exit", spawners::node),
        trial(
            "node_throws_where_it_is_told_eperm",
            spawners::node_told_eperm,
        ),
        trial("python_sees_a_spawn_that_failed", spawners::python),
        trial("a_shell_sees_a_command_that_cannot_start", spawners::shell),
        trial("others_on_the_same_mounts_pass", spawners::others),
        trial("each_file_of_an_exec_is_asked_about", places::questions),
        trial("a_mount_made_later_is_found", places::mounted_later),
        trial(
            "a_namespace_made_later_is_found",
            places::namespace_made_later,
        ),
        trial(
            "from_memory_only_what_needs_no_loader_is_unseen",
            places::from_memory,
        ),
        trial("hidden_noexec_and_oddly_named_mounts", places::hidden),
        trial("a_container_s_root_and_volumes", places::other_root),
        trial("the_host_feels_nothing", places::host),
        trial("a_pid_given_to_a_stranger_marks_nothing", places::stranger),
        trial(
            "one_file_is_asked_about_without_its_mount",
            places::one_file,
        ),
        trial("targets_share_a_namespace", targets::one_namespace),
        trial("targets_in_their_own_namespaces", targets::two_namespaces),
        trial("a_namespace_that_vanishes", targets::vanished),
        trial(
            "a_container_ends_while_an_exec_waits",
            targets::ends_while_it_waits,
        ),
        trial("two_listeners_on_one_mount", targets::two_listeners),
        trial("dropped_all_go_on", targets::dropped),
        trial("its_threads_take_no_signals", targets::no_signals),
        trial("more_wait_than_a_queue_holds", targets::many_wait),
        trial("a_stopped_agent_stops_nobody", hangs::stopped),
        trial(
            "an_agent_nobody_waits_for_may_be_stopped",
            hangs::stopped_without_marks,
        ),
        trial("a_thread_that_hangs_stops_nobody", hangs::stuck),
        trial(
            "a_thread_that_hangs_stops_nobody_who_asked_before",
            hangs::stuck_without_marks,
        ),
        trial("a_killed_agent_lets_go_at_once", hangs::killed),
        trial(
            "an_agent_among_its_targets_answers_itself",
            hangs::among_its_targets,
        ),
        trial(
            "an_agent_that_dies_in_the_middle_of_a_spawn",
            hangs::dies_in_the_middle_of_a_spawn,
        ),
        trial("a_guardian_that_dies_is_missed", hangs::guardian_dies),
        trial(
            "an_agent_out_of_descriptors_answers",
            hangs::out_of_descriptors,
        ),
        trial(
            "a_thread_without_any_descriptor_lets_go",
            hangs::not_one_descriptor,
        ),
    ])
}

/// The errno of a denied exec could not be chosen on 6.12, and could on 6.16.
fn asked() -> Result<()> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release
        .split(['.', '-'])
        .map(|word| word.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let said = probe()?;
    println!("  {}: {said:?}", release.trim());
    let wrong = match said {
        Refusal::Eagain => version <= (6, 12),
        Refusal::Eperm => version >= (6, 16),
    };
    ensure!(!wrong, "{said:?} on {}", release.trim());
    Ok(())
}
