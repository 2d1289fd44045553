//! Connections to Docker that can take no more from it than they should: one per request, with a
//! budget of bytes, so that a daemon that talks nonsense without end costs a reconnection and not
//! the machine's memory.

use super::Endpoint;
use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;

/// Bytes that may still be read from Docker; whoever understood what was read fills it again.
#[derive(Clone, Debug)]
pub struct Budget {
    left: Arc<AtomicU64>,
    overspent: Arc<AtomicBool>,
    answered: Arc<Notify>,
    full: u64,
}

impl Budget {
    /// A full budget.
    #[must_use]
    pub fn new(full: u64) -> Self {
        Self {
            left: Arc::new(AtomicU64::new(full)),
            overspent: Arc::default(),
            answered: Arc::default(),
            full,
        }
    }

    /// What was read made sense: as much again may follow.
    pub fn refill(&self) {
        self.left.store(self.full, Ordering::Relaxed);
    }

    /// Waits for the head of a reply that says 200; the body may still be nonsense.
    pub async fn answered(&self) {
        self.answered.notified().await;
    }

    /// An error and its causes, in one line. bollard keeps no cause of an error in a stream, so a
    /// budget that was overspent says so itself.
    #[must_use]
    pub fn explain(&self, error: &Error) -> String {
        if self.overspent.load(Ordering::Relaxed) {
            format!(
                "Docker sent more than {} KiB that make no sense",
                self.full >> 10
            )
        } else {
            in_words(error)
        }
    }

    fn spend(&self, bytes: usize) -> io::Result<()> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let take = |left: u64| left.checked_sub(bytes);
        match self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
        {
            Ok(_) => Ok(()),
            Err(_) => {
                self.overspent.store(true, Ordering::Relaxed);
                Err(io::Error::other("too much"))
            }
        }
    }
}

/// A client whose every request has a connection of its own, reading no more than `budget`.
///
/// `within`: the longest time until the head of a reply.
///
/// # Errors
/// None in practice: nothing is connected before the first request.
pub fn client(endpoint: &Endpoint, budget: &Budget, within: Duration) -> Result<Docker, Error> {
    let (endpoint, budget) = (endpoint.clone(), budget.clone());
    let send = move |request: BollardRequest| {
        let (endpoint, budget) = (endpoint.clone(), budget.clone());
        async move {
            let answered = Arc::clone(&budget.answered);
            let reply = tokio::time::timeout(within, request_once(&endpoint, budget, request))
                .await
                .unwrap_or(Err(Error::RequestTimeoutError))?;
            if reply.status() == StatusCode::OK {
                answered.notify_one();
            }
            Ok(reply)
        }
    };
    // bollard sends no version in its paths, so the daemon answers in its own: nothing to negotiate.
    Docker::connect_with_custom_transport(
        send,
        Some("http://docker"),
        within.as_secs().max(1),
        API_DEFAULT_VERSION,
    )
}

async fn request_once(
    endpoint: &Endpoint,
    budget: Budget,
    request: BollardRequest,
) -> Result<hyper::Response<Incoming>, Error> {
    match endpoint {
        Endpoint::Unix(path) => exchange(UnixStream::connect(path).await?, budget, request).await,
        Endpoint::Tcp(address) => {
            exchange(TcpStream::connect(address).await?, budget, request).await
        }
    }
}

async fn exchange<S>(
    stream: S,
    budget: Budget,
    mut request: BollardRequest,
) -> Result<hyper::Response<Incoming>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    request
        .headers_mut()
        .insert(HOST, HeaderValue::from_static("docker"));
    // On a connection of our own the request line carries the path alone.
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .parse();
    *request.uri_mut() = path.map_err(|error| Error::HttpClientError {
        err: hyper::http::Error::from(error),
    })?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(Budgeted { stream, budget })).await?;
    // Ends with the reply's body; what it has to say of errors, the body says too.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender.send_request(request).await?)
}

/// A connection that reads no more than its budget.
struct Budgeted<S> {
    stream: S,
    budget: Budget,
}

impl<S: AsyncRead + Unpin> AsyncRead for Budgeted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {
                Poll::Ready(self.budget.spend(buf.filled().len().saturating_sub(before)))
            }
            other => other,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Budgeted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn in_words(error: &Error) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        cause = error.source();
    }
    // A daemon's message may be anything.
    let line: String = words
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(300)
        .collect();
    line.trim_end().to_owned()
}
