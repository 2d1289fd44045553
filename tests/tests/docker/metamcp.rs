//! The gateway that treats its servers as MetaMCP does, without a guard: what it needs, what it leaks,
//! and what it takes for a crash. The figures of the real one are beside each test.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::docker::Parent;
use guard_tests::docker::metamcp::{Layout, MetaMcp, Server, Setup};
use guard_tests::{Witness, witness::Counts};

use crate::scene::{OnStage, SOON, Stage};

/// An npx server: npm, its shell, the server.
const TREE: u64 = 3;
/// A boot takes about a second of CPU per server.
const BOOT: Duration = Duration::from_secs(90);
/// Longer than any answer of a server that runs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A gateway of this suite, with a witness from before its first process.
struct Stand {
    gateway: MetaMcp,
    witness: Witness,
    parent: Parent,
}

impl Stand {
    fn start(stage: &Stage, name: &str, setup: &Setup<'_>) -> Result<Self> {
        let parent = Parent::new(name)?;
        let witness = parent.witness()?;
        let gateway = MetaMcp::start(&stage.docker, &stage.image, &parent, name, setup)?;
        Ok(Self {
            gateway,
            witness,
            parent,
        })
    }

    /// Waits until so many processes live.
    fn lives(&self, what: &str, processes: u64) -> Result<Counts> {
        let mut counts = self.witness.counts()?;
        eventually(what, SOON, || {
            counts = self.witness.counts()?;
            Ok(counts.live == processes)
        })
        .with_context(|| format!("{processes} expected: {counts:?}"))?;
        Ok(counts)
    }
}

/// Boots, serves, and ends on SIGTERM or after its grace.
pub fn layouts() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    for layout in Layout::ALL {
        let what = format!("{layout:?}");
        let setup = Setup {
            layout,
            servers: Server::npx(1),
            ..Setup::default()
        };
        let stand = Stand::start(stage, "layout", &setup)?;
        stand.gateway.settled(BOOT)?.ensure_all_idle()?;
        let session = stand.gateway.open()?;
        let answer = stand.gateway.list(&session, PATIENCE);
        same(&what, answer.servers.as_slice(), &["memory".to_owned()])?;
        stand
            .gateway
            .settled(BOOT)
            .context(what.clone())?
            .ensure_no_error()?;
        let counts = stand.lives(&what, layout.processes() + 2 * TREE)?;
        let asked = Instant::now();
        stand.gateway.container.tell(&["stop"])?;
        println!(
            "{what}: {} processes, {} tasks, stopped in {:.1?}",
            counts.live,
            counts.tasks,
            asked.elapsed()
        );
    }
    Ok(())
}

/// The real one: 10 processes with three servers, 31 with ten, the gateway alone in its container.
pub fn boots() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    for number in [3, 10] {
        let setup = Setup {
            servers: Server::npx(number),
            ..Setup::default()
        };
        let stand = Stand::start(stage, "boots", &setup)?;
        let asked = Instant::now();
        let state = stand.gateway.settled(BOOT)?;
        state.ensure_all_idle()?;
        state.ensure_no_error()?;
        let own = setup.layout.processes();
        let counts = stand.lives("booted", own + TREE * number as u64)?;
        println!(
            "boot of {number}: {} processes, {} tasks, in {:.1?}",
            counts.live,
            counts.tasks,
            asked.elapsed()
        );
    }
    Ok(())
}

/// One idle instance is killed: the server is in ERROR, its active ones end, it is listed to nobody,
/// and never started again but by a reset.
pub fn one_crash() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let setup = Setup::default();
    let stand = Stand::start(stage, "crash", &setup)?;
    let gateway = &stand.gateway;
    gateway.settled(BOOT)?.ensure_all_idle()?;
    let sessions = [gateway.open()?, gateway.open()?];
    for session in &sessions {
        let answer = gateway.list(session, PATIENCE);
        same("served", answer.servers.len(), 3)?;
        gateway.settled(BOOT)?.ensure_all_idle()?;
    }
    let own = setup.layout.processes();
    let before = stand.lives("two sessions", own + 3 * 3 * TREE)?;

    let state = gateway.state()?;
    let victim = state.with_role("idle").find(|one| one.server == "memory");
    let pid = victim.context("no idle instance")?.pid.to_string();
    gateway.container.exec(&["kill", "-9", &pid])?;
    eventually("one server in ERROR", SOON, || {
        Ok(gateway.state()?.in_error() == ["memory"])
    })?;
    let after = stand.lives("all three of it are gone", own + 2 * 3 * TREE)?;
    same("and none came", after.spawns - before.spawns, 0)?;
    let state = gateway.state()?;
    let signals: Vec<_> = state
        .crashes
        .iter()
        .filter_map(|crash| crash.signal.as_deref())
        .collect();
    same("one crash counted", signals, vec!["SIGKILL"])?;
    let of = |session: &str| gateway.list(session, PATIENCE).servers.len();
    let [first, second] = sessions.each_ref().map(|session| of(session));
    same("listed by both", (first, second), (2, 2))?;
    same("listed by a new one", of(&gateway.open()?), 2)?;

    // Postgres keeps it: a restart is no way out.
    gateway.settled(BOOT)?;
    gateway.container.tell(&["restart", "-t", "2"])?;
    eventually("back", BOOT, || Ok(gateway.state().is_ok()))?;
    same("still", gateway.settled(BOOT)?.in_error(), vec!["memory"])?;
    gateway.reset()?;
    same("after a reset", of(&gateway.open()?), 3)
}

/// An instance whose input ends leaves by itself. Nobody looks at an idle one: it keeps its place
/// until a session takes it, and lists two of three. A session whose own one went does not get it
/// back. New sessions have all.
pub fn end_of_file() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let setup = Setup::default();
    let stand = Stand::start(stage, "eof", &setup)?;
    let gateway = &stand.gateway;
    let of = |session: &str| gateway.list(session, PATIENCE).servers.len();
    let end = |role: &str| -> Result<()> {
        let state = gateway.settled(BOOT)?;
        let all_live = stand.witness.counts()?.live;
        let mut of_role = state.with_role(role);
        let one = of_role.find(|process| process.server == "memory");
        gateway.end_input(one.context("no such instance")?)?;
        stand.lives("its tree has gone", all_live - TREE)?;
        gateway.state()?.ensure_no_error()
    };
    let first = gateway.open()?;
    gateway.settled(BOOT)?.ensure_all_idle()?;
    end("idle")?;
    gateway.state()?.ensure_all_idle()?;
    same("who takes the dead one", of(&first), 2)?;
    let second = gateway.open()?;
    gateway.settled(BOOT)?.ensure_all_idle()?;
    same("who comes next", of(&second), 3)?;
    end("active")?;
    same("whose own one went", of(&second), 2)?;
    same("for good", of(&second), 2)?;
    same("a new one", of(&gateway.open()?), 3)?;
    gateway.settled(BOOT)?.ensure_no_error()
}

/// With Docker's limit lowered under the tasks that run, each spawn is refused with EAGAIN: the list
/// comes at once without the refused servers, and the next one has them when there is room again.
pub fn refused() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let stand = Stand::start(stage, "refused", &Setup::default())?;
    let gateway = &stand.gateway;
    gateway.settled(BOOT)?.ensure_all_idle()?;
    let limit = |most: &str| gateway.container.tell(&["update", "--pids-limit", most]);
    limit("25")?;
    let [first, second] = [gateway.open()?, gateway.open()?];
    let answer = gateway.list(&first, PATIENCE);
    same("who took the idle ones", answer.servers.len(), 3)?;
    let answer = gateway.list(&second, PATIENCE);
    println!("all refused: {answer}");
    same("who found none", answer.servers.len(), 0)?;
    ensure!(answer.took < Duration::from_secs(1), "late: {answer}");
    let state = gateway.settled(BOOT)?;
    state.ensure_no_error()?;
    ensure!(
        state.refused.len() >= 6 && state.refused.iter().all(|one| one.errno == "EAGAIN"),
        "three replacements and three for the second session: {state:?}"
    );
    limit("-1")?;
    same("healed", gateway.list(&second, PATIENCE).servers.len(), 3)?;
    gateway.settled(BOOT)?.ensure_no_error()
}

/// What does not answer `initialize` in time is given up by SIGTERM, and that is no crash.
pub fn mute() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let mut servers = Server::node(1);
    servers.push(Server::new("mute", "sleep", &["600"]));
    let setup = Setup {
        servers,
        patience: Duration::from_secs(3),
        ..Setup::default()
    };
    let stand = Stand::start(stage, "mute", &setup)?;
    let gateway = &stand.gateway;
    gateway.settled(BOOT)?;
    let answer = gateway.list(&gateway.open()?, PATIENCE);
    same("listed", answer.servers.as_slice(), &["memory".to_owned()])?;
    ensure!(
        answer.took >= setup.patience,
        "answered before it gave up: {answer}"
    );
    let state = gateway.settled(BOOT)?;
    state.ensure_no_error()?;
    ensure!(state.timeouts.len() >= 2, "given up twice: {state:?}");
    let own = setup.layout.processes();
    stand.lives("no sleeper is left", own + 2).map(drop)
}

/// The real one: 1 + 9 × (sessions + 1) processes with three npx servers, 190 and 1,460 tasks after
/// twenty sessions. Here the layout's own processes stand for the 1.
pub fn leak() -> Result<()> {
    const SESSIONS: u32 = 20;
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    // Not its 60 s: on two CPUs twenty sessions, 1.5 s apart, have waited 60.1 s for theirs.
    let setup = Setup {
        patience: 2 * PATIENCE,
        ..Setup::default()
    };
    let stand = Stand::start(stage, "leak", &setup)?;
    stand.gateway.settled(BOOT)?.ensure_all_idle()?;
    let spacing = Duration::from_millis(1500);
    let mut report = stand.gateway.storm(SESSIONS, spacing, 2 * PATIENCE)?;
    stand.gateway.settled(BOOT)?.ensure_no_error()?;
    report.list_again(&stand.gateway, PATIENCE);
    println!("{report}");
    same("served", report.first_with(3), 20)?;
    same("served still", report.again_with(3), 20)?;
    same("health", report.health.failures.len(), 0)?;
    let processes = setup.layout.processes() + 3 * TREE * u64::from(SESSIONS + 1);
    let counts = stand.lives("a tree per server and session", processes)?;
    println!(
        "{SESSIONS} leaked sessions: {} processes, {} tasks, {} MB at most",
        counts.live,
        counts.tasks,
        stand.parent.memory_peak()? >> 20
    );
    for session in &report.sessions {
        stand
            .gateway
            .end(session.id.as_deref().unwrap_or_default())?;
    }
    let healed = setup.layout.processes() + 3 * TREE;
    stand.lives("all ended", healed).map(drop)
}

/// Docker's own limit, met by the boot of three servers: which of them are in ERROR then.
pub fn pids_limit() -> Result<()> {
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    for (layout, limit) in [(Layout::Direct, "25"), (Layout::Entrypoint, "61")] {
        let options = ["--pids-limit", limit];
        let setup = Setup {
            layout,
            patience: Duration::from_secs(10),
            options: &options,
            ..Setup::default()
        };
        let stand = Stand::start(stage, "pids", &setup)?;
        let state = stand.gateway.settled(BOOT)?;
        let report = stand.gateway.storm(3, Duration::from_secs(2), PATIENCE)?;
        let after = stand.gateway.settled(BOOT)?;
        ensure!(
            after.in_error().len() >= 2 && report.first_with(3) == 0,
            "what is it for, then? {report}; {after:?}"
        );
        println!(
            "pids_limit {limit}, {layout:?}: in ERROR after boot {:?}, after three sessions {:?}; {report}; {:?}; refused {:?}; timeouts {:?}; {:?}",
            state.in_error(),
            after.in_error(),
            after.crashes,
            after.refused,
            after.timeouts,
            stand.witness.counts()?
        );
    }
    Ok(())
}
