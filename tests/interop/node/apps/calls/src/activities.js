'use strict';
const { app } = require('@azure/functions');
const df = require('durable-functions');

class OrderError extends Error {}

df.app.setExceptionPropertiesProvider({
    getExceptionProperties: (error) => (error instanceof OrderError ? { order: 7 } : undefined),
});

df.app.activity('described', {
    handler: (value) =>
        value === undefined ? 'nothing' : `${typeof value} ${JSON.stringify(value)}`,
});

const RESULTS = {
    text: 'a text',
    whole: 3,
    half: 0.5,
    infinite: Infinity,
    truth: true,
    nothing: null,
    object: { a: [1] },
    buffer: Buffer.from('bytes'),
    array: new Uint8Array([1, 2]),
    strange: () => 1,
};
df.app.activity('returned', { handler: (name) => RESULTS[name] });

const THROWN = {
    error: new RangeError('out of range'),
    text: 'only a text',
    object: { code: 5 },
    nothing: undefined,
    circular: Object.assign(Object.create({}), {
        get self() {
            return this;
        },
    }),
    order: new OrderError('no such order'),
    json: new Error('{"errorType": "made up"}'),
    bare: Object.assign(Object.create(null), { message: 'bare' }),
    told: new Error('{"errorType": "Own", "errorMessage": "m", "properties": {}}'),
    nearly: new Error('{"errorType": "Own", "errorMessage": "m"}'),
    braces: new Error('{not JSON'),
};
// What refuses to be told of.
const trap = () => {
    throw new Error('trap');
};
class NamedByObject extends Error {
    static name = { a: 1 };
}
Object.assign(THROWN, {
    number_as_message: { message: 5 },
    object_as_message: Object.assign(new Error(), { message: { a: 1 } }),
    no_text_as_message: Object.assign(new Error(), { message: Object.create(null) }),
    object_as_name: new NamedByObject('x'),
    number_as_stack: Object.assign(new Error('x'), { stack: 5 }),
    message_that_throws: Object.defineProperty({}, 'message', { get: trap, enumerable: false }),
    name_that_throws: Object.defineProperty(new Error('x'), 'constructor', { get: trap }),
    proxy_that_throws: new Proxy({}, { get: trap, getPrototypeOf: trap, ownKeys: trap }),
});

df.app.activity('thrown', {
    handler: (name) => {
        throw THROWN[name];
    },
});

df.app.activity('contextual', {
    handler: (value, context) => {
        context.log('said', { value });
        context.trace('t');
        context.debug('d');
        context.info('i');
        context.warn('w');
        context.error('e');
        console.log('printed by', context.functionName);
        const { invocationId, functionName, retryContext, traceContext, triggerMetadata } = context;
        return { invocationId, functionName, retryContext, traceContext, triggerMetadata };
    },
});

app.timer('tick', { schedule: '0 0 * * * *', handler: (timer) => timer.isPastDue });

app.storageQueue('queued', {
    queueName: 'in',
    connection: 'Store',
    extraInputs: [
        { type: 'table', name: 'rows' },
        { type: 'blob', name: 'missing' },
    ],
    extraOutputs: [
        { type: 'queue', name: 'out' },
        { type: 'queue', name: 'unused' },
    ],
    handler: (message, context) => {
        context.extraOutputs.set('out', [message, context.extraInputs.get('rows')]);
        return typeof context.extraInputs.get('missing');
    },
});

df.app.client.generic('client', {
    trigger: { type: 'manualTrigger', name: 'trigger' },
    handler: (_input, client) => client.createHttpManagementPayload('an-id'),
});
