'use strict';
// Lines for the host's log. What user code prints is no such line: it goes to standard output.

const { shown, textOf } = require('./failures');
const { hookContext } = require('./hooks');
const { cut } = require('./sizes');

const LEVELS = new Set(['trace', 'debug', 'information', 'warning', 'error', 'critical']);

/** Sends log lines to the host, past the app's `log` hooks, which may change text and level. */
class Logs {
    #pipe;
    #app;
    #isInHook = false;

    constructor(pipe, app) {
        this.#pipe = pipe;
        this.#app = app;
    }

    /**
     * `category` is `user` for what the app itself says, else `system`. `about` has whose it is:
     * `invocation`, `functionName`, `hookData`, `invocationContext`; nothing for the worker itself.
     */
    write(level, category, text, about = {}) {
        const line = { level, message: String(text) };
        // A hook that logs would be asked about its own line.
        if (this.#app.hooks.has('log') && !this.#isInHook) this.#ask(line, category, about);
        this.#pipe.send({
            type: 'log',
            text: cut(textOf(line.message)),
            level: LEVELS.has(line.level) ? line.level : 'information',
            invocation: about.invocation,
            function: about.functionName,
            isUser: category === 'user' || undefined,
        });
    }

    #ask(line, category, about) {
        const fixed = {
            category,
            hookData: about.hookData ?? {},
            appHookData: this.#app.hookData,
            invocationContext: about.invocationContext,
        };
        const context = hookContext(fixed, line);
        this.#isInHook = true;
        try {
            this.#app.hooks.runNow('log', context);
            line.level = context.level;
            line.message = context.message;
        } catch (error) {
            this.write('error', 'system', `A log hook has failed: ${shown(error)}`);
        } finally {
            this.#isInHook = false;
        }
    }
}

module.exports = { Logs };
