'use strict';

// Starts any of the flows: POST /api/orchestrators/{name}, with its input as the body.

const { app } = require('@azure/functions');
const df = require('durable-functions');

app.http('start', {
    route: 'orchestrators/{name}',
    methods: ['POST'],
    extraInputs: [df.input.durableClient()],
    handler: async (request, context) => {
        let input;
        try {
            input = await request.json();
        } catch {
            return { status: 400, jsonBody: { error: 'the body is not JSON' } };
        }
        const client = df.getClient(context);
        const instanceId = await client.startNew(request.params.name, { input });
        context.log(`started ${request.params.name} as ${instanceId}`);
        return client.createCheckStatusResponse(request, instanceId);
    },
});
