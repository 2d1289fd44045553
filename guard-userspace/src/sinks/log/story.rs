//! What is said of caps, growth and incidents.

use crate::model::FactKind;
use tracing::{info, warn};

/// Says one of them about `target`; of any other fact nothing.
pub fn publish(event: &str, target: &str, kind: &FactKind) {
    match kind {
        FactKind::AutoCap {
            cap,
            limit_bytes,
            per_process_bytes,
        } => {
            let mb = per_process_bytes / 1_000_000;
            let sum = limit_bytes.map_or_else(
                || "the most, since its memory has no limit".to_owned(),
                |limit| {
                    let limit = limit / 1_000_000;
                    format!(
                        "80 % of {limit} MB by {mb} MB per process, at least 100 and at most 400"
                    )
                },
            );
            info!(
                event,
                target,
                cap,
                limit_bytes,
                per_process_bytes,
                "max_processes of {target} is {cap} from now on: {sum}"
            );
        }
        FactKind::CapTooSmall {
            cap,
            healthy,
            enough,
        } => warn!(
            event,
            target,
            cap,
            healthy,
            enough,
            "max_processes = {cap} is too small for {target}: what is healthy takes {healthy} slots; with \
             {enough} one more tree of each family finds room"
        ),
        FactKind::Trend {
            count,
            grown,
            seconds,
            doubling_s,
            to_cap_s,
        } => warn!(
            event,
            target,
            count,
            grown,
            seconds,
            doubling_s,
            to_cap_s,
            "{target} grows and never falls: {grown} processes more within {seconds} s"
        ),
        FactKind::Leak {
            family,
            command,
            trees,
            per_day,
            since_ms,
            max_instances,
        } => warn!(
            event,
            target,
            family,
            command,
            trees,
            per_day,
            since_ms,
            "{target} leaks {family}: {trees} trees, {per_day} more in a day, and none ends (`{command}`). \
             What to do: end idle ones (`metamcp-guard retire`), or bound it by \
             max_instances = {{ \"{family}\" = {max_instances} }}"
        ),
        FactKind::IncidentOpened {
            id,
            why,
            escalation,
        } => warn!(
            event,
            target, id, why, escalation, "incident {id} of {target} begins: {why}"
        ),
        FactKind::Escalation {
            id,
            escalation,
            why,
        } => warn!(
            event,
            target,
            id,
            escalation,
            why,
            "incident {id} of {target} is at level {escalation}: {why}"
        ),
        FactKind::IncidentClosed {
            id,
            seconds,
            peak_live,
            peak_memory,
            how,
            killed,
            retired,
            restarts,
        } => info!(
            event,
            target,
            id,
            seconds,
            peak_live,
            peak_memory,
            how,
            killed,
            retired,
            restarts,
            "incident {id} of {target} is over after {seconds} s: {how}"
        ),
        _ => {}
    }
}
