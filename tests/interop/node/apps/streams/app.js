'use strict';
const { createHash } = require('node:crypto');
const { appendFileSync } = require('node:fs');
const { Readable } = require('node:stream');
const { app, HttpResponse } = require('@azure/functions');
const df = require('durable-functions');

app.setup({ enableHttpStream: true });

const note = (text) => appendFileSync(process.env.NOTED, `${text}\n`);

/** Many pieces, each made when the one before was taken. */
async function* pieces(count, size) {
    for (let number = 0; number < count; number += 1) yield Buffer.alloc(size, number % 256);
}

app.http('large', {
    methods: ['GET'],
    handler: (request) => {
        const megabytes = Number(request.query.get('megabytes'));
        return { body: Readable.from(pieces(megabytes * 16, 65_536)), headers: { 'x-own': 'large' } };
    },
});

app.http('digest', {
    route: 'digest/{name}',
    methods: ['POST', 'PUT'],
    handler: async (request) => {
        const hash = createHash('sha256');
        let length = 0;
        for await (const piece of request.body ?? []) {
            if (!length) note('the first piece');
            hash.update(piece);
            length += piece.length;
        }
        const { url, method } = request;
        const seen = { name: request.params.name, length, sha256: hash.digest('hex'), url, method };
        return {
            jsonBody: seen,
            cookies: [
                { name: 'a', value: '1', path: '/' },
                { name: 'b', value: '2', httpOnly: true },
            ],
        };
    },
});

/** Says each piece of what it reads back, before the next has come. */
app.http('echo', {
    methods: ['POST'],
    handler: (request) => ({ body: request.body }),
});

/** One event for each line that a test writes into a file. */
app.http('events', {
    methods: ['GET'],
    handler: () => {
        async function* events() {
            for (const text of ['one', 'two', 'three']) {
                yield `data: ${text}\n\n`;
                await told(text);
            }
        }
        return { headers: { 'content-type': 'text/event-stream' }, body: Readable.from(events()) };
    },
});

/** Resolves when a test has called `tell` with this text. */
const waiting = new Map();
const told = (text) => new Promise((resolve) => waiting.set(text, resolve));
app.http('tell', {
    route: 'tell/{text}',
    methods: ['POST'],
    handler: (request) => {
        const { text } = request.params;
        waiting.get(text)?.();
        return { status: waiting.delete(text) ? 200 : 404 };
    },
});

app.http('breaks', {
    methods: ['GET'],
    handler: () => {
        async function* some() {
            yield 'the beginning';
            await told('break');
            throw new Error('in the middle');
        }
        return { body: Readable.from(some()) };
    },
});

/** The same in the package's own object. */
app.http('own', {
    methods: ['GET'],
    handler: () => new HttpResponse({ status: 201, body: Readable.from(pieces(160, 65_536)) }),
});

app.http('fails', {
    methods: ['GET', 'POST'],
    handler: () => {
        throw new Error('before its answer');
    },
});

app.http('nothing', { methods: ['GET'], handler: () => undefined });

app.http('dies', { methods: ['GET'], handler: () => process.exit(3) });

app.http('endless', {
    methods: ['GET'],
    handler: () => {
        async function* zeros() {
            try {
                for (let number = 0; ; number += 1) {
                    note(`piece ${number}`);
                    yield Buffer.alloc(65_536);
                    await new Promise((resolve) => setImmediate(resolve));
                }
            } finally {
                note('the end');
            }
        }
        return { body: Readable.from(zeros()) };
    },
});

app.http('secret', { methods: ['GET'], authLevel: 'function', handler: () => ({ body: 'known' }) });

df.app.orchestration('hello', function* hello() {
    return 'hello';
});
app.http('start', {
    methods: ['POST'],
    extraInputs: [df.input.durableClient()],
    handler: async (request, context) => {
        const client = df.getClient(context);
        return client.createCheckStatusResponse(request, await client.startNew('hello'));
    },
});
