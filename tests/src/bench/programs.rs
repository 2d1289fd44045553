//! What kernel-side programs cost by the kernel's own clock, and programs that do nothing, to hold it
//! against.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use aya::programs::TracePoint;
use aya::{Ebpf, EbpfLoader};
use guard_userspace::model::Status;

use super::float;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/empty.o"));

/// Our programs with the events that they are on.
const EVENTS: [(&str, &str, &str); 4] = [
    ("empty_newtask", "task", "task_newtask"),
    ("empty_fork", "sched", "sched_process_fork"),
    ("empty_exec", "sched", "sched_process_exec"),
    ("empty_exit", "sched", "sched_process_exit"),
];

/// Nanoseconds and runs of each program, by the event that it is on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent(BTreeMap<String, (u64, u64)>);

impl Spent {
    /// The guard's, as it says.
    #[must_use]
    pub fn by(status: &Status) -> Self {
        let programs = status.programs.iter();
        Self(
            programs
                .map(|one| (one.name.clone(), (one.run_ns, one.runs)))
                .collect(),
        )
    }

    /// Nanoseconds since `before` per run, summed over these events: what a process costs that meets
    /// each of them once.
    ///
    /// # Errors
    /// One of them has not run meanwhile: the kernel keeps no statistics.
    pub fn since(&self, before: &Self, events: &[&str]) -> Result<f64> {
        let mut sum = 0.0;
        for event in events {
            let of = |spent: &Self| spent.0.get(*event).copied();
            let (ns, runs) = of(self).with_context(|| format!("no program on {event}"))?;
            let (ns_before, runs_before) = of(before).unwrap_or_default();
            let runs = runs.saturating_sub(runs_before);
            ensure!(
                runs > 0,
                "nothing ran on {event}: does the kernel keep statistics?"
            );
            sum += float(ns.saturating_sub(ns_before)) / float(runs);
        }
        Ok(sum)
    }
}

/// Programs that do nothing, attached until this is dropped.
#[derive(Debug)]
pub struct Empty(Ebpf);

impl Empty {
    /// Attaches them.
    ///
    /// # Errors
    /// Not root, or the kernel refuses.
    pub fn attach() -> Result<Self> {
        let mut ebpf = EbpfLoader::new().load(OBJECT).context("loading")?;
        for (name, category, event) in EVENTS {
            let program = ebpf
                .program_mut(name)
                .with_context(|| format!("no program {name}"))?;
            let program: &mut TracePoint = program.try_into()?;
            program.load().with_context(|| name.to_owned())?;
            program
                .attach(category, event)
                .with_context(|| format!("attaching to {event}"))?;
        }
        Ok(Self(ebpf))
    }

    /// What they have cost so far.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn spent(&self) -> Result<Spent> {
        let mut spent = BTreeMap::new();
        for (name, _, event) in EVENTS {
            let program = self.0.program(name).context(name)?;
            let program: &TracePoint = program.try_into()?;
            let info = program.info()?;
            let ns = u64::try_from(info.run_time().as_nanos()).unwrap_or(u64::MAX);
            spent.insert(event.to_owned(), (ns, info.run_count()));
        }
        Ok(Spent(spent))
    }
}
