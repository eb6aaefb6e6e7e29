'use strict';
// What a turn of an orchestrator has come to, read from what its package answers or throws.

const { SeenActions } = require('./actions');
const { described, textOf } = require('./failures');

// With its line ends, which JSON has only in another spelling: in the state it cannot stand.
const LABEL = '\n\n$OutOfProcData$:';

/**
 * Runs a turn and reads its outcome: `isDone`, `hasEnded` (also by an error), `seen` (its actions),
 * `isLive` (they are those of the executor), and as texts `output`, `customStatus`, `error` and
 * `failureDetails`, each undefined when there is none.
 *
 * `live()` is asked afterwards for the package's `executor`, undefined when it is not as we know
 * it, and for `seen`, the actions of it that are known already.
 *
 * @throws what was thrown, when the orchestrator has said nothing itself.
 */
async function outcomeOf(run, live) {
    let result;
    try {
        result = await run();
    } catch (thrown) {
        return fromThrown(thrown, live());
    }
    return fromResult(result, live());
}

function fromResult(result, { executor, seen }) {
    const state = typeof result === 'string' ? JSON.parse(result) : result;
    if (typeof state?.isDone !== 'boolean' || !Array.isArray(state.actions)) {
        throw new Error(
            'The orchestrator has answered nothing that durable-functions would answer. A ' +
                'function with an orchestration trigger must be made by df.app.orchestration().',
        );
    }
    if (state.actions.length > 1) {
        throw new Error(
            'The orchestrator answers in a schema of durable-functions that is too old.',
        );
    }
    const actions = state.actions[0] ?? [];
    const isLive = executor !== undefined && (actions === executor.actions || !actions.length);
    // What a hook has put in the place of the answer is counted on its own.
    const counted = isLive ? seen : new SeenActions();
    counted.take(actions);
    return { ...texts(state), isDone: state.isDone, hasEnded: state.isDone, seen: counted, isLive };
}

// The package throws a text: what went wrong, a label, and the state as JSON.
function fromThrown(thrown, { executor, seen }) {
    const text = described(thrown).message;
    const label = text.lastIndexOf(LABEL);
    if (label < 0) throw thrown;
    const state = JSON.parse(text.slice(label + LABEL.length));
    const isLive = executor !== undefined;
    // In a text two calls that look the same cannot be told from one that is repeated. Without the
    // live list nothing is said of actions; after a failure only signals would still matter.
    if (isLive) seen.take(executor.actions);
    const error = errorText(state, executor);
    return {
        ...texts(state),
        isDone: false,
        hasEnded: true,
        error,
        seen: isLive ? seen : undefined,
        isLive,
    };
}

function errorText(state, executor) {
    if (state.error) return textOf(state.error);
    // An error without a message, or something that is no error was thrown.
    const { message, errorType } = described(executor?.exception ?? new Error(''));
    return message || errorType;
}

function texts({ output, customStatus, failureDetails }) {
    return {
        output: JSON.stringify(output),
        customStatus: customStatus ? JSON.stringify(customStatus) : undefined,
        failureDetails: failureDetails && JSON.stringify(failureDetails),
    };
}

/** Where two outcomes of the same turn part, in words; undefined when they do not. */
function differenceOf(kept, plain) {
    for (const member of ['isDone', 'error', 'output', 'customStatus', 'failureDetails', 'fed']) {
        const said = different(member, kept[member], plain[member]);
        if (said) return said;
    }
    const lists = [kept, plain].map(({ seen }) => seen?.leaves ?? []);
    const length = Math.max(...lists.map((leaves) => leaves.length));
    for (let place = 0; place < length; place += 1) {
        const said = different(
            `action ${place}`,
            ...lists.map((leaves) => JSON.stringify(leaves[place])),
        );
        if (said) return said;
    }
    return undefined;
}

function different(what, kept, plain) {
    if (kept === plain) return undefined;
    return `${what}: ${kept ?? 'nothing'} by the executor, ${plain ?? 'nothing'} by the plain call`;
}

module.exports = { differenceOf, outcomeOf };
