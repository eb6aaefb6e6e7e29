'use strict';
// Ends the worker when its host is gone, also while user code holds up the loop that reads the pipe.

const { Worker } = require('node:worker_threads');

const LOOK_MILLISECONDS = 1000;

// A thread with a loop of its own. Where a process keeps the number of a parent that is gone, as on
// Windows, it sees nothing; the closed pipe is seen as soon as user code lets go.
const WATCH = `
    const { workerData } = require('node:worker_threads');
    setInterval(() => {
        if (process.ppid !== workerData.host) process.kill(process.pid, 'SIGKILL');
    }, workerData.look);
`;

/** Begins to watch. It keeps nothing alive, and the app's options for Node are not for it. */
function watchHost() {
    const workerData = { host: process.ppid, look: LOOK_MILLISECONDS };
    const watcher = new Worker(WATCH, { eval: true, execArgv: [], env: {}, workerData });
    watcher.unref();
}

module.exports = { watchHost };
