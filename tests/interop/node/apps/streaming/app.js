'use strict';
const { app } = require('@azure/functions');
app.setup({ enableHttpStream: true });
app.http('upper', {
    route: 'upper/{id}',
    methods: ['POST'],
    handler: async (request) => {
        const parts = [request.params.id, ' '];
        for await (const part of request.body)
            parts.push(Buffer.from(part).toString().toUpperCase());
        return { status: 202, body: parts.join(''), headers: { 'x-own': '1' } };
    },
});
