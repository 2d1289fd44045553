//! What is one family and what is not.

use super::*;
use proptest::prelude::*;

/// Arguments are parted by `|` where one has a space, else by spaces.
fn check(argv: &str, expected: &str) {
    let by = if argv.contains('|') { '|' } else { ' ' };
    let words: Vec<&str> = argv.split(by).collect();
    assert_eq!(of(&words).as_deref(), Some(expected), "{argv}");
}

#[test]
fn an_npm_package_is_one_family_however_it_is_run() {
    for argv in [
        "npx mcp-x",
        "npx -y mcp-x@1.2.3",
        "npx --yes mcp-x@latest --port 3000",
        "npx --package mcp-x run-it",
        "npx --package=mcp-x@2 -- run-it",
        "npm exec --yes -- mcp-x /data",
        "npm exec mcp-x /data",
        "/usr/bin/env node /usr/local/bin/npx -y mcp-x",
        "node /usr/lib/node_modules/npm/bin/npx-cli.js -y mcp-x",
        "node /root/.npm/_npx/15b07286cbcc3329/node_modules/.bin/mcp-x",
        "node /srv/node_modules/mcp-x/dist/index.js",
        "/srv/node_modules/.bin/mcp-x --stdio",
        "sh|-c|npx -y mcp-x",
        "sh|-c|cd /srv && exec npx -y mcp-x",
        "pnpm dlx mcp-x",
        "yarn dlx mcp-x",
        "bunx mcp-x",
        "setsid npx mcp-x",
    ] {
        check(argv, "npx mcp-x");
    }
    // npm has written over its arguments: one, with spaces.
    assert_eq!(of(&["npm exec mcp-x"]).as_deref(), Some("npx mcp-x"));
    check("npx|-c|mcp-x --stdio", "mcp-x");
    check(
        "npx -y @modelcontextprotocol/server-memory@2026.8.31",
        "npx @modelcontextprotocol/server-memory",
    );
    check(
        "node /x/node_modules/@modelcontextprotocol/server-memory/dist/index.js",
        "npx @modelcontextprotocol/server-memory",
    );
    check("npx github:someone/mcp-x#v2", "npx mcp-x");
    check("npx git+https://example.com/a/mcp-x.git#main", "npx mcp-x");
    check("npx https://example.com/mcp-x-1.2.3.tgz", "npx mcp-x");
    check("npx --registry https://r.example mcp-x", "npx mcp-x");
    check("npx", "npx");
    check("npm start", "npm");
}

#[test]
fn a_python_package_is_one_family_however_it_is_run() {
    for argv in [
        "uvx mcp-y",
        "uvx mcp-y@1.2 --repository /x",
        "uvx mcp-y==1.2",
        "uvx --python 3.12 mcp-y[extra]>=1",
        "uvx --from mcp-y==1.2 some-command",
        "uvx --from git+https://example.com/a/mcp-y@main some-command",
        "uv tool run mcp-y",
        "uv run mcp-y",
        "uv run --directory /srv mcp-y",
        "pipx run mcp-y",
        "/root/.cache/uv/archive-v0/x1/bin/python /root/.cache/uv/archive-v0/x1/bin/mcp-y",
        "sh|-c|uvx mcp-y",
    ] {
        check(argv, "uvx mcp-y");
    }
    check(
        "python3.11 -m mcp_server_git --repository /x",
        "python mcp_server_git",
    );
    check("python3 /srv/weather/server.py", "python weather");
    check(
        "uv run --directory /srv/weather server.py",
        "python weather",
    );
    check("uv --directory /srv/notes run main.py", "python notes");
    check("uv --directory /srv/x run notes.py", "python notes");
    check("uv run server.py", "python server");
    check("uv sync", "uv");
    check("uv run python -m weather", "python weather");
}

#[test]
fn a_script_is_named_by_the_first_telling_part_of_its_path() {
    check(
        "node /srv/weather/dist/index.js --port 3000",
        "node weather",
    );
    check("node /srv/notes/dist/index.js --port 3000", "node notes");
    check("node /app/dist/index.js", "node index");
    check("node dist/memory.js", "node memory");
    check("node /tmp/mcp-7f3a9c21/server.js", "node mcp");
    check(
        "node /tmp/0b2f6c1e-5a3d-4c8e-9f10-2b3c4d5e6f70/index.js",
        "node index",
    );
    check("node /opt/weather-1.2.3/index.mjs", "node weather");
    check("npx tsx src/weather.ts", "tsx weather");
    check("npx -y tsx /srv/notes/src/index.ts", "tsx notes");
    check("bun run /srv/notes/index.ts", "bun notes");
    check("deno run -A /srv/notes/main.ts", "deno notes");
    check("java -jar /srv/notes-2.0.jar", "java notes");
    check("sh /srv/notes/start.sh", "sh notes");
}

#[test]
fn any_other_program_is_named_by_itself() {
    check("/usr/local/bin/mcp-server-go --port 8080", "mcp-server-go");
    check("/opt/x/server-1.4.2 -v", "server");
    check("git status", "git");
    check("node", "node");
    check("-bash", "bash");
    assert_eq!(of::<&str>(&[]), None);
}

#[test]
fn families_that_are_not_one() {
    let differ = |one: &str, other: &str| {
        let family = |argv: &str| of(&argv.split(' ').collect::<Vec<_>>());
        assert_ne!(family(one), family(other), "{one} and {other}");
    };
    differ("npx a", "npx b");
    differ("npx @x/server", "npx @y/server");
    differ("npx a", "uvx a");
    differ("node /srv/a/dist/index.js", "node /srv/b/dist/index.js");
    differ("npx mcp-server-1", "npx mcp-server-2");
}

#[test]
fn past_64_families_the_rest_share_one() {
    let mut families = Families::default();
    let ids: Vec<_> = (0..70).map(|n| families.id(&format!("npx x{n}"))).collect();
    assert_eq!(families.id("npx x3"), ids[3]);
    assert_eq!(families.name(ids[63]), "npx x63");
    assert!(ids[64..].iter().all(|&id| id == ids[64]));
    assert_eq!(families.name(ids[64]), OTHERS);
    families.keep(|id| id != ids[3]);
    assert_eq!(families.name(ids[3]), OTHERS);
    assert_eq!(families.id("npx new"), ids[3]);
    assert_eq!(families.id("npx newer"), ids[64]);
}

#[test]
fn the_least_of_the_patterns_holds() {
    let patterns: BTreeMap<String, u64> = [("npx *memory*", 5), ("server-memory", 3), ("uvx ?", 1)]
        .map(|(pattern, most)| (pattern.to_owned(), most))
        .into();
    let check = |family: &str, expected: Option<u64>| {
        assert_eq!(most_instances(&patterns, family), expected, "{family}");
    };
    check("npx @modelcontextprotocol/server-memory", Some(3));
    check("npx memory-x", Some(5));
    check("uvx a", Some(1));
    check("uvx ab", None);
}

proptest! {
    #[test]
    fn any_arguments_have_a_short_plain_name(
        argv in prop::collection::vec("[-a-z0-9@/=.:#|& é\u{1b}]{0,20}|npx|sh|-c|uvx|node|uv|run", 1..8),
    ) {
        let family = of(&argv).unwrap_or_default();
        prop_assert!(family.len() <= LONGEST);
        prop_assert!(family.bytes().all(|byte| (b' '..0x7f).contains(&byte)), "{family:?}");
    }
}
