'use strict';
// What of an app's files can be told without running them: `node checking.js FOLDER` writes what
// would keep them from being loaded, as JSON. Goes from the files of `main` to what they import.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const { createRequire, isBuiltin } = require('node:module');
const path = require('node:path');

const { entryFiles, readManifest } = require('./manifest');
const { placeIn, relative } = require('./places');
const { Refusal } = require('./refusal');

// Each is a process of its own.
const MOST_FILES = 50;
const COMMENT = /\/\*[^]*?\*\/|^\s*\/\/.*$/gm;
// At the beginning of a line: what stands inside a function, or in `try`, may never be reached.
const IMPORT =
    /^(?:import\s+(?:[^'"();]*?\sfrom\s*)?|export\s+[^'"();]*?\sfrom\s*|(?:(?:const|let|var)\s+[^=;]+?=\s*)?require\(\s*)['"]([^'"\n]+)['"]/gm;
// Whether these are installed is told from package.json; the last one is the worker itself.
const TOLD_ELSEWHERE = new Set(['@azure/functions', 'durable-functions', '@azure/functions-core']);

function look(root) {
    const found = { wrong: [], files: [], is_whole: true };
    let entries;
    try {
        entries = entryFiles(root, readManifest(root));
    } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        found.wrong.push({ text: error.message.replace(/\.$/, ''), file: 'package.json' });
        return found;
    }
    const files = new Set(entries.map((file) => path.join(root, file)));
    // A set gives what is added while it is gone through.
    for (const file of files) {
        if (found.files.length === MOST_FILES) {
            found.is_whole = false;
            break;
        }
        if (!/\.[cm]?js$/.test(file)) continue;
        found.files.push(relative(root, file));
        const error = syntaxError(root, file);
        if (error) found.wrong.push(error);
        else for (const one of importsOf(root, file, found.wrong)) files.add(one);
    }
    return found;
}

function syntaxError(root, file) {
    const { status, stderr } = spawnSync(process.execPath, ['--check', file], {
        encoding: 'utf8',
        env: { ...process.env, NODE_OPTIONS: '' },
    });
    if (!status) return undefined;
    const said = stderr.split('\n').find((line) => /^\w*Error\b/.test(line));
    const place = placeIn(root, stderr) ?? { file: relative(root, file) };
    return { text: `not valid JavaScript: ${said ?? 'node cannot read it'}`, ...place };
}

/** The files of the app that a file imports; what is not there goes to `wrong`. */
function importsOf(root, file, wrong) {
    const blank = (comment) => comment.replace(/[^\n]/g, ' ');
    const text = fs.readFileSync(file, 'utf8').replace(COMMENT, blank);
    const { resolve } = createRequire(file);
    const found = [];
    for (const match of text.matchAll(IMPORT)) {
        const name = match[1];
        if (isBuiltin(name) || TOLD_ELSEWHERE.has(name) || /^\w\w+:/.test(name)) continue;
        try {
            const there = resolve(name);
            const isOwn = there.startsWith(root + path.sep);
            if (isOwn && !there.includes(`${path.sep}node_modules${path.sep}`)) found.push(there);
        } catch (error) {
            // What only `import` may have, `require` does not find; it is there all the same.
            if (error.code !== 'MODULE_NOT_FOUND') continue;
            const line = text.slice(0, match.index).split('\n').length;
            wrong.push({ text: `imports ${name}, which is not there`, file: relative(root, file), line });
        }
    }
    return found;
}

process.stdout.write(JSON.stringify(look(fs.realpathSync(process.argv[2]))));
