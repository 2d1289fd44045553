//! One verdict for each input.

use super::gateways::Gateways;
use super::sentinel::Now;
use super::{
    excess, found, gate, leak, level, operator, pressure, reserve, roles, sentinel, start, tight,
    too_small, trend,
};
use crate::config::{Mode, TargetConfig};
use crate::model::{Decision, Stamp, TargetId, Tier, Verdict};
use crate::state::TargetState;

/// What to make of `target` at `now`.
#[must_use]
pub fn decide(
    target: TargetId,
    state: &TargetState,
    config: &TargetConfig,
    mode: Mode,
    now: Stamp,
) -> Verdict {
    let excess = excess::processes(state, config);
    let (measured, cause) = level::measure(state, config, excess, now);
    let clear_after = config.processes.as_ref().map(|levels| levels.clear_after);
    let level = level::hold(measured, state.reached(), clear_after, now);
    let pressed_ns = pressure::since(state, config, now);
    let tight = tight::cap(state, config, excess, pressed_ns);
    let mut gateways = Gateways::of(state.kin());
    let found = state
        .survey()
        .map(|survey| found::decide(survey, config, &mut gateways));
    let roles = roles::decide(state, config, &mut gateways);
    let actions = gate::decide(state, config, mode, now)
        .into_iter()
        .chain(found.unwrap_or_default())
        .chain(roles.actions)
        .chain(reserve::settle(state, config, now));
    let decision = |tier, dry_run, (reason, action)| Decision {
        target,
        tier,
        reason,
        action,
        dry_run,
    };
    let order = state.ends().order();
    let by_hand = order.into_iter().flat_map(|order| {
        let wanted = operator::decide(order, state, config, now).into_iter();
        wanted.map(|action| decision(Tier::Operator, order.dry_run, action))
    });
    let now_is = Now {
        measured,
        level,
        excess,
        pressed_ns,
        at: now,
    };
    let auto_cap = start::fixed(state, config, now);
    let said = [
        start::said(state, auto_cap),
        too_small::said(state, config, excess, now),
        trend::said(state, config),
    ];
    let said = said.into_iter().flatten();
    let tiers = sentinel::decide(state, config, &now_is).into_iter();
    let tiers = tiers.map(|(tier, reason, action)| decision(tier, false, (reason, action)));
    Verdict {
        at: now,
        measured,
        level,
        why: (level != state.level())
            .then(|| level::why(level, (measured, cause), state, config, now)),
        excess,
        count: config
            .processes
            .as_ref()
            .map_or(excess, |levels| level::count(state, excess, levels.count)),
        pressed_ns,
        tight,
        auto_cap,
        judged: roles.judged,
        beyond_gateways: gateways.beyond(),
        grows: trend::steady(state, config).is_some(),
        started: start::is_to_be_judged(state, now),
        said: said.chain(leak::said(state, config, now)).collect(),
        decisions: actions
            .map(|action| decision(Tier::Gate, false, action))
            .chain(by_hand)
            .chain(tiers)
            .collect(),
    }
}
