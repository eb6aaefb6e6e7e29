'use strict';
// What user code or a package has thrown, as the protocol tells it.

const { sep } = require('node:path');

const OWN_FOLDER = __dirname + sep;

/** An error for anything that can be thrown, texts and nothing included. */
function asError(thrown) {
    if (thrown instanceof Error || typeof thrown?.message === 'string') return thrown;
    let text;
    try {
        text =
            typeof thrown === 'object' && thrown !== null ? JSON.stringify(thrown) : String(thrown);
    } catch {
        text = Object.prototype.toString.call(thrown);
    }
    const error = new Error(text);
    error.stack = '';
    return error;
}

/** A stack without the lines that are this worker's: apps and whoever reads them see none of it. */
function stackOf(error) {
    const lines = String(error.stack ?? '').split('\n');
    return lines.filter((line) => !/^\s+at /.test(line) || !line.includes(OWN_FOLDER)).join('\n');
}

/** `failed` for a call or a turn. */
function failed(id, thrown) {
    const error = asError(thrown);
    const answer = {
        type: 'failed',
        id,
        errorType: error.constructor?.name || 'Error',
        message: String(error.message),
        stack: stackOf(error),
    };
    const told = ownDetails(answer.message);
    if (!told) return answer;
    return {
        ...answer,
        errorType: told.errorType,
        message: told.errorMessage,
        stack: told.stackTrace ?? answer.stack,
        details: JSON.stringify(told),
    };
}

// With an exception properties provider an error's message is JSON: this is how durable-functions
// tells a host more than a text.
function ownDetails(message) {
    if (!message.startsWith('{')) return undefined;
    try {
        const told = JSON.parse(message);
        const isOurs =
            typeof told.errorType === 'string' &&
            typeof told.errorMessage === 'string' &&
            typeof told.properties === 'object';
        return isOurs ? told : undefined;
    } catch {
        return undefined;
    }
}

module.exports = { asError, failed };
