//! Secrets that show by themselves: tokens of known shape, and what stands before the @ of a URL.

use super::Found;
use regex::Regex;
use std::sync::LazyLock;

/// Prefixes that services give their tokens, so that they are found; private keys; URLs.
const SHAPES: &str = r"(?x)
    (?: gh[a-z]_ | github_pat_ | glpat- | npm_ | hf_ ) [A-Za-z0-9_-]{8,}
  | xox[a-z]- [A-Za-z0-9-]{6,}
  | (?: AKIA | ASIA ) [A-Z0-9]{8,}
  | AIza [A-Za-z0-9_-]{16,}
  | eyJ [A-Za-z0-9_-]{4,} (?: \.[A-Za-z0-9_-]* )+
  | (?: ^ | [^a-z] ) (?P<sk> sk[-_] [A-Za-z0-9_-]{8,} )
  | (?s: -----BEGIN[A-Z\ ]*PRIVATE\ KEY----- .*? (?: -----END[A-Z\ ]*PRIVATE\ KEY----- | $ ) )
  | :// (?P<url> [^\s]+ )
";

static SHAPE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(SHAPES).ok());

/// The next secret of known shape at or after `from`.
pub(super) fn next(text: &str, mut from: usize) -> Option<Found> {
    let shape = SHAPE.as_ref()?;
    loop {
        // Finding allocates nothing; taking apart what was found does.
        shape.find_at(text, from)?;
        let found = shape.captures_at(text, from)?;
        if let Some(sk) = found.name("sk") {
            return Some(Found {
                secret: sk.range(),
                next: sk.end(),
            });
        }
        let Some(url) = found.name("url") else {
            let whole = found.get(0)?.range();
            return Some(Found {
                next: whole.end,
                secret: whole,
            });
        };
        if let Some(length) = user_info(url.as_str()) {
            let end = url.start() + length;
            return Some(Found {
                secret: url.start()..end,
                next: end,
            });
        }
        // The address may still hold a token of known shape.
        from = url.start();
    }
}

/// Bytes of user info before the @, of what follows `://`. A password with a slash in it counts;
/// a port does not.
fn user_info(rest: &str) -> Option<usize> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let before_at = authority.split_once('@').map(|(user, _)| user);
    let user = before_at.unwrap_or(authority);
    match user.split_once(':') {
        // Up to the last @: a password may hold one.
        Some(_) if before_at.is_some() => rest.rfind('@'),
        Some((_, port)) if !port.bytes().all(|byte| byte.is_ascii_digit()) => rest.rfind('@'),
        _ => authority.rfind('@'),
    }
}
