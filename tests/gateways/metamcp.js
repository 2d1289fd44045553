'use strict';
// A gateway that treats its servers as MetaMCP does (250240b, February 2026): the names in brackets
// are the real one's files, whose order of steps is kept, flaws included. What it has not: Postgres,
// namespaces, tool filters. Clients do not speak MCP to it but the few requests at the end of this file.
//
// Configured by METAMCP, as JSON.
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const readline = require('node:readline');

const config = {
  port: 12009,
  boot_ms: 3000, // from listening to the pre-warmed pool [index.ts]
  request_ms: 60000, // for any answer of a server, `initialize` too [the SDK's default]
  connections: 100, // [mcp-server-pool.ts: maxTotalConnections]
  errors: '/tmp/metamcp-errors.json', // stands in for Postgres: survives a restart
  servers: {}, // name: {command, args}
  ...JSON.parse(process.env.METAMCP || '{}'),
};

// For GET /state: crashes, spawns that failed, connects given up, processes that have not ended.
const crashes = [];
const refused = [];
const timeouts = [];
let booted = false; // the pool's first round is over, however it went
const instances = new Set();

// The environment of a server: a short allow-list. The image's npm settings stand for what an
// operator writes into the server's own.
const ALLOWED = /^(HOME|PATH|SHELL|TERM|USER|LOGNAME|npm_config_.*|.*_proxy|.*_PROXY)$/;
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => ALLOWED.test(name)));

// One server process and what runs below it [process-managed-transport.ts].
class Instance {
  constructor(name) {
    this.name = name;
    this.waiting = new Map();
    this.last = 0;
    this.closing = false;
    this.abort = new AbortController();
  }

  start() {
    return new Promise((resolve, reject) => {
      const { command, args = [] } = config.servers[this.name];
      this.spawned = Date.now();
      // Detached: a session and a process group of its own. Pipes of node are UNIX socket pairs.
      // EAGAIN comes as the event 'error'; EPERM is thrown from here, and rejects as well.
      const child = spawn(command, args, {
        env: environment,
        stdio: ['pipe', 'pipe', 'pipe'],
        signal: this.abort.signal,
        detached: true,
      });
      this.child = child;
      this.pid = child.pid;
      child.unref();
      child.on('error', (error) => {
        if (error.name !== 'AbortError') reject(error);
      });
      child.on('spawn', () => {
        instances.add(this);
        resolve();
      });
      child.on('exit', () => instances.delete(this));
      // Not at 'exit': while an orphan holds the pipes, nothing is noticed.
      child.on('close', (code, signal) => {
        if (!this.closing && (code !== 0 || signal)) crashed(this, code, signal);
        this.disconnected();
      });
      for (const stream of child.stdio) stream.on('error', () => {});
      child.stderr.on('data', (chunk) => (this.said = `${this.said ?? ''}${chunk}`.slice(-300)));
      readline.createInterface({ input: child.stdout }).on('line', (line) => this.heard(line));
    });
  }

  // SIGTERM to the root, by the abort, and to the group; nobody waits for its end, none is killed.
  close() {
    this.closing = true;
    this.abort.abort();
    if (this.child?.pid) {
      try {
        process.kill(-this.child.pid, 'SIGTERM');
      } catch {} // It has ended already.
    }
    this.disconnected();
  }

  disconnected() {
    this.child = undefined;
    for (const { reject, timer } of this.waiting.values()) {
      clearTimeout(timer);
      reject(new Error('Connection closed'));
    }
    this.waiting.clear();
  }

  send(message) {
    this.child?.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  }

  request(method, params) {
    return new Promise((resolve, reject) => {
      if (!this.child) throw new Error('Not connected');
      const id = ++this.last;
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        reject(Object.assign(new Error('Request timed out'), { code: 'TIMEOUT' }));
      }, config.request_ms);
      this.waiting.set(id, { resolve, reject, timer });
      this.send({ id, method, params });
    });
  }

  heard(line) {
    let message = {};
    try {
      message = JSON.parse(line);
    } catch {} // Half a line, or no JSON.
    if (message.method === 'ping') this.send({ id: message.id, result: {} });
    const asked = this.waiting.get(message.id);
    if (message.method || !asked) return;
    this.waiting.delete(message.id);
    clearTimeout(asked.timer);
    if (message.error) asked.reject(new Error(message.error.message));
    else asked.resolve(message.result);
  }
}

// A started and initialized instance, or nothing [client.ts]. However it fails, here no crash is
// counted: that is only for a process that ends by itself.
async function connect(name) {
  if (inError(name)) return undefined;
  const instance = new Instance(name);
  try {
    await instance.start();
    await instance.request('initialize', {
      protocolVersion: '2025-06-18',
      capabilities: {},
      clientInfo: { name: 'metamcp-client', version: '2.0.0' },
    });
    instance.send({ method: 'notifications/initialized' });
    instance.ready = true;
    return instance;
  } catch (error) {
    const note = { server: name, why: error.message, after_ms: Date.now() - instance.spawned };
    if (error.syscall?.startsWith('spawn')) refused.push({ ...note, errno: error.code });
    else if (error.code === 'TIMEOUT') timeouts.push(note);
    instance.close();
    return undefined;
  }
}

// One idle instance of each server, and those that sessions took [mcp-server-pool.ts].
const idle = new Map();
const creating = new Set();
const sessions = new Map(); // id → Map of server → Instance

function mayConnect() {
  let active = 0;
  for (const servers of sessions.values()) active += servers.size;
  return idle.size + active + creating.size < config.connections;
}

async function connectWithin(name) {
  return mayConnect() ? connect(name) : undefined;
}

async function prewarm(name) {
  const instance = await connectWithin(name);
  if (instance) idle.set(name, instance);
}

// Nobody waits for it.
function replace(name) {
  if (idle.has(name) || creating.has(name)) return;
  creating.add(name);
  connectWithin(name)
    .then((instance) => {
      if (instance && idle.has(name)) instance.close();
      else if (instance) idle.set(name, instance);
    })
    .finally(() => creating.delete(name));
}

// The session's own instance, else the idle one (alive or not: nobody looks), else a new one. An
// idle one that dies by exit 0 keeps its place until a session takes it.
async function take(session, name) {
  const own = sessions.get(session);
  if (own?.has(name)) return own.get(name);
  let instance = idle.get(name);
  if (instance) idle.delete(name);
  else instance = await connectWithin(name);
  if (!instance) return undefined;
  own.set(name, instance);
  replace(name);
  return instance;
}

// The servers that answer, all asked at once; one that fails is left out [metamcp-proxy.ts].
async function list(session) {
  const answers = await Promise.allSettled(
    names().map(async (name) => {
      const instance = await take(session, name);
      if (!instance) throw new Error('no instance');
      const { tools } = await instance.request('tools/list', {});
      return { name, tools: tools.length };
    }),
  );
  const listed = answers.filter(({ status }) => status === 'fulfilled').map(({ value }) => value);
  const tools = listed.reduce((sum, one) => sum + one.tools, 0);
  return { servers: listed.map(({ name }) => name), tools };
}

// Only DELETE ends a session; by default there is no lifetime [streamable-http.ts].
function end(session) {
  const own = sessions.get(session);
  if (!own) return false;
  for (const instance of own.values()) instance.close();
  sessions.delete(session);
  for (const name of own.keys()) replace(name);
  return true;
}

// Servers that crashed once: not started again before a reset [server-error-tracker.ts].
const failed = new Set(fs.existsSync(config.errors) ? JSON.parse(fs.readFileSync(config.errors)) : []);
const inError = (name) => failed.has(name);
const names = () => Object.keys(config.servers).filter((name) => !inError(name));
const keep = () => fs.writeFileSync(config.errors, JSON.stringify([...failed]));

function crashed(instance, code, signal) {
  const { name } = instance;
  crashes.push({ server: name, code, signal, after_ms: Date.now() - instance.spawned, said: instance.said ?? '' });
  failed.add(name);
  keep();
  // All others of it go, the healthy ones too. What is just being started is forgotten here.
  idle.get(name)?.close();
  idle.delete(name);
  for (const servers of sessions.values()) {
    servers.get(name)?.close();
    servers.delete(name);
  }
  creating.delete(name);
}

function reset(name) {
  for (const one of name ? [name] : [...failed]) failed.delete(one);
  keep();
}

// The oldest session's instance is told that its input is over, and stays this one's child: what the
// SDK's own transport does first when it is closed.
function hangUp(name) {
  const all = [...sessions.values()].map((servers) => servers.get(name));
  const instance = all.find((one) => one?.child && !one.closing);
  if (!instance) return undefined;
  instance.closing = true;
  instance.child.stdin.destroy();
  return { pid: instance.pid, server: name, role: 'active' };
}

// What it believes, for the tests.
function state() {
  const active = [...sessions.values()].flatMap((servers) => [...servers.values()]);
  const role = (instance) => {
    if (idle.get(instance.name) === instance) return 'idle';
    if (active.includes(instance)) return 'active';
    return instance.ready ? 'unowned' : 'starting';
  };
  const servers = Object.keys(config.servers).map((name) => ({
    name,
    state: inError(name) ? 'ERROR' : 'OK',
    idle: idle.has(name) ? 1 : 0,
    active: active.filter((instance) => instance.name === name).length,
  }));
  const processes = [...instances].map((one) => ({ pid: one.pid, server: one.name, role: role(one) }));
  return { booted, servers, processes, sessions: sessions.size, creating: creating.size, crashes, refused, timeouts };
}

const routes = {
  'GET /health': () => ({ status: 'ok' }),
  'GET /state': state,
  'POST /session': () => {
    const id = crypto.randomUUID();
    sessions.set(id, new Map());
    return { id };
  },
  'GET /tools': (id) => (sessions.has(id) ? list(id) : undefined),
  'DELETE /session': (id) => (end(id) ? {} : undefined),
  'POST /hangup': hangUp,
  'POST /reset': (name) => reset(name) ?? {},
};

http
  .createServer(async (request, response) => {
    const [, path, rest] = request.url.split('/');
    const answer = await routes[`${request.method} /${path}`]?.(rest);
    response.writeHead(answer ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer ?? { error: 'not found' }));
  })
  .listen(config.port, '127.0.0.1', () => {
    console.log(`listening on ${config.port}`);
    // All servers at once [startup.ts].
    setTimeout(async () => {
      await Promise.allSettled(names().map(prewarm));
      booted = true;
    }, config.boot_ms);
  });
