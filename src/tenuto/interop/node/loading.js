'use strict';
// From a folder to an app that has started, or to the reason why it cannot.

const fs = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

const { entryFiles, readManifest } = require('./manifest');
const { DURABLE, FUNCTIONS, installed, isOlder, major } = require('./packages');
const { Refusal } = require('./refusal');
const { DEEP_ENOUGH } = require('./places');
const { whyNotLoaded } = require('./reasons');
const { Streams } = require('./streams');

/** The durable-functions whose executors are kept. */
const KNOWN = 3;

/**
 * Loads the app in `root`: its files, then its start hooks. Resolves to `answer`, the `loaded` of
 * the protocol, and of its durable-functions `keepsExecutors`, whether it is of a version that we
 * know, and `marksPlayed`, whether it goes by marks of events for what is replay.
 *
 * @throws {Refusal} it cannot be run.
 */
async function load(app, root) {
    app.root = realFolder(root);
    process.chdir(app.root);
    const packages = installed(app.root);
    refuseOlderModel(app.root, packages);
    const manifest = readManifest(app.root);
    const usual = Error.stackTraceLimit;
    // The place in the app lies below many frames of Node's loader.
    Error.stackTraceLimit = DEEP_ENOUGH;
    const { exit } = process;
    process.exit = (code) => app.exit(code);
    for (const file of entryFiles(app.root, manifest)) await loadFile(app, file, packages);
    Error.stackTraceLimit = usual;
    if (app.refusal) throw app.refusal;
    await app.hooks.run('appStart', app.moment({ functionAppDirectory: app.root }));
    process.exit = exit;
    if (app.refusal) throw app.refusal;
    app.close();
    if (!app.functions.size) throw nothingRegistered(manifest, packages);
    // The first versions of the model have no capabilities.
    const told = (await app.model.getCapabilities?.({})) ?? {};
    const { HttpUri: httpUri, ...capabilities } = told;
    if (httpUri !== undefined) app.streams = new Streams();
    const functions = [...app.functions.values()].map(facts);
    const isKnown = isKnownDurable(packages);
    const notes = notesOn(packages[DURABLE], isKnown);
    return {
        keepsExecutors: isKnown,
        // One inside a bundle has no version: the marks do little harm where they are not needed.
        marksPlayed: !packages[DURABLE] || isOlder(packages[DURABLE], '3.3.0'),
        answer: { type: 'loaded', functions, packages, notes, httpUri, capabilities },
    };
}

// What a person should know of the durable-functions of an app.
function notesOn(version, isKnown) {
    if (!isKnown) {
        return [`durable-functions ${version} is newer than what this worker knows (${KNOWN}.x).`];
    }
    const node = process.versions.node;
    // It asks for a function that Node has no more.
    if (major(node) < 23 || !isOlder(version, '3.3.1')) return [];
    return [
        `durable-functions ${version} cannot create timers on Node ${node}: install 3.3.1 or newer, ` +
            'or run the app with Node 22.',
    ];
}

// Where the package is inside a bundle it has no version, and only its looks tell.
function isKnownDurable(packages) {
    return (major(packages[DURABLE]) ?? KNOWN) === KNOWN;
}

function realFolder(root) {
    try {
        return fs.realpathSync(root);
    } catch {
        throw new Refusal(`There is no folder ${root}.`);
    }
}

async function loadFile(app, file, packages) {
    const whole = path.join(app.root, file);
    try {
        if (isModule(whole)) await import(pathToFileURL(whole).href);
        else require(whole);
    } catch (error) {
        throw error instanceof Refusal ? error : whyNotLoaded(app.root, file, error, packages);
    }
}

/** Whether a file is an ES module: by its ending, else by the nearest package.json. */
function isModule(file) {
    if (/\.m[jt]s$/.test(file)) return true;
    if (/\.c[jt]s$/.test(file)) return false;
    for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
        const manifest = path.join(folder, 'package.json');
        if (fs.existsSync(manifest)) {
            return JSON.parse(fs.readFileSync(manifest, 'utf8')).type === 'module';
        }
        if (folder === path.dirname(folder)) return false;
    }
}

// A folder with a function.json is a function of the model before v4. It had its own packages.
function refuseOlderModel(root, packages) {
    const older =
        'That is the v3 programming model, which Tenuto does not run. Move the app to the v4 ' +
        'model: npm install @azure/functions@4 durable-functions@3, and register each function ' +
        'in code (https://learn.microsoft.com/azure/azure-functions/functions-node-upgrade-v4).';
    for (const [name, last] of [
        [FUNCTIONS, 3],
        [DURABLE, 2],
    ]) {
        if (major(packages[name]) <= last) {
            throw new Refusal(`This app has ${name} ${packages[name]}. ${older}`, {
                place: { file: 'package.json' },
            });
        }
    }
    const folder = fs
        .readdirSync(root, { withFileTypes: true })
        .find(
            (one) => one.isDirectory() && fs.existsSync(path.join(root, one.name, 'function.json')),
        );
    if (folder) {
        const file = `${folder.name}/function.json`;
        throw new Refusal(`This app describes functions in files such as ${file}. ${older}`, {
            place: { file },
        });
    }
}

function nothingRegistered({ main }, packages) {
    const missing = packages[FUNCTIONS]
        ? 'Register at least one, such as app.http(...) or df.app.orchestration(...), in a file ' +
          `that "main" in package.json names; it names ${JSON.stringify(main)}.`
        : `The package ${FUNCTIONS} is not installed: run npm install.`;
    return new Refusal(`The app registers no functions. ${missing}`, {
        place: { file: 'package.json' },
    });
}

/** A function as the protocol tells of it. */
function facts({ metadata, place }) {
    return {
        name: metadata.name,
        bindings: Object.entries(metadata.bindings).map(([name, binding]) => ({
            ...binding,
            name,
        })),
        retry: metadata.retryOptions && retryPolicy(metadata.retryOptions),
        file: place?.file,
        line: place?.line,
    };
}

// As in function.json, where durations are texts.
function retryPolicy({ strategy, maxRetryCount, ...intervals }) {
    const policy = { strategy, maxRetryCount };
    for (const name of ['delayInterval', 'minimumInterval', 'maximumInterval']) {
        if (intervals[name]) policy[name] = timeSpan(Number(intervals[name].seconds));
    }
    return policy;
}

/** Seconds as `hh:mm:ss`, with days before them when there are any. */
function timeSpan(seconds) {
    const days = Math.floor(seconds / 86_400);
    const parts = [seconds / 3600, seconds / 60, seconds];
    const [hours, ...rest] = parts.map((part, at) => Math.floor(part) % (at ? 60 : 24));
    const text = [hours, ...rest].map((part) => String(part).padStart(2, '0')).join(':');
    return days ? `${days}.${text}` : text;
}

module.exports = { load };
