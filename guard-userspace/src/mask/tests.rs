//! What must go, what must stay, and that no text of any kind panics or changes twice.

use super::*;
use proptest::prelude::*;
use proptest::sample::select;

#[test]
fn secrets_go_and_the_rest_stays() {
    let check = |given: &str, expected: &str| assert_eq!(line(given), expected, "{given}");
    check(
        "npx -y @acme/server --token abc --verbose",
        "npx -y @acme/server --token *** --verbose",
    );
    check(
        "node server.js --api-key=abc x",
        "node server.js --api-key=*** x",
    );
    check(
        "env GITHUB_TOKEN=abc npx server",
        "env GITHUB_TOKEN=*** npx server",
    );
    check("run --auth --verbose", "run --auth --verbose");
    check("run --password -v", "run --password -v");
    check(
        "curl -H Authorization: Bearer abc http://x",
        "curl -H Authorization: Bearer *** http://x",
    );
    check(
        "curl -H \"X-Api-Key: abc\" http://x",
        "curl -H \"X-Api-Key: *** http://x",
    );
    check(
        "psql postgres://me:pw@db:5432/x",
        "psql postgres://***@db:5432/x",
    );
    check("psql postgres://me:p/w@db/x", "psql postgres://***@db/x");
    check(
        "git clone https://abc@host/x@v1",
        "git clone https://***@host/x@v1",
    );
    check(
        "get https://host/?access_token=abc&x=1",
        "get https://host/?access_token=***",
    );
    check(
        r#"x {"token": "a b", "n": 1}"#,
        r#"x {"token": "***", "n": 1}"#,
    );
    check(
        r#"x {\"token\":\"a b\",\"n\":1}"#,
        r#"x {\"token\":\"***\",\"n\":1}"#,
    );
    check("sh -c PASSWORD='a b' run", "sh -c PASSWORD='***' run");
    check("sh -c PASSWORD=\"a\"b run", "sh -c PASSWORD=*** run");
    check("x --password=\"a b", "x --password=***");
    check("x clientSecretValue: abc", "x clientSecretValue: ***");
    check("x ghp_0123456789abcdef y", "x *** y");
    check("x sk-ant-0123456789abcdef y", "x *** y");
    check("x xoxb-1234-abcd y", "x *** y");
    check("x AKIAIOSFODNN7EXAMPLE y", "x *** y");
    check("x eyJhbGciOi.eyJzdWIi.abc-_ y", "x *** y");
    check(
        "x -----BEGIN RSA PRIVATE KEY----- a b -----END RSA PRIVATE KEY----- y",
        "x *** y",
    );
}

#[test]
fn what_is_no_secret_is_not_even_copied() {
    for text in [
        "",
        "npm exec @modelcontextprotocol/server-memory",
        "node /app/node_modules/.bin/mcp-server-filesystem /data --keyboard us --author me",
        "sh -c mcp-server-everything",
        "node --max-old-space-size=512 http://localhost:3000/@scope/x@1.2",
        "task-runner --passive --monkeypatch",
        "пароль 🔑 --日本 語",
    ] {
        assert!(
            matches!(line(text), Cow::Borrowed(same) if same == text),
            "{text}"
        );
    }
}

#[test]
fn arguments_show_where_a_value_ends() {
    let check = |given: &[&str], expected: &str| assert_eq!(arguments(given), expected);
    check(&["x", "--password", "a b c", "d"], "x --password *** d");
    check(&["x", "--password=a b c", "d"], "x --password=*** d");
    check(&["x", "--password", "--verbose"], "x --password --verbose");
    check(
        &["sh", "-c", "API_KEY=abc npx server"],
        "sh -c API_KEY=*** npx server",
    );
    check(&["x", "ghp_0123456789", "y"], "x *** y");
}

/// A name that tells, written as people write them.
fn name() -> impl Strategy<Value = String> {
    let word = select(vec![
        "token",
        "key",
        "secret",
        "password",
        "passwd",
        "pwd",
        "auth",
        "credential",
        "apikey",
        "credentials",
        "access_token",
        "api-key",
        "private_key",
    ]);
    let before = select(vec!["", "MY_", "x-", "github_", "db."]);
    (before, word, any::<bool>()).prop_map(|(before, word, upper)| {
        let name = format!("{before}{word}");
        if upper { name.to_uppercase() } else { name }
    })
}

/// A command line with the secret somewhere in it, in a known shape.
fn with_secret(secret: &'static str) -> impl Strategy<Value = String> {
    let named = (name(), 0..9usize).prop_map(move |(name, shape)| match shape {
        0 => format!("--{name}={secret}"),
        1 => format!("--{name} {secret}"),
        2 => format!("-{name} {secret}"),
        3 => format!("{name}={secret}"),
        4 => format!("\"{name}\": \"{secret} {secret}\""),
        5 => format!("{name}: {secret}"),
        6 => format!("{name}='{secret} {secret}'"),
        7 => format!("https://host/path?a=b&{name}={secret}"),
        _ => format!("{{\\\"{name}\\\":\\\"{secret}\\\"}}"),
    });
    let other = (0..11usize).prop_map(move |shape| match shape {
        0 => format!("Authorization: Bearer {secret}"),
        1 => format!("authorization: basic {secret}"),
        2 => format!("bearer {secret}"),
        3 => format!("https://{secret}@host/x"),
        4 => format!("postgres://user:{secret}@host:5432/db"),
        5 => format!("postgres://user:{secret}/{secret}@host/db"),
        6 => format!("sk-{secret}"),
        7 => format!("ghp_{secret}"),
        8 => format!("xoxb-{secret}"),
        9 => format!("AKIA{secret}"),
        _ => format!("eyJ{secret}.eyJ{secret}.{secret}"),
    });
    prop_oneof![named, other]
}

/// Its shape is that of every token prefix: capital letters and digits.
const SECRET: &str = "Q7ZK2WX9PLM4VB8N";

proptest! {
    #[test]
    fn no_secret_of_known_shape_survives(
        before in "[a-z0-9 /._@🔑é-]{0,20}", secret in with_secret(SECRET),
        after in "[a-z0-9 /.,_@\"🔑é-]{0,20}",
    ) {
        let text = format!("{before} {secret} {after}");
        let masked = line(&text);
        prop_assert!(!masked.contains(SECRET), "{text} → {masked}");
        let words: Vec<&str> = text.split(' ').collect();
        prop_assert!(!arguments(&words).contains(SECRET), "{text}");
    }

    #[test]
    fn no_value_of_a_flag_survives_in_arguments(name in name(), value in "[^-].{0,30}") {
        let secret = format!("{value}{SECRET}");
        let together = format!("--{name}={secret}");
        let all = arguments(&["x", together.as_str(), &format!("--{name}"), &secret, "y"]);
        prop_assert_eq!(all, format!("x --{name}=*** --{name} *** y"));
    }

    #[test]
    fn masking_again_changes_nothing(
        parts in prop::collection::vec(prop_oneof![
            with_secret(SECRET), name(), ".{0,8}", "[-\"'=:\\\\ @/]{1,3}",
        ], 0..8),
    ) {
        let once = line(&parts.concat()).into_owned();
        prop_assert_eq!(line(&once), once.clone());
        let joined = arguments(&parts);
        prop_assert_eq!(line(&joined), joined.clone());
    }
}
