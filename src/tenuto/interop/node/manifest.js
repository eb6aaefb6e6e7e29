'use strict';
// package.json: which files of an app have its functions.

const fs = require('node:fs');
const path = require('node:path');

const { isPattern, matchingFiles } = require('./globs');
const { Refusal } = require('./refusal');

const ENDINGS = ['.js', '.cjs', '.mjs'];
const TYPED_ENDINGS = ['.ts', '.cts', '.mts'];
const EXAMPLE = '"main": "src/functions/*.js"';
const PLACE = { file: 'package.json' };

/** The app's package.json. @throws {Refusal} there is none, or it is none. */
function readManifest(root) {
    let text;
    try {
        text = fs.readFileSync(path.join(root, 'package.json'), 'utf8');
    } catch {
        throw new Refusal(
            `There is no package.json in ${root}. A Node app needs one that names the files with ` +
                `its functions, such as ${EXAMPLE}.`,
            { place: PLACE },
        );
    }
    let manifest;
    try {
        manifest = JSON.parse(text.replace(/^\uFEFF/, ''));
    } catch (error) {
        throw new Refusal(`package.json is not JSON: ${error.message}.`, {
            place: { ...PLACE, line: lineOf(text, error.message) },
            cause: error,
        });
    }
    if (typeof manifest.main !== 'string' || !manifest.main) {
        throw new Refusal(
            'package.json has no "main". Name the files with functions there, such as ' +
                `${EXAMPLE}.`,
            { place: PLACE },
        );
    }
    return manifest;
}

function lineOf(text, message) {
    const position = /position (\d+)/.exec(message);
    return position ? text.slice(0, Number(position[1])).split('\n').length : undefined;
}

/**
 * The files that `main` means, relative to `root` and sorted.
 *
 * @throws {Refusal} there are none.
 */
function entryFiles(root, { main, scripts }) {
    const found = matching(root, main);
    const readable = process.features.typescript ? [...ENDINGS, ...TYPED_ENDINGS] : ENDINGS;
    const files = found.filter(
        (file) => readable.includes(path.extname(file)) && !file.endsWith('.d.ts'),
    );
    if (files.length) return files;
    const isTyped = found.length || fs.existsSync(path.join(root, 'tsconfig.json'));
    if (isTyped || scripts?.build) {
        throw new Refusal(
            `"main" in package.json is ${JSON.stringify(main)}, and no JavaScript file is there. ` +
                'This app must be built first: run npm install, then npm run build.',
            { place: PLACE },
        );
    }
    throw new Refusal(
        `"main" in package.json is ${JSON.stringify(main)}, and no such file is there.`,
        {
            place: PLACE,
        },
    );
}

function matching(root, main) {
    try {
        const found = matchingFiles(root, main);
        if (found.length || isPattern(main)) return found;
    } catch (error) {
        throw new Refusal(`"main" in package.json is ${JSON.stringify(main)}: ${error.message}.`, {
            place: PLACE,
            cause: error,
        });
    }
    // As Node has it: a file may be named without its ending.
    return ENDINGS.flatMap((ending) => matchingFiles(root, main + ending)).slice(0, 1);
}

module.exports = { entryFiles, readManifest };
