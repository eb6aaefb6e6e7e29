'use strict';

const { app } = require('@azure/functions');
const df = require('durable-functions');

function isConference(value) {
    return (
        typeof value?.name === 'string' && typeof value.city === 'string' && Array.isArray(value.hotels)
    );
}

app.http('trips', {
    route: 'trips',
    methods: ['POST'],
    extraInputs: [df.input.durableClient()],
    handler: async (request, context) => {
        let conferences;
        try {
            conferences = await request.json();
        } catch {
            return { status: 400, jsonBody: { error: 'the body is not JSON' } };
        }
        if (!Array.isArray(conferences) || !conferences.length || !conferences.every(isConference)) {
            const error = 'the body must be a list of conferences, each with name, city and hotels';
            return { status: 400, jsonBody: { error } };
        }
        const client = df.getClient(context);
        const instanceId = await client.startNew('plan_travel', { input: conferences });
        context.log(`planning ${conferences.length} trip(s) as ${instanceId}`);
        return client.createCheckStatusResponse(request, instanceId);
    },
});
