'use strict';
const fs = require('node:fs');
const path = require('node:path');

const { app } = require('@azure/functions');
const df = require('durable-functions');

// Tries are counted in files, so that they outlive the process: in MATRIX_COUNTERS.
function countedTry(key) {
    const file = path.join(process.env.MATRIX_COUNTERS, key.replace(/[^\w-]/g, '_'));
    fs.appendFileSync(file, '.');
    return fs.statSync(file).size;
}

df.app.activity('echo', { handler: (value) => value });

df.app.activity('say_hello', { handler: (name) => `Hello ${name}!` });

// Fails `fails` times for each key, then tells how many tries there were.
df.app.activity('flaky', {
    handler: ({ key, fails }) => {
        const count = countedTry(key);
        if (count <= fails) throw new Error(`flake ${count}`);
        return `ok after ${count}`;
    },
});

app.http('start', {
    route: 'orchestrators/{name}',
    methods: ['POST'],
    extraInputs: [df.input.durableClient()],
    handler: async (request, context) => {
        const client = df.getClient(context);
        const text = await request.text();
        const instanceId = await client.startNew(request.params.name, {
            input: text ? JSON.parse(text) : undefined,
        });
        return client.createCheckStatusResponse(request, instanceId);
    },
});
