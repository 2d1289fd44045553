'use strict';
// A gateway whose servers are sleepers: it starts them until one is refused, says how many run and
// what the refusal was, and tries again at SIGUSR2.
const { spawn } = require('node:child_process');

let running = 0;
function more() {
  const one = spawn('sleep', ['600'], { stdio: 'ignore', detached: true });
  one.on('error', (error) => console.log(`${running} ${error.code}`));
  one.on('spawn', () => {
    running += 1;
    more();
  });
}

process.on('SIGUSR2', more);
more();
setInterval(() => {}, 1e6);
