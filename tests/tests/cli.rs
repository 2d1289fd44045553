//! The command line and the running agent, as an operator meets them: the built binary, its exit
//! codes, its words, its log.
#![expect(
    clippy::indexing_slicing,
    reason = "a field that JSON has not reads as null"
)]

#[path = "cli/alone.rs"]
mod alone;
#[path = "cli/bad.rs"]
mod bad;
#[path = "cli/commands.rs"]
mod commands;
#[path = "cli/disk.rs"]
mod disk;
#[path = "cli/ended.rs"]
mod ended;
#[path = "cli/held.rs"]
mod held;
#[path = "cli/lives.rs"]
mod lives;
#[path = "cli/running.rs"]
mod running;
#[path = "cli/seen.rs"]
mod seen;

use guard_tests::suite::{run, trial};

fn main() {
    run(vec![
        trial("config_check_accepts_what_is_right", alone::good_config),
        trial("config_check_names_line_and_fix", alone::bad_configs),
        trial(
            "config_show_is_a_config_that_means_the_same",
            alone::config_show,
        ),
        trial(
            "doctor_says_what_is_lacking_and_how_to_get_it",
            alone::doctor,
        ),
        trial("completions_are_valid", alone::completions),
        trial("the_manual_renders", alone::manual),
        trial(
            "status_without_an_agent_says_so",
            alone::status_without_agent,
        ),
        trial("run_without_root_says_so", alone::run_without_root),
        trial("usage_errors_are_exit_code_2", alone::bad_usage),
        trial("bad_input_is_said_with_its_fix", bad::every_row),
        trial("an_agent_lives_with_bad_input", lives::agent_lives),
        trial(
            "what_is_not_mounted_is_mounted_and_garbage_taken_away",
            lives::mounts_of_its_own,
        ),
        trial("a_full_disk_stops_no_action", disk::full_disk),
        trial("a_second_agent_says_who_holds_the_gate", held::second_agent),
        trial(
            "in_another_pid_namespace_it_does_not_start",
            held::other_pids,
        ),
        trial(
            "a_cgroup_that_appears_later_is_guarded",
            running::appears_later,
        ),
        trial(
            "an_unknown_container_is_waited_for",
            running::unknown_container,
        ),
        trial(
            "observe_refuses_nothing_and_says_what_it_would",
            running::observe,
        ),
        trial("the_cap_of_the_config_holds", running::cap_holds),
        trial("the_log_counts_every_spawn", running::log_is_exact),
        trial("a_killed_agent_lets_go", running::killed_agent_lets_go),
        trial(
            "secrets_in_command_lines_are_masked",
            running::secrets_are_masked,
        ),
        trial("a_retired_tree_ends_well_and_no_other", ended::retire_one),
        trial("all_trees_are_retired_but_the_gateway", ended::retire_all),
        trial("what_cannot_be_retired_is_said", ended::retire_cannot),
        trial("a_killed_tree_ends_and_no_other", ended::kill_one),
        trial(
            "half_a_tree_is_never_left",
            ended::half_a_tree_is_never_left,
        ),
        trial(
            "nothing_outside_the_target_is_signalled",
            ended::nothing_outside_is_signalled,
        ),
        trial(
            "a_dry_run_changes_nothing_and_without_yes_it_asks",
            ended::dry_run_and_asking,
        ),
        trial("gateways_and_strangers_are_not_ended", ended::who_may_not),
        trial("observe_changes_nothing", ended::observe_changes_nothing),
        trial(
            "an_agent_that_stops_ends_what_it_began",
            ended::an_agent_that_stops_ends_what_it_began,
        ),
        trial(
            "a_command_starts_an_agent_where_none_runs",
            commands::starts_an_agent,
        ),
        trial(
            "a_gate_that_was_there_before_a_command_stays",
            commands::keeps_what_was,
        ),
        trial(
            "an_agent_for_a_command_ends_with_it",
            commands::ends_with_its_command,
        ),
        trial("validate_says_which_criterion_fails", commands::validate),
        trial("crisis_says_what_did_not_help", commands::crisis),
        trial("enforce_and_prevent_read_back", commands::enforce),
        trial(
            "docker_compose_accepts_what_compose_prints",
            commands::compose,
        ),
        trial("metrics_are_valid_and_exact", seen::metrics),
        trial("healthz_is_well", seen::healthz),
        trial("status_shows_the_target", seen::status),
        trial(
            "the_dashboards_jq_lines_run_on_a_real_log",
            seen::jq_of_the_docs,
        ),
    ])
}
