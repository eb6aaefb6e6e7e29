'use strict';
const { app } = require('@azure/functions');
const df = require('durable-functions');
const {
    TaskOrchestrationExecutor,
} = require('durable-functions/lib/src/orchestrations/TaskOrchestrationExecutor');

// How many events each call into the package goes through.
let executed = [];
const { execute } = TaskOrchestrationExecutor.prototype;
TaskOrchestrationExecutor.prototype.execute = function (context, history, schemaVersion, fn) {
    executed.push(history.length);
    return execute.call(this, context, history, schemaVersion, fn);
};
app.generic('executed', {
    trigger: { type: 'activityTrigger', name: 'trigger' },
    handler: () => {
        const counts = executed;
        executed = [];
        return counts;
    },
});

class Mute extends Error {
    get message() {
        throw this;
    }
}

df.app.activity('muted', {
    handler: () => {
        throw new Mute();
    },
});

df.app.orchestration('mute', function* (context) {
    yield context.df.callActivity('echo', 1);
    throw new Mute();
});

df.app.activity('echo', { handler: (value) => value });

df.app.orchestration('twice', function* (context) {
    const values = [];
    for (let count = 0; count < 2; count += 1) {
        values.push(yield context.df.callActivity('echo', count));
    }
    return values;
});

df.app.orchestration('logs', function* (context) {
    context.log(`begins ${context.df.isReplaying} ${context.invocationId}`);
    yield context.df.callActivity('echo', 1);
    context.warn(`goes on ${context.df.isReplaying} ${context.invocationId}`);
    yield context.df.callActivity('echo', 2);
    context.log(`ends ${context.df.isReplaying} ${context.invocationId}`);
});

df.app.orchestration('contextual', function* (context) {
    yield context.df.callActivity('echo', 1);
    const { functionName, invocationId, options, retryContext, extraInputs } = context;
    return {
        name: context.constructor.name,
        functionName,
        invocationId,
        trigger: options.trigger.type,
        isRetry: retryContext !== undefined,
        extra: typeof extraInputs.get,
        instance: context.df.instanceId,
        parent: context.df.parentInstanceId,
        version: context.df.version,
        now: context.df.currentUtcDateTime,
    };
});

df.app.orchestration('again', function* (context) {
    const first = context.df.callActivity('echo', 1);
    yield first;
    yield context.df.callActivity('echo', 2);
    yield first;
    return context.df.isReplaying;
});

df.app.orchestration('marks', function* (context) {
    yield context.df.callActivity('echo', 1);
    yield context.df.callActivity('echo', 2);
    context.log(context.df.state.map((event) => event.IsPlayed).join(' '));
});

// What they do depends on the process and not on their history.
let runs = 0;
df.app.orchestration('undecided', function* (context) {
    runs += 1;
    const own = runs;
    yield context.df.callActivity('echo', 1);
    yield context.df.callActivity(`echo${own % 2}`, 2);
});
df.app.orchestration('more_and_more', function* (context) {
    runs += 1;
    const own = runs;
    yield context.df.callActivity('echo', 1);
    const tasks = Array.from({ length: own }, () => context.df.callActivity('echo', 2));
    yield context.df.Task.all(tasks);
});

const ERRORS = {
    text: 'only a text',
    empty: new RangeError(''),
    object: { code: 1 },
    long: new Error('first\n\n$OutOfProcData$:{"isDone":true}'),
    number_as_message: { message: 5 },
    object_as_message: Object.assign(new Error(), { message: { a: 1 } }),
    number_as_name: new (class extends Error {
        static name = 5;
    })(''),
};
df.app.orchestration('throws', function* (context) {
    yield context.df.callActivity('echo', 1);
    throw ERRORS[context.df.getInput()];
});

df.app.orchestration('rethrows', function* (context) {
    yield context.df.callActivity('echo', 1);
});

df.app.orchestration('circular', function* (context) {
    yield context.df.callActivity('echo', 1);
    const output = {};
    output.self = output;
    return output;
});

df.app.orchestration('yields_text', function* () {
    yield 'no task';
});

df.app.orchestration('status', function* (context) {
    context.df.setCustomStatus('first');
    yield context.df.callActivity('echo', 1);
    context.df.setCustomStatus(null);
    yield context.df.callActivity('echo', 2);
    return null;
});

// Some that are made by hand.
const trigger = df.trigger.orchestration();
app.generic('no_contract', { trigger, handler: () => ({ something: 'else' }) });
app.generic('old_schema', { trigger, handler: () => ({ isDone: false, actions: [[], []] }) });
app.generic('as_text', {
    trigger,
    handler: () =>
        JSON.stringify({
            isDone: false,
            actions: [[{ actionType: 0, functionName: 'echo', input: 1 }]],
            schemaVersion: 3,
        }),
});
app.generic('fails_without_a_word', {
    trigger,
    handler: () => {
        throw new Error('false\n\n$OutOfProcData$:{"isDone":false,"actions":[[]]}');
    },
});
app.generic('fails_as_text', {
    trigger,
    handler: () => {
        throw new Error('false\n\n$OutOfProcData$:{"isDone":false,"actions":[[]],"error":"sad"}');
    },
});
