//! What each mode holds on this kernel: measured, not judged. `cargo xtask test --matrix` boots one
//! kernel after the other, reads the lines that begin with [`MARK`] and makes a table of them.
//!
//! A trial here fails only where it could not measure. A gate that leaks, or a count that is wrong,
//! is a figure.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use guard_tests::guarded::{Guarded, ONLY, SOON, cap};
use guard_tests::load::tally::Report;
use guard_tests::{Cgroup, Storm, Witness};
use guard_userspace::model::Status;
use guard_userspace::model::status::TargetStatus;
use serde_json::{Value, json};

use crate::scene::gauges;

/// Begins a line of JSON for the table.
const MARK: &str = "@@matrix ";

const CAP: u64 = 20;

/// Spawns of a program that all stay: how many ran at once is their own word.
const CROWD: [&str; 4] = ["execs", "150", "--hold", "500"];

/// A bomb: all processes fork at the same time, against the cap.
const BOMB: [&str; 8] = [
    "bomb",
    "8",
    "--seconds",
    "20",
    "--hold",
    "300",
    "--attempts",
    "4000",
];

/// Births and deaths below the cap, several at a time: what is missed of them is a count gone wrong.
const CHURN: [&str; 4] = ["forks", "1500", "--parallel", "8"];

fn say(what: &Value) {
    println!("\n{MARK}{what}");
}

/// The kernel, as it says itself what it is.
pub fn kernel() -> Result<()> {
    let read = |path: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.trim().to_owned()
    };
    let online = thread::available_parallelism().context("how many CPUs")?;
    say(&json!({
        "release": read("/proc/sys/kernel/osrelease"),
        "build": read("/proc/sys/kernel/version"),
        "parameters": read("/proc/cmdline"),
        "lsm": read("/sys/kernel/security/lsm"),
        "lockdown": read("/sys/kernel/security/lockdown"),
        "cgroup": guard_tests::place::cgroup_root()?.display().to_string(),
        "cpus": online.get(),
    }));
    Ok(())
}

/// The gate before the fork, by BPF LSM.
pub fn lsm() -> Result<()> {
    measure("lsm")
}

/// The same by programs that modify a return.
pub fn fmod_ret() -> Result<()> {
    measure("fmod_ret")
}

/// The gate before the exec.
pub fn deny() -> Result<()> {
    measure("deny")
}

/// What stands behind all of them.
pub fn kill() -> Result<()> {
    measure("kill")
}

fn measure(mode: &str) -> Result<()> {
    let cgroup = Cgroup::new(mode)?;
    // Where tracefs shows no events there is none: then the storms' own word is all there is.
    let witness = Witness::watch(&cgroup);
    let gate = format!("{}\nmodes = [\"{mode}\"]\ndeny_errno = \"any\"", cap(CAP));
    let path = cgroup.path().display().to_string();
    let began = Instant::now();
    let mut said = json!({"mode": mode, "cap": CAP});
    let seen = Guarded::begin(&path, &gate, &[]).and_then(|mut guarded| {
        let seen = at_work(mode, &mut guarded, &cgroup, witness.as_ref().ok())?;
        guarded.agent.stop_cleanly()?;
        Ok(seen)
    });
    let (Some(all), Ok(Value::Object(seen))) = (
        said.as_object_mut(),
        seen.or_else(|error| Ok::<_, anyhow::Error>(json!({"broken": format!("{error:#}")}))),
    ) else {
        return Ok(());
    };
    all.extend(seen);
    all.insert("seconds".to_owned(), began.elapsed().as_secs().into());
    if let Err(error) = witness {
        all.insert("no_witness".to_owned(), format!("{error:#}").into());
    }
    say(&said);
    Ok(())
}

/// Storms, where the mode is in force; else why it is not.
fn at_work(
    mode: &str,
    guarded: &mut Guarded,
    cgroup: &Cgroup,
    witness: Option<&Witness>,
) -> Result<Value> {
    guarded.agent.wait_for("gate_mode", SOON, |_| true)?;
    let gate = guarded.status()?.gate;
    if gate.mode != mode {
        return Ok(json!({"held": false, "why": gate.why}));
    }
    guarded.ready(ONLY)?;
    let asking = AtomicBool::new(true);
    let (storms, asked) = thread::scope(|scope| {
        // An operator who looks all the while: what the agent reads then may cost events.
        let looks = scope.spawn(|| {
            let mut n = 0_u64;
            while asking.load(SeqCst) {
                n += u64::from(look(&guarded.socket).is_ok());
                thread::sleep(Duration::from_millis(20));
            }
            n
        });
        let storms: Result<Vec<Report>> = [&CROWD[..], &BOMB, &CHURN]
            .into_iter()
            .map(|storm| Storm::run(cgroup, storm))
            .collect();
        asking.store(false, SeqCst);
        (storms, looks.join().unwrap_or(0))
    });
    let storms = storms?;
    let executed = storms.first().map_or(0, |crowd| crowd.executed);
    let settled = guarded.until("all have gone", |said| gauges(said) == [0; 4]);
    let (said, now) = (guarded.only()?, guarded.status()?);
    let mut seen = figures(mode, &storms, &said, &now);
    let counts = witness.map(Witness::counts).transpose()?;
    let more = json!({
        "held": true,
        "proved": now.gate.proved,
        "why": now.gate.why,
        "errno": now.gate.errno,
        "looked": asked,
        "settled": settled.is_ok(),
        // Its own process is one of those that ran.
        "programs_over": (executed + 1).saturating_sub(CAP),
        "programs_under": CAP.saturating_sub(executed + 1),
        "running_over": counts.map(|seen| seen.running_peak.saturating_sub(CAP)),
        "bodies_over": counts.map(|seen| seen.live_peak.saturating_sub(CAP)),
        "witness": counts.map(|seen| {
            json!([seen.spawns, seen.execs, seen.exits, seen.entered, seen.live, seen.tasks])
        }),
    });
    if let (Some(all), Value::Object(more)) = (seen.as_object_mut(), more) {
        all.extend(more);
    }
    Ok(seen)
}

/// Has the agent make its status, in which it reads the kernel's maps.
fn look(socket: &str) -> Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(b"GET /api/v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(())
}

/// What the guard says of the storms, beside what they say themselves.
fn figures(mode: &str, storms: &[Report], said: &TargetStatus, now: &Status) -> Value {
    let sum = |of: fn(&Report) -> u64| storms.iter().map(of).sum::<u64>();
    let counts = &said.counts;
    let before_the_fork = matches!(mode, "lsm" | "fmod_ret");
    let refused = if before_the_fork {
        counts.denied
    } else {
        counts.condemned
    };
    // Copies of a program have one name: each is a figure of its own.
    let misses: Vec<_> = now
        .programs
        .iter()
        .filter(|program| program.recursion_misses > 0)
        .map(|program| json!([program.name, program.recursion_misses]))
        .collect();
    json!({
        "asked": sum(|storm| storm.tried),
        "made": sum(|storm| storm.made),
        "told_refused": sum(|storm| storm.refused),
        "told_killed": sum(|storm| storm.killed),
        "told_failed": sum(|storm| storm.failed),
        "first_errno": storms.iter().map(|storm| storm.first_errno).find(|errno| *errno != 0),
        "let_through": counts.spawns.saturating_sub(counts.condemned),
        "refused": refused,
        "condemned": counts.condemned,
        "peak_live": counts.peak_live,
        "guard": [
            counts.spawns, counts.execs, counts.exits, counts.entered,
            counts.live + counts.condemned_now, counts.tasks,
        ],
        "table_full": counts.table_full,
        "records_lost": counts.lost,
        "lost_events": now.lost_events,
        "misses": misses,
    })
}
