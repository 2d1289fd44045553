//! A fork that is refused, by what the forking process has in memory: by the guard and by `pids.max`. For a
//! kernel with BPF LSM: `cargo xtask bench refused` runs it in a virtual machine, so ratios tell, not times.

use anyhow::{Result, ensure};
use guard_tests::Cgroup;
use guard_tests::bench::{Table, Times, times};
use guard_tests::guarded::{Guarded, ONLY, cap};
use guard_tests::pids::PidsMax;
use rustix::io::Errno;

/// Memory of the process that forks.
const SIZES_MB: [&str; 3] = ["1", "100", "400"];
/// Forks of one figure.
const FORKS: &str = "100";
/// The process and the thread that forks: what `pids.max` counts are tasks.
const TASKS: u64 = 2;
/// As much as rounds differ from each other.
const SAME: f64 = 1.1;

/// One round: under a full gate, then under a full `pids.max`.
pub fn round(table: &mut Table) -> Result<()> {
    let cgroup = Cgroup::new("bench-refused")?;
    let guarded = Guarded::start(&cgroup, &cap(1), &[])?;
    let mode = guarded.target(ONLY)?.mode;
    ensure!(
        mode == "lsm",
        "this kernel refuses no fork by BPF LSM: the mode is {mode}"
    );
    let ours = sizes(table, "the guard (lsm)", &cgroup)?;
    guarded.agent.stop_cleanly()?;
    drop(cgroup);

    let cgroup = Cgroup::new("bench-pids-max")?;
    let limit = PidsMax::set(&cgroup, TASKS)?;
    let theirs = sizes(table, "pids.max", &cgroup)?;
    drop((cgroup, limit));
    for (who, [least, .., most], budget) in [
        ("the guard (lsm)", ours, Some(SAME)),
        ("pids.max", theirs, None),
    ] {
        table.add(&format!("{who}, 400 MB : 1 MB"), "x", most / least, budget);
    }
    Ok(())
}

/// The medians, in µs.
fn sizes(table: &mut Table, who: &str, cgroup: &Cgroup) -> Result<[f64; 3]> {
    let mut medians = [0.0; 3];
    for (mb, median) in SIZES_MB.iter().zip(&mut medians) {
        let took = times(Some(cgroup), &["--rss", mb, "forks", FORKS])?;
        all_refused(&took)?;
        *median = crate::us(took.p50);
        table.add(&format!("{who}, {mb} MB, p50"), "µs", *median, None);
    }
    Ok(medians)
}

fn all_refused(times: &Times) -> Result<()> {
    let refused = times.failed.get(&Errno::AGAIN.raw_os_error());
    ensure!(refused == Some(&times.n), "not all were refused: {times:?}");
    Ok(())
}
