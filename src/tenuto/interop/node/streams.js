'use strict';
// The server that the packages start in the worker when an app streams, seen from outside. They write
// to a caller as fast as a function speaks, also when nobody reads; here it waits for its reader.

const diagnostics = require('node:diagnostics_channel');

/** Of the request that belongs to an invocation. */
const INVOCATION = 'x-ms-invocation-id';

/** The answers that functions of an app write themselves. */
class Streams {
    #responses = new Map();

    constructor() {
        diagnostics.subscribe('http.server.request.start', ({ request, response }) => {
            const invocation = request.headers[INVOCATION];
            if (!invocation) return;
            this.#responses.set(invocation, response);
            response.once('close', () => {
                this.#responses.delete(invocation);
                if (!response.writableFinished) response.write = refuse;
            });
        });
    }

    /** What a function has returned, made to say no more than its caller takes. */
    paced(invocation, result) {
        const response = this.#responses.get(invocation);
        const body = result?.body;
        if (!response || typeof body?.[Symbol.asyncIterator] !== 'function') return result;
        if (Object.hasOwn(result, 'body')) return { ...result, body: pieces(body, response) };
        // The package's own object, whose body is a stream; only its values are asked for.
        const values = () => pieces(body, response);
        return Object.defineProperty(result, 'body', { value: { values } });
    }
}

async function* pieces(body, response) {
    const source = body[Symbol.asyncIterator]();
    // The packages do not close what they have not read to its end.
    response.once('close', () => end(body, source));
    for (;;) {
        const { value, done } = await source.next();
        if (done) return;
        yield value;
        if (response.writableNeedDrain && !response.destroyed) await drained(response);
    }
}

/** Nobody wants more of it, if there is more. */
function end(body, source) {
    if (typeof body.destroy === 'function') body.destroy();
    else source.return?.().catch(() => {});
}

function drained(response) {
    return new Promise((resolve) => {
        const done = () => {
            response.off('drain', done);
            response.off('close', done);
            resolve();
        };
        response.on('drain', done);
        response.on('close', done);
    });
}

function refuse() {
    throw new Error('The caller has gone away before the answer was complete.');
}

module.exports = { Streams };
