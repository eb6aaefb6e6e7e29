'use strict';
// The server that the packages start in the worker when an app streams, seen from outside.

const diagnostics = require('node:diagnostics_channel');

/** Of the request that belongs to an invocation. */
const INVOCATION = 'x-ms-invocation-id';

/**
 * Ends what functions write when nobody reads it any more. The packages go on writing to a
 * connection that is closed, for as long as a function has something to say.
 */
function endWithCallers() {
    diagnostics.subscribe('http.server.request.start', ({ request, response }) => {
        if (!request.headers[INVOCATION]) return;
        response.once('close', () => {
            if (!response.writableFinished) response.write = refuse;
        });
    });
}

function refuse() {
    throw new Error('The caller has gone away before the answer was complete.');
}

module.exports = { endWithCallers };
