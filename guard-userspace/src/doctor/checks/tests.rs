//! A host that has everything, and what is said when one thing changes.

use super::*;
use crate::doctor::docker::Docker;
use crate::doctor::print::table;
use std::path::PathBuf;

fn good() -> Facts {
    Facts {
        root: true,
        capabilities: Some(u64::MAX),
        host_pids: Some(true),
        release: "6.12.117-cloud-amd64".to_owned(),
        btf: true,
        lsm: Some(vec![
            "capability".to_owned(),
            "landlock".to_owned(),
            "bpf".to_owned(),
        ]),
        lockdown: Some("none".to_owned()),
        tracefs: Some(PathBuf::from("/sys/kernel/tracing")),
        events: true,
        bpffs: true,
        cgroups: Some(Layout::Unified {
            mount: PathBuf::from("/sys/fs/cgroup"),
        }),
        docker: Docker {
            host: "unix:///var/run/docker.sock".to_owned(),
            answer: Answer::Here,
        },
        ptrace_scope: Some(1),
        fanotify: Some(true),
        deny: Ok(Refusal::Eagain),
        cpus: 4,
    }
}

#[test]
fn nothing_is_said_of_a_good_host() {
    let found = checks(&good());
    assert!(
        found
            .iter()
            .all(|check| check.verdict == Verdict::Ok && check.fix.is_none())
    );
    assert!(table(&found, false).ends_with("nothing is lacking\n"));
}

/// A change, and the one check that must notice it.
type Case = (fn(&mut Facts), &'static str, Verdict);

#[test]
fn each_lack_is_told_with_its_fix() {
    let cases: [Case; 20] = [
        (|f| f.root = false, "root", Verdict::Lack),
        (|f| f.capabilities = Some(!(1 << 21)), "root", Verdict::Lack),
        (|f| f.capabilities = Some(!(1 << 24)), "root", Verdict::Warn),
        (
            |f| f.host_pids = Some(false),
            "pid namespace",
            Verdict::Lack,
        ),
        (
            |f| f.release = "5.4.0-generic".to_owned(),
            "kernel",
            Verdict::Lack,
        ),
        (|f| f.release = "5.15.0".to_owned(), "kernel", Verdict::Warn),
        (|f| f.release = "next".to_owned(), "kernel", Verdict::Warn),
        (|f| f.btf = false, "BTF", Verdict::Lack),
        (|f| f.tracefs = None, "tracefs", Verdict::Warn),
        (|f| f.events = false, "tracefs", Verdict::Warn),
        (
            |f| f.cgroups = Some(Layout::V1Only),
            "cgroups",
            Verdict::Lack,
        ),
        (
            |f| f.cgroups = Some(Layout::Unmounted),
            "cgroups",
            Verdict::Lack,
        ),
        (
            |f| f.lsm = Some(vec!["capability".to_owned(), "yama".to_owned()]),
            "BPF LSM",
            Verdict::Warn,
        ),
        (|f| f.lsm = None, "BPF LSM", Verdict::Warn),
        (
            |f| f.lockdown = Some("confidentiality".to_owned()),
            "lockdown",
            Verdict::Warn,
        ),
        (
            |f| {
                f.fanotify = Some(false);
                f.deny = Err("the kernel asks nobody".to_owned());
            },
            "fanotify",
            Verdict::Warn,
        ),
        (
            |f| f.deny = Err("marked, and not asked".to_owned()),
            "fanotify",
            Verdict::Warn,
        ),
        (|f| f.bpffs = false, "bpffs", Verdict::Warn),
        (|f| f.ptrace_scope = Some(3), "yama", Verdict::Warn),
        (|f| f.cpus = 1, "CPUs", Verdict::Warn),
    ];
    let mut all = String::new();
    for (change, name, verdict) in cases {
        let mut facts = good();
        change(&mut facts);
        let found: Vec<_> = checks(&facts)
            .into_iter()
            .filter(|c| c.verdict != Verdict::Ok)
            .collect();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            found.first().map(|c| (c.name, c.verdict)),
            Some((name, verdict))
        );
        all += &table(&found, false);
    }
    insta::assert_snapshot!(all);
}

/// What is read here must at least be there: this test runs on the machine that has it.
#[test]
fn the_facts_of_this_machine_are_read() {
    let facts = Facts::gather();
    assert!(version(&facts.release).is_some(), "{}", facts.release);
    assert!(facts.capabilities.is_some() && facts.cgroups.is_some());
    assert_eq!(facts.root, rustix::process::geteuid().is_root());
}
