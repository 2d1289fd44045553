//! Storm after storm, of every kind, against small caps: none is ever passed, by the witness's own peak.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use guard_tests::check::same;
use guard_tests::guarded::{Guarded, Target, cap};
use guard_tests::load::mix::Chance;
use guard_tests::tables::{Held, Tables};
use guard_tests::{Cgroup, Storm, Witness};

use crate::scene::{gauges, refuses};

/// A target of each.
const CAPS: [u64; 5] = [2, 3, 5, 9, 17];

/// A number from the environment.
fn told(variable: &str, otherwise: u64) -> Result<u64> {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{variable} is {text:?}")),
        Err(_) => Ok(otherwise),
    }
}

/// One storm's words.
fn storm(chance: &mut Chance, cap: u64) -> Vec<String> {
    let n = (cap * 3 + chance.below(30)).to_string();
    let seed = chance.below(u64::MAX).to_string();
    let parallel = (1 + chance.below(8)).to_string();
    let words: &[&str] = match chance.below(10) {
        0 => &[
            "bomb",
            "8",
            "--seconds",
            "60",
            "--attempts",
            "200",
            "--hold",
            "20",
        ],
        1 => &[
            "programs",
            "6",
            "--seconds",
            "60",
            "--attempts",
            "4",
            "--hold",
            "20",
        ],
        2 => &["execs", &n, "--hold", "5"],
        3 => &["execs", &n, "--hold", "5", "--vfork"],
        4 => &["threads", "100"],
        _ => &["mix", &n, "--parallel", &parallel, "--seed", &seed],
    };
    words.iter().map(|&word| word.to_owned()).collect()
}

/// A target, its cap, and who watches it.
struct One {
    name: String,
    cap: u64,
    cgroup: Cgroup,
    witness: Witness,
    /// Most at once, of those that the cap is for.
    peak: u64,
}

impl One {
    fn new(cap: u64) -> Result<Self> {
        let name = format!("cap-{cap}");
        let cgroup = Cgroup::new(&name)?;
        let witness = Witness::watch(&cgroup)?;
        Ok(Self {
            name,
            cap,
            cgroup,
            witness,
            peak: 0,
        })
    }

    /// One storm in it, to its end. What is held against the cap: where forks are refused every
    /// process that is there; else those that have executed a program.
    fn weathers(&mut self, guarded: &Guarded, words: &[&str]) -> Result<()> {
        let report = Storm::run(&self.cgroup, words)?;
        let said = guarded.agrees_of(&self.name, &self.witness)?;
        same("gauges", gauges(&said), [0; 4])?;
        let seen = self.witness.counts()?;
        self.peak = if refuses()? {
            seen.live_peak
        } else {
            seen.running_peak
        };
        let most = self.peak.max(said.counts.peak_live);
        ensure!(most <= self.cap, "{most} at once: {seen:?}, {said:?}");
        if words.first() == Some(&"threads") {
            same("threads", (report.made, report.refused), (100, 0))?;
        }
        if refuses()? {
            same("ended badly", report.failed, 0)?;
        }
        Ok(())
    }
}

/// `GUARD_STORMS` storms (20), the same for the same `GUARD_SEED`.
pub fn never_pass_the_cap() -> Result<()> {
    let number = told("GUARD_STORMS", 20)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos();
    let seed = told("GUARD_SEED", u64::from(now))?;
    println!("  {number} storms, GUARD_SEED={seed}");
    let mut chance = Chance(seed);
    let mut all = CAPS.into_iter().map(One::new).collect::<Result<Vec<_>>>()?;
    let path = |one: &One| (one.cgroup.path().display().to_string(), cap(one.cap));
    let gates: Vec<_> = all.iter().map(path).collect();
    let targets = all.iter().zip(&gates).map(|(one, (path, gate))| Target {
        name: &one.name,
        path,
        gate,
    });
    let targets: Vec<_> = targets.collect();
    let mut guarded = Guarded::begin_all("info", "", &targets, &[])?;
    all.iter().try_for_each(|one| guarded.ready(&one.name))?;
    for round in 0..number {
        let which = usize::try_from(chance.below(CAPS.len() as u64))?;
        let one = all.get_mut(which).context("no such target")?;
        let words = storm(&mut chance, one.cap);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let of = format!("storm {round} of GUARD_SEED={seed}, under {}", one.cap);
        let held = one.weathers(&guarded, &words);
        held.with_context(|| format!("{of}: {words:?}"))?;
    }
    let tables = Tables::of(&guarded.agent)?;
    let (mut pressed, mut made) = (0, 0);
    for (slot, one) in (0..).zip(&all) {
        let counts = guarded.target(&one.name)?.counts;
        pressed += counts.denied + counts.condemned;
        made += counts.spawns;
        let held = Held {
            cgroups: 1,
            ..Held::default()
        };
        same(&one.name, tables.held(slot)?, held)?;
    }
    let peaks: Vec<_> = all.iter().map(|one| one.peak).collect();
    println!("  overshoot 0: {made} made, {pressed} stopped, peaks {peaks:?} of {CAPS:?}");
    ensure!(pressed > number, "the storms did not press: {pressed}");
    guarded.agent.stop_cleanly().map(drop)
}
