//! Where the agent listens. Neither failure stops gate or sensing.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, UnixListener};

/// Why nothing listens at a place.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// TCP.
    #[error(
        "cannot listen on {address}: {source}; set `listen` under [http] in the configuration to \
         an address of this host and a port that is free (ss -ltnp shows who has it)"
    )]
    Tcp {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The Unix socket.
    #[error(
        "cannot make the socket {}: {source}; `metamcp-guard status` will find no agent: name one \
         with --socket whose directory is there, writable and not too long", path.display()
    )]
    Unix {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something else is in the socket's place.
    #[error(
        "{} exists and is no socket; move it away, or name another place with --socket",
        .0.display()
    )]
    InTheWay(PathBuf),
}

/// Listens on TCP.
///
/// # Errors
/// The address is taken or not of this host.
pub async fn tcp(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| ListenError::Tcp { address, source })
}

/// Listens on a Unix socket that only root can use. The caller holds the agent's lock: a socket
/// that is there already is a dead agent's.
///
/// # Errors
/// Something that is no socket is in its place, or the directory cannot be written.
pub fn unix(path: &Path) -> Result<UnixListener, ListenError> {
    let failed = |source| ListenError::Unix {
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Ok(meta) if !meta.file_type().is_socket() => {
            return Err(ListenError::InTheWay(path.to_owned()));
        }
        Err(err) if err.kind() != ErrorKind::NotFound => return Err(failed(err)),
        _ => {}
    }
    // Made under another name, so that it is never seen with wider permissions.
    let draft = path.with_extension("sock.new");
    match fs::remove_file(&draft) {
        Err(err) if err.kind() != ErrorKind::NotFound => return Err(failed(err)),
        _ => {}
    }
    let listener = UnixListener::bind(&draft).map_err(failed)?;
    fs::set_permissions(&draft, Permissions::from_mode(0o600)).map_err(failed)?;
    fs::rename(&draft, path).map_err(failed)?;
    Ok(listener)
}
