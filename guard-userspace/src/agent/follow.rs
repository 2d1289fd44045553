//! The one event loop.

use super::clock;
use super::guard::Guard;
use super::report::Running;
use super::signals::Signals;
use crate::api::logs::{self, Logs};
use crate::api::{Door, Orders, Snapshot, Snapshots, listen, router, serve};
use crate::kernel::reader::Reader;
use crate::sinks::log::Log;
use crate::targets::{Endpoint, Watch};
use std::path::Path;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// Kernel events taken in one turn: a storm does not starve the clock.
const BATCH: usize = 256;

/// All there is to follow.
pub struct Follow {
    /// What is known and held.
    pub guard: Guard,
    /// The kernel's events.
    pub reader: Reader,
    /// Where Docker is.
    pub endpoint: Endpoint,
    /// The operator.
    pub signals: Signals,
}

impl Follow {
    /// Follows it until it is told to end. Answers at `socket` meanwhile.
    pub async fn until_told(self, socket: &Path, log: &Log) {
        let Self {
            mut guard,
            mut reader,
            endpoint,
            mut signals,
        } = self;
        let mut running = Running {
            started_ms: clock::now().wall_ms,
            sensing: true,
            degraded: Vec::new(),
        };
        let (status, snapshots) = Snapshots::channel(guard.status(&running));
        let (orders, mut asked) = Orders::channel();
        serve_all(&guard, (&snapshots, &orders), socket, &mut running).await;
        guard.hands.know(&endpoint);
        let mut targets = Watch::spawn(guard.places.wanted(), endpoint, guard.v2_mount.clone());
        let mut proving = guard.proving();
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                read = reader.events.recv_many(&mut batch, BATCH), if running.sensing => {
                    let now = clock::now();
                    for event in batch.drain(..) {
                        guard.kernel_event(event, now);
                    }
                    running.sensing = read > 0;
                }
                Some(event) = targets.recv() => guard.target_event(event),
                turn = proving.turn() => guard.turn(turn, &mut proving),
                _ = ticks.tick() => {
                    guard.tick(reader.undecoded(), log.dropped());
                    publish(&guard, &running, &status);
                }
                Some(asked) = asked.recv() => {
                    guard.order(asked);
                    if guard.is_disarmed() {
                        break;
                    }
                }
                Some(ended) = guard.ends.recv() => guard.ended(ended),
                Some(news) = guard.news.recv() => guard.hear(news),
                () = snapshots.asked() => publish(&guard, &running, &status),
                end = signals.next() => if end { break },
            }
        }
        guard.end();
        // It is this agent's: another one would not have started beside it.
        let _ = std::fs::remove_file(socket);
    }
}

fn publish(guard: &Guard, running: &Running, status: &watch::Sender<Snapshot>) {
    status.send_replace(Snapshot::now(guard.status(running)));
}

/// Answers on TCP and on the Unix socket. Without either the gate works as well.
async fn serve_all(
    guard: &Guard,
    (snapshots, orders): (&Snapshots, &Orders),
    socket: &Path,
    running: &mut Running,
) {
    let mut failed = |error: listen::ListenError| {
        let error = error.to_string();
        tracing::error!("{error}");
        running.degraded.push(error);
    };
    let logs = Logs::of(&guard.config);
    let through =
        |door| router(snapshots.clone(), orders.clone(), door).merge(logs::routes(logs.clone()));
    let tcp = Door::Tcp {
        token_file: guard.config.http.token_file.clone(),
    };
    match listen::tcp(guard.config.http.listen).await {
        Ok(listener) => drop(tokio::spawn(serve::tcp(listener, through(tcp)))),
        Err(error) => failed(error),
    }
    match listen::unix(socket) {
        Ok(listener) => drop(tokio::spawn(serve::unix(listener, through(Door::Unix)))),
        Err(error) => failed(error),
    }
}
