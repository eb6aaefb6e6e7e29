'use strict';
// Where in ES modules a syntax error is. Node says it of a file that it only checks, not of one
// that it imports.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const { placeIn } = require('./places');

// Each is a process of its own.
const MOST_FILES = 30;
const RELATIVE_IMPORT = /(?:from|import)\s*\(?\s*['"](\.{1,2}\/[^'"]+)['"]/g;

/** The place of the error in `file` or in what it imports; undefined when none is found. */
function placeOfSyntaxError(root, file) {
    const files = new Set([path.join(root, file)]);
    // A set gives what is added while it is gone through.
    for (const one of files) {
        const { status, stderr } = spawnSync(process.execPath, ['--check', one], {
            encoding: 'utf8',
            // A debugger's port is taken.
            env: { ...process.env, NODE_OPTIONS: '' },
        });
        const place = status ? placeIn(root, stderr) : undefined;
        if (place) return place;
        for (const imported of importsOf(one)) if (files.size < MOST_FILES) files.add(imported);
    }
    return undefined;
}

function importsOf(file) {
    const text = fs.readFileSync(file, 'utf8');
    return [...text.matchAll(RELATIVE_IMPORT)]
        .map(([, name]) => path.resolve(path.dirname(file), name))
        .filter((one) => fs.existsSync(one));
}

module.exports = { placeOfSyntaxError };
