'use strict';
// Starts a program in each way that node has, when asked over HTTP, and tells how it went: with an
// exit code, or with an error that the caller could catch.
const { spawn, spawnSync, exec, execSync } = require('node:child_process');
const http = require('node:http');

const PROGRAM = '/bin/echo';

const failed = (error) => ({ errno: error.code ?? null, said: error.message });
const ended = (code, signal, said) => ({ code, signal, said: `${said ?? ''}` });

// EAGAIN comes as an event, EPERM is thrown.
const caught = (start) =>
  new Promise((resolve) => {
    try {
      start(resolve);
    } catch (error) {
      resolve(failed(error));
    }
  });

const child = (program, args) =>
  caught((resolve) => {
    const one = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
    let said = '';
    one.stderr.on('data', (chunk) => (said += chunk));
    one.on('error', (error) => resolve(failed(error)));
    one.on('close', (code, signal) => resolve(ended(code, signal, said)));
  });

const ways = {
  spawn: () => child(PROGRAM, ['x']),
  // Through a shell that ends as its program does.
  exec: () =>
    caught((resolve) =>
      exec(`${PROGRAM} x`, (error, _, said) => {
        if (error?.syscall) resolve(failed(error));
        else resolve(ended(error ? error.code : 0, error?.signal ?? null, said));
      }),
    ),
  spawn_sync: () =>
    caught((resolve) => {
      const { error, status, signal, stderr } = spawnSync(PROGRAM, ['x']);
      resolve(error ? failed(error) : ended(status, signal, stderr));
    }),
  exec_sync: () =>
    caught((resolve) => {
      try {
        execSync(`${PROGRAM} x`, { stdio: 'pipe' });
        resolve(ended(0, null));
      } catch (error) {
        resolve(error.syscall ? failed(error) : ended(error.status, error.signal, error.stderr));
      }
    }),
  // `$(…)` in a shell that runs already: see /shell.
  dash: () =>
    new Promise((resolve) => {
      if (!shell) return resolve(failed(new Error('no shell: POST /shell first')));
      const one = shell;
      shell = undefined;
      one.on('close', (code, signal) => resolve(ended(code, signal, one.said)));
      one.stdin.end('go\n');
    }),
};

// A shell that waits for a line without starting anything.
let shell;
function startShell() {
  const script = `read line; x=$(${PROGRAM} x) || exit $?; [ "$x" = x ]`;
  const one = spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  one.said = '';
  one.stderr.on('data', (chunk) => (one.said += chunk));
  shell = one;
  return {};
}

// Sleepers, until there are so many or the first is refused.
const sleepers = [];
async function fill(number) {
  for (let started = 0; started < number; started += 1) {
    const refusal = await caught((resolve) => {
      const one = spawn('sleep', ['600'], { stdio: 'ignore', detached: true });
      one.on('error', (error) => resolve(failed(error)));
      one.on('spawn', () => {
        sleepers.push(one);
        resolve(undefined);
      });
    });
    if (refusal) return { running: sleepers.length, errno: refusal.errno };
  }
  return { running: sleepers.length, errno: null };
}

function empty() {
  for (const one of sleepers.splice(0)) one.kill('SIGKILL');
  return {};
}

async function attempt(way) {
  if (!ways[way]) return undefined;
  const asked = performance.now();
  const result = await ways[way]();
  return { errno: null, code: null, signal: null, ...result, ms: performance.now() - asked };
}

const routes = { try: attempt, fill: (number) => fill(Number(number)), empty, shell: startShell };

http
  .createServer(async (request, response) => {
    const [, path, rest] = request.url.split('/');
    const answer = await routes[path]?.(rest);
    response.writeHead(answer ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer ?? { error: 'not found' }));
  })
  .listen(Number(process.argv[2]), '127.0.0.1');
