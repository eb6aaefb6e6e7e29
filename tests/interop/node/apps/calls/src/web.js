'use strict';
const { app, output } = require('@azure/functions');

app.http('request', {
    route: 'things/{id}',
    methods: ['GET', 'POST'],
    handler: async (request) => ({
        jsonBody: {
            method: request.method,
            url: request.url,
            accept: request.headers.get('accept'),
            cookie: request.headers.get('cookie'),
            ids: request.query.getAll('id'),
            params: request.params,
            body: Buffer.from(await request.arrayBuffer()).toString('latin1'),
        },
    }),
});

const DAY = 86_400_000;
const ANSWERS = {
    text: { body: 'grüße', status: 201, headers: { 'X-One': '1' } },
    bytes: { body: Buffer.from([0, 255]), enableContentNegotiation: true },
    cookies: {
        cookies: [
            { name: 'plain', value: 'a b' },
            {
                name: 'full',
                value: 'v',
                domain: 'example.org',
                path: '/only',
                expires: new Date(DAY),
                maxAge: 60,
                secure: true,
                httpOnly: true,
                sameSite: 'Strict',
            },
            { name: 'open', value: '', sameSite: 'None' },
        ],
    },
    nothing: undefined,
    wrong: 'no object',
};
app.http('cookie', {
    handler: (request) => ({ cookies: [JSON.parse(request.query.get('cookie'))] }),
});
app.http('answer', { handler: (request) => ANSWERS[request.query.get('kind')] });

app.generic('answered', {
    trigger: { type: 'manualTrigger', name: 'trigger' },
    extraOutputs: [output.generic({ type: 'http', name: 'web' })],
    handler: (_input, context) => context.extraOutputs.set('web', { body: 'by name' }),
});
