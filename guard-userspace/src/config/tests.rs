//! Mistakes and what is said to them; values and profiles; no bytes panic.

use super::*;
use proptest::prelude::*;
use proptest::string::string_regex;

/// Text of what is wrong with, or unwise about, `text`.
fn said(text: &str) -> String {
    let mount = Path::new("/sys/fs/cgroup/unified");
    let problems = match read("config.toml", text.as_bytes(), Some(mount)) {
        Ok(checked) => checked.warnings,
        Err(error) => error.problems,
    };
    error::render(&problems, false, 100)
}

/// Every mistake an operator is likely to make, and what is said to it.
#[test]
fn each_mistake_is_named_with_its_line_cause_and_fix() {
    let target = "[[target]]\ncontainer = \"a\"\n";
    let metamcp = "[[target]]\ncontainer = \"metamcp\"\nprofile = \"metamcp\"\n";
    let cases = [
        (
            "an unknown key",
            "mode = \"enforce\"\nstatedir = \"/var/lib/guard\"\n".to_owned(),
        ),
        (
            "an unknown key deep down",
            format!("{target}[target.gate]\nspawn_rat = 60\n"),
        ),
        (
            "a wrong type",
            format!("{target}[target.gate]\nspawn_rate = \"sixty\"\n"),
        ),
        ("a wrong value", "mode = \"enforced\"\n".to_owned()),
        ("no TOML", "[[target]\ncontainer = \"a\"\n".to_owned()),
        (
            "a key twice",
            "mode = \"observe\"\nmode = \"enforce\"\n".to_owned(),
        ),
        (
            "a length of time without a unit",
            "agent_timeout = 10\n".to_owned(),
        ),
        (
            "no length of time",
            "agent_timeout = \"10 parsecs\"\n".to_owned(),
        ),
        (
            "a length of time out of range",
            "agent_timeout = \"1ms\"\n".to_owned(),
        ),
        (
            "no bytes",
            format!("{target}[target.memory]\nlimit = \"4 elephants\"\n"),
        ),
        (
            "no percentage",
            format!("{target}[target.memory]\nwarning = \"175%\"\n"),
        ),
        (
            "no percentage but a number",
            format!("{target}[target.memory]\nwarning = 75\n"),
        ),
        ("a relative path", "state_dir = \"guard\"\n".to_owned()),
        (
            "no address",
            "[http]\nlisten = \"localhost:3001\"\n".to_owned(),
        ),
        (
            "open to others",
            "[http]\nlisten = \"0.0.0.0:3001\"\n".to_owned(),
        ),
        ("no source", "[[target]]\nname = \"a\"\n".to_owned()),
        (
            "two sources",
            "[[target]]\ncontainer = \"a\"\nlabel = \"guard=on\"\n".to_owned(),
        ),
        (
            "an empty name",
            "[[target]]\nname = \"\"\ncontainer = \"a\"\n".to_owned(),
        ),
        ("the same name twice", format!("{target}{target}")),
        (
            "no container",
            "[[target]]\ncontainer = \"my container\"\n".to_owned(),
        ),
        ("no label", "[[target]]\nlabel = \"=on\"\n".to_owned()),
        (
            "a cgroup of v1",
            "[[target]]\ncgroup = \"/sys/fs/cgroup/pids/a\"\n".to_owned(),
        ),
        (
            "the root cgroup",
            "[[target]]\ncgroup = \"/sys/fs/cgroup/unified/\"\n".to_owned(),
        ),
        (
            "a cgroup with ..",
            "[[target]]\ncgroup = \"/sys/fs/cgroup/unified/../..\"\n".to_owned(),
        ),
        ("no targets", "target = []\n".to_owned()),
        (
            "no regex",
            format!("{target}protect = ['node (server', 'fine']\n"),
        ),
        (
            "a cap of 0",
            format!("{target}[target.gate]\nmax_processes = 0\n"),
        ),
        (
            "a negative cap",
            format!("{target}[target.gate]\nmax_processes = -1\n"),
        ),
        (
            "an automatic cap without its profile",
            format!("{target}[target.gate]\nmax_processes = \"auto\"\n"),
        ),
        (
            "a rate of 0",
            format!("{target}[target.gate]\nspawn_rate = 0\n"),
        ),
        (
            "a burst below one tree",
            format!("{metamcp}[target.gate]\nspawn_burst = 6\n"),
        ),
        (
            "a cap below one tree",
            format!("{metamcp}[target.gate]\nmax_processes = 8\n"),
        ),
        (
            "a reserve below one tree",
            format!("{metamcp}[target.gate]\nreserve = 2\n"),
        ),
        (
            "a path as a glob",
            format!("{metamcp}[target.gate]\nservers = [\"/usr/bin/node\"]\n"),
        ),
        (
            "a mode twice",
            format!("{target}[target.gate]\nmodes = [\"lsm\", \"kill\", \"lsm\"]\n"),
        ),
        (
            "levels that fall",
            format!("{metamcp}[target.processes]\nwarning = 40\ncritical = 40\n"),
        ),
        (
            "shares that fall",
            format!("{metamcp}[target.memory]\ncritical = \"70%\"\n"),
        ),
        (
            "idle times that rise",
            format!("{metamcp}[target.idle_after]\ncalm = \"1m\"\n"),
        ),
        (
            "swap below memory",
            format!("{metamcp}[target.limits]\nmemory_swap = \"1GiB\"\n"),
        ),
        ("no CPUs", format!("{metamcp}[target.limits]\ncpus = nan\n")),
        (
            "files the wrong way round",
            format!("{metamcp}[target.limits]\nnofile = \"2048:1024\"\n"),
        ),
        (
            "the protocol's limits",
            format!("{metamcp}[target.limits]\npids = 25\nnproc = 100\n"),
        ),
        (
            "an unknown notice",
            "[[notify]]\nkind = \"pigeon\"\n".to_owned(),
        ),
        (
            "a notice with another's keys",
            "[[notify]]\nkind = \"slack\"\nto = [\"me\"]\n".to_owned(),
        ),
    ];
    let mut all = String::new();
    for (name, text) in cases {
        all.push_str(&format!("===== {name}\n{}", said(&text)));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn all_problems_of_a_file_are_said_at_once() {
    let text = "state_dir = \"x\"\n[[target]]\nlabel = \"\"\n[[target]]\ncontainer = \"-\"\n";
    let error = read("config.toml", text.as_bytes(), None).unwrap_err();
    assert_eq!(error.problems.len(), 3, "{error}");
}

#[test]
fn more_targets_than_the_kernel_side_holds_are_refused() {
    let target = |n: usize| format!("[[target]]\ncontainer = \"c{n}\"\n");
    let file = |count: usize| (0..count).map(target).collect::<String>();
    assert_eq!(said(&file(500)), "");
    assert!(said(&file(501)).contains("501 targets; 500 can be guarded at once"));
}

#[test]
fn bytes_that_are_no_text_and_files_without_end_are_refused() {
    let error = read("c.toml", b"mode = \"observe\"\n\xff\xfe", None).unwrap_err();
    assert!(
        error.to_string().contains("c.toml is not UTF-8: line 2"),
        "{error}"
    );
    let error = read("c.toml", &vec![b'#'; MAX_BYTES + 1], None).unwrap_err();
    assert!(error.to_string().contains("larger than 1 MiB"), "{error}");
}

/// The values shown in the design are the profile's: a file that writes all of them changes
/// nothing.
#[test]
fn the_documented_values_are_the_profile() {
    let text = include_str!("../../../examples/config.toml");
    let checked = read("config.toml", text.as_bytes(), None)
        .unwrap_or_else(|error| panic!("{}", error::render(&error.problems, false, 100)));
    assert_eq!(checked.config, Config::default());
    assert!(checked.warnings.is_empty());
}

#[test]
fn a_generic_target_has_levels_only_where_the_file_gives_some() {
    let text =
        "[[target]]\ncgroup = \"/sys/fs/cgroup/a.slice\"\n[target.gate]\nmax_processes = 50\n";
    let config = read("c", text.as_bytes(), None).unwrap().config;
    let target = config.targets.first().unwrap();
    assert_eq!(target.name, "a.slice");
    assert_eq!(target.gate.max_processes, Cap::Count(50));
    assert_eq!(
        (&target.processes, &target.memory, &target.limits),
        (&None, &None, &None)
    );
    assert!(!target.gate.may_wait());
    let text = format!("{text}[target.processes]\nwarning = 10\n");
    let config = read("c", text.as_bytes(), None).unwrap().config;
    let levels = config.targets.first().unwrap().processes.as_ref().unwrap();
    assert_eq!((levels.warning, levels.critical), (10, 30));
}

#[test]
fn targets_of_the_command_line_replace_those_of_the_file() {
    let given = Config::default();
    let cgroup = [PathBuf::from("/sys/fs/cgroup/a/b/")];
    let names = ["metamcp".to_owned(), "other".to_owned()];
    let mount = Some(Path::new("/sys/fs/cgroup"));
    let config = given.clone().with_targets(&names, &cgroup, mount).unwrap();
    let shown = |t: &TargetConfig| (t.name.clone(), t.profile);
    let shown: Vec<_> = config.targets.iter().map(shown).collect();
    let expected = [
        ("metamcp", Profile::Metamcp),
        ("other", Profile::Generic),
        ("b", Profile::Generic),
    ];
    assert_eq!(
        shown,
        expected.map(|(name, profile)| (name.to_owned(), profile))
    );
    assert_eq!(given.clone().with_targets(&[], &[], mount).unwrap(), given);
    assert!(
        given
            .with_targets(&["a".to_owned(), "a".to_owned()], &[], mount)
            .is_err()
    );
}

/// What `config show` prints is a file that means the same.
#[test]
fn what_is_shown_can_be_read_again() {
    let text = "mode = \"observe\"\n[[target]]\nname = \"x\"\nlabel = \"guard=on\"\n\
        profile = \"metamcp\"\nprotect = ['a\\.b']\n[target.gate.max_instances]\n\"npx a\" = 3\n\
        [target.limits]\npids = 9000\n[[target]]\ncgroup = \"/c/d\"\n\
        [[notify]]\nkind = \"command\"\nrun = [\"logger\", \"-t\"]\n";
    for text in ["", text] {
        let config = read("c", text.as_bytes(), None).unwrap().config;
        let shown = toml::to_string(&config).unwrap();
        let again = read("shown", shown.as_bytes(), None).unwrap_or_else(|error| {
            panic!("{}{shown}", error::render(&error.problems, false, 100))
        });
        assert_eq!(again.config, config, "{shown}");
    }
}

/// A line of a configuration, right or wrong.
fn line() -> impl Strategy<Value = String> {
    let keys = "mode|state_dir|agent_timeout|target|container|cgroup|label|gate|max_processes|tree|\
        spawn_rate|spawn_burst|reserve|processes|warning|critical|memory|limit|limits|cpus|nofile|\
        protect|modes|notify|kind|idle_after|calm|max_instances";
    let values = "-?[0-9]{1,20}|\"auto\"|\"[0-9]{1,25}[a-zA-Z%]{0,4}\"|nan|-inf|1e300|true|\\[\\]|\
        \\[\"[^\"]{0,4}\"\\]|\\{ (calm|processes|on) = [0-9]{1,3} \\}|\"/[a-z./]{0,9}\"|\".{0,9}\"";
    let tables = "\\[\\[target\\]\\]|\\[target\\.(gate|processes|memory|limits|end|tiers|restart)\\]|\
        \\[http\\]|\\[\\[notify\\]\\]";
    prop_oneof![
        4 => string_regex(&format!("({keys}) = ({values})")).unwrap(),
        2 => string_regex(tables).unwrap(),
        1 => string_regex(".{0,20}").unwrap(),
    ]
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Err(error) = read("c", &bytes, None) {
            prop_assert!(!error::render(&error.problems, false, 80).is_empty());
        }
    }

    #[test]
    fn no_lines_panic(lines in prop::collection::vec(line(), 0..12)) {
        let text = lines.join("\n");
        match read("c", text.as_bytes(), Some(Path::new("/sys/fs/cgroup"))) {
            Err(error) => prop_assert!(!error::render(&error.problems, true, 80).is_empty()),
            Ok(checked) => prop_assert!(!checked.config.targets.is_empty()),
        }
    }
}
