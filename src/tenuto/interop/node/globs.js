'use strict';
// Which files a pattern such as `src/functions/*.js` or `{a,b}/**/*.mjs` means.

const fs = require('node:fs');
const path = require('node:path');

const UNSUPPORTED = /[!?*+@]\(/;
/** How long a pattern may be, and how many its braces may make of it. */
const LONGEST = 1000;
const MOST = 1000;

/** Whether a text is a pattern and not simply the name of a file. */
function isPattern(text) {
    return /[*?[\]{}]/.test(text);
}

/** `a{b,c}d` → `abd`, `acd`; also nested, and `{1..3}`. */
function expandBraces(pattern) {
    const open = pattern.indexOf('{');
    if (open < 0) return [pattern];
    let depth = 0;
    const commas = [];
    for (let at = open; at < pattern.length; at += 1) {
        const sign = pattern[at];
        if (sign === '{') depth += 1;
        else if (sign === ',' && depth === 1) commas.push(at);
        else if (sign === '}' && --depth === 0) return between(pattern, open, at, commas);
    }
    // One that is never closed is a letter like others.
    return [pattern];
}

function between(pattern, open, close, commas) {
    const before = pattern.slice(0, open);
    const rests = expandBraces(pattern.slice(close + 1));
    const edges = [open, ...commas, close];
    let choices = edges.slice(1).map((end, at) => pattern.slice(edges[at] + 1, end));
    const range = /^(\d+)\.\.(\d+)$/.exec(choices[0]);
    if (choices.length === 1) {
        if (!range) return rests.map((rest) => `${before}\\{${choices[0]}\\}${rest}`);
        choices = numbers(Number(range[1]), Number(range[2]));
    }
    const found = [];
    for (const one of choices.flatMap(expandBraces)) {
        checkCount(found.length + rests.length);
        for (const rest of rests) found.push(before + one + rest);
    }
    return found;
}

function checkCount(count) {
    if (count > MOST) throw new RangeError(`its braces make more than ${MOST} patterns of it`);
}

function numbers(first, last) {
    checkCount(Math.abs(last - first) + 1);
    const step = first <= last ? 1 : -1;
    return Array.from({ length: Math.abs(last - first) + 1 }, (_, at) => String(first + at * step));
}

/** One part of a pattern, between slashes, as an expression for one name. */
function nameExpression(part) {
    let text = '';
    for (let at = 0; at < part.length; at += 1) {
        const sign = part[at];
        if (sign === '*') text += '[^/]*';
        else if (sign === '?') text += '[^/]';
        else if (sign === '\\' && at + 1 < part.length) text += quoted(part[++at]);
        else if (sign === '[') {
            const end = part.indexOf(']', at + 2);
            if (end < 0) text += '\\[';
            else {
                const inside = part.slice(at + 1, end).replace(/\\/g, '\\\\');
                text += `[${inside.replace(/^!/, '^')}]`;
                at = end;
            }
        } else text += quoted(sign);
    }
    // As in a shell: what begins with a dot must be asked for.
    const hidden = part.startsWith('.') ? '' : '(?!\\.)';
    return new RegExp(`^${hidden}${text}$`);
}

function quoted(sign) {
    return sign.replace(/[.*+?^${}()|[\]\\/]/, '\\$&');
}

/**
 * The files below `root` that a pattern means, relative to it, with slashes and sorted. A folder
 * means all that is in it. Folders with packages are left out, unless the pattern names them.
 *
 * @throws {RangeError} the pattern has a form that is not understood, such as `!(…)`, or means
 *     more patterns than anybody writes.
 */
function matchingFiles(root, pattern) {
    if (UNSUPPORTED.test(pattern)) {
        throw new RangeError(
            'forms such as !(…) and @(…) are not understood; *, **, ?, [] and {} are',
        );
    }
    if (pattern.length > LONGEST) throw new RangeError(`it is longer than ${LONGEST} characters`);
    const found = new Set();
    for (const one of expandBraces(pattern.replace(/^\.\//, ''))) {
        const named = one.split('/').filter((part) => part && part !== '.');
        // Twice in a row it means the same, and takes much longer.
        const parts = named.filter((part, at) => part !== '**' || named[at - 1] !== '**');
        walk(root, '', parts, found);
    }
    return [...found].sort();
}

function walk(root, folder, parts, found) {
    const [part, ...rest] = parts;
    if (part === '**') {
        walk(root, folder, rest, found);
        for (const entry of entries(root, folder)) {
            const isSkipped = entry.name === 'node_modules' || entry.name.startsWith('.');
            if (entry.isFolder && !isSkipped) walk(root, entry.path, parts, found);
            else if (!entry.isFolder && !rest.length && !isSkipped) found.add(entry.path);
        }
        return;
    }
    if (part === '..') {
        walk(root, path.posix.join(folder, '..'), rest, found);
        return;
    }
    const name = part === undefined ? undefined : nameExpression(part);
    for (const entry of entries(root, folder)) {
        if (!name?.test(entry.name)) continue;
        if (entry.isFolder) walk(root, entry.path, rest.length ? rest : ['**'], found);
        else if (!rest.length) found.add(entry.path);
    }
}

function entries(root, folder) {
    const list = fs.readdirSync(path.join(root, folder), { withFileTypes: true });
    return list.map((entry) => {
        const at = folder ? `${folder}/${entry.name}` : entry.name;
        return { name: entry.name, path: at, isFolder: isFolder(root, at, entry) };
    });
}

function isFolder(root, at, entry) {
    if (!entry.isSymbolicLink()) return entry.isDirectory();
    return fs.statSync(path.join(root, at), { throwIfNoEntry: false })?.isDirectory() ?? false;
}

module.exports = { isPattern, matchingFiles };
