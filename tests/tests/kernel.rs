//! The kernel side on a real kernel, held against the witness. The same program runs on this
//! machine and in virtual machines; `GUARD_EXPECT_MODE` says which mode the kernel has.

#[path = "kernel/arming.rs"]
mod arming;
#[path = "kernel/counts.rs"]
mod counts;
#[path = "kernel/deny.rs"]
mod deny;
#[path = "kernel/ends.rs"]
mod ends;
#[path = "kernel/execs.rs"]
mod execs;
#[path = "kernel/full.rs"]
mod full;
#[path = "kernel/gate.rs"]
mod gate;
#[path = "kernel/late.rs"]
mod late;
#[path = "kernel/life.rs"]
mod life;
#[path = "kernel/machine.rs"]
mod machine;
#[path = "kernel/matrix.rs"]
mod matrix;
#[path = "kernel/mode.rs"]
mod mode;
#[path = "kernel/moves.rs"]
mod moves;
#[path = "kernel/neighbours.rs"]
mod neighbours;
#[path = "kernel/newborns.rs"]
mod newborns;
#[path = "kernel/records.rs"]
mod records;
#[path = "kernel/reserve.rs"]
mod reserve;
#[path = "kernel/rings.rs"]
mod rings;
#[path = "kernel/scene.rs"]
mod scene;
#[path = "kernel/silence.rs"]
mod silence;
#[path = "kernel/storms.rs"]
mod storms;
#[path = "kernel/stress.rs"]
mod stress;
#[path = "kernel/targets.rs"]
mod targets;
#[path = "kernel/trees.rs"]
mod trees;
#[path = "kernel/waits.rs"]
mod waits;
#[path = "kernel/ways.rs"]
mod ways;
#[path = "kernel/within.rs"]
mod within;

use guard_tests::suite::{run, trial};
use libtest_mimic::Trial;

fn main() {
    // A machine for another mode need not show again what no mode changes.
    let wanted = std::env::var("GUARD_TRIALS").unwrap_or_default();
    let named = |name: &str| wanted.split(',').any(|word| word == name);
    let groups = [
        ("counting", counting()),
        ("deciding", deciding()),
        ("refusing", refusing()),
        ("denying", denying()),
        ("lasting", lasting()),
        ("storming", storming()),
    ];
    let mut chosen: Vec<Trial> = groups
        .into_iter()
        .filter(|(name, _)| wanted.is_empty() || named(name))
        .flat_map(|(_, trials)| trials)
        .collect();
    let by_name = [
        ("counting-brief", counting_in_brief()),
        ("refusing-brief", refusing_in_brief()),
        ("denying-brief", denying_in_brief()),
        ("lasting-brief", lasting_in_brief()),
        ("machine", of_a_machine()),
        ("matrix", measuring()),
    ];
    let more = by_name.into_iter().filter(|(name, _)| named(name));
    chosen.extend(more.flat_map(|(_, trials)| trials));
    if wanted.is_empty() || named("silencing") {
        chosen.extend(silencing());
    }
    run(chosen);
}

/// The last of all, since it does to the kernel's tracing what no other trial is to feel: before nothing was
/// detached while trampolines are out, the kernel took none any more after it (6.1, 6.12).
fn silencing() -> Vec<Trial> {
    vec![
        trial(
            "no_link_is_anybodys_to_detach",
            silence::is_nobodys_to_detach,
        ),
        trial("a_gate_that_falls_silent_is_replaced", silence::is_noticed),
        trial(
            "a_gate_that_fell_silent_harms_no_later_one",
            silence::harms_no_later_agent,
        ),
    ]
}

/// Those of these names, in the order of the list that they are from.
fn of(all: Vec<Trial>, names: &[&str]) -> Vec<Trial> {
    let chosen = all
        .into_iter()
        .filter(|trial| names.contains(&trial.name()));
    let chosen: Vec<Trial> = chosen.collect();
    assert_eq!(chosen.len(), names.len(), "not all are there: {names:?}");
    chosen
}

/// Of counting, what kernels have differed in: how tasks end, move and are found.
fn counting_in_brief() -> Vec<Trial> {
    let names = [
        "twin_ends_and_execs_by_a_second_thread_are_counted_once",
        "moves_in_and_out_are_counted",
        "a_running_cgroup_is_adopted",
        "a_cgroup_is_guarded_from_its_first_process",
    ];
    of(counting(), &names)
}

/// Of the gate, what no kernel may lack.
fn refusing_in_brief() -> Vec<Trial> {
    let names = [
        "the_mode_of_this_kernel_is_proved",
        "every_way_of_making_a_process_is_counted",
        "400_spawns_that_exec_meet_the_cap",
        "doubling_bombs_meet_the_cap",
        "forks_that_fail_give_back",
    ];
    of(refusing(), &names)
}

/// Of `deny` the same.
fn denying_in_brief() -> Vec<Trial> {
    let names = [
        "deny_refuses_the_exec_and_kills_nobody",
        "kill_works_where_it_is_chosen",
    ];
    of(denying(), &names)
}

/// Figures for `cargo xtask test --matrix`: not for a suite.
fn measuring() -> Vec<Trial> {
    vec![
        trial("kernel", matrix::kernel),
        trial("lsm", matrix::lsm),
        trial("fmod_ret", matrix::fmod_ret),
        trial("deny", matrix::deny),
        trial("kill", matrix::kill),
    ]
}

/// What only a virtual machine is put through.
fn of_a_machine() -> Vec<Trial> {
    vec![
        trial("a_clock_that_is_set_changes_nothing", machine::clock_is_set),
        trial(
            "a_machine_that_sleeps_wakes_to_its_gate",
            machine::falls_asleep,
        ),
        trial(
            "a_host_that_waits_for_memory_is_escalation_four",
            waits::is_escalation_four,
        ),
        trial(
            "pids_are_used_again_and_again",
            machine::pids_are_used_again,
        ),
    ]
}

/// Counting and arming: the same whatever the mode.
fn counting() -> Vec<Trial> {
    vec![
        trial("the_canary_leaves_nothing_behind", mode::leaves_nothing),
        trial("a_stop_takes_the_canary_along", mode::stopped_meanwhile),
        trial("5000_forks_are_counted_exactly", counts::forks),
        trial(
            "twin_ends_and_execs_by_a_second_thread_are_counted_once",
            counts::twins_and_thread_execs,
        ),
        trial("zombies_hold_no_slots", counts::zombies),
        trial("a_late_gateway_gives_back_what_it_had", late::with_children),
        trial("a_late_gateways_children_may_storm", late::in_mid_storm),
        trial("neighbours_feel_nothing", neighbours::feel_nothing),
        trial("moves_in_and_out_are_counted", moves::in_and_out),
        trial(
            "forks_beside_moves_between_targets_are_counted_once",
            moves::between_targets,
        ),
        trial("nested_cgroups_are_guarded", moves::nested),
        trial("threads_of_io_uring_are_tasks", rings::of_threads),
        trial("a_target_comes_and_goes_200_times", targets::reborn),
        trial("500_targets_are_guarded_at_once", targets::five_hundred),
        trial(
            "a_target_within_a_target_counts_in_both",
            within::counts_in_both,
        ),
        trial("a_running_cgroup_is_adopted", arming::of_a_running_cgroup),
        trial("a_storming_cgroup_is_adopted", arming::in_mid_storm),
        trial(
            "what_ends_while_it_is_adopted_is_gone",
            arming::of_what_ends,
        ),
        trial(
            "threads_that_come_while_they_are_adopted_are_counted",
            arming::of_coming_threads,
        ),
        trial(
            "a_cgroup_is_guarded_from_its_first_process",
            arming::before_it_exists,
        ),
    ]
}

/// What the agent makes of what it hears: the same on every kernel.
fn deciding() -> Vec<Trial> {
    vec![
        trial("a_target_has_sixteen_gateways_at_most", late::sixteen),
        trial(
            "spare_slots_are_given_back_when_room_is_short",
            reserve::settled,
        ),
        trial(
            "larger_families_are_given_more_of_what_is_free",
            reserve::raised,
        ),
        trial("armed_over_the_cap_nobody_is_let_in", reserve::over_the_cap),
        trial(
            "a_root_beyond_max_instances_has_no_slot",
            reserve::instances,
        ),
        trial("records_of_roots_are_never_left_out", records::of_roots),
    ]
}

/// How forks are admitted and refused: in the mode that the kernel has.
fn refusing() -> Vec<Trial> {
    vec![
        trial(
            "the_witness_counts_every_way_of_making_a_process",
            ways::by_the_witness,
        ),
        trial("the_mode_of_this_kernel_is_proved", mode::is_proved),
        trial(
            "every_way_of_making_a_process_is_counted",
            ways::by_the_guard,
        ),
        trial("400_spawns_that_exec_meet_the_cap", gate::cap_on_programs),
        trial("doubling_bombs_meet_the_cap", gate::doubling_bombs),
        trial("scripts_meet_the_cap", execs::of_scripts),
        trial(
            "programs_by_binfmt_misc_meet_the_cap",
            execs::by_binfmt_misc,
        ),
        trial("2000_threads_pass_under_a_cap_of_5", gate::threads_pass),
        trial("observe_changes_nothing", gate::observe),
        trial("trees_come_whole_or_not_at_all", trees::whole_or_none),
        trial(
            "a_tree_may_grow_beyond_what_is_reserved",
            trees::beyond_the_reservation,
        ),
        trial("members_of_one_tree_fork_at_once", reserve::contended),
        trial("the_rate_limit_holds_and_recovers", gate::rate),
        trial("moves_in_mid_storm_are_counted", moves::in_mid_storm),
        trial(
            "children_born_in_another_cgroup_are_counted",
            moves::born_elsewhere,
        ),
        trial("forks_that_fail_give_back", ends::of_failed_forks),
        trial("a_killed_cgroup_leaves_nothing", ends::of_a_killed_cgroup),
        trial("a_killed_agent_lets_go", ends::of_the_agent),
        trial("a_full_table_of_processes_refuses", full::of_processes),
        trial("a_full_table_of_trees_refuses", full::of_trees),
        trial("a_full_table_of_cgroups_is_said", full::of_cgroups),
        trial(
            "full_tables_have_room_for_the_canary",
            full::of_all_but_the_canary,
        ),
        trial(
            "a_full_table_of_forks_under_way_refuses",
            full::of_forks_under_way,
        ),
    ]
}

/// The modes `deny` and `kill`, chosen by the config.
fn denying() -> Vec<Trial> {
    vec![
        trial("deny_refuses_the_exec_and_kills_nobody", deny::storms),
        trial("deny_holds_two_targets_at_once", deny::two_targets),
        trial(
            "deny_is_backed_by_kill_where_it_sees_nothing",
            deny::evasion,
        ),
        trial(
            "deny_marks_near_the_limits_alone",
            deny::far_from_the_limits,
        ),
        trial("a_stopped_agent_holds_up_no_exec", deny::agent_stopped),
        trial("a_killed_agent_holds_up_no_exec", deny::agent_killed),
        trial(
            "a_guardian_that_is_killed_is_replaced",
            deny::guardian_killed,
        ),
        trial("kill_works_where_it_is_chosen", deny::kill_chosen),
        trial(
            "forks_that_never_execute_die_at_birth",
            newborns::die_at_birth,
        ),
        trial("a_bomb_is_bounded_at_birth", newborns::of_a_bomb),
        trial("the_condemned_do_not_stay", deny::idle_condemned),
        trial("the_condemned_may_not_spin", deny::spinning_condemned),
    ]
}

/// Of the gate without its agent, what the mode makes a difference to.
fn lasting_in_brief() -> Vec<Trial> {
    let names = [
        "an_agent_killed_in_a_storm_again_and_again_loses_nothing",
        "a_kept_gate_is_taken_over",
    ];
    of(lasting(), &names)
}

/// The gate without its agent: in the mode that the kernel has.
fn lasting() -> Vec<Trial> {
    vec![
        trial(
            "an_agent_killed_in_a_storm_again_and_again_loses_nothing",
            life::killed_in_a_storm,
        ),
        trial("a_kept_gate_is_taken_over", life::kept_and_taken_over),
        trial("a_released_gate_lets_go", life::released),
        trial(
            "another_versions_gate_is_replaced",
            life::of_another_version,
        ),
        trial("a_half_made_gate_is_made_anew", life::half_made),
        trial("disarm_takes_the_gate_away", life::disarmed),
        trial(
            "observe_takes_an_earlier_gate_away",
            life::observed_afterwards,
        ),
        trial("slots_go_by_the_targets_names", life::by_name),
    ]
}

/// Many storms, and other people's.
fn storming() -> Vec<Trial> {
    vec![
        trial("storms_never_pass_the_cap", storms::never_pass_the_cap),
        trial("stress_ng_is_counted_exactly", stress::counted),
        trial("stress_ng_meets_the_cap", stress::held),
    ]
}
