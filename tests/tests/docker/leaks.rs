//! More leaked sessions than the cap has room for, over the gateway that treats its servers as MetaMCP
//! does: here, and in a machine of another kernel.

use std::env;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use guard_tests::check::same;
use guard_tests::docker::machine;
use guard_tests::docker::metamcp::{Layout, Report, Server, Setup, State};

use crate::metamcp::{BOOT, PATIENCE, Stand, TREE};
use crate::profile::{RESERVE, SLOTS, guard_with};
use crate::scene::{Guard, OnStage};
use crate::table;

/// Sessions that nobody ends, and the room that they have.
struct Leak {
    layout: Layout,
    servers: Vec<Server>,
    /// Processes of a server.
    tree: u64,
    /// Trees that have room at once, those of the pool too.
    room: u64,
    sessions: u32,
    /// From one session to the next.
    spacing: Duration,
    /// Longest that a server may take to begin, and a client waits.
    patience: Duration,
}

/// Three npx servers, twenty sessions: the pool's three trees and three sessions' nine have room.
pub fn storm() -> Result<()> {
    let leak = Leak {
        layout: Layout::Entrypoint,
        servers: Server::npx(3),
        tree: TREE,
        room: 12,
        sessions: 20,
        spacing: Duration::from_millis(1500),
        patience: PATIENCE,
    };
    leak.run()
}

/// In a machine a server takes seconds to begin: two by node alone, six sessions at once; the pool's
/// two and one session's two have room.
pub fn in_machine() -> Result<()> {
    let leak = Leak {
        layout: Layout::Init,
        servers: Server::node(machine::NUMBER),
        tree: 1,
        room: 4,
        sessions: 6,
        spacing: Duration::ZERO,
        patience: 2 * PATIENCE,
    };
    leak.run()
}

impl Leak {
    /// No server in ERROR, no process killed, clients answered without the refused servers, and with
    /// them at their next list once there is room.
    fn run(self) -> Result<()> {
        let mut stage = OnStage::enter()?;
        let stage = stage.get()?;
        let own = self.layout.processes();
        let all = self.servers.len();
        let cap = RESERVE + own + self.room * SLOTS;
        let mut gate = format!("max_processes = {cap}");
        if let Ok(mode) = env::var("GUARD_EXPECT_MODE") {
            // A machine without bpf in lsm= has fmod_ret too, and is to show deny.
            gate.push_str(&format!("\nmodes = [\"{mode}\", \"kill\"]"));
        }
        let guard = guard_with(stage, &gate)?;
        let setup = Setup {
            layout: self.layout,
            servers: self.servers,
            patience: self.patience,
            ..Setup::default()
        };
        let stand = Stand::start(stage, "metamcp", &setup)?;
        stand.gateway.settled(BOOT)?.ensure_all_idle()?;
        let gateway = &stand.gateway;
        let mut report = gateway.storm(self.sessions, self.spacing, self.patience)?;
        let state = gateway.settled(BOOT)?;
        well(&guard, &state)?;
        same("clients without an answer", report.errors().len(), 0)?;
        same("health", report.health.failures.len(), 0)?;
        refused(&guard, &state, &report)?;
        let counts = stand.witness.counts()?;
        ensure!(counts.running_peak <= cap, "over {cap}: {counts:?}");
        same("no half tree", (counts.live - own) % self.tree, 0)?;
        let pipeline = ["sh", "-c", "echo one two | cat | cat"];
        let said = gateway.container.exec(&pipeline)?;
        same("docker exec at the cap", said.as_str(), "one two")?;
        // Answers that no new server had a part in.
        let firsts = report.sessions.iter().map(|one| &one.first);
        let without = firsts.filter(|first| first.servers.len() < all);
        let slowest = without.map(|first| first.took).max();
        let slowest = slowest.unwrap_or_default();

        // Room is made: the sessions that were served end.
        let served = report.sessions.iter();
        let served = served.filter(|one| one.first.servers.len() == all);
        let served: Vec<_> = served.filter_map(|one| one.id.clone()).collect();
        for session in &served {
            gateway.end(session)?;
        }
        well(&guard, &gateway.settled(BOOT)?)?;
        report.list_again(gateway, self.patience);
        let healed = report.again_with(all);
        table::note(format!(
            "{} leaked sessions of {all} servers under a cap of {cap}: {} at most, {} spawns refused, {} sessions served at once, slowest answer without a server {slowest:.1?}, {healed} served at their next list; {report}",
            self.sessions,
            counts.running_peak,
            state.refused.len(),
            served.len(),
        ));
        ensure!(healed > 0, "nobody was served later: {report}");
        let after = gateway.settled(BOOT)?;
        well(&guard, &after)?;
        let before: Vec<_> = state.processes.iter().map(|one| one.pid).collect();
        let came = after.processes.iter().any(|one| !before.contains(&one.pid));
        ensure!(came, "there was room, and no server came: {after:?}");
        nobody_killed(&guard)?;
        guard.agent.stop_cleanly().map(drop)
    }
}

/// No server is in ERROR. Where one is, who killed it is in what the guard counted and said.
fn well(guard: &Guard, state: &State) -> Result<()> {
    state.ensure_no_error().with_context(|| {
        let target = guard.target().unwrap_or_default();
        format!("{target}; {}", guard.agent.last_words())
    })
}

/// Spawns were refused, in the mode and with the errno that this machine is to have.
fn refused(guard: &Guard, state: &State, report: &Report) -> Result<()> {
    ensure!(!state.refused.is_empty(), "never at the cap: {report}");
    let status = guard.status()?;
    let gate = &status["gate"];
    ensure!(gate["proved"] == true, "{gate}");
    if let Ok(mode) = env::var("GUARD_EXPECT_MODE") {
        ensure!(gate["mode"] == mode, "not {mode}: {gate}");
        ensure!(status["targets"][0]["mode"] == mode, "not {mode}: {status}");
    }
    if let Ok(errno) = env::var("GUARD_EXPECT_ERRNO") {
        ensure!(gate["errno"] == errno, "not {errno}: {gate}");
    }
    // Refused before it was born, or condemned and not let execute.
    let condemned = &status["targets"][0]["counts"]["condemned"];
    let born = gate["mode"] != "lsm";
    ensure!((*condemned != 0) == born, "condemned: {condemned}; {gate}");
    let other = state.refused.iter().find(|one| gate["errno"] != one.errno);
    ensure!(other.is_none(), "{other:?}: {gate}");
    nobody_killed(guard)
}

fn nobody_killed(guard: &Guard) -> Result<()> {
    let target = guard.target()?;
    let counts = &target["counts"];
    ensure!(counts["killed"] == 0 && counts["denied"] != 0, "{counts}");
    Ok(())
}
