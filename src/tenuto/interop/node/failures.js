'use strict';
// What user code or a package has thrown, as the protocol tells it.

const { sep } = require('node:path');
const { cut } = require('./sizes');

const OWN_FOLDER = __dirname + sep;
const NO_TEXT = 'An error that cannot say what it is: it has no message, or reading that throws.';

/** A text for anything, also for what refuses to be one. */
function textOf(value) {
    if (typeof value === 'string') return value;
    try {
        const isPlain = typeof value === 'object' && value !== null && !(value instanceof Error);
        return (isPlain ? JSON.stringify(value) : undefined) ?? String(value);
    } catch {
        return kindOf(value);
    }
}

function kindOf(value) {
    try {
        return Object.prototype.toString.call(value);
    } catch {
        return `a value of the type ${typeof value} that cannot be shown`;
    }
}

/**
 * `errorType`, `message` and `stack` of anything that can be thrown, each a text. User code says
 * what they are: members that are no texts, or that throw when they are read, cost it the worker
 * otherwise, and others their turns.
 */
function described(thrown) {
    const message = member(thrown, 'message');
    if (typeof message !== 'string' && !isError(thrown)) {
        return { errorType: 'Error', message: textOf(thrown), stack: '' };
    }
    const name = member(member(thrown, 'constructor'), 'name');
    return {
        errorType: typeof name === 'string' && name ? name : 'Error',
        message: message === undefined ? NO_TEXT : textOf(message),
        stack: textOf(member(thrown, 'stack') ?? ''),
    };
}

function member(value, name) {
    try {
        return value?.[name];
    } catch {
        return undefined;
    }
}

function isError(value) {
    try {
        return value instanceof Error;
    } catch {
        return false;
    }
}

/** What the log has of anything that was thrown. */
function shown(thrown) {
    const { message, stack } = described(thrown);
    return stack || message;
}

/** A stack without the lines that are this worker's: apps and whoever reads them see none of it. */
function withoutOwn(stack) {
    const lines = stack.split('\n');
    return lines.filter((line) => !/^\s+at /.test(line) || !line.includes(OWN_FOLDER)).join('\n');
}

/** `failed` for a call or a turn, of something too that cannot even be asked what it is. */
function failed(id, thrown) {
    const { stack, ...error } = described(thrown);
    const answer = { type: 'failed', id, ...error, stack: cut(withoutOwn(stack)) };
    const told = ownDetails(answer.message);
    if (!told) return { ...answer, message: cut(answer.message) };
    return {
        ...answer,
        errorType: told.errorType,
        message: told.errorMessage,
        stack: typeof told.stackTrace === 'string' ? told.stackTrace : answer.stack,
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

module.exports = { described, failed, shown, textOf };
