'use strict';
// What is surely too long for the host is not sent to it: it would hold up its loop to read it.
//
// The host says its limits when the app is loaded. It counts to the letter; here only what is too
// long however it is counted fails, with the host's own words.

const ACTIVITY = new Set([0, 1]);
const CHILD = new Set([2, 3]);
const CONTINUE = 4;
const MOST_CHARACTERS = 32_768;

/** The host's limits; none until it has said some. */
class Sizes {
    #most = Infinity;
    #words = '';

    hear({ payloadBytes, payloadWords }) {
        this.#most = payloadBytes;
        this.#words = payloadWords;
    }

    /** The text of a turn's answer, or of the failure in its place. */
    turn({ id, function: name, invocation }, text) {
        if (this.#areKept(text)) return text;
        const { output, customStatus, actions = [] } = JSON.parse(text);
        const found = [
            [output, 'the result'],
            [customStatus, 'the custom status'],
        ];
        for (const { actionType, input, functionName } of actions) {
            if (ACTIVITY.has(actionType)) {
                found.push([input, `the input of activity '${functionName}'`]);
            } else if (CHILD.has(actionType)) {
                found.push([input, `the input of orchestrator '${functionName}'`]);
            } else if (actionType === CONTINUE) {
                found.push([input, 'the input of continue_as_new']);
            }
        }
        const instance = invocation.slice(0, Math.max(0, invocation.lastIndexOf('/')));
        const whose = `orchestrator '${name}' (instance '${instance}')`;
        const failure = this.#firstFailed(
            id,
            found.map(([value, what]) => [value, `${whose}: ${what}`]),
        );
        return failure ? JSON.stringify(failure) : text;
    }

    /** The result of an activity, or the failure in its place. */
    activity({ id, function: name }, result) {
        const value = result.value?.json ?? result.value?.string ?? result.value?.bytes;
        if (value === undefined || this.#areKept(value)) return result;
        return this.#firstFailed(id, [[value, `the result of activity '${name}'`]]) ?? result;
    }

    #areKept(text) {
        // So many bytes a character has at most.
        return text.length * 3 <= this.#most || Buffer.byteLength(text) <= this.#most;
    }

    #firstFailed(id, found) {
        for (const [value, what] of found) {
            if (value === undefined || value === null) continue;
            const size = Buffer.byteLength(
                typeof value === 'string' ? value : JSON.stringify(value),
            );
            if (size > this.#most) {
                const bytes = size.toLocaleString('en-US');
                const message = `${what} takes ${bytes} bytes; ${this.#words}`;
                return { type: 'failed', id, errorType: 'LimitError', message, stack: '' };
            }
        }
        return undefined;
    }
}

/** As much of a text of user code as anybody reads, an error's or a log line's. */
function cut(text) {
    if (text.length <= MOST_CHARACTERS) return text;
    const left = (text.length - MOST_CHARACTERS).toLocaleString('en-US');
    return `${text.slice(0, MOST_CHARACTERS)}… (${left} characters more)`;
}

module.exports = { Sizes, cut };
