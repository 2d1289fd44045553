//! Who may act: root, by the Unix socket, and who holds the token, over TCP.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Longest token, in bytes.
const TOKEN_BYTES: u64 = 4 << 10;

/// Where a request came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// By the Unix socket, which only root can open.
    Unix,
    /// Over TCP: actions need the token in this file.
    Tcp {
        /// The file, which may be made at any time.
        token_file: PathBuf,
    },
}

/// Why somebody may not act.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is no token.
    #[error(
        "no action over TCP: there is no token in {}; write one there that only root can read \
         (openssl rand -hex 32), or act on the host: sudo metamcp-guard retire|kill", .0.display()
    )]
    NoToken(PathBuf),
    /// The file cannot be read.
    #[error("no action over TCP: the token in {} cannot be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Another token came, or none.
    #[error(
        "actions over TCP need the header `Authorization: Bearer TOKEN` with the token of `token_file`"
    )]
    WrongToken,
}

impl AuthError {
    /// The answer's status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::NoToken(_) | Self::Unreadable { .. } => StatusCode::FORBIDDEN,
            Self::WrongToken => StatusCode::UNAUTHORIZED,
        }
    }
}

impl Door {
    /// Whether who came through it with these headers may act. The file is read each time: a token
    /// that was changed holds at once.
    ///
    /// # Errors
    /// Not.
    pub fn may_act(&self, headers: &HeaderMap) -> Result<(), AuthError> {
        let Self::Tcp { token_file } = self else {
            return Ok(());
        };
        let token = match read(token_file) {
            Ok(token) if token.is_empty() => return Err(AuthError::NoToken(token_file.clone())),
            Ok(token) => token,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(AuthError::NoToken(token_file.clone()));
            }
            Err(error) => {
                return Err(AuthError::Unreadable {
                    path: token_file.clone(),
                    why: error.to_string(),
                });
            }
        };
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let (first, second) = (given.next(), given.next());
        let given = first.filter(|_| second.is_none());
        let given = given.and_then(|value| bearer(value.as_bytes()));
        if given.is_some_and(|given| is_same(given, &token)) {
            Ok(())
        } else {
            Err(AuthError::WrongToken)
        }
    }
}

/// The token in a file, without the white space around it.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut text = Vec::new();
    file.by_ref().take(TOKEN_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > TOKEN_BYTES {
        return Err(io::Error::other("it is longer than 4 KiB"));
    }
    Ok(text.trim_ascii().to_vec())
}

/// What follows `Bearer `, in any case (RFC 6750, RFC 9110).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

/// In a time that does not tell where they differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differ = one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b));
    one.len() == other.len() && core::hint::black_box(differ) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        headers
    }

    /// Invariant 6.
    #[test]
    fn only_root_or_who_holds_the_token_can_act() {
        let path = std::env::temp_dir().join(format!("guard-token-{}", std::process::id()));
        let tcp = Door::Tcp {
            token_file: path.clone(),
        };
        assert_eq!(Door::Unix.may_act(&HeaderMap::new()), Ok(()));
        let none = tcp.may_act(&with("Bearer x")).unwrap_err();
        assert_eq!(none.status(), StatusCode::FORBIDDEN);
        assert!(none.to_string().contains("there is no token"), "{none}");
        std::fs::write(&path, "\n").unwrap();
        let empty = tcp.may_act(&with("Bearer ")).unwrap_err();
        assert_eq!(empty, AuthError::NoToken(path.clone()));
        std::fs::write(&path, "secret-4711\n").unwrap();
        for good in ["Bearer secret-4711", "bearer  secret-4711"] {
            assert_eq!(tcp.may_act(&with(good)), Ok(()), "{good}");
        }
        for bad in [
            "",
            "secret-4711",
            "Bearer",
            "Bearer ",
            "Bearer secret-471",
            "Basic secret-4711",
        ] {
            assert_eq!(tcp.may_act(&with(bad)), Err(AuthError::WrongToken), "{bad}");
        }
        let mut twice = with("Bearer secret-4711");
        twice.append(AUTHORIZATION, "Bearer x".parse().unwrap());
        assert_eq!(tcp.may_act(&twice), Err(AuthError::WrongToken));
        assert_eq!(tcp.may_act(&HeaderMap::new()), Err(AuthError::WrongToken));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let folder = tcp.may_act(&with("Bearer x")).unwrap_err();
        assert_eq!(folder.status(), StatusCode::FORBIDDEN);
        std::fs::remove_dir(&path).unwrap();
    }
}
