//! What the tests of this suite share: a cgroup, its witness, and an agent that guards it.

use std::env;

use anyhow::{Context, Result, bail};
use guard_common::GateMode;
use guard_tests::check::same;
use guard_tests::guarded::Guarded;
use guard_tests::load::tally::Report;
use guard_tests::{Cgroup, Storm, Witness};
use guard_userspace::model::status::{Counts, TargetStatus};

/// Longer than any test needs it: what stays that long is killed with its cgroup.
pub const STAYS: &str = "120000";

/// The mode that the agent must prove on this kernel.
pub fn expected() -> Result<GateMode> {
    let name = env::var("GUARD_EXPECT_MODE").context(
        "GUARD_EXPECT_MODE must say which mode this kernel has: lsm, fmod_ret, deny or kill",
    )?;
    match name.as_str() {
        "lsm" => Ok(GateMode::Lsm),
        "fmod_ret" => Ok(GateMode::FmodRet),
        "deny" => Ok(GateMode::Deny),
        "kill" => Ok(GateMode::Kill),
        other => bail!("GUARD_EXPECT_MODE is {other}: lsm, fmod_ret, deny or kill"),
    }
}

/// Whether a fork over a limit fails here, instead of its child's exec or life.
pub fn refuses() -> Result<bool> {
    Ok(matches!(expected()?, GateMode::Lsm | GateMode::FmodRet))
}

/// A guarded cgroup and its witness.
pub struct Scene {
    pub guarded: Guarded,
    pub witness: Witness,
    pub cgroup: Cgroup,
}

impl Scene {
    /// An empty cgroup, guarded by that gate (TOML).
    pub fn set(test: &str, gate: &str) -> Result<Self> {
        Self::set_with(test, gate, &[])
    }

    /// As [`Self::set`], with more arguments for the agent.
    pub fn set_with(test: &str, gate: &str, arguments: &[&str]) -> Result<Self> {
        let cgroup = Cgroup::new(test)?;
        let witness = Witness::watch(&cgroup)?;
        let guarded = Guarded::start(&cgroup, gate, arguments)?;
        let mode = if arguments.contains(&"--observe") {
            GateMode::Observe
        } else {
            expected()?
        };
        same("mode", guarded.only()?.mode.as_str(), mode.name())?;
        Ok(Self {
            guarded,
            witness,
            cgroup,
        })
    }

    /// Starts a storm in it.
    pub fn start(&self, arguments: &[&str]) -> Result<Storm> {
        Storm::start(&self.cgroup, arguments)
    }

    /// Runs a storm in it to its end.
    pub fn storm(&self, arguments: &[&str]) -> Result<Report> {
        Storm::run(&self.cgroup, arguments)
    }

    /// All that was in it has ended: guard and witness say the same, and all gauges are 0.
    pub fn at_rest(&self) -> Result<TargetStatus> {
        let said = self.guarded.agrees(&self.witness)?;
        same("gauges of an empty cgroup", gauges(&said), [0; 4])?;
        Ok(said)
    }

    /// All that was in it has ended, and processes were moved: those the witness sees later or not
    /// at all, so the guard is held against itself.
    pub fn is_empty(&self) -> Result<TargetStatus> {
        let said = self
            .guarded
            .until("the cgroup is empty", |said| gauges(said) == [0; 4])?;
        same("the witness's live", self.witness.counts()?.live, 0)?;
        adds_up(&said.counts)?;
        Ok(said)
    }

    /// Stops the agent, which must end well.
    pub fn end(self) -> Result<()> {
        self.guarded.agent.stop_cleanly().map(drop)
    }
}

/// What is 0 while nothing lives: processes, tasks, condemned ones, slots.
pub fn gauges(said: &TargetStatus) -> [u64; 4] {
    let counts = &said.counts;
    [
        counts.live,
        counts.tasks,
        counts.condemned_now,
        said.committed,
    ]
}

/// Waits until that many processes live, with that many tasks, and hold a slot each.
pub fn settles(guarded: &Guarded, live: u64, tasks: u64) -> Result<TargetStatus> {
    let what = format!("{live} processes with {tasks} tasks");
    let said = guarded.until(&what, |said| gauges(said) == [live, tasks, 0, live])?;
    adds_up(&said.counts)?;
    Ok(said)
}

/// Who came is there or has gone.
pub fn adds_up(counts: &Counts) -> Result<()> {
    same(
        "came, less gone",
        (counts.spawns + counts.entered).checked_sub(counts.exits + counts.left),
        Some(counts.live + counts.condemned_now),
    )
}

/// `n` spawns of `report` met a limit, in this kernel's mode. The guard says of all its storms
/// together that it stopped `in_all`.
pub fn stopped(report: &Report, n: u64, counts: &Counts, in_all: u64) -> Result<()> {
    stopped_by(expected()?, report, n, counts, in_all)
}

/// The same in a mode: in `lsm` and `deny` the spawner was refused them, in `kill` it saw their
/// processes die.
pub fn stopped_by(
    mode: GateMode,
    report: &Report,
    n: u64,
    counts: &Counts,
    in_all: u64,
) -> Result<()> {
    let seen = if mode == GateMode::Kill {
        (0, n)
    } else {
        (n, 0)
    };
    same(
        "refused, killed and failed, as the spawner saw it",
        ((report.refused, report.killed), report.failed),
        (seen, 0),
    )?;
    let expected = match mode {
        GateMode::Observe | GateMode::Lsm | GateMode::FmodRet => (in_all, 0, 0),
        GateMode::Deny => (in_all, in_all, 0),
        GateMode::Kill => (0, in_all, in_all),
    };
    same(
        "denied, condemned and killed, as the guard says",
        (counts.denied, counts.condemned, counts.killed),
        expected,
    )
}
