//! Orders about a target as a whole: frozen, limited, cut off, restarted, cleaned up.

use super::open::{Open, SoFar};
use super::{Desk, Reply};
use crate::agent::clock;
use crate::agent::guard::{Guard, named};
use crate::api::Unheard;
use crate::model::order::TreeResult;
use crate::model::whole::{Whole, WholeAnswer, WholeRequest};
use crate::model::{Deed, How, InputKind, Order, Ordered, TargetId};
use crate::policy;
use std::time::Duration;
use tokio::time::Instant;

/// Longest that a cleanup waits for what speaks against trees; then it goes by what was known.
const LOOK_PATIENCE: Duration = Duration::from_secs(5);

/// A cleanup that waits until it was looked what speaks against trees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looking {
    order: u64,
    target: TargetId,
    /// What was seen before, ns of CLOCK_BOOTTIME, is too old.
    since_ns: u64,
    until: Instant,
    dry_run: bool,
}

impl Guard {
    /// Has it done; its answer comes when its outcome does.
    pub(super) fn whole_by_hand(&mut self, request: &WholeRequest, reply: Reply) {
        let meant = self.whole_meant(request);
        let (target, what) = match meant {
            Ok(meant) => meant,
            Err(unheard) => {
                let _ = reply.send(Err(unheard));
                return;
            }
        };
        let cost = match &what {
            Ordered::Do(deed) => deed.cost(),
            _ => How::End.cost(),
        };
        let answer = WholeAnswer {
            action: request.action,
            target: named(self.places.get(target)).to_owned(),
            dry_run: request.dry_run,
            result: TreeResult::UnderWay,
            message: String::new(),
            cost: cost.to_owned(),
            steps: Vec::new(),
            trees: Vec::new(),
        };
        let looks = what == Ordered::Look;
        let so_far = if looks {
            SoFar::Look(answer)
        } else {
            SoFar::Whole(answer)
        };
        let order = self.desk.open_one(so_far, reply);
        let now = clock::now();
        if looks {
            self.desk.looking.push(Looking {
                order,
                target,
                since_ns: now.boot_ns,
                until: Instant::now() + LOOK_PATIENCE,
                dry_run: request.dry_run,
            });
            self.see_all_trees(target);
        }
        let order = Order {
            id: order,
            what,
            dry_run: request.dry_run,
        };
        self.step(now, target, InputKind::Operator(order));
        self.answer_orders();
    }

    fn whole_meant(&self, request: &WholeRequest) -> Result<(TargetId, Ordered), Unheard> {
        let target = match &request.target {
            Some(name) => self.target_of_name(name)?,
            None => self.only_target()?,
        };
        let Some(known) = self.engine.target(target) else {
            let words = format!("{} is not followed", named(self.places.get(target)));
            return Err(Unheard::NoSuch(words));
        };
        let (state, config) = (&known.state, &known.config);
        let stop_s = config.restart.stop_timeout.as_secs();
        let deed = match request.action {
            Whole::Cleanup => return Ok((target, Ordered::Look)),
            Whole::Freeze => Deed::Freeze,
            Whole::Thaw => Deed::Thaw,
            Whole::Isolate => Deed::Isolate,
            Whole::Rejoin => Deed::Rejoin,
            Whole::Restart => Deed::Restart { stop_s },
            Whole::Recreate => Deed::Recreate { stop_s },
            Whole::Enforce | Whole::Prevent => {
                let limits = policy::limits::of(state, config, clock::now());
                let limits = limits.ok_or_else(|| {
                    let name = named(self.places.get(target));
                    let words = format!(
                        "{name} has no [target.limits] in its configuration, so there is nothing to put \
                         in force: write them there (memory = \"4GiB\", cpus = 2.0, …), or give it \
                         profile = \"metamcp\", and start the agent again"
                    );
                    Unheard::Unclear(words)
                })?;
                Deed::Limit(limits)
            }
        };
        Ok((target, Ordered::Do(deed)))
    }

    /// Ends what has evidence against it where it was looked by now, and answers what is over.
    pub(in crate::agent::guard) fn answer_orders(&mut self) {
        let looking = std::mem::take(&mut self.desk.looking);
        for one in looking {
            let known = self.engine.target(one.target);
            let watched = known.map(|known| known.state.watched());
            let waits = watched.is_some_and(|watched| {
                let seen = watched.looked_ns().is_some_and(|at| at >= one.since_ns);
                !seen && watched.waits(clock::now().boot_ns)
            });
            if waits && Instant::now() < one.until {
                self.desk.looking.push(one);
                continue;
            }
            self.desk.looked(one.order);
            self.see_all_trees(one.target);
            let order = Order {
                id: one.order,
                what: Ordered::Cleanup,
                dry_run: one.dry_run,
            };
            self.step(clock::now(), one.target, InputKind::Operator(order));
        }
        self.desk.answer();
    }

    fn see_all_trees(&mut self, target: TargetId) {
        let trees = self.kernel.tables.trees().remove(&target.0);
        self.see_trees(clock::now(), target, trees.unwrap_or_default());
    }
}

impl Desk {
    /// It was looked: what ends from now on is the order's.
    fn looked(&mut self, order: u64) {
        if let Some(Open { so_far, .. }) = self.open.get_mut(&order)
            && let SoFar::Look(answer) = so_far
        {
            *so_far = SoFar::Cleanup(answer.clone());
        }
    }
}
