//! What the gateway takes for a crash, and what it does not: the figures are the real MetaMCP's.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::docker::metamcp::{Server, Setup};

use crate::metamcp::{BOOT, PATIENCE, Stand, TREE};
use crate::scene::{OnStage, SOON};
use crate::table;

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
    let setup = Setup {
        servers: Server::node(3),
        ..Setup::default()
    };
    let stand = Stand::start(stage, "refused", &setup)?;
    let gateway = &stand.gateway;
    gateway.settled(BOOT)?.ensure_all_idle()?;
    let limit = |most: &str| gateway.container.tell(&["update", "--pids-limit", most]);
    limit("25")?;
    let [first, second] = [gateway.open()?, gateway.open()?];
    let answer = gateway.list(&first, PATIENCE);
    same("who took the idle ones", answer.servers.len(), 3)?;
    let answer = gateway.list(&second, PATIENCE);
    table::note(format!("all refused: {answer}"));
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
