'use strict';
// What an app hangs onto moments of its life and of its invocations (`app.hook.*`).

const NAMES = ['appStart', 'appTerminate', 'preInvocation', 'postInvocation', 'log'];

/** An error that is the platform's and not the app's; the packages look at the mark. */
class SystemError extends Error {
    isAzureFunctionsSystemError = true;
}

class SystemRangeError extends RangeError {
    isAzureFunctionsSystemError = true;
}

/** What an app gets for a registration: `dispose()` takes it back. */
class Disposable {
    #takeBack;

    constructor(takeBack) {
        this.#takeBack = takeBack;
    }

    /** One for several. */
    static from(...disposables) {
        return new Disposable(() => {
            for (const one of disposables) one?.dispose?.();
        });
    }

    dispose() {
        const takeBack = this.#takeBack;
        this.#takeBack = undefined;
        takeBack?.();
    }
}

/** The hooks of an app, by name, in the order in which they were registered. */
class Hooks {
    #byName = new Map(NAMES.map((name) => [name, []]));

    register(name, callback) {
        const callbacks = this.#byName.get(name);
        if (!callbacks) {
            throw new SystemRangeError(
                `Unrecognized hook "${name}"; there are: ${NAMES.join(', ')}.`,
            );
        }
        callbacks.push(callback);
        return new Disposable(() => {
            const place = callbacks.indexOf(callback);
            if (place >= 0) callbacks.splice(place, 1);
        });
    }

    has(name) {
        return this.#byName.get(name).length > 0;
    }

    /** Runs them one after the other, with the same `context`, in which they may change things. */
    async run(name, context) {
        for (const callback of [...this.#byName.get(name)]) await callback(context);
    }

    /** For `log`, whose callers do not wait. */
    runNow(name, context) {
        for (const callback of [...this.#byName.get(name)]) callback(context);
    }
}

/** An object for a hook: members of `fixed` can be read, those of `open` can be replaced too. */
function hookContext(fixed, open) {
    const context = { ...open };
    for (const [name, value] of Object.entries(fixed)) {
        Object.defineProperty(context, name, {
            enumerable: true,
            get: () => value,
            set: () => {
                throw new SystemError(`A hook cannot replace "${name}".`);
            },
        });
    }
    return context;
}

module.exports = { Disposable, Hooks, SystemError, hookContext };
