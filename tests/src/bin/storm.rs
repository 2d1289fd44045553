//! `storm`: makes processes and threads in the ways that a guard must get right, a bounded number
//! of them, and prints one line of JSON about what became of them.
//!
//! Without arguments it prints its usage. `--until FILE` has it begin when that file is there. It belongs into a cgroup of its own (`--cgroup PATH`
//! moves it there first; more than one where there are several hierarchies), and into a mount
//! namespace of its own (`--apart`), as a container's processes are: in mode `deny` the guard asks
//! about each exec in it, and the host is to feel nothing.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::str::FromStr;
use std::time::{Duration, Instant};

use guard_tests::load::tiny::Tiny;
use guard_tests::load::{
    self, Tally, actor, bomb, ends, exec, fork, heap, keeper, mix, odd, thread,
};
use guard_tests::raw;

const USAGE: &str = "\
usage: storm [--apart] [--cgroup PATH]... [--until FILE] MODE
  forks N [--parallel P]            forks that end at once
  execs N [--hold MS] [--pace-us U] [--vfork] [--argument TEXT] [--tiny memory|mount|PATH]
                                    spawns of a program; all stay until MS after the last
  bomb DEPTH --seconds S [--attempts N] [--hold MS]   a doubling fork bomb
  programs DEPTH --seconds S [--attempts N] [--hold MS]   one that executes this program
  threads N [--hold MS]             threads alive at once; they stay for MS (default 0)
  thread-churn N                    threads one after the other, each waited for
  twin-exit N                       processes whose last two threads end together
  thread-exec N                     processes whose second thread executes a program
  slow-ends N                       processes, one after the other, that take long to end
  vfork N                           vfork and exec, one after the other
  sleepers N [--hold MS]            forks that stay; says {\"ready\":[PID…]} when all are there
  spinners N [--hold MS]            forks that take all CPU time that they get
  heap MB [--hold MS]               memory of its own, page by page
  into N --into PATH [--hold MS]    children born in another cgroup
  trees N [--hold MS] [--pace-us U] root, shell and server, as npx makes them
  leader-first N [--exec]           processes whose first thread ends first; the second executes a program
  siblings N                        clones by clone3, and siblings of theirs (CLONE_PARENT)
  orphans N                         daemons that come to a subreaper, and fork
  by-descriptor N [--memory]        execs by execveat, of this program or of one in memory
  same-pid N                        processes one after the other, all with one pid
  reborn N --into PATH              a cgroup made, entered, forked in and removed again and again
  tour EACH --into PATH             a process in each cgroup below PATH, that forks
  rings N [--hold MS]               threads of io_uring; says {\"ready\":[TASKS]} when they are there
  mix N [--parallel P] [--seed S]   threads that fork, clone, spawn and make threads, as the seed says
  run [--as-nobody] -- PROGRAM [WORD...]   executes it
  actor                             does what lines on its standard input say, answers each
  keeper KIND...                    a gateway with a server of each kind; waits for a line first";

/// User and group that own nothing.
const NOBODY: u32 = 65_534;

/// Waits until a file is there, a bounded time.
fn wait_for(file: &Path) -> io::Result<()> {
    let until = Instant::now() + load::LONGEST;
    while !file.exists() {
        if Instant::now() > until {
            return Err(bad("the file of --until did not come"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    // What is behind it is another program's.
    let end = words.iter().position(|word| word == "--");
    let others = end.map(|end| words.split_off(end)).unwrap_or_default();
    match run(&mut Arguments(words), &others) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            eprintln!("storm: {error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &mut Arguments, others: &[String]) -> io::Result<i32> {
    if arguments.flag("--apart") {
        raw::own_mounts()?;
    }
    while let Some(cgroup) = arguments.option::<PathBuf>("--cgroup")? {
        enter(&cgroup)?;
    }
    if let Some(file) = arguments.option::<PathBuf>("--until")? {
        wait_for(&file)?;
    }
    let told = arguments.option("--hold")?.map(Duration::from_millis);
    let hold = told.unwrap_or(Duration::from_secs(1)).min(load::LONGEST);
    let pace =
        Duration::from_micros(arguments.option("--pace-us")?.unwrap_or(0)).min(load::LONGEST);
    let argument = arguments.option("--argument")?;
    let tiny = match arguments.option::<String>("--tiny")?.as_deref() {
        None => None,
        Some("memory") => Some(Tiny::in_memory()?),
        Some("mount") => Some(Tiny::on_new_mount()?),
        Some(path) => Some(Tiny::at(path.into())),
    };
    let how = if arguments.flag("--vfork") {
        exec::How::Vfork
    } else {
        exec::How::Fork
    };
    let crowd = |n, how| exec::Crowd {
        n,
        hold,
        pace,
        how,
        argument: argument.clone(),
        tiny: tiny.clone(),
    };
    let mode = arguments.next()?;
    let n = |arguments: &mut Arguments| arguments.number().map(|n| n.min(load::MOST));
    if let Some(code) = keeper::program(&mode) {
        return Ok(code);
    }
    let tally = Tally::new()?;
    match mode.as_str() {
        // The programs that storms spawn.
        "nothing" => return Ok(0),
        "hold" => return Ok(exec::hold()),
        "stay" => {
            let stays = Duration::from_millis(arguments.number()?);
            std::thread::sleep(stays.min(load::LONGEST));
            return Ok(0);
        }
        "run" => {
            let words = others.get(1..).unwrap_or_default();
            let (program, words) = words.split_first().ok_or_else(|| bad("run what?"))?;
            let mut command = Command::new(program);
            command.args(words);
            if arguments.flag("--as-nobody") {
                command.uid(NOBODY).gid(NOBODY);
            }
            return Err(command.exec());
        }
        "tree-of" => return actor::tree_of(n(arguments)?),
        "actor" => return actor::act(),
        "tree-root" => return Ok(exec::tree_member("tree-shell")),
        "tree-shell" => return Ok(exec::tree_member("hold")),
        // It executes itself once it is there: that is what the guard knows it by.
        "keeper" => {
            let mut again = Command::new(std::env::current_exe()?);
            return Err(again.arg("gate-keeper").args(arguments.0.iter()).exec());
        }
        "gate-keeper" => return keeper::keep(&arguments.0),
        "forks" => {
            let parallel = arguments.option("--parallel")?.unwrap_or(1);
            fork::forks(tally, n(arguments)?, parallel);
        }
        "execs" => exec::execs(tally, &crowd(n(arguments)?, how))?,
        "vfork" => {
            let mut one = crowd(1, exec::How::Vfork);
            one.hold = Duration::ZERO;
            for _ in 0..n(arguments)? {
                exec::execs(tally, &one)?;
            }
        }
        "bomb" => bomb::explode(tally, bounds(arguments, hold)?),
        "programs" => bomb::programs(tally, bounds(arguments, hold)?)?,
        "threads" => {
            let stay = told.unwrap_or_default().min(load::LONGEST);
            thread::threads(tally, n(arguments)?, stay);
        }
        "thread-churn" => thread::churn(tally, n(arguments)?),
        "twin-exit" => thread::twin_exits(tally, n(arguments)?),
        "thread-exec" => thread::thread_execs(tally, n(arguments)?)?,
        "slow-ends" => ends::slow(tally, n(arguments)?),
        "heap" => heap::grow(n(arguments)?, hold),
        "sleepers" => fork::sleepers(tally, n(arguments)?, hold, |pids| {
            println!("{{\"ready\":{pids:?}}}");
        }),
        "leader-first" => {
            let program = arguments.flag("--exec").then(this_program).transpose()?;
            odd::leader_first(tally, n(arguments)?, program.as_ref());
        }
        "siblings" => odd::siblings(tally, n(arguments)?),
        "orphans" => odd::orphans(tally, n(arguments)?),
        "by-descriptor" => {
            let memory = arguments.flag("--memory").then(Tiny::that_ends);
            let memory = memory.transpose()?;
            match memory.as_ref().and_then(Tiny::file) {
                Some(program) => odd::by_descriptor(tally, n(arguments)?, program),
                None => odd::by_descriptor(tally, n(arguments)?, &this_program()?),
            }
        }
        "same-pid" => odd::same_pid(tally, n(arguments)?, &this_program()?)?,
        "reborn" => odd::reborn(tally, n(arguments)?, &into(arguments)?)?,
        "tour" => odd::tour(tally, n(arguments)?, &into(arguments)?)?,
        "rings" => {
            let n = u32::try_from(n(arguments)?).unwrap_or(1).clamp(1, 16);
            odd::rings(n, hold, |tasks| println!("{{\"ready\":[{tasks}]}}"))?;
        }
        "mix" => {
            let parallel = arguments.option("--parallel")?.unwrap_or(1);
            let seed = arguments.option("--seed")?.unwrap_or(0);
            mix::mix(tally, n(arguments)?, parallel, seed)?;
        }
        "spinners" => fork::spinners(tally, n(arguments)?, hold),
        "into" => {
            let cgroup = into(arguments)?;
            fork::into(tally, n(arguments)?, hold, &cgroup)?;
        }
        "trees" => exec::trees(tally, &crowd(n(arguments)?, how))?,
        other => return Err(bad(&format!("no storm is called {other:?}"))),
    }
    let report = tally.report(&mode);
    println!(
        "{}",
        serde_json::to_string(&report).map_err(io::Error::other)?
    );
    Ok(i32::from(mode == "threads" && report.made < report.tried))
}

/// The cgroup that a storm is about.
fn into(arguments: &mut Arguments) -> io::Result<PathBuf> {
    let cgroup = arguments.option("--into")?;
    cgroup.ok_or_else(|| bad("--into PATH is missing"))
}

fn this_program() -> io::Result<File> {
    File::open(std::env::current_exe()?)
}

/// What bounds a bomb; by default it is one of 20,000 attempts and 5 seconds.
fn bounds(arguments: &mut Arguments, hold: Duration) -> io::Result<bomb::Bounds> {
    let seconds = arguments.option("--seconds")?.unwrap_or(5);
    let lasts = Duration::from_secs(seconds).min(load::LONGEST);
    let attempts = arguments.option("--attempts")?.unwrap_or(20_000);
    Ok(bomb::Bounds {
        attempts: attempts.min(load::MOST),
        depth: u32::try_from(arguments.number()?)
            .unwrap_or(u32::MAX)
            .min(16),
        until: Instant::now() + lasts,
        hold,
    })
}

/// Moves this process, before it makes any other.
fn enter(cgroup: &Path) -> io::Result<()> {
    let procs = cgroup.join("cgroup.procs");
    std::fs::write(&procs, "0").map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot enter {}: {error}", procs.display()),
        )
    })
}

/// What is left of the command line.
struct Arguments(Vec<String>);

impl Arguments {
    fn flag(&mut self, name: &str) -> bool {
        let at = self.0.iter().position(|word| word == name);
        at.is_some_and(|at| {
            self.0.remove(at);
            true
        })
    }

    fn option<T: FromStr>(&mut self, name: &str) -> io::Result<Option<T>> {
        let Some(at) = self.0.iter().position(|word| word == name) else {
            return Ok(None);
        };
        let mut pair = self.0.drain(at..(at + 2).min(self.0.len())).skip(1);
        let value = pair.next().and_then(|text| text.parse().ok());
        value
            .map(Some)
            .ok_or_else(|| bad(&format!("{name} needs a value")))
    }

    fn next(&mut self) -> io::Result<String> {
        if self.0.is_empty() {
            return Err(bad("a word is missing"));
        }
        Ok(self.0.remove(0))
    }

    fn number(&mut self) -> io::Result<u64> {
        let word = self.next()?;
        word.parse()
            .map_err(|_| bad(&format!("{word:?} is not a number")))
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
