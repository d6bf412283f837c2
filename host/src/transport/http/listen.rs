//! Sockets: accepted, bounded, drained.

use super::HttpLimits;
use super::stall::StallGuard;
use crate::rt::{Drain, InFlight, Phase};
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};

/// Why no socket can be opened.
#[derive(Debug, thiserror::Error)]
#[error("the address {address} cannot be listened on")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// A socket that is listened on.
pub struct Listener {
    socket: TcpListener,
    limits: HttpLimits,
}

impl Listener {
    /// Listens on an address.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub async fn bind(address: SocketAddr, limits: HttpLimits) -> Result<Self, ListenError> {
        let socket = TcpListener::bind(address).await.map_err(|source| ListenError { address, source })?;
        Ok(Self { socket, limits })
    }

    /// Where it listens; the port is known now even if none was given.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// Serves connections until the host has drained; those that are open then finish what they are at.
    pub async fn serve(self, router: Router, drain: Drain) {
        let connections = Arc::new(InFlight::new(self.limits.max_connections));
        loop {
            let accepted = tokio::select! {
                // While the work goes on, whoever comes is told so: that it is not ready, and to try again later.
                () = drain.work_finished() => return,
                accepted = self.socket.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, most likely: the next ones come when others have closed.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Some(permit) = InFlight::enter(&connections) else {
                tracing::warn!(max = self.limits.max_connections, "a connection was turned away");
                continue;
            };
            let (router, owner, limits) = (router.clone(), drain.clone(), self.limits);
            drain.spawn(async move {
                connection(stream, router, owner, limits).await;
                drop(permit);
            });
        }
    }
}

/// How long a connection that is cut off may still write.
const LAST_MOMENT: std::time::Duration = std::time::Duration::from_millis(250);

/// Serves one connection: HTTP/1.1, or HTTP/2 with prior knowledge.
async fn connection(stream: TcpStream, router: Router, drain: Drain, limits: HttpLimits) {
    let _ = stream.set_nodelay(true);
    tokio::select! {
        () = drain.work_finished() => return,
        known = tokio::time::timeout(limits.header_timeout, version_is_known(&stream)) => {
            if known.is_err() {
                tracing::debug!("a connection said nothing in time");
                return;
            }
        }
    }
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.max_header_bytes.max(8192))
        .max_headers(limits.max_headers);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.header_timeout)
        .keep_alive_timeout(limits.write_timeout)
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX));
    let io = TokioIo::new(StallGuard::new(stream, limits.write_timeout));
    let service = TowerToHyperService::new(router);
    let connection = builder.serve_connection(io, service);
    tokio::pin!(connection);
    // A connection of before ends with what it is about; one that comes later is answered first.
    let is_late = drain.phase() == Phase::Draining;
    let ending = async {
        match is_late {
            true => drain.work_finished().await,
            false => drain.draining().await,
        }
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = ending => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                // What was said at the last moment may still be on its way out.
                () = async {
                    drain.cancellation().cancelled().await;
                    tokio::time::sleep(LAST_MOMENT).await;
                } => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, cause = error.source().map(tracing::field::display), "a connection ended");
    }
}

/// Waits until a connection has said enough to tell HTTP/1.1 from HTTP/2: the library that tells them apart waits for ever.
async fn version_is_known(stream: &TcpStream) {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    // Bytes that are peeked at stay there, so waiting for more of them is waiting for time to pass.
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(5);
    let mut bytes = [0; PREFACE.len()];
    loop {
        match stream.peek(&mut bytes).await {
            Ok(length) if length > 0 && length < PREFACE.len() && PREFACE.starts_with(&bytes[..length]) => {
                tokio::time::sleep(PAUSE).await;
            }
            // Known, ended or broken: whoever reads next sees which.
            _ => return,
        }
    }
}
