'use strict';
// What user code or a package has thrown, as the protocol tells it.

const { cut } = require('./sizes');

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

/** `failed` for a call or a turn, of something too that cannot even be asked what it is. */
function failed(id, thrown) {
    try {
        return told(id, thrown);
    } catch {
        const message = 'Something was thrown that cannot say what it is: its own text throws.';
        return { type: 'failed', id, errorType: 'Error', message, stack: '' };
    }
}

function told(id, thrown) {
    const error = asError(thrown);
    const answer = {
        type: 'failed',
        id,
        errorType: String(error.constructor?.name || 'Error'),
        message: String(error.message),
        stack: cut(String(error.stack ?? '')),
    };
    const details = ownDetails(answer.message);
    if (!details) return { ...answer, message: cut(answer.message) };
    return {
        ...answer,
        errorType: details.errorType,
        message: details.errorMessage,
        stack: details.stackTrace ?? answer.stack,
        details: JSON.stringify(details),
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
