'use strict';
// Why a file of an app could not be loaded, for the person who wrote it.

const fs = require('node:fs');
const path = require('node:path');

const { placeIn, relative } = require('./places');
const { Refusal } = require('./refusal');
const { placeOfSyntaxError } = require('./syntax');

const NOT_FOUND = new Set(['MODULE_NOT_FOUND', 'ERR_MODULE_NOT_FOUND']);
const MISSING = /^Cannot find (?:module|package) '([^']+)'/;
const IMPORTED_FROM = / imported from (.+?)(?: with an asserted.*)?$/m;

// What stands in quotes on a line that asks for a module.
const ASKS = /(?:from|import|require)\s*\(?\s*(?:'([^']+)'|"([^"]+)"|`([^`]+)`)/;

/** A refusal for what `file` has thrown while it was loaded. */
function whyNotLoaded(root, file, error, packages) {
    const missing = NOT_FOUND.has(error?.code) && MISSING.exec(error.message);
    if (missing) return missingModule({ root, file, error, packages, name: missing[1] });
    if (error instanceof SyntaxError && !isThrownByCode(root, error)) {
        const place = placeIn(root, error.stack) ?? placeOfSyntaxError(root, file) ?? { file };
        return new Refusal(`A syntax error in ${place.file}: ${error.message}.`, {
            place,
            cause: error,
        });
    }
    const place = placeIn(root, error?.stack) ?? { file };
    const text = error?.message ?? error;
    const kind = error?.constructor?.name ?? typeof error;
    return new Refusal(`Loading ${file} failed with ${kind}: ${text}`, { place, cause: error });
}

// JSON.parse throws such errors too, with frames of the code that has called it. The trace of a file
// that cannot be read begins with its name, or has the loader's frames alone.
function isThrownByCode(root, { stack }) {
    return String(stack).startsWith('SyntaxError') && placeIn(root, stack) !== undefined;
}

function missingModule({ root, file, error, packages, name }) {
    const asker = askerOf(error);
    const from = asker ? relative(root, asker) : file;
    const place = placeOf(root, asker, name) ?? { file: from };
    if (/^(?:\.|\/|[A-Za-z]:|file:)/.test(name)) {
        const wanted = path.isAbsolute(name) ? relative(root, name) : name;
        return new Refusal(`${from} asks for the file ${wanted}, and there is none.`, {
            place,
            cause: error,
        });
    }
    const remedy =
        fs.existsSync(path.join(root, 'node_modules')) || packages['@azure/functions']
            ? `Run npm install; if that does not bring it, npm install ${packageOf(name)}.`
            : `The packages of this app are not installed: run npm install in ${root}.`;
    return new Refusal(`${from} needs the package ${name}, which is not there. ${remedy}`, {
        place,
        cause: error,
    });
}

function askerOf(error) {
    return error.requireStack?.[0] ?? IMPORTED_FROM.exec(error.message)?.[1];
}

// The line that asks: the trace of such an error has only the loader's.
function placeOf(root, asker, name) {
    if (!asker || !fs.existsSync(asker)) return undefined;
    const lines = fs.readFileSync(asker, 'utf8').split('\n');
    const at = lines.findIndex((line) =>
        ASKS.exec(line)
            ?.slice(1)
            .some((one) => names(one, name)),
    );
    return at < 0 ? undefined : { file: relative(root, asker), line: at + 1 };
}

/** Whether what a line asks for is `name`, or a part of it. */
function names(asked, name) {
    return asked === name || asked?.startsWith(`${name}/`);
}

/** `@scope/name/part` → `@scope/name`. */
function packageOf(name) {
    return name
        .split('/')
        .slice(0, name.startsWith('@') ? 2 : 1)
        .join('/');
}

module.exports = { whyNotLoaded };
