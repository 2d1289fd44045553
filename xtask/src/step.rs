//! One outside command as a step of ours: said, timed, and explained when it fails.

use std::fs;
use std::io::{BufRead, BufReader, IsTerminal};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

use crate::workspace;

/// Lines of a failed quiet step that are shown; the rest is in its log.
const TAIL: usize = 25;

/// Says one thing to the user, apart from the output of commands.
pub fn say(text: &str) {
    eprintln!("xtask: {text}");
}

/// Runs the command with our own terminal, and fails if it does.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| cannot_start(command))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs the command and returns its standard output, trimmed; its errors go to our terminal.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| cannot_start(command))?;
    if !output.status.success() {
        bail!("{} ended with {}", shown(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The first line that the command prints, if it can be started and succeeds.
pub fn first_line(command: &mut Command) -> Option<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().next().filter(|_| output.status.success());
    line.map(str::to_owned)
}

/// Whether the command can be started and succeeds; says nothing of its own.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a long, chatty command: its output goes to a log below `target`, the terminal shows one
/// moving line, and a failure shows the log's end.
pub fn quietly(label: &str, command: &mut Command) -> Result<()> {
    fs::create_dir_all(workspace::logs())?;
    let name: String = label
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let log_path = workspace::logs().join(format!("{name}.log"));
    let log = fs::File::create(&log_path)
        .with_context(|| format!("cannot write the log {}", log_path.display()))?;
    let started = Instant::now();
    let bar = spinner(label);
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .with_context(|| cannot_start(command))?;
    // The command holds the pipe's other end for as long as it keeps them as its own.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let tail = copy_lines(reader, log, &bar)?;
    let status = child.wait()?;
    bar.finish_and_clear();
    if !status.success() {
        bail!(
            "{label}: {} ended with {status}; the whole output is in {}, its end is:\n{}",
            shown(command),
            log_path.display(),
            tail.join("\n")
        );
    }
    say(&format!(
        "{label}: done in {:.0} s",
        started.elapsed().as_secs_f64()
    ));
    Ok(())
}

fn copy_lines(
    reader: std::io::PipeReader,
    mut log: fs::File,
    bar: &ProgressBar,
) -> Result<Vec<String>> {
    use std::io::Write;
    let mut tail = std::collections::VecDeque::with_capacity(TAIL);
    for line in BufReader::new(reader).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).trim_end().to_owned();
        writeln!(log, "{line}")?;
        bar.set_message(line.clone());
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(line);
    }
    Ok(tail.into())
}

/// A moving line on a terminal; elsewhere one plain line at the start.
fn spinner(label: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        say(&format!("{label} …"));
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} {prefix} [{elapsed}] {wide_msg:.dim}")
    {
        bar.set_style(style);
    }
    bar.set_prefix(label.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// The command as a person would type it.
pub fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned()),
    );
    format!("`{}`", words.join(" "))
}

fn cannot_start(command: &Command) -> String {
    format!(
        "cannot start {}: is it installed and in PATH?",
        shown(command)
    )
}
