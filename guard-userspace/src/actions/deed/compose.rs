//! Recreation through Compose, which knows more of a container than Docker does: its file may have
//! changed.

use super::Scene;
use super::begun::Begun;
use super::daemon::Daemon;
use super::recreate::short;
use super::restart::patiently;
use super::resume;
use super::steps::Steps;
use crate::model::deed::Left;
use bollard::models::ContainerInspectResponse;
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What Compose says of a container that is its own.
const PROJECT: &str = "com.docker.compose.project";
const DIR: &str = "com.docker.compose.project.working_dir";
const FILES: &str = "com.docker.compose.project.config_files";
const SERVICE: &str = "com.docker.compose.service";

/// Longest that it may take beyond the time that the container has to stop.
const LIMIT: Duration = Duration::from_secs(120);

/// Most that is kept of what it says, in bytes: the end.
const SAID: u64 = 2_000;

/// How Compose is asked for one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    dir: PathBuf,
    files: Vec<PathBuf>,
    project: Option<String>,
    service: String,
}

/// How to ask for a container, by its labels or in the folder that the configuration names.
///
/// # Errors
/// It is not Compose's, or why Compose cannot be asked for it.
pub fn of(
    found: &ContainerInspectResponse,
    configured: Option<&Path>,
) -> Result<Plan, Option<String>> {
    let labels = found
        .config
        .as_ref()
        .and_then(|config| config.labels.as_ref());
    let label = |name: &str| labels?.get(name).filter(|value| !value.is_empty()).cloned();
    let Some(service) = label(SERVICE) else {
        let why = "its container has no label of Compose's, so its service is not known";
        return Err(configured.map(|_| why.to_owned()));
    };
    let project = label(PROJECT);
    let (dir, files) = match (configured, label(DIR)) {
        (Some(dir), _) => (dir.to_owned(), Vec::new()),
        (None, Some(dir)) => {
            let dir = PathBuf::from(dir);
            let files = label(FILES).unwrap_or_default();
            let files = files.split(',').filter(|file| !file.is_empty());
            let files = files.map(|file| dir.join(file)).collect();
            (dir, files)
        }
        (None, None) => return Err(Some("Compose does not say where its file is".to_owned())),
    };
    if let Some(missing) = files.iter().chain([&dir]).find(|path| !path.exists()) {
        return Err(Some(format!("{} is not on this host", missing.display())));
    }
    Ok(Plan {
        dir,
        files,
        project,
        service,
    })
}

/// Has Compose make the service's container anew.
pub fn up(
    plan: &Plan,
    daemon: &Daemon,
    found: &ContainerInspectResponse,
    stop_s: u64,
    scene: &Scene,
    steps: &mut Steps,
) {
    let host = scene.endpoint.to_string();
    let Some(mut command) = program(&host) else {
        let words = "neither `docker compose` nor `docker-compose` is in PATH: install one";
        return steps.failed("compose", &plan.service, words);
    };
    for file in &plan.files {
        command.arg("-f").arg(file);
    }
    if let Some(project) = &plan.project {
        command.args(["-p", project]);
    }
    command.args(["up", "-d", "--force-recreate", "--no-deps", "--timeout"]);
    command
        .arg(stop_s.to_string())
        .arg(&plan.service)
        .current_dir(&plan.dir);
    let limit = LIMIT.saturating_add(Duration::from_secs(stop_s));
    let began = Instant::now();
    let name = found.name.clone().unwrap_or_default();
    let name = name.trim_start_matches('/');
    let what = format!("compose up {}", plan.service);
    let id = found.id.clone().unwrap_or_default();
    let mut begun = Begun::now(&id, name, true);
    begun.by_compose = true;
    begun.note(scene);
    match run(&mut command, limit) {
        Ok((status, said)) if status.success() => {
            steps.done(
                &what,
                format!("after {:.1} s: {said}", began.elapsed().as_secs_f64()),
            );
        }
        Ok((status, said)) => steps.failed(&what, "", format!("{status}: {said}")),
        Err(error) => steps.failed(&what, "", error.to_string()),
    }
    if steps.has_failed() {
        return resume::back(daemon, scene, &begun, steps);
    }
    match patiently(scene, || daemon.inspect(name)) {
        Ok(now) if now.id == found.id => {
            steps.failed("start", "a new one", "it is the same container as before");
        }
        Ok(now) if now.state.as_ref().and_then(|state| state.running) == Some(true) => {
            let id = now.id.unwrap_or_default();
            steps.done("start", format!("the new one runs: {}", short(&id)));
        }
        Ok(_) => {
            steps.left(Left::Down);
            steps.failed("start", "the new one runs", "it does not");
        }
        Err(trouble) => {
            steps.left(Left::Half);
            steps.failed("start", "the new one runs", trouble.to_string());
        }
    }
}

/// `docker compose` where the plugin is there, else `docker-compose`.
fn program(host: &str) -> Option<Command> {
    let ask = |program: &str, first: &[&str]| {
        let mut command = Command::new(program);
        command
            .args(first)
            .env("DOCKER_HOST", host)
            .stdin(Stdio::null());
        command
    };
    let answers = |mut command: Command| {
        command
            .arg("version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let all: [(&str, &[&str]); 2] = [("docker", &["compose"]), ("docker-compose", &[])];
    let found = all
        .into_iter()
        .find(|(program, first)| answers(ask(program, first)));
    found.map(|(program, first)| ask(program, first))
}

/// Runs it to its end, for at most `limit`; gives the end of what it said.
fn run(command: &mut Command, limit: Duration) -> io::Result<(ExitStatus, String)> {
    let said = File::from(memfd_create("compose", MemfdFlags::CLOEXEC)?);
    command.stdout(said.try_clone()?).stderr(said.try_clone()?);
    let mut child = command.spawn()?;
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if began.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            let words = format!("not done within {} s: {}", limit.as_secs(), tail(said));
            return Err(io::Error::new(io::ErrorKind::TimedOut, words));
        }
        sleep(Duration::from_millis(50));
    };
    Ok((status, tail(said)))
}

/// Its end, in one line.
fn tail(mut said: File) -> String {
    let length = said.seek(SeekFrom::End(0)).unwrap_or(0);
    let mut end = Vec::new();
    if said
        .seek(SeekFrom::Start(length.saturating_sub(SAID)))
        .is_ok()
    {
        let _ = said.take(SAID).read_to_end(&mut end);
    }
    let text = String::from_utf8_lossy(&end);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line: String = lines.collect::<Vec<_>>().join(" | ");
    line.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::ContainerConfig;

    fn with(labels: &[(&str, &str)]) -> ContainerInspectResponse {
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        ContainerInspectResponse {
            config: Some(ContainerConfig {
                labels: Some(labels.collect()),
                ..ContainerConfig::default()
            }),
            ..ContainerInspectResponse::default()
        }
    }

    #[test]
    fn composes_labels_or_the_configured_folder_say_how() {
        let here = std::env::temp_dir();
        let dir = here.to_str().unwrap();
        assert_eq!(of(&with(&[]), None), Err(None));
        let why = of(&with(&[]), Some(&here)).unwrap_err().unwrap();
        assert!(why.contains("no label"), "{why}");
        let plan = of(&with(&[(SERVICE, "web"), (DIR, dir), (PROJECT, "p")]), None).unwrap();
        assert_eq!(
            (plan.service.as_str(), plan.dir.as_path()),
            ("web", here.as_path())
        );
        assert_eq!((plan.project.as_deref(), plan.files.len()), (Some("p"), 0));
        let gone = [(SERVICE, "web"), (DIR, dir), (FILES, "no-such-file.yml")];
        let why = of(&with(&gone), None).unwrap_err().unwrap();
        assert!(why.contains("no-such-file.yml"), "{why}");
        let plan = of(&with(&gone), Some(&here)).unwrap();
        assert_eq!(
            plan.files.len(),
            0,
            "the configured folder's own file counts"
        );
    }

    #[test]
    fn a_program_that_does_not_end_is_ended_and_its_words_are_kept() {
        let script = |script: &str, limit| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).stdin(Stdio::null());
            run(&mut command, limit)
        };
        let minute = Duration::from_secs(60);
        let (status, said) = script("echo one; echo two >&2; exit 3", minute).unwrap();
        assert_eq!((status.code(), said.as_str()), (Some(3), "one | two"));
        let error = script("echo begun; exec sleep 60", Duration::from_millis(200)).unwrap_err();
        assert!(error.to_string().ends_with("begun"), "{error}");
    }
}
