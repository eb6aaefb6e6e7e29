'use strict';
// The app as it registers itself: its functions, hooks and model, and the module through which its
// packages do so.

const Module = require('node:module');

const { Disposable, Hooks, SystemError, hookContext } = require('./hooks');
const { callerIn } = require('./places');
const { Refusal } = require('./refusal');

const CORE_MODULE = '@azure/functions-core';

// Of the real worker and host whose behaviour this is; packages ask whether they are new enough.
const WORKER_VERSION = '3.11.0';
const HOST_VERSION = '4.1040.0';

/** What an app is made of. It grows while files are loaded, and is closed when it has started. */
class App {
    hooks = new Hooks();
    /** By name, in the app's order: `{metadata, callback, place}`. */
    functions = new Map();
    model = null;
    /** Why it cannot be run, found while it registered itself, even if its code went on. */
    refusal;
    /** Shared by all hooks of the app. */
    hookData = {};
    root = '';
    /** Answers that pass by the pipe, through a server of its packages; null without one. */
    streams = null;
    #isStarted = false;
    #ownHookData = {};
    #places = new Map();

    /** What a package registers. @returns a Disposable */
    register(metadata, callback) {
        const { name } = metadata ?? {};
        if (this.#isStarted) {
            throw new SystemError(
                `The function ${JSON.stringify(name)} comes too late: functions are registered ` +
                    'while the files of an app are loaded, not afterwards.',
            );
        }
        if (typeof name !== 'string' || !name) throw new SystemError('A function needs a name.');
        const place = callerIn(this.root);
        // Names that differ only in small and capital letters are one function for Azure.
        const key = name.toLowerCase();
        const earlier = this.#places.get(key);
        if (earlier) {
            this.refusal ??= duplicate(name, earlier, place);
            throw this.refusal;
        }
        this.functions.set(name, { metadata, callback, place });
        this.#places.set(key, { name, place });
        return new Disposable(() => {
            if (this.#isStarted)
                throw new SystemError('A function stays when its app has started.');
            this.functions.delete(name);
            this.#places.delete(key);
        });
    }

    /** The app ends its process while it is loaded: then nobody would know why there is no worker. */
    exit(code) {
        const said = code === undefined ? '' : code;
        this.refusal ??= new Refusal(
            `The app ends its process by process.exit(${said}) while it is loaded. Let it throw an ` +
                'error that says what is wrong.',
            { place: callerIn(this.root) },
        );
        throw this.refusal;
    }

    /** What hooks of a moment of the app's life are given, with `more`. */
    moment(more = {}) {
        return hookContext(
            { hookData: this.#ownHookData, appHookData: this.hookData, ...more },
            {},
        );
    }

    /** From here on nothing can be registered. */
    close() {
        this.#isStarted = true;
    }
}

function duplicate(name, earlier, place) {
    const where = earlier.place ? ` (${earlier.place.file}, line ${earlier.place.line})` : '';
    const names = [name, earlier.name].map((one) => JSON.stringify(one));
    return new Refusal(
        `Two functions have the name ${names[0]}: this one and ${names[1]}${where}. Give one of ` +
            'them another name; small and capital letters make no difference.',
        { place },
    );
}

/** The module `@azure/functions-core`, which no registry has: a worker brings it. */
function coreModule(app, logs) {
    return {
        version: WORKER_VERSION,
        hostVersion: HOST_VERSION,
        Disposable,
        registerFunction: (metadata, callback) => app.register(metadata, callback),
        registerHook: (name, callback) => app.hooks.register(name, callback),
        setProgrammingModel(model) {
            app.model = model;
        },
        getProgrammingModel: () => app.model,
        log: (level, category, text) => logs.write(level, category, text),
    };
}

/** From here on each `require` of the core module gets ours, from whichever copy of a package. */
function provide(core) {
    const original = Module.prototype.require;
    Module.prototype.require = function (id) {
        return id === CORE_MODULE ? core : original.apply(this, arguments);
    };
}

module.exports = { App, coreModule, provide };
