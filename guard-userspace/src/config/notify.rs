//! Who is told: each kind with the keys it needs, and no others.

use super::checked::Notify;
use super::error::Problem;
use super::overlay::Overlay;
use super::raw;
use toml::Spanned;

/// Keys per kind.
const KINDS: [(&str, &[&str]); 5] = [
    ("webhook", &["url"]),
    ("slack", &["url"]),
    ("email", &["smtp", "from", "to"]),
    ("alertmanager", &["url"]),
    ("command", &["run"]),
];

/// Takes all of them.
pub(super) fn all(on: &mut Overlay<'_>, given: Vec<Spanned<raw::Notify>>) -> Vec<Notify> {
    given
        .into_iter()
        .filter_map(|one| notify(on, one))
        .collect()
}

fn notify(on: &mut Overlay<'_>, given: Spanned<raw::Notify>) -> Option<Notify> {
    let place = given.span();
    let given = given.into_inner();
    let kind = given.kind.get_ref().as_str();
    let Some((_, needed)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        let cause = format!("\"{kind}\" is no kind of notice");
        let fix = "write webhook, slack, email, alertmanager or command";
        on.refuse(Problem::new(cause, fix), given.kind.span());
        return None;
    };
    let present = [
        ("url", given.url.as_ref().map(Spanned::span)),
        ("smtp", given.smtp.as_ref().map(Spanned::span)),
        ("from", given.from.as_ref().map(Spanned::span)),
        ("to", given.to.as_ref().map(Spanned::span)),
        ("run", given.run.as_ref().map(Spanned::span)),
    ];
    let list = needed.join("`, `");
    for (key, at) in present {
        let fix = format!("kind \"{kind}\" needs `{list}` and nothing else");
        match at {
            Some(at) if !needed.contains(&key) => {
                on.refuse(
                    Problem::new(format!("`{key}` is not of kind \"{kind}\""), fix),
                    at,
                );
            }
            None if needed.contains(&key) => {
                on.refuse(
                    Problem::new(format!("`{key}` is missing"), fix),
                    place.clone(),
                );
            }
            _ => {}
        }
    }
    let listed = |list: raw::At<Vec<String>>| list.map(Spanned::into_inner).unwrap_or_default();
    let text = |text: raw::At<String>| text.map(Spanned::into_inner);
    let made = match kind {
        "webhook" => Notify::Webhook {
            url: url(on, given.url)?,
        },
        "slack" => Notify::Slack {
            url: url(on, given.url)?,
        },
        "alertmanager" => Notify::Alertmanager {
            url: url(on, given.url)?,
        },
        "email" => Notify::Email {
            smtp: text(given.smtp)?,
            from: text(given.from)?,
            to: listed(given.to),
        },
        _ => Notify::Command {
            run: listed(given.run),
        },
    };
    if let Notify::Email { to: list, .. } | Notify::Command { run: list } = &made
        && list.first().is_none_or(String::is_empty)
    {
        on.refuse(
            Problem::new("this notice has an empty list", "write one entry at least"),
            place,
        );
    }
    Some(made)
}

fn url(on: &mut Overlay<'_>, given: raw::At<String>) -> Option<String> {
    let given = given?;
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| given.get_ref().strip_prefix(scheme));
    if rest.is_none_or(str::is_empty) || given.get_ref().contains(char::is_whitespace) {
        // The text itself is not shown: it may hold a secret.
        let fix = "write the whole address, from http:// or https:// on";
        on.refuse(
            Problem::new("`url` is no address of the web", fix),
            given.span(),
        );
        return None;
    }
    Some(given.into_inner())
}
