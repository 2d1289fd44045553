//! Bad input that an agent says and goes on with: it guards all the same.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use guard_tests::agent::apart;
use guard_tests::check::same;
use guard_tests::guarded::{SOON, cap};
use guard_tests::{Agent, Cgroup, Folder, Storm};
use serde_json::Value;

/// What is asked over HTTP, the status of the answer (`""`: none need come), a word of its error.
fn requests() -> Vec<(&'static str, Vec<u8>, &'static str, &'static str)> {
    let ask = |line: &str, more: &str| {
        format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n").into_bytes()
    };
    let act = |body: &str| {
        let head = format!(
            "Authorization: Bearer 4711\r\nContent-Length: {}\r\n",
            body.len()
        );
        [ask("POST /api/v1/actions", &head), body.as_bytes().to_vec()].concat()
    };
    vec![
        (
            "no HTTP",
            b"\x00\x01\xff nonsense\r\n\r\n".to_vec(),
            "400",
            "",
        ),
        (
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            "400",
            "",
        ),
        (
            "another version",
            b"GET / HTTP/9.9\r\n\r\n".to_vec(),
            "400",
            "",
        ),
        ("nothing", Vec::new(), "", ""),
        (
            "a header too large",
            ask("GET /healthz", &format!("X: {}\r\n", "y".repeat(1 << 20))),
            "",
            "",
        ),
        (
            "headers without end",
            ask("GET /healthz", &"X: y\r\n".repeat(100_000)),
            "",
            "",
        ),
        (
            "a path too long",
            ask(&format!("GET /{}", "z".repeat(1 << 20)), ""),
            "",
            "",
        ),
        (
            "another path",
            ask("GET /no/such/path", ""),
            "404",
            "/api/v1/status",
        ),
        (
            "a path outside",
            ask("GET /../../etc/passwd", ""),
            "404",
            "/api/v1/status",
        ),
        (
            "another method",
            ask("DELETE /api/v1/status", ""),
            "405",
            "GET",
        ),
        (
            "an action by GET",
            ask("GET /api/v1/actions", ""),
            "405",
            "POST",
        ),
        (
            "no token",
            ask("POST /api/v1/actions", "Content-Length: 2\r\n"),
            "401",
            "Bearer",
        ),
        (
            "an unknown action",
            act("{\"action\":\"explode\"}"),
            "400",
            "explode",
        ),
        ("no JSON", act("{\"action\":"), "400", "no action"),
        (
            "not UTF-8",
            act("{{{")
                .into_iter()
                .map(|byte| if byte == b'{' { 0xff } else { byte })
                .collect(),
            "400",
            "no action",
        ),
        (
            "JSON without end",
            act(&"[".repeat(16_000)),
            "400",
            "no action",
        ),
        (
            "a body too large",
            act(&"x".repeat(64 << 10)),
            "400",
            "too large",
        ),
        (
            "no such target",
            act("{\"action\":\"disarm\",\"target\":\"nobody\",\"dry_run\":true}"),
            "404",
            "nobody",
        ),
        (
            "a negative tree",
            act("{\"action\":\"retire\",\"target\":\"storm\",\"tree\":-1}"),
            "400",
            "-1",
        ),
    ]
}

/// Neither bpffs nor tracefs is mounted.
const BARE: &str = "umount -l /sys/fs/bpf 2>/dev/null || true
    while grep -q ' - tracefs' /proc/self/mountinfo; do
        umount -l $(grep ' - tracefs' /proc/self/mountinfo | cut -d' ' -f5 | tail -1)
    done
    ! grep -q ' - tracefs' /proc/self/mountinfo";

/// In the place of an earlier agent's gate are folders, which bpffs lets anyone make who is root.
const GARBAGE: &str = "mount -t bpf bpf /sys/fs/bpf
    mkdir -p /sys/fs/bpf/metamcp-guard/NOTES /sys/fs/bpf/metamcp-guard/link_task_newtask/deep";

/// One agent whose socket, Docker, container, cgroup of a file and clients are all bad.
pub fn agent_lives() -> Result<()> {
    let folder = Folder::new()?;
    let cgroup = Cgroup::new("bad")?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let token = folder.file("token", "4711\n")?;
    let (state, path) = (folder.path().display(), cgroup.path().display());
    let file = folder.file(
        "config.toml",
        &format!(
            "state_dir = \"/proc/no/such/folder\"\non_agent_exit = \"release\"\n\
         [http]\nlisten = \"127.0.0.1:{port}\"\ntoken_file = \"{token}\"\n\
         [[target]]\nname = \"storm\"\ncgroup = \"{path}\"\n[target.gate]\n{}\n\
         [[target]]\nname = \"file\"\ncgroup = \"{path}/cgroup.procs\"\n\
         [[target]]\ncontainer = \"no-such-container\"\n",
            cap(10)
        ),
    )?;
    let socket = format!("{state}/no/folder/agent.sock");
    let docker = format!("unix://{state}/no-docker.sock");
    let mut agent = Agent::run_with(
        &[("DOCKER_HOST", &docker)],
        &["--socket", &socket, "--config", &file],
    )?;
    agent.wait_for("action", SOON, |line| {
        line["target"] == "storm" && line["action"] == "gate"
    })?;
    for name in ["file", "no-such-container"] {
        agent.wait_for("waiting", SOON, |line| line["target"] == name)?;
    }
    agent.wait_for("docker_lost", SOON, |line| {
        line.to_string().contains("no-docker.sock")
    })?;
    let is_said =
        |line: &Value| line.to_string().contains(&socket) && line.to_string().contains("--socket");
    ensure!(
        agent.events().iter().any(is_said),
        "of the socket: {:?}",
        agent.events()
    );
    for (what, request, status, word) in requests() {
        let answer = ask(port, &request).with_context(|| what.to_owned())?;
        let is = answer.starts_with(&format!("HTTP/1.1 {status}"));
        ensure!(is || status.is_empty(), "{what}: {answer:.300}");
        if !word.is_empty() {
            let body = answer.split_once("\r\n\r\n").context("no body")?.1;
            let body: Value =
                serde_json::from_str(body).with_context(|| format!("{what}: {answer}"))?;
            let error = body["error"]
                .as_str()
                .with_context(|| format!("{what}: {answer}"))?;
            ensure!(error.contains(word), "{what}: {error}");
        }
    }
    let well = ask(
        port,
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )?;
    ensure!(well.starts_with("HTTP/1.1 200"), "{well:.300}");
    let report = Storm::run(&cgroup, &["execs", "30", "--hold", "500"])?;
    same("executed under its cap", report.executed, 9)?;
    ends_well(agent)
}

/// Agents that mount what they need themselves, and take away what is in the way.
pub fn mounts_of_its_own() -> Result<()> {
    for (script, also) in [
        (BARE.to_owned(), ""),
        (format!("{BARE}\n{GARBAGE}"), "replaced"),
    ] {
        let folder = Folder::new()?;
        let cgroup = Cgroup::new("bare")?;
        let (state, path) = (folder.path().display(), cgroup.path().display());
        let file = folder.file("config.toml", &format!(
            "state_dir = \"{state}\"\n[http]\nlisten = \"127.0.0.1:0\"\n[[target]]\nname = \"storm\"\ncgroup = \"{path}\"\n\
             [target.gate]\n{}\n", cap(10)))?;
        let socket = format!("{state}/agent.sock");
        let words = [
            "run",
            "--log-format",
            "json",
            "--socket",
            &socket,
            "--config",
            &file,
        ];
        let mut agent = Agent::start(apart(&script, &words)?.env("RUST_LOG", "info"))?;
        agent.wait_for("action", SOON, |line| line["action"] == "gate")?;
        if !also.is_empty() {
            agent.wait_for(also, SOON, |line| line["why"].to_string().contains("mark"))?;
        }
        let not_kept = agent
            .events()
            .into_iter()
            .find(|line| line.to_string().contains("cannot be kept"));
        ensure!(not_kept.is_none(), "{not_kept:?}");
        let report = Storm::run(&cgroup, &["execs", "30", "--hold", "500"])?;
        same("executed under its cap", report.executed, 9)?;
        ends_well(agent)?;
    }
    Ok(())
}

fn ends_well(agent: Agent) -> Result<()> {
    let words = agent.last_words();
    agent.stop_cleanly()?;
    ensure!(!words.contains("panicked"), "{words}");
    Ok(())
}

/// All that comes back; a server that has seen enough may close before it has read everything.
fn ask(port: u16, request: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).context("connecting")?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    let _ = stream.write_all(request);
    if request.is_empty() {
        // Only there: who is gone before the answer gets none.
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => {
            Err(error).context("no answer")
        }
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}
