'use strict';
// A gateway that starts and asks servers as it is told, line by line: `start SCRIPT` says the number
// of the new server, `ask NUMBER` what it answers, or how it ended.
const { spawn } = require('node:child_process');
const readline = require('node:readline');

const servers = [];

const commands = {
  start: (script) => {
    const one = spawn('sh', [script], { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
    one.on('error', (error) => console.log(error.code));
    one.on('spawn', () => console.log(servers.push(one) - 1));
    one.on('close', (code, signal) => console.log(signal ?? `exit ${code}`));
    readline.createInterface({ input: one.stdout }).on('line', (line) => console.log(line));
  },
  ask: (number) => servers[Number(number)].stdin.write('\n'),
};

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const [command, rest] = line.split(' ');
  commands[command](rest);
});
