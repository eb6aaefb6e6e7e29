'use strict';
// Where in an app something is: file and line, read from stack traces.

const path = require('node:path');
const { fileURLToPath } = require('node:url');

const OWN_FOLDER = __dirname + path.sep;
/** How many frames a trace needs, to reach from inside packages to the app. */
const DEEP_ENOUGH = 60;

// `    at name (file:line:column)`, `    at file:line:column`; files may be URLs.
const FRAME = /^\s+at (?:.*\()?((?:file:\/\/|\/|[A-Za-z]:[\\/]).*?):(\d+):\d+\)?$/;
// What stands first in the trace of a syntax error, before any frame.
const HEADLINE = /^((?:file:\/\/|\/|[A-Za-z]:[\\/]).*):(\d+)$/;

function asPath(location) {
    if (!location.startsWith('file://')) return location;
    // A module that was loaded again has a query.
    return fileURLToPath(location.replace(/[?#].*$/, ''));
}

function frames(stack) {
    const found = [];
    const lines = String(stack ?? '').split('\n');
    const headline = HEADLINE.exec(lines[0]);
    if (headline) found.push({ file: asPath(headline[1]), line: Number(headline[2]) });
    for (const line of lines) {
        const frame = FRAME.exec(line);
        if (frame) found.push({ file: asPath(frame[1]), line: Number(frame[2]) });
    }
    return found;
}

/**
 * The place in the app that a stack trace speaks of: the innermost frame in a file of its own,
 * else in a package of it; nothing when there is none. `file` is relative to `root`.
 */
function placeIn(root, stack) {
    const inside = frames(stack).filter(
        ({ file }) => file.startsWith(root + path.sep) && !file.startsWith(OWN_FOLDER),
    );
    const own = inside.find(({ file }) => !file.includes(`${path.sep}node_modules${path.sep}`));
    const best = own ?? inside[0];
    return best && { file: relative(root, best.file), line: best.line };
}

/** A file as people write it: relative to the app's folder, with slashes. */
function relative(root, file) {
    return path.relative(root, file).split(path.sep).join('/');
}

/** The place in the app that called, however deep in packages we are. */
function callerIn(root) {
    const usual = Error.stackTraceLimit;
    Error.stackTraceLimit = DEEP_ENOUGH;
    const { stack } = new Error('for its trace');
    Error.stackTraceLimit = usual;
    return placeIn(root, stack);
}

module.exports = { DEEP_ENOUGH, callerIn, placeIn, relative };
