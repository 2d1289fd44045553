//! Several targets, and targets that end.

use std::time::Duration;

use anyhow::{Result, ensure};
use guard_tests::Apart;
use guard_tests::check::{eventually, same};

use crate::docket::Guard;

fn mounts(guard: &Guard, targets: &[(u32, u32)]) -> Result<usize> {
    Ok(guard.cover_all(targets)?.mounts)
}

/// Two in one namespace: its marks stay until the second is away from its limits too.
pub fn one_namespace() -> Result<()> {
    let guard = Guard::start()?;
    let mut first = Apart::shell()?;
    let second = first.shell_beside()?;
    let (a, b) = ((1, first.pid()), (2, second.pid()));
    let alone = mounts(&guard, &[a])?;
    same("both", mounts(&guard, &[a, b])?, alone)?;
    same("the second", mounts(&guard, &[b])?, alone)?;
    same("asked", guard.asks(&mut first)?, true)?;
    same("none", mounts(&guard, &[])?, 0)?;
    same("not asked", guard.asks(&mut first)?, false)
}

/// Two in two namespaces: the marks of one go, those of the other stay.
pub fn two_namespaces() -> Result<()> {
    let guard = Guard::start()?;
    let (mut first, mut second) = (Apart::shell()?, Apart::shell()?);
    let (a, b) = ((1, first.pid()), (2, second.pid()));
    let both = mounts(&guard, &[a, b])?;
    let one = mounts(&guard, &[b])?;
    same("half of them", both, 2 * one)?;
    same("the first", guard.asks(&mut first)?, false)?;
    same("the second", guard.asks(&mut second)?, true)
}

/// A namespace that ends takes its marks along, and another one begins without them.
pub fn vanished() -> Result<()> {
    let guard = Guard::start()?;
    let first = Apart::shell()?;
    let pid = first.pid();
    ensure!(guard.cover(&first)?.mounts > 0, "nothing to mark");
    drop(first);
    same("mounts of the dead", mounts(&guard, &[(0, pid)])?, 0)?;
    let mut second = Apart::shell()?;
    same("asked", guard.asks(&mut second)?, false)?;
    guard.cover(&second)?;
    same("asked", guard.asks(&mut second)?, true)
}

/// A container that is killed while one of its execs waits takes nothing with it.
pub fn ends_while_it_waits() -> Result<()> {
    let guard = Guard::start()?;
    let mut first = Apart::shell()?;
    let mut second = Apart::shell()?;
    mounts(&guard, &[(1, first.pid()), (2, second.pid())])?;
    guard.docket.hold(true);
    first.say("/bin/true & echo $!")?;
    let waiting = first.hear()?;
    eventually("it waits", Duration::from_secs(2), || {
        Ok(guard.deny.counts().asked == 1)
    })?;
    drop(first);
    eventually("it is gone", Duration::from_secs(2), || {
        let gone = std::fs::read_to_string(format!("/proc/{waiting}/stat"));
        Ok(gone.map_or(true, |stat| stat.contains(") Z ")))
    })?;
    guard.docket.hold(false);
    second.does("/bin/true")?;
    let counts = guard.deny.counts();
    same("failed, unread", (counts.failed, counts.unread), (0, 0))
}

/// Two listeners on the same mounts: each is asked, and one that denies is enough.
pub fn two_listeners() -> Result<()> {
    let (allows, denies) = (Guard::start()?, Guard::start()?);
    let mut apart = Apart::shell()?;
    allows.cover(&apart)?;
    denies.cover(&apart)?;
    denies.docket.condemn_children_of(apart.pid());
    same("denied by one", apart.code("/bin/true")?, 126)?;
    denies.docket.pardon();
    same("allowed by both", allows.asks(&mut apart)?, true)?;
    drop(denies);
    same("asked", allows.asks(&mut apart)?, true)
}

/// Dropped while execs wait and others come: all go on, and nothing is asked any more.
pub fn dropped() -> Result<()> {
    let guard = Guard::start()?;
    let mut apart = Apart::shell()?;
    guard.cover(&apart)?;
    guard.docket.hold(true);
    apart.say("for i in 1 2 3 4 5 6; do /bin/true & done; wait; echo all")?;
    eventually("one waits", Duration::from_secs(2), || {
        Ok(guard.deny.counts().asked == 1)
    })?;
    let docket = std::sync::Arc::clone(&guard.docket);
    let dropping = std::thread::spawn(move || drop(guard));
    std::thread::sleep(Duration::from_millis(50));
    docket.hold(false);
    same(
        "they go on",
        apart.hear_within(Duration::from_secs(1))?.as_deref(),
        Some("all"),
    )?;
    ensure!(dropping.join().is_ok(), "it panicked");
    apart.does("/bin/true")
}

/// More who wait than a queue may hold where it has a limit: none passes unasked.
pub fn many_wait() -> Result<()> {
    const LIMIT: &str = "/proc/sys/fs/fanotify/max_queued_events";
    // A group has the limit that is in force when it is made; nobody else's should be made now.
    let before = std::fs::read_to_string(LIMIT)?;
    std::fs::write(LIMIT, "4")?;
    let guard = Guard::start();
    std::fs::write(LIMIT, before)?;
    let guard = guard?;
    let mut apart = Apart::shell()?;
    guard.cover(&apart)?;
    guard.docket.condemn_children_of(apart.pid());
    guard.docket.hold(true);
    apart.say("i=0; while [ $i -lt 40 ]; do /bin/true 2>/dev/null & i=$((i+1)); done; echo; wait; echo all")?;
    same("all are forked", apart.hear()?.as_str(), "")?;
    std::thread::sleep(Duration::from_millis(300));
    guard.docket.hold(false);
    same("all are told", apart.hear()?.as_str(), "all")?;
    let counts = guard.deny.counts();
    same(
        "denied, overflows",
        (counts.denied, counts.overflows),
        (40, 0),
    )
}

/// The process's signals are for threads that have the process's descriptors.
pub fn no_signals() -> Result<()> {
    let guard = Guard::start()?;
    let mut seen = 0;
    for thread in std::fs::read_dir("/proc/self/task")?.flatten() {
        let status = std::fs::read_to_string(thread.path().join("status"))?;
        if status.starts_with("Name:\tguard-") {
            seen += 1;
            let blocked = status
                .lines()
                .find_map(|line| line.strip_prefix("SigBlk:\t"));
            let mask = u64::from_str_radix(blocked.unwrap_or_default(), 16)?;
            // SIGINT, SIGTERM, SIGHUP: the bit of signal n is n - 1.
            ensure!(
                [2, 15, 1].iter().all(|n| mask >> (n - 1) & 1 == 1),
                "{status}"
            );
        }
    }
    same("threads", seen, 2)?;
    drop(guard);
    Ok(())
}
