//! Serves connections within bounds: of their number, of a request's head, of time.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections at once, for each listener: one that is flooded leaves the other alone.
const CONNECTIONS: usize = 64;
/// Largest head of a request, in bytes. Bodies have a limit of their own (`act.rs`).
const HEAD_BYTES: usize = 16 << 10;
/// Longest time for a head to come, and for a kept connection to be silent.
const HEAD_TIME: Duration = Duration::from_secs(20);
/// Longest life of a connection: a client that does not read its answer is not waited for.
const CONNECTION_TIME: Duration = Duration::from_secs(300);
/// Pause after a failed accept (no descriptors left), which would else be tried at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves TCP connections for ever.
pub async fn tcp(listener: TcpListener, router: Router) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    while let Some(slot) = slot(&slots).await {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        begin(accepted, &router, slot).await;
    }
}

/// Serves connections to the Unix socket for ever.
pub async fn unix(listener: UnixListener, router: Router) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    while let Some(slot) = slot(&slots).await {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        begin(accepted, &router, slot).await;
    }
}

/// Waits until one more connection may be served. `None` would mean a closed semaphore.
async fn slot(slots: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(slots).acquire_owned().await.ok()
}

async fn begin<S>(accepted: io::Result<S>, router: &Router, slot: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match accepted {
        Ok(stream) => {
            let service = TowerToHyperService::new(router.clone());
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .max_buf_size(HEAD_BYTES)
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(async move {
                // How a client goes away is its own business.
                let _ = tokio::time::timeout(CONNECTION_TIME, connection).await;
                drop(slot);
            });
        }
        Err(err) => {
            tracing::debug!(%err, "cannot accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}
