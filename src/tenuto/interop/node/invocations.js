'use strict';
// One invocation of a function, through the app's own model and between its hooks.

const { textOf } = require('./failures');
const { hookContext } = require('./hooks');
const { fromPackage, metadataToPackage, toPackage } = require('./values');

/** What a package is told of an invocation, and what it asks the worker for while it runs. */
class CoreContext {
    #logs;
    #state;
    /** Whether what the function logs is dropped: it says nothing that was not said before. */
    isMuted = false;
    /** Whether it is used for more than one invocation. */
    isReused = false;
    /** For log hooks. */
    hookData = {};
    invocationContext;

    constructor(logs, invocation, metadata, request = {}) {
        this.#logs = logs;
        this.invocationId = invocation;
        this.metadata = metadata;
        // Nothing, and not an empty object, is what packages take for "there is none".
        this.request = {
            invocationId: invocation,
            functionId: metadata.name,
            inputData: [],
            triggerMetadata: {},
            traceContext: null,
            retryContext: null,
            ...request,
        };
    }

    /**
     * How far the invocation is; `undefined` when it is over. A model that has seen the end of one
     * warns of each line that is logged outside of the last hooks, so in all later ones it is there.
     */
    get state() {
        return this.#state && this.isReused ? 'postInvocationHooks' : this.#state;
    }

    set state(state) {
        this.#state = state;
    }

    log(level, category, text) {
        if (this.isMuted) return;
        this.#logs.write(level, category, text, {
            invocation: this.invocationId,
            functionName: this.metadata.name,
            hookData: this.hookData,
            invocationContext: this.invocationContext,
        });
    }
}

/** Runs functions that are no orchestrators, and what is the same for those. */
class Invocations {
    #app;
    #logs;

    constructor(app, logs) {
        this.#app = app;
        this.#logs = logs;
    }

    /**
     * A function of the app.
     *
     * @throws {Error} there is none of that name.
     */
    named(name) {
        const found = this.#app.functions.get(name);
        if (!found) throw new Error(`This app has no function ${JSON.stringify(name)}.`);
        return found;
    }

    isActivity(name) {
        const { bindings } = this.named(name).metadata;
        return Object.values(bindings).some(({ type }) => /^activitytrigger$/i.test(type));
    }

    /** The packages' own model of an invocation, with the real context object and its inputs. */
    async open(invocation, metadata, request) {
        const core = new CoreContext(this.#logs, invocation, metadata, request);
        const model = await this.#app.model.getInvocationModel(core);
        const { context, inputs } = await model.getArguments();
        core.invocationContext = context;
        return { core, model, context, inputs };
    }

    /**
     * Runs `run(inputs, callback)` between the app's hooks, which may replace inputs, callback,
     * result and error.
     */
    async between(opened, callback, run) {
        try {
            return await this.#between(opened, callback, run);
        } finally {
            opened.core.state = undefined;
        }
    }

    async #between({ core, context, inputs }, callback, run) {
        const { hooks, hookData: appHookData } = this.#app;
        core.state = 'invocation';
        if (!hooks.has('preInvocation') && !hooks.has('postInvocation'))
            return run(inputs, callback);
        const fixed = { hookData: core.hookData, appHookData, invocationContext: context };
        const before = hookContext(fixed, { inputs, functionCallback: callback });
        core.state = 'preInvocationHooks';
        await hooks.run('preInvocation', before);
        const after = hookContext(fixed, { inputs: before.inputs, result: null, error: null });
        core.state = 'invocation';
        try {
            after.result = await run(before.inputs, before.functionCallback);
        } catch (thrown) {
            after.error = thrown ?? new Error(textOf(thrown));
        }
        core.state = 'postInvocationHooks';
        await hooks.run('postInvocation', after);
        if (after.error !== null && after.error !== undefined) throw after.error;
        return after.result;
    }

    // A server must be told an answer, also when a function has none: there it waits for one.
    #answered({ invocationId, metadata }, result) {
        const { streams } = this.#app;
        if (!streams || metadata.bindings.$return?.type !== 'http') return result;
        return streams.paced(invocationId, result ?? { status: 204 });
    }

    /** Runs a call of the protocol: the members of `result`, with the body to attach. */
    async call(message, attachment) {
        const { metadata, callback } = this.named(message.function);
        const opened = await this.open(
            message.invocation,
            metadata,
            request(message, metadata, attachment),
        );
        const { core, model, context } = opened;
        const result = await this.between(opened, callback, (inputs, replaced) =>
            model.invokeFunction(context, inputs, replaced),
        );
        return outcome(await model.getResponse(context, this.#answered(core, result)));
    }
}

function request({ inputs = {}, metadata = {}, retry, trace }, { bindings }, attachment) {
    const inputData = [];
    for (const [name, { type, direction }] of Object.entries(bindings)) {
        const isTrigger = /trigger$/i.test(type);
        // A trigger's value is an argument of the function, there or not; others are looked up.
        if (isTrigger || (direction !== 'out' && inputs[name])) {
            inputData.push({ name, data: toPackage(inputs[name], attachment) });
        }
    }
    return {
        inputData,
        triggerMetadata: metadataToPackage(metadata),
        retryContext: retry ?? null,
        traceContext: trace ?? null,
    };
}

function outcome({ returnValue, outputData }) {
    const { datum, attachment } = fromPackage(returnValue);
    const told = { value: datum ?? undefined, attachment };
    for (const { name, data } of outputData ?? []) {
        const output = fromPackage(data);
        if (output.attachment && !told.attachment) {
            // An answer under a name of its own is an answer all the same.
            if (told.value) told.outputs = { ...told.outputs, $return: told.value };
            told.value = output.datum;
            told.attachment = output.attachment;
        } else if (output.datum) {
            told.outputs = { ...told.outputs, [name]: output.datum };
        }
    }
    return told;
}

module.exports = { Invocations };
