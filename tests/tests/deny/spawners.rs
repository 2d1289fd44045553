//! What a denied exec looks like to those who spawn.

use anyhow::{Result, ensure};
use guard_tests::Apart;
use guard_tests::check::same;

use guard_userspace::kernel::deny::Refusal;

use crate::docket::Guard;

const NODE: &str = r"
const { spawn, spawnSync, execFile, execSync } = require('child_process');
console.log('up');
process.stdin.on('data', () => {
  const said = [];
  const child = spawn('true', { detached: true });
  for (const event of ['error', 'exit', 'close'])
    child.on(event, (code) => said.push(`${event} ${code?.code ?? code}`));
  execFile('true', (error) => said.push(`execFile ${error && error.code}`));
  const sync = spawnSync('true');
  said.push(`spawnSync ${sync.error && sync.error.code} ${sync.status}`);
  try { execSync('true'); said.push('execSync 0'); } catch (e) { said.push(`execSync ${e.code}`); }
  setTimeout(() => console.log(said.sort().join('; ')), 300);
});
";

const PYTHON: &str = r"
import os, subprocess, sys

def tried(name, spawn):
    try:
        return f'{name} {spawn()}'
    except OSError as error:
        return f'{name} {type(error).__name__} {error.errno}'

def posix_spawn():
    return os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)[1]

print('up', flush=True)
for _ in sys.stdin:
    print('; '.join([
        tried('run', lambda: subprocess.run(['true']).returncode),
        tried('posix_spawn', posix_spawn),
        tried('system', lambda: os.system('true')),
        tried('popen', lambda: os.popen('true').close() or 0),
    ]), flush=True)
";

/// Denied, the spawner's own exec-less work goes on; afterwards the same spawns succeed.
fn check(program: &[&str], denied: &str, allowed: &str) -> Result<()> {
    let guard = Guard::start()?;
    let mut apart = Apart::program(program)?;
    same("it runs", apart.hear()?.as_str(), "up")?;
    guard.cover(&apart)?;
    guard.docket.condemn_children_of(apart.pid());
    apart.say("go")?;
    same("denied", apart.hear()?.as_str(), denied)?;
    ensure!(guard.deny.counts().denied >= 4, "{:?}", guard.deny.counts());
    guard.docket.pardon();
    apart.say("go")?;
    same("allowed", apart.hear()?.as_str(), allowed)
}

/// No `exit`: to a gateway an exit is a server that crashed.
pub fn node() -> Result<()> {
    check(
        &["node", "-e", NODE],
        "close -11; error EAGAIN; execFile EAGAIN; execSync EAGAIN; spawnSync EAGAIN null",
        "close 0; execFile null; execSync 0; exit 0; spawnSync undefined 0",
    )
}

/// Where the kernel cannot say EAGAIN: Node throws what it otherwise reports. Who does not expect
/// that dies of it.
pub fn node_told_eperm() -> Result<()> {
    let guard = Guard::saying(Refusal::Eperm)?;
    let script = r"
console.log('up');
process.stdin.on('data', () => {
  try { require('child_process').spawn('true'); } catch (e) { console.log(`thrown ${e.code}`); }
});
";
    let mut apart = Apart::program(&["node", "-e", script])?;
    same("it runs", apart.hear()?.as_str(), "up")?;
    guard.cover(&apart)?;
    guard.docket.condemn_children_of(apart.pid());
    apart.say("go")?;
    same("denied", apart.hear()?.as_str(), "thrown EPERM")
}

pub fn python() -> Result<()> {
    check(
        &["python3", "-c", PYTHON],
        "run BlockingIOError 11; posix_spawn BlockingIOError 11; system 32512; \
         popen BlockingIOError 11",
        "run 0; posix_spawn 0; system 0; popen 0",
    )
}

pub fn shell() -> Result<()> {
    let guard = Guard::start()?;
    let mut apart = Apart::shell()?;
    guard.cover(&apart)?;
    guard.docket.condemn_children_of(apart.pid());
    same("a command", apart.code("/bin/true")?, 126)?;
    same("in the background", apart.code("/bin/true & wait $!")?, 126)?;
    same("denied", guard.deny.counts().denied, 2)?;
    same("by PATH", apart.code("env")?, 126)?;
    let denied = guard.deny.counts().denied;
    // A grandchild was forked by a child that nobody condemned.
    same("below a subshell", apart.code("(/bin/true; exit 7)")?, 7)?;
    guard.docket.pardon();
    apart.does("/bin/true && env")?;
    same("denied later", guard.deny.counts().denied, denied)
}

/// Others on the same mounts pass while one's children are denied.
pub fn others() -> Result<()> {
    let guard = Guard::start()?;
    let mut apart = Apart::shell()?;
    let mut other = apart.shell_beside()?;
    guard.cover(&apart)?;
    guard.docket.condemn_children_of(apart.pid());
    for _ in 0..20 {
        same("condemned", apart.code("/bin/true")?, 126)?;
        same("the other", other.code("/bin/true")?, 0)?;
    }
    Ok(())
}
