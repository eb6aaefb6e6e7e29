'use strict';
// What is installed for an app: the packages that matter, found as Node finds them.

const fs = require('node:fs');
const path = require('node:path');

const FUNCTIONS = '@azure/functions';
const DURABLE = 'durable-functions';

/** The version of a package as files in `root` get it; undefined when there is none. */
function installedVersion(root, name) {
    for (let folder = root; ; folder = path.dirname(folder)) {
        const manifest = path.join(folder, 'node_modules', name, 'package.json');
        try {
            return String(JSON.parse(fs.readFileSync(manifest, 'utf8')).version);
        } catch (error) {
            if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') return 'unknown';
        }
        if (folder === path.dirname(folder)) return undefined;
    }
}

/** Versions by name, of those that are there. */
function installed(root) {
    const versions = {};
    for (const name of [FUNCTIONS, DURABLE]) {
        const version = installedVersion(root, name);
        if (version) versions[name] = version;
    }
    return versions;
}

/** The first number of a version; undefined when there is none. */
function major(version) {
    const number = /^\d+/.exec(version ?? '');
    return number ? Number(number[0]) : undefined;
}

/** Whether a version is known and older than another, such as `3.3.1`. */
function isOlder(version, than) {
    const [own, other] = [version, than].map((one) => /^\d+\.\d+\.\d+/.exec(one ?? '')?.[0]);
    return own !== undefined && own.localeCompare(other, 'en', { numeric: true }) < 0;
}

module.exports = { DURABLE, FUNCTIONS, installed, isOlder, major };
