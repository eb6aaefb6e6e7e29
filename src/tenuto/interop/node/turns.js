'use strict';
// Turns of orchestrators: each is exactly one call into durable-functions.

const { SeenActions } = require('./actions');
const { KeptExecutor, liveExecutor } = require('./executors');
const { described } = require('./failures');
const { isReplay, played, withDates } = require('./history');
const { differenceOf, outcomeOf } = require('./outcomes');
const { cut } = require('./sizes');

/** Runs turns, and keeps the executors of the instances that the host has in memory. */
class Turns {
    #invocations;
    #logs;
    #keepsExecutors;
    #marksPlayed;
    #kept = new Map();

    /** `marksPlayed`: its durable-functions needs events to say whether they were played before. */
    constructor(invocations, logs, { keepsExecutors, marksPlayed }) {
        this.#invocations = invocations;
        this.#logs = logs;
        this.#keepsExecutors = keepsExecutors;
        this.#marksPlayed = marksPlayed;
    }

    /** The session is closed. */
    forget(key) {
        this.#kept.delete(key);
    }

    /**
     * Runs a turn; resolves to the text of its answer.
     *
     * @throws what kept the turn from being run, when the orchestrator has said nothing itself.
     */
    async run(turn) {
        turn.known ??= 0;
        const kept = this.#kept.get(turn.key);
        // What fails on its way leaves nothing behind that could answer the next turn.
        this.#kept.delete(turn.key);
        if (turn.history) return this.#runWhole(turn, kept);
        if (!kept || kept.count < turn.known) {
            return JSON.stringify({ type: 'lost', id: turn.id });
        }
        return this.#runNew(turn, kept);
    }

    /** With an executor that is there: it runs through what is new. */
    async #runNew(turn, kept) {
        const events = withDates(played(turn.events, false));
        const opened = kept.open(turn.invocation, events);
        const fed = [];
        const run = () => kept.run(events, turn.held, fed);
        const outcome = await outcomeOf(
            () =>
                this.#invocations.between(opened, run, (inputs, callback) =>
                    callback(...inputs, opened.context),
                ),
            () => kept,
        );
        const isKept = outcome.isLive && !outcome.hasEnded;
        const text = answer(turn, outcome, {
            first: outcome.isLive ? turn.known : 0,
            isKept,
            fed,
        });
        if (isKept) this.#kept.set(turn.key, kept);
        return text;
    }

    /** With all of the history, as the contract has it. */
    async #runWhole(turn, kept) {
        const unheard = turn.isCompared && kept ? await runUnheard(turn, kept) : undefined;
        const { metadata, callback } = this.#invocations.named(turn.function);
        const opened = await this.#invocations.open(turn.invocation, metadata);
        const { model, context } = opened;
        const history = played(turn.history, this.#marksPlayed);
        // Given as it is, and not as a text that the package would only read again.
        opened.inputs = [{ ...turn.start, history, isReplaying: isReplay(history) }];
        const fed = [];
        let made;
        const run = async (inputs, replaced) => {
            const answered = await model.invokeFunction(context, inputs, replaced);
            const executor = liveExecutor(context);
            if (!executor) return answered;
            made = new KeptExecutor(executor, opened, turn.start);
            return (await made.goOn(history, turn.held, fed)) ?? answered;
        };
        const outcome = await outcomeOf(
            () => this.#invocations.between(opened, callback, run),
            () => made ?? { executor: liveExecutor(context), seen: new SeenActions() },
        );
        const difference = unheard && differenceOf(unheard, { ...outcome, fed: String(fed) });
        const isKept = !difference && this.#isKept(outcome, made);
        const text = answer(turn, outcome, { first: 0, isKept, difference, fed });
        if (isKept) this.#kept.set(turn.key, made);
        return text;
    }

    #isKept(outcome, made) {
        if (!this.#keepsExecutors || outcome.hasEnded) return false;
        if (made) return outcome.isLive;
        // A package that is not as we know it stays so.
        this.#keepsExecutors = false;
        this.#logs.write(
            'warning',
            'system',
            'This version of durable-functions is not as this worker knows it: each turn of an ' +
                'orchestrator replays all of its history. That is slower, and gives the same.',
        );
        return false;
    }
}

/** A turn by an executor, to be compared with: nothing that it logs is heard, no hook runs. */
async function runUnheard(turn, kept) {
    const events = withDates(played(turn.events, false));
    kept.open(turn.invocation, events);
    kept.mute();
    const fed = [];
    try {
        const outcome = await outcomeOf(
            () => kept.run(events, turn.held, fed),
            () => kept,
        );
        return { ...outcome, fed: String(fed) };
    } catch (error) {
        // Whether that is a difference is for the plain call to show.
        return { isDone: `"${described(error).message}"` };
    }
}

function answer(turn, outcome, { first, isKept, difference, fed }) {
    const { seen, isDone, output, customStatus, error, failureDetails } = outcome;
    return JSON.stringify({
        type: 'turned',
        id: turn.id,
        isDone,
        first: seen ? first : turn.known,
        actions: seen ? seen.leaves.slice(first) : [],
        canceled: seen ? seen.canceled : [],
        output,
        customStatus,
        error: error && cut(error),
        failureDetails,
        isKept,
        difference,
        fed: fed.length ? fed : undefined,
    });
}

module.exports = { Turns };
