//! `run --demo`: what a newcomer sees first, and what is left when it is over.
#![expect(clippy::indexing_slicing, reason = "lengths are looked at first")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use guard_tests::agent::command;
use guard_tests::check::{eventually, same};
use guard_tests::place;
use guard_tests::suite::{run, trial};
use rustix::process::{Pid, Signal, kill_process};

/// Longest that the demo may take: 20 s of storm, two starts; four times that in a slow machine.
const LONGEST: Duration = Duration::from_secs(120);

fn main() {
    run(vec![
        trial("the_demo_shows_the_gate_holding", shows_the_gate),
        trial("an_interrupted_demo_leaves_nothing_behind", interrupted),
    ])
}

/// Everything that a demo could leave: cgroups, files, processes.
fn traces() -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for folder in [place::cgroup_root()?, std::env::temp_dir()] {
        let names = std::fs::read_dir(&folder)?
            .flatten()
            .map(|entry| entry.file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        found.extend(names.filter(|name| name.starts_with("metamcp-guard")));
    }
    for process in std::fs::read_dir("/proc")?.flatten() {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains("--demo") {
            found.insert(line);
        }
    }
    Ok(found)
}

fn nothing_new(before: &BTreeSet<String>) -> Result<()> {
    let left = || -> Result<Vec<String>> { Ok(traces()?.difference(before).cloned().collect()) };
    let gone = eventually("nothing left", Duration::from_secs(10), || {
        Ok(left()?.is_empty())
    });
    gone.with_context(|| format!("left behind: {:?}", left()))
}

fn shows_the_gate() -> Result<()> {
    let before = traces()?;
    let began = Instant::now();
    let mut child = command(&["run", "--demo"])?
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting the demo")?;
    let (mut said, mut errors) = (String::new(), String::new());
    child
        .stdout
        .take()
        .context("no pipe")?
        .read_to_string(&mut said)?;
    child
        .stderr
        .take()
        .context("no pipe")?
        .read_to_string(&mut errors)?;
    let status = child.wait()?;
    ensure!(
        status.success(),
        "the demo ended with {status}: {errors}\n{said}"
    );
    ensure!(began.elapsed() < LONGEST, "it took {:?}", began.elapsed());
    ensure!(errors.is_empty(), "it complained: {errors}");
    nothing_new(&before)?;

    // Two parts, a line per second each; the live processes are the third word.
    let seconds = |text: &str| -> Vec<u64> {
        let lines = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let lines = lines.filter(|words| words.len() > 4 && words[1] == "s");
        lines.filter_map(|words| words[2].parse().ok()).collect()
    };
    let (watched, guarded) = said.split_once("With the gate").context("no second part")?;
    let (watched, guarded) = (seconds(watched), seconds(guarded));
    same("lines", (watched.len(), guarded.len()), (8, 12))?;
    let most = |live: &[u64]| live.iter().max().copied().unwrap_or(0);
    ensure!(
        most(&watched) > 2 * most(&guarded),
        "no difference to see:\n{said}"
    );
    same("most with the gate", most(&guarded), 61)?;
    // In summary paragraphs a line may break anywhere.
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(
        words.contains("20 servers, all of which still ran at the end. Stopped"),
        "not twenty whole ones:\n{said}"
    );
    let mode = std::env::var("GUARD_EXPECT_MODE").unwrap_or_default();
    if mode == "lsm" || mode == "deny" {
        ensure!(
            words.contains("and none of its servers died."),
            "in {mode} one died:\n{said}"
        );
        ensure!(
            !words.contains("(0 times)") && !words.contains("later) 0 times"),
            "{said}"
        );
    }
    ensure!(
        said.contains("never more than 61 at once"),
        "the summary says another cap:\n{said}"
    );
    ensure!(
        said.contains("µs in the kernel for each process"),
        "no cost:\n{said}"
    );
    ensure!(
        said.contains("Nothing is left of it"),
        "it does not say how it ends:\n{said}"
    );
    ensure!(!said.contains('\x1b'), "colours in a pipe");
    Ok(())
}

fn interrupted() -> Result<()> {
    let before = traces()?;
    let mut child = command(&["run", "--demo"])?
        .stdout(Stdio::piped())
        .spawn()
        .context("starting the demo")?;
    let mut out = BufReader::new(child.stdout.take().context("no pipe")?);
    let mut line = String::new();
    while !line.contains("3 s ") {
        line.clear();
        if out.read_line(&mut line)? == 0 {
            bail!("the demo ended by itself: {}", child.wait()?);
        }
    }
    ensure!(
        traces()? != before,
        "a demo that leaves no trace while it runs"
    );
    kill_process(Pid::from_child(&child), Signal::INT)?;
    let mut rest = String::new();
    out.read_to_string(&mut rest)?;
    let status = child.wait()?;
    ensure!(
        status.success() && rest.contains("Nothing is left"),
        "{status}: {rest}"
    );
    nothing_new(&before)
}
