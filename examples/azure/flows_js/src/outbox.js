'use strict';

// The world outside: what is sent lies in a folder afterwards. No network is needed.

const fs = require('node:fs');
const path = require('node:path');

function place(kind, name) {
    const folder = path.join(process.env.OUTBOX || 'outbox', kind);
    fs.mkdirSync(folder, { recursive: true });
    return path.join(folder, name.replace(/[^\w.-]/g, '_'));
}

// An activity may run twice, for example when its process was killed. The same name is the same
// message, so that it does no harm.
function send(kind, name, text) {
    fs.writeFileSync(`${place(kind, name)}.txt`, `${text}\n`);
}

// How often something has been tried by now, this time included.
function countTry(name) {
    const file = place('tries', name);
    fs.appendFileSync(file, '.');
    return fs.statSync(file).size;
}

module.exports = { countTry, send };
