'use strict';
// The entry: looks whether this Node is new enough, and starts the worker. Written so that any Node
// can parse it, since an old one must be able to say that it is old. The rest is behind `require`.

var fs = require('fs');

var OLDEST = 20;
var descriptor = Number(process.argv[process.argv.length - 1]);

function say(message) {
    var text = Buffer.from(JSON.stringify(message));
    var head = Buffer.alloc(8);
    head.writeUInt32BE(text.length, 0);
    fs.writeSync(descriptor, Buffer.concat([head, text]));
}

// The host speaks its protocol with an old Node too: greeting, `load`, and the answer to it.
function refuse() {
    say({
        type: 'hello',
        protocol: 1,
        language: 'javascript',
        runtime: 'node ' + process.versions.node,
        pid: process.pid
    });
    fs.readSync(descriptor, Buffer.alloc(8), 0, 8, null);
    say({
        type: 'refused',
        message:
            'This app needs Node ' +
            OLDEST +
            ' or newer, and ' +
            process.execPath +
            ' is Node ' +
            process.versions.node +
            '. Install a newer Node, or put one earlier on the PATH.'
    });
    process.exit(1);
}

if (Number(process.versions.node.split('.')[0]) < OLDEST) {
    refuse();
} else {
    require('./guardian').watchHost();
    require('./main').start(descriptor);
}
