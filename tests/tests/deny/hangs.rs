//! An agent that hangs, dies, or runs out of descriptors: nobody waits for it for long.
//!
//! The agent here is this program again, with the guardian that the real one starts.

use std::io::{BufRead, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::{Apart, place};
use guard_userspace::guardian::Guardian;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, setrlimit, test_kill_process};

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
    let mut guard = Guard::start()?;
    let program = place::program("GUARD_AGENT", "metamcp-guard")?;
    let mut guardian = Guardian::start(&program, guard.deny.heart())?;
    let mut all = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let answer = match line?.as_str() {
            "guardian" => guardian.pid().as_raw_pid().to_string(),
            "lives" => guardian.lives().to_string(),
            "again" => {
                guardian = Guardian::start(&program, guard.deny.heart())?;
                String::new()
            }
            "cover" => match guard.cover_pid(pid) {
                Ok(covered) => covered.mounts.to_string(),
                Err(error) => format!("{error:#}"),
            },
            "uncover" => guard.deny.cover(&[], &|_, _| false)?.mounts.to_string(),
            "hold" => {
                guard.docket.hold(true);
                String::new()
            }
            "condemn" => {
                guard.docket.condemn_children_of(pid);
                String::new()
            }
            "exhaust" => {
                all = exhaust();
                String::new()
            }
            "no-files" => {
                let none = Rlimit {
                    current: Some(0),
                    maximum: Some(0),
                };
                setrlimit(Resource::Nofile, none)?;
                String::new()
            }
            "let-go" => guard.deny.has_let_go().to_string(),
            "unread" => guard.deny.counts().unread.to_string(),
            other => anyhow::bail!("what is {other}?"),
        };
        println!("{answer}");
        std::io::stdout().flush()?;
    }
    drop(all);
    Ok(())
}

/// That agent, watching one process.
struct Agent {
    child: Child,
    lines: Receiver<String>,
}

impl Agent {
    fn start(apart: &Apart) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([ARGUMENT, &apart.pid().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = std::io::BufReader::new(child.stdout.take().context("no pipe")?);
        let (heard, lines) = channel();
        std::thread::spawn(move || {
            out.lines()
                .map_while(Result::ok)
                .try_for_each(|line| heard.send(line))
        });
        Ok(Self { child, lines })
    }

    fn ask(&mut self, what: &str) -> Result<String> {
        writeln!(self.child.stdin.as_mut().context("no pipe")?, "{what}")?;
        let answer = self.lines.recv_timeout(Duration::from_secs(10));
        answer.with_context(|| format!("the agent said nothing to {what}"))
    }

    fn covers(apart: &Apart) -> Result<Self> {
        let mut agent = Self::start(apart)?;
        let mounts: usize = agent.ask("cover")?.parse()?;
        ensure!(mounts > 0, "nothing is marked");
        Ok(agent)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal).context("a signal to the agent")
    }

    fn lives(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
    agent.signal(Signal::STOP)?;
    let took = exec_goes_on(&mut apart, since)?;
    println!("  stopped: an exec went on {took:?} after the stop");
    ensure!(took > Duration::from_millis(700), "who let it go? {took:?}");
    let ended = agent.child.wait()?;
    ensure!(!ended.success(), "{ended}");
    Ok(())
}

/// Where nobody can wait for it, it may be stopped as long as its operator likes.
pub fn stopped_without_marks() -> Result<()> {
    let mut apart = Apart::shell()?;
    let mut agent = Agent::covers(&apart)?;
    agent.ask("uncover")?;
    agent.signal(Signal::STOP)?;
    std::thread::sleep(Duration::from_millis(2_500));
    ensure!(agent.lives()?, "it was killed");
    apart.does("/bin/true")?;
    agent.signal(Signal::CONT)?;
    same(
        "it still answers",
        agent.ask("cover")?.parse::<usize>()? > 0,
        true,
    )
}

/// A thread that waits for something it should not have.
pub fn stuck() -> Result<()> {
    let mut apart = Apart::shell()?;
    let mut agent = Agent::covers(&apart)?;
    agent.ask("hold")?;
    let took = exec_goes_on(&mut apart, Instant::now())?;
    println!("  stuck: an exec went on after {took:?}");
    ensure!(!agent.child.wait()?.success(), "it ended by itself");
    Ok(())
}

pub fn killed() -> Result<()> {
    let mut apart = Apart::shell()?;
    let mut agent = Agent::covers(&apart)?;
    let guardian = agent
        .ask("guardian")?
        .parse()
        .ok()
        .and_then(Pid::from_raw)
        .context("a pid")?;
    agent.ask("hold")?;
    apart.say("/bin/true; echo $?")?;
    same(
        "it waits",
        apart.hear_within(Duration::from_millis(200))?,
        None,
    )?;
    let since = Instant::now();
    agent.signal(Signal::KILL)?;
    same(
        "it goes on",
        apart.hear_within(Duration::from_millis(500))?.as_deref(),
        Some("0"),
    )?;
    println!("  killed: an exec went on after {:?}", since.elapsed());
    agent.child.wait()?;
    // Its parent is gone; whoever adopts it reaps it, or it stays a zombie of this container's init.
    eventually("the guardian ends", PROMISED, || {
        let stat = std::fs::read_to_string(format!("/proc/{guardian}/stat"));
        Ok(test_kill_process(guardian).is_err() || stat.is_ok_and(|stat| stat.contains(") Z ")))
    })
}

/// A guardian that dies is missed, and another one knows what the first did.
pub fn guardian_dies() -> Result<()> {
    let mut apart = Apart::shell()?;
    let mut agent = Agent::covers(&apart)?;
    let guardian = agent
        .ask("guardian")?
        .parse()
        .ok()
        .and_then(Pid::from_raw)
        .context("a pid")?;
    same("it lives", agent.ask("lives")?.as_str(), "true")?;
    kill_process(guardian, Signal::KILL)?;
    eventually("it is missed", PROMISED, || {
        Ok(agent.ask("lives")? == "false")
    })?;
    agent.ask("again")?;
    let since = Instant::now();
    agent.signal(Signal::STOP)?;
    exec_goes_on(&mut apart, since).map(drop)
}

/// An agent without a descriptor left still answers, and answers rightly.
pub fn out_of_descriptors() -> Result<()> {
    let mut apart = Apart::shell()?;
    let mut agent = Agent::covers(&apart)?;
    agent.ask("exhaust")?;
    for _ in 0..20 {
        apart.does("/bin/true")?;
    }
    agent.ask("condemn")?;
    same("condemned", apart.code("/bin/true")?, 126)?;
    same("unread", agent.ask("unread")?.as_str(), "0")
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
