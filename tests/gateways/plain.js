'use strict';
// An MCP server that is one process and does nothing but answer.
const readline = require('node:readline');

const answers = {
  initialize: { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo: { name: 'plain', version: '1' } },
  'tools/list': { tools: [{ name: 'nothing', inputSchema: { type: 'object' } }] },
};

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method } = JSON.parse(line);
  if (id !== undefined) console.log(JSON.stringify({ jsonrpc: '2.0', id, result: answers[method] ?? {} }));
});
