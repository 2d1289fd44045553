//! An agent that hangs, dies, or runs out of descriptors: nobody waits for it for long.
//!
//! The agent here is this program again, with the guardian that the real one starts.

use std::io::{BufRead, Write};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::{Apart, place};
use guard_userspace::guardian::Guardian;
use guard_userspace::kernel::deny::heart::BEAT;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, setrlimit};

use crate::docket::{Guard, exhaust};

/// What makes of this program an agent.
const ARGUMENT: &str = "--as-agent";

/// Longest that an exec may wait, whatever befalls the agent.
const PROMISED: Duration = Duration::from_secs(2);

/// Runs as an agent if the command line says so.
pub fn as_agent() -> Option<ExitCode> {
    let mut words = std::env::args().skip(1);
    if words.next()? != ARGUMENT {
        return None;
    }
    let pid = words.next()?.parse().ok()?;
    match agent(pid) {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("{error:#}");
            Some(ExitCode::FAILURE)
        }
    }
}

fn agent(pid: u32) -> Result<()> {
    let guard = Guard::start()?;
    let program = place::program("GUARD_AGENT", "metamcp-guard")?;
    let mut guardian = Guardian::start(&program, guard.deny.heart())?;
    let mut all = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let mut answer = String::new();
        match line?.as_str() {
            "guardian" => answer = guardian.pid().as_raw_pid().to_string(),
            "lives" => answer = guardian.lives().to_string(),
            "again" => guardian = Guardian::start(&program, guard.deny.heart())?,
            "cover" => match guard.cover_all(&[(0, pid)]) {
                Ok(covered) => answer = covered.mounts.to_string(),
                Err(error) => answer = format!("{error:#}"),
            },
            "uncover" => drop(guard.cover_all(&[])?),
            "on-host" => answer = format!("{:?}", guard.cover_all(&[(7, pid)])?.on_host),
            "hold" => guard.docket.hold(true),
            "condemn" => guard.docket.condemn_children_of(pid),
            "spawn" => answer = Command::new("/bin/true").status()?.to_string(),
            "spawn-aside" => drop(std::thread::spawn(|| Command::new("/bin/true").status())),
            "exhaust" => all = exhaust()?,
            "no-files" => {
                let none = Some(0);
                let limit = Rlimit {
                    current: none,
                    maximum: none,
                };
                setrlimit(Resource::Nofile, limit)?;
            }
            "let-go" => answer = guard.deny.has_let_go().to_string(),
            "unread" => answer = guard.deny.counts().unread.to_string(),
            "asked" => answer = guard.deny.counts().asked.to_string(),
            other => bail!("what is {other}?"),
        }
        println!("{answer}");
        std::io::stdout().flush()?;
    }
    drop(all);
    Ok(())
}

/// That agent, watching one process.
struct Agent(Apart);

impl Agent {
    /// Outside of the target's namespace, as it should be.
    fn covers(apart: &Apart) -> Result<Self> {
        let (me, pid) = command(apart)?;
        let mut agent = Self(Apart::on_host(&[&me, ARGUMENT, &pid])?);
        ensure!(agent.number("cover")? > 0, "nothing is marked");
        Ok(agent)
    }

    /// In the target's own namespace, as it is with a cgroup on the host: its own execs are asked
    /// about too.
    fn inside(apart: &Apart) -> Result<Self> {
        let (me, pid) = command(apart)?;
        let mut agent = Self(apart.beside(&[&me, ARGUMENT, &pid])?);
        same("targets on its host", agent.ask("on-host")?.as_str(), "{7}")?;
        Ok(agent)
    }

    fn ask(&mut self, what: &str) -> Result<String> {
        self.0.say(what)?;
        self.0
            .hear()
            .with_context(|| format!("no answer to {what}"))
    }

    fn number(&mut self, what: &str) -> Result<u64> {
        let said = self.ask(what)?;
        said.parse().with_context(|| format!("{what}: {said}"))
    }

    fn guardian(&mut self) -> Result<Pid> {
        let pid = i32::try_from(self.number("guardian")?)?;
        Pid::from_raw(pid).context("no pid")
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.0.pid()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("no pid")?, signal).context("a signal to the agent")
    }

    /// Stops all of its threads, each of which may run on until it has its turn. One that waits for
    /// its vfork's exec is as good as stopped.
    fn stop(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        eventually("all threads are stopped", PROMISED, || {
            let threads = std::fs::read_dir(format!("/proc/{}/task", self.0.pid()))?;
            let stats = threads.flatten().map(|thread| thread.path().join("stat"));
            let mut all = stats.filter_map(|stat| std::fs::read_to_string(stat).ok());
            Ok(all.all(|stat| stat.contains(") T ") || stat.contains(") D ")))
        })
    }

    /// It was killed, by someone else than this test.
    fn was_killed(&mut self) -> Result<()> {
        let mut status = None;
        eventually("the agent ends", PROMISED, || {
            status = self.0.ended()?;
            Ok(status.is_some())
        })?;
        let by = status.and_then(|status| std::os::unix::process::ExitStatusExt::signal(&status));
        same("killed by", by, Some(Signal::KILL.as_raw()))
    }
}

fn command(apart: &Apart) -> Result<(String, String)> {
    let me = std::env::current_exe()?;
    let me = me.to_str().context("UTF-8")?.to_owned();
    Ok((me, apart.pid().to_string()))
}

/// How long an exec took that nothing but the agent's end can have let go on.
fn exec_goes_on(apart: &mut Apart, since: Instant) -> Result<Duration> {
    apart.say("/bin/true; echo $?")?;
    let code = apart.hear_within(PROMISED.saturating_sub(since.elapsed()))?;
    same("an exec", code.as_deref(), Some("0"))?;
    Ok(since.elapsed())
}

pub fn stopped() -> Result<()> {
    let mut apart = Apart::shell()?;
    let mut agent = Agent::covers(&apart)?;
    let since = Instant::now();
    agent.stop()?;
    let took = exec_goes_on(&mut apart, since)?;
    println!("  stopped: an exec went on {took:?} after the stop");
    agent.was_killed()
}

/// Where nobody can wait for it, it may be stopped as long as its operator likes.
pub fn stopped_without_marks() -> Result<()> {
    let mut apart = Apart::shell()?;
    let mut agent = Agent::covers(&apart)?;
    agent.ask("uncover")?;
    // The thread that answers says so when it has seen that nobody waits.
    std::thread::sleep(2 * BEAT);
    agent.stop()?;
    std::thread::sleep(Duration::from_millis(2_500));
    same("its end", agent.0.ended()?, None)?;
    apart.does("/bin/true")?;
    agent.signal(Signal::CONT)?;
    ensure!(agent.number("cover")? > 0, "nothing is marked");
    Ok(())
}

/// A thread that waits for something it should not have.
pub fn stuck() -> Result<()> {
    let mut apart = Apart::shell()?;
    let mut agent = Agent::covers(&apart)?;
    agent.ask("hold")?;
    let took = exec_goes_on(&mut apart, Instant::now())?;
    println!("  stuck: an exec went on after {took:?}");
    agent.was_killed()
}

/// The marks are gone, and somebody still waits for the thread that hangs.
pub fn stuck_without_marks() -> Result<()> {
    let mut apart = Apart::shell()?;
    let mut agent = Agent::covers(&apart)?;
    agent.ask("hold")?;
    let since = Instant::now();
    apart.say("/bin/true; echo $?")?;
    eventually("it asks", PROMISED, || Ok(agent.number("asked")? == 1))?;
    agent.ask("uncover")?;
    let code = apart.hear_within(PROMISED.saturating_sub(since.elapsed()))?;
    same("it goes on", code.as_deref(), Some("0"))?;
    agent.was_killed()
}

pub fn killed() -> Result<()> {
    let mut apart = Apart::shell()?;
    let mut agent = Agent::covers(&apart)?;
    let guardian = agent.guardian()?;
    agent.ask("hold")?;
    apart.say("/bin/true; echo $?")?;
    same(
        "it waits",
        apart.hear_within(Duration::from_millis(200))?,
        None,
    )?;
    let since = Instant::now();
    agent.signal(Signal::KILL)?;
    let code = apart.hear_within(Duration::from_millis(500))?;
    same("it goes on", code.as_deref(), Some("0"))?;
    println!("  killed: an exec went on after {:?}", since.elapsed());
    agent.was_killed()?;
    // Whoever adopts it may leave it a zombie.
    eventually("the guardian ends", PROMISED, || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", guardian.as_raw_pid()));
        Ok(stat.map_or(true, |stat| stat.contains(") Z ")))
    })
}

/// A guardian that dies is missed, and another one knows what the first did.
pub fn guardian_dies() -> Result<()> {
    let mut apart = Apart::shell()?;
    let mut agent = Agent::covers(&apart)?;
    same("it lives", agent.ask("lives")?.as_str(), "true")?;
    kill_process(agent.guardian()?, Signal::KILL)?;
    eventually("it is missed", PROMISED, || {
        Ok(agent.ask("lives")? == "false")
    })?;
    agent.ask("again")?;
    let since = Instant::now();
    agent.stop()?;
    exec_goes_on(&mut apart, since)?;
    agent.was_killed()
}

/// Its own spawns are asked about, and its own thread answers them.
pub fn among_its_targets() -> Result<()> {
    let apart = Apart::shell()?;
    let mut agent = Agent::inside(&apart)?;
    let before = agent.number("asked")?;
    same("a spawn", agent.ask("spawn")?.as_str(), "exit status: 0")?;
    ensure!(agent.number("asked")? > before, "it was not asked");
    agent.ask("again")?;
    same("a guardian", agent.ask("lives")?.as_str(), "true")
}

/// A child that it has forked and that has not yet executed has copies of its descriptors, and
/// outlives it; that child, too, waits for an answer.
pub fn dies_in_the_middle_of_a_spawn() -> Result<()> {
    let mut apart = Apart::shell()?;
    let mut agent = Agent::inside(&apart)?;
    agent.ask("hold")?;
    agent.ask("spawn-aside")?;
    eventually("its child asks", PROMISED, || {
        Ok(agent.number("asked")? == 1)
    })?;
    let since = Instant::now();
    agent.stop()?;
    exec_goes_on(&mut apart, since)?;
    agent.was_killed()
}

/// An agent without a descriptor left still answers, and answers rightly.
pub fn out_of_descriptors() -> Result<()> {
    let mut apart = Apart::shell()?;
    let mut agent = Agent::covers(&apart)?;
    agent.ask("exhaust")?;
    for _ in 0..20 {
        apart.does("/bin/true")?;
    }
    ensure!(agent.number("cover")? > 0, "a round needs descriptors too");
    agent.ask("condemn")?;
    same("condemned", apart.code("/bin/true")?, 126)?;
    same("unread", agent.number("unread")?, 0)
}

/// Where even the thread's own table may hold nothing, it lets go after the first that it cost.
pub fn not_one_descriptor() -> Result<()> {
    let mut apart = Apart::shell()?;
    let mut agent = Agent::covers(&apart)?;
    agent.ask("no-files")?;
    same("the first", apart.code("/bin/true")?, 126)?;
    for _ in 0..5 {
        apart.does("/bin/true")?;
    }
    same("let go", agent.ask("let-go")?.as_str(), "true")?;
    let said = agent.ask("cover")?;
    ensure!(said.contains("LimitNOFILE"), "{said}");
    apart.does("/bin/true")
}
