//! What a process is, by the program it executes: wrapper, gateway, server.
//!
//! Asked only of the spine, of roots, and in a cgroup target of what enters; only with the
//! arguments of the kernel's exec record, since a process can write anything over its own later.

use super::program::Program;
use super::shell;
use crate::config::checked::Pattern;
use guard_common::tree::Role;

/// Most gateways of one target that live at a time: past that a process stays what it was, which is
/// said once. Not of all time: what an entrypoint runs before its gateway (`mkdir`, `psql`) is one too while it lives.
pub const MAX_GATEWAYS: usize = 16;

/// What a process of the spine is once it has executed this: a wrapper where `wrappers` say so,
/// else a gateway. `None`: the arguments could not be read, and it stays what it was.
#[must_use]
pub fn of_spine<S: AsRef<str>>(argv: &[S], wrappers: &[String]) -> Option<Role> {
    let program = Program::of(argv)?;
    Some(if program.is_one_of(wrappers) {
        Role::Wrapper
    } else {
        Role::Gateway
    })
}

/// Whether `protect` means this command line: such a root is a gateway.
#[must_use]
pub fn is_protected<S: AsRef<str>>(argv: &[S], protect: &[Pattern]) -> bool {
    if protect.is_empty() {
        return false;
    }
    let words: Vec<&str> = argv.iter().map(AsRef::as_ref).collect();
    let line = words.join(" ");
    protect.iter().any(|pattern| pattern.is_match(&line))
}

/// Whether it is a server, or a shell, `env` or `setsid` that starts one.
///
/// An interpreter counts by its own name and by its script's: `node` means `node x.js` too.
#[must_use]
pub fn is_server<S: AsRef<str>>(argv: &[S], servers: &[String]) -> bool {
    let words: Vec<&str> = argv.iter().map(AsRef::as_ref).collect();
    let is_one = |words: &[&str]| {
        let as_named = Program::as_named(words);
        let resolved = Program::of(words);
        [as_named, resolved]
            .iter()
            .flatten()
            .any(|program| program.is_one_of(servers))
    };
    is_one(&words) || shell::started(&words).iter().any(|words| is_one(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Profile, TargetConfig, TargetSource};

    fn metamcp() -> TargetConfig {
        let source = TargetSource::Container("metamcp".to_owned());
        TargetConfig::of(source, Profile::Metamcp)
    }

    /// Arguments are parted by `|` where one has a space, else by spaces.
    fn words(line: &str) -> Vec<&str> {
        let by = if line.contains('|') { '|' } else { ' ' };
        line.split(by).collect()
    }

    /// What each process of a layout is after each of its execs.
    fn layout(name: &str, execs: &[(&str, Role)]) {
        for (argv, expected) in execs {
            let found = of_spine(&words(argv), &metamcp().gate.wrappers);
            assert_eq!(found, Some(*expected), "{name}: {argv}");
        }
    }

    use Role::{Gateway, Wrapper};

    #[test]
    fn metamcps_own_container_has_two_gateways() {
        let execs = [
            ("runc init", Wrapper),
            ("/bin/sh|./docker-entrypoint.sh", Wrapper),
            ("node dist/index.js", Gateway),
            ("/usr/bin/env node /usr/local/bin/pnpm start", Wrapper),
            ("node /usr/local/bin/pnpm start", Wrapper),
            ("sh|-c|next start -p 12008", Wrapper),
            ("node /app/node_modules/.bin/next start -p 12008", Gateway),
        ];
        layout("sh entrypoint", &execs);
    }

    #[test]
    fn an_init_of_dockers_is_a_wrapper() {
        let execs = [
            ("/sbin/docker-init -- node dist/index.js", Wrapper),
            ("node dist/index.js", Gateway),
        ];
        layout("docker run --init", &execs);
        let execs = [
            ("/usr/bin/tini -- supergateway --stdio x", Wrapper),
            ("/usr/bin/dumb-init node x.js", Wrapper),
            ("/usr/bin/catatonit -- x", Wrapper),
            (
                "/usr/bin/env node /usr/local/bin/supergateway --stdio x",
                Gateway,
            ),
        ];
        layout("other inits", &execs);
    }

    #[test]
    fn npm_start_is_a_wrapper() {
        let execs = [
            ("/usr/bin/env node /usr/local/bin/npm start", Wrapper),
            ("node /usr/local/bin/npm start", Wrapper),
            ("sh|-c|node dist/index.js", Wrapper),
            ("node dist/index.js", Gateway),
        ];
        layout("npm start", &execs);
        let execs = [
            ("npx -y supergateway --stdio x", Wrapper),
            (
                "node /usr/lib/node_modules/npm/bin/npx-cli.js -y supergateway",
                Wrapper,
            ),
            ("npm exec supergateway", Wrapper),
            (
                "node /root/.npm/_npx/1f/node_modules/.bin/supergateway --stdio x",
                Gateway,
            ),
        ];
        layout("npx gateway", &execs);
    }

    #[test]
    fn supervisors_are_wrappers() {
        let execs = [
            (
                "/usr/bin/python3 /usr/bin/supervisord -n -c /etc/supervisord.conf",
                Wrapper,
            ),
            (
                "/package/admin/s6/command/s6-svscan -d4 -- /run/service",
                Wrapper,
            ),
            ("s6-supervise gateway", Wrapper),
            ("s6-setuidgid node node dist/index.js", Wrapper),
            ("runsvdir -P /etc/service", Wrapper),
            ("runsv gateway", Wrapper),
            ("gosu node node dist/index.js", Wrapper),
            ("su-exec node node x.js", Wrapper),
            ("setpriv --reuid=1 node x.js", Wrapper),
            ("node dist/index.js", Gateway),
        ];
        layout("s6, supervisord, runit", &execs);
    }

    #[test]
    fn a_gateway_can_be_the_init() {
        layout("node as PID 1", &[("node /app/dist/index.js", Gateway)]);
        layout(
            "a binary",
            &[("/usr/local/bin/gateway --listen :80", Gateway)],
        );
        layout("python", &[("python3 -m mcp_gateway", Gateway)]);
    }

    #[test]
    fn what_could_not_be_read_says_nothing() {
        assert_eq!(of_spine::<&str>(&[], &metamcp().gate.wrappers), None);
    }

    #[test]
    fn a_name_alone_makes_no_wrapper() {
        let execs = [
            ("node /srv/sh/index.js", Gateway),
            ("node bash.gateway.js", Gateway),
            ("/opt/shell/gateway", Gateway),
            ("python3 /srv/npm.py", Gateway),
            ("env -i FOO=sh /srv/gateway", Gateway),
        ];
        layout("not by a path's part", &execs);
    }

    #[test]
    fn protect_is_over_the_whole_command_line() {
        let pattern = |text: &str| vec![Pattern::new(text).unwrap()];
        let argv = ["node", "/srv/gateway.js", "--all"];
        assert!(is_protected(&argv, &pattern("gateway\\.js --all$")));
        assert!(!is_protected(&argv, &pattern("^gateway")));
        assert!(!is_protected(&argv, &[]));
    }

    #[test]
    fn a_server_is_known_by_its_file_or_what_a_shell_starts() {
        let check = |argv: &str, expected: bool| {
            let servers = metamcp().gate.servers;
            assert_eq!(is_server(&words(argv), &servers), expected, "{argv}");
        };
        check("npx -y @modelcontextprotocol/server-memory", true);
        check("/usr/bin/env node /usr/local/bin/npx -y x", true);
        check("node /usr/local/bin/npx -y x", true);
        check("npm exec x", true);
        check("npm start", false);
        check("node /srv/server.js", true);
        check("/usr/bin/python3 server.py", true);
        check("uvx mcp-server-git", true);
        check("sh|-c|npx -y supergateway", true);
        check("bash|-lc|FOO=1 exec uvx x", true);
        check("sh|-c|git status", false);
        check("sh|-c|cd /srv && exec node server.js", true);
        check("sh|-c", false);
        check("sh entry.sh", false);
        check("setsid --wait node x.js", true);
        check("git status", false);
        check("/bin/false", false);
    }
}
