'use strict';
// An MCP server whose tree is twelve processes, as that of a server with a browser is: it has eleven
// children before it says that it is ready, or ends with code 1 where it gets only a part of them.
const { spawn } = require('node:child_process');
const readline = require('node:readline');

const CHILDREN = 11;

// They end when this one does: by the end of their input.
const child = () =>
  new Promise((resolve, reject) => {
    const one = spawn('cat', [], { stdio: ['pipe', 'ignore', 'inherit'] });
    one.on('spawn', resolve);
    one.on('error', reject);
    one.on('exit', (code, signal) => reject(new Error(`a child ended: ${code ?? signal}`)));
  });

let whole;
function start() {
  whole ??= Promise.all(Array.from({ length: CHILDREN }, child)).catch((error) => {
    console.error(`half a browser: ${error.message}`);
    process.exit(1);
  });
  return whole;
}

const late = process.argv[2] === 'late';
const answers = {
  initialize: async () => {
    if (!late) await start();
    const serverInfo = { name: 'browser', version: '1' };
    return { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo };
  },
  'tools/list': async () => {
    await start();
    return { tools: [{ name: 'look', inputSchema: { type: 'object' } }] };
  },
};

readline
  .createInterface({ input: process.stdin })
  .on('line', async (line) => {
    const { id, method } = JSON.parse(line);
    const result = await answers[method]?.();
    if (result) console.log(JSON.stringify({ jsonrpc: '2.0', id, result }));
  })
  .on('close', () => process.exit(0));
