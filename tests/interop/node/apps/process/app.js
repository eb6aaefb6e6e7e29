'use strict';
const { app } = require('@azure/functions');
const { execFileSync } = require('node:child_process');
const core = require('@azure/functions-core');
const df = require('durable-functions');

process.stdout.write('loading');
console.error('to the other stream');

let release;
const released = new Promise((resolve) => {
    release = resolve;
});
df.app.activity('held', {
    handler: async (value) => {
        await released;
        return value;
    },
});
df.app.activity('release', { handler: () => release() });
df.app.activity('echo', { handler: (value) => value });
df.app.activity('prints', {
    handler: (value) => {
        process.stdout.write(value + '\n');
    },
});
df.app.activity('descriptors', {
    handler: () => execFileSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8' }),
});
df.app.activity('rejects', {
    handler: () => {
        Promise.reject(new RangeError('dropped'));
    },
});
df.app.activity('throws_later', {
    handler: () => {
        setImmediate(() => {
            throw new RangeError('thrown aside');
        });
        return new Promise(() => {});
    },
});
app.http('big', {
    handler: async (request) => ({ body: Buffer.from(await request.arrayBuffer()) }),
});
app.hook.appTerminate(() => {
    console.log('ending');
    if (process.env.SAYS_MORE) setImmediate(() => core.log('information', 'user', 'more'));
    if (process.env.ENDS_BADLY) throw new Error('badly');
});
