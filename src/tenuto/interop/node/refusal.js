'use strict';
// Why an app cannot be run.

/**
 * What is wrong with the app, said to the person who wrote it, and what to do.
 *
 * `place` is `{file, line}` in the app, `cause` what the app or a package has thrown.
 */
class Refusal extends Error {
    constructor(message, { place, cause } = {}) {
        super(message);
        this.name = 'Refusal';
        this.place = place;
        this.cause = cause;
    }

    /** As the protocol has it. */
    get answer() {
        return {
            type: 'refused',
            message: this.message,
            file: this.place?.file,
            line: this.place?.line,
            stack: this.cause === undefined ? '' : String(this.cause?.stack ?? this.cause),
        };
    }
}

module.exports = { Refusal };
