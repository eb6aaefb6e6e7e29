'use strict';
const { app } = require('@azure/functions');
const core = require('@azure/functions-core');
const df = require('durable-functions');

const said = [];

app.hook.appStart((context) => {
    context.hookData.begun = true;
    said.push('appStart');
});
app.hook.appTerminate((context) => console.log('terminated', context.hookData.begun));

// Data of an app are shared by all invocations, those of a hook by the hooks of one.
core.registerHook('preInvocation', (context) => {
    context.appHookData.count = (context.appHookData.count ?? 0) + 1;
    context.hookData.count = context.appHookData.count;
});
core.registerHook('postInvocation', (context) => {
    if (context.invocationContext.functionName === 'counted')
        context.result = context.hookData.count;
});

app.hook.preInvocation((context) => {
    said.push(`before ${context.invocationContext.functionName}`);
    if (context.inputs[0] === 'change') context.inputs = ['changed'];
    if (context.inputs[0] === 'replace') {
        const original = context.functionHandler;
        context.functionHandler = async (...all) => `replaced ${await original(...all)}`;
    }
    if (context.inputs[0] === 'forbidden') context.hookData = {};
});
app.hook.postInvocation((context) => {
    said.push(`after ${context.invocationContext.functionName}`);
    if (context.inputs[0] === 'result') context.result = 'another result';
    if (context.inputs[0] === 'mend') {
        context.error = null;
        context.result = 'mended';
    }
    if (context.inputs[0] === 'break') context.error = new TypeError('broken by a hook');
});

// A turn of an orchestrator is an invocation like others.
const STATE = { isDone: true, actions: [[]], output: 'by a hook', schemaVersion: 3 };
app.hook.preInvocation((context) => {
    const { functionName } = context.invocationContext;
    const isLater = context.inputs[0]?.isReplaying;
    if (functionName === 'instead' && isLater) context.functionHandler = async () => STATE;
    if (functionName === 'refused' && isLater) throw new Error('no more turns');
});
app.hook.postInvocation((context) => {
    const isLater = context.inputs[0]?.isReplaying;
    const { functionName } = context.invocationContext;
    if (functionName === 'afterwards' && isLater) context.result = STATE;
    if (functionName === 'copied' || (functionName === 'copied_later' && isLater)) {
        context.result = { ...context.result, actions: [[...context.result.actions[0]]] };
    }
});

app.hook.log((context) => {
    if (context.message === 'twist') {
        context.level = 'warning';
        const { functionName } = context.invocationContext;
        context.message = `${context.category} twisted in ${functionName}`;
    }
    if (context.message === 'trip') throw new Error('tripped');
    if (context.message.startsWith('again'))
        core.log('debug', 'user', `${context.message} and again`);
});

const disposed = app.hook.preInvocation(() => said.push('never'));
disposed.dispose();
disposed.dispose();

df.app.activity('echo', { handler: (value) => value });
df.app.activity('counted', { handler: () => undefined });
df.app.activity('said', { handler: () => said.splice(0) });
df.app.activity('thrower', {
    handler: () => {
        throw new Error('thrown');
    },
});
df.app.activity('logger', { handler: (text, context) => context.log(text) });
df.app.activity('system', { handler: (text) => core.log('nonsense', 'system', text) });

df.app.activity('core', {
    handler: (what) => {
        try {
            if (what === 'hook') core.registerHook('unheard', () => {});
            if (what === 'late') core.registerFunction({ name: 'late', bindings: {} }, () => {});
            if (what === 'dispose') kept.dispose();
        } catch (error) {
            const { name, message, isAzureFunctionsSystemError } = error;
            return { name, message, isAzureFunctionsSystemError };
        }
        const { name } = core.getProgrammingModel();
        return { version: core.version, hostVersion: core.hostVersion, name };
    },
});

const binding = { type: 'manualTrigger', direction: 'in' };
const kept = core.registerFunction({ name: 'kept', bindings: { binding } }, () => {});
const gone = core.registerFunction({ name: 'gone', bindings: { binding } }, () => {});
core.Disposable.from(gone, null).dispose();

df.app.orchestration('orchestrator', function* (context) {
    const input = context.df.getInput();
    return [input, yield context.df.callActivity('echo', 1), said.splice(0)];
});
df.app.orchestration('failing', function* (context) {
    yield context.df.callActivity('echo', 1);
    throw new Error('thrown');
});
// What is logged while an invocation runs is no late word, whoever logs it.
const logsToo = ({ invocationContext: context }, when) => {
    if (context.functionName === 'logging') context.log(`${when} of ${context.invocationId}`);
};
app.hook.preInvocation((context) => logsToo(context, 'before'));
app.hook.postInvocation((context) => logsToo(context, 'after'));
df.app.orchestration('logging', function* (context) {
    yield context.df.callActivity('echo', 1);
    context.log('begins to wait');
    yield context.df.waitForExternalEvent('Go');
    context.log('was told');
    setImmediate(() => context.log('too late'));
    yield context.df.callActivity('echo', 2);
});
for (const name of ['instead', 'refused', 'afterwards', 'copied', 'copied_later']) {
    df.app.orchestration(name, function* (context) {
        yield context.df.callActivity('echo', 1);
        yield context.df.callActivity('echo', 2);
    });
}
