'use strict';
// Stands for MetaMCP's frontend, `next start`: a second node that lives as long as the container and
// starts nothing.
require('node:http').createServer((_, response) => response.end('ok')).listen(0, '127.0.0.1');
