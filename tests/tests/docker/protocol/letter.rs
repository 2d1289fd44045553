//! The operators' protocol to the letter, and what makes it over.

use anyhow::{Context, Result, ensure};
use guard_tests::check::{eventually, same};
use guard_tests::docker::metamcp::Setup;

use super::after::{After, Spine, criterion, validate};
use super::{Neighbour, Rules, at_level, booted, decided, leak, servers, serves};
use crate::metamcp::{BOOT, PATIENCE};
use crate::profile::until;
use crate::scene::{OnStage, SOON};

/// `strict` with scope "all": from critical on every server goes, the youngest and those that start too;
/// what is protected, the container's own and a neighbour stay. It is not over while the container's own
/// health check fails, and when that holds it is.
pub fn strict_and_all() -> Result<()> {
    const SERVERS: usize = 3;
    let mut stage = OnStage::enter()?;
    let stage = stage.get()?;
    let neighbour = Neighbour::start(stage)?;
    let rules = Rules {
        allowed: 1,
        levels: [4, 6, 40, 80],
        // Not for that: the count alone speaks against them.
        idle: "calm = \"1h\", pressure = \"1h\", lasting = \"1h\"",
        times: "clear_after = \"1s\"",
        keys: "protect = [\"server-memory\"]",
        processes: "strict = true",
        end: "grace = \"10s\"",
        more: "[target.tiers]\nnuclear_monitor = { on = true, scope = \"all\" }\n".to_owned(),
        ..Rules::default()
    };
    // It is ill from the beginning. The agent asks when it comes, and then each ten seconds.
    let options = [
        "--health-cmd",
        "test -e /tmp/well",
        "--health-interval",
        "1s",
        "--health-retries",
        "1",
    ];
    let setup = Setup {
        options: &options,
        ..servers(SERVERS)
    };
    let stand = booted(stage, &setup)?;
    let gateway = &stand.gateway;
    let guard = rules.guard(stage)?;
    let spine = Spine::of(&guard, &stand)?;
    until(&guard, "it is known to be ill", |target| {
        target["health"] == "unhealthy"
    })?;
    // Of the two that are not protected six too many.
    leak(gateway, 2, SERVERS)?;
    // The servers may end before this one is answered.
    let _cut_off = gateway.list(&gateway.open()?, PATIENCE);
    let own = setup.layout.processes();
    let mut live = 0;
    eventually("all but the protected are gone", SOON, || {
        live = stand.witness.counts()?.live;
        Ok(live == own + 4)
    })
    .with_context(|| format!("{live} live; {}", guard.agent.last_words()))?;
    let ends = decided(&guard, "end");
    ensure!(
        ends.len() == 8 && ends.iter().all(|line| line["evidence"] == "count"),
        "{ends:?}"
    );
    // It hears of the last one's end a moment later.
    let mut state = gateway.settled(BOOT)?;
    eventually("the gateway has the protected alone", SOON, || {
        state = gateway.settled(BOOT)?;
        let all = &state.processes;
        Ok(all.len() == 4 && all.iter().all(|one| one.server == "memory"))
    })
    .with_context(|| format!("{state:?}"))?;
    state.ensure_no_error()?;
    at_level(&guard, "normal")?;

    let (report, code) = validate(&guard, "3s")?;
    same("validate while it is ill", code, Some(1))?;
    let (stands, words) = criterion(&report, "health");
    ensure!(
        stands == "failed" && words.contains("unhealthy"),
        "{report}"
    );
    for name in ["processes", "memory", "growth", "monitoring"] {
        same(name, criterion(&report, name).0.as_str(), "holds")?;
    }
    let closed = guard.agent.events().into_iter();
    let closed = closed
        .filter(|line| line["event"] == "incident_closed")
        .count();
    same("closed while it is ill", closed, 0)?;
    gateway.container.exec(&["sh", "-c", ": > /tmp/well"])?;
    serves(gateway, SERVERS)?;
    After {
        guard: &guard,
        spine: Some(&spine),
        neighbour: Some(&neighbour),
        did: &["end"],
        calm: true,
    }
    .ensure()?;
    let (report, _) = validate(&guard, "0s")?;
    same("health", criterion(&report, "health").0.as_str(), "holds")?;
    guard.agent.stop_cleanly().map(drop)
}
