'use strict';
// Executors of durable-functions that stay alive between the turns of an instance.
//
// The package makes one for each call, has it run through the whole history, and drops it. Here it
// stays, with the orchestrator's generator inside, and the next turn has it run through what is new
// alone: by the same method, which asks for a generator and gets the one that is there. So all that
// is decided is decided by the package, and a turn costs the same however long the history is.

const { SeenActions } = require('./actions');
const { withDates } = require('./history');
const { OpenWaits, feedHeld } = require('./waits');

const OWN_METHODS = ['execute', 'processEvent', 'isDoneExecuting', 'hasCompletedSuccessfully'];

/** The executor behind a context of an orchestrator, when it is as we know it; else undefined. */
function liveExecutor(context) {
    const executor = context?.df?.taskOrchestratorExecutor;
    const isKnown =
        typeof executor === 'object' &&
        executor !== null &&
        OWN_METHODS.every((name) => typeof executor[name] === 'function') &&
        executor.execute.length === 4 &&
        typeof executor.generator?.next === 'function' &&
        Array.isArray(executor.actions) &&
        typeof executor.schemaVersion === 'number' &&
        executor.context === context.df;
    return isKnown ? executor : undefined;
}

/** One executor that stays, and what is known of its execution. */
class KeptExecutor {
    #executor;
    #core;
    #context;
    #start;

    /** `core` and `context` are of the invocation that made it; `seen` and `waits` are filled. */
    constructor(executor, { core, context }, start) {
        this.#executor = executor;
        this.#core = core;
        this.#context = context;
        this.#start = start;
        core.isReused = true;
        this.seen = new SeenActions();
        this.waits = new OpenWaits();
    }

    get executor() {
        return this.#executor;
    }

    /** How many actions there were so far. */
    get count() {
        return this.seen.leaves.length;
    }

    /** The invocation under which a turn over `events` runs: the same context with a new id. */
    open(invocation, events) {
        const core = this.#core;
        const context = this.#context;
        core.invocationId = invocation;
        core.hookData = {};
        context.invocationId = invocation;
        return { core, context, inputs: [{ ...this.#start, history: events, isReplaying: true }] };
    }

    /** Let nobody hear what the orchestrator logs from here on. */
    mute() {
        this.#core.isMuted = true;
    }

    /**
     * The package's turn over `events` alone, and over those of `held` that are waited for by then.
     * It answers, or throws, as in a plain call. `fed` gets the places of those of `held`.
     */
    async run(events, held, fed) {
        const answer = await this.#execute(events);
        return (await this.goOn(events, held, fed)) ?? answer;
    }

    /** The package has run through `events`; what of `held` is waited for is fed to it. */
    goOn(events, held, fed) {
        const feed = (event) => this.#execute(withDates(event));
        this.seen.take(this.#executor.actions);
        this.waits.look(this.seen.leaves);
        this.waits.told(events);
        return feedHeld(held ?? [], this, feed, fed);
    }

    #execute(events) {
        const executor = this.#executor;
        return executor.execute(
            this.#context,
            events,
            executor.schemaVersion,
            () => executor.generator,
        );
    }
}

module.exports = { KeptExecutor, liveExecutor };
