//! Docker's own limits, and those among them that break what they should protect.

use super::checked::TargetConfig;
use super::error::Problem;
use super::overlay::Overlay;
use super::protocol::{DockerLimits, Nofile};
use super::raw;
use super::units::Bytes;
use toml::Spanned;

/// Tasks per process allowed: an npx server is 3 processes and 23 tasks, a node gateway up to 11
/// tasks and its build helpers more.
pub const TASKS_PER_PROCESS: u64 = 16;

/// Least sensible limit on tasks.
pub const LEAST_TASKS: u64 = 512;

/// A limit on tasks that is no more than a back-stop where so many processes may live.
#[must_use]
pub fn enough_tasks(processes: u64) -> u64 {
    let enough = processes.saturating_mul(TASKS_PER_PROCESS);
    enough.max(LEAST_TASKS)
}

/// Docker refuses less.
const LEAST_MEMORY: Bytes = Bytes(6 << 20);

/// Takes the limits.
pub(super) fn apply(on: &mut Overlay<'_>, given: raw::Limits, to: &mut DockerLimits) {
    bytes(on, "limits.memory", given.memory, &mut to.memory);
    bytes(
        on,
        "limits.memory_reservation",
        given.memory_reservation,
        &mut to.memory_reservation,
    );
    bytes(
        on,
        "limits.memory_swap",
        given.memory_swap,
        &mut to.memory_swap,
    );
    if let Some(cpus) = given.cpus {
        let number = *cpus.get_ref();
        // Written so that NaN is refused too.
        if !(0.01..=4096.0).contains(&number) {
            let cause = format!("`limits.cpus` is {number}; it can be 0.01 to 4096");
            on.refuse(
                Problem::new(cause, "write a number of CPUs, as 2.0"),
                cpus.span(),
            );
        }
        on.value("limits.cpus", Some(optional(cpus)), &mut to.cpus);
    }
    if let Some(nofile) = given.nofile {
        to.nofile = self::nofile(nofile.get_ref());
        if to.nofile.is_none() {
            let cause = format!("`limits.nofile` is \"{}\"", nofile.get_ref());
            let fix =
                "write soft and hard limit, the soft one not above the hard one: \"1024:2048\"";
            on.refuse(Problem::new(cause, fix), nofile.span());
        }
    }
    count(on, "limits.pids", given.pids, &mut to.pids);
    count(on, "limits.nproc", given.nproc, &mut to.nproc);
}

fn optional<T>(given: Spanned<T>) -> Spanned<Option<T>> {
    Spanned::new(given.span(), Some(given.into_inner()))
}

fn bytes(on: &mut Overlay<'_>, key: &'static str, given: raw::At<Bytes>, to: &mut Option<Bytes>) {
    let Some(given) = given else { return };
    if *given.get_ref() < LEAST_MEMORY {
        let cause = format!("`{key}` is {}, less than Docker accepts", given.get_ref());
        on.refuse(
            Problem::new(cause, format!("write {LEAST_MEMORY} or more")),
            given.span(),
        );
    }
    on.value(key, Some(optional(given)), to);
}

fn count(on: &mut Overlay<'_>, key: &'static str, given: raw::At<u64>, to: &mut Option<u64>) {
    if let Some(given) = given {
        let mut number = 0;
        let fix = "at 0 nothing could run; leave it out for no limit of its own";
        on.number(key, Some(given), &mut number, (1..=1 << 22, fix));
        *to = Some(number);
    }
}

fn nofile(text: &str) -> Option<Nofile> {
    let (soft, hard) = text.split_once(':')?;
    let (soft, hard) = (soft.trim().parse().ok()?, hard.trim().parse().ok()?);
    (1 <= soft && soft <= hard).then_some(Nofile { soft, hard })
}

/// Finds limits against each other, and warns of those that Node does not survive.
pub(super) fn check(on: &mut Overlay<'_>, target: &TargetConfig) {
    let Some(limits) = &target.limits else { return };
    memory(on, limits);
    let cap = target.gate.max_processes.processes();
    let enough = enough_tasks(cap);
    if let Some(pids) = limits.pids.filter(|&pids| pids < enough) {
        let cause = format!(
            "`limits.pids` = {pids} breaks Node: it counts threads, of which each node process has \
             11 and more, and a thread that cannot start aborts its process or leaves it hanging"
        );
        let fix = format!(
            "leave it out, or write {enough} or more ({TASKS_PER_PROCESS} for each of \
             {cap} processes, at least {LEAST_TASKS}); processes are limited by max_processes"
        );
        on.conflict(&["limits.pids"], Problem::new(cause, fix).warning());
    }
    if let Some(nproc) = limits.nproc {
        let cause = format!(
            "`limits.nproc` = {nproc} breaks Node: it counts the threads of one user over the whole \
             host, in other containers too, and aborts healthy servers; root is exempt from it"
        );
        let fix = "leave it out: processes are limited by max_processes";
        on.conflict(&["limits.nproc"], Problem::new(cause, fix).warning());
    }
}

fn memory(on: &mut Overlay<'_>, limits: &DockerLimits) {
    let Some(memory) = limits.memory else { return };
    if let Some(reservation) = limits.memory_reservation.filter(|&kept| kept > memory) {
        let cause = format!(
            "`limits.memory_reservation` ({reservation}) is above `limits.memory` ({memory})"
        );
        let keys = ["limits.memory_reservation", "limits.memory"];
        on.conflict(
            &keys,
            Problem::new(cause, format!("write {memory} or less")),
        );
    }
    if let Some(swap) = limits.memory_swap.filter(|&swap| swap < memory) {
        let cause = format!("`limits.memory_swap` ({swap}) is below `limits.memory` ({memory})");
        let fix = format!("it is memory and swap together: write {memory} for no swap, or more");
        on.conflict(
            &["limits.memory_swap", "limits.memory"],
            Problem::new(cause, fix),
        );
    }
}
