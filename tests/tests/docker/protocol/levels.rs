//! Each level begins at its own figure, and not one below.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use guard_tests::check::same;
use guard_tests::docker::metamcp::{MetaMcp, Server, Setup};
use serde_json::Value;

use super::after::{After, Spine, criterion, escalated, validate};
use super::{Rules, at_level, booted, decided, leak, leave, servers};
use crate::profile::{GATE_ALONE, until};
use crate::scene::{Guard, OnStage, Stage};

const NAMES: [&str; 5] = ["normal", "warning", "critical", "emergency", "nuclear"];

/// One process more at a time, from none too many to nuclear: nothing is done about it, for none of it is
/// idle and nothing is refused.
pub fn of_counts() -> Result<()> {
    const LEVELS: [u64; 4] = [2, 3, 4, 5];
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let rules = Rules {
        allowed: 1,
        levels: LEVELS,
        times: "clear_after = \"1s\"",
        idle: "calm = \"1h\", pressure = \"1h\", lasting = \"1h\"",
        ..Rules::default()
    };
    let guard = rules.guard(stage)?;
    let stand = booted(stage, &servers(1))?;
    let gateway = &stand.gateway;
    let spine = Spine::of(&guard, &stand)?;
    let mut sessions = Vec::new();
    for excess in 1..=LEVELS[3] {
        sessions.extend(leak(gateway, 1, 1)?);
        let target = until(&guard, "one more is counted", |target| {
            target["excess"] == excess
        })?;
        let passed = LEVELS.iter().filter(|from| excess >= **from).count();
        same("the level", &target["level"], &Value::from(NAMES[passed]))
            .with_context(|| format!("{target}"))?;
    }
    begun_at(
        &guard,
        &LEVELS.map(|from| format!("{from} processes beyond what is healthy, ")),
    )?;
    // Critical by count is the second level of escalation.
    escalated(&guard, 2, "3 processes too many")?;
    for deed in ["end", "force", "restart", "recreate"] {
        same(deed, decided(&guard, deed).len(), 0)?;
    }
    leave(gateway, &sessions)?;
    at_level(&guard, "normal")?;
    After {
        guard: &guard,
        spine: Some(&spine),
        neighbour: None,
        did: &[],
        calm: true,
    }
    .ensure()?;
    guard.agent.stop_cleanly().map(drop)
}

/// Memory up to 75, 90 and 95 % of the container's own limit, from a little below each to a little above.
/// What grows all the time is not over before, though no level says so.
pub fn of_memory() -> Result<()> {
    const MB: u64 = 1_000_000;
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let rules = Rules {
        levels: [40, 50, 60, 70],
        times: "clear_after = \"1s\"",
        more: GATE_ALONE.to_owned(),
        ..Rules::default()
    };
    let guard = rules.guard(stage)?;
    let setup = Setup {
        options: &["--memory", "512m"],
        // It begins within a moment.
        servers: vec![Server::odd("deaf")],
        ..Setup::default()
    };
    let stand = booted(stage, &setup)?;
    let spine = Spine::of(&guard, &stand)?;
    let levels = until(&guard, "memory is read", |target| {
        target["memory_levels"]["limit"] == 512 << 20
    })?["memory_levels"]
        .clone();
    let from = |name: &str| levels[name].as_u64().context("no threshold");
    let thresholds = [from("warning")?, from("critical")?, from("emergency")?];
    let limit = 512 << 20;
    same(
        "75, 90, 95 %",
        thresholds.map(|one| (one * 100 + limit / 2) / limit),
        [75, 90, 95],
    )?;
    let sessions = growing(&guard, &stand.gateway)?;
    let mut hog = Hog::start(stage)?;
    for (index, threshold) in thresholds.into_iter().enumerate() {
        let below = hog.until(&guard, threshold - 10 * MB)?;
        ensure!(
            below["memory_used_bytes"].as_u64() <= Some(threshold)
                && below["level"] == NAMES[index],
            "{below}"
        );
        hog.until(&guard, threshold + 4 * MB)?;
        at_level(&guard, NAMES[index + 1])?;
        if index == 0 {
            let (report, code) = validate(&guard, "1s")?;
            let (stands, words) = criterion(&report, "memory");
            ensure!(
                code == Some(1) && stands == "failed" && words.contains("warning above"),
                "{report}"
            );
        }
    }
    let above = [
        "warning above 402",
        "critical above 483",
        "emergency above 510",
    ];
    begun_at(&guard, &above.map(str::to_owned))?;
    // A quarter of the memory is left: a warning by it is the second level too.
    escalated(&guard, 2, "of memory in use")?;
    hog.end()?;
    leave(&stand.gateway, &sessions)?;
    at_level(&guard, "normal")?;
    let (report, _) = validate(&guard, "0s")?;
    let (stands, words) = criterion(&report, "health");
    ensure!(
        stands == "unread" && words.contains("no health check"),
        "{report}"
    );
    After {
        guard: &guard,
        spine: Some(&spine),
        neighbour: None,
        did: &[],
        calm: true,
    }
    .ensure()?;
    guard.agent.stop_cleanly().map(drop)
}

/// While one session after the other comes `validate` says that it is not over; gives the sessions.
fn growing(guard: &Guard, gateway: &MetaMcp) -> Result<Vec<String>> {
    let over = AtomicBool::new(false);
    let (sessions, judged) = thread::scope(|scope| {
        let leaking = scope.spawn(|| -> Result<Vec<String>> {
            let mut sessions = Vec::new();
            while !over.load(Relaxed) && sessions.len() < 20 {
                sessions.extend(leak(gateway, 1, 1)?);
                thread::sleep(Duration::from_millis(200));
            }
            Ok(sessions)
        });
        let judged = validate(guard, "5s");
        over.store(true, Relaxed);
        (leaking.join(), judged)
    });
    let (report, code) = judged?;
    same("validate while it grows", code, Some(1))?;
    let (growth, words) = criterion(&report, "growth");
    ensure!(
        growth == "failed" && words.contains("never fell"),
        "{report}"
    );
    let (memory, words) = criterion(&report, "memory");
    ensure!(
        memory == "failed" && words.contains("not stable"),
        "{report}"
    );
    same(
        "processes",
        criterion(&report, "processes").0.as_str(),
        "holds",
    )?;
    sessions.map_err(|_| anyhow!("a panic"))?
}

/// The first levels that were entered are these in turn, each said with its figure.
fn begun_at(guard: &Guard, whys: &[String]) -> Result<()> {
    let all = guard.agent.events();
    let lines: Vec<&Value> = all.iter().filter(|line| line["event"] == "level").collect();
    for (index, why) in whys.iter().enumerate() {
        let line = lines.get(index).with_context(|| format!("{lines:?}"))?;
        let said = line["why"].as_str().unwrap_or_default();
        ensure!(
            line["from"] == NAMES[index] && line["to"] == NAMES[index + 1] && said.contains(why),
            "{why}: {lines:#?}"
        );
    }
    same("levels entered", lines.len(), whys.len())
}

/// A process in the container, from outside, that takes as much memory as it is told.
pub struct Hog {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Hog {
    pub fn start(stage: &Stage) -> Result<Self> {
        const TAKES: &str = "const held = []; \
            require('readline').createInterface({ input: process.stdin }).on('line', (line) => { \
            for (let i = 0; i < Number(line); i++) held.push(Buffer.alloc(1e6, 1)); console.log('ok'); })";
        let words = ["exec", "-i", "metamcp", "node", "-e", TAKES];
        let mut child = stage
            .docker
            .command(120, &words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let said = child.stdout.take().context("no pipe")?;
        let mut hog = Self {
            child,
            said: BufReader::new(said).lines(),
        };
        hog.take(0)?;
        Ok(hog)
    }

    /// So many MB more; it has them, and they have been read, when this returns.
    fn take(&mut self, more: u64) -> Result<()> {
        writeln!(self.child.stdin.as_mut().context("no pipe")?, "{more}")?;
        self.said.next().context("it has ended")??;
        // It is read once a second.
        thread::sleep(Duration::from_millis(1_200));
        Ok(())
    }

    /// Has it take more until the container uses so much; gives what is known of it then.
    pub fn until(&mut self, guard: &Guard, bytes: u64) -> Result<Value> {
        for _ in 0..20 {
            let target = guard.target()?;
            let used = target["memory_used_bytes"].as_u64().context("not read")?;
            if used >= bytes {
                return Ok(target);
            }
            self.take((bytes - used).div_ceil(1_000_000))?;
        }
        bail!("it does not get there: {}", guard.target()?)
    }

    pub fn end(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        self.child.wait().map(drop).context("waiting")
    }
}
