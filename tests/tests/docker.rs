//! The guard and the real thing: dockerd, containers, supergateway, npx servers, leaking sessions.
#![expect(
    clippy::indexing_slicing,
    reason = "a field that JSON has not reads as null"
)]

#[path = "docker/boots.rs"]
mod boots;
#[path = "docker/byhand.rs"]
mod byhand;
#[path = "docker/cap.rs"]
mod cap;
#[path = "docker/crashes.rs"]
mod crashes;
#[path = "docker/deeds.rs"]
mod deeds;
#[path = "docker/follow.rs"]
mod follow;
#[path = "docker/gateway.rs"]
mod gateway;
#[path = "docker/guarded.rs"]
mod guarded;
#[path = "docker/guests.rs"]
mod guests;
#[path = "docker/journal.rs"]
mod journal;
#[path = "docker/leaks.rs"]
mod leaks;
#[path = "docker/metamcp.rs"]
mod metamcp;
#[path = "docker/profile.rs"]
mod profile;
#[path = "docker/protocol/mod.rs"]
mod protocol;
#[path = "docker/scene.rs"]
mod scene;
#[path = "docker/spawners.rs"]
mod spawners;
#[path = "docker/systemd.rs"]
mod systemd;
#[path = "docker/table.rs"]
mod table;
#[path = "docker/trees.rs"]
mod trees;
#[path = "docker/watch.rs"]
mod watch;

use std::path::Path;

use anyhow::Result;
use boots::Boot;
use guard_tests::docker::machine;
use guard_tests::suite::trial;
use libtest_mimic::{Arguments, Trial};

fn main() -> Result<()> {
    // Before a machine is started, and outside of it.
    if let Some(folder) = std::env::var_os(machine::MAKE) {
        return machine::make(Path::new(&folder));
    }
    let tests = if machine::image().is_some() {
        in_a_machine()
    } else if let Ok(which) = std::env::var("GUARD_LONG") {
        // What takes long is a suite of its own, and runs by its name alone.
        if which == "idle" { idle() } else { long() }
    } else {
        let quick = with_a_guard().into_iter().chain(without_a_guard());
        let more = trees().into_iter().chain(by_protocol()).chain(deeds());
        quick.chain(more).collect()
    };
    let mut arguments = Arguments::from_args();
    // Two storms at once would measure each other.
    arguments.test_threads = Some(1);
    let conclusion = libtest_mimic::run(&arguments, tests);
    table::print();
    scene::end();
    conclusion.exit()
}

/// What is shown on other kernels too, and where systemd makes the cgroups.
fn in_a_machine() -> Vec<Trial> {
    let storm = trial(
        "a_storm_in_a_machine_leaves_no_server_in_error",
        leaks::in_machine,
    );
    if !machine::is_systemd() {
        // These do not go by the gate's mode, so one of the machines is enough. Where cgroups are of v2
        // alone, memory.high is there.
        let is_first = std::env::var("GUARD_EXPECT_MODE").is_ok_and(|mode| mode == "lsm");
        let more = is_first.then(|| {
            [
                trial("limits_are_set_and_read_back", deeds::limits),
                trial(
                    "a_client_refused_in_a_machine_is_served_at_its_next_list",
                    protocol::cleanup::at_the_cap_in_a_machine,
                ),
            ]
        });
        return std::iter::once(storm)
            .chain(more.into_iter().flatten())
            .collect();
    }
    vec![
        trial(
            "a_scope_is_guarded_from_its_first_process",
            systemd::from_birth,
        ),
        trial("a_running_scope_is_adopted", systemd::adopted),
        storm,
    ]
}

/// Containers followed and counted, and supergateway's storms.
fn with_a_guard() -> Vec<Trial> {
    vec![
        trial("the_watch_says_all_in_order", watch::says_all_in_order),
        trial(
            "a_container_is_expected_before_its_cgroup_is_made",
            watch::expects_in_time,
        ),
        trial("the_watch_survives_dockerd", watch::survives_dockerd),
        trial(
            "a_container_is_counted_from_its_first_process",
            follow::from_birth,
        ),
        trial("a_running_container_is_adopted_exactly", follow::adopted),
        trial(
            "start_stop_restart_rename_recreate_are_followed",
            follow::through_its_life,
        ),
        trial("each_labelled_container_is_a_target", follow::by_label),
        trial(
            "docker_exec_and_health_checks_are_counted_and_work",
            follow::exec_and_health,
        ),
        trial(
            "a_dead_dockerd_is_said_once_and_the_gate_holds",
            follow::dead_dockerd,
        ),
        trial(
            "twenty_leaking_sessions_are_counted_exactly",
            gateway::observed,
        ),
        trial(
            "twenty_leaking_sessions_are_held_at_the_cap",
            gateway::capped,
        ),
        trial(
            "twenty_leaking_sessions_under_pids_limit",
            gateway::pids_limit,
        ),
    ]
}

/// The gateway that behaves as MetaMCP does, and what a refused fork looks like.
fn without_a_guard() -> Vec<Trial> {
    vec![
        trial(
            "metamcp_writes_off_a_server_for_one_crash",
            crashes::one_crash,
        ),
        trial(
            "metamcp_counts_no_crash_for_an_end_of_file",
            crashes::end_of_file,
        ),
        trial(
            "metamcp_counts_no_crash_for_a_refused_spawn",
            crashes::refused,
        ),
        trial(
            "metamcp_counts_no_crash_for_a_server_that_is_mute",
            crashes::mute,
        ),
        trial("the_spine_is_known_in_each_layout", guarded::layouts),
        trial("a_healthy_boot_and_five_sessions_pass", guarded::healthy),
        trial("a_storm_leaves_no_server_in_error", leaks::storm),
        trial(
            "at_the_cap_spawners_can_tell_and_docker_exec_works",
            guarded::at_the_cap,
        ),
        trial("no_evasion_runs_more_than_has_room", guarded::evasion),
        trial(
            "who_leaves_and_comes_back_is_no_guest",
            guarded::there_and_back,
        ),
        trial(
            "what_runs_already_is_found_for_what_it_is",
            guarded::found_running,
        ),
        trial("metamcp_leaks_a_tree_per_server_and_session", || {
            metamcp::leak(5)
        }),
        trial("metamcp_under_pids_limit", metamcp::pids_limit),
        trial(
            "every_way_to_start_a_program_can_tell_a_refused_fork",
            spawners::refused_forks,
        ),
    ]
}

/// Trees of several sizes, what is beside them, and how they are ended.
fn trees() -> Vec<Trial> {
    vec![
        trial(
            "no_more_of_a_family_than_max_instances",
            trees::most_of_a_family,
        ),
        trial("docker_exec_works_in_mid_storm", guests::in_mid_storm),
        trial("each_entry_has_a_budget_of_its_own", guests::budgets),
        trial("a_wrapper_may_use_the_reserve", guests::reserve),
        trial("javas_process_builder_can_tell_at_the_cap", spawners::java),
        trial("retired_and_killed_trees_are_gone", byhand::ended),
        trial("orphans_found_are_one_tree", byhand::orphans),
        trial("trees_of_twelve_come_whole_or_not_at_all", trees::large),
        trial(&LARGEST.name(), || LARGEST.run()),
        trial(&COLD.name(), || COLD.run()),
    ]
}

/// What the agent does of its own accord.
fn by_protocol() -> Vec<Trial> {
    use protocol::{
        cleanup, commands, explosion, gone, grounds, letter, levels, memory, restarts, spared,
    };
    vec![
        trial("idle_duplicates_are_retired", cleanup::duplicates),
        trial(
            "a_refused_client_is_served_at_its_next_list",
            cleanup::at_the_cap,
        ),
        trial(
            "an_explosion_of_ten_a_second_is_contained",
            explosion::of_ten_a_second,
        ),
        trial("each_level_begins_at_its_own_count", levels::of_counts),
        trial(
            "each_level_begins_at_its_share_of_memory",
            levels::of_memory,
        ),
        trial(
            "zombies_and_a_lost_writer_speak_against_a_server",
            grounds::habits,
        ),
        trial(
            "strict_to_the_letter_and_over_when_it_is_healthy",
            letter::strict_and_all,
        ),
        trial("a_count_alone_ends_no_live_session", spared::live_sessions),
        trial("memory_is_given_back_tree_by_tree", memory::tree_by_tree),
        trial("a_crisis_is_cleaned_up", commands::crisis),
        trial("orphans_that_mind_no_end_of_file_are_ended", gone::orphans),
        trial(
            "strict_restarts_then_recreates_then_stops",
            restarts::strict,
        ),
    ]
}

/// What is done to a container as a whole.
fn deeds() -> Vec<Trial> {
    vec![
        trial("limits_are_set_and_read_back", deeds::limits),
        trial("a_container_is_restarted", deeds::restarts),
        trial("a_deed_without_docker_fails_clearly", deeds::docker_goes),
        trial("what_is_frozen_is_thawed_whoever_dies", deeds::freezes),
        trial(
            "an_isolated_container_is_given_back_and_made_anew",
            deeds::anew::isolates,
        ),
        trial(
            "a_container_that_does_not_start_anew_comes_back",
            deeds::anew::comes_back,
        ),
        trial("a_container_is_recreated_by_compose", deeds::anew::composed),
        trial("what_the_agent_does_is_journalled", journal::in_order),
        trial(
            "dockerd_lost_in_the_middle_of_each_deed_leaves_one_container",
            deeds::lost::in_the_middle,
        ),
        trial(
            "limits_networks_and_compose_outlive_a_lost_dockerd",
            deeds::lost::of_others,
        ),
        trial(
            "a_container_removed_while_made_anew_is_not_made_again",
            deeds::removed::while_made_anew,
        ),
        trial(
            "a_recreation_is_resumed_by_the_next_agent",
            deeds::killed::while_made_anew,
        ),
        trial(
            "what_a_killed_agent_froze_goes_on",
            deeds::killed::while_frozen,
        ),
        trial(
            "what_a_restart_leaves_stopped_is_made_anew",
            deeds::stopped::made_anew,
        ),
        trial(
            "who_is_named_like_a_server_or_has_left_is_not_killed",
            deeds::spared::own_and_left,
        ),
        trial(
            "deeds_by_commands_with_and_without_an_agent",
            deeds::ordered::by_commands,
        ),
    ]
}

/// The largest boot where it is slowest, of what is installed: half a minute, where all of
/// `docker-long` takes fifteen.
const LARGEST: Boot = Boot {
    servers: 20,
    cold: false,
    one_cpu: true,
};

/// The smallest that has to install first.
const COLD: Boot = Boot {
    servers: 3,
    cold: true,
    one_cpu: false,
};

/// What takes minutes: the whole matrix of boots, the largest crowd that is healthy.
fn long() -> Vec<Trial> {
    let boots = Boot::all().map(|boot| trial(&boot.name(), move || boot.run()));
    let crowd = trial(
        "five_sessions_of_ten_npx_servers_pass",
        boots::five_sessions,
    );
    // Its family is known after twenty seconds.
    let raised = trial("a_family_that_needs_twelve_is_given_twelve", trees::raised);
    let more = [
        crowd,
        raised,
        trial("a_slow_leak_is_named", protocol::leak::slow),
        // Trees have half a minute first.
        trial(
            "memory_past_its_end_restarts_the_container",
            protocol::nuclear::by_memory,
        ),
        trial(
            "dockerd_killed_in_the_middle_of_each_deed",
            deeds::lost::killed_everywhere,
        ),
        // A start is over half a minute after its last new family.
        trial(
            "the_auto_cap_is_fixed_and_takes_nobody_s_spares",
            cap::fixed_and_lowered,
        ),
        // No guard: that the gateway of these tests has the real one's figures.
        trial("metamcp_serves_a_session_in_each_layout", metamcp::layouts),
        trial("metamcp_boots_three_and_ten_servers", metamcp::boots),
        trial("metamcp_leaks_190_processes", || metamcp::leak(20)),
    ];
    boots.chain(more).collect()
}

/// What takes half an hour, and is nothing but waiting.
fn idle() -> Vec<Trial> {
    vec![trial(
        "five_sessions_of_ten_lose_nothing_in_half_an_hour",
        protocol::spared::idle_sessions,
    )]
}
